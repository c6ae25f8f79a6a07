//! Dead code: lines whose result nobody uses and that do nothing else, loop parameters that only feed themselves, and
//! exits that no line names.
//!
//! One backward sweep marks what is needed: what guards, stores, natives, calls and the end need, what the snapshots of
//! exits in use need, and what those need in turn. A loop parameter is needed if its value is; then so is what the end
//! passes to it, which may come from anywhere in the body, so the sweep repeats until nothing is added.

use crate::pass::{Env, Pass};
use ir::op::Op;
use ir::trace::{End, Trace};
use ir::types::{ExitId, Operand};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Dce {
    needed: Vec<bool>,
    exits: Vec<ExitId>,
}

impl Dce {
    fn need(&mut self, o: Operand) -> bool {
        match o.as_value() {
            Some(v) => !std::mem::replace(&mut self.needed[v.index()], true),
            None => false,
        }
    }

    fn need_exit(&mut self, trace: &Trace, id: ExitId) {
        if self.exits.contains(&id) {
            return;
        }
        self.exits.push(id);
        if let Some(exit) = trace.exit(id)
            && let ir::snapshot::Target::Value(v) = exit.target
        {
            self.need(v);
        }
        for bind in trace.snapshot(id) {
            match trace.recipe(bind.value).copied() {
                Some(recipe) => trace.for_each_operand(&recipe, |o, _| {
                    self.need(o);
                }),
                None => {
                    self.need(bind.value);
                }
            }
        }
    }
}

impl Pass for Dce {
    fn name(&self) -> &'static str {
        "dce"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        self.needed.clear();
        self.needed.resize(trace.value_count(), false);
        self.exits.clear();
        match trace.end {
            End::Exit(id) => self.need_exit(trace, id),
            End::Loop => {
                if let Some(id) = trace.interrupt {
                    self.need_exit(trace, id);
                }
            }
        }
        loop {
            let mut grew = false;
            for inst in trace.insts.iter().rev() {
                let needed = inst.has_result() && self.needed[inst.res.index()];
                if needed || !trace.effects(inst).is_removable() {
                    if let Some(id) = inst.exit() {
                        self.need_exit(trace, id);
                    }
                    trace.for_each_operand(inst, |o, _| {
                        // What a parameter needs may stand behind it; everything else stands before.
                        grew |= self.need(o) && inst.op == Op::Phi;
                    });
                }
            }
            if !grew {
                break;
            }
        }
        let before = trace.insts.len();
        let mut kept = Vec::with_capacity(before);
        let loop_at = trace.loop_at;
        for (i, inst) in trace.insts.iter().enumerate() {
            let dead =
                inst.has_result() && !self.needed[inst.res.index()] && trace.effects(inst).is_removable();
            if dead && env.burn() {
                if let (Some(at), Some(now)) = (loop_at, trace.loop_at.as_mut())
                    && (i as u32) < at
                {
                    *now -= 1;
                }
            } else {
                kept.push(*inst);
            }
        }
        trace.insts = kept;
        trace.insts.len() < before
    }
}
