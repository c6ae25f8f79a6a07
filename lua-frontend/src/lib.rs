//! The Lua front end: Lua 5.1 as LuaJIT 2.1 speaks it.
//!
//! Source text becomes bytecode ([`compile`]), which the interpreter runs ([`vm`]) on values ([`value`], [`object`])
//! in a heap with a collector of its own ([`heap`], [`gc`]). Library functions ([`stdlib`]) see the interface in [`api`].
//!
//! Reading order: [`value`], [`object`], [`bytecode`], [`heap`], [`strings`], [`table`], [`state`], [`api`], [`vm`], [`gc`],
//! [`error`], [`debug`].
//!
//! Unsafe code: the object model is raw pointers into a non-moving heap, so `unsafe` is in `value` (dereferencing
//! [`value::Gc`]), `object`, `heap`, `strings`, `table`, `gc`, `vm`, and `api`; each says at its top what it relies on. The compiler
//! and the libraries are written against the safe interface of `api`.

pub mod value;

pub mod object;

pub mod bytecode;

pub mod heap;

pub mod strings;

pub mod table;

pub mod state;

pub mod api;

pub mod vm;

pub mod gc;

pub mod jit;

pub mod error;

pub mod debug;

pub mod number;

pub mod syntax;

pub mod chars;

pub mod numscan;

pub mod numfmt;

pub mod strfmt;

pub mod pattern;

pub mod prng;

pub mod stdio;

pub mod compile;

pub mod ffi;

pub mod bcsave;

pub mod capi;

pub mod fuzz;

pub mod stdlib;

pub mod cli;
