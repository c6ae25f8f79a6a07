//! Compiled code against the interpreter, on random traces and random states. (The `.tir` files here are run by `filetests.rs`, by the
//! kind in `kind.rs`.)

mod generator;
mod guest;
mod native;
mod oracle;
mod vectors;

use native::Machine;
use optimize::pass::{Env, Pass};
use optimize::passes::dce::Dce;
use optimize::pipeline::{Level, Pipeline};
use oracle::{Verdict, check};

#[test]
fn random_integer_traces() {
    let mut machine = Machine::new();
    let mut same = 0;
    for seed in 0..std::env::var("CODEGEN_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1500) {
        let mut trace = generator::integer_trace(seed, 4 + (seed % 40) as usize, machine.memory_base());
        // What is dead does not fault.
        Dce::default().run(&mut trace, &mut Env::default());
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

/// Traces that `dynrun --traces DIR` wrote, when the variable CODEGEN_TRACES names the directory: as lifted, and after the
/// passes.
#[test]
fn captured_traces() {
    let Ok(dir) = std::env::var("CODEGEN_TRACES") else { return };
    let mut machine = Machine::new();
    let mut pipeline = Pipeline::new(Level::Full);
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).expect("the directory").flatten().map(|e| e.path()).collect();
    files.sort();
    let (mut same, mut wrong) = (0, 0);
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a readable file");
        let Ok(parsed) = ir::parse::parse(&text) else { continue };
        let mut trace = parsed.trace;
        for passes in [false, true] {
            if passes {
                pipeline.run(&mut trace, &mut Env::default(), |_, _| {});
            }
            match check(&trace, &mut machine, 7, 400) {
                Ok(Verdict::Same) => same += 1,
                Ok(Verdict::Skipped) => {}
                Err(e) => {
                    wrong += 1;
                    println!("{}, passes {passes}: {e}", path.display());
                }
            }
        }
    }
    println!("{same} the same, {wrong} not, of {} files", files.len());
    assert_eq!(wrong, 0);
}

/// As many seeds as usual, or those that `CODEGEN_SEEDS=FIRST..END` names.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let named = std::env::var("CODEGEN_SEEDS").ok();
    let range = named
        .as_deref()
        .and_then(|s| s.split_once(".."))
        .and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    range.unwrap_or(0..usual)
}

/// Operations on floats and vectors, each at each of its types. Those without machine code are listed.
#[test]
fn every_vector_operation() {
    let mut machine = Machine::new();
    let mut missing = std::collections::BTreeSet::new();
    for (n, form) in vectors::forms().into_iter().enumerate() {
        let mut same = 0;
        for seed in 0..24 {
            let seed = n as u64 * 1000 + seed;
            let trace = vectors::single(seed, form, machine.memory_base());
            ir::verify::verify(&trace).unwrap_or_else(|e| panic!("{form:?}, seed {seed}: {e:?}\n{trace}"));
            match check(&trace, &mut machine, seed, 8) {
                Ok(Verdict::Same) => same += 1,
                Ok(Verdict::Skipped) => {}
                Err(e) => panic!("{form:?}, seed {seed}: {e}"),
            }
        }
        if same == 0 {
            missing.insert(format!("{} {} {}", form.op.name(), form.aty, form.ty));
        }
    }
    println!("{} missing: {missing:#?}", missing.len());
}

/// Mixtures, every other one of few operations and after the passes, which leave chains of them.
#[test]
fn random_vector_traces() {
    let mut machine = Machine::new();
    let all = vectors::forms();
    let few: Vec<_> = all.iter().copied().filter(vectors::is_common).collect();
    let mut pipeline = Pipeline::new(Level::Full);
    let (mut same, mut made) = (0, 0);
    for seed in seeds(4000) {
        let forms = if seed % 2 == 0 { &all } else { &few };
        let mut trace = vectors::mixture(seed, 3 + (seed % 24) as usize, forms, machine.memory_base());
        ir::verify::verify(&trace).unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{trace}"));
        if seed % 2 == 1 {
            pipeline.run(&mut trace, &mut Env::default(), |_, _| {});
        }
        match check(&trace, &mut machine, seed, 6) {
            Ok(Verdict::Same) => same += 1,
            Ok(Verdict::Skipped) => {}
            Err(e) => panic!("seed {seed}: {e}"),
        }
        made += 1;
    }
    println!("{same} of {made} traces");
    assert!(same > made / 2, "only {same} traces could be compared");
}
