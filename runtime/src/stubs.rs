//! Host code around fragments: exit stubs, counters, far jumps, indirect entries, and the small
//! assembler for instructions on the context that all of them and the block translator use.
//!
//! Conventions of generated code (see also `enter.rs`):
//! - an exit stub stores the number of the exit in the context and goes to the common exit code of
//!   its region; all guest registers and flags are intact;
//! - an indirect branch arrives at an indirect entry with the guest target in `rcx`, the guest's
//!   `rcx` and `rdx` in their spill slots, `rdx` free, flags intact;
//! - an entry's check is reached with, in addition, flags in `ax` (`lahf; seto al`) and the guest's
//!   `rax` in its spill slot.

use crate::context::{off, reg};
use crate::enter::Labels;
use fragcache::{ExitId, GuestPc, HostPc, StubWriter};

/// Offset of the jump to `dynrun_mismatch` in a region's common code.
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

/// Loads a constant into a register: `lea r, [rip + d]` in reach, else `mov r, imm`.
pub fn load_address(out: &mut Vec<u8>, at: usize, r: usize, value: u64) {
    let end = at + out.len() + 7;
    if u32::try_from(value).is_err()
        && let Ok(d) = i32::try_from(value.wrapping_sub(end as u64) as i64)
    {
        out.extend_from_slice(&[0x48 | ((r >> 3) as u8) << 2, 0x8d, 0x05 | ((r & 7) as u8) << 3]);
        out.extend_from_slice(&d.to_le_bytes());
    } else {
        load_imm(out, r, value);
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

/// What an indirect entry may skip because the code at its entry overwrites it first.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadAtEntry {
    /// All six status flags.
    pub flags: bool,
    /// rax, rcx, rdx.
    pub regs: [bool; 3],
}

/// Emits an indirect entry into `out` (code for address `at + out.len()`): returns the offsets of
/// its start, its check and its mismatch displacement. Falls through when the target matches.
pub fn indirect_entry(out: &mut Vec<u8>, at: usize, pc: GuestPc, dead: DeadAtEntry) -> (u32, u32, u32) {
    let start = out.len() as u32;
    store_slot(out, off::SPILL_RAX, reg::RAX);
    save_flags(out);
    let check = out.len() as u32;
    load_address(out, at, reg::RDX, pc.0);
    out.extend_from_slice(&[0x48, 0x39, 0xd1]); // cmp rcx, rdx
    align_field(out, at, 2);
    out.extend_from_slice(&[0x0f, 0x85]);
    let mismatch = out.len() as u32;
    out.extend_from_slice(&[0; 4]);
    restore_scratch(out, dead);
    (start, check, mismatch)
}

/// Restores flags from `ax` and rax, rcx, rdx from their slots, as far as needed.
pub fn restore_scratch(out: &mut Vec<u8>, dead: DeadAtEntry) {
    if !dead.flags {
        restore_flags(out);
    }
    for (i, (r, slot)) in [(reg::RAX, off::SPILL_RAX), (reg::RCX, off::SPILL_RCX), (reg::RDX, off::SPILL_RDX)]
        .into_iter()
        .enumerate()
    {
        if !dead.regs[i] {
            load_slot(out, r, slot);
        }
    }
}

/// The client's side of the cache's code.
#[derive(Debug)]
pub struct Stubs;

impl StubWriter for Stubs {
    fn region_common(&self, _at: HostPc) -> Vec<u8> {
        let mut out = Vec::new();
        for target in [Labels::exit(), Labels::mismatch()] {
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

    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        out.extend_from_slice(&(target.0 as u64).to_le_bytes());
    }

    fn mismatch(&self, common: HostPc) -> HostPc {
        HostPc(common.0 + COMMON_MISMATCH)
    }

    fn indirect_entry(&self, at: HostPc, pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> (u32, u32) {
        let (_, check, mismatch) = indirect_entry(out, at.0, pc, DeadAtEntry::default());
        jump_to(out, at, entry);
        (check, mismatch)
    }
}
