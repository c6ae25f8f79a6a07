//! Which passes run, in which order, at which level.

use crate::pass::{Env, Pass};
use crate::passes;
use ir::trace::Trace;

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

/// The passes of a level with their buffers.
pub struct Pipeline {
    passes: Vec<Box<dyn Pass>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.passes.iter().map(|p| p.name())).finish()
    }
}

impl Pipeline {
    /// The passes of this level.
    pub fn new(level: Level) -> Pipeline {
        let passes = if level == Level::None { Vec::new() } else { passes::all() };
        Pipeline { passes }
    }

    /// Runs them. `watch` sees the trace after each pass that changed it.
    pub fn run(&mut self, trace: &mut Trace, env: &mut Env, mut watch: impl FnMut(&'static str, &Trace)) {
        for pass in &mut self.passes {
            if pass.run(trace, env) {
                debug_assert!(
                    ir::verify::verify(trace).is_ok(),
                    "pass {} made an ill-formed trace:\n{trace}",
                    pass.name()
                );
                watch(pass.name(), trace);
            }
        }
    }
}
