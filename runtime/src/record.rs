//! Recording of hot paths: which blocks a trace will consist of.
//!
//! A recording follows one thread: from a hot head on, blocks are executed one basic block at a
//! time in private fragments, and the path they take is noted. It ends when the path returns to
//! its head, reaches another trace or a place already on it, gets too long, or needs the runtime.

use crate::translate::Step;
use fragcache::{FragId, GuestPc};

/// A path being recorded.
#[derive(Debug)]
pub struct Recording {
    /// The block whose counter ran out.
    pub head: FragId,
    /// Its address.
    pub pc: GuestPc,
    /// Blocks executed so far.
    pub steps: Vec<Step>,
    /// Guest instructions in them.
    pub instructions: usize,
    /// The private fragment that is being executed.
    pub current: Option<FragId>,
    /// The last block cannot be continued behind.
    pub stops: bool,
}

impl Recording {
    /// Begins at a head.
    pub fn new(head: FragId, pc: GuestPc) -> Recording {
        Recording { head, pc, steps: Vec::new(), instructions: 0, current: None, stops: false }
    }

    /// Execution arrived at `pc`. `is_end` says whether the path should end before it.
    pub fn arrive(&mut self, pc: GuestPc) {
        if let Some(last) = self.steps.last_mut() {
            last.next = pc;
        }
    }

    /// True when `pc` is on the path already.
    pub fn visited(&self, pc: GuestPc) -> bool {
        self.steps.iter().any(|s| s.pc == pc)
    }
}
