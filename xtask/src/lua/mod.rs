//! Chores of the Lua side: the reference implementation, random programs, public test suites.
//!
//! The reference is LuaJIT, built from the sources in the crate `luajit-src`; see [`reference::build`]. Random programs
//! and the scripts in `tests/lua` run under `rjit` and under the reference, and their output must be the same.

pub mod generate;
pub mod random;
pub mod reference;
pub mod suites;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a program did: output, errors and how it ended. `None` as status: it was still running at the limit.
pub struct Run {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit status; negative for a signal.
    pub status: Option<i32>,
}

/// Runs a command with a time limit.
pub fn run(command: &mut Command, limit: Duration) -> Result<Run> {
    use std::os::unix::process::ExitStatusExt;
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| shown.clone())?;
    let id = child.id();
    let (sender, done) = std::sync::mpsc::channel::<()>();
    // The watchdog ends the child; reading its pipes then ends too.
    let watchdog = std::thread::spawn(move || {
        let expired =
            done.recv_timeout(limit).is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout);
        if expired {
            let pid = nix::unistd::Pid::from_raw(id.cast_signed());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        expired
    });
    let started = Instant::now();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let drain = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut p) = pipe {
                let _ = p.read_to_end(&mut text);
            }
            text
        })
    };
    let out = drain(stdout.map(|p| Box::new(p) as _));
    let err = drain(stderr.map(|p| Box::new(p) as _));
    let status = child.wait().with_context(|| shown.clone())?;
    let _ = sender.send(());
    let expired = watchdog.join().unwrap_or(false) && started.elapsed() >= limit;
    Ok(Run {
        stdout: out.join().unwrap_or_default(),
        stderr: err.join().unwrap_or_default(),
        status: if expired { None } else { status.code().or(status.signal().map(|s| -s)) },
    })
}

/// The output of a command that must succeed.
pub fn output(command: &mut Command) -> Result<Output> {
    let shown = format!("{command:?}");
    let out = command.output().with_context(|| shown.clone())?;
    anyhow::ensure!(out.status.success(), "{shown} failed: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out)
}

/// Where cargo puts its output.
pub fn target_directory(root: &Path) -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into)
}
