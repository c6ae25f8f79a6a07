//! The serialisation format of `string.buffer`.
//!
//! A value is a tag and its data. Tags and sizes are *varints*: one byte below 0xe0, else two or five bytes.
//!
//! | tag | value |
//! |---|---|
//! | 00, 01, 02 | nil, false, true |
//! | 03, 04, 05 | light userdata: NULL, 32 bits, 64 bits |
//! | 06, 07 | 32-bit integer, double |
//! | 08-0d | table: bit 0 has a hash part; 2: array from `[1]` (its size counts slot 0), 4: from `[0]` |
//! | 0e, 0f | index of a metatable, of a string in the dictionaries |
//! | 10, 11, 12 | `int64_t`, `uint64_t`, `complex` |
//! | 20 + n | string of n bytes |
//!
//! Nothing here calls back into Lua, so no value needs rooting; tables being decoded are reachable from nowhere, which is
//! fine as long as no collection can start (see *Rooting* in [`crate::api`]).

use crate::api::Cx;
use crate::error::Throw;
use crate::object::Table;
use crate::value::{Gc, Value};
use rustc_hash::FxHashMap;

/// Deepest nesting of tables.
const MAX_DEPTH: u32 = 100;

const NIL: u32 = 0;
const FALSE: u32 = 1;
const TRUE: u32 = 2;
const NULL: u32 = 3;
const LIGHT32: u32 = 4;
const LIGHT64: u32 = 5;
const INT: u32 = 6;
const NUM: u32 = 7;
const TABLE: u32 = 8;
const DICT_META: u32 = 0x0e;
const DICT_STR: u32 = 0x0f;
const INT64: u32 = 0x10;
const UINT64: u32 = 0x11;
const COMPLEX: u32 = 0x12;
const STR: u32 = 0x20;

/// Strings and metatables that both sides know and that are sent as an index.
#[derive(Default)]
pub(crate) struct Dictionaries {
    /// The list of strings, or nil.
    pub(crate) strings: Value2,
    /// The list of metatables, or nil.
    pub(crate) metatables: Value2,
    string_index: FxHashMap<usize, u32>,
    meta_index: FxHashMap<usize, u32>,
}

/// A value whose default is nil.
#[derive(Clone, Copy)]
pub(crate) struct Value2(pub(crate) Value);

impl Default for Value2 {
    fn default() -> Self {
        Self(Value::NIL)
    }
}

impl From<Value2> for Value {
    fn from(v: Value2) -> Value {
        v.0
    }
}

impl Dictionaries {
    /// The dictionaries of an options table: `dict` and `metatable`.
    pub(crate) fn from_options(cx: Cx, options: Gc<Table>) -> Result<Self, Throw> {
        let mut d = Self::default();
        let bad = || cx.error("bad options table");
        if let Some(t) = cx.field(options, "dict").as_table() {
            d.strings = Value2(t.into());
            for i in 1..=t.len() as i32 {
                match t.get_int(i) {
                    v if v.as_str().is_some() => {
                        d.string_index.entry(cx.address_of(v)).or_insert(i as u32 - 1);
                    }
                    Value::FALSE => {}
                    _ => return Err(bad()),
                }
            }
        }
        if let Some(t) = cx.field(options, "metatable").as_table() {
            d.metatables = Value2(t.into());
            for i in 1..=t.len() as i32 {
                match t.get_int(i) {
                    v if v.as_table().is_some() => {
                        d.meta_index.entry(cx.address_of(v)).or_insert(i as u32 - 1);
                    }
                    Value::FALSE => {}
                    _ => return Err(bad()),
                }
            }
        }
        Ok(d)
    }
}

/// Writes values.
pub(crate) struct Encoder<'a> {
    cx: Cx,
    dictionaries: &'a Dictionaries,
    out: Vec<u8>,
    depth: u32,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(cx: Cx, dictionaries: &'a Dictionaries, out: Vec<u8>) -> Self {
        Self { cx, dictionaries, out, depth: MAX_DEPTH }
    }

    /// The bytes, together with those that were there before.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn varint(&mut self, v: u32) {
        if v < 0xe0 {
            self.out.push(v as u8);
        } else if v < 0x1fe0 {
            let v = v - 0xe0;
            self.out.extend_from_slice(&[0xe0 | (v >> 8) as u8, v as u8]);
        } else {
            self.out.push(0xff);
            self.out.extend_from_slice(&v.to_le_bytes());
        }
    }

    pub(crate) fn put(&mut self, v: Value) -> Result<(), Throw> {
        if let Some(s) = v.as_str() {
            self.cx.check_len(self.out.len() + s.len())?;
            self.varint(STR + s.len() as u32);
            self.out.extend_from_slice(s.bytes());
        } else if let Some(n) = v.as_number() {
            self.out.push(NUM as u8);
            self.out.extend_from_slice(&n.to_bits().to_le_bytes());
        } else if v.is_nil() {
            self.out.push(NIL as u8);
        } else if v.is_bool() {
            self.out.push(if v.is_truthy() { TRUE } else { FALSE } as u8);
        } else if let Some(t) = v.as_table() {
            self.table(t)?;
        } else if let Some(p) = v.as_light() {
            match u32::try_from(p) {
                Ok(0) => self.out.push(NULL as u8),
                Ok(p) => {
                    self.out.push(LIGHT32 as u8);
                    self.out.extend_from_slice(&p.to_le_bytes());
                }
                Err(_) => {
                    self.out.push(LIGHT64 as u8);
                    self.out.extend_from_slice(&p.to_le_bytes());
                }
            }
        } else if let Some((x, unsigned)) = super::int64_of(self.cx, v) {
            self.out.push(if unsigned { UINT64 } else { INT64 } as u8);
            self.out.extend_from_slice(&x.to_le_bytes());
        } else if let Some(c) = super::complex_of(self.cx, v) {
            self.out.push(COMPLEX as u8);
            for x in c {
                self.out.extend_from_slice(&x.to_bits().to_le_bytes());
            }
        } else {
            let name = crate::error::type_name(v);
            return Err(self.cx.error(format!("cannot serialize '{name}'")));
        }
        Ok(())
    }

    fn table(&mut self, t: Gc<Table>) -> Result<(), Throw> {
        if self.depth == 0 {
            return Err(self.cx.error("too deep to serialize"));
        }
        self.depth -= 1;
        let array_size = t.h.n;
        let narray = (0..array_size as i32).rev().find(|&i| !t.get_int(i).is_nil()).map_or(0, |i| i + 1);
        let from_zero = narray > 0 && !t.get_int(0).is_nil();
        let mut entries = Vec::new();
        let mut pos = array_size;
        while let Some((next, k, v)) = t.next_from(pos) {
            entries.push((k, v));
            pos = next;
        }
        if let Some(m) = self.cx.metatable(t.into())
            && let Some(&i) = self.dictionaries.meta_index.get(&self.cx.address_of(m.into()))
        {
            self.out.push(DICT_META as u8);
            self.varint(i);
        }
        let array_bits = match (narray > 0, from_zero) {
            (false, _) => 0,
            (_, false) => 4,
            (_, true) => 2,
        };
        self.varint(TABLE + u32::from(!entries.is_empty()) + array_bits);
        if narray > 0 {
            self.varint(narray as u32);
        }
        if !entries.is_empty() {
            self.varint(entries.len() as u32);
        }
        for i in i32::from(!from_zero)..narray {
            self.put(t.get_int(i))?;
        }
        // The hash part fills from its end, so this comes close to the order of insertion.
        for (k, v) in entries.into_iter().rev() {
            let known = k.as_str().and_then(|_| self.dictionaries.string_index.get(&self.cx.address_of(k)));
            match known {
                Some(&i) => {
                    self.out.push(DICT_STR as u8);
                    self.varint(i);
                }
                None => self.put(k)?,
            }
            self.put(v)?;
        }
        self.depth += 1;
        Ok(())
    }
}

/// Reads values.
pub(crate) struct Decoder<'a> {
    cx: Cx,
    dictionaries: &'a Dictionaries,
    data: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(cx: Cx, dictionaries: &'a Dictionaries, data: &'a [u8]) -> Self {
        Self { cx, dictionaries, data, at: 0, depth: MAX_DEPTH }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Throw> {
        match self.data[self.at..].get(..n) {
            Some(s) => {
                self.at += n;
                Ok(s)
            }
            None => Err(self.cx.error("unexpected end of buffer")),
        }
    }

    fn u32(&mut self) -> Result<u32, Throw> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn u64(&mut self) -> Result<u64, Throw> {
        let lo = self.u32()?;
        Ok(u64::from(lo) | u64::from(self.u32()?) << 32)
    }

    fn varint(&mut self) -> Result<u32, Throw> {
        let v = u32::from(self.take(1)?[0]);
        Ok(match v {
            0xff => self.u32()?,
            0xe0.. => ((v & 0x1f) << 8) + u32::from(self.take(1)?[0]) + 0xe0,
            _ => v,
        })
    }

    fn number(&mut self) -> Result<f64, Throw> {
        self.u64().map(f64::from_bits)
    }

    pub(crate) fn get(&mut self) -> Result<Value, Throw> {
        let tag = self.varint()?;
        Ok(match tag {
            NIL => Value::NIL,
            FALSE => Value::FALSE,
            TRUE => Value::TRUE,
            NULL => self.cx.lightuserdata(0),
            LIGHT32 => {
                let p = self.u32()?;
                self.cx.lightuserdata(u64::from(p))
            }
            LIGHT64 => {
                let p = self.u64()?;
                self.cx.lightuserdata(p)
            }
            INT => Value::int(i64::from(self.u32()? as i32)),
            NUM => Value::number(self.number()?),
            DICT_STR => {
                let i = self.varint()?;
                match self.dictionaries.strings.0.as_table().map(|t| t.get_int(i.wrapping_add(1) as i32)) {
                    Some(v) if v.as_str().is_some() => v,
                    _ => return Err(self.bad_index(i)),
                }
            }
            TABLE..=DICT_META => self.table(tag)?,
            INT64 | UINT64 => {
                let x = self.u64()?;
                super::make_int64(self.cx, x, tag == UINT64)
            }
            COMPLEX => {
                let c = [self.number()?, self.number()?];
                super::make_complex(self.cx, c)
            }
            STR.. => {
                let s = self.take((tag - STR) as usize)?;
                self.cx.str(s).into()
            }
            _ => return Err(self.cx.error(format!("cannot deserialize tag 0x{tag:02x}"))),
        })
    }

    fn bad_index(&self, i: u32) -> Throw {
        self.cx.error(format!("cannot deserialize dictionary index {}", i.wrapping_add(1) as i32))
    }

    fn table(&mut self, mut tag: u32) -> Result<Value, Throw> {
        if self.depth == 0 {
            return Err(self.cx.error("too deep to serialize"));
        }
        self.depth -= 1;
        let mut meta = None;
        if tag == DICT_META {
            let i = self.varint()?;
            meta = self.dictionaries.metatables.0.as_table();
            meta = meta.and_then(|t| t.get_int(i.wrapping_add(1) as i32).as_table());
            if meta.is_none() {
                return Err(self.bad_index(i));
            }
            tag = self.varint()?;
            if !(TABLE..DICT_META).contains(&tag) {
                return Err(self.cx.error(format!("cannot deserialize tag 0x{tag:02x}")));
            }
        }
        let narray = if tag >= TABLE + 2 { self.varint()? } else { 0 };
        let nhash = if tag & 1 != 0 { self.varint()? } else { 0 };
        // Each entry has at least one byte: sizes beyond the data are lies, and must not cost memory.
        let left = (self.data.len() - self.at) as u32;
        let t = self.cx.table(narray.saturating_sub(1).min(left), nhash.min(left));
        for i in u32::from(tag >= TABLE + 4)..narray {
            let v = self.get()?;
            self.cx.raw_set_int(t, i as i32, v)?;
        }
        for _ in 0..nhash {
            let k = self.get()?;
            if !t.get(k).is_nil() {
                return Err(self.cx.error("duplicate table key"));
            }
            let v = self.get()?;
            self.cx.raw_set(t, k, v)?;
        }
        if meta.is_some() {
            self.cx.set_metatable(t.into(), meta);
        }
        self.depth += 1;
        Ok(t.into())
    }
}
