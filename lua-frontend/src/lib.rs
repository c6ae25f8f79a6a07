//! Lua as LuaJIT 2.1 speaks it.
pub mod chars;
pub mod numfmt;
pub mod numscan;
pub mod pattern;
pub mod prng;
pub mod stdio;
pub mod strfmt;
