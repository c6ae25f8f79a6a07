//! The cache as its clients see it: make fragments, find them, link them, drop them.
//!
//! A client asks [`Cache::begin`] for an address, generates code for that address into a buffer of
//! its own and hands it to [`Cache::commit`] with a list of exits. Exits to fragments that exist
//! are linked at once, the others when they are taken for the first time ([`Cache::link`]).
//!
//! Removing code has two steps. [`Cache::kill`] makes a fragment unreachable: out of the look-up
//! tables, nothing linked to it, its own exits unlinked so that a thread inside leaves at the next
//! one. Its memory is reused only after [`Cache::reclaim`] learns that every thread has been
//! outside since.

use crate::events::{EventKind, EventLog};
use crate::fragment::{
    Counter, Exit, ExitId, ExitKind, FragId, Fragment, FragmentKind, GuestPc, HostPc, IndirectEntry,
};
use crate::indirect::IndirectTable;
use crate::link;
use crate::memory::{COMMON_SIZE, CodeMemory, UNIT_SIZE};
use crate::select::Policy;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Host code that depends on the client's conventions.
pub trait StubWriter: Send {
    /// Code at the start of each region, at `at`.
    fn region_common(&self, at: HostPc) -> Vec<u8>;
    /// A stub that leaves to the dispatcher with the number of the exit.
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
    /// A jump that reaches any address.
    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>);
    /// Where the last mismatch in a chain of indirect entries goes, in the region's common code.
    fn mismatch(&self, common: HostPc) -> HostPc;
    /// A free-standing indirect entry for `pc` that ends at `entry`; returns the offsets of its
    /// check and of its mismatch displacement.
    fn indirect_entry(&self, at: HostPc, pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> (u32, u32);
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
    /// Nothing is linked: every exit leaves the cache. Who enters fragments enters heads at [`Fragment::counting_entry`].
    pub isolated: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig { limit: 256 << 20, policy: Policy::default(), events: 1 << 16, isolated: false }
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
    /// See [`Fragment::source`].
    pub source: &'a [(GuestPc, u32)],
    /// See [`Fragment::map`].
    pub map: &'a [(u8, u8)],
    /// Offsets of start, check and mismatch field of an indirect entry in front of the entry.
    pub indirect: Option<(u32, u32, u32)>,
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
    /// Units evicted.
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
    config: CacheConfig,
    stubs: Box<dyn StubWriter>,
    frags: Vec<Fragment>,
    exits: Vec<Exit>,
    free_frags: Vec<FragId>,
    free_exits: Vec<ExitId>,
    lookup: FxHashMap<u64, FragId>,
    pages: FxHashMap<u64, Vec<FragId>>,
    failures: FxHashMap<u64, u32>,
    current: Vec<Option<u32>>,
    age: u64,
    epoch: u64,
    retired: Vec<(u64, u32)>,
    parked: Vec<ExitId>,
    parks: u32,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("fragments", &self.lookup.len()).field("stats", &self.stats).finish()
    }
}

/// Fragments that a small program has; saves growing the tables at its start.
const INITIAL_FRAGMENTS: usize = 3000;
/// Bytes reserved for the stub of an exit.
const EXIT_STUB: usize = 20;
/// Bytes reserved for any other stub: a counter, an indirect entry.
const STUB_ROOM: usize = 128;

impl Cache {
    /// An empty cache. `miss` is the routine for empty slots of the indirect table.
    pub fn new(config: CacheConfig, stubs: Box<dyn StubWriter>, miss: HostPc) -> Result<Self, CacheError> {
        Ok(Cache {
            memory: CodeMemory::default(),
            table: IndirectTable::new(miss)?,
            events: EventLog::new(config.events),
            stats: CacheStats::default(),
            config,
            stubs,
            frags: Vec::with_capacity(INITIAL_FRAGMENTS),
            exits: Vec::with_capacity(3 * INITIAL_FRAGMENTS),
            free_frags: Vec::new(),
            free_exits: Vec::new(),
            lookup: FxHashMap::with_capacity_and_hasher(INITIAL_FRAGMENTS, Default::default()),
            pages: FxHashMap::default(),
            failures: FxHashMap::default(),
            current: Vec::new(),
            age: 0,
            epoch: 1,
            retired: Vec::new(),
            parked: Vec::new(),
            parks: 0,
            buffer: Vec::new(),
        })
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// The fragment for a guest address.
    pub fn lookup(&self, pc: GuestPc) -> Option<FragId> {
        self.lookup.get(&pc.0).copied()
    }

    /// A fragment. The identifier must be one that was not reclaimed.
    pub fn frag(&self, id: FragId) -> &Fragment {
        &self.frags[id.0 as usize]
    }

    /// An exit.
    pub fn exit(&self, id: ExitId) -> &Exit {
        &self.exits[id.0 as usize]
    }

    /// All live fragments.
    pub fn fragments(&self) -> impl Iterator<Item = (FragId, &Fragment)> {
        self.frags.iter().enumerate().filter(|(_, f)| f.live).map(|(i, f)| (FragId(i as u32), f))
    }

    /// The fragment whose code holds a host address, and whether that is in its code (`true`) or
    /// merely in the stubs of its unit (then the fragment is a guess and of no use).
    pub fn frag_at(&self, host: HostPc) -> Option<FragId> {
        let unit = &self.memory.units[self.memory.unit_of(host)? as usize];
        let i = unit.frags.partition_point(|&f| self.frag(f).start <= host);
        let id = *unit.frags.get(i.checked_sub(1)?)?;
        let f = self.frag(id);
        (host.0 < f.start.0 + f.len as usize).then_some(id)
    }

    /// True for addresses in code memory.
    pub fn contains(&self, host: HostPc) -> bool {
        self.memory.region_of(host.0).is_some()
    }

    /// An address for a fragment of at most `size` bytes with at most `exits` exits, near the guest
    /// code it is made from.
    pub fn begin(&mut self, near: GuestPc, size: usize, exits: usize) -> Result<HostPc, CacheError> {
        let cold = exits * EXIT_STUB + 2 * STUB_ROOM;
        let need = size + cold + 64;
        if need > UNIT_SIZE {
            return Err(CacheError::TooLarge(size));
        }
        let region = match (0..self.memory.regions.len()).find(|&r| self.memory.reaches(r, near.0)) {
            Some(r) => r,
            None => self.new_region(near)?,
        };
        if let Some(u) = self.current[region]
            && self.memory.units[u as usize].room() >= need
        {
            let unit = &mut self.memory.units[u as usize];
            unit.populate(size, cold);
            return Ok(HostPc(unit.hot.next_multiple_of(16)));
        }
        let unit = self.next_unit(region, near)?;
        let u = &mut self.memory.units[unit as usize];
        u.populate(size, cold);
        Ok(HostPc(u.hot))
    }

    fn new_region(&mut self, near: GuestPc) -> Result<usize, CacheError> {
        let region = self.memory.add_region(near.0)?;
        self.current.push(None);
        let at = HostPc(self.memory.regions[region].rx);
        let code = self.stubs.region_common(at);
        assert!(code.len() <= COMMON_SIZE, "common code of a region is too large");
        self.memory.write(at, &code);
        Ok(region)
    }

    fn next_unit(&mut self, region: usize, near: GuestPc) -> Result<u32, CacheError> {
        self.age += 1;
        let age = self.age;
        let in_use = self.memory.units.len() * UNIT_SIZE;
        if in_use >= self.config.limit {
            self.evict_oldest(region);
        }
        // A unit whose grace has passed?
        if let Some(i) = self.retired_free(region) {
            self.memory.units[i as usize].age = age;
            self.current[region] = Some(i);
            return Ok(i);
        }
        let region = match self.memory.add_unit(region, age) {
            Some(u) => {
                self.current[region] = Some(u);
                return Ok(u);
            }
            None => {
                // Another region that reaches, with room, or a new one.
                let other = (0..self.memory.regions.len()).rev().find(|&r| {
                    r != region
                        && self.memory.reaches(r, near.0)
                        && self.memory.regions[r].used + UNIT_SIZE <= crate::memory::REGION_SIZE
                });
                match other {
                    Some(r) => r,
                    None => self.new_region(near)?,
                }
            }
        };
        let u = self.memory.add_unit(region, age).ok_or(CacheError::TooLarge(UNIT_SIZE))?;
        // Later requests find the full region first: swap their current units' places by making the
        // new unit current for every region that reaches `near`.
        for r in 0..self.memory.regions.len() {
            if self.memory.reaches(r, near.0) {
                self.current[r] = Some(u);
            }
        }
        Ok(u)
    }

    fn retired_free(&mut self, region: usize) -> Option<u32> {
        let rx = self.memory.regions[region].rx;
        let i = self.retired.iter().position(|&(e, u)| {
            e == 0 && (rx..rx + crate::memory::REGION_SIZE).contains(&self.memory.units[u as usize].start)
        })?;
        Some(self.retired.swap_remove(i).1)
    }

    fn evict_oldest(&mut self, region: usize) {
        let rx = self.memory.regions[region].rx;
        let keep: Vec<u32> = self.current.iter().flatten().copied().collect();
        let oldest = (0..self.memory.units.len() as u32)
            .filter(|u| !keep.contains(u) && !self.retired.iter().any(|r| r.1 == *u))
            .filter(|&u| (rx..rx + crate::memory::REGION_SIZE).contains(&self.memory.units[u as usize].start))
            .min_by_key(|&u| self.memory.units[u as usize].age);
        if let Some(u) = oldest {
            self.evict(u);
        }
    }

    /// Drops all fragments of a unit; its memory is reused after the grace period.
    pub fn evict(&mut self, unit: u32) {
        let frags = self.memory.units[unit as usize].frags.clone();
        for &f in &frags {
            if self.frag(f).live {
                self.kill(f);
            }
        }
        self.stats.evicted_units += 1;
        self.events.push(
            EventKind::Evict,
            GuestPc(self.memory.units[unit as usize].start as u64),
            frags.len() as u64,
        );
        self.retired.push((self.epoch, unit));
        self.epoch += 1;
    }

    /// Drops everything.
    pub fn flush(&mut self) {
        for unit in 0..self.memory.units.len() as u32 {
            if !self.retired.iter().any(|r| r.1 == unit) {
                self.evict(unit);
            }
        }
        self.current.iter_mut().for_each(|c| *c = None);
    }

    /// The current epoch. A thread notes it when it enters the cache.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// True when units wait for their grace period.
    pub fn has_retired(&self) -> bool {
        self.retired.iter().any(|r| r.0 != 0)
    }

    /// Frees what was retired before every thread's last entry. `oldest` is the smallest epoch noted
    /// by a thread that is in the cache now, or `u64::MAX` when none is.
    pub fn reclaim(&mut self, oldest: u64) {
        for i in 0..self.retired.len() {
            let (epoch, unit) = self.retired[i];
            if epoch == 0 || epoch >= oldest {
                continue;
            }
            let frags = std::mem::take(&mut self.memory.units[unit as usize].frags);
            for f in frags {
                let exits = std::mem::take(&mut self.frags[f.0 as usize].exits);
                self.free_exits.extend(exits);
                self.free_frags.push(f);
            }
            self.memory.units[unit as usize].reset();
            self.retired[i].0 = 0;
        }
    }

    /// Publishes a fragment.
    pub fn commit(&mut self, new: NewFragment<'_>) -> FragId {
        let unit = self.memory.unit_of(new.at).expect("begin() gave the address");
        let common = HostPc(self.memory.regions[self.memory.region_of(new.at.0).expect("as above")].rx);
        let id = match self.free_frags.pop() {
            Some(id) => id,
            None => FragId(self.frags.len() as u32),
        };
        {
            let u = &mut self.memory.units[unit as usize];
            u.hot = new.at.0 + new.code.len();
            u.frags.push(id);
            u.live += 1;
        }
        self.memory.write(new.at, new.code);
        let frag = Fragment {
            pc: new.pc,
            kind: new.kind,
            entry: HostPc(new.at.0 + new.entry as usize),
            start: new.at,
            len: new.code.len() as u32,
            exits: SmallVec::new(),
            incoming: SmallVec::new(),
            source: SmallVec::from_slice(new.source),
            map: new.map.into(),
            indirect: new.indirect.map(|(s, c, m)| IndirectEntry {
                start: HostPc(new.at.0 + s as usize),
                check: HostPc(new.at.0 + c as usize),
                mismatch: HostPc(new.at.0 + m as usize),
            }),
            counter: None,
            live: true,
            unit,
        };
        self.stats.host_bytes += new.code.len() as u64;
        self.stats.guest_bytes += frag.source.iter().map(|s| u64::from(s.1)).sum::<u64>();
        match new.kind {
            FragmentKind::Block => self.stats.blocks += 1,
            FragmentKind::Trace => self.stats.traces += 1,
            FragmentKind::Private => self.stats.private += 1,
        }
        if let Some(e) = frag.indirect {
            let end = self.stubs.mismatch(common);
            self.patch_rel(e.mismatch, end);
        }
        for &(pc, len) in &frag.source {
            for page in pc.page()..=GuestPc(pc.0 + u64::from(len.max(1)) - 1).page() {
                let list = self.pages.entry(page).or_default();
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        if id.0 as usize == self.frags.len() {
            self.frags.push(frag);
        } else {
            self.frags[id.0 as usize] = frag;
        }
        let replaced =
            if new.kind == FragmentKind::Private { None } else { self.lookup.insert(new.pc.0, id) };
        for e in new.exits {
            let patch = HostPc(new.at.0 + e.patch as usize);
            let exit = self.new_exit(Exit {
                from: id,
                source: e.source,
                kind: e.kind,
                patch,
                stub: HostPc(0),
                linked: None,
                parked: false,
            });
            self.frags[id.0 as usize].exits.push(exit);
            if e.kind == ExitKind::Indirect {
                // Code made for one run comes back to the dispatcher, whatever is in the table.
                let table = match new.kind {
                    FragmentKind::Private => self.table.misses_address(),
                    _ => self.table.address(),
                };
                self.patch_abs(patch, table);
                continue;
            }
            let at = self.place_cold(unit, EXIT_STUB);
            let mut stub = std::mem::take(&mut self.buffer);
            stub.clear();
            self.stubs.exit_stub(at, common, exit, &mut stub);
            assert!(stub.len() <= EXIT_STUB, "exit stub too large");
            self.memory.write(at, &stub);
            self.buffer = stub;
            self.exits[exit.0 as usize].stub = at;
            self.patch_rel(patch, at);
            if let ExitKind::Direct(target) = e.kind
                && new.kind != FragmentKind::Private
                && let Some(to) = self.lookup(target)
            {
                self.link(exit, to);
            }
        }
        if let Some(old) = replaced {
            self.supersede(old, id);
        }
        let kind = match new.kind {
            FragmentKind::Trace => EventKind::Trace,
            _ => EventKind::Block,
        };
        self.events.push(kind, new.pc, new.code.len() as u64);
        id
    }

    /// Sends everything that led to `old` to `new`.
    fn supersede(&mut self, old: FragId, new: FragId) {
        let incoming = std::mem::take(&mut self.frags[old.0 as usize].incoming);
        for e in incoming {
            self.exits[e.0 as usize].linked = None;
            self.link(e, new);
        }
        let pc = self.frag(old).pc;
        if self.table.contains(pc, old) {
            self.remove_indirect(old);
            self.insert_indirect(new);
        }
    }

    fn new_exit(&mut self, exit: Exit) -> ExitId {
        if let Some(id) = self.free_exits.pop() {
            self.exits[id.0 as usize] = exit;
            return id;
        }
        self.exits.push(exit);
        ExitId(self.exits.len() as u32 - 1)
    }

    fn place_cold(&mut self, unit: u32, size: usize) -> HostPc {
        let u = &mut self.memory.units[unit as usize];
        u.cold = (u.cold - size) & !3;
        debug_assert!(u.cold >= u.hot);
        HostPc(u.cold)
    }

    /// Space for a stub in `unit` if there is some.
    fn try_cold(&mut self, unit: u32, size: usize) -> Option<HostPc> {
        (self.memory.units[unit as usize].room() > size + EXIT_STUB).then(|| self.place_cold(unit, size))
    }

    fn patch_rel(&mut self, field: HostPc, target: HostPc) -> bool {
        let Some(d) = link::displacement(field.0, target.0) else { return false };
        let at = self.memory.writable(field);
        // SAFETY: a field of live code in code memory; `self` is behind the client's lock.
        unsafe { link::patch(at, d as u32) };
        true
    }

    fn patch_abs(&mut self, field: HostPc, value: u32) {
        let at = self.memory.writable(field);
        // SAFETY: as in `patch_rel`.
        unsafe { link::patch(at, value) };
    }

    /// Makes a direct exit jump straight to `to`. Does nothing when either is not live or the place
    /// is out of reach and there is no room for a far jump.
    pub fn link(&mut self, exit: ExitId, to: FragId) -> bool {
        let e = self.exit(exit).clone();
        if e.parked || e.linked.is_some() || !self.frag(to).live || !self.frag(e.from).live {
            return false;
        }
        let ExitKind::Direct(target) = e.kind else { return false };
        let from_trace = self.frag(e.from).kind == FragmentKind::Trace;
        if self.frag(to).kind == FragmentKind::Block
            && self.config.policy.makes_head(e.source.0, target.0, from_trace)
        {
            self.mark_head(to);
        }
        if self.config.isolated {
            return false;
        }
        let t = self.frag(to);
        let place = match t.counter {
            Some(c) if t.kind == FragmentKind::Block => c.entry,
            _ => t.entry,
        };
        if !self.patch_rel(e.patch, place) {
            let mut code = std::mem::take(&mut self.buffer);
            code.clear();
            self.stubs.far_jump(place, &mut code);
            let at = self.try_cold(self.frag(e.from).unit, code.len());
            if let Some(at) = at {
                self.memory.write(at, &code);
            }
            self.buffer = code;
            match at {
                Some(at) => self.patch_rel(e.patch, at),
                None => return false,
            };
        }
        self.exits[exit.0 as usize].linked = Some(to);
        self.frags[to.0 as usize].incoming.push(exit);
        self.stats.links += 1;
        true
    }

    /// Makes an exit go to the dispatcher again.
    pub fn unlink(&mut self, exit: ExitId) {
        let e = &mut self.exits[exit.0 as usize];
        let Some(to) = e.linked.take() else { return };
        let (patch, stub) = (e.patch, e.stub);
        self.patch_rel(patch, stub);
        let incoming = &mut self.frags[to.0 as usize].incoming;
        if let Some(i) = incoming.iter().position(|&x| x == exit) {
            incoming.swap_remove(i);
        }
        self.stats.unlinks += 1;
    }

    /// Gives a block a counting entry, so that arrivals through it are counted.
    pub fn mark_head(&mut self, id: FragId) -> bool {
        let f = self.frag(id);
        if f.counter.is_some()
            || !f.live
            || f.kind != FragmentKind::Block
            || self.config.policy.threshold == 0
        {
            return false;
        }
        let (pc, unit, entry) = (f.pc, f.unit, f.entry);
        let failures = self.failures.get(&pc.0).copied().unwrap_or(0);
        let value =
            if failures == 0 { self.config.policy.threshold } else { self.config.policy.penalty(failures) };
        let Some(at) = self.try_cold(unit, STUB_ROOM) else { return false };
        let Some(cell) = self.table.new_counter(value) else { return false };
        let common = HostPc(self.memory.regions[self.memory.region_of(at.0).expect("a unit's address")].rx);
        let hot = self.new_exit(Exit {
            from: id,
            source: pc,
            kind: ExitKind::Service(pc, HOT),
            patch: HostPc(0),
            stub: HostPc(0),
            linked: None,
            parked: false,
        });
        self.frags[id.0 as usize].exits.push(hot);
        let mut code = std::mem::take(&mut self.buffer);
        code.clear();
        self.stubs.counter_stub(at, common, cell as u32, hot, entry, &mut code);
        assert!(code.len() <= STUB_ROOM, "counter stub too large");
        self.memory.write(at, &code);
        self.buffer = code;
        self.frags[id.0 as usize].counter = Some(Counter { entry: at, cell });
        // What was linked to the plain entry counts from now on.
        for i in 0..self.frag(id).incoming.len() {
            let e = self.frag(id).incoming[i];
            let patch = self.exit(e).patch;
            self.patch_rel(patch, at);
        }
        if self.table.contains(pc, id) {
            self.remove_indirect(id);
            self.frags[id.0 as usize].indirect = None;
            self.insert_indirect(id);
        }
        true
    }

    /// Starts the counter of a head anew.
    pub fn rearm(&mut self, id: FragId) {
        if let Some(c) = self.frag(id).counter {
            self.table.set_counter(c.cell, self.config.policy.threshold);
        }
    }

    /// After a recording that gave no trace: count again, longer each time.
    pub fn penalise(&mut self, id: FragId) {
        let f = self.frag(id);
        let (pc, counter) = (f.pc, f.counter);
        let n = self.failures.entry(pc.0).or_insert(0);
        *n += 1;
        let value = self.config.policy.penalty(*n);
        if let Some(c) = counter {
            self.table.set_counter(c.cell, value);
        }
    }

    /// Makes a fragment reachable through the table of indirect branches.
    pub fn insert_indirect(&mut self, id: FragId) -> bool {
        let f = self.frag(id);
        let pc = f.pc;
        let excluded = self.config.isolated || f.kind == FragmentKind::Private;
        if !f.live || excluded || self.table.contains(pc, id) {
            return false;
        }
        let counted = f.kind == FragmentKind::Block && f.counter.is_some();
        let entry = match (f.indirect, f.counter) {
            (Some(e), _) if !counted => e,
            (_, counter) => {
                let place = match counter {
                    Some(c) if counted => c.entry,
                    _ => f.entry,
                };
                let unit = f.unit;
                let Some(at) = self.try_cold(unit, STUB_ROOM) else { return false };
                let mut code = std::mem::take(&mut self.buffer);
                code.clear();
                let (check, mismatch) = self.stubs.indirect_entry(at, pc, place, &mut code);
                assert!(code.len() <= STUB_ROOM, "indirect entry too large");
                self.memory.write(at, &code);
                self.buffer = code;
                let e = IndirectEntry {
                    start: at,
                    check: HostPc(at.0 + check as usize),
                    mismatch: HostPc(at.0 + mismatch as usize),
                };
                let common =
                    HostPc(self.memory.regions[self.memory.region_of(at.0).expect("a unit's address")].rx);
                let end = self.stubs.mismatch(common);
                self.patch_rel(e.mismatch, end);
                self.frags[id.0 as usize].indirect = Some(e);
                e
            }
        };
        let Cache { table, memory, stubs, .. } = self;
        table.insert(pc, id, entry, |field, to| {
            patch_in(memory, field, to) || patch_far(memory, &**stubs, field, to)
        })
    }

    fn remove_indirect(&mut self, id: FragId) {
        let pc = self.frag(id).pc;
        let Cache { table, memory, stubs, .. } = self;
        let bases: Vec<usize> = memory.regions.iter().map(|r| r.rx).collect();
        table.remove(
            pc,
            id,
            |field| {
                let common = bases
                    .iter()
                    .copied()
                    .find(|&b| (b..b + crate::memory::REGION_SIZE).contains(&field.0))
                    .expect("a mismatch field lies in a region");
                stubs.mismatch(HostPc(common))
            },
            |field, to| patch_in(memory, field, to) || patch_far(memory, &**stubs, field, to),
        );
    }

    /// Makes a fragment unreachable. Its exits lead to the dispatcher.
    pub fn kill(&mut self, id: FragId) {
        if !self.frag(id).live {
            return;
        }
        let pc = self.frag(id).pc;
        if self.lookup.get(&pc.0) == Some(&id) {
            self.lookup.remove(&pc.0);
        }
        self.remove_indirect(id);
        for e in self.frag(id).incoming.clone() {
            self.unlink(e);
        }
        for e in self.frag(id).exits.clone() {
            self.unlink(e);
        }
        let source = std::mem::take(&mut self.frags[id.0 as usize].source);
        for &(p, len) in &source {
            for page in p.page()..=GuestPc(p.0 + u64::from(len.max(1)) - 1).page() {
                if let Some(list) = self.pages.get_mut(&page) {
                    list.retain(|&f| f != id);
                    if list.is_empty() {
                        self.pages.remove(&page);
                    }
                }
            }
        }
        let f = &mut self.frags[id.0 as usize];
        // The map stays usable for a thread that is still inside.
        f.source = source;
        f.live = false;
        let unit = f.unit;
        self.memory.units[unit as usize].live -= 1;
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
        let hit = move |f: &Fragment| f.source.iter().any(|&(p, n)| p.0 < end && start < p.0 + u64::from(n));
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
            .filter(move |&f| hit(self.frag(f)))
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

    /// Makes whoever runs in `id` leave at its next exit: direct exits are unlinked, indirect ones
    /// miss. That stays so, whatever other threads do, until [`Cache::unpark`] was called as often.
    pub fn park(&mut self, id: FragId) {
        self.parks += 1;
        if self.frag(id).kind == FragmentKind::Private {
            return; // Never linked.
        }
        for e in self.frag(id).exits.clone() {
            let x = self.exit(e);
            if x.parked {
                continue;
            }
            if x.kind == ExitKind::Indirect {
                let (patch, misses) = (x.patch, self.table.misses_address());
                self.patch_abs(patch, misses);
            } else {
                self.unlink(e);
            }
            self.exits[e.0 as usize].parked = true;
            self.parked.push(e);
        }
    }

    /// Takes one [`Cache::park`] back. After the last one exits may be linked again.
    pub fn unpark(&mut self) {
        self.parks = self.parks.saturating_sub(1);
        if self.parks > 0 {
            return;
        }
        let table = self.table.address();
        for e in std::mem::take(&mut self.parked) {
            let x = &mut self.exits[e.0 as usize];
            if std::mem::take(&mut x.parked) && x.kind == ExitKind::Indirect {
                let patch = x.patch;
                self.patch_abs(patch, table);
            }
        }
    }

    /// Guest pages with live code, for watching.
    pub fn code_pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.keys().copied()
    }
}

fn patch_in(memory: &mut CodeMemory, field: HostPc, target: HostPc) -> bool {
    let Some(d) = link::displacement(field.0, target.0) else { return false };
    let at = memory.writable(field);
    // SAFETY: a mismatch field of code in code memory; the cache is behind the client's lock.
    unsafe { link::patch(at, d as u32) };
    true
}

/// As [`patch_in`] for a target out of reach (chains hold entries of different regions): by a far
/// jump in the field's own unit, and so as long-lived as the field. False when the unit is full.
fn patch_far(memory: &mut CodeMemory, stubs: &dyn StubWriter, field: HostPc, target: HostPc) -> bool {
    let Some(unit) = memory.unit_of(field) else { return false };
    let mut code = Vec::with_capacity(16);
    stubs.far_jump(target, &mut code);
    let u = &mut memory.units[unit as usize];
    if u.room() <= code.len() + 32 {
        return false;
    }
    u.cold = (u.cold - code.len()) & !15;
    let at = HostPc(u.cold);
    memory.write(at, &code);
    patch_in(memory, field, at)
}

/// The `note` of the service exit that a counter takes at zero.
pub const HOT: u32 = u32::MAX;
