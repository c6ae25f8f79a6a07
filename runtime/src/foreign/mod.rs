//! Programs for another machine: AArch64 Linux programs on an x86-64 one.
//!
//! Such a guest shares with a native one the process ([`crate::process`]), the code cache, the kernel's calls
//! ([`crate::syscall`]) and the queue of signals ([`crate::signal`]); `Process::foreign` says that a process has one. Its own are its
//! registers ([`state`]), the numbers and structures of its system calls ([`syscall`]), and the frames of its signals ([`signal`]).
//! [`load`] prepares the first thread, [`run`] is its dispatcher, [`interp`] its interpreter.

pub mod interp;
pub mod load;
pub mod signal;
pub mod state;
pub mod syscall;

use crate::thread::Thread;
use interp::Left;

pub use decode::aarch64::HWCAP;

/// Runs the guest on this thread, from its state, for ever.
pub fn run(thread: &mut Thread) -> ! {
    loop {
        if thread.has_pending() {
            signal::deliver(thread);
        }
        match interp::run(thread) {
            Left::Boundary => {}
            Left::Syscall => syscall::handle(thread),
            Left::Fault(fault) => signal::deliver_fault(thread, fault),
        }
    }
}
