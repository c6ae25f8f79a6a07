//! Text to number, for the lexer, `tonumber`, arithmetic on strings and C declarations.
//!
//! The grammar is LuaJIT's: decimal and hexadecimal numbers with fraction and exponent, binary integers (`0b101`),
//! `inf`, `infinity` and `nan` in any case; the suffixes `i`, `LL`, `ULL` when asked for; and for C declarations octal
//! and the suffixes `u` and `l`. White space may surround the number, nothing else may. Every accepted text is rounded
//! correctly to the nearest double, ties to even, denormals included.
//!
//! ```
//! use lua_frontend::numscan::{Options, Scanned, scan, to_number};
//! assert_eq!(to_number(b" 0x1p4 "), Some(16.0));
//! assert_eq!(to_number(b"1e"), None);
//! assert_eq!(scan(b"42ULL", Options::LL), Some(Scanned::U64(42)));
//! ```
#![forbid(unsafe_code)]

use crate::chars::{self, DIGIT, SPACE, XDIGIT};

/// What the caller accepts besides plain numbers. Combine with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options(u8);

impl Options {
    /// Nothing but numbers; integers that fit 32 bits come back as [`Scanned::Int`].
    pub const NONE: Self = Self(0);
    /// Doubles whose value is a 32-bit integer (and not -0) come back as [`Scanned::Int`] as well.
    pub const TOINT: Self = Self(1);
    /// Everything comes back as [`Scanned::Num`].
    pub const TONUM: Self = Self(2);
    /// Accept the suffix `i`.
    pub const IMAG: Self = Self(4);
    /// Accept the suffixes `LL` and `ULL`.
    pub const LL: Self = Self(8);
    /// C: octal, `u` and `l` suffixes; an integer that does not fit its type is an error.
    pub const C: Self = Self(16);

    fn has(self, o: Self) -> bool {
        self.0 & o.0 != 0
    }
}

impl std::ops::BitOr for Options {
    type Output = Self;
    fn bitor(self, o: Self) -> Self {
        Self(self.0 | o.0)
    }
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scanned {
    /// A double.
    Num(f64),
    /// The imaginary part of a complex number (`2i`).
    Imag(f64),
    /// An integer that fits 32 bits.
    Int(i32),
    /// `u`: 32 bits, negated if a sign was given. C only.
    U32(u32),
    /// `LL`: the 64 bits, read as signed.
    I64(u64),
    /// `ULL`: the 64 bits.
    U64(u64),
}

/// The text as LuaJIT's number, or nothing.
pub fn to_number(s: &[u8]) -> Option<f64> {
    // Most numbers in strings are short decimal integers.
    if let [first, ..] = s
        && s.len() <= 9
        && first.is_ascii_digit()
        && s.iter().all(u8::is_ascii_digit)
    {
        return Some(f64::from(s.iter().fold(0u32, |n, c| n * 10 + u32::from(c & 15))));
    }
    match scan(s, Options::TONUM) {
        Some(Scanned::Num(n)) => Some(n),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Form {
    Num,
    Imag,
    Int,
    U32,
    I64,
    U64,
}

/// Exponents and fractions of this many digits are refused.
const MAX_EXP: i64 = 1 << 20;

/// Reads the whole of `s` as one number. `None`: it is not one.
pub fn scan(s: &[u8], opt: Options) -> Option<Scanned> {
    // Past the end there is a zero byte, which belongs to no class; a zero byte inside ends the number early, and the
    // last check refuses it.
    let at = |i: usize| s.get(i).copied().unwrap_or(0);
    let lower = |i: usize| at(i) | 0x20;
    let skip_space = |mut i: usize| {
        while chars::is(at(i), SPACE) {
            i += 1;
        }
        i
    };
    let mut p = skip_space(0);
    let mut neg = false;
    if matches!(at(p), b'+' | b'-') {
        neg = at(p) == b'-';
        p += 1;
    }
    if at(p) >= b'A' {
        let mut n = f64::NAN;
        if lower(p) == b'i' && lower(p + 1) == b'n' && lower(p + 2) == b'f' {
            n = if neg { f64::NEG_INFINITY } else { f64::INFINITY };
            p += 3;
            if s.len() >= p + 5 && s[p..p + 5].eq_ignore_ascii_case(b"inity") {
                p += 5;
            }
        } else if lower(p) == b'n' && lower(p + 1) == b'a' && lower(p + 2) == b'n' {
            p += 3;
        }
        return (skip_space(p) == s.len()).then_some(Scanned::Num(n));
    }

    let mut base = if opt.has(Options::C) && at(p) == b'0' { 8 } else { 10 };
    let mut mask = DIGIT;
    if at(p) == b'0' {
        match lower(p + 1) {
            b'x' => (base, mask, p) = (16, XDIGIT, p + 2),
            b'b' => (base, p) = (2, p + 2),
            _ => {}
        }
    }
    let (mut has_digit, mut point) = (false, None);
    loop {
        match at(p) {
            b'0' => has_digit = true,
            b'.' if point.is_none() => point = Some(p),
            b'.' => return None,
            _ => break,
        }
        p += 1;
    }
    let first = p;
    loop {
        let c = at(p);
        if chars::is(c, mask) {
            has_digit = true;
        } else if c == b'.' {
            if point.is_some() {
                return None;
            }
            point = Some(p);
        } else {
            break;
        }
        p += 1;
    }
    if !has_digit {
        return None;
    }
    let digits = &s[first..p.min(s.len())];
    let mut form = Form::Int;
    let mut ex: i64 = 0;
    if let Some(at) = point {
        if base == 2 {
            return None;
        }
        form = Form::Num;
        // Digits behind the point, when there are any significant ones at all.
        if digits.iter().any(|&c| c != b'.') {
            let zeros = digits.iter().rev().take_while(|&&c| c == b'0').count() as i64;
            let behind = (p - 1 - at) as i64;
            ex = -behind;
            if -(behind - zeros.min(behind)) <= -MAX_EXP {
                return None;
            }
            if base == 16 {
                ex *= 4;
            }
        }
    }
    if base >= 10 && lower(p) == if base == 16 { b'p' } else { b'e' } {
        form = Form::Num;
        p += 1;
        let mut neg_ex = false;
        if matches!(at(p), b'+' | b'-') {
            neg_ex = at(p) == b'-';
            p += 1;
        }
        if !chars::is(at(p), DIGIT) {
            return None;
        }
        let mut x = 0i64;
        while chars::is(at(p), DIGIT) {
            x = x * 10 + i64::from(at(p) & 15);
            if x >= MAX_EXP {
                return None;
            }
            p += 1;
        }
        ex += if neg_ex { -x } else { x };
    }
    if at(p) != 0 {
        if lower(p) == b'i' {
            if !opt.has(Options::IMAG) {
                return None;
            }
            p += 1;
            form = Form::Imag;
        } else if form == Form::Int {
            let mut unsigned = false;
            if lower(p) == b'u' {
                (unsigned, p) = (true, p + 1);
            }
            let mut long = false;
            if lower(p) == b'l' {
                (long, p) = (true, p + 1);
                if lower(p) == b'l' {
                    p += 1;
                } else if !opt.has(Options::C) {
                    return None;
                }
            }
            if !unsigned && lower(p) == b'u' {
                (unsigned, p) = (true, p + 1);
            }
            form = match (unsigned, long) {
                (false, false) => Form::Int,
                (true, false) => Form::U32,
                (false, true) => Form::I64,
                (true, true) => Form::U64,
            };
            if form == Form::U32 && !opt.has(Options::C) || form >= Form::I64 && !opt.has(Options::LL) {
                return None;
            }
        }
        p = skip_space(p);
    }
    if p != s.len() {
        return None;
    }
    if base == 8 && !matches!(form, Form::Num | Form::Imag) {
        return octal(digits, form, neg);
    }
    let n = match base {
        16 | 2 => binary(digits, base, form, opt, ex, neg)?,
        _ => decimal(digits, form, opt, ex, neg)?,
    };
    Some(match n {
        Scanned::Num(v) if opt.has(Options::TOINT) => {
            let i = v as i32;
            if f64::from(i).to_bits() == v.to_bits() { Scanned::Int(i) } else { n }
        }
        _ => n,
    })
}

/// An integer `x` of a form with a fixed width; `fits32`: it was short enough for 32 bits.
fn fixed(x: u64, form: Form, neg: bool, fits32: bool) -> Option<Scanned> {
    let v = if neg { x.wrapping_neg() } else { x };
    match form {
        Form::I64 => Some(Scanned::I64(v)),
        Form::U64 => Some(Scanned::U64(v)),
        _ if !fits32 => None,
        _ => Some(Scanned::U32(v as u32)),
    }
}

fn real(n: f64, form: Form, neg: bool) -> Scanned {
    let n = if neg { -n } else { n };
    if form == Form::Imag { Scanned::Imag(n) } else { Scanned::Num(n) }
}

/// An integer that fits 32 bits, unless all must be doubles.
fn small(x: u64, form: Form, opt: Options, neg: bool) -> Option<Scanned> {
    (form == Form::Int && !opt.has(Options::TONUM) && x < 0x8000_0000 + u64::from(neg) && !(x == 0 && neg))
        .then(|| Scanned::Int(if neg { (x as i32).wrapping_neg() } else { x as i32 }))
}

fn octal(digits: &[u8], form: Form, neg: bool) -> Option<Scanned> {
    if digits.len() > 22 || (digits.len() == 22 && digits[0] > b'1') {
        return None;
    }
    let mut x = 0u64;
    for &d in digits {
        if !(b'0'..=b'7').contains(&d) {
            return None;
        }
        x = x << 3 | u64::from(d & 7);
    }
    if form == Form::Int && x < 0x8000_0000 + u64::from(neg) {
        return Some(Scanned::Int(if neg { (x as i32).wrapping_neg() } else { x as i32 }));
    }
    fixed(x, form, neg, x >> 32 == 0)
}

/// Hexadecimal and binary: up to 64 leading bits and whether anything behind them is set.
fn binary(digits: &[u8], base: u32, form: Form, opt: Options, mut ex2: i64, neg: bool) -> Option<Scanned> {
    let bits = if base == 16 { 4 } else { 1 };
    let max = 64 / bits;
    let (mut x, mut count) = (0u64, 0usize);
    for &c in digits {
        if c == b'.' {
            continue;
        }
        if base == 2 && c & !1 != b'0' {
            return None;
        }
        if count < max {
            let d = if c > b'9' { c + 9 } else { c };
            x = x << bits | u64::from(d & if base == 2 { 1 } else { 15 });
        } else {
            x |= u64::from(c != b'0');
            ex2 += 4;
        }
        count += 1;
    }
    if base == 2 && count > 64 {
        return None;
    }
    if let Some(n) = small(x, form, opt, neg).filter(|_| count <= 8 || base == 2) {
        return Some(n);
    }
    if form > Form::Int || form == Form::Int && opt.has(Options::C) {
        return if count > max { None } else { fixed(x, form, neg, count * bits <= 32) };
    }
    Some(real(scale(x, ex2), form, neg))
}

/// `x * 2^ex2`, rounded to nearest, ties to even. The last bit of `x` also stands for whatever lies below it when `x`
/// has all its 64 bits in use.
fn scale(x: u64, ex2: i64) -> f64 {
    if x == 0 {
        return 0.0;
    }
    // Normalise to x in [2^63, 2^64): the value is 1.xxx * 2^e.
    let lz = x.leading_zeros();
    let x = x << lz;
    let e = ex2.saturating_sub(i64::from(lz)).saturating_add(63);
    if e > 1023 {
        return f64::INFINITY;
    }
    // Bits that a double keeps: 53, or fewer for denormals.
    let keep = if e >= -1022 { 53 } else { 53 - (-1022 - e) };
    if keep < 0 {
        return 0.0;
    }
    let (mut m, half_up) = if keep == 0 {
        (0u64, x > 1 << 63)
    } else {
        let drop = 64 - keep as u32;
        let m = x >> drop;
        let rest = x << keep as u32;
        (m, rest > 1 << 63 || rest == 1 << 63 && m & 1 == 1)
    };
    m += u64::from(half_up);
    // `m` is a multiple of 2^(e - keep + 1) and has at most 53 bits: assemble by exponent arithmetic, where a carry out
    // of the mantissa moves into the exponent by itself.
    if e >= -1022 { f64::from_bits((((e + 1022) as u64) << 52) + m) } else { f64::from_bits(m) }
}

fn decimal(digits: &[u8], form: Form, opt: Options, ex10: i64, neg: bool) -> Option<Scanned> {
    if form >= Form::Int {
        let count = digits.len();
        let x = (count <= 20).then(|| digits.iter().fold(0u128, |x, d| x * 10 + u128::from(d & 15)));
        let x = x.and_then(|x| u64::try_from(x).ok());
        if let Some(n) = x.and_then(|x| small(x, form, opt, neg)) {
            return Some(n);
        }
        if form > Form::Int || opt.has(Options::C) {
            let x = x?;
            return fixed(x, form, neg, x >> 32 == 0);
        }
        if let Some(x) = x {
            return Some(real(x as f64, form, neg));
        }
    }
    // The library routine is exact for any number of digits; give it the digits without their point.
    let mut text = Vec::with_capacity(digits.len() + 12);
    text.extend(digits.iter().filter(|&&c| c != b'.'));
    if text.is_empty() {
        text.push(b'0');
    }
    text.extend_from_slice(format!("e{ex10}").as_bytes());
    let n: f64 = std::str::from_utf8(&text).ok()?.parse().ok()?;
    Some(real(n, form, neg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(s: &str) -> Option<u64> {
        to_number(s.as_bytes()).map(f64::to_bits)
    }

    #[test]
    fn decimal_numbers() {
        for (s, want) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("12", 12.0),
            ("+7", 7.0),
            (" \t3.5\n", 3.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("0.001", 0.001),
            ("00012", 12.0),
            ("1e-400", 0.0),
            ("1e400", f64::INFINITY),
            ("9007199254740993", 9007199254740992.0),
            ("18446744073709551616", 18446744073709551616.0),
            ("123456789012345678901234567890", 123456789012345678901234567890.0),
            ("4.9e-324", 5e-324),
            ("2.4703282292062327208e-324", 0.0),
            ("2.4703282292062329e-324", 5e-324),
            ("inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("0e12", 0.0),
            ("0.000e5", 0.0),
        ] {
            assert_eq!(bits(s), Some(want.to_bits()), "{s}");
        }
        assert!(to_number(b"nan").is_some_and(f64::is_nan));
        for s in [
            "",
            " ",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0xg",
            "1..2",
            "1.2.3",
            "--1",
            "- 1",
            "1 2",
            "1x",
            "in",
            "infi",
            "infx",
            "nanx",
            "0b",
            "0b2",
            "0b1.1",
            "0x1p",
            "1e1048576",
            "12LL",
            "3i",
            "1_000",
            "0b1e1",
        ] {
            assert_eq!(to_number(s.as_bytes()), None, "{s:?}");
        }
        assert_eq!(to_number(b"1\0"), None);
        assert_eq!(to_number(b"\0"), None);
    }

    #[test]
    fn hexadecimal_and_binary() {
        for (s, want) in [
            ("0xff", 255.0),
            ("-0XFF", -255.0),
            ("0x.8", 0.5),
            ("0x1.8p1", 3.0),
            ("0x8p-1", 4.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", 5e-324),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080001p0", 1.0000000000000002),
            ("0x1.00000000000018p0", 1.0000000000000004),
            ("0x1p1024", f64::INFINITY),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0xffffffffffffffff", 18446744073709551616.0),
            ("0x10000000000000000", 18446744073709551616.0),
            ("0x0.0000000000000000000000001", 2f64.powi(-100)),
            ("0b101", 5.0),
            ("-0b1", -1.0),
        ] {
            assert_eq!(bits(s), Some(want.to_bits()), "{s}");
        }
    }

    #[test]
    fn suffixes() {
        use Scanned::*;
        let lex = Options::LL | Options::IMAG;
        assert_eq!(scan(b"12", lex), Some(Int(12)));
        assert_eq!(scan(b"2147483648", lex), Some(Num(2147483648.0)));
        assert_eq!(scan(b"1.0", lex), Some(Num(1.0)));
        assert_eq!(scan(b"1.0", lex | Options::TOINT), Some(Int(1)));
        assert_eq!(scan(b"-0", Options::TOINT), Some(Num(-0.0)));
        assert_eq!(scan(b"12LL", lex), Some(I64(12)));
        assert_eq!(scan(b"18446744073709551615ull", lex), Some(U64(u64::MAX)));
        assert_eq!(scan(b"18446744073709551616ULL", lex), None);
        assert_eq!(scan(b"0xffffffffffffffffll", lex), Some(I64(u64::MAX)));
        assert_eq!(scan(b"0x1ffffffffffffffffll", lex), None);
        assert_eq!(scan(b"0b11LLU", lex), Some(U64(3)));
        assert_eq!(scan(b"1.5i", lex), Some(Imag(1.5)));
        assert_eq!(scan(b"12i", lex), Some(Imag(12.0)));
        assert_eq!(scan(b"1.5LL", lex), None);
        assert_eq!(scan(b"12L", lex), None);
        assert_eq!(scan(b"12U", lex), None);
        assert_eq!(scan(b"0x10u", Options::C), Some(U32(16)));
        assert_eq!(scan(b"010", Options::C), Some(Int(8)));
        assert_eq!(scan(b"08", Options::C), None);
        assert_eq!(scan(b"0", Options::C), Some(Int(0)));
        assert_eq!(scan(b"4294967295", Options::C), Some(U32(u32::MAX)));
        assert_eq!(scan(b"4294967296", Options::C), None);
        assert_eq!(scan(b"12ul", Options::C | Options::LL), Some(U64(12)));
    }
}
