//! Instructions on vector registers as selection makes them, and their bytes.
//!
//! A [`VOp`] is one instruction in either of the two encodings. A trace is compiled with one of them ([`Kit::vex`]):
//!
//! - *legacy*: nothing in it works on more than 128 bits. The destination is the first source too, and what lies above the
//!   bits written stays in the register.
//! - *VEX*: destinations of their own; everything above the bits written becomes 0.
//! - *high* ([`Kit::high`], with AVX-512): EVEX instructions on up to 256 bits, whose values are all in registers 16 to 31. The guest's registers 0 to
//!   15 stay where they are, and the upper parts that slow legacy code down are never touched: nothing to save, nothing to check at exits.
//!   Comparisons and a few others have no such form; a trace with them is compiled with VEX.

use super::super::Host;
use super::asm::vector::{self as row, Blendv, Cross, L128, L256, Length, V, VShift};
use super::asm::{Asm, Mem, Reg, Width, XRm, Xmm};
use ir::op::Op;
use ir::trace::Trace;
use ir::types::{Cond, Type};

/// Which encodings a trace uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kit {
    /// VEX instructions.
    pub vex: bool,
    /// EVEX instructions and registers 16 to 31 instead.
    pub high: bool,
    /// Length of a whole vector register on this machine: 0 for 128 bits, 1 for 256, 2 for 512.
    pub whole: u8,
}

/// How much of a vector an exit replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merge {
    /// The low 32 bits.
    F32,
    /// The low 64 bits.
    F64,
    /// The low 128 bits.
    V128,
}

/// What an instruction does with its sources `a`, `b` (the last of which may be memory).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// `a op b`, whole or low lanes.
    Bin(V),
    /// `a op b`, and the operands may change places.
    Sym(V),
    /// `a op b` by a choice.
    BinImm(V, u8),
    /// `op a`
    Un(V),
    /// `op a` by a choice.
    UnImm(V, u8),
    /// `a + b op c`, the first source being the destination (always a VEX instruction).
    Fused(V),
    /// `op a` on the low lane; the rest comes from elsewhere.
    Low(V),
    /// [`What::Low`] by a choice.
    LowImm(V, u8),
    /// Lanes shifted by a constant.
    Shift(VShift, u8),
    /// `memory = a`
    Store(V),
    /// `memory = part of a`
    StoreImm(V, u8),
    /// From a general register (or memory); the rest of 128 bits is 0.
    To,
    /// An integer converted to a float.
    ToFloat(Cross),
    /// To a general register.
    From(Cross),
    /// `a` with lane `.0` replaced by general `b`.
    Insert(u8),
    /// Lane `.0` of `a` into a general register or memory.
    Extract(u8),
    /// `b` where the top bits of the mask (last source) are 1, else `a`.
    Blend(Blendv),
    /// All bits 0.
    Zero,
    /// All bits 1.
    Ones,
    /// The flags as `op a, b` sets them.
    Flags(V),
    /// `b` if the condition holds, else `a`.
    Select(Cond),
    /// Wide `a` with its part number `.1` of `.0` bits replaced by `b` (VEX).
    PutPart(u16, u8),
    /// Part number `.1` of `.0` bits of wide `a` (VEX).
    GetPart(u16, u8),
}

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VOp {
    /// What it does.
    pub what: What,
    /// On how much: [`L128`] (also scalars), [`L256`], or 2 for 512 bits.
    pub length: u8,
}

impl VOp {
    /// On 128 bits, or scalar.
    pub fn new(what: What) -> VOp {
        VOp { what, length: 0 }
    }

    /// Does it change the status flags?
    pub fn clobbers_flags(self) -> bool {
        matches!(self.what, What::Flags(_))
    }

    /// Must the result have the register of the first operand in this encoding, and may it have that of the second instead?
    pub fn reuses(self, vex: bool) -> Option<bool> {
        match self.what {
            What::Select(_) | What::Fused(_) => Some(false),
            What::Sym(_) if !vex => Some(true),
            What::Bin(_) | What::BinImm(..) | What::Shift(..) | What::Insert(_) | What::Blend(_) if !vex => {
                Some(false)
            }
            _ => None,
        }
    }
}

/// A source where the allocator put it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A vector register.
    Vector(Xmm),
    /// A general register.
    General(Reg),
    /// Memory.
    Memory(Mem),
}

impl Place {
    fn xmm(self) -> Xmm {
        match self {
            Place::Vector(x) => x,
            // The roles given in selection exclude it.
            Place::General(r) => Xmm(r.0),
            Place::Memory(_) => Xmm(0),
        }
    }

    fn xrm(self) -> XRm {
        match self {
            Place::Memory(m) => XRm::Mem(m),
            other => XRm::Reg(other.xmm()),
        }
    }

    fn rm(self) -> super::asm::Rm {
        match self {
            Place::Memory(m) => m.into(),
            Place::General(r) => r.into(),
            Place::Vector(x) => Reg(x.0).into(),
        }
    }
}

/// Does the line have EVEX forms? What is forgotten here costs a second compilation.
fn in_high(inst: &ir::trace::Inst) -> bool {
    !matches!(
        inst.op,
        Op::Native
            | Op::Call
            | Op::VBlend
            | Op::VSigns
            | Op::VEq
            | Op::VSgt
            | Op::VFeq
            | Op::VFlt
            | Op::VFle
            | Op::VFuno
            | Op::Feq
            | Op::Flt
            | Op::Fle
            | Op::Funo
            | Op::Fround
            | Op::Ffma
            | Op::VFfma
            | Op::FlagsFcmp
    )
}

impl Kit {
    /// What a trace needs: VEX when something in it works on more than 128 bits, or clears what lies above them.
    ///
    /// `high`: may it be EVEX?
    pub fn of(trace: &Trace, host: &dyn Host, high: bool) -> Kit {
        let wide = |ty: Type| matches!(ty, Type::V256 | Type::V512);
        let above = |bit: Option<usize>, part: Type| bit.unwrap_or(0) + part.bits() as usize > 128;
        let needs = trace.insts.iter().any(|i| match i.op {
            Op::Slot | Op::Phi | Op::Pick | Op::Native | Op::Call | Op::Trunc => i.ty == Type::V256,
            // There is no other encoding of it.
            Op::Ffma | Op::VFfma => true,
            Op::Insert => i.ty == Type::V256 || above(i.args[2].as_index(), i.aty),
            Op::Extract => i.ty == Type::V256 || above(i.args[1].as_index(), i.ty),
            _ => wide(i.ty) || wide(i.aty),
        });
        let whole = match host.vector_bytes() {
            64 => 2,
            32 => 1,
            _ => 0,
        };
        let vex = needs && host.features().v256;
        let high = vex && high && whole == 2 && host.features().v512 && trace.insts.iter().all(in_high);
        Kit { vex, high, whole }
    }

    /// Copies a register as far as `bytes` go (or further).
    pub fn copy(self, asm: &mut Asm, bytes: u32, to: Xmm, from: Xmm) {
        if to == from {
            return;
        }
        match self.length(bytes) {
            n if n == 2 || self.high => asm.evex_un(row::MOVAPS, n, to, from),
            1 => asm.avx_un(row::MOVAPS, L256, to, from),
            _ if self.vex => asm.avx_un(row::MOVAPS, L128, to, from),
            _ => asm.sse(row::MOVAPS, to, from),
        }
    }

    /// Loads `bytes` (4, 8, 16, 32, 64; no alignment); what lies above 4 or 8 up to 16 becomes 0.
    pub fn load(self, asm: &mut Asm, bytes: u32, to: Xmm, from: Mem) {
        let op = match bytes {
            4 => row::MOVSS_LOAD,
            8 => row::MOVSD_LOAD,
            _ => row::MOVUPS,
        };
        match self.length(bytes) {
            n if n == 2 || self.high => asm.evex_un(op, n, to, from),
            1 => asm.avx_un(op, L256, to, from),
            _ if self.vex => asm.avx_un(op, L128, to, from),
            _ => asm.sse(op, to, from),
        }
    }

    /// Stores the low `bytes` (4, 8, 16, 32, 64; no alignment).
    pub fn store(self, asm: &mut Asm, bytes: u32, to: Mem, from: Xmm) {
        let op = match bytes {
            4 => row::MOVSS_STORE,
            8 => row::MOVSD_STORE,
            _ => row::MOVUPS_STORE,
        };
        match self.length(bytes) {
            n if n == 2 || self.high => asm.evex_un(op, n, from, to),
            1 => asm.avx_un(op, L256, from, to),
            _ if self.vex => asm.avx_un(op, L128, from, to),
            _ => asm.sse(op, from, to),
        }
    }

    /// Vector length for this many bytes, as far as the machine has it.
    fn length(self, bytes: u32) -> u8 {
        let wanted = match bytes {
            // Legacy code never touches upper parts.
            _ if !self.vex => 0,
            64 => 2,
            32 => 1,
            _ => 0,
        };
        wanted.min(self.whole)
    }

    /// All bits of the low 128 become 0 (with VEX: of the whole register).
    pub fn zero(self, asm: &mut Asm, to: Xmm) {
        if self.high {
            asm.evex(row::XORPS, 0, to, to, to);
        } else if self.vex {
            asm.avx(row::XORPS, L128, to, to, to);
        } else {
            asm.sse(row::XORPS, to, to);
        }
    }

    /// The bytes of an instruction. `width` is that of its general operand.
    pub fn emit(self, asm: &mut Asm, op: VOp, width: Width, def: Option<Place>, srcs: &[Place]) {
        if self.high {
            self.emit_high(asm, op, width, def, srcs);
        } else if self.vex {
            self.emit_vex(asm, op, width, def, srcs);
        } else {
            self.emit_legacy(asm, op, width, def, srcs);
        }
    }

    fn emit_legacy(self, asm: &mut Asm, op: VOp, width: Width, def: Option<Place>, srcs: &[Place]) {
        let dst = def.map_or(Xmm(0), Place::xmm);
        // What the two-operand forms start from.
        let start = |asm: &mut Asm, a: Place| {
            let a = a.xrm();
            if a == XRm::Reg(dst) {
                return;
            }
            asm.sse(row::MOVAPS, dst, a);
        };
        let place = |n: usize| srcs.get(n).copied().unwrap_or(Place::Vector(dst));
        let last = srcs.last().copied().unwrap_or(Place::Vector(dst));
        match op.what {
            What::Bin(v) => {
                start(asm, place(0));
                asm.sse(v, dst, last.xrm());
            }
            What::Sym(v) => {
                if last.xrm() == XRm::Reg(dst) {
                    asm.sse(v, dst, place(0).xrm());
                } else {
                    start(asm, place(0));
                    asm.sse(v, dst, last.xrm());
                }
            }
            What::BinImm(v, imm) => {
                start(asm, place(0));
                asm.sse_imm(v, dst, last.xrm(), imm);
            }
            What::Un(v) => asm.sse(v, dst, last.xrm()),
            What::UnImm(v, imm) => asm.sse_imm(v, dst, last.xrm(), imm),
            What::Low(v) => {
                let from = Self::low_source(asm, dst, last);
                asm.sse(v, dst, from);
            }
            What::LowImm(v, imm) => {
                let from = Self::low_source(asm, dst, last);
                asm.sse_imm(v, dst, from, imm);
            }
            What::Shift(v, by) => {
                start(asm, place(0));
                asm.sse_shift(v, dst, by);
            }
            What::Store(v) | What::StoreImm(v, _) => {
                if let (Some(Place::Vector(from)), XRm::Mem(to)) = (srcs.first(), last.xrm()) {
                    match op.what {
                        What::StoreImm(v, imm) => asm.sse_imm(v, *from, to, imm),
                        _ => asm.sse(v, *from, to),
                    }
                }
            }
            What::To => asm.sse_from(Cross::MovTo, width, dst, last.rm()),
            What::ToFloat(v) => {
                // The rest of the register is not to be waited for.
                asm.sse(row::XORPS, dst, dst);
                asm.sse_from(v, width, dst, last.rm());
            }
            What::From(v) => {
                if let Some(Place::General(to)) = def {
                    asm.sse_to(v, width, to, last.xrm());
                }
            }
            What::Insert(lane) => {
                start(asm, place(0));
                asm.sse_insert(width, dst, last.rm(), lane);
            }
            What::Extract(lane) => {
                let to = def.unwrap_or(last);
                asm.sse_extract(width, to.rm(), place(0).xmm(), lane);
            }
            What::Blend(v) => {
                // The mask is in xmm0, by its role.
                start(asm, place(0));
                asm.sse_blendv(v, dst, place(1).xrm());
            }
            What::Zero => asm.sse(row::XORPS, dst, dst),
            What::Ones => asm.sse(row::PCMPEQD, dst, dst),
            What::Flags(v) => asm.sse(v, place(0).xmm(), last.xrm()),
            // Selection makes these with VEX only.
            What::PutPart(..) | What::GetPart(..) | What::Fused(_) => {
                debug_assert!(false, "wide parts in legacy code")
            }
            What::Select(cond) => {
                start(asm, place(0));
                let over = asm.jcc_short(cond.negate());
                self.copy(asm, 16 << op.length, dst, last.xmm());
                asm.land(over);
            }
        }
    }

    /// The source of an instruction on the low lane, brought into the destination first if its rest would else be waited for.
    fn low_source(asm: &mut Asm, dst: Xmm, from: Place) -> XRm {
        match from.xrm() {
            XRm::Reg(x) if x != dst => {
                asm.sse(row::MOVAPS, dst, x);
                XRm::Reg(dst)
            }
            other => other,
        }
    }

    fn emit_vex(self, asm: &mut Asm, op: VOp, width: Width, def: Option<Place>, srcs: &[Place]) {
        let dst = def.map_or(Xmm(0), Place::xmm);
        let place = |n: usize| srcs.get(n).copied().unwrap_or(Place::Vector(dst));
        let (a, last) = (place(0), srcs.last().copied().unwrap_or(Place::Vector(dst)));
        let length = Length(op.length.min(1));
        let wide = op.length == 2;
        match op.what {
            What::Bin(v) | What::Sym(v) if wide => asm.evex(v, 2, dst, a.xmm(), last.xrm()),
            What::Bin(v) | What::Sym(v) => asm.avx(v, length, dst, a.xmm(), last.xrm()),
            What::BinImm(v, imm) if wide => asm.evex_imm(v, 2, dst, a.xmm(), last.xrm(), imm),
            What::BinImm(v, imm) => asm.avx_imm(v, length, dst, a.xmm(), last.xrm(), imm),
            What::Fused(v) => {
                self.copy(asm, 16 << op.length, dst, a.xmm());
                asm.avx(v, length, dst, place(1).xmm(), last.xrm());
            }
            What::Un(v) if wide => asm.evex_un(v, 2, dst, last.xrm()),
            What::Un(v) => asm.avx_un(v, length, dst, last.xrm()),
            What::UnImm(v, imm) => asm.avx_un_imm(v, length, dst, last.xrm(), imm),
            What::Low(v) => {
                let rest = self.rest(asm, dst, last);
                asm.avx(v, L128, dst, rest, last.xrm());
            }
            What::LowImm(v, imm) => {
                let rest = self.rest(asm, dst, last);
                asm.avx_imm(v, L128, dst, rest, last.xrm(), imm);
            }
            What::Shift(v, by) => asm.avx_shift(v, length, dst, a.xmm(), by),
            What::Store(v) => {
                if wide {
                    asm.evex_un(v, 2, a.xmm(), last.xrm());
                } else {
                    asm.avx_un(v, length, a.xmm(), last.xrm());
                }
            }
            What::StoreImm(v, imm) => asm.avx_un_imm(v, length, a.xmm(), last.xrm(), imm),
            What::To => asm.avx_from(Cross::MovTo, width, dst, dst, last.rm()),
            What::ToFloat(v) => {
                self.zero(asm, dst);
                asm.avx_from(v, width, dst, dst, last.rm());
            }
            What::From(v) => {
                if let Some(Place::General(to)) = def {
                    asm.avx_to(v, width, length, to, last.xrm());
                }
            }
            What::Insert(lane) => asm.avx_insert(width, dst, a.xmm(), last.rm(), lane),
            What::Extract(lane) => {
                let to = def.unwrap_or(last);
                asm.avx_extract(width, to.rm(), a.xmm(), lane);
            }
            What::Blend(v) => asm.avx_blendv(v, length, dst, a.xmm(), place(1).xrm(), last.xmm()),
            What::Zero => self.zero(asm, dst),
            What::Ones => asm.avx(row::PCMPEQD, length, dst, dst, dst),
            What::Flags(v) => asm.avx_un(v, length, a.xmm(), last.xrm()),
            What::PutPart(bits, at) => asm.evex_insert(bits.into(), dst, a.xmm(), last.xmm(), at),
            What::GetPart(bits, at) if wide => asm.evex_extract(bits.into(), dst, a.xmm(), at),
            What::GetPart(_, at) => asm.avx_un_imm(row::VEXTRACTF128, L256, a.xmm(), XRm::Reg(dst), at),
            What::Select(cond) => {
                self.copy(asm, 16 << op.length, dst, a.xmm());
                let over = asm.jcc_short(cond.negate());
                self.copy(asm, 16 << op.length, dst, last.xmm());
                asm.land(over);
            }
        }
    }

    fn emit_high(self, asm: &mut Asm, op: VOp, width: Width, def: Option<Place>, srcs: &[Place]) {
        let dst = def.map_or(Xmm(0), Place::xmm);
        let place = |n: usize| srcs.get(n).copied().unwrap_or(Place::Vector(dst));
        let (a, last) = (place(0), srcs.last().copied().unwrap_or(Place::Vector(dst)));
        let length = op.length;
        match op.what {
            What::Bin(v) | What::Sym(v) => asm.evex(v, length, dst, a.xmm(), last.xrm()),
            What::BinImm(v, imm) => asm.evex_imm(v, length, dst, a.xmm(), last.xrm(), imm),
            What::Un(v) => asm.evex_un(v, length, dst, last.xrm()),
            What::UnImm(v, imm) => asm.evex_un_imm(v, length, dst, last.xrm(), imm),
            What::Low(v) => {
                let rest = self.rest(asm, dst, last);
                asm.evex(v, 0, dst, rest, last.xrm());
            }
            What::LowImm(v, imm) => {
                let rest = self.rest(asm, dst, last);
                asm.evex_imm(v, 0, dst, rest, last.xrm(), imm);
            }
            What::Shift(v, by) => asm.evex_shift(v, length, dst, a.xmm(), by),
            What::Store(v) => asm.evex_un(v, length, a.xmm(), last.xrm()),
            What::StoreImm(v, imm) => asm.evex_un_imm(v, length, a.xmm(), last.xrm(), imm),
            What::To => asm.evex_from(Cross::MovTo, width, dst, dst, last.rm()),
            What::ToFloat(v) => {
                self.zero(asm, dst);
                asm.evex_from(v, width, dst, dst, last.rm());
            }
            What::From(v) => {
                if let Some(Place::General(to)) = def {
                    asm.evex_to(v, width, to, last.xrm());
                }
            }
            What::Insert(lane) => asm.evex_insert_lane(width, dst, a.xmm(), last.rm(), lane),
            What::Extract(lane) => {
                let to = def.unwrap_or(last);
                asm.evex_extract_lane(width, to.rm(), a.xmm(), lane);
            }
            What::Zero => self.zero(asm, dst),
            What::Ones => asm.evex_ones(length, dst),
            What::Flags(v) => asm.evex_un(v, length, a.xmm(), last.xrm()),
            What::PutPart(bits, at) => asm.evex_insert(bits.into(), dst, a.xmm(), last.xmm(), at),
            What::GetPart(bits, at) if length == 2 => asm.evex_extract(bits.into(), dst, a.xmm(), at),
            What::GetPart(_, at) => asm.evex_un_imm(row::VEXTRACTF128, 1, a.xmm(), XRm::Reg(dst), at),
            What::Select(cond) => {
                self.copy(asm, 16 << op.length, dst, a.xmm());
                let over = asm.jcc_short(cond.negate());
                self.copy(asm, 16 << op.length, dst, last.xmm());
                asm.land(over);
            }
            What::Blend(_) | What::Fused(_) => asm.no_evex(),
        }
    }

    /// The register that the rest of a low-lane result comes from: the source itself, so that nothing else is waited for.
    fn rest(self, asm: &mut Asm, dst: Xmm, from: Place) -> Xmm {
        match from.xrm() {
            XRm::Reg(x) => x,
            XRm::Mem(_) => {
                self.zero(asm, dst);
                dst
            }
        }
    }
}
