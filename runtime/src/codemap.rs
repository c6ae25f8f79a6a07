//! Which guest memory is executable, and which pages of it are watched for writes.
//!
//! Only executable mappings are tracked; everything else is the kernel's business. A page that
//! fragments were made from and that the guest may write is *watched*: the host mapping loses its
//! write permission, the first write faults, the fragments are dropped, and the page is writable
//! again until code from it runs the next time. A page on which that happens too often becomes
//! *checked*: it stays writable and fragments from it compare their source bytes at entry.
//! Memory that is also mapped writable elsewhere (shared file mappings) is checked from the start.

use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// One executable mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRange {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Protection as the guest asked for it (`PROT_*`).
    pub prot: i32,
    /// A shared mapping, which can change through another address.
    pub shared: bool,
    /// The file it comes from, when its bytes are still those of the file.
    pub file: Option<crate::store::FileCode>,
}

/// How a page with code is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Write-protected in the host; the guest believes it can write.
    Protected,
    /// Left writable; its fragments check themselves.
    Checked,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    watch: Option<Watch>,
    writes: u32,
}

/// Writes to a page with code before its fragments check themselves.
const WRITES_BEFORE_CHECKS: u32 = 8;

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Changes whenever executable mappings change. Who keeps what it made from code looks again then.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// The map.
#[derive(Debug, Default)]
pub struct CodeMap {
    ranges: BTreeMap<u64, CodeRange>,
    pages: FxHashMap<u64, Page>,
    last: Option<CodeRange>,
}

impl CodeMap {
    /// The executable range that holds `pc`.
    pub fn range_at(&mut self, pc: u64) -> Option<CodeRange> {
        if let Some(r) = self.last
            && (r.start..r.end).contains(&pc)
        {
            return Some(r);
        }
        let r = *self.ranges.range(..=pc).next_back()?.1;
        if pc >= r.end {
            return None;
        }
        self.last = Some(r);
        Some(r)
    }

    /// Forgets `[start, end)`: unmapped, or no longer executable.
    pub fn remove(&mut self, start: u64, end: u64) {
        if end <= start {
            return;
        }
        GENERATION.fetch_add(1, Ordering::Release);
        self.last = None;
        let hit: Vec<CodeRange> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|(_, r)| r.end > start || r.start >= start)
            .map(|(_, r)| *r)
            .filter(|r| r.end > start)
            .collect();
        for r in hit {
            self.ranges.remove(&r.start);
            if r.start < start {
                self.ranges.insert(r.start, CodeRange { end: start, ..r });
            }
            if r.end > end {
                self.ranges.insert(end, CodeRange { start: end, ..r });
            }
        }
        if !self.pages.is_empty() {
            self.pages.retain(|&p, _| p << 12 < start || p << 12 >= end);
        }
    }

    /// A mapping is (again) executable with this protection.
    pub fn insert(&mut self, range: CodeRange) {
        self.remove(range.start, range.end);
        self.ranges.insert(range.start, range);
    }

    /// True when nothing in `[start, end)` is executable.
    pub fn is_clear(&self, start: u64, end: u64) -> bool {
        self.ranges.range(..end).next_back().is_none_or(|(_, r)| r.end <= start)
    }

    /// The ranges within `[start, end)`, cut to it.
    pub fn within(&self, start: u64, end: u64) -> Vec<CodeRange> {
        let mut v: Vec<CodeRange> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|(_, r)| r.end > start)
            .map(|(_, r)| CodeRange { start: r.start.max(start), end: r.end.min(end), ..*r })
            .collect();
        v.reverse();
        v
    }

    /// Fragments are about to be made from the page. Returns how they stay current: `None` when the
    /// page cannot change under us. Protects the page when that is the way.
    pub fn watch_for_code(&mut self, page: u64, range: CodeRange) -> Option<Watch> {
        if range.prot & libc::PROT_WRITE == 0 && !range.shared {
            return None;
        }
        let state = self.pages.entry(page).or_default();
        if let Some(w) = state.watch {
            return Some(w);
        }
        let w = if range.shared || state.writes >= WRITES_BEFORE_CHECKS {
            Watch::Checked
        } else {
            Watch::Protected
        };
        state.watch = Some(w);
        if w == Watch::Protected {
            set_protection(page << 12, (page + 1) << 12, range.prot & !libc::PROT_WRITE);
        }
        Some(w)
    }

    /// A write to a protected page: makes it writable again and counts. Returns `false` when the
    /// page is not protected by us. Sets `checked` from when on fragments check themselves.
    pub fn written(&mut self, page: u64) -> bool {
        let Some(range) = self.range_at(page << 12) else { return false };
        let Some(state) = self.pages.get_mut(&page) else { return false };
        if state.watch != Some(Watch::Protected) {
            return false;
        }
        state.watch = None;
        state.writes += 1;
        set_protection(page << 12, (page + 1) << 12, range.prot);
        true
    }

    /// Takes every protection away (before a system call writes to guest memory on its own);
    /// returns the pages.
    pub fn unprotect_all(&mut self) -> Vec<u64> {
        let pages: Vec<u64> =
            self.pages.iter().filter(|(_, p)| p.watch == Some(Watch::Protected)).map(|(&n, _)| n).collect();
        for &p in &pages {
            self.written(p);
        }
        pages
    }

    /// All pages that are protected, for the view of `/proc/self/maps`.
    pub fn protected_pages(&self) -> Vec<u64> {
        let mut v: Vec<u64> =
            self.pages.iter().filter(|(_, p)| p.watch == Some(Watch::Protected)).map(|(&n, _)| n).collect();
        v.sort_unstable();
        v
    }

    /// Protection as the guest sees it at an address with code.
    pub fn guest_prot(&self, at: u64) -> Option<i32> {
        let r = self.ranges.range(..=at).next_back()?.1;
        (at < r.end).then_some(r.prot)
    }
}

fn set_protection(start: u64, end: u64, prot: i32) {
    // Not through the C library's function, whose `int` becomes the kernel's `unsigned long` with
    // whatever stands in the upper half of the register.
    // SAFETY: changes only the protection of guest memory, to at most what the guest asked for.
    unsafe {
        libc::syscall(libc::SYS_mprotect, start, end - start, prot as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(start: u64, end: u64) -> CodeRange {
        CodeRange { start, end, prot: libc::PROT_READ | libc::PROT_EXEC, shared: false, file: None }
    }

    #[test]
    fn ranges_are_cut_and_found() {
        let mut m = CodeMap::default();
        m.insert(r(0x1000, 0x9000));
        m.remove(0x3000, 0x4000);
        assert_eq!(m.range_at(0x2fff).map(|r| (r.start, r.end)), Some((0x1000, 0x3000)));
        assert_eq!(m.range_at(0x3000), None);
        assert_eq!(m.range_at(0x4000).map(|r| (r.start, r.end)), Some((0x4000, 0x9000)));
        m.insert(r(0x2000, 0x5000));
        assert_eq!(m.within(0, u64::MAX).len(), 3);
        assert!(!m.is_clear(0x4fff, 0x5000));
        m.remove(0, 0x10000);
        assert!(m.is_clear(0, u64::MAX));
    }
}
