//! Guest instructions that load the floating point control word, on whose default optimised traces rest
//! ([`crate::assume::FP_DEFAULT`]).
//!
//! - `ldmxcsr` leaves to the dispatcher, which looks at the value first: the fact ends when control bits are not the
//!   default, when sticky flags are cleared (the guest means to look at them later), and when the guest loads the word
//!   so often that noticing it costs more than it brings.
//! - Sticky flags are therefore exact from the first time that the guest clears them. One that looks at them without ever
//!   having done so may miss flags raised only by operations whose results nobody used, and the invalid flag of an ordered
//!   comparison (`comisd`) of quiet NaNs; it never sees one that no operation of its own raised.
//! - `xrstor` and its kind, which every lazily bound call executes, are followed by a check in line that costs no
//!   flags and leaves only when control bits are not the default.
//! - `rt_sigreturn` is checked by `signal`.
//!
//! Once the fact has ended none of this is emitted any more.

use crate::assume;
use crate::context::{off, reg};
use crate::process::process;
use crate::signal::read_guest;
use crate::stubs;
use crate::thread::Thread;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use std::sync::atomic::{AtomicU32, Ordering};

/// The control word at the start of a program.
const DEFAULT: u32 = 0x1f80;
/// Its sticky flags.
const STICKY: u32 = 0x3f;
/// Loads of the default that are put up with.
const MANY: u32 = 1000;

/// Does the instruction load the control word, and nothing else?
pub fn loads(i: &Instruction) -> bool {
    matches!(i.mnemonic(), Mnemonic::Ldmxcsr | Mnemonic::Vldmxcsr)
}

/// Does it restore saved state, the control word included?
pub fn restores(i: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(i.mnemonic(), M::Fxrstor | M::Fxrstor64 | M::Xrstor | M::Xrstor64 | M::Xrstors | M::Xrstors64)
}

/// Compares the control bits with their default, without touching registers or flags. Falls through when they are
/// equal; else the code goes on at the place whose offset in `out` is to be filled in at the one returned, a
/// 1-byte displacement.
pub fn emit_check(out: &mut Vec<u8>) -> usize {
    stubs::store_slot(out, off::SPILL_RCX, reg::RCX);
    out.extend_from_slice(&[0x65, 0x0f, 0xae, 0x1c, 0x25]); // stmxcsr gs:[misc]
    out.extend_from_slice(&off::SPILL_MISC.to_le_bytes());
    out.extend_from_slice(&[0x65, 0x8b, 0x0c, 0x25]); // mov ecx, gs:[misc]
    out.extend_from_slice(&off::SPILL_MISC.to_le_bytes());
    out.extend_from_slice(&[0xc4, 0xe3, 0x7b, 0xf0, 0xc9, 6]); // rorx ecx, ecx, 6
    out.extend_from_slice(&[0x0f, 0xb7, 0xc9]); // movzx ecx, cx
    out.extend_from_slice(&[0x48, 0x8d, 0x49, (DEFAULT >> 6).wrapping_neg() as u8]); // lea rcx, [rcx - default]
    out.extend_from_slice(&[0xe3, 0]); // jrcxz
    out.len() - 1
}

/// Is it another control word than the default?
pub fn is_unusual(mxcsr: u32) -> bool {
    (mxcsr ^ DEFAULT) & 0xffff & !STICKY != 0
}

/// Before the instruction at `pc`, which loads the control word: is the fact going to hold?
pub fn before_load(thread: &Thread, pc: u64) {
    static LOADS: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0u8; 15];
    let mut n = bytes.len();
    while n > 0 && read_guest(pc, &mut bytes[..n]).is_err() {
        n -= 1;
    }
    let i = Decoder::with_ip(64, &bytes[..n], pc, DecoderOptions::NONE).decode();
    let mut word = [0u8; 4];
    let known = address(thread, &i).is_some_and(|at| read_guest(at, &mut word).is_ok());
    let (new, old) = (u32::from_le_bytes(word), crate::interp::mxcsr(&thread.context));
    // Also when they are clear already.
    let clears = new & STICKY == 0 || old & !new & STICKY != 0;
    if known && !is_unusual(new) && !clears && LOADS.fetch_add(1, Ordering::Relaxed) < MANY {
        return;
    }
    ended();
}

/// The guest's floating point is its own affair from here on.
pub fn ended() {
    assume::revoke(assume::FP_DEFAULT);
    process().lock().translator.watch_fp = false;
}

fn address(thread: &Thread, i: &Instruction) -> Option<u64> {
    if i.op_count() == 0 || i.op0_kind() != OpKind::Memory {
        return None;
    }
    i.virtual_address(0, 0, |r, _, _| match r {
        Register::FS => Some(thread.context.guest_fs),
        Register::GS => Some(thread.context.guest_gs),
        r if r.is_gpr64() => Some(thread.context.gpr[r.number()]),
        r if r.is_gpr32() => Some(thread.context.gpr[r.number()] & 0xffff_ffff),
        _ => Some(0),
    })
}
