//! Lifting of floating point and vector instructions.
//!
//! [`Lifter::simd`] tries operations of the IR (`fast`, and [`super::float`] for what rounds), else it calls the reference, or, where
//! calls are not possible, leaves. All of it is compared with the reference and with a CPU by the oracle.
//!
//! A vector register is a `v128`; results of 64 bits and scalars clear the rest. Whatever the reference does with NaNs,
//! zeros of both signs and saturation that SSE does not is kept out by guards: they leave to the
//! instruction, which is then interpreted.

use super::lift::{Lifter, int_type, ty};
use super::simd::{Do, Into, Narrow, Simd, Zero};
use super::slots;
use crate::{Fp, Lifted};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::types::{Operand, Type, Wide};

/// The type of vector registers.
pub(super) const V: Type = Type::V128;

/// The float type of this size.
pub(super) fn float_type(size: u8) -> Type {
    if size == 2 { Type::F32 } else { Type::F64 }
}

/// Does lifting under [`Fp::AssumeDefault`] do without leaving? Some refuse later, by their size.
pub(super) fn is_lifted(s: &Simd) -> bool {
    use Do::*;
    if s.is_float() && s.size < 2 {
        return false;
    }
    !matches!(
        s.op,
        Pmul | Shl(..)
            | Sqdmulh(_)
            | Sqabs
            | Sqneg
            | Suqadd(_)
            | Urecpe
            | Ursqrte
            | Sqdmull(_)
            | Pmull
            | Sqshlu
            | QshlImm(_)
            | Fmulx
            | Frecps
            | Frsqrts
            | Frecpe
            | Frsqrte
            | Frecpx
            | Fcvtxn
    )
}

/// Bits of a vector with this in every lane.
fn every(lane: Type, value: u64) -> Wide {
    let bits = lane.bits();
    let mut word = value & lane.mask64();
    let mut width = bits;
    while width < 64 {
        word |= word << width;
        width *= 2;
    }
    let mut w = ir::types::ZERO;
    (w[0], w[1]) = (word, word);
    w
}

impl Lifter<'_> {
    pub(super) fn vector(&mut self, low: u64, high: u64) -> Operand {
        let mut w = ir::types::ZERO;
        (w[0], w[1]) = (low, high);
        self.b.vector(V, &w)
    }

    pub(super) fn all(&mut self, lane: Type, value: u64) -> Operand {
        self.b.vector(V, &every(lane, value))
    }

    pub(super) fn zero(&mut self) -> Operand {
        self.vector(0, 0)
    }

    /// Zero above the lowest so many bits.
    pub(super) fn zero_above(&mut self, v: Operand, bits: u32) -> Operand {
        let part = match bits {
            128 => return v,
            64 => Type::F64,
            32 => Type::F32,
            n => {
                let mask = self.vector((1 << n) - 1, 0);
                return self.b.op(Op::And, V, V, 0, &[v, mask]);
            }
        };
        let x = self.b.convert(Op::Trunc, V, part, v);
        self.b.convert(Op::Zext, part, V, x)
    }

    pub(super) fn simd(&mut self, s: &Simd) -> Lifted {
        match s.op {
            Do::Fcmp(_, zero) => return self.compare_floats(s, zero, None),
            Do::Fccmp(_) => return self.compare_floats(s, false, Some(s.cond)),
            Do::Fcsel => {
                let holds = self.condition(s.cond);
                let t = float_type(s.size);
                let (n, m) = (self.scalar(s.rn, t), self.scalar(s.rm, t));
                let v = self.b.select(t, holds, n, m);
                let v = self.b.convert(Op::Zext, t, V, v);
                self.b.set(slots::v(s.rd), v);
                return Lifted::Next;
            }
            Do::Tbl(registers, keep) => {
                self.table(s, registers, keep);
                return Lifted::Next;
            }
            _ => {}
        }
        if self.fp == Fp::AssumeDefault || !s.is_float() && !s.saturates() {
            match self.fast(s) {
                Some(v) => {
                    self.put(s, v);
                    return Lifted::Next;
                }
                None if !self.calls() => return self.leave(ExitKind::Step),
                None => {}
            }
        }
        let (n, m, d, fpcr) = self.sources(s);
        let word = self.b.i64(s.word.into());
        let v = self.b.call(slots::SIMD, &[word, n, m, d, fpcr], None);
        if s.is_float() || s.saturates() {
            let raised = self.b.call(slots::SIMD_STATUS, &[word, n, m, d, fpcr], None);
            self.raise(raised);
        }
        let v = if s.writes_general() { self.b.extract(V, v, Type::I64, 0) } else { v };
        self.put(s, v);
        Lifted::Next
    }

    pub(super) fn raise(&mut self, raised: Operand) {
        let old = self.b.get(slots::FPSR);
        let new = self.b.bin(Op::Or, Type::I32, old, raised);
        self.b.set(slots::FPSR, new);
    }

    /// Operands of a helper.
    pub(super) fn sources(&mut self, s: &Simd) -> (Operand, Operand, Operand, Operand) {
        let n = if s.reads_general() {
            let x = self.x(s.rn, true);
            let zero = self.zero();
            self.b.insert(V, zero, Type::I64, x, 0)
        } else {
            self.b.get(slots::v(s.rn))
        };
        let m = if s.reads_second() { self.b.get(slots::v(s.rm)) } else { self.zero() };
        let d = match s.op {
            Do::Fmadd(..) => self.b.get(slots::v(s.ra)),
            _ if s.reads_destination() => self.b.get(slots::v(s.rd)),
            _ => self.zero(),
        };
        (n, m, d, self.b.get(slots::FPCR))
    }

    /// Sets the destination: a `v128`, or an `i64` for a general register.
    fn put(&mut self, s: &Simd, v: Operand) {
        if s.writes_general() {
            self.set_x(s.rd, true, v);
        } else {
            self.b.set(slots::v(s.rd), v);
        }
    }

    /// A scalar in a vector register.
    pub(super) fn scalar(&mut self, r: u8, t: Type) -> Operand {
        let v = self.b.get(slots::v(r));
        self.b.convert(Op::Trunc, V, t, v)
    }

    // --- integers and bits -------------------------------------------------------------------------

    pub(super) fn lane2(&mut self, op: Op, lane: Type, a: Operand, b: Operand) -> Operand {
        self.b.lanes(op, lane, V, &[a, b])
    }

    pub(super) fn bits(&mut self, op: Op, a: Operand, b: Operand) -> Operand {
        self.b.op(op, V, V, 0, &[a, b])
    }

    fn not(&mut self, a: Operand) -> Operand {
        self.b.op(Op::Not, V, V, 0, &[a])
    }

    pub(super) fn lane_by(&mut self, op: Op, lane: Type, a: Operand, n: u64) -> Operand {
        if n == 0 {
            return a;
        }
        let n = self.b.i64(n as i64);
        self.b.lanes(op, lane, V, &[a, n])
    }

    pub(super) fn shuffle(
        &mut self,
        lane: Type,
        a: Operand,
        b: Operand,
        index: impl Fn(u8) -> u8,
    ) -> Operand {
        let lanes = (128 / lane.bits()) as u8;
        let index: Vec<u8> = (0..lanes).map(index).collect();
        self.b.shuffle(lane, V, a, b, &index)
    }

    /// The lanes of half a register, extended to twice their width; `high`: of the upper half.
    fn widened(&mut self, size: u8, unsigned: bool, high: bool, v: Operand) -> Operand {
        let (lane, wide) = (int_type(size), int_type(size + 1));
        let lanes = (128 / lane.bits()) as u8;
        let from = if high { lanes / 2 } else { 0 };
        if unsigned {
            let zero = self.zero();
            return self.shuffle(lane, v, zero, |i| if i % 2 == 0 { from + i / 2 } else { lanes });
        }
        let twice = self.shuffle(lane, v, v, |i| from + i / 2);
        self.lane_by(Op::VSar, wide, twice, lane.bits().into())
    }

    /// Lanes cut to half their width, put into one half of the destination.
    fn narrowed(&mut self, s: &Simd, wide: Operand) -> Operand {
        let lane = int_type(s.size);
        let lanes = (128 / lane.bits()) as u8;
        let zero = self.zero();
        let low = self.shuffle(lane, wide, zero, |i| if i < lanes / 2 { 2 * i } else { lanes });
        if !s.q {
            return low;
        }
        let d = self.b.get(slots::v(s.rd));
        self.shuffle(Type::I64, d, low, |i| 2 * i)
    }

    /// Neighbouring lanes of two registers taken together.
    pub(super) fn pairs(&mut self, s: &Simd, n: Operand, m: Operand, lane: Type) -> (Operand, Operand) {
        let lanes = (128 / lane.bits()) as u8;
        if s.q {
            let even = self.shuffle(lane, n, m, |i| 2 * i);
            let odd = self.shuffle(lane, n, m, |i| 2 * i + 1);
            return (even, odd);
        }
        let both = self.shuffle(Type::I64, n, m, |i| 2 * i);
        if lanes == 2 {
            let odd = self.shuffle(lane, both, both, |_| 1);
            return (both, odd);
        }
        let even = self.shuffle(lane, both, both, |i| 2 * i % lanes);
        let odd = self.shuffle(lane, both, both, |i| (2 * i + 1) % lanes);
        (even, odd)
    }

    /// All lanes combined into the lowest.
    fn across(
        &mut self,
        s: &Simd,
        v: Operand,
        lane: Type,
        mut f: impl FnMut(&mut Self, Operand, Operand) -> Operand,
    ) -> Operand {
        let lanes = (128 / lane.bits()) as u8;
        let mut count = if s.q { lanes } else { lanes / 2 };
        let mut v = v;
        while count > 1 {
            count /= 2;
            let other = self.shuffle(lane, v, v, |i| (i + count) % lanes);
            v = f(self, v, other);
        }
        self.zero_above(v, lane.bits())
    }

    fn product(&mut self, lane: Type, a: Operand, b: Operand) -> Option<Operand> {
        if lane != Type::I8 {
            return Some(self.lane2(Op::VMul, lane, a, b));
        }
        // Even and odd bytes as 16-bit products.
        let even = self.lane2(Op::VMul, Type::I16, a, b);
        let (x, y) = (self.lane_by(Op::VShr, Type::I16, a, 8), self.lane_by(Op::VShr, Type::I16, b, 8));
        let odd = self.lane2(Op::VMul, Type::I16, x, y);
        let odd = self.lane_by(Op::VShl, Type::I16, odd, 8);
        let mask = self.all(Type::I16, 0xff);
        let even = self.bits(Op::And, even, mask);
        Some(self.bits(Op::Or, even, odd))
    }

    /// Leaves to the instruction unless all bits of the two are equal.
    fn same_or_leave(&mut self, a: Operand, b: Operand) {
        let exit = self.step_exit();
        let c = self.b.op(Op::Eq, V, Type::I1, 0, &[a, b]);
        self.b.guard(c, exit);
    }

    /// By operations of the IR: the whole destination.
    fn fast(&mut self, s: &Simd) -> Option<Operand> {
        use Do::*;
        if !is_lifted(s) {
            return None;
        }
        if s.is_float() || matches!(s.op, Fabs | Fneg | Fmov) {
            return self.float(s);
        }
        let lane = int_type(s.size);
        let width = if s.scalar {
            8u32 << s.size
        } else if s.q {
            128
        } else {
            64
        };
        // General registers and copies first.
        match s.op {
            FmovToX => {
                let n = self.b.get(slots::v(s.rn));
                let x = self.b.extract(V, n, lane, s.imm as u32 * 64);
                return Some(self.b.convert(Op::Zext, lane, Type::I64, x));
            }
            FmovFromX if s.imm == 1 => {
                let (x, d) = (self.x(s.rn, true), self.b.get(slots::v(s.rd)));
                return Some(self.b.insert(V, d, Type::I64, x, 64));
            }
            FmovFromX => {
                let x = self.x(s.rn, s.size == 3);
                let zero = self.zero();
                return Some(self.b.insert(V, zero, lane, x, 0));
            }
            DupX => {
                let x = self.low_of(s.rn, lane);
                let v = self.b.convert(Op::VSplat, lane, V, x);
                return Some(self.zero_above(v, width));
            }
            InsX => {
                let (x, d) = (self.low_of(s.rn, lane), self.b.get(slots::v(s.rd)));
                return Some(self.b.insert(V, d, lane, x, s.imm as u32 * lane.bits()));
            }
            Umov | Smov => {
                let n = self.b.get(slots::v(s.rn));
                let x = self.b.extract(V, n, lane, s.imm as u32 * lane.bits());
                if s.op == Umov {
                    return Some(self.b.convert(Op::Zext, lane, Type::I64, x));
                }
                let x = self.b.convert(Op::Sext, lane, ty(s.sf), x);
                return Some(self.b.convert(Op::Zext, ty(s.sf), Type::I64, x));
            }
            InsElement => {
                let (n, d) = (self.b.get(slots::v(s.rn)), self.b.get(slots::v(s.rd)));
                let (to, from) = (s.imm as u32, (s.imm >> 32) as u32);
                let x = self.b.extract(V, n, lane, from * lane.bits());
                return Some(self.b.insert(V, d, lane, x, to * lane.bits()));
            }
            Movi if s.scalar => return Some(self.vector(s.imm, 0)),
            Movi => return Some(self.vector(s.imm, if s.q { s.imm } else { 0 })),
            OrrImm | BicImm => {
                let d = self.b.get(slots::v(s.rd));
                let imm = if s.op == OrrImm { s.imm } else { !s.imm };
                let m = self.all(Type::I64, imm);
                let v = self.bits(if s.op == OrrImm { Op::Or } else { Op::And }, d, m);
                return Some(self.zero_above(v, width));
            }
            _ => {}
        }
        let n = self.b.get(slots::v(s.rn));
        let m = self.second(s, lane);
        let lanes = (128 / lane.bits()) as u8;
        let wide = int_type(s.size + 1);
        let from = |s: &Simd| s.q;
        let v = match s.op {
            Add => self.lane2(Op::VAdd, lane, n, m),
            Sub => self.lane2(Op::VSub, lane, n, m),
            Mul => self.product(lane, n, m)?,
            Mla(sub) => {
                let (p, d) = (self.product(lane, n, m)?, self.b.get(slots::v(s.rd)));
                self.lane2(if sub { Op::VSub } else { Op::VAdd }, lane, d, p)
            }
            And => self.bits(Op::And, n, m),
            Bic => self.bits(Op::Andn, m, n),
            Orr => {
                if s.rn == s.rm {
                    n
                } else {
                    self.bits(Op::Or, n, m)
                }
            }
            Orn => {
                let m = self.not(m);
                self.bits(Op::Or, n, m)
            }
            Eor => self.bits(Op::Xor, n, m),
            Bsl | Bit | Bif => {
                let d = self.b.get(slots::v(s.rd));
                let (mask, yes, no) = match s.op {
                    Bsl => (d, n, m),
                    Bit => (m, n, d),
                    _ => (m, d, n),
                };
                let yes = self.bits(Op::And, mask, yes);
                let no = self.bits(Op::Andn, mask, no);
                self.bits(Op::Or, yes, no)
            }
            Hadd(true, true) if s.size < 2 => self.lane2(Op::VUavg, lane, n, m),
            Qadd(u) | Qsub(u) if s.size < 2 && !s.scalar => {
                let add = matches!(s.op, Qadd(_));
                let (plain, saturating) = match (add, u) {
                    (true, true) => (Op::VAdd, Op::VUadds),
                    (true, false) => (Op::VAdd, Op::VSadds),
                    (false, true) => (Op::VSub, Op::VUsubs),
                    (false, false) => (Op::VSub, Op::VSsubs),
                };
                let (n, m) = (self.zero_above(n, width), self.zero_above(m, width));
                let x = self.lane2(plain, lane, n, m);
                let v = self.lane2(saturating, lane, n, m);
                self.same_or_leave(x, v);
                v
            }
            Cmgt(false) => self.lane2(Op::VSgt, lane, n, m),
            Cmgt(true) => {
                let least = self.lane2(Op::VUmin, lane, n, m);
                let le = self.lane2(Op::VEq, lane, least, n);
                self.not(le)
            }
            Cmge(false) => {
                let less = self.lane2(Op::VSgt, lane, m, n);
                self.not(less)
            }
            Cmge(true) => {
                let most = self.lane2(Op::VUmax, lane, n, m);
                self.lane2(Op::VEq, lane, most, n)
            }
            Cmeq => self.lane2(Op::VEq, lane, n, m),
            Cmtst => {
                let x = self.bits(Op::And, n, m);
                let zero = self.zero();
                let none = self.lane2(Op::VEq, lane, x, zero);
                self.not(none)
            }
            Max(u) => self.lane2(if u { Op::VUmax } else { Op::VSmax }, lane, n, m),
            Min(u) => self.lane2(if u { Op::VUmin } else { Op::VSmin }, lane, n, m),
            Abd(u, add) => {
                let x = self.difference(u, lane, n, m);
                if add {
                    let d = self.b.get(slots::v(s.rd));
                    self.lane2(Op::VAdd, lane, d, x)
                } else {
                    x
                }
            }
            Addp if s.scalar => {
                let other = self.shuffle(lane, n, n, |_| 1);
                self.lane2(Op::VAdd, lane, n, other)
            }
            Addp | Maxp(_) | Minp(_) => {
                let (even, odd) = self.pairs(s, n, m, lane);
                let op = match s.op {
                    Maxp(u) => {
                        if u {
                            Op::VUmax
                        } else {
                            Op::VSmax
                        }
                    }
                    Minp(u) => {
                        if u {
                            Op::VUmin
                        } else {
                            Op::VSmin
                        }
                    }
                    _ => Op::VAdd,
                };
                self.lane2(op, lane, even, odd)
            }
            CmZero(how) => {
                let zero = self.zero();
                match how {
                    Zero::Gt => self.lane2(Op::VSgt, lane, n, zero),
                    Zero::Lt => self.lane2(Op::VSgt, lane, zero, n),
                    Zero::Eq => self.lane2(Op::VEq, lane, n, zero),
                    Zero::Ge => {
                        let x = self.lane2(Op::VSgt, lane, zero, n);
                        self.not(x)
                    }
                    Zero::Le => {
                        let x = self.lane2(Op::VSgt, lane, n, zero);
                        self.not(x)
                    }
                }
            }
            Rev(container) => {
                let per = (8u8 << container) / lane.bits() as u8;
                self.shuffle(lane, n, n, |i| i / per * per + per - 1 - i % per)
            }
            Addlp(u, add) => {
                let half = u64::from(lane.bits());
                let right = if u { Op::VShr } else { Op::VSar };
                let odd = self.lane_by(right, wide, n, half);
                let even = self.lane_by(Op::VShl, wide, n, half);
                let even = self.lane_by(right, wide, even, half);
                let x = self.lane2(Op::VAdd, wide, even, odd);
                if add {
                    let d = self.b.get(slots::v(s.rd));
                    self.lane2(Op::VAdd, wide, d, x)
                } else {
                    x
                }
            }
            Cnt => {
                // Ones of each half byte.
                let table = self.vector(nibbles(0), nibbles(8));
                let mask = self.all(Type::I8, 15);
                let low = self.bits(Op::And, n, mask);
                let high = self.lane_by(Op::VShr, Type::I16, n, 4);
                let high = self.bits(Op::And, high, mask);
                let low = self.b.op(Op::VLookup, Type::Void, V, 0, &[table, low]);
                let high = self.b.op(Op::VLookup, Type::Void, V, 0, &[table, high]);
                self.lane2(Op::VAdd, Type::I8, low, high)
            }
            Not => self.not(n),
            Do::Abs => self.b.lanes(Op::VAbs, lane, V, &[n]),
            Do::Neg => {
                let zero = self.zero();
                self.lane2(Op::VSub, lane, zero, n)
            }
            Xtn(Narrow::Plain) => return Some(self.narrowed(s, n)),
            Shrn(false, Narrow::Plain) => {
                let x = self.lane_by(Op::VShr, wide, n, s.imm);
                return Some(self.narrowed(s, x));
            }
            Shrn(true, Narrow::Plain) => {
                let half = self.all(wide, 1 << (s.imm - 1));
                let x = self.lane2(Op::VAdd, wide, n, half);
                let x = self.lane_by(Op::VShr, wide, x, s.imm);
                return Some(self.narrowed(s, x));
            }
            Addhn(sub, round) => {
                let x = self.lane2(if sub { Op::VSub } else { Op::VAdd }, wide, n, m);
                let x = if round {
                    let half = self.all(wide, 1 << (lane.bits() - 1));
                    self.lane2(Op::VAdd, wide, x, half)
                } else {
                    x
                };
                let x = self.lane_by(Op::VShr, wide, x, lane.bits().into());
                return Some(self.narrowed(s, x));
            }
            Shll(u) => {
                let x = self.widened(s.size, u, from(s), n);
                return Some(self.lane_by(Op::VShl, wide, x, s.imm));
            }
            Addl(u, sub, wide_first) => {
                let a = if wide_first { n } else { self.widened(s.size, u, from(s), n) };
                let b = self.widened(s.size, u, from(s), m);
                return Some(self.lane2(if sub { Op::VSub } else { Op::VAdd }, wide, a, b));
            }
            Abdl(u, add) => {
                let a = self.widened(s.size, u, from(s), n);
                let b = self.widened(s.size, u, from(s), m);
                let x = if s.size == 2 {
                    // The difference in the narrow type, which is unsigned.
                    let x = self.difference(u, lane, n, m);
                    self.widened(s.size, true, from(s), x)
                } else {
                    self.difference(false, wide, a, b)
                };
                if !add {
                    return Some(x);
                }
                let d = self.b.get(slots::v(s.rd));
                return Some(self.lane2(Op::VAdd, wide, d, x));
            }
            Mull(u, into) => {
                let p = if s.size == 2 {
                    let first = if s.q { 2 } else { 0 };
                    let a = self.shuffle(lane, n, n, |i| first + i / 2);
                    let b = self.shuffle(lane, m, m, |i| first + i / 2);
                    self.lane2(if u { Op::VUmulw } else { Op::VSmulw }, lane, a, b)
                } else {
                    let a = self.widened(s.size, u, from(s), n);
                    let b = self.widened(s.size, u, from(s), m);
                    self.lane2(Op::VMul, wide, a, b)
                };
                let d = match into {
                    Into::Set => return Some(p),
                    _ => self.b.get(slots::v(s.rd)),
                };
                return Some(self.lane2(if into == Into::Add { Op::VAdd } else { Op::VSub }, wide, d, p));
            }
            Shr(u, round, add) => {
                let op = if u { Op::VShr } else { Op::VSar };
                let mut x = self.lane_by(op, lane, n, s.imm);
                if round {
                    // The last bit shifted out is added.
                    let up = self.lane_by(op, lane, n, s.imm - 1);
                    let one = self.all(lane, 1);
                    let last = self.bits(Op::And, up, one);
                    x = self.lane2(Op::VAdd, lane, x, last);
                }
                if add {
                    let d = self.b.get(slots::v(s.rd));
                    x = self.lane2(Op::VAdd, lane, d, x);
                }
                x
            }
            ShlImm => self.lane_by(Op::VShl, lane, n, s.imm),
            Sri | Sli => {
                let (op, kept) = if s.op == Sri {
                    (Op::VShr, !(lane.mask64().checked_shr(s.imm as u32).unwrap_or(0)))
                } else {
                    (Op::VShl, (1 << s.imm) - 1)
                };
                let x = self.lane_by(op, lane, n, s.imm);
                let (d, kept) = (self.b.get(slots::v(s.rd)), self.all(lane, kept));
                let d = self.bits(Op::And, d, kept);
                self.bits(Op::Or, d, x)
            }
            Addv => return Some(self.across(s, n, lane, |s, a, b| s.lane2(Op::VAdd, lane, a, b))),
            Addlv(u) if s.size < 2 => {
                // In lanes of twice the width.
                let half = u64::from(lane.bits());
                let n = self.zero_above(n, width);
                let right = if u { Op::VShr } else { Op::VSar };
                let odd = self.lane_by(right, wide, n, half);
                let even = self.lane_by(Op::VShl, wide, n, half);
                let even = self.lane_by(right, wide, even, half);
                let x = self.lane2(Op::VAdd, wide, even, odd);
                return Some(self.across(s, x, wide, |s, a, b| s.lane2(Op::VAdd, wide, a, b)));
            }
            Addlv(u) => {
                let a = self.widened(s.size, u, false, n);
                let b = self.widened(s.size, u, true, n);
                let x = self.lane2(Op::VAdd, wide, a, b);
                return Some(self.across(s, x, wide, |s, a, b| s.lane2(Op::VAdd, wide, a, b)));
            }
            Maxv(u) => {
                let op = if u { Op::VUmax } else { Op::VSmax };
                return Some(self.across(s, n, lane, |s, a, b| s.lane2(op, lane, a, b)));
            }
            Minv(u) => {
                let op = if u { Op::VUmin } else { Op::VSmin };
                return Some(self.across(s, n, lane, |s, a, b| s.lane2(op, lane, a, b)));
            }
            DupElement => {
                let k = s.imm as u8;
                self.shuffle(lane, n, n, |_| k)
            }
            Zip(second) => {
                let half = if s.q { lanes / 2 } else { lanes / 4 };
                let skip = if second { half } else { 0 };
                self.shuffle(lane, n, m, |i| (skip + i / 2) % lanes + if i % 2 == 0 { 0 } else { lanes })
            }
            Uzp(second) => {
                let (even, odd) = self.pairs(s, n, m, lane);
                if second { odd } else { even }
            }
            Trn(second) => {
                let skip = u8::from(second);
                self.shuffle(lane, n, m, |i| i / 2 * 2 + skip + if i % 2 == 0 { 0 } else { lanes })
            }
            Ext if s.q => {
                let by = s.imm as u8;
                self.shuffle(Type::I8, n, m, |i| i + by)
            }
            Ext => {
                let both = self.shuffle(Type::I64, n, m, |i| 2 * i);
                let by = s.imm as u8;
                self.shuffle(Type::I8, both, both, |i| (i + by) % 16)
            }
            _ => return None,
        };
        Some(self.zero_above(v, width))
    }

    fn difference(&mut self, u: bool, lane: Type, a: Operand, b: Operand) -> Operand {
        let (max, min) = if u { (Op::VUmax, Op::VUmin) } else { (Op::VSmax, Op::VSmin) };
        let most = self.lane2(max, lane, a, b);
        let least = self.lane2(min, lane, a, b);
        self.lane2(Op::VSub, lane, most, least)
    }

    /// The low part of a general register.
    fn low_of(&mut self, r: u8, lane: Type) -> Operand {
        let x = self.x(r, true);
        match self.b.trace().literal_int(x) {
            Some(value) => self.b.int(lane, value),
            None => self.b.convert(Op::Trunc, Type::I64, lane, x),
        }
    }

    /// The second source, replicated if it is one lane.
    pub(super) fn second(&mut self, s: &Simd, lane: Type) -> Operand {
        if !s.reads_second() {
            return self.zero();
        }
        let m = self.b.get(slots::v(s.rm));
        match s.lane {
            Some(k) => self.shuffle(lane, m, m, |_| k),
            None => m,
        }
    }

    fn table(&mut self, s: &Simd, registers: u8, keep: bool) {
        let index = self.b.get(slots::v(s.rm));
        // Below 16 it becomes 0x70 and more, else at least 0x80, which looks up nothing.
        let top = self.all(Type::I8, 0x70);
        let mut v = self.zero();
        for k in 0..registers {
            let table = self.b.get(slots::v(s.rn + k));
            let skip = self.all(Type::I8, u64::from(16 * k));
            let i = if k == 0 { index } else { self.lane2(Op::VSub, Type::I8, index, skip) };
            let i = self.lane2(Op::VUadds, Type::I8, i, top);
            let x = self.b.op(Op::VLookup, Type::Void, V, 0, &[table, i]);
            v = if k == 0 { x } else { self.bits(Op::Or, v, x) };
        }
        if keep {
            let d = self.b.get(slots::v(s.rd));
            let last = self.all(Type::I8, u64::from(16 * registers - 1));
            let least = self.lane2(Op::VUmin, Type::I8, index, last);
            let inside = self.lane2(Op::VEq, Type::I8, least, index);
            let d = self.bits(Op::Andn, inside, d);
            v = self.bits(Op::Or, v, d);
        }
        let v = self.zero_above(v, if s.q { 128 } else { 64 });
        self.b.set(slots::v(s.rd), v);
    }
}

/// The numbers of ones in eight half bytes from `first` on, a byte each.
fn nibbles(first: u64) -> u64 {
    (0..8).map(|i| u64::from((first + i).count_ones()) << (8 * i)).sum()
}
