//! Number literals.
//!
//! Decimal, hexadecimal (`0x1.8p3`) and binary (`0b101`) numbers, with the suffixes `LL`, `ULL` (any case, either order) for
//! 64-bit integers and `i` for imaginary numbers. Every conversion is rounded once, to nearest even. Separators (`1_000`) are gone
//! before the text comes here.

use super::chars::{hex_value, is_digit, is_hex};

/// The largest exponent digit string that is accepted is below this.
const MAX_EXPONENT: i32 = 1 << 20;

/// A number literal's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// A plain number.
    Number(f64),
    /// `1LL`
    Int64(i64),
    /// `1ULL`
    Uint64(u64),
    /// `1i`
    Imaginary(f64),
}

enum Suffix {
    None,
    Imaginary,
    Int64,
    Uint64,
}

fn suffix(text: &[u8], integer: bool) -> Option<Suffix> {
    let mut lower = [0u8; 3];
    let lower = lower.get_mut(..text.len())?;
    lower.copy_from_slice(text);
    lower.make_ascii_lowercase();
    match &*lower {
        b"" => Some(Suffix::None),
        b"i" => Some(Suffix::Imaginary),
        b"ll" if integer => Some(Suffix::Int64),
        b"ull" | b"llu" if integer => Some(Suffix::Uint64),
        _ => None,
    }
}

/// The value of a literal; `None` if it is malformed.
///
/// ```
/// use lua_frontend::syntax::number::{Literal, parse_literal};
/// assert_eq!(parse_literal(b"0x.8p1"), Some(Literal::Number(1.0)));
/// assert_eq!(parse_literal(b"42ull"), Some(Literal::Uint64(42)));
/// assert_eq!(parse_literal(b"1e"), None);
/// ```
pub fn parse_literal(text: &[u8]) -> Option<Literal> {
    // The common case: a short decimal integer.
    if text.len() <= 15 && text.iter().all(|&c| is_digit(c)) {
        let value = text.iter().fold(0u64, |value, &c| value * 10 + u64::from(c & 15));
        return Some(Literal::Number(value as f64));
    }
    let base = match (text.first(), text.get(1).map(|c| c | 0x20)) {
        (Some(b'0'), Some(b'x')) => 16,
        (Some(b'0'), Some(b'b')) => 2,
        _ => 10,
    };
    let body = if base == 10 { text } else { &text[2..] };
    let digit = |c: u8| if base == 16 { is_hex(c) } else { is_digit(c) };

    // Digits around at most one point.
    let mut end = 0;
    let mut point = None;
    while let Some(&c) = body.get(end) {
        if c == b'.' && point.is_none() {
            point = Some(end);
        } else if !digit(c) {
            break;
        }
        end += 1;
    }
    let digits = &body[..end];
    if digits.len() == usize::from(point.is_some()) || (base == 2 && point.is_some()) {
        return None;
    }
    let mut integer = point.is_none();

    // Exponent.
    let mut exponent = 0i32;
    let marker = if base == 16 { b'p' } else { b'e' };
    if base != 2 && body.get(end).is_some_and(|c| c | 0x20 == marker) {
        integer = false;
        end += 1;
        let negative = body.get(end) == Some(&b'-');
        end += usize::from(matches!(body.get(end), Some(b'+' | b'-')));
        if !body.get(end).copied().is_some_and(is_digit) {
            return None;
        }
        while let Some(&c) = body.get(end).filter(|&&c| is_digit(c)) {
            exponent = exponent * 10 + i32::from(c & 15);
            if exponent >= MAX_EXPONENT {
                return None;
            }
            end += 1;
        }
        if negative {
            exponent = -exponent;
        }
    }
    let number_text = &body[..end];
    let suffix = suffix(&body[end..], integer)?;
    let wide = matches!(suffix, Suffix::Int64 | Suffix::Uint64);

    if wide {
        let mut value = 0u64;
        for &c in digits {
            let digit = u64::from(hex_value(c).filter(|&d| u64::from(d) < base)?);
            value = value.checked_mul(base)?.checked_add(digit)?;
        }
        return Some(if matches!(suffix, Suffix::Int64) {
            Literal::Int64(value as i64)
        } else {
            Literal::Uint64(value)
        });
    }
    let value = match base {
        10 => std::str::from_utf8(number_text).ok()?.parse::<f64>().ok()?,
        2 => {
            let mut value = 0u64;
            let significant = &digits[digits.iter().position(|&c| c != b'0').unwrap_or(digits.len())..];
            if significant.len() > 64 {
                return None;
            }
            for &c in significant {
                if c & !1 != b'0' {
                    return None;
                }
                value = value << 1 | u64::from(c & 1);
            }
            value as f64
        }
        _ => hexadecimal(digits, point, exponent)?,
    };
    Some(if matches!(suffix, Suffix::Imaginary) { Literal::Imaginary(value) } else { Literal::Number(value) })
}

fn hexadecimal(digits: &[u8], point: Option<usize>, exponent: i32) -> Option<f64> {
    let mut mantissa = 0u64;
    let mut sticky = false;
    let mut dropped = 0i64;
    for digit in digits.iter().filter_map(|&c| hex_value(c)) {
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
        } else {
            sticky |= digit != 0;
            dropped += 1;
        }
    }
    let fraction = point.map_or(0, |p| digits.len() - p - 1) as i64;
    if fraction >= i64::from(MAX_EXPONENT) {
        return None;
    }
    Some(scale(mantissa, sticky, (dropped - fraction) * 4 + i64::from(exponent)))
}

/// `mantissa * 2^exponent`, and a little more if `sticky`, rounded once.
pub fn scale(mantissa: u64, sticky: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let top = 63 - i64::from(mantissa.leading_zeros()) + exponent;
    if top > 1023 {
        return f64::INFINITY;
    }
    // One bit below the mantissa holds what was lost.
    let wide = u128::from(mantissa) << 1 | u128::from(sticky);
    let unit = (top - 52).max(-1074);
    let shift = unit - (exponent - 1);
    let rounded = if shift <= 0 {
        wide << -shift
    } else if shift >= 127 {
        0
    } else {
        let (kept, half) = (wide >> shift, 1u128 << (shift - 1));
        let rest = wide & ((1u128 << shift) - 1);
        kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
    };
    // `rounded` has at most 54 bits; the bits of a double count on across binades.
    let rounded = rounded as u64;
    if unit == -1074 {
        return f64::from_bits(rounded);
    }
    f64::from_bits((((unit + 1075) as u64) << 52) + (rounded - (1 << 52)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> f64 {
        match parse_literal(text.as_bytes()) {
            Some(Literal::Number(n)) => n,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn decimal() {
        for (text, value) in [
            ("0", 0.0),
            ("123", 123.0),
            ("3.", 3.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("2.5e+1", 25.0),
            ("1e400", f64::INFINITY),
            ("9007199254740993", 9007199254740992.0),
            ("012", 12.0),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }

    #[test]
    fn other_bases() {
        for (text, value) in [
            ("0xff", 255.0),
            ("0XA.8", 10.5),
            ("0x.8p4", 8.0),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1074", 1e-323),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080001p0", 1.0000000000000002),
            ("0x1.00000000000018p0", 1.0000000000000004),
            ("0xffffffffffffffffff", 4722366482869645213695.0),
            ("0x0.0000000000000000000000001p100", 1.0),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("0b101", 5.0),
            ("0B0", 0.0),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }

    #[test]
    fn suffixes() {
        assert_eq!(parse_literal(b"1LL"), Some(Literal::Int64(1)));
        assert_eq!(parse_literal(b"18446744073709551615uLl"), Some(Literal::Uint64(u64::MAX)));
        assert_eq!(parse_literal(b"0xffffffffffffffffLL"), Some(Literal::Int64(-1)));
        assert_eq!(parse_literal(b"0b11LLU"), Some(Literal::Uint64(3)));
        assert_eq!(parse_literal(b"1.5i"), Some(Literal::Imaginary(1.5)));
        assert_eq!(parse_literal(b"0x10I"), Some(Literal::Imaginary(16.0)));
    }

    #[test]
    fn malformed() {
        for text in [
            "1e",
            "1e+",
            "0x",
            "0xg",
            "0x.",
            "1..2",
            "1.2.3",
            "3x",
            "1L",
            "1U",
            "1.0LL",
            "1LLL",
            "0b2",
            "0b",
            "0b1.0",
            "18446744073709551616LL",
            "0x1ffffffffffffffffLL",
            "1e1048576",
            "1lul",
            "1ii",
            "08e",
            "0b12LL",
        ] {
            assert_eq!(parse_literal(text.as_bytes()), None, "{text}");
        }
    }
}
