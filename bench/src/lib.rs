//! Benchmark programs and their measurement: the inside of the `speedup` binary.
//!
//! Data flows forward: [`catalogue`] says which programs there are, [`build`] and
//! [`startup`] make command lines of them, [`runner`] wraps these, [`process`] runs one,
//! [`experiment`] runs them in turns and compares outputs, [`stats`] condenses, [`report`]
//! [`across`] and [`page`] show, the last with what [`insight`] found out about causes ([`warmup`] among it). Nothing here knows how a runner works: it is a command like any other.
//!
//! Figures are ratios to the same binary run natively in the same rounds. What fails is
//! counted and shown, and never takes the other results with it.

pub mod across;
pub mod build;
pub mod catalogue;
pub mod experiment;
pub mod insight;
pub mod page;
pub mod process;
pub mod report;
pub mod runner;
pub mod startup;
pub mod stats;
pub mod warmup;
