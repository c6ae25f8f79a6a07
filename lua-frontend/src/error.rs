//! Errors: how they travel and how they read.
//!
//! An error value waits in [`crate::state::Global::thrown`] while [`Throw`] unwinds the Rust frames between the place of the
//! error and the interpreter loop, which unwinds the Lua frames.

use crate::api::Cx;
use crate::table::TableError;
use crate::value::Value;

/// An error is on its way; the value is in the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Throw {
    /// An ordinary error.
    Run,
    /// No memory.
    Memory,
    /// An error in an error handler.
    Handler,
}

/// `not enough memory`
#[cold]
pub fn memory(cx: Cx) -> Throw {
    let s = cx.str(b"not enough memory");
    cx.g().thrown = s.into();
    Throw::Memory
}

/// The message of a failed store.
#[cold]
pub fn table(cx: Cx, e: TableError) -> Throw {
    match e {
        TableError::NilKey => cx.error("table index is nil"),
        TableError::NanKey => cx.error("table index is NaN"),
        TableError::Overflow => cx.error("table overflow"),
        TableError::Memory => memory(cx),
    }
}

/// `file:line: ` of the Lua function at a level, or nothing.
pub fn position(cx: Cx, level: usize) -> Vec<u8> {
    crate::debug::position(cx, level)
}

/// An error with position.
#[cold]
pub fn with_position(cx: Cx, level: usize, msg: &[u8]) -> Throw {
    let mut text = position(cx, level);
    text.extend_from_slice(msg);
    let s = cx.str(&text);
    cx.g().thrown = s.into();
    Throw::Run
}

/// `bad argument #i to 'name' (msg)`
#[cold]
pub fn bad_argument(cx: Cx, i: usize, msg: &str) -> Throw {
    let mut i = i;
    let (kind, name) = crate::debug::call_name(cx).unwrap_or(("", b"?".to_vec()));
    let name = String::from_utf8_lossy(&name);
    if kind == "method" {
        i -= 1;
        if i == 0 {
            return cx.error(format!("calling '{name}' on bad self ({msg})"));
        }
    }
    cx.error(format!("bad argument #{i} to '{name}' ({msg})"))
}

/// `bad argument #i to 'name' (WANTED expected, got ...)`
#[cold]
pub fn bad_type(cx: Cx, i: usize, wanted: &str) -> Throw {
    let got = match cx.arg_opt(i) {
        None => "no value",
        Some(v) => type_name(v),
    };
    bad_argument(cx, i, &format!("{wanted} expected, got {got}"))
}

/// The name of a type in messages.
pub fn type_name(v: Value) -> &'static str {
    v.type_name()
}
