//! The base library: what every script finds among its globals.

use crate::api::{Builtin, Cx, NativeResult};
use crate::chars::{self, SPACE};
use crate::error::Throw;
use crate::object::{Func, Table};
use crate::state::Event;
use crate::stdio::Stream;
use crate::stdlib::{check_table_or_nil, ffid, is_text, put_text};
use crate::value::{Gc, Value};

/// Most values that a native function may have on its stack.
const MAX_RESULTS: usize = 8000;

/// Opens the library.
pub fn open(cx: Cx) {
    let g = cx.globals();
    cx.set_field(g, "_G", g);
    cx.set_field(super::registry_table(cx, "_LOADED"), "_G", g);
    super::register(
        cx,
        g,
        "_G",
        &[
            ("assert", assert),
            ("type", type_),
            ("getmetatable", getmetatable),
            ("setmetatable", setmetatable),
            ("getfenv", getfenv),
            ("setfenv", setfenv),
            ("rawget", rawget),
            ("rawset", rawset),
            ("rawequal", rawequal),
            ("unpack", unpack),
            ("select", select),
            ("tonumber", tonumber),
            ("tostring", tostring),
            ("error", error),
            ("loadfile", loadfile),
            ("load", load),
            ("loadstring", load),
            ("dofile", dofile),
            ("gcinfo", gcinfo),
            ("collectgarbage", collectgarbage),
        ],
    );
    let builtin = |name: &str, b: Builtin| {
        let f = cx.builtin(b, &[]);
        ffid::set(cx, f, "_G", name);
        cx.set_field(g, name, f);
        Value::from(f)
    };
    let next = builtin("next", Builtin::Next);
    builtin("pcall", Builtin::Pcall);
    builtin("xpcall", Builtin::Xpcall);
    let aux = cx.builtin(Builtin::IpairsAux, &[]);
    ffid::set(cx, aux, "_G", "ipairs_aux");
    let proxies = cx.table(0, 1);
    cx.set_field(proxies, "__mode", cx.str(b"kv"));
    cx.set_metatable(proxies.into(), Some(proxies));
    let with_upvalues: [(&str, crate::api::NativeFn, &[Value]); 4] = [
        ("pairs", pairs, &[next]),
        ("ipairs", ipairs, &[aux.into()]),
        ("newproxy", newproxy, &[proxies.into()]),
        ("print", print, &[cx.str_value("tostring")]),
    ];
    for (name, f, upvalues) in with_upvalues {
        let f = cx.func(f, upvalues);
        ffid::set(cx, f, "_G", name);
        cx.set_field(g, name, f);
    }
    cx.set_field(g, "_VERSION", cx.str(b"Lua 5.1"));
}

fn assert(cx: Cx) -> NativeResult {
    if cx.check_any(1)?.is_truthy() {
        return cx.ret(cx.nargs());
    }
    match cx.arg_opt(2) {
        None => Err(cx.error("assertion failed!")),
        Some(v) if is_text(v) => Err(cx.error(cx.check_str(2)?.bytes())),
        Some(v) => Err(cx.throw(v)),
    }
}

fn type_(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    cx.ret1(cx.str(v.type_name().as_bytes()))
}

fn pairs(cx: Cx) -> NativeResult {
    let v = cx.arg(1);
    if v.as_table().is_some() {
        return cx.ret3(cx.upvalue(1), v, Value::NIL);
    }
    if v.as_cdata().is_some() {
        let mm = cx.metamethod(v, Event::Pairs);
        if !mm.is_nil() {
            return cx.tail_call(mm, &[v]);
        }
    }
    cx.check_any(1)?;
    Err(cx.type_error(1, "table"))
}

fn ipairs(cx: Cx) -> NativeResult {
    let v = cx.arg(1);
    if v.as_table().is_some() {
        return cx.ret3(cx.upvalue(1), v, Value::int(0));
    }
    if v.as_cdata().is_some() {
        let mm = cx.metamethod(v, Event::Ipairs);
        if !mm.is_nil() {
            return cx.tail_call(mm, &[v]);
        }
    }
    cx.check_any(1)?;
    Err(cx.type_error(1, "table"))
}

fn getmetatable(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    let Some(m) = cx.metatable(v) else { return cx.ret1(Value::NIL) };
    let hidden = cx.metamethod(v, Event::Metatable);
    if hidden.is_nil() { cx.ret1(m) } else { cx.ret1(hidden) }
}

fn setmetatable(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let m = check_table_or_nil(cx, 2)?;
    if !cx.metamethod(t.into(), Event::Metatable).is_nil() {
        return Err(cx.error("cannot change a protected metatable"));
    }
    cx.set_metatable(t.into(), m);
    cx.ret1(t)
}

/// The function at the level that argument 1 gives.
fn function_at(cx: Cx, level: i32) -> Result<Gc<Func>, Throw> {
    let found = usize::try_from(level).ok().and_then(|l| crate::debug::function_at(cx, l));
    found.ok_or_else(|| cx.arg_error(1, "invalid level"))
}

fn getfenv(cx: Cx) -> NativeResult {
    let f = match cx.arg(1).as_func() {
        Some(f) => f,
        None => match cx.opt_int(1, 1)? {
            0 => return cx.ret1(cx.globals()),
            level => function_at(cx, level)?,
        },
    };
    if f.is_lua() { cx.ret1(cx.env_of(f)) } else { cx.ret1(cx.globals()) }
}

fn setfenv(cx: Cx) -> NativeResult {
    let t = cx.check_table(2)?;
    let f = match cx.arg(1).as_func() {
        Some(f) => f,
        None => match cx.check_int(1)? {
            0 => {
                cx.set_globals(t);
                return cx.ret0();
            }
            level => function_at(cx, level)?,
        },
    };
    if !f.is_lua() {
        return Err(cx.error("'setfenv' cannot change environment of given object"));
    }
    cx.set_func_env(f, t);
    cx.ret1(f)
}

fn rawget(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let k = cx.check_any(2)?;
    cx.ret1(t.get(k))
}

fn rawset(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let k = cx.check_any(2)?;
    let v = cx.check_any(3)?;
    cx.raw_set(t, k, v)?;
    cx.ret1(t)
}

/// Equality without metamethods: NaN differs from itself, and -0 is 0.
pub(crate) fn raw_equal(a: Value, b: Value) -> bool {
    match (a.as_number(), b.as_number()) {
        (Some(x), Some(y)) => x == y,
        _ => a == b,
    }
}

fn rawequal(cx: Cx) -> NativeResult {
    let a = cx.check_any(1)?;
    let b = cx.check_any(2)?;
    cx.ret1(raw_equal(a, b))
}

fn unpack(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let i = cx.opt_int(2, 1)?;
    let e = if cx.arg(3).is_nil() { t.len() as i32 } else { cx.check_int(3)? };
    if i > e {
        return cx.ret0();
    }
    let n = (e as u32).wrapping_sub(i as u32);
    if n as usize + cx.nargs() >= MAX_RESULTS || cx.check_stack(n as usize + 1, "").is_err() {
        return Err(cx.error("too many results to unpack"));
    }
    for k in i..=e {
        cx.push(t.get_int(k));
    }
    cx.ret(n as usize + 1)
}

fn select(cx: Cx) -> NativeResult {
    let n = cx.nargs() as i32;
    if cx.arg(1).as_str().is_some_and(|s| s.bytes().first() == Some(&b'#')) {
        return cx.ret1(n - 1);
    }
    let i = cx.check_int(1)?;
    let i = if i < 0 { n.saturating_add(i) } else { i.min(n) };
    if i < 1 {
        return Err(cx.arg_error(1, "index out of range"));
    }
    cx.ret((n - i) as usize)
}

fn tonumber(cx: Cx) -> NativeResult {
    let base = cx.opt_int(2, 10)?;
    if base == 10 {
        let v = cx.check_any(1)?;
        if v.is_number() {
            return cx.ret1(v);
        }
        let n = v.as_str().and_then(|s| crate::numscan::to_number(s.bytes()));
        return match n.or_else(|| super::cdata_to_number(cx, v)) {
            Some(n) => cx.ret1(n),
            None => cx.ret1(Value::NIL),
        };
    }
    let s = cx.check_str(1)?;
    if !(2..=36).contains(&base) {
        return Err(cx.arg_error(2, "base out of range"));
    }
    cx.ret1(in_base(s.bytes(), base as u32).map(Value::number))
}

/// An integer in a base, with blanks around it and a sign; too large ones become 2^64 - 1.
fn in_base(s: &[u8], base: u32) -> Option<f64> {
    let s = s.strip_suffix(b"\0").map_or(s, |_| s);
    let blank = |c: &u8| chars::is(*c, SPACE);
    let start = s.iter().position(|c| !blank(c))?;
    let end = s.iter().rposition(|c| !blank(c))? + 1;
    let (negative, mut digits) = match &s[start..end] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    if base == 16 && digits.len() > 2 && digits[0] == b'0' && digits[1] | 0x20 == b'x' {
        digits = &digits[2..];
    }
    if digits.is_empty() {
        return None;
    }
    let mut n = Some(0u64);
    for &c in digits {
        let d = char::from(c).to_digit(base)?;
        n = n.and_then(|n| n.checked_mul(u64::from(base))?.checked_add(u64::from(d)));
    }
    let n = n.unwrap_or(u64::MAX) as f64;
    Some(if negative { -n } else { n })
}

fn tostring(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    let mm = if v.as_str().is_some() { Value::NIL } else { cx.metamethod(v, Event::Tostring) };
    if mm.is_nil() { cx.ret1(cx.tostring_raw(v)) } else { cx.tail_call(mm, &[v]) }
}

fn error(cx: Cx) -> NativeResult {
    let level = cx.opt_int(2, 1)?;
    let v = cx.arg(1);
    if level > 0 && is_text(v) {
        let mut text = cx.position(level as usize);
        put_text(&mut text, v);
        return Err(cx.throw(cx.str(&text)));
    }
    Err(cx.throw(v))
}

/// The result of `load` and `loadfile`: the function, or nil and the message.
fn loaded(cx: Cx, f: Result<Gc<Func>, Throw>) -> NativeResult {
    match f {
        Ok(f) => cx.ret1(f),
        Err(e) => {
            let msg = cx.take_error(e);
            cx.ret2(Value::NIL, msg)
        }
    }
}

/// The mode argument: which kinds of chunks are welcome.
fn mode_of(cx: Cx, i: usize) -> Result<String, Throw> {
    Ok(cx.opt_str(i)?.map_or_else(|| "bt".into(), |m| String::from_utf8_lossy(m.bytes()).into_owned()))
}

fn load(cx: Cx) -> NativeResult {
    let name = cx.opt_str(2)?;
    let mode = mode_of(cx, 3)?;
    let env = cx.arg(4).as_table();
    let v = cx.arg(1);
    if is_text(v) {
        let s = cx.check_str(1)?;
        let name = name.unwrap_or(s);
        return loaded(cx, cx.load(s.bytes(), super::c_str(name.bytes()), &mode, env));
    }
    if let Some(text) = super::buffer::contents(cx, v) {
        let text = text.to_vec();
        return loaded(cx, cx.load(&text, name.map_or(b"", |n| super::c_str(n.bytes())), &mode, env));
    }
    let f = cx.check_func(1)?;
    let name = name.map_or(&b"=(load)"[..], |n| super::c_str(n.bytes()));
    let mut text = Vec::new();
    let mut pieces = 0usize;
    loop {
        cx.push(f);
        if let Err(e) = cx.call_pushed(0, 1) {
            return loaded(cx, Err(e));
        }
        let piece = cx.arg(cx.nargs());
        cx.set_top(cx.nargs() - 1);
        if piece.is_nil() {
            break;
        }
        let before = text.len();
        if !put_text(&mut text, piece) {
            let e = cx.error("reader function must return a string");
            return loaded(cx, Err(crate::vm::handled(cx, e)));
        }
        if text.len() == before {
            break;
        }
        cx.check_len(text.len())?;
        pieces += 1;
        // A reader is not asked for more than a syntax error needs: look from time to time.
        if pieces.is_power_of_two()
            && pieces > 1
            && text.first() != Some(&crate::compile::DUMP_SIGNATURE)
            && let Err(e) = crate::compile::compile(&text, name)
            && e.is_definite(&text)
        {
            break;
        }
    }
    loaded(cx, cx.load(&text, name, &mode, env))
}

/// Reads and compiles a file, or standard input.
pub(crate) fn load_file(
    cx: Cx,
    name: Option<&[u8]>,
    mode: &str,
    env: Option<Gc<Table>>,
) -> Result<Gc<Func>, Throw> {
    let fail = |what: &str, e: std::io::Error| {
        let mut msg = format!("cannot {what} ").into_bytes();
        msg.extend_from_slice(name.map_or(b"stdin", super::c_str));
        let text = crate::stdio::error_text(e.raw_os_error().unwrap_or(0));
        msg.extend_from_slice(format!(": {text}").as_bytes());
        cx.throw(cx.str(&msg))
    };
    let mut text = Vec::new();
    let mut chunk_name = vec![b'@'];
    match name {
        None => {
            Stream::stdin().read(&mut text, usize::MAX);
            chunk_name = b"=stdin".to_vec();
        }
        Some(n) => {
            chunk_name.extend_from_slice(super::c_str(n));
            let f = Stream::open(n, b"rb").map_err(|e| fail("open", e))?;
            f.read(&mut text, usize::MAX);
            if f.has_error() {
                let e = crate::stdio::last_error();
                let _ = f.close();
                return Err(fail("read", e));
            }
            let _ = f.close();
        }
    }
    cx.load(&text, &chunk_name, mode, env)
}

fn loadfile(cx: Cx) -> NativeResult {
    let name = cx.opt_str(1)?;
    let mode = mode_of(cx, 2)?;
    loaded(cx, load_file(cx, name.as_ref().map(|n| n.bytes()), &mode, cx.arg(3).as_table()))
}

fn dofile(cx: Cx) -> NativeResult {
    let name = cx.opt_str(1)?;
    let f = load_file(cx, name.as_ref().map(|n| n.bytes()), "bt", None)?;
    cx.push(f);
    let n = cx.call_pushed(0, -1)?;
    cx.ret(n)
}

fn gcinfo(cx: Cx) -> NativeResult {
    cx.ret1(Value::number((cx.gc_count() >> 10) as f64))
}

fn collectgarbage(cx: Cx) -> NativeResult {
    const OPTIONS: [&str; 10] = [
        "stop",
        "restart",
        "collect",
        "count",
        "\u{ff}",
        "step",
        "setpause",
        "setstepmul",
        "\u{ff}",
        "isrunning",
    ];
    let option = cx.check_option(1, Some("collect"), &OPTIONS)?;
    let data = cx.opt_int(2, 0)?;
    match OPTIONS[option] {
        "stop" => cx.gc_stop(),
        "restart" => cx.gc_restart(),
        "count" => return cx.ret1(Value::number(cx.gc_count() as f64 / 1024.0)),
        "step" => return cx.ret1(cx.gc_step(data)),
        "setpause" => return cx.ret1(cx.gc_set_pause(data)),
        "setstepmul" => return cx.ret1(cx.gc_set_stepmul(data)),
        "isrunning" => return cx.ret1(cx.gc_is_running()),
        _ => cx.gc_collect(),
    }
    cx.ret1(0)
}

fn newproxy(cx: Cx) -> NativeResult {
    let Some(valid) = cx.upvalue(1).as_table() else { return cx.ret0() };
    let v = cx.arg(1);
    if v.is_falsy() {
        return cx.ret1(cx.userdata_raw(0, None));
    }
    let meta = if v == Value::TRUE {
        let m = cx.table(0, 0);
        cx.raw_set(valid, m.into(), true)?;
        m
    } else {
        match cx.metatable(v) {
            Some(m) if valid.get(m.into()).is_truthy() => m,
            _ => return Err(cx.arg_error(1, "boolean or proxy expected")),
        }
    };
    let u = cx.userdata_raw(0, None);
    cx.push(u);
    cx.set_metatable(u.into(), Some(meta));
    cx.ret(1)
}

fn print(cx: Cx) -> NativeResult {
    let n = cx.nargs();
    // Whoever replaces `tostring` replaces how `print` shows things.
    let g: Value = cx.globals().into();
    let tostring = cx.get(g, cx.upvalue(1))?;
    cx.push(tostring);
    let original = ffid::number("_G", "tostring").unwrap_or(0);
    let shortcut = tostring.as_func().is_some_and(|f| cx.function_number(f) == original);
    let plain_numbers = shortcut && cx.metatable(Value::int(0)).is_none();
    let mut text = Vec::new();
    let out = Stream::stdout();
    for i in 1..=n {
        let v = cx.arg(i);
        if i > 1 {
            text.push(b'\t');
        }
        if shortcut && v.as_str().is_some() || plain_numbers && v.is_number() {
            put_text(&mut text, v);
            continue;
        }
        // What was printed before stays printed if the call fails.
        let _ = out.write(&text);
        text.clear();
        let s = cx.call(tostring, &[v])?;
        if !put_text(&mut text, s) {
            return Err(cx.error("'tostring' must return a string to 'print'"));
        }
    }
    text.push(b'\n');
    let _ = out.write(&text);
    cx.ret0()
}
