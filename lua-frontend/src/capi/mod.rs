//! The C API of Lua 5.1, as LuaJIT exports it: what modules written in C see.
//!
//! `rjit` exports these functions under their C names, so that `require` can load shared objects that were compiled against
//! the headers of Lua 5.1 or LuaJIT, or those in `lua-frontend/include`. A `lua_State *` is a [`Thread`]; C code
//! knows nothing of its layout.
//!
//! # Reading order
//! [`jump`]: how errors leave C functions. [`stack`]: indices, reading and pushing values. [`tables`]: access to tables.
//! [`call`]: functions of C as Lua values, calls, errors, coroutines. [`load`]: chunks and dumps, and loading shared
//! objects. [`format`]: messages with arguments. [`inspect`]: `lua_Debug`. [`state`]: making and closing states,
//! the collector. [`auxiliary`] and [`buffer`]: the `luaL_` functions.
//!
//! # A C function as a value
//! A native function with the flag [`C_FUNCTION`](crate::object::C_FUNCTION): its Rust side is [`call::trampoline`],
//! its first upvalue (hidden from scripts and from C) is the address of the C function.
//!
//! # Errors
//! Everything that can fail is a Rust function with a `Result`; the exported one gives that to [`settle`], which in case
//! of an error leaves the C function that is running ([`jump`]). If none is, the panic function is called and the process ends,
//! as in Lua.
//!
//! # Collection
//! Functions that allocate are safe points (see [`crate::api`]): all that C holds is on a stack.
//!
//! Contract of the unsafe code in this directory: C keeps the rules of the manual of Lua 5.1 (valid states and indices,
//! live pointers). Nothing here panics.

use std::ffi::{CStr, c_char, c_int};

use crate::api::Cx;
use crate::error::Throw;
use crate::object::{BLACK, Thread};
use crate::value::Value;

pub mod auxiliary;
pub mod buffer;
pub mod call;
pub mod format;
pub mod inspect;
pub mod jump;
pub mod load;
pub mod stack;
pub mod state;
pub mod tables;

/// `lua_State *`
pub type State = *mut Thread;
/// `lua_CFunction`
pub type CFunction = unsafe extern "C" fn(State) -> c_int;

/// Pseudo-index of the registry.
pub const REGISTRY: c_int = -10000;
/// Pseudo-index of the running function's environment.
pub const ENVIRONMENT: c_int = -10001;
/// Pseudo-index of the table of globals; upvalues follow downwards.
pub const GLOBALS: c_int = -10002;

/// Status: yielded.
pub const YIELD: c_int = 1;
/// Status: error while running.
pub const ERRRUN: c_int = 2;
/// Status: syntax error.
pub const ERRSYNTAX: c_int = 3;
/// Status: no memory.
pub const ERRMEM: c_int = 4;
/// Status of `luaL_loadfile`: the file cannot be read.
pub const ERRFILE: c_int = 6;

/// The context of a state.
#[inline(always)]
pub(crate) fn cx(l: State) -> Cx {
    Cx { l }
}

/// Gives what a function of the API computed, or leaves the running C function with its error.
///
/// # Safety
/// The caller is an exported function without anything left to drop, called by C.
#[inline(always)]
pub(crate) unsafe fn settle<T: Copy>(l: State, r: Result<T, Throw>) -> T {
    match r {
        Ok(v) => v,
        // SAFETY: by the caller's promise.
        Err(e) => unsafe { throw(l, e) },
    }
}

/// Leaves the running C function with an error whose value is in the shared state.
///
/// # Safety
/// As [`settle`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn throw(l: State, e: Throw) -> ! {
    // SAFETY: the innermost C function has not returned, since its trampoline takes its place away.
    unsafe {
        let g = (*l).g;
        (*g).c_error = e;
        if !(*g).c_jump.is_null() {
            jump::leave((*g).c_jump)
        }
        call::panic(l)
    }
}

/// Pushes a value onto any stack, also of a coroutine that does not run.
///
/// # Safety
/// A live state.
#[inline(always)]
pub(crate) unsafe fn push(l: State, v: impl Into<Value>) {
    // SAFETY: by the caller's promise.
    unsafe {
        if (*l).h.flags & BLACK != 0 {
            crate::gc::barrier_object(&mut *(*l).g, l.cast());
        }
        cx(l).push(v);
    }
}

/// A safe point of the API.
///
/// # Safety
/// As [`settle`].
#[inline(always)]
pub(crate) unsafe fn collect(l: State) {
    // SAFETY: by the caller's promise.
    unsafe {
        if crate::gc::is_due(&*(*l).g) {
            let r = collect_now(l);
            settle(l, r);
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn collect_now(l: State) -> Result<(), Throw> {
    // The stack of a coroutine that does not run is traversed as any other; steps run finalizers on the running one.
    crate::gc::step_in_vm(l)
}

/// The bytes of a C string; none for null.
///
/// # Safety
/// A terminated string or null.
pub(crate) unsafe fn bytes<'a>(s: *const c_char) -> &'a [u8] {
    // SAFETY: by the caller's promise.
    if s.is_null() { b"" } else { unsafe { CStr::from_ptr(s) }.to_bytes() }
}

/// The bytes of a C string as text for messages.
///
/// # Safety
/// A terminated string or null.
pub(crate) unsafe fn text(s: *const c_char) -> String {
    // SAFETY: by the caller's promise.
    String::from_utf8_lossy(unsafe { bytes(s) }).into_owned()
}

/// Something that the dynamic linker may look up.
#[repr(transparent)]
#[derive(Debug)]
pub struct Export(pub *const ());
// SAFETY: addresses of functions, never written.
unsafe impl Sync for Export {}

macro_rules! exports {
    ($($module:ident: $($name:ident)*;)*) => {
        /// All exported functions: whoever refers to this table links them.
        pub static EXPORTS: &[Export] = &[$($(Export($module::$name as *const ()),)*)*];
    };
}
exports! {
    stack: lua_gettop lua_settop lua_pushvalue lua_remove lua_insert lua_replace lua_copy lua_checkstack lua_xmove lua_type
        lua_typename lua_isnumber lua_isstring lua_iscfunction lua_isuserdata lua_equal lua_rawequal lua_lessthan lua_tonumber
        lua_tonumberx lua_tointeger lua_tointegerx lua_toboolean lua_tolstring lua_objlen lua_tocfunction lua_touserdata
        lua_tothread lua_topointer lua_pushnil lua_pushnumber lua_pushinteger lua_pushlstring lua_pushstring lua_pushboolean
        lua_pushlightuserdata lua_pushthread lua_concat lua_upvalueid lua_upvaluejoin;
    tables: lua_gettable lua_getfield lua_rawget lua_rawgeti lua_createtable lua_newuserdata lua_getmetatable lua_getfenv
        lua_settable lua_setfield lua_rawset lua_rawseti lua_setmetatable lua_setfenv lua_next;
    call: lua_pushcclosure lua_call lua_pcall lua_cpcall lua_error lua_atpanic lua_newthread lua_yield lua_resume lua_status
        lua_isyieldable;
    load: lua_load lua_loadx lua_dump luaL_loadbuffer luaL_loadbufferx luaL_loadstring luaL_loadfile luaL_loadfilex;
    format: lua_pushvfstring lua_pushfstring luaL_error;
    inspect: lua_getstack lua_getinfo lua_getlocal lua_setlocal lua_getupvalue lua_setupvalue lua_sethook lua_gethook
        lua_gethookmask lua_gethookcount;
    state: lua_newstate luaL_newstate lua_close lua_gc lua_getallocf lua_setallocf lua_version luaJIT_setmode luaL_openlibs
        luaopen_base luaopen_math luaopen_string luaopen_table luaopen_io luaopen_os luaopen_package luaopen_debug luaopen_bit
        luaopen_jit luaopen_ffi luaopen_string_buffer;
    auxiliary: luaL_argerror luaL_typerror luaL_checkany luaL_checktype luaL_checklstring luaL_optlstring luaL_checknumber
        luaL_optnumber luaL_checkinteger luaL_optinteger luaL_checkstack luaL_checkoption luaL_newmetatable luaL_setmetatable
        luaL_checkudata luaL_testudata luaL_getmetafield luaL_callmeta luaL_where luaL_ref luaL_unref luaL_register
        luaL_openlib luaL_setfuncs luaL_pushmodule luaL_findtable luaL_gsub luaL_fileresult luaL_execresult luaL_traceback;
    buffer: luaL_buffinit luaL_prepbuffer luaL_addlstring luaL_addstring luaL_addvalue luaL_pushresult;
}
