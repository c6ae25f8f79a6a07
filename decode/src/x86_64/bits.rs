//! Lifting of bit tests, bit counts and BMI.

use super::lift::Lifter;
use super::semantics::{BitOp, Bmi};
use super::slots;
use iced_x86::OpKind;
use ir::op::Op;
use ir::trace::Addr;
use ir::types::{Flag, Operand, Type};

impl Lifter<'_> {
    /// `bt` and its relatives. With a register as bit number, memory is a bit string: the number, signed,
    /// also chooses the word.
    pub(super) fn bit(&mut self, op: BitOp) {
        let ty = self.width(0);
        let number = self.read(1, ty);
        let in_word = self.b.int(ty, i128::from(ty.bits() - 1));
        let shift = match self.b.trace().literal_int(number) {
            Some(n) => self.b.int(ty, n & i128::from(ty.bits() - 1)),
            None => self.b.bin(Op::And, ty, number, in_word),
        };
        if self.is_memory(0) && self.raw.op1_kind() == OpKind::Register {
            self.move_to_word(ty, number);
        }
        let one = self.b.int(ty, 1);
        let mask = self.b.bin(Op::Shl, ty, one, shift);
        let locked = self.raw.has_lock_prefix();
        let old = match op {
            BitOp::Set if locked => self.atomic(Op::AtomicOr, ty, mask, Operand::NONE),
            BitOp::Complement if locked => self.atomic(Op::AtomicXor, ty, mask, Operand::NONE),
            BitOp::Reset if locked => {
                let rest = self.b.un(Op::Not, ty, mask);
                self.atomic(Op::AtomicAnd, ty, rest, Operand::NONE)
            }
            _ => self.read(0, ty),
        };
        if !locked {
            let new = match op {
                BitOp::Test => None,
                BitOp::Set => Some(self.b.bin(Op::Or, ty, old, mask)),
                BitOp::Reset => Some(self.b.bin(Op::Andn, ty, mask, old)),
                BitOp::Complement => Some(self.b.bin(Op::Xor, ty, old, mask)),
            };
            if let Some(new) = new {
                self.write(0, ty, new);
            }
        }
        let shifted = self.b.bin(Op::Shr, ty, old, shift);
        let bit = self.b.convert(Op::Trunc, ty, Type::I1, shifted);
        self.set_flag(Flag::C, bit);
    }

    /// Moves the memory operand to the word of a bit string that holds bit `number`.
    fn move_to_word(&mut self, ty: Type, number: Operand) {
        let number = self.b.convert(Op::Sext, ty, Type::I64, number);
        let log_bits = self.b.i64(ty.bits().trailing_zeros().into());
        let log_bytes = self.b.i64(ty.bytes().trailing_zeros().into());
        let word = self.b.bin(Op::Sar, Type::I64, number, log_bits);
        let offset = self.b.bin(Op::Shl, Type::I64, word, log_bytes);
        let addr = self.mem();
        let start = self.b.address(addr);
        let mut base = self.b.bin(Op::Add, Type::I64, start, offset);
        if self.raw.memory_base().is_gpr32() || self.raw.memory_index().is_gpr32() {
            let low = self.b.convert(Op::Trunc, Type::I64, Type::I32, base);
            base = self.zext(Type::I32, low);
        }
        self.addr = Some(Addr::new(base, 0));
    }

    /// `bsf`, `bsr`. A source of zero leaves all 64 bits of the destination, as every x86-64 CPU does.
    pub(super) fn bit_scan(&mut self, reverse: bool) {
        let ty = self.width(0);
        let source = self.read(1, ty);
        let index = if reverse {
            let top = self.b.int(ty, i128::from(ty.bits() - 1));
            let zeros = self.b.un(Op::Clz, ty, source);
            self.b.bin(Op::Sub, ty, top, zeros)
        } else {
            self.b.un(Op::Ctz, ty, source)
        };
        let zero = self.b.int(ty, 0);
        let is_zero = self.b.bin(Op::Eq, ty, source, zero);
        let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
        let before = self.b.get(slot);
        self.write(0, ty, index);
        self.restore_if(is_zero, slot, before);
        self.set_flag(Flag::Z, is_zero);
    }

    /// `tzcnt`, `lzcnt`: C if the source is zero, Z if the result is.
    pub(super) fn count(&mut self, op: Op) {
        let ty = self.width(0);
        let source = self.read(1, ty);
        let result = self.b.un(op, ty, source);
        self.write(0, ty, result);
        let zero = self.b.int(ty, 0);
        let none = self.b.bin(Op::Eq, ty, source, zero);
        let first = self.b.bin(Op::Eq, ty, result, zero);
        let flags = self.b.get(slots::FLAGS);
        let flags = self.b.with_flag(Flag::C, flags, none);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::Z as u8, &[flags, first]);
    }

    /// All flags are 0 but Z, which says that the source is zero.
    pub(super) fn popcnt(&mut self) {
        let ty = self.width(0);
        let source = self.read(1, ty);
        let result = self.b.un(Op::Popcnt, ty, source);
        self.write(0, ty, result);
        let zero = self.b.int(ty, 0);
        let is_zero = self.b.bin(Op::Eq, ty, source, zero);
        let image = self.b.i64(0);
        let none = self.b.pack_flags(image);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::Z as u8, &[none, is_zero]);
    }

    pub(super) fn bmi(&mut self, op: Bmi) {
        let ty = self.width(0);
        match op {
            Bmi::Andn => {
                let (a, b) = (self.read(1, ty), self.read(2, ty));
                let result = self.b.bin(Op::Andn, ty, a, b);
                self.write(0, ty, result);
                self.logic_flags(ty, result);
            }
            Bmi::Shift(op) => {
                let (value, count) = (self.read(1, ty), self.read(2, ty));
                let mask = self.b.int(ty, i128::from(ty.bits() - 1));
                let count = self.b.bin(Op::And, ty, count, mask);
                let result = self.b.bin(op, ty, value, count);
                self.write(0, ty, result);
            }
            Bmi::Rorx => {
                let value = self.read(1, ty);
                let count = self.b.int(ty, i128::from(self.raw.immediate8()) & i128::from(ty.bits() - 1));
                let result = self.b.bin(Op::Ror, ty, value, count);
                self.write(0, ty, result);
            }
            Bmi::Pdep | Bmi::Pext => {
                let (value, mask) = (self.read(1, ty), self.read(2, ty));
                let op = if op == Bmi::Pdep { Op::Pdep } else { Op::Pext };
                let result = self.b.bin(op, ty, value, mask);
                self.write(0, ty, result);
            }
            Bmi::Mulx => {
                let (a, b) = (self.read_slot(slots::RDX, ty), self.read(2, ty));
                let low = self.b.bin(Op::Mul, ty, a, b);
                let high = self.b.bin(Op::Umulh, ty, a, b);
                // With one destination for both halves the high one stays.
                self.write(1, ty, low);
                self.write(0, ty, high);
            }
            Bmi::Blsi | Bmi::Blsr | Bmi::Blsmsk => self.lowest_bit(op, ty),
            Bmi::Bextr => {
                let (value, control) = (self.read(1, ty), self.read(2, ty));
                let byte = self.b.int(ty, 0xff);
                let eight = self.b.int(ty, 8);
                let start = self.b.bin(Op::And, ty, control, byte);
                let length = self.b.bin(Op::Shr, ty, control, eight);
                let length = self.b.bin(Op::And, ty, length, byte);
                let field = self.b.bin(Op::Shr, ty, value, start);
                let ones = self.b.int(ty, -1);
                let outside = self.b.bin(Op::Shl, ty, ones, length);
                let result = self.b.bin(Op::Andn, ty, outside, field);
                self.write(0, ty, result);
                self.logic_flags(ty, result);
            }
            Bmi::Bzhi => {
                let (value, index) = (self.read(1, ty), self.read(2, ty));
                let byte = self.b.int(ty, 0xff);
                let index = self.b.bin(Op::And, ty, index, byte);
                let ones = self.b.int(ty, -1);
                let outside = self.b.bin(Op::Shl, ty, ones, index);
                let result = self.b.bin(Op::Andn, ty, outside, value);
                let last = self.b.int(ty, i128::from(ty.bits() - 1));
                let beyond = self.b.bin(Op::Ult, ty, last, index);
                self.write(0, ty, result);
                let flags = self.b.un(Op::FlagsLogic, ty, result);
                self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::C as u8, &[flags, beyond]);
            }
        }
    }

    /// `blsi`, `blsr`, `blsmsk`.
    fn lowest_bit(&mut self, op: Bmi, ty: Type) {
        let value = self.read(1, ty);
        let (zero, one) = (self.b.int(ty, 0), self.b.int(ty, 1));
        let result = match op {
            Bmi::Blsi => {
                let negated = self.b.un(Op::Neg, ty, value);
                self.b.bin(Op::And, ty, value, negated)
            }
            Bmi::Blsr => {
                let less = self.b.bin(Op::Sub, ty, value, one);
                self.b.bin(Op::And, ty, value, less)
            }
            _ => {
                let less = self.b.bin(Op::Sub, ty, value, one);
                self.b.bin(Op::Xor, ty, value, less)
            }
        };
        self.write(0, ty, result);
        let carry = self.b.bin(if op == Bmi::Blsi { Op::Ne } else { Op::Eq }, ty, value, zero);
        let flags = self.b.un(Op::FlagsLogic, ty, result);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::C as u8, &[flags, carry]);
    }
}
