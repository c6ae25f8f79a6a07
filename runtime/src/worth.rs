//! Is an optimised trace better than a copy of the guest's code? A static estimate of both, in the same unit, a quarter of a cycle: one for an
//! instruction, one more for each access to memory. A loop takes at least as long as its longest chain of dependences from one iteration
//! to the next ([`optimize::recurrence`]).
//!
//! Loops are compared by their bodies, other traces from entry to the end of the last exit. Everything that leaves early is left
//! out on both sides. The estimate is there to refuse code that pays more for
//! keeping the guest's state exact, or for finding registers, than the passes saved.
//!
//! ```text
//! loop: movsd (%rax), %xmm0        8 instructions, 4 accesses: work 12; load, add and store of one
//!       mulsd (%rdx), %xmm0        place: 11 cycles. Cost 44.
//!       addsd (%rcx), %xmm0
//!       movsd %xmm0, (%rcx)        With the sum in a register: 9 instructions, 3 accesses, an addition
//!       add, add, cmp, jne         of 3 cycles. Cost 12: better, though it has more instructions.
//! ```

use decode::x86_64::slots;
use fragcache::GuestPc;
use iced_x86::{Decoder, DecoderOptions, OpKind};
use ir::op::Op;
use ir::snapshot::Target;
use ir::trace::{End, Trace};
use ir::types::Type;
use optimize::codegen::{Code, Leaving};
use optimize::recurrence;

/// What a copy pays for a return or an indirect call whose target it checks: spills, comparison, reloads.
const CHECKED_TARGET: u32 = 6;
/// What a copy pays for a look-up in the table of indirect branches.
const LOOK_UP: u32 = 8;
/// Units in a cycle.
const PER_CYCLE: u32 = 4;

/// Iterations over which the way into a loop and out of it is spread.
const ITERATIONS: u32 = 16;

/// Encodings of `rsp` and `rbp`: processors rename memory based on them.
const FRAMES: [u8; 2] = [4, 5];

/// What one iteration, or one run through a trace, costs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cost {
    /// All iterations by the larger of work and recurrence, and what is done once.
    total: u32,
    /// What has to be executed.
    work: u32,
}

impl Cost {
    /// More than anything.
    pub const MAX: Cost = Cost { total: u32::MAX, work: u32::MAX };

    fn new(work: u32, once: u32, trace: &Trace) -> Cost {
        let cycles = recurrence::cycles(trace, |s| FRAMES.iter().any(|r| slots::gpr(*r) == s));
        Cost {
            total: work.max(cycles.saturating_mul(PER_CYCLE)).saturating_mul(ITERATIONS).saturating_add(once),
            work,
        }
    }
}

/// The cost of copying the guest's code on this path, from the trace as lifted.
pub fn of_copy(trace: &Trace) -> Cost {
    let mut work = 0;
    for inst in &trace.insts {
        work += match inst.op {
            Op::At | Op::Load | Op::Store => 1,
            Op::Eq if inst.aty == Type::I64 && inst.args[1].is_literal() => CHECKED_TARGET,
            _ => 0,
        };
    }
    let indirect = match trace.end {
        End::Exit(id) => trace.exit(id).is_some_and(|e| matches!(e.target, Target::Value(_))),
        End::Loop => false,
    };
    Cost::new(work + if indirect { LOOK_UP } else { 0 }, 0, trace)
}

/// The cost of the compiled code, which lies at `at`.
pub fn of_code(trace: &Trace, code: &Code, at: u64) -> Cost {
    let head = code.exits.iter().find_map(|e| match e.leaving {
        Leaving::Back { head, .. } => Some(head),
        _ => None,
    });
    let mut work = stretch(code, at, head.unwrap_or(code.entry), code.hot_end);
    if let End::Exit(id) = trace.end
        && let Some(last) = code.exits.iter().rfind(|e| e.exit == id)
        && last.start >= code.hot_end
    {
        work = work.saturating_add(stretch(code, at, last.start, last.patch));
    }
    let once = head.map_or(0, |head| {
        let before = stretch(code, at, code.entry, head);
        // A first iteration stands there for one of the others.
        let peeled = trace.insts.iter().take(trace.loop_at.unwrap_or(0) as usize).any(|i| i.op == Op::At);
        let leaving = code.exits.iter().filter(|e| e.start >= code.hot_end).map(|e| (e.start, e.patch));
        let out = leaving.map(|(from, to)| stretch(code, at, from, to)).max().unwrap_or(0);
        before.saturating_sub(if peeled { work } else { 0 }).saturating_add(out)
    });
    Cost::new(work, once, trace)
}

fn stretch(code: &Code, at: u64, from: u32, to: u32) -> u32 {
    let Some(bytes) = code.bytes.get(from as usize..to as usize) else { return u32::MAX };
    let mut decoder = Decoder::with_ip(64, bytes, at + u64::from(from), DecoderOptions::NONE);
    let mut cost = 0;
    for i in &mut decoder {
        if i.mnemonic() != iced_x86::Mnemonic::Nop {
            let memory = (0..i.op_count()).any(|k| i.op_kind(k) == OpKind::Memory)
                && i.mnemonic() != iced_x86::Mnemonic::Lea;
            cost += 1 + u32::from(memory);
        }
    }
    cost
}

/// Why a compiled trace is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no better than a copy")]
pub struct NoGain {
    /// Its head.
    pub pc: GuestPc,
}
