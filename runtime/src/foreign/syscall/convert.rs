//! Structures that look different on AArch64: the call is made with one of ours, which is then rewritten.
//!
//! An address of the guest's that cannot be accessed makes the call fail with `EFAULT`, as in the kernel; what the call did
//! before the result is copied stays done, as there too.

use super::{EFAULT, EINVAL, made};
use crate::signal::{read_guest, write_guest};
use crate::syscall::{Call, memory};
use crate::thread::Thread;

/// Bytes of AArch64's `struct stat`.
const STAT: usize = 128;

/// `fstat`, `newfstatat`
pub fn stat(thread: &mut Thread, call: &Call) -> i64 {
    let by_path = call.number as i64 == libc::SYS_newfstatat;
    let to = usize::from(by_path) + 1;
    // SAFETY: plain numbers, for which zeros are values.
    let mut ours: libc::stat = unsafe { std::mem::zeroed() };
    let mut c = *call;
    c.args[to] = &raw mut ours as u64;
    let v = if by_path { super::files::on_path(thread, &c) } else { made(thread, &c) };
    if v != 0 {
        return v;
    }
    if write_guest(call.args[to], &stat_of(&ours)).is_err() { EFAULT } else { 0 }
}

fn stat_of(s: &libc::stat) -> [u8; STAT] {
    let mut b = [0u8; STAT];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        b[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&s.st_dev.to_le_bytes());
    put(&s.st_ino.to_le_bytes());
    put(&s.st_mode.to_le_bytes());
    put(&(s.st_nlink as u32).to_le_bytes());
    put(&s.st_uid.to_le_bytes());
    put(&s.st_gid.to_le_bytes());
    put(&s.st_rdev.to_le_bytes());
    put(&[0; 8]);
    put(&s.st_size.to_le_bytes());
    put(&(s.st_blksize as i32).to_le_bytes());
    put(&[0; 4]);
    put(&s.st_blocks.to_le_bytes());
    for (seconds, nanoseconds) in
        [(s.st_atime, s.st_atime_nsec), (s.st_mtime, s.st_mtime_nsec), (s.st_ctime, s.st_ctime_nsec)]
    {
        put(&seconds.to_le_bytes());
        put(&nanoseconds.to_le_bytes());
    }
    b
}

/// Bytes of `struct epoll_event` there and here.
const EVENT: usize = 16;
const OUR_EVENT: usize = 12;

/// `epoll_ctl`
pub fn epoll_ctl(call: &Call) -> i64 {
    let mut ours = [0u8; OUR_EVENT];
    let mut c = *call;
    if call.args[1] as i32 != libc::EPOLL_CTL_DEL {
        let mut theirs = [0u8; EVENT];
        if read_guest(call.args[3], &mut theirs).is_err() {
            return EFAULT;
        }
        ours[..4].copy_from_slice(&theirs[..4]);
        ours[4..].copy_from_slice(&theirs[8..]);
        c.args[3] = ours.as_ptr() as u64;
    }
    c.pass()
}

/// `epoll_pwait`, `epoll_pwait2`
pub fn epoll_wait(thread: &mut Thread, call: &Call) -> i64 {
    /// Fewer events than asked for are always allowed.
    const MOST: i32 = 1024;
    let wanted = call.args[2] as i32;
    if wanted <= 0 {
        return EINVAL;
    }
    let wanted = wanted.min(MOST);
    let mut ours = vec![0u8; wanted as usize * OUR_EVENT];
    let mut c = *call;
    c.args[1] = ours.as_mut_ptr() as u64;
    c.args[2] = wanted as u64;
    let v = made(thread, &c);
    if v <= 0 {
        return v;
    }
    let theirs: Vec<u8> = ours
        .chunks_exact(OUR_EVENT)
        .take(v as usize)
        .flat_map(|e| [&e[..4], &[0; 4], &e[4..]].concat())
        .collect();
    if write_guest(call.args[1], &theirs).is_err() { EFAULT } else { v }
}

/// Offsets of `sem_otime`, `sem_ctime` and `sem_nsems` in `struct semid_ds`.
const SEM_TIMES: [usize; 3] = [48, 56, 64];
const OUR_SEM_TIMES: [usize; 3] = [48, 64, 80];
const SEM: usize = 88;
const OUR_SEM: usize = 104;

/// `semctl`
pub fn semctl(call: &Call) -> i64 {
    /// Marks the newer structures; the kernel of a 64-bit machine knows no others.
    const IPC_64: i32 = 0x100;
    const SEM_STAT: i32 = 18;
    const SEM_STAT_ANY: i32 = 20;
    let mut ours = [0u8; OUR_SEM];
    let mut theirs = [0u8; SEM];
    let mut c = *call;
    let at = call.args[3];
    match call.args[2] as i32 & !IPC_64 {
        libc::IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            c.args[3] = ours.as_mut_ptr() as u64;
            let v = c.pass();
            if v < 0 {
                return v;
            }
            theirs[..48].copy_from_slice(&ours[..48]);
            for (to, from) in SEM_TIMES.into_iter().zip(OUR_SEM_TIMES) {
                theirs[to..to + 8].copy_from_slice(&ours[from..from + 8]);
            }
            if write_guest(at, &theirs).is_err() { EFAULT } else { v }
        }
        libc::IPC_SET => {
            if read_guest(at, &mut theirs).is_err() {
                return EFAULT;
            }
            ours[..48].copy_from_slice(&theirs[..48]);
            c.args[3] = ours.as_ptr() as u64;
            c.pass()
        }
        _ => memory::pass_writing(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field by field at the offsets that AArch64's C compiler gives `struct stat`.
    #[test]
    fn stat_fields() {
        // SAFETY: plain numbers.
        let mut s: libc::stat = unsafe { std::mem::zeroed() };
        (s.st_dev, s.st_ino, s.st_mode, s.st_nlink) = (0x101, 0x202, 0o100644, 3);
        (s.st_uid, s.st_gid, s.st_rdev, s.st_size) = (4, 5, 6, -7);
        (s.st_blksize, s.st_blocks) = (4096, 9);
        (s.st_atime, s.st_atime_nsec) = (10, 11);
        (s.st_mtime, s.st_mtime_nsec) = (12, 13);
        (s.st_ctime, s.st_ctime_nsec) = (14, 15);
        let b = stat_of(&s);
        let long = |at: usize| i64::from_le_bytes(b[at..at + 8].try_into().unwrap());
        let int = |at: usize| i32::from_le_bytes(b[at..at + 4].try_into().unwrap());
        assert_eq!([long(0), long(8), long(32), long(48), long(64)], [0x101, 0x202, 6, -7, 9]);
        assert_eq!([int(16), int(20), int(24), int(28), int(56)], [0o100644, 3, 4, 5, 4096]);
        for i in 0..6 {
            assert_eq!(long(72 + i * 8), 10 + i as i64);
        }
    }

    #[test]
    fn our_structures() {
        assert_eq!(std::mem::size_of::<libc::epoll_event>(), OUR_EVENT);
        assert_eq!(std::mem::size_of::<libc::semid_ds>(), OUR_SEM);
        assert_eq!(std::mem::offset_of!(libc::semid_ds, sem_otime), OUR_SEM_TIMES[0]);
        assert_eq!(std::mem::offset_of!(libc::semid_ds, sem_ctime), OUR_SEM_TIMES[1]);
        assert_eq!(std::mem::offset_of!(libc::semid_ds, sem_nsems), OUR_SEM_TIMES[2]);
    }
}
