//! The trace IR: the vocabulary that decoders, recorders and the optimizer share.
//!
//! A trace is one linear list of SSA operations in program order with guards that leave it. This crate holds
//! the data structure, the one table of operations, effects and alias classes, snapshots, the text form, the
//! verifier, the reference interpreter and the runner of `.tir` file tests. It knows no guest, no host and no
//! pass: everything it needs of a guest is data ([`trace::Decls`]).
//!
//! Reading order: [`types`], [`op`], [`effects`], [`trace`], [`snapshot`], [`builder`]. The text form is
//! defined in `docs/ir.md`.
#![forbid(unsafe_code)]

pub mod types;

pub mod op;

pub mod effects;

pub mod trace;

pub mod snapshot;

pub mod builder;

pub mod print;

pub mod parse;

pub mod verify;

pub mod eval;

pub mod interp;

pub mod filetest;

pub mod fuzz;
