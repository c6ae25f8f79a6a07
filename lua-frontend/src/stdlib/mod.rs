//! The standard libraries.
//!
//! One file per library, in the order in which [`open`] loads them; [`pattern_fns`], [`format`], [`sort`] and
//! [`serialize`] hold the larger parts of `string`, `table` and `string.buffer`. All are written against the
//! interface of [`crate::api`]; messages and the order of checks are LuaJIT's, so that scripts see the same errors.

use crate::api::{Cx, NativeFn, NativeResult};
use crate::error::Throw;
use crate::object::Table;
use crate::value::{Gc, Value};

pub mod base;
pub mod bit;
pub mod buffer;
pub mod coroutine;
pub mod debug;
pub mod ffid;

pub(crate) use math::libm;
pub mod format;
pub mod io;
pub mod jit;
pub mod math;
pub mod os;
pub mod package;
pub mod pattern_fns;
pub mod serialize;
pub mod sort;
pub mod string;
mod support;
pub mod table;

/// What the host decides before the libraries open.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Do not read the environment (`-E`).
    pub no_env: bool,
}

/// Opens all libraries.
pub fn open(cx: Cx) {
    open_with(cx, &Settings::default());
}

/// Opens all libraries as the host wants them.
pub fn open_with(cx: Cx, settings: &Settings) {
    package::open(cx, settings);
    base::open(cx);
    coroutine::open(cx);
    table::open(cx);
    io::open(cx);
    os::open(cx);
    string::open(cx);
    math::open(cx);
    debug::open(cx);
    bit::open(cx);
    jit::open(cx);
    preload(cx, "ffi", crate::ffi::library::open);
}

/// A table of the registry, made if it is not there.
pub fn registry_table(cx: Cx, name: &str) -> Gc<Table> {
    if let Some(t) = cx.field(cx.registry(), name).as_table() {
        return t;
    }
    let t = cx.table(0, 8);
    cx.set_field(cx.registry(), name, t);
    t
}

/// Makes a library table, as a global and in `package.loaded`, with its functions.
pub(crate) fn library(cx: Cx, name: &str, functions: &[(&str, NativeFn)]) -> Gc<Table> {
    let t = cx.table(0, functions.len() as u32);
    cx.set_field(registry_table(cx, "_LOADED"), name, t);
    cx.set_field(cx.globals(), name, t);
    register(cx, t, name, functions);
    t
}

/// Puts functions into a library table; their names and `prefix` give the number that `tostring` shows.
pub(crate) fn register(cx: Cx, t: Gc<Table>, prefix: &str, functions: &[(&str, NativeFn)]) {
    for &(name, f) in functions {
        let f = cx.func(f, &[]);
        ffid::set(cx, f, prefix, name);
        cx.set_field(t, name, f);
    }
}

/// Announces a library that `require` opens on demand; `opener` gets its name and returns its table.
pub(crate) fn preload(cx: Cx, name: &str, opener: NativeFn) {
    let f = cx.func(opener, &[]);
    cx.set_field(registry_table(cx, "_PRELOAD"), name, f);
}

/// `true`, or `nil, "name: text", number` for an error of the system.
pub(crate) fn file_result(cx: Cx, r: std::io::Result<()>, name: Option<&[u8]>) -> NativeResult {
    match r {
        Ok(()) => cx.ret1(true),
        Err(e) => {
            let code = e.raw_os_error().unwrap_or(0);
            let mut text = Vec::new();
            if let Some(n) = name {
                text.extend_from_slice(c_str(n));
                text.extend_from_slice(b": ");
            }
            text.extend_from_slice(crate::stdio::error_text(code).as_bytes());
            cx.ret3(Value::NIL, cx.str(&text), code)
        }
    }
}

/// The part of a string that C would see.
pub(crate) fn c_str(s: &[u8]) -> &[u8] {
    s.iter().position(|&c| c == 0).map_or(s, |i| &s[..i])
}

/// A table or nil, but given.
pub(crate) fn check_table_or_nil(cx: Cx, i: usize) -> Result<Option<Gc<Table>>, Throw> {
    match cx.arg_opt(i) {
        Some(v) if v.is_nil() => Ok(None),
        Some(v) if v.as_table().is_some() => Ok(v.as_table()),
        _ => Err(cx.arg_error(i, "nil or table expected")),
    }
}

/// The text of a string or number, without changing the value; `None` for others.
pub(crate) fn put_text(out: &mut Vec<u8>, v: Value) -> bool {
    if let Some(s) = v.as_str() {
        out.extend_from_slice(s.bytes());
    } else if let Some(n) = v.as_number() {
        crate::numfmt::put_number(out, n);
    } else {
        return false;
    }
    true
}

/// Whether a value is a string or a number.
pub(crate) fn is_text(v: Value) -> bool {
    v.is_number() || v.as_str().is_some()
}

pub(crate) use crate::ffi::glue::{
    bits_of as cdata_bits, byte_pointer, bytes_argument as cdata_bytes, complex_of, int64_of, make_complex,
    make_int64, to_number as cdata_to_number,
};

/// Takes over `n` bytes that were written behind the end of a vector.
pub(crate) fn commit_bytes(data: &mut Vec<u8>, n: usize) {
    data.resize(data.len() + n, 0);
}
