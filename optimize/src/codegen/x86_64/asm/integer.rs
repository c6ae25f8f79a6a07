//! General instructions.
//!
//! Operands stand in Intel order, the destination first. `impl Into<Rm>` takes a register or memory; where only memory makes
//! sense it says [`Mem`]. Each method says when it touches the flags; those that do not are as a rule the ones to prefer.

use ir::types::Cond;

use super::operand::Place;
use super::{Asm, AsmError, Label, Legacy, Map, Mem, Pp, Reg, Rm, Short, Width};
use Width::{W8, W16, W32, W64};

/// Arithmetic with the common encodings; the number is the opcode's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations; the number is the opcode's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Shift {
    Rol = 0,
    Ror = 1,
    Rcl = 2,
    Rcr = 3,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// One-operand arithmetic; the number is the opcode's. Multiplications and divisions work on `rdx:rax`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Unary {
    Not = 2,
    Neg = 3,
    Mul = 4,
    Imul = 5,
    Div = 6,
    Idiv = 7,
}

/// Single-bit instructions; the number is the opcode's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Bit {
    Bt = 4,
    Bts = 5,
    Btr = 6,
    Btc = 7,
}

/// Counting bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Count {
    Popcnt,
    Lzcnt,
    Tzcnt,
    Bsf,
    Bsr,
}

/// Shifts by a register that leave the flags alone (BMI2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum ShiftX {
    Shlx,
    Shrx,
    Sarx,
}

/// Three-operand instructions of BMI1 and BMI2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bmi {
    /// `dst = !a & b`
    Andn,
    /// `dst = pdep(a, mask b)`
    Pdep,
    /// `dst = pext(a, mask b)`
    Pext,
    /// `dst:a = rdx * b`; touches no flags.
    Mulx,
}

/// Instructions on the lowest set bit (BMI1); the number is the opcode's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Lowest {
    Blsr = 1,
    Blsmsk = 2,
    Blsi = 3,
}

/// Instructions without operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Plain {
    Cbw,
    Cwde,
    Cdqe,
    Cwd,
    Cdq,
    Cqo,
    Lahf,
    Sahf,
    Pushfq,
    Popfq,
    Cmc,
    Clc,
    Stc,
    Ret,
    Int3,
    Ud2,
    Mfence,
    Lfence,
    Sfence,
    Pause,
}

/// Reading and writing of segment bases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum SegBase {
    Rdfsbase = 0,
    Rdgsbase = 1,
    Wrfsbase = 2,
    Wrgsbase = 3,
}

impl Legacy {
    pub(super) const fn plain(map: Map, opcode: u8) -> Legacy {
        Legacy { pp: Pp::None, map, opcode, half: false, w: false, rex: false, lock: false }
    }

    /// With operand-size prefix and REX.W as the width wants.
    #[inline]
    fn sized(map: Map, opcode: u8, width: Width) -> Legacy {
        Legacy { half: width == W16, w: width == W64, ..Legacy::plain(map, opcode) }
    }

    /// An opcode whose lowest bit is 0 for bytes and 1 for all other widths.
    #[inline]
    fn by_width(map: Map, opcode: u8, width: Width) -> Legacy {
        Legacy::sized(map, opcode | u8::from(width != W8), width)
    }

    /// With the REX prefix that `spl` … `dil` need, if this is one of them.
    #[inline]
    fn byte_reg(self, width: Width, reg: u8) -> Legacy {
        Legacy { rex: self.rex || width == W8 && reg >= 4, ..self }
    }

    #[inline]
    fn byte_rm(self, width: Width, rm: &Rm) -> Legacy {
        match rm {
            Rm::Reg(r) => self.byte_reg(width, r.0),
            Rm::Mem(_) => self,
        }
    }
}

impl Asm {
    /// `op reg, rm` with a byte form.
    #[inline]
    fn reg_rm(&mut self, map: Map, opcode: u8, width: Width, reg: Reg, rm: Rm) {
        let op = Legacy::by_width(map, opcode, width).byte_reg(width, reg.0).byte_rm(width, &rm);
        self.legacy(op, reg.0, rm.into());
    }

    /// `op rm` with an opcode extension and a byte form.
    #[inline]
    fn ext_rm(&mut self, map: Map, opcode: u8, width: Width, ext: u8, rm: Rm) {
        let op = Legacy::by_width(map, opcode, width).byte_rm(width, &rm);
        self.legacy(op, ext, rm.into());
    }

    /// `op rm, imm`, the immediate of the width (at most 32 bits).
    #[inline]
    fn ext_rm_imm(&mut self, opcode: u8, width: Width, ext: u8, rm: Rm, imm: i32) {
        let op = Legacy::by_width(Map::One, opcode, width).byte_rm(width, &rm);
        let size = match width {
            W8 => 1,
            W16 => 2,
            _ => 4,
        };
        let mut buf = self.legacy_open(op, ext, rm.into(), size);
        for byte in &imm.to_le_bytes()[..size as usize] {
            buf.push(*byte);
        }
        self.commit(&buf);
    }

    // --- moves -----------------------------------------------------------------------------------

    /// `mov dst, src`. At 8 and 16 bits the rest of the register stays: [`Asm::movzx`] is faster.
    #[inline]
    pub fn mov(&mut self, width: Width, dst: Reg, src: impl Into<Rm>) {
        self.reg_rm(Map::One, 0x8a, width, dst, src.into());
    }

    /// `mov [dst], src`
    #[inline]
    pub fn store(&mut self, width: Width, dst: Mem, src: Reg) {
        self.reg_rm(Map::One, 0x88, width, src, dst.into());
    }

    /// `mov [dst], imm`; at 64 bits the immediate is sign-extended.
    pub fn store_imm(&mut self, width: Width, dst: Mem, imm: i32) {
        self.ext_rm_imm(0xc6, width, 0, dst.into(), imm);
    }

    /// `mov dst, value` (or `lea` from a place nearby) in the shortest form that leaves the flags alone; all 64 bits are defined.
    pub fn mov_imm(&mut self, dst: Reg, value: u64) {
        let mut buf = super::Buf::new();
        let high = dst.0 >> 3 & 1;
        if let Ok(short) = u32::try_from(value) {
            if high != 0 {
                buf.push(0x41);
            }
            buf.push(0xb8 | dst.0 & 7);
            buf.push32(short as i32);
        } else if let Ok(short) = i32::try_from(value as i64) {
            buf.push(0x48 | high);
            buf.push(0xc7);
            buf.push(0xc0 | dst.0 & 7);
            buf.push32(short);
        } else if self.reaches(value) {
            self.lea(Width::W64, dst, Mem::address(value));
            return;
        } else {
            buf.push(0x48 | high);
            buf.push(0xb8 | dst.0 & 7);
            buf.push32(value as i32);
            buf.push32((value >> 32) as i32);
        }
        self.commit(&buf);
    }

    /// `xor dst, dst` at 32 bits: makes it 0. Touches the flags.
    #[inline]
    pub fn zero(&mut self, dst: Reg) {
        self.alu(Alu::Xor, W32, dst, dst);
    }

    /// Zero-extends the low bits of the source to 64 bits (`movzx`; `mov` at 32 bits).
    #[inline]
    pub fn movzx(&mut self, from: Width, dst: Reg, src: impl Into<Rm>) {
        let src = src.into();
        match from {
            W8 | W16 => {
                let opcode = if from == W8 { 0xb6 } else { 0xb7 };
                let op = Legacy::plain(Map::M0f, opcode).byte_rm(from, &src);
                self.legacy(op, dst.0, src.into());
            }
            W32 | W64 => self.mov(from, dst, src),
        }
    }

    /// Sign-extends the low bits of the source to the wider width (`movsx`, `movsxd`).
    #[inline]
    pub fn movsx(&mut self, from: Width, to: Width, dst: Reg, src: impl Into<Rm>) {
        let src = src.into();
        debug_assert!(from < to);
        let op = match from {
            W8 => Legacy::sized(Map::M0f, 0xbe, to).byte_rm(W8, &src),
            W16 => Legacy::sized(Map::M0f, 0xbf, to),
            W32 | W64 => Legacy::sized(Map::One, 0x63, to),
        };
        self.legacy(op, dst.0, src.into());
    }

    /// `lea dst, src`, at 32 or 64 bits.
    #[inline]
    pub fn lea(&mut self, width: Width, dst: Reg, src: Mem) {
        self.legacy(Legacy::sized(Map::One, 0x8d, width), dst.0, Place::Mem(src));
    }

    /// `cmovcc dst, src`; at 32 bits the upper half becomes 0 even if the condition is false.
    #[inline]
    pub fn cmov(&mut self, cond: Cond, width: Width, dst: Reg, src: impl Into<Rm>) {
        self.legacy(Legacy::sized(Map::M0f, 0x40 | cond as u8, width), dst.0, src.into().into());
    }

    /// `setcc dst`
    #[inline]
    pub fn setcc(&mut self, cond: Cond, dst: impl Into<Rm>) {
        let dst = dst.into();
        self.legacy(Legacy::plain(Map::M0f, 0x90 | cond as u8).byte_rm(W8, &dst), 0, dst.into());
    }

    /// `bswap dst`, at 32 or 64 bits.
    pub fn bswap(&mut self, width: Width, dst: Reg) {
        let rex = u8::from(width == W64) << 3 | dst.0 >> 3 & 1;
        if rex != 0 {
            self.code.push(0x40 | rex);
        }
        self.code.extend_from_slice(&[0x0f, 0xc8 | dst.0 & 7]);
    }

    /// `push src`
    pub fn push(&mut self, src: Reg) {
        if src.0 >= 8 {
            self.code.push(0x41);
        }
        self.code.push(0x50 | src.0 & 7);
    }

    /// `pop dst`
    pub fn pop(&mut self, dst: Reg) {
        if dst.0 >= 8 {
            self.code.push(0x41);
        }
        self.code.push(0x58 | dst.0 & 7);
    }

    /// `push [src]`, 64 bits.
    pub fn push_mem(&mut self, src: Mem) {
        self.legacy(Legacy::plain(Map::One, 0xff), 6, Place::Mem(src));
    }

    /// `pop [dst]`, 64 bits.
    pub fn pop_mem(&mut self, dst: Mem) {
        self.legacy(Legacy::plain(Map::One, 0x8f), 0, Place::Mem(dst));
    }

    /// `push imm`, sign-extended to 64 bits.
    pub fn push_imm(&mut self, imm: i32) {
        if let Ok(short) = i8::try_from(imm) {
            self.code.extend_from_slice(&[0x6a, short as u8]);
        } else {
            self.code.push(0x68);
            self.code.extend_from_slice(&imm.to_le_bytes());
        }
    }

    // --- arithmetic (touches the flags) ----------------------------------------------------------

    /// `op dst, src`
    #[inline]
    pub fn alu(&mut self, op: Alu, width: Width, dst: Reg, src: impl Into<Rm>) {
        self.reg_rm(Map::One, (op as u8) << 3 | 2, width, dst, src.into());
    }

    /// `op [dst], src`
    #[inline]
    pub fn alu_to(&mut self, op: Alu, width: Width, dst: Mem, src: Reg) {
        self.reg_rm(Map::One, (op as u8) << 3, width, src, dst.into());
    }

    /// `op dst, imm`; at 64 bits the immediate is sign-extended.
    pub fn alu_imm(&mut self, op: Alu, width: Width, dst: impl Into<Rm>, imm: i32) {
        let dst = dst.into();
        let imm = match width {
            W8 => i32::from(imm as i8),
            W16 => i32::from(imm as i16),
            _ => imm,
        };
        let short = i8::try_from(imm);
        if let (false, Ok(short)) = (width == W8, short) {
            let form = Legacy::sized(Map::One, 0x83, width);
            self.legacy_imm8(form, op as u8, dst.into(), short as u8);
        } else if dst == Rm::Reg(Reg::RAX) {
            self.accumulator(((op as u8) << 3) | 4, width, imm);
        } else {
            self.ext_rm_imm(0x80, width, op as u8, dst, imm);
        }
    }

    /// The short form of `op al/ax/eax/rax, imm`.
    fn accumulator(&mut self, opcode: u8, width: Width, imm: i32) {
        match width {
            W8 => return self.code.extend_from_slice(&[opcode, imm as u8]),
            W16 => self.code.extend_from_slice(&[0x66, opcode | 1]),
            W32 => self.code.push(opcode | 1),
            W64 => self.code.extend_from_slice(&[0x48, opcode | 1]),
        }
        let bytes = imm.to_le_bytes();
        self.code.extend_from_slice(&bytes[..if width == W16 { 2 } else { 4 }]);
    }

    /// `test a, b`
    #[inline]
    pub fn test(&mut self, width: Width, a: impl Into<Rm>, b: Reg) {
        self.reg_rm(Map::One, 0x84, width, b, a.into());
    }

    /// `test a, imm`; at 64 bits the immediate is sign-extended.
    pub fn test_imm(&mut self, width: Width, a: impl Into<Rm>, imm: i32) {
        let a = a.into();
        if a == Rm::Reg(Reg::RAX) {
            self.accumulator(0xa8, width, imm);
        } else {
            self.ext_rm_imm(0xf6, width, 0, a, imm);
        }
    }

    /// `not`, `neg`, `mul`, `imul`, `div`, `idiv` with one operand (`not` leaves the flags alone).
    #[inline]
    pub fn unary(&mut self, op: Unary, width: Width, rm: impl Into<Rm>) {
        self.ext_rm(Map::One, 0xf6, width, op as u8, rm.into());
    }

    /// `inc rm`: like adding 1, but C stays.
    pub fn inc(&mut self, width: Width, rm: impl Into<Rm>) {
        self.ext_rm(Map::One, 0xfe, width, 0, rm.into());
    }

    /// `dec rm`: like subtracting 1, but C stays.
    pub fn dec(&mut self, width: Width, rm: impl Into<Rm>) {
        self.ext_rm(Map::One, 0xfe, width, 1, rm.into());
    }

    /// `imul dst, src` (not at 8 bits).
    pub fn imul(&mut self, width: Width, dst: Reg, src: impl Into<Rm>) {
        self.legacy(Legacy::sized(Map::M0f, 0xaf, width), dst.0, src.into().into());
    }

    /// `imul dst, src, imm` (not at 8 bits).
    pub fn imul_imm(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, imm: i32) {
        let imm = if width == W16 { i32::from(imm as i16) } else { imm };
        if let Ok(short) = i8::try_from(imm) {
            self.legacy_imm8(Legacy::sized(Map::One, 0x6b, width), dst.0, src.into().into(), short as u8);
        } else {
            let size = if width == W16 { 2 } else { 4 };
            let form = Legacy::sized(Map::One, 0x69, width);
            let mut buf = self.legacy_open(form, dst.0, src.into().into(), size);
            for byte in &imm.to_le_bytes()[..size as usize] {
                buf.push(*byte);
            }
            self.commit(&buf);
        }
    }

    /// A shift or rotation by a constant (masked by the CPU to 5 bits, at 64 bits to 6).
    pub fn shift(&mut self, op: Shift, width: Width, rm: impl Into<Rm>, by: u8) {
        let rm = rm.into();
        if by == 1 {
            self.ext_rm(Map::One, 0xd0, width, op as u8, rm);
        } else {
            let form = Legacy::by_width(Map::One, 0xc0, width).byte_rm(width, &rm);
            self.legacy_imm8(form, op as u8, rm.into(), by);
        }
    }

    /// A shift or rotation by `cl`.
    pub fn shift_cl(&mut self, op: Shift, width: Width, rm: impl Into<Rm>) {
        self.ext_rm(Map::One, 0xd2, width, op as u8, rm.into());
    }

    /// `shld dst, src, by`
    pub fn shld(&mut self, width: Width, dst: impl Into<Rm>, src: Reg, by: u8) {
        self.legacy_imm8(Legacy::sized(Map::M0f, 0xa4, width), src.0, dst.into().into(), by);
    }

    /// `shrd dst, src, by`
    pub fn shrd(&mut self, width: Width, dst: impl Into<Rm>, src: Reg, by: u8) {
        self.legacy_imm8(Legacy::sized(Map::M0f, 0xac, width), src.0, dst.into().into(), by);
    }

    /// `shld dst, src, cl`
    pub fn shld_cl(&mut self, width: Width, dst: impl Into<Rm>, src: Reg) {
        self.legacy(Legacy::sized(Map::M0f, 0xa5, width), src.0, dst.into().into());
    }

    /// `shrd dst, src, cl`
    pub fn shrd_cl(&mut self, width: Width, dst: impl Into<Rm>, src: Reg) {
        self.legacy(Legacy::sized(Map::M0f, 0xad, width), src.0, dst.into().into());
    }

    /// `bt`, `bts`, `btr`, `btc` with a constant bit number (below the width).
    pub fn bit(&mut self, op: Bit, width: Width, rm: impl Into<Rm>, bit: u8) {
        self.legacy_imm8(Legacy::sized(Map::M0f, 0xba, width), op as u8, rm.into().into(), bit);
    }

    /// `bt`, `bts`, `btr`, `btc` with the bit number in a register (masked if `rm` is a register; a memory operand
    /// is a bit string).
    pub fn bit_reg(&mut self, op: Bit, width: Width, rm: impl Into<Rm>, bit: Reg) {
        self.legacy(Legacy::sized(Map::M0f, 0x83 | (op as u8) << 3, width), bit.0, rm.into().into());
    }

    /// `popcnt`, `lzcnt`, `tzcnt`, `bsf`, `bsr` (not at 8 bits).
    pub fn count(&mut self, op: Count, width: Width, dst: Reg, src: impl Into<Rm>) {
        let (pp, opcode) = match op {
            Count::Popcnt => (Pp::PF3, 0xb8),
            Count::Lzcnt => (Pp::PF3, 0xbd),
            Count::Tzcnt => (Pp::PF3, 0xbc),
            Count::Bsf => (Pp::None, 0xbc),
            Count::Bsr => (Pp::None, 0xbd),
        };
        self.legacy(Legacy { pp, ..Legacy::sized(Map::M0f, opcode, width) }, dst.0, src.into().into());
    }

    // --- BMI1 and BMI2, at 32 and 64 bits --------------------------------------------------------

    fn bmi_form(&mut self, pp: Pp, opcode: u8, width: Width, reg: u8, v: u8, rm: Rm) {
        let buf = self.vex_open(pp, Map::M0f38, opcode, width == W64, 0, (reg, v), rm.into(), 0);
        self.commit(&buf);
    }

    /// `shlx`, `shrx`, `sarx dst, src, by`: no flags, the amount is masked.
    pub fn shiftx(&mut self, op: ShiftX, width: Width, dst: Reg, src: impl Into<Rm>, by: Reg) {
        let pp = match op {
            ShiftX::Shlx => Pp::P66,
            ShiftX::Shrx => Pp::PF2,
            ShiftX::Sarx => Pp::PF3,
        };
        self.bmi_form(pp, 0xf7, width, dst.0, by.0, src.into());
    }

    /// `rorx dst, src, by`: no flags.
    pub fn rorx(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, by: u8) {
        let rm = src.into().into();
        let mut buf = self.vex_open(Pp::PF2, Map::M0f3a, 0xf0, width == W64, 0, (dst.0, 0), rm, 1);
        buf.push(by);
        self.commit(&buf);
    }

    /// `andn`, `pdep`, `pext`, `mulx`.
    pub fn bmi(&mut self, op: Bmi, width: Width, dst: Reg, a: Reg, b: impl Into<Rm>) {
        let (pp, opcode) = match op {
            Bmi::Andn => (Pp::None, 0xf2),
            Bmi::Pdep => (Pp::PF2, 0xf5),
            Bmi::Pext => (Pp::PF3, 0xf5),
            Bmi::Mulx => (Pp::PF2, 0xf6),
        };
        self.bmi_form(pp, opcode, width, dst.0, a.0, b.into());
    }

    /// `bzhi dst, src, from`: clears the bits from bit `from` up.
    pub fn bzhi(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, from: Reg) {
        self.bmi_form(Pp::None, 0xf5, width, dst.0, from.0, src.into());
    }

    /// `bextr dst, src, control`: start in bits 0–7 of `control`, length in bits 8–15.
    pub fn bextr(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, control: Reg) {
        self.bmi_form(Pp::None, 0xf7, width, dst.0, control.0, src.into());
    }

    /// `blsr`, `blsmsk`, `blsi dst, src`.
    pub fn lowest(&mut self, op: Lowest, width: Width, dst: Reg, src: impl Into<Rm>) {
        self.bmi_form(Pp::None, 0xf3, width, op as u8, dst.0, src.into());
    }

    // --- atomics ---------------------------------------------------------------------------------

    /// `xchg [mem], reg`; locked by itself.
    pub fn xchg(&mut self, width: Width, mem: Mem, reg: Reg) {
        self.reg_rm(Map::One, 0x86, width, reg, mem.into());
    }

    /// `xchg a, b`, no memory.
    pub fn xchg_regs(&mut self, width: Width, a: Reg, b: Reg) {
        self.reg_rm(Map::One, 0x86, width, b, a.into());
    }

    fn locked(&mut self, map: Map, opcode: u8, width: Width, mem: Mem, reg: Reg) {
        let op = Legacy { lock: true, ..Legacy::by_width(map, opcode, width).byte_reg(width, reg.0) };
        self.legacy(op, reg.0, Place::Mem(mem));
    }

    /// `lock op [mem], reg` (not `cmp`).
    pub fn lock_alu(&mut self, op: Alu, width: Width, mem: Mem, reg: Reg) {
        self.locked(Map::One, (op as u8) << 3, width, mem, reg);
    }

    /// `lock xadd [mem], reg`
    pub fn lock_xadd(&mut self, width: Width, mem: Mem, reg: Reg) {
        self.locked(Map::M0f, 0xc0, width, mem, reg);
    }

    /// `lock cmpxchg [mem], reg`: expects `rax`, leaves the old memory there.
    pub fn lock_cmpxchg(&mut self, width: Width, mem: Mem, reg: Reg) {
        self.locked(Map::M0f, 0xb0, width, mem, reg);
    }

    /// `lock cmpxchg16b [mem]`: expects `rdx:rax`, stores `rcx:rbx`.
    pub fn lock_cmpxchg16b(&mut self, mem: Mem) {
        let op = Legacy { lock: true, ..Legacy::sized(Map::M0f, 0xc7, W64) };
        self.legacy(op, 1, Place::Mem(mem));
    }

    // --- the rest --------------------------------------------------------------------------------

    /// Instructions without operands.
    pub fn plain(&mut self, op: Plain) {
        self.code.extend_from_slice(match op {
            Plain::Cbw => &[0x66, 0x98],
            Plain::Cwde => &[0x98],
            Plain::Cdqe => &[0x48, 0x98],
            Plain::Cwd => &[0x66, 0x99],
            Plain::Cdq => &[0x99],
            Plain::Cqo => &[0x48, 0x99],
            Plain::Lahf => &[0x9f],
            Plain::Sahf => &[0x9e],
            Plain::Pushfq => &[0x9c],
            Plain::Popfq => &[0x9d],
            Plain::Cmc => &[0xf5],
            Plain::Clc => &[0xf8],
            Plain::Stc => &[0xf9],
            Plain::Ret => &[0xc3],
            Plain::Int3 => &[0xcc],
            Plain::Ud2 => &[0x0f, 0x0b],
            Plain::Mfence => &[0x0f, 0xae, 0xf0],
            Plain::Lfence => &[0x0f, 0xae, 0xe8],
            Plain::Sfence => &[0x0f, 0xae, 0xf8],
            Plain::Pause => &[0xf3, 0x90],
        });
    }

    /// `rdfsbase`, `wrfsbase` and the like, 64 bits.
    pub fn segment_base(&mut self, op: SegBase, reg: Reg) {
        let form = Legacy { pp: Pp::PF3, ..Legacy::sized(Map::M0f, 0xae, W64) };
        self.legacy(form, op as u8, Place::Reg(reg.0));
    }

    // --- jumps -----------------------------------------------------------------------------------

    /// `jmp label`, 32 bits.
    pub fn jmp(&mut self, label: Label) {
        self.code.push(0xe9);
        self.field(label);
    }

    /// `jcc label`, 32 bits.
    pub fn jcc(&mut self, cond: Cond, label: Label) {
        self.code.extend_from_slice(&[0x0f, 0x80 | cond as u8]);
        self.field(label);
    }

    /// `call label`
    pub fn call(&mut self, label: Label) {
        self.code.push(0xe8);
        self.field(label);
    }

    /// `jmp rel32` with a field to be patched later, padded so that it lies within an aligned 8-byte word;
    /// returns the field's offset. Until it is patched the jump goes to the next instruction.
    pub fn jmp_field(&mut self) -> u32 {
        self.align_field(1);
        self.code.extend_from_slice(&[0xe9, 0, 0, 0, 0]);
        self.offset() - 4
    }

    /// `jcc rel32`, as [`Asm::jmp_field`].
    pub fn jcc_field(&mut self, cond: Cond) -> u32 {
        self.align_field(2);
        self.code.extend_from_slice(&[0x0f, 0x80 | cond as u8, 0, 0, 0, 0]);
        self.offset() - 4
    }

    /// `jmp` with an 8-bit distance, forward; [`Asm::land`] says where to.
    pub fn jmp_short(&mut self) -> Short {
        self.code.extend_from_slice(&[0xeb, 0]);
        Short(self.offset() - 1)
    }

    /// `jcc` with an 8-bit distance, forward; [`Asm::land`] says where to.
    pub fn jcc_short(&mut self, cond: Cond) -> Short {
        self.code.extend_from_slice(&[0x70 | cond as u8, 0]);
        Short(self.offset() - 1)
    }

    /// `jrcxz` with an 8-bit distance, forward: jumps if `rcx` is 0, whatever the flags.
    pub fn jrcxz_short(&mut self) -> Short {
        self.code.extend_from_slice(&[0xe3, 0]);
        Short(self.offset() - 1)
    }

    /// `jmp` to a host address in reach.
    pub fn jmp_address(&mut self, address: u64) {
        self.code.push(0xe9);
        self.far(address);
    }

    /// `call` of a host address in reach.
    pub fn call_address(&mut self, address: u64) {
        self.code.push(0xe8);
        self.far(address);
    }

    fn far(&mut self, address: u64) {
        let field = self.offset();
        let distance = address.wrapping_sub(self.at + u64::from(field) + 4) as i64;
        if i32::try_from(distance).is_err() {
            self.error = Some(AsmError::OutOfReach(field));
        }
        self.code.extend_from_slice(&(distance as i32).to_le_bytes());
    }

    /// `jmp rm`, indirect.
    pub fn jmp_to(&mut self, target: impl Into<Rm>) {
        self.legacy(Legacy::plain(Map::One, 0xff), 4, target.into().into());
    }

    /// `call rm`, indirect.
    pub fn call_to(&mut self, target: impl Into<Rm>) {
        self.legacy(Legacy::plain(Map::One, 0xff), 2, target.into().into());
    }
}
