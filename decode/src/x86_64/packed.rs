//! Lifting of packed instructions that take several IR operations: blends, widening moves, horizontal arithmetic,
//! and the multiplications of SSSE3.
//!
//! The sequences are made of operations that hosts have (shuffles within 128-bit parts, interleaving with zero or with a
//! mask of signs, a permutation of quadwords), so that code generation finds one instruction for most of them. Example:
//! `vpmovsxwd ymm0, xmm1` becomes a permutation `[0, 0, 1, 1]` of quadwords, a comparison with zero that makes the mask of
//! signs, and an interleave of both within each part.

use super::lift::Lifter;
use super::slots;
use ir::op::Op;
use ir::types::{Flag, Operand, Type, ZERO};

impl Lifter<'_> {
    /// The shuffle that `Lifter::write_shuffle` describes, as a value.
    fn in_parts(&mut self, lane: Type, a: Operand, b: Operand, index: impl Fn(u8, u8) -> u8) -> Operand {
        let ty = self.vector_type();
        self.shuffle_parts(lane, ty, a, b, index)
    }

    fn zero_vector(&mut self) -> Operand {
        let ty = self.vector_type();
        self.b.vector(ty, &ZERO)
    }

    // --- choices of lanes --------------------------------------------------------------------------

    /// `blendps` and the like: bit i of the immediate takes lane i from the second source; for words, the same
    /// eight bits serve every 128-bit part.
    pub(super) fn blend(&mut self, lane: Type) {
        let (chosen, per_part) = (self.raw.immediate8(), (128 / lane.bits()) as u8);
        let (a, b) = self.read_sources();
        self.write_shuffle(lane, a, b, |part, i| {
            let bit = if lane == Type::I16 { i } else { part * per_part + i };
            if chosen >> bit & 1 != 0 { per_part + i } else { i }
        });
    }

    /// `blendvps` and the like: the mask is `xmm0`, or the last operand of VEX forms.
    pub(super) fn blend_by_mask(&mut self, lane: Type) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let mask = if self.vex {
            self.read_vector(3, ty)
        } else {
            let whole = self.b.get(slots::zmm(0));
            self.b.convert(Op::Trunc, Type::V512, ty, whole)
        };
        let result = self.b.lanes(Op::VBlend, lane, ty, &[mask, b, a]);
        self.write_vector(ty, result);
    }

    /// `movsldup` (0) and `movshdup` (1).
    pub(super) fn duplicate_lanes(&mut self, odd: u8) {
        let ty = self.vector_type();
        let source = self.read_vector(1, ty);
        self.write_shuffle(Type::I32, source, source, |_, i| (i & !1) + odd);
    }

    /// `vpermilps`, `vpermilpd` by immediate.
    pub(super) fn permute_in_part(&mut self, lane: Type) {
        let (ty, order) = (self.vector_type(), self.raw.immediate8());
        let source = self.read_vector(1, ty);
        self.write_shuffle(lane, source, source, |part, i| match lane {
            Type::I32 => order >> (2 * i) & 3,
            _ => order >> (2 * part + i) & 1,
        });
    }

    /// `vperm2i128`: each half is one of the four halves of the sources, or zero.
    pub(super) fn permute_halves(&mut self) {
        let order = self.raw.immediate8();
        let (a, b) = self.read_sources();
        let lanes: [u8; 4] = std::array::from_fn(|i| {
            let half = if i < 2 { order } else { order >> 4 } & 3;
            2 * half + (i as u8 & 1)
        });
        let mut result = self.b.shuffle(Type::I64, Type::V256, a, b, &lanes);
        if order & 0x88 != 0 {
            let zero = self.zero_vector();
            let lanes: [u8; 4] = std::array::from_fn(|i| {
                let clear = if i < 2 { order & 8 } else { order & 0x80 } != 0;
                if clear { 4 } else { i as u8 }
            });
            result = self.b.shuffle(Type::I64, Type::V256, result, zero, &lanes);
        }
        self.write_vector(Type::V256, result);
    }

    /// `vbroadcasti128`.
    pub(super) fn broadcast_half(&mut self) {
        let half = self.load(Type::V128);
        let wide = self.b.convert(Op::Zext, Type::V128, Type::V256, half);
        let both = self.b.shuffle(Type::I64, Type::V256, wide, wide, &[0, 1, 0, 1]);
        self.write_vector(Type::V256, both);
    }

    /// `insertps`: a lane of the source, then zeros by mask.
    pub(super) fn insert_float(&mut self) {
        let control = self.raw.immediate8();
        let (base, source) = self.sources();
        let value = if self.is_memory(source) {
            self.load(Type::I32)
        } else {
            self.read_lane(source, Type::I32, u32::from(control >> 6) * 32)
        };
        let base = self.read_vector(base, Type::V128);
        let bit = u32::from(control >> 4 & 3) * 32;
        let mut result = self.b.insert(Type::V128, base, Type::I32, value, bit);
        if control & 15 != 0 {
            let zero = self.zero_vector();
            let lanes: [u8; 4] = std::array::from_fn(|i| if control >> i & 1 != 0 { 4 } else { i as u8 });
            result = self.b.shuffle(Type::I32, Type::V128, result, zero, &lanes);
        }
        self.write_vector(Type::V128, result);
    }

    /// `vzeroall`.
    pub(super) fn zero_all(&mut self) {
        let zero = self.b.vector(Type::V512, &ZERO);
        for number in 0..16 {
            self.b.set(slots::zmm(number), zero);
        }
    }

    // --- widening ----------------------------------------------------------------------------------

    /// `pmovzx…`, `pmovsx…`: the low lanes of the source, extended.
    pub(super) fn widen(&mut self, signed: bool, from: Type, to: Type) {
        let ty = self.vector_type();
        let factor = (to.bits() / from.bits()) as u8;
        let mut source = self.read_vector_low(1, ty, ty.bytes() / u32::from(factor));
        let mut next_part = 0;
        if ty == Type::V256 {
            // Each part gets what it needs into its low quadword.
            let upper = u8::from(factor == 2);
            source = self.b.shuffle(Type::I64, ty, source, source, &[0, 0, upper, upper]);
            next_part = if factor == 2 { 0 } else { 16 / (from.bytes() as u8 * factor) };
        }
        let zero = self.zero_vector();
        let (size, all) = (from.bytes() as u8, 16 / from.bytes() as u8);
        let result = match (signed, to) {
            // The part's lanes among the low ones, zeros between them.
            (false, _) => self.in_parts(from, source, zero, |part, i| match i % factor {
                0 => part * next_part + i / factor,
                _ => all,
            }),
            (true, _) if factor == 2 => {
                let first = self.in_parts(from, source, source, |part, i| (part * next_part + i) % all);
                self.interleave_signs(from, first)
            }
            (true, Type::I32) => self.sign_extended_to_32(size, source, zero, next_part),
            (true, _) => {
                let words = self.sign_extended_to_32(size, source, zero, next_part);
                self.interleave_signs(Type::I32, words)
            }
        };
        self.write_vector(ty, result);
    }

    /// The low lanes of each part, extended to twice their width by their signs.
    fn interleave_signs(&mut self, lane: Type, value: Operand) -> Operand {
        let ty = self.vector_type();
        let zero = self.zero_vector();
        let signs = self.b.lanes(Op::VSgt, lane, ty, &[zero, value]);
        let all = (128 / lane.bits()) as u8;
        self.in_parts(lane, value, signs, |_, i| i / 2 + i % 2 * all)
    }

    /// The low lanes of `size` bytes of each part (from lane `part * next_part` on), extended to 32 bits.
    fn sign_extended_to_32(&mut self, size: u8, source: Operand, zero: Operand, next_part: u8) -> Operand {
        let ty = self.vector_type();
        let first = 4 - size;
        let high = self.in_parts(Type::I8, source, zero, |part, i| {
            let byte = i % 4;
            if byte < first { 16 } else { ((part * next_part + i / 4) * size + byte - first) % 16 }
        });
        let bits = self.b.i64(i64::from(first) * 8);
        self.b.lanes(Op::VSar, Type::I32, ty, &[high, bits])
    }

    // --- arithmetic --------------------------------------------------------------------------------

    /// `phaddw`, `haddps` and the like: neighbours of the first source, then of the second, in each part.
    pub(super) fn horizontal(&mut self, op: Op, lane: Type) {
        let ty = self.vector_type();
        let moved = Type::int(lane.bits()).unwrap_or(lane);
        let (a, b) = self.read_sources();
        let even = self.in_parts(moved, a, b, |_, i| 2 * i);
        let odd = self.in_parts(moved, a, b, |_, i| 2 * i + 1);
        let result = self.b.lanes(op, lane, ty, &[even, odd]);
        self.write_vector(ty, result);
    }

    /// `addsubps`: even lanes subtract, odd ones add.
    pub(super) fn add_sub(&mut self, lane: Type) {
        let ty = self.vector_type();
        let moved = Type::int(lane.bits()).unwrap_or(lane);
        let all = (128 / lane.bits()) as u8;
        let (a, b) = self.read_sources();
        let difference = self.b.lanes(Op::VFsub, lane, ty, &[a, b]);
        let sum = self.b.lanes(Op::VFadd, lane, ty, &[a, b]);
        self.write_shuffle(moved, difference, sum, |_, i| if i % 2 == 0 { i } else { all + i });
    }

    /// `psign…`: the first source, negated where the second is negative, zero where that is zero.
    pub(super) fn with_sign(&mut self, lane: Type) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let zero = self.zero_vector();
        let negative = self.b.lanes(Op::VSgt, lane, ty, &[zero, b]);
        let none = self.b.lanes(Op::VEq, lane, ty, &[b, zero]);
        let flipped = self.b.bin(Op::Xor, ty, a, negative);
        let signed = self.b.lanes(Op::VSub, lane, ty, &[flipped, negative]);
        let result = self.b.bin(Op::Andn, ty, none, signed);
        self.write_vector(ty, result);
    }

    /// `pmaddubsw`: products of unsigned by signed bytes; neighbours added with saturation.
    pub(super) fn multiply_add_bytes(&mut self) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let eight = self.b.i64(8);
        let mut lanes = |op, x: Operand, y: Operand| self.b.lanes(op, Type::I16, ty, &[x, y]);
        let (a_odd, b_odd) = (lanes(Op::VShr, a, eight), lanes(Op::VSar, b, eight));
        let (a_even, b_even) = (lanes(Op::VShl, a, eight), lanes(Op::VShl, b, eight));
        let (a_even, b_even) = (lanes(Op::VShr, a_even, eight), lanes(Op::VSar, b_even, eight));
        let (odd, even) = (lanes(Op::VMul, a_odd, b_odd), lanes(Op::VMul, a_even, b_even));
        let result = lanes(Op::VSadds, even, odd);
        self.write_vector(ty, result);
    }

    /// `pmulhrsw`: bits 15 to 30 of the products, rounded: the upper half doubled, and the top two bits of the lower half
    /// rounded to one.
    pub(super) fn multiply_round(&mut self) {
        let ty = self.vector_type();
        let (a, b) = self.read_sources();
        let (one, fourteen) = (self.b.i64(1), self.b.i64(14));
        let ones = self.b.int(Type::I16, 1);
        let ones = self.b.convert(Op::VSplat, Type::I16, ty, ones);
        let mut lanes = |op, x: Operand, y: Operand| self.b.lanes(op, Type::I16, ty, &[x, y]);
        let (high, low) = (lanes(Op::VSmulh, a, b), lanes(Op::VMul, a, b));
        let doubled = lanes(Op::VAdd, high, high);
        let top = lanes(Op::VShr, low, fourteen);
        let top = lanes(Op::VAdd, top, ones);
        let rounded = lanes(Op::VShr, top, one);
        let result = lanes(Op::VAdd, doubled, rounded);
        self.write_vector(ty, result);
    }

    /// `vtestps`: like `ptest`, on the top bits of lanes only.
    pub(super) fn test_signs(&mut self, lane: Type) {
        let ty = self.vector_type();
        let (a, b) = (self.read_vector(0, ty), self.read_vector(1, ty));
        let zero = self.b.i64(0);
        let mut is_clear = |op| {
            let bits = self.b.bin(op, ty, a, b);
            let signs = self.b.lanes(Op::VSigns, lane, ty, &[bits]);
            self.b.bin(Op::Eq, Type::I64, signs, zero)
        };
        let (z, c) = (is_clear(Op::And), is_clear(Op::Andn));
        let none = self.b.pack_flags(zero);
        let flags = self.b.with_flag(Flag::Z, none, z);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::C as u8, &[flags, c]);
    }

    // --- carries -----------------------------------------------------------------------------------

    /// `adcx`, `adox`: an addition with and of one flag, the others stay.
    pub(super) fn add_carry(&mut self, flag: Flag) {
        let ty = self.width(0);
        let (a, b) = (self.read(0, ty), self.read(1, ty));
        let carry = self.get_flag(flag);
        let carried = self.b.convert(Op::Zext, Type::I1, ty, carry);
        let partial = self.b.bin(Op::Add, ty, a, b);
        let result = self.b.bin(Op::Add, ty, partial, carried);
        self.write(0, ty, result);
        let overflow = self.b.bin(Op::Ult, ty, partial, a);
        let again = self.b.bin(Op::Ult, ty, result, partial);
        let out = self.b.bin(Op::Or, Type::I1, overflow, again);
        self.set_flag(flag, out);
    }
}
