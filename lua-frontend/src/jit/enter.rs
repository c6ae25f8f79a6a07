//! From the interpreter into machine code and back.
//!
//! `rjit_enter(code, base, out)` saves what the System V convention wants kept, makes the spill area, and jumps. Exit stubs
//! come to `rjit_leave` with the number of the exit in `eax`; it stores the base of the frame to go on in to `out` and returns the number.
//!
//! The stack pointer is a multiple of 16 while a trace runs, so that it can call helpers.

/// Bytes for values that find no register.
pub const SPILL_BYTES: usize = 4096;
/// What is above them: `out`, and padding so that `rsp` is aligned behind six pushes and a return address.
const FRAME: usize = SPILL_BYTES + 24;
const _: () = assert!((8 + 6 * 8 + FRAME).is_multiple_of(16));

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".p2align 4",
    ".globl rjit_enter",
    ".hidden rjit_enter",
    "rjit_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, {frame}",
    "mov [rsp + {spill}], rdx",
    "mov rbx, rsi",
    "mov [rdx], rsi",
    "jmp rdi",
    ".p2align 4",
    ".globl rjit_leave",
    ".hidden rjit_leave",
    "rjit_leave:",
    "mov rdx, [rsp + {spill}]",
    "mov [rdx], rbx",
    "add rsp, {frame}",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    frame = const FRAME,
    spill = const SPILL_BYTES,
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn rjit_enter(code: usize, base: usize, out: *mut usize) -> u32;
    fn rjit_leave();
}

/// The address of `rjit_leave`.
#[cfg(target_arch = "x86_64")]
pub fn leave_address() -> usize {
    rjit_leave as *const () as usize
}

/// Runs the trace whose code is at `code` in the frame whose base is in the cell, which the trace keeps up to date. The results are the number of the
/// exit and the base to go on with.
///
/// # Safety
/// `code` is the entry of a live fragment; the frame is one that it was made for; the cell is alive and nobody else's.
#[cfg(target_arch = "x86_64")]
pub unsafe fn run(code: usize, cell: *mut usize) -> (u32, usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        let exit = rjit_enter(code, *cell, cell);
        (exit, *cell)
    }
}

/// Ticks of the processor's clock.
#[cfg(target_arch = "x86_64")]
pub fn clock() -> u64 {
    // SAFETY: all processors with this architecture have the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// See above: nothing runs that could be timed.
#[cfg(not(target_arch = "x86_64"))]
pub fn clock() -> u64 {
    0
}

/// There is no code generator for other machines: nothing is ever compiled.
#[cfg(not(target_arch = "x86_64"))]
pub fn leave_address() -> usize {
    0
}

/// See [`leave_address`].
///
/// # Safety
/// None is needed.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn run(_code: usize, _cell: *mut usize) -> (u32, usize) {
    (0, 0)
}
