//! Closures, upvalues, traversal.

use crate::object::{Func, LuaFunc, Proto, Table};
use crate::state::Global;
use crate::value::{Gc, Value};
use crate::vm::data;

/// A closure of a prototype, made by the function `parent` whose frame begins at `base`.
pub(in crate::jit) unsafe extern "C" fn func_new(
    g: *mut Global,
    parent: *mut LuaFunc,
    proto: *mut Proto,
    base: *mut Value,
) -> *mut Func {
    // SAFETY: contract of the module; the prototype is a child of the parent's.
    unsafe { data::closure_of((*g).cur, g, proto, parent, base).cast() }
}

/// Closes the upvalues from a slot of the stack on.
pub(in crate::jit) unsafe extern "C" fn upvals_close(g: *mut Global, level: *mut Value) {
    // SAFETY: contract of the module; the trace has put the values into place.
    unsafe { data::close_upvals((*g).cur, level) }
}

/// The position of the first entry at or behind a position; -1 if there is none.
pub(in crate::jit) unsafe extern "C" fn table_scan(t: *mut Table, from: i32) -> i32 {
    // SAFETY: contract of the module.
    unsafe { (*t).next_from(from as u32).map_or(-1, |(next, _, _)| next as i32 - 1) }
}

/// The position of the first entry behind a key; -1 if there is none, -2 if the key is not in the table.
pub(in crate::jit) unsafe extern "C" fn table_scan_key(t: *mut Table, key: u64) -> i32 {
    let t = Gc::from_ptr(t);
    match t.position(Value(key)) {
        Some(from) => t.next_from(from).map_or(-1, |(next, _, _)| next as i32 - 1),
        None => -2,
    }
}
