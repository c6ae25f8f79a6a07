//! Indirect jumps on a recorded path: which of them a trace follows.
//!
//! A `switch` or the dispatch of an interpreter has many targets, and one recording sees one of them. To follow it is a *guess*: the trace compares the
//! target with the recorded one, and another target goes to the table. A guess that is mostly right saves the look-up; one that is mostly wrong costs a
//! comparison, a branch that the processor cannot predict, and what was done in front of it. So a guess needs confirmation:
//!
//! - **A path that repeats itself.** The recording comes back to its head and goes on, up to twice the length of a trace. When what was recorded is one
//!   sequence of blocks several times, that sequence is the loop: an interpreter in a loop of *its* program. Its head may well stand in the
//!   sequence more than once.
//! - **Several recordings that agree.** Else the head is recorded [`SAMPLES`] times, some arrivals apart, and the trace is what all of them have in
//!   common. Up to the first guess nothing has to be confirmed: that is the path without this module, and never less is taken.
//!
//! ```text
//! recorded   add add jlt add add jlt add …     period 3: the loop  add add jlt
//! recorded   load add jmp | load add store | load add jmp     in common: load add, which ends in the table
//! ```

use crate::translate::Step;
use fragcache::GuestPc;

/// Recordings of one head that have to agree.
pub const SAMPLES: usize = 3;

/// Blocks in which a path has to repeat itself.
const EVIDENCE: usize = 6;

/// The number of blocks after which the path begins anew: it is a whole number of repetitions, at least two, of so many blocks. The next block is
/// known to be the first again.
pub fn period(steps: &[Step]) -> Option<usize> {
    let n = steps.len();
    if n < EVIDENCE {
        return None;
    }
    let repeats = |p: usize| n.is_multiple_of(p) && steps[p..].iter().zip(steps).all(|(a, b)| a.pc == b.pc);
    (1..=n / 2).find(|&p| repeats(p))
}

/// How many blocks of a path are within these numbers of blocks and instructions; one at least.
pub fn fitting(steps: &[Step], (blocks, instructions): (usize, usize)) -> usize {
    let mut sum = 0;
    let fits = |s: &&Step| {
        sum += s.instructions;
        sum <= instructions
    };
    steps.iter().take(blocks).take_while(fits).count().max(1)
}

/// Paths from one head, waiting for others to compare with.
#[derive(Debug)]
pub struct Samples {
    /// The newest.
    path: Vec<Step>,
    /// Blocks that all of them have in common.
    agreed: usize,
    /// How many there were.
    count: usize,
}

impl Samples {
    /// The first one.
    pub fn new(path: &[Step]) -> Samples {
        Samples { path: path.to_vec(), agreed: path.len(), count: 1 }
    }

    /// Another one.
    pub fn add(&mut self, path: &[Step]) {
        let same = |(x, y): &(&Step, &Step)| x.pc == y.pc && x.instructions == y.instructions;
        let common = self.path.iter().zip(path).take_while(same).count();
        self.agreed = self.agreed.min(common);
        self.path = path.to_vec();
        self.count += 1;
    }

    /// How many blocks all of them have in common, when there were enough: behind the last of these they may part.
    pub fn agreed(&self) -> Option<usize> {
        (self.count >= SAMPLES).then_some(self.agreed)
    }

    /// Arrivals at the head until the next recording: few, and not what divides usual trip counts.
    pub fn wait(&self) -> u32 {
        if self.count == 1 { 7 } else { 19 }
    }
}

/// The last block of a path whose end was not confirmed goes nowhere: no guess is made of it.
pub fn leave_open(steps: &mut [Step]) {
    if let Some(last) = steps.last_mut() {
        last.next = GuestPc(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(blocks: &[u64]) -> Vec<Step> {
        let next = blocks.iter().skip(1).chain(&blocks[..1]);
        let step = |(&pc, &next)| Step { pc: GuestPc(pc), next: GuestPc(next), instructions: 1 };
        blocks.iter().zip(next).map(step).collect()
    }

    #[test]
    fn a_period_needs_evidence_and_whole_repetitions() {
        assert_eq!(period(&path(&[1, 1])), None);
        assert_eq!(period(&path(&[1, 1, 2, 1, 1, 2])), Some(3));
        assert_eq!(period(&path(&[1, 2, 1, 2, 1, 2])), Some(2));
        assert_eq!(period(&path(&[1, 1, 1, 1, 1, 1])), Some(1));
        assert_eq!(period(&path(&[1, 2, 1, 2, 1, 3])), None);
        assert_eq!(period(&path(&[1, 2, 1, 2, 1, 2, 1])), None);
        assert_eq!(period(&path(&[1, 2, 3, 4, 1, 2, 3, 4])), Some(4));
    }

    #[test]
    fn what_all_samples_have_in_common_is_confirmed() {
        let mut s = Samples::new(&path(&[1, 2, 3, 4, 5]));
        s.add(&path(&[1, 2, 3, 4, 6]));
        assert_eq!(s.agreed(), None, "too few");
        s.add(&path(&[1, 2, 3, 7, 5]));
        assert_eq!(s.agreed(), Some(3));
    }

    #[test]
    fn a_trace_has_its_limits() {
        let steps = path(&[1, 2, 3, 4]);
        assert_eq!(fitting(&steps, (9, 9)), 4);
        assert_eq!(fitting(&steps, (3, 9)), 3);
        assert_eq!(fitting(&steps, (9, 2)), 2);
        assert_eq!(fitting(&steps, (9, 0)), 1);
    }
}
