//! A recorded path as a trace of the IR.
//!
//! The path is a list of basic blocks in the order in which they were executed ([`Step`]). Each instruction is lifted by
//! [`decode`]; what connects them becomes:
//!
//! | in the path | in the trace |
//! |---|---|
//! | direct jump or call | nothing (of a call: the store of the return address) |
//! | conditional branch | a guard, whose exit is the way not taken |
//! | return or indirect branch | a guard that the target is the recorded one; else an exit to the computed target |
//! | the last block goes to the first | a loop with a parameter for each slot that the body changes |
//! | anything else at the end | an exit |
//! | an instruction that cannot stand in a trace | an exit to it |
//!
//! ```text
//! 401136 add rax, rcx          loop(%2: i64 = %0, %3: i64 = %1):
//! 401139 dec rcx                 at 0x401136
//! 40113c jne 401136              %4: i64 = add %2, %3
//!                                at 0x401139 …
//!                                guard %7 else exit 0             exit 0 resume 0x40113e { rax = %4, … }
//!                                end loop(%4, %5) else exit 1     exit 1 resume 0x401136 { … }
//! ```
//!
//! Which slots the body changes is found by lifting it once without a loop. A slot that is overwritten before anything
//! reads it, exits included, needs no parameter; mostly those are the flags.

use crate::assume;
use crate::fpenv;
use crate::lockstep;
use crate::translate::Step;
use crate::unread::{Read, Unread};
use decode::x86_64::{X86_64, slots};
use decode::{Fp, Guest, GuestPc, Lifted};
use iced_x86::{Instruction, OpKind};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{FactArg, Trace};
use ir::types::{ExitId, Operand, Pc, SlotId, Type};

/// Why a path is no trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Its first instruction cannot stand in a trace.
    #[error("it begins with an instruction that leaves")]
    Leaves,
    /// The code is not what was recorded.
    #[error("the code is not what was recorded")]
    Changed,
}

/// Lifts paths; keeps its memory between them.
#[derive(Debug)]
pub struct Lifter {
    b: Builder,
    /// Slots that the body of a loop changes.
    changed: Vec<SlotId>,
    /// Slots that it reads before it changes them.
    read: Vec<SlotId>,
    /// Where exits need not put the flags into place.
    pub unread: Unread,
    /// A signal's handler may look at registers wherever the trace leaves.
    seen: bool,
}

impl Default for Lifter {
    fn default() -> Self {
        let b = Builder::new(slots::decls().clone(), "trace", Pc::Addr(0));
        Lifter { b, changed: Vec::new(), read: Vec::new(), unread: Unread::default(), seen: true }
    }
}

/// How the lifted path ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// At this address, by nothing in particular.
    At(u64),
    /// By this exit.
    Exit(ExitId),
}

impl Lifter {
    /// Lifts the path. `code` holds the bytes of each step; `facts` are those of [`assume`] that hold; `read` gives
    /// the code where exits lead.
    pub fn lift<'b>(
        &mut self,
        steps: &[Step],
        code: impl Fn(usize) -> &'b [u8],
        facts: u32,
        read: &mut Read<'_>,
    ) -> Result<&mut Trace, Refusal> {
        let Some(first) = steps.first() else { return Err(Refusal::Leaves) };
        let head = first.pc.0;
        self.unread.clear();
        let exact = facts & assume::NO_FAULT_HANDLER == 0;
        self.begin(steps, facts);
        let end = self.body(steps, &code, facts, read)?;
        if end == End::At(head) {
            let exact = facts & assume::NO_FAULT_HANDLER == 0;
            look_at_body(&mut self.b, slots::FLAGS, exact, &mut self.changed, &mut self.read);
            self.begin(steps, facts);
            for k in 0..self.read.len() {
                self.b.get(self.read[k]);
            }
            self.b.begin_loop(&self.changed);
            self.body(steps, &code, facts, read)?;
            let interrupt = self.exit(head, ExitKind::Jump, exact, read);
            self.b.end_loop(Some(interrupt));
        } else {
            let exit = match end {
                End::At(pc) => self.exit(pc, ExitKind::Jump, exact, read),
                End::Exit(exit) => exit,
            };
            self.b.end_exit(exit);
        }
        #[cfg(debug_assertions)]
        if let Err(e) = ir::verify::verify(self.b.trace()) {
            unreachable!("an ill-formed trace: {e:?}\n{}", self.b.trace());
        }
        Ok(self.b.trace_mut())
    }

    /// The trace lifted last.
    pub fn trace(&mut self) -> &mut Trace {
        self.b.trace_mut()
    }

    fn begin(&mut self, steps: &[Step], facts: u32) {
        self.b.reset(Pc::Addr(steps[0].pc.0));
        if facts & assume::PRIVATE == assume::PRIVATE && !steps.iter().any(|s| assume::is_vdso(s.pc.0)) {
            self.b.assume("Private", &[FactArg::Name("guest".into())]);
        }
        if facts & assume::NO_FAULT_HANDLER != 0 {
            self.b.assume("NoFaultHandler", &[]);
        }
        self.seen = facts & assume::NO_CONTEXT == 0;
        if !self.seen {
            self.b.assume("NoContext", &[]);
        }
    }

    /// Lifts all steps.
    fn body<'b>(
        &mut self,
        steps: &[Step],
        code: &impl Fn(usize) -> &'b [u8],
        facts: u32,
        read: &mut Read<'_>,
    ) -> Result<End, Refusal> {
        let guest = X86_64;
        let exact = facts & assume::NO_FAULT_HANDLER == 0;
        let head = steps[0].pc.0;
        let fp = if facts & assume::FP_DEFAULT != 0 { Fp::AssumeDefault } else { Fp::Native };
        for (k, step) in steps.iter().enumerate() {
            let bytes = code(k);
            let mut here = step.pc.0;
            for n in 0..step.instructions {
                let offset = (here - step.pc.0) as usize;
                let Some(rest) = bytes.get(offset..) else { return Err(Refusal::Changed) };
                let Ok(inst) = guest.decode(rest, GuestPc(here)) else { return Err(Refusal::Changed) };
                let first = k == 0 && n == 0;
                let stop = fpenv::loads(inst.raw()) || fpenv::restores(inst.raw());
                if stop || lockstep::on() && lockstep::is_unrepeatable(inst.raw()) {
                    return if first { Err(Refusal::Leaves) } else { Ok(End::At(here)) };
                }
                // Where it stores, the optimizer may want to leave if the store would meet what it keeps in registers.
                if exact || may_store(inst.raw()) {
                    self.b.at_exact(Pc::Addr(here));
                } else {
                    self.b.at(Pc::Addr(here));
                }
                let lifted = guest.lift(&inst, &rest[..inst.len()], fp, &mut self.b);
                let next = here + inst.len() as u64;
                let ends = n + 1 == step.instructions;
                let last = ends && k + 1 == steps.len();
                let towards = if ends { step.next.0 } else { next };
                match lifted {
                    Lifted::Leave { resume, kind: ExitKind::Syscall } if last => {
                        return Ok(End::Exit(self.b.exit(Pc::Addr(resume.0), ExitKind::Syscall)));
                    }
                    Lifted::Leave { .. } if first => return Err(Refusal::Leaves),
                    Lifted::Leave { .. } => return Ok(End::At(here)),
                    Lifted::Next if towards == next => {}
                    Lifted::Branch { taken, .. } if taken.0 == next && towards == next => {}
                    Lifted::Branch { cond, taken } if towards == taken.0 => {
                        let exit = self.exit(next, ExitKind::Jump, exact, read);
                        self.b.guard(cond, exit);
                    }
                    Lifted::Branch { cond, taken } if towards == next => {
                        let exit = self.exit(taken.0, ExitKind::Jump, exact, read);
                        let cond = self.b.un(Op::Not, Type::I1, cond);
                        self.b.guard(cond, exit);
                    }
                    Lifted::Jump { target, .. } if towards == target.0 => {}
                    Lifted::Indirect { target, kind } if ends => {
                        match self.b.trace().literal_int(target).map(|v| v as u64) {
                            // The path itself has computed it.
                            Some(to) if !last && to == towards => {}
                            Some(to) => return Ok(End::Exit(self.exit(to, kind, exact, read))),
                            None if last && towards != head => {
                                return Ok(End::Exit(self.b.exit_indirect(target, kind)));
                            }
                            None => self.predict(target, kind, towards),
                        }
                    }
                    _ => return Err(Refusal::Changed),
                }
                here = next;
            }
        }
        Ok(End::At(steps.last().map_or(0, |s| s.next.0)))
    }

    /// An exit to a known place.
    fn exit(&mut self, pc: u64, kind: ExitKind, exact: bool, read: &mut Read<'_>) -> ExitId {
        // Lockstep compares all flags wherever a trace leaves, and a signal's handler may look at them.
        if !lockstep::on() && !self.seen && self.unread.flags(pc, exact, read) {
            self.b.exit_without(Pc::Addr(pc), kind, slots::FLAGS)
        } else {
            self.b.exit(Pc::Addr(pc), kind)
        }
    }

    /// Goes on when the computed target is the recorded one.
    fn predict(&mut self, target: Operand, kind: ExitKind, recorded: u64) {
        let exit = self.b.exit_indirect(target, kind);
        let recorded = self.b.i64(recorded as i64);
        let cond = self.b.bin(Op::Eq, Type::I64, target, recorded);
        self.b.guard(cond, exit);
    }
}

/// After the body of a loop was lifted once: which slots need a parameter, which are read. `exact`: all of them are seen at
/// the head, should the first instruction fault.
pub fn look_at_body(
    b: &mut Builder,
    flags: SlotId,
    exact: bool,
    changed: &mut Vec<SlotId>,
    read: &mut Vec<SlotId>,
) {
    changed.clear();
    read.clear();
    let trace = b.trace();
    for i in &trace.insts {
        if i.op == Op::Slot
            && let Some(slot) = i.args[0].as_index()
        {
            read.push(SlotId(slot as u16));
        }
    }
    // An exit inherits the binds of those before it: what the first binds all of them do.
    let mut always = Vec::new();
    if let Some(exit) = trace.exits.first()
        && !exact
    {
        trace.for_each_bind(exit.id, |bind| always.push(bind.slot));
    }
    // But what may be anything there is not inherited: do all up to the first that says what it is bind it?
    for exit in &trace.exits {
        let (mut bound, mut any) = (false, false);
        trace.for_each_bind(exit.id, |bind| {
            bound |= bind.slot == flags;
            any |= bind.slot == flags && bind.value.is_any();
        });
        if !bound {
            always.retain(|s| *s != flags);
        }
        if !any {
            break;
        }
    }
    // As if there were one more at the end.
    let last = b.exit(Pc::Addr(0), ExitKind::Jump);
    let trace = b.trace();
    let only = trace.exits.len() == 1 && !exact;
    trace.for_each_bind(last, |bind| {
        if read.contains(&bind.slot) || !only && !always.contains(&bind.slot) {
            changed.push(bind.slot);
        }
    });
    changed.sort_unstable();
}

/// May the instruction store to memory? True for some that only read it.
fn may_store(raw: &Instruction) -> bool {
    (0..raw.op_count()).any(|i| {
        matches!(
            raw.op_kind(i),
            OpKind::Memory | OpKind::MemoryESDI | OpKind::MemoryESEDI | OpKind::MemoryESRDI
        )
    }) && !matches!(raw.op_kind(0), OpKind::Register)
        || raw.stack_pointer_increment() < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use fragcache::GuestPc as Address;

    const HEAD: u64 = 0x401136;
    /// `add rax, rcx; dec rcx; jne` to the first.
    const LOOP: [u8; 8] = [0x48, 0x01, 0xc8, 0x48, 0xff, 0xc9, 0x75, 0xf8];

    fn step(pc: u64, next: u64, instructions: usize) -> Step {
        Step { pc: Address(pc), next: Address(next), instructions }
    }

    fn lift(steps: &[Step], code: &[&[u8]], facts: u32) -> Result<String, Refusal> {
        let mut lifter = Lifter::default();
        let trace = lifter.lift(steps, |k| code[k], facts, &mut |_, _| 0)?;
        assert_eq!(ir::verify::verify(trace), Ok(()), "{trace}");
        Ok(trace.to_string())
    }

    #[test]
    fn a_path_back_to_its_head_is_a_loop_without_dead_parameters() {
        let text =
            lift(&[step(HEAD, HEAD, 3)], &[&LOOP], assume::NO_FAULT_HANDLER | assume::PRIVATE).unwrap();
        let line = text.lines().find(|l| l.starts_with("loop")).unwrap();
        assert_eq!(line.matches("i64").count(), 2, "{text}");
        assert!(!line.contains("flags") && text.contains("else exit 1"), "{text}");
        assert!(text.contains("assume Private(guest)") && text.contains("exit 0 resume 0x40113e"), "{text}");
    }

    #[test]
    fn with_exact_state_the_flags_are_seen_at_every_instruction() {
        let text = lift(&[step(HEAD, HEAD, 3)], &[&LOOP], 0).unwrap();
        let line = text.lines().find(|l| l.starts_with("loop")).unwrap();
        assert!(line.contains("flags") && text.contains("at 0x401136 else exit"), "{text}");
    }

    #[test]
    fn calls_and_returns_vanish_up_to_a_guard() {
        // call 0x402000; at 0x402000: ret; then nop; nop
        let call = [0xe8, 0xf6, 0x0f, 0x00, 0x00];
        let steps = [step(0x401005, 0x402000, 1), step(0x402000, 0x40100a, 1), step(0x40100a, 0x40100c, 2)];
        let text = lift(&steps, &[&call, &[0xc3], &[0x90, 0x90]], assume::NO_FAULT_HANDLER).unwrap();
        assert!(text.contains("as return") && text.matches("guard").count() == 1, "{text}");
        assert!(text.contains("resume 0x40100c") && !text.contains("Private"), "{text}");
    }

    #[test]
    fn what_cannot_be_lifted_ends_the_trace() {
        // nop; mov rax, gs:[0]: the access is the runtime's to make.
        let code = [0x90, 0x65, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0];
        let text = lift(&[step(HEAD, HEAD + 10, 2)], &[&code], 0);
        assert!(text.is_ok());
        // ldmxcsr [rax] in front: nothing to lift.
        let load = [0x0f, 0xae, 0x10];
        assert_eq!(lift(&[step(HEAD, HEAD + 3, 1)], &[&load], 0), Err(Refusal::Leaves));
    }

    #[test]
    fn a_path_that_the_code_cannot_take_is_refused() {
        assert_eq!(lift(&[step(HEAD, 0x1234, 3)], &[&LOOP], 0), Err(Refusal::Changed));
        assert_eq!(lift(&[step(HEAD, HEAD, 3)], &[&LOOP[..5]], 0), Err(Refusal::Changed));
    }

    #[test]
    fn flags_that_nobody_reads_are_not_put_into_place() {
        // Behind the loop: test eax, eax. Before it `add` reads nothing.
        let mut read = |pc: u64, into: &mut [u8]| {
            let code: &[u8] = if pc == HEAD + 8 { &[0x85, 0xc0] } else { &LOOP };
            into[..code.len()].copy_from_slice(code);
            code.len()
        };
        let mut lifter = Lifter::default();
        let facts = assume::NO_FAULT_HANDLER | assume::NO_CONTEXT | assume::PRIVATE;
        let trace = lifter.lift(&[step(HEAD, HEAD, 3)], |_| &LOOP, facts, &mut read).unwrap();
        let text = trace.to_string();
        assert_eq!(text.matches("flags = any").count(), 2, "{text}");
        assert_eq!(lifter.unread.looked.len(), 2);
    }
}
