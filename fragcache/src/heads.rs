//! Possible trace heads: which of them are counted at present.
//!
//! Arrivals at a head go by way of its counter, and that is dear: the counter's code and its cell are seldom in the caches
//! of the processor, and the head's own entry for indirect branches, which stands in front of it, is not in use. A compiler has tens
//! of thousands of heads, of which few ever become hot. So only a window of them is counted, the ones that were marked
//! last: whoever does not get hot while [`Policy::window`](crate::select::Policy) others are marked is *set aside*. It keeps its
//! counter and its count, but is entered directly. As the dispatcher is entered ([`Cache::tick`]) those set aside get
//! another turn, one after the other.
//!
//! A thread may be in the code of a counter while its head is set aside, and may find it at zero: the exit it takes is the
//! head's for good, so that is as good as any other time.

use crate::cache::{Cache, HOT, STUB_ROOM};
use crate::fragment::{Counter, ExitId, FragId, FragmentKind, HostPc, IN_TABLE, NIL, Place, Tag};

/// After so many entries of the dispatcher some heads get another turn.
const TURN: u32 = 64;
/// So many.
const AT_ONCE: usize = 8;

impl Cache {
    /// Where direct links to a fragment lead: through its counter if it has one.
    pub fn counting_entry(&self, id: FragId) -> HostPc {
        self.memory.host(self.frags[id.0].target())
    }

    /// Whether a fragment is a possible trace head.
    pub fn is_head(&self, id: FragId) -> bool {
        self.frags[id.0].counter().is_some()
    }

    /// Makes a block a possible trace head: arrivals through its entry are counted from now on.
    pub fn mark_head(&mut self, id: FragId) -> bool {
        let f = &self.frags[id.0];
        if f.counter().is_some()
            || !f.live
            || f.kind != FragmentKind::Block
            || self.config.policy.threshold == 0
        {
            return false;
        }
        let (pc, unit) = (f.pc, f.start.unit());
        // For the counter and a new indirect entry.
        if self.memory.units[unit as usize].room() < 3 * STUB_ROOM {
            return false;
        }
        let value = match self.failures.get(&pc.0) {
            None => self.config.policy.threshold,
            Some(&n) => self.config.policy.penalty(n),
        };
        let Some(cell) = self.table.new_counter(value) else { return false };
        let entry = self.memory.host(f.plain_entry());
        let hot = ExitId(self.new_exits(1));
        let mut record = self.new_exit_record(id, Tag::Service, pc, false);
        record.next = HOT;
        self.exits[hot.0] = record;
        let common = self.memory.common(Place::new(unit, 0));
        let at = self
            .place_stub(unit, |s, at, out| s.counter_stub(at, common, cell, hot, entry, out))
            .expect("room was checked");
        self.frags[id.0].extra.get_or_insert_default().counter =
            Some(Counter { entry: at, cell, hot, aside: true, other: (Place::NONE, 0) });
        self.turn(id, true);
        true
    }

    /// Begins or ends the counting of arrivals at a head.
    fn turn(&mut self, id: FragId, counted: bool) {
        let f = &mut self.frags[id.0];
        let (live, in_table) = (f.live, f.has(IN_TABLE));
        let Some(c) = f.extra.as_mut().and_then(|e| e.counter.as_mut()) else { return };
        if !live || c.aside != counted {
            return;
        }
        c.aside = !counted;
        // What was linked goes the other way from now on. Out of reach and without room for an island it stays.
        let to = self.memory.host(self.frags[id.0].target());
        let mut e = self.frags[id.0].incoming;
        while e != NIL {
            if self.exits[e].tag() != Tag::Decline {
                self.lead_exit(ExitId(e), to);
            }
            e = self.exits[e].next;
        }
        if in_table {
            self.remove_indirect(id);
        }
        // One entry for indirect branches counts, the other does not.
        let f = &mut self.frags[id.0];
        let mine = (f.indirect, f.mismatch);
        if let Some(c) = f.extra.as_mut().and_then(|e| e.counter.as_mut()) {
            (f.indirect, f.mismatch) = std::mem::replace(&mut c.other, mine);
        }
        if in_table {
            self.insert_indirect(id);
        }
        if !counted {
            return self.aside.push_back(id);
        }
        self.counted.push_back(id);
        while self.counted.len() > self.config.policy.window {
            if let Some(first) = self.counted.pop_front() {
                self.turn(first, false);
            }
        }
    }

    /// The dispatcher was entered.
    pub fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if !self.ticks.is_multiple_of(TURN) {
            return;
        }
        for _ in 0..AT_ONCE {
            let Some(id) = self.aside.pop_front() else { return };
            let room = self.memory.units[self.frags[id.0].start.unit() as usize].room();
            if room >= 2 * STUB_ROOM {
                self.turn(id, true);
            }
        }
    }

    /// Starts the counter of a head anew.
    pub fn rearm(&mut self, id: FragId) {
        if let Some(c) = self.frags[id.0].counter() {
            self.table.set_counter(c.cell, self.config.policy.threshold);
        }
    }

    /// A head got hot at a time when no trace can be made: it is asked again after more arrivals than the first time.
    pub fn postpone(&mut self, id: FragId) {
        self.recount(id, self.config.policy.postponed());
    }

    /// The counter of a head begins at `value`.
    pub fn recount(&mut self, id: FragId, value: u32) {
        if let Some(c) = self.frags[id.0].counter() {
            self.table.set_counter(c.cell, value);
        }
    }

    /// After a recording that gave no trace: count again, longer each time.
    pub fn penalise(&mut self, id: FragId) {
        let (pc, counter) = (self.frags[id.0].pc, self.frags[id.0].counter());
        let n = self.failures.entry(pc.0).or_insert(0);
        *n += 1;
        let value = self.config.policy.penalty(*n);
        if let Some(c) = counter {
            self.table.set_counter(c.cell, value);
        }
    }
}
