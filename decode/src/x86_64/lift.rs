//! [`Inst`] → trace IR: the dispatch over [`Sem`], and what all lifters share. The parts are by topic:
//! `operands` (registers, memory, immediates), `integer`, `bits`, `control`, `vector`,
//! `packed`, `float`, `native`.
//!
//! Conventions
//! - A lifter reads everything it needs, then stores to memory, then sets slots. An instruction stores at
//!   most once, as its last access, so a fault leaves the state before the instruction.
//! - Flags are set as recipes where one operation makes them: an exit that needs them computes them, and
//!   nobody else pays.
//! - Flags that the manual leaves undefined get whatever the IR operation defines; the oracle test excepts them by
//!   table (`decode/tests/undefined-flags.txt`).
//! - Not modelled: alignment checks of vector operands in memory (a misaligned `movaps` faults on the CPU), and
//!   the kinds of page faults.

use super::inst::{Flow, Inst};
use super::semantics::{Sem, semantics};
use super::slots;
use crate::{Fp, GuestPc, Lifted};
use iced_x86::{EncodingKind, Instruction};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::Addr;
use ir::types::{Cond, Flag, Operand, Type};

/// Writes one instruction.
pub(super) struct Lifter<'a> {
    pub(super) b: &'a mut Builder,
    pub(super) inst: &'a Inst,
    pub(super) raw: &'a Instruction,
    /// The address of the memory operand, once computed.
    pub(super) addr: Option<Addr>,
    /// VEX encoding: vector results have a destination of their own and are zero-extended.
    pub(super) vex: bool,
}

/// Does the instruction lift without a `native` operation?
pub(super) fn is_modelled(inst: &Inst, fp: Fp) -> bool {
    semantics(inst, fp).is_some()
}

/// See [`crate::Guest::lift`].
pub(super) fn lift(inst: &Inst, bytes: &[u8], fp: Fp, b: &mut Builder) -> Lifted {
    let vex = inst.raw().encoding() == EncodingKind::VEX;
    let mut lifter = Lifter { b, inst, raw: inst.raw(), addr: None, vex };
    match semantics(inst, fp) {
        Some(sem) => {
            if sem.is_float() {
                lifter.b.assume("FpDefault", &[]);
            }
            lifter.lift(sem)
        }
        None => lifter.native(bytes),
    }
}

impl Lifter<'_> {
    fn lift(&mut self, sem: Sem) -> Lifted {
        match sem {
            Sem::Nop => {}
            Sem::Fence => self.b.fence(),
            Sem::Mov => self.mov(),
            Sem::Extend(op) => self.extend(op),
            Sem::Lea => self.lea(),
            Sem::Xchg => self.xchg(),
            Sem::Push => self.push(),
            Sem::Pop => self.pop(),
            Sem::Leave => self.leave(),
            Sem::Alu(op) => self.alu(op),
            Sem::Unary(op) => self.unary(op),
            Sem::Shift(op, flags) => self.shift(op, flags),
            Sem::DoubleShift(left) => self.double_shift(left),
            Sem::MulWide(signed) => self.mul_wide(signed),
            Sem::Imul => self.imul(),
            Sem::Div(signed) => self.div(signed),
            Sem::SignExtendAcc(ty) => self.sign_extend_acc(ty),
            Sem::SignOfAcc(ty) => self.sign_of_acc(ty),
            Sem::Setcc => self.setcc(),
            Sem::Cmovcc => self.cmovcc(),
            Sem::Bit(op) => self.bit(op),
            Sem::BitScan(reverse) => self.bit_scan(reverse),
            Sem::Count(op) => self.count(op),
            Sem::Popcnt => self.popcnt(),
            Sem::Bswap => self.bswap(),
            Sem::Xadd => self.xadd(),
            Sem::Cmpxchg => self.cmpxchg(),
            Sem::CmpxchgPair => self.cmpxchg_pair(),
            Sem::SetCarry(value) => {
                let bit = self.b.bool(value);
                self.set_flag(Flag::C, bit);
            }
            Sem::Cmc => self.complement_carry(),
            Sem::SetDirection(value) => {
                let bit = self.b.bool(value);
                self.b.set(slots::DF, bit);
            }
            Sem::Sahf => self.sahf(),
            Sem::Lahf => self.lahf(),
            Sem::Bmi(op) => self.bmi(op),
            Sem::Movbe => self.movbe(),
            Sem::AddCarry(flag) => self.add_carry(flag),
            Sem::String(op) => self.string(op),
            Sem::ReadSegmentBase(fs) => {
                let base = self.b.get(if fs { slots::FS_BASE } else { slots::GS_BASE });
                let ty = self.width(0);
                let value = self.b.convert(Op::Trunc, Type::I64, ty, base);
                self.write(0, ty, value);
            }

            Sem::VMov => self.vmov(),
            Sem::ScalarMov(ty) => self.scalar_mov(ty),
            Sem::MovInt => self.mov_int(),
            Sem::MovHalf(bit) => self.mov_half(bit),
            Sem::MovCross(high_to_low) => self.mov_cross(high_to_low),
            Sem::VBits(op) => self.vbits(op),
            Sem::VBin(op, lane) | Sem::VFBin(op, lane) => self.vbin(op, lane),
            Sem::VUn(op, lane) => self.vun(op, lane, false),
            Sem::VFUn(op, lane, half) => self.vun(op, lane, half),
            Sem::VShift(op, lane) => self.vshift(op, lane),
            Sem::VShiftBytes(left) => self.vshift_bytes(left),
            Sem::Interleave(part, lane) => self.interleave(part, lane),
            Sem::Shuffle4 => self.shuffle4(),
            Sem::ShuffleHalf(first) => self.shuffle_half(first),
            Sem::Shufps => self.shufps(),
            Sem::Shufpd => self.shufpd(),
            Sem::Palignr => self.palignr(),
            Sem::Pshufb => self.pshufb(),
            Sem::Signs(lane) => self.signs(lane),
            Sem::InsertLane(lane) => self.insert_lane(lane),
            Sem::ExtractLane(lane) => self.extract_lane(lane),
            Sem::Ptest => self.ptest(),
            Sem::Movddup => self.movddup(),
            Sem::ZeroUpper => self.zero_upper(),
            Sem::Broadcast(lane) => self.broadcast(lane),
            Sem::InsertHalf => self.insert_half(),
            Sem::ExtractHalf => self.extract_half(),
            Sem::Permute4 => self.permute4(),
            Sem::Blend(lane) => self.blend(lane),
            Sem::BlendByMask(lane) => self.blend_by_mask(lane),
            Sem::DuplicateLanes(odd) => self.duplicate_lanes(odd),
            Sem::PermuteInPart(lane) => self.permute_in_part(lane),
            Sem::PermuteHalves => self.permute_halves(),
            Sem::BroadcastHalf => self.broadcast_half(),
            Sem::InsertFloat => self.insert_float(),
            Sem::ZeroAll => self.zero_all(),
            Sem::Widen(signed, from, to) => self.widen(signed, from, to),
            Sem::Horizontal(op, lane) | Sem::VFHorizontal(op, lane) => self.horizontal(op, lane),
            Sem::AddSub(lane) => self.add_sub(lane),
            Sem::WithSign(lane) => self.with_sign(lane),
            Sem::MultiplyAddBytes => self.multiply_add_bytes(),
            Sem::MultiplyRound => self.multiply_round(),
            Sem::TestSigns(lane) => self.test_signs(lane),

            Sem::FBin(op, ty) => self.fbin(op, ty),
            Sem::FSqrt(ty) => self.fsqrt(ty),
            Sem::FCompare(ty) => self.fcompare(ty),
            Sem::FMask(ty) => self.fmask(ty),
            Sem::IntToFloat(ty) => self.int_to_float(ty),
            Sem::FloatToInt(op, ty) => self.float_to_int(op, ty),
            Sem::FConvert(op, from, to) => self.fconvert(op, from, to),
            Sem::FRound(ty) => self.fround(ty),
            Sem::VFMask(lane) => self.vfmask(lane),

            Sem::Jcc => return self.jcc(),
            Sem::Loop => return self.loop_branch(),
            Sem::Jmp => return Lifted::Jump { target: self.target(), kind: ExitKind::Jump },
            Sem::JmpIndirect => {
                let target = self.read(0, Type::I64);
                return Lifted::Indirect { target, kind: ExitKind::Jump };
            }
            Sem::Call => {
                self.push_return_address();
                return Lifted::Jump { target: self.target(), kind: ExitKind::Call };
            }
            Sem::CallIndirect => {
                let target = self.read(0, Type::I64);
                self.push_return_address();
                return Lifted::Indirect { target, kind: ExitKind::Call };
            }
            Sem::Ret => return self.ret(),
            Sem::Syscall => {
                return Lifted::Leave { resume: self.inst.next_pc(), kind: ExitKind::Syscall };
            }
        }
        Lifted::Next
    }

    fn target(&self) -> GuestPc {
        self.inst.flow().target().unwrap_or(self.inst.next_pc())
    }

    // --- flags -------------------------------------------------------------------------------------

    /// The flags are those of this operation on operands of type `ty`.
    pub(super) fn flags_are(&mut self, op: Op, ty: Type, operands: &[Operand]) {
        self.b.set_recipe(slots::FLAGS, op, ty, 0, operands);
    }

    /// Z S P of the result, C and O 0.
    pub(super) fn logic_flags(&mut self, ty: Type, result: Operand) {
        self.flags_are(Op::FlagsLogic, ty, &[result]);
    }

    /// Replaces one flag.
    pub(super) fn set_flag(&mut self, flag: Flag, bit: Operand) {
        let flags = self.b.get(slots::FLAGS);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, flag as u8, &[flags, bit]);
    }

    /// One flag as `i1`.
    pub(super) fn get_flag(&mut self, flag: Flag) -> Operand {
        let flags = self.b.get(slots::FLAGS);
        self.b.flag(flag, flags)
    }

    /// The condition of a `jcc`, `setcc` or `cmovcc` as `i1`.
    pub(super) fn condition(&mut self) -> Operand {
        let code = match self.inst.flow() {
            Flow::Jcc { cond, .. } => cond,
            // iced numbers conditions from 1, in the order of their codes.
            _ => (self.raw.condition_code() as u8).wrapping_sub(1),
        };
        let flags = self.b.get(slots::FLAGS);
        self.b.cc(Cond::from_code(code), flags)
    }
}
