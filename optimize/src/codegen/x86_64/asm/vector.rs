//! SSE to SSE4.2, AVX and AVX2: one row per opcode, and the methods that take rows.
//!
//! A row's name is the legacy mnemonic (AVX's own begin with `V`); its [`Shape`] says which operands it has. The same row
//! makes the legacy form, in which the destination is the first source too and the upper part of a wide register
//! stays as it is, and the VEX form, with a destination of its own, which clears the register above its 128 or
//! 256 bits. As a rule a fragment keeps to one of the two: changing between them with dirty upper parts is slow.
//!
//! ```
//! use optimize::codegen::x86_64::asm::{Asm, Xmm, vector::{ADDPD, L128}};
//! let mut asm = Asm::new(0);
//! asm.sse(ADDPD, Xmm(1), Xmm(2)); // addpd xmm1, xmm2
//! asm.avx(ADDPD, L128, Xmm(1), Xmm(2), Xmm(3)); // vaddpd xmm1, xmm2, xmm3
//! ```

use super::operand::Place;
use super::{Asm, Legacy, Map, Pp, Reg, Rm, Width, XRm, Xmm};

/// Which operands a row has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `dst = a op b`; legacy: `dst = dst op b`.
    Bin,
    /// `dst = op b`
    Un,
    /// `b = dst`: the register goes to the place.
    Store,
    /// [`Shape::Bin`] with an immediate.
    BinImm,
    /// [`Shape::Un`] with an immediate.
    UnImm,
    /// [`Shape::Store`] with an immediate.
    StoreImm,
}

/// One opcode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V {
    pp: Pp,
    map: Map,
    opcode: u8,
    shape: Shape,
    flags: u16,
}

/// There is a form of 256 bits.
const Y: u16 = 1;
/// VEX.W is 1.
const W: u16 = 2;
/// There is no legacy form.
const VEX_ONLY: u16 = 4;
/// There is no form of 128 bits.
const ONLY_Y: u16 = 8;
/// Only between registers.
const REG_ONLY: u16 = 16;
/// Only with memory.
const MEM_ONLY: u16 = 32;
/// The last operand has 128 bits in all forms.
const LAST_X: u16 = 64;
/// The destination has 128 bits in all forms.
const NARROW: u16 = 128;
/// EVEX.W is 1.
const E1: u16 = 256;
/// There is no EVEX form, or it means something else.
const NO_E: u16 = 512;
/// A memory operand is shorter than the vector, or not of one length.
const PART: u16 = 1024;
/// There is nothing but the EVEX form.
const E_ONLY: u16 = 2048;

/// Vector length of a VEX instruction: 128 bits, or a scalar.
pub const L128: Length = Length(0);
/// Vector length of a VEX instruction: 256 bits.
pub const L256: Length = Length(1);

/// See [`L128`], [`L256`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Length(pub u8);

macro_rules! rows {
    ($($shape:ident: $name:ident $pp:ident $map:ident $opcode:literal, $flags:expr;)*) => {
        $(
            #[doc = concat!("The instruction of this name; see [`Shape::", stringify!($shape), "`].")]
            pub const $name: V =
                V { pp: Pp::$pp, map: Map::$map, opcode: $opcode, shape: Shape::$shape, flags: $flags };
        )*

        /// Every row, with its name.
        pub const ALL: &[(&str, V)] = &[$((stringify!($name), $name),)*];
    };
}

#[rustfmt::skip]
rows! {
    // dst = a op b
    Bin: ADDPS None M0f 0x58, Y;
    Bin: ADDPD P66 M0f 0x58, Y | E1;
    Bin: ADDSS PF3 M0f 0x58, PART;
    Bin: ADDSD PF2 M0f 0x58, E1 | PART;
    Bin: MULPS None M0f 0x59, Y;
    Bin: MULPD P66 M0f 0x59, Y | E1;
    Bin: MULSS PF3 M0f 0x59, PART;
    Bin: MULSD PF2 M0f 0x59, E1 | PART;
    Bin: SUBPS None M0f 0x5c, Y;
    Bin: SUBPD P66 M0f 0x5c, Y | E1;
    Bin: SUBSS PF3 M0f 0x5c, PART;
    Bin: SUBSD PF2 M0f 0x5c, E1 | PART;
    Bin: MINPS None M0f 0x5d, Y;
    Bin: MINPD P66 M0f 0x5d, Y | E1;
    Bin: MINSS PF3 M0f 0x5d, PART;
    Bin: MINSD PF2 M0f 0x5d, E1 | PART;
    Bin: DIVPS None M0f 0x5e, Y;
    Bin: DIVPD P66 M0f 0x5e, Y | E1;
    Bin: DIVSS PF3 M0f 0x5e, PART;
    Bin: DIVSD PF2 M0f 0x5e, E1 | PART;
    Bin: MAXPS None M0f 0x5f, Y;
    Bin: MAXPD P66 M0f 0x5f, Y | E1;
    Bin: MAXSS PF3 M0f 0x5f, PART;
    Bin: MAXSD PF2 M0f 0x5f, E1 | PART;
    Bin: SQRTSS PF3 M0f 0x51, PART;
    Bin: SQRTSD PF2 M0f 0x51, E1 | PART;
    Bin: ANDPS None M0f 0x54, Y;
    Bin: ANDPD P66 M0f 0x54, Y | E1;
    Bin: ANDNPS None M0f 0x55, Y;
    Bin: ANDNPD P66 M0f 0x55, Y | E1;
    Bin: ORPS None M0f 0x56, Y;
    Bin: ORPD P66 M0f 0x56, Y | E1;
    Bin: XORPS None M0f 0x57, Y;
    Bin: XORPD P66 M0f 0x57, Y | E1;
    Bin: UNPCKLPS None M0f 0x14, Y;
    Bin: UNPCKLPD P66 M0f 0x14, Y | E1;
    Bin: UNPCKHPS None M0f 0x15, Y;
    Bin: UNPCKHPD P66 M0f 0x15, Y | E1;
    Bin: CVTSS2SD PF3 M0f 0x5a, PART;
    Bin: CVTSD2SS PF2 M0f 0x5a, E1 | PART;
    Bin: PUNPCKLBW P66 M0f 0x60, Y;
    Bin: PUNPCKLWD P66 M0f 0x61, Y;
    Bin: PUNPCKLDQ P66 M0f 0x62, Y;
    Bin: PACKSSWB P66 M0f 0x63, Y;
    Bin: PCMPGTB P66 M0f 0x64, Y | NO_E;
    Bin: PCMPGTW P66 M0f 0x65, Y | NO_E;
    Bin: PCMPGTD P66 M0f 0x66, Y | NO_E;
    Bin: PACKUSWB P66 M0f 0x67, Y;
    Bin: PUNPCKHBW P66 M0f 0x68, Y;
    Bin: PUNPCKHWD P66 M0f 0x69, Y;
    Bin: PUNPCKHDQ P66 M0f 0x6a, Y;
    Bin: PACKSSDW P66 M0f 0x6b, Y;
    Bin: PUNPCKLQDQ P66 M0f 0x6c, Y | E1;
    Bin: PUNPCKHQDQ P66 M0f 0x6d, Y | E1;
    Bin: PCMPEQB P66 M0f 0x74, Y | NO_E;
    Bin: PCMPEQW P66 M0f 0x75, Y | NO_E;
    Bin: PCMPEQD P66 M0f 0x76, Y | NO_E;
    Bin: PADDQ P66 M0f 0xd4, Y | E1;
    Bin: PMULLW P66 M0f 0xd5, Y;
    Bin: PSUBUSB P66 M0f 0xd8, Y;
    Bin: PSUBUSW P66 M0f 0xd9, Y;
    Bin: PMINUB P66 M0f 0xda, Y;
    Bin: PAND P66 M0f 0xdb, Y;
    Bin: PADDUSB P66 M0f 0xdc, Y;
    Bin: PADDUSW P66 M0f 0xdd, Y;
    Bin: PMAXUB P66 M0f 0xde, Y;
    Bin: PANDN P66 M0f 0xdf, Y;
    Bin: PAVGB P66 M0f 0xe0, Y;
    Bin: PAVGW P66 M0f 0xe3, Y;
    Bin: PMULHUW P66 M0f 0xe4, Y;
    Bin: PMULHW P66 M0f 0xe5, Y;
    Bin: PSUBSB P66 M0f 0xe8, Y;
    Bin: PSUBSW P66 M0f 0xe9, Y;
    Bin: PMINSW P66 M0f 0xea, Y;
    Bin: POR P66 M0f 0xeb, Y;
    Bin: PADDSB P66 M0f 0xec, Y;
    Bin: PADDSW P66 M0f 0xed, Y;
    Bin: PMAXSW P66 M0f 0xee, Y;
    Bin: PXOR P66 M0f 0xef, Y;
    Bin: PMULUDQ P66 M0f 0xf4, Y | E1;
    Bin: PMADDWD P66 M0f 0xf5, Y;
    Bin: PSADBW P66 M0f 0xf6, Y;
    Bin: PSUBB P66 M0f 0xf8, Y;
    Bin: PSUBW P66 M0f 0xf9, Y;
    Bin: PSUBD P66 M0f 0xfa, Y;
    Bin: PSUBQ P66 M0f 0xfb, Y | E1;
    Bin: PADDB P66 M0f 0xfc, Y;
    Bin: PADDW P66 M0f 0xfd, Y;
    Bin: PADDD P66 M0f 0xfe, Y;
    Bin: PSHUFB P66 M0f38 0x00, Y;
    Bin: PMULDQ P66 M0f38 0x28, Y | E1;
    Bin: PCMPEQQ P66 M0f38 0x29, Y | E1 | NO_E;
    Bin: PACKUSDW P66 M0f38 0x2b, Y;
    Bin: PCMPGTQ P66 M0f38 0x37, Y | E1 | NO_E;
    Bin: PMINSB P66 M0f38 0x38, Y;
    Bin: PMINSD P66 M0f38 0x39, Y;
    Bin: PMINUW P66 M0f38 0x3a, Y;
    Bin: PMINUD P66 M0f38 0x3b, Y;
    Bin: PMAXSB P66 M0f38 0x3c, Y;
    Bin: PMAXSD P66 M0f38 0x3d, Y;
    Bin: PMAXUW P66 M0f38 0x3e, Y;
    Bin: PMAXUD P66 M0f38 0x3f, Y;
    Bin: PMULLD P66 M0f38 0x40, Y;
    Bin: VPMULLQ P66 M0f38 0x40, Y | E1 | VEX_ONLY | E_ONLY;
    Bin: PMADDUBSW P66 M0f38 0x04, Y;
    Bin: PMULHRSW P66 M0f38 0x0b, Y;
    Bin: VPERMD P66 M0f38 0x36, Y | ONLY_Y | VEX_ONLY;
    Bin: VPERMPS P66 M0f38 0x16, Y | ONLY_Y | VEX_ONLY;
    Bin: VPSLLVD P66 M0f38 0x47, Y | VEX_ONLY;
    Bin: VPSLLVQ P66 M0f38 0x47, Y | W | E1 | VEX_ONLY;
    Bin: VPSRLVD P66 M0f38 0x45, Y | VEX_ONLY;
    Bin: VPSRLVQ P66 M0f38 0x45, Y | W | E1 | VEX_ONLY;
    Bin: VPSRAVD P66 M0f38 0x46, Y | VEX_ONLY;
    Bin: VFMADD231PS P66 M0f38 0xb8, Y | VEX_ONLY | NO_E;
    Bin: VFMADD231PD P66 M0f38 0xb8, Y | W | VEX_ONLY | NO_E;
    Bin: VFMADD231SS P66 M0f38 0xb9, VEX_ONLY | NO_E | PART;
    Bin: VFMADD231SD P66 M0f38 0xb9, W | VEX_ONLY | NO_E | PART;
    Bin: VPERMILPS P66 M0f38 0x0c, Y | VEX_ONLY;
    Bin: VPERMILPD P66 M0f38 0x0d, Y | E1 | VEX_ONLY;
    Bin: MOVHLPS None M0f 0x12, REG_ONLY | NO_E;
    Bin: MOVLHPS None M0f 0x16, REG_ONLY | NO_E;
    Bin: MOVSS PF3 M0f 0x10, REG_ONLY;
    Bin: MOVSD PF2 M0f 0x10, REG_ONLY | E1;
    Bin: MOVLPS None M0f 0x12, MEM_ONLY | NO_E;
    Bin: MOVHPS None M0f 0x16, MEM_ONLY | NO_E;
    Bin: PSRLW P66 M0f 0xd1, Y | LAST_X | PART;
    Bin: PSRLD P66 M0f 0xd2, Y | LAST_X | PART;
    Bin: PSRLQ P66 M0f 0xd3, Y | LAST_X | E1 | PART;
    Bin: PSRAW P66 M0f 0xe1, Y | LAST_X | PART;
    Bin: PSRAD P66 M0f 0xe2, Y | LAST_X | PART;
    Bin: PSLLW P66 M0f 0xf1, Y | LAST_X | PART;
    Bin: PSLLD P66 M0f 0xf2, Y | LAST_X | PART;
    Bin: PSLLQ P66 M0f 0xf3, Y | LAST_X | E1 | PART;
    // dst = op b
    Un: SQRTPS None M0f 0x51, Y;
    Un: SQRTPD P66 M0f 0x51, Y | E1;
    Un: MOVUPS None M0f 0x10, Y;
    Un: MOVUPD P66 M0f 0x10, Y | E1;
    Un: MOVAPS None M0f 0x28, Y;
    Un: MOVAPD P66 M0f 0x28, Y | E1;
    Un: MOVDQU PF3 M0f 0x6f, Y;
    Un: MOVDQA P66 M0f 0x6f, Y;
    Un: MOVQ PF3 M0f 0x7e, E1 | PART;
    Un: MOVDDUP PF2 M0f 0x12, Y | E1 | PART;
    Un: MOVSLDUP PF3 M0f 0x12, Y;
    Un: MOVSHDUP PF3 M0f 0x16, Y;
    Un: MOVSS_LOAD PF3 M0f 0x10, MEM_ONLY | PART;
    Un: MOVSD_LOAD PF2 M0f 0x10, MEM_ONLY | E1 | PART;
    Un: UCOMISS None M0f 0x2e, PART;
    Un: UCOMISD P66 M0f 0x2e, E1 | PART;
    Un: CVTPS2PD None M0f 0x5a, Y | PART;
    Un: CVTPD2PS P66 M0f 0x5a, Y | E1 | NARROW;
    Un: CVTDQ2PS None M0f 0x5b, Y;
    Un: CVTPS2DQ P66 M0f 0x5b, Y;
    Un: CVTTPS2DQ PF3 M0f 0x5b, Y;
    Un: CVTDQ2PD PF3 M0f 0xe6, Y | PART;
    Un: CVTPD2DQ PF2 M0f 0xe6, Y | E1 | NARROW;
    Un: CVTTPD2DQ P66 M0f 0xe6, Y | E1 | NARROW;
    Un: PTEST P66 M0f38 0x17, Y | NO_E;
    Un: PABSB P66 M0f38 0x1c, Y;
    Un: PABSW P66 M0f38 0x1d, Y;
    Un: PABSD P66 M0f38 0x1e, Y;
    Un: PMOVSXBW P66 M0f38 0x20, Y | PART;
    Un: PMOVSXBD P66 M0f38 0x21, Y | PART;
    Un: PMOVSXBQ P66 M0f38 0x22, Y | PART;
    Un: PMOVSXWD P66 M0f38 0x23, Y | PART;
    Un: PMOVSXWQ P66 M0f38 0x24, Y | PART;
    Un: PMOVSXDQ P66 M0f38 0x25, Y | PART;
    Un: PMOVZXBW P66 M0f38 0x30, Y | PART;
    Un: PMOVZXBD P66 M0f38 0x31, Y | PART;
    Un: PMOVZXBQ P66 M0f38 0x32, Y | PART;
    Un: PMOVZXWD P66 M0f38 0x33, Y | PART;
    Un: PMOVZXWQ P66 M0f38 0x34, Y | PART;
    Un: PMOVZXDQ P66 M0f38 0x35, Y | PART;
    Un: VBROADCASTSS P66 M0f38 0x18, Y | VEX_ONLY | PART;
    Un: VBROADCASTSD P66 M0f38 0x19, Y | ONLY_Y | VEX_ONLY | E1 | PART;
    Un: VBROADCASTF128 P66 M0f38 0x1a, Y | ONLY_Y | VEX_ONLY | MEM_ONLY | PART;
    Un: VBROADCASTI128 P66 M0f38 0x5a, Y | ONLY_Y | VEX_ONLY | MEM_ONLY | PART;
    Un: VPBROADCASTB P66 M0f38 0x78, Y | VEX_ONLY | PART;
    Un: VPBROADCASTW P66 M0f38 0x79, Y | VEX_ONLY | PART;
    Un: VPBROADCASTD P66 M0f38 0x58, Y | VEX_ONLY | PART;
    Un: VPBROADCASTQ P66 M0f38 0x59, Y | VEX_ONLY | E1 | PART;
    // memory (or register) = register
    Store: MOVUPS_STORE None M0f 0x11, Y;
    Store: MOVUPD_STORE P66 M0f 0x11, Y | E1;
    Store: MOVAPS_STORE None M0f 0x29, Y;
    Store: MOVDQU_STORE PF3 M0f 0x7f, Y;
    Store: MOVDQA_STORE P66 M0f 0x7f, Y;
    Store: MOVSS_STORE PF3 M0f 0x11, MEM_ONLY | PART;
    Store: MOVSD_STORE PF2 M0f 0x11, MEM_ONLY | E1 | PART;
    Store: MOVLPS_STORE None M0f 0x13, MEM_ONLY | NO_E;
    Store: MOVHPS_STORE None M0f 0x17, MEM_ONLY | NO_E;
    Store: MOVQ_STORE P66 M0f 0xd6, MEM_ONLY | E1 | PART;
    // dst = a op b, imm
    BinImm: CMPPS None M0f 0xc2, Y | NO_E;
    BinImm: CMPPD P66 M0f 0xc2, Y | E1 | NO_E;
    BinImm: CMPSS PF3 M0f 0xc2, NO_E;
    BinImm: CMPSD PF2 M0f 0xc2, E1 | NO_E;
    BinImm: SHUFPS None M0f 0xc6, Y;
    BinImm: SHUFPD P66 M0f 0xc6, Y | E1;
    BinImm: ROUNDSS P66 M0f3a 0x0a, NO_E;
    BinImm: ROUNDSD P66 M0f3a 0x0b, NO_E;
    BinImm: BLENDPS P66 M0f3a 0x0c, Y | NO_E;
    BinImm: BLENDPD P66 M0f3a 0x0d, Y | NO_E;
    BinImm: PBLENDW P66 M0f3a 0x0e, Y | NO_E;
    BinImm: PALIGNR P66 M0f3a 0x0f, Y;
    BinImm: INSERTPS P66 M0f3a 0x21, PART;
    BinImm: VPERM2F128 P66 M0f3a 0x06, Y | ONLY_Y | VEX_ONLY | NO_E;
    BinImm: VPERM2I128 P66 M0f3a 0x46, Y | ONLY_Y | VEX_ONLY | NO_E;
    BinImm: VPBLENDD P66 M0f3a 0x02, Y | VEX_ONLY | NO_E;
    BinImm: VINSERTF128 P66 M0f3a 0x18, Y | ONLY_Y | VEX_ONLY | LAST_X | PART;
    BinImm: VINSERTI128 P66 M0f3a 0x38, Y | ONLY_Y | VEX_ONLY | LAST_X | PART;
    // dst = op b, imm
    UnImm: PSHUFD P66 M0f 0x70, Y;
    UnImm: PSHUFHW PF3 M0f 0x70, Y;
    UnImm: PSHUFLW PF2 M0f 0x70, Y;
    UnImm: ROUNDPS P66 M0f3a 0x08, Y | NO_E;
    UnImm: ROUNDPD P66 M0f3a 0x09, Y | NO_E;
    UnImm: VPERMILPS_IMM P66 M0f3a 0x04, Y | VEX_ONLY;
    UnImm: VPERMILPD_IMM P66 M0f3a 0x05, Y | VEX_ONLY | NO_E;
    UnImm: VPERMQ P66 M0f3a 0x00, Y | ONLY_Y | VEX_ONLY | W | NO_E;
    UnImm: VPERMPD P66 M0f3a 0x01, Y | ONLY_Y | VEX_ONLY | W | NO_E;
    // memory (or register) = register, imm
    StoreImm: VEXTRACTF128 P66 M0f3a 0x19, Y | ONLY_Y | VEX_ONLY | NARROW | PART;
    StoreImm: VEXTRACTI128 P66 M0f3a 0x39, Y | ONLY_Y | VEX_ONLY | NARROW | PART;
}

/// Shifts of all lanes by a constant; the numbers are opcode and its extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum VShift {
    Psrlw,
    Psraw,
    Psllw,
    Psrld,
    Psrad,
    Pslld,
    Psrlq,
    Psrldq,
    Psllq,
    Pslldq,
}

impl VShift {
    fn encoding(self) -> (u8, u8) {
        match self {
            VShift::Psrlw => (0x71, 2),
            VShift::Psraw => (0x71, 4),
            VShift::Psllw => (0x71, 6),
            VShift::Psrld => (0x72, 2),
            VShift::Psrad => (0x72, 4),
            VShift::Pslld => (0x72, 6),
            VShift::Psrlq => (0x73, 2),
            VShift::Psrldq => (0x73, 3),
            VShift::Psllq => (0x73, 6),
            VShift::Pslldq => (0x73, 7),
        }
    }
}

/// Between general and vector registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Cross {
    /// `movd`, `movq` into a vector register; the rest of its 128 bits becomes 0.
    MovTo,
    /// `movd`, `movq` out of one.
    MovFrom,
    Cvtsi2ss,
    Cvtsi2sd,
    Cvttss2si,
    Cvttsd2si,
    Cvtss2si,
    Cvtsd2si,
    Movmskps,
    Movmskpd,
    Pmovmskb,
}

impl Cross {
    /// Is it a conversion? Only those take their source from memory.
    pub fn converts(self) -> bool {
        use Cross::{Cvtsd2si, Cvtsi2sd, Cvtsi2ss, Cvtss2si, Cvttsd2si, Cvttss2si};
        matches!(self, Cvtsi2ss | Cvtsi2sd | Cvttss2si | Cvttsd2si | Cvtss2si | Cvtsd2si)
    }

    fn encoding(self) -> (Pp, u8) {
        match self {
            Cross::MovTo => (Pp::P66, 0x6e),
            Cross::MovFrom => (Pp::P66, 0x7e),
            Cross::Cvtsi2ss => (Pp::PF3, 0x2a),
            Cross::Cvtsi2sd => (Pp::PF2, 0x2a),
            Cross::Cvttss2si => (Pp::PF3, 0x2c),
            Cross::Cvttsd2si => (Pp::PF2, 0x2c),
            Cross::Cvtss2si => (Pp::PF3, 0x2d),
            Cross::Cvtsd2si => (Pp::PF2, 0x2d),
            Cross::Movmskps => (Pp::None, 0x50),
            Cross::Movmskpd => (Pp::P66, 0x50),
            Cross::Pmovmskb => (Pp::P66, 0xd7),
        }
    }
}

/// Lanes of vectors to and from general registers or memory, by their width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LaneOp {
    Insert,
    Extract,
}

impl LaneOp {
    fn encoding(self, width: Width) -> (Map, u8) {
        match (self, width) {
            (LaneOp::Insert, Width::W8) => (Map::M0f3a, 0x20),
            (LaneOp::Insert, Width::W16) => (Map::M0f, 0xc4),
            (LaneOp::Insert, Width::W32 | Width::W64) => (Map::M0f3a, 0x22),
            (LaneOp::Extract, Width::W8) => (Map::M0f3a, 0x14),
            (LaneOp::Extract, Width::W16) => (Map::M0f3a, 0x15),
            (LaneOp::Extract, Width::W32 | Width::W64) => (Map::M0f3a, 0x16),
        }
    }
}

/// Lane choice by the sign bits of a mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the mnemonics")]
pub enum Blendv {
    Pblendvb,
    Blendvps,
    Blendvpd,
}

impl V {
    /// Which operands it has.
    pub fn shape(self) -> Shape {
        self.shape
    }

    /// Is there a form of this length?
    pub fn has(self, length: Length) -> bool {
        self.flags & if length == L256 { Y } else { ONLY_Y } == if length == L256 { Y } else { 0 }
    }

    /// Is there a legacy form?
    pub fn has_legacy(self) -> bool {
        self.flags & VEX_ONLY == 0
    }

    /// Is there a VEX form?
    pub fn has_vex(self) -> bool {
        self.flags & E_ONLY == 0
    }

    /// Is there an EVEX form that does the same?
    pub fn has_evex(self) -> bool {
        self.flags & NO_E == 0
    }

    /// May the last operand be a register?
    pub fn in_registers(self) -> bool {
        self.flags & MEM_ONLY == 0
    }

    /// May it be memory?
    pub fn in_memory(self) -> bool {
        self.flags & REG_ONLY == 0
    }

    fn legacy(self) -> Legacy {
        debug_assert!(self.has_legacy());
        Legacy {
            pp: self.pp,
            map: self.map,
            opcode: self.opcode,
            half: false,
            w: false,
            rex: false,
            lock: false,
        }
    }
}

impl Asm {
    /// The legacy form: `op dst, b`.
    #[inline]
    pub fn sse(&mut self, op: V, dst: Xmm, b: impl Into<XRm>) {
        debug_assert!(matches!(op.shape, Shape::Bin | Shape::Un | Shape::Store));
        self.legacy(op.legacy(), dst.0, b.into().into());
    }

    /// The legacy form with an immediate: `op dst, b, imm`.
    #[inline]
    pub fn sse_imm(&mut self, op: V, dst: Xmm, b: impl Into<XRm>, imm: u8) {
        debug_assert!(matches!(op.shape, Shape::BinImm | Shape::UnImm | Shape::StoreImm));
        self.legacy_imm8(op.legacy(), dst.0, b.into().into(), imm);
    }

    /// The VEX form of [`Shape::Bin`]: `op dst, a, b`.
    #[inline]
    pub fn avx(&mut self, op: V, length: Length, dst: Xmm, a: Xmm, b: impl Into<XRm>) {
        debug_assert!(op.shape == Shape::Bin && op.has(length));
        let w = op.flags & W != 0;
        let buf = self.vex_open(op.pp, op.map, op.opcode, w, length.0, (dst.0, a.0), b.into().into(), 0);
        self.commit(&buf);
    }

    /// The VEX form of [`Shape::Un`] and [`Shape::Store`]: `op dst, b`, `op b, dst`.
    #[inline]
    pub fn avx_un(&mut self, op: V, length: Length, dst: Xmm, b: impl Into<XRm>) {
        debug_assert!(matches!(op.shape, Shape::Un | Shape::Store) && op.has(length));
        let w = op.flags & W != 0;
        let buf = self.vex_open(op.pp, op.map, op.opcode, w, length.0, (dst.0, 0), b.into().into(), 0);
        self.commit(&buf);
    }

    /// The VEX form of [`Shape::BinImm`]: `op dst, a, b, imm`.
    #[inline]
    pub fn avx_imm(&mut self, op: V, length: Length, dst: Xmm, a: Xmm, b: impl Into<XRm>, imm: u8) {
        debug_assert!(op.shape == Shape::BinImm && op.has(length));
        let w = op.flags & W != 0;
        let mut buf = self.vex_open(op.pp, op.map, op.opcode, w, length.0, (dst.0, a.0), b.into().into(), 1);
        buf.push(imm);
        self.commit(&buf);
    }

    /// The VEX form of [`Shape::UnImm`] and [`Shape::StoreImm`]: `op dst, b, imm`, `op b, dst, imm`.
    #[inline]
    pub fn avx_un_imm(&mut self, op: V, length: Length, dst: Xmm, b: impl Into<XRm>, imm: u8) {
        debug_assert!(matches!(op.shape, Shape::UnImm | Shape::StoreImm) && op.has(length));
        let w = op.flags & W != 0;
        let mut buf = self.vex_open(op.pp, op.map, op.opcode, w, length.0, (dst.0, 0), b.into().into(), 1);
        buf.push(imm);
        self.commit(&buf);
    }

    // --- EVEX ------------------------------------------------------------------------------------
    // Length 2 is 512 bits. All 32 registers. A short displacement counts in whole vectors; rows with shorter memory operands take long ones.

    fn evex_form(&mut self, op: V, length: u8) -> super::Evex {
        if !op.has_evex() {
            self.error.get_or_insert(super::AsmError::NoForm);
        }
        let unit = if op.flags & PART == 0 { 4 + length } else { super::NO_UNIT };
        super::Evex { pp: op.pp, map: op.map, opcode: op.opcode, w: op.flags & E1 != 0, length, unit }
    }

    /// The EVEX form of [`Asm::avx`].
    pub fn evex(&mut self, op: V, length: u8, dst: Xmm, a: Xmm, b: impl Into<XRm>) {
        let form = self.evex_form(op, length);
        let buf = self.evex_open(form, (dst.0, a.0), b.into().into(), 0);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_un`].
    pub fn evex_un(&mut self, op: V, length: u8, dst: Xmm, b: impl Into<XRm>) {
        let form = self.evex_form(op, length);
        let buf = self.evex_open(form, (dst.0, 0), b.into().into(), 0);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_imm`].
    pub fn evex_imm(&mut self, op: V, length: u8, dst: Xmm, a: Xmm, b: impl Into<XRm>, imm: u8) {
        let form = self.evex_form(op, length);
        let mut buf = self.evex_open(form, (dst.0, a.0), b.into().into(), 1);
        buf.push(imm);
        self.commit(&buf);
    }

    /// `vinserti32x4`, `vinserti64x4 dst, a, part, at`: 512-bit `a` with the part of `bits` (128 or 256) replaced.
    pub fn evex_insert(&mut self, bits: u32, dst: Xmm, a: Xmm, part: Xmm, at: u8) {
        let (opcode, w) = if bits == 128 { (0x38, false) } else { (0x3a, true) };
        let form = super::Evex { pp: Pp::P66, map: Map::M0f3a, opcode, w, length: 2, unit: super::NO_UNIT };
        let mut buf = self.evex_open(form, (dst.0, a.0), Place::Reg(part.0), 1);
        buf.push(at);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_un_imm`].
    pub fn evex_un_imm(&mut self, op: V, length: u8, dst: Xmm, b: impl Into<XRm>, imm: u8) {
        let form = self.evex_form(op, length);
        let mut buf = self.evex_open(form, (dst.0, 0), b.into().into(), 1);
        buf.push(imm);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_shift`].
    pub fn evex_shift(&mut self, op: VShift, length: u8, dst: Xmm, src: Xmm, by: u8) {
        let (opcode, ext) = op.encoding();
        let w = opcode == 0x73;
        let form = super::Evex { pp: Pp::P66, map: Map::M0f, opcode, w, length, unit: super::NO_UNIT };
        let mut buf = self.evex_open(form, (ext, dst.0), Place::Reg(src.0), 1);
        buf.push(by);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_from`].
    pub fn evex_from(&mut self, op: Cross, width: Width, dst: Xmm, a: Xmm, src: impl Into<Rm>) {
        let a = if op == Cross::MovTo { Xmm(0) } else { a };
        let form = self.evex_cross(op, width);
        let buf = self.evex_open(form, (dst.0, a.0), src.into().into(), 0);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_to`].
    pub fn evex_to(&mut self, op: Cross, width: Width, dst: Reg, src: impl Into<XRm>) {
        let src: Place = src.into().into();
        let (reg, rm) = match (op, src) {
            (Cross::MovFrom, Place::Reg(vector)) => (vector, Place::Reg(dst.0)),
            _ => (dst.0, src),
        };
        let form = self.evex_cross(op, width);
        let buf = self.evex_open(form, (reg, 0), rm, 0);
        self.commit(&buf);
    }

    fn evex_cross(&mut self, op: Cross, width: Width) -> super::Evex {
        if matches!(op, Cross::Movmskps | Cross::Movmskpd | Cross::Pmovmskb) {
            self.error.get_or_insert(super::AsmError::NoForm);
        }
        let (pp, opcode) = op.encoding();
        super::Evex { pp, map: Map::M0f, opcode, w: width == Width::W64, length: 0, unit: super::NO_UNIT }
    }

    /// The EVEX form of [`Asm::avx_insert`].
    pub fn evex_insert_lane(&mut self, width: Width, dst: Xmm, a: Xmm, src: impl Into<Rm>, lane: u8) {
        let (map, opcode) = LaneOp::Insert.encoding(width);
        let w = width == Width::W64;
        let form = super::Evex { pp: Pp::P66, map, opcode, w, length: 0, unit: super::NO_UNIT };
        let mut buf = self.evex_open(form, (dst.0, a.0), src.into().into(), 1);
        buf.push(lane);
        self.commit(&buf);
    }

    /// The EVEX form of [`Asm::avx_extract`].
    pub fn evex_extract_lane(&mut self, width: Width, dst: impl Into<Rm>, src: Xmm, lane: u8) {
        let (map, opcode) = LaneOp::Extract.encoding(width);
        let w = width == Width::W64;
        let form = super::Evex { pp: Pp::P66, map, opcode, w, length: 0, unit: super::NO_UNIT };
        let mut buf = self.evex_open(form, (src.0, 0), dst.into().into(), 1);
        buf.push(lane);
        self.commit(&buf);
    }

    /// `vpternlogd dst, dst, dst, 0xff`: all bits 1.
    pub fn evex_ones(&mut self, length: u8, dst: Xmm) {
        let form = super::Evex {
            pp: Pp::P66,
            map: Map::M0f3a,
            opcode: 0x25,
            w: false,
            length,
            unit: super::NO_UNIT,
        };
        let mut buf = self.evex_open(form, (dst.0, dst.0), Place::Reg(dst.0), 1);
        buf.push(0xff);
        self.commit(&buf);
    }

    /// Takes note that an instruction has no EVEX form: the code is no good.
    pub fn no_evex(&mut self) {
        self.error.get_or_insert(super::AsmError::NoForm);
    }

    /// `vpternlogd dst, a, b, 0xfe`: `dst | a | b` in 512 bits.
    pub fn evex_or3(&mut self, dst: Xmm, a: Xmm, b: Xmm) {
        let form = super::Evex {
            pp: Pp::P66,
            map: Map::M0f3a,
            opcode: 0x25,
            w: false,
            length: 2,
            unit: super::NO_UNIT,
        };
        let mut buf = self.evex_open(form, (dst.0, a.0), Place::Reg(b.0), 1);
        buf.push(0xfe);
        self.commit(&buf);
    }

    /// `vextracti32x4`, `vextracti64x4 dst, a, at`: the part of `bits` (128 or 256) of 512-bit `a`.
    pub fn evex_extract(&mut self, bits: u32, dst: Xmm, a: Xmm, at: u8) {
        let (opcode, w) = if bits == 128 { (0x39, false) } else { (0x3b, true) };
        let form = super::Evex { pp: Pp::P66, map: Map::M0f3a, opcode, w, length: 2, unit: super::NO_UNIT };
        let mut buf = self.evex_open(form, (a.0, 0), Place::Reg(dst.0), 1);
        buf.push(at);
        self.commit(&buf);
    }

    // --- shifts by constants ---------------------------------------------------------------------

    /// Legacy shift of all lanes by a constant.
    pub fn sse_shift(&mut self, op: VShift, dst: Xmm, by: u8) {
        let (opcode, ext) = op.encoding();
        self.legacy_imm8(
            Legacy { pp: Pp::P66, ..Legacy::plain(Map::M0f, opcode) },
            ext,
            Place::Reg(dst.0),
            by,
        );
    }

    /// VEX shift of all lanes by a constant.
    pub fn avx_shift(&mut self, op: VShift, length: Length, dst: Xmm, src: Xmm, by: u8) {
        let (opcode, ext) = op.encoding();
        let regs = (ext, dst.0);
        let mut buf = self.vex_open(Pp::P66, Map::M0f, opcode, false, length.0, regs, Place::Reg(src.0), 1);
        buf.push(by);
        self.commit(&buf);
    }

    // --- to and from general registers -----------------------------------------------------------

    /// Into a vector register from a general one or memory: [`Cross::MovTo`], `cvtsi2ss`, `cvtsi2sd`; the width is that
    /// of the general side.
    pub fn sse_from(&mut self, op: Cross, width: Width, dst: Xmm, src: impl Into<Rm>) {
        let (pp, opcode) = op.encoding();
        let form = Legacy { pp, w: width == Width::W64, ..Legacy::plain(Map::M0f, opcode) };
        self.legacy(form, dst.0, src.into().into());
    }

    /// The VEX form of [`Asm::sse_from`]; the rest of the 128 bits comes from `a` (ignored by [`Cross::MovTo`]).
    pub fn avx_from(&mut self, op: Cross, width: Width, dst: Xmm, a: Xmm, src: impl Into<Rm>) {
        let (pp, opcode) = op.encoding();
        let a = if op == Cross::MovTo { Xmm(0) } else { a };
        let w = width == Width::W64;
        let buf = self.vex_open(pp, Map::M0f, opcode, w, 0, (dst.0, a.0), src.into().into(), 0);
        self.commit(&buf);
    }

    /// Into a general register from a vector register, or memory for the conversions: all others of [`Cross`].
    pub fn sse_to(&mut self, op: Cross, width: Width, dst: Reg, src: impl Into<XRm>) {
        let (pp, opcode) = op.encoding();
        let form = Legacy { pp, w: width == Width::W64, ..Legacy::plain(Map::M0f, opcode) };
        let src: Place = src.into().into();
        match (op, src) {
            // The general side is the place here.
            (Cross::MovFrom, Place::Reg(vector)) => self.legacy(form, vector, Place::Reg(dst.0)),
            _ => self.legacy(form, dst.0, src),
        }
    }

    /// The VEX form of [`Asm::sse_to`]; the length matters to the masks only.
    pub fn avx_to(&mut self, op: Cross, width: Width, length: Length, dst: Reg, src: impl Into<XRm>) {
        let (pp, opcode) = op.encoding();
        let src: Place = src.into().into();
        let (reg, rm) = match (op, src) {
            (Cross::MovFrom, Place::Reg(vector)) => (vector, Place::Reg(dst.0)),
            _ => (dst.0, src),
        };
        let w = width == Width::W64;
        let buf = self.vex_open(pp, Map::M0f, opcode, w, length.0, (reg, 0), rm, 0);
        self.commit(&buf);
    }

    /// `pinsrb/w/d/q dst, src, lane`
    pub fn sse_insert(&mut self, width: Width, dst: Xmm, src: impl Into<Rm>, lane: u8) {
        let (map, opcode) = LaneOp::Insert.encoding(width);
        let form = Legacy { pp: Pp::P66, w: width == Width::W64, ..Legacy::plain(map, opcode) };
        self.legacy_imm8(form, dst.0, src.into().into(), lane);
    }

    /// `vpinsrb/w/d/q dst, a, src, lane`
    pub fn avx_insert(&mut self, width: Width, dst: Xmm, a: Xmm, src: impl Into<Rm>, lane: u8) {
        let (map, opcode) = LaneOp::Insert.encoding(width);
        let w = width == Width::W64;
        let mut buf = self.vex_open(Pp::P66, map, opcode, w, 0, (dst.0, a.0), src.into().into(), 1);
        buf.push(lane);
        self.commit(&buf);
    }

    /// `pextrb/w/d/q dst, src, lane`; a register gets the lane zero-extended.
    pub fn sse_extract(&mut self, width: Width, dst: impl Into<Rm>, src: Xmm, lane: u8) {
        let (map, opcode) = LaneOp::Extract.encoding(width);
        let form = Legacy { pp: Pp::P66, w: width == Width::W64, ..Legacy::plain(map, opcode) };
        self.legacy_imm8(form, src.0, dst.into().into(), lane);
    }

    /// `vpextrb/w/d/q dst, src, lane`
    pub fn avx_extract(&mut self, width: Width, dst: impl Into<Rm>, src: Xmm, lane: u8) {
        let (map, opcode) = LaneOp::Extract.encoding(width);
        let w = width == Width::W64;
        let mut buf = self.vex_open(Pp::P66, map, opcode, w, 0, (src.0, 0), dst.into().into(), 1);
        buf.push(lane);
        self.commit(&buf);
    }

    // --- the rest --------------------------------------------------------------------------------

    /// Legacy `op dst, b, xmm0`: lanes of `b` where the top bit of the mask in `xmm0` is 1, else of `dst`.
    pub fn sse_blendv(&mut self, op: Blendv, dst: Xmm, b: impl Into<XRm>) {
        let opcode = match op {
            Blendv::Pblendvb => 0x10,
            Blendv::Blendvps => 0x14,
            Blendv::Blendvpd => 0x15,
        };
        self.legacy(Legacy { pp: Pp::P66, ..Legacy::plain(Map::M0f38, opcode) }, dst.0, b.into().into());
    }

    /// VEX `op dst, a, b, mask`: lanes of `b` where the top bit of the mask is 1, else of `a`.
    pub fn avx_blendv(&mut self, op: Blendv, length: Length, dst: Xmm, a: Xmm, b: impl Into<XRm>, mask: Xmm) {
        let opcode = match op {
            Blendv::Pblendvb => 0x4c,
            Blendv::Blendvps => 0x4a,
            Blendv::Blendvpd => 0x4b,
        };
        let regs = (dst.0, a.0);
        let mut buf = self.vex_open(Pp::P66, Map::M0f3a, opcode, false, length.0, regs, b.into().into(), 1);
        buf.push(mask.0 << 4);
        self.commit(&buf);
    }

    /// `vzeroupper`
    pub fn vzeroupper(&mut self) {
        self.code.extend_from_slice(&[0xc5, 0xf8, 0x77]);
    }
}
