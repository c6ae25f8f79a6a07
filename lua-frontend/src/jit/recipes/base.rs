//! Functions of the base library.

use ir::op::Op as O;
use ir::types::Type;

use super::{Args, Recipe};
use crate::jit::record::{Kind, Recorder, V};
use crate::value::{Tag, Value};

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "type" => type_,
        "tonumber" => tonumber,
        "assert" => assert,
        "rawequal" => rawequal,
        "ipairs_aux" => ipairs_aux,
        _ => return None,
    })
}

fn type_(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    let live = r.live(slot);
    r.typed(slot);
    let tag = if live.is_number() { Tag::Number as u32 } else { live.raw_tag() };
    // SAFETY: the live state.
    let name = unsafe { (&(*r.global()).type_names)[tag as usize & 15] };
    Some(vec![r.val_const(Value::tagged(Tag::Str, name))])
}

fn tonumber(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0).filter(|_| args.n == 1)?;
    if !r.live(slot).is_number() {
        return None;
    }
    Some(vec![r.typed(slot)])
}

fn assert(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    if r.live(slot).is_falsy() {
        return None;
    }
    r.typed(slot);
    Some((0..args.n).map(|i| r.get(args.first + i)).collect())
}

fn rawequal(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (x, y) = (args.slot(0)?, args.slot(1).filter(|_| args.n == 2)?);
    let (p, q) = (r.live(x), r.live(y));
    if p.is_number() || q.is_number() {
        return None;
    }
    let (v, w) = (r.typed(x), r.typed(y));
    if v.kind == w.kind {
        let (v, w) = (r.word(v), r.word(w));
        let same = r.b.bin(O::Eq, Type::I64, v, w);
        let cond = if p == q { same } else { r.not(same) };
        r.guard(cond);
    }
    Some(vec![r.val_const(Value::boolean(p == q))])
}

/// The iterator of `ipairs`, inside the array part.
fn ipairs_aux(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (t, i) = (args.slot(0)?, args.slot(1)?);
    let (live, n) = (r.live(t).as_table()?, r.live(i).as_number()?);
    if n < 0.0 || n.fract() != 0.0 || n > f64::from(i32::MAX - 1) {
        return None;
    }
    let (tv, iv) = (r.typed(t), r.typed(i));
    let p = r.ptr(tv);
    let (k, one) = (r.int(iv), r.b.int(Type::I32, 1));
    let zero = r.b.int(Type::I32, 0);
    let positive = r.b.bin(O::Sle, Type::I32, zero, k);
    r.guard(positive);
    let next = r.b.bin(O::Add, Type::I32, k, one);
    let value = live.get_int(n as i32 + 1);
    let word = r.array_or_call(live, p, next, n as i32 + 1);
    let v = r.val_word(word, Kind::Any);
    let v = r.with_kind(v, Kind::of(value));
    if value.is_nil() {
        return Some(Vec::new());
    }
    Some(vec![r.val_int(next), v])
}
