//! A trace in, machine code out: the passes over the trace IR, register allocation, code generation.
//!
//! In the order data flows: [`pass`] (what a pass is, fuel), [`forward`] (the driver of passes that rewrite line by line), [`passes`] (one file each), [`pipeline`] (which run
//! at which level), [`codegen`] (allocation and machine code).
//!
//! What this crate must not know: guests. Everything it needs of one is data in the trace (state slots, alias
//! classes, helper signatures, facts) or in [`codegen::Host`] (where slots live when a fragment is entered and left).

#![forbid(unsafe_code)]

pub mod pass;

pub mod forward;

pub mod passes;

pub mod pipeline;

pub mod regalloc;

pub mod regcheck;

pub mod recurrence;

pub mod codegen;
