//! The look-up table of indirect branches, read by generated code in line.
//!
//! The table has [`SLOTS`] pointers to host code at a fixed address below 2 GiB, so that
//! `jmp [table + index*8]` needs no base register. A slot points to the routine for misses or to
//! the indirect entry of a fragment, which checks the full guest address itself; entries with the
//! same hash form a chain through their mismatch jumps (the cache keeps it, see
//! [`crate::Cache::insert_indirect`]; here is its head). A reader therefore makes a single
//! 8-byte read, and every pointer it can read leads to code that checks before it acts: there is
//! no torn state.
//!
//! While few fragments are in it the table is *folded*: its [`SLOTS`] are one piece of memory of [`FOLDED`] slots seen
//! eight times, so that a small program does not touch a page for each of its targets. When it gets
//! crowded the cache empties it, makes it whole and fills it again; meanwhile readers miss.
//!
//! A second table of the same size whose slots all miss stands beside it. Exits of a fragment
//! that must be left soon (a signal waits) are pointed there for a while.

use crate::fragment::{FragId, GuestPc, HostPc};
use rustc_hash::FxHashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of slots; the index is 16 bits of the guest address, from the table's shift upwards: code that lies close
/// together has its slots on the same pages, and functions at aligned addresses use all of them.
pub const SLOTS: usize = 1 << 16;
const BYTES: usize = SLOTS * 8;
const PATTERN: usize = 64 << 10;
/// Slots of the folded table.
pub const FOLDED: usize = PATTERN / 8;
/// Slots in use beyond which a folded table is crowded: one in eight.
const CROWDED: usize = FOLDED / 8;
const COUNTERS: usize = 1 << 20;
/// The lowest address that processes may use on most systems, and the steps in which room is looked for from there on.
const LOWEST: usize = 64 << 10;
const LOW_STEP: usize = 256 << 10;

/// Bits that generated code shifts out where it can rotate without touching flags (BMI2); 0 elsewhere.
pub const SHIFT: u32 = 3;

/// The table, the table of misses and the counters of trace heads: all memory below 2 GiB.
#[derive(Debug)]
pub struct IndirectTable {
    base: usize,
    shift: u32,
    miss: usize,
    misses_ready: bool,
    folded: bool,
    counters_used: usize,
    free_counters: Vec<u32>,
    heads: FxHashMap<u16, FragId>,
}

/// Reserves memory below 2 GiB.
fn reserve_low(len: usize) -> io::Result<usize> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let map = |at: usize, more: i32| {
        // SAFETY: a fresh reservation, which replaces nothing.
        let p = unsafe { libc::mmap(at as *mut libc::c_void, len, prot, flags | more, -1, 0) };
        match p as usize {
            _ if p == libc::MAP_FAILED => Err(io::Error::last_os_error()),
            p if at == 0 || p == at => Ok(p),
            p => {
                // An old kernel placed it elsewhere.
                // SAFETY: mapped just now.
                unsafe { libc::munmap(p as *mut libc::c_void, len) };
                Err(io::Error::from_raw_os_error(libc::ENOMEM))
            }
        }
    };
    let mut result = map(0, libc::MAP_32BIT);
    // The kernel looks in the second GiB only, which a program at fixed addresses may fill.
    for at in (LOWEST..1 << 30).step_by(LOW_STEP) {
        if result.is_ok() {
            break;
        }
        result = map(at, libc::MAP_FIXED_NOREPLACE).or(result);
    }
    result
}

impl IndirectTable {
    fn hash(&self, pc: GuestPc) -> usize {
        (pc.0 >> self.shift) as usize & (SLOTS - 1)
    }

    /// Maps the tables; every slot leads to `miss`. `shift`: see [`SLOTS`].
    pub fn new(miss: HostPc, shift: u32) -> io::Result<Self> {
        let p = reserve_low(2 * BYTES + COUNTERS)?;
        let table = IndirectTable {
            base: p,
            shift,
            miss: miss.0,
            misses_ready: false,
            folded: true,
            counters_used: 0,
            free_counters: Vec::new(),
            heads: FxHashMap::default(),
        };
        table.fold()?;
        Ok(table)
    }

    /// Makes the table folded, all slots missing.
    fn fold(&self) -> io::Result<()> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the first part of the reservation that this structure owns, which nobody uses yet.
        unsafe {
            let p = libc::mmap(self.base as *mut libc::c_void, PATTERN, prot, flags, -1, 0);
            if p == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            std::slice::from_raw_parts_mut(self.base as *mut u64, FOLDED).fill(self.miss as u64);
        }
        self.repeat(self.base)
    }

    /// Shows the first piece of the table at `at` in all others.
    fn repeat(&self, at: usize) -> io::Result<()> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        for to in (self.base + PATTERN..self.base + BYTES).step_by(PATTERN) {
            // SAFETY: an old size of zero maps the same shared memory again (mremap(2)), over a piece of the table,
            // which nobody reads at the moment.
            let p =
                unsafe { libc::mremap(at as *mut libc::c_void, 0, PATTERN, flags, to as *mut libc::c_void) };
            if p == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// True when the table is folded and should not be any more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.folded && self.heads.len() > CROWDED
    }

    /// Makes the table whole, all slots missing. Whoever reads it meanwhile sees the old table or the new one: the
    /// kernel replaces a mapping in one step. False when there is no memory; then it stays as it is.
    pub(crate) fn unfold(&mut self) -> bool {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: fresh memory, filled and then moved in place of the table.
        unsafe {
            let new = libc::mmap(std::ptr::null_mut(), BYTES, prot, flags, -1, 0);
            if new == libc::MAP_FAILED {
                return false;
            }
            std::slice::from_raw_parts_mut(new.cast::<u64>(), SLOTS).fill(self.miss as u64);
            if libc::mremap(new, BYTES, BYTES, fixed, self.base as *mut libc::c_void) == libc::MAP_FAILED {
                libc::munmap(new, BYTES);
                return false;
            }
        }
        self.folded = false;
        self.heads.clear();
        true
    }

    /// The fragments that slots lead to.
    pub(crate) fn heads(&self) -> Vec<FragId> {
        self.heads.values().copied().collect()
    }

    /// In a forked child, before anything runs: a folded table of its own with the same contents.
    pub fn unshare(&mut self) -> io::Result<()> {
        if !self.folded {
            return Ok(()); // Private memory: `fork` copied it.
        }
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: fresh memory gets a copy of the table's and is moved in its place.
        unsafe {
            let new = libc::mmap(std::ptr::null_mut(), PATTERN, prot, flags, -1, 0);
            if new == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            std::ptr::copy_nonoverlapping(self.base as *const u8, new.cast(), PATTERN);
            if libc::mremap(new, PATTERN, PATTERN, fixed, self.base as *mut libc::c_void) == libc::MAP_FAILED
            {
                return Err(io::Error::last_os_error());
            }
        }
        self.repeat(self.base)
    }

    /// The slot of a guest address.
    fn index(&self, pc: GuestPc) -> u16 {
        let h = self.hash(pc);
        (if self.folded { h & (FOLDED - 1) } else { h }) as u16
    }

    /// The address of the table, as generated code uses it.
    pub fn address(&self) -> u32 {
        self.base as u32
    }

    /// The address of the table of misses, filled at its first use.
    pub fn misses_address(&mut self) -> u32 {
        let at = self.base + BYTES;
        if !self.misses_ready {
            self.fill_misses(at);
            self.misses_ready = true;
        }
        at as u32
    }

    /// One small pattern in memory, seen many times; or plain memory if that fails. No descriptor:
    /// the program may have used them up by now.
    fn fill_misses(&self, at: usize) {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the second part of the reservation, not yet read by anyone, is replaced piece by
        // piece; where that fails it stays writable memory, which is filled in any case.
        unsafe {
            let first = at as *mut libc::c_void;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mmap(first, PATTERN, prot, flags, -1, 0) != libc::MAP_FAILED {
                std::slice::from_raw_parts_mut(at as *mut u64, PATTERN / 8).fill(self.miss as u64);
                let remap = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                let mut rest = (at + PATTERN..at + BYTES).step_by(PATTERN);
                if rest.all(|to| {
                    libc::mremap(first, 0, PATTERN, remap, to as *mut libc::c_void) != libc::MAP_FAILED
                }) {
                    return;
                }
            }
            std::slice::from_raw_parts_mut(at as *mut u64, SLOTS).fill(self.miss as u64);
        }
    }

    /// A new counter cell of 4 bytes, or `None` when they are used up.
    pub fn new_counter(&mut self, value: u32) -> Option<u32> {
        let at = match self.free_counters.pop() {
            Some(at) => at,
            None if self.counters_used + 4 > COUNTERS => return None,
            None => {
                self.counters_used += 4;
                (self.base + 2 * BYTES + self.counters_used - 4) as u32
            }
        };
        self.set_counter(at, value);
        Some(at)
    }

    /// Takes a counter back that no code counts with any more.
    pub fn free_counter(&mut self, cell: u32) {
        self.free_counters.push(cell);
    }

    /// Sets a counter.
    pub fn set_counter(&self, cell: u32, value: u32) {
        // SAFETY: `cell` came from `new_counter`; generated code may count at the same time, and a
        // lost count does no harm.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(cell as *mut u32) }.store(value, Ordering::Relaxed);
    }

    /// What a counter is at.
    pub fn counter(&self, cell: u32) -> u32 {
        // SAFETY: as above.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(cell as *mut u32) }.load(Ordering::Relaxed)
    }

    /// The fragment whose entry the slot of `pc` leads to.
    pub(crate) fn head(&self, pc: GuestPc) -> Option<FragId> {
        self.heads.get(&self.index(pc)).copied()
    }

    /// Makes the slot of `pc` lead to the entry `to` of `frag`; to the routine for misses with
    /// `None`.
    pub(crate) fn set_head(&mut self, pc: GuestPc, head: Option<(FragId, HostPc)>) {
        let slot = self.index(pc);
        let to = match head {
            Some((frag, to)) => {
                self.heads.insert(slot, frag);
                to.0
            }
            None => {
                self.heads.remove(&slot);
                self.miss
            }
        };
        let at = self.base + usize::from(slot) * 8;
        // SAFETY: an aligned word inside the table.
        unsafe { AtomicU64::from_ptr(at as *mut u64) }.store(to as u64, Ordering::Release);
    }

    /// The routine that the slot of `pc`, or of any address with its hash, leads to now.
    pub fn slot(&self, pc: GuestPc) -> HostPc {
        let at = self.base + self.hash(pc) * 8;
        // SAFETY: an aligned word inside the table.
        HostPc(unsafe { AtomicU64::from_ptr(at as *mut u64) }.load(Ordering::Acquire) as usize)
    }

    /// Gives the tables back; nothing may use them any more.
    pub(crate) fn unmap(&mut self) {
        let (start, end) = self.range();
        // SAFETY: mappings of this module's that nobody uses, as the caller knows.
        unsafe { libc::munmap(start as *mut libc::c_void, end - start) };
    }

    /// The address range of the tables.
    pub fn range(&self) -> (usize, usize) {
        (self.base, self.base + 2 * BYTES + COUNTERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_miss_until_they_have_a_head() {
        let mut t = IndirectTable::new(HostPc(0x77), SHIFT).unwrap();
        let (a, b, c) = (GuestPc(0x10_0000), GuestPc(0x1), GuestPc(0x8000_8000_0008));
        assert_eq!(t.hash(a), t.hash(b));
        assert_eq!(t.slot(a), HostPc(0x77));
        t.set_head(a, Some((FragId(1), HostPc(100))));
        assert_eq!((t.slot(a), t.slot(b), t.slot(c)), (HostPc(100), HostPc(100), HostPc(0x77)));
        assert_eq!(t.head(b), Some(FragId(1)));
        t.set_head(b, None);
        assert_eq!((t.slot(a), t.head(a)), (HostPc(0x77), None));
    }

    #[test]
    fn a_folded_table_shows_each_head_eight_times_until_it_is_whole() {
        let mut t = IndirectTable::new(HostPc(0x77), SHIFT).unwrap();
        let (a, b) = (GuestPc(0x10), GuestPc(0x10 + ((FOLDED as u64) << SHIFT)));
        t.set_head(a, Some((FragId(1), HostPc(100))));
        assert_eq!((t.slot(b), t.head(b)), (HostPc(100), Some(FragId(1))));
        t.unshare().unwrap();
        assert_eq!((t.slot(a), t.slot(b)), (HostPc(100), HostPc(100)));
        assert!(t.unfold());
        assert_eq!((t.slot(a), t.slot(b), t.head(b)), (HostPc(0x77), HostPc(0x77), None));
        t.set_head(b, Some((FragId(2), HostPc(200))));
        assert_eq!((t.slot(a), t.slot(b)), (HostPc(0x77), HostPc(200)));
    }

    #[test]
    fn every_slot_of_the_table_of_misses_misses() {
        let mut t = IndirectTable::new(HostPc(0x1234_5678_9abc), SHIFT).unwrap();
        let at = t.misses_address() as usize;
        // SAFETY: the table, which nobody writes.
        let slots = unsafe { std::slice::from_raw_parts(at as *const u64, SLOTS) };
        assert!(slots.iter().all(|&s| s == 0x1234_5678_9abc));
    }

    #[test]
    fn counters_are_used_again() {
        let mut t = IndirectTable::new(HostPc(0), 0).unwrap();
        let a = t.new_counter(5).unwrap();
        let b = t.new_counter(5).unwrap();
        assert_ne!(a, b);
        t.free_counter(a);
        assert_eq!(t.new_counter(1), Some(a));
    }
}
