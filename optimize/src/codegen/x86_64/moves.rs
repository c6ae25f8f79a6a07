//! Parallel moves: values into places all at once, without touching the flags.
//!
//! Order: what goes from memory to memory (and what is read from memory that is also written) first goes to scratch
//! memory; then registers to memory; then registers among themselves, cycles by `xchg`; then everything else into the registers
//! that are free for it now.

use super::super::{CodegenError, Segment};
use super::asm::integer::SegBase;
use super::asm::vector::{self as row, Cross};
use super::asm::{Asm, Mem, Reg, Rm, Width, Xmm};
use smallvec::SmallVec;

/// What is done to a value on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tweak {
    /// Nothing.
    None,
    /// A literal is added.
    Plus(i32),
    /// The low part is zero-extended.
    Zext(Width),
    /// The low part is sign-extended.
    Sext(Width),
    /// The signed integer of this width becomes a 64-bit float.
    Float(Width),
}

impl Tweak {
    /// What it makes of a literal.
    pub fn of(self, i: u64) -> u64 {
        let bits = |w: Width| 64 - w.bits();
        match self {
            Tweak::None => i,
            Tweak::Plus(k) => i.wrapping_add(k as i64 as u64),
            Tweak::Zext(w) => i << bits(w) >> bits(w),
            Tweak::Sext(w) => ((i << bits(w)) as i64 >> bits(w)) as u64,
            Tweak::Float(w) => (((i << bits(w)) as i64 >> bits(w)) as f64).to_bits(),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// A general register.
    Reg(u8, Tweak),
    /// 8 bytes of the thread's memory.
    Mem(Segment, i32, Tweak),
    /// A literal.
    Int(u64),
    /// The base of a segment.
    Base(Segment),
    /// The low 64 bits of a vector register.
    Vector(u8),
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
    /// Registers that are never borrowed.
    kept: u16,
    /// Registers whose content nobody needs once the moves have read it.
    lent: u16,
    /// A vector register for conversions.
    vector: u8,
}

impl Scratch {
    /// Cells of scratch memory.
    pub fn new(segment: Segment, start: i32, count: i32) -> Scratch {
        Scratch { segment, start, count, kept: 1 << 4, lent: 0, vector: 0 }
    }

    /// These registers (as in [`super::super::Host::reserved`]) are left alone; a vector register among them serves for conversions.
    pub fn without(self, reserved: u64) -> Scratch {
        let vector = (reserved >> 16).trailing_zeros().min(31) as u8;
        Scratch { kept: self.kept | reserved as u16, vector, ..self }
    }

    /// These registers are free once the moves have read them.
    pub fn lending(self, registers: u16) -> Scratch {
        Scratch { lent: registers & !self.kept, ..self }
    }

    /// Memory of a cell.
    pub fn cell(&self, i: i32) -> (Segment, i32) {
        (self.segment, self.start + 8 * i)
    }
}

fn mem(segment: Segment, offset: i32) -> Mem {
    Mem::segment(segment, offset)
}

/// Converts an integer to a float.
fn convert(asm: &mut Asm, vector: u8, width: Width, from: Rm) {
    asm.sse(row::XORPS, Xmm(vector), Xmm(vector));
    asm.sse_from(Cross::Cvtsi2sd, width, Xmm(vector), from);
}

/// Puts a value into a register. `vector` is for conversions.
fn load_by(asm: &mut Asm, to: u8, from: From, vector: u8) {
    let (to, tweak, rm) = match from {
        From::Int(i) => return asm.mov_imm(Reg(to), i),
        From::Base(Segment::Fs) => return asm.segment_base(SegBase::Rdfsbase, Reg(to)),
        From::Base(Segment::Gs) => return asm.segment_base(SegBase::Rdgsbase, Reg(to)),
        From::Base(Segment::Register(r)) => return asm.mov(Width::W64, Reg(to), Reg(r)),
        From::Vector(r) => return asm.sse_to(Cross::MovFrom, Width::W64, Reg(to), Xmm(r)),
        From::Reg(r, tweak) => (Reg(to), tweak, Rm::Reg(Reg(r))),
        From::Mem(s, o, tweak) => (Reg(to), tweak, Rm::Mem(mem(s, o))),
    };
    match (tweak, rm) {
        (Tweak::None, rm) if rm == Rm::Reg(to) => {}
        (Tweak::None, rm) => asm.mov(Width::W64, to, rm),
        (Tweak::Plus(k), Rm::Reg(r)) => asm.lea(Width::W64, to, Mem::base(r, k)),
        (Tweak::Plus(k), rm) => {
            asm.mov(Width::W64, to, rm);
            asm.lea(Width::W64, to, Mem::base(to, k));
        }
        (Tweak::Zext(w), rm) => asm.movzx(w, to, rm),
        (Tweak::Sext(w), rm) => asm.movsx(w, Width::W64, to, rm),
        (Tweak::Float(w), rm) => {
            convert(asm, vector, w, rm);
            asm.sse_to(Cross::MovFrom, Width::W64, to, Xmm(vector));
        }
    }
}

/// Puts a value into a register; it is not one that has to be converted.
pub fn load(asm: &mut Asm, to: u8, from: From) {
    load_by(asm, to, from, 0);
}

/// Performs the moves. The first two cells of scratch are for callers around this, and for a register in need.
///
/// # Errors
/// When scratch memory does not suffice.
pub fn parallel(asm: &mut Asm, moves: &mut Vec<(From, To)>, scratch: Scratch) -> Result<(), CodegenError> {
    moves.retain(|(from, to)| match (from, to) {
        (From::Reg(a, Tweak::None), To::Reg(b)) => a != b,
        (From::Mem(s, o, Tweak::None), To::Mem(t, p)) => (s, o) != (t, p),
        _ => true,
    });
    if moves.iter().any(|(_, to)| matches!(to, To::Mem(..))) {
        into_memory(asm, moves, scratch)?;
    }
    among_registers(asm, moves, scratch.vector);
    for (from, to) in moves.iter() {
        if let To::Reg(r) = *to
            && !matches!(from, From::Reg(..))
        {
            load_by(asm, r, *from, scratch.vector);
        }
    }
    Ok(())
}

/// Does the moves into memory and takes them off the list; what is left and read from memory that is written comes
/// from scratch memory afterwards.
fn into_memory(asm: &mut Asm, moves: &mut Vec<(From, To)>, scratch: Scratch) -> Result<(), CodegenError> {
    let written: SmallVec<[(Segment, i32); 8]> =
        moves.iter().filter_map(|(_, t)| if let To::Mem(s, o) = t { Some((*s, *o)) } else { None }).collect();
    let sources = moves.iter().fold(0u32, |m, (f, _)| if let From::Reg(r, _) = f { m | 1 << r } else { m });
    // A register that is written later and not read by any of the moves serves for all of them.
    let spare = moves.iter().find_map(|(_, t)| match t {
        To::Reg(r) if sources & 1 << r == 0 && *r != 4 => Some(*r),
        _ => None,
    });
    let spare = spare.or_else(|| (0..16u8).find(|r| !sources & u32::from(scratch.lent) & 1 << r != 0));
    let t = spare.or_else(|| (0..16u8).find(|r| (sources | u32::from(scratch.kept)) & 1 << r == 0));
    let (s, o) = scratch.cell(1);
    let save = mem(s, o);
    let direct = |from: From| match from {
        From::Reg(_, Tweak::None | Tweak::Float(_)) | From::Vector(_) => true,
        From::Mem(_, _, Tweak::Float(_)) => true,
        From::Int(i) => i32::try_from(i as i64).is_ok(),
        _ => false,
    };
    let needs = moves.iter().any(|(from, to)| match (from, to) {
        (from, To::Mem(..)) => !direct(*from),
        (From::Mem(s, o, _), _) => written.contains(&(*s, *o)),
        _ => false,
    });
    let saved = needs && spare.is_none();
    // All registers are sources: one of them is read from its copy then.
    let t = t.unwrap_or(0);
    let from_copy = saved && sources & 1 << t != 0;
    if saved {
        asm.store(Width::W64, save, Reg(t));
    }
    let read = |from: From| match from {
        From::Reg(r, tweak) if from_copy && r == t => From::Mem(s, o, tweak),
        from => from,
    };
    let mut cell = 2;
    for (from, _) in moves.iter_mut() {
        if let From::Mem(a, b, tweak) = *from
            && written.contains(&(a, b))
        {
            if cell >= scratch.count {
                return Err(CodegenError::TooLarge("moves through memory".into()));
            }
            let (c, d) = scratch.cell(cell);
            load_by(asm, t, From::Mem(a, b, tweak), scratch.vector);
            asm.store(Width::W64, mem(c, d), Reg(t));
            *from = From::Mem(c, d, Tweak::None);
            cell += 1;
        }
    }
    moves.retain(|(from, to)| {
        let To::Mem(a, b) = *to else { return true };
        match *from {
            From::Reg(r, Tweak::None) if !(from_copy && r == t) => asm.store(Width::W64, mem(a, b), Reg(r)),
            From::Vector(r) => asm.sse(row::MOVSD_STORE, Xmm(r), mem(a, b)),
            From::Reg(_, Tweak::Float(w)) | From::Mem(_, _, Tweak::Float(w)) => {
                let rm = match read(*from) {
                    From::Reg(r, _) => Rm::Reg(Reg(r)),
                    From::Mem(s, o, _) => Rm::Mem(mem(s, o)),
                    _ => return false,
                };
                convert(asm, scratch.vector, w, rm);
                asm.sse(row::MOVSD_STORE, Xmm(scratch.vector), mem(a, b));
            }
            From::Int(i) if direct(*from) => asm.store_imm(Width::W64, mem(a, b), i as i32),
            from => {
                load_by(asm, t, read(from), scratch.vector);
                asm.store(Width::W64, mem(a, b), Reg(t));
            }
        }
        false
    });
    if saved {
        asm.mov(Width::W64, Reg(t), save);
    }
    Ok(())
}

fn among_registers(asm: &mut Asm, moves: &[(From, To)], vector: u8) {
    let mut pending: SmallVec<[(u8, Tweak, u8); 16]> = moves
        .iter()
        .filter_map(|m| if let (From::Reg(a, k), To::Reg(b)) = *m { Some((a, k, b)) } else { None })
        .collect();
    while !pending.is_empty() {
        let free =
            pending.iter().position(|(a, _, b)| !pending.iter().any(|(c, _, d)| c == b && (c, d) != (a, b)));
        match free {
            Some(i) => {
                let (a, k, b) = pending.swap_remove(i);
                load_by(asm, b, From::Reg(a, k), vector);
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
                if k != Tweak::None {
                    // Others may want the same value as it was: they come from here, so they go first.
                    pending.push((b, k, b));
                }
                pending.retain(|(a, k, b)| a != b || *k != Tweak::None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Code, Decoder, DecoderOptions, MemorySize, Mnemonic, OpKind, Register};
    use ir::fuzz::Random;
    use std::collections::HashMap;

    /// Registers and memory by offset, as the few instructions that moves are made of change them.
    #[derive(Clone, Debug, PartialEq)]
    struct Machine {
        regs: [u64; 16],
        memory: HashMap<i64, u64>,
    }

    fn number(r: Register) -> usize {
        r.full_register().number()
    }

    impl Machine {
        fn run(&mut self, code: &[u8]) {
            for i in Decoder::new(64, code, DecoderOptions::NONE).iter() {
                let at = i.memory_displacement64() as i32 as i64;
                let source = |m: &Machine| match i.op1_kind() {
                    OpKind::Register => m.regs[number(i.op1_register())],
                    OpKind::Memory
                        if i.memory_size() == MemorySize::UInt64 || i.mnemonic() != Mnemonic::Lea =>
                    {
                        m.memory[&at]
                    }
                    _ => i.immediate(1),
                };
                let value = match (i.mnemonic(), i.code()) {
                    (Mnemonic::Xchg, _) => {
                        self.regs.swap(number(i.op0_register()), number(i.op1_register()));
                        continue;
                    }
                    (Mnemonic::Lea, _) => {
                        self.regs[number(i.memory_base())].wrapping_add(i.memory_displacement64())
                    }
                    (_, Code::Movzx_r32_rm8) => source(self) & 0xff,
                    (_, Code::Movsxd_r64_rm32) => source(self) as i32 as u64,
                    (Mnemonic::Mov, _) => source(self),
                    other => panic!("{other:?} is no move"),
                };
                match i.op0_kind() {
                    OpKind::Register => self.regs[number(i.op0_register())] = value,
                    _ => {
                        self.memory.insert(at, value);
                    }
                }
            }
        }
    }

    #[test]
    fn moves_happen_at_once() {
        let scratch = Scratch::new(Segment::Gs, 0, 24);
        for seed in 0..3000 {
            let mut r = Random(seed);
            let mut moves = Vec::new();
            let mut targets: Vec<To> = (0..16).map(To::Reg).collect();
            targets.extend((0..6).map(|i| To::Mem(Segment::Gs, 1000 + 8 * i)));
            targets.retain(|_| !r.one_in(3));
            for to in targets {
                let tweak = match r.below(8) {
                    0 => Tweak::Plus(5),
                    1 => Tweak::Zext(Width::W8),
                    2 => Tweak::Sext(Width::W32),
                    _ => Tweak::None,
                };
                let from = match r.below(6) {
                    0 => From::Mem(Segment::Gs, 1000 + 8 * r.below(8) as i32, tweak),
                    1 => From::Int(r.word() >> r.below(64)),
                    _ => From::Reg(r.below(16) as u8, tweak),
                };
                moves.push((from, to));
            }
            let mut before = Machine { regs: [0; 16], memory: HashMap::new() };
            before.regs.fill_with(|| r.word());
            for i in 0..200 {
                before.memory.insert(8 * i, r.word());
            }
            let mut expected = before.clone();
            for (from, to) in &moves {
                let value = match *from {
                    From::Reg(r, tweak) => tweak.of(before.regs[r as usize]),
                    From::Mem(_, o, tweak) => tweak.of(before.memory[&i64::from(o)]),
                    From::Int(i) => i,
                    From::Base(_) | From::Vector(_) => 0,
                };
                match *to {
                    To::Reg(r) => expected.regs[r as usize] = value,
                    To::Mem(_, o) => {
                        expected.memory.insert(o.into(), value);
                    }
                }
            }
            let text = format!("{moves:?}");
            let mut asm = Asm::new(0);
            parallel(&mut asm, &mut moves, scratch).expect("few moves");
            let mut after = before;
            after.run(asm.bytes());
            for memory in [&mut after.memory, &mut expected.memory] {
                memory.retain(|at, _| *at >= 8 * 24);
            }
            assert_eq!(after, expected, "seed {seed}: {text}");
        }
    }
}
