//! Chunks: loading text and dumps, dumping functions, opening shared objects.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use super::call::call_back;
use super::stack::value;
use super::{CFunction, ERRFILE, ERRSYNTAX, State, bytes, cx, push, settle};
use crate::api::Cx;
use crate::error::Throw;
use crate::object::Func;
use crate::value::{Gc, Value};

/// `lua_Reader`: state, data, where to put the size; gives a piece.
pub type Reader = unsafe extern "C" fn(State, *mut c_void, *mut usize) -> *const c_char;
/// `lua_Writer`: state, piece, size, data; not 0 to stop.
pub type Writer = unsafe extern "C" fn(State, *const c_void, usize, *mut c_void) -> c_int;

/// Pushes a loaded function, or the error; gives the status.
unsafe fn finish(l: State, r: Result<Gc<Func>, Throw>) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match r {
            Ok(f) => {
                push(l, f);
                0
            }
            Err(e) => {
                let v = cx(l).take_error(e);
                push(l, v);
                match super::call::error_status(l, v) {
                    super::ERRMEM => super::ERRMEM,
                    _ => ERRSYNTAX,
                }
            }
        }
    }
}

unsafe fn mode<'a>(mode: *const c_char) -> &'a str {
    // SAFETY: see `super`.
    if mode.is_null() { "bt" } else { unsafe { CStr::from_ptr(mode) }.to_str().unwrap_or("?") }
}

unsafe fn chunk_name<'a>(name: *const c_char) -> &'a [u8] {
    // SAFETY: see `super`.
    if name.is_null() { b"?" } else { unsafe { bytes(name) } }
}

/// All pieces that a reader gives.
unsafe fn read(l: State, reader: Reader, data: *mut c_void) -> Result<Vec<u8>, Throw> {
    let mut text = Vec::new();
    loop {
        let mut size = 0usize;
        // SAFETY: a reader gives `size` bytes, or null at the end.
        unsafe {
            let at = (&raw mut size).cast();
            let p = call_back(l, reader as *const c_void, l.cast(), data, at)? as *const u8;
            if p.is_null() || size == 0 {
                return Ok(text);
            }
            text.extend_from_slice(std::slice::from_raw_parts(p, size));
        }
    }
}

/// Loads a chunk in pieces.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_loadx(
    l: State,
    reader: Reader,
    data: *mut c_void,
    name: *const c_char,
    how: *const c_char,
) -> c_int {
    // SAFETY: see `super`.
    unsafe { load_pieces(l, reader, data, chunk_name(name), mode(how)) }
}

unsafe fn load_pieces(l: State, reader: Reader, data: *mut c_void, name: &[u8], mode: &str) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match read(l, reader, data) {
            Ok(text) => finish(l, cx(l).load(&text, name, mode, None)),
            Err(e) => {
                let e = crate::vm::handled(cx(l), e);
                let v = cx(l).take_error(e);
                push(l, v);
                super::call::error_status(l, v)
            }
        }
    }
}

/// Loads a chunk in pieces.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_load(l: State, reader: Reader, data: *mut c_void, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe { lua_loadx(l, reader, data, name, ptr::null()) }
}

/// Hands the dump of the function on top to a writer; not 0 if it is no Lua function or the writer says so.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_dump(l: State, writer: Writer, data: *mut c_void) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let r = dump(l, writer, data);
        settle(l, r)
    }
}

unsafe fn dump(l: State, writer: Writer, data: *mut c_void) -> Result<c_int, Throw> {
    /// What [`write`] needs, since a callback has three words.
    struct Job<'a>(Writer, &'a [u8], *mut c_void);
    unsafe extern "C" fn write(l: State, job: *mut c_void) -> c_int {
        // SAFETY: called below with a job that is alive.
        unsafe {
            let job = &*job.cast::<Job<'_>>();
            (job.0)(l, job.1.as_ptr().cast(), job.1.len(), job.2)
        }
    }
    // SAFETY: see `super`; the job outlives the call.
    unsafe {
        let Some(p) = value(l, -1).as_func().and_then(|f| f.proto()) else { return Ok(1) };
        let text = crate::compile::load::dump(p, false);
        let mut job = Job(writer, &text, data);
        let at = (&raw mut job).cast();
        Ok(call_back(l, write as *const c_void, l.cast(), at, ptr::null_mut())? as c_int)
    }
}

/// Loads a chunk from memory.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_loadbufferx(
    l: State,
    text: *const c_char,
    size: usize,
    name: *const c_char,
    how: *const c_char,
) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let text = if size == 0 { b"" } else { std::slice::from_raw_parts(text.cast::<u8>(), size) };
        finish(l, cx(l).load(text, chunk_name(name), mode(how), None))
    }
}

/// Loads a chunk from memory.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_loadbuffer(
    l: State,
    text: *const c_char,
    size: usize,
    name: *const c_char,
) -> c_int {
    // SAFETY: see `super`.
    unsafe { luaL_loadbufferx(l, text, size, name, ptr::null()) }
}

/// Loads a C string, which also is its name.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_loadstring(l: State, text: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe { luaL_loadbufferx(l, text, bytes(text).len(), text, ptr::null()) }
}

/// Loads a file; null: standard input.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_loadfilex(l: State, name: *const c_char, how: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let file = if name.is_null() { None } else { Some(bytes(name)) };
        let r = crate::stdlib::base::load_file(cx(l), file, mode(how), None);
        let status = finish(l, r);
        let unreadable = value(l, -1).as_str().is_some_and(|s| s.bytes().starts_with(b"cannot "));
        if status == ERRSYNTAX && unreadable { ERRFILE } else { status }
    }
}

/// Loads a file; null: standard input.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_loadfile(l: State, name: *const c_char) -> c_int {
    // SAFETY: see `super`.
    unsafe { luaL_loadfilex(l, name, ptr::null()) }
}

/// Why a function of a shared object cannot be had.
#[derive(Debug)]
pub(crate) enum NoFunction {
    /// The file cannot be loaded.
    Open(Vec<u8>),
    /// It has no such symbol.
    Symbol(Vec<u8>),
}

/// The handle of a shared object; objects are loaded once per state and never unloaded.
fn open(cx: Cx, path: &[u8], global: bool) -> Result<*mut c_void, NoFunction> {
    // The table of exports must be part of the program, or there is nothing for modules to find.
    std::hint::black_box(super::EXPORTS);
    let loaded = crate::stdlib::registry_table(cx, "_CLIBS");
    let key = cx.str_value(path);
    if let Some(p) = loaded.get(key).as_light() {
        return Ok(p as *mut c_void);
    }
    let name = CString::new(path).map_err(|_| NoFunction::Open(b"bad file name".to_vec()))?;
    let flags = libc::RTLD_NOW | if global { libc::RTLD_GLOBAL } else { libc::RTLD_LOCAL };
    // SAFETY: a terminated string; a module is as trusted as the script that asks for it.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if handle.is_null() {
        return Err(NoFunction::Open(last_message()));
    }
    if cx.raw_set(loaded, key, cx.lightuserdata(handle as u64)).is_err() {
        return Err(NoFunction::Open(b"not enough memory".to_vec()));
    }
    Ok(handle)
}

fn last_message() -> Vec<u8> {
    // SAFETY: `dlerror` gives a terminated string or null.
    unsafe {
        let msg = libc::dlerror();
        if msg.is_null() { Vec::new() } else { CStr::from_ptr(msg).to_bytes().to_vec() }
    }
}

/// Loads a shared object and gives one of its functions as a value; `*`: only makes its symbols global.
pub(crate) fn library_function(cx: Cx, path: &[u8], symbol: &[u8]) -> Result<Value, NoFunction> {
    let handle = open(cx, path, symbol.first() == Some(&b'*'))?;
    if symbol.first() == Some(&b'*') {
        return Ok(Value::TRUE);
    }
    let name = CString::new(symbol).map_err(|_| NoFunction::Symbol(b"bad symbol name".to_vec()))?;
    // SAFETY: an open handle and a terminated string. Whoever names a symbol promises that it is a `lua_CFunction`.
    unsafe {
        let p = libc::dlsym(handle, name.as_ptr());
        if p.is_null() {
            return Err(NoFunction::Symbol(last_message()));
        }
        let f = std::mem::transmute::<*mut c_void, CFunction>(p);
        let f = super::call::closure(cx.l, f, &[]);
        cx.set_func_env(f, cx.globals());
        Ok(f.into())
    }
}
