//! What is under test: `dynrun`, where it is, with which tier.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Ways to run a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// As the kernel runs it: the oracle.
    Native,
    /// A program for AArch64 by `qemu-aarch64`: the oracle for those.
    Emulated,
    /// Under `dynrun`, limited to a tier.
    Dynrun {
        /// The binary.
        binary: PathBuf,
        /// Value of its option `--tier`.
        tier: Tier,
        /// Further options.
        options: &'static [&'static str],
    },
}

/// A tier of `dynrun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Interpreter only.
    Interp,
    /// Copied blocks.
    Block,
    /// Blocks and traces, the default of `dynrun`.
    Trace,
}

impl Tier {
    /// All of them, slowest first.
    pub const ALL: [Self; 3] = [Self::Interp, Self::Block, Self::Trace];

    /// The name that `--tier` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interp => "interp",
            Self::Block => "block",
            Self::Trace => "trace",
        }
    }
}

impl Subject {
    /// A command that runs `program`; the caller adds arguments, directory and environment.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        match self {
            Self::Native => Command::new(program),
            Self::Emulated => {
                let mut command = Command::new("qemu-aarch64");
                // A CPU without SVE, whose registers would stand in signal frames twice.
                command.args(["-cpu", "neoverse-n1", "-L", SYSROOT]).arg(program);
                command
            }
            Self::Dynrun { binary, tier, options } => {
                let mut command = Command::new(binary);
                // One store for all tests: most of them find what earlier ones left.
                let store = binary.with_file_name("store-of-tests");
                command
                    .args(["--tier", tier.name(), "--cache-dir"])
                    .arg(store)
                    .args(*options)
                    .arg("--")
                    .arg(program);
                command
            }
        }
    }

    /// Short name for test names and messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Emulated => "emulated",
            Self::Dynrun { tier, .. } => tier.name(),
        }
    }

    /// The same program under `dynrun` with `tier`, or natively when there is no `dynrun` to test.
    #[must_use]
    pub fn for_tier(binary: Option<&Path>, tier: Tier) -> Self {
        Self::with(binary, tier, &[])
    }

    /// The same with further options.
    #[must_use]
    pub fn with(binary: Option<&Path>, tier: Tier, options: &'static [&'static str]) -> Self {
        binary.map_or(Self::Native, |binary| Self::Dynrun { binary: binary.to_owned(), tier, options })
    }
}

/// Where the libraries of programs for AArch64 are, by the package `libc6-dev-arm64-cross`.
pub const SYSROOT: &str = "/usr/aarch64-linux-gnu";
/// They are found there.
pub const FOREIGN: &[&str] = &["-L", SYSROOT];

/// Everything that runs twice is traced, with the least optimisation that makes traces.
pub const HOT_1: &[&str] = &["--hot=2", "-O1"];
/// The same with the usual optimisation.
pub const HOT_2: &[&str] = &["--hot=2", "-O2", "--always-optimize"];
/// The same with all optimisation.
pub const HOT_3: &[&str] = &["--hot=2", "-O3", "--always-optimize"];

/// Why there is nothing to test.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// No such file.
    #[error("{0} does not exist: run `cargo build --release -p runtime` first, or set DYNRUN")]
    Missing(PathBuf),
    /// The test executable is not inside a target directory.
    #[error("cannot tell the target directory from the path of this test: set DYNRUN")]
    NoTarget,
}

/// The `dynrun` to test: `$DYNRUN`, or `release/dynrun` beside the profile directory that this test
/// was built into. `None` when `DYNRUN` is set but empty: compare native with native.
///
/// # Errors
/// When the binary does not exist.
pub fn locate() -> Result<Option<PathBuf>, SubjectError> {
    let path = match env::var_os("DYNRUN") {
        Some(value) if value.is_empty() => return Ok(None),
        Some(value) => PathBuf::from(value),
        None => target_dir()?.join("release/dynrun"),
    };
    match path.canonicalize() {
        Ok(path) => Ok(Some(path)),
        Err(_) => Err(SubjectError::Missing(path)),
    }
}

/// The tiers to test: those in `E2E_TIERS` (comma separated), or `block` and `trace`. The
/// interpreter is asked for by name only, or by programs that declare themselves quick.
#[must_use]
pub fn tiers() -> Vec<Tier> {
    match env::var("E2E_TIERS") {
        Ok(list) => {
            let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
            Tier::ALL.into_iter().filter(|tier| wanted.contains(&tier.name())).collect()
        }
        Err(_) => vec![Tier::Block, Tier::Trace],
    }
}

/// `target`, from `target/<profile>/deps/<this test>`.
///
/// # Errors
/// When the executable is somewhere else.
pub fn target_dir() -> Result<PathBuf, SubjectError> {
    let exe = env::current_exe().map_err(|_| SubjectError::NoTarget)?;
    exe.ancestors().nth(3).map(Path::to_owned).ok_or(SubjectError::NoTarget)
}
