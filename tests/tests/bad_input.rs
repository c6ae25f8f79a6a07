//! What cannot be run: one line on standard error, status 126 or 127, never a panic, never a hang.
//!
//! The kernel is the oracle: a file that it refuses must be refused with 127 when it says ENOENT and 126
//! otherwise, as shells do; a file that it runs must run with the same end.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use e2e_tests::compare::{Aspects, compare};
use e2e_tests::process::{End, Outcome, RunError, run};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

/// Time limit of one run.
const LIMIT: Duration = Duration::from_secs(20);
/// Mutants of an executable that are tried.
const MUTANTS: u64 = 240;

/// Makes the file to run in a directory; returns its path as given to `dynrun`.
type Make = fn(&Path) -> std::io::Result<PathBuf>;

fn main() -> ExitCode {
    suite::main(|setting| {
        let Some(dynrun) = &setting.dynrun else {
            return Ok(Vec::new());
        };
        let mut trials = Vec::new();
        for &(name, make) in CASES {
            let dynrun = dynrun.clone();
            trials.push(Trial::test(format!("bad_input::{name}"), move || file_case(&dynrun, make)));
        }
        for chunk in 0..MUTANTS / 10 {
            let dynrun = dynrun.clone();
            let test = move || (chunk * 10..chunk * 10 + 10).try_for_each(|seed| mutant(&dynrun, seed));
            trials.push(Trial::test(format!("bad_input::mutants_{chunk:02}"), test));
        }
        for &(name, arguments, statuses) in USAGE {
            let dynrun = dynrun.clone();
            trials.push(Trial::test(format!("usage::{name}"), move || usage(&dynrun, arguments, statuses)));
        }
        Ok(trials)
    })
}

/// Files that are wrong in one way each.
const CASES: &[(&str, Make)] = &[
    ("missing", |dir| Ok(dir.join("missing"))),
    ("missing_in_path", |_| Ok(PathBuf::from("no-such-command-anywhere"))),
    ("directory", |dir| Ok(dir.to_owned())),
    ("empty", |dir| file(dir, b"")),
    ("one_byte", |dir| file(dir, b"\x7f")),
    ("text", |dir| file(dir, b"echo hello\n")),
    ("shebang_without_name", |dir| file(dir, b"#!\n")),
    ("shebang_only_blanks", |dir| file(dir, b"#!   \t \n")),
    ("shebang_not_there", |dir| file(dir, b"#!/no/such/interpreter -x\n")),
    ("shebang_directory", |dir| file(dir, b"#!/tmp\n")),
    ("shebang_to_itself", |dir| {
        let path = dir.join("program");
        file(dir, format!("#!{}\n", path.display()).as_bytes())
    }),
    ("shebang_too_long", |dir| file(dir, format!("#!/{}\n", "x".repeat(6000)).as_bytes())),
    ("no_permission", |dir| {
        let path = file(dir, &fs::read("/bin/true")?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }),
    ("symlink_loop", |dir| {
        symlink("loop", dir.join("loop"))?;
        Ok(dir.join("loop"))
    }),
    ("not_a_directory", |_| Ok(PathBuf::from("/bin/true/x"))),
    ("name_too_long", |dir| Ok(dir.join("n".repeat(5000)))),
    ("device", |_| Ok(PathBuf::from("/dev/null"))),
    ("magic_only", |dir| file(dir, b"\x7fELF")),
    ("identification_only", |dir| file(dir, &fs::read("/bin/true")?[..16])),
    ("half_a_header", |dir| file(dir, &fs::read("/bin/true")?[..40])),
    ("header_only", |dir| file(dir, &fs::read("/bin/true")?[..64])),
    ("half_the_program_headers", |dir| file(dir, &fs::read("/bin/true")?[..200])),
    ("without_segments", |dir| edited(dir, &[(56, &[0, 0])])),
    ("wrong_machine", |dir| edited(dir, &[(18, &[243, 0])])),
    ("big_endian", |dir| edited(dir, &[(5, &[2])])),
    ("class_32", |dir| edited(dir, &[(4, &[1])])),
    ("class_unknown", |dir| edited(dir, &[(4, &[9])])),
    ("relocatable", |dir| edited(dir, &[(16, &[1, 0])])),
    ("core_file", |dir| edited(dir, &[(16, &[4, 0])])),
    ("type_unknown", |dir| edited(dir, &[(16, &[77, 0])])),
    ("program_headers_far_away", |dir| {
        edited(dir, &[(32, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])])
    }),
    ("program_headers_at_the_end", |dir| {
        edited(dir, &[(32, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])])
    }),
    ("program_headers_many", |dir| edited(dir, &[(56, &[0xff, 0xff])])),
    ("program_headers_small", |dir| edited(dir, &[(54, &[8, 0])])),
    ("interpreter_missing", |dir| interpreter(dir, b"/no/such/ld.so\0")),
    ("interpreter_directory", |dir| interpreter(dir, b"/tmp\0")),
    ("interpreter_empty", |dir| interpreter(dir, b"\0")),
    ("interpreter_unterminated", |dir| interpreter(dir, &[b'/'; 28])),
    ("interpreter_text", |dir| interpreter(dir, b"/etc/passwd\0")),
    ("interpreter_program", |dir| interpreter(dir, b"/bin/true\0")),
];

/// Command lines that are wrong or need no program: arguments, acceptable statuses.
const USAGE: &[(&str, &[&str], &[i32])] = &[
    ("nothing", &[], &[2, 125]),
    ("unknown_option", &["--no-such-option", "/bin/true"], &[2]),
    ("unknown_tier", &["--tier", "bogus", "/bin/true"], &[2]),
    ("separator_only", &["--"], &[2, 125]),
    ("help", &["--help"], &[0]),
    ("version", &["--version"], &[0]),
];

fn file(dir: &Path, content: &[u8]) -> std::io::Result<PathBuf> {
    let path = dir.join("program");
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// `/bin/true` with some bytes of its headers replaced.
fn edited(dir: &Path, edits: &[(usize, &[u8])]) -> std::io::Result<PathBuf> {
    let mut bytes = fs::read("/bin/true")?;
    for (at, new) in edits {
        bytes[*at..*at + new.len()].copy_from_slice(new);
    }
    file(dir, &bytes)
}

/// `/bin/true` with another program interpreter of at most 28 bytes.
fn interpreter(dir: &Path, name: &[u8]) -> std::io::Result<PathBuf> {
    let mut bytes = fs::read("/bin/true")?;
    let old = b"/lib64/ld-linux-x86-64.so.2\0";
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap_or(64);
    bytes[at..at + old.len()].fill(0);
    bytes[at..at + name.len()].copy_from_slice(name);
    file(dir, &bytes)
}

/// What the kernel makes of a file: an outcome, or the error of `execve`.
fn native(path: &Path, dir: &Path) -> Result<Result<Outcome, i32>, Failed> {
    let mut command = Command::new(path);
    suite::surroundings(&mut command, dir);
    match run(command, dir, LIMIT) {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(RunError::Spawn { source, .. }) => Ok(Err(source.raw_os_error().unwrap_or(0))),
        Err(error) => Err(error.into()),
    }
}

fn under(dynrun: &Path, arguments: &[&str], program: Option<&Path>, dir: &Path) -> Result<Outcome, Failed> {
    let mut command = Command::new(dynrun);
    command.args(arguments).args(program);
    suite::surroundings(&mut command, dir);
    Ok(run(command, dir, LIMIT)?)
}

fn file_case(dynrun: &Path, make: Make) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let path = make(dir.path())?;
    judge(dynrun, &path, dir.path())
}

/// Fields of a program header: offset and size.
const FIELDS: [(usize, usize); 8] = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)];

/// Gives a field of a program header a value that is likely to be at the edge of something.
fn mutate_field(bytes: &mut [u8], random: &mut impl FnMut(usize) -> usize) {
    let (offset, size) = FIELDS[random(FIELDS.len())];
    let at = 64 + 56 * random(usize::from(bytes[56]).clamp(1, 13)) + offset;
    let mut old = [0; 8];
    old[..size].copy_from_slice(&bytes[at..at + size]);
    let old = u64::from_le_bytes(old);
    let new = match random(8) {
        0 => random(8) as u64,
        1 => u64::MAX,
        2 => old ^ 1 << random(8 * size),
        3 => old.wrapping_add(4096),
        4 => old.wrapping_sub(4096),
        5 => old.wrapping_add(random(8192) as u64),
        6 => old.wrapping_mul(2),
        _ => 0x7fff_ffff_f000,
    };
    bytes[at..at + size].copy_from_slice(&new.to_le_bytes()[..size]);
}

/// Changes a few bytes or fields of `/bin/true`, mostly in the headers.
fn mutant(dynrun: &Path, seed: u64) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let mut bytes = fs::read("/bin/true")?;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n as u64).unwrap_or(0)
    };
    for _ in 0..1 + random(4) {
        if random(2) == 0 {
            mutate_field(&mut bytes, &mut random);
            continue;
        }
        let range = if random(4) == 0 { bytes.len() } else { 64 + 56 * 13 };
        let at = 4 + random(range - 4);
        bytes[at] = match random(3) {
            0 => 0xff,
            1 => 0,
            _ => u8::try_from(random(256)).unwrap_or(0),
        };
    }
    if random(5) == 0 {
        let keep = random(bytes.len());
        bytes.truncate(keep);
    }
    let path = file(dir.path(), &bytes)?;
    // What a program does whose addresses were changed may depend on where it lies: then one run in some natively
    // is like one here.
    let mut verdict = Ok(());
    for _ in 0..5 {
        verdict = judge(dynrun, &path, dir.path())
            .map_err(|e| Failed::from(format!("mutant {seed}: {}", e.message().unwrap_or("?"))));
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

fn judge(dynrun: &Path, path: &Path, dir: &Path) -> Result<(), Failed> {
    let got = under(dynrun, &["--"], Some(path), dir)?;
    check_no_bug(&got)?;
    match native(path, dir)? {
        // Shells run a text without `#!` as a script of theirs; so may we.
        Err(nix::libc::ENOEXEC) if is_text(path) && got.end == shell(path, dir)?.end => Ok(()),
        Err(errno) => {
            let status = if errno == nix::libc::ENOENT { 127 } else { 126 };
            // Shells disagree about a missing interpreter of a script: bash 126, dash 127.
            let either =
                errno == nix::libc::ENOENT && path.exists() && matches!(got.end, End::Exit(126 | 127));
            if got.end != End::Exit(status) && !either {
                return Err(format!(
                    "the kernel says errno {errno}; expected exit status {status}, got {}",
                    got.end
                )
                .into());
            }
            one_line(&got)
        }
        // Killed on the way into the program: so are we, and may say why.
        Ok(outcome) if matches!(outcome.end, End::Signal(_)) && outcome.end == got.end => {
            if got.stderr.is_empty() { Ok(()) } else { one_line(&got) }
        }
        Ok(outcome) => Ok(compare(&outcome, &got, Aspects::STDOUT)?),
    }
}

/// Not an ELF file, and not empty: shells take it for a script.
fn is_text(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| !bytes.starts_with(b"\x7fELF"))
}

/// What `sh` makes of a script.
fn shell(path: &Path, dir: &Path) -> Result<Outcome, Failed> {
    let mut command = Command::new("/bin/sh");
    command.arg(path);
    suite::surroundings(&mut command, dir);
    Ok(run(command, dir, LIMIT)?)
}

fn one_line(got: &Outcome) -> Result<(), Failed> {
    let text = String::from_utf8_lossy(&got.stderr);
    if !got.stdout.is_empty() {
        return Err(format!("unexpected output: {:?}", String::from_utf8_lossy(&got.stdout)).into());
    }
    if text.lines().count() != 1 || !text.ends_with('\n') {
        return Err(format!("expected one line on stderr, got {text:?}").into());
    }
    Ok(())
}

fn check_no_bug(got: &Outcome) -> Result<(), Failed> {
    let text = String::from_utf8_lossy(&got.stderr);
    let bad = text.contains("panicked") || text.contains("RUST_BACKTRACE");
    if bad || matches!(got.end, End::Exit(125 | 101) | End::TimedOut | End::TooMuchOutput) {
        return Err(format!("{}; stderr: {text}", got.end).into());
    }
    Ok(())
}

fn usage(dynrun: &Path, arguments: &[&str], statuses: &[i32]) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let got = under(dynrun, arguments, None, dir.path())?;
    // 125 is also what `env` and `nohup` say of their own command line.
    if got.end != End::Exit(125) {
        check_no_bug(&got)?;
    }
    if !statuses.iter().any(|&status| got.end == End::Exit(status)) {
        return Err(format!("{}; stderr: {}", got.end, String::from_utf8_lossy(&got.stderr)).into());
    }
    Ok(())
}
