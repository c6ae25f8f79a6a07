//! Random C programs, from csmith or from our own generator of loops.
//!
//! A seed determines the program, its optimisation level and whether it may use all of this CPU's
//! instructions, so a failing test names all that is needed to see it again. Programs print checksums of
//! their variables. Some of csmith's never end, which is its nature: those are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::compare::{Aspects, compare};
use crate::loopgen;
use crate::process::{End, run};
use crate::subject::{HOT_1, HOT_2, HOT_3, Subject, Tier};
use crate::suite;

/// Seconds a program may take natively before it counts as endless.
const NATIVE_LIMIT: Duration = Duration::from_secs(3);
/// Seconds under `dynrun`; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Who writes the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The package.
    Csmith,
    /// [`loopgen`].
    Loops,
    /// [`loopgen`], with arrays that become inaccessible.
    Faults,
}

impl Maker {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csmith, Self::Loops, Self::Faults];
}

/// What a random program showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every tier did what the CPU does.
    Agrees,
    /// The program takes too long natively.
    Endless,
    /// Some register holds what differs from run to run.
    Unrepeatable,
}

/// Seeds for one run: the first `count / 2` of the corpus, then fresh ones starting at `first` (by
/// default the time in seconds).
///
/// # Errors
/// When the corpus cannot be read.
pub fn seeds(maker: Maker, count: usize, first: Option<u64>) -> anyhow::Result<Vec<u64>> {
    let mut seeds = match first {
        // Asked for by number: nothing else.
        Some(_) => Vec::new(),
        None => maker.corpus()?,
    };
    seeds.truncate(count / 2);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let start = first.unwrap_or(now);
    seeds.extend((start..).take(count - seeds.len()));
    Ok(seeds)
}

/// The ways to run the program of a seed: all optimisation, less of it, and for some the blocks alone.
#[must_use]
pub fn modes(seed: u64, tiers: &[Tier]) -> Vec<(Tier, &'static [&'static str])> {
    let mut modes =
        vec![(Tier::Trace, HOT_3), (Tier::Trace, if seed.is_multiple_of(2) { HOT_1 } else { HOT_2 })];
    if (seed / 4).is_multiple_of(3) {
        modes.push((Tier::Block, &[]));
    }
    modes.retain(|mode| tiers.contains(&mode.0));
    modes
}

impl Maker {
    /// Its name in test names and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csmith => "csmith",
            Self::Loops => "loops",
            Self::Faults => "faults",
        }
    }

    /// Seeds that are tried in every run, from `tests/corpus`.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else than numbers and comments.
    pub fn corpus(self) -> anyhow::Result<Vec<u64>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{}.txt", self.name()));
        let text = fs::read_to_string(path)?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace).map(|word| Ok(word.parse()?)).collect()
    }

    /// Flags of the compiler for a seed.
    #[must_use]
    pub fn flags(self, seed: u64) -> Vec<&'static str> {
        let mut flags = vec!["-w"];
        match self {
            Self::Csmith => {
                flags.extend(["-I/usr/include/csmith", ["-O0", "-O1", "-O2", "-O3"][(seed % 4) as usize]]);
                if seed.is_multiple_of(3) {
                    flags.push("-march=native");
                }
            }
            Self::Loops | Self::Faults => {
                flags.extend(["-fwrapv", "-fno-strict-aliasing", "-pthread"]);
                flags.push(["-O0", "-O1", "-O2", "-O3", "-O3"][(seed % 5) as usize]);
                if seed % 5 == 4 {
                    flags.push("-march=x86-64-v3");
                }
            }
        }
        if self == Self::Faults {
            flags.extend(["-fno-pie", "-no-pie"]);
        } else if seed.is_multiple_of(7) {
            flags.push("-no-pie");
        }
        flags
    }

    /// Whether its programs can be made here.
    #[must_use]
    pub fn available(self) -> bool {
        if self != Self::Csmith {
            return true;
        }
        let Ok(dir) = tempfile::tempdir() else { return false };
        // csmith leaves a file `platform.info` wherever it runs, even for its version.
        Command::new("csmith").arg("--version").current_dir(dir.path()).output().is_ok()
            && Path::new("/usr/include/csmith/csmith.h").exists()
    }

    /// Makes the program of `seed` in `dir` and compiles it.
    ///
    /// # Errors
    /// When csmith or gcc fails.
    pub fn build(self, seed: u64, dir: &Path) -> anyhow::Result<PathBuf> {
        let (source, program) = (dir.join("random.c"), dir.join("random"));
        if self == Self::Loops {
            fs::write(&source, loopgen::source(seed))?;
        } else if self == Self::Faults {
            fs::write(&source, loopgen::faulting(seed))?;
        } else {
            let made = Command::new("csmith")
                .current_dir(dir)
                .args(["--seed", &seed.to_string(), "--output"])
                .arg(&source)
                .output()?;
            anyhow::ensure!(made.status.success(), "csmith: {}", String::from_utf8_lossy(&made.stderr));
        }
        let compiled = Command::new("gcc")
            .args(self.flags(seed))
            .arg("-o")
            .args([&program, &source])
            .arg("-lm")
            .output()?;
        anyhow::ensure!(compiled.status.success(), "gcc: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(program)
    }

    /// Runs the program of `seed` natively and in its [`modes`] of `tiers`, and compares. What differs is kept in the
    /// directory `RANDOM_KEEP`, if that is set.
    ///
    /// # Errors
    /// A message with the seed, the flags and the difference.
    pub fn check(self, seed: u64, dynrun: Option<&Path>, tiers: &[Tier]) -> anyhow::Result<Verdict> {
        let dir = tempfile::tempdir()?;
        let program = self.build(seed, dir.path())?;
        let outcome = |subject: &Subject, limit| {
            let mut command = subject.command(&program);
            suite::surroundings(&mut command, dir.path());
            run(command, dir.path(), limit)
        };
        let native = outcome(&Subject::Native, NATIVE_LIMIT)?;
        if native.end == End::TimedOut {
            return Ok(Verdict::Endless);
        }
        if self == Self::Faults && compare(&native, &outcome(&Subject::Native, LIMIT)?, Aspects::ALL).is_err()
        {
            return Ok(Verdict::Unrepeatable);
        }
        for (tier, options) in modes(seed, tiers) {
            let got = outcome(&Subject::with(dynrun, tier, options), LIMIT)?;
            let Err(difference) = compare(&native, &got, Aspects::ALL) else { continue };
            if let Some(keep) = std::env::var_os("RANDOM_KEEP") {
                let stem = format!("{}-{seed}", self.name());
                fs::copy(&program, Path::new(&keep).join(&stem))?;
                fs::copy(dir.path().join("random.c"), Path::new(&keep).join(format!("{stem}.c")))?;
            }
            anyhow::bail!(
                "--tier {} {}, gcc {}: {difference}\nagain: cargo xtask {} --seed {seed} --count 1",
                tier.name(),
                options.join(" "),
                self.flags(seed).join(" "),
                self.name(),
            );
        }
        Ok(Verdict::Agrees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_corpus_and_fresh_ones() {
        for maker in Maker::ALL {
            let corpus = maker.corpus().expect("the corpus is readable");
            let seeds = seeds(maker, 20, None).expect("the corpus is readable");
            assert_eq!(seeds.len(), 20);
            let fixed = corpus.len().min(10);
            assert_eq!(seeds[..fixed], corpus[..fixed]);
        }
    }

    #[test]
    fn an_explicit_seed_is_the_only_one() {
        assert_eq!(seeds(Maker::Csmith, 2, Some(77)).expect("no file is read"), [77, 78]);
    }
}
