//! Lifting of moves, arithmetic and shifts on general registers.

use super::lift::Lifter;
use super::semantics::{Alu, StringOp, Unary};
use super::slots;
use iced_x86::{OpKind, Register};
use ir::op::Op;
use ir::trace::Addr;
use ir::types::{Flag, Operand, Type};

impl Lifter<'_> {
    // --- moves -------------------------------------------------------------------------------------

    pub(super) fn mov(&mut self) {
        let ty = self.width(0);
        let value = self.read(1, ty);
        self.write(0, ty, value);
    }

    pub(super) fn extend(&mut self, op: Op) {
        let (from, to) = (self.width(1), self.width(0));
        let value = self.read(1, from);
        // `movsxd` of 32 bits to 32, or of 16 to 16, is a plain move.
        let value = if from.bits() < to.bits() { self.b.convert(op, from, to, value) } else { value };
        self.write(0, to, value);
    }

    pub(super) fn lea(&mut self) {
        let ty = self.width(0);
        let addr = self.effective_address();
        let address = self.b.address(addr);
        let value = self.b.convert(Op::Trunc, Type::I64, ty, address);
        self.write(0, ty, value);
    }

    pub(super) fn xchg(&mut self) {
        let ty = self.width(0);
        if self.is_memory(0) || self.is_memory(1) {
            let register = if self.is_memory(0) { 1 } else { 0 };
            let new = self.read(register, ty);
            let old = self.atomic(Op::AtomicSwap, ty, new, Operand::NONE);
            self.write(register, ty, old);
            return;
        }
        let (a, b) = (self.read(0, ty), self.read(1, ty));
        self.write(0, ty, b);
        self.write(1, ty, a);
    }

    pub(super) fn movbe(&mut self) {
        let ty = self.width(0);
        let value = self.read(1, ty);
        let swapped = self.b.un(Op::Bswap, ty, value);
        self.write(0, ty, swapped);
    }

    pub(super) fn bswap(&mut self) {
        let ty = self.width(0);
        let value = self.read(0, ty);
        let swapped = self.b.un(Op::Bswap, ty, value);
        self.write(0, ty, swapped);
    }

    pub(super) fn setcc(&mut self) {
        let cond = self.condition();
        let value = self.b.convert(Op::Zext, Type::I1, Type::I8, cond);
        self.write(0, Type::I8, value);
    }

    pub(super) fn cmovcc(&mut self) {
        let ty = self.width(0);
        // The source is read, and may fault, whatever the condition says.
        let (source, old) = (self.read(1, ty), self.read(0, ty));
        let cond = self.condition();
        let value = self.b.select(ty, cond, source, old);
        self.write(0, ty, value);
    }

    // --- arithmetic --------------------------------------------------------------------------------

    pub(super) fn alu(&mut self, alu: Alu) {
        let ty = self.width(0);
        if self.raw.has_lock_prefix() {
            return self.locked_alu(alu, ty);
        }
        let same = self.raw.op0_kind() == OpKind::Register
            && self.raw.op1_kind() == OpKind::Register
            && self.raw.op0_register() == self.raw.op1_register();
        if same && alu == Alu::Xor {
            // The idiom for zero reads nothing.
            let zero = self.b.int(ty, 0);
            self.write(0, ty, zero);
            return self.logic_flags(ty, zero);
        }
        let a = self.read(0, ty);
        let b = if same { a } else { self.read(1, ty) };
        match alu {
            Alu::Add => {
                let sum = self.b.bin(Op::Add, ty, a, b);
                self.write(0, ty, sum);
                self.flags_are(Op::FlagsAdd, ty, &[a, b]);
            }
            Alu::Sub => {
                let difference = self.b.bin(Op::Sub, ty, a, b);
                self.write(0, ty, difference);
                self.flags_are(Op::FlagsSub, ty, &[a, b]);
            }
            Alu::Cmp => self.flags_are(Op::FlagsSub, ty, &[a, b]),
            Alu::Adc | Alu::Sbb => {
                let carry = self.get_flag(Flag::C);
                let carried = self.b.convert(Op::Zext, Type::I1, ty, carry);
                let (op, flags) =
                    if alu == Alu::Adc { (Op::Add, Op::FlagsAdc) } else { (Op::Sub, Op::FlagsSbb) };
                let partial = self.b.bin(op, ty, a, b);
                let result = self.b.bin(op, ty, partial, carried);
                self.write(0, ty, result);
                self.flags_are(flags, ty, &[a, b, carry]);
            }
            Alu::And | Alu::Or | Alu::Xor | Alu::Test => {
                let op = match alu {
                    Alu::Or => Op::Or,
                    Alu::Xor => Op::Xor,
                    _ => Op::And,
                };
                let result = if same { a } else { self.b.bin(op, ty, a, b) };
                if alu != Alu::Test {
                    self.write(0, ty, result);
                }
                self.logic_flags(ty, result);
            }
        }
    }

    fn locked_alu(&mut self, alu: Alu, ty: Type) {
        let value = self.read(1, ty);
        let old = match alu {
            Alu::Sub => {
                let negated = self.b.un(Op::Neg, ty, value);
                self.atomic(Op::AtomicAdd, ty, negated, Operand::NONE)
            }
            Alu::And => self.atomic(Op::AtomicAnd, ty, value, Operand::NONE),
            Alu::Or => self.atomic(Op::AtomicOr, ty, value, Operand::NONE),
            Alu::Xor => self.atomic(Op::AtomicXor, ty, value, Operand::NONE),
            _ => self.atomic(Op::AtomicAdd, ty, value, Operand::NONE),
        };
        let logic = match alu {
            Alu::Sub => return self.flags_are(Op::FlagsSub, ty, &[old, value]),
            Alu::And => Op::And,
            Alu::Or => Op::Or,
            Alu::Xor => Op::Xor,
            _ => return self.flags_are(Op::FlagsAdd, ty, &[old, value]),
        };
        let result = self.b.bin(logic, ty, old, value);
        self.logic_flags(ty, result);
    }

    pub(super) fn unary(&mut self, unary: Unary) {
        let ty = self.width(0);
        let one = self.b.int(ty, 1);
        let minus_one = self.b.int(ty, -1);
        let locked = self.raw.has_lock_prefix();
        let old = match unary {
            Unary::Inc if locked => self.atomic(Op::AtomicAdd, ty, one, Operand::NONE),
            Unary::Dec if locked => self.atomic(Op::AtomicAdd, ty, minus_one, Operand::NONE),
            Unary::Not if locked => self.atomic(Op::AtomicXor, ty, minus_one, Operand::NONE),
            _ => self.read(0, ty),
        };
        if !locked {
            let new = match unary {
                Unary::Inc => self.b.bin(Op::Add, ty, old, one),
                Unary::Dec => self.b.bin(Op::Sub, ty, old, one),
                Unary::Neg => self.b.un(Op::Neg, ty, old),
                Unary::Not => self.b.un(Op::Not, ty, old),
            };
            self.write(0, ty, new);
        }
        match unary {
            Unary::Inc | Unary::Dec => {
                let flags = self.b.get(slots::FLAGS);
                let op = if unary == Unary::Inc { Op::FlagsInc } else { Op::FlagsDec };
                self.flags_are(op, ty, &[old, flags]);
            }
            Unary::Neg => {
                let zero = self.b.int(ty, 0);
                self.flags_are(Op::FlagsSub, ty, &[zero, old]);
            }
            Unary::Not => {}
        }
    }

    // --- shifts ------------------------------------------------------------------------------------

    /// The shift count in this operand as the CPU masks it, at type `ty`.
    fn shift_count(&mut self, operand: u32, ty: Type) -> Operand {
        let mask = if ty == Type::I64 { 63 } else { 31 };
        if self.raw.op_kind(operand) != OpKind::Register {
            return self.b.int(ty, i128::from(self.raw.immediate8()) & mask);
        }
        let cl = self.read_gpr(Register::CL);
        let mask = self.b.int(Type::I8, mask);
        let count = self.b.bin(Op::And, Type::I8, cl, mask);
        self.b.convert(Op::Zext, Type::I8, ty, count)
    }

    pub(super) fn shift(&mut self, op: Op, flags_op: Op) {
        let ty = self.width(0);
        let count = self.shift_count(1, ty);
        let value = self.read(0, ty);
        let result = self.b.bin(op, ty, value, count);
        self.write(0, ty, result);
        if self.b.trace().literal_int(count) != Some(0) {
            let flags = self.b.get(slots::FLAGS);
            self.flags_are(flags_op, ty, &[value, count, flags]);
        }
    }

    /// `shld` and `shrd`, of 32 or 64 bits. A count of zero leaves the flags, and so does the width minus
    /// the count shift everything out of the second operand.
    pub(super) fn double_shift(&mut self, left: bool) {
        let ty = self.width(0);
        let count = self.shift_count(2, ty);
        let width = self.b.int(ty, i128::from(ty.bits()));
        let (a, fill) = (self.read(0, ty), self.read(1, ty));
        let rest = self.b.bin(Op::Sub, ty, width, count);
        let (op, back, flags_op) =
            if left { (Op::Shl, Op::Shr, Op::FlagsShl) } else { (Op::Shr, Op::Shl, Op::FlagsShr) };
        let main = self.b.bin(op, ty, a, count);
        let filled = self.b.bin(back, ty, fill, rest);
        let result = self.b.bin(Op::Or, ty, main, filled);
        let old_flags = self.b.get(slots::FLAGS);
        self.write(0, ty, result);

        // C is the last bit shifted out of the first operand; O, for a count of one, a change of sign.
        let shifted = self.b.tri(flags_op, ty, a, count, old_flags);
        let carry = self.b.flag(Flag::C, shifted);
        let changed = self.b.bin(Op::Xor, ty, result, a);
        let zero = self.b.int(ty, 0);
        let overflow = self.b.bin(Op::Slt, ty, changed, zero);
        let flags = self.b.un(Op::FlagsLogic, ty, result);
        let flags = self.b.with_flag(Flag::C, flags, carry);
        let flags = self.b.with_flag(Flag::O, flags, overflow);
        let none = self.b.bin(Op::Eq, ty, count, zero);
        let flags = self.b.select(Type::Flags, none, old_flags, flags);
        self.b.set(slots::FLAGS, flags);
    }

    // --- multiplication and division ---------------------------------------------------------------

    pub(super) fn mul_wide(&mut self, signed: bool) {
        let ty = self.width(0);
        let (a, b) = (self.read_slot(slots::RAX, ty), self.read(0, ty));
        let low = self.b.bin(Op::Mul, ty, a, b);
        let high = self.b.bin(if signed { Op::Smulh } else { Op::Umulh }, ty, a, b);
        if ty == Type::I8 {
            let ax = self.pair(Type::I8, high, low);
            self.write_slot(slots::RAX, Type::I16, ax);
        } else {
            self.write_slot(slots::RAX, ty, low);
            self.write_slot(slots::RDX, ty, high);
        }
        self.flags_are(if signed { Op::FlagsSmul } else { Op::FlagsUmul }, ty, &[a, b]);
    }

    pub(super) fn imul(&mut self) {
        let ty = self.width(0);
        let first = if self.raw.op_count() == 3 { 1 } else { 0 };
        let (a, b) = (self.read(first, ty), self.read(first + 1, ty));
        let product = self.b.bin(Op::Mul, ty, a, b);
        self.write(0, ty, product);
        self.flags_are(Op::FlagsSmul, ty, &[a, b]);
    }

    /// Flags are undefined; they stay.
    pub(super) fn div(&mut self, signed: bool) {
        let ty = self.width(0);
        let divisor = self.read(0, ty);
        let (high, low) = if ty == Type::I8 {
            (self.read_gpr(Register::AH), self.read_gpr(Register::AL))
        } else {
            (self.read_slot(slots::RDX, ty), self.read_slot(slots::RAX, ty))
        };
        let (div, rem) = if signed { (Op::Sdivw, Op::Sremw) } else { (Op::Udivw, Op::Uremw) };
        let quotient = self.b.tri(div, ty, high, low, divisor);
        let remainder = self.b.tri(rem, ty, high, low, divisor);
        if ty == Type::I8 {
            let ax = self.pair(Type::I8, remainder, quotient);
            self.write_slot(slots::RAX, Type::I16, ax);
        } else {
            self.write_slot(slots::RAX, ty, quotient);
            self.write_slot(slots::RDX, ty, remainder);
        }
    }

    /// `high` and `low`, each of type `ty`, as one integer of twice the width.
    pub(super) fn pair(&mut self, ty: Type, high: Operand, low: Operand) -> Operand {
        let wide = Type::int(ty.bits() * 2).unwrap_or(Type::I128);
        let low = self.b.convert(Op::Zext, ty, wide, low);
        self.b.insert(wide, low, ty, high, ty.bits())
    }

    pub(super) fn sign_extend_acc(&mut self, ty: Type) {
        let wide = Type::int(ty.bits() * 2).unwrap_or(Type::I64);
        let value = self.read_slot(slots::RAX, ty);
        let value = self.b.convert(Op::Sext, ty, wide, value);
        self.write_slot(slots::RAX, wide, value);
    }

    pub(super) fn sign_of_acc(&mut self, ty: Type) {
        let value = self.read_slot(slots::RAX, ty);
        let amount = self.b.int(ty, i128::from(ty.bits() - 1));
        let sign = self.b.bin(Op::Sar, ty, value, amount);
        self.write_slot(slots::RDX, ty, sign);
    }

    // --- exchange and compare ----------------------------------------------------------------------

    pub(super) fn xadd(&mut self) {
        let ty = self.width(0);
        let addend = self.read(1, ty);
        let old = if self.raw.has_lock_prefix() {
            self.atomic(Op::AtomicAdd, ty, addend, Operand::NONE)
        } else {
            let old = self.read(0, ty);
            let sum = self.b.bin(Op::Add, ty, old, addend);
            if self.is_memory(0) {
                self.write(0, ty, sum);
            } else {
                // With both operands the same register the sum stays.
                self.write(1, ty, old);
                self.write(0, ty, sum);
                return self.flags_are(Op::FlagsAdd, ty, &[old, addend]);
            }
            old
        };
        self.write(1, ty, old);
        self.flags_are(Op::FlagsAdd, ty, &[old, addend]);
    }

    pub(super) fn cmpxchg(&mut self) {
        let ty = self.width(0);
        let (expected, new) = (self.read_slot(slots::RAX, ty), self.read(1, ty));
        let locked = self.raw.has_lock_prefix();
        let old = if locked { self.atomic(Op::AtomicCas, ty, expected, new) } else { self.read(0, ty) };
        let equal = self.b.bin(Op::Eq, ty, old, expected);
        if !locked {
            if self.is_memory(0) {
                // Memory is written in either case.
                let stored = self.b.select(ty, equal, new, old);
                self.write(0, ty, stored);
                self.load_acc_unless(equal, ty, old);
            } else {
                // The accumulator first: it may be the destination.
                self.load_acc_unless(equal, ty, old);
                let slot = slots::gpr(self.raw.op0_register().full_register().number() as u8);
                let before = self.b.get(slot);
                self.write(0, ty, new);
                let differ = self.b.un(Op::Not, Type::I1, equal);
                self.restore_if(differ, slot, before);
            }
        } else {
            self.load_acc_unless(equal, ty, old);
        }
        self.flags_are(Op::FlagsSub, ty, &[expected, old]);
    }

    /// Writes `value` to the accumulator unless `equal`, when all 64 bits of it stay.
    fn load_acc_unless(&mut self, equal: Operand, ty: Type, value: Operand) {
        let before = self.b.get(slots::RAX);
        self.write_slot(slots::RAX, ty, value);
        self.restore_if(equal, slots::RAX, before);
    }

    pub(super) fn cmpxchg_pair(&mut self) {
        let wide = if self.raw.memory_size().size() == 16 { Type::I128 } else { Type::I64 };
        let half = if wide == Type::I128 { Type::I64 } else { Type::I32 };
        let (low, high) = (self.read_slot(slots::RAX, half), self.read_slot(slots::RDX, half));
        let expected = self.pair(half, high, low);
        let (low, high) = (self.read_slot(slots::RBX, half), self.read_slot(slots::RCX, half));
        let new = self.pair(half, high, low);
        let old = self.atomic(Op::AtomicCas, wide, expected, new);
        let equal = self.b.bin(Op::Eq, wide, old, expected);
        for (slot, bit) in [(slots::RAX, 0), (slots::RDX, half.bits())] {
            let before = self.b.get(slot);
            let part = self.b.extract(wide, old, half, bit);
            self.write_slot(slot, half, part);
            self.restore_if(equal, slot, before);
        }
        self.set_flag(Flag::Z, equal);
    }

    // --- flags as data -----------------------------------------------------------------------------

    pub(super) fn complement_carry(&mut self) {
        let carry = self.get_flag(Flag::C);
        let carry = self.b.un(Op::Not, Type::I1, carry);
        self.set_flag(Flag::C, carry);
    }

    /// `ah` to S Z A P C; O stays.
    pub(super) fn sahf(&mut self) {
        let ah = self.read_gpr(Register::AH);
        let image = self.zext(Type::I8, ah);
        let overflow = self.get_flag(Flag::O);
        let flags = self.b.pack_flags(image);
        self.b.set_recipe(slots::FLAGS, Op::FlagsWith, Type::Void, Flag::O as u8, &[flags, overflow]);
    }

    /// S Z A P C and the fixed bit 1 to `ah`.
    pub(super) fn lahf(&mut self) {
        let flags = self.b.get(slots::FLAGS);
        let image = self.b.unpack_flags(flags);
        let low = self.b.convert(Op::Trunc, Type::I64, Type::I8, image);
        let fixed = self.b.int(Type::I8, 2);
        let ah = self.b.bin(Op::Or, Type::I8, low, fixed);
        self.write_gpr(Register::AH, ah);
    }

    // --- strings -----------------------------------------------------------------------------------

    pub(super) fn string(&mut self, op: StringOp) {
        let bytes = self.raw.memory_size().size() as u32;
        let ty = Type::int(bytes * 8).unwrap_or(Type::I64);
        let direction = self.b.get(slots::DF);
        let (back, forth) = (self.b.i64(-i64::from(bytes)), self.b.i64(bytes.into()));
        let step = self.b.select(Type::I64, direction, back, forth);
        let source = Addr::new(self.b.get(slots::RSI), 0);
        let dest = Addr::new(self.b.get(slots::RDI), 0);
        let (from_source, to_dest) = match op {
            StringOp::Movs | StringOp::Cmps => (true, true),
            StringOp::Lods => (true, false),
            StringOp::Stos | StringOp::Scas => (false, true),
        };
        let value = if from_source {
            let source = match self.raw.segment_prefix() {
                Register::FS => self.in_segment(slots::FS_BASE, source),
                Register::GS => self.in_segment(slots::GS_BASE, source),
                _ => source,
            };
            self.b.load(ty, source, slots::MEMORY)
        } else {
            self.read_slot(slots::RAX, ty)
        };
        match op {
            StringOp::Movs | StringOp::Stos => self.b.store(ty, value, dest, slots::MEMORY),
            StringOp::Lods => self.write_slot(slots::RAX, ty, value),
            StringOp::Scas | StringOp::Cmps => {
                let other = self.b.load(ty, dest, slots::MEMORY);
                self.flags_are(Op::FlagsSub, ty, &[value, other]);
            }
        }
        for (slot, moves) in [(slots::RSI, from_source), (slots::RDI, to_dest)] {
            if moves {
                let old = self.b.get(slot);
                let new = self.b.bin(Op::Add, Type::I64, old, step);
                self.b.set(slot, new);
            }
        }
    }
}
