//! What an instruction means, as data: the table from iced's mnemonics to [`Sem`], the few dozen shapes of
//! meaning that the lifter knows.
//!
//! One row per mnemonic; the lifter matches on `Sem` only. What has no row, and what [`semantics`] excludes
//! below the table (MMX registers, segment and control registers, forms whose result the manual leaves open),
//! is not modelled and becomes a `native` operation. `decode/tests/not-modelled.txt` lists that, and a test
//! keeps the list true.

use super::inst::{Attrs, Flow, Inst};
use crate::Fp;
use iced_x86::{Code, EncodingKind, Instruction, Mnemonic, OpKind, Register};
use ir::op::Op;
use ir::types::{Round, Type};

/// Two-operand integer arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alu {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
    Cmp,
    Test,
}

/// Arithmetic on one operand in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unary {
    Inc,
    Dec,
    Neg,
    Not,
}

/// What happens to a tested bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BitOp {
    Test,
    Set,
    Reset,
    Complement,
}

/// String instructions without prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StringOp {
    Movs,
    Stos,
    Lods,
    Scas,
    Cmps,
}

/// BMI arithmetic; flags differ in each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bmi {
    Andn,
    Bextr,
    Blsi,
    Blsr,
    Blsmsk,
    Bzhi,
    /// `shlx`, `shrx`, `sarx`, by operation.
    Shift(Op),
    Rorx,
    Pdep,
    Pext,
    Mulx,
}

/// How a two-source shuffle takes its lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interleave {
    Low,
    High,
}

/// Shape of an instruction's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sem {
    Nop,
    Fence,
    Mov,
    /// `movzx`, `movsx`, `movsxd`, by operation.
    Extend(Op),
    Lea,
    Xchg,
    Push,
    Pop,
    Leave,
    Alu(Alu),
    Unary(Unary),
    /// Shift or rotation, and the operation that makes its flags.
    Shift(Op, Op),
    /// `shld` (true) and `shrd`.
    DoubleShift(bool),
    /// `mul` (false) and one-operand `imul`.
    MulWide(bool),
    /// Two- and three-operand `imul`.
    Imul,
    /// `div` (false) and `idiv`.
    Div(bool),
    /// `cbw`, `cwde`, `cdqe`: from this type to twice its width in `rax`.
    SignExtendAcc(Type),
    /// `cwd`, `cdq`, `cqo`: the sign of the accumulator of this type into `rdx`.
    SignOfAcc(Type),
    Setcc,
    Cmovcc,
    Bit(BitOp),
    /// `bsf` (false) and `bsr`.
    BitScan(bool),
    /// `tzcnt`, `lzcnt`, by operation.
    Count(Op),
    Popcnt,
    Bswap,
    Xadd,
    Cmpxchg,
    /// `cmpxchg8b`, `cmpxchg16b`.
    CmpxchgPair,
    /// `clc`, `stc`.
    SetCarry(bool),
    Cmc,
    /// `cld`, `std`.
    SetDirection(bool),
    Sahf,
    Lahf,
    Bmi(Bmi),
    Movbe,
    String(StringOp),
    /// `rdfsbase` (true) and `rdgsbase`.
    ReadSegmentBase(bool),
    Jcc,
    Loop,
    Jmp,
    JmpIndirect,
    Call,
    CallIndirect,
    Ret,
    Syscall,

    /// Whole-register vector move, either way.
    VMov,
    /// `movss`, `movsd` of this type.
    ScalarMov(Type),
    /// `movd`, `movq`: integer of operand size from and to the low lane.
    MovInt,
    /// `movlps`-like: 64 bits of memory or of the other register, at bit offset.
    MovHalf(u32),
    /// `movhlps` (true) and `movlhps`.
    MovCross(bool),
    /// Bitwise, on all of the register.
    VBits(Op),
    /// Lane-wise with two sources.
    VBin(Op, Type),
    /// `pabsb` and the like: one source.
    VUn(Op, Type),
    /// Lanes shifted by one amount.
    VShift(Op, Type),
    /// `pslldq` (true) and `psrldq`.
    VShiftBytes(bool),
    Interleave(Interleave, Type),
    /// `pshufd`.
    Shuffle4,
    /// `pshuflw` (0) and `pshufhw` (64): words of one half.
    ShuffleHalf(u8),
    Shufps,
    Shufpd,
    Palignr,
    Pshufb,
    /// `pmovmskb`, `movmskps`, `movmskpd` by lane.
    Signs(Type),
    Pinsrw,
    Pextrw,
    Ptest,
    Movddup,

    // From here on: floating point, which rests on the default control word.
    /// Scalar with two sources.
    FBin(Op, Type),
    /// `sqrtss`, `sqrtsd`.
    FSqrt(Type),
    /// `ucomis`, `comis`.
    FCompare(Type),
    /// `cmpss`, `cmpsd` with predicate.
    FMask(Type),
    /// `cvtsi2ss`, `cvtsi2sd`.
    IntToFloat(Type),
    /// `cvttsd2si` and the like: operation and source type.
    FloatToInt(Op, Type),
    /// `cvtss2sd`, `cvtsd2ss`: operation, from, to.
    FConvert(Op, Type, Type),
    /// `roundss`, `roundsd` with an explicit mode.
    FRound(Type),
    /// Packed with two sources.
    VFBin(Op, Type),
    /// Packed with one source: square roots and conversions. The operand type of the operation, and how many
    /// bytes of memory it reads.
    VFUn(Op, Type, u32),
    /// `cmpps`, `cmppd` with predicate.
    VFMask(Type),
}

impl Sem {
    /// Does it rest on the default control word, and leave the sticky exception flags out?
    pub(super) fn is_float(self) -> bool {
        matches!(
            self,
            Sem::FBin(..)
                | Sem::FSqrt(_)
                | Sem::FCompare(_)
                | Sem::FMask(_)
                | Sem::IntToFloat(_)
                | Sem::FloatToInt(..)
                | Sem::FConvert(..)
                | Sem::FRound(_)
                | Sem::VFBin(..)
                | Sem::VFUn(..)
                | Sem::VFMask(_)
        )
    }
}

/// The meaning of an instruction, if it is modelled under this treatment of floating point.
pub(super) fn semantics(inst: &Inst, fp: Fp) -> Option<Sem> {
    let raw = inst.raw();
    let sem = match inst.flow() {
        Flow::Next => by_mnemonic(raw)?,
        Flow::Jcc { .. } => Sem::Jcc,
        Flow::Loop { .. } => Sem::Loop,
        Flow::Jmp { .. } => Sem::Jmp,
        Flow::JmpIndirect => Sem::JmpIndirect,
        Flow::Call { .. } => Sem::Call,
        Flow::CallIndirect => Sem::CallIndirect,
        Flow::Ret { .. } => Sem::Ret,
        Flow::Syscall => Sem::Syscall,
        _ => return None,
    };
    if sem.is_float() && fp == Fp::Native || is_excluded(inst, sem) {
        return None;
    }
    Some(sem)
}

/// Forms of modelled mnemonics that are not modelled.
fn is_excluded(inst: &Inst, sem: Sem) -> bool {
    let raw = inst.raw();
    let bad_register =
        |r: Register| r.is_mm() || r.is_segment_register() || r.is_cr() || r.is_dr() || r.is_tr();
    if bad_register(raw.op0_register()) || bad_register(raw.op1_register()) {
        return true;
    }
    let locked = raw.has_lock_prefix();
    match sem {
        // The total-order read-modify-writes that the IR has no operation for.
        Sem::Alu(Alu::Adc | Alu::Sbb) | Sem::Unary(Unary::Neg) => locked,
        // Amounts above the width leave the result undefined.
        Sem::DoubleShift(_) => {
            raw.op0_kind() == OpKind::Register && raw.op0_register().size() == 2
                || raw.op0_kind() == OpKind::Memory && raw.memory_size().size() == 2
        }
        // The result is undefined.
        Sem::Bswap => raw.op0_register().size() == 2,
        Sem::String(_) => {
            inst.attrs().contains(Attrs::REP_STRING)
                || raw.op_kinds().any(|k| {
                    matches!(
                        k,
                        OpKind::MemorySegSI | OpKind::MemorySegESI | OpKind::MemoryESDI | OpKind::MemoryESEDI
                    )
                })
        }
        // By the mode in MXCSR, or with the inexact exception suppressed: not worth a case.
        Sem::FRound(_) => raw.immediate8() & 4 != 0,
        _ => false,
    }
}

fn is_legacy(raw: &Instruction) -> bool {
    raw.encoding() == EncodingKind::Legacy
}

fn by_mnemonic(raw: &Instruction) -> Option<Sem> {
    use Mnemonic as M;
    Some(match raw.mnemonic() {
        M::Nop | M::Endbr64 | M::Endbr32 => Sem::Nop,
        M::Mfence => Sem::Fence,
        M::Mov => Sem::Mov,
        M::Movzx => Sem::Extend(Op::Zext),
        M::Movsx | M::Movsxd => Sem::Extend(Op::Sext),
        M::Lea => Sem::Lea,
        M::Xchg => Sem::Xchg,
        M::Push => Sem::Push,
        M::Pop => Sem::Pop,
        M::Leave if raw.code() == Code::Leaveq => Sem::Leave,
        M::Add => Sem::Alu(Alu::Add),
        M::Adc => Sem::Alu(Alu::Adc),
        M::Sub => Sem::Alu(Alu::Sub),
        M::Sbb => Sem::Alu(Alu::Sbb),
        M::And => Sem::Alu(Alu::And),
        M::Or => Sem::Alu(Alu::Or),
        M::Xor => Sem::Alu(Alu::Xor),
        M::Cmp => Sem::Alu(Alu::Cmp),
        M::Test => Sem::Alu(Alu::Test),
        M::Inc => Sem::Unary(Unary::Inc),
        M::Dec => Sem::Unary(Unary::Dec),
        M::Neg => Sem::Unary(Unary::Neg),
        M::Not => Sem::Unary(Unary::Not),
        M::Shl | M::Sal => Sem::Shift(Op::Shl, Op::FlagsShl),
        M::Shr => Sem::Shift(Op::Shr, Op::FlagsShr),
        M::Sar => Sem::Shift(Op::Sar, Op::FlagsSar),
        M::Rol => Sem::Shift(Op::Rol, Op::FlagsRol),
        M::Ror => Sem::Shift(Op::Ror, Op::FlagsRor),
        M::Shld => Sem::DoubleShift(true),
        M::Shrd => Sem::DoubleShift(false),
        M::Mul => Sem::MulWide(false),
        M::Imul if raw.op_count() == 1 => Sem::MulWide(true),
        M::Imul => Sem::Imul,
        M::Div => Sem::Div(false),
        M::Idiv => Sem::Div(true),
        M::Cbw => Sem::SignExtendAcc(Type::I8),
        M::Cwde => Sem::SignExtendAcc(Type::I16),
        M::Cdqe => Sem::SignExtendAcc(Type::I32),
        M::Cwd => Sem::SignOfAcc(Type::I16),
        M::Cdq => Sem::SignOfAcc(Type::I32),
        M::Cqo => Sem::SignOfAcc(Type::I64),
        M::Seto
        | M::Setno
        | M::Setb
        | M::Setae
        | M::Sete
        | M::Setne
        | M::Setbe
        | M::Seta
        | M::Sets
        | M::Setns
        | M::Setp
        | M::Setnp
        | M::Setl
        | M::Setge
        | M::Setle
        | M::Setg => Sem::Setcc,
        M::Cmovo
        | M::Cmovno
        | M::Cmovb
        | M::Cmovae
        | M::Cmove
        | M::Cmovne
        | M::Cmovbe
        | M::Cmova
        | M::Cmovs
        | M::Cmovns
        | M::Cmovp
        | M::Cmovnp
        | M::Cmovl
        | M::Cmovge
        | M::Cmovle
        | M::Cmovg => Sem::Cmovcc,
        M::Bt => Sem::Bit(BitOp::Test),
        M::Bts => Sem::Bit(BitOp::Set),
        M::Btr => Sem::Bit(BitOp::Reset),
        M::Btc => Sem::Bit(BitOp::Complement),
        M::Bsf => Sem::BitScan(false),
        M::Bsr => Sem::BitScan(true),
        M::Tzcnt => Sem::Count(Op::Ctz),
        M::Lzcnt => Sem::Count(Op::Clz),
        M::Popcnt => Sem::Popcnt,
        M::Bswap => Sem::Bswap,
        M::Xadd => Sem::Xadd,
        M::Cmpxchg => Sem::Cmpxchg,
        M::Cmpxchg8b | M::Cmpxchg16b => Sem::CmpxchgPair,
        M::Stc => Sem::SetCarry(true),
        M::Clc => Sem::SetCarry(false),
        M::Cmc => Sem::Cmc,
        M::Cld => Sem::SetDirection(false),
        M::Std => Sem::SetDirection(true),
        M::Sahf => Sem::Sahf,
        M::Lahf => Sem::Lahf,
        M::Andn => Sem::Bmi(Bmi::Andn),
        M::Bextr if raw.encoding() == EncodingKind::VEX => Sem::Bmi(Bmi::Bextr),
        M::Blsi => Sem::Bmi(Bmi::Blsi),
        M::Blsr => Sem::Bmi(Bmi::Blsr),
        M::Blsmsk => Sem::Bmi(Bmi::Blsmsk),
        M::Bzhi => Sem::Bmi(Bmi::Bzhi),
        M::Shlx => Sem::Bmi(Bmi::Shift(Op::Shl)),
        M::Shrx => Sem::Bmi(Bmi::Shift(Op::Shr)),
        M::Sarx => Sem::Bmi(Bmi::Shift(Op::Sar)),
        M::Rorx => Sem::Bmi(Bmi::Rorx),
        M::Pdep => Sem::Bmi(Bmi::Pdep),
        M::Pext => Sem::Bmi(Bmi::Pext),
        M::Mulx => Sem::Bmi(Bmi::Mulx),
        M::Movbe => Sem::Movbe,
        M::Movsb | M::Movsw | M::Movsq => Sem::String(StringOp::Movs),
        M::Movsd if raw.code() == Code::Movsd_m32_m32 => Sem::String(StringOp::Movs),
        M::Stosb | M::Stosw | M::Stosd | M::Stosq => Sem::String(StringOp::Stos),
        M::Lodsb | M::Lodsw | M::Lodsd | M::Lodsq => Sem::String(StringOp::Lods),
        M::Scasb | M::Scasw | M::Scasd | M::Scasq => Sem::String(StringOp::Scas),
        M::Cmpsb | M::Cmpsw | M::Cmpsq => Sem::String(StringOp::Cmps),
        M::Cmpsd if raw.code() == Code::Cmpsd_m32_m32 => Sem::String(StringOp::Cmps),
        M::Rdfsbase => Sem::ReadSegmentBase(true),
        M::Rdgsbase => Sem::ReadSegmentBase(false),
        _ => return by_vector_mnemonic(raw),
    })
}

fn by_vector_mnemonic(raw: &Instruction) -> Option<Sem> {
    use Mnemonic as M;
    use Type::{F32, F64, I8, I16, I32, I64};
    if !is_legacy(raw) {
        return None;
    }
    Some(match raw.mnemonic() {
        M::Movaps | M::Movups | M::Movapd | M::Movupd | M::Movdqa | M::Movdqu | M::Lddqu => Sem::VMov,
        M::Movss => Sem::ScalarMov(F32),
        M::Movsd => Sem::ScalarMov(F64),
        M::Movd | M::Movq => Sem::MovInt,
        M::Movlps | M::Movlpd => Sem::MovHalf(0),
        M::Movhps | M::Movhpd => Sem::MovHalf(64),
        M::Movhlps => Sem::MovCross(true),
        M::Movlhps => Sem::MovCross(false),
        M::Movddup => Sem::Movddup,
        M::Andps | M::Andpd | M::Pand => Sem::VBits(Op::And),
        M::Andnps | M::Andnpd | M::Pandn => Sem::VBits(Op::Andn),
        M::Orps | M::Orpd | M::Por => Sem::VBits(Op::Or),
        M::Xorps | M::Xorpd | M::Pxor => Sem::VBits(Op::Xor),
        M::Paddb => Sem::VBin(Op::VAdd, I8),
        M::Paddw => Sem::VBin(Op::VAdd, I16),
        M::Paddd => Sem::VBin(Op::VAdd, I32),
        M::Paddq => Sem::VBin(Op::VAdd, I64),
        M::Psubb => Sem::VBin(Op::VSub, I8),
        M::Psubw => Sem::VBin(Op::VSub, I16),
        M::Psubd => Sem::VBin(Op::VSub, I32),
        M::Psubq => Sem::VBin(Op::VSub, I64),
        M::Paddusb => Sem::VBin(Op::VUadds, I8),
        M::Paddusw => Sem::VBin(Op::VUadds, I16),
        M::Paddsb => Sem::VBin(Op::VSadds, I8),
        M::Paddsw => Sem::VBin(Op::VSadds, I16),
        M::Psubusb => Sem::VBin(Op::VUsubs, I8),
        M::Psubusw => Sem::VBin(Op::VUsubs, I16),
        M::Psubsb => Sem::VBin(Op::VSsubs, I8),
        M::Psubsw => Sem::VBin(Op::VSsubs, I16),
        M::Pmullw => Sem::VBin(Op::VMul, I16),
        M::Pmulld => Sem::VBin(Op::VMul, I32),
        M::Pmulhw => Sem::VBin(Op::VSmulh, I16),
        M::Pmulhuw => Sem::VBin(Op::VUmulh, I16),
        M::Pmuludq => Sem::VBin(Op::VUmulw, I32),
        M::Pmuldq => Sem::VBin(Op::VSmulw, I32),
        M::Pmaddwd => Sem::VBin(Op::VMadd, I16),
        M::Psadbw => Sem::VBin(Op::VSad, I8),
        M::Pavgb => Sem::VBin(Op::VUavg, I8),
        M::Pavgw => Sem::VBin(Op::VUavg, I16),
        M::Pminub => Sem::VBin(Op::VUmin, I8),
        M::Pminuw => Sem::VBin(Op::VUmin, I16),
        M::Pminud => Sem::VBin(Op::VUmin, I32),
        M::Pmaxub => Sem::VBin(Op::VUmax, I8),
        M::Pmaxuw => Sem::VBin(Op::VUmax, I16),
        M::Pmaxud => Sem::VBin(Op::VUmax, I32),
        M::Pminsb => Sem::VBin(Op::VSmin, I8),
        M::Pminsw => Sem::VBin(Op::VSmin, I16),
        M::Pminsd => Sem::VBin(Op::VSmin, I32),
        M::Pmaxsb => Sem::VBin(Op::VSmax, I8),
        M::Pmaxsw => Sem::VBin(Op::VSmax, I16),
        M::Pmaxsd => Sem::VBin(Op::VSmax, I32),
        M::Pcmpeqb => Sem::VBin(Op::VEq, I8),
        M::Pcmpeqw => Sem::VBin(Op::VEq, I16),
        M::Pcmpeqd => Sem::VBin(Op::VEq, I32),
        M::Pcmpeqq => Sem::VBin(Op::VEq, I64),
        M::Pcmpgtb => Sem::VBin(Op::VSgt, I8),
        M::Pcmpgtw => Sem::VBin(Op::VSgt, I16),
        M::Pcmpgtd => Sem::VBin(Op::VSgt, I32),
        M::Pcmpgtq => Sem::VBin(Op::VSgt, I64),
        M::Packsswb => Sem::VBin(Op::VSpack, I16),
        M::Packssdw => Sem::VBin(Op::VSpack, I32),
        M::Packuswb => Sem::VBin(Op::VUpack, I16),
        M::Packusdw => Sem::VBin(Op::VUpack, I32),
        M::Pabsb => Sem::VUn(Op::VAbs, I8),
        M::Pabsw => Sem::VUn(Op::VAbs, I16),
        M::Pabsd => Sem::VUn(Op::VAbs, I32),
        M::Psllw => Sem::VShift(Op::VShl, I16),
        M::Pslld => Sem::VShift(Op::VShl, I32),
        M::Psllq => Sem::VShift(Op::VShl, I64),
        M::Psrlw => Sem::VShift(Op::VShr, I16),
        M::Psrld => Sem::VShift(Op::VShr, I32),
        M::Psrlq => Sem::VShift(Op::VShr, I64),
        M::Psraw => Sem::VShift(Op::VSar, I16),
        M::Psrad => Sem::VShift(Op::VSar, I32),
        M::Pslldq => Sem::VShiftBytes(true),
        M::Psrldq => Sem::VShiftBytes(false),
        M::Punpcklbw => Sem::Interleave(Interleave::Low, I8),
        M::Punpcklwd => Sem::Interleave(Interleave::Low, I16),
        M::Punpckldq | M::Unpcklps => Sem::Interleave(Interleave::Low, I32),
        M::Punpcklqdq | M::Unpcklpd => Sem::Interleave(Interleave::Low, I64),
        M::Punpckhbw => Sem::Interleave(Interleave::High, I8),
        M::Punpckhwd => Sem::Interleave(Interleave::High, I16),
        M::Punpckhdq | M::Unpckhps => Sem::Interleave(Interleave::High, I32),
        M::Punpckhqdq | M::Unpckhpd => Sem::Interleave(Interleave::High, I64),
        M::Pshufd => Sem::Shuffle4,
        M::Pshuflw => Sem::ShuffleHalf(0),
        M::Pshufhw => Sem::ShuffleHalf(4),
        M::Shufps => Sem::Shufps,
        M::Shufpd => Sem::Shufpd,
        M::Palignr => Sem::Palignr,
        M::Pshufb => Sem::Pshufb,
        M::Pmovmskb => Sem::Signs(I8),
        M::Movmskps => Sem::Signs(I32),
        M::Movmskpd => Sem::Signs(I64),
        M::Pinsrw => Sem::Pinsrw,
        M::Pextrw => Sem::Pextrw,
        M::Ptest => Sem::Ptest,
        _ => return by_float_mnemonic(raw),
    })
}

fn by_float_mnemonic(raw: &Instruction) -> Option<Sem> {
    use Mnemonic as M;
    use Type::{F32, F64, I32};
    Some(match raw.mnemonic() {
        M::Addss => Sem::FBin(Op::Fadd, F32),
        M::Addsd => Sem::FBin(Op::Fadd, F64),
        M::Subss => Sem::FBin(Op::Fsub, F32),
        M::Subsd => Sem::FBin(Op::Fsub, F64),
        M::Mulss => Sem::FBin(Op::Fmul, F32),
        M::Mulsd => Sem::FBin(Op::Fmul, F64),
        M::Divss => Sem::FBin(Op::Fdiv, F32),
        M::Divsd => Sem::FBin(Op::Fdiv, F64),
        M::Minss => Sem::FBin(Op::FminSse, F32),
        M::Minsd => Sem::FBin(Op::FminSse, F64),
        M::Maxss => Sem::FBin(Op::FmaxSse, F32),
        M::Maxsd => Sem::FBin(Op::FmaxSse, F64),
        M::Sqrtss => Sem::FSqrt(F32),
        M::Sqrtsd => Sem::FSqrt(F64),
        M::Ucomiss | M::Comiss => Sem::FCompare(F32),
        M::Ucomisd | M::Comisd => Sem::FCompare(F64),
        M::Cmpss => Sem::FMask(F32),
        M::Cmpsd => Sem::FMask(F64),
        M::Cvtsi2ss => Sem::IntToFloat(F32),
        M::Cvtsi2sd => Sem::IntToFloat(F64),
        M::Cvttss2si => Sem::FloatToInt(Op::Ftosi, F32),
        M::Cvttsd2si => Sem::FloatToInt(Op::Ftosi, F64),
        M::Cvtss2si => Sem::FloatToInt(Op::FtosiNear, F32),
        M::Cvtsd2si => Sem::FloatToInt(Op::FtosiNear, F64),
        M::Cvtss2sd => Sem::FConvert(Op::Fext, F32, F64),
        M::Cvtsd2ss => Sem::FConvert(Op::Fnarrow, F64, F32),
        M::Roundss => Sem::FRound(F32),
        M::Roundsd => Sem::FRound(F64),
        M::Addps => Sem::VFBin(Op::VFadd, F32),
        M::Addpd => Sem::VFBin(Op::VFadd, F64),
        M::Subps => Sem::VFBin(Op::VFsub, F32),
        M::Subpd => Sem::VFBin(Op::VFsub, F64),
        M::Mulps => Sem::VFBin(Op::VFmul, F32),
        M::Mulpd => Sem::VFBin(Op::VFmul, F64),
        M::Divps => Sem::VFBin(Op::VFdiv, F32),
        M::Divpd => Sem::VFBin(Op::VFdiv, F64),
        M::Minps => Sem::VFBin(Op::VFminSse, F32),
        M::Minpd => Sem::VFBin(Op::VFminSse, F64),
        M::Maxps => Sem::VFBin(Op::VFmaxSse, F32),
        M::Maxpd => Sem::VFBin(Op::VFmaxSse, F64),
        M::Sqrtps => Sem::VFUn(Op::VFsqrt, F32, 16),
        M::Sqrtpd => Sem::VFUn(Op::VFsqrt, F64, 16),
        M::Cvtdq2ps => Sem::VFUn(Op::VSitof, I32, 16),
        M::Cvtdq2pd => Sem::VFUn(Op::VSitod, I32, 8),
        M::Cvttps2dq => Sem::VFUn(Op::VFtosi, F32, 16),
        M::Cvtps2dq => Sem::VFUn(Op::VFtosiNear, F32, 16),
        M::Cvttpd2dq => Sem::VFUn(Op::VFtosi, F64, 16),
        M::Cvtpd2dq => Sem::VFUn(Op::VFtosiNear, F64, 16),
        M::Cvtps2pd => Sem::VFUn(Op::VFext, F32, 8),
        M::Cvtpd2ps => Sem::VFUn(Op::VFnarrow, F64, 16),
        M::Cmpps => Sem::VFMask(F32),
        M::Cmppd => Sem::VFMask(F64),
        _ => return None,
    })
}

/// The direction of a `round…` immediate without the MXCSR bit.
pub(super) fn round_mode(immediate: u8) -> Round {
    Round::from_code(immediate)
}
