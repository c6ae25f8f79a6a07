//! The pass `carry` on random loops of narrow loads and stores close to each other, where nearly everything may alias: the same meaning
//! before and after, with all fuel and with half of it.

use ir::filetest::{Row, compare};
use ir::parse::parse;
use ir::trace::Trace;
use ir::verify::verify;
use optimize::pass::{Env, Features, Pass};
use optimize::passes::carry::Carry;
use std::fmt::Write;

const HEAD: &str = "slot rax: i64 hint rax
slot rcx: i64 hint rcx
slot rsi: i64 hint rsi
class guest.memory

trace t entry 0x1185 {
  assume NoFaultHandler
  assume Private(\"guest.memory\")
  %0: i64 = slot rax
  %1: i64 = slot rcx
  %2: i64 = slot rsi
loop(%7: i64 = %1, %8: i64 = %2, %9: i64 = %0):
  at 0x1185
";

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A loop of two to six accesses, with the step of its pointers.
fn random_loop(dice: &mut Dice) -> (String, i64) {
    let step = dice.of(&[1i64, 2, 4, 8, -1, -2, -4, -8]);
    let mut text = HEAD.to_owned();
    // Sums are %9, then %20, %22, … What addresses rest on is mostly one pointer.
    let (mut value, mut sum) = (20, 9);
    let favourite = dice.of(&["i8", "i16", "i32", "i64"]);
    for _ in 0..2 + dice.below(5) {
        let base = dice.of(&["%7", "%7", "%7", "%7", "%8", "%1"]);
        let ty = if dice.below(4) > 0 { favourite } else { dice.of(&["i8", "i16", "i32", "i64"]) };
        let disp = if dice.below(2) > 0 { dice.of(&[0, 1, -1]) * step } else { dice.below(17) as i64 - 8 };
        let sign = if disp < 0 { '-' } else { '+' };
        let at = format!("[{base} {sign} {}] !guest.memory", disp.abs());
        if dice.below(2) > 0 {
            let wide = if ty == "i64" { value } else { value + 1 };
            let _ = writeln!(text, "  %{value}: {ty} = load {at}");
            if wide != value {
                let _ = writeln!(text, "  %{wide}: i64 = zext %{value}");
            }
            let _ = writeln!(text, "  %{}: i64 = add %{sum}, %{wide}", value + 2);
            (sum, value) = (value + 2, value + 3);
        } else if ty == "i64" {
            let _ = writeln!(text, "  store %{sum}, {at}");
        } else {
            let _ = writeln!(text, "  %{value}: {ty} = trunc %{sum}\n  store %{value}, {at}");
            value += 1;
        }
    }
    let (op, by) = if step < 0 { ("sub", -step) } else { ("add", step) };
    let _ = write!(
        text,
        "  %10: i64 = {op} %7, {by}
  %11: i64 = {op} %8, {by}
  %12: i1 = ne %10, {}
  guard %12 else exit 1
  end loop(%10, %11, %{sum}) else exit 2
  exit 1 resume 0x11a8 {{ rax = %{sum}, rcx = %10, rsi = %11 }}
  exit 2 resume 0x1185 {{ rax = %{sum}, rcx = %10, rsi = %11 }}
}}
",
        0x10000 + 13 * step
    );
    (text, step)
}

fn run(before: &Trace, fuel: Option<u64>) -> (Trace, u64) {
    let mut after = before.clone();
    let mut env = Env::new(Features::default(), fuel);
    Carry::default().run(&mut after, &mut env);
    (after, env.used())
}

#[test]
fn random_loops() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut carried = 0;
    for seed in 0..5000 {
        let (text, step) = random_loop(&mut dice);
        let before = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}")).trace;
        // The second pointer beside the first, or far away.
        let rows: Vec<Row> = [step, 0, -3, 0x800]
            .iter()
            .map(|d| format!(" rax=5 rcx=0x10000 rsi={:#x} => any", 0x10000 + d))
            .map(|l| Row::parse(&l, &before.decls).expect("a row"))
            .collect();
        let (all, used) = run(&before, None);
        carried += used;
        for after in [all, run(&before, Some(used / 2)).0] {
            assert!(verify(&after).is_ok(), "{seed}: {:?}\n{text}\n{after}", verify(&after));
            if let Err(difference) = compare(&before, &after, &rows.iter().collect::<Vec<_>>(), 4) {
                panic!("{seed}: {difference}\n{text}\n{after}");
            }
        }
    }
    assert!(carried > 100, "only {carried} loads were carried");
}
