//! The os library.

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::numfmt::num_to_i64;
use crate::stdio::{self, Date, Locale};
use crate::stdlib::file_result;
use crate::value::Value;

/// Opens the library.
pub fn open(cx: Cx) {
    super::library(
        cx,
        "os",
        &[
            ("execute", execute),
            ("remove", remove),
            ("rename", rename),
            ("tmpname", tmpname),
            ("getenv", getenv),
            ("exit", exit),
            ("clock", clock),
            ("date", date),
            ("time", time),
            ("difftime", difftime),
            ("setlocale", setlocale),
        ],
    );
}

fn execute(cx: Cx) -> NativeResult {
    let command = cx.opt_str(1)?;
    cx.ret1(stdio::system(command.map(|c| c.bytes())))
}

fn remove(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    file_result(cx, stdio::remove(name), Some(name))
}

fn rename(cx: Cx) -> NativeResult {
    let from = cx.check_str(1)?.bytes();
    let to = cx.check_str(2)?.bytes();
    file_result(cx, stdio::rename(from, to), Some(from))
}

fn tmpname(cx: Cx) -> NativeResult {
    match stdio::temporary_name() {
        Ok(name) => cx.ret1(cx.str(&name)),
        Err(_) => Err(cx.error("unable to generate a unique filename")),
    }
}

fn getenv(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    cx.ret1(stdio::getenv(name).map(|v| cx.str(&v)))
}

fn exit(cx: Cx) -> NativeResult {
    let v = cx.arg(1);
    let status = if v.is_bool() { i32::from(v == Value::FALSE) } else { cx.opt_int(1, 0)? };
    if cx.arg(2).is_truthy() {
        cx.close_state();
    }
    stdio::exit(status)
}

fn clock(cx: Cx) -> NativeResult {
    cx.ret1(stdio::clock())
}

fn date(cx: Cx) -> NativeResult {
    let format = cx.opt_str(1)?;
    let format = super::c_str(format.map_or(&b"%c"[..], |f| f.bytes()));
    let t = if cx.arg(2).is_nil() { stdio::now() } else { num_to_i64(cx.check_number(2)?) };
    let (utc, format) = match format {
        [b'!', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let Some(date) = Date::of(t, utc) else { return cx.ret1(Value::NIL) };
    if format == b"*t" {
        let table = cx.table(0, 9);
        for (name, n) in date.fields() {
            cx.set_field(table, name, n);
        }
        if let Some(dst) = date.dst() {
            cx.set_field(table, "isdst", dst);
        }
        return cx.ret1(table);
    }
    if format.is_empty() {
        return cx.ret1(cx.str(b""));
    }
    match date.format(format) {
        Some(text) => cx.ret1(cx.str(&text)),
        // LuaJIT leaves its last argument there.
        None => cx.ret1(cx.arg(cx.nargs())),
    }
}

/// An integer field of a date table.
fn field(cx: Cx, t: Value, name: &str, default: Option<i32>) -> Result<i32, Throw> {
    let v = cx.get(t, cx.str_value(name))?;
    let n = v.as_number().or_else(|| crate::numscan::to_number(v.as_str()?.bytes()));
    match n.map(crate::numfmt::num_to_i64).or(default.map(i64::from)) {
        Some(n) => Ok(n as i32),
        None => Err(cx.error(format!("field '{name}' missing in date table"))),
    }
}

fn time(cx: Cx) -> NativeResult {
    if cx.arg(1).is_nil() {
        return cx.ret1(Value::int(stdio::now()));
    }
    let t: Value = cx.check_table(1)?.into();
    let fields = [
        field(cx, t, "sec", Some(0))?,
        field(cx, t, "min", Some(0))?,
        field(cx, t, "hour", Some(12))?,
        field(cx, t, "day", None)?,
        field(cx, t, "month", None)?,
        field(cx, t, "year", None)?,
    ];
    let dst = cx.get(t, cx.str_value("isdst"))?;
    let dst = if dst.is_nil() { None } else { Some(dst.is_truthy()) };
    cx.ret1(Date::to_time(fields, dst).map(Value::int))
}

fn difftime(cx: Cx) -> NativeResult {
    // The reference checks them in this order.
    let b = num_to_i64(cx.opt_number(2, 0.0)?);
    let a = num_to_i64(cx.check_number(1)?);
    cx.ret1(Value::number((i128::from(a) - i128::from(b)) as f64))
}

fn setlocale(cx: Cx) -> NativeResult {
    const NAMES: [&str; 7] = ["ctype", "numeric", "time", "collate", "monetary", "\u{ff}", "all"];
    const KINDS: [Locale; 7] = [
        Locale::Ctype,
        Locale::Numeric,
        Locale::Time,
        Locale::Collate,
        Locale::Monetary,
        Locale::All,
        Locale::All,
    ];
    let name = cx.opt_str(1)?;
    let kind = cx.check_option(2, Some("all"), &NAMES)?;
    cx.ret1(stdio::set_locale(KINDS[kind], name.map(|n| n.bytes())).map(|n| cx.str(&n)))
}
