//! The effects that the crate claims (`native::Summary`, flag and register liveness) against the CPU, for every
//! form that can be encoded here, modelled or not.
//!
//! An instruction runs twice: the second time everything that it is said not to depend on is different.
//! Claimed and checked: what is not written stays; what is written does not depend on what is not read;
//! memory that is not written stays; a killed flag or register does not depend on its old value.

use crate::cpu::{Cpu, MEMORY_LEN, Outcome, Regs};
use crate::forms::{self, Case};
use crate::rng::Rng;
use decode::x86_64::liveness::{Liveness, STATUS_FLAGS, flag_effects};
use decode::x86_64::native::Summary;
use decode::x86_64::{Attrs, slots};
use iced_x86::{Code, Mnemonic};
use ir::types::SlotId;

const ENCODINGS: usize = 12;
const STATES: usize = 4;

/// Instructions that must not run here, or whose results are not a function of the state.
fn is_excluded(case: &Case, summary: &Summary) -> bool {
    use Mnemonic as M;
    let raw = case.inst.raw();
    let machine = Attrs::PRIVILEGED
        | Attrs::SEGMENT_LOAD
        | Attrs::ALL_FLAGS
        | Attrs::WRFSBASE
        | Attrs::WRGSBASE
        | Attrs::RDTSC
        | Attrs::CPUID
        | Attrs::X87_POINTER;
    !case.inst.flow().is_next()
        || raw.is_privileged()
        || raw.is_save_restore_instruction()
        || case.inst.attrs().intersects(machine)
        || summary.effects.writes.contains(slots::X87) && summary.effects != ir::effects::Effects::BARRIER
        || matches!(
            raw.mnemonic(),
            M::Rdrand
                | M::Rdseed
                | M::Rdpid
                | M::Rdpru
                | M::Rdpkru
                | M::Wrpkru
                | M::Ldmxcsr
                | M::Vldmxcsr
                | M::Monitor
                | M::Mwait
                | M::Monitorx
                | M::Mwaitx
                | M::Umonitor
                | M::Umwait
                | M::Tpause
                | M::Sidt
                | M::Sgdt
                | M::Sldt
                | M::Str
                | M::Smsw
                | M::Stui
                | M::Clui
        )
}

/// Everything but what is in `keep` becomes something else.
fn perturb(regs: &mut Regs, keep: &[SlotId], rng: &mut Rng) {
    for i in (0..16).filter(|i| *i != 4 && !keep.contains(&slots::gpr(*i))) {
        regs.gpr[i as usize] = rng.next();
    }
    for i in (0..16).filter(|i| !keep.contains(&slots::zmm(*i))) {
        regs.vec[i as usize] = std::array::from_fn(|_| rng.next());
    }
    if !keep.contains(&slots::FLAGS) {
        regs.flags ^= u64::from(STATUS_FLAGS);
    }
    if !keep.contains(&slots::DF) {
        regs.flags ^= 0x400;
    }
}

/// What is in the slot, for comparison.
fn slot(regs: &Regs, slot: SlotId) -> [u64; 4] {
    match slot {
        slots::FLAGS => [regs.flags & u64::from(STATUS_FLAGS), 0, 0, 0],
        slots::DF => [regs.flags & 0x400, 0, 0, 0],
        SlotId(n @ 0..16) => [regs.gpr[n as usize], 0, 0, 0],
        SlotId(n) if (slots::ZMM0.0..slots::ZMM0.0 + 16).contains(&n) => {
            regs.vec[(n - slots::ZMM0.0) as usize]
        }
        _ => [0; 4],
    }
}

struct Checker {
    cpu: Cpu,
    liveness: Liveness,
    failures: Vec<String>,
}

impl Checker {
    fn run(&mut self, before: &Regs, memory: &[u8; MEMORY_LEN]) -> (Outcome, Regs) {
        *self.cpu.memory() = *memory;
        let mut regs = *before;
        (self.cpu.run(&mut regs), regs)
    }

    /// One state; false when the form is not on this CPU.
    fn check(&mut self, case: &Case, summary: &Summary, rng: &mut Rng) -> bool {
        let before = forms::state(case, &mut self.cpu, rng);
        let memory = *self.cpu.memory();
        let (way, after) = self.run(&before, &memory);
        match way {
            Outcome::Fault(libc::SIGILL) => return false,
            Outcome::Fault(_) => return true,
            Outcome::Left(_) => {}
        }
        let mut say = |failures: &mut Vec<String>, what: String| {
            let code = format!("{:?} ", case.inst.raw().code());
            if failures.iter().filter(|f| f.starts_with(&code)).count() < 2 {
                failures.push(format!("{code}{}: {what}", case.inst.raw()));
            }
        };
        if summary.effects.writes.is_empty() && *self.cpu.memory() != memory {
            say(&mut self.failures, "writes memory".into());
        }
        let all = (0..slots::K0.0).map(SlotId);
        for s in all.filter(|s| !summary.writes.contains(s)) {
            if slot(&before, s) != slot(&after, s) {
                say(&mut self.failures, format!("writes {s:?}"));
            }
        }
        let mut other = before;
        perturb(&mut other, &summary.reads, rng);
        let mut unread = memory;
        if summary.effects.reads.is_empty() {
            unread.iter_mut().for_each(|b| *b = !*b);
        }
        let (way2, after2) = self.run(&other, &unread);
        for s in &summary.writes {
            if way2 == way && slot(&after, *s) != slot(&after2, *s) {
                say(&mut self.failures, format!("{s:?} depends on more than {:?}", summary.reads));
            }
        }
        if way2 != way {
            say(&mut self.failures, format!("way {way:x?}, then {way2:x?}"));
        }
        self.check_liveness(case, &before, &after, &memory, rng, &mut say);
        true
    }

    fn check_liveness(
        &mut self,
        case: &Case,
        before: &Regs,
        after: &Regs,
        memory: &[u8; MEMORY_LEN],
        rng: &mut Rng,
        say: &mut impl FnMut(&mut Vec<String>, String),
    ) {
        let flags = flag_effects(&case.inst);
        let (read, killed) = self.liveness.gpr_effects(&case.inst);
        let changed = (before.flags ^ after.flags) as u32 & STATUS_FLAGS;
        if changed & !flags.changed != 0 {
            say(&mut self.failures, format!("changes flags {changed:#x}, not only {:#x}", flags.changed));
        }
        let mut other = *before;
        other.flags ^= u64::from(flags.killed & !flags.read);
        for i in (0..16u8).filter(|i| *i != 4 && killed.contains(*i) && !read.contains(*i)) {
            other.gpr[i as usize] = rng.next();
        }
        let (_, after2) = self.run(&other, memory);
        if (after.flags ^ after2.flags) as u32 & flags.killed & !flags.read != 0 || after.gpr != after2.gpr {
            say(&mut self.failures, format!("depends on what it kills: {flags:x?} {killed:x?}"));
        }
    }
}

#[test]
fn effects_are_what_the_cpu_does() {
    let mut checker = Checker { cpu: Cpu::new(), liveness: Liveness::new(), failures: Vec::new() };
    let mut forms_run = 0;
    for code in Code::values().filter(|c| c.op_code().mode64()) {
        let mut rng = Rng::new(7 << 16 | code as u64);
        let mut ran = 0;
        'encodings: for _ in 0..ENCODINGS {
            let Some(case) = forms::encode(code, &checker.cpu, checker.cpu.pc(), &mut rng) else { continue };
            let summary = Summary::of(&case.inst);
            if is_excluded(&case, &summary) {
                continue;
            }
            checker.cpu.set_code(&case.bytes);
            for _ in 0..STATES {
                if !checker.check(&case, &summary, &mut rng) {
                    break 'encodings;
                }
                ran += 1;
            }
        }
        forms_run += usize::from(ran > 0);
    }
    println!("{forms_run} forms");
    assert!(checker.failures.is_empty(), "{}", checker.failures.join("\n"));
    assert!(forms_run > 600, "only {forms_run} forms ran");
}
