//! The CPU as an oracle: executes one guest instruction natively on a given register, flag, vector and memory
//! state, in this process, and reports the state after it. The only unsafe code of the crate.
//!
//! How: the instruction's bytes stand on a page of their own (written, then made executable; never both),
//! between two stubs. [`enter`] saves the host's registers, loads the guest's and jumps there; whichever
//! stub is reached next stores the guest's registers and returns. A synchronous fault is turned into a third
//! way out by the signal handler, with the registers as the faulting instruction left them.
//!
//! Contract
//! - One [`Cpu`] at a time per process (a lock inside sees to it); it stays on its thread.
//! - Memory operands, `rsp` and string pointers must point into [`Cpu::memory`]; elsewhere the instruction
//!   may fault (reported) or, if it names memory of the test itself, destroy it.
//! - The code page and the memory are mapped below 4 GiB, so that 32-bit addresses reach them.
//! - Instructions that load segments, change `fs`/`gs` bases or enter the kernel are not to be run.

use std::arch::naked_asm;
use std::mem::offset_of;
use std::ptr::{addr_of_mut, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of guest memory.
pub const MEMORY_LEN: usize = 4096;
/// Where the instruction under test stands on its page.
const CODE_AT: usize = 0x400;
/// Bytes that the code under test may have: what is left before the `taken` stub, without the stub behind it.
pub const MAX_CODE: usize = TAKEN_AT - CODE_AT - 14;
/// Where the `taken` stub stands: the target that tests give direct branches, within reach of eight bits.
const TAKEN_AT: usize = 0x478;
/// Where the `indirect` stub stands: the target that tests give indirect branches.
const INDIRECT_AT: usize = 0x800;
const PAGE: usize = 4096;

/// Registers of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Regs {
    /// `rax`, `rcx`, `rdx`, `rbx`, `rsp`, `rbp`, `rsi`, `rdi`, `r8` … `r15`.
    pub gpr: [u64; 16],
    /// Status flags and DF, at their bits in EFLAGS; nothing else.
    pub flags: u64,
    /// `ymm0` … `ymm15`, low word first; without AVX the upper halves are ignored and come back as they were.
    pub vec: [[u64; 4]; 16],
    /// MXCSR.
    pub mxcsr: u32,
}

/// How the instruction was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Control went to this address: the next instruction, or a target within reach of the stubs.
    Left(u64),
    /// It faulted with this signal.
    Fault(i32),
}

#[repr(C)]
struct Context {
    input: Regs,
    output: Regs,
    host_rsp: u64,
    host_mxcsr: u32,
    left_by: u32,
    code: u64,
}

const NO_REGS: Regs = Regs { gpr: [0; 16], flags: 0, vec: [[0; 4]; 16], mxcsr: 0 };

static mut CONTEXT: Context =
    Context { input: NO_REGS, output: NO_REGS, host_rsp: 0, host_mxcsr: 0, left_by: 0, code: 0 };
static mut CODE_PAGE: usize = 0;
static mut SIGNAL: i32 = 0;
static mut FAULT_PC: u64 = 0;
static LOCK: Mutex<()> = Mutex::new(());

/// The CPU, ready to run instructions.
pub struct Cpu {
    code: *mut u8,
    memory: *mut u8,
    avx: bool,
    gs_base: u64,
    fs_base: u64,
    next: u64,
    _lock: MutexGuard<'static, ()>,
}

/// Flags that a test may set and sees: C P A Z S O and DF.
pub const FLAGS: u64 = 0xcd5;

impl Cpu {
    /// Maps the pages and installs the signal handlers.
    ///
    /// # Panics
    /// When the kernel refuses the mappings: there is no test without them.
    pub fn new() -> Cpu {
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let code = map(PAGE);
        let memory = map(MEMORY_LEN + 2 * PAGE);
        // SAFETY: the guards are whole pages at both ends of the mapping just made; nobody uses them.
        let memory = unsafe {
            libc::mprotect(memory.cast(), PAGE, libc::PROT_NONE);
            libc::mprotect(memory.add(PAGE + MEMORY_LEN).cast(), PAGE, libc::PROT_NONE);
            memory.add(PAGE)
        };
        let gs_base = memory as u64 + 0x123;
        // SAFETY: x86-64 Linux leaves `gs` to the program, and neither Rust nor libc uses it; the lock makes
        // this the only writer of the statics.
        let fs_base = unsafe {
            const SET_GS: i32 = 0x1001;
            const GET_FS: i32 = 0x1003;
            let mut fs_base = 0u64;
            assert_eq!(libc::syscall(libc::SYS_arch_prctl, SET_GS, gs_base), 0);
            assert_eq!(libc::syscall(libc::SYS_arch_prctl, GET_FS, addr_of_mut!(fs_base)), 0);
            CODE_PAGE = code as usize;
            fs_base
        };
        catch_faults();
        let avx = std::arch::is_x86_feature_detected!("avx");
        Cpu { code, memory, avx, gs_base, fs_base, next: 0, _lock: lock }
    }

    /// Address at which the instruction runs.
    pub fn pc(&self) -> u64 {
        self.code as u64 + CODE_AT as u64
    }

    /// A direct branch target that is caught.
    pub fn taken(&self) -> u64 {
        self.code as u64 + TAKEN_AT as u64
    }

    /// An indirect branch target that is caught.
    pub fn indirect(&self) -> u64 {
        self.code as u64 + INDIRECT_AT as u64
    }

    /// Where the last fault was.
    pub fn fault_pc(&self) -> u64 {
        // SAFETY: only the handler writes it, while an instruction runs; the lock makes this the only reader.
        unsafe { FAULT_PC }
    }

    /// Base of the `gs` segment while instructions run.
    pub fn gs_base(&self) -> u64 {
        self.gs_base
    }

    /// Base of the `fs` segment: this thread's own.
    pub fn fs_base(&self) -> u64 {
        self.fs_base
    }

    /// Address of the guest's memory.
    pub fn memory_base(&self) -> u64 {
        self.memory as u64
    }

    /// The guest's memory.
    pub fn memory(&mut self) -> &mut [u8; MEMORY_LEN] {
        // SAFETY: mapped in `new`, never unmapped before drop, and borrowed from `self`, which alone runs
        // instructions on it.
        unsafe { &mut *self.memory.cast() }
    }

    /// Puts an instruction, or several without branches between them, in place.
    ///
    /// # Panics
    /// With more than [`MAX_CODE`] bytes.
    pub fn set_code(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_CODE);
        let mut page = [0xccu8; PAGE];
        page[CODE_AT..CODE_AT + bytes.len()].copy_from_slice(bytes);
        let stub = |page: &mut [u8; PAGE], at: usize, to: usize| {
            page[at..at + 6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
            page[at + 6..at + 14].copy_from_slice(&(to as u64).to_le_bytes());
        };
        stub(&mut page, CODE_AT + bytes.len(), left_next as *const () as usize);
        stub(&mut page, TAKEN_AT, left_taken as *const () as usize);
        stub(&mut page, INDIRECT_AT, left_indirect as *const () as usize);
        self.next = self.pc() + bytes.len() as u64;
        // SAFETY: the page is ours and nothing executes on it now; rights change from writable to executable
        // before anything does.
        unsafe {
            let rw = libc::mprotect(self.code.cast(), PAGE, libc::PROT_READ | libc::PROT_WRITE);
            std::ptr::copy_nonoverlapping(page.as_ptr(), self.code, PAGE);
            let rx = libc::mprotect(self.code.cast(), PAGE, libc::PROT_READ | libc::PROT_EXEC);
            assert_eq!((rw, rx), (0, 0));
        }
    }

    /// Runs the instruction on this state and memory; the state becomes the one after it.
    pub fn run(&mut self, regs: &mut Regs) -> Outcome {
        // SAFETY: the lock makes this the only user of the statics; the code page holds an instruction
        // between two stubs that lead back here; `enter` keeps the ABI.
        unsafe {
            CONTEXT.input = *regs;
            CONTEXT.input.flags = regs.flags & FLAGS | 0x202;
            CONTEXT.output = *regs;
            CONTEXT.code = self.pc();
            if self.avx {
                LEAVE = leave_avx;
                enter_avx();
            } else {
                LEAVE = leave_sse;
                enter_sse();
            }
            *regs = CONTEXT.output;
            regs.flags &= FLAGS;
            match CONTEXT.left_by {
                0 => Outcome::Left(self.next),
                1 => Outcome::Left(self.taken()),
                2 => Outcome::Left(self.indirect()),
                _ => Outcome::Fault(SIGNAL),
            }
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        // SAFETY: both mappings were made in `new` with these sizes; nothing points into them any more.
        unsafe {
            libc::munmap(self.code.cast(), PAGE);
            libc::munmap(self.memory.sub(PAGE).cast(), MEMORY_LEN + 2 * PAGE);
        }
    }
}

fn map(len: usize) -> *mut u8 {
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let p = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert_ne!(p, libc::MAP_FAILED, "mmap of {len} bytes");
    p.cast()
}

fn catch_faults() {
    let stack = map(64 * 1024);
    // SAFETY: the alternate stack is a mapping of its own that is never unmapped, so that it outlives the
    // thread; the handler is async-signal-safe (it only writes statics and the saved context).
    unsafe {
        let alt = libc::stack_t { ss_sp: stack.cast(), ss_flags: 0, ss_size: 64 * 1024 };
        assert_eq!(libc::sigaltstack(&alt, null_mut()), 0);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP] {
            assert_eq!(libc::sigaction(signal, &action, null_mut()), 0);
        }
    }
}

extern "C" fn on_fault(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid ucontext. Only a fault on the code page is ours; any other one gets
    // the default action when it happens again.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let rip = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
        if (*rip as usize).wrapping_sub(CODE_PAGE) < PAGE {
            SIGNAL = signal;
            FAULT_PC = *rip as u64;
            *rip = left_fault as *const () as i64;
        } else {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// The way in and the four ways out, for one width of vector registers.
macro_rules! entry {
    ($enter:ident, $leave:ident, $mov:literal, $reg:literal, $clean:literal) => {
        /// Loads the guest's registers and jumps to the instruction; returns through `leave`.
        ///
        /// # Safety
        /// `CONTEXT` is filled in and its code ends in one of the stubs.
        #[unsafe(naked)]
        unsafe extern "C" fn $enter() {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "mov [rip + {c} + {host_rsp}], rsp",
                "stmxcsr [rip + {c} + {host_mxcsr}]",
                "ldmxcsr [rip + {c} + {in_mxcsr}]",
                concat!($mov, " ", $reg, "0, [rip + {c} + {in_vec}]"),
                concat!($mov, " ", $reg, "1, [rip + {c} + {in_vec} + 32*1]"),
                concat!($mov, " ", $reg, "2, [rip + {c} + {in_vec} + 32*2]"),
                concat!($mov, " ", $reg, "3, [rip + {c} + {in_vec} + 32*3]"),
                concat!($mov, " ", $reg, "4, [rip + {c} + {in_vec} + 32*4]"),
                concat!($mov, " ", $reg, "5, [rip + {c} + {in_vec} + 32*5]"),
                concat!($mov, " ", $reg, "6, [rip + {c} + {in_vec} + 32*6]"),
                concat!($mov, " ", $reg, "7, [rip + {c} + {in_vec} + 32*7]"),
                concat!($mov, " ", $reg, "8, [rip + {c} + {in_vec} + 32*8]"),
                concat!($mov, " ", $reg, "9, [rip + {c} + {in_vec} + 32*9]"),
                concat!($mov, " ", $reg, "10, [rip + {c} + {in_vec} + 32*10]"),
                concat!($mov, " ", $reg, "11, [rip + {c} + {in_vec} + 32*11]"),
                concat!($mov, " ", $reg, "12, [rip + {c} + {in_vec} + 32*12]"),
                concat!($mov, " ", $reg, "13, [rip + {c} + {in_vec} + 32*13]"),
                concat!($mov, " ", $reg, "14, [rip + {c} + {in_vec} + 32*14]"),
                concat!($mov, " ", $reg, "15, [rip + {c} + {in_vec} + 32*15]"),
                "push qword ptr [rip + {c} + {in_flags}]",
                "popfq",
                "mov rax, [rip + {c} + {in_gpr}]",
                "mov rcx, [rip + {c} + {in_gpr} + 8]",
                "mov rdx, [rip + {c} + {in_gpr} + 16]",
                "mov rbx, [rip + {c} + {in_gpr} + 24]",
                "mov rsp, [rip + {c} + {in_gpr} + 32]",
                "mov rbp, [rip + {c} + {in_gpr} + 40]",
                "mov rsi, [rip + {c} + {in_gpr} + 48]",
                "mov rdi, [rip + {c} + {in_gpr} + 56]",
                "mov r8, [rip + {c} + {in_gpr} + 64]",
                "mov r9, [rip + {c} + {in_gpr} + 72]",
                "mov r10, [rip + {c} + {in_gpr} + 80]",
                "mov r11, [rip + {c} + {in_gpr} + 88]",
                "mov r12, [rip + {c} + {in_gpr} + 96]",
                "mov r13, [rip + {c} + {in_gpr} + 104]",
                "mov r14, [rip + {c} + {in_gpr} + 112]",
                "mov r15, [rip + {c} + {in_gpr} + 120]",
                "jmp qword ptr [rip + {c} + {code}]",
                c = sym CONTEXT,
                host_rsp = const offset_of!(Context, host_rsp),
                host_mxcsr = const offset_of!(Context, host_mxcsr),
                in_gpr = const offset_of!(Context, input) + offset_of!(Regs, gpr),
                in_vec = const offset_of!(Context, input) + offset_of!(Regs, vec),
                in_flags = const offset_of!(Context, input) + offset_of!(Regs, flags),
                in_mxcsr = const offset_of!(Context, input) + offset_of!(Regs, mxcsr),
                code = const offset_of!(Context, code),
            )
        }

        /// Stores the guest's registers and returns from `enter`.
        ///
        /// # Safety
        /// Reached from the instruction under test only.
        #[unsafe(naked)]
        unsafe extern "C" fn $leave() {
            naked_asm!(
                "mov [rip + {c} + {out_gpr}], rax",
                "mov [rip + {c} + {out_gpr} + 8], rcx",
                "mov [rip + {c} + {out_gpr} + 16], rdx",
                "mov [rip + {c} + {out_gpr} + 24], rbx",
                "mov [rip + {c} + {out_gpr} + 32], rsp",
                "mov [rip + {c} + {out_gpr} + 40], rbp",
                "mov [rip + {c} + {out_gpr} + 48], rsi",
                "mov [rip + {c} + {out_gpr} + 56], rdi",
                "mov [rip + {c} + {out_gpr} + 64], r8",
                "mov [rip + {c} + {out_gpr} + 72], r9",
                "mov [rip + {c} + {out_gpr} + 80], r10",
                "mov [rip + {c} + {out_gpr} + 88], r11",
                "mov [rip + {c} + {out_gpr} + 96], r12",
                "mov [rip + {c} + {out_gpr} + 104], r13",
                "mov [rip + {c} + {out_gpr} + 112], r14",
                "mov [rip + {c} + {out_gpr} + 120], r15",
                "mov rsp, [rip + {c} + {host_rsp}]",
                "pushfq",
                "pop qword ptr [rip + {c} + {out_flags}]",
                "cld",
                concat!($mov, " [rip + {c} + {out_vec}], ", $reg, "0"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*1], ", $reg, "1"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*2], ", $reg, "2"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*3], ", $reg, "3"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*4], ", $reg, "4"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*5], ", $reg, "5"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*6], ", $reg, "6"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*7], ", $reg, "7"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*8], ", $reg, "8"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*9], ", $reg, "9"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*10], ", $reg, "10"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*11], ", $reg, "11"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*12], ", $reg, "12"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*13], ", $reg, "13"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*14], ", $reg, "14"),
                concat!($mov, " [rip + {c} + {out_vec} + 32*15], ", $reg, "15"),
                $clean,
                "stmxcsr [rip + {c} + {out_mxcsr}]",
                "ldmxcsr [rip + {c} + {host_mxcsr}]",
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                c = sym CONTEXT,
                host_rsp = const offset_of!(Context, host_rsp),
                host_mxcsr = const offset_of!(Context, host_mxcsr),
                out_gpr = const offset_of!(Context, output) + offset_of!(Regs, gpr),
                out_vec = const offset_of!(Context, output) + offset_of!(Regs, vec),
                out_flags = const offset_of!(Context, output) + offset_of!(Regs, flags),
                out_mxcsr = const offset_of!(Context, output) + offset_of!(Regs, mxcsr),
            )
        }
    };
}

entry!(enter_avx, leave_avx, "vmovdqu", "ymm", "vzeroupper");
entry!(enter_sse, leave_sse, "movdqu", "xmm", "nop");

static mut LEAVE: unsafe extern "C" fn() = leave_sse;

/// A way out: notes its number and goes on to `leave`. `mov` and `jmp` keep the flags.
macro_rules! way_out {
    ($name:ident, $number:literal) => {
        /// # Safety
        /// Reached from the instruction under test only.
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            naked_asm!(
                concat!("mov dword ptr [rip + {c} + {left_by}], ", $number),
                "jmp qword ptr [rip + {leave}]",
                c = sym CONTEXT,
                left_by = const offset_of!(Context, left_by),
                leave = sym LEAVE,
            )
        }
    };
}

way_out!(left_next, "0");
way_out!(left_taken, "1");
way_out!(left_indirect, "2");
way_out!(left_fault, "3");
