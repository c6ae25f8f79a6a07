//! The memory passes on random loops whose addresses often meet: a few base registers near each other, small displacements,
//! indices that move, all widths. Before and after must do the same, or the side after may leave early where a check of its own fails.

use ir::filetest::{Row, compare};
use ir::fuzz::Random;
use ir::print::file;
use ir::trace::Trace;
use ir::verify::verify;
use optimize::pass::{Env, Features};
use std::fmt::Write;

/// Values of each type made so far.
#[derive(Default, Clone)]
struct Values {
    all: Vec<(usize, &'static str)>,
    next: usize,
}

impl Values {
    fn make(&mut self, ty: &'static str) -> usize {
        self.next += 1;
        self.all.push((self.next - 1, ty));
        self.next - 1
    }

    fn pick(&self, random: &mut Random, ty: &str) -> String {
        let fitting: Vec<usize> = self.all.iter().filter(|v| v.1 == ty).map(|v| v.0).collect();
        let young = &fitting[fitting.len() - fitting.len().min(4)..];
        let from = if random.one_in(2) { young } else { &fitting };
        match random.pick(from) {
            Some(v) => format!("%{v}"),
            None if ty == "f64" => "1.5".into(),
            None => format!("{}", random.below(9)),
        }
    }
}

const TYPES: [&str; 8] = ["i64", "i64", "i64", "i64", "i32", "i8", "f64", "v128"];
const SLOTS: [&str; 4] = ["a", "b", "c", "d"];

/// A loop of about `size` lines over four bases, which are invariant, and a counter, which serves as an address or an index.
struct Writer {
    t: String,
    exits: String,
    exit: usize,
    r: Random,
    v: Values,
    /// The counter of the loop, once there is one.
    counter: Option<usize>,
}

fn random_loop(seed: u64, size: usize) -> String {
    let w = Writer {
        t: String::new(),
        exits: String::new(),
        exit: 0,
        r: Random(seed),
        v: Values::default(),
        counter: None,
    };
    w.write(size)
}

/// What the slots hold between iterations, if the parameters are these.
fn head_state(params: &[String]) -> String {
    let each = params.iter().zip(["b", "c", "d"]).map(|(p, slot)| format!("{slot} = {p}"));
    each.collect::<Vec<_>>().join(", ")
}

impl Writer {
    fn write(mut self, size: usize) -> String {
        for s in SLOTS {
            let _ = writeln!(self.t, "slot {s}: i64");
        }
        self.t.push_str("class all\nclass stack < all\nclass heap < all\nclass other disjoint all\n");
        self.t.push_str("helper touch() writes heap\ntrace t entry 0x77 {\n");
        for class in ["all", "stack", "heap"] {
            if self.r.one_in(if class == "all" { 2 } else { 3 }) {
                let _ = writeln!(self.t, "assume Private({class})");
            }
        }
        if self.r.one_in(2) {
            self.t.push_str("assume NoFaultHandler\n");
        }
        for s in SLOTS {
            let n = self.v.make("i64");
            let _ = writeln!(self.t, "%{n}: i64 = slot {s}");
        }
        let _ = writeln!(self.t, "%{}: i64 = sub %0, %0", self.v.make("i64"));
        for _ in 0..self.r.below(3) {
            self.line(0x8);
        }
        let params = self.r.below(3);
        let entries: Vec<String> = (0..params).map(|_| self.v.pick(&mut self.r, "i64")).collect();
        let start = if self.r.one_in(2) { "%4".into() } else { format!("%{}", self.r.below(4)) };
        let limit = self.v.make("i64");
        let counter = self.v.make("i64");
        self.counter = Some(counter);
        let (step, rounds) = (self.r.pick(&[1, 4, 8]).unwrap_or(1), 1 + self.r.below(12));
        let op = if self.r.one_in(3) { "sub" } else { "add" };
        let next = self.v.next;
        self.v.next += 1;
        let mut list = vec![format!("%{counter}: i64 = {start}")];
        let first = self.v.next;
        for e in entries {
            list.push(format!("%{}: i64 = {e}", self.v.make("i64")));
        }
        let _ = writeln!(self.t, "%{limit}: i64 = {op} {start}, {}", rounds * step);
        let _ = writeln!(self.t, "loop({}):", list.join(", "));
        let now: Vec<String> =
            (0..=params).map(|i| format!("%{}", if i == 0 { counter } else { first + i - 1 })).collect();
        let _ = writeln!(self.t, "at 0x77 else exit {}", self.exit);
        let _ = writeln!(self.exits, "exit {} resume 0x77 {{ {} }}", self.exit, head_state(&now));
        self.exit += 1;
        for i in 0..size {
            self.line(0x10 + i as u64);
        }
        let _ = writeln!(self.t, "%{next}: i64 = {op} %{counter}, {step}");
        let seen = if self.r.one_in(4) { counter } else { next };
        let cond = match self.r.below(5) {
            0 | 1 => format!("ne %{seen}, %{limit}"),
            2 if op == "add" => format!("ult %{seen}, %{limit}"),
            3 if op == "add" => format!("sle %{seen}, %{limit}"),
            2 => format!("ule %{limit}, %{seen}"),
            3 => format!("slt %{limit}, %{seen}"),
            _ if op == "add" => format!("slt %{seen}, %{limit}"),
            _ => format!("sle %{limit}, %{seen}"),
        };
        let n = self.v.make("i1");
        let _ = writeln!(self.t, "%{n}: i1 = {cond}\nguard %{n} else exit {}", self.exit);
        let (x, y) = (self.v.pick(&mut self.r, "i64"), self.v.pick(&mut self.r, "i64"));
        let _ = writeln!(self.exits, "exit {} resume 0x99 {{ a = {x}, d = {y} }}", self.exit);
        let mut next = vec![format!("%{next}")];
        for i in 0..params {
            let same = self.r.one_in(3);
            next.push(if same { format!("%{}", first + i) } else { self.v.pick(&mut self.r, "i64") });
        }
        let back = next.join(", ");
        let _ = writeln!(self.t, "end loop({back}) else exit {}\n{}", self.exit + 1, self.exits);
        let _ = writeln!(self.t, "exit {} resume 0x77 {{ {} }}\n}}", self.exit + 1, head_state(&next));
        self.t
    }

    fn address(&mut self) -> String {
        let base = match self.r.below(8) {
            0 => self.v.pick(&mut self.r, "i64"),
            1 => format!("%{}", self.counter.unwrap_or(0)),
            _ => format!("%{}", self.r.below(3)),
        };
        let index = match (self.counter, self.r.below(4)) {
            (Some(c), 0) => format!(" + %{c}*{}", 1 << self.r.below(4)),
            _ => String::new(),
        };
        let disp = self.r.below(5) as i64 * 4 - 8;
        let class = self.r.pick(&["stack", "heap", "stack", "heap", "all"]).unwrap_or("all");
        format!("[{base}{index} + {disp}] !{class}").replace("+ -", "- ")
    }

    fn exit_binds(&mut self) -> String {
        let (x, y) = (self.v.pick(&mut self.r, "i64"), self.v.pick(&mut self.r, "i64"));
        format!("{{ a = {x}, b = add({y}, 1) }}")
    }

    fn line(&mut self, pc: u64) {
        let ty = self.r.pick(&TYPES).unwrap_or("i64");
        match self.r.below(13) {
            0..5 => {
                let a = self.address();
                let n = self.v.make(ty);
                let _ = writeln!(self.t, "%{n}: {ty} = load {a}");
            }
            5..8 => {
                let mut value = self.v.pick(&mut self.r, ty);
                if !value.starts_with('%') {
                    let _ = write!(value, ":{ty}");
                }
                let a = self.address();
                if !self.r.one_in(5) {
                    let _ = writeln!(self.t, "at {pc} else exit {}", self.exit);
                    let binds = self.exit_binds();
                    let _ = writeln!(self.exits, "exit {} resume {pc} {binds}", self.exit);
                    self.exit += 1;
                }
                let _ = writeln!(self.t, "store {value}, {a}");
            }
            8 | 9 => {
                let (x, k) = (self.v.pick(&mut self.r, "i64"), self.r.below(5) * 4);
                let n = self.v.make("i64");
                let op = if self.r.one_in(2) { "add" } else { "sub" };
                let _ = writeln!(self.t, "%{n}: i64 = {op} {x}, {k}");
            }
            10 => {
                let (x, y) = (self.v.pick(&mut self.r, "i64"), self.v.pick(&mut self.r, "i64"));
                let n = self.v.make("i64");
                let _ = writeln!(self.t, "%{n}: i64 = xor {x}, {y}");
            }
            11 => {
                let (x, n) = (self.v.pick(&mut self.r, "i64"), self.v.make("i1"));
                let _ = writeln!(self.t, "%{n}: i1 = ne {x}, {}", self.r.below(64));
                let _ = writeln!(self.t, "guard %{n} else exit {}", self.exit);
                let binds = self.exit_binds();
                let _ = writeln!(self.exits, "exit {} resume 0x80 {binds}", self.exit);
                self.exit += 1;
            }
            _ => {
                let _ = match self.r.below(6) {
                    0 => writeln!(self.t, "fence"),
                    1 => writeln!(self.t, "call touch()"),
                    _ => Ok(()),
                };
            }
        }
    }
}

fn rows(seed: u64, trace: &Trace) -> Vec<Row> {
    let mut r = Random(seed);
    let each = (0..14).map(|_| {
        let mut text = String::new();
        for s in SLOTS {
            let value = match r.below(5) {
                0 => r.below(9),
                _ => 0x1000 + 4 * r.below(24),
            };
            let _ = write!(text, "{s}={value} ");
        }
        for i in 0..24 {
            let value = if r.one_in(3) { 0x1000 + 4 * r.below(24) } else { r.below(9) };
            let _ = write!(text, "m[{}]={value} ", 0xfe0 + 8 * i);
        }
        Row::parse(&format!("{text} => any"), &trace.decls).expect("a row")
    });
    each.collect()
}

/// Runs these passes on random loops; gives how many changed.
fn check(names: &[&str], count: u64, fuel: Option<u64>) -> usize {
    let mut passes = optimize::passes::all();
    let mut changed = 0;
    for seed in 0..count {
        let text = random_loop(seed, 4 + (seed % 23) as usize);
        let before = match ir::parse::parse(&text) {
            Ok(p) => p.trace,
            Err(e) => panic!("{e}\n{text}"),
        };
        assert!(verify(&before).is_ok(), "{:?}\n{text}", verify(&before));
        let mut after = before.clone();
        let mut env = Env::new(Features::default(), fuel.map(|f| f + seed % 7));
        for name in names {
            let pass = passes.iter_mut().find(|p| p.name() == *name).expect("a pass");
            changed += usize::from(pass.run(&mut after, &mut env));
        }
        if let Err(all) = verify(&after) {
            panic!("{names:?} on seed {seed}: {all:?}\nbefore\n{text}\nafter\n{}", file(&after));
        }
        let rows = rows(seed, &before);
        let rows: Vec<&Row> = rows.iter().collect();
        if let Err(difference) = compare(&before, &after, &rows, 18) {
            panic!("{names:?} on seed {seed}: {difference}\nbefore\n{text}\nafter\n{}", file(&after));
        }
    }
    changed
}

#[test]
fn forwarding_in_random_loops() {
    assert!(check(&["load_forward"], 300, None) > 60);
    check(&["load_forward"], 100, Some(1));
}

#[test]
fn peeling_random_loops() {
    assert!(check(&["peel"], 200, None) > 100);
}

#[test]
fn carrying_in_random_loops() {
    assert!(check(&["peel", "load_forward"], 500, None) > 200);
    check(&["peel", "load_forward"], 200, Some(2));
}

#[test]
fn guards_in_random_loops() {
    assert!(check(&["peel", "disambiguate"], 600, None) > 200);
    check(&["peel", "disambiguate"], 200, Some(3));
    check(&["disambiguate"], 150, None);
}

#[test]
fn dead_stores_in_random_loops() {
    assert!(check(&["dead_store"], 600, None) > 5);
    check(&["load_forward", "dead_store"], 300, None);
    check(&["dead_store"], 200, Some(1));
}

#[test]
fn hoisted_guards_in_random_loops() {
    let all = ["peel", "disambiguate", "forward", "hoist", "forward", "dce"];
    assert!(check(&all, 600, None) > 200);
    check(&all[..4], 200, Some(9));
}

/// A counter in memory next to which a store runs up or down: each distance at which the two meet, or just do not.
#[test]
fn stores_at_every_distance() {
    // How the loop counts, from where to where.
    const WAYS: [(&str, &str, &str, &str); 10] = [
        ("0", "%2", "add %3, 1", "slt %7, LIMIT"),
        ("0", "%2", "add %3, 1", "slt %3, LIMIT"),
        ("0", "%2", "add %3, 2", "sle %7, LIMIT"),
        ("0", "%2", "add %3, 2", "ult %7, LIMIT"),
        ("0", "%2", "add %3, 1", "ne %7, LIMIT"),
        ("0", "%2", "add %3, 1", "ne %3, LIMIT"),
        ("%2", "0", "sub %3, 1", "ne %7, LIMIT"),
        ("%2", "0", "sub %3, 1", "slt LIMIT, %7"),
        ("%2", "0", "sub %3, 2", "sle LIMIT, %3"),
        ("-3", "%2", "add %3, 1", "slt %7, LIMIT"),
    ];
    let names = ["peel", "disambiguate", "forward", "hoist", "forward", "dce"];
    let mut passes = optimize::passes::all();
    let mut hoisted = 0;
    for (start, limit, next, cond) in WAYS {
        for scale in [1, 4, 8] {
            for (narrow, first) in [(false, false), (true, false), (false, true), (true, true)] {
                let ty = if narrow { "i32" } else { "i64" };
                let cond = cond.replace("LIMIT", &limit.replace("%2", if narrow { "%8" } else { "%2" }));
                let start = start.replace("%2", if narrow { "%8" } else { "%2" });
                let index = if narrow { "%4: i64 = sext %3" } else { "%4: i64 = add %3, 0" };
                let literal =
                    if cond.contains(" 0,") && narrow { cond.replace(" 0,", " 0:i32,") } else { cond };
                let counter = "%5: i64 = load [%1] !all\n%6: i64 = add %5, 3\nstore %6, [%1] !all\n";
                let store =
                    format!("at 0x10 else exit 1\n{index}\nstore 7:i32, [%0 + %4*{scale} + 4] !all\n");
                let body = if first { store + counter } else { counter.to_string() + &store };
                let text = format!(
                    "slot a: i64\nslot b: i64\nslot c: i64\nclass all\ntrace t entry 0x77 {{\nassume Private(all)\n\
                     %0: i64 = slot a\n%1: i64 = slot b\n%2: i64 = slot c\n%8: i32 = trunc %2\n\
                     loop(%3: {ty} = {start}):\nat 0x77 else exit 0\n{body}%7: {ty} = {next}\n%9: i1 = {literal}\n\
                     guard %9 else exit 2\nend loop(%7) else exit 3\nexit 0 resume 0x77 {{ }}\n\
                     exit 1 resume 0x10 {{ }}\nexit 2 resume 0x99 {{ a = %6 }}\nexit 3 resume 0x77 {{ }}\n}}"
                );
                let before = ir::parse::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}")).trace;
                assert!(verify(&before).is_ok(), "{:?}\n{text}", verify(&before));
                let mut after = before.clone();
                for name in names {
                    let pass = passes.iter_mut().find(|p| p.name() == name).expect("a pass");
                    let changed = pass.run(&mut after, &mut Env::default());
                    hoisted += usize::from(changed && name == "hoist");
                }
                let rows: Vec<Row> = (-20..60)
                    .flat_map(|distance| [3, 5].map(|count| (distance, count)))
                    .map(|(distance, count)| {
                        let text = format!("a={} b=4096 c={count} m[4096]=0 => any", 4096 - distance);
                        Row::parse(&text, &before.decls).expect("a row")
                    })
                    .collect();
                let rows: Vec<&Row> = rows.iter().collect();
                if let Err(difference) = compare(&before, &after, &rows, rows.len() as u64) {
                    panic!("{difference}\nbefore\n{text}\nafter\n{}", file(&after));
                }
            }
        }
    }
    assert!(hoisted > 40, "{hoisted}");
}
