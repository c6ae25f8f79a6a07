//! Recording of hot paths: which blocks a trace will consist of.
//!
//! A recording follows one thread: from a hot head on, blocks are executed one basic block at a
//! time in private fragments, and the path they take is noted. It ends when the path returns to
//! its head, reaches another trace or a place already on it (but for calls that have returned, and recursions up to some depth), gets too
//! long, or needs the runtime.
//!
//! A path that begins beside a loop, at one of its exits, goes on through one iteration of that loop ([`Recording::beside`]): if it comes back to its own
//! head from there, the trace is the same loop entered in the middle.
//!
//! A head is hot because something jumps back to it. When the path comes to such a branch and this time it is not taken, the recording happened to
//! begin in the last iteration: what follows is the way out of the loop, a bad trace for a hot head. Then the recording is given up and
//! repeated a few arrivals later, [`RETRIES`] times at most; a path that leaves each time is taken as it is.
//!
//! Behind an indirect jump the path goes on too, as a *guess* that has to be confirmed ([`crate::guess`], [`Recording::settle`]). What comes back to
//! a place behind a guess is then no loop, but perhaps another turn of an interpreter: only what was visited since the last guess counts.

use crate::guess::{self, Samples};
use crate::translate::{BlockEnd, BlockShape, Step};
use fragcache::{FragId, GuestPc};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

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
    /// Blocks that end in a guess.
    guesses: Vec<usize>,
    /// Blocks before the path came back to its head for the first time, by way of a guess.
    home: Option<usize>,
    /// Blocks in one of the repetitions that the path consists of.
    period: Option<usize>,
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
    /// Processor time of the thread when it began.
    pub began: Duration,
    /// The path has gone on through the loop that it began beside; so many steps are before that.
    pub beside: Option<usize>,
    /// The last block ends in a branch to the head.
    latch: bool,
}

/// Activations of one function on a path: a recursion is unrolled so far.
const UNROLLED: usize = 8;

/// Recordings of one head that may be given up because the path left the loop.
pub const RETRIES: u8 = 5;

/// Arrivals until the next one: few, and not what divides usual trip counts.
pub const RETRY_AFTER: u32 = 7;

impl Recording {
    /// Begins at a head.
    pub fn new(head: FragId, pc: GuestPc, began: Duration) -> Recording {
        Recording {
            head,
            pc,
            steps: Vec::new(),
            instructions: 0,
            current: None,
            stops: false,
            ends: false,
            guesses: Vec::new(),
            home: None,
            period: None,
            depth: 0,
            calls: Vec::new(),
            active: vec![0],
            made: 0,
            called: false,
            began,
            beside: None,
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
            BlockEnd::Return => self.ends = true,
            BlockEnd::Select => self.guesses.push(self.steps.len()),
            BlockEnd::Stop => self.stops = true,
        }
        self.steps.push(Step { pc, next: pc, instructions: shape.instructions });
    }

    /// Has the path just come to a branch back to its head, and gone on to `pc` instead?
    pub fn leaves_loop(&self, pc: GuestPc) -> bool {
        self.latch && pc != self.pc && self.guesses.is_empty()
    }

    /// Has a guess been made?
    pub fn guessed(&self) -> bool {
        !self.guesses.is_empty()
    }

    /// Did the last block end in a guess?
    pub fn by_guess(&self) -> bool {
        self.guesses.last().is_some_and(|g| g + 1 == self.steps.len())
    }

    /// Does the trace rest on a guess?
    pub fn guesses_left(&self) -> bool {
        let last = self.steps.len().saturating_sub(1);
        let closed = self.steps.last().is_some_and(|s| s.next == self.pc);
        self.guesses.iter().any(|&g| g < last || g == last && closed)
    }

    /// The path, which has made a guess, arrives at its head. True when it has done enough to show that it repeats itself.
    pub fn comes_home(&mut self) -> bool {
        self.home.get_or_insert(self.steps.len());
        self.period = guess::period(&self.steps);
        self.period.is_some()
    }

    /// True when the path should end because `pc` is on it already, in what is being executed: it has gone round a loop, or deep
    /// enough into a recursion. In a call that has returned a block does not count: a short function that is called twice
    /// stands in the trace twice.
    pub fn visited(&self, pc: GuestPc) -> bool {
        let innermost = self.active.last().copied().unwrap_or(0);
        let mut others = 0;
        let since = self.guesses.last().map_or(0, |g| g + 1);
        for (_, call) in self.steps.iter().zip(&self.calls).skip(since).filter(|(s, _)| s.pc == pc) {
            if *call == innermost {
                return true;
            }
            others += usize::from(self.active.contains(call));
        }
        others >= UNROLLED
    }

    /// The path has ended. If it went on through the loop that it began beside, and did not come back to its own head from there,
    /// it ends at that loop after all.
    pub fn turn_back(&mut self) {
        let closed = !self.stops && self.steps.last().is_some_and(|s| s.next == self.pc);
        if let Some(n) = self.beside.filter(|_| !closed) {
            self.steps.truncate(n);
            self.stops = false;
        }
        if self.stops {
            // The last block ends in a service: the trace ends before it when there is anything before.
            self.steps.pop();
        }
        self.guesses.retain(|&g| g < self.steps.len());
    }

    /// Confirms the guesses on a path that has ended, and cuts it to what is a trace of at most `longest` blocks and instructions.
    ///
    /// # Errors
    /// The head is to be recorded again, after this number of arrivals.
    pub fn settle(
        &mut self,
        samples: &mut HashMap<GuestPc, Samples>,
        longest: (usize, usize),
    ) -> Result<(), u32> {
        let Some(&first) = self.guesses.first() else { return Ok(()) };
        let fits = guess::fitting(&self.steps, longest);
        if let Some(period) = self.period.filter(|&p| p <= fits) {
            self.steps.truncate(period);
            samples.remove(&self.pc);
            return Ok(());
        }
        let agreed = match samples.entry(self.pc) {
            Entry::Vacant(e) => return Err(e.insert(Samples::new(&self.steps)).wait()),
            Entry::Occupied(mut e) => {
                e.get_mut().add(&self.steps);
                match e.get().agreed() {
                    None => return Err(e.get().wait()),
                    Some(agreed) => {
                        e.remove();
                        agreed
                    }
                }
            }
        };
        let len = agreed.max(first + 1).min(fits);
        if let Some(home) = self.home.filter(|&h| h < len) {
            // All of them came back to the head.
            self.steps.truncate(home);
            return Ok(());
        }
        self.steps.truncate(len);
        if self.guesses.contains(&(self.steps.len().saturating_sub(1))) {
            guess::leave_open(&mut self.steps);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(blocks: &[(u64, BlockEnd)]) -> Recording {
        let mut r = Recording::new(FragId(0), GuestPc(blocks[0].0), Duration::ZERO);
        for &(pc, end) in blocks {
            r.arrive(GuestPc(pc));
            r.block(GuestPc(pc), BlockShape { instructions: 1, end, branch: None });
        }
        r
    }

    #[test]
    fn a_loop_ends_where_it_began_and_a_short_function_may_stand_twice() {
        use BlockEnd::{Call, Plain, Return};
        let r = path(&[(1, Plain), (2, Call), (9, Return), (3, Call)]);
        assert!(!r.visited(GuestPc(9)), "that call has returned");
        let r = path(&[(1, Plain), (2, Call), (9, Return), (3, Plain)]);
        assert!(r.visited(GuestPc(1)) && r.visited(GuestPc(2)) && !r.visited(GuestPc(9)));
    }

    #[test]
    fn behind_a_guess_a_block_may_stand_again() {
        use BlockEnd::{Plain, Return, Select};
        let r = path(&[(1, Plain), (2, Select), (3, Plain)]);
        assert!(r.visited(GuestPc(3)) && !r.visited(GuestPc(2)) && !r.by_guess());
        assert!(path(&[(1, Plain), (2, Select)]).by_guess());
        assert!(path(&[(1, Plain), (2, Return)]).ends, "its call is not on the path");
    }

    /// An interpreter with these operations, each a block that jumps through a table; back at the head in the end.
    fn operations(pcs: &[u64]) -> Recording {
        let mut r = path(&pcs.iter().map(|&pc| (pc, BlockEnd::Select)).collect::<Vec<_>>());
        r.arrive(GuestPc(pcs[0]));
        r
    }

    #[test]
    fn a_path_that_repeats_itself_is_a_loop_at_once() {
        let mut r = operations(&[1, 1, 2, 1, 1, 2]);
        assert!(r.comes_home());
        let mut samples = HashMap::new();
        assert_eq!(r.settle(&mut samples, (48, 400)), Ok(()));
        assert_eq!((r.steps.len(), r.steps[2].next), (3, GuestPc(1)));
        assert!(r.guesses_left() && samples.is_empty());
    }

    #[test]
    fn a_guess_is_taken_when_three_recordings_agree() {
        let mut samples = HashMap::new();
        for (pcs, settled) in [([1, 2, 3, 4], false), ([1, 2, 3, 5], false), ([1, 2, 3, 6], true)] {
            let mut r = operations(&pcs);
            assert_eq!(r.settle(&mut samples, (48, 400)).is_ok(), settled);
            if settled {
                assert_eq!(
                    (r.steps.len(), r.steps[2].next),
                    (3, GuestPc(0)),
                    "where it parts it is left open"
                );
                assert!(r.guesses_left());
            }
        }
    }

    #[test]
    fn a_guess_that_is_often_wrong_is_none() {
        let mut samples = HashMap::new();
        let mut r = operations(&[1, 2]);
        for pcs in [[1, 3], [1, 2], [1, 4]] {
            r = operations(&pcs);
            let _ = r.settle(&mut samples, (48, 400));
        }
        assert_eq!((r.steps.len(), r.steps[0].next, r.guesses_left()), (1, GuestPc(0), false));
    }

    #[test]
    fn when_all_come_back_to_the_head_it_is_a_loop() {
        let mut samples = HashMap::new();
        for n in 0..3 {
            // Back at the head behind two blocks; then they part.
            let mut r = operations(&[1, 2]);
            assert!(!r.comes_home(), "not seen often enough");
            r.block(GuestPc(1), BlockShape { instructions: 1, end: BlockEnd::Select, branch: None });
            r.arrive(GuestPc(7 + n));
            r.block(GuestPc(7 + n), BlockShape { instructions: 1, end: BlockEnd::Select, branch: None });
            if r.settle(&mut samples, (48, 400)).is_ok() {
                assert_eq!((n, r.steps.len(), r.steps[1].next), (2, 2, GuestPc(1)));
            }
        }
        assert!(samples.is_empty());
    }

    #[test]
    fn a_recursion_is_unrolled_so_far() {
        let deep = |n| path(&vec![(1, BlockEnd::Call); n]);
        assert!(!deep(UNROLLED - 1).visited(GuestPc(1)));
        assert!(deep(UNROLLED).visited(GuestPc(1)));
    }

    #[test]
    fn a_path_beside_a_loop_is_cut_off_at_its_head_unless_it_closes() {
        use BlockEnd::Plain;
        let mut r = path(&[(5, Plain), (1, Plain), (2, Plain)]);
        r.beside = Some(1);
        r.arrive(GuestPc(5));
        r.turn_back();
        assert_eq!(r.steps.len(), 3, "it came back to its own head");
        r.arrive(GuestPc(1));
        r.turn_back();
        assert_eq!((r.steps.len(), r.steps[0].next), (1, GuestPc(1)));
    }
}
