//! The connections between fragments: exits linked to fragments, counting entries, and the chains of
//! indirect entries.
//!
//! Each connection is one 4-byte field of code, patched in one store (see [`crate::link`]). A field
//! that does not reach its target leads to an *island*, a far jump in the field's own unit. Islands
//! are written once and never changed.
//!
//! Invariants:
//! - Only live fragments are led to: exits linked to a fragment are in its list, and an indirect
//!   entry in a chain belongs to a fragment with [`IN_TABLE`]. [`Cache::kill`] empties both.
//! - Exits of live fragments are linked; exits of a fragment that died linked stay so (what they
//!   lead to is alive) until the target dies too or the unit is reclaimed.
//! - An exit that was linked when it was made has no stub. Its unit owes it the room for one
//!   (`Unit::owed`), so unlinking never fails.
//! - The mismatch of a chain's last entry leads to its region's common code; that of any other to
//!   the next entry. A fragment is in at most one chain, a chain has each guest address once.
//! - A fragment *behind* another is in no table; only exits of the other that decline are linked to it.
//! - The back edge of a loop stays inside its fragment: it leads to the loop's head while the fragment is live
//!   and not parked, else to code of the same fragment that ends at another of its exits.

use crate::cache::{Cache, EXIT_STUB, STUB_ROOM, StubWriter};
use crate::fragment::{ExitId, FragId, FragmentKind, HEAD, HostPc, IN_TABLE, NIL, PARKED, Place, Tag};
use crate::link;

impl Cache {
    /// Writes a stub into `unit` if there is room. `write` may be called twice.
    pub(crate) fn place_stub(
        &mut self,
        unit: u32,
        mut write: impl FnMut(&dyn StubWriter, HostPc, &mut Vec<u8>),
    ) -> Option<Place> {
        let u = &self.memory.units[unit as usize];
        if u.room() < STUB_ROOM + 8 {
            return None;
        }
        let mut at = (u.cold - STUB_ROOM) & !7;
        let mut code = std::mem::take(&mut self.buffer);
        code.clear();
        write(&*self.stubs, HostPc(at), &mut code);
        assert!(code.len() <= STUB_ROOM, "a stub is too large");
        // Moved up against what is there, by a multiple of 8: its length stays the same.
        let up = (u.cold - at - code.len()) & !7;
        if up > 0 {
            at += up;
            code.clear();
            write(&*self.stubs, HostPc(at), &mut code);
        }
        let u = &mut self.memory.units[unit as usize];
        assert!(at + code.len() <= u.cold, "the length of a stub depends on more than its alignment");
        u.cold = at;
        let place = Place::new(unit, at - u.start);
        self.memory.write(place, &code);
        self.buffer = code;
        Some(place)
    }

    pub(crate) fn patch_abs(&mut self, field: Place, value: u32) {
        let at = self.memory.writable(field);
        // SAFETY: a field of code in code memory; `self` is behind the client's lock.
        unsafe { link::patch(at, value) };
    }

    fn patch_rel(&mut self, field: Place, target: HostPc) -> bool {
        let Some(d) = link::displacement(self.memory.host(field).0, target.0) else { return false };
        self.patch_abs(field, d as u32);
        true
    }

    /// Makes a rel32 field lead to `target`, by an island if it must; false without room for one.
    pub(crate) fn lead(&mut self, field: Place, target: HostPc) -> bool {
        if self.patch_rel(field, target) {
            return true;
        }
        let island = self.place_stub(field.unit(), |s, _, out| s.far_jump(target, out));
        island.is_some_and(|at| self.patch_rel(field, self.memory.host(at)))
    }

    /// Makes an exit's field lead to its stub, which is made if there is none.
    pub(crate) fn lead_to_stub(&mut self, exit: ExitId) {
        let (patch, stub) = (self.exits[exit.0].patch, self.exits[exit.0].stub);
        let stub = if stub.is_none() { self.make_stub(exit) } else { stub };
        self.patch_rel(patch, self.memory.host(stub));
    }

    fn make_stub(&mut self, exit: ExitId) -> Place {
        let patch = self.exits[exit.0].patch;
        let common = self.memory.common(patch);
        let mut code = std::mem::take(&mut self.buffer);
        code.clear();
        let u = &mut self.memory.units[patch.unit() as usize];
        // All stubs have the same length, so what is written for one place shows where it ends.
        self.stubs.exit_stub(HostPc(u.cold), common, exit, &mut code);
        let n = code.len();
        u.owed -= EXIT_STUB;
        u.cold -= n;
        assert!(n <= EXIT_STUB && u.hot + u.owed <= u.cold, "no room for the stub of an exit");
        code.clear();
        self.stubs.exit_stub(HostPc(u.cold), common, exit, &mut code);
        let at = Place::new(patch.unit(), u.cold - u.start);
        self.memory.write(at, &code);
        self.buffer = code;
        self.exits[exit.0].stub = at;
        at
    }

    /// Makes a direct exit jump straight to `to`. Does nothing when either is not live, when `to` is
    /// not what the exit leads to, when a thread must leave through this exit (see
    /// [`Cache::park`]), or when the place is out of reach and there is no room for a far jump.
    pub fn link(&mut self, exit: ExitId, to: FragId) -> bool {
        let x = &self.exits[exit.0];
        let (from, target) = (&self.frags[x.from().0], &self.frags[to.0]);
        let declines = x.tag() == Tag::Decline;
        let right = match x.tag() {
            Tag::Direct => target.front().is_none(),
            Tag::Decline => from.behind() == Some(to),
            _ => false,
        };
        if !right
            || x.is_linked()
            || !from.live
            || from.has(PARKED)
            || !target.live
            || target.kind == FragmentKind::Private
            || self.target(x) != target.pc
        {
            return false;
        }
        if target.kind == FragmentKind::Block
            && !declines
            && self.config.policy.makes_head(x.is_backward(), from.kind == FragmentKind::Trace)
        {
            self.mark_head(to);
        }
        let target = &self.frags[to.0];
        let place = if declines { target.plain_entry() } else { target.target() };
        if self.config.isolated || !self.lead_exit(exit, self.memory.host(place)) {
            return false;
        }
        let head = std::mem::replace(&mut self.frags[to.0].incoming, exit.0);
        if head != NIL {
            self.exits[head].prev = exit.0;
        }
        let x = &mut self.exits[exit.0];
        x.set_linked(true);
        (x.next, x.prev) = (head, HEAD | to.0);
        self.stats.links += 1;
        true
    }

    /// Takes a linked exit out of its target's list. Its field still leads there.
    pub(crate) fn detach(&mut self, exit: ExitId) {
        let x = &mut self.exits[exit.0];
        let (next, prev) = (x.next, x.prev);
        (x.next, x.prev) = (NIL, NIL);
        x.set_linked(false);
        if prev & HEAD != 0 {
            self.frags[prev & !HEAD].incoming = next;
        } else {
            self.exits[prev].next = next;
        }
        if next != NIL {
            self.exits[next].prev = prev;
        }
    }

    /// Makes an exit go to the dispatcher again.
    pub fn unlink(&mut self, exit: ExitId) {
        if self.exits[exit.0].is_linked() {
            self.detach(exit);
            self.lead_to_stub(exit);
            self.stats.unlinks += 1;
        }
    }

    /// Sends everything that led to `old` to `new`, of the same guest address. `old` dies, unless it is
    /// behind `new`.
    pub(crate) fn supersede(&mut self, old: FragId, new: FragId) {
        let mut next = self.frags[old.0].incoming;
        while next != NIL {
            let exit = ExitId(next);
            next = self.exits[exit.0].next;
            if self.exits[exit.0].tag() == Tag::Decline {
                continue; // It is `new` that declines.
            }
            self.detach(exit);
            if !self.link(exit, new) {
                self.lead_to_stub(exit);
            }
        }
        if self.frags[old.0].has(IN_TABLE) {
            self.remove_indirect(old);
            self.insert_indirect(new);
        }
        if self.frags[new.0].behind() != Some(old) {
            self.kill(old);
        }
    }

    /// The fragment behind a live one (see [`crate::NewFragment::front`]).
    pub fn behind(&self, id: FragId) -> Option<FragId> {
        self.frags[id.0].behind()
    }

    /// Makes the back edge of a loop lead to its head, or out of the fragment.
    pub(crate) fn lead_loop(&mut self, exit: ExitId, back: bool) {
        let x = &self.exits[exit.0];
        let offset = if back { x.target as usize } else { x.next as usize };
        let (patch, start) = (x.patch, self.frags[x.from().0].start);
        let near = self.patch_rel(patch, HostPc(self.memory.host(start).0 + offset));
        assert!(near, "a fragment larger than a unit");
    }

    /// Makes all back edges of a fragment lead out of it.
    pub(crate) fn open_loops(&mut self, id: FragId) {
        for e in self.frags[id.0].exits() {
            if self.exits[e.0].tag() == Tag::Loop {
                self.lead_loop(e, false);
            }
        }
    }

    /// Makes a fragment reachable through the table of indirect branches: its entry becomes the
    /// first of its chain. False when it cannot be: not live, or no room for the entry.
    pub fn insert_indirect(&mut self, id: FragId) -> bool {
        let f = &self.frags[id.0];
        let pc = f.pc;
        let excluded = self.config.isolated || f.kind == FragmentKind::Private || f.front().is_some();
        if !f.live || excluded || f.has(IN_TABLE) {
            return false;
        }
        if f.indirect.is_none() {
            let target = self.memory.host(f.target());
            let mut mismatch = 0;
            let at = self.place_stub(f.start.unit(), |s, at, out| {
                mismatch = s.indirect_entry(at, pc, target, out);
            });
            let Some(at) = at else { return false };
            let f = &mut self.frags[id.0];
            f.indirect = at;
            f.mismatch = u8::try_from(mismatch).expect("a small entry");
        }
        if self.table.is_crowded() {
            self.unfold();
        }
        let next = self.table.head(pc);
        if !self.lead_mismatch(id, next) {
            return false;
        }
        let f = &mut self.frags[id.0];
        f.next_in_chain = next.map_or(NIL, |n| n.0);
        f.flags |= IN_TABLE;
        let entry = self.memory.host(f.indirect);
        self.table.set_head(pc, Some((id, entry)));
        true
    }

    /// Makes the table of indirect branches whole; everything in it is put in again.
    fn unfold(&mut self) {
        let heads = self.table.heads();
        if !self.table.unfold() {
            return;
        }
        let mut all = Vec::with_capacity(2 * heads.len());
        for head in heads {
            let mut at = Some(head);
            while let Some(id) = at {
                all.push(id);
                at = self.take_out(id);
            }
        }
        for id in all {
            self.insert_indirect(id);
        }
    }

    /// Makes the mismatch of an entry lead to the next one, or out.
    fn lead_mismatch(&mut self, id: FragId, next: Option<FragId>) -> bool {
        let f = &self.frags[id.0];
        let field = f.indirect.plus(usize::from(f.mismatch));
        let to = match next {
            Some(n) => self.memory.host(self.frags[n.0].indirect),
            None => self.stubs.mismatch(self.memory.common(field)),
        };
        self.lead(field, to)
    }

    pub(crate) fn remove_indirect(&mut self, id: FragId) {
        if !self.frags[id.0].has(IN_TABLE) {
            return;
        }
        let pc = self.frags[id.0].pc;
        let next = self.take_out(id);
        let head = self.table.head(pc).expect("its chain has a head");
        if head == id {
            let entry = next.map(|n| (n, self.memory.host(self.frags[n.0].indirect)));
            return self.table.set_head(pc, entry);
        }
        let mut before = head;
        while self.frags[before.0].next_in_chain != id.0 {
            before = FragId(self.frags[before.0].next_in_chain);
        }
        if self.lead_mismatch(before, next) {
            self.frags[before.0].next_in_chain = next.map_or(NIL, |n| n.0);
            return;
        }
        // No room for an island: the chain ends here, the rest is found through the dispatcher again.
        self.lead_mismatch(before, None);
        self.frags[before.0].next_in_chain = NIL;
        let mut rest = next;
        while let Some(r) = rest {
            rest = self.take_out(r);
        }
    }

    /// Marks a fragment as not in the table; returns the next in its chain.
    fn take_out(&mut self, id: FragId) -> Option<FragId> {
        let f = &mut self.frags[id.0];
        f.flags &= !IN_TABLE;
        let next = std::mem::replace(&mut f.next_in_chain, NIL);
        (next != NIL).then_some(FragId(next))
    }

    /// Makes whoever runs in `id` leave at its next exit: direct exits are unlinked, indirect ones
    /// miss, loops lead out. That stays so, whatever other threads do, until [`Cache::unpark`] was called as often.
    pub fn park(&mut self, id: FragId) {
        self.parks += 1;
        let f = &mut self.frags[id.0];
        if f.has(PARKED) || f.kind == FragmentKind::Private {
            return; // Private code always leaves.
        }
        f.flags |= PARKED;
        let exits = f.exits();
        self.parked.push(id);
        for e in exits {
            match self.exits[e.0].tag() {
                Tag::Indirect => {
                    let misses = self.table.misses_address();
                    self.patch_abs(self.exits[e.0].patch, misses);
                }
                Tag::Loop => self.lead_loop(e, false),
                _ => self.unlink(e),
            }
        }
    }

    /// Takes one [`Cache::park`] back. After the last one exits may be linked again.
    pub fn unpark(&mut self) {
        self.parks = self.parks.saturating_sub(1);
        if self.parks > 0 {
            return;
        }
        let table = self.table.address();
        for id in std::mem::take(&mut self.parked) {
            // One that was reclaimed meanwhile is parked no more, even if its number is in use again.
            let f = &mut self.frags[id.0];
            if !f.has(PARKED) {
                continue;
            }
            f.flags &= !PARKED;
            let closed = f.live && !self.config.isolated;
            for e in f.exits() {
                match self.exits[e.0].tag() {
                    Tag::Indirect => self.patch_abs(self.exits[e.0].patch, table),
                    Tag::Loop => self.lead_loop(e, closed),
                    _ => {}
                }
            }
        }
    }
}
