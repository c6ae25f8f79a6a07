//! The first thread of a program for another machine.
//!
//! The kernel gives an AArch64 process a page with the instructions by which a signal handler that returns calls `rt_sigreturn`,
//! whether or not it has a vdso: C libraries rely on it. [`start`] maps that page, which counts as the guest's own.

use crate::codemap::CodeRange;
use crate::process::process;
use crate::thread::Thread;
use std::sync::atomic::{AtomicU64, Ordering};

/// `mov x8, #139; svc #0`: debuggers and unwinders know a signal frame by these two instructions.
const RETURN: [u32; 2] = [0xd280_1168, 0xd400_0001];

/// Bytes of a page.
const PAGE: usize = 4096;

static TRAMPOLINE: AtomicU64 = AtomicU64::new(0);

/// Where a signal handler returns to.
pub fn trampoline() -> u64 {
    TRAMPOLINE.load(Ordering::Relaxed)
}

/// Prepares the thread that begins the program. Its `pc` is set already.
pub fn start(thread: &mut Thread, image: &loader::Image) {
    thread.context.foreign.sp = image.stack_pointer.0;
    let page = match map_trampoline() {
        Ok(page) => page,
        Err(e) => crate::report::fatal(&format!("no memory for the program: {e}")),
    };
    TRAMPOLINE.store(page, Ordering::Relaxed);
    process().lock().map.insert(CodeRange {
        start: page,
        end: page + PAGE as u64,
        prot: libc::PROT_READ | libc::PROT_EXEC,
        shared: false,
        file: None,
    });
}

fn map_trampoline() -> std::io::Result<u64> {
    // SAFETY: a new mapping, written before anybody knows of it, and then only read.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        page.cast::<[u32; 2]>().write(RETURN);
        if libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_EXEC) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(page as u64)
    }
}
