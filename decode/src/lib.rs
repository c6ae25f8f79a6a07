//! Guest instructions: bytes → decoded instruction with its registers, flags, memory operands and control
//! flow → trace IR.
//!
//! Reading order: [`x86_64::inst`] says what a decoded instruction is, [`x86_64::decode`] makes one,
//! [`x86_64::liveness`] asks which flags and registers are dead.
//!
//! What this crate must not know: code caches, processes, how traces are run.

#![forbid(unsafe_code)]

use std::fmt;

pub mod x86_64;

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
