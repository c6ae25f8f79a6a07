//! The `speedup` binary from outside: what it prints, what it writes, how it fails. The
//! programs run with next to no work; no time is asserted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn speedup(work: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_speedup")).arg("--work").arg(work).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts exit status 2 and one line on standard error that contains `part`.
fn refuses(work: &Path, arguments: &[&str], part: &str) {
    let output = speedup(work, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(part) && !error.contains("panicked"), "{error}");
}

#[test]
fn native_against_native_in_all_forms_of_output() {
    let work = tempfile::tempdir().unwrap();
    let (csv, json) = (work.path().join("x.csv"), work.path().join("x.json"));
    let output = speedup(
        work.path(),
        &[
            "--programs=fib,virt",
            "--levels=O1,O3",
            "--runners=native,native",
            "--runs=2",
            "--scale=0.01",
            "--csv",
            csv.to_str().unwrap(),
            "--json",
            json.to_str().unwrap(),
        ],
    );
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    assert!(table.contains("native#2: ") && table.contains("(geometric mean of 4)"), "{table}");
    assert_eq!(fs::read_to_string(csv).unwrap().lines().count(), 1 + 2 * 2 * 2);
    let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(value["cases"].as_array().unwrap().len(), 4);
    assert_eq!(value["cases"][0]["verdicts"][1]["measured"]["full"].as_array().unwrap().len(), 2);
}

#[test]
fn a_runner_that_lies_is_a_failure_and_the_rest_is_shown() {
    let work = tempfile::tempdir().unwrap();
    let liar = work.path().join("liar");
    fs::write(&liar, "#!/bin/sh\necho 42\n").unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let runners = format!("native,good=env,bad={}", liar.display());
    let output = speedup(
        work.path(),
        &["--programs=fib", "--levels=O2", "--runs=1", "--scale=0.01", "--runners", runners.as_str()],
    );
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("FAILED: fib O2 under bad: another output than natively"), "{table}");
    assert!(table.contains("good: ") && table.contains("bad: nothing measured, 1 failed"), "{table}");
    assert_eq!(fs::read_to_string(work.path().join("kept/fib-O2.bad.stdout")).unwrap(), "42\n");
    assert!(fs::read_to_string(work.path().join("kept/fib-O2.bad.wanted")).unwrap().starts_with("fib "));
}

#[test]
fn whole_processes_are_measured_without_levels() {
    let work = tempfile::tempdir().unwrap();
    let output = speedup(
        work.path(),
        &["--programs=true|shell-loop", "--levels=O1,O2", "--runners=native,env", "--runs=1", "--steady"],
    );
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}");
    assert!(table.contains("(geometric mean of 2)"), "{table}");
}

#[test]
fn without_levels_all_is_against_the_native_o3_binary() {
    let work = tempfile::tempdir().unwrap();
    let arguments = ["--programs=gemm,virt", "--runners=native,run=env", "--runs=1", "--scale=0.01"];
    let output = speedup(work.path(), &arguments);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{table}{}", text(&output.stderr));
    assert!(table.contains("native O1  run O1  native O3  run O3"), "{table}");
    assert!(table.contains("run runs O1 binaries at "), "{table}");
    let compilers = "--cc=gcc,cc";
    let output = speedup(work.path(), &[&arguments[..], &[compilers, "--base=cc-O1"]].concat());
    let table = text(&output.stdout);
    assert!(table.contains("that of native cc-O1") && table.contains("run gcc-O3"), "{table}");
}

#[test]
fn a_program_of_ones_own_and_a_pair_of_them() {
    let work = tempfile::tempdir().unwrap();
    let own = ["--own", "--runs=1", "--runners=native,run=env"];
    let output = speedup(work.path(), &[&own[..], &["--", "sh", "-c", "echo 1; exit 3"]].concat());
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("run: "), "{table}{}", text(&output.stderr));
    let pair = ["--versus", "cat /dev/null", "--", "true"];
    let output = speedup(work.path(), &[&own[..], &pair].concat());
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("that of native cat"), "{table}");
    let random = ["--", "sh", "-c", "echo $$"];
    assert_eq!(speedup(work.path(), &[&own[..], &random].concat()).status.code(), Some(1));
    let output = speedup(work.path(), &[&own[..], &["--ignore-output"], &random].concat());
    assert!(output.status.success());
    refuses(work.path(), &[&own[..], &["--", "/no/such/program"]].concat(), "/no/such/program: not found");
    refuses(work.path(), &["--own"], "<PROGRAM>");
}

#[test]
fn lua_programs_have_interpreters_as_runners() {
    let work = tempfile::tempdir().unwrap();
    let output = speedup(work.path(), &["--lua", "--list"]);
    assert!(text(&output.stdout).lines().any(|l| l == "fib"));
    let arguments = ["--lua", "--programs=fib", "--runs=1", "--runners=a=echo,b=echo"];
    let output = speedup(work.path(), &arguments);
    let table = text(&output.stdout);
    assert!(output.status.success() && table.contains("b: ") && table.contains(" times a's"), "{table}");
    refuses(work.path(), &["--lua", "--programs=no-such"], "no Lua program");
    refuses(work.path(), &["--lua", "--runners=native"], "needs an interpreter");
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    refuses(work, &["--programs=no-such-program"], "no program is called no-such-program");
    refuses(work, &["--programs=("], "--programs (");
    refuses(work, &["--programs=fib", "--class=startup"], "no program is in the classes");
    refuses(work, &["--programs=fib", "--runners=no-such-runner"], "no-such-runner");
    refuses(work, &["--programs=fib", "--runners=native", "--csv=/nonexistent/x.csv"], "/nonexistent/x.csv");
    refuses(work, &["--programs=fib", "--cc=gcc-of-nowhere"], "install the package gcc");
    refuses(work, &["--programs=fib", "--runners=native", "--pin=9999"], "--pin 9999");
    refuses(work, &["--levels=O7"], "a level is O0");
    refuses(work, &["--runners=native", "--base=O2"], "--base O2: it is none of O1, O3");
    refuses(work, &["--runners=native", "--programs=true", "--base=O3"], "true is not compiled");
    refuses(work, &["--scale=-1"], "not a positive number");
    refuses(Path::new("/proc/nowhere"), &["--programs=fib"], "/proc/nowhere");
}

#[test]
fn a_compiler_that_fails_leaves_the_programs_it_can_build() {
    let work = tempfile::tempdir().unwrap();
    let cc = work.path().join("gcc");
    fs::write(&cc, "#!/bin/sh\ncase \"$*\" in *mutual*) echo 'mutual.c: error: no' >&2; exit 1;; esac\nexec gcc \"$@\"\n")
        .unwrap();
    fs::set_permissions(&cc, fs::Permissions::from_mode(0o755)).unwrap();
    let compiler = format!("--cc={}", cc.display());
    let arguments = [
        "--programs=fib,mutual",
        "--levels=O2",
        "--runners=native,env",
        "--runs=1",
        "--scale=0.01",
        &compiler,
    ];
    let output = speedup(work.path(), &arguments);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("not built: mutual O2: gcc … ") && table.contains("mutual.c: error: no"),
        "{table}"
    );
    assert!(table.contains("(geometric mean of 1)"), "{table}");
}

#[test]
fn several_at_once_share_a_work_folder() {
    let work = tempfile::tempdir().unwrap();
    let start = |program: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_speedup"));
        command.arg("--work").arg(work.path()).args(["--runners=native,env", "--runs=20", "--scale=0.01"]);
        command.arg(format!("--programs={program}")).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [start("fib"), start("sorts")];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
    let left: Vec<_> = fs::read_dir(work.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with("run-")), "{left:?}");
}
