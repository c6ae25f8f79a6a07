//! Dumps: functions as bytes, and back.
//!
//! The format is LuaJIT's (version 2, two-slot frames), so that dumps go both ways:
//!
//! ```text
//! dump     = 1b 4c 4a  version  flags  [length name]  { length prototype }  0
//! prototype= flags parameters frame upvalues #objects #numbers #instructions [length-of-debug [first-line lines]]
//!            instruction*  upvalue*  object*  number*  [debug]
//! debug    = line*  upvalue-name*  { name start length }  0
//! ```
//!
//! Counts are ULEB128; instructions are words, upvalues half words, a line is an offset from the first line in 1, 2 or 4 bytes.
//! Functions come innermost first, and a parent takes its children from the end of what has been read. Table keys are written in
//! a fixed order: equal functions have equal dumps. What comes from outside is checked here for form and in
//! [`super::verify`] for meaning.

use super::code::{
    Chunk, Constant, FunctionCode, FunctionFlags, Scalar, TableTemplate, UpvalueSource, Variable,
};
use super::load::{flag_bits, upvalue_operand};
use crate::bytecode::{Op, UV_IMMUTABLE, UV_LOCAL, ad, flags};
use crate::syntax::{Symbol, Symbols};

const HEAD: [u8; 4] = [super::DUMP_SIGNATURE, b'L', b'J', 2];

const BIG_ENDIAN: u32 = 1;
const STRIPPED: u32 = 2;
const FFI: u32 = 4;
const TWO_SLOT_FRAMES: u32 = 8;
const BIT_OPERATORS: u32 = 16;
const KNOWN: u32 = 31;

/// Functions inside functions, at most.
const MAX_DEPTH: u32 = 250;

/// Names of hidden variables, which have numbers in dumps.
const HIDDEN: [&[u8]; 6] =
    [b"(for index)", b"(for limit)", b"(for step)", b"(for generator)", b"(for state)", b"(for control)"];

/// Kinds of objects; strings have their length added.
mod object {
    pub const CHILD: u32 = 0;
    pub const TABLE: u32 = 1;
    pub const INT64: u32 = 2;
    pub const UINT64: u32 = 3;
    pub const COMPLEX: u32 = 4;
    pub const STRING: u32 = 5;
}

/// Kinds of table keys and values; strings have their length added.
mod item {
    pub const NIL: u32 = 0;
    pub const FALSE: u32 = 1;
    pub const TRUE: u32 = 2;
    pub const INT: u32 = 3;
    pub const NUMBER: u32 = 4;
    pub const STRING: u32 = 5;
}

/// Why bytes are not a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// Another version, or properties that this machine does not have.
    #[error("cannot load incompatible bytecode")]
    Incompatible,
    /// Not a dump that a compiler wrote.
    #[error("cannot load malformed bytecode")]
    Malformed,
}

type Result<T> = std::result::Result<T, DumpError>;

// -- Writing --

/// The dump of a chunk; without names and lines if `strip`.
///
/// ```
/// use lua_frontend::compile::{compile, dump};
/// let chunk = compile(b"local a = ... return a + 1", b"=x").unwrap();
/// let bytes = dump::write(&chunk, false);
/// assert_eq!(dump::write(&dump::read(&bytes, b"=?").unwrap(), false), bytes);
/// ```
pub fn write(chunk: &Chunk, strip: bool) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    let main = &chunk.main;
    let bit = |set, bit| if set { bit } else { 0 };
    put(
        &mut out,
        bit(strip, STRIPPED)
            | TWO_SLOT_FRAMES
            | bit(main.flags.ffi, FFI)
            | bit(main.flags.bit_operators, BIT_OPERATORS),
    );
    if !strip {
        put(&mut out, chunk.name.len() as u32);
        out.extend_from_slice(&chunk.name);
    }
    Writer { symbols: &chunk.symbols, strip }.function(main, &mut out);
    out.push(0);
    out
}

fn put(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_halves(out: &mut Vec<u8>, bits: u64) {
    put(out, bits as u32);
    put(out, (bits >> 32) as u32);
}

/// A number that is a 32-bit integer.
fn as_int(n: f64) -> Option<i32> {
    let int = n as i32;
    (f64::from(int).to_bits() == n.to_bits()).then_some(int)
}

struct Writer<'a> {
    symbols: &'a Symbols,
    strip: bool,
}

impl Writer<'_> {
    fn function(&self, code: &FunctionCode, out: &mut Vec<u8>) {
        for constant in &code.objects {
            if let Constant::Function(child) = constant {
                self.function(child, out);
            }
        }
        let mut body =
            vec![flag_bits(code.flags), code.parameters, code.frame_size, code.upvalues.len() as u8];
        put(&mut body, code.objects.len() as u32);
        put(&mut body, code.numbers.len() as u32);
        put(&mut body, code.instructions.len() as u32 - 1);
        let debug = if self.strip || code.lines.is_empty() { Vec::new() } else { self.debug(code) };
        if !self.strip {
            put(&mut body, debug.len() as u32);
            if !debug.is_empty() {
                put(&mut body, code.first_line);
                put(&mut body, code.line_count);
            }
        }
        body.extend(code.instructions[1..].iter().flat_map(|ins| ins.to_le_bytes()));
        body.extend(code.upvalues.iter().flat_map(|source| upvalue_operand(source).to_le_bytes()));
        for constant in code.objects.iter().rev() {
            self.object(constant, &mut body);
        }
        for &number in &code.numbers {
            put_number(&mut body, number);
        }
        body.extend_from_slice(&debug);
        put(out, body.len() as u32);
        out.extend_from_slice(&body);
    }

    fn object(&self, constant: &Constant, out: &mut Vec<u8>) {
        match constant {
            Constant::String(symbol) => {
                let text = self.symbols.get(*symbol);
                put(out, object::STRING + text.len() as u32);
                out.extend_from_slice(text);
            }
            Constant::Function(_) => put(out, object::CHILD),
            Constant::Table(template) => {
                put(out, object::TABLE);
                self.table(template, out);
            }
            Constant::Int64(n) => {
                put(out, object::INT64);
                put_halves(out, *n as u64);
            }
            Constant::Uint64(n) => {
                put(out, object::UINT64);
                put_halves(out, *n);
            }
            Constant::Complex(re, im) => {
                put(out, object::COMPLEX);
                put_halves(out, re.to_bits());
                put_halves(out, im.to_bits());
            }
        }
    }

    fn table(&self, template: &TableTemplate, out: &mut Vec<u8>) {
        let mut array: Vec<Scalar> = Vec::new();
        let mut hash: Vec<(Scalar, Scalar)> = Vec::new();
        for &(key, value) in &template.entries {
            if let Scalar::Number(n) = key
                && n >= 0.0
                && n < f64::from(template.array_size)
                && n.trunc() == n
            {
                let index = n as usize;
                if array.len() <= index {
                    array.resize(index + 1, Scalar::Nil);
                }
                array[index] = value;
            } else {
                hash.push((key, value));
            }
        }
        while matches!(array.last(), Some(Scalar::Nil | Scalar::Reserved)) {
            array.pop();
        }
        // Of equal keys the last store counts; then the keys in their order.
        hash.reverse();
        hash.sort_by(|a, b| self.order(a.0, b.0));
        hash.dedup_by(|later, first| self.order(later.0, first.0).is_eq());
        put(out, array.len() as u32);
        put(out, hash.len() as u32);
        for value in array {
            self.item(value, true, out);
        }
        for (key, value) in hash {
            self.item(key, false, out);
            self.item(value, true, out);
        }
    }

    /// Numbers by their bits, then strings, then booleans.
    fn order(&self, a: Scalar, b: Scalar) -> std::cmp::Ordering {
        let rank = |key| match key {
            Scalar::Number(n) => (0, n.to_bits(), &[][..]),
            Scalar::String(s) => (1, 0, self.symbols.get(s)),
            Scalar::Bool(b) => (2, u64::from(!b), &[][..]),
            Scalar::Nil | Scalar::Reserved => (3, 0, &[][..]),
        };
        rank(a).cmp(&rank(b))
    }

    fn item(&self, scalar: Scalar, narrow: bool, out: &mut Vec<u8>) {
        match scalar {
            Scalar::Nil | Scalar::Reserved => put(out, item::NIL),
            Scalar::Bool(b) => put(out, if b { item::TRUE } else { item::FALSE }),
            Scalar::Number(n) => match as_int(n).filter(|_| narrow) {
                Some(int) => {
                    put(out, item::INT);
                    put(out, int as u32);
                }
                None => {
                    put(out, item::NUMBER);
                    put_halves(out, n.to_bits());
                }
            },
            Scalar::String(symbol) => {
                let text = self.symbols.get(symbol);
                put(out, item::STRING + text.len() as u32);
                out.extend_from_slice(text);
            }
        }
    }

    fn debug(&self, code: &FunctionCode) -> Vec<u8> {
        let mut out = Vec::new();
        for &line in code.lines.iter().skip(1) {
            let offset = line.saturating_sub(code.first_line);
            match line_size(code.line_count) {
                1 => out.push(offset as u8),
                2 => out.extend_from_slice(&(offset as u16).to_le_bytes()),
                _ => out.extend_from_slice(&offset.to_le_bytes()),
            }
        }
        for &name in &code.upvalue_names {
            out.extend_from_slice(self.symbols.get(name));
            out.push(0);
        }
        let mut last = 0;
        for var in &code.variables {
            let name = self.symbols.get(var.name);
            match HIDDEN.iter().position(|&hidden| hidden == name) {
                Some(number) => out.push(number as u8 + 1),
                None => {
                    out.extend_from_slice(name);
                    out.push(0);
                }
            }
            put(&mut out, var.start.wrapping_sub(last));
            put(&mut out, var.end.wrapping_sub(var.start));
            last = var.start;
        }
        out.push(0);
        out
    }
}

/// Bytes per line number.
fn line_size(line_count: u32) -> usize {
    match line_count {
        0..256 => 1,
        256..65536 => 2,
        _ => 4,
    }
}

/// A number constant: one bit says whether it is an integer, the rest is ULEB128 of 33 bits.
fn put_number(out: &mut Vec<u8>, number: f64) {
    let (tag, low, high) = match as_int(number) {
        Some(int) => (0, int as u32, None),
        None => (1, number.to_bits() as u32, Some((number.to_bits() >> 32) as u32)),
    };
    let mut value = u64::from(low) << 1 | tag;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    if let Some(high) = high {
        put(out, high);
    }
}

// -- Reading --

/// Reads a dump. `name` is the chunk's name if the dump has none. The result has the right form, but only
/// [`super::verify::verify`] makes it fit to run.
///
/// # Errors
/// If it is not a dump, or one of another version.
pub fn read(bytes: &[u8], name: &[u8]) -> Result<Chunk> {
    let mut reader = Reader { rest: bytes, big_endian: false, stripped: false, symbols: Symbols::new() };
    if reader.take(4)? != HEAD {
        return Err(DumpError::Incompatible);
    }
    let flags = reader.count()?;
    if flags & !KNOWN != 0 || flags & TWO_SLOT_FRAMES == 0 {
        return Err(DumpError::Incompatible);
    }
    reader.big_endian = flags & BIG_ENDIAN != 0;
    reader.stripped = flags & STRIPPED != 0;
    let name = if reader.stripped {
        if name.first() == Some(&HEAD[0]) { b"=?".to_vec() } else { name.to_vec() }
    } else {
        let length = reader.count()? as usize;
        reader.take(length)?.to_vec()
    };
    let mut functions: Vec<(FunctionCode, u32)> = Vec::new();
    loop {
        let length = reader.count()? as usize;
        if length == 0 {
            break;
        }
        let body = reader.take(length)?;
        let after = std::mem::replace(&mut reader.rest, body);
        let function = reader.function(&mut functions)?;
        if !reader.rest.is_empty() {
            return Err(DumpError::Malformed);
        }
        reader.rest = after;
        functions.push(function);
    }
    match (functions.pop(), functions.is_empty() && reader.rest.is_empty()) {
        (Some((main, _)), true) => Ok(Chunk { symbols: reader.symbols, name, main }),
        _ => Err(DumpError::Malformed),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    big_endian: bool,
    stripped: bool,
    symbols: Symbols,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DumpError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A ULEB128 of up to 33 bits.
    fn wide(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DumpError::Malformed)
    }

    fn count(&mut self) -> Result<u32> {
        u32::try_from(self.wide()?).map_err(|_| DumpError::Malformed)
    }

    fn halves(&mut self) -> Result<u64> {
        let low = self.count()?;
        Ok(u64::from(self.count()?) << 32 | u64::from(low))
    }

    /// A number that may be anything but a NaN that values are made of.
    fn double(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.halves()?))
    }

    fn text(&mut self, length: u32) -> Result<Symbol> {
        let text = self.take(length as usize)?;
        Ok(self.symbols.intern(text))
    }

    fn half_word(&self, bytes: &[u8]) -> u16 {
        let bytes = [bytes[0], bytes[1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn words(&mut self, count: usize) -> Result<Vec<u32>> {
        let bytes = self.take(count.checked_mul(4).ok_or(DumpError::Malformed)?)?;
        Ok(bytes.chunks_exact(4).map(|b| self.word(b)).collect())
    }

    fn function(&mut self, children: &mut Vec<(FunctionCode, u32)>) -> Result<(FunctionCode, u32)> {
        let bits = self.byte()?;
        if bits & !(flags::CHILD | flags::VARARG | flags::FFI | flags::BITOP) != 0 {
            return Err(DumpError::Malformed);
        }
        let parameters = self.byte()?;
        let frame_size = self.byte()?;
        let upvalues = usize::from(self.byte()?);
        let object_count = self.count()?;
        let number_count = self.count()?;
        let instruction_count = self.count()? as usize;
        let debug_length = if self.stripped { 0 } else { self.count()? as usize };
        let (first_line, line_count) = if debug_length > 0 { (self.count()?, self.count()?) } else { (0, 0) };
        let vararg = bits & flags::VARARG != 0;
        let mut code = FunctionCode {
            parameters,
            frame_size,
            flags: FunctionFlags {
                vararg,
                children: bits & flags::CHILD != 0,
                ffi: bits & flags::FFI != 0,
                bit_operators: bits & flags::BITOP != 0,
            },
            first_line,
            line_count,
            ..FunctionCode::default()
        };
        code.instructions.push(ad(if vararg { Op::FUNCV } else { Op::FUNCF }, frame_size, 0));
        code.instructions.extend(self.words(instruction_count)?);
        code.upvalues = self
            .take(upvalues * 2)?
            .chunks_exact(2)
            .map(|b| {
                let bits = self.half_word(b);
                let known = UV_LOCAL | UV_IMMUTABLE | 0xff;
                (bits & !known == 0).then_some(UpvalueSource {
                    from_register: bits & UV_LOCAL != 0,
                    immutable: bits & UV_IMMUTABLE != 0,
                    index: bits as u8,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(DumpError::Malformed)?;
        let mut depth = 1;
        for _ in 0..object_count {
            let constant = self.object(children, &mut depth)?;
            code.objects.push(constant);
        }
        code.objects.reverse();
        for _ in 0..number_count {
            let number = self.number()?;
            code.numbers.push(number);
        }
        if debug_length > 0 {
            let debug = self.take(debug_length)?;
            let after = std::mem::replace(&mut self.rest, debug);
            self.debug(&mut code)?;
            self.rest = after;
        }
        Ok((code, depth))
    }

    fn object(&mut self, children: &mut Vec<(FunctionCode, u32)>, depth: &mut u32) -> Result<Constant> {
        Ok(match self.count()? {
            object::CHILD => {
                let (child, child_depth) = children.pop().ok_or(DumpError::Malformed)?;
                *depth = (child_depth + 1).max(*depth);
                if *depth > MAX_DEPTH {
                    return Err(DumpError::Malformed);
                }
                Constant::Function(Box::new(child))
            }
            object::TABLE => Constant::Table(self.table()?),
            object::INT64 => Constant::Int64(self.halves()? as i64),
            object::UINT64 => Constant::Uint64(self.halves()?),
            object::COMPLEX => Constant::Complex(self.double()?, self.double()?),
            length => Constant::String(self.text(length - object::STRING)?),
        })
    }

    fn table(&mut self) -> Result<TableTemplate> {
        let array_size = self.count()?;
        let hash_size = self.count()?;
        let mut entries = Vec::new();
        for index in 0..array_size {
            let value = self.item()?;
            if value != Scalar::Nil {
                entries.push((Scalar::Number(f64::from(index)), value));
            }
        }
        for _ in 0..hash_size {
            let key = self.item()?;
            if key == Scalar::Nil {
                return Err(DumpError::Malformed);
            }
            let value = match self.item()? {
                Scalar::Nil => Scalar::Reserved,
                value => value,
            };
            entries.push((key, value));
        }
        Ok(TableTemplate { array_size, hash_size, start: (array_size, hash_size), entries })
    }

    fn item(&mut self) -> Result<Scalar> {
        Ok(match self.count()? {
            item::NIL => Scalar::Nil,
            item::FALSE => Scalar::Bool(false),
            item::TRUE => Scalar::Bool(true),
            item::INT => Scalar::Number(f64::from(self.count()? as i32)),
            item::NUMBER => {
                let number = self.double()?;
                if number.is_nan() {
                    return Err(DumpError::Malformed);
                }
                Scalar::Number(number)
            }
            length => Scalar::String(self.text(length - item::STRING)?),
        })
    }

    fn number(&mut self) -> Result<f64> {
        let value = self.wide()?;
        if value >> 33 != 0 {
            return Err(DumpError::Malformed);
        }
        let low = (value >> 1) as u32;
        let number = if value & 1 == 0 {
            f64::from(low as i32)
        } else {
            f64::from_bits(u64::from(self.count()?) << 32 | u64::from(low))
        };
        if number.is_nan() { Err(DumpError::Malformed) } else { Ok(number) }
    }

    fn name(&mut self) -> Result<Symbol> {
        let length = self.rest.iter().position(|&c| c == 0).ok_or(DumpError::Malformed)?;
        let name = self.text(length as u32)?;
        self.take(1)?;
        Ok(name)
    }

    fn debug(&mut self, code: &mut FunctionCode) -> Result<()> {
        let size = line_size(code.line_count);
        let count = code.instructions.len() - 1;
        let lines = self.take(count.checked_mul(size).ok_or(DumpError::Malformed)?)?;
        code.lines.push(code.first_line);
        for bytes in lines.chunks_exact(size) {
            let offset = match size {
                1 => u32::from(bytes[0]),
                2 => u32::from(self.half_word(bytes)),
                _ => self.word(bytes),
            };
            code.lines.push(code.first_line.checked_add(offset).ok_or(DumpError::Malformed)?);
        }
        for _ in 0..code.upvalues.len() {
            let name = self.name()?;
            code.upvalue_names.push(name);
        }
        let mut start = 0u32;
        loop {
            let name = match self.rest.first() {
                None => return Err(DumpError::Malformed),
                Some(0) => {
                    self.take(1)?;
                    break;
                }
                Some(&number) if usize::from(number) <= HIDDEN.len() => {
                    self.take(1)?;
                    self.symbols.intern(HIDDEN[usize::from(number) - 1])
                }
                Some(_) => self.name()?,
            };
            start = start.checked_add(self.count()?).ok_or(DumpError::Malformed)?;
            let end = start.checked_add(self.count()?).ok_or(DumpError::Malformed)?;
            code.variables.push(Variable { name, start, end });
        }
        if self.rest.is_empty() { Ok(()) } else { Err(DumpError::Malformed) }
    }
}
