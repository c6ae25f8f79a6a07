//! The generator of random Lua programs.
//!
//! Programs end, print only what does not depend on addresses or on the order of hash tables, and use much of the
//! language in combinations that nobody would write: hot loops, closures, metatables, coroutines, strings, varargs, errors
//! caught by `pcall` whose messages (with names and lines) are printed. The same seed gives the same program.
//!
//! Values have one of four kinds that the generator tracks, numbers, strings, lists of numbers and functions of two numbers,
//! but one expression in a hundred has the wrong kind on purpose.

use std::fmt::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Number,
    Text,
    List,
    Function,
}

const KINDS: [Kind; 4] = [Kind::Number, Kind::Text, Kind::List, Kind::Function];

/// A program from a seed.
pub fn program(seed: u64) -> String {
    let mut g = Generator {
        state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        out: String::new(),
        indent: 0,
        scopes: vec![Vec::new()],
        next: 0,
        loops: 0,
        functions: 0,
    };
    g.prelude();
    for _ in 0..4 {
        g.declare(1);
    }
    for _ in 0..12 {
        g.statement(3);
    }
    g.finish();
    g.out
}

struct Generator {
    state: u64,
    out: String,
    indent: usize,
    /// Visible variables, innermost scope last. Loop variables are not assigned to.
    scopes: Vec<Vec<(String, Kind, bool)>>,
    next: u32,
    /// Nesting of loops: bounds the running time.
    loops: u32,
    /// Nesting of functions.
    functions: u32,
}

impl Generator {
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random() % n
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "  ".repeat(self.indent));
    }

    fn prelude(&mut self) {
        self.out.push_str(
            r##"local function show(...)
  local t = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if type(v) == "number" or type(v) == "string" or v == nil or type(v) == "boolean" then
      t[i] = tostring(v)
    elseif type(v) == "table" then
      local p = {}
      for k = 1, math.min(#v, 8) do p[k] = (tostring(v[k]):gsub("0x%x+", "ADDR")) end
      t[i] = "{" .. table.concat(p, ",") .. "}"
    else
      t[i] = type(v)
    end
  end
  print(table.concat(t, " "))
end
local Vec = {}
Vec.__index = function(t, k) if k == "x" then return rawget(t, 1) end return Vec[k] end
Vec.__add = function(a, b) return setmetatable({(type(a) == "table" and a[1] or a) + (type(b) == "table" and b[1] or b)}, Vec) end
Vec.__mul = function(a, b) return setmetatable({(type(a) == "table" and a[1] or a) * (type(b) == "table" and b[1] or b)}, Vec) end
Vec.__lt = function(a, b) return a[1] < b[1] end
Vec.__le = function(a, b) return a[1] <= b[1] end
Vec.__eq = function(a, b) return a[1] == b[1] end
Vec.__unm = function(a) return setmetatable({-a[1]}, Vec) end
Vec.__concat = function(a, b) return (type(a) == "table" and a[1] or a) .. "~" .. (type(b) == "table" and b[1] or b) end
Vec.__call = function(self, n) return self[1] + n end
Vec.__newindex = function(t, k, v) rawset(t, k, v) end
local function vec(n) return setmetatable({n}, Vec) end
local function range(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i, i * 2) end end) end
local function both(f, ...) return f(...), f(...) end
local function sum(...) local s = 0 for i = 1, select("#", ...) do s = s + (select(i, ...)) end return s end
"##,
        );
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("v{}", self.next)
    }

    fn variable(&mut self, kind: Kind) -> Option<String> {
        let found: Vec<String> =
            self.scopes.iter().flatten().filter(|v| v.1 == kind).map(|v| v.0.clone()).collect();
        (!found.is_empty()).then(|| found[self.below(found.len() as u64) as usize].clone())
    }

    fn assignable(&mut self) -> Option<(String, Kind)> {
        let found: Vec<(String, Kind)> =
            self.scopes.iter().flatten().filter(|v| v.2).map(|v| (v.0.clone(), v.1)).collect();
        (!found.is_empty()).then(|| found[self.below(found.len() as u64) as usize].clone())
    }

    fn bind(&mut self, name: String, kind: Kind, assignable: bool) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((name, kind, assignable));
        }
    }

    fn expression(&mut self, kind: Kind, depth: u32) -> String {
        let kind = if self.below(100) == 0 { KINDS[self.below(4) as usize] } else { kind };
        if (depth == 0 || self.below(3) == 0)
            && let Some(v) = self.variable(kind)
        {
            return v;
        }
        match kind {
            Kind::Number => self.number(depth),
            Kind::Text => self.text(depth),
            Kind::List => self.list(depth),
            Kind::Function => self.function(depth),
        }
    }

    fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(6) {
                0 => format!("{}", self.below(10)),
                1 => format!("{}", self.below(100_000)),
                2 => format!("{}.{}", self.below(100), self.below(100)),
                3 => format!("-{}", self.below(50)),
                4 => {
                    self.pick(&["0", "1", "2^31", "-2^31", "1e15", "0.5", "2^53", "1/3", "0x7fffffff"]).into()
                }
                _ => format!("{}", 1 + self.below(8)),
            };
        }
        let d = depth - 1;
        match self.below(16) {
            0..=4 => {
                let op = self.pick(&["+", "-", "*", "/", "%", "+", "-", "*"]);
                format!("({} {op} {})", self.expression(Kind::Number, d), self.expression(Kind::Number, d))
            }
            5 => format!("#{}", self.expression(Kind::Text, d).replace("..", ".. ")).replace('#', "#(") + ")",
            6 => format!("#({})", self.expression(Kind::List, d)),
            7 => format!("({})[{}]", self.expression(Kind::List, d), 1 + self.below(4)) + " ",
            8 => {
                let f = self.expression(Kind::Function, d);
                format!("({f})({}, {})", self.expression(Kind::Number, d), self.expression(Kind::Number, d))
            }
            9 => {
                let f = self.pick(&["floor", "abs", "ceil", "sqrt", "sin", "exp"]);
                format!("math.{f}({} % 100)", self.expression(Kind::Number, d))
            }
            10 => {
                let f = self.pick(&["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol"]);
                format!("bit.{f}({}, {})", self.expression(Kind::Number, d), self.below(40))
            }
            11 => format!(
                "math.max({}, {})",
                self.expression(Kind::Number, d),
                self.expression(Kind::Number, d)
            ),
            12 => format!(
                "({} and {} or {})",
                self.condition(d),
                self.expression(Kind::Number, d),
                self.expression(Kind::Number, d)
            ),
            13 => format!("vec({})(1)", self.expression(Kind::Number, d)),
            14 => {
                let op = self.pick(&["+", "*"]);
                format!(
                    "(vec({}) {op} {}).x",
                    self.expression(Kind::Number, d),
                    self.expression(Kind::Number, d)
                )
            }
            _ => format!("(tonumber({}) or 7)", self.expression(Kind::Text, d)),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self
                .pick(&["\"\"", "\"a\"", "\"abc\"", "\"12\"", "\"x y z\"", "[[q]]", "\"0x10\"", "\"k1\""])
                .into();
        }
        let d = depth - 1;
        match self.below(9) {
            0 | 1 => format!("({} .. {})", self.expression(Kind::Text, d), self.expression(Kind::Text, d)),
            2 => format!("({} .. {})", self.expression(Kind::Number, d), self.expression(Kind::Text, d)),
            3 => {
                let (a, b) = (self.below(6) as i64 - 2, self.below(8) as i64 - 3);
                format!("({}):sub({a}, {b})", self.expression(Kind::Text, d))
            }
            4 => {
                let f = self.pick(&["%d", "%5.2f", "%g", "%x", "%s", "%-6s|", "%q", "%e"]);
                format!("string.format(\"{f}\", {})", self.expression(Kind::Number, d))
            }
            5 => {
                let p = self.pick(&["%d+", ".", "[a-c]", "%w", "(.)(.)", "^a", "%s"]);
                let r = self.pick(&["\"<%0>\"", "\"-\"", "string.upper", "{a = 1, b = \"B\"}"]);
                format!("(({}):gsub(\"{p}\", {r}))", self.expression(Kind::Text, d))
            }
            6 => format!(
                "({}):{}()",
                self.expression(Kind::Text, d),
                self.pick(&["upper", "lower", "reverse"])
            ),
            7 => format!("table.concat({}, \",\", 1, 2)", self.expression(Kind::List, d)),
            _ => format!("tostring({})", self.expression(Kind::Number, d)),
        }
    }

    fn list(&mut self, depth: u32) -> String {
        let n = 2 + self.below(4);
        let items: Vec<String> =
            (0..n).map(|_| self.expression(Kind::Number, depth.saturating_sub(1))).collect();
        match self.below(5) {
            0 => format!("{{{}, n = {n}}}", items.join(", ")),
            1 => format!("{{both(sum, {})}}", items.join(", ")),
            _ => format!("{{{}}}", items.join(", ")),
        }
    }

    fn function(&mut self, depth: u32) -> String {
        if self.functions >= 2 || depth == 0 {
            return self.pick(&["sum", "math.max", "math.min", "bit.bxor"]).into();
        }
        self.functions += 1;
        let (a, b) = (self.fresh(), self.fresh());
        self.scopes.push(vec![(a.clone(), Kind::Number, true), (b.clone(), Kind::Number, true)]);
        let loops = std::mem::replace(&mut self.loops, 2);
        let body = std::mem::take(&mut self.out);
        let indent = std::mem::replace(&mut self.indent, 1);
        for _ in 0..self.below(3) {
            self.statement(1);
        }
        let inner = std::mem::replace(&mut self.out, body);
        self.indent = indent;
        let result = self.expression(Kind::Number, depth - 1);
        self.loops = loops;
        self.scopes.pop();
        self.functions -= 1;
        format!("(function({a}, {b}) {} return {result} end)", inner.replace('\n', " "))
    }

    fn condition(&mut self, depth: u32) -> String {
        let d = depth.saturating_sub(1);
        match self.below(6) {
            0 => format!("{} == {}", self.expression(Kind::Number, d), self.expression(Kind::Number, d)),
            1 => format!("{} ~= {}", self.expression(Kind::Text, d), self.expression(Kind::Text, d)),
            2 => format!(
                "vec({}) < vec({})",
                self.expression(Kind::Number, d),
                self.expression(Kind::Number, d)
            ),
            3 => {
                format!("not ({} >= {})", self.expression(Kind::Number, d), self.expression(Kind::Number, d))
            }
            4 => format!("({}):find(\"a\", 1, true)", self.expression(Kind::Text, d)),
            _ => format!("{} < {}", self.expression(Kind::Number, d), self.expression(Kind::Number, d)),
        }
    }

    fn declare(&mut self, depth: u32) {
        let kind = KINDS[self.below(4) as usize];
        let e = self.expression(kind, depth);
        let v = self.fresh();
        self.line(&format!("local {v} = {e}"));
        self.bind(v, kind, true);
    }

    fn block(&mut self, depth: u32, bound: Vec<(String, Kind, bool)>) {
        self.indent += 1;
        self.scopes.push(bound);
        for _ in 0..1 + self.below(3) {
            self.statement(depth);
        }
        self.scopes.pop();
        self.indent -= 1;
    }

    fn statement(&mut self, depth: u32) {
        if depth == 0 {
            return self.simple();
        }
        let d = depth - 1;
        match self.below(15) {
            0 | 1 => self.declare(2),
            2..=4 => self.simple(),
            5 => {
                let c = self.condition(2);
                self.line(&format!("if {c} then"));
                self.block(d, Vec::new());
                if self.below(2) == 0 {
                    self.line("else");
                    self.block(d, Vec::new());
                }
                self.line("end");
            }
            6 | 7 if self.loops < 3 => {
                let v = self.fresh();
                let hot = if self.loops == 0 { 200 } else { 6 };
                let (from, to) = (self.below(3), 1 + self.below(hot));
                let step = self.pick(&["", "", ", 2", ", 0.5", ", 3"]);
                self.line(&format!("for {v} = {from}, {to}{step} do"));
                self.looped(d, vec![(v, Kind::Number, false)]);
                self.line("end");
            }
            8 if self.loops < 3 => {
                let (k, v) = (self.fresh(), self.fresh());
                let (it, kinds) = match self.below(3) {
                    0 => (format!("ipairs({})", self.expression(Kind::List, 1)), Kind::Number),
                    1 => (format!("range({})", 1 + self.below(9)), Kind::Number),
                    _ => ("(\"a1b2c3\"):gmatch(\"(%a)(%d)\")".to_owned(), Kind::Text),
                };
                self.line(&format!("for {k}, {v} in {it} do"));
                self.looped(d, vec![(k, kinds, false), (v, kinds, false)]);
                self.line("end");
            }
            9 if self.loops < 3 => {
                let v = self.fresh();
                let n = 1 + self.below(20);
                self.line(&format!("local {v} = 0"));
                self.line(&format!("while {v} < {n} do"));
                self.line(&format!("  {v} = {v} + 1"));
                if self.below(2) == 0 {
                    let c = self.condition(1);
                    self.line(&format!("  if {c} then break end"));
                }
                self.looped(d, vec![(v, Kind::Number, false)]);
                self.line("end");
            }
            10 | 11 => {
                self.line("show(pcall(function()");
                self.block(d, Vec::new());
                if self.below(2) == 0 {
                    let e = match self.below(4) {
                        0 => "error(\"e\" .. 1)".to_owned(),
                        1 => "error({1, 2})".to_owned(),
                        2 => "local nothing; return nothing.field".to_owned(),
                        _ => format!("return {}", self.expression(Kind::Number, 2)),
                    };
                    self.line(&format!("  {e}"));
                }
                self.line("end))");
            }
            12 => {
                let v = self.fresh();
                let e = self.expression(Kind::List, 2);
                let order = self.pick(&[
                    "",
                    ", function(p, q) return p > q end",
                    ", function(p, q) return p % 7 < q % 7 end",
                ]);
                self.line(&format!("local {v} = {e}"));
                self.line(&format!("show(pcall(table.sort, {v}{order}))"));
                self.bind(v, Kind::List, true);
            }
            13 => {
                let v = self.fresh();
                self.line(&format!("local {v} = coroutine.wrap(function(...)"));
                self.line("  local got = ...");
                let loops = std::mem::replace(&mut self.loops, 2);
                self.functions += 1;
                self.block(d, Vec::new());
                let e = self.expression(Kind::Number, 1);
                self.line(&format!("  got = coroutine.yield(got, {e})"));
                self.functions -= 1;
                self.loops = loops;
                self.line("  return got, select(\"#\", ...)");
                self.line("end)");
                let (a, b) = (self.expression(Kind::Number, 1), self.expression(Kind::Text, 1));
                self.line(&format!("show(pcall({v}, {a})) show(pcall({v}, {b})) show(pcall({v}))"));
            }
            _ => {
                self.line("do");
                self.block(d, Vec::new());
                self.line("end");
            }
        }
    }

    fn looped(&mut self, depth: u32, bound: Vec<(String, Kind, bool)>) {
        self.loops += 1;
        self.block(depth.min(1), bound);
        self.loops -= 1;
    }

    /// A statement without statements inside.
    fn simple(&mut self) {
        match self.below(6) {
            0 if self.loops < 2 => {
                let e: Vec<String> = (0..1 + self.below(3))
                    .map(|_| {
                        let kind = KINDS[self.below(3) as usize];
                        self.expression(kind, 2)
                    })
                    .collect();
                self.line(&format!("show({})", e.join(", ")));
            }
            1 => {
                if let Some(l) = self.variable(Kind::List) {
                    let (i, e) = (1 + self.below(6), self.expression(Kind::Number, 2));
                    self.line(&format!("{l}[{i}] = {e}"));
                }
            }
            2 => {
                if let Some(l) = self.variable(Kind::List) {
                    let e = self.expression(Kind::Number, 1);
                    let what = match self.below(3) {
                        0 => format!("if #{l} < 50 then table.insert({l}, {e}) end"),
                        1 => format!("table.remove({l})"),
                        _ => format!("{l}[#{l}] = {e}"),
                    };
                    self.line(&what);
                }
            }
            _ => {
                if let Some((v, kind)) = self.assignable() {
                    let e = match kind {
                        // Strings must not grow without bound in loops.
                        Kind::Text => format!("({}):sub(-20)", self.expression(kind, 2)),
                        _ => self.expression(kind, 2),
                    };
                    self.line(&format!("{v} = {e}"));
                }
            }
        }
    }

    fn finish(&mut self) {
        let all: Vec<String> = self.scopes.iter().flatten().map(|v| v.0.clone()).collect();
        for v in all {
            self.line(&format!("show({v})"));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_seed_gives_the_same_program() {
        assert_eq!(super::program(7), super::program(7));
        assert_ne!(super::program(7), super::program(8));
    }
}
