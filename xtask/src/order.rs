//! `cargo xtask order`: which functions of `dynrun` are executed?
//!
//! `dynrun` runs itself, with `--drcov`, running some programs. The functions that were executed are written to
//! `runtime/order.txt`, from which `runtime/build.rs` makes the order of functions in the binary: first those that every
//! process executes, then the others. What is executed then lies together, and a process maps half as much of its own file.
//!
//! A line is a mangled name, with `*` for what changes from one build to the next: the hash at its end. Generic functions have a
//! copy for each use, under one name, so theirs is kept; it is the same as long as compiler and dependencies are.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC};

/// What every process executes.
const PLAIN: &[&str] = &["/bin/true", "/bin/sh -c /bin/true;/bin/true"];
/// What records, compiles and does the rest.
const BUSY: &[&str] = &[
    "/usr/bin/python3 -c x={i:str(i)*(3)for(i)in(range(30000))};print(len(sorted(x.values())))",
    "/usr/bin/perl -e for(1..90000){$h{$_%977}.=chr(65+$_%26)};print(length(join(q(),sort(values(%h)))))",
    "/usr/bin/sort -r /usr/bin/perl",
    "/usr/bin/gzip -c /usr/bin/perl",
    "/usr/bin/sha512sum /usr/bin/perl",
    "/usr/bin/factor 170141183460469231731687303715884105727",
];

/// Benchmark programs, which are compiled, and how many units of work they do.
const LOOPS: &[(&str, u32)] = &[
    ("gemm", 40),
    ("jacobi2d", 40),
    ("blur", 40),
    ("crc32", 40),
    ("matmul_int", 40),
    ("fib", 40),
    ("interp_switch", 40),
];
/// Copies of a generic function that have no more bytes than this in the mean are taken all.
const SMALL: u64 = 100;

/// Writes `runtime/order.txt`. `dynrun` must have been built for release.
pub fn measure(root: &Path) -> Result<()> {
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).context("xtask lies nowhere")?;
    let dynrun = target.join("release/dynrun");
    ensure!(dynrun.exists(), "{} is missing: cargo build --release", dynrun.display());
    let dir = tempfile::tempdir()?;
    let subject = dir.path().join("subject");
    std::fs::copy(&dynrun, &subject)?;
    let functions = functions(&std::fs::read(&subject)?)?;
    let run = Runs { dynrun, subject, dir: dir.path().to_owned() };
    let mut first = BTreeSet::new();
    for program in PLAIN {
        // What is executed when there is nothing in the store, and when there is.
        for _ in 0..2 {
            first.extend(run.executed(program, &functions)?);
        }
    }
    let mut then = BTreeSet::new();
    for program in BUSY {
        then.extend(run.executed(program, &functions)?);
    }
    for (name, units) in LOOPS {
        for level in ["-O0", "-O1"] {
            let out = dir.path().join(name);
            let source = root.join(format!("bench/programs/{name}.c"));
            let status =
                Command::new("cc").arg(level).arg("-o").arg(&out).arg(&source).arg("-lm").status()?;
            ensure!(status.success(), "cc cannot compile {}", source.display());
            then.extend(run.executed(&format!("{} {units}", out.display()), &functions)?);
        }
    }
    let mut text =
        String::from("# Functions that are executed. Made by `cargo xtask order`.\n# By every process:\n");
    first.iter().for_each(|f| text += &format!("{f}\n"));
    text += "# By those that record and compile:\n";
    then.difference(&first).for_each(|f| text += &format!("{f}\n"));
    let path = root.join("runtime/order.txt");
    std::fs::write(&path, text)?;
    println!("{}: {} functions and {} more", path.display(), first.len(), then.difference(&first).count());
    Ok(())
}

/// Address, size and the pattern of its name, sorted.
fn functions(file: &[u8]) -> Result<Vec<(u64, u64, String)>> {
    let elf = Elf::parse(file)?;
    let all: Vec<_> = elf
        .syms
        .iter()
        .filter(|s| matches!(s.st_type(), STT_FUNC | STT_GNU_IFUNC) && s.st_size > 0)
        .filter_map(|s| {
            let name = elf.strtab.get_at(s.st_name)?.split(".llvm.").next()?;
            Some((s.st_value, s.st_size, name, stable(name)?))
        })
        .collect();
    ensure!(!all.is_empty(), "dynrun has no symbols");
    let mut copies: HashMap<&str, (usize, u64)> = HashMap::new();
    for f in &all {
        let c = copies.entry(&f.3).or_default();
        *c = (c.0 + 1, c.1 + f.1);
    }
    let pattern = |name: &str, stable: &String| match copies[stable.as_str()] {
        (n, bytes) if n <= 2 || bytes / n as u64 <= SMALL => stable.clone(),
        _ => format!("{name}*"),
    };
    let mut all: Vec<_> =
        all.iter().map(|(at, size, name, stable)| (*at, *size, pattern(name, stable))).collect();
    all.sort();
    Ok(all)
}

/// A mangled name without its hash; `None` for functions of C.
fn stable(name: &str) -> Option<String> {
    match name.rfind("17h") {
        Some(at) if name.starts_with("_ZN") => Some(format!("{}17h*", &name[..at])),
        _ => name.starts_with("_R").then(|| format!("{name}*")),
    }
}

struct Runs {
    dynrun: PathBuf,
    subject: PathBuf,
    dir: PathBuf,
}

impl Runs {
    /// The functions that `subject` executes to run `program`.
    fn executed(&self, program: &str, functions: &[(u64, u64, String)]) -> Result<BTreeSet<String>> {
        let coverage = self.dir.join("coverage");
        let status = Command::new(&self.dynrun)
            .arg(format!("--drcov={}", coverage.display()))
            .arg(&self.subject)
            .args(program.split(' '))
            .env("XDG_CACHE_HOME", &self.dir)
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "{program}: {status}");
        let data = std::fs::read(&coverage).context("no coverage was written")?;
        let mut hit = BTreeSet::new();
        for at in blocks(&data, &self.subject)? {
            let next = functions.partition_point(|f| f.0 <= at);
            if let Some(f) = functions[..next].last().filter(|f| at < f.0 + f.1) {
                hit.insert(f.2.clone());
            }
        }
        ensure!(!hit.is_empty(), "{program}: nothing of dynrun was executed");
        Ok(hit)
    }
}

/// Offsets of the blocks of `module` in a file of drcov's format.
fn blocks(data: &[u8], module: &Path) -> Result<Vec<u64>> {
    const TABLE: &[u8] = b"BB Table: ";
    let table = data.windows(TABLE.len()).position(|w| w == TABLE).context("no table of blocks")?;
    let head = String::from_utf8_lossy(&data[..table]);
    let line =
        head.lines().find(|l| l.ends_with(&*module.to_string_lossy())).context("the module is missing")?;
    let id: u16 = line.split(',').next().unwrap_or_default().trim().parse()?;
    let start = table + data[table..].iter().position(|&b| b == b'\n').context("no blocks")? + 1;
    Ok(data[start..]
        .chunks_exact(8)
        .filter(|b| u16::from_le_bytes([b[6], b[7]]) == id)
        .map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        .collect())
}
