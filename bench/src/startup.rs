//! The start-up class: commands whose time is mostly code that runs once. Each becomes a
//! command line with absolute paths, from tools that are installed and sources of ours.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{BuildError, at, need, output_of, write_if_changed};
use crate::catalogue::Command;
use crate::process::CommandLine;

/// Makes what `command` needs below `work`, by way of `scratch`, and returns its command line.
/// `cc` is the compiler asked for.
pub fn prepare(command: Command, work: &Path, scratch: &Path, cc: &str) -> Result<CommandLine, BuildError> {
    let words: Vec<OsString> = match command {
        Command::True => vec!["/bin/true".into()],
        Command::ShellLoop => {
            let script = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done; echo $i";
            vec!["/bin/sh".into(), "-c".into(), script.into()]
        }
        Command::PythonPass => {
            // What `python3` in PATH is may be a script that looks for the interpreter.
            need("python3", "python3")?;
            let ask = ["-c", "import sys; print(sys.executable)"];
            let path = output_of(std::process::Command::new("python3").args(ask))?;
            vec![path.trim().into(), "-c".into(), "pass".into()]
        }
        Command::Cc1 => {
            let source = work.join("startup").join("generated.c");
            write_if_changed(scratch, &source, &generated_c(6000))?;
            vec![cc1(cc)?.into(), "-O2".into(), "-quiet".into(), source.into(), "-o".into(), "-".into()]
        }
        Command::Node => vec![need("node", "nodejs")?.into(), work.join("startup/bench.js").into()],
        Command::Java => {
            let java = need("java", "default-jre-headless")?;
            let classes = work.join("startup");
            let source = classes.join("Bench.java");
            if !newer(&classes.join("Bench.class"), &source) {
                need("javac", "default-jdk-headless")?;
                output_of(std::process::Command::new("javac").arg("-d").arg(scratch).arg(&source))?;
                let made = classes.join("Bench.class");
                fs::rename(scratch.join("Bench.class"), &made).map_err(at(&made))?;
            }
            vec![java.into(), "-cp".into(), classes.into(), "Bench".into()]
        }
    };
    Ok(CommandLine::new(words))
}

/// The compiler proper behind a gcc driver. clang has none; gcc's is used then.
fn cc1(cc: &str) -> Result<PathBuf, BuildError> {
    let driver = if cc.contains("clang") { "gcc" } else { cc };
    need(driver, "gcc")?;
    let path = output_of(std::process::Command::new(driver).arg("-print-prog-name=cc1"))?;
    need(path.trim(), "gcc")
}

/// Whether `made` exists and is no older than what it was made from.
fn newer(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    time(made).is_some_and(|made| time(source).is_some_and(|source| made >= source))
}

/// A C file of at least `lines` lines that needs no headers: functions with loops,
/// switches, structures and calls of each other, no two alike.
fn generated_c(lines: usize) -> String {
    let mut text =
        String::from("struct node { struct node *next; int key; long weight[4]; };\nstatic long total;\n");
    let mut count = text.lines().count();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let mut functions = 0;
    while count < lines {
        let before = text.len();
        let (a, b, c, d) = (next(90) + 3, next(17) + 2, next(1000), next(7) + 1);
        let callee = if functions > 0 { format!("f{}(x - 1, p)", next(functions)) } else { "x".into() };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nlong f{functions}(long x, struct node *p)\n{{\n    long sum = {c};\n    long table[{a}];\n    if (x < {d})\n        return x + {b};\n    \
             for (int i = 0; i < {a}; i++) {{\n        table[i] = i * {b} ^ (x >> {d});\n        sum += table[i] & {c};\n    }}\n    \
             while (p && p->key > {b}) {{\n        sum -= p->weight[p->key & 3] * {b};\n        p->key ^= (int)sum & {a};\n        p = p->next;\n    }}\n    \
             switch (sum % {b}) {{\n"
        );
        for case in 0..b {
            let _ = write!(
                text,
                "    case {case}:\n        sum = sum * {} + table[{}];\n        break;\n",
                next(30) + 2,
                next(a)
            );
        }
        let _ = write!(
            text,
            "    default:\n        sum += {callee};\n    }}\n    double scale = sum * 0.{c};\n    for (int i = 1; i < {a}; i++)\n        if (table[i] > table[i - 1])\n            \
             scale = scale * 0.5 + table[i];\n        else\n            total += i;\n    return sum + (long)scale;\n}}\n"
        );
        count += text[before..].lines().count();
        functions += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_file_is_long_and_the_same_each_time() {
        let text = generated_c(6000);
        assert!((6000..6200).contains(&text.lines().count()));
        assert_eq!(text, generated_c(6000));
    }

    #[test]
    fn the_generated_file_compiles() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("x.c");
        fs::write(&path, generated_c(300)).unwrap();
        let mut cc = std::process::Command::new("cc");
        output_of(cc.args(["-O1", "-c", "-Wall", "-Werror", "-o", "/dev/null"]).arg(&path)).unwrap();
    }
}
