//! Signals of an AArch64 guest: frames on its stack, and faults by the names of its kernel.
//!
//! Arrival, masks, handlers and the choice of what is delivered are [`crate::signal`]'s; it calls [`push_frame`] for a guest like
//! this. The frame is the kernel's `struct rt_sigframe` with one record behind the general registers, `fpsimd_context`, and, for
//! accesses that failed, `esr_context`:
//!
//! ```text
//! sp before    (of the alternate stack: its end)
//!              frame record: x29 and x30, so that a chain of frame pointers leads on
//!              4096 bytes of records: fpsimd_context, esr_context, end
//!              fault_address, x0 … x30, sp, pc, pstate
//!              alternate stack, mask
//! sp           siginfo
//! ```

use super::load;
use super::state::sync_fpsr;
use crate::assume;
use crate::signal::{self, Arrived, Fault, KernelAction, on_altstack, read_guest, write_guest};
use crate::syscall::memory;
use crate::thread::{AltStack, Thread};

/// Offsets in the frame.
mod frame {
    /// `siginfo`.
    pub const INFO: usize = 0;
    /// `ucontext`.
    pub const UC: usize = 128;
    /// `uc_stack`.
    pub const STACK: usize = UC + 16;
    /// `uc_sigmask`.
    pub const MASK: usize = UC + 40;
    /// `uc_mcontext`, which begins with `fault_address`.
    pub const FAULT: usize = UC + 176;
    pub const REGS: usize = FAULT + 8;
    pub const SP: usize = REGS + 31 * 8;
    pub const PC: usize = SP + 8;
    pub const PSTATE: usize = PC + 8;
    /// Records that tell their kind and size, on a multiple of 16.
    pub const RECORDS: usize = FAULT + 288;
    pub const SIZE: usize = RECORDS + 4096;
    /// x29 and x30 above all that.
    pub const LINK: usize = 16;
}

/// `fpsimd_context`: head, FPSR, FPCR, V0 to V31.
const FPSIMD: (u32, usize) = (0x4650_8001, 16 + 512);
/// `esr_context`: head, the syndrome.
const ESR: (u32, usize) = (0x4553_5201, 16);
/// `extra_context`, which leads to records outside the frame: nothing that we make.
const EXTRA: u32 = 0x4558_5401;

/// Codes of `siginfo` that the `libc` crate does not have.
mod code {
    pub const ILL_ILLOPC: i32 = 1;
    pub const TRAP_BRKPT: i32 = 1;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
}

/// Delivers what waits, at a place where the state is exact.
pub fn deliver(thread: &mut Thread) {
    signal::deliver(thread);
}

/// The guest gets a fault of its own instruction, at which its pc stands.
pub fn deliver_fault(thread: &mut Thread, fault: Fault) {
    signal::deliver_fault(thread, fault);
}

/// A load or store that failed at `address`.
pub fn memory_fault(address: u64, write: bool) -> Fault {
    let region = memory::kernel_maps().into_iter().find(|m| (m.start..m.end).contains(&address));
    let wanted = if write { libc::PROT_WRITE } else { libc::PROT_READ };
    // A fault of the lower level, at level 3 of the translation.
    let syndrome = |status: u64| 0x24 << 26 | 1 << 25 | u64::from(write) << 6 | status;
    const TRANSLATION: u64 = 0x07;
    const PERMISSION: u64 = 0x0f;
    match region {
        None => Fault::foreign(libc::SIGSEGV, code::SEGV_MAPERR, address, syndrome(TRANSLATION)),
        // Nothing forbids it: the file behind the page is shorter.
        Some(m) if m.prot & wanted != 0 => {
            Fault::foreign(libc::SIGBUS, code::BUS_ADRERR, address, syndrome(TRANSLATION))
        }
        Some(_) => Fault::foreign(libc::SIGSEGV, code::SEGV_ACCERR, address, syndrome(PERMISSION)),
    }
}

/// No instruction can be fetched from `pc`.
pub fn fetch_fault(pc: u64, mapped: bool) -> Fault {
    let (code, status) = if mapped { (code::SEGV_ACCERR, 0x0f) } else { (code::SEGV_MAPERR, 0x07) };
    Fault::foreign(libc::SIGSEGV, code, pc, 0x20 << 26 | 1 << 25 | status)
}

/// Executable memory at `pc` whose file is shorter.
pub fn fetch_bus(pc: u64) -> Fault {
    Fault::foreign(libc::SIGBUS, code::BUS_ADRERR, pc, 0x20 << 26 | 1 << 25 | 0x07)
}

/// An instruction that does not exist.
pub fn undefined(pc: u64) -> Fault {
    Fault::foreign(libc::SIGILL, code::ILL_ILLOPC, pc, 0)
}

/// `brk`.
pub fn breakpoint(pc: u64) -> Fault {
    Fault::foreign(libc::SIGTRAP, code::TRAP_BRKPT, pc, 0)
}

/// A pc or an exclusive access that is not aligned.
pub fn misaligned(address: u64) -> Fault {
    Fault::foreign(libc::SIGBUS, code::BUS_ADRALN, address, 0)
}

fn put(f: &mut [u8], at: usize, v: u64) {
    f[at..at + 8].copy_from_slice(&v.to_le_bytes());
}

fn put32(f: &mut [u8], at: usize, v: u32) {
    f[at..at + 4].copy_from_slice(&v.to_le_bytes());
}

fn get(f: &[u8], at: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&f[at..at + 8]);
    u64::from_le_bytes(b)
}

fn get32(f: &[u8], at: usize) -> u32 {
    let mut b = [0; 4];
    b.copy_from_slice(&f[at..at + 4]);
    u32::from_le_bytes(b)
}

/// Builds the signal frame on the guest's stack and makes the handler the next thing to run. `Err` when there is no room.
pub fn push_frame(
    thread: &mut Thread,
    action: &KernelAction,
    a: &Arrived,
    fault: Option<&Fault>,
) -> Result<(), ()> {
    sync_fpsr(thread);
    let alt = thread.altstack;
    let mut top = thread.context.foreign.sp;
    if action.flags & libc::SA_ONSTACK as u64 != 0 && alt.size != 0 && !on_altstack(thread, top) {
        top = alt.sp.wrapping_add(alt.size);
    }
    let link_at = top.wrapping_sub(frame::LINK as u64) & !15;
    let at = link_at.wrapping_sub(frame::SIZE as u64);
    let mask = thread.saved_mask.unwrap_or(thread.mask);
    let mut f = vec![0u8; frame::SIZE + frame::LINK];
    compose(&mut f, thread, mask, a, fault);
    write_guest(at, &f)?;

    thread.saved_mask = None;
    if alt.flags & signal::SS_AUTODISARM != 0 {
        thread.altstack = AltStack { sp: 0, flags: libc::SS_DISABLE, size: 0 };
    }
    let state = &mut thread.context.foreign;
    state.ex_addr = !0;
    state.x[0] = a.signal as u64;
    if action.flags & libc::SA_SIGINFO as u64 != 0 {
        state.x[1] = at + frame::INFO as u64;
        state.x[2] = at + frame::UC as u64;
    }
    state.x[29] = link_at;
    state.x[30] = match action.flags & SA_RESTORER {
        0 => load::trampoline(),
        _ => action.restorer,
    };
    state.sp = at;
    thread.context.pc = action.handler;
    Ok(())
}

/// The handler returns to `sa_restorer`.
const SA_RESTORER: u64 = 0x0400_0000;

fn compose(f: &mut [u8], thread: &Thread, mask: u64, a: &Arrived, fault: Option<&Fault>) {
    let state = &thread.context.foreign;
    for (i, w) in a.info.iter().enumerate() {
        put(f, frame::INFO + i * 8, *w);
    }
    put(f, frame::STACK, thread.altstack.sp);
    put32(f, frame::STACK + 8, thread.altstack.flags as u32);
    put(f, frame::STACK + 16, thread.altstack.size);
    put(f, frame::MASK, mask);
    let syndrome = fault.map_or(0, Fault::description);
    if syndrome != 0 {
        put(f, frame::FAULT, fault.map_or(0, Fault::address));
    }
    for (i, x) in state.x.iter().enumerate() {
        put(f, frame::REGS + i * 8, *x);
    }
    put(f, frame::SP, state.sp);
    put(f, frame::PC, thread.context.pc);
    put(f, frame::PSTATE, u64::from(state.nzcv()));
    let mut at = frame::RECORDS;
    let mut record = |f: &mut [u8], (kind, size): (u32, usize)| {
        put32(f, at, kind);
        put32(f, at + 4, size as u32);
        at += size;
        at - size + 8
    };
    let fp = record(f, FPSIMD);
    put32(f, fp, state.fpsr as u32);
    put32(f, fp + 4, state.fpcr as u32);
    for (i, v) in state.v.iter().enumerate() {
        f[fp + 8 + i * 16..][..16].copy_from_slice(&v.to_le_bytes());
    }
    if syndrome != 0 {
        let esr = record(f, ESR);
        put(f, esr, syndrome);
    }
    put(f, frame::SIZE, state.x[29]);
    put(f, frame::SIZE + 8, state.x[30]);
}

/// `rt_sigreturn`: the state in the frame becomes the guest's.
pub fn sigreturn(thread: &mut Thread) {
    let at = thread.context.foreign.sp;
    let mut f = vec![0u8; frame::SIZE];
    let vectors = match at.is_multiple_of(16) && read_guest(at, &mut f).is_ok() {
        true => find_fpsimd(&f[frame::RECORDS..]),
        false => None,
    };
    let Some(vectors) = vectors else {
        return deliver_fault(thread, fetch_or_data(at));
    };
    sync_fpsr(thread);
    let state = &mut thread.context.foreign;
    for (i, x) in state.x.iter_mut().enumerate() {
        *x = get(&f, frame::REGS + i * 8);
    }
    state.sp = get(&f, frame::SP);
    state.set_nzcv(get(&f, frame::PSTATE) as u32);
    state.ex_addr = !0;
    let fp = frame::RECORDS + vectors;
    state.fpsr = u64::from(get32(&f, fp + 8));
    state.fpcr = u64::from(get32(&f, fp + 12));
    let unusual = state.fpcr != 0;
    for (i, v) in state.v.iter_mut().enumerate() {
        let mut b = [0; 16];
        b.copy_from_slice(&f[fp + 16 + i * 16..][..16]);
        *v = u128::from_le_bytes(b);
    }
    if unusual {
        assume::revoke(assume::FP_DEFAULT);
    }
    thread.context.pc = get(&f, frame::PC);
    let saved = AltStack {
        sp: get(&f, frame::STACK),
        flags: get32(&f, frame::STACK + 8) as i32,
        size: get(&f, frame::STACK + 16),
    };
    signal::restore_stack_and_mask(thread, saved, get(&f, frame::MASK));
}

/// What the kernel says about a frame that is none.
fn fetch_or_data(at: u64) -> Fault {
    let code = if memory::is_mapped(at) { code::SEGV_ACCERR } else { code::SEGV_MAPERR };
    Fault::foreign(libc::SIGSEGV, code, at, 0)
}

/// Where among the records the one with the vector registers begins; `None` if they are not as the kernel wants them.
fn find_fpsimd(records: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    loop {
        if at + 8 > records.len() {
            return None;
        }
        let (kind, size) = (get32(records, at), get32(records, at + 4) as usize);
        match (kind, size) {
            (0, 0) => return found,
            (0, _) => return None,
            FPSIMD if found.is_none() && at + size <= records.len() => found = Some(at),
            ESR | (EXTRA, 32) => {}
            _ => return None,
        }
        if size < 8 || size % 16 != 0 {
            return None;
        }
        at += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_of_the_frame() {
        // As `struct rt_sigframe` has it on AArch64.
        assert_eq!((frame::FAULT, frame::RECORDS, frame::SIZE), (304, 592, 4688));
        assert_eq!((frame::SP, frame::PC, frame::PSTATE), (560, 568, 576));
    }

    #[test]
    fn records() {
        let record = |kind: u32, size: u32| {
            let mut r = vec![0u8; size.max(8) as usize];
            put32(&mut r, 0, kind);
            put32(&mut r, 4, size);
            r
        };
        let padded = |parts: &[Vec<u8>]| {
            let mut all = parts.concat();
            all.resize(4096, 0);
            all
        };
        let fp = record(FPSIMD.0, FPSIMD.1 as u32);
        let esr = record(ESR.0, ESR.1 as u32);
        assert_eq!(find_fpsimd(&padded(&[])), None);
        assert_eq!(find_fpsimd(&padded(std::slice::from_ref(&fp))), Some(0));
        assert_eq!(find_fpsimd(&padded(&[fp.clone(), esr.clone()])), Some(0));
        assert_eq!(find_fpsimd(&padded(&[esr.clone(), fp.clone()])), Some(16));
        assert_eq!(find_fpsimd(&padded(&[fp.clone(), fp.clone()])), None, "twice");
        assert_eq!(find_fpsimd(&padded(&[record(7, 16), fp.clone()])), None, "an unknown one");
        assert_eq!(find_fpsimd(&padded(&[record(ESR.0, 0), fp])), None, "no size");
        let full = vec![esr; 256].concat();
        assert_eq!(find_fpsimd(&full), None, "no end");
    }
}
