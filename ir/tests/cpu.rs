//! The CPU as oracle for vectors, floats and conversions: what `eval` computes is what SSE computes, bit for
//! bit, NaNs included. (Integer operations and flags are held against plain arithmetic where they are
//! defined, and against whole instructions in `decode`.)
#![cfg(target_arch = "x86_64")]

use std::arch::asm;
use std::arch::x86_64::*;

use ir::eval;
use ir::fuzz::Random;
use ir::op::Op;
use ir::types::*;

#[target_feature(enable = "sse2")]
fn m(x: u128) -> __m128i {
    _mm_set_epi64x((x >> 64) as i64, x as i64)
}

#[target_feature(enable = "sse2")]
fn u(x: __m128i) -> u128 {
    let low = _mm_cvtsi128_si64(x) as u64;
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x)) as u64;
    low as u128 | (high as u128) << 64
}

#[target_feature(enable = "sse2")]
fn ps(x: u128) -> __m128 {
    _mm_castsi128_ps(m(x))
}

#[target_feature(enable = "sse2")]
fn pd(x: u128) -> __m128d {
    _mm_castsi128_pd(m(x))
}

#[target_feature(enable = "sse2")]
fn ups(x: __m128) -> u128 {
    u(_mm_castps_si128(x))
}

#[target_feature(enable = "sse2")]
fn upd(x: __m128d) -> u128 {
    u(_mm_castpd_si128(x))
}

/// An SSE instruction on two registers. The intrinsics for addition and multiplication are no oracle for
/// NaNs: the compiler may exchange their operands.
macro_rules! sse {
    ($mnemonic:literal, $a:expr, $b:expr) => {{
        let (mut a, b) = (m($a), m($b));
        // SAFETY: the instruction works on these two registers only.
        unsafe { asm!(concat!($mnemonic, " {0}, {1}"), inout(xmm_reg) a, in(xmm_reg) b, options(pure, nomem, nostack)) };
        u(a)
    }};
}

/// Vectors of small numbers, edges, infinities and NaNs of all kinds at every lane width.
fn vector(r: &mut Random) -> u128 {
    let lanes = |r: &mut Random, width: u32, pool: &[u64]| {
        (0..128 / width).fold(0u128, |v, i| {
            let x = if r.one_in(4) { r.word() } else { r.pick(pool).unwrap_or(0) };
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            v | ((x & mask) as u128) << (i * width)
        })
    };
    const F64: [u64; 16] = [
        0,
        1 << 63,
        1,
        0x7ff0_0000_0000_0000,
        0xfff0_0000_0000_0000,
        0x7ff0_0000_0000_0001,
        0xfff8_0000_0000_0123,
        0x7ff8_0000_0000_0000,
        0x3ff0_0000_0000_0000,
        0xbff8_0000_0000_0000,
        0x4004_0000_0000_0000,
        0x41df_ffff_ffe0_0000,
        0x41e0_0000_0000_0000,
        0xc1e0_0000_0000_0000,
        0x7fef_ffff_ffff_ffff,
        0x000f_ffff_ffff_ffff,
    ];
    const F32: [u64; 12] = [
        0,
        0x8000_0000,
        1,
        0x7f80_0000,
        0xff80_0000,
        0x7f80_0001,
        0xffc0_0123,
        0x3f80_0000,
        0xbfc0_0000,
        0x4f00_0000,
        0xcf00_0000,
        0x7f7f_ffff,
    ];
    match r.below(4) {
        0 => lanes(r, 64, &F64),
        1 => lanes(r, 32, &F32),
        2 => lanes(r, 16, &[0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff]),
        _ => lanes(r, 8, &[0, 1, 0x7f, 0x80, 0xff]),
    }
}

fn ours(op: Op, lane: Type, a: u128, b: u128, c: u128) -> u128 {
    let [a, b, c] = [a, b, c].map(eval::from_u128);
    eval::wide(op, lane, Type::V128, 0, &a, &b, &c).map(|w| eval::to_u128(&w)).expect("pure")
}

type Binary = (Op, Type, fn(u128, u128) -> u128);

fn check(table: &[Binary], rounds: u64) {
    let mut r = Random(1);
    for _ in 0..rounds {
        let (a, b) = (vector(&mut r), vector(&mut r));
        for (op, lane, cpu) in table {
            let (x, y) = (ours(*op, *lane, a, b, 0), cpu(a, b));
            assert_eq!(x, y, "{}.{lane} {a:#034x}, {b:#034x}: {x:#034x}, CPU {y:#034x}", op.name());
        }
    }
}

#[target_feature(enable = "sse2")]
fn vectors_with_sse2() {
    use Type::*;
    check(
        &[
            (Op::VAdd, I8, |a, b| u(_mm_add_epi8(m(a), m(b)))),
            (Op::VAdd, I64, |a, b| u(_mm_add_epi64(m(a), m(b)))),
            (Op::VSub, I16, |a, b| u(_mm_sub_epi16(m(a), m(b)))),
            (Op::VSub, I32, |a, b| u(_mm_sub_epi32(m(a), m(b)))),
            (Op::VMul, I16, |a, b| u(_mm_mullo_epi16(m(a), m(b)))),
            (Op::VSmulh, I16, |a, b| u(_mm_mulhi_epi16(m(a), m(b)))),
            (Op::VUmulh, I16, |a, b| u(_mm_mulhi_epu16(m(a), m(b)))),
            (Op::VUmulw, I32, |a, b| u(_mm_mul_epu32(m(a), m(b)))),
            (Op::VMadd, I16, |a, b| u(_mm_madd_epi16(m(a), m(b)))),
            (Op::VSad, I8, |a, b| u(_mm_sad_epu8(m(a), m(b)))),
            (Op::VUavg, I8, |a, b| u(_mm_avg_epu8(m(a), m(b)))),
            (Op::VUavg, I16, |a, b| u(_mm_avg_epu16(m(a), m(b)))),
            (Op::VUadds, I8, |a, b| u(_mm_adds_epu8(m(a), m(b)))),
            (Op::VUadds, I16, |a, b| u(_mm_adds_epu16(m(a), m(b)))),
            (Op::VSadds, I8, |a, b| u(_mm_adds_epi8(m(a), m(b)))),
            (Op::VSadds, I16, |a, b| u(_mm_adds_epi16(m(a), m(b)))),
            (Op::VUsubs, I8, |a, b| u(_mm_subs_epu8(m(a), m(b)))),
            (Op::VSsubs, I16, |a, b| u(_mm_subs_epi16(m(a), m(b)))),
            (Op::VUmin, I8, |a, b| u(_mm_min_epu8(m(a), m(b)))),
            (Op::VUmax, I8, |a, b| u(_mm_max_epu8(m(a), m(b)))),
            (Op::VSmin, I16, |a, b| u(_mm_min_epi16(m(a), m(b)))),
            (Op::VSmax, I16, |a, b| u(_mm_max_epi16(m(a), m(b)))),
            (Op::VEq, I8, |a, b| u(_mm_cmpeq_epi8(m(a), m(b)))),
            (Op::VEq, I32, |a, b| u(_mm_cmpeq_epi32(m(a), m(b)))),
            (Op::VSgt, I8, |a, b| u(_mm_cmpgt_epi8(m(a), m(b)))),
            (Op::VSgt, I32, |a, b| u(_mm_cmpgt_epi32(m(a), m(b)))),
            (Op::VSpack, I16, |a, b| u(_mm_packs_epi16(m(a), m(b)))),
            (Op::VSpack, I32, |a, b| u(_mm_packs_epi32(m(a), m(b)))),
            (Op::VUpack, I16, |a, b| u(_mm_packus_epi16(m(a), m(b)))),
            (Op::VShl, I16, |a, b| u(_mm_sll_epi16(m(a), m(b)))),
            (Op::VShr, I32, |a, b| u(_mm_srl_epi32(m(a), m(b)))),
            (Op::VShr, I64, |a, b| u(_mm_srl_epi64(m(a), m(b)))),
            (Op::VSar, I16, |a, b| u(_mm_sra_epi16(m(a), m(b)))),
            (Op::VSar, I32, |a, b| u(_mm_sra_epi32(m(a), m(b)))),
            (Op::Andn, V128, |a, b| u(_mm_andnot_si128(m(a), m(b)))),
        ],
        4000,
    );
}

#[target_feature(enable = "sse2")]
fn float_lanes_with_sse2() {
    use Type::*;
    check(
        &[
            (Op::VFadd, F32, |a, b| sse!("addps", a, b)),
            (Op::VFadd, F64, |a, b| sse!("addpd", a, b)),
            (Op::VFsub, F32, |a, b| sse!("subps", a, b)),
            (Op::VFsub, F64, |a, b| sse!("subpd", a, b)),
            (Op::VFmul, F32, |a, b| sse!("mulps", a, b)),
            (Op::VFmul, F64, |a, b| sse!("mulpd", a, b)),
            (Op::VFdiv, F32, |a, b| sse!("divps", a, b)),
            (Op::VFdiv, F64, |a, b| sse!("divpd", a, b)),
            (Op::VFsqrt, F32, |a, _| ups(_mm_sqrt_ps(ps(a)))),
            (Op::VFsqrt, F64, |a, _| upd(_mm_sqrt_pd(pd(a)))),
            (Op::VFminSse, F32, |a, b| sse!("minps", a, b)),
            (Op::VFminSse, F64, |a, b| sse!("minpd", a, b)),
            (Op::VFmaxSse, F32, |a, b| sse!("maxps", a, b)),
            (Op::VFmaxSse, F64, |a, b| sse!("maxpd", a, b)),
            (Op::VFeq, F32, |a, b| ups(_mm_cmpeq_ps(ps(a), ps(b)))),
            (Op::VFlt, F64, |a, b| upd(_mm_cmplt_pd(pd(a), pd(b)))),
            (Op::VFle, F32, |a, b| ups(_mm_cmple_ps(ps(a), ps(b)))),
            (Op::VFuno, F64, |a, b| upd(_mm_cmpunord_pd(pd(a), pd(b)))),
            (Op::VSitof, I32, |a, _| ups(_mm_cvtepi32_ps(m(a)))),
            (Op::VSitod, I32, |a, _| upd(_mm_cvtepi32_pd(m(a)))),
            (Op::VFtosi, F32, |a, _| u(_mm_cvttps_epi32(ps(a)))),
            (Op::VFtosiNear, F32, |a, _| u(_mm_cvtps_epi32(ps(a)))),
            (Op::VFtosi, F64, |a, _| u(_mm_cvttpd_epi32(pd(a)))),
            (Op::VFtosiNear, F64, |a, _| u(_mm_cvtpd_epi32(pd(a)))),
            (Op::VFext, F32, |a, _| upd(_mm_cvtps_pd(ps(a)))),
            (Op::VFnarrow, F64, |a, _| ups(_mm_cvtpd_ps(pd(a)))),
        ],
        20_000,
    );
}

#[target_feature(enable = "sse2")]
fn masks_blends_and_signs() {
    let mut r = Random(2);
    for _ in 0..2000 {
        let a = vector(&mut r);
        let signs = |lane| {
            let w = eval::wide(Op::VSigns, lane, Type::I64, 0, &eval::from_u128(a), &ZERO, &ZERO);
            w.expect("pure")[0] as i32
        };
        assert_eq!(signs(Type::I8), _mm_movemask_epi8(m(a)));
        assert_eq!(signs(Type::F32), _mm_movemask_ps(ps(a)));
        assert_eq!(signs(Type::F64), _mm_movemask_pd(pd(a)));
    }
}

#[target_feature(enable = "sse2")]
fn scalar_floats() {
    let mut r = Random(3);
    for _ in 0..20_000 {
        let (a, b) = (vector(&mut r) as u64, vector(&mut r) as u64);
        let one = |op, aty, ty, attr| eval::scalar(op, aty, ty, attr, a, b, 0).expect("pure");
        let (x, y) = (pd(a.into()), pd(b.into()));
        let xs = ps((a as u32).into());
        let low = |v: u128| v as u64;
        use Type::*;
        assert_eq!(one(Op::Fadd, F64, F64, 0), low(sse!("addsd", a.into(), b.into())), "{a:#x} + {b:#x}");
        assert_eq!(one(Op::Fsub, F32, F32, 0), low(sse!("subss", a.into(), b.into())) as u32 as u64);
        assert_eq!(one(Op::Fmul, F64, F64, 0), low(sse!("mulsd", a.into(), b.into())));
        assert_eq!(one(Op::Fdiv, F32, F32, 0), low(sse!("divss", a.into(), b.into())) as u32 as u64);
        assert_eq!(one(Op::FminSse, F64, F64, 0), low(sse!("minsd", a.into(), b.into())));
        assert_eq!(one(Op::FmaxSse, F32, F32, 0), low(sse!("maxss", a.into(), b.into())) as u32 as u64);
        assert_eq!(one(Op::Feq, F64, I1, 0), _mm_comieq_sd(x, y) as u64 & !one(Op::Funo, F64, I1, 0));
        assert_eq!(one(Op::Ftosi, F64, I32, 0), _mm_cvttsd_si32(x) as u32 as u64);
        assert_eq!(one(Op::Ftosi, F64, I64, 0), _mm_cvttsd_si64(x) as u64);
        assert_eq!(one(Op::FtosiNear, F64, I64, 0), _mm_cvtsd_si64(x) as u64);
        assert_eq!(one(Op::FtosiNear, F32, I32, 0), _mm_cvtss_si32(xs) as u32 as u64);
        assert_eq!(one(Op::Ftosi, F32, I64, 0), _mm_cvttss_si64(xs) as u64);
        assert_eq!(one(Op::Sitof, I64, F64, 0), low(upd(_mm_cvtsi64_sd(pd(0), a as i64))));
        assert_eq!(one(Op::Sitof, I64, F32, 0), low(ups(_mm_cvtsi64_ss(ps(0), a as i64))) as u32 as u64);
        assert_eq!(one(Op::Sitof, I32, F32, 0), low(ups(_mm_cvtsi32_ss(ps(0), a as i32))) as u32 as u64);
        assert_eq!(one(Op::Fnarrow, F64, F32, 0), low(ups(_mm_cvtsd_ss(ps(0), x))) as u32 as u64);
        assert_eq!(one(Op::Fext, F32, F64, 0), low(upd(_mm_cvtss_sd(pd(0), xs))));
    }
}

/// What needs more than SSE2.
#[target_feature(enable = "sse4.1,ssse3")]
fn later_extensions() {
    let mut r = Random(4);
    for _ in 0..4000 {
        with_sse41(vector(&mut r), vector(&mut r), vector(&mut r));
    }
}

#[target_feature(enable = "sse4.1,ssse3")]
fn with_sse41(a: u128, b: u128, c: u128) {
    use Type::*;
    assert_eq!(ours(Op::VLookup, Void, a, b, 0), u(_mm_shuffle_epi8(m(a), m(b))));
    assert_eq!(ours(Op::VBlend, I8, c, a, b), u(_mm_blendv_epi8(m(b), m(a), m(c))));
    assert_eq!(ours(Op::VBlend, F64, c, a, b), upd(_mm_blendv_pd(pd(b), pd(a), pd(c))));
    assert_eq!(ours(Op::VMul, I32, a, b, 0), u(_mm_mullo_epi32(m(a), m(b))));
    assert_eq!(ours(Op::VSmulw, I32, a, b, 0), u(_mm_mul_epi32(m(a), m(b))));
    assert_eq!(ours(Op::VUpack, I32, a, b, 0), u(_mm_packus_epi32(m(a), m(b))));
    assert_eq!(ours(Op::VSmin, I8, a, b, 0), u(_mm_min_epi8(m(a), m(b))));
    assert_eq!(ours(Op::VUmax, I32, a, b, 0), u(_mm_max_epu32(m(a), m(b))));
    assert_eq!(ours(Op::VAbs, I16, a, 0, 0), u(_mm_abs_epi16(m(a))));
    assert_eq!(ours(Op::VEq, I64, a, b, 0), u(_mm_cmpeq_epi64(m(a), m(b))));
    let round = |mode: Round| eval::scalar(Op::Fround, F64, F64, mode as u8, a as u64, 0, 0).expect("pure");
    let x = pd(a);
    assert_eq!(round(Round::Near), upd(_mm_round_pd::<8>(x)) as u64);
    assert_eq!(round(Round::Down), upd(_mm_round_pd::<9>(x)) as u64);
    assert_eq!(round(Round::Up), upd(_mm_round_pd::<10>(x)) as u64);
    assert_eq!(round(Round::Zero), upd(_mm_round_pd::<11>(x)) as u64);
}

/// `flags.fcmp` is `ucomisd`, by way of the conditions that read it.
#[target_feature(enable = "sse2")]
fn comparisons() {
    let mut r = Random(5);
    for _ in 0..5000 {
        let (a, b) = (vector(&mut r) as u64, vector(&mut r) as u64);
        let f = eval::scalar(Op::FlagsFcmp, Type::F64, Type::Flags, 0, a, b, 0).expect("pure");
        let (x, y) = (pd(a.into()), pd(b.into()));
        let unordered = f64::from_bits(a).is_nan() || f64::from_bits(b).is_nan();
        assert_eq!(Cond::P.holds(f), unordered);
        assert_eq!(Cond::A.holds(f), _mm_ucomigt_sd(x, y) == 1);
        assert_eq!(Cond::Ae.holds(f), _mm_ucomige_sd(x, y) == 1);
        assert!(!Cond::S.holds(f) && !Cond::O.holds(f));
    }
}

macro_rules! on_this_cpu {
    ($($test:ident => $body:ident, $($feature:tt),*;)*) => {$(
        #[test]
        fn $test() {
            if $(is_x86_feature_detected!($feature))&&* {
                // SAFETY: the features that the function enables were just detected.
                unsafe { $body() }
            }
        }
    )*};
}

on_this_cpu! {
    vectors => vectors_with_sse2, "sse2";
    float_lanes => float_lanes_with_sse2, "sse2";
    masks => masks_blends_and_signs, "sse2";
    scalars => scalar_floats, "sse2";
    extensions => later_extensions, "sse4.1", "ssse3";
    flags => comparisons, "sse2";
}
