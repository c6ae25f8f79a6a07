//! Scalar floating point, bit-exact as the head of the op table says: SSE's results under the default MXCSR.
//!
//! NaNs are handled here by bits, never by the host's operation: the compiler may exchange the operands of an
//! addition, and then the wrong NaN would come through. This crate assumes that its own thread runs with
//! default rounding.

use crate::op::Op;
use crate::types::{Round, Type};

/// What `f32` and `f64` have in common here.
trait Float: Copy + PartialOrd {
    const DEFAULT_NAN: Self;
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
    fn quiet(self) -> Self;
    fn nan(self) -> bool;
    fn arith(op: Op, a: Self, b: Self) -> Self;
    fn root(self) -> Self;
    fn fuse(self, b: Self, c: Self) -> Self;
    fn round(self, mode: Round) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! float {
    ($ty:ident, $bits:ident, $quiet:expr, $default:expr) => {
        impl Float for $ty {
            const DEFAULT_NAN: $ty = $ty::from_bits($default);
            fn of(bits: u64) -> $ty {
                $ty::from_bits(bits as $bits)
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
            fn quiet(self) -> $ty {
                $ty::from_bits(self.to_bits() | $quiet)
            }
            fn nan(self) -> bool {
                self.is_nan()
            }
            fn arith(op: Op, a: $ty, b: $ty) -> $ty {
                match op {
                    Op::Fadd => a + b,
                    Op::Fsub => a - b,
                    Op::Fmul => a * b,
                    _ => a / b,
                }
            }
            fn root(self) -> $ty {
                self.sqrt()
            }
            fn fuse(self, b: $ty, c: $ty) -> $ty {
                self.mul_add(b, c)
            }
            fn round(self, mode: Round) -> $ty {
                match mode {
                    Round::Near => self.round_ties_even(),
                    Round::Down => self.floor(),
                    Round::Up => self.ceil(),
                    Round::Zero => self.trunc(),
                }
            }
            fn to_f64(self) -> f64 {
                self.into()
            }
        }
    };
}

float!(f32, u32, 0x0040_0000, 0xffc0_0000);
float!(f64, u64, 0x0008_0000_0000_0000, 0xfff8_0000_0000_0000);

/// One of the scalar float operations.
pub(super) fn eval(op: Op, aty: Type, ty: Type, attr: u8, a: u64, b: u64) -> u64 {
    match op {
        Op::Sitof | Op::Uitof => return from_int(op == Op::Sitof, aty, ty, a),
        Op::Fext => return extend(a as u32),
        Op::Fnarrow => return narrow(a).into(),
        _ => {}
    }
    if aty == Type::F32 {
        eval_at::<f32>(op, ty, attr, a & 0xffff_ffff, b & 0xffff_ffff, 0x8000_0000)
    } else {
        eval_at::<f64>(op, ty, attr, a, b, 1 << 63)
    }
}

/// `ffma`
pub(super) fn fused(ty: Type, a: u64, b: u64, c: u64) -> u64 {
    fn at<F: Float>(a: F, b: F, c: F) -> u64 {
        if let Some(nan) = [a, b, c].into_iter().find(|x| x.nan()) {
            return nan.quiet().bits();
        }
        let r = a.fuse(b, c);
        if r.nan() { F::DEFAULT_NAN.bits() } else { r.bits() }
    }
    if ty == Type::F32 {
        at(f32::of(a & 0xffff_ffff), f32::of(b & 0xffff_ffff), f32::of(c & 0xffff_ffff))
    } else {
        at(f64::of(a), f64::of(b), f64::of(c))
    }
}

fn eval_at<F: Float>(op: Op, ty: Type, attr: u8, a: u64, b: u64, sign: u64) -> u64 {
    let (x, y) = (F::of(a), F::of(b));
    match op {
        Op::Fadd | Op::Fsub | Op::Fmul | Op::Fdiv => {
            if x.nan() {
                x.quiet().bits()
            } else if y.nan() {
                y.quiet().bits()
            } else {
                let r = F::arith(op, x, y);
                if r.nan() { F::DEFAULT_NAN.bits() } else { r.bits() }
            }
        }
        Op::Fsqrt if x.nan() => x.quiet().bits(),
        Op::Fsqrt => {
            let r = x.root();
            if r.nan() { F::DEFAULT_NAN.bits() } else { r.bits() }
        }
        Op::FminSse => (if x < y { x } else { y }).bits(),
        Op::FmaxSse => (if x > y { x } else { y }).bits(),
        Op::Fneg => a ^ sign,
        Op::Fabs => a & !sign,
        Op::Fround if x.nan() => x.quiet().bits(),
        Op::Fround => x.round(Round::from_code(attr)).bits(),
        Op::Feq => (x == y).into(),
        Op::Flt => (x < y).into(),
        Op::Fle => (x <= y).into(),
        Op::Funo => (x.nan() || y.nan()).into(),
        Op::Ftosi => indefinite(x.to_f64().trunc(), ty),
        Op::FtosiNear => indefinite(x.to_f64().round_ties_even(), ty),
        Op::FtosiSat if ty == Type::I32 => x.to_f64() as i32 as u32 as u64,
        Op::FtosiSat => x.to_f64() as i64 as u64,
        Op::FtouiSat if ty == Type::I32 => (x.to_f64() as u32).into(),
        Op::FtouiSat => x.to_f64() as u64,
        _ => 0,
    }
}

/// An integral float as a signed integer, or 0x80…0.
fn indefinite(x: f64, ty: Type) -> u64 {
    if ty == Type::I32 {
        let fits = x >= i32::MIN as f64 && x <= i32::MAX as f64;
        (if fits { x as i32 } else { i32::MIN }) as u32 as u64
    } else {
        // 2^63 itself does not fit; i64::MAX is not a float.
        let fits = x >= i64::MIN as f64 && x < -(i64::MIN as f64);
        (if fits { x as i64 } else { i64::MIN }) as u64
    }
}

fn from_int(signed: bool, from: Type, to: Type, a: u64) -> u64 {
    match (signed, from == Type::I32, to == Type::F32) {
        (true, true, true) => (a as i32 as f32).bits(),
        (true, true, false) => (a as i32 as f64).bits(),
        (true, false, true) => (a as i64 as f32).bits(),
        (true, false, false) => (a as i64 as f64).bits(),
        (false, true, true) => (a as u32 as f32).bits(),
        (false, true, false) => (a as u32 as f64).bits(),
        (false, false, true) => (a as f32).bits(),
        (false, false, false) => (a as f64).bits(),
    }
}

fn extend(a: u32) -> u64 {
    let x = f32::from_bits(a);
    if x.is_nan() {
        let sign = (a as u64 >> 31) << 63;
        return sign | 0x7ff8_0000_0000_0000 | (a as u64 & 0x007f_ffff) << 29;
    }
    (x as f64).to_bits()
}

fn narrow(a: u64) -> u32 {
    let x = f64::from_bits(a);
    if x.is_nan() {
        let sign = (a >> 63) as u32;
        return sign << 31 | 0x7fc0_0000 | (a >> 29) as u32 & 0x007f_ffff;
    }
    (x as f32).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAN: u64 = 0x7ff0_0000_0000_0001;
    const QNAN: u64 = 0xfff8_0000_0000_0123;

    fn f64_(op: Op, a: u64, b: u64) -> u64 {
        eval(op, Type::F64, Type::F64, 0, a, b)
    }

    #[test]
    fn nans() {
        assert_eq!(f64_(Op::Fadd, SNAN, QNAN), 0x7ff8_0000_0000_0001, "the first operand, made quiet");
        assert_eq!(f64_(Op::Fadd, QNAN, SNAN), QNAN);
        assert_eq!(f64_(Op::Fmul, 1, SNAN), 0x7ff8_0000_0000_0001);
        let inf = f64::INFINITY.to_bits();
        assert_eq!(f64_(Op::Fsub, inf, inf), 0xfff8_0000_0000_0000, "the default NaN");
        assert_eq!(f64_(Op::Fsqrt, (-1.0f64).to_bits(), 0), 0xfff8_0000_0000_0000);
        assert_eq!(f64_(Op::FminSse, SNAN, 5), 5);
        assert_eq!(f64_(Op::FminSse, 5, SNAN), SNAN, "unchanged");
        assert_eq!(f64_(Op::FmaxSse, 0, 1 << 63), 1 << 63, "equal zeros: the second");
        assert_eq!(narrow(SNAN), 0x7fc0_0000);
        assert_eq!(extend(0x7f80_0001), 0x7ff8_0000_2000_0000);
    }

    #[test]
    fn fused() {
        let (tiny, one) = (f64::EPSILON / 2.0, 1.0f64);
        let x = one + f64::EPSILON;
        // The product's last bits count.
        let r = super::fused(Type::F64, x.to_bits(), x.to_bits(), (-(one + 2.0 * f64::EPSILON)).to_bits());
        assert_eq!(f64::from_bits(r), f64::EPSILON * f64::EPSILON);
        assert_eq!(super::fused(Type::F64, 5, QNAN, SNAN), QNAN);
        assert_eq!(super::fused(Type::F32, 0x7f80_0000, 0, 0), 0xffc0_0000);
        assert_eq!(
            f64::from_bits(super::fused(Type::F64, one.to_bits(), one.to_bits(), tiny.to_bits())),
            one
        );
    }

    #[test]
    fn conversions() {
        let to = |op, x: f64, ty| eval(op, Type::F64, ty, 0, x.to_bits(), 0);
        assert_eq!(to(Op::Ftosi, -1.9, Type::I32), 0xffff_ffff);
        assert_eq!(to(Op::FtosiNear, 2.5, Type::I32), 2);
        assert_eq!(to(Op::FtosiNear, 2147483647.4, Type::I32), 0x7fff_ffff);
        assert_eq!(to(Op::FtosiNear, 2147483647.5, Type::I32), 0x8000_0000);
        assert_eq!(to(Op::Ftosi, 9.3e18, Type::I64), 1 << 63);
        assert_eq!(to(Op::Ftosi, f64::NAN, Type::I64), 1 << 63);
        assert_eq!(to(Op::FtosiSat, 1e30, Type::I32), 0x7fff_ffff);
        assert_eq!(to(Op::FtouiSat, -3.0, Type::I64), 0);
        let near = |mode: Round, x: f64| {
            f64::from_bits(eval(Op::Fround, Type::F64, Type::F64, mode as u8, x.to_bits(), 0))
        };
        assert_eq!(near(Round::Near, 0.5), 0.0);
        assert!(near(Round::Up, -0.5).is_sign_negative());
        assert_eq!((near(Round::Down, -0.5), near(Round::Zero, -1.5)), (-1.0, -1.0));
    }
}
