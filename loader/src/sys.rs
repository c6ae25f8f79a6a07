//! The few questions to the system that the standard library cannot ask.
//!
//! Plain calls that touch no memory but their own buffers; everything that maps or writes guest memory is
//! in `map`, `stack` and `brk`.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `AT_EXECVE_CHECK` of `execveat`: ask whether a file may be executed, without executing it (Linux 6.14).
const AT_EXECVE_CHECK: i32 = 0x10000;

/// The value of an entry of this process's auxiliary vector, 0 if there is none.
pub(crate) fn auxv(kind: u64) -> u64 {
    // SAFETY: getauxval only reads what the kernel left for this process.
    unsafe { libc::getauxval(kind) }
}

/// Length of the NUL-terminated file name that `AT_EXECFN` of this process points to, and its address.
pub(crate) fn own_exec_name() -> Option<(u64, usize)> {
    let addr = auxv(libc::AT_EXECFN);
    if addr == 0 {
        return None;
    }
    // SAFETY: the kernel left a NUL-terminated string there, at the very top of the initial stack, which
    // nothing unmaps while the process lives.
    let len = unsafe { CStr::from_ptr(addr as *const libc::c_char) }.count_bytes();
    Some((addr, len))
}

/// This process's environment, every entry as it is: unlike [`std::env::vars_os`] also those without a `=`. Not while
/// another thread changes it.
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: the C library's list of NUL-terminated strings, which ends with a null pointer, or null itself. Nobody
    // changes it meanwhile, as the function demands of its callers.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            entries.push(CStr::from_ptr(*next).to_owned());
            next = next.add(1);
        }
    }
    entries
}

/// Random bytes from the kernel; zeros where it has none to give, which no kernel since 3.17 does.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the buffer is N bytes long, and at most N bytes are written.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    bytes
}

/// What the kernel says to executing `file`: `Ok(true)` yes, `Err(errno)` no, and `Ok(false)` if it is too
/// old to be asked.
pub(crate) fn may_execute(file: &File) -> Result<bool, i32> {
    let argv: [*const libc::c_char; 2] = [c"".as_ptr(), std::ptr::null()];
    let envp: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: path, argv and envp are terminated as execveat demands and live through the call. With
    // AT_EXECVE_CHECK nothing is executed: a kernel that does not know the flag says EINVAL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH | AT_EXECVE_CHECK,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(errno @ (libc::EACCES | libc::ETXTBSY)) => Err(errno),
        _ => Ok(false),
    }
}

/// Whether `path` may be executed by the effective user, by its permission bits alone.
pub(crate) fn has_execute_bit(path: &Path) -> bool {
    nix::unistd::eaccess(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Effective and real user and group, in the order uid, euid, gid, egid.
pub(crate) fn identity() -> [u64; 4] {
    // SAFETY: these take nothing, touch nothing and cannot fail.
    let ids = unsafe { [libc::getuid(), libc::geteuid(), libc::getgid(), libc::getegid()] };
    ids.map(u64::from)
}

/// The soft limit of the stack in bytes, `None` if unlimited.
pub(crate) fn stack_limit() -> Option<u64> {
    match nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_STACK) {
        Ok((soft, _)) if soft != libc::RLIM_INFINITY => Some(soft),
        _ => None,
    }
}
