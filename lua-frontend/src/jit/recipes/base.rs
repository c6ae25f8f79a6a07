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
        "ipairs" => ipairs,
        "pairs" => pairs,
        "next" => next,
        "tostring" => tostring,
        "select" => select,
        "unpack" => unpack,
        "rawget" => rawget,
        "rawset" => rawset,
        "setmetatable" => setmetatable,
        "getmetatable" => getmetatable,
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
    let live = r.live(slot);
    if live.is_number() {
        return Some(vec![r.typed(slot)]);
    }
    let text = live.as_str()?;
    let v = r.typed(slot);
    let s = r.ptr(v);
    let helper = r.layout.helper.to_number;
    let word = r.helper(helper, &[s]);
    let v = r.val_word(word, Kind::Any);
    let now = crate::numscan::to_number(text.bytes()).map_or(Value::NIL, Value::number);
    Some(vec![r.with_kind(v, Kind::of(now))])
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

/// Most values that `unpack` gives in line.
const MOST_VALUES: usize = 32;

fn pairs(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    r.live(slot).as_table()?;
    let next = args.upvalue(0)?;
    let t = r.typed(slot);
    Some(vec![r.val_const(next), t, r.val_const(Value::NIL)])
}

fn ipairs(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    r.live(slot).as_table()?;
    let aux = args.upvalue(0)?;
    let t = r.typed(slot);
    Some(vec![r.val_const(aux), t, r.val_const(Value::int(0))])
}

/// `next(t, k)` for a key that is in the table.
fn next(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    let t = r.live(slot).as_table()?;
    let (live_key, key) = match args.slot(1) {
        Some(k) => (r.live(k), r.typed(k)),
        None => (Value::NIL, r.val_const(Value::NIL)),
    };
    let from = t.position(live_key)?;
    let tv = r.typed(slot);
    let (p, k) = (r.ptr(tv), r.word(key));
    let helper = r.layout.helper.table_scan_key;
    let at = r.helper(helper, &[p, k]);
    match r.entry(t, p, at, from) {
        Some((k, v)) => Some(vec![k, v]),
        None => Some(vec![r.val_const(Value::NIL)]),
    }
}

fn tostring(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    let live = r.live(slot);
    if live.is(Tag::Str) {
        return Some(vec![r.typed(slot)]);
    }
    // SAFETY: the live state.
    let plain = unsafe { (*r.global()).basemt_tostring_plain(live.tag()) };
    if !plain || !live.is_number() {
        return None;
    }
    let v = r.typed(slot);
    r.gc_check();
    let (g, word) = (r.g(), r.word(v));
    let helper = r.layout.helper.to_string;
    let s = r.helper_raising(helper, &[g, word]);
    Some(vec![r.val_word(s, Kind::Tag(Tag::Str))])
}

/// `select(n, ...)` for an `n` that the trace may take for constant.
fn select(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    let live = r.live(slot);
    if live.as_str().is_some_and(|s| s.bytes() == b"#") {
        let v = r.typed(slot);
        r.guard_value(v, live);
        return Some(vec![r.val_const(Value::int(args.n as i64 - 1))]);
    }
    let i = live.as_number()?;
    let v = r.typed(slot);
    v.value?;
    if i.fract() != 0.0 || i < 1.0 {
        return None;
    }
    let from = (i as usize).min(args.n);
    Some((from..args.n).map(|i| r.get(args.first + i)).collect())
}

fn unpack(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    let t = r.live(slot).as_table()?;
    let bound = |r: &Recorder, i: usize, absent: usize| match args.slot(i) {
        None => Some(absent),
        Some(s) => {
            let v = r.live(s);
            if v.is_nil() {
                return Some(absent);
            }
            let n = v.as_number()?;
            ((0.0..1e6).contains(&n) && n.fract() == 0.0).then_some(n as usize)
        }
    };
    let (first, last) = (bound(r, 1, 1)?, bound(r, 2, t.len())?);
    // All of them in the array part.
    if args.n > 3 || last + 1 > first + MOST_VALUES || first <= last && last >= t.h.n as usize {
        return None;
    }
    let tv = r.typed(slot);
    let p = r.ptr(tv);
    for i in 1..args.n {
        let (v, live) = (r.typed(args.first + i), r.live(args.first + i));
        r.guard_value(v, live);
    }
    if args.slot(2).is_none_or(|s| r.live(s).is_nil()) {
        let helper = r.layout.helper.table_len;
        let n = r.helper(helper, &[p]);
        let k = r.b.int(Type::I32, last as i128);
        let same = r.b.bin(O::Eq, Type::I32, n, k);
        r.guard(same);
    }
    let mut out = Vec::new();
    for i in first..=last {
        let index = r.b.int(Type::I32, i as i128);
        let word = r.array_or_call(t, p, index, i as i32);
        let v = r.val_word(word, Kind::Any);
        out.push(r.with_kind(v, Kind::of(t.get_int(i as i32))));
    }
    Some(out)
}

fn rawget(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (slot, key) = (args.slot(0)?, args.slot(1)?);
    let t = r.live(slot).as_table()?;
    let live = t.get(r.live(key));
    let (tv, kv) = (r.typed(slot), r.typed(key));
    let (p, k) = (r.ptr(tv), r.word(kv));
    let helper = r.layout.helper.table_get;
    let word = r.helper(helper, &[p, k]);
    let v = r.val_word(word, Kind::Any);
    Some(vec![r.with_kind(v, Kind::of(live))])
}

fn rawset(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (slot, key, value) = (args.slot(0)?, args.slot(1)?, args.slot(2)?);
    r.live(slot).as_table()?;
    let (t, k, v) = (r.typed(slot), r.typed(key), r.typed(value));
    r.gc_check();
    let (p, k, v) = (r.ptr(t), r.word(k), r.word(v));
    let g = r.g();
    let helper = r.layout.helper.table_set;
    r.helper_raising(helper, &[g, p, k, v]);
    Some(vec![t])
}

/// The first metatable of a table.
fn setmetatable(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (slot, meta) = (args.slot(0)?, args.slot(1)?);
    let t = r.live(slot).as_table()?;
    r.live(meta).as_table()?;
    if !t.meta.is_null() {
        return None;
    }
    let (tv, mv) = (r.typed(slot), r.typed(meta));
    r.guard_no_meta(tv);
    let (p, m) = (r.ptr(tv), r.ptr(mv));
    r.guard_not_black(p);
    r.set_meta(p, m);
    Some(vec![tv])
}

/// Nil for a table that has none.
fn getmetatable(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    if !r.live(slot).as_table()?.meta.is_null() {
        return None;
    }
    let t = r.typed(slot);
    r.guard_no_meta(t);
    Some(vec![r.val_const(Value::NIL)])
}
