//! Lane-wise vector operations. Lanes are read and written as zero-extended words; the lane loop is written
//! once.

use super::{float, scalar, sext, word};
use crate::op::Op;
use crate::types::{Type, Wide, ZERO};

/// Lane `i` of lanes of `bits` bits (8 to 64).
fn get(w: &Wide, bits: u32, i: u32) -> u64 {
    let at = i * bits;
    let x = w.get(at as usize / 64).copied().unwrap_or(0) >> (at % 64);
    if bits == 64 { x } else { x & ((1 << bits) - 1) }
}

/// Sets lane `i` to the low bits of `x`.
fn set(w: &mut Wide, bits: u32, i: u32, x: u64) {
    let at = i * bits;
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    if let Some(place) = w.get_mut(at as usize / 64) {
        *place = *place & !(mask << (at % 64)) | (x & mask) << (at % 64);
    }
}

/// One of the `v.…` operations: `lane` is the operand type, `ty` the result type (`i64` for `v.signs`).
pub(super) fn eval(op: Op, lane: Type, ty: Type, a: &Wide, b: &Wide, c: &Wide) -> Wide {
    let bits = lane.bits();
    if op != Op::VLookup && !(8..=64).contains(&bits) {
        return ZERO; // An ill-formed trace.
    }
    let count = ty.bits() / bits.max(8);
    let mut out = ZERO;
    let mut each = |f: &mut dyn FnMut(u32) -> u64| {
        for i in 0..count {
            set(&mut out, bits, i, f(i));
        }
    };
    let top = |x: u64| x >> (bits - 1) & 1 != 0;
    match op {
        Op::VSplat => each(&mut |_| a[0]),
        Op::VFfma => each(&mut |i| float::fused(lane, get(a, bits, i), get(b, bits, i), get(c, bits, i))),
        Op::VShuffle => each(&mut |i| {
            let from = get(c, 8, i) as u32;
            if from < count { get(a, bits, from) } else { get(b, bits, from - count) }
        }),
        Op::VBlend => each(&mut |i| get(if top(get(a, bits, i)) { b } else { c }, bits, i)),
        Op::VLookup => {
            for i in 0..ty.bytes() {
                let idx = get(b, 8, i) as u32;
                let x = if idx & 0x80 != 0 { 0 } else { get(a, 8, (i & !15) + (idx & 15)) };
                set(&mut out, 8, i, x);
            }
        }
        Op::VSigns => {
            let r = (0..512 / bits).filter(|&i| i < 64 && top(get(a, bits, i)));
            return word(r.map(|i| 1u64 << i).sum());
        }
        Op::VUmulw | Op::VSmulw => {
            for i in 0..count / 2 {
                let (x, y) = (get(a, bits, 2 * i), get(b, bits, 2 * i));
                let product = if op == Op::VUmulw {
                    x.wrapping_mul(y)
                } else {
                    sext(x, bits).wrapping_mul(sext(y, bits)) as u64
                };
                set(&mut out, 2 * bits, i, product);
            }
        }
        Op::VMadd => {
            for i in 0..count / 2 {
                let product = |j| sext(get(a, bits, j), bits) * sext(get(b, bits, j), bits);
                set(&mut out, 2 * bits, i, (product(2 * i) + product(2 * i + 1)) as u64);
            }
        }
        Op::VSad => {
            for i in 0..ty.bits() / 64 {
                let sum = (8 * i..8 * i + 8).map(|j| get(a, 8, j).abs_diff(get(b, 8, j))).sum();
                set(&mut out, 64, i, sum);
            }
        }
        Op::VSpack | Op::VUpack => {
            let half = bits / 2;
            let (least, most) = match op {
                Op::VSpack => (-(1i64 << (half - 1)), (1i64 << (half - 1)) - 1),
                _ => (0, (1i64 << half) - 1),
            };
            let per_part = 128 / bits;
            for i in 0..2 * count {
                let (part, j) = (i / (2 * per_part), i % (2 * per_part));
                let from = if j < per_part { a } else { b };
                let x = sext(get(from, bits, part * per_part + j % per_part), bits);
                set(&mut out, half, i, x.clamp(least, most) as u64);
            }
        }
        Op::VSitod => {
            for i in 0..count / 2 {
                set(&mut out, 64, i, (get(a, 32, i) as i32 as f64).to_bits());
            }
        }
        Op::VFext => {
            for i in 0..count / 2 {
                set(&mut out, 64, i, float::eval(Op::Fext, Type::F32, Type::F64, 0, get(a, 32, i), 0));
            }
        }
        Op::VFnarrow => {
            for i in 0..count {
                set(&mut out, 32, i, float::eval(Op::Fnarrow, Type::F64, Type::F32, 0, get(a, 64, i), 0));
            }
        }
        Op::VFtosi | Op::VFtosiNear => {
            let scalar_op = if op == Op::VFtosi { Op::Ftosi } else { Op::FtosiNear };
            for i in 0..count {
                set(&mut out, 32, i, float::eval(scalar_op, lane, Type::I32, 0, get(a, bits, i), 0));
            }
        }
        Op::VSitof => each(&mut |i| float::eval(Op::Sitof, lane, Type::F32, 0, get(a, bits, i), 0)),
        Op::VShl | Op::VShr | Op::VSar => {
            let amount = b[0].min(64) as u32;
            each(&mut |i| {
                let x = get(a, bits, i);
                match op {
                    Op::VShl => x.checked_shl(amount).unwrap_or(0),
                    Op::VShr => x.checked_shr(amount).unwrap_or(0),
                    _ => (sext(x, bits) >> amount.min(63)) as u64,
                }
            });
        }
        _ => each(&mut |i| lane_op(op, lane, get(a, bits, i), get(b, bits, i))),
    }
    out
}

/// Operations that take lane i of each operand to lane i of the result.
fn lane_op(op: Op, lane: Type, x: u64, y: u64) -> u64 {
    let bits = lane.bits();
    let (sx, sy) = (sext(x, bits), sext(y, bits));
    let ones = |set: bool| if set { u64::MAX } else { 0 };
    let mask = lane.mask64();
    let (least, most) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
    let by = |op: Op| scalar(op, lane, lane, 0, x, y, 0).unwrap_or(0);
    match op {
        Op::VAdd => x.wrapping_add(y),
        Op::VSub => x.wrapping_sub(y),
        Op::VMul => x.wrapping_mul(y),
        Op::VUmulh => by(Op::Umulh),
        Op::VSmulh => by(Op::Smulh),
        Op::VUavg => ((x as u128 + y as u128 + 1) >> 1) as u64,
        Op::VUadds => (x + y).min(mask),
        Op::VSadds => (sx as i128 + sy as i128).clamp(least, most) as u64,
        Op::VUsubs => x.saturating_sub(y),
        Op::VSsubs => (sx as i128 - sy as i128).clamp(least, most) as u64,
        Op::VUmin => x.min(y),
        Op::VUmax => x.max(y),
        Op::VSmin => sx.min(sy) as u64,
        Op::VSmax => sx.max(sy) as u64,
        Op::VAbs => sx.wrapping_abs() as u64,
        Op::VEq => ones(x == y),
        Op::VSgt => ones(sx > sy),
        Op::VFadd => by(Op::Fadd),
        Op::VFsub => by(Op::Fsub),
        Op::VFmul => by(Op::Fmul),
        Op::VFdiv => by(Op::Fdiv),
        Op::VFsqrt => by(Op::Fsqrt),
        Op::VFminSse => by(Op::FminSse),
        Op::VFmaxSse => by(Op::FmaxSse),
        Op::VFeq => ones(by(Op::Feq) != 0),
        Op::VFlt => ones(by(Op::Flt) != 0),
        Op::VFle => ones(by(Op::Fle) != 0),
        Op::VFuno => ones(by(Op::Funo) != 0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::from_u128;

    fn v(op: Op, lane: Type, a: u128, b: u128) -> u128 {
        super::super::to_u128(&eval(op, lane, Type::V128, &from_u128(a), &from_u128(b), &ZERO))
    }

    #[test]
    fn lanes_do_not_leak() {
        let ones = u128::MAX;
        assert_eq!(v(Op::VAdd, Type::I8, ones, 0x0101), 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_0000);
        assert_eq!(v(Op::VUadds, Type::I8, 0xf0, 0x20), 0xff);
        assert_eq!(v(Op::VSadds, Type::I16, 0x7fff, 1), 0x7fff);
        assert_eq!(v(Op::VSsubs, Type::I8, 0x80, 1), 0x80);
        assert_eq!(v(Op::VShl, Type::I16, 0x8001_8001, 1), 0x0002_0002);
        assert_eq!(v(Op::VSar, Type::I16, 0x8000, 99), 0xffff);
        assert_eq!(v(Op::VMadd, Type::I16, 0x0002_ffff, 0x0003_0004), 2);
        assert_eq!(v(Op::VSad, Type::I8, 0xff00, 0x01), 0x100);
    }

    #[test]
    fn shuffles() {
        let a = 0x0000_0003_0000_0002_0000_0001_0000_0000u128;
        let b = 0x0000_0007_0000_0006_0000_0005_0000_0004u128;
        let idx = from_u128(0x0602_0501_u128); // 1, 5, 2, 6
        let r = eval(Op::VShuffle, Type::I32, Type::V128, &from_u128(a), &from_u128(b), &idx);
        assert_eq!(super::super::to_u128(&r), 0x0000_0006_0000_0002_0000_0005_0000_0001);
        assert_eq!(v(Op::VSpack, Type::I16, 0x8000_7fff, 0x0001) & 0xffff, 0x807f);
        assert_eq!(v(Op::VUpack, Type::I16, 0x8000_7fff, 0x0001) >> 64, 1);
        let signs = eval(Op::VSigns, Type::I8, Type::I64, &from_u128(0x80_00_80), &ZERO, &ZERO);
        assert_eq!(signs[0], 0b101);
        assert_eq!(
            v(Op::VLookup, Type::Void, 0x0201, 0x80_01),
            0x02 | 0x0101_0101_0101_0101_0101_0101_0101_0002 & !0xffff
        );
    }
}
