//! Exits: the out-of-line code that puts the guest's state into its homes.
//!
//! An exit's code first makes the flags from where their operands are, then moves all values into their homes at once; none
//! of the moves touches the flags. Then it jumps, by a field that can be patched.

use ir::op::Op;
use ir::types::{ExitId, Flag, Type};

use super::super::CodegenError;
use super::asm::integer::{Plain, Unary};
use super::asm::{Alu, Asm, Mem, Reg, Width};
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
    /// Where it goes, if that is computed.
    pub target: Option<Src>,
}

/// The image (see `select_flags`) of packed flags.
pub fn image_of(packed: u64) -> u64 {
    (packed & 0xd5) << 8 | u64::from(packed & Flag::O.bit() != 0)
}

const RAX: Reg = Reg(0);

/// Runs `f` with a register that holds `a` and is none of those in `avoid`; all registers are as before behind it.
fn with_register(asm: &mut Asm, scratch: Scratch, avoid: &[From], a: From, f: impl FnOnce(&mut Asm, Reg)) {
    let taken = |r: u8| avoid.iter().any(|x| matches!(x, From::Reg(s, _) if *s == r));
    let t = (0..16u8).find(|r| *r != 4 && !taken(*r)).unwrap_or(0);
    let (s, o) = scratch.cell(0);
    asm.store(Width::W64, Mem::segment(s, o), Reg(t));
    load(asm, t, a);
    f(asm, Reg(t));
    asm.mov(Width::W64, Reg(t), Mem::segment(s, o));
}

/// Makes the flags. Operands that are sums or literals go through a register.
pub fn flags(
    asm: &mut Asm,
    flags: FlagsAt,
    scratch: Scratch,
    place: &mut impl FnMut(Src) -> From,
) -> Result<(), CodegenError> {
    match flags {
        // Comparisons of floats are made by the caller, who knows where vectors are.
        FlagsAt::Keep | FlagsAt::Float { .. } => {}
        FlagsAt::Image(o) => restore(asm, scratch, place(Src::Opnd(o))),
        FlagsAt::Literal(packed) => restore(asm, scratch, From::Int(image_of(packed))),
        FlagsAt::Op { op, ty, a, b, c } => {
            let (a, b, c) = (place(a), place(b), place(c));
            let width = width_of(ty);
            if op == Op::FlagsLogic {
                match a {
                    // As of any two equal numbers compared.
                    From::Int(0) => asm.alu(Alu::Cmp, Width::W32, RAX, RAX),
                    From::Reg(r, Tweak::None) => asm.test(width, Reg(r), Reg(r)),
                    From::Mem(s, o, Tweak::None) => asm.alu_imm(Alu::Cmp, width, Mem::segment(s, o), 0),
                    _ => with_register(asm, scratch, &[], a, |asm, t| asm.test(width, t, t)),
                }
                return Ok(());
            }
            if op == Op::FlagsSub {
                match (a, b) {
                    (From::Reg(x, Tweak::None), From::Reg(y, Tweak::None)) => {
                        asm.alu(Alu::Cmp, width, Reg(x), Reg(y));
                        return Ok(());
                    }
                    (From::Reg(x, Tweak::None), From::Mem(s, o, Tweak::None)) => {
                        asm.alu(Alu::Cmp, width, Reg(x), Mem::segment(s, o));
                        return Ok(());
                    }
                    (From::Mem(s, o, Tweak::None), From::Reg(y, Tweak::None)) => {
                        asm.alu_to(Alu::Cmp, width, Mem::segment(s, o), Reg(y));
                        return Ok(());
                    }
                    _ => {}
                }
                if let Some(i) = immediate(b, ty) {
                    match a {
                        From::Reg(x, Tweak::None) => {
                            asm.alu_imm(Alu::Cmp, width, Reg(x), i);
                            return Ok(());
                        }
                        From::Mem(s, o, Tweak::None) => {
                            asm.alu_imm(Alu::Cmp, width, Mem::segment(s, o), i);
                            return Ok(());
                        }
                        _ => {}
                    }
                }
            }
            // In general: a and b in two registers of their own.
            let (s, o) = scratch.cell(1);
            let taken = [a, b, c];
            let second = (0..16u8)
                .rev()
                .find(|r| *r != 4 && !taken.iter().any(|x| matches!(x, From::Reg(q, _) if q == r)))
                .unwrap_or(15);
            let t2 = Reg(second);
            asm.store(Width::W64, Mem::segment(s, o), t2);
            let rax_free = matches!(op, Op::FlagsUmul) || op == Op::FlagsSmul && ty == Type::I8;
            if rax_free {
                multiply(asm, scratch, op, ty, a, b, t2);
            } else {
                let avoid = [a, b, c, From::Reg(second, Tweak::None)];
                with_register(asm, scratch, &avoid, a, |asm, t| {
                    if matches!(op, Op::FlagsAdc | Op::FlagsSbb) {
                        load(asm, second, c);
                        asm.alu_imm(Alu::Add, Width::W8, t2, -1);
                    }
                    load(asm, second, b);
                    match op {
                        Op::FlagsSub => asm.alu(Alu::Cmp, width, t, t2),
                        Op::FlagsAdc => asm.alu(Alu::Adc, width, t, t2),
                        Op::FlagsSbb => asm.alu(Alu::Sbb, width, t, t2),
                        Op::FlagsSmul => asm.imul(width, t, t2),
                        _ => asm.alu(Alu::Add, width, t, t2),
                    }
                });
            }
            asm.mov(Width::W64, t2, Mem::segment(s, o));
        }
    }
    Ok(())
}

/// Flags of a multiplication through `rax` and `rdx`.
fn multiply(asm: &mut Asm, scratch: Scratch, op: Op, ty: Type, a: From, b: From, t: Reg) {
    let (s0, o0) = scratch.cell(0);
    let (s2, o2) = scratch.cell(2);
    load(asm, t.0, b);
    // `t` may be rdx or rax itself; the product is taken from memory then.
    let (s3, o3) = scratch.cell(3);
    asm.store(Width::W64, Mem::segment(s3, o3), t);
    if t != RAX {
        asm.store(Width::W64, Mem::segment(s0, o0), RAX);
    }
    if t != Reg::RDX {
        asm.store(Width::W64, Mem::segment(s2, o2), Reg::RDX);
    }
    load(asm, 0, a);
    let unary = if op == Op::FlagsUmul { Unary::Mul } else { Unary::Imul };
    asm.unary(unary, width_of(ty), Mem::segment(s3, o3));
    if t != Reg::RDX {
        asm.mov(Width::W64, Reg::RDX, Mem::segment(s2, o2));
    }
    if t != RAX {
        asm.mov(Width::W64, RAX, Mem::segment(s0, o0));
    }
}

fn immediate(b: From, ty: Type) -> Option<i32> {
    let From::Int(i) = b else { return None };
    i32::try_from(ty.canonical(i.into())).ok()
}

/// The flags from an image.
fn restore(asm: &mut Asm, scratch: Scratch, image: From) {
    let (s, o) = scratch.cell(0);
    asm.store(Width::W64, Mem::segment(s, o), RAX);
    load(asm, 0, image);
    restore_rax(asm);
    asm.mov(Width::W64, RAX, Mem::segment(s, o));
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
