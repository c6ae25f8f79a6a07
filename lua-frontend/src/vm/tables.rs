//! Table operations: construction, reads and writes with the metamethods `__index` and `__newindex`, length.

use crate::bytecode::{b, c, d};
use crate::error::{self, Throw};
use crate::gc;
use crate::object::{BLACK, Func, Table, Thread};
use crate::state::{Cont, Event, Global};
use crate::table;
use crate::value::{Gc, Tag, Value};

use super::calls::call_meta;
use super::data::gc_then_next;
use super::{cx, next, op, ra, raise, rb, rc, rd, sync};

op! {
    #[inline(never)]
    fn tnew(l, base, k, pc, ins, g) {
        let n = d(ins) as u32 & 0x7ff;
        let n = if n == 0x7ff { 0x801 } else { n };
        let t = table::new(&mut (*g).heap, n, d(ins) as u32 >> 11);
        *ra(base, ins) = t.into();
        if (*g).heap.total >= (*g).heap.threshold {
            sync(l, base, pc);
            return gc_then_next(l, base, k, pc, ins, g);
        }
        next(l, base, k, pc, g)
    }
}
op! {
    #[inline(never)]
    fn tdup(l, base, k, pc, ins, g) {
        let t = table::dup(&mut (*g).heap, Gc::from_ptr((*k.sub(1 + d(ins))).ptr()));
        *ra(base, ins) = t.into();
        if (*g).heap.total >= (*g).heap.threshold {
            sync(l, base, pc);
            return gc_then_next(l, base, k, pc, ins, g);
        }
        next(l, base, k, pc, g)
    }
}

/// Reads a string key: the value if it is not nil, or nil if there is no metatable; else `None`.
macro_rules! get_str {
    ($t:expr, $key:expr) => {{
        let (t, key): (*mut Table, Value) = ($t, $key);
        let mut n = (*t).node.add(((*key.ptr::<crate::object::Str>()).sid & (*t).hmask) as usize);
        loop {
            if (*n).key == key {
                let v = (*n).val;
                break if v.is_nil() && !(*t).meta.is_null() { None } else { Some(v) };
            }
            n = (*n).next;
            if n.is_null() {
                break if (*t).meta.is_null() { Some(Value::NIL) } else { None };
            }
        }
    }};
}

op! {
    fn gget(l, base, k, pc, ins, g) {
        let t = (*(*base.sub(2)).ptr::<Func>()).env;
        if let Some(v) = get_str!(t, *k.sub(1 + d(ins))) {
            *ra(base, ins) = v;
            return next(l, base, k, pc, g);
        }
        slow_gget(l, base, k, pc, ins, g)
    }
}
op! {
    fn tgets(l, base, k, pc, ins, g) {
        let o = *rb(base, ins);
        if o.is(Tag::Table)
            && let Some(v) = get_str!(o.ptr::<Table>(), *k.sub(1 + c(ins)))
        {
            *ra(base, ins) = v;
            return next(l, base, k, pc, g);
        }
        slow_tgets(l, base, k, pc, ins, g)
    }
}
op! {
    fn tgetb(l, base, k, pc, ins, g) {
        let o = *rb(base, ins);
        if o.is(Tag::Table) {
            let t = o.ptr::<Table>();
            if (c(ins) as u32) < (*t).h.n {
                let v = *(*t).array.add(c(ins));
                if !v.is_nil() || (*t).meta.is_null() {
                    *ra(base, ins) = v;
                    return next(l, base, k, pc, g);
                }
            }
        }
        slow_tgetb(l, base, k, pc, ins, g)
    }
}

/// The array index that a word is, or a number beyond any array.
#[inline(always)]
pub(crate) fn index_of(v: Value) -> u32 {
    let n = v.raw_f64();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64. Out of range inputs and NaNs give `i32::MIN`, which is no index.
    let i = unsafe {
        use std::arch::x86_64::{_mm_cvttsd_si32, _mm_set_sd};
        _mm_cvttsd_si32(_mm_set_sd(n))
    };
    #[cfg(not(target_arch = "x86_64"))]
    let i = n as i32;
    if i as f64 == n { i as u32 } else { u32::MAX }
}

op! {
    fn tgetv(l, base, k, pc, ins, g) {
        let (o, key) = (*rb(base, ins), *rc(base, ins));
        if o.is(Tag::Table) {
            let t = o.ptr::<Table>();
            let i = index_of(key);
            if i < (*t).h.n {
                let v = *(*t).array.add(i as usize);
                if !v.is_nil() || (*t).meta.is_null() {
                    *ra(base, ins) = v;
                    return next(l, base, k, pc, g);
                }
            } else if key.is(Tag::Str)
                && let Some(v) = get_str!(t, key)
            {
                *ra(base, ins) = v;
                return next(l, base, k, pc, g);
            }
        }
        slow_tgetv(l, base, k, pc, ins, g)
    }
}

op! {
    #[cold]
    #[inline(never)]
    fn slow_gget(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let t = (*(*base.sub(2)).ptr::<Func>()).env;
        index(l, base, k, pc, ins, g, Value::tagged(Tag::Table, t), *k.sub(1 + d(ins)))
    }
}
op! {
    #[inline(never)]
    fn slow_tgets(l, base, k, pc, ins, g) {
        let (o, key) = (*rb(base, ins), *k.sub(1 + c(ins)));
        // One step through a table in `__index`: methods of objects and of strings.
        let m = if o.is(Tag::Table) {
            (*o.ptr::<Table>()).meta
        } else if o.is(Tag::Str) {
            (*g).basemt[Tag::Str as usize]
        } else {
            std::ptr::null_mut()
        };
        if !m.is_null() {
            let h = (*m).get_str(Gc::from_ptr((*g).names[Event::Index as usize]));
            if h.is(Tag::Table)
                && let Some(v) = get_str!(h.ptr::<Table>(), key)
            {
                *ra(base, ins) = v;
                return next(l, base, k, pc, g);
            }
        }
        sync(l, base, pc);
        index(l, base, k, pc, ins, g, *rb(base, ins), *k.sub(1 + c(ins)))
    }
}
op! {
    #[inline(never)]
    fn slow_tgetb(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        index(l, base, k, pc, ins, g, *rb(base, ins), Value::raw_number(c(ins) as f64))
    }
}
op! {
    #[inline(never)]
    fn slow_tgetv(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        index(l, base, k, pc, ins, g, *rb(base, ins), *rc(base, ins))
    }
}

/// Result of looking through a chain of `__index` or `__newindex`.
pub(crate) enum Found {
    /// The value (reads), or nothing to do any more (writes).
    Value(Value),
    /// A function to call with this object.
    Call(Value, Value),
    /// Neither a table nor a metamethod: this object.
    NoIndex(Value),
    /// More than 100 links.
    Loop,
}

/// Follows `__index`.
#[inline]
pub(crate) fn find(g: &mut Global, o: Value, key: Value) -> Found {
    let mut o = o;
    for _ in 0..100 {
        let h = if let Some(t) = o.as_table() {
            let v = t.get(key);
            if !v.is_nil() || t.meta.is_null() {
                return Found::Value(v);
            }
            let h = super::meta::lookup_in(g, t.meta, Event::Index);
            if h.is_nil() {
                return Found::Value(v);
            }
            h
        } else {
            let h = super::meta::lookup(g, o, Event::Index);
            if h.is_nil() {
                return Found::NoIndex(o);
            }
            h
        };
        if h.is(Tag::Func) {
            return Found::Call(h, o);
        }
        o = h;
    }
    Found::Loop
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the registers")]
unsafe fn index(
    l: *mut Thread,
    base: *mut Value,
    k: *mut Value,
    pc: *const u32,
    ins: u32,
    g: *mut Global,
    o: Value,
    key: Value,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        match find(&mut *g, o, key) {
            Found::Value(v) => {
                *ra(base, ins) = v;
                next(l, base, k, pc, g)
            }
            Found::Call(h, o) => call_meta(l, g, Cont::Store as u64, h, &[o, key]),
            Found::NoIndex(v) => {
                let e = error::index(cx(l), v, o, b(ins), key);
                raise(l, g, e)
            }
            Found::Loop => {
                let e = cx(l).error("loop in gettable");
                raise(l, g, e)
            }
        }
    }
}

/// Stores to the existing slot of a string key if no metamethod can be concerned.
macro_rules! set_str {
    ($t:expr, $key:expr, $v:expr) => {{
        let (t, key): (*mut Table, Value) = ($t, $key);
        let mut n = (*t).node.add(((*key.ptr::<crate::object::Str>()).sid & (*t).hmask) as usize);
        loop {
            if (*n).key == key {
                break if ((*n).val.is_nil() && !(*t).meta.is_null()) || (*t).h.flags & BLACK != 0 {
                    false
                } else {
                    (*t).h.x = 0;
                    (*n).val = $v;
                    true
                };
            }
            n = (*n).next;
            if n.is_null() {
                break false;
            }
        }
    }};
}

op! {
    fn gset(l, base, k, pc, ins, g) {
        let t = (*(*base.sub(2)).ptr::<Func>()).env;
        if set_str!(t, *k.sub(1 + d(ins)), *ra(base, ins)) {
            return next(l, base, k, pc, g);
        }
        slow_gset(l, base, k, pc, ins, g)
    }
}
op! {
    fn tsets(l, base, k, pc, ins, g) {
        let o = *rb(base, ins);
        if o.is(Tag::Table) && set_str!(o.ptr::<Table>(), *k.sub(1 + c(ins)), *ra(base, ins)) {
            return next(l, base, k, pc, g);
        }
        slow_tsets(l, base, k, pc, ins, g)
    }
}
op! {
    fn tsetb(l, base, k, pc, ins, g) {
        let o = *rb(base, ins);
        if o.is(Tag::Table) {
            let t = o.ptr::<Table>();
            if (c(ins) as u32) < (*t).h.n && (*t).h.flags & BLACK == 0 {
                let slot = (*t).array.add(c(ins));
                if (*t).meta.is_null() || !(*slot).is_nil() {
                    *slot = *ra(base, ins);
                    return next(l, base, k, pc, g);
                }
            }
        }
        slow_tsetb(l, base, k, pc, ins, g)
    }
}
op! {
    fn tsetv(l, base, k, pc, ins, g) {
        let (o, key) = (*rb(base, ins), *rc(base, ins));
        if o.is(Tag::Table) {
            let t = o.ptr::<Table>();
            let i = index_of(key);
            if i < (*t).h.n {
                let slot = (*t).array.add(i as usize);
                if (*t).h.flags & BLACK == 0 && ((*t).meta.is_null() || !(*slot).is_nil()) {
                    *slot = *ra(base, ins);
                    return next(l, base, k, pc, g);
                }
            } else if key.is(Tag::Str) && set_str!(t, key, *ra(base, ins)) {
                return next(l, base, k, pc, g);
            }
        }
        slow_tsetv(l, base, k, pc, ins, g)
    }
}
op! {
    #[inline(never)]
    fn slow_gset(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let t = (*(*base.sub(2)).ptr::<Func>()).env;
        newindex(l, base, k, pc, ins, g, Value::tagged(Tag::Table, t), *k.sub(1 + d(ins)))
    }
}
op! {
    #[inline(never)]
    fn slow_tsets(l, base, k, pc, ins, g) {
        let (o, key) = (*rb(base, ins), *k.sub(1 + c(ins)));
        if o.is(Tag::Table) {
            // A new key whose node is free.
            let t = o.ptr::<Table>();
            let n = (*t).node.add(((*key.ptr::<crate::object::Str>()).sid & (*t).hmask) as usize);
            if (*t).meta.is_null() && (*n).key.is_nil() && (*t).h.flags & BLACK == 0 && (*t).node != table::nil_node() {
                (*t).h.x = 0;
                (*n).key = key;
                (*n).val = *ra(base, ins);
                return next(l, base, k, pc, g);
            }
        }
        sync(l, base, pc);
        newindex(l, base, k, pc, ins, g, *rb(base, ins), *k.sub(1 + c(ins)))
    }
}
op! {
    #[inline(never)]
    fn slow_tsetb(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        newindex(l, base, k, pc, ins, g, *rb(base, ins), Value::raw_number(c(ins) as f64))
    }
}
op! {
    #[inline(never)]
    fn slow_tsetv(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        newindex(l, base, k, pc, ins, g, *rb(base, ins), *rc(base, ins))
    }
}

/// Follows `__newindex` and stores unless a function is to be called.
#[inline]
pub(crate) fn store(g: &mut Global, o: Value, key: Value, v: Value) -> Result<Found, table::TableError> {
    let mut o = o;
    for _ in 0..100 {
        let h = if let Some(t) = o.as_table() {
            let slot = t.slot(key);
            // SAFETY: slots are inside the table.
            let old = slot.map_or(Value::NIL, |s| unsafe { *s });
            let h = if !old.is_nil() || t.meta.is_null() {
                Value::NIL
            } else {
                super::meta::lookup_in(g, t.meta, Event::Newindex)
            };
            if h.is_nil() {
                let slot = match slot {
                    Some(s) => s,
                    None => table::new_key(&mut g.heap, t, key)?,
                };
                // SAFETY: a slot of a live table.
                unsafe {
                    (*t.as_ptr()).h.x = 0;
                    *slot = v;
                }
                gc::barrier_store(g, t, key, v);
                return Ok(Found::Value(Value::NIL));
            }
            h
        } else {
            let h = super::meta::lookup(g, o, Event::Newindex);
            if h.is_nil() {
                return Ok(Found::NoIndex(o));
            }
            h
        };
        if h.is(Tag::Func) {
            return Ok(Found::Call(h, o));
        }
        o = h;
    }
    Ok(Found::Loop)
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the registers")]
unsafe fn newindex(
    l: *mut Thread,
    base: *mut Value,
    k: *mut Value,
    pc: *const u32,
    ins: u32,
    g: *mut Global,
    o: Value,
    key: Value,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let v = *ra(base, ins);
        let e: Throw = match store(&mut *g, o, key, v) {
            Ok(Found::Value(_)) => return next(l, base, k, pc, g),
            Ok(Found::Call(h, o)) => return call_meta(l, g, Cont::Drop as u64, h, &[o, key, v]),
            Ok(Found::NoIndex(at)) => error::index(cx(l), at, o, b(ins), key),
            Ok(Found::Loop) => cx(l).error("loop in settable"),
            Err(e) => error::table(cx(l), e),
        };
        raise(l, g, e)
    }
}

op! {
    #[inline(never)]
    fn tsetm(l, base, k, pc, ins, g) {
        let n = (*l).multres as usize;
        let t: Gc<Table> = Gc::from_ptr((*ra(base, ins).sub(1)).ptr());
        let first = (*k.add(d(ins))).0 as u32 as usize;
        if n > 0 {
            sync(l, base, pc);
            if let Err(e) = table::reserve_array(&mut (*g).heap, t, (first + n - 1).min(u32::MAX as usize - 1) as u32) {
                let e = error::table(cx(l), e);
                return raise(l, g, e);
            }
            let from = ra(base, ins);
            for i in 0..n {
                *t.array.add(first + i) = *from.add(i);
            }
            gc::barrier_table(&mut *g, t);
        }
        next(l, base, k, pc, g)
    }
}

op! {
    fn len(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        if v.is(Tag::Str) {
            *ra(base, ins) = Value::raw_number((*v.ptr::<crate::object::Str>()).h.n as f64);
            return next(l, base, k, pc, g);
        }
        slow_len(l, base, k, pc, ins, g)
    }
}
op! {
    #[inline(never)]
    fn slow_len(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        if let Some(t) = v.as_table() {
            *ra(base, ins) = Value::raw_number(t.len() as f64);
            return next(l, base, k, pc, g);
        }
        sync(l, base, pc);
        let h = super::meta::lookup(&mut *g, v, Event::Len);
        if h.is_nil() {
            let e = error::operand(cx(l), v, Some(d(ins)), "get length of");
            return raise(l, g, e);
        }
        call_meta(l, g, Cont::Store as u64, h, &[v, Value::NIL])
    }
}
