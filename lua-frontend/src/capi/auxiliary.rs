//! The auxiliary library: checked arguments, metatables by name, references, registration.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::format::push_parts;
use super::stack::{get, lua_tolstring, lua_touserdata, lua_typename, pop, type_number, value};
use super::tables::set_field;
use super::{CFunction, REGISTRY, State, bytes, cx, push, settle, text, throw};
use crate::error::Throw;
use crate::object::Table;
use crate::value::{Gc, Value};

/// `luaL_Reg`
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    name: *const c_char,
    f: Option<CFunction>,
}

/// Raises `bad argument #n to 'f' (msg)`.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_argerror(l: State, n: c_int, msg: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let e = argument(l, n, &text(msg));
        throw(l, e)
    }
}

/// An error about an argument; for a pseudo-index, as the function would have it.
unsafe fn argument(l: State, n: c_int, msg: &str) -> Throw {
    cx(l).arg_error(n.max(0) as usize, msg)
}

/// Raises `bad argument #n to 'f' (WANTED expected, got ...)`.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_typerror(l: State, n: c_int, wanted: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let e = wrong_type(l, n, &text(wanted));
        throw(l, e)
    }
}

unsafe fn wrong_type(l: State, n: c_int, wanted: &str) -> Throw {
    // SAFETY: see `super`.
    let got = unsafe { get(l, n) }.map_or("no value", |v| v.type_name());
    // SAFETY: see `super`.
    unsafe { argument(l, n, &format!("{wanted} expected, got {got}")) }
}

/// There must be an argument.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checkany(l: State, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if get(l, n).is_none() {
            let e = argument(l, n, "value expected");
            throw(l, e);
        }
    }
}

/// The argument must be of a type.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checktype(l: State, n: c_int, t: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if get(l, n).map_or(-1, type_number) != t {
            let e = wrong_type(l, n, &text(lua_typename(l, t)));
            throw(l, e);
        }
    }
}

/// A string argument.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checklstring(l: State, n: c_int, len: *mut usize) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let s = lua_tolstring(l, n, len);
        if s.is_null() {
            let e = wrong_type(l, n, "string");
            throw(l, e);
        }
        s
    }
}

/// A string argument, or a default for nil and none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_optlstring(
    l: State,
    n: c_int,
    default: *const c_char,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        if !value(l, n).is_nil() {
            return luaL_checklstring(l, n, len);
        }
        if !len.is_null() {
            *len = bytes(default).len();
        }
        default
    }
}

unsafe fn number(l: State, n: c_int) -> Result<f64, Throw> {
    // SAFETY: see `super`.
    unsafe { super::stack::to_number(value(l, n)).ok_or_else(|| wrong_type(l, n, "number")) }
}

/// A number argument.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checknumber(l: State, n: c_int) -> f64 {
    // SAFETY: see `super`.
    unsafe { settle(l, number(l, n)) }
}

/// A number argument, or a default for nil and none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_optnumber(l: State, n: c_int, default: f64) -> f64 {
    // SAFETY: see `super`.
    unsafe { if value(l, n).is_nil() { default } else { luaL_checknumber(l, n) } }
}

/// An integer argument.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checkinteger(l: State, n: c_int) -> isize {
    // SAFETY: see `super`.
    unsafe { luaL_checknumber(l, n) as isize }
}

/// An integer argument, or a default for nil and none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_optinteger(l: State, n: c_int, default: isize) -> isize {
    // SAFETY: see `super`.
    unsafe { if value(l, n).is_nil() { default } else { luaL_checkinteger(l, n) } }
}

/// Makes room for `n` more values, or raises `stack overflow (msg)`.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checkstack(l: State, n: c_int, msg: *const c_char) {
    // SAFETY: see `super`.
    unsafe {
        if super::stack::lua_checkstack(l, n) == 0 {
            let e = overflow(l, msg);
            throw(l, e);
        }
    }
}

unsafe fn overflow(l: State, msg: *const c_char) -> Throw {
    // SAFETY: see `super`.
    let msg = unsafe { text(msg) };
    cx(l).error(format!("stack overflow ({msg})"))
}

/// The index of a string argument in a list of options.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checkoption(
    l: State,
    n: c_int,
    default: *const c_char,
    options: *const *const c_char,
) -> c_int {
    // SAFETY: see `super`; the list ends with a null pointer.
    unsafe {
        let s = if default.is_null() {
            luaL_checklstring(l, n, ptr::null_mut())
        } else {
            luaL_optlstring(l, n, default, ptr::null_mut())
        };
        let mut i = 0;
        while !(*options.add(i)).is_null() {
            if bytes(*options.add(i)) == bytes(s) {
                return i as c_int;
            }
            i += 1;
        }
        let e = bad_option(l, n, s);
        throw(l, e)
    }
}

unsafe fn bad_option(l: State, n: c_int, s: *const c_char) -> Throw {
    // SAFETY: see `super`.
    unsafe { argument(l, n, &format!("invalid option '{}'", text(s))) }
}

/// Pushes the metatable of a name, made if absent (1) or found (0).
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_newmetatable(l: State, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let old = named_metatable(l, name);
        if !old.is_nil() {
            push(l, old);
            return 0;
        }
        push(l, cx(l).table(0, 1));
        let r = set_field(l, value(l, REGISTRY), bytes(name));
        settle(l, r);
        1
    }
}

unsafe fn named_metatable(l: State, name: *const c_char) -> Value {
    // SAFETY: see `super`.
    unsafe { cx(l).registry().get_str(cx(l).str(bytes(name))) }
}

/// Sets the metatable of a name on the value on top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_setmetatable(l: State, name: *const c_char) {
    // SAFETY: see `super`.
    unsafe { cx(l).set_metatable(value(l, -1), named_metatable(l, name).as_table()) }
}

/// The contents of a userdata with the metatable of a name; null for other values.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_testudata(l: State, n: c_int, name: *const c_char) -> *mut c_void {
    // SAFETY: see `super`.
    unsafe {
        let p = lua_touserdata(l, n);
        let wanted = named_metatable(l, name).as_table();
        if !p.is_null() && wanted.is_some() && cx(l).metatable(value(l, n)) == wanted {
            p
        } else {
            ptr::null_mut()
        }
    }
}

/// As [`luaL_testudata`], but other values are errors.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_checkudata(l: State, n: c_int, name: *const c_char) -> *mut c_void {
    // SAFETY: see `super`.
    unsafe {
        let p = luaL_testudata(l, n, name);
        if p.is_null() {
            luaL_typerror(l, n, name);
        }
        p
    }
}

/// Pushes a field of the metatable of a value; 0 (and nothing) if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_getmetafield(l: State, n: c_int, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let Some(m) = cx(l).metatable(value(l, n)) else { return 0 };
        let v = m.get_str(cx(l).str(bytes(name)));
        if v.is_nil() {
            return 0;
        }
        push(l, v);
        1
    }
}

/// Calls a metamethod with the value and pushes the result; 0 (and nothing) if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_callmeta(l: State, n: c_int, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, n);
        if luaL_getmetafield(l, n, name) == 0 {
            return 0;
        }
        push(l, v);
        super::call::lua_call(l, 1, 1);
        1
    }
}

/// Pushes `file:line: ` of the function at a level.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_where(l: State, level: c_int) {
    // SAFETY: see `super`.
    unsafe { push(l, cx(l).str_value(cx(l).position(level.max(0) as usize))) }
}

/// Stores the value on top in a table under a number of its own, which it gives; -1 for nil.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_ref(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let t = value(l, i).as_table();
        let v = *(*l).top.sub(1);
        let (Some(t), false) = (t, v.is_nil()) else {
            pop(l);
            return -1;
        };
        // Slot 0 is the head of the list of free numbers.
        let free = t.get_int(0).as_number().unwrap_or(0.0) as c_int;
        let n = if free != 0 { free } else { t.len() as c_int + 1 };
        let r = if free != 0 { cx(l).raw_set_int(t, 0, t.get_int(free)) } else { Ok(()) };
        let r = r.and_then(|()| cx(l).raw_set_int(t, n, v));
        settle(l, r);
        pop(l);
        n
    }
}

/// Gives a number of [`luaL_ref`] back.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_unref(l: State, i: c_int, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let (Some(t), true) = (value(l, i).as_table(), n >= 0) else { return };
        let r = cx(l).raw_set_int(t, n, t.get_int(0));
        let r = r.and_then(|()| cx(l).raw_set_int(t, 0, n));
        settle(l, r);
    }
}

/// Registers functions in the table of a library (or, without name, in the table on top).
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_register(l: State, name: *const c_char, list: *const Entry) {
    // SAFETY: see `super`.
    unsafe { luaL_openlib(l, name, list, 0) }
}

/// As [`luaL_register`]; the functions share the topmost `nup` values as upvalues, which it takes.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_openlib(l: State, name: *const c_char, list: *const Entry, nup: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if !name.is_null() {
            luaL_pushmodule(l, name, 1);
            super::stack::lua_insert(l, -(nup + 1));
        }
        if list.is_null() {
            (*l).top = (*l).top.sub(nup as usize);
        } else {
            luaL_setfuncs(l, list, nup);
        }
    }
}

/// Puts functions into the table below the topmost `nup` values, which become their upvalues and are taken.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_setfuncs(l: State, list: *const Entry, nup: c_int) {
    // SAFETY: see `super`; the list ends with a null name.
    unsafe {
        let r = set_functions(l, list, nup as usize);
        settle(l, r);
        (*l).top = (*l).top.sub(nup as usize);
    }
}

unsafe fn set_functions(l: State, list: *const Entry, nup: usize) -> Result<(), Throw> {
    // SAFETY: see `luaL_setfuncs`.
    unsafe {
        let mut e = list;
        while !(*e).name.is_null() {
            let t = *(*l).top.sub(nup + 1);
            let upvalues = std::slice::from_raw_parts((*l).top.sub(nup), nup);
            let f: Value = (*e).f.map_or(Value::FALSE, |f| super::call::closure(l, f, upvalues).into());
            push(l, f);
            set_field(l, t, bytes((*e).name))?;
            pop(l);
            e = e.add(1);
        }
        Ok(())
    }
}

/// Pushes the table of a library, made if absent.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_pushmodule(l: State, name: *const c_char, _: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let r = module(l, bytes(name));
        push(l, settle(l, r));
    }
}

unsafe fn module(l: State, name: &[u8]) -> Result<Value, Throw> {
    let cx = cx(l);
    let loaded = crate::stdlib::registry_table(cx, "_LOADED");
    let old = loaded.get_str(cx.str(name));
    if old.as_table().is_some() {
        return Ok(old);
    }
    let t = match find_table(l, cx.globals(), name)? {
        Ok(t) => t.into(),
        Err(_) => {
            let name = String::from_utf8_lossy(name);
            return Err(cx.error(format!("name conflict for module '{name}'")));
        }
    };
    cx.raw_set(loaded, cx.str_value(name), t)?;
    Ok(t)
}

/// The table that a dotted name leads to, made where it is missing; or the rest of the name from where a value
/// is in the way.
fn find_table(l: State, t: Gc<Table>, name: &[u8]) -> Result<Result<Gc<Table>, usize>, Throw> {
    let cx = cx(l);
    let mut t = t;
    let mut at = 0;
    for part in name.split(|&c| c == b'.') {
        let key = cx.str_value(part);
        let v = t.get(key);
        t = match v.as_table() {
            Some(next) => next,
            None if v.is_nil() => {
                let new = cx.table(0, 1);
                cx.raw_set(t, key, new)?;
                new
            }
            None => return Ok(Err(at)),
        };
        at += part.len() + 1;
    }
    Ok(Ok(t))
}

/// Pushes the table that a dotted name leads to from the table at an index; else gives what is left of the name.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_findtable(l: State, i: c_int, name: *const c_char, _: c_int) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let Some(t) = value(l, i).as_table() else { return name };
        match settle(l, find_table(l, t, bytes(name))) {
            Ok(t) => {
                push(l, t);
                ptr::null()
            }
            Err(at) => name.add(at),
        }
    }
}

/// Pushes `s` with every `from` replaced, and gives it.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_gsub(
    l: State,
    s: *const c_char,
    from: *const c_char,
    to: *const c_char,
) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let replaced = crate::stdlib::package::replace(bytes(s), bytes(from), bytes(to));
        push(l, cx(l).str_value(replaced));
        lua_tolstring(l, -1, ptr::null_mut())
    }
}

/// Pushes `true`, or `nil`, message and number of the last system error.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_fileresult(l: State, ok: c_int, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        if ok != 0 {
            push(l, true);
            return 1;
        }
        let code = crate::stdio::last_error().raw_os_error().unwrap_or(0);
        push(l, Value::NIL);
        let why = crate::stdio::error_text(code);
        if name.is_null() {
            push_parts(l, &[why.as_bytes(), b""]);
        } else {
            push_parts(l, &[bytes(name), b": ", why.as_bytes()]);
        }
        push(l, code);
        3
    }
}

/// Pushes the three results of `os.execute` for the status of a process.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_execresult(l: State, status: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        if status == -1 {
            return luaL_fileresult(l, 0, ptr::null());
        }
        let (what, code) = if libc::WIFSIGNALED(status) {
            (c"signal", libc::WTERMSIG(status))
        } else if libc::WIFEXITED(status) {
            (c"exit", libc::WEXITSTATUS(status))
        } else {
            (c"exit", status)
        };
        let good = what == c"exit" && code == 0;
        push(l, if good { Value::TRUE } else { Value::NIL });
        push(l, cx(l).str_value(CStr::to_bytes(what)));
        push(l, code);
        3
    }
}

/// Pushes the traceback of a coroutine behind a message.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_traceback(l: State, of: State, msg: *const c_char, level: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let msg = if msg.is_null() { None } else { Some(bytes(msg)) };
        let trace = crate::debug::traceback(cx(l), Gc::from_ptr(of), msg, level.max(0) as usize);
        push(l, cx(l).str_value(trace));
    }
}
