//! Straight lines of several instructions in one trace: values flow from one to the next through the builder,
//! and a fault in the middle must find the exact state of its instruction.
//!
//! Settings as for `lifted`.

use crate::cpu::{Cpu, MAX_CODE, MEMORY_LEN, Outcome, Regs};
use crate::forms::{self, Case};
use crate::lifted::{Memory, Undefined, differences, setting, to_slots};
use crate::rng::Rng;
use decode::x86_64::liveness::{Liveness, STATUS_FLAGS};
use decode::x86_64::{Attrs, X86_64};
use decode::{Fp, Guest, GuestPc};
use iced_x86::{Code, Mnemonic, Register};
use ir::builder::Builder;
use ir::interp::{Fault, Interp};
use ir::types::Pc;

const BLOCKS: usize = 3000;
const STATES: usize = 6;
/// AF: left undefined by common instructions, and read only by `lahf`, which is not used here.
const AF: u64 = 0x10;

/// May the instruction stand in a block whose registers are random? Memory operands must not depend on
/// registers other than `rsp`, which only pushes and pops may change; results must be defined.
fn is_usable(case: &Case, undefined: &Undefined, liveness: &mut Liveness) -> bool {
    let raw = case.inst.raw();
    let attrs = case.inst.attrs();
    if !case.inst.flow().is_next()
        || !X86_64.is_modelled(&case.inst, Fp::AssumeDefault)
        || raw.is_string_instruction()
        || raw.mnemonic() == Mnemonic::Lahf
        || raw.mnemonic() == Mnemonic::Leave
        || attrs.intersects(Attrs::FS | Attrs::GS)
    {
        return false;
    }
    let addressed = |r: Register| matches!(r, Register::RSP | Register::RIP | Register::None);
    if attrs.contains(Attrs::MEMORY)
        && raw.mnemonic() != Mnemonic::Lea
        && (!addressed(raw.memory_base())
            || raw.memory_index() != Register::None
            || raw.memory_size().size() >= 16
            || matches!(raw.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc))
    {
        return false;
    }
    let (_, killed) = liveness.gpr_effects(&case.inst);
    let stack = matches!(raw.mnemonic(), Mnemonic::Push | Mnemonic::Pop);
    let names_rsp = (0..raw.op_count()).any(|i| raw.op_register(i).full_register() == Register::RSP);
    if names_rsp || killed.contains(4) && !stack {
        return false;
    }
    // Undefined whatever the count is: try the largest.
    let regs = Regs { gpr: [63; 16], ..Regs::default() };
    undefined.flags(&case.inst, &regs) & !AF == 0
}

/// A block of up to eight instructions at the CPU's pc, and how many they are. Some blocks end with a division,
/// which leaves all flags undefined, and often faults.
fn block(
    codes: &[Code],
    cpu: &Cpu,
    rng: &mut Rng,
    ok: &mut impl FnMut(&Case) -> bool,
) -> (Vec<u8>, usize, bool) {
    let (mut bytes, mut count) = (Vec::new(), 0);
    let wanted = 2 + rng.below(7);
    let divides = rng.one_in(4);
    while count < wanted {
        let at = cpu.pc() + bytes.len() as u64;
        let Some(case) = forms::encode(rng.pick(codes), cpu, at, rng) else { continue };
        if !ok(&case) {
            continue;
        }
        if bytes.len() + case.bytes.len() > MAX_CODE {
            break;
        }
        bytes.extend_from_slice(&case.bytes);
        count += 1;
    }
    if divides && bytes.len() + 3 <= MAX_CODE {
        // div or idiv of a register, 32 or 64 bits
        bytes.extend_from_slice(&[rng.pick(&[0x40, 0x48]), 0xf7, rng.pick(&[0xf1, 0xf3, 0xf9, 0xff])]);
        return (bytes, count + 1, true);
    }
    (bytes, count, false)
}

#[test]
fn blocks_do_what_the_cpu_does() {
    let (mut cpu, mut interp, undefined) = (Cpu::new(), Interp::new(), Undefined::load());
    let mut liveness = Liveness::new();
    let mut rng = Rng::new(setting("DECODE_ORACLE_SEED").unwrap_or(1));
    let blocks = BLOCKS * setting("DECODE_ORACLE").unwrap_or(1) as usize;
    // Only forms that this test can use at all, so that picking one is mostly not in vain.
    let codes: Vec<Code> = Code::values()
        .filter(|code| code.op_code().mode64())
        .filter(|code| {
            (0..8)
                .filter_map(|_| forms::encode(*code, &cpu, cpu.pc(), &mut rng))
                .any(|case| is_usable(&case, &undefined, &mut liveness))
        })
        .collect();
    let mut b = Builder::new(X86_64.decls().clone(), "block", Pc::Addr(0));
    let (mut faults, mut failures) = (0, Vec::new());
    for _ in 0..blocks {
        let (bytes, count, divides) =
            block(&codes, &cpu, &mut rng, &mut |case| is_usable(case, &undefined, &mut liveness));
        let lifted = X86_64.lift_block_into(&bytes, GuestPc(cpu.pc()), 100, Fp::AssumeDefault, &mut b);
        assert_eq!(lifted, Ok(count));
        if let Err(errors) = ir::verify::verify(b.trace()) {
            failures.push(format!("{bytes:02x?}: {errors:?}"));
            continue;
        }
        cpu.set_code(&bytes);
        for _ in 0..STATES {
            let before = rng.regs(&cpu);
            for chunk in cpu.memory().chunks_exact_mut(8) {
                chunk.copy_from_slice(&rng.integer().to_le_bytes());
            }
            let mut memory = Memory { base: cpu.memory_base(), bytes: Box::new(*cpu.memory()) };
            let (mut regs, mut state) = (before, to_slots(&before, &cpu));
            let native = cpu.run(&mut regs);
            let lifted = interp.run(b.trace(), &mut state, &mut memory, 1);
            let same_way = match (native, lifted) {
                (Outcome::Left(to), ir::interp::Outcome::Exit { resume: Pc::Addr(pc), .. }) => to == pc,
                (
                    Outcome::Fault(libc::SIGFPE),
                    ir::interp::Outcome::Fault { fault: Fault::Divide, exact: true, pc: Pc::Addr(pc) },
                ) => {
                    faults += 1;
                    pc == cpu.fault_pc()
                }
                // Something here is newer than this CPU.
                (Outcome::Fault(libc::SIGILL), _) => break,
                _ => false,
            };
            let flags =
                if divides && matches!(native, Outcome::Left(_)) { u64::from(STATUS_FLAGS) } else { AF };
            let mut text = differences(&regs, &state, flags, true);
            if !same_way {
                text = format!("{text} cpu {native:x?} at {:x} ir {lifted:x?}", cpu.fault_pc());
            }
            if (0..MEMORY_LEN).any(|i| cpu.memory()[i] != memory.bytes[i]) {
                text.push_str(" memory");
            }
            if !text.is_empty() {
                failures.push(format!("{bytes:02x?} from {:x?} {:x}:{text}", before.gpr, before.flags));
                break;
            }
        }
    }
    println!("{} forms in {blocks} blocks, {faults} faults", codes.len());
    let shown = failures[..failures.len().min(10)].join("\n");
    assert!(failures.is_empty(), "{} of {blocks}:\n{shown}", failures.len());
    assert!(faults > 0, "no block divided by zero");
}
