//! System calls of the guest: most go to the kernel as they are, the rest is done here.
//!
//! [`handle`] is called with the guest's state saved, the number in `rax` and `pc` behind the
//! instruction. One match is the table of everything that is not passed through; each group has a
//! module: [`memory`] (code that appears, moves and goes), [`task`] (threads, processes, exit),
//! [`exec`], [`signals`], [`files`] (what the program must not see of us).
//!
//! Every call that can block is made in a window in which a signal is never lost (`enter.rs`).

pub mod exec;
pub mod files;
pub mod habit;
pub mod limits;
pub mod memory;
pub mod proc;
pub mod seccomp;
pub mod signals;
pub mod task;

use crate::enter::{self, NOT_STARTED};
use crate::seccomp::{ARCH_I386, ARCH_X86_64};
use crate::signal;
use crate::thread::Thread;

/// State that a new thread or process inherits.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// Signals sent while blocked that the kernel could not keep for us (as siginfo words).
    pub withheld: Vec<[u64; 16]>,
    /// Filters of its calls.
    pub seccomp: seccomp::State,
    /// What an `execve` in progress needs.
    pub exec: exec::Strings,
}

/// A guest call: number and arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Number.
    pub number: u64,
    /// Arguments.
    pub args: [u64; 6],
}

impl Call {
    /// Passes the call to the kernel, possibly with other arguments.
    pub fn pass(&self) -> i64 {
        let a = &self.args;
        enter::guest_syscall(&[self.number, a[0], a[1], a[2], a[3], a[4], a[5]])
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The value for `rax`.
    Return(i64),
    /// The guest's registers were set by the call itself (`rt_sigreturn`).
    Done,
}

/// Length of the `syscall` and `int 0x80` instructions.
const INSTRUCTION: u64 = 2;

/// Handles the call that the guest's registers describe.
pub fn handle(thread: &mut Thread) {
    let g = &thread.context.gpr;
    let call = Call { number: g[0], args: [g[7], g[6], g[2], g[10], g[8], g[9]] };
    let back = thread.context.pc;
    // The instruction's own effects.
    thread.context.gpr[1] = back;
    thread.context.gpr[11] = thread.context.rflags;
    let _time = crate::stats::in_system_call();
    let outcome = match seccomp::judge(thread, &call, back, ARCH_X86_64) {
        Some(refused) => refused,
        None => perform(thread, &call),
    };
    match outcome {
        Outcome::Done => {}
        Outcome::Return(NOT_STARTED) => restart(thread, &call),
        Outcome::Return(v) if restarts(thread, &call, v) => restart(thread, &call),
        Outcome::Return(v) => thread.context.gpr[0] = v as u64,
    }
}

fn restart(thread: &mut Thread, call: &Call) {
    thread.context.gpr[0] = call.number;
    thread.context.pc -= INSTRUCTION;
}

/// Whether the kernel would run a call that came to `result` again after the handler of the signal that waits.
pub fn restarts(thread: &Thread, call: &Call, result: i64) -> bool {
    if result != -i64::from(libc::EINTR) || !thread.has_pending() {
        return false;
    }
    let Some(s) = thread.queue.first() else { return false };
    if thread.mask & signal::bit(s) != 0 {
        // One that the guest blocks, which the kernel could not keep for us, ends no call.
        return true;
    }
    let action = thread.actions.lock().unwrap_or_else(|e| e.into_inner()).0[s as usize];
    action.flags & libc::SA_RESTART as u64 != 0 && signals::restartable(call)
}

/// Makes a call that is allowed. Nothing of the guest's registers is looked at or, but by `rt_sigreturn`, changed.
pub fn perform(thread: &mut Thread, call: &Call) -> Outcome {
    let a = &call.args;
    let v = match call.number as i64 {
        libc::SYS_mmap => memory::mmap(call),
        libc::SYS_munmap => memory::munmap(call),
        libc::SYS_mprotect | libc::SYS_pkey_mprotect => memory::mprotect(call),
        libc::SYS_getrlimit | libc::SYS_setrlimit | libc::SYS_prlimit64 => limits::rlimit(call),
        libc::SYS_madvise => memory::madvise(call),
        libc::SYS_mremap => memory::mremap(call),
        libc::SYS_brk => memory::brk(call),
        libc::SYS_shmat | libc::SYS_shmdt | libc::SYS_remap_file_pages => memory::shared_memory(call),
        libc::SYS_io_setup | libc::SYS_io_uring_setup => memory::shared_with_kernel(call),
        libc::SYS_rt_sigaction => signals::sigaction(thread, call),
        libc::SYS_rt_sigprocmask => signals::sigprocmask(thread, call),
        libc::SYS_rt_sigreturn => {
            signal::sigreturn(thread);
            return Outcome::Done;
        }
        libc::SYS_rt_sigsuspend => signals::sigsuspend(thread, call),
        libc::SYS_rt_sigtimedwait => signals::sigtimedwait(thread, call),
        libc::SYS_rt_sigpending => signals::sigpending(thread, call),
        libc::SYS_ppoll | libc::SYS_pselect6 | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
            signals::with_mask(thread, call)
        }
        libc::SYS_sigaltstack => signals::sigaltstack(thread, call),
        libc::SYS_clone | libc::SYS_clone3 | libc::SYS_fork | libc::SYS_vfork => task::clone(thread, call),
        libc::SYS_execve | libc::SYS_execveat => exec::execve(thread, call),
        libc::SYS_exit => task::exit(thread, a[0] as i32),
        libc::SYS_exit_group => task::exit_group(thread, a[0] as i32),
        libc::SYS_seccomp => seccomp::seccomp(thread, call),
        libc::SYS_prctl => task::prctl(thread, call),
        libc::SYS_arch_prctl => task::arch_prctl(thread, call),
        libc::SYS_rseq => -i64::from(libc::ENOSYS),
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => files::open(thread, call),
        libc::SYS_readlink | libc::SYS_readlinkat => files::readlink(call),
        libc::SYS_stat
        | libc::SYS_access
        | libc::SYS_statfs
        | libc::SYS_newfstatat
        | libc::SYS_statx
        | libc::SYS_faccessat
        | libc::SYS_faccessat2 => files::on_path(call),
        libc::SYS_getdents64 => files::list(call),
        libc::SYS_close | libc::SYS_close_range | libc::SYS_dup2 | libc::SYS_dup3 => files::descriptors(call),
        _ => memory::pass_writing(call),
    };
    Outcome::Return(v)
}

/// A call through `int 0x80`: the kernel's 32-bit table. Passed on as it is; only calls that would
/// end up outside our control are refused.
pub fn handle_int80(thread: &mut Thread) {
    let g = &thread.context.gpr;
    let call = Call { number: g[0] as u32 as u64, args: [g[3], g[1], g[2], g[6], g[7], g[5]] };
    let pc = thread.context.pc;
    match seccomp::judge(thread, &call, pc, ARCH_I386) {
        Some(Outcome::Return(v)) => return thread.context.gpr[0] = v as u64,
        Some(Outcome::Done) => return,
        None => {}
    }
    let g = &mut thread.context.gpr;
    const FORBIDDEN: [u32; 12] = [2, 11, 90, 119, 120, 125, 163, 173, 174, 190, 192, 243];
    if FORBIDDEN.contains(&(g[0] as u32)) {
        g[0] = -i64::from(libc::ENOSYS) as u64;
        return;
    }
    if g[0] as u32 == 1 || g[0] as u32 == 252 {
        let status = g[3] as i32;
        task::exit_group(thread, status);
    }
    // Among them is one that maps shared memory.
    crate::assume::revoke(crate::assume::NOTHING_SHARED);
    let mut rax = g[0];
    // SAFETY: the guest's own system call with 32-bit arguments; rbx and rbp are swapped in by hand
    // because the compiler reserves them.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {b}",
            "push rbp",
            "mov rbp, {p}",
            "int 0x80",
            "pop rbp",
            "xchg rbx, {b}",
            b = inout(reg) g[3] => _,
            p = in(reg) g[5],
            inout("rax") rax,
            in("rcx") g[1], in("rdx") g[2], in("rsi") g[6], in("rdi") g[7],
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    g[0] = rax;
    g[8..12].fill(0);
}
