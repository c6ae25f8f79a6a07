//! Making and closing states, the collector, the standard libraries.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{State, cx, push};
use crate::api::Cx;
use crate::state::Lua;
use crate::value::Value;

/// `lua_Alloc`
pub type Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;

/// A new state. The allocator is not used: the heap is of our own kind.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_newstate(_: Option<Alloc>, _: *mut c_void) -> State {
    let lua = Lua::new();
    let l = lua.cx().l;
    std::mem::forget(lua); // `lua_close` ends it.
    l
}

/// A new state.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_newstate() -> State {
    // SAFETY: see `super`.
    unsafe { lua_newstate(None, ptr::null_mut()) }
}

/// Ends a state.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_close(l: State) {
    // SAFETY: a state made by `lua_newstate`, that nothing runs in.
    unsafe {
        drop(Lua { g: (*l).g });
    }
}

/// Control of the collector.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gc(l: State, what: c_int, data: c_int) -> c_int {
    let cx = cx(l);
    match what {
        0 => cx.gc_stop(),
        1 => cx.gc_restart(),
        2 => cx.gc_collect(),
        3 => return (cx.gc_count() >> 10) as c_int,
        4 => return (cx.gc_count() & 1023) as c_int,
        5 => return c_int::from(cx.gc_step(data)),
        6 => return cx.gc_set_pause(data),
        7 => return cx.gc_set_stepmul(data),
        9 => return c_int::from(cx.gc_is_running()),
        _ => return -1,
    }
    0
}

/// An allocator with the interface of Lua's.
unsafe extern "C" fn allocate(_: *mut c_void, p: *mut c_void, _: usize, size: usize) -> *mut c_void {
    // SAFETY: `p` came from here.
    unsafe {
        if size == 0 {
            libc::free(p);
            return ptr::null_mut();
        }
        libc::realloc(p, size)
    }
}

/// An allocator that C code may use for itself.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getallocf(_: State, data: *mut *mut c_void) -> Alloc {
    // SAFETY: see `super`.
    unsafe {
        if !data.is_null() {
            *data = ptr::null_mut();
        }
    }
    allocate
}

/// Has no effect: see [`lua_newstate`].
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setallocf(_: State, _: Option<Alloc>, _: *mut c_void) {}

/// The version of the language.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_version(_: State) -> *const f64 {
    static VERSION: f64 = 501.0;
    &raw const VERSION
}

/// LuaJIT's switch for its compiler; 0: refused.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaJIT_setmode(_: State, _: c_int, mode: c_int) -> c_int {
    const ENGINE: c_int = 0;
    c_int::from(mode & 0xff == ENGINE)
}

/// Opens all standard libraries.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_openlibs(l: State) {
    crate::stdlib::open(cx(l));
}

/// Opens a library and pushes its table.
unsafe fn open(l: State, name: &str, f: impl Fn(Cx)) -> c_int {
    f(cx(l));
    let loaded = crate::stdlib::registry_table(cx(l), "_LOADED");
    // SAFETY: see `super`.
    unsafe { push(l, cx(l).field(loaded, name)) }
    1
}

macro_rules! openers {
    ($($name:ident $key:literal $open:expr;)*) => { $(
        /// Opens a standard library and gives its table.
        ///
        /// # Safety
        /// See [`super`].
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(l: State) -> c_int {
            // SAFETY: see `super`.
            unsafe { open(l, $key, $open) }
        }
    )* };
}
openers! {
    luaopen_base "_G" |cx| { crate::stdlib::base::open(cx); crate::stdlib::coroutine::open(cx) };
    luaopen_math "math" crate::stdlib::math::open;
    luaopen_string "string" crate::stdlib::string::open;
    luaopen_table "table" crate::stdlib::table::open;
    luaopen_io "io" crate::stdlib::io::open;
    luaopen_os "os" crate::stdlib::os::open;
    luaopen_package "package" |cx| crate::stdlib::package::open(cx, &crate::stdlib::Settings::default());
    luaopen_debug "debug" crate::stdlib::debug::open;
    luaopen_bit "bit" crate::stdlib::bit::open;
    luaopen_jit "jit" crate::stdlib::jit::open;
}

/// Requires a module that the libraries hold ready.
unsafe fn require(l: State, name: &str) -> c_int {
    let cx = cx(l);
    let preload = crate::stdlib::registry_table(cx, "_PRELOAD");
    let f = cx.field(preload, name);
    // SAFETY: see `super`.
    unsafe {
        let r = if f.is_nil() { Ok(Value::NIL) } else { cx.call(f, &[cx.str_value(name)]) };
        push(l, super::settle(l, r));
    }
    1
}

/// Opens the ffi library and gives its table.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaopen_ffi(l: State) -> c_int {
    // SAFETY: see `super`.
    unsafe { require(l, "ffi") }
}

/// Opens the buffer library and gives its table.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaopen_string_buffer(l: State) -> c_int {
    // SAFETY: see `super`.
    unsafe { require(l, "string.buffer") }
}
