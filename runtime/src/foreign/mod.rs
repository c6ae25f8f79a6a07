//! Programs for another machine: AArch64 Linux programs on an x86-64 one.
//!
//! Such a guest shares with a native one the process ([`crate::process`]), the code cache, the kernel's calls
//! ([`crate::syscall`]) and the queue of signals ([`crate::signal`]); `Process::foreign` says that a process has one. Its own are its
//! registers ([`state`]), the numbers and structures of its system calls ([`syscall`]), and the frames of its signals ([`signal`]).
//! [`load`] prepares the first thread.

pub mod load;
pub mod signal;
pub mod state;
pub mod syscall;

use crate::thread::Thread;

/// The optional instructions that programs are told of (`AT_HWCAP`): floating point, vectors, CRC32, atomics.
pub const HWCAP: u64 = 1 | 1 << 1 | 1 << 7 | 1 << 8;

/// Runs the guest on this thread, from its state, for ever.
pub fn run(_thread: &mut Thread) -> ! {
    crate::report::fatal("programs for AArch64 are not translated yet")
}
