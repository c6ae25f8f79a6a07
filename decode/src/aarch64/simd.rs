//! Words of the floating point and vector space → [`Simd`]: an operation, its registers, and the shape of its lanes.
//!
//! What the operations mean is said in [`super::soft`]; [`super::vector`] has those that are worth operations of the IR.
//! Not here, so unallocated: half-precision arithmetic, dot products, the cryptographic extensions.

use super::inst::{bit, field};
use super::softfp::Rounding;

/// A comparison with zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names of conditions")]
pub enum Zero {
    Gt,
    Ge,
    Eq,
    Le,
    Lt,
}

/// How lanes are narrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrow {
    /// Cut off.
    Plain,
    /// Signed, saturated to unsigned.
    SignedUnsigned,
    /// Signed, saturated.
    Signed,
    /// Unsigned, saturated.
    Unsigned,
}

/// What is done with a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Into {
    /// It is the result.
    Set,
    /// It is added to the destination.
    Add,
    /// It is subtracted from it.
    Sub,
}

/// Pairs of lanes next to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names of operations")]
pub enum Pair {
    Add,
    Max,
    Min,
    MaxNumber,
    MinNumber,
}

/// Operations, by their mnemonics. `bool`s are: unsigned, unless said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the architecture's mnemonics; what is not obvious has a remark")]
pub enum Do {
    // Lanes of integers, two sources.
    Add,
    Sub,
    Mul,
    /// Subtracting.
    Mla(bool),
    Pmul,
    And,
    Bic,
    Orr,
    Orn,
    Eor,
    Bsl,
    Bit,
    Bif,
    /// Halving sum: unsigned, rounding.
    Hadd(bool, bool),
    Hsub(bool),
    Qadd(bool),
    Qsub(bool),
    Cmgt(bool),
    Cmge(bool),
    Cmeq,
    Cmtst,
    /// Shift by a register: unsigned, rounding, saturating.
    Shl(bool, bool, bool),
    Max(bool),
    Min(bool),
    /// Absolute difference: unsigned, accumulating.
    Abd(bool, bool),
    Maxp(bool),
    Minp(bool),
    Addp,
    /// Rounding.
    Sqdmulh(bool),
    // One source.
    CmZero(Zero),
    /// Elements reversed in containers of `1 << n` bytes.
    Rev(u8),
    /// Pairs summed to twice the width: unsigned, accumulating.
    Addlp(bool, bool),
    Cls,
    Clz,
    Cnt,
    Not,
    Rbit,
    Sqabs,
    Sqneg,
    Abs,
    Neg,
    /// `suqadd`, or `usqadd`.
    Suqadd(bool),
    Urecpe,
    Ursqrte,
    Xtn(Narrow),
    /// Lanes widened and shifted left by the literal.
    Shll(bool),
    // Sources of different widths.
    /// Unsigned, subtracting, first source wide.
    Addl(bool, bool, bool),
    /// Subtracting, rounding.
    Addhn(bool, bool),
    /// Unsigned, accumulating.
    Abdl(bool, bool),
    Mull(bool, Into),
    Sqdmull(Into),
    Pmull,
    // Shifts by a literal.
    /// Unsigned, rounding, accumulating.
    Shr(bool, bool, bool),
    Sri,
    Sli,
    ShlImm,
    Sqshlu,
    QshlImm(bool),
    /// Rounding.
    Shrn(bool, Narrow),
    // Across lanes.
    Addv,
    Addlv(bool),
    Maxv(bool),
    Minv(bool),
    // Floating point.
    Fadd,
    Fsub,
    Fmul,
    Fmulx,
    Fdiv,
    Fmax,
    Fmin,
    Fmaxnm,
    Fminnm,
    /// Subtracting.
    Fmla(bool),
    Fabd,
    Frecps,
    Frsqrts,
    Fcmeq,
    Fcmge,
    Fcmgt,
    Facge,
    Facgt,
    FcmZero(Zero),
    Fpair(Pair),
    Facross(Pair),
    Fabs,
    Fneg,
    Fsqrt,
    /// The direction (`None`: FPCR's); raises inexact.
    Frint(Option<Rounding>, bool),
    /// To integers of the same width, scaled by `2^imm`: direction, unsigned.
    FtoI(Rounding, bool),
    /// From integers, likewise.
    ItoF(bool),
    Frecpe,
    Frsqrte,
    Frecpx,
    Fcvtl,
    Fcvtn,
    Fcvtxn,
    // Scalars only.
    Fmov,
    /// From the format of this size.
    Fcvt(u8),
    Fnmul,
    /// Product negated, addend negated.
    Fmadd(bool, bool),
    /// To a general register of 64 bits if `sf`, scaled by `2^imm`: direction, unsigned.
    FtoX(Rounding, bool),
    /// From a general register.
    XtoF(bool),
    /// Bits to a general register; `imm`: the lane.
    FmovToX,
    /// Bits from a general register to the lane `imm`.
    FmovFromX,
    /// Compares and sets flags: signalling, with zero.
    Fcmp(bool, bool),
    /// If the condition holds; else flags are the literal's. Signalling.
    Fccmp(bool),
    Fcsel,
    // Copies.
    DupElement,
    DupX,
    Umov,
    Smov,
    InsX,
    InsElement,
    Zip(bool),
    Uzp(bool),
    Trn(bool),
    Ext,
    /// From this many registers; out of range: unchanged (`tbx`).
    Tbl(u8, bool),
    /// A literal; in `imm` for 64 bits.
    Movi,
    OrrImm,
    BicImm,
}

/// A floating point or vector instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Simd {
    /// What it does.
    pub op: Do,
    /// 128 bits rather than 64. In operations between widths: the upper half of what is narrow.
    pub q: bool,
    /// One lane.
    pub scalar: bool,
    /// log2 of the bytes of an element: the narrow one where there are two widths, the destination's for conversions.
    pub size: u8,
    /// A general register in it has 64 bits.
    pub sf: bool,
    /// Destination.
    pub rd: u8,
    /// First source.
    pub rn: u8,
    /// Second source.
    pub rm: u8,
    /// Third source of fused operations.
    pub ra: u8,
    /// The second source is this lane of `rm`.
    pub lane: Option<u8>,
    /// A literal: shift amount, lane, value.
    pub imm: u64,
    /// A condition.
    pub cond: u8,
    /// The word itself.
    pub word: u32,
}

impl Simd {
    /// Is the old value of the destination a source?
    pub fn reads_destination(&self) -> bool {
        let high =
            self.q && matches!(self.op, Do::Xtn(_) | Do::Shrn(..) | Do::Addhn(..) | Do::Fcvtn | Do::Fcvtxn);
        high && !self.scalar
            || matches!(
                self.op,
                Do::Mla(_)
                    | Do::Bsl
                    | Do::Bit
                    | Do::Bif
                    | Do::Abd(_, true)
                    | Do::Addlp(_, true)
                    | Do::Suqadd(_)
                    | Do::Abdl(_, true)
                    | Do::Mull(_, Into::Add | Into::Sub)
                    | Do::Sqdmull(Into::Add | Into::Sub)
                    | Do::Shr(_, _, true)
                    | Do::Sri
                    | Do::Sli
                    | Do::Fmla(_)
                    | Do::InsX
                    | Do::InsElement
                    | Do::Tbl(_, true)
                    | Do::OrrImm
                    | Do::BicImm
            )
            || self.op == Do::FmovFromX && self.imm == 1
    }

    /// Is the first source a general register?
    pub fn reads_general(&self) -> bool {
        matches!(self.op, Do::XtoF(_) | Do::FmovFromX | Do::DupX | Do::InsX)
    }

    /// Is the destination a general register?
    pub fn writes_general(&self) -> bool {
        matches!(self.op, Do::FtoX(..) | Do::FmovToX | Do::Umov | Do::Smov)
    }

    /// Has it a second source?
    pub fn reads_second(&self) -> bool {
        use Do::*;
        let without = matches!(
            self.op,
            CmZero(_)
                | Rev(_)
                | Addlp(..)
                | Cls
                | Clz
                | Cnt
                | Not
                | Rbit
                | Sqabs
                | Sqneg
                | Abs
                | Neg
                | Suqadd(_)
                | Urecpe
                | Ursqrte
                | Xtn(_)
                | Shll(_)
                | Shr(..)
                | Sri
                | Sli
                | ShlImm
                | Sqshlu
                | QshlImm(_)
                | Shrn(..)
                | Addv
                | Addlv(_)
                | Maxv(_)
                | Minv(_)
                | FcmZero(_)
                | Facross(_)
                | Fabs
                | Fneg
                | Fsqrt
                | Frint(..)
                | FtoI(..)
                | ItoF(_)
                | Frecpe
                | Frsqrte
                | Frecpx
                | Fcvtl
                | Fcvtn
                | Fcvtxn
                | Fmov
                | Fcvt(_)
                | FtoX(..)
                | XtoF(_)
                | FmovToX
                | FmovFromX
                | DupElement
                | DupX
                | Umov
                | Smov
                | InsX
                | InsElement
                | Movi
                | OrrImm
                | BicImm
                | Fcmp(_, true)
        );
        let pair_of_one = self.scalar && matches!(self.op, Fpair(_) | Addp);
        !(without || pair_of_one)
    }

    /// Does it depend on FPCR, and raise flags in FPSR?
    pub fn is_float(&self) -> bool {
        use Do::*;
        matches!(
            self.op,
            Fadd | Fsub
                | Fmul
                | Fmulx
                | Fdiv
                | Fmax
                | Fmin
                | Fmaxnm
                | Fminnm
                | Fmla(_)
                | Fabd
                | Frecps
                | Frsqrts
                | Fcmeq
                | Fcmge
                | Fcmgt
                | Facge
                | Facgt
                | FcmZero(_)
                | Fpair(_)
                | Facross(_)
                | Fsqrt
                | Frint(..)
                | FtoI(..)
                | ItoF(_)
                | Frecpe
                | Frsqrte
                | Frecpx
                | Fcvtl
                | Fcvtn
                | Fcvtxn
                | Fcvt(_)
                | Fnmul
                | Fmadd(..)
                | FtoX(..)
                | XtoF(_)
                | Fcmp(..)
                | Fccmp(_)
        )
    }

    /// Does it set FPSR.QC when a lane saturates?
    pub fn saturates(&self) -> bool {
        use Do::*;
        matches!(
            self.op,
            Qadd(_)
                | Qsub(_)
                | Shl(_, _, true)
                | Sqdmulh(_)
                | Sqabs
                | Sqneg
                | Suqadd(_)
                | Sqdmull(_)
                | Sqshlu
                | QshlImm(_)
        ) || matches!(self.op, Xtn(n) | Shrn(_, n) if n != Narrow::Plain)
    }
}

/// See [`super::inst::decode`]; for words with `x111` in bits 28 to 25.
pub fn decode(word: u32) -> Option<Simd> {
    let blank = Simd {
        op: Do::Movi,
        q: bit(word, 30),
        scalar: false,
        size: field(word, 23, 22) as u8,
        sf: false,
        rd: field(word, 4, 0) as u8,
        rn: field(word, 9, 5) as u8,
        rm: field(word, 20, 16) as u8,
        ra: field(word, 14, 10) as u8,
        lane: None,
        imm: 0,
        cond: field(word, 15, 12) as u8,
        word,
    };
    if bit(word, 28) && !bit(word, 30) && !bit(word, 29) || bit(word, 28) && bit(word, 31) {
        return scalar_float(word, blank);
    }
    if bit(word, 31) {
        return None;
    }
    let scalar = bit(word, 28);
    if scalar && !bit(word, 30) {
        return None;
    }
    let s = Simd { scalar, q: bit(word, 30) && !scalar, ..blank };
    let u = bit(word, 29);
    if bit(word, 24) {
        if !bit(word, 10) {
            return by_element(word, s, u);
        }
        return if bit(word, 23) {
            None
        } else if field(word, 22, 19) == 0 {
            if scalar { None } else { modified_immediate(word, s, u) }
        } else {
            shift_immediate(word, s, u)
        };
    }
    if bit(word, 21) {
        return match (bit(word, 10), field(word, 11, 10)) {
            (true, _) => three_same(word, s, u),
            (_, 0) => three_different(word, s, u),
            (_, _) if field(word, 20, 17) == 0 => two_misc(word, s, u),
            (_, _) if field(word, 20, 17) == 8 => across(word, s, u),
            _ => None,
        };
    }
    // Permutations, tables, copies.
    if field(word, 23, 21) == 0 && bit(word, 10) && !bit(word, 15) {
        return copy(word, s, u);
    }
    if scalar || bit(word, 15) || bit(word, 10) {
        return None;
    }
    match (u, field(word, 23, 22), bit(word, 11)) {
        (true, 0, false) => {
            let imm = u64::from(field(word, 14, 11));
            (s.q || imm < 8).then_some(Simd { op: Do::Ext, imm, ..s })
        }
        _ if u => permutation_ext(word, s),
        (false, _, true) => {
            if s.size == 3 && !s.q {
                return None;
            }
            let second = bit(word, 14);
            let op = match field(word, 13, 12) {
                1 => Do::Uzp(second),
                2 => Do::Trn(second),
                3 => Do::Zip(second),
                _ => return None,
            };
            Some(Simd { op, ..s })
        }
        (false, 0, false) => {
            let registers = field(word, 14, 13) as u8 + 1;
            Some(Simd { op: Do::Tbl(registers, bit(word, 12)), size: 0, ..s })
        }
        _ => None,
    }
}

/// `ext` has bit 11 in its literal.
fn permutation_ext(word: u32, s: Simd) -> Option<Simd> {
    let imm = u64::from(field(word, 14, 11));
    (field(word, 23, 22) == 0 && (s.q || imm < 8)).then_some(Simd { op: Do::Ext, imm, ..s })
}

fn three_same(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let opcode = field(word, 15, 11);
    let size = s.size;
    if opcode >= 0b11000 {
        let double = size & 1 != 0;
        if double && !s.q && !s.scalar {
            return None;
        }
        let op = match (u, size & 2 != 0, opcode) {
            (false, false, 0b11000) => Fmaxnm,
            (false, false, 0b11001) => Fmla(false),
            (false, false, 0b11010) => Fadd,
            (false, false, 0b11011) => Fmulx,
            (false, false, 0b11100) => Fcmeq,
            (false, false, 0b11110) => Fmax,
            (false, false, 0b11111) => Frecps,
            (false, true, 0b11000) => Fminnm,
            (false, true, 0b11001) => Fmla(true),
            (false, true, 0b11010) => Fsub,
            (false, true, 0b11110) => Fmin,
            (false, true, 0b11111) => Frsqrts,
            (true, false, 0b11000) => Fpair(Pair::MaxNumber),
            (true, false, 0b11010) => Fpair(Pair::Add),
            (true, false, 0b11011) => Fmul,
            (true, false, 0b11100) => Fcmge,
            (true, false, 0b11101) => Facge,
            (true, false, 0b11110) => Fpair(Pair::Max),
            (true, false, 0b11111) => Fdiv,
            (true, true, 0b11000) => Fpair(Pair::MinNumber),
            (true, true, 0b11010) => Fabd,
            (true, true, 0b11100) => Fcmgt,
            (true, true, 0b11101) => Facgt,
            (true, true, 0b11110) => Fpair(Pair::Min),
            _ => return None,
        };
        let scalars = matches!(op, Fmulx | Fcmeq | Frecps | Frsqrts | Fcmge | Facge | Fabd | Fcmgt | Facgt);
        if s.scalar && !scalars {
            return None;
        }
        return Some(Simd { op, size: 2 + u8::from(double), ..s });
    }
    let op = match opcode {
        0b00000 => Hadd(u, false),
        0b00001 => Qadd(u),
        0b00010 => Hadd(u, true),
        0b00011 => {
            let all = [[And, Bic, Orr, Orn], [Eor, Bsl, Bit, Bif]];
            let op = all[usize::from(u)][usize::from(size)];
            return (!s.scalar).then_some(Simd { op, size: 0, ..s });
        }
        0b00100 => Hsub(u),
        0b00101 => Qsub(u),
        0b00110 => Cmgt(u),
        0b00111 => Cmge(u),
        0b01000 => Shl(u, false, false),
        0b01001 => Shl(u, false, true),
        0b01010 => Shl(u, true, false),
        0b01011 => Shl(u, true, true),
        0b01100 => Max(u),
        0b01101 => Min(u),
        0b01110 => Abd(u, false),
        0b01111 => Abd(u, true),
        0b10000 if u => Sub,
        0b10000 => Add,
        0b10001 if u => Cmeq,
        0b10001 => Cmtst,
        0b10010 => Mla(u),
        0b10011 if u => Pmul,
        0b10011 => Mul,
        0b10100 => Maxp(u),
        0b10101 => Minp(u),
        0b10110 => Sqdmulh(u),
        0b10111 if !u => Addp,
        _ => return None,
    };
    let allowed = match op {
        Hadd(..) | Hsub(_) | Max(_) | Min(_) | Abd(..) | Mla(_) | Mul | Maxp(_) | Minp(_) => {
            size < 3 && !s.scalar
        }
        Pmul => size == 0 && !s.scalar,
        Sqdmulh(_) => size == 1 || size == 2,
        Qadd(_) | Qsub(_) | Shl(_, _, true) => s.scalar || size < 3 || s.q,
        Addp => !s.scalar && (size < 3 || s.q),
        _ => {
            if s.scalar {
                size == 3
            } else {
                size < 3 || s.q
            }
        }
    };
    allowed.then_some(Simd { op, ..s })
}

fn two_misc(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let opcode = field(word, 16, 12);
    let size = s.size;
    let wide = size < 3 || s.q;
    let (op, allowed) = match (opcode, u) {
        (0, false) => (Rev(3), size < 3),
        (0, true) => (Rev(2), size < 2),
        (1, false) => (Rev(1), size < 1),
        (2, u) => (Addlp(u, false), size < 3),
        (6, u) => (Addlp(u, true), size < 3),
        (3, u) => (Suqadd(u), s.scalar || wide),
        (4, false) => (Cls, size < 3),
        (4, true) => (Clz, size < 3),
        (5, false) => (Cnt, size == 0),
        (5, true) if size == 0 => (Not, true),
        (5, true) if size == 1 && !s.scalar => return Some(Simd { op: Rbit, size: 0, ..s }),
        (7, false) => (Sqabs, s.scalar || wide),
        (7, true) => (Sqneg, s.scalar || wide),
        (8, false) => (CmZero(Zero::Gt), wide),
        (8, true) => (CmZero(Zero::Ge), wide),
        (9, false) => (CmZero(Zero::Eq), wide),
        (9, true) => (CmZero(Zero::Le), wide),
        (10, false) => (CmZero(Zero::Lt), wide),
        (11, false) => (Abs, wide),
        (11, true) => (Neg, wide),
        (18, false) => (Xtn(Narrow::Plain), size < 3),
        (18, true) => (Xtn(Narrow::SignedUnsigned), size < 3),
        (19, true) if size < 3 && !s.scalar => {
            return Some(Simd { op: Shll(true), imm: 8 << size, ..s });
        }
        (20, false) => (Xtn(Narrow::Signed), size < 3),
        (20, true) => (Xtn(Narrow::Unsigned), size < 3),
        _ => return two_misc_float(word, s, u),
    };
    let scalars = match op {
        Suqadd(_) | Sqabs | Sqneg => true,
        CmZero(_) | Abs | Neg => size == 3,
        Xtn(n) => n != Narrow::Plain,
        _ => false,
    };
    (allowed && !s.scalar || s.scalar && scalars && (size < 3 || !matches!(op, Xtn(_))))
        .then_some(Simd { op, ..s })
}

fn two_misc_float(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    use Rounding::*;
    let opcode = field(word, 16, 12);
    let (high, double) = (s.size & 2 != 0, s.size & 1 != 0);
    let size = 2 + u8::from(double);
    let lanes = s.scalar || !double || s.q;
    let op = match (high, opcode, u) {
        (false, 22, false) if !s.scalar => return Some(Simd { op: Fcvtn, size: size - 1, ..s }),
        (false, 22, true) if double => return Some(Simd { op: Fcvtxn, size: 2, ..s }),
        (false, 23, false) if !s.scalar => return Some(Simd { op: Fcvtl, size: size - 1, ..s }),
        (false, 24, false) => Frint(Some(Even), false),
        (false, 24, true) => Frint(Some(Away), false),
        (false, 25, false) => Frint(Some(Down), false),
        (false, 25, true) => Frint(None, true),
        (true, 24, false) => Frint(Some(Up), false),
        (true, 25, false) => Frint(Some(Zero), false),
        (true, 25, true) => Frint(None, false),
        (false, 26, u) => FtoI(Even, u),
        (false, 27, u) => FtoI(Down, u),
        (false, 28, u) => FtoI(Away, u),
        (true, 26, u) => FtoI(Up, u),
        (true, 27, u) => FtoI(Zero, u),
        (false, 29, u) => ItoF(u),
        (true, 12, false) => FcmZero(self::Zero::Gt),
        (true, 12, true) => FcmZero(self::Zero::Ge),
        (true, 13, false) => FcmZero(self::Zero::Eq),
        (true, 13, true) => FcmZero(self::Zero::Le),
        (true, 14, false) => FcmZero(self::Zero::Lt),
        (true, 15, false) => Fabs,
        (true, 15, true) => Fneg,
        (true, 28, u) if !double && !s.scalar => {
            return Some(Simd { op: if u { Ursqrte } else { Urecpe }, size: 2, ..s });
        }
        (true, 29, false) => Frecpe,
        (true, 29, true) => Frsqrte,
        (true, 31, true) if !s.scalar => Fsqrt,
        (true, 31, false) if s.scalar => Frecpx,
        _ => return None,
    };
    let scalars = matches!(op, FtoI(..) | ItoF(_) | FcmZero(_) | Frecpe | Frsqrte | Frecpx);
    (lanes && (!s.scalar || scalars)).then_some(Simd { op, size, ..s })
}

fn across(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let opcode = field(word, 16, 12);
    let min = s.size & 2 != 0;
    let float = match (opcode, min) {
        (12, false) => Some(Pair::MaxNumber),
        (12, true) => Some(Pair::MinNumber),
        (15, false) => Some(Pair::Max),
        (15, true) => Some(Pair::Min),
        (13, false) if s.scalar => Some(Pair::Add),
        _ => None,
    };
    if s.scalar {
        if opcode == 27 && !u && s.size == 3 {
            return Some(Simd { op: Addp, ..s });
        }
        return (u).then_some(Simd { op: Fpair(float?), size: 2 + (s.size & 1), ..s });
    }
    if let Some(pair) = float {
        return (u && s.q && s.size & 1 == 0).then_some(Simd { op: Facross(pair), size: 2, ..s });
    }
    let op = match (opcode, u) {
        (3, u) => Addlv(u),
        (10, u) => Maxv(u),
        (26, u) => Minv(u),
        (27, false) => Addv,
        _ => return None,
    };
    (s.size < 2 || s.size == 2 && s.q).then_some(Simd { op, ..s })
}

fn three_different(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let op = match field(word, 15, 12) {
        0 => Addl(u, false, false),
        1 => Addl(u, false, true),
        2 => Addl(u, true, false),
        3 => Addl(u, true, true),
        4 => Addhn(false, u),
        5 => Abdl(u, true),
        6 => Addhn(true, u),
        7 => Abdl(u, false),
        8 => Mull(u, Into::Add),
        9 if !u => Sqdmull(Into::Add),
        10 => Mull(u, Into::Sub),
        11 if !u => Sqdmull(Into::Sub),
        12 => Mull(u, Into::Set),
        13 if !u => Sqdmull(Into::Set),
        14 if !u => Pmull,
        _ => return None,
    };
    let allowed = match op {
        Sqdmull(_) => s.size == 1 || s.size == 2,
        Pmull => s.size == 0 && !s.scalar,
        _ => s.size < 3 && !s.scalar,
    };
    allowed.then_some(Simd { op, ..s })
}

fn by_element(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let opcode = field(word, 15, 12);
    let (h, l, m) = (field(word, 11, 11) as u8, field(word, 21, 21) as u8, field(word, 20, 20) as u8);
    let float = match (opcode, u) {
        (1, false) => Some(Fmla(false)),
        (5, false) => Some(Fmla(true)),
        (9, false) => Some(Fmul),
        (9, true) => Some(Fmulx),
        _ => None,
    };
    if let Some(op) = float {
        let lane = match s.size {
            2 => h << 1 | l,
            3 if l == 0 && (s.q || s.scalar) => h,
            _ => return None,
        };
        return Some(Simd { op, lane: Some(lane), ..s });
    }
    let (lane, rm) = match s.size {
        1 => (h << 2 | l << 1 | m, s.rm & 15),
        2 => (h << 1 | l, s.rm),
        _ => return None,
    };
    let (op, scalars) = match (opcode, u) {
        (0, true) => (Mla(false), false),
        (4, true) => (Mla(true), false),
        (8, false) => (Mul, false),
        (2, u) => (Mull(u, Into::Add), false),
        (6, u) => (Mull(u, Into::Sub), false),
        (10, u) => (Mull(u, Into::Set), false),
        (3, false) => (Sqdmull(Into::Add), true),
        (7, false) => (Sqdmull(Into::Sub), true),
        (11, false) => (Sqdmull(Into::Set), true),
        (12, false) => (Sqdmulh(false), true),
        (13, false) => (Sqdmulh(true), true),
        _ => return None,
    };
    (!s.scalar || scalars).then_some(Simd { op, rm, lane: Some(lane), ..s })
}

fn shift_immediate(word: u32, s: Simd, u: bool) -> Option<Simd> {
    use Do::*;
    let immediate = field(word, 22, 16);
    let size = (31 - (immediate >> 3).leading_zeros()) as u8;
    let bits = 8u32 << size;
    let (right, left) = (u64::from(2 * bits - immediate), u64::from(immediate - bits));
    let lanes = if s.scalar { size == 3 } else { size < 3 || s.q };
    let s = Simd { size, ..s };
    let plain = |op, imm| lanes.then_some(Simd { op, imm, ..s });
    let saturating = |op| (s.scalar || size < 3 || s.q).then_some(Simd { op, imm: left, ..s });
    let narrow =
        |op, scalars: bool| (size < 3 && (!s.scalar || scalars)).then_some(Simd { op, imm: right, ..s });
    match (field(word, 15, 11), u) {
        (0, u) => plain(Shr(u, false, false), right),
        (2, u) => plain(Shr(u, false, true), right),
        (4, u) => plain(Shr(u, true, false), right),
        (6, u) => plain(Shr(u, true, true), right),
        (8, true) => plain(Sri, right),
        (10, false) => plain(ShlImm, left),
        (10, true) => plain(Sli, left),
        (12, true) => saturating(Sqshlu),
        (14, u) => saturating(QshlImm(u)),
        (16, false) => narrow(Shrn(false, Narrow::Plain), false),
        (17, false) => narrow(Shrn(true, Narrow::Plain), false),
        (16, true) => narrow(Shrn(false, Narrow::SignedUnsigned), true),
        (17, true) => narrow(Shrn(true, Narrow::SignedUnsigned), true),
        (18, false) => narrow(Shrn(false, Narrow::Signed), true),
        (19, false) => narrow(Shrn(true, Narrow::Signed), true),
        (18, true) => narrow(Shrn(false, Narrow::Unsigned), true),
        (19, true) => narrow(Shrn(true, Narrow::Unsigned), true),
        (20, u) => (size < 3 && !s.scalar).then_some(Simd { op: Shll(u), imm: left, ..s }),
        (28, u) if size >= 2 && (s.scalar || size == 2 || s.q) => Some(Simd { op: ItoF(u), imm: right, ..s }),
        (31, u) if size >= 2 && (s.scalar || size == 2 || s.q) => {
            Some(Simd { op: FtoI(Rounding::Zero, u), imm: right, ..s })
        }
        _ => None,
    }
}

/// The eight bits of a floating point literal, in the format of this size.
fn float_literal(imm: u32, size: u8) -> u64 {
    let (sign, b, low) = (u64::from(imm >> 7), imm >> 6 & 1, u64::from(imm & 63));
    let b = u64::from(b);
    if size == 3 {
        let exponent = (1 - b) << 10 | (if b == 1 { 0xff } else { 0 }) << 2 | low >> 4;
        sign << 63 | exponent << 52 | (low & 15) << 48
    } else {
        let exponent = (1 - b) << 7 | (if b == 1 { 0x1f } else { 0 }) << 2 | low >> 4;
        sign << 31 | exponent << 23 | (low & 15) << 19
    }
}

fn modified_immediate(word: u32, s: Simd, u: bool) -> Option<Simd> {
    if bit(word, 11) {
        return None;
    }
    let imm = (field(word, 18, 16) << 5 | field(word, 9, 5)) as u64;
    let mode = field(word, 15, 12);
    let by_32 = |v: u64| v | v << 32;
    let by_16 = |v: u64| by_32(v | v << 16);
    let (value, logic) = match mode {
        0..=7 => (by_32(imm << ((mode >> 1) * 8)), mode & 1 != 0),
        8..=11 => (by_16(imm << ((mode >> 1 & 1) * 8)), mode & 1 != 0),
        12 => (by_32(imm << 8 | 0xff), false),
        13 => (by_32(imm << 16 | 0xffff), false),
        14 if !u => (imm * 0x0101_0101_0101_0101, false),
        14 => ((0..8).filter(|i| imm >> i & 1 != 0).map(|i| 0xff << (8 * i)).sum(), false),
        15 if !u => (by_32(float_literal(imm as u32, 2)), false),
        15 if s.q => (float_literal(imm as u32, 3), false),
        _ => return None,
    };
    let invert = u && mode < 14;
    let (op, imm) = match (logic, u) {
        (true, false) => (Do::OrrImm, value),
        (true, true) => (Do::BicImm, value),
        _ => (Do::Movi, if invert { !value } else { value }),
    };
    Some(Simd { op, imm, size: 3, ..s })
}

fn copy(word: u32, s: Simd, u: bool) -> Option<Simd> {
    let (imm5, imm4) = (field(word, 20, 16), field(word, 14, 11));
    let size = imm5.trailing_zeros() as u8;
    if size > 3 {
        return None;
    }
    let lane = u64::from(imm5 >> (size + 1));
    let s = Simd { size, imm: lane, ..s };
    if s.scalar {
        return (!u && imm4 == 0).then_some(Simd { op: Do::DupElement, ..s });
    }
    if u {
        let from = u64::from(imm4 >> size);
        // The source's lane in the upper half.
        return s.q.then_some(Simd { op: Do::InsElement, imm: lane | from << 32, ..s });
    }
    match imm4 {
        0 if size < 3 || s.q => Some(Simd { op: Do::DupElement, ..s }),
        1 if size < 3 || s.q => Some(Simd { op: Do::DupX, sf: size == 3, ..s }),
        3 if s.q => Some(Simd { op: Do::InsX, sf: size == 3, ..s }),
        5 if size < 2 || size == 2 && s.q => Some(Simd { op: Do::Smov, sf: s.q, ..s }),
        7 if size < 3 && !s.q || size == 3 && s.q => Some(Simd { op: Do::Umov, sf: s.q, ..s }),
        _ => None,
    }
}

fn scalar_float(word: u32, blank: Simd) -> Option<Simd> {
    use Do::*;
    use Rounding::*;
    let kind = field(word, 23, 22);
    let size = match kind {
        0 => 2,
        1 => 3,
        3 => 1,
        // `fmov` of the upper half.
        _ => 4,
    };
    let sf = bit(word, 31);
    let s = Simd { scalar: true, q: false, size, sf, ..blank };
    if bit(word, 29) || bit(word, 30) {
        return None;
    }
    let arithmetic = size == 2 || size == 3;
    if bit(word, 24) {
        if sf || !arithmetic {
            return None;
        }
        let (o1, o0) = (bit(word, 21), bit(word, 15));
        return Some(Simd { op: Fmadd(o1 != o0, o1), ..s });
    }
    if !bit(word, 21) {
        // Fixed point.
        let scale = u64::from(64 - field(word, 15, 10));
        if !arithmetic || !sf && scale > 32 {
            return None;
        }
        let op = match (field(word, 20, 19), field(word, 18, 16)) {
            (3, 0) => FtoX(Zero, false),
            (3, 1) => FtoX(Zero, true),
            (0, 2) => XtoF(false),
            (0, 3) => XtoF(true),
            _ => return None,
        };
        return Some(Simd { op, imm: scale, ..s });
    }
    if field(word, 15, 10) == 0 {
        let (mode, opcode) = (field(word, 20, 19), field(word, 18, 16));
        let op = match (mode, opcode) {
            (1, 6) if sf && size == 4 => return Some(Simd { op: FmovToX, size: 3, imm: 1, ..s }),
            (1, 7) if sf && size == 4 => return Some(Simd { op: FmovFromX, size: 3, imm: 1, ..s }),
            _ if !arithmetic => return None,
            (0, 6) if sf == (size == 3) => FmovToX,
            (0, 7) if sf == (size == 3) => FmovFromX,
            (0, 2) => XtoF(false),
            (0, 3) => XtoF(true),
            (0, 4 | 5) => FtoX(Away, opcode == 5),
            (m, 0 | 1) => FtoX([Even, Up, Down, Zero][m as usize], opcode == 1),
            _ => return None,
        };
        return Some(Simd { op, ..s });
    }
    if sf {
        return None;
    }
    match field(word, 11, 10) {
        1 if arithmetic => return Some(Simd { op: Fccmp(bit(word, 4)), imm: field(word, 3, 0).into(), ..s }),
        3 if arithmetic => return Some(Simd { op: Fcsel, ..s }),
        2 if arithmetic => {
            let op = match field(word, 15, 12) {
                0 => Fmul,
                1 => Fdiv,
                2 => Fadd,
                3 => Fsub,
                4 => Fmax,
                5 => Fmin,
                6 => Fmaxnm,
                7 => Fminnm,
                8 => Fnmul,
                _ => return None,
            };
            return Some(Simd { op, ..s });
        }
        1..=3 => return None,
        _ => {}
    }
    if bit(word, 12) {
        let literal = arithmetic && field(word, 9, 5) == 0;
        return literal.then(|| Simd { op: Movi, imm: float_literal(field(word, 20, 13), size), ..s });
    }
    if bit(word, 13) {
        let zero = bit(word, 3);
        let valid = arithmetic && field(word, 15, 14) == 0 && field(word, 2, 0) == 0;
        return valid.then_some(Simd { op: Fcmp(bit(word, 4), zero), ..s });
    }
    if !bit(word, 14) {
        return None;
    }
    let op = match field(word, 20, 15) {
        // From half, single or double to another.
        k @ (4 | 5 | 7) => {
            let to = match k & 3 {
                0 => 2,
                1 => 3,
                _ => 1,
            };
            let from = size;
            return (from != 4 && from != to).then_some(Simd { op: Fcvt(from), size: to, ..s });
        }
        _ if !arithmetic => return None,
        0 => Fmov,
        1 => Fabs,
        2 => Fneg,
        3 => Fsqrt,
        8 => Frint(Some(Even), false),
        9 => Frint(Some(Up), false),
        10 => Frint(Some(Down), false),
        11 => Frint(Some(Zero), false),
        12 => Frint(Some(Away), false),
        14 => Frint(None, true),
        15 => Frint(None, false),
        _ => return None,
    };
    Some(Simd { op, ..s })
}
