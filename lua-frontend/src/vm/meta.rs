//! Metatables and the operations that go through them.

use std::ptr;

use crate::api::Cx;
use crate::error::{self, Throw};
use crate::gc;
use crate::object::{Str, Table};
use crate::state::{Event, Global};
use crate::value::{Gc, Tag, Value};

use super::tables::{Found, find, store};

/// The metatable of a value or null.
pub fn metatable(g: &mut Global, v: Value) -> *mut Table {
    if let Some(t) = v.as_table() {
        t.meta
    } else if let Some(u) = v.as_userdata() {
        u.meta
    } else {
        g.basemt[basemt_index(v)]
    }
}

fn basemt_index(v: Value) -> usize {
    match v.tag() {
        Tag::True => Tag::False as usize,
        Tag::Box => Tag::Light as usize,
        t => t as usize,
    }
}

/// Sets the metatable of a value, or of its type.
pub fn set_metatable(cx: Cx, v: Value, m: Option<Gc<Table>>) {
    let p = m.map_or(ptr::null_mut(), Gc::as_ptr);
    // SAFETY: live objects.
    unsafe {
        if let Some(t) = v.as_table() {
            (*t.as_ptr()).meta = p;
            gc::barrier_table(cx.g(), t);
        } else if let Some(u) = v.as_userdata() {
            (*u.as_ptr()).meta = p;
            gc::barrier_object(cx.g(), u.as_ptr().cast());
        } else {
            cx.g().basemt[basemt_index(v)] = p;
        }
    }
}

/// The metamethod in a metatable; nil if absent. Remembers absence of the fast events.
#[inline]
pub(crate) fn lookup_in(g: &mut Global, m: *mut Table, e: Event) -> Value {
    // SAFETY: a live table.
    unsafe {
        if (e as u8) < 6 && (*m).h.x & 1 << e as u8 != 0 {
            return Value::NIL;
        }
        let v = (*m).get_str(Gc::from_ptr(g.names[e as usize]));
        if v.is_nil() && (e as u8) < 6 {
            (*m).h.x |= 1 << e as u8;
        }
        v
    }
}

/// The metamethod of a value; nil if absent.
#[inline]
pub fn lookup(g: &mut Global, v: Value, e: Event) -> Value {
    let m = metatable(g, v);
    if m.is_null() { Value::NIL } else { lookup_in(g, m, e) }
}

/// See [`Cx::get`].
///
/// # Errors
/// What the metamethod throws.
pub fn get(cx: Cx, o: Value, k: Value) -> Result<Value, Throw> {
    match find(cx.g(), o, k) {
        Found::Value(v) => Ok(v),
        Found::Call(h, o) => cx.call(h, &[o, k]),
        Found::NoIndex(v) => Err(error::operand(cx, v, None, "index")),
        Found::Loop => Err(error::simple(cx, "loop in gettable")),
    }
}

/// See [`Cx::set`].
///
/// # Errors
/// What the metamethod throws.
pub fn set(cx: Cx, o: Value, k: Value, v: Value) -> Result<(), Throw> {
    match store(cx.g(), o, k, v) {
        Ok(Found::Value(_)) => Ok(()),
        Ok(Found::Call(h, o)) => cx.call(h, &[o, k, v]).map(|_| ()),
        Ok(Found::NoIndex(v)) => Err(error::operand(cx, v, None, "index")),
        Ok(Found::Loop) => Err(error::simple(cx, "loop in settable")),
        Err(e) => Err(error::table(cx, e)),
    }
}

/// See [`Cx::equals`].
///
/// # Errors
/// What the metamethod throws.
pub fn equals(cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    if a.is_number() && b.is_number() {
        return Ok(a.raw_f64() == b.raw_f64());
    }
    if a == b {
        return Ok(true);
    }
    let h = super::compare::equal_handler(cx.g(), a, b);
    if h.is_nil() { Ok(false) } else { cx.call(h, &[a, b]).map(Value::is_truthy) }
}

fn ordered(cx: Cx, a: Value, b: Value, le: bool) -> Result<bool, Throw> {
    if a.is_number() && b.is_number() {
        let (a, b) = (a.raw_f64(), b.raw_f64());
        return Ok(if le { a <= b } else { a < b });
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(if le { a.bytes() <= b.bytes() } else { a.bytes() < b.bytes() });
    }
    match super::compare::order_handler(cx.g(), a, b, le) {
        Some((h, x, y, invert)) => cx.call(h, &[x, y]).map(|v| v.is_truthy() != invert),
        None => Err(error::compare(cx, a, b)),
    }
}

/// See [`Cx::less`].
///
/// # Errors
/// `attempt to compare ...`
pub fn less(cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    ordered(cx, a, b, false)
}

/// See [`Cx::less_equal`].
///
/// # Errors
/// `attempt to compare ...`
pub fn less_equal(cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    ordered(cx, a, b, true)
}

/// See [`Cx::tostring`].
///
/// # Errors
/// What the metamethod throws.
pub fn tostring(cx: Cx, v: Value) -> Result<Value, Throw> {
    let h = lookup(cx.g(), v, Event::Tostring);
    if h.is_nil() { Ok(tostring_raw(cx, v).into()) } else { cx.call(h, &[v]) }
}

/// See [`Cx::tostring_raw`].
pub fn tostring_raw(cx: Cx, v: Value) -> Gc<Str> {
    match v.tag() {
        Tag::Str => Gc::from_ptr(v.ptr()),
        Tag::Number => cx.number_to_str(v.raw_f64()),
        Tag::Nil => cx.str(b"nil"),
        Tag::False => cx.str(b"false"),
        Tag::True => cx.str(b"true"),
        Tag::Light | Tag::Box => cx.str(format!("userdata: {:#014x}", v.as_light().unwrap_or(0)).as_bytes()),
        Tag::Func if v.as_func().is_some_and(|f| f.ffid() > 1) => {
            let id = v.as_func().map_or(0, |f| f.ffid());
            cx.str(format!("function: builtin#{id}").as_bytes())
        }
        t => {
            let p = v.ptr::<u8>() as u64;
            let _ = t;
            cx.str(format!("{}: {:#014x}", v.type_name(), p).as_bytes())
        }
    }
}
