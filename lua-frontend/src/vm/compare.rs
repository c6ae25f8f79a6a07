//! Comparisons and tests. Each is followed by a `JMP` that belongs to it.

use crate::bytecode::{Op, a, d};
use crate::object::{Table, Thread};
use crate::state::{Cont, Event, Global};
use crate::value::Value;

use super::calls::call_meta;
use super::data::pri;
use super::{cx, jump, next, num, op, ra, raise, rd, sync};

/// Goes on behind the jump, or takes it.
macro_rules! branch {
    ($cond:expr, $l:ident, $base:ident, $k:ident, $pc:ident, $g:ident) => {
        if $cond {
            next($l, $base, $k, jump($pc.add(1), *$pc), $g)
        } else {
            next($l, $base, $k, $pc.add(1), $g)
        }
    };
}

macro_rules! compare {
    ($($name:ident |$x:ident, $y:ident| $yes:expr, $no:expr;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                let ($x, $y) = (num(base, a(ins)), num(base, d(ins)));
                if $yes {
                    next(l, base, k, jump(pc.add(1), *pc), g)
                } else if $no {
                    next(l, base, k, pc.add(1), g)
                } else {
                    slow_compare(l, base, k, pc, ins, g)
                }
            }
        }
    )* };
}
compare! {
    islt |x, y| x < y, x >= y;
    isle |x, y| x <= y, x > y;
    isge |x, y| x >= y, x < y;
    isgt |x, y| x > y, x <= y;
}

op! {
    /// NaN, strings, metamethods.
    #[cold]
    #[inline(never)]
    fn slow_compare(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let (x, y) = (*ra(base, ins), *rd(base, ins));
        let o = ins & 0xff; // bit 0: inverted, bit 1: less or equal
        if x.is_number() && y.is_number() {
            // Unordered: the plain comparisons are false, the inverted ones true.
            return branch!(o & 1 != 0, l, base, k, pc, g);
        }
        if let (Some(s), Some(t)) = (x.as_str(), y.as_str()) {
            let (s, t) = (s.bytes(), t.bytes());
            let r = if o & 2 != 0 { s <= t } else { s < t };
            return branch!(r ^ (o & 1 != 0), l, base, k, pc, g);
        }
        let Some((h, x, y, invert)) = order_handler(&mut *g, x, y, o & 2 != 0) else {
            let e = crate::error::compare(cx(l), x, y);
            return raise(l, g, e);
        };
        let cont = if invert ^ (o & 1 != 0) { Cont::IfFalse } else { Cont::IfTrue };
        call_meta(l, g, cont as u64, h, &[x, y])
    }
}

/// The metamethod of `x < y` or `x <= y` with its operands, and whether its result is to be inverted; `None` if the values
/// cannot be compared.
pub(crate) fn order_handler(
    g: &mut Global,
    x: Value,
    y: Value,
    le: bool,
) -> Option<(Value, Value, Value, bool)> {
    let lookup = super::meta::lookup;
    if x.as_cdata().is_some() || y.as_cdata().is_some() {
        let with = if x.as_cdata().is_some() { x } else { y };
        let h = lookup(g, with, if le { Event::Le } else { Event::Lt });
        return if h.is_nil() { None } else { Some((h, x, y, false)) };
    }
    if x.tag() != y.tag() && !(x.is_bool() && y.is_bool()) {
        return None;
    }
    if le {
        let h = lookup(g, x, Event::Le);
        if !h.is_nil() && h == lookup(g, y, Event::Le) {
            return Some((h, x, y, false));
        }
    }
    let (p, q) = if le { (y, x) } else { (x, y) };
    let h = lookup(g, p, Event::Lt);
    if !h.is_nil() && h == lookup(g, q, Event::Lt) { Some((h, p, q, le)) } else { None }
}

/// The `__eq` metamethod that two different objects share, or nil.
pub(crate) fn equal_handler(g: &mut Global, x: Value, y: Value) -> Value {
    if x.as_cdata().is_some() || y.as_cdata().is_some() {
        let with = if x.as_cdata().is_some() { x } else { y };
        return super::meta::lookup(g, with, Event::Eq);
    }
    let (m, n) = match (x.as_table(), y.as_table(), x.as_userdata(), y.as_userdata()) {
        (Some(x), Some(y), ..) => (x.meta, y.meta),
        (.., Some(x), Some(y)) => (x.meta, y.meta),
        _ => return Value::NIL,
    };
    if m.is_null() || n.is_null() {
        return Value::NIL;
    }
    let h = super::meta::lookup_in(g, m, Event::Eq);
    if m != n && super::meta::lookup_in(g, n, Event::Eq) != h { Value::NIL } else { h }
}

macro_rules! equal_vv {
    ($name:ident, $eq:expr, $ne:expr) => {
        op! {
            fn $name(l, base, k, pc, ins, g) {
                let (x, y) = (*ra(base, ins), *rd(base, ins));
                let (p, q) = (x.raw_f64(), y.raw_f64());
                if p == q {
                    return branch!($eq, l, base, k, pc, g);
                }
                if p.partial_cmp(&q).is_some() {
                    return branch!($ne, l, base, k, pc, g);
                }
                if x == y {
                    return branch!((x != Value::NAN) == $eq, l, base, k, pc, g);
                }
                // Different words, at least one of them tagged.
                if (x.is(crate::value::Tag::Table) || x.is(crate::value::Tag::UserData)) && y.0 >> 47 == x.0 >> 47 {
                    let (m, n) = ((*x.ptr::<Table>()).meta, (*y.ptr::<Table>()).meta);
                    if !m.is_null() && !n.is_null() {
                        return slow_equal(l, base, k, pc, ins, g);
                    }
                } else if x.is(crate::value::Tag::CData) || y.is(crate::value::Tag::CData) {
                    return slow_equal(l, base, k, pc, ins, g);
                }
                branch!($ne, l, base, k, pc, g)
            }
        }
    };
}
equal_vv!(iseqv, true, false);
equal_vv!(isnev, false, true);

op! {
    #[cold]
    #[inline(never)]
    fn slow_equal(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let y = match ins & 0xff {
            o if o <= Op::ISNEV as u32 => *rd(base, ins),
            o if o <= Op::ISNES as u32 => *k.sub(1 + d(ins)),
            o if o <= Op::ISNEN as u32 => *k.add(d(ins)),
            _ => pri(ins),
        };
        equal_meta(l, base, k, pc, ins, g, *ra(base, ins), y)
    }
}

#[allow(clippy::too_many_arguments, reason = "the registers")]
unsafe fn equal_meta(
    l: *mut Thread,
    base: *mut Value,
    k: *mut Value,
    pc: *const u32,
    ins: u32,
    g: *mut Global,
    x: Value,
    y: Value,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let inverted = ins & 1 != Op::ISEQV as u32 & 1;
        let h = equal_handler(&mut *g, x, y);
        if h.is_nil() {
            return branch!(inverted, l, base, k, pc, g);
        }
        let cont = if inverted { Cont::IfFalse } else { Cont::IfTrue };
        call_meta(l, g, cont as u64, h, &[x, y])
    }
}

macro_rules! equal_k {
    ($name:ident, $eq:expr, $ne:expr, |$base:ident, $k:ident, $ins:ident| $y:expr) => {
        op! {
            fn $name(l, $base, $k, pc, $ins, g) {
                let x = *ra($base, $ins);
                if x == $y {
                    return branch!($eq, l, $base, $k, pc, g);
                }
                if x.is(crate::value::Tag::CData) {
                    return slow_equal(l, $base, $k, pc, $ins, g);
                }
                branch!(!$eq, l, $base, $k, pc, g)
            }
        }
    };
}
equal_k!(iseqs, true, false, |base, k, ins| *k.sub(1 + d(ins)));
equal_k!(isnes, false, true, |base, k, ins| *k.sub(1 + d(ins)));
equal_k!(iseqp, true, false, |base, k, ins| pri(ins));
equal_k!(isnep, false, true, |base, k, ins| pri(ins));

macro_rules! equal_n {
    ($name:ident, $eq:expr, $ne:expr) => {
        op! {
            fn $name(l, base, k, pc, ins, g) {
                let x = *ra(base, ins);
                // A tagged word is a NaN and so unequal.
                if x.raw_f64() == num(k, d(ins)) {
                    return branch!($eq, l, base, k, pc, g);
                }
                if x.is(crate::value::Tag::CData) {
                    return slow_equal(l, base, k, pc, ins, g);
                }
                branch!($ne, l, base, k, pc, g)
            }
        }
    };
}
equal_n!(iseqn, true, false);
equal_n!(isnen, false, true);

op! {
    fn istc(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        if v.is_truthy() {
            *ra(base, ins) = v;
        }
        branch!(v.is_truthy(), l, base, k, pc, g)
    }
}
op! {
    fn isfc(l, base, k, pc, ins, g) {
        let v = *rd(base, ins);
        if v.is_falsy() {
            *ra(base, ins) = v;
        }
        branch!(v.is_falsy(), l, base, k, pc, g)
    }
}
op! {
    fn ist(l, base, k, pc, ins, g) {
        branch!((*rd(base, ins)).is_truthy(), l, base, k, pc, g)
    }
}
op! {
    fn isf(l, base, k, pc, ins, g) {
        branch!((*rd(base, ins)).is_falsy(), l, base, k, pc, g)
    }
}
