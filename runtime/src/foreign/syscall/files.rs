//! Files: the four `O_` flags that have other numbers on AArch64, and paths below the system root.
//!
//! With `--sysroot=DIR` an absolute path means the file of that name below `DIR`, if there is one, for the calls that look and
//! open: the guest finds its libraries there. Calls that make, rename or remove see the machine's own files, and so does
//! `execve`. That is how qemu-user treats its `-L`.

use super::{EFAULT, made};
use crate::process::process;
use crate::signal::read_guest;
use crate::syscall::exec::read_string;
use crate::syscall::{Call, memory};
use crate::thread::Thread;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// AArch64's flags and ours.
const FLAGS: [(u64, i32); 4] = [
    (0o040000, libc::O_DIRECTORY),
    (0o100000, libc::O_NOFOLLOW),
    (0o200000, libc::O_DIRECT),
    // The C library of a 64-bit machine has no number for it, the kernel has.
    (0o400000, 0o100000),
];
/// The bits that both use.
const EXCHANGED: u64 = 0o740000;

/// Flags of `open` as this machine has them.
fn to_ours(flags: u64) -> u64 {
    FLAGS
        .iter()
        .fold(flags & !EXCHANGED, |f, &(theirs, ours)| if flags & theirs != 0 { f | ours as u64 } else { f })
}

/// And as AArch64 has them.
fn to_theirs(flags: u64) -> u64 {
    FLAGS
        .iter()
        .fold(flags & !EXCHANGED, |f, &(theirs, ours)| if flags & ours as u64 != 0 { f | theirs } else { f })
}

/// A call of the guest's whose path may lie below the system root.
struct Rooted {
    call: Call,
    /// What the path argument points to then.
    _path: Option<CString>,
}

impl Rooted {
    /// `arg`: which argument is the path.
    fn new(call: &Call, arg: usize) -> Rooted {
        let path = below_root(call.args[arg]);
        let mut call = *call;
        if let Some(p) = &path {
            call.args[arg] = p.as_ptr() as u64;
        }
        Rooted { call, _path: path }
    }
}

/// The path of a file below the system root that is meant by the guest's string.
fn below_root(at: u64) -> Option<CString> {
    let root = process().options.sysroot.as_deref()?;
    let mut first = [0u8; 1];
    read_guest(at, &mut first).ok()?;
    if first != *b"/" {
        return None;
    }
    let path = read_string(at, libc::PATH_MAX as usize).ok()?;
    let inside = loader::below(Some(root), Path::new(OsStr::from_bytes(&path)))?;
    CString::new(inside.into_os_string().as_bytes()).ok()
}

/// Calls that look at a path.
pub fn on_path(thread: &mut Thread, call: &Call) -> i64 {
    let arg = usize::from(call.number as i64 != libc::SYS_statfs);
    let rooted = Rooted::new(call, arg);
    made(thread, &rooted.call)
}

/// Calls that take flags of `open`.
pub fn with_flags(thread: &mut Thread, call: &Call) -> i64 {
    let mut c = *call;
    match call.number as i64 {
        libc::SYS_openat => {
            c.args[2] = to_ours(c.args[2]);
            let rooted = Rooted::new(&c, 1);
            made(thread, &rooted.call)
        }
        libc::SYS_openat2 => open_how(thread, call),
        libc::SYS_open_by_handle_at => {
            c.args[2] = to_ours(c.args[2]);
            made(thread, &c)
        }
        // `pipe2`, `fanotify_init`
        _ => {
            c.args[1] = to_ours(c.args[1]);
            memory::pass_writing(&c)
        }
    }
}

/// `openat2`, whose structure begins with the flags.
fn open_how(thread: &mut Thread, call: &Call) -> i64 {
    /// More than the structure has in any version; what is behind must be zero.
    const MOST: usize = 4096;
    let size = call.args[3] as usize;
    if !(24..=MOST).contains(&size) {
        return made(thread, call);
    }
    let mut how = vec![0u8; size];
    if read_guest(call.args[2], &mut how).is_err() {
        return EFAULT;
    }
    let mut flags = [0u8; 8];
    flags.copy_from_slice(&how[..8]);
    how[..8].copy_from_slice(&to_ours(u64::from_le_bytes(flags)).to_le_bytes());
    let mut c = *call;
    c.args[2] = how.as_ptr() as u64;
    let rooted = Rooted::new(&c, 1);
    made(thread, &rooted.call)
}

/// `fcntl`
pub fn fcntl(thread: &mut Thread, call: &Call) -> i64 {
    match call.args[1] as i32 {
        libc::F_GETFL => {
            let v = made(thread, call);
            if v < 0 { v } else { to_theirs(v as u64) as i64 }
        }
        libc::F_SETFL => {
            let mut c = *call;
            c.args[2] = to_ours(c.args[2]);
            made(thread, &c)
        }
        _ => made(thread, call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        // By the names of AArch64's <fcntl.h>.
        let (directory, nofollow, direct, largefile) = (0o040000, 0o100000, 0o200000, 0o400000);
        assert_eq!(to_ours(directory), libc::O_DIRECTORY as u64);
        assert_eq!(to_ours(nofollow | libc::O_CLOEXEC as u64), (libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64);
        assert_eq!(to_ours(direct), libc::O_DIRECT as u64);
        assert_eq!(to_ours(largefile), 0o100000);
        let temporary = 0o20000000 | directory;
        assert_eq!(to_ours(temporary), libc::O_TMPFILE as u64);
        for flags in 0..1u64 << 24 {
            if flags % 4099 == 0 {
                assert_eq!(to_theirs(to_ours(flags)), flags, "{flags:o}");
            }
        }
    }
}
