//! Recording of hot paths: which blocks a trace will consist of.
//!
//! A recording follows one thread: from a hot head on, blocks are executed one basic block at a
//! time in private fragments, and the path they take is noted. It ends when the path returns to
//! its head, reaches another trace or a place already on it, gets too long, or needs the runtime.

use crate::translate::{BlockEnd, BlockShape, Step};
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
    /// The last block cannot be in the trace.
    pub stops: bool,
    /// The trace ends behind the last block.
    pub ends: bool,
    /// Calls on the path that have not returned yet.
    pub depth: usize,
    /// The last block ends in a call: what follows is worth having in line even if it is a trace.
    pub called: bool,
}

impl Recording {
    /// Begins at a head.
    pub fn new(head: FragId, pc: GuestPc) -> Recording {
        Recording {
            head,
            pc,
            steps: Vec::new(),
            instructions: 0,
            current: None,
            stops: false,
            ends: false,
            depth: 0,
            called: false,
        }
    }

    /// Execution arrived at `pc`.
    pub fn arrive(&mut self, pc: GuestPc) {
        if let Some(last) = self.steps.last_mut() {
            last.next = pc;
        }
    }

    /// A basic block of this shape is executed next. A return is followed only when its call is on
    /// the path: then the return address is all but certain, while other returns have many targets.
    pub fn block(&mut self, pc: GuestPc, shape: BlockShape) {
        self.instructions += shape.instructions;
        self.called = shape.end == BlockEnd::Call;
        match shape.end {
            BlockEnd::Plain => {}
            BlockEnd::Call => self.depth += 1,
            BlockEnd::Return if self.depth > 0 => self.depth -= 1,
            BlockEnd::Return | BlockEnd::Select => self.ends = true,
            BlockEnd::Stop => self.stops = true,
        }
        self.steps.push(Step { pc, next: pc, instructions: shape.instructions });
    }

    /// True when `pc` is on the path already.
    pub fn visited(&self, pc: GuestPc) -> bool {
        self.steps.iter().any(|s| s.pc == pc)
    }
}
