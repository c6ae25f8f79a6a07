//! Hazard programs: small C, C++ or assembly files that check themselves.
//!
//! A file opens with comment lines `// key: value` (`#` in assembly works too, after `//`):
//!
//! | key | meaning |
//! |-----|---------|
//! | `hazard` | what could go wrong; required, it is the program's documentation |
//! | `flags` | compiler flags after the default `-O1 -g -w -pthread` |
//! | `libs` | linker flags after the source |
//! | `also` | `OUTPUT SOURCE FLAGS…`: another file to build into the program's directory first |
//! | `ends` | `exit N` or `signal N`, default `exit 0`: how it must end natively |
//! | `limit` | seconds before a run counts as hanging, default 150 |
//! | `tiers` | `interp` adds the interpreter: the program executes few instructions |
//! | `args` | arguments, split at blanks |
//! | `differs` | why `dynrun` cannot do this yet; the test then fails when it can |
//! | `machines` | those it is written for, default `x86-64`; `x86-64 aarch64` when nothing in it is about one of them |
//! | `needs` | CPU flags of `/proc/cpuinfo`, split at blanks; else the program is skipped |
//!
//! Programs print deterministic output only: it is compared byte by byte. A file `NAME.out` holds it for a program that no
//! oracle can run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::End;
use crate::subject::{SubjectError, target_dir};

/// A machine that programs are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The one that tests run on.
    X86_64,
    /// The one whose programs are translated.
    AArch64,
}

impl Machine {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "x86-64" => Some(Self::X86_64),
            "aarch64" => Some(Self::AArch64),
            _ => None,
        }
    }

    /// The directory below `target` for its programs.
    fn directory(self) -> &'static str {
        match self {
            Self::X86_64 => "hazards",
            Self::AArch64 => "hazards-aarch64",
        }
    }

    /// The compiler for a source file.
    fn compiler(self, source: &Path) -> &'static str {
        match (self, source.extension().is_some_and(|e| e == "cpp")) {
            (Self::X86_64, false) => "gcc",
            (Self::X86_64, true) => "g++",
            (Self::AArch64, false) => "aarch64-linux-gnu-gcc",
            (Self::AArch64, true) => "aarch64-linux-gnu-g++",
        }
    }
}

/// One program and its directives.
#[derive(Clone, Debug)]
pub struct Hazard {
    /// File stem; the name of the test.
    pub name: String,
    /// The source file.
    pub source: PathBuf,
    /// Compiler flags.
    pub flags: Vec<String>,
    /// Linker flags.
    pub libs: Vec<String>,
    /// Other files to build: output, source, flags.
    pub also: Vec<Vec<String>>,
    /// How it ends natively.
    pub ends: End,
    /// Time limit of one run.
    pub limit: Duration,
    /// Whether the interpreter is quick enough for it.
    pub interp: bool,
    /// Arguments.
    pub args: Vec<String>,
    /// Why it is known to differ under `dynrun`.
    pub differs: Option<String>,
    /// What it can be built for.
    pub machines: Vec<Machine>,
    /// CPU features.
    pub needs: Vec<String>,
}

/// Why a hazard program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HazardError {
    /// The source cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A directive is unknown, malformed or missing.
    #[error("{path}: {what}")]
    Directive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The compiler refused.
    #[error("{command}\n{output}")]
    Compile {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// No place to build into.
    #[error(transparent)]
    Target(#[from] SubjectError),
}

/// The directory of the sources.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hazards")
}

/// All hazard programs, by name. Files named `lib_*` are parts of others.
///
/// # Errors
/// When a file cannot be read or its directives are wrong.
pub fn all() -> Result<Vec<Hazard>, HazardError> {
    let dir = directory();
    let read = |source| HazardError::Read { path: dir.clone(), source };
    let mut hazards = Vec::new();
    for entry in fs::read_dir(&dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let program = path.extension().is_some_and(|e| e == "c" || e == "cpp" || e == "S");
        if program && !name.starts_with("lib_") {
            hazards.push(parse(name, path)?);
        }
    }
    hazards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(hazards)
}

fn parse(name: String, source: PathBuf) -> Result<Hazard, HazardError> {
    let text =
        fs::read_to_string(&source).map_err(|e| HazardError::Read { path: source.clone(), source: e })?;
    let fail = |what: String| HazardError::Directive { path: source.clone(), what };
    let mut hazard = Hazard {
        name,
        source: source.clone(),
        flags: Vec::new(),
        libs: Vec::new(),
        also: Vec::new(),
        ends: End::Exit(0),
        limit: Duration::from_secs(150),
        interp: false,
        args: Vec::new(),
        machines: vec![Machine::X86_64],
        needs: Vec::new(),
        differs: None,
    };
    let mut described = false;
    for line in text.lines().map_while(|line| line.strip_prefix("//")) {
        // A line without a key continues the description.
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match key {
            "hazard" => described = true,
            "flags" => hazard.flags = words(),
            "libs" => hazard.libs = words(),
            "also" => hazard.also.push(words()),
            "ends" => hazard.ends = parse_end(value).ok_or_else(|| fail(format!("ends: {value}")))?,
            "limit" => {
                let seconds = value.trim().parse().map_err(|_| fail(format!("limit: {value}")))?;
                hazard.limit = Duration::from_secs(seconds);
            }
            "tiers" if value.trim() == "interp" => hazard.interp = true,
            "args" => hazard.args = words(),
            "needs" => hazard.needs = words(),
            "machines" => {
                let all: Option<Vec<_>> = words().iter().map(|w| Machine::parse(w)).collect();
                hazard.machines = all.ok_or_else(|| fail(format!("machines: {value}")))?;
            }
            "differs" => hazard.differs = Some(value.trim().to_owned()),
            _ if described && !key.chars().all(|c| c.is_ascii_lowercase()) => {}
            _ => return Err(fail(format!("unknown directive: {key}"))),
        }
    }
    if described { Ok(hazard) } else { Err(fail("no `// hazard:` line".into())) }
}

fn parse_end(value: &str) -> Option<End> {
    let (kind, number) = value.trim().split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "exit" => Some(End::Exit(number)),
        "signal" => Some(End::Signal(number)),
        _ => None,
    }
}

impl Hazard {
    /// The output it should have, when there is a file with it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn expected(&self) -> Result<Option<Vec<u8>>, HazardError> {
        let path = self.source.with_extension("out");
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HazardError::Read { path, source }),
        }
    }

    /// CPU features that this machine lacks.
    #[must_use]
    pub fn missing_features(&self) -> Vec<String> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or("");
        let missing = |need: &&String| !flags.split_whitespace().any(|flag| flag == need.as_str());
        self.needs.iter().filter(missing).cloned().collect()
    }

    /// Compiles the program and its parts for this machine; see [`build_for`](Hazard::build_for).
    ///
    /// # Errors
    /// When the compiler is missing or refuses.
    pub fn build(&self) -> Result<PathBuf, HazardError> {
        self.build_for(Machine::X86_64)
    }

    /// Compiles the program and its parts into `<target>/hazards/<name>/` or its like, unless that is up to date;
    /// returns the path of the program.
    ///
    /// # Errors
    /// When the compiler is missing or refuses.
    pub fn build_for(&self, machine: Machine) -> Result<PathBuf, HazardError> {
        let dir = target_dir()?.join(machine.directory()).join(&self.name);
        fs::create_dir_all(&dir).map_err(|source| HazardError::Read { path: dir.clone(), source })?;
        for part in &self.also {
            let [output, source, flags @ ..] = part.as_slice() else {
                return Err(HazardError::Directive {
                    path: self.source.clone(),
                    what: "also: OUTPUT SOURCE FLAGS…".into(),
                });
            };
            compile(machine, &directory().join(source), &dir.join(output), flags, &[])?;
        }
        let program = dir.join(&self.name);
        compile(machine, &self.source, &program, &self.flags, &self.libs)?;
        Ok(program)
    }
}

/// Runs gcc or g++ unless `output` is newer than everything it is made from.
fn compile(
    machine: Machine,
    source: &Path,
    output: &Path,
    flags: &[String],
    libs: &[String],
) -> Result<(), HazardError> {
    let modified = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let inputs = [modified(source), modified(&directory().join("hazard.h"))];
    if modified(output).is_some_and(|built| inputs.iter().flatten().all(|input| *input < built)) {
        return Ok(());
    }
    // Built under another name and renamed: a half-written program is never run.
    let unfinished = output.with_extension(format!("tmp{}", std::process::id()));
    let mut command = Command::new(machine.compiler(source));
    command.args(["-O1", "-g", "-w", "-pthread"]).args(flags).arg("-o").arg(&unfinished);
    command.arg(source).args(libs);
    let shown = format!("{command:?}");
    let failed = |output: String| HazardError::Compile { command: shown.clone(), output };
    let result = command.output().map_err(|e| failed(e.to_string()))?;
    if !result.status.success() {
        return Err(failed(String::from_utf8_lossy(&result.stderr).into_owned()));
    }
    fs::rename(&unfinished, output).map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hazard_has_valid_directives() {
        let hazards = all().unwrap_or_else(|error| panic!("{error}"));
        assert!(hazards.len() > 20, "only {} hazard programs found", hazards.len());
    }

    #[test]
    fn ends_are_parsed() {
        assert_eq!(parse_end("signal 11"), Some(End::Signal(11)));
        assert_eq!(parse_end("exit 3"), Some(End::Exit(3)));
        assert_eq!(parse_end("never"), None);
    }
}
