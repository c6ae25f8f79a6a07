//! Links `dynrun` statically against the C library where that is possible: half of what a small program takes under it
//! would else be the dynamic linker at work on `dynrun` itself.
//!
//! Cargo can ask for a static C library for all crates of a build or for none (`crt-static`), and for all means
//! procedural macros, which must be dynamic. So the libraries that rustc names are found elsewhere first: in a directory
//! whose `libc.a` and so on are linker scripts that lead to the static ones; `-static-pie` does the rest. When the C compiler
//! finds no static libraries, `dynrun` is linked dynamically as usual.
//!
//! What a process touches of its own file counts as its memory, and is mapped 64 KiB at a time. So functions that are
//! executed are put together, in the order of `order.txt` ([`order`]), and relocations are packed where the C library's
//! start-up code can unpack them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What rustc links a program of this platform with, and what stands in for it.
const LIBRARIES: [(&str, &str); 7] = [
    ("gcc_s", "gcc_eh"),
    ("c", "c"),
    ("m", "m"),
    ("rt", "rt"),
    ("pthread", "pthread"),
    ("util", "util"),
    ("dl", "dl"),
];

/// Members of the C library that are executed, by the beginnings of their names.
const OF_LIBC: [&str; 46] = [
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "strlen",
    "strchr",
    "strcmp",
    "strncmp",
    "strrchr",
    "cacheinfo",
    "cpu_features",
    "libc-start",
    "libc-tls",
    "libc_early_init",
    "init-first",
    "cxa_atexit",
    "getenv",
    "dl-",
    "malloc",
    "getrandom",
    "clock_gettime",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getpid",
    "getauxval",
    "getrlimit64",
    "personality",
    "stat",
    "fstat",
    "open64",
    "close",
    "read",
    "pread64",
    "lseek64",
    "brk",
    "sbrk",
    "syscall",
    "mmap64",
    "munmap",
    "mprotect",
    "madvise",
    "prctl",
    "mremap",
    "sigaltstack",
];

/// The linker script that puts what is executed in front of the other code: first what every process executes, then what those do
/// that record and compile. `cargo xtask order` measures which functions those are and writes them to `order.txt`; one
/// that is missing there, or is no more, does no harm.
fn order(dir: &Path) -> std::io::Result<PathBuf> {
    let list = std::fs::read_to_string("order.txt")?;
    let functions = list.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut text = String::from("SECTIONS\n{\n  .text.first : {\n");
    for member in OF_LIBC {
        text += &format!("    *libc.a:{member}*.o(.text .text.*)\n");
    }
    for function in functions {
        text += &format!("    *(.text.{function} .text.unlikely.{function})\n");
    }
    text += "  }\n}\nINSERT BEFORE .text;\n";
    let path = dir.join("order.ld");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Whether the C library relocates itself from packed relocations: glibc 2.36.
fn unpacks() -> bool {
    let Ok(out) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let text = String::from_utf8_lossy(&out.stdout);
    let mut numbers = text.trim().trim_start_matches("glibc ").split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(2)), Some(Ok(minor))) if minor >= 36)
}

/// Where the C compiler finds the static library `name`.
fn find(name: &str) -> Option<PathBuf> {
    let out = Command::new("cc").arg(format!("-print-file-name=lib{name}.a")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

/// Writes the scripts; `None` when a library is missing.
fn write(dir: &Path) -> Option<()> {
    find("c")?;
    for (name, instead) in LIBRARIES {
        let library = find(instead)?;
        std::fs::write(dir.join(format!("lib{name}.a")), format!("INPUT({})\n", library.display())).ok()?;
    }
    Some(())
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=order.txt");
    println!("cargo:rerun-if-env-changed=DYNRUN_DYNAMIC");
    println!("cargo:rustc-check-cfg=cfg(static_libc)");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let platform = variable("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && variable("TARGET") == variable("HOST");
    if !platform || std::env::var_os("DYNRUN_DYNAMIC").is_some() {
        return;
    }
    let dir = PathBuf::from(variable("OUT_DIR"));
    if write(&dir).is_some() {
        println!("cargo:rustc-link-arg-bins=-L{}", dir.display());
        println!("cargo:rustc-link-arg-bins=-static-pie");
        if unpacks() {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
        if let Ok(script) = order(&dir) {
            println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
        }
        println!("cargo:rustc-cfg=static_libc");
    }
}
