//! Executable memory: one memory object, two views, never writable and executable at one address.
//!
//! Code memory is made of *regions*: shared anonymous memory mapped twice, once `R-X` where code
//! runs, once `RW-` at an unrelated address where it is written. No descriptor is involved: the
//! program may have used up all of them, and would see ours. Both views are placed by the kernel's address
//! randomisation (the executable one within reach of the guest code it serves) with inaccessible
//! guard pages at both ends. A region is cut into *units*, the grain of eviction: within a unit
//! fragments grow upwards from the start and cold stubs downwards from the end.
//!
//! Invariants: every address handed out lies in exactly one unit; `rx - rw` is constant within a
//! region; nothing here is ever unmapped while the process lives, so a stale host address is
//! always readable (but for a forked child that begins anew, see [`crate::Cache::succeed`]).
//!
//! Resident memory: pages seen through both views count twice. The writable view is needed only
//! where code is being placed and, now and then, where a field is patched; so its page table
//! entries are dropped behind the front ([`Unit::trim`]), which leaves the pages themselves to the
//! executable view. Pages of units that wait unused for long are given back ([`Unit::release`]). Where a region has
//! much more code than that, pages well behind the front are put together to huge ones.

use crate::fragment::{FragId, HostPc, Place};
use std::io;

/// Bytes of address space in one region.
pub const REGION_SIZE: usize = 32 << 20;
/// Bytes in one unit.
pub const UNIT_SIZE: usize = 512 << 10;
/// Memory is made present in steps of this many bytes, one system call each.
const HOT_STEP: usize = 32 << 10;
const COLD_STEP: usize = 16 << 10;
const PAGE: usize = 4096;
/// Likewise in a unit's first bytes: many regions never have more code.
const FIRST_STEP: usize = 8 << 10;
/// Bytes behind the front of a unit being filled that stay in the writable view: new code is the most
/// likely to be patched.
const TRIM_LAG: usize = 64 << 10;
/// Likewise of its stubs, which are written once.
const TRIM_LAG_COLD: usize = 32 << 10;
const GUARD: usize = 4096;
/// Regions begin at multiples of this, the size of a huge page.
const HUGE: usize = 2 << 20;
/// Huge pages' worth of room at the front of a region that stay in small pages: a program that ends soon gains
/// nothing from putting them together.
const SMALL: usize = 2;
/// Bytes at the start of each region for code that all its fragments share.
pub const COMMON_SIZE: usize = 4096;
/// How far a 32-bit relative displacement reaches, with a margin for the region itself.
const REACH: u64 = (1 << 31) - (64 << 20);

/// What a unit is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnitState {
    /// It holds fragments, or is to.
    InUse,
    /// All its fragments are dead; threads that entered the cache in this epoch or before may still
    /// run them.
    Retired(u64),
    /// Nobody runs anything in it; it may be reused. The flag: its pages are present.
    Free(bool),
}

/// Part of a region that is filled, evicted and reused as a whole.
#[derive(Debug)]
pub struct Unit {
    /// First byte, executable view.
    pub start: usize,
    /// First free byte above the fragments.
    pub hot: usize,
    /// One past the last free byte below the stubs.
    pub cold: usize,
    /// Bytes below `cold` promised to stubs that may become necessary.
    pub owed: usize,
    /// Memory was made present in the writable view below this, above `start`.
    hot_present: usize,
    /// Likewise from here to the end.
    cold_present: usize,
    /// Fragments in address order.
    pub frags: Vec<FragId>,
    /// How many of them, from the first, have been [let go](crate::Cache) to make room.
    pub aged: usize,
    /// How many of them are live.
    pub live: u32,
    /// Order of first use, for eviction.
    pub age: u64,
    /// See [`UnitState`].
    pub state: UnitState,
    /// Its region.
    pub region: usize,
    /// What to add to an executable address for the writable one.
    delta: isize,
}

impl Unit {
    /// One past the last byte.
    pub fn end(&self) -> usize {
        self.start + UNIT_SIZE
    }
    /// Bytes between fragments and stubs that are not promised.
    pub fn room(&self) -> usize {
        (self.cold - self.hot).saturating_sub(self.owed)
    }
    /// Forgets everything in it.
    pub fn reset(&mut self) {
        self.hot = self.start;
        self.cold = self.end();
        self.owed = 0;
        // The writable view was trimmed: pages are made present anew.
        self.trim();
        self.hot_present = self.start;
        self.cold_present = self.end();
        self.frags.clear();
        self.aged = 0;
        self.live = 0;
    }
    /// Bytes in use.
    pub fn used(&self) -> usize {
        UNIT_SIZE - (self.cold - self.hot)
    }
    /// Makes sure that the next `hot` and `cold` bytes are present, so that writing them takes no
    /// page fault each. (The executable view needs no such care: a fault there maps all pages
    /// around that are present.) True when there was something to do.
    pub fn populate(&mut self, hot: usize, cold: usize) -> bool {
        let mut any = false;
        let want = (self.hot + hot).min(self.end());
        if want > self.hot_present {
            let behind = self.hot.saturating_sub(TRIM_LAG) & !(PAGE - 1);
            self.advise(self.start, behind, libc::MADV_DONTNEED);
            let step = if want - self.start <= 2 * FIRST_STEP { FIRST_STEP } else { HOT_STEP };
            let to = (self.start + (want - self.start).next_multiple_of(step)).min(self.end());
            self.advise(self.hot_present, to, MADV_POPULATE_WRITE);
            self.hot_present = to;
            any = true;
        }
        let want = self.cold.saturating_sub(cold).max(self.start);
        if want < self.cold_present {
            let step = if self.end() - want <= FIRST_STEP { FIRST_STEP } else { COLD_STEP };
            let from = (self.end() - (self.end() - want).next_multiple_of(step)).max(self.start);
            self.advise((self.cold + TRIM_LAG_COLD).next_multiple_of(PAGE), self.end(), libc::MADV_DONTNEED);
            self.advise(from, self.cold_present, MADV_POPULATE_WRITE);
            self.cold_present = from;
            any = true;
        }
        any
    }
    /// Drops the writable view's page table entries where nothing is being placed.
    pub fn trim(&self) {
        self.advise(self.start, self.hot & !(PAGE - 1), libc::MADV_DONTNEED);
        self.advise(self.cold.next_multiple_of(PAGE), self.end(), libc::MADV_DONTNEED);
    }
    /// Gives its pages back. Only for units in which no thread runs.
    pub fn release(&self) {
        self.advise(self.start, self.end(), libc::MADV_REMOVE);
    }
    /// `[from, to)` in the executable view names pages of the writable view to advise about. On
    /// kernels without an advice the call fails, and pages come and go by faults as usual.
    fn advise(&self, from: usize, to: usize, advice: i32) {
        if from < to {
            let at = from.wrapping_add_signed(self.delta) as *mut libc::c_void;
            // SAFETY: inside a shared mapping of this module: none of these advices loses contents,
            // but for MADV_REMOVE, which `release` uses where nothing is kept.
            unsafe { libc::madvise(at, to - from, advice) };
        }
    }
}

const MADV_POPULATE_WRITE: i32 = 23;
const MADV_COLLAPSE: i32 = 25;

/// A stretch of address space with two views.
#[derive(Debug)]
pub struct Region {
    /// Executable view.
    pub rx: usize,
    /// Writable view.
    pub rw: usize,
    /// The guest code it was made for.
    near: u64,
    /// Bytes given to units so far.
    pub used: usize,
    /// Huge pages that were asked for so far, from the start.
    huge: usize,
    /// Its units, in address order.
    units: Vec<u32>,
}

/// All code memory of the process.
#[derive(Debug, Default)]
pub struct CodeMemory {
    /// Regions, in order of creation.
    pub regions: Vec<Region>,
    /// Units, in order of creation.
    pub units: Vec<Unit>,
}

impl CodeMemory {
    /// Maps a new region whose executable view is within reach of `near`, or anywhere when no
    /// place there is free.
    pub fn add_region(&mut self, near: u64) -> io::Result<usize> {
        let rx = match place_near(near) {
            Some(at) => at,
            None => reserve(None)?,
        };
        let rw = reserve(None)?;
        // SAFETY: both ranges were reserved by us just now; the guard pages stay PROT_NONE.
        unsafe {
            map_shared(rw)?;
            map_same(rw, rx)?;
            protect_executable(rx)?;
        }
        self.regions.push(Region { rx, rw, near, used: COMMON_SIZE, huge: 0, units: Vec::new() });
        Ok(self.regions.len() - 1)
    }

    /// Cuts a new unit from `region`; `None` when it is used up.
    pub fn add_unit(&mut self, region: usize, age: u64) -> Option<u32> {
        let r = &mut self.regions[region];
        if r.used + UNIT_SIZE > REGION_SIZE || self.units.len() >= Place::UNITS {
            return None;
        }
        let start = r.rx + r.used;
        // What lies well behind the front is put into huge pages: a program with much code misses in the
        // processor's table of small ones all the time, and natively its file has huge ones, too.
        while r.used / HUGE >= r.huge + SMALL {
            // SAFETY: part of a view of ours; the advice changes no contents, and fails without harm.
            unsafe { libc::madvise((r.rx + r.huge * HUGE) as *mut libc::c_void, HUGE, MADV_COLLAPSE) };
            r.huge += 1;
        }
        r.used += UNIT_SIZE;
        r.units.push(self.units.len() as u32);
        self.units.push(Unit {
            start,
            hot: start,
            cold: start + UNIT_SIZE,
            owed: 0,
            hot_present: start,
            cold_present: start + UNIT_SIZE,
            frags: Vec::new(),
            aged: 0,
            live: 0,
            age,
            state: UnitState::InUse,
            region,
            delta: r.rw as isize - r.rx as isize,
        });
        Some(self.units.len() as u32 - 1)
    }

    /// True when `region` serves code at `pc`: every byte of it is within rel32 reach, or it was
    /// made for code close to `pc` and there was no free place within reach.
    pub fn serves(&self, region: usize, pc: u64) -> bool {
        let rx = self.regions[region].rx as u64;
        self.regions[region].near.abs_diff(pc) < REACH / 2
            || (rx.abs_diff(pc) < REACH && (rx + REGION_SIZE as u64).abs_diff(pc) < REACH)
    }

    /// The region that holds an executable address.
    pub fn region_of(&self, host: usize) -> Option<usize> {
        self.regions.iter().position(|r| (r.rx..r.rx + REGION_SIZE).contains(&host))
    }

    /// The unit that holds an executable address.
    pub fn unit_of(&self, host: HostPc) -> Option<u32> {
        let r = &self.regions[self.region_of(host.0)?];
        r.units.get((host.0 - r.rx).checked_sub(COMMON_SIZE)? / UNIT_SIZE).copied()
    }

    /// The place of an executable address, when it lies in a unit.
    pub(crate) fn place_of(&self, host: HostPc) -> Option<Place> {
        let unit = self.unit_of(host)?;
        Some(Place::new(unit, host.0 - self.units[unit as usize].start))
    }

    /// The executable address of a place.
    pub(crate) fn host(&self, place: Place) -> HostPc {
        HostPc(self.units[place.unit() as usize].start + place.offset())
    }

    /// The writable address of a place.
    pub(crate) fn writable(&self, place: Place) -> *mut u8 {
        let unit = &self.units[place.unit() as usize];
        (unit.start + place.offset()).wrapping_add_signed(unit.delta) as *mut u8
    }

    /// Where the common code of a place's region begins.
    pub(crate) fn common(&self, place: Place) -> HostPc {
        HostPc(self.regions[self.units[place.unit() as usize].region].rx)
    }

    /// The contents of a unit. They change only by the cache's methods that need it exclusively.
    pub(crate) fn bytes(&self, unit: u32) -> &[u8] {
        let start = self.units[unit as usize].start as *const u8;
        // SAFETY: mapped readable for ever; all writing goes through methods of the cache that
        // borrow it mutably.
        unsafe { std::slice::from_raw_parts(start, UNIT_SIZE) }
    }

    /// Writes `bytes` at a place, through the writable view.
    pub(crate) fn write(&mut self, at: Place, bytes: &[u8]) {
        assert!(at.offset() + bytes.len() <= UNIT_SIZE, "code beyond its unit");
        // SAFETY: inside a unit of a mapped region, as asserted; nobody executes bytes that were
        // not yet published.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.writable(at), bytes.len()) }
    }

    /// Writes the common code of a region.
    pub(crate) fn write_common(&mut self, region: usize, bytes: &[u8]) {
        assert!(bytes.len() <= COMMON_SIZE, "common code of a region is too large");
        let to = self.regions[region].rw as *mut u8;
        // SAFETY: the region's first bytes belong to no unit; nothing jumps there before the first
        // fragment of the region is published.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }

    /// Bytes of code and stubs in use.
    pub fn used(&self) -> usize {
        self.units.iter().map(Unit::used).sum()
    }

    /// In a forked child: gives it memory of its own with the same contents at the same addresses.
    /// The parent must not write meanwhile (the two share the old memory objects).
    pub fn unshare(&mut self) -> io::Result<()> {
        for r in &mut self.regions {
            let temp = reserve(None)?;
            // SAFETY: a fresh reservation of ours, then copies between views of the same layout;
            // finally both views are replaced in one step each by the same bytes. The caller runs
            // outside the cache and is the only thread of the process.
            unsafe {
                map_shared(temp)?;
                std::ptr::copy_nonoverlapping(r.rw as *const u8, temp as *mut u8, COMMON_SIZE);
                for u in &self.units {
                    if !(r.rx..r.rx + REGION_SIZE).contains(&u.start) {
                        continue;
                    }
                    let off = u.start - r.rx;
                    let hot = u.hot - u.start;
                    let cold = u.end() - u.cold;
                    let (from, to) = (r.rw + off, temp + off);
                    // All at once: a fault for each page takes several times as long as copying it.
                    let populate = |at: usize, len: usize| {
                        let start = at & !(PAGE - 1);
                        libc::madvise(start as *mut libc::c_void, at + len - start, MADV_POPULATE_WRITE);
                    };
                    populate(to, hot);
                    populate(to + UNIT_SIZE - cold, cold);
                    std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, hot);
                    let c = UNIT_SIZE - cold;
                    std::ptr::copy_nonoverlapping((from + c) as *const u8, (to + c) as *mut u8, cold);
                }
                map_same(temp, r.rx)?;
                protect_executable(r.rx)?;
                map_same(temp, r.rw)?;
                libc::munmap((temp - GUARD) as *mut libc::c_void, REGION_SIZE + 2 * GUARD);
            }
        }
        for u in &mut self.units {
            u.hot_present = u.start;
            u.cold_present = u.end();
        }
        Ok(())
    }

    /// Gives all of it back, for ever; nothing may lead there any more.
    pub(crate) fn unmap(&mut self) {
        for (start, end) in self.ranges() {
            // SAFETY: mappings of this module's, with their guards; nobody uses them, as the caller knows.
            unsafe { libc::munmap(start as *mut libc::c_void, end - start) };
        }
        self.regions.clear();
        self.units.clear();
    }

    /// Address ranges that belong to code memory, both views with their guards.
    pub fn ranges(&self) -> Vec<(usize, usize)> {
        self.regions.iter().flat_map(|r| [r.rx, r.rw]).map(|s| (s - GUARD, s + REGION_SIZE + GUARD)).collect()
    }
}

/// The lowest number for descriptors of ours: high, but below the limit of open files.
pub fn high_descriptor_floor() -> i32 {
    // SAFETY: fills a local structure.
    let limit = unsafe {
        let mut l: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut l);
        l.rlim_cur
    };
    i32::try_from(limit.min(1 << 20)).unwrap_or(1024).saturating_sub(64).max(0)
}

/// Reserves a region with guards at `exact`, or anywhere; returns the address of its first usable byte, a multiple of
/// [`HUGE`].
fn reserve(exact: Option<usize>) -> io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let whole = REGION_SIZE + 2 * GUARD;
    let map = |hint: usize, len: usize, more: i32| {
        // SAFETY: never replaces a mapping (no MAP_FIXED).
        let p = unsafe { libc::mmap(hint as *mut libc::c_void, len, libc::PROT_NONE, flags | more, -1, 0) };
        if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(p as usize) }
    };
    let unmap = |from: usize, to: usize| {
        if from < to {
            // SAFETY: part of what was just mapped, not in use.
            unsafe { libc::munmap(from as *mut libc::c_void, to - from) };
        }
    };
    if let Some(at) = exact {
        let p = map(at - GUARD, whole, libc::MAP_FIXED_NOREPLACE)?;
        if p != at - GUARD {
            // An old kernel placed it elsewhere.
            unmap(p, p + whole);
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        return Ok(at);
    }
    let p = map(0, whole + HUGE, 0)?;
    let at = (p + GUARD).next_multiple_of(HUGE);
    unmap(p, at - GUARD);
    unmap(at - GUARD + whole, p + whole + HUGE);
    Ok(at)
}

/// Looks for free address space within reach of `near`.
fn place_near(near: u64) -> Option<usize> {
    // Where the kernel would put it anyway is often near: libraries.
    if let Ok(at) = reserve(None) {
        if (at as u64).abs_diff(near) < REACH && (at as u64 + REGION_SIZE as u64).abs_diff(near) < REACH {
            return Some(at);
        }
        // SAFETY: just reserved, unused.
        unsafe { libc::munmap((at - GUARD) as *mut libc::c_void, REGION_SIZE + 2 * GUARD) };
    }
    let mut noise = [0u8; 2];
    // SAFETY: fills two bytes of ours.
    unsafe { libc::getrandom(noise.as_mut_ptr().cast(), 2, 0) };
    let jitter = u64::from(u16::from_le_bytes(noise) & 0x1f) << 21;
    // Outwards from the code in both directions; far enough first that a heap behind the program
    // can grow.
    for step in 1..56u64 {
        let off = step * (32 << 20) + jitter;
        for at in
            [near.checked_sub(off + (256 << 20)), near.checked_add(off + (512 << 20))].into_iter().flatten()
        {
            let at = at & !(HUGE as u64 - 1);
            if !(0x20_0000..=0x7fff_0000_0000).contains(&at) || at.abs_diff(near) > REACH - REGION_SIZE as u64
            {
                continue;
            }
            if let Ok(p) = reserve(Some(at as usize)) {
                return Some(p);
            }
        }
    }
    None
}

/// Maps new shared memory, writable, over the usable part of a reservation.
///
/// # Safety
/// `at` must come from [`reserve`] and nothing else may live there.
unsafe fn map_shared(at: usize) -> io::Result<()> {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: as the caller promises.
    let p = unsafe { libc::mmap(at as *mut libc::c_void, REGION_SIZE, prot, flags, -1, 0) };
    if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Maps the shared memory at `from` a second time, at `to`, in place of what is there.
///
/// # Safety
/// `from` must be a view made by [`map_shared`] or this, `to` as for the former.
unsafe fn map_same(from: usize, to: usize) -> io::Result<()> {
    // An old size of zero asks for another mapping of the same shared pages (mremap(2)).
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: as the caller promises.
    let p =
        unsafe { libc::mremap(from as *mut libc::c_void, 0, REGION_SIZE, flags, to as *mut libc::c_void) };
    if p == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Turns a writable view into an executable one.
///
/// # Safety
/// The range is a view of ours that nobody uses for writing.
unsafe fn protect_executable(at: usize) -> io::Result<()> {
    // SAFETY: as the caller promises.
    let r =
        unsafe { libc::mprotect(at as *mut libc::c_void, REGION_SIZE, libc::PROT_READ | libc::PROT_EXEC) };
    if r != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_views_show_the_same_bytes_and_neither_is_both() {
        let mut m = CodeMemory::default();
        let r = m.add_region(map_shared as *const () as u64).unwrap();
        let u = m.add_unit(r, 0).unwrap();
        let place = Place::new(u, 64);
        m.write(place, &[0xb8, 42, 0, 0, 0, 0xc3]);
        assert_eq!(m.place_of(m.host(place)), Some(place));
        // SAFETY: the bytes are `mov eax, 42; ret`.
        let f: extern "C" fn() -> i32 = unsafe { std::mem::transmute(m.host(place).0) };
        assert_eq!(f(), 42);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let begins =
            |at: usize| maps.lines().find(|l| l.starts_with(&format!("{at:x}-"))).unwrap().to_owned();
        assert!(begins(m.regions[r].rx).contains(" r-xs "));
        assert!(begins(m.regions[r].rw).contains(" rw-s "));
    }

    #[test]
    fn trimming_keeps_the_contents_and_releasing_does_not() {
        let mut m = CodeMemory::default();
        let r = m.add_region(0).unwrap();
        let u = m.add_unit(r, 0).unwrap();
        let unit = &mut m.units[u as usize];
        unit.populate(100_000, 1000);
        unit.hot += 100_000;
        for offset in [0, 50_000, 99_000, UNIT_SIZE - 1] {
            m.write(Place::new(u, offset), &[7]);
        }
        m.units[u as usize].trim();
        m.write(Place::new(u, 1), &[8]);
        for (offset, want) in [(0, 7), (1, 8), (50_000, 7), (99_000, 7), (UNIT_SIZE - 1, 7)] {
            assert_eq!(m.bytes(u)[offset], want);
        }
        m.units[u as usize].release();
        assert!(m.bytes(u).iter().all(|&b| b == 0));
    }

    #[test]
    fn unsharing_keeps_the_contents() {
        let mut m = CodeMemory::default();
        let r = m.add_region(0).unwrap();
        let u = m.add_unit(r, 0).unwrap();
        let place = Place::new(u, 0);
        m.units[u as usize].populate(6, 0);
        m.write(place, &[0xb8, 7, 0, 0, 0, 0xc3]);
        m.units[u as usize].hot += 6;
        m.unshare().unwrap();
        // SAFETY: as above.
        let f: extern "C" fn() -> i32 = unsafe { std::mem::transmute(m.host(place).0) };
        assert_eq!(f(), 7);
    }
}
