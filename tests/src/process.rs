//! One command, run to its end or to a time limit.
//!
//! Output goes to files, not to pipes: a grandchild that outlives the command cannot hold the
//! harness, and the guest sees the same kind of descriptor in every run. The command leads a process
//! group of its own, which is killed when the command ends or when its time is up, so that nothing is
//! left running. The size of the output is bounded; a runaway printer counts as hanging.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Bytes of output after which a command is stopped.
const OUTPUT_LIMIT: u64 = 256 << 20;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was still running when its time was up; its process group has been killed.
    TimedOut,
    /// It printed more than the harness is willing to keep; its process group has been killed.
    TooMuchOutput,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exit(code) => write!(f, "exit status {code}"),
            Self::Signal(n) => match Signal::try_from(n) {
                Ok(signal) => write!(f, "death by {signal}"),
                Err(_) => write!(f, "death by signal {n}"),
            },
            Self::TimedOut => write!(f, "hang (time limit reached, process group killed)"),
            Self::TooMuchOutput => write!(f, "endless output (process group killed)"),
        }
    }
}

/// All that a user can see of a finished command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Bytes written to standard output.
    pub stdout: Vec<u8>,
    /// Bytes written to standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// Wall time from start to end.
    pub elapsed: Duration,
}

/// The harness itself could not run the command.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command did not start.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program that should have been started.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// The files for its output could not be handled.
    #[error("cannot capture output in {dir}: {source}")]
    Capture {
        /// The directory of the output files.
        dir: String,
        /// Why not.
        source: io::Error,
    },
}

/// Kills the process group when dropped, however the wait for its leader ended.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // ESRCH is the usual answer: everyone in the group is gone.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Runs `command` with standard input from `/dev/null`, at most for `limit`. Output files are kept
/// in `scratch` while it runs.
///
/// # Errors
/// When the command does not start or its output cannot be stored; whatever the command itself does
/// is an [`Outcome`].
pub fn run(mut command: Command, scratch: &Path, limit: Duration) -> Result<Outcome, RunError> {
    let capture = |source| RunError::Capture { dir: scratch.display().to_string(), source };
    let files = tempfile::tempdir_in(scratch).map_err(capture)?;
    let (out_path, err_path) = (files.path().join("stdout"), files.path().join("stderr"));
    command
        .stdin(Stdio::null())
        .stdout(append_file(&out_path).map_err(capture)?)
        .stderr(append_file(&err_path).map_err(capture)?)
        .process_group(0);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|source| RunError::Spawn {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    let group = Group(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)));
    let mut pause = Duration::from_micros(500);
    let end = loop {
        if let Some(status) = child.try_wait().map_err(capture)? {
            break match (status.code(), status.signal()) {
                (Some(code), _) => End::Exit(code),
                (None, Some(signal)) => End::Signal(signal),
                (None, None) => End::TimedOut,
            };
        }
        let stopped = if start.elapsed() > limit {
            Some(End::TimedOut)
        } else if [&out_path, &err_path].iter().any(|p| p.metadata().is_ok_and(|m| m.len() > OUTPUT_LIMIT)) {
            Some(End::TooMuchOutput)
        } else {
            None
        };
        if let Some(end) = stopped {
            let _ = killpg(group.0, Signal::SIGKILL);
            child.wait().map_err(capture)?;
            break end;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let elapsed = start.elapsed();
    drop(group);
    let stdout = std::fs::read(&out_path).map_err(capture)?;
    let stderr = std::fs::read(&err_path).map_err(capture)?;
    Ok(Outcome { stdout, stderr, end, elapsed })
}

/// Several processes may write to it: each write goes to the end.
fn append_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Outcome {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(command, dir.path(), limit).expect("sh starts")
    }

    #[test]
    fn output_and_status_are_captured() {
        let got = shell("echo out; echo err >&2; exit 7", Duration::from_secs(10));
        assert_eq!((got.stdout.as_slice(), got.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(got.end, End::Exit(7));
    }

    #[test]
    fn deadly_signal_is_reported() {
        assert_eq!(shell("kill -TERM $$", Duration::from_secs(10)).end, End::Signal(15));
    }

    #[test]
    fn a_hang_takes_its_children_with_it() {
        let got = shell("sleep 1000 & echo $!; wait", Duration::from_millis(300));
        assert_eq!(got.end, End::TimedOut);
        let pid: i32 = String::from_utf8_lossy(&got.stdout).trim().parse().expect("a pid");
        let deadline = Instant::now() + Duration::from_secs(5);
        while is_running(pid) {
            assert!(Instant::now() < deadline, "process {pid} survived its group");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Neither gone nor a zombie that nobody has reaped yet.
    fn is_running(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
    }
}
