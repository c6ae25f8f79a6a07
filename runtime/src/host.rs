//! What code generation is told about this host: where the guest's state lives when a fragment is entered and
//! left, and how a trace leaves for a computed address. See `context` and `stubs` for the conventions.

use crate::context::{off, reg};
use crate::stubs;
use decode::x86_64::slots;
use ir::types::SlotId;
use optimize::codegen::{Home, Host, IndirectAbi, Segment};
use optimize::pass::Features;
use std::arch::is_x86_feature_detected as has;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct X86Host {
    /// The machine has BMI2.
    pub bmi2: bool,
}

/// Vectors that the passes may use on this machine.
pub fn features() -> Features {
    Features {
        v256: has!("avx2"),
        v512: has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
    }
}

/// Bytes of this machine's largest vector register.
pub fn vector_bytes() -> u32 {
    match (has!("avx512f"), has!("avx")) {
        (true, _) => 64,
        (_, true) => 32,
        _ => 16,
    }
}

impl Host for X86Host {
    fn features(&self) -> Features {
        features()
    }

    fn vector_bytes(&self) -> u32 {
        vector_bytes()
    }

    fn home(&self, slot: SlotId) -> Home {
        match slot {
            slots::FLAGS => Home::Flags,
            slots::DF | slots::MXCSR => Home::Machine,
            slots::FS_BASE => Home::Base(Segment::Fs),
            slots::GS_BASE => Home::Memory(Segment::Gs, off::GUEST_GS as i32),
            SlotId(n) if n >= slots::K0.0 => Home::Mask((n - slots::K0.0) as u8),
            SlotId(n) if n >= slots::ZMM0.0 => Home::Vector((n - slots::ZMM0.0) as u8),
            SlotId(n) => Home::General(n as u8),
        }
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Gs, off::SCRATCH as i32, off::SCRATCH_END as i32)
    }

    fn indirect(&self) -> IndirectAbi {
        let slot = |r: usize, at: u32| (r as u8, Segment::Gs, at as i32);
        IndirectAbi {
            target: reg::RCX as u8,
            in_memory: vec![slot(reg::RCX, off::SPILL_RCX), slot(reg::RDX, off::SPILL_RDX)],
        }
    }

    fn indirect_tail(&self, at: u64, code: &mut Vec<u8>) -> u32 {
        stubs::look_up(code, at as usize, self.bmi2)
    }
}
