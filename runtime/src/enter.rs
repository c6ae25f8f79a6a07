//! The assembly between the runtime and guest code, and the few primitives that need it.
//!
//! Contract: on a guest thread `gs` always holds the address of its [`Context`]. [`enter`] is called
//! by the dispatcher on the thread's host stack; it returns when guest code leaves through
//! `dynrun_exit`. Three windows of code are known to the signal handler (see `signal.rs`):
//!
//! - *enter*: from the check of `pending` to the jump into the cache. A signal inside is not lost:
//!   the handler moves the thread to `dynrun_enter_back_out`.
//! - *system call*: from the check of `pending` to the `syscall` instruction; moved to
//!   `dynrun_syscall_interrupted`.
//! - *copy*: reading or writing guest memory, which may fault; moved to `dynrun_copy_fault`.
//!
//! Vector state: `xsavec`/`xrstor` honour the in-use bits, so upper halves that were clean stay
//! clean; `Thread` also clears the in-use bit when it is set but all halves are zero.

use crate::context::Context;
use std::arch::global_asm;

global_asm!(
    ".text",
    ".p2align 4",
    ".globl dynrun_enter",
    "dynrun_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov gs:[0x08], rsp",
    "mov eax, dword ptr gs:[0xf0]",
    "mov edx, dword ptr gs:[0xf4]",
    "mov rcx, gs:[0xe8]",
    "xrstor64 [rcx]",
    "mov dword ptr gs:[0x24], 1",
    ".globl dynrun_enter_check",
    "dynrun_enter_check:",
    "cmp dword ptr gs:[0x28], 0",
    "jne dynrun_enter_back_out",
    "mov rax, gs:[0x18]",
    "wrfsbase rax",
    "push qword ptr gs:[0x38]",
    "popfq",
    "mov rax, gs:[0x40]",
    "mov rcx, gs:[0x48]",
    "mov rdx, gs:[0x50]",
    "mov rbx, gs:[0x58]",
    "mov rsp, gs:[0x60]",
    "mov rbp, gs:[0x68]",
    "mov rsi, gs:[0x70]",
    "mov rdi, gs:[0x78]",
    "mov r8, gs:[0x80]",
    "mov r9, gs:[0x88]",
    "mov r10, gs:[0x90]",
    "mov r11, gs:[0x98]",
    "mov r12, gs:[0xa0]",
    "mov r13, gs:[0xa8]",
    "mov r14, gs:[0xb0]",
    "mov r15, gs:[0xb8]",
    "jmp qword ptr gs:[0xf8]",
    ".globl dynrun_enter_end",
    "dynrun_enter_end:",
    ".globl dynrun_enter_back_out",
    "dynrun_enter_back_out:",
    "mov rsp, gs:[0x08]",
    "cld",
    "mov rax, gs:[0x10]",
    "wrfsbase rax",
    "mov dword ptr gs:[0x20], 0xffffff01",
    "jmp 2f",
    // A slot of the indirect table that is empty: rcx is the target, rcx and rdx are spilled.
    ".p2align 4",
    ".globl dynrun_miss",
    "dynrun_miss:",
    "mov gs:[0x30], rcx",
    "mov rcx, gs:[0xc8]",
    "mov rdx, gs:[0xd0]",
    "mov dword ptr gs:[0x20], 0xffffff00",
    "jmp dynrun_exit",
    ".p2align 4",
    ".globl dynrun_exit",
    "dynrun_exit:",
    "mov gs:[0x60], rsp",
    "mov rsp, gs:[0x08]",
    "mov gs:[0x40], rax",
    "mov gs:[0x48], rcx",
    "mov gs:[0x50], rdx",
    "mov gs:[0x58], rbx",
    "mov gs:[0x68], rbp",
    "mov gs:[0x70], rsi",
    "mov gs:[0x78], rdi",
    "mov gs:[0x80], r8",
    "mov gs:[0x88], r9",
    "mov gs:[0x90], r10",
    "mov gs:[0x98], r11",
    "mov gs:[0xa0], r12",
    "mov gs:[0xa8], r13",
    "mov gs:[0xb0], r14",
    "mov gs:[0xb8], r15",
    "pushfq",
    "pop qword ptr gs:[0x38]",
    "cld",
    // The guest may have alignment checks on; the runtime makes unaligned accesses.
    "test dword ptr gs:[0x38], 0x40000",
    "jz 6f",
    "push 0x202",
    "popfq",
    "6:",
    "rdfsbase rax",
    "mov gs:[0x18], rax",
    "mov rax, gs:[0x10]",
    "wrfsbase rax",
    "mov eax, dword ptr gs:[0xf0]",
    "mov edx, dword ptr gs:[0xf4]",
    "mov rcx, gs:[0xe8]",
    "xsavec64 [rcx]",
    "2:",
    "mov dword ptr gs:[0x24], 0",
    "ldmxcsr [rsp]",
    "fldcw [rsp + 4]",
    "vzeroupper",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // i64 dynrun_syscall(const u64 args[7]): number and six arguments. Made only while no signal
    // is pending; -512 when one is.
    ".p2align 4",
    ".globl dynrun_syscall",
    "dynrun_syscall:",
    "mov rax, [rdi]",
    "mov rsi, [rdi + 16]",
    "mov rdx, [rdi + 24]",
    "mov r10, [rdi + 32]",
    "mov r8, [rdi + 40]",
    "mov r9, [rdi + 48]",
    "mov rdi, [rdi + 8]",
    ".globl dynrun_syscall_check",
    "dynrun_syscall_check:",
    "cmp dword ptr gs:[0x28], 0",
    "jne dynrun_syscall_interrupted",
    "syscall",
    ".globl dynrun_syscall_end",
    "dynrun_syscall_end:",
    "ret",
    ".globl dynrun_syscall_interrupted",
    "dynrun_syscall_interrupted:",
    "mov rax, -512",
    "ret",
    // usize dynrun_copy(void *to, const void *from, usize n): bytes not copied.
    ".p2align 4",
    ".globl dynrun_copy",
    "dynrun_copy:",
    "mov rcx, rdx",
    ".globl dynrun_copy_begin",
    "dynrun_copy_begin:",
    "rep movsb",
    ".globl dynrun_copy_fault",
    "dynrun_copy_fault:",
    "mov rax, rcx",
    "ret",
    // The handler of all signals: the runtime's fs for the handler's duration.
    ".p2align 4",
    ".globl dynrun_signal_entry",
    "dynrun_signal_entry:",
    "push rbx",
    "pushfq",
    "btr dword ptr [rsp], 18",
    "popfq",
    "rdfsbase rbx",
    "mov rax, gs:[0x10]",
    "wrfsbase rax",
    "call {handler}",
    "wrfsbase rbx",
    "pop rbx",
    "ret",
    ".globl dynrun_restorer",
    "dynrun_restorer:",
    "mov eax, 15",
    "syscall",
    // i64 dynrun_clone(args7, new_stack, thread): the child starts in dynrun_thread_start(thread).
    ".p2align 4",
    ".globl dynrun_clone",
    "dynrun_clone:",
    "mov [rsi - 8], rdx",
    "mov rax, [rdi]",
    "mov rsi, [rdi + 16]",
    "mov rdx, [rdi + 24]",
    "mov r10, [rdi + 32]",
    "mov r8, [rdi + 40]",
    "mov rdi, [rdi + 8]",
    "syscall",
    "test rax, rax",
    "jz 3f",
    "ret",
    "3:",
    "xor ebp, ebp",
    "mov rdi, [rsp - 8]",
    "sub rsp, 64",
    "and rsp, -16",
    "call {start}",
    "ud2",
    // void dynrun_xconvert(void *from, void *to, u64 mask, u64 compact): loads vector state from
    // one area and stores it to another, in compacted or in standard format.
    ".p2align 4",
    ".globl dynrun_xconvert",
    "dynrun_xconvert:",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp + 4]",
    "mov rax, rdx",
    "shr rdx, 32",
    "xrstor64 [rdi]",
    "test ecx, ecx",
    "jnz 4f",
    "xsave64 [rsi]",
    "jmp 5f",
    "4:",
    "xsavec64 [rsi]",
    "5:",
    "ldmxcsr [rsp]",
    "fldcw [rsp + 4]",
    "vzeroupper",
    "add rsp, 8",
    "ret",
    handler = sym crate::signal::handler,
    start = sym crate::thread::thread_start,
);

unsafe extern "C" {
    fn dynrun_enter();
    fn dynrun_enter_check();
    fn dynrun_enter_end();
    fn dynrun_enter_back_out();
    fn dynrun_miss();
    fn dynrun_exit();
    fn dynrun_syscall(args: *const u64) -> i64;
    fn dynrun_syscall_check();
    fn dynrun_syscall_end();
    fn dynrun_syscall_interrupted();
    fn dynrun_copy(to: *mut u8, from: *const u8, n: usize) -> usize;
    fn dynrun_copy_begin();
    fn dynrun_copy_fault();
    fn dynrun_signal_entry();
    fn dynrun_restorer();
    fn dynrun_clone(args: *const u64, stack: u64, thread: *mut std::ffi::c_void) -> i64;
    fn dynrun_xconvert(from: *const u8, to: *mut u8, mask: u64, compact: u64);
}

/// Addresses that the stubs and the signal handler know.
#[derive(Clone, Copy, Debug)]
pub struct Labels;

impl Labels {
    /// Where generated code goes to leave.
    pub fn exit() -> usize {
        dynrun_exit as *const () as usize
    }
    /// Empty slot of the indirect table.
    pub fn miss() -> usize {
        dynrun_miss as *const () as usize
    }
    /// The kernel calls this for every signal.
    pub fn signal_entry() -> usize {
        dynrun_signal_entry as *const () as usize
    }
    /// `sa_restorer` of our handlers.
    pub fn restorer() -> usize {
        dynrun_restorer as *const () as usize
    }
    /// If `rip` lies in a window that a signal must move the thread out of, where to.
    pub fn back_out_of(rip: usize) -> Option<usize> {
        if (dynrun_enter_check as *const () as usize..dynrun_enter_end as *const () as usize).contains(&rip) {
            return Some(dynrun_enter_back_out as *const () as usize);
        }
        if (dynrun_syscall_check as *const () as usize..dynrun_syscall_end as *const () as usize)
            .contains(&rip)
        {
            return Some(dynrun_syscall_interrupted as *const () as usize);
        }
        None
    }
    /// Where a fault while copying guest memory goes on.
    pub fn copy_fault(rip: usize) -> Option<usize> {
        (rip == dynrun_copy_begin as *const () as usize)
            .then_some(dynrun_copy_fault as *const () as usize)
            .or_else(|| crate::access::recover(rip))
    }
}

/// Runs guest code from `context.target` until it leaves.
///
/// # Safety
/// `gs` must hold the address of `context`, whose guest state and target must be consistent.
pub unsafe fn enter(context: *mut Context) {
    debug_assert!(!context.is_null());
    // SAFETY: as the caller promises; the assembly saves and restores what the ABI asks for.
    unsafe { dynrun_enter() }
}

/// A system call on behalf of the guest, made only while no signal is pending.
pub fn guest_syscall(args: &[u64; 7]) -> i64 {
    // SAFETY: the assembly only reads the array; what the call does to memory is the guest's wish.
    unsafe { dynrun_syscall(args.as_ptr()) }
}

/// Returned by [`guest_syscall`] when a signal was pending and nothing was done.
pub const NOT_STARTED: i64 = -512;

/// Copies between the runtime and the guest; `false` when the guest's memory is not accessible.
///
/// # Safety
/// The runtime's side of the copy must be valid for `n` bytes.
pub unsafe fn copy(to: *mut u8, from: *const u8, n: usize) -> bool {
    // SAFETY: a fault on the guest's side is caught by the signal handler (copy window).
    unsafe { dynrun_copy(to, from, n) == 0 }
}

/// Starts a thread or process on its own host stack.
///
/// # Safety
/// `stack` must be the top of an unused stack, `thread` the record of the new thread, and the
/// arguments those of a `clone` or `clone3` call that gives the child that stack.
pub unsafe fn clone(args: &[u64; 7], stack: u64, thread: *mut crate::thread::Thread) -> i64 {
    // SAFETY: as the caller promises.
    unsafe { dynrun_clone(args.as_ptr(), stack, thread.cast()) }
}

/// Converts a vector state between formats.
///
/// # Safety
/// Both areas must be 64-byte aligned and large enough for `mask`; `from` must hold a valid state.
pub unsafe fn convert_state(from: *const u8, to: *mut u8, mask: u64, compact: bool) {
    // SAFETY: as the caller promises.
    unsafe { dynrun_xconvert(from, to, mask, u64::from(compact)) }
}
