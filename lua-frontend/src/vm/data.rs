//! Moves, constants, upvalues, closures.

use crate::bytecode::{UV_IMMUTABLE, UV_LOCAL};
use crate::bytecode::{a, d};
use crate::gc;
use crate::heap::Space;
use crate::object::{BLACK, Func, Header, Kind, LuaFunc, Proto, Thread, Upval};
use crate::state::Global;
use crate::value::{Tag, Value};

use super::{jump, next, op, ra, rd, sync};

op! {
    fn mov(l, base, k, pc, ins, g) {
        *ra(base, ins) = *rd(base, ins);
        next(l, base, k, pc, g)
    }
}
op! {
    fn not(l, base, k, pc, ins, g) {
        *ra(base, ins) = Value::boolean((*rd(base, ins)).is_falsy());
        next(l, base, k, pc, g)
    }
}
op! {
    fn kgc(l, base, k, pc, ins, g) {
        *ra(base, ins) = *k.sub(1 + d(ins));
        next(l, base, k, pc, g)
    }
}
op! {
    fn kshort(l, base, k, pc, ins, g) {
        *ra(base, ins) = Value::raw_number(((ins as i32) >> 16) as f64);
        next(l, base, k, pc, g)
    }
}
op! {
    fn knum(l, base, k, pc, ins, g) {
        *ra(base, ins) = *k.add(d(ins));
        next(l, base, k, pc, g)
    }
}
op! {
    fn kpri(l, base, k, pc, ins, g) {
        *ra(base, ins) = pri(ins);
        next(l, base, k, pc, g)
    }
}
/// The primitive of operand D.
#[inline(always)]
pub(crate) fn pri(ins: u32) -> Value {
    Value(!((d(ins) as u64) << 47))
}
op! {
    fn knil(l, base, k, pc, ins, g) {
        for i in a(ins)..=d(ins) {
            *base.add(i) = Value::NIL;
        }
        next(l, base, k, pc, g)
    }
}

/// Upvalue `i` of the running function.
#[inline(always)]
unsafe fn upval(base: *mut Value, i: usize) -> *mut Upval {
    // SAFETY: the running function has that many upvalues.
    unsafe {
        let f = (*base.sub(2)).ptr::<LuaFunc>();
        *(&raw const (*f).uv).cast::<*mut Upval>().add(i)
    }
}

op! {
    fn uget(l, base, k, pc, ins, g) {
        *ra(base, ins) = *(*upval(base, d(ins))).v;
        next(l, base, k, pc, g)
    }
}
op! {
    fn usetv(l, base, k, pc, ins, g) {
        let uv = upval(base, a(ins));
        let v = *rd(base, ins);
        *(*uv).v = v;
        if (*uv).h.flags & BLACK != 0 && v.is_gc() {
            return barrier_upval(l, base, k, pc, ins, g);
        }
        next(l, base, k, pc, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn barrier_upval(l, base, k, pc, ins, g) {
        gc::barrier_object(&mut *g, upval(base, a(ins)).cast());
        next(l, base, k, pc, g)
    }
}
op! {
    fn usets(l, base, k, pc, ins, g) {
        let uv = upval(base, a(ins));
        *(*uv).v = *k.sub(1 + d(ins));
        if (*uv).h.flags & BLACK != 0 {
            return barrier_upval(l, base, k, pc, ins, g);
        }
        next(l, base, k, pc, g)
    }
}
op! {
    fn usetn(l, base, k, pc, ins, g) {
        *(*upval(base, a(ins))).v = *k.add(d(ins));
        next(l, base, k, pc, g)
    }
}
op! {
    fn usetp(l, base, k, pc, ins, g) {
        *(*upval(base, a(ins))).v = pri(ins);
        next(l, base, k, pc, g)
    }
}
op! {
    fn uclo(l, base, k, pc, ins, g) {
        if !(*l).openuv.is_null() && (*(*l).openuv).v >= ra(base, ins) {
            close_upvals(l, ra(base, ins));
        }
        next(l, base, k, jump(pc, ins), g)
    }
}

/// Closes the open upvalues of all slots from `level` up.
#[inline(never)]
pub(crate) unsafe fn close_upvals(l: *mut Thread, level: *mut Value) {
    // SAFETY: open upvalues point into the stack of `l`.
    unsafe {
        loop {
            let uv = (*l).openuv;
            if uv.is_null() || (*uv).v < level {
                return;
            }
            (*l).openuv = (*uv).closed.0 as *mut Upval;
            (*uv).closed = *(*uv).v;
            (*uv).v = &raw mut (*uv).closed;
            (*uv).h.y = 1;
            if (*uv).h.flags & BLACK != 0 {
                gc::barrier_object(&mut *(*l).g, uv.cast());
            }
        }
    }
}

/// The open upvalue of a slot, made if there is none.
pub(crate) unsafe fn find_upval(l: *mut Thread, slot: *mut Value) -> *mut Upval {
    // SAFETY: the list is ordered by slot, highest first.
    unsafe {
        let mut link: *mut *mut Upval = &raw mut (*l).openuv;
        loop {
            let uv = *link;
            if uv.is_null() || (*uv).v < slot {
                break;
            }
            if (*uv).v == slot {
                return uv;
            }
            link = (&raw mut (*uv).closed).cast();
        }
        let p: *mut Upval = (*(*l).g).heap.alloc(Space::Object, size_of::<Upval>()).cast();
        p.write(Upval {
            h: Header { kind: Kind::Upval as u8, flags: 0, x: 0, y: 0, n: 0 },
            v: slot,
            closed: Value(*link as u64),
        });
        *link = p;
        p
    }
}

op! {
    #[inline(never)]
    fn fnew(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let proto = (*k.sub(1 + d(ins))).ptr::<Proto>();
        let f = new_closure(l, g, proto, base);
        *ra(base, ins) = Value::tagged(Tag::Func, f);
        if (*g).heap.total >= (*g).heap.threshold {
            return gc_then_next(l, base, k, pc, ins, g);
        }
        next(l, base, k, pc, g)
    }
}

unsafe fn new_closure(l: *mut Thread, g: *mut Global, proto: *mut Proto, base: *mut Value) -> *mut LuaFunc {
    // SAFETY: the prototype is a child of the running function, whose upvalues it refers to.
    unsafe {
        let n = (*proto).sizeuv as usize;
        let p: *mut LuaFunc = (*g).heap.alloc(Space::Object, size_of::<LuaFunc>() + n * 8).cast();
        let parent = (*base.sub(2)).ptr::<LuaFunc>();
        // Traces guard the function where there is one of the prototype, and the prototype where there are several.
        (*proto).h.x = (*proto).h.x.saturating_add(1);
        p.write(LuaFunc {
            f: Func {
                h: Header { kind: Kind::Func as u8, flags: 0, x: 0, y: n as u8, n: 0 },
                pc: (*proto).bc(),
                env: (*parent).f.env,
                rest: [],
            },
            uv: [],
        });
        let to = (&raw mut (*p).uv).cast::<*mut Upval>();
        let from = (&raw const (*parent).uv).cast::<*mut Upval>();
        for i in 0..n {
            let d = *(*proto).uv.add(i);
            *to.add(i) = if d & UV_LOCAL != 0 {
                let uv = find_upval(l, base.add((d & 0xff) as usize));
                if d & UV_IMMUTABLE != 0 {
                    (*uv).h.x = 1;
                }
                uv
            } else {
                *from.add((d & 0xff) as usize)
            };
        }
        p
    }
}

op! {
    /// Runs the collector, then the next operation. The registers are in the coroutine.
    #[cold]
    #[inline(never)]
    fn gc_then_next(l, base, k, pc, ins, g) {
        if let Err(e) = gc::step_in_vm(l) {
            return super::raise(l, g, e);
        }
        next(l, (*l).base, k, pc, g)
    }
}
