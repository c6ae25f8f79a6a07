//! The CPU as the oracle of what this crate says about instructions.
//!
//! [`cpu`] runs one instruction natively, [`forms`] and [`rng`] make instructions and states; [`harness`] tests these
//! three, [`lifted`] compares the lifter with the CPU.

mod cpu;

mod rng;

mod forms;

mod harness;

mod lifted;
