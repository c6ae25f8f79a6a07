//! A second process, executed one instruction at a time.
//!
//! [`Tracee::spawn`] starts a program by the kernel itself and stops it before its first instruction;
//! [`Tracee::step`] executes one instruction. Registers, extended state and memory can be read and written while it
//! is stopped, which it is whenever no method of it runs. That is the oracle for lockstep verification: what a
//! translated guest does is compared with what the CPU and the kernel do.
//!
//! # Contract
//! - `ptrace` binds a tracee to the *thread* that started it, so a [`Tracee`] cannot be sent to another.
//! - A tracee dies with its tracer, and when it is dropped.
//! - Only the initial thread is stepped. Threads and processes that the program makes run by themselves,
//!   untraced; a caller that cannot have that looks at system calls before it steps over them.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use libc::{c_int, c_void, pid_t, user_fpregs_struct, user_regs_struct};

use crate::error::{FormatFault, LoadError};
use crate::regions::{self, Region};
use crate::{GuestAddr, Request};

/// Register set of the extended state: x87, SSE, AVX and whatever else the CPU saves by XSAVE.
const NT_X86_XSTATE: c_int = 0x202;

/// More than any extended state there is: AMX needs 11 KiB.
const XSTATE_MAX: usize = 16 << 10;

/// The signal of a stop at a system call, under `PTRACE_O_TRACESYSGOOD`.
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Auxiliary vector entry that programs skip.
const AT_IGNORE: u64 = 1;

/// Why a tracee cannot be started or asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The program could not be started.
    #[error(transparent)]
    Start(#[from] LoadError),
    /// A system call on the tracee failed; it is dead, or something is wrong with this process's rights.
    #[error("{call} failed on the traced process: {}", std::io::Error::from_raw_os_error(*errno))]
    System {
        /// The call, or the file of `/proc`.
        call: &'static str,
        /// Its error number.
        errno: i32,
    },
    /// Memory that cannot be read or written: nothing is mapped there.
    #[error("no memory at {addr} in the traced process")]
    Memory {
        /// The first byte that is not there.
        addr: GuestAddr,
    },
}

/// Why a tracee stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// One instruction was executed (a system call or a repeated string instruction's single round count as one).
    Stepped,
    /// It entered a system call or is about to leave one; see [`Tracee::run_to_syscall`].
    Syscall,
    /// A signal waits to be delivered. Pass it to the next [`Tracee::step`], or it is suppressed.
    Signal(i32),
    /// It has become another program and stands before that one's first instruction.
    Exec,
    /// It is gone, with this exit status.
    Exited(i32),
    /// It is gone, killed by this signal.
    Killed(i32),
}

/// A stopped process. See the module for the contract.
#[derive(Debug)]
pub struct Tracee {
    pid: pid_t,
    memory: File,
    alive: bool,
    /// Bound to its thread.
    not_send: PhantomData<*const ()>,
}

impl Tracee {
    /// Starts a program and stops it before its first instruction. It inherits this process's files, directory and
    /// signal mask. Without `aslr` its addresses are the same each time.
    pub fn spawn(request: &Request) -> Result<Tracee, TraceError> {
        let (mut path, mut argv) = (request.path.clone(), request.argv.clone());
        let failure = crate::check(&path, None).err();
        if let Some(LoadError::Format { why: FormatFault::Text, .. }) = &failure
            && request.shell
        {
            let script = std::mem::replace(&mut path, PathBuf::from("/bin/sh"));
            let script = CString::new(script.into_os_string().as_bytes()).unwrap_or_default();
            argv.splice(..argv.len().min(1), [c"/bin/sh".to_owned(), script]);
        } else if let Some(error) = failure {
            return Err(error.into());
        }
        let name = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        let pid = fork_and_exec(&name, &argv, &request.envp, request.aslr)?;
        match wait(pid)? {
            Event::Stopped { signal: libc::SIGTRAP, .. } => {}
            Event::Exited(errno) => return Err(LoadError::Open { path, errno }.into()),
            Event::Stopped { .. } | Event::Killed(_) => {
                end(pid);
                let why = crate::LayoutFault::Unmappable;
                return Err(LoadError::Malformed { path, why }.into());
            }
        }
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACESYSGOOD;
        let memory = ptrace("PTRACE_SETOPTIONS", libc::PTRACE_SETOPTIONS, pid, 0, options as usize)
            .and_then(|()| open_memory(pid));
        match memory {
            Ok(memory) => Ok(Tracee { pid, memory, alive: true, not_send: PhantomData }),
            Err(e) => {
                end(pid);
                Err(e)
            }
        }
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Executes one instruction. `signal` is delivered before (0: none); if the program handles it, the tracee stops
    /// at the handler's first instruction.
    pub fn step(&mut self, signal: i32) -> Result<Stop, TraceError> {
        self.resume("PTRACE_SINGLESTEP", libc::PTRACE_SINGLESTEP, signal)
    }

    /// Executes instructions up to and including the next branch that is taken, or only one where the CPU or the
    /// virtual machine cannot do that; [`Stop::Stepped`] in both cases. Several times quicker than single steps.
    pub fn step_block(&mut self, signal: i32) -> Result<Stop, TraceError> {
        /// Missing in the `libc` crate.
        const PTRACE_SINGLEBLOCK: libc::c_uint = 33;
        match self.resume("PTRACE_SINGLEBLOCK", PTRACE_SINGLEBLOCK, signal) {
            Err(TraceError::System { errno: libc::EIO, .. }) => self.step(signal),
            result => result,
        }
    }

    /// Lets it run until it enters a system call, or if it has entered one, until it is about to leave it: both are
    /// [`Stop::Syscall`]. On entry `orig_rax` is the call's number (-1 written there skips it) and `rax` is
    /// `-ENOSYS`; on leaving `rax` is the result.
    pub fn run_to_syscall(&mut self, signal: i32) -> Result<Stop, TraceError> {
        self.resume("PTRACE_SYSCALL", libc::PTRACE_SYSCALL, signal)
    }

    /// Lets it run until a signal arrives for it, it executes another program, or it ends.
    pub fn run(&mut self, signal: i32) -> Result<Stop, TraceError> {
        self.resume("PTRACE_CONT", libc::PTRACE_CONT, signal)
    }

    fn resume(&mut self, call: &'static str, request: libc::c_uint, signal: i32) -> Result<Stop, TraceError> {
        ptrace(call, request, self.pid, 0, signal as usize)?;
        let stop = match wait(self.pid)? {
            Event::Exited(status) => Stop::Exited(status),
            Event::Killed(signal) => Stop::Killed(signal),
            Event::Stopped { event: libc::PTRACE_EVENT_EXEC, .. } => {
                self.memory = open_memory(self.pid)?;
                Stop::Exec
            }
            Event::Stopped { signal: SYSCALL_STOP, .. } => Stop::Syscall,
            Event::Stopped { signal: libc::SIGTRAP, .. } if self.trap_is_step()? => Stop::Stepped,
            Event::Stopped { signal, .. } => Stop::Signal(signal),
        };
        self.alive = !matches!(stop, Stop::Exited(_) | Stop::Killed(_));
        Ok(stop)
    }

    /// Tells the trap after a step from a breakpoint instruction or a signal that someone sent.
    fn trap_is_step(&self) -> Result<bool, TraceError> {
        /// `si_code` after a system call that was stepped over.
        const TRAP_BRKPT: i32 = 1;
        /// `si_code` after any other instruction.
        const TRAP_TRACE: i32 = 2;
        /// `si_code` after a step that ended in a signal handler.
        const NOTIFIED: i32 = libc::SIGTRAP;
        // SAFETY: siginfo_t is plain data, for which zeros are a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        ptrace("PTRACE_GETSIGINFO", libc::PTRACE_GETSIGINFO, self.pid, 0, &raw mut info as usize)?;
        Ok(matches!(info.si_code, TRAP_BRKPT | TRAP_TRACE | NOTIFIED))
    }

    /// The integer registers.
    pub fn registers(&self) -> Result<user_regs_struct, TraceError> {
        // SAFETY: plain data, for which zeros are a value.
        let mut registers: user_regs_struct = unsafe { std::mem::zeroed() };
        ptrace("PTRACE_GETREGS", libc::PTRACE_GETREGS, self.pid, 0, &raw mut registers as usize)?;
        Ok(registers)
    }

    /// Sets the integer registers.
    pub fn set_registers(&mut self, registers: &user_regs_struct) -> Result<(), TraceError> {
        ptrace("PTRACE_SETREGS", libc::PTRACE_SETREGS, self.pid, 0, &raw const *registers as usize)
    }

    /// x87 and SSE state as FXSAVE lays it out.
    pub fn fp_registers(&self) -> Result<user_fpregs_struct, TraceError> {
        // SAFETY: plain data, for which zeros are a value.
        let mut registers: user_fpregs_struct = unsafe { std::mem::zeroed() };
        ptrace("PTRACE_GETFPREGS", libc::PTRACE_GETFPREGS, self.pid, 0, &raw mut registers as usize)?;
        Ok(registers)
    }

    /// Sets x87 and SSE state.
    pub fn set_fp_registers(&mut self, registers: &user_fpregs_struct) -> Result<(), TraceError> {
        ptrace("PTRACE_SETFPREGS", libc::PTRACE_SETFPREGS, self.pid, 0, &raw const *registers as usize)
    }

    /// The extended state as XSAVE lays it out (standard format, not compacted). What components are in their
    /// initial state is told by the header at byte 512.
    pub fn xstate(&self) -> Result<Vec<u8>, TraceError> {
        let mut state = vec![0u8; XSTATE_MAX];
        let mut vector = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
        let set = NT_X86_XSTATE as usize;
        ptrace("PTRACE_GETREGSET", libc::PTRACE_GETREGSET, self.pid, set, &raw mut vector as usize)?;
        state.truncate(vector.iov_len);
        Ok(state)
    }

    /// Sets the extended state; `state` as [`xstate`](Self::xstate) returned it.
    pub fn set_xstate(&mut self, state: &[u8]) -> Result<(), TraceError> {
        let vector = libc::iovec { iov_base: state.as_ptr() as *mut c_void, iov_len: state.len() };
        let set = NT_X86_XSTATE as usize;
        ptrace("PTRACE_SETREGSET", libc::PTRACE_SETREGSET, self.pid, set, &raw const vector as usize)
    }

    /// Reads memory, whatever its protection.
    pub fn read(&self, addr: GuestAddr, buffer: &mut [u8]) -> Result<(), TraceError> {
        match self.read_some(addr, buffer) {
            n if n == buffer.len() => Ok(()),
            n => Err(TraceError::Memory { addr: GuestAddr(addr.0 + n as u64) }),
        }
    }

    /// Reads as much as there is; returns the number of bytes.
    pub(crate) fn read_some(&self, addr: GuestAddr, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            match self.memory.read_at(&mut buffer[done..], addr.0 + done as u64) {
                Ok(n) if n > 0 => done += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        done
    }

    /// Writes memory, whatever its protection.
    pub fn write(&mut self, addr: GuestAddr, bytes: &[u8]) -> Result<(), TraceError> {
        self.memory.write_all_at(bytes, addr.0).map_err(|_| TraceError::Memory { addr })
    }

    /// The word at `addr`.
    pub fn read_u64(&self, addr: GuestAddr) -> Result<u64, TraceError> {
        let mut word = [0; 8];
        self.read(addr, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// All its memory, sorted by address.
    pub fn regions(&self) -> Result<Vec<Region>, TraceError> {
        Ok(regions::parse_maps(&self.proc_file("maps")?))
    }

    /// The auxiliary vector that the kernel gave it, with its end marker.
    pub fn auxv(&self) -> Result<Vec<(u64, u64)>, TraceError> {
        let bytes = self.proc_file("auxv")?;
        let words: Vec<u64> =
            bytes.chunks_exact(8).filter_map(|w| w.try_into().ok().map(u64::from_le_bytes)).collect();
        Ok(words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    /// Where the auxiliary vector lies. Only before the first instruction: the stack pointer must be where the kernel
    /// left it.
    pub fn auxv_addr(&self) -> Result<GuestAddr, TraceError> {
        let start = self.registers()?.rsp;
        let argc = self.read_u64(GuestAddr(start))?;
        let mut addr = start.wrapping_add((argc.wrapping_add(2)).wrapping_mul(8));
        while self.read_u64(GuestAddr(addr))? != 0 {
            addr += 8;
        }
        Ok(GuestAddr(addr + 8))
    }

    /// Makes the program overlook its vdso, so that it asks the kernel for the time by system calls, which a
    /// verifier can see. Only before the first instruction.
    pub fn hide_vdso(&mut self) -> Result<(), TraceError> {
        let mut addr = self.auxv_addr()?;
        loop {
            match self.read_u64(addr)? {
                libc::AT_NULL => return Ok(()),
                libc::AT_SYSINFO_EHDR => return self.write(addr, &AT_IGNORE.to_le_bytes()),
                _ => addr.0 += 16,
            }
        }
    }

    /// The file of `/proc/PID`.
    pub(crate) fn proc_file(&self, name: &'static str) -> Result<Vec<u8>, TraceError> {
        std::fs::read(format!("/proc/{}/{name}", self.pid)).map_err(|e| system(name, &e))
    }

    /// The canonical path of the program.
    pub fn exe(&self) -> Result<PathBuf, TraceError> {
        std::fs::read_link(format!("/proc/{}/exe", self.pid)).map_err(|e| system("exe", &e))
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.alive {
            end(self.pid);
        }
    }
}

fn system(call: &'static str, error: &std::io::Error) -> TraceError {
    TraceError::System { call, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

fn open_memory(pid: pid_t) -> Result<File, TraceError> {
    let path = format!("/proc/{pid}/mem");
    OpenOptions::new().read(true).write(true).open(path).map_err(|e| system("mem", &e))
}

/// One ptrace request. `data` is a number or the address of what the request reads or writes.
fn ptrace(
    call: &'static str,
    request: libc::c_uint,
    pid: pid_t,
    addr: usize,
    data: usize,
) -> Result<(), TraceError> {
    // SAFETY: callers pass as `data` what the request demands: nothing, a number, or the address of a live object of
    // the type and size that the kernel reads or fills.
    let result = unsafe { libc::ptrace(request, pid, addr, data) };
    if result == -1 { Err(system(call, &std::io::Error::last_os_error())) } else { Ok(()) }
}

enum Event {
    Stopped { signal: i32, event: i32 },
    Exited(i32),
    Killed(i32),
}

fn wait(pid: pid_t) -> Result<Event, TraceError> {
    let mut status = 0;
    loop {
        // SAFETY: writes one int.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(system("waitpid", &error));
        }
    }
    Ok(if libc::WIFEXITED(status) {
        Event::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Event::Killed(libc::WTERMSIG(status))
    } else {
        Event::Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 }
    })
}

/// Kills a child of ours and takes its exit status.
fn end(pid: pid_t) {
    // SAFETY: pid is a child that has not been waited for, so the number is still its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    while let Ok(Event::Stopped { .. }) = wait(pid) {}
}

/// Starts the program in a child that asks to be traced. If that fails the child exits with the error number.
fn fork_and_exec(
    path: &CString,
    argv: &[CString],
    envp: &[CString],
    aslr: bool,
) -> Result<pid_t, TraceError> {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    /// Changes nothing and returns the personality there is.
    const ASK_PERSONALITY: libc::c_ulong = 0xffff_ffff;
    // Everything that allocates is done before the fork.
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: between fork and exec the child makes system calls only. All pointers live in this frame, which the
    // child has a copy of, and the arrays end with a null pointer.
    let pid = unsafe {
        let pid = libc::fork();
        if pid == 0 {
            let fixed = libc::ADDR_NO_RANDOMIZE as libc::c_ulong;
            let persona = libc::personality(ASK_PERSONALITY) as libc::c_ulong;
            libc::personality(if aslr { persona & !fixed } else { persona | fixed });
            if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 {
                libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr());
            }
            libc::_exit(*libc::__errno_location());
        }
        pid
    };
    if pid == -1 { Err(system("fork", &std::io::Error::last_os_error())) } else { Ok(pid) }
}
