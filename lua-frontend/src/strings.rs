//! The interning table: every string exists once, so equality is identity.
//!
//! A hash table of chains through [`Str::next`]. The hash covers the whole contents and is seeded per state, so that
//! colliding inputs cannot be prepared; what scripts can observe (the order of `pairs`) rests on the serial
//! number of a string instead, which is deterministic.
//!
//! The table grows without a pause: while an old table is not empty, each insertion moves some of its chains to the new one
//! (but not while the collector sweeps).
//!
//! Contract of the unsafe code: chains hold live strings, or dead ones that the collector has not unlinked yet; those are
//! brought back to life when a lookup finds them ([`crate::gc`], phase *sweep strings*).

use std::ptr;

use crate::heap::{Heap, Space, is_marked, set_mark};
use crate::object::{Header, Kind, Str};
use crate::value::Gc;

/// Longest string.
pub const MAX_STR: usize = 0x7fff_ff00;

/// The table of all strings.
pub struct StringTable {
    /// Heads of the chains.
    buckets: Vec<*mut Str>,
    /// The table before it grew; empty if all chains have been moved.
    old: Vec<*mut Str>,
    /// Chains of the old table that have been moved.
    moved: usize,
    /// Number of strings.
    pub count: usize,
    /// Dead strings may still be in the chains from this bucket on; `usize::MAX` when not sweeping.
    pub sweep_pos: usize,
    next_sid: u32,
    seed: u64,
}

const K0: u64 = 0xa076_1d64_78bd_642f;
const K1: u64 = 0xe703_7ed1_a0b4_28db;

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let m = (a as u128).wrapping_mul(b as u128);
    m as u64 ^ (m >> 64) as u64
}

#[inline(always)]
fn word(s: &[u8], at: usize) -> u64 {
    let mut w = [0u8; 8];
    w.copy_from_slice(&s[at..at + 8]);
    u64::from_le_bytes(w)
}

/// Hash of the contents.
#[inline]
pub fn hash(s: &[u8], seed: u64) -> u32 {
    let n = s.len();
    let (a, b);
    if n >= 8 {
        let mut h = seed;
        let mut at = 0;
        while at + 16 < n {
            h = fold(word(s, at) ^ K0, word(s, at + 8) ^ h);
            at += 16;
        }
        if at + 8 < n {
            h = fold(word(s, at) ^ K0, h ^ K1);
        }
        a = word(s, n - 8);
        b = h;
    } else if n >= 4 {
        let lo = u32::from_le_bytes([s[0], s[1], s[2], s[3]]);
        let hi = u32::from_le_bytes([s[n - 4], s[n - 3], s[n - 2], s[n - 1]]);
        a = lo as u64 | (hi as u64) << 32;
        b = seed;
    } else if n > 0 {
        a = s[0] as u64 | (s[n >> 1] as u64) << 8 | (s[n - 1] as u64) << 16;
        b = seed;
    } else {
        a = 0;
        b = seed;
    }
    let m = fold(a ^ K1, b ^ K0 ^ n as u64);
    (m ^ m >> 32) as u32
}

impl StringTable {
    /// An empty table.
    pub fn new(seed: u64) -> StringTable {
        StringTable {
            buckets: vec![ptr::null_mut(); 1024],
            old: Vec::new(),
            moved: 0,
            count: 0,
            sweep_pos: usize::MAX,
            next_sid: 0,
            seed,
        }
    }

    /// The head of the chain for a hash.
    #[inline(always)]
    fn head(&mut self, h: u32) -> &mut *mut Str {
        if !self.old.is_empty() {
            let i = h as usize & (self.old.len() - 1);
            if i >= self.moved {
                return &mut self.old[i];
            }
        }
        let i = h as usize & (self.buckets.len() - 1);
        &mut self.buckets[i]
    }

    /// The string of these bytes.
    pub fn intern(&mut self, heap: &mut Heap, s: &[u8]) -> Gc<Str> {
        let h = hash(s, self.seed);
        // SAFETY: chains hold live or resurrectable strings; see the module header.
        unsafe {
            let mut p = *self.head(h);
            while !p.is_null() {
                if (*p).hash == h && (*p).bytes() == s {
                    if self.sweep_pos != usize::MAX && !is_marked(p.cast()) {
                        set_mark(p.cast());
                    }
                    return Gc::from_ptr(p);
                }
                p = (*p).next;
            }
            self.insert(heap, s, h)
        }
    }

    unsafe fn insert(&mut self, heap: &mut Heap, s: &[u8], h: u32) -> Gc<Str> {
        if s.len() > MAX_STR {
            heap.fail();
            return self.intern(heap, b"");
        }
        let p: *mut Str = heap.alloc(Space::Str, size_of::<Str>() + s.len() + 1).cast();
        if p.is_null() {
            return self.intern(heap, b"");
        }
        if self.sweep_pos == usize::MAX && (self.count >= self.buckets.len() || !self.old.is_empty()) {
            self.grow();
        }
        let head: *mut *mut Str = self.head(h);
        // SAFETY: a fresh cell with room for the header, the bytes and a zero.
        unsafe {
            p.write(Str {
                h: Header { kind: Kind::Str as u8, flags: 0, x: 0, y: 0, n: s.len() as u32 },
                hash: h,
                sid: self.next_sid,
                next: *head,
            });
            let data = p.add(1).cast::<u8>();
            ptr::copy_nonoverlapping(s.as_ptr(), data, s.len());
            *data.add(s.len()) = 0;
            if self.sweep_pos != usize::MAX {
                set_mark(p.cast());
            }
        }
        self.next_sid = self.next_sid.wrapping_add(1);
        // SAFETY: the head of a chain of this table, which has not changed since.
        unsafe { *head = p }
        self.count += 1;
        Gc::from_ptr(p)
    }

    /// Begins to grow, or moves some chains.
    #[cold]
    fn grow(&mut self) {
        /// Chains moved by an insertion; the table is moved long before it must grow again.
        const AT_ONCE: usize = 4;
        let n = self.buckets.len();
        if self.old.is_empty() {
            self.old = std::mem::replace(&mut self.buckets, vec![ptr::null_mut(); n * 2]);
            self.moved = 0;
        }
        let n = self.buckets.len();
        let end = (self.moved + AT_ONCE).min(self.old.len());
        for i in self.moved..end {
            let mut p = std::mem::replace(&mut self.old[i], ptr::null_mut());
            while !p.is_null() {
                // SAFETY: chains hold live strings outside of sweeps.
                unsafe {
                    let next = (*p).next;
                    let b = (*p).hash as usize & (n - 1);
                    (*p).next = self.buckets[b];
                    self.buckets[b] = p;
                    p = next;
                }
            }
        }
        self.moved = end;
        if end == self.old.len() {
            self.old = Vec::new();
        }
    }

    /// Unlinks the unmarked strings of up to `n` buckets; true when the whole table has been swept.
    pub fn sweep(&mut self, n: usize) -> bool {
        // First the old table, if there is one, then the new one.
        let (old, all) = (self.old.len(), self.old.len() + self.buckets.len());
        let end = (self.sweep_pos + n).min(all);
        for b in self.sweep_pos..end {
            // SAFETY: dead strings stay mapped until they are unlinked here.
            unsafe {
                let mut link: *mut *mut Str =
                    if b < old { &mut self.old[b] } else { &mut self.buckets[b - old] };
                while !(*link).is_null() {
                    let p = *link;
                    if is_marked(p.cast()) {
                        link = &raw mut (*p).next;
                    } else {
                        *link = (*p).next;
                        self.count -= 1;
                    }
                }
            }
        }
        self.sweep_pos = end;
        if end == all {
            self.sweep_pos = usize::MAX;
            return true;
        }
        false
    }
}
