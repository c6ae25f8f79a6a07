//! The heap: chunks of equal cells with mark bitmaps.
//!
//! Memory comes from the system in *chunks* of [`CHUNK`] bytes, aligned to their size, so that the chunk of any cell is
//! found by masking its address. A chunk serves one *size class*; objects above [`LARGE`] bytes have a chunk (a span of
//! pages) to themselves. One bit per 16 bytes says whether the cell that starts there is *marked*.
//!
//! Allocation pops a cell from the free list of its class. Free lists are made lazily: after a collection every
//! chunk is *unswept*, and the first allocation that finds its list empty sweeps the next chunk of its class, which
//! means linking the cells without a mark. Dead objects are never visited one by one: what needs an action at death
//! (strings leave the interning table, userdata drop their payload) is in lists of its own ([`crate::gc`]).
//!
//! Strings live in chunks apart, because their chunks may be swept only after the interning table has been.
//!
//! Contract of the unsafe code here: a cell belongs to exactly one of (free list, never handed out, owner); `free` is
//! called with the size that the cell was allocated with; nobody writes behind the size of the class.

use std::ptr;

/// Size and alignment of a chunk.
pub const CHUNK: usize = 256 * 1024;
/// Objects above this size have a chunk of their own.
pub const LARGE: usize = 32 * 1024;
/// Number of size classes.
pub const CLASSES: usize = 40;
const WORDS: usize = CHUNK / 16 / 64;

/// Sizes of the classes: steps of 16 up to 128, then four per doubling.
pub const CLASS_SIZE: [u32; CLASSES] = {
    let mut t = [0u32; CLASSES];
    let mut i = 0;
    while i < 8 {
        t[i] = 16 * (i as u32 + 1);
        i += 1;
    }
    while i < CLASSES {
        let octave = (i - 8) / 4;
        let step = (i - 8) % 4 + 1;
        t[i] = (128 << octave) + (32 << octave) * step as u32;
        i += 1;
    }
    t
};
const _: () = assert!(CLASS_SIZE[CLASSES - 1] as usize == LARGE);

/// The class of sizes up to 1024, by 16-byte steps.
const SMALL_CLASS: [u8; 65] = {
    let mut t = [0u8; 65];
    let mut n = 1;
    while n <= 64 {
        let mut c = 0;
        while (CLASS_SIZE[c] as usize) < n * 16 {
            c += 1;
        }
        t[n] = c as u8;
        n += 1;
    }
    t
};

/// The class that serves `size` bytes (at most [`LARGE`]).
#[inline(always)]
pub fn class_of(size: usize) -> usize {
    if size <= 1024 {
        SMALL_CLASS[(size + 15) >> 4] as usize
    } else {
        let octave = usize::BITS as usize - 1 - (size - 1).leading_zeros() as usize;
        8 + (octave - 7) * 4 + ((size - 1) >> (octave - 2) & 3)
    }
}

/// Which kind of objects a chunk holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Space {
    /// Everything but strings, and blocks owned by objects.
    Object = 0,
    /// Strings.
    Str = 1,
}

/// The head of a chunk.
#[repr(C)]
pub struct Chunk {
    /// Mark bits, one per 16 bytes of the chunk.
    pub mark: [u64; WORDS],
    /// Size of its cells.
    pub cell: u32,
    /// Class; [`CLASSES`] for a large object.
    pub class: u8,
    /// Space.
    pub space: Space,
    /// Waiting to be swept?
    pub unswept: bool,
    /// Offset behind the last cell ever handed to a free list.
    pub bump: u32,
    /// Bytes of the mapping.
    pub bytes: usize,
}

/// Offset of the first cell.
const FIRST: usize = (size_of::<Chunk>() + 15) & !15;

/// The chunk of a cell.
#[inline(always)]
pub fn chunk_of(p: *const u8) -> *mut Chunk {
    (p as usize & !(CHUNK - 1)) as *mut Chunk
}

/// Is the cell marked?
///
/// # Safety
/// `p` is the start of a live cell.
#[inline(always)]
pub unsafe fn is_marked(p: *const u8) -> bool {
    let i = (p as usize & (CHUNK - 1)) >> 4;
    // SAFETY: the chunk of a live cell is mapped.
    unsafe { (*chunk_of(p)).mark[i >> 6] >> (i & 63) & 1 != 0 }
}

/// Marks the cell; returns whether it was unmarked.
///
/// # Safety
/// `p` is the start of a live cell.
#[inline(always)]
pub unsafe fn set_mark(p: *const u8) -> bool {
    let i = (p as usize & (CHUNK - 1)) >> 4;
    // SAFETY: the chunk of a live cell is mapped.
    unsafe {
        let w = &mut (*chunk_of(p)).mark[i >> 6];
        let bit = 1u64 << (i & 63);
        let was = *w & bit == 0;
        *w |= bit;
        was
    }
}

/// Takes the mark away.
///
/// # Safety
/// `p` is the start of a live cell.
#[inline(always)]
pub unsafe fn clear_mark(p: *const u8) {
    let i = (p as usize & (CHUNK - 1)) >> 4;
    // SAFETY: the chunk of a live cell is mapped.
    unsafe { (*chunk_of(p)).mark[i >> 6] &= !(1u64 << (i & 63)) }
}

/// Bytes that the cell occupies.
///
/// # Safety
/// `p` is the start of a live cell.
#[inline(always)]
pub unsafe fn cell_bytes(p: *const u8) -> usize {
    // SAFETY: the chunk of a live cell is mapped.
    unsafe {
        let c = chunk_of(p);
        if (*c).class as usize == CLASSES { (*c).bytes } else { (*c).cell as usize }
    }
}

/// The heap.
#[repr(C)]
pub struct Heap {
    /// Free lists per space and class.
    pub free: [[*mut u8; CLASSES]; 2],
    /// Bytes in use, as far as known: grows with allocations, set to the live bytes by each collection.
    pub total: usize,
    /// The collector works when `total` exceeds this.
    pub threshold: usize,
    /// An allocation failed; the interpreter raises the error at the next safe point.
    pub oom: bool,
    /// String chunks may not be swept yet.
    pub strings_busy: bool,
    /// Current chunk that cells are carved from.
    current: [[*mut Chunk; CLASSES]; 2],
    /// Chunks to sweep.
    unswept: [[Vec<*mut Chunk>; CLASSES]; 2],
    /// All chunks with classes.
    pub chunks: Vec<*mut Chunk>,
    /// Chunks of large objects.
    pub large: Vec<*mut Chunk>,
    /// Empty chunks.
    pool: Vec<*mut Chunk>,
    /// Chunks set aside in a large heap, for what is allocated between a failure and the error that follows from it.
    reserve: Vec<*mut Chunk>,
    /// A page that takes writes after a failed allocation.
    sink: *mut u8,
}

/// Maps `bytes` (a multiple of the page size) aligned to [`CHUNK`]; null if the system refuses.
fn map_aligned(bytes: usize) -> *mut u8 {
    let Some(whole) = bytes.checked_add(CHUNK) else { return ptr::null_mut() };
    // SAFETY: a fresh anonymous mapping; the parts cut off are inside it.
    unsafe {
        let p = libc::mmap(
            ptr::null_mut(),
            whole,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if p == libc::MAP_FAILED {
            return ptr::null_mut();
        }
        let start = p as usize;
        let aligned = (start + CHUNK - 1) & !(CHUNK - 1);
        if aligned > start {
            libc::munmap(p, aligned - start);
        }
        let tail = start + whole - (aligned + bytes);
        if tail > 0 {
            libc::munmap((aligned + bytes) as *mut _, tail);
        }
        aligned as *mut u8
    }
}

impl Heap {
    /// An empty heap.
    pub fn new() -> Heap {
        Heap {
            free: [[ptr::null_mut(); CLASSES]; 2],
            total: 0,
            threshold: 256 * 1024,
            oom: false,
            strings_busy: false,
            current: [[ptr::null_mut(); CLASSES]; 2],
            unswept: std::array::from_fn(|_| std::array::from_fn(|_| Vec::new())),
            chunks: Vec::new(),
            large: Vec::new(),
            pool: Vec::new(),
            reserve: Vec::new(),
            sink: ptr::null_mut(),
        }
    }

    /// Allocates a cell of at least `size` bytes, 16-byte aligned, contents undefined. Never null: if the system has no
    /// memory, `oom` is set; a small request then ends the process only if not even a reserve page is left, a large one
    /// gives null (see [`Heap::alloc_large`]).
    #[inline(always)]
    pub fn alloc(&mut self, space: Space, size: usize) -> *mut u8 {
        if size > LARGE {
            return self.alloc_large(space, size);
        }
        let c = class_of(size);
        self.total += CLASS_SIZE[c] as usize;
        let p = self.free[space as usize][c];
        if p.is_null() {
            return self.refill(space, c);
        }
        // SAFETY: a free cell holds the link to the next one.
        self.free[space as usize][c] = unsafe { *p.cast::<*mut u8>() };
        p
    }

    /// Notes that an allocation has failed, and makes the next safe point see it.
    pub fn fail(&mut self) {
        self.oom = true;
        self.threshold = 0;
    }

    /// Allocates a large object; null (and `oom`) if the system refuses.
    #[cold]
    #[inline(never)]
    pub fn alloc_large(&mut self, space: Space, size: usize) -> *mut u8 {
        let Some(bytes) = size.checked_add(FIRST + 4095).map(|b| b & !4095) else {
            self.fail();
            return ptr::null_mut();
        };
        let m = map_aligned(bytes);
        if m.is_null() {
            self.fail();
            return ptr::null_mut();
        }
        let c: *mut Chunk = m.cast();
        // SAFETY: a fresh mapping, zeroed by the system, larger than the head.
        unsafe {
            (*c).cell = 0;
            (*c).class = CLASSES as u8;
            (*c).space = space;
            (*c).unswept = false;
            (*c).bytes = bytes;
            self.large.push(c);
            self.total += bytes;
            m.add(FIRST)
        }
    }

    /// Makes the free list of a class non-empty and pops from it.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, space: Space, class: usize) -> *mut u8 {
        let s = space as usize;
        if !(space == Space::Str && self.strings_busy) {
            while let Some(c) = self.unswept[s][class].pop() {
                self.sweep(c);
                let p = self.free[s][class];
                if !p.is_null() {
                    // SAFETY: a free cell holds the link to the next one.
                    self.free[s][class] = unsafe { *p.cast::<*mut u8>() };
                    return p;
                }
            }
        }
        let size = CLASS_SIZE[class] as usize;
        let mut c = self.current[s][class];
        // SAFETY: `current` chunks are mapped; cells between bump and end were never handed out.
        unsafe {
            if c.is_null() || (*c).bump as usize + size > CHUNK {
                c = self.new_chunk(space, class);
                if c.is_null() {
                    self.fail();
                    return self.emergency();
                }
                self.current[s][class] = c;
                if space == Space::Str && self.strings_busy {
                    (*c).unswept = true;
                    self.unswept[s][class].push(c);
                }
            }
            let base = c.cast::<u8>();
            let start = (*c).bump as usize;
            let batch = (4096 / size).max(1).min((CHUNK - start) / size);
            let mut next = ptr::null_mut::<u8>();
            for i in (1..batch).rev() {
                let p = base.add(start + i * size);
                *p.cast::<*mut u8>() = next;
                next = p;
            }
            self.free[s][class] = next;
            (*c).bump = (start + batch * size) as u32;
            base.add(start)
        }
    }

    /// The last resort of a small allocation: a page that is leaked for each such request.
    fn emergency(&mut self) -> *mut u8 {
        if self.sink.is_null() {
            self.sink = map_aligned(CHUNK);
        }
        if self.sink.is_null() {
            eprintln!("rjit: not enough memory");
            std::process::abort();
        }
        let c: *mut Chunk = self.sink.cast();
        self.sink = ptr::null_mut();
        // SAFETY: a fresh zeroed chunk of its own.
        unsafe {
            (*c).class = CLASSES as u8;
            (*c).bytes = CHUNK;
            self.large.push(c);
            c.cast::<u8>().add(FIRST)
        }
    }

    /// Keeps an empty chunk: in the reserve, if the heap is large and that is not full, else in the pool.
    fn keep(&mut self, c: *mut Chunk) {
        const RESERVE: usize = 12;
        const LARGE_HEAP: usize = 64;
        if self.chunks.len() >= LARGE_HEAP && self.reserve.len() < RESERVE {
            self.reserve.push(c);
        } else {
            self.pool.push(c);
        }
    }

    fn new_chunk(&mut self, space: Space, class: usize) -> *mut Chunk {
        let c = match self.pool.pop() {
            Some(c) => c,
            None => {
                const BATCH: usize = 16;
                let n = if self.chunks.len() < 64 { 4 } else { BATCH };
                let mut m = map_aligned(n * CHUNK);
                if m.is_null() {
                    m = map_aligned(CHUNK);
                } else {
                    for i in (1..n).rev() {
                        // SAFETY: inside the new mapping.
                        self.keep(unsafe { m.add(i * CHUNK) }.cast());
                    }
                }
                if m.is_null() {
                    let Some(c) = self.reserve.pop() else { return ptr::null_mut() };
                    self.fail();
                    m = c.cast();
                }
                m.cast()
            }
        };
        // SAFETY: the chunk is mapped and belongs to nobody.
        unsafe {
            (*c).mark = [0; WORDS];
            (*c).cell = CLASS_SIZE[class];
            (*c).class = class as u8;
            (*c).space = space;
            (*c).unswept = false;
            (*c).bump = FIRST as u32;
            (*c).bytes = CHUNK;
        }
        self.chunks.push(c);
        c
    }

    /// Gives a cell back at once.
    ///
    /// # Safety
    /// `p` was allocated with `size` and nobody refers to it any more.
    pub unsafe fn free_cell(&mut self, p: *mut u8, size: usize) {
        // SAFETY: by the caller's promise the cell is live and ours.
        unsafe {
            let c = chunk_of(p);
            if size > LARGE {
                self.total = self.total.saturating_sub((*c).bytes);
                if let Some(i) = self.large.iter().rposition(|&x| x == c) {
                    self.large.swap_remove(i);
                }
                libc::munmap(c.cast(), (*c).bytes);
                return;
            }
            let class = (*c).class as usize;
            if class == CLASSES {
                return; // From `emergency`: the collector takes it.
            }
            self.total = self.total.saturating_sub((*c).cell as usize);
            clear_mark(p);
            if !(*c).unswept {
                let s = (*c).space as usize;
                *p.cast::<*mut u8>() = self.free[s][class];
                self.free[s][class] = p;
            }
        }
    }

    /// Links the unmarked cells of a chunk into the free list of its class.
    fn sweep(&mut self, c: *mut Chunk) {
        // SAFETY: chunks in `unswept` are mapped; unmarked cells below `bump` belong to nobody.
        unsafe {
            (*c).unswept = false;
            let size = (*c).cell as usize;
            let (s, class) = ((*c).space as usize, (*c).class as usize);
            let base = c.cast::<u8>();
            let mut head = self.free[s][class];
            let mut at = FIRST;
            // Cells that were never carved are free too, unless the chunk still is the one to carve from.
            let end = if self.current[s][class] == c { (*c).bump as usize } else { CHUNK - size + 1 };
            let mark = &(*c).mark;
            while at < end {
                let i = at >> 4;
                if mark[i >> 6] >> (i & 63) & 1 == 0 {
                    let p = base.add(at);
                    *p.cast::<*mut u8>() = head;
                    head = p;
                }
                at += size;
            }
            (*c).bump = (*c).bump.max(at as u32);
            self.free[s][class] = head;
        }
    }

    /// Forgets all free lists and queues every chunk for sweeping; frees dead large objects and empty chunks.
    /// Called when marking has finished.
    pub fn begin_sweep(&mut self) {
        self.free = [[ptr::null_mut(); CLASSES]; 2];
        for s in &mut self.unswept {
            for v in s {
                v.clear();
            }
        }
        let mut kept = Vec::with_capacity(self.chunks.len());
        let mut empty = Vec::new();
        for &c in &self.chunks {
            // SAFETY: listed chunks are mapped.
            unsafe {
                let current = self.current[(*c).space as usize][(*c).class as usize] == c;
                if !current && (*c).mark.iter().all(|&w| w == 0) && (*c).space == Space::Object {
                    empty.push(c);
                    continue;
                }
                (*c).unswept = true;
                self.unswept[(*c).space as usize][(*c).class as usize].push(c);
            }
            kept.push(c);
        }
        self.chunks = kept;
        for c in empty {
            self.keep(c);
        }
    }

    /// Gives up to `n` empty chunks back to the system, unless they are few. Each costs some microseconds.
    pub fn release_some(&mut self, n: usize) {
        const KEPT: usize = 16;
        for _ in 0..n.min(self.pool.len().saturating_sub(KEPT)) {
            if let Some(c) = self.pool.pop() {
                // SAFETY: a pooled chunk belongs to nobody.
                unsafe { libc::munmap(c.cast(), CHUNK) };
            }
        }
    }

    /// The interning table has been swept: string chunks may be. Cells that were carved meanwhile and not used are
    /// unmarked in chunks that wait to be swept, where they will be found again.
    pub fn strings_swept(&mut self) {
        self.strings_busy = false;
        self.free[Space::Str as usize] = [ptr::null_mut(); CLASSES];
    }

    /// Frees the large objects of a space that carry no mark.
    pub fn sweep_large(&mut self, space: Space) {
        self.large.retain(|&c| {
            // SAFETY: listed chunks are mapped; an unmarked one is dead.
            unsafe {
                let first = c.cast::<u8>().add(FIRST);
                if (*c).space != space || is_marked(first) {
                    return true;
                }
                libc::munmap(c.cast(), (*c).bytes);
                false
            }
        });
    }

    /// Sweeps up to `n` waiting chunks of objects; true when none is left.
    pub fn sweep_some(&mut self, n: usize) -> bool {
        let mut n = n;
        for s in [Space::Object as usize, Space::Str as usize] {
            for class in 0..CLASSES {
                while let Some(c) = self.unswept[s][class].pop() {
                    self.sweep(c);
                    n -= 1;
                    if n == 0 {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Clears all marks (start of a full cycle). Chunks that still wait to be swept must not be until the marks are
    /// complete again; their garbage stays for the coming sweep.
    pub fn clear_marks(&mut self) {
        for v in self.unswept.iter_mut().flatten() {
            v.clear();
        }
        for &c in self.chunks.iter().chain(&self.large) {
            // SAFETY: listed chunks are mapped.
            unsafe {
                (*c).mark = [0; WORDS];
                (*c).unswept = false;
            }
        }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for &c in self.chunks.iter().chain(&self.large) {
            // SAFETY: listed chunks are mapped and the heap goes away with all its objects.
            unsafe { libc::munmap(c.cast(), (*c).bytes) };
        }
        for &c in self.pool.iter().chain(&self.reserve) {
            // SAFETY: as above; empty chunks have one size.
            unsafe { libc::munmap(c.cast(), CHUNK) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_sizes() {
        for size in 1..=LARGE {
            let c = class_of(size);
            assert!(CLASS_SIZE[c] as usize >= size, "{size}");
            assert!(c == 0 || (CLASS_SIZE[c - 1] as usize) < size, "{size}");
        }
    }

    #[test]
    fn unmarked_cells_come_back() {
        let mut h = Heap::new();
        let cells: Vec<_> = (0..10_000).map(|_| h.alloc(Space::Object, 48)).collect();
        for (i, &p) in cells.iter().enumerate() {
            if i % 2 == 0 {
                // SAFETY: a live cell.
                unsafe { set_mark(p) };
            }
        }
        h.begin_sweep();
        let kept: std::collections::HashSet<_> = cells.iter().step_by(2).collect();
        for _ in 0..20_000 {
            assert!(!kept.contains(&h.alloc(Space::Object, 48)));
        }
    }
}
