//! Exits: the out-of-line code that puts the guest's state into its homes.
//!
//! An exit's code first makes the flags from where their operands are, then moves all values into their homes at once; none
//! of the moves touches the flags. Then it jumps, by a field that can be patched.

use ir::op::Op;
use ir::types::{ExitId, Flag, Type};
use smallvec::SmallVec;

use super::super::CodegenError;
use super::asm::integer::{Plain, Unary};
use super::asm::{Alu, Asm, Mem, Reg, Rm, Width};
use super::moves::{From, Scratch, Tweak, load};
use super::select_flags::width_of;
use super::vinst::Merge;

/// What an exit needs for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Src {
    /// The operand with this index in the pool.
    Opnd(u32),
    /// The operand with this index, changed on the way.
    Tweaked(u32, Tweak),
    /// A literal.
    Int(u64),
    /// The vector operand with the first index, part of it replaced by the low part of that with the second.
    Merged(u32, u32, Merge),
    /// The same, but of a lane of that with the second index.
    MergedLane(u32, u32, Lane),
}

/// A lane of a vector as an exit takes it out: it is not made in the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Where it begins, in bits.
    pub bit: u16,
    /// What it replaces.
    pub kind: Merge,
    /// Does the rest of the low 128 bits become zero?
    pub zero: bool,
}

/// How an exit makes the flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlagsAt {
    /// They are in place.
    Keep,
    /// From an image.
    Image(u32),
    /// These, packed.
    Literal(u64),
    /// Of a comparison of two floats.
    Float {
        /// Their type.
        ty: Type,
        /// First operand.
        a: u32,
        /// Second operand.
        b: u32,
    },
    /// By this operation.
    Op {
        /// One of `flags.…`
        op: Op,
        /// Of its operands.
        ty: Type,
        /// First operand.
        a: Src,
        /// Second operand.
        b: Src,
        /// Carry in.
        c: Src,
    },
}

/// A slot and its value at an exit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitItem {
    /// The slot.
    pub slot: u16,
    /// Its value.
    pub src: Src,
}

/// An exit as taken at one instruction.
#[derive(Clone, Copy, Debug)]
pub struct ExitRecord {
    /// The trace's exit.
    pub id: ExitId,
    /// Range of its items.
    pub items: (u32, u32),
    /// The flags.
    pub flags: FlagsAt,
    /// The slot in memory that gets an image of them.
    pub image: Option<u16>,
    /// Where it goes, if that is computed.
    pub target: Option<Src>,
}

/// The image (see `select_flags`) of packed flags.
pub fn image_of(packed: u64) -> u64 {
    (packed & 0xd5) << 8 | u64::from(packed & Flag::O.bit() != 0)
}

const RAX: Reg = Reg(0);

/// Registers for the time that the flags are made.
struct Temps {
    scratch: Scratch,
    /// Those whose content nobody needs any more.
    free: u16,
    /// Those that hold operands.
    taken: u16,
    /// Those whose content is in scratch memory, in order of their cells.
    saved: SmallVec<[Reg; 2]>,
}

impl Temps {
    fn take(&mut self, asm: &mut Asm) -> Reg {
        let free = self.free & !self.taken;
        if free != 0 {
            let r = Reg(free.trailing_zeros() as u8);
            self.taken |= 1 << r.0;
            return r;
        }
        let r = Reg((!self.taken & !(1 << Reg::RSP.0)).trailing_zeros().min(15) as u8);
        self.taken |= 1 << r.0;
        let (s, o) = self.scratch.cell(self.saved.len() as i32);
        asm.store(Width::W64, Mem::segment(s, o), r);
        self.saved.push(r);
        r
    }

    fn give_back(self, asm: &mut Asm) {
        for (i, r) in self.saved.iter().enumerate() {
            let (s, o) = self.scratch.cell(i as i32);
            asm.mov(Width::W64, *r, Mem::segment(s, o));
        }
    }
}

/// Makes the flags. `free` are registers whose content nobody needs any more.
pub fn flags(
    asm: &mut Asm,
    flags: FlagsAt,
    scratch: Scratch,
    free: u16,
    place: &mut impl FnMut(Src) -> From,
) -> Result<(), CodegenError> {
    match flags {
        // Comparisons of floats are made by the caller, who knows where vectors are.
        FlagsAt::Keep | FlagsAt::Float { .. } => {}
        FlagsAt::Image(o) => restore(asm, scratch, free, place(Src::Opnd(o))),
        FlagsAt::Literal(packed) => restore(asm, scratch, free, From::Int(image_of(packed))),
        FlagsAt::Op { op, ty, a, b, c } => {
            let (a, b, c) = (place(a), place(b), place(c));
            let width = width_of(ty);
            let taken = [a, b, c].iter().fold(0, |m, x| if let From::Reg(r, _) = x { m | 1 << r } else { m });
            if op == Op::FlagsUmul || op == Op::FlagsSmul && ty == Type::I8 {
                multiply(asm, scratch, op, ty, a, b);
                return Ok(());
            }
            let mut temps = Temps { scratch, free: free & !(1 << Reg::RSP.0), taken, saved: SmallVec::new() };
            let b = if op == Op::FlagsLogic { a } else { b };
            let carry = matches!(op, Op::FlagsAdc | Op::FlagsSbb);
            // The first operand: in place where nothing is written.
            let reads = matches!(op, Op::FlagsSub | Op::FlagsLogic);
            let first: Rm = match a {
                From::Reg(r, Tweak::None) if reads => Reg(r).into(),
                From::Mem(s, o, Tweak::None) if reads && !(op == Op::FlagsSub && needs_register(b, ty)) => {
                    Mem::segment(s, o).into()
                }
                _ => {
                    let t = temps.take(asm);
                    load(asm, t.0, a);
                    t.into()
                }
            };
            if op == Op::FlagsLogic {
                match first {
                    Rm::Reg(r) => asm.test(width, r, r),
                    first => asm.alu_imm(Alu::Cmp, width, first, 0),
                }
                temps.give_back(asm);
                return Ok(());
            }
            let second = match b {
                From::Reg(r, Tweak::None) => Some(Reg(r)),
                _ if op == Op::FlagsSmul || immediate(b, ty).is_none() => {
                    let t = temps.take(asm);
                    load(asm, t.0, b);
                    Some(t)
                }
                _ => None,
            };
            if carry {
                let t = temps.take(asm);
                load(asm, t.0, c);
                asm.alu_imm(Alu::Add, Width::W8, t, -1);
            }
            let alu = match op {
                Op::FlagsSub => Alu::Cmp,
                Op::FlagsAdc => Alu::Adc,
                Op::FlagsSbb => Alu::Sbb,
                _ => Alu::Add,
            };
            match (first, second) {
                (Rm::Reg(x), Some(y)) if op == Op::FlagsSmul => asm.imul(width, x, y),
                (Rm::Reg(x), Some(y)) => asm.alu(alu, width, x, y),
                (Rm::Mem(x), Some(y)) => asm.alu_to(alu, width, x, y),
                (x, None) => asm.alu_imm(alu, width, x, immediate(b, ty).unwrap_or(0)),
            }
            temps.give_back(asm);
        }
    }
    Ok(())
}

/// Must it be brought into a register to be the second operand?
fn needs_register(b: From, ty: Type) -> bool {
    !matches!(b, From::Reg(_, Tweak::None)) && immediate(b, ty).is_none()
}

/// Flags of a multiplication through `rax` and `rdx`.
fn multiply(asm: &mut Asm, scratch: Scratch, op: Op, ty: Type, a: From, b: From) {
    // A register that is none of theirs brings the second factor to memory, where the product takes it from.
    let taken = |r: u8| matches!(a, From::Reg(s, _) if s == r) || matches!(b, From::Reg(s, _) if s == r);
    let t = Reg((6..16u8).find(|r| !taken(*r)).unwrap_or(6));
    let cell = |i| {
        let (s, o) = scratch.cell(i);
        Mem::segment(s, o)
    };
    asm.store(Width::W64, cell(0), t);
    load(asm, t.0, b);
    asm.store(Width::W64, cell(3), t);
    asm.mov(Width::W64, t, cell(0));
    asm.store(Width::W64, cell(1), RAX);
    asm.store(Width::W64, cell(2), Reg::RDX);
    load(asm, 0, a);
    let unary = if op == Op::FlagsUmul { Unary::Mul } else { Unary::Imul };
    asm.unary(unary, width_of(ty), cell(3));
    asm.mov(Width::W64, Reg::RDX, cell(2));
    asm.mov(Width::W64, RAX, cell(1));
}

fn immediate(b: From, ty: Type) -> Option<i32> {
    let From::Int(i) = b else { return None };
    i32::try_from(ty.canonical(i.into())).ok()
}

/// The flags from an image.
fn restore(asm: &mut Asm, scratch: Scratch, free: u16, image: From) {
    let (s, o) = scratch.cell(0);
    let keep = free & 1 == 0;
    if keep {
        asm.store(Width::W64, Mem::segment(s, o), RAX);
    }
    load(asm, 0, image);
    restore_rax(asm);
    if keep {
        asm.mov(Width::W64, RAX, Mem::segment(s, o));
    }
}

/// The flags from the image in `rax`: the overflow flag by an addition, the others by `sahf`.
pub fn restore_rax(asm: &mut Asm) {
    asm.alu_imm(Alu::Add, Width::W8, RAX, 0x7f);
    asm.plain(Plain::Sahf);
}

/// The image of the flags into `rax`.
pub fn save_rax(asm: &mut Asm) {
    asm.plain(Plain::Lahf);
    asm.setcc(ir::types::Cond::O, RAX);
}
