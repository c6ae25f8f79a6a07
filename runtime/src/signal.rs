//! Signals: queued when they arrive, delivered at fragment boundaries with exact guest state.
//!
//! *Arrival.* The runtime's handler runs for every signal the guest has a handler for (and always
//! for SIGSEGV, SIGBUS and SIGTRAP), on a stack of ours, with the runtime's `fs`. It puts the signal
//! into the thread's queue, blocks all further ones in the interrupted context (so that the kernel
//! keeps its own order and counts), and makes the thread leave the cache soon:
//! - in a fragment: the fragment is *parked* (its exits lead to the dispatcher);
//! - in a stub of the cache: single steps by the trap flag until it is in a fragment or outside;
//! - in one of the windows of `enter.rs`: moved out at once;
//! - elsewhere in the runtime: `pending` is looked at before the next entry or system call.
//!
//! *Delivery* ([`deliver`]) builds the frame that the kernel would have built, from the saved guest
//! state, and sets the kernel's mask to what the handler asks for. `rt_sigreturn` is the reverse.
//!
//! *Faults* in guest code are synchronous: the handler finds the guest instruction, undoes spills,
//! and takes the thread out through `dynrun_exit` with the guest's state at that instruction.
//! Faults on pages watched for writes are ours and invisible.

use crate::assume;
use crate::context::{EXIT_FAULT, EXIT_RESUME, EXIT_STEP, off};
use crate::enter::{self, Labels};
use crate::fpenv;
use crate::process::process;
use crate::thread::{AltStack, Thread};
use fragcache::HostPc;
use fragcache::events::EventKind;
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use std::sync::atomic::Ordering;

/// Number of signals.
pub const COUNT: usize = 64;
const SA_RESTORER: u64 = 0x0400_0000;
const TRAP_FLAG: u64 = 0x100;
const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
/// Signals the kernel must always be able to give us.
const OURS: u64 =
    bit(libc::SIGSEGV) | bit(libc::SIGBUS) | bit(libc::SIGTRAP) | bit(libc::SIGFPE) | bit(libc::SIGILL);

/// Signals that always have our handler, whatever the guest wants done about them. The guest may
/// block the others of [`OURS`]: a fault that raises a blocked signal kills.
pub const HANDLED: u64 = bit(libc::SIGSEGV) | bit(libc::SIGBUS) | bit(libc::SIGTRAP);

/// The mask bit of a signal.
pub const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The kernel's `struct sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct KernelAction {
    /// `SIG_DFL`, `SIG_IGN` or an address.
    pub handler: u64,
    /// `SA_` flags.
    pub flags: u64,
    /// Where handlers return to.
    pub restorer: u64,
    /// Blocked while it runs.
    pub mask: u64,
}

/// What the guest wants done, per signal.
#[derive(Clone, Debug)]
pub struct Actions(pub [KernelAction; COUNT + 1]);

impl Default for Actions {
    fn default() -> Self {
        Actions([KernelAction::default(); COUNT + 1])
    }
}

/// A signal that arrived.
#[derive(Clone, Copy)]
pub struct Arrived {
    /// Its number.
    pub signal: i32,
    /// The kernel's description, as bytes.
    pub info: [u64; 16],
}

/// Signals waiting in one thread. All further ones are blocked while one waits, so it stays short;
/// synchronous ones may add to it.
#[derive(Default)]
pub struct Queue {
    items: [Option<Arrived>; 8],
    len: usize,
}

impl Queue {
    fn push(&mut self, a: Arrived) -> bool {
        if self.len == self.items.len() {
            return false;
        }
        self.items[self.len] = Some(a);
        self.len += 1;
        true
    }
    fn pop(&mut self) -> Option<Arrived> {
        if self.len == 0 {
            return None;
        }
        let first = self.items[0].take();
        self.items.rotate_left(1);
        self.len -= 1;
        first
    }
    /// The signal that is delivered next.
    pub fn first(&self) -> Option<i32> {
        self.items[0].filter(|_| self.len > 0).map(|a| a.signal)
    }
}

/// A synchronous fault of the guest.
#[derive(Clone, Copy)]
pub struct Fault {
    arrived: Arrived,
    trapno: u64,
    error: u64,
    cr2: u64,
}

impl Fault {
    /// The signal it raises.
    pub fn signal(&self) -> i32 {
        self.arrived.signal
    }
    /// A fault that the runtime found itself: no executable memory at `address`.
    pub fn no_code(address: u64, mapped: bool) -> Fault {
        let mut info = [0u64; 16];
        let code: i32 = if mapped { 2 } else { 1 }; // SEGV_ACCERR, SEGV_MAPERR
        info[0] = libc::SIGSEGV as u64;
        info[1] = code as u32 as u64;
        info[2] = address;
        let error = if mapped { 0x15 } else { 0x14 };
        Fault { arrived: Arrived { signal: libc::SIGSEGV, info }, trapno: 14, error, cr2: address }
    }
    /// Executable memory that cannot be read: its file was truncated.
    pub fn bus(address: u64) -> Fault {
        let mut info = [0u64; 16];
        info[0] = libc::SIGBUS as u64;
        info[1] = 2; // BUS_ADRERR
        info[2] = address;
        Fault { arrived: Arrived { signal: libc::SIGBUS, info }, trapno: 14, error: 0x14, cr2: address }
    }
    /// What a program for another machine did: signal and code, the address that `siginfo` tells, and the machine's description,
    /// 0 if it has none.
    pub fn foreign(signal: i32, code: i32, address: u64, description: u64) -> Fault {
        let mut info = [0u64; 16];
        info[0] = signal as u64;
        info[1] = u64::from(code as u32);
        info[2] = address;
        Fault { arrived: Arrived { signal, info }, trapno: 0, error: description, cr2: address }
    }
    /// The address that could not be accessed.
    pub fn address(&self) -> u64 {
        self.cr2
    }
    /// The machine's description of the fault.
    pub fn description(&self) -> u64 {
        self.error
    }
    /// SIGSEGV by a general protection fault.
    pub fn protection() -> Fault {
        let mut info = [0u64; 16];
        info[0] = libc::SIGSEGV as u64;
        info[1] = 128; // SI_KERNEL
        Fault { arrived: Arrived { signal: libc::SIGSEGV, info }, trapno: 13, error: 0, cr2: 0 }
    }
    /// SIGSYS as seccomp's trap action raises it.
    pub fn seccomp(address: u64, number: u32, arch: u32, data: u32) -> Fault {
        let mut info = [0u64; 16];
        info[0] = libc::SIGSYS as u64 | u64::from(data) << 32;
        info[1] = 1;
        info[2] = address;
        info[3] = u64::from(number) | u64::from(arch) << 32;
        Fault { arrived: Arrived { signal: libc::SIGSYS, info }, trapno: 0, error: 0, cr2: 0 }
    }
}

/// Offsets in the kernel's `struct ucontext` on x86-64.
mod frame {
    pub const FLAGS: usize = 0;
    pub const STACK: usize = 16;
    /// r8 … rip in the kernel's order.
    pub const REGS: usize = 40;
    pub const RIP: usize = REGS + 16 * 8;
    pub const EFLAGS: usize = REGS + 17 * 8;
    pub const SEGMENTS: usize = REGS + 18 * 8;
    pub const ERROR: usize = REGS + 19 * 8;
    pub const TRAPNO: usize = REGS + 20 * 8;
    pub const OLDMASK: usize = REGS + 21 * 8;
    pub const CR2: usize = REGS + 22 * 8;
    pub const FPSTATE: usize = REGS + 23 * 8;
    pub const MASK: usize = REGS + 32 * 8;
    pub const SIZE: usize = MASK + 8;
    /// Register numbers of the machine in the order of the frame.
    pub const ORDER: [usize; 16] = [8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4];
    /// The whole `rt_sigframe`: return address, ucontext, siginfo.
    pub const WHOLE: usize = 8 + SIZE + 128;
}

/// A view of the interrupted context inside a handler.
struct Interrupted(*mut u8);

impl Interrupted {
    fn get(&self, at: usize) -> u64 {
        // SAFETY: the kernel's ucontext, alive while the handler runs; `at` is a field's offset.
        unsafe { self.0.add(at).cast::<u64>().read() }
    }
    fn set(&self, at: usize, v: u64) {
        // SAFETY: as in `get`.
        unsafe { self.0.add(at).cast::<u64>().write(v) }
    }
    fn register(machine: usize) -> usize {
        let i = frame::ORDER.iter().position(|&r| r == machine).expect("sixteen registers");
        frame::REGS + i * 8
    }
}

/// Installs the handlers that the runtime itself needs.
pub fn init() {
    for s in [libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP] {
        install(s, 0);
    }
    if process().options.verify {
        // The guest's own requests for these go to its native twin.
        install(libc::SIGFPE, 0);
        install(libc::SIGILL, 0);
    }
}

/// From the start of the guest on: the deaths that [`is_ours_by_default`] names come to us.
pub fn catch_deaths(thread: &Thread) {
    let actions = thread.actions.lock().unwrap_or_else(|e| e.into_inner());
    for s in (1..=COUNT as i32).filter(|&s| actions.0[s as usize].handler == 0 && is_ours_by_default(s)) {
        install(s, 0);
    }
}

/// Does the runtime handle a signal for which the guest has the default action? Always those of faults, and those that end
/// the process when something is to be written at its end.
fn is_ours_by_default(signal: i32) -> bool {
    const HARMLESS: [i32; 9] = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGKILL,
    ];
    matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGTRAP)
        || crate::report::is_asked_for()
            && !process().options.verify
            && !HARMLESS.contains(&signal)
            && signal != crate::stats::SAMPLE_SIGNAL
}

/// Installs the runtime's handler for a signal.
fn install(signal: i32, guest_flags: u64) {
    let pass = (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT) as u64;
    let action = KernelAction {
        handler: Labels::signal_entry() as u64,
        flags: (libc::SA_SIGINFO | libc::SA_ONSTACK) as u64 | SA_RESTORER | guest_flags & pass,
        restorer: Labels::restorer() as u64,
        mask: !OURS,
    };
    kernel_action(signal, &action);
}

/// The handler for the signal of the sampling timers, which must not end system calls.
pub fn install_sampling(signal: i32) {
    let action = KernelAction {
        handler: Labels::signal_entry() as u64,
        flags: (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART) as u64 | SA_RESTORER,
        restorer: Labels::restorer() as u64,
        mask: !OURS,
    };
    kernel_action(signal, &action);
}

fn kernel_action(signal: i32, action: &KernelAction) -> i64 {
    // SAFETY: a valid action; the handler is async-signal safe as argued above.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, std::ptr::from_ref(action), 0usize, 8usize) }
}

/// The calling thread's mask in the kernel becomes the guest's, less what must reach us.
pub fn set_host_mask(guest: u64) {
    let mask = guest & !HANDLED;
    // SAFETY: a plain system call on a local.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, 8usize);
    }
}

/// Blocks everything but what must reach us.
pub fn block_all() {
    set_host_mask(!0);
}

/// The guest asks for another action. Returns the old one.
pub fn set_action(thread: &mut Thread, signal: i32, new: Option<KernelAction>) -> Result<KernelAction, i32> {
    if !(1..=COUNT as i32).contains(&signal) {
        return Err(libc::EINVAL);
    }
    if new.is_some() && (signal == libc::SIGKILL || signal == libc::SIGSTOP) {
        return Err(libc::EINVAL);
    }
    if new.is_some_and(|new| new.handler > 1 && new.flags & libc::SA_SIGINFO as u64 != 0) {
        assume::revoke(assume::NO_CONTEXT);
    }
    let mut first_fault_handler = false;
    let old = {
        let mut actions = thread.actions.lock().unwrap_or_else(|e| e.into_inner());
        let old = actions.0[signal as usize];
        if let Some(mut new) = new {
            new.mask &= !UNBLOCKABLE;
            actions.0[signal as usize] = new;
            if new.handler > 1 {
                install(signal, new.flags);
                first_fault_handler = bit(signal) & OURS != 0;
            } else if matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGTRAP)
                || new.handler == 0 && is_ours_by_default(signal)
            {
                install(signal, 0);
            } else {
                kernel_action(signal, &KernelAction { flags: new.flags & !SA_RESTORER, restorer: 0, ..new });
            }
        }
        old
    };
    if first_fault_handler {
        keep_state_exact();
    }
    Ok(old)
}

/// Whether a signal reports faults of the guest.
pub fn is_fault(signal: i32) -> bool {
    (1..=COUNT as i32).contains(&signal) && bit(signal) & OURS != 0
}

/// The guest can now see registers at faults: code made from here on keeps them exact.
pub fn keep_state_exact() {
    let mut shared = process().lock();
    if !shared.translator.exact {
        shared.translator.exact = true;
        shared.cache.revoke(assume::NO_FAULT_HANDLER);
        shared.cache.flush();
    }
}

/// The one handler, called by `dynrun_signal_entry` with the runtime's `fs` in place.
pub extern "C" fn handler(signal: i32, info: *const u8, context: *mut u8) {
    // SAFETY: handlers are installed only after `gs` is set up, and threads start with everything
    // blocked until it is.
    let thread = unsafe { Thread::current() };
    let at = Interrupted(context);
    let rip = at.get(frame::RIP) as usize;
    let mut arrived = Arrived { signal, info: [0; 16] };
    // SAFETY: the kernel's siginfo has 128 bytes.
    unsafe { std::ptr::copy_nonoverlapping(info, arrived.info.as_mut_ptr().cast(), 128) };
    if crate::stats::is_sample(signal, &arrived.info) {
        return crate::stats::sample(thread.context.in_cache != 0, rip);
    }
    let code = arrived.info[1] as u32 as i32;
    let synchronous = code > 0
        && code != 0x80 + 1
        && matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP);
    if synchronous {
        return fault(thread, &at, rip, arrived);
    }
    queue(thread, &at, rip, arrived);
}

fn in_fragments(thread: &Thread, rip: usize) -> bool {
    thread.context.in_cache != 0 && process().lock().cache.contains(HostPc(rip))
}

fn queue(thread: &mut Thread, at: &Interrupted, rip: usize, arrived: Arrived) {
    if !thread.queue.push(arrived) {
        return;
    }
    thread.context.pending.store(1, Ordering::Relaxed);
    at.set(frame::MASK, !OURS);
    if let Some(out) = Labels::back_out_of(rip) {
        at.set(frame::RIP, out as u64);
        return;
    }
    if thread.context.in_cache != 0 {
        hurry(thread, at, rip, arrived.signal);
    }
}

/// Makes a thread that is in the cache come out at the next boundary.
fn hurry(thread: &mut Thread, at: &Interrupted, rip: usize, signal: i32) {
    let mut shared = process().lock();
    let host = HostPc(rip);
    if !shared.cache.contains(host) {
        return; // On its way out.
    }
    shared.cache.events.push(EventKind::Signal, fragcache::GuestPc(rip as u64), signal as u64);
    match shared.cache.frag_at(host) {
        Some(f) => {
            if !std::mem::replace(&mut thread.parked, true) {
                shared.cache.park(f);
            }
            at.set(frame::EFLAGS, at.get(frame::EFLAGS) & !TRAP_FLAG);
        }
        None => at.set(frame::EFLAGS, at.get(frame::EFLAGS) | TRAP_FLAG),
    }
}

/// A fault raised by the instruction at `rip`.
fn fault(thread: &mut Thread, at: &Interrupted, rip: usize, arrived: Arrived) {
    if let Some(out) = Labels::copy_fault(rip) {
        return at.set(frame::RIP, out as u64);
    }
    if arrived.signal == libc::SIGTRAP && at.get(frame::EFLAGS) & TRAP_FLAG != 0 && thread.has_pending() {
        // A single step on the way out of a stub.
        if let Some(out) = Labels::back_out_of(rip) {
            at.set(frame::EFLAGS, at.get(frame::EFLAGS) & !TRAP_FLAG);
            return at.set(frame::RIP, out as u64);
        }
        if in_fragments(thread, rip) {
            return hurry(thread, at, rip, 0);
        }
        return at.set(frame::EFLAGS, at.get(frame::EFLAGS) & !TRAP_FLAG);
    }
    if !in_fragments(thread, rip) {
        if arrived.signal == libc::SIGSEGV && read_clock_for_us(at, rip) {
            return;
        }
        crate::report::runtime_fault(thread, arrived.signal, rip, arrived.info[2] as usize);
    }
    let mut shared = process().lock();
    let int3 = arrived.signal == libc::SIGTRAP && arrived.info[1] as u32 == 0x80;
    let inside = HostPc(if int3 { rip - 1 } else { rip });
    let place = shared.cache.frag_at(inside).map(|f| {
        let frag = shared.cache.frag(f);
        // Before the first instruction only the check of the source bytes reads guest memory.
        (f, frag.guest_pc_at(inside).unwrap_or((frag.pc, frag.entry)))
    });
    let Some((frag, (mut pc, begin))) = place else {
        drop(shared);
        crate::report::runtime_fault(thread, arrived.signal, rip, arrived.info[2] as usize);
    };
    let optimized = shared.cache.frag(frag).places().is_some();
    let planned = shared.cache.frag(frag).fault_at(inside);
    if optimized && planned.is_none() {
        drop(shared);
        crate::report::runtime_fault(thread, arrived.signal, rip, arrived.info[2] as usize);
    }
    let checking = !optimized && shared.cache.frag(frag).guest_pc_at(inside).is_none();
    let saved_flags = at.get(Interrupted::register(0));
    let address = arrived.info[2];
    let mut exit = EXIT_FAULT;
    if arrived.signal == libc::SIGSEGV && at.get(frame::ERROR) & 2 != 0 {
        // A store may cross into the watched page.
        let pages = [address >> 12, (address + 63) >> 12];
        let mut ours = false;
        for page in pages {
            if shared.map.written(page) {
                ours = true;
                shared.cache.invalidate(page << 12, (page + 1) << 12);
            }
        }
        if ours {
            // No trace is made from code that can be written.
            if optimized || shared.cache.frag(frag).live {
                return; // Not the code that runs: try again.
            }
            exit = EXIT_STEP;
        } else if shared.map.guest_prot(address).is_some_and(|p| p & libc::PROT_WRITE != 0) {
            // Another thread was faster.
            if optimized {
                return;
            }
            exit = EXIT_RESUME;
        }
    }
    let start = shared.cache.frag(frag).start;
    drop(shared);
    if let Some(place) = planned {
        if let Some(to) = place.to {
            // That code puts the state before the instruction into place and leaves, parked, for the dispatcher, which has the
            // instruction executed alone: there it faults in its turn. Were the exit linked, it might lead back here, since a
            // trace may begin with the instruction.
            let rip = (start.0 + to as usize) as u64;
            if !std::mem::replace(&mut thread.parked, true) {
                process().lock().cache.park(frag);
            }
            thread.retry = true;
            return at.set(frame::RIP, rip);
        }
        pc = place.pc.unwrap_or(pc);
    } else {
        undo_spills(thread, at, begin.0, rip);
    }
    if checking {
        // Flags are in what was rax (`lahf; seto al`).
        let (ah, al) = (saved_flags >> 8 & 0xd5, saved_flags & 1);
        at.set(frame::EFLAGS, at.get(frame::EFLAGS) & !0x8d5 | ah | al << 11);
    }
    let pc = if int3 { pc.0 + 1 } else { pc.0 };
    thread.context.pc = pc;
    if exit == EXIT_FAULT {
        let mut arrived = arrived;
        if matches!(arrived.signal, libc::SIGFPE | libc::SIGILL) {
            arrived.info[2] = pc;
        }
        thread.fault = Some(Fault {
            arrived,
            trapno: at.get(frame::TRAPNO),
            error: at.get(frame::ERROR),
            cr2: at.get(frame::CR2),
        });
    }
    thread.context.exit = exit;
    at.set(frame::EFLAGS, at.get(frame::EFLAGS) & !TRAP_FLAG);
    at.set(frame::RIP, Labels::exit() as u64);
}

/// The guest has forbidden `rdtsc` (`PR_SET_TSC`), and the runtime wanted to know the time, which the
/// vdso takes from there. Does the instruction at `rip` with the ban lifted; `false` when it is
/// another one.
fn read_clock_for_us(at: &Interrupted, rip: usize) -> bool {
    const RDTSC: [u8; 2] = [0x0f, 0x31];
    const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];
    let mut code = [0u8; 3];
    if read_guest(rip as u64, &mut code).is_err() {
        return false;
    }
    let len = match code {
        c if c == RDTSCP => 3,
        c if c[..2] == RDTSC => 2,
        _ => return false,
    };
    let (low, high, aux): (u32, u32, u32);
    // SAFETY: changes only whether this thread may execute the instruction in between.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_TSC, libc::PR_TSC_ENABLE, 0, 0, 0);
        std::arch::asm!("rdtscp", out("eax") low, out("edx") high, out("ecx") aux, options(nomem, nostack));
        libc::syscall(libc::SYS_prctl, libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0);
    }
    at.set(Interrupted::register(0), u64::from(low));
    at.set(Interrupted::register(2), u64::from(high));
    if len == 3 {
        at.set(Interrupted::register(1), u64::from(aux));
    }
    at.set(frame::RIP, (rip + len) as u64);
    true
}

/// Registers that the code from `begin` to `rip` has spilled get their guest values back.
fn undo_spills(thread: &Thread, at: &Interrupted, begin: usize, rip: usize) {
    // SAFETY: code in the cache is readable and stays mapped.
    let bytes = unsafe { std::slice::from_raw_parts(begin as *const u8, rip - begin) };
    let mut spilled: [Option<u32>; 16] = [None; 16];
    for i in Decoder::with_ip(64, bytes, begin as u64, DecoderOptions::NONE).iter() {
        if i.mnemonic() != Mnemonic::Mov || i.segment_prefix() != Register::GS {
            continue;
        }
        let slot = i.memory_displacement64() as u32;
        if !(off::SPILL..off::SPILL + 32).contains(&slot) {
            continue;
        }
        if i.op0_kind() == OpKind::Memory && i.op1_kind() == OpKind::Register {
            spilled[i.op1_register().full_register().number()] = Some(slot);
        } else if i.op0_kind() == OpKind::Register {
            spilled[i.op0_register().full_register().number()] = None;
        }
    }
    for (r, slot) in spilled.iter().enumerate() {
        if let Some(slot) = slot {
            let value = thread.context.spill[((slot - off::SPILL) / 8) as usize];
            at.set(Interrupted::register(r), value);
        }
    }
}

/// The thread is out of the fragment that was parked for it, if any.
pub fn unpark(thread: &mut Thread) {
    if std::mem::take(&mut thread.parked) {
        process().lock().cache.unpark();
    }
}

/// Delivers what waits. `fault` comes first.
pub fn deliver(thread: &mut Thread) {
    thread.context.pending.store(0, Ordering::Relaxed);
    unpark(thread);
    let mut any = false;
    while let Some(a) = thread.queue.pop() {
        any = true;
        if thread.mask & bit(a.signal) != 0 && bit(a.signal) & OURS != 0 {
            // Sent by someone while the guest blocks it, which we cannot let the kernel do:
            // it stays with us until unblocked.
            thread.inherited.withheld.push(a.info);
            continue;
        }
        crate::stats::count(&process().counts.signals);
        deliver_one(thread, a, None);
    }
    if any {
        set_host_mask(thread.mask);
    }
}

/// After the guest changed its mask: signals withheld earlier may now be due.
pub fn mask_changed(thread: &mut Thread) {
    if thread.inherited.withheld.is_empty() {
        return;
    }
    let mask = thread.mask;
    let due: Vec<[u64; 16]> = {
        let w = &mut thread.inherited.withheld;
        let (due, keep) = w.iter().partition::<Vec<[u64; 16]>, _>(|i| mask & bit(i[0] as u32 as i32) == 0);
        *w = keep;
        due
    };
    for info in due {
        if thread.queue.push(Arrived { signal: info[0] as u32 as i32, info }) {
            thread.context.pending.store(1, Ordering::Relaxed);
        }
    }
}

/// The guest gets a synchronous fault.
pub fn deliver_fault(thread: &mut Thread, fault: Fault) {
    let signal = fault.arrived.signal;
    let action = thread.actions.lock().unwrap_or_else(|e| e.into_inner()).0[signal as usize];
    if action.handler <= 1 || thread.mask & bit(signal) != 0 {
        die(thread, &fault.arrived);
    }
    block_all();
    deliver_one(thread, fault.arrived, Some(&fault));
    set_host_mask(thread.mask);
}

/// Ends the process as the default action of a signal does.
pub fn die(thread: &mut Thread, a: &Arrived) -> ! {
    crate::report::at_exit(thread);
    kernel_action(a.signal, &KernelAction::default());
    let mask = !bit(a.signal);
    // SAFETY: plain system calls on locals; the signal kills the process.
    unsafe {
        let pid = libc::getpid();
        let tid = libc::syscall(libc::SYS_gettid);
        libc::syscall(libc::SYS_tgkill, pid, tid, a.signal);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, 8usize);
        libc::syscall(libc::SYS_exit_group, 128 + a.signal);
    }
    unreachable!("exit_group does not return")
}

fn deliver_one(thread: &mut Thread, a: Arrived, fault: Option<&Fault>) {
    let action = {
        let mut actions = thread.actions.lock().unwrap_or_else(|e| e.into_inner());
        let action = actions.0[a.signal as usize];
        if action.handler > 1 && action.flags & libc::SA_RESETHAND as u64 != 0 {
            actions.0[a.signal as usize].handler = 0;
            if !is_ours_by_default(a.signal) {
                kernel_action(a.signal, &KernelAction::default());
            }
        }
        action
    };
    match action.handler {
        1 => return,
        0 => {
            if matches!(a.signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT) {
                return;
            }
            die(thread, &a);
        }
        _ => {}
    }
    let pushed = match process().foreign {
        true => crate::foreign::signal::push_frame(thread, &action, &a, fault),
        false => push_frame(thread, &action, &a, fault),
    };
    if let Err(()) = pushed {
        // No stack for the frame: the kernel raises SIGSEGV with the default action.
        let info = Fault::no_code(thread.stack_pointer(), false);
        die(thread, &info.arrived);
    }
    thread.mask |= action.mask;
    if action.flags & libc::SA_NODEFER as u64 == 0 {
        thread.mask |= bit(a.signal);
    }
    thread.mask &= !UNBLOCKABLE;
}

/// Whether `sp` lies on the guest's alternate stack.
pub fn on_altstack(thread: &Thread, sp: u64) -> bool {
    let s = thread.altstack;
    s.flags & SS_AUTODISARM == 0 && s.size != 0 && sp > s.sp && sp - s.sp <= s.size
}

/// What `sigaltstack` reports.
pub fn altstack_flags(thread: &Thread) -> i32 {
    let state = if thread.altstack.size == 0 {
        libc::SS_DISABLE
    } else if on_altstack(thread, thread.stack_pointer()) {
        libc::SS_ONSTACK
    } else {
        0
    };
    state | thread.altstack.flags & SS_AUTODISARM
}

/// `sigaltstack`: the stack is given up while a handler runs on it.
pub const SS_AUTODISARM: i32 = 1 << 31;

/// Builds the signal frame on the guest's stack and makes the handler the next thing to run.
fn push_frame(
    thread: &mut Thread,
    action: &KernelAction,
    a: &Arrived,
    fault: Option<&Fault>,
) -> Result<(), ()> {
    let layout = process().layout;
    let mut sp = thread.context.gpr[4].wrapping_sub(128);
    let use_alt = action.flags & libc::SA_ONSTACK as u64 != 0
        && thread.altstack.size != 0
        && !on_altstack(thread, thread.context.gpr[4]);
    if use_alt {
        sp = thread.altstack.sp + thread.altstack.size;
    }
    let state_size = layout.size + 4;
    let state_at = sp.wrapping_sub(state_size as u64) & !63;
    let frame_at = (state_at.wrapping_sub(frame::WHOLE as u64) & !15).wrapping_sub(8);
    if use_alt && frame_at < thread.altstack.sp {
        return Err(());
    }
    // Vector state, in standard format with the kernel's marks.
    let mut area = AlignedArea::new(state_size);
    // SAFETY: both areas are aligned and large enough; ours holds a state saved by xsavec.
    unsafe { enter::convert_state(thread.context.xsave, area.bytes().as_mut_ptr(), layout.mask, false) };
    let bytes = area.bytes();
    let put32 = |b: &mut [u8], at: usize, v: u32| b[at..at + 4].copy_from_slice(&v.to_le_bytes());
    let put64 = |b: &mut [u8], at: usize, v: u64| b[at..at + 8].copy_from_slice(&v.to_le_bytes());
    put32(bytes, 464, 0x4650_5853); // FP_XSTATE_MAGIC1
    put32(bytes, 468, state_size as u32);
    put64(bytes, 472, layout.mask);
    put32(bytes, 480, layout.size as u32);
    put32(bytes, layout.size, 0x4650_5845); // FP_XSTATE_MAGIC2
    write_guest(state_at, &bytes[..state_size])?;

    let mut f = [0u8; frame::WHOLE];
    put64(&mut f, 0, action.restorer);
    let uc = &mut f[8..];
    put64(uc, frame::FLAGS, 7); // xstate, ss, strict ss
    put64(uc, frame::STACK, thread.altstack.sp);
    put32(uc, frame::STACK + 8, thread.altstack.flags as u32);
    put64(uc, frame::STACK + 16, thread.altstack.size);
    for (i, &r) in frame::ORDER.iter().enumerate() {
        put64(uc, frame::REGS + i * 8, thread.context.gpr[r]);
    }
    put64(uc, frame::RIP, thread.context.pc);
    put64(uc, frame::EFLAGS, thread.context.rflags);
    put64(uc, frame::SEGMENTS, 0x33 | 0x2b << 48);
    let mask = thread.saved_mask.take().unwrap_or(thread.mask);
    put64(uc, frame::OLDMASK, mask);
    if let Some(fault) = fault {
        put64(uc, frame::ERROR, fault.error);
        put64(uc, frame::TRAPNO, fault.trapno);
        put64(uc, frame::CR2, fault.cr2);
    }
    put64(uc, frame::FPSTATE, state_at);
    put64(uc, frame::MASK, mask);
    for (i, w) in a.info.iter().enumerate() {
        put64(&mut f, 8 + frame::SIZE + i * 8, *w);
    }
    write_guest(frame_at, &f)?;

    if use_alt && thread.altstack.flags & SS_AUTODISARM != 0 {
        thread.altstack = AltStack { sp: 0, flags: libc::SS_DISABLE, size: 0 };
    }
    let c = &mut thread.context;
    c.gpr[4] = frame_at;
    c.gpr[7] = a.signal as u64;
    c.gpr[6] = frame_at + 8 + frame::SIZE as u64;
    c.gpr[2] = frame_at + 8;
    c.gpr[0] = 0;
    c.pc = action.handler;
    c.rflags &= !(0x400 | TRAP_FLAG | 0x1_0000);
    Ok(())
}

/// `rt_sigreturn`: the state in the frame becomes the guest's.
pub fn sigreturn(thread: &mut Thread) {
    let layout = process().layout;
    let uc_at = thread.context.gpr[4];
    let mut uc = [0u8; frame::SIZE];
    if read_guest(uc_at, &mut uc).is_err() {
        return deliver_fault(thread, Fault::protection());
    }
    let get = |at: usize| u64::from_le_bytes(uc[at..at + 8].try_into().expect("eight bytes"));
    let c = &mut thread.context;
    for (i, &r) in frame::ORDER.iter().enumerate() {
        c.gpr[r] = get(frame::REGS + i * 8);
    }
    c.pc = get(frame::RIP);
    const SETTABLE: u64 = 0x4_0dd5 | 0x20_0000;
    c.rflags = (c.rflags & !SETTABLE) | (get(frame::EFLAGS) & SETTABLE) | 0x202;
    let state_at = get(frame::FPSTATE);
    let mut area = AlignedArea::new(layout.size + 4);
    let bytes = area.bytes();
    if state_at == 0 {
        bytes[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
    } else {
        // A frame without the kernel's mark has only the first 512 bytes.
        let mut head = [0u8; 512];
        if read_guest(state_at, &mut head).is_err() {
            return deliver_fault(thread, Fault::protection());
        }
        let extended = head[464..468] == 0x4650_5853u32.to_le_bytes();
        if extended {
            if read_guest(state_at, &mut bytes[..layout.size]).is_err() {
                return deliver_fault(thread, Fault::protection());
            }
            // What the guest wrote must not make xrstor fault.
            let have = u64::from_le_bytes(bytes[512..520].try_into().expect("eight bytes")) & layout.mask;
            bytes[512..520].copy_from_slice(&have.to_le_bytes());
            bytes[520..576].fill(0);
        } else {
            bytes[..512].copy_from_slice(&head);
            bytes[512..520].copy_from_slice(&3u64.to_le_bytes());
        }
        let mxcsr = u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes")) & 0xffff;
        if fpenv::is_unusual(mxcsr) {
            fpenv::ended();
        }
        bytes[24..28].copy_from_slice(&mxcsr.to_le_bytes());
    }
    // SAFETY: both areas are aligned and large enough; the header was made valid above.
    unsafe { enter::convert_state(bytes.as_ptr(), thread.context.xsave, layout.mask, true) };
    let saved = AltStack {
        sp: get(frame::STACK),
        flags: get(frame::STACK + 8) as u32 as i32,
        size: get(frame::STACK + 16),
    };
    restore_stack_and_mask(thread, saved, get(frame::MASK));
}

/// The end of `rt_sigreturn`: alternate stack and mask as the frame holds them, with the registers in place.
pub fn restore_stack_and_mask(thread: &mut Thread, saved: AltStack, mask: u64) {
    // As the kernel: `sigaltstack` with what the frame holds, errors ignored; nothing changes when
    // place and size are the same.
    let same = (saved.sp, saved.size) == (thread.altstack.sp, thread.altstack.size);
    if !same && !on_altstack(thread, thread.stack_pointer()) {
        match saved.flags & !SS_AUTODISARM {
            0 | libc::SS_ONSTACK => {
                thread.altstack = AltStack { flags: saved.flags & SS_AUTODISARM, ..saved }
            }
            libc::SS_DISABLE => thread.altstack = AltStack { sp: 0, size: 0, flags: saved.flags },
            _ => {}
        }
    }
    thread.mask = mask & !UNBLOCKABLE;
    set_host_mask(thread.mask);
    mask_changed(thread);
}

/// Reads guest memory; `Err` when it is not accessible.
pub fn read_guest(at: u64, into: &mut [u8]) -> Result<(), ()> {
    // SAFETY: our side is a live slice.
    if unsafe { enter::copy(into.as_mut_ptr(), at as *const u8, into.len()) } { Ok(()) } else { Err(()) }
}

/// Writes guest memory; `Err` when it is not accessible. Pages that only our watch makes read-only
/// are released first. Not to be called with the process's lock held.
pub fn write_guest(at: u64, from: &[u8]) -> Result<(), ()> {
    // SAFETY: our side is a live slice.
    let write = || unsafe { enter::copy(at as *mut u8, from.as_ptr(), from.len()) };
    if write() {
        return Ok(());
    }
    let mut released = false;
    {
        let mut shared = process().lock();
        for page in at >> 12..=(at + from.len() as u64) >> 12 {
            if shared.map.written(page) {
                shared.cache.invalidate(page << 12, (page + 1) << 12);
                released = true;
            }
        }
    }
    if released && write() { Ok(()) } else { Err(()) }
}

/// Zeroed bytes on a 64-byte boundary.
struct AlignedArea {
    blocks: Vec<[u64; 8]>,
    start: usize,
    len: usize,
}

impl AlignedArea {
    fn new(len: usize) -> AlignedArea {
        let blocks = vec![[0u64; 8]; len.div_ceil(64) + 1];
        let start = blocks.as_ptr() as usize;
        AlignedArea { start: start.next_multiple_of(64) - start, len: len.next_multiple_of(64), blocks }
    }
    fn bytes(&mut self) -> &mut [u8] {
        let p = self.blocks.as_mut_ptr().cast::<u8>();
        // SAFETY: `start + len` lies inside the vector, whose elements are plain numbers.
        unsafe { std::slice::from_raw_parts_mut(p.add(self.start), self.len) }
    }
}
