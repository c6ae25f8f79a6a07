//! The per-thread context that generated code reaches through `gs:`.
//!
//! Everything generated code or assembly touches stands here at a fixed offset; the constants in
//! [`off`] are checked against the layout at compile time. While a thread runs guest code its
//! registers are the guest's own, `fs` is the guest's, and `gs` holds the address of this
//! structure. The guest's own `gs` base, which programs hardly ever set, is kept in `guest_gs`.

use crate::foreign::state::GuestState;
use std::sync::atomic::AtomicU32;

/// Register numbers of the machine, as in instruction encodings.
pub mod reg {
    /// rax
    pub const RAX: usize = 0;
    /// rcx
    pub const RCX: usize = 1;
    /// rdx
    pub const RDX: usize = 2;
    /// rbx
    pub const RBX: usize = 3;
    /// rsi
    pub const RSI: usize = 6;
    /// rdi
    pub const RDI: usize = 7;
    /// r8
    pub const R8: usize = 8;
    /// r9
    pub const R9: usize = 9;
    /// r10
    pub const R10: usize = 10;
    /// r11
    pub const R11: usize = 11;
}

/// Machine state of one guest thread, and what assembly needs to switch to and from it.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Context {
    /// Its own address.
    pub this: *mut Context,
    /// Stack pointer of the runtime while the guest runs.
    pub host_rsp: u64,
    /// The runtime's `fs` base.
    pub host_fs: u64,
    /// The guest's `fs` base, valid while the runtime runs.
    pub guest_fs: u64,
    /// Number of the exit that was taken, or one of the `EXIT_` constants.
    pub exit: u32,
    /// 1 from just before the guest's state is loaded until after it is saved.
    pub in_cache: u32,
    /// Non-zero when a signal waits for delivery.
    pub pending: AtomicU32,
    /// Keeps the next field on its boundary.
    pub padding: u32,
    /// Guest address to go on at.
    pub pc: u64,
    /// The guest's flags, valid while the runtime runs.
    pub rflags: u64,
    /// The guest's registers in machine order, valid while the runtime runs.
    pub gpr: [u64; 16],
    /// Where generated code keeps rax, rcx, rdx and one more register for a moment.
    pub spill: [u64; 4],
    /// The guest's `gs` base.
    pub guest_gs: u64,
    /// Where the vector and x87 state is kept (64-byte aligned, compacted format).
    pub xsave: *mut u8,
    /// State components that exist, for `xsavec` and `xrstor`.
    pub xsave_mask: u64,
    /// Host address to enter at.
    pub target: u64,
    /// Values of optimised traces that find no register.
    pub scratch: [u64; SCRATCH_WORDS],
    /// State of a guest for another machine, which uses `pc` of what stands above and nothing else of the guest's.
    pub foreign: GuestState,
}

/// Room for all vector registers.
pub const SCRATCH_WORDS: usize = 1024;

/// Offsets of the fields above.
pub mod off {
    #![allow(missing_docs, reason = "each is the offset of the field of that name")]
    pub const HOST_RSP: u32 = 0x08;
    pub const HOST_FS: u32 = 0x10;
    pub const GUEST_FS: u32 = 0x18;
    pub const EXIT: u32 = 0x20;
    pub const IN_CACHE: u32 = 0x24;
    pub const PENDING: u32 = 0x28;
    pub const PC: u32 = 0x30;
    pub const RFLAGS: u32 = 0x38;
    pub const GPR: u32 = 0x40;
    pub const SPILL: u32 = 0xc0;
    pub const SPILL_RAX: u32 = SPILL;
    pub const SPILL_RCX: u32 = SPILL + 8;
    pub const SPILL_RDX: u32 = SPILL + 16;
    pub const SPILL_MISC: u32 = SPILL + 24;
    pub const GUEST_GS: u32 = 0xe0;
    pub const XSAVE: u32 = 0xe8;
    pub const XSAVE_MASK: u32 = 0xf0;
    pub const TARGET: u32 = 0xf8;
    pub const SCRATCH: u32 = 0x100;
    pub const SCRATCH_END: u32 = SCRATCH + super::SCRATCH_WORDS as u32 * 8;
    pub const FOREIGN: u32 = SCRATCH_END.next_multiple_of(64);
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Context, host_rsp) == off::HOST_RSP as usize);
    assert!(offset_of!(Context, host_fs) == off::HOST_FS as usize);
    assert!(offset_of!(Context, guest_fs) == off::GUEST_FS as usize);
    assert!(offset_of!(Context, exit) == off::EXIT as usize);
    assert!(offset_of!(Context, in_cache) == off::IN_CACHE as usize);
    assert!(offset_of!(Context, pending) == off::PENDING as usize);
    assert!(offset_of!(Context, pc) == off::PC as usize);
    assert!(offset_of!(Context, rflags) == off::RFLAGS as usize);
    assert!(offset_of!(Context, gpr) == off::GPR as usize);
    assert!(offset_of!(Context, spill) == off::SPILL as usize);
    assert!(offset_of!(Context, guest_gs) == off::GUEST_GS as usize);
    assert!(offset_of!(Context, xsave) == off::XSAVE as usize);
    assert!(offset_of!(Context, xsave_mask) == off::XSAVE_MASK as usize);
    assert!(offset_of!(Context, target) == off::TARGET as usize);
    assert!(offset_of!(Context, scratch) == off::SCRATCH as usize);
    assert!(offset_of!(Context, foreign) == off::FOREIGN as usize);
};

/// `Context::exit` after an indirect branch whose target is not in the table; `pc` is the target.
pub const EXIT_MISS: u32 = 0xffff_ff00;
/// A signal turned up just before the guest was entered; nothing ran.
pub const EXIT_INTERRUPTED: u32 = 0xffff_ff01;
/// A signal handler took the thread out at `pc` because of a fault that the guest must see.
pub const EXIT_FAULT: u32 = 0xffff_ff02;
/// A signal handler took the thread out at `pc`, to go on there.
pub const EXIT_RESUME: u32 = 0xffff_ff03;
/// Like `EXIT_RESUME`, with the instruction at `pc` to be executed alone: it writes to watched code.
pub const EXIT_STEP: u32 = 0xffff_ff04;
