//! Guard elimination: what a guard that was passed says about later lines.
//!
//! ```text
//! guard %3 else exit 0             %3 is `ult %1, 8`
//! %4: i1 = ult %1, 16              Equal(1)
//! guard %4 else exit 1             offered as `guard 1`: Drop
//! %5: i1 = ule 8, %1               Equal(0)
//! guard %6 else exit 2             %6 is `eq %2, 5`: behind it, %2 is 5
//! ```
//!
//! Behind a guard, its condition is 1. If the condition is a comparison, so are those that it implies: the same operands the other way round or with another comparison;
//! with a literal, all that its unsigned and signed range decides, and bits that follow from the range. After `eq x, y` one stands for the other. If it is a tag check, the
//! word has that tag.
//!
//! Assumes: nothing. Guarantees: a guard goes only if it cannot fail where it stands. Facts are about values, so those of the prologue hold in the loop.
//! Must stand behind folding in the list of rewriters, which brings conditions into canonical form.

use super::known_bits::Known;
use crate::forward::{Cx, Rewrite, Rewriter};
use crate::pass::Env;
use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, TagId, Type, Value};
use rustc_hash::FxHashMap;

/// Where an integer lies: both hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    /// From, to, unsigned.
    unsigned: (u64, u64),
    /// From, to, signed.
    signed: (i64, i64),
}

impl Range {
    fn all(bits: u32) -> Range {
        let mask = u64::MAX >> (64 - bits.clamp(1, 64));
        let most = (mask >> 1) as i64;
        Range { unsigned: (0, mask), signed: (-most - 1, most) }
    }

    /// Where both are of one sign, each range says something about the other.
    fn exchange(mut self, bits: u32) -> Range {
        let all = Range::all(bits);
        let extend = |x: u64| ((x << (64 - bits)) as i64) >> (64 - bits);
        let most = all.signed.1 as u64;
        if self.unsigned.1 <= most || self.unsigned.0 > most {
            let (a, b) = (extend(self.unsigned.0), extend(self.unsigned.1));
            self.signed = (self.signed.0.max(a), self.signed.1.min(b));
        }
        if self.signed.0 >= 0 || self.signed.1 < 0 {
            let cut = |x: i64| x as u64 & all.unsigned.1;
            let (a, b) = (cut(self.signed.0), cut(self.signed.1));
            self.unsigned = (self.unsigned.0.max(a), self.unsigned.1.min(b));
        }
        self
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct GuardElim {
    /// Comparisons of two operands, both values, that are decided.
    facts: FxHashMap<(Op, Operand, Operand), bool>,
    /// Conditions that are 1.
    holds: FxHashMap<Value, ()>,
    ranges: FxHashMap<Value, Range>,
}

fn is_comparison(op: Op) -> bool {
    matches!(op, Op::Eq | Op::Ne | Op::Ult | Op::Ule | Op::Slt | Op::Sle)
}

/// What follows for `x OP y` and for `y OP x` when `given` holds of `x` and `y`.
fn implied(given: Op) -> &'static [(Op, bool, bool)] {
    // (comparison, in order: decided as, the other way round: decided as), where both are decided.
    match given {
        Op::Eq => &[
            (Op::Eq, true, true),
            (Op::Ne, false, false),
            (Op::Ult, false, false),
            (Op::Ule, true, true),
            (Op::Slt, false, false),
            (Op::Sle, true, true),
        ],
        Op::Ne => &[(Op::Eq, false, false), (Op::Ne, true, true)],
        Op::Ult => {
            &[(Op::Eq, false, false), (Op::Ne, true, true), (Op::Ult, true, false), (Op::Ule, true, false)]
        }
        Op::Slt => {
            &[(Op::Eq, false, false), (Op::Ne, true, true), (Op::Slt, true, false), (Op::Sle, true, false)]
        }
        _ => &[],
    }
}

impl GuardElim {
    /// The range of an operand here.
    fn range(&self, cx: &Cx<'_>, o: Operand, ty: Type) -> Range {
        let bits = ty.bits();
        let known = cx.bits(o, ty);
        let mut range = o.as_value().and_then(|v| self.ranges.get(&v).copied()).unwrap_or(Range::all(bits));
        range.unsigned.0 = range.unsigned.0.max(known.least());
        range.unsigned.1 = range.unsigned.1.min(known.largest());
        range.exchange(bits)
    }

    /// The comparison's result, if it is decided.
    fn decide(&self, cx: &Cx<'_>, line: &Inst) -> Option<bool> {
        let (a, b, ty) = (line.args[0], line.args[1], line.aty);
        if let Some(known) = self.facts.get(&(line.op, a, b)) {
            return Some(*known);
        }
        if !ty.is_int() || ty.bits() > 64 || self.ranges.is_empty() {
            return None;
        }
        let (x, y) = (self.range(cx, a, ty), self.range(cx, b, ty));
        let less = |x: Range, y: Range, or_equal: bool| {
            let certain = if or_equal { x.unsigned.1 <= y.unsigned.0 } else { x.unsigned.1 < y.unsigned.0 };
            let never = if or_equal { x.unsigned.0 > y.unsigned.1 } else { x.unsigned.0 >= y.unsigned.1 };
            (certain, never)
        };
        let less_signed = |x: Range, y: Range, or_equal: bool| {
            let certain = if or_equal { x.signed.1 <= y.signed.0 } else { x.signed.1 < y.signed.0 };
            let never = if or_equal { x.signed.0 > y.signed.1 } else { x.signed.0 >= y.signed.1 };
            (certain, never)
        };
        let apart = || {
            let (below, above) = (less(x, y, false).0, less(y, x, false).0);
            below || above || less_signed(x, y, false).0 || less_signed(y, x, false).0
        };
        let (certain, never) = match line.op {
            Op::Ult => less(x, y, false),
            Op::Ule => less(x, y, true),
            Op::Slt => less_signed(x, y, false),
            Op::Sle => less_signed(x, y, true),
            Op::Eq => (false, apart()),
            Op::Ne => (apart(), false),
            _ => return None,
        };
        if certain {
            Some(true)
        } else if never {
            Some(false)
        } else {
            None
        }
    }

    /// `x` lies in this range, too.
    fn narrow(&mut self, cx: &mut Cx<'_>, x: Operand, ty: Type, change: impl FnOnce(&mut Range)) {
        let Some(v) = x.as_value() else { return };
        let mut range = self.range(cx, x, ty);
        change(&mut range);
        let range = range.exchange(ty.bits());
        if range.unsigned.0 > range.unsigned.1 || range.signed.0 > range.signed.1 {
            return; // Nobody gets here.
        }
        self.ranges.insert(v, range);
        // Bits above the highest in which least and largest differ are known.
        let differ = range.unsigned.0 ^ range.unsigned.1;
        let unknown = if differ == 0 { 0 } else { u64::MAX >> differ.leading_zeros() };
        let known = Known { ones: range.unsigned.1 & !unknown, unknown: unknown & ty.mask64() };
        cx.learn(x, known);
    }

    /// What follows from a comparison that holds.
    fn learn(&mut self, line: &Inst, cx: &mut Cx<'_>) {
        let (a, b, ty) = (line.args[0], line.args[1], line.aty);
        for (op, there, back) in implied(line.op) {
            self.facts.insert((*op, a, b), *there);
            self.facts.insert((*op, b, a), *back);
        }
        match line.op {
            Op::Ule => self.facts.extend([((Op::Ult, b, a), false), ((Op::Ule, a, b), true)]),
            Op::Sle => self.facts.extend([((Op::Slt, b, a), false), ((Op::Sle, a, b), true)]),
            _ => {}
        }
        if ty.is_int() && ty.bits() <= 64 {
            let (x, y) = (self.range(cx, a, ty), self.range(cx, b, ty));
            match line.op {
                Op::Eq => {
                    if let (Some(value), Some(def)) = (cx.int(b), cx.def(a)) {
                        self.learn_masked(&def, value, cx);
                    }
                }
                Op::Ult | Op::Ule => {
                    let gap = u64::from(line.op == Op::Ult);
                    self.narrow(cx, a, ty, |r| {
                        r.unsigned.1 = r.unsigned.1.min(y.unsigned.1.saturating_sub(gap))
                    });
                    self.narrow(cx, b, ty, |r| {
                        r.unsigned.0 = r.unsigned.0.max(x.unsigned.0.saturating_add(gap))
                    });
                }
                Op::Slt | Op::Sle => {
                    let gap = i64::from(line.op == Op::Slt);
                    self.narrow(cx, a, ty, |r| r.signed.1 = r.signed.1.min(y.signed.1.saturating_sub(gap)));
                    self.narrow(cx, b, ty, |r| r.signed.0 = r.signed.0.max(x.signed.0.saturating_add(gap)));
                }
                Op::Ne => {
                    // At an end of its range, the value it is not moves the end.
                    if let Some(c) = cx.int(b) {
                        let c = c as u64 & ty.mask64();
                        if x.unsigned.0 == c && x.unsigned.1 > c {
                            self.narrow(cx, a, ty, |r| r.unsigned.0 = c + 1);
                        } else if x.unsigned.1 == c && x.unsigned.0 < c {
                            self.narrow(cx, a, ty, |r| r.unsigned.1 = c - 1);
                        }
                    }
                }
                _ => {}
            }
        }
        if line.op == Op::Eq {
            // The one defined later gives way.
            let (old, new) = match (cx.position(a), cx.position(b)) {
                (Some(x), Some(y)) if x < y => (b, a),
                (None, Some(_)) => (b, a),
                _ => (a, b),
            };
            if cx.uses(old) > 1 {
                cx.assume(old, new);
            }
        }
    }

    /// `and x, MASK` has this value: so have the bits of `x` in the mask.
    fn learn_masked(&mut self, def: &Inst, value: i128, cx: &mut Cx<'_>) {
        if def.op == Op::And
            && let Some(mask) = cx.int(def.args[1])
        {
            let width = def.aty.mask64();
            let (mask, value) = (mask as u64 & width, value as u64 & width);
            cx.learn(def.args[0], Known { ones: value & mask, unknown: !mask & width });
        }
    }
}

impl Rewriter for GuardElim {
    fn name(&self) -> &'static str {
        "guard-elim"
    }

    fn start(&mut self, _: &Trace, _: &Env) {
        self.facts.clear();
        self.holds.clear();
        self.ranges.clear();
    }

    fn rewrite(&mut self, line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
        match line.op {
            Op::Guard => {
                let known = match line.args[0].as_value() {
                    Some(v) => self.holds.contains_key(&v),
                    None => cx.int(line.args[0]) == Some(1),
                };
                if known { Rewrite::Drop } else { Rewrite::Keep }
            }
            _ if is_comparison(line.op) => match self.decide(cx, line) {
                Some(value) => Rewrite::Equal(cx.literal(Type::I1, value.into())),
                None => Rewrite::Keep,
            },
            Op::HasTag => match (cx.tag(line.args[0]), line.args[1].as_index()) {
                (Some(known), Some(asked)) => {
                    let pattern = |t: usize| cx.trace().decls.tags.get(t).map(|t| t.pattern);
                    match (pattern(known.index()), pattern(asked)) {
                        (Some(x), Some(y)) => {
                            let same = x == y;
                            Rewrite::Equal(cx.literal(Type::I1, same.into()))
                        }
                        _ => Rewrite::Keep,
                    }
                }
                _ => Rewrite::Keep,
            },
            _ => Rewrite::Keep,
        }
    }

    fn committed(&mut self, line: &Inst, cx: &mut Cx<'_>) {
        if line.op != Op::Guard {
            return;
        }
        let cond = line.args[0];
        let (Some(v), Some(def)) = (cond.as_value(), cx.def(cond)) else { return };
        self.holds.insert(v, ());
        if cx.uses(cond) > 1 {
            let one = cx.literal(Type::I1, 1);
            cx.assume(cond, one);
        }
        match def.op {
            op if is_comparison(op) => self.learn(&def, cx),
            Op::HasTag => {
                if let Some(tag) = def.args[1].as_index() {
                    cx.learn_tag(def.args[0], TagId(tag as u8));
                }
            }
            // Both hold.
            Op::And if def.ty == Type::I1 => {
                for o in &def.args[..2] {
                    if let (Some(v), Some(part)) = (o.as_value(), cx.def(*o)) {
                        self.holds.insert(v, ());
                        if is_comparison(part.op) {
                            self.learn(&part, cx);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITS: u32 = 4;

    fn sign(x: u64) -> i64 {
        (x << 60) as i64 >> 60
    }

    fn holds(op: Op, x: u64, y: u64) -> bool {
        match op {
            Op::Eq => x == y,
            Op::Ne => x != y,
            Op::Ult => x < y,
            Op::Ule => x <= y,
            Op::Slt => sign(x) < sign(y),
            _ => sign(x) <= sign(y),
        }
    }

    #[test]
    fn what_a_comparison_implies_holds() {
        for given in [Op::Eq, Op::Ne, Op::Ult, Op::Ule, Op::Slt, Op::Sle] {
            for (x, y) in (0..16).flat_map(|x| (0..16).map(move |y| (x, y))) {
                if holds(given, x, y) {
                    for (op, there, back) in implied(given) {
                        assert_eq!(holds(*op, x, y), *there, "{given:?} {op:?} {x} {y}");
                        assert_eq!(holds(*op, y, x), *back, "{given:?} {op:?} {y} {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn exchanging_ranges_loses_no_value() {
        let inside = |r: Range, x: u64| {
            (r.unsigned.0..=r.unsigned.1).contains(&x) && (r.signed.0..=r.signed.1).contains(&sign(x))
        };
        for (a, b) in (0..16).flat_map(|a| (a..16).map(move |b| (a, b))) {
            for (c, d) in (-8..8).flat_map(|c| (c..8).map(move |d| (c, d))) {
                let range = Range { unsigned: (a, b), signed: (c, d) };
                for x in (0..16).filter(|x| inside(range, *x)) {
                    assert!(inside(range.exchange(BITS), x), "{range:?} loses {x}");
                }
            }
        }
    }
}
