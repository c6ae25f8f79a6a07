//! Integer operations: quickly at up to 64 bits ([`int64`]), and at any width by 128-bit arithmetic
//! ([`int`]), which is what `i128` uses and what a test holds the quick form against.

use super::{DivideFault, sext};
use crate::op::Op;

fn low(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// An operation at 8, 16, 32 or 64 bits. Operands are zero-extended, so is the result.
pub(super) fn int64(op: Op, bits: u32, a: u64, b: u64, c: u64) -> Result<u64, DivideFault> {
    if bits == 0 || bits < 8 && op != Op::Not && op != Op::Andn {
        return Ok(0); // An ill-formed trace.
    }
    let mask = low(bits) as u64;
    let (sa, sb) = (sext(a, bits), sext(b, bits));
    let amount = b.min(bits.into()) as u32;
    // Widths are powers of two.
    let turn = b as u32 & (bits - 1);
    let spare = 64 - bits;
    let r = match op {
        Op::Mul => a.wrapping_mul(b),
        Op::Umulh => ((a as u128 * b as u128) >> bits) as u64,
        Op::Smulh => ((sa as i128 * sb as i128) >> bits) as u64,
        Op::Udiv => a.checked_div(b).ok_or(DivideFault)?,
        Op::Urem => a.checked_rem(b).ok_or(DivideFault)?,
        Op::Sdiv => {
            let q = sa.checked_div(sb).ok_or(DivideFault)?;
            if sext(q as u64, bits) != q {
                return Err(DivideFault);
            }
            q as u64
        }
        Op::Srem => {
            let r = sa.checked_rem(sb).ok_or(DivideFault)?;
            if sb == -1 && a == 1 << (bits - 1) {
                return Err(DivideFault);
            }
            r as u64
        }
        Op::Udivw | Op::Uremw => {
            let n = (a as u128) << bits | b as u128;
            let q = n.checked_div(c as u128).ok_or(DivideFault)?;
            if q > mask as u128 {
                return Err(DivideFault);
            }
            if op == Op::Udivw { q as u64 } else { (n % c as u128) as u64 }
        }
        Op::Sdivw | Op::Sremw => {
            let n = (sa as i128) << bits | b as i128;
            let d = sext(c, bits) as i128;
            let q = n.checked_div(d).ok_or(DivideFault)?;
            if sext(q as u64, bits) as i128 != q {
                return Err(DivideFault);
            }
            if op == Op::Sdivw { q as u64 } else { (n % d) as u64 }
        }
        Op::Neg => a.wrapping_neg(),
        Op::Not => !a,
        Op::Andn => !a & b,
        Op::Shl => a.checked_shl(amount).unwrap_or(0),
        Op::Shr => a.checked_shr(amount).unwrap_or(0),
        Op::Sar => (sa >> amount.min(63)) as u64,
        Op::Rol => a << turn | a.checked_shr(bits - turn).unwrap_or(0),
        Op::Ror => a >> turn | a.checked_shl(bits - turn).unwrap_or(0),
        Op::Bswap => a.swap_bytes() >> spare,
        Op::Bitrev => a.reverse_bits() >> spare,
        Op::Popcnt => a.count_ones().into(),
        Op::Clz => (a.leading_zeros() - spare).into(),
        Op::Ctz => a.trailing_zeros().min(bits).into(),
        Op::Pdep => pdep(a, b),
        Op::Pext => pext(a, b),
        Op::Ult => (a < b).into(),
        Op::Ule => (a <= b).into(),
        Op::Slt => (sa < sb).into(),
        Op::Sle => (sa <= sb).into(),
        _ => 0,
    };
    Ok(r & mask)
}

fn pdep(mut a: u64, mut mask: u64) -> u64 {
    let mut r = 0;
    while mask != 0 {
        let bit = mask & mask.wrapping_neg();
        if a & 1 != 0 {
            r |= bit;
        }
        a >>= 1;
        mask ^= bit;
    }
    r
}

fn pext(a: u64, mut mask: u64) -> u64 {
    let (mut r, mut at) = (0, 0);
    while mask != 0 {
        let bit = mask & mask.wrapping_neg();
        if a & bit != 0 {
            r |= 1 << at;
        }
        at += 1;
        mask ^= bit;
    }
    r
}

/// An operation at any width up to 128 bits (wide multiplication and division, `pdep` and `pext` up to 64).
pub(super) fn int(op: Op, bits: u32, a: u128, b: u128, c: u128) -> Result<u128, DivideFault> {
    let mask = low(bits);
    let (a, b, c) = (a & mask, b & mask, c & mask);
    let signed = |x: u128| ((x << (128 - bits)) as i128) >> (128 - bits);
    let (sa, sb) = (signed(a), signed(b));
    let amount = b.min(bits.into()) as u32;
    let turn = (b % u128::from(bits)) as u32;
    let least = 1u128 << (bits - 1);
    let r = match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Umulh => a.wrapping_mul(b) >> bits,
        Op::Smulh => (sa.wrapping_mul(sb) >> bits) as u128,
        Op::Udiv => a.checked_div(b).ok_or(DivideFault)?,
        Op::Urem => a.checked_rem(b).ok_or(DivideFault)?,
        Op::Sdiv | Op::Srem if b == 0 || a == least && sb == -1 => return Err(DivideFault),
        Op::Sdiv => (sa / sb) as u128,
        Op::Srem => (sa % sb) as u128,
        Op::Udivw | Op::Uremw => {
            let n = a << bits | b;
            if c == 0 || n / c > mask {
                return Err(DivideFault);
            }
            if op == Op::Udivw { n / c } else { n % c }
        }
        Op::Sdivw | Op::Sremw => {
            let (n, d) = (sa << bits | b as i128, signed(c));
            let q = n.checked_div(d).ok_or(DivideFault)?;
            if signed(q as u128 & mask) != q {
                return Err(DivideFault);
            }
            if op == Op::Sdivw { q as u128 } else { (n % d) as u128 }
        }
        Op::Neg => a.wrapping_neg(),
        Op::Not => !a,
        Op::Andn => !a & b,
        Op::Shl => a.checked_shl(amount).unwrap_or(0),
        Op::Shr => a.checked_shr(amount).unwrap_or(0),
        Op::Sar => (sa >> amount.min(127)) as u128,
        Op::Rol => a << turn | a.checked_shr(bits - turn).unwrap_or(0),
        Op::Ror => a >> turn | a.checked_shl(bits - turn).unwrap_or(0),
        Op::Bswap => a.swap_bytes() >> (128 - bits),
        Op::Bitrev => a.reverse_bits() >> (128 - bits),
        Op::Popcnt => a.count_ones().into(),
        Op::Clz => (a.leading_zeros() - (128 - bits)).into(),
        Op::Ctz => a.trailing_zeros().min(bits).into(),
        Op::Ult => (a < b).into(),
        Op::Ule => (a <= b).into(),
        Op::Slt => (sa < sb).into(),
        Op::Sle => (sa <= sb).into(),
        _ => 0,
    };
    Ok(r & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Type;
    use proptest::prelude::*;

    fn interesting() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0u32..64).prop_map(|s| 1u64 << s),
            (0u32..64).prop_map(|s| (1u64 << s).wrapping_sub(1)),
            0u64..130,
            (0u64..130).prop_map(u64::wrapping_neg),
        ]
    }

    proptest! {
        #[test]
        fn quick_form_is_the_wide_form(a in interesting(), b in interesting(), c in interesting()) {
            for &op in Op::ALL.iter().filter(|op| **op >= Op::Add && **op < Op::Select) {
                for bits in [8, 16, 32, 64] {
                    let ty = Type::int(bits).unwrap();
                    if !op.info().t.contains(ty) || matches!(op, Op::And | Op::Or | Op::Xor | Op::Eq | Op::Ne | Op::Pdep | Op::Pext) {
                        continue;
                    }
                    let quick = super::super::scalar(op, ty, ty, 0, a, b, c);
                    let wide = int(op, bits, a.into(), b.into(), c.into());
                    prop_assert_eq!(quick.map(u128::from), wide, "{} at {}", op.name(), bits);
                }
            }
        }

        #[test]
        fn deposit_then_gather(a: u64, m: u64) {
            let width = m.count_ones();
            let low = if width == 64 { a } else { a & ((1 << width) - 1) };
            prop_assert_eq!(pext(pdep(a, m), m), low);
            prop_assert_eq!(pdep(pext(a, m), m), a & m);
        }
    }

    #[test]
    fn division_faults() {
        let i8_ = |op, a: i8, b: i8, c: i8| int64(op, 8, a as u8 as u64, b as u8 as u64, c as u8 as u64);
        assert_eq!(i8_(Op::Sdiv, -128, -1, 0), Err(DivideFault));
        assert_eq!(i8_(Op::Srem, -128, -1, 0), Err(DivideFault));
        assert_eq!(i8_(Op::Sdiv, -127, -1, 0), Ok(127));
        assert_eq!(i8_(Op::Udiv, 1, 0, 0), Err(DivideFault));
        assert_eq!(i8_(Op::Udivw, 1, 0, 1), Err(DivideFault), "quotient 256 does not fit");
        assert_eq!(i8_(Op::Udivw, 1, 0, 2), Ok(128));
        assert_eq!(i8_(Op::Sdivw, -1, -128, 1), Ok(0x80), "-128 fits");
        assert_eq!(i8_(Op::Sdivw, -1, 127, 1), Err(DivideFault), "-129 does not");
    }
}
