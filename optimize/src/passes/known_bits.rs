//! Known bits: which bits of an integer value are the same whenever its line is executed.
//!
//! ```text
//! %3: i32 = zext %1                from i8: bits 8–31 are 0
//! %4: i32 = shl %3, 2              bits 0, 1 and 10–31 are 0
//! %5: i32 = and %4, 0x3ff          keeps all that is not known to be zero: %5 is %4
//! ```
//!
//! A value is a pair: `ones`, the bits known to be one, and `unknown`; the rest is zero. Each function gives an approximation that contains all results on what its
//! operands contain; a test proves that exhaustively at 4 bits. None of them looks at the width but to cut off what lies above it, and each bit of a result depends on operand bits only through and, or, xor and carries, so what
//! holds at 4 bits holds at any width. Sums after Vishwanathan et al., "Sound, Precise, and Fast Abstract
//! Interpretation with Tristate Numbers".

use ir::op::Op;

/// What is known of an integer of up to 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Bits known to be one.
    pub ones: u64,
    /// Bits about which nothing is known; disjoint from `ones`.
    pub unknown: u64,
}

fn low(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

impl Known {
    /// Nothing, of an integer of this width.
    pub fn nothing(bits: u32) -> Known {
        Known { ones: 0, unknown: low(bits) }
    }

    /// Everything.
    pub fn literal(bits: u32, value: u64) -> Known {
        Known { ones: value & low(bits), unknown: 0 }
    }

    /// The bits known to be zero, those above the width included.
    pub fn zeros(self) -> u64 {
        !(self.ones | self.unknown)
    }

    /// Can it be this value?
    pub fn contains(self, value: u64) -> bool {
        value & !self.unknown == self.ones
    }

    /// The least value it can have.
    pub fn least(self) -> u64 {
        self.ones
    }

    /// The largest value it can have.
    pub fn largest(self) -> u64 {
        self.ones | self.unknown
    }

    /// The value, if all bits are known.
    pub fn value(self) -> Option<u64> {
        (self.unknown == 0).then_some(self.ones)
    }

    fn cut(self, bits: u32) -> Known {
        Known { ones: self.ones & low(bits), unknown: self.unknown & low(bits) }
    }

    fn add(self, other: Known) -> Known {
        let ones = self.ones.wrapping_add(other.ones);
        let most = ones.wrapping_add(self.unknown.wrapping_add(other.unknown));
        let unknown = (ones ^ most) | self.unknown | other.unknown;
        Known { ones: ones & !unknown, unknown }
    }

    fn not(self, bits: u32) -> Known {
        Known { ones: self.zeros(), unknown: self.unknown }.cut(bits)
    }

    /// Either of them.
    pub fn or_else(self, other: Known) -> Known {
        let unknown = self.unknown | other.unknown | (self.ones ^ other.ones);
        Known { ones: self.ones & !unknown, unknown }
    }

    /// Both of them hold.
    pub fn and_also(self, other: Known) -> Known {
        let unknown = self.unknown & other.unknown;
        Known { ones: (self.ones | other.ones) & !unknown, unknown }
    }
}

/// What is known of the result of an operation: `from` and `to` are the widths of operands and result, `amount` is the literal third or second operand
/// where the operation has one (a shift's amount, a part's offset).
pub fn transfer(op: Op, from: u32, to: u32, a: Known, b: Known, amount: Option<u64>) -> Known {
    let nothing = Known::nothing(to);
    let known = match (op, amount) {
        (Op::And, _) => {
            let ones = a.ones & b.ones;
            Known { ones, unknown: (a.ones | a.unknown) & (b.ones | b.unknown) & !ones }
        }
        (Op::Or, _) => {
            let ones = a.ones | b.ones;
            Known { ones, unknown: (a.unknown | b.unknown) & !ones }
        }
        (Op::Xor, _) => {
            let unknown = a.unknown | b.unknown;
            Known { ones: (a.ones ^ b.ones) & !unknown, unknown }
        }
        (Op::Not, _) => a.not(from),
        (Op::Add, _) => a.add(b),
        // a - b = !(!a + b)
        (Op::Sub, _) => a.not(from).add(b).not(from),
        (Op::Zext | Op::Trunc, _) => a,
        (Op::Sext, _) => {
            let sign = 1 << (from - 1);
            let above = low(to) & !low(from);
            Known {
                ones: a.ones | if a.ones & sign != 0 { above } else { 0 },
                unknown: a.unknown | if a.unknown & sign != 0 { above } else { 0 },
            }
        }
        (Op::Shl, Some(n)) if n < from.into() => Known { ones: a.ones << n, unknown: a.unknown << n },
        (Op::Shr, Some(n)) if n < from.into() => Known { ones: a.ones >> n, unknown: a.unknown >> n },
        (Op::Shl | Op::Shr, Some(_)) => Known { ones: 0, unknown: 0 },
        (Op::Sar, Some(n)) => {
            let n = n.min(u64::from(from) - 1);
            let shift = |x: u64| ((x << (64 - from)) as i64 >> (64 - from) >> n) as u64;
            Known { ones: shift(a.ones), unknown: shift(a.unknown) }
        }
        // What is shifted in from the left is zero, whatever the amount.
        (Op::Shr, None) => {
            let top = a.largest();
            Known { ones: 0, unknown: if top == 0 { 0 } else { u64::MAX >> top.leading_zeros() } }
        }
        (Op::Select, _) => a.or_else(b),
        (Op::Insert, Some(n)) if n < 64 => {
            let hole = low(from).checked_shl(n as u32).unwrap_or(0);
            Known { ones: a.ones & !hole | b.ones << n, unknown: a.unknown & !hole | b.unknown << n }
        }
        (Op::Extract, Some(n)) if n < 64 => Known { ones: a.ones >> n, unknown: a.unknown >> n },
        (Op::Popcnt | Op::Clz | Op::Ctz, _) => Known { ones: 0, unknown: low(32 - from.leading_zeros()) },
        _ => nothing,
    };
    known.cut(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: u32 = 4;

    fn all() -> Vec<Known> {
        let pairs = (0..16u64).flat_map(|o| (0..16u64).map(move |u| (o, u)));
        pairs.filter(|(o, u)| o & u == 0).map(|(ones, unknown)| Known { ones, unknown }).collect()
    }

    fn values(k: Known) -> impl Iterator<Item = u64> {
        (0..16).filter(move |v| k.contains(*v))
    }

    fn sign(v: u64) -> i64 {
        (v << 60) as i64 >> 60
    }

    #[test]
    fn binary_operations_contain_their_results() {
        type Meaning = fn(u64, u64) -> u64;
        let cases: [(Op, Meaning); 6] = [
            (Op::And, |a, b| a & b),
            (Op::Or, |a, b| a | b),
            (Op::Xor, |a, b| a ^ b),
            (Op::Add, |a, b| (a + b) & 15),
            (Op::Sub, |a, b| a.wrapping_sub(b) & 15),
            (Op::Shr, |a, b| if b < 4 { a >> b } else { 0 }),
        ];
        for (op, f) in cases {
            for a in all() {
                for b in all() {
                    let k = transfer(op, BITS, BITS, a, b, None);
                    assert_eq!(k.ones & k.unknown, 0);
                    for x in values(a) {
                        for y in values(b) {
                            assert!(k.contains(f(x, y)), "{op:?} {a:?} {b:?}: {x} {y} not in {k:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn unary_operations_contain_their_results() {
        for a in all() {
            for x in values(a) {
                let t = |op, to, n| transfer(op, BITS, to, a, Known::nothing(BITS), n);
                assert!(t(Op::Not, 4, None).contains(!x & 15));
                assert!(t(Op::Zext, 8, None).contains(x));
                assert!(t(Op::Sext, 8, None).contains(sign(x) as u64 & 255));
                assert!(t(Op::Trunc, 2, None).contains(x & 3));
                assert!(t(Op::Popcnt, 4, None).contains(x.count_ones().into()));
                assert!(t(Op::Clz, 4, None).contains(u64::from(x.leading_zeros()) - 60));
                assert!(t(Op::Ctz, 4, None).contains(u64::from(x.trailing_zeros().min(4))));
                for n in 0..6u64 {
                    assert!(t(Op::Shl, 4, Some(n)).contains(if n < 4 { x << n & 15 } else { 0 }));
                    assert!(t(Op::Shr, 4, Some(n)).contains(if n < 4 { x >> n } else { 0 }));
                    assert!(t(Op::Sar, 4, Some(n)).contains((sign(x) >> n) as u64 & 15));
                }
                for n in 0..4u64 {
                    assert!(t(Op::Extract, 2, Some(n)).contains(x >> n & 3));
                }
            }
        }
    }

    #[test]
    fn parts_and_choices_contain_their_results() {
        for a in all() {
            for b in all() {
                let either = a.or_else(b);
                let select = transfer(Op::Select, BITS, BITS, a, b, None);
                for x in values(a) {
                    assert!(either.contains(x) && select.contains(x));
                    assert!(!b.contains(x) || a.and_also(b).contains(x));
                    for y in values(b) {
                        assert!(either.contains(y) && select.contains(y));
                        let wide = transfer(Op::Insert, BITS, 8, a, b, Some(4));
                        assert!(wide.contains(x & 15 | y << 4));
                        let same = transfer(Op::Insert, BITS, BITS, a, b, Some(0));
                        assert!(same.contains(y));
                    }
                }
            }
        }
    }
}
