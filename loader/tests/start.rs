//! Loaded programs run: an image made by [`loader::load`] in a forked child, entered by a plain jump, behaves as
//! the same program started by the kernel.
//!
//! Nothing of the translator takes part; what is proved is that mappings, stack and auxiliary vector are what the
//! dynamic linker, the C library and the program expect.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};

use loader::{Foreign, Image, LoadError, Request, load};

/// In the order in which `Command` passes them on.
const ENV: [(&str, &str); 3] = [("LC_ALL", "C"), ("MARK", "a b=c"), ("PATH", "/usr/bin:/bin")];

/// Tests of this file run one by one: a program that is written by one thread while another forks stays open for
/// writing in that child, and then it is "busy".
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn c(text: impl AsRef<OsStr>) -> CString {
    CString::new(text.as_ref().as_bytes()).expect("no NUL in tests")
}

fn request(path: &Path, args: &[&str], aslr: bool) -> Request {
    let argv = std::iter::once(c(path)).chain(args.iter().map(c)).collect();
    let envp = ENV.iter().map(|(name, value)| c(format!("{name}={value}"))).collect();
    Request { path: path.to_owned(), argv, envp, aslr, shell: false, foreign: Foreign::default() }
}

/// Gives the thread to the guest.
fn enter(image: &Image) -> ! {
    // SAFETY: the child of a fork has nothing to lose. The image is complete, so its entry and stack are what a new
    // program expects; rdx = 0 says that there is nothing to run at exit.
    unsafe {
        std::arch::asm!(
            "mov rsp, {sp}",
            "xor ebp, ebp",
            "xor edx, edx",
            "jmp {entry}",
            sp = in(reg) image.stack_pointer.0,
            entry = in(reg) image.entry.0,
            options(noreturn)
        )
    }
}

fn by_kernel(path: &Path, args: &[&str]) -> Output {
    Command::new(path).args(args).env_clear().envs(ENV).output().expect("starts")
}

fn by_loader(path: &Path, args: &[&str], aslr: bool) -> Output {
    let request = request(path, args, aslr);
    let mut command = Command::new("/nonexistent");
    command.stdin(Stdio::null());
    // SAFETY: the closure runs in the forked child, which never returns to the test. It allocates, which the
    // allocator of this system allows after fork.
    unsafe {
        command.pre_exec(move || match load(&request) {
            Ok(image) => enter(&image),
            Err(e) => {
                eprintln!("{e}");
                Err(std::io::Error::from_raw_os_error(e.errno()))
            }
        })
    };
    command.output().expect("loads")
}

fn same(path: impl AsRef<Path>, args: &[&str]) {
    let path = path.as_ref();
    let expected = by_kernel(path, args);
    for aslr in [true, false] {
        let got = by_loader(path, args, aslr);
        assert_eq!(got, expected, "{} {args:?} (aslr: {aslr})", path.display());
    }
}

/// A directory for programs that the tests build. Compiles `source` with `flags`.
fn compile(dir: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let file = dir.join(format!("{name}.c"));
    std::fs::write(&file, source).expect("writes");
    let program = dir.join(name);
    let status = Command::new("gcc")
        .arg(&file)
        .arg("-o")
        .arg(&program)
        .args(flags)
        .status()
        .expect("gcc is installed");
    assert!(status.success());
    program
}

#[test]
fn dynamic_programs() {
    let _alone = alone();
    same("/bin/true", &[]);
    same("/bin/false", &[]);
    same("/bin/echo", &["hello", "", "wörld"]);
    same("/usr/bin/env", &[]);
    same(
        "/usr/bin/python3",
        &["-c", "import sys, os; print(1, sys.argv, dict(os.environ)); sys.exit(3)", "x"],
    );
}

const REPORT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
static char zeros[100000];
static int data = 42;
int main(int argc, char **argv, char **envp) {
    for (unsigned i = 0; i < sizeof zeros; i++) if (zeros[i]) return 9;
    for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
    for (char **e = envp; *e; e++) printf("env %s\n", *e);
    unsigned long kinds[] = {AT_HWCAP, AT_HWCAP2, AT_PAGESZ, AT_CLKTCK, AT_PHENT, AT_PHNUM, AT_FLAGS,
        AT_UID, AT_EUID, AT_GID, AT_EGID, AT_SECURE, 51};
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) printf("%lu: %lu\n", kinds[i], getauxval(kinds[i]));
    printf("%s %s\n", (char *)getauxval(AT_PLATFORM), (char *)getauxval(AT_EXECFN));
    /* The order of the vector, less AT_RSEQ_* which a guest is not told. */
    char **p = envp; while (*p) p++;
    for (unsigned long *a = (unsigned long *)(p + 1); ; a += 2) {
        if (*a != 27 && *a != 28) printf("%lu ", *a);
        if (!*a) break;
    }
    /* Strings are contiguous up to the end of the stack. */
    char *last = (char *)getauxval(AT_EXECFN);
    printf("\n%d %d\n", (int)(argv[0] + strlen(argv[0]) + 1 == (argc > 1 ? argv[1] : envp[0])),
        (int)(((unsigned long)last + strlen(last) + 9) % 4096));
    printf("%d %d\n", data, *(char *)getauxval(AT_PHDR) == 6);
    char *big = malloc(50 << 20); memset(big, 1, 50 << 20); free(big);
    char deep[1 << 20]; memset(deep, 1, sizeof deep);
    return deep[argc] + 4;
}
"#;

#[test]
fn every_kind_of_executable() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let kinds: [(&str, &[&str]); 6] = [
        ("pie", &["-pie", "-fPIE"]),
        ("fixed", &["-no-pie"]),
        ("static", &["-static"]),
        ("static-pie", &["-static-pie", "-fPIE"]),
        ("aligned", &["-pie", "-Wl,-z,max-page-size=0x200000"]),
        ("together", &["-static", "-Wl,-z,noseparate-code"]),
    ];
    for (name, flags) in kinds {
        let program = compile(dir.path(), name, REPORT, flags);
        same(&program, &[]);
        same(&program, &["one", "two words"]);
    }
}

#[test]
fn the_dynamic_linker_itself() {
    let _alone = alone();
    same("/lib64/ld-linux-x86-64.so.2", &["/bin/echo", "through the linker"]);
}

#[test]
fn executable_stack() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let source = r#"
        int main(void) { char code[] = {0xb8, 7, 0, 0, 0, 0xc3}; return ((int (*)(void))code)(); }
    "#;
    let program = compile(dir.path(), "stack", source, &["-z", "execstack"]);
    same(&program, &[]);
    assert_eq!(by_loader(&program, &[], true).status.code(), Some(7));
}

#[test]
fn a_stack_grows_to_its_limit_and_no_further() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let source = r#"
        #include <stdlib.h>
        #include <sys/resource.h>
        __attribute__((noinline)) static int down(int n) {
            volatile char room[4096]; room[0] = n;
            return n ? down(n - 1) + room[0] % 2 * 0 : 0;
        }
        int main(int argc, char **argv) { return down(atoi(argv[1])); }
    "#;
    let program = compile(dir.path(), "deep", source, &["-O0"]);
    same(&program, &["1500"]);
    same(&program, &["100000"]);
}

#[test]
fn scripts() {
    let _alone = alone();
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changes mode");
        path
    };
    same(write("plain", "#!/bin/sh\necho $0 \"$@\"; exit 5\n"), &["a", "b c"]);
    same(write("argument", "#! /bin/echo -e  x y \n"), &["a"]);
    same(write("env", "#!/usr/bin/env python3\nimport sys; print(sys.argv)\n"), &["q"]);
    let mut previous = write("level1", "#!/bin/echo one\n");
    for level in 2..=5 {
        previous = write(&format!("level{level}"), &format!("#!{} arg{level}\n", previous.display()));
        same(&previous, &["end"]);
    }
    let last = write("level6", &format!("#!{}\n", previous.display()));
    assert!(matches!(load(&request(&last, &[], true)), Err(LoadError::TooManyInterpreters { .. })));
    let text = write("text", "echo from sh: $0 $1\n");
    let got = load(&request(&text, &["x"], true));
    assert_eq!(got.expect_err("is no program").errno(), libc::ENOEXEC);
    let image = load(&Request { shell: true, ..request(&text, &["x"], true) }).expect("runs by sh");
    assert_eq!(image.argv, [c("/bin/sh"), c(&text), c("x")]);
}
