//! The assembler: x86-64 instructions appended to a byte buffer, as fast as that can be done.
//!
//! - [`operand`]: registers, memory operands, labels.
//! - This file: the buffer, labels and patchable fields, and the encodings (legacy, VEX and their shared
//!   ModRM part). Everything else is a thin typed name for one of them.
//! - [`integer`]: general instructions as methods of [`Asm`].
//! - [`vector`]: SSE, AVX and AVX-512 as a table of [`vector::V`] rows, and the methods that take them.
//!
//! What it guarantees: a method emits exactly one instruction (unless its name says otherwise), the shortest form that its
//! operands allow without changing what it does. It never looks back: nothing emitted is changed except the fields of
//! labels, in [`Asm::bind`] and [`Asm::finish`]. The proof is in `tests.rs` here: every method and every row, on all registers and
//! all kinds of memory operands, decoded again by another program's decoder.
//!
//! ```
//! use optimize::codegen::x86_64::asm::{Asm, Mem, Reg, Width};
//! let mut asm = Asm::new(0x1000);
//! asm.mov(Width::W64, Reg::RAX, Mem::base(Reg::RBX, 8));
//! assert_eq!(asm.finish().unwrap(), [0x48, 0x8b, 0x43, 0x08]);
//! ```
//!
//! Assumed of callers: an index register is never `rsp`; immediates fit where a method says so; memory operands of
//! 64-bit code only.

pub mod integer;
pub mod operand;
pub mod vector;

#[cfg(test)]
mod tests;

pub use integer::{Alu, Bit, Bmi, Count, Lowest, Plain, SegBase, Shift, ShiftX, Unary};
pub use operand::{Base, Label, Mem, Reg, Rm, Scale, Width, XRm, Xmm};

use super::super::Segment;
use operand::Place;

/// Why code cannot be finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AsmError {
    /// A label was used and never bound.
    #[error("label {0} is not bound")]
    Unbound(u32),
    /// A host address or label is out of reach of 32 bits.
    #[error("the field at offset {0} cannot reach its target")]
    OutOfReach(u32),
    /// An instruction has no EVEX form.
    #[error("no EVEX form")]
    NoForm,
}

/// The legacy prefix that is part of an opcode; its number is VEX's `pp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Pp {
    /// No prefix.
    None = 0,
    /// `66`
    P66 = 1,
    /// `F3`
    PF3 = 2,
    /// `F2`
    PF2 = 3,
}

/// The opcode map; its number is VEX's `mmmmm` (0: one-byte opcodes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Map {
    /// One-byte opcodes.
    One = 0,
    /// `0F`
    M0f = 1,
    /// `0F 38`
    M0f38 = 2,
    /// `0F 3A`
    M0f3a = 3,
}

/// A legacy opcode with all that is fixed about it.
#[derive(Clone, Copy)]
struct Legacy {
    pp: Pp,
    map: Map,
    opcode: u8,
    /// The prefix `66` for 16-bit operands.
    half: bool,
    w: bool,
    /// A REX prefix even if it is empty (`spl` … `dil`).
    rex: bool,
    lock: bool,
}

/// An EVEX instruction's parts that are not registers.
#[derive(Clone, Copy)]
struct Evex {
    pp: Pp,
    map: Map,
    opcode: u8,
    w: bool,
    /// 0: 128 bits, 1: 256, 2: 512.
    length: u8,
    /// A short displacement counts in 2 to this power bytes.
    unit: u8,
}

/// No displacement but 0 is short.
const NO_UNIT: u8 = 31;

/// One instruction in the making.
struct Buf {
    bytes: [u8; 16],
    len: usize,
}

impl Buf {
    #[inline]
    fn new() -> Buf {
        Buf { bytes: [0; 16], len: 0 }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        // The longest instruction has 15 bytes, so the mask changes nothing and saves a check.
        self.bytes[self.len & 15] = byte;
        self.len += 1;
    }

    #[inline]
    fn push32(&mut self, value: i32) {
        for byte in value.to_le_bytes() {
            self.push(byte);
        }
    }
}

/// A 32-bit field to be filled when its label is known: label − offset of the field + addend.
#[derive(Clone, Copy)]
struct Fixup {
    field: u32,
    label: u32,
    addend: i32,
}

const UNBOUND: u32 = u32::MAX;

/// The buffer, with its labels.
pub struct Asm {
    at: u64,
    code: Vec<u8>,
    labels: Vec<u32>,
    fixups: Vec<Fixup>,
    error: Option<AsmError>,
}

impl Asm {
    /// An empty buffer for code that will stand at this host address.
    pub fn new(at: u64) -> Asm {
        Asm { at, code: Vec::with_capacity(1024), labels: Vec::new(), fixups: Vec::new(), error: None }
    }

    /// Empties it for new code, keeping what it has allocated.
    pub fn reset(&mut self, at: u64) {
        self.at = at;
        self.code.clear();
        self.labels.clear();
        self.fixups.clear();
        self.error = None;
    }

    /// The offset of the next instruction.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.code.len() as u32
    }

    /// The host address of the first byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What was emitted so far; fields of unbound labels are not filled yet.
    pub fn bytes(&self) -> &[u8] {
        &self.code
    }

    /// The buffer itself, for code that others append ([`super::super::Host::indirect_tail`]).
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.code
    }

    /// Can code near here address this host address relative to its own? (Within 2 GiB, less 16 MiB for the code.)
    pub fn reaches(&self, address: u64) -> bool {
        let distance = address.wrapping_sub(self.at) as i64;
        distance.unsigned_abs() < (1 << 31) - (1 << 24)
    }

    /// Fills the fields of all labels and gives the code away.
    ///
    /// # Errors
    /// When a label was never bound or something is out of reach.
    pub fn finish(&mut self) -> Result<Vec<u8>, AsmError> {
        self.resolve()?;
        Ok(std::mem::take(&mut self.code))
    }

    /// Fills the fields of all labels used so far.
    ///
    /// # Errors
    /// As [`Asm::finish`].
    pub fn resolve(&mut self) -> Result<(), AsmError> {
        for fixup in std::mem::take(&mut self.fixups) {
            let target = self.labels[fixup.label as usize];
            if target == UNBOUND {
                return Err(AsmError::Unbound(fixup.label));
            }
            self.fill(
                fixup.field,
                (i64::from(target) - i64::from(fixup.field) + i64::from(fixup.addend)) as i32,
            );
        }
        self.error.map_or(Ok(()), Err)
    }

    // --- labels ----------------------------------------------------------------------------------

    /// A label that stands nowhere yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    /// A label that stands here.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Puts the label here. A label stands at one place.
    pub fn bind(&mut self, label: Label) {
        debug_assert_eq!(self.labels[label.0 as usize], UNBOUND, "bound twice");
        self.labels[label.0 as usize] = self.offset();
    }

    /// Where the label stands, if it was bound.
    pub fn position(&self, label: Label) -> Option<u32> {
        Some(self.labels[label.0 as usize]).filter(|&o| o != UNBOUND)
    }

    /// Writes a 32-bit field.
    pub fn fill(&mut self, field: u32, value: i32) {
        let field = field as usize;
        self.code[field..field + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Makes the 8-bit field of a short jump (see [`Asm::jcc_short`]) lead here.
    pub fn land(&mut self, short: Short) {
        let distance = self.offset() as i64 - (i64::from(short.0) + 1);
        match i8::try_from(distance) {
            Ok(distance) => self.code[short.0 as usize] = distance as u8,
            Err(_) => self.error = Some(AsmError::OutOfReach(short.0)),
        }
    }

    /// Appends a 32-bit field that will hold the distance from its end to the label.
    fn field(&mut self, label: Label) {
        let field = self.offset();
        self.fixups.push(Fixup { field, label: label.0, addend: -4 });
        self.code.extend_from_slice(&[0; 4]);
    }

    // --- data ------------------------------------------------------------------------------------

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }

    /// Appends `count` bytes of no-operation in as few instructions as that takes.
    pub fn nop(&mut self, mut count: usize) {
        const NOPS: [&[u8]; 9] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0f, 0x1f, 0x00],
            &[0x0f, 0x1f, 0x40, 0x00],
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
            &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
            &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        ];
        while count > 0 {
            let n = count.min(NOPS.len());
            self.code.extend_from_slice(NOPS[n - 1]);
            count -= n;
        }
    }

    /// Pads with no-operations to an address that is a multiple of `alignment` (a power of two).
    pub fn align(&mut self, alignment: u64) {
        let address = self.at + self.code.len() as u64;
        self.nop((address.wrapping_neg() & (alignment - 1)) as usize);
    }

    /// Pads so that a 4-byte field which follows `before` bytes from here lies within one aligned 8-byte word.
    pub fn align_field(&mut self, before: u64) {
        let field = self.at + self.code.len() as u64 + before;
        if field & 7 > 4 {
            self.nop(8 - (field & 7) as usize);
        }
    }

    // --- encodings -------------------------------------------------------------------------------

    #[inline]
    fn commit(&mut self, buf: &Buf) {
        // A copy of fixed size and a cut is faster than a copy of variable size.
        let len = self.code.len();
        self.code.extend_from_slice(&buf.bytes);
        self.code.truncate(len + buf.len);
    }

    /// ModRM, SIB, displacement. `unit`: log2 of the unit of an 8-bit displacement; `trail`: bytes of immediate behind.
    #[inline]
    fn modrm(&mut self, buf: &mut Buf, reg: u8, rm: &Place, unit: u8, trail: u8) {
        let reg = (reg & 7) << 3;
        let mem = match rm {
            Place::Reg(r) => return buf.push(0xc0 | reg | r & 7),
            Place::Mem(mem) => mem,
        };
        let sib_index = |index: Option<(Reg, Scale)>| match index {
            Some((r, scale)) => {
                debug_assert_ne!(r, Reg::RSP, "rsp as index");
                (scale as u8) << 6 | (r.0 & 7) << 3
            }
            None => 4 << 3,
        };
        match mem.base {
            Base::None => {
                buf.push(reg | 4);
                buf.push(sib_index(mem.index) | 5);
                buf.push32(mem.disp);
            }
            Base::Label(label) => {
                buf.push(reg | 5);
                let field = self.offset() + buf.len as u32;
                self.fixups.push(Fixup { field, label: label.0, addend: mem.disp - 4 - i32::from(trail) });
                buf.push32(0);
            }
            Base::Address(address) => {
                buf.push(reg | 5);
                let field = self.offset() + buf.len as u32;
                let end = self.at + u64::from(field) + 4 + u64::from(trail);
                let distance = address.wrapping_add(mem.disp as i64 as u64).wrapping_sub(end) as i64;
                if i32::try_from(distance).is_err() {
                    self.error = Some(AsmError::OutOfReach(field));
                }
                buf.push32(distance as i32);
            }
            Base::Reg(base) => {
                let low = base.0 & 7;
                let small = unit != NO_UNIT
                    && mem.disp >> unit << unit == mem.disp
                    && i8::try_from(mem.disp >> unit).is_ok();
                let mode = match mem.disp {
                    0 if low != 5 => 0x00,
                    _ if small => 0x40,
                    _ => 0x80,
                };
                if mem.index.is_some() || low == 4 {
                    buf.push(mode | reg | 4);
                    buf.push(sib_index(mem.index) | low);
                } else {
                    buf.push(mode | reg | low);
                }
                match mode {
                    0x00 => {}
                    0x40 => buf.push((mem.disp >> unit) as u8),
                    _ => buf.push32(mem.disp),
                }
            }
        }
    }

    #[inline]
    fn segment(buf: &mut Buf, rm: &Place) {
        if let Place::Mem(Mem { segment: Some(segment), .. }) = rm {
            match segment {
                Segment::Fs => buf.push(0x64),
                Segment::Gs => buf.push(0x65),
                Segment::Register(_) => debug_assert!(false, "a register is a base"),
            }
        }
    }

    /// A legacy instruction up to its immediate, of which `trail` bytes follow.
    #[inline]
    fn legacy_open(&mut self, op: Legacy, reg: u8, rm: Place, trail: u8) -> Buf {
        let mut buf = Buf::new();
        if op.lock {
            buf.push(0xf0);
        }
        Asm::segment(&mut buf, &rm);
        if op.half {
            buf.push(0x66);
        }
        match op.pp {
            Pp::None => {}
            Pp::P66 => buf.push(0x66),
            Pp::PF3 => buf.push(0xf3),
            Pp::PF2 => buf.push(0xf2),
        }
        let (x, b) = rm.high();
        let rex = u8::from(op.w) << 3 | (reg >> 3 & 1) << 2 | x << 1 | b;
        if rex != 0 || op.rex {
            buf.push(0x40 | rex);
        }
        match op.map {
            Map::One => {}
            Map::M0f => buf.push(0x0f),
            Map::M0f38 => {
                buf.push(0x0f);
                buf.push(0x38);
            }
            Map::M0f3a => {
                buf.push(0x0f);
                buf.push(0x3a);
            }
        }
        buf.push(op.opcode);
        self.modrm(&mut buf, reg, &rm, 0, trail);
        buf
    }

    #[inline]
    fn legacy(&mut self, op: Legacy, reg: u8, rm: Place) {
        let buf = self.legacy_open(op, reg, rm, 0);
        self.commit(&buf);
    }

    #[inline]
    fn legacy_imm8(&mut self, op: Legacy, reg: u8, rm: Place, imm: u8) {
        let mut buf = self.legacy_open(op, reg, rm, 1);
        buf.push(imm);
        self.commit(&buf);
    }

    /// A VEX instruction up to its immediate. `length`: 0 for 128 bits (and scalars), 1 for 256.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the fields of one encoding")]
    fn vex_open(
        &mut self,
        pp: Pp,
        map: Map,
        opcode: u8,
        w: bool,
        length: u8,
        regs: (u8, u8),
        rm: Place,
        trail: u8,
    ) -> Buf {
        let (reg, v) = regs;
        let mut buf = Buf::new();
        Asm::segment(&mut buf, &rm);
        let (x, b) = rm.high();
        let r = reg >> 3 & 1;
        let last = u8::from(w) << 7 | (!v & 15) << 3 | length << 2 | pp as u8;
        if map == Map::M0f && !w && x == 0 && b == 0 {
            buf.push(0xc5);
            buf.push((r ^ 1) << 7 | last);
        } else {
            buf.push(0xc4);
            buf.push((r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | map as u8);
            buf.push(last);
        }
        buf.push(opcode);
        self.modrm(&mut buf, reg, &rm, 0, trail);
        buf
    }

    /// An EVEX instruction up to its immediate, without masks.
    #[inline]
    fn evex_open(&mut self, op: Evex, regs: (u8, u8), rm: Place, trail: u8) -> Buf {
        let (reg, v) = regs;
        let mut buf = Buf::new();
        Asm::segment(&mut buf, &rm);
        let (x, b) = match rm {
            // Registers have their fifth bit in X.
            Place::Reg(r) => (r >> 4 & 1, r >> 3 & 1),
            Place::Mem(_) => rm.high(),
        };
        let inverted = |bit: u8, at: u8| (bit & 1 ^ 1) << at;
        buf.push(0x62);
        buf.push(
            inverted(reg >> 3, 7) | inverted(x, 6) | inverted(b, 5) | inverted(reg >> 4, 4) | op.map as u8,
        );
        buf.push(u8::from(op.w) << 7 | (!v & 15) << 3 | 4 | op.pp as u8);
        buf.push(op.length << 5 | inverted(v >> 4, 3));
        buf.push(op.opcode);
        self.modrm(&mut buf, reg, &rm, op.unit, trail);
        buf
    }
}

/// The 8-bit field of a short jump, for [`Asm::land`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Short(u32);
