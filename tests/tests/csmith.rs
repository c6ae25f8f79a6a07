//! Random C programs, native against the block and trace tiers: one test per seed.
//!
//! `CSMITH_COUNT` programs (default 40): one half from `tests/csmith/corpus.txt`, the other half fresh.
//! `CSMITH_SEED` starts from a given seed instead.

use std::env;
use std::process::ExitCode;

use e2e_tests::csmith::{self, Verdict};
use e2e_tests::{subject, suite};
use libtest_mimic::{Failed, Trial};

/// Programs in a run when `CSMITH_COUNT` does not say.
const DEFAULT_COUNT: usize = 40;

fn main() -> ExitCode {
    suite::main(|setting| {
        let number = |name: &str| env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
        let count =
            number("CSMITH_COUNT").map_or(DEFAULT_COUNT, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let (available, tiers) = (csmith::available(), subject::tiers());
        let mut trials = Vec::new();
        for seed in csmith::seeds(count, number("CSMITH_SEED"))? {
            let (dynrun, tiers) = (setting.dynrun.clone(), tiers.clone());
            let name = format!("csmith::seed_{seed}");
            let trial = Trial::test(name, move || match csmith::check(seed, dynrun.as_deref(), &tiers) {
                Ok(Verdict::Agrees) => Ok(()),
                Ok(Verdict::Endless) => {
                    eprintln!("note: the program of seed {seed} does not end natively; skipped");
                    Ok(())
                }
                Err(error) => Err(Failed::from(format!("{error:#}"))),
            });
            trials.push(trial.with_ignored_flag(!available && !setting.require_all));
        }
        if !available {
            eprintln!(
                "note: csmith is not installed (packages csmith, libcsmith-dev): its tests are skipped"
            );
        }
        Ok(trials)
    })
}
