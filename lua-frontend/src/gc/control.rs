//! The collector as libraries and the state use it: whole collections, steps, settings, the end of a state.

use super::{FINALIZED, FINALIZERS_PER_STEP, Phase, cycle, run_finalizers};
use crate::api::Cx;
use crate::state::Global;
use std::ptr;

/// `collectgarbage("collect")`; also ends a `stop`, as in LuaJIT.
pub fn full(cx: Cx) {
    let g = cx.g();
    if g.gc.busy {
        return;
    }
    // As in the reference, whoever collects by hand switches the collector on again.
    g.gc.stopped = false;
    g.gc.busy = true;
    // SAFETY: a safe point.
    unsafe { cycle(g) }
    g.gc.busy = false;
    run_finalizers(g, usize::MAX);
    g.gc.stopped = false;
    g.heap.threshold = g.next_threshold();
}

/// `collectgarbage("step", kbytes)`: true if a cycle has ended.
pub fn step(cx: Cx, kbytes: usize) -> bool {
    let g = cx.g();
    if g.gc.busy {
        return false;
    }
    // Small steps: scripts measure how many of them a cycle takes.
    const GRAIN: usize = 1024;
    let mut left = kbytes.saturating_mul(GRAIN).max(1);
    let mut done = false;
    g.gc.stopped = false;
    g.gc.busy = true;
    while left > 0 && !done {
        // SAFETY: a safe point. Whoever steps by hand waits for all garbage: a full cycle.
        done = unsafe {
            if g.gc.phase == Phase::Idle {
                g.start(true);
                false
            } else {
                g.advance(2 * GRAIN)
            }
        };
        left = left.saturating_sub(GRAIN);
    }
    g.gc.busy = false;
    run_finalizers(g, if done { usize::MAX } else { FINALIZERS_PER_STEP });
    g.gc.stopped = false;
    g.heap.threshold = g.next_threshold();
    done
}

/// Bytes in use.
pub fn count(cx: Cx) -> usize {
    cx.g().heap.total
}

/// `collectgarbage("stop")`
pub fn stop(cx: Cx) {
    cx.g().gc.stopped = true;
    if !cx.g().gc.stress {
        cx.g().heap.threshold = usize::MAX;
    }
}

/// `collectgarbage("restart")`
pub fn restart(cx: Cx) {
    cx.g().gc.stopped = false;
    cx.g().heap.threshold = cx.g().next_threshold();
}

/// `collectgarbage("isrunning")`
pub fn is_running(cx: Cx) -> bool {
    !cx.g().gc.stopped
}

/// Sets the pause in percent; gives the old one.
pub fn set_pause(cx: Cx, percent: i32) -> i32 {
    std::mem::replace(&mut cx.g().gc.pause, percent.max(0) as usize) as i32
}

/// Sets the step multiplier in percent; gives the old one.
pub fn set_stepmul(cx: Cx, percent: i32) -> i32 {
    std::mem::replace(&mut cx.g().gc.stepmul, percent.max(0) as usize) as i32
}

/// Runs the finalizers of all objects, and of those that they make, up to a limit.
pub fn finalize_all(g: &mut Global) {
    for _ in 0..10 {
        let mut rest = std::mem::take(&mut g.gc.finalizers);
        for i in 0..g.gc.userdata.len() {
            let u = g.gc.userdata[i];
            // SAFETY: listed userdata are alive.
            unsafe {
                if g.has_finalizer(u) {
                    (*u.as_ptr()).h.y = FINALIZED;
                    rest.push(u.into());
                }
            }
        }
        if rest.is_empty() && g.gc.queue.is_empty() {
            break;
        }
        rest.append(&mut g.gc.queue);
        g.gc.queue = rest;
        g.gc.busy = false;
        run_finalizers(g, usize::MAX);
    }
}

/// Ends a state: runs all finalizers, drops all payloads.
///
/// # Safety
/// No coroutine of the state runs.
pub unsafe fn close(g: *mut Global) {
    // SAFETY: by the caller's promise.
    let g = unsafe { &mut *g };
    g.cur = g.main;
    finalize_all(g);
    for u in std::mem::take(&mut g.gc.userdata) {
        // SAFETY: the heap is still mapped.
        unsafe { ptr::drop_in_place(&raw mut (*u.as_ptr()).payload) }
    }
}
