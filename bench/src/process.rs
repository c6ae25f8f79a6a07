//! One measured process: started on a chosen core, its output in a file, its time and
//! memory taken from the kernel when it is reaped.
//!
//! What is measured: `wall` from just before the fork until the process is reaped; `cpu`
//! is user plus system time of the process and of all descendants it has waited for;
//! `peak_kib` is the largest resident set among them. The kernel counts the resident set
//! of the forked copy of this process before it becomes the program, so that peaks below
//! about 2 MiB are not resolved.
//!
//! The child gets a process group of its own, which is killed as a whole at the time
//! limit, and dies with us when we are killed. Everything `unsafe` in this crate is here.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command line with its working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; the program is looked up in `PATH` when it has no slash.
    pub argv: Vec<OsString>,
    /// Where it runs; the current directory when absent.
    pub directory: Option<PathBuf>,
    /// Variables that it finds in its environment besides ours.
    pub environment: Vec<(OsString, OsString)>,
}

impl CommandLine {
    /// A command line that runs in the current directory.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        Self { argv: argv.into_iter().map(Into::into).collect(), directory: None, environment: Vec::new() }
    }

    /// The command line as a shell user would read it.
    pub fn display(&self) -> String {
        self.argv.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// It was still running at the time limit, and was killed.
    TimedOut(Duration),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exit status {code}"),
            End::Killed(signal) => write!(f, "killed by signal {signal}"),
            End::TimedOut(limit) => write!(f, "still running after {} s", limit.as_secs_f64().round()),
        }
    }
}

/// What one run cost and how it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// How the process ended.
    pub end: End,
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time, user and system, with waited-for descendants.
    pub cpu: f64,
    /// Largest resident set, in KiB.
    pub peak_kib: u64,
}

/// Where and how long a process may run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The one core it may use; any when absent.
    pub core: Option<usize>,
    /// It is killed after this time.
    pub timeout: Duration,
}

/// Runs `command` to its end with standard output in `stdout`, standard error in
/// `stderr` (both truncated first) and the file `stdin`, or nothing, on standard input.
///
/// Fails when the program cannot be started; a program that fails is a [`Run`].
pub fn run(
    command: &CommandLine,
    limits: &Limits,
    stdin: Option<&Path>,
    stdout: &Path,
    stderr: &Path,
) -> io::Result<Run> {
    let (program, arguments) = command
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty command"))?;
    let mut child = Command::new(program);
    child
        .args(arguments)
        .envs(command.environment.iter().map(|(k, v)| (k, v)))
        .stdin(match stdin {
            Some(path) => Stdio::from(File::open(path)?),
            None => Stdio::null(),
        })
        .stdout(Stdio::from(File::create(stdout)?))
        .stderr(Stdio::from(File::create(stderr)?))
        .process_group(0);
    if let Some(directory) = &command.directory {
        child.current_dir(directory);
    }
    let core = limits.core;
    // SAFETY: the closure runs in the forked child before exec and makes only two system
    // calls on data of its own; it allocates nothing and takes no lock.
    unsafe {
        child.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            core.map_or(Ok(()), pin_this_thread)
        });
    }
    let start = Instant::now();
    let pid = child.spawn()?.id() as libc::pid_t;
    let timed_out = !ends_within(pid, limits.timeout)?;
    if timed_out {
        // SAFETY: a plain system call. The group exists: its leader is not yet reaped.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
    }
    let (status, usage) = reap(pid)?;
    let wall = start.elapsed().as_secs_f64();
    let end = if timed_out {
        End::TimedOut(limits.timeout)
    } else if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    Ok(Run {
        end,
        wall,
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_kib: usage.ru_maxrss.max(0) as u64,
    })
}

/// The cores this process may run on, in ascending order.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: `cpu_set_t` is a plain bit set for which all zeroes is the empty set, and
    // the kernel writes at most the size we give.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    let limit = libc::CPU_SETSIZE as usize;
    // SAFETY: every index is below CPU_SETSIZE.
    Ok((0..limit).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

fn pin_this_thread(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the set is zeroed, the index is in range, the size is that of the set.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until the child `pid` has ended, without reaping it. False at the time limit.
fn ends_within(pid: libc::pid_t, limit: Duration) -> io::Result<bool> {
    // SAFETY: a plain system call without pointers. The pid is an unreaped child of ours,
    // so that it cannot have been reused.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = left.as_millis().clamp(1, i32::MAX as u128) as i32;
        // SAFETY: one valid pollfd, and its count is one.
        match unsafe { libc::poll(&mut poll, 1, milliseconds) } {
            1 => return Ok(true),
            0 if left.is_zero() => return Ok(false),
            0 => {}
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

fn reap(pid: libc::pid_t) -> io::Result<(i32, libc::rusage)> {
    loop {
        let mut status = 0;
        // SAFETY: all zeroes is a valid `rusage`, and both pointers are to live locals.
        let (reaped, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::wait4(pid, &mut status, 0, &mut usage), usage)
        };
        if reaped == pid {
            return Ok((status, usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn seconds(t: libc::timeval) -> f64 {
    t.tv_sec as f64 + t.tv_usec as f64 * 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> (Run, Vec<u8>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let (out, err) = (directory.path().join("out"), directory.path().join("err"));
        let core = allowed_cores().unwrap().last().copied();
        let run = run(&CommandLine::new(["sh", "-c", script]), &Limits { core, timeout }, None, &out, &err)
            .unwrap();
        (run, std::fs::read(out).unwrap(), std::fs::read(err).unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn output_and_status_are_kept() {
        let (run, out, err) = shell("echo here; echo there >&2; exit 7", LONG);
        assert_eq!(run.end, End::Exited(7));
        assert_eq!((out.as_slice(), err.as_slice()), (&b"here\n"[..], &b"there\n"[..]));
        assert!(run.peak_kib > 0 && run.wall > 0.0);
    }

    #[test]
    fn death_by_signal_is_not_an_exit_status() {
        assert_eq!(shell("kill -11 $$", LONG).0.end, End::Killed(11));
        assert_eq!(shell("exit 139", LONG).0.end, End::Exited(139));
    }

    #[test]
    fn the_time_limit_kills_the_whole_group() {
        let limit = Duration::from_millis(200);
        let (run, _, _) = shell("sleep 50 & sleep 50", limit);
        assert_eq!(run.end, End::TimedOut(limit));
        assert!(run.wall < 20.0);
    }

    #[test]
    fn time_of_waited_for_children_counts() {
        let (run, _, _) = shell("sh -c 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done'; true", LONG);
        assert!(run.cpu > 0.001, "{run:?}");
    }

    #[test]
    fn children_stay_on_their_core() {
        let (_, out, _) = shell("grep Cpus_allowed_list /proc/self/status", LONG);
        let core = allowed_cores().unwrap().pop().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap().split_whitespace().last(),
            Some(core.to_string().as_str())
        );
    }

    #[test]
    fn what_cannot_start_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let limits = Limits { core: None, timeout: LONG };
        let missing = CommandLine::new(["/nonexistent/program"]);
        assert_eq!(run(&missing, &limits, None, &out, &out).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(run(&CommandLine::new([""; 0]), &limits, None, &out, &out).is_err());
        let nowhere = Limits { core: Some(usize::MAX), timeout: LONG };
        assert!(run(&CommandLine::new(["true"]), &nowhere, None, &out, &out).is_err());
    }
}
