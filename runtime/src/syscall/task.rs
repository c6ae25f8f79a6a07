//! Threads and processes: creation and ends.

use super::Call;
use super::habit;
use crate::assume;
use crate::context::Context;
use crate::enter;
use crate::process::process;
use crate::signal;
use crate::thread::{self, HostStack, Thread};
use fragcache::GuestPc;
use fragcache::events::EventKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

const ENOMEM: i64 = -(libc::ENOMEM as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// Arguments of `clone3` (the kernel's `struct clone_args`), to which the other calls reduce.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

impl CloneArgs {
    /// What the child finds changed in its parent's registers.
    fn child_registers(&self, context: &mut Context) {
        let settls = self.flags & libc::CLONE_SETTLS as u64 != 0;
        let (result, stack, tls) = match process().foreign {
            true => {
                let state = &mut context.foreign;
                (&mut state.x[0], &mut state.sp, &mut state.tpidr)
            }
            false => {
                let [rax, _, _, _, rsp, ..] = &mut context.gpr;
                (rax, rsp, &mut context.guest_fs)
            }
        };
        *result = 0;
        if self.stack != 0 {
            *stack = self.stack;
        }
        if settls {
            *tls = self.tls;
        }
    }
}

/// `clone`, `clone3`, `fork`, `vfork`
pub fn clone(thread: &mut Thread, call: &Call) -> i64 {
    let a = &call.args;
    let mut c = CloneArgs::default();
    let mut size = std::mem::size_of::<CloneArgs>();
    match call.number as i64 {
        libc::SYS_fork => c.exit_signal = libc::SIGCHLD as u64,
        libc::SYS_vfork => {
            c.flags = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
            c.exit_signal = libc::SIGCHLD as u64;
        }
        libc::SYS_clone => {
            c.flags = a[0] & 0xffff_ff00;
            c.exit_signal = a[0] & 0xff;
            c.stack = a[1];
            c.parent_tid = a[2];
            c.child_tid = a[3];
            c.tls = a[4];
            if c.flags & libc::CLONE_PIDFD as u64 != 0 {
                c.pidfd = a[2];
            }
        }
        _ => {
            size = a[1] as usize;
            if size < 64 {
                return -i64::from(libc::EINVAL);
            }
            if size > std::mem::size_of::<CloneArgs>() {
                return call.pass(); // the kernel knows what to say
            }
            // SAFETY: plain words, viewed as bytes.
            let view = unsafe { std::slice::from_raw_parts_mut((&raw mut c).cast::<u8>(), size) };
            if signal::read_guest(a[0], view).is_err() {
                return EFAULT;
            }
            if c.stack != 0 {
                c.stack += c.stack_size;
            }
        }
    }
    let vm = c.flags & libc::CLONE_VM as u64 != 0;
    if !vm { fork(thread, call, &c, size) } else { share(thread, call, &c, size) }
}

/// The arguments for the kernel: the guest's, with the child's stack and TLS replaced.
fn kernel_args(
    call: &Call,
    c: &CloneArgs,
    size: usize,
    stack: Option<u64>,
    tls: Option<u64>,
    area: &mut CloneArgs,
) -> [u64; 7] {
    let mut flags = c.flags;
    flags &= !(libc::CLONE_SETTLS as u64);
    if tls.is_some() {
        flags |= libc::CLONE_SETTLS as u64;
    }
    if call.number as i64 == libc::SYS_clone3 {
        *area = *c;
        area.flags = flags;
        area.tls = tls.unwrap_or(0);
        area.stack = 0;
        area.stack_size = 0;
        if let Some(top) = stack {
            // The kernel adds the size itself.
            area.stack = top - 4096;
            area.stack_size = 4096;
        }
        return [libc::SYS_clone3 as u64, std::ptr::from_ref(area) as u64, size as u64, 0, 0, 0, 0];
    }
    [
        libc::SYS_clone as u64,
        flags | c.exit_signal,
        stack.unwrap_or(0),
        c.parent_tid,
        c.child_tid,
        tls.unwrap_or(0),
        0,
    ]
}

/// A child with memory of its own.
fn fork(thread: &mut Thread, call: &Call, c: &CloneArgs, size: usize) -> i64 {
    if thread.has_pending() {
        return enter::NOT_STARTED;
    }
    // The two processes share the old code memory until the child has copied it; the parent keeps
    // the lock and waits for that.
    let Some(copied) = Flag::new() else { return -i64::from(libc::EAGAIN) };
    signal::block_all();
    let mut shared = process().lock();
    let anew = habit::child_begins_anew() && shared.store.is_in_use() && process().options.dump.is_none();
    let threads = process().threads.lock().unwrap_or_else(|e| e.into_inner());
    let ended = process().ended.lock().unwrap_or_else(|e| e.into_inner());
    let brk = process().brk.lock().unwrap_or_else(|e| e.into_inner());
    let actions = thread.actions.clone();
    let actions_guard = actions.lock().unwrap_or_else(|e| e.into_inner());
    let mut area = CloneArgs::default();
    let args = kernel_args(call, c, size, None, None, &mut area);
    let heap = crate::alloc::lock_for_fork();
    // SAFETY: no stack is given, so the child goes on here with a copy of everything.
    let v = unsafe { libc::syscall(args[0] as i64, args[1], args[2], args[3], args[4], args[5], args[6]) };
    let v = if v < 0 {
        -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN))
    } else {
        v
    };
    drop(heap);
    if v == 0 {
        let made = match anew {
            true => begin_anew(thread, &mut shared),
            false => shared.cache.memory.unshare().and_then(|()| shared.cache.table.unshare()).is_ok(),
        };
        if !made {
            crate::report::fatal("no memory for the code cache of a forked child");
        }
        copied.raise();
        habit::is_child();
        shared.store.forget_new();
        shared.cache.events.push(EventKind::Fork, GuestPc(thread.context.pc), 0);
        drop(brk);
        drop(ended);
        drop(threads);
        process().threads.lock().unwrap_or_else(|e| e.into_inner()).retain(|t| std::ptr::eq(t.0, thread));
        process().ended.lock().unwrap_or_else(|e| e.into_inner()).clear();
        // The other threads are not in this process, and nothing rests on there being none.
        shared.cache.restore(assume::SINGLE_THREADED);
        drop(shared);
        drop(actions_guard);
        process().counts.forked();
        // SAFETY: a plain system call.
        thread.tid = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        crate::stats::sample_thread(thread);
        c.child_registers(&mut thread.context);
        signal::set_host_mask(thread.mask);
        return 0;
    }
    if v > 0 && !anew {
        copied.wait(v as i32);
    }
    drop(shared);
    signal::set_host_mask(thread.mask);
    v
}

/// Gives a forked child an empty code cache; see [`habit`].
fn begin_anew(thread: &mut Thread, shared: &mut crate::process::Shared) -> bool {
    let Ok(fresh) = crate::new_cache(shared.cache.config().clone()) else { return false };
    let old = std::mem::replace(&mut shared.cache, fresh);
    shared.cache.succeed(old);
    // What the thread knows of the old one's fragments.
    (thread.last_exit, thread.recording, thread.by_indirect, thread.parked) = (None, None, false, false);
    true
}

/// A word that parent and child of a `fork` both see. No descriptors: the program may have used up
/// all of them.
struct Flag(*mut u32);

impl Flag {
    fn new() -> Option<Flag> {
        // SAFETY: a new mapping.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        (p != libc::MAP_FAILED).then_some(Flag(p.cast()))
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: mapped until `drop`, aligned, zero at first, used only as an atomic.
        unsafe { AtomicU32::from_ptr(self.0) }
    }

    /// In the child.
    fn raise(&self) {
        self.word().store(1, Ordering::Release);
        // SAFETY: wakes whoever waits on the word.
        unsafe { libc::syscall(libc::SYS_futex, self.0, libc::FUTEX_WAKE, 1) };
    }

    /// In the parent, until the child has raised it or has died.
    fn wait(&self, child: i32) {
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        while self.word().load(Ordering::Acquire) == 0 {
            // SAFETY: waits on the word, then asks about the child without reaping it.
            unsafe {
                libc::syscall(libc::SYS_futex, self.0, libc::FUTEX_WAIT, 0, &raw const pause);
                let mut info: libc::siginfo_t = std::mem::zeroed();
                let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
                let r = libc::syscall(libc::SYS_waitid, libc::P_PID, child, &raw mut info, how, 0);
                let ended = if r == 0 { info.si_pid() != 0 } else { libc::kill(child, 0) != 0 };
                if ended {
                    return;
                }
            }
        }
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        // SAFETY: our own mapping, no longer used on this side.
        unsafe { libc::munmap(self.0.cast(), 4096) };
    }
}

/// A child that shares memory: a thread, the child of `vfork`, or something between.
fn share(parent: &mut Thread, call: &Call, c: &CloneArgs, size: usize) -> i64 {
    if parent.has_pending() {
        return enter::NOT_STARTED;
    }
    thread::reap(process());
    let vfork = c.flags & libc::CLONE_VFORK as u64 != 0;
    if !vfork {
        assume::revoke(assume::SINGLE_THREADED);
    }
    let actions = if c.flags & libc::CLONE_SIGHAND as u64 != 0 {
        parent.actions.clone()
    } else {
        let copy = parent.actions.lock().unwrap_or_else(|e| e.into_inner()).clone();
        Arc::new(Mutex::new(copy))
    };
    let mut inherited = parent.inherited.clone();
    inherited.withheld.clear();
    let Ok(child) = Thread::allocate(actions, inherited) else { return ENOMEM };
    let stack = if vfork { HostStack::borrowing_tls() } else { HostStack::new() };
    let Ok(stack) = stack else {
        // SAFETY: never started.
        unsafe { thread::discard(child) };
        return ENOMEM;
    };
    // SAFETY: a fresh record that only we know; the vector areas have the same layout.
    let new = unsafe { &mut *child };
    new.own = Some(stack.parts());
    new.mask = parent.mask;
    new.context.rflags = parent.context.rflags;
    new.context.gpr = parent.context.gpr;
    new.context.pc = parent.context.pc;
    new.context.guest_fs = parent.context.guest_fs;
    new.context.guest_gs = parent.context.guest_gs;
    new.context.foreign = parent.context.foreign;
    // SAFETY: as above; `xsave_size` bytes each.
    unsafe { std::ptr::copy_nonoverlapping(parent.context.xsave, new.context.xsave, parent.xsave_size) };
    c.child_registers(&mut new.context);
    if vfork {
        new.altstack = parent.altstack;
    }
    signal::block_all();
    thread::register(process(), child);
    let mut area = CloneArgs::default();
    let tls = if vfork { None } else { Some(stack.tls) };
    let args = kernel_args(call, c, size, Some(stack.top), tls, &mut area);
    // SAFETY: the stack is unused, the record complete.
    let v = unsafe { enter::clone(&args, stack.top, child) };
    signal::set_host_mask(parent.mask);
    if v < 0 || vfork {
        // Of a vfork, the child has left our memory by now.
        process().threads.lock().unwrap_or_else(|e| e.into_inner()).retain(|t| t.0 != child);
        // SAFETY: nobody runs on it any more.
        unsafe { thread::discard(child) };
    }
    v
}

/// `exit`: ends this thread, the kernel does the rest.
pub fn exit(thread: &mut Thread, status: i32) -> i64 {
    let last = process().threads.lock().unwrap_or_else(|e| e.into_inner()).len() <= 1;
    if last {
        crate::report::at_exit(thread);
    }
    signal::block_all();
    let vfork_child = thread.own.is_some_and(|o| o.1 == 0);
    if !vfork_child {
        thread::retire(process(), thread);
    }
    // SAFETY: ends the thread; its memory is reaped by others.
    unsafe { libc::syscall(libc::SYS_exit, status) };
    unreachable!("exit does not return")
}

/// `exit_group`
pub fn exit_group(thread: &mut Thread, status: i32) -> ! {
    let vfork_child = thread.own.is_some_and(|o| o.1 == 0);
    if !vfork_child {
        crate::report::at_exit(thread);
    }
    // SAFETY: ends the process.
    unsafe { libc::syscall(libc::SYS_exit_group, status) };
    unreachable!("exit_group does not return")
}

/// `prctl`
pub fn prctl(thread: &mut Thread, call: &Call) -> i64 {
    let [option, second, third, ..] = call.args;
    match option as i32 {
        libc::PR_SET_SECCOMP => super::seccomp::prctl_set(thread, second, third),
        libc::PR_GET_SECCOMP => super::seccomp::prctl_get(thread),
        _ => super::memory::pass_writing(call),
    }
}

/// `arch_prctl`
pub fn arch_prctl(thread: &mut Thread, call: &Call) -> i64 {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    let [code, value, ..] = call.args;
    let user = |v: u64| v < 1 << 47;
    match code {
        SET_FS | SET_GS if !user(value) => -i64::from(libc::EPERM),
        SET_FS => {
            thread.context.guest_fs = value;
            0
        }
        SET_GS => {
            thread.context.guest_gs = value;
            0
        }
        GET_FS | GET_GS => {
            let v = if code == GET_FS { thread.context.guest_fs } else { thread.context.guest_gs };
            if signal::write_guest(value, &v.to_le_bytes()).is_err() { EFAULT } else { 0 }
        }
        _ => call.pass(),
    }
}
