//! Host instructions before registers are known: what selection makes, and emission turns into bytes.
//!
//! An instruction ([`MInst`]) belongs to the allocator's line of the same index. Its operands stand in the line in this
//! order: sources, base and index of the memory operand, temporaries, results, what exits need.

use super::super::Segment;
use super::asm::integer::{Bmi, Count};
use super::asm::{Alu, Shift, Width};
use super::vinst::VOp;
use crate::regalloc::NONE;
use ir::types::{Cond, HelperId};

/// A host operation. Where a second source is missing it is the memory operand if there is one, else [`MInst::imm`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MOp {
    /// Results are the state at entry, at home.
    Entry,
    /// The loop's head.
    Head,
    /// The back edge.
    Back,
    /// Leaves by the exit.
    End,
    /// Leaves by the exit if the condition holds.
    Jcc(Cond),
    /// `def = src`
    Copy,
    /// `def = address`
    Lea,
    /// `def = zero-extended memory` of the width.
    Load,
    /// `def = memory of this width, sign-extended` to the width.
    LoadSx(Width),
    /// `memory = src` or immediate.
    Store,
    /// `def = src0 op src1`
    Alu(Alu),
    /// `memory op= src0` or immediate.
    AluMem(Alu),
    /// `def = src0 + immediate`, by `add` or `lea`.
    AddImm,
    /// `def = src0 with the low part of src1` of the width.
    Merge,
    /// Flags of `src0 - src1`.
    Cmp,
    /// Flags of `memory - src0` or immediate.
    CmpMem,
    /// Flags of `src0 & src1`.
    Test,
    /// Flags of `memory & src0` or immediate.
    TestMem,
    /// `def = src0 + 1` (or `- 1` if true), the carry flag untouched.
    IncDec(bool),
    /// `def = -src0`
    Neg,
    /// `def = !src0`
    Not,
    /// `def = src0 * src1`
    Imul,
    /// `def = src0 (or memory) * immediate`
    ImulImm,
    /// `def0:def1 (rax, rdx) = src0 (rax) * src1`, signed if true.
    MulWide(bool),
    /// Quotient and remainder (rax, rdx) of `src1:src0` (rdx:rax) by `src2`, signed if true.
    Div(bool),
    /// Quotient and remainder of `ax` (`src0`) by `src1`, in `al` and `ah`; signed if true.
    Div8(bool),
    /// `def = src0 op immediate`
    ShiftImm(Shift),
    /// `def = src0 op cl`
    ShiftCl(Shift),
    /// `def = src0 op src1` without flags.
    ShiftX(Shift),
    /// `def = zero-extended low part` of this width of the source.
    Zext(Width),
    /// `def = sign-extended low part` of this width of the source, to the width.
    Sext(Width),
    /// `def = condition`
    Setcc(Cond),
    /// `def = src1 if the condition holds, else src0`
    Cmov(Cond),
    /// `def = bytes of src0 in reverse order`
    Bswap,
    /// `def = count of bits of src0`
    Count(Count),
    /// `def = op(src0, src1)`
    Bmi(Bmi),
    /// `def (rax) = image of the flags`: `ah` as `lahf` leaves it, `al` the overflow flag.
    SaveFlags,
    /// The flags become those of the image in `src0` (rax), which is destroyed.
    RestoreFlags,
    /// `def = memory; memory += src0`, locked.
    Xadd,
    /// `def = memory; memory = src0`, locked.
    Xchg,
    /// `memory op= src0` or immediate, locked.
    LockAlu(Alu),
    /// `def (rax) = memory; if it was src0 (rax), memory = src1`, locked.
    Cmpxchg,
    /// Full fence.
    Mfence,
    /// On vector registers.
    Vector(VOp),
    /// The instruction with these bytes of the trace's native.
    Native,
    /// Calls the helper at this address; sources and results are where the convention wants them.
    Call(u64, HelperId),
}

impl MOp {
    /// Does it change the status flags?
    pub fn clobbers_flags(self) -> bool {
        match self {
            MOp::Entry
            | MOp::Head
            | MOp::Back
            | MOp::End
            | MOp::Jcc(_)
            | MOp::Copy
            | MOp::Lea
            | MOp::Load
            | MOp::LoadSx(_)
            | MOp::Store
            | MOp::Not
            | MOp::Merge
            | MOp::ShiftX(_)
            | MOp::Zext(_)
            | MOp::Sext(_)
            | MOp::Setcc(_)
            | MOp::Cmov(_)
            | MOp::Bswap
            | MOp::SaveFlags
            | MOp::Xchg
            | MOp::Mfence => false,
            MOp::Bmi(b) => b == Bmi::Andn,
            MOp::Vector(v) => v.clobbers_flags(),
            _ => true,
        }
    }
}

/// The memory operand of an instruction; its registers are operands of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MMem {
    /// The segment whose base is added.
    pub segment: Option<Segment>,
    /// `disp` counts from the address of the code.
    pub near: bool,
    /// Is there a base register?
    pub base: bool,
    /// log2 of the index's factor, if there is an index.
    pub index: Option<u8>,
    /// Added.
    pub disp: i32,
    /// A constant of the pool, at `disp`.
    pub pool: bool,
}

/// A host instruction.
#[derive(Clone, Copy, Debug)]
pub struct MInst {
    /// What it does.
    pub op: MOp,
    /// On how much.
    pub width: Width,
    /// Its flags are used: it must be done by the instruction that sets them.
    pub sets_flags: bool,
    /// Number of sources, temporaries and results among the operands.
    pub srcs: u8,
    /// See `srcs`.
    pub temps: u8,
    /// See `srcs`.
    pub defs: u8,
    /// The immediate.
    pub imm: i64,
    /// The memory operand.
    pub mem: Option<MMem>,
    /// The line of the trace that it belongs to (whose fault it raises).
    pub ir: u32,
    /// The exit by which it leaves, or whose code runs if it faults; [`NONE`] without.
    pub exit: u32,
}

impl MInst {
    /// An instruction without operands yet.
    pub fn new(op: MOp, width: Width, ir: u32) -> MInst {
        MInst { op, width, sets_flags: false, srcs: 0, temps: 0, defs: 0, imm: 0, mem: None, ir, exit: NONE }
    }
}

/// How a value is made again from nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remat {
    /// This literal.
    Int(u64),
    /// 8 bytes of the thread's memory: a slot's home.
    Memory(Segment, i32),
    /// The base of a segment.
    Base(Segment),
    /// A vector of zeros.
    Zero,
    /// The constant at this offset of the pool, of so many bytes.
    Pool(u32, u8),
}
