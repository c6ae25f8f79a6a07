//! Arithmetic and bit operators.
//!
//! All tagged words are NaNs when read as doubles. So an operation may compute first and look at the types only if the
//! result is a NaN: one test serves both operands.

use crate::bytecode::{Op, a, b, c, d};
use crate::error::Throw;
use crate::object::Thread;
use crate::state::{Cont, Event};
use crate::value::Value;

use super::calls::call_meta;
use super::{cx, next, num, op, ra, raise, rb, rc, rd, sync};

/// `a % b` as Lua defines it.
#[inline(always)]
pub fn modulo(x: f64, y: f64) -> f64 {
    let q = x / y;
    let t = if q.abs() < 4_503_599_627_370_496.0 {
        // SAFETY: the magnitude is below 2^52.
        let t = unsafe { q.to_int_unchecked::<i64>() } as f64;
        (if t > q { t - 1.0 } else { t }).copysign(q)
    } else {
        q.floor()
    };
    x - t * y
}

macro_rules! arith {
    ($($vv:ident $vn:ident $nv:ident |$x:ident, $y:ident| $e:expr;)*) => { $(
        op! {
            fn $vv(l, base, k, pc, ins, g) {
                let ($x, $y) = (num(base, b(ins)), num(base, c(ins)));
                let r: f64 = $e;
                if r.is_nan() {
                    return slow_arith(l, base, k, pc, ins, g);
                }
                *ra(base, ins) = Value::raw_number(r);
                next(l, base, k, pc, g)
            }
        }
        op! {
            fn $vn(l, base, k, pc, ins, g) {
                let ($x, $y) = (num(base, b(ins)), num(k, c(ins)));
                let r: f64 = $e;
                if r.is_nan() {
                    return slow_arith(l, base, k, pc, ins, g);
                }
                *ra(base, ins) = Value::raw_number(r);
                next(l, base, k, pc, g)
            }
        }
        op! {
            fn $nv(l, base, k, pc, ins, g) {
                let ($y, $x) = (num(base, b(ins)), num(k, c(ins)));
                let r: f64 = $e;
                if r.is_nan() {
                    return slow_arith(l, base, k, pc, ins, g);
                }
                *ra(base, ins) = Value::raw_number(r);
                next(l, base, k, pc, g)
            }
        }
    )* };
}
arith! {
    addvv addvn addnv |x, y| x + y;
    subvv subvn subnv |x, y| x - y;
    mulvv mulvn mulnv |x, y| x * y;
    divvv divvn divnv |x, y| x / y;
    modvv modvn modnv |x, y| modulo(x, y);
}

op! {
    #[inline(never)]
    fn pow(l, base, k, pc, ins, g) {
        let r = num(base, b(ins)).powf(num(base, c(ins)));
        if !(*rb(base, ins)).is_number() || !(*rc(base, ins)).is_number() {
            return slow_arith(l, base, k, pc, ins, g);
        }
        *ra(base, ins) = Value::number(r);
        next(l, base, k, pc, g)
    }
}
op! {
    fn unm(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        let r = -v.raw_f64();
        if r.is_nan() {
            return slow_unm(l, base, k, pc, ins, g);
        }
        *ra(base, ins) = Value::raw_number(r);
        next(l, base, k, pc, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn slow_unm(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        finish_arith(l, base, k, pc, ins, g, v, v, Event::Unm)
    }
}
op! {
    /// The result is a NaN: strings, metamethods, or really not a number.
    #[cold]
    #[inline(never)]
    fn slow_arith(l, base, k, pc, ins, g) {
        const EVENTS: [Event; 5] = [Event::Add, Event::Sub, Event::Mul, Event::Div, Event::Mod];
        let o = (ins & 0xff) as usize;
        let (x, y, e) = if o == Op::POW as usize {
            (*rb(base, ins), *rc(base, ins), Event::Pow)
        } else {
            let i = o - Op::ADDVN as usize;
            let e = EVENTS[i % 5];
            match i / 5 {
                0 => (*rb(base, ins), *k.add(c(ins)), e),
                1 => (*k.add(c(ins)), *rb(base, ins), e),
                _ => (*rb(base, ins), *rc(base, ins), e),
            }
        };
        finish_arith(l, base, k, pc, ins, g, x, y, e)
    }
}

/// The operation on numbers.
pub fn compute(e: Event, x: f64, y: f64) -> f64 {
    match e {
        Event::Add => x + y,
        Event::Sub => x - y,
        Event::Mul => x * y,
        Event::Div => x / y,
        Event::Mod => modulo(x, y),
        Event::Pow => x.powf(y),
        _ => -x,
    }
}

/// A number, or a string that reads as one.
pub(crate) fn to_number(v: Value) -> Option<f64> {
    v.as_number().or_else(|| crate::number::parse(v.as_str()?.bytes()))
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the registers")]
unsafe fn finish_arith(
    l: *mut Thread,
    base: *mut Value,
    k: *mut Value,
    pc: *const u32,
    ins: u32,
    g: *mut crate::state::Global,
    x: Value,
    y: Value,
    e: Event,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        sync(l, base, pc);
        if let (Some(p), Some(q)) = (to_number(x), to_number(y)) {
            *base.add(a(ins)) = Value::number(compute(e, p, q));
            return next(l, base, k, pc, g);
        }
        let mut h = super::meta::lookup(&mut *g, x, e);
        if h.is_nil() {
            h = super::meta::lookup(&mut *g, y, e);
        }
        if h.is_nil() {
            let bad = if to_number(x).is_none() { x } else { y };
            let slot = bad_slot(ins, x == bad, e);
            let t = crate::error::operand(cx(l), bad, slot, "perform arithmetic on");
            return raise(l, g, t);
        }
        call_meta(l, g, Cont::Store as u64, h, &[x, y])
    }
}

/// Slot of the operand at fault, for its name; `None` for a constant.
fn bad_slot(ins: u32, first: bool, e: Event) -> Option<usize> {
    let o = (ins & 0xff) as usize;
    if e == Event::Unm {
        return Some(d(ins));
    }
    if o >= Op::ADDVV as usize {
        return Some(if first { b(ins) } else { c(ins) });
    }
    Some(b(ins))
}

/// The low 32 bits of a number rounded to an integer, as the bit library takes them; in range or not.
#[inline(always)]
pub fn to_bits(n: f64) -> i32 {
    (n + 6_755_399_441_055_744.0).to_bits() as i32
}

macro_rules! bits {
    ($($name:ident |$x:ident, $y:ident| $e:expr;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                let (x, y) = (*rb(base, ins), *rc(base, ins));
                if !x.is_number() || !y.is_number() {
                    return slow_bits(l, base, k, pc, ins, g);
                }
                let ($x, $y) = (to_bits(x.raw_f64()), to_bits(y.raw_f64()));
                let r: i32 = $e;
                *ra(base, ins) = Value::raw_number(r as f64);
                next(l, base, k, pc, g)
            }
        }
    )* };
}
bits! {
    band |x, y| x & y;
    bor |x, y| x | y;
    bxor |x, y| x ^ y;
    bshl |x, y| x.wrapping_shl(y as u32);
    bshr |x, y| (x as u32).wrapping_shr(y as u32) as i32;
    bsar |x, y| x.wrapping_shr(y as u32);
}
op! {
    fn bnot(l, base, k, pc, ins, g) {
        let x = *rd(base, ins);
        if !x.is_number() {
            return slow_bits(l, base, k, pc, ins, g);
        }
        *ra(base, ins) = Value::raw_number(!to_bits(x.raw_f64()) as f64);
        next(l, base, k, pc, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn slow_bits(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let unary = ins & 0xff == Op::BNOT as u32;
        let (x, y) = if unary { (*rd(base, ins), *rd(base, ins)) } else { (*rb(base, ins), *rc(base, ins)) };
        match store_bits(l, ins, x, y, unary) {
            Ok(()) => next(l, (*l).base, k, pc, g),
            Err(e) => raise(l, g, e),
        }
    }
}

/// Apart from the handler, because the result goes through memory.
#[inline(never)]
unsafe fn store_bits(l: *mut Thread, ins: u32, x: Value, y: Value, unary: bool) -> Result<(), Throw> {
    // SAFETY: contract of the module.
    unsafe {
        let v = bit_operator(l, ins, x, y, unary)?;
        *(*l).base.add(a(ins)) = v;
    }
    Ok(())
}

/// Bit operators on what is not two numbers: numeric strings, and cdata through the hook of the ffi library.
unsafe fn bit_operator(l: *mut Thread, ins: u32, x: Value, y: Value, unary: bool) -> Result<Value, Throw> {
    let cx = cx(l);
    if (x.as_cdata().is_some() || y.as_cdata().is_some())
        && let Some(f) = cx.g().cdata_bitop
    {
        return f(cx, (ins & 0xff) as u8, x, y);
    }
    let first = if unary { d(ins) } else { b(ins) };
    let Some(p) = to_number(x) else {
        return Err(crate::error::bit_operand(cx, x, Some(first)));
    };
    let Some(q) = to_number(y) else {
        return Err(crate::error::bit_operand(cx, y, Some(c(ins))));
    };
    let (p, q) = (to_bits(p), to_bits(q));
    let r = match (ins & 0xff) as usize {
        o if o == Op::BNOT as usize => !p,
        o if o == Op::BAND as usize => p & q,
        o if o == Op::BOR as usize => p | q,
        o if o == Op::BXOR as usize => p ^ q,
        o if o == Op::BSHL as usize => p.wrapping_shl(q as u32),
        o if o == Op::BSHR as usize => (p as u32).wrapping_shr(q as u32) as i32,
        _ => p.wrapping_shr(q as u32),
    };
    Ok(Value::int(r as i64))
}
