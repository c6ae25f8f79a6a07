//! Guards that compare something that grows with a constant, once for the whole loop.
//!
//! [`super::disambiguate`] leaves checks in the body that say "the store of this iteration misses the window". When the number of iterations is
//! bounded by another guard, all of them are one check in front of the loop:
//!
//! ```text
//!   guard %5 else exit 1                    … the peeled first iteration; %3 = its n < limit
//!   at 0x10 else exit 7                     the state at the head
//!                                           %30: i1 = slt %1, %2               the bound holds at the beginning
//!                                           guard %30 else exit 9              (exit 9 is exit 7, declining)
//!                                           %31: i64 = sext %1                 first value
//!                                           %32: i64 = sext %2
//!                                           %33: i64 = add %32, -1             last value
//!                                           %34: i64 = sub %33, %31
//!                                           %35: i64 = shl %34, 3              how far t goes
//!                                           %36: i64 = shl %31, 3
//!                                           %37: i64 = add %20, %36            its first value
//!                                           guard (ult 14, %37) else exit 9    the first is above 14 …
//!                                           guard (ule %35, not %37) else …    … and the way up from there does not wrap
//! loop(%10: i32 = %1):                    loop(%10: i32 = %1):
//!   %11: i64 = sext %10                     …
//!   %12: i64 = shl %11, 3
//!   %13: i64 = add %20, %12                 t, which grows by 8
//!   %14: i1 = ult 14, %13
//!   guard %14 else exit 3                   gone
//!   …
//!   %15: i32 = add %10, 1
//!   %16: i1 = slt %15, %2                   the bound: %10 < %2 in all iterations
//!   guard %16 else exit 2
//!   end loop(%15)
//! ```
//!
//! # Why
//!
//! Let p be a parameter with entry value e that grows by the literal s, and let the loop go on only while `p + s OP n`, n invariant. Say s > 0 and OP is signed less. By
//! induction, p is e or less than n in each iteration; with e < n and `n <= MAX - s + 1`, `p + s` never wraps, so p goes from e up to at most
//! n - 1, as integers. With `p OP n` instead, it gets at most s further. The same for s < 0 and greater, for unsigned comparisons, and for `!=` when the distance is a multiple of s (then
//! it is that of less). A value `t = c + f·ext(p)` hence goes monotonically from its first value over a distance of at most `f·(last - first)`, which is below 2^63 for the
//! bounds taken here ([`FARTHEST`]). If t does not wrap on the way and is above the constant at its lower end, it is above it everywhere.
//!
//! A term that has few bits (a byte, a masked or shifted value) is bounded by them: then all values from 0 up to the largest are checked, whatever
//! it does in the loop.
//!
//! Assumes: a peeled loop: the line in front of it says where to go on with the state at the head. Guarantees: checks in front of the loop are stronger than those
//! removed, so a trace may leave earlier than before, never later. Only the guards named above are touched; other invariant lines are hoisted by peeling.

use super::alias::{Addresses, Linear};
use crate::pass::{Env, Pass};
use ir::op::Op;
use ir::snapshot::{ExitKind, Target};
use ir::trace::{End, Inst, Trace};
use ir::types::{ExitId, Operand, Type, Value};

/// 64-bit loop variables must not go farther: times a factor, it must fit.
const FARTHEST: i64 = 1 << 40;

/// Factors up to this.
const STEEPEST: u64 = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Hoist {
    addresses: Addresses,
    /// By value: its line, plus one.
    def: Vec<u32>,
    /// Lines in front of the loop.
    ahead: Vec<Inst>,
    /// Lines of the body that go.
    gone: Vec<usize>,
}

/// A bound on a parameter.
#[derive(Clone, Copy, Debug)]
struct Trip {
    /// The parameter's line.
    param: Inst,
    /// What it grows by.
    step: i64,
    /// Does the guard look at the value before it has grown?
    early: bool,
    /// The loop goes on while less than (for steps above 0; greater for others) …
    limit: Operand,
    /// … or equal to …
    or_equal: bool,
    /// … this, compared so.
    compare: Compare,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compare {
    Signed,
    Unsigned,
    NotEqual,
}

/// A value that stays above a constant.
#[derive(Clone, Copy, Debug)]
struct Check {
    /// It must be greater than this, unsigned.
    above: i128,
    form: Linear,
    /// The term that varies.
    term: Value,
    factor: i64,
    range: Range,
}

/// Where a term's values lie.
#[derive(Clone, Copy, Debug)]
enum Range {
    /// It is this parameter, maybe extended.
    Param(Value, Option<Op>),
    /// From 0 up to this, whatever happens: it has few bits.
    UpTo(i64),
}

impl Hoist {
    fn line<'t>(&self, trace: &'t Trace, o: Operand) -> Option<&'t Inst> {
        let at = *self.def.get(o.as_value()?.index())?;
        trace.insts.get(at.checked_sub(1)? as usize)
    }

    fn is_ahead(&self, o: Operand, head: usize) -> bool {
        match o.as_value() {
            Some(v) => self.def.get(v.index()).is_some_and(|d| *d > 0 && (*d as usize) <= head),
            None => o.is_literal(),
        }
    }

    /// The bound that this guard puts on a parameter.
    fn trip(&self, trace: &Trace, head: usize, guard: &Inst) -> Option<Trip> {
        let cond = self.line(trace, guard.args[0])?;
        let (compare, or_equal) = match cond.op {
            Op::Slt => (Compare::Signed, false),
            Op::Sle => (Compare::Signed, true),
            Op::Ult => (Compare::Unsigned, false),
            Op::Ule => (Compare::Unsigned, true),
            Op::Ne => (Compare::NotEqual, false),
            _ => return None,
        };
        let [a, b, ..] = cond.args;
        let (seen, limit, rising) = if self.is_ahead(b, head) { (a, b, true) } else { (b, a, false) };
        if !self.is_ahead(limit, head) || !matches!(cond.aty, Type::I32 | Type::I64) {
            return None;
        }
        let mut early = false;
        let params = trace.params();
        let param = params.iter().find(|p| {
            early = Some(p.res) == seen.as_value();
            early || p.args[1] == seen && !p.args[1].is_literal()
        })?;
        let next = self.line(trace, param.args[1])?;
        let this = Operand::value(param.res);
        let step = match next.op {
            Op::Add if next.args[0] == this => trace.literal_int(next.args[1])?,
            Op::Sub if next.args[0] == this => -trace.literal_int(next.args[1])?,
            _ => return None,
        } as i64;
        if step == 0 || step.unsigned_abs() > STEEPEST || compare != Compare::NotEqual && rising != (step > 0)
        {
            return None;
        }
        Some(Trip { param: *param, step, early, limit, or_equal, compare })
    }

    /// What the guard checks, if it is one to be hoisted.
    fn check(&mut self, trace: &Trace, head: usize, guard: &Inst) -> Option<Check> {
        let cond = *self.line(trace, guard.args[0])?;
        let least = trace.literal_int(cond.args[0]).filter(|_| cond.aty == Type::I64)?;
        let above = match cond.op {
            Op::Ult => least,
            Op::Ule => least - 1,
            _ => return None,
        };
        let form = self.addresses.of(trace, cond.args[1]);
        let mut varying = None;
        for (v, factor) in self.addresses.terms(form.root).clone() {
            if !self.is_ahead(Operand::value(v), head) && varying.replace((v, factor)).is_some() {
                return None;
            }
        }
        let (term, factor) = varying?;
        let line = self.line(trace, Operand::value(term))?;
        let range = match line.op {
            Op::Phi => Range::Param(term, None),
            Op::Sext | Op::Zext if line.aty == Type::I32 && self.is_param(trace, line.args[0]) => {
                Range::Param(line.args[0].as_value()?, Some(line.op))
            }
            _ => Range::UpTo(self.largest(trace, Operand::value(term), 0).filter(|n| *n < FARTHEST >> 20)?),
        };
        let small = factor.unsigned_abs() <= STEEPEST && (0..1 << 32).contains(&above);
        small.then_some(Check { above, form, term, factor, range })
    }

    fn is_param(&self, trace: &Trace, o: Operand) -> bool {
        self.line(trace, o).is_some_and(|l| l.op == Op::Phi)
    }

    /// The largest value that an operand can have, unsigned, as far as one can see at a glance.
    fn largest(&self, trace: &Trace, o: Operand, depth: u32) -> Option<i64> {
        let line = self.line(trace, o)?;
        let all = |ty: Type| if ty.bits() < 64 { Some(ty.mask64() as i64) } else { None };
        let [a, b, ..] = line.args;
        let literal = trace.literal_int(b).map(|n| n as i64);
        if depth > 4 || !line.ty.is_int() {
            return None;
        }
        match line.op {
            Op::Zext if line.aty.is_int() => self.largest(trace, a, depth + 1).or(all(line.aty)),
            Op::And => match literal.filter(|n| *n >= 0) {
                Some(mask) => Some(mask),
                None => self.largest(trace, a, depth + 1).or_else(|| self.largest(trace, b, depth + 1)),
            },
            Op::Shr => {
                let amount = literal.filter(|n| (1..i64::from(line.ty.bits())).contains(n))?;
                Some((line.ty.mask64() >> amount) as i64)
            }
            _ => all(line.ty),
        }
    }
}

/// Writes lines in front of the loop.
struct Writer<'a> {
    trace: &'a mut Trace,
    out: &'a mut Vec<Inst>,
    exit: ExitId,
}

impl Writer<'_> {
    fn op(&mut self, op: Op, aty: Type, ty: Type, a: Operand, b: Operand) -> Operand {
        let res = self.trace.new_value(ty);
        self.out.push(Inst { res, ..Inst::new(op, aty, ty, 0, &[a, b]) });
        Operand::value(res)
    }

    fn i64(&mut self, op: Op, a: Operand, b: Operand) -> Operand {
        self.op(op, Type::I64, Type::I64, a, b)
    }

    fn literal(&mut self, ty: Type, value: i128) -> Operand {
        self.trace.literal(ty, value)
    }

    fn guard(&mut self, op: Op, ty: Type, a: Operand, b: Operand) {
        let cond = self.op(op, ty, Type::I1, a, b);
        let exit = Operand::index(self.exit.0);
        self.out.push(Inst::new(Op::Guard, Type::Void, Type::Void, 0, &[cond, exit]));
    }

    fn extended(&mut self, with: Option<Op>, o: Operand) -> Operand {
        let Some(op) = with else { return o };
        match self.trace.literal_int(o) {
            Some(n) if op == Op::Sext => self.literal(Type::I64, n),
            Some(n) => self.literal(Type::I64, n & 0xffff_ffff),
            None => self.op(op, Type::I32, Type::I64, o, Operand::NONE),
        }
    }

    fn times(&mut self, o: Operand, factor: u64) -> Operand {
        if let Some(n) = self.trace.literal_int(o) {
            return self.literal(Type::I64, n.wrapping_mul(factor.into()));
        }
        match factor {
            1 => o,
            _ if factor.is_power_of_two() => {
                let by = self.literal(Type::I64, factor.trailing_zeros().into());
                self.i64(Op::Shl, o, by)
            }
            _ => {
                let by = self.literal(Type::I64, factor.into());
                self.i64(Op::Mul, o, by)
            }
        }
    }

    /// Checks what the bound rests on; gives the distance between the first value of the parameter, extended so, and the last. `None` when that is not to be had.
    fn distance(&mut self, t: &Trip, extend: Option<Op>) -> Option<Operand> {
        let ty = t.param.ty;
        let (entry, rising) = (t.param.args[0], t.step > 0);
        let size = i128::from(t.step.unsigned_abs());
        let signed = match (t.compare, extend) {
            (Compare::Signed, Some(Op::Sext) | None) | (Compare::NotEqual, Some(Op::Sext)) => true,
            (Compare::Unsigned | Compare::NotEqual, Some(Op::Zext) | None) => false,
            _ => return None,
        };
        // The parameter is on the right side of the limit at the beginning.
        let (low, high) = if rising { (entry, t.limit) } else { (t.limit, entry) };
        let less = match (signed, t.or_equal) {
            (true, false) => Op::Slt,
            (true, true) => Op::Sle,
            (false, false) => Op::Ult,
            (false, true) => Op::Ule,
        };
        match (t.compare, extend) {
            // 64 bits may wrap around as long as the limit is met.
            (Compare::NotEqual, None) => self.guard(Op::Ne, ty, low, high),
            _ => self.guard(less, ty, low, high),
        }
        // The step behind the limit does not wrap: limit <= MAX - size + 1, or limit >= MIN + size - 1; one less if it may be equal. A limit that is met exactly is no problem.
        let overshoot = size - i128::from(!t.or_equal);
        if overshoot > 0 && t.compare != Compare::NotEqual {
            let (min, max) = match signed {
                true => (-(1i128 << (ty.bits() - 1)), (1i128 << (ty.bits() - 1)) - 1),
                false => (0, (1i128 << ty.bits()) - 1),
            };
            let not_above = if signed { Op::Sle } else { Op::Ule };
            let edge = if rising { max - overshoot } else { min + overshoot };
            let edge = self.literal(ty, edge);
            let (a, b) = if rising { (t.limit, edge) } else { (edge, t.limit) };
            match (self.trace.literal_int(t.limit), self.trace.literal_int(edge)) {
                (Some(l), Some(e)) if signed && (rising && l <= e || !rising && l >= e) => {}
                _ => self.guard(not_above, ty, a, b),
            }
        }
        let (low, high) = (self.extended(extend, low), self.extended(extend, high));
        let mut distance = self.i64(Op::Sub, high, low);
        if extend.is_none() {
            let farthest = self.literal(Type::I64, FARTHEST.into());
            self.guard(Op::Ult, Type::I64, distance, farthest);
        }
        if t.compare == Compare::NotEqual && size > 1 {
            let size = size as u64;
            if !size.is_power_of_two() {
                return None;
            }
            let (mask, zero) = (self.literal(Type::I64, i128::from(size) - 1), self.literal(Type::I64, 0));
            let rest = self.i64(Op::And, distance, mask);
            self.guard(Op::Eq, Type::I64, rest, zero);
        }
        // From the limit to the last value: what is equal to the limit is not reached, unless it may be; an early look comes one step late.
        let back = if t.compare == Compare::NotEqual { size } else { i128::from(!t.or_equal) };
        let more = if t.early { size } else { 0 } - back;
        if more != 0 {
            let more = self.literal(Type::I64, more);
            distance = self.i64(Op::Add, distance, more);
        }
        Some(distance)
    }
}

impl Pass for Hoist {
    fn name(&self) -> &'static str {
        "hoist"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let Some(head) = trace.loop_at.map(|at| at as usize).filter(|_| trace.end == End::Loop) else {
            return false;
        };
        let Some(mark) = head.checked_sub(1).and_then(|i| self.mark_ahead(trace, i)) else { return false };
        let body = head + trace.params().len();
        self.begin(trace);
        let mut checks = Vec::new();
        let mut trips: Vec<Trip> = Vec::new();
        for i in body..trace.insts.len() {
            let guard = trace.insts[i];
            if guard.op != Op::Guard {
                continue;
            }
            if let Some(check) = self.check(trace, head, &guard) {
                checks.push((i, check));
            } else if let Some(trip) = self.trip(trace, head, &guard) {
                trips.push(trip);
            }
        }
        if checks.is_empty() {
            return false;
        }
        let exit = declining(trace, mark);
        self.ahead.clear();
        self.gone.clear();
        let mut distances: Vec<(Value, Option<Op>, Operand)> = Vec::new();
        for (i, check) in &checks {
            let written = self.ahead.len();
            let mut w = Writer { trace, out: &mut self.ahead, exit };
            let factor = check.factor.unsigned_abs();
            // The first value of the term times its factor, how far it goes from there, and whether upwards.
            let found = match check.range {
                Range::UpTo(most) => {
                    let (zero, most) = (w.literal(Type::I64, 0), w.literal(Type::I64, most.into()));
                    Some((zero, most, true))
                }
                Range::Param(param, extend) => {
                    // An inequality may be about one special value rather than the last.
                    let of_param = trips.iter().filter(|t| t.param.res == param);
                    of_param.min_by_key(|t| t.compare == Compare::NotEqual).and_then(|trip| {
                        let known = distances.iter().find(|d| (d.0, d.1) == (param, extend)).map(|d| d.2);
                        let distance = known.or_else(|| w.distance(trip, extend))?;
                        distances.push((param, extend, distance));
                        Some((w.extended(extend, trip.param.args[0]), distance, trip.step > 0))
                    })
                }
            };
            let Some((first, distance, rising)) = found.filter(|_| env.burn()) else {
                self.ahead.truncate(written);
                distances.retain(|d| is_written(&self.ahead, trace, d.2));
                continue;
            };
            let mut sum = w.times(first, factor);
            if check.factor < 0 {
                let zero = w.literal(Type::I64, 0);
                sum = w.i64(Op::Sub, zero, sum);
            }
            for (v, factor) in self.addresses.terms(check.form.root).iter().filter(|t| t.0 != check.term) {
                let term = w.times(Operand::value(*v), factor.unsigned_abs());
                sum = w.i64(if *factor > 0 { Op::Add } else { Op::Sub }, sum, term);
            }
            if check.form.disp != 0 {
                let disp = w.literal(Type::I64, check.form.disp.into());
                sum = w.i64(Op::Add, sum, disp);
            }
            let way = w.times(distance, factor);
            let above = w.literal(Type::I64, check.above);
            if (check.factor > 0) == rising {
                w.guard(Op::Ult, Type::I64, above, sum);
                let end = w.i64(Op::Add, sum, way);
                w.guard(Op::Ule, Type::I64, sum, end);
            } else {
                w.guard(Op::Ule, Type::I64, way, sum);
                let end = w.i64(Op::Sub, sum, way);
                w.guard(Op::Ult, Type::I64, above, end);
            }
            self.gone.push(*i);
        }
        if self.gone.is_empty() {
            return false;
        }
        for i in self.gone.iter().rev() {
            trace.insts.remove(*i);
        }
        let added = self.ahead.len();
        trace.insts.splice(head..head, self.ahead.drain(..));
        trace.loop_at = Some((head + added) as u32);
        true
    }
}

/// Is the operand a literal, or still among the lines written, or older than them?
fn is_written(ahead: &[Inst], trace: &Trace, o: Operand) -> bool {
    let Some(v) = o.as_value() else { return true };
    ahead.iter().any(|l| l.res == v && l.has_result())
        || trace.insts.iter().any(|l| l.res == v && l.has_result())
}

impl Hoist {
    /// The exit named by the line in front of the loop, if nothing but pure lines and guards is behind it.
    fn mark_ahead(&self, trace: &Trace, last: usize) -> Option<ExitId> {
        let line =
            trace.insts[..=last].iter().rev().find(|l| !(trace.effects(l).is_pure() || l.op == Op::Guard))?;
        if line.op != Op::At {
            return None;
        }
        let id = line.exit()?;
        let Target::Pc(pc) = trace.exit(id)?.target else { return None };
        // It is the head's only if it says so: the interrupt exit goes on there.
        let interrupt = trace.exit(trace.interrupt?)?;
        (interrupt.target == Target::Pc(pc)).then_some(id)
    }

    fn begin(&mut self, trace: &Trace) {
        self.addresses.clear();
        self.addresses.begin(trace.value_count());
        self.def.clear();
        self.def.resize(trace.value_count(), 0);
        for (i, line) in trace.insts.iter().enumerate() {
            if line.has_result() {
                self.def[line.res.index()] = i as u32 + 1;
                self.addresses.define(trace, line);
            }
        }
    }
}

/// The exit, or if it goes to where the trace begins, one like it that declines.
fn declining(trace: &mut Trace, id: ExitId) -> ExitId {
    let Some(exit) = trace.exit(id).copied() else { return id };
    if exit.target != Target::Pc(trace.entry) || exit.kind == ExitKind::Decline {
        return id;
    }
    // One may have been made for guards in front of the loop.
    let found = trace.exits.iter().find(|e| {
        e.like == Some(id)
            && e.kind == ExitKind::Decline
            && e.target == exit.target
            && trace.binds(e).is_empty()
    });
    if let Some(e) = found {
        return e.id;
    }
    let new = ExitId(trace.exits.last().map_or(0, |e| e.id.0 + 1));
    trace.add_exit(new, exit.target, ExitKind::Decline, Some(id), &[]);
    new
}
