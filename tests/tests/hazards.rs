//! Hazard programs (`tests/hazards`), native against every tier: one test per program and tier.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use e2e_tests::compare::{Aspects, compare, require};
use e2e_tests::hazard::{self, Hazard};
use e2e_tests::process::{Outcome, run};
use e2e_tests::subject::{self, Subject, Tier};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

/// The native outcome of a program, made by whichever of its tests comes first.
type Oracle = Arc<OnceLock<Result<Outcome, String>>>;

fn main() -> ExitCode {
    suite::main(|setting| {
        let mut trials = Vec::new();
        for hazard in hazard::all()? {
            let oracle = Oracle::default();
            let mut tiers = subject::tiers();
            if hazard.interp && !tiers.contains(&Tier::Interp) && std::env::var_os("E2E_TIERS").is_none() {
                tiers.insert(0, Tier::Interp);
            }
            let skip = !hazard.missing_features().is_empty();
            for tier in tiers {
                let name = format!("{}::{}", hazard.name, tier.name());
                let subject = Subject::for_tier(setting.dynrun.as_deref(), tier);
                let (hazard, oracle) = (hazard.clone(), oracle.clone());
                let trial = Trial::test(name, move || check(&hazard, &subject, &oracle));
                trials.push(trial.with_ignored_flag(skip));
            }
        }
        Ok(trials)
    })
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
