//! Tables, metatables, environments, userdata.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::stack::{pop, value};
use super::{State, bytes, collect, cx, push, settle};
use crate::error::{self, Throw};
use crate::object::Table;
use crate::value::{Gc, Value};

/// Replaces the key on top by `t[key]`.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gettable(l: State, i: c_int) {
    // SAFETY: see `super`; the key stays on the stack while a metamethod runs.
    unsafe {
        let v = settle(l, cx(l).get(value(l, i), *(*l).top.sub(1)));
        *(*l).top.sub(1) = v;
    }
}

/// Pushes `t[name]`.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getfield(l: State, i: c_int, name: *const c_char) {
    // SAFETY: see `super`.
    unsafe {
        let r = field(l, value(l, i), bytes(name));
        push(l, settle(l, r));
    }
}

/// `t[name]`
pub(crate) unsafe fn field(l: State, t: Value, name: &[u8]) -> Result<Value, Throw> {
    let key = cx(l).str_value(name);
    cx(l).get(t, key)
}

unsafe fn table(l: State, i: c_int) -> Option<Gc<Table>> {
    // SAFETY: see `super`.
    unsafe { value(l, i).as_table() }
}

/// Replaces the key on top by the raw `t[key]`.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_rawget(l: State, i: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let key = *(*l).top.sub(1);
        *(*l).top.sub(1) = table(l, i).map_or(Value::NIL, |t| t.get(key));
    }
}

/// Pushes the raw `t[n]`.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_rawgeti(l: State, i: c_int, n: c_int) {
    // SAFETY: see `super`.
    unsafe { push(l, table(l, i).map_or(Value::NIL, |t| t.get_int(n))) }
}

/// Pushes a new table.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_createtable(l: State, narray: c_int, nhash: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let (a, h) = (narray.clamp(0, 1 << 26) as u32, nhash.clamp(0, 1 << 26) as u32);
        push(l, cx(l).table(a, h));
        collect(l);
    }
}

/// Pushes a new userdata and gives its contents.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_newuserdata(l: State, size: usize) -> *mut c_void {
    // SAFETY: see `super`.
    unsafe {
        collect(l);
        if size > 0x7fff_ff00 {
            let e = error::memory(cx(l));
            super::throw(l, e);
        }
        let r = crate::vm::func::try_userdata(cx(l), size);
        let u = settle(l, r);
        crate::object::set_userdata_env(u, super::stack::environment(l));
        push(l, u);
        u.as_ptr().add(1).cast()
    }
}

/// Pushes the metatable of a value; 0 (and nothing) if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getmetatable(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match cx(l).metatable(value(l, i)) {
            Some(m) => {
                push(l, m);
                1
            }
            None => 0,
        }
    }
}

/// Pushes the environment of a function, userdata or coroutine.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getfenv(l: State, i: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, i);
        let env = if let Some(f) = v.as_func() {
            f.env
        } else if let Some(u) = v.as_userdata() {
            u.env
        } else {
            v.as_thread().map_or(ptr::null_mut(), |t| t.env)
        };
        push(l, if env.is_null() { Value::NIL } else { Gc::<Table>::from_ptr(env).into() });
    }
}

/// `t[key] = value`, both taken from the top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_settable(l: State, i: c_int) {
    // SAFETY: see `super`; key and value stay on the stack while a metamethod runs.
    unsafe {
        let r = cx(l).set(value(l, i), *(*l).top.sub(2), *(*l).top.sub(1));
        settle(l, r);
        (*l).top = (*l).top.sub(2);
    }
}

/// `t[name] = value`, taken from the top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setfield(l: State, i: c_int, name: *const c_char) {
    // SAFETY: see `super`.
    unsafe {
        let r = set_field(l, value(l, i), bytes(name));
        settle(l, r);
        (*l).top = (*l).top.sub(1);
    }
}

/// `t[name] = ` the value on top, which stays.
pub(crate) unsafe fn set_field(l: State, t: Value, name: &[u8]) -> Result<(), Throw> {
    let key = cx(l).str_value(name);
    // SAFETY: one value has been pushed.
    unsafe { cx(l).set(t, key, *(*l).top.sub(1)) }
}

/// Raw `t[key] = value`, both taken from the top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_rawset(l: State, i: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if let Some(t) = table(l, i) {
            let r = cx(l).raw_set(t, *(*l).top.sub(2), *(*l).top.sub(1));
            settle(l, r);
        }
        (*l).top = (*l).top.sub(2);
    }
}

/// Raw `t[n] = value`, taken from the top.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_rawseti(l: State, i: c_int, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        if let Some(t) = table(l, i) {
            let r = cx(l).raw_set_int(t, n, *(*l).top.sub(1));
            settle(l, r);
        }
        (*l).top = (*l).top.sub(1);
    }
}

/// Sets a metatable, taken from the top (or nil for none). Always 1.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setmetatable(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        cx(l).set_metatable(value(l, i), (*(*l).top.sub(1)).as_table());
        (*l).top = (*l).top.sub(1);
        1
    }
}

/// Sets the environment of a function, userdata or coroutine, taken from the top; 0 for other values.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setfenv(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let v = value(l, i);
        let Some(env) = pop(l).as_table() else { return 0 };
        if let Some(f) = v.as_func() {
            cx(l).set_func_env(f, env);
        } else if let Some(u) = v.as_userdata() {
            cx(l).set_userdata_env(u, env);
        } else if let Some(t) = v.as_thread() {
            cx(l).set_thread_env(t, env);
        } else {
            return 0;
        }
        1
    }
}

/// Replaces the key on top by the next entry's key and value; at the end takes it and gives 0.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_next(l: State, i: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let t = table(l, i);
        let key = pop(l);
        let Some(t) = t else { return 0 };
        match settle(l, cx(l).next(t, key)) {
            Some((k, v)) => {
                push(l, k);
                push(l, v);
                1
            }
            None => 0,
        }
    }
}
