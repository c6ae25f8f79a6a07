//! Where images are, and whom to trust.
//!
//! One directory, of the user's own and writable by no one else; so are the images in it. What is not is as
//! if it were not there. An image is written under a name of its own and put in place by `rename`, so a
//! reader sees a whole one, and whichever of several writers is last wins. Nothing is ever written in place,
//! so what is mapped does not change. When the directory grows too large the images used longest ago go.

use super::format::{Image, Key};
use loader::FileIdentity as Identity;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes that images may take together.
const MOST: u64 = 512 << 20;
/// Larger images are not used.
const LARGEST: i64 = 256 << 20;

/// The directory, and who `dynrun` is.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    maker: Identity,
    features: u64,
}

fn empty() -> libc::stat {
    // SAFETY: all zeroes is a value of this plain structure.
    unsafe { std::mem::zeroed() }
}

fn nanoseconds(seconds: i64, rest: i64) -> u64 {
    (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(rest as u64)
}

fn identity_of(s: &libc::stat) -> Option<Identity> {
    (s.st_mode & libc::S_IFMT == libc::S_IFREG && s.st_nlink > 0).then(|| Identity {
        device: s.st_dev,
        inode: s.st_ino,
        size: s.st_size as u64,
        modified: nanoseconds(s.st_mtime, s.st_mtime_nsec),
        changed: nanoseconds(s.st_ctime, s.st_ctime_nsec),
    })
}

/// The identity of an open regular file.
pub fn identity(fd: i32) -> Option<Identity> {
    let mut s = empty();
    // SAFETY: fills a local.
    let r = unsafe { libc::fstat(fd, &raw mut s) };
    if r == 0 { identity_of(&s) } else { None }
}

/// Whether nothing changed about the file for some seconds.
pub fn is_settled(file: &Identity, seconds: u64) -> bool {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a local.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    let now = nanoseconds(now.tv_sec, now.tv_nsec);
    now.saturating_sub(file.modified.max(file.changed)) > seconds * 1_000_000_000
}

/// A number below `most`, another each time.
pub fn chance(most: usize) -> usize {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_nsec as usize / 64) % most.max(1)
}

/// Whether only we can have written it.
fn is_ours(s: &libc::stat) -> bool {
    // SAFETY: cannot fail.
    let (uid, euid) = unsafe { (libc::getuid(), libc::geteuid()) };
    s.st_uid == euid && uid == euid && s.st_mode & 0o022 == 0
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

/// A descriptor that closes itself.
struct Fd(i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: ours alone.
        unsafe { libc::close(self.0) };
    }
}

fn open(path: &CString, flags: i32) -> Option<Fd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: a terminated string.
    let fd = unsafe { libc::open(path.as_ptr(), flags, 0o600) };
    (fd >= 0).then_some(Fd(fd))
}

impl Directory {
    /// The store in this directory, which need not exist yet; `None` when we do not know ourselves.
    pub fn new(path: PathBuf) -> Option<Directory> {
        let mut s = empty();
        // SAFETY: a terminated string and a local.
        let r = unsafe { libc::stat(c"/proc/self/exe".as_ptr(), &raw mut s) };
        let maker = if r == 0 { identity_of(&s)? } else { return None };
        let features = u64::from(std::is_x86_feature_detected!("bmi2"));
        Some(Directory { path, maker, features })
    }

    /// What an image for this file must say.
    pub fn key(&self, file: &Identity) -> Key {
        Key { file: *file, maker: self.maker, features: self.features }
    }

    /// The image for a file, when there is a good one.
    pub fn open(&self, file: &Identity) -> Option<Image> {
        let key = self.key(file);
        let fd = open(&c_path(&self.path.join(key.name()))?, libc::O_RDONLY)?;
        let mut s = empty();
        // SAFETY: fills a local.
        let r = unsafe { libc::fstat(fd.0, &raw mut s) };
        let good = r == 0
            && s.st_mode & libc::S_IFMT == libc::S_IFREG
            && is_ours(&s)
            && s.st_size <= LARGEST
            && self.is_private();
        if !good {
            return None;
        }
        Image::new(crate::alloc::map_file(fd.0, s.st_size as usize)?, &key)
    }

    /// Whether nobody else can put anything into the directory.
    fn is_private(&self) -> bool {
        let mut s = empty();
        let Some(path) = c_path(&self.path) else { return false };
        // SAFETY: a terminated string and a local.
        let r = unsafe { libc::stat(path.as_ptr(), &raw mut s) };
        r == 0 && s.st_mode & libc::S_IFMT == libc::S_IFDIR && is_ours(&s)
    }

    /// Puts an image in place. When that cannot be done nothing happens.
    pub fn write(&self, file: &Identity, bytes: &[u8]) {
        use std::os::unix::fs::DirBuilderExt;
        if !self.is_private() {
            let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
            if !self.is_private() {
                return;
            }
        }
        self.make_room(bytes.len() as u64);
        let name = self.path.join(self.key(file).name());
        // SAFETY: asks only.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        let temporary = name.with_extension(format!("{}-{thread}", std::process::id()));
        let (Some(from), Some(to)) = (c_path(&temporary), c_path(&name)) else { return };
        let Some(fd) = open(&from, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL) else { return };
        let mut rest = bytes;
        while !rest.is_empty() {
            // SAFETY: writes a live buffer.
            let n = unsafe { libc::write(fd.0, rest.as_ptr().cast(), rest.len()) };
            if n <= 0 {
                break;
            }
            rest = &rest[n as usize..];
        }
        // SAFETY: terminated strings.
        unsafe {
            if !rest.is_empty() || libc::rename(from.as_ptr(), to.as_ptr()) != 0 {
                libc::unlink(from.as_ptr());
            }
        }
    }

    /// Removes what was used longest ago until `more` bytes fit.
    fn make_room(&self, more: u64) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        let mut all: Vec<_> = entries
            .flatten()
            .filter_map(|e| {
                let m = e.metadata().ok()?;
                Some((m.modified().ok()?, m.len(), e.path()))
            })
            .collect();
        let mut total: u64 = more + all.iter().map(|f| f.1).sum::<u64>();
        if total <= MOST {
            return;
        }
        all.sort();
        for (_, size, path) in all {
            if total <= MOST {
                break;
            }
            let _ = std::fs::remove_file(path);
            total -= size;
        }
    }
}
