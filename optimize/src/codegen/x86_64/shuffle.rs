//! Which host instruction chooses lanes as a `v.shuffle` does.
//!
//! [`plan`] works on one part of 128 bits, in terms of bytes: each byte of the result is one of the 16 bytes of the first
//! source (0–15), of the second (16–31), or [`ZERO`]. `pshufd`, `punpcklbw` and the like are recognised by
//! what they do, so it does not matter which of them the guest used, or what a pass made of several.
//!
//! ```
//! use optimize::codegen::x86_64::asm::vector::PUNPCKLQDQ;
//! use optimize::codegen::x86_64::shuffle::{Plan, plan};
//! let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
//! assert_eq!(plan(&bytes), Plan::Bin { op: PUNPCKLQDQ, swapped: false });
//! ```

use super::asm::vector::{self as row, V, VShift};

/// A byte of the result that is 0.
pub const ZERO: u8 = 0x80;

/// Which of the two sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

/// What does it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// All bytes are 0.
    Zero,
    /// One source as it is.
    Same(Side),
    /// `op source`
    Un {
        /// The instruction.
        op: V,
        /// Of which source.
        of: Side,
    },
    /// `op source, imm`
    UnImm {
        /// The instruction.
        op: V,
        /// Of which source.
        of: Side,
        /// The choice.
        imm: u8,
    },
    /// A shift of the whole by bytes.
    Shift {
        /// The instruction.
        op: VShift,
        /// Of which source.
        of: Side,
        /// Bytes.
        by: u8,
    },
    /// `op first, second`
    Bin {
        /// The instruction.
        op: V,
        /// The second source comes first.
        swapped: bool,
    },
    /// `op first, second, imm`
    BinImm {
        /// The instruction.
        op: V,
        /// The second source comes first.
        swapped: bool,
        /// The choice.
        imm: u8,
    },
    /// `pshufb` of one source by these bytes.
    Table {
        /// Of which source.
        of: Side,
    },
    /// `pshufb` of both sources, and the `or` of the results.
    Tables,
}

/// The bytes that `pshufb` needs to bring those of one source to their places, zeros elsewhere.
pub fn table(bytes: &[u8; 16], of: Side) -> [u8; 16] {
    let from = if of == Side::First { 0 } else { 16 };
    bytes.map(|b| if b & ZERO == 0 && b & 16 == from { b & 15 } else { ZERO })
}

/// Lanes of `N` bytes, if the choice is one of whole lanes: for each the source lane (those of the second follow those of the
/// first), or `None` for a zero.
fn lanes<const N: usize>(bytes: &[u8; 16]) -> Option<[Option<u8>; 16]> {
    let mut all = [None; 16];
    for (lane, chunk) in all.iter_mut().zip(bytes.chunks(N)) {
        let first = chunk[0];
        if first == ZERO {
            if chunk.iter().any(|b| *b != ZERO) {
                return None;
            }
            continue;
        }
        if !usize::from(first).is_multiple_of(N) || chunk.iter().zip(first..).any(|(b, want)| *b != want) {
            return None;
        }
        *lane = Some(first / N as u8);
    }
    Some(all)
}

/// What does it.
pub fn plan(bytes: &[u8; 16]) -> Plan {
    let zeros = bytes.iter().filter(|b| **b == ZERO).count();
    let seconds = bytes.iter().filter(|b| **b & (ZERO | 16) == 16).count();
    if zeros == 16 {
        return Plan::Zero;
    }
    let of = match seconds {
        0 => Side::First,
        n if n + zeros == 16 => Side::Second,
        _ => return two(bytes, zeros > 0),
    };
    // One source.
    let own = bytes.map(|b| if b == ZERO { ZERO } else { b & 15 });
    one(&own, of).unwrap_or(Plan::Table { of })
}

/// A choice from one source, its bytes numbered from 0.
fn one(bytes: &[u8; 16], of: Side) -> Option<Plan> {
    let identity: [u8; 16] = std::array::from_fn(|i| i as u8);
    if *bytes == identity {
        return Some(Plan::Same(of));
    }
    for by in 1..16usize {
        let right = |i: usize| if i + by < 16 { (i + by) as u8 } else { ZERO };
        let left = |i: usize| if i >= by { (i - by) as u8 } else { ZERO };
        if (0..16).all(|i| bytes[i] == right(i)) {
            return Some(Plan::Shift { op: VShift::Psrldq, of, by: by as u8 });
        }
        if (0..16).all(|i| bytes[i] == left(i)) {
            return Some(Plan::Shift { op: VShift::Pslldq, of, by: by as u8 });
        }
    }
    if (0..8).all(|i| bytes[i] == i as u8) && bytes[8..].iter().all(|b| *b == ZERO) {
        return Some(Plan::Un { op: row::MOVQ, of });
    }
    let widen: [(V, usize, usize); 6] = [
        (row::PMOVZXBW, 1, 2),
        (row::PMOVZXBD, 1, 4),
        (row::PMOVZXBQ, 1, 8),
        (row::PMOVZXWD, 2, 4),
        (row::PMOVZXWQ, 2, 8),
        (row::PMOVZXDQ, 4, 8),
    ];
    for (op, from, to) in widen {
        let want = |i: usize| if i % to < from { (i / to * from + i % to) as u8 } else { ZERO };
        if (0..16).all(|i| bytes[i] == want(i)) {
            return Some(Plan::Un { op, of });
        }
    }
    let order = |four: &[Option<u8>]| {
        four.iter().enumerate().try_fold(0u8, |imm, (i, lane)| Some(imm | ((*lane)? % 4) << (2 * i)))
    };
    if let Some(quads) = lanes::<8>(bytes)
        && quads[..2] == [Some(0), Some(0)]
    {
        return Some(Plan::Un { op: row::MOVDDUP, of });
    }
    if let Some(doubles) = lanes::<4>(bytes)
        && let Some(imm) = order(&doubles[..4])
    {
        return Some(Plan::UnImm { op: row::PSHUFD, of, imm });
    }
    let words = lanes::<2>(bytes)?;
    let keeps = |at: usize| (at..at + 4).all(|i| words[i] == Some(i as u8));
    let within = |at: usize| (at..at + 4).all(|i| words[i].is_some_and(|w| usize::from(w / 4) == at / 4));
    if keeps(4) && within(0) {
        return Some(Plan::UnImm { op: row::PSHUFLW, of, imm: order(&words[..4])? });
    }
    if keeps(0) && within(4) {
        return Some(Plan::UnImm { op: row::PSHUFHW, of, imm: order(&words[4..8])? });
    }
    None
}

/// A choice from two sources.
fn two(bytes: &[u8; 16], zeros: bool) -> Plan {
    if zeros {
        return Plan::Tables;
    }
    let swap = bytes.map(|b| b ^ 16);
    for (bytes, swapped) in [(bytes, false), (&swap, true)] {
        if let Some(plan) = ordered(bytes, swapped) {
            return plan;
        }
    }
    Plan::Tables
}

/// A choice from two sources in this order.
fn ordered(bytes: &[u8; 16], swapped: bool) -> Option<Plan> {
    let interleave: [(usize, V, V); 4] = [
        (8, row::PUNPCKLQDQ, row::PUNPCKHQDQ),
        (4, row::PUNPCKLDQ, row::PUNPCKHDQ),
        (2, row::PUNPCKLWD, row::PUNPCKHWD),
        (1, row::PUNPCKLBW, row::PUNPCKHBW),
    ];
    for (size, low, high) in interleave {
        for (op, first) in [(low, 0), (high, 8)] {
            let want =
                |i: usize| (first + i / (2 * size) * size + i % size) as u8 + (i / size % 2) as u8 * 16;
            if (0..16).all(|i| bytes[i] == want(i)) {
                return Some(Plan::Bin { op, swapped });
            }
        }
    }
    // A blend: every byte stays at its place.
    if (0..16).all(|i| usize::from(bytes[i] & 15) == i) {
        if let Some(quads) = lanes::<8>(bytes) {
            if quads[..2] == [Some(2), Some(1)] {
                return Some(Plan::Bin { op: row::MOVSD, swapped });
            }
            return Some(Plan::BinImm { op: row::SHUFPD, swapped, imm: 2 });
        }
        if let Some(doubles) = lanes::<4>(bytes) {
            let imm = (0..4).filter(|i| doubles[*i].is_some_and(|l| l >= 4)).fold(0, |imm, i| imm | 1 << i);
            return Some(Plan::BinImm { op: row::BLENDPS, swapped, imm });
        }
        if let Some(words) = lanes::<2>(bytes) {
            let imm = (0..8).filter(|i| words[*i].is_some_and(|l| l >= 8)).fold(0, |imm, i| imm | 1 << i);
            return Some(Plan::BinImm { op: row::PBLENDW, swapped, imm });
        }
    }
    // `shufps`, `shufpd`: the first half from the first, the second from the second.
    if let Some(quads) = lanes::<8>(bytes)
        && let [Some(a @ 0..=1), Some(b @ 2..=3)] = quads[..2]
    {
        return Some(Plan::BinImm { op: row::SHUFPD, swapped, imm: a | (b - 2) << 1 });
    }
    if let Some(doubles) = lanes::<4>(bytes)
        && let [Some(a @ 0..=3), Some(b @ 0..=3), Some(c @ 4..=7), Some(d @ 4..=7)] = doubles[..4]
    {
        return Some(Plan::BinImm {
            op: row::SHUFPS,
            swapped,
            imm: a | b << 2 | (c - 4) << 4 | (d - 4) << 6,
        });
    }
    // `palignr first, second, n`: bytes n… of the second with the first above it; here the lower part comes first.
    let n = bytes[0];
    if (1..16).contains(&n) && (0..16).all(|i| bytes[i] == n + i as u8) {
        return Some(Plan::BinImm { op: row::PALIGNR, swapped: !swapped, imm: n });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plan does to the bytes of two sources, by the manuals.
    fn perform(plan: Plan, bytes: &[u8; 16], a: &[u8; 16], b: &[u8; 16]) -> [u8; 16] {
        let pick = |of| if of == Side::First { a } else { b };
        let lane = |v: &[u8; 16], size: usize, n: usize| v[n * size..(n + 1) * size].to_vec();
        let join = |parts: Vec<Vec<u8>>| -> [u8; 16] { parts.concat().try_into().expect("16 bytes") };
        let name = |op: V| row::ALL.iter().find(|(_, v)| *v == op).expect("a row").0;
        match plan {
            Plan::Zero => [0; 16],
            Plan::Same(of) => *pick(of),
            Plan::Un { op, of } => {
                let v = pick(of);
                let widen = |from: usize, to: usize| {
                    std::array::from_fn(|i| if i % to < from { v[i / to * from + i % to] } else { 0 })
                };
                match name(op) {
                    "MOVQ" => widen(8, 16),
                    "MOVDDUP" => join(vec![lane(v, 8, 0), lane(v, 8, 0)]),
                    "PMOVZXBW" => widen(1, 2),
                    "PMOVZXBD" => widen(1, 4),
                    "PMOVZXBQ" => widen(1, 8),
                    "PMOVZXWD" => widen(2, 4),
                    "PMOVZXWQ" => widen(2, 8),
                    "PMOVZXDQ" => widen(4, 8),
                    other => panic!("{other}"),
                }
            }
            Plan::UnImm { op, of, imm } => {
                let v = pick(of);
                let at = |i: usize| usize::from(imm >> (2 * i) & 3);
                match name(op) {
                    "PSHUFD" => join((0..4).map(|i| lane(v, 4, at(i))).collect()),
                    "PSHUFLW" => join((0..8).map(|i| lane(v, 2, if i < 4 { at(i) } else { i })).collect()),
                    "PSHUFHW" => {
                        join((0..8).map(|i| lane(v, 2, if i < 4 { i } else { 4 + at(i - 4) })).collect())
                    }
                    other => panic!("{other}"),
                }
            }
            Plan::Shift { op, of, by } => {
                let (v, by) = (pick(of), usize::from(by));
                std::array::from_fn(|i| match op {
                    VShift::Psrldq => v.get(i + by).copied().unwrap_or(0),
                    _ => i.checked_sub(by).map_or(0, |k| v[k]),
                })
            }
            Plan::Bin { op, swapped } => {
                let (a, b) = if swapped { (b, a) } else { (a, b) };
                let unpack = |size: usize, first: usize| {
                    let n = 16 / size / 2;
                    join(
                        (0..2 * n)
                            .map(|i| lane(if i % 2 == 0 { a } else { b }, size, first * n + i / 2))
                            .collect(),
                    )
                };
                match name(op) {
                    "MOVSD" => join(vec![lane(b, 8, 0), lane(a, 8, 1)]),
                    "PUNPCKLBW" => unpack(1, 0),
                    "PUNPCKLWD" => unpack(2, 0),
                    "PUNPCKLDQ" => unpack(4, 0),
                    "PUNPCKLQDQ" => unpack(8, 0),
                    "PUNPCKHBW" => unpack(1, 1),
                    "PUNPCKHWD" => unpack(2, 1),
                    "PUNPCKHDQ" => unpack(4, 1),
                    "PUNPCKHQDQ" => unpack(8, 1),
                    other => panic!("{other}"),
                }
            }
            Plan::BinImm { op, swapped, imm } => {
                let (a, b) = if swapped { (b, a) } else { (a, b) };
                let at = |i: usize| usize::from(imm >> (2 * i) & 3);
                let bit = |i: usize| usize::from(imm >> i & 1);
                let blend = |size: usize| {
                    join((0..16 / size).map(|i| lane(if bit(i) == 1 { b } else { a }, size, i)).collect())
                };
                match name(op) {
                    "SHUFPD" => join(vec![lane(a, 8, bit(0)), lane(b, 8, bit(1))]),
                    "SHUFPS" => join((0..4).map(|i| lane(if i < 2 { a } else { b }, 4, at(i))).collect()),
                    "BLENDPS" => blend(4),
                    "PBLENDW" => blend(2),
                    "PALIGNR" => {
                        let both = [b.as_slice(), a.as_slice()].concat();
                        std::array::from_fn(|i| both.get(i + usize::from(imm)).copied().unwrap_or(0))
                    }
                    other => panic!("{other}"),
                }
            }
            Plan::Table { of } => {
                table(bytes, of).map(|t| if t == ZERO { 0 } else { pick(of)[usize::from(t)] })
            }
            Plan::Tables => {
                let both = [Side::First, Side::Second]
                    .map(|of| table(bytes, of).map(|t| if t == ZERO { 0 } else { pick(of)[usize::from(t)] }));
                std::array::from_fn(|i| both[0][i] | both[1][i])
            }
        }
    }

    fn check(bytes: [u8; 16]) -> Plan {
        let a = std::array::from_fn(|i| 100 + i as u8);
        let b = std::array::from_fn(|i| 200 + i as u8);
        let want = bytes.map(|x| match x {
            ZERO => 0,
            x if x < 16 => a[usize::from(x)],
            x => b[usize::from(x) - 16],
        });
        let made = plan(&bytes);
        assert_eq!(perform(made, &bytes, &a, &b), want, "{made:?} for {bytes:?}");
        made
    }

    fn spread(size: usize, lanes: &[u8]) -> [u8; 16] {
        std::array::from_fn(|i| match lanes[i / size] {
            ZERO => ZERO,
            lane => lane * size as u8 + (i % size) as u8,
        })
    }

    #[test]
    fn all_choices_of_wide_lanes() {
        for a in [0, 1, 2, 3, ZERO] {
            for b in [0, 1, 2, 3, ZERO] {
                check(spread(8, &[a, b]));
            }
        }
        let all: Vec<u8> = (0..8).chain([ZERO]).collect();
        for n in 0..9usize.pow(4) {
            let lanes: Vec<u8> = (0..4).map(|i| all[n / 9usize.pow(i) % 9]).collect();
            check(spread(4, &lanes));
        }
    }

    #[test]
    fn random_choices() {
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as u8
        };
        for _ in 0..20_000 {
            let words: Vec<u8> =
                (0..8).map(|_| next() % 17).map(|l| if l == 16 { ZERO } else { l }).collect();
            check(spread(2, &words));
            let bytes: [u8; 16] = std::array::from_fn(|_| next() % 33);
            check(bytes.map(|b| if b == 32 { ZERO } else { b }));
            // Near an identity or a run, where the special forms are.
            let first = next() % 33;
            let mut run: [u8; 16] = std::array::from_fn(|i| match first + i as u8 {
                b if b < 32 => b,
                _ => ZERO,
            });
            check(run);
            run[usize::from(next() % 16)] = next() % 32;
            check(run);
        }
    }

    #[test]
    fn guests_instructions_come_back() {
        assert_eq!(
            check(spread(4, &[3, 2, 1, 0])),
            Plan::UnImm { op: row::PSHUFD, of: Side::First, imm: 0x1b }
        );
        assert_eq!(
            check(spread(4, &[1, 0, 6, 7])),
            Plan::BinImm { op: row::SHUFPS, swapped: false, imm: 0xe1 }
        );
        assert_eq!(
            check(spread(1, &[0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23])),
            Plan::Bin { op: row::PUNPCKLBW, swapped: false }
        );
        assert_eq!(check(spread(8, &[2, 1])), Plan::Bin { op: row::MOVSD, swapped: false });
        assert_eq!(check(spread(8, &[1, ZERO])), Plan::Shift { op: VShift::Psrldq, of: Side::First, by: 8 });
        assert_eq!(check(spread(4, &[0, ZERO, 1, ZERO])), Plan::Un { op: row::PMOVZXDQ, of: Side::First });
        assert_eq!(
            check(spread(2, &[3, 2, 1, 0, 4, 5, 6, 7])),
            Plan::UnImm { op: row::PSHUFLW, of: Side::First, imm: 0x1b }
        );
    }
}
