//! Statements: loops of every form, stores, reductions, branches, early exits.
//!
//! The number of iterations is bounded: each loop knows how many times its body runs for one run of the function, and no
//! body runs more than [`WORK`] times.

use super::expr::{self, Array, Scope, Ty};
use super::rng::Rng;

/// How often a statement may be executed in one call.
const WORK: usize = 4096;

/// Writes the body of a function.
pub struct Writer<'a> {
    /// Choices.
    pub rng: &'a mut Rng,
    /// Elements of every array: a power of two.
    pub size: usize,
    /// The text so far.
    pub text: String,
    /// Names made so far.
    names: usize,
    indent: usize,
}

impl<'a> Writer<'a> {
    /// An empty body.
    pub fn new(rng: &'a mut Rng, size: usize) -> Self {
        Self { rng, size, text: String::new(), names: 0, indent: 1 }
    }

    /// Adds a line.
    pub fn line(&mut self, text: &str) {
        self.text.push_str(&"    ".repeat(self.indent));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.indent += 1;
        body(self);
        self.indent -= 1;
        self.line("}");
    }

    /// Declares a scalar with a value.
    pub fn declare(&mut self, scope: &mut Scope, ty: Ty) {
        let name = self.name("v");
        let value = expr::of_type(self.rng, scope, ty, 1);
        self.line(&format!("{} {name} = {value};", ty.name()));
        scope.scalars.push((name, ty));
    }

    /// A loop nest. `times` is how often this point is reached in one call.
    pub fn nest(&mut self, scope: &Scope, times: usize, depth: u32) {
        let mut scope = scope.clone();
        let most = (WORK / times.max(1)).min(self.size);
        let trips = match self.rng.below(6) {
            0 => self.rng.below(5) + 1,
            1 => 8,
            2 => 16,
            _ => most,
        }
        .clamp(1, most.max(1));
        let i = self.name("j");
        let whole = trips == self.size;
        let limit = if whole && self.rng.one_in(2) { "n".to_string() } else { trips.to_string() };
        let ty = self.rng.pick(&["int", "int", "size_t", "unsigned", "long", "short"]);
        let head = match self.rng.below(9) {
            0..=3 => format!("for ({ty} {i} = 0; {i} < {limit}; {i}++)"),
            4 => format!("for (int {i} = {trips}; {i}-- > 0;)"),
            5 => {
                let step = self.rng.pick(&[2, 3, 4, 8]);
                format!("for ({ty} {i} = 0; {i} < {limit}; {i} += {step})")
            }
            6 => format!("for (u8 {i} = {}; {i} != {}; {i}++)", 256 - trips.min(100), 0),
            7 => return self.walk(&mut scope, trips, times, depth),
            _ => {
                let first = self.rng.below(trips);
                self.line(&format!("int {i} = {first};"));
                format!("while ({i} < {limit})")
            }
        };
        let counts = head.starts_with("while");
        let wraps = head.contains("u8");
        // A byte counts up to 255, arrays may be smaller.
        scope.indices.push(if wraps { format!("({i} & (N - 1) & 127)") } else { i.clone() });
        self.block(&head, |w| {
            if counts {
                // First, so that `continue` cannot loop for ever.
                w.line(&format!("int {i}_ = {i}++;"));
                scope.indices.pop();
                scope.indices.push(format!("{i}_"));
            }
            w.body(&mut scope, times * trips, depth);
        });
    }

    /// A pointer that goes through an array.
    fn walk(&mut self, scope: &mut Scope, trips: usize, times: usize, depth: u32) {
        let arrays: Vec<Array> = scope.arrays.iter().filter(|a| !a.walks).cloned().collect();
        if arrays.is_empty() {
            return;
        }
        let array = arrays[self.rng.below(arrays.len())].clone();
        let (p, end) = (self.name("p"), self.name("e"));
        let constant = if array.writable { "" } else { "const " };
        self.line(&format!("{constant}{} *{p} = {};", array.ty.name(), array.name));
        self.line(&format!("{constant}{} *{end} = {p} + {trips};", array.ty.name()));
        let head = match self.rng.below(2) {
            0 => format!("for (; {p} != {end}; {p}++)"),
            _ => format!("for (; {p} < {end}; {p}++)"),
        };
        scope.arrays.push(Array { name: p, walks: true, ..array });
        self.block(&head, |w| w.body(scope, times * trips, depth));
    }

    /// Statements inside a loop.
    fn body(&mut self, scope: &mut Scope, times: usize, depth: u32) {
        let count = 1 + self.rng.below(if depth == 0 { 4 } else { 3 });
        for _ in 0..count {
            self.statement(scope, times, depth);
        }
    }

    /// One statement.
    pub fn statement(&mut self, scope: &mut Scope, times: usize, depth: u32) {
        match self.rng.below(26) {
            0..=6 => self.store(scope),
            7..=11 => self.accumulate(scope),
            12..=14 => {
                let cond = expr::condition(self.rng, scope, 2);
                let other = self.rng.one_in(2);
                self.block(&format!("if ({cond})"), |w| w.simple(scope));
                if other {
                    self.block("else", |w| w.simple(scope));
                }
            }
            15 => {
                let cond = expr::condition(self.rng, scope, 1);
                let rare = format!(
                    "(({}) & {}) == 1",
                    expr::integer(self.rng, scope, 1),
                    self.rng.pick(&[15, 63, 255])
                );
                let cond = if self.rng.one_in(2) { rare } else { cond };
                let way = self.rng.pick(&["continue;", "break;", "continue;"]);
                self.line(&format!("if ({cond}) {way}"));
            }
            16..=18 if depth < 3 && times * 4 <= WORK => self.nest(scope, times, depth + 1),
            19 => self.switch(scope),
            20 => {
                let ty = self.rng.pick(&Ty::ALL);
                let name = self.name("t");
                let value = expr::of_type(self.rng, scope, ty, 2);
                self.line(&format!("{} {name} = {value};", ty.name()));
                scope.scalars.push((name, ty));
            }
            21 if scope.globals => {
                let (field, float) = self.rng.pick(&[
                    ("a", false),
                    ("b", true),
                    ("c", false),
                    ("d", false),
                    ("e", false),
                    ("f", true),
                ]);
                let value =
                    if float { expr::float_(self.rng, scope, 2) } else { expr::integer(self.rng, scope, 2) };
                let op = self.rng.pick(&["=", "+=", "-="]);
                if let Some(i) = scope.indices.last() {
                    self.line(&format!("recs[{i}].{field} {op} {value};"));
                }
            }
            22 if scope.globals => {
                let (a, b) = (expr::integer(self.rng, scope, 2), expr::integer(self.rng, scope, 1));
                self.line(&format!("state = table[(u32)({a}) & 3](state, {b});"));
            }
            23 => {
                let name = self.name("b");
                let (ty, length) = (self.rng.pick(&Ty::ALL), self.rng.pick(&[4, 8, 16]));
                let fill = expr::of_type(self.rng, scope, ty, 1);
                let k = self.name("k");
                self.line(&format!("{} {name}[{length}];", ty.name()));
                self.line(&format!("for (int {k} = 0; {k} < {length}; {k}++) {name}[{k}] = {fill} + {k};"));
                let at = expr::integer(self.rng, scope, 1);
                let value = expr::of_type(self.rng, scope, ty, 1);
                self.line(&format!("{name}[({at}) & {}] = {value};", length - 1));
                let from = expr::integer(self.rng, scope, 1);
                scope.scalars.push((format!("{name}[({from}) & {}]", length - 1), ty));
            }
            _ => self.store(scope),
        }
    }

    fn simple(&mut self, scope: &mut Scope) {
        for _ in 0..1 + self.rng.below(2) {
            if self.rng.one_in(2) { self.store(scope) } else { self.accumulate(scope) }
        }
    }

    fn store(&mut self, scope: &Scope) {
        let arrays: Vec<&Array> = scope.arrays.iter().filter(|a| a.writable).collect();
        if arrays.is_empty() {
            return;
        }
        let array = arrays[self.rng.below(arrays.len())];
        let at = expr::index(self.rng, scope, array);
        let depth = 1 + self.rng.below(3) as u32;
        let float = array.ty.is_float();
        let value =
            if float { expr::float_(self.rng, scope, depth) } else { expr::integer(self.rng, scope, depth) };
        let ops: &[&str] = if float { &["=", "=", "+=", "*="] } else { &["=", "=", "+=", "^=", "-=", "|="] };
        let op = self.rng.pick(ops);
        self.line(&format!("{}[{at}] {op} {value};", array.name));
    }

    /// Only scalars with plain names: the others are elements of local arrays.
    fn accumulate(&mut self, scope: &Scope) {
        let all: Vec<&(String, Ty)> = scope.scalars.iter().filter(|s| !s.0.contains('[')).collect();
        if all.is_empty() {
            return;
        }
        let (name, ty) = all[self.rng.below(all.len())].clone();
        let depth = 1 + self.rng.below(2) as u32;
        if ty.is_float() {
            let value = expr::float_(self.rng, scope, depth);
            let op = self.rng.pick(&["+=", "+=", "-=", "*=", "="]);
            self.line(&format!("{name} {op} {value};"));
        } else {
            let value = expr::integer(self.rng, scope, depth);
            let op = self.rng.pick(&["+=", "+=", "-=", "^=", "*=", "|=", "=", "&="]);
            self.line(&format!("{name} {op} {value};"));
        }
    }

    fn switch(&mut self, scope: &mut Scope) {
        let of = expr::integer(self.rng, scope, 2);
        let cases = self.rng.pick(&[3, 4, 8]);
        self.block(&format!("switch ((u32)({of}) & {})", 7), |w| {
            for case in 0..cases {
                w.line(&format!("case {case}:"));
                w.simple(scope);
                if !w.rng.one_in(6) {
                    w.line("    break;");
                }
            }
            w.line("default:");
            w.simple(scope);
        });
    }
}
