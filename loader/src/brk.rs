//! The guest's program break.
//!
//! `brk` moves the end of one area of memory. The process has one break already, which belongs to the
//! allocator of this process; the guest gets its own, made of ordinary mappings at the place where the
//! kernel would have put it. The semantics are those of the system call: the break moves to any byte,
//! memory follows by pages, and a request that cannot be met leaves the break where it is.

use crate::GuestAddr;
use crate::elf::{ADDRESS_END, page_ceil};

/// The break of one guest address space. Callers serialise access; after `fork` both processes go on with
/// their own copy.
#[derive(Debug, Clone)]
pub struct GuestBrk {
    start: u64,
    current: u64,
    executable: bool,
}

impl GuestBrk {
    /// A break at `start`, which is page-aligned; nothing is mapped yet.
    pub fn new(start: GuestAddr) -> GuestBrk {
        let start = page_ceil(start.0.min(ADDRESS_END));
        GuestBrk { start, current: start, executable: false }
    }

    /// Makes memory that is added from now on executable, as the kernel does under the personality
    /// `READ_IMPLIES_EXEC`.
    pub fn set_executable(&mut self, executable: bool) {
        self.executable = executable;
    }

    /// Where the area begins.
    pub fn start(&self) -> GuestAddr {
        GuestAddr(self.start)
    }

    /// The break: one past the last byte of the area.
    pub fn current(&self) -> GuestAddr {
        GuestAddr(self.current)
    }

    /// The system call: moves the break to `wanted` if that is possible, and returns where it is then.
    ///
    /// Shrinking unmaps the pages that lie wholly beyond the new break. It is up to the caller to forget
    /// code that was translated from them.
    pub fn brk(&mut self, wanted: GuestAddr) -> GuestAddr {
        let wanted = wanted.0;
        if wanted < self.start || wanted > ADDRESS_END {
            return GuestAddr(self.current);
        }
        let (old_end, new_end) = (page_ceil(self.current), page_ceil(wanted));
        let moved = match new_end.cmp(&old_end) {
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Less => unmap(new_end, old_end - new_end),
            std::cmp::Ordering::Greater => self.map(old_end, new_end - old_end),
        };
        if moved {
            self.current = wanted;
        }
        GuestAddr(self.current)
    }

    fn map(&self, start: u64, len: u64) -> bool {
        let exec = if self.executable { libc::PROT_EXEC } else { 0 };
        let prot = libc::PROT_READ | libc::PROT_WRITE | exec;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE replaces nothing, so nobody's memory changes.
        let addr = unsafe { libc::mmap(start as *mut _, len as usize, prot, flags, -1, 0) };
        if addr == libc::MAP_FAILED {
            return false;
        }
        if addr as u64 != start {
            // A kernel before 4.17 took the flag for a hint.
            unmap(addr as u64, len);
            return false;
        }
        true
    }
}

/// Unmaps a range that a break mapped before.
fn unmap(start: u64, len: u64) -> bool {
    // SAFETY: the range was mapped by `GuestBrk::map` as memory of the guest; the guest asked to drop it.
    unsafe { libc::munmap(start as *mut _, len as usize) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far from everything, and different for each test.
    fn at(number: u64) -> GuestBrk {
        GuestBrk::new(GuestAddr(0x1234_0000_0000 + number * 0x1_0000_0000))
    }

    fn is_mapped(addr: u64) -> bool {
        let mut byte = 0u8;
        // SAFETY: mincore writes one byte to `byte` and only looks at the page.
        unsafe { libc::mincore((addr & !0xfff) as *mut _, 1, &raw mut byte) == 0 }
    }

    #[test]
    fn grows_and_shrinks_by_bytes_and_pages() {
        let mut brk = at(0);
        let start = brk.start().0;
        assert_eq!(brk.brk(GuestAddr(0)).0, start);
        assert!(!is_mapped(start));
        assert_eq!(brk.brk(GuestAddr(start + 1)).0, start + 1);
        assert!(is_mapped(start) && !is_mapped(start + 4096));
        assert_eq!(brk.brk(GuestAddr(start + 4096)).0, start + 4096);
        assert!(!is_mapped(start + 4096));
        assert_eq!(brk.brk(GuestAddr(start + 3 * 4096 + 5)).0, start + 3 * 4096 + 5);
        assert!(is_mapped(start + 3 * 4096));
        // SAFETY: the page was just mapped writable.
        unsafe { *((start + 3 * 4096) as *mut u8) = 7 };
        assert_eq!(brk.brk(GuestAddr(start + 100)).0, start + 100);
        assert!(is_mapped(start) && !is_mapped(start + 4096));
        assert_eq!(brk.brk(GuestAddr(start + 4 * 4096)).0, start + 4 * 4096);
        // SAFETY: mapped again, and zeroed.
        assert_eq!(unsafe { *((start + 3 * 4096) as *const u8) }, 0);
        assert_eq!(brk.brk(GuestAddr(start)).0, start);
        assert!(!is_mapped(start));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let mut brk = at(1);
        let start = brk.start().0;
        assert_eq!(brk.brk(GuestAddr(start - 1)).0, start);
        assert_eq!(brk.brk(GuestAddr(u64::MAX)).0, start);
        assert_eq!(brk.brk(GuestAddr(start + 5000)).0, start + 5000);
        let mut other = GuestBrk::new(GuestAddr(start - 8192));
        assert_eq!(other.brk(GuestAddr(start + 1)).0, start - 8192, "would run into the first area");
        assert_eq!(other.brk(GuestAddr(start)).0, start);
    }
}
