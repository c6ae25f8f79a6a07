//! The debug library: a thin layer over [`crate::debug`].

use crate::api::{Cx, NativeResult};
use crate::debug::{self, Target};
use crate::error::Throw;
use crate::object::{Table, Thread};
use crate::state::hook;
use crate::stdio::Stream;
use crate::stdlib::check_table_or_nil;
use crate::value::{Gc, Value};

/// Opens the library.
pub fn open(cx: Cx) {
    super::library(
        cx,
        "debug",
        &[
            ("getregistry", getregistry),
            ("getmetatable", getmetatable),
            ("setmetatable", setmetatable),
            ("getfenv", getfenv),
            ("setfenv", setfenv),
            ("getinfo", getinfo),
            ("getlocal", getlocal),
            ("setlocal", setlocal),
            ("getupvalue", getupvalue),
            ("setupvalue", setupvalue),
            ("upvalueid", upvalueid),
            ("upvaluejoin", upvaluejoin),
            ("sethook", sethook),
            ("gethook", gethook),
            ("debug", debug_),
            ("traceback", traceback),
        ],
    );
}

fn getregistry(cx: Cx) -> NativeResult {
    cx.ret1(cx.registry())
}

fn getmetatable(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    cx.ret1(cx.metatable(v))
}

fn setmetatable(cx: Cx) -> NativeResult {
    let m = check_table_or_nil(cx, 2)?;
    cx.set_metatable(cx.arg(1), m);
    cx.ret1(true)
}

fn getfenv(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    if let Some(f) = v.as_func() {
        cx.ret1(cx.env_of(f))
    } else if let Some(u) = v.as_userdata() {
        cx.ret1(if u.env.is_null() { Value::NIL } else { Gc::<Table>::from_ptr(u.env).into() })
    } else if let Some(t) = v.as_thread() {
        cx.ret1(Gc::<Table>::from_ptr(t.env))
    } else {
        cx.ret1(Value::NIL)
    }
}

fn setfenv(cx: Cx) -> NativeResult {
    let t = cx.check_table(2)?;
    let v = cx.arg(1);
    if let Some(f) = v.as_func() {
        cx.set_func_env(f, t);
    } else if let Some(u) = v.as_userdata() {
        cx.set_userdata_env(u, t);
    } else if let Some(co) = v.as_thread() {
        cx.set_thread_env(co, t);
    } else {
        return Err(cx.error("'setfenv' cannot change environment of given object"));
    }
    cx.ret1(v)
}

/// The coroutine that an optional first argument names, and the number of arguments it takes up.
fn thread_arg(cx: Cx) -> (Gc<Thread>, usize) {
    match cx.arg(1).as_thread() {
        Some(t) => (t, 1),
        None => (cx.thread(), 0),
    }
}

fn getinfo(cx: Cx) -> NativeResult {
    let (co, arg) = thread_arg(cx);
    let options = cx.opt_str(arg + 2)?.map_or(&b"flnSu"[..], |s| s.bytes());
    let v = cx.arg(arg + 1);
    let level = v.as_number().or_else(|| crate::numscan::to_number(v.as_str()?.bytes()));
    let target = if let Some(level) = level {
        let level = crate::numfmt::num_to_i32(level);
        match usize::try_from(level).ok().and_then(|l| debug::frame(cx, co, l)) {
            Some(f) => Target::Frame(f),
            None => return cx.ret1(Value::NIL),
        }
    } else if let Some(f) = v.as_func() {
        Target::Func(f)
    } else {
        return Err(cx.arg_error(arg + 1, "function or level expected"));
    };
    if !options.iter().all(|c| b"SlnufL".contains(c)) {
        return Err(cx.arg_error(arg + 2, "invalid option"));
    }
    let info = debug::info(cx, co, target);
    let t = cx.table(0, 16);
    let set_str = |name: &str, s: &[u8]| cx.set_field(t, name, cx.str(s));
    for &c in options {
        match c {
            b'S' => {
                set_str("source", &info.source);
                set_str("short_src", &info.short_src);
                cx.set_field(t, "linedefined", info.linedefined);
                cx.set_field(t, "lastlinedefined", info.lastlinedefined);
                set_str("what", info.what.as_bytes());
            }
            b'l' => cx.set_field(t, "currentline", info.currentline),
            b'u' => {
                cx.set_field(t, "nups", i32::from(info.nups));
                cx.set_field(t, "nparams", i32::from(info.nparams));
                cx.set_field(t, "isvararg", info.isvararg);
            }
            b'n' => {
                if let Some(name) = &info.name {
                    set_str("name", name);
                }
                set_str("namewhat", info.namewhat.as_bytes());
            }
            b'f' => cx.set_field(t, "func", info.func),
            _ => {
                if info.func.is_lua() {
                    let lines = cx.table(0, 0);
                    for &line in &info.activelines {
                        cx.raw_set_int(lines, line, true)?;
                    }
                    cx.set_field(t, "activelines", lines);
                }
            }
        }
    }
    cx.ret1(t)
}

/// The frame at the level in argument `i`.
fn frame_arg(cx: Cx, co: Gc<Thread>, i: usize) -> Result<debug::Frame, Throw> {
    let level = usize::try_from(cx.check_int(i)?).ok();
    level.and_then(|l| debug::frame(cx, co, l)).ok_or_else(|| cx.arg_error(i, "level out of range"))
}

fn getlocal(cx: Cx) -> NativeResult {
    let (co, arg) = thread_arg(cx);
    let slot = cx.check_int(arg + 2)?;
    if let Some(f) = cx.arg(arg + 1).as_func() {
        return cx.ret1(debug::param_name(f, slot).map(|n| cx.str(&n)));
    }
    let frame = frame_arg(cx, co, arg + 1)?;
    match debug::local(cx, co, frame, slot) {
        Some((name, v)) => cx.ret2(cx.str(&name), v),
        None => cx.ret1(Value::NIL),
    }
}

fn setlocal(cx: Cx) -> NativeResult {
    let (co, arg) = thread_arg(cx);
    let frame = frame_arg(cx, co, arg + 1)?;
    let v = cx.check_any(arg + 3)?;
    let slot = cx.check_int(arg + 2)?;
    cx.ret1(debug::set_local(cx, co, frame, slot, v).map(|n| cx.str(&n)))
}

fn getupvalue(cx: Cx) -> NativeResult {
    let n = cx.check_int(2)?;
    let f = cx.check_func(1)?;
    match debug::upvalue(f, n) {
        Some((name, v)) => cx.ret2(cx.str(&name), v),
        None => cx.ret0(),
    }
}

fn setupvalue(cx: Cx) -> NativeResult {
    let v = cx.check_any(3)?;
    let n = cx.check_int(2)?;
    let f = cx.check_func(1)?;
    match debug::set_upvalue(cx, f, n, v) {
        Some(name) => cx.ret1(cx.str(&name)),
        None => cx.ret0(),
    }
}

fn upvalueid(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    let n = cx.check_int(2)?;
    match debug::upvalue_id(f, n) {
        Some(p) => cx.ret1(cx.lightuserdata(p)),
        None => Err(cx.arg_error(2, "index out of range")),
    }
}

fn upvaluejoin(cx: Cx) -> NativeResult {
    let mut found = [None; 2];
    for (i, slot) in found.iter_mut().enumerate() {
        let f = cx.check_func(2 * i + 1)?;
        if !f.is_lua() {
            return Err(cx.arg_error(2 * i + 1, "Lua function expected"));
        }
        let n = cx.check_int(2 * i + 2)?;
        if debug::upvalue_id(f, n).is_none() {
            return Err(cx.arg_error(2 * i + 2, "index out of range"));
        }
        *slot = Some((f, n));
    }
    if let [Some((f, n)), Some((g, m))] = found {
        debug::upvalue_join(cx, f, n, g, m);
    }
    cx.ret0()
}

fn sethook(cx: Cx) -> NativeResult {
    let (_, arg) = thread_arg(cx);
    let f = cx.arg(arg + 1);
    if f.is_nil() {
        debug::set_hook(cx, Value::NIL, 0, 0);
        return cx.ret0();
    }
    let events = cx.check_str(arg + 2)?.bytes();
    cx.check_func(arg + 1)?;
    let count = cx.opt_int(arg + 3, 0)?;
    let mut mask = if count > 0 { hook::COUNT } else { 0 };
    for (c, bit) in [(b'c', hook::CALL), (b'r', hook::RET), (b'l', hook::LINE)] {
        if events.contains(&c) {
            mask |= bit;
        }
    }
    debug::set_hook(cx, f, mask, count);
    cx.ret0()
}

fn gethook(cx: Cx) -> NativeResult {
    let (mut f, mask, count) = debug::get_hook(cx);
    if f.is_light() {
        f = cx.str_value("external hook");
    }
    let mut events = Vec::new();
    for (c, bit) in [(b'c', hook::CALL), (b'r', hook::RET), (b'l', hook::LINE)] {
        if mask & bit != 0 {
            events.push(c);
        }
    }
    cx.ret3(f, cx.str(&events), count)
}

fn debug_(cx: Cx) -> NativeResult {
    loop {
        let _ = Stream::stderr().write(b"lua_debug> ");
        let mut line = Vec::new();
        if !Stream::stdin().read_line(&mut line) || line == b"cont\n" {
            return cx.ret0();
        }
        let failed = match cx.load(&line, b"=(debug command)", "bt", None) {
            Ok(f) => {
                cx.push(f);
                cx.pcall_pushed(0, 0, None).err()
            }
            Err(e) => Some(cx.take_error(e)),
        };
        if let Some(v) = failed {
            let mut text = Vec::new();
            if !super::put_text(&mut text, v) {
                text.extend_from_slice(b"(error object is not a string)");
            }
            text.push(b'\n');
            let _ = Stream::stderr().write(&text);
        }
        cx.set_top(0);
    }
}

fn traceback(cx: Cx) -> NativeResult {
    let (co, arg) = thread_arg(cx);
    let msg = cx.arg(arg + 1);
    let mut text = Vec::new();
    let has_msg = super::put_text(&mut text, msg);
    if !has_msg && cx.nargs() > arg {
        return cx.ret1(msg);
    }
    let level = cx.opt_int(arg + 2, i32::from(co == cx.thread()))?;
    let text = debug::traceback(cx, co, has_msg.then_some(&text[..]), level.max(0) as usize);
    cx.ret1(cx.str(&text))
}
