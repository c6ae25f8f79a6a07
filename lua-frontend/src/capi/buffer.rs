//! `luaL_Buffer`: a string under construction.
//!
//! The structure lives in the frame of the C function; its macros fill it directly, so its layout is the one of the
//! headers. What does not fit is pushed in pieces onto the stack, whose number is in `level`.
//! Pieces are joined such that each is at least as long as the sum of those above it, so there are few of them.

use std::ffi::{c_char, c_int};
use std::ptr;

use super::stack::{lua_concat, lua_gettop, push_bytes, string};
use super::{State, bytes, cx, settle};

/// `LUAL_BUFFERSIZE`
const SIZE: usize = 8192;
/// Most pieces on the stack.
const MOST: c_int = 9;

/// `luaL_Buffer`
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// Where the next byte goes.
    p: *mut c_char,
    /// Pieces on the stack.
    level: c_int,
    l: State,
    buffer: [c_char; SIZE],
}

/// Starts a string.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_buffinit(l: State, b: *mut Buffer) {
    // SAFETY: see `super`. The array may be uninitialised and is not read before it is written.
    unsafe {
        (*b).p = (&raw mut (*b).buffer).cast();
        (*b).level = 0;
        (*b).l = l;
    }
}

/// Pushes what is in the array as a piece.
unsafe fn flush(b: *mut Buffer) -> bool {
    // SAFETY: the bytes below `p` have been written.
    unsafe {
        let start: *mut c_char = (&raw mut (*b).buffer).cast();
        let n = (*b).p.offset_from(start) as usize;
        if n == 0 {
            return false;
        }
        (*b).p = start;
        push_bytes((*b).l, std::slice::from_raw_parts(start.cast(), n));
        (*b).level += 1;
        true
    }
}

/// Joins pieces on top of the stack.
unsafe fn join(b: *mut Buffer) {
    // SAFETY: the pieces are strings on the stack.
    unsafe {
        let l = (*b).l;
        if (*b).level < 2 {
            return;
        }
        let len = |i: c_int| string(l, i).map_or(0, |s| s.len());
        let mut n = 1;
        let mut total = len(-1);
        while n < (*b).level && ((*b).level - n + 1 >= MOST || total > len(-(n + 1))) {
            total += len(-(n + 1));
            n += 1;
        }
        lua_concat(l, n);
        (*b).level -= n - 1;
    }
}

/// Room for [`SIZE`] bytes.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_prepbuffer(b: *mut Buffer) -> *mut c_char {
    // SAFETY: see `super`.
    unsafe {
        if flush(b) {
            join(b);
        }
        (&raw mut (*b).buffer).cast()
    }
}

/// Appends bytes.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_addlstring(b: *mut Buffer, s: *const c_char, n: usize) {
    // SAFETY: see `super`.
    unsafe {
        let start: *mut c_char = (&raw mut (*b).buffer).cast();
        let room = |b: *mut Buffer| SIZE - (*b).p.offset_from(start) as usize;
        if n > room(b) {
            luaL_prepbuffer(b);
        }
        if n > room(b) {
            // Longer than the array: a piece of its own.
            let l = (*b).l;
            let r = cx(l).check_len(n);
            settle(l, r);
            push_bytes(l, std::slice::from_raw_parts(s.cast(), n));
            (*b).level += 1;
            join(b);
            return;
        }
        ptr::copy_nonoverlapping(s, (*b).p, n);
        (*b).p = (*b).p.add(n);
    }
}

/// Appends a C string.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_addstring(b: *mut Buffer, s: *const c_char) {
    // SAFETY: see `super`.
    unsafe { luaL_addlstring(b, s, bytes(s).len()) }
}

/// Appends the string or number on top, which it takes.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_addvalue(b: *mut Buffer) {
    // SAFETY: see `super`; the string stays alive while it is copied.
    unsafe {
        let l = (*b).l;
        let start: *mut c_char = (&raw mut (*b).buffer).cast();
        let Some(s) = string(l, -1) else { return };
        let s = s.bytes();
        if s.len() <= SIZE - (*b).p.offset_from(start) as usize {
            ptr::copy_nonoverlapping(s.as_ptr().cast(), (*b).p, s.len());
            (*b).p = (*b).p.add(s.len());
            (*l).top = (*l).top.sub(1);
            return;
        }
        // The value itself becomes a piece, above what is in the array.
        if flush(b) {
            super::stack::lua_insert(l, -2);
        }
        (*b).level += 1;
        join(b);
    }
}

/// Ends the string and pushes it.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luaL_pushresult(b: *mut Buffer) {
    // SAFETY: see `super`.
    unsafe {
        flush(b);
        debug_assert!(lua_gettop((*b).l) >= (*b).level);
        lua_concat((*b).l, (*b).level);
        (*b).level = 1;
    }
}
