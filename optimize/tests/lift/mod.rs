//! Loops of machine code as traces, as a recorder lifts them, for tests: one straight path from its head back to it.

use decode::x86_64::{X86_64, slots};
use decode::{Fp, Guest, GuestPc, Lifted};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{FactArg, Trace};
use ir::types::{Pc, SlotId, Type};

/// Lifts the code at `pc`, which ends with the branch back to `pc`.
pub fn lift_loop(code: &[u8], pc: u64) -> Result<Trace, String> {
    let mut b = Builder::new(slots::decls().clone(), "t", Pc::Addr(pc));
    begin(&mut b, pc);
    body(&mut b, code, pc)?;
    let trace = b.trace();
    let read: Vec<SlotId> = trace
        .insts
        .iter()
        .filter(|i| i.op == Op::Slot)
        .filter_map(|i| i.args[0].as_index().map(|s| SlotId(s as u16)))
        .collect();
    let first = trace.exits.first().map(|e| trace.snapshot(e.id)).unwrap_or_default();
    let last = b.exit(Pc::Addr(0), ExitKind::Jump);
    let only = b.trace().exits.len() == 1;
    let mut changed = Vec::new();
    b.trace().for_each_bind(last, |bind| {
        let always = first.iter().any(|f| f.slot == bind.slot);
        if read.contains(&bind.slot) || !only && !always {
            changed.push(bind.slot);
        }
    });
    changed.sort_unstable();
    begin(&mut b, pc);
    for slot in &read {
        b.get(*slot);
    }
    b.begin_loop(&changed);
    body(&mut b, code, pc)?;
    let interrupt = b.exit(Pc::Addr(pc), ExitKind::Jump);
    b.end_loop(Some(interrupt));
    Ok(b.finish())
}

fn begin(b: &mut Builder, pc: u64) {
    b.reset(Pc::Addr(pc));
    b.assume("Private", &[FactArg::Name("guest".into())]);
    b.assume("NoFaultHandler", &[]);
}

fn body(b: &mut Builder, code: &[u8], head: u64) -> Result<(), String> {
    let mut at = 0;
    while at < code.len() {
        let here = GuestPc(head + at as u64);
        let inst = X86_64.decode(&code[at..], here).map_err(|e| e.to_string())?;
        let next = X86_64.range(&inst).1;
        let end = (next.0 - head) as usize;
        b.at(Pc::Addr(here.0));
        match X86_64.lift(&inst, &code[at..end], Fp::AssumeDefault, b) {
            Lifted::Next => {}
            Lifted::Branch { cond, taken } if taken.0 == head => {
                let exit = b.exit(Pc::Addr(next.0), ExitKind::Jump);
                b.guard(cond, exit);
            }
            Lifted::Branch { cond, taken } => {
                let exit = b.exit(Pc::Addr(taken.0), ExitKind::Jump);
                let stays = b.un(Op::Not, Type::I1, cond);
                b.guard(stays, exit);
            }
            Lifted::Jump { .. } => {}
            other => return Err(format!("{other:?} in a loop")),
        }
        at = end;
    }
    Ok(())
}
