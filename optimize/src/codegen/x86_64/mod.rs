//! The host x86-64.

pub mod asm;

pub mod shuffle;

pub mod vinst;
