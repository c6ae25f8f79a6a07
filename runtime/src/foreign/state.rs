//! The registers of an AArch64 guest's thread, as generated code keeps them.
//!
//! The pc is `Context::pc`. Condition flags have the form in which generated code keeps them. Flags that floating point
//! instructions have raised in generated code stand in `MXCSR` until [`sync_fpsr`] adds them to `fpsr`.

use crate::thread::Thread;
use decode::aarch64::{nzcv, packed, slots};
use ir::interp::State;
use ir::types::ZERO;
use optimize::codegen::{flags_image, flags_of_image};

/// Registers of one thread.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct GuestState {
    /// X0 to X30.
    pub x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Condition flags of the slot [`slots::FLAGS`], as [`flags_image`] has them.
    pub flags: u64,
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
    /// TPIDR_EL0.
    pub tpidr: u64,
    /// The exclusive monitor: address, or all ones when it is clear.
    pub ex_addr: u64,
    /// What was loaded from there.
    pub ex_lo: u64,
    /// And its second half.
    pub ex_hi: u64,
    /// V0 to V31.
    pub v: [u128; 32],
}

impl Default for GuestState {
    fn default() -> GuestState {
        GuestState {
            x: [0; 31],
            sp: 0,
            flags: flags_image(packed(0)),
            fpcr: 0,
            fpsr: 0,
            tpidr: 0,
            ex_addr: !0,
            ex_lo: 0,
            ex_hi: 0,
            v: [0; 32],
        }
    }
}

impl GuestState {
    /// N, Z, C and V as in PSTATE (bits 31 to 28).
    pub fn nzcv(&self) -> u32 {
        nzcv(flags_of_image(self.flags)) << 28
    }

    /// Sets N, Z, C and V from PSTATE.
    pub fn set_nzcv(&mut self, pstate: u32) {
        self.flags = flags_image(packed(pstate >> 28));
    }

    /// The slots of a trace get these values.
    pub fn fill_slots(&self, slots: &mut State) {
        for (i, &x) in self.x.iter().enumerate() {
            slots.set(slots::x(i as u8), x);
        }
        for (slot, value) in self.others() {
            slots.set(slot, value);
        }
        for (i, &v) in self.v.iter().enumerate() {
            let mut w = ZERO;
            (w[0], w[1]) = (v as u64, (v >> 64) as u64);
            slots.set_wide(slots::v(i as u8), &w);
        }
    }

    /// And back.
    pub fn take_slots(&mut self, slots: &State) {
        for (i, x) in self.x.iter_mut().enumerate() {
            *x = slots.get(slots::x(i as u8));
        }
        let [sp, flags, fpcr, fpsr, tpidr, ex_addr, ex_lo, ex_hi] = self.others().map(|(s, _)| slots.get(s));
        (self.sp, self.flags, self.fpcr, self.fpsr) = (sp, flags_image(flags), fpcr, fpsr);
        (self.tpidr, self.ex_addr, self.ex_lo, self.ex_hi) = (tpidr, ex_addr, ex_lo, ex_hi);
        for (i, v) in self.v.iter_mut().enumerate() {
            let w = slots.get_wide(slots::v(i as u8));
            *v = u128::from(w[0]) | u128::from(w[1]) << 64;
        }
    }

    fn others(&self) -> [(ir::types::SlotId, u64); 8] {
        [
            (slots::SP, self.sp),
            (slots::FLAGS, flags_of_image(self.flags)),
            (slots::FPCR, self.fpcr),
            (slots::FPSR, self.fpsr),
            (slots::TPIDR, self.tpidr),
            (slots::EX_ADDR, self.ex_addr),
            (slots::EX_LO, self.ex_lo),
            (slots::EX_HI, self.ex_hi),
        ]
    }
}

/// Adds the floating point flags raised since the last time to `fpsr`.
pub fn sync_fpsr(thread: &mut Thread) {
    // IE, ZE, OE, UE, PE are IOC, DZC, OFC, UFC, IXC; denormal operands raise nothing while they are not flushed.
    const PAIRS: [(u32, u64); 5] = [(1, 1), (4, 2), (8, 4), (16, 8), (32, 16)];
    // SAFETY: the thread's own area, where MXCSR stands at 24 in every format.
    let mxcsr = unsafe { &mut *thread.context.xsave.add(24).cast::<u32>() };
    for (bit, raised) in PAIRS {
        if *mxcsr & bit != 0 {
            thread.context.foreign.fpsr |= raised;
        }
    }
    *mxcsr &= !0x3f;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        let mut state = GuestState::default();
        assert_eq!(state.nzcv(), 0);
        for n in 0..16 {
            state.set_nzcv(n << 28 | 0x3ff);
            assert_eq!(state.nzcv(), n << 28);
        }
    }

    #[test]
    fn slots_and_back() {
        let mut state = GuestState::default();
        for (i, x) in state.x.iter_mut().enumerate() {
            *x = 0x0101_0101_0101_0101 * i as u64 + 1;
        }
        for (i, v) in state.v.iter_mut().enumerate() {
            *v = 0x1234_0000_0000_0000_0000_0000_5678_0000 + i as u128;
        }
        (state.sp, state.fpcr, state.fpsr, state.tpidr) = (1 << 40, 1 << 22, 0x1f, 99);
        (state.ex_addr, state.ex_lo, state.ex_hi) = (8, 9, 10);
        state.set_nzcv(0x6000_0000);
        let mut slots = State::new(slots::decls());
        state.fill_slots(&mut slots);
        let mut back = GuestState::default();
        back.take_slots(&slots);
        assert_eq!(format!("{back:?}"), format!("{state:?}"));
    }
}
