//! Places an image in this process's memory.
//!
//! # Contract
//! Guest images are mapped beside whatever this process uses itself. Everything mapped here first reserves
//! its whole span with `MAP_FIXED_NOREPLACE` (or at an address of the kernel's choice) and only then maps
//! segments over the reservation with `MAP_FIXED`. So no mapping of ours is ever replaced, whatever the
//! headers say: [`Layout`] guarantees that all segments lie inside the span. A reservation that is not
//! completed is given back.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use crate::elf::{Layout, PAGE, page_floor};
use crate::{FileIdentity, GuestAddr, Mapping};

/// Where the kernel puts position-independent programs before randomisation: two thirds up.
pub(crate) const PIE_BASE: u64 = 0x5555_5555_4000;

/// Randomisation of program addresses, in pages.
const PIE_RANDOM_PAGES: u64 = 1 << 28;

/// Addresses to try before giving up.
const ATTEMPTS: u64 = 32;

/// Where an image that can be moved shall go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// In the area for programs, moved by this number (its low bits matter; 0 is the unrandomised address).
    Program(u64),
    /// Where the kernel puts mappings without a wish.
    Anywhere,
}

/// An image in memory.
pub(crate) struct Placed {
    /// What to add to an address in the file to get its address in memory.
    pub bias: u64,
    pub mappings: Vec<Mapping>,
}

/// Why an image is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceError {
    /// Something of ours is at the addresses it must have.
    Occupied,
    /// The addresses are not to be had at all.
    Unmappable,
    /// The system's error number.
    System(i32),
}

/// Maps all segments of `layout` from `file`.
pub(crate) fn place(layout: &Layout, file: &File, path: &Path, at: Place) -> Result<Placed, PlaceError> {
    let (low, high) = layout.span;
    if low == high {
        return Ok(Placed { bias: 0, mappings: Vec::new() });
    }
    let reservation = match (layout.fixed, at) {
        (true, _) => Reservation::exactly(low, high - low)?,
        (false, Place::Program(random)) => reserve_program(layout, random)?,
        (false, Place::Anywhere) => Reservation::anywhere(high - low, layout.align)?,
    };
    let bias = reservation.start.wrapping_sub(low);
    let file_path: Arc<Path> = Arc::from(path);
    let identity = file.metadata().ok().and_then(|m| FileIdentity::of(&m));
    let mut mappings = Vec::with_capacity(8);
    for segment in &layout.segments {
        let at = |addr: u64| addr.wrapping_add(bias);
        if segment.file_end > segment.start {
            reservation.map_file(
                at(segment.start),
                segment.file_end - segment.start,
                segment.prot,
                file,
                segment.offset,
            )?;
            if segment.prot & libc::PROT_WRITE != 0 && segment.zero_from < segment.file_end {
                reservation.zero_to_page_end(at(segment.zero_from));
            }
            add_mapping(
                &mut mappings,
                Mapping {
                    start: GuestAddr(at(segment.start)),
                    end: GuestAddr(at(segment.file_end)),
                    prot: segment.prot,
                    flags: libc::MAP_PRIVATE,
                    file: Some(file_path.clone()),
                    offset: segment.offset,
                    name: "",
                    identity,
                },
            );
        }
        if segment.bss_end > segment.bss_start {
            let prot = libc::PROT_READ | libc::PROT_WRITE | (segment.prot & libc::PROT_EXEC);
            reservation.map_zero(at(segment.bss_start), segment.bss_end - segment.bss_start, prot)?;
            add_mapping(
                &mut mappings,
                Mapping {
                    start: GuestAddr(at(segment.bss_start)),
                    end: GuestAddr(at(segment.bss_end)),
                    prot,
                    flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    file: None,
                    offset: 0,
                    name: "",
                    identity: None,
                },
            );
        }
    }
    reservation.keep_only(&mappings);
    Ok(Placed { bias, mappings })
}

/// Reserves room in the area for programs.
fn reserve_program(layout: &Layout, random: u64) -> Result<Reservation, PlaceError> {
    let (low, high) = layout.span;
    let mut result = Err(PlaceError::Occupied);
    for attempt in 0..ATTEMPTS {
        // Later attempts step over what was in the way; the step is larger than this program.
        let step = attempt * (64 << 20);
        let page = if random == 0 { 0 } else { random % PIE_RANDOM_PAGES };
        let base = (PIE_BASE + page * PAGE + step) & !(layout.align - 1);
        // The kernel puts the first segment at the base, wherever it lies in the span.
        let start = page_floor(base.wrapping_sub(layout.first)).wrapping_add(low);
        result = Reservation::exactly(start, high - low);
        if !matches!(result, Err(PlaceError::Occupied)) {
            break;
        }
    }
    result
}

/// Adds a mapping to a list, sorted by address; what it covers of earlier ones is gone.
fn add_mapping(mappings: &mut Vec<Mapping>, new: Mapping) {
    let mut kept = Vec::with_capacity(mappings.len() + 2);
    for old in mappings.drain(..) {
        if old.end <= new.start || new.end <= old.start {
            kept.push(old);
            continue;
        }
        if old.start < new.start {
            kept.push(Mapping { end: new.start, ..old.clone() });
        }
        if new.end < old.end {
            let cut = new.end.0 - old.start.0;
            let offset = if old.file.is_some() { old.offset + cut } else { 0 };
            kept.push(Mapping { start: new.end, offset, ..old });
        }
    }
    kept.push(new);
    kept.sort_by_key(|m| m.start);
    *mappings = kept;
}

/// A range of addresses that belongs to an image under construction. Dropped, it is unmapped.
struct Reservation {
    start: u64,
    len: u64,
    kept: bool,
}

impl Reservation {
    /// Reserves exactly `start..start + len`.
    fn exactly(start: u64, len: u64) -> Result<Reservation, PlaceError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE replaces nothing; new memory at an address that nobody knows of.
        let addr = unsafe { libc::mmap(start as *mut _, len as usize, libc::PROT_NONE, flags, -1, 0) };
        if addr == libc::MAP_FAILED {
            return Err(match last_errno() {
                libc::EEXIST => PlaceError::Occupied,
                libc::EPERM | libc::EINVAL | libc::EOVERFLOW => PlaceError::Unmappable,
                libc::ENOMEM if start.checked_add(len).is_none_or(|end| end > crate::elf::ADDRESS_END) => {
                    PlaceError::Unmappable
                }
                errno => PlaceError::System(errno),
            });
        }
        let reservation = Reservation { start: addr as u64, len, kept: false };
        // Kernels before 4.17 take the flag for a hint.
        if reservation.start == start { Ok(reservation) } else { Err(PlaceError::Occupied) }
    }

    /// Reserves `len` bytes where the kernel likes, aligned to `align` (a power of two, at least a page).
    fn anywhere(len: u64, align: u64) -> Result<Reservation, PlaceError> {
        let room = len.checked_add(align - PAGE).ok_or(PlaceError::Unmappable)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: new memory at an address of the kernel's choice.
        let addr = unsafe { libc::mmap(std::ptr::null_mut(), room as usize, libc::PROT_NONE, flags, -1, 0) };
        if addr == libc::MAP_FAILED {
            return Err(PlaceError::System(last_errno()));
        }
        let (low, high) = (addr as u64, addr as u64 + room);
        // As high as it fits: the kernel fills its area from above.
        let start = (high - len) & !(align - 1);
        unmap(low, start - low);
        unmap(start + len, high - (start + len));
        Ok(Reservation { start, len, kept: false })
    }

    fn check(&self, addr: u64, len: u64) {
        let inside = addr >= self.start && len <= self.len && addr - self.start <= self.len - len;
        assert!(inside, "a segment must lie inside its image's span");
    }

    fn map_file(&self, addr: u64, len: u64, prot: i32, file: &File, offset: u64) -> Result<(), PlaceError> {
        self.check(addr, len);
        // SAFETY: the range lies inside this reservation, which holds nothing but this image.
        let result = unsafe {
            libc::mmap(
                addr as *mut _,
                len as usize,
                prot,
                libc::MAP_PRIVATE | libc::MAP_FIXED,
                file.as_raw_fd(),
                offset as i64,
            )
        };
        mapped(result)
    }

    fn map_zero(&self, addr: u64, len: u64, prot: i32) -> Result<(), PlaceError> {
        self.check(addr, len);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range lies inside this reservation, which holds nothing but this image.
        mapped(unsafe { libc::mmap(addr as *mut _, len as usize, prot, flags, -1, 0) })
    }

    /// Zeroes from `addr` to the end of its page, which must be mapped writable.
    fn zero_to_page_end(&self, addr: u64) {
        let len = page_floor(addr) + PAGE - addr;
        if len == PAGE {
            return;
        }
        self.check(addr, len);
        // SAFETY: the page lies inside this reservation, was just mapped writable, and is backed by the file:
        // `Layout` refuses segments whose last page lies beyond the end of the file.
        unsafe { std::ptr::write_bytes(addr as *mut u8, 0, len as usize) };
    }

    /// Ends the construction: unmaps what no mapping covers. `mappings` is sorted.
    fn keep_only(mut self, mappings: &[Mapping]) {
        self.kept = true;
        let mut next = self.start;
        for mapping in mappings {
            unmap(next, mapping.start.0 - next);
            next = mapping.end.0;
        }
        unmap(next, self.start + self.len - next);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            unmap(self.start, self.len);
        }
    }
}

/// Gives back what a finished image occupies.
pub(crate) fn unmap_all(mappings: &[Mapping]) {
    for mapping in mappings {
        unmap(mapping.start.0, mapping.end.0 - mapping.start.0);
    }
}

fn unmap(start: u64, len: u64) {
    if len > 0 {
        // SAFETY: callers pass parts of what they mapped themselves and what nobody uses yet.
        unsafe { libc::munmap(start as *mut _, len as usize) };
    }
}

fn mapped(result: *mut libc::c_void) -> Result<(), PlaceError> {
    if result != libc::MAP_FAILED {
        return Ok(());
    }
    Err(match last_errno() {
        libc::EINVAL | libc::EOVERFLOW => PlaceError::Unmappable,
        errno => PlaceError::System(errno),
    })
}

pub(crate) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
