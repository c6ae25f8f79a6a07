//! The table library; sorting is in [`super::sort`].

use crate::api::{Cx, NativeResult};
use crate::object::Table;
use crate::stdlib::put_text;
use crate::value::{Gc, Value};

/// Opens the library.
pub fn open(cx: Cx) {
    super::library(
        cx,
        "table",
        &[
            ("foreachi", foreachi),
            ("foreach", foreach),
            ("getn", getn),
            ("maxn", maxn),
            ("insert", insert),
            ("remove", remove),
            ("move", move_),
            ("concat", concat),
            ("sort", super::sort::sort),
        ],
    );
    super::preload(cx, "table.new", open_new);
    super::preload(cx, "table.clear", open_clear);
}

/// Adds a function to the library when it is required; the module is the function itself.
fn add(cx: Cx, name: &str, f: crate::api::NativeFn) -> NativeResult {
    let f = cx.func(f, &[]);
    super::ffid::set(cx, f, "table", name);
    if let Some(t) = cx.field(super::registry_table(cx, "_LOADED"), "table").as_table() {
        cx.set_field(t, name, f);
    }
    cx.ret1(f)
}

fn open_new(cx: Cx) -> NativeResult {
    add(cx, "new", new)
}

fn open_clear(cx: Cx) -> NativeResult {
    add(cx, "clear", clear)
}

fn new(cx: Cx) -> NativeResult {
    let a = cx.check_int(1)?;
    let h = cx.check_int(2)?;
    let a = a.max(0);
    if a as u32 >= crate::table::MAX_ASIZE || h as u32 > 1 << crate::table::MAX_HBITS {
        return Err(cx.error("table overflow"));
    }
    cx.ret1(cx.table(a as u32, h as u32))
}

fn clear(cx: Cx) -> NativeResult {
    crate::table::clear(cx.check_table(1)?);
    cx.ret0()
}

/// Missing arguments become nil: the reference has these functions in Lua, and its messages say `got nil`.
fn fill(cx: Cx, n: usize) {
    cx.set_top(cx.nargs().max(n));
}

fn foreachi(cx: Cx) -> NativeResult {
    fill(cx, 2);
    let t = cx.check_table(1)?;
    let f = cx.check_func(2)?;
    for i in 1..=t.len() as i64 {
        let v = cx.get(t.into(), Value::int(i))?;
        let r = cx.call(f.into(), &[Value::int(i), v])?;
        if !r.is_nil() {
            return cx.ret1(r);
        }
    }
    cx.ret0()
}

fn foreach(cx: Cx) -> NativeResult {
    fill(cx, 2);
    let t = cx.check_table(1)?;
    let f = cx.check_func(2)?;
    let mut pos = 0;
    while let Some((next, k, v)) = t.next_from(pos) {
        // The callee may change the table: find the key again.
        cx.set_arg(3, k);
        let r = cx.call(f.into(), &[k, v])?;
        if !r.is_nil() {
            return cx.ret1(r);
        }
        pos = match t.position(k) {
            Some(p) => p,
            None => next,
        };
    }
    cx.ret0()
}

fn getn(cx: Cx) -> NativeResult {
    fill(cx, 1);
    cx.ret1(Value::int(cx.check_table(1)?.len() as i64))
}

fn maxn(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let mut m = 0f64;
    let mut pos = 0;
    while let Some((next, k, _)) = t.next_from(pos) {
        if let Some(n) = k.as_number()
            && n > m
        {
            m = n;
        }
        pos = next;
    }
    cx.ret1(m)
}

fn insert(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let end = t.len() as i32 + 1;
    let at = match cx.nargs() {
        2 => end,
        3 => {
            let at = cx.check_int(2)?;
            let mut i = end;
            while i > at {
                cx.raw_set_int(t, i, t.get_int(i - 1))?;
                i -= 1;
            }
            at
        }
        _ => return Err(cx.error("wrong number of arguments to 'insert'")),
    };
    cx.raw_set_int(t, at, cx.arg(cx.nargs()))?;
    cx.ret0()
}

/// Reads through `__index` if the table has a metatable.
fn get(cx: Cx, t: Gc<Table>, k: f64) -> Result<Value, crate::error::Throw> {
    if t.meta.is_null() { Ok(t.get(Value::number(k))) } else { cx.get(t.into(), Value::number(k)) }
}

/// Writes through `__newindex` if the table has a metatable.
fn set(cx: Cx, t: Gc<Table>, k: f64, v: Value) -> Result<(), crate::error::Throw> {
    if t.meta.is_null() { cx.raw_set(t, Value::number(k), v) } else { cx.set(t.into(), Value::number(k), v) }
}

pub(crate) fn remove(cx: Cx) -> NativeResult {
    fill(cx, 2);
    let t = cx.check_table(1)?;
    let len = t.len() as f64;
    if cx.arg(2).is_nil() {
        if len == 0.0 {
            return cx.ret0();
        }
        let old = get(cx, t, len)?;
        cx.push(old);
        set(cx, t, len, Value::NIL)?;
        return cx.ret1(old);
    }
    let pos = f64::from(cx.check_int(2)?);
    if !(pos >= 1.0 && pos <= len) {
        return cx.ret0();
    }
    let old = get(cx, t, pos)?;
    cx.push(old);
    let mut i = pos + 1.0;
    while i <= len {
        let v = get(cx, t, i)?;
        set(cx, t, i - 1.0, v)?;
        i += 1.0;
    }
    set(cx, t, len, Value::NIL)?;
    cx.ret1(old)
}

fn move_(cx: Cx) -> NativeResult {
    fill(cx, 5);
    let a = cx.check_table(1)?;
    let f = f64::from(cx.check_int(2)?);
    let e = f64::from(cx.check_int(3)?);
    let t = f64::from(cx.check_int(4)?);
    let b = if cx.arg(5).is_nil() { a } else { cx.check_table(5)? };
    if e >= f {
        let d = t - f;
        if t > e || t <= f || a != b {
            let mut i = f;
            while i <= e {
                let v = get(cx, a, i)?;
                set(cx, b, i + d, v)?;
                i += 1.0;
            }
        } else {
            let mut i = e;
            while i >= f {
                let v = get(cx, a, i)?;
                set(cx, b, i + d, v)?;
                i -= 1.0;
            }
        }
    }
    cx.ret1(b)
}

fn concat(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let sep = cx.opt_str(2)?;
    let sep = sep.map_or(&b""[..], |s| s.bytes());
    let i = cx.opt_int(3, 1)?;
    let e = if cx.arg(4).is_nil() { t.len() as i32 } else { cx.check_int(4)? };
    let mut out = Vec::new();
    for k in i..=e {
        let v = t.get_int(k);
        if !put_text(&mut out, v) {
            let name = crate::error::type_name(v);
            return Err(cx.error(format!("invalid value ({name}) at index {k} in table for 'concat'")));
        }
        if k < e {
            out.extend_from_slice(sep);
        }
        cx.check_len(out.len())?;
    }
    cx.ret1(cx.str(&out))
}
