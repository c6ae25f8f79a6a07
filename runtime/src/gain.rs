//! Is an optimised trace better than the straight one? A guess from instructions and memory accesses on the path that
//! stays inside, before the trace is installed: where nothing was gained, a straight trace has no moves at its ends
//! and no spills.
//!
//! An instruction costs 1, one that accesses memory [`MEMORY`] more, a return that is followed in line as much as the
//! compare of its target in a straight trace ([`RETURN`]). Of a loop one iteration counts, and a part of what stands in
//! front.

use crate::translate::Step;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};
use optimize::codegen::{Code, Leaving};

/// What an access to memory costs more than an instruction without.
const MEMORY: u32 = 1;
/// A return or another predicted indirect branch in a straight trace.
const RETURN: u32 = 10;
/// An indirect branch at the end of a straight trace.
const LOOK_UP: u32 = 10;
/// The part of what stands in front of a loop that counts, as its inverse.
const FRONT: u32 = 8;

fn accesses_memory(i: &Instruction) -> bool {
    if matches!(i.mnemonic(), Mnemonic::Lea | Mnemonic::Nop) {
        return false;
    }
    let stack = matches!(i.mnemonic(), Mnemonic::Push | Mnemonic::Pop);
    stack || (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory)
}

fn cost(i: &Instruction) -> u32 {
    match i.mnemonic() {
        Mnemonic::Nop | Mnemonic::Endbr64 => 0,
        _ => 1 + if accesses_memory(i) { MEMORY } else { 0 },
    }
}

fn of_code(bytes: &[u8]) -> u32 {
    Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).iter().map(|i| cost(&i)).sum()
}

/// The cost of the path as a straight trace. `code` holds the bytes of each step.
pub fn of_path<'b>(steps: &[Step], code: impl Fn(usize) -> &'b [u8]) -> u32 {
    let mut sum = 0;
    for (k, step) in steps.iter().enumerate() {
        let decoder = Decoder::with_ip(64, code(k), step.pc.0, DecoderOptions::NONE);
        for i in decoder.into_iter().take(step.instructions) {
            let last = k + 1 == steps.len();
            sum += match i.flow_control() {
                FlowControl::UnconditionalBranch => 0,
                FlowControl::Call => 1 + MEMORY,
                FlowControl::Return | FlowControl::IndirectBranch | FlowControl::IndirectCall if last => {
                    LOOK_UP
                }
                FlowControl::Return | FlowControl::IndirectBranch | FlowControl::IndirectCall => RETURN,
                _ => cost(&i),
            };
        }
    }
    sum
}

/// The cost of the machine code, likewise.
pub fn of_trace(code: &Code) -> u32 {
    let end = code.hot_end.min(code.bytes.len() as u32) as usize;
    let head = code.exits.iter().find_map(|e| match e.leaving {
        Leaving::Back { head, .. } => Some(head as usize),
        _ => None,
    });
    match head {
        Some(head) if head <= end => {
            of_code(&code.bytes[head..end]) + of_code(&code.bytes[code.entry as usize..head]) / FRONT
        }
        _ => of_code(&code.bytes[(code.entry as usize).min(end)..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fragcache::GuestPc;

    #[test]
    fn jumps_are_free_and_memory_is_dear() {
        // add rax, [rsp]; jmp +0; ret
        let code = [0x48, 0x03, 0x04, 0x24, 0xeb, 0x00, 0xc3];
        let step = |pc, instructions| Step { pc: GuestPc(pc), next: GuestPc(0), instructions };
        assert_eq!(of_path(&[step(0x1000, 1)], |_| &code), 1 + MEMORY);
        assert_eq!(of_path(&[step(0x1000, 2)], |_| &code), 1 + MEMORY);
        assert_eq!(of_path(&[step(0x1000, 3)], |_| &code), 1 + MEMORY + LOOK_UP);
    }

    #[test]
    fn of_a_loop_the_body_counts() {
        let mut code = Code { bytes: vec![0x90; 4], hot_end: 4, ..Code::default() };
        code.bytes.splice(0..2, [0x48, 0xff, 0xc0]); // inc rax
        code.hot_end = 5;
        assert_eq!(of_trace(&code), 1);
    }
}
