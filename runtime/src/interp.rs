//! Tier 0: guest code lifted to trace IR and interpreted.
//!
//! A block is lifted once and kept per thread: straight-line code up to a branch or to the first
//! instruction that the lifter does not model. Such instructions, and every instruction that faults, are
//! executed natively, one at a time, in fragments of the code cache. So faults, watched pages, vector
//! extensions and the x87 are what they are in the other tiers, and this one has no rules of its own for them.
//!
//! While blocks run, the integer state lives in the interpreter's [`State`]; the [`Context`] of the
//! thread gets it back before anybody else looks ([`Tier0::put_back`]). The low halves of the vector registers
//! are fetched when a block first uses them.
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
    lockstep::departing(thread, 1);
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
    let vectors = trace
        .insts
        .iter()
        .any(|i| i.op == Op::Slot && i.args[0].as_index().is_some_and(|s| s >= usize::from(slots::ZMM0.0)));
    let default_fp = trace.facts.iter().any(|f| &*f.name == "FpDefault");
    Some(Block { trace: Some(trace), source: bytes[..here].into(), generation, changes, default_fp, vectors })
}

/// The guest's memory.
struct Memory;

fn fault(addr: u64, write: bool) -> Fault {
    Fault::Memory { addr, write }
}

impl Machine for Memory {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        // Most instructions with such an operand demand alignment; the others are rare. Natively all
        // of them do what they should.
        if !addr.is_multiple_of(16) {
            return Err(Fault::Misaligned { addr });
        }
        match bytes.try_into() {
            Ok(bytes) => access::load16(addr, bytes).ok_or(fault(addr, false)),
            Err(_) => Err(Fault::Unsupported),
        }
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        if !addr.is_multiple_of(16) {
            return Err(Fault::Misaligned { addr });
        }
        match bytes.try_into() {
            Ok(bytes) => access::store16(addr, bytes).ok_or(fault(addr, true)),
            Err(_) => Err(Fault::Unsupported),
        }
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

    fn fence(&mut self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// Offsets in the area that XSAVE writes; the same in both of its formats.
mod area {
    pub const MXCSR: usize = 24;
    pub const XMM: usize = 160;
    pub const IN_USE: usize = 512;
    /// The bit of `IN_USE` for MXCSR and the low halves.
    pub const SSE: u64 = 2;
}

fn in_use(c: &Context) -> u64 {
    // SAFETY: the thread's vector area, which holds a header at this offset.
    unsafe { c.xsave.add(area::IN_USE).cast::<u64>().read() }
}

/// SSE control and status of the guest.
fn mxcsr(c: &Context) -> u32 {
    if in_use(c) & area::SSE == 0 {
        return DEFAULT_MXCSR;
    }
    // SAFETY: as in `in_use`.
    unsafe { c.xsave.add(area::MXCSR).cast::<u32>().read() }
}

fn fetch_vectors(state: &mut State, c: &Context) {
    let used = in_use(c) & area::SSE != 0;
    for i in 0..VECTORS {
        let mut w = ir::types::ZERO;
        if used {
            // SAFETY: as in `in_use`; sixteen registers of sixteen bytes stand at this offset.
            let half = unsafe { c.xsave.add(area::XMM + 16 * i).cast::<[u64; 2]>().read() };
            w[..2].copy_from_slice(&half);
        }
        state.set_wide(slots::zmm(i as u8), &w);
    }
}

fn put_back_vectors(state: &State, c: &Context) {
    // SAFETY: as in `fetch_vectors`; with the bit for these registers set MXCSR must be valid too.
    unsafe {
        let header = c.xsave.add(area::IN_USE).cast::<u64>();
        if header.read() & area::SSE == 0 {
            header.write(header.read() | area::SSE);
            c.xsave.add(area::MXCSR).cast::<u32>().write(DEFAULT_MXCSR);
        }
        for i in 0..VECTORS {
            let w = state.get_wide(slots::zmm(i as u8));
            c.xsave.add(area::XMM + 16 * i).cast::<[u64; 2]>().write([w[0], w[1]]);
        }
    }
}

/// For the verifier: an instruction after which sticky floating point flags need not be those of the CPU.
pub fn forgets_sticky_flags(thread: &Thread, pc: u64) -> bool {
    thread.interp.as_ref().and_then(|t| t.blocks.get(&pc)).is_some_and(|b| b.default_fp)
}
