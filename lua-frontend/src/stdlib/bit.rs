//! The bit library: 32-bit integers from doubles modulo 2^32; `int64_t` and `uint64_t` C data keep 64 bits.

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::numfmt::{Spec, put_integer};
use crate::value::Value;

/// Opens the library.
pub fn open(cx: Cx) {
    super::library(
        cx,
        "bit",
        &[
            ("tobit", tobit),
            ("bnot", bnot),
            ("bswap", bswap),
            ("lshift", lshift),
            ("rshift", rshift),
            ("arshift", arshift),
            ("rol", rol),
            ("ror", ror),
            ("band", band),
            ("bor", bor),
            ("bxor", bxor),
            ("tohex", tohex),
        ],
    );
}

/// The low 32 bits of a number rounded to the nearest integer, ties to even.
#[inline]
pub fn to_bits(n: f64) -> i32 {
    (n + 6_755_399_441_055_744.0).to_bits() as i32
}

/// An operand: 32 bits, or 64 with their signedness.
#[derive(Clone, Copy)]
enum Operand {
    Narrow(i32),
    Wide(u64, bool),
}

fn operand(cx: Cx, i: usize) -> Result<Operand, Throw> {
    let v = cx.arg(i);
    if let Some(n) = v.as_number() {
        return Ok(Operand::Narrow(to_bits(n)));
    }
    if let Some((x, unsigned)) = super::cdata_bits(cx, v) {
        return Ok(Operand::Wide(x, unsigned));
    }
    Ok(Operand::Narrow(to_bits(cx.check_number(i)?)))
}

fn count(cx: Cx, i: usize) -> Result<u32, Throw> {
    Ok(match operand(cx, i)? {
        Operand::Narrow(n) => n as u32,
        Operand::Wide(n, _) => n as u32,
    })
}

fn result(cx: Cx, o: Operand) -> NativeResult {
    match o {
        Operand::Narrow(n) => cx.ret1(Value::int(i64::from(n))),
        Operand::Wide(n, unsigned) => cx.ret1(super::make_int64(cx, n, unsigned)),
    }
}

fn tobit(cx: Cx) -> NativeResult {
    let n = match operand(cx, 1)? {
        Operand::Narrow(n) => n,
        Operand::Wide(n, _) => n as i32,
    };
    cx.ret1(n)
}

fn unary(cx: Cx, narrow: fn(i32) -> i32, wide: fn(u64) -> u64) -> NativeResult {
    let r = match operand(cx, 1)? {
        Operand::Narrow(n) => Operand::Narrow(narrow(n)),
        Operand::Wide(n, u) => Operand::Wide(wide(n), u),
    };
    result(cx, r)
}

fn bnot(cx: Cx) -> NativeResult {
    unary(cx, |n| !n, |n| !n)
}

fn bswap(cx: Cx) -> NativeResult {
    unary(cx, i32::swap_bytes, u64::swap_bytes)
}

fn shift(cx: Cx, narrow: fn(i32, u32) -> i32, wide: fn(u64, u32) -> u64) -> NativeResult {
    let x = operand(cx, 1)?;
    let n = count(cx, 2)?;
    let r = match x {
        Operand::Narrow(x) => Operand::Narrow(narrow(x, n)),
        Operand::Wide(x, u) => Operand::Wide(wide(x, n), u),
    };
    result(cx, r)
}

fn lshift(cx: Cx) -> NativeResult {
    shift(cx, i32::wrapping_shl, u64::wrapping_shl)
}

fn rshift(cx: Cx) -> NativeResult {
    shift(cx, |x, n| (x as u32).wrapping_shr(n) as i32, u64::wrapping_shr)
}

fn arshift(cx: Cx) -> NativeResult {
    shift(cx, i32::wrapping_shr, |x, n| (x as i64).wrapping_shr(n) as u64)
}

fn rol(cx: Cx) -> NativeResult {
    shift(cx, |x, n| x.rotate_left(n & 31), |x, n| x.rotate_left(n & 63))
}

fn ror(cx: Cx) -> NativeResult {
    shift(cx, |x, n| x.rotate_right(n & 31), |x, n| x.rotate_right(n & 63))
}

/// Folds all arguments; a single wide one makes all wide (unsigned if any is).
fn fold(cx: Cx, narrow: fn(i32, i32) -> i32, wide: fn(u64, u64) -> u64) -> NativeResult {
    let mut acc = operand(cx, 1)?;
    for i in 2..=cx.nargs() {
        acc = match (acc, operand(cx, i)?) {
            (Operand::Narrow(a), Operand::Narrow(b)) => Operand::Narrow(narrow(a, b)),
            _ => return fold_wide(cx, wide),
        };
    }
    match acc {
        Operand::Wide(..) => fold_wide(cx, wide),
        Operand::Narrow(_) => result(cx, acc),
    }
}

fn fold_wide(cx: Cx, wide: fn(u64, u64) -> u64) -> NativeResult {
    let mut unsigned = false;
    let mut acc = None;
    for i in 1..=cx.nargs() {
        let v = cx.arg(i);
        let x = match super::cdata_bits(cx, v) {
            Some((x, u)) => {
                unsigned |= u;
                x
            }
            None => crate::numfmt::num_to_u64(cx.check_number(i)?),
        };
        acc = Some(acc.map_or(x, |a| wide(a, x)));
    }
    result(cx, Operand::Wide(acc.unwrap_or(0), unsigned))
}

fn band(cx: Cx) -> NativeResult {
    fold(cx, |a, b| a & b, |a, b| a & b)
}

fn bor(cx: Cx) -> NativeResult {
    fold(cx, |a, b| a | b, |a, b| a | b)
}

fn bxor(cx: Cx) -> NativeResult {
    fold(cx, |a, b| a ^ b, |a, b| a ^ b)
}

fn tohex(cx: Cx) -> NativeResult {
    let (mut x, default) = match operand(cx, 1)? {
        Operand::Narrow(n) => (u64::from(n as u32), 8),
        Operand::Wide(n, _) => (n, 16),
    };
    let n = if cx.nargs() < 2 { default } else { count(cx, 2)? as i32 };
    let digits = n.unsigned_abs().min(254) as usize;
    if digits < 16 {
        x &= (1 << (4 * digits)) - 1;
    }
    let spec = Spec { conv: b'x', upper: n < 0, precision: Some(digits), ..Spec::default() };
    let mut out = Vec::new();
    put_integer(&mut out, &spec, x);
    cx.ret1(cx.str(&out))
}
