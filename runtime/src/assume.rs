//! Facts about the guest process that optimised traces rest on, and the events that make them untrue.
//!
//! | fact | says | ends when |
//! |---|---|---|
//! | [`SINGLE_THREADED`] | no other thread runs in this memory | a thread is about to be made |
//! | [`NOTHING_SHARED`] | nobody outside writes memory of this process | memory that others can write is about to be mapped |
//! | [`NO_FAULT_HANDLER`] | a fault ends the process | a handler for a fault signal is about to be installed |
//! | [`NO_CONTEXT`] | no signal handler is given the registers | a handler is about to be installed with `SA_SIGINFO` |
//! | [`FP_DEFAULT`] | SSE rounds to nearest, masks all exceptions, and nobody resets the sticky flags | the guest loads another control word |
//!
//! The first two together are the IR's `Private(guest)`. Code made while a fact holds dies with it ([`fragcache::assume`]),
//! before the event happens; code made later does without.
//!
//! What does not end a fact: the child of `vfork`, whose parent waits in the kernel meanwhile; a debugger, and
//! another process that writes by `process_vm_writev`; the kernel's writes during system calls, which no trace contains.
//! The page behind the vdso changes at any time, so code of the vdso never counts as private ([`is_vdso`]).
//! Files of the installed system that are mapped to be read only count as constant.

use crate::process::process;
use std::sync::OnceLock;

/// No other thread runs in this memory.
pub const SINGLE_THREADED: u32 = 1;
/// Nobody outside writes memory of this process.
pub const NOTHING_SHARED: u32 = 2;
/// A fault ends the process.
pub const NO_FAULT_HANDLER: u32 = 4;
/// The floating point control word is at its default.
pub const FP_DEFAULT: u32 = 8;
/// No signal handler is given the registers: flags that the code at an exit overwrites unread are seen by nobody.
pub const NO_CONTEXT: u32 = 16;
/// What `Private(guest)` rests on.
pub const PRIVATE: u32 = SINGLE_THREADED | NOTHING_SHARED;

/// These facts hold no longer: code that rests on them dies. To be called before the event, without locks.
pub fn revoke(facts: u32) {
    let mut shared = process().lock();
    if shared.cache.holds(facts) {
        let dead = shared.cache.revoke(facts);
        tracing::debug!(facts, dead, "assumptions revoked");
    } else {
        shared.cache.revoke(facts);
    }
}

/// A mapping is about to be made. Does it bring memory in that others may write?
pub fn mapping(prot: i32, flags: i32, fd: i32) {
    if !matches!(flags & 0xf, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE) {
        return;
    }
    if prot & libc::PROT_WRITE == 0 && flags & libc::MAP_ANONYMOUS == 0 && is_system_file(fd) {
        return;
    }
    revoke(NOTHING_SHARED);
}

/// A file that was opened for reading only, of the installed system.
fn is_system_file(fd: i32) -> bool {
    // SAFETY: asks only.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    mode >= 0
        && mode & libc::O_ACCMODE == libc::O_RDONLY
        && std::fs::read_link(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|p| ["/usr", "/lib", "/lib64"].iter().any(|dir| p.starts_with(dir)))
}

/// Where the vdso lies.
pub fn vdso() -> std::ops::Range<u64> {
    static RANGE: OnceLock<(u64, u64)> = OnceLock::new();
    let &(start, end) = RANGE.get_or_init(|| {
        // SAFETY: reads the auxiliary vector.
        match unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } {
            0 => (0, 0),
            // The vdso is mapped and starts with an ELF header.
            at => (at, at + 2 * 4096),
        }
    });
    start..end
}

/// Whether the code at an address reads memory that the kernel writes at any time.
pub fn is_vdso(pc: u64) -> bool {
    vdso().contains(&pc)
}
