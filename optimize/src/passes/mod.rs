//! The passes, one file each, in the order in which a reader wants them.
//!
//! Rewriters ([`crate::forward::Rewriter`]) run together in one sweep, the pass `forward`; for file tests each is also a pass by itself.

use crate::forward::{Forward, Rewriter};
use crate::pass::Pass;

pub mod alias;

pub mod known_bits;

pub mod rules;

pub mod fold;

pub mod fold_address;

pub mod cse;

pub mod carry;

pub mod guard_elim;

pub mod dce;

pub mod dead_store;

pub mod disambiguate;

pub mod hoist;

pub mod load_forward;

pub mod loop_info;

pub mod peel;

pub mod split;

pub mod param_sink;

pub mod vectorize;

pub mod lower_boxed;

/// The rewriters of the forward sweep, in the order in which a line is offered to them.
pub fn rewriters() -> Vec<Box<dyn Rewriter>> {
    vec![
        Box::new(fold::Fold::default()),
        Box::new(guard_elim::GuardElim::default()),
        Box::new(cse::Cse::default()),
    ]
}

/// All rewriters in one sweep.
pub fn forward() -> Box<dyn Pass> {
    Box::new(Forward::new("forward", rewriters()))
}

/// Every pass by its name, for file tests and `-O` lists: `forward`, each of its rewriters by itself, and the others.
pub fn all() -> Vec<Box<dyn Pass>> {
    let mut all: Vec<Box<dyn Pass>> = vec![
        forward(),
        Box::new(load_forward::LoadForward::new()),
        Box::new(carry::Carry::default()),
        Box::new(peel::Peel::default()),
        Box::new(load_forward::LoadForward::with_guards()),
        Box::new(hoist::Hoist::default()),
        Box::new(dead_store::DeadStore::default()),
        Box::new(split::Split::default()),
        Box::new(param_sink::ParamSink::default()),
        Box::new(dce::Dce::default()),
        Box::new(lower_boxed::LowerBoxed::default()),
    ];
    for r in rewriters() {
        all.push(Box::new(Forward::new(r.name(), vec![r])));
    }
    all
}
