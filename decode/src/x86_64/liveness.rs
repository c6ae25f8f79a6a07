//! What the code ahead still reads: dead flags and dead general registers.
//!
//! A translator that must clobber flags or a register (an in-line lookup at a return, say) asks whether the
//! guest code that runs next overwrites them before reading them. The scan walks the straight line from a
//! pc, follows direct jumps and calls, and stops at everything else. It errs on one side only: "dead" is
//! certain, "live" may just mean "unknown".
//!
//! Terms
//! - A flag is *killed* by an instruction whose result flag does not depend on the old one, whatever the
//!   operands are: `shl eax,cl` kills nothing, because a count of zero leaves the flags alone.
//! - Flags that the manual calls undefined may in fact be left unchanged by the CPU. They count as
//!   killed only for `and`, `or`, `xor` and `test`, where every x86-64 CPU clears AF.
//! - A register is killed by a write of all 64 bits, which a 32-bit write is.
//!
//! What "dead" leaves out: a fault or signal before the overwriting instruction shows the clobbered value
//! in the handler's `ucontext`. Callers for whom that matters must restore it there.

use super::decode::BlockDecoder;
use super::inst::{Flow, Inst};
use crate::GuestPc;
use iced_x86::{
    Code, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register, RflagsBits,
};

/// The six status flags C P A Z S O at their bits in EFLAGS.
pub const STATUS_FLAGS: u32 = 0x8d5;

/// What an instruction does with the status flags (bits as in EFLAGS).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlagEffects {
    /// Flags whose old value it may use.
    pub read: u32,
    /// Flags it certainly replaces.
    pub killed: u32,
    /// Flags it may change; includes `killed` and the undefined ones.
    pub changed: u32,
}

/// A set of general registers; bit n is the register with encoding n (0 `rax`, 4 `rsp`, 15 `r15`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GprSet(pub u16);

impl GprSet {
    /// Is the register with this encoding in the set?
    pub const fn contains(self, gpr: u8) -> bool {
        self.0 >> (gpr & 15) & 1 != 0
    }
}

/// What is certainly dead at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dead {
    /// Status flags, bits as in EFLAGS.
    pub flags: u32,
    /// General registers; never `rsp`.
    pub gprs: GprSet,
}

/// The flag effects of an instruction.
pub fn flag_effects(inst: &Inst) -> FlagEffects {
    let raw = inst.raw();
    let read = eflags(raw.rflags_read());
    let certain = eflags(raw.rflags_written() | raw.rflags_cleared() | raw.rflags_set());
    let undefined = eflags(raw.rflags_undefined());
    let changed = certain | undefined;
    if changed == 0 {
        return FlagEffects { read, killed: 0, changed };
    }
    let killed = match raw.mnemonic() {
        Mnemonic::And | Mnemonic::Or | Mnemonic::Xor | Mnemonic::Test => changed,
        // A count in cl may be zero.
        Mnemonic::Shl
        | Mnemonic::Sal
        | Mnemonic::Shr
        | Mnemonic::Sar
        | Mnemonic::Rol
        | Mnemonic::Ror
        | Mnemonic::Rcl
        | Mnemonic::Rcr
            if raw.op1_kind() == OpKind::Register =>
        {
            0
        }
        Mnemonic::Shld | Mnemonic::Shrd if raw.op2_kind() == OpKind::Register => 0,
        // Repeated comparisons may compare nothing.
        _ if raw.is_string_instruction() && (raw.has_rep_prefix() || raw.has_repne_prefix()) => 0,
        // Conditional in ways the tables do not tell.
        _ if raw.rflags_read() & raw.rflags_undefined() != 0 => 0,
        _ => certain,
    };
    FlagEffects { read, killed, changed }
}

/// May it leave the register alone that iced's tables say it writes? `bsf` and `bsr` do for a source of zero,
/// `rdssp` where shadow stacks are off.
pub(super) fn keeps_destination(inst: &Inst) -> bool {
    matches!(inst.raw().mnemonic(), Mnemonic::Bsf | Mnemonic::Bsr | Mnemonic::Rdsspd | Mnemonic::Rdsspq)
}

/// iced's flag bits → EFLAGS bits; other flags are dropped.
fn eflags(bits: u32) -> u32 {
    const MAP: [(u32, u32); 6] = [
        (RflagsBits::CF, 0x001),
        (RflagsBits::PF, 0x004),
        (RflagsBits::AF, 0x010),
        (RflagsBits::ZF, 0x040),
        (RflagsBits::SF, 0x080),
        (RflagsBits::OF, 0x800),
    ];
    if bits == 0 {
        return 0;
    }
    MAP.iter().fold(0, |set, &(iced, eflag)| if bits & iced != 0 { set | eflag } else { set })
}

/// Are all six status flags overwritten before any is read, on the straight line from `pc`?
///
/// `bytes` start at `pc`; direct jumps and calls are followed while their target is inside. At most
/// `max_insns` instructions are looked at. `false` means live or unknown.
pub fn flags_dead_at(bytes: &[u8], pc: GuestPc, max_insns: usize) -> bool {
    let mut live = STATUS_FLAGS;
    walk(
        |at| window(bytes, pc, at),
        pc,
        max_insns,
        |inst| {
            let effects = flag_effects(inst);
            if effects.read & live != 0 {
                return Step::Stop;
            }
            live &= !effects.killed;
            if live == 0 { Step::Stop } else { Step::Go }
        },
    );
    live == 0
}

/// Scans for dead registers. Keeps iced's working memory, so make one per thread rather than per question.
pub struct Liveness {
    factory: InstructionInfoFactory,
}

impl Default for Liveness {
    fn default() -> Self {
        Liveness::new()
    }
}

impl Liveness {
    /// A scanner.
    pub fn new() -> Liveness {
        Liveness { factory: InstructionInfoFactory::new() }
    }

    /// Registers read and killed by one instruction. Both sets err on the safe side: too much read, too
    /// little killed.
    pub fn gpr_effects(&mut self, inst: &Inst) -> (GprSet, GprSet) {
        let (mut read, mut killed) = (0u16, 0u16);
        let info = self.factory.info_options(inst.raw(), InstructionInfoOptions::NO_MEMORY_USAGE);
        for used in info.used_registers() {
            let register = used.register();
            if !register.is_gpr() {
                continue;
            }
            let bit = 1 << (register.full_register() as u32 - Register::RAX as u32);
            match used.access() {
                OpAccess::Write if register.is_gpr64() => killed |= bit,
                OpAccess::Write | OpAccess::CondWrite | OpAccess::None | OpAccess::NoMemAccess => {}
                OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                    read |= bit;
                }
            }
        }
        if keeps_destination(inst) {
            killed = 0;
        }
        (GprSet(read), GprSet(killed))
    }

    /// Which flags and registers are certainly dead at `pc`. Arguments as for [`flags_dead_at`]; the scan
    /// looks at up to `max_insns` instructions.
    pub fn dead_at(&mut self, bytes: &[u8], pc: GuestPc, max_insns: usize) -> Dead {
        self.dead_with(|at| window(bytes, pc, at), pc, max_insns)
    }

    /// As [`Liveness::dead_at`], with code bytes from anywhere: `fetch` returns those at an address, as many
    /// as are readable, or `None`.
    pub fn dead_with<'a>(
        &mut self,
        fetch: impl FnMut(GuestPc) -> Option<&'a [u8]>,
        pc: GuestPc,
        max_insns: usize,
    ) -> Dead {
        const RSP: u16 = 1 << 4;
        let mut dead = Dead::default();
        let (mut flags_decided, mut gprs_decided) = (0u32, RSP);
        walk(fetch, pc, max_insns, |inst| {
            let flags = flag_effects(inst);
            flags_decided |= flags.read;
            dead.flags |= flags.killed & !flags_decided;
            flags_decided |= flags.killed;
            let (read, killed) = self.gpr_effects(inst);
            gprs_decided |= read.0;
            dead.gprs.0 |= killed.0 & !gprs_decided;
            gprs_decided |= killed.0;
            if flags_decided == STATUS_FLAGS && gprs_decided == u16::MAX { Step::Stop } else { Step::Go }
        });
        dead
    }

    /// Is the register with this encoding (0 `rax` … 15 `r15`) certainly dead at `pc`?
    pub fn reg_dead_at(&mut self, bytes: &[u8], pc: GuestPc, gpr: u8, max_insns: usize) -> bool {
        let mut dead = false;
        walk(
            |at| window(bytes, pc, at),
            pc,
            max_insns,
            |inst| {
                let (read, killed) = self.gpr_effects(inst);
                if read.contains(gpr) || gpr & 15 == 4 {
                    return Step::Stop;
                }
                dead = killed.contains(gpr);
                if dead { Step::Stop } else { Step::Go }
            },
        );
        dead
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Go,
    Stop,
}

/// The part of `bytes` (which start at `base`) from `at` on.
fn window(bytes: &[u8], base: GuestPc, at: GuestPc) -> Option<&[u8]> {
    bytes.get(usize::try_from(at.0.wrapping_sub(base.0)).ok()?..)
}

/// Calls `visit` for each instruction that certainly executes (unless one faults), in order.
fn walk<'a>(
    mut fetch: impl FnMut(GuestPc) -> Option<&'a [u8]>,
    mut pc: GuestPc,
    max_insns: usize,
    mut visit: impl FnMut(&Inst) -> Step,
) {
    let mut left = max_insns;
    'run: while let Some(bytes) = fetch(pc) {
        let mut decoder = BlockDecoder::new(bytes, pc);
        while left > 0 {
            left -= 1;
            let Ok(inst) = decoder.next() else { return };
            // `pushf`-like readers are in iced's tables; the debug and virtualisation families are not worth
            // telling apart.
            let go_on = match inst.flow() {
                Flow::Next => None,
                Flow::Jmp { target } | Flow::Call { target } => Some(target),
                _ => return,
            };
            if inst.raw().code() == Code::Xgetbv || inst.raw().is_privileged() {
                return;
            }
            if visit(&inst) == Step::Stop {
                return;
            }
            if let Some(target) = go_on {
                pc = target;
                continue 'run;
            }
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: GuestPc = GuestPc(0x40_1000);
    const RAX: u8 = 0;
    const RCX: u8 = 1;

    fn flags_dead(bytes: &[u8]) -> bool {
        let by_scan = Liveness::new().dead_at(bytes, PC, 8).flags == STATUS_FLAGS;
        let dead = flags_dead_at(bytes, PC, 8);
        assert_eq!(dead, by_scan, "the two scans agree on {bytes:x?}");
        dead
    }

    #[test]
    fn flags() {
        let dead: &[(&[u8], &str)] = &[
            (&[0x48, 0x89, 0xc3, 0x01, 0xd8], "mov rbx,rax; add eax,ebx"),
            (&[0x31, 0xc0], "xor eax,eax"),
            (&[0x85, 0xc0, 0x74, 0], "test eax,eax; je"),
            (&[0xeb, 0x02, 0x0f, 0x0b, 0x39, 0xc8], "jmp over ud2; cmp eax,ecx"),
            (&[0xe8, 0x01, 0, 0, 0, 0xcc, 0x83, 0xec, 0x08], "call over int3; sub esp,8"),
            (&[0x66, 0x0f, 0x2e, 0xc1], "ucomisd xmm0,xmm1"),
            (&[0xff, 0xc0, 0x39, 0xc8], "inc eax; cmp eax,ecx"),
            (&[0x9d], "popf"),
            (&[0xd3, 0xe0, 0x39, 0xc8], "shl eax,cl; cmp eax,ecx"),
        ];
        for (bytes, what) in dead {
            assert!(flags_dead(bytes), "{what}");
        }
        let live: &[(&[u8], &str)] = &[
            (&[], "no code"),
            (&[0x74, 0], "je"),
            (&[0x9c], "pushf"),
            (&[0xc3], "ret"),
            (&[0x0f, 0x05], "syscall"),
            (&[0xff, 0xc0, 0x11, 0xc8], "inc eax; adc eax,ecx: C is read"),
            (&[0xd3, 0xe0, 0x74, 0], "shl eax,cl; je"),
            (&[0xc1, 0xe0, 0x20, 0x74, 0], "shl eax,32 (count 0); je"),
            (&[0xf3, 0xa6, 0x74, 0], "repe cmpsb; je"),
            (&[0x0f, 0xbc, 0xc1, 0x72, 0], "bsf eax,ecx; jb"),
            (&[0x0f, 0xaf, 0xc1, 0x74, 0], "imul eax,ecx; je"),
            (&[0xeb, 0x7f], "jmp out of sight"),
            (&[0xeb, 0xfe], "jmp to itself"),
            (&[0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x39, 0xc8], "too far"),
        ];
        for (bytes, what) in live {
            assert!(!flags_dead(bytes), "{what}");
        }
    }

    #[test]
    fn registers() {
        let mut liveness = Liveness::new();
        let mut dead = |bytes: &[u8], gpr| {
            let dead = liveness.reg_dead_at(bytes, PC, gpr, 8);
            assert_eq!(liveness.dead_at(bytes, PC, 8).gprs.contains(gpr), dead, "{bytes:x?}");
            dead
        };
        assert!(dead(&[0x31, 0xc0], RAX), "xor eax,eax");
        assert!(dead(&[0x89, 0xc8], RAX) && !dead(&[0x89, 0xc8], RCX), "mov eax,ecx");
        assert!(dead(&[0x8b, 0x0f, 0x89, 0xc8], RAX), "mov ecx,[rdi]; mov eax,ecx");
        assert!(!dead(&[0x88, 0xc8], RAX) && !dead(&[0x66, 0x89, 0xc8], RAX), "partial writes");
        assert!(!dead(&[0x8b, 0x00], RAX), "mov eax,[rax]");
        assert!(!dead(&[0x0f, 0x44, 0xc1], RAX), "cmove eax,ecx");
        assert!(!dead(&[0x0f, 0xbc, 0xc1], RAX), "bsf eax,ecx");
        assert!(!dead(&[0xc3], RAX) && !dead(&[0x5c], 4), "ret; rsp is never dead");
        assert!(!dead(&[0x0f, 0x05, 0x31, 0xc0], RAX), "syscall");
        assert!(dead(&[0x59], RCX), "pop rcx");
    }

    #[test]
    fn code_from_elsewhere() {
        let far = [0x31u8, 0xc0];
        let near = [0xe9u8, 0xfb, 0x0f, 0, 0];
        let dead = Liveness::new().dead_with(
            |at| match at.0 - PC.0 {
                0 => Some(&near[..]),
                0x1000 => Some(&far[..]),
                _ => None,
            },
            PC,
            4,
        );
        assert_eq!(dead, Dead { flags: STATUS_FLAGS, gprs: GprSet(1) });
    }
}
