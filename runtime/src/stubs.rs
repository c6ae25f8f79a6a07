//! Host code around fragments: exit stubs, counters, far jumps, indirect entries, and the small
//! assembler for instructions on the context that all of them and the block translator use.
//!
//! Conventions of generated code (see also `enter.rs`):
//! - an exit stub stores the number of the exit in the context and goes to the common exit code of
//!   its region; all guest registers and flags are intact;
//! - an indirect branch arrives at an indirect entry with the guest target in `rcx`, the guest's
//!   `rcx` and `rdx` in their spill slots, `rdx` free, flags intact;
//! - entries with the same hash are chained: a mismatch goes on to the next entry's check with the
//!   same registers.
//!
//! Flags are alive all the way, because nobody can know whether the target wants them; so addresses
//! are compared by `lea` and `jrcxz`. (Measured on Zen 4 with recursive Fibonacci numbers, native
//! 1.00: `lahf; seto; cmp` 1.43, `jrcxz` 1.23, `cmp` without saving flags 1.13.)

use crate::context::{off, reg};
use crate::enter::Labels;
use fragcache::{ExitId, GuestPc, HostPc, StubWriter};

/// Offset of the jump to `dynrun_miss` in a region's common code.
const COMMON_MISMATCH: usize = 16;

/// `mov gs:[slot], r64`
pub fn store_slot(out: &mut Vec<u8>, slot: u32, r: usize) {
    out.extend_from_slice(&[0x65, 0x48 | ((r >> 3) as u8) << 2, 0x89, 0x04 | ((r & 7) as u8) << 3, 0x25]);
    out.extend_from_slice(&slot.to_le_bytes());
}

/// `mov r64, gs:[slot]`
pub fn load_slot(out: &mut Vec<u8>, r: usize, slot: u32) {
    out.extend_from_slice(&[0x65, 0x48 | ((r >> 3) as u8) << 2, 0x8b, 0x04 | ((r & 7) as u8) << 3, 0x25]);
    out.extend_from_slice(&slot.to_le_bytes());
}

/// `mov dword gs:[slot], imm32`
pub fn store_slot_imm(out: &mut Vec<u8>, slot: u32, value: u32) {
    out.extend_from_slice(&[0x65, 0xc7, 0x04, 0x25]);
    out.extend_from_slice(&slot.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
}

/// `mov r64, imm64`, in the shortest form.
pub fn load_imm(out: &mut Vec<u8>, r: usize, value: u64) {
    let (hi, lo) = ((r >> 3) as u8, (r & 7) as u8);
    if let Ok(v) = u32::try_from(value) {
        if hi != 0 {
            out.push(0x41);
        }
        out.push(0xb8 | lo);
        out.extend_from_slice(&v.to_le_bytes());
    } else if let Ok(v) = i32::try_from(value as i64) {
        out.extend_from_slice(&[0x48 | hi, 0xc7, 0xc0 | lo]);
        out.extend_from_slice(&v.to_le_bytes());
    } else {
        out.extend_from_slice(&[0x48 | hi, 0xb8 | lo]);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// `lahf; seto al`: the six status flags to `ax`.
pub fn save_flags(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x9f, 0x0f, 0x90, 0xc0]);
}

/// `add al, 127; sahf`: the reverse.
pub fn restore_flags(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x04, 0x7f, 0x9e]);
}

/// Padding of `n` bytes, in long no-operations.
pub fn nops(out: &mut Vec<u8>, mut n: usize) {
    const NOPS: [&[u8]; 8] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
        &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    ];
    while n > 0 {
        let k = n.min(8);
        out.extend_from_slice(NOPS[k - 1]);
        n -= k;
    }
}

/// Pads so that the 4-byte field `field` bytes into the next instruction can be patched.
pub fn align_field(out: &mut Vec<u8>, at: usize, field: usize) {
    let n = fragcache::link::padding(at + out.len(), field);
    nops(out, n);
}

fn jump_to(out: &mut Vec<u8>, at: HostPc, to: HostPc) {
    out.push(0xe9);
    let field = at.0 + out.len();
    let d = fragcache::link::displacement(field, to.0).expect("a jump within a region");
    out.extend_from_slice(&d.to_le_bytes());
}

/// Bits of the guest address that [`look_up`] shifts out, for [`fragcache::CacheConfig::indirect_shift`].
pub fn table_shift(bmi2: bool) -> u32 {
    if bmi2 { fragcache::indirect::SHIFT } else { 0 }
}

/// Hashes rcx and jumps through the table of indirect branches; rcx and rdx are spilled. Returns the offset of
/// the field with the table's address.
pub fn look_up(out: &mut Vec<u8>, at: usize, bmi2: bool) -> u32 {
    if bmi2 {
        out.extend_from_slice(&[0xc4, 0xe3, 0x7b, 0xf0, 0xd1, table_shift(true) as u8]); // rorx edx, ecx, n
        out.extend_from_slice(&[0x0f, 0xb7, 0xd2]); // movzx edx, dx
    } else {
        out.extend_from_slice(&[0x0f, 0xb7, 0xd1]); // movzx edx, cx
    }
    align_field(out, at, 3);
    out.extend_from_slice(&[0xff, 0x24, 0xd5]); // jmp [rdx*8 + table]
    let field = out.len() as u32;
    out.extend_from_slice(&[0; 4]);
    field
}

/// What an indirect entry may skip because the code at its entry overwrites it first: rcx, rdx.
pub type DeadAtEntry = [bool; 2];

/// Compares rcx with `value` without touching flags: falls through when equal (rcx and rdx are then
/// restored), else arrives at the returned offset of a rel32 field with rcx as before.
pub fn compare_target(out: &mut Vec<u8>, at: usize, value: u64, dead: DeadAtEntry) -> u32 {
    let small = i32::try_from(value as i64).ok();
    match small {
        Some(v) => add_to_rcx(out, v.wrapping_neg()),
        None => {
            load_imm(out, reg::RDX, value.wrapping_neg());
            out.extend_from_slice(&[0x48, 0x8d, 0x0c, 0x11]); // lea rcx, [rcx + rdx]
        }
    }
    out.extend_from_slice(&[0xe3, 0]); // jrcxz equal
    let branch = out.len();
    match small {
        Some(v) => add_to_rcx(out, v),
        None => {
            load_imm(out, reg::RDX, value);
            out.extend_from_slice(&[0x48, 0x8d, 0x0c, 0x11]);
        }
    }
    align_field(out, at, 1);
    out.push(0xe9);
    let field = out.len() as u32;
    out.extend_from_slice(&[0; 4]);
    out[branch - 1] = (out.len() - branch) as u8;
    if !dead[0] {
        load_slot(out, reg::RCX, off::SPILL_RCX);
    }
    if !dead[1] {
        load_slot(out, reg::RDX, off::SPILL_RDX);
    }
    field
}

/// `lea rcx, [rcx + d]`
fn add_to_rcx(out: &mut Vec<u8>, d: i32) {
    out.extend_from_slice(&[0x48, 0x8d, 0x89]);
    out.extend_from_slice(&d.to_le_bytes());
}

/// Emits an indirect entry into `out` (code for address `at + out.len()`): returns the offsets of
/// its start and its mismatch displacement. Falls through when the target matches.
pub fn indirect_entry(out: &mut Vec<u8>, at: usize, pc: GuestPc, dead: DeadAtEntry) -> (u32, u32) {
    let start = out.len() as u32;
    let mismatch = compare_target(out, at, pc.0, dead);
    (start, mismatch)
}

/// The client's side of the cache's code.
#[derive(Debug)]
pub struct Stubs;

impl StubWriter for Stubs {
    fn region_common(&self, _at: HostPc) -> Vec<u8> {
        let mut out = Vec::new();
        for target in [Labels::exit(), Labels::miss()] {
            self.far_jump(HostPc(target), &mut out);
            out.resize(out.len().next_multiple_of(COMMON_MISMATCH), 0xcc);
        }
        out
    }

    fn exit_stub(&self, at: HostPc, common: HostPc, exit: ExitId, out: &mut Vec<u8>) {
        store_slot_imm(out, off::EXIT, exit.0);
        jump_to(out, at, common);
    }

    fn counter_stub(
        &self,
        at: HostPc,
        common: HostPc,
        cell: u32,
        hot: ExitId,
        entry: HostPc,
        out: &mut Vec<u8>,
    ) {
        store_slot(out, off::SPILL_MISC, reg::RCX);
        out.extend_from_slice(&[0x8b, 0x0c, 0x25]); // mov ecx, [cell]
        out.extend_from_slice(&cell.to_le_bytes());
        out.extend_from_slice(&[0x8d, 0x49, 0xff]); // lea ecx, [rcx - 1]
        out.extend_from_slice(&[0x89, 0x0c, 0x25]); // mov [cell], ecx
        out.extend_from_slice(&cell.to_le_bytes());
        out.extend_from_slice(&[0xe3, 0x00]); // jrcxz hot
        let branch = out.len();
        load_slot(out, reg::RCX, off::SPILL_MISC);
        jump_to(out, at, entry);
        out[branch - 1] = (out.len() - branch) as u8;
        load_slot(out, reg::RCX, off::SPILL_MISC);
        self.exit_stub(at, common, hot, out);
    }

    fn counting_jump(&self, cell: u32, to: HostPc, out: &mut Vec<u8>) {
        store_slot(out, off::SPILL_MISC, reg::RCX);
        out.extend_from_slice(&[0x8b, 0x0c, 0x25]); // mov ecx, [cell]
        out.extend_from_slice(&cell.to_le_bytes());
        out.extend_from_slice(&[0x8d, 0x49, 0xff]); // lea ecx, [rcx - 1]
        out.extend_from_slice(&[0xe3, 7]); // jrcxz over the store
        out.extend_from_slice(&[0x89, 0x0c, 0x25]); // mov [cell], ecx
        out.extend_from_slice(&cell.to_le_bytes());
        load_slot(out, reg::RCX, off::SPILL_MISC);
        nops(out, 3); // The constant of the far jump is aligned.
        self.far_jump(to, out);
    }

    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>) {
        // The constant is aligned when the code is, for guests that run with alignment checks on.
        out.extend_from_slice(&[0x66, 0x90, 0xff, 0x25, 0, 0, 0, 0]);
        out.extend_from_slice(&(target.0 as u64).to_le_bytes());
    }

    fn mismatch(&self, common: HostPc) -> HostPc {
        HostPc(common.0 + COMMON_MISMATCH)
    }

    fn indirect_entry(&self, at: HostPc, pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> u32 {
        let (_, mismatch) = indirect_entry(out, at.0, pc, DeadAtEntry::default());
        jump_to(out, at, entry);
        mismatch
    }
}
