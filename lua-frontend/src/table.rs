//! Tables: an array part for keys 0 .. n and a chained hash part (Brent's variation, nodes in one block).
//!
//! Sizes follow the rules that make LuaJIT's tables look as they do to scripts: the array part grows to the largest
//! n such that more than half of the slots 1 .. n would be in use, its block has a slot 0, the hash part
//! has a power of two of nodes and is filled from the top, traversal goes through the array and then upwards through the nodes. So the border that
//! `#` finds and the order in which `pairs` meets keys agree with LuaJIT for numeric keys, and for programs that
//! do not depend on string hashes.
//!
//! None of the functions here calls metamethods or runs the collector. Those that store a reference do so through a
//! slot: the caller runs the write barrier ([`crate::gc::barrier_table`]).
//!
//! Contract of the unsafe code: `array` has `acap` slots of which the first `h.n` are initialised; `node` has
//! `hmask + 1` nodes or is the shared empty node, which is never written.

use std::cell::UnsafeCell;
use std::ptr;

use crate::heap::{Heap, Space, set_mark};
use crate::object::{BLACK, Header, Kind, Node, Str, Table};
use crate::value::{Gc, Value};

/// Most slots of an array part.
pub const MAX_ASIZE: u32 = (1 << 27) + 1;
/// Most bits of the hash part's size.
pub const MAX_HBITS: u32 = 26;

struct Shared(UnsafeCell<Node>);
// SAFETY: the node is never written.
unsafe impl Sync for Shared {}
static NIL_NODE: Shared =
    Shared(UnsafeCell::new(Node { val: Value::NIL, key: Value::NIL, next: ptr::null_mut() }));

/// The shared node of tables without hash part.
#[inline(always)]
pub fn nil_node() -> *mut Node {
    NIL_NODE.0.get()
}

/// A traversal position in the control slot of a `pairs` loop is this word plus the position: a denormal number that no
/// program uses as a key.
pub const POSITION: u64 = 0x0000_4b50_0000_0000;

/// Why a store into a table cannot be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// The key is nil.
    NilKey,
    /// The key is NaN.
    NanKey,
    /// More than the table can hold.
    Overflow,
    /// The system has no memory.
    Memory,
}

#[inline(always)]
fn rot_hash(mut lo: u32, mut hi: u32) -> u32 {
    lo ^= hi;
    hi = hi.rotate_left(14);
    lo = lo.wrapping_sub(hi);
    hi = hi.rotate_left(5);
    hi ^= lo;
    hi.wrapping_sub(lo.rotate_left(13))
}

/// If the number is an array index, that index.
#[inline(always)]
pub fn array_index(n: f64) -> Option<i32> {
    // SAFETY: the conversion is the machine's; out-of-range inputs give a value that fails the comparison below.
    let i = n as i32;
    if i as f64 == n { Some(i) } else { None }
}

impl Table {
    /// The node where the chain of a key begins.
    #[inline(always)]
    unsafe fn main_node(&self, key: Value) -> *mut Node {
        let h = if let Some(s) = key.as_str() {
            s.sid
        } else if key.is_number() {
            rot_hash(key.0 as u32, ((key.0 >> 32) as u32) << 1)
        } else if key.is_bool() {
            (key == Value::TRUE) as u32
        } else {
            let p = key.0 & crate::value::PTR_MASK;
            rot_hash(p as u32, (p >> 32) as u32)
        };
        // SAFETY: the index is masked.
        unsafe { self.node.add((h & self.hmask) as usize) }
    }

    /// The slot of a string key, or a nil value.
    #[inline(always)]
    pub fn get_str(&self, key: Gc<Str>) -> Value {
        // SAFETY: nodes of the chain are inside the block.
        unsafe {
            let k = Value::from(key);
            let mut n = self.node.add((key.sid & self.hmask) as usize);
            loop {
                if (*n).key == k {
                    return (*n).val;
                }
                n = (*n).next;
                if n.is_null() {
                    return Value::NIL;
                }
            }
        }
    }

    /// The slot of a string key if the key is present (its value may be nil).
    #[inline(always)]
    pub fn slot_str(&self, key: Gc<Str>) -> Option<*mut Value> {
        // SAFETY: nodes of the chain are inside the block. The shared empty node has key nil.
        unsafe {
            let k = Value::from(key);
            let mut n = self.node.add((key.sid & self.hmask) as usize);
            loop {
                if (*n).key == k {
                    return Some(&raw mut (*n).val);
                }
                n = (*n).next;
                if n.is_null() {
                    return None;
                }
            }
        }
    }

    /// The value at an integer key.
    #[inline(always)]
    pub fn get_int(&self, i: i32) -> Value {
        if (i as u32) < self.h.n {
            // SAFETY: inside the array part.
            unsafe { *self.array.add(i as usize) }
        } else if self.hmask == 0 && self.node == nil_node() {
            Value::NIL
        } else {
            // SAFETY: see `slot_any`.
            unsafe { self.slot_any(Value::raw_number(i as f64)).map_or(Value::NIL, |s| *s) }
        }
    }

    #[inline]
    unsafe fn slot_any(&self, key: Value) -> Option<*mut Value> {
        // SAFETY: nodes of the chain are inside the block.
        unsafe {
            let mut n = self.main_node(key);
            loop {
                if (*n).key == key {
                    return Some(&raw mut (*n).val);
                }
                n = (*n).next;
                if n.is_null() {
                    return None;
                }
            }
        }
    }

    /// The existing slot of any key.
    #[inline]
    pub fn slot(&self, key: Value) -> Option<*mut Value> {
        if let Some(s) = key.as_str() {
            return self.slot_str(s);
        }
        let mut key = key;
        if key.is_number() {
            if let Some(i) = array_index(key.raw_f64()) {
                if (i as u32) < self.h.n {
                    // SAFETY: inside the array part.
                    return Some(unsafe { self.array.add(i as usize) });
                }
                key = Value::raw_number(i as f64); // -0 becomes 0
            } else if key == Value::NAN {
                return None;
            }
        } else if key.is_nil() {
            return None;
        }
        // SAFETY: the key is neither nil nor NaN.
        unsafe { self.slot_any(key) }
    }

    /// The value of any key.
    #[inline]
    pub fn get(&self, key: Value) -> Value {
        // SAFETY: slots are inside the blocks.
        self.slot(key).map_or(Value::NIL, |s| unsafe { *s })
    }

    /// The border that `#` gives.
    pub fn len(&self) -> usize {
        let mut hi = self.h.n as usize;
        hi = hi.saturating_sub(1);
        // SAFETY: all indices stay below `h.n`.
        if hi > 0 && unsafe { (*self.array.add(hi)).is_nil() } {
            let mut lo = 0;
            while hi - lo > 1 {
                let mid = (lo + hi) >> 1;
                // SAFETY: see above.
                if unsafe { (*self.array.add(mid)).is_nil() } { hi = mid } else { lo = mid }
            }
            return lo;
        }
        if self.node == nil_node() { hi } else { self.len_hash(hi) }
    }

    /// True without a border above 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cold]
    fn len_hash(&self, start: usize) -> usize {
        let mut lo = start;
        let mut hi = start + 1;
        while !self.get_int(hi as i32).is_nil() {
            lo = hi;
            hi += hi;
            if hi > (i32::MAX - 2) as usize {
                lo = 1;
                while !self.get_int(lo as i32).is_nil() {
                    lo += 1;
                }
                return lo - 1;
            }
        }
        while hi - lo > 1 {
            let mid = (lo + hi) >> 1;
            if self.get_int(mid as i32).is_nil() { hi = mid } else { lo = mid }
        }
        lo
    }

    /// Position behind a key in the order of traversal; `None` if the key is not in the table.
    pub fn position(&self, key: Value) -> Option<u32> {
        if key.is_nil() {
            return Some(0);
        }
        if key.0 >> 32 == POSITION >> 32 {
            return Some(key.0 as u32);
        }
        if let Some(i) = key.as_number().and_then(array_index)
            && (i as u32) < self.h.n
        {
            return Some(i as u32 + 1);
        }
        let slot = self.slot(key)?;
        // SAFETY: a slot of a node is its first field.
        let i = unsafe { slot.cast::<Node>().offset_from(self.node) } as u32;
        Some(self.h.n + i + 1)
    }

    /// The next entry at or after a position, and the position behind it.
    #[inline]
    pub fn next_from(&self, pos: u32) -> Option<(u32, Value, Value)> {
        let n = self.h.n;
        let mut i = pos;
        // SAFETY: the positions are checked against both sizes.
        unsafe {
            while i < n {
                let v = *self.array.add(i as usize);
                if !v.is_nil() {
                    return Some((i + 1, Value::raw_number(i as f64), v));
                }
                i += 1;
            }
            i -= n;
            while i <= self.hmask {
                let node = self.node.add(i as usize);
                if !(*node).val.is_nil() {
                    return Some((n + i + 1, (*node).key, (*node).val));
                }
                i += 1;
            }
        }
        None
    }
}

/// Number of node bits for `n` entries; 0 nodes for none.
pub fn hash_bits(n: u32) -> u32 {
    match n {
        0 => 0,
        1 => 1,
        _ => 32 - (n - 1).leading_zeros(),
    }
}

/// Makes an empty table with room for keys below `asize` (0 for none) and `2^hbits` nodes (0 for none).
pub fn new(heap: &mut Heap, asize: u32, hbits: u32) -> Gc<Table> {
    let t: *mut Table = heap.alloc(Space::Object, size_of::<Table>()).cast();
    // SAFETY: a fresh cell of the right size.
    unsafe {
        t.write(Table {
            h: Header { kind: Kind::Table as u8, flags: 0, x: 0, y: 0, n: 0 },
            array: ptr::null_mut(),
            node: nil_node(),
            hmask: 0,
            acap: 0,
            meta: ptr::null_mut(),
            free: nil_node(),
        });
        if asize > 0 {
            grow_array(heap, t, asize);
        }
        if hbits > 0 {
            new_nodes(heap, t, hbits);
        }
    }
    Gc::from_ptr(t)
}

/// A block owned by a table must be marked if its owner may have been marked already.
unsafe fn adopt(t: *mut Table, block: *mut u8) {
    // SAFETY: both are live cells.
    unsafe {
        if crate::heap::is_marked(t.cast()) {
            set_mark(block);
        }
    }
}

unsafe fn new_nodes(heap: &mut Heap, t: *mut Table, hbits: u32) -> bool {
    let n = 1usize << hbits;
    let p: *mut Node = heap.alloc(Space::Object, n * size_of::<Node>()).cast();
    if p.is_null() {
        return false;
    }
    // SAFETY: the block has room for n nodes.
    unsafe {
        for i in 0..n {
            p.add(i).write(Node { val: Value::NIL, key: Value::NIL, next: ptr::null_mut() });
        }
        adopt(t, p.cast());
        (*t).node = p;
        (*t).hmask = n as u32 - 1;
        (*t).free = p.add(n);
    }
    true
}

unsafe fn grow_array(heap: &mut Heap, t: *mut Table, asize: u32) -> bool {
    // SAFETY: the new block has room for `asize` slots, the old one has `h.n`.
    unsafe {
        let old = (*t).h.n;
        if asize > (*t).acap {
            let p: *mut Value = heap.alloc(Space::Object, asize as usize * 8).cast();
            if p.is_null() {
                return false;
            }
            if old > 0 {
                ptr::copy_nonoverlapping((*t).array, p, old as usize);
            }
            if (*t).acap > 0 {
                heap.free_cell((*t).array.cast(), (*t).acap as usize * 8);
            }
            (*t).array = p;
            (*t).acap = asize;
            adopt(t, p.cast());
        }
        for i in old..asize {
            *(*t).array.add(i as usize) = Value::NIL;
        }
        (*t).h.n = asize;
    }
    true
}

/// A copy of a template.
pub fn dup(heap: &mut Heap, src: Gc<Table>) -> Gc<Table> {
    let t = new(heap, 0, 0);
    // SAFETY: the new blocks have the sizes of the old ones; the chain links move with the block.
    unsafe {
        let p = t.as_ptr();
        let n = src.h.n;
        if n > 0 {
            let array: *mut Value = heap.alloc(Space::Object, n as usize * 8).cast();
            if array.is_null() {
                return t; // The error follows at the next safe point.
            }
            ptr::copy_nonoverlapping(src.array, array, n as usize);
            ((*p).array, (*p).h.n, (*p).acap) = (array, n, n);
        }
        if src.node != nil_node() {
            let count = src.hmask as usize + 1;
            let nodes: *mut Node = heap.alloc(Space::Object, count * size_of::<Node>()).cast();
            if nodes.is_null() {
                return t;
            }
            let moved = (nodes as usize).wrapping_sub(src.node as usize);
            for i in 0..count {
                let from = &*src.node.add(i);
                let next = if from.next.is_null() { from.next } else { from.next.wrapping_byte_add(moved) };
                nodes.add(i).write(Node { val: from.val, key: from.key, next });
            }
            ((*p).node, (*p).hmask) = (nodes, src.hmask);
            (*p).free = src.free.wrapping_byte_add(moved);
        }
    }
    t
}

/// The slot of a key, which is made if absent.
///
/// # Errors
/// For nil and NaN keys and when the table cannot grow.
#[inline]
pub fn set_slot(heap: &mut Heap, t: Gc<Table>, key: Value) -> Result<*mut Value, TableError> {
    match t.slot(key) {
        Some(s) => Ok(s),
        None => new_key(heap, t, key),
    }
}

/// Makes a slot for a key that is not in the table.
///
/// # Errors
/// See [`set_slot`].
#[inline(never)]
pub fn new_key(heap: &mut Heap, t: Gc<Table>, key: Value) -> Result<*mut Value, TableError> {
    if key.is_nil() {
        return Err(TableError::NilKey);
    }
    if key == Value::NAN {
        return Err(TableError::NanKey);
    }
    let key = if key.is_number() { Value::raw_number(key.raw_f64() + 0.0) } else { key };
    let p = t.as_ptr();
    // SAFETY: all nodes touched are inside the block; see the module header.
    unsafe {
        let mut n = (*p).main_node(key);
        if !(*n).val.is_nil() || (*p).node == nil_node() {
            let base = (*p).node;
            let mut free = (*p).free;
            loop {
                if free == base || base == nil_node() {
                    rehash(heap, p, key)?;
                    return set_slot(heap, t, key);
                }
                free = free.sub(1);
                if (*free).key.is_nil() {
                    break;
                }
            }
            (*p).free = free;
            let mut other = (*p).main_node((*n).key);
            if other != n {
                // The node is taken by a key of another chain: move that key to the free node.
                while (*other).next != n {
                    other = (*other).next;
                }
                (*other).next = free;
                *free = *n;
                (*n).next = ptr::null_mut();
                (*n).val = Value::NIL;
                // Keys behind it whose chain begins here (they came while this node was dead) go to the new chain.
                let mut f = free;
                while !(*f).next.is_null() {
                    let nn = (*f).next;
                    if !(*nn).val.is_nil() && (*p).main_node((*nn).key) == n {
                        (*f).next = (*nn).next;
                        (*nn).next = (*n).next;
                        (*n).next = nn;
                    } else {
                        f = nn;
                    }
                }
            } else {
                (*free).next = (*n).next;
                (*n).next = free;
                n = free;
            }
        }
        (*n).key = key;
        Ok(&raw mut (*n).val)
    }
}

/// Bin of an integer key in the count of candidates for the array part.
fn bin(key: Value, bins: &mut [u32; 28]) -> u32 {
    if let Some(i) = key.as_number().and_then(array_index)
        && (i as u32) < MAX_ASIZE
    {
        let k = i as u32;
        bins[if k > 2 { 31 - (k - 1).leading_zeros() } else { 0 } as usize] += 1;
        return 1;
    }
    0
}

unsafe fn rehash(heap: &mut Heap, t: *mut Table, extra: Value) -> Result<(), TableError> {
    let mut bins = [0u32; 28];
    // SAFETY: indices stay inside the blocks.
    unsafe {
        let mut array = 0;
        if (*t).h.n > 0 {
            let (mut i, mut b) = (0u32, 0);
            while b < 28 {
                let mut top = 2u32 << b;
                if top >= (*t).h.n {
                    top = (*t).h.n - 1;
                    if i > top {
                        break;
                    }
                }
                let mut n = 0;
                while i <= top {
                    n += !(*(*t).array.add(i as usize)).is_nil() as u32;
                    i += 1;
                }
                bins[b] += n;
                array += n;
                b += 1;
            }
        }
        let mut total = 1 + array;
        let mut ints = array;
        if (*t).node != nil_node() {
            for i in 0..=(*t).hmask {
                let n = &*(*t).node.add(i as usize);
                if !n.val.is_nil() {
                    ints += bin(n.key, &mut bins);
                    total += 1;
                }
            }
        }
        ints += bin(extra, &mut bins);
        let (mut size, mut used, mut sum) = (0u32, 0, 0);
        for (b, &n) in bins.iter().enumerate() {
            if 2 * ints <= 1 << b || sum == ints {
                break;
            }
            if n > 0 {
                sum += n;
                if 2 * sum > 1 << b {
                    size = (2 << b) + 1;
                    used = sum;
                }
            }
        }
        resize(heap, Gc::from_ptr(t), size, hash_bits(total - used))
    }
}

/// Gives both parts new sizes and puts all entries in again.
///
/// # Errors
/// When the sizes are beyond the limits or the system has no memory; the table is unchanged then.
pub fn resize(heap: &mut Heap, t: Gc<Table>, asize: u32, hbits: u32) -> Result<(), TableError> {
    if asize > MAX_ASIZE || hbits > MAX_HBITS {
        return Err(TableError::Overflow);
    }
    let p = t.as_ptr();
    // SAFETY: the old blocks are kept until their entries have been moved.
    unsafe {
        (*p).h.y = (*p).h.y.wrapping_add(1);
        let (old_node, old_mask, old_free) = ((*p).node, (*p).hmask, (*p).free);
        let old_n = (*p).h.n;
        if asize > old_n && !grow_array(heap, p, asize) {
            return Err(TableError::Memory);
        }
        if hbits > 0 {
            if !new_nodes(heap, p, hbits) {
                ((*p).node, (*p).hmask, (*p).free) = (old_node, old_mask, old_free);
                return Err(TableError::Memory);
            }
        } else {
            ((*p).node, (*p).hmask, (*p).free) = (nil_node(), 0, nil_node());
        }
        if asize < old_n {
            (*p).h.n = asize;
            for i in asize..old_n {
                let v = *(*p).array.add(i as usize);
                if !v.is_nil() {
                    *set_slot(heap, t, Value::raw_number(i as f64))? = v;
                }
            }
            if asize == 0 || asize * 2 <= (*p).acap {
                shrink_array(heap, p);
            }
        }
        if old_node != nil_node() {
            for i in 0..=old_mask {
                let n = *old_node.add(i as usize);
                if !n.val.is_nil() {
                    *set_slot(heap, t, n.key)? = n.val;
                }
            }
            heap.free_cell(old_node.cast(), (old_mask as usize + 1) * size_of::<Node>());
        }
    }
    Ok(())
}

/// Moves the array part to a block of its size.
unsafe fn shrink_array(heap: &mut Heap, t: *mut Table) {
    // SAFETY: the new block has room for `h.n` slots.
    unsafe {
        let n = (*t).h.n;
        let (old, cap) = ((*t).array, (*t).acap);
        if n == 0 {
            (*t).array = ptr::null_mut();
        } else {
            let p: *mut Value = heap.alloc(Space::Object, n as usize * 8).cast();
            if p.is_null() {
                return;
            }
            ptr::copy_nonoverlapping(old, p, n as usize);
            adopt(t, p.cast());
            (*t).array = p;
        }
        (*t).acap = n;
        heap.free_cell(old.cast(), cap as usize * 8);
    }
}

/// Removes all entries and keeps the sizes (`table.clear`).
pub fn clear(t: Gc<Table>) {
    let p = t.as_ptr();
    // SAFETY: indices stay inside the blocks.
    unsafe {
        for i in 0..(*p).h.n {
            *(*p).array.add(i as usize) = Value::NIL;
        }
        if (*p).node != nil_node() {
            for i in 0..=(*p).hmask as usize {
                (*p).node.add(i).write(Node { val: Value::NIL, key: Value::NIL, next: ptr::null_mut() });
            }
            (*p).free = (*p).node.add((*p).hmask as usize + 1);
        }
    }
}

/// Is the table black, so that a store needs the barrier?
#[inline(always)]
pub fn is_black(t: Gc<Table>) -> bool {
    t.h.flags & BLACK != 0
}

/// Grows the array part so that keys up to `n` fit (`table.new`, `TSETM`).
///
/// # Errors
/// See [`resize`].
pub fn reserve_array(heap: &mut Heap, t: Gc<Table>, n: u32) -> Result<(), TableError> {
    if n < t.h.n {
        return Ok(());
    }
    let hbits = if t.node == nil_node() { 0 } else { 31 - (t.hmask + 1).leading_zeros() };
    resize(heap, t, n + 1, hbits)
}
