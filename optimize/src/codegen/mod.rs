//! Machine code from a trace: what a host is told, and what comes out.
//!
//! At entry of the code, and wherever it leaves, each state slot is at its *home* ([`Home`]): the guest's state is
//! exactly there, as any other fragment expects it. In between values live where the allocator put them.
//!
//! The code leaves by jumps whose 4-byte fields whoever owns the code cache patches ([`Leaving`]). What an exit has to
//! put in place stands out of line, in front of its jump. A fault is no jump: whoever catches it looks the host address up
//! in [`Code::faults`] and goes on at the place named there, which puts the guest's state at the fault into its homes and leaves
//! like any other exit.
//!
//! What the loop passes rely on (see `passes/vectorize.rs`):
//!
//! - *Sunk lines.* A pure line whose result is used by snapshots only (directly, or through other such lines) costs nothing
//!   in the body: it is computed in the out-of-line code of each exit that needs it, from operands kept alive until there.
//!   Vectorised loops end with many of them: the last lane of each vector is what a guest register holds on leaving.
//! - *256-bit values and the guest's vector registers.* A slot `zmmN` that no exit binds must leave with all its 512 bits as they came: a
//!   register that the code takes for something else is stored to the spill area at entry and loaded again at exits. Measured on a
//!   Zen 4: upper parts of registers 0 to 15 that are not zero slow SSE code down (3.6 to 6.4 times); zeros, however they got there, do not,
//!   and registers 16 to 31 never do. So where there is AVX-512 code with 256-bit values keeps them in registers 16 to 31, by EVEX instructions. Elsewhere, and
//!   where an operation has no such form, it ends with a check without flags, and with `vzeroupper` when nothing is left above 128 bits.

pub mod x86_64;

use crate::pass::Features;
use ir::snapshot::ExitKind;
use ir::trace::Trace;
use ir::types::{ExitId, HelperId, Pc, SlotId};

/// A register that addresses memory of the thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Segment {
    /// `fs`
    Fs,
    /// `gs`
    Gs,
    /// This general register, which the host reserves ([`Host::reserved`]).
    Register(u8),
}

/// Where a state slot lives when a fragment is entered and left. Register numbers are those of encodings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Home {
    /// A general register.
    General(u8),
    /// A vector register, whole (as wide as the machine's are).
    Vector(u8),
    /// A mask register.
    Mask(u8),
    /// The status flags.
    Flags,
    /// A part of the machine state that only `native` lines read or write (direction flag, control words): never saved, never moved.
    /// A literal or computed value bound to it in an exit is refused unless the host can write it.
    Machine,
    /// The base of a segment register; memory based on it is addressed by the segment.
    Base(Segment),
    /// The thread's own memory, `segment:[offset]`: 8 bytes, or as many as a vector slot has.
    Memory(Segment, i32),
    /// Flags in 8 bytes of the thread's own memory, as [`flags_image`] has them.
    Image(Segment, i32),
}

/// The form in which [`Home::Image`] keeps packed flags: what the host saves them in cheaply.
pub fn flags_image(packed: u64) -> u64 {
    x86_64::exits::image_of(packed)
}

/// The packed flags of such an image.
pub fn flags_of_image(image: u64) -> u64 {
    image >> 8 & 0xd5 | (image & 1) << 11
}

/// What code generation is told about where the code will live. Implemented by whoever owns the cache and the thread
/// structure.
pub trait Host {
    /// What the machine can do: 256-bit instructions are used only if they are there.
    fn features(&self) -> Features;

    /// Bytes of a whole vector register, as slots hold it: 64, 32 or 16. (A machine may have registers of 32 bytes and not
    /// [`Features::v256`].)
    fn vector_bytes(&self) -> u32;

    /// Home of a slot.
    fn home(&self, slot: SlotId) -> Home;

    /// Memory of the thread for values that find no register: `segment:[start, end)`, 64-byte aligned.
    fn spill_area(&self) -> (Segment, i32, i32);

    /// Where an exit to a computed address leaves the target: this general register; the guest's own value of that
    /// register is then in memory, at the offset. So for each of the registers listed.
    fn indirect(&self) -> IndirectAbi;

    /// Appends the code that goes on at the guest address in [`IndirectAbi::target`]; returns the offset (in
    /// `code`) of the field to patch. `at` is the host address of `code[0]`.
    fn indirect_tail(&self, at: u64, code: &mut Vec<u8>) -> u32;

    /// Registers that the code neither reads nor writes, except as a [`Segment::Register`]: bits 0 to 15 general ones, from
    /// bit 16 on vector registers. If there is a vector register among them, exits use it for conversions on the way into memory, and no
    /// slot may be at home in a vector register.
    fn reserved(&self) -> u64 {
        0
    }

    /// The address of a helper. Calls follow the System V convention: up to six general and eight `f64` arguments; the stack
    /// pointer is aligned to 16 and must be reserved. A helper that raises returns a second word, in `rdx`, that is not zero when it did.
    fn helper(&self, helper: HelperId) -> Option<u64> {
        let _ = helper;
        None
    }

    /// Appends code that runs behind a call of this helper, before its results are looked at. It changes reserved registers only, and no flags.
    fn behind_call(&self, helper: HelperId, code: &mut Vec<u8>) {
        let _ = (helper, code);
    }

    /// Do homes in memory keep what they hold at entry until the trace leaves? Not if lines of the trace write there.
    fn keeps_homes(&self) -> bool {
        true
    }

    /// Appends code that runs when this exit is taken, after all slots are at their homes.
    fn before_leaving(&self, exit: ExitId, code: &mut Vec<u8>) {
        let _ = (exit, code);
    }
}

/// See [`Host::indirect`].
#[derive(Clone, Debug)]
pub struct IndirectAbi {
    /// The register with the guest address to go on at.
    pub target: u8,
    /// General registers whose guest values are in `segment:[offset]` instead (the target among them).
    pub in_memory: Vec<(u8, Segment, i32)>,
}

/// How the code leaves at a field to be patched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// `jmp rel32` at an exit of the trace to a known place.
    Direct(Pc),
    /// The field of [`Host::indirect_tail`].
    Indirect,
    /// `jmp` or `jcc rel32` that normally goes to this offset in the same code (the loop's head); patched by whoever wants
    /// the loop to end, it goes to the code of the interrupt exit, at the second offset.
    Back {
        /// Where it goes.
        head: u32,
        /// The interrupt exit's code.
        interrupt: u32,
    },
}

/// One place where the code leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeExit {
    /// The exit of the trace.
    pub exit: ExitId,
    /// What the dispatcher has to do.
    pub kind: ExitKind,
    /// How it leaves.
    pub leaving: Leaving,
    /// Offset of the 4-byte field; the field lies within one aligned 8-byte word.
    pub patch: u32,
    /// Offset of the out-of-line code that ends at the field.
    pub start: u32,
}

/// A stretch of code in which a fault belongs to one guest instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRange {
    /// First offset.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
    /// Offset of the code that puts the guest's state into place and leaves by this exit; `None` when the trace assumes that nobody looks.
    pub to: Option<(u32, ExitId)>,
    /// The guest instruction.
    pub pc: Option<Pc>,
}

/// Machine code of one trace.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// The bytes, for the address that [`compile`] was given.
    pub bytes: Vec<u8>,
    /// Offset of the entry.
    pub entry: u32,
    /// Offset of the end of the hot part; exits' code follows.
    pub hot_end: u32,
    /// Where it leaves.
    pub exits: Vec<CodeExit>,
    /// Faults, by increasing offset.
    pub faults: Vec<FaultRange>,
    /// Offsets where the code of a guest instruction begins, increasing; for dumps and profilers.
    pub lines: Vec<(u32, Pc)>,
}

/// Why a trace has no machine code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodegenError {
    /// The host has no way to do this; the caller keeps the fragments that it has.
    #[error("not supported by this host: {0}")]
    Unsupported(String),
    /// The code would need more spill space or longer jumps than there are.
    #[error("too large: {0}")]
    TooLarge(String),
    /// Register allocation went wrong; found by the checker, which runs in debug builds.
    #[error("a bug in register allocation: {0}")]
    Bug(String),
}

/// Compiles a trace for the x86-64 host address `at`.
///
/// # Errors
/// When something in it has no machine code; nothing is lost then.
pub fn compile(trace: &Trace, host: &dyn Host, at: u64) -> Result<Code, CodegenError> {
    x86_64::Compiler::default().compile(trace, host, at)
}
