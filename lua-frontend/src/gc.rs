//! The collector.

use crate::object::Table;
use crate::object::{BLACK, Header};
use crate::state::Global;
use crate::value::{Gc, Value};

/// State of the collector.
#[derive(Default)]
pub struct Collector {
    /// Objects with finalizers.
    pub finalizers: Vec<Value>,
    /// Userdata with a Rust payload.
    pub payloads: Vec<Gc<crate::object::UserData>>,
}

/// Runs the collector if it is due.
#[inline(always)]
pub fn check(g: &mut Global) {
    if g.heap.total >= g.heap.threshold {
        step(g);
    }
}

#[cold]
fn step(g: &mut Global) {
    g.heap.threshold = g.heap.total * 2;
}

/// After a store into a table.
#[inline(always)]
pub fn barrier_table(g: &mut Global, t: Gc<Table>) {
    if t.h.flags & BLACK != 0 {
        barrier_object(g, t.as_ptr().cast());
    }
}

/// After a store into any object.
pub fn barrier_object(_g: &mut Global, _o: *mut Header) {}

/// Registers an object whose finalizer must run.
pub fn add_finalizer(g: &mut Global, v: Value) {
    g.gc.finalizers.push(v);
}

/// Ends a state: runs all finalizers.
///
/// # Safety
/// No coroutine of the state runs.
pub unsafe fn close(_g: *mut Global) {}

/// Registers a userdata whose payload must be dropped.
pub fn add_payload(g: &mut Global, u: Gc<crate::object::UserData>) {
    g.gc.payloads.push(u);
}
