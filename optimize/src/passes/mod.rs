//! The passes, one file each, in the order in which a reader wants them.

use crate::pass::Pass;

pub mod dce;

/// Every pass by its name, for file tests and `-O` lists.
pub fn all() -> Vec<Box<dyn Pass>> {
    vec![Box::new(dce::Dce::default())]
}
