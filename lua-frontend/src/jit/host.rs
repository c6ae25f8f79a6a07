//! What code generation is told about this host, and the code around fragments.
//!
//! In a trace `rbx` is the base of the frame in which it was entered, and the slots are words of the Lua stack around it; `rsp` is the spill area.
//! Nothing else is kept anywhere. An exit's stub loads the exit's number into `eax` and goes to [`super::enter`].

use fragcache::{ExitId as CacheExit, GuestPc, HostPc, StubWriter};
use ir::types::{ExitId, HelperId, SlotId};
use optimize::codegen::{Home, Host, IndirectAbi, Segment};
use optimize::pass::Features;

use super::enter;
use super::layout::{self, Layout};

/// `rbx`
pub const BASE: u8 = 3;
/// `rsp`
const STACK: u8 = 4;
/// Reserved: `rbx`, `rsp`, `xmm15`.
const RESERVED: u64 = 1 << BASE | 1 << STACK | 1 << (16 + 15);

/// See the module. Made for one trace.
#[derive(Debug)]
pub struct LuaHost<'a> {
    /// Addresses of helpers.
    pub helpers: &'a [u64],
    /// By how many words the base moves at each exit of the trace.
    pub moves: &'a [(ExitId, i32)],
    /// The helper that may move the stack.
    pub moves_stack: HelperId,
    /// Are words of the stack written at exits only?
    pub keeps_homes: bool,
    /// What the machine can do.
    pub features: Features,
}

impl Host for LuaHost<'_> {
    fn features(&self) -> Features {
        self.features
    }

    fn vector_bytes(&self) -> u32 {
        if self.features.v256 { 32 } else { 16 }
    }

    fn home(&self, slot: SlotId) -> Home {
        match Layout::word_of(slot) {
            None => Home::Base(Segment::Register(BASE)),
            Some(n) => Home::Memory(Segment::Register(BASE), (n as i32 - layout::ENTRY as i32) * 8),
        }
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Register(STACK), 0, enter::SPILL_BYTES as i32)
    }

    fn indirect(&self) -> IndirectAbi {
        IndirectAbi { target: 0, in_memory: Vec::new() }
    }

    fn indirect_tail(&self, _at: u64, code: &mut Vec<u8>) -> u32 {
        // No trace leaves for a computed address.
        code.extend_from_slice(&[0x0f, 0x0b, 0, 0, 0, 0]);
        code.len() as u32 - 4
    }

    fn reserved(&self) -> u64 {
        RESERVED
    }

    fn helper(&self, helper: HelperId) -> Option<u64> {
        self.helpers.get(helper.index()).copied()
    }

    fn before_leaving(&self, exit: ExitId, code: &mut Vec<u8>) {
        let by = self.moves.iter().find(|m| m.0 == exit).map_or(0, |m| m.1) * 8;
        if by != 0 {
            code.extend_from_slice(&[0x48, 0x8d, 0x9b]); // lea rbx, [rbx + by]
            code.extend_from_slice(&by.to_le_bytes());
            code.extend_from_slice(&[0x48, 0x8b, 0x84, 0x24]); // mov rax, [rsp + cell]
            code.extend_from_slice(&(enter::SPILL_BYTES as i32).to_le_bytes());
            code.extend_from_slice(&[0x48, 0x89, 0x18]); // mov [rax], rbx
        }
    }

    fn behind_call(&self, helper: HelperId, code: &mut Vec<u8>) {
        if helper == self.moves_stack {
            code.extend_from_slice(&[0x48, 0x8b, 0x9c, 0x24]); // mov rbx, [rsp + cell]
            code.extend_from_slice(&(enter::SPILL_BYTES as i32).to_le_bytes());
            code.extend_from_slice(&[0x48, 0x8b, 0x1b]); // mov rbx, [rbx]
        }
    }

    fn keeps_homes(&self) -> bool {
        self.keeps_homes
    }
}

/// The code around fragments.
#[derive(Debug)]
pub struct Stubs;

fn jump_to(out: &mut Vec<u8>, at: HostPc, to: HostPc) {
    out.push(0xe9);
    let from = at.0 + out.len() + 4;
    // Within a region, so the distance fits.
    out.extend_from_slice(&(to.0.wrapping_sub(from) as i32).to_le_bytes());
}

impl StubWriter for Stubs {
    fn region_common(&self, _at: HostPc) -> Vec<u8> {
        let mut out = Vec::new();
        self.far_jump(HostPc(enter::leave_address()), &mut out);
        out
    }

    fn exit_stub(&self, at: HostPc, common: HostPc, exit: CacheExit, out: &mut Vec<u8>) {
        out.push(0xb8); // mov eax, exit
        out.extend_from_slice(&exit.0.to_le_bytes());
        jump_to(out, at, common);
    }

    fn counter_stub(
        &self,
        at: HostPc,
        common: HostPc,
        _cell: u32,
        hot: CacheExit,
        _entry: HostPc,
        out: &mut Vec<u8>,
    ) {
        // Nothing is counted in the cache.
        self.exit_stub(at, common, hot, out);
    }

    fn counting_jump(&self, _cell: u32, to: HostPc, out: &mut Vec<u8>) {
        // Nor is any exit.
        self.far_jump(to, out);
    }

    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        out.extend_from_slice(&(target.0 as u64).to_le_bytes());
    }

    fn mismatch(&self, common: HostPc) -> HostPc {
        common
    }

    fn indirect_entry(&self, at: HostPc, _pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> u32 {
        jump_to(out, at, entry);
        1
    }
}
