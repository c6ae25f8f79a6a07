//! Calls about seccomp, and what its verdicts mean for a call. See [`crate::seccomp`].

use super::{Call, Outcome};
use crate::process::process;
use crate::seccomp::{ARCH_AARCH64, ARCH_X86_64, Data, Filter, Filters, INSTRUCTION_SIZE, Verdict, decode};
use crate::signal::{self, Fault, read_guest};
use crate::thread::Thread;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// Some thread has filters: only then are calls judged.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// The filters of one thread. Other threads touch them only to synchronise them (`TSYNC`).
#[derive(Debug, Default)]
pub struct State(Arc<Mutex<Filters>>);

impl Clone for State {
    /// A new thread has the same filters at first, and its own from then on.
    fn clone(&self) -> Self {
        State(Arc::new(Mutex::new(self.lock().clone())))
    }
}

impl State {
    /// The filters.
    pub fn lock(&self) -> MutexGuard<'_, Filters> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What the program before this one left us in a descriptor, which is closed.
    pub fn take_over(fd: i32) -> Option<State> {
        // SAFETY: the descriptor was passed to us for this purpose by `hand_over`.
        let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let filters = Filters::from_bytes(&bytes)?;
        ACTIVE.store(filters.mode() != 0, Ordering::Relaxed);
        Some(State(Arc::new(Mutex::new(filters))))
    }
}

/// A descriptor for the next program, with all filters; `None` when there are none.
pub fn hand_over(thread: &Thread) -> Result<Option<i32>, i32> {
    let filters = thread.inherited.seccomp.lock();
    if filters.list.is_empty() {
        return Ok(None);
    }
    let error = |e: std::io::Error| e.raw_os_error().unwrap_or(libc::ENOMEM);
    // SAFETY: makes a new file.
    let fd = unsafe { libc::memfd_create(c"filters".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(error(std::io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is ours.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
    file.write_all(&filters.to_bytes()).map_err(error)?;
    // SAFETY: moves the descriptor out of the guest's way, open across execve and at its start.
    let high = unsafe {
        libc::lseek(file.as_raw_fd(), 0, libc::SEEK_SET);
        libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, fragcache::memory::high_descriptor_floor())
    };
    if high >= 0 {
        return Ok(Some(high));
    }
    // SAFETY: as above, wherever it is.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
    Ok(Some(file.into_raw_fd()))
}

/// Gives the kernel the filters, for a program that it executes natively. There is no way back.
pub fn install(thread: &Thread) -> Result<(), i32> {
    let filters = thread.inherited.seccomp.lock();
    for f in &filters.list {
        let program = libc::sock_fprog {
            len: f.code().len() as u16,
            filter: f.code().as_ptr().cast::<libc::sock_filter>().cast_mut(),
        };
        // SAFETY: a checked filter whose layout is the kernel's.
        let r =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
        if r != 0 {
            return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM));
        }
    }
    Ok(())
}

/// Judges a call that is about to be performed, with its number in the table of `arch`. `None`: it may be.
pub fn judge(thread: &mut Thread, call: &Call, pc: u64, arch: u32) -> Option<Outcome> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    let (strict, verdict) = {
        let filters = thread.inherited.seccomp.lock();
        let data = Data { number: call.number as u32, arch, pc, args: call.args };
        (filters.strict, filters.judge(&data))
    };
    if strict {
        let number = match arch {
            ARCH_X86_64 => Some(call.number as i64),
            ARCH_AARCH64 => crate::foreign::syscall::host_number(call.number),
            _ => None,
        };
        let allowed = [libc::SYS_read, libc::SYS_write, libc::SYS_exit, libc::SYS_rt_sigreturn];
        if !number.is_some_and(|n| allowed.contains(&n)) {
            end(thread, libc::SIGKILL, true);
        }
        return None;
    }
    match verdict {
        Verdict::Allow => None,
        Verdict::Errno(e) => Some(Outcome::Return(-i64::from(e))),
        Verdict::NoTracer => Some(Outcome::Return(-i64::from(libc::ENOSYS))),
        Verdict::Trap(data) => {
            thread.context.gpr[0] = call.number;
            signal::deliver_fault(thread, Fault::seccomp(pc, call.number as u32, arch, u32::from(data)));
            Some(Outcome::Done)
        }
        Verdict::KillThread => end(thread, libc::SIGSYS, true),
        Verdict::KillProcess => end(thread, libc::SIGSYS, false),
    }
}

/// Ends the thread, or the process when it is the only one or all must go.
fn end(thread: &mut Thread, signal: i32, only_thread: bool) -> ! {
    let threads = process().threads.lock().unwrap_or_else(|e| e.into_inner()).len();
    if only_thread && threads > 1 {
        super::task::exit(thread, signal);
    }
    crate::report::at_exit(thread);
    super::signals::die_by(signal)
}

/// `seccomp`
pub fn seccomp(thread: &mut Thread, call: &Call) -> i64 {
    let [operation, flags, at, ..] = call.args;
    match operation as u32 {
        libc::SECCOMP_SET_MODE_STRICT if flags != 0 || at != 0 => EINVAL,
        libc::SECCOMP_SET_MODE_STRICT => set_strict(thread),
        libc::SECCOMP_SET_MODE_FILTER => set_filter(thread, flags, at),
        _ => call.pass(),
    }
}

/// `prctl(PR_SET_SECCOMP)`
pub fn prctl_set(thread: &mut Thread, mode: u64, at: u64) -> i64 {
    match mode as u32 {
        libc::SECCOMP_MODE_STRICT => set_strict(thread),
        libc::SECCOMP_MODE_FILTER => set_filter(thread, 0, at),
        _ => EINVAL,
    }
}

/// `prctl(PR_GET_SECCOMP)`
pub fn prctl_get(thread: &Thread) -> i64 {
    i64::from(thread.inherited.seccomp.lock().mode())
}

fn set_strict(thread: &mut Thread) -> i64 {
    let mut filters = thread.inherited.seccomp.lock();
    if filters.mode() == 2 {
        return EINVAL;
    }
    filters.strict = true;
    ACTIVE.store(true, Ordering::Relaxed);
    0
}

fn set_filter(thread: &mut Thread, flags: u64, at: u64) -> i64 {
    const TSYNC: u64 = libc::SECCOMP_FILTER_FLAG_TSYNC;
    const LOG: u64 = libc::SECCOMP_FILTER_FLAG_LOG;
    const SPEC_ALLOW: u64 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    const TSYNC_ESRCH: u64 = 1 << 4;
    if flags & !(TSYNC | LOG | SPEC_ALLOW | TSYNC_ESRCH) != 0 {
        return EINVAL;
    }
    let mut head = [0u8; 16];
    if read_guest(at, &mut head).is_err() {
        return EFAULT;
    }
    let len = usize::from(u16::from_le_bytes([head[0], head[1]]));
    if len == 0 || len > 4096 {
        return EINVAL;
    }
    if !may_install() {
        return -i64::from(libc::EACCES);
    }
    let mut bytes = vec![0u8; len * INSTRUCTION_SIZE];
    let code_at = u64::from_le_bytes(head[8..].try_into().expect("eight bytes"));
    if read_guest(code_at, &mut bytes).is_err() {
        return EFAULT;
    }
    let Some(filter) = Filter::new(decode(&bytes)) else { return EINVAL };
    let before = thread.inherited.seccomp.lock().clone();
    if before.strict {
        return EINVAL;
    }
    if flags & TSYNC != 0
        && let Some(tid) = cannot_synchronise(thread, &before)
    {
        return if flags & TSYNC_ESRCH != 0 { -i64::from(libc::ESRCH) } else { i64::from(tid) };
    }
    let mut after = before;
    if !after.push(filter) {
        return -i64::from(libc::ENOMEM);
    }
    if flags & TSYNC != 0 {
        for_others(thread, |other| *other.inherited.seccomp.lock() = after.clone());
    }
    *thread.inherited.seccomp.lock() = after;
    ACTIVE.store(true, Ordering::Relaxed);
    0
}

/// Calls `f` with each other thread of the process.
fn for_others(thread: &Thread, mut f: impl FnMut(&Thread)) {
    let threads = process().threads.lock().unwrap_or_else(|e| e.into_inner());
    for t in threads.iter().filter(|t| !std::ptr::eq(t.0, thread)) {
        // SAFETY: records of registered threads are mapped; what `f` uses of them is behind a lock
        // or never changes.
        f(unsafe { &*t.0 });
    }
}

/// A thread whose filters are not among this one's.
fn cannot_synchronise(thread: &Thread, filters: &Filters) -> Option<i32> {
    let mut bad = None;
    for_others(thread, |other| {
        if !filters.descends_from(&other.inherited.seccomp.lock()) {
            bad.get_or_insert(other.tid);
        }
    });
    bad
}

/// Filters are for those who cannot gain rights by `execve`, and for administrators.
fn may_install() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    // SAFETY: asks only; the two structures are the kernel's for version 3.
    unsafe {
        if libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 {
            return true;
        }
        let header = [0x2008_0522u32, 0];
        let mut sets = [0u32; 6];
        libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) == 0
            && sets[0] & 1 << CAP_SYS_ADMIN != 0
    }
}

/// `/proc/self/status` with the guest's mode and number of filters; `None` when the kernel is right.
pub fn status(thread: &Thread) -> Option<Vec<u8>> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    let filters = thread.inherited.seccomp.lock();
    let text = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with("Seccomp:") {
            out.push_str(&format!("Seccomp:\t{}\n", filters.mode()));
        } else if line.starts_with("Seccomp_filters:") {
            out.push_str(&format!("Seccomp_filters:\t{}\n", filters.list.len()));
        } else {
            out.push_str(line);
        }
    }
    Some(out.into_bytes())
}
