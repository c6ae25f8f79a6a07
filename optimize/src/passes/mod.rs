//! The passes, one file each, in the order in which a reader wants them.

use crate::pass::Pass;

pub mod alias;

pub mod dce;

pub mod disambiguate;

pub mod load_forward;

pub mod peel;

/// Every pass by its name, for file tests and `-O` lists.
pub fn all() -> Vec<Box<dyn Pass>> {
    vec![
        Box::new(load_forward::LoadForward::new()),
        Box::new(peel::Peel::default()),
        Box::new(load_forward::LoadForward::with_guards()),
        Box::new(dce::Dce::default()),
    ]
}
