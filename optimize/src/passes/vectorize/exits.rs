//! The end of the vector body: what each value was in the last iteration of the round, and the exits whose snapshots say so.

use super::{Part, Refusal, Vectorizer};
use ir::op::Op;
use ir::snapshot::{Bind, ExitKind, Target};
use ir::trace::Inst;
use ir::types::{ExitId, Operand, Type};

/// How often the loop goes round, as the checks found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Iterations that may be done at once, an `i64` in front of the loop.
    pub(super) value: Operand,
    /// Is the last iteration among them?
    pub(super) whole: bool,
}

impl Vectorizer<'_> {
    /// The operand's value in the last iteration of the round.
    pub(super) fn last_of(&mut self, o: Operand) -> Result<Operand, Refusal> {
        let Some(v) = o.as_value() else { return Ok(o) };
        if self.info.is_outside(o) {
            return Ok(o);
        }
        if self.info.is_invariant(o) {
            self.scalar(o)?;
            return Ok(o);
        }
        if !self.last[v.index()].is_none() {
            return Ok(self.last[v.index()]);
        }
        let found = if let Some(param) = self.info.param(v) {
            let phi = self.s.insts[self.info.head + param];
            match self.info.param_step(param) {
                Some(step) => {
                    let by = self.t.literal(phi.ty, i128::from(step) * i128::from(self.lanes - 1));
                    self.op(Part::Body, Op::Add, phi.ty, phi.ty, &[o, by])
                }
                // What the iteration before the last one left.
                None => {
                    let next = phi.args[1].as_value().ok_or(Refusal::Recurrence(v))?;
                    self.lane_of(next, self.lanes - 2).ok_or(Refusal::Recurrence(v))?
                }
            }
        } else {
            let line = self.info.def_in_body(v).ok_or(Refusal::Recurrence(v))?;
            let inst = self.s.insts[line];
            let by_lane = if inst.ty == Type::I1 { None } else { self.lane_of(v, self.lanes - 1) };
            match by_lane {
                Some(element) => element,
                None if inst.op.is_pure() => {
                    let inst = self.with_last_operands(&inst)?;
                    self.emit(Part::Body, inst)
                }
                None => return Err(Refusal::Operation(inst.op, inst.ty)),
            }
        };
        self.last[v.index()] = found;
        Ok(found)
    }

    /// The line, of the values in the last iteration.
    fn with_last_operands(&mut self, inst: &Inst) -> Result<Inst, Refusal> {
        let mut inst = *inst;
        let mut operands = smallvec::SmallVec::<[Operand; 4]>::new();
        self.s.for_each_operand(&inst, |o, _| operands.push(o));
        for o in operands {
            let last = self.last_of(o)?;
            for a in inst.args.iter_mut().filter(|a| **a == o && o.as_value().is_some()) {
                *a = last;
            }
        }
        Ok(inst)
    }

    /// The binds of an exit of the scalar loop, as they are in the last iteration of the round.
    fn last_binds(&mut self, id: ExitId) -> Result<Vec<Bind>, Refusal> {
        let mut binds = self.s.snapshot(id);
        for b in &mut binds {
            b.value = match self.s.recipe(b.value).copied() {
                Some(recipe) => {
                    let recipe = self.with_last_operands(&recipe)?;
                    self.t.add_recipe(recipe)
                }
                None => self.last_of(b.value)?,
            };
        }
        Ok(binds)
    }

    /// Guards, exits and the parameter that counts down.
    pub(super) fn build_end(&mut self, interrupt: ExitId, count: Count) -> Result<(), Refusal> {
        let head = Target::Pc(self.s.entry);
        let state = self.last_binds(interrupt)?;
        let end = match (&self.trips[..], count.whole) {
            ([trip], true) => {
                let id = self.s.insts[trip.line].exit().ok_or(Refusal::NoTrip)?;
                let exit = *self.s.exit(id).ok_or(Refusal::NoTrip)?;
                let target = match exit.target {
                    Target::Value(o) => Target::Value(self.last_of(o)?),
                    pc => pc,
                };
                Some((target, exit.kind, self.last_binds(id)?))
            }
            _ => None,
        };
        let next = self.next_exit();
        let rest = self.t.new_value(Type::I64);
        let lanes = self.int(self.round().into());
        let left = self.op(Part::Body, Op::Sub, Type::I64, Type::I64, &[Operand::value(rest), lanes]);
        let mut phi = Inst::new(Op::Phi, Type::Void, Type::I64, 0, &[count.value, left]);
        phi.res = rest;
        self.params.push(phi);
        let mut id = next;
        if let Some((target, kind, binds)) = end {
            self.t.add_exit(id, target, kind, None, &binds);
            let zero = self.int(0);
            let more = self.op(Part::Body, Op::Ne, Type::I64, Type::I1, &[left, zero]);
            self.guard(Part::Body, more, id);
            id = ExitId(id.0 + 1);
        }
        self.t.add_exit(id, head, ExitKind::Decline, None, &state);
        let enough = self.op(Part::Body, Op::Ule, Type::I64, Type::I1, &[lanes, left]);
        self.guard(Part::Body, enough, id);
        let waits = ExitId(id.0 + 1);
        self.t.add_exit(waits, head, ExitKind::Jump, Some(id), &[]);
        self.t.interrupt = Some(waits);
        self.drop_unused_exits();
        Ok(())
    }

    pub(super) fn guard(&mut self, part: Part, condition: Operand, exit: ExitId) {
        let inst = Inst::new(Op::Guard, Type::Void, Type::Void, 0, &[condition, Operand::index(exit.0)]);
        self.emit(part, inst);
    }

    /// A number above all exits.
    pub(super) fn next_exit(&self) -> ExitId {
        self.t.exits.last().map_or(ExitId(0), |e| ExitId(e.id.0 + 1))
    }

    /// Exits of the scalar body name values that are not in the vector trace.
    fn drop_unused_exits(&mut self) {
        let mut used: Vec<ExitId> = self.t.interrupt.into_iter().collect();
        for inst in self.t.insts.iter().chain(&self.pre).chain(&self.body) {
            used.extend(inst.exit());
        }
        // Parents have smaller numbers.
        used.sort_unstable();
        used.dedup();
        let mut i = used.len();
        while i > 0 {
            i -= 1;
            if let Some(like) = self.t.exit(used[i]).and_then(|e| e.like)
                && let Err(at) = used.binary_search(&like)
            {
                used.insert(at, like);
                i += 1;
            }
        }
        self.t.exits.retain(|e| used.binary_search(&e.id).is_ok());
    }
}
