//! Calls from native code into Lua: new activations of the interpreter.

use crate::api::Cx;
use crate::error::{self, Throw};
use crate::state::{CFrame, frame};
use crate::value::{Tag, Value};

use super::{DONE, calls, run, thread};

/// Most nested activations.
const MAX_CCALLS: u32 = 200;

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
        let depth = (*g).ccalls;
        if depth >= MAX_CCALLS + if (*g).in_handler > 0 { 20 } else { 0 } {
            (*l).top = (*l).stack.add(at);
            return Err(error::simple(cx, "C stack overflow"));
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
        (*g).ccalls = depth + 1;
        let status = run(l, base, n, g);
        (*g).ccalls = depth;
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
