//! Entries for fuzzing: each takes any bytes and must neither crash nor hang, whatever they are.
//!
//! `lua-frontend/tests/fuzz.rs` runs them on mutated samples in every test run; a coverage-guided fuzzer can call them as they
//! are. What the bytes mean is an error for the script at worst, so results are dropped.

use crate::api::{Cx, NativeResult};
use crate::state::{Lua, hook};
use crate::value::Value;

/// Instructions that a fuzzed function may run.
const BUDGET: i32 = 20_000;

fn out_of_budget(cx: Cx) -> NativeResult {
    Err(cx.error("out of budget"))
}

/// A state with all libraries, and its context.
fn state() -> Lua {
    let lua = Lua::new();
    crate::stdlib::open(lua.cx());
    lua
}

/// Calls a global function of a library with strings; it has a budget of instructions.
fn call(cx: Cx, library: &str, name: &str, args: &[&[u8]]) {
    let Some(t) = cx.field(cx.globals(), library).as_table() else { return };
    cx.push(cx.field(t, name));
    for a in args {
        cx.push(cx.str(a));
    }
    let _ = cx.pcall_pushed(args.len(), 0, None);
}

/// Lexer, parser and bytecode generator; the verifier must accept what they make.
pub fn source(bytes: &[u8]) {
    let lua = state();
    let cx = lua.cx();
    if bytes.first() == Some(&crate::compile::DUMP_SIGNATURE) {
        return;
    }
    if let Ok(f) = cx.load(bytes, b"=fuzz", "t", None)
        && let Some(p) = f.proto()
    {
        let dump = crate::compile::load::dump(p, false);
        assert!(cx.load(&dump, b"=fuzz", "b", None).is_ok(), "the verifier refuses what the compiler made");
    }
}

/// The loader of dumps: what it accepts can be run.
pub fn dump(bytes: &[u8]) {
    let lua = state();
    let cx = lua.cx();
    // Nothing outside of the state can be reached: strings have methods, and that is all.
    let env = cx.table(0, 0);
    if let Ok(f) = cx.load(bytes, b"=fuzz", "b", Some(env)) {
        cx.push(f);
        crate::debug::set_hook(cx, cx.func(out_of_budget, &[]).into(), hook::COUNT, BUDGET);
        let _ = cx.pcall_pushed(0, 0, None);
        crate::debug::set_hook(cx, Value::NIL, 0, 0);
    }
}

/// Splits the input at the first zero byte.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == 0) {
        Some(i) => (&bytes[..i], &bytes[i + 1..]),
        None => (bytes, b""),
    }
}

/// Patterns: the pattern, a zero, the subject.
pub fn pattern(bytes: &[u8]) {
    let lua = state();
    let (pattern, subject) = split(bytes);
    // Matching may take exponential time by its nature.
    let subject = &subject[..subject.len().min(24)];
    for name in ["find", "match"] {
        call(lua.cx(), "string", name, &[subject, pattern]);
    }
    call(lua.cx(), "string", "gsub", &[subject, pattern, b"%0<%1>"]);
    call(lua.cx(), "string", "gsub", &[b"abc def", b"(%w)(%w*)", pattern]);
}

/// `string.format` and `os.date`: the format, a zero, what it is to show.
pub fn format(bytes: &[u8]) {
    let lua = state();
    let (format, rest) = split(bytes);
    let number = rest.iter().fold(0.1f64, |n, &b| n * 16.0 + f64::from(b)).to_string();
    call(lua.cx(), "string", "format", &[format, rest, number.as_bytes(), number.as_bytes(), rest]);
    call(lua.cx(), "string", "format", &[format, number.as_bytes(), rest, number.as_bytes()]);
}

/// C declarations.
pub fn cdef(bytes: &[u8]) {
    let lua = state();
    let cx = lua.cx();
    for chunk in [
        &b"local ffi = require('ffi') pcall(ffi.cdef, (...))"[..],
        b"local ffi = require('ffi') local ok, t = pcall(ffi.typeof, (...)) if ok then pcall(ffi.sizeof, t) tostring(t) end",
    ] {
        if let Ok(f) = cx.load(chunk, b"=cdef", "t", None) {
            cx.push(f);
            cx.push(cx.str(bytes));
            let _ = cx.pcall_pushed(1, 0, None);
        }
    }
}

/// Decoding of serialised values.
pub fn decode(bytes: &[u8]) {
    let lua = state();
    let cx = lua.cx();
    if let Ok(f) = cx.load(b"return require('string.buffer').decode((...))", b"=decode", "t", None) {
        cx.push(f);
        cx.push(cx.str(bytes));
        let _ = cx.pcall_pushed(1, 0, None);
    }
}

/// Numbers as scripts write them.
pub fn number(bytes: &[u8]) {
    if let Some(n) = crate::number::parse(bytes) {
        let mut text = Vec::new();
        crate::number::format(n, &mut text);
        let again = crate::number::parse(&text);
        assert!(again.is_some(), "a number is shown as {}", String::from_utf8_lossy(&text));
    }
}

/// An entry.
pub type Entry = fn(&[u8]);

/// All entries, with samples to start from.
pub const ENTRIES: &[(&str, Entry, &[&[u8]])] = &[
    (
        "source",
        source,
        &[
            b"local a, b = 1, {x = 2, [3] = 4; 5} for i = 1, 10 do a = a + (b.x or i) end return a .. 'x', b",
            b"local function f(...) local t = {...} return #t > 0 and f(select(2, ...)) or nil end goto done ::done:: return f",
            b"while true do if x then break elseif y ~= 0x1p4 then repeat local z = -y until z else continue end end",
            b"local s = [==[long]==] .. \"\\x41\\u{20ac}\\z  \\065\" return s:rep(3), 1LL + 2ULL, 3i, 0b101, 1_000, a ?? b, c?.d",
            b"for k, v in pairs(t) do t[k], v = v, function(x) return x + k end end local const c <const> = 1 x += 1",
        ],
    ),
    ("pattern", pattern, &[b"(%a+)%s*=%s*([^;]-);\0key = value;", b"%b()%f[%w]^$.-[%z\x01-\x7f]*\0f(a(b)c)", b"()(%1)%2[]-]\0aaaa"]),
    ("format", format, &[b"%5.2f %-10s|%q %x %c %g %%\0text", b"%a %+.3e %#o %i %u %p\0\x01\xff", b"%99.99f%099d%.99s\0abc"]),
    (
        "cdef",
        cdef,
        &[
            b"typedef struct { int a:3; unsigned b:29; union { double d; char c[8]; }; struct s *next; } T; int f(T *, ...);",
            b"enum { A = 1 << 3, B = sizeof(int) ? A | 2 : -1 }; typedef int (*fp)(const char *restrict, long double);",
            b"struct __attribute__((packed, aligned(16))) q { int a[2][3]; float _Complex z; }; extern \"C\" { int x; }",
            b"int(*)[4] const volatile *",
        ],
    ),
    ("decode", decode, &[b"\x09\x02\x06\x23ab\x07\x01\x02\x03\x04\x05\x06\x07\x08", b"\x0c\x01\x06\x01\x25hello\x02\x01\x00", b"\x10\x01\x02\x03\x04"]),
    ("number", number, &[b"0x1.8p-3", b"1e308", b"-0x7fffffffffffffffLL", b"0b1011", b" 12.5e+3 ", b"nan", b"1_000.5i"]),
];
