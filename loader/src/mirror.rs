//! A traced process's memory, the same at the same addresses in this process.
//!
//! For lockstep verification the guest runs twice: natively in a [`Tracee`], and translated in this process. Both must
//! start from the same memory, which [`load_like`] copies, and stay the same although only the tracee executes system
//! calls: [`Mirror::sync`] brings over what a system call did, new and vanished mappings included.
//! [`Mirror::difference`] finds where the two differ, which is a fault of the translation if it is called before
//! a system call is executed.
//!
//! # How
//! Every region of the tracee (but the vdso and what belongs to it) becomes anonymous private memory here, whatever
//! it is there: a copy of a file's contents can be compared and written without touching the file. Memory is compared
//! through `/proc/self/mem` and `/proc/PID/mem`, which fault in neither process and do not mind protections. Of
//! anonymous regions only pages that either process has are looked at, so that large reservations cost nothing.
//! Inaccessible regions are compared once they become accessible. Writing around the protection means that
//! whoever watches pages by protecting them must look at [`Changes::written`].
//!
//! # Contract
//! Memory of this process is never replaced: a region that is new in the tracee is placed with
//! `MAP_FIXED_NOREPLACE`, and what this process has there already is an error, [`MirrorError::Occupied`]; then the
//! tracee must be started anew, at other addresses. The stack is mirrored at its full size, since the kernel would grow
//! it in both processes at different times.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::elf::{PAGE, page_floor};
use crate::ptrace::{TraceError, Tracee};
use crate::regions::{self, Region};
use crate::{Arch, GuestAddr, Image, Mapping, sys};

/// Compared at once. Bytes.
const CHUNK: u64 = 64 << 10;

/// Entries of `/proc/PID/pagemap` read at once.
const PAGEMAP_CHUNK: usize = 8192;

/// Stack mirrored if there is no limit. Bytes.
const UNLIMITED_STACK: u64 = 64 << 20;

/// Why a mirror cannot be made or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The tracee cannot be asked.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The tracee has memory where this process has something else.
    #[error("{start}..{end} of the traced process is taken in this one")]
    Occupied {
        /// First byte.
        start: GuestAddr,
        /// One past the last byte.
        end: GuestAddr,
    },
    /// The system refused memory.
    #[error("cannot mirror {start}..{end}: {}", std::io::Error::from_raw_os_error(*errno))]
    Map {
        /// First byte.
        start: GuestAddr,
        /// One past the last byte.
        end: GuestAddr,
        /// The error number.
        errno: i32,
    },
    /// This process's own memory cannot be read or written by `/proc/self`.
    #[error("cannot reach this process's memory through /proc: {}", std::io::Error::from_raw_os_error(*errno))]
    Proc {
        /// The error number.
        errno: i32,
    },
}

/// What [`Mirror::sync`] changed in this process. Ranges are page-aligned and sorted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Pages whose contents were overwritten.
    pub written: Vec<Range<GuestAddr>>,
    /// Memory that was mapped, mapped anew or unmapped.
    pub remapped: Vec<Range<GuestAddr>>,
    /// Memory whose protection changed.
    pub protected: Vec<Range<GuestAddr>>,
}

/// A byte that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub addr: GuestAddr,
    /// What this process has there.
    pub ours: u8,
    /// What the tracee has there.
    pub theirs: u8,
}

/// Told of a page that differs (address, ours, theirs); says whether to go on.
type OnDifference<'a> = dyn FnMut(u64, &[u8], &[u8]) -> Result<bool, MirrorError> + 'a;

/// The copy of a tracee's memory in this process. Dropping it leaves the memory in place: the guest may be running.
#[derive(Debug)]
pub struct Mirror {
    /// What is mapped here on behalf of the tracee, sorted by address.
    regions: Vec<Region>,
    memory: File,
    pages: File,
}

/// Builds a tracee's image in this process, at the same addresses and with the same contents. The tracee stands before
/// its first instruction; its vdso should be [hidden](Tracee::hide_vdso) already.
pub fn load_like(tracee: &Tracee) -> Result<(Image, Mirror), MirrorError> {
    let mut mirror = Mirror {
        regions: Vec::new(),
        memory: open("/proc/self/mem", true)?,
        pages: open("/proc/self/pagemap", false)?,
    };
    if let Err(e) = mirror.sync(tracee) {
        mirror.unmap_all();
        return Err(e);
    }
    let image = mirror.image(tracee)?;
    Ok((image, mirror))
}

impl Mirror {
    /// Makes this process's memory what the tracee's is now.
    pub fn sync(&mut self, tracee: &Tracee) -> Result<Changes, MirrorError> {
        let mut changes = Changes::default();
        let new = wanted(tracee)?;
        let fresh = self.remap(new, &mut changes)?;
        let their_pages = open(&format!("/proc/{}/pagemap", tracee.pid()), false)?;
        for region in &self.regions {
            let touched = fresh.iter().any(|r| r.start < region.end && region.start < r.end);
            if region.prot & libc::PROT_WRITE == 0 && !touched || region.prot == libc::PROT_NONE {
                continue;
            }
            self.compare(tracee, &their_pages, region, &mut |addr, _, theirs| {
                self.memory.write_all_at(theirs, addr).map_err(|e| proc_error(&e))?;
                add_range(&mut changes.written, addr..addr + PAGE);
                Ok(true)
            })?;
        }
        Ok(changes)
    }

    /// The lowest byte of writable memory that differs, if any. Mappings are not compared: the tracee's may be one
    /// system call ahead or its stack larger.
    pub fn difference(&self, tracee: &Tracee) -> Result<Option<Difference>, MirrorError> {
        let their_pages = open(&format!("/proc/{}/pagemap", tracee.pid()), false)?;
        let mut found = None;
        for region in self.regions.iter().filter(|r| r.prot & libc::PROT_WRITE != 0) {
            self.compare(tracee, &their_pages, region, &mut |addr, ours, theirs| {
                let at = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(0);
                found = Some(Difference {
                    addr: GuestAddr(addr + at as u64),
                    ours: ours[at],
                    theirs: theirs[at],
                });
                Ok(false)
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// What is mirrored, sorted by address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Gives all memory back. The guest must not run any more.
    pub fn unmap_all(&mut self) {
        for region in self.regions.drain(..) {
            unmap(region.start, region.end);
        }
    }

    /// Compares the pages of a region and hands every one that differs to `differs` (address, ours, theirs), until that
    /// says `false`.
    fn compare(
        &self,
        tracee: &Tracee,
        their_pages: &File,
        region: &Region,
        differs: &mut OnDifference<'_>,
    ) -> Result<(), MirrorError> {
        let mut ours = vec![0; CHUNK as usize];
        let mut theirs = vec![0; CHUNK as usize];
        for run in self.candidates(their_pages, region)? {
            let mut addr = run.start;
            while addr < run.end {
                let len = (run.end - addr).min(CHUNK) as usize;
                read_or_zero(tracee, addr, &mut theirs[..len]);
                self.memory.read_exact_at(&mut ours[..len], addr).map_err(|e| proc_error(&e))?;
                if ours[..len] != theirs[..len] {
                    let pages = ours[..len].chunks(PAGE as usize).zip(theirs[..len].chunks(PAGE as usize));
                    for (index, (our_page, their_page)) in pages.enumerate() {
                        let page_addr = addr + index as u64 * PAGE;
                        if our_page != their_page && !differs(page_addr, our_page, their_page)? {
                            return Ok(());
                        }
                    }
                }
                addr += len as u64;
            }
        }
        Ok(())
    }

    /// The parts of a region that can differ: all of a file's, of anonymous memory what either process has pages for.
    fn candidates(&self, their_pages: &File, region: &Region) -> Result<Vec<Range<u64>>, MirrorError> {
        let mut runs = Vec::new();
        if region.is_file() || region.shared {
            runs.push(region.start.0..region.end.0);
            return Ok(runs);
        }
        let (mut ours, mut theirs) = (vec![0u8; PAGEMAP_CHUNK * 8], vec![0u8; PAGEMAP_CHUNK * 8]);
        let (mut page, end) = (region.start.0 / PAGE, region.end.0 / PAGE);
        while page < end {
            let size = ((end - page) as usize).min(PAGEMAP_CHUNK) * 8;
            self.pages.read_exact_at(&mut ours[..size], page * 8).map_err(|e| proc_error(&e))?;
            their_pages.read_exact_at(&mut theirs[..size], page * 8).map_err(|e| proc_error(&e))?;
            for (our_entry, their_entry) in ours[..size].chunks_exact(8).zip(theirs[..size].chunks_exact(8)) {
                // The topmost two bits: present, or in swap space.
                if (our_entry[7] | their_entry[7]) & 0xc0 != 0 {
                    add_range_u64(&mut runs, page * PAGE..(page + 1) * PAGE);
                }
                page += 1;
            }
        }
        Ok(runs)
    }

    /// Changes the mappings of this process to `new`; returns what may differ in contents now.
    fn remap(
        &mut self,
        new: Vec<Region>,
        changes: &mut Changes,
    ) -> Result<Vec<Range<GuestAddr>>, MirrorError> {
        for old in &self.regions {
            for gap in uncovered(old.start..old.end, &new) {
                unmap(gap.start, gap.end);
                changes.remapped.push(gap);
            }
        }
        // If something fails below, at most what is listed here is mapped.
        let old = std::mem::take(&mut self.regions);
        for region in &old {
            for part in overlaps(region, &new) {
                self.regions.push(Region { start: part.0.start, end: part.0.end, ..region.clone() });
            }
        }
        let mut fresh = Vec::new();
        for region in &new {
            for (part, same) in overlaps(region, &old) {
                if !same_memory(region, same) {
                    map(&part, region, true)?;
                    changes.remapped.push(part.clone());
                    fresh.push(part);
                } else if region.prot != same.prot {
                    protect(&part, region.prot)?;
                    changes.protected.push(part.clone());
                    fresh.push(part);
                }
            }
            for part in uncovered(region.start..region.end, &old) {
                map(&part, region, false)?;
                self.regions.push(Region { start: part.start, end: part.end, ..region.clone() });
                changes.remapped.push(part.clone());
                fresh.push(part);
            }
        }
        for list in [&mut changes.remapped, &mut changes.protected] {
            list.sort_by_key(|range| range.start);
        }
        self.regions = new;
        Ok(fresh)
    }

    /// What [`crate::load`] would say about the image.
    fn image(&self, tracee: &Tracee) -> Result<Image, MirrorError> {
        let registers = tracee.registers()?;
        let auxv = tracee.auxv()?;
        let value = |kind| auxv.iter().find(|&&(k, _)| k == kind).map_or(0, |&(_, v)| v);
        let stat = tracee.proc_file("stat")?;
        let unreadable = || TraceError::System { call: "stat", errno: libc::EIO };
        let layout = regions::parse_stat(&stat).ok_or_else(unreadable)?;
        let range = |(start, end)| GuestAddr(start)..GuestAddr(end);
        let stack = self.regions.iter().find(|r| r.is_stack());
        let mappings = self.regions.iter().map(|region| {
            let name = region.name.as_os_str();
            Mapping {
                start: region.start,
                end: region.end,
                prot: region.prot,
                flags: if region.shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE },
                file: region.is_file().then(|| Arc::from(Path::new(name))),
                offset: region.offset,
                name: match name.as_bytes() {
                    b"[stack]" => "[stack]",
                    b"[heap]" => "[heap]",
                    _ => "",
                },
                identity: None,
            }
        });
        Ok(Image {
            entry: GuestAddr(registers.rip),
            program_entry: GuestAddr(value(libc::AT_ENTRY)),
            phdr: GuestAddr(value(libc::AT_PHDR)),
            interp_base: GuestAddr(value(libc::AT_BASE)),
            stack_pointer: GuestAddr(registers.rsp),
            stack: stack.map_or_else(Default::default, |r| r.start..r.end),
            brk_start: GuestAddr(layout.start_brk),
            exe: tracee.exe()?,
            execfn: read_string(tracee, value(libc::AT_EXECFN))?,
            argv: read_strings(tracee, layout.args)?,
            args: range(layout.args),
            env: range(layout.env),
            auxv,
            mappings: mappings.collect(),
            arch: Arch::X86_64,
        })
    }
}

/// The tracee's regions that are to be mirrored, the stack at its full size.
fn wanted(tracee: &Tracee) -> Result<Vec<Region>, MirrorError> {
    let mut regions = tracee.regions()?;
    regions.retain(|r| !r.is_kernels());
    let limit = page_floor(sys::stack_limit().unwrap_or(UNLIMITED_STACK).min(UNLIMITED_STACK));
    let below = |at: usize| at.checked_sub(1).map(|i| regions[i].end);
    if let Some(at) = regions.iter().position(Region::is_stack) {
        let floor = below(at).map_or(0, |end| end.0);
        let full = regions[at].end.0.saturating_sub(limit).max(floor);
        regions[at].start = GuestAddr(full.min(regions[at].start.0));
    }
    Ok(regions)
}

/// Whether two regions that overlap are, where they do, the same memory and not a new one in the same place.
fn same_memory(a: &Region, b: &Region) -> bool {
    a.shared == b.shared
        && a.inode == b.inode
        && a.device == b.device
        && (!a.is_file() || a.offset.wrapping_sub(a.start.0) == b.offset.wrapping_sub(b.start.0))
}

/// The parts of `region` that lie in one of `others`, with that one.
fn overlaps<'a>(
    region: &Region,
    others: &'a [Region],
) -> impl Iterator<Item = (Range<GuestAddr>, &'a Region)> + use<'a> {
    let (start, end) = (region.start, region.end);
    let first = others.partition_point(|other| other.end <= start);
    others[first..]
        .iter()
        .take_while(move |other| other.start < end)
        .map(move |other| (other.start.max(start)..other.end.min(end), other))
}

/// The parts of `range` that lie in none of `others`, which are sorted.
fn uncovered(range: Range<GuestAddr>, others: &[Region]) -> Vec<Range<GuestAddr>> {
    let mut gaps = Vec::new();
    let mut next = range.start;
    let first = others.partition_point(|other| other.end <= range.start);
    for other in others[first..].iter().take_while(|other| other.start < range.end) {
        if next < other.start {
            gaps.push(next..other.start);
        }
        next = next.max(other.end);
    }
    if next < range.end {
        gaps.push(next..range.end);
    }
    gaps
}

/// Adds a range to a sorted list, joining it with the last one if they touch.
fn add_range(list: &mut Vec<Range<GuestAddr>>, range: Range<u64>) {
    match list.last_mut() {
        Some(last) if last.end.0 == range.start => last.end = GuestAddr(range.end),
        _ => list.push(GuestAddr(range.start)..GuestAddr(range.end)),
    }
}

/// The same for plain numbers.
fn add_range_u64(list: &mut Vec<Range<u64>>, range: Range<u64>) {
    match list.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => list.push(range),
    }
}

/// Reads whole pages; those that cannot be read (beyond the end of a file, below the stack) count as zeros.
fn read_or_zero(tracee: &Tracee, addr: u64, buffer: &mut [u8]) {
    let mut done = 0;
    while done < buffer.len() {
        done += tracee.read_some(GuestAddr(addr + done as u64), &mut buffer[done..]);
        if done < buffer.len() {
            let page_end = done - done % PAGE as usize + PAGE as usize;
            buffer[done..page_end].fill(0);
            done = page_end;
        }
    }
}

/// The NUL-terminated string at `addr`.
fn read_string(tracee: &Tracee, addr: u64) -> Result<std::ffi::CString, MirrorError> {
    let mut bytes = vec![0; PAGE as usize + 1];
    let got = tracee.read_some(GuestAddr(addr), &mut bytes);
    let end = bytes[..got].iter().position(|&b| b == 0).unwrap_or(got);
    bytes.truncate(end);
    std::ffi::CString::new(bytes).map_err(|_| TraceError::Memory { addr: GuestAddr(addr) }.into())
}

/// The strings that fill a range of addresses.
fn read_strings(tracee: &Tracee, (start, end): (u64, u64)) -> Result<Vec<std::ffi::CString>, MirrorError> {
    let mut bytes = vec![0; end.saturating_sub(start) as usize];
    tracee.read(GuestAddr(start), &mut bytes)?;
    let strings = bytes.split_inclusive(|&b| b == 0).map(|s| s.strip_suffix(&[0]).unwrap_or(s));
    Ok(strings.filter_map(|s| std::ffi::CString::new(s).ok()).collect())
}

fn open(path: &str, write: bool) -> Result<File, MirrorError> {
    OpenOptions::new().read(true).write(write).open(path).map_err(|e| proc_error(&e))
}

fn proc_error(error: &std::io::Error) -> MirrorError {
    MirrorError::Proc { errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// Maps zeroed memory for a part of a region. `ours`: the mirror has something there already, which goes.
fn map(part: &Range<GuestAddr>, region: &Region, ours: bool) -> Result<(), MirrorError> {
    let placement = if ours { libc::MAP_FIXED } else { libc::MAP_FIXED_NOREPLACE };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | placement;
    let (start, len) = (part.start.0, part.end.0 - part.start.0);
    // SAFETY: either nothing is replaced, or memory of the guest that the tracee has replaced as well.
    let addr = unsafe { libc::mmap(start as *mut _, len as usize, region.prot, flags, -1, 0) };
    if addr as u64 == start {
        return Ok(());
    }
    match crate::map::last_errno() {
        libc::EEXIST => Err(MirrorError::Occupied { start: part.start, end: part.end }),
        errno => Err(MirrorError::Map { start: part.start, end: part.end, errno }),
    }
}

fn protect(part: &Range<GuestAddr>, prot: i32) -> Result<(), MirrorError> {
    let len = (part.end.0 - part.start.0) as usize;
    // SAFETY: memory of the guest, whose tracee changed the protection in the same way.
    if unsafe { libc::mprotect(part.start.0 as *mut _, len, prot) } == 0 {
        return Ok(());
    }
    Err(MirrorError::Map { start: part.start, end: part.end, errno: crate::map::last_errno() })
}

fn unmap(start: GuestAddr, end: GuestAddr) {
    // SAFETY: memory of the guest, which the tracee has unmapped as well.
    unsafe { libc::munmap(start.0 as *mut _, (end.0 - start.0) as usize) };
}
