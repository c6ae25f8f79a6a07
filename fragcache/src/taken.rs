//! How often exits of traces are taken, counted when a client wants to know ([`count_exits`](crate::CacheConfig)).
//!
//! A linked exit then goes to its target by way of a *counting jump*, code of its own in the unit of the exit; one that
//! is not linked arrives at the dispatcher, who says so ([`Cache::took`]). Indirect exits and the back edges of loops
//! are not counted.
//!
//! Counts begin with the first link or arrival. They stop at some four thousand million, and threads that count at the same
//! time may lose one: good enough to look at. An exit without room for a counting jump is linked without, and what
//! goes by then is missing.

use crate::cache::Cache;
use crate::fragment::{ExitId, FragmentKind, HostPc, Tag};
use rustc_hash::FxHashMap;

/// What cells begin with: they are counted down, to 1 at most.
const FULL: u32 = u32::MAX;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Taken(FxHashMap<u32, Count>);

#[derive(Debug, Default)]
struct Count {
    /// The cell of its counting jumps, once there was one.
    cell: Option<u32>,
    /// Arrivals at the dispatcher.
    dispatched: u64,
}

impl Cache {
    fn counts(&self, exit: ExitId) -> bool {
        let x = &self.exits[exit.0];
        self.config.count_exits
            && matches!(x.tag(), Tag::Direct | Tag::Decline)
            && self.frags[x.from().0].kind == FragmentKind::Trace
    }

    /// Makes an exit lead to code of its target, counted if it is to be; false when that is out of reach.
    pub(crate) fn lead_exit(&mut self, exit: ExitId, to: HostPc) -> bool {
        let patch = self.exits[exit.0].patch;
        self.counting_jump(exit, to).is_some_and(|jump| self.lead(patch, jump)) || self.lead(patch, to)
    }

    fn counting_jump(&mut self, exit: ExitId, to: HostPc) -> Option<HostPc> {
        if !self.counts(exit) {
            return None;
        }
        let known = self.taken.0.get(&exit.0).and_then(|count| count.cell);
        let cell = match known {
            Some(cell) => cell,
            None => {
                let cell = self.table.new_counter(FULL)?;
                self.taken.0.entry(exit.0).or_default().cell = Some(cell);
                cell
            }
        };
        let unit = self.exits[exit.0].patch.unit();
        let at = self.place_stub(unit, |s, _, out| s.counting_jump(cell, to, out))?;
        Some(self.memory.host(at))
    }

    /// The dispatcher was entered by this exit.
    pub fn took(&mut self, exit: ExitId) {
        if self.counts(exit) {
            self.taken.0.entry(exit.0).or_default().dispatched += 1;
        }
    }

    /// How often an exit was taken, where that is counted.
    pub fn taken(&self, exit: ExitId) -> Option<u64> {
        if !self.counts(exit) {
            return None;
        }
        let Some(count) = self.taken.0.get(&exit.0) else { return Some(0) };
        let linked = count.cell.map_or(0, |cell| FULL - self.table.counter(cell));
        Some(count.dispatched + u64::from(linked))
    }

    /// The exit is no more.
    pub(crate) fn forget_taken(&mut self, exit: ExitId) {
        if let Some(cell) = self.taken.0.remove(&exit.0).and_then(|count| count.cell) {
            self.table.free_counter(cell);
        }
    }
}
