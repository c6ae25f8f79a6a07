//! Number to text: `tostring`, and the numeric conversions of `string.format`.
//!
//! All conversions are correctly rounded (ties to even) from the exact binary value, whatever the precision; they do
//! not depend on the locale. Output goes to a byte vector that the caller owns. `%a` with a precision rounds half up,
//! as LuaJIT does. NaN prints as `nan` without a sign, infinity as `inf` or `-inf`, neither padded with zeros.
//!
//! ```
//! use lua_frontend::numfmt::{put_number, Spec, put_float};
//! let mut out = Vec::new();
//! put_number(&mut out, 0.1);            // %.14g
//! put_float(&mut out, &Spec { conv: b'e', precision: Some(3), ..Spec::default() }, 12345.0);
//! assert_eq!(out, b"0.11.234e+04");
//! ```
#![forbid(unsafe_code)]

use std::io::Write;

/// One conversion of a format string, parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The conversion in lower case: one of `acdefgiopqsux`.
    pub conv: u8,
    /// It was written in upper case.
    pub upper: bool,
    /// `-`: pad on the right.
    pub left: bool,
    /// `+`: a sign always.
    pub plus: bool,
    /// `0`: pad with zeros.
    pub zero: bool,
    /// A space where a sign would be.
    pub space: bool,
    /// `#`: the alternative form.
    pub alt: bool,
    /// The least number of characters.
    pub width: usize,
    /// Digits, or most characters of a string.
    pub precision: Option<usize>,
}

impl Spec {
    /// Neither flags nor width nor precision.
    pub fn is_plain(&self) -> bool {
        *self == Self { conv: self.conv, ..Self::default() }
    }

    fn sign(&self, negative: bool) -> Option<u8> {
        match (negative, self.plus, self.space) {
            (true, ..) => Some(b'-'),
            (_, true, _) => Some(b'+'),
            (_, _, true) => Some(b' '),
            _ => None,
        }
    }
}

/// Appends `n` in decimal.
pub fn put_int(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    put_decimal(out, n.unsigned_abs());
}

fn put_decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut buf = [0u8; 20];
    let mut i = buf.len();
    loop {
        i -= 1;
        buf[i] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&buf[i..]);
}

/// Appends `n` as `tostring` shows it: `%.14g`.
pub fn put_number(out: &mut Vec<u8>, n: f64) {
    // Integers of up to 14 digits are most of the numbers there are; -0 is not one of them.
    let i = n as i64;
    if i as f64 == n && i.unsigned_abs() < 100_000_000_000_000 && (i != 0 || n.is_sign_positive()) {
        put_int(out, i);
    } else if !put_usual(out, n) {
        put_float(out, &Spec { conv: b'g', precision: Some(14), ..Spec::default() }, n);
    }
}

/// Appends an integer by `%d %i %u %x %o`. The bits of `k` are read as signed for `d` and `i`.
pub fn put_integer(out: &mut Vec<u8>, spec: &Spec, k: u64) {
    let signed = matches!(spec.conv, b'd' | b'i');
    let negative = signed && (k as i64) < 0;
    let k = if negative { k.wrapping_neg() } else { k };
    let mut prefix: Vec<u8> = Vec::new();
    if signed {
        prefix.extend(spec.sign(negative));
    }
    let mut digits = Vec::with_capacity(24);
    if k != 0 {
        match spec.conv {
            b'x' => {
                if spec.alt {
                    prefix.extend_from_slice(if spec.upper { b"0X" } else { b"0x" });
                }
                let _ = if spec.upper { write!(digits, "{k:X}") } else { write!(digits, "{k:x}") };
            }
            b'o' => {
                let _ = if spec.alt { write!(digits, "0{k:o}") } else { write!(digits, "{k:o}") };
            }
            _ => put_decimal(&mut digits, k),
        }
    } else if spec.precision != Some(0) || spec.conv == b'o' && spec.alt {
        digits.push(b'0');
    }
    let zeros = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    let pad = spec.width.saturating_sub(prefix.len() + zeros + digits.len());
    let zero_pad = spec.zero && spec.precision.is_none() && !spec.left;
    if !spec.left && !zero_pad {
        out.resize(out.len() + pad, b' ');
    }
    out.extend_from_slice(&prefix);
    out.resize(out.len() + zeros + if zero_pad { pad } else { 0 }, b'0');
    out.extend_from_slice(&digits);
    if spec.left {
        out.resize(out.len() + pad, b' ');
    }
}

/// A double as the C conversion to `int64_t` on this machine: truncated; what does not fit becomes the smallest value.
pub fn num_to_i64(n: f64) -> i64 {
    if (-9223372036854775808.0..9223372036854775808.0).contains(&n) { n as i64 } else { i64::MIN }
}

/// A double as 64 bits that are read unsigned: negative values wrap, values from 2^63 to 2^64 stay what they are.
pub fn num_to_u64(n: f64) -> u64 {
    if n >= 9223372036854775808.0 {
        num_to_i64(n - 18446744073709551616.0) as u64
    } else {
        num_to_i64(n) as u64
    }
}

/// A double as the C conversion to `int32_t` on this machine.
pub fn num_to_i32(n: f64) -> i32 {
    if n > -2147483649.0 && n < 2147483648.0 { n as i32 } else { i32::MIN }
}

/// Appends a double by `%a %e %f %g`.
pub fn put_float(out: &mut Vec<u8>, spec: &Spec, n: f64) {
    if n.is_finite() {
        let sign = spec.sign(n.is_sign_negative());
        if spec.conv == b'f' && !spec.left && !spec.zero && !spec.alt {
            // The usual case needs no second buffer.
            let start = out.len();
            out.extend(sign);
            if put_fixed(out, n.abs(), spec.precision.unwrap_or(6)) {
                let pad = spec.width.saturating_sub(out.len() - start);
                if pad > 0 {
                    out.splice(start..start, std::iter::repeat_n(b' ', pad));
                }
                return;
            }
            out.truncate(start);
        }
        let mut body = Vec::with_capacity(32);
        let mut hex_prefix: &[u8] = b"";
        match spec.conv {
            b'a' => {
                hex_prefix = if spec.upper { b"0X" } else { b"0x" };
                put_hex_float(&mut body, spec, n);
            }
            b'e' => put_exponent(&mut body, spec, n.abs(), spec.precision.unwrap_or(6)),
            b'f' => {
                let precision = spec.precision.unwrap_or(6);
                if !put_fixed(&mut body, n.abs(), precision) {
                    let _ = write!(body, "{:.precision$}", n.abs());
                }
                if precision == 0 && spec.alt {
                    body.push(b'.');
                }
            }
            _ => put_general(&mut body, spec, n.abs()),
        }
        let len = body.len() + hex_prefix.len() + usize::from(sign.is_some());
        let pad = spec.width.saturating_sub(len);
        if !spec.left && !spec.zero {
            out.resize(out.len() + pad, b' ');
        }
        out.extend(sign);
        out.extend_from_slice(hex_prefix);
        if spec.zero && !spec.left {
            out.resize(out.len() + pad, b'0');
        }
        out.extend_from_slice(&body);
        if spec.left {
            out.resize(out.len() + pad, b' ');
        }
    } else {
        let (text, sign) = if n.is_nan() {
            (if spec.upper { b"NAN" } else { b"nan" }, spec.space.then_some(b' '))
        } else {
            (if spec.upper { b"INF" } else { b"inf" }, spec.sign(n < 0.0))
        };
        let pad = spec.width.saturating_sub(3 + usize::from(sign.is_some()));
        if !spec.left {
            out.resize(out.len() + pad, b' ');
        }
        out.extend(sign);
        out.extend_from_slice(text);
        if spec.left {
            out.resize(out.len() + pad, b' ');
        }
    }
}

/// `n * 10^places`, rounded half to even, if that is exact to compute in 128 bits and fits 64.
///
/// A double is `m * 2^e` with `m < 2^53`, so for `e < 0` the product is `m * 10^places` shifted right, whose lost bits say
/// how to round.
fn scaled(n: f64, places: usize) -> Option<u64> {
    /// As many places keep `m * 10^places` below 2^128.
    const MOST: usize = 22;
    let bits = n.to_bits();
    let (exponent, mantissa) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0 || places > MOST {
        return if bits == 0 { Some(0) } else { None };
    }
    let (m, e) = (u128::from(mantissa | 1 << 52), exponent - 1075);
    let product = m * 10u128.pow(places as u32);
    let rounded = match -e {
        0 => product,
        shift @ 1..=127 => {
            let (whole, lost) = (product >> shift, product & ((1 << shift) - 1));
            let half = 1u128 << (shift - 1);
            whole + u128::from(lost > half || (lost == half && whole & 1 == 1))
        }
        _ => return None,
    };
    u64::try_from(rounded).ok()
}

/// `%.Nf` of a number that is not negative; false if it is not one of the usual ones.
fn put_fixed(body: &mut Vec<u8>, n: f64, precision: usize) -> bool {
    let Some(all) = scaled(n, precision).filter(|_| precision <= 15) else { return false };
    let one = 10u64.pow(precision as u32);
    put_decimal(body, all / one);
    if precision > 0 {
        body.push(b'.');
        let mut fraction = all % one;
        let start = body.len();
        body.resize(start + precision, b'0');
        for digit in body[start..].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
    }
    true
}

/// `%.14g` of a number that is not an integer; false if it is not one of the usual ones.
fn put_usual(out: &mut Vec<u8>, n: f64) -> bool {
    const DIGITS: u32 = 14;
    let size = n.abs();
    if !(1e-4..1e13).contains(&size) {
        return false;
    }
    // Places behind the point such that 14 digits remain; one more than needed at most.
    let mut exponent = -4i32;
    while size >= POWERS[(exponent + 5) as usize] {
        exponent += 1;
    }
    let mut places = (DIGITS as i32 - 1 - exponent) as usize;
    let Some(mut all) = scaled(size, places) else { return false };
    if all >= 10u64.pow(DIGITS) {
        // Rounded up to one more digit, which is a power of ten.
        all /= 10;
        places -= 1;
    }
    while places > 0 && all.is_multiple_of(10) {
        all /= 10;
        places -= 1;
    }
    if n.is_sign_negative() {
        out.push(b'-');
    }
    let start = out.len();
    put_decimal(out, all);
    let digits = out.len() - start;
    if places == 0 {
        return true;
    }
    if digits <= places {
        // 0.00123: zeros in front.
        out.splice(start..start, std::iter::repeat_n(b'0', places + 1 - digits));
    }
    out.insert(out.len() - places, b'.');
    true
}

/// `10^(i - 4)`, the nearest doubles.
const POWERS: [f64; 18] =
    [1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

/// The decimal exponent of `n` rounded to `precision + 1` digits, and these digits with a point behind the first.
fn digits_of(n: f64, precision: usize) -> (Vec<u8>, i32) {
    let mut text = Vec::with_capacity(32);
    let _ = write!(text, "{n:.precision$e}");
    let e = text.iter().rposition(|&c| c == b'e').unwrap_or(text.len());
    let exponent =
        std::str::from_utf8(&text[(e + 1).min(text.len())..]).ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    text.truncate(e);
    (text, exponent)
}

fn push_exponent(body: &mut Vec<u8>, upper: bool, exponent: i32) {
    body.push(if upper { b'E' } else { b'e' });
    body.push(if exponent < 0 { b'-' } else { b'+' });
    if exponent.abs() < 10 {
        body.push(b'0');
    }
    put_decimal(body, u64::from(exponent.unsigned_abs()));
}

fn put_exponent(body: &mut Vec<u8>, spec: &Spec, n: f64, precision: usize) {
    let (digits, exponent) = digits_of(n, precision);
    body.extend_from_slice(&digits);
    if precision == 0 && spec.alt {
        body.push(b'.');
    }
    push_exponent(body, spec.upper, exponent);
}

/// `%g`: as `%e` or `%f` by the size of the exponent, without trailing zeros unless `#` asks for them.
fn put_general(body: &mut Vec<u8>, spec: &Spec, n: f64) {
    let precision = spec.precision.unwrap_or(6).max(1);
    let (mut digits, exponent) = digits_of(n, precision - 1);
    let strip = |d: &mut Vec<u8>| {
        if !spec.alt && d.contains(&b'.') {
            while d.last() == Some(&b'0') {
                d.pop();
            }
            if d.last() == Some(&b'.') {
                d.pop();
            }
        }
    };
    if (-4..precision as i32).contains(&exponent) {
        // The same digits with the point elsewhere.
        digits.retain(|&c| c != b'.');
        if exponent < 0 {
            body.extend_from_slice(b"0.");
            body.resize(body.len() + (-exponent - 1) as usize, b'0');
            body.extend_from_slice(&digits);
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            body.extend_from_slice(whole);
            if !fraction.is_empty() || spec.alt {
                body.push(b'.');
                body.extend_from_slice(fraction);
            }
        }
        strip(body);
    } else {
        if spec.alt && precision == 1 {
            digits.push(b'.');
        }
        strip(&mut digits);
        body.extend_from_slice(&digits);
        push_exponent(body, spec.upper, exponent);
    }
}

/// `%a` without sign and `0x`: one digit before the point, `1` unless the number is zero (or `2` after rounding up).
fn put_hex_float(body: &mut Vec<u8>, spec: &Spec, n: f64) {
    let bits = n.to_bits() & 0x7fff_ffff_ffff_ffff;
    let mut m = bits & 0x000f_ffff_ffff_ffff;
    let mut e = (bits >> 52) as i32;
    if e != 0 {
        m |= 1 << 52;
        e -= 1023;
    } else if m != 0 {
        let shift = m.leading_zeros() - 11;
        m <<= shift;
        e = -1022 - shift as i32;
    }
    let precision = match spec.precision {
        None if m & ((1 << 52) - 1) == 0 => 0,
        None => 13 - m.trailing_zeros() as usize / 4,
        Some(p) => {
            if p < 13 {
                m += 1 << (51 - p * 4);
            }
            p
        }
    };
    body.push(b'0' + (m >> 52) as u8);
    if precision > 0 || spec.alt {
        body.push(b'.');
    }
    for i in 0..precision {
        let d = if i < 13 { (m >> (48 - 4 * i)) as u8 & 15 } else { 0 };
        let set: &[u8; 16] = if spec.upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        body.push(set[d as usize]);
    }
    body.push(if spec.upper { b'P' } else { b'p' });
    body.push(if e < 0 { b'-' } else { b'+' });
    put_decimal(body, u64::from(e.unsigned_abs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fmt(spec: Spec, n: f64) -> String {
        let mut out = Vec::new();
        put_float(&mut out, &spec, n);
        String::from_utf8(out).unwrap()
    }

    fn text(n: f64) -> String {
        let mut out = Vec::new();
        put_number(&mut out, n);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tostring() {
        for (n, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (-12.0, "-12"),
            (1e14, "1e+14"),
            (99999999999999.0, "99999999999999"),
            (123456789012345.0, "1.2345678901234e+14"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e100, "1e+100"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (5e-324, "4.9406564584125e-324"),
            (2f64.powi(63), "9.2233720368548e+18"),
            (2.14159265358979, "2.1415926535898"),
        ] {
            assert_eq!(text(n), want);
        }
        assert_eq!(text(-f64::NAN), "nan");
    }

    /// The quick ways give what the general ones do.
    #[test]
    fn quick_ways() {
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        let mut taken = 0;
        for i in 0..60_000u64 {
            let n = match i % 6 {
                0 => f64::from_bits(random()),
                1 => (random() >> 11) as f64 / (1u64 << (random() % 80).min(63)) as f64,
                2 => (random() % 1_000_000) as f64 / 1000.0,
                3 => (random() % 100_000) as f64 + 0.5,
                4 => 10f64.powi((random() % 24) as i32 - 8) * (1.0 - 1e-15 * (random() % 3) as f64),
                _ => (random() % 4096) as f64 / 64.0,
            };
            if !n.is_finite() {
                continue;
            }
            let mut quick = Vec::new();
            if put_usual(&mut quick, n) {
                let spec = Spec { conv: b'g', precision: Some(14), ..Spec::default() };
                assert_eq!(String::from_utf8(quick).ok(), Some(fmt(spec, n)), "{n:?}");
                taken += 1;
            }
            let precision = (random() % 17) as usize;
            let mut quick = Vec::new();
            if put_fixed(&mut quick, n.abs(), precision) {
                let text = String::from_utf8(quick).ok();
                assert_eq!(text, Some(format!("{:.precision$}", n.abs())), "{n:?} {precision}");
                taken += 1;
            }
        }
        assert!(taken > 50_000, "{taken}");
    }

    #[test]
    fn hex_floats_round_half_up() {
        let a = |precision, n| fmt(Spec { conv: b'a', precision, ..Spec::default() }, n);
        assert_eq!(a(Some(0), 1.5), "0x2p+0");
        assert_eq!(a(Some(0), 1.25), "0x1p+0");
        assert_eq!(a(Some(1), 1.03125), "0x1.1p+0");
        assert_eq!(a(None, 5e-324), "0x1p-1074");
        assert_eq!(a(None, -0.1), "-0x1.999999999999ap-4");
        assert_eq!(a(Some(15), 1.0), "0x1.000000000000000p+0");
        assert_eq!(a(Some(3), 0.0), "0x0.000p+0");
    }

    #[test]
    fn not_finite() {
        let s = Spec { conv: b'f', zero: true, width: 6, ..Spec::default() };
        assert_eq!(fmt(s, f64::INFINITY), "   inf");
        assert_eq!(fmt(Spec { left: true, ..s }, f64::NEG_INFINITY), "-inf  ");
        assert_eq!(fmt(Spec { plus: true, ..s }, f64::NAN), "   nan");
        assert_eq!(fmt(Spec { upper: true, space: true, width: 0, ..s }, f64::NAN), " NAN");
    }

    #[test]
    fn integers() {
        let i = |f: Spec, k: i64| {
            let mut out = Vec::new();
            put_integer(&mut out, &f, k as u64);
            String::from_utf8(out).unwrap()
        };
        let d = Spec { conv: b'd', ..Spec::default() };
        assert_eq!(i(d, -5), "-5");
        assert_eq!(i(Spec { width: 5, zero: true, ..d }, -5), "-0005");
        assert_eq!(i(Spec { width: 5, zero: true, precision: Some(2), ..d }, -5), "  -05");
        assert_eq!(i(Spec { plus: true, left: true, width: 4, ..d }, 7), "+7  ");
        assert_eq!(i(Spec { precision: Some(0), ..d }, 0), "");
        let x = Spec { conv: b'x', alt: true, ..Spec::default() };
        assert_eq!(i(x, 255), "0xff");
        assert_eq!(i(Spec { upper: true, width: 8, zero: true, ..x }, 255), "0X0000FF");
        assert_eq!(i(x, 0), "0");
        let o = Spec { conv: b'o', alt: true, ..Spec::default() };
        assert_eq!(i(o, 8), "010");
        assert_eq!(i(Spec { precision: Some(0), ..o }, 0), "0");
        assert_eq!(i(Spec { conv: b'u', ..Spec::default() }, -1), "18446744073709551615");
    }

    #[test]
    fn conversions_of_doubles() {
        assert_eq!(num_to_i64(1e19), i64::MIN);
        assert_eq!(num_to_i64(f64::NAN), i64::MIN);
        assert_eq!(num_to_i64(-1.9), -1);
        assert_eq!(num_to_u64(-1.0), u64::MAX);
        assert_eq!(num_to_u64(1e19), 10_000_000_000_000_000_000);
        assert_eq!(num_to_i32(3e9), i32::MIN);
        assert_eq!(num_to_i32(-2147483648.9), i32::MIN);
        assert_eq!(num_to_i32(2147483647.9), i32::MAX);
    }
}
