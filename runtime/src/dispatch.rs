//! The dispatcher: looks fragments up, makes them, enters them, and handles how they are left.

use crate::assume;
use crate::codemap::{CodeMap, Watch};
use crate::context::{EXIT_FAULT, EXIT_INTERRUPTED, EXIT_MISS, EXIT_RESUME, EXIT_STEP};
use crate::enter;
use crate::fpenv;
use crate::interp;
use crate::lockstep;
use crate::options::Tier;
use crate::process::{Shared, process};
use crate::record::{RETRIES, RETRY_AFTER, Recording};
use crate::signal::{self, Fault};
use crate::stats::{self, Whose};
use crate::syscall;
use crate::thread::Thread;
use crate::translate::{BlockMode, TranslateError, service};
use fragcache::events::{AbortReason, EventKind};
use fragcache::{ExitId, ExitKind, FragId, FragmentKind, GuestPc};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Runs the guest on this thread, from its context, for ever.
pub fn run(thread: &mut Thread) -> ! {
    crate::stats::sample_thread(thread);
    if process().foreign {
        crate::foreign::run(thread);
    }
    let mut clock = crate::stats::Clock::start();
    loop {
        if std::mem::take(&mut thread.retry) {
            abort_recording(thread, AbortReason::Interrupted);
            // Else the instruction waits for the handler to return.
            thread.step = !thread.has_pending();
            signal::unpark(thread);
        }
        if thread.has_pending() {
            abort_recording(thread, AbortReason::Interrupted);
            signal::deliver(thread);
        }
        if lockstep::stand_in(thread) {
            abort_recording(thread, AbortReason::NotTraceable);
            continue;
        }
        if process().options.tier == Tier::Interp && interp::run(thread) == interp::Next::Boundary {
            continue;
        }
        let pc = GuestPc(thread.context.pc);
        if let Err(e) = prepare(thread, pc) {
            match e {
                TranslateError::NotExecutable(at) => {
                    abort_recording(thread, AbortReason::NotTraceable);
                    let fault = Fault::no_code(at.0, crate::syscall::memory::is_mapped(at.0));
                    raise(thread, fault);
                    continue;
                }
                TranslateError::Unreadable(at) => {
                    abort_recording(thread, AbortReason::NotTraceable);
                    raise(thread, Fault::bus(at.0));
                    continue;
                }
                TranslateError::Cache(e) => crate::report::fatal(&format!("{e}; try --cache-limit")),
            }
        }
        clock.enter();
        // SAFETY: `gs` is this thread's context and `prepare` set a target for its `pc`.
        unsafe { enter::enter(&raw mut thread.context) };
        clock.leave();
        thread.clean_upper_halves();
        // The record of the exit is valid only until this thread counts as outside.
        let way = match thread.context.exit {
            id @ EXIT_MISS.. => Err(id),
            id => {
                let mut shared = process().lock();
                shared.cache.took(ExitId(id));
                let e = shared.cache.exit(ExitId(id));
                Ok((ExitId(id), e.kind, e.from))
            }
        };
        thread.epoch.store(0, Ordering::Release);
        let moved = matches!(way, Err(EXIT_MISS) | Ok((_, ExitKind::Direct(_), _)));
        leave(thread, way);
        lockstep::arrived(thread, moved);
    }
}

/// Finds or makes the fragment for `pc` and sets it as the target.
fn prepare(thread: &mut Thread, pc: GuestPc) -> Result<(), TranslateError> {
    let process = process();
    let mut guard = process.lock();
    let shared = &mut *guard;
    shared.cache.tick();
    let exit = thread.last_exit.take();
    let by_indirect = std::mem::take(&mut thread.by_indirect);
    let frag = if process.options.tier == Tier::Interp {
        thread.step = false;
        find(shared, pc, exit, false, Extent::One)?
    } else if std::mem::take(&mut thread.step) {
        make(shared, pc, BlockMode { single: true, ..BlockMode::default() })?
    } else if thread.recording.is_some() {
        match record(thread, shared, pc)? {
            Some(f) => f,
            None => find(shared, pc, exit, by_indirect, Extent::Block)?,
        }
    } else {
        find(shared, pc, exit, by_indirect, Extent::Block)?
    };
    if shared.cache.has_retired() {
        let threads = process.threads.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: records of registered threads are mapped.
        let oldest = threads
            .iter()
            .map(|t| unsafe { (*t.0).epoch.load(Ordering::Acquire) })
            .filter(|&e| e != 0)
            .min()
            .unwrap_or(u64::MAX);
        shared.cache.reclaim(oldest);
    }
    if process.options.gdb {
        crate::gdb::sync(shared);
    }
    thread.epoch.store(shared.cache.epoch(), Ordering::Release);
    thread.context.target = shared.cache.frag(frag).entry.0 as u64;
    if thread.verifier.is_some() {
        thread.context.target = shared.cache.counting_entry(frag).0 as u64;
        // No instruction is shorter than a byte.
        let f = shared.cache.frag(frag);
        let bytes: u32 = f.source().map(|s| s.1).sum();
        // One pass through an optimised loop may be several of the guest's.
        let optimized = f.places().is_some();
        let bound = bytes as usize * if optimized { MOST_PASSES } else { 1 };
        lockstep::departing(thread, bound, optimized, f.facts & assume::FP_DEFAULT != 0);
    }
    Ok(())
}

/// How much of the code at an address a fragment takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// A block.
    Block,
    /// One instruction, for the interpreter.
    One,
}

fn find(
    shared: &mut Shared,
    pc: GuestPc,
    exit: Option<ExitId>,
    by_indirect: bool,
    extent: Extent,
) -> Result<FragId, TranslateError> {
    let counts = &process().counts;
    crate::stats::count(&counts.lookups);
    if let Some(e) = exit
        && let x = shared.cache.exit(e)
        && x.kind == ExitKind::Decline(pc)
        && shared.cache.frag(x.from).live
    {
        let frag = match shared.cache.behind(x.from) {
            Some(f) => f,
            None => make(shared, pc, BlockMode { front: Some(x.from), ..BlockMode::default() })?,
        };
        // Making it may have evicted the other.
        if shared.cache.behind(x.from) == Some(frag) {
            shared.cache.link(e, frag);
        }
        return Ok(frag);
    }
    let found = shared.cache.lookup(pc);
    let frag = match found {
        Some(f) => f,
        None => make(
            shared,
            pc,
            BlockMode { indirect: by_indirect, kept: extent == Extent::One, ..BlockMode::default() },
        )?,
    };
    if found.is_none() {
        crate::stats::count(&counts.not_found);
    }
    if let Some(e) = exit
        && shared.cache.exit(e).kind == ExitKind::Direct(pc)
    {
        shared.cache.link(e, frag);
    }
    if by_indirect {
        if shared.cache.frag(frag).kind == FragmentKind::Block
            && !shared.translator.return_sites.contains(&pc.0)
        {
            shared.cache.mark_head(frag);
        }
        shared.cache.insert_indirect(frag);
    }
    Ok(frag)
}

/// Whether the executable memory at `pc` can change without a call that changes mappings; `None` when there is none.
pub fn is_changeable(pc: GuestPc) -> Option<bool> {
    process().lock().map.range_at(pc.0).map(|r| r.prot & libc::PROT_WRITE != 0 || r.shared)
}

/// Copies guest code for the interpreter; how many bytes, and whether they [can change](is_changeable).
pub fn copy_code(pc: GuestPc, into: &mut [u8]) -> Option<(usize, bool)> {
    let changeable = is_changeable(pc)?;
    let len = code_at(&mut process().lock(), pc, into).ok()?;
    Some((len, changeable))
}

/// The system call that the guest's registers describe, `pc` being behind the instruction.
pub fn system_call(thread: &mut Thread) {
    process().counts.syscalls.fetch_add(1, Ordering::Relaxed);
    if thread.verifier.is_some() {
        lockstep::system_call(thread, lockstep::Table::Native);
    } else {
        syscall::handle(thread);
    }
}

/// The guest gets a synchronous fault.
fn raise(thread: &mut Thread, fault: Fault) {
    if thread.verifier.is_some() {
        lockstep::fault(thread, fault.signal());
    } else {
        signal::deliver_fault(thread, fault);
    }
}

/// Copies executable guest bytes from `pc` on, at most `into.len()` and to the end of their mapping.
pub fn code_at(shared: &mut Shared, pc: GuestPc, into: &mut [u8]) -> Result<usize, TranslateError> {
    let first = shared.map.range_at(pc.0).ok_or(TranslateError::NotExecutable(pc))?;
    let mut end = first.end;
    // Instructions may run across adjacent mappings.
    while end - pc.0 < into.len() as u64
        && let Some(next) = shared.map.range_at(end)
    {
        end = next.end;
    }
    let want = (end - pc.0).min(into.len() as u64) as usize;
    // The file behind a mapping may have been truncated: then to the end of the page.
    let page = (4096 - (pc.0 & 4095)) as usize;
    for n in [want, page.min(want)] {
        if signal::read_guest(pc.0, &mut into[..n]).is_ok() {
            return Ok(n);
        }
    }
    Err(TranslateError::Unreadable(pc))
}

/// Copies executable guest bytes from `pc` on, to the end of their mapping at most, if the guest cannot write them; returns how many.
fn code_that_stays(map: &mut CodeMap, pc: u64, into: &mut [u8]) -> usize {
    let Some(range) = map.range_at(pc).filter(|r| r.prot & libc::PROT_WRITE == 0 && !r.shared) else {
        return 0;
    };
    let n = (range.end - pc).min(into.len() as u64) as usize;
    if signal::read_guest(pc, &mut into[..n]).is_ok() { n } else { 0 }
}

/// Most bytes a block is made from.
const BLOCK_BYTES: usize = 1024;
/// Likewise on pages that can be written.
const WATCHED_BYTES: usize = 512;

/// Translates a block; its pages are watched.
fn make(shared: &mut Shared, pc: GuestPc, mut mode: BlockMode) -> Result<FragId, TranslateError> {
    let _time = crate::stats::translating();
    let range = shared.map.range_at(pc.0).ok_or(TranslateError::NotExecutable(pc))?;
    if range.prot & libc::PROT_WRITE != 0 || range.shared {
        if mode.single {
            // Executed once, now: nothing to keep current.
        } else if mode.kept {
            // The interpreter writes to memory itself and expects no faults of ours.
            mode.checked = true;
        } else {
            // A block may reach into the next page; both have the same fate.
            let mut watch = shared.map.watch_for_code(pc.page(), range);
            let next = GuestPc(pc.0 + WATCHED_BYTES as u64 - 1).page();
            if next != pc.page()
                && let Some(r) = shared.map.range_at(next << 12)
            {
                let w = shared.map.watch_for_code(next, r);
                if w == Some(Watch::Checked) {
                    watch = w;
                }
            }
            mode.checked = watch == Some(Watch::Checked);
        }
    }
    let kept = range.file.is_some()
        && !(mode.private || mode.single || mode.kept || mode.checked || mode.front.is_some());
    if kept && let Some(f) = crate::store::install(shared, &range, pc) {
        return Ok(f);
    }
    let mut bytes = [0u8; BLOCK_BYTES];
    // What may change is watched no further than this.
    let most = if range.prot & libc::PROT_WRITE != 0 || range.shared { WATCHED_BYTES } else { BLOCK_BYTES };
    let n = code_at(shared, pc, &mut bytes[..most])?;
    let n = n.min(mode.limit.unwrap_or(n));
    let Shared { cache, translator, store, .. } = shared;
    let made = translator.block(cache, &bytes[..n], pc, mode)?;
    if translator.executed.is_some() {
        let len = cache.frag(made).source().next().map_or(0, |s| s.1);
        translator.executed.get_or_insert_default().insert((pc, len));
    }
    if kept {
        store.note(&range, pc, translator.variant(), &translator.saved());
    }
    Ok(made)
}

/// One step of a recording that has arrived at `pc`; the private fragment to execute next, or
/// `None` when the recording has ended.
fn record(thread: &mut Thread, shared: &mut Shared, pc: GuestPc) -> Result<Option<FragId>, TranslateError> {
    let Some(r) = thread.recording.as_mut() else { return Ok(None) };
    r.arrive(pc);
    if let Some(f) = r.current.take() {
        shared.cache.discard(f);
    }
    if r.leaves_loop(pc) && retry(shared, r, &mut thread.left_loop) {
        shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(r.began));
        thread.recording = None;
        return Ok(None);
    }
    let policy = *shared.cache.policy();
    let range = shared.map.range_at(pc.0);
    let writable = range.is_none_or(|r| r.prot & libc::PROT_WRITE != 0 || r.shared);
    // Where a trace rests on guesses it depends on how one came there, and so each path has its own.
    let ends_at = |f: &FragId| {
        !r.steps.is_empty() && !thread.guessed.contains(&pc) && !r.by_guess() && closes(shared, *f, r.called)
    };
    let meets = shared.cache.lookup(pc).filter(ends_at);
    // Beside a loop the path goes on through one iteration of it: perhaps it comes back to where it began.
    let through = r.beside.is_none() && meets.is_some_and(|f| leaves_to(shared, f, r.pc));
    if through {
        r.beside = Some(r.steps.len());
    }
    // With guesses, twice as far: a path has to be seen to repeat itself.
    let times = if r.guessed() { 2 } else { 1 };
    let done = r.stops
        || r.ends
        || writable
        || if r.guessed() && pc == r.pc { r.comes_home() } else { r.visited(pc) }
        || meets.is_some() && !through
        || r.steps.len() >= times * policy.max_blocks as usize
        || r.instructions >= times * policy.max_instructions as usize;
    if done {
        finish(thread, shared);
        return Ok(None);
    }
    let mut bytes = [0u8; BLOCK_BYTES];
    let n = code_at(shared, pc, &mut bytes)?;
    // A loop that has a trace is entered there, at its head, and not by a copy of its first iteration. So is the one being recorded.
    let n = shared.translator.length_until(&bytes[..n], pc, |at| {
        at == r.pc || shared.cache.lookup(at).is_some_and(|f| closes(shared, f, false))
    });
    let shape = shared.translator.basic_block(&bytes[..n], pc);
    r.block(pc, shape);
    let frag = make(shared, pc, BlockMode { private: true, limit: Some(n), ..BlockMode::default() })?;
    r.current = Some(frag);
    Ok(Some(frag))
}

/// The path has left the loop of its head: may it be recorded again? Then the head counts a few arrivals.
pub fn retry(shared: &mut Shared, r: &Recording, left: &mut HashMap<GuestPc, u8>) -> bool {
    let times = left.entry(r.pc).or_insert(0);
    let again = *times < RETRIES && shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc;
    if again {
        *times += 1;
        shared.cache.recount(r.head, RETRY_AFTER);
        shared.cache.events.push(EventKind::Abort, r.pc, AbortReason::LeftLoop as u64);
    }
    again
}

/// Passes of a guest's loop that an optimised one makes at most in one.
const MOST_PASSES: usize = 64;

/// Longest trace, in guest bytes, that other paths go on through instead of ending at it.
const SHARED_TAIL: u32 = 96;
/// Likewise for the trace of a function that the path calls.
const CALLED: u32 = 256;

/// True when a path that reaches this fragment should end there: it is a trace that is a loop, or a
/// long one. A short trace without a loop is the tail that several paths share, for example the
/// dispatch of an interpreter: each path gets its own copy, and with it a branch of its own that the
/// processor can predict.
pub fn closes(shared: &Shared, frag: FragId, called: bool) -> bool {
    let f = shared.cache.frag(frag);
    let longest = if called { CALLED } else { SHARED_TAIL };
    f.kind == FragmentKind::Trace
        && (f.source().map(|s| s.1).sum::<u32>() > longest
            || f.exits().any(|e| shared.cache.exit(e).kind == ExitKind::Direct(f.pc)))
}

/// True when an exit of this fragment leads there.
pub fn leaves_to(shared: &Shared, frag: FragId, pc: GuestPc) -> bool {
    shared.cache.frag(frag).exits().any(|e| shared.cache.exit(e).kind == ExitKind::Direct(pc))
}

/// Makes a trace of what was recorded.
fn finish(thread: &mut Thread, shared: &mut Shared) {
    let _time = crate::stats::translating();
    let Some(mut r) = thread.recording.take() else { return };
    let began = r.began;
    r.turn_back();
    let policy = shared.cache.policy();
    let longest = (policy.max_blocks as usize, policy.max_instructions as usize);
    let alive = shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc;
    match r.settle(&mut thread.samples, longest) {
        Ok(()) => {
            if r.guesses_left() {
                thread.guessed.insert(r.pc);
            }
            make_trace(r, shared);
        }
        Err(wait) if alive => {
            shared.cache.recount(r.head, wait);
            shared.cache.events.push(EventKind::Abort, r.pc, AbortReason::Unconfirmed as u64);
        }
        Err(_) => {}
    }
    shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(began));
}

fn make_trace(r: Recording, shared: &mut Shared) {
    let alive = shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc;
    if r.steps.is_empty() || !alive {
        if alive {
            shared.cache.penalise(r.head);
        }
        shared.cache.events.push(EventKind::Abort, r.pc, AbortReason::TooShort as u64);
        return;
    }
    let mut code = Vec::with_capacity(r.steps.len());
    for s in &r.steps {
        let mut bytes = vec![0u8; BLOCK_BYTES];
        match code_at(shared, s.pc, &mut bytes) {
            Ok(n) => bytes.truncate(n),
            Err(_) => return,
        }
        code.push((s.pc, bytes));
    }
    let options = &process().options;
    let Shared { cache, translator, compiler, map, .. } = shared;
    if options.optimizes() {
        let compiler = compiler.get_or_insert_with(|| crate::compile::Compiler::new(options));
        let lengths: Vec<u32> =
            r.steps.iter().zip(&code).map(|(s, c)| translator.length(&c.1, s.pc, s.instructions)).collect();
        let read = &mut |pc, into: &mut [u8]| code_that_stays(map, pc, into);
        if compiler.compile(cache, &r.steps, |k| &code[k].1[..], &lengths, read).is_ok() {
            return;
        }
    }
    let made = translator.trace(cache, &r.steps, |pc| code.iter().find(|x| x.0 == pc).map(|x| &x.1[..]));
    if made.is_err() {
        cache.events.push(EventKind::Abort, r.pc, AbortReason::NotTraceable as u64);
    }
}

fn abort_recording(thread: &mut Thread, reason: AbortReason) {
    if thread.recording.is_none() {
        return;
    }
    let mut shared = process().lock();
    let Some(r) = thread.recording.take() else { return };
    shared.budget.spend(stats::processor_time(Whose::Thread).saturating_sub(r.began));
    if let Some(f) = r.current {
        shared.cache.discard(f);
    }
    if shared.cache.frag(r.head).live && shared.cache.frag(r.head).pc == r.pc {
        shared.cache.penalise(r.head);
    }
    shared.cache.events.push(EventKind::Abort, r.pc, reason as u64);
}

/// Handles the way out that was taken.
fn leave(thread: &mut Thread, way: Result<(ExitId, ExitKind, FragId), u32>) {
    let counts = &process().counts;
    match way {
        Err(EXIT_MISS) => {
            counts.misses.fetch_add(1, Ordering::Relaxed);
            thread.by_indirect = thread.recording.is_none();
        }
        Err(EXIT_STEP) => {
            abort_recording(thread, AbortReason::CodeChanged);
            thread.step = true;
        }
        Err(EXIT_FAULT) => {
            abort_recording(thread, AbortReason::Interrupted);
            if let Some(fault) = thread.fault.take() {
                raise(thread, fault);
            }
        }
        // What is to be done is done at the head of the loop.
        Err(EXIT_INTERRUPTED) => {}
        // In the middle of a block: its path is not one that could be recorded.
        Err(EXIT_RESUME) => abort_recording(thread, AbortReason::Interrupted),
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
            serve(thread, pc, what, from);
        }
        // An indirect exit leaves through the table's miss routine, a loop through another exit.
        Ok((_, ExitKind::Indirect | ExitKind::Loop { .. }, _)) => {}
    }
}

fn serve(thread: &mut Thread, pc: GuestPc, what: u32, from: FragId) {
    match what {
        service::SYSCALL => {
            if let Some(r) = &mut thread.recording {
                r.stops = true;
                let mut shared = process().lock();
                if let Some(r) = &mut thread.recording
                    && let Some(f) = r.current.take()
                {
                    shared.cache.discard(f);
                }
                if let Some(r) = &mut thread.recording
                    && let Some(last) = r.steps.last_mut()
                {
                    last.next = pc;
                }
                finish(thread, &mut shared);
            }
            system_call(thread);
        }
        service::INT80 => {
            abort_recording(thread, AbortReason::NotTraceable);
            if thread.verifier.is_some() {
                lockstep::system_call(thread, lockstep::Table::Int80);
            } else {
                syscall::handle_int80(thread);
            }
        }
        service::EMULATE => {
            abort_recording(thread, AbortReason::NotTraceable);
            crate::emulate::step(thread, pc);
        }
        service::CHANGED => {
            abort_recording(thread, AbortReason::CodeChanged);
            let mut shared = process().lock();
            if shared.cache.frag(from).live {
                shared.cache.kill(from);
            }
        }
        service::LOADS_FP => {
            abort_recording(thread, AbortReason::NotTraceable);
            fpenv::before_load(thread, pc.0);
            let mut shared = process().lock();
            if !shared.translator.watch_fp && shared.cache.frag(from).live {
                shared.cache.kill(from); // It need not ask any more.
            }
            thread.step = true;
        }
        service::CHANGED_FP => {
            abort_recording(thread, AbortReason::NotTraceable);
            fpenv::ended();
        }
        fragcache::cache::HOT => {
            process().counts.hot.fetch_add(1, Ordering::Relaxed);
            let mut shared = process().lock();
            if shared.cache.frag(from).live {
                // Should this recording come to nothing without a verdict, the head counts again.
                shared.cache.rearm(from);
                if thread.recording.is_some() {
                    return;
                }
                if !shared.budget.allows(stats::processor_time(Whose::Process)) {
                    return shared.cache.postpone(from);
                }
                shared.cache.events.push(EventKind::Record, pc, 0);
                let began = stats::processor_time(Whose::Thread);
                thread.recording = Some(Recording::new(from, pc, began));
            }
        }
        _ => {}
    }
}
