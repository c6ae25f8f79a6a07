//! Real programs (`tests/programs`), native against every tier: one test per program and tier, and one with all optimisation of
//! whatever runs twice (`hot`).
//!
//! A program whose package is missing is skipped with a note; with `E2E_REQUIRE_ALL=1` (as in CI) it fails.
//! Those that take minutes run with `E2E_SLOW=only`, and then nothing else.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use e2e_tests::compare::{compare, require};
use e2e_tests::process::{End, Outcome};
use e2e_tests::program::{self, Program};
use e2e_tests::subject::{self, HOT_3, Subject, Tier};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

/// The prepared directory and the native outcome, made by whichever test of a program comes first.
type Oracle = Arc<OnceLock<Result<(tempfile::TempDir, Outcome), String>>>;

fn main() -> ExitCode {
    suite::main(|setting| {
        let mut trials = Vec::new();
        let slow = std::env::var_os("E2E_SLOW").is_some_and(|v| v == "only");
        for program in program::all()?.into_iter().filter(|program| program.slow == slow) {
            let missing = program.missing();
            if !missing.is_empty() {
                eprintln!(
                    "note: {} is {}: no {} (packages {})",
                    program.name,
                    if setting.require_all { "a failure" } else { "skipped" },
                    missing.join(", "),
                    program.packages.join(" "),
                );
            }
            let oracle = Oracle::default();
            let dynrun = setting.dynrun.as_deref();
            let mut subjects = Vec::new();
            for tier in subject::tiers() {
                if !program.trace_only || tier == Tier::Trace {
                    subjects.push((tier.name(), Subject::for_tier(dynrun, tier)));
                }
                if tier == Tier::Trace && program.hot {
                    subjects.push(("hot", Subject::with(dynrun, tier, HOT_3)));
                }
            }
            for (column, subject) in subjects {
                let (program, oracle) = (program.clone(), oracle.clone());
                let name = format!("{}::{column}", program.name);
                let trial = Trial::test(name, move || check(&program, &subject, &oracle));
                trials.push(trial.with_ignored_flag(!missing.is_empty() && !setting.require_all));
            }
        }
        Ok(trials)
    })
}

fn check(program: &Program, subject: &Subject, oracle: &Oracle) -> Result<(), Failed> {
    let oracle = oracle.get_or_init(|| {
        let prepared = program.prepare().map_err(|e| format!("{e:#}"))?;
        let native = program.outcome(&Subject::Native, prepared.path()).map_err(|e| format!("{e:#}"))?;
        require(&native, End::Exit(0))?;
        Ok((prepared, native))
    });
    let (prepared, native) = oracle.as_ref().map_err(Failed::from)?;
    let got = program.outcome(subject, prepared.path()).map_err(|e| format!("{e:#}"))?;
    Ok(compare(native, &got, program.aspects)?)
}
