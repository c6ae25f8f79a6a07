//! What `dynrun` says: fatal errors of its own, and statistics at exit.

use crate::process::process;
use crate::thread::Thread;
use std::sync::atomic::{AtomicI32, Ordering};

/// Exit status when dynrun itself fails.
pub const OWN_FAILURE: i32 = 125;

/// Where diagnostics go when the guest may have closed or replaced its standard error: a copy at a
/// high number, which the guest can neither see nor close; -1 when there is none.
pub static PRIVATE: AtomicI32 = AtomicI32::new(-1);

/// Keeps a private copy of standard error.
pub fn keep_stderr() {
    // SAFETY: duplicates a descriptor.
    let fd = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, fragcache::memory::high_descriptor_floor()) };
    PRIVATE.store(fd.max(-1), Ordering::Relaxed);
}

/// The guest wants the number of the private copy: takes another one.
pub fn move_private() {
    let old = PRIVATE.load(Ordering::Relaxed);
    // SAFETY: duplicates and closes a descriptor of ours.
    unsafe {
        let new = libc::fcntl(old, libc::F_DUPFD_CLOEXEC, old + 1);
        let new = if new < 0 { libc::fcntl(old, libc::F_DUPFD_CLOEXEC, 3) } else { new };
        PRIVATE.store(new.max(-1), Ordering::Relaxed);
        libc::close(old);
    }
}

/// One line on standard error, without locks or allocation.
pub fn line(text: &str) {
    let parts = ["dynrun: ", text, "\n"];
    let v = parts.map(|p| libc::iovec { iov_base: p.as_ptr() as *mut libc::c_void, iov_len: p.len() });
    // SAFETY: writes live strings.
    unsafe {
        libc::writev(2, v.as_ptr(), 3);
    }
}

/// Ends the process because the runtime cannot go on.
pub fn fatal(text: &str) -> ! {
    line(text);
    // SAFETY: ends the process.
    unsafe {
        libc::syscall(libc::SYS_exit_group, OWN_FAILURE);
    }
    unreachable!("exit_group does not return")
}

/// A fault in code of ours.
pub fn runtime_fault(thread: &Thread, signal: i32, rip: usize, address: usize) -> ! {
    fatal(&format!(
        "internal error: signal {signal} at {rip:#x} (address {address:#x}), guest at {:#x}, in cache {}; \
         please report it. To go on: --tier block or -O0; to reproduce: --no-aslr",
        thread.context.pc, thread.context.in_cache
    ))
}

/// Statistics and dumps that were asked for.
pub fn at_exit(_thread: &mut Thread) {
    let p = process();
    if p.options.stats.is_some() {
        let shared = p.lock();
        let s = shared.cache.stats;
        let c = &p.counts;
        line(&format!(
            "{s:?} direct {} misses {} syscalls {} hot {} code {}",
            c.direct.load(Ordering::Relaxed),
            c.misses.load(Ordering::Relaxed),
            c.syscalls.load(Ordering::Relaxed),
            c.hot.load(Ordering::Relaxed),
            shared.cache.memory.used()
        ));
    }
}

/// The process goes on as another program.
pub fn at_exec(thread: &mut Thread) {
    at_exit(thread);
}
