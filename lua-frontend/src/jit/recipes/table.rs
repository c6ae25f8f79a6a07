//! `table`.

use super::{Args, Recipe};
use crate::jit::record::{Kind, Recorder, V};
use crate::value::Tag;

pub(super) fn find(name: &str) -> Option<Recipe> {
    Some(match name {
        "insert" => insert,
        "concat" => concat,
        "new" => new,
        "clear" => clear,
        _ => return None,
    })
}

/// `insert(t, v)`
fn insert(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0).filter(|_| args.n == 2)?;
    r.live(slot).as_table()?;
    let (t, v) = (r.typed(slot), r.typed(args.first + 1));
    r.gc_check();
    let (g, p, v) = (r.g(), r.ptr(t), r.word(v));
    let helper = r.layout.helper.table_append;
    r.helper_raising(helper, &[g, p, v]);
    Some(Vec::new())
}

/// `remove(t)` where one result is used.
pub(super) fn remove(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0).filter(|_| args.n == 1)?;
    let t = r.live(slot).as_table()?;
    if !t.meta.is_null() || args.want.is_none() {
        return None;
    }
    let t = r.typed(slot);
    r.guard_no_meta(t);
    let p = r.ptr(t);
    let helper = r.layout.helper.table_pop;
    let word = r.helper(helper, &[p]);
    Some(vec![r.val_word(word, Kind::Any)])
}

/// `concat(t, sep)`
fn concat(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0).filter(|_| args.n <= 2)?;
    r.live(slot).as_table()?;
    let sep = match args.slot(1) {
        None => r.b.i64(0),
        Some(s) if r.live(s).is_nil() => {
            r.typed(s);
            r.b.i64(0)
        }
        Some(s) => {
            r.live(s).as_str()?;
            let v = r.typed(s);
            r.ptr(v)
        }
    };
    let t = r.typed(slot);
    r.gc_check();
    let (g, p) = (r.g(), r.ptr(t));
    let helper = r.layout.helper.table_concat;
    let s = r.helper_raising(helper, &[g, p, sep]);
    Some(vec![r.val_word(s, Kind::Tag(Tag::Str))])
}

/// `new(narray, nhash)` for constants.
fn new(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let (x, y) = (args.slot(0)?, args.slot(1)?);
    let (a, h) = (r.live(x).as_number()?, r.live(y).as_number()?);
    let small = |n: f64| (0.0..65536.0).contains(&n) && n.fract() == 0.0;
    if !small(a) || !small(h) {
        return None;
    }
    for slot in [x, y] {
        let (v, live) = (r.typed(slot), r.live(slot));
        r.guard_value(v, live);
    }
    r.gc_check();
    let (g, a) = (r.g(), r.b.i64(if a > 0.0 { a as i64 + 1 } else { 0 }));
    let h = r.b.i64(crate::table::hash_bits(h as u32).into());
    let helper = r.layout.helper.table_new;
    let t = r.helper(helper, &[g, a, h]);
    Some(vec![r.val_ptr(Tag::Table, t)])
}

fn clear(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    let slot = args.slot(0)?;
    r.live(slot).as_table()?;
    let t = r.typed(slot);
    let p = r.ptr(t);
    let helper = r.layout.helper.table_clear;
    r.helper(helper, &[p]);
    Some(Vec::new())
}
