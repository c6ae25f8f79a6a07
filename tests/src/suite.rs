//! Glue between the suites and the test runner.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

use crate::subject::{self, SubjectError};

/// What a suite needs to make its list of tests.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `dynrun`, or `None`: compare native with native.
    pub dynrun: Option<PathBuf>,
    /// Whether a missing package fails the test instead of skipping it.
    pub require_all: bool,
}

/// Makes the tests, runs those that the command line selects, prints the closing line
/// (`test result: …`) and returns the status for `main`.
pub fn main(trials: impl FnOnce(&Setting) -> anyhow::Result<Vec<Trial>>) -> ExitCode {
    let arguments = Arguments::from_args();
    let setting = match setting() {
        Ok(setting) => setting,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match trials(&setting) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn setting() -> Result<Setting, SubjectError> {
    let dynrun = subject::locate()?;
    if dynrun.is_none() {
        eprintln!("note: DYNRUN is empty: native is compared with native");
    }
    Ok(Setting { dynrun, require_all: std::env::var_os("E2E_REQUIRE_ALL").is_some_and(|v| v == "1") })
}

/// Gives `command` the environment and the directory that every guest program gets.
pub fn surroundings(command: &mut Command, dir: &Path) {
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", dir)
        .env("TMPDIR", dir)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
}
