//! Listings of bytecode, in the form that `-bl` prints.
//!
//! One line per instruction: index, `=>` if some jump leads here, name, operands, and behind `;` what a constant or an upvalue
//! is. Functions come innermost first. Constants are shown as in the source, shortened to 40 characters.

use std::io::{self, Write};

use super::code::{Chunk, Constant, FunctionCode};
use crate::bytecode::{self as bc, Ins, Mode};
use crate::syntax::{Symbol, short_source};

/// How a number is written in a listing.
pub type NumberFormat = fn(f64) -> String;

/// Lists a chunk, functions inside before the functions around them.
pub fn list(chunk: &Chunk, number: NumberFormat, out: &mut dyn Write) -> io::Result<()> {
    Listing { chunk, number, place: short_source(&chunk.name) }.function(&chunk.main, out)
}

struct Listing<'a> {
    chunk: &'a Chunk,
    number: NumberFormat,
    place: Vec<u8>,
}

impl Listing<'_> {
    fn function(&self, code: &FunctionCode, out: &mut dyn Write) -> io::Result<()> {
        for object in &code.objects {
            if let Constant::Function(child) = object {
                self.function(child, out)?;
            }
        }
        out.write_all(b"-- BYTECODE -- ")?;
        out.write_all(&self.place)?;
        writeln!(out, ":{}-{}", code.first_line, code.first_line + code.line_count)?;
        let mut targets = vec![false; code.instructions.len()];
        for (pc, &ins) in code.instructions.iter().enumerate() {
            if let Some(target) = jump_target(pc, ins).and_then(|t| targets.get_mut(t)) {
                *target = true;
            }
        }
        for (pc, &ins) in code.instructions.iter().enumerate().skip(1) {
            self.instruction(code, pc, ins, targets[pc], out)?;
        }
        out.write_all(b"\n")
    }

    fn string(&self, symbol: Symbol) -> Vec<u8> {
        let mut text = Vec::new();
        for &c in self.chunk.symbols.get(symbol) {
            match c {
                b'\n' => text.extend_from_slice(b"\\n"),
                b'\r' => text.extend_from_slice(b"\\r"),
                b'\t' => text.extend_from_slice(b"\\t"),
                c if c < 32 || c == 127 => text.extend_from_slice(format!("\\{c:03}").as_bytes()),
                c => text.push(c),
            }
        }
        let mut out = vec![b'"'];
        // The reference decides by the length of the original.
        if self.chunk.symbols.get(symbol).len() > 40 {
            out.extend_from_slice(&text[..text.len().min(40)]);
            out.extend_from_slice(b"\"~");
        } else {
            out.extend_from_slice(&text);
            out.push(b'"');
        }
        out
    }

    /// What the operand of this mode refers to.
    fn comment(&self, code: &FunctionCode, ins: Ins, mode: Mode, operand: usize) -> Option<Vec<u8>> {
        Some(match mode {
            Mode::Str => match code.objects.get(operand) {
                Some(Constant::String(symbol)) => self.string(*symbol),
                _ => b"?".to_vec(),
            },
            Mode::Num => {
                let number = code.numbers.get(operand).copied().unwrap_or(f64::NAN);
                let open = bc::op(ins) == Some(bc::Op::TSETM);
                (self.number)(if open { number - 4_503_599_627_370_496.0 } else { number }).into_bytes()
            }
            Mode::Func => match code.objects.get(operand) {
                Some(Constant::Function(child)) => {
                    [self.place.as_slice(), format!(":{}", child.first_line).as_bytes()].concat()
                }
                _ => b"?".to_vec(),
            },
            Mode::Uv => code
                .upvalue_names
                .get(operand)
                .map_or(b"".to_vec(), |&name| self.chunk.symbols.get(name).to_vec()),
            _ => return None,
        })
    }

    fn instruction(
        &self,
        code: &FunctionCode,
        pc: usize,
        ins: Ins,
        target: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let arrow = if target { "=>" } else { "  " };
        let Some(op) = bc::op(ins) else { return writeln!(out, "{pc:04} {arrow} ??????") };
        let info = op.info();
        let a = if info.a == Mode::None { String::new() } else { bc::a(ins).to_string() };
        write!(out, "{pc:04} {arrow} {:<6} {a:>3} ", info.name)?;
        if let Some(target) = jump_target(pc, ins) {
            return writeln!(out, "=> {target:04}");
        }
        if info.d == Mode::None {
            return writeln!(out);
        }
        let operand = if info.has_d() { bc::d(ins) } else { bc::c(ins) };
        let mut comment = self.comment(code, ins, info.d, operand);
        if info.a == Mode::Uv {
            let mut upvalue = self.comment(code, ins, Mode::Uv, bc::a(ins)).unwrap_or_default();
            if let Some(value) = comment {
                upvalue.extend_from_slice(b" ; ");
                upvalue.extend_from_slice(&value);
            }
            comment = Some(upvalue);
        }
        if info.has_d() {
            let shown = if info.d == Mode::Lits { i32::from(operand as u16 as i16) } else { operand as i32 };
            write!(out, "{shown:3}")?;
            if let Some(comment) = comment {
                out.write_all(b"      ; ")?;
                out.write_all(&comment)?;
            }
        } else {
            write!(out, "{:3} {operand:3}", bc::b(ins))?;
            if let Some(comment) = comment {
                out.write_all(b"  ; ")?;
                out.write_all(&comment)?;
            }
        }
        writeln!(out)
    }
}

/// Where an instruction jumps to.
fn jump_target(pc: usize, ins: Ins) -> Option<usize> {
    let op = bc::op(ins)?;
    (op.info().d == Mode::Jump).then(|| (pc as isize + 1 + bc::j(ins)) as usize)
}
