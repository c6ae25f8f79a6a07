//! Loops that compilers made, in `tests/lifted/*.loop`: lifted, through the passes, into vectors, and both traces run on many states.
//!
//! ```text
//! ;; gcc -O1 gemm: c[j] += t * b[j]                remarks
//! head: 0x11bc
//! code: 66 0f 28 d3 f2 0f 59 12 …                  from the head to the branch back to it
//! expect: vector                                   or none
//! run: rax=0x10000+m rdx=0x20000 rcx=0x10000+8*n+m
//! run: rbp=0x50000 m4[0x4fffc]=0x60+-n             four bytes of memory
//! ```
//!
//! In a state `n` is how often the loop goes round, and `m` a small distance, 0 half of the time. All else is random.
//! ```

mod lift;
mod vectors;

use ir::filetest::TestMachine;
use ir::fuzz::{Random, mix};
use ir::interp::State;
use ir::types::SlotId;
use lift::lift_loop;
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};
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

fn check(text: &str) -> Result<(), String> {
    let head = number(field(text, "head:")?).ok_or("head: is no number")?;
    let code: Option<Vec<u8>> =
        field(text, "code:")?.split_whitespace().map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let mut scalar = lift_loop(&code.ok_or("code: bytes are two hex digits")?, head)?;
    let mut env = Env::new(Features { v256: true, v512: true }, None);
    let vector = Pipeline::new(Level::Full).run_with_vector(&mut scalar, &mut env, |_, _| {});
    let vector = match (vector, field(text, "expect:")?) {
        (Some(v), "vector") => v,
        (None, "none") => return Ok(()),
        (None, _) => return Err(format!("no vector trace of\n{scalar}")),
        (Some(v), _) => return Err(format!("a vector trace\n{v}")),
    };
    ir::verify::verify(&vector).map_err(|e| format!("{e:?}\n{vector}"))?;
    let mut entered = 0;
    for line in text.lines().filter_map(|l| l.strip_prefix("run:")) {
        for i in 0..40 {
            let mut random = Random(mix(i));
            let (n, m) = (i * 31 % 128 + 1, (random.below(160) as u64).wrapping_sub(80));
            // Half of the time nothing is near anything else.
            let m = if i % 2 == 0 { 0 } else { m };
            let mut state = State::new(&scalar.decls);
            for slot in 0..scalar.decls.slots.len() {
                state.set_wide(SlotId(slot as u16), &random.bits(&scalar.decls));
            }
            let mut machine = TestMachine::new(scalar.decls.alias(), Some(i));
            for part in line.split_whitespace() {
                let (place, text) = part.split_once('=').ok_or("run: is a list of place=value")?;
                let value = value(text, n, m).ok_or(format!("{text} is no value"))?;
                if let Some((size, addr)) = place.strip_prefix('m').and_then(|p| p.split_once('[')) {
                    let (size, addr) = (number(size), number(addr.trim_end_matches(']')));
                    let bytes = value.to_le_bytes();
                    let bytes =
                        bytes.get(..size.unwrap_or(9) as usize).ok_or(format!("{place}: what size?"))?;
                    machine.poke(addr.ok_or(format!("{place} is no place"))?, bytes);
                } else {
                    let slot = scalar.decls.slot(place).ok_or(format!("there is no slot {place}"))?;
                    state.set(slot, value);
                }
            }
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
