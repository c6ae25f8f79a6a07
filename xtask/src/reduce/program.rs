//! Which rewrite breaks a program? Found by halving the fuel of the optimizer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::compare::{Aspects, compare};
use e2e_tests::process::{Outcome, run};

/// More rewrites than any run of a program does.
const MOST: u64 = 1 << 40;
/// Lines of the dumps' difference that are shown.
const SHOWN: usize = 400;

struct Runs<'a> {
    dynrun: PathBuf,
    program: &'a [String],
    options: Vec<&'a str>,
    limit: Duration,
    native: Outcome,
}

/// Finds the first bad rewrite of a program, and prints what it changes.
///
/// # Errors
/// When nothing goes wrong, or goes wrong without any rewrite.
pub fn bisect(program: &[String], options: &str, limit: u64) -> Result<()> {
    let limit = Duration::from_secs(limit);
    let native = outcome(fixed(&program[0]).args(&program[1..]), limit)?;
    let options = options.split_whitespace().collect();
    let runs = Runs { dynrun: dynrun()?, program, options, limit, native };
    let Some(difference) = runs.wrong(MOST)? else {
        bail!("the program does as natively with `{}`", runs.options.join(" "))
    };
    println!("with everything: {difference}");
    if let Some(difference) = runs.wrong(0)? {
        bail!("wrong without any rewrite, so it is not a pass: {difference}");
    }
    // Right with `low`, wrong with `high`.
    let (mut low, mut high) = (0, 1);
    while runs.wrong(high)?.is_none() {
        low = high;
        high *= 2;
        ensure!(high < MOST, "right with any fuel now: the fault comes and goes");
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if runs.wrong(middle)?.is_some() { high = middle } else { low = middle }
    }
    println!("rewrite {high} is the first bad one: --fuel {low} is right, --fuel {high} is wrong");
    let scratch = tempfile::tempdir()?;
    let files = [scratch.path().join("right"), scratch.path().join("wrong")];
    for (file, fuel) in files.iter().zip([low, high]) {
        let outcome = outcome(runs.command(fuel).args(["--dump", "all", "--"]).args(program), limit)?;
        std::fs::write(file, &outcome.stderr)?;
    }
    let diff = Command::new("diff").args(["-U", "60"]).args(&files).output().context("diff")?;
    for line in String::from_utf8_lossy(&diff.stdout).lines().take(SHOWN) {
        println!("{line}");
    }
    Ok(())
}

impl Runs<'_> {
    fn command(&self, fuel: u64) -> Command {
        let mut command = fixed(&self.dynrun.to_string_lossy());
        command.args(&self.options).arg(format!("--fuel={fuel}"));
        command
    }

    /// The difference to the native run.
    fn wrong(&self, fuel: u64) -> Result<Option<String>> {
        let got = outcome(self.command(fuel).arg("--").args(self.program), self.limit)?;
        Ok(compare(&self.native, &got, Aspects::STDOUT).err())
    }
}

/// With the same addresses in each run, as far as the kernel goes.
fn fixed(program: &str) -> Command {
    let mut command = Command::new("setarch");
    command.args(["-R", program]);
    command
}

fn outcome(command: &mut Command, limit: Duration) -> Result<Outcome> {
    let scratch = tempfile::tempdir()?;
    let command = std::mem::replace(command, Command::new("true"));
    Ok(run(command, scratch.path(), limit)?)
}

/// `$DYNRUN`, or the release build beside this program.
fn dynrun() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DYNRUN") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(2).unwrap_or(Path::new("."));
    let path = target.join("release/dynrun");
    ensure!(path.exists(), "{} does not exist: cargo build --release, or set DYNRUN", path.display());
    Ok(path)
}
