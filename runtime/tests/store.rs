//! Translations kept from one process to the next: a program must not notice whether there are any, whatever state
//! they are in.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A directory of the test's own, removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("dynrun-store-{name}-{}", std::process::id()));
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

/// Exercises the shell, children, pipes and a signal handler, with the same output each time.
const SCRIPT: &str =
    "trap 'echo got it' USR1; kill -USR1 $$; for i in 1 2 3; do /bin/echo $i; done | sort -r; exit 7";

fn command(store: &Path, options: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_dynrun"));
    c.arg("--cache-dir").arg(store).args(options).arg("--").env_remove("DYNRUN_NO_PERSIST");
    c
}

fn script(store: &Path, options: &[&str]) -> Output {
    command(store, options).args(["/bin/sh", "-c", SCRIPT]).output().expect("dynrun starts")
}

fn good(out: &Output) {
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "got it\n3\n2\n1\n");
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}

/// Blocks made by the shell itself, and how many of them came from the store.
fn blocks(store: &Path, scratch: &Scratch) -> (u64, u64) {
    let file = scratch.path("stats.json");
    good(&script(store, &[&format!("--stats={}", file.display())]));
    let text = std::fs::read(&file).expect("the file is written");
    let stats: serde_json::Value = serde_json::from_slice(&text).expect("the file is JSON");
    let number = |field: &str| stats["code"][field].as_u64().expect("a number");
    (number("blocks"), number("from_store"))
}

fn images(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store).expect("the store exists");
    let mut all: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    all.sort();
    all
}

/// Waits until files made just now may be kept.
fn settle() {
    std::thread::sleep(Duration::from_millis(2300));
}

#[test]
fn the_second_run_takes_what_the_first_left() {
    let s = Scratch::new("warm");
    let store = s.path("deep/store");
    let (_, cold) = blocks(&store, &s);
    let (made, warm) = blocks(&store, &s);
    assert_eq!(cold, 0);
    assert!(warm > 200 && warm * 10 > made * 9, "{warm} of {made}");
    let all = images(&store);
    assert!(all.len() >= 3, "program, dynamic linker, C library: {all:?}");
    assert!(all.iter().all(|p| p.extension().is_some_and(|e| e == "blocks")), "nothing half made: {all:?}");
    let mode = |p: &Path| p.metadata().expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&store), 0o700);
    assert!(all.iter().all(|p| mode(p) == 0o600));
}

#[test]
fn every_tier_and_exact_code_agree() {
    let s = Scratch::new("tiers");
    let store = s.path("store");
    for options in
        [&["--tier", "block"][..], &["--hot", "2"], &["-O0"], &["--no-aslr"], &["--tier", "interp"]]
    {
        good(&script(&store, options));
        good(&script(&store, options));
    }
    // A handler for faults makes all code exact from then on; bash has one from its start.
    for _ in 0..2 {
        let out = command(&store, &[]).args(["/bin/bash", "-c", SCRIPT]).output().expect("dynrun starts");
        good(&out);
    }
}

#[test]
fn nothing_is_kept_when_told_so() {
    let s = Scratch::new("off");
    let store = s.path("store");
    good(&script(&store, &["--no-persist"]));
    assert!(!store.exists());
}

#[test]
fn a_file_that_changed_is_another_file() {
    let s = Scratch::new("changed");
    let (store, program) = (s.path("store"), s.path("program"));
    let run = || {
        let out = command(&store, &[]).arg(&program).arg("word").output().expect("dynrun starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    std::fs::copy("/bin/echo", &program).expect("a copy");
    settle();
    assert_eq!(run(), (Some(0), "word\n".into()));
    let kept = images(&store).len();
    // The same file, inode and all, with other contents.
    let inode = program.metadata().expect("it exists").ino();
    std::fs::write(&program, std::fs::read("/bin/false").expect("readable")).expect("written");
    assert_eq!(program.metadata().expect("it exists").ino(), inode);
    assert_eq!(run(), (Some(1), String::new()));
    settle();
    assert_eq!(run(), (Some(1), String::new()));
    assert_eq!(run(), (Some(1), String::new()));
    assert_eq!(images(&store).len(), kept, "its image took the place of the old one");
}

#[test]
fn a_new_file_is_not_kept_yet() {
    let s = Scratch::new("young");
    let (store, program) = (s.path("store"), s.path("program"));
    good(&script(&store, &[]));
    let before = images(&store).len();
    std::fs::copy("/bin/echo", &program).expect("a copy");
    let out = command(&store, &[]).arg(&program).output().expect("dynrun starts");
    assert!(out.status.success());
    assert_eq!(images(&store).len(), before);
}

#[test]
fn damaged_images_do_no_harm() {
    let s = Scratch::new("damaged");
    let store = s.path("store");
    good(&script(&store, &[]));
    let originals: Vec<(PathBuf, Vec<u8>)> =
        images(&store).into_iter().map(|p| (p.clone(), std::fs::read(p).expect("readable"))).collect();
    type Damage = fn(&mut Vec<u8>);
    let kinds: [Damage; 7] = [
        |b| b.clear(),
        |b| b.truncate(b.len() / 2),
        |b| b.truncate(100),
        |b| b[8..16].fill(0xff),
        |b| b.iter_mut().skip(128).step_by(97).for_each(|x| *x ^= 0x10),
        |b| b.iter_mut().skip(128).for_each(|x| *x = 0xff),
        |b| b.extend_from_slice(&[0; 4096]),
    ];
    for damage in kinds {
        for (path, bytes) in &originals {
            let mut bytes = bytes.clone();
            damage(&mut bytes);
            std::fs::write(path, bytes).expect("written");
        }
        good(&script(&store, &[]));
    }
    // What was damaged is replaced in the end.
    let (made, warm) = blocks(&store, &s);
    assert!(warm * 2 > made, "{warm} of {made}");
}

#[test]
fn what_others_can_write_is_not_trusted() {
    let s = Scratch::new("trust");
    let store = s.path("store");
    good(&script(&store, &[]));
    let chmod = |p: &Path, mode| {
        std::fs::set_permissions(p, std::fs::Permissions::from_mode(mode)).expect("ours to change");
    };
    chmod(&store, 0o777);
    assert_eq!(blocks(&store, &s).1, 0);
    chmod(&store, 0o700);
    assert!(blocks(&store, &s).1 > 0);
    for p in images(&store) {
        chmod(&p, 0o666);
    }
    assert_eq!(blocks(&store, &s).1, 0);
    // Links are not followed.
    for (i, p) in images(&store).into_iter().enumerate() {
        let elsewhere = s.path(&format!("image-{i}"));
        std::fs::rename(&p, &elsewhere).expect("moved");
        chmod(&elsewhere, 0o600);
        std::os::unix::fs::symlink(&elsewhere, &p).expect("a link");
    }
    assert_eq!(blocks(&store, &s).1, 0);
}

#[test]
fn a_store_that_cannot_be_does_no_harm() {
    let s = Scratch::new("nowhere");
    good(&script(Path::new("/dev/null/store"), &[]));
    good(&script(Path::new("/proc/store"), &[]));
    let file = s.path("file");
    std::fs::write(&file, "contents").expect("written");
    good(&script(&file, &[]));
    assert_eq!(std::fs::read(&file).expect("readable"), b"contents");
}

#[test]
fn many_processes_at_once() {
    let s = Scratch::new("many");
    let store = s.path("store");
    for _ in 0..2 {
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut c = command(&store, &[]);
                c.args(["/bin/sh", "-c", SCRIPT]).stdout(Stdio::piped()).stderr(Stdio::piped());
                c.spawn().expect("dynrun starts")
            })
            .collect();
        for c in children {
            good(&c.wait_with_output().expect("it ends"));
        }
    }
    assert!(images(&store).iter().all(|p| p.extension().is_some_and(|e| e == "blocks")));
    assert!(blocks(&store, &s).1 > 200);
}
