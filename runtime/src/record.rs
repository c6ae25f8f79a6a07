//! Recording of hot paths: which blocks a trace will consist of.
//!
//! A recording follows one thread: from a hot head on, blocks are executed one basic block at a
//! time in private fragments, and the path they take is noted. It ends when the path returns to
//! its head, reaches another trace or a place already on it (but for calls that have returned), gets too long, or needs the runtime.
//!
//! A head is hot because something jumps back to it. When the path comes to such a branch and this time it is not taken, the recording happened to
//! begin in the last iteration: what follows is the way out of the loop, a bad trace for a hot head. Then the recording is given up and
//! repeated a few arrivals later, [`RETRIES`] times at most; a path that leaves each time is taken as it is.

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
    /// By block: the call that it belongs to.
    calls: Vec<u32>,
    /// Calls that have not returned yet, innermost last; 0 is what the path began in.
    active: Vec<u32>,
    /// Calls so far.
    made: u32,
    /// The last block ends in a call: what follows is worth having in line even if it is a trace.
    pub called: bool,
    /// The last block ends in a branch to the head.
    latch: bool,
}

/// Recordings of one head that may be given up because the path left the loop.
pub const RETRIES: u8 = 5;

/// Arrivals until the next one: few, and not what divides usual trip counts.
pub const RETRY_AFTER: u32 = 7;

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
            calls: Vec::new(),
            active: vec![0],
            made: 0,
            called: false,
            latch: false,
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
        self.latch = shape.branch == Some(self.pc);
        self.calls.push(self.active.last().copied().unwrap_or(0));
        match shape.end {
            BlockEnd::Call => {
                self.made += 1;
                self.active.push(self.made);
            }
            BlockEnd::Return if self.depth > 0 => {
                self.active.pop();
            }
            _ => {}
        }
        match shape.end {
            BlockEnd::Plain => {}
            BlockEnd::Call => self.depth += 1,
            BlockEnd::Return if self.depth > 0 => self.depth -= 1,
            BlockEnd::Return | BlockEnd::Select => self.ends = true,
            BlockEnd::Stop => self.stops = true,
        }
        self.steps.push(Step { pc, next: pc, instructions: shape.instructions });
    }

    /// Has the path just come to a branch back to its head, and gone on to `pc` instead?
    pub fn leaves_loop(&self, pc: GuestPc) -> bool {
        self.latch && pc != self.pc
    }

    /// True when `pc` is on the path already, in what is being executed: a loop or a recursion. In a call that has returned it does
    /// not count: a short function that is called twice stands in the trace twice.
    pub fn visited(&self, pc: GuestPc) -> bool {
        self.steps.iter().zip(&self.calls).any(|(s, call)| s.pc == pc && self.active.contains(call))
    }
}
