//! Selection of operations on scalar floats.
//!
//! Operands keep their order: which NaN an operation gives depends on it. Memory operands are loads that nothing else
//! uses; an operation on one source takes none, because its destination would have to be waited for.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Operand, Round, Type, Wide};

use super::super::CodegenError;
use super::asm::vector::{self as row, Cross, V};
use super::asm::{Alu, Shift, Width};
use super::inst::MOp;
use super::prepare::is_general;
use super::select::Selector;
use super::select_flags::width_of;
use super::select_vector::Last;
use super::vinst::{VOp, What};
use crate::regalloc::Role;

/// The row for this scalar type.
fn pick(ty: Type, single: V, double: V) -> V {
    if ty == Type::F32 { single } else { double }
}

/// The immediate of `round…`: the direction, and that inexact results raise nothing.
pub(super) fn round_imm(attr: u8) -> u8 {
    let mode = match Round::ALL.get(attr as usize) {
        Some(Round::Down) => 1,
        Some(Round::Up) => 2,
        Some(Round::Zero) => 3,
        _ => 0,
    };
    mode | 8
}

impl Selector<'_> {
    /// Makes a value of a scalar float operation.
    pub(super) fn float(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (ty, args) = (inst.aty, inst.args);
        let binary = match inst.op {
            Op::Fadd => Some((row::ADDSS, row::ADDSD)),
            Op::Fsub => Some((row::SUBSS, row::SUBSD)),
            Op::Fmul => Some((row::MULSS, row::MULSD)),
            Op::Fdiv => Some((row::DIVSS, row::DIVSD)),
            Op::FminSse => Some((row::MINSS, row::MINSD)),
            Op::FmaxSse => Some((row::MAXSS, row::MAXSD)),
            _ => None,
        };
        if let Some((single, double)) = binary {
            let a = self.vec(args[0], ty);
            let last = self.last(args[1], ty, true);
            self.plain(v, What::Bin(pick(ty, single, double)), ty, &[a], Some(last));
            return Ok(());
        }
        match inst.op {
            Op::Ffma if self.s.kit.vex => self.fused(inst, v, pick(ty, row::VFMADD231SS, row::VFMADD231SD)),
            Op::Fsqrt => self.low(inst, v, What::Low(pick(ty, row::SQRTSS, row::SQRTSD))),
            Op::Fround => {
                let imm = round_imm(inst.attr);
                self.low(inst, v, What::LowImm(pick(ty, row::ROUNDSS, row::ROUNDSD), imm));
            }
            Op::Fext => self.low(inst, v, What::Low(row::CVTSS2SD)),
            Op::Fnarrow => self.low(inst, v, What::Low(row::CVTSD2SS)),
            Op::Fneg | Op::Fabs => self.sign(inst, v),
            Op::Flt | Op::Fle | Op::Funo => self.condition_value(inst, v),
            Op::Feq => {
                let (mask, bits) = (self.new_vector(ty), self.new_general());
                self.step32(MOp::Alu(Alu::And), v, bits, 1);
                self.move_to_general(bits, What::From(Cross::MovFrom), Width::W32, 0, Last::Reg(mask));
                let a = self.vec(args[0], ty);
                let last = self.last(args[1], ty, true);
                self.plain(mask, What::BinImm(pick(ty, row::CMPSS, row::CMPSD), 0), ty, &[a], Some(last));
            }
            Op::Sitof => self.convert_signed(inst, v, inst.args[0], inst.aty),
            Op::Uitof if ty == Type::I32 => {
                // Zero-extended it is a positive 64-bit integer.
                let wide = self.new_general();
                self.convert(inst, v, wide, Width::W64);
                self.zext(args[0], ty, wide);
            }
            Op::Uitof if ty == Type::I64 => self.convert_unsigned(inst, v),
            Op::Ftosi | Op::FtosiNear if is_general(inst.ty) => {
                let op = match (inst.op, ty) {
                    (Op::Ftosi, Type::F32) => Cross::Cvttss2si,
                    (Op::Ftosi, _) => Cross::Cvttsd2si,
                    (_, Type::F32) => Cross::Cvtss2si,
                    _ => Cross::Cvtsd2si,
                };
                let last = self.last(args[0], ty, true);
                self.move_to_general(v, What::From(op), width_of(inst.ty), 0, last);
            }
            _ => return Err(self.refuse(inst)),
        }
        Ok(())
    }

    /// `a·b + c`
    pub(super) fn fused(&mut self, inst: &Inst, v: u32, op: V) {
        let ty = if inst.op == Op::Ffma { inst.aty } else { inst.ty };
        let args = inst.args;
        let (a, c) = (self.vec(args[0], ty), self.vec(args[2], ty));
        let last = self.last(args[1], ty, false);
        self.plain(v, What::Fused(op), ty, &[c, a], Some(last));
    }

    /// An operation on one source that writes the low lane only.
    fn low(&mut self, inst: &Inst, v: u32, what: What) {
        let last = Last::Reg(self.vec(inst.args[0], inst.aty));
        self.plain(v, what, inst.ty, &[], Some(last));
    }

    fn sign(&mut self, inst: &Inst, v: u32) {
        let sign = 1u64 << (inst.aty.bits() - 1);
        let (what, mask) = match inst.op {
            Op::Fneg => (What::Sym(row::XORPS), sign),
            _ => (What::Sym(row::ANDPS), sign - 1),
        };
        let mut bits = Wide::default();
        bits[0] = mask;
        let last = Last::Pool(self.s.pool.place(&bits, 16));
        let a = self.vec(inst.args[0], inst.aty);
        self.plain(v, what, inst.aty, &[a], Some(last));
    }

    fn convert_signed(&mut self, inst: &Inst, v: u32, o: Operand, from: Type) {
        let op = if inst.ty == Type::F32 { Cross::Cvtsi2ss } else { Cross::Cvtsi2sd };
        let general = self.reg(o, from);
        self.move_from_general(v, What::ToFloat(op), width_of(from), general, o, from);
    }

    /// `v` is the signed integer in a register.
    fn convert(&mut self, inst: &Inst, v: u32, general: u32, width: Width) {
        let op = if inst.ty == Type::F32 { Cross::Cvtsi2ss } else { Cross::Cvtsi2sd };
        self.begin(MOp::Vector(VOp::new(What::ToFloat(op))), width);
        self.src(general, Role::Use);
        self.def_(v, Role::Def);
        self.end(0);
    }

    /// Unsigned 64 bits: as signed if they are; else half of it (its lowest bit kept so that rounding is the same), doubled.
    fn convert_unsigned(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let x = self.reg(inst.args[0], Type::I64);
        let (small, large, half_float) = (self.new_vector(ty), self.new_vector(ty), self.new_vector(ty));
        let (half, shifted, odd) = (self.new_general(), self.new_general(), self.new_general());
        self.flush(self.here + 1);
        self.begin_raw(MOp::Vector(VOp::new(What::Select(Cond::S))), Width::W64);
        self.src(small, Role::Use);
        self.src(large, Role::Use);
        self.def_(v, Role::Reuse(false));
        self.end(0);
        self.begin_raw(MOp::Test, Width::W64);
        self.src(x, Role::Use);
        self.src(x, Role::Use);
        self.end(0);
        self.plain(
            large,
            What::Bin(pick(ty, row::ADDSS, row::ADDSD)),
            ty,
            &[half_float],
            Some(Last::Reg(half_float)),
        );
        self.convert(inst, half_float, half, Width::W64);
        self.alu3(Alu::Or, half, shifted, odd);
        self.step(MOp::Alu(Alu::And), odd, x, 1);
        self.step(MOp::ShiftImm(Shift::Shr), shifted, x, 1);
        self.convert(inst, small, x, Width::W64);
    }

    /// The machine's flags become those of a float comparison.
    pub(super) fn float_compare(&mut self, ty: Type, a: Operand, b: Operand) {
        let a = self.vec(a, ty);
        let last = self.last(b, ty, true);
        let op = VOp::new(What::Flags(pick(ty, row::UCOMISS, row::UCOMISD)));
        self.begin_raw(MOp::Vector(op), Width::W64);
        self.src(a, Role::Use);
        self.last_src(last, op.what, 16);
        self.end_vector(Some(last));
    }
}
