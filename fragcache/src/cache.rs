//! The cache as its clients see it: make fragments and find them.
//!
//! A client asks [`Cache::begin`] for an address, generates code for that address into a buffer of
//! its own and hands it to [`Cache::commit`] with a list of exits. Exits to fragments that exist
//! are linked at once, the others when they are taken for the first time ([`Cache::link`]).
//!
//! The other parts of [`Cache`] are in [`crate::linking`] (exits, the chains of indirect entries), [`crate::heads`] (counters), [`crate::taken`] (counts of exits) and [`crate::eviction`] (how code goes away again, and when its memory is reused).

use crate::arena::Arena;
use crate::events::{EventKind, EventLog};
use crate::fragment::{
    Exit, ExitId, ExitKind, ExitRecord, Extra, FragId, Fragment, FragmentKind, GuestPc, HostPc, NIL, PARKED,
    Place, Record, Tag,
};
use crate::indirect::IndirectTable;
use crate::memory::{CodeMemory, UNIT_SIZE};
use crate::pcmap;
use crate::places::Places;
use crate::select::Policy;
use crate::taken::Taken;
use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// Host code that depends on the client's conventions. The length of what is written may depend
/// on the address modulo 8 only.
pub trait StubWriter: Send {
    /// Code at the start of each region, at `at`.
    fn region_common(&self, at: HostPc) -> Vec<u8>;
    /// A stub that leaves to the dispatcher with the number of the exit. At most [`EXIT_STUB`]
    /// bytes, as many for every exit.
    fn exit_stub(&self, at: HostPc, common: HostPc, exit: ExitId, out: &mut Vec<u8>);
    /// Code that decrements the 4-byte cell, leaves with `hot` at zero and else goes to `entry`.
    fn counter_stub(
        &self,
        at: HostPc,
        common: HostPc,
        cell: u32,
        hot: ExitId,
        entry: HostPc,
        out: &mut Vec<u8>,
    );
    /// Code that decrements the 4-byte cell unless it is 1, and goes to `to`, any address.
    fn counting_jump(&self, cell: u32, to: HostPc, out: &mut Vec<u8>);
    /// A jump that reaches any address.
    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>);
    /// Where the last mismatch in a chain of indirect entries goes, in the region's common code.
    fn mismatch(&self, common: HostPc) -> HostPc;
    /// A free-standing indirect entry for `pc` that ends at `entry`; returns the offset of its
    /// mismatch displacement (below 256). Other entries with the same hash lead to its first byte.
    fn indirect_entry(&self, at: HostPc, pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> u32;
}

/// Sizes and policy.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Code memory is evicted beyond this many bytes.
    pub limit: usize,
    /// Region selection.
    pub policy: Policy,
    /// Events kept.
    pub events: usize,
    /// Keep events about blocks too; there are many.
    pub block_events: bool,
    /// Nothing is linked: every exit leaves the cache. Who enters fragments enters them by
    /// [`Cache::counting_entry`].
    pub isolated: bool,
    /// Count how often exits of traces are taken (see [`Cache::taken`]), which costs them a few nanoseconds.
    pub count_exits: bool,
    /// Bits of a guest address that the code of indirect branches shifts out, see [`crate::indirect::SLOTS`].
    pub indirect_shift: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig {
            limit: 256 << 20,
            policy: Policy::default(),
            events: 1 << 16,
            block_events: false,
            isolated: false,
            count_exits: false,
            indirect_shift: crate::indirect::SHIFT,
        }
    }
}

/// Why the cache cannot take code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The kernel gave no memory.
    #[error("no memory for the code cache: {0}")]
    Memory(#[from] std::io::Error),
    /// One fragment larger than a unit.
    #[error("a fragment of {0} bytes does not fit into a unit of the code cache")]
    TooLarge(usize),
}

/// An exit of a fragment about to be committed.
#[derive(Clone, Copy, Debug)]
pub struct NewExit {
    /// Guest address of the instruction that leaves.
    pub source: GuestPc,
    /// Where to.
    pub kind: ExitKind,
    /// Offset in the code of the 4-byte field to patch.
    pub patch: u32,
}

/// A fragment about to be committed.
#[derive(Debug)]
pub struct NewFragment<'a> {
    /// See [`Fragment::pc`].
    pub pc: GuestPc,
    /// See [`Fragment::kind`].
    pub kind: FragmentKind,
    /// The address from [`Cache::begin`].
    pub at: HostPc,
    /// Offset of the entry.
    pub entry: u32,
    /// The code.
    pub code: &'a [u8],
    /// The exits.
    pub exits: &'a [NewExit],
    /// Guest bytes it was made from: `(start, length)`, in path order.
    pub source: &'a [(GuestPc, u32)],
    /// For each guest instruction in path order, host and guest length in bytes; pairs with guest
    /// length 0 stand for code before the first instruction, or more code of the last.
    pub map: &'a [(u8, u8)],
    /// Offsets of start and mismatch field of an indirect entry in front of the entry.
    pub indirect: Option<(u32, u32)>,
    /// What it rests on (see [`crate::assume`]).
    pub facts: u32,
    /// Instructions and faults, when the code does not follow the order of its source; `map` is empty then.
    pub places: Option<Places>,
    /// This is the fragment *behind* that one, to which its exits that decline lead. It is in no table.
    ///
    /// A fragment with such exits keeps the one whose place it takes behind it. One that dies takes
    /// the one behind with it.
    pub front: Option<FragId>,
}

/// Counts of what the cache did.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct CacheStats {
    /// Blocks made.
    pub blocks: u64,
    /// Traces made.
    pub traces: u64,
    /// Fragments made for one run.
    pub private: u64,
    /// Links made.
    pub links: u64,
    /// Links removed.
    pub unlinks: u64,
    /// Fragments invalidated.
    pub invalidated: u64,
    /// Fragments that died with a fact they rested on.
    pub revoked: u64,
    /// Fragments evicted one by one.
    pub evicted: u64,
    /// Units evicted at once, with all that was left in them.
    pub evicted_units: u64,
    /// Guest bytes that code was made from.
    pub guest_bytes: u64,
    /// Host bytes made, without stubs.
    pub host_bytes: u64,
}

/// The code cache.
pub struct Cache {
    /// Code memory.
    pub memory: CodeMemory,
    /// The table of indirect branches.
    pub table: IndirectTable,
    /// The log.
    pub events: EventLog,
    /// Counts.
    pub stats: CacheStats,
    pub(crate) config: CacheConfig,
    pub(crate) stubs: Box<dyn StubWriter>,
    pub(crate) frags: Arena<Record>,
    pub(crate) exits: Arena<ExitRecord>,
    pub(crate) free_frags: Vec<FragId>,
    /// First indices of free ranges of exits, by length.
    pub(crate) free_exits: BTreeMap<u16, Vec<u32>>,
    /// Targets of exits that are far from their fragment's guest address.
    pub(crate) far: Vec<GuestPc>,
    pub(crate) free_far: Vec<u32>,
    lookup: HashTable<FragId>,
    pub(crate) pages: FxHashMap<u64, Vec<FragId>>,
    pub(crate) failures: FxHashMap<u64, u32>,
    /// Heads that are counted, and those that are not, longest first; some may be dead by now, or others.
    pub(crate) counted: VecDeque<FragId>,
    pub(crate) aside: VecDeque<FragId>,
    pub(crate) ticks: u32,
    pub(crate) taken: Taken,
    /// The unit that is being filled, by region.
    pub(crate) current: Vec<Option<u32>>,
    pub(crate) age: u64,
    pub(crate) epoch: u64,
    /// Number of units in [`crate::memory::UnitState::Retired`].
    pub(crate) retired: usize,
    /// The smallest epoch in which one of them was retired, `u64::MAX` when there is none.
    pub(crate) first_retired: u64,
    /// The unit whose writable view was trimmed last.
    trimmed: usize,
    pub(crate) parked: Vec<FragId>,
    pub(crate) parks: u32,
    /// Facts that hold no longer.
    pub(crate) revoked: u32,
    pub(crate) buffer: Vec<u8>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("fragments", &self.lookup.len()).field("stats", &self.stats).finish()
    }
}

/// Most bytes of the stub of an exit.
pub const EXIT_STUB: usize = 20;
/// Most bytes of any other stub: a counter, an indirect entry, a far jump.
pub(crate) const STUB_ROOM: usize = 128;
/// Fragments that even a small program has.
const LIKELY: usize = 1 << 10;
/// Bytes of each unit kept for stubs that fragments need later: counters, indirect entries.
const LATE_ROOM: usize = UNIT_SIZE / 32;

fn hash(pc: GuestPc) -> u64 {
    let h = pc.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^ h >> 32
}

impl Cache {
    /// An empty cache. `miss` is the routine for empty slots of the indirect table.
    pub fn new(config: CacheConfig, stubs: Box<dyn StubWriter>, miss: HostPc) -> Result<Self, CacheError> {
        Ok(Cache {
            memory: CodeMemory::default(),
            table: IndirectTable::new(miss, config.indirect_shift)?,
            events: EventLog::new(config.events),
            stats: CacheStats::default(),
            config,
            stubs,
            frags: Arena::new(),
            exits: Arena::new(),
            free_frags: Vec::new(),
            free_exits: BTreeMap::new(),
            far: Vec::new(),
            free_far: Vec::new(),
            lookup: HashTable::with_capacity(LIKELY),
            pages: FxHashMap::default(),
            failures: FxHashMap::default(),
            counted: VecDeque::new(),
            aside: VecDeque::new(),
            ticks: 0,
            taken: Taken::default(),
            current: Vec::new(),
            age: 0,
            epoch: 1,
            retired: 0,
            first_retired: u64::MAX,
            trimmed: 0,
            parked: Vec::new(),
            parks: 0,
            revoked: 0,
            buffer: Vec::new(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// Takes the place of `old` in a forked child, without its code: log, counts, and what is known about facts go
    /// on. Its code memory is unmapped, so no thread may be inside. What it has on the heap stays there unused: the
    /// pages are the parent's, and touching them to free them would copy them.
    pub fn succeed(&mut self, mut old: Cache) {
        self.revoked = old.revoked;
        self.stats = old.stats;
        std::mem::swap(&mut self.events, &mut old.events);
        old.memory.unmap();
        old.table.unmap();
        std::mem::forget(old);
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// The fragment for a guest address.
    pub fn lookup(&self, pc: GuestPc) -> Option<FragId> {
        self.lookup.find(hash(pc), |f| self.frags[f.0].pc == pc).copied()
    }

    /// Enters `id` for `pc`; returns the fragment that it replaces.
    fn enter(&mut self, pc: GuestPc, id: FragId) -> Option<FragId> {
        let Cache { lookup, frags, .. } = self;
        let same = |f: &FragId| frags[f.0].pc == pc;
        match lookup.entry(hash(pc), same, |f| hash(frags[f.0].pc)) {
            hashbrown::hash_table::Entry::Occupied(mut e) => Some(std::mem::replace(e.get_mut(), id)),
            hashbrown::hash_table::Entry::Vacant(e) => {
                e.insert(id);
                None
            }
        }
    }

    /// Removes `id` from the look-up, if it is there.
    pub(crate) fn forget(&mut self, id: FragId) {
        let pc = self.frags[id.0].pc;
        if let Ok(e) = self.lookup.find_entry(hash(pc), |&f| f == id) {
            e.remove();
        }
    }

    /// A fragment. An identifier that was reclaimed names a fragment that is not live, or another.
    pub fn frag(&self, id: FragId) -> Fragment<'_> {
        let record = &self.frags[id.0];
        Fragment::new(record, self.memory.bytes(record.start.unit()))
    }

    /// An exit. One that was reclaimed reads as indirect, or is another.
    pub fn exit(&self, id: ExitId) -> Exit {
        let x = &self.exits[id.0];
        let kind = match x.tag() {
            Tag::Direct => ExitKind::Direct(self.target(x)),
            Tag::Service => ExitKind::Service(self.target(x), x.next),
            Tag::Decline => ExitKind::Decline(self.target(x)),
            Tag::Loop => ExitKind::Loop { head: x.target as u32, out: x.next },
            Tag::Indirect | Tag::Free => ExitKind::Indirect,
        };
        let field = if x.patch.is_none() { HostPc(0) } else { self.memory.host(x.patch) };
        let parked = self.frags[x.from().0].has(PARKED);
        Exit { from: x.from(), kind, field, linked: x.is_linked(), parked }
    }

    /// The guest address an exit leads to.
    pub(crate) fn target(&self, x: &ExitRecord) -> GuestPc {
        if x.is_far() {
            return self.far[x.target as usize];
        }
        GuestPc(self.frags[x.from().0].pc.0.wrapping_add_signed(i64::from(x.target)))
    }

    /// All live fragments.
    pub fn fragments(&self) -> impl Iterator<Item = (FragId, Fragment<'_>)> {
        self.frags.iter().filter(|(_, f)| f.live).map(|(i, _)| (FragId(i), self.frag(FragId(i))))
    }

    /// The fragment whose code holds a host address; `None` in stubs.
    pub fn frag_at(&self, host: HostPc) -> Option<FragId> {
        let place = self.memory.place_of(host)?;
        let unit = &self.memory.units[place.unit() as usize];
        let i = unit.frags.partition_point(|f| self.frags[f.0].start <= place);
        let id = *unit.frags.get(i.checked_sub(1)?)?;
        let f = &self.frags[id.0];
        (place.offset() < f.start.offset() + f.len as usize).then_some(id)
    }

    /// True for addresses in code memory.
    pub fn contains(&self, host: HostPc) -> bool {
        self.memory.region_of(host.0).is_some()
    }

    /// An address, a multiple of `align` (a power of two up to 64), for a fragment of at most
    /// `size` bytes with at most `exits` exits, near the guest code it is made from.
    ///
    /// Fragments may be evicted to make room.
    pub fn begin(
        &mut self,
        near: GuestPc,
        size: usize,
        exits: usize,
        align: usize,
    ) -> Result<HostPc, CacheError> {
        // The map takes at most two bytes for what was counted as an instruction.
        let cold = exits * EXIT_STUB + 2 * STUB_ROOM + size / 16 + 64;
        let need = size + cold + align;
        if need > UNIT_SIZE - LATE_ROOM {
            return Err(CacheError::TooLarge(size));
        }
        let fits = |u: u32| self.memory.units[u as usize].room() >= need + LATE_ROOM;
        let unit = (0..self.memory.regions.len())
            .filter(|&r| self.memory.serves(r, near.0))
            .find_map(|r| self.current[r].filter(|&u| fits(u)));
        let unit = match unit {
            Some(u) => u,
            None => self.next_unit(near)?,
        };
        self.age_out(unit);
        if self.memory.units[unit as usize].populate(size, cold) {
            // Patching brought parts of other units back; one of them in turn.
            self.trimmed = (self.trimmed + 1) % self.memory.units.len();
            if !self.current.contains(&Some(self.trimmed as u32)) {
                self.memory.units[self.trimmed].trim();
            }
        }
        Ok(HostPc(self.memory.units[unit as usize].hot.next_multiple_of(align)))
    }

    /// Publishes a fragment.
    ///
    /// Until its links are made nothing leads to it, so no thread sees it half made.
    pub fn commit(&mut self, mut new: NewFragment<'_>) -> FragId {
        let (id, replaced) = self.place(&mut new, None);
        self.connect(id, new.exits);
        if let Some(old) = replaced {
            self.supersede(old, id);
        }
        if self.config.block_events || new.kind == FragmentKind::Trace {
            let kind = if new.kind == FragmentKind::Trace { EventKind::Trace } else { EventKind::Block };
            self.events.push(kind, new.pc, new.code.len() as u64);
        }
        id
    }

    /// The first half of [`Cache::commit`]: the fragment exists and can be looked up, but must not run before
    /// [`Cache::connect`]. Also returns the fragment that it replaces. So several fragments can be made
    /// whose exits then find each other. `packed`: the map, when it was [packed](crate::pack_map) before.
    pub fn place(&mut self, new: &mut NewFragment<'_>, packed: Option<&[u8]>) -> (FragId, Option<FragId>) {
        let start = self.memory.place_of(new.at).expect("begin() gave the address");
        let unit = start.unit();
        let id = self.free_frags.pop().unwrap_or(FragId(self.frags.len()));
        let has_stub = |e: &&NewExit| !matches!(e.kind, ExitKind::Indirect | ExitKind::Loop { .. });
        let patched = new.exits.iter().filter(has_stub).count();
        let map = {
            let u = &mut self.memory.units[unit as usize];
            u.hot = new.at.0 + new.code.len();
            u.frags.push(id);
            u.live += 1;
            // Each exit has a stub or the right to one.
            u.owed += patched * EXIT_STUB;
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let map = packed.unwrap_or_else(|| {
                pcmap::pack(new.map, &mut buffer);
                &buffer
            });
            u.cold -= map.len();
            assert!(u.hot + u.owed <= u.cold, "a fragment larger than begin() was told");
            let at = Place::new(unit, u.cold - u.start);
            self.memory.write(at, map);
            self.buffer = buffer;
            at
        };
        self.memory.write(start, new.code);
        let first_exit = self.new_exits(new.exits.len());
        let path: &[(GuestPc, u32)] = match new.source {
            [(pc, _)] if *pc == new.pc => &[],
            path => path,
        };
        debug_assert!(self.holds(new.facts), "a fragment that rests on what was revoked");
        // Room for it may have been made at the cost of the one in front.
        let front = new.front.filter(|f| self.frags[f.0].live && self.frags[f.0].behind().is_none());
        let plain = path.is_empty() && new.facts == 0 && new.places.is_none() && front.is_none();
        let extra = (!plain).then(|| {
            Box::new(Extra {
                path: path.into(),
                facts: new.facts,
                places: new.places.take(),
                front,
                ..Extra::default()
            })
        });
        let (indirect, mismatch) = match new.indirect {
            Some((s, m)) => (start.plus(s as usize), u8::try_from(m - s).expect("a small entry")),
            None => (Place::NONE, 0),
        };
        let record = Record {
            pc: new.pc,
            extra,
            start,
            len: new.code.len() as u32,
            guest_len: new.source.first().map_or(0, |s| s.1),
            first_exit,
            incoming: NIL,
            map,
            indirect,
            next_in_chain: NIL,
            entry: u16::try_from(new.entry).expect("an entry near the start"),
            exits: u16::try_from(new.exits.len()).expect("few exits"),
            kind: new.kind,
            mismatch,
            live: true,
            flags: 0,
        };
        self.stats.host_bytes += new.code.len() as u64;
        self.stats.guest_bytes += new.source.iter().map(|s| u64::from(s.1)).sum::<u64>();
        match new.kind {
            FragmentKind::Block => self.stats.blocks += 1,
            FragmentKind::Trace => self.stats.traces += 1,
            FragmentKind::Private => self.stats.private += 1,
        }
        for (pc, len) in record.source() {
            for page in pages_of(pc, len) {
                let list = self.pages.entry(page).or_default();
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        if id.0 == self.frags.len() {
            self.frags.push(record);
        } else {
            self.frags[id.0] = record;
        }
        let replaced = match front {
            Some(front) => {
                self.frags[front.0].extra.get_or_insert_default().behind = Some(id);
                None
            }
            None if new.kind == FragmentKind::Private => None,
            None => self.enter(new.pc, id),
        };
        let declines = new.exits.iter().any(|e| matches!(e.kind, ExitKind::Decline(_)));
        if declines && let Some(old) = replaced {
            self.frags[id.0].extra.get_or_insert_default().behind = Some(old);
            self.frags[old.0].extra.get_or_insert_default().front = Some(id);
        }
        (id, replaced)
    }

    /// The second half: makes the exits, which must be those that the fragment was placed with.
    pub fn connect(&mut self, id: FragId, exits: &[NewExit]) {
        let f = &self.frags[id.0];
        if !f.live {
            return; // Evicted meanwhile.
        }
        let (start, first_exit) = (f.start, f.first_exit);
        assert_eq!(usize::from(f.exits), exits.len(), "the exits of another fragment");
        for (exit, e) in (first_exit..).map(ExitId).zip(exits) {
            self.make_exit(exit, id, e, start.plus(e.patch as usize));
        }
    }

    fn make_exit(&mut self, exit: ExitId, from: FragId, e: &NewExit, patch: Place) {
        let (tag, target) = match e.kind {
            ExitKind::Direct(t) => (Tag::Direct, t),
            ExitKind::Service(t, _) => (Tag::Service, t),
            ExitKind::Decline(t) => (Tag::Decline, t),
            ExitKind::Indirect => (Tag::Indirect, self.frags[from.0].pc),
            ExitKind::Loop { .. } => (Tag::Loop, self.frags[from.0].pc),
        };
        let mut record = self.new_exit_record(from, tag, target, target <= e.source);
        record.patch = patch;
        match e.kind {
            ExitKind::Service(_, what) => record.next = what,
            ExitKind::Loop { head, out } => (record.target, record.next) = (head as i32, out),
            _ => {}
        }
        self.exits[exit.0] = record;
        if tag == Tag::Loop {
            return self.lead_loop(exit, !self.config.isolated);
        }
        if e.kind == ExitKind::Indirect {
            // Code made for one run comes back to the dispatcher, whatever is in the table.
            let table = match self.frags[from.0].kind {
                FragmentKind::Private => self.table.misses_address(),
                _ => self.table.address(),
            };
            return self.patch_abs(patch, table);
        }
        let to = if tag == Tag::Decline { self.frags[from.0].behind() } else { self.lookup(target) };
        let linked = match to {
            Some(to) if self.frags[from.0].kind != FragmentKind::Private => self.link(exit, to),
            _ => false,
        };
        if !linked {
            self.lead_to_stub(exit);
        }
    }

    pub(crate) fn new_exit_record(
        &mut self,
        from: FragId,
        tag: Tag,
        target: GuestPc,
        backward: bool,
    ) -> ExitRecord {
        let near = i32::try_from(target.0.wrapping_sub(self.frags[from.0].pc.0) as i64);
        let relative = near.unwrap_or_else(|_| match self.free_far.pop() {
            Some(i) => {
                self.far[i as usize] = target;
                i as i32
            }
            None => {
                self.far.push(target);
                self.far.len() as i32 - 1
            }
        });
        ExitRecord::new(from, tag, relative, near.is_err(), backward)
    }

    /// Consecutive exits; the index of the first. They are free until set.
    pub(crate) fn new_exits(&mut self, n: usize) -> u32 {
        let n = n as u16;
        if n == 0 {
            return 0;
        }
        if let Some((&size, list)) = self.free_exits.range_mut(n..).next() {
            let first = list.pop().expect("lists are removed with their last range");
            if list.is_empty() {
                self.free_exits.remove(&size);
            }
            if size > n {
                self.free_exits.entry(size - n).or_default().push(first + u32::from(n));
            }
            return first;
        }
        let first = self.exits.len();
        for _ in 0..n {
            self.exits.push(ExitRecord::new(FragId(0), Tag::Free, 0, false, false));
        }
        first
    }
}

/// The numbers of the pages that `len` bytes from `pc` lie on.
pub(crate) fn pages_of(pc: GuestPc, len: u32) -> std::ops::RangeInclusive<u64> {
    pc.page()..=GuestPc(pc.0.saturating_add(u64::from(len.max(1)) - 1)).page()
}

/// The number of the service exit that a counter takes at zero.
pub const HOT: u32 = u32::MAX;
