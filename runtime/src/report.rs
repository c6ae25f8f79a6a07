//! What `dynrun` says: fatal errors of its own, and statistics at exit.

use crate::process::process;
use crate::thread::Thread;
use std::sync::atomic::Ordering;

/// Exit status when dynrun itself fails.
pub const OWN_FAILURE: i32 = 125;

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
