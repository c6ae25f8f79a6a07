//! What loop passes ask about a trace's loop: what is invariant, what counts up, how often it goes round, where it reads and
//! writes.
//!
//! Terms. *k* is the number of the iteration, from 0. A *linear form* ([`Linear`]) is `konst + Σ coef·leaf`, mod 2^width of the
//! value that it stands for. Leaves are values from in front of the loop, loop parameters that grow by a constant each time round
//! (*inductions*), and sign- or zero-extensions of narrower forms. So each form grows by a constant itself, its *step*, and two
//! forms with the same leaves have a constant distance. An extension of something that grows is linear only while it does
//! not wrap; what must hold for that is a [`Need`], to be checked in front of the loop by whoever relies on the form.
//!
//! ```text
//! loop(%4: i64 = %0, %5: i32 = %1):        %4: step 8, %5: step 1
//!   %6: i64 = sext %5                      sext{%5}: step 1 if %5 does not wrap
//!   %7: f64 = load [%2 + %6*8 + 8]         address 8 + %2 + 8·sext{%5}: step 8
//!   store %7, [%4]                         address %4: step 8
//!   %8: i64 = add %4, 8                    8 + %4
//!   %9: i32 = add %5, 1
//!   %10: i1 = slt %9, 100
//!   guard %10 else exit 1                  leaves when not 1 + %5 < 100: the trip guard
//!   end loop(%8, %9)
//! ```

use ir::op::Op;
use ir::trace::{End, Inst, Trace};
use ir::types::{Cond, Operand, Type, Value};
use smallvec::SmallVec;

/// A part of a linear form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaf {
    /// A value (its low bits, where the form is narrower).
    Value(Value),
    /// The sign-extension of this narrower form.
    Sext(u32),
    /// The zero-extension of this narrower form.
    Zext(u32),
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Linear {
    /// The constant part.
    pub konst: i64,
    /// Leaves with their coefficients, which are not 0; no leaf twice.
    pub terms: SmallVec<[(Leaf, i64); 3]>,
    /// What must hold, as indices into [`LoopInfo::needs`].
    pub needs: SmallVec<[u32; 2]>,
}

/// What must hold in all iterations for a form to be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Need {
    /// The extension of the form, plus the constant, is the extension of the sum.
    NoWrap {
        /// The form, without its constant.
        form: u32,
        /// The constant.
        konst: i64,
        /// Sign-extension?
        signed: bool,
    },
    /// The entry value of this parameter has zeros above its low 32 bits.
    ZeroExtended(Value),
}

/// Most terms of a form; what would have more is a leaf of its own.
const MAX_TERMS: usize = 5;

impl Linear {
    /// A constant.
    pub fn constant(konst: i64) -> Linear {
        Linear { konst, ..Linear::default() }
    }

    fn leaf(leaf: Leaf) -> Linear {
        Linear { konst: 0, terms: SmallVec::from_slice(&[(leaf, 1)]), needs: SmallVec::new() }
    }

    /// Adds `factor` times the other form, at a type.
    pub fn add(&mut self, other: &Linear, factor: i64, ty: Type) {
        let cut = |x: i64| ty.canonical(x.into()) as i64;
        self.konst = cut(self.konst.wrapping_add(other.konst.wrapping_mul(factor)));
        for (leaf, coef) in &other.terms {
            let more = cut(coef.wrapping_mul(factor));
            match self.terms.iter_mut().find(|(l, _)| l == leaf) {
                Some((_, c)) => *c = cut(c.wrapping_add(more)),
                None => self.terms.push((*leaf, more)),
            }
        }
        self.terms.retain(|(_, c)| *c != 0);
        for n in &other.needs {
            if !self.needs.contains(n) {
                self.needs.push(*n);
            }
        }
    }

    /// This form less another, at a type.
    pub fn minus(&self, other: &Linear, ty: Type) -> Linear {
        let mut d = self.clone();
        d.add(other, -1, ty);
        d
    }
}

/// How a trip guard compares: the loop goes on while `left OP right`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Not equal.
    Ne,
    /// Signed less.
    Slt,
    /// Signed less or equal.
    Sle,
    /// Unsigned less.
    Ult,
    /// Unsigned less or equal.
    Ule,
}

/// A guard that compares something that grows with something that does not.
#[derive(Clone, Debug)]
pub struct Trip {
    /// Its line.
    pub line: usize,
    /// The loop goes on while this …
    pub left: Linear,
    /// … compares so …
    pub compare: Compare,
    /// … with this.
    pub right: Linear,
    /// The type compared.
    pub ty: Type,
    /// What `left - right` grows by, not 0.
    pub step: i64,
}

/// A load or store of the body.
#[derive(Clone, Debug)]
pub struct Access {
    /// Its line.
    pub line: usize,
    /// Where, in iteration 0.
    pub addr: Linear,
    /// How far it goes each time round.
    pub step: i64,
    /// How many bytes.
    pub size: i64,
    /// Is it a store?
    pub store: bool,
}

/// The loop of one trace.
#[derive(Clone, Debug)]
pub struct LoopInfo {
    /// Line of the first parameter.
    pub head: usize,
    /// First line of the body, behind the parameters.
    pub body: usize,
    /// Narrower forms that are leaves of others, with their types.
    pub forms: Vec<(Linear, Type)>,
    /// What forms rest on.
    pub needs: Vec<Need>,
    /// Line that defines each value; `u32::MAX` for none.
    def: Vec<u32>,
    invariant: Vec<bool>,
    linear: Vec<Option<Box<Linear>>>,
    /// Step of each parameter that is an induction, in order of the parameters.
    steps: Vec<Option<i64>>,
    /// Parameters that are zero-extended from 32 bits.
    narrow: Vec<Value>,
}

impl LoopInfo {
    /// `None` when the trace has no loop.
    pub fn new(trace: &Trace) -> Option<LoopInfo> {
        let head = trace.loop_at? as usize;
        if trace.end != End::Loop {
            return None;
        }
        let body = head + trace.params().len();
        let mut def = vec![u32::MAX; trace.value_count()];
        for (i, inst) in trace.insts.iter().enumerate().filter(|(_, i)| i.has_result()) {
            def[inst.res.index()] = i as u32;
        }
        let mut info = LoopInfo {
            head,
            body,
            forms: Vec::new(),
            needs: Vec::new(),
            def,
            invariant: vec![false; trace.value_count()],
            linear: vec![None; trace.value_count()],
            steps: vec![None; body - head],
            narrow: Vec::new(),
        };
        info.find_invariants(trace);
        for param in &trace.insts[head..body] {
            let next = param.args[1].as_value().and_then(|v| info.def_in_body(v));
            if param.ty == Type::I64
                && next.is_some_and(|l| trace.insts[l].op == Op::Zext && trace.insts[l].aty == Type::I32)
            {
                info.narrow.push(param.res);
            }
        }
        for inst in &trace.insts {
            if inst.has_result() && matches!(inst.ty, Type::I8 | Type::I16 | Type::I32 | Type::I64) {
                let form = info.form(trace, inst);
                info.linear[inst.res.index()] = Some(Box::new(form));
            }
        }
        for (i, param) in trace.insts[head..body].iter().enumerate() {
            let Some(now) = info.linear[param.res.index()].as_deref() else { continue };
            let Some(next) = info.linear_operand(trace, param.args[1], param.ty) else { continue };
            let grown = next.minus(now, param.ty);
            if grown.terms.is_empty() {
                info.steps[i] = Some(grown.konst);
            }
        }
        Some(info)
    }

    fn find_invariants(&mut self, trace: &Trace) {
        for (i, inst) in trace.insts.iter().enumerate().filter(|(_, i)| i.has_result()) {
            let mut all = i < self.head || inst.op.is_pure() && !matches!(inst.op, Op::Slot | Op::Pick);
            if i >= self.head {
                trace.for_each_operand(inst, |o, _| {
                    all &= o.as_value().is_none_or(|v| self.invariant[v.index()]);
                });
            }
            self.invariant[inst.res.index()] = all;
        }
    }

    /// The line in the body that defines the value; `None` for parameters and what comes from in front of the loop.
    pub fn def_in_body(&self, v: Value) -> Option<usize> {
        self.def.get(v.index()).map(|d| *d as usize).filter(|d| *d >= self.body && *d != u32::MAX as usize)
    }

    /// The number of the parameter that defines the value.
    pub fn param(&self, v: Value) -> Option<usize> {
        let d = *self.def.get(v.index())? as usize;
        (self.head..self.body).contains(&d).then(|| d - self.head)
    }

    /// Is it defined in front of the loop, or a literal?
    pub fn is_outside(&self, o: Operand) -> bool {
        match o.as_value() {
            Some(v) => self.def.get(v.index()).is_some_and(|d| (*d as usize) < self.head),
            None => o.is_literal(),
        }
    }

    /// Is it the same in all iterations, and computed from values in front of the loop by pure lines?
    pub fn is_invariant(&self, o: Operand) -> bool {
        match o.as_value() {
            Some(v) => self.invariant.get(v.index()).copied().unwrap_or(false),
            None => o.is_literal(),
        }
    }

    /// From now on the value counts as invariant, and what only depends on such values does too (a load that was found to
    /// give the same each time).
    pub fn set_invariant(&mut self, trace: &Trace, v: Value) {
        self.invariant[v.index()] = true;
        for inst in trace.insts[self.body..].iter().filter(|i| i.has_result() && i.op.is_pure()) {
            let mut all = inst.op != Op::Slot && inst.op != Op::Pick;
            trace.for_each_operand(inst, |o, _| all &= self.is_invariant(o));
            if all {
                self.invariant[inst.res.index()] = true;
            }
        }
    }

    /// The step of a parameter that is an induction.
    pub fn param_step(&self, param: usize) -> Option<i64> {
        self.steps.get(param).copied().flatten()
    }

    // --- forms -------------------------------------------------------------------------------------

    /// The form of an operand at an integer type.
    pub fn linear_operand(&self, trace: &Trace, o: Operand, ty: Type) -> Option<Linear> {
        match o.as_value() {
            Some(v) => self.linear.get(v.index())?.as_deref().cloned(),
            None => trace.literal_int(o).map(|i| Linear::constant(ty.canonical(i) as i64)),
        }
    }

    /// The form of `[base + index*scale + disp]`.
    pub fn address(&self, trace: &Trace, inst: &Inst) -> Option<Linear> {
        let addr = trace.addr(inst)?;
        let mut form = self.linear_operand(trace, addr.base, Type::I64)?;
        if !addr.index.is_none() {
            let index = self.linear_operand(trace, addr.index, Type::I64)?;
            form.add(&index, addr.scale.into(), Type::I64);
        }
        form.konst = form.konst.wrapping_add(addr.disp);
        Some(form)
    }

    /// How much a form at this type grows each time round; `None` when it is not linear.
    pub fn step(&self, form: &Linear, ty: Type) -> Option<i64> {
        let mut step = 0i64;
        for (leaf, coef) in &form.terms {
            let grows = match leaf {
                Leaf::Value(v) => match self.param(*v) {
                    Some(p) => self.param_step(p)?,
                    None if self.is_invariant(Operand::value(*v)) => 0,
                    None => return None,
                },
                Leaf::Sext(f) | Leaf::Zext(f) => {
                    let (form, ty) = self.forms.get(*f as usize)?;
                    self.step(form, *ty)?
                }
            };
            step = step.wrapping_add(grows.wrapping_mul(*coef));
        }
        Some(ty.canonical(step.into()) as i64)
    }

    fn form(&mut self, trace: &Trace, inst: &Inst) -> Linear {
        let itself = Linear::leaf(Leaf::Value(inst.res));
        let [a, b, ..] = inst.args;
        let ty = inst.ty;
        let get = |info: &LoopInfo, o: Operand, ty: Type| info.linear_operand(trace, o, ty);
        let made = match inst.op {
            Op::Phi if self.narrow.contains(&inst.res) => {
                let low = self.intern(itself.clone(), Type::I32);
                let mut form = Linear::leaf(Leaf::Zext(low));
                let first = self.need(Need::ZeroExtended(inst.res));
                let all = self.need(Need::NoWrap { form: low, konst: 0, signed: false });
                form.needs.extend([first, all]);
                Some(form)
            }
            Op::Add | Op::Sub => match (get(self, a, ty), get(self, b, ty)) {
                (Some(mut x), Some(y)) => {
                    x.add(&y, if inst.op == Op::Add { 1 } else { -1 }, ty);
                    Some(x)
                }
                _ => None,
            },
            Op::Neg => get(self, a, ty).map(|x| {
                let mut form = Linear::default();
                form.add(&x, -1, ty);
                form
            }),
            Op::Shl | Op::Mul => {
                let factor = match (inst.op, trace.literal_int(b)) {
                    (Op::Shl, Some(n)) if (0..ty.bits().into()).contains(&n) => Some(1i64 << n),
                    (Op::Mul, Some(n)) => Some(n as i64),
                    _ => None,
                };
                match (factor, get(self, a, ty)) {
                    (Some(factor), Some(x)) => {
                        let mut form = Linear::default();
                        form.add(&x, factor, ty);
                        Some(form)
                    }
                    _ => None,
                }
            }
            Op::Trunc if inst.aty.is_int() => get(self, a, inst.aty).map(|x| self.truncated(&x, ty)),
            Op::Sext | Op::Zext if inst.aty.is_int() && inst.aty != Type::I1 => {
                match get(self, a, inst.aty) {
                    // In front of the loop nothing grows, and the value itself is as good a leaf.
                    Some(x) if self.def_in_body(inst.res).is_some() => {
                        self.extended(x, inst.aty, inst.op == Op::Sext)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        made.filter(|f| f.terms.len() <= MAX_TERMS).unwrap_or(itself)
    }

    fn truncated(&self, form: &Linear, ty: Type) -> Linear {
        let mut low = Linear::constant(ty.canonical(form.konst.into()) as i64);
        for (leaf, coef) in &form.terms {
            match leaf {
                Leaf::Sext(f) | Leaf::Zext(f) if self.forms[*f as usize].1.bits() >= ty.bits() => {
                    low.add(&self.forms[*f as usize].0, *coef, ty);
                }
                _ => low.add(&Linear::leaf(*leaf), *coef, ty),
            }
        }
        // An extension that wraps is only wrong above the bits that are kept, unless it was made of fewer.
        low.needs.clone_from(&form.needs);
        low.needs.retain(|n| match self.needs[*n as usize] {
            Need::NoWrap { form, .. } => self.forms[form as usize].1.bits() < ty.bits(),
            Need::ZeroExtended(_) => ty.bits() > 32,
        });
        low
    }

    fn extended(&mut self, mut form: Linear, from: Type, signed: bool) -> Option<Linear> {
        let konst = std::mem::take(&mut form.konst);
        if form.terms.is_empty() {
            let konst = if signed { konst } else { konst & from.mask64() as i64 };
            return Some(Linear::constant(konst));
        }
        let mut needs = std::mem::take(&mut form.needs);
        let inner = self.intern(form, from);
        needs.push(self.need(Need::NoWrap { form: inner, konst, signed }));
        let mut wide = Linear::leaf(if signed { Leaf::Sext(inner) } else { Leaf::Zext(inner) });
        wide.konst = konst;
        wide.needs = needs;
        Some(wide)
    }

    fn intern(&mut self, form: Linear, ty: Type) -> u32 {
        let i = self.forms.iter().position(|(f, t)| *f == form && *t == ty).unwrap_or_else(|| {
            self.forms.push((form, ty));
            self.forms.len() - 1
        });
        i as u32
    }

    fn need(&mut self, need: Need) -> u32 {
        let i = self.needs.iter().position(|n| *n == need).unwrap_or_else(|| {
            self.needs.push(need);
            self.needs.len() - 1
        });
        i as u32
    }

    // --- guards and accesses -----------------------------------------------------------------------

    /// The guard at this line, if it compares something that grows with something that does not.
    pub fn trip(&self, trace: &Trace, line: usize) -> Option<Trip> {
        let guard = trace.insts.get(line).filter(|i| i.op == Op::Guard)?;
        let def = self.def_in_body(guard.args[0].as_value()?)?;
        let (compare, a, b, ty) = self.comparison(trace, &trace.insts[def])?;
        let (step_a, step_b) = (self.step(&a, ty)?, self.step(&b, ty)?);
        let step = ty.canonical(i128::from(step_a) - i128::from(step_b)) as i64;
        // Both sides growing by themselves would do for `ne` only, and nobody writes such loops.
        if step == 0 || step_a != 0 && step_b != 0 {
            return None;
        }
        Some(Trip { line, left: a, compare, right: b, ty, step })
    }

    fn comparison(&self, trace: &Trace, cond: &Inst) -> Option<(Compare, Linear, Linear, Type)> {
        let (compare, a, b, ty) = match cond.op {
            Op::Ne => (Compare::Ne, cond.args[0], cond.args[1], cond.aty),
            Op::Slt => (Compare::Slt, cond.args[0], cond.args[1], cond.aty),
            Op::Sle => (Compare::Sle, cond.args[0], cond.args[1], cond.aty),
            Op::Ult => (Compare::Ult, cond.args[0], cond.args[1], cond.aty),
            Op::Ule => (Compare::Ule, cond.args[0], cond.args[1], cond.aty),
            Op::Cc => return self.flag_comparison(trace, cond),
            _ => return None,
        };
        if !matches!(ty, Type::I8 | Type::I16 | Type::I32 | Type::I64) {
            return None;
        }
        Some((compare, self.linear_operand(trace, a, ty)?, self.linear_operand(trace, b, ty)?, ty))
    }

    fn flag_comparison(&self, trace: &Trace, cond: &Inst) -> Option<(Compare, Linear, Linear, Type)> {
        let flags = &trace.insts[self.def_in_body(cond.args[0].as_value()?)?];
        let ty = flags.aty;
        let a = self.linear_operand(trace, flags.args[0], ty)?;
        let get = |o| self.linear_operand(trace, o, ty);
        let cond = Cond::from_code(cond.attr);
        let zero = Linear::default();
        match flags.op {
            Op::FlagsSub => {
                let b = get(flags.args[1])?;
                Some(match cond {
                    Cond::Ne => (Compare::Ne, a, b, ty),
                    Cond::L => (Compare::Slt, a, b, ty),
                    Cond::Le => (Compare::Sle, a, b, ty),
                    Cond::B => (Compare::Ult, a, b, ty),
                    Cond::Be => (Compare::Ule, a, b, ty),
                    Cond::G => (Compare::Slt, b, a, ty),
                    Cond::Ge => (Compare::Sle, b, a, ty),
                    Cond::A => (Compare::Ult, b, a, ty),
                    Cond::Ae => (Compare::Ule, b, a, ty),
                    _ => return None,
                })
            }
            // The result is compared with 0.
            Op::FlagsAdd | Op::FlagsInc | Op::FlagsDec | Op::FlagsLogic => {
                let mut sum = a;
                match flags.op {
                    Op::FlagsAdd => sum.add(&get(flags.args[1])?, 1, ty),
                    Op::FlagsInc => sum.add(&Linear::constant(1), 1, ty),
                    Op::FlagsDec => sum.add(&Linear::constant(-1), 1, ty),
                    _ => {}
                }
                Some(match cond {
                    Cond::Ne => (Compare::Ne, sum, zero, ty),
                    Cond::Ns => (Compare::Sle, zero, sum, ty),
                    Cond::S => (Compare::Slt, sum, zero, ty),
                    Cond::G if flags.op == Op::FlagsLogic => (Compare::Slt, zero, sum, ty),
                    Cond::Ge if flags.op == Op::FlagsLogic => (Compare::Sle, zero, sum, ty),
                    _ => return None,
                })
            }
            _ => None,
        }
    }

    /// The load or store at this line, if its address is linear.
    pub fn access(&self, trace: &Trace, line: usize) -> Option<Access> {
        let inst = trace.insts.get(line)?;
        let (store, ty) = match inst.op {
            Op::Load => (false, inst.ty),
            Op::Store => (true, inst.aty),
            _ => return None,
        };
        let addr = self.address(trace, inst)?;
        let step = self.step(&addr, Type::I64)?;
        Some(Access { line, addr, step, size: ty.bytes().into(), store })
    }

    /// The form with each induction replaced by its value at entry, so that forms of different inductions can be
    /// compared.
    pub fn at_entry(&self, trace: &Trace, form: &Linear, ty: Type) -> Linear {
        let mut entry = Linear { konst: form.konst, terms: SmallVec::new(), needs: form.needs.clone() };
        for (leaf, coef) in &form.terms {
            let start = match leaf {
                Leaf::Value(v) => self
                    .param(*v)
                    .and_then(|p| self.linear_operand(trace, trace.insts[self.head + p].args[0], ty)),
                _ => None,
            };
            entry.add(&start.unwrap_or_else(|| Linear::leaf(*leaf)), *coef, ty);
        }
        entry
    }
}
