//! System calls of an AArch64 guest: numbers and arguments become those of this machine, and [`crate::syscall`] does the rest.
//!
//! [`handle`] is called with the pc behind the `svc`, the number in x8 and arguments in x0 to x5. [`table`] has the numbers.
//! Most calls need nothing else, since both machines take the kernel's generic structures. What differs:
//!
//! | | x86-64 | AArch64 | where |
//! |---|---|---|---|
//! | `struct stat` | its own | generic | [`convert`] |
//! | `struct epoll_event` | packed, 12 bytes | 16 bytes | [`convert`] |
//! | `struct semid_ds` | padded times | generic | [`convert`] |
//! | `O_DIRECT`, `O_LARGEFILE`, `O_DIRECTORY`, `O_NOFOLLOW` | generic | four numbers exchanged | [`files`] |
//! | `clone` | …, child's tid, TLS | …, TLS, child's tid | here |
//! | `mmap` | has `MAP_32BIT` | ignores that bit | here |
//! | `uname` | `x86_64` | `aarch64` | here |
//!
//! Absolute paths are looked up below `--sysroot` by the calls that do so under qemu-user: [`files`].
//!
//! Refused, as qemu-user does: `ptrace` (ENOSYS), and restartable sequences.

mod convert;
mod files;
mod table;

pub use table::host as host_number;

use super::signal;
use crate::enter::NOT_STARTED;
use crate::process::process;
use crate::seccomp::ARCH_AARCH64;
use crate::signal::write_guest;
use crate::syscall::{self, Call, Outcome, seccomp};
use crate::thread::Thread;
use std::sync::atomic::Ordering;

const ENOSYS: i64 = -(libc::ENOSYS as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

/// Bytes of `svc`.
const INSTRUCTION: u64 = 4;

/// Handles the call that the guest's registers describe.
pub fn handle(thread: &mut Thread) {
    process().counts.syscalls.fetch_add(1, Ordering::Relaxed);
    let x = &thread.context.foreign.x;
    let guest = Call { number: x[8], args: [x[0], x[1], x[2], x[3], x[4], x[5]] };
    let back = thread.context.pc;
    let _time = crate::stats::in_system_call();
    let call = host_number(guest.number).map(|number| Call { number: number as u64, ..guest });
    let outcome = match (seccomp::judge(thread, &guest, back, ARCH_AARCH64), &call) {
        (Some(refused), _) => refused,
        (None, Some(call)) => perform(thread, call),
        (None, None) => Outcome::Return(ENOSYS),
    };
    let restart = match (outcome, &call) {
        (Outcome::Return(NOT_STARTED), _) => true,
        (Outcome::Return(v), Some(call)) => syscall::restarts(thread, call, v),
        _ => false,
    };
    match outcome {
        // Its number and arguments are still in their registers.
        _ if restart => thread.context.pc -= INSTRUCTION,
        Outcome::Return(v) => thread.context.foreign.x[0] = v as u64,
        Outcome::Done => {}
    }
}

/// A call with this machine's number and the guest's arguments.
fn perform(thread: &mut Thread, call: &Call) -> Outcome {
    const MAP_32BIT: u64 = 0x40;
    let mut c = *call;
    let a = &mut c.args;
    let v = match call.number as i64 {
        libc::SYS_rt_sigreturn => {
            signal::sigreturn(thread);
            return Outcome::Done;
        }
        libc::SYS_mmap => {
            a[3] &= !MAP_32BIT;
            return syscall::perform(thread, &c);
        }
        libc::SYS_clone => {
            a.swap(3, 4);
            return syscall::perform(thread, &c);
        }
        libc::SYS_uname => uname(call),
        libc::SYS_ptrace => ENOSYS,
        libc::SYS_prctl if is_about_this_machine(a[0] as i32) => EINVAL,
        libc::SYS_fstat | libc::SYS_newfstatat => convert::stat(thread, &c),
        libc::SYS_epoll_ctl => convert::epoll_ctl(call),
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => convert::epoll_wait(thread, call),
        libc::SYS_semctl => convert::semctl(call),
        libc::SYS_fcntl => files::fcntl(thread, call),
        libc::SYS_openat
        | libc::SYS_openat2
        | libc::SYS_open_by_handle_at
        | libc::SYS_pipe2
        | libc::SYS_fanotify_init => files::with_flags(thread, &c),
        libc::SYS_faccessat
        | libc::SYS_faccessat2
        | libc::SYS_statx
        | libc::SYS_statfs
        | libc::SYS_readlinkat
        | libc::SYS_inotify_add_watch
        | libc::SYS_name_to_handle_at => files::on_path(thread, &c),
        _ => return syscall::perform(thread, call),
    };
    Outcome::Return(v)
}

/// A call that [`syscall::perform`] makes, whose structures were exchanged for ones of ours.
fn made(thread: &mut Thread, call: &Call) -> i64 {
    match syscall::perform(thread, call) {
        Outcome::Return(v) => v,
        // Only of `rt_sigreturn`.
        Outcome::Done => 0,
    }
}

/// Options of `prctl` that are about x86-64 and that an AArch64 kernel does not have.
fn is_about_this_machine(option: i32) -> bool {
    matches!(option, libc::PR_GET_TSC | libc::PR_SET_TSC)
}

/// `uname`
fn uname(call: &Call) -> i64 {
    /// Bytes of each of the six strings.
    const FIELD: usize = 65;
    const MACHINE: usize = 4 * FIELD;
    let mut names = [0u8; 6 * FIELD];
    let mut c = *call;
    c.args[0] = names.as_mut_ptr() as u64;
    let v = c.pass();
    if v != 0 {
        return v;
    }
    let name = loader::Arch::AArch64.name().to_bytes();
    names[MACHINE..MACHINE + FIELD].fill(0);
    names[MACHINE..MACHINE + name.len()].copy_from_slice(name);
    if write_guest(call.args[0], &names).is_err() { EFAULT } else { 0 }
}
