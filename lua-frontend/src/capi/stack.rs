//! Indices, and reading and pushing values.
//!
//! An index is a position from the base of the running function (from 1), from the top (from -1), or a pseudo-index: the
//! registry, the environment of the running function, the globals, its upvalues. A position above the top, or an upvalue that
//! the function does not have, is *none*.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::{CFunction, ENVIRONMENT, GLOBALS, REGISTRY, State, bytes, collect, cx, push, settle};
use crate::error::Throw;
use crate::object::{Func, NativeFunc, Table, Thread, UD_FILE};
use crate::value::{Gc, Tag, Value};
use crate::vm::thread::grow;

/// The type of none.
pub const NONE: c_int = -1;
/// `LUA_TSTRING`
pub const STRING: c_int = 4;
/// `LUA_TTABLE`
pub const TABLE: c_int = 5;

/// The function that runs in a state; none outside of all calls.
pub(crate) unsafe fn running(l: State) -> Option<Gc<Func>> {
    // SAFETY: two slots lie below every base.
    unsafe { (*(*l).base.sub(2)).as_func() }
}

/// The environment of the running function, or the globals.
pub(crate) unsafe fn environment(l: State) -> *mut Table {
    // SAFETY: a live state.
    unsafe { running(l).filter(|f| !f.is_lua()).map_or((*l).env, |f| f.env) }
}

/// The slot of a position or upvalue; `None` for the other pseudo-indices, and for none.
pub(crate) unsafe fn slot(l: State, i: c_int) -> Option<*mut Value> {
    // SAFETY: positions below the top are slots of the stack; upvalues are checked against their number.
    unsafe {
        if i > 0 {
            let p = (*l).base.add(i as usize - 1);
            return if p < (*l).top { Some(p) } else { None };
        }
        if i > REGISTRY {
            return if i == 0 { None } else { Some((*l).top.offset(i as isize)) };
        }
        let n = (GLOBALS - i) as usize;
        let f = running(l).filter(|f| i < GLOBALS && !f.is_lua())?;
        let hidden = f.hidden_upvalues();
        if n + hidden > f.h.y as usize {
            return None;
        }
        Some((&raw mut (*f.as_ptr().cast::<NativeFunc>()).uv).cast::<Value>().add(n - 1 + hidden))
    }
}

/// The value at an index, if there is one.
pub(crate) unsafe fn get(l: State, i: c_int) -> Option<Value> {
    // SAFETY: see `slot`; the tables are alive.
    unsafe {
        let table = match i {
            REGISTRY => (*(*l).g).registry,
            GLOBALS => (*l).env,
            ENVIRONMENT => environment(l),
            _ => return slot(l, i).map(|p| *p),
        };
        Some(Gc::<Table>::from_ptr(table).into())
    }
}

/// The value at an index; nil for none.
pub(crate) unsafe fn value(l: State, i: c_int) -> Value {
    // SAFETY: as `get`.
    unsafe { get(l, i).unwrap_or(Value::NIL) }
}

/// Takes the topmost value.
pub(crate) unsafe fn pop(l: State) -> Value {
    // SAFETY: the caller has pushed one.
    unsafe {
        (*l).top = (*l).top.sub(1);
        *(*l).top
    }
}

/// Stores a value at an index.
unsafe fn put(l: State, i: c_int, v: Value) {
    // SAFETY: see `slot`; the running function is alive.
    unsafe {
        match (i, v.as_table()) {
            (GLOBALS, Some(t)) => cx(l).set_globals(t),
            (ENVIRONMENT, Some(t)) => {
                if let Some(f) = running(l) {
                    cx(l).set_func_env(f, t);
                }
            }
            _ => {
                let Some(p) = slot(l, i) else { return };
                *p = v;
                let owner = running(l).filter(|_| i < GLOBALS).map_or(l.cast(), |f| f.as_ptr().cast());
                crate::gc::barrier_object(&mut *(*l).g, owner);
            }
        }
    }
}

/// Number of values of the running function.
///
/// # Safety
/// See the contract of [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gettop(l: State) -> c_int {
    cx(l).nargs() as c_int
}

/// Cuts the values to `n`, or fills up with nil; negative: from the top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_settop(l: State, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if n < 0 {
            (*l).top = (*l).top.offset(n as isize + 1);
        } else {
            cx(l).set_top(n as usize);
        }
    }
}

/// Pushes a copy.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushvalue(l: State, i: c_int) {
    // SAFETY: see `super`.
    unsafe { push(l, value(l, i)) }
}

/// Removes a value; those above it move down.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_remove(l: State, i: c_int) {
    // SAFETY: the slots between the position and the top.
    unsafe {
        if let Some(p) = slot(l, i) {
            (*l).top = (*l).top.sub(1);
            ptr::copy(p.add(1), p, (*l).top.offset_from(p) as usize);
        }
    }
}

/// Moves the topmost value to a position; those above it move up.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_insert(l: State, i: c_int) {
    // SAFETY: the slots between the position and the top.
    unsafe {
        if let Some(p) = slot(l, i) {
            let v = *(*l).top.sub(1);
            ptr::copy(p, p.add(1), (*l).top.offset_from(p) as usize - 1);
            *p = v;
        }
    }
}

/// Moves the topmost value over another one.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_replace(l: State, i: c_int) {
    // SAFETY: the value is taken after the position has been used.
    unsafe {
        put(l, i, *(*l).top.sub(1));
        (*l).top = (*l).top.sub(1);
    }
}

/// Copies a value over another one.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_copy(l: State, from: c_int, to: c_int) {
    // SAFETY: see `super`.
    unsafe { put(l, to, value(l, from)) }
}

/// Makes room for `n` more values; 0 if there cannot be.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_checkstack(l: State, n: c_int) -> c_int {
    const MOST: c_int = 8000;
    // SAFETY: see `super`.
    unsafe { c_int::from(n <= 0 || (n <= MOST && lua_gettop(l) + n <= MOST && grow(l, n as usize))) }
}

/// Moves the topmost `n` values to another coroutine.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_xmove(from: State, to: State, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if from == to {
            return;
        }
        (*from).top = (*from).top.sub(n as usize);
        for i in 0..n as usize {
            push(to, *(*from).top.add(i));
        }
    }
}

/// The number of a type.
pub(crate) fn type_number(v: Value) -> c_int {
    match v.tag() {
        Tag::Nil => 0,
        Tag::False | Tag::True => 1,
        Tag::Light | Tag::Box => 2,
        Tag::Number => 3,
        Tag::Str => STRING,
        Tag::Table => TABLE,
        Tag::Func => 6,
        Tag::UserData => 7,
        Tag::Thread => 8,
        Tag::Proto | Tag::Upval => 9,
        Tag::CData => 10,
    }
}

/// The type at an index.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_type(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { get(l, i).map_or(NONE, type_number) }
}

/// The name of a type.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_typename(_: State, t: c_int) -> *const c_char {
    const NAMES: [&std::ffi::CStr; 12] = [
        c"no value",
        c"nil",
        c"boolean",
        c"userdata",
        c"number",
        c"string",
        c"table",
        c"function",
        c"userdata",
        c"thread",
        c"proto",
        c"cdata",
    ];
    NAMES.get((t + 1) as usize).unwrap_or(&c"?").as_ptr()
}

/// A number, or a string that reads as one.
pub(crate) fn to_number(v: Value) -> Option<f64> {
    v.as_number().or_else(|| crate::number::parse(v.as_str()?.bytes()))
}

/// Is it a number, or a string that reads as one?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_isnumber(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from(to_number(value(l, i)).is_some()) }
}

/// Is it a string or number?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_isstring(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from(get(l, i).is_some_and(|v| v.is_number() || v.is(Tag::Str))) }
}

/// Is it a function that is not written in Lua?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_iscfunction(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from(value(l, i).as_func().is_some_and(|f| !f.is_lua())) }
}

/// Is it a userdata of any kind?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_isuserdata(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from(value(l, i).is_userdata()) }
}

/// `a == b`, with metamethods; 0 for none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_equal(l: State, a: c_int, b: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match (get(l, a), get(l, b)) {
            (Some(a), Some(b)) => c_int::from(settle(l, cx(l).equals(a, b))),
            _ => 0,
        }
    }
}

/// `rawequal(a, b)`; 0 for none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_rawequal(l: State, a: c_int, b: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        c_int::from(match (get(l, a), get(l, b)) {
            (Some(a), Some(b)) if a.is_number() && b.is_number() => a.raw_f64() == b.raw_f64(),
            (Some(a), Some(b)) => a == b,
            _ => false,
        })
    }
}

/// `a < b`, with metamethods; 0 for none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_lessthan(l: State, a: c_int, b: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match (get(l, a), get(l, b)) {
            (Some(a), Some(b)) => c_int::from(settle(l, cx(l).less(a, b))),
            _ => 0,
        }
    }
}

/// A value as a number; 0 if it is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tonumber(l: State, i: c_int) -> f64 {
    // SAFETY: see `super`.
    unsafe { to_number(value(l, i)).unwrap_or(0.0) }
}

/// As [`lua_tonumber`], and whether it was one.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tonumberx(l: State, i: c_int, ok: *mut c_int) -> f64 {
    // SAFETY: see `super`.
    unsafe {
        let n = to_number(value(l, i));
        if !ok.is_null() {
            *ok = c_int::from(n.is_some());
        }
        n.unwrap_or(0.0)
    }
}

/// A value as an integer, its fraction cut off; 0 if it is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tointeger(l: State, i: c_int) -> isize {
    // SAFETY: see `super`.
    unsafe { lua_tonumber(l, i) as isize }
}

/// As [`lua_tointeger`], and whether it was a number.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tointegerx(l: State, i: c_int, ok: *mut c_int) -> isize {
    // SAFETY: see `super`.
    unsafe { lua_tonumberx(l, i, ok) as isize }
}

/// Is it neither false nor nil nor none?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_toboolean(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from(value(l, i).is_truthy()) }
}

/// The string at an index; a number there becomes a string.
pub(crate) unsafe fn string(l: State, i: c_int) -> Option<Gc<crate::object::Str>> {
    // SAFETY: see `super`.
    unsafe {
        let v = get(l, i)?;
        if let Some(s) = v.as_str() {
            return Some(s);
        }
        let s = cx(l).number_to_str(v.as_number()?);
        put(l, i, s.into());
        Some(s)
    }
}

/// The bytes of a string (with a zero behind them) or number; null for others.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tolstring(l: State, i: c_int, len: *mut usize) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let s = string(l, i);
        if !len.is_null() {
            *len = s.map_or(0, |s| s.len());
        }
        s.map_or(ptr::null(), |s| s.bytes().as_ptr().cast())
    }
}

/// Length of a string, border of a table, size of a userdata.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_objlen(l: State, i: c_int) -> usize {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, i);
        if let Some(t) = v.as_table() {
            t.len()
        } else if let Some(u) = v.as_userdata() {
            // A file is a `FILE *` and a word, for C.
            if u.h.x == UD_FILE { 16 } else { u.h.n as usize }
        } else {
            string(l, i).map_or(0, |s| s.len())
        }
    }
}

/// The C function of a function that was made from one; null for others.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tocfunction(l: State, i: c_int) -> Option<CFunction> {
    // SAFETY: see `super`.
    unsafe { value(l, i).as_func().and_then(super::call::c_function) }
}

/// The contents of a userdata, or the address that a light one is.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_touserdata(l: State, i: c_int) -> *mut c_void {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, i);
        if let Some(u) = v.as_userdata() {
            if u.h.x == UD_FILE {
                // C expects a `FILE *` there.
                return crate::stdlib::io::stream_slot(cx(l), u).cast();
            }
            return u.as_ptr().add(1).cast();
        }
        v.as_light().map_or(ptr::null_mut(), |p| p as *mut c_void)
    }
}

/// The state of a coroutine.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_tothread(l: State, i: c_int) -> State {
    // SAFETY: see `super`.
    unsafe { value(l, i).as_thread().map_or(ptr::null_mut(), Gc::as_ptr) }
}

/// An address that identifies an object.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_topointer(l: State, i: c_int) -> *const c_void {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, i);
        if v.is_userdata() {
            return lua_touserdata(l, i);
        }
        match v.as_cdata() {
            Some(c) => c.data().cast(),
            None if v.is_gc() => v.ptr::<c_void>(),
            None => ptr::null(),
        }
    }
}

/// Pushes nil.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushnil(l: State) {
    // SAFETY: see `super`.
    unsafe { push(l, Value::NIL) }
}

/// Pushes a number.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushnumber(l: State, n: f64) {
    // SAFETY: see `super`.
    unsafe { push(l, n) }
}

/// Pushes an integer.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushinteger(l: State, n: isize) {
    // SAFETY: see `super`.
    unsafe { push(l, Value::int(n as i64)) }
}

/// Pushes bytes as a string.
pub(crate) unsafe fn push_bytes(l: State, s: &[u8]) {
    // SAFETY: see `super`; the bytes are copied before anything is collected.
    unsafe {
        let r = cx(l).check_len(s.len());
        settle(l, r);
        push(l, cx(l).str(s));
        collect(l);
    }
}

/// Pushes `n` bytes as a string.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushlstring(l: State, s: *const c_char, n: usize) {
    // SAFETY: see `super`.
    unsafe { push_bytes(l, if n == 0 { b"" } else { std::slice::from_raw_parts(s.cast(), n) }) }
}

/// Pushes a C string, or nil for null.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushstring(l: State, s: *const c_char) {
    // SAFETY: see `super`.
    unsafe {
        if s.is_null() {
            push(l, Value::NIL);
        } else {
            push_bytes(l, bytes(s));
        }
    }
}

/// Pushes a boolean.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushboolean(l: State, b: c_int) {
    // SAFETY: see `super`.
    unsafe { push(l, b != 0) }
}

/// Pushes a light userdata.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushlightuserdata(l: State, p: *mut c_void) {
    // SAFETY: see `super`.
    unsafe { push(l, cx(l).lightuserdata(p as u64)) }
}

/// Pushes the coroutine itself; 1 if it is the main one.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushthread(l: State) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        push(l, Gc::<Thread>::from_ptr(l));
        c_int::from((*(*l).g).main == l)
    }
}

/// Replaces the topmost `n` values by their concatenation.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_concat(l: State, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if n == 0 {
            push_bytes(l, b"");
            return;
        }
        let r = concat(l, n as usize);
        settle(l, r);
        collect(l);
    }
}

/// Concatenates from the right; strings and numbers at one go.
unsafe fn concat(l: State, n: usize) -> Result<(), Throw> {
    // SAFETY: `n` values have been pushed.
    unsafe {
        let pieces = std::slice::from_raw_parts((*l).top.sub(n), n);
        if n > 2 && pieces.iter().all(|&v| crate::stdlib::is_text(v)) {
            let mut text = Vec::new();
            for &v in pieces {
                crate::stdlib::put_text(&mut text, v);
            }
            cx(l).check_len(text.len())?;
            (*l).top = (*l).top.sub(n);
            cx(l).push(cx(l).str(&text));
            return Ok(());
        }
        for _ in 1..n {
            let v = cx(l).concat(*(*l).top.sub(2), *(*l).top.sub(1))?;
            (*l).top = (*l).top.sub(1);
            *(*l).top.sub(1) = v;
        }
        Ok(())
    }
}

/// Identity of an upvalue.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_upvalueid(l: State, i: c_int, n: c_int) -> *mut c_void {
    // SAFETY: see `super`.
    unsafe {
        let id = value(l, i).as_func().and_then(|f| crate::debug::upvalue_id(f, n));
        id.unwrap_or(0) as *mut c_void
    }
}

/// Lets an upvalue of one function be an upvalue of another.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_upvaluejoin(l: State, f: c_int, n: c_int, h: c_int, m: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if let (Some(f), Some(h)) = (value(l, f).as_func(), value(l, h).as_func()) {
            crate::debug::upvalue_join(cx(l), f, n, h, m);
        }
    }
}
