//! Errors in the interpreter: the message handler, unwinding, and going on behind the `pcall`.

use crate::api::{Builtin, Cx};
use crate::bytecode::{Ins, a};
use crate::error::Throw;
use crate::object::{Func, Thread};
use crate::state::{CFrame, Global, frame};
use crate::value::{Tag, Value};

use super::calls::return_values;
use super::data::close_upvals;
use super::{FAILED, cx};

/// What to do after unwinding.
enum Caught {
    /// `pcall` at this base returns false and the error; they have been placed at this slot.
    Here(*mut Value, *mut Value),
    /// The activation ends.
    Activation,
    /// The coroutine ends.
    Coroutine,
}

/// Handles an error in the running function: unwinds to the handler and goes on there.
#[cold]
#[inline(never)]
pub(crate) unsafe extern "C" fn raise(l: *mut Thread, g: *mut Global, e: Throw) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        if e == Throw::Run {
            run_handler(l, g);
        }
        match unwind(l, g) {
            Caught::Here(base, src) => return_values(l, base, src, 2, g),
            Caught::Activation => FAILED,
            Caught::Coroutine => super::coroutine::died(l, g),
        }
    }
}

/// The base of the frame below.
unsafe fn below(base: *mut Value) -> *mut Value {
    // SAFETY: links describe the frames below.
    unsafe {
        let link = (*base.sub(1)).0;
        if link & frame::TYPE == frame::LUA {
            base.sub(2 + a(*(link as *const Ins).sub(1)))
        } else {
            base.sub((link >> 3) as usize)
        }
    }
}

#[inline(never)]
unsafe fn unwind(l: *mut Thread, g: *mut Global) -> Caught {
    // SAFETY: links describe the frames below.
    unsafe {
        let mut base = (*l).base;
        loop {
            let link = (*base.sub(1)).0;
            if link & frame::TYPE != frame::LUA {
                match link & frame::TYPEP {
                    frame::PCALL | frame::PCALLH => {
                        close_upvals(l, base);
                        *base = Value::FALSE;
                        *base.add(1) = std::mem::replace(&mut (*g).thrown, Value::NIL);
                        return Caught::Here(below(base), base);
                    }
                    frame::C => {
                        if (*l).cframe.is_null() {
                            return Caught::Coroutine;
                        }
                        close_upvals(l, base);
                        (*l).top = base.sub(2);
                        (*l).base = below(base);
                        return Caught::Activation;
                    }
                    _ => {}
                }
            }
            base = below(base);
        }
    }
}

/// The message handler that is in force, if any.
unsafe fn find_handler(l: *mut Thread) -> Option<Value> {
    // SAFETY: links describe the frames below.
    unsafe {
        let mut base = (*l).base;
        let mut cf: *mut CFrame = (*l).cframe;
        let bottom = (*l).stack.add(2);
        while base > bottom {
            let link = (*base.sub(1)).0;
            if link & frame::TYPE != frame::LUA {
                match link & frame::TYPEP {
                    frame::PCALL | frame::PCALLH => {
                        let p = below(base);
                        let f = (*p.sub(2)).ptr::<Func>();
                        return if (*f).h.x == Builtin::Xpcall as u8 { Some(*p) } else { None };
                    }
                    frame::C => {
                        if cf.is_null() {
                            return None;
                        }
                        if (*cf).protected {
                            return (*cf).handler;
                        }
                        cf = (*cf).prev;
                    }
                    _ => {}
                }
            }
            base = below(base);
        }
        None
    }
}

/// Runs the message handler for an error that a native function is about to keep for itself.
pub(crate) fn handled(cx: Cx, e: Throw) -> Throw {
    if e == Throw::Run {
        // SAFETY: a native function runs.
        unsafe { run_handler(cx.l, cx.t().g) }
        return Throw::Handled;
    }
    e
}

/// Lets the message handler replace the error value, at the place of the error.
#[inline(never)]
unsafe fn run_handler(l: *mut Thread, g: *mut Global) {
    // SAFETY: the registers of the running function have been written.
    unsafe {
        let Some(h) = find_handler(l) else { return };
        let v = std::mem::replace(&mut (*g).thrown, Value::NIL);
        if (*g).in_handler >= 1 || !h.is(Tag::Func) {
            (*g).thrown = cx(l).str(b"error in error handling").into();
            return;
        }
        (*g).in_handler += 1;
        let r = cx(l).call(h, &[v]);
        (*g).in_handler -= 1;
        match r {
            Ok(v) => (*g).thrown = v,
            Err(_) if (*g).thrown.is_nil() => {
                (*g).thrown = cx(l).str(b"error in error handling").into();
            }
            Err(_) => {}
        }
    }
}

/// `stack overflow`, raised at the running function.
#[cold]
#[inline(never)]
pub(crate) unsafe fn overflow(l: *mut Thread) -> Throw {
    let cx = Cx { l };
    // SAFETY: two slots lie below every base.
    if !unsafe { (*(*l).base.sub(2)).is(Tag::Func) } {
        return cx.error_plain("stack overflow"); // A dummy: see `grow_and_retry`.
    }
    crate::error::with_position(cx, 0, b"stack overflow")
}
