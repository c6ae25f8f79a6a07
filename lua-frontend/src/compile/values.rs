//! From descriptors to registers: loads, stores and branches.
//!
//! *Discharging* a descriptor emits the load that it stands for, with the destination open if possible; the other
//! functions go on to a given register, the next one or any. Instructions that are pure tests (`ISTC`) may also deliver the
//! tested value, which is how `a or b` gets by without a copy.

use super::Compiler;
use super::code::Constant;
use super::expression::{Exp, JumpList, Key, Kind, NO_REG, Pc, Reg, WideNumber, primitive};
use crate::bytecode::{self as bc, Op, abc, ad, aj};
use crate::syntax::{Result, Symbol};

/// The value of a number that fits a 16-bit operand.
pub(super) fn as_short(number: f64) -> Option<i16> {
    let short = number as i16;
    (f64::from(short) == number).then_some(short)
}

impl Compiler<'_> {
    /// Gives the register of a value in a register back.
    pub(super) fn free_exp(&mut self, e: &Exp) {
        if let Kind::Register(reg) = e.kind {
            self.free_register(reg);
        }
    }

    /// Emits the load that a variable or field stands for; its destination stays open.
    pub(super) fn discharge(&mut self, e: &mut Exp) -> Result<()> {
        let ins = match e.kind {
            Kind::Upvalue { index, .. } => ad(Op::UGET, 0, u16::from(index)),
            Kind::Global(name) => {
                let k = self.string_constant(name);
                ad(Op::GGET, 0, Self::constant_operand(k))
            }
            Kind::Indexed { table, key } => {
                let ins = match key {
                    Key::String(k) => abc(Op::TGETS, 0, table, k),
                    Key::Byte(k) => abc(Op::TGETB, 0, table, k),
                    Key::Register(reg) => {
                        self.free_register(reg);
                        abc(Op::TGETV, 0, table, reg)
                    }
                };
                self.free_register(table);
                ins
            }
            Kind::Call { base, .. } | Kind::NavigatedCall { base, .. } => {
                e.kind = Kind::Register(base);
                return Ok(());
            }
            Kind::Local { reg, .. } => {
                e.kind = Kind::Register(reg);
                return Ok(());
            }
            _ => return Ok(()),
        };
        e.kind = Kind::Relocatable(self.emit(ins)?);
        Ok(())
    }

    /// Sets `count` registers to nil, extending the instruction before if it does the same.
    pub(super) fn emit_nil(&mut self, from: Reg, count: u32) -> Result<()> {
        let mut from = u32::from(from);
        let mut last = from + count - 1;
        let pc = self.f.pc();
        if pc > self.f.last_target {
            let previous = self.f.code[pc as usize - 1];
            let (start, d) = (bc::a(previous) as u32, bc::d(previous) as u32);
            match bc::op(previous) {
                Some(Op::KPRI) if d == 0 && (from == start || from == start + 1) => {
                    if from == start && count == 1 {
                        return Ok(());
                    }
                    from = start;
                    last = last.max(start);
                    self.f.code[pc as usize - 1] = ad(Op::KNIL, from as Reg, last as u16);
                    return Ok(());
                }
                Some(Op::KNIL) if start <= from && from <= d + 1 => {
                    if last > d {
                        self.f.set_d(pc - 1, last as u16);
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        let ins =
            if count == 1 { ad(Op::KPRI, from as Reg, 0) } else { ad(Op::KNIL, from as Reg, last as u16) };
        self.emit(ins)?;
        Ok(())
    }

    /// Moves the value proper to a register; pending jumps stay. Comparisons and nothing are left alone.
    pub(super) fn load_ignoring_jumps(&mut self, e: &mut Exp, reg: Reg) -> Result<()> {
        self.discharge(e)?;
        match e.kind {
            Kind::String(symbol) => {
                let k = self.string_constant(symbol);
                self.emit(ad(Op::KSTR, reg, Self::constant_operand(k)))?;
            }
            Kind::Number(number) => {
                let ins = match as_short(number) {
                    Some(short) => ad(Op::KSHORT, reg, short as u16),
                    None => {
                        let k = self.number_constant(number);
                        ad(Op::KNUM, reg, Self::constant_operand(k))
                    }
                };
                self.emit(ins)?;
            }
            Kind::Wide(number) => {
                self.f.flags.ffi = true;
                let k = self.object_constant(match number {
                    WideNumber::Int64(n) => Constant::Int64(n),
                    WideNumber::Uint64(n) => Constant::Uint64(n),
                    WideNumber::Complex(re, im) => Constant::Complex(re, im),
                });
                self.emit(ad(Op::KCDATA, reg, Self::constant_operand(k)))?;
            }
            Kind::Relocatable(pc) => self.f.set_a(pc, reg),
            Kind::Register(from) => {
                if from != reg {
                    self.emit(ad(Op::MOV, reg, u16::from(from)))?;
                }
            }
            Kind::Nil => self.emit_nil(reg, 1)?,
            Kind::False => {
                self.emit(ad(Op::KPRI, reg, 1))?;
            }
            Kind::True => {
                self.emit(ad(Op::KPRI, reg, 2))?;
            }
            _ => return Ok(()),
        }
        e.kind = Kind::Register(reg);
        Ok(())
    }

    /// Moves the value to a register, with the outcome of pending jumps.
    pub(super) fn load_to(&mut self, e: &mut Exp, reg: Reg) -> Result<()> {
        self.load_ignoring_jumps(e, reg)?;
        let comparison = if let Kind::Jump(pc) = e.kind {
            let mut t = e.t;
            self.append(&mut t, JumpList(Some(pc)))?;
            e.t = t;
            true
        } else {
            false
        };
        if e.has_jumps() {
            let (mut load_false, mut load_true) = (0, 0);
            if self.f.lacks_value(e.t) || self.f.lacks_value(e.f) {
                let around = if comparison { JumpList::EMPTY } else { JumpList(Some(self.emit_jump()?)) };
                load_false = self.emit(ad(Op::KPRI, reg, 1))?;
                self.emit(aj(Op::JMP, self.f.free as Reg, 1))?;
                load_true = self.emit(ad(Op::KPRI, reg, 2))?;
                self.jump_here(around)?;
            }
            let end = self.f.pc();
            self.f.last_target = end;
            self.patch_values(e.f, end, reg, load_false)?;
            self.patch_values(e.t, end, reg, load_true)?;
        }
        *e = Exp::new(Kind::Register(reg));
        Ok(())
    }

    /// Moves the value to the next register.
    pub(super) fn load_next(&mut self, e: &mut Exp) -> Result<()> {
        self.discharge(e)?;
        self.free_exp(e);
        self.reserve(1)?;
        self.load_to(e, (self.f.free - 1) as Reg)
    }

    /// The register of the value; constants and loads get the next one.
    pub(super) fn load_any(&mut self, e: &mut Exp) -> Result<Reg> {
        self.discharge(e)?;
        if let Kind::Register(reg) = e.kind {
            if !e.has_jumps() {
                return Ok(reg);
            }
            if u32::from(reg) >= self.f.active {
                self.load_to(e, reg)?;
                return Ok(reg);
            }
        }
        self.load_next(e)?;
        Ok(match e.kind {
            Kind::Register(reg) => reg,
            _ => NO_REG,
        })
    }

    /// Discharges unless it must be in a register because jumps wait for it.
    pub(super) fn load_value(&mut self, e: &mut Exp) -> Result<()> {
        if e.has_jumps() {
            self.load_any(e)?;
            Ok(())
        } else {
            self.discharge(e)
        }
    }

    /// Stores `e` to the variable or field `target`, and gives the register of `e` back.
    pub(super) fn store(&mut self, target: &Exp, e: &mut Exp) -> Result<()> {
        let ins = match target.kind {
            Kind::Local { reg, var } => {
                self.vars[var as usize].assigned = true;
                self.free_exp(e);
                return self.load_to(e, reg);
            }
            Kind::Upvalue { index, var } => {
                self.vars[var as usize].assigned = true;
                self.load_value(e)?;
                match (primitive(e.kind), e.kind) {
                    (Some(value), _) => ad(Op::USETP, index, value),
                    (_, Kind::String(symbol)) => {
                        let k = self.string_constant(symbol);
                        ad(Op::USETS, index, Self::constant_operand(k))
                    }
                    (_, Kind::Number(number)) => {
                        let k = self.number_constant(number);
                        ad(Op::USETN, index, Self::constant_operand(k))
                    }
                    _ => {
                        let reg = self.load_any(e)?;
                        ad(Op::USETV, index, u16::from(reg))
                    }
                }
            }
            Kind::Global(name) => {
                let reg = self.load_any(e)?;
                let k = self.string_constant(name);
                ad(Op::GSET, reg, Self::constant_operand(k))
            }
            Kind::Indexed { table, key } => {
                let reg = self.load_any(e)?;
                match key {
                    Key::String(k) => abc(Op::TSETS, reg, table, k),
                    Key::Byte(k) => abc(Op::TSETB, reg, table, k),
                    Key::Register(key) => abc(Op::TSETV, reg, table, key),
                }
            }
            _ => return Ok(()),
        };
        self.emit(ins)?;
        if let Kind::Register(reg) = e.kind
            && u32::from(reg) >= self.f.active
        {
            // The key of a table constructor may lie above the value.
            self.f.free -= 1;
        }
        Ok(())
    }

    /// Turns `t` (in a register) into the field `key` (a value already).
    pub(super) fn index(&mut self, t: &mut Exp, key: &mut Exp) -> Result<()> {
        let Kind::Register(table) = t.kind else { return Ok(()) };
        let key = self.index_key(key)?;
        t.kind = Kind::Indexed { table, key };
        Ok(())
    }

    /// The key operand for a value.
    pub(super) fn index_key(&mut self, key: &mut Exp) -> Result<Key> {
        match key.kind {
            Kind::Number(number) if (0.0..256.0).contains(&number) && number.trunc() == number => {
                return Ok(Key::Byte(number as u8));
            }
            Kind::String(symbol) => {
                if let Ok(k) = u8::try_from(self.string_constant(symbol)) {
                    return Ok(Key::String(k));
                }
            }
            _ => {}
        }
        Ok(Key::Register(self.load_any(key)?))
    }

    /// `e:name`: the function to the next register, the object behind the frame slots.
    pub(super) fn method(&mut self, e: &mut Exp, name: Symbol) -> Result<()> {
        let object = self.load_any(e)?;
        self.free_exp(e);
        let function = self.f.free as Reg;
        self.bump(3)?;
        self.emit(ad(Op::MOV, function + 2, u16::from(object)))?;
        let k = self.string_constant(name);
        if let Ok(k) = u8::try_from(k) {
            self.reserve(3)?;
            self.emit(abc(Op::TGETS, function, object, k))?;
        } else {
            self.reserve(4)?;
            self.emit(ad(Op::KSTR, function + 3, Self::constant_operand(k)))?;
            self.emit(abc(Op::TGETV, function, object, function + 3))?;
            self.f.free -= 1;
        }
        e.kind = Kind::Register(function);
        Ok(())
    }

    // -- Branches --

    /// Inverts the test in front of the jump of a comparison.
    pub(super) fn invert(&mut self, jump: Pc) {
        let at = jump.saturating_sub(1);
        if let Some(op) = bc::Op::from_u8(bc::op_byte(self.f.code[at as usize]) ^ 1) {
            self.f.set_op(at, op);
        }
    }

    /// A jump taken when `e` (discharged) is `condition`; the value may be kept.
    fn branch(&mut self, e: &mut Exp, condition: bool) -> Result<JumpList> {
        if let Kind::Relocatable(pc) = e.kind {
            let ins = self.f.code[pc as usize];
            if bc::op(ins) == Some(Op::NOT) {
                let op = if condition { Op::ISF } else { Op::IST };
                self.f.code[pc as usize] = ad(op, 0, bc::d(ins) as u16);
                return Ok(JumpList(Some(self.emit_jump()?)));
            }
        }
        if !matches!(e.kind, Kind::Register(_)) {
            self.reserve(1)?;
            self.load_ignoring_jumps(e, (self.f.free - 1) as Reg)?;
        }
        let reg = match e.kind {
            Kind::Register(reg) => reg,
            _ => NO_REG,
        };
        self.emit(ad(if condition { Op::ISTC } else { Op::ISFC }, NO_REG, u16::from(reg)))?;
        let jump = self.emit_jump()?;
        self.free_exp(e);
        Ok(JumpList(Some(jump)))
    }

    /// Falls through when `e` is true; the jumps for false are in `e.f`.
    pub(super) fn branch_if_false(&mut self, e: &mut Exp) -> Result<()> {
        self.discharge(e)?;
        let jump = match e.kind {
            Kind::String(_) | Kind::Number(_) | Kind::True => JumpList::EMPTY,
            Kind::Jump(pc) => {
                self.invert(pc);
                JumpList(Some(pc))
            }
            Kind::False | Kind::Nil => {
                self.load_ignoring_jumps(e, NO_REG)?;
                JumpList(Some(self.emit_jump()?))
            }
            _ => self.branch(e, false)?,
        };
        let mut f = e.f;
        self.append(&mut f, jump)?;
        e.f = f;
        self.jump_here(std::mem::take(&mut e.t))
    }

    /// Falls through when `e` is false; the jumps for true are in `e.t`.
    pub(super) fn branch_if_true(&mut self, e: &mut Exp) -> Result<()> {
        self.discharge(e)?;
        let jump = match e.kind {
            Kind::Nil | Kind::False => JumpList::EMPTY,
            Kind::Jump(pc) => JumpList(Some(pc)),
            Kind::String(_) | Kind::Number(_) | Kind::True => {
                self.load_ignoring_jumps(e, NO_REG)?;
                JumpList(Some(self.emit_jump()?))
            }
            _ => self.branch(e, true)?,
        };
        let mut t = e.t;
        self.append(&mut t, jump)?;
        e.t = t;
        self.jump_here(std::mem::take(&mut e.f))
    }
}
