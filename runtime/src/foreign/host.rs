//! What code generation is told about AArch64 guests: every register lives in memory of the thread
//! ([`GuestState`](super::state::GuestState)) when a fragment is entered and left, so all of the host's registers are free in between.

use super::state::GuestState;
use crate::context::{off, reg};
use crate::stubs;
use decode::aarch64::slots;
use ir::types::SlotId;
use optimize::codegen::{Home, Host, IndirectAbi, Segment};
use optimize::pass::Features;
use std::mem::offset_of;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct A64Host {
    /// The machine has BMI2.
    pub bmi2: bool,
}

impl Host for A64Host {
    fn features(&self) -> Features {
        crate::host::features()
    }

    fn vector_bytes(&self) -> u32 {
        crate::host::vector_bytes()
    }

    fn home(&self, slot: SlotId) -> Home {
        let at = |offset: usize| (off::FOREIGN as usize + offset) as i32;
        let word = |offset: usize| Home::Memory(Segment::Gs, at(offset));
        match slot {
            slots::SP => word(offset_of!(GuestState, sp)),
            slots::FLAGS => Home::Image(Segment::Gs, at(offset_of!(GuestState, flags))),
            slots::FPCR => word(offset_of!(GuestState, fpcr)),
            slots::FPSR => word(offset_of!(GuestState, fpsr)),
            slots::TPIDR => word(offset_of!(GuestState, tpidr)),
            slots::EX_ADDR => word(offset_of!(GuestState, ex_addr)),
            slots::EX_LO => word(offset_of!(GuestState, ex_lo)),
            slots::EX_HI => word(offset_of!(GuestState, ex_hi)),
            SlotId(n) if n >= slots::V0.0 => {
                word(offset_of!(GuestState, v) + 16 * usize::from(n - slots::V0.0))
            }
            SlotId(n) => word(offset_of!(GuestState, x) + 8 * usize::from(n)),
        }
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Gs, off::SCRATCH as i32, off::SCRATCH_END as i32)
    }

    fn indirect(&self) -> IndirectAbi {
        IndirectAbi { target: reg::RCX as u8, in_memory: Vec::new() }
    }

    fn indirect_tail(&self, at: u64, code: &mut Vec<u8>) -> u32 {
        stubs::look_up(code, at as usize, self.bmi2)
    }
}
