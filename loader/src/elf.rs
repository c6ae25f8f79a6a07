//! ELF headers and segments, as data.
//!
//! Turns the first bytes of a file into [`Headers`], and those into a [`Layout`]: what is to be mapped
//! where, relative to the image's base. Nothing is mapped here and only headers are read: the file may
//! be hundreds of megabytes.
//!
//! # How strict
//! Exactly as strict as the kernel's loader, because a program that runs without us must run with us, and
//! one that does not must fail the same way. So the ELF class, version, OS ABI and section headers are not
//! looked at, and program headers may come in any order. The kernel's checks fall into two groups:
//! those before the old program is thrown away ([`Headers::read`], [`Headers::interpreter`]) give an errno,
//! those after it ([`Headers::layout`]) kill the process. Known difference: an interpreter whose addresses wrap
//! around the end of the address space is refused, while the kernel maps such a segment below the others.
//!
//! # Invariants of a [`Layout`]
//! Every range of every segment is page-aligned and lies inside `span`; no arithmetic on the unrelocated
//! addresses overflows; file offsets are page-aligned.

use std::fs::File;
use std::os::unix::fs::FileExt;

use goblin::elf64::header::{EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, Header, SIZEOF_EHDR};
use goblin::elf64::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, ProgramHeader, SIZEOF_PHDR,
};

use crate::Arch;
use crate::error::{FormatFault, LayoutFault};

/// Bytes in a page of memory, on every machine this crate runs on.
pub const PAGE: u64 = 4096;

/// End of the addresses a program may use: 2^47 less a guard page. Five-level paging does not move it for
/// programs that do not ask.
pub const ADDRESS_END: u64 = 0x7fff_ffff_f000;

/// Bytes read from the start of a file in one go; enough for the program headers and the interpreter path
/// of nearly every program.
const HEAD: usize = 2048;

/// Longest table of program headers that the kernel reads, in bytes.
const PHDRS_MAX: usize = 65536;

/// Rounds down to a page boundary.
pub(crate) const fn page_floor(addr: u64) -> u64 {
    addr & !(PAGE - 1)
}

/// Rounds up to a page boundary. `addr` must not lie in the last page of the 64-bit space.
pub(crate) const fn page_ceil(addr: u64) -> u64 {
    page_floor(addr + (PAGE - 1))
}

/// The first bytes of a file, followed by zeros where the file is shorter.
#[repr(C, align(8))]
pub(crate) struct Head {
    bytes: [u8; HEAD],
    len: usize,
}

impl Head {
    /// Reads the start of `file`. An error is the system's error number.
    pub(crate) fn read(file: &File) -> Result<Head, i32> {
        let mut head = Head { bytes: [0; HEAD], len: 0 };
        while head.len < HEAD {
            match file.read_at(&mut head.bytes[head.len..], head.len as u64) {
                Ok(0) => break,
                Ok(n) => head.len += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.raw_os_error().unwrap_or(libc::EIO)),
            }
        }
        Ok(head)
    }

    /// The bytes that the file really has.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The first `N` bytes, zeros where the file is shorter.
    pub(crate) fn padded<const N: usize>(&self) -> &[u8; N] {
        const { assert!(N <= HEAD) };
        match self.bytes.first_chunk() {
            Some(chunk) => chunk,
            None => unreachable!(), // N <= HEAD was checked when this was compiled
        }
    }

    /// Whether the file starts as an ELF file does.
    pub(crate) fn is_elf(&self) -> bool {
        self.bytes().starts_with(b"\x7fELF")
    }

    /// `e_machine`, meaningful if [`is_elf`](Self::is_elf).
    pub(crate) fn machine(&self) -> u16 {
        self.header().e_machine
    }

    /// `e_type`, meaningful if [`is_elf`](Self::is_elf).
    pub(crate) fn has_executable_type(&self) -> bool {
        matches!(self.header().e_type, ET_EXEC | ET_DYN)
    }

    /// The architecture, if the file is an ELF file for one that can be a guest.
    pub(crate) fn arch(&self) -> Option<Arch> {
        match self.machine() {
            _ if !self.is_elf() => None,
            EM_X86_64 => Some(Arch::X86_64),
            EM_AARCH64 => Some(Arch::AArch64),
            _ => None,
        }
    }

    fn header(&self) -> &Header {
        // The buffer is 8-byte aligned, as `from_bytes` demands.
        Header::from_bytes(self.padded::<SIZEOF_EHDR>())
    }
}

/// The ELF header and program headers of a file for a guest.
pub(crate) struct Headers {
    header: Header,
    phdrs: Vec<ProgramHeader>,
}

impl Headers {
    /// Reads the program headers of a file whose [architecture](Head::arch) is known. `None` if the kernel would
    /// not accept them.
    pub(crate) fn read(file: &File, head: &Head) -> Option<Headers> {
        let header = *head.header();
        let size = usize::from(header.e_phnum) * SIZEOF_PHDR;
        if usize::from(header.e_phentsize) != SIZEOF_PHDR || size == 0 || size > PHDRS_MAX {
            return None;
        }
        let bytes = read_exact(file, head, header.e_phoff, size).ok()?;
        Some(Headers { header, phdrs: ProgramHeader::from_bytes(&bytes, usize::from(header.e_phnum)) })
    }

    /// The path in the first `PT_INTERP`, up to its first NUL.
    pub(crate) fn interpreter(&self, file: &File, head: &Head) -> Result<Option<Vec<u8>>, InterpreterFault> {
        let Some(ph) = self.phdrs.iter().find(|ph| ph.p_type == PT_INTERP) else { return Ok(None) };
        if !(2..=libc::PATH_MAX as u64).contains(&ph.p_filesz) {
            return Err(InterpreterFault::Format(FormatFault::InterpreterPath));
        }
        let mut path =
            read_exact(file, head, ph.p_offset, ph.p_filesz as usize).map_err(InterpreterFault::Read)?;
        if path.last() != Some(&0) {
            return Err(InterpreterFault::Format(FormatFault::InterpreterPath));
        }
        let end = path.iter().position(|&b| b == 0).unwrap_or(path.len());
        path.truncate(end);
        Ok(Some(path))
    }

    /// Lays out the image. `file_size` is the file's size in bytes.
    pub(crate) fn layout(&self, file_size: u64) -> Result<Layout, LayoutFault> {
        let fixed = match self.header.e_type {
            ET_EXEC => true,
            ET_DYN => false,
            _ => return Err(LayoutFault::InterpreterType),
        };
        let loads = || self.phdrs.iter().filter(|ph| ph.p_type == PT_LOAD);
        let (mut low, mut high, mut memory_end, mut align) = (u64::MAX, 0, 0, PAGE);
        let (mut segments, mut phdr_addr) = (Vec::with_capacity(4), 0);
        for ph in loads() {
            let segment = Segment::new(ph, file_size)?;
            low = low.min(segment.start);
            high = high.max(page_ceil(ph.p_vaddr + ph.p_memsz));
            memory_end = memory_end.max(ph.p_vaddr + ph.p_memsz);
            if ph.p_align.is_power_of_two() && ph.p_align <= ADDRESS_END {
                align = align.max(ph.p_align);
            }
            let phoff = self.header.e_phoff;
            if ph.p_offset <= phoff && phoff < ph.p_offset.saturating_add(ph.p_filesz) {
                phdr_addr = phoff - ph.p_offset + ph.p_vaddr;
            }
            segments.push(segment);
        }
        let stack = self.phdrs.iter().rev().find(|ph| ph.p_type == PT_GNU_STACK);
        Ok(Layout {
            fixed,
            first: segments.first().map_or(0, |s| s.start),
            segments,
            span: (low.min(high), high),
            align,
            entry: self.header.e_entry,
            phdr_addr,
            phdr_count: u64::from(self.header.e_phnum),
            memory_end,
            exec_stack: stack.is_some_and(|ph| ph.p_flags & PF_X != 0),
        })
    }
}

/// Why an interpreter path cannot be had.
#[derive(Debug)]
pub(crate) enum InterpreterFault {
    Format(FormatFault),
    /// Error number of the read.
    Read(i32),
}

/// What is to be mapped where. Addresses are as in the file; an image that is not `fixed` may be moved by
/// any multiple of `align`.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The image must lie at the addresses given (`ET_EXEC`).
    pub fixed: bool,
    /// In file order, which is the order to map them in: later ones win where pages overlap.
    pub segments: Vec<Segment>,
    /// Page-aligned start and end of all segments.
    pub span: (u64, u64),
    /// Page-aligned start of the first segment in file order: what the kernel puts at the base it chose.
    pub first: u64,
    /// Largest alignment asked for, at least a page, a power of two.
    pub align: u64,
    /// First instruction.
    pub entry: u64,
    /// Where the program headers come to lie, 0 if no segment holds them.
    pub phdr_addr: u64,
    /// Number of program headers.
    pub phdr_count: u64,
    /// End of the last segment in memory, to the byte; the program break starts from here.
    pub memory_end: u64,
    /// The stack must be executable.
    pub exec_stack: bool,
}

/// One `PT_LOAD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Page-aligned start.
    pub start: u64,
    /// Page-aligned end of the part that comes from the file; `start` if nothing does.
    pub file_end: u64,
    /// Page-aligned offset in the file.
    pub offset: u64,
    /// Bytes from here to `file_end` are zeroed if the segment is writable; equals `file_end` if there is
    /// nothing to zero.
    pub zero_from: u64,
    /// Page-aligned start of the anonymous part.
    pub bss_start: u64,
    /// Page-aligned end of the anonymous part, `bss_start` if there is none.
    pub bss_end: u64,
    /// `PROT_*` bits.
    pub prot: i32,
}

impl Segment {
    fn new(ph: &ProgramHeader, file_size: u64) -> Result<Segment, LayoutFault> {
        if ph.p_filesz > ph.p_memsz {
            return Err(LayoutFault::FileLarger);
        }
        if ph.p_vaddr >= ADDRESS_END || ph.p_memsz > ADDRESS_END || ADDRESS_END - ph.p_memsz < ph.p_vaddr {
            return Err(LayoutFault::OutOfRange);
        }
        let start = page_floor(ph.p_vaddr);
        let in_page = ph.p_vaddr - start;
        let mut segment = Segment {
            start,
            file_end: start,
            offset: 0,
            zero_from: start,
            bss_start: start,
            bss_end: start,
            prot: protection(ph.p_flags),
        };
        if ph.p_filesz > 0 {
            segment.file_end = page_ceil(ph.p_vaddr + ph.p_filesz);
            segment.zero_from = segment.file_end;
            segment.bss_start = segment.file_end;
            segment.bss_end = segment.file_end;
            segment.offset = ph.p_offset.checked_sub(in_page).ok_or(LayoutFault::Misaligned)?;
            if !segment.offset.is_multiple_of(PAGE) {
                return Err(LayoutFault::Misaligned);
            }
            let in_file_end = segment.offset.checked_add(segment.file_end - start);
            if in_file_end.is_none_or(|end| end > i64::MAX as u64) {
                return Err(LayoutFault::OutOfRange);
            }
        }
        if ph.p_memsz > ph.p_filesz {
            let data_end = ph.p_vaddr + ph.p_filesz;
            segment.bss_end = page_ceil(ph.p_vaddr + ph.p_memsz);
            if ph.p_filesz > 0 {
                segment.zero_from = data_end;
            }
            let zeroes = ph.p_filesz > 0 && !data_end.is_multiple_of(PAGE);
            if zeroes && segment.prot & libc::PROT_WRITE != 0 {
                let page_in_file = segment.offset + (page_floor(data_end) - start);
                if page_in_file >= file_size {
                    return Err(LayoutFault::Truncated);
                }
            }
        }
        Ok(segment)
    }
}

/// `PROT_*` bits for `PF_*` bits.
fn protection(flags: u32) -> i32 {
    [(PF_R, libc::PROT_READ), (PF_W, libc::PROT_WRITE), (PF_X, libc::PROT_EXEC)]
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(0, |prot, (_, bit)| prot | bit)
}

/// Reads `size` bytes at `offset`, from `head` where it holds them. `EIO` if the file ends before.
fn read_exact(file: &File, head: &Head, offset: u64, size: usize) -> Result<Vec<u8>, i32> {
    let in_head = usize::try_from(offset).ok().and_then(|start| head.bytes().get(start..)?.get(..size));
    if let Some(bytes) = in_head {
        return Ok(bytes.to_vec());
    }
    if offset > i64::MAX as u64 {
        return Err(libc::EINVAL);
    }
    let mut bytes = vec![0; size];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EIO)),
    }
}
