//! Peeling: the first iteration of the loop becomes part of the prologue.
//!
//! ```text
//!   %0: i64 = slot rax                        %0: i64 = slot rax
//!                                             %5: i64 = load [%0] !m
//!                                             %6: i64 = add %0, %5
//!                                             %7: i1 = ult %6, 100
//!                                             guard %7 else exit 1         exit 1 { rax = %6 }: its own copy
//! loop(%1: i64 = %0):                       loop(%1: i64 = %6):
//!   %2: i64 = load [%0] !m                    %2: i64 = load [%0] !m
//!   %3: i64 = add %1, %2                      %3: i64 = add %1, %2
//!   %4: i1 = ult %3, 100                      %4: i1 = ult %3, 100
//!   guard %4 else exit 0                      guard %4 else exit 0
//!   end loop(%3)                              end loop(%3)
//!   exit 0 resume 0x10 { rax = %3 }
//! ```
//!
//! By itself this gains nothing. But every operation of the body has now been done once before the loop, so what is invariant is found there by those that
//! look for repetition anyway: pure operations by common subexpressions, loads by load forwarding (%2 is %5), guards by guard
//! elimination; and memory locations whose content is known at the end of the first iteration become loop parameters. Nothing is done that
//! the guest would not have done, so it takes no proof that a load cannot fault, as moving it would. The idea is LuaJIT's; there it happens together with the
//! other optimizations, here it is a copy that says nothing about them.
//!
//! If the loop can be interrupted, the exit for that has the state between iterations. Its copy is named by an `at` line that ends the prologue: guards
//! that are added in front of the loop leave by it.
//!
//! Assumes: nothing. Guarantees: same meaning, at most twice the lines. The body keeps its value and exit numbers; the copy has new ones. An exit
//! that says the same for both is shared. Loops of which nothing is invariant, and long ones ([`MOST_LINES`]), stay as they are.

use crate::pass::{Env, Pass, is_private};
use ir::op::{Op, OpEffect};
use ir::snapshot::{Bind, ExitKind, Target};
use ir::trace::{Inst, Trace};
use ir::types::{ExitId, Operand, Pc, Type, Value};

/// Longer bodies are not doubled.
pub const MOST_LINES: usize = 2000;

/// See the module.
#[derive(Debug, Default)]
pub struct Peel {
    /// By value of the body: what the copy has for it.
    copy: Vec<Operand>,
    /// By index of an exit: is it needed by the copy, and by which number?
    exits: Vec<Option<ExitId>>,
}

impl Peel {
    fn of(&self, o: Operand) -> Operand {
        match o.as_value().and_then(|v| self.copy.get(v.index())) {
            Some(c) if !c.is_none() => *c,
            _ => o,
        }
    }

    /// Makes copies of the exits that the lines name, in order, so that what they inherit from is there.
    fn copy_exits(&mut self, trace: &mut Trace, body: &[Inst]) {
        let count = trace.exits.len();
        let index = |trace: &Trace, id: ExitId| trace.exits.binary_search_by_key(&id, |e| e.id).ok();
        self.exits.clear();
        self.exits.resize(count, None);
        for id in body.iter().filter_map(Inst::exit) {
            if let Some(i) = index(trace, id) {
                self.exits[i] = Some(id);
            }
        }
        for i in (0..count).rev() {
            if self.exits[i].is_some()
                && let Some(like) = trace.exits[i].like
                && let Some(parent) = index(trace, like)
            {
                self.exits[parent] = Some(like);
            }
        }
        for i in 0..count {
            if self.exits[i].is_none() {
                continue;
            }
            let exit = trace.exits[i];
            let parent = exit.like.and_then(|l| index(trace, l));
            let like = parent.and_then(|p| self.exits[p]).or(exit.like);
            let target = match exit.target {
                Target::Value(v) => match trace.literal_int(self.of(v)) {
                    Some(pc) => Target::Pc(Pc::Addr(pc as u64)),
                    None => Target::Value(self.of(v)),
                },
                known => known,
            };
            let mut binds: Vec<Bind> = trace.binds(&exit).to_vec();
            let mut changed = like != exit.like || target != exit.target;
            for b in &mut binds {
                let new = match trace.recipe(b.value).copied() {
                    None => self.of(b.value),
                    Some(recipe) => {
                        let new = trace.map_operands(&recipe, |o, _| self.of(o));
                        if new == recipe { b.value } else { trace.add_recipe(new) }
                    }
                };
                changed |= new != b.value;
                b.value = new;
            }
            if changed {
                let id = ExitId(trace.exits.last().map_or(0, |e| e.id.0 + 1));
                trace.add_exit(id, target, exit.kind, like, &binds);
                self.exits[i] = Some(id);
            }
        }
    }

    /// The line that names the state behind the first iteration.
    fn state_ahead(&mut self, trace: &mut Trace) -> Option<Inst> {
        let mut line = Inst::new(Op::At, Type::Void, Type::Void, 0, &[]);
        line.args[1] = Operand::index(trace.interrupt?.0);
        self.copy_exits(trace, &[line]);
        line.args[1] = self.copy_of_exit(trace, &line)?;
        let exit = trace.exit(line.exit()?)?;
        let Target::Pc(pc) = exit.target else { return None };
        if exit.kind != ExitKind::Jump {
            return None;
        }
        line.args[0] = trace.add_pc(pc);
        Some(line)
    }

    fn copy_of_exit(&self, trace: &Trace, line: &Inst) -> Option<Operand> {
        let i = trace.exits.binary_search_by_key(&line.exit()?, |e| e.id).ok()?;
        self.exits.get(i).copied().flatten().map(|id| Operand::index(id.0))
    }
}

/// Is there anything in the body that a copy in front of it could save?
fn pays(trace: &Trace, params: &[Inst], body: &[Inst]) -> bool {
    if body.len() > MOST_LINES {
        return false;
    }
    // A vector literal as an entry value cannot stand where the type comes from the operand.
    if params.iter().any(|p| p.ty.is_vector() && p.args[0].is_literal()) {
        return false;
    }
    let mut made = vec![false; trace.value_count()];
    for p in params {
        made[p.res.index()] = true;
    }
    for line in body {
        let private = line.op == Op::Load && is_private(trace, line.class());
        if private {
            return true;
        }
        let pure = matches!(line.op.info().effect, OpEffect::Pure | OpEffect::Fault);
        let mut varies = !pure;
        trace.for_each_operand(line, |o, _| varies |= o.as_value().is_some_and(|v| made[v.index()]));
        if !varies && line.op != Op::Slot && line.op != Op::Pick {
            return true;
        }
        if line.has_result() {
            made[line.res.index()] = varies;
        }
    }
    false
}

impl Pass for Peel {
    fn name(&self) -> &'static str {
        "peel"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let Some(head) = trace.loop_at.map(|at| at as usize) else { return false };
        let params = trace.params().len();
        let (before, rest) = trace.insts.split_at(head);
        let (params, body) = rest.split_at(params);
        if !pays(trace, params, body) || !env.burn() {
            return false;
        }
        let (mut lines, params, body) = (before.to_vec(), params.to_vec(), body.to_vec());
        self.copy.clear();
        self.copy.resize(trace.value_count(), Operand::NONE);
        for p in &params {
            self.copy[p.res.index()] = p.args[0];
        }
        for line in body.iter().filter(|l| l.has_result()) {
            self.copy[line.res.index()] = Operand::value(trace.new_value(line.ty));
        }
        self.copy_exits(trace, &body);
        for line in &body {
            let exit = self.copy_of_exit(trace, line);
            let mut new = trace.map_operands(line, |o, _| self.of(o));
            if line.has_result() {
                new.res = self.of(Operand::value(line.res)).as_value().unwrap_or(Value(0));
            }
            if let Some(exit) = exit {
                let place = if line.op == Op::Call { 3 } else { 1 };
                new.args[place] = exit;
            }
            lines.push(new);
        }
        if let Some(at) = self.state_ahead(trace) {
            lines.push(at);
        }
        trace.loop_at = Some(lines.len() as u32);
        for p in &params {
            let [_, next, c, d] = p.args;
            lines.push(Inst { args: [self.of(next), next, c, d], ..*p });
        }
        lines.extend_from_slice(&body);
        trace.insts = lines;
        debug_assert!(params.iter().all(|p| p.ty != Type::Void));
        true
    }
}
