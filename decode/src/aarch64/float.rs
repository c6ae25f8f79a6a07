//! Lifting of floating point: comparisons, and what rounds. See [`super::vector`] for how it is chosen.
//!
//! All here is SSE's arithmetic under the default control word. Results that are NaN, and conversions that do not fit, leave to
//! the instruction: which NaN it is, and what it saturates to, the reference knows.

use super::lift::{Lifter, int_type, ty};
use super::simd::{Do, Pair, Simd, Zero};
use super::slots;
use super::softfp::Rounding;
use super::vector::{V, float_type};
use crate::{Fp, Lifted};
use ir::op::Op;
use ir::types::{Operand, Round, Type};

impl Lifter<'_> {
    // --- comparisons -------------------------------------------------------------------------------

    /// `fcmp`, or `fccmp` under a condition.
    pub(super) fn compare_floats(&mut self, s: &Simd, zero: bool, cond: Option<u8>) -> Lifted {
        let t = float_type(s.size);
        if self.fp == Fp::Native {
            let (n, m, d, fpcr) = self.sources(s);
            let word = self.b.i64(s.word.into());
            let mut raised = self.b.call(slots::SIMD_STATUS, &[word, n, m, d, fpcr], None);
            if let Some(cond) = cond {
                let holds = self.condition(cond);
                let none = self.b.int(Type::I32, 0);
                raised = self.b.select(Type::I32, holds, raised, none);
            }
            // Denormal operands count as zero in flush mode.
            let flush = self.b.int(Type::I32, super::softfp::FZ.into());
            let on = self.b.bin(Op::And, Type::I32, fpcr, flush);
            let nothing = self.b.int(Type::I32, 0);
            let on = self.b.bin(Op::Ne, Type::I32, on, nothing);
            let a = self.scalar(s.rn, t);
            let a = self.flushed(t, a, on);
            let b = if zero {
                self.float_zero(t)
            } else {
                let b = self.scalar(s.rm, t);
                self.flushed(t, b, on)
            };
            self.compared(t, a, b, cond, s.imm);
            self.raise(raised);
            return Lifted::Next;
        }
        self.b.assume("FpDefault", &[]);
        let a = self.scalar(s.rn, t);
        let b = if zero { self.float_zero(t) } else { self.scalar(s.rm, t) };
        self.compared(t, a, b, cond, s.imm);
        Lifted::Next
    }

    fn float_zero(&mut self, t: Type) -> Operand {
        if t == Type::F32 { self.b.f32(0.0) } else { self.b.f64(0.0) }
    }

    /// The number, or zero for a denormal one if flushing is on.
    fn flushed(&mut self, t: Type, a: Operand, on: Operand) -> Operand {
        let int = if t == Type::F32 { Type::I32 } else { Type::I64 };
        let bits = self.b.convert(Op::Bitcast, t, int, a);
        let exponent: i128 = if t == Type::F32 { 0x7f80_0000 } else { 0x7ff0_0000_0000_0000 };
        let (mask, zero) = (self.b.int(int, exponent), self.b.int(int, 0));
        let e = self.b.bin(Op::And, int, bits, mask);
        let small = self.b.bin(Op::Eq, int, e, zero);
        let both = self.b.bin(Op::And, Type::I1, small, on);
        let nothing = self.float_zero(t);
        self.b.select(t, both, nothing, a)
    }

    /// The flags of a comparison, in the shape that `lift::compared_floats` knows.
    fn compared(&mut self, t: Type, a: Operand, b: Operand, cond: Option<u8>, nzcv: u64) {
        let holds = cond.map(|c| self.condition(c));
        let less = self.b.bin(Op::Flt, t, a, b);
        let equal = self.b.bin(Op::Feq, t, a, b);
        let unordered = self.b.bin(Op::Funo, t, a, b);
        let place = |s: &mut Self, c: Operand, bits: i64| {
            let (yes, no) = (s.b.i64(bits), s.b.i64(0));
            s.b.select(Type::I64, c, yes, no)
        };
        // Less: N, and no carry, which is kept inverted.
        let equal = place(self, equal, 1 << 6);
        let unordered = place(self, unordered, 1 << 11);
        let less = place(self, less, 0x81);
        let other = self.b.bin(Op::Or, Type::I64, equal, unordered);
        let image = self.b.bin(Op::Or, Type::I64, other, less);
        let image = match holds {
            None => image,
            Some(holds) => {
                let otherwise = self.b.i64(super::packed(nzcv as u32) as i64);
                self.b.select(Type::I64, holds, image, otherwise)
            }
        };
        self.b.set_recipe(slots::FLAGS, Op::FlagsPack, Type::Void, 0, &[image]);
    }

    // --- floating point ----------------------------------------------------------------------------

    /// Leaves to the instruction if a scalar is NaN.
    fn number(&mut self, t: Type, v: Operand) {
        let exit = self.step_exit();
        let nan = self.b.bin(Op::Funo, t, v, v);
        let fine = self.b.un(Op::Not, Type::I1, nan);
        self.b.guard(fine, exit);
    }

    /// Likewise for any lane of a vector.
    fn numbers(&mut self, lane: Type, a: Operand, b: Operand) {
        let exit = self.step_exit();
        let nan = self.b.lanes(Op::VFuno, lane, V, &[a, b]);
        let zero = self.zero();
        let fine = self.b.op(Op::Eq, V, Type::I1, 0, &[nan, zero]);
        self.b.guard(fine, exit);
    }

    pub(super) fn float(&mut self, s: &Simd) -> Option<Operand> {
        use Do::*;
        let t = float_type(s.size);
        let width = if s.scalar {
            t.bits()
        } else if s.q {
            128
        } else {
            64
        };
        let sign = 1u64 << (t.bits() - 1);
        let lane = int_type(s.size);
        // Bits only: no rounding, no NaN is looked at.
        match s.op {
            Fmov => {
                let n = self.b.get(slots::v(s.rn));
                return Some(self.zero_above(n, width));
            }
            Fabs | Fneg => {
                let n = self.b.get(slots::v(s.rn));
                let v = if s.op == Fabs {
                    let mask = self.all(lane, sign - 1);
                    self.bits(Op::And, n, mask)
                } else {
                    let mask = self.all(lane, sign);
                    self.bits(Op::Xor, n, mask)
                };
                return Some(self.zero_above(v, width));
            }
            _ => {}
        }
        self.b.assume("FpDefault", &[]);
        if s.scalar { self.float_scalar(s, t) } else { self.float_vector(s, t, width) }
    }

    fn float_scalar(&mut self, s: &Simd, t: Type) -> Option<Operand> {
        use Do::*;
        if let XtoF(unsigned) = s.op {
            if s.imm != 0 {
                return None;
            }
            let x = self.x(s.rn, s.sf);
            let v = self.b.op(if unsigned { Op::Uitof } else { Op::Sitof }, ty(s.sf), t, 0, &[x]);
            return Some(self.b.convert(Op::Zext, t, V, v));
        }
        if let Fcvt(from) = s.op {
            if from < 2 || s.size < 2 {
                return None;
            }
            let f = float_type(from);
            let n = self.scalar(s.rn, f);
            let v = self.b.op(if s.size == 3 { Op::Fext } else { Op::Fnarrow }, f, t, 0, &[n]);
            return Some(self.b.convert(Op::Zext, t, V, v));
        }
        let n = self.scalar(s.rn, t);
        let int = int_type(s.size);
        match s.op {
            FtoX(mode, unsigned) | FtoI(mode, unsigned) => {
                if s.imm != 0 {
                    return None;
                }
                let to = if matches!(s.op, FtoX(..)) { ty(s.sf) } else { int };
                let rounded = self.rounded(t, mode, n)?;
                let v = self.integer_of(t, to, unsigned, rounded);
                if matches!(s.op, FtoX(..)) {
                    return Some(self.b.convert(Op::Zext, to, Type::I64, v));
                }
                let zero = self.zero();
                return Some(self.b.insert(V, zero, to, v, 0));
            }
            ItoF(unsigned) => {
                if s.imm != 0 {
                    return None;
                }
                let x = self.b.convert(Op::Bitcast, t, int, n);
                let v = self.b.op(if unsigned { Op::Uitof } else { Op::Sitof }, int, t, 0, &[x]);
                return Some(self.b.convert(Op::Zext, t, V, v));
            }
            Fcmeq | Fcmge | Fcmgt | Facge | Facgt | FcmZero(_) => {
                let v = self.float_vector_compare(s, t)?;
                return Some(self.zero_above(v, t.bits()));
            }
            Fpair(how) => {
                let v = self.b.get(slots::v(s.rn));
                let high = self.b.extract(V, v, t, t.bits());
                let v = match how {
                    Pair::Add => {
                        let v = self.b.bin(Op::Fadd, t, n, high);
                        self.number(t, v);
                        v
                    }
                    _ => self.extreme(t, n, high, matches!(how, Pair::Max | Pair::MaxNumber)),
                };
                return Some(self.b.convert(Op::Zext, t, V, v));
            }
            _ => {}
        }
        let v = match s.op {
            Fadd | Fsub | Fmul | Fdiv | Fnmul | Fabd => {
                let m = match s.lane {
                    None => self.scalar(s.rm, t),
                    Some(k) => {
                        let m = self.b.get(slots::v(s.rm));
                        self.b.extract(V, m, t, u32::from(k) * t.bits())
                    }
                };
                let op = match s.op {
                    Fadd => Op::Fadd,
                    Fsub | Fabd => Op::Fsub,
                    Fdiv => Op::Fdiv,
                    _ => Op::Fmul,
                };
                let v = self.b.bin(op, t, n, m);
                self.number(t, v);
                match s.op {
                    Fnmul => self.b.un(Op::Fneg, t, v),
                    Fabd => self.b.un(Op::Fabs, t, v),
                    _ => v,
                }
            }
            Fmadd(product, addend) => {
                let (m, a) = (self.scalar(s.rm, t), self.scalar(s.ra, t));
                let n = if product { self.b.un(Op::Fneg, t, n) } else { n };
                let a = if addend { self.b.un(Op::Fneg, t, a) } else { a };
                let v = self.b.tri(Op::Ffma, t, n, m, a);
                self.number(t, v);
                v
            }
            Fmla(sub) => {
                let m = self.b.get(slots::v(s.rm));
                let m = self.b.extract(V, m, t, u32::from(s.lane.unwrap_or(0)) * t.bits());
                let a = self.scalar(s.rd, t);
                let n = if sub { self.b.un(Op::Fneg, t, n) } else { n };
                let v = self.b.tri(Op::Ffma, t, n, m, a);
                self.number(t, v);
                v
            }
            Fsqrt => {
                let v = self.b.un(Op::Fsqrt, t, n);
                self.number(t, v);
                v
            }
            Fmax | Fmaxnm | Fmin | Fminnm => {
                let m = self.scalar(s.rm, t);
                self.extreme(t, n, m, matches!(s.op, Fmax | Fmaxnm))
            }
            Frint(mode, _) => self.rounded(t, mode.unwrap_or(Rounding::Even), n)?,
            _ => return None,
        };
        Some(self.b.convert(Op::Zext, t, V, v))
    }

    /// The greater or smaller of two numbers; -0 is smaller than 0.
    fn extreme(&mut self, t: Type, a: Operand, b: Operand, max: bool) -> Operand {
        let exit = self.step_exit();
        let nan = self.b.bin(Op::Funo, t, a, b);
        let fine = self.b.un(Op::Not, Type::I1, nan);
        self.b.guard(fine, exit);
        // Both orders differ only for zeros of different sign.
        let op = if max { Op::FmaxSse } else { Op::FminSse };
        let x = self.b.bin(op, t, a, b);
        let y = self.b.bin(op, t, b, a);
        let int = if t == Type::F32 { Type::I32 } else { Type::I64 };
        let x = self.b.convert(Op::Bitcast, t, int, x);
        let y = self.b.convert(Op::Bitcast, t, int, y);
        let v = self.b.bin(if max { Op::And } else { Op::Or }, int, x, y);
        self.b.convert(Op::Bitcast, int, t, v)
    }

    /// Rounded to an integral number; `None` for a direction that the IR does not have.
    fn rounded(&mut self, t: Type, mode: Rounding, n: Operand) -> Option<Operand> {
        let round = match mode {
            Rounding::Even => Round::Near,
            Rounding::Up => Round::Up,
            Rounding::Down => Round::Down,
            Rounding::Zero => Round::Zero,
            Rounding::Away => return None,
        };
        // A NaN stays what it is, but quiet, on both machines.
        Some(self.b.fround(t, round, n))
    }

    /// An integral number to an integer; leaves where it does not fit.
    fn integer_of(&mut self, t: Type, to: Type, unsigned: bool, n: Operand) -> Operand {
        let exit = self.step_exit();
        if !unsigned {
            let v = self.b.op(Op::Ftosi, t, to, 0, &[n]);
            let none = self.b.int(to, if to == Type::I32 { i32::MIN.into() } else { i64::MIN.into() });
            let fine = self.b.bin(Op::Ne, to, v, none);
            self.b.guard(fine, exit);
            return v;
        }
        let v = self.b.op(Op::Ftosi, t, Type::I64, 0, &[n]);
        if to == Type::I64 {
            let zero = self.b.i64(0);
            let fine = self.b.bin(Op::Sle, Type::I64, zero, v);
            self.b.guard(fine, exit);
            return v;
        }
        let most = self.b.i64(0xffff_ffff);
        let fine = self.b.bin(Op::Ule, Type::I64, v, most);
        self.b.guard(fine, exit);
        self.b.convert(Op::Trunc, Type::I64, Type::I32, v)
    }

    fn float_vector_compare(&mut self, s: &Simd, t: Type) -> Option<Operand> {
        use Do::*;
        let mut n = self.b.get(slots::v(s.rn));
        let mut m = self.second(s, int_type(s.size));
        if matches!(s.op, Facge | Facgt) {
            let mask = self.all(int_type(s.size), (1u64 << (t.bits() - 1)) - 1);
            n = self.bits(Op::And, n, mask);
            m = self.bits(Op::And, m, mask);
        }
        let (op, a, b) = match s.op {
            Fcmeq | FcmZero(Zero::Eq) => (Op::VFeq, n, m),
            Fcmge | Facge | FcmZero(Zero::Ge) => (Op::VFle, m, n),
            Fcmgt | Facgt | FcmZero(Zero::Gt) => (Op::VFlt, m, n),
            FcmZero(Zero::Le) => (Op::VFle, n, m),
            FcmZero(Zero::Lt) => (Op::VFlt, n, m),
            _ => return None,
        };
        Some(self.lane2(op, t, a, b))
    }

    fn float_vector(&mut self, s: &Simd, t: Type, width: u32) -> Option<Operand> {
        use Do::*;
        let n = self.b.get(slots::v(s.rn));
        let int = int_type(s.size);
        let lanes = width / t.bits();
        let v = match s.op {
            Fcmeq | Fcmge | Fcmgt | Facge | Facgt | FcmZero(_) => self.float_vector_compare(s, t)?,
            Fadd | Fsub | Fmul | Fdiv | Fabd => {
                let m = self.second(s, int);
                let op = match s.op {
                    Fadd => Op::VFadd,
                    Fsub | Fabd => Op::VFsub,
                    Fmul => Op::VFmul,
                    _ => Op::VFdiv,
                };
                let v = self.lane2(op, t, n, m);
                let v = self.zero_above(v, width);
                self.numbers(t, v, v);
                if s.op == Fabd {
                    let mask = self.all(int, (1u64 << (t.bits() - 1)) - 1);
                    self.bits(Op::And, v, mask)
                } else {
                    v
                }
            }
            Fmla(sub) => {
                let (m, d) = (self.second(s, int), self.b.get(slots::v(s.rd)));
                let n = if sub {
                    let sign = self.all(int, 1u64 << (t.bits() - 1));
                    self.bits(Op::Xor, n, sign)
                } else {
                    n
                };
                let v = self.b.lanes(Op::VFfma, t, V, &[n, m, d]);
                let v = self.zero_above(v, width);
                self.numbers(t, v, v);
                v
            }
            Fsqrt => {
                let v = self.b.lanes(Op::VFsqrt, t, V, &[n]);
                let v = self.zero_above(v, width);
                self.numbers(t, v, v);
                v
            }
            Fmax | Fmaxnm | Fmin | Fminnm => {
                let m = self.second(s, int);
                let (n, m) = (self.zero_above(n, width), self.zero_above(m, width));
                self.vector_extreme(t, n, m, matches!(s.op, Fmax | Fmaxnm))
            }
            Fpair(how) => {
                let m = self.b.get(slots::v(s.rm));
                let (a, b) = self.pairs(s, n, m, int);
                let (a, b) = (self.zero_above(a, width), self.zero_above(b, width));
                match how {
                    Pair::Add => {
                        let v = self.lane2(Op::VFadd, t, a, b);
                        self.numbers(t, v, v);
                        v
                    }
                    _ => self.vector_extreme(t, a, b, matches!(how, Pair::Max | Pair::MaxNumber)),
                }
            }
            Facross(how) => {
                let max = matches!(how, Pair::Max | Pair::MaxNumber);
                let v = self.shuffle(int, n, n, |i| (i + 2) % 4);
                let v = self.vector_extreme(t, n, v, max);
                let w = self.shuffle(int, v, v, |i| i ^ 1);
                let v = self.vector_extreme(t, v, w, max);
                return Some(self.zero_above(v, 32));
            }
            ItoF(unsigned) if s.imm == 0 => {
                if t == Type::F32 && !unsigned {
                    self.b.lanes(Op::VSitof, Type::I32, V, &[n])
                } else {
                    self.each(
                        n,
                        lanes,
                        int,
                        |s, x| Some(s.b.op(if unsigned { Op::Uitof } else { Op::Sitof }, int, t, 0, &[x])),
                        t,
                    )?
                }
            }
            FtoI(mode, unsigned) if s.imm == 0 => self.each(
                n,
                lanes,
                t,
                |s, x| {
                    let x = s.rounded(t, mode, x)?;
                    Some(s.integer_of(t, int, unsigned, x))
                },
                int,
            )?,
            Frint(mode, _) => {
                let mode = mode.unwrap_or(Rounding::Even);
                self.each(n, lanes, t, |s, x| s.rounded(t, mode, x), t)?
            }
            Fcvtl if s.size == 2 => {
                let x = if s.q { self.shuffle(Type::I64, n, n, |_| 1) } else { n };
                return Some(self.b.lanes(Op::VFext, Type::F32, V, &[x]));
            }
            Fcvtn if s.size == 2 => {
                let x = self.b.lanes(Op::VFnarrow, Type::F64, V, &[n]);
                if !s.q {
                    return Some(x);
                }
                let d = self.b.get(slots::v(s.rd));
                return Some(self.shuffle(Type::I64, d, x, |i| 2 * i));
            }
            _ => return None,
        };
        Some(self.zero_above(v, width))
    }

    fn vector_extreme(&mut self, t: Type, a: Operand, b: Operand, max: bool) -> Operand {
        self.numbers(t, a, b);
        let op = if max { Op::VFmaxSse } else { Op::VFminSse };
        let x = self.lane2(op, t, a, b);
        let y = self.lane2(op, t, b, a);
        self.bits(if max { Op::And } else { Op::Or }, x, y)
    }

    /// A vector made lane by lane.
    fn each(
        &mut self,
        n: Operand,
        lanes: u32,
        from: Type,
        mut f: impl FnMut(&mut Self, Operand) -> Option<Operand>,
        to: Type,
    ) -> Option<Operand> {
        let mut v = self.zero();
        for i in 0..lanes {
            let x = self.b.extract(V, n, from, i * from.bits());
            let x = f(self, x)?;
            v = self.b.insert(V, v, to, x, i * to.bits());
        }
        Some(v)
    }
}
