//! The CPU as the oracle of what this crate says about instructions.
//!
//! [`cpu`] runs one instruction natively, [`forms`] and [`rng`] make instructions and states; [`harness`] tests these
//! three, [`lifted`] compares the lifter with the CPU ([`blocks`] does for several instructions in a row), [`effects`] the claimed effects of
//! everything; [`vectors`] holds both to a file of tricky cases.

mod cpu;

mod rng;

mod forms;

mod harness;

mod lifted;

mod effects;

mod vectors;

mod coverage;

mod blocks;
