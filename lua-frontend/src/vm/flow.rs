//! Loops and jumps.

use crate::bytecode::{Ins, Op, a, aj, j};
use crate::error::Throw;
use crate::object::{Func, Node, Table, Thread};
use crate::table::POSITION;
use crate::value::{Tag, Value};

use super::calls::call_at;
use super::{cx, jump, next, num, op, ra, raise, sync};

op! {
    fn jmp(l, base, k, pc, ins, g) {
        next(l, base, k, jump(pc, ins), g)
    }
}
op! {
    fn loop_(l, base, k, pc, ins, g) {
        next(l, base, k, pc, g)
    }
}
op! {
    fn forl(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        let step = num(r, 2);
        let i = num(r, 0) + step;
        let stop = num(r, 1);
        *r = Value::raw_number(i);
        *r.add(3) = Value::raw_number(i);
        if (step.to_bits() as i64) < 0 {
            if i >= stop {
                return next(l, base, k, jump(pc, ins), g);
            }
        } else if i <= stop {
            return next(l, base, k, jump(pc, ins), g);
        }
        next(l, base, k, pc, g)
    }
}
op! {
    fn fori(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        let (i, stop, step) = (*r, *r.add(1), *r.add(2));
        if !i.is_number() || !stop.is_number() || !step.is_number() {
            return slow_fori(l, base, k, pc, ins, g);
        }
        *r.add(3) = i;
        let (i, stop) = (i.raw_f64(), stop.raw_f64());
        let enter = if (step.0 as i64) < 0 { i >= stop } else { i <= stop };
        if enter {
            return next(l, base, k, pc, g);
        }
        next(l, base, k, jump(pc, ins), g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn slow_fori(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        match for_numbers(l, ra(base, ins)) {
            Ok(()) => next(l, base, k, pc.sub(1), g),
            Err(e) => raise(l, g, e),
        }
    }
}
#[cold]
#[inline(never)]
unsafe fn for_numbers(l: *mut Thread, r: *mut Value) -> Result<(), Throw> {
    for (i, what) in ["initial value", "limit", "step"].iter().enumerate() {
        // SAFETY: three control slots.
        unsafe {
            match super::arith::to_number(*r.add(i)) {
                Some(n) => *r.add(i) = Value::number(n),
                None => return Err(cx(l).error(format!("'for' {what} must be a number"))),
            }
        }
    }
    Ok(())
}

op! {
    fn iterc(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        *r = *r.sub(3);
        *r.add(2) = *r.sub(2);
        *r.add(3) = *r.sub(1);
        call_at(l, base, r, 2, pc, g)
    }
}
op! {
    fn iterl(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        let v = *r;
        if v.is_nil() {
            return next(l, base, k, pc, g);
        }
        *r.sub(1) = v;
        next(l, base, k, jump(pc, ins), g)
    }
}
op! {
    /// The traversal of `pairs`, with the position in the control slot. The following instruction is the `ITERL`.
    fn itern(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        let t = (*r.sub(2)).ptr::<Table>();
        let mut i = (*r.sub(1)).0 as u32;
        let n = (*t).h.n;
        while i < n {
            let v = *(*t).array.add(i as usize);
            if !v.is_nil() {
                *r = Value::raw_number(i as f64);
                *r.add(1) = v;
                *r.sub(1) = Value(POSITION + i as u64 + 1);
                return next(l, base, k, jump(pc.add(1), *pc), g);
            }
            i += 1;
        }
        i -= n;
        while i <= (*t).hmask {
            let node: *mut Node = (*t).node.add(i as usize);
            if !(*node).val.is_nil() {
                *r = (*node).key;
                *r.add(1) = (*node).val;
                *r.sub(1) = Value(POSITION + (n + i) as u64 + 1);
                return next(l, base, k, jump(pc.add(1), *pc), g);
            }
            i += 1;
        }
        *r = Value::NIL;
        next(l, base, k, pc.add(1), g)
    }
}
op! {
    fn isnext(l, base, k, pc, ins, g) {
        let r = ra(base, ins);
        let f = *r.sub(3);
        if f.is(Tag::Func)
            && (*f.ptr::<Func>()).h.x == crate::api::Builtin::Next as u8
            && (*r.sub(2)).is(Tag::Table)
            && (*r.sub(1)).is_nil()
        {
            *r.sub(1) = Value(POSITION);
            return next(l, base, k, jump(pc, ins), g);
        }
        slow_isnext(l, base, k, pc, ins, g)
    }
}
op! {
    /// Not the plain traversal: from now on the loop calls its iterator.
    #[cold]
    #[inline(never)]
    fn slow_isnext(l, base, k, pc, ins, g) {
        *(pc.sub(1) as *mut Ins) = aj(Op::JMP, a(ins) as u8, j(ins) as i32);
        let target = jump(pc, ins) as *mut Ins;
        *target = *target & !0xff | Op::ITERC as u32;
        // A traversal under way in another activation of this function goes on with a position in its control slot, which
        // `next` knows (`table::POSITION`).
        next(l, base, k, jump(pc, ins), g)
    }
}
