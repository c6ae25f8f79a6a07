//! What each pure operation computes: the executable meaning of the op table, shared by the interpreter, by
//! recipes and by constant folding.
//!
//! Two entries: [`scalar`] for operations whose operands and result all fit in 64 bits (nearly all of them,
//! and quick), and [`wide`] for the rest. Both mask their operands to the operand types themselves, so
//! sign-extended literals may be passed as they are; results are zero-extended. `box`, `unbox` and `has_tag`
//! need the declared tags and have entries of their own.

mod flags;
mod float;
mod int;
mod vector;

use crate::op::Op;
use crate::trace::Decls;
use crate::types::*;

/// A division by zero or overflowing quotient: the only way a computation can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DivideFault;

/// Are all operands and the result of this operation at these types at most 64 bits wide?
pub fn is_scalar(op: Op, aty: Type, ty: Type) -> bool {
    op < Op::VSplat && aty.bits() <= 64 && ty.bits() <= 64
}

/// Sign-extends the low `bits` bits (1 to 64; other widths, in ill-formed traces only, count as 64).
pub(crate) fn sext(a: u64, bits: u32) -> i64 {
    if bits == 0 || bits > 64 {
        return a as i64;
    }
    ((a << (64 - bits)) as i64) >> (64 - bits)
}

/// A scalar operation ([`is_scalar`]): operand type, result type, attribute, operands as zero- or sign-extended
/// words. Unused operands are ignored. Operations that are not pure give 0.
///
/// # Errors
/// Division by zero or an overflowing quotient.
#[inline]
pub fn scalar(op: Op, aty: Type, ty: Type, attr: u8, a: u64, b: u64, c: u64) -> Result<u64, DivideFault> {
    let mask = aty.mask64();
    Ok(match op {
        Op::Add => a.wrapping_add(b) & mask,
        Op::Sub => a.wrapping_sub(b) & mask,
        Op::And => a & b & mask,
        Op::Or => (a | b) & mask,
        Op::Xor => (a ^ b) & mask,
        Op::Eq => ((a ^ b) & mask == 0) as u64,
        Op::Ne => ((a ^ b) & mask != 0) as u64,
        Op::Select => (if a & 1 != 0 { b } else { c }) & ty.mask64(),
        Op::Zext | Op::Bitcast => a & mask,
        Op::Trunc => a & ty.mask64(),
        Op::Sext => sext(a, aty.bits()) as u64 & ty.mask64(),
        Op::Insert => {
            let at = mask << (c & 63);
            (a & !at | (b & mask) << (c & 63)) & ty.mask64()
        }
        Op::Extract => (a & mask) >> (b & 63) & ty.mask64(),
        _ if op < Op::FlagsAdd => return int::int64(op, aty.bits(), a & mask, b & mask, c & mask),
        _ if op < Op::Fadd => flags::eval(op, aty, attr, a, b, c),
        Op::Ffma => float::fused(aty, a, b, c),
        _ => float::eval(op, aty, ty, attr, a, b),
    })
}

/// Any pure operation except those on tags: like [`scalar`], on whole values. What lies above an operand's
/// type must be zero ([`mask`]).
///
/// # Errors
/// Division by zero or an overflowing quotient.
pub fn wide(
    op: Op,
    aty: Type,
    ty: Type,
    attr: u8,
    a: &Wide,
    b: &Wide,
    c: &Wide,
) -> Result<Wide, DivideFault> {
    if is_scalar(op, aty, ty) {
        return Ok(word(scalar(op, aty, ty, attr, a[0], b[0], c[0])?));
    }
    let two = |f: fn(u64, u64) -> u64| std::array::from_fn(|i| f(a[i], b[i]));
    Ok(match op {
        Op::Select => mask(if a[0] & 1 != 0 { b } else { c }, ty),
        Op::Zext | Op::Bitcast => mask(a, aty),
        Op::Trunc => mask(a, ty),
        Op::Sext => {
            let low = mask(a, aty);
            if aty.bits() <= 64 {
                let s = sext(low[0], aty.bits()) as i128;
                from_u128(s as u128)
            } else {
                low
            }
        }
        Op::Insert => insert(a, ty, b, aty, c[0] as u32),
        Op::Extract => extract(&mask(a, aty), ty, b[0] as u32),
        Op::And => mask(&two(|x, y| x & y), aty),
        Op::Or => mask(&two(|x, y| x | y), aty),
        Op::Xor => mask(&two(|x, y| x ^ y), aty),
        Op::Andn => mask(&two(|x, y| !x & y), aty),
        Op::Not => mask(&two(|x, _| !x), aty),
        Op::Eq => word((mask(a, aty) == mask(b, aty)) as u64),
        Op::Ne => word((mask(a, aty) != mask(b, aty)) as u64),
        _ if aty == Type::I128 => from_u128(int::int(op, 128, to_u128(a), to_u128(b), to_u128(c))?),
        _ => vector::eval(op, aty, ty, a, b, c),
    })
}

/// A scalar as a whole value.
pub fn word(a: u64) -> Wide {
    let mut w = ZERO;
    w[0] = a;
    w
}

/// The low 128 bits.
pub fn to_u128(w: &Wide) -> u128 {
    w[0] as u128 | (w[1] as u128) << 64
}

/// A 128-bit value as a whole value.
pub fn from_u128(a: u128) -> Wide {
    let mut w = ZERO;
    w[0] = a as u64;
    w[1] = (a >> 64) as u64;
    w
}

/// The value with everything above the type's width zero.
pub fn mask(w: &Wide, ty: Type) -> Wide {
    let bits = ty.bits();
    if bits < 64 {
        return word(w[0] & ty.mask64());
    }
    let mut out = ZERO;
    let n = (bits / 64) as usize;
    out[..n].copy_from_slice(&w[..n]);
    out
}

/// `container` with the low bits of `part` put in at bit `at`; bits beyond the container are lost.
pub fn insert(container: &Wide, ty: Type, part: &Wide, part_ty: Type, at: u32) -> Wide {
    let mut bytes = to_bytes(container);
    let (start, len) = (at as usize / 8, part_ty.bytes() as usize);
    let part = to_bytes(part);
    if let Some(range) = bytes.get_mut(start..start + len) {
        range.copy_from_slice(&part[..len]);
    }
    mask(&from_bytes(&bytes), ty)
}

/// The part of type `ty` at bit `at`.
pub fn extract(container: &Wide, ty: Type, at: u32) -> Wide {
    let bytes = to_bytes(container);
    let (start, len) = (at as usize / 8, ty.bytes() as usize);
    from_bytes(bytes.get(start..start + len).unwrap_or(&[]))
}

/// The value's bytes, little-endian.
pub fn to_bytes(w: &Wide) -> [u8; 64] {
    let mut out = [0; 64];
    for (chunk, x) in out.chunks_exact_mut(8).zip(w) {
        chunk.copy_from_slice(&x.to_le_bytes());
    }
    out
}

/// A value from up to 64 little-endian bytes, zero-extended.
pub fn from_bytes(bytes: &[u8]) -> Wide {
    let mut w = ZERO;
    for (x, chunk) in w.iter_mut().zip(bytes.chunks(8)) {
        let mut buf = [0; 8];
        buf[..chunk.len()].copy_from_slice(chunk);
        *x = u64::from_le_bytes(buf);
    }
    w
}

/// The NaN that `box` stores in place of one that looks like a tagged word.
pub const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0000;

/// `box a, tag`. An undeclared tag gives 0.
pub fn box_word(decls: &Decls, a: u64, tag: TagId) -> u64 {
    match decls.tags.get(tag.index()) {
        None => 0,
        Some(t) => match t.pattern {
            Some(p) => (p as u64) << 48 | a & t.ty.mask64() & 0xffff_ffff_ffff,
            None if decls.first_tagged_word().is_some_and(|first| a >= first) => CANONICAL_NAN,
            None => a,
        },
    }
}

/// `unbox word, tag`.
pub fn unbox_word(decls: &Decls, word: u64, tag: TagId) -> u64 {
    match decls.tags.get(tag.index()) {
        None => 0,
        Some(t) if t.pattern.is_none() => word,
        Some(t) if t.ty == Type::I64 => sext(word, 48) as u64,
        Some(t) => word & t.ty.mask64(),
    }
}

/// `has_tag word, tag`.
pub fn has_tag(decls: &Decls, word: u64, tag: TagId) -> bool {
    match decls.tags.get(tag.index()) {
        None => false,
        Some(t) => match t.pattern {
            Some(p) => word >> 48 == p as u64,
            None => decls.first_tagged_word().is_none_or(|first| word < first),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let ah = scalar(Op::Insert, Type::I8, Type::I64, 0, 0x1122_3344, 0xff, 8);
        assert_eq!(ah, Ok(0x1122_ff44));
        assert_eq!(scalar(Op::Extract, Type::I64, Type::I8, 0, 0x1122_3344, 8, 0), Ok(0x33));
        let v = [1, 2, 3, 4, 0, 0, 0, 0];
        let hi = extract(&v, Type::V128, 128);
        assert_eq!(hi, [3, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(insert(&v, Type::V256, &word(9), Type::F64, 64), [1, 9, 3, 4, 0, 0, 0, 0]);
        assert_eq!(from_bytes(&to_bytes(&v)), v);
    }

    #[test]
    fn boxes() {
        let mut d = Decls::new();
        let num = d.add_tag("num", Type::F64, None).unwrap();
        let int = d.add_tag("int", Type::I64, Some(0xfff9)).unwrap();
        let w = box_word(&d, -5i64 as u64, int);
        assert_eq!(w, 0xfff9_ffff_ffff_fffb);
        assert_eq!(unbox_word(&d, w, int) as i64, -5);
        assert!(has_tag(&d, w, int) && !has_tag(&d, w, num));
        for x in [0u64, 1.5f64.to_bits(), 0xfff8_0000_0000_0000, u64::MAX, w] {
            assert!(has_tag(&d, box_word(&d, x, num), num));
        }
    }
}
