//! Lifting of SSE moves, integer arithmetic, shuffles and bit operations on 128-bit vectors.

use super::lift::Lifter;
use super::semantics::Interleave;
use super::slots;
use iced_x86::OpKind;
use ir::op::Op;
use ir::types::{Flag, Operand, Type};

const V: Type = Type::V128;

impl Lifter<'_> {
    // --- moves -------------------------------------------------------------------------------------

    pub(super) fn vmov(&mut self) {
        let value = self.read_v128(1);
        self.write_v128(0, value);
    }

    /// From memory the rest of the low 128 bits becomes zero, from a register it stays.
    pub(super) fn scalar_mov(&mut self, ty: Type) {
        if self.is_memory(1) {
            let value = self.load(ty);
            let value = self.b.convert(Op::Zext, ty, V, value);
            return self.write_v128(0, value);
        }
        let value = self.read_lane(1, ty, 0);
        if self.is_memory(0) { self.store(ty, value) } else { self.write_lane(0, ty, value, 0) }
    }

    pub(super) fn mov_int(&mut self) {
        let is_vector =
            |op: u32| self.raw.op_kind(op) == OpKind::Register && self.raw.op_register(op).is_xmm();
        let (to_vector, from_vector) = (is_vector(0), is_vector(1));
        if !to_vector {
            let ty = self.width(0);
            let value = self.read_lane(1, ty, 0);
            return self.write(0, ty, value);
        }
        let (ty, value) = if from_vector {
            (Type::I64, self.read_lane(1, Type::I64, 0))
        } else {
            let ty = self.width(1);
            (ty, self.read(1, ty))
        };
        let value = self.b.convert(Op::Zext, ty, V, value);
        self.write_v128(0, value);
    }

    pub(super) fn mov_half(&mut self, bit: u32) {
        if self.is_memory(0) {
            let value = self.read_lane(1, Type::I64, bit);
            return self.store(Type::I64, value);
        }
        let value = self.load(Type::I64);
        self.write_lane(0, Type::I64, value, bit);
    }

    pub(super) fn mov_cross(&mut self, high_to_low: bool) {
        let (from, to) = if high_to_low { (64, 0) } else { (0, 64) };
        let value = self.read_lane(1, Type::I64, from);
        self.write_lane(0, Type::I64, value, to);
    }

    pub(super) fn movddup(&mut self) {
        let value = if self.is_memory(1) { self.load(Type::I64) } else { self.read_lane(1, Type::I64, 0) };
        let both = self.b.convert(Op::VSplat, Type::I64, V, value);
        self.write_v128(0, both);
    }

    // --- arithmetic and logic ----------------------------------------------------------------------

    fn same_register(&self) -> bool {
        self.raw.op1_kind() == OpKind::Register && self.raw.op0_register() == self.raw.op1_register()
    }

    pub(super) fn vbits(&mut self, op: Op) {
        let result = if op == Op::Xor && self.same_register() {
            // The idiom for zero reads nothing.
            self.b.int(V, 0)
        } else {
            let (a, b) = (self.read_v128(0), self.read_v128(1));
            self.b.bin(op, V, a, b)
        };
        self.write_v128(0, result);
    }

    pub(super) fn vbin(&mut self, op: Op, lane: Type) {
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        let result = self.b.lanes(op, lane, V, &[a, b]);
        self.write_v128(0, result);
    }

    /// One source, of which the operation uses the low `bytes`.
    pub(super) fn vun(&mut self, op: Op, lane: Type, bytes: u32) {
        let source = self.read_v128_partial(1, bytes);
        let result = self.b.lanes(op, lane, V, &[source]);
        self.write_v128(0, result);
    }

    /// The amount is an immediate, or the low 64 bits of the source.
    pub(super) fn vshift(&mut self, op: Op, lane: Type) {
        let amount = if self.raw.op1_kind() == OpKind::Immediate8 {
            self.b.i64(self.raw.immediate8().into())
        } else {
            let source = self.read_v128(1);
            self.b.extract(V, source, Type::I64, 0)
        };
        let value = self.read_v128(0);
        let result = self.b.lanes(op, lane, V, &[value, amount]);
        self.write_v128(0, result);
    }

    // --- shuffles ----------------------------------------------------------------------------------

    /// Writes lanes chosen from `a` and then `b`; `index` maps a result lane to its source.
    fn write_shuffle(&mut self, lane: Type, a: Operand, b: Operand, index: impl Fn(u8) -> u8) {
        let lanes = (128 / lane.bits()) as u8;
        let index: Vec<u8> = (0..lanes).map(index).collect();
        let result = self.b.shuffle(lane, V, a, b, &index);
        self.write_v128(0, result);
    }

    pub(super) fn vshift_bytes(&mut self, left: bool) {
        let n = self.raw.immediate8().min(16);
        let (value, zero) = (self.read_v128(0), self.b.int(V, 0));
        self.write_shuffle(Type::I8, value, zero, |i| match left {
            true if i >= n => i - n,
            false if i + n < 16 => i + n,
            _ => 16,
        });
    }

    pub(super) fn interleave(&mut self, part: Interleave, lane: Type) {
        let lanes = (128 / lane.bits()) as u8;
        let first = if part == Interleave::High { lanes / 2 } else { 0 };
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        self.write_shuffle(lane, a, b, |i| first + i / 2 + i % 2 * lanes);
    }

    pub(super) fn shuffle4(&mut self) {
        let order = self.raw.immediate8();
        let source = self.read_v128(1);
        self.write_shuffle(Type::I32, source, source, |i| order >> (2 * i) & 3);
    }

    pub(super) fn shuffle_half(&mut self, first: u8) {
        let order = self.raw.immediate8();
        let source = self.read_v128(1);
        self.write_shuffle(Type::I16, source, source, |i| {
            let here = i.wrapping_sub(first);
            if here < 4 { first + (order >> (2 * here) & 3) } else { i }
        });
    }

    pub(super) fn shufps(&mut self) {
        let order = self.raw.immediate8();
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        self.write_shuffle(Type::I32, a, b, |i| (order >> (2 * i) & 3) + i / 2 * 4);
    }

    pub(super) fn shufpd(&mut self) {
        let order = self.raw.immediate8();
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        self.write_shuffle(Type::I64, a, b, |i| (order >> i & 1) + i * 2);
    }

    /// Bytes `n…n+15` of the source with the destination above it, and zeros above that.
    pub(super) fn palignr(&mut self) {
        let n = self.raw.immediate8().min(32);
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        if n <= 16 {
            self.write_shuffle(Type::I8, b, a, |i| i + n);
        } else {
            let zero = self.b.int(V, 0);
            self.write_shuffle(Type::I8, a, zero, |i| i + (n - 16));
        }
    }

    pub(super) fn pshufb(&mut self) {
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        let result = self.b.op(Op::VLookup, Type::Void, V, 0, &[a, b]);
        self.write_v128(0, result);
    }

    // --- to and from general registers and flags ---------------------------------------------------

    pub(super) fn signs(&mut self, lane: Type) {
        let source = self.read_v128(1);
        let mask = self.b.lanes(Op::VSigns, lane, V, &[source]);
        let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
        self.b.set(slot, mask);
    }

    pub(super) fn pinsrw(&mut self) {
        let value = if self.is_memory(1) {
            self.load(Type::I16)
        } else {
            let slot = slots::gpr(self.raw.op1_register().full_register().number() as u8);
            self.read_slot(slot, Type::I16)
        };
        let lane = u32::from(self.raw.immediate8() & 7);
        self.write_lane(0, Type::I16, value, lane * 16);
    }

    pub(super) fn pextrw(&mut self) {
        let lane = u32::from(self.raw.immediate8() & 7);
        let value = self.read_lane(1, Type::I16, lane * 16);
        if self.is_memory(0) {
            return self.store(Type::I16, value);
        }
        let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
        let value = self.zext(Type::I16, value);
        self.b.set(slot, value);
    }

    /// Z: no common bits. C: no bits of the source outside the destination. The others are 0.
    pub(super) fn ptest(&mut self) {
        let (a, b) = (self.read_v128(0), self.read_v128(1));
        let common = self.b.bin(Op::And, V, a, b);
        let outside = self.b.bin(Op::Andn, V, a, b);
        let zero = self.b.int(V, 0);
        let z = self.b.bin(Op::Eq, V, common, zero);
        let c = self.b.bin(Op::Eq, V, outside, zero);
        let image = self.b.i64(0);
        let flags = self.b.pack_flags(image);
        let flags = self.b.with_flag(Flag::Z, flags, z);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::C as u8, &[flags, c]);
    }
}
