//! Real programs: shell files in `tests/programs`, one per program.
//!
//! A file opens with comment lines `# key: value`:
//!
//! | key | meaning |
//! |-----|---------|
//! | `program` | what is run; required |
//! | `packages` | Debian packages that bring it |
//! | `needs` | commands that must exist, else the row is skipped |
//! | `limit` | seconds before a run counts as hanging, default 120 |
//! | `compare` | `all`, `stdout` (default) or `status` |
//! | `slow` | `yes`: minutes; only `cargo xtask oracles` runs it |
//! | `tiers` | `trace`: too slow to run with every tier; `default`: nor with all optimisation of whatever runs twice, as with hundreds of processes |
//!
//! and defines shell functions: `prepare` (optional; runs natively, once), `run` (the subject: the whole
//! shell runs under `dynrun`, all its children follow) and `after` (optional; runs natively, its output is
//! compared too: checksums of the files that `run` left).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::compare::Aspects;
use crate::process::{End, Outcome, run};
use crate::subject::{Subject, target_dir};
use crate::suite;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Program {
    /// File stem; the name of the test.
    pub name: String,
    /// The shell file.
    pub script: PathBuf,
    /// Debian packages.
    pub packages: Vec<String>,
    /// Commands.
    pub needs: Vec<String>,
    /// Time limit of one run.
    pub limit: Duration,
    /// What is compared.
    pub aspects: Aspects,
    /// Whether only the default tier is worth the time.
    pub trace_only: bool,
    /// Also run with all optimisation of whatever runs twice.
    pub hot: bool,
    /// Whether it takes minutes.
    pub slow: bool,
}

/// All programs, by name.
///
/// # Errors
/// When a file cannot be read or its header is wrong.
pub fn all() -> anyhow::Result<Vec<Program>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("programs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "sh") {
            programs.push(parse(path)?);
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

fn parse(script: PathBuf) -> anyhow::Result<Program> {
    let text = fs::read_to_string(&script)?;
    let mut program = Program {
        name: script.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default(),
        packages: Vec::new(),
        needs: Vec::new(),
        limit: Duration::from_secs(120),
        aspects: Aspects::STDOUT,
        trace_only: false,
        hot: true,
        slow: false,
        script,
    };
    let mut described = false;
    for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
        let Some((key, value)) = line.split_once(": ") else { continue };
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match (key, value.trim()) {
            ("program", _) => described = true,
            ("packages", _) => program.packages = words(),
            ("needs", _) => program.needs = words(),
            ("limit", seconds) => program.limit = Duration::from_secs(seconds.parse()?),
            ("compare", "all") => program.aspects = Aspects::ALL,
            ("compare", "stdout") => program.aspects = Aspects::STDOUT,
            ("compare", "status") => program.aspects = Aspects::END,
            ("tiers", "trace") => program.trace_only = true,
            ("tiers", "default") => (program.trace_only, program.hot) = (true, false),
            ("slow", "yes") => program.slow = true,
            _ => anyhow::bail!("{}: unknown directive: {line}", program.script.display()),
        }
    }
    anyhow::ensure!(described, "{}: no `# program:` line", program.script.display());
    Ok(program)
}

impl Program {
    /// Commands that are not installed.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        dirs.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
        let exists = |need: &str| dirs.iter().any(|dir| dir.join(need).is_file()) || Path::new(need).exists();
        self.needs.iter().filter(|need| !exists(need)).cloned().collect()
    }

    /// Runs `prepare` natively, with the whole environment of the harness, in a new directory.
    ///
    /// # Errors
    /// When it fails; with its output.
    pub fn prepare(&self) -> anyhow::Result<tempfile::TempDir> {
        let dir = tempfile::tempdir()?;
        let cache = target_dir()?.join("programs-cache");
        fs::create_dir_all(&cache)?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", ". \"$0\"; if command -v prepare >/dev/null; then set -e; prepare; fi"])
            .arg(&self.script)
            .current_dir(dir.path())
            .env("CACHE", cache);
        let scratch = tempfile::tempdir()?;
        let outcome = run(command, scratch.path(), Duration::from_secs(300))?;
        anyhow::ensure!(
            outcome.end == End::Exit(0),
            "preparation: {}: {}{}",
            outcome.end,
            String::from_utf8_lossy(&outcome.stdout),
            String::from_utf8_lossy(&outcome.stderr),
        );
        Ok(dir)
    }

    /// Runs `run` as `subject` in a copy of `prepared`, then `after` natively; its output is appended to
    /// standard output.
    ///
    /// # Errors
    /// When the harness cannot start it, or `after` fails to start.
    pub fn outcome(&self, subject: &Subject, prepared: &Path) -> anyhow::Result<Outcome> {
        let (dir, scratch) = (tempfile::tempdir()?, tempfile::tempdir()?);
        // Programs may drop their privileges, as servers do.
        let copied = Command::new("cp").arg("-a").arg(prepared.join(".")).arg(dir.path()).status()?;
        anyhow::ensure!(copied.success(), "cp fails");
        let shell = Path::new("/bin/sh");
        let mut command = subject.command(shell);
        command.args(["-c", ". \"$0\"; run"]).arg(&self.script);
        suite::surroundings(&mut command, dir.path());
        let mut outcome = run(command, scratch.path(), self.limit)?;
        let mut command = Command::new(shell);
        command.args(["-c", ". \"$0\"; if command -v after >/dev/null; then after; fi"]).arg(&self.script);
        suite::surroundings(&mut command, dir.path());
        let after = run(command, scratch.path(), self.limit)?;
        outcome.stdout.extend(after.stdout);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_valid_header() {
        let programs = all().unwrap_or_else(|error| panic!("{error:#}"));
        assert!(programs.len() > 10, "only {} programs found", programs.len());
    }
}
