//! File calls through which a program could see the runtime instead of itself.
//!
//! Paths into the guest's own directory of `/proc` are looked at before the kernel sees them: the
//! executable is replaced by the guest's, some files by copies in memory (see [`super::proc`]).
//! The one descriptor that the runtime may keep ([`crate::report`]'s private standard error) is out of
//! reach: it cannot be closed or replaced, and is not listed.

use super::exec::read_string;
use super::{Call, memory, proc};
use crate::report;
use crate::signal::{read_guest, write_guest};
use crate::thread::Thread;
use std::ffi::CString;
use std::sync::atomic::Ordering;

const EBADF: i64 = -(libc::EBADF as i64);
const PATH_MAX: usize = 4096;

/// The entry in the guest's own `/proc` directory that a path argument names. Quick for all others.
fn own_entry_at(dir: i32, at: u64, relative: bool) -> Option<Vec<u8>> {
    let mut head = [0u8; 6];
    let n = (4096 - (at & 4095) as usize).min(6);
    read_guest(at, &mut head[..n]).ok()?;
    if head[0] == b'/' {
        if n == 6 && head[1] != b'/' && &head[1..] != b"proc/" {
            return None;
        }
        let path = read_string(at, PATH_MAX).ok()?;
        return proc::own_entry(&path).map(<[u8]>::to_vec);
    }
    if !relative || !matches!(head[0], b'm' | b's' | b'n' | b'e' | b'a' | b'c') {
        return None;
    }
    let path = read_string(at, PATH_MAX).ok()?;
    if !matches!(
        &path[..],
        b"exe" | b"maps" | b"smaps" | b"numa_maps" | b"auxv" | b"cmdline" | b"environ" | b"status"
    ) {
        return None;
    }
    let base = match dir {
        libc::AT_FDCWD => std::env::current_dir().ok()?,
        fd => std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?,
    };
    use std::os::unix::ffi::OsStrExt;
    let mut whole = base.as_os_str().as_bytes().to_vec();
    whole.push(b'/');
    whole.extend_from_slice(&path);
    proc::own_entry(&whole).map(<[u8]>::to_vec)
}

/// `open` and its kind.
pub fn open(thread: &Thread, call: &Call) -> i64 {
    let a = &call.args;
    let (dir, path_at, flags) = match call.number as i64 {
        libc::SYS_open => (libc::AT_FDCWD, a[0], a[1]),
        libc::SYS_openat => (a[0] as i32, a[1], a[2]),
        _ => {
            let mut b = [0u8; 8];
            if read_guest(a[2], &mut b).is_err() {
                return memory::pass_writing(call);
            }
            (a[0] as i32, a[1], u64::from_le_bytes(b))
        }
    };
    let special = (flags as i32 & libc::O_NOFOLLOW == 0).then(|| own_entry_at(dir, path_at, true)).flatten();
    let Some(entry) = special else { return memory::pass_writing(call) };
    if entry == b"exe" {
        return with_path(call, usize::from(call.number as i64 != libc::SYS_open), &proc::exe());
    }
    const OTHER_THAN_READING: i32 = libc::O_ACCMODE | libc::O_PATH | libc::O_DIRECTORY | libc::O_TRUNC;
    if flags as i32 & OTHER_THAN_READING != libc::O_RDONLY {
        return memory::pass_writing(call);
    }
    match proc::content(thread, &entry) {
        Some(text) => open_copy(&entry, &text, flags as i32),
        None => memory::pass_writing(call),
    }
}

/// A new descriptor that reads `text`.
fn open_copy(name: &[u8], text: &[u8], flags: i32) -> i64 {
    let failed = |fd: i32| {
        let e = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        if fd >= 0 {
            // SAFETY: just made by us.
            unsafe { libc::close(fd) };
        }
        -i64::from(e)
    };
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: plain calls on live buffers and descriptors of ours; the one that stays is the guest's.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return failed(fd);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let n = libc::write(fd, rest.as_ptr().cast(), rest.len());
            if n <= 0 {
                return failed(fd);
            }
            rest = &rest[n as usize..];
        }
        // Opened anew: read only, from the start, and then at the lowest number.
        let path = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        let reader = libc::open(path.as_ptr(), libc::O_RDONLY | flags & libc::O_CLOEXEC);
        if reader < 0 {
            return failed(fd);
        }
        libc::dup3(reader, fd, flags & libc::O_CLOEXEC);
        libc::close(reader);
        i64::from(fd)
    }
}

/// The call with another path.
fn with_path(call: &Call, arg: usize, path: &CString) -> i64 {
    let mut c = *call;
    c.args[arg] = path.as_ptr() as u64;
    memory::pass_writing(&c)
}

/// Calls on a path that follow links and do not open: `stat`, `access` and their kind.
pub fn on_path(call: &Call) -> i64 {
    let a = &call.args;
    let (arg, flags) = match call.number as i64 {
        libc::SYS_stat | libc::SYS_access | libc::SYS_statfs => (0, 0),
        libc::SYS_newfstatat => (1, a[3]),
        libc::SYS_statx => (1, a[2]),
        libc::SYS_faccessat2 => (1, a[3]),
        _ => (1, 0),
    };
    if flags as i32 & libc::AT_SYMLINK_NOFOLLOW == 0
        && own_entry_at(libc::AT_FDCWD, a[arg], false).is_some_and(|e| e == b"exe")
    {
        return with_path(call, arg, &proc::exe());
    }
    memory::pass_writing(call)
}

/// `readlink`, `readlinkat`
pub fn readlink(call: &Call) -> i64 {
    let a = &call.args;
    let (dir, path_at, to, size) = match call.number as i64 {
        libc::SYS_readlink => (libc::AT_FDCWD, a[0], a[1], a[2]),
        _ => (a[0] as i32, a[1], a[2], a[3]),
    };
    if own_entry_at(dir, path_at, true).is_none_or(|e| e != b"exe") {
        return memory::pass_writing(call);
    }
    if size as i32 <= 0 {
        return -i64::from(libc::EINVAL);
    }
    let exe = proc::exe();
    let n = exe.as_bytes().len().min(size as usize);
    match write_guest(to, &exe.as_bytes()[..n]) {
        Ok(()) => n as i64,
        Err(()) => -i64::from(libc::EFAULT),
    }
}

/// Calls that close or replace descriptors.
pub fn descriptors(call: &Call) -> i64 {
    let own = report::PRIVATE.load(Ordering::Relaxed);
    if own < 0 {
        return call.pass();
    }
    let a = &call.args;
    match call.number as i64 {
        libc::SYS_close if a[0] as i32 == own => EBADF,
        libc::SYS_dup2 | libc::SYS_dup3 if a[0] as i32 == own => EBADF,
        libc::SYS_dup2 | libc::SYS_dup3 if a[1] as i32 == own => {
            report::move_private();
            call.pass()
        }
        libc::SYS_close_range => {
            let (first, last) = (a[0] as u32, a[1] as u32);
            if !(first..=last).contains(&(own as u32)) {
                return call.pass();
            }
            let part = |first: u32, last: u32| {
                let mut c = *call;
                c.args[..2].copy_from_slice(&[u64::from(first), u64::from(last)]);
                if first <= last { c.pass() } else { 0 }
            };
            let v = if own == 0 { 0 } else { part(first, own as u32 - 1) };
            if v < 0 { v } else { part(own as u32 + 1, last) }
        }
        _ => call.pass(),
    }
}

/// `getdents64`: the list of the guest's own descriptors is without ours.
pub fn list(call: &Call) -> i64 {
    let v = memory::pass_writing(call);
    let own = report::PRIVATE.load(Ordering::Relaxed);
    if own < 0 || v <= 0 {
        return v;
    }
    let listed = std::fs::read_link(format!("/proc/self/fd/{}", call.args[0] as i32)).unwrap_or_default();
    use std::os::unix::ffi::OsStrExt;
    let entry = proc::own_entry(listed.as_os_str().as_bytes());
    if !matches!(entry, Some(b"fd" | b"fdinfo")) {
        return v;
    }
    let mut entries = vec![0u8; v as usize];
    if read_guest(call.args[1], &mut entries).is_err() {
        return v;
    }
    let name = own.to_string();
    let mut kept = Vec::with_capacity(entries.len());
    let mut at = 0;
    while at + 19 <= entries.len() {
        let length = usize::from(u16::from_le_bytes([entries[at + 16], entries[at + 17]]));
        let Some(record) = entries.get(at..at + length.max(19)) else { break };
        if record[19..].split(|&b| b == 0).next() != Some(name.as_bytes()) {
            kept.extend_from_slice(record);
        }
        at += length.max(19);
    }
    if kept.is_empty() {
        return list(call); // only ours: go on with the next ones
    }
    match write_guest(call.args[1], &kept) {
        Ok(()) => kept.len() as i64,
        Err(()) => v,
    }
}
