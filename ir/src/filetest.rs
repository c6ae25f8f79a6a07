//! The runner of `.tir` files: a trace, what to do with it, and what must come out. Shared by the crates that
//! follow, which [`Registry::pass`] and [`Registry::kind`] teach theirs.
//!
//! ```text
//! ;! test: run                       header; several are done in order
//! ;; a remark for people
//! slot rax: i64
//! trace t entry 0x10 { … }           see docs/ir.md
//! ;> trace t entry 0x10 {            the exact output; BLESS=1 rewrites it
//! ; check: text                      lines of the output that contain this, in this order …
//! ; not: text                        … and no line between the checks around it contains that
//! ; run: rax=1 m[0x7000]=5 => exit 1 rax=6
//! ```
//!
//! Kinds
//! - `parse`: the text parses, and printing and parsing again gives the same text. With `; error: text`
//!   behind a line, parsing must fail there with a message that contains the text.
//! - `verify`: the verifier finds exactly the errors that `; error:` comments expect on their lines (several
//!   are separated by `;`).
//! - `run`: the trace is well-formed, and the interpreter does what the `; run:` rows say.
//! - `pass NAME, NAME…`: each pass in turn, with the verifier before and after; the output is the last
//!   result. All `run` rows must hold before and after, and both sides must do the same on random states
//!   ([`compare`]).
//!
//! In a `run` row, memory that is not named cannot be accessed; slots that are not named are zero before, and
//! unchanged after (except those of type `flags`); memory that is not named is unchanged after. Results:
//! `exit N`, `to PC` (by any exit that goes on there), `fault memory`, `fault divide`, `fault misaligned`, `fault
//! unsupported`, `fault N`, `raised`, `fuel`, and `any`: only a state from which both sides of a `pass` test are compared.

mod compare;
mod machine;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use compare::{Difference, compare};
pub use machine::TestMachine;
pub use rows::{Row, RowError};

use crate::parse::{ParseError, Parsed};
use crate::trace::Trace;
use crate::verify::{Place, VerifyError, verify};

/// A pass as the runner sees it.
pub type PassFn = Box<dyn Fn(&Trace) -> Result<Trace, String> + Send + Sync>;

/// What a kind of test that a later crate registers is given.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The whole file.
    pub text: &'a str,
    /// The words after the kind in its header.
    pub words: &'a [&'a str],
}

impl Case<'_> {
    /// The file's trace, parsed and found well-formed.
    ///
    /// # Errors
    /// Why it is not, for a person.
    pub fn trace(&self) -> Result<Trace, String> {
        well_formed(self.text).map(|p| p.trace).map_err(|e| e.to_string())
    }
}

/// A kind of test: gives the output, which is compared with what the file expects.
pub type KindFn = Box<dyn Fn(&Case<'_>) -> Result<String, String> + Send + Sync>;

/// What this run of tests knows beyond the built-in kinds.
#[derive(Default)]
pub struct Registry {
    passes: BTreeMap<String, PassFn>,
    kinds: BTreeMap<String, KindFn>,
}

impl Registry {
    /// Only the built-in kinds.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a pass for `;! test: pass NAME`.
    pub fn pass(
        &mut self,
        name: &str,
        run: impl Fn(&Trace) -> Result<Trace, String> + Send + Sync + 'static,
    ) -> &mut Self {
        self.passes.insert(name.into(), Box::new(run));
        self
    }

    /// Adds a kind of test. Its files need not hold a trace (`lift` begins with guest code).
    pub fn kind(
        &mut self,
        name: &str,
        run: impl Fn(&Case<'_>) -> Result<String, String> + Send + Sync + 'static,
    ) -> &mut Self {
        self.kinds.insert(name.into(), Box::new(run));
        self
    }
}

/// Why a file test failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// There is no `;! test:` line, or it names a kind or pass that is not known.
    #[error("header: {0}")]
    Header(String),
    /// The text does not parse.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// An error was expected that did not come.
    #[error("line {line}: expected an error with {text:?}")]
    NoError {
        /// The line with the expectation.
        line: u32,
        /// What it expects.
        text: String,
    },
    /// An error came that was not expected.
    #[error("line {line}: unexpected error: {error}")]
    Error {
        /// The line it belongs to.
        line: u32,
        /// The message.
        error: String,
    },
    /// Printing and parsing did not give the same text.
    #[error("printing and parsing again changed the text:\n{0}")]
    RoundTrip(String),
    /// The output is not the `;>` lines.
    #[error("the output differs (run with BLESS=1 to accept it):\n{0}")]
    Output(String),
    /// A `; check:` that no line satisfies.
    #[error("line {line}: no line of the output (after the previous check) contains {text:?}:\n{output}")]
    Check {
        /// The line of the check.
        line: u32,
        /// What it wants.
        text: String,
        /// Where it looked.
        output: String,
    },
    /// A `; not:` that a line violates.
    #[error("line {line}: the output must not contain {text:?} here, but has: {found}")]
    Not {
        /// The line of the check.
        line: u32,
        /// What must not be.
        text: String,
        /// The line that is.
        found: String,
    },
    /// A `; run:` row.
    #[error("line {line}, {side}: {error}")]
    Row {
        /// The line of the row.
        line: u32,
        /// Which trace it ran on.
        side: &'static str,
        /// What is wrong.
        error: RowError,
    },
    /// A pass or kind refused.
    #[error("{name}: {error}")]
    Pass {
        /// Its name.
        name: String,
        /// What it says.
        error: String,
    },
    /// Before and after a pass differ on some state.
    #[error("{name} changed the meaning: {difference}")]
    Meaning {
        /// The passes.
        name: String,
        /// How.
        difference: Box<Difference>,
    },
}

/// Runs one file. With `bless`, a differing `;>` block is rewritten instead of failing.
///
/// # Errors
/// The first expectation that does not hold.
pub fn run_file(path: &Path, registry: &Registry, bless: bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)?;
    if let Some(new) = run_text(&text, registry, bless)? {
        std::fs::write(path, new)?;
    }
    Ok(())
}

/// Runs the text of a file. With `bless`, gives the text with the `;>` block that should be there, if it is
/// not.
///
/// # Errors
/// As [`run_file`].
pub fn run_text(text: &str, registry: &Registry, bless: bool) -> Result<Option<String>, Failure> {
    let headers: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix(";! test:")).collect();
    if headers.is_empty() {
        return Err(Failure::Header("there is no line `;! test: KIND`".into()));
    }
    let mut output = String::new();
    for header in headers {
        let words: Vec<&str> = header.split([' ', ',']).filter(|w| !w.is_empty()).collect();
        let Some((&kind, words)) = words.split_first() else {
            return Err(Failure::Header("`;! test:` names no kind".into()));
        };
        output = match (kind, registry.kinds.get(kind)) {
            ("parse", _) => parse_kind(text)?,
            ("verify", _) => verify_kind(text)?,
            ("run", _) => run_kind(text)?,
            ("pass", _) => pass_kind(text, words, registry)?,
            (name, Some(run)) => {
                run(&Case { text, words }).map_err(|error| Failure::Pass { name: name.into(), error })?
            }
            (name, None) => return Err(Failure::Header(format!("unknown kind {name:?}"))),
        };
    }
    expect_output(text, &output, bless)
}

/// Runs all `.tir` files below a directory, in order of name; `BLESS=1` in the environment accepts outputs.
/// Gives the number of files and the failures.
///
/// # Errors
/// When the directory cannot be read.
pub fn run_dir(dir: &Path, registry: &Registry) -> Result<(usize, Vec<(PathBuf, Failure)>), std::io::Error> {
    let bless = std::env::var_os("BLESS").is_some_and(|v| v == "1");
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "tir") {
                files.push(path);
            }
        }
    }
    files.sort();
    let failures = files
        .iter()
        .filter_map(|f| run_file(f, registry, bless).err().map(|failure| (f.clone(), failure)))
        .collect();
    Ok((files.len(), failures))
}

/// For `#[test]`s: runs a directory and gives one text with every failure.
///
/// # Errors
/// When a file fails, or there is none.
pub fn check_dir(dir: &Path, registry: &Registry) -> Result<(), String> {
    let (count, failures) = run_dir(dir, registry).map_err(|e| format!("{}: {e}", dir.display()))?;
    if count == 0 {
        return Err(format!("{}: no .tir files", dir.display()));
    }
    if failures.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = failures.iter().map(|(p, f)| format!("{}: {f}", p.display())).collect();
    Err(format!("{} of {count} files failed\n{}", failures.len(), texts.join("\n")))
}

// --- kinds ---------------------------------------------------------------------------------------

/// What a line's `; error:` comment expects: line and texts.
fn expected_errors(text: &str) -> Vec<(u32, String)> {
    let mut all = Vec::new();
    for (line, n) in text.lines().zip(1u32..) {
        if let Some((_, expected)) = line.split_once("; error:") {
            all.extend(expected.split(';').map(|e| (n, e.trim().to_owned())));
        }
    }
    all
}

fn parse_kind(text: &str) -> Result<String, Failure> {
    let expected = expected_errors(text);
    match (crate::parse::parse(text), expected.first()) {
        (Ok(parsed), None) => {
            let printed = crate::print::file(&parsed.trace);
            let again = crate::parse::parse(&printed)?;
            let twice = crate::print::file(&again.trace);
            if printed != twice {
                return Err(Failure::RoundTrip(difference(&printed, &twice)));
            }
            Ok(parsed.trace.to_string())
        }
        (Err(e), None) => Err(e.into()),
        (Ok(_), Some((line, text))) => Err(Failure::NoError { line: *line, text: text.clone() }),
        (Err(e), Some((line, text))) => {
            let message = e.to_string();
            if e.line != *line || !message.contains(text.as_str()) {
                return Err(Failure::Error { line: e.line, error: message });
            }
            Ok(String::new())
        }
    }
}

fn line_of(parsed: &Parsed, e: &VerifyError) -> u32 {
    match e.place {
        Place::Decls | Place::Head => parsed.first_line,
        Place::Line(i) => parsed.inst_lines.get(i).copied().unwrap_or(parsed.first_line),
        Place::End => parsed.end_line,
        Place::Exit(i) => parsed.exit_lines.get(i).copied().unwrap_or(parsed.first_line),
    }
}

fn verify_kind(text: &str) -> Result<String, Failure> {
    let parsed = crate::parse::parse(text)?;
    let mut errors: Vec<(u32, String)> = match verify(&parsed.trace) {
        Ok(()) => Vec::new(),
        Err(all) => all.iter().map(|e| (line_of(&parsed, e), e.kind.to_string())).collect(),
    };
    for (line, text) in expected_errors(text) {
        match errors.iter().position(|(l, e)| *l == line && e.contains(&text)) {
            Some(i) => errors.remove(i),
            None => return Err(Failure::NoError { line, text }),
        };
    }
    match errors.into_iter().next() {
        Some((line, error)) => Err(Failure::Error { line, error }),
        None => Ok(parsed.trace.to_string()),
    }
}

fn well_formed(text: &str) -> Result<Parsed, Failure> {
    let parsed = crate::parse::parse(text)?;
    match verify(&parsed.trace) {
        Ok(()) => Ok(parsed),
        Err(all) => {
            let line = all.first().map_or(0, |e| line_of(&parsed, e));
            let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
            Err(Failure::Error { line, error: texts.join("\n") })
        }
    }
}

fn rows(text: &str, trace: &Trace) -> Result<Vec<(u32, Row)>, Failure> {
    let mut all = Vec::new();
    for (line, n) in text.lines().zip(1u32..) {
        if let Some(row) = line.strip_prefix("; run:") {
            let row = Row::parse(row, &trace.decls).map_err(|error| Failure::Row {
                line: n,
                side: "the row",
                error,
            })?;
            all.push((n, row));
        }
    }
    Ok(all)
}

fn check_rows(rows: &[(u32, Row)], trace: &Trace, side: &'static str) -> Result<(), Failure> {
    for (line, row) in rows {
        row.check(trace).map_err(|error| Failure::Row { line: *line, side, error })?;
    }
    Ok(())
}

fn run_kind(text: &str) -> Result<String, Failure> {
    let parsed = well_formed(text)?;
    check_rows(&rows(text, &parsed.trace)?, &parsed.trace, "run")?;
    Ok(parsed.trace.to_string())
}

fn pass_kind(text: &str, names: &[&str], registry: &Registry) -> Result<String, Failure> {
    let before = well_formed(text)?.trace;
    let rows = rows(text, &before)?;
    check_rows(&rows, &before, "before")?;
    let mut after = before.clone();
    for name in names {
        let Some(pass) = registry.passes.get(*name) else {
            return Err(Failure::Header(format!("unknown pass {name:?}")));
        };
        let fail = |error| Failure::Pass { name: (*name).into(), error };
        after = pass(&after).map_err(fail)?;
        verify(&after).map_err(|all| {
            let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
            fail(format!("made an ill-formed trace:\n{}\n{after}", texts.join("\n")))
        })?;
    }
    check_rows(&rows, &after, "after")?;
    let starts: Vec<&Row> = rows.iter().map(|(_, r)| r).collect();
    compare(&before, &after, &starts, 200)
        .map_err(|d| Failure::Meaning { name: names.join(", "), difference: Box::new(d) })?;
    Ok(after.to_string())
}

// --- output --------------------------------------------------------------------------------------

fn expect_output(text: &str, output: &str, bless: bool) -> Result<Option<String>, Failure> {
    let expected: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix(";>")).map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
    let mut blessed = None;
    if !expected.is_empty() && !output.lines().eq(expected.iter().copied()) {
        if !bless {
            return Err(Failure::Output(difference(&expected.join("\n"), output)));
        }
        blessed = Some(bless_text(text, output));
    }
    check_lines(text, output)?;
    Ok(blessed)
}

/// The text with its first `;>` block replaced by the output and other `;>` lines removed.
fn bless_text(text: &str, output: &str) -> String {
    let mut new = String::new();
    let mut written = false;
    for line in text.lines() {
        if !line.starts_with(";>") {
            new.push_str(line);
            new.push('\n');
        } else if !std::mem::replace(&mut written, true) {
            for o in output.lines() {
                new.push_str(if o.is_empty() { ";>" } else { ";> " });
                new.push_str(o);
                new.push('\n');
            }
        }
    }
    new
}

fn check_lines(text: &str, output: &str) -> Result<(), Failure> {
    let lines: Vec<&str> = output.lines().collect();
    let mut at = 0;
    let mut nots: Vec<(u32, &str)> = Vec::new();
    let forbid = |nots: &mut Vec<(u32, &str)>, range: &[&str]| {
        for (line, text) in nots.drain(..) {
            if let Some(found) = range.iter().find(|l| l.contains(text)) {
                return Err(Failure::Not { line, text: text.into(), found: (*found).into() });
            }
        }
        Ok(())
    };
    for (line, n) in text.lines().zip(1u32..) {
        if let Some(wanted) = line.strip_prefix("; check:").map(str::trim) {
            let Some(found) = lines[at..].iter().position(|l| l.contains(wanted)) else {
                return Err(Failure::Check { line: n, text: wanted.into(), output: lines[at..].join("\n") });
            };
            forbid(&mut nots, &lines[at..at + found])?;
            at += found + 1;
        } else if let Some(unwanted) = line.strip_prefix("; not:").map(str::trim) {
            nots.push((n, unwanted));
        }
    }
    forbid(&mut nots, &lines[at..])
}

/// The first lines that differ, with their numbers.
fn difference(expected: &str, found: &str) -> String {
    let (mut a, mut b) = (expected.lines(), found.lines());
    for n in 1.. {
        match (a.next(), b.next()) {
            (None, None) => break,
            (x, y) if x == y => {}
            (x, y) => {
                let show = |l: Option<&str>| l.unwrap_or("(end)").to_owned();
                return format!(
                    "line {n}\n  expected: {}\n  found:    {}\nall of it:\n{found}",
                    show(x),
                    show(y)
                );
            }
        }
    }
    String::from("no line differs")
}
