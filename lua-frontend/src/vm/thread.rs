//! Coroutines as objects: making them and growing their stacks.
//!
//! Contract of the unsafe code: `stack` has `h.n` slots; `maxstack` leaves [`STACK_EXTRA`] of them as a reserve, so that
//! an error on a full stack can still be raised.

use std::ptr;

use crate::heap::Space;
use crate::object::{Header, Kind, Table, Thread, Upval};
use crate::state::{Global, frame};
use crate::value::{Tag, Value};

use super::STACK_EXTRA;

/// Slots of a new stack without the reserve.
pub const START_STACK: usize = 64;

/// A coroutine with an empty stack.
pub fn new(g: &mut Global, env: *mut Table) -> *mut Thread {
    let p: *mut Thread = g.heap.alloc(Space::Object, size_of::<Thread>()).cast();
    let n = START_STACK + STACK_EXTRA;
    let stack: *mut Value = g.heap.alloc(Space::Object, n * 8).cast();
    // SAFETY: fresh cells of the right sizes.
    unsafe {
        for i in 0..n {
            *stack.add(i) = Value::NIL;
        }
        *stack = Value::tagged(Tag::Thread, p);
        *stack.add(1) = Value(frame::C);
        p.write(Thread {
            h: Header { kind: Kind::Thread as u8, flags: 0, x: 0, y: 0, n: n as u32 },
            g,
            base: stack.add(2),
            top: stack.add(2),
            maxstack: stack.add(START_STACK),
            stack,
            openuv: ptr::null_mut(),
            env,
            cframe: ptr::null_mut(),
            multres: 0,
            nccalls: 0,
            saved_pc: ptr::null(),
            resumer: ptr::null_mut(),
        });
    }
    g.gc.threads.push(p);
    p
}

/// Gives a stack a new size of `n` slots without the reserve; all pointers into it are moved. False if the system has no
/// memory.
///
/// # Safety
/// `l` is live, and all its used slots fit the new size.
pub unsafe fn resize_stack(l: *mut Thread, n: usize) -> bool {
    // SAFETY: by the caller's promise; pointers into the old stack are all in the thread and its open upvalues.
    unsafe {
        let g = (*l).g;
        let old = (*l).stack;
        let old_n = (*l).h.n as usize;
        let total = n + STACK_EXTRA;
        let new: *mut Value = (*g).heap.alloc(Space::Object, total * 8).cast();
        if new.is_null() {
            return false;
        }
        let keep = old_n.min(total);
        ptr::copy_nonoverlapping(old, new, keep);
        for i in keep..total {
            *new.add(i) = Value::NIL;
        }
        if crate::heap::is_marked(l.cast()) {
            crate::heap::set_mark(new.cast());
        }
        let moved = |p: *mut Value| new.add(p.offset_from(old) as usize);
        (*l).base = moved((*l).base);
        (*l).top = moved((*l).top);
        (*l).stack = new;
        (*l).maxstack = new.add(n);
        (*l).h.n = total as u32;
        let mut uv: *mut Upval = (*l).openuv;
        while !uv.is_null() {
            (*uv).v = moved((*uv).v);
            uv = (*uv).closed.0 as *mut Upval;
        }
        (*g).heap.free_cell(old.cast(), old_n * 8);
        true
    }
}

/// Makes room for `need` slots above `top`. False at the limit.
///
/// # Safety
/// `l` is live.
pub unsafe fn grow(l: *mut Thread, need: usize) -> bool {
    // SAFETY: by the caller's promise.
    unsafe {
        let used = (*l).top.offset_from((*l).stack) as usize + need;
        let size = (*l).h.n as usize - STACK_EXTRA;
        if used <= size {
            return true;
        }
        // A message handler that runs after an overflow finds some more room.
        let limit = super::MAX_STACK + if (*(*l).g).in_handler > 0 { 2000 } else { 0 };
        if used > limit {
            return false;
        }
        resize_stack(l, (size * 2).max(used).min(limit))
    }
}
