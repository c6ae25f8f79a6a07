//! Checks of the cache's invariants, for tests.

use crate::cache::{Cache, EXIT_STUB, StubWriter, pages_of};
use crate::fragment::{ExitId, FragId, FragmentKind, HEAD, HostPc, IN_TABLE, NIL, Place, Tag};
use crate::memory::UnitState;
use std::collections::HashSet;

impl Cache {
    /// Where the rel32 field at `field` leads, through an island if there is one.
    fn leads_to(&self, field: Place) -> HostPc {
        let bytes = &self.memory.bytes(field.unit())[field.offset()..];
        let d = i32::from_le_bytes(bytes[..4].try_into().unwrap());
        let to = HostPc((self.memory.host(field).0 + 4).wrapping_add_signed(d as isize));
        let Some(place) = self.memory.place_of(to) else { return to };
        let code = &self.memory.bytes(place.unit())[place.offset()..];
        if code[..6] == [0xff, 0x25, 0, 0, 0, 0] {
            return HostPc(u64::from_le_bytes(code[6..14].try_into().unwrap()) as usize);
        }
        to
    }

    /// Panics when an invariant of [`crate::linking`] or [`crate::eviction`] does not hold.
    pub(crate) fn verify(&self, stubs: &dyn StubWriter) {
        let mut live = vec![0; self.memory.units.len()];
        let mut owed = vec![0; self.memory.units.len()];
        let mut linked = HashSet::new();
        let mut in_table = HashSet::new();
        let free: HashSet<_> = self.free_frags.iter().copied().collect();
        assert_eq!(free.len(), self.free_frags.len(), "a free fragment twice");
        for (i, f) in self.frags.iter() {
            let id = FragId(i);
            if free.contains(&id) {
                assert!(!f.live && f.incoming == NIL && f.flags == 0 && f.extra.is_none());
                continue;
            }
            if !f.live && f.kind == FragmentKind::Private && f.exits == 0 {
                continue; // Used up.
            }
            let unit = f.start.unit();
            let state = self.memory.units[unit as usize].state;
            assert!(!matches!(state, UnitState::Free(_)), "{id:?} in a free unit");
            for e in f.exits() {
                let x = &self.exits[e.0];
                assert_eq!(x.from(), id);
                assert_ne!(x.tag(), Tag::Free);
                if matches!(x.tag(), Tag::Indirect | Tag::Loop) {
                    continue;
                }
                if x.stub.is_none() {
                    assert!(x.is_linked(), "{e:?} has nowhere to go");
                    owed[unit as usize] += EXIT_STUB;
                }
                if !x.is_linked() {
                    assert_eq!(self.leads_to(x.patch), self.memory.host(x.stub), "{e:?}");
                }
            }
            if !f.live {
                assert!(f.incoming == NIL && !f.has(IN_TABLE), "{id:?} is dead and reachable");
                assert_ne!(self.lookup(f.pc), Some(id));
                continue;
            }
            live[unit as usize] += 1;
            assert_eq!(state, UnitState::InUse, "{id:?} lives in a retired unit");
            if let Some(front) = f.front() {
                assert_eq!(self.frags[front.0].behind(), Some(id));
                assert!(self.frags[front.0].live && !f.has(IN_TABLE) && self.lookup(f.pc) != Some(id));
            } else if f.kind != FragmentKind::Private {
                assert_eq!(self.lookup(f.pc), Some(id));
            }
            if let Some(behind) = f.behind() {
                assert_eq!(self.frags[behind.0].front(), Some(id));
            }
            for (pc, len) in f.source() {
                for page in pages_of(pc, len) {
                    assert!(self.pages[&page].contains(&id));
                }
            }
            let mut prev = HEAD | i;
            let mut e = f.incoming;
            while e != NIL {
                let x = &self.exits[e];
                assert!(x.is_linked() && x.prev == prev && self.target(x) == f.pc);
                assert!(linked.insert(ExitId(e)));
                let to = self.leads_to(x.patch);
                let plain = self.memory.host(f.start.plus(usize::from(f.entry)));
                // Where a link could not follow when the counting began or ended it stays.
                let counts = f.counter().is_some_and(|c| to == self.memory.host(c.entry));
                assert!(counts || to == plain, "{e} leads elsewhere");
                prev = e;
                e = x.next;
            }
            if f.has(IN_TABLE) {
                in_table.insert(id);
            }
        }
        for (e, x) in self.exits.iter() {
            assert_eq!(x.is_linked(), linked.contains(&ExitId(e)), "exit {e}");
        }
        for (u, unit) in self.memory.units.iter().enumerate() {
            assert_eq!(unit.live, live[u], "live fragments of unit {u}");
            assert_eq!(unit.owed, owed[u], "stubs owed by unit {u}");
            assert!(unit.hot + unit.owed <= unit.cold);
            assert!(unit.frags.is_sorted_by_key(|f| self.frags[f.0].start));
        }
        let retired = self.memory.units.iter().filter(|u| matches!(u.state, UnitState::Retired(_))).count();
        assert_eq!(retired, self.retired);
        let epoch = |u: &crate::memory::Unit| match u.state {
            UnitState::Retired(e) => e,
            _ => u64::MAX,
        };
        let first = self.memory.units.iter().map(epoch).min().unwrap_or(u64::MAX);
        assert_eq!(first, self.first_retired);
        for (r, current) in self.current.iter().enumerate() {
            let Some(u) = current else { continue };
            let unit = &self.memory.units[*u as usize];
            assert!(unit.region == r && unit.state == UnitState::InUse);
        }
        for head in in_table.clone().iter().filter_map(|f| self.table.head(self.frags[f.0].pc)) {
            let first = &self.frags[head.0];
            assert_eq!(self.table.slot(first.pc), self.memory.host(first.indirect));
            let mut at = head;
            while in_table.remove(&at) {
                let f = &self.frags[at.0];
                let field = f.indirect.plus(usize::from(f.mismatch));
                let want = match f.next_in_chain {
                    NIL => stubs.mismatch(self.memory.common(field)),
                    n => self.memory.host(self.frags[n].indirect),
                };
                assert_eq!(self.leads_to(field), want, "chain of {head:?} at {at:?}");
                if f.next_in_chain == NIL {
                    break;
                }
                at = FragId(f.next_in_chain);
                assert!(self.frags[at.0].has(IN_TABLE));
            }
        }
        assert!(in_table.is_empty(), "in no chain: {in_table:?}");
    }
}
