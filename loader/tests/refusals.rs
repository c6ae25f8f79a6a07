//! What a person sees when a program cannot be started: one line, and the exit status a shell gives.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use loader::{Foreign, LoadError, Request, load, resolve};

/// Tests of this file run one by one: a program that is written by one thread while another forks stays open for
/// writing in that child, and then it is "busy".
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn refusal(name: &OsStr, path: Option<&OsStr>) -> Option<LoadError> {
    let path = match resolve(name, path) {
        Ok(path) => path,
        Err(e) => return Some(e),
    };
    let argv = vec![CString::new(name.as_bytes()).expect("no NUL")];
    load(&Request { path, argv, envp: Vec::new(), aslr: true, shell: true, foreign: Foreign::default() })
        .err()
}

/// The status of `bash` asked to run `name`, and whether it complained in one line.
fn by_shell(name: &OsStr, path: &OsStr) -> i32 {
    let mut shell = Command::new("/bin/bash");
    shell.arg("-c").arg("\"$0\"").arg(name).env_clear().env("PATH", path);
    shell.output().expect("bash is installed").status.code().expect("exits")
}

fn write(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changes mode");
    path
}

#[test]
fn as_a_shell_would() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let dir = dir.path();
    let program = std::fs::read("/bin/true").expect("reads");
    let mut other_machine = program.clone();
    other_machine[18..20].copy_from_slice(&243u16.to_le_bytes());
    let mut object = program.clone();
    object[16] = 1;
    let mut lost = program.clone();
    let name = b"/lib64/ld-linux-x86-64.so.2";
    let at = lost.windows(name.len()).position(|w| w == name).expect("is dynamic");
    lost[at + 1] = b'X';

    let cases = [
        dir.join("missing"),
        dir.join("missing/deeper"),
        dir.to_owned(),
        write(dir, "private", 0o644, &program),
        write(dir, "riscv", 0o755, &other_machine),
        write(dir, "object", 0o755, &object),
        write(dir, "lost-interpreter", 0o755, &lost),
        write(dir, "binary", 0o755, b"\0\x01\x02\n"),
        write(dir, "cut", 0o755, &program[..100]),
        write(dir, "script-of-nothing", 0o755, b"#!/nonexistent/sh\n"),
        write(dir, "script-of-directory", 0o755, b"#!/bin\n"),
        dir.join("private/below-a-file"),
        PathBuf::from("/dev/null"),
        PathBuf::from("no-such-command"),
        PathBuf::from("private"),
        PathBuf::from(""),
    ];
    for case in &cases {
        let path = OsStr::new("/usr/bin:/bin").to_owned();
        let path = [path.as_bytes(), b":", dir.as_os_str().as_bytes()].concat();
        let path = OsStr::from_bytes(&path);
        let error = refusal(case.as_os_str(), Some(path)).unwrap_or_else(|| panic!("{case:?} was loaded"));
        let text = error.to_string();
        println!("{text}");
        assert!(!text.contains('\n') && !text.contains("os error"), "{text}");
        assert!(text.starts_with(&*case.to_string_lossy()) || text.contains("private"), "{text}");
        assert_eq!(error.exit_status(), by_shell(case.as_os_str(), path), "{text}");
        assert!(!error.kills(), "{text}");
    }
}

#[test]
fn what_the_kernel_kills() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = std::fs::read("/bin/true").expect("reads");
    let path = write(dir.path(), "cut", 0o755, &program[..4096]);
    let error = refusal(path.as_os_str(), None).expect("is refused");
    assert!(error.kills(), "{error}");
    assert_eq!(error.exit_status(), 126);
}

#[test]
fn path_lookup() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for d in [&one, &two] {
        std::fs::create_dir(d).expect("creates");
    }
    let path = [one.as_os_str().as_bytes(), b"::", two.as_os_str().as_bytes()].concat();
    let find = |name: &str| resolve(OsStr::new(name), Some(OsStr::from_bytes(&path)));
    write(&one, "both", 0o644, b"#!/bin/sh\n");
    let second = write(&two, "both", 0o755, b"#!/bin/sh\n");
    std::fs::create_dir(one.join("directory")).expect("creates");
    assert_eq!(find("both"), Ok(second));
    let private = write(&one, "private", 0o644, b"");
    assert_eq!(find("private"), Err(LoadError::NotExecutable { path: private }));
    assert_eq!(find("directory"), Err(LoadError::NotFound { name: "directory".into() }));
    assert_eq!(find("./x/y"), Ok(PathBuf::from("./x/y")));
    assert_eq!(find("Cargo.toml"), Err(LoadError::NotExecutable { path: PathBuf::from("./Cargo.toml") }));
    assert_eq!(resolve(OsStr::new("true"), None), Ok(PathBuf::from("/usr/bin/true")));
}

#[test]
fn too_many_arguments() {
    let _alone = alone();
    let long = CString::new(vec![b'x'; 128 << 10]).expect("no NUL");
    let request = |argv: Vec<CString>| Request {
        path: "/bin/true".into(),
        argv,
        envp: Vec::new(),
        aslr: true,
        shell: false,
        foreign: Foreign::default(),
    };
    let error = load(&request(vec![c"true".into(), long])).expect_err("one string is too long");
    assert_eq!(error.errno(), libc::E2BIG);
    let error = load(&request(vec![c"0123456789".into(); 1 << 20])).expect_err("all together are too long");
    assert_eq!(error.errno(), libc::E2BIG);
    let image = load(&request(vec![c"0123456789".into(); 1 << 15])).expect("fits");
    assert_eq!(image.stack_pointer.0 % 16, 0);
}
