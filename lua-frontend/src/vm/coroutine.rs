//! Coroutines: resuming, yielding, ending. Switching changes the registers of the interpreter and nothing else; the Rust
//! stack does not grow.
//!
//! States, as flags in the thread's header: `x` is [`status`], `y` is 1 from a resume until the next yield or the end. While a
//! coroutine runs, `resumer` is the one that waits in `resume` or in the function of `wrap`, whose frame is on
//! top of its stack and takes the results.

use crate::api::{Builtin, Cx};
use crate::object::{Func, NativeFunc, Thread, status};
use crate::state::{Global, frame};
use crate::value::{Gc, Tag, Value};

use super::calls::return_values;
use super::{cx, enter, op, raise, thread};
use crate::error::{self, Throw};

/// Most coroutines that can wait for each other.
const MAX_DEPTH: u32 = 20_000;

/// A coroutine that will run `f`.
pub fn create(cx: Cx, f: Gc<Func>) -> Gc<Thread> {
    let co = thread::new(cx.g(), cx.t().env);
    // SAFETY: a fresh thread.
    unsafe {
        *(*co).base = f.into();
        *(*co).base.add(1) = Value::NIL;
        (*co).top = (*co).base.add(2);
    }
    Gc::from_ptr(co)
}

/// What `coroutine.status` says.
pub fn status(cx: Cx, co: Gc<Thread>) -> &'static str {
    if co.as_ptr() == cx.l {
        "running"
    } else if co.h.y != 0 {
        "normal"
    } else if is_dead(co) {
        "dead"
    } else {
        "suspended"
    }
}

/// Finished or failed?
pub fn is_dead(co: Gc<Thread>) -> bool {
    co.h.x == status::ERROR || (co.h.x == status::OK && co.h.y == 0 && co.top == co.base)
}

/// May the running coroutine yield?
pub fn is_yieldable(cx: Cx) -> bool {
    cx.t().cframe.is_null()
}

op! {
    /// `coroutine.resume(co, ...)` and the function of `coroutine.wrap`.
    fn resume(l, base, k, pc, ins, g) {
        let n = k as usize;
        (*l).base = base;
        (*l).top = base.add(n);
        let f = (*base.sub(2)).ptr::<NativeFunc>();
        let wrap = (*f).f.h.x == Builtin::WrapCall as u8;
        let (v, skip) = if wrap {
            (*(&raw const (*f).uv).cast::<Value>(), 0)
        } else {
            (if n > 0 { *base } else { Value::NIL }, 1)
        };
        if !v.is(Tag::Thread) {
            let e = not_a_coroutine(l);
            return raise(l, g, e);
        }
        let co = v.ptr::<Thread>();
        if (*co).h.y != 0 || is_dead(Gc::from_ptr(co)) || (*l).nccalls >= MAX_DEPTH {
            return refuse(l, co, wrap, g);
        }
        let n = n - skip;
        if (*co).top.add(n) > (*co).maxstack && !thread::grow(co, n + 8) {
            let e = error::simple(cx(l), "stack overflow");
            return raise(l, g, e);
        }
        let src = (*co).top;
        for i in 0..n {
            *src.add(i) = *base.add(skip + i);
        }
        (*co).h.y = 1;
        (*co).resumer = l;
        (*co).nccalls = (*l).nccalls + 1;
        (*g).cur = co;
        if (*co).h.flags & crate::object::BLACK != 0 {
            crate::gc::barrier_object(&mut *g, co.cast());
        }
        if (*co).h.x == status::YIELD {
            (*co).h.x = status::OK;
            return return_values(co, (*co).base, src, n, g);
        }
        // The first time: [function][link] arguments.
        *src.sub(1) = Value(2 << 3 | frame::C);
        enter(co, src, n, g)
    }
}

#[cold]
#[inline(never)]
fn not_a_coroutine(l: *mut Thread) -> Throw {
    cx(l).arg_error(1, "coroutine expected")
}

/// The coroutine cannot be resumed.
#[cold]
#[inline(never)]
unsafe extern "C" fn refuse(l: *mut Thread, co: *mut Thread, wrap: bool, g: *mut Global) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let msg = if (*l).nccalls >= MAX_DEPTH {
            "C stack overflow"
        } else if (*co).h.y != 0 {
            "cannot resume running coroutine"
        } else {
            "cannot resume dead coroutine"
        };
        if wrap {
            let e = error::simple(cx(l), msg);
            return raise(l, g, e);
        }
        let base = (*l).base;
        *base = Value::FALSE;
        *base.add(1) = cx(l).str(msg.as_bytes()).into();
        return_values(l, base, base, 2, g)
    }
}

op! {
    /// `coroutine.yield(...)`
    fn yield_(l, base, k, pc, ins, g) {
        (*l).base = base;
        (*l).top = base.add(k as usize);
        if !(*l).cframe.is_null() {
            let e = cannot_yield(l);
            return raise(l, g, e);
        }
        (*l).h.x = status::YIELD;
        (*l).h.y = 0;
        // What the yield returns will be put where its arguments were.
        let (src, n) = (base, k as usize);
        (*l).top = base;
        deliver(l, src, n, g)
    }
}

/// A native function ends in a yield of the last `n` pushed values.
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn native_yield(l: *mut Thread, n: usize, g: *mut Global) -> u64 {
    // SAFETY: the values have been pushed by the function at `base`.
    unsafe {
        if !(*l).cframe.is_null() {
            let e = cannot_yield(l);
            return raise(l, g, e);
        }
        (*l).h.x = status::YIELD;
        (*l).h.y = 0;
        let (base, src) = ((*l).base, (*l).top.sub(n));
        std::ptr::copy(src, base, n);
        (*l).top = base;
        deliver(l, base, n, g)
    }
}

#[cold]
#[inline(never)]
fn cannot_yield(l: *mut Thread) -> Throw {
    cx(l).error("attempt to yield across C-call boundary")
}

/// Hands `n` values at `src` of `co`, which stops running, to the coroutine that resumed it.
#[inline(always)]
unsafe fn deliver(co: *mut Thread, src: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: the resumer waits with the frame of `resume` on top.
    unsafe {
        let r = (*co).resumer;
        (*co).resumer = std::ptr::null_mut();
        (*g).cur = r;
        if (*r).top.add(n + 2) > (*r).maxstack && !thread::grow(r, n + 2) {
            let e = error::simple(cx(r), "stack overflow");
            return raise(r, g, e);
        }
        let base = (*r).base;
        let f = (*base.sub(2)).ptr::<Func>();
        let mut at = base;
        let mut count = n;
        if (*f).h.x == Builtin::Resume as u8 {
            *at = Value::TRUE;
            at = at.add(1);
            count += 1;
        }
        for i in 0..n {
            *at.add(i) = *src.add(i);
        }
        (*r).top = base.add(count);
        return_values(r, base, base, count, g)
    }
}

/// The function of a coroutine has returned.
pub(crate) unsafe extern "C" fn finished(co: *mut Thread, src: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        (*co).h.x = status::OK;
        (*co).h.y = 0;
        (*co).base = (*co).stack.add(2);
        (*co).top = (*co).base;
        deliver(co, src, n, g)
    }
}

/// A coroutine has ended by an error, which is in the shared state.
#[inline(never)]
pub(crate) unsafe extern "C" fn died(co: *mut Thread, g: *mut Global) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        (*co).h.x = status::ERROR;
        (*co).h.y = 0;
        let r = (*co).resumer;
        (*co).resumer = std::ptr::null_mut();
        (*g).cur = r;
        let base = (*r).base;
        let f = (*base.sub(2)).ptr::<Func>();
        if (*f).h.x == Builtin::Resume as u8 {
            *base = Value::FALSE;
            *base.add(1) = std::mem::replace(&mut (*g).thrown, Value::NIL);
            return return_values(r, base, base, 2, g);
        }
        let e = rethrow(r);
        raise(r, g, e)
    }
}

/// An error passes from a coroutine through the function of `wrap`: strings get the position of its caller.
#[cold]
#[inline(never)]
fn rethrow(r: *mut Thread) -> Throw {
    let v = cx(r).g().thrown;
    match v.as_str() {
        Some(s) => cx(r).error(s.bytes()),
        None => Throw::Run,
    }
}
