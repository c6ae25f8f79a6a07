//! How long the visits of the interpreter to a root are, and roots that are let sleep.
//!
//! To enter a trace and to leave it costs as much as some dozens of bytecodes. A root whose visits are over soon, almost always, costs more than it
//! gives, however good its code. So some visits are timed; if they are short on average, the root *sleeps*: the interpreter passes it
//! over, and comes to ask each time that its counter has run up again. When it has asked often enough the root is tried once more, and
//! sleeps twice as long if nothing is better. When it has slept as long as it may and is no better, it is not tried again if it is that of a function:
//! the function's head is no longer counted. Traces that lead to a root that sleeps still do.
//!
//! Time decides only whether the interpreter or the trace runs, never what either computes.
//!
//! ```text
//! visits 0, 16, 32, ... timed      16 of them: 900 ticks together -> asleep, passed over 16 times
//! passed over 16 times             -> awake; again short          -> asleep, passed over 32 times
//!                                     or: again short but not so  -> awake
//! ```

/// One visit in so many is timed.
const EACH: u32 = 16;
/// Timed visits until they are judged.
const JUDGED: u32 = 16;
/// Ticks of a visit that is worth its cost, on average.
const WORTH: u64 = 260;
/// A longer visit counts as one of so many ticks: the system may have run something else meanwhile.
const LONGEST: u64 = 16 * WORTH;
/// How often a root is passed over when it sleeps for the first time, and at most.
const SLEEP: (u32, u32) = (16, 1 << 12);

/// What becomes of a root after a timed visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It stays awake.
    Awake,
    /// It sleeps.
    Asleep,
    /// It sleeps, and has slept longest before.
    Hopeless,
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stay {
    visits: u32,
    ticks: u64,
    timed: u32,
    /// How often it was passed over when it slept last.
    sleep: u32,
    /// How often it is still to be passed over.
    left: u32,
}

impl Stay {
    /// Is it passed over?
    pub fn is_asleep(&self) -> bool {
        self.left > 0
    }

    /// It was passed over. True if that was the last time.
    pub fn passed_over(&mut self) -> bool {
        self.left -= 1;
        self.left == 0
    }

    /// A visit begins. True if it is to be timed.
    pub fn begins(&mut self) -> bool {
        self.visits = self.visits.wrapping_add(1);
        self.visits.is_multiple_of(EACH)
    }

    /// A timed visit took so long.
    pub fn ended(&mut self, ticks: u64) -> Verdict {
        self.ticks += ticks.min(LONGEST);
        self.timed += 1;
        if self.timed < JUDGED {
            return Verdict::Awake;
        }
        let short = self.ticks < WORTH * u64::from(JUDGED);
        (self.ticks, self.timed) = (0, 0);
        if !short {
            self.sleep /= 2;
            return Verdict::Awake;
        }
        let longest = self.sleep == SLEEP.1;
        self.sleep = (self.sleep * 2).clamp(SLEEP.0, SLEEP.1);
        self.left = self.sleep;
        if longest { Verdict::Hopeless } else { Verdict::Asleep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(s: &mut Stay, ticks: u64) -> Verdict {
        let mut last = Verdict::Awake;
        for _ in 0..EACH * JUDGED {
            if s.begins() {
                last = s.ended(ticks);
            }
        }
        last
    }

    #[test]
    fn short_visits_put_it_to_sleep_for_longer_each_time() {
        let mut s = Stay::default();
        assert_eq!(visits(&mut s, WORTH), Verdict::Awake, "these are worth it");
        let mut sleep = SLEEP.0;
        while sleep <= SLEEP.1 {
            assert!(!s.is_asleep());
            assert_eq!(visits(&mut s, WORTH - 1), Verdict::Asleep);
            assert_eq!((1..).find(|_| s.passed_over()), Some(sleep));
            sleep *= 2;
        }
        assert_eq!(visits(&mut s, WORTH - 1), Verdict::Hopeless);
    }

    #[test]
    fn a_long_visit_among_few_keeps_it_awake() {
        let mut s = Stay::default();
        for i in 0..10 * JUDGED {
            assert_eq!(s.ended(if i % JUDGED == 3 { u64::MAX } else { 10 }), Verdict::Awake);
        }
        assert!(!s.is_asleep());
    }
}
