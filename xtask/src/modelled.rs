//! `cargo xtask modelled`: which instructions that the lifter does not model do programs execute, and how often?
//!
//! Each program runs natively, traced. At random moments it is stopped and executes some hundred single steps, which are
//! counted by instruction form; so what takes long is sampled often, and within a sample each execution counts. All programs weigh
//! the same. The result is `decode/tests/executed.txt`, from which `decode/tests/not-modelled.txt` takes its first section.
//!
//! Only the first thread of the first process is seen.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use decode::x86_64::X86_64;
use decode::{Fp, Guest, GuestPc};
use loader::{Stop, TraceError, Tracee};
use nix::libc::SIGURG;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Steps of one sample.
const BURST: u32 = 400;
/// Time between samples.
const PAUSE: Duration = Duration::from_millis(4);
/// Commands besides the benchmark programs; those that are not installed are left out.
const COMMANDS: &[&str] = &[
    "/usr/bin/python3 -c x={i:str(i)*3for(i)in(range(300000))};print(len(sorted(x.values())))",
    "/usr/bin/perl -e for(1..900000){$h{$_%977}.=chr(65+$_%26)};print(length(join(q(),sort(values(%h)))))",
    "/usr/bin/openssl speed -seconds 1 -bytes 1024 aes-128-cbc",
    "/usr/bin/xz -c -1 /usr/bin/gdb",
    "/usr/bin/gzip -c /usr/bin/gdb",
    "/usr/bin/bzip2 -c /usr/bin/perl",
    "/usr/bin/sort -r /usr/bin/perl",
    "/usr/bin/sha512sum /usr/bin/gdb",
    "/usr/bin/md5sum /usr/bin/gdb",
    "/usr/bin/grep -rc [a-z]*ing.*tion /usr/share/perl",
    "/usr/bin/wc /usr/bin/gdb",
    "/usr/bin/find /usr -name *.h",
    "/usr/bin/tar -cf - /usr/share/perl",
    "/usr/bin/factor 170141183460469231731687303715884105727",
];

/// How often each form was executed in one program; `None`: modelled.
type Counts = BTreeMap<Option<String>, u64>;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds for each program
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Classes of benchmark programs, as `speedup` has them
    #[arg(long, default_value = "indirect,small,kernels,real")]
    class: String,
    /// Levels of the benchmark programs
    #[arg(long, default_value = "O0,O1,O2,O3,O3-v3")]
    levels: String,
}

/// Measures and writes the file.
///
/// # Errors
/// When the benchmark programs cannot be built, or nothing could be measured.
pub fn measure(root: &Path, options: &Options) -> Result<()> {
    let mut shares: BTreeMap<String, (f64, f64, String)> = BTreeMap::new();
    let mut programs = 0;
    for (name, command) in commands(root, options)? {
        let counts = match sample(&command, Duration::from_secs_f64(options.seconds)) {
            Ok(counts) => counts,
            Err(error) => {
                eprintln!("xtask: {name}: {error:#}");
                continue;
            }
        };
        let total: u64 = counts.values().sum();
        if total < 1000 {
            eprintln!("xtask: {name}: only {total} instructions seen");
            continue;
        }
        programs += 1;
        let mut worst = (0.0, "");
        for (form, count) in &counts {
            let Some(form) = form else { continue };
            let share = *count as f64 / total as f64;
            let entry = shares.entry(form.clone()).or_default();
            entry.0 += share;
            if share > entry.1 {
                (entry.1, entry.2) = (share, name.clone());
            }
            if share > worst.0 {
                worst = (share, form);
            }
        }
        let modelled = counts.get(&None).copied().unwrap_or(0) as f64 / total as f64;
        eprintln!(
            "xtask: {name}: {:.3} % modelled; most: {} {:.3} %",
            modelled * 100.0,
            worst.1,
            worst.0 * 100.0
        );
    }
    ensure!(programs > 0, "nothing could be measured");
    let mut rows: Vec<_> = shares.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    let mut text = format!(
        "# Instruction forms that {programs} programs executed and the lifter did not model when this was measured: mean share\n\
         # of the executed instructions in parts per million, form, largest share of one program, and which. Written by\n\
         # `cargo xtask modelled`.\n"
    );
    for (form, (sum, most, program)) in rows {
        let _ = writeln!(text, "{:.2} {form} {:.0} {program}", sum / f64::from(programs) * 1e6, most * 1e6);
    }
    let path = root.join("decode/tests/executed.txt");
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Names and command lines of what is measured.
fn commands(root: &Path, options: &Options) -> Result<Vec<(String, Vec<String>)>> {
    let mut all = Vec::new();
    for compiler in ["gcc", "clang"] {
        if Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("xtask: no {compiler} here");
            continue;
        }
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["run", "--release", "-q", "-p", "bench", "--bin", "speedup", "--"])
            .args(["--build-only", "--class", &options.class, "--levels", &options.levels, "--cc", compiler])
            .current_dir(root)
            .output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // As `speedup` prints it: what, level, colon, command line.
            let Some((what, line)) = line.split_once(": ") else { continue };
            let name = format!("{compiler} {what}");
            let mut command: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            // Long enough for every sample.
            if let Some(units) = command.last_mut()
                && let Ok(number) = units.parse::<u64>()
            {
                *units = (number * 8).to_string();
            }
            all.push((name, command));
        }
    }
    for line in COMMANDS {
        let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if Path::new(&command[0]).exists() {
            let name = Path::new(&command[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.push((name, command));
        }
    }
    Ok(all)
}

/// Runs a program for at most `limit` and counts what its samples execute.
fn sample(command: &[String], limit: Duration) -> Result<Counts> {
    let argv: Vec<CString> = command.iter().map(|a| CString::new(a.as_str())).collect::<Result<_, _>>()?;
    let envp = vec![c"PATH=/usr/bin:/bin".to_owned(), c"LC_ALL=C.UTF-8".to_owned()];
    let request = loader::Request {
        path: command[0].clone().into(),
        argv,
        envp,
        aslr: false,
        shell: false,
        foreign: loader::Foreign::default(),
    };
    let mut tracee = quietly(|| Tracee::spawn(&request))?;
    let (pid, done) = (Pid::from_raw(tracee.pid()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Ignored by programs, but it stops a traced one.
            while !done.load(Ordering::Relaxed) && kill(pid, Signal::SIGURG).is_ok() {
                std::thread::sleep(PAUSE);
            }
        });
        let counts = bursts(&mut tracee, limit);
        done.store(true, Ordering::Relaxed);
        counts
    })
}

/// With standard output of this process, which a tracee inherits, on `/dev/null`.
fn quietly<T>(spawn: impl FnOnce() -> Result<T, TraceError>) -> Result<T> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    let saved = nix::unistd::dup(std::io::stdout())?;
    nix::unistd::dup2_stdout(&null)?;
    let result = spawn();
    nix::unistd::dup2_stdout(&saved)?;
    Ok(result?)
}

fn bursts(tracee: &mut Tracee, limit: Duration) -> Result<Counts> {
    let mut counts = Counts::new();
    let (start, mut signal) = (Instant::now(), 0);
    while start.elapsed() < limit {
        match tracee.run(signal)? {
            Stop::Signal(SIGURG) => signal = 0,
            Stop::Signal(other) => {
                signal = other;
                continue;
            }
            Stop::Exited(_) | Stop::Killed(_) => break,
            _ => continue,
        }
        for _ in 0..BURST {
            let pc = tracee.registers()?.rip;
            match tracee.step(signal)? {
                Stop::Stepped => {}
                Stop::Signal(SIGURG) => {
                    signal = 0;
                    continue;
                }
                Stop::Signal(other) => {
                    signal = other;
                    continue;
                }
                Stop::Exited(_) | Stop::Killed(_) => return Ok(counts),
                Stop::Syscall | Stop::Exec => {}
            }
            signal = 0;
            let mut bytes = [0; 15];
            let read = (1..=15).rev().find(|n| tracee.read(loader::GuestAddr(pc), &mut bytes[..*n]).is_ok());
            if let Ok(inst) = X86_64.decode(&bytes[..read.unwrap_or(0)], GuestPc(pc)) {
                *counts.entry(form(&inst)).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// The name of the form, if it is not modelled.
fn form(inst: &decode::x86_64::Inst) -> Option<String> {
    if X86_64.is_modelled(inst, Fp::AssumeDefault) {
        return None;
    }
    let raw = inst.raw();
    let prefix = if raw.has_lock_prefix() {
        "lock."
    } else if raw.is_string_instruction() && (raw.has_rep_prefix() || raw.has_repne_prefix()) {
        "rep."
    } else {
        ""
    };
    Some(format!("{prefix}{:?}", raw.code()))
}
