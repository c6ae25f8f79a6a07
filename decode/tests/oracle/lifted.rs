//! The lifter against the CPU: every form that is modelled, with random operands, on random states, natively and by
//! the IR interpreter. All registers, flags, memory and the way control goes are compared; only flags in
//! `undefined-flags.txt` are not.
//!
//! `DECODE_ORACLE=n` runs n times as many states; `DECODE_ORACLE_ONLY=text` only forms whose name contains the text;
//! `DECODE_ORACLE_SEED` starts elsewhere.

use crate::cpu::{Cpu, MEMORY_LEN, Outcome, Regs};
use crate::forms::{self, Case};
use crate::rng::Rng;
use decode::x86_64::{Flow, Inst, X86_64, slots};
use decode::{Fp, Guest};
use iced_x86::{Code, OpKind};
use ir::builder::Builder;
use ir::interp::{Fault, Interp, Machine, State};
use ir::trace::Trace;
use ir::types::{ClassId, Pc, ZERO};
use std::collections::HashMap;

/// Encodings per form, and states per encoding.
const ENCODINGS: usize = 24;
const STATES: usize = 10;

/// The guest's memory as the interpreter sees it.
pub struct Memory {
    /// Address of its first byte.
    pub base: u64,
    /// Its bytes.
    pub bytes: Box<[u8; MEMORY_LEN]>,
}

impl Memory {
    fn range(&self, addr: u64, len: usize, write: bool) -> Result<std::ops::Range<usize>, Fault> {
        let at = addr.wrapping_sub(self.base) as usize;
        if at < MEMORY_LEN && len <= MEMORY_LEN - at {
            Ok(at..at + len)
        } else {
            Err(Fault::Memory { addr, write })
        }
    }
}

impl Machine for Memory {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        let range = self.range(addr, bytes.len(), false)?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        let range = self.range(addr, bytes.len(), true)?;
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }
}

/// `undefined-flags.txt`: mnemonic → (flags, condition).
pub struct Undefined(HashMap<String, Vec<(u64, String)>>);

impl Undefined {
    /// Reads the table.
    pub fn load() -> Undefined {
        let mut map: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        let lines = include_str!("../undefined-flags.txt").lines();
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (names, rest) = line.split_once(':').expect("mnemonics: flags");
            let (flags, condition) = rest.split_once(" if ").unwrap_or((rest, ""));
            let bits = flags.split_whitespace().map(|f| match f {
                "c" => 0x1u64,
                "p" => 0x4,
                "a" => 0x10,
                "z" => 0x40,
                "s" => 0x80,
                "o" => 0x800,
                other => panic!("no flag {other}"),
            });
            let bits = bits.fold(0, |a, b| a | b);
            for name in names.split_whitespace() {
                map.entry(name.into()).or_default().push((bits, condition.trim().into()));
            }
        }
        Undefined(map)
    }

    /// The flags that this instruction leaves undefined on this state, at their bits in EFLAGS.
    pub fn flags(&self, inst: &Inst, regs: &Regs) -> u64 {
        let raw = inst.raw();
        let Some(rows) = self.0.get(&format!("{:?}", raw.mnemonic()).to_lowercase()) else { return 0 };
        let width = match raw.op0_kind() {
            OpKind::Register => raw.op0_register().size() * 8,
            _ => raw.memory_size().size() * 8,
        };
        let last = raw.op_count().saturating_sub(1);
        let count = match raw.op_kind(last) {
            OpKind::Immediate8 => u64::from(raw.immediate8()),
            _ => regs.gpr[1],
        } & if width == 64 { 63 } else { 31 };
        rows.iter()
            .filter(|(_, condition)| match condition.as_str() {
                "" => true,
                "count>0" => count > 0,
                "count>1" => count > 1,
                "count>width" => count > width as u64,
                other => panic!("no condition {other}"),
            })
            .fold(0, |flags, (bits, _)| flags | bits)
    }
}

/// The state as the interpreter wants it.
pub fn to_slots(regs: &Regs, cpu: &Cpu) -> State {
    let mut state = State::new(X86_64.decls());
    for (i, value) in regs.gpr.iter().enumerate() {
        state.set(slots::gpr(i as u8), *value);
    }
    state.set(slots::FLAGS, regs.flags);
    state.set(slots::DF, regs.flags >> 10);
    state.set(slots::FS_BASE, cpu.fs_base());
    state.set(slots::GS_BASE, cpu.gs_base());
    state.set(slots::MXCSR, regs.mxcsr.into());
    for (i, value) in regs.vec.iter().enumerate() {
        let mut wide = ZERO;
        wide[..4].copy_from_slice(value);
        state.set_wide(slots::zmm(i as u8), &wide);
    }
    state
}

/// Differences between the CPU's state and the interpreter's, in words; empty if there are none.
pub fn differences(native: &Regs, lifted: &State, undefined: u64, is_float: bool) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (i, want) in native.gpr.iter().enumerate() {
        let got = lifted.get(slots::gpr(i as u8));
        if got != *want {
            let _ = write!(text, " {}: cpu {want:#x} ir {got:#x}", slots::GPR_NAMES[i]);
        }
    }
    for (i, want) in native.vec.iter().enumerate() {
        let got = &lifted.get_wide(slots::zmm(i as u8))[..4];
        if got != want {
            let _ = write!(text, " xmm{i}: cpu {want:x?} ir {got:x?}");
        }
    }
    let got = lifted.get(slots::FLAGS) | lifted.get(slots::DF) << 10;
    if (got ^ native.flags) & !undefined != 0 {
        let _ = write!(text, " flags: cpu {:#x} ir {got:#x} undefined {undefined:#x}", native.flags);
    }
    let sticky = if is_float { 0x3f } else { 0 };
    if (lifted.get(slots::MXCSR) as u32 ^ native.mxcsr) & !sticky != 0 {
        let _ = write!(text, " mxcsr: cpu {:#x}", native.mxcsr);
    }
    text
}

enum Verdict {
    Same,
    NotOnThisCpu,
    Different(String),
}

/// Runs one state both ways.
fn compare(
    case: &Case,
    trace: &Trace,
    cpu: &mut Cpu,
    interp: &mut Interp,
    undefined: &Undefined,
    before: &Regs,
) -> Verdict {
    let mut memory = Memory { base: cpu.memory_base(), bytes: Box::new(*cpu.memory()) };
    let mut state = to_slots(before, cpu);
    let mut regs = *before;
    let native = cpu.run(&mut regs);
    let lifted = interp.run(trace, &mut state, &mut memory, 1);
    let way = match (native, lifted) {
        (Outcome::Fault(libc::SIGILL), _) => return Verdict::NotOnThisCpu,
        (Outcome::Left(to), ir::interp::Outcome::Exit { resume: Pc::Addr(pc), .. }) => to == pc,
        (
            Outcome::Fault(libc::SIGFPE),
            ir::interp::Outcome::Fault { fault: Fault::Divide, exact: true, .. },
        ) => true,
        (Outcome::Fault(libc::SIGSEGV), ir::interp::Outcome::Fault { fault, exact: true, .. }) => {
            matches!(fault, Fault::Memory { .. })
        }
        _ => false,
    };
    let mut text = String::new();
    if !way {
        text = format!(" way: cpu {native:x?} ir {lifted:x?}");
    } else {
        let is_float = !trace.facts.is_empty();
        let undefined = match native {
            Outcome::Left(_) => undefined.flags(&case.inst, before),
            Outcome::Fault(_) => 0,
        };
        text.push_str(&differences(&regs, &state, undefined, is_float));
        if let Some(at) = (0..MEMORY_LEN).find(|&i| cpu.memory()[i] != memory.bytes[i]) {
            let line = at & !7..(at & !7) + 8;
            let (want, got) = (&cpu.memory()[line.clone()], &memory.bytes[line]);
            text.push_str(&format!(" memory+{at:#x}: cpu {want:x?} ir {got:x?}"));
        }
    }
    if text.is_empty() { Verdict::Same } else { Verdict::Different(text) }
}

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_lifted_form_does_what_the_cpu_does() {
    let (mut cpu, mut interp, undefined) = (Cpu::new(), Interp::new(), Undefined::load());
    let times = setting("DECODE_ORACLE").unwrap_or(1) as usize;
    let seed = setting("DECODE_ORACLE_SEED").unwrap_or(1);
    let only = std::env::var("DECODE_ORACLE_ONLY").unwrap_or_default();
    let (mut forms, mut states, mut absent, mut failures) = (0, 0, Vec::new(), Vec::new());
    for code in Code::values().filter(|c| c.op_code().mode64() && format!("{c:?}").contains(&only)) {
        let mut rng = Rng::new(seed << 16 | code as u64);
        let (mut ran, mut failed) = (0, 0);
        'encodings: for _ in 0..ENCODINGS * 4 {
            if ran >= ENCODINGS {
                break;
            }
            let Some(case) = forms::encode(code, &cpu, cpu.pc(), &mut rng) else { continue };
            // A system call goes to the kernel, whatever the registers say.
            if !X86_64.is_modelled(&case.inst, Fp::AssumeDefault) || case.inst.flow() == Flow::Syscall {
                continue;
            }
            ran += 1;
            let mut b = Builder::new(X86_64.decls().clone(), "one", Pc::Addr(cpu.pc()));
            X86_64.lift_one_into(&case.inst, &case.bytes, Fp::AssumeDefault, &mut b);
            let trace = b.finish();
            if let Err(errors) = ir::verify::verify(&trace) {
                failures.push(format!(
                    "{code:?} {:02x?}: {errors:?}\n{}",
                    case.bytes,
                    ir::print::file(&trace)
                ));
                break;
            }
            cpu.set_code(&case.bytes);
            for _ in 0..STATES * times {
                let before = forms::state(&case, &mut cpu, &mut rng);
                match compare(&case, &trace, &mut cpu, &mut interp, &undefined, &before) {
                    Verdict::Same => states += 1,
                    Verdict::NotOnThisCpu => {
                        absent.push(code);
                        break 'encodings;
                    }
                    Verdict::Different(text) => {
                        failed += 1;
                        if failed <= 2 {
                            failures.push(format!(
                                "{code:?} {} {:02x?}:{text}\n  before {:x?} flags {:#x}",
                                case.inst.raw(),
                                case.bytes,
                                before.gpr,
                                before.flags
                            ));
                        }
                        continue 'encodings;
                    }
                }
            }
        }
        forms += usize::from(ran > 0);
    }
    println!("{forms} forms, {states} states, not on this CPU: {absent:?}");
    assert!(
        failures.is_empty(),
        "{} differences:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
    assert!(!only.is_empty() || forms > 1000, "only {forms} forms are modelled");
}
