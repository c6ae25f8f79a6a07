//! Signal calls: the guest's handlers, masks and stacks, kept beside the kernel's.

use super::Call;
use crate::enter;
use crate::signal::{self, KernelAction, read_guest, write_guest};
use crate::thread::Thread;

const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

fn read_u64(at: u64) -> Result<u64, ()> {
    let mut b = [0u8; 8];
    read_guest(at, &mut b)?;
    Ok(u64::from_le_bytes(b))
}

/// `rt_sigaction`
pub fn sigaction(thread: &mut Thread, call: &Call) -> i64 {
    let [number, new_at, old_at, size, ..] = call.args;
    if size != 8 {
        return EINVAL;
    }
    let mut new = None;
    if new_at != 0 {
        let mut b = [0u8; 32];
        if read_guest(new_at, &mut b).is_err() {
            return EFAULT;
        }
        let get = |i: usize| u64::from_le_bytes(b[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
        new = Some(KernelAction { handler: get(0), flags: get(1), restorer: get(2), mask: get(3) });
    }
    match signal::set_action(thread, number as i32, new) {
        Err(e) => -i64::from(e),
        Ok(old) => {
            if number as i32 == crate::stats::SAMPLE_SIGNAL && new.is_some() && crate::stats::on() {
                signal::install_sampling(number as i32);
            }
            if old_at != 0 {
                let mut b = [0u8; 32];
                for (i, v) in [old.handler, old.flags, old.restorer, old.mask].into_iter().enumerate() {
                    b[i * 8..i * 8 + 8].copy_from_slice(&v.to_le_bytes());
                }
                if write_guest(old_at, &b).is_err() {
                    return EFAULT;
                }
            }
            0
        }
    }
}

/// `rt_sigprocmask`
pub fn sigprocmask(thread: &mut Thread, call: &Call) -> i64 {
    let [how, new_at, old_at, size, ..] = call.args;
    if size != 8 {
        return EINVAL;
    }
    if thread.has_pending() {
        return enter::NOT_STARTED;
    }
    let old = thread.mask;
    if new_at != 0 {
        let Ok(set) = read_u64(new_at) else { return EFAULT };
        let new = match how as i32 {
            libc::SIG_BLOCK => old | set,
            libc::SIG_UNBLOCK => old & !set,
            libc::SIG_SETMASK => set,
            _ => return EINVAL,
        };
        thread.mask = new & !(signal::bit(libc::SIGKILL) | signal::bit(libc::SIGSTOP));
        signal::set_host_mask(thread.mask);
        if thread.has_pending() {
            // It came between our look and the change; with everything blocked since.
            signal::block_all();
        }
        signal::mask_changed(thread);
    }
    if old_at != 0 && write_guest(old_at, &old.to_le_bytes()).is_err() {
        return EFAULT;
    }
    0
}

/// `rt_sigsuspend`
pub fn sigsuspend(thread: &mut Thread, call: &Call) -> i64 {
    let [mask_at, size, ..] = call.args;
    if size != 8 {
        return EINVAL;
    }
    let Ok(mask) = read_u64(mask_at) else { return EFAULT };
    if thread.has_pending() {
        return enter::NOT_STARTED;
    }
    let old = thread.mask;
    thread.mask = mask & !(signal::bit(libc::SIGKILL) | signal::bit(libc::SIGSTOP));
    signal::mask_changed(thread);
    let host = thread.mask & !signal::HANDLED;
    let v = enter::guest_syscall(&[libc::SYS_rt_sigsuspend as u64, &raw const host as u64, 8, 0, 0, 0, 0]);
    // The handler runs with the suspended mask, its frame restores the old one. A signal that was
    // pending before the call counts as having ended it.
    thread.saved_mask = Some(old);
    let _ = v;
    -i64::from(libc::EINTR)
}

/// `rt_sigpending`
pub fn sigpending(thread: &mut Thread, call: &Call) -> i64 {
    let v = call.pass();
    if v == 0
        && !thread.inherited.withheld.is_empty()
        && call.args[1] == 8
        && let Ok(mut set) = read_u64(call.args[0])
    {
        for i in &thread.inherited.withheld {
            set |= signal::bit(i[0] as u32 as i32);
        }
        if write_guest(call.args[0], &set.to_le_bytes()).is_err() {
            return EFAULT;
        }
    }
    v
}

/// `rt_sigtimedwait`: signals that the kernel could not keep for us come first.
pub fn sigtimedwait(thread: &mut Thread, call: &Call) -> i64 {
    if call.args[3] == 8
        && !thread.inherited.withheld.is_empty()
        && let Ok(set) = read_u64(call.args[0])
    {
        let held = &mut thread.inherited.withheld;
        if let Some(i) = held.iter().position(|w| set & signal::bit(w[0] as u32 as i32) != 0) {
            let info = held.remove(i);
            let mut bytes = [0u8; 128];
            for (to, word) in bytes.chunks_exact_mut(8).zip(info) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            if call.args[1] != 0 && write_guest(call.args[1], &bytes).is_err() {
                return EFAULT;
            }
            return i64::from(info[0] as u32 as i32);
        }
    }
    super::memory::pass_writing(call)
}

/// Calls that wait with another mask: `ppoll`, `pselect6`, `epoll_pwait`, `epoll_pwait2`.
pub fn with_mask(thread: &mut Thread, call: &Call) -> i64 {
    let (arg, indirect) = match call.number as i64 {
        libc::SYS_ppoll => (3, false),
        libc::SYS_pselect6 => (5, true),
        _ => (4, false),
    };
    let mut at = call.args[arg];
    if indirect && at != 0 {
        match read_u64(at) {
            Ok(p) => at = p,
            Err(()) => return EFAULT,
        }
    }
    if at == 0 {
        return super::memory::pass_writing(call);
    }
    let Ok(mask) = read_u64(at) else { return EFAULT };
    if thread.has_pending() {
        return enter::NOT_STARTED;
    }
    let old = thread.mask;
    let host = mask & !signal::HANDLED;
    let pair = [&raw const host as u64, 8];
    let mut c = *call;
    c.args[arg] = if indirect { pair.as_ptr() as u64 } else { &raw const host as u64 };
    let v = super::memory::pass_writing(&c);
    if thread.has_pending() {
        // Taken under the temporary mask; the frame restores the guest's.
        thread.saved_mask = Some(old);
        thread.mask = mask;
        if v == enter::NOT_STARTED {
            return -i64::from(libc::EINTR);
        }
    }
    v
}

/// `sigaltstack`
pub fn sigaltstack(thread: &mut Thread, call: &Call) -> i64 {
    let [new_at, old_at, ..] = call.args;
    let old = thread.altstack;
    let old_flags = signal::altstack_flags(thread);
    // The machine's `MINSIGSTKSZ`.
    let least = if crate::process::process().foreign { 5120 } else { 2048 };
    if new_at != 0 {
        let mut b = [0u8; 24];
        if read_guest(new_at, &mut b).is_err() {
            return EFAULT;
        }
        let get = |i: usize| u64::from_le_bytes(b[i..i + 8].try_into().expect("eight bytes"));
        let flags = get(8) as u32 as i32;
        if old_flags & libc::SS_ONSTACK != 0 {
            return -i64::from(libc::EPERM);
        }
        const AUTODISARM: i32 = 1 << 31;
        match flags & !AUTODISARM {
            0 | libc::SS_ONSTACK => {
                if get(16) < least {
                    return -i64::from(libc::ENOMEM);
                }
                thread.altstack.sp = get(0);
                thread.altstack.size = get(16);
                thread.altstack.flags = flags & AUTODISARM;
            }
            libc::SS_DISABLE => {
                thread.altstack.sp = 0;
                thread.altstack.size = 0;
                thread.altstack.flags = libc::SS_DISABLE;
            }
            _ => return EINVAL,
        }
    }
    if old_at != 0 {
        let mut b = [0u8; 24];
        b[..8].copy_from_slice(&old.sp.to_le_bytes());
        b[8..12].copy_from_slice(&old_flags.to_le_bytes());
        b[16..].copy_from_slice(&old.size.to_le_bytes());
        if write_guest(old_at, &b).is_err() {
            return EFAULT;
        }
    }
    0
}

/// Whether a call is made again after a handler with `SA_RESTART` (signal(7), "Interruption of
/// system calls and library functions by signal handlers").
pub fn restartable(call: &Call) -> bool {
    if call.number as i64 == libc::SYS_futex {
        // Waiting with a timeout is not begun anew: it would wait too long.
        let waits = matches!(call.args[1] as i32 & 0x7f, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
        return !(waits && call.args[3] != 0);
    }
    matches!(
        call.number as i64,
        libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_pread64
            | libc::SYS_pwrite64
            | libc::SYS_preadv
            | libc::SYS_pwritev
            | libc::SYS_ioctl
            | libc::SYS_open
            | libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_wait4
            | libc::SYS_waitid
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_connect
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_flock
            | libc::SYS_fcntl
            | libc::SYS_mq_timedreceive
            | libc::SYS_mq_timedsend
            | libc::SYS_getrandom
            | libc::SYS_sendfile
            | libc::SYS_splice
            | libc::SYS_tee
            | libc::SYS_vmsplice
            | libc::SYS_copy_file_range
            | libc::SYS_fallocate
            | libc::SYS_fsync
            | libc::SYS_fdatasync
    )
}

/// The calling thread's mask in the kernel becomes exactly the guest's, for the time of an `execve`.
pub fn set_exact_mask(mask: u64) {
    // SAFETY: a plain system call on a local. No fault of ours can happen until the mask is set
    // back: the kernel reads all memory itself.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, 8usize);
    }
}

/// Signals that the runtime handles itself but the guest ignores (bits of `set`) are ignored by the
/// kernel too, so that a program executed natively inherits it.
pub fn really_ignore(set: u64) {
    let action = KernelAction { handler: 1, ..KernelAction::default() };
    for s in (1..=signal::COUNT as i32).filter(|&s| set & signal::bit(s) != 0) {
        // SAFETY: reads a local.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, s, &raw const action, 0usize, 8usize) };
    }
}

/// Undoes [`really_ignore`].
pub fn really_handle(set: u64) {
    if set != 0 {
        signal::init();
    }
}

/// Takes pending signals of `set`, all blocked, out of the kernel again.
pub fn take_back(set: u64) {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: reads locals; returns at once.
    unsafe {
        while libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, 0usize, &raw const zero, 8usize) > 0 {}
    }
}

/// Ends a process that has no guest thread yet by the default action of `signal`.
pub fn die_by(signal: i32) -> ! {
    let action = KernelAction::default();
    let none = !signal::bit(signal);
    // SAFETY: plain system calls on locals.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, 0usize, 8usize);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, 8usize);
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::syscall(libc::SYS_gettid), signal);
        libc::syscall(libc::SYS_exit_group, 128 + signal);
    }
    unreachable!("exit_group does not return")
}
