//! Flag-producing operations, on the packed image of [`Flag`]. What x86 leaves undefined is defined in the op
//! table.

use crate::op::Op;
use crate::types::{Cond, Flag, Type};

/// Z, S and P of a result.
fn zsp(r: u64, bits: u32) -> u64 {
    let mut f = 0;
    if r == 0 {
        f |= Flag::Z.bit();
    }
    if r >> (bits - 1) & 1 != 0 {
        f |= Flag::S.bit();
    }
    if (r as u8).count_ones().is_multiple_of(2) {
        f |= Flag::P.bit();
    }
    f
}

fn when(flag: Flag, set: bool) -> u64 {
    if set { flag.bit() } else { 0 }
}

/// Flags of `a + b + carry` (all zero-extended).
fn sum(a: u64, b: u64, carry: u64, bits: u32, mask: u64) -> u64 {
    let r = a.wrapping_add(b).wrapping_add(carry) & mask;
    let carries = a & b | (a | b) & !r;
    let top = bits - 1;
    zsp(r, bits)
        | when(Flag::C, carries >> top & 1 != 0)
        | when(Flag::A, carries & 8 != 0)
        | when(Flag::O, ((a ^ r) & (b ^ r)) >> top & 1 != 0)
}

/// Flags of `a - b - borrow`.
fn difference(a: u64, b: u64, borrow: u64, bits: u32, mask: u64) -> u64 {
    let r = a.wrapping_sub(b).wrapping_sub(borrow) & mask;
    let borrows = !a & b | (!a | b) & r;
    let top = bits - 1;
    zsp(r, bits)
        | when(Flag::C, borrows >> top & 1 != 0)
        | when(Flag::A, borrows & 8 != 0)
        | when(Flag::O, ((a ^ b) & (a ^ r)) >> top & 1 != 0)
}

fn bit(a: u64, at: u32) -> bool {
    a.checked_shr(at).unwrap_or(0) & 1 != 0
}

/// One of the `flags.…` operations or `cc`. `c` is the third operand: a carry or old flags; operations with two
/// operands take old flags or an `i1` as `b`.
pub(super) fn eval(op: Op, aty: Type, attr: u8, a: u64, b: u64, c: u64) -> u64 {
    match op {
        Op::FlagsPack => return a & Flag::MASK,
        Op::FlagsUnpack => return a & Flag::MASK,
        Op::Cc => return Cond::from_code(attr).holds(a).into(),
        Op::FlagsGet => return (a & flag(attr).bit() != 0).into(),
        Op::FlagsWith => return a & Flag::MASK & !flag(attr).bit() | when(flag(attr), b & 1 != 0),
        Op::FlagsFcmp => return fcmp(aty, a, b),
        _ => {}
    }
    let (bits, mask) = (aty.bits(), aty.mask64());
    if !(8..=64).contains(&bits) {
        return 0; // An ill-formed trace.
    }
    let old = c & Flag::MASK;
    let a = a & mask;
    let n = b & mask;
    let keep_carry = |f: u64| f & !Flag::C.bit() | b & Flag::C.bit();
    match op {
        Op::FlagsAdd => sum(a, n, 0, bits, mask),
        Op::FlagsAdc => sum(a, n, c & 1, bits, mask),
        Op::FlagsSub => difference(a, n, 0, bits, mask),
        Op::FlagsSbb => difference(a, n, c & 1, bits, mask),
        Op::FlagsLogic => zsp(a, bits),
        Op::FlagsInc => keep_carry(sum(a, 1, 0, bits, mask)),
        Op::FlagsDec => keep_carry(difference(a, 1, 0, bits, mask)),
        Op::FlagsUmul | Op::FlagsSmul => {
            let (s, t) = (super::sext(a, bits) as i128, super::sext(n, bits) as i128);
            let fits = if op == Op::FlagsUmul {
                a as u128 * n as u128 <= mask as u128
            } else {
                super::sext((s * t) as u64, bits) as i128 == s * t
            };
            zsp(a.wrapping_mul(n) & mask, bits) | when(Flag::C, !fits) | when(Flag::O, !fits)
        }
        _ if n == 0 => old,
        Op::FlagsShl => {
            let r = a.checked_shl(n.min(64) as u32).unwrap_or(0) & mask;
            let carry = n <= bits.into() && bit(a, bits - n as u32);
            zsp(r, bits) | when(Flag::C, carry) | when(Flag::O, bit(r, bits - 1) != carry)
        }
        Op::FlagsShr => {
            let r = a.checked_shr(n.min(64) as u32).unwrap_or(0);
            let carry = n <= bits.into() && bit(a, n as u32 - 1);
            zsp(r, bits) | when(Flag::C, carry) | when(Flag::O, bit(r, bits - 1) != bit(r, bits - 2))
        }
        Op::FlagsSar => {
            let s = super::sext(a, bits);
            let r = (s >> n.min(63)) as u64 & mask;
            zsp(r, bits) | when(Flag::C, s >> (n - 1).min(63) & 1 != 0)
        }
        Op::FlagsRol | Op::FlagsRor => {
            let rotate = if op == Op::FlagsRol { Op::Rol } else { Op::Ror };
            let r = super::int::int64(rotate, bits, a, n, 0).unwrap_or(0);
            let (top, next) = (bit(r, bits - 1), bit(r, bits - 2));
            let (carry, over) =
                if op == Op::FlagsRol { (r & 1 != 0, top != (r & 1 != 0)) } else { (top, top != next) };
            old & !(Flag::C.bit() | Flag::O.bit()) | when(Flag::C, carry) | when(Flag::O, over)
        }
        _ => 0,
    }
}

fn flag(attr: u8) -> Flag {
    Flag::ALL[(attr as usize).min(5)]
}

fn fcmp(ty: Type, a: u64, b: u64) -> u64 {
    let order = if ty == Type::F32 {
        f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))
    } else {
        f64::from_bits(a).partial_cmp(&f64::from_bits(b))
    };
    match order {
        None => Flag::Z.bit() | Flag::P.bit() | Flag::C.bit(),
        Some(std::cmp::Ordering::Less) => Flag::C.bit(),
        Some(std::cmp::Ordering::Equal) => Flag::Z.bit(),
        Some(std::cmp::Ordering::Greater) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(f: u64) -> String {
        Flag::ALL.iter().filter(|x| f & x.bit() != 0).map(|x| x.name()).collect()
    }

    #[test]
    fn sums_and_differences_exhaustively_at_8_bits() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                for c in [0u8, 1] {
                    let wide = a as u32 + b as u32 + c as u32;
                    let signed = a as i8 as i32 + b as i8 as i32 + c as i32;
                    let f = eval(Op::FlagsAdc, Type::I8, 0, a.into(), b.into(), c.into());
                    assert_eq!(f & 1 != 0, wide > 255);
                    assert_eq!(f & Flag::A.bit() != 0, (a & 15) + (b & 15) + c > 15);
                    assert_eq!(f & Flag::O.bit() != 0, signed != signed as i8 as i32);
                    assert_eq!(f & Flag::Z.bit() != 0, wide as u8 == 0);
                    let f = eval(Op::FlagsSbb, Type::I8, 0, a.into(), b.into(), c.into());
                    let signed = a as i8 as i32 - b as i8 as i32 - c as i32;
                    assert_eq!(f & 1 != 0, (a as u32) < b as u32 + c as u32);
                    assert_eq!(f & Flag::A.bit() != 0, (a & 15) < (b & 15) + c);
                    assert_eq!(f & Flag::O.bit() != 0, signed != signed as i8 as i32);
                    let f = eval(Op::FlagsSub, Type::I8, 0, a.into(), b.into(), 0);
                    assert_eq!(Cond::L.holds(f), (a as i8) < b as i8);
                    assert_eq!(Cond::Be.holds(f), a <= b);
                }
            }
        }
    }

    #[test]
    fn shifts() {
        let f = |op, a, n| names(eval(op, Type::I8, 0, a, n, Flag::MASK));
        assert_eq!(f(Op::FlagsShl, 0x81, 0), "cpazso", "amount 0 keeps");
        assert_eq!(f(Op::FlagsShl, 0x81, 1), "co");
        assert_eq!(f(Op::FlagsShl, 0x01, 8), "cpzo", "the last bit shifted out is bit 0");
        assert_eq!(f(Op::FlagsShl, 0x01, 9), "pz");
        assert_eq!(f(Op::FlagsShr, 0x81, 1), "co");
        assert_eq!(f(Op::FlagsSar, 0x81, 1), "cps");
        assert_eq!(f(Op::FlagsRol, 0x80, 1), "cpazso");
        assert_eq!(f(Op::FlagsRor, 0x01, 1), "cpazso");
        assert_eq!(names(eval(Op::FlagsShl, Type::I64, 0, 1 << 63, 1, 0)), "cpzo");
    }

    #[test]
    fn products() {
        let f = |op, a: i8, b: i8| eval(op, Type::I8, 0, a as u8 as u64, b as u8 as u64, 0) & 1;
        for a in i8::MIN..=i8::MAX {
            for b in i8::MIN..=i8::MAX {
                assert_eq!(f(Op::FlagsSmul, a, b), a.checked_mul(b).is_none().into());
                assert_eq!(f(Op::FlagsUmul, a, b), (a as u8).checked_mul(b as u8).is_none().into());
            }
        }
    }
}
