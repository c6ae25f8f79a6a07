//! Dead code: lines whose result nobody uses and that do nothing else, loop parameters that only feed themselves, exits
//! that no line names, marks that mark nothing.
//!
//! ```text
//!   at 0x10 else exit 0            nothing behind it can fault before the next mark: exit 0 is not needed
//!   %3: i64 = add %0, 8            only exit 0 says %3: dead
//!   at 0x14 else exit 1            exit 1 inherits from exit 0: it gets exit 0's binds as its own
//!   store %1, [%0] !m
//! ```
//!
//! Steps: which exits lines name (an `at` needs its own only if a line that may fault follows before the next `at`, and somebody looks at the state
//! then); exits that are not named go, and those that inherit from them take over their binds; from the lines that must stay, and the exits, all that they need
//! is marked; the rest is removed, last line first, so that with any fuel no value is missing.
//!
//! Assumes: nothing. Guarantees: a line that may fault stays, even if its result is unused, except a division next to its partner: `udivw` and `uremw` of
//! the same operands fault alike, so one of them is enough. Cost: linear.

use crate::pass::{Env, Pass, faults_are_final};
use ir::effects::EffectBits;
use ir::op::Op;
use ir::snapshot::{Bind, Target};
use ir::trace::{End, Inst, Trace};
use ir::types::{ExitId, Operand, Value};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Dce {
    /// By value.
    needed: Vec<bool>,
    /// By value: its line, plus one.
    def_at: Vec<u32>,
    /// Needed values whose own operands are not yet marked.
    todo: Vec<Value>,
    /// By position in the list of exits.
    named: Vec<bool>,
}

impl Dce {
    fn need(&mut self, o: Operand) {
        if let Some(v) = o.as_value()
            && !std::mem::replace(&mut self.needed[v.index()], true)
        {
            self.todo.push(v);
        }
    }

    fn name_exit(&mut self, trace: &Trace, id: ExitId) {
        if let Ok(i) = trace.exits.binary_search_by_key(&id, |e| e.id) {
            self.named[i] = true;
        }
    }

    /// Marks the exits that are named, after taking away those of `at` lines that nothing needs.
    fn mark_exits(&mut self, trace: &mut Trace, env: &mut Env) {
        self.named.clear();
        self.named.resize(trace.exits.len(), false);
        let nobody_looks = faults_are_final(trace);
        let may_fault = |trace: &Trace, line: &Inst| trace.effects(line).bits.any(EffectBits::FAULTS);
        // Behind the last line comes the head of the loop.
        let mut fault_ahead = trace.loop_at.is_some_and(|at| {
            trace.insts[at as usize..].iter().take_while(|l| l.op != Op::At).any(|l| may_fault(trace, l))
        });
        for i in (0..trace.insts.len()).rev() {
            let line = trace.insts[i];
            if line.op == Op::At {
                let useless = nobody_looks || !fault_ahead;
                fault_ahead = false;
                if useless && line.exit().is_some() && env.burn() {
                    trace.insts[i].args[1] = Operand::NONE;
                    continue;
                }
            } else if !fault_ahead {
                fault_ahead = may_fault(trace, &line);
            }
            if let Some(id) = line.exit() {
                self.name_exit(trace, id);
            }
        }
        match trace.end {
            End::Exit(id) => self.name_exit(trace, id),
            End::Loop => {
                if let Some(id) = trace.interrupt {
                    self.name_exit(trace, id);
                }
            }
        }
    }

    /// Removes exits that are not named; what others inherit from them becomes theirs.
    fn remove_exits(&mut self, trace: &mut Trace) {
        let mut own: Vec<Bind> = Vec::new();
        for i in 0..trace.exits.len() {
            let (named, exit) = (self.named[i], trace.exits[i]);
            let position = |trace: &Trace, id: ExitId| trace.exits.binary_search_by_key(&id, |e| e.id).ok();
            let mut next = exit.like;
            if !named || next.and_then(|id| position(trace, id)).is_none_or(|p| self.named[p]) {
                continue;
            }
            own.clear();
            own.extend_from_slice(trace.binds(&exit));
            while let Some(p) = next.and_then(|id| position(trace, id)).filter(|p| !self.named[*p]) {
                let parent = trace.exits[p];
                let before = own.len();
                for b in trace.binds(&parent) {
                    if !own[..before].iter().any(|o| o.slot == b.slot) {
                        own.push(*b);
                    }
                }
                next = parent.like;
            }
            own.sort_unstable_by_key(|b| b.slot);
            trace.set_binds(exit.id, next, &own);
        }
        let mut named = self.named.iter();
        trace.exits.retain(|_| named.next().copied().unwrap_or(true));
    }

    fn need_exits(&mut self, trace: &Trace) {
        for exit in &trace.exits {
            if let Target::Value(v) = exit.target {
                self.need(v);
            }
            for bind in trace.binds(exit) {
                match trace.recipe(bind.value) {
                    Some(recipe) => trace.for_each_operand(recipe, |o, _| self.need(o)),
                    None => self.need(bind.value),
                }
            }
        }
    }
}

/// Must the line stay although nobody uses its result?
fn must_stay(trace: &Trace, line: &Inst) -> bool {
    let effects = trace.effects(line);
    !effects.is_removable() || effects.bits.any(EffectBits::FAULTS)
}

/// The operation that faults exactly when this one does.
fn partner(op: Op) -> Option<Op> {
    Some(match op {
        Op::Udiv => Op::Urem,
        Op::Urem => Op::Udiv,
        Op::Sdiv => Op::Srem,
        Op::Srem => Op::Sdiv,
        Op::Udivw => Op::Uremw,
        Op::Uremw => Op::Udivw,
        Op::Sdivw => Op::Sremw,
        Op::Sremw => Op::Sdivw,
        _ => return None,
    })
}

/// How far away a division's partner may stand.
const PARTNER_WITHIN: usize = 6;

/// Is there a needed division close by, with nothing but pure lines in between, that faults when this one does?
fn has_partner(trace: &Trace, at: usize, needed: &[bool]) -> bool {
    let line = &trace.insts[at];
    let Some(op) = partner(line.op) else { return false };
    let is_it = |l: &Inst| l.op == op && l.aty == line.aty && l.args == line.args && needed[l.res.index()];
    let behind = trace.insts[at + 1..].iter().take(PARTNER_WITHIN);
    let before = trace.insts[..at].iter().rev().take(PARTNER_WITHIN);
    let passable = |l: &&Inst| is_it(l) || trace.effects(l).is_pure() && l.op != Op::Phi;
    behind.take_while(passable).any(is_it) || before.take_while(passable).any(is_it)
}

impl Pass for Dce {
    fn name(&self) -> &'static str {
        "dce"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let used = env.used();
        self.mark_exits(trace, env);
        if self.named.iter().any(|n| !n) && env.burn() {
            self.remove_exits(trace);
        }
        self.needed.clear();
        self.needed.resize(trace.value_count(), false);
        self.def_at.clear();
        self.def_at.resize(trace.value_count(), 0);
        self.need_exits(trace);
        for (i, line) in trace.insts.iter().enumerate() {
            if line.has_result() {
                self.def_at[line.res.index()] = i as u32 + 1;
            }
            if must_stay(trace, line) && partner(line.op).is_none() {
                if line.has_result() {
                    self.need(Operand::value(line.res));
                } else {
                    trace.for_each_operand(line, |o, _| self.need(o));
                }
            }
        }
        self.close(trace);
        for i in 0..trace.insts.len() {
            let line = &trace.insts[i];
            if partner(line.op).is_some()
                && !self.needed[line.res.index()]
                && !has_partner(trace, i, &self.needed)
            {
                self.need(Operand::value(line.res));
                self.close(trace);
            }
        }
        self.remove_lines(trace, env);
        env.used() != used
    }
}

impl Dce {
    /// Marks what marked values need.
    fn close(&mut self, trace: &Trace) {
        while let Some(v) = self.todo.pop() {
            if let Some(at) = self.def_at[v.index()].checked_sub(1) {
                trace.for_each_operand(&trace.insts[at as usize], |o, _| self.need(o));
            }
        }
    }

    fn remove_lines(&self, trace: &mut Trace, env: &mut Env) {
        let first_mark = trace.insts.iter().position(|l| l.op == Op::At);
        let mut lines = std::mem::take(&mut trace.insts);
        // From the end, so that what is removed is used by nothing that stays.
        let mut to = lines.len();
        let mut mark_follows = false;
        for i in (0..lines.len()).rev() {
            let mut line = lines[i];
            let useless = match line.op {
                // Nothing stands between this mark and the next, unless the loop begins there.
                Op::At => mark_follows && first_mark != Some(i),
                _ => line.has_result() && !self.needed[line.res.index()],
            };
            if useless && env.burn() {
                if let Some(head) = trace.loop_at.as_mut().filter(|at| i < **at as usize) {
                    *head -= 1;
                }
                continue;
            }
            if useless && line.op == Op::Phi {
                // What is passed back may be gone; the parameter is dead, so any value will do.
                line.args[1] = line.args[0];
            }
            mark_follows = line.op == Op::At && trace.loop_at != Some(i as u32);
            to -= 1;
            lines[to] = line;
        }
        lines.drain(..to);
        trace.insts = lines;
    }
}
