//! Programs for another machine: AArch64 Linux programs on an x86-64 one.
//!
//! Such a guest shares with a native one the process ([`crate::process`]), the code cache, the kernel's calls
//! ([`crate::syscall`]) and the queue of signals ([`crate::signal`]); `Process::foreign` says that a process has one. Its own are its
//! registers ([`state`]), the numbers and structures of its system calls ([`syscall`]), and the frames of its signals ([`signal`]).
//! [`load`] prepares the first thread, [`run`] is its dispatcher, [`interp`] its interpreter.

pub mod block;
pub mod host;
pub mod interp;
pub mod load;
pub mod signal;
pub mod state;
pub mod syscall;
pub mod trace;

use crate::assume;
use crate::context::{EXIT_FAULT, EXIT_INTERRUPTED, EXIT_MISS, EXIT_RESUME, EXIT_STEP};
use crate::enter;
use crate::options::Tier;
use crate::process::{Shared, process};
use crate::stats;
use crate::thread::Thread;
use crate::translate::service;
use decode::aarch64::Form;
use fragcache::events::AbortReason;
use fragcache::{ExitId, ExitKind, FragId, FragmentKind, GuestPc};
use interp::Left;
use std::sync::atomic::Ordering;

pub use decode::aarch64::HWCAP;

/// Runs the guest on this thread, from its state, for ever.
pub fn run(thread: &mut Thread) -> ! {
    crate::stats::sample_thread(thread);
    let mut clock = crate::stats::Clock::start();
    loop {
        if std::mem::take(&mut thread.retry) {
            // A fault in generated code: the instruction faults again when it is interpreted.
            thread.step = !thread.has_pending();
            crate::signal::unpark(thread);
        }
        if thread.has_pending() {
            trace::abort(thread, AbortReason::Interrupted);
            signal::deliver(thread);
        }
        if process().options.tier == Tier::Interp {
            let left = interp::run(thread);
            follow(thread, left);
            continue;
        }
        if thread.recording.is_some() && !thread.step {
            trace::record(thread);
            continue;
        }
        if std::mem::take(&mut thread.step) || !prepare(thread) {
            step(thread);
            continue;
        }
        clock.enter();
        // SAFETY: `gs` is this thread's context and `prepare` set a target for its `pc`.
        unsafe { enter::enter(&raw mut thread.context) };
        clock.leave();
        // The record of the exit is valid only until this thread counts as outside.
        let way = match thread.context.exit {
            id @ EXIT_MISS.. => Err(id),
            id => {
                let shared = process().lock();
                let exit = shared.cache.exit(ExitId(id));
                Ok((ExitId(id), exit.kind, exit.from))
            }
        };
        thread.epoch.store(0, Ordering::Release);
        leave(thread, way);
    }
}

/// Interprets one instruction.
fn step(thread: &mut Thread) {
    state::sync_fpsr(thread);
    let control = thread.context.foreign.fpcr;
    let left = interp::step(thread);
    if thread.context.foreign.fpcr != control && thread.context.foreign.fpcr != 0 {
        assume::revoke(assume::FP_DEFAULT);
    }
    follow(thread, left);
}

/// Does what the interpreter left for.
fn follow(thread: &mut Thread, left: Left) {
    match left {
        Left::Boundary => {}
        Left::Syscall => syscall::handle(thread),
        Left::Fault(fault) => signal::deliver_fault(thread, fault),
    }
}

/// Finds or makes the fragment for `pc` and sets it as the target; false when the instruction there is to be interpreted.
fn prepare(thread: &mut Thread) -> bool {
    let process = process();
    let pc = GuestPc(thread.context.pc);
    let mut guard = process.lock();
    let shared = &mut *guard;
    shared.cache.tick();
    let exit = thread.last_exit.take();
    let by_indirect = std::mem::take(&mut thread.by_indirect);
    stats::count(&process.counts.lookups);
    let frag = match shared.cache.lookup(pc) {
        Some(f) => f,
        None => {
            stats::count(&process.counts.not_found);
            // Code that can change is interpreted, which compares it each time.
            let changes =
                shared.map.range_at(pc.0).is_none_or(|r| r.prot & libc::PROT_WRITE != 0 || r.shared);
            if changes || !pc.0.is_multiple_of(4) {
                return false;
            }
            match block::make(shared, pc) {
                Ok(f) => f,
                Err(block::NoBlock::Made(crate::compile::NoTrace::Cache(e))) => {
                    crate::report::fatal(&format!("{e}; try --cache-limit"))
                }
                Err(_) => return false,
            }
        }
    };
    if let Some(e) = exit
        && shared.cache.exit(e).kind == ExitKind::Direct(pc)
    {
        shared.cache.link(e, frag);
    }
    if by_indirect {
        if shared.cache.frag(frag).kind == FragmentKind::Block && !is_return_site(shared, pc) {
            shared.cache.mark_head(frag);
        }
        shared.cache.insert_indirect(frag);
    }
    if shared.cache.has_retired() {
        let threads = process.threads.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: records of registered threads are mapped.
        let epochs = threads.iter().map(|t| unsafe { (*t.0).epoch.load(Ordering::Acquire) });
        let oldest = epochs.filter(|&e| e != 0).min().unwrap_or(u64::MAX);
        shared.cache.reclaim(oldest);
    }
    thread.epoch.store(shared.cache.epoch(), Ordering::Release);
    thread.context.target = shared.cache.frag(frag).entry.0 as u64;
    true
}

/// Is it the place behind a call?
fn is_return_site(shared: &mut Shared, pc: GuestPc) -> bool {
    let before = GuestPc(pc.0.wrapping_sub(4));
    let mut word = [0; 4];
    crate::dispatch::code_at(shared, before, &mut word).is_ok_and(|n| n == 4)
        && matches!(
            decode::aarch64::inst::decode(u32::from_le_bytes(word), before.0),
            Some(Form::Branch { link: true, .. } | Form::BranchReg { link: true, .. })
        )
}

/// Handles the way out that was taken.
fn leave(thread: &mut Thread, way: Result<(ExitId, ExitKind, FragId), u32>) {
    let counts = &process().counts;
    match way {
        Err(EXIT_MISS) => {
            counts.misses.fetch_add(1, Ordering::Relaxed);
            thread.by_indirect = true;
        }
        Err(EXIT_FAULT) => {
            if let Some(fault) = thread.fault.take() {
                signal::deliver_fault(thread, fault);
            }
        }
        Err(EXIT_STEP) => thread.step = true,
        Err(EXIT_INTERRUPTED | EXIT_RESUME) => {}
        Err(other) => {
            crate::report::fatal(&format!("internal error: unknown exit {other:#x}; please report it"))
        }
        Ok((id, ExitKind::Direct(pc) | ExitKind::Decline(pc), _)) => {
            counts.direct.fetch_add(1, Ordering::Relaxed);
            thread.context.pc = pc.0;
            thread.last_exit = Some(id);
        }
        Ok((_, ExitKind::Service(pc, what), from)) => {
            thread.context.pc = pc.0;
            match what {
                service::SYSCALL => syscall::handle(thread),
                service::STEP => thread.step = true,
                fragcache::cache::HOT => trace::begin(thread, pc, from),
                _ => {}
            }
        }
        // An indirect exit leaves through the table's miss routine, a loop through another exit.
        Ok((_, ExitKind::Indirect | ExitKind::Loop { .. }, _)) => {}
    }
}
