//! What fragments rest on: facts about the process that can be revoked.
//!
//! A fact is a bit whose meaning is the client's. A fragment names the facts it rests on when it is committed
//! ([`crate::NewFragment::facts`]). Whoever is about to make a fact untrue revokes it first: all fragments that
//! rest on it die, and a thread inside one leaves at its next exit, loops included. So the event that revokes must
//! not return to the guest before [`Cache::revoke`] does, and code made later must not name the fact.
//!
//! Revoking is rare and walks over all fragments.

use crate::cache::Cache;
use crate::events::EventKind;
use crate::fragment::{FragId, GuestPc};

impl Cache {
    /// Whether all these facts still hold.
    pub fn holds(&self, facts: u32) -> bool {
        self.revoked & facts == 0
    }

    /// The facts hold no longer: fragments that rest on any of them die. Returns how many did.
    pub fn revoke(&mut self, facts: u32) -> usize {
        if self.revoked & facts == facts {
            return 0;
        }
        self.revoked |= facts;
        let rests =
            |f: &crate::fragment::Record| f.live && f.extra.as_ref().is_some_and(|e| e.facts & facts != 0);
        let hit: Vec<FragId> = self.frags.iter().filter(|(_, f)| rests(f)).map(|(i, _)| FragId(i)).collect();
        for &f in &hit {
            self.kill(f);
        }
        self.stats.revoked += hit.len() as u64;
        self.events.push(EventKind::Revoke, GuestPc(u64::from(facts)), hit.len() as u64);
        hit.len()
    }

    /// The facts hold again, for code made from here on.
    pub fn restore(&mut self, facts: u32) {
        self.revoked &= !facts;
    }
}
