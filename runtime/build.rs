//! Links `dynrun` statically against the C library where that is possible: half of what a small program takes under it
//! would else be the dynamic linker at work on `dynrun` itself.
//!
//! Cargo can ask for a static C library for all crates of a build or for none (`crt-static`), and for all means
//! procedural macros, which must be dynamic. So the libraries that rustc names are found elsewhere first: in a directory
//! whose `libc.a` and so on are linker scripts that lead to the static ones; `-static-pie` does the rest. When the C compiler
//! finds no static libraries, `dynrun` is linked dynamically as usual.

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
        println!("cargo:rustc-cfg=static_libc");
    }
}
