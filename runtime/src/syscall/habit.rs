//! What became of forked children: did they soon execute another program?
//!
//! A forked child needs code memory of its own. Copying the parent's keeps everything that is in it, at some 0.8 ms for
//! a megabyte. A child that only sets up descriptors and executes a program does better with an empty cache, filled from the
//! store as it goes. Children of one process are alike, so the earlier ones decide for the next: a word that parent and children
//! share counts those that executed a program.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Children forked so far.
static FORKED: AtomicU32 = AtomicU32::new(0);
/// The word in which this process's children count; null before the first.
static CHILDREN: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// The word of the process that forked this one; null when there is none, or when it was told.
static PARENT: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

fn word(of: &AtomicPtr<AtomicU32>) -> Option<&'static AtomicU32> {
    let p = of.load(Ordering::Acquire);
    // SAFETY: a word in a shared page of ours that is never unmapped.
    (!p.is_null()).then(|| unsafe { &*p })
}

/// Before a fork: whether the child will hardly use the parent's code.
pub fn child_begins_anew() -> bool {
    let forked = FORKED.fetch_add(1, Ordering::Relaxed);
    match word(&CHILDREN) {
        Some(executed) => forked >= 2 && executed.load(Ordering::Relaxed) * 2 >= forked,
        None => {
            if let Ok(at) = crate::alloc::map_shared(std::mem::size_of::<AtomicU32>()) {
                CHILDREN.store(at as *mut AtomicU32, Ordering::Release);
            }
            false
        }
    }
}

/// In the child: it has none of its own yet.
pub fn is_child() {
    PARENT.store(CHILDREN.swap(std::ptr::null_mut(), Ordering::AcqRel), Ordering::Release);
    FORKED.store(0, Ordering::Relaxed);
}

/// This process is about to execute another program.
pub fn executes() {
    if let Some(executed) = word(&PARENT) {
        executed.fetch_add(1, Ordering::Relaxed);
        PARENT.store(std::ptr::null_mut(), Ordering::Release);
    }
}
