//! Counters behind `--stats`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of events in the dispatcher.
#[derive(Debug, Default)]
pub struct Counts {
    /// Direct exits taken to the dispatcher.
    pub direct: AtomicU64,
    /// Indirect branches whose target was not in the table.
    pub misses: AtomicU64,
    /// System calls.
    pub syscalls: AtomicU64,
    /// Heads that got hot.
    pub hot: AtomicU64,
}

impl Counts {
    /// A forked child counts for itself.
    pub fn forked(&self) {
        for c in [&self.direct, &self.misses, &self.syscalls, &self.hot] {
            c.store(0, Ordering::Relaxed);
        }
    }
}
