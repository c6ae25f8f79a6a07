//! How code goes away: dead fragments, evicted units, and the grace period before memory is reused.
//!
//! Removing code has two steps. [`Cache::kill`] makes a fragment unreachable: out of the look-up
//! tables, nothing linked to it. Its memory is reused only with that of its whole unit, after
//! [`Cache::reclaim`] learned that every thread has been outside since.
//!
//! At the limit the oldest unit is emptied fragment by fragment while the one in use fills up; eviction of a whole unit is for what is left when that was too slow.
//!
//! A unit is [in use](UnitState::InUse) until it is evicted or its last live fragment dies (and it
//! is not being filled), then *retired* in some epoch, and *free* after the grace period. The number
//! that the limit counts is of units with pages: all but released ones. At the limit the unit
//! that was taken into use first is evicted, whatever region it is in; its memory is reused when
//! it reaches the code that needs room, else its pages are given back. A thread that never leaves
//! the cache keeps all that retires meanwhile, and the limit is exceeded by as much.
//!
//! Invariants:
//! - Identifiers of fragments and exits are recycled together with their unit's memory, so a thread
//!   that is in the cache, whose epoch is noted, never holds a stale one. (Private fragments, which
//!   a single thread knows, may go earlier: [`Cache::discard`].)
//! - A unit that is being filled (`Cache::current`) is in use, and current in its own region only.
//! - Nothing leads into a retired unit: no link, no chain, no look-up, no page list.

use crate::cache::{Cache, CacheError, pages_of};
use crate::events::EventKind;
use crate::fragment::{ExitId, ExitRecord, FragId, FragmentKind, GuestPc, HostPc, Record, Tag};
use crate::memory::{UNIT_SIZE, UnitState};
use crate::pcmap;

/// The oldest unit is to be empty when one part in so many of the unit in use is still free.
const AHEAD: usize = 16;
/// Fragments that make room for one new one at most.
const AT_ONCE: usize = 16;

impl Cache {
    /// A unit for fragments near `near`, which becomes the one that is filled.
    pub(crate) fn next_unit(&mut self, near: GuestPc) -> Result<u32, CacheError> {
        let reaching: Vec<usize> =
            (0..self.memory.regions.len()).filter(|&r| self.memory.serves(r, near.0)).collect();
        for &r in &reaching {
            if let Some(full) = self.current[r] {
                self.memory.units[full as usize].trim();
            }
        }
        let free = |m: &crate::memory::CodeMemory, present: bool| {
            m.units.iter().position(|u| u.state == UnitState::Free(present) && reaching.contains(&u.region))
        };
        if let Some(i) = free(&self.memory, true) {
            return Ok(self.take(i as u32));
        }
        self.stay_below_limit();
        if let Some(i) = free(&self.memory, false) {
            return Ok(self.take(i as u32));
        }
        let age = self.age;
        let unit = match reaching.iter().find_map(|&r| self.memory.add_unit(r, age)) {
            Some(u) => u,
            None => {
                let region = self.new_region(near)?;
                self.memory.add_unit(region, age).ok_or(CacheError::TooLarge(UNIT_SIZE))?
            }
        };
        Ok(self.take(unit))
    }

    fn take(&mut self, unit: u32) -> u32 {
        self.age += 1;
        let u = &mut self.memory.units[unit as usize];
        u.state = UnitState::InUse;
        u.age = self.age;
        self.current[u.region] = Some(unit);
        unit
    }

    fn new_region(&mut self, near: GuestPc) -> Result<usize, CacheError> {
        let region = self.memory.add_region(near.0)?;
        self.current.push(None);
        let code = self.stubs.region_common(HostPc(self.memory.regions[region].rx));
        self.memory.write_common(region, &code);
        Ok(region)
    }

    /// Before a unit is added: gives back pages of free ones, else evicts the oldest.
    fn stay_below_limit(&mut self) {
        let present = |u: &&mut crate::memory::Unit| u.state != UnitState::Free(false);
        let most = (self.config.limit / UNIT_SIZE).max(1);
        let mut count = self.memory.units.iter_mut().filter(present).count();
        for u in &mut self.memory.units {
            if count < most {
                return;
            }
            if u.state == UnitState::Free(true) {
                u.release();
                u.state = UnitState::Free(false);
                count -= 1;
            }
        }
        if count < most {
            return;
        }
        let current = |u: u32| self.current.contains(&Some(u));
        let oldest = (0..self.memory.units.len() as u32)
            .filter(|&u| self.memory.units[u as usize].state == UnitState::InUse)
            .min_by_key(|&u| (current(u), self.memory.units[u as usize].age));
        if let Some(u) = oldest {
            self.evict(u);
        }
    }

    /// Makes room for what comes. While the unit `filling` fills up and no other will be free, the oldest one empties at the same rate,
    /// one fragment after the other in the order in which they were made: so what is used still comes back one by one too, and
    /// the unit is free in time.
    pub(crate) fn age_out(&mut self, filling: u32) {
        let most = (self.config.limit / UNIT_SIZE).max(1);
        let units = &self.memory.units;
        if units.len() < most {
            return;
        }
        let waits = |u: &crate::memory::Unit| !matches!(u.state, UnitState::InUse | UnitState::Free(false));
        let present = units.iter().filter(|u| u.state != UnitState::Free(false)).count();
        if present < most || units.iter().any(waits) {
            return;
        }
        let in_use = |&u: &u32| units[u as usize].state == UnitState::InUse;
        let Some(oldest) = (0..units.len() as u32)
            .filter(in_use)
            .filter(|&u| !self.current.contains(&Some(u)))
            .min_by_key(|&u| units[u as usize].age)
        else {
            return;
        };
        let (u, full) = (&units[oldest as usize], units[filling as usize].used() + UNIT_SIZE / AHEAD);
        let until = (u.frags.len() * full / UNIT_SIZE).min(u.frags.len()).min(u.aged + AT_ONCE);
        let start = GuestPc(u.start as u64);
        let mut gone = 0;
        for i in u.aged..until {
            let f = self.memory.units[oldest as usize].frags[i];
            gone += u64::from(self.frags[f.0].live);
            self.kill(f);
        }
        let u = &mut self.memory.units[oldest as usize];
        u.aged = u.aged.max(until);
        if gone > 0 {
            self.stats.evicted += gone;
            self.events.push(EventKind::Evict, start, gone);
        }
    }

    /// Drops all fragments of a unit; its memory is reused after the grace period.
    pub fn evict(&mut self, unit: u32) {
        if self.memory.units[unit as usize].state != UnitState::InUse {
            return;
        }
        self.retire(unit);
        let frags = std::mem::take(&mut self.memory.units[unit as usize].frags);
        for &f in &frags {
            self.kill(f);
        }
        self.stats.evicted_units += 1;
        let start = GuestPc(self.memory.units[unit as usize].start as u64);
        self.events.push(EventKind::Evict, start, frags.len() as u64);
        let u = &mut self.memory.units[unit as usize];
        u.frags = frags;
        u.trim();
    }

    /// The grace period of a unit begins.
    fn retire(&mut self, unit: u32) {
        let u = &mut self.memory.units[unit as usize];
        u.state = UnitState::Retired(self.epoch);
        if self.current[u.region] == Some(unit) {
            self.current[u.region] = None;
        }
        self.retired += 1;
        self.first_retired = self.first_retired.min(self.epoch);
        self.epoch += 1;
    }

    /// Drops everything.
    pub fn flush(&mut self) {
        for unit in 0..self.memory.units.len() as u32 {
            self.evict(unit);
        }
    }

    /// The current epoch. A thread notes it when it enters the cache.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// True when units wait for their grace period.
    pub fn has_retired(&self) -> bool {
        self.retired > 0
    }

    /// Frees what was retired before every thread's last entry. `oldest` is the smallest epoch noted
    /// by a thread that is in the cache now, or `u64::MAX` when none is.
    pub fn reclaim(&mut self, oldest: u64) {
        if oldest <= self.first_retired {
            return;
        }
        self.first_retired = u64::MAX;
        for unit in 0..self.memory.units.len() {
            match self.memory.units[unit].state {
                UnitState::Retired(epoch) if epoch < oldest => {}
                UnitState::Retired(epoch) => {
                    self.first_retired = self.first_retired.min(epoch);
                    continue;
                }
                _ => continue,
            }
            for f in std::mem::take(&mut self.memory.units[unit].frags) {
                self.recycle(f);
                // Whoever recorded with a private fragment may not know yet that it is gone, and
                // would discard another's: such numbers are used up.
                if self.frags[f.0].kind != FragmentKind::Private {
                    self.free_frags.push(f);
                }
            }
            self.memory.units[unit].reset();
            self.memory.units[unit].state = UnitState::Free(true);
            self.retired -= 1;
        }
    }

    /// What a dead fragment holds becomes free, but for its own number.
    fn recycle(&mut self, id: FragId) {
        let f = &mut self.frags[id.0];
        debug_assert!(!f.live && f.incoming == crate::fragment::NIL);
        let (first, n) = (f.first_exit, std::mem::take(&mut f.exits));
        let counter = f.counter();
        f.extra = None;
        f.flags = 0;
        for e in first..first + u32::from(n) {
            self.free_exit(ExitId(e));
        }
        if n > 0 {
            self.free_exits.entry(n).or_default().push(first);
        }
        if let Some(c) = counter {
            self.free_exit(c.hot);
            self.free_exits.entry(1).or_default().push(c.hot.0);
            self.table.free_counter(c.cell);
        }
    }

    fn free_exit(&mut self, exit: ExitId) {
        if self.exits[exit.0].is_linked() {
            self.detach(exit);
        }
        self.forget_taken(exit);
        let x = &self.exits[exit.0];
        if x.is_far() {
            self.free_far.push(x.target as u32);
        }
        self.exits[exit.0] = ExitRecord::new(x.from(), Tag::Free, 0, false, false);
    }

    /// Makes a fragment unreachable. A thread inside goes on to its next exit.
    pub fn kill(&mut self, id: FragId) {
        if !self.frags[id.0].live {
            return;
        }
        self.forget(id);
        self.remove_indirect(id);
        self.open_loops(id);
        if let Some(extra) = &mut self.frags[id.0].extra {
            let (front, behind) = (extra.front.take(), extra.behind.take());
            if let Some(front) = front
                && let Some(extra) = &mut self.frags[front.0].extra
            {
                extra.behind = None;
            }
            if let Some(behind) = behind {
                // Nothing else leads there; it must not look for its front any more.
                if let Some(extra) = &mut self.frags[behind.0].extra {
                    extra.front = None;
                }
                self.kill(behind);
            }
        }
        while self.frags[id.0].incoming != crate::fragment::NIL {
            self.unlink(ExitId(self.frags[id.0].incoming));
        }
        for (p, len) in self.frags[id.0].source() {
            for page in pages_of(p, len) {
                if let Some(list) = self.pages.get_mut(&page) {
                    list.retain(|&f| f != id);
                    if list.is_empty() {
                        self.pages.remove(&page);
                    }
                }
            }
        }
        // The map stays usable for a thread that is still inside.
        self.frags[id.0].live = false;
        let unit = self.frags[id.0].start.unit();
        let u = &mut self.memory.units[unit as usize];
        u.live -= 1;
        if u.live == 0 && u.state == UnitState::InUse && self.current[u.region] != Some(unit) {
            self.retire(unit);
        }
    }

    /// Drops a private fragment that its only thread has left for good. Nothing ever led to it, so no
    /// grace period is due: if nothing was made since, its memory and numbers are free at once. (New
    /// code in its place is written and run by threads that are outside now; processors keep fetched
    /// instructions coherent by physical address, whichever view is written.)
    pub fn discard(&mut self, id: FragId) {
        let f = &self.frags[id.0];
        let private = f.live && f.kind == FragmentKind::Private;
        let (start, len, map) = (f.start, f.len as usize, f.map);
        let stubs = f.exits().map(|e| self.exits[e.0].stub);
        let lowest = stubs.filter(|s| !s.is_none()).min().map_or(map, |s| s.min(map));
        self.kill(id);
        let u = &mut self.memory.units[start.unit() as usize];
        if !private
            || u.state != UnitState::InUse
            || u.frags.last() != Some(&id)
            || u.hot != u.start + start.offset() + len
        {
            return;
        }
        u.frags.pop();
        u.hot = u.start + start.offset();
        if u.cold == u.start + lowest.offset() {
            let bytes = self.memory.bytes(start.unit());
            let map_len = pcmap::packed_len(&bytes[map.offset()..]);
            self.memory.units[start.unit() as usize].cold += map.offset() - lowest.offset() + map_len;
        }
        self.recycle(id);
        self.free_frags.push(id);
    }

    /// True when a fragment came from the page.
    pub fn page_has_code(&self, page: u64) -> bool {
        self.pages.contains_key(&page)
    }

    /// True when a live fragment was made from any byte of `[start, end)`.
    pub fn range_has_code(&self, start: u64, end: u64) -> bool {
        self.overlapping(start, end).next().is_some()
    }

    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = FragId> {
        let hit = move |f: &Record| f.source().any(|(p, n)| p.0 < end && start < p.0 + u64::from(n));
        let pages = start >> 12..=(end.max(start + 1) - 1) >> 12;
        // A huge range is cheaper to find from the side of the pages that have code.
        let few = end.saturating_sub(start) >> 12 <= self.pages.len() as u64;
        let by_range = few.then(|| pages.clone().filter_map(|p| self.pages.get(&p)));
        let by_page =
            (!few).then(|| self.pages.iter().filter(move |(p, _)| pages.contains(p)).map(|(_, l)| l));
        by_range
            .into_iter()
            .flatten()
            .chain(by_page.into_iter().flatten())
            .flatten()
            .copied()
            .filter(move |&f| hit(&self.frags[f.0]))
    }

    /// Kills every fragment made from bytes of `[start, end)`; returns how many.
    pub fn invalidate(&mut self, start: u64, end: u64) -> usize {
        if self.pages.is_empty() || end <= start {
            return 0;
        }
        let mut hit: Vec<FragId> = self.overlapping(start, end).collect();
        hit.sort_unstable();
        hit.dedup();
        for &f in &hit {
            self.kill(f);
        }
        if !hit.is_empty() {
            self.stats.invalidated += hit.len() as u64;
            self.events.push(EventKind::Invalidate, GuestPc(start), hit.len() as u64);
        }
        hit.len()
    }

    /// Guest pages with live code, for watching.
    pub fn code_pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.keys().copied()
    }
}
