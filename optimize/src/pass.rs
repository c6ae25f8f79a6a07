//! What a pass is, and what limits it.
//!
//! A pass rewrites a trace so that it means the same: from every state, the rewritten trace leaves by the same exit with the
//! same slots and the same memory, faults where the old one faults, and shows other threads nothing that they could
//! not have seen before. What may be assumed about memory that others see stands in the trace's facts, see [`Env`].
//!
//! Each rewrite costs one unit of *fuel* ([`Env::burn`]). With fuel limited to N, exactly the first N rewrites happen, so a
//! miscompile is bisected to one of them.

use ir::trace::{FactArg, Trace};
use ir::types::ClassId;

/// What the machine can do, as far as passes choose by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// 256-bit integer and float vectors (AVX2).
    pub v256: bool,
    /// 512-bit vectors (AVX-512 F, BW, DQ, VL).
    pub v512: bool,
}

/// What a pass may know and use up besides the trace.
#[derive(Clone, Debug)]
pub struct Env {
    /// What the machine can do.
    pub features: Features,
    /// Rewrites left; `None` for no limit.
    fuel: Option<u64>,
    /// Rewrites done.
    used: u64,
}

impl Default for Env {
    fn default() -> Env {
        Env::new(Features::default(), None)
    }
}

impl Env {
    /// With this much fuel (`None`: no limit).
    pub fn new(features: Features, fuel: Option<u64>) -> Env {
        Env { features, fuel, used: 0 }
    }

    /// Takes one unit of fuel; the rewrite must not happen when this is false.
    #[must_use]
    pub fn burn(&mut self) -> bool {
        match &mut self.fuel {
            Some(0) => return false,
            Some(n) => *n -= 1,
            None => {}
        }
        self.used += 1;
        true
    }

    /// Rewrites left; `None` for no limit. For passes that plan before they rewrite.
    pub fn left(&self) -> Option<u64> {
        self.fuel
    }

    /// How many rewrites were done.
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// A rewriting of traces. One value lives as long as its pipeline and may keep buffers between traces.
pub trait Pass: Send {
    /// Its name in file tests, dumps and `docs/passes.md`.
    fn name(&self) -> &'static str;

    /// Rewrites the trace, one unit of fuel per rewrite; true when it changed anything.
    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool;
}

/// Nobody but this trace reads or writes memory of the class while the trace runs, and nobody looks at it when the trace
/// faults: the trace says `assume Private(class)`, of this class or an ancestor.
///
/// Without it, loads of the class may not be removed, moved or repeated past other memory operations, except that a load
/// may take its value from a store of the same trace that it surely follows with no load or fence of shared memory in between.
pub fn is_private(trace: &Trace, class: ClassId) -> bool {
    let mut next = Some(class);
    while let Some(c) = next {
        let Some(declared) = trace.decls.classes.get(c.index()) else { return false };
        let assumed = trace
            .facts
            .iter()
            .any(|f| f.name == "Private" && matches!(&f.args[..], [FactArg::Name(n)] if *n == declared.name));
        if assumed {
            return true;
        }
        next = declared.parent;
    }
    false
}

/// Nobody looks at the guest's state when a line faults (`assume NoFaultHandler`): the fault ends the program, and only
/// that it happens before later stores and exits counts.
pub fn faults_are_final(trace: &Trace) -> bool {
    trace.facts.iter().any(|f| f.name == "NoFaultHandler")
}
