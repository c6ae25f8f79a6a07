//! Region selection: which fragment entries are counted, and when they are hot.
//!
//! NET, "next executing tail" (Duesterwald and Bala, ASPLOS 2000; Dynamo, PLDI 2000): targets of
//! backward branches and of exits from traces are possible heads. When one has been reached often
//! enough, the path executed next is the trace. Recording that fails makes the next attempt
//! dearer, without ever giving up for good.

/// The numbers of the policy.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Arrivals at a head before its path is recorded; 0 turns traces off.
    pub threshold: u32,
    /// Fragments longest path of a trace.
    pub max_blocks: u32,
    /// Guest instructions in the longest trace.
    pub max_instructions: u32,
    /// Most heads that are counted at once (see [`crate::heads`]).
    pub window: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { threshold: 4000, max_blocks: 48, max_instructions: 400, window: 512 }
    }
}

impl Policy {
    /// Whether a jump makes its target a possible trace head. `backward`: the target is not behind
    /// the instruction that jumps.
    pub fn makes_head(&self, backward: bool, from_trace: bool) -> bool {
        self.threshold > 0 && (from_trace || backward)
    }

    /// The counter's next start value when a head had to wait.
    pub fn postponed(&self) -> u32 {
        self.threshold.saturating_mul(8)
    }

    /// The counter's next start value after `failures` attempts that gave no trace.
    pub fn penalty(&self, failures: u32) -> u32 {
        self.threshold.saturating_mul(1 << (failures.min(8) + 1))
    }
}
