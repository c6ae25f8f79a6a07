//! `--verify`: the guest runs here, and natively in a second process, one instruction at a time.
//!
//! The second process (a [`Tracee`]) is the real one: only it makes system calls and gets signals. Here the same
//! image stands at the same addresses, and whatever tier was asked for executes it up to a *boundary*: the next
//! return to the dispatcher. Then the tracee is stepped to the same place and all registers are compared
//! ([`arrived`]); memory is compared at system calls. What the kernel does to the tracee (results, memory,
//! mappings, signal frames) is then taken over ([`Verifier::adopt`]).
//!
//! - The cache links nothing ([`fragcache::CacheConfig::isolated`]), so every fragment is compared; the interpreter
//!   stops after each instruction.
//! - Instructions whose results are not repeatable (time, random numbers, the layout of saved state) are
//!   executed by the tracee alone ([`stand_in`]). Blocks end before them ([`is_unrepeatable`]).
//! - A signal that stops the tracee waits until both are at the same boundary. Faults must come at the same
//!   instruction on both sides.
//! - `rseq` is refused, and the vdso is hidden: both change memory or results behind our back.
//! - Children made by `fork` run natively. When the program starts a thread or executes another program, verification
//!   ends with a message, and the tracee goes on natively.
//! - Flags that an instruction leaves undefined are taken from the tracee when the interpreter computed them.
//!
//! The first difference is printed and ends both processes with [`report::OWN_FAILURE`].

use crate::codemap::CodeRange;
use crate::enter;
use crate::interp;
use crate::options::Tier;
use crate::process::process;
use crate::report;
use crate::signal::{self, Arrived, read_guest};
use crate::thread::Thread;
use iced_x86::{
    Code, Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, Mnemonic, OpKind, Register,
    RflagsBits,
};
use loader::{GuestAddr, Image, Mirror, MirrorError, Request, Stop, TraceError, Tracee, load_like};
use std::collections::VecDeque;

/// Flags that are compared: status, direction, alignment check, identification.
const FLAGS: u64 = 0x24_0cd5;
const TRAP: u64 = 0x100;
/// Attempts to find a layout of the tracee that is free here.
const ATTEMPTS: usize = 20;
/// Length of the `syscall` instruction.
const SYSCALL: u64 = 2;
/// Rounds of a repeated string instruction that are stepped one by one.
const MANY_ROUNDS: u64 = 8;
/// Instructions printed with a difference.
const SHOWN: usize = 24;

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// The native twin and what is known about it.
#[derive(Debug)]
pub struct Verifier {
    tracee: Tracee,
    mirror: Mirror,
    /// Most instructions the tracee may need to the next boundary.
    bound: usize,
    /// What ran last leaves sticky floating point flags as it happens to raise them.
    forgets_sticky: bool,
    /// What ran last went through the optimizer: flags that the manuals leave undefined may be anything.
    optimized: bool,
    /// Addresses of the instructions stepped since the last comparison.
    trail: Vec<u64>,
    /// Signals that wait for a boundary.
    signals: VecDeque<i32>,
    layout: Components,
    /// Kept free for the tracee's heap until the code cache has its place.
    heap_room: Option<u64>,
    instructions: u64,
    boundaries: u64,
    syscalls: u64,
}

/// Why a system call on the tracee, or the mirror, failed: nothing can be verified then.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The tracee.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
}

/// Starts the program natively, stopped before its first instruction, and builds its image here.
///
/// # Errors
/// When it cannot be started, or its memory does not fit into this process.
pub fn start(request: &Request) -> Result<(Image, Verifier), VerifyError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut tracee = Tracee::spawn(request)?;
        tracee.hide_vdso()?;
        match load_like(&tracee) {
            Ok((image, mirror)) => {
                let tracee_heap = heap_start(tracee.pid());
                let verifier = Verifier {
                    tracee,
                    mirror,
                    bound: 0,
                    forgets_sticky: false,
                    optimized: false,
                    trail: Vec::new(),
                    signals: VecDeque::new(),
                    layout: Components::get(),
                    heap_room: keep_heap_room(&tracee_heap),
                    instructions: 0,
                    boundaries: 0,
                    syscalls: 0,
                };
                return Ok((image, verifier));
            }
            Err(MirrorError::Occupied { .. }) if attempt < ATTEMPTS && request.aslr => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Bytes kept free for the tracee's heap.
const HEAP_ROOM: usize = 256 << 20;

/// Where the program break of a process starts, from `/proc`.
fn heap_start(pid: i32) -> Option<u64> {
    /// Fields of `stat` from the one behind the name to this one.
    const START_BRK: usize = 44;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(START_BRK)?.parse().ok().filter(|&at| at != 0)
}

/// The code cache likes to be near the program, where the tracee's heap will grow: it must not take that place.
fn keep_heap_room(start: &Option<u64>) -> Option<u64> {
    let at = start.as_ref()?.next_multiple_of(4096);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: nothing is replaced.
    let got = unsafe { libc::mmap(at as *mut libc::c_void, HEAP_ROOM, libc::PROT_NONE, flags, -1, 0) };
    (got as u64 == at).then_some(at)
}

/// A fragment or interpreted block of at most `bound` instructions is about to run. `optimized`: it went through the
/// optimizer. `default_fp`: it rests on the default floating point control word, and sticky flags come as they may.
pub fn departing(thread: &mut Thread, bound: usize, optimized: bool, default_fp: bool) {
    if let Some(v) = &mut thread.verifier {
        v.bound = bound;
        v.optimized = optimized;
        v.forgets_sticky = default_fp;
    }
}

/// Runs `f` on the verifier, if there is one. What fails in it ends the process.
fn with(thread: &mut Thread, f: impl FnOnce(&mut Verifier, &mut Thread) -> Result<(), VerifyError>) {
    let Some(mut v) = thread.verifier.take() else { return };
    if let Err(e) = f(&mut v, thread) {
        report::fatal(&format!("--verify cannot go on: {e}"));
    }
    thread.verifier = Some(v);
}

/// What ran here since the last boundary has come to the thread's context. The tracee follows, and both are
/// compared. `moved`: at least one instruction was executed.
pub fn arrived(thread: &mut Thread, moved: bool) {
    with(thread, |v, thread| {
        v.catch_up(thread, moved)?;
        v.deliver(thread)
    });
}

/// Lets the tracee execute the instruction at the context's `pc` if it is not repeatable. Returns whether it was.
pub fn stand_in(thread: &mut Thread) -> bool {
    if thread.verifier.is_none() {
        return false;
    }
    let Some(i) = decode(thread.context.pc) else { return false };
    if !is_unrepeatable(&i) {
        return false;
    }
    with(thread, |v, thread| v.stand_in(thread, &i));
    true
}

/// Which numbers a system call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Those of `syscall`.
    Native,
    /// Those of `int 0x80`.
    Int80,
}

/// A system call. The context's `pc` is behind the instruction.
pub fn system_call(thread: &mut Thread, table: Table) {
    thread.context.pc -= SYSCALL;
    with(thread, |v, thread| {
        v.catch_up(thread, false)?;
        v.system_call(thread, table)
    });
}

/// The guest faulted at the context's `pc`.
pub fn fault(thread: &mut Thread, signal: i32) {
    with(thread, |v, thread| v.fault(thread, signal));
}

/// Whether this run is verified.
pub fn on() -> bool {
    crate::process::get().is_some_and(|p| p.options.verify)
}

/// Whether two executions of this instruction from the same state may differ.
pub fn is_unrepeatable(i: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(
        i.mnemonic(),
        M::Rdtsc | M::Rdtscp | M::Rdpid | M::Cpuid | M::Xgetbv | M::Rdrand | M::Rdseed | M::Rdpmc
    ) || saved_bytes(i) != 0
}

/// Bytes that an instruction saves in a layout that depends on what is in use, or with addresses of code.
fn saved_bytes(i: &Instruction) -> usize {
    use Mnemonic as M;
    match i.mnemonic() {
        M::Xsave | M::Xsave64 | M::Xsavec | M::Xsavec64 | M::Xsaveopt | M::Xsaveopt64 => {
            process().layout.size
        }
        M::Fxsave | M::Fxsave64 => 512,
        M::Fnsave => 108,
        M::Fnstenv => 28,
        _ => 0,
    }
}

fn decode(pc: u64) -> Option<Instruction> {
    let mut bytes = [0u8; 15];
    let mut n = bytes.len();
    while n > 0 && read_guest(pc, &mut bytes[..n]).is_err() {
        n -= 1;
    }
    let i = Decoder::with_ip(64, &bytes[..n], pc, DecoderOptions::NONE).decode();
    (!i.is_invalid()).then_some(i)
}

/// What one comparison found: name, ours, native.
type Differences = Vec<(String, String, String)>;

impl Verifier {
    /// The tracee's registers in machine order.
    fn native(&self) -> Result<Native, VerifyError> {
        let r = self.tracee.registers()?;
        Ok(Native {
            gpr: [
                r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12,
                r.r13, r.r14, r.r15,
            ],
            pc: r.rip,
            flags: r.eflags,
            fs: r.fs_base,
            gs: r.gs_base,
        })
    }

    /// Steps the tracee to where the thread is.
    fn catch_up(&mut self, thread: &mut Thread, moved: bool) -> Result<(), VerifyError> {
        self.trail.clear();
        let target = thread.context.pc;
        let mut native = self.native()?;
        let mut best: Option<(Differences, usize)> = None;
        let mut left = self.bound + 1;
        let mut first = moved;
        loop {
            if native.pc == target && !first {
                let differences = self.compare(thread, &native)?;
                if differences.is_empty() {
                    break;
                }
                if best.as_ref().is_none_or(|b| differences.len() < b.0.len()) {
                    best = Some((differences, self.trail.len()));
                }
            }
            first = false;
            if left == 0 {
                self.differ(best, &native, target, None);
            }
            let before = native.pc;
            match self.step(before)? {
                Step::Done => {}
                Step::Stuck(why) => self.differ(best, &native, target, Some(why)),
            }
            native = self.native()?;
            if native.pc != before {
                left -= 1;
            }
        }
        self.boundaries += 1;
        Ok(())
    }

    /// Steps the tracee to where the thread is; registers need not be exact there.
    fn follow(&mut self, thread: &Thread) -> Result<(), VerifyError> {
        self.trail.clear();
        let target = thread.context.pc;
        let mut native = self.native()?;
        let mut left = self.bound;
        while native.pc != target {
            let before = native.pc;
            let stuck = match self.step(before)? {
                Step::Done => None,
                Step::Stuck(why) => Some(why),
            };
            native = self.native()?;
            if stuck.is_some() || left == 0 {
                self.differ(None, &native, target, stuck);
            }
            left -= usize::from(native.pc != before);
        }
        Ok(())
    }

    /// One instruction of the tracee, at `pc`.
    fn step(&mut self, pc: u64) -> Result<Step, VerifyError> {
        let mut code = [0u8; 3];
        let _ = read_guest(pc, &mut code);
        if code[..2] == [0x0f, 0x05] || code[..2] == [0xcd, 0x80] {
            return Ok(Step::Stuck("it makes a system call".into()));
        }
        let pushes_flags = match code[0] {
            0x9c => 8,
            0x66 if code[1] == 0x9c => 2,
            0x48 if code[1] == 0x9c => 8,
            _ => 0,
        };
        if self.trail.last() != Some(&pc) {
            self.trail.push(pc);
        }
        if is_repeated(&code) && self.tracee.registers()?.rcx > MANY_ROUNDS {
            return self.run_over(pc);
        }
        loop {
            match self.tracee.step(0)? {
                Stop::Stepped => break,
                stop => {
                    if let Some(why) = self.unexpected(stop) {
                        return Ok(Step::Stuck(why));
                    }
                }
            }
        }
        self.instructions += 1;
        if pushes_flags != 0 {
            // The flag of single-stepping is in what was pushed.
            let sp = GuestAddr(self.tracee.registers()?.rsp);
            let mut word = [0u8; 2];
            self.tracee.read(sp, &mut word)?;
            word[1] &= !1;
            self.tracee.write(sp, &word)?;
        }
        Ok(Step::Done)
    }

    /// A stop of the tracee that is not the end of a step: why it cannot go on, if so. Signals from elsewhere wait.
    fn unexpected(&mut self, stop: Stop) -> Option<String> {
        match stop {
            Stop::Signal(s) if signal::is_fault(s) => Some(format!("it gets signal {s}")),
            Stop::Signal(s) => {
                self.signals.push_back(s);
                None
            }
            Stop::Exited(n) => Some(format!("it exits with status {n}")),
            Stop::Killed(n) => Some(format!("it is killed by signal {n}")),
            other => Some(format!("it stops unexpectedly: {other:?}")),
        }
    }

    /// A repeated string instruction, which single steps would execute round by round: the tracee runs to a
    /// breakpoint behind it.
    fn run_over(&mut self, pc: u64) -> Result<Step, VerifyError> {
        let Some(i) = decode(pc) else { return Ok(Step::Stuck("it has other code there".into())) };
        let behind = GuestAddr(i.next_ip());
        let mut saved = [0u8];
        self.tracee.read(behind, &mut saved)?;
        self.tracee.write(behind, &[0xcc])?;
        let result = loop {
            let stop = self.tracee.run(0)?;
            if stop == Stop::Signal(libc::SIGTRAP) {
                let mut r = self.tracee.registers()?;
                if r.rip == behind.0 + 1 {
                    r.rip = behind.0;
                    self.tracee.set_registers(&r)?;
                    self.instructions += 1;
                    break Step::Done;
                }
            }
            if let Some(why) = self.unexpected(stop) {
                break Step::Stuck(why);
            }
        };
        if self.tracee.is_alive() {
            self.tracee.write(behind, &saved)?;
        }
        Ok(result)
    }

    /// Compares registers. Takes over what is undefined, when all the rest is equal: at an arrival that is not the one meant, what the
    /// tracee has there is nothing of ours.
    fn compare(&self, thread: &mut Thread, native: &Native) -> Result<Differences, VerifyError> {
        let mut found = Differences::new();
        let mut note = |name: &str, ours: u64, theirs: u64| {
            if ours != theirs {
                found.push((name.to_owned(), format!("{ours:#018x}"), format!("{theirs:#018x}")));
            }
        };
        let interpreted = process().options.tier == Tier::Interp;
        let last = self.trail.last().and_then(|&pc| decode(pc));
        let undefined = match &last {
            Some(i) if interpreted => undefined_flags(i),
            _ if self.optimized => {
                let path = self.trail.iter().filter_map(|&pc| decode(pc));
                path.fold(0, |u, i| u & !killed_flags(&i) | undefined_flags(&i))
            }
            _ => 0,
        };
        let c = &thread.context;
        let flags = c.rflags & !undefined | native.flags & undefined;
        for (i, name) in NAMES.iter().enumerate() {
            note(name, c.gpr[i], native.gpr[i]);
        }
        note("flags", flags & FLAGS, native.flags & FLAGS);
        note("fs base", c.guest_fs, native.fs);
        note("gs base", c.guest_gs, native.gs);
        if !found.is_empty() {
            return Ok(found);
        }
        if interpreted && last.is_some_and(|i| integer_only(&i)) {
            thread.context.rflags = flags;
            return Ok(found);
        }
        let ours = standard_state(thread);
        let theirs = self.tracee.xstate()?;
        let sticky = self.forgets_sticky
            || interpreted && self.trail.last().is_some_and(|&pc| interp::forgets_sticky_flags(thread, pc));
        for (name, range) in &self.layout.parts {
            let (Some(a), Some(b)) = (ours.bytes().get(range.clone()), theirs.get(range.clone())) else {
                continue;
            };
            if a == b || sticky && name == "mxcsr" && a[1..] == b[1..] && a[0] & 0xc0 == b[0] & 0xc0 {
                continue;
            }
            found.push((name.clone(), hex(a), hex(b)));
        }
        if found.is_empty() {
            thread.context.rflags = flags;
            if sticky {
                self.adopt_vectors(thread)?;
            }
        }
        Ok(found)
    }

    /// The kernel's signals that wait.
    fn deliver(&mut self, thread: &mut Thread) -> Result<(), VerifyError> {
        while let Some(s) = self.signals.pop_front() {
            self.inject(thread, s)?;
        }
        Ok(())
    }

    /// The tracee gets a signal; afterwards it stands in the handler, if there is one.
    fn inject(&mut self, thread: &mut Thread, signal: i32) -> Result<(), VerifyError> {
        let mut signal = signal;
        loop {
            match self.tracee.step(signal)? {
                Stop::Stepped => break,
                Stop::Signal(next) => signal = next,
                stop => self.ended(thread, stop)?,
            }
        }
        self.adopt(thread)
    }

    fn stand_in(&mut self, thread: &mut Thread, i: &Instruction) -> Result<(), VerifyError> {
        let len = saved_bytes(i) as u64;
        let at = (len != 0).then(|| memory_operand(thread, i)).flatten();
        self.trail.clear();
        if let Step::Stuck(why) = self.step(thread.context.pc)? {
            let native = self.native()?;
            self.differ(None, &native, i.next_ip(), Some(why));
        }
        self.adopt_registers(thread)?;
        self.adopt_vectors(thread)?;
        if let Some(at) = at {
            let mut bytes = vec![0; len as usize];
            self.tracee.read(GuestAddr(at), &mut bytes)?;
            // It was written there natively, so it can be written here, unless the page is watched for writes.
            self.forget_watches();
            let _ = signal::write_guest(at, &bytes);
        }
        Ok(())
    }

    fn system_call(&mut self, thread: &mut Thread, table: Table) -> Result<(), VerifyError> {
        self.syscalls += 1;
        if let Some(at) = self.heap_room.take() {
            // SAFETY: the reservation made at the start, which nobody uses.
            unsafe { libc::munmap(at as *mut libc::c_void, HEAP_ROOM) };
        }
        if let Some(d) = self.mirror.difference(&self.tracee)? {
            let name = format!("memory at {}", d.addr);
            let found = vec![(name, format!("{:#04x}", d.ours), format!("{:#04x}", d.theirs))];
            let native = self.native()?;
            self.differ(Some((found, 0)), &native, native.pc, None);
        }
        let number = if table == Table::Native { thread.context.gpr[0] as i64 } else { -1 };
        let flags = match number {
            libc::SYS_clone => thread.context.gpr[7],
            libc::SYS_clone3 => {
                let mut word = [0; 8];
                let _ = read_guest(thread.context.gpr[7], &mut word);
                u64::from_le_bytes(word)
            }
            _ => 0,
        };
        let vm = libc::CLONE_VM as u64;
        if flags & vm != 0 && flags & libc::CLONE_VFORK as u64 == 0 {
            self.hand_over(thread, "the program starts a thread", 0)?;
        }
        let changes_action = number == libc::SYS_rt_sigaction && thread.context.gpr[6] != 0;
        if changes_action && signal::is_fault(thread.context.gpr[7] as i32) {
            signal::keep_state_exact();
        }
        if number == libc::SYS_rseq {
            let mut r = self.tracee.registers()?;
            r.rip += SYSCALL;
            (r.rax, r.rcx, r.r11) = (-i64::from(libc::ENOSYS) as u64, r.rip, r.eflags);
            self.tracee.set_registers(&r)?;
            return self.adopt_registers(thread);
        }
        match self.tracee.step(0)? {
            Stop::Stepped => {
                let mut r = self.tracee.registers()?;
                if number != libc::SYS_rt_sigreturn && r.r11 & TRAP != 0 {
                    // From single-stepping.
                    r.r11 &= !TRAP;
                    self.tracee.set_registers(&r)?;
                }
            }
            Stop::Signal(s) => return self.inject(thread, s),
            stop => self.ended(thread, stop)?,
        }
        self.adopt(thread)
    }

    fn fault(&mut self, thread: &mut Thread, signal: i32) -> Result<(), VerifyError> {
        // A breakpoint is reported behind the instruction.
        let pc = thread.context.pc;
        let mut before = [0u8];
        if signal == libc::SIGTRAP && read_guest(pc.wrapping_sub(1), &mut before).is_ok() && before[0] == 0xcc
        {
            thread.context.pc = pc - 1;
        }
        if process().lock().translator.exact {
            self.catch_up(thread, false)?;
        } else {
            self.follow(thread)?;
        }
        let at = thread.context.pc;
        match self.tracee.step(0)? {
            Stop::Signal(s) if s == signal => self.inject(thread, s),
            stop => {
                let native = self.native()?;
                self.trail = vec![at];
                self.differ(None, &native, at, Some(format!("signal {signal} here, but it {stop:?}")))
            }
        }
    }

    /// The tracee has ended or become another program.
    fn ended(&mut self, thread: &mut Thread, stop: Stop) -> Result<(), VerifyError> {
        match stop {
            Stop::Exited(status) => self.finish(thread, status),
            Stop::Killed(s) => self.finish_by(thread, s),
            Stop::Exec => self.hand_over(thread, "the program executes another", 0),
            _ => self.hand_over(thread, "the traced process stopped unexpectedly", 0),
        }
    }

    /// Verification ends; the tracee goes on natively to its end, which is ours too.
    fn hand_over(&mut self, thread: &mut Thread, why: &str, signal: i32) -> Result<(), VerifyError> {
        report::line(&format!("--verify ends here: {why}; {}", self.summary()));
        let mut signal = signal;
        loop {
            signal = match self.tracee.run(signal)? {
                Stop::Exited(status) => self.finish(thread, status),
                Stop::Killed(s) => self.finish_by(thread, s),
                Stop::Signal(s) => s,
                _ => 0,
            };
        }
    }

    fn summary(&self) -> String {
        format!(
            "verified {} instructions at {} boundaries and {} system calls without a difference",
            self.instructions, self.boundaries, self.syscalls
        )
    }

    fn finish(&self, thread: &mut Thread, status: i32) -> ! {
        self.say(thread);
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
        unreachable!("exit_group does not return")
    }

    fn finish_by(&self, thread: &mut Thread, signal: i32) -> ! {
        self.say(thread);
        signal::die(thread, &Arrived { signal, info: [0; 16] })
    }

    fn say(&self, thread: &mut Thread) {
        if process().options.stats.is_some() {
            report::line(&self.summary());
        }
        report::at_exit(thread);
    }

    // --- taking over -----------------------------------------------------------------------------

    /// Everything here becomes what the tracee is.
    fn adopt(&mut self, thread: &mut Thread) -> Result<(), VerifyError> {
        self.adopt_registers(thread)?;
        self.adopt_vectors(thread)?;
        self.forget_watches();
        let changes = self.mirror.sync(&self.tracee)?;
        let mut shared = process().lock();
        for range in changes.written.iter().chain(&changes.remapped).chain(&changes.protected) {
            shared.cache.invalidate(range.start.0, range.end.0);
        }
        if !changes.remapped.is_empty() || !changes.protected.is_empty() {
            shared.map.remove(0, u64::MAX);
            for r in self.mirror.regions().iter().filter(|r| r.prot & libc::PROT_EXEC != 0) {
                let range =
                    CodeRange { start: r.start.0, end: r.end.0, prot: r.prot, shared: false, file: None };
                shared.map.insert(range);
            }
        }
        Ok(())
    }

    /// Pages that the runtime has protected get their own protection back; their fragments go.
    fn forget_watches(&self) {
        let mut shared = process().lock();
        for page in shared.map.unprotect_all() {
            shared.cache.invalidate(page << 12, (page + 1) << 12);
        }
    }

    fn adopt_registers(&self, thread: &mut Thread) -> Result<(), VerifyError> {
        let native = self.native()?;
        let c = &mut thread.context;
        c.gpr = native.gpr;
        c.pc = native.pc;
        c.rflags = native.flags & FLAGS | 0x202;
        c.guest_fs = native.fs;
        c.guest_gs = native.gs;
        Ok(())
    }

    fn adopt_vectors(&self, thread: &mut Thread) -> Result<(), VerifyError> {
        let theirs = self.tracee.xstate()?;
        let layout = process().layout;
        let mut area = Area::new(layout.size.max(theirs.len()));
        let bytes = area.bytes_mut();
        bytes[..theirs.len()].copy_from_slice(&theirs);
        let mut used = [0; 8];
        used.copy_from_slice(&bytes[512..520]);
        let used = u64::from_le_bytes(used) & layout.mask;
        bytes[512..520].copy_from_slice(&used.to_le_bytes());
        bytes[520..576].fill(0);
        // SAFETY: both areas are aligned and large enough; the header is valid.
        unsafe {
            enter::convert_state(area.bytes().as_ptr(), thread.context.xsave, layout.mask, true);
        }
        Ok(())
    }

    // --- telling ---------------------------------------------------------------------------------

    /// Prints the first difference and ends both processes.
    fn differ(
        &self,
        best: Option<(Differences, usize)>,
        native: &Native,
        target: u64,
        stopped: Option<String>,
    ) -> ! {
        let tier = match process().options.tier {
            Tier::Interp => "interp",
            Tier::Block => "block",
            Tier::Trace => "trace",
        };
        report::line(&format!(
            "--verify: tier {tier} differs from the CPU after {} instructions",
            self.instructions
        ));
        let shown = best.as_ref().map_or(self.trail.len(), |b| b.1);
        report::line("executed since the last comparison:");
        let mut formatter = GasFormatter::new();
        for &pc in &self.trail[shown.saturating_sub(SHOWN)..shown] {
            let mut text = String::new();
            match decode(pc) {
                Some(i) => formatter.format(&i, &mut text),
                None => text.push_str("(bad)"),
            }
            report::line(&format!("  {pc:#x}  {text}"));
        }
        match best {
            Some((differences, _)) => {
                report::line(&format!("at {target:#x}:"));
                for (name, ours, theirs) in &differences {
                    report::line(&format!("  {name}: {ours} here, {theirs} natively"));
                }
            }
            None => report::line(&format!(
                "here it goes on at {target:#x}; natively it has not come there but to {:#x}",
                native.pc
            )),
        }
        if let Ok(Some(d)) = self.mirror.difference(&self.tracee) {
            let (ours, theirs) = (d.ours, d.theirs);
            report::line(&format!(
                "  memory differs first at {}: {ours:#04x} here, {theirs:#04x} natively",
                d.addr
            ));
        }
        if let Some(why) = stopped {
            report::line(&format!("at {:#x} natively: {why}", native.pc));
        }
        if let Some(what) = &process().options.dump {
            report::line(&crate::dump::dump(what));
        }
        report::fatal("verification failed");
    }
}

enum Step {
    Done,
    /// The tracee cannot go on, for this reason.
    Stuck(String),
}

/// The tracee's integer state.
struct Native {
    gpr: [u64; 16],
    pc: u64,
    flags: u64,
    fs: u64,
    gs: u64,
}

/// Whether these are the first bytes of a string instruction with a repeat prefix.
fn is_repeated(code: &[u8; 3]) -> bool {
    let opcode = match code {
        [0xf2 | 0xf3, 0x40..=0x4f | 0x66, opcode] | [0x66, 0xf2 | 0xf3, opcode] => *opcode,
        [0xf2 | 0xf3, opcode, _] => *opcode,
        _ => return false,
    };
    matches!(opcode, 0xa4..=0xa7 | 0xaa..=0xaf)
}

/// The address of the memory operand.
fn memory_operand(thread: &Thread, i: &Instruction) -> Option<u64> {
    let operand = (0..i.op_count()).find(|&n| i.op_kind(n) == OpKind::Memory)?;
    i.virtual_address(operand, 0, |r, _, _| match r {
        Register::FS => Some(thread.context.guest_fs),
        Register::GS => Some(thread.context.guest_gs),
        r if r.is_gpr64() => Some(thread.context.gpr[r.number()]),
        r if r.is_gpr32() => Some(thread.context.gpr[r.number()] & 0xffff_ffff),
        _ => Some(0),
    })
}

/// Flags that the manuals leave undefined after this instruction, whatever its operands are.
fn undefined_flags(i: &Instruction) -> u64 {
    use Mnemonic as M;
    let [c, p, a, z, s, o] = [1, 4, 0x10, 0x40, 0x80, 0x800];
    match i.mnemonic() {
        M::And | M::Or | M::Xor | M::Test => a,
        M::Shl | M::Sal | M::Shr | M::Sar | M::Shld | M::Shrd => {
            let wide = matches!(i.op0_register().size(), 4 | 8) || matches!(i.memory_size().size(), 4 | 8);
            a | o | if wide { 0 } else { c }
        }
        M::Rol | M::Ror | M::Rcl | M::Rcr => o,
        M::Mul | M::Imul => z | s | p | a,
        M::Div | M::Idiv => c | p | a | z | s | o,
        M::Bt | M::Bts | M::Btr | M::Btc | M::Tzcnt | M::Lzcnt => p | a | s | o,
        M::Bsf | M::Bsr => c | p | a | s | o,
        M::Andn | M::Blsi | M::Blsr | M::Blsmsk | M::Bzhi => p | a,
        M::Bextr => p | a | s,
        _ => 0,
    }
}

/// Flags that an instruction certainly replaces.
fn killed_flags(i: &Instruction) -> u64 {
    use RflagsBits as R;
    if matches!(i.mnemonic(), Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar) {
        return 0; // Not when the count is zero.
    }
    let bits = [(R::CF, 1), (R::PF, 4), (R::AF, 0x10), (R::ZF, 0x40), (R::SF, 0x80), (R::OF, 0x800)];
    bits.iter().filter(|b| i.rflags_modified() & b.0 != 0).map(|b| b.1).sum()
}

/// Whether an instruction leaves vector and x87 registers alone.
fn integer_only(i: &Instruction) -> bool {
    use iced_x86::CpuidFeature as F;
    i.code() != Code::INVALID
        && i.cpuid_features().iter().all(|f| {
            matches!(
                f,
                F::INTEL8086
                    | F::INTEL186
                    | F::INTEL286
                    | F::INTEL386
                    | F::INTEL486
                    | F::X64
                    | F::CMOV
                    | F::MULTIBYTENOP
                    | F::POPCNT
                    | F::LZCNT
                    | F::BMI1
                    | F::BMI2
                    | F::CET_IBT
            )
        })
}

/// What is compared of the extended state, in XSAVE's standard format. Not compared: where the last x87
/// instruction and its operand were.
#[derive(Debug)]
struct Components {
    parts: Vec<(String, std::ops::Range<usize>)>,
}

impl Components {
    fn get() -> Components {
        let mut parts: Vec<(String, std::ops::Range<usize>)> = vec![
            ("x87 control".into(), 0..2),
            ("x87 status".into(), 2..4),
            ("x87 tags".into(), 4..5),
            ("mxcsr".into(), 24..28),
        ];
        parts.extend((0..8).map(|i| (format!("st{i}"), 32 + 16 * i..42 + 16 * i)));
        parts.extend((0..16).map(|i| (format!("xmm{i}"), 160 + 16 * i..176 + 16 * i)));
        let mask = process_mask();
        let mut add = |component: u32, what: &str, count: usize, size: usize, first: usize| {
            if mask >> component & 1 == 0 {
                return;
            }
            let at = std::arch::x86_64::__cpuid_count(0xd, component).ebx as usize;
            for i in 0..count {
                parts.push((what.replace('#', &(first + i).to_string()), at + size * i..at + size * (i + 1)));
            }
        };
        add(2, "ymm# upper half", 16, 16, 0);
        add(5, "k#", 8, 8, 0);
        add(6, "zmm# upper half", 16, 32, 0);
        add(7, "zmm#", 16, 64, 16);
        Components { parts }
    }
}

fn process_mask() -> u64 {
    crate::thread::StateLayout::get().mask
}

/// The guest's extended state in standard format.
fn standard_state(thread: &Thread) -> Area {
    let layout = process().layout;
    let mut area = Area::new(layout.size);
    // SAFETY: both areas are aligned and large enough; ours holds a state saved by xsavec.
    unsafe {
        enter::convert_state(thread.context.xsave, area.bytes_mut().as_mut_ptr(), layout.mask, false);
    }
    area
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed bytes on a 64-byte boundary.
struct Area(Vec<Line>);

impl Area {
    fn new(len: usize) -> Area {
        Area(vec![Line([0; 64]); len.div_ceil(64).max(9)])
    }
    fn bytes(&self) -> &[u8] {
        // SAFETY: lines are plain bytes without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 64) }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 64) }
    }
}

/// Bytes as one number, most significant first.
fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}
