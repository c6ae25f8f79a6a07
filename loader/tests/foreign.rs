//! Programs for AArch64: what is mapped and what they are told. The compiler of the package `gcc-aarch64-linux-gnu` makes them;
//! without it there is nothing to test, unless `E2E_REQUIRE_ALL=1`.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use loader::{Arch, Foreign, Image, Kind, LoadError, Request, check, load};

/// Where `libc6-dev-arm64-cross` has the linker and libraries.
const SYSROOT: &str = "/usr/aarch64-linux-gnu";
const HWCAP: u64 = 0x183;

/// Builds a program; `None` without a compiler.
fn build(dir: &Path, name: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = dir.join("program.c");
    std::fs::write(&source, "int main(void) { return 3; }\n").expect("writes");
    let program = dir.join(name);
    let result =
        Command::new("aarch64-linux-gnu-gcc").args(flags).arg("-o").arg(&program).arg(&source).output();
    match result {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
        Err(e) => {
            assert!(std::env::var_os("E2E_REQUIRE_ALL").is_none(), "aarch64-linux-gnu-gcc: {e}");
            eprintln!("note: not tested, aarch64-linux-gnu-gcc: {e}");
            None
        }
    }
}

fn request(path: &Path, sysroot: Option<&str>) -> Request {
    let argv = vec![CString::new(path.as_os_str().as_bytes()).expect("no zeros")];
    let foreign = Foreign { sysroot: sysroot.map(PathBuf::from), hwcap: HWCAP };
    Request { path: path.to_owned(), argv, envp: Vec::new(), aslr: true, shell: false, foreign }
}

fn told(image: &Image, kind: u64) -> Option<u64> {
    image.auxv.iter().find(|entry| entry.0 == kind).map(|entry| entry.1)
}

/// What holds of each program.
fn examine(image: &Image) {
    assert_eq!(image.arch, Arch::AArch64);
    assert_eq!(told(image, libc::AT_HWCAP), Some(HWCAP));
    assert_eq!(told(image, libc::AT_HWCAP2).unwrap_or(0), 0);
    assert_eq!(told(image, libc::AT_SYSINFO_EHDR).unwrap_or(0), 0, "no vdso");
    assert_eq!(told(image, libc::AT_ENTRY), Some(image.program_entry.0));
    assert_eq!(told(image, libc::AT_BASE), Some(image.interp_base.0));
    assert!(told(image, 51).is_some_and(|size| size >= 4688), "AT_MINSIGSTKSZ");
    let platform = told(image, libc::AT_PLATFORM).expect("is there");
    // SAFETY: the loader has put a string there, which stays.
    let platform = unsafe { std::ffi::CStr::from_ptr(platform as *const libc::c_char) };
    assert_eq!(platform, c"aarch64");
    let holds = |m: &loader::Mapping| m.start <= image.entry && image.entry < m.end;
    let code = image.mappings.iter().find(|m| holds(m)).expect("the entry is mapped");
    assert_ne!(code.prot & libc::PROT_EXEC, 0);
}

#[test]
fn static_programs() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let Some(fixed) = build(dir.path(), "fixed", &["-static", "-no-pie"]) else { return };
    assert_eq!(check(&fixed, None), Ok(Kind::Elf(Arch::AArch64)));
    match load(&request(&fixed, None)) {
        Ok(image) => {
            examine(&image);
            assert_eq!(image.entry, image.program_entry);
        }
        // Its addresses are taken in the test's process.
        Err(LoadError::Occupied { .. }) => {}
        Err(e) => panic!("{e}"),
    }
    let pie = build(dir.path(), "pie", &["-static-pie"]).expect("there is a compiler");
    let image = load(&request(&pie, None)).expect("loads");
    examine(&image);
    assert_eq!(image.interp_base.0, 0);
}

#[test]
fn a_dynamic_program_finds_its_interpreter_below_the_root() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let Some(program) = build(dir.path(), "dynamic", &["-pie"]) else { return };
    let image = load(&request(&program, Some(SYSROOT))).expect("loads");
    examine(&image);
    assert_ne!(image.interp_base.0, 0);
    assert_ne!(image.entry, image.program_entry);
    assert_eq!(check(&program, Some(Path::new(SYSROOT))), Ok(Kind::Elf(Arch::AArch64)));
    // Elsewhere nothing is found but what the machine has itself.
    if !Path::new("/lib/ld-linux-aarch64.so.1").exists() {
        let error = check(&program, Some(dir.path())).expect_err("has no interpreter");
        assert_eq!(error.errno(), libc::ENOENT);
        assert!(error.to_string().contains("ld-linux-aarch64"), "{error}");
    }
}

#[test]
fn an_interpreter_for_another_machine_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let linker = "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2";
    let Some(program) = build(dir.path(), "mixed", &["-pie", linker]) else { return };
    let error = load(&request(&program, None)).expect_err("is refused");
    assert!(matches!(error, LoadError::BadInterpreter { .. }), "{error}");
}
