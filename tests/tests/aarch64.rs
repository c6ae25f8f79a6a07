//! Programs for AArch64, which `dynrun` translates: the hazard programs that say so (`machines`), built by the cross compiler.
//!
//! The oracle of those that run on both machines is the CPU, on which the same source must print the same; of the others it is
//! `qemu-aarch64`, or a file with the output. Then scripts (`tests/aarch64`) of Debian's arm64 programs, which `.ci/aarch64-root`
//! unpacks into `target/aarch64-root`; they run each program by `$RUN`, and must do as under `qemu-aarch64`. Without the packages `gcc-aarch64-linux-gnu`, `g++-aarch64-linux-gnu`, `libc6-dev-arm64-cross` and `qemu-user` there is
//! nothing to test.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use e2e_tests::compare::{Aspects, compare, require};
use e2e_tests::hazard::{self, Hazard, Machine};
use e2e_tests::process::{Outcome, run};
use e2e_tests::subject::{self, FOREIGN, SYSROOT, Subject, Tier};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

/// The outcome that a program should have, made by whichever of its tests comes first.
type Oracle = Arc<OnceLock<Result<Outcome, String>>>;

fn main() -> ExitCode {
    suite::main(|setting| {
        let mut trials = Vec::new();
        let Some(dynrun) = setting.dynrun.clone() else { return Ok(trials) };
        let missing = missing();
        if !missing.is_empty() {
            let text = format!("not installed: {}", missing.join(", "));
            anyhow::ensure!(!setting.require_all, text);
            eprintln!("note: programs for AArch64 are not tested; {text}");
            return Ok(trials);
        }
        for hazard in hazard::all()?.into_iter().filter(|h| h.machines.contains(&Machine::AArch64)) {
            let oracle = Oracle::default();
            let subject = Subject::Dynrun { binary: dynrun.clone(), tier: Tier::Trace, options: FOREIGN };
            let name = hazard.name.clone();
            trials.push(Trial::test(name, move || check(&hazard, &subject, &oracle)));
        }
        trials.extend(real(&dynrun, setting.require_all)?);
        Ok(trials)
    })
}

/// Longest run of a script.
const LIMIT: Duration = Duration::from_secs(300);

/// The scripts of real programs.
fn real(dynrun: &Path, require_all: bool) -> anyhow::Result<Vec<Trial>> {
    let root = subject::target_dir()?.join("aarch64-root");
    if !root.join("complete").exists() {
        let text = format!("{} is missing: .ci/aarch64-root makes it", root.display());
        anyhow::ensure!(!require_all, text);
        eprintln!("note: real programs for AArch64 are not tested; {text}");
        return Ok(Vec::new());
    }
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("aarch64"))? {
        let script = entry?.path();
        let stem = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let root = root.display().to_string();
        let ours = format!("{} -L {root}", dynrun.display());
        let theirs = format!("qemu-aarch64 -L {root}");
        let run = move || {
            let expected = scripted(&script, &root, &theirs)?;
            Ok(compare(&expected, &scripted(&script, &root, &ours)?, Aspects::ALL)?)
        };
        trials.push(Trial::test(format!("real_{stem}"), run));
    }
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(trials)
}

/// Runs a script whose programs are run by `by`, in a directory with the same name each time.
fn scripted(script: &Path, root: &str, by: &str) -> Result<Outcome, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut command = Command::new("sh");
    command.arg(script);
    suite::surroundings(&mut command, dir.path());
    command.env("RUN", by).env("ROOT", root);
    run(command, scratch.path(), LIMIT).map_err(|e| e.to_string())
}

/// What the tests need and the machine lacks.
fn missing() -> Vec<&'static str> {
    let runs = |name: &str| {
        let how = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        how.is_ok_and(|s| s.success())
    };
    let tools = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64"];
    let mut missing: Vec<&str> = tools.into_iter().filter(|t| !runs(t)).collect();
    if !Path::new(SYSROOT).is_dir() {
        missing.push(SYSROOT);
    }
    missing
}

fn check(hazard: &Hazard, subject: &Subject, oracle: &Oracle) -> Result<(), Failed> {
    let expected = oracle.get_or_init(|| {
        if let Some(stdout) = hazard.expected().map_err(|e| e.to_string())? {
            return Ok(Outcome { stdout, stderr: Vec::new(), end: hazard.ends, elapsed: Duration::ZERO });
        }
        let (by, machine) = match hazard.machines.contains(&Machine::X86_64) {
            true => (Subject::Native, Machine::X86_64),
            false => (Subject::Emulated, Machine::AArch64),
        };
        let expected = outcome(hazard, &by, machine)?;
        require(&expected, hazard.ends).map(|()| expected)
    });
    let expected = expected.as_ref().map_err(Failed::from)?;
    Ok(compare(expected, &outcome(hazard, subject, Machine::AArch64)?, Aspects::ALL)?)
}

fn outcome(hazard: &Hazard, subject: &Subject, machine: Machine) -> Result<Outcome, String> {
    let program = hazard.build_for(machine).map_err(|e| e.to_string())?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut command = subject.command(&program);
    command.args(&hazard.args);
    suite::surroundings(&mut command, dir.path());
    run(command, scratch.path(), hazard.limit).map_err(|e| e.to_string())
}
