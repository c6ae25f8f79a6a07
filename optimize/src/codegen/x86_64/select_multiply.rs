//! High halves of products, divisions, and counts of bits; and operands that have to be extended for them.
//!
//! Quotient and remainder of the same operands come from one instruction; which of them faults is decided there.

use ir::op::{Op, OpEffect};
use ir::trace::Inst;
use ir::types::{Operand, Type};

use super::super::CodegenError;
use super::asm::integer::Count;
use super::asm::{Alu, Shift, Width};
use super::inst::MOp;
use super::select::{Selector, Val, unsupported};
use super::select_flags::width_of;
use crate::regalloc::Role;

const RAX: u8 = 0;
const RDX: u8 = 2;

/// An operand that may have to be zero-extended first, into the register of `made`.
pub(super) struct Extended {
    made: (u32, bool),
    o: Operand,
    ty: Type,
}

impl Selector<'_> {
    pub(super) fn mul_high(&mut self, inst: &Inst, v: u32) {
        let signed = inst.op == Op::Smulh;
        let ty = inst.aty;
        if matches!(ty, Type::I8 | Type::I16) {
            // The product at 32 bits holds it all.
            let (a, b) = (self.new_general(), self.new_general());
            let product = self.new_general();
            self.shift_right(product, v, ty.bits().into(), Width::W32);
            self.begin(MOp::Imul, Width::W32);
            self.src(a, Role::Any);
            self.src(b, Role::Any);
            self.def_(product, Role::Reuse(true));
            self.end(0);
            for (o, t) in [(inst.args[0], a), (inst.args[1], b)] {
                if signed {
                    self.sext(o, ty, Type::I64, t);
                } else {
                    self.zext(o, ty, t);
                }
            }
            return;
        }
        let (a, b) = (self.reg(inst.args[0], ty), self.reg(inst.args[1], ty));
        self.begin(MOp::MulWide(signed), width_of(ty));
        self.src(a, Role::Fixed(RAX));
        self.src(b, Role::Any);
        self.def_(v, Role::DefFixed(RDX));
        self.end(1 << RAX);
    }

    /// `udivw` and its kin: the dividend in two halves.
    pub(super) fn divide_wide(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let signed = matches!(inst.op, Op::Sdivw | Op::Sremw);
        let rest = matches!(inst.op, Op::Uremw | Op::Sremw);
        let ty = inst.aty;
        if ty == Type::I8 {
            // ax = high:low; quotient in al, remainder in ah.
            let (both, low, high) = (self.new_general(), self.new_general(), self.new_general());
            let divisor = self.reg(inst.args[2], ty);
            let ax = if rest { self.new_general() } else { v };
            if rest {
                self.shift_right(ax, v, 8, Width::W32);
            }
            self.begin(MOp::Div8(signed), Width::W8);
            self.src(both, Role::Fixed(RAX));
            self.src(divisor, Role::Use);
            self.def_(ax, Role::DefFixed(RAX));
            self.end_faulting(0);
            self.alu3(Alu::Or, both, low, high);
            self.zext(inst.args[1], ty, low);
            let a = self.reg(inst.args[0], ty);
            self.step(MOp::ShiftImm(Shift::Shl), high, a, 8);
            return Ok(());
        }
        // Quotient and remainder of the same operands come from one instruction.
        let other = self.partner(inst, v);
        let [high, low, divisor] = [0, 1, 2].map(|k| self.reg(inst.args[k], ty));
        self.begin(MOp::Div(signed), width_of(ty));
        self.src(low, Role::Fixed(RAX));
        self.src(high, Role::Fixed(RDX));
        self.src(divisor, Role::Any);
        let (quotient, remainder) = if rest { (other, Some(v)) } else { (Some(v), other) };
        let mut clobbers = 0;
        match quotient {
            Some(q) => self.def_(q, Role::DefFixed(RAX)),
            None => clobbers |= 1 << RAX,
        }
        match remainder {
            Some(r) => self.def_(r, Role::DefFixed(RDX)),
            None => clobbers |= 1 << RDX,
        }
        self.end_faulting(clobbers);
        Ok(())
    }

    /// The value right before this line that the same division makes, if it is needed; it is made here then.
    pub(super) fn partner(&mut self, inst: &Inst, v: u32) -> Option<u32> {
        let before = self.trace.insts.get(self.here.checked_sub(1)? as usize)?;
        let pairs = [(Op::Udivw, Op::Uremw), (Op::Sdivw, Op::Sremw)];
        let fits =
            pairs.iter().any(|(q, r)| before.op == *q && inst.op == *r || before.op == *r && inst.op == *q);
        let w = before.res.0;
        let used = inst.args.iter().any(|o| o.as_value() == Some(before.res));
        let same = fits && !used && before.aty == inst.aty && before.args == inst.args && w != v;
        if !same || !self.is_live(w) || self.pending_uses(w) {
            return None;
        }
        self.done = w;
        Some(w)
    }

    /// Is there a division of the same operands next to this one whose result is used?
    pub(super) fn faults_elsewhere(&self, inst: &Inst) -> bool {
        let near = [self.here.wrapping_sub(1), self.here + 1];
        near.iter().filter_map(|i| self.trace.insts.get(*i as usize)).any(|other| {
            let f = &self.s.facts;
            let signed = |op| matches!(op, Op::Sdivw | Op::Sremw | Op::Sdiv | Op::Srem);
            other.op.info().effect == OpEffect::Fault
                && signed(other.op) == signed(inst.op)
                && other.aty == inst.aty
                && other.args == inst.args
                && (f.uses[other.res.index()] > 0 || f.in_exit[other.res.index()])
        })
    }

    /// Division of operands of one width.
    pub(super) fn divide(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let ty = inst.aty;
        let signed = matches!(inst.op, Op::Sdiv | Op::Srem);
        let rest = matches!(inst.op, Op::Urem | Op::Srem);
        if !matches!(ty, Type::I32 | Type::I64) {
            return Err(unsupported(format_args!("{} of {ty}", inst.op.name())));
        }
        let high = self.new_general();
        let (low, divisor) = (self.reg(inst.args[0], ty), self.reg(inst.args[1], ty));
        self.begin(MOp::Div(signed), width_of(ty));
        self.src(low, Role::Fixed(RAX));
        self.src(high, Role::Fixed(RDX));
        self.src(divisor, Role::Any);
        self.def_(v, Role::DefFixed(if rest { RDX } else { RAX }));
        self.end_faulting(if rest { 1 << RAX } else { 1 << RDX });
        if signed {
            self.begin(MOp::ShiftImm(Shift::Sar), width_of(ty));
            self.cur().imm = i64::from(ty.bits() - 1);
            self.src(low, Role::Any);
            self.def_(high, Role::Reuse(false));
            self.end(0);
            Ok(())
        } else {
            self.constant(0, high)
        }
    }

    pub(super) fn ctz(&mut self, inst: &Inst, v: u32) {
        let ty = inst.aty;
        if matches!(ty, Type::I32 | Type::I64) {
            let a = Extended { made: (self.reg(inst.args[0], ty), false), o: inst.args[0], ty };
            return self.count(Count::Tzcnt, a, width_of(ty), v);
        }
        // A one bit above the operand gives the width for zero.
        let guarded = self.new_general();
        let a = self.reg(inst.args[0], ty);
        let set = Extended { made: (guarded, false), o: inst.args[0], ty };
        self.count(Count::Tzcnt, set, Width::W32, v);
        self.step32(MOp::Alu(Alu::Or), guarded, a, 1 << ty.bits());
    }

    pub(super) fn clz(&mut self, inst: &Inst, v: u32) {
        let ty = inst.aty;
        if matches!(ty, Type::I32 | Type::I64) {
            let a = Extended { made: (self.reg(inst.args[0], ty), false), o: inst.args[0], ty };
            return self.count(Count::Lzcnt, a, width_of(ty), v);
        }
        let all = self.new_general();
        self.step32(MOp::Alu(Alu::Sub), v, all, i64::from(32 - ty.bits()));
        let a = self.zero_extended(inst.args[0], ty);
        self.count(Count::Lzcnt, a, Width::W32, all);
    }

    // --- operands that have to be extended -----------------------------------------------------------

    /// An operand whose upper bits count, at a narrow type: the register it will be extended into, if it has to be. The
    /// extension stands above the use, so it is made after it, by [`Selector::extend_now`].
    pub(super) fn extended_later(&mut self, o: Operand, ty: Type, signed: Option<bool>) -> (u32, bool) {
        let needs = match signed {
            None => false,
            Some(_) if matches!(ty, Type::I32 | Type::I64) => false,
            Some(true) => true,
            Some(false) => o.as_value().is_some_and(|v| !self.s.facts.clean[v.index()]),
        };
        if !needs {
            return (self.reg(o, ty), false);
        }
        match self.val(o, ty) {
            Val::Imm(i) => (self.int_vreg(i as u64), false),
            Val::Reg(_) => (self.new_general(), true),
        }
    }

    pub(super) fn extend_now(&mut self, made: (u32, bool), o: Operand, ty: Type, signed: Option<bool>) {
        if !made.1 {
            return;
        }
        if signed == Some(true) {
            self.sext(o, ty, Type::I64, made.0);
        } else {
            self.zext(o, ty, made.0);
        }
    }

    /// As [`Selector::extended_later`] for an operand all of whose 64 bits will be looked at.
    pub(super) fn zero_extended_later(&mut self, o: Operand, ty: Type) -> (u32, bool) {
        match o.as_value() {
            Some(v) if ty != Type::I64 && !self.s.facts.clean[v.index()] => (self.new_general(), true),
            _ => (self.reg(o, ty), false),
        }
    }

    /// The operand, zero-extended to 64 bits, made just above what was selected last.
    pub(super) fn zero_extended(&mut self, o: Operand, ty: Type) -> Extended {
        let made = self.zero_extended_later(o, ty);
        Extended { made, o, ty }
    }

    pub(super) fn count(&mut self, op: Count, a: Extended, width: Width, v: u32) {
        self.begin(MOp::Count(op), width);
        self.src(a.made.0, Role::Any);
        self.def_(v, Role::Def);
        self.end(0);
        self.extend_now(a.made, a.o, a.ty, Some(false));
    }
}
