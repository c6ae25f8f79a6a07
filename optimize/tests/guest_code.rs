//! Random loops of real instructions through the whole pipeline: what decoding makes of machine code has shapes that random traces have
//! not. `guest_code/instructions.txt` has the instructions; each loop is a few of them at random and a conditional branch back.

mod lift;

use ir::filetest::compare;
use ir::fuzz::Random;
use ir::print::file;
use lift::lift_loop;
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};

/// How many loops; `GUEST_CODE_COUNT` asks for more.
const COUNT: u64 = 1500;

fn instructions() -> Vec<Vec<u8>> {
    include_str!("guest_code/instructions.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| {
            let bytes = l.split(';').next().unwrap_or_default().split_whitespace();
            bytes.map(|b| u8::from_str_radix(b, 16).expect("hex")).collect()
        })
        .collect()
}

/// A few instructions and a branch back on a random condition.
fn code(random: &mut Random, all: &[Vec<u8>]) -> Vec<u8> {
    let mut code = Vec::new();
    // Few different ones, so that they have to do with each other.
    let few: Vec<usize> = (0..2 + random.below(8)).map(|_| random.below(all.len())).collect();
    for _ in 0..1 + random.below(16) {
        let i = if random.one_in(3) { random.below(all.len()) } else { few[random.below(few.len())] };
        code.extend_from_slice(&all[i]);
    }
    let distance = -(code.len() as i32 + 6);
    code.extend_from_slice(&[0x0f, 0x80 | random.below(16) as u8]);
    code.extend_from_slice(&distance.to_le_bytes());
    code
}

#[test]
fn random_code_means_the_same() {
    let all = instructions();
    let mut pipelines = [
        (Pipeline::new(Level::Quick), Features::default()),
        (Pipeline::new(Level::Full), Features::default()),
    ];
    let (mut before, mut after) = (0, 0);
    let count = std::env::var("GUEST_CODE_COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(COUNT);
    for seed in 0..count {
        let mut random = Random(ir::fuzz::mix(seed));
        let code = code(&mut random, &all);
        let Ok(mut trace) = lift_loop(&code, 0x40_0000) else { continue };
        if random.one_in(4) {
            trace.facts.retain(|f| f.name != "Private");
        }
        for (pipeline, features) in &mut pipelines {
            let mut new = trace.clone();
            pipeline.run(&mut new, &mut Env::new(*features, None), |_, _| {});
            let told = |what: String| format!("seed {seed}: {what}\nbefore\n{trace}\nafter\n{new}");
            assert!(ir::verify::verify(&new).is_ok(), "{}", told(format!("{:?}", ir::verify::verify(&new))));
            if let Err(difference) = compare(&trace, &new, &[], 10) {
                panic!("{}\n{}", told(difference.to_string()), file(&trace));
            }
            before += trace.insts.len();
            after += new.insts.len();
        }
    }
    eprintln!("{before} lines before, {after} after");
}
