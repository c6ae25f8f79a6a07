//! Loops and jumps.
//!
//! A counter whose start, limit and step are integers of 32 bits, with no overflow on the way, is an integer in the trace.

use ir::op::Op as O;
use ir::types::{Operand, Type};

use super::{Next, Recorder, V};
use crate::bytecode::{Ins, Op, a, j};
use crate::value::Value;

/// The integer of 32 bits that a number is.
fn whole(v: Value) -> Option<i32> {
    let n = v.as_number()?;
    (n as i32 as f64 == n).then_some(n as i32)
}

impl Recorder {
    fn target(&self, ins: Ins) -> *const Ins {
        // SAFETY: jumps stay inside the function.
        unsafe { self.pc.add(1).offset(j(ins)) }
    }

    /// A round of a loop other than the one recorded. False when there have been too many.
    fn round(&mut self) -> bool {
        let rounds = self.rounds.entry(self.pc as usize).or_default();
        *rounds += 1;
        *rounds <= self.limits.unroll
    }

    /// What to do about another loop: it is to have a trace of its own first.
    fn inner(&self) -> Next {
        if self.range.is_some() { Next::Abort("an inner loop") } else { Next::Stop }
    }

    pub(super) fn jump(&mut self, op: Op, _ins: Ins) -> Next {
        if op == Op::LOOP && self.length > 1 && !self.round() { self.inner() } else { Next::Go }
    }

    pub(super) fn fori(&mut self, ins: Ins) -> Next {
        let r = a(ins);
        let (i, stop, step) = (self.live(r), self.live(r + 1), self.live(r + 2));
        let (Some(p), Some(q), Some(_)) = (i.as_number(), stop.as_number(), step.as_number()) else {
            return Next::Stop;
        };
        let (vi, vstop, vstep) = (self.typed(r), self.typed(r + 1), self.typed(r + 2));
        self.loop_step(vstep, step);
        let down = (step.0 as i64) < 0;
        let enters = if down { p >= q } else { p <= q };
        let cond = match (self.known_int(vi), self.known_int(vstop)) {
            (Some(x), Some(y)) => {
                self.b.bin(O::Sle, Type::I32, if down { y } else { x }, if down { x } else { y })
            }
            _ => {
                let (x, y) = (self.num(vi), self.num(vstop));
                self.b.bin(O::Fle, Type::F64, if down { y } else { x }, if down { x } else { y })
            }
        };
        self.set(r + 3, vi);
        // SAFETY: the instruction behind.
        let behind = unsafe { self.pc.add(1) };
        let other = if enters { self.target(ins) } else { behind };
        let cond = if enters { cond } else { self.not(cond) };
        let exit = self.exit_to(other);
        self.b.guard(cond, exit);
        Next::Go
    }

    pub(super) fn forl(&mut self, ins: Ins) -> Next {
        if self.length > 1 && !self.round() {
            return self.inner();
        }
        let r = a(ins);
        let (i, stop, step) = (self.live(r), self.live(r + 1), self.live(r + 2));
        let (Some(p), Some(q), Some(by)) = (i.as_number(), stop.as_number(), step.as_number()) else {
            return Next::Stop;
        };
        let (vi, vstop, vstep) = (self.typed(r), self.typed(r + 1), self.typed(r + 2));
        let vstep = self.loop_step(vstep, step);
        let down = (step.0 as i64) < 0;
        let sum = p + by;
        let goes_on = if down { sum >= q } else { sum <= q };
        let in_order = |x: Operand, y: Operand| if down { [y, x] } else { [x, y] };
        // Round the limit there is room for one more step.
        let room = |limit: i32, step: i32| limit.checked_add(step).is_some();
        let (cond, next) = match (whole(i), whole(stop), whole(step)) {
            (Some(x), Some(limit), Some(step))
                if step != 0 && room(limit, step) && x.checked_add(step).is_some() =>
            {
                let (x, y, k) = (self.int(vi), self.int(vstop), self.int(vstep));
                if vstep.value.is_none() {
                    // Neither constant: the limit and one step more must fit.
                    let (wide, narrow) = (Type::I64, Type::I32);
                    let (p, q) =
                        (self.b.convert(O::Sext, narrow, wide, y), self.b.convert(O::Sext, narrow, wide, k));
                    let end = self.b.bin(O::Add, wide, p, q);
                    let most = self.b.i64(if down { i32::MIN } else { i32::MAX }.into());
                    let [a, b] = in_order(end, most);
                    let fits = self.b.bin(O::Sle, wide, a, b);
                    self.guard(fits);
                    self.known_value_int(r + 1, y);
                } else if vstop.value.is_none() {
                    let most =
                        self.b.int(Type::I32, if down { i32::MIN - step } else { i32::MAX - step }.into());
                    let [a, b] = in_order(y, most);
                    let fits = self.b.bin(O::Sle, Type::I32, a, b);
                    self.guard(fits);
                    self.known_value_int(r + 1, y);
                }
                // What has come round is within the limit; what comes in may not be.
                let [a, b] = in_order(x, y);
                let inside = self.b.bin(O::Sle, Type::I32, a, b);
                self.guard(inside);
                let sum = self.b.bin(O::Add, Type::I32, x, k);
                let [a, b] = in_order(sum, y);
                (self.b.bin(O::Sle, Type::I32, a, b), self.val_int(sum))
            }
            _ => {
                let (x, y, k) = (self.num(vi), self.num(vstop), self.num(vstep));
                let sum = self.b.bin(O::Fadd, Type::F64, x, k);
                let [a, b] = in_order(sum, y);
                (self.b.bin(O::Fle, Type::F64, a, b), self.val_num(sum))
            }
        };
        self.set(r, next);
        self.set(r + 3, next);
        // SAFETY: the instruction behind.
        let behind = unsafe { self.pc.add(1) };
        let other = if goes_on { behind } else { self.target(ins) };
        let cond = if goes_on { cond } else { self.not(cond) };
        let exit = self.exit_to(other);
        self.b.guard(cond, exit);
        Next::Go
    }

    /// The step of a loop: the usual ones are guarded to be what they are, of others only the sign.
    fn loop_step(&mut self, v: V, live: Value) -> V {
        if v.value.is_some() {
            return v;
        }
        if live == Value::int(1) || live == Value::int(-1) {
            return self.guard_value(v, live);
        }
        // The interpreter asks for the sign bit.
        let word = self.word(v);
        let zero = self.b.i64(0);
        let negative = self.b.bin(O::Slt, Type::I64, word, zero);
        let cond = if (live.0 as i64) < 0 { negative } else { self.not(negative) };
        self.guard(cond);
        v
    }

    /// The slot's number is this integer, as was guarded.
    fn known_value_int(&mut self, slot: usize, int: Operand) {
        let n = self.base + slot;
        if let Some(Some(v)) = self.vals.get_mut(n) {
            v.int = int;
        }
    }

    pub(super) fn iterl(&mut self, ins: Ins) -> Next {
        if self.length > 1 && !self.round() {
            return self.inner();
        }
        let r = a(ins);
        let v = self.typed(r);
        if !self.live(r).is_nil() {
            self.set(r - 1, v);
        }
        Next::Go
    }
}
