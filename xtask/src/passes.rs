//! `cargo xtask passes`: do the passes keep the meaning of real traces?
//!
//! `dynrun --traces=DIR -O3 --hot=2 PROGRAM` writes each path as lifted. Every one goes through the pipelines of both levels,
//! for machines with vectors of 128, 256 and 512 bits; after each pass the trace must be well-formed and do on random states what it
//! did before ([`ir::filetest::compare`]). No code is generated, so what is found is the fault of one pass.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ir::trace::Trace;
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};

const MACHINES: [Features; 3] = [
    Features { v256: false, v512: false },
    Features { v256: true, v512: false },
    Features { v256: true, v512: true },
];

/// Checks all traces.
///
/// # Errors
/// With each trace, machine and pass where something differs.
pub fn check(paths: &[PathBuf], states: u64) -> Result<()> {
    let (mut seen, mut wrong) = (HashSet::new(), 0);
    for path in files(paths)? {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if !seen.insert(text.clone()) {
            continue;
        }
        let trace = match ir::parse::parse(&text) {
            Ok(parsed) => parsed.trace,
            Err(error) => bail!("{}: {error}", path.display()),
        };
        if let Err(errors) = ir::verify::verify(&trace) {
            println!("{}: ill-formed as lifted: {errors:?}", path.display());
            wrong += 1;
            continue;
        }
        for (level, features) in
            [Level::Quick, Level::Full].into_iter().flat_map(|l| MACHINES.into_iter().map(move |m| (l, m)))
        {
            if let Err(why) = one(&trace, level, features, states) {
                println!("{}: {level:?} {features:?}: {why}", path.display());
                wrong += 1;
                break;
            }
        }
    }
    println!("{} traces, {wrong} wrong", seen.len());
    if wrong > 0 { bail!("{wrong} traces go wrong") } else { Ok(()) }
}

fn one(trace: &Trace, level: Level, features: Features, states: u64) -> Result<(), String> {
    let (mut last, mut names, mut fault) = (trace.clone(), Vec::new(), None);
    let mut work = trace.clone();
    let run = catch_unwind(AssertUnwindSafe(|| {
        Pipeline::new(level).run(&mut work, &mut Env::new(features, None), |name, after| {
            names.push(name);
            if fault.is_some() {
                return;
            }
            if let Err(errors) = ir::verify::verify(after) {
                fault = Some(format!("ill-formed after {}: {errors:?}", names.join(", ")));
            } else if let Err(difference) = ir::filetest::compare(&last, after, &[], states) {
                fault = Some(format!("after {}: {difference}", names.join(", ")));
            }
            last = after.clone();
        });
    }));
    if run.is_err() {
        return Err(format!("a panic after {}", names.join(", ")));
    }
    fault.map_or(Ok(()), Err)
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
            let entry = entry?.path();
            if entry.extension() == Some(Path::new("tir").as_os_str()) {
                all.push(entry);
            }
        }
    }
    all.sort();
    Ok(all)
}
