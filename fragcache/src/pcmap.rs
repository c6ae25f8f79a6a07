//! The map from host code back to guest instructions, packed.
//!
//! A client describes a fragment as pairs (host length, guest length) in code order; a pair with
//! guest length 0 is code of no instruction of its own. Packed, an instruction that was copied as
//! it is takes one byte, any other pair two, and a zero byte ends the map:
//!
//! | first byte | second | host, guest |
//! |---|---|---|
//! | `0` | | end |
//! | `1..=15` | | `first`, `first` |
//! | `16 + g`, g in `0..=15` | host | `second`, g |
//!
//! Instructions of no guest have more than 15 bytes here; a longer one is refused by assertion.

/// Appends the packed form of `pairs`.
pub fn pack(pairs: &[(u8, u8)], out: &mut Vec<u8>) {
    for &(host, guest) in pairs {
        assert!(guest < 16, "a guest instruction of {guest} bytes");
        if host == guest && host != 0 {
            out.push(host);
        } else if host != 0 || guest != 0 {
            out.extend_from_slice(&[16 + guest, host]);
        }
    }
    out.push(0);
}

/// Bytes of the packed map at the start of `bytes`, with its end.
pub(crate) fn packed_len(bytes: &[u8]) -> usize {
    let mut map = Unpack(bytes);
    while map.next().is_some() {}
    bytes.len() - map.0.len() + 1
}

/// Reads the pairs of a packed map that is followed by anything.
pub(crate) struct Unpack<'a>(pub(crate) &'a [u8]);

impl Iterator for Unpack<'_> {
    type Item = (u8, u8);
    fn next(&mut self) -> Option<(u8, u8)> {
        match *self.0 {
            [n @ 1..=15, ref rest @ ..] => {
                self.0 = rest;
                Some((n, n))
            }
            [g @ 16..=31, host, ref rest @ ..] => {
                self.0 = rest;
                Some((host, g - 16))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_all_pairs_but_empty_ones() {
        let mut pairs = vec![(0, 0), (255, 0), (3, 3), (15, 15), (200, 15), (1, 0), (0, 4), (16, 1)];
        let mut out = Vec::new();
        pack(&pairs, &mut out);
        let n = out.len();
        assert_eq!(packed_len(&out), n);
        out.extend_from_slice(&[7, 7]);
        pairs.remove(0);
        assert_eq!(Unpack(&out).collect::<Vec<_>>(), pairs);
        assert_eq!(n, 2 + 1 + 1 + 2 + 2 + 2 + 2 + 1);
    }
}
