//! Generated code run on this machine: executable memory, a page for `gs`, the switch there and back.

use std::arch::global_asm;
use std::cell::Cell;

use ir::interp::State;
use ir::trace::Trace;
use ir::types::{ExitId, SlotId, Wide};
use optimize::codegen::{Code, FaultRange, Home, Host, Leaving, Segment};

use super::guest::{self, Memory, TestHost, WINDOW};

const CODE: usize = 1 << 20;
const STUBS: usize = 1 << 16;

/// How the code left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// By which exit.
    pub exit: ExitId,
    /// To which computed address.
    pub target: Option<u64>,
}

// `test_enter(context, code)`: everything of ours on the stack, the guest's registers from the context at `gs`, flags first
// because the loads behind them do not touch them. `test_leave` is the reverse; it is jumped to.
global_asm!(
    ".globl test_enter",
    "test_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "wrgsbase rdi",
    "mov gs:[144], rsp",
    "mov gs:[152], rsi",
    "cmp byte ptr gs:[161], 0",
    "je 6f",
    "vzeroupper",
    "6:",
    "cmp byte ptr gs:[160], 1",
    "jb 3f",
    "je 2f",
    "vmovups zmm0, gs:[1024]",
    "vmovups zmm1, gs:[1088]",
    "vmovups zmm2, gs:[1152]",
    "vmovups zmm3, gs:[1216]",
    "vmovups zmm4, gs:[1280]",
    "vmovups zmm5, gs:[1344]",
    "vmovups zmm6, gs:[1408]",
    "vmovups zmm7, gs:[1472]",
    "vmovups zmm8, gs:[1536]",
    "vmovups zmm9, gs:[1600]",
    "vmovups zmm10, gs:[1664]",
    "vmovups zmm11, gs:[1728]",
    "vmovups zmm12, gs:[1792]",
    "vmovups zmm13, gs:[1856]",
    "vmovups zmm14, gs:[1920]",
    "vmovups zmm15, gs:[1984]",
    "jmp 4f",
    "2:",
    "vmovups ymm0, gs:[1024]",
    "vmovups ymm1, gs:[1088]",
    "vmovups ymm2, gs:[1152]",
    "vmovups ymm3, gs:[1216]",
    "vmovups ymm4, gs:[1280]",
    "vmovups ymm5, gs:[1344]",
    "vmovups ymm6, gs:[1408]",
    "vmovups ymm7, gs:[1472]",
    "vmovups ymm8, gs:[1536]",
    "vmovups ymm9, gs:[1600]",
    "vmovups ymm10, gs:[1664]",
    "vmovups ymm11, gs:[1728]",
    "vmovups ymm12, gs:[1792]",
    "vmovups ymm13, gs:[1856]",
    "vmovups ymm14, gs:[1920]",
    "vmovups ymm15, gs:[1984]",
    "jmp 4f",
    "3:",
    "movups xmm0, gs:[1024]",
    "movups xmm1, gs:[1088]",
    "movups xmm2, gs:[1152]",
    "movups xmm3, gs:[1216]",
    "movups xmm4, gs:[1280]",
    "movups xmm5, gs:[1344]",
    "movups xmm6, gs:[1408]",
    "movups xmm7, gs:[1472]",
    "movups xmm8, gs:[1536]",
    "movups xmm9, gs:[1600]",
    "movups xmm10, gs:[1664]",
    "movups xmm11, gs:[1728]",
    "movups xmm12, gs:[1792]",
    "movups xmm13, gs:[1856]",
    "movups xmm14, gs:[1920]",
    "movups xmm15, gs:[1984]",
    "4:",
    "push qword ptr gs:[128]",
    "popfq",
    "mov rax, gs:[0]",
    "mov rcx, gs:[8]",
    "mov rdx, gs:[16]",
    "mov rbx, gs:[24]",
    "mov rsp, gs:[32]",
    "mov rbp, gs:[40]",
    "mov rsi, gs:[48]",
    "mov rdi, gs:[56]",
    "mov r8, gs:[64]",
    "mov r9, gs:[72]",
    "mov r10, gs:[80]",
    "mov r11, gs:[88]",
    "mov r12, gs:[96]",
    "mov r13, gs:[104]",
    "mov r14, gs:[112]",
    "mov r15, gs:[120]",
    "jmp qword ptr gs:[152]",
    ".globl test_leave",
    "test_leave:",
    "mov gs:[0], rax",
    "mov gs:[8], rcx",
    "mov gs:[16], rdx",
    "mov gs:[24], rbx",
    "mov gs:[32], rsp",
    "mov gs:[40], rbp",
    "mov gs:[48], rsi",
    "mov gs:[56], rdi",
    "mov gs:[64], r8",
    "mov gs:[72], r9",
    "mov gs:[80], r10",
    "mov gs:[88], r11",
    "mov gs:[96], r12",
    "mov gs:[104], r13",
    "mov gs:[112], r14",
    "mov gs:[120], r15",
    "mov rsp, gs:[144]",
    "pushfq",
    "pop qword ptr gs:[128]",
    "cld",
    "cmp byte ptr gs:[162], 0",
    "je 5f",
    "mov ecx, 1",
    "xgetbv",
    "mov gs:[168], eax",
    "5:",
    "cmp byte ptr gs:[161], 1",
    "jb 3f",
    "je 2f",
    "vmovups gs:[1024], zmm0",
    "vmovups gs:[1088], zmm1",
    "vmovups gs:[1152], zmm2",
    "vmovups gs:[1216], zmm3",
    "vmovups gs:[1280], zmm4",
    "vmovups gs:[1344], zmm5",
    "vmovups gs:[1408], zmm6",
    "vmovups gs:[1472], zmm7",
    "vmovups gs:[1536], zmm8",
    "vmovups gs:[1600], zmm9",
    "vmovups gs:[1664], zmm10",
    "vmovups gs:[1728], zmm11",
    "vmovups gs:[1792], zmm12",
    "vmovups gs:[1856], zmm13",
    "vmovups gs:[1920], zmm14",
    "vmovups gs:[1984], zmm15",
    "vzeroupper",
    "jmp 4f",
    "2:",
    "vmovups gs:[1024], ymm0",
    "vmovups gs:[1088], ymm1",
    "vmovups gs:[1152], ymm2",
    "vmovups gs:[1216], ymm3",
    "vmovups gs:[1280], ymm4",
    "vmovups gs:[1344], ymm5",
    "vmovups gs:[1408], ymm6",
    "vmovups gs:[1472], ymm7",
    "vmovups gs:[1536], ymm8",
    "vmovups gs:[1600], ymm9",
    "vmovups gs:[1664], ymm10",
    "vmovups gs:[1728], ymm11",
    "vmovups gs:[1792], ymm12",
    "vmovups gs:[1856], ymm13",
    "vmovups gs:[1920], ymm14",
    "vmovups gs:[1984], ymm15",
    "vzeroupper",
    "jmp 4f",
    "3:",
    "movups gs:[1024], xmm0",
    "movups gs:[1088], xmm1",
    "movups gs:[1152], xmm2",
    "movups gs:[1216], xmm3",
    "movups gs:[1280], xmm4",
    "movups gs:[1344], xmm5",
    "movups gs:[1408], xmm6",
    "movups gs:[1472], xmm7",
    "movups gs:[1536], xmm8",
    "movups gs:[1600], xmm9",
    "movups gs:[1664], xmm10",
    "movups gs:[1728], xmm11",
    "movups gs:[1792], xmm12",
    "movups gs:[1856], xmm13",
    "movups gs:[1920], xmm14",
    "movups gs:[1984], xmm15",
    "4:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn test_enter(context: *mut u8, code: u64);
    fn test_leave();
}

/// Memory for code, for the context, and for the guest.
pub struct Machine {
    code: *mut u8,
    context: *mut u8,
    window: *mut u8,
    /// Behind the last run: does the machine carry anything above 128 bits of the first 16 vector registers?
    pub carries_uppers: bool,
}

/// The vector slots of a state.
pub fn vectors<'a>(
    trace: &'a Trace,
    host: &'a TestHost,
    state: &'a State,
) -> impl Iterator<Item = Wide> + 'a {
    let slots = (0..trace.decls.slots.len()).map(|i| SlotId(i as u16));
    slots.filter(|s| matches!(host.home(*s), Home::Vector(_))).map(|s| *state.get_wide(s))
}

/// Can `xgetbv` tell which parts of the vector state are in use?
fn has_xgetbv1() -> bool {
    std::arch::is_x86_feature_detected!("xsavec") && std::arch::x86_64::__cpuid_count(0xd, 1).eax & 4 != 0
}

fn map(len: usize, executable: bool) -> *mut u8 {
    let prot = libc::PROT_READ | libc::PROT_WRITE | if executable { libc::PROT_EXEC } else { 0 };
    // SAFETY: a new anonymous mapping touches nothing that exists.
    let p = unsafe {
        libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(p, libc::MAP_FAILED, "no memory");
    p.cast()
}

/// What the handler of faults has to know of the code that runs.
struct Faults {
    base: u64,
    len: u64,
    ranges: Vec<FaultRange>,
    context: *mut u8,
}

thread_local! {
    static FAULTS: Cell<*const Faults> = const { Cell::new(std::ptr::null()) };
}

/// Goes on where the code's table of faults says, and leaves where it says nothing. Faults of anything else end the process.
unsafe extern "C" fn on_fault(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a context; the table is that of the code which this thread is running.
    unsafe {
        let rip = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize];
        let Some(faults) = FAULTS.get().as_ref() else {
            libc::signal(signal, libc::SIG_DFL);
            return;
        };
        let offset = (*rip as u64).wrapping_sub(faults.base);
        if offset >= faults.len {
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        let range = faults.ranges.iter().find(|f| (f.start..f.end).contains(&(offset as u32)));
        match range.and_then(|r| r.to) {
            Some((to, _)) => *rip = (faults.base + u64::from(to)) as i64,
            None => {
                *faults.context.add(guest::EXIT as usize).cast::<u32>() = u32::MAX;
                *rip = test_leave as *const () as i64;
            }
        }
    }
}

/// A handler for faults on a stack of its own: the code's stack pointer is the guest's.
fn handle_faults() {
    let stack = libc::stack_t { ss_sp: map(1 << 16, false).cast(), ss_flags: 0, ss_size: 1 << 16 };
    // SAFETY: the stack is ours for ever; the handler does what is said there.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaltstack(&stack, std::ptr::null_mut());
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE] {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// The window, with memory around it that cannot be accessed.
fn window() -> *mut u8 {
    const AROUND: usize = 1 << 20;
    let all = map(WINDOW + 2 * AROUND, false);
    // SAFETY: both ranges lie within the new mapping.
    unsafe {
        libc::mprotect(all.cast(), AROUND, libc::PROT_NONE);
        libc::mprotect(all.add(AROUND + WINDOW).cast(), AROUND, libc::PROT_NONE);
        all.add(AROUND)
    }
}

impl Machine {
    /// Maps everything. One per thread: `gs` is the thread's.
    pub fn new() -> Machine {
        handle_faults();
        Machine { code: map(CODE, true), context: map(16384, false), window: window(), carries_uppers: false }
    }

    /// Where code will stand.
    pub fn code_address(&self) -> u64 {
        self.code as u64 + STUBS as u64
    }

    /// Where the guest's memory is.
    pub fn memory_base(&self) -> u64 {
        self.window as u64
    }

    /// Puts the code in place, each exit leading to a stub that notes its index and leaves.
    pub fn install(&mut self, code: &Code) {
        assert!(code.bytes.len() < CODE - STUBS, "code too large for the test");
        let mut bytes = code.bytes.clone();
        let mut stubs = Vec::new();
        for (i, exit) in code.exits.iter().enumerate() {
            assert!((self.code_address() + u64::from(exit.patch)) % 8 <= 4, "field across two words");
            if let Leaving::Back { .. } = exit.leaving {
                continue;
            }
            let stub = self.code as u64 + stubs.len() as u64;
            // mov dword gs:[EXIT], i; jmp [rip]; .quad test_leave
            stubs.extend([0x65, 0xc7, 0x04, 0x25]);
            stubs.extend(guest::EXIT.to_le_bytes());
            stubs.extend((i as u32).to_le_bytes());
            stubs.extend([0xff, 0x25, 0, 0, 0, 0]);
            stubs.extend((test_leave as *const () as u64).to_le_bytes());
            let end = self.code_address() + u64::from(exit.patch) + 4;
            let field = stub.wrapping_sub(end) as u32;
            bytes[exit.patch as usize..exit.patch as usize + 4].copy_from_slice(&field.to_le_bytes());
        }
        assert!(stubs.len() <= STUBS, "too many exits for the test");
        // SAFETY: both ranges lie within the mapping, and no code runs in it now.
        unsafe {
            std::ptr::copy_nonoverlapping(stubs.as_ptr(), self.code, stubs.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.code.add(STUBS), bytes.len());
        }
    }

    fn word(&self, offset: i32) -> *mut u64 {
        // SAFETY: all offsets that tests use lie within the context.
        unsafe { self.context.add(offset as usize).cast() }
    }

    /// Runs the installed code. No way out means a fault that the code's table leads nowhere.
    pub fn run(
        &mut self,
        trace: &Trace,
        host: &TestHost,
        code: &Code,
        state: &State,
        memory: &Memory,
    ) -> (State, Memory, Option<Left>) {
        // SAFETY: window and context are ours; the code is what is tested, and stays within them as the interpreter did.
        unsafe {
            std::ptr::copy_nonoverlapping(memory.bytes.as_ptr(), self.window, WINDOW);
            for i in 0..trace.decls.slots.len() {
                let s = SlotId(i as u16);
                match host.home(s) {
                    Home::General(r) => *self.word(guest::GPRS + 8 * i32::from(r)) = state.get(s),
                    Home::Flags => *self.word(guest::FLAGS) = state.get(s) | 0x202,
                    Home::Memory(Segment::Gs, o) => *self.word(o) = state.get(s),
                    Home::Vector(r) if r < 16 => {
                        for k in 0..host.vector_bytes() as i32 / 8 {
                            *self.word(guest::VECTORS + 64 * i32::from(r) + 8 * k) =
                                state.get_wide(s)[k as usize];
                        }
                    }
                    _ => {}
                }
            }
            let whole = (host.vector_bytes() / 32) as u8;
            let clean = vectors(trace, host, state).all(|v| v[2..].iter().all(|w| *w == 0));
            *self.context.add(160) = if clean { 0 } else { whole };
            *self.context.add(161) = whole;
            *self.context.add(162) = u8::from(has_xgetbv1());
            *self.word(168) = 0;
            let faults = Faults {
                base: self.code_address(),
                len: code.bytes.len() as u64,
                ranges: code.faults.clone(),
                context: self.context,
            };
            FAULTS.set(&faults);
            test_enter(self.context, self.code_address() + u64::from(code.entry));
            FAULTS.set(std::ptr::null());
            let mut after = state.clone();
            for i in 0..trace.decls.slots.len() {
                let s = SlotId(i as u16);
                match host.home(s) {
                    Home::General(r) => after.set(s, *self.word(guest::GPRS + 8 * i32::from(r))),
                    Home::Flags => after.set(s, *self.word(guest::FLAGS)),
                    Home::Memory(Segment::Gs, o) => after.set(s, *self.word(o)),
                    Home::Vector(r) if r < 16 => {
                        let mut wide = *state.get_wide(s);
                        for k in 0..host.vector_bytes() as i32 / 8 {
                            wide[k as usize] = *self.word(guest::VECTORS + 64 * i32::from(r) + 8 * k);
                        }
                        after.set_wide(s, &wide);
                    }
                    _ => {}
                }
            }
            let mut bytes = vec![0; WINDOW];
            std::ptr::copy_nonoverlapping(self.window, bytes.as_mut_ptr(), WINDOW);
            self.carries_uppers = *self.word(168) & 0x44 != 0;
            let left = code.exits.get(*self.word(guest::EXIT) as u32 as usize).map(|left| {
                let target = (left.leaving == Leaving::Indirect).then(|| *self.word(guest::TARGET));
                Left { exit: left.exit, target }
            });
            (after, Memory { bytes, ..memory.clone() }, left)
        }
    }
}
