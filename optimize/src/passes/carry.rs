//! A load of what the iteration before stored, as a parameter of the loop.
//!
//! Sums over an array, recurrences and in-place stencils read in each iteration what the last one wrote, one step behind. Through memory that takes
//! as long as a store and a load of it; in a register it takes nothing. The store stays.
//!
//! ```text
//!                                          %20: i32 = load [%1 - 4]
//! loop(%4: i64 = %1):                    loop(%4: i64 = %1, %5: i32 = %20):
//!   %5: i32 = load [%4 - 4]
//!   %6: i32 = load [%2 + %4]               %6: i32 = load [%2 + %4]
//!   %7: i32 = add %6, %5                   %7: i32 = add %6, %5
//!   store %7, [%4]                         store %7, [%4]
//!   %8: i64 = add %4, 4                    %8: i64 = add %4, 4
//!   end loop(%8)                           end loop(%8, %7)
//! ```
//!
//! # What is asked for
//!
//! The addresses are linear forms of the same leaves ([`super::loop_info`]), exact without any condition, and grow by the same step; the load is one step behind
//! the store; their types are the same. Every other store that could come in between (behind the store in its iteration, or before the load in the
//! next one) is of a class that does not alias, or at a constant distance that keeps it apart. Memory of the class is private, for another thread's store
//! would be missed. The load is reached by every iteration: no line that leaves stands before it, so loading once in front of the loop faults
//! only where the first iteration does (and `NoFaultHandler`: nobody sees that it comes a little early). Lines other than loads, stores and
//! guards that are not pure make the pass give up.
//!
//! Places that do not move are `load_forward`'s.

use super::loop_info::{Access, LoopInfo};
use crate::pass::{Env, Pass, faults_are_final, is_private};
use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type};

/// More parameters would cost more registers than they save.
const MOST: usize = 6;

/// See the module.
#[derive(Debug, Default)]
pub struct Carry {
    stores: Vec<(usize, Option<Access>)>,
    found: Vec<(usize, Operand)>,
}

/// Do two accesses at these distances from one place touch different bytes?
fn apart(x: &Access, y: &Access) -> bool {
    let distance = x.addr.konst.wrapping_sub(y.addr.konst);
    distance >= y.size || distance <= -x.size
}

/// Is the distance of their addresses the same in all iterations?
fn comparable(x: &Access, y: &Access) -> bool {
    x.step == y.step && x.addr.terms == y.addr.terms && x.addr.needs.is_empty() && y.addr.needs.is_empty()
}

impl Carry {
    /// Finds loads (by line) with the operands that they are one iteration later.
    fn find(&mut self, trace: &Trace, info: &LoopInfo) {
        self.stores.clear();
        self.found.clear();
        let body = info.body..trace.insts.len();
        for line in body.clone() {
            let inst = &trace.insts[line];
            match inst.op {
                Op::Store => self.stores.push((line, info.access(trace, line))),
                Op::Load | Op::Guard | Op::At => {}
                op if op.is_pure() => {}
                _ => return,
            }
        }
        if self.stores.is_empty() {
            return;
        }
        let known = |o: Operand| {
            o.is_none() || info.is_outside(o) || o.as_value().is_some_and(|v| info.param(v).is_some())
        };
        for line in body.take_while(|l| trace.insts[*l].op != Op::Guard) {
            let inst = &trace.insts[line];
            let usable = inst.op == Op::Load
                && is_private(trace, inst.class())
                && known(inst.args[0])
                && known(inst.args[1])
                && self.found.len() < MOST;
            if !usable {
                continue;
            }
            let Some(load) = info.access(trace, line).filter(|a| a.step != 0) else { continue };
            if let Some(value) = self.stored_before(trace, &load) {
                self.found.push((line, value));
            }
        }
    }

    /// What the iteration before stored where this one loads.
    fn stored_before(&self, trace: &Trace, load: &Access) -> Option<Operand> {
        let (line, store) = self.stores.iter().find_map(|(line, access)| {
            let store = access.as_ref()?;
            let same = comparable(load, store)
                && store.addr.konst.wrapping_sub(store.step) == load.addr.konst
                && trace.insts[*line].aty == trace.insts[load.line].ty;
            same.then_some((*line, store))
        })?;
        let classes = trace.decls.alias();
        let class = trace.insts[load.line].class();
        for (other, access) in &self.stores {
            let behind = *other > line;
            let before = *other < load.line;
            if !behind && !before || !classes.may_alias(trace.insts[*other].class(), class) {
                continue;
            }
            let access = access.as_ref().filter(|a| comparable(a, load))?;
            if behind && !apart(access, store) || before && !apart(access, load) {
                return None;
            }
        }
        let value = trace.insts[line].args[3];
        value.as_value().map(|_| value)
    }
}

impl Pass for Carry {
    fn name(&self) -> &'static str {
        "carry"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        if trace.loop_at.is_none() || !faults_are_final(trace) {
            return false;
        }
        let Some(info) = LoopInfo::new(trace) else { return false };
        self.find(trace, &info);
        let mut found = std::mem::take(&mut self.found);
        found.retain(|_| env.burn());
        if !found.is_empty() {
            let mut body = trace.insts.split_off(info.body);
            let mut params = trace.insts.split_off(info.head);
            for (line, next) in &found {
                let load = body[line - info.body];
                let entry = |o: Operand| {
                    let param = o.as_value().and_then(|v| info.param(v));
                    param.map_or(o, |p| params[p].args[0])
                };
                let mut first = load;
                (first.args[0], first.args[1]) = (entry(load.args[0]), entry(load.args[1]));
                first.res = trace.new_value(load.ty);
                trace.insts.push(first);
                // The parameter is the value that the load was.
                let mut phi = Inst::new(Op::Phi, Type::Void, load.ty, 0, &[first.res.into(), *next]);
                phi.res = load.res;
                params.push(phi);
            }
            let mut line = info.body;
            body.retain(|_| {
                line += 1;
                found.iter().all(|f| f.0 + 1 != line)
            });
            trace.loop_at = Some(trace.insts.len() as u32);
            trace.insts.append(&mut params);
            trace.insts.append(&mut body);
        }
        let changed = !found.is_empty();
        self.found = found;
        changed
    }
}
