//! Number formatting and scanning against the C library, on random values.

use lua_frontend::numfmt::{Spec, put_float, put_number};
use lua_frontend::numscan::to_number;
use std::ffi::CString;

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

fn bits(s: &str) -> Option<u64> {
    to_number(s.as_bytes()).map(f64::to_bits)
}

fn c_format(format: &str, n: f64) -> String {
    let f = CString::new(format).unwrap();
    let mut buf = vec![0u8; 600];
    // SAFETY: the buffer holds 600 bytes, the format takes one double.
    let len = unsafe { libc::snprintf(buf.as_mut_ptr().cast(), buf.len(), f.as_ptr(), n) };
    String::from_utf8(buf[..len as usize].to_vec()).unwrap()
}

fn c_strtod(s: &str) -> f64 {
    let s = CString::new(s).unwrap();
    // SAFETY: a terminated string; no end pointer wanted.
    unsafe { libc::strtod(s.as_ptr(), std::ptr::null_mut()) }
}

/// Every flag, width and precision agrees with the C library on random values.
#[test]
fn agrees_with_printf() {
    let mut x = 88172645463325252u64;
    let mut rng = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for i in 0..60_000 {
        let n = match rng() % 5 {
            0 => f64::from_bits(rng()),
            1 => (rng() % 100_000) as f64 / 8.0,
            2 => (rng() % 1000) as f64 / 10f64.powi((rng() % 8) as i32),
            3 => (rng() as i64) as f64,
            _ => ((rng() % 2001) as f64 - 1000.0) * 0.5,
        };
        if !n.is_finite() {
            continue;
        }
        let r = rng();
        let conv = [b'e', b'f', b'g', b'a'][(i % 4) as usize];
        let spec = Spec {
            conv,
            upper: r & 1 != 0,
            left: r & 2 != 0,
            plus: r & 4 != 0,
            zero: r & 8 != 0,
            space: r & 16 != 0,
            alt: r & 32 != 0,
            width: if r & 64 != 0 { (r >> 8) as usize % 40 } else { 0 },
            precision: (r & 128 != 0 && conv != b'a').then_some((r >> 16) as usize % 20),
        };
        if conv == b'a' && n.abs() < f64::MIN_POSITIVE && n != 0.0 {
            continue; // The C library does not normalise denormals.
        }
        let mut f = String::from("%");
        for (on, c) in
            [(spec.left, '-'), (spec.plus, '+'), (spec.zero, '0'), (spec.space, ' '), (spec.alt, '#')]
        {
            if on {
                f.push(c);
            }
        }
        if spec.width > 0 {
            f += &spec.width.to_string();
        }
        if let Some(p) = spec.precision {
            f += &format!(".{p}");
        }
        f.push(if spec.upper { conv.to_ascii_uppercase() } else { conv } as char);
        assert_eq!(fmt(spec, n), c_format(&f, n), "{f} of {n:?}");
        assert_eq!(text(n), c_format("%.14g", n));
    }
}

/// Rounding agrees with the C library on random texts.
#[test]
fn agrees_with_strtod() {
    let mut x = 1u64;
    let mut rng = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for _ in 0..20_000 {
        let v = f64::from_bits(rng());
        if !v.is_finite() {
            continue;
        }
        let s = match rng() % 4 {
            0 => format!("{v:e}"),
            1 => format!("{v:.25e}"),
            2 => format!("{v:.3e}"),
            _ => {
                let m = rng() >> (rng() % 60);
                format!("0x{:x}.{:x}p{}", m, rng(), (rng() % 2300) as i64 - 1150)
            }
        };
        let want: f64 = if s.starts_with("0x") { c_strtod(&s) } else { s.parse().unwrap() };
        assert_eq!(bits(&s), Some(want.to_bits()), "{s}");
    }
}
