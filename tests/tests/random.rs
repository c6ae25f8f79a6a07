//! Random C programs, native against traces at several levels and, for some, blocks: one test per maker and seed.
//!
//! `CSMITH_COUNT`, `LOOPS_COUNT` and `FAULTS_COUNT` programs (default 40 each): one half from `tests/corpus`, the other half fresh.
//! `CSMITH_SEED` and its like start from a given seed instead. `RANDOM_KEEP` names a directory for programs that fail.

use std::env;
use std::process::ExitCode;

use e2e_tests::random::{self, Maker, Verdict};
use e2e_tests::{subject, suite};
use libtest_mimic::{Failed, Trial};

/// Programs in a run when the environment does not say.
const DEFAULT_COUNT: usize = 40;

fn main() -> ExitCode {
    suite::main(|setting| {
        let tiers = subject::tiers();
        let mut trials = Vec::new();
        for maker in Maker::ALL {
            let number = |what: &str| {
                let name = format!("{}_{what}", maker.name().to_uppercase());
                env::var(name).ok().and_then(|v| v.parse::<u64>().ok())
            };
            let count = number("COUNT").map_or(DEFAULT_COUNT, |n| usize::try_from(n).unwrap_or(usize::MAX));
            let available = maker.available();
            for seed in random::seeds(maker, count, number("SEED"))? {
                let (dynrun, tiers) = (setting.dynrun.clone(), tiers.clone());
                let name = format!("{}::seed_{seed}", maker.name());
                let trial = Trial::test(name, move || match maker.check(seed, dynrun.as_deref(), &tiers) {
                    Ok(Verdict::Agrees) => Ok(()),
                    Ok(Verdict::Endless) => {
                        eprintln!("note: the program of seed {seed} does not end natively; skipped");
                        Ok(())
                    }
                    Ok(Verdict::Unrepeatable) => {
                        eprintln!(
                            "note: the program of seed {seed} differs natively from run to run; skipped"
                        );
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
        }
        Ok(trials)
    })
}
