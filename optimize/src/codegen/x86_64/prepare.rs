//! One forward sweep over the trace before selection: which values are the same register, where each is defined, how often
//! it is used, and past which lines nothing that reads memory may move.
//!
//! A value whose bits another value's register already holds is an *alias* of it (`trunc`; `zext` of what is zero above
//! anyway; a `bitcast` within one class; the low part of a vector), and only its *root* becomes a virtual register. What lies
//! above a value's type in its register is undefined, except that `i1` is 0 or 1 in all 64 bits and that values
//! which are [`Facts::clean`] are zero-extended to 64 bits.

use ir::op::Op;
use ir::snapshot::Target;
use ir::trace::{End, Inst, Trace};
use ir::types::{Operand, Type};
use rustc_hash::FxHashSet;

use super::vinst::Kit;
use crate::pass::faults_are_final;
use crate::regalloc::NONE;

/// What the sweep finds.
#[derive(Debug, Default)]
pub struct Facts {
    /// Root of each value.
    pub root: Vec<u32>,
    /// The line that defines each value ([`NONE`]: none).
    pub def: Vec<u32>,
    /// Uses of each root by lines (not exits).
    pub uses: Vec<u16>,
    /// Those of them that are bases or indices of addresses.
    pub addr_uses: Vec<u16>,
    /// Does an exit name it?
    pub in_exit: Vec<bool>,
    /// Is the register zero above the value's type?
    pub clean: Vec<bool>,
    /// The last line before this one past which no load may move down, plus one; 0: none.
    pub barrier: Vec<u32>,
    /// The last `at` line at or before this one, plus one.
    pub at: Vec<u32>,
    /// `insert`s whose results only exits use, which make them.
    pub sunk: FxHashSet<u32>,
    /// Of values wider than 128 bits in legacy code, the slot in whose home the upper part stays.
    pub upper: Vec<u16>,
    /// Do faults need the exact state?
    pub exact: bool,
    /// The first line that may change the flags.
    pub first_clobber: u32,
}

/// General values: what fits a general register.
pub fn is_general(ty: Type) -> bool {
    matches!(ty, Type::I1 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Flags)
}

/// Vector values: what lives in vector registers.
pub fn is_vector(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V128 | Type::V256 | Type::V512)
}

impl Facts {
    /// Sweeps.
    pub fn find(&mut self, trace: &Trace, kit: Kit) {
        let n = trace.value_count();
        self.begin_vectors(n);
        self.root.clear();
        self.root.extend(0..n as u32);
        self.def.clear();
        self.def.resize(n, NONE);
        for counts in [&mut self.uses, &mut self.addr_uses] {
            counts.clear();
            counts.resize(n, 0);
        }
        for flags in [&mut self.in_exit, &mut self.clean] {
            flags.clear();
            flags.resize(n, false);
        }
        self.barrier.clear();
        self.at.clear();
        self.exact = !faults_are_final(trace);
        self.first_clobber = NONE;
        let alone = trace.facts.iter().any(|f| f.name == "SingleThreaded");
        let (mut barrier, mut at) = (0, 0);
        for (i, inst) in trace.insts.iter().enumerate() {
            self.barrier.push(barrier);
            let here = i as u32 + 1;
            if Some(i as u32) == trace.loop_at {
                barrier = here;
            }
            match inst.op {
                Op::At => {
                    at = here;
                    if self.exact {
                        barrier = here;
                    }
                }
                Op::Load if alone => {}
                Op::Load
                | Op::Store
                | Op::Guard
                | Op::Call
                | Op::Native
                | Op::Fence
                | Op::AtomicAdd
                | Op::AtomicAnd
                | Op::AtomicOr
                | Op::AtomicXor
                | Op::AtomicSwap
                | Op::AtomicCas => barrier = here,
                _ => {}
            }
            self.at.push(at);
            let harmless = match inst.op {
                Op::At | Op::Slot | Op::Phi | Op::Load | Op::Zext | Op::Trunc | Op::Sext => {
                    inst.ty != Type::I1
                }
                // By `lea`.
                Op::Add | Op::Sub => {
                    let by = inst.args[1].as_small();
                    matches!(inst.ty, Type::I32 | Type::I64) && by.is_some() && !inst.args[0].is_literal()
                }
                // Unless it computes in memory.
                Op::Store => !self.is_sum_of_load(trace, inst.args[3]),
                _ => false,
            };
            if !harmless && self.first_clobber == NONE {
                self.first_clobber = i as u32;
            }
            if inst.has_result() {
                self.def[inst.res.index()] = i as u32;
            }
            if inst.ty == Type::V512 && inst.has_result() {
                self.note_upper(inst);
            }
            if let Some(of) = self.alias(trace, inst, kit) {
                let v = inst.res.index();
                self.root[v] = self.root[of];
                self.clean[v] = match inst.op {
                    Op::Zext => true,
                    Op::Trunc | Op::Extract | Op::Insert if is_vector(inst.ty) => false,
                    _ => matches!(inst.ty, Type::I64 | Type::Flags),
                };
                continue;
            }
            self.count(trace, inst);
            if inst.has_result() {
                self.clean[inst.res.index()] = self.is_clean(trace, inst);
            }
        }
        self.barrier.push(barrier);
        if trace.end == End::Loop {
            // What flows round is used by the back edge.
            for p in trace.params() {
                if let Some(v) = p.args[1].as_value() {
                    let r = self.root[v.index()] as usize;
                    self.uses[r] = self.uses[r].saturating_add(1);
                }
            }
        }
        self.sink_inserts(trace, kit);
        for exit in &trace.exits {
            if let Target::Value(v) = exit.target {
                self.name(v);
            }
            for bind in trace.binds(exit) {
                match trace.recipe(bind.value) {
                    Some(recipe) => {
                        let recipe = *recipe;
                        trace.for_each_operand(&recipe, |o, _| self.name(o));
                    }
                    None => self.name(bind.value),
                }
            }
        }
    }

    /// A sum with what was loaded, which may be done in memory.
    fn is_sum_of_load(&self, trace: &Trace, o: Operand) -> bool {
        let def = |o: Operand| o.as_value().and_then(|v| trace.insts.get(self.def[v.index()] as usize));
        def(o).is_some_and(|inst| {
            let loaded = |o: &Operand| def(*o).is_some_and(|inst| inst.op == Op::Load);
            matches!(inst.op, Op::Add | Op::Sub) && inst.args[..2].iter().any(loaded)
        })
    }

    fn name(&mut self, o: Operand) {
        if let Some(v) = o.as_value() {
            self.in_exit[self.root[v.index()] as usize] = true;
        }
    }

    fn count(&mut self, trace: &Trace, inst: &Inst) {
        if inst.op == Op::Phi {
            if let Some(v) = inst.args[0].as_value() {
                let r = self.root[v.index()] as usize;
                self.uses[r] = self.uses[r].saturating_add(1);
            }
            return;
        }
        let memory = matches!(inst.op, Op::Load | Op::Store) as usize;
        trace.for_each_operand(inst, |o, _| {
            if let Some(v) = o.as_value() {
                let r = self.root[v.index()] as usize;
                self.uses[r] = self.uses[r].saturating_add(1);
            }
        });
        if memory == 1 {
            for o in &inst.args[..2] {
                if let Some(v) = o.as_value() {
                    let r = self.root[v.index()] as usize;
                    self.addr_uses[r] = self.addr_uses[r].saturating_add(1);
                }
            }
        }
    }

    /// The value whose register holds this result too.
    fn alias(&self, trace: &Trace, inst: &Inst, kit: Kit) -> Option<usize> {
        let v = inst.args[0].as_value()?.index();
        let vectors = is_vector(inst.aty) && is_vector(inst.ty);
        let fits = match inst.op {
            Op::Trunc | Op::Bitcast if vectors => true,
            Op::Extract if vectors => inst.args[1].as_index() == Some(0),
            Op::Zext if vectors => return self.zext_alias(trace, inst, kit),
            Op::Insert if is_vector(inst.ty) => return self.insert_alias(trace, inst, kit),
            Op::Trunc => is_general(inst.aty) && is_general(inst.ty) && inst.ty != Type::I1,
            Op::Zext => is_general(inst.aty) && is_general(inst.ty) && self.clean[v],
            Op::Bitcast => is_general(inst.aty) && is_general(inst.ty),
            Op::Extract => {
                is_general(inst.aty)
                    && is_general(inst.ty)
                    && inst.args[1].as_index() == Some(0)
                    && inst.ty != Type::I1
            }
            _ => false,
        };
        fits.then_some(v)
    }

    /// Will the instructions that make this value leave zeros above it?
    fn is_clean(&self, trace: &Trace, inst: &Inst) -> bool {
        let clean = |o: Operand| match o.as_value() {
            Some(v) => self.clean[v.index()],
            None => trace.literal_int(o).is_some_and(|i| i >= 0),
        };
        match inst.ty {
            Type::I1 | Type::I64 | Type::Flags => true,
            Type::I32 => match inst.op {
                Op::Phi | Op::Pick | Op::Slot | Op::Call | Op::AtomicCas => false,
                Op::Extract => inst.args[1].as_index() == Some(inst.aty.bits() as usize - 32),
                // A move of 8 or 16 bits into the low end leaves what is above them.
                Op::Insert => clean(inst.args[0]) || inst.args[2].as_index() != Some(0),
                _ => true,
            },
            Type::I8 | Type::I16 => match inst.op {
                Op::Load | Op::Zext | Op::Popcnt | Op::Clz | Op::Ctz => true,
                Op::And => clean(inst.args[0]) || clean(inst.args[1]),
                Op::Or | Op::Xor => clean(inst.args[0]) && clean(inst.args[1]),
                _ => false,
            },
            _ => self.is_clean_vector(trace, inst),
        }
    }
}
