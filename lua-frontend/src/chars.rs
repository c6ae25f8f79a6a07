//! Character classes of bytes, ASCII only and independent of the locale.
//!
//! The lexer, the number scanner, patterns and quoting ask the same table, so that they agree on what a space or a
//! digit is. Bytes from 128 on are in no class but [`IDENT`]: they may be part of a name, which lets UTF-8 names
//! through without decoding them.
#![forbid(unsafe_code)]

/// 0-31 and 127.
pub const CNTRL: u8 = 0x01;
/// Space, tab, newline, vertical tab, form feed, carriage return.
pub const SPACE: u8 = 0x02;
/// Printable, but neither a space nor alphanumeric.
pub const PUNCT: u8 = 0x04;
/// `0`-`9`.
pub const DIGIT: u8 = 0x08;
/// `0`-`9`, `a`-`f`, `A`-`F`.
pub const XDIGIT: u8 = 0x10;
/// `A`-`Z`.
pub const UPPER: u8 = 0x20;
/// `a`-`z`.
pub const LOWER: u8 = 0x40;
/// Part of a name: letters, digits, `_` and all bytes from 128 on.
pub const IDENT: u8 = 0x80;
/// Letters.
pub const ALPHA: u8 = UPPER | LOWER;
/// Letters and digits.
pub const ALNUM: u8 = ALPHA | DIGIT;
/// Everything printable but the space.
pub const GRAPH: u8 = ALNUM | PUNCT;

/// The classes of each byte.
pub static CLASS: [u8; 256] = build();

const fn build() -> [u8; 256] {
    let mut t = [0u8; 256];
    let mut c = 0usize;
    while c < 256 {
        let b = c as u8;
        let mut m = 0;
        if b < 32 || b == 127 {
            m |= CNTRL;
        }
        if b == b' ' || (b >= 9 && b <= 13) {
            m |= SPACE;
        }
        if b.is_ascii_punctuation() {
            m |= PUNCT;
        }
        if b.is_ascii_digit() {
            m |= DIGIT;
        }
        if b.is_ascii_hexdigit() {
            m |= XDIGIT;
        }
        if b.is_ascii_uppercase() {
            m |= UPPER;
        }
        if b.is_ascii_lowercase() {
            m |= LOWER;
        }
        if b.is_ascii_alphanumeric() || b == b'_' || b >= 128 {
            m |= IDENT;
        }
        t[c] = m;
        c += 1;
    }
    t
}

/// Whether `c` is in one of the classes of `mask`.
#[inline]
pub fn is(c: u8, mask: u8) -> bool {
    CLASS[c as usize] & mask != 0
}
