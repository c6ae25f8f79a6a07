//! `string`.

use ir::op::Op as O;
use ir::trace::Addr;
use ir::types::{Operand, Type};

use super::math::number;
use super::{Args, Recipe};
use crate::jit::helpers::Map;
use crate::jit::record::{Kind, Recorder, V};
use crate::pattern;
use crate::value::{Tag, Value};

/// Where the bytes of a string begin, and its length.
const BYTES: i64 = 24;
const LENGTH: i64 = 4;

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "byte" => byte,
        "char" => char,
        "sub" => sub,
        "rep" => rep,
        "find" => find_text,
        "reverse" => |r, a| map(r, a, Map::Reverse),
        "lower" => |r, a| map(r, a, Map::Lower),
        "upper" => |r, a| map(r, a, Map::Upper),
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
        return bytes(r, args);
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

/// `byte(s, i, j)` inside the string, for a distance that the trace may take for constant.
fn bytes(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let live = r.live(args.slot(0)?).as_str()?;
    let (i, j) = (r.live(args.slot(1)?).as_number()?, r.live(args.slot(2)?).as_number()?);
    let inside = i >= 1.0 && i <= j && j <= live.len() as f64;
    if args.n != 3 || !inside || j - i >= 8.0 || i.fract() != 0.0 || j.fract() != 0.0 {
        return None;
    }
    let s = string(r, args, 0)?;
    let (vi, vj) = (number(r, args, 1)?, number(r, args, 2)?);
    let (x, y) = (r.int(vi), r.int(vj));
    let distance = r.b.bin(O::Sub, Type::I32, y, x);
    let k = r.b.int(Type::I32, (j - i) as i128);
    let same = r.b.bin(O::Eq, Type::I32, distance, k);
    r.guard(same);
    let (zero, class) = (r.b.int(Type::I32, 0), r.layout.class.str);
    let positive = r.b.bin(O::Slt, Type::I32, zero, x);
    r.guard(positive);
    let len = r.load(Type::I32, s, LENGTH, class);
    let below = r.b.bin(O::Ule, Type::I32, y, len);
    r.guard(below);
    let index = r.b.convert(O::Zext, Type::I32, Type::I64, x);
    let mut out = Vec::new();
    for n in 0..=(j - i) as i64 {
        let byte = r.b.load(Type::I8, Addr { base: s, index, scale: 1, disp: BYTES - 1 + n }, class);
        let byte = r.b.convert(O::Zext, Type::I8, Type::I32, byte);
        out.push(r.val_int(byte));
    }
    Some(out)
}

/// `#s`
pub(super) fn len(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let s = string(r, args, 0)?;
    let class = r.layout.class.str;
    let n = r.load(Type::I32, s, LENGTH, class);
    Some(vec![r.val_int(n)])
}

fn map(r: &mut Recorder, args: Args, which: Map) -> Option<Vec<V>> {
    let s = string(r, args, 0)?;
    r.gc_check();
    let (g, which) = (r.g(), r.b.i64(which as i64));
    let helper = r.layout.helper.string_map;
    let s = r.helper(helper, &[g, s, which]);
    Some(vec![r.val_ptr(Tag::Str, s)])
}

/// `rep(s, n)`
fn rep(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let n = r.live(args.slot(1)?).as_number()?;
    if args.n != 2 || n as i32 as f64 != n {
        return None;
    }
    let s = string(r, args, 0)?;
    let n = number(r, args, 1)?;
    let n = r.int(n);
    r.gc_check();
    let g = r.g();
    let helper = r.layout.helper.string_rep;
    let s = r.helper_raising(helper, &[g, s, n]);
    Some(vec![r.val_word(s, Kind::Tag(Tag::Str))])
}

/// `find(s, text, init, plain)` where the pattern is plain text.
fn find_text(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (subject, text) = (r.live(args.slot(0)?).as_str()?, r.live(args.slot(1)?).as_str()?);
    let plain = args.slot(3).is_some_and(|s| r.live(s).is_truthy());
    let init = match args.slot(2).map(|s| r.live(s)) {
        None => 1.0,
        Some(v) if v.is_nil() => 1.0,
        Some(v) => v.as_number()?,
    };
    if init < 1.0 || init as i32 as f64 != init || !plain && pattern::has_specials(text.bytes()) {
        return None;
    }
    let s = string(r, args, 0)?;
    let p = args.slot(1)?;
    let mut pv = r.typed(p);
    if let Some(slot) = args.slot(3) {
        r.typed(slot);
    }
    if !plain {
        // That it is plain is known of this one.
        pv = r.guard_value(pv, Value::from(text));
    }
    let one = r.b.int(Type::I32, 1);
    let from = match args.slot(2) {
        Some(slot) if !r.live(slot).is_nil() => {
            let v = number(r, args, 2)?;
            let i = r.int(v);
            let positive = r.b.bin(O::Sle, Type::I32, one, i);
            r.guard(positive);
            r.b.bin(O::Sub, Type::I32, i, one)
        }
        Some(slot) => {
            r.typed(slot);
            r.b.int(Type::I32, 0)
        }
        None => r.b.int(Type::I32, 0),
    };
    let text_ptr = r.ptr(pv);
    let helper = r.layout.helper.string_find;
    let at = r.helper(helper, &[s, text_ptr, from]);
    let bytes = subject.bytes();
    let start = (init as usize - 1).min(bytes.len());
    let found = pattern::find_plain(&bytes[start..], text.bytes()).is_some();
    let zero = r.b.int(Type::I32, 0);
    let here = r.b.bin(O::Sle, Type::I32, zero, at);
    let cond = if found { here } else { r.not(here) };
    r.guard(cond);
    if !found {
        return Some(vec![r.val_const(Value::NIL)]);
    }
    let class = r.layout.class.str;
    let len = r.load(Type::I32, text_ptr, LENGTH, class);
    let first = r.b.bin(O::Add, Type::I32, at, one);
    let last = r.b.bin(O::Add, Type::I32, at, len);
    Some(vec![r.val_int(first), r.val_int(last)])
}

/// `char` of up to eight bytes.
fn chars(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    if args.n == 0 || args.n > 8 {
        return None;
    }
    for i in 0..args.n {
        let live = r.live(args.slot(i)?).as_number()?;
        if !(0.0..256.0).contains(&live) || live.fract() != 0.0 {
            return None;
        }
    }
    let mut packed = r.b.i64(0);
    let most = r.b.int(Type::I32, 256);
    for i in 0..args.n {
        let v = number(r, args, i)?;
        let x = r.int(v);
        let fits = r.b.bin(O::Ult, Type::I32, x, most);
        r.guard(fits);
        let x = r.b.convert(O::Zext, Type::I32, Type::I64, x);
        let by = r.b.i64(8 * i as i64);
        let x = r.b.bin(O::Shl, Type::I64, x, by);
        packed = r.b.bin(O::Or, Type::I64, packed, x);
    }
    r.gc_check();
    let (g, n) = (r.g(), r.b.int(Type::I32, args.n as i128));
    let helper = r.layout.helper.string_chars;
    let s = r.helper(helper, &[g, packed, n]);
    Some(vec![r.val_ptr(Tag::Str, s)])
}

/// `char(b)` of one byte.
fn char(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    if args.n != 1 {
        return chars(r, args);
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
