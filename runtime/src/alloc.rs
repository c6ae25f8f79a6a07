//! The runtime's heap: apart from the C library's, so that nothing of the guest's process life
//! (forks in threads, threads that the C library does not know) can find its locks held.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

/// The allocator: Doug Lea's algorithm (crate `dlmalloc`) on anonymous memory, behind one futex lock.
pub struct Heap {
    state: AtomicU32,
    inner: UnsafeCell<dlmalloc::Dlmalloc>,
}

// SAFETY: `inner` is only touched with the lock held.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { state: AtomicU32::new(0), inner: UnsafeCell::new(dlmalloc::Dlmalloc::new()) };

/// Holds the heap's lock; the copy in a forked child releases the child's.
pub struct HeapGuard(());

/// Takes the heap's lock, for the time of a `fork`. Nothing may be allocated meanwhile.
pub fn lock_for_fork() -> HeapGuard {
    HEAP.lock()
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
