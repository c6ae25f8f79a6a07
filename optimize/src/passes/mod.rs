//! The passes, one file each, in the order in which a reader wants them.

use crate::pass::Pass;

pub mod dce;

pub mod loop_info;

pub mod split;

pub mod vectorize;

/// Every pass by its name, for file tests and `-O` lists.
pub fn all() -> Vec<Box<dyn Pass>> {
    vec![Box::new(dce::Dce::default())]
}
