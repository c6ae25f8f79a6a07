//! Why a program cannot be started.
//!
//! One enum covers everything from "no such file" to "the kernel would have killed it half way".
//! Each error answers three questions that different callers ask:
//!
//! - a person: [`Display`](std::fmt::Display) is one line that names the file and the reason;
//! - a shell: [`LoadError::exit_status`] is 127 where something was not found, else 126;
//! - a program that called `execve`: [`LoadError::errno`] is what the kernel would have returned,
//!   and [`LoadError::kills`] tells the errors which the kernel only meets after it has thrown the
//!   old program away, so that no errno can be returned and the process dies by SIGSEGV instead.

use std::path::{Path, PathBuf};

use crate::GuestAddr;

/// Why a program cannot be started. See the module for what each caller gets out of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No directory of the search path holds a program of that name.
    #[error("{name}: command not found")]
    NotFound {
        /// The name as given.
        name: String,
    },
    /// The path cannot be opened: it does not exist, a directory may not be searched, and so on.
    #[error("{}: {}", path.display(), describe(*errno))]
    Open {
        /// The file that was to be opened.
        path: PathBuf,
        /// The reason, as the system gave it.
        errno: i32,
    },
    /// The path names a directory.
    #[error("{}: is a directory", path.display())]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is no regular file (a device, a socket, a pipe).
    #[error("{}: not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The file lacks execute permission for us, or lies on a file system mounted `noexec`.
    #[error("{}: no permission to execute", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The file may be executed but not read, and an image can only be mapped by who may read it.
    /// A limit of ours: the kernel would run the program.
    #[error("{}: may be executed but not read, so it cannot be translated", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the file open for writing.
    #[error("{}: text file busy (open for writing)", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file is not of a format that can be executed.
    #[error("{}: cannot execute: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: FormatFault,
    },
    /// An ELF file for another kind of machine.
    #[error("{}: cannot execute: built for another machine ({})", path.display(), machine_name(*machine))]
    WrongMachine {
        /// The file.
        path: PathBuf,
        /// `e_machine` of its header.
        machine: u16,
    },
    /// The interpreter that the file asks for cannot be opened.
    #[error("{}: cannot execute: interpreter {}: {}", path.display(), interpreter.display(), describe(*errno))]
    Interpreter {
        /// The program or script.
        path: PathBuf,
        /// What its `PT_INTERP` or `#!` line names.
        interpreter: PathBuf,
        /// The reason, as `execve` would report it.
        errno: i32,
    },
    /// The file that `PT_INTERP` names is not an ELF file for this machine.
    #[error("{}: cannot execute: interpreter {} is no ELF file for this machine", path.display(), interpreter.display())]
    BadInterpreter {
        /// The program.
        path: PathBuf,
        /// Its interpreter.
        interpreter: PathBuf,
    },
    /// More than five scripts interpret each other.
    #[error("{}: too many levels of interpreters", path.display())]
    TooManyInterpreters {
        /// The program that was to be started first.
        path: PathBuf,
    },
    /// Arguments and environment are larger than the kernel accepts.
    #[error("{}: argument list too long", path.display())]
    ArgumentsTooLong {
        /// The program.
        path: PathBuf,
    },
    /// A read of the file failed or ended early.
    #[error("{}: cannot read: {}", path.display(), describe(*errno))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        errno: i32,
    },
    /// The headers are plausible but the image cannot be laid out in memory. The kernel finds out when
    /// the old program is gone already and kills the process by SIGSEGV.
    #[error("{}: malformed ELF image: {why} (the kernel kills such a program by SIGSEGV)", path.display())]
    Malformed {
        /// The program or its interpreter.
        path: PathBuf,
        /// What is wrong with it.
        why: LayoutFault,
    },
    /// The program must lie at fixed addresses where this process has something already.
    /// A limit of ours: the kernel would run the program.
    #[error("{}: its fixed addresses {}..{} are taken in this process", path.display(), start, end)]
    Occupied {
        /// The program.
        path: PathBuf,
        /// First address that the program needs.
        start: GuestAddr,
        /// End of what it needs.
        end: GuestAddr,
    },
    /// The system refused memory or a mapping.
    #[error("{}: cannot map into memory: {}", path.display(), describe(*errno))]
    Map {
        /// The file.
        path: PathBuf,
        /// The reason.
        errno: i32,
    },
}

/// Why a file has no executable format; `execve` says `ENOEXEC` to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatFault {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// Neither ELF nor `#!`, and no byte of its first line is NUL: a shell reads such a file as a script.
    #[error("text without a #! line")]
    Text,
    /// Neither ELF nor `#!` nor text.
    #[error("not an ELF file or script")]
    Unknown,
    /// A `#!` line without an interpreter, or with one too long.
    #[error("its #! line names no interpreter")]
    ScriptLine,
    /// An ELF file that is neither an executable nor a shared object.
    #[error("not an executable ELF file (a relocatable object or core dump?)")]
    NotExecutableType,
    /// The program headers are missing, of the wrong size, or lie outside the file.
    #[error("broken ELF program headers")]
    ProgramHeaders,
    /// The `PT_INTERP` string is empty, too long or unterminated.
    #[error("broken ELF interpreter path")]
    InterpreterPath,
}

/// Why headers that look right do not describe an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutFault {
    /// The interpreter has nothing to load. (A program without segments is the kernel's idea of a program.)
    #[error("the interpreter has no loadable segment")]
    NoSegment,
    /// A segment lies outside the address space.
    #[error("a segment lies outside the address space")]
    OutOfRange,
    /// A segment has more bytes in the file than in memory.
    #[error("a segment is larger in the file than in memory")]
    FileLarger,
    /// Offset in the file and address differ modulo the page size.
    #[error("a segment's file offset does not fit its address")]
    Misaligned,
    /// The page where a segment's zeroed part begins lies beyond the end of the file.
    #[error("a segment ends beyond the end of the file")]
    Truncated,
    /// The first instruction lies outside the address space.
    #[error("the entry point lies outside the address space")]
    Entry,
    /// The interpreter is a relocatable object, core dump or the like.
    #[error("the interpreter is not executable")]
    InterpreterType,
    /// Addresses below the lowest one that the system allows, or already taken by the program.
    #[error("a segment cannot be mapped at its address")]
    Unmappable,
}

impl LoadError {
    /// The number `execve` would have set `errno` to.
    ///
    /// For errors that [kill](Self::kills) it is what the kernel's loader returned internally; no
    /// caller of `execve` lives to see it.
    pub fn errno(&self) -> i32 {
        match self {
            LoadError::NotFound { .. } => libc::ENOENT,
            LoadError::Open { errno, .. }
            | LoadError::Interpreter { errno, .. }
            | LoadError::Read { errno, .. }
            | LoadError::Map { errno, .. } => *errno,
            LoadError::IsDirectory { .. }
            | LoadError::NotRegular { .. }
            | LoadError::NotExecutable { .. }
            | LoadError::NotReadable { .. } => libc::EACCES,
            LoadError::Busy { .. } => libc::ETXTBSY,
            LoadError::Format { .. } | LoadError::WrongMachine { .. } => libc::ENOEXEC,
            LoadError::BadInterpreter { .. } => libc::ELIBBAD,
            LoadError::TooManyInterpreters { .. } => libc::ELOOP,
            LoadError::ArgumentsTooLong { .. } => libc::E2BIG,
            LoadError::Malformed { .. } => libc::EINVAL,
            LoadError::Occupied { .. } => libc::ENOMEM,
        }
    }

    /// The status a shell exits with that fails to start this program: 127 if the file or something it
    /// needs does not exist, else 126.
    pub fn exit_status(&self) -> i32 {
        if self.errno() == libc::ENOENT { 127 } else { 126 }
    }

    /// Whether the kernel would have killed the process by SIGSEGV rather than return [`errno`](Self::errno),
    /// because the fault shows only after the old program is gone.
    pub fn kills(&self) -> bool {
        matches!(self, LoadError::Malformed { .. } | LoadError::Map { .. })
    }

    /// Whether the kernel would run the program and only this loader cannot; the caller may fall back to
    /// running it untranslated.
    pub fn is_our_limit(&self) -> bool {
        matches!(self, LoadError::NotReadable { .. } | LoadError::Occupied { .. })
    }

    /// An error from opening `path` with the number that `open` or `stat` gave.
    pub(crate) fn open(path: &Path, errno: i32) -> LoadError {
        match errno {
            libc::EISDIR => LoadError::IsDirectory { path: path.to_owned() },
            libc::ENXIO | libc::ENODEV => LoadError::NotRegular { path: path.to_owned() },
            _ => LoadError::Open { path: path.to_owned(), errno },
        }
    }
}

/// The system's words for an error number, without the "(os error N)" that [`std::io::Error`] adds.
fn describe(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A readable name for an `e_machine` value.
fn machine_name(machine: u16) -> String {
    match goblin::elf::header::machine_to_str(machine) {
        "MACHINE_UNKNOWN" => format!("machine {machine}"),
        name => name.trim_start_matches("EM_").to_owned(),
    }
}
