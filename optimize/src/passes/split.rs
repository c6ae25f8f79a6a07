//! Loop parameters as wide as what changes in them.
//!
//! Legacy vector instructions write the low part of a register and keep what is above, so a register that a loop uses is a parameter
//! of 512 bits of which 32, 64 or 128 change. This pass makes a parameter of just those; what is above is the entry value's.
//!
//! ```text
//! loop(%4: v512 = %1):                       loop(%9: f64 = %8):                 %8 = extract %1, 0
//!                                              %4: v512 = insert %1, %9, 0
//!   %5: f64 = extract %4, 0                    %5: f64 = extract %4, 0             folds to %9
//!   %6: f64 = fadd %5, %3                      %6: f64 = fadd %5, %3
//!   %7: v512 = insert %4, %6, 0                %7: v512 = insert %4, %6, 0         folds to insert %1, %6, 0
//!   end loop(%7)                               %10: f64 = extract %7, 0            folds to %6
//!                                              end loop(%10)
//! ```
//!
//! Folding and dead code do the rest: they must run behind it.
//!
//! The next value must be made from the parameter, or from what its entry value is made from too, by `insert` lines alone. Then all bits
//! above the highest that these write are the same in all iterations.

use crate::pass::{Env, Pass};
use ir::op::Op;
use ir::trace::{End, Inst, Trace};
use ir::types::{Operand, Type, Value};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Split {
    def: Vec<u32>,
}

/// What a chain of inserts comes down to.
struct Chain {
    /// What the first insert was put into.
    base: Operand,
    /// One more than the highest bit written.
    bits: u32,
    /// The element type, if all inserts are at bit 0 and of one type.
    element: Option<Type>,
}

impl Split {
    fn def<'t>(&self, trace: &'t Trace, o: Operand) -> Option<&'t Inst> {
        let line = *self.def.get(o.as_value()?.index())?;
        trace.insts.get(line as usize)
    }

    /// Walks inserts down to a value that `stop` knows, or that is none.
    fn chain(&self, trace: &Trace, from: Operand, stop: Option<Value>) -> Chain {
        let mut chain = Chain { base: from, bits: 0, element: None };
        let mut first = true;
        while chain.base.as_value() != stop || stop.is_none() {
            let Some(inst) = self.def(trace, chain.base) else { break };
            let at = match inst.op {
                Op::Insert => inst.args[2].as_index().unwrap_or(0) as u32,
                Op::Zext => 0,
                _ => break,
            };
            chain.bits = chain.bits.max(at + inst.aty.bits());
            let ty = Some(inst.aty).filter(|_| at == 0);
            chain.element = if first { ty } else { chain.element.filter(|e| Some(*e) == ty) };
            first = false;
            if inst.op == Op::Zext {
                chain.base = Operand::index(0);
                break;
            }
            chain.base = inst.args[0];
        }
        chain
    }

    /// The type of what changes in the parameter, if that is less than all of it.
    fn parts(&self, trace: &Trace, phi: &Inst) -> Option<Type> {
        let chain = self.chain(trace, phi.args[1], Some(phi.res));
        let (mut bits, mut element) = (chain.bits, chain.element);
        if chain.base.as_value() != Some(phi.res) {
            // Written anew each time round, on top of something that the entry value must stand on, too.
            let entry = self.chain(trace, phi.args[0], None);
            if entry.base != chain.base {
                return None;
            }
            bits = bits.max(entry.bits);
            element = element.filter(|e| entry.element == Some(*e));
        }
        let ty = match (bits, element) {
            (0, _) => return None,
            (_, Some(ty)) if ty.bits() == bits => ty,
            (..=32, _) => Type::I32,
            (33..=64, _) => Type::I64,
            (65..=128, _) => Type::V128,
            _ => Type::V256,
        };
        (ty.bits() < phi.ty.bits()).then_some(ty)
    }
}

impl Pass for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let Some(head) = trace.loop_at.map(|l| l as usize) else { return false };
        if trace.end != End::Loop {
            return false;
        }
        let old: Vec<Inst> = trace.params().to_vec();
        if old.iter().all(|p| !p.ty.is_vector()) {
            return false;
        }
        self.def.clear();
        self.def.resize(trace.value_count(), u32::MAX);
        for (i, inst) in trace.insts.iter().enumerate().filter(|(_, i)| i.has_result()) {
            self.def[inst.res.index()] = i as u32;
        }
        let (mut before, mut params, mut wholes, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut changed = false;
        for phi in &old {
            let found = if phi.ty.is_vector() { self.parts(trace, phi) } else { None };
            let Some(ty) = found.filter(|_| env.burn()) else {
                params.push(*phi);
                continue;
            };
            changed = true;
            let mut low = |lines: &mut Vec<Inst>, o: Operand| {
                let mut inst = Inst::new(Op::Extract, phi.ty, ty, 0, &[o, Operand::index(0)]);
                inst.res = trace.new_value(ty);
                lines.push(inst);
                Operand::value(inst.res)
            };
            let (entry, next) = (low(&mut before, phi.args[0]), low(&mut ends, phi.args[1]));
            let mut new = Inst::new(Op::Phi, Type::Void, ty, 0, &[entry, next]);
            new.res = trace.new_value(ty);
            params.push(new);
            // The number stays, for whoever uses it.
            let operands = [phi.args[0], new.res.into(), Operand::index(0)];
            wholes.push(Inst { res: phi.res, ..Inst::new(Op::Insert, ty, phi.ty, 0, &operands) });
        }
        if changed {
            let body = trace.insts.split_off(head + old.len());
            trace.insts.truncate(head);
            trace.insts.append(&mut before);
            trace.loop_at = Some(trace.insts.len() as u32);
            for mut lines in [params, wholes, body, ends] {
                trace.insts.append(&mut lines);
            }
        }
        changed
    }
}
