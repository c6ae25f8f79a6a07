//! Arithmetic and bit operators.
//!
//! Numbers are doubles. Sums and differences of integers that the trace knows to be small (loop counters, constants) stay integers: their
//! range is tracked by guarding that the 32-bit result did not overflow, which for counters the optimizer proves. Products do not,
//! because of the sign of zero.

use ir::op::Op as O;
use ir::types::{Operand, Round, Type};

use super::{Kind, Next, Recorder, V};
use crate::bytecode::{Ins, Op, a, b, c, d};
use crate::value::Value;

impl Recorder {
    /// A slot that holds a number now, guarded to; `None` for anything else.
    pub(super) fn number(&mut self, slot: usize) -> Option<V> {
        if !self.live(slot).is_number() {
            return None;
        }
        let v = self.typed(slot);
        (v.kind == Kind::Num).then_some(v)
    }

    pub(super) fn arith(&mut self, op: Op, ins: Ins) -> Next {
        let (x, y, kind) = if op == Op::UNM {
            let Some(x) = self.number(d(ins)) else { return Next::Stop };
            (x, x, Op::UNM)
        } else if op == Op::POW || op >= Op::ADDVV {
            let (Some(x), Some(y)) = (self.number(b(ins)), self.number(c(ins))) else { return Next::Stop };
            let kind = if op == Op::POW { Op::POW } else { plain(op as u8 - Op::ADDVV as u8) };
            (x, y, kind)
        } else {
            let Some(x) = self.number(b(ins)) else { return Next::Stop };
            let k = self.knum(c(ins));
            let k = self.val_const(k);
            if op >= Op::ADDNV {
                (k, x, plain(op as u8 - Op::ADDNV as u8))
            } else {
                (x, k, plain(op as u8 - Op::ADDVN as u8))
            }
        };
        let v = self.compute(kind, x, y);
        self.set(a(ins), v);
        Next::Go
    }

    fn compute(&mut self, op: Op, x: V, y: V) -> V {
        if let (Some(p), Some(q)) = (x.value.and_then(Value::as_number), y.value.and_then(Value::as_number)) {
            let event = match op {
                Op::ADDVV => crate::state::Event::Add,
                Op::SUBVV => crate::state::Event::Sub,
                Op::MULVV => crate::state::Event::Mul,
                Op::DIVVV => crate::state::Event::Div,
                Op::MODVV => crate::state::Event::Mod,
                Op::POW => crate::state::Event::Pow,
                _ => crate::state::Event::Unm,
            };
            return self.val_const(Value::number(crate::vm::compute(event, p, q)));
        }
        if matches!(op, Op::ADDVV | Op::SUBVV)
            && let (Some(p), Some(q)) = (self.known_int(x), self.known_int(y))
            && let Some(v) = self.small_sum(op, p, q)
        {
            return v;
        }
        let (p, q) = (self.num(x), self.num(y));
        let f = Type::F64;
        let result = match op {
            Op::ADDVV => self.b.bin(O::Fadd, f, p, q),
            Op::SUBVV => self.b.bin(O::Fsub, f, p, q),
            Op::MULVV => self.b.bin(O::Fmul, f, p, q),
            Op::DIVVV => self.b.bin(O::Fdiv, f, p, q),
            Op::MODVV => self.modulo(p, q),
            Op::POW => {
                let pow = self.layout.helper.pow;
                self.helper(pow, &[p, q])
            }
            // The sign of a NaN stays.
            _ => {
                let zero = self.b.f64(-0.0);
                self.b.bin(O::Fsub, f, zero, p)
            }
        };
        self.val_num(result)
    }

    /// The sum or difference of two integers as one, guarded not to overflow: as 64-bit integers both are exact.
    fn small_sum(&mut self, op: Op, p: Operand, q: Operand) -> Option<V> {
        let (narrow, wide) = (Type::I32, Type::I64);
        let op = if op == Op::ADDVV { O::Add } else { O::Sub };
        let sum = self.b.bin(op, narrow, p, q);
        let (p, q) = (self.b.convert(O::Sext, narrow, wide, p), self.b.convert(O::Sext, narrow, wide, q));
        let exact = self.b.bin(op, wide, p, q);
        let back = self.b.convert(O::Sext, narrow, wide, sum);
        let same = self.b.bin(O::Eq, wide, exact, back);
        self.guard(same);
        Some(self.val_int(sum))
    }

    /// `p - floor(p / q) * q`, with the sign of zero of the quotient.
    fn modulo(&mut self, p: Operand, q: Operand) -> Operand {
        let f = Type::F64;
        let quotient = self.b.bin(O::Fdiv, f, p, q);
        let floor = self.b.fround(f, Round::Down, quotient);
        let back = self.b.bin(O::Fmul, f, floor, q);
        self.b.bin(O::Fsub, f, p, back)
    }

    pub(super) fn bits(&mut self, op: Op, ins: Ins) -> Next {
        let i = Type::I32;
        let result = if op == Op::BNOT {
            let Some(x) = self.number(d(ins)) else { return Next::Stop };
            let x = self.to_bits(x);
            self.b.un(O::Not, i, x)
        } else {
            let (Some(x), Some(y)) = (self.number(b(ins)), self.number(c(ins))) else { return Next::Stop };
            let (x, y) = (self.to_bits(x), self.to_bits(y));
            let op = match op {
                Op::BAND => O::And,
                Op::BOR => O::Or,
                Op::BXOR => O::Xor,
                Op::BSHL => O::Shl,
                Op::BSHR => O::Shr,
                _ => O::Sar,
            };
            self.bit_op(op, x, y)
        };
        let v = self.val_int(result);
        self.set(a(ins), v);
        Next::Go
    }

    /// A bit operation; shifts take five bits of the count.
    pub fn bit_op(&mut self, op: O, x: Operand, y: Operand) -> Operand {
        let y = if matches!(op, O::Shl | O::Shr | O::Sar | O::Rol | O::Ror) {
            let mask = self.b.int(Type::I32, 31);
            self.b.bin(O::And, Type::I32, y, mask)
        } else {
            y
        };
        self.b.bin(op, Type::I32, x, y)
    }

    /// The low 32 bits of a number rounded to an integer, as the bit library takes them.
    pub fn to_bits(&mut self, v: V) -> Operand {
        if let Some(i) = self.known_int(v) {
            return i;
        }
        let num = self.num(v);
        // 2^52 + 2^51: the integer is in the low bits of the sum.
        let bias = self.b.f64(6_755_399_441_055_744.0);
        let sum = self.b.bin(O::Fadd, Type::F64, num, bias);
        let word = self.b.convert(O::Bitcast, Type::F64, Type::I64, sum);
        self.b.convert(O::Trunc, Type::I64, Type::I32, word)
    }
}

fn plain(i: u8) -> Op {
    [Op::ADDVV, Op::SUBVV, Op::MULVV, Op::DIVVV, Op::MODVV][usize::from(i)]
}
