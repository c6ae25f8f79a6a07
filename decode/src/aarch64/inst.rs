//! A word of AArch64 code → what instruction it is ([`Form`]).
//!
//! The encoding is regular and every bit of it counts, reserved encodings above all: they must raise SIGILL and never be
//! guessed. So fields are taken straight from the word, along the architecture's own decode tables; [`Form`] has one variant per
//! class of instructions with the fields that its meaning needs. Floating point and vectors are in [`super::simd`].
//!
//! `None` means unallocated, or not in what [`super::HWCAP`] tells the guest: executing it raises SIGILL.
//!
//! Register number 31 is the zero register or the stack pointer; which one is said at each variant.

use super::simd::{self, Simd};

/// Bits `high..=low` of a word.
pub(super) const fn field(word: u32, high: u32, low: u32) -> u32 {
    word >> low & ((1 << (high - low + 1)) - 1)
}

/// One bit.
pub(super) const fn bit(word: u32, n: u32) -> bool {
    word >> n & 1 != 0
}

/// The field sign-extended.
const fn signed(word: u32, high: u32, low: u32) -> i64 {
    let bits = high - low + 1;
    ((field(word, high, low) << (32 - bits)) as i32 >> (32 - bits)) as i64
}

/// Bitwise operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logic {
    /// and
    And,
    /// or
    Orr,
    /// exclusive or
    Eor,
    /// and, setting flags
    Ands,
}

/// `movn`, `movz`, `movk`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MovWide {
    /// Inverted.
    Not,
    /// Zero elsewhere.
    Zero,
    /// The rest kept.
    Keep,
}

/// How a register operand is shifted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shift {
    /// Left.
    Lsl,
    /// Right, logically.
    Lsr,
    /// Right, arithmetically.
    Asr,
    /// Rotated right.
    Ror,
}

/// How a register operand is extended (to the width of the operation).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extend {
    /// Bits of the source.
    pub bits: u8,
    /// Sign-extended.
    pub signed: bool,
    /// Shifted left by this afterwards.
    pub shift: u8,
}

impl Extend {
    const fn of(option: u32, shift: u32) -> Extend {
        Extend { bits: 8 << (option & 3), signed: option & 4 != 0, shift: shift as u8 }
    }
}

/// Operations on one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum One {
    /// Bits reversed.
    Rbit,
    /// Bytes of each 16 bits reversed.
    Rev16,
    /// Bytes of each 32 bits reversed (at 64 bits).
    Rev32,
    /// All bytes reversed.
    Rev,
    /// Leading zeros.
    Clz,
    /// Leading copies of the sign, without it.
    Cls,
}

/// Operations on two registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Two {
    /// Unsigned quotient; 0 by 0.
    Udiv,
    /// Signed quotient.
    Sdiv,
    /// Variable shift.
    Shift(Shift),
    /// CRC-32 of `1 << size` bytes; Castagnoli's polynomial if true.
    Crc32 {
        /// log2 of the bytes.
        size: u8,
        /// Castagnoli's.
        castagnoli: bool,
    },
}

/// Multiplications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Multiply {
    /// `a ± n·m`
    Add(bool),
    /// `a ± n·m` of 32-bit factors (signed), 64-bit result.
    Long {
        /// Signed factors.
        signed: bool,
        /// Subtracted.
        sub: bool,
    },
    /// The upper 64 bits of a product (signed).
    High(bool),
}

/// What is loaded or stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// A general register: log2 of the bytes; for loads, sign-extended to 32 or 64 bits.
    General {
        /// log2 of the bytes.
        size: u8,
        /// Extended to this many bits by the sign, if at all.
        signed: Option<u8>,
    },
    /// A vector register: log2 of the bytes.
    Vector(u8),
}

impl Data {
    /// log2 of the bytes.
    pub const fn size(self) -> u8 {
        match self {
            Data::General { size, .. } | Data::Vector(size) => size,
        }
    }
}

/// How an address comes about. The base may be the stack pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Base plus literal.
    Offset(i64),
    /// The same, and the base becomes the address.
    Pre(i64),
    /// The base, which is increased afterwards.
    Post(i64),
    /// Base plus extended register.
    Register(u8, Extend),
}

/// Atomic read-modify-write operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lse {
    /// Add.
    Add,
    /// And with the complement.
    Clr,
    /// Exclusive or.
    Eor,
    /// Or.
    Set,
    /// Signed maximum.
    Smax,
    /// Signed minimum.
    Smin,
    /// Unsigned maximum.
    Umax,
    /// Unsigned minimum.
    Umin,
    /// Exchange.
    Swp,
}

/// System registers that user programs may read, and mostly write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Condition flags.
    Nzcv,
    /// Floating point control.
    Fpcr,
    /// Floating point status.
    Fpsr,
    /// Thread pointer.
    Tpidr,
    /// The thread pointer that only the kernel writes: 0.
    TpidrRo,
    /// The counter's frequency.
    CounterFrequency,
    /// The virtual counter.
    Counter,
    /// Cache geometry.
    CacheType,
    /// Size of the block that `dc zva` clears.
    ZeroBlock,
    /// The main identification register and its kin, which Linux emulates: a constant.
    Id(u64),
}

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    missing_docs,
    reason = "fields have the names of the architecture: rd, rn, rm, ra, rt, imm, sf (64 bits)"
)]
pub enum Form {
    /// `adr`, `adrp`: the address itself.
    Adr {
        rd: u8,
        value: u64,
    },
    /// Add or subtract a literal. `rn` may be sp; `rd` is sp or, with flags, zero.
    AddImm {
        sf: bool,
        sub: bool,
        flags: bool,
        rd: u8,
        rn: u8,
        imm: u64,
    },
    /// `rd` is sp, or zero for `ands`.
    LogicImm {
        sf: bool,
        op: Logic,
        rd: u8,
        rn: u8,
        imm: u64,
    },
    MovWide {
        sf: bool,
        op: MovWide,
        rd: u8,
        imm: u64,
        shift: u8,
    },
    /// `bfm` and kin. `signed`: `None` keeps the rest.
    Bitfield {
        sf: bool,
        signed: Option<bool>,
        rd: u8,
        rn: u8,
        immr: u8,
        imms: u8,
    },
    Extr {
        sf: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        lsb: u8,
    },
    LogicShift {
        sf: bool,
        op: Logic,
        invert: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        shift: Shift,
        amount: u8,
    },
    AddShift {
        sf: bool,
        sub: bool,
        flags: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        shift: Shift,
        amount: u8,
    },
    /// `rn` may be sp; `rd` is sp or, with flags, zero.
    AddExtend {
        sf: bool,
        sub: bool,
        flags: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        extend: Extend,
    },
    AddCarry {
        sf: bool,
        sub: bool,
        flags: bool,
        rd: u8,
        rn: u8,
        rm: u8,
    },
    /// `ccmp`, `ccmn`. `rm` or a literal.
    CondCompare {
        sf: bool,
        sub: bool,
        rn: u8,
        rm: Option<u8>,
        imm: u8,
        cond: u8,
        nzcv: u8,
    },
    CondSelect {
        sf: bool,
        invert: bool,
        increment: bool,
        rd: u8,
        rn: u8,
        rm: u8,
        cond: u8,
    },
    One {
        sf: bool,
        op: One,
        rd: u8,
        rn: u8,
    },
    Two {
        sf: bool,
        op: Two,
        rd: u8,
        rn: u8,
        rm: u8,
    },
    Multiply {
        sf: bool,
        op: Multiply,
        rd: u8,
        rn: u8,
        rm: u8,
        ra: u8,
    },

    Branch {
        target: u64,
        link: bool,
    },
    BranchCond {
        target: u64,
        cond: u8,
    },
    /// `cbz`, `cbnz`
    CompareBranch {
        sf: bool,
        nonzero: bool,
        rt: u8,
        target: u64,
    },
    /// `tbz`, `tbnz`
    TestBranch {
        bit: u8,
        nonzero: bool,
        rt: u8,
        target: u64,
    },
    BranchReg {
        rn: u8,
        link: bool,
        ret: bool,
    },

    Svc,
    Brk,
    /// Hints that do nothing here.
    Nop,
    /// All barriers of memory.
    Barrier,
    /// `isb`
    Isb,
    Clrex,
    Mrs {
        rt: u8,
        reg: System,
    },
    Msr {
        rt: u8,
        reg: System,
    },
    /// Clears a block of 64 bytes.
    DcZva {
        rt: u8,
    },
    /// Cache maintenance by address: data (nothing to do), or instructions.
    Cache {
        rt: u8,
        instructions: bool,
    },

    /// A load from a place relative to the instruction.
    LoadLiteral {
        data: Data,
        rt: u8,
        addr: u64,
    },
    /// `prfm` in all its forms.
    Prefetch,
    Load {
        data: Data,
        rt: u8,
        rn: u8,
        mode: Mode,
    },
    Store {
        data: Data,
        rt: u8,
        rn: u8,
        mode: Mode,
    },
    LoadPair {
        data: Data,
        rt: u8,
        rt2: u8,
        rn: u8,
        mode: Mode,
    },
    StorePair {
        data: Data,
        rt: u8,
        rt2: u8,
        rn: u8,
        mode: Mode,
    },
    /// `ldar`, `stlr` and kin.
    LoadAcquire {
        size: u8,
        rt: u8,
        rn: u8,
    },
    StoreRelease {
        size: u8,
        rt: u8,
        rn: u8,
    },
    LoadExclusive {
        size: u8,
        pair: bool,
        rt: u8,
        rt2: u8,
        rn: u8,
    },
    StoreExclusive {
        size: u8,
        pair: bool,
        rs: u8,
        rt: u8,
        rt2: u8,
        rn: u8,
    },
    CompareSwap {
        size: u8,
        rs: u8,
        rt: u8,
        rn: u8,
    },
    CompareSwapPair {
        size: u8,
        rs: u8,
        rt: u8,
        rn: u8,
    },
    Atomic {
        size: u8,
        op: Lse,
        rs: u8,
        rt: u8,
        rn: u8,
    },
    /// `ld1` … `st4` of whole registers: `registers` registers, interleaved by `interleave` elements.
    Structures {
        load: bool,
        q: bool,
        size: u8,
        interleave: u8,
        registers: u8,
        rt: u8,
        rn: u8,
        post: Option<u8>,
    },
    /// The same, of one element each.
    Structure {
        load: bool,
        size: u8,
        index: u8,
        count: u8,
        rt: u8,
        rn: u8,
        post: Option<u8>,
    },
    /// `ld1r` … `ld4r`
    Replicate {
        q: bool,
        size: u8,
        count: u8,
        rt: u8,
        rn: u8,
        post: Option<u8>,
    },

    /// Floating point and vectors.
    Simd(Simd),
}

/// What the word at `pc` is.
pub fn decode(word: u32, pc: u64) -> Option<Form> {
    match field(word, 28, 25) {
        0b1000 | 0b1001 => immediate(word, pc),
        0b1010 | 0b1011 => branch(word, pc),
        0b0100 | 0b0110 | 0b1100 | 0b1110 => memory(word, pc),
        0b0101 | 0b1101 => register(word),
        0b0111 | 0b1111 => simd::decode(word).map(Form::Simd),
        _ => None,
    }
}

const fn rd(word: u32) -> u8 {
    field(word, 4, 0) as u8
}
const fn rn(word: u32) -> u8 {
    field(word, 9, 5) as u8
}
const fn rm(word: u32) -> u8 {
    field(word, 20, 16) as u8
}
const fn ra(word: u32) -> u8 {
    field(word, 14, 10) as u8
}

/// The bit pattern of a logical immediate; also the mask of a bit-field.
pub(super) fn bit_mask(n: bool, imms: u32, immr: u32, sf: bool) -> Option<u64> {
    let pattern = u32::from(n) << 6 | (!imms & 63);
    let length = 31u32.checked_sub(pattern.leading_zeros())?;
    if length < 1 || !sf && n {
        return None;
    }
    let levels = (1 << length) - 1;
    let (s, r) = (imms & levels, immr & levels);
    if s == levels {
        return None;
    }
    let size = 1u32 << length;
    let ones = (1u64 << (s + 1)) - 1;
    let element = if r == 0 { ones } else { (ones >> r | ones << (size - r)) & (u64::MAX >> (64 - size)) };
    let mut mask = element;
    let mut width = size;
    while width < 64 {
        mask |= mask << width;
        width *= 2;
    }
    Some(if sf { mask } else { mask & 0xffff_ffff })
}

fn immediate(word: u32, pc: u64) -> Option<Form> {
    let sf = bit(word, 31);
    let (rd, rn) = (rd(word), rn(word));
    let op = field(word, 30, 29);
    Some(match field(word, 25, 23) {
        0 | 1 => {
            let imm = signed(word, 23, 5) << 2 | i64::from(field(word, 30, 29));
            let value =
                if sf { (pc & !0xfff).wrapping_add((imm << 12) as u64) } else { pc.wrapping_add(imm as u64) };
            Form::Adr { rd, value }
        }
        2 => {
            let imm = u64::from(field(word, 21, 10)) << if bit(word, 22) { 12 } else { 0 };
            Form::AddImm { sf, sub: bit(word, 30), flags: bit(word, 29), rd, rn, imm }
        }
        4 => {
            let imm = bit_mask(bit(word, 22), field(word, 15, 10), field(word, 21, 16), sf)?;
            let op = [Logic::And, Logic::Orr, Logic::Eor, Logic::Ands][op as usize];
            Form::LogicImm { sf, op, rd, rn, imm }
        }
        5 => {
            let shift = field(word, 22, 21) as u8 * 16;
            let op = match op {
                0 => MovWide::Not,
                2 => MovWide::Zero,
                3 => MovWide::Keep,
                _ => return None,
            };
            if !sf && shift > 16 {
                return None;
            }
            Form::MovWide { sf, op, rd, imm: field(word, 20, 5).into(), shift }
        }
        6 => {
            let (immr, imms) = (field(word, 21, 16) as u8, field(word, 15, 10) as u8);
            if bit(word, 22) != sf || !sf && (immr | imms) & 32 != 0 {
                return None;
            }
            let signed = match op {
                0 => Some(true),
                1 => None,
                2 => Some(false),
                _ => return None,
            };
            Form::Bitfield { sf, signed, rd, rn, immr, imms }
        }
        7 => {
            let lsb = field(word, 15, 10) as u8;
            if op != 0 || bit(word, 21) || bit(word, 22) != sf || !sf && lsb & 32 != 0 {
                return None;
            }
            Form::Extr { sf, rd, rn, rm: rm(word), lsb }
        }
        _ => return None,
    })
}

fn branch(word: u32, pc: u64) -> Option<Form> {
    let to = |high: u32, low: u32| pc.wrapping_add((signed(word, high, low) << 2) as u64);
    let rt = rd(word);
    Some(match field(word, 31, 29) {
        0b000 | 0b100 => Form::Branch { target: to(25, 0), link: bit(word, 31) },
        0b001 | 0b101 if !bit(word, 25) => {
            Form::CompareBranch { sf: bit(word, 31), nonzero: bit(word, 24), rt, target: to(23, 5) }
        }
        0b001 | 0b101 => {
            let number = (field(word, 31, 31) << 5 | field(word, 23, 19)) as u8;
            Form::TestBranch { bit: number, nonzero: bit(word, 24), rt, target: to(18, 5) }
        }
        0b010 if field(word, 25, 24) == 0 && !bit(word, 4) => {
            Form::BranchCond { target: to(23, 5), cond: field(word, 3, 0) as u8 }
        }
        0b110 if field(word, 25, 24) == 0 => match (field(word, 23, 21), field(word, 4, 0)) {
            (0, 1) => Form::Svc,
            (1, 0) => Form::Brk,
            _ => return None,
        },
        0b110 if field(word, 25, 22) == 0b0100 => return system(word),
        0b110 if bit(word, 25) => {
            if field(word, 20, 10) != 0b11111_000000 || field(word, 4, 0) != 0 {
                return None;
            }
            match field(word, 24, 21) {
                0 => Form::BranchReg { rn: rn(word), link: false, ret: false },
                1 => Form::BranchReg { rn: rn(word), link: true, ret: false },
                2 => Form::BranchReg { rn: rn(word), link: false, ret: true },
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// What Linux answers when a program reads an identification register: what `HWCAP` says, in the fields that it shows.
fn identity(crm: u32, op2: u32) -> Option<u64> {
    Some(match (crm, op2) {
        // MIDR, MPIDR, REVIDR: no implementer that anything has a workaround for.
        (0, 0) => 0x410f_d070,
        (0, 5) => 1 << 31,
        (0, 6) => 0,
        (4, 0) => 0x0000_0000_0000_0011,
        // ID_AA64ISAR0: atomics, CRC32.
        (6, 0) => 2 << 20 | 1 << 16,
        (4..=7, _) => 0,
        _ => return None,
    })
}

fn system(word: u32) -> Option<Form> {
    let (l, op0, op1) = (bit(word, 21), field(word, 20, 19), field(word, 18, 16));
    let (crn, crm, op2, rt) = (field(word, 15, 12), field(word, 11, 8), field(word, 7, 5), rd(word));
    Some(match op0 {
        0 if !l && op1 == 3 && crn == 2 && rt == 31 => Form::Nop,
        0 if !l && op1 == 3 && crn == 3 && rt == 31 => match op2 {
            2 => Form::Clrex,
            4 | 5 => Form::Barrier,
            6 => Form::Isb,
            _ => return None,
        },
        1 if !l && op1 == 3 && crn == 7 => match (crm, op2) {
            (4, 1) => Form::DcZva { rt },
            (5, 1) => Form::Cache { rt, instructions: true },
            (10, 1) | (11, 1) | (14, 1) => Form::Cache { rt, instructions: false },
            _ => return None,
        },
        3 if op1 == 3 => {
            let reg = match (crn, crm, op2) {
                (4, 2, 0) => System::Nzcv,
                (4, 4, 0) => System::Fpcr,
                (4, 4, 1) => System::Fpsr,
                (13, 0, 2) => System::Tpidr,
                (13, 0, 3) if l => System::TpidrRo,
                (14, 0, 0) if l => System::CounterFrequency,
                (14, 0, 2) if l => System::Counter,
                (0, 0, 1) if l => System::CacheType,
                (0, 0, 7) if l => System::ZeroBlock,
                _ => return None,
            };
            if l { Form::Mrs { rt, reg } } else { Form::Msr { rt, reg } }
        }
        3 if op1 == 0 && crn == 0 && l => Form::Mrs { rt, reg: System::Id(identity(crm, op2)?) },
        _ => return None,
    })
}

/// What the size, vector and opc fields of loads and stores of one register say: the data, and whether it loads; `Err`
/// for a prefetch.
fn data(word: u32) -> Option<Result<(Data, bool), ()>> {
    let (size, opc) = (field(word, 31, 30) as u8, field(word, 23, 22));
    if bit(word, 26) {
        return Some(Ok(match (size, opc) {
            (_, 0) => (Data::Vector(size), false),
            (_, 1) => (Data::Vector(size), true),
            (0, 2) => (Data::Vector(4), false),
            (0, 3) => (Data::Vector(4), true),
            _ => return None,
        }));
    }
    let general = |signed| Data::General { size, signed };
    Some(Ok(match (size, opc) {
        (_, 0) => (general(None), false),
        (_, 1) => (general(None), true),
        (3, 2) => return Some(Err(())),
        (_, 2) => (general(Some(64)), true),
        (0 | 1, 3) => (general(Some(32)), true),
        _ => return None,
    }))
}

fn memory(word: u32, pc: u64) -> Option<Form> {
    let (rt, rn) = (rd(word), rn(word));
    let single = |data: Option<Result<(Data, bool), ()>>, mode: Mode| {
        Some(match data? {
            Err(()) if matches!(mode, Mode::Pre(_) | Mode::Post(_)) => return None,
            Err(()) => Form::Prefetch,
            Ok((data, true)) => Form::Load { data, rt, rn, mode },
            Ok((data, false)) => Form::Store { data, rt, rn, mode },
        })
    };
    Some(match (field(word, 29, 28), bit(word, 26)) {
        (0, false) if !bit(word, 24) => return exclusive(word),
        (0, true) => return structures(word),
        (1, _) if !bit(word, 24) => {
            let data = match (field(word, 31, 30), bit(word, 26)) {
                (0, false) => Data::General { size: 2, signed: None },
                (1, false) => Data::General { size: 3, signed: None },
                (2, false) => Data::General { size: 2, signed: Some(64) },
                (3, false) => return Some(Form::Prefetch),
                (n @ 0..=2, true) => Data::Vector(n as u8 + 2),
                _ => return None,
            };
            Form::LoadLiteral { data, rt, addr: pc.wrapping_add((signed(word, 23, 5) << 2) as u64) }
        }
        (2, vector) => {
            let (opc, load) = (field(word, 31, 30), bit(word, 22));
            let kind = field(word, 24, 23);
            let data = match (opc, vector) {
                (0, false) => Data::General { size: 2, signed: None },
                (1, false) if load && kind != 0 => Data::General { size: 2, signed: Some(64) },
                (2, false) => Data::General { size: 3, signed: None },
                (n @ 0..=2, true) => Data::Vector(n as u8 + 2),
                _ => return None,
            };
            let offset = signed(word, 21, 15) << data.size();
            let mode = match kind {
                1 => Mode::Post(offset),
                3 => Mode::Pre(offset),
                _ => Mode::Offset(offset),
            };
            let rt2 = ra(word);
            if load {
                Form::LoadPair { data, rt, rt2, rn, mode }
            } else {
                Form::StorePair { data, rt, rt2, rn, mode }
            }
        }
        (3, _) if bit(word, 24) => {
            let data = data(word);
            let scale = match data? {
                Ok((d, _)) => d.size(),
                Err(()) => 3,
            };
            return single(data, Mode::Offset(i64::from(field(word, 21, 10)) << scale));
        }
        (3, _) if !bit(word, 21) => {
            let offset = signed(word, 20, 12);
            match field(word, 11, 10) {
                0 => return single(data(word), Mode::Offset(offset)),
                1 => return single(data(word), Mode::Post(offset)),
                3 => return single(data(word), Mode::Pre(offset)),
                // Unprivileged: the same here.
                _ if bit(word, 26) => return None,
                _ => match data(word)? {
                    Err(()) => return None,
                    found => return single(Some(found), Mode::Offset(offset)),
                },
            }
        }
        (3, _) => match field(word, 11, 10) {
            2 => {
                let option = field(word, 15, 13);
                if option & 2 == 0 {
                    return None;
                }
                let data = data(word);
                let scale = match data? {
                    Ok((d, _)) => d.size(),
                    Err(()) => 3,
                };
                let extend = Extend::of(option, if bit(word, 12) { scale.into() } else { 0 });
                return single(data, Mode::Register(rm(word), extend));
            }
            0 if !bit(word, 26) => {
                let size = field(word, 31, 30) as u8;
                let op = match (bit(word, 15), field(word, 14, 12)) {
                    (false, 0) => Lse::Add,
                    (false, 1) => Lse::Clr,
                    (false, 2) => Lse::Eor,
                    (false, 3) => Lse::Set,
                    (false, 4) => Lse::Smax,
                    (false, 5) => Lse::Smin,
                    (false, 6) => Lse::Umax,
                    (false, _) => Lse::Umin,
                    (true, 0) => Lse::Swp,
                    _ => return None,
                };
                Form::Atomic { size, op, rs: rm(word), rt, rn }
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn exclusive(word: u32) -> Option<Form> {
    let size = field(word, 31, 30) as u8;
    let (o2, load, o1, o0) = (bit(word, 23), bit(word, 22), bit(word, 21), bit(word, 15));
    let (rs, rt2, rn, rt) = (rm(word), ra(word), rn(word), rd(word));
    Some(match (o2, o1) {
        (false, false) if load => Form::LoadExclusive { size, pair: false, rt, rt2, rn },
        (false, false) => Form::StoreExclusive { size, pair: false, rs, rt, rt2, rn },
        (false, true) if size >= 2 && load => Form::LoadExclusive { size, pair: true, rt, rt2, rn },
        (false, true) if size >= 2 => Form::StoreExclusive { size, pair: true, rs, rt, rt2, rn },
        (false, true) if rt2 == 31 && (rs | rt) & 1 == 0 => {
            Form::CompareSwapPair { size: size + 2, rs, rt, rn }
        }
        (true, false) if o0 && load => Form::LoadAcquire { size, rt, rn },
        (true, false) if o0 => Form::StoreRelease { size, rt, rn },
        (true, true) if rt2 == 31 => Form::CompareSwap { size, rs, rt, rn },
        _ => return None,
    })
}

fn structures(word: u32) -> Option<Form> {
    let (q, load, size) = (bit(word, 30), bit(word, 22), field(word, 11, 10) as u8);
    let (rt, rn, rm) = (rd(word), rn(word), rm(word));
    if bit(word, 31) {
        return None;
    }
    let post = bit(word, 23).then_some(rm);
    if !bit(word, 23) && rm != 0 {
        return None;
    }
    if !bit(word, 24) {
        if bit(word, 21) {
            return None;
        }
        let (interleave, registers) = match field(word, 15, 12) {
            0b0000 => (4, 4),
            0b0010 => (1, 4),
            0b0100 => (3, 3),
            0b0110 => (1, 3),
            0b0111 => (1, 1),
            0b1000 => (2, 2),
            0b1010 => (1, 2),
            _ => return None,
        };
        if interleave > 1 && size == 3 && !q {
            return None;
        }
        return Some(Form::Structures { load, q, size, interleave, registers, rt, rn, post });
    }
    let (opcode, s) = (field(word, 15, 13), bit(word, 12));
    let count = ((opcode & 1) << 1 | u32::from(bit(word, 21))) as u8 + 1;
    let index = (u8::from(q) << 3) | u8::from(s) << 2 | size;
    let (size, index) = match opcode >> 1 {
        0 => (0, index),
        1 if size & 1 == 0 => (1, index >> 1),
        2 if size == 0 => (2, index >> 2),
        2 if size == 1 && !s => (3, index >> 3),
        3 if load && !s => return Some(Form::Replicate { q, size, count, rt, rn, post }),
        _ => return None,
    };
    Some(Form::Structure { load, size, index, count, rt, rn, post })
}

fn register(word: u32) -> Option<Form> {
    let sf = bit(word, 31);
    let (rd, rn, rm, ra) = (rd(word), rn(word), rm(word), ra(word));
    let (sub, flags) = (bit(word, 30), bit(word, 29));
    let shift = [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror][field(word, 23, 22) as usize];
    let amount = field(word, 15, 10) as u8;
    let cond = field(word, 15, 12) as u8;
    if !bit(word, 28) {
        if !bit(word, 24) {
            if !sf && amount & 32 != 0 {
                return None;
            }
            let op = [Logic::And, Logic::Orr, Logic::Eor, Logic::Ands][field(word, 30, 29) as usize];
            return Some(Form::LogicShift { sf, op, invert: bit(word, 21), rd, rn, rm, shift, amount });
        }
        if !bit(word, 21) {
            if shift == Shift::Ror || !sf && amount & 32 != 0 {
                return None;
            }
            return Some(Form::AddShift { sf, sub, flags, rd, rn, rm, shift, amount });
        }
        let by = field(word, 12, 10);
        if field(word, 23, 22) != 0 || by > 4 {
            return None;
        }
        let extend = Extend::of(field(word, 15, 13), by);
        return Some(Form::AddExtend { sf, sub, flags, rd, rn, rm, extend });
    }
    Some(match field(word, 24, 21) {
        0 if field(word, 15, 10) == 0 => Form::AddCarry { sf, sub, flags, rd, rn, rm },
        2 if flags && !bit(word, 10) && !bit(word, 4) => {
            let literal = bit(word, 11);
            Form::CondCompare {
                sf,
                sub,
                rn,
                rm: (!literal).then_some(rm),
                imm: rm,
                cond,
                nzcv: field(word, 3, 0) as u8,
            }
        }
        4 if !flags && !bit(word, 11) => {
            Form::CondSelect { sf, invert: sub, increment: bit(word, 10), rd, rn, rm, cond }
        }
        6 if sub && !flags && rm == 0 => {
            let op = match field(word, 15, 10) {
                0 => One::Rbit,
                1 => One::Rev16,
                2 if sf => One::Rev32,
                2 => One::Rev,
                3 if sf => One::Rev,
                4 => One::Clz,
                5 => One::Cls,
                _ => return None,
            };
            Form::One { sf, op, rd, rn }
        }
        6 if !sub && !flags => {
            let op = match field(word, 15, 10) {
                2 => Two::Udiv,
                3 => Two::Sdiv,
                8 => Two::Shift(Shift::Lsl),
                9 => Two::Shift(Shift::Lsr),
                10 => Two::Shift(Shift::Asr),
                11 => Two::Shift(Shift::Ror),
                k @ 16..=23 if sf == (k & 3 == 3) => {
                    Two::Crc32 { size: (k & 3) as u8, castagnoli: k & 4 != 0 }
                }
                _ => return None,
            };
            Form::Two { sf, op, rd, rn, rm }
        }
        8..=15 if field(word, 30, 29) == 0 => {
            let o0 = bit(word, 15);
            let op = match (field(word, 23, 21), o0) {
                (0, sub) => Multiply::Add(sub),
                (1, sub) if sf => Multiply::Long { signed: true, sub },
                (5, sub) if sf => Multiply::Long { signed: false, sub },
                (2, false) if sf => Multiply::High(true),
                (6, false) if sf => Multiply::High(false),
                _ => return None,
            };
            Form::Multiply { sf, op, rd, rn, rm, ra }
        }
        _ => return None,
    })
}
