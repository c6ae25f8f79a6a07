//! The scripts in `tests/lua` under `rjit` and under the reference implementation: the same output, the same exit status;
//! and a module written in C, compiled against our headers and loaded by both.
//!
//! The reference comes from `cargo xtask lua-reference` (or `RJIT_REFERENCE` names it). Without it the comparison is
//! skipped with a note, unless `E2E_REQUIRE_ALL=1` asks for everything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn reference() -> Option<PathBuf> {
    let named = std::env::var_os("RJIT_REFERENCE").map(PathBuf::from);
    // The test binary lies in TARGET/PROFILE/deps.
    let built = std::env::current_exe().ok()?.ancestors().nth(3)?.join("luajit-reference/src/luajit");
    named.or(Some(built)).filter(|p| p.is_file())
}

/// Output and exit status; addresses do not count.
fn run(binary: &Path, directory: &Path, script: &str, stress: bool) -> (String, Option<i32>) {
    let mut c = Command::new("timeout");
    c.arg("120").arg(binary).arg(script).current_dir(directory).stdin(Stdio::null());
    c.env_remove("LUA_INIT").env_remove("LUA_PATH").env("TZ", "UTC").env("LC_ALL", "C");
    if stress {
        c.env("RJIT_GC_STRESS", "1");
    }
    let out = c.output().expect("timeout runs");
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.push_str("--- stderr\n");
    text.push_str(&String::from_utf8_lossy(&out.stderr).replace(&*binary.to_string_lossy(), "PROGRAM"));
    (without_addresses(&text), out.status.code())
}

fn without_addresses(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        // Shorter ones are numbers that scripts print.
        out.push_str(&rest[..at]);
        out.push_str(if digits >= 8 { "ADDRESS" } else { &rest[at..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    out.push_str(rest);
    out
}

fn scripts() -> (PathBuf, Vec<String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lua");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .expect("tests/lua exists")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.ends_with(".lua"))
        .collect();
    names.sort();
    (directory, names)
}

#[test]
fn scripts_agree_with_the_reference() {
    let Some(reference) = reference() else {
        assert!(
            std::env::var("E2E_REQUIRE_ALL").is_err(),
            "no reference implementation: run `cargo xtask lua-reference`"
        );
        eprintln!("skipped: no reference implementation (`cargo xtask lua-reference` builds it)");
        return;
    };
    let rjit = Path::new(env!("CARGO_BIN_EXE_rjit"));
    let (directory, names) = scripts();
    let mut failures = Vec::new();
    for name in &names {
        let (want, want_status) = run(&reference, &directory, name, false);
        let (got, status) = run(rjit, &directory, name, false);
        if let Some((i, (w, g))) = want.lines().zip(got.lines()).enumerate().find(|(_, (w, g))| w != g) {
            failures
                .push(format!("{name}, line {} of the output:\n  reference: {w}\n  rjit:      {g}", i + 1));
        } else if want != got || status != want_status {
            let (a, b) = (want.lines().count(), got.lines().count());
            failures.push(format!("{name}: {a} lines and status {want_status:?}, but {b} and {status:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Compiles the module of `tests/capi` and gives the directory with it.
fn module() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&directory).expect("a directory for the module");
    let out = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(directory.join("probe.so"))
        .arg("-I")
        .arg(here.join("include"))
        .arg(here.join("tests/capi/probe.c"))
        .output()
        .expect("a C compiler");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::copy(here.join("tests/capi/probe.lua"), directory.join("main.lua")).expect("a copy");
    directory
}

#[test]
fn a_module_in_c_sees_what_it_sees_in_the_reference() {
    let directory = module();
    let rjit = Path::new(env!("CARGO_BIN_EXE_rjit"));
    let (plain, status) = run(rjit, &directory, "main.lua", false);
    assert_eq!(status, Some(0), "{plain}");
    let stressed = run(rjit, &directory, "main.lua", true);
    assert_eq!((plain.clone(), status), stressed, "under RJIT_GC_STRESS=1");
    if let Some(reference) = reference() {
        let (want, _) = run(&reference, &directory, "main.lua", false);
        for (i, (w, g)) in want.lines().zip(plain.lines()).enumerate() {
            assert_eq!(w, g, "line {} of the output", i + 1);
        }
        assert_eq!(want.lines().count(), plain.lines().count());
    }
}

#[test]
fn collecting_at_every_safe_point_changes_nothing() {
    let rjit = Path::new(env!("CARGO_BIN_EXE_rjit"));
    let (directory, names) = scripts();
    // The long ones would take minutes: a collection per operation.
    let quick = ["base", "buffers", "debugging", "tables"];
    for name in names.iter().filter(|n| quick.iter().any(|q| n.starts_with(q))) {
        let plain = run(rjit, &directory, name, false);
        let stressed = run(rjit, &directory, name, true);
        assert!(plain == stressed, "{name} under RJIT_GC_STRESS=1");
    }
}
