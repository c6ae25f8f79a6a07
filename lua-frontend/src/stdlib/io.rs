//! The io library, on the C library's streams ([`crate::stdio`]).
//!
//! A file is a userdata whose payload is an [`IoFile`]. The files that `io.read` and `io.write` use stand in a table
//! that is the environment of the library's functions: `[1]` is the input, `[2]` the output; `meta` is
//! the metatable of files.

use crate::api::{Cx, NativeFn, NativeResult};
use crate::error::Throw;
use crate::numfmt::num_to_i64;
use crate::object::{Table, UD_FILE, UserData};
use crate::stdio::{Buffering, Stream, Whence};
use crate::stdlib::{c_str, ffid, file_result};
use crate::value::{Gc, Value};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Pipe,
    Standard,
}

/// The payload of a file.
struct IoFile {
    /// The stream; `None` once closed.
    stream: Option<Stream>,
    kind: Kind,
    /// Close when the iterator of `io.lines(name)` reaches the end.
    close_at_end: bool,
    /// What C code sees of it.
    for_c: *mut libc::FILE,
}

const INPUT: i32 = 1;
const OUTPUT: i32 = 2;

/// Opens the library.
pub fn open(cx: Cx) {
    let state = cx.table(2, 1);
    let meta = cx.table(0, 10);
    cx.set_field(state, "meta", meta);
    cx.set_field(cx.registry(), "FILE*", meta);
    let methods: [(&str, NativeFn); 9] = [
        ("close", method_close),
        ("read", method_read),
        ("write", method_write),
        ("flush", method_flush),
        ("seek", method_seek),
        ("setvbuf", method_setvbuf),
        ("lines", method_lines),
        ("__gc", method_gc),
        ("__tostring", method_tostring),
    ];
    let functions: [(&str, NativeFn); 11] = [
        ("open", open_file),
        ("popen", popen),
        ("tmpfile", tmpfile),
        ("close", method_close),
        ("read", read),
        ("write", write),
        ("flush", flush),
        ("input", input),
        ("output", output),
        ("lines", lines),
        ("type", type_),
    ];
    let add = |t: Gc<Table>, prefix: &str, list: &[(&str, NativeFn)]| {
        for &(name, f) in list {
            let f = cx.func(f, &[]);
            cx.set_func_env(f, state);
            ffid::set(cx, f, prefix, name);
            cx.set_field(t, name, f);
        }
    };
    add(meta, "io.method", &methods);
    cx.set_field(meta, "__index", meta);
    let t = super::library(cx, "io", &[]);
    add(t, "io", &functions);
    for (name, stream, slot) in [
        ("stdin", Stream::stdin(), Some(INPUT)),
        ("stdout", Stream::stdout(), Some(OUTPUT)),
        ("stderr", Stream::stderr(), None),
    ] {
        let file = IoFile {
            stream: Some(stream),
            kind: Kind::Standard,
            close_at_end: false,
            for_c: std::ptr::null_mut(),
        };
        let u = cx.userdata(UD_FILE, Box::new(file), Some(meta));
        cx.set_field(t, name, u);
        if let Some(i) = slot {
            // A table with room for both: this cannot fail.
            let _ = cx.raw_set_int(state, i, u);
        }
    }
}

fn state(cx: Cx) -> Gc<Table> {
    cx.func_env()
}

fn file_of<'a>(cx: Cx, v: Value) -> Option<&'a mut IoFile> {
    cx.payload::<IoFile>(v.as_userdata()?)
}

/// Where a file's `FILE *` is, for C: null there once it is closed.
pub(crate) fn stream_slot(cx: Cx, u: Gc<UserData>) -> *mut *mut libc::FILE {
    let Some(file) = cx.payload::<IoFile>(u) else { return std::ptr::null_mut() };
    file.for_c = file.stream.map_or(std::ptr::null_mut(), |s| s.as_ptr());
    &raw mut file.for_c
}

/// Argument 1 as a file, open or closed.
fn this<'a>(cx: Cx) -> Result<&'a mut IoFile, Throw> {
    file_of(cx, cx.arg(1)).ok_or_else(|| cx.type_error(1, "FILE*"))
}

/// Argument 1 as an open file.
fn this_stream(cx: Cx) -> Result<Stream, Throw> {
    this(cx)?.stream.ok_or_else(|| cx.error("attempt to use a closed file"))
}

/// The default input or output.
fn default_stream(cx: Cx, slot: i32) -> Result<Stream, Throw> {
    let stream = file_of(cx, state(cx).get_int(slot)).and_then(|f| f.stream);
    stream.ok_or_else(|| cx.error("standard file is closed"))
}

fn new_file(cx: Cx, stream: Stream, kind: Kind, close_at_end: bool) -> Gc<UserData> {
    let meta = cx.field(state(cx), "meta").as_table();
    let u = cx.userdata(
        UD_FILE,
        Box::new(IoFile { stream: Some(stream), kind, close_at_end, for_c: std::ptr::null_mut() }),
        meta,
    );
    cx.set_finalizer(u.into());
    u
}

/// Opens argument 1 for `io.lines`, `io.input` and `io.output`, where failing is an error.
fn open_or_throw(cx: Cx, mode: &[u8], close_at_end: bool) -> Result<Gc<UserData>, Throw> {
    let name = cx.check_str(1)?.bytes();
    match Stream::open(name, mode) {
        Ok(s) => Ok(new_file(cx, s, Kind::File, close_at_end)),
        Err(e) => {
            let text = crate::stdio::error_text(e.raw_os_error().unwrap_or(0));
            Err(cx.arg_error(1, &format!("{}: {text}", String::from_utf8_lossy(c_str(name)))))
        }
    }
}

fn close_file(cx: Cx, f: &mut IoFile) -> NativeResult {
    let Some(stream) = f.stream else { return Err(cx.error("attempt to use a closed file")) };
    let result = match f.kind {
        Kind::Standard => return cx.ret2(Value::NIL, cx.str(b"cannot close standard file")),
        Kind::File => stream.close(),
        Kind::Pipe => stream.pclose().map(|_| ()),
    };
    f.stream = None;
    file_result(cx, result, None)
}

fn method_close(cx: Cx) -> NativeResult {
    if cx.nargs() == 0 {
        let Some(f) = file_of(cx, state(cx).get_int(OUTPUT)) else { return cx.ret0() };
        return close_file(cx, f);
    }
    this_stream(cx)?;
    close_file(cx, this(cx)?)
}

fn read_line(cx: Cx, stream: Stream, keep_end: bool) -> Result<Option<Value>, Throw> {
    let mut line = Vec::new();
    let ok = stream.read_line(&mut line);
    if !keep_end && line.last() == Some(&b'\n') {
        line.pop();
    }
    cx.check_len(line.len())?;
    Ok(ok.then(|| cx.str(&line).into()))
}

/// Reads by the formats in arguments `first` and on; pushes the results.
fn read_formats(cx: Cx, stream: Stream, first: usize) -> NativeResult {
    let nargs = cx.nargs();
    stream.clear_error();
    let mut results: usize = 0;
    let mut ok = true;
    if nargs < first {
        let line = read_line(cx, stream, false)?;
        ok = line.is_some();
        cx.push(line.unwrap_or(Value::NIL));
        results = 1;
    }
    cx.check_stack((nargs + 1).saturating_sub(first), "too many arguments")?;
    for i in first..=nargs {
        if !ok {
            break;
        }
        let v = cx.arg(i);
        let value = if let Some(s) = v.as_str() {
            let format = s.bytes().strip_prefix(b"*").unwrap_or(s.bytes());
            match format.first() {
                Some(b'n') => stream.read_number().map(Value::number),
                Some(&c @ (b'l' | b'L')) => read_line(cx, stream, c == b'L')?,
                Some(b'a') => {
                    let mut text = Vec::new();
                    stream.read(&mut text, usize::MAX);
                    cx.check_len(text.len())?;
                    Some(cx.str(&text).into())
                }
                _ => return Err(cx.arg_error(i, "invalid format")),
            }
        } else if v.is_number() {
            let n = cx.check_int(i)? as u32 as usize;
            if n == 0 {
                stream.has_more().then(|| cx.str(b"").into())
            } else {
                let mut text = Vec::new();
                stream.read(&mut text, n);
                cx.check_len(text.len())?;
                (!text.is_empty()).then(|| cx.str(&text).into())
            }
        } else {
            return Err(cx.arg_error(i, "invalid option"));
        };
        ok = value.is_some();
        cx.push(value.unwrap_or(Value::NIL));
        results += 1;
    }
    if stream.has_error() {
        return file_result(cx, Err(crate::stdio::last_error()), None);
    }
    cx.ret(results)
}

fn method_read(cx: Cx) -> NativeResult {
    read_formats(cx, this_stream(cx)?, 2)
}

fn read(cx: Cx) -> NativeResult {
    read_formats(cx, default_stream(cx, INPUT)?, 1)
}

fn write_args(cx: Cx, stream: Stream, first: usize) -> NativeResult {
    let mut result = Ok(());
    let mut number = Vec::new();
    for i in first..=cx.nargs() {
        let v = cx.arg(i);
        let r = if let Some(s) = v.as_str() {
            stream.write(s.bytes())
        } else if let Some(n) = v.as_number() {
            number.clear();
            crate::numfmt::put_number(&mut number, n);
            stream.write(&number)
        } else if let Some(s) = super::buffer::contents(cx, v) {
            stream.write(s)
        } else {
            return Err(cx.type_error(i, "string"));
        };
        if result.is_ok() {
            result = r;
        }
    }
    file_result(cx, result, None)
}

fn method_write(cx: Cx) -> NativeResult {
    write_args(cx, this_stream(cx)?, 2)
}

fn write(cx: Cx) -> NativeResult {
    write_args(cx, default_stream(cx, OUTPUT)?, 1)
}

fn method_flush(cx: Cx) -> NativeResult {
    file_result(cx, this_stream(cx)?.flush(), None)
}

fn flush(cx: Cx) -> NativeResult {
    file_result(cx, default_stream(cx, OUTPUT)?.flush(), None)
}

fn method_seek(cx: Cx) -> NativeResult {
    let stream = this_stream(cx)?;
    let whence = match cx.check_option(2, Some("cur"), &["set", "cur", "end"])? {
        0 => Whence::Set,
        1 => Whence::Cur,
        _ => Whence::End,
    };
    let offset = if cx.arg(3).is_nil() { 0 } else { num_to_i64(cx.check_number(3)?) };
    match stream.seek(whence, offset) {
        Ok(at) => cx.ret1(Value::int(at)),
        Err(e) => file_result(cx, Err(e), None),
    }
}

fn method_setvbuf(cx: Cx) -> NativeResult {
    let stream = this_stream(cx)?;
    let mode = match cx.check_option(2, None, &["full", "line", "no"])? {
        0 => Buffering::Full,
        1 => Buffering::Line,
        _ => Buffering::None,
    };
    let size = cx.opt_int(3, 1024)?;
    file_result(cx, stream.set_buffering(mode, size.max(0) as usize), None)
}

/// Makes the iterator over a file with the formats in the arguments behind the first.
fn lines_iterator(cx: Cx, file: Value) -> NativeResult {
    if cx.nargs() > 60 {
        return Err(cx.error("too many results to unpack"));
    }
    let mut upvalues = vec![file];
    upvalues.extend_from_slice(cx.args().get(1..).unwrap_or(&[]));
    cx.ret1(cx.func(next_line, &upvalues))
}

fn next_line(cx: Cx) -> NativeResult {
    let Some(f) = file_of(cx, cx.upvalue(1)) else { return cx.ret0() };
    let Some(stream) = f.stream else { return Err(cx.error("attempt to use a closed file")) };
    let formats = cx.running().h.y as usize;
    cx.set_top(0);
    cx.check_stack(formats, "")?;
    for i in 2..=formats {
        cx.push(cx.upvalue(i));
    }
    let base = cx.nargs();
    let r = read_formats(cx, stream, 1)?;
    if stream.has_error() {
        let text = cx.arg(base + 2).as_str().map_or(&b""[..], |s| s.bytes());
        return Err(cx.error(text));
    }
    if cx.arg(base + 1).is_nil() && f.close_at_end {
        let _ = close_file(cx, f)?;
        return cx.ret0();
    }
    Ok(r)
}

fn method_lines(cx: Cx) -> NativeResult {
    this_stream(cx)?;
    lines_iterator(cx, cx.arg(1))
}

fn lines(cx: Cx) -> NativeResult {
    if cx.arg(1).is_nil() {
        return lines_iterator(cx, state(cx).get_int(INPUT));
    }
    let u = open_or_throw(cx, b"r", true)?;
    lines_iterator(cx, u.into())
}

fn method_gc(cx: Cx) -> NativeResult {
    let f = this(cx)?;
    if f.stream.is_some() && f.kind != Kind::Standard {
        let _ = close_file(cx, f)?;
    }
    cx.ret0()
}

fn method_tostring(cx: Cx) -> NativeResult {
    let mut out = Vec::new();
    match this(cx)?.stream {
        Some(s) => {
            out.extend_from_slice(b"file (");
            crate::strfmt::put_pointer(&mut out, s.addr());
            out.push(b')');
        }
        None => out.extend_from_slice(b"file (closed)"),
    }
    cx.ret1(cx.str(&out))
}

fn opened(cx: Cx, r: std::io::Result<Stream>, kind: Kind, name: Option<&[u8]>) -> NativeResult {
    match r {
        Ok(s) => cx.ret1(new_file(cx, s, kind, false)),
        Err(e) => file_result(cx, Err(e), name),
    }
}

fn open_file(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?.bytes();
    let mode = cx.opt_str(2)?.map_or(&b"r"[..], |m| m.bytes());
    opened(cx, Stream::open(name, mode), Kind::File, Some(name))
}

fn popen(cx: Cx) -> NativeResult {
    let command = cx.check_str(1)?.bytes();
    let mode = cx.opt_str(2)?.map_or(&b"r"[..], |m| m.bytes());
    opened(cx, Stream::popen(command, mode), Kind::Pipe, Some(command))
}

fn tmpfile(cx: Cx) -> NativeResult {
    opened(cx, Stream::temporary(), Kind::File, None)
}

/// `io.input` and `io.output`: set a default file, or give the present one.
fn default_file(cx: Cx, slot: i32, mode: &[u8]) -> NativeResult {
    let v = cx.arg(1);
    let file = if v.is_nil() {
        return cx.ret1(state(cx).get_int(slot));
    } else if v.as_userdata().is_some() {
        this_stream(cx)?;
        v
    } else {
        open_or_throw(cx, mode, false)?.into()
    };
    cx.raw_set_int(state(cx), slot, file)?;
    cx.ret1(file)
}

fn input(cx: Cx) -> NativeResult {
    default_file(cx, INPUT, b"r")
}

fn output(cx: Cx) -> NativeResult {
    default_file(cx, OUTPUT, b"w")
}

fn type_(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    match file_of(cx, v) {
        None => cx.ret1(Value::NIL),
        Some(f) if f.stream.is_some() => cx.ret1(cx.str(b"file")),
        Some(_) => cx.ret1(cx.str(b"closed file")),
    }
}
