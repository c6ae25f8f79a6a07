//! Concatenation.

use crate::bytecode::{a, b, c};
use crate::error::Throw;
use crate::gc;
use crate::object::Thread;
use crate::state::{Cont, Event, Global};
use crate::value::Value;

use super::calls::call_meta;
use super::{cx, next, op, raise, sync};

/// What is to be done after as much as possible has been concatenated.
enum Step {
    /// All of it: the result is in the first slot.
    Done,
    /// Call this metamethod with the operands at this slot and the one above.
    Call(Value, *mut Value),
    /// Neither of the two at this slot has a metamethod.
    Fail(*mut Value),
    /// Too long.
    Overflow,
}

/// Room for the text of a number.
const MAX_NUMBER_TEXT: usize = 32;

fn is_piece(v: Value) -> bool {
    v.as_str().is_some() || v.is_number()
}

/// Concatenates the slots from `first` to `top` from the right, until a metamethod is needed.
#[inline(never)]
unsafe fn reduce(g: *mut Global, first: *mut Value, top: *mut Value) -> Step {
    // SAFETY: the slots belong to the running function.
    unsafe {
        let mut top = top;
        while top > first {
            if !is_piece(*top) || !is_piece(*top.sub(1)) {
                let mut h = super::meta::lookup(&mut *g, *top.sub(1), Event::Concat);
                if h.is_nil() {
                    h = super::meta::lookup(&mut *g, *top, Event::Concat);
                }
                if h.is_nil() {
                    return Step::Fail(top.sub(1));
                }
                return Step::Call(h, top.sub(1));
            }
            let mut low = top.sub(1);
            while low > first && is_piece(*low.sub(1)) {
                low = low.sub(1);
            }
            let mut total = 0;
            let mut p = low;
            while p <= top {
                total += (*p).as_str().map_or(MAX_NUMBER_TEXT, |s| s.len());
                p = p.add(1);
            }
            if total > crate::strings::MAX_STR {
                return Step::Overflow;
            }
            let mut buf = std::mem::take(&mut (*g).buf);
            buf.clear();
            let mut p = low;
            while p <= top {
                match (*p).as_str() {
                    Some(s) => buf.extend_from_slice(s.bytes()),
                    None => crate::number::format((*p).raw_f64(), &mut buf),
                }
                p = p.add(1);
            }
            *low = (*g).intern(&buf).into();
            if buf.capacity() > 1 << 20 {
                buf = Vec::new();
            }
            (*g).buf = buf;
            top = low;
        }
        Step::Done
    }
}

op! {
    #[inline(never)]
    fn cat(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        go_on(l, base, base.add(c(ins)), pc, g)
    }
}

/// Concatenates from operand B up to `top`, for the instruction before `pc` of the function at `base`.
#[inline(never)]
pub(crate) unsafe extern "C" fn go_on(
    l: *mut Thread,
    base: *mut Value,
    top: *mut Value,
    pc: *const u32,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let ins = *pc.sub(1);
        let first = base.add(b(ins));
        let e: Throw = match reduce(g, first, top) {
            Step::Done => {
                *base.add(a(ins)) = *first;
                sync(l, base, pc);
                if (*g).heap.total >= (*g).heap.threshold {
                    return collect(l, g);
                }
                return next(l, base, super::k_at(base), pc, g);
            }
            Step::Call(h, at) => {
                sync(l, base, pc);
                let cont = Cont::Concat as u64 | (at.offset_from(base) as u64) << 8;
                return call_meta(l, g, cont, h, &[*at, *at.add(1)]);
            }
            Step::Fail(at) => {
                sync(l, base, pc);
                fail(l, base, at)
            }
            Step::Overflow => {
                sync(l, base, pc);
                crate::error::simple(cx(l), "string length overflow")
            }
        };
        raise(l, g, e)
    }
}

#[cold]
#[inline(never)]
unsafe fn fail(l: *mut Thread, base: *mut Value, at: *mut Value) -> Throw {
    // SAFETY: `at` and the slot above are operands.
    unsafe {
        let bad = if is_piece(*at) { at.add(1) } else { at };
        crate::error::operand(cx(l), *bad, Some(bad.offset_from(base) as usize), "concatenate")
    }
}

#[cold]
#[inline(never)]
unsafe extern "C" fn collect(l: *mut Thread, g: *mut Global) -> u64 {
    // SAFETY: the registers have been written.
    unsafe {
        if let Err(e) = gc::step_in_vm(l) {
            return raise(l, g, e);
        }
        let base = (*l).base;
        next(l, base, super::k_at(base), (*l).saved_pc, g)
    }
}

/// `a .. b` for native code, without metamethods for pieces.
///
/// # Errors
/// `attempt to concatenate ...`, or what the metamethod throws.
pub fn concat(cx: crate::api::Cx, a: Value, b: Value) -> Result<Value, Throw> {
    if is_piece(a) && is_piece(b) {
        let mut buf = Vec::new();
        for v in [a, b] {
            match v.as_str() {
                Some(s) => buf.extend_from_slice(s.bytes()),
                None => crate::number::format(v.raw_f64(), &mut buf),
            }
        }
        return Ok(cx.str(&buf).into());
    }
    let mut h = super::meta::lookup(cx.g(), a, Event::Concat);
    if h.is_nil() {
        h = super::meta::lookup(cx.g(), b, Event::Concat);
    }
    if h.is_nil() {
        let bad = if is_piece(a) { b } else { a };
        return Err(crate::error::operand(cx, bad, None, "concatenate"));
    }
    cx.call(h, &[a, b])
}
