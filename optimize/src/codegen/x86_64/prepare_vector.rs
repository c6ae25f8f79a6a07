//! What values in vector registers share a register, found by the sweep of `prepare`.
//!
//! An instruction on the low lane of a register keeps what lies above in its destination, which starts as a copy of the first
//! source (all 128 bits of it). So
//!
//! - if that is known to be zero, the float zero-extended to 128 bits is in the same register already;
//! - if the float is put into the vector that its first operand is the low lane of, that vector is there too.
//!
//! Then an instruction (in the legacy encoding) whose result is put into the low part of a wider slot is made in the register of the slot's
//! old value ([`Merged`]): nothing is left to do for the `insert`. So are the instructions that lead up to it: in
//!
//! ```text
//! %3: f64 = load [%1]
//! %4: f64 = fmul %3, %2
//! %5: v128 = zext %4
//! %6: v512 = insert %0, %5, 0
//! ```
//!
//! all of `%3` to `%6` are in the register of `%0`, by `movsd` and `mulsd`.

use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type};

use super::prepare::{Facts, Merged, is_general, is_vector};
use super::vinst::{Kit, Merge};

/// How much an `insert` replaces, if that is a low part that exits can replace too.
pub(super) fn part_kind(inst: &Inst) -> Option<Merge> {
    let kind = match inst.aty {
        Type::F32 => Merge::F32,
        Type::F64 => Merge::F64,
        Type::V128 => Merge::V128,
        _ => return None,
    };
    (inst.args[2].as_index() == Some(0)).then_some(kind)
}

/// Scalar float operations of one instruction that keeps what lies above in its first source.
fn keeps_upper(op: Op) -> bool {
    matches!(
        op,
        Op::Fadd | Op::Fsub | Op::Fmul | Op::Fdiv | Op::FminSse | Op::FmaxSse | Op::Fsqrt | Op::Fround
    )
}

/// Operations of whole vectors whose last instruction keeps what lies above 128 bits.
fn is_mergeable_vector(def: &Inst) -> bool {
    match def.op {
        Op::And | Op::Or | Op::Xor | Op::Andn | Op::Not | Op::Load => true,
        Op::Zext => def.aty != Type::I128,
        // An integer's insertion is no vector instruction of two sources.
        Op::Insert => matches!(def.aty, Type::F32 | Type::F64),
        op => op.name().starts_with("v."),
    }
}

impl Facts {
    pub(super) fn begin_merging(&mut self, values: usize) {
        self.merged.clear();
        self.inserts.clear();
        self.sunk.clear();
        self.upper_used.clear();
        self.upper_used.resize(values, false);
        self.last_use.clear();
        self.last_use.resize(values, 0);
    }

    /// The root, of merged values too.
    pub(super) fn rooted(&self, v: u32) -> u32 {
        self.root[self.root[v as usize] as usize]
    }

    fn def_of<'a>(&self, trace: &'a Trace, v: u32) -> Option<&'a Inst> {
        trace.insts.get(self.def[v as usize] as usize)
    }

    /// Is what lies above the value, up to 128 bits, zero in its register?
    pub(super) fn is_clean_vector(&self, trace: &Trace, inst: &Inst) -> bool {
        if !matches!(inst.ty, Type::F32 | Type::F64) {
            return false;
        }
        match inst.op {
            Op::Load | Op::Sitof => true,
            Op::Bitcast => is_general(inst.aty),
            op if keeps_upper(op) => match inst.args[0].as_value() {
                Some(v) => self.clean[v.index()] && self.rooted(v.0) == v.0,
                None => trace.literal_bits(inst.args[0], inst.aty).is_some(),
            },
            _ => false,
        }
    }

    /// Notes that what lies above a float is relied on; false if that is no longer so.
    fn rely_on_upper(&mut self, trace: &Trace, v: u32) -> bool {
        let mut at = v;
        loop {
            if self.rooted(at) != at {
                return false;
            }
            if self.upper_used[at as usize] {
                return true;
            }
            let Some(def) = self.def_of(trace, at) else { return false };
            match def.args[0].as_value() {
                Some(first) if keeps_upper(def.op) => at = first.0,
                _ => break,
            }
        }
        at = v;
        while !self.upper_used[at as usize] {
            self.upper_used[at as usize] = true;
            match self.def_of(trace, at) {
                Some(def) if keeps_upper(def.op) => match def.args[0].as_value() {
                    Some(first) => at = first.0,
                    None => break,
                },
                _ => break,
            }
        }
        true
    }

    /// The value whose register holds a zero-extended one.
    pub(super) fn zext_alias(&mut self, trace: &Trace, inst: &Inst, kit: Kit) -> Option<usize> {
        let v = inst.args[0].as_value()?.index();
        if self.rooted(v as u32) as usize != v {
            return None;
        }
        let def = *self.def_of(trace, v as u32)?;
        let own = def.res.index() == v && def.ty == inst.aty;
        if inst.ty == Type::V128 || kit.vex && inst.aty.bits() < 128 {
            let fits = own && inst.aty.bits() < 128 && self.clean[v];
            // What VEX instructions write is zero above 128 bits.
            return (fits && self.rely_on_upper(trace, v as u32)).then_some(v);
        }
        let other = matches!(def.op, Op::Phi | Op::Slot | Op::Pick | Op::Call | Op::Select);
        (kit.vex && inst.aty.bits() >= 128 && own && !other).then_some(v)
    }

    /// The float whose register holds a vector that it was put into: that of its first operand.
    pub(super) fn insert_alias(&mut self, trace: &Trace, inst: &Inst) -> Option<usize> {
        let low = inst.ty == Type::V128 && inst.args[2].as_index() == Some(0);
        let (container, part) = (inst.args[0].as_value()?, inst.args[1].as_value()?);
        let def = *self.def_of(trace, part.0)?;
        let fits = low
            && matches!(inst.aty, Type::F32 | Type::F64)
            && self.rooted(part.0) == part.0
            && def.res == part
            && keeps_upper(def.op)
            && def.args[0].as_value().is_some_and(|a| self.rooted(a.0) == self.rooted(container.0));
        if !fits {
            return None;
        }
        self.upper_used[part.index()] = true;
        Some(part.index())
    }

    /// Decides what becomes of each `insert` into a vector wider than 128 bits: its part is made in the container's register, if the
    /// part's last instruction can and nothing else needs the container any more; if only exits use the result, they make it.
    pub(super) fn merge(&mut self, trace: &Trace, kit: Kit) {
        let mut any = false;
        for (line, inst) in trace.insts.iter().enumerate() {
            if inst.op != Op::Insert || !matches!(inst.ty, Type::V256 | Type::V512) {
                continue;
            }
            let z = inst.res.0;
            let Some(kind) = part_kind(inst) else { continue };
            let in_place = if kit.vex { None } else { self.can_merge(trace, inst, line as u32, kind) };
            match in_place {
                Some((r, base)) => {
                    any = true;
                    self.merged.insert(r, Merged { base, kind });
                    self.inserts.insert(z);
                    self.root[r as usize] = z;
                    let others = self.uses[r as usize].saturating_sub(1);
                    self.uses[z as usize] = self.uses[z as usize].saturating_add(others);
                }
                None if self.uses[z as usize] == 0 && inst.ty == Type::V512 => {
                    self.sunk.insert(z);
                }
                None => {}
            }
        }
        if any {
            for v in 0..self.root.len() {
                self.root[v] = self.root[self.root[v] as usize];
            }
        }
    }

    /// The part and the container of an `insert` whose part is to be made in the container's register.
    fn can_merge(&self, trace: &Trace, inst: &Inst, line: u32, kind: Merge) -> Option<(u32, u32)> {
        let (base, part) = (inst.args[0].as_value()?, inst.args[1].as_value()?);
        let (base, r) = (self.rooted(base.0), self.root[part.index()]);
        let def = self.def_of(trace, r)?;
        if kind != Merge::V128 && self.upper_used[r as usize] {
            return None;
        }
        let fits = match def.ty {
            Type::V128 => is_mergeable_vector(def),
            Type::F32 | Type::F64 if kind == Merge::V128 => keeps_upper(def.op),
            Type::F32 | Type::F64 => {
                keeps_upper(def.op) || matches!(def.op, Op::Fext | Op::Fnarrow | Op::Sitof)
            }
            _ => false,
        };
        let uses_base = |o: &Operand| o.as_value().is_some_and(|v| self.rooted(v.0) == base);
        let fits = fits
            && (def.op != Op::VBlend || uses_base(&def.args[2]))
            && (def.ty == inst.aty || kind == Merge::V128);
        let d = self.def[r as usize];
        let same = self.root[r as usize] == r && def.res.0 == r;
        let body = trace.loop_at.unwrap_or(0);
        let one_section = (d >= body) == (line >= body);
        let quiet = self.def[base as usize] < d && self.last_use[base as usize] <= d;
        if !fits || !same || !one_section || !quiet {
            return None;
        }
        // A copy of the container would be needed if it lives on.
        let own = 1 + def.args.iter().filter(|o| uses_base(o)).count();
        let lives = usize::from(self.uses[base as usize]) > own;
        let only_exits = self.uses[inst.res.index()] == 0;
        let outside = self.def[base as usize] < body && line >= body;
        (!(only_exits && (lives || outside))).then_some((r, base))
    }

    /// What leads up to a merged operation and is used for nothing else is made in the same register.
    pub(super) fn end_merging(&mut self, trace: &Trace) {
        let mut ends: Vec<(u32, Merged)> = self.merged.iter().map(|(r, m)| (*r, *m)).collect();
        ends.sort_unstable_by_key(|(r, _)| *r);
        for (end, merged) in ends {
            self.lead_up(trace, end, merged);
        }
    }

    fn lead_up(&mut self, trace: &Trace, end: u32, merged: Merged) {
        let Merged { base, kind } = merged;
        let body = trace.loop_at.unwrap_or(0);
        let mut chain = Vec::new();
        let mut at = end;
        let mut starts_at_base = false;
        while let Some(def) = self.def_of(trace, at) {
            let Some(a) = first_source(def) else { break };
            let a = self.root[a as usize];
            if a == base {
                starts_at_base = true;
                break;
            }
            let Some(first) = self.def_of(trace, a) else { break };
            let fits = match (kind, first.ty) {
                (Merge::V128, Type::V128) => is_mergeable_vector(first) && first.op != Op::VBlend,
                (Merge::V128, Type::F32 | Type::F64) => keeps_upper(first.op) || first.op == Op::Load,
                (Merge::F64, Type::F64) | (Merge::F32, Type::F32) => keeps_upper(first.op),
                _ => false,
            };
            // Of a vector, a float operation's first operand may be the low lane: then the whole of it is there.
            let d = self.def[a as usize];
            let own = first.res.0 == a
                && self.uses[a as usize] == 1
                && !self.in_exit[a as usize]
                && !self.merged.contains_key(&a);
            let section = (d >= body) == (self.def[at as usize] >= body);
            if !fits || !own || !section || d <= self.def[base as usize] {
                break;
            }
            chain.push(a);
            at = a;
        }
        let uses = 1 + u16::from(starts_at_base);
        if chain.is_empty() || self.uses[base as usize] != uses {
            return;
        }
        let mut last = end;
        for a in chain {
            self.merged.insert(last, Merged { base: a, kind });
            self.merged.insert(a, Merged { base, kind });
            last = a;
        }
    }
}

/// The operand that the instruction's destination starts from.
fn first_source(def: &Inst) -> Option<u32> {
    let value = |o: Operand| o.as_value().map(|v| v.0);
    match def.op {
        op if keeps_upper(op) && !matches!(op, Op::Fsqrt | Op::Fround) => value(def.args[0]),
        Op::And | Op::Or | Op::Xor => value(def.args[0]),
        Op::VAdd
        | Op::VSub
        | Op::VFadd
        | Op::VFsub
        | Op::VFmul
        | Op::VFdiv
        | Op::VFminSse
        | Op::VFmaxSse
        | Op::VUmulw
        | Op::VMadd => value(def.args[0]),
        _ => None,
    }
    .filter(|_| is_vector(def.ty))
}
