//! Random C programs made by csmith.
//!
//! A seed determines the program, its optimisation level and whether it may use all of this CPU's
//! instructions, so a failing test names all that is needed to see it again. Programs print a checksum of
//! their variables; some never end, which is csmith's nature: those are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::compare::{Aspects, compare};
use crate::process::{End, run};
use crate::subject::{Subject, Tier};
use crate::suite;

/// Seconds a program may take natively before it counts as endless.
const NATIVE_LIMIT: Duration = Duration::from_secs(3);
/// Seconds under `dynrun`; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What a random program showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every tier did what the CPU does.
    Agrees,
    /// The program takes too long natively.
    Endless,
}

/// Seeds that are tried in every run, from `csmith/corpus.txt`.
///
/// # Errors
/// When the file cannot be read or holds something else than numbers.
pub fn corpus() -> anyhow::Result<Vec<u64>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("csmith/corpus.txt");
    let text = std::fs::read_to_string(path)?;
    text.split_whitespace().map(|word| Ok(word.parse()?)).collect()
}

/// Seeds for one run: the first `count / 2` of the corpus, then fresh ones starting at `first` (by
/// default the time in seconds).
///
/// # Errors
/// When the corpus cannot be read.
pub fn seeds(count: usize, first: Option<u64>) -> anyhow::Result<Vec<u64>> {
    let mut seeds = match first {
        // Asked for by number: nothing else.
        Some(_) => Vec::new(),
        None => corpus()?,
    };
    seeds.truncate(count / 2);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let start = first.unwrap_or(now);
    seeds.extend((start..).take(count - seeds.len()));
    Ok(seeds)
}

/// Flags of the compiler for a seed.
#[must_use]
pub fn flags(seed: u64) -> Vec<&'static str> {
    let level = ["-O0", "-O1", "-O2", "-O3"][(seed % 4) as usize];
    let mut flags = vec![level];
    if seed.is_multiple_of(3) {
        flags.push("-march=native");
    }
    if seed.is_multiple_of(5) {
        flags.push("-no-pie");
    }
    flags
}

/// Whether csmith is installed, with its header.
#[must_use]
pub fn available() -> bool {
    let Ok(dir) = tempfile::tempdir() else { return false };
    // csmith leaves a file `platform.info` wherever it runs, even for its version.
    Command::new("csmith").arg("--version").current_dir(dir.path()).output().is_ok()
        && Path::new("/usr/include/csmith/csmith.h").exists()
}

/// Makes the program of `seed` in `dir` and compiles it.
///
/// # Errors
/// When csmith or gcc fails.
pub fn build(seed: u64, dir: &Path) -> anyhow::Result<PathBuf> {
    let (source, program) = (dir.join("random.c"), dir.join("random"));
    let made = Command::new("csmith")
        .current_dir(dir)
        .args(["--seed", &seed.to_string(), "--output"])
        .arg(&source)
        .output()?;
    anyhow::ensure!(made.status.success(), "csmith: {}", String::from_utf8_lossy(&made.stderr));
    let compiled = Command::new("gcc")
        .args(["-w", "-I/usr/include/csmith"])
        .args(flags(seed))
        .arg("-o")
        .args([&program, &source])
        .output()?;
    anyhow::ensure!(compiled.status.success(), "gcc: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(program)
}

/// Runs the program of `seed` natively and with each of `tiers`, and compares.
///
/// # Errors
/// A message with the seed, the flags and the difference.
pub fn check(seed: u64, dynrun: Option<&Path>, tiers: &[Tier]) -> anyhow::Result<Verdict> {
    let dir = tempfile::tempdir()?;
    let program = build(seed, dir.path())?;
    let outcome = |subject: &Subject, limit| {
        let mut command = subject.command(&program);
        suite::surroundings(&mut command, dir.path());
        run(command, dir.path(), limit)
    };
    let native = outcome(&Subject::Native, NATIVE_LIMIT)?;
    if native.end == End::TimedOut {
        return Ok(Verdict::Endless);
    }
    for &tier in tiers {
        let got = outcome(&Subject::for_tier(dynrun, tier), LIMIT)?;
        compare(&native, &got, Aspects::ALL).map_err(|difference| {
            anyhow::anyhow!(
                "tier {}, gcc {}: {difference}\nagain: cargo xtask csmith --seed {seed} --count 1",
                tier.name(),
                flags(seed).join(" "),
            )
        })?;
    }
    Ok(Verdict::Agrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_corpus_and_fresh_ones() {
        let corpus = corpus().expect("the corpus is readable");
        let seeds = seeds(20, None).expect("the corpus is readable");
        assert_eq!(seeds.len(), 20);
        assert_eq!(seeds[..10], corpus[..10]);
    }

    #[test]
    fn an_explicit_seed_is_the_only_one() {
        assert_eq!(seeds(2, Some(77)).expect("no file is read"), [77, 78]);
    }
}
