//! Lifting of integer arithmetic.

use super::inst::{Logic, MovWide, Multiply, One, Two};
use super::lift::{Lifter, packed, ty};
use super::slots;
use crate::Fp;
use ir::op::Op;
use ir::types::{Flag, Operand, Type};

impl Lifter<'_> {
    pub(super) fn add_imm(&mut self, sf: bool, sub: bool, flags: bool, rd: u8, rn: u8, imm: u64) {
        let a = self.xsp(rn, sf);
        let m = self.b.int(ty(sf), imm.into());
        if imm == 0 && !flags {
            return self.set_xsp(rd, sf, a);
        }
        let r = self.add_sub(sf, sub, flags, a, m);
        if flags { self.set_x(rd, sf, r) } else { self.set_xsp(rd, sf, r) }
    }

    /// `a ± m`, and the flags if asked for.
    pub(super) fn add_sub(&mut self, sf: bool, sub: bool, flags: bool, a: Operand, m: Operand) -> Operand {
        let t = ty(sf);
        let r = self.b.bin(if sub { Op::Sub } else { Op::Add }, t, a, m);
        match (flags, sub) {
            (false, _) => {}
            (true, true) => self.b.set_recipe(slots::FLAGS, Op::FlagsSub, t, 0, &[a, m]),
            (true, false) => {
                let f = self.b.bin(Op::FlagsAdd, t, a, m);
                self.invert_carry(f);
            }
        }
        r
    }

    /// Sets the flags to `f`, whose C is the architecture's.
    fn invert_carry(&mut self, f: Operand) {
        let c = self.b.flag(Flag::C, f);
        let c = self.b.un(Op::Not, Type::I1, c);
        self.flags_with_carry(f, c);
    }

    pub(super) fn logic(&mut self, sf: bool, op: Logic, a: Operand, m: Operand) -> Operand {
        let t = ty(sf);
        let code = match op {
            Logic::And | Logic::Ands => Op::And,
            Logic::Orr => Op::Or,
            Logic::Eor => Op::Xor,
        };
        let r = self.b.bin(code, t, a, m);
        if op == Logic::Ands {
            let f = self.b.un(Op::FlagsLogic, t, r);
            let one = self.b.bool(true);
            self.flags_with_carry(f, one);
        }
        r
    }

    pub(super) fn mov_wide(&mut self, sf: bool, op: MovWide, rd: u8, imm: u64, shift: u8) {
        let value = imm << shift;
        let v = match op {
            MovWide::Zero => self.b.int(ty(sf), value.into()),
            MovWide::Not if sf => self.b.i64(!value as i64),
            MovWide::Not => self.b.int(Type::I32, i128::from(!value as u32)),
            MovWide::Keep => {
                let old = self.x(rd, true);
                let old = match self.b.trace().literal_int(old) {
                    // A constant made piece by piece.
                    Some(known) => {
                        let all = known as u64 & !(0xffff << shift) | value;
                        let v = self.b.i64(if sf { all } else { all & 0xffff_ffff } as i64);
                        return self.set_x(rd, true, v);
                    }
                    None => old,
                };
                let keep = self.b.i64(!(0xffffu64 << shift) as i64);
                let put = self.b.i64(value as i64);
                let v = self.b.bin(Op::And, Type::I64, old, keep);
                let v = self.b.bin(Op::Or, Type::I64, v, put);
                if sf { v } else { self.b.convert(Op::Trunc, Type::I64, Type::I32, v) }
            }
        };
        self.set_x(rd, sf, v);
    }

    pub(super) fn bitfield(&mut self, sf: bool, signed: Option<bool>, rd: u8, rn: u8, r: u32, s: u32) {
        let t = ty(sf);
        let bits = t.bits();
        let a = self.x(rn, sf);
        let Some(signed) = signed else {
            // The field is kept in place, the rest of the destination stays.
            let rotated = self.by(Op::Ror, t, a, r);
            let width = if s >= r { s - r + 1 } else { s + 1 };
            let place = if s >= r { 0 } else { bits - r };
            let field = (if width >= 64 { u64::MAX } else { (1 << width) - 1 }) << place;
            let old = self.x(rd, sf);
            let inside = self.b.int(t, field.into());
            let outside = self.b.int(t, i128::from(!field));
            let v = self.b.bin(Op::And, t, rotated, inside);
            let old = self.b.bin(Op::And, t, old, outside);
            let v = self.b.bin(Op::Or, t, old, v);
            return self.set_x(rd, sf, v);
        };
        let right = if signed { Op::Sar } else { Op::Shr };
        let v = if s >= r && s == bits - 1 {
            self.by(right, t, a, r)
        } else if r == 0 && matches!(s, 7 | 15 | 31) {
            let part = Type::int(s + 1).unwrap_or(t);
            let v = self.b.convert(Op::Trunc, t, part, a);
            self.b.convert(if signed { Op::Sext } else { Op::Zext }, part, t, v)
        } else if s >= r {
            let width = s - r + 1;
            if signed {
                let up = self.by(Op::Shl, t, a, bits - 1 - s);
                self.by(Op::Sar, t, up, bits - width)
            } else {
                let down = self.by(Op::Shr, t, a, r);
                let mask = self.b.int(t, (1i128 << width) - 1);
                self.b.bin(Op::And, t, down, mask)
            }
        } else {
            // The low bits, moved up.
            let up = self.by(Op::Shl, t, a, bits - 1 - s);
            self.by(right, t, up, r - 1 - s)
        };
        self.set_x(rd, sf, v);
    }

    /// Shifted by a literal.
    fn by(&mut self, op: Op, t: Type, a: Operand, n: u32) -> Operand {
        if n == 0 {
            return a;
        }
        let n = self.b.int(t, n.into());
        self.b.bin(op, t, a, n)
    }

    pub(super) fn extr(&mut self, sf: bool, rd: u8, rn: u8, rm: u8, lsb: u8) {
        let t = ty(sf);
        let m = self.x(rm, sf);
        let v = if rn == rm {
            self.by(Op::Ror, t, m, lsb.into())
        } else if lsb == 0 {
            m
        } else {
            let n = self.x(rn, sf);
            let high = self.by(Op::Shl, t, n, t.bits() - u32::from(lsb));
            let low = self.by(Op::Shr, t, m, lsb.into());
            self.b.bin(Op::Or, t, high, low)
        };
        self.set_x(rd, sf, v);
    }

    pub(super) fn add_carry(&mut self, sf: bool, sub: bool, flags: bool, rd: u8, rn: u8, rm: u8) {
        let t = ty(sf);
        let (a, m) = (self.x(rn, sf), self.x(rm, sf));
        let old = self.b.get(slots::FLAGS);
        let borrow = self.b.flag(Flag::C, old);
        let r = if sub {
            let d = self.b.bin(Op::Sub, t, a, m);
            let c = self.b.convert(Op::Zext, Type::I1, t, borrow);
            let r = self.b.bin(Op::Sub, t, d, c);
            if flags {
                self.b.set_recipe(slots::FLAGS, Op::FlagsSbb, t, 0, &[a, m, borrow]);
            }
            r
        } else {
            let carry = self.b.un(Op::Not, Type::I1, borrow);
            let d = self.b.bin(Op::Add, t, a, m);
            let c = self.b.convert(Op::Zext, Type::I1, t, carry);
            let r = self.b.bin(Op::Add, t, d, c);
            if flags {
                let f = self.b.tri(Op::FlagsAdc, t, a, m, carry);
                self.invert_carry(f);
            }
            r
        };
        self.set_x(rd, sf, r);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub(super) fn cond_compare(
        &mut self,
        sf: bool,
        sub: bool,
        rn: u8,
        rm: Option<u8>,
        imm: u8,
        cond: u8,
        nzcv: u8,
    ) {
        let t = ty(sf);
        let a = self.x(rn, sf);
        let m = match rm {
            Some(rm) => self.x(rm, sf),
            None => self.b.int(t, imm.into()),
        };
        let holds = self.condition(cond);
        let f = self.b.bin(if sub { Op::FlagsSub } else { Op::FlagsAdd }, t, a, m);
        let f = if sub {
            f
        } else {
            let c = self.b.flag(Flag::C, f);
            let c = self.b.un(Op::Not, Type::I1, c);
            self.b.with_flag(Flag::C, f, c)
        };
        let image = self.b.unpack_flags(f);
        let other = self.b.i64(packed(nzcv.into()) as i64);
        let image = self.b.select(Type::I64, holds, image, other);
        self.b.set_recipe(slots::FLAGS, Op::FlagsPack, Type::Void, 0, &[image]);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub(super) fn cond_select(
        &mut self,
        sf: bool,
        invert: bool,
        increment: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        cond: u8,
    ) {
        let t = ty(sf);
        let holds = self.condition(cond);
        let (a, m) = (self.x(rn, sf), self.x(rm, sf));
        if rn == 31 && rm == 31 && cond < 14 && (invert || increment) {
            // cset, csetm
            let v = match (invert, increment) {
                (false, _) => {
                    let c = self.b.un(Op::Not, Type::I1, holds);
                    self.b.convert(Op::Zext, Type::I1, t, c)
                }
                (true, false) => {
                    let c = self.b.un(Op::Not, Type::I1, holds);
                    let c = self.b.convert(Op::Zext, Type::I1, t, c);
                    self.b.un(Op::Neg, t, c)
                }
                (true, true) => self.b.int(t, 0),
            };
            return self.set_x(rd, sf, v);
        }
        let one = self.b.int(t, 1);
        let m = match (invert, increment) {
            (false, false) => m,
            (false, true) => self.b.bin(Op::Add, t, m, one),
            (true, false) => self.b.un(Op::Not, t, m),
            (true, true) => self.b.un(Op::Neg, t, m),
        };
        let v = self.b.select(t, holds, a, m);
        self.set_x(rd, sf, v);
    }

    pub(super) fn one(&mut self, sf: bool, op: One, rd: u8, rn: u8) {
        let t = ty(sf);
        let a = self.x(rn, sf);
        // Bytes exchanged within what the mask leaves together.
        let swap = |s: &mut Self, a: Operand, by: u32, mask: u64| {
            let m = s.b.int(t, mask.into());
            let high = s.by(Op::Shr, t, a, by);
            let high = s.b.bin(Op::And, t, high, m);
            let low = s.b.bin(Op::And, t, a, m);
            let low = s.by(Op::Shl, t, low, by);
            s.b.bin(Op::Or, t, high, low)
        };
        let v = match op {
            One::Rbit => {
                let v = swap(self, a, 1, 0x5555_5555_5555_5555 & t.mask64());
                let v = swap(self, v, 2, 0x3333_3333_3333_3333 & t.mask64());
                let v = swap(self, v, 4, 0x0f0f_0f0f_0f0f_0f0f & t.mask64());
                self.b.un(Op::Bswap, t, v)
            }
            One::Rev16 => swap(self, a, 8, 0x00ff_00ff_00ff_00ff & t.mask64()),
            One::Rev32 => {
                let v = self.b.un(Op::Bswap, t, a);
                self.by(Op::Ror, t, v, 32)
            }
            One::Rev => self.b.un(Op::Bswap, t, a),
            One::Clz => self.b.un(Op::Clz, t, a),
            One::Cls => {
                let sign = self.by(Op::Sar, t, a, t.bits() - 1);
                let same = self.b.bin(Op::Xor, t, a, sign);
                // Shifted left with a one behind, so that the sign itself does not count.
                let up = self.by(Op::Shl, t, same, 1);
                let one = self.b.int(t, 1);
                let up = self.b.bin(Op::Or, t, up, one);
                self.b.un(Op::Clz, t, up)
            }
        };
        self.set_x(rd, sf, v);
    }

    pub(super) fn two_registers(&mut self, sf: bool, op: Two, rd: u8, rn: u8, rm: u8) {
        let t = ty(sf);
        let v = match op {
            Two::Udiv | Two::Sdiv => {
                let (a, m) = (self.x(rn, sf), self.x(rm, sf));
                self.divide(t, op == Two::Sdiv, a, m)
            }
            Two::Shift(shift) => {
                let (a, m) = (self.x(rn, sf), self.x(rm, sf));
                let mask = self.b.int(t, i128::from(t.bits() - 1));
                let by = self.b.bin(Op::And, t, m, mask);
                let code = match shift {
                    super::inst::Shift::Lsl => Op::Shl,
                    super::inst::Shift::Lsr => Op::Shr,
                    super::inst::Shift::Asr => Op::Sar,
                    super::inst::Shift::Ror => Op::Ror,
                };
                self.b.bin(code, t, a, by)
            }
            Two::Crc32 { size, castagnoli } => {
                let a = self.x(rn, false);
                let m = self.x(rm, true);
                let which = self.b.i64(i64::from(size) | i64::from(castagnoli) << 8);
                let v = self.b.call(slots::CRC32, &[which, a, m], None);
                return self.set_x(rd, false, v);
            }
        };
        self.set_x(rd, sf, v);
    }

    /// Never faults: 0 when divided by 0, and the least number divided by -1 is itself.
    fn divide(&mut self, t: Type, signed: bool, a: Operand, m: Operand) -> Operand {
        let (zero, one) = (self.b.int(t, 0), self.b.int(t, 1));
        let by_zero = self.b.bin(Op::Eq, t, m, zero);
        if !signed {
            let safe = self.b.select(t, by_zero, one, m);
            let q = self.b.bin(Op::Udiv, t, a, safe);
            return self.b.select(t, by_zero, zero, q);
        }
        let minus = self.b.int(t, -1);
        let by_minus = self.b.bin(Op::Eq, t, m, minus);
        let odd = self.b.bin(Op::Or, Type::I1, by_zero, by_minus);
        let safe = self.b.select(t, odd, one, m);
        let q = self.b.bin(Op::Sdiv, t, a, safe);
        let negated = self.b.un(Op::Neg, t, a);
        let q = self.b.select(t, by_minus, negated, q);
        self.b.select(t, by_zero, zero, q)
    }

    pub(super) fn multiply(&mut self, sf: bool, op: Multiply, rd: u8, rn: u8, rm: u8, ra: u8) {
        let t = ty(sf);
        let v = match op {
            Multiply::High(signed) => {
                let (a, m) = (self.x(rn, true), self.x(rm, true));
                self.b.bin(if signed { Op::Smulh } else { Op::Umulh }, Type::I64, a, m)
            }
            Multiply::Add(sub) => {
                let (a, m) = (self.x(rn, sf), self.x(rm, sf));
                let p = self.b.bin(Op::Mul, t, a, m);
                self.accumulate(t, p, ra, sf, sub)
            }
            Multiply::Long { signed, sub } => {
                let (a, m) = (self.x(rn, false), self.x(rm, false));
                let code = if signed { Op::Sext } else { Op::Zext };
                let a = self.b.convert(code, Type::I32, Type::I64, a);
                let m = self.b.convert(code, Type::I32, Type::I64, m);
                let p = self.b.bin(Op::Mul, Type::I64, a, m);
                self.accumulate(Type::I64, p, ra, true, sub)
            }
        };
        self.set_x(rd, sf, v);
    }

    fn accumulate(&mut self, t: Type, p: Operand, ra: u8, sf: bool, sub: bool) -> Operand {
        if ra == 31 {
            return if sub { self.b.un(Op::Neg, t, p) } else { p };
        }
        let a = self.x(ra, sf);
        self.b.bin(if sub { Op::Sub } else { Op::Add }, t, a, p)
    }

    /// May helpers be called here? (Generated code has none.)
    pub(super) fn calls(&self) -> bool {
        self.fp == Fp::Native
    }
}
