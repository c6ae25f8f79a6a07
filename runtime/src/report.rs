//! What `dynrun` says: fatal errors of its own, and at the end of a process whatever was asked for
//! (`--stats`, `--report`, `--events`, `--timeline`, `--drcov`, `--dump`, `--perf-map`, `--jitdump`).
//!
//! Nothing here changes how the program ends: a file that cannot be written costs one line on
//! standard error, and signals that writing raises are swallowed. Output goes to a copy of standard
//! error made at the start, because many programs close theirs before they end.
//!
//! A process that a signal kills by its default action reports before it dies; SIGKILL leaves no time for that.

use crate::process::process;
use crate::signal;
use crate::thread::Thread;
use crate::{jitdump, stats, view};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

/// Exit status when dynrun itself fails.
pub const OWN_FAILURE: i32 = 125;

/// Where diagnostics go when the guest may have closed or replaced its standard error: a copy at a
/// high number, which the guest can neither see nor close; -1 when there is none.
pub static PRIVATE: AtomicI32 = AtomicI32::new(-1);

/// Keeps a private copy of standard error.
pub fn keep_stderr() {
    // SAFETY: duplicates a descriptor.
    let fd = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, fragcache::memory::high_descriptor_floor()) };
    PRIVATE.store(fd.max(-1), Ordering::Relaxed);
}

/// The guest wants the number of the private copy: takes another one.
pub fn move_private() {
    let old = PRIVATE.load(Ordering::Relaxed);
    // SAFETY: duplicates and closes a descriptor of ours.
    unsafe {
        let new = libc::fcntl(old, libc::F_DUPFD_CLOEXEC, old + 1);
        let new = if new < 0 { libc::fcntl(old, libc::F_DUPFD_CLOEXEC, 3) } else { new };
        PRIVATE.store(new.max(-1), Ordering::Relaxed);
        libc::close(old);
    }
}

/// The private copy, or standard error while there is none.
fn stderr() -> i32 {
    match PRIVATE.load(Ordering::Relaxed) {
        -1 => 2,
        fd => fd,
    }
}

/// Writes to [`stderr`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // SAFETY: writes a live buffer.
        let n = unsafe { libc::write(stderr(), bytes.as_ptr().cast(), bytes.len()) };
        if n < 0 { Err(std::io::Error::last_os_error()) } else { Ok(n as usize) }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line on standard error, without locks or allocation.
pub fn line(text: &str) {
    let parts = ["dynrun: ", text, "\n"];
    let v = parts.map(|p| libc::iovec { iov_base: p.as_ptr() as *mut libc::c_void, iov_len: p.len() });
    // SAFETY: writes live strings.
    unsafe {
        libc::writev(stderr(), v.as_ptr(), 3);
    }
}

/// Ends the process because the runtime cannot go on.
pub fn fatal(text: &str) -> ! {
    line(text);
    // SAFETY: ends the process.
    unsafe {
        libc::syscall(libc::SYS_exit_group, OWN_FAILURE);
    }
    unreachable!("exit_group does not return")
}

/// A fault in code of ours.
pub fn runtime_fault(thread: &Thread, signal: i32, rip: usize, address: usize) -> ! {
    fatal(&format!(
        "internal error: signal {signal} at {rip:#x} (address {address:#x}), guest at {:#x}, in cache {}; \
         please report it. To go on: --tier block or -O0; to reproduce: --no-aslr",
        thread.context.pc, thread.context.in_cache
    ))
}

/// Prepares what was asked for, before guest code runs.
pub fn init() {
    let o = &process().options;
    if o.stats.is_some() || o.dump.is_some() || o.log.is_some() {
        keep_stderr();
    }
    if o.jitdump
        && let Err(e) = jitdump::start()
    {
        line(&format!("--jitdump: {e}"));
    }
    if o.report.is_some() {
        view::start();
    }
    if o.stats.is_some() || o.report.is_some() {
        stats::start();
    }
    if let Some(filter) = &o.log {
        // No regular expressions, as other filters have: their tables would be relocated at every start.
        match filter.parse::<tracing_subscriber::filter::Targets>() {
            Ok(f) => {
                use tracing_subscriber::layer::SubscriberExt;
                let lines = tracing_subscriber::fmt::layer()
                    .with_writer(|| Diagnostics)
                    .with_ansi(false)
                    .without_time();
                let subscriber = tracing_subscriber::registry().with(f).with(lines);
                let _ = tracing::subscriber::set_global_default(subscriber);
            }
            Err(e) => line(&format!("--log {filter}: {e}")),
        }
    }
}

/// The process goes on as another program.
pub fn at_exec(thread: &mut Thread) {
    crate::syscall::habit::executes();
    at_exit(thread);
}

/// Is anything to be written at the end of the process?
pub fn is_asked_for() -> bool {
    let o = &process().options;
    let files = [&o.stats, &o.report, &o.events, &o.timeline, &o.drcov].iter().any(|f| f.is_some());
    files || o.dump.is_some() || o.perf_map || o.jitdump
}

/// Statistics and dumps that were asked for.
pub fn at_exit(thread: &mut Thread) {
    let o = &process().options;
    let asked = is_asked_for();
    let keep = process().lock().store.is_due();
    if !asked && !keep {
        return;
    }
    signal::block_all();
    if keep {
        crate::store::save(&mut process().lock());
    }
    if let Some(to) = &o.stats {
        let s = stats::collect();
        if to.as_os_str() == "-" {
            let _ = Diagnostics.write_all(s.table().as_bytes());
        } else {
            let mut text = serde_json::to_vec(&s).unwrap_or_default();
            text.push(b'\n');
            write_file(&path_for_process(to), &text);
        }
    }
    if let Some(to) = &o.report {
        match view::page(&stats::collect()) {
            Ok(page) => write_file(&path_for_process(to), page.as_bytes()),
            Err(e) => line(&format!("no report: {e}")),
        }
    }
    if let Some(to) = &o.timeline {
        match view::timeline() {
            Ok(text) => write_file(&path_for_process(to), text.as_bytes()),
            Err(e) => line(&format!("no time line: {e}")),
        }
    }
    if let Some(to) = &o.drcov {
        write_file(&path_for_process(to), &view::drcov());
    }
    if let Some(to) = &o.events {
        write_file(&path_for_process(to), &events());
    }
    if let Some(what) = &o.dump {
        let _ = Diagnostics.write_all(crate::dump::dump(what).as_bytes());
    }
    if o.jitdump
        && let Err(e) = view::jitdump()
    {
        line(&format!("--jitdump: {e}"));
    }
    if o.perf_map {
        write_file(Path::new(&format!("/tmp/perf-{}.map", std::process::id())), &crate::dump::perf_map());
    }
    // Broken pipes and limits on files are not the program's.
    crate::syscall::signals::take_back(signal::bit(libc::SIGPIPE) | signal::bit(libc::SIGXFSZ));
    signal::set_host_mask(thread.mask);
}

/// Each process has a file of its own: `%p` stands for its id; without that the first process has the
/// file itself and others the id behind its name.
fn path_for_process(path: &Path) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let pid = std::process::id().to_string();
    let name = path.as_os_str().as_bytes();
    if let Some(i) = name.windows(2).position(|w| w == b"%p") {
        let mut whole = name[..i].to_vec();
        whole.extend_from_slice(pid.as_bytes());
        whole.extend_from_slice(&name[i + 2..]);
        return PathBuf::from(std::ffi::OsString::from_vec(whole));
    }
    if std::process::id() == process().first_pid {
        return path.to_owned();
    }
    let mut whole = path.as_os_str().to_owned();
    whole.push(".");
    whole.push(pid);
    PathBuf::from(whole)
}

fn write_file(path: &Path, text: &[u8]) {
    if let Err(e) = std::fs::write(path, text) {
        line(&format!("cannot write {}: {e}", path.display()));
    }
}

/// The event log, one JSON object a line; the last line says how many older events were lost.
fn events() -> Vec<u8> {
    #[derive(Serialize)]
    struct Lost {
        lost: u64,
    }
    let shared = process().lock();
    let mut out = Vec::new();
    for e in shared.cache.events.iter() {
        if serde_json::to_writer(&mut out, e).is_ok() {
            out.push(b'\n');
        }
    }
    if serde_json::to_writer(&mut out, &Lost { lost: shared.cache.events.lost() }).is_ok() {
        out.push(b'\n');
    }
    out
}
