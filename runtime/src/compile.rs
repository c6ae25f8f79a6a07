//! A recorded path to optimised machine code in the cache: lifted, run through the passes, compiled, committed.
//!
//! What is refused anywhere on the way ([`NoTrace`]) is counted by reason and gets a straight trace instead
//! ([`crate::translate::Translator::trace`]).
//!
//! Facts: a trace is made on those that hold now, and rests on those that its facts still name after the passes.

use crate::assume;
use crate::dump;
use crate::host::X86Host;
use crate::lift::{Lifter, Refusal};
use crate::options::Options;
use crate::process::process;
use crate::stubs::{self, DeadAtEntry};
use crate::translate::{Step, service};
use crate::unread::Read;
use crate::worth::{self, Cost, NoGain};
use fragcache::{
    Cache, CacheError, ExitKind, FaultPlace, FragId, FragmentKind, GuestPc, NewExit, NewFragment, Places,
};
use ir::snapshot::ExitKind as Why;
use ir::trace::Trace;
use ir::types::Pc;
use optimize::codegen::{self, Code, CodegenError, Leaving};
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, PassTime, Pipeline};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Why a path did not become an optimised trace.
#[derive(Debug, thiserror::Error)]
pub enum NoTrace {
    /// It cannot be lifted.
    #[error(transparent)]
    Lift(#[from] Refusal),
    /// It has no machine code.
    #[error(transparent)]
    Code(#[from] CodegenError),
    /// It would not be faster.
    #[error(transparent)]
    Gain(#[from] NoGain),
    /// The code cache has no room for it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// There are as many as `--paths` allows.
    #[error("no more are wanted")]
    Enough,
}

impl NoTrace {
    /// In short, to be counted.
    fn reason(&self) -> String {
        match self {
            NoTrace::Lift(e) => e.to_string(),
            NoTrace::Code(CodegenError::Unsupported(what)) => format!("unsupported: {what}"),
            NoTrace::Code(e) => e.to_string(),
            NoTrace::Gain(e) => e.to_string(),
            NoTrace::Cache(e) => e.to_string(),
            NoTrace::Enough => self.to_string(),
        }
    }
}

/// What compiling did, for `--stats`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompileStats {
    /// Optimised traces made.
    pub traces: u64,
    /// Of them, loops.
    pub loops: u64,
    /// Of these, with a vector trace in front.
    pub vectors: u64,
    /// Paths without one, by reason.
    pub refused: BTreeMap<String, u64>,
    /// IR operations as lifted.
    pub operations: u64,
    /// IR operations after the passes.
    pub operations_left: u64,
    /// Rewrites by the passes.
    pub rewrites: u64,
    /// Nanoseconds for lifting.
    pub lift_ns: u64,
    /// For the passes.
    pub optimize_ns: u64,
    /// For code generation.
    pub codegen_ns: u64,
    /// For all of it, per operation as lifted.
    pub ns_per_operation: u64,
    /// What each pass has cost, in their order.
    pub passes: Vec<PassStats>,
    /// Bytes of machine code.
    pub code_bytes: u64,
    /// Guest bytes it was made from.
    pub guest_bytes: u64,
}

/// What one place in the order of passes has cost.
#[derive(Clone, Debug, Serialize)]
pub struct PassStats {
    /// Its name.
    pub name: &'static str,
    /// Nanoseconds.
    pub ns: u64,
    /// Lines that it was given.
    pub lines: u64,
    /// Rewrites that it did.
    pub rewrites: u64,
}

/// The text of one trace for `--dump`.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its fragment.
    pub frag: FragId,
    /// Its head.
    pub pc: GuestPc,
    /// The IR as lifted and after the passes.
    pub text: String,
}

/// Lifter, passes and their buffers.
#[derive(Debug)]
pub struct Compiler {
    lifter: Lifter,
    pipeline: Pipeline,
    env: Env,
    host: X86Host,
    codegen: codegen::x86_64::Compiler,
    stats: CompileStats,
    /// Texts for `--dump`, when asked for.
    pub listings: Option<Vec<Listing>>,
    /// The IR of each trace after each pass, when `--report` wants it.
    pub histories: Option<Vec<crate::view::History>>,
    /// Where traces go as files, if anywhere. Their numbers are those that `most` limits; refused ones have an `r`.
    traces: Option<PathBuf>,
    /// Traces to be made at most.
    most: u64,
    /// Also of paths that gain nothing.
    always: bool,
}

impl Compiler {
    /// As the command line says.
    pub fn new(options: &Options) -> Compiler {
        let features = Features {
            v256: std::is_x86_feature_detected!("avx2"),
            v512: std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512vl"),
        };
        Compiler {
            lifter: Lifter::default(),
            pipeline: Pipeline::new(if options.level >= 3 { Level::Full } else { Level::Quick })
                .without(&options.without),
            env: Env::new(features, options.fuel),
            codegen: codegen::x86_64::Compiler::default(),
            host: X86Host { bmi2: std::is_x86_feature_detected!("bmi2") },
            stats: CompileStats::default(),
            listings: options.dump.is_some().then(Vec::new),
            histories: options.report.is_some().then(Vec::new),
            traces: options.traces.clone(),
            most: options.paths.unwrap_or(u64::MAX),
            always: options.always_optimize,
        }
    }

    /// What was done, with the cost of each pass.
    pub fn stats(&self) -> CompileStats {
        let pass = |t: &PassTime| PassStats {
            name: t.name,
            ns: t.time.as_nanos() as u64,
            lines: t.lines,
            rewrites: t.rewrites,
        };
        CompileStats { passes: self.pipeline.times().iter().map(pass).collect(), ..self.stats.clone() }
    }

    /// Makes the trace and puts it in the place of the fragment at its head. `code` holds the bytes of each step; `read` gives code
    /// elsewhere that cannot change without notice.
    ///
    /// # Errors
    /// When it has to be a straight one.
    pub fn compile<'b>(
        &mut self,
        cache: &mut Cache,
        steps: &[Step],
        code: impl Fn(usize) -> &'b [u8],
        lengths: &[u32],
        read: &mut Read<'_>,
    ) -> Result<FragId, NoTrace> {
        let made = self.try_compile(cache, steps, code, lengths, read);
        if let Err(e) = &made {
            tracing::debug!(head = %steps.first().map_or(GuestPc(0), |s| s.pc), why = %e, "no optimised trace");
            *self.stats.refused.entry(e.reason()).or_default() += 1;
        }
        made
    }

    fn try_compile<'b>(
        &mut self,
        cache: &mut Cache,
        steps: &[Step],
        code: impl Fn(usize) -> &'b [u8],
        lengths: &[u32],
        read: &mut Read<'_>,
    ) -> Result<FragId, NoTrace> {
        if self.stats.traces >= self.most {
            return Err(NoTrace::Enough);
        }
        let start = Instant::now();
        let facts = (0..32).map(|n| 1 << n).filter(|&f| cache.holds(f)).sum();
        self.lifter.lift(steps, code, facts, read)?;
        let mut source: Vec<(GuestPc, u32)> = steps.iter().zip(lengths).map(|(s, &n)| (s.pc, n)).collect();
        source.append(&mut self.lifter.unread.looked);
        let trace = self.lifter.trace();
        let lifted = Instant::now();
        let operations = trace.insts.len() as u64;
        let mut text =
            (self.listings.is_some() || self.traces.is_some()).then(|| format!("  lifted\n{trace}"));
        let as_lifted = self.traces.is_some().then(|| ir::print::file(trace));
        let copy = if self.always { Cost::MAX } else { worth::of_copy(trace) };
        let used = self.env.used();
        let mut stages =
            self.histories.is_some().then(|| vec![("as recorded".to_owned(), trace.to_string())]);
        let vector = self.pipeline.run_with_vector(trace, &mut self.env, |pass, trace| {
            if let Some(stages) = &mut stages {
                stages.push((pass.to_owned(), trace.to_string()));
            }
        });
        let optimized = Instant::now();
        if let Some(t) = &mut text {
            t.push_str(&format!("  optimised\n{trace}"));
            if let Some(v) = &vector {
                t.push_str(&format!("  in vectors\n{v}"));
            }
        }
        // A vector trace needs the scalar one behind it.
        let most = if vector.is_some() { Cost::MAX } else { copy };
        let mut frag = install(cache, trace, (&self.host, &mut self.codegen), &source, most);
        if let (Ok(scalar), Some(v)) = (&frag, &vector) {
            // It takes the scalar trace's place and declines to it.
            match install(cache, v, (&self.host, &mut self.codegen), &source, Cost::MAX) {
                Ok(front) => {
                    self.stats.vectors += 1;
                    self.stats.code_bytes += u64::from(cache.frag(*scalar).len);
                    frag = Ok(front);
                }
                Err(e) => tracing::debug!(head = %steps[0].pc, why = %e, "no vector trace"),
            }
        }
        let s = &mut self.stats;
        s.operations += operations;
        s.operations_left += trace.insts.len() as u64;
        s.rewrites += self.env.used() - used;
        s.lift_ns += (lifted - start).as_nanos() as u64;
        s.optimize_ns += (optimized - lifted).as_nanos() as u64;
        s.codegen_ns += optimized.elapsed().as_nanos() as u64;
        s.ns_per_operation = (s.lift_ns + s.optimize_ns + s.codegen_ns) / s.operations.max(1);
        if let (Some(dir), Some(tir), Some(text)) = (&self.traces, as_lifted, &mut text) {
            let mut listing = text.clone();
            let name = match &frag {
                Ok(frag) => {
                    dump::host_code(&mut listing, &cache.frag(*frag));
                    format!("{}-{}", std::process::id(), s.traces + 1)
                }
                Err(_) => format!("{}-r{}", std::process::id(), s.refused.values().sum::<u64>() + 1),
            };
            for (kind, text) in [("tir", tir), ("lst", listing)] {
                let path = dir.join(format!("{name}.{kind}"));
                if let Err(e) = std::fs::write(&path, text) {
                    tracing::warn!(path = %path.display(), error = %e, "a trace could not be written");
                }
            }
        }
        let frag = frag?;
        s.traces += 1;
        s.loops += u64::from(trace.loop_at.is_some());
        s.code_bytes += u64::from(cache.frag(frag).len);
        s.guest_bytes += lengths.iter().map(|&n| u64::from(n)).sum::<u64>();
        if let (Some(histories), Some(stages)) = (&mut self.histories, stages) {
            let made_ms = start.elapsed().as_secs_f64() * 1e3;
            histories.push(crate::view::History { frag, pc: steps[0].pc, stages, made_ms });
        }
        if let (Some(listings), Some(text)) = (&mut self.listings, text) {
            listings.push(Listing { frag, pc: steps[0].pc, text });
        }
        Ok(frag)
    }
}

/// The facts that a trace rests on, as bits.
fn facts_of(trace: &Trace) -> u32 {
    trace.facts.iter().fold(0, |bits, f| {
        bits | match &*f.name {
            "Private" => assume::PRIVATE,
            "NoFaultHandler" => assume::NO_FAULT_HANDLER,
            "NoContext" => assume::NO_CONTEXT,
            "FpDefault" => assume::FP_DEFAULT,
            _ => 0,
        }
    })
}

/// Bytes of code to ask for, from experience; more are asked for when they do not do.
fn guess(trace: &Trace) -> usize {
    512 + trace.insts.len() * 12 + trace.exits.len() * 48
}

/// Compiles for the place where the code will lie, and commits it.
fn install(
    cache: &mut Cache,
    trace: &Trace,
    compiler: (&X86Host, &mut codegen::x86_64::Compiler),
    source: &[(GuestPc, u32)],
    copy: Cost,
) -> Result<FragId, NoTrace> {
    install_as(cache, trace, (compiler.0, compiler.1), source, copy, FragmentKind::Trace)
}

/// The same for any host and kind of fragment.
pub fn install_as(
    cache: &mut Cache,
    trace: &Trace,
    (host, codegen): (&dyn codegen::Host, &mut codegen::x86_64::Compiler),
    source: &[(GuestPc, u32)],
    copy: Cost,
    kind: FragmentKind,
) -> Result<FragId, NoTrace> {
    let pc = source[0].0;
    let (mut room, mut exits) = (guess(trace), 2 * trace.exits.len() + 8);
    let mut prefix = Vec::new();
    let (at, code, indirect) = loop {
        let at = cache.begin(pc, room, exits, 64)?;
        prefix.clear();
        // A head that indirect branches reach keeps an entry for them in line.
        let reached = cache.lookup(pc).is_some_and(|old| cache.frag(old).indirect);
        let indirect = reached.then(|| stubs::indirect_entry(&mut prefix, at.0, pc, DeadAtEntry::default()));
        let code = codegen.compile(trace, host, (at.0 + prefix.len()) as u64)?;
        if worth::of_code(trace, &code, at.0 as u64) > copy {
            return Err(NoGain { pc }.into());
        }
        if prefix.len() + code.bytes.len() <= room && code.exits.len() <= exits {
            break (at, code, indirect);
        }
        (room, exits) = (prefix.len() + code.bytes.len() + 128, code.exits.len() + 8);
    };
    let shift = prefix.len() as u32;
    let exits = exits_of(&code, pc, shift)?;
    let faults: Vec<FaultPlace> = code.faults.iter().map(|f| fault_place(f, shift)).collect();
    let line = |&(offset, pc): &(u32, Pc)| address(pc).map(|pc| (offset + shift, pc));
    let lines: Vec<(u32, GuestPc)> = code.lines.iter().filter_map(line).collect();
    prefix.extend_from_slice(&code.bytes);
    Ok(cache.commit(NewFragment {
        pc,
        kind,
        at,
        entry: shift + code.entry,
        code: &prefix,
        exits: &exits,
        source,
        map: &[],
        indirect,
        facts: facts_of(trace),
        places: Some(Places::new(&faults, &lines)),
        front: None,
    }))
}

fn address(pc: Pc) -> Option<GuestPc> {
    match pc {
        Pc::Addr(a) => Some(GuestPc(a)),
        Pc::Source { .. } => None,
    }
}

fn fault_place(f: &codegen::FaultRange, shift: u32) -> FaultPlace {
    FaultPlace {
        start: f.start + shift,
        end: f.end + shift,
        to: f.to.map(|(offset, _)| offset + shift),
        pc: f.pc.and_then(address),
    }
}

/// The ways out as the cache knows them. Where one instruction is to be executed by other means the block of that
/// instruction does what has to be done.
fn exits_of(code: &Code, pc: GuestPc, shift: u32) -> Result<Vec<NewExit>, CodegenError> {
    let exit = |e: &codegen::CodeExit| {
        let kind = match (e.leaving, e.kind) {
            (Leaving::Back { head, interrupt }, _) => {
                ExitKind::Loop { head: head + shift, out: interrupt + shift }
            }
            (Leaving::Indirect, _) => ExitKind::Indirect,
            (Leaving::Direct(to), why) => {
                let unknown = || CodegenError::Unsupported("an exit to no address".into());
                let to = address(to).ok_or_else(unknown)?;
                match why {
                    Why::Step if process().foreign => ExitKind::Service(to, service::STEP),
                    Why::Trap(_) if process().foreign => ExitKind::Service(to, service::STEP),
                    Why::Jump | Why::Call | Why::Return | Why::Step => ExitKind::Direct(to),
                    Why::Decline => ExitKind::Decline(to),
                    Why::Syscall => ExitKind::Service(to, service::SYSCALL),
                    Why::Trap(n) => return Err(CodegenError::Unsupported(format!("exception {n}"))),
                }
            }
        };
        Ok(NewExit { source: pc, kind, patch: e.patch + shift })
    };
    code.exits.iter().map(exit).collect()
}
