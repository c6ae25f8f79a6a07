//! What is checked in front of the vector loop: that it goes round often enough, that nothing wraps which must not, and that
//! memory does not overlap.

use super::exits::Count;
use super::{MIN_ROUNDS, Part, Refusal, Vectorizer};
use crate::passes::loop_info::{Access, Compare, Leaf, Linear, Need, Trip};
use ir::op::Op;
use ir::snapshot::{ExitKind, Target};
use ir::types::{ExitId, Operand, Type};

/// More than this many comparisons of addresses are not worth it.
const MAX_CHECKS: usize = 12;

/// Places that lie within this many bytes are checked as one.
const NEAR: i64 = 96;

/// Distances that two accesses must not have: strictly between the two numbers, plus the form.
#[derive(Clone, Debug)]
struct Forbidden {
    form: Linear,
    low: i64,
    high: i64,
}

impl Vectorizer<'_> {
    /// Writes the checks; gives the number of iterations. `entry`: the state at entry of the loop.
    pub(super) fn build_checks(&mut self, entry: Option<ExitId>) -> Result<Count, Refusal> {
        let decline = self.next_exit();
        self.t.add_exit(decline, Target::Pc(self.s.entry), ExitKind::Decline, entry, &[]);
        let mut rest_on: Vec<u32> = std::mem::take(&mut self.needs);
        for a in self.emitted.iter().map(|e| &e.access).chain(&self.uniform) {
            rest_on.extend(&a.addr.needs);
        }
        for t in &self.trips {
            rest_on.extend(t.left.needs.iter().chain(&t.right.needs));
        }
        // What reads inductions in other ways (values stored, addresses as they are) sees them as they are, but parameters
        // themselves rest on what their steps were found from.
        for p in 0..self.info.body - self.info.head {
            let phi = self.s.insts[self.info.head + p];
            if self.info.param_step(p).is_some() {
                for o in [phi.args[1], Operand::value(phi.res)] {
                    if let Some(form) = self.info.linear_operand(self.s, o, phi.ty) {
                        rest_on.extend(&form.needs);
                    }
                }
            }
        }
        rest_on.sort_unstable();
        rest_on.dedup();
        let count = self.count(decline)?;
        for line in self.info.body..self.s.insts.len() {
            let inst = self.s.insts[line];
            if inst.op == Op::Guard && self.info.is_invariant(inst.args[0]) {
                self.scalar(inst.args[0])?;
                self.guard(Part::Pre, inst.args[0], decline);
            }
        }
        for need in rest_on {
            self.check_need(need, count.value, decline)?;
        }
        self.check_memory(count.value, decline)?;
        Ok(count)
    }

    // --- forms as code -------------------------------------------------------------------------------

    /// The value of a form at entry of the loop.
    fn value_of(&mut self, form: &Linear, ty: Type) -> Result<Operand, Refusal> {
        let mut sum: Option<Operand> = None;
        for (leaf, coef) in &form.terms {
            let leaf = self.leaf_value(*leaf, ty)?;
            let (factor, negative) =
                if *coef < 0 && *coef != i64::MIN { (-coef, true) } else { (*coef, false) };
            let scaled = if factor == 1 {
                leaf
            } else if factor > 0 && factor.count_ones() == 1 {
                let by = self.t.literal(ty, factor.trailing_zeros().into());
                self.op(Part::Pre, Op::Shl, ty, ty, &[leaf, by])
            } else {
                let by = self.t.literal(ty, factor.into());
                self.op(Part::Pre, Op::Mul, ty, ty, &[leaf, by])
            };
            sum = Some(match (sum, negative) {
                (None, false) => scaled,
                (None, true) => self.op(Part::Pre, Op::Neg, ty, ty, &[scaled]),
                (Some(s), false) => self.op(Part::Pre, Op::Add, ty, ty, &[s, scaled]),
                (Some(s), true) => self.op(Part::Pre, Op::Sub, ty, ty, &[s, scaled]),
            });
        }
        let konst = self.t.literal(ty, form.konst.into());
        Ok(match sum {
            None => konst,
            Some(s) if form.konst == 0 => s,
            Some(s) => self.op(Part::Pre, Op::Add, ty, ty, &[s, konst]),
        })
    }

    fn leaf_value(&mut self, leaf: Leaf, ty: Type) -> Result<Operand, Refusal> {
        match leaf {
            Leaf::Value(v) => {
                let o = match self.info.param(v) {
                    Some(p) => self.s.insts[self.info.head + p].args[0],
                    None => {
                        self.scalar(Operand::value(v))?;
                        Operand::value(v)
                    }
                };
                let from = self.s.value_type(v);
                if from == ty {
                    return Ok(o);
                }
                if let Some(literal) = self.s.literal_int(o) {
                    return Ok(self.t.literal(ty, literal));
                }
                Ok(self.op(Part::Pre, Op::Trunc, from, ty, &[o]))
            }
            Leaf::Sext(f) | Leaf::Zext(f) => {
                let (form, from) = self.info.forms[f as usize].clone();
                let value = self.value_of(&form, from)?;
                Ok(self.extend(value, from, ty, matches!(leaf, Leaf::Sext(_))))
            }
        }
    }

    fn extend(&mut self, value: Operand, from: Type, to: Type, signed: bool) -> Operand {
        if from == to {
            return value;
        }
        if let Some(bits) = self.t.literal_int(value) {
            let bits = if signed { bits } else { bits & i128::from(from.mask64()) };
            return self.t.literal(to, bits);
        }
        self.op(Part::Pre, if signed { Op::Sext } else { Op::Zext }, from, to, &[value])
    }

    fn binary(&mut self, op: Op, a: Operand, b: Operand) -> Operand {
        let ty =
            if matches!(op, Op::Ult | Op::Ule | Op::Slt | Op::Sle | Op::Eq) { Type::I1 } else { Type::I64 };
        self.op(Part::Pre, op, Type::I64, ty, &[a, b])
    }

    fn check(&mut self, op: Op, a: Operand, b: Operand, decline: ExitId) {
        if let (Some(x), Some(y)) = (self.t.literal_int(a), self.t.literal_int(b))
            && ir::eval::scalar(op, Type::I64, Type::I1, 0, x as u64, y as u64, 0) == Ok(1)
        {
            return;
        }
        let holds = self.binary(op, a, b);
        self.guard(Part::Pre, holds, decline);
    }

    // --- how often -----------------------------------------------------------------------------------

    fn count(&mut self, decline: ExitId) -> Result<Count, Refusal> {
        let ends = self.ends_with_guard();
        let trips = std::mem::take(&mut self.trips);
        let mut all: Option<Operand> = None;
        for trip in &trips {
            let passes = self.passes(trip, decline)?;
            all = Some(match all {
                None => passes,
                Some(least) => {
                    let less = self.binary(Op::Ult, passes, least);
                    self.op(Part::Pre, Op::Select, Type::Void, Type::I64, &[less, passes, least])
                }
            });
        }
        self.trips = trips;
        let mut value = all.ok_or(Refusal::NoTrip)?;
        if ends {
            let one = self.int(1);
            value = self.binary(Op::Add, value, one);
        }
        let least = self.int((u64::from(self.lanes) * MIN_ROUNDS.max(2 * u64::from(self.bodies))) as i64);
        // As a signed comparison it also sees to it that nothing below overflows.
        self.check(Op::Sle, least, value, decline);
        let most = self.int(1 << 40);
        self.check(Op::Ult, value, most, decline);
        Ok(Count { value, whole: ends })
    }

    /// How many iterations pass the guard before one does not.
    fn passes(&mut self, trip: &Trip, decline: ExitId) -> Result<Operand, Refusal> {
        let ty = trip.ty;
        let size = trip.step.unsigned_abs();
        if !size.is_power_of_two() || size > 1 << 20 {
            return Err(Refusal::NoTrip);
        }
        let log = self.int(size.trailing_zeros().into());
        // The distance to the bound shrinks by `size` each time round.
        if trip.compare == Compare::Ne {
            // left - right grows by trip.step.
            let form = if trip.step < 0 {
                trip.left.minus(&trip.right, ty)
            } else {
                trip.right.minus(&trip.left, ty)
            };
            let distance = self.value_of(&form, ty)?;
            let distance = self.extend(distance, ty, Type::I64, false);
            if size > 1 {
                let (mask, zero) = (self.int(size as i64 - 1), self.int(0));
                let odd = self.binary(Op::And, distance, mask);
                self.check(Op::Eq, odd, zero, decline);
                return Ok(self.binary(Op::Shr, distance, log));
            }
            return Ok(distance);
        }
        // `left < right` must come nearer to failing.
        if trip.step < 0 {
            return Err(Refusal::NoTrip);
        }
        let signed = matches!(trip.compare, Compare::Slt | Compare::Sle);
        let (low, high) = (self.value_of(&trip.left, ty)?, self.value_of(&trip.right, ty)?);
        if ty == Type::I64 {
            self.check(if signed { Op::Slt } else { Op::Ult }, low, high, decline);
        }
        let (low, high) = (self.extend(low, ty, Type::I64, signed), self.extend(high, ty, Type::I64, signed));
        let mut distance = self.binary(Op::Sub, high, low);
        let up = size as i64 - 1 + i64::from(matches!(trip.compare, Compare::Sle | Compare::Ule));
        if up != 0 {
            // Behind the last iteration that passes, the left side is past the bound, if it does not wrap there.
            let most = match (signed, ty.bits()) {
                (true, bits) => i64::MAX >> (64 - bits),
                (false, 64) => -1,
                (false, bits) => (1 << bits) - 1,
            };
            let most = self.int(most.wrapping_sub(up));
            self.check(if signed { Op::Sle } else { Op::Ule }, high, most, decline);
            let up = self.int(up);
            distance = self.binary(Op::Add, distance, up);
        }
        // A distance that is negative or too large stays so.
        Ok(if size == 1 { distance } else { self.binary(Op::Sar, distance, log) })
    }

    // --- what must not wrap --------------------------------------------------------------------------

    fn check_need(&mut self, need: u32, count: Operand, decline: ExitId) -> Result<(), Refusal> {
        match self.info.needs[need as usize].clone() {
            Need::ZeroExtended(param) => {
                let p = self.info.param(param).ok_or(Refusal::NoTrip)?;
                let entry = self.s.insts[self.info.head + p].args[0];
                let most = self.t.literal(Type::I64, u32::MAX.into());
                self.check(Op::Ule, entry, most, decline);
            }
            Need::NoWrap { form, konst, signed } => {
                let (form, ty) = self.info.forms[form as usize].clone();
                let step = self.info.step(&form, ty).ok_or(Refusal::NoTrip)?;
                if ty == Type::I64 || step == 0 && konst == 0 {
                    return Ok(());
                }
                let start = self.value_of(&form, ty)?;
                let start = self.extend(start, ty, Type::I64, signed);
                // x fits in the type if x + bias < 2^bits.
                let bias = if signed { 1i64 << (ty.bits() - 1) } else { 0 };
                let most = self.int(1i64 << ty.bits());
                let by = self.int(konst.wrapping_add(bias));
                let first = self.binary(Op::Add, start, by);
                if konst != 0 {
                    self.check(Op::Ult, first, most, decline);
                }
                if step != 0 {
                    let step = self.int(step);
                    let way = self.binary(Op::Mul, count, step);
                    let last = self.binary(Op::Add, first, way);
                    self.check(Op::Ult, last, most, decline);
                }
            }
        }
        Ok(())
    }

    // --- memory --------------------------------------------------------------------------------------

    fn check_memory(&mut self, count: Operand, decline: ExitId) -> Result<(), Refusal> {
        let mut forbidden: Vec<Forbidden> = Vec::new();
        let mut ranges: Vec<(Access, Access)> = Vec::new();
        let emitted = std::mem::take(&mut self.emitted);
        for (i, x) in emitted.iter().enumerate() {
            for y in &emitted[i + 1..] {
                debug_assert!(x.order < y.order);
                self.pair(&x.access, &y.access, &mut forbidden, &mut ranges)?;
            }
            for u in self.uniform.iter().filter(|_| x.access.store) {
                self.pair(&x.access, u, &mut forbidden, &mut ranges)?;
            }
        }
        self.emitted = emitted;
        let ranges = joined(ranges);
        if forbidden.len() + ranges.len() > MAX_CHECKS {
            return Err(Refusal::Checks);
        }
        for f in forbidden {
            let distance = self.value_of(&f.form, Type::I64)?;
            let (from, width) = (f.low.wrapping_add(1), f.high.wrapping_sub(f.low).wrapping_sub(1));
            let (from, width) = (self.int(from.wrapping_neg()), self.int(width));
            let above = self.binary(Op::Add, distance, from);
            self.check(Op::Ule, width, above, decline);
        }
        for (a, b) in ranges {
            self.check_ranges(&a, &b, count, decline)?;
        }
        Ok(())
    }

    fn may_alias(&self, a: &Access, b: &Access) -> bool {
        let class = |a: &Access| self.s.insts[a.line].class();
        self.s.decls.alias().may_alias(class(a), class(b))
    }

    /// X is performed before Y in the vector body. What must be known of them? See the module.
    fn pair(
        &self,
        x: &Access,
        y: &Access,
        forbidden: &mut Vec<Forbidden>,
        ranges: &mut Vec<(Access, Access)>,
    ) -> Result<(), Refusal> {
        if !x.store && !y.store || !self.may_alias(x, y) {
            return Ok(());
        }
        let conflict = Refusal::Dependence(x.line, y.line);
        let mut form = y.addr.minus(&x.addr, Type::I64);
        if !form.terms.is_empty() {
            form = self.info.at_entry(self.s, &form, Type::I64);
        }
        if x.step != y.step || x.step == 0 {
            if form.terms.is_empty() && x.step == y.step {
                // Two places that do not move.
                let apart = form.konst >= x.size || form.konst <= -y.size;
                return if apart { Ok(()) } else { Err(conflict) };
            }
            ranges.push((x.clone(), y.clone()));
            return Ok(());
        }
        // Iterations between them: not 0 if they are in program order.
        let first = i64::from(x.line < y.line);
        let most = i64::from(self.lanes) - 1;
        let step = x.step;
        if form.terms.is_empty() {
            let touches = |m: i64| m * step - y.size < form.konst && form.konst < m * step + x.size;
            return if (first..=most).any(touches) { Err(conflict) } else { Ok(()) };
        }
        let (near, far) = if step > 0 { (first, most) } else { (most, first) };
        let konst = std::mem::take(&mut form.konst);
        let low = near * step - y.size - konst;
        let high = far * step + x.size - konst;
        match forbidden.iter_mut().find(|f| f.form.terms == form.terms) {
            Some(f) => (f.low, f.high) = (f.low.min(low), f.high.max(high)),
            None => forbidden.push(Forbidden { form, low, high }),
        }
        Ok(())
    }

    /// First byte, and number of bytes, that an access touches in the whole trip.
    fn range(&mut self, a: &Access, count: Operand) -> Result<(Operand, Operand), Refusal> {
        let start = self.value_of(&a.addr, Type::I64)?;
        if a.step == 0 {
            return Ok((start, self.int(a.size)));
        }
        if a.step.unsigned_abs() > 1 << 20 {
            return Err(Refusal::Address(a.line));
        }
        let step = self.int(a.step.abs());
        let way = self.binary(Op::Mul, count, step);
        let more = self.int(a.size);
        let bytes = self.binary(Op::Add, way, more);
        if a.step < 0 { Ok((self.binary(Op::Sub, start, way), bytes)) } else { Ok((start, bytes)) }
    }

    fn check_ranges(
        &mut self,
        a: &Access,
        b: &Access,
        count: Operand,
        decline: ExitId,
    ) -> Result<(), Refusal> {
        let ((start_a, bytes_a), (start_b, bytes_b)) = (self.range(a, count)?, self.range(b, count)?);
        // Apart if b begins behind a's end and a behind b's, going round: b + |b| - 1 - a >= |a| + |b| - 1.
        let one = self.int(1);
        let distance = self.binary(Op::Sub, start_b, start_a);
        let bytes_b = self.binary(Op::Sub, bytes_b, one);
        let behind = self.binary(Op::Add, distance, bytes_b);
        let both = self.binary(Op::Add, bytes_a, bytes_b);
        self.check(Op::Ule, both, behind, decline);
        Ok(())
    }
}

/// Accesses that stay at places close to each other are compared with a stream together.
fn joined(ranges: Vec<(Access, Access)>) -> Vec<(Access, Access)> {
    let mut all: Vec<(Access, Access)> = Vec::new();
    for (a, b) in ranges {
        let (stream, still) = if a.step == 0 { (b, a) } else { (a, b) };
        let near = all.iter_mut().find(|(s, t)| {
            let (low, high) = (t.addr.konst.min(still.addr.konst), ends(t).max(ends(&still)));
            still.step == 0
                && t.step == 0
                && s.line == stream.line
                && t.addr.terms == still.addr.terms
                && (0..=NEAR).contains(&high.wrapping_sub(low))
        });
        match near {
            Some((_, t)) => {
                let end = ends(t).max(ends(&still));
                t.addr.konst = t.addr.konst.min(still.addr.konst);
                t.size = end.wrapping_sub(t.addr.konst);
            }
            None => all.push((stream, still)),
        }
    }
    all
}

fn ends(a: &Access) -> i64 {
    a.addr.konst.wrapping_add(a.size)
}
