//! The package library: `require`, `module` and the search for modules.
//!
//! The library's table is the environment of its functions (they read `package.path` and the like from it even if a
//! script replaced the global). Modules written in C are loaded by [`crate::capi`].

use crate::api::{Cx, NativeFn, NativeResult};
use crate::capi::load::{NoFunction, library_function};
use crate::error::Throw;
use crate::object::Table;
use crate::stdio::{self, Stream};
use crate::stdlib::{Settings, c_str, put_text, registry_table};
use crate::value::{Gc, Value};

const PATH: &[u8] = b"./?.lua;/usr/local/share/luajit-2.1/?.lua;/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua";
const CPATH: &[u8] = b"./?.so;/usr/local/lib/lua/5.1/?.so;/usr/local/lib/lua/5.1/loadall.so";

/// Opens the library.
pub fn open(cx: Cx, settings: &Settings) {
    let loaded = registry_table(cx, "_LOADED");
    let preload = registry_table(cx, "_PRELOAD");
    let t = super::library(cx, "package", &[]);
    let make = |f: NativeFn| {
        let f = cx.func(f, &[]);
        cx.set_func_env(f, t);
        f
    };
    let functions: [(&str, NativeFn); 3] =
        [("loadlib", loadlib), ("searchpath", searchpath), ("seeall", seeall)];
    for (name, f) in functions {
        cx.set_field(t, name, make(f));
    }
    let loaders = cx.table(4, 0);
    let all: [NativeFn; 4] = [loader_preload, loader_lua, loader_c, loader_croot];
    for (i, f) in all.into_iter().enumerate() {
        // Inside the array part: this cannot fail.
        let _ = cx.raw_set_int(loaders, i as i32 + 1, make(f));
    }
    cx.set_field(t, "loaders", loaders);
    for (field, variable, default) in [("path", "LUA_PATH", PATH), ("cpath", "LUA_CPATH", CPATH)] {
        let value = stdio::getenv(variable.as_bytes()).filter(|_| !settings.no_env);
        let value = value.map_or(default.to_vec(), |v| with_default(&v, default));
        cx.set_field(t, field, cx.str(&value));
    }
    cx.set_field(t, "config", cx.str(b"/\n;\n?\n!\n-\n"));
    cx.set_field(t, "loaded", loaded);
    cx.set_field(t, "preload", preload);
    let g = cx.globals();
    cx.set_field(g, "module", make(module));
    cx.set_field(g, "require", make(require));
}

/// `;;` in a path stands for the default.
fn with_default(path: &[u8], default: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < path.len() {
        if path[i..].starts_with(b";;") {
            out.push(b';');
            out.extend_from_slice(default);
            out.push(b';');
            i += 2;
        } else {
            out.push(path[i]);
            i += 1;
        }
    }
    out
}

pub(crate) fn replace(s: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = s;
    while let Some(at) = crate::pattern::find_plain(rest, from).filter(|_| !from.is_empty()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The first readable file of a path, or the list of those tried.
fn search(name: &[u8], path: &[u8], sep: &[u8], dirsep: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let name = replace(name, sep, dirsep);
    let mut tried = Vec::new();
    for template in path.split(|&c| c == b';').filter(|t| !t.is_empty()) {
        let file = replace(template, b"?", &name);
        if let Ok(f) = Stream::open(&file, b"r") {
            let _ = f.close();
            return Ok(file);
        }
        tried.extend_from_slice(b"\n\tno file '");
        tried.extend_from_slice(&file);
        tried.push(b'\'');
    }
    Err(tried)
}

fn searchpath(cx: Cx) -> NativeResult {
    // The reference checks them in this order.
    let dirsep = cx.opt_str(4)?.map_or(&b"/"[..], |s| s.bytes());
    let sep = cx.opt_str(3)?.map_or(&b"."[..], |s| s.bytes());
    let path = cx.check_str(2)?.bytes();
    let name = cx.check_str(1)?.bytes();
    match search(c_str(name), c_str(path), c_str(sep), c_str(dirsep)) {
        Ok(file) => cx.ret1(cx.str(&file)),
        Err(tried) => cx.ret2(Value::NIL, cx.str(&tried)),
    }
}

/// The table of this library.
fn this(cx: Cx) -> Gc<Table> {
    cx.func_env()
}

/// Searches for a module in `package.path` or `package.cpath`.
fn find(cx: Cx, name: &[u8], field: &str) -> Result<Result<Vec<u8>, Vec<u8>>, Throw> {
    let mut path = Vec::new();
    let v = cx.get(this(cx).into(), cx.str_value(field))?;
    if !put_text(&mut path, v) {
        return Err(cx.error(format!("'package.{field}' must be a string")));
    }
    Ok(search(c_str(name), c_str(&path), b".", b"/"))
}

fn load_error(cx: Cx, name: &[u8], file: &[u8], why: &[u8]) -> Throw {
    let mut msg = b"error loading module '".to_vec();
    msg.extend_from_slice(c_str(name));
    msg.extend_from_slice(b"' from file '");
    msg.extend_from_slice(file);
    msg.extend_from_slice(b"':\n\t");
    msg.extend_from_slice(why);
    cx.error(&msg)
}

fn loader_preload(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?;
    let preload = cx.get(this(cx).into(), cx.str_value("preload"))?;
    if preload.as_table().is_none() {
        return Err(cx.error("'package.preload' must be a table"));
    }
    let f = cx.get(preload, name.into())?;
    if !f.is_nil() {
        return cx.ret1(f);
    }
    let mut msg = b"\n\tno field package.preload['".to_vec();
    msg.extend_from_slice(c_str(name.bytes()));
    msg.extend_from_slice(b"']");
    cx.ret1(cx.str(&msg))
}

fn loader_lua(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    let file = match find(cx, name, "path")? {
        Ok(f) => f,
        Err(tried) => return cx.ret1(cx.str(&tried)),
    };
    match super::base::load_file(cx, Some(&file), "bt", None) {
        Ok(f) => cx.ret1(f),
        Err(e) => {
            let mut why = Vec::new();
            let v = cx.take_error(e);
            put_text(&mut why, v);
            Err(load_error(cx, name, &file, &why))
        }
    }
}

/// The opening function of a module in C: `luaopen_` and the name behind any `-`, with `_` for dots.
fn open_c(cx: Cx, file: &[u8], name: &[u8]) -> Result<Value, NoFunction> {
    let name = c_str(name);
    let name = name.iter().position(|&c| c == b'-').map_or(name, |i| &name[i + 1..]);
    let symbol = [b"luaopen_", &replace(name, b".", b"_")[..]].concat();
    library_function(cx, file, &symbol)
}

fn loader_c(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    match find(cx, name, "cpath")? {
        Ok(file) => match open_c(cx, &file, name) {
            Ok(f) => cx.ret1(f),
            Err(NoFunction::Open(why) | NoFunction::Symbol(why)) => Err(load_error(cx, name, &file, &why)),
        },
        Err(tried) => cx.ret1(cx.str(&tried)),
    }
}

fn loader_croot(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    let Some(dot) = c_str(name).iter().position(|&c| c == b'.') else { return cx.ret0() };
    match find(cx, &name[..dot], "cpath")? {
        Ok(file) => match open_c(cx, &file, name) {
            Ok(f) => cx.ret1(f),
            Err(NoFunction::Open(why)) => Err(load_error(cx, name, &file, &why)),
            Err(NoFunction::Symbol(_)) => {
                let name = String::from_utf8_lossy(c_str(name));
                let file = String::from_utf8_lossy(&file);
                cx.ret1(cx.str_value(format!("\n\tno module '{name}' in file '{file}'")))
            }
        },
        Err(tried) => cx.ret1(cx.str(&tried)),
    }
}

fn loadlib(cx: Cx) -> NativeResult {
    let path = cx.check_str(1)?.bytes();
    let init = cx.check_str(2)?.bytes();
    match library_function(cx, c_str(path), c_str(init)) {
        Ok(f) => cx.ret1(f),
        Err(NoFunction::Open(msg)) => cx.ret3(Value::NIL, cx.str(&msg), cx.str(b"open")),
        Err(NoFunction::Symbol(msg)) => cx.ret3(Value::NIL, cx.str(&msg), cx.str(b"init")),
    }
}

fn require(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?;
    let loaded = registry_table(cx, "_LOADED");
    let sentinel = sentinel(cx);
    let shown = || String::from_utf8_lossy(c_str(name.bytes())).into_owned();
    let found = cx.get(loaded.into(), name.into())?;
    if found.is_truthy() {
        if found == sentinel {
            return Err(cx.error(format!("loop or previous error loading module '{}'", shown())));
        }
        return cx.ret1(found);
    }
    let loaders = cx.get(this(cx).into(), cx.str_value("loaders"))?;
    let Some(loaders) = loaders.as_table() else {
        return Err(cx.error("'package.loaders' must be a table"));
    };
    cx.push(loaders);
    let mut tried = Vec::new();
    let mut i = 1;
    let loader = loop {
        let l = loaders.get_int(i);
        if l.is_nil() {
            let mut msg = format!("module '{}' not found:", shown()).into_bytes();
            msg.extend_from_slice(&tried);
            return Err(cx.error(&msg));
        }
        let r = cx.call(l, &[name.into()])?;
        if r.as_func().is_some() {
            break r;
        }
        put_text(&mut tried, r);
        i += 1;
    };
    cx.push(loader);
    cx.set(loaded.into(), name.into(), sentinel)?;
    let r = cx.call(loader, &[name.into()])?;
    if !r.is_nil() {
        cx.set(loaded.into(), name.into(), r)?;
    }
    let r = cx.get(loaded.into(), name.into())?;
    if r == sentinel {
        cx.set(loaded.into(), name.into(), Value::TRUE)?;
        return cx.ret1(true);
    }
    cx.ret1(r)
}

/// What stands in `package.loaded` while a module loads.
fn sentinel(cx: Cx) -> Value {
    let _ = cx;
    Value::light(0x73)
}

fn module(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?;
    let last = cx.nargs();
    let loaded = registry_table(cx, "_LOADED");
    let mut m = cx.get(loaded.into(), name.into())?;
    if m.as_table().is_none() {
        m = global_table(cx, c_str(name.bytes()))?;
        cx.set(loaded.into(), name.into(), m)?;
    }
    cx.push(m);
    if cx.get(m, cx.str_value("_NAME"))?.is_nil() {
        cx.set(m, cx.str_value("_M"), m)?;
        cx.set(m, cx.str_value("_NAME"), name.into())?;
        let bytes = c_str(name.bytes());
        let package = bytes.iter().rposition(|&c| c == b'.').map_or(0, |i| i + 1);
        cx.set(m, cx.str_value("_PACKAGE"), cx.str_value(&bytes[..package]))?;
    }
    match (crate::debug::function_at(cx, 1).filter(|f| f.is_lua()), m.as_table()) {
        (Some(f), Some(t)) => cx.set_func_env(f, t),
        _ => return Err(cx.error("'module' not called from a Lua function")),
    }
    for i in 2..=last {
        cx.call(cx.arg(i), &[m])?;
    }
    cx.ret0()
}

/// The table that a dotted name leads to from the globals, made where it is missing.
fn global_table(cx: Cx, name: &[u8]) -> Result<Value, Throw> {
    let mut t = cx.globals();
    for part in name.split(|&c| c == b'.') {
        let key = cx.str(part).into();
        let v = t.get(key);
        t = match v.as_table() {
            Some(next) => next,
            None if v.is_nil() => {
                let new = cx.table(0, 1);
                cx.set(t.into(), key, new.into())?;
                new
            }
            None => {
                return Err(cx.error(format!("name conflict for module '{}'", String::from_utf8_lossy(name))));
            }
        };
    }
    Ok(t.into())
}

fn seeall(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let meta = match cx.metatable(t.into()) {
        Some(m) => m,
        None => {
            let m = cx.table(0, 1);
            cx.set_metatable(t.into(), Some(m));
            m
        }
    };
    cx.set(meta.into(), cx.str_value("__index"), cx.globals().into())?;
    cx.ret0()
}
