//! Conditions and flags.
//!
//! A guard, a `select` or a condition used as a number asks for the flags that decide it ([`Request`]). Going backwards, the
//! request is *pending*: it is met by the instruction above that sets just these flags anyway (`sub` for a compare of its operands, `and` for
//! a test of its result), and else by a `cmp` or `test` placed as high as needed: under the first instruction that
//! would destroy the flags, or under the definition of an operand. Several conditions in a row on the same operands share one compare.
//!
//! A value of type `flags` in a register is an *image*: `ah` as `lahf` makes it, `al` the overflow flag. Only flags that no
//! operands describe have one (of a `native`, at entry, of a loop parameter), or that are computed with.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Flag, Operand, Type};

use super::super::CodegenError;
use super::asm::{Alu, Shift, Width};
use super::inst::MOp;
use super::prepare::is_general;
use super::select::{Selector, Val, unsupported};
use crate::regalloc::Role;

/// RAX.
const RAX: u8 = 0;

/// What sets the flags that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setter {
    /// `a - b`
    Cmp(Val, Val),
    /// `a & b`
    Test(Val, Val),
    /// The flags value of this number.
    Value(u32),
    /// A float comparison of these values, of the request's type.
    Float(Operand, Operand),
}

/// Flags that something selected already needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// What sets them.
    pub setter: Setter,
    /// The type of its operands.
    pub ty: Type,
    /// The flags that are looked at.
    pub need: u16,
}

/// The flags that a condition looks at.
pub fn flags_of(cond: Cond) -> u16 {
    (match cond as u8 >> 1 {
        0 => Flag::O.bit(),
        1 => Flag::C.bit(),
        2 => Flag::Z.bit(),
        3 => Flag::C.bit() | Flag::Z.bit(),
        4 => Flag::S.bit(),
        5 => Flag::P.bit(),
        6 => Flag::S.bit() | Flag::O.bit(),
        _ => Flag::Z.bit() | Flag::S.bit() | Flag::O.bit(),
    }) as u16
}

const ZSP: u16 = (Flag::Z.bit() | Flag::S.bit() | Flag::P.bit()) as u16;

/// The condition when the compared operands change places.
fn swapped(cond: Cond) -> Cond {
    match cond {
        Cond::B => Cond::A,
        Cond::A => Cond::B,
        Cond::Ae => Cond::Be,
        Cond::Be => Cond::Ae,
        Cond::L => Cond::G,
        Cond::G => Cond::L,
        Cond::Ge => Cond::Le,
        Cond::Le => Cond::Ge,
        other => other,
    }
}

/// The operand width of a general type.
pub fn width_of(ty: Type) -> Width {
    match ty {
        Type::I8 => Width::W8,
        Type::I16 => Width::W16,
        Type::I64 | Type::Flags => Width::W64,
        _ => Width::W32,
    }
}

/// The width at which arithmetic on a type is done where only its low bits count.
pub fn wide_of(ty: Type) -> Width {
    if matches!(ty, Type::I64 | Type::Flags) { Width::W64 } else { Width::W32 }
}

impl Selector<'_> {
    /// What decides an `i1`, and the condition under which it is 1.
    pub(super) fn condition(&mut self, o: Operand) -> (Request, Cond) {
        if let Some(inst) = self.def_of(o).copied() {
            let compare = match inst.op {
                Op::Eq => Some(Cond::E),
                Op::Ne => Some(Cond::Ne),
                Op::Ult => Some(Cond::B),
                Op::Ule => Some(Cond::Be),
                Op::Slt => Some(Cond::L),
                Op::Sle => Some(Cond::Le),
                _ => None,
            };
            if let Some(cond) = compare
                && is_general(inst.aty)
            {
                return self.compare(&inst, cond);
            }
            match inst.op {
                Op::Cc => {
                    let cond = Cond::from_code(inst.attr);
                    return (self.request(inst.args[0], flags_of(cond)), cond);
                }
                Op::FlagsGet => {
                    let cond = match inst.attr {
                        x if x == Flag::C as u8 => Some(Cond::B),
                        x if x == Flag::P as u8 => Some(Cond::P),
                        x if x == Flag::Z as u8 => Some(Cond::E),
                        x if x == Flag::S as u8 => Some(Cond::S),
                        x if x == Flag::O as u8 => Some(Cond::O),
                        _ => None,
                    };
                    if let Some(cond) = cond {
                        return (self.request(inst.args[0], flags_of(cond)), cond);
                    }
                }
                Op::Not => {
                    let (request, cond) = self.condition(inst.args[0]);
                    return (request, cond.negate());
                }
                Op::Flt | Op::Fle => {
                    // Not below (or equal) of the operands the other way round, so that unordered is false.
                    let cond = if inst.op == Op::Flt { Cond::A } else { Cond::Ae };
                    let setter = Setter::Float(inst.args[1], inst.args[0]);
                    return (Request { setter, ty: inst.aty, need: flags_of(cond) }, cond);
                }
                Op::Funo => {
                    let setter = Setter::Float(inst.args[0], inst.args[1]);
                    return (Request { setter, ty: inst.aty, need: flags_of(Cond::P) }, Cond::P);
                }
                _ => {}
            }
        }
        let v = self.val(o, Type::I1);
        let v = match v {
            Val::Reg(v) => v,
            Val::Imm(i) => self.int_vreg(i as u64 & 1),
        };
        let setter = Setter::Test(Val::Reg(v), Val::Reg(v));
        (Request { setter, ty: Type::I32, need: flags_of(Cond::Ne) }, Cond::Ne)
    }

    fn compare(&mut self, inst: &Inst, cond: Cond) -> (Request, Cond) {
        let (mut a, mut b) = (self.val(inst.args[0], inst.aty), self.val(inst.args[1], inst.aty));
        let mut cond = cond;
        let ty = if inst.aty == Type::I1 { Type::I32 } else { inst.aty };
        if matches!(a, Val::Imm(_)) {
            (a, b) = (b, a);
            cond = swapped(cond);
        }
        let setter = match (a, b, cond) {
            (Val::Reg(_), Val::Imm(0), Cond::E | Cond::Ne) => Setter::Test(a, a),
            (Val::Reg(_), Val::Imm(0), Cond::L | Cond::Ge) => {
                cond = if cond == Cond::L { Cond::S } else { Cond::Ns };
                Setter::Test(a, a)
            }
            _ => Setter::Cmp(a, b),
        };
        (Request { setter, ty, need: flags_of(cond) }, cond)
    }

    /// The flags of a flags value.
    pub(super) fn request(&mut self, flags: Operand, need: u16) -> Request {
        let Some(v) = flags.as_value() else {
            let packed = self.literal(flags, Type::I64).unwrap_or(0) as u64;
            let v = self.int_vreg(super::exits::image_of(packed));
            return Request { setter: Setter::Value(v), ty: Type::Flags, need };
        };
        let v = self.root(v);
        if let Some(inst) = self.def(v).copied() {
            let ty = inst.aty;
            let setter = match inst.op {
                Op::FlagsSub => {
                    let (a, b) = (self.val(inst.args[0], ty), self.val(inst.args[1], ty));
                    Some(Setter::Cmp(a, b))
                }
                Op::FlagsLogic => {
                    let a = self.val(inst.args[0], ty);
                    Some(Setter::Test(a, a))
                }
                Op::FlagsFcmp => Some(Setter::Float(inst.args[0], inst.args[1])),
                _ => None,
            };
            if let Some(setter) = setter {
                return Request { setter, ty, need };
            }
        }
        Request { setter: Setter::Value(v), ty: Type::Flags, need }
    }

    /// From here on (upwards) these flags are wanted. What was pending before is put in place below.
    pub(super) fn want(&mut self, request: Request) {
        match &mut self.pending {
            Some(p) if p.setter == request.setter && p.ty == request.ty => p.need |= request.need,
            _ => {
                debug_assert!(self.pending.is_none(), "flushed before the instruction that asks");
                self.pending = Some(request);
            }
        }
        // A compare right in front of its jump is one operation with it, so nothing waits in vain.
        if !self.worth_waiting() {
            self.flush(self.here);
        }
    }

    /// Is there, not far above, an instruction that sets the flags that are pending, or one that asks for the same?
    fn worth_waiting(&mut self) -> bool {
        let first =
            self.here.saturating_sub(12).max(self.trace.loop_at.filter(|l| *l <= self.here).unwrap_or(0));
        for i in (first..self.here).rev() {
            let inst = self.trace.insts[i as usize];
            match inst.op {
                Op::At
                | Op::Slot
                | Op::Phi
                | Op::Pick
                | Op::Load
                | Op::Store
                | Op::Zext
                | Op::Sext
                | Op::Trunc
                | Op::Cc
                | Op::Eq
                | Op::Ne
                | Op::Ult
                | Op::Ule
                | Op::Slt
                | Op::Sle => {}
                _ if inst.ty == Type::Flags => {}
                Op::Guard => {
                    let (request, _) = self.condition(inst.args[0]);
                    return self.pending.is_some_and(|p| p.setter == request.setter && p.ty == request.ty);
                }
                // The native whose flags these are.
                Op::Native => return matches!(self.pending, Some(Request { setter: Setter::Value(_), .. })),
                _ if inst.has_result() => {
                    let v = inst.res.0;
                    let f = &self.s.facts;
                    let used = f.uses[v as usize] > 1 || f.in_exit[v as usize];
                    if f.root[v as usize] != v {
                        continue;
                    }
                    return (used || inst.op != Op::And) && self.may_satisfy(&inst);
                }
                _ => return false,
            }
        }
        false
    }

    /// Must be called before an instruction that will ask for `request` is begun.
    pub(super) fn make_room(&mut self, request: &Request) {
        if self.pending.is_some_and(|p| p.setter != request.setter || p.ty != request.ty) {
            self.flush(self.here + 1);
        }
    }

    /// Does what is pending name this value?
    pub(super) fn pending_uses(&self, v: u32) -> bool {
        let is = |x: Val| x == Val::Reg(v);
        match self.pending {
            None => false,
            Some(p) => match p.setter {
                Setter::Cmp(a, b) | Setter::Test(a, b) => is(a) || is(b),
                Setter::Value(f) => match self.def(f) {
                    // It is done again by its operation, so its operands count and not the value itself.
                    Some(inst) if self.sets(inst) => {
                        inst.args.iter().any(|o| o.as_value().is_some_and(|x| self.root(x) == v))
                    }
                    _ => f == v,
                },
                Setter::Float(a, b) => [a, b].iter().any(|o| o.as_value().is_some_and(|x| self.root(x) == v)),
            },
        }
    }

    /// Will the instruction for this line set the flags that are pending?
    pub(super) fn satisfies(&mut self, inst: &Inst) -> bool {
        self.may_satisfy(inst)
            && (self.is_live(inst.res.0)
                || matches!(self.pending, Some(Request { setter: Setter::Test(..), .. })))
    }

    /// The same, if the value is needed.
    fn may_satisfy(&mut self, inst: &Inst) -> bool {
        let Some(p) = self.pending else { return false };
        if inst.aty != p.ty && p.ty != Type::Flags {
            return false;
        }
        let v = inst.res.0;
        if matches!(inst.aty, Type::I8 | Type::I16) {
            // An `and` with a literal is done at 32 bits; its result is zero above, and not negative.
            let zp = (Flag::Z.bit() | Flag::P.bit() | Flag::C.bit() | Flag::O.bit()) as u16;
            return matches!(p.setter, Setter::Test(a, b) if a == b && a == Val::Reg(v))
                && inst.op == Op::And
                && p.need & !zp == 0
                && self.literal(inst.args[1], inst.aty).is_some();
        }
        if !matches!(inst.aty, Type::I32 | Type::I64) {
            return false;
        }
        match p.setter {
            Setter::Test(a, b) if a == b && a == Val::Reg(v) => match inst.op {
                Op::And | Op::Or | Op::Xor => true,
                Op::Add | Op::Sub | Op::Neg => p.need & !ZSP == 0,
                Op::Shl | Op::Shr | Op::Sar => {
                    let by = self.literal(inst.args[1], inst.aty);
                    p.need & !ZSP == 0 && by.is_some_and(|n| n > 0 && n < i64::from(inst.aty.bits()))
                }
                _ => false,
            },
            Setter::Cmp(a, b) => {
                inst.op == Op::Sub
                    && self.val(inst.args[0], inst.aty) == a
                    && self.val(inst.args[1], inst.aty) == b
            }
            Setter::Value(f) => {
                let Some(set) = self.def(f).copied() else { return false };
                if matches!(set.op, Op::FlagsInc | Op::FlagsDec) {
                    let op = if set.op == Op::FlagsInc { Op::Add } else { Op::Sub };
                    return inst.op == op
                        && p.need & Flag::C.bit() as u16 == 0
                        && set.aty == inst.aty
                        && set.args[0] == inst.args[0]
                        && self.literal(inst.args[1], inst.aty) == Some(1);
                }
                let same = match set.op {
                    Op::FlagsAdd => inst.op == Op::Add,
                    Op::FlagsSmul => inst.op == Op::Mul,
                    Op::FlagsShl => inst.op == Op::Shl,
                    Op::FlagsShr => inst.op == Op::Shr,
                    Op::FlagsSar => inst.op == Op::Sar,
                    _ => false,
                };
                let by = self.literal(inst.args[1], inst.aty);
                let shift = !matches!(inst.op, Op::Add | Op::Mul);
                same && set.aty == inst.aty
                    && self.is_live(v)
                    && set.args[..2] == inst.args[..2]
                    && (!shift || by.is_some_and(|n| n > 0 && n < i64::from(inst.aty.bits())))
            }
            _ => false,
        }
    }

    /// Puts what is pending in place: here, just before line `at` of the trace.
    pub(super) fn flush(&mut self, at: u32) {
        let Some(p) = self.pending.take() else { return };
        let here = self.here;
        match p.setter {
            Setter::Cmp(a, b) => self.set_by(MOp::Cmp, MOp::CmpMem, p.ty, a, b, at),
            Setter::Test(a, b) if a == b => match a {
                Val::Reg(v) => {
                    let address = self.load_of(v, p.ty, at);
                    match address {
                        Some(address) => {
                            self.begin_raw(MOp::CmpMem, width_of(p.ty));
                            self.fault_exit_of(v);
                            self.mem(&address);
                            self.end_faulting(0);
                        }
                        None => self.test_self(v, p.ty, at),
                    }
                }
                Val::Imm(_) => self.set_by(MOp::Test, MOp::TestMem, p.ty, a, b, at),
            },
            Setter::Test(a, b) => self.set_by(MOp::Test, MOp::TestMem, p.ty, a, b, at),
            Setter::Float(a, b) => self.float_compare(p.ty, a, b),
            Setter::Value(v) => self.set_value(v, p.need),
        }
        self.here = here;
    }

    /// `test v, v`; or the test of what an `and` used for nothing else is made of.
    fn test_self(&mut self, v: u32, ty: Type, at: u32) {
        let f = &self.s.facts;
        if let Some(inst) = self.def(v).copied()
            && inst.op == Op::And
            && inst.aty == ty
            && !self.is_live(v)
            && f.uses[v as usize] == 1
            && !f.in_exit[v as usize]
            && (self.trace.loop_at.is_none_or(|l| f.def[v as usize] >= l || self.here < l))
        {
            let (a, b) = (self.val(inst.args[0], ty), self.val(inst.args[1], ty));
            return self.set_by(MOp::Test, MOp::TestMem, ty, a, b, at);
        }
        self.begin_raw(MOp::Test, width_of(ty));
        self.src(v, Role::Use);
        self.src(v, Role::Use);
        self.end(0);
    }

    fn set_by(&mut self, op: MOp, mem_op: MOp, ty: Type, a: Val, b: Val, at: u32) {
        let width = width_of(ty);
        let (a, b) = match (a, b) {
            (Val::Imm(_), Val::Reg(_)) if op == MOp::Test => (b, a),
            _ => (a, b),
        };
        let a = match a {
            Val::Reg(v) => v,
            Val::Imm(i) => self.int_vreg(i as u64 & ty.mask64()),
        };
        let b = match b {
            Val::Imm(i) if i32::try_from(i).is_err() => Val::Reg(self.int_vreg(i as u64)),
            b => b,
        };
        if let Some(address) = self.load_of(a, ty, at) {
            self.begin_raw(mem_op, width);
            self.fault_exit_of(a);
            match b {
                Val::Reg(v) => self.src(v, Role::Use),
                Val::Imm(i) => self.cur().imm = i,
            }
            self.mem(&address);
            return self.end_faulting(0);
        }
        if let Val::Reg(v) = b
            && let Some(address) = self.load_of(v, ty, at)
        {
            self.begin_raw(op, width);
            self.fault_exit_of(v);
            self.src(a, Role::Use);
            self.mem(&address);
            return self.end_faulting(0);
        }
        self.begin_raw(op, width);
        match b {
            Val::Reg(b) => {
                self.src(a, Role::Any);
                self.src(b, Role::Use);
            }
            Val::Imm(i) => {
                self.src(a, Role::Any);
                self.cur().imm = i;
            }
        }
        self.end(0);
    }

    /// Sets the machine's flags to a flags value: again by its operation if that has only operands, else from its image.
    fn set_value(&mut self, v: u32, need: u16) {
        match self.def(v).copied() {
            Some(inst) if self.sets(&inst) => self.set_flags(&inst, need),
            _ => {
                self.begin_raw(MOp::RestoreFlags, Width::W64);
                self.src(v, Role::Fixed(RAX));
                self.end(1 << RAX);
            }
        }
    }

    /// Can the operation be performed for its flags alone?
    fn sets(&self, inst: &Inst) -> bool {
        matches!(
            inst.op,
            Op::FlagsAdd
                | Op::FlagsAdc
                | Op::FlagsSub
                | Op::FlagsSbb
                | Op::FlagsLogic
                | Op::FlagsInc
                | Op::FlagsDec
                | Op::FlagsShl
                | Op::FlagsShr
                | Op::FlagsSar
                | Op::FlagsRol
                | Op::FlagsRor
                | Op::FlagsUmul
                | Op::FlagsSmul
                | Op::FlagsFcmp
        )
    }

    /// Performs a flags operation for its flags alone.
    pub(super) fn set_flags(&mut self, inst: &Inst, need: u16) {
        let (ty, width, args) = (inst.aty, width_of(inst.aty), inst.args);
        let carry = Flag::C.bit() as u16;
        match inst.op {
            Op::FlagsSub | Op::FlagsLogic => {
                let a = self.val(args[0], ty);
                if inst.op == Op::FlagsSub {
                    let b = self.val(args[1], ty);
                    return self.set_by(MOp::Cmp, MOp::CmpMem, ty, a, b, self.here);
                }
                match a {
                    Val::Reg(v) => self.test_self(v, ty, self.here),
                    Val::Imm(_) => self.set_by(MOp::Test, MOp::TestMem, ty, a, a, self.here),
                }
            }
            Op::FlagsAdd => self.alu_for_flags(Alu::Add, args[0], args[1], ty),
            Op::FlagsAdc | Op::FlagsSbb => {
                let op = if inst.op == Op::FlagsAdc { Alu::Adc } else { Alu::Sbb };
                self.alu_for_flags(op, args[0], args[1], ty);
                self.carry_from(args[2]);
            }
            Op::FlagsInc | Op::FlagsDec => {
                let a = self.reg(args[0], ty);
                let t = self.new_general();
                let dec = inst.op == Op::FlagsDec;
                if need & carry == 0 {
                    self.begin_raw(MOp::Alu(if dec { Alu::Sub } else { Alu::Add }), width);
                    self.cur().imm = 1;
                } else {
                    self.begin_raw(MOp::IncDec(dec), width);
                }
                self.cur().sets_flags = true;
                self.src(a, Role::Any);
                self.def_(t, Role::Reuse(false));
                self.end(0);
                if need & carry != 0 {
                    self.set_operand(args[1], carry);
                }
            }
            Op::FlagsShl | Op::FlagsShr | Op::FlagsSar | Op::FlagsRol | Op::FlagsRor => {
                let op = match inst.op {
                    Op::FlagsShl => Shift::Shl,
                    Op::FlagsShr => Shift::Shr,
                    Op::FlagsSar => Shift::Sar,
                    Op::FlagsRol => Shift::Rol,
                    _ => Shift::Ror,
                };
                let a = self.reg(args[0], ty);
                let t = self.new_general();
                let rotates = matches!(op, Shift::Rol | Shift::Ror);
                match self.literal(args[1], ty) {
                    Some(n) if n > 0 && n < i64::from(ty.bits()) => {
                        self.begin_raw(MOp::ShiftImm(op), width);
                        self.cur().sets_flags = true;
                        self.cur().imm = n;
                        self.src(a, Role::Any);
                        self.def_(t, Role::Reuse(false));
                        self.end(0);
                        if rotates {
                            self.set_operand(args[2], need);
                        }
                    }
                    _ => {
                        let n = self.reg(args[1], ty);
                        self.begin_raw(MOp::ShiftCl(op), width);
                        self.cur().sets_flags = true;
                        self.src(a, Role::Any);
                        self.src(n, Role::Fixed(1));
                        self.def_(t, Role::Reuse(false));
                        self.end(0);
                        self.set_operand(args[2], need);
                    }
                }
            }
            Op::FlagsSmul if ty != Type::I8 => {
                let (a, b) = (self.reg(args[0], ty), self.reg(args[1], ty));
                let t = self.new_general();
                self.begin_raw(MOp::Imul, width);
                self.src(a, Role::Any);
                self.src(b, Role::Any);
                self.def_(t, Role::Reuse(true));
                self.end(0);
            }
            Op::FlagsSmul | Op::FlagsUmul => {
                let (a, b) = (self.reg(args[0], ty), self.reg(args[1], ty));
                self.begin_raw(MOp::MulWide(inst.op == Op::FlagsSmul), width);
                self.src(a, Role::Fixed(RAX));
                self.src(b, Role::Any);
                let high = if ty == Type::I8 { 1 } else { 1 | 1 << 2 };
                self.end(high);
            }
            Op::FlagsFcmp => self.float_compare(ty, args[0], args[1]),
            _ => self.fail("flags of this operation"),
        }
    }

    fn alu_for_flags(&mut self, op: Alu, a: Operand, b: Operand, ty: Type) {
        let a = self.reg(a, ty);
        let t = self.new_general();
        self.begin_raw(MOp::Alu(op), width_of(ty));
        self.cur().sets_flags = true;
        self.src(a, Role::Any);
        self.src_or_imm(b, ty, Role::Any);
        self.def_(t, Role::Reuse(op == Alu::Add));
        self.end(0);
    }

    /// The carry flag becomes this `i1`.
    pub(super) fn carry_from(&mut self, bit: Operand) {
        let v = self.reg(bit, Type::I1);
        let t = self.new_general();
        self.begin_raw(MOp::Alu(Alu::Add), Width::W8);
        self.cur().sets_flags = true;
        self.src(v, Role::Any);
        self.cur().imm = -1;
        self.def_(t, Role::Reuse(false));
        self.end(0);
    }

    /// The machine's flags become those of an operand.
    fn set_operand(&mut self, flags: Operand, need: u16) {
        let request = self.request(flags, need);
        debug_assert!(self.pending.is_none());
        self.pending = Some(request);
        // At once: the operands may be defined by the lines right above.
        self.flush(self.here);
    }

    /// A flags value is needed as an image.
    pub(super) fn image(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let args = inst.args;
        match inst.op {
            Op::FlagsWith => {
                // image = f & ~mask | bit << position
                let position = image_bit(inst.attr);
                let f = self.image_vreg(args[0]);
                let bit = self.reg(args[1], Type::I1);
                let (cleared, moved) = (self.new_general(), self.new_general());
                self.alu3(Alu::Or, v, cleared, moved);
                self.begin(MOp::Alu(Alu::And), Width::W64);
                self.src(f, Role::Any);
                self.cur().imm = !(1i64 << position);
                self.def_(cleared, Role::Reuse(false));
                self.end(0);
                self.begin(MOp::ShiftImm(Shift::Shl), Width::W64);
                self.cur().imm = position.into();
                self.src(bit, Role::Any);
                self.def_(moved, Role::Reuse(false));
                self.end(0);
                Ok(())
            }
            Op::FlagsPack => {
                // (x & 0xd5) << 8 | (x >> 11 & 1)
                let x = self.reg(args[0], Type::I64);
                let (low, high) = (self.new_general(), self.new_general());
                let (masked, shifted) = (self.new_general(), self.new_general());
                self.alu3(Alu::Or, v, low, high);
                self.step(MOp::ShiftImm(Shift::Shl), low, masked, 8);
                self.step(MOp::Alu(Alu::And), masked, x, 0xd5);
                self.step(MOp::Alu(Alu::And), high, shifted, 1);
                self.step(MOp::ShiftImm(Shift::Shr), shifted, x, 11);
                Ok(())
            }
            _ if self.sets(inst) => {
                self.flush(self.here + 1);
                self.save_flags(v);
                self.set_flags(inst, Flag::MASK as u16);
                Ok(())
            }
            op => Err(unsupported(format_args!("{} as a value", op.name()))),
        }
    }

    /// The image of a flags operand.
    pub(super) fn image_vreg(&mut self, o: Operand) -> u32 {
        match o.as_value() {
            Some(v) => self.root(v),
            None => {
                let packed = self.literal(o, Type::I64).unwrap_or(0) as u64;
                self.int_vreg(super::exits::image_of(packed))
            }
        }
    }

    /// `flags.unpack`: the packed image of a flags value.
    pub(super) fn unpack(&mut self, inst: &Inst, v: u32) {
        // (f >> 8 & 0xd5) | (f & 1) << 11
        let f = self.image_vreg(inst.args[0]);
        let (low, high) = (self.new_general(), self.new_general());
        let (shifted, masked) = (self.new_general(), self.new_general());
        self.alu3(Alu::Or, v, low, high);
        self.step(MOp::Alu(Alu::And), low, shifted, 0xd5);
        self.step(MOp::ShiftImm(Shift::Shr), shifted, f, 8);
        self.step(MOp::ShiftImm(Shift::Shl), high, masked, 11);
        self.step(MOp::Alu(Alu::And), masked, f, 1);
    }

    /// `flags.get.a`: the one flag without a condition.
    pub(super) fn get_from_image(&mut self, inst: &Inst, v: u32) {
        let f = self.image_vreg(inst.args[0]);
        let shifted = self.new_general();
        self.step(MOp::Alu(Alu::And), v, shifted, 1);
        self.step(MOp::ShiftImm(Shift::Shr), shifted, f, image_bit(inst.attr).into());
    }

    /// `to = from op literal`, at 64 bits.
    pub(super) fn step(&mut self, op: MOp, to: u32, from: u32, literal: i64) {
        self.begin(op, Width::W64);
        self.cur().imm = literal;
        self.src(from, Role::Any);
        self.def_(to, Role::Reuse(false));
        self.end(0);
    }

    /// `to = a op b`, at 64 bits.
    pub(super) fn alu3(&mut self, op: Alu, to: u32, a: u32, b: u32) {
        self.begin(MOp::Alu(op), Width::W64);
        self.src(a, Role::Any);
        self.src(b, Role::Any);
        self.def_(to, Role::Reuse(op != Alu::Sub));
        self.end(0);
    }

    /// The image of the machine's flags.
    pub(super) fn save_flags(&mut self, v: u32) {
        self.begin_raw(MOp::SaveFlags, Width::W64);
        self.def_(v, Role::DefFixed(RAX));
        self.end(0);
    }

    pub(super) fn fail(&mut self, what: &str) {
        self.error.get_or_insert_with(|| unsupported(what));
    }
}

/// Where a flag stands in an image.
fn image_bit(flag: u8) -> u8 {
    match Flag::ALL.get(flag as usize) {
        Some(Flag::C) => 8,
        Some(Flag::P) => 10,
        Some(Flag::A) => 12,
        Some(Flag::Z) => 14,
        Some(Flag::S) => 15,
        _ => 0,
    }
}
