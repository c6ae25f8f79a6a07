//! Metatables and the operations that go through them.

use std::ptr;

use crate::api::Cx;
use crate::error::Throw;
use crate::gc;
use crate::object::{Str, Table, UserData};
use crate::state::{Event, Global};
use crate::value::{Gc, Tag, Value};

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
            if !p.is_null() && !lookup_in(cx.g(), p, Event::Gc).is_nil() {
                gc::add_finalizer(cx.g(), v);
            }
        } else {
            cx.g().basemt[basemt_index(v)] = p;
        }
    }
    let _ = size_of::<UserData>();
}

/// The metamethod in a metatable; nil if absent. Remembers absence of the fast events.
#[inline]
pub fn lookup_in(g: &mut Global, m: *mut Table, e: Event) -> Value {
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
    let mut o = o;
    for _ in 0..100 {
        let h;
        if let Some(t) = o.as_table() {
            let v = t.get(k);
            if !v.is_nil() || t.meta.is_null() {
                return Ok(v);
            }
            h = lookup_in(cx.g(), t.meta, Event::Index);
            if h.is_nil() {
                return Ok(v);
            }
        } else {
            h = lookup(cx.g(), o, Event::Index);
            if h.is_nil() {
                return Err(cx.error(format!("attempt to index a {} value", o.type_name())));
            }
        }
        if h.as_func().is_some() {
            return cx.call(h, &[o, k]);
        }
        o = h;
    }
    Err(cx.error("'__index' chain too long; possibly a loop"))
}

/// See [`Cx::set`].
///
/// # Errors
/// What the metamethod throws.
pub fn set(cx: Cx, o: Value, k: Value, v: Value) -> Result<(), Throw> {
    let mut o = o;
    for _ in 0..100 {
        let h;
        if let Some(t) = o.as_table() {
            if t.meta.is_null() || !t.get(k).is_nil() {
                return cx.raw_set(t, k, v);
            }
            h = lookup_in(cx.g(), t.meta, Event::Newindex);
            if h.is_nil() {
                return cx.raw_set(t, k, v);
            }
        } else {
            h = lookup(cx.g(), o, Event::Newindex);
            if h.is_nil() {
                return Err(cx.error(format!("attempt to index a {} value", o.type_name())));
            }
        }
        if h.as_func().is_some() {
            return cx.call(h, &[o, k, v]).map(|_| ());
        }
        o = h;
    }
    Err(cx.error("'__newindex' chain too long; possibly a loop"))
}

/// See [`Cx::equals`].
///
/// # Errors
/// What the metamethod throws.
pub fn equals(_cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    if a == b {
        return Ok(a != Value::NAN);
    }
    if a.is_number() && b.is_number() {
        return Ok(a.raw_f64() == b.raw_f64());
    }
    Ok(false)
}

/// See [`Cx::less`].
///
/// # Errors
/// `attempt to compare ...`
pub fn less(cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    if a.is_number() && b.is_number() {
        return Ok(a.raw_f64() < b.raw_f64());
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(a.bytes() < b.bytes());
    }
    Err(cx.error(format!("attempt to compare {} with {}", a.type_name(), b.type_name())))
}

/// See [`Cx::less_equal`].
///
/// # Errors
/// `attempt to compare ...`
pub fn less_equal(cx: Cx, a: Value, b: Value) -> Result<bool, Throw> {
    less(cx, b, a).map(|r| !r)
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
        Tag::Light | Tag::Box => cx.str(format!("userdata: {:#016x}", v.as_light().unwrap_or(0)).as_bytes()),
        Tag::Func if v.as_func().is_some_and(|f| !f.is_lua() && f.h.x > 1) => {
            let id = v.as_func().map_or(0, |f| f.h.x);
            cx.str(format!("function: builtin#{id}").as_bytes())
        }
        t => {
            let p = v.ptr::<u8>() as u64;
            let _ = t;
            cx.str(format!("{}: {:#016x}", v.type_name(), p).as_bytes())
        }
    }
}
