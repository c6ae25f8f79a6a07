//! Which trace breaks a program, and which rewrite in it? Found by halving the number of paths that are optimised, then the fuel of
//! the optimizer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::compare::{Aspects, compare};
use e2e_tests::process::{Outcome, run};

/// More rewrites than any run of a program does.
const MOST: u64 = 1 << 40;

struct Runs<'a> {
    dynrun: PathBuf,
    program: &'a [String],
    options: Vec<&'a str>,
    limit: Duration,
    native: Outcome,
}

/// Finds the first bad trace and rewrite of a program, and prints what it changes.
///
/// # Errors
/// When nothing goes wrong, or goes wrong without any rewrite.
pub fn bisect(program: &[String], options: &str, limit: u64, keep: Option<&Path>) -> Result<()> {
    let limit = Duration::from_secs(limit);
    let native = outcome(fixed(&program[0]).args(&program[1..]), limit)?;
    let options = options.split_whitespace().collect();
    let runs = Runs { dynrun: dynrun()?, program, options, limit, native };
    let Some(difference) = runs.wrong(Bound::Free)? else {
        bail!("the program does as natively with `{}`", runs.options.join(" "))
    };
    println!("with everything: {difference}");
    if let Some(difference) = runs.wrong(Bound::Paths(0))? {
        bail!("wrong without any optimised trace: {difference}");
    }
    let path = runs.first_wrong(Bound::Paths)?;
    println!("the {path}th optimised trace is the first bad one: --paths={}", path);
    if let Some(difference) = runs.wrong(Bound::Both(path, 0))? {
        println!("it is wrong without any rewrite too: {difference}");
        let path = runs.first_wrong(|path| Bound::Both(path, 0))?;
        println!("without rewrites the {path}th trace is the first bad one: --fuel=0 --paths={path}");
        print!("{}", runs.listing(path, Bound::Both(path, 0), keep)?);
        return Ok(());
    }
    let fuel = runs.first_wrong(|fuel| Bound::Both(path, fuel))?;
    println!("rewrite {fuel} is the first bad one: --fuel={fuel}");
    let scratch = tempfile::tempdir()?;
    let files = [scratch.path().join("right"), scratch.path().join("wrong")];
    for (file, fuel) in files.iter().zip([fuel - 1, fuel]) {
        std::fs::write(file, runs.listing(path, Bound::Both(path, fuel), keep)?)?;
    }
    let diff = Command::new("diff").args(["-U", "1000"]).args(&files).output().context("diff")?;
    print!("{}", String::from_utf8_lossy(&diff.stdout));
    Ok(())
}

/// How much may be optimised.
#[derive(Clone, Copy)]
enum Bound {
    /// All of it.
    Free,
    Paths(u64),
    Both(u64, u64),
}

impl Runs<'_> {
    fn command(&self, bound: Bound) -> Command {
        let mut command = fixed(&self.dynrun.to_string_lossy());
        command.args(&self.options);
        if let Bound::Paths(paths) | Bound::Both(paths, _) = bound {
            command.arg(format!("--paths={paths}"));
        }
        if let Bound::Both(_, fuel) = bound {
            command.arg(format!("--fuel={fuel}"));
        }
        command
    }

    /// The difference to the native run.
    fn wrong(&self, bound: Bound) -> Result<Option<String>> {
        let got = outcome(self.command(bound).arg("--").args(self.program), self.limit)?;
        Ok(compare(&self.native, &got, Aspects::STDOUT).err())
    }

    /// The lifted trace, its optimised form and its machine code. The trace also goes to `keep`.
    fn listing(&self, path: u64, bound: Bound, keep: Option<&Path>) -> Result<String> {
        let scratch = tempfile::tempdir()?;
        let mut traces = std::ffi::OsString::from("--traces=");
        traces.push(scratch.path());
        outcome(self.command(bound).arg(traces).arg("--").args(self.program), self.limit)?;
        let mut text = String::new();
        for entry in std::fs::read_dir(scratch.path())? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(&format!("-{path}.lst")) {
                text.push_str(&std::fs::read_to_string(&file)?);
            } else if name.ends_with(&format!("-{path}.tir"))
                && let Some(keep) = keep
            {
                std::fs::copy(&file, keep)?;
            }
        }
        Ok(text)
    }

    /// The smallest number with which it goes wrong; it is right with 0.
    fn first_wrong(&self, bound: impl Fn(u64) -> Bound) -> Result<u64> {
        let (mut low, mut high) = (0, 1);
        while self.wrong(bound(high))?.is_none() {
            low = high;
            high *= 2;
            ensure!(high < MOST, "right with any number now: the fault comes and goes");
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.wrong(bound(middle))?.is_some() { high = middle } else { low = middle }
        }
        Ok(high)
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
