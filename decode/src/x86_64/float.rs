//! Lifting of SSE and AVX floating point. Every trace with one of these assumes `FpDefault` (see [`crate::Fp`]).
//!
//! Scalar instructions work on the low lane and keep the rest of the first source.

use super::lift::Lifter;
use super::semantics::round_mode;
use ir::op::Op;
use ir::types::{Operand, Type, ZERO};

impl Lifter<'_> {
    /// The low lane of a register, or a scalar in memory.
    fn scalar(&mut self, operand: u32, ty: Type) -> Operand {
        if self.is_memory(operand) { self.load(ty) } else { self.read_lane(operand, ty, 0) }
    }

    /// The last source of a scalar operation.
    fn last_scalar(&mut self, ty: Type) -> Operand {
        let (_, source) = self.sources();
        self.scalar(source, ty)
    }

    pub(super) fn fbin(&mut self, op: Op, ty: Type) {
        let (a, b) = self.sources();
        let (a, b) = (self.scalar(a, ty), self.scalar(b, ty));
        let result = self.b.bin(op, ty, a, b);
        self.write_lane(ty, result, 0);
    }

    pub(super) fn fsqrt(&mut self, ty: Type) {
        let source = self.last_scalar(ty);
        let result = self.b.un(Op::Fsqrt, ty, source);
        self.write_lane(ty, result, 0);
    }

    pub(super) fn fround(&mut self, ty: Type) {
        let source = self.last_scalar(ty);
        let result = self.b.fround(ty, round_mode(self.raw.immediate8()), source);
        self.write_lane(ty, result, 0);
    }

    pub(super) fn fcompare(&mut self, ty: Type) {
        let (a, b) = (self.scalar(0, ty), self.scalar(1, ty));
        self.flags_are(Op::FlagsFcmp, ty, &[a, b]);
    }

    pub(super) fn int_to_float(&mut self, ty: Type) {
        let (_, source) = self.sources();
        let from = self.width(source);
        let value = self.read(source, from);
        let result = self.b.convert(Op::Sitof, from, ty, value);
        self.write_lane(ty, result, 0);
    }

    pub(super) fn float_to_int(&mut self, op: Op, ty: Type) {
        let to = self.width(0);
        let value = self.scalar(1, ty);
        let result = self.b.convert(op, ty, to, value);
        self.write(0, to, result);
    }

    pub(super) fn fconvert(&mut self, op: Op, from: Type, to: Type) {
        let value = self.last_scalar(from);
        let result = self.b.convert(op, from, to, value);
        self.write_lane(to, result, 0);
    }

    /// A mask per lane by the predicate in the immediate. Its bit 4 only says which NaNs raise an exception.
    fn predicate(&mut self, lane: Type, ty: Type, a: Operand, b: Operand) -> Operand {
        let lanes = if self.vex { 15 } else { 7 };
        let (op, swapped, negated) = match self.raw.immediate8() & lanes {
            0 => (Op::VFeq, false, false),
            1 => (Op::VFlt, false, false),
            2 => (Op::VFle, false, false),
            3 => (Op::VFuno, false, false),
            4 => (Op::VFeq, false, true),
            5 => (Op::VFlt, false, true),
            6 => (Op::VFle, false, true),
            7 => (Op::VFuno, false, true),
            9 => (Op::VFle, true, true),
            10 => (Op::VFlt, true, true),
            13 => (Op::VFle, true, false),
            14 => (Op::VFlt, true, false),
            // Equal or unordered (8), and its opposite (12).
            code @ (8 | 12) => {
                let equal = self.b.lanes(Op::VFeq, lane, ty, &[a, b]);
                let unordered = self.b.lanes(Op::VFuno, lane, ty, &[a, b]);
                let either = self.b.bin(Op::Or, ty, equal, unordered);
                return if code == 12 { self.b.un(Op::Not, ty, either) } else { either };
            }
            code => {
                let zero = self.b.vector(ty, &ZERO);
                return if code == 15 { self.b.un(Op::Not, ty, zero) } else { zero };
            }
        };
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        let mask = self.b.lanes(op, lane, ty, &[a, b]);
        if negated { self.b.un(Op::Not, ty, mask) } else { mask }
    }

    pub(super) fn fmask(&mut self, ty: Type) {
        let (a, b) = self.sources();
        let (a, b) = (self.read_vector(a, Type::V128), self.read_vector_low(b, Type::V128, ty.bytes()));
        let mask = self.predicate(ty, Type::V128, a, b);
        let low = self.b.extract(Type::V128, mask, ty, 0);
        self.write_lane(ty, low, 0);
    }

    pub(super) fn vfmask(&mut self, lane: Type) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let mask = self.predicate(lane, ty, a, b);
        self.write_vector(ty, mask);
    }
}
