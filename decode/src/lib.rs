//! Guest instructions: bytes → decoded instruction with its registers, flags, memory operands and control
//! flow → trace IR.
//!
//! A guest is a value of a type that implements [`Guest`]; [`x86_64::X86_64`] is one. Per guest, in the order
//! data flows: what an instruction is (`inst`), bytes → instruction (`decode`), what is dead ahead
//! (`liveness`), the guest's state as slots (`slots`), the meaning of each instruction (`semantics`), and the
//! lifter that writes it down as IR (`lift` and its parts).
//!
//! What is not modelled becomes a `native` operation with exact effects, so lifting refuses only what
//! cannot stand in a trace at all ([`Lifted::Leave`]).
//!
//! What this crate must not know: code caches, processes, how traces are run.

#![forbid(unsafe_code)]

use ir::builder::Builder;
use ir::snapshot::ExitKind;
use ir::trace::{Decls, Trace};
use ir::types::{Operand, Pc};
use std::fmt;
use std::sync::Arc;

pub mod x86_64;

pub mod aarch64;

/// An address of guest code. Never a host pointer: the bytes at it are handed in as slices.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GuestPc(pub u64);

impl GuestPc {
    /// The address `bytes` further on, wrapping at the end of the address space.
    pub const fn offset(self, bytes: u64) -> GuestPc {
        GuestPc(self.0.wrapping_add(bytes))
    }
}

impl fmt::Debug for GuestPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for GuestPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for GuestPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Why there is no instruction at an address. Both cases are the guest's fault, never the decoder's: the
/// CPU would raise a page fault or `#UD` at the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the instruction does. With more bytes it may be valid.
    #[error("instruction at {pc} continues past the {available} readable bytes")]
    Truncated {
        /// Where the instruction starts.
        pc: GuestPc,
        /// How many bytes there were.
        available: usize,
    },
    /// No instruction starts with these bytes; executing them raises `#UD`.
    #[error("no instruction at {pc}")]
    Invalid {
        /// Where it should start.
        pc: GuestPc,
    },
}

impl DecodeError {
    /// Where the instruction should have started.
    pub fn pc(&self) -> GuestPc {
        match *self {
            DecodeError::Truncated { pc, .. } | DecodeError::Invalid { pc } => pc,
        }
    }
}

/// How floating point is lifted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Fp {
    /// As `native` operations: exact under any control word, sticky exception flags included.
    #[default]
    Native,
    /// As operations of the IR. The trace assumes `FpDefault` (control word at its default); sticky
    /// exception flags are those that the generated code happens to raise.
    AssumeDefault,
}

/// What an instruction did with control, besides what it did to the state in the [`Builder`].
///
/// State changes of a branch (a pushed return address, a decremented counter) have been made when this is
/// returned, and hold on every way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifted {
    /// Control goes on behind the instruction.
    Next,
    /// Control goes to `taken` if the `i1` operand is 1, else behind the instruction.
    Branch {
        /// The condition.
        cond: Operand,
        /// Where it goes when the condition holds.
        taken: GuestPc,
    },
    /// Control goes to a known place.
    Jump {
        /// The place.
        target: GuestPc,
        /// Why.
        kind: ExitKind,
    },
    /// Control goes to a computed place.
    Indirect {
        /// An `i64`.
        target: Operand,
        /// Why.
        kind: ExitKind,
    },
    /// The instruction has not been lifted: the trace must leave here, and whoever runs it does what `kind`
    /// says and goes on at `resume`. The state is the one before the instruction.
    Leave {
        /// Where to go on: the instruction itself for [`ExitKind::Step`].
        resume: GuestPc,
        /// What to do first.
        kind: ExitKind,
    },
}

/// A guest architecture: its state as data, and its instructions.
pub trait Guest {
    /// A decoded instruction.
    type Inst;

    /// State slots and alias classes of its traces.
    fn decls(&self) -> &Arc<Decls>;

    /// Decodes the instruction at `pc`, whose bytes are at the start of `bytes`.
    ///
    /// # Errors
    /// When there is none; see [`DecodeError`].
    fn decode(&self, bytes: &[u8], pc: GuestPc) -> Result<Self::Inst, DecodeError>;

    /// Where the instruction is, and where the next one is.
    fn range(&self, inst: &Self::Inst) -> (GuestPc, GuestPc);

    /// Does lifting need no `native` operation and no leaving? Cheap: no lifting happens.
    fn is_modelled(&self, inst: &Self::Inst, fp: Fp) -> bool;

    /// Writes the instruction into the builder. The caller has marked its place ([`Builder::at`]) and makes the exits
    /// that the result asks for. `bytes` are the instruction's own.
    fn lift(&self, inst: &Self::Inst, bytes: &[u8], fp: Fp, b: &mut Builder) -> Lifted;

    /// Ends the trace in `b` after an instruction that did this with control: by an exit to where control goes.
    /// A conditional branch gets a second exit by a guard, for the way that is not taken. `next` is the address behind
    /// the instruction.
    fn end_trace(&self, lifted: Lifted, next: GuestPc, b: &mut Builder) {
        let end = match lifted {
            Lifted::Next => b.exit(Pc::Addr(next.0), ExitKind::Jump),
            Lifted::Branch { cond, taken } => {
                let other = b.exit(Pc::Addr(next.0), ExitKind::Jump);
                b.guard(cond, other);
                b.exit(Pc::Addr(taken.0), ExitKind::Jump)
            }
            Lifted::Jump { target, kind } => b.exit(Pc::Addr(target.0), kind),
            Lifted::Indirect { target, kind } => b.exit_indirect(target, kind),
            Lifted::Leave { resume, kind } => b.exit(Pc::Addr(resume.0), kind),
        };
        b.end_exit(end);
    }

    /// A trace of this one instruction; see [`Guest::end_trace`] for its exits. `b` must be over this guest's
    /// declarations; it is reset first, and keeps its memory for the next time.
    fn lift_one_into(&self, inst: &Self::Inst, bytes: &[u8], fp: Fp, b: &mut Builder) {
        let (pc, next) = self.range(inst);
        b.reset(Pc::Addr(pc.0));
        b.at(Pc::Addr(pc.0));
        let lifted = self.lift(inst, bytes, fp, b);
        self.end_trace(lifted, next, b);
    }

    /// A trace of the straight line of code at `pc`, whose bytes are at the start of `bytes`: at most `max`
    /// instructions (at least one), up to the first that does anything else with control than go on. Returns
    /// how many it holds. Faults find the exact state of every instruction. `b` as for [`Guest::lift_one_into`].
    ///
    /// # Errors
    /// When there is no instruction at `pc`. Where there is none later, the trace leaves to that place.
    fn lift_block_into(
        &self,
        bytes: &[u8],
        pc: GuestPc,
        max: usize,
        fp: Fp,
        b: &mut Builder,
    ) -> Result<usize, DecodeError> {
        b.reset(Pc::Addr(pc.0));
        let (mut here, mut count) = (pc, 0);
        loop {
            let rest = bytes.get(here.0.wrapping_sub(pc.0) as usize..).unwrap_or_default();
            let inst = match self.decode(rest, here) {
                Ok(inst) => inst,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            };
            let (_, next) = self.range(&inst);
            let len = next.0.wrapping_sub(here.0) as usize;
            if count == 0 {
                b.at(Pc::Addr(here.0));
            } else {
                b.at_exact(Pc::Addr(here.0));
            }
            count += 1;
            let lifted = self.lift(&inst, rest.get(..len).unwrap_or(rest), fp, b);
            if lifted != Lifted::Next {
                self.end_trace(lifted, next, b);
                return Ok(count);
            }
            here = next;
            if count >= max {
                break;
            }
        }
        self.end_trace(Lifted::Next, here, b);
        Ok(count)
    }

    /// As [`Guest::lift_one_into`], from bytes to a trace of its own.
    ///
    /// # Errors
    /// When there is no instruction.
    fn lift_one(&self, bytes: &[u8], pc: GuestPc, fp: Fp) -> Result<Trace, DecodeError> {
        let inst = self.decode(bytes, pc)?;
        let (start, end) = self.range(&inst);
        let len = end.0.wrapping_sub(start.0) as usize;
        let mut b = Builder::new(self.decls().clone(), "one", Pc::Addr(pc.0));
        self.lift_one_into(&inst, &bytes[..len.min(bytes.len())], fp, &mut b);
        Ok(b.finish())
    }
}
