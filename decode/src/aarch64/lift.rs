//! [`Form`] → trace IR: the dispatch, and what all parts share. Parts: `integer`, `memory`, `system` (branches are here), `vector`.
//!
//! Conventions
//! - A lifter reads everything it needs, then stores to memory, then sets slots, so a fault leaves the state before the
//!   instruction. Pairs of stores may have done the first when the second faults, as on the CPU.
//! - Flags are recipes where one operation makes them. C is kept inverted (see `slots`): a comparison is then
//!   exactly `flags.sub`, and conditions have x86's names.
//! - Under [`Fp::AssumeDefault`] floating point is SSE's, and a guard leaves to the instruction (`as step`) when a result is
//!   NaN, or whatever else the two machines do differently. Under [`Fp::Native`] it is a call of the reference
//!   ([`super::soft`]), which never leaves. Vector instructions without operations of the IR are calls, or leave, likewise.

use super::inst::{Data, Extend, Form, Logic, Shift};
use super::slots;
use crate::{Fp, GuestPc, Lifted};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{Addr, Inst};
use ir::types::{ClassId, Cond, ExitId, Operand, Pc, SlotId, Type};

/// Writes one instruction.
pub(super) struct Lifter<'a> {
    pub(super) b: &'a mut Builder,
    pub(super) pc: u64,
    pub(super) fp: Fp,
}

/// See [`crate::Guest::lift`].
pub(super) fn lift(form: &Form, pc: u64, fp: Fp, b: &mut Builder) -> Lifted {
    Lifter { b, pc, fp }.form(form)
}

/// The type of a general operation.
pub(super) const fn ty(sf: bool) -> Type {
    if sf { Type::I64 } else { Type::I32 }
}

/// The integer type of `1 << size` bytes.
pub(super) const fn int_type(size: u8) -> Type {
    match size {
        0 => Type::I8,
        1 => Type::I16,
        2 => Type::I32,
        3 => Type::I64,
        _ => Type::I128,
    }
}

impl Lifter<'_> {
    fn form(&mut self, form: &Form) -> Lifted {
        match *form {
            Form::Adr { rd, value } => {
                let v = self.b.i64(value as i64);
                self.set_x(rd, true, v);
            }
            Form::AddImm { sf, sub, flags, rd, rn, imm } => self.add_imm(sf, sub, flags, rd, rn, imm),
            Form::LogicImm { sf, op, rd, rn, imm } => {
                let (a, m) = (self.x(rn, sf), self.b.int(ty(sf), imm.into()));
                let r = self.logic(sf, op, a, m);
                if op == Logic::Ands { self.set_x(rd, sf, r) } else { self.set_xsp(rd, sf, r) }
            }
            Form::MovWide { sf, op, rd, imm, shift } => self.mov_wide(sf, op, rd, imm, shift),
            Form::Bitfield { sf, signed, rd, rn, immr, imms } => {
                self.bitfield(sf, signed, rd, rn, immr.into(), imms.into());
            }
            Form::Extr { sf, rd, rn, rm, lsb } => self.extr(sf, rd, rn, rm, lsb),
            Form::LogicShift { sf, op, invert, rd, rn, rm, shift, amount } => {
                let m = self.shifted(rm, sf, shift, amount);
                let m = if invert { self.b.un(Op::Not, ty(sf), m) } else { m };
                let r = if rn == 31 && op == Logic::Orr {
                    m
                } else {
                    let a = self.x(rn, sf);
                    self.logic(sf, op, a, m)
                };
                self.set_x(rd, sf, r);
            }
            Form::AddShift { sf, sub, flags, rd, rn, rm, shift, amount } => {
                let m = self.shifted(rm, sf, shift, amount);
                let a = self.x(rn, sf);
                let r = self.add_sub(sf, sub, flags, a, m);
                self.set_x(rd, sf, r);
            }
            Form::AddExtend { sf, sub, flags, rd, rn, rm, extend } => {
                let m = self.extended(rm, sf, extend);
                let a = self.xsp(rn, sf);
                let r = self.add_sub(sf, sub, flags, a, m);
                if flags { self.set_x(rd, sf, r) } else { self.set_xsp(rd, sf, r) }
            }
            Form::AddCarry { sf, sub, flags, rd, rn, rm } => self.add_carry(sf, sub, flags, rd, rn, rm),
            Form::CondCompare { sf, sub, rn, rm, imm, cond, nzcv } => {
                self.cond_compare(sf, sub, rn, rm, imm, cond, nzcv);
            }
            Form::CondSelect { sf, invert, increment, rd, rn, rm, cond } => {
                self.cond_select(sf, invert, increment, rd, rn, rm, cond);
            }
            Form::One { sf, op, rd, rn } => self.one(sf, op, rd, rn),
            Form::Two { sf, op, rd, rn, rm } => self.two_registers(sf, op, rd, rn, rm),
            Form::Multiply { sf, op, rd, rn, rm, ra } => self.multiply(sf, op, rd, rn, rm, ra),

            Form::Branch { target, link } => {
                if link {
                    self.link();
                }
                let kind = if link { ExitKind::Call } else { ExitKind::Jump };
                return Lifted::Jump { target: GuestPc(target), kind };
            }
            Form::BranchCond { target, cond: 14 | 15 } => {
                return Lifted::Jump { target: GuestPc(target), kind: ExitKind::Jump };
            }
            Form::BranchCond { target, cond } => {
                let cond = self.condition(cond);
                return Lifted::Branch { cond, taken: GuestPc(target) };
            }
            Form::CompareBranch { sf, nonzero, rt, target } => {
                let (a, zero) = (self.x(rt, sf), self.b.int(ty(sf), 0));
                let cond = self.b.bin(if nonzero { Op::Ne } else { Op::Eq }, ty(sf), a, zero);
                return Lifted::Branch { cond, taken: GuestPc(target) };
            }
            Form::TestBranch { bit, nonzero, rt, target } => {
                let a = self.x(rt, true);
                let (mask, zero) = (self.b.i64((1u64 << bit) as i64), self.b.i64(0));
                let a = self.b.bin(Op::And, Type::I64, a, mask);
                let cond = self.b.bin(if nonzero { Op::Ne } else { Op::Eq }, Type::I64, a, zero);
                return Lifted::Branch { cond, taken: GuestPc(target) };
            }
            Form::BranchReg { rn, link, ret } => {
                let target = self.x(rn, true);
                if link {
                    self.link();
                }
                let kind = match (link, ret) {
                    (true, _) => ExitKind::Call,
                    (_, true) => ExitKind::Return,
                    _ => ExitKind::Jump,
                };
                return Lifted::Indirect { target, kind };
            }

            Form::Svc => {
                return Lifted::Leave { resume: GuestPc(self.pc).offset(4), kind: ExitKind::Syscall };
            }
            Form::Brk => return self.leave(ExitKind::Trap(super::TRAP_BREAKPOINT)),
            Form::Nop | Form::Isb | Form::Prefetch => {}
            Form::Barrier => self.b.fence(),
            Form::Clrex => self.clear_monitor(),
            Form::Mrs { rt, reg } => return self.mrs(rt, reg),
            Form::Msr { rt, reg } => return self.msr(rt, reg),
            Form::DcZva { rt } => self.zero_block(rt),
            Form::Cache { instructions: false, .. } => {}
            Form::Cache { .. } => return self.leave(ExitKind::Trap(super::TRAP_CODE_CHANGED)),

            Form::LoadLiteral { data, rt, addr } => {
                let base = self.b.i64(addr as i64);
                let v = self.load_data(data, Addr::new(base, 0), slots::MEMORY);
                self.set_data(data, rt, v);
            }
            Form::Load { data, rt, rn, mode } => self.load(data, rt, rn, mode),
            Form::Store { data, rt, rn, mode } => self.store(data, rt, rn, mode),
            Form::LoadPair { data, rt, rt2, rn, mode } => self.load_pair(data, rt, rt2, rn, mode),
            Form::StorePair { data, rt, rt2, rn, mode } => self.store_pair(data, rt, rt2, rn, mode),
            Form::LoadAcquire { size, rt, rn } => {
                let (base, class) = self.base(rn);
                let data = Data::General { size, signed: None };
                let v = self.load_data(data, Addr::new(base, 0), class);
                self.set_data(data, rt, v);
            }
            Form::StoreRelease { size, rt, rn } => {
                let (base, class) = self.base(rn);
                let data = Data::General { size, signed: None };
                self.store_data(data, rt, Addr::new(base, 0), class);
                self.b.fence();
            }
            Form::LoadExclusive { size, pair, rt, rt2, rn } => self.load_exclusive(size, pair, rt, rt2, rn),
            Form::StoreExclusive { size, pair, rs, rt, rt2, rn } => {
                return self.store_exclusive(size, pair, rs, rt, rt2, rn);
            }
            Form::CompareSwap { size, rs, rt, rn } => self.compare_swap(size, rs, rt, rn),
            Form::CompareSwapPair { size, rs, rt, rn } => return self.compare_swap_pair(size, rs, rt, rn),
            Form::Atomic { size, op, rs, rt, rn } => self.atomic(size, op, rs, rt, rn),
            Form::Structures { load, q, size, interleave, registers, rt, rn, post } => {
                self.structures(load, q, size, interleave, registers, rt, rn, post);
            }
            Form::Structure { load, size, index, count, rt, rn, post } => {
                self.structure(load, size, index, count, rt, rn, post);
            }
            Form::Replicate { q, size, count, rt, rn, post } => self.replicate(q, size, count, rt, rn, post),
            Form::Simd(s) => return self.simd(&s),
        }
        Lifted::Next
    }

    /// Not lifted: left to whoever runs the trace.
    pub(super) fn leave(&self, kind: ExitKind) -> Lifted {
        Lifted::Leave { resume: GuestPc(self.pc), kind }
    }

    /// An exit to this very instruction, to be executed by other means. Only before any slot is set.
    pub(super) fn step_exit(&mut self) -> ExitId {
        self.b.exit(Pc::Addr(self.pc), ExitKind::Step)
    }

    fn link(&mut self) {
        let back = self.b.i64(self.pc.wrapping_add(4) as i64);
        self.b.set(slots::x(30), back);
    }

    // --- registers ---------------------------------------------------------------------------------

    /// A general register, 31 being zero.
    pub(super) fn x(&mut self, n: u8, sf: bool) -> Operand {
        if n == 31 {
            return self.b.int(ty(sf), 0);
        }
        let v = self.b.get(slots::x(n));
        self.b_narrow(v, sf)
    }

    /// A general register, 31 being the stack pointer.
    pub(super) fn xsp(&mut self, n: u8, sf: bool) -> Operand {
        let v = self.b.get(slots::x(n));
        self.b_narrow(v, sf)
    }

    fn b_narrow(&mut self, v: Operand, sf: bool) -> Operand {
        if sf {
            v
        } else if let Some(value) = self.b.trace().literal_int(v) {
            self.b.int(Type::I32, value)
        } else {
            self.b.convert(Op::Trunc, Type::I64, Type::I32, v)
        }
    }

    /// Sets a general register to a value of that width; 31 keeps nothing.
    pub(super) fn set_x(&mut self, n: u8, sf: bool, v: Operand) {
        if n != 31 {
            self.set_slot(slots::x(n), sf, v);
        }
    }

    /// Likewise, 31 being the stack pointer.
    pub(super) fn set_xsp(&mut self, n: u8, sf: bool, v: Operand) {
        self.set_slot(slots::x(n), sf, v);
    }

    fn set_slot(&mut self, slot: SlotId, sf: bool, v: Operand) {
        let v = if sf {
            v
        } else if let Some(value) = self.b.trace().literal_int(v) {
            self.b.int(Type::I64, i128::from(value as u32))
        } else {
            self.b.convert(Op::Zext, Type::I32, Type::I64, v)
        };
        self.b.set(slot, v);
    }

    /// A register shifted by a literal.
    pub(super) fn shifted(&mut self, rm: u8, sf: bool, shift: Shift, amount: u8) -> Operand {
        let v = self.x(rm, sf);
        if amount == 0 || rm == 31 {
            return v;
        }
        let op = match shift {
            Shift::Lsl => Op::Shl,
            Shift::Lsr => Op::Shr,
            Shift::Asr => Op::Sar,
            Shift::Ror => Op::Ror,
        };
        let by = self.b.int(ty(sf), amount.into());
        self.b.bin(op, ty(sf), v, by)
    }

    /// A register extended and shifted.
    pub(super) fn extended(&mut self, rm: u8, sf: bool, e: Extend) -> Operand {
        let to = ty(sf);
        let from = Type::int(e.bits.into()).unwrap_or(to);
        let v = self.x(rm, sf || e.bits == 64);
        let v = if rm == 31 || u32::from(e.bits) >= to.bits() {
            self.x(rm, sf)
        } else {
            let v = self.b.convert(Op::Trunc, to, from, v);
            self.b.convert(if e.signed { Op::Sext } else { Op::Zext }, from, to, v)
        };
        if e.shift == 0 {
            return v;
        }
        let by = self.b.int(to, e.shift.into());
        self.b.bin(Op::Shl, to, v, by)
    }

    /// The base register of an address and the class of what is there.
    pub(super) fn base(&mut self, rn: u8) -> (Operand, ClassId) {
        let class = if rn == 31 || rn == 29 { slots::STACK } else { slots::MEMORY };
        (self.b.get(slots::x(rn)), class)
    }

    // --- flags -------------------------------------------------------------------------------------

    /// The line that makes a value, if it is near the end of the trace.
    pub(super) fn line_of(&self, o: Operand) -> Option<Inst> {
        let v = o.as_value()?;
        self.b.trace().insts.iter().rev().take(64).find(|i| i.has_result() && i.res == v).copied()
    }

    /// A condition of the architecture, as `i1`.
    pub(super) fn condition(&mut self, cond: u8) -> Operand {
        if cond >= 14 {
            return self.b.bool(true);
        }
        if let Some(c) = self.compared_floats(cond).or_else(|| self.compared_if(cond)) {
            return c;
        }
        let flags = self.b.get(slots::FLAGS);
        self.b.cc(cond_of(cond), flags)
    }

    /// After `fcmp`: straight from the floats (see `vector`, which writes this shape).
    fn compared_floats(&mut self, cond: u8) -> Option<Operand> {
        let recipe = self.b.recipe(slots::FLAGS)?;
        if recipe.op != Op::FlagsPack {
            return None;
        }
        // image = (unordered << 11) | (equal << 6) | less * 0x81
        let or = self.line_of(recipe.args[0]).filter(|i| i.op == Op::Or)?;
        let less = self.line_of(or.args[1]).filter(|i| i.op == Op::Select)?;
        let flt = self.line_of(less.args[0]).filter(|i| i.op == Op::Flt)?;
        let (float, a, b) = (flt.aty, flt.args[0], flt.args[1]);
        let (op, x, y) = match cond & !1 {
            0 => (Op::Feq, a, b),
            // cs: not less. mi: less.
            2 | 4 => (Op::Flt, a, b),
            6 => (Op::Funo, a, b),
            // hi: greater or unordered, so not less or equal.
            8 => (Op::Fle, a, b),
            // ge, gt: as ordered comparisons of b with a.
            10 => (Op::Fle, b, a),
            _ => (Op::Flt, b, a),
        };
        let direct = matches!(cond & !1, 0 | 4 | 6 | 10 | 12);
        let c = self.b.bin(op, float, x, y);
        Some(if direct == (cond & 1 == 0) { c } else { self.b.un(Op::Not, Type::I1, c) })
    }

    /// After `ccmp`: without making flags of both sides (see `integer`, which writes this shape).
    fn compared_if(&mut self, cond: u8) -> Option<Operand> {
        let recipe = self.b.recipe(slots::FLAGS)?;
        if recipe.op != Op::FlagsPack {
            return None;
        }
        let select = self.line_of(recipe.args[0]).filter(|i| i.op == Op::Select)?;
        let unpack = self.line_of(select.args[1]).filter(|i| i.op == Op::FlagsUnpack)?;
        let literal = self.b.trace().literal_int(select.args[2])?;
        let cond = cond_of(cond);
        let holds = self.b.cc(cond, unpack.args[0]);
        let otherwise = self.b.bool(cond.holds(literal as u64));
        Some(self.b.select(Type::I1, select.args[0], holds, otherwise))
    }

    /// The flags are those of this operation, but C (the architecture's) is as said.
    pub(super) fn flags_with_carry(&mut self, flags: Operand, inverted: Operand) {
        let c = ir::types::Flag::C as u8;
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, c, &[flags, inverted]);
    }
}

/// The condition on flags with inverted C.
pub(super) fn cond_of(cond: u8) -> Cond {
    use Cond::*;
    const ALL: [Cond; 14] = [E, Ne, Ae, B, S, Ns, O, No, A, Be, Ge, L, G, Le];
    ALL[usize::from(cond) % 14]
}

/// The packed image of the architecture's four flags.
pub fn packed(nzcv: u32) -> u64 {
    let bit = |from: u32, to: u32| u64::from(nzcv >> from & 1) << to;
    bit(3, 7) | bit(2, 6) | u64::from(nzcv >> 1 & 1 == 0) | bit(0, 11)
}

/// The architecture's four flags from their packed image.
pub fn nzcv(packed: u64) -> u32 {
    let bit = |from: u32, to: u32| (packed >> from & 1) as u32 * (1 << to);
    bit(7, 3) | bit(6, 2) | (bit(0, 1) ^ 2) | bit(11, 0)
}
