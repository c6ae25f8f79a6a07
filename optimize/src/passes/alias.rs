//! Which bytes two memory operations may share: addresses as linear forms.
//!
//! Every `i64` is taken for a sum of other values times constants, plus a constant: its [`Linear`] form. The sum without the constant is its
//! *root*, interned, so that two addresses that differ by a known distance have the same root:
//!
//! ```text
//! %0: i64 = slot rsp                {%0}        + 0
//! %1: i64 = sub %0, 8               {%0}        - 8      a push: `store …, [%1]`
//! %2: i64 = add %1, 8               {%0}        + 0      the pop that belongs to it: `%2` is `%0`
//! %5: i64 = add %3, 1
//! load [%4 + %3*8]                  {%4, 8·%3}  + 0
//! load [%4 + %5*8 - 16]             {%4, 8·%3}  - 8      its left neighbour
//! ```
//!
//! - The same root: the bytes are known exactly, relative to each other. (Addition wraps around, and so do the distances.)
//! - Different roots: anything is possible, unless the classes are disjoint ([`ir::effects::AliasTable`]), or a guard that was passed says
//!   otherwise ([`Addresses::learn_apart`]).
//! - The empty root is that of literal addresses.
//!
//! Values that are known to be equal should share a number before they become terms; [`Addresses::number`] is
//! the hash table for that (as in common subexpression elimination, but nothing is rewritten).
//!
//! Guarantees: forms are exact modulo 2^64. Forms of more than [`MOST_TERMS`] terms are given up: the value is then a term itself.

use ir::op::Op;
use ir::trace::{Addr, Inst, Trace};
use ir::types::{Operand, Type, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// More terms than any addressing needs.
pub const MOST_TERMS: usize = 5;

/// How many facts about one pair of roots are kept.
const MOST_FACTS: usize = 8;

/// An interned sum of terms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Root(pub u32);

/// The empty sum.
pub const ABSOLUTE: Root = Root(0);

/// A sum and a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linear {
    /// The sum.
    pub root: Root,
    /// The constant.
    pub disp: i64,
}

/// Value times constant, by increasing value; no constant is 0.
pub type Terms = SmallVec<[(Value, i64); MOST_TERMS]>;

/// What makes two pure lines the same.
type Key = (Op, Type, Type, u8, [Operand; 3]);

type Apart = SmallVec<[(Span, Span); 2]>;

/// Bytes at `[start, end)` from a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First byte.
    pub start: i64,
    /// Behind the last.
    pub end: i64,
}

impl Span {
    /// The bytes of an access.
    pub fn new(start: i64, bytes: u32) -> Span {
        Span { start, end: start.saturating_add(i64::from(bytes)) }
    }

    /// Have they a byte in common?
    pub fn meets(self, other: Span) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Does it contain the other?
    pub fn holds(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The least span that contains both.
    pub fn hull(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// How many bytes.
    pub fn len(self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    /// Is it empty?
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Linear forms of the values of one trace. Lines are given to it in order.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// By value.
    forms: Vec<Option<Linear>>,
    /// By value: the value that stands for all that equal it.
    numbers: Vec<Operand>,
    roots: Vec<Terms>,
    interned: FxHashMap<Terms, Root>,
    seen: FxHashMap<Key, Operand>,
    /// Pairs of spans without a common byte, by their roots.
    apart: FxHashMap<(Root, Root), Apart>,
    /// How many addresses far from their roots there were.
    odd: u32,
}

impl Addresses {
    /// Forgets everything; for another trace.
    pub fn clear(&mut self) {
        self.odd = 0;
        self.roots.clear();
        self.interned.clear();
        self.roots.push(Terms::new());
        self.interned.insert(Terms::new(), ABSOLUTE);
        self.begin(0);
    }

    /// Forgets what is known of values, but keeps roots: for another sweep over the same trace.
    pub fn begin(&mut self, values: usize) {
        self.forms.clear();
        self.forms.resize(values, None);
        self.numbers.clear();
        self.numbers.resize(values, Operand::NONE);
        self.seen.clear();
        self.apart.clear();
    }

    /// The operand that stands for all known to equal this one.
    pub fn canonical(&self, o: Operand) -> Operand {
        match o.as_value().and_then(|v| self.numbers.get(v.index())) {
            Some(n) if !n.is_none() => *n,
            _ => o,
        }
    }

    /// From now on `v` counts as `o`.
    pub fn set_equal(&mut self, v: Value, o: Operand) {
        self.grow(v);
        self.numbers[v.index()] = self.canonical(o);
    }

    fn grow(&mut self, v: Value) {
        if self.forms.len() <= v.index() {
            self.forms.resize(v.index() + 1, None);
            self.numbers.resize(v.index() + 1, Operand::NONE);
        }
    }

    /// Takes note of a line that makes a value.
    pub fn define(&mut self, trace: &Trace, inst: &Inst) {
        if !inst.has_result() {
            return;
        }
        self.grow(inst.res);
        self.number(inst);
        if inst.ty == Type::I64 {
            self.forms[inst.res.index()] = self.form_of(trace, inst);
        }
    }

    /// Finds an earlier pure line that computes the same.
    fn number(&mut self, inst: &Inst) {
        let info = inst.op.info();
        if info.effect != ir::op::OpEffect::Pure || matches!(inst.op, Op::Phi | Op::Pick) {
            return;
        }
        let [a, b, c, _] = inst.args;
        let (mut a, mut b, c) = (self.canonical(a), self.canonical(b), self.canonical(c));
        let order = |o: Operand| (o.is_literal(), o.as_value());
        if matches!(inst.op, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor) && order(b) < order(a) {
            std::mem::swap(&mut a, &mut b);
        }
        let key = (inst.op, inst.ty, inst.aty, inst.attr, [a, b, c]);
        let this = Operand::value(inst.res);
        self.numbers[inst.res.index()] = *self.seen.entry(key).or_insert(this);
    }

    /// The linear form of what the line computes; `None` if it is a term itself.
    fn form_of(&mut self, trace: &Trace, inst: &Inst) -> Option<Linear> {
        let [a, b, _, _] = inst.args;
        match inst.op {
            Op::Add => {
                let (a, b) = (self.of(trace, a), self.of(trace, b));
                self.sum(a, b, 1)
            }
            Op::Sub => {
                let (a, b) = (self.of(trace, a), self.of(trace, b));
                self.sum(a, b, -1)
            }
            Op::Neg => {
                let (zero, a) = (Linear { root: ABSOLUTE, disp: 0 }, self.of(trace, a));
                self.sum(zero, a, -1)
            }
            Op::Shl => {
                let amount = trace.literal_int(b).filter(|n| (0..32).contains(n))?;
                let (zero, a) = (Linear { root: ABSOLUTE, disp: 0 }, self.of(trace, a));
                self.sum(zero, a, 1 << amount)
            }
            Op::Mul => {
                let factor = trace.literal_int(b).filter(|n| n.abs() < 1 << 40)?;
                let (zero, a) = (Linear { root: ABSOLUTE, disp: 0 }, self.of(trace, a));
                self.sum(zero, a, factor as i64)
            }
            _ => None,
        }
    }

    /// `a + b * factor`
    fn sum(&mut self, a: Linear, b: Linear, factor: i64) -> Option<Linear> {
        let disp = a.disp.wrapping_add(b.disp.wrapping_mul(factor));
        if b.root == ABSOLUTE || factor == 0 {
            return Some(Linear { root: a.root, disp });
        }
        if a.root == ABSOLUTE && factor == 1 {
            return Some(Linear { root: b.root, disp });
        }
        let terms = combine(&self.roots[a.root.0 as usize], &self.roots[b.root.0 as usize], factor)?;
        Some(Linear { root: self.intern(terms), disp })
    }

    fn intern(&mut self, terms: Terms) -> Root {
        if let Some(r) = self.interned.get(&terms) {
            return *r;
        }
        let root = Root(self.roots.len() as u32);
        self.roots.push(terms.clone());
        self.interned.insert(terms, root);
        root
    }

    /// The linear form of an operand.
    pub fn of(&mut self, trace: &Trace, o: Operand) -> Linear {
        let Some(v) = self.canonical(o).as_value() else {
            let disp = trace.literal_int(self.canonical(o)).unwrap_or(0) as i64;
            return Linear { root: ABSOLUTE, disp };
        };
        if let Some(Some(form)) = self.forms.get(v.index()) {
            return *form;
        }
        let form = Linear { root: self.intern(SmallVec::from_slice(&[(v, 1)])), disp: 0 };
        self.grow(v);
        self.forms[v.index()] = Some(form);
        form
    }

    /// The linear form of an address. One that is far from its root gets a root of its own, so that spans never wrap around.
    pub fn address(&mut self, trace: &Trace, addr: &Addr) -> Linear {
        let form = self.sum_of_address(trace, addr);
        if form.disp.unsigned_abs() < 1 << 62 {
            return form;
        }
        self.odd += 1;
        let alone = Value(Operand::MAX_INDEX - self.odd);
        Linear { root: self.intern(SmallVec::from_slice(&[(alone, 1)])), disp: 0 }
    }

    fn sum_of_address(&mut self, trace: &Trace, addr: &Addr) -> Linear {
        let base = self.of(trace, addr.base);
        let base = Linear { disp: base.disp.wrapping_add(addr.disp), ..base };
        if addr.index.is_none() {
            return base;
        }
        let index = self.of(trace, addr.index);
        if let Some(form) = self.sum(base, index, i64::from(addr.scale)) {
            return form;
        }
        // Too many terms: take the index for one.
        let one = match self.canonical(addr.index).as_value() {
            Some(v) => Linear { root: self.intern(SmallVec::from_slice(&[(v, 1)])), disp: 0 },
            None => index,
        };
        self.sum(base, one, i64::from(addr.scale)).unwrap_or_else(|| {
            // And the base for another.
            let base = match self.canonical(addr.base).as_value() {
                Some(v) => Linear { root: self.intern(SmallVec::from_slice(&[(v, 1)])), disp: addr.disp },
                None => Linear { root: ABSOLUTE, disp: base.disp },
            };
            self.sum(base, one, i64::from(addr.scale)).unwrap_or(base)
        })
    }

    /// The terms of a root.
    pub fn terms(&self, root: Root) -> &Terms {
        &self.roots[root.0 as usize]
    }

    /// `a - b` without constants; `None` if it has too many terms.
    pub fn difference(&self, a: Root, b: Root) -> Option<Terms> {
        combine(self.terms(a), self.terms(b), -1)
    }

    /// From now on the bytes `x` of root `a` are known to be none of the bytes `y` of root `b`.
    pub fn learn_apart(&mut self, a: Root, x: Span, b: Root, y: Span) {
        let (key, fact) = if a < b { ((a, b), (x, y)) } else { ((b, a), (y, x)) };
        let facts = self.apart.entry(key).or_default();
        if facts.len() < MOST_FACTS {
            facts.push(fact);
        }
    }

    /// Is it known that these have no byte in common?
    pub fn are_apart(&self, a: Root, x: Span, b: Root, y: Span) -> bool {
        if a == b {
            return !x.meets(y);
        }
        let (key, (x, y)) = if a < b { ((a, b), (x, y)) } else { ((b, a), (y, x)) };
        self.apart.get(&key).is_some_and(|facts| facts.iter().any(|(u, v)| u.holds(x) && v.holds(y)))
    }
}

/// `a + b * factor`
fn combine(a: &Terms, b: &Terms, factor: i64) -> Option<Terms> {
    let mut out = Terms::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let from_a = a.get(i).filter(|x| b.get(j).is_none_or(|y| x.0 <= y.0));
        let from_b = b.get(j).filter(|y| a.get(i).is_none_or(|x| y.0 <= x.0));
        let value = from_a.or(from_b)?.0;
        let factors = from_a.map_or(0, |x| x.1).wrapping_add(from_b.map_or(0, |y| y.1.wrapping_mul(factor)));
        i += usize::from(from_a.is_some());
        j += usize::from(from_b.is_some());
        if factors != 0 {
            if out.len() == MOST_TERMS {
                return None;
            }
            out.push((value, factors));
        }
    }
    Some(out)
}
