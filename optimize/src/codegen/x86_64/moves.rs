//! Parallel moves: values into places all at once, without touching the flags.
//!
//! Order: what goes from memory to memory (and what is read from memory that is also written) first goes to scratch
//! memory; then registers to memory; then registers among themselves, cycles by `xchg`; then everything else into the registers
//! that are free for it now.

use super::super::{CodegenError, Segment};
use super::asm::{Asm, Mem, Reg, Width, integer::SegBase};

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// A general register plus a literal.
    Reg(u8, i32),
    /// 8 bytes of the thread's memory.
    Mem(Segment, i32),
    /// 8 bytes of the thread's memory, plus a literal.
    MemPlus(Segment, i32, i32),
    /// A literal.
    Int(u64),
    /// The base of a segment.
    Base(Segment),
}

/// Where a value goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// A general register.
    Reg(u8),
    /// 8 bytes of the thread's memory.
    Mem(Segment, i32),
}

/// 8-byte cells of scratch memory: segment, first offset, number.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// Segment.
    pub segment: Segment,
    /// First offset.
    pub start: i32,
    /// Cells.
    pub count: i32,
}

impl Scratch {
    /// Memory of a cell.
    pub fn cell(&self, i: i32) -> (Segment, i32) {
        (self.segment, self.start + 8 * i)
    }
}

fn mem(segment: Segment, offset: i32) -> Mem {
    Mem::segment(segment, offset)
}

/// Loads anything that reads no register.
pub fn load(asm: &mut Asm, to: u8, from: From) {
    let to = Reg(to);
    match from {
        From::Reg(r, 0) => {
            if r != to.0 {
                asm.mov(Width::W64, to, Reg(r));
            }
        }
        From::Reg(r, k) => asm.lea(Width::W64, to, Mem::base(Reg(r), k)),
        From::Mem(s, o) => asm.mov(Width::W64, to, mem(s, o)),
        From::MemPlus(s, o, k) => {
            asm.mov(Width::W64, to, mem(s, o));
            asm.lea(Width::W64, to, Mem::base(to, k));
        }
        From::Int(i) => asm.mov_imm(to, i),
        From::Base(Segment::Fs) => asm.segment_base(SegBase::Rdfsbase, to),
        From::Base(Segment::Gs) => asm.segment_base(SegBase::Rdgsbase, to),
    }
}

/// Performs the moves. The first two cells of scratch are for callers around this, and for a register in need.
pub fn parallel(asm: &mut Asm, moves: &mut Vec<(From, To)>, scratch: Scratch) -> Result<(), CodegenError> {
    moves.retain(|(from, to)| match (from, to) {
        (From::Reg(a, 0), To::Reg(b)) => a != b,
        (From::Mem(s, o), To::Mem(t, p)) => (s, o) != (t, p),
        _ => true,
    });
    if moves.is_empty() {
        return Ok(());
    }
    // Memory that is read and written, and moves from what is no register to memory.
    let written: Vec<(Segment, i32)> =
        moves.iter().filter_map(|(_, t)| if let To::Mem(s, o) = t { Some((*s, *o)) } else { None }).collect();
    let mut staged = Vec::new();
    if !written.is_empty() {
        let mut cell = 2;
        for (from, to) in moves.iter_mut() {
            let through = match (*from, *to) {
                (From::Reg(_, 0), _) => false,
                (From::Int(i), To::Mem(..)) => i32::try_from(i as i64).is_err(),
                (_, To::Mem(..)) => true,
                (From::Mem(s, o) | From::MemPlus(s, o, _), To::Reg(_)) => written.contains(&(s, o)),
                _ => false,
            };
            if through {
                if cell >= scratch.count {
                    return Err(CodegenError::TooLarge("moves through memory".into()));
                }
                let (s, o) = scratch.cell(cell);
                staged.push((*from, (s, o)));
                *from = From::Mem(s, o);
                cell += 1;
            }
        }
    }
    let (save_segment, save) = scratch.cell(1);
    if !staged.is_empty() {
        // Any register will do that none of them starts from; it comes back before it is needed.
        let used: u32 = staged.iter().map(|(f, _)| if let From::Reg(r, _) = f { 1 << r } else { 0 }).sum();
        let t = (0..16u8).find(|r| used & 1 << r == 0 && *r != 4).unwrap_or(0);
        asm.store(Width::W64, mem(save_segment, save), Reg(t));
        for (from, (s, o)) in &staged {
            load(asm, t, *from);
            asm.store(Width::W64, mem(*s, *o), Reg(t));
        }
        asm.mov(Width::W64, Reg(t), mem(save_segment, save));
    }
    // Into memory: from registers at once; what is staged needs a register again.
    let mut later: Vec<((Segment, i32), (Segment, i32))> = Vec::new();
    moves.retain(|(from, to)| {
        let To::Mem(s, o) = *to else { return true };
        match *from {
            From::Reg(r, _) => asm.store(Width::W64, mem(s, o), Reg(r)),
            From::Int(i) => asm.store_imm(Width::W64, mem(s, o), i as i32),
            From::Mem(a, b) => later.push(((a, b), (s, o))),
            _ => {}
        }
        false
    });
    if !later.is_empty() {
        let t = Reg(0);
        asm.store(Width::W64, mem(save_segment, save), t);
        for ((a, b), (s, o)) in later {
            asm.mov(Width::W64, t, mem(a, b));
            asm.store(Width::W64, mem(s, o), t);
        }
        asm.mov(Width::W64, t, mem(save_segment, save));
    }
    // Registers among themselves.
    let mut pending: Vec<(u8, i32, u8)> = moves
        .iter()
        .filter_map(|m| if let (From::Reg(a, k), To::Reg(b)) = *m { Some((a, k, b)) } else { None })
        .collect();
    while !pending.is_empty() {
        let free =
            pending.iter().position(|(a, _, b)| !pending.iter().any(|(c, _, d)| c == b && (c, d) != (a, b)));
        match free {
            Some(i) => {
                let (a, k, b) = pending.swap_remove(i);
                load(asm, b, From::Reg(a, k));
            }
            None => {
                // A cycle: put the first one right by an exchange.
                let (a, k, b) = pending.swap_remove(0);
                asm.xchg_regs(Width::W64, Reg(a), Reg(b));
                for (c, _, _) in &mut pending {
                    *c = if *c == a {
                        b
                    } else if *c == b {
                        a
                    } else {
                        *c
                    };
                }
                if k != 0 {
                    // Others may want the same value without the literal: they come from here, so they go first.
                    pending.push((b, k, b));
                }
                pending.retain(|(a, k, b)| a != b || *k != 0);
            }
        }
    }
    // Everything else.
    for (from, to) in moves.iter() {
        if let To::Reg(r) = *to
            && !matches!(from, From::Reg(..))
        {
            load(asm, r, *from);
        }
    }
    Ok(())
}
