//! `bit`, on numbers.

use ir::op::Op as O;
use ir::types::{Operand, Type};

use super::math::number;
use super::{Args, Recipe};
use crate::jit::record::{Recorder, V};

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "tobit" => |r, a| one(r, a, |_, x| x),
        "bnot" => |r, a| one(r, a, |r, x| r.b.un(O::Not, Type::I32, x)),
        "bswap" => |r, a| one(r, a, |r, x| r.b.un(O::Bswap, Type::I32, x)),
        "lshift" => |r, a| shift(r, a, O::Shl),
        "rshift" => |r, a| shift(r, a, O::Shr),
        "arshift" => |r, a| shift(r, a, O::Sar),
        "rol" => |r, a| shift(r, a, O::Rol),
        "ror" => |r, a| shift(r, a, O::Ror),
        "band" => |r, a| many(r, a, O::And),
        "bor" => |r, a| many(r, a, O::Or),
        "bxor" => |r, a| many(r, a, O::Xor),
        _ => return None,
    })
}

fn one(r: &mut Recorder, args: Args, f: fn(&mut Recorder, Operand) -> Operand) -> Option<Vec<V>> {
    let x = number(r, args, 0)?;
    let x = r.to_bits(x);
    let y = f(r, x);
    Some(vec![r.val_int(y)])
}

fn shift(r: &mut Recorder, args: Args, op: O) -> Option<Vec<V>> {
    let (x, y) = (number(r, args, 0)?, number(r, args, 1)?);
    let (x, y) = (r.to_bits(x), r.to_bits(y));
    let z = r.bit_op(op, x, y);
    Some(vec![r.val_int(z)])
}

fn many(r: &mut Recorder, args: Args, op: O) -> Option<Vec<V>> {
    let first = number(r, args, 0)?;
    let mut all = Vec::with_capacity(args.n);
    for i in 1..args.n {
        all.push(number(r, args, i)?);
    }
    let mut x = r.to_bits(first);
    for v in all {
        let y = r.to_bits(v);
        x = r.bit_op(op, x, y);
    }
    Some(vec![r.val_int(x)])
}
