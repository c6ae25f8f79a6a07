//! What instructions work on: registers, memory, labels.

use super::super::super::Segment;

/// A general register by its number in encodings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reg(pub u8);

#[expect(missing_docs, reason = "the names say it")]
impl Reg {
    pub const RAX: Reg = Reg(0);
    pub const RCX: Reg = Reg(1);
    pub const RDX: Reg = Reg(2);
    pub const RBX: Reg = Reg(3);
    pub const RSP: Reg = Reg(4);
    pub const RBP: Reg = Reg(5);
    pub const RSI: Reg = Reg(6);
    pub const RDI: Reg = Reg(7);
    pub const R8: Reg = Reg(8);
    pub const R9: Reg = Reg(9);
    pub const R10: Reg = Reg(10);
    pub const R11: Reg = Reg(11);
    pub const R12: Reg = Reg(12);
    pub const R13: Reg = Reg(13);
    pub const R14: Reg = Reg(14);
    pub const R15: Reg = Reg(15);
}

/// A vector register of whatever width the instruction says, by its number (16 and up: EVEX only).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Xmm(pub u8);

/// How much of general registers an instruction works on. At 32 bits the upper half of a register written becomes 0; at 8 and
/// 16 the rest of it stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// 8 bits (of registers the low ones; `ah` … `bh` are not used).
    W8,
    /// 16 bits.
    W16,
    /// 32 bits.
    W32,
    /// 64 bits.
    W64,
}

impl Width {
    /// In bits.
    pub fn bits(self) -> u32 {
        8 << self as u32
    }
}

/// Factor of an index register; the number is its logarithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Scale {
    /// 1
    X1 = 0,
    /// 2
    X2 = 1,
    /// 4
    X4 = 2,
    /// 8
    X8 = 3,
}

impl Scale {
    /// The scale with this factor.
    pub fn of(factor: u64) -> Option<Scale> {
        Some(match factor {
            1 => Scale::X1,
            2 => Scale::X2,
            4 => Scale::X4,
            8 => Scale::X8,
            _ => return None,
        })
    }
}

/// A place in the code, made by [`super::Asm::label`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label(pub(super) u32);

/// What a memory operand starts from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Base {
    /// Nothing: the displacement is the (sign-extended) address, or the offset in the segment.
    None,
    /// A register.
    Reg(Reg),
    /// A place in the code (constants behind it). No index, no segment.
    Label(Label),
    /// A host address in reach of the code (see [`super::Asm::reaches`]). No index, no segment.
    Address(u64),
}

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// The segment whose base is added.
    pub segment: Option<Segment>,
    /// What it starts from.
    pub base: Base,
    /// A register, times a factor; never `rsp`.
    pub index: Option<(Reg, Scale)>,
    /// Added.
    pub disp: i32,
}

impl Mem {
    /// `[base + disp]`
    pub fn base(base: Reg, disp: i32) -> Mem {
        Mem { segment: None, base: Base::Reg(base), index: None, disp }
    }

    /// `[base + index * scale + disp]`
    pub fn indexed(base: Reg, index: Reg, scale: Scale, disp: i32) -> Mem {
        Mem { segment: None, base: Base::Reg(base), index: Some((index, scale)), disp }
    }

    /// `segment:[disp]`
    pub fn segment(segment: Segment, disp: i32) -> Mem {
        if let Segment::Register(r) = segment {
            return Mem::base(Reg(r), disp);
        }
        Mem { segment: Some(segment), base: Base::None, index: None, disp }
    }

    /// The memory at a label.
    pub fn label(label: Label) -> Mem {
        Mem { segment: None, base: Base::Label(label), index: None, disp: 0 }
    }

    /// The memory at a host address in reach.
    pub fn address(address: u64) -> Mem {
        Mem { segment: None, base: Base::Address(address), index: None, disp: 0 }
    }

    /// The same, `by` bytes further. The sum must fit.
    pub fn offset(self, by: i32) -> Mem {
        Mem { disp: self.disp.wrapping_add(by), ..self }
    }
}

/// A general register or memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rm {
    /// A register.
    Reg(Reg),
    /// Memory.
    Mem(Mem),
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Rm {
        Rm::Reg(reg)
    }
}

impl From<Mem> for Rm {
    fn from(mem: Mem) -> Rm {
        Rm::Mem(mem)
    }
}

/// A vector register or memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum XRm {
    /// A register.
    Reg(Xmm),
    /// Memory.
    Mem(Mem),
}

impl From<Xmm> for XRm {
    fn from(reg: Xmm) -> XRm {
        XRm::Reg(reg)
    }
}

impl From<Mem> for XRm {
    fn from(mem: Mem) -> XRm {
        XRm::Mem(mem)
    }
}

/// What ModRM encodes: a register of any kind, or memory.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Reg(u8),
    Mem(Mem),
}

impl Place {
    /// The fourth bits of index and base (or register), for REX.X and REX.B.
    #[inline]
    pub(super) fn high(&self) -> (u8, u8) {
        match self {
            Place::Reg(r) => (0, r >> 3 & 1),
            Place::Mem(mem) => {
                let base = if let Base::Reg(r) = mem.base { r.0 } else { 0 };
                let index = mem.index.map_or(0, |(r, _)| r.0);
                (index >> 3 & 1, base >> 3 & 1)
            }
        }
    }
}

impl From<Rm> for Place {
    #[inline]
    fn from(rm: Rm) -> Place {
        match rm {
            Rm::Reg(r) => Place::Reg(r.0),
            Rm::Mem(m) => Place::Mem(m),
        }
    }
}

impl From<XRm> for Place {
    #[inline]
    fn from(rm: XRm) -> Place {
        match rm {
            XRm::Reg(r) => Place::Reg(r.0),
            XRm::Mem(m) => Place::Mem(m),
        }
    }
}
