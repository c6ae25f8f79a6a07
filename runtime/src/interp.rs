//! Tier 0: guest code lifted to trace IR and interpreted.
//!
//! A block is lifted once and kept per thread: straight-line code up to a branch or to the first
//! instruction that the lifter does not model. Such instructions, and every instruction that faults, are
//! executed natively, one at a time, in fragments of the code cache. So faults, watched pages, vector
//! extensions and the x87 are what they are in the other tiers, and this one has no rules of its own for them.
//!
//! While blocks run, the integer state lives in the interpreter's [`State`]; the [`Context`] of the
//! thread gets it back before anybody else looks ([`Tier0::put_back`]). The vector registers are fetched when a
//! block first uses them.
//!
//! Code that can change (writable or shared mappings) is lifted one instruction at a time and compared
//! with its source bytes each time it runs. Other blocks are looked at again when any executable mapping has
//! changed ([`codemap::generation`]). No page is ever write-protected in this tier.

use crate::access;
use crate::codemap;
use crate::context::Context;
use crate::dispatch;
use crate::lockstep;
use crate::process::process;
use crate::signal::read_guest;
use crate::thread::Thread;
use decode::x86_64::{X86_64, slots};
use decode::{Fp, Guest, GuestPc, Lifted};
use fragcache::GuestPc as GuestPcAddr;
use ir::builder::Builder;
use ir::interp::{Fault, Interp, Machine, Outcome, State, atomic_result};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::Trace;
use ir::types::{ClassId, Pc, Type};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Instructions of a block.
const MAX_BLOCK: usize = 32;
/// Bytes looked at for a block.
const MAX_BYTES: usize = 256;
/// Instructions kept before everything is forgotten.
const MAX_KEPT: usize = 400_000;
/// Status flags in the flags register.
const STATUS: u64 = 0x8d5;
const DIRECTION: u64 = 0x400;
const TRAP: u64 = 0x100;
/// MXCSR without its sticky flags, as programs start with it.
const DEFAULT_MXCSR: u32 = 0x1f80;
/// Vector registers that lifted code can name.
const VECTORS: usize = 16;

/// What became of a thread that was interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is at a boundary: the dispatcher looks for signals and goes on.
    Boundary,
    /// The instruction at `pc` must be executed natively.
    Native,
}

#[derive(Debug)]
struct Block {
    /// `None`: the first instruction is not modelled.
    trace: Option<Trace>,
    /// The code it was made from.
    source: Box<[u8]>,
    /// [`codemap::generation`] when it was last known to be current.
    generation: u64,
    /// Its source can change at any time.
    changes: bool,
    /// It rests on the default floating point control word.
    default_fp: bool,
    /// It names vector registers.
    vectors: bool,
}

/// Blocks and buffers of one thread.
#[derive(Debug)]
pub struct Tier0 {
    blocks: FxHashMap<u64, Block>,
    kept: usize,
    interp: Interp,
    state: State,
    builder: Builder,
    /// The vector registers are in `state`.
    has_vectors: bool,
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
            has_vectors: false,
        }
    }
}

/// Interprets from the thread's context.
pub fn run(thread: &mut Thread) -> Next {
    if thread.context.rflags & TRAP != 0 {
        return Next::Native;
    }
    lockstep::departing(thread, 1, false, false);
    let mut tier = thread.interp.take().unwrap_or_default();
    let left = tier.run(thread);
    thread.interp = Some(tier);
    match left {
        Left::Boundary => Next::Boundary,
        Left::Stepped => {
            lockstep::arrived(thread, true);
            Next::Boundary
        }
        Left::Native => Next::Native,
        Left::Syscall => {
            dispatch::system_call(thread);
            Next::Boundary
        }
    }
}

/// Why the interpreter stopped.
enum Left {
    Boundary,
    /// After one instruction, to be verified.
    Stepped,
    Native,
    Syscall,
}

impl Tier0 {
    fn run(&mut self, thread: &mut Thread) -> Left {
        self.fetch(&thread.context);
        let left = loop {
            if thread.has_pending() {
                break Left::Boundary;
            }
            let pc = thread.context.pc;
            let verifying = process().options.verify;
            let Some(block) = current(&mut self.blocks, &mut self.kept, &mut self.builder, pc, verifying)
            else {
                break Left::Native;
            };
            let Some(trace) = &block.trace else { break Left::Native };
            if block.default_fp && mxcsr(&thread.context) & !0x3f != DEFAULT_MXCSR {
                break Left::Native;
            }
            if block.vectors && !self.has_vectors {
                fetch_vectors(&mut self.state, &thread.context);
                self.has_vectors = true;
            }
            match self.interp.run(trace, &mut self.state, &mut Memory, 0) {
                Outcome::Exit { kind, resume, .. } => {
                    thread.context.pc = address(resume);
                    match kind {
                        ExitKind::Jump | ExitKind::Call | ExitKind::Return => {}
                        ExitKind::Syscall => break Left::Syscall,
                        _ => break Left::Native,
                    }
                }
                // The slots are those before the instruction; executed natively it faults by itself.
                Outcome::Fault { pc, .. } => {
                    thread.context.pc = address(pc);
                    break Left::Native;
                }
                Outcome::Raised | Outcome::OutOfFuel => break Left::Native,
            }
            if verifying {
                break Left::Stepped;
            }
        };
        self.put_back(&mut thread.context);
        left
    }

    /// The context's integer state comes here.
    fn fetch(&mut self, c: &Context) {
        for (i, &v) in c.gpr.iter().enumerate() {
            self.state.set(slots::gpr(i as u8), v);
        }
        self.state.set(slots::FLAGS, c.rflags & STATUS);
        self.state.set(slots::DF, u64::from(c.rflags & DIRECTION != 0));
        self.state.set(slots::FS_BASE, c.guest_fs);
        self.state.set(slots::GS_BASE, c.guest_gs);
        self.has_vectors = false;
    }

    /// The state goes back to the context.
    fn put_back(&mut self, c: &mut Context) {
        for (i, v) in c.gpr.iter_mut().enumerate() {
            *v = self.state.get(slots::gpr(i as u8));
        }
        let direction = if self.state.get(slots::DF) != 0 { DIRECTION } else { 0 };
        c.rflags = c.rflags & !(STATUS | DIRECTION) | self.state.get(slots::FLAGS) | direction;
        if std::mem::take(&mut self.has_vectors) {
            put_back_vectors(&self.state, c);
        }
    }
}

fn address(pc: Pc) -> u64 {
    match pc {
        Pc::Addr(a) => a,
        _ => 0,
    }
}

/// The block at `pc`, as the code is now; `None` when there is no code.
fn current<'a>(
    blocks: &'a mut FxHashMap<u64, Block>,
    kept: &mut usize,
    builder: &mut Builder,
    pc: u64,
    single: bool,
) -> Option<&'a Block> {
    let generation = codemap::generation();
    let known = blocks.get_mut(&pc).is_some_and(|b| {
        if b.generation == generation && !b.changes {
            return true;
        }
        let same_range =
            b.generation == generation || dispatch::is_changeable(GuestPcAddr(pc)) == Some(b.changes);
        let same = same_range && has_bytes(pc, &b.source);
        if same {
            b.generation = generation;
        }
        same
    });
    if !known {
        if *kept > MAX_KEPT {
            blocks.clear();
            *kept = 0;
        }
        let block = lift(builder, pc, generation, single)?;
        *kept += block.trace.as_ref().map_or(1, |t| 1 + t.exits.len());
        blocks.insert(pc, block);
    }
    blocks.get(&pc)
}

fn has_bytes(pc: u64, source: &[u8]) -> bool {
    let mut now = [0u8; MAX_BYTES];
    let now = &mut now[..source.len()];
    read_guest(pc, now).is_ok() && now == source
}

/// Lifts the code at `pc`.
fn lift(b: &mut Builder, pc: u64, generation: u64, single: bool) -> Option<Block> {
    let mut buffer = [0u8; MAX_BYTES];
    let (len, changes) = dispatch::copy_code(GuestPcAddr(pc), &mut buffer)?;
    let bytes = &buffer[..len];
    // While verifying, floating point is lifted too: that is what is to be verified.
    let fp = if process().options.verify { Fp::AssumeDefault } else { Fp::Native };
    let max = if changes || single { 1 } else { MAX_BLOCK };
    b.reset(Pc::Addr(pc));
    let guest = X86_64;
    let mut here = 0;
    let mut count = 0;
    let mut lifted = Lifted::Next;
    while count < max && lifted == Lifted::Next {
        let at = GuestPc(pc.wrapping_add(here as u64));
        let Ok(inst) = guest.decode(&bytes[here..], at) else { break };
        if !guest.is_modelled(&inst, fp) {
            break;
        }
        let next = here + inst.len();
        if count == 0 {
            b.at(Pc::Addr(at.0));
        } else {
            b.at_exact(Pc::Addr(at.0));
        }
        lifted = guest.lift(&inst, &bytes[here..next], fp, b);
        here = next;
        count += 1;
    }
    if count == 0 {
        let source = bytes[..len.min(15)].into();
        return Some(Block { trace: None, source, generation, changes, default_fp: false, vectors: false });
    }
    guest.end_trace(lifted, GuestPc(pc.wrapping_add(here as u64)), b);
    let trace = b.trace().clone();
    let is_vector = |slot: usize| slot >= usize::from(slots::ZMM0.0);
    let mut vectors =
        trace.insts.iter().any(|i| i.op == Op::Slot && i.args[0].as_index().is_some_and(is_vector));
    for exit in &trace.exits {
        trace.for_each_bind(exit.id, |bind| vectors |= is_vector(bind.slot.index()));
    }
    let default_fp = trace.facts.iter().any(|f| &*f.name == "FpDefault");
    Some(Block { trace: Some(trace), source: bytes[..here].into(), generation, changes, default_fp, vectors })
}

/// The guest's memory.
struct Memory;

fn fault(addr: u64, write: bool) -> Fault {
    Fault::Memory { addr, write }
}

impl Machine for Memory {
    // Most vector instructions with a memory operand in 128 bits demand alignment, others do not care.
    // Natively all of them do what they should.

    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        let (parts, rest) = bytes.as_chunks_mut::<16>();
        if !rest.is_empty() {
            return Err(Fault::Unsupported);
        }
        if !addr.is_multiple_of(16 * parts.len() as u64) {
            return Err(Fault::Misaligned { addr });
        }
        let mut at = addr;
        for part in parts {
            access::load16(at, part).ok_or(fault(at, false))?;
            at += 16;
        }
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        let (parts, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(Fault::Unsupported);
        }
        if !addr.is_multiple_of(16 * parts.len() as u64) {
            return Err(Fault::Misaligned { addr });
        }
        let mut at = addr;
        for part in parts {
            access::store16(at, part).ok_or(fault(at, true))?;
            at += 16;
        }
        Ok(())
    }

    fn load_word(&mut self, addr: u64, size: u32, _: ClassId) -> Result<u64, Fault> {
        access::load(addr, size).ok_or(fault(addr, false))
    }

    fn store_word(&mut self, addr: u64, size: u32, value: u64, _: ClassId) -> Result<(), Fault> {
        access::store(addr, size, value).ok_or(fault(addr, true))
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
        atomic(op, ty, addr, value, new)
    }

    fn fence(&mut self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// An atomic operation on the guest's memory; see [`Machine::atomic`].
pub fn atomic(op: Op, ty: Type, addr: u64, value: u128, new: u128) -> Result<u128, Fault> {
    let size = ty.bytes();
    let missing = fault(addr, true);
    if size == 16 && (op != Op::AtomicCas || !addr.is_multiple_of(16)) {
        return Err(Fault::Misaligned { addr });
    }
    if op == Op::AtomicCas {
        return access::compare_and_swap(addr, size, value, new).ok_or(missing);
    }
    let mut old = u128::from(access::load(addr, size).ok_or(missing)?);
    loop {
        let result = atomic_result(op, ty, old, value, new);
        let found = access::compare_and_swap(addr, size, old, result).ok_or(missing)?;
        if found == old {
            return Ok(old);
        }
        old = found;
    }
}

/// Where the parts of the vector registers are in a thread's area, which is in XSAVE's compacted format with all
/// components that the machine has (or empty, at the start of a program).
struct Halves {
    /// `XCOMP_BV` of the format.
    format: u64,
    /// Bits 128 to 255 of the first sixteen registers.
    middle: Option<usize>,
    /// Bits 256 to 511.
    upper: Option<usize>,
}

/// Offsets that do not depend on the format, and bits of the header.
mod area {
    pub const MXCSR: usize = 24;
    pub const XMM: usize = 160;
    pub const IN_USE: usize = 512;
    pub const FORMAT: usize = 520;
    pub const EXTENDED: usize = 576;
    /// MXCSR and the low halves.
    pub const SSE: u64 = 1 << 1;
    pub const AVX: u64 = 1 << 2;
    pub const ZMM: u64 = 1 << 6;
}

static HALVES: LazyLock<Halves> = LazyLock::new(|| {
    let mask = process().layout.mask;
    let (mut middle, mut upper) = (None, None);
    let mut at = area::EXTENDED;
    for component in (2..63).filter(|c| mask >> c & 1 != 0) {
        let leaf = std::arch::x86_64::__cpuid_count(0xd, component);
        if leaf.ecx & 2 != 0 {
            at = at.next_multiple_of(64);
        }
        match 1u64 << component {
            area::AVX => middle = Some(at),
            area::ZMM => upper = Some(at),
            _ => {}
        }
        at += leaf.eax as usize;
    }
    Halves { format: mask | 1 << 63, middle, upper }
});

fn in_use(c: &Context) -> u64 {
    // SAFETY: the thread's vector area, which holds a header at this offset.
    unsafe { c.xsave.add(area::IN_USE).cast::<u64>().read() }
}

/// SSE control and status of the guest.
pub fn mxcsr(c: &Context) -> u32 {
    if in_use(c) & area::SSE == 0 {
        return DEFAULT_MXCSR;
    }
    // SAFETY: as in `in_use`.
    unsafe { c.xsave.add(area::MXCSR).cast::<u32>().read() }
}

fn fetch_vectors(state: &mut State, c: &Context) {
    let used = in_use(c);
    let words = |bit: u64, at: Option<usize>, index: usize, into: &mut [u64]| {
        if let Some(at) = at
            && used & bit != 0
        {
            let size = into.len() * 8;
            // SAFETY: as in `in_use`; sixteen parts of this size stand at `at`.
            unsafe {
                let from = c.xsave.add(at + size * index).cast::<u64>();
                std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len());
            }
        }
    };
    for i in 0..VECTORS {
        let mut w = ir::types::ZERO;
        words(area::SSE, Some(area::XMM), i, &mut w[..2]);
        words(area::AVX, HALVES.middle, i, &mut w[2..4]);
        words(area::ZMM, HALVES.upper, i, &mut w[4..]);
        state.set_wide(slots::zmm(i as u8), &w);
    }
}

/// What is zero in all registers is not in use afterwards.
fn put_back_vectors(state: &State, c: &Context) {
    let mut used = in_use(c);
    // SAFETY: as in `in_use`; the layout is the one of `HALVES` once its format is noted. An area in standard
    // format is an empty one, which has no parts to be moved. MXCSR must be valid when the low halves are in use.
    unsafe {
        c.xsave.add(area::FORMAT).cast::<u64>().write(HALVES.format);
        if used & area::SSE == 0 {
            c.xsave.add(area::MXCSR).cast::<u32>().write(DEFAULT_MXCSR);
        }
    }
    let parts = [
        (area::SSE, Some(area::XMM), 0..2),
        (area::AVX, HALVES.middle, 2..4),
        (area::ZMM, HALVES.upper, 4..8),
    ];
    for (bit, at, range) in parts {
        let Some(at) = at else { continue };
        let zero = |i: usize| state.get_wide(slots::zmm(i as u8))[range.clone()].iter().all(|&w| w == 0);
        if bit != area::SSE && (0..VECTORS).all(zero) {
            used &= !bit;
            continue;
        }
        used |= bit;
        for i in 0..VECTORS {
            let from = &state.get_wide(slots::zmm(i as u8))[range.clone()];
            // SAFETY: as in `fetch_vectors`.
            unsafe {
                let to = c.xsave.add(at + from.len() * 8 * i).cast::<u64>();
                std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
            }
        }
    }
    // SAFETY: as in `in_use`.
    unsafe { c.xsave.add(area::IN_USE).cast::<u64>().write(used) };
}

/// For the verifier: an instruction after which sticky floating point flags need not be those of the CPU.
pub fn forgets_sticky_flags(thread: &Thread, pc: u64) -> bool {
    thread.interp.as_ref().and_then(|t| t.blocks.get(&pc)).is_some_and(|b| b.default_fp)
}
