//! Loops and jumps.
//!
//! A counter whose start, limit and step are integers of 32 bits, with no overflow on the way, is an integer in the trace.

use ir::op::Op as O;
use ir::types::Type;

use super::{Next, Recorder};
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
    pub(super) fn round(&mut self) -> bool {
        let rounds = self.rounds.entry(self.pc as usize).or_default();
        *rounds += 1;
        *rounds <= self.limits.unroll
    }

    pub(super) fn jump(&mut self, op: Op, _ins: Ins) -> Next {
        if op != Op::JMP && !self.round() { Next::Stop } else { Next::Go }
    }

    pub(super) fn fori(&mut self, ins: Ins) -> Next {
        let r = a(ins);
        let (i, stop, step) = (self.live(r), self.live(r + 1), self.live(r + 2));
        let (Some(p), Some(q), Some(_)) = (i.as_number(), stop.as_number(), step.as_number()) else {
            return Next::Stop;
        };
        let (vi, vstop, vstep) = (self.typed(r), self.typed(r + 1), self.typed(r + 2));
        self.guard_value(vstep, step);
        let down = (step.0 as i64) < 0;
        let enters = if down { p >= q } else { p <= q };
        let cond = match (self.known_int(vi), self.known_int(vstop)) {
            (Some(x), Some(y)) => self.b.bin(O::Sle, Type::I32, if down { y } else { x }, if down { x } else { y }),
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
            return Next::Stop;
        }
        let r = a(ins);
        let (i, stop, step) = (self.live(r), self.live(r + 1), self.live(r + 2));
        let (Some(p), Some(q), Some(by)) = (i.as_number(), stop.as_number(), step.as_number()) else {
            return Next::Stop;
        };
        let (vi, vstop, vstep) = (self.typed(r), self.typed(r + 1), self.typed(r + 2));
        self.guard_value(vstep, step);
        let down = (step.0 as i64) < 0;
        let sum = p + by;
        let goes_on = if down { sum >= q } else { sum <= q };
        // Round the limit there is room for one more step.
        let room = |limit: i32, step: i32| limit.checked_add(step).is_some();
        let (cond, next) = match (whole(i), whole(stop), whole(step)) {
            (Some(x), Some(limit), Some(step)) if step != 0 && room(limit, step) && x.checked_add(step).is_some() => {
                let (x, y) = (self.int(vi), self.int(vstop));
                let k = self.b.int(Type::I32, step.into());
                if vstop.value.is_none() {
                    let most = self.b.int(Type::I32, if down { i32::MIN - step } else { i32::MAX - step }.into());
                    let c = self.b.bin(
                        O::Sle,
                        Type::I32,
                        if down { most } else { y },
                        if down { y } else { most },
                    );
                    self.guard(c);
                    self.known_value_int(r + 1, y);
                }
                // What has come round is within the limit; what comes in may not be.
                let c = self.b.bin(O::Sle, Type::I32, if down { y } else { x }, if down { x } else { y });
                self.guard(c);
                let sum = self.b.bin(O::Add, Type::I32, x, k);
                let c = self.b.bin(O::Sle, Type::I32, if down { y } else { sum }, if down { sum } else { y });
                (c, self.val_int(sum))
            }
            _ => {
                let (x, y, k) = (self.num(vi), self.num(vstop), self.b.f64(by));
                let sum = self.b.bin(O::Fadd, Type::F64, x, k);
                let c = self.b.bin(O::Fle, Type::F64, if down { y } else { sum }, if down { sum } else { y });
                (c, self.val_num(sum))
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

    /// The slot's number is this integer, as was guarded.
    fn known_value_int(&mut self, slot: usize, int: ir::types::Operand) {
        let n = self.base + slot;
        if let Some(Some(v)) = self.vals.get_mut(n) {
            v.int = int;
        }
    }

    pub(super) fn iterl(&mut self, ins: Ins) -> Next {
        if self.length > 1 && !self.round() {
            return Next::Stop;
        }
        let r = a(ins);
        let v = self.typed(r);
        if !self.live(r).is_nil() {
            self.set(r - 1, v);
        }
        Next::Go
    }
}
