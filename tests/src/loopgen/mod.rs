//! Random C programs full of loops: what a trace compiler has to get right, and csmith hardly makes.
//!
//! A program has arrays of all element types, records, small functions (some recursive, some reached through a table), and
//! *kernels*: functions with loop nests over the arrays, which they get as pointers that may overlap. `main` calls the kernels
//! in rounds, with other arguments in each, and prints a hash of everything after each. Half-way something may happen that
//! revokes what traces rest on: a timer signal, a handler for faults and a fault, a second thread, a shared mapping.
//!
//! A seed determines the program ([`source`]); compiled by one compiler it prints the same in every run. Of each seed there is a second
//! program ([`faulting`]): its kernels are the same, but their arrays become inaccessible again and again, and a handler for the faults looks at
//! all registers.
//!
//! - [`rng`]: random choices;
//! - [`expr`]: random expressions;
//! - [`stmt`]: statements and loop nests.

pub mod expr;
pub mod rng;
pub mod stmt;

use std::fmt::Write as _;

use expr::{Array, Scope, Ty};
use rng::Rng;
use stmt::Writer;

/// What every program starts with, after `#define N`.
const PRELUDE: &str = include_str!("prelude.h");
/// What programs that fault have in front of their `body`.
const FAULTS: &str = include_str!("faults.h");
/// Arrays of each type.
const ARRAYS: usize = 3;

/// A kernel: its pointers and its scalars.
struct Kernel {
    name: String,
    pointers: Vec<Ty>,
    scalars: Vec<Ty>,
}

/// The program of a seed.
#[must_use]
pub fn source(seed: u64) -> String {
    program(seed, false)
}

/// The program of a seed whose arrays become inaccessible. It needs a fixed address (`-no-pie`).
#[must_use]
pub fn faulting(seed: u64) -> String {
    program(seed, true)
}

fn program(seed: u64, faulting: bool) -> String {
    let mut rng = Rng::new(seed);
    let size = rng.pick(&[32, 64, 64, 128, 256]);
    let specials = rng.pick(&[0, 0, 0, 2, 5]);
    let mut text =
        format!("/* made from seed {seed} */\n#define N {size}\n#define SPECIALS {specials}\n{PRELUDE}\n");
    // Choices of its own: the rest of both programs is the same.
    let mut places = Rng::new(!seed);
    for ty in Ty::ALL {
        for n in 0..ARRAYS {
            let name = format!("x{n}_{}", ty.name());
            if faulting {
                let inside = places.below(size + 63) + 1;
                let _ = writeln!(
                    text,
                    "static struct {{ u8 pad[4096 - {inside} * sizeof({0})]; {0} a[N + 2 * PAD]; }}\n    \
                     __attribute__((aligned(4096))) s_{name} = {{ {{ 1 }} }};\n#define {name} s_{name}.a",
                    ty.name()
                );
            } else {
                let _ = writeln!(text, "static {} {name}[N + 2 * PAD];", ty.name());
            }
        }
    }
    text.push('\n');
    let mut functions = Vec::new();
    for n in 0..2 + rng.below(3) {
        functions.push(function(&mut rng, &mut text, n));
    }
    table(&mut rng, &mut text, &functions);
    let count = 2 + rng.below(4);
    let kernels: Vec<Kernel> = (0..count).map(|n| kernel(&mut rng, &mut text, &functions, n, size)).collect();
    main(&mut rng, &mut text, &kernels, faulting);
    text
}

/// A small function: an expression, a loop, or a recursion.
fn function(rng: &mut Rng, text: &mut String, n: usize) -> (String, Vec<Ty>, Ty) {
    let name = format!("f{n}");
    let result = rng.pick(&Ty::ALL);
    let types: Vec<Ty> = (0..1 + rng.below(3)).map(|_| rng.pick(&Ty::ALL)).collect();
    let scope = Scope {
        scalars: types.iter().enumerate().map(|(i, ty)| (format!("a{i}"), *ty)).collect(),
        ..Scope::default()
    };
    let parameters: Vec<String> =
        types.iter().enumerate().map(|(i, t)| format!("{} a{i}", t.name())).collect();
    let inline = rng.pick(&["", "NOINLINE ", "NOINLINE "]);
    let value = |rng: &mut Rng| expr::of_type(rng, &scope, result, 2);
    let _ = match rng.below(4) {
        0 => {
            let (deep, step, end) = (value(rng), value(rng), value(rng));
            let cond = expr::condition(rng, &scope, 1);
            let rest: String = parameters.iter().map(|p| format!(", {p}")).collect();
            let pass: String = (0..types.len()).map(|i| format!(", a{i}")).collect();
            let op = if result.is_float() { "+" } else { "^" };
            writeln!(
                text,
                "static NOINLINE {r} r{n}(int depth{rest}) {{\n    if (depth <= 0) return {end};\n    \
                 a0 = a0 + ({t})depth;\n    if ({cond}) return r{n}(depth - 1{pass}) {op} {deep};\n    \
                 return r{n}(depth - 2{pass}) {op} r{n}(depth - 3{pass}) {op} {step};\n}}\n\
                 static {inline}{r} {name}({p}) {{ return r{n}(5{pass}); }}",
                r = result.name(),
                t = types[0].name(),
                p = parameters.join(", "),
            )
        }
        1 => {
            let (start, next) = (value(rng), value(rng));
            let op = rng.pick(if result.is_float() { &["+=", "-="] } else { &["+=", "^=", "-="] });
            writeln!(
                text,
                "static {inline}{r} {name}({p}) {{\n    {r} sum = {start};\n    \
                 for (int i = 0; i < {trips}; i++) {{\n        sum {op} {next};\n        a0 = a0 + ({t})i;\n    }}\n    \
                 return sum;\n}}",
                r = result.name(),
                t = types[0].name(),
                trips = 1 + rng.below(6),
                p = parameters.join(", "),
            )
        }
        _ => writeln!(
            text,
            "static {inline}{} {name}({}) {{ return {}; }}",
            result.name(),
            parameters.join(", "),
            value(rng)
        ),
    };
    (name, types, result)
}

/// Four functions of one shape, called through pointers.
fn table(rng: &mut Rng, text: &mut String, functions: &[(String, Vec<Ty>, Ty)]) {
    let scope = Scope {
        scalars: vec![("a".into(), Ty::Int(false, 64)), ("b".into(), Ty::Int(false, 64))],
        functions: functions.to_vec(),
        ..Scope::default()
    };
    for n in 0..4 {
        let value = expr::integer(rng, &scope, 2);
        let _ = writeln!(text, "static NOINLINE u64 t{n}(u64 a, u64 b) {{ return {value}; }}");
    }
    text.push_str("static u64 (*const table[4])(u64, u64) = { t0, t1, t2, t3 };\n\n");
}

fn kernel(
    rng: &mut Rng,
    text: &mut String,
    functions: &[(String, Vec<Ty>, Ty)],
    n: usize,
    size: usize,
) -> Kernel {
    let name = format!("k{n}");
    // Few types at a time, so that pointers have a chance to overlap.
    let palette: Vec<Ty> = (0..1 + rng.below(3)).map(|_| rng.pick(&Ty::ALL)).collect();
    let pointers: Vec<Ty> = (0..1 + rng.below(4)).map(|_| rng.pick(&palette)).collect();
    let scalars: Vec<Ty> = (0..rng.below(3)).map(|_| rng.pick(&palette)).collect();
    let mut scope = Scope { globals: rng.one_in(3), ..Scope::default() };
    if rng.one_in(2) {
        scope.functions = functions.to_vec();
    }
    let mut head = format!("static NOINLINE u64 {name}(int n");
    for (i, ty) in pointers.iter().enumerate() {
        let writable = i == 0 || rng.one_in(2);
        let constant = if writable { "" } else { "const " };
        let _ = write!(head, ", {constant}{} *q{i}", ty.name());
        scope.arrays.push(Array { name: format!("q{i}"), ty: *ty, writable, walks: false });
    }
    for (i, ty) in scalars.iter().enumerate() {
        let _ = write!(head, ", {} s{i}", ty.name());
        scope.scalars.push((format!("s{i}"), *ty));
    }
    if rng.one_in(3) {
        let ty = rng.pick(&palette);
        let name = format!("(x{}_{} + PAD)", rng.below(ARRAYS), ty.name());
        scope.arrays.push(Array { name, ty, writable: true, walks: false });
    }
    let mut w = Writer::new(rng, size);
    for _ in 0..1 + w.rng.below(3) {
        let ty = w.rng.pick(&palette);
        w.declare(&mut scope, ty);
    }
    for _ in 0..1 + w.rng.below(3) {
        w.nest(&scope, 1, 0);
    }
    let sum: String = scope
        .scalars
        .iter()
        .map(|(name, ty)| match ty {
            Ty::Float(bits) => format!(" + bits{bits}({name})"),
            Ty::Int(..) => format!(" * 31 + (u64){name}"),
        })
        .collect();
    w.line(&format!("return (u64)n{sum};"));
    let _ = write!(text, "{head}) {{\n{}}}\n\n", w.text);
    Kernel { name, pointers, scalars }
}

fn main(rng: &mut Rng, text: &mut String, kernels: &[Kernel], faulting: bool) {
    let rounds = 6 + rng.below(10);
    let event = rng.pick(&["nothing", "nothing", "nothing", "alarms", "fault", "second_thread", "shared"]);
    let (event, arm) = if faulting { ("protected", "arm(); ") } else { (event, "") };
    if faulting {
        text.push_str("static const void *const places[] = {\n");
        for ty in Ty::ALL {
            for n in 0..ARRAYS {
                let _ = writeln!(text, "    &s_x{n}_{},", ty.name());
            }
        }
        text.push_str("};\n\n");
        text.push_str(FAULTS);
    }
    let head = if faulting { "\nvoid body(void)" } else { "int main(void)" };
    let _ = writeln!(text, "{head} {{\n    fill_records();");
    for ty in Ty::ALL {
        for n in 0..ARRAYS {
            let fill = if ty.is_float() { format!("fill_{}", ty.name()) } else { "fill_bytes".into() };
            let _ = writeln!(text, "    {fill}(x{n}_{0}, sizeof x{n}_{0});", ty.name());
        }
    }
    let _ = writeln!(text, "    for (int round = 0; round < {rounds}; round++) {{");
    let _ = writeln!(text, "        if (round == {}) {event}();", rounds / 2);
    for kernel in kernels {
        let (first, second) = (arguments(rng, kernel), arguments(rng, kernel));
        let often = rng.pick(&[1, 3, 10, 30]);
        let _ = writeln!(
            text,
            "        for (int k = 0; k < {often}; k++) {{\n            {arm}hash += round % 3 ? {0}({first}) : {0}({second});\n        }}",
            kernel.name
        );
    }
    if faulting {
        text.push_str("        clean();\n        mix(&context_hash, sizeof context_hash);\n");
    }
    for ty in Ty::ALL {
        for n in 0..ARRAYS {
            let _ = writeln!(text, "        mix(x{n}_{0}, sizeof x{n}_{0});", ty.name());
        }
    }
    text.push_str("        mix(recs, sizeof recs);\n        mix(&state, sizeof state);\n");
    text.push_str("        printf(\"%d %016llx\\n\", round, (unsigned long long)hash);\n    }\n");
    text.push_str(if faulting { "    exit(0);\n}\n" } else { "    return 0;\n}\n" });
}

fn arguments(rng: &mut Rng, kernel: &Kernel) -> String {
    let mut text = rng.pick(&["N", "N", "N - 1", "N / 2", "7", "1", "0"]).to_string();
    for ty in &kernel.pointers {
        let _ =
            write!(text, ", x{}_{} + PAD + {}", rng.below(2), ty.name(), rng.pick(&[0, 0, 0, 1, -1, 3, 8]));
    }
    for ty in &kernel.scalars {
        let value = if ty.is_float() {
            expr::float_(rng, &Scope::default(), 0)
        } else {
            expr::integer(rng, &Scope::default(), 0)
        };
        let _ = write!(text, ", ({}){value}", ty.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_program() {
        assert_eq!(source(42), source(42));
        assert_ne!(source(42), source(43));
    }
}
