//! Numbers as text: what `tostring` prints and `tonumber` reads.

pub use crate::numscan::to_number as parse;

/// Appends a number in the format of `tostring` (`%.14g`, `nan`, `inf`).
#[inline]
pub fn format(n: f64, out: &mut Vec<u8>) {
    crate::numfmt::put_number(out, n);
}
