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
#[repr(u8)]
pub enum Throw {
    /// An ordinary error.
    Run,
    /// No memory: no message handler is called.
    Memory,
    /// The message handler has run already: unwind only.
    Handled,
}

/// `not enough memory`
#[cold]
pub fn memory(cx: Cx) -> Throw {
    let s = cx.str(b"not enough memory");
    cx.g().thrown = s.into();
    // The failure is reported now, not again at the next safe point.
    cx.g().heap.oom = false;
    Throw::Memory
}

/// The message of a failed store.
#[cold]
pub fn table(cx: Cx, e: TableError) -> Throw {
    // A library function's own stores have no position.
    let index = |m: &str| if cx.running().is_lua() { cx.error(m) } else { cx.error_plain(m) };
    match e {
        TableError::NilKey => index("table index is nil"),
        TableError::NanKey => index("table index is NaN"),
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
    let mut text;
    if kind == "method" && i == 1 {
        text = b"calling '".to_vec();
        text.extend_from_slice(&name);
        text.extend_from_slice(b"' on bad self (");
    } else {
        i -= usize::from(kind == "method");
        text = format!("bad argument #{i} to '").into_bytes();
        text.extend_from_slice(&name);
        text.extend_from_slice(b"' (");
    }
    text.extend_from_slice(msg.as_bytes());
    text.push(b')');
    cx.error(text)
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

/// A message with the position of the running Lua function.
#[cold]
#[inline(never)]
pub fn simple(cx: Cx, msg: &'static str) -> Throw {
    here(cx, msg.as_bytes())
}

/// A message with the position of the running function if it is a Lua function, or of the Lua function that called the
/// running native one.
#[cold]
#[inline(never)]
fn here(cx: Cx, msg: &[u8]) -> Throw {
    if cx.running().is_lua() { with_position(cx, 0, msg) } else { cx.error(msg) }
}

/// `attempt to OPERATION KIND 'name' (a TYPE value)` for an operand of the current instruction.
#[cold]
#[inline(never)]
pub fn operand(cx: Cx, v: Value, slot: Option<usize>, operation: &str) -> Throw {
    let t = type_name(v);
    let mut msg = format!("attempt to {operation} a {t} value").into_bytes();
    if let (Some(p), Some(slot)) = (cx.running().proto(), slot) {
        let pc = (cx.t().saved_pc as usize - p.bc() as usize) / 4 - 1;
        if let Some((kind, name)) = crate::debug::slot_name(p, pc, slot) {
            msg = format!("attempt to {operation} {kind} '").into_bytes();
            msg.extend_from_slice(name);
            msg.extend_from_slice(format!("' (a {t} value)").as_bytes());
        }
    }
    here(cx, &msg)
}

/// A bad operand of a bit operator.
#[cold]
#[inline(never)]
pub fn bit_operand(cx: Cx, v: Value, slot: Option<usize>) -> Throw {
    operand(cx, v, slot, "perform arithmetic on")
}

/// `attempt to index ...`: `v` was met while reading or writing `o` in a slot.
#[cold]
#[inline(never)]
pub fn index(cx: Cx, v: Value, o: Value, slot: usize, _key: Value) -> Throw {
    operand(cx, v, if v == o { Some(slot) } else { None }, "index")
}

/// `attempt to compare ...`
#[cold]
#[inline(never)]
pub fn compare(cx: Cx, a: Value, b: Value) -> Throw {
    let (s, t) = (type_name(a), type_name(b));
    if s == t {
        here(cx, format!("attempt to compare two {s} values").as_bytes())
    } else {
        here(cx, format!("attempt to compare {s} with {t}").as_bytes())
    }
}

/// `attempt to call ...` for the call instruction before `pc`.
#[cold]
#[inline(never)]
pub(crate) fn call(cx: Cx, v: Value, pc: *const u32) -> Throw {
    // SAFETY: the instruction that is being executed.
    let ins = unsafe { *pc.sub(1) };
    let a = crate::bytecode::a(ins);
    let iter = crate::bytecode::op(ins) == Some(crate::bytecode::Op::ITERC);
    operand(cx, v, if iter { None } else { Some(a) }, "call")
}

/// `attempt to call a TYPE value`
#[cold]
#[inline(never)]
pub fn call_value(cx: Cx, v: Value) -> Throw {
    cx.error_plain(format!("attempt to call a {} value", type_name(v)))
}

/// An error of a native function: the position is its caller's, if that is a Lua function.
#[cold]
#[inline(never)]
pub fn from_native(cx: Cx, msg: &[u8]) -> Throw {
    drop_metamethod_frame(cx);
    let mut text = if cx.running().is_lua() { position(cx, 0) } else { crate::debug::caller_position(cx) };
    text.extend_from_slice(msg);
    let s = cx.str(&text);
    cx.g().thrown = s.into();
    Throw::Run
}

/// A metamethod of cdata is no function that a program called: its errors are those of the operation.
fn drop_metamethod_frame(cx: Cx) {
    use crate::state::frame;
    let id = cx.running().ffid();
    if id < 2 || !crate::stdlib::ffid::is_cdata_metamethod(id) {
        return;
    }
    // SAFETY: continuation frames have four slots below their base; the function below is the one that was running.
    unsafe {
        let base = cx.t().base;
        let link = (*base.sub(1)).0;
        if link & frame::TYPEP == frame::CONT {
            cx.t().saved_pc = (*base.sub(3)).0 as *const u32;
            cx.t().base = base.sub((link >> 3) as usize);
            cx.t().top = base.sub(4);
        }
    }
}
