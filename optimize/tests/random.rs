//! Every pass, and all of them in pipeline order, on random traces: well-formed before and after, and the same meaning on random states.
//! With fuel for half of the rewrites, too: any prefix of the rewrites must be right by itself.

use ir::filetest::compare;
use ir::fuzz::random_trace;
use ir::print::file;
use ir::trace::Trace;
use ir::verify::verify;
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};

/// How many traces, and of which sizes: small ones show an error in few lines, large ones find those that need many.
const SIZES: [(u64, usize); 3] = [(600, 8), (250, 30), (60, 120)];

fn check(what: &str, seed: u64, before: &Trace, after: &Trace) {
    if let Err(all) = verify(after) {
        panic!("{what} on seed {seed}: {all:?}\nbefore\n{}\nafter\n{}", file(before), file(after));
    }
    if let Err(difference) = compare(before, after, &[], 12) {
        panic!("{what} on seed {seed}: {difference}\nbefore\n{}\nafter\n{}", file(before), file(after));
    }
}

fn each(mut f: impl FnMut(u64, &Trace)) {
    for (count, size) in SIZES {
        for seed in 0..count {
            let seed = seed << 8 | size as u64;
            f(seed, &random_trace(seed, size));
        }
    }
}

#[test]
fn each_pass() {
    let mut passes = optimize::passes::all();
    each(|seed, before| {
        for pass in &mut passes {
            let mut after = before.clone();
            let mut env = Env::default();
            let changed = pass.run(&mut after, &mut env);
            check(pass.name(), seed, before, &after);
            assert!(changed || file(&after) == file(before), "{} changed a trace and says no", pass.name());
            if env.used() > 1 {
                let mut half = before.clone();
                pass.run(&mut half, &mut Env::new(Features::default(), Some(env.used() / 2)));
                check(pass.name(), seed, before, &half);
            }
        }
    });
}

#[test]
fn whole_pipelines() {
    for (level, features) in [
        (Level::Quick, Features::default()),
        (Level::Full, Features::default()),
        (Level::Full, Features { v256: true, v512: true }),
    ] {
        let mut pipeline = Pipeline::new(level);
        each(|seed, before| {
            let mut after = before.clone();
            pipeline.run(&mut after, &mut Env::new(features, None), |_, _| {});
            check(&format!("{level:?}"), seed, before, &after);
        });
    }
}
