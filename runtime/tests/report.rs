//! What `dynrun` reports when asked, and that asking changes nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of the test's own, removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("dynrun-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for files");
        Scratch(dir)
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dynrun(options: &[&str], script: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dynrun"))
        .args(options)
        .args(["--", "/bin/sh", "-c", script])
        .output()
        .expect("dynrun starts")
}

fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).expect("the file is written");
    serde_json::from_slice(&text).expect("the file is JSON")
}

#[test]
fn statistics_of_each_process() {
    let dir = Scratch::new("stats");
    let file = dir.path("stats.json");
    let out = dynrun(&[&format!("--stats={}", file.display())], "/bin/true; /bin/echo out; exit 3");
    assert_eq!(out.status.code(), Some(3));
    assert_eq!(out.stdout, b"out\n");
    assert_eq!(out.stderr, b"");
    let first = json(&file);
    assert!(first["code"]["blocks"].as_u64().unwrap_or(0) > 100);
    assert!(first["exits"]["system_calls"].as_u64().unwrap_or(0) > 10);
    assert!(first["memory"]["peak_bytes"].as_u64().unwrap_or(0) > 1 << 20);
    for field in ["cache_ms", "translate_ms", "dispatch_ms"] {
        assert!(first["time"][field].as_f64().is_some_and(|ms| ms > 0.0), "{field}");
    }
    let children: Vec<PathBuf> = std::fs::read_dir(&dir.0)
        .expect("the directory is there")
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| *p != file)
        .collect();
    assert!(children.len() >= 2, "one file for each child: {children:?}");
    for c in children {
        assert!(json(&c)["program"].is_string());
    }
}

#[test]
fn the_table_appears_though_the_program_closes_its_standard_error() {
    let out = dynrun(&["--stats"], "exec 2>&-; exit 4");
    assert_eq!(out.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&out.stderr).contains("peak memory"));
}

#[test]
fn files_that_cannot_be_written_cost_one_line_each() {
    for option in ["--stats=/nonexistent/x", "--events=/nonexistent/x"] {
        let out = dynrun(&[option], "echo out; exit 5");
        assert_eq!(out.status.code(), Some(5));
        assert_eq!(out.stdout, b"out\n");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            text.starts_with("dynrun: cannot write /nonexistent/x") && text.lines().count() == 1,
            "{text}"
        );
    }
    let out = dynrun(&["--log", "=="], "exit 6");
    assert_eq!(out.status.code(), Some(6));
    assert_eq!(String::from_utf8_lossy(&out.stderr).lines().count(), 1);
}

#[test]
fn events_and_dumps() {
    let dir = Scratch::new("events");
    let file = dir.path("events");
    let options = [&format!("--events={}", file.display()), "--dump=all"];
    let out = dynrun(&options, "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done");
    assert!(out.status.success());
    let text = std::fs::read_to_string(&file).expect("the log is written");
    let kinds: Vec<String> = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("each line is JSON"))
        .filter_map(|v| Some(v["kind"].as_str()?.to_owned()))
        .collect();
    assert!(kinds.iter().any(|k| k == "block") && kinds.iter().any(|k| k == "trace"));
    let dump = String::from_utf8_lossy(&out.stderr).into_owned();
    for part in ["block f", "trace f", "  guest\n", "  host, ", "  exits\n", "linked to f"] {
        assert!(dump.contains(part), "{part}");
    }
}

#[test]
fn what_is_executed_is_followed_with_its_environment() {
    let script = "LD_BIND_NOW=1 DYNRUN_O=9 RUST_LOG=x env | grep -cE '^(LD_BIND_NOW=1|DYNRUN_O=9|RUST_LOG=x)$'; \
                  readlink /proc/self/exe; exec cat /proc/self/comm";
    let out = dynrun(&[], script);
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "3");
    assert!(lines[1].ends_with("/readlink"), "{text}");
    assert_eq!(lines[2], "cat");
}

#[test]
fn statistics_of_a_process_that_a_signal_ends() {
    use std::os::unix::process::ExitStatusExt;
    let dir = Scratch::new("killed");
    // By itself, and by a child while it is in a system call or in a loop.
    let scripts = [
        "kill -TERM $$",
        "(kill -INT $$) & wait; while :; do :; done",
        "kill -QUIT $$",
        "trap '' TERM; kill -TERM $$; kill -HUP $$",
    ];
    for (script, signal) in scripts.into_iter().zip([15, 2, 3, 1]) {
        let file = dir.path(&format!("{signal}.json"));
        let limited = format!("ulimit -c 0; {script}");
        let out = dynrun(&[&format!("--stats={}", file.display())], &limited);
        assert_eq!(out.status.signal(), Some(signal), "{script}");
        assert!(json(&file)["code"]["blocks"].as_u64().unwrap_or(0) > 100, "{script}");
    }
}
