//! Damaged programs: what the kernel refuses we refuse with the same error number, what it kills on the way we
//! know it kills, what it starts we load. And nothing makes the loader panic.
//!
//! One test in one process: a file that is written by one thread while another forks would be "busy" to the kernel.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use loader::{Arch, Foreign, Kind, LayoutFault, LoadError, Request, check, load};

/// Files per run; the seed is fixed, so that a failure can be had again.
const ROUNDS: u64 = 2500;

/// What became of a program up to its first instruction.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    Starts,
    /// The error number of `execve`.
    Refused(i32),
    /// Died by SIGSEGV inside `execve`.
    Killed,
    /// Cannot be compared: a limit of ours, or the machine has no memory left.
    Unclear,
    Panics,
}

/// Exit codes by which the forked child tells its fate.
const KILLED: i32 = 200;
const UNCLEAR: i32 = 201;
const PANICS: i32 = 202;

/// Runs `action` in a forked child, which leaves by its result unless it has become another program.
fn in_child(action: impl FnOnce() -> i32) -> Fate {
    // SAFETY: this process has one busy thread; the child only allocates, makes system calls and leaves.
    match unsafe { libc::fork() } {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)).unwrap_or(PANICS);
            // SAFETY: leaves at once.
            unsafe { libc::_exit(code) }
        }
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        pid => {
            let mut status = 0;
            // SAFETY: pid is the child just made.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            if libc::WIFSTOPPED(status) {
                let signal = libc::WSTOPSIG(status);
                // SAFETY: the child has stopped; it is ended and waited for.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &raw mut status, 0);
                }
                // It starts by a trap; a fault inside execve shows as the signal.
                return if signal == libc::SIGTRAP { Fate::Starts } else { Fate::Killed };
            }
            match libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)) {
                Some(0) => Fate::Starts,
                Some(KILLED) => Fate::Killed,
                Some(UNCLEAR) => Fate::Unclear,
                Some(PANICS) => Fate::Panics,
                Some(errno) => Fate::Refused(errno),
                None => Fate::Killed,
            }
        }
    }
}

fn by_kernel(path: &Path) -> Fate {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    in_child(|| {
        let argv = [name.as_ptr(), std::ptr::null()];
        // SAFETY: all strings live through the calls. A traced program stops at its first instruction.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::execve(name.as_ptr(), argv.as_ptr(), argv[1..].as_ptr().cast());
        }
        std::io::Error::last_os_error().raw_os_error().unwrap_or(PANICS)
    })
}

fn code_of(error: &LoadError) -> i32 {
    // The kernel may run programs for 32-bit x86 (machines 3 and 6).
    if error.is_our_limit() || matches!(error, LoadError::WrongMachine { machine: 3 | 6, .. }) {
        UNCLEAR
    } else if error.kills() {
        KILLED
    } else {
        error.errno()
    }
}

fn by_loader(path: &Path) -> Fate {
    in_child(|| {
        let argv = vec![CString::new(path.as_os_str().as_bytes()).unwrap_or_default()];
        let request = Request {
            path: path.to_owned(),
            argv,
            envp: Vec::new(),
            aslr: true,
            shell: false,
            foreign: Foreign::default(),
        };
        match load(&request) {
            Ok(image) if image.arch != Arch::HOST => UNCLEAR,
            Ok(_) => 0,
            // The difference that `elf` documents.
            Err(LoadError::Malformed { why: LayoutFault::OutOfRange, path: file }) if file != path => UNCLEAR,
            Err(e) => code_of(&e),
        }
    })
}

fn by_check(path: &Path) -> Fate {
    in_child(|| match check(path, None) {
        Ok(kind) if matches!(kind.program(), Kind::OtherArch(_)) => libc::ENOEXEC,
        Ok(_) => 0,
        Err(e) => code_of(&e),
    })
}

/// Compares all three on one file. `Err` describes a difference.
fn compare(path: &Path) -> Result<Fate, String> {
    let (kernel, loader, check) = (by_kernel(path), by_loader(path), by_check(path));
    let check_expected = if kernel == Fate::Killed { Fate::Starts } else { kernel };
    if kernel == loader && check == check_expected || loader == Fate::Unclear {
        Ok(kernel)
    } else {
        Err(format!("kernel: {kernel:?}, load: {loader:?}, check: {check:?}"))
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
}

/// Damages the headers of an ELF file, or cuts it off; says how.
fn damage(file: &mut Vec<u8>, random: &mut Random) -> String {
    let phnum = u64::from(file[56]);
    let interesting = [
        0,
        1,
        2,
        0xfff,
        0x1000,
        0x1001,
        0x20_0000,
        0x7fff_ffff,
        0xffff_ffff,
        0x7fff_ffff_efff,
        0x7fff_ffff_f000,
        0x8000_0000_0000,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX - 0xfff,
        u64::MAX,
    ];
    let mut what = String::new();
    for _ in 0..=random.below(3) {
        let phdr = 64 + 56 * random.below(phnum);
        let (at, size) = match random.below(8) {
            0 => (random.below(64), 1),
            1 => (16 + 2 * random.below(2), 2),
            2 => ([24, 32][random.below(2) as usize], 8),
            3 => (52 + 2 * random.below(3), 2),
            4 => (phdr + 4 * random.below(2), 4),
            5 => {
                let len = [0, 63, 64, 120, 1000, 0x1000, 0x1fff, 0x2001, random.below(file.len() as u64)];
                let len = len[random.below(len.len() as u64) as usize];
                if len >= 64 && (len as usize) < file.len() {
                    file.truncate(len as usize);
                    what += &format!("cut to {len}; ");
                }
                continue;
            }
            _ => (phdr + 8 + 8 * random.below(6), 8),
        };
        let Some(field) = file.get_mut(at as usize..(at + size) as usize) else { continue };
        let mut old = [0; 8];
        old[..size as usize].copy_from_slice(field);
        let old = u64::from_le_bytes(old);
        let new = match random.below(4) {
            0 => interesting[random.below(interesting.len() as u64) as usize],
            1 => old.wrapping_add(random.below(9)).wrapping_sub(4),
            2 => old ^ (1 << random.below(size * 8)),
            _ => random.next() >> random.below(64),
        };
        field.copy_from_slice(&new.to_le_bytes()[..size as usize]);
        what += &format!("{size} bytes at {at}: {old:#x} -> {new:#x}; ");
    }
    what
}

fn write(path: &Path, bytes: &[u8]) {
    // A new file each time: mappings of the old one may live on.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).expect("writes");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("changes mode");
}

fn build(dir: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let source = dir.join("source.c");
    std::fs::write(&source, "static char room[10000]; int main(void) { return room[5]; }").expect("writes");
    let program = dir.join(name);
    let status = Command::new("gcc").arg(&source).arg("-o").arg(&program).args(flags).status();
    assert!(status.expect("gcc is installed").success());
    program
}

/// An entry point far behind the image is in bounds or not, depending on the random address of the image, which for
/// our side stays the same as long as this process lives. It is moved out of bounds for good.
fn settle(file: &mut [u8]) {
    const ENTRY: std::ops::Range<usize> = 24..32;
    if let Some(field) = file.get_mut(ENTRY) {
        let mut entry = u64::from_le_bytes(field.try_into().expect("eight bytes"));
        if (1 << 32..1 << 47).contains(&entry) {
            entry |= 1 << 47;
        }
        field.copy_from_slice(&entry.to_le_bytes());
    }
}

#[test]
fn damaged_files_meet_the_same_fate_as_with_the_kernel() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dir = dir.path();
    let originals = [
        build(dir, "pie", &["-pie", "-fPIE", "-s"]),
        build(dir, "fixed", &["-no-pie", "-s"]),
        build(dir, "static-pie", &["-static-pie", "-fPIE", "-s"]),
        build(dir, "static", &["-static", "-s"]),
    ]
    .map(|path| std::fs::read(path).expect("reads"));
    let linker = std::fs::read("/lib64/ld-linux-x86-64.so.2").expect("reads");
    let victim = dir.join("victim");
    let mut differences = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    // Addresses are random, and with them whether sums of addresses stay in bounds. A real difference persists.
    let persistent =
        |path: &Path| (0..9).map(|_| compare(path)).find(Result::is_ok).unwrap_or_else(|| compare(path));
    let mut note = |what: String, path: &Path| match persistent(path) {
        Ok(fate) => *seen.entry(format!("{fate:?}")).or_insert(0) += 1,
        Err(difference) => differences.push(format!("{what}: {difference}")),
    };

    for round in 0..ROUNDS {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (round * 0x1234_5677));
        for _ in 0..4 {
            random.next();
        }
        let which = random.below(originals.len() as u64) as usize;
        let mut file = originals[which].clone();
        let what = damage(&mut file, &mut random);
        settle(&mut file);
        write(&victim, &file);
        note(format!("round {round}, original {which}: {what}"), &victim);
    }

    // A good program with a damaged interpreter of the same path length as the real one.
    let interpreter = format!("/tmp/.ld-{:018}", std::process::id());
    let real = b"/lib64/ld-linux-x86-64.so.2\0";
    let at = originals[0].windows(real.len()).position(|w| w == real).expect("is dynamic");
    let mut program = originals[0].clone();
    program[at..at + real.len() - 1].copy_from_slice(&interpreter.as_bytes()[..real.len() - 1]);
    let interpreter = PathBuf::from(&interpreter[..real.len() - 1]);
    write(&victim, &program);
    note("missing interpreter".into(), &victim);
    for round in 0..ROUNDS / 5 {
        let mut random = Random(0x7f4a_7c15 ^ (round * 0x7654_3217));
        for _ in 0..4 {
            random.next();
        }
        let mut file = linker.clone();
        let what = damage(&mut file, &mut random);
        settle(&mut file);
        write(&interpreter, &file);
        note(format!("interpreter round {round}: {what}"), &victim);
    }
    for text in [b"".as_slice(), b"\x7fELF", b"#!/bin/sh\n", &[0; 63]] {
        write(&interpreter, text);
        note(format!("interpreter is {text:?}"), &victim);
    }
    let _ = std::fs::remove_file(&interpreter);

    // Files that are no ELF files at all.
    let long = format!("#!/bin/{}\n", "x".repeat(300));
    for text in [
        "",
        "\n",
        "text\n",
        "#!",
        "#!\n",
        "#! \t\n",
        "#!/nonexistent\n",
        "#!/bin\n",
        "#!/etc/passwd\n",
        "#!/dev/null\n",
        "#!/bin/true/x\n",
        "#!/bin/true x y\n",
        "#!bin/true\n",
        "\x7fELF",
        "\x7fELFtoo short to be anything",
        &long,
    ] {
        write(&victim, text.as_bytes());
        note(format!("text {text:?}"), &victim);
    }
    write(&victim, format!("#!{}\n", victim.display()).as_bytes());
    note("script of itself".into(), &victim);
    for path in
        ["/", "/dev/null", "/etc/passwd", "/nonexistent", "/etc/passwd/x", "", "relative", "/proc/self/maps"]
    {
        note(format!("path {path:?}"), Path::new(path));
    }

    // Open for writing.
    write(&victim, &originals[0]);
    let writer = std::fs::OpenOptions::new().append(true).open(&victim).expect("opens");
    note("busy".into(), &victim);
    drop(writer);

    println!("{seen:?}");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(seen.get("Starts").is_some_and(|&n| n > 100) && seen.get("Killed").is_some_and(|&n| n > 100));
}
