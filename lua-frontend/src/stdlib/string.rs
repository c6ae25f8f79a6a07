//! The string library, except patterns ([`super::pattern_fns`]) and `format` ([`super::format`]).

use crate::api::{Cx, NativeResult};

use crate::value::Value;

/// Most results of `byte`.
const MAX_RESULTS: usize = 8000;

/// Opens the library and makes it the `__index` of all strings.
pub fn open(cx: Cx) {
    let t = super::library(
        cx,
        "string",
        &[
            ("len", len),
            ("byte", byte),
            ("char", char_),
            ("sub", sub),
            ("rep", rep),
            ("reverse", reverse),
            ("lower", lower),
            ("upper", upper),
            ("dump", dump),
            ("find", super::pattern_fns::find),
            ("match", super::pattern_fns::match_),
            ("gmatch", super::pattern_fns::gmatch),
            ("gsub", super::pattern_fns::gsub),
            ("format", super::format::format),
        ],
    );
    let meta = cx.table(0, 1);
    cx.set_field(meta, "__index", t);
    cx.set_metatable(cx.str_value(""), Some(meta));
    super::preload(cx, "string.buffer", super::buffer::open);
}

pub(crate) fn len(cx: Cx) -> NativeResult {
    // The reference has this function in Lua: a missing argument is nil.
    cx.set_top(cx.nargs().max(1));
    let s = cx.check_str(1)?;
    cx.ret1(Value::int(s.len() as i64))
}

/// Start and end of a slice as `sub` and `byte` count: from 1, negative from the end; the result is within the string.
fn slice(len: usize, start: i32, stop: i32) -> std::ops::Range<usize> {
    let len = len as i64;
    let fix = |i: i32| if i < 0 { i64::from(i) + len + 1 } else { i64::from(i) };
    let (start, stop) = (fix(start).max(1), fix(stop).min(len));
    if start > stop { 0..0 } else { start as usize - 1..stop as usize }
}

fn byte(cx: Cx) -> NativeResult {
    let s = cx.check_str(1)?;
    let start = cx.opt_int(2, 1)?;
    let stop = cx.opt_int(3, start)?;
    let part = &s.bytes()[slice(s.len(), start, stop)];
    if part.len() > MAX_RESULTS {
        return Err(cx.error("string slice too long"));
    }
    cx.check_stack(part.len(), "")?;
    for &c in part {
        cx.push(i32::from(c));
    }
    cx.ret(part.len())
}

fn char_(cx: Cx) -> NativeResult {
    let mut out = Vec::with_capacity(cx.nargs());
    for i in 1..=cx.nargs() {
        match u8::try_from(cx.check_int(i)?) {
            Ok(c) => out.push(c),
            Err(_) => return Err(cx.arg_error(i, "invalid value")),
        }
    }
    cx.ret1(cx.str(&out))
}

fn sub(cx: Cx) -> NativeResult {
    let s = cx.check_str(1)?;
    let start = cx.check_int(2)?;
    let stop = cx.opt_int(3, -1)?;
    let r = slice(s.len(), start, stop);
    if r.len() == s.len() {
        return cx.ret1(s);
    }
    cx.ret1(cx.str(&s.bytes()[r]))
}

fn rep(cx: Cx) -> NativeResult {
    let s = cx.check_str(1)?;
    let n = cx.check_int(2)?;
    let sep = cx.opt_str(3)?;
    let (s, sep) = (s.bytes(), sep.map_or(&b""[..], |s| s.bytes()));
    if n <= 0 {
        return cx.ret1(cx.str(b""));
    }
    let n = n as usize;
    // Both lengths are below 2^31, so this cannot overflow.
    let total = cx.check_len(s.len() * n + sep.len() * (n - 1))?;
    let mut out = Vec::new();
    if out.try_reserve_exact(total).is_err() {
        return Err(crate::error::memory(cx));
    }
    if let ([c], b"") = (s, sep) {
        out.resize(total, *c);
    } else {
        out.extend_from_slice(s);
        // Double what is there, then fill up.
        let period = s.len() + sep.len();
        if period > 0 && n > 1 {
            out.extend_from_slice(sep);
            while out.len() < total {
                let more = (out.len() / period * period).min(total - out.len());
                out.extend_from_within(..more);
            }
        }
        out.truncate(total);
    }
    cx.ret1(cx.str(&out))
}

fn map(cx: Cx, f: impl FnOnce(&mut [u8])) -> NativeResult {
    let s = cx.check_str(1)?;
    let mut out = s.bytes().to_vec();
    f(&mut out);
    cx.ret1(cx.str(&out))
}

fn reverse(cx: Cx) -> NativeResult {
    map(cx, <[u8]>::reverse)
}

fn lower(cx: Cx) -> NativeResult {
    map(cx, <[u8]>::make_ascii_lowercase)
}

fn upper(cx: Cx) -> NativeResult {
    map(cx, <[u8]>::make_ascii_uppercase)
}

fn dump(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    // Dumps are always deterministic, so `d` changes nothing.
    let strip = match cx.arg(2).as_str() {
        Some(mode) => mode.bytes().contains(&b's'),
        None => cx.arg(2).is_truthy(),
    };
    match f.proto() {
        Some(p) => cx.ret1(cx.str(&crate::compile::load::dump(p, strip))),
        None => Err(cx.error("unable to dump given function")),
    }
}
