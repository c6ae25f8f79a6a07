//! Compiled code against the interpreter, on random traces and random states.

mod generator;
mod guest;
mod native;
mod oracle;

use native::Machine;
use oracle::{Verdict, check};

#[test]
fn random_integer_traces() {
    let mut machine = Machine::new();
    let mut same = 0;
    for seed in 0..1500 {
        let trace = generator::integer_trace(seed, 4 + (seed % 40) as usize, machine.memory_base());
        ir::verify::verify(&trace).unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{trace}"));
        match check(&trace, &mut machine, seed, 6) {
            Ok(Verdict::Same) => same += 1,
            Ok(Verdict::Skipped) => {}
            Err(e) => panic!("seed {seed}: {e}"),
        }
    }
    println!("{same} traces");
    assert!(same > 500, "only {same} traces could be compared");
}
