//! Public test suites, run from checkouts that lie outside of this repository.
//!
//! `cargo xtask lua-suites DIR` looks for the directories named below under DIR, runs what it finds and prints how many
//! checks passed. A suite that is not there is left out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

/// Time for one script.
const LIMIT: Duration = Duration::from_secs(120);

/// How the output of a script tells its result.
enum Verdict {
    /// A line `N passed` or `N passed, M failed`.
    Counts,
    /// This text.
    Contains(&'static str),
    /// The exit status.
    Status,
}

/// A script of a suite.
struct Script {
    suite: &'static str,
    /// Working directory under DIR.
    directory: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
    verdict: Verdict,
}

const SCRIPTS: &[Script] = &[
    Script {
        suite: "LuaJIT-test-cleanup",
        directory: "LuaJIT-test-cleanup/test",
        arguments: &["test.lua"],
        path: "./?.lua;;",
        verdict: Verdict::Counts,
    },
    Script {
        suite: "PUC-Rio 5.1 (Tarantool)",
        directory: "tarantool-luajit/test/PUC-Rio-Lua-5.1-tests",
        arguments: &["-e", "dofile[[../luajit-test-init.lua]]", "all.lua"],
        path: "?;./?.lua",
        verdict: Verdict::Contains("final OK !!!"),
    },
    Script {
        suite: "Penlight",
        directory: "Penlight",
        arguments: &["run.lua", "tests"],
        path: "lua/?.lua;lua/?/init.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "luafun",
        directory: "luafun/tests",
        arguments: &[
            "runtest",
            "basic.lua",
            "generators.lua",
            "slicing.lua",
            "filtering.lua",
            "reducing.lua",
        ],
        path: "../?.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "Fennel",
        directory: "Fennel",
        arguments: &["test/init.lua"],
        path: "./?.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "dkjson",
        directory: "dkjson",
        arguments: &["jsontest.lua", "dkjson"],
        path: "./?.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "json.lua",
        directory: "json.lua/test",
        arguments: &["test.lua"],
        path: "../?.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "lua-parser",
        directory: "lua-parser",
        arguments: &["test.lua"],
        path: "./?.lua;../LuLPeg/?.lua;;",
        verdict: Verdict::Status,
    },
    Script {
        suite: "LuLPeg",
        directory: "LuLPeg",
        arguments: &["-e", "lpeg = require'lulpeg' package.loaded.lpeg = lpeg", "tests/lpeg.0.12.test.lua"],
        path: "./?.lua;src/?.lua;;",
        verdict: Verdict::Status,
    },
];

/// Runs all suites under `directory` with the release build of `rjit`, and with the reference for comparison.
pub fn run(root: &Path, directory: &Path) -> Result<()> {
    let rjit = super::target_directory(root).join("release/rjit");
    let mut binaries = vec![rjit];
    binaries.extend(super::reference::find(root));
    for script in SCRIPTS {
        let from = directory.join(script.directory);
        if !from.is_dir() {
            continue;
        }
        for binary in &binaries {
            // Suites write files: never into the checkout.
            let scratch = tempfile::tempdir()?;
            let work = scratch.path().join("suite");
            super::output(Command::new("cp").arg("-rL").arg(top(directory, script.directory)).arg(&work))?;
            let inner: PathBuf = script.directory.split('/').skip(1).collect();
            let at = work.join(inner);
            if script.suite.starts_with("PUC") {
                std::fs::create_dir_all(at.join("libs/P1"))?;
            }
            let mut c = Command::new(binary);
            c.args(script.arguments).current_dir(&at).env("LUA_PATH", script.path);
            report(script.suite, binary, &super::run(&mut c, LIMIT)?, &script.verdict);
        }
    }
    for binary in &binaries {
        harness(directory, binary)?;
    }
    Ok(())
}

/// The checkout that a path begins with.
fn top(directory: &Path, path: &str) -> PathBuf {
    directory.join(path.split('/').next().unwrap_or(path))
}

/// lua-Harness: one process per file, results in TAP.
fn harness(directory: &Path, binary: &Path) -> Result<()> {
    let tests = directory.join("tarantool-luajit/test/lua-Harness-tests");
    let Ok(entries) = std::fs::read_dir(&tests) else { return Ok(()) };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "t"));
    files.sort();
    let (mut passed, mut failed) = (0, Vec::new());
    for f in files {
        let mut c = Command::new(binary);
        c.arg("-l").arg("profile_luajit21").arg(&f).current_dir(&tests).env("LUA_PATH", "./?.lua;;");
        let run = super::run(&mut c, LIMIT)?;
        let text = String::from_utf8_lossy(&run.stdout);
        passed += text.lines().filter(|l| l.starts_with("ok ")).count();
        let bad =
            text.lines().filter(|l| l.starts_with("not ok ") && !l.contains(concat!("# TO", "DO"))).count();
        if bad > 0 || run.status != Some(0) {
            failed.push(format!("{} ({bad})", f.file_name().unwrap_or_default().to_string_lossy()));
        }
    }
    println!("lua-Harness under {}: {passed} passed; with failures: {}", binary.display(), failed.join(" "));
    Ok(())
}

fn report(suite: &str, binary: &Path, run: &super::Run, verdict: &Verdict) {
    let text = String::from_utf8_lossy(&run.stdout);
    let result = match verdict {
        Verdict::Counts => {
            let line = text.lines().rev().find(|l| l.contains(" passed"));
            line.unwrap_or("no result").to_owned()
        }
        Verdict::Contains(what) if text.contains(what) => "passed".into(),
        Verdict::Status if run.status == Some(0) => "passed".into(),
        Verdict::Contains(_) | Verdict::Status => {
            let all = String::from_utf8_lossy(&run.stderr).into_owned();
            let last: Vec<&str> = all.lines().take(3).collect();
            format!("FAILED ({:?}): {}", run.status, last.join(" | "))
        }
    };
    println!("{suite} under {}: {result}", binary.display());
}
