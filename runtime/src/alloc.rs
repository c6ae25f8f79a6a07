//! The runtime's heap: apart from the C library's, so that nothing of the guest's process life
//! (forks in threads, threads that the C library does not know) can find its locks held.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

/// The allocator: Doug Lea's algorithm (crate `dlmalloc`) on anonymous memory, behind one futex lock.
pub struct Heap {
    state: AtomicU32,
    inner: UnsafeCell<dlmalloc::Dlmalloc<Pages>>,
}

// SAFETY: `inner` is only touched with the lock held.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap =
    Heap { state: AtomicU32::new(0), inner: UnsafeCell::new(dlmalloc::Dlmalloc::new_with_allocator(Pages)) };

/// Holds the heap's lock; the copy in a forked child releases the child's.
pub struct HeapGuard(());

/// Takes the heap's lock, for the time of a `fork`. Nothing may be allocated meanwhile.
pub fn lock_for_fork() -> HeapGuard {
    HEAP.lock()
}

/// Where the heap gets its memory: anonymous mappings, noted in [`RANGES`], because the guest must
/// not see them.
struct Pages;

/// The heap's mappings, neighbours joined. Read and written with the heap's lock held; when it is
/// full, further mappings are not noted, which only makes them visible.
struct Ranges(UnsafeCell<([(usize, usize); MOST_RANGES], usize)>);

// SAFETY: only touched with the heap's lock held.
unsafe impl Sync for Ranges {}

const MOST_RANGES: usize = 256;
static RANGES: Ranges = Ranges(UnsafeCell::new(([(0, 0); MOST_RANGES], 0)));

/// The address ranges of the heap.
pub fn ranges() -> Vec<(u64, u64)> {
    // Room is made before the lock is taken: making it may change the list.
    let mut v = Vec::with_capacity(MOST_RANGES);
    let _guard = HEAP.lock();
    RANGES.with(|list, n| v.extend(list[..*n].iter().map(|r| (r.0 as u64, r.1 as u64))));
    v
}

/// Whether any of the heap's memory lies in `[start, end)`.
pub fn holds(start: u64, end: u64) -> bool {
    let _guard = HEAP.lock();
    RANGES.with(|list, n| list[..*n].iter().any(|r| (r.0 as u64) < end && start < r.1 as u64))
}

impl Ranges {
    /// Gives `f` the list and how much of it is used.
    fn with<R>(&self, f: impl FnOnce(&mut [(usize, usize); MOST_RANGES], &mut usize) -> R) -> R {
        // SAFETY: exclusive by the heap's lock, which whoever uses the list holds; `f` does not
        // allocate.
        let (list, n) = unsafe { &mut *self.0.get() };
        f(list, n)
    }

    fn add(&self, start: usize, end: usize) {
        self.with(|list, n| {
            for r in &mut list[..*n] {
                if r.1 == start {
                    r.1 = end;
                    return;
                }
                if r.0 == end {
                    r.0 = start;
                    return;
                }
            }
            if *n < MOST_RANGES {
                list[*n] = (start, end);
                *n += 1;
            }
        });
    }

    fn remove(&self, start: usize, end: usize) {
        self.with(|list, n| {
            let mut i = 0;
            while i < *n {
                let r = list[i];
                if r.1 <= start || end <= r.0 {
                    i += 1;
                    continue;
                }
                match (r.0 < start, end < r.1) {
                    (true, true) => {
                        list[i].1 = start;
                        if *n < MOST_RANGES {
                            list[*n] = (end, r.1);
                            *n += 1;
                        }
                    }
                    (true, false) => list[i].1 = start,
                    (false, true) => list[i].0 = end,
                    (false, false) => {
                        *n -= 1;
                        list[i] = list[*n];
                        continue;
                    }
                }
                i += 1;
            }
        });
    }
}

// SAFETY: hands out fresh mappings and takes back only those; sizes are what was asked for.
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), size, prot, flags, -1, 0) };
        if p == libc::MAP_FAILED {
            return (std::ptr::null_mut(), 0, 0);
        }
        RANGES.add(p as usize, p as usize + size);
        (p.cast(), size, 0)
    }
    fn remap(&self, p: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: a mapping of the heap's.
        let moved = unsafe { libc::mremap(p.cast(), old, new, flags) };
        if moved == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        RANGES.remove(p as usize, p as usize + old);
        RANGES.add(moved as usize, moved as usize + new);
        moved.cast()
    }
    fn free_part(&self, p: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the end of a mapping of the heap's, no longer used.
        if unsafe { libc::munmap(p.add(new).cast(), old - new) } != 0 {
            return false;
        }
        RANGES.remove(p as usize + new, p as usize + old);
        true
    }
    fn free(&self, p: *mut u8, size: usize) -> bool {
        // SAFETY: a mapping of the heap's, no longer used.
        if unsafe { libc::munmap(p.cast(), size) } != 0 {
            return false;
        }
        RANGES.remove(p as usize, p as usize + size);
        true
    }
    fn can_release_part(&self, _flags: u32) -> bool {
        true
    }
    fn allocates_zeros(&self) -> bool {
        true
    }
    fn page_size(&self) -> usize {
        4096
    }
}

impl Heap {
    fn lock(&self) -> HeapGuard {
        let mut spins = 0;
        while self.state.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spins += 1;
            if spins > 100 {
                // SAFETY: yields the processor.
                unsafe { libc::sched_yield() };
            }
            std::hint::spin_loop();
        }
        HeapGuard(())
    }
}

impl Drop for HeapGuard {
    fn drop(&mut self) {
        HEAP.state.store(0, Ordering::Release);
    }
}

// SAFETY: dlmalloc implements the contract; the lock makes it usable from several threads.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        let _guard = self.lock();
        // SAFETY: exclusive by the lock.
        unsafe { (*self.inner.get()).malloc(l.size(), l.align()) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        let _guard = self.lock();
        // SAFETY: exclusive by the lock; `p` came from here.
        unsafe { (*self.inner.get()).free(p, l.size(), l.align()) }
    }
    unsafe fn alloc_zeroed(&self, l: Layout) -> *mut u8 {
        let _guard = self.lock();
        // SAFETY: exclusive by the lock.
        unsafe { (*self.inner.get()).calloc(l.size(), l.align()) }
    }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, size: usize) -> *mut u8 {
        let _guard = self.lock();
        // SAFETY: exclusive by the lock; `p` came from here.
        unsafe { (*self.inner.get()).realloc(p, l.size(), l.align(), size) }
    }
}
