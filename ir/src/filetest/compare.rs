//! Do two traces mean the same? Tried on states: those of the `run` rows, variations of them, and random ones.
//!
//! Two runs agree when they end alike (exit kind and resume pc, or the same fault), with the same slots, the
//! same memory, and the same natives and helper calls in the same order. Exit *numbers* may differ: a pass
//! may split exits. The second trace may also leave earlier than the first, where a check fails that only it makes:
//! at an `at` line of the first trace, with the state and the memory that it has there; so a run that declines at the entry
//! must have changed nothing. States on which the first trace breaks the front end's promise of disjoint classes are
//! skipped, and those on which a loop runs too long. Where a trace assumes `NoFaultHandler`, nobody
//! sees the slots and the pc at a fault, so they may differ.

use super::TestMachine;
use super::rows::{Row, result_text, show};
use crate::fuzz::{Random, mix};
use crate::interp::{Interp, Outcome, State};
use crate::snapshot::ExitKind;
use crate::trace::{Decls, Trace};
use crate::types::*;

/// How often a loop may go round on each state. Most that is ever wrong shows in the first few rounds.
const FUEL: u64 = 100;

/// A state on which two traces differ.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}: {before} before, {after} after, on {state}")]
pub struct Difference {
    /// What differs.
    pub what: String,
    /// In the first trace.
    pub before: String,
    /// In the second.
    pub after: String,
    /// The state they began with.
    pub state: String,
}

/// Runs both traces on `count` states derived from the rows and at random (deterministically).
///
/// # Errors
/// The first state on which they differ.
pub fn compare(before: &Trace, after: &Trace, rows: &[&Row], count: u64) -> Result<(), Difference> {
    let mut interp = Interp::new();
    for i in 0..count {
        let mut random = Random(mix(i));
        // Each row as it is, then variations of rows, and states without one.
        let exact = rows.get(i as usize);
        let row = exact.or_else(|| rows.get(random.below(2 * rows.len())));
        let (mut state, machine) = match row {
            Some(row) => row.start(before, Some(i)),
            None => (State::new(&before.decls), TestMachine::new(before.decls.alias(), Some(i))),
        };
        for slot in 0..before.decls.slots.len() {
            // Of a row, change little.
            if row.is_none() || exact.is_none() && random.one_in(4) {
                state.set_wide(SlotId(slot as u16), &random.bits(&before.decls));
            }
        }
        compare_on(before, after, &mut interp, &state, &machine)?;
    }
    Ok(())
}

fn compare_on(
    before: &Trace,
    after: &Trace,
    interp: &mut Interp,
    state: &State,
    machine: &TestMachine,
) -> Result<(), Difference> {
    let mut run = |trace: &Trace| {
        let (mut state, mut machine) = (state.clone(), machine.clone());
        let outcome = interp.run(trace, &mut state, &mut machine, FUEL);
        (outcome, state, machine)
    };
    let (x, state_x, machine_x) = run(before);
    let (y, state_y, machine_y) = run(after);
    if x == Outcome::OutOfFuel || y == Outcome::OutOfFuel || machine_x.broke_promise {
        return Ok(());
    }
    let start = describe(state, &before.decls);
    let differ = |what: String, before: String, after: String| {
        Err(Difference { what, before, after, state: start.clone() })
    };
    if let Outcome::Exit { kind: ExitKind::Jump | ExitKind::Decline, resume, .. } = y
        && leaves_early(
            before,
            (state, machine),
            resume,
            (&state_y, &machine_y),
            &unread_slots(after, &y),
            interp,
        )
    {
        return Ok(());
    }
    // A pc names its file by number, and two traces may number files differently.
    let at = |trace: &Trace, pc: Pc| crate::print::pc(trace, pc);
    let unseen = before.facts.iter().any(|f| f.name == "NoFaultHandler");
    match (x, y) {
        (Outcome::Exit { kind: k, resume: r, .. }, Outcome::Exit { kind: l, resume: s, .. })
            if k == l && at(before, r) == at(after, s) => {}
        (Outcome::Fault { fault: f, pc: p, .. }, Outcome::Fault { fault: g, pc: q, .. })
            if f == g && (unseen || at(before, p) == at(after, q)) => {}
        (Outcome::Raised, Outcome::Raised) => {}
        _ => return differ("the result".into(), result_text(&x), result_text(&y)),
    }
    let slots_seen = !(unseen && matches!(x, Outcome::Fault { .. }));
    let unread = unread_slots(before, &x);
    for (i, slot) in before.decls.slots.iter().enumerate().filter(|_| slots_seen) {
        let id = SlotId(i as u16);
        if unread.contains(&id) {
            continue;
        }
        let (a, b) = (state_x.get_wide(id), state_y.get_wide(id));
        if a != b {
            return differ(format!("slot {}", slot.name), show(a, slot.ty), show(b, slot.ty));
        }
    }
    if machine_x.memory != machine_y.memory {
        let other = |m: &TestMachine, n: &TestMachine| {
            m.memory.iter().find(|(a, b)| n.memory.get(a) != Some(b)).map(|(a, b)| (*a, *b))
        };
        let show = |b: Option<(u64, u8)>| b.map_or("unwritten".into(), |(a, b)| format!("{b:#x} at {a:#x}"));
        return differ(
            "memory".into(),
            show(other(&machine_x, &machine_y)),
            show(other(&machine_y, &machine_x)),
        );
    }
    if machine_x.events != machine_y.events {
        let count = |m: &TestMachine| format!("{} natives and calls", m.events.len());
        return differ("what was executed or called".into(), count(&machine_x), count(&machine_y));
    }
    Ok(())
}

/// Slots that may hold anything where this outcome left the trace.
fn unread_slots(trace: &Trace, outcome: &Outcome) -> Vec<SlotId> {
    let mut slots = Vec::new();
    if let Outcome::Exit { id, .. } = outcome {
        trace.for_each_bind(*id, |b| {
            if b.value.is_any() {
                slots.push(b.slot);
            }
        });
    }
    slots
}

/// Has the first trace, begun in `start`, the state `end` at one of the places where the guest is at `pc`?
fn leaves_early(
    trace: &Trace,
    start: (&State, &TestMachine),
    pc: Pc,
    end: (&State, &TestMachine),
    unread: &[SlotId],
    interp: &mut Interp,
) -> bool {
    // A loop comes to the place more than once.
    for visit in 0..=FUEL {
        let (mut state, mut machine) = (start.0.clone(), start.1.clone());
        let mut seen = 0;
        let outcome = interp.run_until(trace, &mut state, &mut machine, FUEL, |here| {
            seen += u64::from(here == pc);
            seen > visit
        });
        if seen <= visit || !matches!(outcome, Outcome::Exit { .. }) {
            return false;
        }
        for &slot in unread {
            state.set_wide(slot, end.0.get_wide(slot));
        }
        if state == *end.0 && machine.memory == end.1.memory && machine.events == end.1.events {
            return true;
        }
    }
    false
}

fn describe(state: &State, decls: &Decls) -> String {
    let each = decls
        .slots
        .iter()
        .enumerate()
        .map(|(i, s)| format!("{}={}", s.name, show(state.get_wide(SlotId(i as u16)), s.ty)));
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn trace(body: &str) -> Trace {
        let text = format!("slot a: i64\nclass m\ntrace t entry 0x0 {{\n{body}\n}}");
        parse(&text).expect("test input").trace
    }

    #[test]
    fn files_are_compared_by_name() {
        let x = trace("end exit 1\nexit 0 resume a.lua:1#1 { }\nexit 1 resume b.lua:1#1 { }");
        let y = trace("end exit 1\nexit 1 resume b.lua:1#1 { }");
        let z = trace("end exit 1\nexit 1 resume a.lua:1#1 { }");
        assert_eq!(compare(&x, &y, &[], 5), Ok(()));
        assert!(compare(&x, &z, &[], 5).is_err());
    }

    #[test]
    fn finds_a_difference_in_a_slot_and_in_memory() {
        let x = trace("%0: i64 = slot a\n%1: i64 = add %0, 1\nend exit 0\nexit 0 resume 0x1 { a = %1 }");
        let y = trace("%0: i64 = slot a\n%1: i64 = or %0, 1\nend exit 0\nexit 0 resume 0x1 { a = %1 }");
        assert_eq!(compare(&x, &x, &[], 50), Ok(()));
        assert_eq!(compare(&x, &y, &[], 50).map_err(|d| d.what), Err("slot a".into()));
        let x = trace("%0: i64 = slot a\nstore %0, [%0] !m\nend exit 0\nexit 0 resume 0x1 { }");
        let y = trace("%0: i64 = slot a\nstore %0, [%0 + 1] !m\nend exit 0\nexit 0 resume 0x1 { }");
        assert_eq!(compare(&x, &x, &[], 50), Ok(()));
        assert_eq!(compare(&x, &y, &[], 50).map_err(|d| d.what), Err("memory".into()));
    }
}
