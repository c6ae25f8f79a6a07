//! The kind `vector` of file tests: the vector trace of a scalar one. The output is the vector trace, or why there is none; and both must
//! do the same, where the vector trace goes on in the scalar one whenever it declines.

use ir::filetest::{Case, Row, TestMachine};
use ir::interp::{Interp, Outcome, State};
use ir::snapshot::ExitKind;
use ir::trace::Trace;
use ir::types::SlotId;
use optimize::pass::{Env, Features, Pass};
use optimize::passes::dce::Dce;
use optimize::passes::vectorize::vectorize;

/// How often a loop may go round.
const FUEL: u64 = 1000;

/// Runs the case.
pub fn vector(case: &Case<'_>) -> Result<String, String> {
    let scalar = case.trace()?;
    let rows: Result<Vec<Row>, _> = case
        .text
        .lines()
        .filter_map(|l| l.strip_prefix("; run:"))
        .map(|l| Row::parse(l, &scalar.decls))
        .collect();
    let rows = rows.map_err(|e| e.to_string())?;
    let features = Features { v256: true, v512: true };
    let mut made = match vectorize(&scalar, &mut Env::new(features, None)) {
        Ok(made) => made,
        Err(refusal) => return Ok(format!("refused: {refusal}")),
    };
    verified(&made)?;
    Dce::default().run(&mut made, &mut Env::new(features, None));
    verified(&made)?;
    let mut entered = 0;
    for (i, row) in rows.iter().enumerate() {
        for seed in 0..40 {
            // Memory that the row names first with nothing around it, then with noise everywhere.
            let seed = (seed > 0).then_some(seed * 977 + i as u64);
            let (state, machine) = row.start(&scalar, seed);
            entered += u64::from(same(&scalar, &made, state, machine)?);
        }
    }
    let note = if entered == 0 && !rows.is_empty() { "; no row enters the vector loop\n" } else { "" };
    Ok(format!("{note}{made}"))
}

fn verified(trace: &Trace) -> Result<(), String> {
    ir::verify::verify(trace).map_err(|all| {
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        format!("ill-formed:\n{}\n{trace}", texts.join("\n"))
    })
}

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
