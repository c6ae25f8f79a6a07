//! The compiler against the reference implementation, and dumps against everything.
//!
//! `compile/errors.txt` and `compile/listings.txt` hold sources with what the reference says about them. Every listing also goes
//! through a dump and back. The fuzz tests mutate sources and dumps: nothing may panic, and whatever the compiler
//! makes the verifier accepts.

use std::fs;
use std::path::Path;

use lua_frontend::compile::code::Chunk;
use lua_frontend::compile::{compile, dump, list::list, verify::verify};
use lua_frontend::state::Lua;
use lua_frontend::value::Value;

fn number(n: f64) -> String {
    let mut out = Vec::new();
    lua_frontend::number::format(n, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn listing(chunk: &Chunk) -> String {
    let mut out = Vec::new();
    list(chunk, number, &mut out).expect("a vector takes everything");
    String::from_utf8_lossy(&out).into_owned()
}

/// The cases of a file: source, expected result.
fn cases(file: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile").join(file);
    let text = fs::read_to_string(&path).expect("the file of cases");
    let cases: Vec<_> = text
        .split("=== source\n")
        .skip(1)
        .map(|case| {
            let (source, result) = case.split_once("\n=== result\n").expect("a result for each source");
            (source.to_string(), result.trim_end().to_string())
        })
        .collect();
    assert!(cases.len() > 50, "{file} has its cases");
    cases
}

#[test]
fn messages_are_those_of_the_reference() {
    for (source, expected) in cases("errors.txt") {
        match compile(source.as_bytes(), b"=m") {
            Ok(_) => panic!("compiles, but should not:\n{source}"),
            Err(error) => assert_eq!(error.to_string(), expected, "\n{source}"),
        }
    }
}

#[test]
fn bytecode_is_that_of_the_reference() {
    for (source, expected) in cases("listings.txt") {
        let chunk = compile(source.as_bytes(), b"=m").unwrap_or_else(|e| panic!("{e}\n{source}"));
        assert_eq!(listing(&chunk).trim_end(), expected, "\n{source}");
        verify(&chunk).unwrap_or_else(|e| panic!("{e}\n{source}"));
        for strip in [false, true] {
            let bytes = dump::write(&chunk, strip);
            let back = dump::read(&bytes, b"=m").unwrap_or_else(|e| panic!("{e}\n{source}"));
            verify(&back).unwrap_or_else(|e| panic!("{e}\n{source}"));
            assert_eq!(dump::write(&back, strip), bytes, "\n{source}");
            if !strip {
                assert_eq!(listing(&back).trim_end(), expected, "\n{source}");
            }
        }
    }
}

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => {
                bytes.remove(at);
            }
            4 => bytes.insert(at, random.below(256) as u8),
            _ => {
                let from = random.below(bytes.len());
                bytes[at] = bytes[from];
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn mutated_dumps_are_read_or_refused() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    let mut refused = 0;
    for (source, _) in cases("listings.txt") {
        let chunk = compile(source.as_bytes(), b"=m").expect("a case that compiles");
        let dump_bytes = dump::write(&chunk, false);
        for _ in 0..200 {
            let mut bytes = dump_bytes.clone();
            mutate(&mut bytes, &mut random);
            match dump::read(&bytes, b"=m").and_then(|chunk| verify(&chunk).map(|()| chunk)) {
                Ok(chunk) => {
                    accepted += 1;
                    listing(&chunk);
                    dump::write(&chunk, false);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 1000 && refused > 10_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn mutated_sources_compile_or_fail_and_pass_the_verifier() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let sources: Vec<String> =
        cases("listings.txt").into_iter().chain(cases("errors.txt")).map(|c| c.0).collect();
    for _ in 0..20_000 {
        let mut bytes = sources[random.below(sources.len())].clone().into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(sources[random.below(sources.len())].as_bytes());
        mutate(&mut bytes, &mut random);
        if let Ok(chunk) = compile(&bytes, b"=m") {
            verify(&chunk).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(&bytes)));
        }
    }
}

#[test]
fn mutated_dumps_that_are_accepted_run_without_harm() {
    let lua = Lua::new();
    let cx = lua.cx();
    lua_frontend::stdlib::open(cx);
    let sources = cx.table(0, 0);
    for (i, (source, _)) in cases("listings.txt").iter().enumerate() {
        cx.raw_set(sources, Value::int(i as i64 + 1), cx.str(source.as_bytes())).expect("a plain store");
    }
    cx.set_field(cx.globals(), "sources", sources);
    cx.set_field(cx.globals(), "rounds", 2000);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile/mutants.lua");
    let script = fs::read(path).expect("the script");
    let function = cx.load(&script, b"=mutants", "t", None).expect("the script compiles");
    cx.push(function);
    match cx.pcall_pushed(0, 2, None) {
        Ok(_) => {
            let count = |i| cx.arg(i).as_number().unwrap_or(0.0);
            assert!(count(1) > 100.0 && count(2) > 1000.0, "{} accepted, {} refused", count(1), count(2));
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("(", ")"), ("{", "}"), ("do ", " end"), ("function() return ", " end"), ("- ", "")]
    {
        let start = if open == "do " { "" } else { "x = " };
        let source = format!("{start}{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(compile(source.as_bytes(), b"=m").is_err(), "{open}");
    }
    for chain in ["a = b", "a = b + c", "f(x)"] {
        let repeated = if chain == "a = b" {
            ".c"
        } else if chain == "f(x)" {
            "(x)"
        } else {
            " + c"
        };
        let source = format!("{chain}{}", repeated.repeat(100_000));
        compile(source.as_bytes(), b"=m").unwrap_or_else(|e| panic!("{e}"));
    }
}
