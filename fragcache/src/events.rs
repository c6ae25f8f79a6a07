//! The event log: what happened to fragments, when and why. One format for every guest.
//!
//! A bounded ring: writing an event costs a few stores, the oldest are overwritten, and the number
//! lost is reported.

use crate::fragment::GuestPc;
use serde::Serialize;
use std::time::Instant;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A block was translated; `detail` is its host bytes.
    Block,
    /// Recording began at a head.
    Record,
    /// A trace was made; `detail` is its host bytes.
    Trace,
    /// Recording gave no trace; `detail` is an [`AbortReason`].
    Abort,
    /// Fragments were invalidated because their source changed; `detail` counts them.
    Invalidate,
    /// Facts ceased to hold, as bits in place of the address; `detail` counts the fragments that rested on them.
    Revoke,
    /// A unit was evicted; `detail` counts its fragments.
    Evict,
    /// A page changes so often that its fragments check their source themselves.
    SelfCheck,
    /// A signal was queued for delivery at the next boundary; `detail` is its number.
    Signal,
    /// The process forked and this is the child.
    Fork,
}

/// Why a recording gave no trace: the one table of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// The path was too short to be worth it.
    TooShort = 1,
    /// A signal or another event interrupted the recording.
    Interrupted = 2,
    /// The path reached code that cannot be in a trace.
    NotTraceable = 3,
    /// Source pages changed meanwhile.
    CodeChanged = 4,
    /// The path left the loop of its head; it will be recorded again.
    LeftLoop = 5,
    /// The path rests on guesses that other recordings have to confirm first.
    Unconfirmed = 6,
}

/// One entry of the log.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Event {
    /// Nanoseconds since the log began.
    pub time_ns: u64,
    /// What.
    pub kind: EventKind,
    /// The guest address it concerns.
    pub pc: u64,
    /// Depends on `kind`.
    pub detail: u64,
}

/// The ring.
#[derive(Debug)]
pub struct EventLog {
    start: Instant,
    ring: Vec<Event>,
    next: usize,
    total: u64,
    capacity: usize,
}

impl EventLog {
    /// An empty log that keeps the last `capacity` events.
    pub fn new(capacity: usize) -> Self {
        EventLog { start: Instant::now(), ring: Vec::new(), next: 0, total: 0, capacity: capacity.max(1) }
    }

    /// Adds an event.
    pub fn push(&mut self, kind: EventKind, pc: GuestPc, detail: u64) {
        // Block events are many and cheap to derive; the clock is read for all others only.
        let time_ns = if kind == EventKind::Block {
            self.ring.last().map_or(0, |e| e.time_ns)
        } else {
            self.start.elapsed().as_nanos() as u64
        };
        let event = Event { time_ns, kind, pc: pc.0, detail };
        if self.ring.len() < self.capacity {
            self.ring.push(event);
        } else {
            self.ring[self.next] = event;
            self.next = (self.next + 1) % self.capacity;
        }
        self.total += 1;
    }

    /// Events still in the ring, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.ring[self.next..].iter().chain(&self.ring[..self.next])
    }

    /// How many were overwritten.
    pub fn lost(&self) -> u64 {
        self.total - self.ring.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_in_order() {
        let mut log = EventLog::new(3);
        for i in 0..5 {
            log.push(EventKind::Trace, GuestPc(i), 0);
        }
        assert_eq!(log.iter().map(|e| e.pc).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(log.lost(), 2);
    }
}
