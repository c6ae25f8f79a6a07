//! What floating point and vector instructions compute, written down lane by lane: the reference that faster lifting is
//! compared with, what the interpreter calls ([`super::slots::SIMD`]), and the only place for instructions too rare for
//! operations of the IR.
//!
//! [`execute`] is a function of the instruction, its sources as 128-bit words and FPCR. General registers are sources in
//! their low bits. What it returns is the whole destination, zero above what the instruction writes.
//!
//! Tables (`tbl`) and conditions (`fccmp`, `fcsel`) read more than that and are the lifter's.

use super::simd::{Do, Into, Narrow, Pair, Simd, Zero};
use super::softfp::{DOUBLE, Format, Fp, HALF, Rounding, SINGLE, flag, recip_table, rsqrt_table};

/// The format of this size.
pub fn format(size: u8) -> Format {
    match size {
        1 => HALF,
        2 => SINGLE,
        _ => DOUBLE,
    }
}

fn mask(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

fn lane(v: u128, bits: u32, i: u32) -> u128 {
    v >> (bits * i) & mask(bits)
}

/// The lane as a number.
fn number(v: u128, bits: u32, i: u32, unsigned: bool) -> i128 {
    let x = lane(v, bits, i) as i128;
    if unsigned { x } else { x << (128 - bits) >> (128 - bits) }
}

fn all(lanes: u32, bits: u32, mut f: impl FnMut(u32) -> u128) -> u128 {
    (0..lanes).fold(0, |v, i| v | (f(i) & mask(bits)) << (bits * i))
}

/// `x` if it fits in so many bits; else the nearest that does.
fn saturate(fp: &mut Fp, x: i128, bits: u32, unsigned: bool) -> u128 {
    let (least, most) =
        if unsigned { (0, (1i128 << bits) - 1) } else { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) };
    let r = x.clamp(least, most);
    if r != x {
        fp.raised |= flag::QC;
    }
    r as u128
}

fn narrow(fp: &mut Fp, x: i128, bits: u32, how: Narrow) -> u128 {
    match how {
        Narrow::Plain => x as u128,
        Narrow::SignedUnsigned | Narrow::Unsigned => saturate(fp, x, bits, true),
        Narrow::Signed => saturate(fp, x, bits, false),
    }
}

fn carryless(a: u128, b: u128, bits: u32) -> u128 {
    (0..bits).filter(|i| b >> i & 1 != 0).fold(0, |r, i| r ^ a << i)
}

/// `x · 2^shift`, rounded downwards or (ties upwards) to nearest.
fn shifted(x: i128, shift: i128, round: bool) -> i128 {
    match shift {
        127.. => 0,
        0.. => x.wrapping_shl(shift as u32),
        _ if shift < -100 => {
            if round || x >= 0 {
                0
            } else {
                -1
            }
        }
        _ => {
            let by = -shift as u32;
            let half = if round { 1i128 << (by - 1) } else { 0 };
            (x + half) >> by
        }
    }
}

fn pair(fp: &mut Fp, f: Format, how: Pair, a: u64, b: u64) -> u64 {
    match how {
        Pair::Add => fp.add(f, a, b),
        Pair::Max => fp.max_min(f, a, b, true, false),
        Pair::Min => fp.max_min(f, a, b, false, false),
        Pair::MaxNumber => fp.max_min(f, a, b, true, true),
        Pair::MinNumber => fp.max_min(f, a, b, false, true),
    }
}

fn against_zero(how: Zero, order: Option<i32>) -> bool {
    match how {
        Zero::Gt => order == Some(1),
        Zero::Ge => matches!(order, Some(0 | 1)),
        Zero::Eq => order == Some(0),
        Zero::Le => matches!(order, Some(0 | -1)),
        Zero::Lt => order == Some(-1),
    }
}

/// See the module. Flags are raised in `fp`.
pub fn execute(s: &Simd, n: u128, m: u128, d: u128, fp: &mut Fp) -> u128 {
    use Do::*;
    let bits = 8u32 << s.size;
    let width = if s.scalar {
        bits.min(64)
    } else if s.q {
        128
    } else {
        64
    };
    let lanes = (width / bits.min(width)).max(1);
    let m = match s.lane {
        Some(i) => all(128 / bits, bits, |_| lane(m, bits, i.into())),
        None => m,
    };
    if s.is_float() || matches!(s.op, Fabs | Fneg | Fmov) {
        return float(s, n, m, d, fp, lanes, bits);
    }
    let ones = |c: bool| if c { u128::MAX } else { 0 };
    let get = |v: u128, i: u32| lane(v, bits, i);
    let num = |v: u128, i: u32, u: bool| number(v, bits, i, u);
    // Operations between widths: the lanes of the narrow side, and twice their width.
    let (wide, from) = (2 * bits, if s.q { 64 / bits.min(64) } else { 0 });
    let narrow_lanes = if s.scalar { 1 } else { 64 / bits.min(64) };
    let put_narrow = |x: u128| {
        if s.q { d & u128::from(u64::MAX) | x << 64 } else { x }
    };
    let r = match s.op {
        Add => all(lanes, bits, |i| get(n, i).wrapping_add(get(m, i))),
        Sub => all(lanes, bits, |i| get(n, i).wrapping_sub(get(m, i))),
        Mul => all(lanes, bits, |i| get(n, i).wrapping_mul(get(m, i))),
        Mla(sub) => all(lanes, bits, |i| {
            let p = get(n, i).wrapping_mul(get(m, i));
            if sub { get(d, i).wrapping_sub(p) } else { get(d, i).wrapping_add(p) }
        }),
        Do::Pmul => all(lanes, bits, |i| carryless(get(n, i), get(m, i), bits)),
        And => n & m,
        Bic => n & !m,
        Orr => n | m,
        Orn => n | !m,
        Eor => n ^ m,
        Bsl => d & n | !d & m,
        Bit => d & !m | n & m,
        Bif => d & m | n & !m,
        Hadd(u, round) => {
            all(lanes, bits, |i| ((num(n, i, u) + num(m, i, u) + i128::from(round)) >> 1) as u128)
        }
        Hsub(u) => all(lanes, bits, |i| ((num(n, i, u) - num(m, i, u)) >> 1) as u128),
        Qadd(u) => all(lanes, bits, |i| saturate(fp, num(n, i, u) + num(m, i, u), bits, u)),
        Qsub(u) => all(lanes, bits, |i| saturate(fp, num(n, i, u) - num(m, i, u), bits, u)),
        Cmgt(u) => all(lanes, bits, |i| ones(num(n, i, u) > num(m, i, u))),
        Cmge(u) => all(lanes, bits, |i| ones(num(n, i, u) >= num(m, i, u))),
        Cmeq => all(lanes, bits, |i| ones(get(n, i) == get(m, i))),
        Cmtst => all(lanes, bits, |i| ones(get(n, i) & get(m, i) != 0)),
        Shl(u, round, saturating) => all(lanes, bits, |i| {
            let by = i128::from(lane(m, bits, i) as u8 as i8);
            let x = num(n, i, u);
            if !saturating {
                return shifted(x, by, round) as u128;
            }
            if by >= i128::from(bits) {
                // Anything but zero is too large.
                let far = if x == 0 { 0 } else { x.signum() << 126 };
                return saturate(fp, far, bits, u);
            }
            saturate(fp, shifted(x, by, round), bits, u)
        }),
        Max(u) => all(lanes, bits, |i| num(n, i, u).max(num(m, i, u)) as u128),
        Min(u) => all(lanes, bits, |i| num(n, i, u).min(num(m, i, u)) as u128),
        Abd(u, add) => all(lanes, bits, |i| {
            let x = (num(n, i, u) - num(m, i, u)).unsigned_abs();
            if add { get(d, i).wrapping_add(x) } else { x }
        }),
        Addp if s.scalar => get(n, 0).wrapping_add(get(n, 1)),
        Addp | Maxp(_) | Minp(_) => all(lanes, bits, |i| {
            let half = lanes / 2;
            let (v, k) = if i < half { (n, 2 * i) } else { (m, 2 * (i - half)) };
            match s.op {
                Maxp(u) => num(v, k, u).max(num(v, k + 1, u)) as u128,
                Minp(u) => num(v, k, u).min(num(v, k + 1, u)) as u128,
                _ => get(v, k).wrapping_add(get(v, k + 1)),
            }
        }),
        Sqdmulh(round) => all(lanes, bits, |i| {
            let half = if round { 1i128 << (bits - 1) } else { 0 };
            saturate(fp, (2 * num(n, i, false) * num(m, i, false) + half) >> bits, bits, false)
        }),
        CmZero(how) => all(lanes, bits, |i| ones(against_zero(how, Some(num(n, i, false).signum() as i32)))),
        Rev(container) => {
            let per = (8 << container) / bits;
            all(lanes, bits, |i| get(n, i / per * per + per - 1 - i % per))
        }
        Addlp(u, add) => all(lanes / 2, wide, |i| {
            let x = (num(n, 2 * i, u) + num(n, 2 * i + 1, u)) as u128;
            if add { lane(d, wide, i).wrapping_add(x) } else { x }
        }),
        Cls => all(lanes, bits, |i| {
            let x = num(n, i, false);
            let same = if x < 0 { !x } else { x };
            u128::from((same as u128).leading_zeros() - (128 - bits) - 1)
        }),
        Clz => all(lanes, bits, |i| u128::from(get(n, i).leading_zeros() - (128 - bits))),
        Cnt => all(lanes, bits, |i| get(n, i).count_ones().into()),
        Not => !n,
        Rbit => all(lanes, bits, |i| get(n, i).reverse_bits() >> 120),
        Sqabs => all(lanes, bits, |i| saturate(fp, num(n, i, false).abs(), bits, false)),
        Sqneg => all(lanes, bits, |i| saturate(fp, -num(n, i, false), bits, false)),
        Do::Abs => all(lanes, bits, |i| num(n, i, false).unsigned_abs()),
        Do::Neg => all(lanes, bits, |i| get(n, i).wrapping_neg()),
        Suqadd(u) => all(lanes, bits, |i| saturate(fp, num(n, i, !u) + num(d, i, u), bits, u)),
        Urecpe => all(lanes, bits, |i| {
            let x = get(n, i) as u32;
            if x >> 31 == 0 { 0xffff_ffff } else { u128::from(recip_table(x >> 23)) << 23 }
        }),
        Ursqrte => all(lanes, bits, |i| {
            let x = get(n, i) as u32;
            if x >> 30 == 0 { 0xffff_ffff } else { u128::from(rsqrt_table(x >> 23)) << 23 }
        }),
        Xtn(how) => put_narrow(all(narrow_lanes, bits, |i| {
            narrow(fp, number(n, wide, i, how == Narrow::Unsigned), bits, how)
        })),
        Shrn(round, how) => put_narrow(all(narrow_lanes, bits, |i| {
            let x = number(n, wide, i, how == Narrow::Unsigned);
            narrow(fp, shifted(x, -(s.imm as i128), round), bits, how)
        })),
        Shll(u) => all(64 / bits, wide, |i| (num(n, i + from, u) as u128) << s.imm),
        Addl(u, sub, wide_first) => all(64 / bits, wide, |i| {
            let a = if wide_first { number(n, wide, i, u) } else { num(n, i + from, u) };
            let b = num(m, i + from, u);
            (if sub { a - b } else { a + b }) as u128
        }),
        Addhn(sub, round) => put_narrow(all(64 / bits, bits, |i| {
            let (a, b) = (lane(n, wide, i), lane(m, wide, i));
            let half = if round { 1 << (bits - 1) } else { 0 };
            (if sub { a.wrapping_sub(b) } else { a + b }).wrapping_add(half) >> bits
        })),
        Abdl(u, add) => all(64 / bits, wide, |i| {
            let x = (num(n, i + from, u) - num(m, i + from, u)).unsigned_abs();
            if add { lane(d, wide, i).wrapping_add(x) } else { x }
        }),
        Mull(u, into) => all(64 / bits, wide, |i| {
            let p = (num(n, i + from, u) * num(m, i + from, u)) as u128;
            match into {
                Into::Set => p,
                Into::Add => lane(d, wide, i).wrapping_add(p),
                Into::Sub => lane(d, wide, i).wrapping_sub(p),
            }
        }),
        Sqdmull(into) => all(narrow_lanes, wide, |i| {
            let i_n = i + from;
            let p = saturate(fp, 2 * num(n, i_n, false) * num(m, i_n, false), wide, false);
            let p = number(p, wide, 0, false);
            let old = number(d, wide, i, false);
            match into {
                Into::Set => p as u128,
                Into::Add => saturate(fp, old + p, wide, false),
                Into::Sub => saturate(fp, old - p, wide, false),
            }
        }),
        Pmull => all(64 / bits, wide, |i| carryless(get(n, i + from), get(m, i + from), bits)),
        Shr(u, round, add) => all(lanes, bits, |i| {
            let x = shifted(num(n, i, u), -(s.imm as i128), round) as u128;
            if add { get(d, i).wrapping_add(x) } else { x }
        }),
        Sri => all(lanes, bits, |i| {
            let kept = mask(bits) >> s.imm;
            get(d, i) & !kept | get(n, i) >> s.imm
        }),
        Sli => all(lanes, bits, |i| get(d, i) & mask(s.imm as u32) | get(n, i) << s.imm),
        ShlImm => all(lanes, bits, |i| get(n, i) << s.imm),
        Sqshlu => all(lanes, bits, |i| saturate(fp, num(n, i, false) << s.imm, bits, true)),
        QshlImm(u) => all(lanes, bits, |i| saturate(fp, num(n, i, u) << s.imm, bits, u)),
        Addv => (0..lanes).fold(0u128, |x, i| x.wrapping_add(get(n, i))) & mask(bits),
        Addlv(u) => (0..lanes).map(|i| num(n, i, u)).sum::<i128>() as u128 & mask(wide),
        Maxv(u) => (0..lanes).map(|i| num(n, i, u)).max().unwrap_or(0) as u128 & mask(bits),
        Minv(u) => (0..lanes).map(|i| num(n, i, u)).min().unwrap_or(0) as u128 & mask(bits),
        FmovToX => lane(n, bits, s.imm as u32),
        FmovFromX if s.imm == 1 => return d & u128::from(u64::MAX) | (n & u128::from(u64::MAX)) << 64,
        FmovFromX => n & mask(bits),
        DupElement => {
            let x = lane(n, bits, s.imm as u32);
            all(lanes, bits, |_| x)
        }
        DupX => all(lanes, bits, |_| n),
        Umov => lane(n, bits, s.imm as u32),
        Smov => number(n, bits, s.imm as u32, false) as u128 & mask(if s.sf { 64 } else { 32 }),
        InsX | InsElement => {
            let (to, from) = (s.imm as u32, (s.imm >> 32) as u32);
            let x = if s.op == InsX { n & mask(bits) } else { lane(n, bits, from) };
            return d & !(mask(bits) << (bits * to)) | x << (bits * to);
        }
        Zip(second) => all(lanes, bits, |i| {
            let k = i / 2 + if second { lanes / 2 } else { 0 };
            get(if i % 2 == 0 { n } else { m }, k)
        }),
        Uzp(second) => all(lanes, bits, |i| {
            let k = 2 * i + u32::from(second);
            if k < lanes { get(n, k) } else { get(m, k - lanes) }
        }),
        Trn(second) => all(lanes, bits, |i| {
            let k = i / 2 * 2 + u32::from(second);
            get(if i % 2 == 0 { n } else { m }, k)
        }),
        Ext => {
            let by = 8 * s.imm as u32;
            let low = n & mask(width);
            if by == 0 { low } else { low >> by | m << (width - by) }
        }
        Movi if s.scalar => s.imm.into(),
        Movi => u128::from(s.imm) << 64 | u128::from(s.imm),
        OrrImm => d | u128::from(s.imm) << 64 | u128::from(s.imm),
        BicImm => d & !(u128::from(s.imm) << 64 | u128::from(s.imm)),
        _ => 0,
    };
    let narrowing = matches!(s.op, Xtn(_) | Shrn(..) | Addhn(..));
    let widening = matches!(
        s.op,
        Shll(_) | Addl(..) | Abdl(..) | Mull(..) | Sqdmull(_) | Pmull | Addv | Addlv(_) | Maxv(_) | Minv(_)
    );
    if narrowing || widening || s.writes_general() { r } else { r & mask(width) }
}

fn float(s: &Simd, n: u128, m: u128, d: u128, fp: &mut Fp, lanes: u32, bits: u32) -> u128 {
    use Do::*;
    let f = format(s.size);
    let get = |v: u128, i: u32| lane(v, bits, i) as u64;
    let ones = |c: bool| if c { u128::MAX } else { 0 };
    match s.op {
        Fcvt(from) => {
            let from = format(from);
            return fp.convert(from, f, (n & mask(from.bits())) as u64, None).into();
        }
        FtoX(mode, unsigned) => {
            let width = if s.sf { 64 } else { 32 };
            return fp.to_int(f, get(n, 0), width, !unsigned, s.imm as u32, mode).into();
        }
        XtoF(unsigned) => {
            let x = match (s.sf, unsigned) {
                (true, _) => n as u64,
                (_, true) => u64::from(n as u32),
                _ => n as u32 as i32 as i64 as u64,
            };
            return fp.from_int(f, x, !unsigned, s.imm as u32).into();
        }
        Fcvtl => {
            let (to, skip) = (format(s.size + 1), if s.q { 64 / bits } else { 0 });
            return all(64 / bits, 2 * bits, |i| fp.convert(f, to, get(n, i + skip), None).into());
        }
        Fcvtn | Fcvtxn => {
            let from = format(s.size + 1);
            let count = if s.scalar { 1 } else { 64 / bits };
            let x = all(count, bits, |i| {
                let a = lane(n, 2 * bits, i) as u64;
                if s.op == Fcvtxn { fp.to_odd(a).into() } else { fp.convert(from, f, a, None).into() }
            });
            return if s.q { d & u128::from(u64::MAX) | x << 64 } else { x };
        }
        Fcmp(signalling, zero) => {
            fp.compare(f, get(n, 0), if zero { 0 } else { get(m, 0) }, signalling);
            return 0;
        }
        Fccmp(signalling) => {
            fp.compare(f, get(n, 0), get(m, 0), signalling);
            return 0;
        }
        Fpair(how) if s.scalar => return pair(fp, f, how, get(n, 0), get(n, 1)).into(),
        Fpair(how) => {
            return all(lanes, bits, |i| {
                let half = lanes / 2;
                let (v, k) = if i < half { (n, 2 * i) } else { (m, 2 * (i - half)) };
                pair(fp, f, how, get(v, k), get(v, k + 1)).into()
            });
        }
        Facross(how) => {
            let low = pair(fp, f, how, get(n, 0), get(n, 1));
            let high = pair(fp, f, how, get(n, 2), get(n, 3));
            return pair(fp, f, how, low, high).into();
        }
        _ => {}
    }
    all(lanes, bits, |i| {
        let (a, b, c) = (get(n, i), get(m, i), get(d, i));
        let sign = f.sign();
        match s.op {
            Fmov => a.into(),
            Fabs => (a & !sign).into(),
            Fneg => (a ^ sign).into(),
            Fadd => fp.add(f, a, b).into(),
            Fsub => fp.sub(f, a, b).into(),
            Fmul => fp.mul(f, a, b, false).into(),
            Fmulx => fp.mul(f, a, b, true).into(),
            Fnmul => u128::from(fp.mul(f, a, b, false) ^ sign),
            Fdiv => fp.div(f, a, b).into(),
            Fmax => fp.max_min(f, a, b, true, false).into(),
            Fmin => fp.max_min(f, a, b, false, false).into(),
            Fmaxnm => fp.max_min(f, a, b, true, true).into(),
            Fminnm => fp.max_min(f, a, b, false, true).into(),
            Fmla(sub) => fp.fma(f, c, if sub { a ^ sign } else { a }, b).into(),
            Fmadd(product, addend) => {
                let c = if addend { c ^ sign } else { c };
                fp.fma(f, c, if product { a ^ sign } else { a }, b).into()
            }
            Fabd => u128::from(fp.sub(f, a, b) & !sign),
            Frecps => fp.step(f, a, b, false).into(),
            Frsqrts => fp.step(f, a, b, true).into(),
            Fcmeq => ones(fp.compare(f, a, b, false) == Some(0)),
            Fcmge => ones(matches!(fp.compare(f, a, b, true), Some(0 | 1))),
            Fcmgt => ones(fp.compare(f, a, b, true) == Some(1)),
            Facge => ones(matches!(fp.compare(f, a & !sign, b & !sign, true), Some(0 | 1))),
            Facgt => ones(fp.compare(f, a & !sign, b & !sign, true) == Some(1)),
            FcmZero(how) => ones(against_zero(how, fp.compare(f, a, 0, how != Zero::Eq))),
            Fsqrt => fp.sqrt(f, a).into(),
            Frint(mode, exact) => {
                let mode = mode.unwrap_or(fp.mode());
                fp.round_int(f, a, mode, exact).into()
            }
            FtoI(mode, unsigned) => fp.to_int(f, a, bits, !unsigned, s.imm as u32, mode).into(),
            ItoF(unsigned) => {
                let x = if unsigned { a } else { ((a << (64 - bits)) as i64 >> (64 - bits)) as u64 };
                fp.from_int(f, x, !unsigned, s.imm as u32).into()
            }
            Frecpe => fp.recip_estimate(f, a).into(),
            Frsqrte => fp.rsqrt_estimate(f, a).into(),
            Frecpx => fp.recip_exponent(f, a).into(),
            _ => 0,
        }
    })
}

/// One step of the CRC of `bytes` bytes; Castagnoli's polynomial if asked for.
pub fn crc32(castagnoli: bool, bytes: u32, crc: u32, data: u64) -> u32 {
    let polynomial = if castagnoli { 0x82f6_3b78 } else { 0xedb8_8320 };
    (0..bytes).fold(crc, |crc, i| {
        (0..8).fold(crc ^ u32::from((data >> (8 * i)) as u8), |c, _| {
            c >> 1 ^ if c & 1 != 0 { polynomial } else { 0 }
        })
    })
}

/// Direction for who only has the number of it.
pub fn rounding(control: u32) -> Rounding {
    Fp::new(control).mode()
}
