//! Guest programs: from a path to an image in memory, ready to run.
//!
//! [`load`] does inside the running process what the kernel does for `execve`: it finds the program behind a path
//! (`#!` scripts included), maps it and its `PT_INTERP`, and builds the initial stack. The guest then lives
//! *beside* whoever called, in the same address space; nothing of the caller is replaced. [`check`] makes the same
//! decisions without mapping anything, [`resolve`] looks a name up in `PATH`, [`GuestBrk`] is the guest's own
//! program break.
//!
//! For lockstep verification [`Tracee`] runs the program natively in a second process, one instruction at a time, and
//! [`load_like`] builds the image of that process here, at the same addresses.
//!
//! What this crate must not know: instructions, traces, code caches.
//!
//! In reading order: `error` (why not), `elf` and `script` (file formats, as data), `program` (from path to open
//! files), `map`, `stack`, `brk` (memory); then `regions`, `ptrace`, `mirror` for the second process. `unsafe` is
//! confined to `sys`, `map`, `stack`, `brk`, `ptrace` and `mirror`.
//!
//! # Oracle
//! The kernel. A file that it runs, we run, at the same kind of addresses with the same stack; one that it
//! refuses, we refuse with the same error number. The tests compare both, on damaged files too.

mod brk;
mod elf;
mod error;
mod map;
mod mirror;
mod program;
mod ptrace;
mod regions;
mod resolve;
mod script;
mod stack;
mod sys;

use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use brk::GuestBrk;
pub use elf::{ADDRESS_END, PAGE};
pub use error::{FormatFault, LayoutFault, LoadError};
pub use mirror::{Changes, Difference, Mirror, MirrorError, load_like};
pub use program::{Kind, below, check};
pub use ptrace::{Stop, TraceError, Tracee};
pub use regions::{Region, parse_maps};
pub use resolve::resolve;
pub use sys::environment;

use map::{Place, PlaceError};
use program::Executable;
use stack::{ImageFacts, StackRandom};

/// An address in the guest's view of memory. The guest lives in this process, so the number is also valid here;
/// the type keeps it apart from addresses of our own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestAddr(pub u64);

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The architecture of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm, little endian.
    AArch64,
}

impl Arch {
    /// The architecture that runs on this machine without translation.
    pub const HOST: Arch = if cfg!(target_arch = "aarch64") { Arch::AArch64 } else { Arch::X86_64 };

    /// What `AT_PLATFORM` and `uname` call it.
    pub fn name(self) -> &'static CStr {
        match self {
            Arch::X86_64 => c"x86_64",
            Arch::AArch64 => c"aarch64",
        }
    }
}

/// What programs for another machine are told and where they find their files.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// A directory in which absolute paths (of `PT_INTERP`, here) are looked up before they are in `/`.
    pub sysroot: Option<PathBuf>,
    /// `AT_HWCAP`: the optional instructions that the translator knows.
    pub hwcap: u64,
}

/// What to load.
#[derive(Debug, Clone)]
pub struct Request {
    /// The program, as it would be given to `execve`; see [`resolve`].
    pub path: PathBuf,
    /// The arguments; `argv[0]` is the caller's choice, as for `execve`.
    pub argv: Vec<CString>,
    /// The environment, `NAME=value` each.
    pub envp: Vec<CString>,
    /// Randomise addresses. Without it they are the same each time as far as this process leaves them free.
    pub aslr: bool,
    /// Run a text file without a `#!` line by `/bin/sh`, as a shell and `execvp` do and `execve` does not.
    pub shell: bool,
    /// For a program that was not built for this machine.
    pub foreign: Foreign,
}

/// A program in memory.
#[derive(Debug)]
pub struct Image {
    /// Where execution starts: in the interpreter if there is one.
    pub entry: GuestAddr,
    /// The program's own entry point (`AT_ENTRY`).
    pub program_entry: GuestAddr,
    /// The program headers in memory (`AT_PHDR`).
    pub phdr: GuestAddr,
    /// Base of the interpreter (`AT_BASE`), 0 if there is none.
    pub interp_base: GuestAddr,
    /// The initial stack pointer; `argc` is there.
    pub stack_pointer: GuestAddr,
    /// What the stack may grow to under the limit in force when it was made. Less is mapped at first.
    pub stack: Range<GuestAddr>,
    /// Where the program break starts; page-aligned, nothing is mapped. For [`GuestBrk::new`].
    pub brk_start: GuestAddr,
    /// The canonical path of the file that is executed: the interpreter of a script, not the script.
    pub exe: PathBuf,
    /// The path as requested (`AT_EXECFN`).
    pub execfn: CString,
    /// The arguments the program got, with those that `#!` lines added.
    pub argv: Vec<CString>,
    /// Argument strings on the stack, for `/proc/PID/cmdline`.
    pub args: Range<GuestAddr>,
    /// Environment strings on the stack, for `/proc/PID/environ`.
    pub env: Range<GuestAddr>,
    /// The auxiliary vector, ending with `AT_NULL`.
    pub auxv: Vec<(u64, u64)>,
    /// All that was mapped, sorted by address.
    pub mappings: Vec<Mapping>,
    /// The guest's architecture.
    pub arch: Arch,
}

/// A part of a guest's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First byte; page-aligned.
    pub start: GuestAddr,
    /// One past the last byte; page-aligned.
    pub end: GuestAddr,
    /// `PROT_*` bits.
    pub prot: i32,
    /// `MAP_*` bits.
    pub flags: i32,
    /// The file it comes from.
    pub file: Option<Arc<Path>>,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// What `/proc/PID/maps` calls it if it has no file: `[stack]` or nothing.
    pub name: &'static str,
    /// The identity of that file when it was mapped.
    pub identity: Option<FileIdentity>,
}

/// What makes a file the same file with the same contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Time of the last change of contents, in nanoseconds.
    pub modified: u64,
    /// Time of the last change of anything, likewise.
    pub changed: u64,
}

impl FileIdentity {
    /// The identity of an open file that is a regular one and has a name.
    pub fn of(metadata: &std::fs::Metadata) -> Option<FileIdentity> {
        use std::os::unix::fs::MetadataExt;
        let time = |s: i64, n: i64| (s as u64).wrapping_mul(1_000_000_000).wrapping_add(n as u64);
        (metadata.is_file() && metadata.nlink() > 0).then(|| FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Maps a program into this process. On an error everything that was mapped is gone again.
pub fn load(request: &Request) -> Result<Image, LoadError> {
    let exec_name = CString::new(request.path.as_os_str().as_bytes())
        .map_err(|_| LoadError::open(&request.path, libc::ENOENT))?;
    let program =
        program::find(&request.path, &request.argv, request.shell, request.foreign.sysroot.as_deref())?;
    if !stack::strings_fit(&exec_name, &program.argv, &request.envp) {
        return Err(LoadError::ArgumentsTooLong { path: request.path.clone() });
    }
    let random = Randomness::new(request.aslr);
    let layout_error = |file: &Executable| {
        let path = file.path.clone();
        move |why| LoadError::Malformed { path, why }
    };

    // Everything that can be refused by looking is refused before anything is mapped.
    let layout = program.headers.layout(program.file.size).map_err(layout_error(&program.file))?;
    let interpreter = match &program.interpreter {
        Some((file, headers)) => {
            let layout = headers.layout(file.size).map_err(layout_error(file))?;
            if layout.segments.is_empty() {
                return Err(layout_error(file)(LayoutFault::NoSegment));
            }
            Some((file, layout))
        }
        None => None,
    };
    let mut image = PartialImage::default();
    let at = if interpreter.is_some() { Place::Program(random.program) } else { Place::Anywhere };
    let exe = program.file.canonical_path();
    let bias = image.place(&layout, &program.file, &exe, at)?;
    let program_entry = layout.entry.wrapping_add(bias);
    let (entry, interp_base) = match &interpreter {
        Some((file, layout)) => {
            let bias = image.place(layout, file, &file.canonical_path(), Place::Anywhere)?;
            (layout.entry.wrapping_add(bias), bias)
        }
        None => (program_entry, 0),
    };
    if entry >= ADDRESS_END {
        return Err(layout_error(&program.file)(LayoutFault::Entry));
    }
    let facts = ImageFacts {
        phdr: layout.phdr_addr.wrapping_add(bias),
        phdr_count: layout.phdr_count,
        interpreter_base: interp_base,
        entry: program_entry,
        foreign: (program.arch != Arch::HOST).then_some((program.arch, request.foreign.hwcap)),
    };
    let stack =
        stack::build(random.stack, layout.exec_stack, &exec_name, &program.argv, &request.envp, &facts)
            .map_err(|errno| LoadError::Map { path: request.path.clone(), errno })?;
    let mut mappings = image.finish();
    mappings.push(stack::mapping(&stack, layout.exec_stack));
    mappings.sort_by_key(|m| m.start);

    let loader_alone = !layout.fixed && interpreter.is_none();
    Ok(Image {
        entry: GuestAddr(entry),
        program_entry: GuestAddr(program_entry),
        phdr: GuestAddr(facts.phdr),
        interp_base: GuestAddr(interp_base),
        stack_pointer: GuestAddr(stack.pointer),
        stack: GuestAddr(stack.range.start)..GuestAddr(stack.range.end),
        brk_start: GuestAddr(random.brk(layout.memory_end.wrapping_add(bias), loader_alone)),
        exe,
        execfn: exec_name,
        argv: program.argv,
        args: GuestAddr(stack.args.start)..GuestAddr(stack.args.end),
        env: GuestAddr(stack.env.start)..GuestAddr(stack.env.end),
        auxv: stack.auxv,
        mappings,
        arch: program.arch,
    })
}

/// The images mapped so far; unmapped again if loading fails later.
#[derive(Default)]
struct PartialImage {
    mappings: Vec<Mapping>,
}

impl PartialImage {
    /// Maps one file and returns its bias.
    fn place(
        &mut self,
        layout: &elf::Layout,
        file: &Executable,
        path: &Path,
        at: Place,
    ) -> Result<u64, LoadError> {
        let placed = map::place(layout, &file.file, path, at).map_err(|e| {
            let path = file.path.clone();
            match e {
                PlaceError::Occupied => LoadError::Occupied {
                    path,
                    start: GuestAddr(layout.span.0),
                    end: GuestAddr(layout.span.1),
                },
                PlaceError::Unmappable => LoadError::Malformed { path, why: LayoutFault::Unmappable },
                PlaceError::System(errno) => LoadError::Map { path, errno },
            }
        })?;
        self.mappings.extend(placed.mappings);
        Ok(placed.bias)
    }

    fn finish(mut self) -> Vec<Mapping> {
        std::mem::take(&mut self.mappings)
    }
}

impl Drop for PartialImage {
    fn drop(&mut self) {
        map::unmap_all(&self.mappings);
    }
}

/// All random choices of one load, drawn at once.
struct Randomness {
    program: u64,
    brk: u64,
    stack: StackRandom,
}

impl Randomness {
    fn new(aslr: bool) -> Randomness {
        let bytes: [u8; 48] = sys::random_bytes();
        let word = |i: usize| {
            let number = bytes[i * 8..][..8].try_into().map_or(0, u64::from_le_bytes);
            if aslr { number } else { 0 }
        };
        let mut seed = [0; 16];
        seed.copy_from_slice(&bytes[32..]);
        let stack = StackRandom { top: word(2), gap: word(3), seed, fixed: !aslr };
        Randomness { program: word(0), brk: word(1), stack }
    }

    /// Where the break starts for a program that ends at `end`: right there, or up to 1 GiB above. A program that
    /// needs no interpreter and can lie anywhere (a dynamic linker, usually) lies among the mappings, where there is
    /// no room to grow: its break goes to the area for programs.
    fn brk(&self, end: u64, loader_alone: bool) -> u64 {
        const RANGE: u64 = 1 << 30;
        let end = if loader_alone { map::PIE_BASE } else { end };
        let start = elf::page_ceil(end.min(ADDRESS_END));
        match self.brk {
            0 => start,
            random => elf::page_floor(start + PAGE + random % RANGE),
        }
    }
}
