//! Loops whose iterations are independent, several iterations at once: scalar loops in vectors, and loops over 128-bit vectors
//! (what compilers make for baseline x86-64) in 256-bit ones.
//!
//! # Two traces of one head
//!
//! A trace has one loop, and what is left over at the end needs the scalar one. So [`vectorize`] does not change the trace (the *scalar
//! trace*); it makes a second one of the same head, the *vector trace*:
//!
//! ```text
//! vector trace                                    scalar trace
//!   prologue (that of the scalar trace)             prologue
//!   checks      ── one fails ── exit D ──────────▶  (from its entry)
//! loop:                                           loop:
//!   `lanes` iterations at once                      one iteration
//!   none left   ── exit E (where the loop ends)     …
//!   too few     ── exit R ───────────────────────▶  (from its entry)
//!   end loop    ── exit I, interrupted
//! ```
//!
//! *What whoever runs it does.* The vector trace is installed as the code of the head's pc. Its exits D and R are of kind
//! `decline` and resume at that pc, with the guest's exact state there: they are linked to the scalar trace of the same pc, which is
//! reached in no other way. (The scalar trace may decline in turn, to blocks.) E and I are ordinary exits; I is
//! `Trace::interrupt`. A trace whose exit D is taken nearly always is not worth having and can be dropped: the head's pc then is the
//! scalar trace's. Vector iterations never run past the end, so E is exact, and so is the state at R and I: each slot has what the last of the
//! iterations left there. Lines that only serve this stand at the end of the body and are used by snapshots only; code generation computes
//! them at the exits.
//!
//! Inductions go on at the end of the body, so that each can stay in its register. A short body stands in a round twice, one behind the other; then
//! `lanes` in the checks and the count is that of both.
//!
//! # What is accepted
//!
//! - The trace assumes `NoFaultHandler` and `Private(class)` for all memory that its loop touches: iterations are mixed, so a fault or
//!   another thread would see stores in another order.
//! - All guards compare something that grows with something that does not ([`super::loop_info`]), or are invariant.
//! - All addresses grow by constants. Streams grow by the size of what is loaded or stored (halves from different places would have to be put
//!   together and taken apart, which costs more than it gains: 1.5 to 1.9 times the time of the 128-bit loop); loads from where nothing grows are made once,
//!   stores to where nothing grows write the last iteration's value.
//! - What the loop loads from and stores to one place ([`promote`]) counts as a parameter.
//! - Loop parameters are inductions, integer reductions (their order of additions does not matter), or carry a value to the next
//!   iteration. Floating point is never reassociated or contracted.
//! - If there is a prologue with side effects (a peeled iteration), its last line is `at PC else exit N`, with the head's pc.
//!
//! *Order of memory operations.* Let X stand before Y in the vector body, one of them a store. Vector code performs X of iteration k before Y of
//! iteration j for all j, k of the same round; the scalar loop performs Y first if j < k. So they must not touch the same bytes for
//! 0 < k - j < lanes. When both grow by the same step, their distance is a constant of the loop; it is known here, or one check in front of
//! the loop compares it with the forbidden interval. When they do not, a check compares the ranges of the whole trip.
//!
//! # Worked example, two lanes shown of four
//!
//! ```text
//! loop(%4: i64 = %0):                             loop(%4: i64 = %0, %20: i64 = %19):
//!   %5: f64 = load [%1 + %4*8]                      %21: v256 = load [%1 + %4*8]
//!   %6: f64 = fmul %5, %2                           %22: v256 = v.fmul.f64 %21, %18      %18 = v.splat %2
//!   store %6, [%3 + %4*8]                           store %22, [%3 + %4*8]
//!   %7: i64 = add %4, 1                             %23: i64 = add %4, 4
//!   %8: i1 = ne %7, 100                             %24: i64 = sub %20, 4                iterations left
//!   guard %8 else exit 1                            guard (ne %24, 0) else exit E; guard (ule 4, %24) else exit R
//!   end loop(%7)                                    end loop(%23, %24)
//! ```

mod checks;
mod exits;
mod lanes;
mod promote;

use super::loop_info::{Access, LoopInfo, Trip};
use crate::pass::{Env, faults_are_final, is_private};
use ir::op::Op;
use ir::snapshot::Target;
use ir::trace::{End, Inst, Trace};
use ir::types::{ExitId, Operand, Type, Value};
use rustc_hash::FxHashMap;

/// Why a loop has no vector version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The trace has no loop, or nothing can interrupt it.
    #[error("no loop")]
    NoLoop,
    /// The machine has no vectors of this size.
    #[error("no wide vectors")]
    NoVectors,
    /// Faults or other threads would see iterations mixed.
    #[error("someone may look")]
    Observed,
    /// The state at the loop's entry is not known.
    #[error("no snapshot at the loop's entry")]
    NoEntryState,
    /// An address that does not grow by a constant, or not by the size of the access.
    #[error("line {0}: not a stream")]
    Address(usize),
    /// A guard that is neither invariant nor counts.
    #[error("line {0}: a guard that may leave in the middle")]
    Guard(usize),
    /// Nothing counts iterations.
    #[error("the trip count is not known")]
    NoTrip,
    /// An operation without vector form.
    #[error("{0:?} at {1:?} has no vector form")]
    Operation(Op, Type),
    /// A line with effects of its own.
    #[error("line {0}: {1:?} cannot be repeated at once")]
    Effect(usize, Op),
    /// A value that depends on itself in the iteration before.
    #[error("{0} depends on the iteration before")]
    Recurrence(Value),
    /// Two accesses that may not change places.
    #[error("lines {0} and {1} touch the same memory")]
    Dependence(usize, usize),
    /// More checks than are worth it.
    #[error("too many checks")]
    Checks,
    /// There is nothing to gain.
    #[error("no vector work")]
    Useless,
    /// Fuel is used up.
    #[error("no fuel")]
    Fuel,
}

/// Vector bodies below which the scalar loop is as good.
const MIN_ROUNDS: u64 = 3;

/// Lines of a vector body up to which two rounds are done at once: what a round costs besides is then a good part of it.
const SHORT_BODY: usize = 16;

/// Where lines of the vector trace are put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Before the checks.
    Pre,
    /// Behind the checks, in front of the loop.
    Setup,
    /// The body.
    Body,
}

/// What has become of a value of the scalar trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Unseen,
    Building,
    Done(Operand),
}

/// A memory operation of the vector body.
#[derive(Clone, Debug)]
struct Emitted {
    access: Access,
    /// Its place in the vector body's order of memory operations.
    order: usize,
}

/// An integer reduction.
#[derive(Clone, Copy, Debug)]
struct Reduction {
    /// Index of the parameter.
    param: usize,
    /// The operation, on elements.
    op: Op,
    /// Its type.
    ty: Type,
    /// What is added to it each time.
    other: Operand,
    /// The value of the operation.
    sum: Value,
    /// The accumulator: a parameter of the vector loop.
    acc: Value,
}

/// A vector trace under construction.
struct Vectorizer<'a> {
    s: &'a Trace,
    info: LoopInfo,
    t: Trace,
    pre: Vec<Inst>,
    setup: Vec<Inst>,
    params: Vec<Inst>,
    body: Vec<Inst>,
    /// Iterations side by side.
    lanes: u32,
    /// Vector bodies in a round.
    bodies: u32,
    /// Lines and parameters of one body; what comes behind them belongs to the round.
    body_end: (usize, usize),
    vectors: Vec<State>,
    scalars: Vec<bool>,
    last: Vec<Operand>,
    /// Loads and stores of the body, by increasing line.
    accesses: Vec<Access>,
    emitted: Vec<Emitted>,
    /// Loads that are made once.
    uniform: Vec<Access>,
    trips: Vec<Trip>,
    reductions: Vec<Reduction>,
    /// What must hold for the linear forms that were used ([`LoopInfo::needs`]).
    needs: Vec<u32>,
}

/// May the trace's loop have a vector trace, as far as one look at each of its lines tells? Cheap: what is behind it is not.
pub fn is_plausible(trace: &Trace, env: &Env) -> bool {
    let Some(head) = trace.loop_at else { return false };
    let at_head = |id| trace.exit(id).is_some_and(|e| e.target == Target::Pc(trace.entry));
    env.features.v256
        && faults_are_final(trace)
        && trace.interrupt.is_some_and(at_head)
        && trace.insts[head as usize..].iter().all(|inst| match inst.op {
            Op::Load | Op::Store => is_private(trace, inst.class()),
            Op::Guard | Op::At | Op::Phi => true,
            op => op.is_pure() && op != Op::Pick,
        })
}

/// The vector trace of the trace's loop; the trace itself stays as it is. See the module.
///
/// # Errors
/// Why there is none.
pub fn vectorize(trace: &Trace, env: &mut Env) -> Result<Trace, Refusal> {
    if !env.features.v256 {
        return Err(Refusal::NoVectors);
    }
    if !faults_are_final(trace) {
        return Err(Refusal::Observed);
    }
    let Some((id, interrupt)) = trace.interrupt.and_then(|id| Some((id, trace.exit(id)?))) else {
        return Err(Refusal::NoLoop);
    };
    if interrupt.target != Target::Pc(trace.entry) {
        return Err(Refusal::NoEntryState);
    }
    let promoted = promote::promote(trace);
    let trace = promoted.as_ref().unwrap_or(trace);
    let info = LoopInfo::new(trace).ok_or(Refusal::NoLoop)?;
    let at_entry = entry_state(trace, &info)?;
    let mut v = Vectorizer::new(trace, info);
    v.survey()?;
    v.choose_lanes()?;
    v.find_reductions()?;
    v.build_body()?;
    let count = v.build_checks(at_entry)?;
    v.build_end(id, count)?;
    if !env.burn() {
        return Err(Refusal::Fuel);
    }
    Ok(v.finish())
}

/// The exit whose snapshot is the state where the loop is entered; `None` for the state at entry of the trace.
fn entry_state(trace: &Trace, info: &LoopInfo) -> Result<Option<ExitId>, Refusal> {
    for inst in trace.insts[..info.head].iter().rev() {
        match inst.op {
            Op::At if trace.at_pc(inst) == Some(trace.entry) && inst.exit().is_some() => {
                return Ok(inst.exit());
            }
            Op::At => return Err(Refusal::NoEntryState),
            _ if !trace.effects(inst).is_removable() => {
                return Err(Refusal::NoEntryState);
            }
            _ => {}
        }
    }
    Ok(None)
}

impl<'a> Vectorizer<'a> {
    fn new(s: &'a Trace, info: LoopInfo) -> Vectorizer<'a> {
        let mut t = s.clone();
        t.insts.truncate(info.head);
        Vectorizer {
            s,
            info,
            t,
            pre: Vec::new(),
            setup: Vec::new(),
            params: Vec::new(),
            body: Vec::new(),
            lanes: 0,
            bodies: 1,
            body_end: (0, 0),
            vectors: vec![State::Unseen; s.value_count()],
            scalars: vec![false; s.value_count()],
            last: vec![Operand::NONE; s.value_count()],
            accesses: Vec::new(),
            emitted: Vec::new(),
            uniform: Vec::new(),
            trips: Vec::new(),
            reductions: Vec::new(),
            needs: Vec::new(),
        }
    }

    fn emit(&mut self, part: Part, mut inst: Inst) -> Operand {
        let mut result = Operand::NONE;
        if inst.has_result() {
            inst.res = self.t.new_value(inst.ty);
            result = Operand::value(inst.res);
        }
        match part {
            Part::Pre => self.pre.push(inst),
            Part::Setup => self.setup.push(inst),
            Part::Body => self.body.push(inst),
        }
        result
    }

    /// A line with operand type `aty` and result type `ty`.
    fn op(&mut self, part: Part, op: Op, aty: Type, ty: Type, operands: &[Operand]) -> Operand {
        self.emit(part, Inst::new(op, aty, ty, 0, operands))
    }

    fn int(&mut self, value: i64) -> Operand {
        self.t.literal(Type::I64, value.into())
    }

    // --- survey --------------------------------------------------------------------------------------

    /// Looks at every line of the body once.
    fn survey(&mut self) -> Result<(), Refusal> {
        let mut guarded = false;
        for line in self.info.body..self.s.insts.len() {
            let inst = &self.s.insts[line];
            match inst.op {
                Op::At => {}
                Op::Load | Op::Store => {
                    if !is_private(self.s, inst.class()) {
                        return Err(Refusal::Observed);
                    }
                    let access = self.info.access(self.s, line).ok_or(Refusal::Address(line))?;
                    if inst.op == Op::Load && access.step == 0 {
                        // Made in front of the loop, so nothing may have to pass before.
                        if guarded {
                            return Err(Refusal::Address(line));
                        }
                        self.info.set_invariant(self.s, inst.res);
                        self.uniform.push(access);
                    } else {
                        self.accesses.push(access);
                    }
                }
                Op::Guard => {
                    guarded = true;
                    if !self.info.is_invariant(inst.args[0]) {
                        let trip = self.info.trip(self.s, line).ok_or(Refusal::Guard(line))?;
                        self.trips.push(trip);
                    }
                }
                op if op.is_pure() && op != Op::Pick => {}
                op => return Err(Refusal::Effect(line, op)),
            }
        }
        if self.trips.is_empty() {
            return Err(Refusal::NoTrip);
        }
        Ok(())
    }

    /// Is anything with an effect, or that may fault, behind the only trip guard? If not, the loop may end in the vector trace.
    fn ends_with_guard(&self) -> bool {
        let [trip] = &self.trips[..] else { return false };
        self.s.insts[trip.line + 1..].iter().all(|i| {
            i.op.is_pure() || i.op == Op::At || i.op == Op::Guard && self.info.is_invariant(i.args[0])
        })
    }

    /// As many lanes as the widest value that must be in vectors allows.
    fn choose_lanes(&mut self) -> Result<(), Refusal> {
        let mut seen = vec![false; self.s.value_count()];
        let mut stack: Vec<Operand> = Vec::new();
        let mut widest = 0;
        for a in self.accesses.iter().filter(|a| a.step != 0) {
            widest = widest.max(a.size as u32 * 8);
            if a.store {
                stack.push(self.s.insts[a.line].args[3]);
            }
        }
        for param in 0..self.info.body - self.info.head {
            if self.info.param_step(param).is_none() {
                stack.push(self.s.insts[self.info.head + param].args[1]);
            }
        }
        if stack.is_empty() {
            return Err(Refusal::Useless);
        }
        while let Some(o) = stack.pop() {
            let Some(v) = o.as_value().filter(|_| !self.info.is_invariant(o)) else { continue };
            if std::mem::replace(&mut seen[v.index()], true) {
                continue;
            }
            let ty = self.s.value_type(v);
            if ty.bits() > 1 && ty != Type::Flags {
                widest = widest.max(ty.bits());
            }
            if let Some(line) = self.info.def_in_body(v).filter(|l| self.s.insts[*l].op != Op::Load) {
                self.s.for_each_operand(&self.s.insts[line], |o, _| stack.push(o));
            }
        }
        self.lanes = match widest {
            128 => 2,
            64 => 4,
            32 => 8,
            16 => 16,
            8 => 32,
            _ => return Err(Refusal::Useless),
        };
        Ok(())
    }

    // --- the body ------------------------------------------------------------------------------------

    fn build_body(&mut self) -> Result<(), Refusal> {
        let pc = self.t.add_pc(self.s.entry);
        self.emit(Part::Body, Inst::new(Op::At, Type::Void, Type::Void, 0, &[pc]));
        for i in 0..self.accesses.len() {
            let access = self.accesses[i].clone();
            let inst = self.s.insts[access.line];
            if !access.store {
                self.vector(Operand::value(inst.res), inst.ty)?;
            } else if access.step != 0 {
                let value = self.vector(inst.args[3], inst.aty)?;
                self.vector_store(&access, value)?;
            }
        }
        for i in 0..self.reductions.len() {
            self.build_reduction(i)?;
        }
        // Stores to one place, of what the last iteration stores there.
        for i in 0..self.accesses.len() {
            let access = self.accesses[i].clone();
            if access.store && access.step == 0 {
                let mut inst = self.s.insts[access.line];
                inst.args[3] = self.last_of(inst.args[3])?;
                self.scalar(inst.args[0])?;
                self.scalar(inst.args[1])?;
                self.body.push(inst);
                self.remember(access);
            }
        }
        // Last, so that they can stay in their registers.
        for param in 0..self.info.body - self.info.head {
            if let Some(step) = self.info.param_step(param) {
                self.build_induction(param, step);
            }
        }
        self.bodies = if self.lines_needed() <= SHORT_BODY { 2 } else { 1 };
        self.body_end = (self.body.len(), self.params.len());
        Ok(())
    }

    /// Lines of the body that more than exits need.
    fn lines_needed(&self) -> usize {
        let mut needed = vec![false; self.t.value_count()];
        for v in self.params.iter().filter_map(|p| p.args[1].as_value()) {
            needed[v.index()] = true;
        }
        let mut count = 0;
        for inst in self.body.iter().rev().filter(|i| i.op != Op::At) {
            if !inst.has_result() || needed[inst.res.index()] {
                count += 1;
                self.t.for_each_operand(inst, |o, _| {
                    if let Some(v) = o.as_value() {
                        needed[v.index()] = true;
                    }
                });
            }
        }
        count
    }

    /// Iterations in a round.
    fn round(&self) -> u32 {
        self.lanes * self.bodies
    }

    fn remember(&mut self, access: Access) {
        let order = self.emitted.len();
        self.emitted.push(Emitted { access, order });
    }

    /// The parameter goes on by `lanes` steps.
    fn build_induction(&mut self, param: usize, step: i64) {
        let mut phi = self.s.insts[self.info.head + param];
        let by = self.t.literal(phi.ty, i128::from(step) * i128::from(self.lanes));
        phi.args[1] = self.op(Part::Body, Op::Add, phi.ty, phi.ty, &[Operand::value(phi.res), by]);
        self.params.push(phi);
    }

    /// Makes the value, as it is in the first of the iterations, available in the vector trace, under its own number.
    fn scalar(&mut self, o: Operand) -> Result<(), Refusal> {
        let Some(v) = o.as_value().filter(|_| !self.info.is_outside(o)) else { return Ok(()) };
        if std::mem::replace(&mut self.scalars[v.index()], true) {
            return Ok(());
        }
        if let Some(p) = self.info.param(v) {
            return self.info.param_step(p).map(|_| ()).ok_or(Refusal::Recurrence(v));
        }
        let inst = self.info.def_in_body(v).map(|l| self.s.insts[l]).ok_or(Refusal::Recurrence(v))?;
        let invariant = self.info.is_invariant(o);
        if !inst.op.is_pure() && !invariant {
            return Err(Refusal::Operation(inst.op, inst.ty));
        }
        let mut operands = smallvec::SmallVec::<[Operand; 4]>::new();
        self.s.for_each_operand(&inst, |o, _| operands.push(o));
        for o in operands {
            self.scalar(o)?;
        }
        if invariant {
            self.pre.push(inst)
        } else {
            self.body.push(inst)
        }
        Ok(())
    }

    // --- the end -------------------------------------------------------------------------------------

    /// Puts the parts together.
    fn finish(mut self) -> Trace {
        let mut body = std::mem::take(&mut self.body);
        let mut params: Vec<(Value, Operand)> = Vec::new();
        let mut lines = Vec::with_capacity(body.len() * self.bodies as usize);
        for _ in 1..self.bodies {
            params = self.add_body(&body[..self.body_end.0], &params, &mut lines);
        }
        // The last one keeps its numbers, which exits know.
        for line in &mut body {
            *line = self.t.map_operands(line, |o, _| renamed(&params, o));
        }
        let mut t = self.t;
        t.name = format!("{}.vector", self.s.name);
        t.insts.extend(self.pre);
        t.insts.extend(self.setup);
        t.loop_at = Some(t.insts.len() as u32);
        t.insts.extend(self.params);
        t.insts.extend(lines);
        t.insts.extend(body);
        t.end = End::Loop;
        t
    }

    /// Appends a copy of the body in which parameters are what `params` says; gives what they are behind it.
    fn add_body(
        &mut self,
        body: &[Inst],
        params: &[(Value, Operand)],
        lines: &mut Vec<Inst>,
    ) -> Vec<(Value, Operand)> {
        let mut names: FxHashMap<Value, Operand> = params.iter().copied().collect();
        for line in body {
            let mut new = self
                .t
                .map_operands(line, |o, _| o.as_value().and_then(|v| names.get(&v).copied()).unwrap_or(o));
            if line.has_result() {
                new.res = self.t.new_value(line.ty);
                names.insert(line.res, new.res.into());
            }
            lines.push(new);
        }
        let next = |p: &Inst| {
            let next = p.args[1];
            (p.res, next.as_value().and_then(|v| names.get(&v).copied()).unwrap_or(next))
        };
        self.params[..self.body_end.1].iter().map(next).collect()
    }
}

fn renamed(names: &[(Value, Operand)], o: Operand) -> Operand {
    names.iter().find(|(v, _)| o.as_value() == Some(*v)).map_or(o, |(_, new)| *new)
}
