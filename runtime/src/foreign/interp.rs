//! An AArch64 guest interpreted: code lifted to trace IR and run by the reference interpreter.
//!
//! [`run`] is `--tier interp` for such a guest, and slow; [`step`] executes one instruction, where generated code has left
//! before it because it faults or because of a rare case that only the reference knows.
//!
//! A block is lifted once and kept per thread: a line of code up to a branch. One from code that can change is compared with
//! its source each time, and others when executable mappings have changed. The state is the thread's `GuestState` but for the
//! time that blocks run.

use super::signal;
use crate::access;
use crate::codemap;
use crate::dispatch;
use crate::interp::atomic;
use crate::process::process;
use crate::signal::{Fault as GuestFault, read_guest};
use crate::syscall::memory::{is_mapped, kernel_maps};
use crate::thread::Thread;
use decode::aarch64::{AArch64, Form, slots};
use decode::{Fp, Guest, GuestPc, Lifted};
use ir::builder::Builder;
use ir::interp::{CallError, Fault, Interp, Machine, Outcome, State};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{Helper, Trace};
use ir::types::{ClassId, HelperId, Pc, Type, Wide, ZERO};
use rustc_hash::FxHashMap;

/// Instructions of a block.
pub const MAX_BLOCK: usize = 32;
/// Bytes of an instruction.
const WORD: u64 = 4;
const MAX_BYTES: usize = MAX_BLOCK * WORD as usize;
/// Instructions kept before everything is forgotten.
const MAX_KEPT: usize = 400_000;
const PAGE: u64 = 4096;
/// Bytes of a line of the instruction cache, as `CTR_EL0` tells.
const LINE: u64 = 64;

/// How the interpreter left.
pub enum Left {
    /// To be gone on with at `pc`, after a look at signals.
    Boundary,
    /// `pc` is behind a system call.
    Syscall,
    /// The instruction at `pc` has faulted.
    Fault(GuestFault),
}

#[derive(Debug)]
struct Block {
    trace: Trace,
    /// The code it was made from.
    source: Box<[u8]>,
    /// [`codemap::generation`] when it was last known to be current.
    generation: u64,
    /// Its source can change at any time.
    changes: bool,
}

/// Blocks and buffers of one thread.
#[derive(Debug)]
pub struct Tier0 {
    blocks: FxHashMap<u64, Block>,
    kept: usize,
    interp: Interp,
    state: State,
    builder: Builder,
}

impl Default for Tier0 {
    fn default() -> Self {
        let decls = slots::decls();
        Tier0 {
            blocks: FxHashMap::default(),
            kept: 0,
            interp: Interp::new(),
            state: State::new(decls),
            builder: Builder::new(decls.clone(), "tier0", Pc::Addr(0)),
        }
    }
}

/// Interprets from the thread's state until something else is to be done.
pub fn run(thread: &mut Thread) -> Left {
    with_tier(thread, |tier, thread| {
        loop {
            if thread.has_pending() {
                return Left::Boundary;
            }
            let left = tier.block(thread);
            if !matches!(left, Left::Boundary) {
                return left;
            }
        }
    })
}

/// Interprets the basic block at `pc`, up to [`MAX_BLOCK`] instructions.
pub fn block(thread: &mut Thread) -> Left {
    with_tier(thread, |tier, thread| tier.block(thread))
}

/// Executes the instruction at `pc`, and `pc` goes on.
pub fn step(thread: &mut Thread) -> Left {
    with_tier(thread, |tier, thread| match tier.single(thread.context.pc) {
        Ok(trace) => tier.execute(thread, &trace),
        Err(odd) => tier.odd(thread, odd),
    })
}

fn with_tier(thread: &mut Thread, f: impl FnOnce(&mut Tier0, &mut Thread) -> Left) -> Left {
    let mut tier = thread.foreign_interp.take().unwrap_or_default();
    thread.context.foreign.fill_slots(&mut tier.state);
    let left = f(&mut tier, thread);
    thread.context.foreign.take_slots(&tier.state);
    thread.foreign_interp = Some(tier);
    left
}

/// Why there is nothing to interpret at `pc`.
#[derive(Clone, Copy)]
enum Odd {
    /// It is no multiple of an instruction's size.
    Misaligned,
    /// No executable memory.
    NoCode,
    /// Executable memory that cannot be read.
    Unreadable,
    /// No instruction.
    Undefined,
    /// `brk`
    Breakpoint,
    /// `ic ivau` of this register.
    CodeChanged(u8),
}

impl Odd {
    /// What is to be done about it.
    fn left(self, thread: &mut Thread) -> Left {
        let pc = thread.context.pc;
        match self {
            Odd::Misaligned => Left::Fault(signal::misaligned(pc)),
            Odd::NoCode => Left::Fault(signal::fetch_fault(pc, is_mapped(pc))),
            Odd::Unreadable => Left::Fault(signal::fetch_bus(pc)),
            Odd::Undefined => Left::Fault(signal::undefined(pc)),
            Odd::Breakpoint => Left::Fault(signal::breakpoint(pc)),
            Odd::CodeChanged(register) => {
                let x = &thread.context.foreign.x;
                let line = x.get(usize::from(register)).map_or(0, |at| at & !(LINE - 1));
                process().lock().cache.invalidate(line, line.saturating_add(LINE));
                thread.context.pc += WORD;
                Left::Boundary
            }
        }
    }
}

impl Tier0 {
    /// Runs the block at `pc`.
    fn block(&mut self, thread: &mut Thread) -> Left {
        let pc = thread.context.pc;
        if let Err(odd) = self.current(pc) {
            return self.odd(thread, odd);
        }
        let Some(block) = self.blocks.get(&pc) else { return Left::Boundary };
        let outcome = self.interp.run(&block.trace, &mut self.state, &mut Memory, 0);
        after(thread, outcome)
    }

    /// There is nothing to interpret at `pc`.
    fn odd(&self, thread: &mut Thread, odd: Odd) -> Left {
        // A register is looked up in the thread's state.
        thread.context.foreign.take_slots(&self.state);
        odd.left(thread)
    }

    fn execute(&mut self, thread: &mut Thread, trace: &Trace) -> Left {
        let outcome = self.interp.run(trace, &mut self.state, &mut Memory, 0);
        after(thread, outcome)
    }

    /// The trace of the one instruction at `pc`.
    fn single(&mut self, pc: u64) -> Result<Trace, Odd> {
        let (mut bytes, mut changes) = ([0u8; MAX_BYTES], false);
        let code = fetch(pc, &mut bytes[..WORD as usize], &mut changes)?;
        self.lift(pc, code, 1)?;
        Ok(self.builder.trace().clone())
    }

    /// Sees to it that the block at `pc` is one of the code as it is now.
    fn current(&mut self, pc: u64) -> Result<(), Odd> {
        let generation = codemap::generation();
        if let Some(b) = self.blocks.get_mut(&pc) {
            if b.generation == generation && !b.changes {
                return Ok(());
            }
            let at = fragcache::GuestPc(pc);
            let same_range = b.generation == generation || dispatch::is_changeable(at) == Some(b.changes);
            if same_range && has_bytes(pc, &b.source) {
                b.generation = generation;
                return Ok(());
            }
        }
        if self.kept > MAX_KEPT {
            self.blocks.clear();
            self.kept = 0;
        }
        let (mut bytes, mut changes) = ([0u8; MAX_BYTES], false);
        let code = fetch(pc, &mut bytes, &mut changes)?;
        let count = self.lift(pc, code, if changes { 1 } else { MAX_BLOCK })?;
        self.kept += count;
        let source = code[..count * WORD as usize].into();
        self.blocks.insert(pc, Block { trace: self.builder.trace().clone(), source, generation, changes });
        Ok(())
    }

    /// Lifts up to `max` instructions into the builder; how many.
    fn lift(&mut self, pc: u64, code: &[u8], max: usize) -> Result<usize, Odd> {
        let (guest, b) = (AArch64, &mut self.builder);
        b.reset(Pc::Addr(pc));
        let (mut count, mut lifted) = (0, Lifted::Next);
        while count < max && lifted == Lifted::Next {
            let at = GuestPc(pc + count as u64 * WORD);
            let Some(bytes) = code.get(count * WORD as usize..).filter(|b| b.len() >= WORD as usize) else {
                break;
            };
            let inst = match guest.decode(bytes, at) {
                Ok(inst) if guest.is_modelled(&inst, Fp::Native) => inst,
                _ if count > 0 => break,
                Ok(inst) => {
                    return Err(match inst.form {
                        Form::Brk => Odd::Breakpoint,
                        Form::Cache { rt, instructions: true } => Odd::CodeChanged(rt),
                        _ => Odd::Undefined,
                    });
                }
                Err(_) => return Err(Odd::Undefined),
            };
            if count == 0 {
                b.at(Pc::Addr(at.0));
            } else {
                b.at_exact(Pc::Addr(at.0));
            }
            lifted = guest.lift(&inst, bytes, Fp::Native, b);
            count += 1;
        }
        guest.end_trace(lifted, GuestPc(pc + count as u64 * WORD), b);
        Ok(count)
    }
}

/// What the outcome of a run means for the thread, whose slots are those of the outcome.
fn after(thread: &mut Thread, outcome: Outcome) -> Left {
    let address = |pc| match pc {
        Pc::Addr(a) => a,
        _ => 0,
    };
    match outcome {
        Outcome::Exit { kind, resume, .. } => {
            thread.context.pc = address(resume);
            match kind {
                ExitKind::Syscall => Left::Syscall,
                ExitKind::Jump | ExitKind::Call | ExitKind::Return => Left::Boundary,
                _ => Left::Fault(signal::undefined(thread.context.pc)),
            }
        }
        Outcome::Fault { fault, pc, .. } => {
            thread.context.pc = address(pc);
            Left::Fault(match fault {
                Fault::Memory { addr, write } => signal::memory_fault(addr, write),
                Fault::Misaligned { addr } => signal::misaligned(addr),
                _ => signal::undefined(thread.context.pc),
            })
        }
        Outcome::Raised | Outcome::OutOfFuel => Left::Boundary,
    }
}

/// The code at `pc`, as much of it as fits and is there.
fn fetch<'a>(pc: u64, into: &'a mut [u8], changes: &mut bool) -> Result<&'a [u8], Odd> {
    if !pc.is_multiple_of(WORD) {
        return Err(Odd::Misaligned);
    }
    match dispatch::copy_code(fragcache::GuestPc(pc), into) {
        Some((len, can_change)) if len as u64 >= WORD => {
            *changes = can_change;
            Ok(&into[..len])
        }
        _ if dispatch::is_changeable(fragcache::GuestPc(pc)).is_some() => Err(Odd::Unreadable),
        _ => Err(Odd::NoCode),
    }
}

fn has_bytes(pc: u64, source: &[u8]) -> bool {
    let mut now = [0u8; MAX_BYTES];
    let now = &mut now[..source.len()];
    read_guest(pc, now).is_ok() && now == source
}

/// The guest's memory. Accesses need no alignment, as on the CPU.
struct Memory;

/// A fault of an access to `size` bytes at `addr`, with the first byte that is out of reach.
fn fault(addr: u64, size: u64, write: bool) -> Fault {
    let next = (addr & !(PAGE - 1)).wrapping_add(PAGE);
    let wanted = if write { libc::PROT_WRITE } else { libc::PROT_READ };
    let crosses = next.wrapping_sub(addr) < size;
    let begins = || kernel_maps().iter().any(|m| (m.start..m.end).contains(&addr) && m.prot & wanted != 0);
    Fault::Memory { addr: if crosses && begins() { next } else { addr }, write }
}

impl Machine for Memory {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        let (parts, rest) = bytes.as_chunks_mut::<16>();
        if !rest.is_empty() {
            return Err(Fault::Unsupported);
        }
        for (part, at) in parts.iter_mut().zip((addr..).step_by(16)) {
            access::load16(at, part).ok_or_else(|| fault(at, 16, false))?;
        }
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        let (parts, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(Fault::Unsupported);
        }
        for (part, at) in parts.iter().zip((addr..).step_by(16)) {
            access::store16(at, part).ok_or_else(|| fault(at, 16, true))?;
        }
        Ok(())
    }

    fn load_word(&mut self, addr: u64, size: u32, _: ClassId) -> Result<u64, Fault> {
        access::load(addr, size).ok_or_else(|| fault(addr, size.into(), false))
    }

    fn store_word(&mut self, addr: u64, size: u32, value: u64, _: ClassId) -> Result<(), Fault> {
        access::store(addr, size, value).ok_or_else(|| fault(addr, size.into(), true))
    }

    fn atomic(
        &mut self,
        op: Op,
        ty: Type,
        addr: u64,
        value: u128,
        new: u128,
        _: ClassId,
    ) -> Result<u128, Fault> {
        if !addr.is_multiple_of(ty.bytes().into()) {
            return Err(Fault::Misaligned { addr });
        }
        atomic(op, ty, addr, value, new)
    }

    fn fence(&mut self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    fn call(&mut self, id: HelperId, _: &Helper, args: &[Wide]) -> Result<Wide, CallError> {
        if id == slots::COUNTER {
            let mut w = ZERO;
            w[0] = counter();
            return Ok(w);
        }
        decode::aarch64::call(id, args).ok_or(CallError::Fault(Fault::Unsupported))
    }
}

/// The virtual counter: nanoseconds, as `CNTFRQ_EL0` tells.
pub fn counter() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}
