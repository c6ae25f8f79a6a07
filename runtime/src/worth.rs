//! Is an optimised trace better than a copy of the guest's code? A static estimate of both, in the same unit: one for an
//! instruction, one more for each access to memory.
//!
//! Loops are compared by their bodies, other traces from entry to the end of the last exit. Everything that leaves early is left
//! out on both sides. The estimate knows nothing of latencies; it is there to refuse code that pays more for
//! keeping the guest's state exact, or for finding registers, than the passes saved.

use fragcache::GuestPc;
use iced_x86::{Decoder, DecoderOptions, OpKind};
use ir::op::Op;
use ir::snapshot::Target;
use ir::trace::{End, Trace};
use ir::types::Type;
use optimize::codegen::{Code, Leaving};

/// What a copy pays for a return or an indirect call whose target it checks: spills, comparison, reloads.
const CHECKED_TARGET: u32 = 6;
/// What a copy pays for a look-up in the table of indirect branches.
const LOOK_UP: u32 = 8;

/// The cost of copying the guest's code on this path, from the trace as lifted.
pub fn of_copy(trace: &Trace) -> u32 {
    let mut cost = 0;
    for inst in &trace.insts {
        cost += match inst.op {
            Op::At | Op::Load | Op::Store => 1,
            Op::Eq if inst.aty == Type::I64 && inst.args[1].is_literal() => CHECKED_TARGET,
            _ => 0,
        };
    }
    let indirect = match trace.end {
        End::Exit(id) => trace.exit(id).is_some_and(|e| matches!(e.target, Target::Value(_))),
        End::Loop => false,
    };
    cost + if indirect { LOOK_UP } else { 0 }
}

/// The cost of the compiled code, which lies at `at`.
pub fn of_code(trace: &Trace, code: &Code, at: u64) -> u32 {
    let head = code.exits.iter().find_map(|e| match e.leaving {
        Leaving::Back { head, .. } => Some(head),
        _ => None,
    });
    let mut cost = stretch(code, at, head.unwrap_or(code.entry), code.hot_end);
    if let End::Exit(id) = trace.end
        && let Some(last) = code.exits.iter().rfind(|e| e.exit == id)
        && last.start >= code.hot_end
    {
        cost += stretch(code, at, last.start, last.patch);
    }
    cost
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
