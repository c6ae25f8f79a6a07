//! Links `dynrun` statically against the C library where that is possible: half of what a small program takes under it
//! would else be the dynamic linker at work on `dynrun` itself.
//!
//! Cargo can ask for a static C library for all crates of a build or for none (`crt-static`), and for all means
//! procedural macros, which must be dynamic. So the libraries that rustc names are found elsewhere first: in a directory
//! whose `libc.a` and so on are linker scripts that lead to the static ones; `-static-pie` does the rest. When the C compiler
//! finds no static libraries, `dynrun` is linked dynamically as usual.
//!
//! What a process touches of its own file counts as its memory, and is mapped 64 KiB at a time. So the code that every
//! process runs is put together ([`FIRST`]), and relocations are packed where the C library's start-up code can unpack them.

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

/// Code that every process runs, by the beginnings of its mangled names.
const FIRST: [&str; 26] = [
    "_ZN6dynrun5alloc",
    "_ZN6dynrun6assume",
    "_ZN6dynrun7codemap",
    "_ZN6dynrun8dispatch",
    "_ZN6dynrun5enter",
    "_ZN6dynrun7process",
    "_ZN6dynrun5quick",
    "_ZN6dynrun6report",
    "_ZN6dynrun6signal",
    "_ZN6dynrun5start",
    "_ZN6dynrun5stubs",
    "_ZN6dynrun5store",
    "_ZN6dynrun7syscall",
    "_ZN6dynrun6thread",
    "_ZN6dynrun9translate",
    "_ZN9fragcache",
    "_ZN6loader",
    "_ZN6goblin",
    "_ZN8dlmalloc",
    "_ZN9hashbrown",
    "_ZN5alloc7raw_vec",
    "_ZN5alloc3vec",
    "_ZN3std3env",
    "_ZN3std3sys",
    "_ZN3std2io",
    "_ZN3std4path",
];

/// The linker script that puts [`FIRST`] in front of the other code.
fn order(dir: &Path) -> std::io::Result<PathBuf> {
    let names: Vec<String> = FIRST.iter().map(|n| format!(".text.{n}*")).collect();
    let path = dir.join("order.ld");
    let text =
        format!("SECTIONS\n{{\n  .text.first : {{ *({}) }}\n}}\nINSERT BEFORE .text;\n", names.join(" "));
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
