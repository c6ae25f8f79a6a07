//! Lifting of the stack and of branches.

use super::inst::{Flow, LoopKind};
use super::lift::Lifter;
use super::slots;
use crate::Lifted;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::Addr;
use ir::types::{Flag, Operand, Type};

impl Lifter<'_> {
    // --- stack -------------------------------------------------------------------------------------

    /// The type that a push or pop moves.
    fn stack_type(&self) -> Type {
        if self.inst.stack_increment().unsigned_abs() == 2 { Type::I16 } else { Type::I64 }
    }

    fn push_value(&mut self, ty: Type, value: Operand) {
        let rsp = self.b.get(slots::RSP);
        let bytes = i64::from(ty.bytes());
        self.b.store(ty, value, Addr::new(rsp, -bytes), slots::STACK);
        let bytes = self.b.i64(bytes);
        let below = self.b.bin(Op::Sub, Type::I64, rsp, bytes);
        self.b.set(slots::RSP, below);
    }

    fn pop_value(&mut self, ty: Type, extra: u16) -> Operand {
        let rsp = self.b.get(slots::RSP);
        let value = self.b.load(ty, Addr::new(rsp, 0), slots::STACK);
        let bytes = self.b.i64(i64::from(ty.bytes()) + i64::from(extra));
        let above = self.b.bin(Op::Add, Type::I64, rsp, bytes);
        self.b.set(slots::RSP, above);
        value
    }

    pub(super) fn push(&mut self) {
        let ty = self.stack_type();
        let value = self.read(0, ty);
        self.push_value(ty, value);
    }

    /// A memory operand with `rsp` as base is addressed after the increment, and `pop rsp` keeps what it
    /// popped: both follow from the order here.
    pub(super) fn pop(&mut self) {
        let ty = self.stack_type();
        let value = self.pop_value(ty, 0);
        self.write(0, ty, value);
    }

    pub(super) fn leave(&mut self) {
        let rbp = self.b.get(slots::RBP);
        self.b.set(slots::RSP, rbp);
        let value = self.pop_value(Type::I64, 0);
        self.b.set(slots::RBP, value);
    }

    pub(super) fn push_return_address(&mut self) {
        let next = self.b.i64(self.inst.next_pc().0 as i64);
        self.push_value(Type::I64, next);
    }

    // --- branches ----------------------------------------------------------------------------------

    pub(super) fn ret(&mut self) -> Lifted {
        let pop = match self.inst.flow() {
            Flow::Ret { pop } => pop,
            _ => 0,
        };
        let target = self.pop_value(Type::I64, pop);
        Lifted::Indirect { target, kind: ExitKind::Return }
    }

    pub(super) fn jcc(&mut self) -> Lifted {
        let cond = self.condition();
        match self.inst.flow().target() {
            Some(taken) => Lifted::Branch { cond, taken },
            None => Lifted::Next,
        }
    }

    pub(super) fn loop_branch(&mut self) -> Lifted {
        let Flow::Loop { kind, ecx, target } = self.inst.flow() else { return Lifted::Next };
        let ty = if ecx { Type::I32 } else { Type::I64 };
        let mut counter = self.read_slot(slots::RCX, ty);
        let zero = self.b.int(ty, 0);
        if kind == LoopKind::Jrcxz {
            let cond = self.b.bin(Op::Eq, ty, counter, zero);
            return Lifted::Branch { cond, taken: target };
        }
        let one = self.b.int(ty, 1);
        counter = self.b.bin(Op::Sub, ty, counter, one);
        self.write_slot(slots::RCX, ty, counter);
        let mut cond = self.b.bin(Op::Ne, ty, counter, zero);
        if kind != LoopKind::Loop {
            let mut equal = self.get_flag(Flag::Z);
            if kind == LoopKind::Loopne {
                equal = self.b.un(Op::Not, Type::I1, equal);
            }
            cond = self.b.bin(Op::And, Type::I1, cond, equal);
        }
        Lifted::Branch { cond, taken: target }
    }
}
