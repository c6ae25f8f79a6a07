//! Signals: Ctrl-C in a running script, and pipes whose reader is gone.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::api::Cx;

/// The flag of the running state, null when nothing runs.
static FLAG: AtomicPtr<AtomicBool> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn interrupted(signal: libc::c_int) {
    // SAFETY: `signal` is async-signal-safe; a second Ctrl-C then ends the process. The flag outlives the guard that
    // announced it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if let Some(flag) = FLAG.load(Ordering::SeqCst).as_ref() {
            flag.store(true, Ordering::SeqCst);
        }
    }
}

/// While this lives, Ctrl-C raises the error `interrupted!` in the script.
pub struct Interrupts(());

/// Makes Ctrl-C an error in the script.
pub fn interrupts(cx: Cx) -> Interrupts {
    FLAG.store(cx.interrupt_flag().cast_mut(), Ordering::SeqCst);
    set(libc::SIGINT, interrupted as *const () as libc::sighandler_t);
    Interrupts(())
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        set(libc::SIGINT, libc::SIG_DFL);
        FLAG.store(std::ptr::null_mut(), Ordering::SeqCst);
    }
}

fn set(signal: libc::c_int, handler: libc::sighandler_t) {
    // SAFETY: a zeroed `sigaction` is valid; the handler is async-signal-safe or a constant.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Writing to a pipe without reader ends the process, as C programs do; Rust's start-up had turned that off.
pub fn default_broken_pipe() {
    set(libc::SIGPIPE, libc::SIG_DFL);
}
