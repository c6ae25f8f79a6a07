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

/// Address space of ours, reserved in large pieces from which the heap and [`map`] are served.
///
/// Memory of ours must not appear in a hole that the guest has just made by `munmap`: the guest may
/// rightly map something there again with `MAP_FIXED`. So it comes from reservations, which also
/// makes it known what is ours. Address space is never given back; memory is.
struct Arena(UnsafeCell<ArenaState>);

// SAFETY: only touched with the heap's lock held.
unsafe impl Sync for Arena {}

struct ArenaState {
    /// Reservations, the last one is in use.
    reserved: [(usize, usize); MOST_RESERVATIONS],
    count: usize,
    /// First byte that was never given out.
    next: usize,
    /// First byte that is not accessible yet.
    ready: usize,
    /// Pieces that [`unmap`] took back: address and size.
    free: [(usize, usize); MOST_FREE],
    free_count: usize,
}

const MOST_RESERVATIONS: usize = 16;
const MOST_FREE: usize = 512;
/// Sizes of a reservation, tried in this order: a limit on address space may forbid the large ones.
const RESERVATIONS: [usize; 4] = [16 << 30, 1 << 30, 128 << 20, 16 << 20];
/// Memory is made accessible in steps of this many bytes.
const STEP: usize = 1 << 20;
const PAGE: usize = 4096;
/// Where reservations are asked for: below where the kernel places libraries, because the code cache wants the room
/// beside them, and in that part of the address space where the sanitizers expect libraries. (They take most of the rest by
/// force: ThreadSanitizer 0x3400_0000_0000 to 0x5500_0000_0000 and 0x5680_0000_0000 to 0x7e80_0000_0000.) The kernel takes
/// another place when one is taken.
const HINT: usize = 0x7e90_0000_0000;
/// The grain in which the place is random, and how many places there are.
const GRAIN: usize = 1 << 30;
const PLACES: usize = 256;

static ARENA: Arena = Arena(UnsafeCell::new(ArenaState {
    reserved: [(0, 0); MOST_RESERVATIONS],
    count: 0,
    next: 0,
    ready: 0,
    free: [(0, 0); MOST_FREE],
    free_count: 0,
}));

impl Arena {
    /// Gives `f` the state.
    fn with<R>(&self, f: impl FnOnce(&mut ArenaState) -> R) -> R {
        // SAFETY: exclusive by the heap's lock, which whoever uses it holds; `f` does not allocate.
        f(unsafe { &mut *self.0.get() })
    }
}

/// A place for a reservation, random unless the process has fixed addresses (`setarch -R`).
fn hint() -> usize {
    /// Asks `personality` what it is.
    const ASK: libc::c_ulong = 0xffff_ffff;
    // SAFETY: asks only; the kernel put sixteen random bytes at the address it gave.
    unsafe {
        let random = libc::getauxval(libc::AT_RANDOM) as *const usize;
        if random.is_null() || libc::personality(ASK) & libc::ADDR_NO_RANDOMIZE != 0 {
            return HINT;
        }
        HINT + random.read_unaligned() % PLACES * GRAIN
    }
}

impl ArenaState {
    fn end(&self) -> usize {
        if self.count == 0 { 0 } else { self.reserved[self.count - 1].1 }
    }

    fn reserve(&mut self, least: usize) -> bool {
        if self.count == MOST_RESERVATIONS {
            return false;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        for size in RESERVATIONS.into_iter().filter(|&s| s >= least).chain([least]) {
            let hint = hint() as *mut libc::c_void;
            // SAFETY: a new reservation; a hint replaces nothing.
            let p = unsafe { libc::mmap(hint, size, libc::PROT_NONE, flags, -1, 0) };
            if p != libc::MAP_FAILED {
                self.reserved[self.count] = (p as usize, p as usize + size);
                self.count += 1;
                (self.next, self.ready) = (p as usize, p as usize);
                return true;
            }
        }
        false
    }

    /// Fresh zeroed pages.
    fn take(&mut self, size: usize) -> Option<usize> {
        let size = size.next_multiple_of(PAGE);
        if self.end() - self.next < size && !self.reserve(size) {
            return None;
        }
        let at = self.next;
        if at + size > self.ready {
            let to = (at + size).next_multiple_of(STEP).min(self.end());
            if !protect(self.ready, to, libc::PROT_READ | libc::PROT_WRITE)
                && !protect(self.ready, at + size, libc::PROT_READ | libc::PROT_WRITE)
            {
                return None;
            }
            self.ready = to.max(at + size);
        }
        self.next = at + size;
        Some(at)
    }
}

fn protect(start: usize, end: usize, prot: i32) -> bool {
    // SAFETY: pages of our own reservation.
    unsafe { libc::mprotect(start as *mut libc::c_void, end - start, prot) == 0 }
}

/// The address ranges that are ours.
pub fn ranges() -> Vec<(u64, u64)> {
    // Room is made before the lock is taken.
    let mut v = Vec::with_capacity(MOST_RESERVATIONS);
    let _guard = HEAP.lock();
    ARENA.with(|a| v.extend(a.reserved[..a.count].iter().map(|r| (r.0 as u64, r.1 as u64))));
    v
}

/// Whether any memory of ours lies in `[start, end)`.
pub fn holds(start: u64, end: u64) -> bool {
    let _guard = HEAP.lock();
    ARENA.with(|a| a.reserved[..a.count].iter().any(|r| (r.0 as u64) < end && start < r.1 as u64))
}

/// Zeroed pages, readable and writable, for stacks and thread records.
pub fn map(size: usize) -> std::io::Result<usize> {
    let size = size.next_multiple_of(PAGE);
    let _guard = HEAP.lock();
    let old = ARENA.with(|a| {
        let i = a.free[..a.free_count].iter().position(|f| f.1 == size)?;
        let at = a.free[i].0;
        a.free_count -= 1;
        a.free[i] = a.free[a.free_count];
        Some(at)
    });
    if let Some(at) = old
        && protect(at, at + size, libc::PROT_READ | libc::PROT_WRITE)
    {
        return Ok(at);
    }
    ARENA.with(|a| a.take(size)).ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Takes back what [`map`] gave.
pub fn unmap(at: usize, size: usize) {
    let size = size.next_multiple_of(PAGE);
    let _guard = HEAP.lock();
    // SAFETY: pages of our own that the caller no longer uses; the kernel drops their contents.
    unsafe { libc::madvise(at as *mut libc::c_void, size, libc::MADV_DONTNEED) };
    protect(at, at + size, libc::PROT_NONE);
    ARENA.with(|a| {
        if a.free_count < MOST_FREE {
            a.free[a.free_count] = (at, size);
            a.free_count += 1;
        }
    });
}

/// The contents of a file, mapped for ever among our memory. They must not change, which the caller knows.
pub fn map_file(fd: i32, size: usize) -> Option<&'static [u8]> {
    if size == 0 {
        return None;
    }
    let at = map(size).ok()?;
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    // SAFETY: replaces fresh pages of our own, which nobody else knows; they stay mapped.
    unsafe {
        let p = libc::mmap(at as *mut libc::c_void, size, libc::PROT_READ, flags, fd, 0);
        if p == libc::MAP_FAILED { None } else { Some(std::slice::from_raw_parts(at as *const u8, size)) }
    }
}

/// Contents that [`map_file`] gave are not needed for now: they do not count as memory in use until they are read again.
pub fn let_go(contents: &'static [u8]) {
    // SAFETY: a mapping of a file that is only read; the kernel reads the same contents again.
    unsafe { libc::madvise(contents.as_ptr() as *mut libc::c_void, contents.len(), libc::MADV_DONTNEED) };
}

/// Likewise the program's own code and constants: most of what was touched by now is needed at the start only.
/// A debugger's breakpoints in it are lost.
pub fn let_start_go() {
    unsafe extern "C" {
        static __ehdr_start: u8;
        static etext: u8;
    }
    let (start, end) = (&raw const __ehdr_start as usize, &raw const etext as usize & !(PAGE - 1));
    // SAFETY: pages of our own file, which nothing ever writes; the kernel reads them again when they are needed.
    unsafe { libc::madvise(start as *mut libc::c_void, end.saturating_sub(start), libc::MADV_DONTNEED) };
}

/// Zeroed memory, for ever, that a forked child shares with its parent.
pub fn map_shared(size: usize) -> std::io::Result<usize> {
    let size = size.next_multiple_of(PAGE);
    let at = map(size)?;
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: replaces fresh pages of our own, which nobody else knows.
    let p = unsafe { libc::mmap(at as *mut libc::c_void, size, prot, flags, -1, 0) };
    if p == libc::MAP_FAILED { Err(std::io::Error::last_os_error()) } else { Ok(at) }
}

/// Where the heap gets its memory.
struct Pages;

// SAFETY: hands out fresh pages of the arena, and keeps them.
unsafe impl dlmalloc::Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        match ARENA.with(|a| a.take(size)) {
            Some(at) => (at as *mut u8, size, 0),
            None => (std::ptr::null_mut(), 0, 0),
        }
    }
    fn remap(&self, _p: *mut u8, _old: usize, _new: usize, _can_move: bool) -> *mut u8 {
        std::ptr::null_mut()
    }
    fn free_part(&self, _p: *mut u8, _old: usize, _new: usize) -> bool {
        false
    }
    fn free(&self, _p: *mut u8, _size: usize) -> bool {
        false
    }
    fn can_release_part(&self, _flags: u32) -> bool {
        false
    }
    fn allocates_zeros(&self) -> bool {
        true
    }
    fn page_size(&self) -> usize {
        PAGE
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
