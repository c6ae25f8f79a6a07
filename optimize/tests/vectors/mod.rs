//! A scalar trace and its vector trace do the same, where the vector trace goes on in the scalar one whenever it declines.

use ir::filetest::TestMachine;
use ir::interp::{Interp, Outcome, State};
use ir::snapshot::ExitKind;
use ir::trace::Trace;
use ir::types::SlotId;

/// How often a loop may go round.
const FUEL: u64 = 1000;

/// Runs the scalar trace, and the vector trace with what follows it, from one state. Was the vector loop entered?
pub fn same(scalar: &Trace, vector: &Trace, state: State, machine: TestMachine) -> Result<bool, String> {
    let mut interp = Interp::new();
    let (mut state_s, mut machine_s) = (state.clone(), machine.clone());
    let end_s = interp.run(scalar, &mut state_s, &mut machine_s, FUEL);
    let (mut state_v, mut machine_v) = (state.clone(), machine.clone());
    let mut end_v = interp.run(vector, &mut state_v, &mut machine_v, FUEL);
    let early = machine_v.memory == machine.memory;
    let mut went = end_v;
    if let Outcome::Exit { kind: ExitKind::Decline, resume, .. } = end_v {
        if resume != scalar.entry {
            return Err(format!("declines at {resume:?}"));
        }
        went = interp.run(scalar, &mut state_v, &mut machine_v, FUEL);
    } else {
        end_v = Outcome::OutOfFuel;
    }
    let alike = match (end_s, went) {
        (Outcome::OutOfFuel, _) | (_, Outcome::OutOfFuel) => return Ok(false),
        (Outcome::Exit { kind: a, resume: x, .. }, Outcome::Exit { kind: b, resume: y, .. }) => {
            a == b && x == y
        }
        // Which of several faults comes first is nobody's business (`assume NoFaultHandler`).
        (Outcome::Fault { .. }, Outcome::Fault { .. }) => return Ok(false),
        (a, b) => a == b,
    };
    let show = |what: &str| format!("{what} differs: {end_s:?}, {end_v:?}, {went:?}\n{vector}");
    if !alike {
        return Err(show("the end"));
    }
    for (i, slot) in scalar.decls.slots.iter().enumerate() {
        let (a, b) = (state_s.get_wide(SlotId(i as u16)), state_v.get_wide(SlotId(i as u16)));
        if a != b {
            return Err(show(&format!("{} ({a:x?}, {b:x?})", slot.name)));
        }
    }
    if machine_s.memory != machine_v.memory {
        return Err(show("memory"));
    }
    Ok(!early || matches!(went, Outcome::Exit { .. }) && end_v == Outcome::OutOfFuel)
}
