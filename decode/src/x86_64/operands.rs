//! Operands: registers of any width as parts of their slots, memory operands as addresses with their alias
//! class, immediates as literals.
//!
//! A write of 32 bits zero-extends into the slot, one of 8 or 16 bits keeps the rest. Vector writes of legacy SSE keep
//! what lies above 128 bits, those of VEX encodings clear what lies above their width.

use super::lift::Lifter;
use super::slots;
use iced_x86::{OpKind, Register};
use ir::op::Op;
use ir::trace::Addr;
use ir::types::{ClassId, Operand, SlotId, Type};

impl Lifter<'_> {
    // --- types -------------------------------------------------------------------------------------

    /// The integer type of an operand's width. Immediates have that of operand 0.
    pub(super) fn width(&self, operand: u32) -> Type {
        let bytes = match self.raw.op_kind(operand) {
            OpKind::Register => self.raw.op_register(operand).size(),
            OpKind::Memory => self.raw.memory_size().size(),
            _ if operand > 0 => return self.width(0),
            _ => 8,
        };
        Type::int(bytes as u32 * 8).unwrap_or(Type::I64)
    }

    /// Is the operand in memory?
    pub(super) fn is_memory(&self, operand: u32) -> bool {
        self.raw.op_kind(operand) == OpKind::Memory
    }

    // --- general registers -------------------------------------------------------------------------

    /// The slot of a general register, and the bit where its part starts.
    fn gpr_slot(register: Register) -> (SlotId, u32) {
        let number = register.full_register().number() as u8;
        let high = matches!(register, Register::AH | Register::CH | Register::DH | Register::BH);
        (slots::gpr(number), if high { 8 } else { 0 })
    }

    /// The register's value, of the integer type of its width.
    pub(super) fn read_gpr(&mut self, register: Register) -> Operand {
        let (slot, bit) = Self::gpr_slot(register);
        let ty = Type::int(register.size() as u32 * 8).unwrap_or(Type::I64);
        self.read_part(slot, ty, bit)
    }

    /// The low part of a slot.
    pub(super) fn read_slot(&mut self, slot: SlotId, ty: Type) -> Operand {
        self.read_part(slot, ty, 0)
    }

    fn read_part(&mut self, slot: SlotId, ty: Type, bit: u32) -> Operand {
        let whole = self.b.get(slot);
        if bit > 0 {
            return self.b.extract(Type::I64, whole, ty, bit);
        }
        self.b.convert(Op::Trunc, Type::I64, ty, whole)
    }

    /// Writes a general register of this width.
    pub(super) fn write_gpr(&mut self, register: Register, value: Operand) {
        let (slot, bit) = Self::gpr_slot(register);
        let ty = Type::int(register.size() as u32 * 8).unwrap_or(Type::I64);
        self.write_part(slot, ty, value, bit);
    }

    /// Writes the low part of a slot, as an instruction of this operand width does.
    pub(super) fn write_slot(&mut self, slot: SlotId, ty: Type, value: Operand) {
        self.write_part(slot, ty, value, 0);
    }

    fn write_part(&mut self, slot: SlotId, ty: Type, value: Operand, bit: u32) {
        let whole = match ty {
            Type::I64 => value,
            Type::I32 => self.zext(Type::I32, value),
            _ => {
                let old = self.b.get(slot);
                self.b.insert(Type::I64, old, ty, value, bit)
            }
        };
        self.b.set(slot, whole);
    }

    /// Puts a general register back to `before`, all 64 bits, if `cond` is 1: for writes that do not happen.
    pub(super) fn restore_if(&mut self, cond: Operand, slot: SlotId, before: Operand) {
        let after = self.b.get(slot);
        let value = self.b.select(Type::I64, cond, before, after);
        self.b.set(slot, value);
    }

    /// Zero-extended to `i64`; literals stay literals.
    pub(super) fn zext(&mut self, ty: Type, value: Operand) -> Operand {
        match self.b.trace().literal_int(value) {
            Some(literal) if ty != Type::I64 => self.b.int(Type::I64, literal & i128::from(ty.mask64())),
            _ => self.b.convert(Op::Zext, ty, Type::I64, value),
        }
    }

    // --- memory ------------------------------------------------------------------------------------

    /// The address of the memory operand.
    pub(super) fn mem(&mut self) -> Addr {
        if let Some(addr) = self.addr {
            return addr;
        }
        let addr = self.effective_address();
        let addr = match self.raw.segment_prefix() {
            Register::FS => self.in_segment(slots::FS_BASE, addr),
            Register::GS => self.in_segment(slots::GS_BASE, addr),
            _ => addr,
        };
        self.addr = Some(addr);
        addr
    }

    /// The offset that the memory operand names in its segment.
    pub(super) fn effective_address(&mut self) -> Addr {
        let (base, index) = (self.raw.memory_base(), self.raw.memory_index());
        if matches!(base, Register::RIP | Register::EIP) {
            let address = self.raw.ip_rel_memory_address();
            return Addr::new(self.b.i64(address as i64), 0);
        }
        let narrow = base.is_gpr32() || index.is_gpr32();
        let disp = self.raw.memory_displacement64() as i64;
        let mut addr = match base {
            Register::None => Addr::new(self.b.i64(disp), 0),
            _ => {
                let (slot, _) = Self::gpr_slot(base);
                Addr::new(self.b.get(slot), disp)
            }
        };
        if index != Register::None {
            let (slot, _) = Self::gpr_slot(index);
            let index = self.b.get(slot);
            addr = addr.indexed(index, self.raw.memory_index_scale() as u8);
        }
        if narrow {
            let sum = self.b.address(addr);
            let low = self.b.convert(Op::Trunc, Type::I64, Type::I32, sum);
            addr = Addr::new(self.zext(Type::I32, low), 0);
        }
        addr
    }

    /// The address with a segment's base added.
    pub(super) fn in_segment(&mut self, segment: SlotId, addr: Addr) -> Addr {
        let segment = self.b.get(segment);
        if let (Some(disp), true) = (self.b.trace().literal_int(addr.base), addr.index.is_none()) {
            return Addr::new(segment, (disp as i64).wrapping_add(addr.disp));
        }
        let base = self.b.bin(Op::Add, Type::I64, segment, addr.base);
        Addr { base, ..addr }
    }

    /// The alias class of the memory operand.
    pub(super) fn class(&self) -> ClassId {
        let on_stack = matches!(self.raw.memory_base(), Register::RSP | Register::RBP)
            && !matches!(self.raw.segment_prefix(), Register::FS | Register::GS);
        if on_stack { slots::STACK } else { slots::MEMORY }
    }

    /// Loads the memory operand.
    pub(super) fn load(&mut self, ty: Type) -> Operand {
        let (addr, class) = (self.mem(), self.class());
        self.b.load(ty, addr, class)
    }

    /// Stores to the memory operand.
    pub(super) fn store(&mut self, ty: Type, value: Operand) {
        let (addr, class) = (self.mem(), self.class());
        self.b.store(ty, value, addr, class);
    }

    /// An atomic operation on the memory operand; the result is the old memory.
    pub(super) fn atomic(&mut self, op: Op, ty: Type, value: Operand, new: Operand) -> Operand {
        let (addr, class) = (self.mem(), self.class());
        let (base, disp) =
            if addr.index.is_none() { (addr.base, addr.disp) } else { (self.b.address(addr), 0) };
        self.b.atomic(op, ty, base, disp, class, value, new)
    }

    // --- any operand -------------------------------------------------------------------------------

    /// An integer operand of type `ty`.
    pub(super) fn read(&mut self, operand: u32, ty: Type) -> Operand {
        match self.raw.op_kind(operand) {
            OpKind::Register => self.read_gpr(self.raw.op_register(operand)),
            OpKind::Memory => self.load(ty),
            _ => {
                let value = self.raw.try_immediate(operand).unwrap_or(0);
                self.b.int(ty, i128::from(value))
            }
        }
    }

    /// Writes an integer operand of type `ty`.
    pub(super) fn write(&mut self, operand: u32, ty: Type, value: Operand) {
        match self.raw.op_kind(operand) {
            OpKind::Register => self.write_gpr(self.raw.op_register(operand), value),
            _ => self.store(ty, value),
        }
    }

    // --- vector registers --------------------------------------------------------------------------

    /// The slot of the vector register in this operand.
    pub(super) fn vector_slot(&self, operand: u32) -> SlotId {
        slots::zmm(self.raw.op_register(operand).number() as u8)
    }

    /// The vector type that the instruction works on: its widest operand's.
    pub(super) fn vector_type(&self) -> Type {
        let is_wide = |i| match self.raw.op_kind(i) {
            OpKind::Register => self.raw.op_register(i).is_ymm(),
            OpKind::Memory => self.raw.memory_size().size() == 32,
            _ => false,
        };
        if self.vex && (0..self.raw.op_count()).any(is_wide) { Type::V256 } else { Type::V128 }
    }

    /// The two sources of a binary operation: legacy SSE destroys the first, VEX has a destination before it.
    pub(super) fn sources(&self) -> (u32, u32) {
        if self.vex { (1, 2) } else { (0, 1) }
    }

    /// A part of the vector register in this operand.
    pub(super) fn read_lane(&mut self, operand: u32, ty: Type, bit: u32) -> Operand {
        let slot = self.vector_slot(operand);
        let whole = self.b.get(slot);
        self.b.extract(Type::V512, whole, ty, bit)
    }

    /// Writes operand 0: the first source of the instruction with this part replaced.
    pub(super) fn write_lane(&mut self, ty: Type, value: Operand, bit: u32) {
        let slot = self.vector_slot(0);
        let new = if self.vex {
            let base = self.read_vector(1, Type::V128);
            let low = self.b.insert(Type::V128, base, ty, value, bit);
            self.b.convert(Op::Zext, Type::V128, Type::V512, low)
        } else {
            let old = self.b.get(slot);
            self.b.insert(Type::V512, old, ty, value, bit)
        };
        self.b.set(slot, new);
    }

    /// The low part of a vector register, or memory, as a vector of this type.
    pub(super) fn read_vector(&mut self, operand: u32, ty: Type) -> Operand {
        if self.is_memory(operand) {
            return self.load(ty);
        }
        let slot = self.vector_slot(operand);
        let whole = self.b.get(slot);
        self.b.convert(Op::Trunc, Type::V512, ty, whole)
    }

    /// A vector of type `ty` whose low `bytes` are those of the operand, which has no more if it is memory. From
    /// memory, the rest is zero.
    pub(super) fn read_vector_low(&mut self, operand: u32, ty: Type, bytes: u32) -> Operand {
        let low = if bytes == 16 { Some(Type::V128) } else { Type::int(bytes * 8) };
        match low {
            Some(low) if self.is_memory(operand) && bytes < ty.bytes() => {
                let value = self.load(low);
                self.b.convert(Op::Zext, low, ty, value)
            }
            _ => self.read_vector(operand, ty),
        }
    }

    /// Writes the vector register or memory in operand 0.
    pub(super) fn write_vector(&mut self, ty: Type, value: Operand) {
        if self.is_memory(0) {
            return self.store(ty, value);
        }
        let slot = self.vector_slot(0);
        let new = if self.vex {
            self.b.convert(Op::Zext, ty, Type::V512, value)
        } else {
            let old = self.b.get(slot);
            self.b.insert(Type::V512, old, ty, value, 0)
        };
        self.b.set(slot, new);
    }
}
