//! `string.buffer`: byte queues that are cheap to append to, with serialisation.
//!
//! A buffer is a userdata with a [`Buffer`] as payload; bytes are put at the end and taken from the front. The
//! dictionaries of the serialiser must stay alive, so they stand in a table that is the buffer's environment.

use crate::api::{Cx, NativeFn, NativeResult};
use crate::error::Throw;
use crate::object::UD_BUFFER;
use crate::state::Event;
use crate::stdlib::serialize::{Decoder, Dictionaries, Encoder};
use crate::value::Value;

/// Most bytes of a buffer.
const MAX_BUFFER: i32 = 0x7fff_ff00;

/// The payload of a buffer.
#[derive(Default)]
pub(crate) struct Buffer {
    /// What was put, of which the first `start` bytes are already taken.
    pub(crate) data: Vec<u8>,
    pub(crate) start: usize,
    dictionaries: Dictionaries,
}

impl Buffer {
    /// The bytes not yet taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    /// Takes bytes from the front; an empty buffer gets its room back.
    pub(crate) fn skip(&mut self, n: usize) {
        self.start += n.min(self.data.len() - self.start);
        if self.start == self.data.len() {
            self.reset();
        }
    }

    fn reset(&mut self) {
        self.data.clear();
        self.start = 0;
    }

    /// Makes room for `n` bytes, first by moving the rest to the front.
    fn reserve(&mut self, cx: Cx, n: usize) -> Result<(), Throw> {
        if self.start > 0 && self.data.capacity() - self.data.len() < n && self.start >= self.data.len() / 2 {
            self.data.drain(..self.start);
            self.start = 0;
        }
        cx.check_len(self.data.len() + n)?;
        if self.data.try_reserve(n).is_err() {
            return Err(crate::error::memory(cx));
        }
        Ok(())
    }
}

/// The contents of a value if it is a buffer.
pub(crate) fn contents<'a>(cx: Cx, v: Value) -> Option<&'a [u8]> {
    let u = v.as_userdata()?;
    if u.h.x != UD_BUFFER {
        return None;
    }
    cx.payload::<Buffer>(u).map(|b| {
        let b: &'a Buffer = b;
        b.bytes()
    })
}

/// Opens the library; called by `require`.
pub(crate) fn open(cx: Cx) -> NativeResult {
    let meta = cx.table(0, 20);
    let methods: [(&str, NativeFn); 16] = [
        ("free", free),
        ("reset", reset),
        ("skip", skip),
        ("set", set),
        ("put", put),
        ("putf", putf),
        ("get", get),
        ("putcdata", putcdata),
        ("reserve", reserve),
        ("commit", commit),
        ("ref", ref_),
        ("encode", method_encode),
        ("decode", method_decode),
        ("__gc", free),
        ("__tostring", tostring),
        ("__len", len),
    ];
    super::register(cx, meta, "buffer.method", &methods);
    cx.set_field(meta, "__concat", cx.func(concat, &[]));
    cx.set_field(meta, "__metatable", cx.str(b"buffer"));
    cx.set_field(meta, "__index", meta);
    cx.set_field(meta, "tostring", cx.field(meta, "__tostring"));
    let t = cx.table(0, 3);
    super::register(cx, t, "buffer", &[("encode", encode), ("decode", decode)]);
    let f = cx.func(new, &[meta.into()]);
    super::ffid::set(cx, f, "buffer", "new");
    cx.set_field(t, "new", f);
    cx.ret1(t)
}

/// Argument 1 as a buffer.
fn this<'a>(cx: Cx) -> Result<&'a mut Buffer, Throw> {
    let found = cx.arg(1).as_userdata().filter(|u| u.h.x == UD_BUFFER).and_then(|u| cx.payload::<Buffer>(u));
    found.ok_or_else(|| cx.type_error(1, "buffer"))
}

/// The buffer itself as the result, for chains of calls.
fn chain(cx: Cx) -> NativeResult {
    cx.ret1(cx.arg(1))
}

/// A string; numbers are not converted.
fn strict_str<'a>(cx: Cx, i: usize) -> Result<&'a [u8], Throw> {
    cx.arg(i).as_str().map(|s| s.bytes()).ok_or_else(|| cx.type_error(i, "string"))
}

/// A number from 0 up to the limit; strings are not converted.
fn size(cx: Cx, i: usize) -> Result<usize, Throw> {
    let v = cx.arg(i);
    let n = match (v.as_number(), super::int64_of(cx, v)) {
        (Some(n), _) => crate::numfmt::num_to_i32(n),
        (None, Some((n, _))) => i32::try_from(n as i64).unwrap_or(-1),
        _ => return Err(cx.type_error(i, "number")),
    };
    if (0..=MAX_BUFFER).contains(&n) { Ok(n as usize) } else { Err(cx.arg_error(i, "number out of range")) }
}

fn new(cx: Cx) -> NativeResult {
    let (mut options, mut room) = (1, 0);
    let first = cx.arg_opt(1);
    if first.is_some_and(|v| v.as_table().is_none()) {
        options = 2;
        if !cx.arg(1).is_nil() {
            room = size(cx, 1)?;
        }
    }
    let mut b = Buffer::default();
    let env = cx.table(2, 0);
    if cx.arg_opt(options).is_some() {
        let t = cx.check_table(options)?;
        b.dictionaries = Dictionaries::from_options(cx, t)?;
        for (i, d) in [(1, b.dictionaries.strings), (2, b.dictionaries.metatables)] {
            cx.raw_set_int(env, i, d)?;
        }
    }
    b.reserve(cx, room)?;
    let u = cx.userdata(UD_BUFFER, Box::new(b), cx.upvalue(1).as_table());
    cx.set_userdata_env(u, env);
    cx.ret1(u)
}

fn free(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    b.data = Vec::new();
    b.start = 0;
    chain(cx)
}

fn reset(cx: Cx) -> NativeResult {
    this(cx)?.reset();
    chain(cx)
}

fn skip(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    b.skip(size(cx, 2)?);
    chain(cx)
}

fn set(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let s = match super::cdata_bytes(cx, 2, 3)? {
        Some(s) => s,
        None => strict_str(cx, 2)?.to_vec(),
    };
    b.data = s;
    b.start = 0;
    chain(cx)
}

fn put(cx: Cx) -> NativeResult {
    this(cx)?;
    for i in 2..=cx.nargs() {
        let mut v = cx.arg(i);
        if !put_value(cx, v, i)? {
            let mm = cx.metamethod(v, Event::Tostring);
            if !mm.is_nil() {
                v = cx.call(mm, &[v])?;
                cx.set_arg(i, v);
            }
            if mm.is_nil() || !put_value(cx, v, i)? {
                return Err(cx.type_error(i, "string/number/__tostring"));
            }
        }
    }
    chain(cx)
}

/// Appends a string, number or buffer; whether it was one.
fn put_value(cx: Cx, v: Value, i: usize) -> Result<bool, Throw> {
    if let Some(s) = v.as_str() {
        let b = this(cx)?;
        b.reserve(cx, s.len())?;
        b.data.extend_from_slice(s.bytes());
    } else if let Some(n) = v.as_number() {
        let b = this(cx)?;
        b.reserve(cx, 32)?;
        crate::numfmt::put_number(&mut b.data, n);
    } else if contents(cx, v).is_some() {
        if v == cx.arg(1) {
            return Err(cx.arg_error(i, "cannot put buffer into itself"));
        }
        let other = contents(cx, v).unwrap_or(&[]);
        let b = this(cx)?;
        b.reserve(cx, other.len())?;
        b.data.extend_from_slice(other);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn putf(cx: Cx) -> NativeResult {
    this(cx)?;
    for i in 3..=cx.nargs() {
        if cx.arg(i) == cx.arg(1) {
            return Err(cx.arg_error(i, "cannot put buffer into itself"));
        }
    }
    // Metamethods may run and use the buffer: format aside.
    let mut out = Vec::new();
    super::format::put_formatted(cx, &mut out, 2)?;
    let b = this(cx)?;
    b.reserve(cx, out.len())?;
    b.data.extend_from_slice(&out);
    chain(cx)
}

fn get(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let n = cx.nargs();
    cx.check_stack(n, "")?;
    for i in 2..=n.max(2) {
        let all = b.bytes().len();
        let take = if cx.arg(i).is_nil() { all } else { size(cx, i)?.min(all) };
        cx.push(cx.str(&b.bytes()[..take]));
        b.start += take;
    }
    b.skip(0);
    cx.ret(n.max(2) - 1)
}

fn putcdata(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let Some(bytes) = super::cdata_bytes(cx, 2, 3)? else { return Err(cx.type_error(2, "cdata")) };
    b.reserve(cx, bytes.len())?;
    b.data.extend_from_slice(&bytes);
    chain(cx)
}

fn reserve(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    b.reserve(cx, size(cx, 2)?)?;
    let room = b.data.capacity() - b.data.len();
    let p = b.data.spare_capacity_mut().as_mut_ptr() as usize;
    super::byte_pointer(cx, p, room)
}

fn commit(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let n = size(cx, 2)?;
    if n > b.data.capacity() - b.data.len() {
        return Err(cx.arg_error(2, "number out of range"));
    }
    super::commit_bytes(&mut b.data, n);
    chain(cx)
}

fn ref_(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let (p, n) = (b.bytes().as_ptr() as usize, b.bytes().len());
    super::byte_pointer(cx, p, n)
}

fn method_encode(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let v = cx.check_any(2)?;
    let mut e = Encoder::new(cx, &b.dictionaries, std::mem::take(&mut b.data));
    let r = e.put(v);
    b.data = e.finish();
    r?;
    chain(cx)
}

fn method_decode(cx: Cx) -> NativeResult {
    let b = this(cx)?;
    let mut d = Decoder::new(cx, &b.dictionaries, b.bytes());
    let v = d.get()?;
    let used = d.position();
    cx.push(v);
    b.skip(used);
    cx.ret(1)
}

fn tostring(cx: Cx) -> NativeResult {
    cx.ret1(cx.str(this(cx)?.bytes()))
}

/// `..` takes buffers as the strings that they hold.
fn concat(cx: Cx) -> NativeResult {
    let mut out = Vec::new();
    for i in 1..=2 {
        let v = cx.arg(i);
        if let Some(s) = contents(cx, v) {
            out.extend_from_slice(s);
        } else if !super::put_text(&mut out, v) {
            let name = crate::error::type_name(v);
            return Err(cx.error(format!("attempt to concatenate a {name} value")));
        }
    }
    cx.check_len(out.len())?;
    cx.ret1(cx.str(&out))
}

fn len(cx: Cx) -> NativeResult {
    cx.ret1(Value::int(this(cx)?.bytes().len() as i64))
}

fn encode(cx: Cx) -> NativeResult {
    let v = cx.check_any(1)?;
    let dictionaries = Dictionaries::default();
    let mut e = Encoder::new(cx, &dictionaries, Vec::new());
    e.put(v)?;
    let out = e.finish();
    cx.check_len(out.len())?;
    cx.ret1(cx.str(&out))
}

fn decode(cx: Cx) -> NativeResult {
    let s = strict_str(cx, 1)?;
    let dictionaries = Dictionaries::default();
    let mut d = Decoder::new(cx, &dictionaries, s);
    let v = d.get()?;
    if d.position() != s.len() {
        return Err(cx.error("left-over data in buffer"));
    }
    cx.ret1(v)
}
