//! The kind `vector` of file tests: the vector trace of a scalar one. The output is the vector trace, or why there is none; and both must
//! do the same on the states of the rows.

use crate::vectors::same;
use ir::filetest::{Case, Row};
use ir::trace::Trace;
use optimize::pass::{Env, Features, Pass};
use optimize::passes::dce::Dce;
use optimize::passes::vectorize::vectorize;

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
