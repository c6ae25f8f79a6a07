//! The math library. Functions of one number are the C library's, so results agree to the last bit.

use crate::api::{Cx, NativeResult};
use crate::prng::Prng;

pub(crate) mod libm {
    //! The C library's functions that Rust does not have, or has with results of its own.
    unsafe extern "C" {
        pub safe fn ldexp(x: f64, e: i32) -> f64;
        pub safe fn log2(x: f64) -> f64;
        pub safe fn log10(x: f64) -> f64;
        pub safe fn fmod(x: f64, y: f64) -> f64;
        pub safe fn pow(x: f64, y: f64) -> f64;
        pub safe fn log(x: f64) -> f64;
        pub safe fn exp(x: f64) -> f64;
        pub safe fn sin(x: f64) -> f64;
        pub safe fn cos(x: f64) -> f64;
        pub safe fn tan(x: f64) -> f64;
        pub safe fn asin(x: f64) -> f64;
        pub safe fn acos(x: f64) -> f64;
        pub safe fn atan(x: f64) -> f64;
        pub safe fn atan2(x: f64, y: f64) -> f64;
        pub safe fn sinh(x: f64) -> f64;
        pub safe fn cosh(x: f64) -> f64;
        pub safe fn tanh(x: f64) -> f64;
    }
}

/// Opens the library.
pub fn open(cx: Cx) {
    let t = super::library(
        cx,
        "math",
        &[
            ("abs", abs),
            ("floor", floor),
            ("ceil", ceil),
            ("sqrt", sqrt),
            ("log10", log10),
            ("exp", exp),
            ("sin", sin),
            ("cos", cos),
            ("tan", tan),
            ("asin", asin),
            ("acos", acos),
            ("atan", atan),
            ("sinh", sinh),
            ("cosh", cosh),
            ("tanh", tanh),
            ("frexp", frexp),
            ("modf", modf),
            ("log", log),
            ("deg", deg),
            ("rad", rad),
            ("atan2", atan2),
            ("pow", pow),
            ("fmod", fmod),
            ("ldexp", ldexp),
            ("min", min),
            ("max", max),
        ],
    );
    cx.set_field(t, "pi", std::f64::consts::PI);
    cx.set_field(t, "huge", f64::INFINITY);
    let state = cx.userdata(crate::object::UD_PLAIN, Box::new(Prng::default()), None);
    for (name, f) in [("random", random as crate::api::NativeFn), ("randomseed", randomseed)] {
        let f = cx.func(f, &[state.into()]);
        super::ffid::set(cx, f, "math", name);
        cx.set_field(t, name, f);
    }
}

/// Defines library functions that map one number to one number.
macro_rules! unary {
    ($($name:ident => $f:expr;)*) => { $(
        fn $name(cx: Cx) -> NativeResult {
            let x = cx.check_number(1)?;
            let f: fn(f64) -> f64 = $f;
            cx.ret1(f(x))
        }
    )* };
}

unary! {
    abs => f64::abs;
    floor => f64::floor;
    ceil => f64::ceil;
    sqrt => f64::sqrt;
    log10 => |x| libm::log10(x);
    exp => |x| libm::exp(x);
    sin => |x| libm::sin(x);
    cos => |x| libm::cos(x);
    tan => |x| libm::tan(x);
    asin => |x| libm::asin(x);
    acos => |x| libm::acos(x);
    atan => |x| libm::atan(x);
    sinh => |x| libm::sinh(x);
    cosh => |x| libm::cosh(x);
    tanh => |x| libm::tanh(x);
    deg => |x| x * 57.29577951308232;
    rad => |x| x * 0.017453292519943295;
}

fn log(cx: Cx) -> NativeResult {
    let x = cx.check_number(1)?;
    if cx.nargs() < 2 {
        return cx.ret1(libm::log(x));
    }
    let base = cx.check_number(2)?;
    // A product with the reciprocal, as LuaJIT's compiled code has it: the last bit differs from a quotient.
    cx.ret1(libm::log2(x) * (1.0 / libm::log2(base)))
}

fn atan2(cx: Cx) -> NativeResult {
    let (y, x) = (cx.check_number(1)?, cx.check_number(2)?);
    cx.ret1(libm::atan2(y, x))
}

fn pow(cx: Cx) -> NativeResult {
    let (x, y) = (cx.check_number(1)?, cx.check_number(2)?);
    cx.ret1(libm::pow(x, y))
}

fn fmod(cx: Cx) -> NativeResult {
    let (x, y) = (cx.check_number(1)?, cx.check_number(2)?);
    cx.ret1(libm::fmod(x, y))
}

fn ldexp(cx: Cx) -> NativeResult {
    let (x, e) = (cx.check_number(1)?, cx.check_number(2)?);
    // Infinity times zero is not a number.
    let undefined = e.is_nan() || e.is_infinite() && if e > 0.0 { x == 0.0 } else { x.is_infinite() };
    // Beyond this range the result is zero or infinity anyway.
    cx.ret1(if undefined { f64::NAN } else { libm::ldexp(x, e.trunc().clamp(-10_000.0, 10_000.0) as i32) })
}

fn frexp(cx: Cx) -> NativeResult {
    let x = cx.check_number(1)?;
    if x == 0.0 || !x.is_finite() {
        return cx.ret2(x, 0);
    }
    // Scale denormals up first.
    let (y, shift) = if x.abs() < f64::MIN_POSITIVE { (x * 2f64.powi(54), -54) } else { (x, 0) };
    let e = (y.to_bits() >> 52 & 0x7ff) as i32 - 1022;
    let m = f64::from_bits(y.to_bits() & !(0x7ff << 52) | 1022 << 52);
    cx.ret2(m, e + shift)
}

fn modf(cx: Cx) -> NativeResult {
    let x = cx.check_number(1)?;
    let whole = x.trunc();
    let fraction = if x.is_infinite() { 0f64.copysign(x) } else { (x - whole).copysign(x) };
    cx.ret2(whole, fraction)
}

fn min(cx: Cx) -> NativeResult {
    let mut m = cx.check_number(1)?;
    for i in 2..=cx.nargs() {
        // The operands in this order: it decides what NaN and -0 do.
        let x = cx.check_number(i)?;
        m = if m < x { m } else { x };
    }
    cx.ret1(m)
}

fn max(cx: Cx) -> NativeResult {
    let mut m = cx.check_number(1)?;
    for i in 2..=cx.nargs() {
        let x = cx.check_number(i)?;
        m = if m > x { m } else { x };
    }
    cx.ret1(m)
}

fn random(cx: Cx) -> NativeResult {
    let rng = cx.upvalue(1).as_userdata().and_then(|u| cx.payload::<Prng>(u));
    let d = rng.map_or(0.0, Prng::next_f64);
    let n = match cx.nargs() {
        0 => d,
        1 => (d * cx.check_number(1)?).floor() + 1.0,
        _ => {
            let (lo, hi) = (cx.check_number(1)?, cx.check_number(2)?);
            (d * (hi - lo + 1.0)).floor() + lo
        }
    };
    cx.ret1(n)
}

fn randomseed(cx: Cx) -> NativeResult {
    let new = if cx.nargs() > 0 {
        Prng::from_seed(cx.check_number(1)?)
    } else {
        match crate::stdio::entropy() {
            Some(bytes) => Prng::from_entropy(bytes),
            None => return Err(cx.error("PRNG seeding failed")),
        }
    };
    if let Some(rng) = cx.upvalue(1).as_userdata().and_then(|u| cx.payload::<Prng>(u)) {
        *rng = new;
    }
    cx.ret0()
}

/// `x ^ y`, as the operator computes it.
pub fn power(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}
