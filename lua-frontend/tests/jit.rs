//! Traces against the interpreter: scripts print the same with the compiler off, on, and on with the lowest thresholds, so that everything is
//! recorded at once and every exit grows a side trace; also with the collector running at every safe point.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The scripts of this test, and those that are compared with the reference.
fn scripts() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for dir in [here.join("tests/jit"), here.join("../tests/lua")] {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        all.extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "lua")));
    }
    all.sort();
    all
}

/// What a script prints, with addresses (which differ from process to process) made equal.
fn run(script: &Path, options: &[&str], stress: bool) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rjit"));
    command.args(options).arg(script).current_dir(script.parent().unwrap_or(Path::new(".")));
    if stress {
        command.env("RJIT_GC_STRESS", "1");
    }
    let out = command.output().expect("rjit runs");
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("0x") {
        let (before, address) = rest.split_at(at + 2);
        plain.push_str(before);
        rest = address.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    plain.push_str(rest);
    (plain, out.status.code())
}

fn compare(options: &[&str]) {
    for script in scripts() {
        let expected = run(&script, &["-joff"], false);
        let got = run(&script, options, false);
        assert!(
            expected == got,
            "{} with {options:?}:\n{}\ninstead of\n{}",
            script.display(),
            got.0,
            expected.0
        );
    }
}

#[test]
fn usual_thresholds() {
    compare(&["-jon"]);
}

#[test]
fn everything_is_hot() {
    compare(&["-Ohotloop=1", "-Ohotexit=1", "-jon"]);
    compare(&["-Ohotloop=2", "-Ohotexit=2", "-jon"]);
}

#[test]
fn without_passes() {
    compare(&["-O0", "-Ohotloop=1", "-Ohotexit=1", "-jon"]);
    compare(&["-O1", "-Ohotloop=2", "-Ohotexit=1", "-jon"]);
}

#[test]
fn collected_at_every_safe_point() {
    for script in scripts().into_iter().filter(|s| s.parent().is_some_and(|d| d.ends_with("jit"))) {
        let expected = run(&script, &["-joff"], true);
        let got = run(&script, &["-Ohotloop=2", "-Ohotexit=1", "-jon"], true);
        assert!(expected == got, "{}:\n{}\ninstead of\n{}", script.display(), got.0, expected.0);
    }
}
