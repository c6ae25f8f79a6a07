//! Builds the programs: writes the embedded sources below the work folder, finds the C
//! sources of crates, compiles, and keeps what is compiled.
//!
//! A binary's name carries a hash of everything that went into it (sources, headers,
//! flags, compiler version), so that a name that exists need not be built again. It is
//! built under another name and then renamed: an interrupted build leaves nothing that
//! could be taken for a finished one.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::catalogue::{self, CrateSources, Program, Source};
use crate::process::CommandLine;
use crate::runner::find_program;
use crate::startup;

/// Why a program could not be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A tool is not installed.
    #[error("there is no {program} in PATH; install the package {package}{alternative}")]
    NoTool {
        /// What was looked for.
        program: String,
        /// The Debian package that brings it.
        package: &'static str,
        /// What else would do.
        alternative: &'static str,
    },
    /// A tool ran and failed.
    #[error("{tool} failed: {message}")]
    Tool {
        /// Its command line, shortened.
        tool: String,
        /// The first line of its complaint.
        message: String,
    },
    /// The crate is there, but its files are not where they used to be.
    #[error("crate {package}: nothing matches {pattern} in it")]
    Layout {
        /// The crate.
        package: &'static str,
        /// What was looked for.
        pattern: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Attaches the path to a system error.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError + '_ {
    move |source| BuildError::File { path: path.to_owned(), source }
}

/// Makes `path` hold `text`. A changed file is written in `scratch` and renamed into place, as
/// another process may be reading it.
pub(crate) fn write_if_changed(scratch: &Path, path: &Path, text: &str) -> Result<(), BuildError> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let fresh = scratch.join("fresh");
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).map_err(at(path))
}

/// What gcc does to whole nests of loops, off: a compiler that sees one path at a time cannot do it.
const NO_NESTS: [&str; 4] = [
    "-fno-loop-interchange",
    "-fno-loop-unroll-and-jam",
    "-fno-tree-loop-distribution",
    "-fno-tree-loop-distribute-patterns",
];

/// A level as users write it (`O0`, `O2`, `O3-native`) and as the compiler reads it. With `-nonest` behind it gcc leaves the order
/// of loops in a nest as it is in the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(String);

impl Level {
    /// The flags for the compiler. Contraction of multiplies and adds stays off: it
    /// changes results, and outputs are compared between levels.
    pub fn flags(&self) -> Vec<String> {
        let mut parts = self.0.split('-');
        let mut flags = vec![format!("-{}", parts.next().unwrap_or("O2"))];
        for part in parts {
            match part {
                "v2" | "v3" | "v4" => flags.push(format!("-march=x86-64-{part}")),
                "nonest" => flags.extend(NO_NESTS.iter().map(|f| (*f).to_owned())),
                other => flags.push(format!("-march={other}")),
            }
        }
        flags.push("-ffp-contract=off".into());
        flags
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_start_matches('-');
        let (level, march) = text.split_once('-').map_or((text, None), |(l, m)| (l, Some(m)));
        let known = matches!(level, "O0" | "O1" | "O2" | "O3" | "Os" | "Og")
            && march.is_none_or(|m| !m.is_empty() && m.chars().all(|c| c.is_ascii_alphanumeric()));
        if known {
            Ok(Level(text.to_owned()))
        } else {
            Err("a level is O0, O1, O2, O3, Os or Og, with -native, -v2, -v3, -v4 or -nonest behind it if wanted"
                .into())
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to run a built program: the words before the units of work.
#[derive(Debug, Clone)]
pub struct Built {
    /// The command line without the units of work.
    pub command: CommandLine,
    /// Units of work for about half a second; 0 where the program takes none.
    pub units: u64,
}

impl Built {
    /// The command line for `units` units of work.
    pub fn with_units(&self, units: u64) -> CommandLine {
        let mut command = self.command.clone();
        if self.units > 0 {
            command.argv.push(units.to_string().into());
        }
        command
    }
}

/// Builds programs into a work folder with one compiler.
#[derive(Debug)]
pub struct Builder {
    work: PathBuf,
    scratch: PathBuf,
    cc: String,
    version: OnceCell<String>,
    crates: OnceCell<HashMap<String, PathBuf>>,
}

impl Drop for Builder {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Builder {
    /// A builder that works in `work` with the C compiler `cc`. Writes the embedded
    /// sources there.
    pub fn new(work: &Path, cc: &str) -> Result<Self, BuildError> {
        fs::create_dir_all(work).map_err(at(work))?;
        let work = work.canonicalize().map_err(at(work))?;
        let scratch = work.join(format!("run-{}", std::process::id()));
        for folder in [&work.join("bin"), &work.join("kept"), &scratch] {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        for (name, text) in catalogue::FILES {
            let path = work.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            write_if_changed(&scratch, &path, text)?;
        }
        Ok(Self { work, scratch, cc: cc.into(), version: OnceCell::new(), crates: OnceCell::new() })
    }

    /// A folder of this process alone, which goes away with the builder: several `speedup`s may
    /// share a work folder.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The absolute path of the work folder.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The first line of the compiler's `--version`; an error names the package that is
    /// missing.
    pub fn compiler_version(&self) -> Result<&str, BuildError> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        need(&self.cc, compiler_package(&self.cc))?;
        let text = output_of(Command::new(&self.cc).arg("--version"))?;
        let version = text.lines().next().unwrap_or_default().to_owned();
        Ok(self.version.get_or_init(|| version))
    }

    /// Writes the Lua programs, and says where each is.
    pub fn lua_programs(&self) -> Result<Vec<(String, PathBuf)>, BuildError> {
        let mut programs = Vec::new();
        for (name, text) in catalogue::LUA_FILES {
            let path = self.work.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            write_if_changed(&self.scratch, &path, text)?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            programs.push((stem, path));
        }
        Ok(programs)
    }

    /// Builds `program` at `level`, or finds it built.
    pub fn build(&self, program: &Program, level: &Level) -> Result<Built, BuildError> {
        let (binary, script) = match program.source {
            Source::Command(command) => {
                let command = startup::prepare(command, &self.work, &self.scratch, &self.cc)?;
                return Ok(Built { command, units: 0 });
            }
            Source::C(file) => {
                (self.compile(program.name, level, false, &[self.work.join(file)], &[], &[])?, None)
            }
            Source::Cpp(file) => {
                (self.compile(program.name, level, true, &[self.work.join(file)], &[], &[])?, None)
            }
            Source::Crate(sources) => {
                let (folder, mut files) = self.crate_files(sources)?;
                files.insert(0, self.work.join(sources.driver));
                (self.compile(program.name, level, false, &files, &[folder], sources.flags)?, sources.script)
            }
        };
        let mut command = CommandLine::new([binary.into_os_string()]);
        command.argv.extend(script.map(|s| self.work.join(s).into_os_string()));
        Ok(Built { command, units: program.units })
    }

    fn compile(
        &self,
        name: &str,
        level: &Level,
        cpp: bool,
        files: &[PathBuf],
        include: &[PathBuf],
        flags: &[&str],
    ) -> Result<PathBuf, BuildError> {
        let version = self.compiler_version()?;
        let compiler = if cpp { cpp_compiler(&self.cc) } else { self.cc.clone() };
        if cpp {
            need(&compiler, if compiler.contains("clang") { "clang" } else { "g++" })?;
        }
        let mut arguments: Vec<OsString> = level.flags().into_iter().map(Into::into).collect();
        arguments.push(if cpp { "-std=gnu++17" } else { "-std=gnu11" }.into());
        arguments.push("-w".into());
        arguments.extend(flags.iter().map(Into::into));
        for folder in include {
            arguments.push("-I".into());
            arguments.push(folder.into());
        }
        arguments.extend(files.iter().map(Into::into));
        arguments.extend(["-lm", "-lpthread"].map(Into::into));
        let binary = self
            .work
            .join("bin")
            .join(format!("{name}-{level}-{:016x}", self.fingerprint(version, &arguments, files)?));
        if binary.is_file() {
            return Ok(binary);
        }
        let unfinished = self.scratch.join("unfinished");
        output_of(Command::new(&compiler).args(&arguments).arg("-o").arg(&unfinished))?;
        fs::rename(&unfinished, &binary).map_err(at(&binary))?;
        Ok(binary)
    }

    /// A hash of all that the binary depends on. Headers of crates do not change without
    /// the crate's version, which is part of the include path.
    fn fingerprint(
        &self,
        version: &str,
        arguments: &[OsString],
        files: &[PathBuf],
    ) -> Result<u64, BuildError> {
        let mut hash = std::hash::DefaultHasher::new();
        hash.write(version.as_bytes());
        for argument in arguments {
            hash.write(argument.as_encoded_bytes());
            hash.write_u8(0);
        }
        for path in files {
            if path.starts_with(&self.work) {
                hash.write(&fs::read(path).map_err(at(path))?);
            }
        }
        for (_, text) in catalogue::FILES.iter().filter(|(name, _)| name.ends_with(".h")) {
            hash.write(text.as_bytes());
        }
        Ok(hash.finish())
    }

    /// The include folder and the sources that a crate contributes.
    fn crate_files(&self, sources: &CrateSources) -> Result<(PathBuf, Vec<PathBuf>), BuildError> {
        let root = match self.crates.get() {
            Some(crates) => crates.get(sources.package),
            None => {
                let crates = fetch_crates(&self.work.join("guests"))?;
                self.crates.get_or_init(|| crates).get(sources.package)
            }
        };
        let missing =
            |pattern: &str| BuildError::Layout { package: sources.package, pattern: pattern.into() };
        let root = root.ok_or_else(|| missing("the crate itself"))?;
        let folder =
            expand(root, sources.folder).into_iter().next().ok_or_else(|| missing(sources.folder))?;
        let mut files = Vec::new();
        for pattern in sources.sources {
            let mut found = expand(&folder, pattern);
            found.retain(|f| !sources.except.iter().any(|e| f.file_name().is_some_and(|n| n == *e)));
            if found.is_empty() {
                return Err(missing(pattern));
            }
            files.append(&mut found);
        }
        Ok((folder, files))
    }
}

/// Has cargo fetch the crates of the manifest in `guests`, from the registry or from what
/// it has already, and says where each was unpacked.
fn fetch_crates(guests: &Path) -> Result<HashMap<String, PathBuf>, BuildError> {
    need("cargo", "cargo")?;
    let metadata = |offline: bool| {
        let mut cargo = Command::new("cargo");
        cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]);
        cargo.arg(guests.join("Cargo.toml"));
        cargo.args(offline.then_some("--offline"));
        output_of(&mut cargo)
    };
    let text = metadata(true).or_else(|_| metadata(false))?;
    let bad = |message: String| BuildError::Tool { tool: "cargo metadata".into(), message };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let packages = value["packages"].as_array().ok_or_else(|| bad("no packages in its answer".into()))?;
    let place = |package: &serde_json::Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    };
    Ok(packages.iter().filter_map(place).collect())
}

/// The paths below `root` that match `pattern`, sorted; a `*` matches within one name.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for part in pattern.split('/') {
        let Some((before, after)) = part.split_once('*') else {
            found = found.into_iter().map(|f| f.join(part)).filter(|f| f.exists()).collect();
            continue;
        };
        let matches = |name: &str| {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        };
        found = found
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(matches))
            .collect();
    }
    found.sort();
    found
}

/// The C++ compiler that belongs to a C compiler.
fn cpp_compiler(cc: &str) -> String {
    let (folder, name) =
        cc.rsplit_once('/').map_or(("", cc), |(_, name)| (&cc[..cc.len() - name.len()], name));
    let name = match name {
        "cc" => "c++".to_owned(),
        n if n.contains("clang") => n.replacen("clang", "clang++", 1),
        n => n.replacen("gcc", "g++", 1),
    };
    format!("{folder}{name}")
}

fn compiler_package(cc: &str) -> &'static str {
    if cc.contains("clang") { "clang" } else { "gcc" }
}

/// Fails with the package's name when `program` is not installed.
pub(crate) fn need(program: &str, package: &'static str) -> Result<PathBuf, BuildError> {
    let alternative = match package {
        "gcc" => " (or use --cc clang)",
        "clang" => " (or use --cc gcc)",
        _ => "",
    };
    find_program(program).ok_or_else(|| BuildError::NoTool { program: program.into(), package, alternative })
}

/// Runs a tool to its end and returns what it wrote to standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String, BuildError> {
    let tool = {
        let name =
            Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let last = command.get_args().last().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{name} … {last}")
    };
    let fail = |message: String| BuildError::Tool { tool: tool.clone(), message };
    let output = command.stdin(Stdio::null()).output().map_err(|e| fail(e.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line =
        text.lines().find(|l| l.contains("error")).or_else(|| text.lines().find(|l| !l.trim().is_empty()));
    Err(fail(line.map_or_else(|| output.status.to_string(), |l| l.trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_flags() {
        let flags = |text: &str| text.parse::<Level>().unwrap().flags().join(" ");
        assert_eq!(flags("O1"), "-O1 -ffp-contract=off");
        assert_eq!(flags("-O3"), "-O3 -ffp-contract=off");
        assert_eq!(flags("O3-native"), "-O3 -march=native -ffp-contract=off");
        assert_eq!(flags("O2-v3"), "-O2 -march=x86-64-v3 -ffp-contract=off");
        for bad in ["", "O9", "3", "O2-", "O2 -lx", "O2-a;b"] {
            assert!(bad.parse::<Level>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_cpp_compiler_follows_the_c_compiler() {
        for (c, cpp) in [
            ("gcc", "g++"),
            ("gcc-12", "g++-12"),
            ("clang", "clang++"),
            ("cc", "c++"),
            ("/opt/gcc/bin/x86_64-linux-gnu-gcc", "/opt/gcc/bin/x86_64-linux-gnu-g++"),
        ] {
            assert_eq!(cpp_compiler(c), cpp);
        }
    }

    #[test]
    fn a_star_matches_within_one_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/one.c", "a/two.c", "a/two.h", "b-1.2/x.c"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let strip = |p: PathBuf| p.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned();
            expand(root.path(), pattern).into_iter().map(strip).collect()
        };
        assert_eq!(names("a/*.c"), ["a/one.c", "a/two.c"]);
        assert_eq!(names("b-*/x.c"), ["b-1.2/x.c"]);
        assert_eq!(names("a/three.c"), [""; 0]);
        assert_eq!(names("z/*"), [""; 0]);
    }

    #[test]
    fn a_missing_compiler_names_its_package() {
        let work = tempfile::tempdir().unwrap();
        let builder = Builder::new(work.path(), "gcc-of-nowhere").unwrap();
        let error = builder.build(&catalogue::PROGRAMS[0], &"O2".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("install the package gcc"), "{error}");
    }

    #[test]
    fn a_failing_compiler_is_quoted() {
        let error =
            output_of(Command::new("sh").args(["-c", "echo x.c:1: error: no >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().contains("x.c:1: error: no"), "{error}");
    }
}
