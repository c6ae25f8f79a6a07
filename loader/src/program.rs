//! From a path to the files that must be mapped: the checks that `execve` makes before it throws the old
//! program away.
//!
//! A path leads through any number of `#!` scripts (the kernel allows five) to an ELF file and from there
//! to the interpreter (dynamic linker) that it names. [`check`] walks that way and maps nothing; [`find`]
//! walks it and keeps the files open.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Arch;
use crate::elf::{Head, Headers, InterpreterFault};
use crate::error::{FormatFault, LoadError};
use crate::script::{self, ScriptLine};
use crate::sys;

/// Scripts that may interpret each other.
const MAX_SCRIPTS: usize = 5;

/// What interprets a text file without a `#!` line.
const SHELL: &CStr = c"/bin/sh";

/// What kind of program a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An ELF program for a guest's architecture, whose headers, and those of its interpreter, the kernel accepts.
    Elf(Arch),
    /// An ELF program for another machine (`e_machine`). Whether it runs is for the kernel to say: 32-bit
    /// x86 usually does, others if an emulator is registered.
    OtherArch(u16),
    /// A `#!` script.
    Script {
        /// The interpreter as the script names it.
        interpreter: PathBuf,
        /// The argument after it, if any.
        argument: Option<CString>,
        /// What the interpreter is.
        runs: Box<Kind>,
    },
}

impl Kind {
    /// The kind of the ELF file that would really be executed.
    pub fn program(&self) -> &Kind {
        match self {
            Kind::Script { runs, .. } => runs.program(),
            kind => kind,
        }
    }
}

/// Says what `path` is, or why `execve` would refuse it (with the same [`errno`](LoadError::errno)).
/// Nothing is mapped or changed.
///
/// Faults that the kernel only finds later and answers by killing the process are not looked for;
/// [`load`](crate::load) reports those.
///
/// `sysroot` is that of [`Foreign`](crate::Foreign).
pub fn check(path: &Path, sysroot: Option<&Path>) -> Result<Kind, LoadError> {
    check_chain(path, path, 0, sysroot)
}

/// Where `path` is found: in `sysroot`, if it is absolute and something of that name is there.
pub fn below(sysroot: Option<&Path>, path: &Path) -> Option<PathBuf> {
    let inside = sysroot?.join(path.strip_prefix("/").ok()?);
    inside.exists().then_some(inside)
}

fn check_chain(first: &Path, path: &Path, depth: usize, sysroot: Option<&Path>) -> Result<Kind, LoadError> {
    let file = Executable::open(path)?;
    match file.format(first, depth)? {
        Format::Elf(arch) => {
            let headers = file.program_headers()?;
            file.interpreter(&headers, arch, sysroot).map(|_| Kind::Elf(arch))
        }
        Format::OtherArch(machine) => Ok(Kind::OtherArch(machine)),
        Format::Script(line) => {
            let interpreter = path_of(line.interpreter.to_bytes());
            let runs = check_chain(first, &interpreter, depth + 1, sysroot)
                .map_err(|e| blame_interpreter(e, path, &interpreter))?;
            Ok(Kind::Script { interpreter, argument: line.argument, runs: Box::new(runs) })
        }
    }
}

/// The files of a program that passed all checks.
pub(crate) struct Program {
    pub file: Executable,
    pub headers: Headers,
    /// The interpreter that its `PT_INTERP` names.
    pub interpreter: Option<(Executable, Headers)>,
    /// The arguments, with those that `#!` lines add.
    pub argv: Vec<CString>,
    pub arch: Arch,
}

/// Walks from `path` to the program that is really executed. `shell`: read text files without a `#!` line as
/// scripts of the shell, as shells and `execvp` do.
pub(crate) fn find(
    path: &Path,
    argv: &[CString],
    shell: bool,
    sysroot: Option<&Path>,
) -> Result<Program, LoadError> {
    let mut argv = argv.to_vec();
    if argv.is_empty() {
        argv.push(CString::default());
    }
    let mut current = path.to_owned();
    let mut asked_by: Option<PathBuf> = None;
    for depth in 0.. {
        let blame = |e: LoadError| match &asked_by {
            Some(script) => blame_interpreter(e, script, &current),
            None => e,
        };
        let file = Executable::open(&current).map_err(blame)?;
        let line = match file.format(path, depth) {
            Ok(Format::Elf(arch)) => {
                let headers = file.program_headers()?;
                let interpreter = file.interpreter(&headers, arch, sysroot)?;
                return Ok(Program { file, headers, interpreter, argv, arch });
            }
            Ok(Format::OtherArch(machine)) => return Err(LoadError::WrongMachine { path: current, machine }),
            Ok(Format::Script(line)) => line,
            Err(LoadError::Format { why: FormatFault::Text, .. }) if shell && depth == 0 => {
                ScriptLine { interpreter: SHELL.to_owned(), argument: None }
            }
            Err(e) => return Err(e),
        };
        let script = CString::new(current.as_os_str().as_bytes()).unwrap_or_default();
        let next = path_of(line.interpreter.to_bytes());
        let added = [Some(line.interpreter), line.argument, Some(script)];
        argv.splice(..1, added.into_iter().flatten());
        asked_by = Some(std::mem::replace(&mut current, next));
    }
    Err(LoadError::TooManyInterpreters { path: path.to_owned() })
}

/// An interpreter that cannot be opened is reported with the file that wants it.
fn blame_interpreter(error: LoadError, path: &Path, interpreter: &Path) -> LoadError {
    match error {
        LoadError::Open { .. }
        | LoadError::IsDirectory { .. }
        | LoadError::NotRegular { .. }
        | LoadError::NotExecutable { .. }
        | LoadError::Busy { .. } => LoadError::Interpreter {
            path: path.to_owned(),
            interpreter: interpreter.to_owned(),
            errno: error.errno(),
        },
        other => other,
    }
}

/// The path that an interpreter's name means. The kernel takes an empty one for the current directory here, which
/// it does not do for the name given to `execve`.
fn path_of(name: &[u8]) -> PathBuf {
    if name.is_empty() { PathBuf::from(".") } else { PathBuf::from(OsStr::from_bytes(name)) }
}

enum Format {
    Elf(Arch),
    OtherArch(u16),
    Script(ScriptLine),
}

/// An open file that may be executed, and its first bytes.
pub(crate) struct Executable {
    pub file: File,
    /// As asked for, not canonical.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub head: Head,
}

impl Executable {
    /// Opens a file as the kernel does to execute it.
    pub(crate) fn open(path: &Path) -> Result<Executable, LoadError> {
        // Non-blocking so that a pipe without a writer is refused rather than waited for.
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::ENOENT);
                if errno == libc::EACCES && path.is_file() {
                    return Err(match sys::has_execute_bit(path) {
                        true => LoadError::NotReadable { path: path.to_owned() },
                        false => LoadError::NotExecutable { path: path.to_owned() },
                    });
                }
                return Err(LoadError::open(path, errno));
            }
        };
        let read_error = |errno| LoadError::Read { path: path.to_owned(), errno };
        let meta = file.metadata().map_err(|e| read_error(e.raw_os_error().unwrap_or(libc::EIO)))?;
        if meta.is_dir() {
            return Err(LoadError::IsDirectory { path: path.to_owned() });
        }
        if !meta.is_file() {
            return Err(LoadError::NotRegular { path: path.to_owned() });
        }
        match sys::may_execute(&file) {
            Ok(true) => {}
            Ok(false) if sys::has_execute_bit(path) => {}
            Err(libc::ETXTBSY) => return Err(LoadError::Busy { path: path.to_owned() }),
            Ok(false) | Err(_) => return Err(LoadError::NotExecutable { path: path.to_owned() }),
        }
        let head = Head::read(&file).map_err(read_error)?;
        Ok(Executable { file, path: path.to_owned(), size: meta.len(), head })
    }

    /// The path without links or relative parts, as `/proc/PID/exe` shows it.
    pub(crate) fn canonical_path(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .unwrap_or_else(|_| self.path.clone())
    }

    /// What the first bytes say. `first` and `depth` are the start of a chain of scripts and the number of
    /// scripts before this file.
    fn format(&self, first: &Path, depth: usize) -> Result<Format, LoadError> {
        if depth > MAX_SCRIPTS {
            return Err(LoadError::TooManyInterpreters { path: first.to_owned() });
        }
        let fault = |why| Err(self.format_error(why));
        if self.head.is_elf() {
            return match self.head.arch() {
                _ if !self.head.has_executable_type() => fault(FormatFault::NotExecutableType),
                Some(arch) => Ok(Format::Elf(arch)),
                None => Ok(Format::OtherArch(self.head.machine())),
            };
        }
        match script::parse(self.head.padded()) {
            Some(Ok(line)) => Ok(Format::Script(line)),
            Some(Err(why)) => fault(why),
            None if self.head.bytes().is_empty() => fault(FormatFault::Empty),
            None => {
                let first_line = self.head.bytes().split(|&b| b == b'\n').next().unwrap_or_default();
                fault(if first_line.contains(&0) { FormatFault::Unknown } else { FormatFault::Text })
            }
        }
    }

    fn format_error(&self, why: FormatFault) -> LoadError {
        LoadError::Format { path: self.path.clone(), why }
    }

    fn program_headers(&self) -> Result<Headers, LoadError> {
        Headers::read(&self.file, &self.head).ok_or_else(|| self.format_error(FormatFault::ProgramHeaders))
    }

    /// Opens the interpreter that `PT_INTERP` names and reads its headers. That of a program for another machine is
    /// looked for in `sysroot` first.
    fn interpreter(
        &self,
        headers: &Headers,
        arch: Arch,
        sysroot: Option<&Path>,
    ) -> Result<Option<(Executable, Headers)>, LoadError> {
        let name = match headers.interpreter(&self.file, &self.head) {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(None),
            Err(InterpreterFault::Format(why)) => return Err(self.format_error(why)),
            Err(InterpreterFault::Read(errno)) => {
                return Err(LoadError::Read { path: self.path.clone(), errno });
            }
        };
        let mut path = path_of(&name);
        if arch != Arch::HOST
            && let Some(inside) = below(sysroot, &path)
        {
            path = inside;
        }
        let file = Executable::open(&path).map_err(|e| blame_interpreter(e, &self.path, &path))?;
        if file.head.bytes().len() < goblin::elf64::header::SIZEOF_EHDR {
            return Err(LoadError::Read { path, errno: libc::EIO });
        }
        let headers = match file.head.arch() == Some(arch) {
            true => Headers::read(&file.file, &file.head),
            false => None,
        };
        match headers {
            Some(headers) => Ok(Some((file, headers))),
            None => Err(LoadError::BadInterpreter { path: self.path.clone(), interpreter: path }),
        }
    }
}
