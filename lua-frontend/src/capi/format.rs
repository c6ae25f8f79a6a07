//! Messages with arguments: `lua_pushfstring` and `luaL_error`.
//!
//! Rust cannot define functions with a variable number of arguments, so each of the two is a piece of assembly that stores
//! the argument registers and makes of them what C calls a `va_list`; [`Arguments`] reads one as the calling convention of the host
//! says.

use std::ffi::{c_char, c_int, c_void};

use super::stack::push_bytes;
use super::{State, bytes, cx, push, throw};
use crate::value::Value;

/// A `va_list` (System V, x86-64).
#[cfg(target_arch = "x86_64")]
#[repr(C)]
#[derive(Debug)]
pub struct Arguments {
    gp_offset: u32,
    fp_offset: u32,
    overflow: *const u8,
    registers: *const u8,
}

#[cfg(target_arch = "x86_64")]
impl Arguments {
    unsafe fn word(&mut self) -> u64 {
        // SAFETY: the registers take 48 bytes, later arguments follow each other in memory.
        unsafe {
            if self.gp_offset < 48 {
                let p = self.registers.add(self.gp_offset as usize);
                self.gp_offset += 8;
                return *p.cast();
            }
            let p = self.overflow;
            self.overflow = p.add(8);
            *p.cast()
        }
    }
    unsafe fn double(&mut self) -> f64 {
        // SAFETY: the registers take the bytes 48 to 176 of their area.
        unsafe {
            if self.fp_offset < 176 {
                let p = self.registers.add(self.fp_offset as usize);
                self.fp_offset += 16;
                return *p.cast();
            }
            let p = self.overflow;
            self.overflow = p.add(8);
            *p.cast()
        }
    }
}

/// A `va_list` (AArch64).
#[cfg(target_arch = "aarch64")]
#[repr(C)]
#[derive(Debug)]
pub struct Arguments {
    stack: *const u8,
    gr_top: *const u8,
    vr_top: *const u8,
    gr_offs: i32,
    vr_offs: i32,
}

#[cfg(target_arch = "aarch64")]
impl Arguments {
    unsafe fn word(&mut self) -> u64 {
        // SAFETY: negative offsets lead to saved registers, later arguments follow each other in memory.
        unsafe {
            if self.gr_offs < 0 {
                let p = self.gr_top.offset(self.gr_offs as isize);
                self.gr_offs += 8;
                return *p.cast();
            }
            let p = self.stack;
            self.stack = p.add(8);
            *p.cast()
        }
    }
    unsafe fn double(&mut self) -> f64 {
        // SAFETY: as `word`.
        unsafe {
            if self.vr_offs < 0 {
                let p = self.vr_top.offset(self.vr_offs as isize);
                self.vr_offs += 16;
                return *p.cast();
            }
            let p = self.stack;
            self.stack = p.add(8);
            *p.cast()
        }
    }
}

/// The text of a format with `%s %d %f %p %c %%`.
unsafe fn text(format: &[u8], args: &mut Arguments) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = format.iter();
    while let Some(&c) = rest.next() {
        if c != b'%' {
            out.push(c);
            continue;
        }
        // SAFETY: by the caller's promise the arguments are what the format says.
        unsafe {
            match rest.next() {
                Some(b's') => {
                    let s = args.word() as *const c_char;
                    out.extend_from_slice(if s.is_null() { b"(null)" } else { bytes(s) });
                }
                Some(b'c') => out.push(args.word() as u8),
                Some(b'd') => out.extend_from_slice((args.word() as i32).to_string().as_bytes()),
                Some(b'f') => crate::number::format(args.double(), &mut out),
                Some(b'p') => crate::strfmt::put_pointer(&mut out, args.word() as usize),
                Some(b'%') => out.push(b'%'),
                Some(&other) => out.extend_from_slice(&[b'%', other]),
                None => {}
            }
        }
    }
    out
}

/// Pushes a formatted string and gives its bytes.
///
/// # Safety
/// See [`super`]; the arguments are those that the format names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushvfstring(
    l: State,
    format: *const c_char,
    args: *mut Arguments,
) -> *const c_char {
    // SAFETY: by the caller's promise.
    unsafe {
        push_text(l, bytes(format), &mut *args);
        super::stack::lua_tolstring(l, -1, std::ptr::null_mut())
    }
}

/// Pushes without a safe point, so that there is no error while a `Vec` is alive.
unsafe fn push_text(l: State, format: &[u8], args: &mut Arguments) {
    // SAFETY: see `super`.
    unsafe {
        let s = text(format, args);
        push(l, cx(l).str(&s));
    }
}

/// Raises a formatted error with the position of the function at level 1.
unsafe extern "C" fn error(l: State, format: *const c_char, args: *mut Arguments) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let e = cx(l).throw(message(l, bytes(format), &mut *args));
        throw(l, e)
    }
}

unsafe fn message(l: State, format: &[u8], args: &mut Arguments) -> Value {
    let mut all = cx(l).position(1);
    // SAFETY: see `super`.
    all.extend_from_slice(&unsafe { text(format, args) });
    cx(l).str_value(all)
}

/// Pushes a string or number as text behind an optional one; for messages made of parts.
pub(crate) unsafe fn push_parts(l: State, parts: &[&[u8]]) {
    // SAFETY: see `super`.
    unsafe {
        if let [one] = parts {
            return push_bytes(l, one);
        }
        push(l, cx(l).str(&parts.concat()));
    }
}

/// Builds a `va_list` from the arguments behind the second and calls the function given.
#[cfg(target_arch = "x86_64")]
macro_rules! variadic {
    ($inner:path) => {
        std::arch::naked_asm!(
            // 0: va_list, 32: register area (176 bytes), 216: return address, 224: arguments in memory
            "sub rsp, 216",
            "mov [rsp + 48], rdx",
            "mov [rsp + 56], rcx",
            "mov [rsp + 64], r8",
            "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0",
            "movaps [rsp + 96], xmm1",
            "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3",
            "movaps [rsp + 144], xmm4",
            "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6",
            "movaps [rsp + 192], xmm7",
            "2:",
            "mov dword ptr [rsp], 16",
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            "mov rdx, rsp",
            "call {inner}",
            "add rsp, 216",
            "ret",
            inner = sym $inner,
        )
    };
}

/// Builds a `va_list` from the arguments behind the second and calls the function given.
#[cfg(target_arch = "aarch64")]
macro_rules! variadic {
    ($inner:path) => {
        std::arch::naked_asm!(
            // 0: frame, 16: va_list (32 bytes), 48: x2..x7, 96: q0..q7, 224: arguments in memory
            "stp x29, x30, [sp, #-224]!",
            "mov x29, sp",
            "stp x2, x3, [sp, #48]",
            "stp x4, x5, [sp, #64]",
            "stp x6, x7, [sp, #80]",
            "stp q0, q1, [sp, #96]",
            "stp q2, q3, [sp, #128]",
            "stp q4, q5, [sp, #160]",
            "stp q6, q7, [sp, #192]",
            "add x9, sp, #224",
            "str x9, [sp, #16]",
            "add x9, sp, #96",
            "str x9, [sp, #24]",
            "add x9, sp, #224",
            "str x9, [sp, #32]",
            "mov w9, #-48",
            "str w9, [sp, #40]",
            "mov w9, #-128",
            "str w9, [sp, #44]",
            "add x2, sp, #16",
            "bl {inner}",
            "ldp x29, x30, [sp], #224",
            "ret",
            inner = sym $inner,
        )
    };
}

/// `const char *lua_pushfstring(lua_State *, const char *, ...)`
///
/// # Safety
/// See [`super`]; the arguments are those that the format names.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn lua_pushfstring(_: State, _: *const c_char, _: *const c_void) -> *const c_char {
    variadic!(lua_pushvfstring)
}

/// `int luaL_error(lua_State *, const char *, ...)`
///
/// # Safety
/// See [`super`]; the arguments are those that the format names.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn luaL_error(_: State, _: *const c_char, _: *const c_void) -> c_int {
    variadic!(error)
}
