//! Signals: Ctrl-C in a running script, and pipes whose reader is gone.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::api::Cx;
use crate::state::Global;

/// The running state, null when nothing runs.
static RUNNING: AtomicPtr<Global> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn interrupted(signal: libc::c_int) {
    // SAFETY: `signal` is async-signal-safe; a second Ctrl-C then ends the process. The state outlives the guard that
    // announced it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let running = RUNNING.load(Ordering::SeqCst);
        if !running.is_null() {
            crate::vm::interrupt(running);
        }
    }
}

/// While this lives, Ctrl-C raises the error `interrupted!` in the script.
pub struct Interrupts(());

/// Makes Ctrl-C an error in the script.
pub fn interrupts(cx: Cx) -> Interrupts {
    RUNNING.store(cx.shared(), Ordering::SeqCst);
    set(libc::SIGINT, interrupted as *const () as libc::sighandler_t);
    Interrupts(())
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        set(libc::SIGINT, libc::SIG_DFL);
        RUNNING.store(std::ptr::null_mut(), Ordering::SeqCst);
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
