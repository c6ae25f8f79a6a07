//! Character classes of Lua source, one table look-up per byte.
//!
//! Classes are those of the C locale, except that every byte from 0x80 up belongs to identifiers, so that UTF-8 names work.

const CONTROL: u8 = 1;
const SPACE: u8 = 2;
const DIGIT: u8 = 4;
const HEX: u8 = 8;
const IDENT: u8 = 16;

const TABLE: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let c = i as u8;
        let mut class = 0;
        if c < 0x20 || c == 0x7f {
            class |= CONTROL;
        }
        if c == b' ' || (c >= 9 && c <= 13) {
            class |= SPACE;
        }
        if c.is_ascii_digit() {
            class |= DIGIT;
        }
        if c.is_ascii_hexdigit() {
            class |= HEX;
        }
        if c.is_ascii_alphanumeric() || c == b'_' || c >= 0x80 {
            class |= IDENT;
        }
        table[i] = class;
        i += 1;
    }
    table
};

/// Control characters: an error message shows them as `char(N)`.
#[inline]
pub fn is_control(c: u8) -> bool {
    TABLE[c as usize] & CONTROL != 0
}

/// White space, line breaks included.
#[inline]
pub fn is_space(c: u8) -> bool {
    TABLE[c as usize] & SPACE != 0
}

/// Decimal digits.
#[inline]
pub fn is_digit(c: u8) -> bool {
    TABLE[c as usize] & DIGIT != 0
}

/// Hexadecimal digits.
#[inline]
pub fn is_hex(c: u8) -> bool {
    TABLE[c as usize] & HEX != 0
}

/// Letters, digits, `_` and every byte from 0x80 up.
#[inline]
pub fn is_ident(c: u8) -> bool {
    TABLE[c as usize] & IDENT != 0
}

/// The value of a hexadecimal digit, if `c` is one.
#[inline]
pub fn hex_value(c: u8) -> Option<u8> {
    (c as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert!(is_control(0) && is_control(127) && !is_control(b' ') && !is_control(200));
        assert!(is_space(b'\x0b') && is_space(b' ') && !is_space(0));
        assert!(is_ident(b'_') && is_ident(0x80) && is_ident(b'9') && !is_ident(b'-'));
        assert_eq!(hex_value(b'F'), Some(15));
        assert_eq!(hex_value(b'g'), None);
    }
}
