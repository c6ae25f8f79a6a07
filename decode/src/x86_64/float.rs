//! Lifting of SSE floating point. Every trace with one of these assumes `FpDefault` (see [`crate::Fp`]).
//!
//! Scalar instructions work on the low lane and keep the rest of the destination register.

use super::lift::Lifter;
use super::semantics::round_mode;
use ir::op::Op;
use ir::types::{Operand, Type};

const V: Type = Type::V128;

impl Lifter<'_> {
    /// The low lane of a register, or a scalar in memory.
    fn scalar(&mut self, operand: u32, ty: Type) -> Operand {
        if self.is_memory(operand) { self.load(ty) } else { self.read_lane(operand, ty, 0) }
    }

    pub(super) fn fbin(&mut self, op: Op, ty: Type) {
        let (a, b) = (self.scalar(0, ty), self.scalar(1, ty));
        let result = self.b.bin(op, ty, a, b);
        self.write_lane(0, ty, result, 0);
    }

    pub(super) fn fsqrt(&mut self, ty: Type) {
        let source = self.scalar(1, ty);
        let result = self.b.un(Op::Fsqrt, ty, source);
        self.write_lane(0, ty, result, 0);
    }

    pub(super) fn fround(&mut self, ty: Type) {
        let source = self.scalar(1, ty);
        let result = self.b.fround(ty, round_mode(self.raw.immediate8()), source);
        self.write_lane(0, ty, result, 0);
    }

    pub(super) fn fcompare(&mut self, ty: Type) {
        let (a, b) = (self.scalar(0, ty), self.scalar(1, ty));
        self.flags_are(Op::FlagsFcmp, ty, &[a, b]);
    }

    pub(super) fn int_to_float(&mut self, ty: Type) {
        let from = self.width(1);
        let value = self.read(1, from);
        let result = self.b.convert(Op::Sitof, from, ty, value);
        self.write_lane(0, ty, result, 0);
    }

    pub(super) fn float_to_int(&mut self, op: Op, ty: Type) {
        let to = self.width(0);
        let value = self.scalar(1, ty);
        let result = self.b.convert(op, ty, to, value);
        self.write(0, to, result);
    }

    pub(super) fn fconvert(&mut self, op: Op, from: Type, to: Type) {
        let value = self.scalar(1, from);
        let result = self.b.convert(op, from, to, value);
        self.write_lane(0, to, result, 0);
    }

    /// A mask per lane by the predicate in the immediate.
    fn predicate(&mut self, lane: Type, a: Operand, b: Operand) -> Operand {
        let predicate = self.raw.immediate8();
        let op = match predicate & 3 {
            0 => Op::VFeq,
            1 => Op::VFlt,
            2 => Op::VFle,
            _ => Op::VFuno,
        };
        let mask = self.b.lanes(op, lane, V, &[a, b]);
        if predicate & 4 != 0 { self.b.un(Op::Not, V, mask) } else { mask }
    }

    pub(super) fn fmask(&mut self, ty: Type) {
        let (a, b) = (self.read_v128(0), self.read_v128_partial(1, ty.bytes()));
        let mask = self.predicate(ty, a, b);
        let low = self.b.extract(V, mask, ty, 0);
        self.write_lane(0, ty, low, 0);
    }

    pub(super) fn vfmask(&mut self, lane: Type) {
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        let mask = self.predicate(lane, a, b);
        self.write_v128(0, mask);
    }
}
