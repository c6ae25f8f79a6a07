//! `math`.

use ir::op::Op as O;
use ir::types::{Round, Type};

use super::{Args, Recipe};
use crate::jit::helpers::{Math1, Math2};
use crate::jit::record::{Kind, Recorder, V};

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "abs" => abs,
        "floor" => floor,
        "ceil" => ceil,
        "sqrt" => sqrt,
        "min" => min,
        "max" => max,
        "sin" => |r, a| math1(r, a, Math1::Sin),
        "cos" => |r, a| math1(r, a, Math1::Cos),
        "tan" => |r, a| math1(r, a, Math1::Tan),
        "asin" => |r, a| math1(r, a, Math1::Asin),
        "acos" => |r, a| math1(r, a, Math1::Acos),
        "atan" => |r, a| math1(r, a, Math1::Atan),
        "exp" => |r, a| math1(r, a, Math1::Exp),
        "log" => |r, a| if a.n == 1 { math1(r, a, Math1::Log) } else { None },
        "log10" => |r, a| math1(r, a, Math1::Log10),
        "sinh" => |r, a| math1(r, a, Math1::Sinh),
        "cosh" => |r, a| math1(r, a, Math1::Cosh),
        "tanh" => |r, a| math1(r, a, Math1::Tanh),
        "pow" => |r, a| math2(r, a, Math2::Pow),
        "fmod" => |r, a| math2(r, a, Math2::Fmod),
        "atan2" => |r, a| math2(r, a, Math2::Atan2),
        _ => return None,
    })
}

/// Argument `i` if it is a number.
pub(super) fn number(r: &mut Recorder, args: Args, i: usize) -> Option<V> {
    let slot = args.slot(i)?;
    if !r.live(slot).is_number() {
        return None;
    }
    let v = r.typed(slot);
    (v.kind == Kind::Num).then_some(v)
}

fn one(
    r: &mut Recorder,
    args: Args,
    f: impl Fn(&mut Recorder, ir::types::Operand) -> ir::types::Operand,
) -> Option<Vec<V>> {
    let x = number(r, args, 0)?;
    let x = r.num(x);
    let y = f(r, x);
    Some(vec![r.val_num(y)])
}

fn abs(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    // The sign of a NaN stays: 0 - x where x is negative, x + 0 elsewhere.
    one(r, args, |r, x| {
        let (zero, minus) = (r.b.f64(0.0), r.b.f64(-0.0));
        let below = r.b.bin(O::Flt, Type::F64, x, zero);
        let negated = r.b.bin(O::Fsub, Type::F64, minus, x);
        let same = r.b.bin(O::Fadd, Type::F64, x, zero);
        r.b.select(Type::F64, below, negated, same)
    })
}

fn round(r: &mut Recorder, args: Args, mode: Round) -> Option<Vec<V>> {
    let v = number(r, args, 0)?;
    if r.known_int(v).is_some() {
        return Some(vec![v]);
    }
    one(r, args, |r, x| r.b.fround(Type::F64, mode, x))
}

fn floor(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    round(r, args, Round::Down)
}

fn ceil(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    round(r, args, Round::Up)
}

fn sqrt(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    one(r, args, |r, x| r.b.un(O::Fsqrt, Type::F64, x))
}

fn extreme(r: &mut Recorder, args: Args, op: O) -> Option<Vec<V>> {
    if args.n == 0 {
        return None;
    }
    let first = number(r, args, 0)?;
    let mut m = r.num(first);
    for i in 1..args.n {
        let x = number(r, args, i)?;
        let x = r.num(x);
        // `m < x ? m : x`: the second where they are equal or unordered, as the instruction has it.
        m = r.b.bin(op, Type::F64, m, x);
    }
    Some(vec![r.val_num(m)])
}

fn min(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    extreme(r, args, O::FminSse)
}

fn max(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    extreme(r, args, O::FmaxSse)
}

fn math1(r: &mut Recorder, args: Args, f: Math1) -> Option<Vec<V>> {
    one(r, args, |r, x| {
        let which = r.b.i64(f as i64);
        let helper = r.layout.helper.math1;
        r.helper(helper, &[x, which])
    })
}

fn math2(r: &mut Recorder, args: Args, f: Math2) -> Option<Vec<V>> {
    let (x, y) = (number(r, args, 0)?, number(r, args, 1)?);
    let (x, y) = (r.num(x), r.num(y));
    let which = r.b.i64(f as i64);
    let helper = r.layout.helper.math2;
    let z = r.helper(helper, &[x, y, which]);
    Some(vec![r.val_num(z)])
}
