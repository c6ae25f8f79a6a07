//! What values in vector registers share a register, found by the sweep of `prepare`.
//!
//! *Legacy code* never touches what lies above 128 bits of a register. So it stays where it is: the upper part of a vector slot stays
//! in the slot's home, and only the low 128 bits of its value are allocated, moved and spilled. A value wider than 128 bits
//! is then the register of its low part, and the slot that its upper part belongs to ([`Facts::upper`]); it can be put
//! back into that slot only. (Wide moves would also be slow: one write of more than 128 bits makes the machine carry upper parts along
//! in all legacy instructions from there on, up to six times slower.)
//!
//! *An instruction on the low lane* of a register keeps what lies above in its destination, which starts as a copy of the first
//! source (all 128 bits of it). So
//!
//! - if that is known to be zero, the float zero-extended to 128 bits is in the same register already;
//! - if the float is put into the vector that its first operand is the low lane of, that vector is there too.
//!
//! ```text
//! %3: f64 = load [%1]              movsd xmm0, [rcx]
//! %4: f64 = fmul %3, %2            mulsd xmm0, xmm1
//! %5: v128 = zext %4
//! %6: v512 = insert %0, %5, 0      (%0 is slot zmm0)
//! ```

use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type};

use super::prepare::{Facts, is_general};
use super::vinst::{Kit, Merge};

/// The slot of no value's upper part.
pub const NO_SLOT: u16 = u16::MAX;

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

impl Facts {
    pub(super) fn begin_vectors(&mut self, values: usize) {
        self.sunk.clear();
        self.upper.clear();
        self.upper.resize(values, NO_SLOT);
    }

    fn def_of<'a>(&self, trace: &'a Trace, v: u32) -> Option<&'a Inst> {
        trace.insts.get(self.def[v as usize] as usize)
    }

    /// Notes which slot the upper part of a wide value belongs to.
    pub(super) fn note_upper(&mut self, inst: &Inst) {
        let of = |o: Operand| o.as_value().map_or(NO_SLOT, |v| self.upper[v.index()]);
        self.upper[inst.res.index()] = match inst.op {
            Op::Slot => inst.args[0].as_index().map_or(NO_SLOT, |s| s as u16),
            Op::Pick => inst.args[1].as_index().map_or(NO_SLOT, |s| s as u16),
            Op::Phi | Op::Insert => of(inst.args[0]),
            Op::Select if of(inst.args[1]) == of(inst.args[2]) => of(inst.args[1]),
            _ => NO_SLOT,
        };
    }

    /// Do all loop parameters keep their upper parts?
    pub(super) fn uppers_stay(&self, trace: &Trace) -> bool {
        trace.params().iter().filter(|p| p.ty == Type::V512).all(|p| {
            let next = p.args[1].as_value().map_or(NO_SLOT, |v| self.upper[v.index()]);
            next == self.upper[p.res.index()]
        })
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
                Some(v) => self.clean[v.index()],
                None => trace.literal_bits(inst.args[0], inst.aty).is_some(),
            },
            _ => false,
        }
    }

    /// The value whose register holds a zero-extended one.
    pub(super) fn zext_alias(&self, trace: &Trace, inst: &Inst, kit: Kit) -> Option<usize> {
        let v = inst.args[0].as_value()?.index();
        let def = self.def_of(trace, v as u32)?;
        let own = self.root[v] as usize == v && def.res.index() == v && def.ty == inst.aty;
        let fits = if inst.aty.bits() < 128 {
            // What VEX instructions write is zero above 128 bits.
            self.clean[v] && (inst.ty == Type::V128 || kit.vex)
        } else {
            kit.vex && !matches!(def.op, Op::Phi | Op::Slot | Op::Pick | Op::Call | Op::Select)
        };
        (own && fits).then_some(v)
    }

    /// The value whose register holds a vector that it was put into: that is its first operand's, or only its upper part is another's.
    pub(super) fn insert_alias(&self, trace: &Trace, inst: &Inst, kit: Kit) -> Option<usize> {
        let part = inst.args[1].as_value()?;
        if inst.args[2].as_index() != Some(0) {
            return None;
        }
        let wide = inst.ty != Type::V128;
        if wide && kit.vex {
            return None;
        }
        if inst.aty == Type::V128 {
            return Some(part.index());
        }
        let container = inst.args[0].as_value()?;
        let def = self.def_of(trace, part.0)?;
        let fits = matches!(inst.aty, Type::F32 | Type::F64)
            && self.root[part.index()] == part.0
            && def.res == part
            && keeps_upper(def.op)
            && def.args[0].as_value().is_some_and(|a| self.root[a.index()] == self.root[container.index()]);
        fits.then_some(part.index())
    }

    /// Finds the `insert`s into vectors of slots that only exits use: they make them.
    pub(super) fn sink_inserts(&mut self, trace: &Trace, kit: Kit) {
        for inst in &trace.insts {
            if inst.op != Op::Insert {
                continue;
            }
            let z = inst.res.index();
            // In legacy code a slot's value is its low part.
            if (inst.ty == Type::V512 || inst.ty == Type::V128 && !kit.vex)
                && part_kind(inst).is_some()
                && self.root[z] as usize == z
                && self.uses[z] == 0
            {
                self.sunk.insert(z as u32);
            }
        }
    }
}
