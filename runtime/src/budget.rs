//! How much time the making of traces may take: a program that goes on making fragments without using them again shall lose a few
//! percent at most.
//!
//! NET trusts that what was executed often will be executed often again. Code that is hot for a moment and then never again (that of a
//! JIT compiler which compiles all the time, a program of thousands of short loops) betrays that trust: each trace costs more than it ever
//! gives back. Dynamo bailed out of such programs. Here the cost is bounded instead: recording and compiling together get a fixed allowance and from then on a share of the
//! processor time of the process. While that is used up a head that gets hot is not recorded; it goes on running from blocks, and is
//! counted again. So a program that changes its habits gets traces again as soon as it has run for a while.
//!
//! The price: with little time left it is chance which heads are recorded first. A threshold below [`EAGER`], or `--always-optimize`, asks for traces
//! whatever they cost, for tests.

use std::time::Duration;

/// What is free: start-up makes the traces that matter most.
const ALLOWANCE: Duration = Duration::from_millis(30);
/// One part in so many of the time that the process runs.
const SHARE: u32 = 32;
/// Thresholds below this are for tests.
const EAGER: u32 = 1000;

/// What was spent, see the module.
#[derive(Debug)]
pub struct Budget {
    limited: bool,
    spent: Duration,
    /// Processor time of the process when it was looked at last.
    seen: Duration,
    /// Times that a head had to wait.
    pub postponed: u64,
}

impl Budget {
    /// For this threshold.
    pub fn new(threshold: u32, always: bool) -> Budget {
        Budget {
            limited: threshold >= EAGER && !always,
            spent: Duration::ZERO,
            seen: Duration::ZERO,
            postponed: 0,
        }
    }

    /// May another path be recorded, when the process has used this much processor time?
    pub fn allows(&mut self, used: Duration) -> bool {
        if used < self.seen {
            // A forked child: its clock has begun anew.
            self.spent = Duration::ZERO;
        }
        self.seen = used;
        let allowed = !self.limited || self.spent <= ALLOWANCE + used / SHARE;
        self.postponed += u64::from(!allowed);
        allowed
    }

    /// Notes what a recording, and what was made of it, has cost.
    pub fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_spent_comes_back_with_time() {
        let mut b = Budget::new(4000, false);
        assert!(b.allows(Duration::ZERO));
        b.spend(ALLOWANCE + SECOND);
        assert!(!b.allows(SECOND * (SHARE - 1)) && b.postponed == 1);
        assert!(b.allows(SECOND * SHARE));
    }

    #[test]
    fn a_child_begins_with_an_allowance_of_its_own() {
        let mut b = Budget::new(4000, false);
        assert!(b.allows(SECOND));
        b.spend(SECOND);
        assert!(!b.allows(SECOND));
        assert!(b.allows(SECOND / 2));
    }

    #[test]
    fn low_thresholds_ask_for_traces_at_any_price() {
        for mut b in [Budget::new(2, false), Budget::new(4000, true)] {
            b.spend(SECOND);
            assert!(b.allows(Duration::ZERO));
        }
    }
}
