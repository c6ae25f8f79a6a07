//! `string`.

use ir::op::Op as O;
use ir::trace::Addr;
use ir::types::{Operand, Type};

use super::math::number;
use super::{Args, Recipe};
use crate::jit::record::{Recorder, V};
use crate::value::Tag;

/// Where the bytes of a string begin, and its length.
const BYTES: i64 = 24;
const LENGTH: i64 = 4;

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "byte" => byte,
        "char" => char,
        "sub" => sub,
        _ => return None,
    })
}

/// Argument `i` if it is a string: its address.
fn string(r: &mut Recorder, args: Args, i: usize) -> Option<Operand> {
    let slot = args.slot(i)?;
    if !r.live(slot).is(Tag::Str) {
        return None;
    }
    let v = r.typed(slot);
    Some(r.ptr(v))
}

/// `byte(s, i)` for an index inside.
fn byte(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    if args.n > 2 {
        return None;
    }
    let live = r.live(args.slot(0)?).as_str()?;
    let index = match args.slot(1) {
        Some(slot) => r.live(slot).as_number()?,
        None => 1.0,
    };
    if index < 1.0 || index > live.len() as f64 || index.fract() != 0.0 {
        return None;
    }
    let s = string(r, args, 0)?;
    let i = match args.slot(1) {
        Some(_) => {
            let v = number(r, args, 1)?;
            r.int(v)
        }
        None => r.b.int(Type::I32, 1),
    };
    let (one, class) = (r.b.int(Type::I32, 1), r.layout.class.str);
    let at = r.b.bin(O::Sub, Type::I32, i, one);
    let len = r.load(Type::I32, s, LENGTH, class);
    let inside = r.b.bin(O::Ult, Type::I32, at, len);
    r.guard(inside);
    let index = r.b.convert(O::Zext, Type::I32, Type::I64, at);
    let byte = r.b.load(Type::I8, Addr { base: s, index, scale: 1, disp: BYTES }, class);
    let byte = r.b.convert(O::Zext, Type::I8, Type::I32, byte);
    Some(vec![r.val_int(byte)])
}

/// `char(b)` of one byte.
fn char(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    if args.n != 1 {
        return None;
    }
    let live = r.live(args.slot(0)?).as_number()?;
    if !(0.0..256.0).contains(&live) || live.fract() != 0.0 {
        return None;
    }
    let v = number(r, args, 0)?;
    r.gc_check();
    let i = r.int(v);
    let most = r.b.int(Type::I32, 256);
    let fits = r.b.bin(O::Ult, Type::I32, i, most);
    r.guard(fits);
    let g = r.g();
    let helper = r.layout.helper.string_char;
    let s = r.helper(helper, &[g, i]);
    Some(vec![r.val_ptr(Tag::Str, s)])
}

/// `sub(s, i, j)` with integers.
fn sub(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    if !(2..=3).contains(&args.n) {
        return None;
    }
    let whole = |r: &Recorder, i: usize| {
        let n = r.live(args.slot(i)?).as_number()?;
        (n as i32 as f64 == n).then_some(())
    };
    whole(r, 1)?;
    if args.n == 3 {
        whole(r, 2)?;
    }
    let s = string(r, args, 0)?;
    let i = number(r, args, 1)?;
    r.gc_check();
    let i = r.int(i);
    let j = if args.n == 3 {
        let j = number(r, args, 2)?;
        r.int(j)
    } else {
        r.b.int(Type::I32, -1)
    };
    let g = r.g();
    let helper = r.layout.helper.string_sub;
    let part = r.helper(helper, &[g, s, i, j]);
    Some(vec![r.val_ptr(Tag::Str, part)])
}
