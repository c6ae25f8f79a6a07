//! Which passes run, in which order, at which level, and what they cost.

use crate::pass::{Env, Pass};
use crate::passes;
use ir::trace::Trace;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The name under which vector traces are left out.
const VECTORIZE: &str = "vectorize";

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
    level: Level,
    /// Names of passes that stay out.
    left_out: Vec<String>,
    passes: Vec<Box<dyn Pass>>,
    times: Vec<PassTime>,
    vectors: Vectors,
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
            Level::None => vec![Box::new(passes::lower_boxed::LowerBoxed::default())],
            Level::Quick => vec![
                passes::forward(),
                Box::new(passes::load_forward::LoadForward::new()),
                Box::new(passes::dce::Dce::default()),
                Box::new(passes::lower_boxed::LowerBoxed::default()),
            ],
            // In this order. A pass may stand here more than once.
            Level::Full => vec![
                passes::forward(),
                Box::new(passes::load_forward::LoadForward::new()),
                passes::forward(),
                Box::new(passes::carry::Carry::default()),
                Box::new(passes::peel::Peel::default()),
                Box::new(passes::load_forward::LoadForward::with_guards()),
                Box::new(passes::split::Split::default()),
                Box::new(passes::param_sink::ParamSink::default()),
                passes::forward(),
                Box::new(passes::hoist::Hoist::default()),
                Box::new(passes::lower_boxed::LowerBoxed::default()),
                passes::forward(),
                Box::new(passes::dead_store::DeadStore::default()),
                Box::new(passes::dce::Dce::default()),
            ],
        };
        let time = |name| PassTime { name, time: Duration::ZERO, lines: 0, rewrites: 0, traces: 0 };
        let times = passes.iter().map(|p| time(p.name())).collect();
        Pipeline { level, left_out: Vec::new(), passes, times, vectors: Vectors::new() }
    }

    /// The names of all passes at the highest level, in the order they first run; `vectorize` is one of them.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for pass in Pipeline::new(Level::Full).passes {
            if !names.contains(&pass.name()) {
                names.push(pass.name());
            }
        }
        names.push(VECTORIZE);
        names
    }

    /// Without the passes of these names: to see what each brings, and which one is wrong.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Pipeline {
        self.left_out = names.to_vec();
        self
    }

    fn runs(&self, name: &str) -> bool {
        !self.left_out.iter().any(|n| n == name)
    }

    /// Runs them. `watch` sees the trace after each pass that changed it.
    pub fn run(&mut self, trace: &mut Trace, env: &mut Env, mut watch: impl FnMut(&'static str, &Trace)) {
        self.run_some(0..self.passes.len(), trace, env, &mut watch);
    }

    /// Runs them, and makes the vector trace of the trace's loop, if it has one: a second trace of the same head, which declines to this one
    /// (see [`passes::vectorize`]). It is made from the loop as it stands before peeling, or else as it is in the end.
    pub fn run_with_vector(
        &mut self,
        trace: &mut Trace,
        env: &mut Env,
        mut watch: impl FnMut(&'static str, &Trace),
    ) -> Option<Trace> {
        let peel = self.passes.iter().position(|p| p.name() == "peel").unwrap_or(self.passes.len());
        self.run_some(0..peel, trace, env, &mut watch);
        let full = self.level == Level::Full && self.runs(VECTORIZE);
        let mut vector = if full { self.vectors.make(trace, env) } else { None };
        self.run_some(peel..self.passes.len(), trace, env, &mut watch);
        if full && vector.is_none() && peel < self.passes.len() {
            vector = self.vectors.make(trace, env);
        }
        if let Some(made) = &vector {
            watch(VECTORIZE, made);
        }
        vector
    }

    fn run_some(
        &mut self,
        range: Range<usize>,
        trace: &mut Trace,
        env: &mut Env,
        watch: &mut impl FnMut(&'static str, &Trace),
    ) {
        for (pass, cost) in self.passes[range.clone()].iter_mut().zip(&mut self.times[range]) {
            if self.left_out.iter().any(|n| n == pass.name()) {
                continue;
            }
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

/// What makes vector traces, with its buffers.
struct Vectors {
    forward: Box<dyn Pass>,
    dce: passes::dce::Dce,
    split: passes::split::Split,
}

impl Vectors {
    fn new() -> Vectors {
        Vectors { forward: passes::forward(), dce: Default::default(), split: Default::default() }
    }

    fn clean(&mut self, trace: &mut Trace, env: &mut Env) {
        self.forward.run(trace, env);
        self.dce.run(trace, env);
    }

    /// The vector trace of a trace whose loop may hold whole registers.
    fn make(&mut self, trace: &Trace, env: &mut Env) -> Option<Trace> {
        if !passes::vectorize::is_plausible(trace, env) {
            return None;
        }
        let mut scalar = trace.clone();
        if self.split.run(&mut scalar, env) {
            self.clean(&mut scalar, env);
            // What was a part of a whole before is now a value of its own, which others may be equal to.
            self.clean(&mut scalar, env);
        }
        let mut vector = passes::vectorize::vectorize(&scalar, env).ok()?;
        self.clean(&mut vector, env);
        debug_assert!(ir::verify::verify(&vector).is_ok(), "{:?}\n{vector}", ir::verify::verify(&vector));
        Some(vector)
    }
}
