//! Loops that compilers made, in `tests/lifted/*.loop`: lifted, through the passes, into vectors, and both traces run on many states.
//!
//! ```text
//! ;; gcc -O1 gemm: c[j] += t * b[j]                remarks
//! head: 0x11bc
//! code: 66 0f 28 d3 f2 0f 59 12 …                  from the head to the branch back to it
//! expect: vector                                   or a part of the refusal
//! run: rax=0x10000+m rdx=0x20000 rcx=0x10000+8*n+m state; n is how often it goes round, m a small distance
//! ```

mod lift;
mod vectors;

use ir::filetest::TestMachine;
use ir::fuzz::{Random, mix};
use ir::interp::State;
use ir::trace::Trace;
use ir::types::SlotId;
use lift::lift_loop;
use optimize::pass::{Env, Features};
use optimize::passes::vectorize::vectorize;
use std::path::Path;

fn field<'a>(text: &'a str, name: &str) -> Result<&'a str, String> {
    text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim).ok_or(format!("there is no line {name}"))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `0x1000+8*n+m`
fn value(text: &str, n: u64, m: u64) -> Option<u64> {
    text.split('+').try_fold(0u64, |sum, part| {
        let product = part.split('*').try_fold(1u64, |p, f| {
            let factor = match f {
                "n" => n,
                "m" => m,
                "-n" => n.wrapping_neg(),
                _ => number(f)?,
            };
            Some(p.wrapping_mul(factor))
        })?;
        Some(sum.wrapping_add(product))
    })
}

fn run_passes(trace: &mut Trace, names: &[&str]) -> Result<(), String> {
    for name in names {
        let Some(mut pass) = optimize::passes::all().into_iter().find(|p| p.name() == *name) else {
            return Err(format!("there is no pass {name}"));
        };
        pass.run(trace, &mut Env::default());
        ir::verify::verify(trace).map_err(|e| format!("after {name}: {e:?}\n{trace}"))?;
    }
    Ok(())
}

fn check(text: &str) -> Result<(), String> {
    let head = number(field(text, "head:")?).ok_or("head: is no number")?;
    let code: Option<Vec<u8>> =
        field(text, "code:")?.split_whitespace().map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let mut scalar = lift_loop(&code.ok_or("code: bytes are two hex digits")?, head)?;
    run_passes(&mut scalar, &["forward", "forward", "dce", "split", "forward", "forward", "dce"])?;
    let expected = field(text, "expect:")?;
    let features = Features { v256: true, v512: true };
    let mut vector = match vectorize(&scalar, &mut Env::new(features, None)) {
        Ok(v) if expected == "vector" => v,
        Ok(v) => return Err(format!("a vector trace, where this was expected: {expected}\n{v}")),
        Err(e) if e.to_string().contains(expected) => return Ok(()),
        Err(e) => return Err(format!("refused: {e}\n{scalar}")),
    };
    run_passes(&mut vector, &["forward", "dce"])?;
    let mut entered = 0;
    for line in text.lines().filter_map(|l| l.strip_prefix("run:")) {
        for i in 0..60 {
            let mut random = Random(mix(i));
            let (n, m) = (i * 11 % 110 + 1, (random.below(160) as u64).wrapping_sub(80));
            // Half of the time nothing is near anything else.
            let m = if i % 2 == 0 { 0 } else { m };
            let mut state = State::new(&scalar.decls);
            for slot in 0..scalar.decls.slots.len() {
                state.set_wide(SlotId(slot as u16), &random.bits(&scalar.decls));
            }
            for part in line.split_whitespace() {
                let (slot, text) = part.split_once('=').ok_or("run: is a list of slot=value")?;
                let slot = scalar.decls.slot(slot).ok_or(format!("there is no slot {slot}"))?;
                state.set(slot, value(text, n, m).ok_or(format!("{text} is no value"))?);
            }
            let machine = TestMachine::new(scalar.decls.alias(), Some(i));
            entered += u32::from(vectors::same(&scalar, &vector, state, machine)?);
        }
    }
    if entered == 0 { Err(format!("no state enters the vector loop\n{vector}")) } else { Ok(()) }
}

#[test]
fn loops() -> Result<(), Box<dyn std::error::Error>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lifted");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        count += 1;
        if let Err(error) = check(&std::fs::read_to_string(&path)?) {
            failures.push(format!("{}: {error}", path.display()));
        }
    }
    assert!(count > 0);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
