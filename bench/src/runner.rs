//! Runners: what a program is started with. `native` is nothing; the others are a command
//! put in front of the program's own command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::process::CommandLine;

/// A way to run a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// What tables call it.
    pub label: String,
    /// The words put before the program; none for a native run.
    pub prefix: Vec<OsString>,
}

/// Why a runner cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RunnerError {
    /// The specification has no words in it.
    #[error("an empty runner; give native, dynrun, qemu, valgrind or a command")]
    Empty,
    /// A quotation mark without its partner.
    #[error("runner `{0}`: a quotation mark is not closed")]
    Quote(String),
    /// The program is not installed.
    #[error("runner `{label}`: there is no {program} in PATH{hint}")]
    Missing {
        /// The runner as it was asked for.
        label: String,
        /// The program that was looked for.
        program: String,
        /// Which package brings it, where that is known.
        hint: &'static str,
    },
    /// A Lua program does not run by itself.
    #[error("runner `{0}`: a Lua program needs an interpreter")]
    NoInterpreter(String),
    /// No dynrun was given, and none lies beside this program.
    #[error("runner `{0}`: no dynrun beside speedup or in PATH; build it, or give --dynrun PATH")]
    NoDynrun(String),
}

impl Runner {
    /// The program alone.
    pub fn native() -> Self {
        Self { label: "native".into(), prefix: Vec::new() }
    }

    /// Whether it runs the program alone.
    pub fn is_native(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Reads `[LABEL=]COMMAND`, where the command is `native`, `dynrun [OPTIONS]`, `qemu`,
    /// `valgrind`, or any command that takes a program and its arguments. `dynrun` is the
    /// program that stands for the first word `dynrun`.
    pub fn parse(text: &str, dynrun: Option<&Path>) -> Result<Self, RunnerError> {
        let (label, command) = match text.split_once('=') {
            Some((label, command)) if is_label(label) => (label.to_owned(), command),
            _ => (text.trim().to_owned(), text),
        };
        let mut words = split_words(command)?;
        let Some(first) = words.first().cloned() else { return Err(RunnerError::Empty) };
        let missing = |program: &str, hint| RunnerError::Missing {
            label: label.clone(),
            program: program.into(),
            hint,
        };
        match first.as_str() {
            "native" if words.len() == 1 => return Ok(Self { label, prefix: Vec::new() }),
            "dynrun" => {
                let path = dynrun.ok_or_else(|| RunnerError::NoDynrun(label.clone()))?;
                let mut prefix = vec![path.as_os_str().to_owned()];
                prefix.extend(words.drain(1..).map(OsString::from));
                return Ok(Self { label, prefix });
            }
            "qemu" => words[0] = "qemu-x86_64".into(),
            "valgrind" if words.len() == 1 => words.extend(["-q".into(), "--tool=none".into()]),
            _ => {}
        }
        let hint = match words[0].as_str() {
            "qemu-x86_64" => "; install qemu-user",
            "luajit" => "; install luajit",
            "lua5.4" => "; install lua5.4",
            "rjit" => " or beside speedup; build it",
            "valgrind" => "; install valgrind",
            _ => "",
        };
        let ours = if words[0] == "rjit" { find_ours("rjit", None) } else { None };
        let program = ours.or_else(|| find_program(&words[0])).ok_or_else(|| missing(&words[0], hint))?;
        let mut prefix = vec![program.into_os_string()];
        prefix.extend(words.drain(1..).map(OsString::from));
        Ok(Self { label, prefix })
    }

    /// The command line that runs `command` this way. The program is named by its path, as
    /// not every runner looks into `PATH`.
    pub fn wrap(&self, command: &CommandLine) -> CommandLine {
        let mut argv = self.prefix.clone();
        argv.extend(command.argv.iter().cloned());
        CommandLine { argv, ..command.clone() }
    }
}

/// The runners asked for, the native baseline first and added when it is absent. Labels
/// that occur twice are numbered: `native,native` shows the noise of the machine.
pub fn parse_all<S: AsRef<str>>(texts: &[S], dynrun: Option<&Path>) -> Result<Vec<Runner>, RunnerError> {
    let mut runners = Vec::new();
    for text in texts {
        runners.push(Runner::parse(text.as_ref(), dynrun)?);
    }
    match runners.iter().position(Runner::is_native) {
        Some(at) => runners[..=at].rotate_right(1),
        None => runners.insert(0, Runner::native()),
    }
    number(&mut runners);
    Ok(runners)
}

/// Numbers labels that occur twice.
fn number(runners: &mut [Runner]) {
    let labels: Vec<String> = runners.iter().map(|r| r.label.clone()).collect();
    for (i, runner) in runners.iter_mut().enumerate() {
        let same = labels[..i].iter().filter(|l| **l == runner.label).count();
        if same > 0 {
            runner.label = format!("{}#{}", runner.label, same + 1);
        }
    }
}

/// The interpreters of Lua asked for, the first of which is the baseline.
pub fn parse_lua<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Runner>, RunnerError> {
    let mut runners = Vec::new();
    for text in texts {
        let runner = Runner::parse(text.as_ref(), None)?;
        if runner.is_native() {
            return Err(RunnerError::NoInterpreter(runner.label));
        }
        runners.push(runner);
    }
    number(&mut runners);
    Ok(runners)
}

/// A program of this project: the given one, the one beside this program, or the one in `PATH`.
pub fn find_ours(name: &str, given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| {
        let beside = std::env::current_exe().ok()?.with_file_name(name);
        beside.is_file().then_some(beside).or_else(|| find_program(name))
    })
}

/// The path of an executable file: as given when it has a slash, else from `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runnable =
        |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let path = PathBuf::from(name);
        return runnable(&path).then_some(path);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join(name)).find(|p| runnable(p))
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        && !text.starts_with('-')
}

/// Splits at blanks, except between quotation marks of either kind.
pub fn split_words(text: &str) -> Result<Vec<String>, RunnerError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(RunnerError::Quote(text.into()));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Runner, RunnerError> {
        Runner::parse(text, Some(Path::new("/x/dynrun")))
    }

    #[test]
    fn dynrun_takes_options_and_a_label() {
        let runner = parse("block=dynrun --tier block").unwrap();
        assert_eq!(runner.label, "block");
        assert_eq!(runner.prefix, ["/x/dynrun", "--tier", "block"]);
        let wrapped = runner.wrap(&CommandLine::new(["/bin/true", "a b"]));
        assert_eq!(wrapped.argv, ["/x/dynrun", "--tier", "block", "/bin/true", "a b"]);
    }

    #[test]
    fn an_equals_sign_in_an_option_is_no_label() {
        let runner = parse("sh -c --x=y").unwrap();
        assert_eq!(runner.label, "sh -c --x=y");
        assert_eq!(runner.prefix[1..], ["-c", "--x=y"]);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split_words("a 'b c' \"d\"e ''").unwrap(), ["a", "b c", "de", ""]);
        assert_eq!(split_words("a 'b"), Err(RunnerError::Quote("a 'b".into())));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse("  "), Err(RunnerError::Empty));
        assert_eq!(Runner::parse("dynrun", None), Err(RunnerError::NoDynrun("dynrun".into())));
        let error = parse("no-such-program-anywhere -x").unwrap_err();
        assert!(error.to_string().contains("no-such-program-anywhere"), "{error}");
    }

    #[test]
    fn native_comes_first_and_twins_are_numbered() {
        let labels = |texts: &[&str]| -> Vec<String> {
            parse_all(texts, Some(Path::new("/d"))).unwrap().into_iter().map(|r| r.label).collect()
        };
        assert_eq!(labels(&["dynrun"]), ["native", "dynrun"]);
        assert_eq!(labels(&["dynrun", "native"]), ["native", "dynrun"]);
        assert_eq!(labels(&["native", "native"]), ["native", "native#2"]);
        assert_eq!(
            labels(&["dynrun", "sh", "native", "dynrun", "dynrun"]),
            ["native", "dynrun", "sh", "dynrun#2", "dynrun#3"]
        );
    }
}
