//! Format strings: the parser of `%` conversions and the conversions of text.
//!
//! [`Parser`] walks a format string and yields literal pieces, conversions ([`Spec`]) and at most one error, which ends
//! it. Width and precision have at most two digits. The values are fetched and converted by the caller, since that may
//! run metamethods.
#![forbid(unsafe_code)]

use crate::chars::{self, CNTRL, DIGIT};
use crate::numfmt::Spec;

/// A part of a format string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text to copy.
    Literal(&'a [u8]),
    /// A conversion of the next argument.
    Conversion(Spec),
    /// Not a conversion: the text up to and with the byte at fault.
    Bad(&'a [u8]),
}

/// Iterates over the pieces of a format string.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// A parser at the start of `format`.
    pub fn new(format: &'a [u8]) -> Self {
        Self { rest: format }
    }

    fn conversion(&mut self) -> Piece<'a> {
        let s = self.rest;
        let at = |i: usize| s.get(i).copied().unwrap_or(0);
        let mut spec = Spec::default();
        let mut p = 1;
        loop {
            match at(p) {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b'0' => spec.zero = true,
                b' ' => spec.space = true,
                b'#' => spec.alt = true,
                _ => break,
            }
            p += 1;
        }
        let number = |p: &mut usize| {
            let mut n = 0;
            for _ in 0..2 {
                if chars::is(at(*p), DIGIT) {
                    n = n * 10 + usize::from(at(*p) - b'0');
                    *p += 1;
                }
            }
            n
        };
        spec.width = number(&mut p);
        if at(p) == b'.' {
            p += 1;
            spec.precision = Some(number(&mut p));
        }
        let c = at(p);
        match c {
            b'A' | b'E' | b'F' | b'G' | b'X' => {
                (spec.conv, spec.upper) = (c | 0x20, true);
            }
            b'a' | b'c' | b'd' | b'e' | b'f' | b'g' | b'i' | b'o' | b'p' | b'q' | b's' | b'u' | b'x' => {
                spec.conv = c
            }
            _ => {
                if c >= 32 {
                    p += 1;
                }
                self.rest = &[];
                return Piece::Bad(&s[..p.min(s.len())]);
            }
        }
        self.rest = &s[p + 1..];
        Piece::Conversion(spec)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let s = self.rest;
        if s.is_empty() {
            return None;
        }
        match s.iter().position(|&c| c == b'%') {
            None => {
                self.rest = &[];
                Some(Piece::Literal(s))
            }
            Some(i) if s.get(i + 1) == Some(&b'%') => {
                self.rest = &s[i + 2..];
                Some(Piece::Literal(&s[..=i]))
            }
            Some(0) => Some(self.conversion()),
            Some(i) => {
                self.rest = &s[i..];
                Some(Piece::Literal(&s[..i]))
            }
        }
    }
}

/// Appends `s` by `%s`: cut to the precision, padded to the width.
pub fn put_str(out: &mut Vec<u8>, spec: &Spec, s: &[u8]) {
    let s = &s[..s.len().min(spec.precision.unwrap_or(usize::MAX))];
    let pad = spec.width.saturating_sub(s.len());
    if spec.left {
        out.extend_from_slice(s);
        out.resize(out.len() + pad, b' ');
    } else {
        out.resize(out.len() + pad, b' ');
        out.extend_from_slice(s);
    }
}

/// Appends one byte by `%c`.
pub fn put_char(out: &mut Vec<u8>, spec: &Spec, c: u8) {
    put_str(out, &Spec { precision: None, ..*spec }, &[c]);
}

/// Appends `s` by `%q`: quoted so that Lua reads it back.
pub fn put_quoted(out: &mut Vec<u8>, s: &[u8]) {
    out.push(b'"');
    for (i, &c) in s.iter().enumerate() {
        if matches!(c, b'"' | b'\\' | b'\n') {
            out.extend_from_slice(&[b'\\', c]);
        } else if chars::is(c, CNTRL) {
            out.push(b'\\');
            let long = s.get(i + 1).is_some_and(|&n| chars::is(n, DIGIT));
            if c >= 100 || long {
                out.push(b'0' + c / 100);
            }
            if c >= 10 || long {
                out.push(b'0' + c / 10 % 10);
            }
            out.push(b'0' + c % 10);
        } else {
            out.push(c);
        }
    }
    out.push(b'"');
}

/// Appends an address by `%p`: `NULL`, or at least eight hexadecimal digits and always an even number of them.
pub fn put_pointer(out: &mut Vec<u8>, p: usize) {
    if p == 0 {
        out.extend_from_slice(b"NULL");
        return;
    }
    let bytes = (8 - p.leading_zeros() as usize / 8).max(4);
    out.extend_from_slice(b"0x");
    for i in (0..bytes * 2).rev() {
        out.push(b"0123456789abcdef"[p >> (4 * i) & 15]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        let p: Vec<_> = Parser::new(b"a%%b%-5.3sc%").collect();
        assert_eq!(p[0], Piece::Literal(b"a%"));
        assert_eq!(p[1], Piece::Literal(b"b"));
        let spec = Spec { conv: b's', left: true, width: 5, precision: Some(3), ..Spec::default() };
        assert_eq!(p[2], Piece::Conversion(spec));
        assert_eq!(p[3], Piece::Literal(b"c"));
        assert_eq!(p[4], Piece::Bad(b"%"));
        assert_eq!(p.len(), 5);
        for (f, bad) in [
            (&b"%y"[..], &b"%y"[..]),
            (b"%100d", b"%100"),
            (b"%.100d", b"%.100"),
            (b"%D", b"%D"),
            (b"%\n", b"%"),
            (b"%5", b"%5"),
        ] {
            assert_eq!(Parser::new(f).collect::<Vec<_>>(), [Piece::Bad(bad)]);
        }
        assert_eq!(
            Parser::new(b"%5.x").next(),
            Some(Piece::Conversion(Spec { conv: b'x', width: 5, precision: Some(0), ..Spec::default() }))
        );
        assert_eq!(Parser::new(b"").next(), None);
    }

    #[test]
    fn quoting_and_pointers() {
        let mut out = Vec::new();
        put_quoted(&mut out, b"a\"\\\n\r\0\x001\x7f\xff");
        assert_eq!(out, b"\"a\\\"\\\\\\\n\\13\\0\\0001\\127\xff\"");
        for (p, want) in [
            (0usize, "NULL"),
            (1, "0x00000001"),
            (0x12_3456_789a, "0x123456789a"),
            (0x7fff_1234_5678, "0x7fff12345678"),
        ] {
            let mut out = Vec::new();
            put_pointer(&mut out, p);
            assert_eq!(out, want.as_bytes());
        }
    }
}
