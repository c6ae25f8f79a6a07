//! Large tables, which are marked in slices so that no step of the collector takes long.
//!
//! A large table turns black when its marking begins. What is stored into it while the rest is still waiting is marked
//! by the store ([`barrier_store`]), so it need not be looked at again at the end of the cycle, where everything that
//! has changed is traversed in one go. A table that changes its size meanwhile is marked from the start, since its entries
//! have moved between its parts.
//!
//! Example: 400,000 slots, written all the time. Marking takes 200 steps of 2,048 slots; each store in between marks the
//! stored object. The end of the cycle finds the table black and done.

use super::{BLACK, Phase, barrier_object};
use crate::heap::is_marked;
use crate::object::Table;
use crate::state::Global;
use crate::table::nil_node;
use crate::value::{Gc, Value};

/// Slots and nodes of a slice; tables with more are large.
const SLICE: usize = 2048;

/// A large table that is being marked.
#[derive(Debug)]
pub(super) struct Slice {
    table: *mut Table,
    /// How often the table had changed its size when this began.
    resized: u8,
    /// Next slot or, behind all slots, next node.
    at: usize,
}

/// Slots and nodes.
unsafe fn entries(t: *mut Table) -> usize {
    // SAFETY: a live table.
    unsafe { (*t).h.n as usize + if (*t).node == nil_node() { 0 } else { (*t).hmask as usize + 1 } }
}

/// Is it so large that it is marked in slices?
pub(super) unsafe fn is_large(t: *mut Table) -> bool {
    // SAFETY: a live table.
    unsafe { entries(t) > SLICE }
}

/// After a store of a value under a key into a table.
#[inline(always)]
pub fn barrier_store(g: &mut Global, t: Gc<Table>, key: Value, v: Value) {
    if t.h.flags & BLACK != 0 {
        stored_into_black(g, t, key, v);
    }
}

#[inline(never)]
fn stored_into_black(g: &mut Global, t: Gc<Table>, key: Value, v: Value) {
    // SAFETY: a live table.
    unsafe {
        if g.gc.phase == Phase::Mark && is_large(t.as_ptr()) && is_marked(t.as_ptr().cast()) {
            g.mark_value(key);
            g.mark_value(v);
            return;
        }
    }
    barrier_object(g, t.as_ptr().cast());
}

impl Global {
    /// Begins the marking of a large table, which is black and whose blocks are marked.
    pub(super) unsafe fn begin_slices(&mut self, t: *mut Table) {
        // SAFETY: a live table.
        self.gc.slices.push(Slice { table: t, resized: unsafe { (*t).h.y }, at: 0 });
    }

    /// Marks what the next slice of a table refers to; gives the bytes looked at, 0 if there is no such table.
    pub(super) unsafe fn mark_slice(&mut self) -> usize {
        let Some(mut s) = self.gc.slices.pop() else { return 0 };
        let t = s.table;
        // SAFETY: the table has been marked in this cycle, so it is alive; indices stay inside the blocks.
        unsafe {
            if s.resized != (*t).h.y {
                (s.resized, s.at) = ((*t).h.y, 0);
            }
            let (slots, all) = ((*t).h.n as usize, entries(t));
            let end = (s.at + SLICE).min(all);
            while s.at < end.min(slots) {
                self.mark_value(*(*t).array.add(s.at));
                s.at += 1;
            }
            while s.at < end {
                let node = &*(*t).node.add(s.at - slots);
                if !node.val.is_nil() {
                    self.mark_value(node.key);
                    self.mark_value(node.val);
                }
                s.at += 1;
            }
            if s.at < all {
                self.gc.slices.push(s);
            }
        }
        SLICE * 8
    }
}
