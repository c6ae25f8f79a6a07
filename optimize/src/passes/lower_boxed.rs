//! Operations on boxed words become plain ones, which every host has.
//!
//! ```text
//!   %1: i1 = has_tag %0, num       %1: i1 = ult %0, 0xfff9000000000000
//!   %2: f64 = unbox %0, num        %2: f64 = bitcast %0
//!   %3: i64 = box %2, num          %3: i64 = bitcast %2
//!   %4: i1 = has_tag %0, int       %5: i64 = shr %0, 48
//!                                  %4: i1 = eq %5, 0xfff9
//! ```
//!
//! The last pass: those before it know more about boxed words than about bits. A float is boxed with a check only where it may
//! be a NaN that looks like a tagged word. Arithmetic on floats that are none makes none (see `docs/ir.md`), and helpers give none.
//!
//! Assumes: nothing. Guarantees: no `box`, `unbox` or `has_tag` is left, except in recipes.

use crate::pass::{Env, Pass};
use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LowerBoxed {
    /// By value: a float that is surely none of the NaNs that look like tagged words.
    plain: Vec<bool>,
    lines: Vec<Inst>,
}

impl Pass for LowerBoxed {
    fn name(&self) -> &'static str {
        "lower-boxed"
    }

    fn run(&mut self, trace: &mut Trace, _: &mut Env) -> bool {
        if !trace.insts.iter().any(|i| matches!(i.op, Op::Box | Op::Unbox | Op::HasTag)) {
            return false;
        }
        let Some(least) = trace.decls.first_tagged_word() else { return false };
        self.find_plain(trace, least);
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let old = std::mem::take(&mut trace.insts);
        let mut loop_at = None;
        for (i, inst) in old.iter().enumerate() {
            if trace.loop_at == Some(i as u32) {
                loop_at = Some(lines.len() as u32);
            }
            self.line(trace, inst, least, &mut lines);
        }
        // A loop may have nothing in it.
        if trace.loop_at == Some(old.len() as u32) {
            loop_at = Some(lines.len() as u32);
        }
        trace.loop_at = loop_at;
        trace.insts = lines;
        self.lines = old;
        true
    }
}

impl LowerBoxed {
    fn is_plain(&self, trace: &Trace, o: Operand, least: u64) -> bool {
        match o.as_value() {
            Some(v) => self.plain[v.index()],
            None => trace.literal_bits(o, Type::F64).is_some_and(|bits| bits[0] < least),
        }
    }

    /// Parameters are taken for plain until something that flows into them is not.
    fn find_plain(&mut self, trace: &Trace, least: u64) {
        let default_nan_is_plain = least > 0xfff8_0000_0000_0000;
        for params in [true, false] {
            self.plain.clear();
            self.plain.resize(trace.value_count(), false);
            for inst in trace.insts.iter().filter(|i| i.ty == Type::F64) {
                let of = |n: usize| inst.args[..n].iter().all(|a| self.is_plain(trace, *a, least));
                self.plain[inst.res.index()] = match inst.op {
                    // Who unboxes has looked at the tag.
                    Op::Unbox | Op::Sitof | Op::Uitof | Op::Call => true,
                    Op::Fadd | Op::Fsub | Op::Fmul | Op::Fdiv => default_nan_is_plain && of(2),
                    Op::FminSse | Op::FmaxSse => of(2),
                    Op::Fsqrt | Op::Fround => default_nan_is_plain && of(1),
                    Op::Fabs => of(1),
                    Op::Select => {
                        self.is_plain(trace, inst.args[1], least) && self.is_plain(trace, inst.args[2], least)
                    }
                    Op::Phi => params && self.is_plain(trace, inst.args[0], least),
                    _ => false,
                };
            }
            let holds = |p: &Inst| !self.plain[p.res.index()] || self.is_plain(trace, p.args[1], least);
            if trace.params().iter().filter(|p| p.ty == Type::F64).all(holds) {
                return;
            }
        }
    }

    fn line(&self, trace: &mut Trace, inst: &Inst, least: u64, out: &mut Vec<Inst>) {
        let tag = inst.args[1].as_index().and_then(|t| trace.decls.tags.get(t)).map(|t| (t.pattern, t.ty));
        let mut emit = |trace: &mut Trace, op, aty, ty, args: &[Operand]| {
            let mut line = Inst::new(op, aty, ty, 0, args);
            line.res = trace.new_value(ty);
            out.push(line);
            Operand::value(line.res)
        };
        let plain = |op, aty, ty, args: &[Operand]| Inst { res: inst.res, ..Inst::new(op, aty, ty, 0, args) };
        let i64 = Type::I64;
        let a = inst.args[0];
        let last = match (inst.op, tag) {
            (Op::HasTag, Some((None, _))) => {
                let least = trace.literal(i64, least as i64 as i128);
                plain(Op::Ult, i64, Type::I1, &[a, least])
            }
            (Op::HasTag, Some((Some(pattern), _))) => {
                let by = trace.literal(i64, 48);
                let top = emit(trace, Op::Shr, i64, i64, &[a, by]);
                let pattern = trace.literal(i64, pattern.into());
                plain(Op::Eq, i64, Type::I1, &[top, pattern])
            }
            (Op::Unbox, Some((None, _))) => plain(Op::Bitcast, i64, Type::F64, &[a]),
            (Op::Unbox, Some((Some(_), Type::I64))) => {
                let by = trace.literal(i64, 16);
                let top = emit(trace, Op::Shl, i64, i64, &[a, by]);
                plain(Op::Sar, i64, i64, &[top, by])
            }
            (Op::Unbox, Some((Some(_), ty))) => plain(Op::Trunc, i64, ty, &[a]),
            (Op::Box, Some((None, _))) if self.is_plain(trace, a, least) => {
                plain(Op::Bitcast, Type::F64, i64, &[a])
            }
            (Op::Box, Some((None, _))) => {
                let bits = emit(trace, Op::Bitcast, Type::F64, i64, &[a]);
                let least = trace.literal(i64, least as i64 as i128);
                let fits = emit(trace, Op::Ult, i64, Type::I1, &[bits, least]);
                let nan = trace.literal(i64, ir::eval::CANONICAL_NAN.into());
                plain(Op::Select, Type::Void, i64, &[fits, bits, nan])
            }
            (Op::Box, Some((Some(pattern), ty))) => {
                let wide = if ty == i64 { a } else { emit(trace, Op::Zext, ty, i64, &[a]) };
                let low = trace.literal(i64, 0xffff_ffff_ffff);
                let low = if ty == i64 { emit(trace, Op::And, i64, i64, &[wide, low]) } else { wide };
                let high = trace.literal(i64, ((u64::from(pattern)) << 48) as i64 as i128);
                plain(Op::Or, i64, i64, &[low, high])
            }
            _ => *inst,
        };
        out.push(last);
    }
}
