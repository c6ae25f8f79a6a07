//! Lifting of SSE and AVX moves, integer arithmetic, shuffles and bit operations on vectors of 128 and 256 bits.
//!
//! One lifter serves both encodings: `sources` says where the operands are, `vector_type` how wide they are,
//! `write_vector` what becomes of the rest of the register. Shuffles of 256 bits work on each 128-bit part by itself,
//! as AVX2 does.

use super::lift::Lifter;
use super::semantics::Interleave;
use super::slots;
use iced_x86::OpKind;
use ir::op::Op;
use ir::types::{Flag, Operand, Type, ZERO};

impl Lifter<'_> {
    // --- moves -------------------------------------------------------------------------------------

    pub(super) fn vmov(&mut self) {
        let ty = self.vector_type();
        let value = self.read_vector(1, ty);
        self.write_vector(ty, value);
    }

    /// From memory the rest of the low 128 bits becomes zero, from a register it stays.
    pub(super) fn scalar_mov(&mut self, ty: Type) {
        if self.is_memory(1) {
            let value = self.load(ty);
            let value = self.b.convert(Op::Zext, ty, Type::V128, value);
            return self.write_vector(Type::V128, value);
        }
        if self.is_memory(0) {
            let value = self.read_lane(1, ty, 0);
            return self.store(ty, value);
        }
        let (_, source) = self.sources();
        let value = self.read_lane(source, ty, 0);
        self.write_lane(ty, value, 0);
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
        let value = self.b.convert(Op::Zext, ty, Type::V128, value);
        self.write_vector(Type::V128, value);
    }

    pub(super) fn mov_half(&mut self, bit: u32) {
        if self.is_memory(0) {
            let value = self.read_lane(1, Type::I64, bit);
            return self.store(Type::I64, value);
        }
        let value = self.load(Type::I64);
        self.write_lane(Type::I64, value, bit);
    }

    pub(super) fn mov_cross(&mut self, high_to_low: bool) {
        let (from, to) = if high_to_low { (64, 0) } else { (0, 64) };
        let (_, source) = self.sources();
        let value = self.read_lane(source, Type::I64, from);
        self.write_lane(Type::I64, value, to);
    }

    pub(super) fn movddup(&mut self) {
        let ty = self.vector_type();
        let bytes = if ty == Type::V128 { 8 } else { 32 };
        let source = self.read_vector_low(1, ty, bytes);
        self.write_shuffle(Type::I64, source, source, |_, _| 0);
    }

    pub(super) fn broadcast(&mut self, lane: Type) {
        let ty = self.vector_type();
        let value = if self.is_memory(1) { self.load(lane) } else { self.read_lane(1, lane, 0) };
        let all = self.b.convert(Op::VSplat, lane, ty, value);
        self.write_vector(ty, all);
    }

    pub(super) fn insert_half(&mut self) {
        let bit = u32::from(self.raw.immediate8() & 1) * 128;
        let (base, half) = (self.read_vector(1, Type::V256), self.read_vector(2, Type::V128));
        let value = self.b.insert(Type::V256, base, Type::V128, half, bit);
        self.write_vector(Type::V256, value);
    }

    pub(super) fn extract_half(&mut self) {
        let bit = u32::from(self.raw.immediate8() & 1) * 128;
        let half = self.read_lane(1, Type::V128, bit);
        self.write_vector(Type::V128, half);
    }

    /// The low 128 bits of registers 0 to 15 stay, all else in them becomes zero.
    pub(super) fn zero_upper(&mut self) {
        for number in 0..16 {
            let slot = slots::zmm(number);
            let whole = self.b.get(slot);
            let low = self.b.convert(Op::Trunc, Type::V512, Type::V128, whole);
            let value = self.b.convert(Op::Zext, Type::V128, Type::V512, low);
            self.b.set(slot, value);
        }
    }

    // --- arithmetic and logic ----------------------------------------------------------------------

    /// Both sources of a binary operation.
    pub(super) fn read_sources(&mut self) -> (Operand, Operand) {
        let (ty, (a, b)) = (self.vector_type(), self.sources());
        (self.read_vector(a, ty), self.read_vector(b, ty))
    }

    fn is_same_register(&self) -> bool {
        let (a, b) = self.sources();
        self.raw.op_kind(b) == OpKind::Register && self.raw.op_register(a) == self.raw.op_register(b)
    }

    pub(super) fn vbits(&mut self, op: Op) {
        let ty = self.vector_type();
        let result = if op == Op::Xor && self.is_same_register() {
            // The idiom for zero reads nothing.
            self.b.vector(ty, &ZERO)
        } else {
            let (a, b) = self.read_sources();
            self.b.bin(op, ty, a, b)
        };
        self.write_vector(ty, result);
    }

    pub(super) fn vbin(&mut self, op: Op, lane: Type) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let result = self.b.lanes(op, lane, ty, &[a, b]);
        self.write_vector(ty, result);
    }

    /// One source, of which the operation may use only the low half.
    pub(super) fn vun(&mut self, op: Op, lane: Type, half: bool) {
        let ty = self.vector_type();
        let bytes = if half { ty.bytes() / 2 } else { ty.bytes() };
        let source = self.read_vector_low(1, ty, bytes);
        let result = self.b.lanes(op, lane, ty, &[source]);
        self.write_vector(ty, result);
    }

    /// The amount is an immediate, or the low 64 bits of the second source, always of 128 bits.
    pub(super) fn vshift(&mut self, op: Op, lane: Type) {
        let (ty, (value, amount)) = (self.vector_type(), self.sources());
        let amount = if self.raw.op_kind(amount) == OpKind::Immediate8 {
            self.b.i64(self.raw.immediate8().into())
        } else {
            let source = self.read_vector(amount, Type::V128);
            self.b.extract(Type::V128, source, Type::I64, 0)
        };
        let value = self.read_vector(value, ty);
        let result = self.b.lanes(op, lane, ty, &[value, amount]);
        self.write_vector(ty, result);
    }

    // --- shuffles ----------------------------------------------------------------------------------

    /// Writes lanes chosen from `a` and then `b`, in each 128-bit part by itself: `index` maps part and lane in the
    /// part to the source lane in the part, those of `b` following those of `a`.
    pub(super) fn write_shuffle(&mut self, lane: Type, a: Operand, b: Operand, index: impl Fn(u8, u8) -> u8) {
        let ty = self.vector_type();
        let result = self.shuffle_parts(lane, ty, a, b, index);
        self.write_vector(ty, result);
    }

    /// The value that `write_shuffle` writes.
    pub(super) fn shuffle_parts(
        &mut self,
        lane: Type,
        ty: Type,
        a: Operand,
        b: Operand,
        index: impl Fn(u8, u8) -> u8,
    ) -> Operand {
        let (per_part, all) = ((128 / lane.bits()) as u8, (ty.bits() / lane.bits()) as u8);
        let mut lanes = [0u8; 32];
        for (i, source) in (0u8..).zip(lanes.iter_mut().take(all.into())) {
            let (part, at) = (i / per_part, index(i / per_part, i % per_part));
            let from_b = if at < per_part { 0 } else { all - per_part };
            *source = part * per_part + at + from_b;
        }
        self.b.shuffle(lane, ty, a, b, &lanes[..all.into()])
    }

    pub(super) fn permute4(&mut self) {
        let order = self.raw.immediate8();
        let source = self.read_vector(1, Type::V256);
        let lanes: [u8; 4] = std::array::from_fn(|i| order >> (2 * i) & 3);
        let result = self.b.shuffle(Type::I64, Type::V256, source, source, &lanes);
        self.write_vector(Type::V256, result);
    }

    pub(super) fn vshift_bytes(&mut self, left: bool) {
        let n = self.raw.immediate8().min(16);
        let ty = self.vector_type();
        let (source, _) = self.sources();
        let (value, zero) = (self.read_vector(source, ty), self.b.vector(ty, &ZERO));
        self.write_shuffle(Type::I8, value, zero, |_, i| match left {
            true if i >= n => i - n,
            false if i + n < 16 => i + n,
            _ => 16,
        });
    }

    pub(super) fn interleave(&mut self, part: Interleave, lane: Type) {
        let lanes = (128 / lane.bits()) as u8;
        let first = if part == Interleave::High { lanes / 2 } else { 0 };
        let (a, b) = self.read_sources();
        self.write_shuffle(lane, a, b, |_, i| first + i / 2 + i % 2 * lanes);
    }

    pub(super) fn shuffle4(&mut self) {
        let (ty, order) = (self.vector_type(), self.raw.immediate8());
        let source = self.read_vector(1, ty);
        self.write_shuffle(Type::I32, source, source, |_, i| order >> (2 * i) & 3);
    }

    pub(super) fn shuffle_half(&mut self, first: u8) {
        let (ty, order) = (self.vector_type(), self.raw.immediate8());
        let source = self.read_vector(1, ty);
        self.write_shuffle(Type::I16, source, source, |_, i| {
            let here = i.wrapping_sub(first);
            if here < 4 { first + (order >> (2 * here) & 3) } else { i }
        });
    }

    pub(super) fn shufps(&mut self) {
        let order = self.raw.immediate8();
        let (a, b) = self.read_sources();
        self.write_shuffle(Type::I32, a, b, |_, i| (order >> (2 * i) & 3) + i / 2 * 4);
    }

    pub(super) fn shufpd(&mut self) {
        let order = self.raw.immediate8();
        let (a, b) = self.read_sources();
        self.write_shuffle(Type::I64, a, b, |part, i| (order >> (2 * part + i) & 1) + i * 2);
    }

    /// Bytes `n…n+15` of the second source with the first above it, and zeros above that.
    pub(super) fn palignr(&mut self) {
        let n = self.raw.immediate8().min(32);
        let (a, b) = self.read_sources();
        if n <= 16 {
            self.write_shuffle(Type::I8, b, a, |_, i| i + n);
        } else {
            let zero = self.b.vector(self.vector_type(), &ZERO);
            self.write_shuffle(Type::I8, a, zero, |_, i| i + (n - 16));
        }
    }

    pub(super) fn pshufb(&mut self) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let result = self.b.op(Op::VLookup, Type::Void, ty, 0, &[a, b]);
        self.write_vector(ty, result);
    }

    // --- to and from general registers and flags ---------------------------------------------------

    pub(super) fn signs(&mut self, lane: Type) {
        let ty = self.vector_type();
        let source = self.read_vector(1, ty);
        let mask = self.b.lanes(Op::VSigns, lane, ty, &[source]);
        let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
        self.b.set(slot, mask);
    }

    /// The lane that the immediate names, as a bit offset.
    fn lane_bit(&self, lane: Type) -> u32 {
        u32::from(self.raw.immediate8()) % (128 / lane.bits()) * lane.bits()
    }

    pub(super) fn insert_lane(&mut self, lane: Type) {
        let (_, source) = self.sources();
        let value = if self.is_memory(source) {
            self.load(lane)
        } else {
            let slot = slots::gpr(self.raw.op_register(source).full_register().number() as u8);
            self.read_slot(slot, lane)
        };
        self.write_lane(lane, value, self.lane_bit(lane));
    }

    pub(super) fn extract_lane(&mut self, lane: Type) {
        let value = self.read_lane(1, lane, self.lane_bit(lane));
        if self.is_memory(0) {
            return self.store(lane, value);
        }
        let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
        let value = self.zext(lane, value);
        self.b.set(slot, value);
    }

    /// Z: no common bits. C: no bits of the source outside the destination. The others are 0.
    pub(super) fn ptest(&mut self) {
        let ty = self.vector_type();
        let (a, b) = (self.read_vector(0, ty), self.read_vector(1, ty));
        let common = self.b.bin(Op::And, ty, a, b);
        let outside = self.b.bin(Op::Andn, ty, a, b);
        let zero = self.b.vector(ty, &ZERO);
        let z = self.b.bin(Op::Eq, ty, common, zero);
        let c = self.b.bin(Op::Eq, ty, outside, zero);
        let image = self.b.i64(0);
        let flags = self.b.pack_flags(image);
        let flags = self.b.with_flag(Flag::Z, flags, z);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::C as u8, &[flags, c]);
    }
}
