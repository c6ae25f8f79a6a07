//! Calls from native code into Lua: new activations of the interpreter.

use crate::api::Cx;
use crate::error::{self, Throw};
use crate::state::{CFrame, frame};
use crate::value::{Tag, Value};

use super::{DONE, calls, run, thread};

/// Bytes of the Rust stack that activations leave free, for the native functions that they call.
const RESERVE: usize = 384 * 1024;
/// Of these, what a message handler may use.
const HANDLER_RESERVE: usize = 128 * 1024;

/// The lowest address of the Rust stack at which the current thread may start an activation.
///
/// The stack of the main thread grows up to the limit of the process; that of others has a fixed size.
pub fn stack_limit() -> usize {
    /// What is assumed of stacks without limit.
    const UNLIMITED: usize = 64 << 20;
    let here = 0u8;
    let here = &raw const here as usize;
    // SAFETY: plain system calls with pointers to locals.
    unsafe {
        if libc::gettid() == libc::getpid() {
            let mut r = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            let known = libc::getrlimit(libc::RLIMIT_STACK, &raw mut r) == 0;
            let size = if known { (r.rlim_cur as usize).min(UNLIMITED) } else { 1 << 20 };
            // The environment and the callers take some of it.
            return here.saturating_sub(size - size / 8) + RESERVE;
        }
        let mut attr: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attr) != 0 {
            return here - (1 << 19);
        }
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&raw const attr, &raw mut low, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attr);
        low as usize + RESERVE
    }
}

/// See [`Cx::call`].
///
/// # Errors
/// What the callee throws.
pub fn call1(cx: Cx, f: Value, args: &[Value]) -> Result<Value, Throw> {
    cx.check_stack(args.len() + 4, "")?;
    cx.push(f);
    for &a in args {
        cx.push(a);
    }
    call_pushed(cx, args.len(), 1)?;
    // SAFETY: one result has been pushed.
    unsafe {
        cx.t().top = cx.t().top.sub(1);
        Ok(*cx.t().top)
    }
}

/// See [`Cx::call_pushed`].
///
/// # Errors
/// What the callee throws.
pub fn call_pushed(cx: Cx, nargs: usize, nresults: i32) -> Result<usize, Throw> {
    activate(cx, nargs, nresults, false, None)
}

/// See [`Cx::pcall_pushed`].
///
/// # Errors
/// The error value.
pub fn pcall_pushed(cx: Cx, nargs: usize, nresults: i32, handler: Option<Value>) -> Result<usize, Value> {
    activate(cx, nargs, nresults, true, handler).map_err(|e| cx.take_error(e))
}

fn activate(
    cx: Cx,
    nargs: usize,
    nresults: i32,
    protected: bool,
    handler: Option<Value>,
) -> Result<usize, Throw> {
    let l = cx.l;
    let g = cx.t().g;
    // SAFETY: function and arguments have been pushed; positions are kept as offsets while the stack may move.
    unsafe {
        let at = (*l).top.sub(nargs + 1).offset_from((*l).stack) as usize;
        let here = &raw const at as usize;
        if here < (*g).stack_limit - if (*g).in_handler > 0 { HANDLER_RESERVE } else { 0 } {
            (*l).top = (*l).stack.add(at);
            return Err(error::simple(cx, "stack overflow"));
        }
        if !thread::grow(l, 8) {
            (*l).top = (*l).stack.add(at);
            return Err(super::unwind::overflow(l));
        }
        let slot = (*l).stack.add(at);
        std::ptr::copy(slot.add(1), slot.add(2), nargs);
        let base = slot.add(2);
        let mut n = nargs;
        if !(*slot).is(Tag::Func) {
            if !calls::insert_call_handler(g, slot, nargs) {
                let e = error::call_value(cx, *slot);
                (*l).top = slot;
                return Err(e);
            }
            n += 1;
        }
        *slot.add(1) = Value((base.offset_from((*l).base) as u64) << 3 | frame::C);
        let mut cf = CFrame { prev: (*l).cframe, saved_pc: (*l).saved_pc, protected, handler };
        (*l).cframe = &raw mut cf;
        let status = run(l, base, n, g);
        (*l).cframe = cf.prev;
        (*l).saved_pc = cf.saved_pc;
        if status != DONE {
            return Err(Throw::Handled);
        }
        let slot = (*l).stack.add(at);
        let have = (*l).top.offset_from(slot) as usize;
        if nresults < 0 {
            return Ok(have);
        }
        let want = nresults as usize;
        for i in have..want {
            *slot.add(i) = Value::NIL;
        }
        (*l).top = slot.add(want);
        Ok(want)
    }
}
