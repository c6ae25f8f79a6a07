//! Guest threads: their records, creation on host stacks of their own, and their end.
//!
//! A guest thread is a kernel thread made by the guest's own `clone` call with two arguments
//! replaced: the stack (ours, so that the runtime never touches the guest's) and the TLS pointer
//! (the runtime's). The kernel therefore does everything else natively: thread ids in memory,
//! robust lists, clearing and waking at exit, process relations. The record of a thread is a
//! mapping of its own whose first bytes are the [`Context`] that `gs` points to.
//!
//! The runtime's TLS block comes from the C library's loader (`_dl_allocate_tls`), because these
//! threads are unknown to its thread library. Stacks and blocks of ended threads are reused once
//! the kernel says that the thread is gone.

use crate::context::Context;
use crate::guess::Samples;
use crate::process::{Process, process};
use crate::record::Recording;
use crate::signal::{Actions, Fault, Queue};
use fragcache::{ExitId, GuestPc};
use rustc_hash::FxHashSet;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Bytes of the mapping with a host stack: guard, stack of signal handlers, guard, stack.
const STACK: usize = 512 << 10;
/// Bytes of the stack that signal handlers run on.
const ALTSTACK: usize = 96 << 10;
const GUARD: usize = 4096;

/// The guest's alternate signal stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AltStack {
    /// Lowest address.
    pub sp: u64,
    /// `SS_` flags.
    pub flags: i32,
    /// Size in bytes.
    pub size: u64,
}

/// Everything the runtime knows about one guest thread.
#[repr(C)]
pub struct Thread {
    /// What generated code and assembly use; must stay first.
    pub context: Context,
    /// Kernel thread id.
    pub tid: i32,
    /// Cache epoch at entry; 0 outside the cache.
    pub epoch: AtomicU64,
    /// Signals the guest blocks, bit `n - 1` for signal `n`.
    pub mask: u64,
    /// Mask to go back to after the signal that ends `sigsuspend` and its kind is delivered.
    pub saved_mask: Option<u64>,
    /// Where handlers with `SA_ONSTACK` run.
    pub altstack: AltStack,
    /// Signals that arrived and wait for a fragment boundary.
    pub queue: Queue,
    /// The synchronous fault that `EXIT_FAULT` reports.
    pub fault: Option<Fault>,
    /// What the guest wants done about signals; shared as `CLONE_SIGHAND` says.
    pub actions: Arc<Mutex<Actions>>,
    /// A path being recorded.
    pub recording: Option<Recording>,
    /// How often recordings of a head were given up because they left its loop.
    pub left_loop: HashMap<GuestPc, u8>,
    /// Recorded paths with guesses that wait for others to agree with them.
    pub samples: HashMap<GuestPc, Samples>,
    /// Heads of traces that rest on guesses.
    pub guessed: FxHashSet<GuestPc>,
    /// The exit to be linked when its target is known.
    pub last_exit: Option<ExitId>,
    /// The last exit was an indirect branch.
    pub by_indirect: bool,
    /// Execute one instruction alone next.
    pub step: bool,
    /// Some fragment of this thread's has parked exits.
    pub parked: bool,
    /// An optimised trace faulted and is being left: the instruction at the `pc` where it leaves is to be executed alone.
    pub retry: bool,
    /// Bytes of the vector state area.
    pub xsave_size: usize,
    /// Seccomp filters and whatever else a child inherits.
    pub inherited: crate::syscall::Inherited,
    /// The native twin, under `--verify`.
    pub verifier: Option<Box<crate::lockstep::Verifier>>,
    /// Tier 0's blocks and buffers.
    pub interp: Option<Box<crate::interp::Tier0>>,
    /// The same for a program for another machine.
    pub foreign_interp: Option<Box<crate::foreign::interp::Tier0>>,
    /// Base of the host stack mapping and TLS block; none for the first thread.
    pub own: Option<(usize, usize)>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread")
            .field("tid", &self.tid)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Layout of the vector state on this machine.
#[derive(Clone, Copy, Debug)]
pub struct StateLayout {
    /// Components the kernel enabled (XCR0).
    pub mask: u64,
    /// Bytes of the standard format.
    pub size: usize,
}

impl StateLayout {
    /// Asks the CPU.
    pub fn get() -> StateLayout {
        use std::arch::x86_64::{__cpuid_count, _xgetbv};
        #[target_feature(enable = "xsave")]
        fn xcr0() -> u64 {
            // SAFETY: reads XCR0; the instruction exists where XSAVE does, which is required.
            unsafe { _xgetbv(0) }
        }
        // SAFETY: required by the runtime (checked at start).
        let mask = unsafe { xcr0() };
        let size = __cpuid_count(0xd, 0).ebx as usize;
        // AMX tile data would make every area 8 KiB larger and needs a permission we do not ask for.
        StateLayout { mask: mask & !(3 << 17), size: size.max(576) }
    }
}

impl Thread {
    /// The calling thread's record.
    ///
    /// # Safety
    /// Only on guest threads, where `gs` is set up; the reference must not be kept across a call
    /// that makes another one.
    pub unsafe fn current() -> &'static mut Thread {
        let p: *mut Thread;
        // SAFETY: `gs:[0]` is `Context::this`.
        unsafe {
            std::arch::asm!("mov {}, gs:[0]", out(reg) p, options(nostack, readonly, preserves_flags));
            &mut *p
        }
    }

    /// Maps a new record with an initial vector state.
    pub fn allocate(
        actions: Arc<Mutex<Actions>>,
        inherited: crate::syscall::Inherited,
    ) -> std::io::Result<*mut Thread> {
        let layout = process().layout;
        let head = std::mem::size_of::<Thread>().next_multiple_of(64);
        let size = head + layout.size + 64;
        let p = map(size)? as *mut u8;
        let thread = p.cast::<Thread>();
        let context = Context {
            this: p.cast(),
            host_rsp: 0,
            host_fs: read_fs(),
            guest_fs: 0,
            exit: 0,
            in_cache: 0,
            pending: 0.into(),
            padding: 0,
            pc: 0,
            rflags: 0x202,
            gpr: [0; 16],
            spill: [0; 4],
            guest_gs: 0,
            // SAFETY: inside the mapping.
            xsave: unsafe { p.add(head) },
            xsave_mask: layout.mask,
            target: 0,
            scratch: [0; crate::context::SCRATCH_WORDS],
            foreign: crate::foreign::state::GuestState::default(),
        };
        // SAFETY: a fresh mapping, large enough and aligned to a page. The zeroed vector area with
        // MXCSR set is the initial state in standard format.
        unsafe {
            thread.write(Thread {
                context,
                tid: 0,
                epoch: AtomicU64::new(0),
                mask: 0,
                saved_mask: None,
                altstack: AltStack { sp: 0, flags: libc::SS_DISABLE, size: 0 },
                queue: Queue::default(),
                fault: None,
                actions,
                recording: None,
                left_loop: HashMap::new(),
                samples: HashMap::new(),
                guessed: FxHashSet::default(),
                last_exit: None,
                by_indirect: false,
                step: false,
                parked: false,
                retry: false,
                xsave_size: layout.size,
                inherited,
                verifier: None,
                interp: None,
                foreign_interp: None,
                own: None,
            });
            p.add(head + 24).cast::<u32>().write(0x1f80);
        }
        Ok(thread)
    }

    /// Makes `gs` point to this record, on the thread that is to run it.
    pub fn adopt(&mut self) {
        // SAFETY: nothing else in this process uses gs; fsgsbase is checked at start.
        unsafe {
            std::arch::asm!("wrgsbase {}", in(reg) std::ptr::from_mut(self), options(nostack, preserves_flags));
        }
        // SAFETY: a plain system call.
        self.tid = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        self.context.host_fs = read_fs();
        install_host_altstack(self.own.map(|o| o.0));
    }

    /// The guest's stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        if process().foreign { self.context.foreign.sp } else { self.context.gpr[4] }
    }

    /// True when a signal waits.
    pub fn has_pending(&self) -> bool {
        self.context.pending.load(Ordering::Relaxed) != 0
    }

    /// After leaving the cache: an AVX state that is in use but zero is not in use.
    pub fn clean_upper_halves(&mut self) {
        let area = self.context.xsave;
        // SAFETY: the area was just written by xsavec: a 64-byte header at 512, and in compacted
        // format the AVX component, when in the format at all, is the first after it.
        unsafe {
            let header = area.add(512).cast::<u64>();
            let compact = header.add(1).read();
            let in_use = header.read();
            if in_use & 4 != 0 && compact & (1 << 63 | 4) == (1 << 63 | 4) {
                let halves = std::slice::from_raw_parts(area.add(576).cast::<u64>(), 32);
                if halves.iter().all(|&w| w == 0) {
                    header.write(in_use & !4);
                }
            }
        }
    }
}

/// Memory of our own, where the guest does not look for any.
pub fn map(size: usize) -> std::io::Result<usize> {
    crate::alloc::map(size)
}

/// Gives memory from [`map`] back.
pub fn unmap(at: usize, size: usize) {
    crate::alloc::unmap(at, size);
}

fn read_fs() -> u64 {
    let v: u64;
    // SAFETY: fsgsbase is checked at start.
    unsafe { std::arch::asm!("rdfsbase {}", out(reg) v, options(nostack, preserves_flags)) };
    v
}

/// Signal handlers of the runtime never run on a guest stack. `own` is the base of the thread's host
/// stack, in whose mapping the handlers' stack lies; the first thread's is made here.
fn install_host_altstack(own: Option<usize>) {
    let at = match own {
        Some(base) => base + GUARD,
        None => match map(ALTSTACK) {
            Ok(at) => at,
            Err(_) => return,
        },
    };
    let stack = libc::stack_t { ss_sp: at as *mut libc::c_void, ss_flags: 0, ss_size: ALTSTACK };
    // SAFETY: the mapping lives as long as the thread.
    unsafe {
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
    }
}

/// A host stack with a TLS block for a new thread.
#[derive(Debug)]
pub struct HostStack {
    base: usize,
    /// Highest address.
    pub top: u64,
    /// The runtime's thread pointer for that thread.
    pub tls: u64,
}

impl HostStack {
    /// For a thread that runs beside this one.
    pub fn new() -> std::io::Result<HostStack> {
        let base = map_stack()?;
        let tls = new_tls()?;
        Ok(HostStack { base, top: (base + STACK) as u64, tls })
    }

    /// For the child of `vfork`, while its parent waits: it borrows the parent's TLS block.
    pub fn borrowing_tls() -> std::io::Result<HostStack> {
        let base = map_stack()?;
        Ok(HostStack { base, top: (base + STACK) as u64, tls: 0 })
    }

    /// What [`Thread::own`] keeps.
    pub fn parts(&self) -> (usize, usize) {
        (self.base, self.tls as usize)
    }
}

fn map_stack() -> std::io::Result<usize> {
    let base = map(STACK)?;
    for guard in [base, base + GUARD + ALTSTACK] {
        // SAFETY: two pages of a fresh mapping become inaccessible.
        unsafe { libc::mprotect(guard as *mut libc::c_void, GUARD, libc::PROT_NONE) };
    }
    Ok(base)
}

/// The functions of the C library's loader for TLS blocks.
#[cfg(static_libc)]
mod tls {
    unsafe extern "C" {
        fn _dl_allocate_tls(at: *mut libc::c_void) -> *mut libc::c_void;
        fn _dl_deallocate_tls(tls: *mut libc::c_void, all: bool);
    }

    /// A new block, or null.
    ///
    /// # Safety
    /// None but those of C.
    pub unsafe fn allocate() -> *mut libc::c_void {
        // SAFETY: the loader allocates block and thread control block.
        unsafe { _dl_allocate_tls(std::ptr::null_mut()) }
    }

    /// Frees a block.
    ///
    /// # Safety
    /// The block came from [`allocate`], and its thread has ended.
    pub unsafe fn free(tls: *mut libc::c_void) {
        // SAFETY: as the caller promises.
        unsafe { _dl_deallocate_tls(tls, true) };
    }
}

/// The functions of the C library's loader for TLS blocks, which the dynamic one exports for thread libraries.
#[cfg(not(static_libc))]
mod tls {
    type Allocate = unsafe extern "C" fn(*mut libc::c_void) -> *mut libc::c_void;
    type Free = unsafe extern "C" fn(*mut libc::c_void, bool);

    /// A new block, or null.
    ///
    /// # Safety
    /// None but those of C.
    pub unsafe fn allocate() -> *mut libc::c_void {
        // SAFETY: the loader's own function for this purpose, looked up by name.
        unsafe {
            let f = libc::dlsym(libc::RTLD_DEFAULT, c"_dl_allocate_tls".as_ptr());
            if f.is_null() {
                return std::ptr::null_mut();
            }
            let allocate: Allocate = std::mem::transmute(f);
            allocate(std::ptr::null_mut())
        }
    }

    /// Frees a block.
    ///
    /// # Safety
    /// The block came from [`allocate`], and its thread has ended.
    pub unsafe fn free(tls: *mut libc::c_void) {
        // SAFETY: as the caller promises.
        unsafe {
            let f = libc::dlsym(libc::RTLD_DEFAULT, c"_dl_deallocate_tls".as_ptr());
            if !f.is_null() {
                let free: Free = std::mem::transmute(f);
                free(tls, true);
            }
        }
    }
}

fn new_tls() -> std::io::Result<u64> {
    // SAFETY: the result is the thread control block, whose first words the C library's ABI fixes: self
    // pointer, dtv (set by the function), self pointer again, and at 0x28 and 0x30 the stack and pointer guards.
    unsafe {
        let tcb = tls::allocate().cast::<u64>();
        if tcb.is_null() {
            return Err(std::io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let own = read_fs() as *const u64;
        tcb.write(tcb as u64);
        tcb.add(2).write(tcb as u64);
        tcb.add(3).write(1);
        tcb.add(5).write(own.add(5).read());
        tcb.add(6).write(own.add(6).read());
        Ok(tcb as u64)
    }
}

fn free_tls(block: u64) {
    // SAFETY: the counterpart of `new_tls`, for a block whose thread has ended.
    unsafe { tls::free(block as *mut libc::c_void) };
}

/// First code of a new thread, on its host stack.
pub extern "C" fn thread_start(thread: *mut Thread) -> ! {
    // SAFETY: the parent prepared the record and hands it over.
    let thread = unsafe { &mut *thread };
    thread.adopt();
    crate::signal::set_host_mask(thread.mask);
    crate::dispatch::run(thread)
}

/// Registers a thread, so that code memory waits for it.
pub fn register(process: &Process, thread: *mut Thread) {
    process.threads.lock().unwrap_or_else(|e| e.into_inner()).push(ThreadRef(thread));
}

/// A pointer in the list of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadRef(pub *mut Thread);
// SAFETY: other threads read only atomics through it, and records of registered threads are not
// unmapped.
unsafe impl Send for ThreadRef {}

/// Frees records, stacks and TLS blocks of threads that are gone.
pub fn reap(process: &Process) {
    let mut gone = process.ended.lock().unwrap_or_else(|e| e.into_inner());
    // SAFETY: plain system calls; memory of a thread that the kernel no longer knows is unused.
    unsafe {
        let pid = libc::getpid();
        gone.retain(|t| {
            let thread = t.0;
            let tid = (*thread).tid;
            if libc::syscall(libc::SYS_tgkill, pid, tid, 0) == 0 {
                return true;
            }
            if let Some((base, tls)) = (*thread).own.take() {
                unmap(base, STACK);
                if tls != 0 {
                    free_tls(tls as u64);
                }
            }
            discard(thread);
            false
        });
    }
}

/// Unmaps a record that no thread uses.
///
/// # Safety
/// The thread has ended, or was never started.
pub unsafe fn discard(thread: *mut Thread) {
    // SAFETY: as the caller promises; drops what the record owns first.
    unsafe {
        let size = std::mem::size_of::<Thread>().next_multiple_of(64) + (*thread).xsave_size + 64;
        if let Some((base, _)) = (*thread).own {
            unmap(base, STACK);
        }
        std::ptr::drop_in_place(thread);
        unmap(thread as usize, size);
    }
}

/// The calling thread leaves the list; its memory is reaped later.
pub fn retire(process: &Process, thread: *mut Thread) {
    process.threads.lock().unwrap_or_else(|e| e.into_inner()).retain(|t| t.0 != thread);
    process.ended.lock().unwrap_or_else(|e| e.into_inner()).push(ThreadRef(thread));
}
