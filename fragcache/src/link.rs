//! Patching 4-byte fields of code while other threads execute it.
//!
//! A link is one relative displacement (`jmp rel32`, `jcc rel32`) or one absolute table address
//! (`jmp [table + index*8]`). Both the old and the new value of a field lead to correct code: the
//! stub of an exit goes to the dispatcher, which does what the link would have done. So a thread
//! that still executes the old bytes is late, never wrong. What must not happen is a *mixture* of
//! old and new bytes. The argument that it does not:
//!
//! 1. The field lies within one naturally aligned 8-byte word ([`fits`], asserted at each patch),
//!    and is written by one aligned atomic 8- or 4-byte store. AMD64 APM vol. 2, 7.3.2 guarantees
//!    that a store within a naturally aligned quadword is a single access; Intel SDM vol. 3, 9.1.1
//!    for aligned accesses.
//! 2. Instruction fetch on both vendors reads at least aligned 16-byte windows that are coherent
//!    with data writes, so a fetch sees the field before or after the store, not halves of both.
//!    Formally the manuals ask for a serialising instruction on the other processor before
//!    *modified* code runs; what they leave open is how long old bytes may be seen, which (see
//!    above) is harmless here, because opcode bytes never change.
//! 3. A thread that took a signal returns by `iret`, which serialises: after a fragment is parked
//!    from a signal handler the interrupted thread sees the parked exits at once.
//!
//! Memory that a link points to is not reused before every thread has left the cache once after
//! the link was removed (see [`crate::cache::Cache::reclaim`]).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// True when a 4-byte field at this address can be patched in one store.
pub const fn fits(address: usize) -> bool {
    address & 7 <= 4
}

/// Bytes of padding to insert before an instruction at `at` whose patched field begins `field`
/// bytes into it.
pub const fn padding(at: usize, field: usize) -> usize {
    let r = (at + field) & 7;
    if r <= 4 { 0 } else { 8 - r }
}

/// Stores a 4-byte field in one access.
///
/// # Safety
/// `field` must be writable code memory (the writable view), with its aligned 8-byte word inside
/// the same mapping, and no one else may write to that word at the same time (the cache's lock).
pub unsafe fn patch(field: *mut u8, value: u32) {
    let address = field as usize;
    assert!(fits(address), "a patched field crosses an 8-byte word");
    let offset = address & 7;
    if offset.is_multiple_of(4) {
        // SAFETY: aligned, writable by contract.
        unsafe { AtomicU32::from_ptr(field.cast()) }.store(value, Ordering::Release);
        return;
    }
    // SAFETY: the aligned word around the field is mapped by contract.
    let word = unsafe { AtomicU64::from_ptr((address & !7) as *mut u64) };
    let mut bytes = word.load(Ordering::Relaxed).to_le_bytes();
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    word.store(u64::from_le_bytes(bytes), Ordering::Release);
}

/// The displacement that makes a rel32 field at `field` refer to `target`; `None` out of reach.
pub fn displacement(field: usize, target: usize) -> Option<i32> {
    i32::try_from(target as i64 - (field as i64 + 4)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_that_fits_is_patched_alone() {
        for offset in 0..=4usize {
            let mut word = u64::MAX;
            // SAFETY: a local word, nobody else writes to it.
            unsafe { patch((&raw mut word).cast::<u8>().add(offset), 0) };
            let want = !(0xffff_ffffu64 << (offset * 8));
            assert_eq!(word, want, "offset {offset}");
        }
    }

    #[test]
    fn padding_makes_fields_fit() {
        for at in 0..64 {
            for field in 1..12 {
                let p = padding(at, field);
                assert!(p < 4 && fits(at + p + field));
            }
        }
    }
}
