//! Shifts and rotations.
//!
//! The machine takes the amount modulo 32 or 64; the operations of the IR give 0, or all sign bits, when the amount is at least the width. Where known bits do not
//! exclude that, the result is corrected.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Operand, Type};

use super::super::CodegenError;
use super::asm::{Shift, Width};
use super::inst::MOp;
use super::prepare::is_general;
use super::select::Selector;
use super::select_flags::{wide_of, width_of};
use crate::regalloc::Role;

const RCX: u8 = 1;

impl Selector<'_> {
    /// The largest number an operand can be, as far as its definition tells.
    pub(super) fn at_most(&self, o: Operand, ty: Type, depth: u32) -> u64 {
        if let Some(i) = self.literal(o, ty) {
            return i as u64 & ty.mask64();
        }
        let Some(inst) = self.def_of(o) else { return ty.mask64() };
        match inst.op {
            Op::And if depth < 4 => {
                self.at_most(inst.args[0], ty, depth + 1).min(self.at_most(inst.args[1], ty, depth + 1))
            }
            Op::Zext if is_general(inst.aty) => self.at_most(inst.args[0], inst.aty, depth + 1),
            Op::Trunc if is_general(inst.aty) => {
                self.at_most(inst.args[0], inst.aty, depth + 1).min(ty.mask64())
            }
            Op::Clz | Op::Ctz | Op::Popcnt => ty.bits().into(),
            _ => ty.mask64(),
        }
    }

    pub(super) fn shift(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (ty, bits) = (inst.aty, u64::from(inst.aty.bits()));
        let op = match inst.op {
            Op::Shl => Shift::Shl,
            Op::Shr => Shift::Shr,
            _ => Shift::Sar,
        };
        let wide = wide_of(ty);
        // Right shifts look at the upper bits.
        let a = match inst.op {
            Op::Shl => None,
            Op::Shr => Some(false),
            _ => Some(true),
        };
        if let Some(n) = self.literal(inst.args[1], ty) {
            let n = n as u64 & ty.mask64();
            if n >= bits && op != Shift::Sar {
                return self.constant(0, v);
            }
            let n = n.min(bits - 1);
            let src = self.extended_later(inst.args[0], ty, a);
            self.begin(MOp::ShiftImm(op), wide);
            self.cur().imm = n as i64;
            self.src(src.0, Role::Any);
            self.def_(v, Role::Reuse(false));
            self.end(0);
            self.extend_now(src, inst.args[0], ty, a);
            return Ok(());
        }
        let count_bits = if wide == Width::W64 { 64 } else { 32 };
        let max = self.at_most(inst.args[1], ty, 0);
        let src = self.extended_later(inst.args[0], ty, a);
        if max < count_bits {
            let n = self.reg(inst.args[1], ty);
            self.begin(MOp::ShiftX(op), wide);
            self.src(src.0, Role::Any);
            self.src(n, Role::Use);
            self.def_(v, Role::Def);
            self.end(0);
            self.extend_now(src, inst.args[0], ty, a);
            return Ok(());
        }
        // Any amount: 0 (or all sign bits) when it is too large.
        let n = self.zero_extended_later(inst.args[1], ty);
        if op == Shift::Sar {
            // min(n, width - 1)
            let least = self.new_general();
            let limit = self.int_vreg(bits - 1);
            self.begin(MOp::ShiftX(op), wide);
            self.src(src.0, Role::Any);
            self.src(least, Role::Use);
            self.def_(v, Role::Def);
            self.end(0);
            self.flush(self.here + 1);
            self.begin(MOp::Cmov(Cond::A), Width::W32);
            self.src(n.0, Role::Any);
            self.src(limit, Role::Use);
            self.def_(least, Role::Reuse(false));
            self.end(0);
            self.begin_raw(MOp::Cmp, wide);
            self.src(n.0, Role::Any);
            self.cur().imm = bits as i64 - 1;
            self.end(0);
        } else {
            let shifted = self.new_general();
            let zero = self.int_vreg(0);
            self.flush(self.here + 1);
            self.begin(MOp::Cmov(Cond::A), wide);
            self.src(shifted, Role::Any);
            self.src(zero, Role::Use);
            self.def_(v, Role::Reuse(false));
            self.end(0);
            self.begin_raw(MOp::Cmp, wide);
            self.src(n.0, Role::Any);
            self.cur().imm = bits as i64 - 1;
            self.end(0);
            self.begin(MOp::ShiftX(op), wide);
            self.src(src.0, Role::Any);
            self.src(n.0, Role::Use);
            self.def_(shifted, Role::Def);
            self.end(0);
        }
        self.extend_now(n, inst.args[1], ty, Some(false));
        self.extend_now(src, inst.args[0], ty, a);
        Ok(())
    }

    pub(super) fn rotate(&mut self, inst: &Inst, v: u32) {
        let op = if inst.op == Op::Rol { Shift::Rol } else { Shift::Ror };
        let (ty, width) = (inst.aty, width_of(inst.aty));
        let a = self.reg(inst.args[0], ty);
        match self.literal(inst.args[1], ty) {
            Some(n) => {
                self.begin(MOp::ShiftImm(op), width);
                self.cur().imm = n & i64::from(ty.bits() - 1);
                self.src(a, Role::Any);
            }
            None => {
                let n = self.reg(inst.args[1], ty);
                self.begin(MOp::ShiftCl(op), width);
                self.src(a, Role::Any);
                self.src(n, Role::Fixed(RCX));
            }
        }
        self.def_(v, Role::Reuse(false));
        self.end(0);
    }

    pub(super) fn shift_right(&mut self, from: u32, to: u32, by: i64, width: Width) {
        self.begin(MOp::ShiftImm(Shift::Shr), width);
        self.cur().imm = by;
        self.src(from, Role::Any);
        self.def_(to, Role::Reuse(false));
        self.end(0);
    }
}
