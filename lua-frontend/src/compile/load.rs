//! Between plain code and heap objects: prototypes from a [`Chunk`], and back.

use super::code::{
    Chunk, Constant, FunctionCode, FunctionFlags, Scalar, TableTemplate, UpvalueSource, Variable,
};
use crate::api::Cx;
use crate::bytecode::{self as bc, ProtoParts, UV_IMMUTABLE, UV_LOCAL, VarInfo, flags};
use crate::error::Throw;
use crate::ffi::scalar;
use crate::object::{Proto, Table};
use crate::syntax::{Symbol, Symbols};
use crate::value::{Gc, Value};

/// Makes the prototype of the main function, and of those inside.
///
/// # Errors
/// `not enough memory`.
pub fn instantiate(cx: Cx, chunk: &Chunk) -> Result<Gc<Proto>, Throw> {
    let mut builder = Builder { cx, chunk, strings: vec![None; chunk.symbols.len()] };
    builder.function(&chunk.main)
}

struct Builder<'a> {
    cx: Cx,
    chunk: &'a Chunk,
    strings: Vec<Option<Value>>,
}

impl Builder<'_> {
    fn string(&mut self, symbol: Symbol) -> Value {
        let known = &mut self.strings[symbol.0 as usize];
        *known.get_or_insert_with(|| self.cx.str(self.chunk.symbols.get(symbol)).into())
    }

    fn scalar(&mut self, scalar: Scalar) -> Value {
        match scalar {
            Scalar::Nil | Scalar::Reserved => Value::NIL,
            Scalar::Bool(b) => Value::boolean(b),
            Scalar::Number(n) => Value::number(n),
            Scalar::String(s) => self.string(s),
        }
    }

    fn table(&mut self, template: &TableTemplate) -> Result<Value, Throw> {
        let (array, hash) = template.start;
        let heap = &mut self.cx.g().heap;
        let table = crate::table::new(heap, array, crate::table::hash_bits(hash));
        for &(key, value) in &template.entries {
            let key = self.scalar(key);
            // A key whose value comes later gets its node now, and counts when the table grows.
            let value = if value == Scalar::Reserved { Value::TRUE } else { self.scalar(value) };
            self.cx.raw_set(table, key, value)?;
        }
        // Of equal keys the last store counts.
        let mut reserved = rustc_hash::FxHashMap::default();
        if template.entries.iter().any(|e| e.1 == Scalar::Reserved) {
            for &(key, value) in &template.entries {
                reserved.insert(self.scalar(key).0, value == Scalar::Reserved);
            }
        }
        for (key, _) in reserved.into_iter().filter(|&(_, reserved)| reserved) {
            self.cx.raw_set(table, Value(key), Value::NIL)?;
        }
        if table.h.n < template.array_size {
            let heap = &mut self.cx.g().heap;
            let r = crate::table::reserve_array(heap, table, template.array_size - 1);
            r.map_err(|e| crate::error::table(self.cx, e))?;
        }
        Ok(table.into())
    }

    fn function(&mut self, code: &FunctionCode) -> Result<Gc<Proto>, Throw> {
        if code.flags.ffi {
            crate::ffi::library::ensure(self.cx);
        }
        let mut objects = Vec::with_capacity(code.objects.len());
        for object in &code.objects {
            objects.push(match object {
                Constant::String(symbol) => self.string(*symbol),
                Constant::Function(child) => self.function(child)?.into(),
                Constant::Table(template) => self.table(template)?,
                Constant::Int64(n) => scalar::int64(self.cx, *n).into(),
                Constant::Uint64(n) => scalar::uint64(self.cx, *n).into(),
                Constant::Complex(re, im) => scalar::complex(self.cx, *re, *im).into(),
            });
        }
        let symbols = &self.chunk.symbols;
        let text = |symbol: Symbol| symbols.get(symbol).to_vec();
        let parts = ProtoParts {
            bc: code.instructions.clone(),
            knum: code.numbers.iter().map(|&n| Value::number(n)).collect(),
            kgc: objects,
            uv: code.upvalues.iter().map(upvalue_operand).collect(),
            uvnames: code.upvalue_names.iter().map(|&name| text(name)).collect(),
            numparams: code.parameters,
            framesize: code.frame_size,
            flags: flag_bits(code.flags),
            chunkname: self.chunk.name.clone(),
            firstline: code.first_line,
            numline: code.line_count,
            lines: code.lines.clone(),
            vars: code
                .variables
                .iter()
                .map(|var| VarInfo { name: text(var.name), start: var.start, end: var.end })
                .collect(),
        };
        self.cx.new_proto(&parts)
    }
}

/// An upvalue descriptor as prototypes and dumps have it.
pub(super) fn upvalue_operand(source: &UpvalueSource) -> u16 {
    let mut bits = u16::from(source.index);
    if source.from_register {
        bits |= UV_LOCAL;
    }
    if source.immutable {
        bits |= UV_IMMUTABLE;
    }
    bits
}

pub(super) fn flag_bits(f: FunctionFlags) -> u8 {
    let bit = |set, bit| if set { bit } else { 0 };
    bit(f.children, flags::CHILD)
        | bit(f.vararg, flags::VARARG)
        | bit(f.ffi, flags::FFI)
        | bit(f.bit_operators, flags::BITOP)
}

/// The code of a prototype and of those inside, for dumps and listings.
pub fn extract(proto: Gc<Proto>) -> Chunk {
    let mut symbols = Symbols::new();
    let name = proto.chunk_name().to_vec();
    let main = extract_function(proto, &mut symbols);
    Chunk { symbols, name, main }
}

fn extract_function(proto: Gc<Proto>, symbols: &mut Symbols) -> FunctionCode {
    let mut instructions = proto.code().to_vec();
    let vararg = proto.pflags & flags::VARARG != 0;
    if let Some(head) = instructions.first_mut() {
        // The head may have been replaced by a hot or blacklisted one.
        *head = bc::ad(if vararg { bc::Op::FUNCV } else { bc::Op::FUNCF }, proto.framesize, 0);
    }
    let mut objects = Vec::new();
    for i in 0..proto.sizekgc as usize {
        let Some(value) = proto.kgc(i) else { break };
        objects.push(if let Some(s) = value.as_str() {
            Constant::String(symbols.intern(s.bytes()))
        } else if let Some(child) = value.as_proto() {
            Constant::Function(Box::new(extract_function(child, symbols)))
        } else if let Some(table) = value.as_table() {
            Constant::Table(extract_table(table, symbols))
        } else if let Some(cdata) = value.as_cdata() {
            scalar::constant(cdata)
        } else {
            Constant::Int64(0)
        });
    }
    FunctionCode {
        instructions,
        lines: proto.all_lines().to_vec(),
        objects,
        numbers: proto.knum().iter().map(|n| n.raw_f64()).collect(),
        upvalues: proto
            .uvs()
            .iter()
            .map(|&uv| UpvalueSource {
                from_register: uv & UV_LOCAL != 0,
                immutable: uv & UV_IMMUTABLE != 0,
                index: uv as u8,
            })
            .collect(),
        upvalue_names: (0..proto.sizeuv as usize)
            .map_while(|i| proto.uvname(i))
            .map(|name| symbols.intern(name))
            .collect(),
        variables: proto
            .locals()
            .iter()
            .map(|var| Variable { name: symbols.intern(var.name_bytes()), start: var.start, end: var.end })
            .collect(),
        parameters: proto.numparams,
        frame_size: proto.framesize,
        flags: FunctionFlags {
            vararg,
            children: proto.pflags & flags::CHILD != 0,
            ffi: proto.pflags & flags::FFI != 0,
            bit_operators: proto.pflags & flags::BITOP != 0,
        },
        first_line: proto.firstline,
        line_count: proto.numline,
    }
}

/// Entries in an order that does not depend on addresses: the array part, then keys sorted by kind and value.
fn extract_table(table: Gc<Table>, symbols: &mut Symbols) -> TableTemplate {
    let mut symbol = |value: Value, is_value: bool| -> Option<Scalar> {
        Some(if value.is_nil() {
            if is_value { Scalar::Reserved } else { return None }
        } else if value.is_bool() {
            Scalar::Bool(value.is_truthy())
        } else if let Some(n) = value.as_number() {
            Scalar::Number(n)
        } else {
            Scalar::String(symbols.intern(value.as_str()?.bytes()))
        })
    };
    let mut entries = Vec::new();
    for (i, &value) in table.array_part().iter().enumerate() {
        if !value.is_nil()
            && let Some(value) = symbol(value, true)
        {
            entries.push((Scalar::Number(i as f64), value));
        }
    }
    let mut hashed: Vec<(Value, Value)> =
        table.nodes().iter().filter(|node| !node.key.is_nil()).map(|node| (node.key, node.val)).collect();
    hashed.sort_by(|a, b| match (a.0.as_str(), b.0.as_str()) {
        (Some(a), Some(b)) => a.bytes().cmp(b.bytes()),
        (Some(_), None) => std::cmp::Ordering::Greater,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (None, None) => a.0.0.cmp(&b.0.0),
    });
    let hash_size = hashed.len() as u32;
    for (key, value) in hashed {
        if let (Some(key), Some(value)) = (symbol(key, false), symbol(value, true)) {
            entries.push((key, value));
        }
    }
    TableTemplate { array_size: table.h.n, hash_size, start: (table.h.n, hash_size), entries }
}

/// The dump of a function's code.
pub fn dump(proto: Gc<Proto>, strip: bool) -> Vec<u8> {
    super::dump::write(&extract(proto), strip)
}
