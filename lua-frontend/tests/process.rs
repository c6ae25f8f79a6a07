//! `rjit` as a process: Ctrl-C, and a system without memory.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Starts a chunk that prints a line when it is ready, and sends the signal then. Without traces, which do not look.
fn interrupted(chunk: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rjit"))
        .args(["-joff", "-e", chunk])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rjit starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    // SAFETY: the process is our child and has not been waited for.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
    let (mut rest, mut err) = (String::new(), String::new());
    out.read_to_string(&mut rest).expect("text");
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    (rest, err, child.wait().expect("it ends").code())
}

#[test]
fn an_interrupt_is_an_error_in_the_script() {
    let (_, err, status) = interrupted("io.write('ready\\n') io.flush() while true do end");
    assert!(err.contains("(command line):1: interrupted!\nstack traceback:\n"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_script_can_catch_an_interrupt() {
    let (out, err, status) = interrupted(
        "print(pcall(function() io.write('ready\\n') io.flush() while true do local t = {} end end)) print('on')",
    );
    assert_eq!((&*out, &*err), ("false\t(command line):1: interrupted!\non\n", ""));
    assert_eq!(status, Some(0));
}

#[test]
fn coroutines_are_interrupted() {
    let (_, err, status) = interrupted(
        "local f = coroutine.wrap(function() io.write('ready\\n') io.flush() for i = 1, 1e15 do end end) f()",
    );
    assert!(err.contains("interrupted!"), "{err}");
    assert_eq!(status, Some(1));
}

/// A trace that does not leave does not see the first signal; the second one is deadly, as in the reference.
#[test]
fn a_second_interrupt_ends_a_trace() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rjit"))
        .args(["-e", "io.write('ready\\n') io.flush() for i = 1, 1e15 do end"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("rjit starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    while child.try_wait().expect("a child").is_none() {
        // SAFETY: the process is our child and has not been waited for.
        unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn without_memory_there_is_an_error() {
    let chunks = [
        "return ('x'):rep(2^31 - 300)",
        "local s = ('x'):rep(1e8) return (s:gsub('.', 'yyyy'))",
        "local b = require('string.buffer').new() while true do b:put(('x'):rep(1e6)) end",
        "return string.format('%s%s%s%s', ('x'):rep(6e7), ('y'):rep(6e7), ('z'):rep(6e7), ('z'):rep(6e7))",
        "return require('ffi').new('char[?]', 2^30)",
        "return io.open('/dev/zero'):read('*a')",
        "return assert(loadstring('return \"' .. ('x'):rep(1e8) .. '\"'))",
        "local s = 'x' while true do s = s .. s end",
    ];
    for chunk in chunks {
        let script = format!("print(pcall(assert(loadstring([=[{chunk}]=]))))");
        let out = Command::new("sh")
            .args(["-c", "ulimit -v 400000; exec \"$0\" -e \"$1\"", env!("CARGO_BIN_EXE_rjit"), &script])
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            text.contains("not enough memory"),
            "{chunk}: {text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert_eq!(out.status.code(), Some(0), "{chunk}");
    }
}
