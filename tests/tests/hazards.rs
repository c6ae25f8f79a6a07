//! Hazard programs (`tests/hazards`), native against every tier: one test per program and tier, and for most one with all
//! optimisation of whatever runs twice (`hot`).

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use e2e_tests::compare::{Aspects, compare, require};
use e2e_tests::hazard::{self, Hazard, Machine};
use e2e_tests::process::{Outcome, run};
use e2e_tests::subject::{self, HOT_3, Subject, Tier};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

/// The native outcome of a program, made by whichever of its tests comes first.
type Oracle = Arc<OnceLock<Result<Outcome, String>>>;

fn main() -> ExitCode {
    suite::main(|setting| {
        let mut trials = Vec::new();
        let here = |h: &Hazard| h.machines.contains(&Machine::X86_64);
        for hazard in hazard::all()?.into_iter().filter(here) {
            let oracle = Oracle::default();
            let mut tiers = subject::tiers();
            if hazard.interp && !tiers.contains(&Tier::Interp) && std::env::var_os("E2E_TIERS").is_none() {
                tiers.insert(0, Tier::Interp);
            }
            let skip = !hazard.missing_features().is_empty();
            let mut subjects: Vec<(&str, Subject)> = tiers
                .iter()
                .map(|&tier| (tier.name(), Subject::for_tier(setting.dynrun.as_deref(), tier)))
                .collect();
            if tiers.contains(&Tier::Trace) && about_code(&hazard) {
                subjects.push(("hot", Subject::with(setting.dynrun.as_deref(), Tier::Trace, HOT_3)));
            }
            for (column, subject) in subjects {
                let name = format!("{}::{column}", hazard.name);
                let (hazard, oracle) = (hazard.clone(), oracle.clone());
                let trial = Trial::test(name, move || check(&hazard, &subject, &oracle));
                trials.push(trial.with_ignored_flag(skip));
            }
        }
        Ok(trials)
    })
}

/// Is it about guest code, rather than about files and system calls? Then traces of everything are worth a run.
fn about_code(hazard: &Hazard) -> bool {
    ["cpu_", "ctl_", "sig_", "smc_", "thr_"].iter().any(|prefix| hazard.name.starts_with(prefix))
}

fn check(hazard: &Hazard, subject: &Subject, oracle: &Oracle) -> Result<(), Failed> {
    let native = oracle.get_or_init(|| {
        let native = outcome(hazard, &Subject::Native)?;
        require(&native, hazard.ends).map(|()| native)
    });
    let native = native.as_ref().map_err(Failed::from)?;
    let verdict = compare(native, &outcome(hazard, subject)?, Aspects::ALL);
    match (&hazard.differs, subject, verdict) {
        (Some(why), Subject::Dynrun { .. }, Err(_)) => {
            eprintln!("note: {} is known to differ: {why}", hazard.name);
            Ok(())
        }
        (Some(_), Subject::Dynrun { tier, .. }, Ok(())) if *tier != Tier::Interp => {
            Err("it does as natively now: remove the `differs` line of its source".into())
        }
        (_, _, verdict) => Ok(verdict?),
    }
}

fn outcome(hazard: &Hazard, subject: &Subject) -> Result<Outcome, String> {
    let program = hazard.build().map_err(|e| e.to_string())?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut command = subject.command(&program);
    command.args(&hazard.args);
    suite::surroundings(&mut command, dir.path());
    run(command, scratch.path(), hazard.limit).map_err(|e| e.to_string())
}
