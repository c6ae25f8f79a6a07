//! Calling C functions so that an error can leave them.
//!
//! An error in Lua's C API does not return: `lua_error` goes back to whoever called the C function. [`enter`] calls C
//! and remembers its stack pointer; [`leave`] takes the stack back to there, whatever frames of C are in between, and makes
//! `enter` return [`THROWN`]. Both are a few instructions of assembly, because a function that returns twice
//! cannot be called from Rust.
//!
//! Contract: `leave` abandons the frames between itself and `enter`. Those must have nothing to do at their end: C
//! functions (as with any `longjmp`), and functions of this directory after all their locals with destructors are
//! gone. That is why every function that can raise computes a `Result` in a function of its own first, and its
//! caller hands it to [`settle`](super::settle), whose type parameter is `Copy`.

use std::ffi::c_void;

/// What [`enter`] gives when the C function was left by [`leave`].
pub const THROWN: i64 = i64::MIN;

/// A place to go back to.
#[repr(C)]
#[derive(Debug)]
pub struct Jump {
    /// The stack pointer inside `enter`.
    sp: usize,
    /// The place that was in force before.
    pub prev: *mut Jump,
}

impl Jump {
    /// A place that [`enter`] will fill in.
    pub fn new(prev: *mut Jump) -> Jump {
        Jump { sp: 0, prev }
    }
}

/// Calls `f(a, b, c)` and gives its result, or [`THROWN`].
///
/// # Safety
/// `f` is a C function of up to three words; `jump` outlives the call.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn enter(
    f: *const c_void,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
    jump: *mut Jump,
) -> i64 {
    std::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [r8], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "call rax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Goes back to where `jump` was filled in.
///
/// # Safety
/// The call of [`enter`] that filled `jump` has not returned; see the contract of the module.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn leave(jump: *mut Jump) -> ! {
    std::arch::naked_asm!(
        "mov rsp, [rdi]",
        "movabs rax, 0x8000000000000000",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Calls `f(a, b, c)` and gives its result, or [`THROWN`].
///
/// # Safety
/// `f` is a C function of up to three words; `jump` outlives the call.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn enter(
    f: *const c_void,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
    jump: *mut Jump,
) -> i64 {
    std::arch::naked_asm!(
        "stp x29, x30, [sp, #-160]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x29, sp",
        "mov x9, sp",
        "str x9, [x4]",
        "mov x9, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "blr x9",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
    )
}

/// Goes back to where `jump` was filled in.
///
/// # Safety
/// The call of [`enter`] that filled `jump` has not returned; see the contract of the module.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub unsafe extern "C" fn leave(jump: *mut Jump) -> ! {
    std::arch::naked_asm!(
        "ldr x9, [x0]",
        "mov sp, x9",
        "mov x0, #0x8000000000000000",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
    )
}
