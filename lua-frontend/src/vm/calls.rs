//! Calls, returns, function heads, varargs, `pcall`.

use crate::api::{Cx, Ret};
use crate::bytecode::{Ins, a, b, c, d};
use crate::error::Throw;
use crate::gc;
use crate::object::{Func, NativeFunc, Proto, Thread};
use crate::state::{Cont, Event, Global, frame};
use crate::value::{Tag, Value};

use super::{MIN_NATIVE, STACK_EXTRA, cx, enter, jump, k_at, next, op, ra, raise, sync, thread};

/// Calls what is in `slot` with `n` arguments from `slot + 2`, for the Lua function at `base`.
#[inline(always)]
pub(crate) unsafe fn call_at(
    l: *mut Thread,
    base: *mut Value,
    slot: *mut Value,
    n: usize,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let f = *slot;
        if !f.is(Tag::Func) {
            return slow_call(l, base, slot, n, pc, g);
        }
        *slot.add(1) = Value(pc as u64);
        let head = (*f.ptr::<Func>()).pc;
        next(l, slot.add(2), n as *mut Value, head, g)
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn slow_call(
    l: *mut Thread,
    base: *mut Value,
    slot: *mut Value,
    n: usize,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        sync(l, base, pc);
        if !insert_call_handler(g, slot, n) {
            let e = crate::error::call(cx(l), *slot, pc);
            return raise(l, g, e);
        }
        *slot.add(1) = Value(pc as u64);
        enter(l, slot.add(2), n + 1, g)
    }
}

/// Puts the `__call` metamethod of what is in `slot` in its place, and that in front of the arguments. False if there
/// is none that is a function.
pub(crate) unsafe fn insert_call_handler(g: *mut Global, slot: *mut Value, n: usize) -> bool {
    // SAFETY: there is room above the arguments (the reserve of the stack).
    unsafe {
        let h = super::meta::lookup(&mut *g, *slot, Event::Call);
        if !h.is(Tag::Func) {
            return false;
        }
        std::ptr::copy(slot.add(2), slot.add(3), n);
        *slot.add(2) = *slot;
        *slot = h;
        true
    }
}

op! {
    fn call(l, base, k, pc, ins, g) {
        call_at(l, base, ra(base, ins), c(ins) - 1, pc, g)
    }
}
op! {
    fn callm(l, base, k, pc, ins, g) {
        call_at(l, base, ra(base, ins), c(ins) + (*l).multres as usize, pc, g)
    }
}
op! {
    fn callt(l, base, k, pc, ins, g) {
        tail_call(l, base, ra(base, ins), d(ins) - 1, pc, g)
    }
}
op! {
    fn callmt(l, base, k, pc, ins, g) {
        tail_call(l, base, ra(base, ins), d(ins) + (*l).multres as usize, pc, g)
    }
}

#[inline(always)]
unsafe fn tail_call(
    l: *mut Thread,
    base: *mut Value,
    slot: *mut Value,
    n: usize,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let f = *slot;
        if !f.is(Tag::Func) {
            return slow_tail_call(l, base, slot, n, pc, g);
        }
        let mut to = base;
        let link = (*base.sub(1)).0;
        if link & frame::TYPEP == frame::VARG {
            to = base.sub((link >> 3) as usize);
        }
        *to.sub(2) = f;
        let from = slot.add(2);
        for i in 0..n {
            *to.add(i) = *from.add(i);
        }
        let head = (*f.ptr::<Func>()).pc;
        next(l, to, n as *mut Value, head, g)
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn slow_tail_call(
    l: *mut Thread,
    base: *mut Value,
    slot: *mut Value,
    n: usize,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        sync(l, base, pc);
        if !insert_call_handler(g, slot, n) {
            let e = crate::error::call(cx(l), *slot, pc);
            return raise(l, g, e);
        }
        tail_call(l, base, slot, n + 1, pc, g)
    }
}

/// Calls a metamethod above the Lua frame in `l` (registers written by [`sync`]); `cont` says what becomes of the result.
#[inline(always)]
pub(crate) unsafe fn call_meta(l: *mut Thread, g: *mut Global, cont: u64, h: Value, args: &[Value]) -> u64 {
    // SAFETY: the reserve of the stack has room for the frame.
    unsafe {
        let top = (*l).top;
        *top = Value(cont);
        *top.add(1) = Value((*l).saved_pc as u64);
        *top.add(2) = h;
        let nb = top.add(4);
        *top.add(3) = Value((nb.offset_from((*l).base) as u64) << 3 | frame::CONT);
        for (i, &v) in args.iter().enumerate() {
            *nb.add(i) = v;
        }
        start_meta(l, nb, args.len(), g)
    }
}

#[inline(always)]
unsafe fn start_meta(l: *mut Thread, nb: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: the frame has been set up.
    unsafe {
        if (*nb.sub(2)).is(Tag::Func) {
            return enter(l, nb, n, g);
        }
        start_meta_slow(l, nb, n, g)
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn start_meta_slow(l: *mut Thread, nb: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: as `start_meta`; the link is kept while the handler is inserted.
    unsafe {
        let link = *nb.sub(1);
        if !insert_call_handler(g, nb.sub(2), n) {
            (*l).base = nb;
            (*l).top = nb.add(n);
            let e = crate::error::call_value(cx(l), *nb.sub(2));
            return raise(l, g, e);
        }
        *nb.sub(1) = link;
        enter(l, nb, n + 1, g)
    }
}

op! {
    fn ret1(l, base, k, pc, ins, g) {
        let link = (*base.sub(1)).0;
        if link & frame::TYPE == frame::LUA {
            let rpc = link as *const Ins;
            let call = *rpc.sub(1);
            let want = b(call);
            if want.wrapping_sub(1) <= 1 {
                *base.sub(2) = *ra(base, ins);
                let nb = base.sub(2 + a(call));
                return next(l, nb, k_at(nb), rpc, g);
            }
        }
        return_values(l, base, ra(base, ins), 1, g)
    }
}
op! {
    fn ret0(l, base, k, pc, ins, g) {
        let link = (*base.sub(1)).0;
        if link & frame::TYPE == frame::LUA {
            let rpc = link as *const Ins;
            let call = *rpc.sub(1);
            let want = b(call);
            if want.wrapping_sub(1) <= 1 {
                *base.sub(2) = Value::NIL;
                let nb = base.sub(2 + a(call));
                return next(l, nb, k_at(nb), rpc, g);
            }
        }
        return_values(l, base, base, 0, g)
    }
}
op! {
    fn ret(l, base, k, pc, ins, g) {
        return_values(l, base, ra(base, ins), d(ins) - 1, g)
    }
}
op! {
    fn retm(l, base, k, pc, ins, g) {
        return_values(l, base, ra(base, ins), d(ins) + (*l).multres as usize, g)
    }
}

/// Returns `n` values at `src` from the frame at `base`.
#[inline(never)]
pub(crate) unsafe extern "C" fn return_values(
    l: *mut Thread,
    base: *mut Value,
    src: *mut Value,
    n: usize,
    g: *mut Global,
) -> u64 {
    // SAFETY: links describe the frames below.
    unsafe {
        let (mut base, mut src, mut n) = (base, src, n);
        loop {
            let link = (*base.sub(1)).0;
            if link & frame::TYPE == frame::LUA {
                let rpc = link as *const Ins;
                let call = *rpc.sub(1);
                let to = base.sub(2);
                let want = b(call);
                if want == 0 {
                    for i in 0..n {
                        *to.add(i) = *src.add(i);
                    }
                    (*l).multres = n as u32;
                } else {
                    for i in 0..want - 1 {
                        *to.add(i) = if i < n { *src.add(i) } else { Value::NIL };
                    }
                }
                let nb = to.sub(a(call));
                return next(l, nb, k_at(nb), rpc, g);
            }
            let below = base.sub((link >> 3) as usize);
            match link & frame::TYPEP {
                frame::VARG => base = below,
                frame::PCALL | frame::PCALLH => {
                    src = src.sub(1);
                    *src = Value::TRUE;
                    n += 1;
                    base = below;
                }
                frame::CONT => return continue_with(l, base, src, n, g),
                _ => return return_to_native(l, base, src, n, g),
            }
        }
    }
}

/// A metamethod has returned: does what the operation that called it would have done with the result.
#[inline(never)]
unsafe extern "C" fn continue_with(
    l: *mut Thread,
    base: *mut Value,
    src: *mut Value,
    n: usize,
    g: *mut Global,
) -> u64 {
    // SAFETY: continuation frames have four slots below their base.
    unsafe {
        let cont = (*base.sub(4)).0;
        let rpc = (*base.sub(3)).0 as *const Ins;
        let v = if n > 0 { *src } else { Value::NIL };
        let to = base.sub(((*base.sub(1)).0 >> 3) as usize);
        let k = k_at(to);
        let truthy = v.is_truthy();
        match cont & 0xff {
            x if x == Cont::Store as u64 => {
                *to.add(a(*rpc.sub(1))) = v;
                next(l, to, k, rpc, g)
            }
            x if x == Cont::Drop as u64 => next(l, to, k, rpc, g),
            x if x == Cont::Concat as u64 => {
                // The result takes the place of the two operands.
                let at = to.add((cont >> 8) as usize);
                *at = v;
                super::concat::go_on(l, to, at, rpc, g)
            }
            x => {
                let taken = truthy == (x == Cont::IfTrue as u64);
                let target = if taken { jump(rpc.add(1), *rpc) } else { rpc.add(1) };
                next(l, to, k, target, g)
            }
        }
    }
}

/// The outermost function of an activation (or of a coroutine) has returned.
#[inline(never)]
unsafe extern "C" fn return_to_native(
    l: *mut Thread,
    base: *mut Value,
    src: *mut Value,
    n: usize,
    g: *mut Global,
) -> u64 {
    // SAFETY: see `state`.
    unsafe {
        if (*l).cframe.is_null() {
            return super::coroutine::finished(l, src, n, g);
        }
        // The second result overwrites the link: read it first.
        let below = base.sub(((*base.sub(1)).0 >> 3) as usize);
        let to = base.sub(2);
        std::ptr::copy(src, to, n);
        (*l).top = to.add(n);
        (*l).base = below;
        super::DONE
    }
}

op! {
    fn funcf(l, base, k, pc, ins, g) {
        let n = k as usize;
        let proto = (pc.sub(1) as *mut Proto).sub(1);
        if base.add(a(ins)) > (*l).maxstack {
            return grow_and_retry(l, base, k, pc, ins, g);
        }
        if n < (*proto).numparams as usize {
            return funcf_short(l, base, k, pc, ins, g);
        }
        next(l, base, (*proto).k, pc, g)
    }
}
op! {
    /// Of a call with too few arguments; apart, because a loop that fills memory may be made a call, for which all handlers' registers are saved.
    #[inline(never)]
    fn funcf_short(l, base, k, pc, ins, g) {
        let proto = (pc.sub(1) as *mut Proto).sub(1);
        for i in k as usize..(*proto).numparams as usize {
            *base.add(i) = Value::NIL;
        }
        next(l, base, (*proto).k, pc, g)
    }
}
op! {
    fn funcv(l, base, k, pc, ins, g) {
        let n = k as usize;
        let proto = (pc.sub(1) as *mut Proto).sub(1);
        let nb = base.add(n + 2);
        if nb.add(a(ins)) > (*l).maxstack {
            return grow_and_retry(l, base, k, pc, ins, g);
        }
        *nb.sub(2) = *base.sub(2);
        *nb.sub(1) = Value(((n as u64 + 2) << 3) | frame::VARG);
        for i in 0..(*proto).numparams as usize {
            if i < n {
                *nb.add(i) = *base.add(i);
                *base.add(i) = Value::NIL;
            } else {
                *nb.add(i) = Value::NIL;
            }
        }
        next(l, nb, (*proto).k, pc, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn grow_and_retry(l, base, k, pc, ins, g) {
        (*l).base = base;
        (*l).top = base.add(k as usize);
        (*l).saved_pc = pc;
        if !thread::grow(l, 2 + a(ins) + k as usize) {
            // A function without room for its slots never began: a dummy takes its place, as in the reference.
            *(*l).base.sub(2) = crate::value::Gc::<Thread>::from_ptr(l).into();
            (*l).top = (*l).base;
            let e = super::unwind::overflow(l);
            return raise(l, g, e);
        }
        next(l, (*l).base, k, pc.sub(1), g)
    }
}

op! {
    fn varg(l, base, k, pc, ins, g) {
        let slots = ((*base.sub(1)).0 >> 3) as usize;
        let params = c(ins);
        let have = slots.saturating_sub(2 + params);
        let from = base.sub(slots).add(params);
        let to = ra(base, ins);
        let want = b(ins);
        if want == 0 {
            if to.add(have) > (*l).maxstack {
                return varg_grow(l, base, k, pc, ins, g);
            }
            for i in 0..have {
                *to.add(i) = *from.add(i);
            }
            (*l).multres = have as u32;
        } else {
            for i in 0..want - 1 {
                *to.add(i) = if i < have { *from.add(i) } else { Value::NIL };
            }
        }
        next(l, base, k, pc, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn varg_grow(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let slots = ((*base.sub(1)).0 >> 3) as usize;
        if !thread::grow(l, slots + 256) {
            let e = super::unwind::overflow(l);
            return raise(l, g, e);
        }
        next(l, (*l).base, k, pc.sub(1), g)
    }
}

op! {
    /// Calls a native function.
    #[inline(never)]
    fn funcc(l, base, k, pc, ins, g) {
        let top = base.add(k as usize);
        (*l).base = base;
        (*l).top = top;
        if top.add(MIN_NATIVE) > (*l).maxstack.add(STACK_EXTRA / 2) {
            return native_grow(l, base, k, pc, ins, g);
        }
        let f = (*(*base.sub(2)).ptr::<NativeFunc>()).call;
        match f(Cx { l }) {
            Ok(Ret::Values(n)) => {
                if (*g).heap.total >= (*g).heap.threshold {
                    return native_gc(l, n as usize, g);
                }
                let base = (*l).base;
                let link = (*base.sub(1)).0;
                if n == 1 && link & frame::TYPE == frame::LUA {
                    let rpc = link as *const Ins;
                    let call = *rpc.sub(1);
                    if b(call).wrapping_sub(1) <= 1 {
                        *base.sub(2) = *(*l).top.sub(1);
                        let nb = base.sub(2 + a(call));
                        return next(l, nb, k_at(nb), rpc, g);
                    }
                }
                return_values(l, base, (*l).top.sub(n as usize), n as usize, g)
            }
            Ok(Ret::TailCall(n)) => native_tail(l, n as usize, g),
            Ok(Ret::Yield(n)) => super::coroutine::native_yield(l, n as usize, g),
            Err(e) => raise(l, g, e),
        }
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn native_grow(l, base, k, pc, ins, g) {
        if !thread::grow(l, MIN_NATIVE) {
            let e = super::unwind::overflow(l);
            return raise(l, g, e);
        }
        funcc(l, (*l).base, k, pc, ins, g)
    }
}
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn native_gc(l: *mut Thread, n: usize, g: *mut Global) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        if let Err(e) = gc::step_in_vm(l) {
            return raise(l, g, e);
        }
        return_values(l, (*l).base, (*l).top.sub(n), n, g)
    }
}
/// The native function at `base` is replaced by the function pushed below its `n` arguments.
#[inline(never)]
unsafe extern "C" fn native_tail(l: *mut Thread, n: usize, g: *mut Global) -> u64 {
    // SAFETY: the function and its arguments have been pushed.
    unsafe {
        let base = (*l).base;
        let from = (*l).top.sub(n + 1);
        *base.sub(2) = *from;
        std::ptr::copy(from.add(1), base, n);
        (*l).top = base.add(n);
        start_meta(l, base, n, g)
    }
}

op! {
    /// `pcall(f, ...)`: the function and its arguments move up by one slot, which becomes the link.
    fn pcall(l, base, k, pc, ins, g) {
        let n = k as usize;
        if n == 0 {
            return no_value(l, base, k, pc, ins, g);
        }
        if base.add(n + 2) > (*l).maxstack {
            return grow_native_frame(l, base, k, pc, ins, g);
        }
        std::ptr::copy(base.add(1), base.add(2), n - 1);
        *base.add(1) = Value(2 << 3 | frame::PCALL);
        start_meta(l, base.add(2), n - 1, g)
    }
}
op! {
    /// `xpcall(f, handler, ...)`: handler and function change places.
    fn xpcall(l, base, k, pc, ins, g) {
        let n = k as usize;
        if n < 2 {
            return no_value(l, base, k, pc, ins, g);
        }
        if base.add(n + 2) > (*l).maxstack {
            return grow_native_frame(l, base, k, pc, ins, g);
        }
        let h = *base.add(1);
        if !h.is(Tag::Func) {
            return no_value(l, base, k, pc, ins, g);
        }
        std::ptr::copy(base.add(2), base.add(3), n - 2);
        *base.add(1) = *base;
        *base = h;
        *base.add(2) = Value(3 << 3 | frame::PCALL);
        start_meta(l, base.add(3), n - 2, g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn grow_native_frame(l, base, k, pc, ins, g) {
        (*l).base = base;
        (*l).top = base.add(k as usize);
        if !thread::grow(l, MIN_NATIVE) {
            let e = super::unwind::overflow(l);
            return raise(l, g, e);
        }
        next(l, (*l).base, k, pc.sub(1), g)
    }
}
op! {
    #[cold]
    #[inline(never)]
    fn no_value(l, base, k, pc, ins, g) {
        (*l).base = base;
        (*l).top = base.add(k as usize);
        let e = bad_pcall(l, k as usize);
        raise(l, g, e)
    }
}
#[cold]
#[inline(never)]
fn bad_pcall(l: *mut Thread, n: usize) -> Throw {
    if n < 2 && !(n == 1 && cx(l).running().h.x == crate::api::Builtin::Xpcall as u8) {
        return cx(l).arg_error(n + 1, "value expected");
    }
    cx(l).type_error(2, "function")
}

op! {
    /// The iterator of `ipairs`.
    fn ipairs_aux(l, base, k, pc, ins, g) {
        let n = k as usize;
        if n >= 2 && (*base).is(Tag::Table) && (*base.add(1)).is_number() {
            let t = (*base).ptr::<crate::object::Table>();
            let i = (*base.add(1)).raw_f64() as i32;
            let i = i.wrapping_add(1);
            let v = (*t).get_int(i);
            let to = base;
            if v.is_nil() {
                return return_values(l, base, to, 0, g);
            }
            *to = Value::raw_number(i as f64);
            *to.add(1) = v;
            return return_values(l, base, to, 2, g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}
