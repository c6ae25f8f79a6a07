//! What `/proc/PID` says about a process's memory, as data.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::GuestAddr;

/// A line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: GuestAddr,
    /// One past the last byte.
    pub end: GuestAddr,
    /// `PROT_*` bits.
    pub prot: i32,
    /// Writes are seen by other mappings of the same memory.
    pub shared: bool,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Major and minor number of the file's device, as the kernel writes them (hexadecimal, with a colon).
    pub device: OsString,
    /// Number of the file, 0 for anonymous memory.
    pub inode: u64,
    /// Path of the file, a name like `[stack]`, or nothing.
    pub name: OsString,
}

impl Region {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether the kernel put it there for its own purposes: the vdso, its data, the vsyscall page. Such memory
    /// is the same thing in every process, at different addresses, and cannot be copied.
    pub fn is_kernels(&self) -> bool {
        let name = self.name.as_bytes();
        name.starts_with(b"[vdso") || name.starts_with(b"[vvar") || name.starts_with(b"[vsyscall")
    }

    /// Whether it is the initial thread's stack.
    pub fn is_stack(&self) -> bool {
        self.name.as_bytes() == b"[stack]"
    }

    /// Whether it comes from a file.
    pub fn is_file(&self) -> bool {
        self.inode != 0
    }
}

/// Parses the contents of a `maps` file. Lines that do not look like the kernel's are left out.
pub fn parse_maps(text: &[u8]) -> Vec<Region> {
    text.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Region> {
    // Fields are separated by single blanks up to the inode; the name is padded to a column and may hold blanks.
    let mut fields = line.splitn(6, |&b| b == b' ');
    let mut next = || fields.next().and_then(|f| std::str::from_utf8(f).ok());
    let (start, end) = next()?.split_once('-')?;
    let rights = next()?.as_bytes();
    let offset = u64::from_str_radix(next()?, 16).ok()?;
    let device = OsString::from(next()?);
    let inode = next()?.parse().ok()?;
    let name = fields.next().unwrap_or_default();
    let name = &name[name.iter().position(|&b| b != b' ').unwrap_or(name.len())..];
    let has = |i: usize, letter: u8, bit: i32| if rights.get(i) == Some(&letter) { bit } else { 0 };
    Some(Region {
        start: GuestAddr(u64::from_str_radix(start, 16).ok()?),
        end: GuestAddr(u64::from_str_radix(end, 16).ok()?),
        prot: has(0, b'r', libc::PROT_READ) | has(1, b'w', libc::PROT_WRITE) | has(2, b'x', libc::PROT_EXEC),
        shared: rights.get(3) == Some(&b's'),
        offset,
        device,
        inode,
        name: OsStr::from_bytes(name).to_owned(),
    })
}

/// What `/proc/PID/stat` says about a process's layout; only its tracer may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub start_brk: u64,
    pub args: (u64, u64),
    pub env: (u64, u64),
}

/// Parses the contents of a `stat` file.
pub(crate) fn parse_stat(text: &[u8]) -> Option<Layout> {
    // The second field is the program's name in parentheses, which may hold anything.
    let after_name = text.iter().rposition(|&b| b == b')')? + 2;
    let rest = std::str::from_utf8(text.get(after_name..)?).ok()?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Numbered from 1 in proc(5); the first one here is number 3.
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some(Layout { start_brk: field(47)?, args: (field(48)?, field(49)?), env: (field(50)?, field(51)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_maps() {
        let text = std::fs::read("/proc/self/maps").expect("reads");
        let regions = parse_maps(&text);
        assert_eq!(regions.len(), text.split(|&b| b == b'\n').filter(|l| !l.is_empty()).count());
        assert!(regions.is_sorted_by_key(|r| r.start));
        let here = our_own_maps as fn() as usize as u64;
        let code = regions.iter().find(|r| r.start.0 <= here && here < r.end.0).expect("is mapped");
        assert_eq!(code.prot, libc::PROT_READ | libc::PROT_EXEC);
        assert!(code.is_file() && !code.shared && code.name.as_bytes().starts_with(b"/"));
        assert_eq!(regions.iter().filter(|r| r.is_stack()).count(), 1);
        assert!(regions.iter().any(Region::is_kernels));
    }

    #[test]
    fn names_with_blanks_and_broken_lines() {
        let text = b"1000-3000 rw-s 00001000 08:02 77       /a file (deleted)\nnonsense\n3000-4000 ---p 0 00:00 0 \n";
        let regions = parse_maps(text);
        assert_eq!(regions.len(), 2);
        assert_eq!(regions[0].name, "/a file (deleted)");
        assert!(regions[0].shared && regions[0].offset == 0x1000 && regions[0].inode == 77);
        assert_eq!((regions[1].prot, regions[1].size()), (0, 0x1000));
        assert!(regions[1].name.is_empty());
    }

    #[test]
    fn our_own_stat() {
        let text = std::fs::read("/proc/self/stat").expect("reads");
        let layout = parse_stat(&text).expect("parses");
        let (start, end) = layout.args;
        let size = std::fs::read("/proc/self/cmdline").expect("reads").len() as u64;
        assert_eq!(end - start, size);
    }
}
