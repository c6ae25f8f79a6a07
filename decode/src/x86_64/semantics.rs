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
use ir::types::{Flag, Round, Type};

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
    /// `adcx`, `adox`, by flag.
    AddCarry(Flag),
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
    /// `pinsr…` of a lane of this type.
    InsertLane(Type),
    /// `pextr…`.
    ExtractLane(Type),
    Ptest,
    Movddup,
    /// `vzeroupper`.
    ZeroUpper,
    /// `vpbroadcast…` of a lane of this type.
    Broadcast(Type),
    /// `vinserti128`.
    InsertHalf,
    /// `vextracti128`.
    ExtractHalf,
    /// `vpermq` by immediate.
    Permute4,
    /// `blendps` and the like: lanes of this type by immediate.
    Blend(Type),
    /// `blendvps` and the like: lanes of this type by mask.
    BlendByMask(Type),
    /// `movsldup` (0) and `movshdup` (1).
    DuplicateLanes(u8),
    /// `vpermilps`, `vpermilpd` by immediate.
    PermuteInPart(Type),
    /// `vperm2i128`.
    PermuteHalves,
    /// `vbroadcasti128`.
    BroadcastHalf,
    /// `insertps`.
    InsertFloat,
    /// `vzeroall`.
    ZeroAll,
    /// `pmovsx…` (true) and `pmovzx…`, from and to lanes of these types.
    Widen(bool, Type, Type),
    /// `phaddw` and the like.
    Horizontal(Op, Type),
    /// `psign…`.
    WithSign(Type),
    /// `pmaddubsw`.
    MultiplyAddBytes,
    /// `pmulhrsw`.
    MultiplyRound,
    /// `vtestps`, `vtestpd`.
    TestSigns(Type),

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
    /// Packed with one source: square roots and conversions. The operand type of the operation, and whether it
    /// reads only the low half of the source.
    VFUn(Op, Type, bool),
    /// `cmpps`, `cmppd` with predicate.
    VFMask(Type),
    /// `haddps` and the like.
    VFHorizontal(Op, Type),
    /// `addsubps`, `addsubpd`.
    AddSub(Type),
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
                | Sem::VFHorizontal(..)
                | Sem::AddSub(_)
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
        _ => false,
    }
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
        M::Adcx => Sem::AddCarry(Flag::C),
        M::Adox => Sem::AddCarry(Flag::O),
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
    if !matches!(raw.encoding(), EncodingKind::Legacy | EncodingKind::VEX) {
        return None;
    }
    Some(match raw.mnemonic() {
        M::Movaps
        | M::Movups
        | M::Movapd
        | M::Movupd
        | M::Movdqa
        | M::Movdqu
        | M::Lddqu
        | M::Vmovaps
        | M::Vmovups
        | M::Vmovapd
        | M::Vmovupd
        | M::Vmovdqa
        | M::Vmovdqu
        | M::Vlddqu => Sem::VMov,
        M::Movss | M::Vmovss => Sem::ScalarMov(F32),
        M::Movsd | M::Vmovsd => Sem::ScalarMov(F64),
        M::Movd | M::Movq | M::Vmovd | M::Vmovq => Sem::MovInt,
        M::Movlps | M::Movlpd | M::Vmovlps | M::Vmovlpd => Sem::MovHalf(0),
        M::Movhps | M::Movhpd | M::Vmovhps | M::Vmovhpd => Sem::MovHalf(64),
        M::Movhlps | M::Vmovhlps => Sem::MovCross(true),
        M::Movlhps | M::Vmovlhps => Sem::MovCross(false),
        M::Movddup | M::Vmovddup => Sem::Movddup,
        M::Andps | M::Andpd | M::Pand | M::Vandps | M::Vandpd | M::Vpand => Sem::VBits(Op::And),
        M::Andnps | M::Andnpd | M::Pandn | M::Vandnps | M::Vandnpd | M::Vpandn => Sem::VBits(Op::Andn),
        M::Orps | M::Orpd | M::Por | M::Vorps | M::Vorpd | M::Vpor => Sem::VBits(Op::Or),
        M::Xorps | M::Xorpd | M::Pxor | M::Vxorps | M::Vxorpd | M::Vpxor => Sem::VBits(Op::Xor),
        M::Paddb | M::Vpaddb => Sem::VBin(Op::VAdd, I8),
        M::Paddw | M::Vpaddw => Sem::VBin(Op::VAdd, I16),
        M::Paddd | M::Vpaddd => Sem::VBin(Op::VAdd, I32),
        M::Paddq | M::Vpaddq => Sem::VBin(Op::VAdd, I64),
        M::Psubb | M::Vpsubb => Sem::VBin(Op::VSub, I8),
        M::Psubw | M::Vpsubw => Sem::VBin(Op::VSub, I16),
        M::Psubd | M::Vpsubd => Sem::VBin(Op::VSub, I32),
        M::Psubq | M::Vpsubq => Sem::VBin(Op::VSub, I64),
        M::Paddusb | M::Vpaddusb => Sem::VBin(Op::VUadds, I8),
        M::Paddusw | M::Vpaddusw => Sem::VBin(Op::VUadds, I16),
        M::Paddsb | M::Vpaddsb => Sem::VBin(Op::VSadds, I8),
        M::Paddsw | M::Vpaddsw => Sem::VBin(Op::VSadds, I16),
        M::Psubusb | M::Vpsubusb => Sem::VBin(Op::VUsubs, I8),
        M::Psubusw | M::Vpsubusw => Sem::VBin(Op::VUsubs, I16),
        M::Psubsb | M::Vpsubsb => Sem::VBin(Op::VSsubs, I8),
        M::Psubsw | M::Vpsubsw => Sem::VBin(Op::VSsubs, I16),
        M::Pmullw | M::Vpmullw => Sem::VBin(Op::VMul, I16),
        M::Pmulld | M::Vpmulld => Sem::VBin(Op::VMul, I32),
        M::Pmulhw | M::Vpmulhw => Sem::VBin(Op::VSmulh, I16),
        M::Pmulhuw | M::Vpmulhuw => Sem::VBin(Op::VUmulh, I16),
        M::Pmuludq | M::Vpmuludq => Sem::VBin(Op::VUmulw, I32),
        M::Pmuldq | M::Vpmuldq => Sem::VBin(Op::VSmulw, I32),
        M::Pmaddwd | M::Vpmaddwd => Sem::VBin(Op::VMadd, I16),
        M::Psadbw | M::Vpsadbw => Sem::VBin(Op::VSad, I8),
        M::Pavgb | M::Vpavgb => Sem::VBin(Op::VUavg, I8),
        M::Pavgw | M::Vpavgw => Sem::VBin(Op::VUavg, I16),
        M::Pminub | M::Vpminub => Sem::VBin(Op::VUmin, I8),
        M::Pminuw | M::Vpminuw => Sem::VBin(Op::VUmin, I16),
        M::Pminud | M::Vpminud => Sem::VBin(Op::VUmin, I32),
        M::Pmaxub | M::Vpmaxub => Sem::VBin(Op::VUmax, I8),
        M::Pmaxuw | M::Vpmaxuw => Sem::VBin(Op::VUmax, I16),
        M::Pmaxud | M::Vpmaxud => Sem::VBin(Op::VUmax, I32),
        M::Pminsb | M::Vpminsb => Sem::VBin(Op::VSmin, I8),
        M::Pminsw | M::Vpminsw => Sem::VBin(Op::VSmin, I16),
        M::Pminsd | M::Vpminsd => Sem::VBin(Op::VSmin, I32),
        M::Pmaxsb | M::Vpmaxsb => Sem::VBin(Op::VSmax, I8),
        M::Pmaxsw | M::Vpmaxsw => Sem::VBin(Op::VSmax, I16),
        M::Pmaxsd | M::Vpmaxsd => Sem::VBin(Op::VSmax, I32),
        M::Pcmpeqb | M::Vpcmpeqb => Sem::VBin(Op::VEq, I8),
        M::Pcmpeqw | M::Vpcmpeqw => Sem::VBin(Op::VEq, I16),
        M::Pcmpeqd | M::Vpcmpeqd => Sem::VBin(Op::VEq, I32),
        M::Pcmpeqq | M::Vpcmpeqq => Sem::VBin(Op::VEq, I64),
        M::Pcmpgtb | M::Vpcmpgtb => Sem::VBin(Op::VSgt, I8),
        M::Pcmpgtw | M::Vpcmpgtw => Sem::VBin(Op::VSgt, I16),
        M::Pcmpgtd | M::Vpcmpgtd => Sem::VBin(Op::VSgt, I32),
        M::Pcmpgtq | M::Vpcmpgtq => Sem::VBin(Op::VSgt, I64),
        M::Packsswb | M::Vpacksswb => Sem::VBin(Op::VSpack, I16),
        M::Packssdw | M::Vpackssdw => Sem::VBin(Op::VSpack, I32),
        M::Packuswb | M::Vpackuswb => Sem::VBin(Op::VUpack, I16),
        M::Packusdw | M::Vpackusdw => Sem::VBin(Op::VUpack, I32),
        M::Pabsb | M::Vpabsb => Sem::VUn(Op::VAbs, I8),
        M::Pabsw | M::Vpabsw => Sem::VUn(Op::VAbs, I16),
        M::Pabsd | M::Vpabsd => Sem::VUn(Op::VAbs, I32),
        M::Psllw | M::Vpsllw => Sem::VShift(Op::VShl, I16),
        M::Pslld | M::Vpslld => Sem::VShift(Op::VShl, I32),
        M::Psllq | M::Vpsllq => Sem::VShift(Op::VShl, I64),
        M::Psrlw | M::Vpsrlw => Sem::VShift(Op::VShr, I16),
        M::Psrld | M::Vpsrld => Sem::VShift(Op::VShr, I32),
        M::Psrlq | M::Vpsrlq => Sem::VShift(Op::VShr, I64),
        M::Psraw | M::Vpsraw => Sem::VShift(Op::VSar, I16),
        M::Psrad | M::Vpsrad => Sem::VShift(Op::VSar, I32),
        M::Pslldq | M::Vpslldq => Sem::VShiftBytes(true),
        M::Psrldq | M::Vpsrldq => Sem::VShiftBytes(false),
        M::Punpcklbw | M::Vpunpcklbw => Sem::Interleave(Interleave::Low, I8),
        M::Punpcklwd | M::Vpunpcklwd => Sem::Interleave(Interleave::Low, I16),
        M::Punpckldq | M::Unpcklps | M::Vpunpckldq | M::Vunpcklps => Sem::Interleave(Interleave::Low, I32),
        M::Punpcklqdq | M::Unpcklpd | M::Vpunpcklqdq | M::Vunpcklpd => Sem::Interleave(Interleave::Low, I64),
        M::Punpckhbw | M::Vpunpckhbw => Sem::Interleave(Interleave::High, I8),
        M::Punpckhwd | M::Vpunpckhwd => Sem::Interleave(Interleave::High, I16),
        M::Punpckhdq | M::Unpckhps | M::Vpunpckhdq | M::Vunpckhps => Sem::Interleave(Interleave::High, I32),
        M::Punpckhqdq | M::Unpckhpd | M::Vpunpckhqdq | M::Vunpckhpd => Sem::Interleave(Interleave::High, I64),
        M::Pshufd | M::Vpshufd => Sem::Shuffle4,
        M::Pshuflw | M::Vpshuflw => Sem::ShuffleHalf(0),
        M::Pshufhw | M::Vpshufhw => Sem::ShuffleHalf(4),
        M::Shufps | M::Vshufps => Sem::Shufps,
        M::Shufpd | M::Vshufpd => Sem::Shufpd,
        M::Palignr | M::Vpalignr => Sem::Palignr,
        M::Pshufb | M::Vpshufb => Sem::Pshufb,
        M::Pmovmskb | M::Vpmovmskb => Sem::Signs(I8),
        M::Movmskps | M::Vmovmskps => Sem::Signs(I32),
        M::Movmskpd | M::Vmovmskpd => Sem::Signs(I64),
        M::Pinsrb | M::Vpinsrb => Sem::InsertLane(I8),
        M::Pinsrw | M::Vpinsrw => Sem::InsertLane(I16),
        M::Pinsrd | M::Vpinsrd => Sem::InsertLane(I32),
        M::Pinsrq | M::Vpinsrq => Sem::InsertLane(I64),
        M::Pextrb | M::Vpextrb => Sem::ExtractLane(I8),
        M::Pextrw | M::Vpextrw => Sem::ExtractLane(I16),
        M::Pextrd | M::Vpextrd => Sem::ExtractLane(I32),
        M::Pextrq | M::Vpextrq => Sem::ExtractLane(I64),
        M::Ptest | M::Vptest => Sem::Ptest,
        M::Vzeroupper => Sem::ZeroUpper,
        M::Vpbroadcastb => Sem::Broadcast(I8),
        M::Vpbroadcastw => Sem::Broadcast(I16),
        M::Vpbroadcastd | M::Vbroadcastss => Sem::Broadcast(I32),
        M::Vpbroadcastq | M::Vbroadcastsd => Sem::Broadcast(I64),
        M::Vinserti128 | M::Vinsertf128 => Sem::InsertHalf,
        M::Vextracti128 | M::Vextractf128 => Sem::ExtractHalf,
        M::Blendps | M::Vblendps | M::Vpblendd => Sem::Blend(I32),
        M::Blendpd | M::Vblendpd => Sem::Blend(I64),
        M::Pblendw | M::Vpblendw => Sem::Blend(I16),
        M::Blendvps | M::Vblendvps => Sem::BlendByMask(I32),
        M::Blendvpd | M::Vblendvpd => Sem::BlendByMask(I64),
        M::Pblendvb | M::Vpblendvb => Sem::BlendByMask(I8),
        M::Movsldup | M::Vmovsldup => Sem::DuplicateLanes(0),
        M::Movshdup | M::Vmovshdup => Sem::DuplicateLanes(1),
        M::Vpermilps if raw.op2_kind() == OpKind::Immediate8 => Sem::PermuteInPart(I32),
        M::Vpermilpd if raw.op2_kind() == OpKind::Immediate8 => Sem::PermuteInPart(I64),
        M::Vperm2f128 | M::Vperm2i128 => Sem::PermuteHalves,
        M::Vbroadcastf128 | M::Vbroadcasti128 => Sem::BroadcastHalf,
        M::Insertps | M::Vinsertps => Sem::InsertFloat,
        M::Extractps | M::Vextractps => Sem::ExtractLane(I32),
        M::Vzeroall => Sem::ZeroAll,
        M::Movntdqa | M::Vmovntdqa => Sem::VMov,
        M::Pmovzxbw | M::Vpmovzxbw => Sem::Widen(false, I8, I16),
        M::Pmovzxbd | M::Vpmovzxbd => Sem::Widen(false, I8, I32),
        M::Pmovzxbq | M::Vpmovzxbq => Sem::Widen(false, I8, I64),
        M::Pmovzxwd | M::Vpmovzxwd => Sem::Widen(false, I16, I32),
        M::Pmovzxwq | M::Vpmovzxwq => Sem::Widen(false, I16, I64),
        M::Pmovzxdq | M::Vpmovzxdq => Sem::Widen(false, I32, I64),
        M::Pmovsxbw | M::Vpmovsxbw => Sem::Widen(true, I8, I16),
        M::Pmovsxbd | M::Vpmovsxbd => Sem::Widen(true, I8, I32),
        M::Pmovsxbq | M::Vpmovsxbq => Sem::Widen(true, I8, I64),
        M::Pmovsxwd | M::Vpmovsxwd => Sem::Widen(true, I16, I32),
        M::Pmovsxwq | M::Vpmovsxwq => Sem::Widen(true, I16, I64),
        M::Pmovsxdq | M::Vpmovsxdq => Sem::Widen(true, I32, I64),
        M::Phaddw | M::Vphaddw => Sem::Horizontal(Op::VAdd, I16),
        M::Phaddd | M::Vphaddd => Sem::Horizontal(Op::VAdd, I32),
        M::Phaddsw | M::Vphaddsw => Sem::Horizontal(Op::VSadds, I16),
        M::Phsubw | M::Vphsubw => Sem::Horizontal(Op::VSub, I16),
        M::Phsubd | M::Vphsubd => Sem::Horizontal(Op::VSub, I32),
        M::Phsubsw | M::Vphsubsw => Sem::Horizontal(Op::VSsubs, I16),
        M::Psignb | M::Vpsignb => Sem::WithSign(I8),
        M::Psignw | M::Vpsignw => Sem::WithSign(I16),
        M::Psignd | M::Vpsignd => Sem::WithSign(I32),
        M::Pmaddubsw | M::Vpmaddubsw => Sem::MultiplyAddBytes,
        M::Pmulhrsw | M::Vpmulhrsw => Sem::MultiplyRound,
        M::Vtestps => Sem::TestSigns(I32),
        M::Vtestpd => Sem::TestSigns(I64),
        M::Vpermq | M::Vpermpd if raw.op2_kind() == OpKind::Immediate8 => Sem::Permute4,
        _ => return by_float_mnemonic(raw),
    })
}

fn by_float_mnemonic(raw: &Instruction) -> Option<Sem> {
    use Mnemonic as M;
    use Type::{F32, F64, I32};
    Some(match raw.mnemonic() {
        M::Addss | M::Vaddss => Sem::FBin(Op::Fadd, F32),
        M::Addsd | M::Vaddsd => Sem::FBin(Op::Fadd, F64),
        M::Subss | M::Vsubss => Sem::FBin(Op::Fsub, F32),
        M::Subsd | M::Vsubsd => Sem::FBin(Op::Fsub, F64),
        M::Mulss | M::Vmulss => Sem::FBin(Op::Fmul, F32),
        M::Mulsd | M::Vmulsd => Sem::FBin(Op::Fmul, F64),
        M::Divss | M::Vdivss => Sem::FBin(Op::Fdiv, F32),
        M::Divsd | M::Vdivsd => Sem::FBin(Op::Fdiv, F64),
        M::Minss | M::Vminss => Sem::FBin(Op::FminSse, F32),
        M::Minsd | M::Vminsd => Sem::FBin(Op::FminSse, F64),
        M::Maxss | M::Vmaxss => Sem::FBin(Op::FmaxSse, F32),
        M::Maxsd | M::Vmaxsd => Sem::FBin(Op::FmaxSse, F64),
        M::Sqrtss | M::Vsqrtss => Sem::FSqrt(F32),
        M::Sqrtsd | M::Vsqrtsd => Sem::FSqrt(F64),
        M::Ucomiss | M::Comiss | M::Vucomiss | M::Vcomiss => Sem::FCompare(F32),
        M::Ucomisd | M::Comisd | M::Vucomisd | M::Vcomisd => Sem::FCompare(F64),
        M::Cmpss | M::Vcmpss => Sem::FMask(F32),
        M::Cmpsd | M::Vcmpsd => Sem::FMask(F64),
        M::Cvtsi2ss | M::Vcvtsi2ss => Sem::IntToFloat(F32),
        M::Cvtsi2sd | M::Vcvtsi2sd => Sem::IntToFloat(F64),
        M::Cvttss2si | M::Vcvttss2si => Sem::FloatToInt(Op::Ftosi, F32),
        M::Cvttsd2si | M::Vcvttsd2si => Sem::FloatToInt(Op::Ftosi, F64),
        M::Cvtss2si | M::Vcvtss2si => Sem::FloatToInt(Op::FtosiNear, F32),
        M::Cvtsd2si | M::Vcvtsd2si => Sem::FloatToInt(Op::FtosiNear, F64),
        M::Cvtss2sd | M::Vcvtss2sd => Sem::FConvert(Op::Fext, F32, F64),
        M::Cvtsd2ss | M::Vcvtsd2ss => Sem::FConvert(Op::Fnarrow, F64, F32),
        M::Roundss | M::Vroundss => Sem::FRound(F32),
        M::Roundsd | M::Vroundsd => Sem::FRound(F64),
        M::Addps | M::Vaddps => Sem::VFBin(Op::VFadd, F32),
        M::Addpd | M::Vaddpd => Sem::VFBin(Op::VFadd, F64),
        M::Subps | M::Vsubps => Sem::VFBin(Op::VFsub, F32),
        M::Subpd | M::Vsubpd => Sem::VFBin(Op::VFsub, F64),
        M::Mulps | M::Vmulps => Sem::VFBin(Op::VFmul, F32),
        M::Mulpd | M::Vmulpd => Sem::VFBin(Op::VFmul, F64),
        M::Divps | M::Vdivps => Sem::VFBin(Op::VFdiv, F32),
        M::Divpd | M::Vdivpd => Sem::VFBin(Op::VFdiv, F64),
        M::Minps | M::Vminps => Sem::VFBin(Op::VFminSse, F32),
        M::Minpd | M::Vminpd => Sem::VFBin(Op::VFminSse, F64),
        M::Maxps | M::Vmaxps => Sem::VFBin(Op::VFmaxSse, F32),
        M::Maxpd | M::Vmaxpd => Sem::VFBin(Op::VFmaxSse, F64),
        M::Sqrtps | M::Vsqrtps => Sem::VFUn(Op::VFsqrt, F32, false),
        M::Sqrtpd | M::Vsqrtpd => Sem::VFUn(Op::VFsqrt, F64, false),
        M::Cvtdq2ps | M::Vcvtdq2ps => Sem::VFUn(Op::VSitof, I32, false),
        M::Cvtdq2pd | M::Vcvtdq2pd => Sem::VFUn(Op::VSitod, I32, true),
        M::Cvttps2dq | M::Vcvttps2dq => Sem::VFUn(Op::VFtosi, F32, false),
        M::Cvtps2dq | M::Vcvtps2dq => Sem::VFUn(Op::VFtosiNear, F32, false),
        M::Cvttpd2dq | M::Vcvttpd2dq => Sem::VFUn(Op::VFtosi, F64, false),
        M::Cvtpd2dq | M::Vcvtpd2dq => Sem::VFUn(Op::VFtosiNear, F64, false),
        M::Cvtps2pd | M::Vcvtps2pd => Sem::VFUn(Op::VFext, F32, true),
        M::Cvtpd2ps | M::Vcvtpd2ps => Sem::VFUn(Op::VFnarrow, F64, false),
        M::Haddps | M::Vhaddps => Sem::VFHorizontal(Op::VFadd, F32),
        M::Haddpd | M::Vhaddpd => Sem::VFHorizontal(Op::VFadd, F64),
        M::Hsubps | M::Vhsubps => Sem::VFHorizontal(Op::VFsub, F32),
        M::Hsubpd | M::Vhsubpd => Sem::VFHorizontal(Op::VFsub, F64),
        M::Addsubps | M::Vaddsubps => Sem::AddSub(F32),
        M::Addsubpd | M::Vaddsubpd => Sem::AddSub(F64),
        M::Cmpps | M::Vcmpps => Sem::VFMask(F32),
        M::Cmppd | M::Vcmppd => Sem::VFMask(F64),
        _ => return None,
    })
}

/// The direction of a `round…` immediate; with the MXCSR bit, that of the default control word. The bit that suppresses
/// the inexact exception changes nothing that is modelled.
pub(super) fn round_mode(immediate: u8) -> Round {
    Round::from_code(if immediate & 4 != 0 { 0 } else { immediate & 3 })
}
