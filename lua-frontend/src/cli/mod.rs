//! The command line of `rjit`, which is luajit's.
//!
//! ```text
//! rjit [-e chunk] [-l name] [-b ...] [-j cmd] [-O[opt]] [-i] [-v] [-E] [--] [-] [script [args]]
//! ```
//!
//! Options are read twice: first all together, to know what is asked for and where the script's name stands
//! ([`options`]); then, with the libraries open and `LUA_INIT` run, in their order. Errors go to standard error behind
//! the program's name, with a traceback; the exit status is 1 for any error. Bytecode (`-b`) is in [`crate::bcsave`],
//! the interactive mode in [`repl`], Ctrl-C in [`signal`].

use std::cell::Cell;

use crate::api::{Cx, NativeResult};
use crate::object::Func;
use crate::state::Lua;
use crate::stdio::{self, Stream};
use crate::stdlib::{self, Settings};
use crate::value::{Gc, Value};

pub mod options;
pub mod repl;
pub mod signal;

use options::{Options, parse};

/// The name and version that `-v` shows.
pub const VERSION: &str = concat!("rjit ", env!("CARGO_PKG_VERSION"), " -- Lua 5.1 as LuaJIT 2.1 speaks it");

/// The process as the functions here see it: the state, and the name in front of messages.
pub struct Host<'a> {
    cx: Cx,
    name: Option<&'a [u8]>,
}

/// An error that has already been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

type Outcome = Result<(), Failed>;

/// Runs the program; `args[0]` is its name. The result is the exit status.
pub fn run(args: &[Vec<u8>]) -> i32 {
    signal::default_broken_pipe();
    let name = args.first().filter(|n| !n.is_empty()).map_or(&b"rjit"[..], |n| n);
    let Some(options) = parse(args) else {
        usage(name);
        return 1;
    };
    let lua = Lua::new();
    let cx = lua.cx();
    cx.gc_stop();
    stdlib::open_with(cx, &Settings { no_env: options.no_env });
    cx.gc_restart();
    // The program runs inside a native function, which tracebacks show as their last line.
    JOB.set(Some(Job { args: args.to_vec(), options, failed: false }));
    cx.push(cx.func(main_function, &[]));
    let host = Host { cx, name: Some(name) };
    let result = cx.pcall_pushed(0, 0, None);
    let failed = host.report(result.map(|_| ())).is_err() || JOB.take().is_none_or(|j| j.failed);
    drop(lua);
    i32::from(failed)
}

/// What the main function has to do.
struct Job {
    args: Vec<Vec<u8>>,
    options: Options,
    failed: bool,
}

thread_local! {
    /// The job of the main function, which as a native function takes no Rust arguments.
    static JOB: Cell<Option<Job>> = const { Cell::new(None) };
}

fn main_function(cx: Cx) -> NativeResult {
    if let Some(mut job) = JOB.take() {
        let name = job.args.first().filter(|n| !n.is_empty()).map_or(&b"rjit"[..], |n| n);
        let host = Host { cx, name: Some(name) };
        job.failed = host.main(&job.args, &job.options).is_err();
        JOB.set(Some(job));
    }
    cx.ret0()
}

fn usage(name: &[u8]) {
    let err = Stream::stderr();
    let _ = err.write(b"usage: ");
    let _ = err.write(name);
    let _ = err.write(
        b" [options]... [script [args]...].\n\
        Available options are:\n\
        \x20 -e chunk  Execute string 'chunk'.\n\
        \x20 -l name   Require library 'name'.\n\
        \x20 -b ...    Save or list bytecode.\n\
        \x20 -j cmd    Perform LuaJIT control command.\n\
        \x20 -O[opt]   Control LuaJIT optimizations.\n\
        \x20 -i        Enter interactive mode after executing 'script'.\n\
        \x20 -v        Show version information.\n\
        \x20 -E        Ignore environment variables.\n\
        \x20 --        Stop handling options.\n\
        \x20 -         Execute stdin and stop handling options.\n",
    );
}

impl Host<'_> {
    fn main(&self, args: &[Vec<u8>], options: &Options) -> Outcome {
        self.set_arg_table(args, options.script);
        if !options.no_env
            && let Some(init) = stdio::getenv(b"LUA_INIT")
        {
            match init.strip_prefix(b"@") {
                Some(file) => self.do_file(Some(file))?,
                None => self.do_string(&init, b"=LUA_INIT")?,
            }
        }
        if options.version {
            print_version();
        }
        if !self.run_options(args, options)? {
            return Ok(());
        }
        if options.script < args.len() {
            self.run_script(args, options.script)?;
        }
        if options.interactive {
            self.print_jit_status();
            repl::run(self, options);
        } else if options.script == args.len() && !options.exec && !options.version {
            if Stream::stdin().is_terminal() {
                print_version();
                self.print_jit_status();
                repl::run(self, options);
            } else {
                // An error here does not count, as in luajit.
                let _ = self.do_file(None);
            }
        }
        Ok(())
    }

    /// `arg`: the script's arguments from 1, its name at 0, everything before at negative indices.
    fn set_arg_table(&self, args: &[Vec<u8>], script: usize) {
        let t = self.cx.table(args.len().saturating_sub(script) as u32, script as u32);
        for (i, a) in args.iter().enumerate() {
            // Small integer keys: only memory could fail.
            let _ = self.cx.raw_set_int(t, i as i32 - script as i32, self.cx.str(a));
        }
        self.cx.set_field(self.cx.globals(), "arg", t);
    }

    /// Runs `-e -l -j -O -b` in their order; false if the rest of the command line is used up.
    fn run_options(&self, args: &[Vec<u8>], options: &Options) -> Result<bool, Failed> {
        let mut i = 1;
        while i < options.script.min(args.len()) {
            let a = &args[i];
            let value = |i: &mut usize| -> Vec<u8> {
                if a.len() > 2 {
                    a[2..].to_vec()
                } else {
                    *i += 1;
                    args.get(*i).cloned().unwrap_or_default()
                }
            };
            match a.get(1) {
                Some(b'e') => self.do_string(&value(&mut i), b"=(command line)")?,
                Some(b'l') => self.require(&value(&mut i))?,
                Some(b'j') => self.jit_command(&value(&mut i))?,
                Some(b'O') => {
                    let loaded = stdlib::registry_table(self.cx, "_LOADED");
                    let opt = self.cx.field(loaded, "jit.opt").as_table();
                    let start = opt.map_or(Value::NIL, |t| self.cx.field(t, "start"));
                    self.run_command(start, Some(&a[2..]))?;
                }
                Some(b'b') => {
                    // What is glued to the option is an option of its own.
                    let glued = (a.len() > 2).then(|| [b"-", &a[2..]].concat());
                    let rest = args[i + 1..].iter().cloned();
                    let rest: Vec<Vec<u8>> = glued.into_iter().chain(rest).collect();
                    let _ = Stream::stdout().flush();
                    let name = String::from_utf8_lossy(self.name.unwrap_or(b"rjit")).into_owned();
                    return if crate::bcsave::run(&name, &rest) == 0 { Ok(false) } else { Err(Failed) };
                }
                _ => {}
            }
            i += 1;
        }
        Ok(true)
    }

    fn require(&self, name: &[u8]) -> Outcome {
        let cx = self.cx;
        cx.push(cx.field(cx.globals(), "require"));
        cx.push(cx.str(name));
        self.call(1, 0)?;
        Ok(())
    }

    /// `-j cmd[=args]`: a function of the jit library, or the `start` function of the module `jit.cmd`.
    fn jit_command(&self, text: &[u8]) -> Outcome {
        let cx = self.cx;
        let (name, opt) = match text.iter().position(|&c| c == b'=') {
            Some(i) => (&text[..i], Some(&text[i + 1..])),
            None => (text, None),
        };
        let jit = cx.field(stdlib::registry_table(cx, "_LOADED"), "jit").as_table();
        let f = jit.map_or(Value::NIL, |t| t.get_str(cx.str(name)));
        if f.as_func().is_some() {
            return self.run_command(f, opt);
        }
        let module = [b"jit.", name].concat();
        cx.push(cx.field(cx.globals(), "require"));
        cx.push(cx.str(&module));
        let top = cx.nargs() - 2;
        match cx.pcall_pushed(1, 1, None) {
            Ok(_) => {
                let m = cx.arg(cx.nargs());
                let start = cx.get(m, cx.str_value("start")).unwrap_or(Value::NIL);
                cx.set_top(top);
                if !start.is_nil() {
                    cx.push(start);
                    return self.run_command(start, opt);
                }
            }
            Err(e) => {
                let missing = e.as_str().is_some_and(|s| s.bytes().starts_with(b"module "));
                if !missing {
                    return self.report(Err(e));
                }
            }
        }
        self.message(b"unknown luaJIT command or jit.* modules not installed");
        Err(Failed)
    }

    /// Calls a function with the parts of `a,b,c`; empty parts are nil.
    fn run_command(&self, f: Value, opt: Option<&[u8]>) -> Outcome {
        let cx = self.cx;
        cx.push(f);
        let mut n = 0;
        for part in opt.filter(|o| !o.is_empty()).into_iter().flat_map(|o| o.split(|&c| c == b',')) {
            cx.push(if part.is_empty() { Value::NIL } else { cx.str_value(part) });
            n += 1;
        }
        self.report(cx.pcall_pushed(n, 0, None).map(|_| ()))
    }

    /// Loads and runs a file, or standard input.
    fn do_file(&self, name: Option<&[u8]>) -> Outcome {
        let f = self.load_file(name)?;
        self.cx.push(f);
        self.call(0, 0).map(|_| ())
    }

    fn do_string(&self, text: &[u8], name: &[u8]) -> Outcome {
        let cx = self.cx;
        match cx.load(text, name, "bt", None) {
            Ok(f) => cx.push(f),
            Err(e) => return self.report(Err(cx.take_error(e))),
        }
        self.call(0, 0).map(|_| ())
    }

    fn load_file(&self, name: Option<&[u8]>) -> Result<Gc<Func>, Failed> {
        stdlib::base::load_file(self.cx, name, "bt", None).map_err(|e| {
            let _ = self.report(Err(self.cx.take_error(e)));
            Failed
        })
    }

    fn run_script(&self, args: &[Vec<u8>], script: usize) -> Outcome {
        let cx = self.cx;
        let name = &args[script];
        let stdin = name == b"-" && args[script - 1] != b"--";
        let f = self.load_file(if stdin { None } else { Some(name) })?;
        cx.push(f);
        // The arguments come from the table, which `LUA_INIT` and `-e` may have changed.
        let mut n = 0;
        if let Some(t) = cx.field(cx.globals(), "arg").as_table() {
            loop {
                let v = t.get_int(n as i32 + 1);
                if v.is_nil() || cx.check_stack(1, "").is_err() {
                    break;
                }
                cx.push(v);
                n += 1;
            }
        }
        self.call(n, 0).map(|_| ())
    }

    /// Calls the pushed function with a traceback in case of an error and Ctrl-C as an error; shows the error.
    pub(crate) fn call(&self, nargs: usize, nresults: i32) -> Result<usize, Failed> {
        let cx = self.cx;
        let handler = cx.func(add_traceback, &[]);
        cx.anchor(handler);
        let guard = signal::interrupts(cx);
        let r = cx.pcall_pushed(nargs, nresults, Some(handler.into()));
        drop(guard);
        r.map_err(|e| {
            let _ = self.report(Err(e));
            cx.gc_collect();
            Failed
        })
    }

    /// Shows an error value.
    fn report(&self, r: Result<(), Value>) -> Outcome {
        let Err(e) = r else { return Ok(()) };
        if !e.is_nil() {
            let mut text = Vec::new();
            if !stdlib::put_text(&mut text, e) {
                text.extend_from_slice(b"(error object is not a string)");
            }
            self.message(stdlib::c_str(&text));
        }
        Err(Failed)
    }

    /// Shows a message behind the program's name.
    pub(crate) fn message(&self, text: &[u8]) {
        let err = Stream::stderr();
        let mut line = Vec::new();
        if let Some(n) = self.name {
            line.extend_from_slice(n);
            line.extend_from_slice(b": ");
        }
        line.extend_from_slice(text);
        line.push(b'\n');
        // Nothing can be done if standard error is gone.
        let _ = Stream::stdout().flush();
        let _ = err.write(&line);
    }

    fn print_jit_status(&self) {
        let cx = self.cx;
        let jit = cx.field(stdlib::registry_table(cx, "_LOADED"), "jit").as_table();
        let top = cx.nargs();
        cx.push(jit.map_or(Value::NIL, |t| cx.field(t, "status")));
        let mut text = b"JIT: OFF".to_vec();
        if let Ok(n) = cx.pcall_pushed(0, -1, None) {
            if n > 0 && cx.arg(top + 1).is_truthy() {
                text = b"JIT: ON".to_vec();
            }
            for i in 2..=n {
                text.push(b' ');
                stdlib::put_text(&mut text, cx.arg(top + i));
            }
        }
        cx.set_top(top);
        text.push(b'\n');
        let _ = Stream::stdout().write(&text);
    }
}

fn print_version() {
    let _ = Stream::stdout().write(VERSION.as_bytes());
    let _ = Stream::stdout().write(b"\n");
}

/// The message handler: turns the error into text if it can, and adds the stack.
fn add_traceback(cx: Cx) -> NativeResult {
    let mut v = cx.arg(1);
    if !stdlib::is_text(v) {
        let mm = cx.metamethod(v, crate::state::Event::Tostring);
        if v.is_nil() || mm.is_nil() {
            return cx.ret1(v);
        }
        let text = cx.call(mm, &[v])?;
        if text.as_str().is_none() {
            return cx.ret1(v);
        }
        v = text;
    }
    let mut text = Vec::new();
    stdlib::put_text(&mut text, v);
    let text = crate::debug::traceback(cx, cx.thread(), Some(&text), 1);
    cx.ret1(cx.str(&text))
}
