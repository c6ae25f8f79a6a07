//! The jit library, which turns the compiler on as it is opened. `jit.util` knows functions and bytecode; its trace functions find no
//! traces.

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::jit::hot;
use crate::object::Proto;
use crate::value::{Gc, Value};

/// What `jit.version` gives: the version whose language and libraries these are.
pub const VERSION: &str = "LuaJIT 2.1.ROLLING";

/// Opens the library.
pub fn open(cx: Cx) {
    let t = super::library(
        cx,
        "jit",
        &[
            ("on", on),
            ("off", off),
            ("flush", flush),
            ("status", status),
            ("security", security),
            ("attach", attach),
        ],
    );
    cx.set_field(t, "os", cx.str(b"Linux"));
    let arch: &[u8] = if cfg!(target_arch = "aarch64") { b"arm64" } else { b"x64" };
    cx.set_field(t, "arch", cx.str(arch));
    cx.set_field(t, "version_num", 20199);
    cx.set_field(t, "version", cx.str(VERSION.as_bytes()));
    let opt = cx.table(0, 1);
    super::register(cx, opt, "jit.opt", &[("start", opt_start)]);
    cx.set_field(t, "opt", opt);
    cx.set_field(super::registry_table(cx, "_LOADED"), "jit.opt", opt);
    hot::turn(cx, true);
    super::preload(cx, "jit.util", open_util);
    super::preload(cx, "jit.profile", open_profile);
}

/// The arguments of `on`, `off` and `flush`: nothing, or a function or true, and how far it reaches.
fn check_target(cx: Cx) -> Result<(), Throw> {
    let v = cx.arg(1);
    if v.is_nil() || v.as_func().is_some() || v.as_proto().is_some() || v == Value::TRUE {
        Ok(())
    } else {
        Err(cx.type_error(1, "function"))
    }
}

fn on(cx: Cx) -> NativeResult {
    on_off(cx, true)
}

fn off(cx: Cx) -> NativeResult {
    on_off(cx, false)
}

/// Without arguments the compiler; else a function (`true`: the caller), with `true` behind it those inside it too, with
/// `false` only those.
fn on_off(cx: Cx, on: bool) -> NativeResult {
    check_target(cx)?;
    if cx.arg(1).is_nil() {
        hot::turn(cx, on);
    } else if let Some(p) = target(cx) {
        let inner = cx.arg(2);
        if inner != Value::FALSE {
            hot::permit(p, on);
        }
        if inner == Value::TRUE || inner == Value::FALSE {
            hot::permit_inner(p, on);
        }
    }
    cx.ret0()
}

/// The prototype that argument 1 means.
fn target(cx: Cx) -> Option<Gc<Proto>> {
    let v = cx.arg(1);
    if v == Value::TRUE {
        crate::debug::function_at(cx, 1)?.proto()
    } else {
        v.as_func().and_then(|f| f.proto()).or_else(|| v.as_proto())
    }
}

fn flush(cx: Cx) -> NativeResult {
    if !cx.arg(1).is_number() {
        check_target(cx)?;
    }
    if cx.arg(1).is_nil() {
        hot::flush(cx);
    }
    cx.ret0()
}

fn status(cx: Cx) -> NativeResult {
    let flags = hot::flags(cx);
    cx.push(cx.g().jit_on);
    for flag in &flags {
        cx.push(cx.str(flag.as_bytes()));
    }
    cx.ret(1 + flags.len())
}

fn security(cx: Cx) -> NativeResult {
    let i = cx.check_option(1, None, &["prng", "strhash", "strid", "mcode"])?;
    // A seeded generator and seeded string hashes; string numbers are deterministic; there is no machine code.
    cx.ret1([1, 1, 0, 0][i])
}

/// Remembers the callback; the events that exist without a compiler are not raised yet.
fn attach(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    let event = cx.opt_str(2)?;
    let events = super::registry_table(cx, "_VMEVENTS");
    match event {
        Some(e) => cx.raw_set(events, e.into(), f)?,
        None => {
            let mut pos = 0;
            while let Some((next, k, v)) = events.next_from(pos) {
                if v == f.into() {
                    cx.raw_set(events, k, Value::NIL)?;
                }
                pos = next;
            }
        }
    }
    cx.ret0()
}

/// Levels, flags and parameters.
fn opt_start(cx: Cx) -> NativeResult {
    for i in 1..=cx.nargs() {
        let s = cx.check_str(i)?.bytes();
        let text = String::from_utf8_lossy(super::c_str(s));
        if !hot::set_option(cx, &text) {
            return Err(cx.error(format!("unknown or malformed optimization flag '{text}'")));
        }
    }
    cx.ret0()
}

fn open_util(cx: Cx) -> NativeResult {
    let t = cx.table(0, 12);
    super::register(
        cx,
        t,
        "jit.util",
        &[
            ("funcinfo", funcinfo),
            ("funcbc", funcbc),
            ("funck", funck),
            ("funcuvname", funcuvname),
            ("traceinfo", no_trace),
            ("traceir", no_trace),
            ("tracek", no_trace),
            ("tracesnap", no_trace),
            ("tracemc", no_trace),
            ("traceexitstub", no_trace),
            ("ircalladdr", no_trace),
        ],
    );
    cx.ret1(t)
}

/// The prototype of argument 1; `None` for a native function.
fn check_proto(cx: Cx) -> Result<Option<Gc<Proto>>, Throw> {
    let v = cx.arg(1);
    match (v.as_proto(), v.as_func()) {
        (Some(p), _) => Ok(Some(p)),
        (_, Some(f)) => Ok(f.proto()),
        _ => Err(cx.type_error(1, "function")),
    }
}

/// As [`check_proto`], but native functions are refused too.
fn check_lua_proto(cx: Cx) -> Result<Gc<Proto>, Throw> {
    check_proto(cx)?.ok_or_else(|| cx.type_error(1, "function"))
}

fn funcinfo(cx: Cx) -> NativeResult {
    let Some(p) = check_proto(cx)? else {
        let t = cx.table(0, 4);
        if let Some(f) = cx.arg(1).as_func() {
            let number = cx.function_number(f);
            if number > 0 {
                cx.set_field(t, "ffid", i32::from(number));
            }
            cx.set_field(t, "addr", Value::int(cx.address_of(f.into()) as i64));
            cx.set_field(t, "upvalues", i32::from(f.h.y));
        }
        return cx.ret1(t);
    };
    let pc = cx.opt_int(2, 0)?;
    let t = cx.table(0, 16);
    let set = |name: &str, n: u32| cx.set_field(t, name, Value::int(i64::from(n)));
    set("linedefined", p.firstline);
    set("lastlinedefined", p.firstline + p.numline);
    set("stackslots", u32::from(p.framesize));
    set("params", u32::from(p.numparams));
    set("bytecodes", p.sizebc);
    set("gcconsts", p.sizekgc);
    set("nconsts", p.sizekn);
    set("upvalues", u32::from(p.sizeuv));
    let line = p.line(pc.max(0) as usize);
    if (pc as u32) < p.sizebc {
        set("currentline", line);
    }
    cx.set_field(t, "isvararg", p.pflags & crate::bytecode::flags::VARARG != 0);
    cx.set_field(t, "children", p.pflags & crate::bytecode::flags::CHILD != 0);
    let source = p.chunk_name();
    cx.set_field(t, "source", cx.str(source));
    cx.set_field(t, "loc", cx.str(&location(cx, p, source, line)));
    cx.set_field(t, "proto", p);
    cx.ret1(t)
}

/// A short form of chunk name and line: the file without its directory, short source text as it is, else an address.
fn location(cx: Cx, p: Gc<Proto>, source: &[u8], line: u32) -> Vec<u8> {
    let mut out = match source {
        [b'@', path @ ..] => path.rsplit(|&c| c == b'/' || c == b'\\').next().unwrap_or(path).to_vec(),
        long if long.len() > 40 => {
            let mut s = Vec::new();
            crate::strfmt::put_pointer(&mut s, cx.address_of(p.into()));
            s
        }
        [b'=', name @ ..] => name.to_vec(),
        text => [b"\"", text, b"\""].concat(),
    };
    out.push(b':');
    crate::numfmt::put_int(&mut out, i64::from(line));
    out
}

fn funcbc(cx: Cx) -> NativeResult {
    let p = check_lua_proto(cx)?;
    let pc = cx.check_int(2)?;
    match usize::try_from(pc).ok().and_then(|pc| p.code().get(pc)) {
        Some(&ins) => cx.ret2(ins as i32, mode_word(ins)),
        None => cx.ret0(),
    }
}

/// The meaning of an instruction's operands and its metamethod in one number, as the reference's viewers expect it.
fn mode_word(ins: crate::bytecode::Ins) -> i32 {
    let Some(info) = crate::bytecode::op(ins).map(crate::bytecode::Op::info) else { return 0 };
    let names = crate::state::EVENT_NAMES;
    let event = names.iter().position(|n| n[2..] == *info.event).unwrap_or(names.len());
    info.a as i32 | (info.b as i32) << 3 | (info.d as i32) << 7 | (event as i32) << 11
}

fn funck(cx: Cx) -> NativeResult {
    let p = check_lua_proto(cx)?;
    let i = cx.check_int(2)?;
    let k = if i >= 0 { p.knum().get(i as usize).copied() } else { p.kgc(!i as usize) };
    match k {
        Some(v) => cx.ret1(v),
        None => cx.ret0(),
    }
}

fn funcuvname(cx: Cx) -> NativeResult {
    let p = check_lua_proto(cx)?;
    let i = cx.check_int(2)?;
    if (i as u32) < u32::from(p.sizeuv) {
        return cx.ret1(cx.str(p.uvname(i as usize).unwrap_or(b"")));
    }
    cx.ret0()
}

fn no_trace(cx: Cx) -> NativeResult {
    cx.check_int(1)?;
    cx.ret0()
}

fn open_profile(cx: Cx) -> NativeResult {
    let t = cx.table(0, 3);
    super::register(
        cx,
        t,
        "jit.profile",
        &[("start", profile_start), ("stop", profile_stop), ("dumpstack", profile_dumpstack)],
    );
    cx.ret1(t)
}

fn profile_start(cx: Cx) -> NativeResult {
    cx.opt_str(1)?;
    cx.check_func(2)?;
    Err(cx.error("profiler not available"))
}

fn profile_stop(cx: Cx) -> NativeResult {
    cx.ret0()
}

/// A stack as text: `f` function, `F` with module, `l` line, `p` full path, `Z` no separator at the end.
fn profile_dumpstack(cx: Cx) -> NativeResult {
    let (co, arg) = match cx.arg(1).as_thread() {
        Some(t) => (t, 1),
        None => (cx.thread(), 0),
    };
    let format = cx.check_str(arg + 1)?.bytes();
    let depth = cx.check_int(arg + 2)?;
    let levels: Vec<usize> = if depth >= 0 {
        (0..depth as usize).collect()
    } else {
        (0..depth.unsigned_abs() as usize).rev().collect()
    };
    let mut out = Vec::new();
    for level in levels {
        let Some(frame) = crate::debug::frame(cx, co, level) else { continue };
        let info = crate::debug::info(cx, co, crate::debug::Target::Frame(frame));
        for &c in format {
            match c {
                b'f' | b'F' => match &info.name {
                    Some(n) => out.extend_from_slice(n),
                    None => {
                        out.extend_from_slice(&info.short_src);
                        out.push(b':');
                        crate::numfmt::put_int(&mut out, i64::from(info.linedefined));
                    }
                },
                b'l' => {
                    out.extend_from_slice(&info.short_src);
                    out.push(b':');
                    crate::numfmt::put_int(&mut out, i64::from(info.currentline));
                }
                b'p' => {}
                b'Z' => {}
                c => out.push(c),
            }
        }
    }
    cx.ret1(cx.str(&out))
}
