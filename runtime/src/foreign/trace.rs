//! Hot paths of AArch64 code: recorded by the interpreter, lifted to one trace, run through all passes, committed.
//!
//! Selection is that of a native guest ([`crate::record`]). What differs: the path is executed by the interpreter, one basic
//! block at a time, so that nothing has to be made for it; and a path that does not become a trace stays blocks.

use super::block::Compiler;
use super::interp;
use super::{Left, follow};
use crate::assume;
use crate::compile::install_as;
use crate::dispatch::{closes, code_at, leaves_to, retry};
use crate::process::{Shared, process};
use crate::record::Recording;
use crate::stats::{self, Whose};
use crate::thread::Thread;
use crate::translate::{BlockEnd, BlockShape, Step};
use crate::worth::Cost;
use decode::aarch64::{AArch64, Form};
use decode::{Fp, Guest, Lifted};
use fragcache::events::{AbortReason, EventKind};
use fragcache::{FragId, FragmentKind, GuestPc};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::types::{ExitId, Operand, Pc, Type};

/// Instructions of a basic block, as the interpreter has them at most.
const MAX_BLOCK: usize = interp::MAX_BLOCK;

/// A head is hot: its path is recorded from here on.
pub fn begin(thread: &mut Thread, pc: GuestPc, from: FragId) {
    process().counts.hot.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut shared = process().lock();
    if !shared.cache.frag(from).live || thread.recording.is_some() {
        return;
    }
    shared.cache.rearm(from);
    if !shared.budget.allows(stats::processor_time(Whose::Process)) {
        return shared.cache.postpone(from);
    }
    shared.cache.events.push(EventKind::Record, pc, 0);
    thread.recording = Some(Recording::new(from, pc, stats::processor_time(Whose::Thread)));
}

/// Nothing comes of the recording.
pub fn abort(thread: &mut Thread, reason: AbortReason) {
    let Some(r) = thread.recording.take() else { return };
    let mut shared = process().lock();
    shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(r.began));
    if shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc {
        shared.cache.penalise(r.head);
    }
    shared.cache.events.push(EventKind::Abort, r.pc, reason as u64);
}

/// One step of a recording: executes the basic block at `pc`, or ends the recording there.
pub fn record(thread: &mut Thread) {
    let pc = GuestPc(thread.context.pc);
    {
        let mut guard = process().lock();
        let shared = &mut *guard;
        let Some(r) = thread.recording.as_mut() else { return };
        r.arrive(pc);
        if r.leaves_loop(pc) && retry(shared, r, &mut thread.left_loop) {
            shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(r.began));
            thread.recording = None;
            return;
        }
        let policy = *shared.cache.policy();
        let range = shared.map.range_at(pc.0);
        let writable = range.is_none_or(|r| r.prot & libc::PROT_WRITE != 0 || r.shared);
        let meets = shared.cache.lookup(pc).filter(|&f| !r.steps.is_empty() && closes(shared, f, r.called));
        let through = r.beside.is_none() && meets.is_some_and(|f| leaves_to(shared, f, r.pc));
        if through {
            r.beside = Some(r.steps.len());
        }
        let done = r.ends
            || writable
            || r.visited(pc)
            || meets.is_some() && !through
            || r.steps.len() >= policy.max_blocks as usize
            || r.instructions >= policy.max_instructions as usize;
        let shape = if done { None } else { shape(shared, pc) };
        match shape {
            Some(shape) if shape.end != BlockEnd::Stop => r.block(pc, shape),
            _ => return finish(thread, shared),
        }
    }
    let left = interp::block(thread);
    if !matches!(left, Left::Boundary) {
        abort(thread, AbortReason::Interrupted);
    }
    follow(thread, left);
}

/// The basic block at `pc`, as the interpreter has it.
fn shape(shared: &mut Shared, pc: GuestPc) -> Option<BlockShape> {
    let mut bytes = [0u8; 4 * MAX_BLOCK];
    let n = code_at(shared, pc, &mut bytes).ok()?;
    let mut instructions = 0;
    for (k, word) in bytes[..n].as_chunks::<4>().0.iter().enumerate() {
        let form = decode::aarch64::inst::decode(u32::from_le_bytes(*word), pc.0 + 4 * k as u64)?;
        instructions += 1;
        let (end, branch) = match form {
            Form::Branch { link: true, .. } | Form::BranchReg { link: true, .. } => (BlockEnd::Call, None),
            Form::BranchReg { ret: true, .. } => (BlockEnd::Return, None),
            Form::BranchReg { .. } => (BlockEnd::Select, None),
            Form::Branch { .. } => (BlockEnd::Plain, None),
            Form::BranchCond { target, .. }
            | Form::CompareBranch { target, .. }
            | Form::TestBranch { target, .. } => (BlockEnd::Plain, Some(GuestPc(target))),
            Form::Svc | Form::Brk | Form::Cache { instructions: true, .. } => (BlockEnd::Stop, None),
            // What is interpreted stays outside.
            Form::StoreExclusive { .. } => continue,
            _ => continue,
        };
        return Some(BlockShape { instructions, end, branch });
    }
    Some(BlockShape { instructions, end: BlockEnd::Plain, branch: None })
}

/// Makes a trace of the path.
fn finish(thread: &mut Thread, shared: &mut Shared) {
    let Some(mut r) = thread.recording.take() else { return };
    r.turn_back();
    let alive = shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc;
    if alive && !r.steps.is_empty() {
        let mut compiler = shared.foreign.take().unwrap_or_default();
        let made = compiler.trace(shared, &r.steps);
        shared.foreign = Some(compiler);
        if let Err(why) = made {
            tracing::debug!(head = %r.pc, why, "no trace");
            shared.cache.penalise(r.head);
            shared.cache.events.push(EventKind::Abort, r.pc, AbortReason::NotTraceable as u64);
        }
    } else if alive {
        shared.cache.penalise(r.head);
        shared.cache.events.push(EventKind::Abort, r.pc, AbortReason::TooShort as u64);
    }
    shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(r.began));
}

/// How the lifted path ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At this address, by nothing in particular.
    At(u64),
    /// By this exit.
    Exit(ExitId),
}

impl Compiler {
    /// Makes the trace, in place of the block at its head.
    fn trace(&mut self, shared: &mut Shared, steps: &[Step]) -> Result<FragId, String> {
        let facts = (0..32).map(|n| 1 << n).filter(|&f| shared.cache.holds(f)).sum();
        let exact = facts & assume::NO_FAULT_HANDLER == 0;
        let head = steps[0].pc.0;
        self.looked.clear();
        self.begin(head, facts);
        let end = self.path(shared, steps, facts)?;
        if end == End::At(head) {
            let (mut changed, mut read) = (Vec::new(), Vec::new());
            crate::lift::look_at_body(
                &mut self.b,
                decode::aarch64::slots::FLAGS,
                exact,
                &mut changed,
                &mut read,
            );
            self.looked.clear();
            self.begin(head, facts);
            for &slot in &read {
                self.b.get(slot);
            }
            self.b.begin_loop(&changed);
            self.path(shared, steps, facts)?;
            let interrupt = self.exit(shared, head, facts);
            self.b.end_loop(Some(interrupt));
        } else {
            let exit = match end {
                End::At(pc) => self.exit(shared, pc, facts),
                End::Exit(exit) => exit,
            };
            self.b.end_exit(exit);
        }
        let trace = self.b.trace_mut();
        debug_assert!(ir::verify::verify(trace).is_ok(), "{:?}\n{trace}", ir::verify::verify(trace));
        tracing::trace!(%trace, "a path");
        self.full.run(trace, &mut self.env, |_, _| {});
        tracing::trace!(%trace, "a trace");
        let mut source: Vec<(GuestPc, u32)> =
            steps.iter().map(|s| (s.pc, 4 * s.instructions as u32)).collect();
        source.append(&mut self.looked);
        let host = (&self.host as &dyn optimize::codegen::Host, &mut self.codegen);
        install_as(&mut shared.cache, self.b.trace(), host, &source, Cost::MAX, FragmentKind::Trace)
            .map_err(|e| e.to_string())
    }

    /// Lifts all steps.
    fn path(&mut self, shared: &mut Shared, steps: &[Step], facts: u32) -> Result<End, String> {
        let guest = AArch64;
        let exact = facts & assume::NO_FAULT_HANDLER == 0;
        for (k, step) in steps.iter().enumerate() {
            let mut bytes = [0u8; 4 * MAX_BLOCK];
            let n = code_at(shared, step.pc, &mut bytes).map_err(|e| e.to_string())?;
            for i in 0..step.instructions {
                let here = step.pc.0 + 4 * i as u64;
                let first = k == 0 && i == 0;
                let rest = bytes[..n].get(4 * i..).unwrap_or_default();
                let changed = || "the code is not what was recorded".to_owned();
                let inst = guest.decode(rest, decode::GuestPc(here)).map_err(|_| changed())?;
                let float = matches!(inst.form, Form::Simd(s) if s.is_float());
                if !guest.is_modelled(&inst, Fp::AssumeDefault) || float && facts & assume::FP_DEFAULT == 0 {
                    return if first {
                        Err("it begins with an instruction that leaves".into())
                    } else {
                        Ok(End::At(here))
                    };
                }
                if exact || matches!(inst.form, Form::Store { .. } | Form::StorePair { .. }) {
                    self.b.at_exact(Pc::Addr(here));
                } else {
                    self.b.at(Pc::Addr(here));
                }
                let lifted = guest.lift(&inst, &rest[..4], Fp::AssumeDefault, &mut self.b);
                let next = here + 4;
                let ends = i + 1 == step.instructions;
                let last = ends && k + 1 == steps.len();
                let towards = if ends { step.next.0 } else { next };
                match lifted {
                    Lifted::Leave { .. } if first => {
                        return Err("it begins with an instruction that leaves".into());
                    }
                    Lifted::Leave { .. } => return Ok(End::At(here)),
                    Lifted::Next if towards == next => {}
                    Lifted::Branch { taken, .. } if taken.0 == next && towards == next => {}
                    Lifted::Branch { cond, taken } if towards == taken.0 => {
                        let exit = self.exit(shared, next, facts);
                        self.b.guard(cond, exit);
                    }
                    Lifted::Branch { cond, taken } if towards == next => {
                        let exit = self.exit(shared, taken.0, facts);
                        let cond = self.b.un(Op::Not, Type::I1, cond);
                        self.b.guard(cond, exit);
                    }
                    Lifted::Jump { target, .. } if towards == target.0 => {}
                    Lifted::Indirect { target, kind } if ends => {
                        match self.b.trace().literal_int(target).map(|v| v as u64) {
                            Some(to) if !last && to == towards => {}
                            Some(to) => return Ok(End::At(to)),
                            None if last => return Ok(End::Exit(self.b.exit_indirect(target, kind))),
                            None => self.predict(target, kind, towards),
                        }
                    }
                    _ => return Err(changed()),
                }
            }
        }
        Ok(End::At(steps.last().map_or(0, |s| s.next.0)))
    }

    /// Goes on when the computed target is the recorded one.
    fn predict(&mut self, target: Operand, kind: ExitKind, recorded: u64) {
        let exit = self.b.exit_indirect(target, kind);
        let recorded = self.b.i64(recorded as i64);
        let cond = self.b.bin(Op::Eq, Type::I64, target, recorded);
        self.b.guard(cond, exit);
    }
}
