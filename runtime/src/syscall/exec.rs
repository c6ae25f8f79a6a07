//! `execve` and `execveat`: the new program runs under us too.
//!
//! The kernel does the work: it executes *this* program again, whose arguments name the guest's
//! program and repeat our options. So everything that survives or ends with `execve` (threads,
//! descriptors, timers, credentials, the parent of a `vfork`) is done by the one who knows how.
//! The guest's strings are not copied: the kernel reads them where they are, which also gives its
//! own answer to bad pointers and too many of them.
//!
//! Executed natively instead: whatever the kernel would refuse, so that it says so itself; programs
//! for other machines; programs that change credentials, which only the kernel may do; those that
//! cannot be read; those that a debugger among our guests traces; and everything under `--no-follow`.
//!
//! What the new process must know travels in arguments (`--root`, `--ignored`, `--exec-fd`,
//! `--seccomp-fd`). Environment variables that would change how *we* start (the dynamic linker's, the
//! allocator's, our own) are passed under another name, see [`KEEP`], and the guest gets them back.

use super::{Call, limits, proc, seccomp, signals};
use crate::enter;
use crate::options::Options;
use crate::process::process;
use crate::signal::{self, read_guest};
use crate::thread::Thread;
use loader::{Kind, LoadError};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Put before an environment string that must not work on us. One layer is taken off again by
/// [`environment`]; a string that begins with it already gets a second one.
const KEEP: &[u8] = b"DYNRUN_KEEP:";

/// Variables that work on the start of any dynamically linked Rust program, or of this one.
const MEANT_FOR_US: [&[u8]; 5] = [b"LD_", b"GLIBC_TUNABLES", b"MALLOC_", b"RUST_", b"DYNRUN_"];

/// Longest path, with its end.
const PATH_MAX: usize = 4096;

/// Memory the kernel reads during `execve`. It belongs to the thread's record and not to the stack
/// frame, because the child of a `vfork` never returns to free it.
#[derive(Debug, Default)]
pub struct Strings {
    bytes: Vec<Vec<u8>>,
    pointers: Vec<Vec<u64>>,
}

impl Clone for Strings {
    /// A new thread starts without any.
    fn clone(&self) -> Self {
        Strings::default()
    }
}

impl Strings {
    /// Keeps a string and returns its address; ends it with a zero byte.
    fn keep(&mut self, mut s: Vec<u8>) -> u64 {
        s.push(0);
        let at = s.as_ptr() as u64;
        self.bytes.push(s);
        at
    }
    fn keep_pointers(&mut self, p: Vec<u64>) -> u64 {
        let at = p.as_ptr() as u64;
        self.pointers.push(p);
        at
    }
}

/// The environment the guest gets. `followed`: this process was started by [`execve`].
pub fn environment(followed: bool) -> Vec<CString> {
    let mut all = loader::environment();
    if followed {
        for s in &mut all {
            if let Some(rest) = s.as_bytes().strip_prefix(KEEP) {
                *s = CString::new(rest).unwrap_or_default();
            }
        }
    }
    all
}

/// The arguments of a call of either kind.
struct Request {
    dir: i32,
    path_at: u64,
    argv: u64,
    envp: u64,
    flags: i32,
}

impl Request {
    fn of(call: &Call) -> Request {
        let a = &call.args;
        if call.number as i64 == libc::SYS_execve {
            return Request { dir: libc::AT_FDCWD, path_at: a[0], argv: a[1], envp: a[2], flags: 0 };
        }
        Request { dir: a[0] as i32, path_at: a[1], argv: a[2], envp: a[3], flags: a[4] as i32 }
    }
}

/// How to execute it.
enum Way {
    /// By the kernel, as the guest asked.
    Native,
    /// By the kernel, which will refuse it.
    Refused,
    /// Through us: this path, or this open file.
    Followed { path: CString, file: Option<i32> },
}

/// `execve`, `execveat`
pub fn execve(thread: &mut Thread, call: &Call) -> i64 {
    if thread.has_pending() {
        return enter::NOT_STARTED;
    }
    let request = Request::of(call);
    let v = match decide(&request) {
        Way::Followed { path, file } => {
            let v = follow(thread, &request, &path, file);
            if let Some(fd) = file {
                // SAFETY: a descriptor of ours that only the new program would have used.
                unsafe { libc::close(fd) };
            }
            // Our own program cannot be executed here (another root directory, for example).
            match -v as i32 {
                libc::ENOENT | libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::ELIBBAD => {
                    native(thread, call, &request, true)
                }
                _ => v,
            }
        }
        Way::Native => native(thread, call, &request, true),
        Way::Refused => native(thread, call, &request, false),
    };
    thread.inherited.exec = Strings::default();
    v
}

fn decide(request: &Request) -> Way {
    const KNOWN: i32 = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    if request.flags & !KNOWN != 0 {
        return Way::Refused; // a check without execution, or nonsense
    }
    let Ok(path) = read_string(request.path_at, PATH_MAX) else { return Way::Refused };
    let process = process();
    if process.options.no_follow || is_traced_by_guest() {
        return Way::Native;
    }
    if path.is_empty() && request.flags & libc::AT_EMPTY_PATH == 0 {
        return Way::Refused;
    }
    let name = if proc::is_own_exe(&path) {
        process.exe.as_os_str().as_bytes().to_vec()
    } else if path.is_empty() {
        return decide_open(request.dir, format!("/dev/fd/{}", request.dir).as_bytes(), request);
    } else if path[0] == b'/' || request.dir == libc::AT_FDCWD {
        path
    } else {
        let mut name = format!("/dev/fd/{}/", request.dir).into_bytes();
        name.extend_from_slice(&path);
        return match open_path(request.dir, &path) {
            Some(fd) => {
                let way = decide_open(fd, &name, request);
                // SAFETY: just opened by us.
                unsafe { libc::close(fd) };
                way
            }
            None => Way::Refused,
        };
    };
    let as_path = PathBuf::from(OsStr::from_bytes(&name));
    if request.flags & libc::AT_SYMLINK_NOFOLLOW != 0 && as_path.is_symlink() {
        return Way::Refused;
    }
    match judge(&as_path) {
        Judgement::Follow(_) => match CString::new(name) {
            Ok(path) => Way::Followed { path, file: None },
            Err(_) => Way::Refused,
        },
        Judgement::Native => Way::Native,
        Judgement::Refuse => Way::Refused,
    }
}

/// Whether a debugger that runs under us traces this process: what it wants to see is the program,
/// not us.
fn is_traced_by_guest() -> bool {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let tracer = status
        .split(|&b| b == b'\n')
        .find_map(|l| l.strip_prefix(b"TracerPid:"))
        .and_then(|n| std::str::from_utf8(n).ok()?.trim().parse::<u32>().ok())
        .unwrap_or(0);
    if tracer == 0 {
        return false;
    }
    let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    program("self").is_some_and(|own| program(&tracer.to_string()) == Some(own))
}

/// Decides about a program given as an open file, which `name` means as long as it is open.
fn decide_open(fd: i32, name: &[u8], request: &Request) -> Way {
    let through = PathBuf::from(format!("/proc/self/fd/{fd}"));
    if request.flags & libc::AT_SYMLINK_NOFOLLOW != 0 && through.metadata().is_ok_and(|m| m.is_symlink()) {
        return Way::Refused;
    }
    match judge(&through) {
        // A script's interpreter opens it by name; the kernel refuses a name that will be gone.
        Judgement::Follow(true) => {
            // SAFETY: asks for flags of a descriptor.
            let flags = unsafe { libc::fcntl(request.dir, libc::F_GETFD) };
            match CString::new(name) {
                Ok(path) if flags & libc::FD_CLOEXEC == 0 => Way::Followed { path, file: None },
                _ => Way::Refused,
            }
        }
        Judgement::Follow(false) => {
            // SAFETY: a copy that survives the call; the new process closes it.
            let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD, fragcache::memory::high_descriptor_floor()) };
            match CString::new(name) {
                Ok(path) if copy >= 0 => Way::Followed { path, file: Some(copy) },
                _ => Way::Native,
            }
        }
        Judgement::Native => Way::Native,
        Judgement::Refuse => Way::Refused,
    }
}

fn open_path(dir: i32, path: &[u8]) -> Option<i32> {
    let path = CString::new(path).ok()?;
    // SAFETY: opens a file for its name only.
    let fd = unsafe { libc::openat(dir, path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    (fd >= 0).then_some(fd)
}

enum Judgement {
    /// We can run it; whether it is a script.
    Follow(bool),
    Native,
    Refuse,
}

fn judge(path: &Path) -> Judgement {
    match loader::check(path, process().options.sysroot.as_deref()) {
        Err(e) if e.is_our_limit() => Judgement::Native,
        Err(_) => Judgement::Refuse,
        Ok(kind) => {
            let guest = matches!(kind.program(), Kind::Elf(_));
            if !guest || changes_credentials(executable(path, &kind)) {
                return Judgement::Native;
            }
            Judgement::Follow(matches!(kind, Kind::Script { .. }))
        }
    }
}

/// The file that is really executed.
fn executable<'a>(path: &'a Path, kind: &'a Kind) -> &'a Path {
    match kind {
        Kind::Script { interpreter, runs, .. } => executable(interpreter, runs),
        _ => path,
    }
}

/// Whether the kernel would give the program another identity or other rights.
fn changes_credentials(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else { return false };
    // SAFETY: these cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mode = meta.mode();
    if mode & libc::S_ISUID != 0 && meta.uid() != uid
        || mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && meta.gid() != gid
    {
        return true;
    }
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: asks for the size of an attribute only.
    let size =
        unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), std::ptr::null_mut(), 0) };
    uid != 0 && size > 0
}

/// Executes ourselves on the guest's program.
fn follow(thread: &mut Thread, request: &Request, path: &CStr, file: Option<i32>) -> i64 {
    let process = process();
    let filters = match seccomp::hand_over(thread) {
        Ok(f) => f,
        Err(e) => return -i64::from(e),
    };
    let ignored = ignored_of_ours(thread);
    let strings = &mut thread.inherited.exec;
    let mut argv = vec![strings.keep(b"dynrun".to_vec())];
    let root = process.first_pid;
    for a in process.options.forward() {
        argv.push(strings.keep(a.as_bytes().to_vec()));
    }
    argv.push(strings.keep(format!("--root={root}").into_bytes()));
    if ignored != 0 {
        argv.push(strings.keep(format!("--ignored={ignored}").into_bytes()));
    }
    if let Some(l) = limits::hand_over() {
        argv.push(strings.keep(format!("--limits={l}").into_bytes()));
    }
    if let Some(fd) = file {
        argv.push(strings.keep(format!("--exec-fd={fd}").into_bytes()));
    }
    if let Some(fd) = filters {
        argv.push(strings.keep(format!("--seccomp-fd={fd}").into_bytes()));
    }
    let Ok(guest_argv) = read_pointers(request.argv) else {
        close_if_any(filters);
        return -i64::from(libc::EFAULT);
    };
    argv.push(strings.keep(b"--argv0".to_vec()));
    argv.push(match guest_argv.first() {
        Some(&first) => first,
        None => strings.keep(Vec::new()),
    });
    argv.push(strings.keep(b"--".to_vec()));
    argv.push(strings.keep(path.to_bytes().to_vec()));
    argv.extend(guest_argv.iter().skip(1));
    argv.push(0);
    let argv = strings.keep_pointers(argv);
    let Ok(envp) = keep_environment(strings, request.envp) else {
        close_if_any(filters);
        return -i64::from(libc::EFAULT);
    };
    let own = strings.keep(b"/proc/self/exe".to_vec());
    if !is_vfork_child(thread) {
        crate::report::at_exec(thread);
    }
    let v = with_guest_mask(thread, || {
        enter::guest_syscall(&[libc::SYS_execve as u64, own, argv, envp, 0, 0, 0])
    });
    close_if_any(filters);
    v
}

fn close_if_any(fd: Option<i32>) {
    if let Some(fd) = fd {
        // SAFETY: a descriptor of ours that nobody else knows.
        unsafe { libc::close(fd) };
    }
}

fn is_vfork_child(thread: &Thread) -> bool {
    thread.own.is_some_and(|o| o.1 == 0)
}

/// The guest's environment, with the strings that would work on us renamed.
fn keep_environment(strings: &mut Strings, at: u64) -> Result<u64, ()> {
    let mut envp = read_pointers(at)?;
    let mut changed = false;
    for p in &mut envp {
        let mut head = [0u8; 16];
        let n = read_prefix(*p, &mut head);
        if MEANT_FOR_US.iter().any(|m| head[..n].starts_with(m)) {
            let mut s = KEEP.to_vec();
            s.extend(read_string(*p, 128 << 10)?);
            *p = strings.keep(s);
            changed = true;
        }
    }
    if !changed {
        return Ok(at);
    }
    envp.push(0);
    Ok(strings.keep_pointers(envp))
}

/// Lets the kernel execute what the guest named. `succeeds`: it probably will, so everything that
/// the new program inherits from the kernel must be in place.
fn native(thread: &mut Thread, call: &Call, request: &Request, succeeds: bool) -> i64 {
    let mut call = *call;
    if let Ok(path) = read_string(request.path_at, PATH_MAX)
        && proc::is_own_exe(&path)
    {
        let exe = process().exe.as_os_str().as_bytes().to_vec();
        let i = usize::from(call.number as i64 != libc::SYS_execve);
        call.args[i] = thread.inherited.exec.keep(exe);
    }
    if succeeds {
        if let Err(e) = seccomp::install(thread) {
            return -i64::from(e);
        }
        limits::install();
        if !is_vfork_child(thread) {
            crate::report::at_exec(thread);
        }
    }
    let ignored = ignored_of_ours(thread);
    signals::really_ignore(ignored);
    let v = with_guest_mask(thread, || call.pass());
    signals::really_handle(ignored);
    v
}

/// Makes a call that inherits the guest's signal mask. Signals that we held back go to the kernel
/// for the time being, which hands them on.
fn with_guest_mask(thread: &mut Thread, call: impl FnOnce() -> i64) -> i64 {
    signals::set_exact_mask(thread.mask);
    for info in &thread.inherited.withheld {
        // SAFETY: sends this thread a signal that it blocks; the words are a siginfo.
        unsafe {
            let (pid, tid) = (libc::getpid(), libc::syscall(libc::SYS_gettid));
            libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, info[0] as u32, info.as_ptr());
        }
    }
    let held = std::mem::take(&mut thread.inherited.withheld);
    let v = call();
    if !held.is_empty() {
        let set = held.iter().fold(0, |s, i| s | signal::bit(i[0] as u32 as i32));
        signals::take_back(set);
        thread.inherited.withheld = held;
    }
    signal::set_host_mask(thread.mask);
    v
}

/// Signals whose handlers are ours and that the guest ignores.
fn ignored_of_ours(thread: &Thread) -> u64 {
    let actions = thread.actions.lock().unwrap_or_else(|e| e.into_inner());
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP]
        .into_iter()
        .filter(|&s| actions.0[s as usize].handler == 1)
        .fold(0, |m, s| m | signal::bit(s))
}

/// The program could not be loaded after all, when nobody is left to be told by an error number.
pub fn fail_late(request: &loader::Request, options: &Options, error: &LoadError) -> ! {
    if error.is_our_limit() {
        signals::really_ignore(options.ignored);
        let pointers = |v: &[CString]| -> Vec<*const libc::c_char> {
            v.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (argv, envp) = (pointers(&request.argv), pointers(&request.envp));
        if let Ok(path) = CString::new(request.path.as_os_str().as_bytes()) {
            // SAFETY: terminated arrays of terminated strings.
            unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        }
    }
    if error.kills() {
        signals::die_by(libc::SIGSEGV);
    }
    crate::report::line(&error.to_string());
    std::process::exit(error.exit_status())
}

/// A string of the guest's without its end; `Err` when it is not readable or longer than `max`.
pub fn read_string(at: u64, max: usize) -> Result<Vec<u8>, ()> {
    let mut s = Vec::new();
    let mut at = at;
    while s.len() < max {
        // Never beyond a page whose neighbour may be missing.
        let n = (4096 - (at & 4095) as usize).min(256);
        let mut part = [0u8; 256];
        read_guest(at, &mut part[..n])?;
        if let Some(end) = part[..n].iter().position(|&b| b == 0) {
            s.extend_from_slice(&part[..end]);
            return if s.len() < max { Ok(s) } else { Err(()) };
        }
        s.extend_from_slice(&part[..n]);
        at += n as u64;
    }
    Err(())
}

/// The first bytes of a string, as many as there are.
fn read_prefix(at: u64, into: &mut [u8]) -> usize {
    let n = (4096 - (at & 4095) as usize).min(into.len());
    if read_guest(at, &mut into[..n]).is_err() {
        return 0;
    }
    if let Some(end) = into[..n].iter().position(|&b| b == 0) {
        return end;
    }
    if n < into.len() && read_guest(at + n as u64, &mut into[n..]).is_ok() {
        return into.len();
    }
    n
}

/// An array of pointers without its end. None at all is an empty one, as for the kernel.
fn read_pointers(at: u64) -> Result<Vec<u64>, ()> {
    let mut v = Vec::new();
    if at == 0 {
        return Ok(v);
    }
    for i in 0.. {
        let mut b = [0u8; 8];
        read_guest(at.wrapping_add(i * 8), &mut b)?;
        match u64::from_le_bytes(b) {
            0 => break,
            p => v.push(p),
        }
    }
    Ok(v)
}
