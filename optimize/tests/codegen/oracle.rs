//! Compiled code beside the interpreter: [`check`].

use ir::interp::{Fault, Interp, Outcome, State};
use ir::trace::Trace;
use ir::types::{Flag, Pc, SlotId, Type};
use optimize::codegen::{Code, CodegenError, Home, Host, compile};

use super::guest::{self, TestHost};
use super::native::{self, Machine};

/// What became of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Both did the same.
    Same,
    /// There is no machine code, or the run cannot be compared (it faults, or goes on for too long).
    Skipped,
}

/// The disassembled code, for messages.
pub fn listing(code: &Code, at: u64) -> String {
    use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
    let mut out = String::new();
    let mut formatter = GasFormatter::new();
    for inst in Decoder::with_ip(64, &code.bytes, at, DecoderOptions::NONE) {
        let offset = (inst.ip() - at) as u32;
        for e in code.exits.iter().filter(|e| e.start == offset) {
            out.push_str(&format!("; exit {} {:?}\n", e.exit.0, e.leaving));
        }
        let mut text = String::new();
        formatter.format(&inst, &mut text);
        out.push_str(&format!("{offset:5x}: {text}\n"));
    }
    out
}

/// Compiles a trace and runs it from states made of `seed`, beside the interpreter.
///
/// # Errors
/// What differs.
pub fn check(trace: &Trace, machine: &mut Machine, seed: u64, states: u64) -> Result<Verdict, String> {
    let host = TestHost::new(&trace.decls);
    let at = machine.code_address();
    let code = match compile(trace, &host, at) {
        Ok(code) => code,
        Err(CodegenError::Unsupported(_)) => return Ok(Verdict::Skipped),
        Err(e) => return Err(format!("{e}\n{trace}")),
    };
    machine.install(&code);
    if let Ok(path) = std::env::var("CODEGEN_LAST") {
        // What was run last, for when the code crashes.
        let _ = std::fs::write(path, format!("seed {seed}\n{trace}\n{}", listing(&code, at)));
    }
    let mut interp = Interp::new();
    let mut verdict = Verdict::Skipped;
    for i in 0..states {
        let (state, memory) =
            guest::random_state(trace, machine.memory_base(), seed.wrapping_mul(1000).wrapping_add(i));
        let (mut expected, mut expected_memory) = (state.clone(), memory.clone());
        let outcome = interp.run(trace, &mut expected, &mut expected_memory, 1000);
        let (id, resume) = match outcome {
            Outcome::Exit { id, resume, .. } => (id, resume),
            Outcome::Fault { fault: Fault::Memory { .. } | Fault::Divide, pc, exact: true } => {
                // The exit named by the line at which it is.
                let at = trace.insts.iter().find(|i| i.exit().is_some() && trace.at_pc(i) == Some(pc));
                let Some(id) = at.and_then(|i| i.exit()) else { continue };
                if optimize::pass::faults_are_final(trace) {
                    continue;
                }
                (id, pc)
            }
            _ => continue,
        };
        let (after, after_memory, left) = machine.run(trace, &host, &code, &state, &memory);
        let carries = machine.carries_uppers;
        let context = |what: String| {
            let wrong = difference(trace, &host, id, &expected, &after);
            format!(
                "{what} (state {i} of seed {seed})\nslots: {wrong}\nat entry: {}\n{trace}\n{}",
                guest::describe(trace, &state),
                listing(&code, at)
            )
        };
        let Some(left) = left else { return Err(context("a fault that leads nowhere".into())) };
        let exit = trace.exit(left.exit).ok_or_else(|| context("an exit that does not exist".into()))?;
        let resumed = left.target.map(Pc::Addr).unwrap_or(match exit.target {
            ir::snapshot::Target::Pc(pc) => pc,
            ir::snapshot::Target::Value(_) => Pc::Addr(0),
        });
        if left.exit != id {
            return Err(context(format!("exit {} instead of {}", left.exit.0, id.0)));
        }
        if resumed != resume {
            return Err(context(format!("goes on at {resumed:?} instead of {resume:?}")));
        }
        let wrong = difference(trace, &host, id, &expected, &after);
        if !wrong.is_empty() {
            return Err(context("slots differ".into()));
        }
        let uppers = native::vectors(trace, &host, &after).any(|v| v[2..].iter().any(|w| *w != 0));
        if carries && !uppers {
            return Err(context("the machine carries upper parts that are all zero".into()));
        }
        if after_memory.bytes != expected_memory.bytes {
            let at = after_memory.bytes.iter().zip(&expected_memory.bytes).position(|(a, b)| a != b);
            return Err(context(format!("memory differs at offset {at:?}")));
        }
        verdict = Verdict::Same;
    }
    Ok(verdict)
}

/// Slots that differ.
fn difference(
    trace: &Trace,
    host: &TestHost,
    id: ir::types::ExitId,
    expected: &State,
    after: &State,
) -> String {
    let mut out = String::new();
    let mut unread = Vec::new();
    trace.for_each_bind(id, |b| {
        if b.value.is_any() {
            unread.push(b.slot);
        }
    });
    for (i, slot) in trace.decls.slots.iter().enumerate() {
        let s = SlotId(i as u16);
        if host.home(s) == Home::Machine || unread.contains(&s) {
            continue;
        }
        let (mut x, mut y) = (*expected.get_wide(s), *after.get_wide(s));
        if slot.ty == Type::Flags {
            let mask = defined_flags(trace, id);
            x[0] &= mask;
            y[0] &= mask;
        }
        if x != y {
            out.push_str(&format!("{}: {:x?} instead of {:x?}; ", slot.name, y, x));
        }
    }
    out
}

/// The flags that x86 defines for how the exit's flags are made.
fn defined_flags(trace: &Trace, id: ir::types::ExitId) -> u64 {
    use ir::op::Op;
    let _ = (trace, id);
    let _ = Op::FlagsAdd;
    // What the machine leaves undefined after logic, shifts and multiplications is seen in too many ways to follow: A is not
    // compared at all, and test traces do not let the others escape.
    Flag::MASK & !Flag::A.bit()
}
