//! The look-up table of indirect branches, read by generated code in line.
//!
//! The table has [`SLOTS`] pointers to host code at a fixed address below 2 GiB, so that
//! `jmp [table + index*8]` needs no base register. A slot points to the routine for misses or to
//! the [`IndirectEntry`] of a fragment, which checks the full guest address itself; entries with
//! the same hash form a chain through their mismatch jumps. A reader therefore makes a single
//! 8-byte read, and every pointer it can read leads to code that checks before it acts: there is
//! no torn state.
//!
//! A second table of the same size whose slots all miss stands beside it. Exits of a fragment
//! that must be left soon (a signal waits) are pointed there for a while.

use crate::fragment::{FragId, GuestPc, HostPc, IndirectEntry};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of slots; the index is the low 16 bits of [`hash`].
pub const SLOTS: usize = 1 << 16;
const BYTES: usize = SLOTS * 8;
const PATTERN: usize = 64 << 10;
const COUNTERS: usize = 1 << 20;

/// The hash that generated code computes: without flags, in one rotation and one addition.
pub fn hash(pc: GuestPc) -> usize {
    let low = pc.0 as u32;
    (low.rotate_right(16).wrapping_add(low) & 0xffff) as usize
}

/// The table, the table of misses and the counters of trace heads: all memory below 2 GiB.
#[derive(Debug)]
pub struct IndirectTable {
    base: usize,
    miss: usize,
    misses_ready: bool,
    counters_used: usize,
    chains: HashMap<u16, Vec<(GuestPc, FragId, IndirectEntry)>, rustc_hash::FxBuildHasher>,
}

impl IndirectTable {
    /// Maps the tables; every slot leads to `miss`.
    pub fn new(miss: HostPc) -> io::Result<Self> {
        let len = 2 * BYTES + COUNTERS;
        // SAFETY: a fresh reservation; MAP_32BIT keeps it below 2 GiB.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_32BIT,
                -1,
                0,
            )
        };
        if p == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let table = IndirectTable {
            base: p as usize,
            miss: miss.0,
            misses_ready: false,
            counters_used: 0,
            chains: HashMap::default(),
        };
        table.fill()?;
        Ok(table)
    }

    /// Makes all slots miss without touching each page: private mappings of one small pattern.
    fn fill(&self) -> io::Result<()> {
        let words = vec![self.miss as u64; PATTERN / 8];
        // SAFETY: a descriptor of ours, written from a live buffer, mapped over the reservation
        // that this structure owns.
        unsafe {
            let fd = libc::memfd_create(c"pattern".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let wrote = libc::write(fd, words.as_ptr().cast(), PATTERN);
            let mut failed = wrote != PATTERN as isize;
            for at in (self.base..self.base + BYTES).step_by(PATTERN) {
                let p = libc::mmap(
                    at as *mut libc::c_void,
                    PATTERN,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
                    fd,
                    0,
                );
                failed |= p == libc::MAP_FAILED;
            }
            let e = io::Error::last_os_error();
            libc::close(fd);
            if failed { Err(e) } else { Ok(()) }
        }
    }

    /// The address of the table, as generated code uses it.
    pub fn address(&self) -> u32 {
        self.base as u32
    }

    /// The address of the table of misses, filled at its first use.
    pub fn misses_address(&mut self) -> u32 {
        let at = self.base + BYTES;
        if !self.misses_ready {
            // SAFETY: the second part of the reservation, not yet read by anyone.
            unsafe { std::slice::from_raw_parts_mut(at as *mut u64, SLOTS) }.fill(self.miss as u64);
            self.misses_ready = true;
        }
        at as u32
    }

    /// A new counter cell of 4 bytes, or `None` when they are used up.
    pub fn new_counter(&mut self, value: u32) -> Option<usize> {
        if self.counters_used + 4 > COUNTERS {
            return None;
        }
        let at = self.base + 2 * BYTES + self.counters_used;
        self.counters_used += 4;
        self.set_counter(at, value);
        Some(at)
    }

    /// Sets a counter.
    pub fn set_counter(&self, cell: usize, value: u32) {
        // SAFETY: `cell` came from `new_counter`; generated code may count at the same time, and a
        // lost count does no harm.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(cell as *mut u32) }.store(value, Ordering::Relaxed);
    }

    fn store_slot(&self, slot: u16, to: HostPc) {
        let at = self.base + usize::from(slot) * 8;
        // SAFETY: an aligned word inside the table.
        unsafe { AtomicU64::from_ptr(at as *mut u64) }.store(to.0 as u64, Ordering::Release);
    }

    /// Adds an entry at the end of its chain. `patch` points a mismatch jump somewhere and says
    /// whether that was in reach.
    pub fn insert(
        &mut self,
        pc: GuestPc,
        frag: FragId,
        entry: IndirectEntry,
        mut patch: impl FnMut(HostPc, HostPc) -> bool,
    ) -> bool {
        let slot = hash(pc) as u16;
        let chain = self.chains.entry(slot).or_default();
        match chain.last() {
            None => {
                chain.push((pc, frag, entry));
                self.store_slot(slot, entry.start);
                true
            }
            Some((_, _, last)) => {
                let reached = patch(last.mismatch, entry.check);
                if reached {
                    chain.push((pc, frag, entry));
                }
                reached
            }
        }
    }

    /// Removes the entry of `frag`; the mismatch of the last in a chain goes to `end`.
    pub fn remove(
        &mut self,
        pc: GuestPc,
        frag: FragId,
        end: impl Fn(HostPc) -> HostPc,
        mut patch: impl FnMut(HostPc, HostPc) -> bool,
    ) {
        let slot = hash(pc) as u16;
        let Some(chain) = self.chains.get_mut(&slot) else { return };
        let Some(i) = chain.iter().position(|&(_, f, _)| f == frag) else { return };
        chain.remove(i);
        if i > 0 {
            let before = chain[i - 1].2;
            let next = chain.get(i).map_or_else(|| end(before.mismatch), |n| n.2.check);
            if !patch(before.mismatch, next) {
                // Out of reach: cut the chain here; the rest is found again through the dispatcher.
                patch(before.mismatch, end(before.mismatch));
                chain.truncate(i);
            }
        } else {
            let first = chain.first().map_or(HostPc(self.miss), |n| n.2.start);
            if chain.is_empty() {
                self.chains.remove(&slot);
            }
            self.store_slot(slot, first);
        }
    }

    /// True when `frag` is reachable through the table for `pc`.
    pub fn contains(&self, pc: GuestPc, frag: FragId) -> bool {
        self.chains.get(&(hash(pc) as u16)).is_some_and(|c| c.iter().any(|&(p, f, _)| p == pc && f == frag))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.chains.values().map(Vec::len).sum()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// The address range of the tables.
    pub fn range(&self) -> (usize, usize) {
        (self.base, self.base + 2 * BYTES + COUNTERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> IndirectEntry {
        IndirectEntry { start: HostPc(n), check: HostPc(n + 1), mismatch: HostPc(n + 2) }
    }

    #[test]
    fn chains_hold_entries_with_one_hash_and_close_up_again() {
        let mut t = IndirectTable::new(HostPc(0x77)).unwrap();
        let (a, b, c) = (GuestPc(0x1_0000), GuestPc(0x1), GuestPc(0x8000_8000_0001));
        assert_eq!(hash(a), hash(b));
        let mut patches = Vec::new();
        assert!(t.insert(a, FragId(1), entry(100), |_, _| unreachable!()));
        assert!(t.insert(b, FragId(2), entry(200), |f, to| {
            patches.push((f, to));
            true
        }));
        assert_eq!(patches, [(HostPc(102), HostPc(201))]);
        let slot = |t: &IndirectTable, i: usize| unsafe { *((t.address() as usize + i * 8) as *const u64) };
        assert_eq!(slot(&t, hash(a)), 100);
        t.remove(a, FragId(1), |_| HostPc(9), |_, _| unreachable!());
        assert_eq!(slot(&t, hash(a)), 200);
        t.remove(b, FragId(2), |_| HostPc(9), |_, _| unreachable!());
        assert_eq!(slot(&t, hash(a)), 0x77);
        assert_eq!(slot(&t, hash(c)), 0x77);
        assert!(t.is_empty());
    }
}
