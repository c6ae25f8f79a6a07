//! Where the instructions of a fragment come from and where their faults go, for code that does not follow the
//! order of its source (optimised traces); the counterpart of `pcmap`.
//!
//! Packed: numbers in groups of 7 bits, low ones first, the top bit saying that more follow. Offsets and addresses
//! are differences from the entry before (addresses with their sign in bit 0), so that most take a byte.

use crate::fragment::GuestPc;

/// A stretch of code in which faults belong to one guest instruction. Offsets are from the fragment's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultPlace {
    /// First offset.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
    /// Where the code goes on after a fault, to put the guest's state into place; `None` when nobody looks at it.
    pub to: Option<u32>,
    /// The guest instruction.
    pub pc: Option<GuestPc>,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Places {
    faults: Box<[u8]>,
    lines: Box<[u8]>,
}

impl Places {
    /// Packs faults, by increasing offset, and the offsets at which the code of guest instructions begins, increasing.
    pub fn new(faults: &[FaultPlace], lines: &[(u32, GuestPc)]) -> Places {
        let mut out = Vec::with_capacity(faults.len() * 5);
        let (mut at, mut pc) = (0, 0);
        for f in faults {
            put(&mut out, u64::from(f.start.wrapping_sub(at)));
            put(&mut out, u64::from(f.end.wrapping_sub(f.start)));
            put(&mut out, f.to.map_or(0, |t| u64::from(t) + 1));
            put(&mut out, u64::from(f.pc.is_some()));
            if let Some(p) = f.pc {
                put(&mut out, signed(p.0.wrapping_sub(pc)));
                pc = p.0;
            }
            at = f.end;
        }
        let faults = out.into_boxed_slice();
        let mut out = Vec::with_capacity(lines.len() * 2);
        let (mut at, mut pc) = (0, 0);
        for &(start, p) in lines {
            put(&mut out, u64::from(start.wrapping_sub(at)));
            put(&mut out, signed(p.0.wrapping_sub(pc)));
            (at, pc) = (start, p.0);
        }
        Places { faults, lines: out.into_boxed_slice() }
    }

    /// The faults.
    pub fn faults(&self) -> impl Iterator<Item = FaultPlace> + '_ {
        let mut rest = &*self.faults;
        let (mut at, mut pc) = (0u32, 0u64);
        std::iter::from_fn(move || {
            let start = at.wrapping_add(get(&mut rest)? as u32);
            let end = start.wrapping_add(get(&mut rest)? as u32);
            let to = get(&mut rest)?.checked_sub(1).map(|t| t as u32);
            let known = get(&mut rest)? != 0;
            if known {
                pc = pc.wrapping_add(unsigned(get(&mut rest)?));
            }
            at = end;
            Some(FaultPlace { start, end, to, pc: known.then_some(GuestPc(pc)) })
        })
    }

    /// The offsets at which the code of guest instructions begins.
    pub fn lines(&self) -> impl Iterator<Item = (u32, GuestPc)> + '_ {
        let mut rest = &*self.lines;
        let (mut at, mut pc) = (0u32, 0u64);
        std::iter::from_fn(move || {
            at = at.wrapping_add(get(&mut rest)? as u32);
            pc = pc.wrapping_add(unsigned(get(&mut rest)?));
            Some((at, GuestPc(pc)))
        })
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.faults.len() + self.lines.len()
    }
}

fn signed(v: u64) -> u64 {
    v << 1 ^ ((v as i64) >> 63) as u64
}

fn unsigned(v: u64) -> u64 {
    v >> 1 ^ (v & 1).wrapping_neg()
}

fn put(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn get(from: &mut &[u8]) -> Option<u64> {
    let mut v = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = from.split_first()?;
        *from = rest;
        v |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(v);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_everything() {
        let far = GuestPc(0xffff_ffff_ff60_0000);
        let faults = [
            FaultPlace { start: 0, end: 5, to: None, pc: Some(GuestPc(0x401000)) },
            FaultPlace { start: 9, end: 1000, to: Some(0), pc: None },
            FaultPlace { start: 1000, end: 1001, to: Some(70000), pc: Some(far) },
            FaultPlace { start: 1001, end: 1002, to: Some(u32::MAX), pc: Some(GuestPc(0)) },
        ];
        let lines = [(0, GuestPc(0x401000)), (4, GuestPc(0x401004)), (4, far), (900, GuestPc(3))];
        let p = Places::new(&faults, &lines);
        assert_eq!(p.faults().collect::<Vec<_>>(), faults);
        assert_eq!(p.lines().collect::<Vec<_>>(), lines);
        assert!(Places::default().faults().next().is_none() && Places::default().lines().next().is_none());
    }

    #[test]
    fn near_entries_take_few_bytes() {
        let lines: Vec<_> = (0..100).map(|i| (i * 4, GuestPc(0x401000 + u64::from(i) * 5))).collect();
        assert!(Places::new(&[], &lines).size() < 210);
    }
}
