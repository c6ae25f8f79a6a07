//! Common subexpressions: a pure operation on the same operands as an earlier one is that one.
//!
//! ```text
//! %3: i64 = add %0, %1
//! %4: i64 = add %1, %0             the order of operands does not matter here: Equal(%3)
//! ```
//!
//! Assumes: nothing. Guarantees: no two committed pure lines (divisions included: the first would have faulted) are the same up to the order of commuting operands.
//! A line of the prologue serves the body, too. Loads are the business of load forwarding. The idea is as old as SSA;
//! as a hash table asked once per line, LuaJIT's.

use crate::forward::{Cx, Rewrite, Rewriter};
use crate::pass::Env;
use ir::op::{Op, OpEffect};
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type};
use rustc_hash::FxHashMap;

/// What makes two lines the same.
type Key = (Op, Type, Type, u8, [Operand; 3]);

/// See the module.
#[derive(Debug, Default)]
pub struct Cse {
    seen: FxHashMap<Key, Operand>,
}

/// Do the first two operands commute?
pub fn commutes(op: Op) -> bool {
    matches!(
        op,
        Op::Add
            | Op::Mul
            | Op::Umulh
            | Op::Smulh
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::Eq
            | Op::Ne
            | Op::FlagsAdd
            | Op::FlagsAdc
            | Op::FlagsUmul
            | Op::FlagsSmul
            | Op::Feq
            | Op::Funo
            | Op::VAdd
            | Op::VMul
            | Op::VUmulh
            | Op::VSmulh
            | Op::VUmulw
            | Op::VSmulw
            | Op::VMadd
            | Op::VSad
            | Op::VUavg
            | Op::VUadds
            | Op::VSadds
            | Op::VUmin
            | Op::VUmax
            | Op::VSmin
            | Op::VSmax
            | Op::VEq
            | Op::VFeq
            | Op::VFuno
    )
}

/// The key of a line that a later one can equal.
fn key(line: &Inst) -> Option<Key> {
    if !matches!(line.op.info().effect, OpEffect::Pure | OpEffect::Fault) || line.op == Op::Phi {
        return None;
    }
    let [a, b, c, _] = line.args;
    let order = |o: Operand| (o.is_literal(), o.as_value());
    let (a, b) = if commutes(line.op) && order(b) < order(a) { (b, a) } else { (a, b) };
    Some((line.op, line.ty, line.aty, line.attr, [a, b, c]))
}

impl Rewriter for Cse {
    fn name(&self) -> &'static str {
        "cse"
    }

    fn start(&mut self, _: &Trace, _: &Env) {
        self.seen.clear();
    }

    fn rewrite(&mut self, line: &Inst, _: &mut Cx<'_>) -> Rewrite {
        match key(line).and_then(|k| self.seen.get(&k)) {
            Some(earlier) => Rewrite::Equal(*earlier),
            None => Rewrite::Keep,
        }
    }

    fn committed(&mut self, line: &Inst, _: &mut Cx<'_>) {
        if let Some(k) = key(line) {
            self.seen.insert(k, Operand::value(line.res));
        }
    }
}
