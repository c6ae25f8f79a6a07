//! What each integer operation becomes, and the lines that do more than compute.
//!
//! Arithmetic on 8 and 16 bits is done at 32 bits where only the low bits of the operands count; comparisons and what needs clean or
//! sign-extended operands says so.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Flag, Operand, Type};
use smallvec::SmallVec;

use super::super::CodegenError;
use super::asm::integer::{Bmi, Count};
use super::asm::{Alu, Shift, Width};
use super::inst::MOp;
use super::prepare::{is_general, is_vector};
use super::select::{Address, Selector, unsupported};
use super::select_flags::{Request, Setter, wide_of, width_of};
use crate::regalloc::Role;

const RAX: u8 = 0;

impl<'a> Selector<'a> {
    /// Makes a value that is needed, of an operation without effects or a load.
    pub(super) fn value(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        if is_vector(inst.ty) || is_vector(inst.aty) || inst.op == Op::VSigns {
            return self.vector_value(inst, v);
        }
        if !is_general(inst.ty) || inst.aty != Type::Void && !is_general(inst.aty) {
            return Err(unsupported(format_args!("{} of {} to {}", inst.op.name(), inst.aty, inst.ty)));
        }
        let (ty, args) = (inst.aty, inst.args);
        match inst.op {
            Op::Load => self.load(inst, v),
            Op::Add => self.add(inst, v),
            Op::Sub => match self.imm32(args[1], ty).and_then(i32::checked_neg) {
                Some(_) if !self.fusing() && self.literal(args[0], ty).is_none() => self.add_literal(inst, v),
                _ if self.literal(args[0], ty) == Some(0) && !self.fusing() => {
                    self.unary(MOp::Neg, args[1], ty, v)
                }
                _ => self.binary(MOp::Alu(Alu::Sub), inst, v, false),
            },
            Op::And => self.and(inst, v),
            Op::Or => self.binary(MOp::Alu(Alu::Or), inst, v, true),
            Op::Xor => self.binary(MOp::Alu(Alu::Xor), inst, v, true),
            Op::Andn => {
                let (a, b) = (self.reg(args[0], ty), self.reg(args[1], ty));
                self.begin(MOp::Bmi(Bmi::Andn), wide_of(ty));
                self.src(a, Role::Use);
                self.src(b, Role::Any);
                self.def_(v, Role::Def);
                self.end(0);
            }
            Op::Mul => match self.imm32(args[1], ty) {
                Some(i) => {
                    let a = self.reg(args[0], ty);
                    self.begin(MOp::ImulImm, wide_of(ty));
                    self.cur().imm = i.into();
                    self.src(a, Role::Any);
                    self.def_(v, Role::Def);
                    self.end(0);
                }
                None => self.binary(MOp::Imul, inst, v, true),
            },
            Op::Neg => self.unary(MOp::Neg, args[0], ty, v),
            Op::Not if ty == Type::I1 => {
                let a = self.reg(args[0], ty);
                self.begin(MOp::Alu(Alu::Xor), Width::W32);
                self.src(a, Role::Any);
                self.cur().imm = 1;
                self.def_(v, Role::Reuse(false));
                self.end(0);
            }
            Op::Not => self.unary(MOp::Not, args[0], ty, v),
            Op::Shl | Op::Shr | Op::Sar => self.shift(inst, v)?,
            Op::Rol | Op::Ror => self.rotate(inst, v),
            Op::Umulh | Op::Smulh => self.mul_high(inst, v),
            Op::Bswap => {
                let wide = wide_of(ty);
                let t = if ty == Type::I16 { self.new_general() } else { v };
                if ty == Type::I16 {
                    self.shift_right(t, v, 16, Width::W32);
                }
                let a = self.reg(args[0], ty);
                self.begin(MOp::Bswap, wide);
                self.src(a, Role::Any);
                self.def_(t, Role::Reuse(false));
                self.end(0);
            }
            Op::Popcnt => {
                let a = self.zero_extended(args[0], ty);
                self.count(Count::Popcnt, a, wide_of(ty), v);
            }
            Op::Ctz => self.ctz(inst, v),
            Op::Clz => self.clz(inst, v),
            Op::Pdep | Op::Pext => {
                let op = if inst.op == Op::Pdep { Bmi::Pdep } else { Bmi::Pext };
                let (a, b) = (self.reg(args[0], ty), self.reg(args[1], ty));
                self.begin(MOp::Bmi(op), width_of(ty));
                self.src(a, Role::Use);
                self.src(b, Role::Any);
                self.def_(v, Role::Def);
                self.end(0);
            }
            Op::Eq | Op::Ne | Op::Ult | Op::Ule | Op::Slt | Op::Sle | Op::Cc => self.condition_value(inst, v),
            Op::FlagsGet if inst.attr == ir::types::Flag::A as u8 => self.get_from_image(inst, v),
            Op::FlagsGet => self.condition_value(inst, v),
            Op::FlagsUnpack => self.unpack(inst, v),
            Op::Select => self.select(inst, v),
            Op::Zext => self.zext(args[0], ty, v),
            Op::Sext => self.sext(args[0], ty, inst.ty, v),
            // What is cut off values is an alias of theirs. Of a literal nothing may stay above: the result counts as clean.
            Op::Trunc if inst.ty != Type::I1 => match self.literal(args[0], ty) {
                Some(i) => self.constant(i as u64 & inst.ty.mask64(), v)?,
                None => self.copy(args[0], ty, v),
            },
            Op::Trunc => {
                let a = self.reg(args[0], ty);
                self.step32(MOp::Alu(Alu::And), v, a, 1);
            }
            Op::Extract => self.extract(inst, v),
            Op::Insert => self.insert(inst, v),
            Op::Bitcast => self.copy(args[0], ty, v),
            _ if inst.ty == Type::Flags => self.image(inst, v)?,
            op => return Err(unsupported(op.name())),
        }
        Ok(())
    }

    fn copy(&mut self, o: Operand, ty: Type, v: u32) {
        let a = self.reg(o, ty);
        self.begin(MOp::Copy, Width::W64);
        self.src(a, Role::Any);
        self.def_(v, Role::Def);
        self.end(0);
    }

    fn load(&mut self, inst: &Inst, v: u32) {
        let Some(addr) = self.trace.addr(inst) else { return self.fail("an address that is not a literal") };
        let address = self.address(&addr);
        self.begin(MOp::Load, width_of(inst.ty));
        self.mem(&address);
        self.def_(v, Role::Def);
        self.end_faulting(0);
    }

    // --- two operands ------------------------------------------------------------------------------

    /// `v = a op b`, the second operand a register, a literal or memory.
    fn binary(&mut self, op: MOp, inst: &Inst, v: u32, commutative: bool) {
        let (mut a, mut b) = (inst.args[0], inst.args[1]);
        if commutative && a.is_literal() {
            (a, b) = (b, a);
        }
        if commutative
            && let (Some(x), Some(y)) = (a.as_value(), b.as_value())
            && self.only_here(self.root(x), inst.aty)
            && !self.only_here(self.root(y), inst.aty)
        {
            (a, b) = (b, a);
        }
        let a = self.reg(a, inst.aty);
        self.begin(op, wide_of(inst.aty));
        self.src(a, Role::Any);
        if matches!(inst.aty, Type::I32 | Type::I64) && op != MOp::Imul {
            self.src_or_any(b, inst.aty, Role::Any);
        } else if op == MOp::Imul {
            let b = self.reg(b, inst.aty);
            match if matches!(inst.aty, Type::I32 | Type::I64) {
                self.load_of(b, inst.aty, self.here)
            } else {
                None
            } {
                Some(address) => {
                    self.fault_exit_of(b);
                    self.mem(&address);
                }
                None => self.src(b, Role::Any),
            }
        } else {
            self.src_or_imm(b, inst.aty, Role::Any);
        }
        self.def_(v, Role::Reuse(commutative));
        self.end_faulting_if_mem();
    }

    /// Could the load that makes `v` be part of this instruction?
    fn only_here(&mut self, v: u32, ty: Type) -> bool {
        matches!(ty, Type::I32 | Type::I64) && self.load_of(v, ty, self.here).is_some()
    }

    fn end_faulting_if_mem(&mut self) {
        if self.cur().mem.is_some() { self.end_faulting(0) } else { self.end(0) }
    }

    fn unary(&mut self, op: MOp, a: Operand, ty: Type, v: u32) {
        let a = self.reg(a, ty);
        self.begin(op, wide_of(ty));
        self.src(a, Role::Any);
        self.def_(v, Role::Reuse(false));
        self.end(0);
    }

    /// The operation that makes `v`, if all that is left to do with the value is here.
    fn single(&self, v: u32, ty: Type) -> Option<&'a Inst> {
        let f = &self.s.facts;
        let inst = self.def(v)?;
        let body = self.trace.loop_at.unwrap_or(0);
        let one_section = (f.def[v as usize] >= body) == (self.here >= body);
        let only =
            f.uses[v as usize] == 1 && !f.in_exit[v as usize] && !self.is_live(v) && !self.pending_uses(v);
        (only && one_section && inst.aty == ty).then_some(inst)
    }

    /// Adds an operand's terms to an address: literals, registers, shifted registers. False if there are too many; `folded` counts
    /// the operations that need no instruction of their own then.
    fn terms(&mut self, o: Operand, ty: Type, depth: u32, to: &mut Terms) -> bool {
        let Some(v) = o.as_value() else {
            to.disp = to.disp.wrapping_add(self.literal(o, ty).unwrap_or(0));
            return true;
        };
        let v = self.root(v);
        if depth > 0
            && let Some(inst) = self.single(v, ty)
        {
            let [a, b, ..] = inst.args;
            match inst.op {
                Op::Add => {
                    to.folded += 1;
                    return self.terms(a, ty, depth - 1, to) && self.terms(b, ty, depth - 1, to);
                }
                Op::Sub if let Some(k) = self.literal(b, ty) => {
                    to.folded += 1;
                    to.disp = to.disp.wrapping_sub(k);
                    return self.terms(a, ty, depth - 1, to);
                }
                Op::Shl if let (Some(k @ 1..=3), Some(x)) = (self.literal(b, ty), a.as_value()) => {
                    if to.index.is_some() {
                        return false;
                    }
                    to.folded += 1;
                    to.index = Some((self.root(x), k as u8));
                    return true;
                }
                _ => {}
            }
        }
        to.registers.push(v);
        to.registers.len() <= 2
    }

    /// A sum of up to three terms and shifts by one `lea`.
    fn sum(&mut self, inst: &Inst, v: u32) -> bool {
        if self.fusing() || !matches!(inst.aty, Type::I32 | Type::I64) {
            return false;
        }
        let mut t = Terms::default();
        let fits =
            self.terms(inst.args[0], inst.aty, 2, &mut t) && self.terms(inst.args[1], inst.aty, 2, &mut t);
        let Ok(disp) = i32::try_from(inst.aty.canonical(t.disp.into()) as i64) else { return false };
        if !fits || t.folded == 0 {
            return false;
        }
        let (base, index) = match (&t.registers[..], t.index) {
            ([], index) => (None, index),
            ([b], index) => (Some(*b), index),
            ([b, i], None) => (Some(*b), Some((*i, 0))),
            _ => return false,
        };
        self.begin(MOp::Lea, wide_of(inst.aty));
        self.mem(&Address { base, index, disp, ..Address::default() });
        self.def_(v, Role::Def);
        self.end(0);
        true
    }

    fn add(&mut self, inst: &Inst, v: u32) {
        let (a, b) = (inst.args[0], inst.args[1]);
        if self.sum(inst, v) {
            return;
        }
        if !self.fusing() && self.imm32(b, inst.aty).is_some() && !a.is_literal() {
            return self.add_literal(inst, v);
        }
        self.binary(MOp::Alu(Alu::Add), inst, v, true);
    }

    /// `v = a ± literal`, by `add` or `lea`.
    fn add_literal(&mut self, inst: &Inst, v: u32) {
        let i = self.literal(inst.args[1], inst.aty).unwrap_or(0);
        let i = if inst.op == Op::Sub { -i } else { i };
        let a = self.reg(inst.args[0], inst.aty);
        if self.here < self.kept_until
            && let Ok(disp) = i32::try_from(i)
        {
            self.begin(MOp::Lea, wide_of(inst.aty));
            self.mem(&Address { base: Some(a), disp, ..Address::default() });
            self.def_(v, Role::Def);
            return self.end(0);
        }
        self.begin(MOp::AddImm, wide_of(inst.aty));
        self.cur().imm = i;
        self.src(a, Role::Any);
        self.def_(v, Role::Reuse(false));
        self.end(0);
    }

    fn and(&mut self, inst: &Inst, v: u32) {
        let (ty, mask) = (inst.aty, inst.aty.mask64() as i64);
        let narrow_type = matches!(ty, Type::I8 | Type::I16);
        if let Some(i) = self.literal(inst.args[1], ty)
            && (!self.fusing() || narrow_type)
        {
            let a = self.reg(inst.args[0], ty);
            let from = match i & mask {
                0xff => Some(Width::W8),
                0xffff => Some(Width::W16),
                0xffff_ffff => Some(Width::W32),
                _ => None,
            };
            if let Some(from) = from.filter(|_| !self.fusing()) {
                self.begin(MOp::Zext(from), Width::W64);
                self.src(a, Role::Any);
                self.def_(v, Role::Def);
                return self.end(0);
            }
            // The literal is zero-extended: the result is clean.
            if ty != Type::I64 || i32::try_from(i).is_ok() || u32::try_from(i).is_ok() {
                let narrow = ty != Type::I64 || i >= 0;
                self.begin(MOp::Alu(Alu::And), if narrow { Width::W32 } else { Width::W64 });
                self.src(a, Role::Any);
                self.cur().imm = if narrow { i64::from((i & mask) as u32 as i32) } else { i };
                self.def_(v, Role::Reuse(false));
                return self.end(0);
            }
        }
        self.binary(MOp::Alu(Alu::And), inst, v, true);
    }

    pub(super) fn constant(&mut self, value: u64, v: u32) -> Result<(), CodegenError> {
        let c = self.int_vreg(value);
        self.begin(MOp::Copy, Width::W64);
        self.src(c, Role::Any);
        self.def_(v, Role::Def);
        self.end(0);
        Ok(())
    }

    /// `to = from op literal`, at 32 bits.
    pub(super) fn step32(&mut self, op: MOp, to: u32, from: u32, literal: i64) {
        self.begin(op, Width::W32);
        self.cur().imm = literal;
        self.src(from, Role::Any);
        self.def_(to, Role::Reuse(false));
        self.end(0);
    }

    // --- conditions --------------------------------------------------------------------------------

    /// A condition as a number.
    pub(super) fn condition_value(&mut self, inst: &Inst, v: u32) {
        let (request, cond) = self.condition(Operand::value(inst.res));
        self.make_room(&request);
        self.begin(MOp::Setcc(cond), Width::W8);
        self.def_(v, Role::Def);
        self.end(0);
        self.want(request);
    }

    fn select(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let (request, cond) = self.condition(inst.args[0]);
        let (then, other) = if ty == Type::Flags {
            (self.image_vreg(inst.args[1]), self.image_vreg(inst.args[2]))
        } else {
            (self.reg(inst.args[1], ty), self.reg(inst.args[2], ty))
        };
        self.make_room(&request);
        self.begin(MOp::Cmov(cond), wide_of(ty));
        self.src(other, Role::Any);
        self.src(then, Role::Use);
        self.def_(v, Role::Reuse(false));
        self.end(0);
        self.want(request);
    }

    fn guard(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        let Some(id) = inst.exit() else { return Err(unsupported("a guard without exit")) };
        if let Some(i) = self.literal(inst.args[0], Type::I1) {
            if i & 1 == 0 {
                return Err(unsupported("a guard that always leaves"));
            }
            return Ok(());
        }
        if let Some(equal) = self.def_of(inst.args[0]).copied()
            && equal.op == Op::Feq
            && equal.aty == Type::F64
        {
            self.guard_feq(&equal, id);
            return Ok(());
        }
        let (request, cond) = self.condition(inst.args[0]);
        self.make_room(&request);
        self.begin(MOp::Jcc(cond.negate()), Width::W64);
        self.exit(id);
        self.end(0);
        self.want(request);
        Ok(())
    }

    /// Leaves unless two floats are equal: where they differ, and where they are not ordered.
    fn guard_feq(&mut self, equal: &Inst, id: ir::types::ExitId) {
        let setter = Setter::Float(equal.args[0], equal.args[1]);
        let request = Request { setter, ty: equal.aty, need: Flag::MASK as u16 };
        self.make_room(&request);
        for cond in [Cond::P, Cond::Ne] {
            self.begin(MOp::Jcc(cond), Width::W64);
            self.exit(id);
            self.end(0);
        }
        self.want(request);
    }

    // --- width and parts ---------------------------------------------------------------------------

    pub(super) fn zext(&mut self, o: Operand, from: Type, v: u32) {
        let a = self.reg(o, from);
        if matches!(from, Type::I1 | Type::I64) || o.is_literal() {
            self.begin(MOp::Copy, Width::W64);
        } else {
            self.begin(MOp::Zext(width_of(from)), Width::W64);
        }
        self.src(a, Role::Any);
        self.def_(v, Role::Def);
        self.end(0);
    }

    pub(super) fn sext(&mut self, o: Operand, from: Type, to: Type, v: u32) {
        if from == Type::I1 {
            return self.unary(MOp::Neg, o, Type::I64, v);
        }
        if let Some(i) = self.literal(o, from) {
            let c = self.int_vreg(i as u64 & to.mask64());
            self.begin(MOp::Copy, Width::W64);
            self.src(c, Role::Any);
            self.def_(v, Role::Def);
            return self.end(0);
        }
        let a = self.reg(o, from);
        if let Some(address) = self.load_of(a, from, self.here) {
            self.begin(MOp::LoadSx(width_of(from)), wide_of(to));
            self.fault_exit_of(a);
            self.mem(&address);
            self.def_(v, Role::Def);
            return self.end_faulting(0);
        }
        self.begin(MOp::Sext(width_of(from)), wide_of(to));
        self.src(a, Role::Any);
        self.def_(v, Role::Def);
        self.end(0);
    }

    fn extract(&mut self, inst: &Inst, v: u32) {
        let at = inst.args[1].as_index().unwrap_or(0) as i64;
        let a = self.reg(inst.args[0], inst.aty);
        self.shift_right(a, v, at, wide_of(inst.aty));
    }

    /// `v = container with part put in at a bit offset`.
    fn insert(&mut self, inst: &Inst, v: u32) {
        let (part_ty, ty) = (inst.aty, inst.ty);
        let at = i64::from(inst.args[2].as_index().unwrap_or(0) as u32);
        let wide = wide_of(ty);
        let container = self.reg(inst.args[0], ty);
        let mask = (part_ty.mask64() << at) & ty.mask64();
        if at == 0 && matches!(part_ty, Type::I8 | Type::I16) {
            let part = self.reg(inst.args[1], part_ty);
            self.begin(MOp::Merge, width_of(part_ty));
            self.src(container, Role::Any);
            self.src(part, Role::Use);
            self.def_(v, Role::Reuse(false));
            return self.end(0);
        }
        let (cleared, moved, extended) = (self.new_general(), self.new_general(), self.new_general());
        self.begin(MOp::Alu(Alu::Or), wide);
        self.src(cleared, Role::Any);
        self.src(moved, Role::Any);
        self.def_(v, Role::Reuse(true));
        self.end(0);
        let keep = !mask as i64;
        if i32::try_from(keep).is_ok() || wide == Width::W32 {
            self.begin(MOp::Alu(Alu::And), wide);
            self.src(container, Role::Any);
            self.cur().imm = i64::from(keep as i32);
        } else {
            let k = self.int_vreg(keep as u64);
            self.begin(MOp::Alu(Alu::And), wide);
            self.src(container, Role::Any);
            self.src(k, Role::Any);
        }
        self.def_(cleared, Role::Reuse(false));
        self.end(0);
        self.begin(MOp::ShiftImm(Shift::Shl), wide);
        self.cur().imm = at;
        self.src(extended, Role::Any);
        self.def_(moved, Role::Reuse(false));
        self.end(0);
        self.zext(inst.args[1], part_ty, extended);
    }

    // --- lines with effects --------------------------------------------------------------------------

    /// A line that does more than compute.
    pub(super) fn effect(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        let v = inst.res.0;
        if inst.has_result() {
            if self.done == v {
                return Ok(());
            }
            if self.pending_uses(v) {
                self.flush(self.here + 1);
            }
        }
        match inst.op {
            Op::At => Ok(()),
            Op::Guard => self.guard(inst),
            Op::Native => self.native(inst),
            Op::Call => self.call(inst),
            Op::Store if is_vector(inst.aty) => self.vector_store(inst),
            Op::Store if self.store_part(inst) => Ok(()),
            Op::Store => self.store(inst),
            Op::Udivw | Op::Uremw | Op::Sdivw | Op::Sremw | Op::Udiv | Op::Urem | Op::Sdiv | Op::Srem => {
                // One that nobody uses may still fault, unless its neighbour does so in its stead.
                if !self.is_live(v) && self.faults_elsewhere(inst) {
                    Ok(())
                } else if matches!(inst.op, Op::Udivw | Op::Uremw | Op::Sdivw | Op::Sremw) {
                    self.divide_wide(inst, v)
                } else {
                    self.divide(inst, v)
                }
            }
            Op::Fence => {
                self.begin(MOp::Mfence, Width::W64);
                self.end(0);
                Ok(())
            }
            Op::AtomicAdd | Op::AtomicAnd | Op::AtomicOr | Op::AtomicXor | Op::AtomicSwap | Op::AtomicCas => {
                self.atomic(inst, v)
            }
            op => Err(unsupported(op.name())),
        }
    }

    fn store(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        let ty = inst.aty;
        if !is_general(ty) {
            return Err(unsupported(format_args!("a store of {ty}")));
        }
        let Some(addr) = self.trace.addr(inst) else { return Err(unsupported("this address")) };
        if self.store_back(inst, &addr) {
            return Ok(());
        }
        let address = self.address(&addr);
        self.begin(MOp::Store, width_of(ty));
        self.src_or_imm(inst.args[3], ty, Role::Use);
        self.mem(&address);
        self.end_faulting(0);
        Ok(())
    }

    /// `memory op= x`: a store of an operation on a load of the same address, both for this store only.
    fn store_back(&mut self, inst: &Inst, addr: &ir::trace::Addr) -> bool {
        let ty = inst.aty;
        let Some(v) = inst.args[3].as_value() else { return false };
        let v = self.root(v);
        let Some(op) = self.def(v).copied() else { return false };
        let f = &self.s.facts;
        if op.aty != ty
            || f.uses[v as usize] != 1
            || f.in_exit[v as usize]
            || self.is_live(v)
            || self.pending_uses(v)
        {
            return false;
        }
        let (alu, commutative) = match op.op {
            Op::Add => (Alu::Add, true),
            Op::Sub => (Alu::Sub, false),
            Op::And => (Alu::And, true),
            Op::Or => (Alu::Or, true),
            Op::Xor => (Alu::Xor, true),
            _ => return false,
        };
        for (mine, other) in [(0, 1), (1, 0)] {
            if mine == 1 && !commutative {
                break;
            }
            let (x, y) = (op.args[mine], op.args[other]);
            let Some(load) = self.def_of(x).copied() else { continue };
            if load.op != Op::Load
                || load.res != x.as_value().unwrap_or(load.res)
                || self.trace.addr(&load) != Some(*addr)
                || x == y
                || self.load_of(load.res.0, ty, self.here).is_none()
            {
                continue;
            }
            let address = self.address(addr);
            self.s.folded[load.res.index()] = true;
            self.begin(MOp::AluMem(alu), width_of(ty));
            self.src_or_imm(y, ty, Role::Use);
            self.mem(&address);
            self.end_faulting(0);
            return true;
        }
        false
    }

    fn atomic(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let ty = inst.aty;
        if !is_general(ty) {
            return Err(unsupported(format_args!("{} of {ty}", inst.op.name())));
        }
        let Some(addr) = self.trace.addr(inst) else { return Err(unsupported("this address")) };
        let width = width_of(ty);
        let value = inst.args[2];
        match inst.op {
            Op::AtomicAdd | Op::AtomicSwap if self.is_live(v) || inst.op == Op::AtomicSwap => {
                let address = self.address(&addr);
                let a = self.reg(value, ty);
                let op = if inst.op == Op::AtomicAdd { MOp::Xadd } else { MOp::Xchg };
                self.begin(op, width);
                self.src(a, Role::Any);
                self.mem(&address);
                self.def_(v, Role::Reuse(false));
                self.end_faulting(0);
            }
            Op::AtomicCas => {
                let address = self.address(&addr);
                let (expected, new) = (self.reg(value, ty), self.reg(inst.args[3], ty));
                self.begin(MOp::Cmpxchg, width);
                self.src(expected, Role::Fixed(RAX));
                self.src(new, Role::Use);
                self.mem(&address);
                self.def_(v, Role::DefFixed(RAX));
                self.end_faulting(0);
            }
            _ if self.is_live(v) => {
                return Err(unsupported(format_args!("the result of {}", inst.op.name())));
            }
            op => {
                let alu = match op {
                    Op::AtomicAdd => Alu::Add,
                    Op::AtomicAnd => Alu::And,
                    Op::AtomicOr => Alu::Or,
                    _ => Alu::Xor,
                };
                let address = self.address(&addr);
                let a = self.reg(value, ty);
                self.begin(MOp::LockAlu(alu), width);
                self.src(a, Role::Use);
                self.mem(&address);
                self.end_faulting(0);
            }
        }
        Ok(())
    }
}

/// The terms of a sum.
#[derive(Default)]
struct Terms {
    registers: SmallVec<[u32; 4]>,
    index: Option<(u32, u8)>,
    disp: i64,
    folded: u32,
}
