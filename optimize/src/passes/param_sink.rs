//! Loop parameters that are the same operation at both ends: the operation moves from in front of the loop's edges to behind its head.
//!
//! ```text
//!   %5: i64 = zext %4                                 (from i32)
//! loop(%6: i64 = %5):                               loop(%10: i32 = %4):
//!                                                     %6: i64 = zext %10
//!   %7: i32 = trunc %6                                %7: i32 = trunc %6         folds to %10
//!   %8: i32 = add %7, 1                               %8: i32 = add %7, 1
//!   %9: i64 = zext %8                                 %9: i64 = zext %8          for exits alone
//!   end loop(%9)                                      end loop(%8)
//! ```
//!
//! So registers are as narrow as what the loop computes, words stay unboxed around the loop, a part that changes is carried without the whole that does not
//! (`insert` into the same invariant), and flags are carried as the operands they come from, which mostly are parameters already.
//!
//! Assumes: nothing. Guarantees: no more operations on any path through the body, provided folding and dead code run behind it. A
//! literal at entry counts as the operation on a literal where that exists. The idea is that of folding operations into phis in SSA compilers, the other way round.

use crate::pass::{Env, Pass};
use ir::op::{Arg, Op};
use ir::trace::{End, Inst, Trace};
use ir::types::{Operand, Type};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct ParamSink {
    /// By value: index of its line, plus one.
    def: Vec<u32>,
}

/// Most operands of an operation that may differ between entry and edge.
const MOST_DIFFERENT: usize = 2;

/// Operations that cost nothing more behind the head than in front of the edge.
fn may_sink(op: Op) -> bool {
    let is_flags = op >= Op::FlagsAdd && op <= Op::FlagsFcmp;
    let conversions = [Op::Zext, Op::Sext, Op::Bitcast, Op::Insert, Op::Box, Op::Sitof];
    is_flags || conversions.contains(&op)
}

impl ParamSink {
    fn def(&self, trace: &Trace, o: Operand) -> Option<Inst> {
        let at = self.def.get(o.as_value()?.index())?.checked_sub(1)?;
        trace.insts.get(at as usize).copied()
    }

    /// Is it defined before the loop?
    fn is_invariant(&self, head: usize, o: Operand) -> bool {
        match o.as_value() {
            Some(v) => self.def.get(v.index()).is_some_and(|at| *at as usize <= head && *at > 0),
            None => o.is_literal(),
        }
    }

    /// The operation that gives this literal, of the kind of `like`.
    fn as_operation(&self, trace: &mut Trace, literal: Operand, like: &Inst) -> Option<Inst> {
        let value = trace.literal_int(literal)?;
        let narrow = like.aty.canonical(value);
        let fits = match like.op {
            Op::Zext => narrow & i128::from(like.aty.mask64()) == value && like.ty.bits() <= 64,
            Op::Sext => narrow == value,
            _ => false,
        };
        if !fits || !like.aty.is_int() || like.aty == Type::I128 || like.aty == Type::I1 {
            return None;
        }
        let mut line = *like;
        line.args[0] = trace.literal(like.aty, narrow);
        Some(line)
    }
}

/// The type at which a plain operation uses its operand `i`; `None` for what is part of the operation.
fn operand_type(line: &Inst, i: usize) -> Option<Type> {
    Some(match line.op.info().args.get(i)? {
        Arg::T => line.aty,
        Arg::R => line.ty,
        Arg::I1 => Type::I1,
        Arg::I64 => Type::I64,
        Arg::F => Type::Flags,
        _ => return None,
    })
}

impl Pass for ParamSink {
    fn name(&self) -> &'static str {
        "param-sink"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let (Some(head), End::Loop) = (trace.loop_at.map(|at| at as usize), trace.end) else { return false };
        self.def.clear();
        self.def.resize(trace.value_count(), 0);
        for (i, line) in trace.insts.iter().enumerate().filter(|(_, l)| l.has_result()) {
            self.def[line.res.index()] = i as u32 + 1;
        }
        let mut todo: Vec<Inst> = trace.params().to_vec();
        let count = todo.len();
        todo.reverse();
        let mut params = Vec::with_capacity(count);
        let mut lines: Vec<Inst> = Vec::new();
        while let Some(p) = todo.pop() {
            match self.sink(trace, head, &p, env) {
                None => params.push(p),
                Some((line, new)) => {
                    lines.push(line);
                    todo.extend(new);
                }
            }
        }
        if lines.is_empty() {
            return false;
        }
        // A parameter of a parameter was made behind it, so its line must come first.
        lines.reverse();
        params.append(&mut lines);
        trace.insts.splice(head..head + count, params);
        true
    }
}

impl ParamSink {
    /// The line that takes the parameter's place, and the parameters it needs.
    fn sink(&self, trace: &mut Trace, head: usize, p: &Inst, env: &mut Env) -> Option<(Inst, Vec<Inst>)> {
        let next = self.def(trace, p.args[1]).filter(|l| may_sink(l.op))?;
        let entry = match self.def(trace, p.args[0]) {
            Some(line) => line,
            None => self.as_operation(trace, p.args[0], &next)?,
        };
        let same = |a: &Inst, b: &Inst| a.op == b.op && a.ty == b.ty && a.aty == b.aty && a.attr == b.attr;
        if !same(&entry, &next) {
            return None;
        }
        let mut different = Vec::new();
        for i in 0..next.args.len() {
            let (a, b) = (entry.args[i], next.args[i]);
            match operand_type(&next, i) {
                Some(ty) if a != b || !self.is_invariant(head, a) => different.push((i, ty)),
                None if a != b => return None,
                _ => {}
            }
        }
        if different.is_empty() || different.len() > MOST_DIFFERENT || !env.burn() {
            return None;
        }
        let mut line = Inst { res: p.res, ..next };
        let mut new = Vec::new();
        for (i, ty) in different {
            let res = trace.new_value(ty);
            let mut param = Inst::new(Op::Phi, Type::Void, ty, 0, &[entry.args[i], next.args[i]]);
            param.res = res;
            line.args[i] = Operand::value(res);
            new.push(param);
        }
        Some((line, new))
    }
}
