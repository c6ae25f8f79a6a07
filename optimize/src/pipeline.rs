//! Which passes run, in which order, at which level, and what they cost.

use crate::pass::{Env, Pass};
use crate::passes;
use ir::trace::Trace;
use std::time::{Duration, Instant};

/// How much work a trace is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// No pass: the trace as the front end wrote it.
    None,
    /// What costs little and always pays: no loop passes.
    Quick,
    /// Everything.
    #[default]
    Full,
}

/// What one place in the order of passes has cost so far.
#[derive(Clone, Debug)]
pub struct PassTime {
    /// The pass.
    pub name: &'static str,
    /// Time spent in it.
    pub time: Duration,
    /// Lines of all traces that it was given.
    pub lines: u64,
    /// Rewrites that it did.
    pub rewrites: u64,
    /// Traces that it was given.
    pub traces: u64,
}

impl PassTime {
    /// Nanoseconds per line given.
    pub fn nanos_per_line(&self) -> f64 {
        self.time.as_nanos() as f64 / self.lines.max(1) as f64
    }
}

/// The passes of a level with their buffers.
pub struct Pipeline {
    passes: Vec<Box<dyn Pass>>,
    times: Vec<PassTime>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.passes.iter().map(|p| p.name())).finish()
    }
}

impl Pipeline {
    /// The passes of this level.
    pub fn new(level: Level) -> Pipeline {
        let passes: Vec<Box<dyn Pass>> = match level {
            Level::None => Vec::new(),
            Level::Quick => vec![
                passes::forward(),
                Box::new(passes::load_forward::LoadForward::new()),
                Box::new(passes::dce::Dce::default()),
            ],
            // In this order. A pass may stand here more than once.
            Level::Full => vec![
                passes::forward(),
                Box::new(passes::load_forward::LoadForward::new()),
                passes::forward(),
                Box::new(passes::peel::Peel::default()),
                Box::new(passes::load_forward::LoadForward::with_guards()),
                passes::forward(),
                Box::new(passes::hoist::Hoist::default()),
                Box::new(passes::dce::Dce::default()),
            ],
        };
        let time = |name| PassTime { name, time: Duration::ZERO, lines: 0, rewrites: 0, traces: 0 };
        let times = passes.iter().map(|p| time(p.name())).collect();
        Pipeline { passes, times }
    }

    /// Runs them. `watch` sees the trace after each pass that changed it.
    pub fn run(&mut self, trace: &mut Trace, env: &mut Env, mut watch: impl FnMut(&'static str, &Trace)) {
        for (pass, cost) in self.passes.iter_mut().zip(&mut self.times) {
            let (start, lines, used) = (Instant::now(), trace.insts.len(), env.used());
            let changed = pass.run(trace, env);
            cost.time += start.elapsed();
            cost.lines += lines as u64;
            cost.rewrites += env.used() - used;
            cost.traces += 1;
            if changed {
                debug_assert!(
                    ir::verify::verify(trace).is_ok(),
                    "pass {} made an ill-formed trace:\n{:?}\n{trace}",
                    pass.name(),
                    ir::verify::verify(trace)
                );
                watch(pass.name(), trace);
            }
        }
    }

    /// What each pass has cost since the pipeline was made, in order.
    pub fn times(&self) -> &[PassTime] {
        &self.times
    }
}
