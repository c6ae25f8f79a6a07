//! Values of several iterations side by side. Lane i of a vector is the value in iteration i of the round.
//!
//! Elements are scalars, or 128-bit vectors themselves. What needs less than 128 bits in all stands in the low part of a `v128`.

use super::{Part, Reduction, Refusal, State, Vectorizer};
use crate::passes::loop_info::Access;
use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Operand, Type, Value, Wide, ZERO};

impl Vectorizer<'_> {
    /// The type of a vector of elements of this type.
    fn vector_type(&self, element: Type) -> Result<Type, Refusal> {
        match element.bits() * self.lanes {
            256 => Ok(Type::V256),
            16..=128 => Ok(Type::V128),
            _ => Err(Refusal::Operation(Op::Phi, element)),
        }
    }

    /// The vector of an operand's values, at its type `ty`.
    pub(super) fn vector(&mut self, o: Operand, ty: Type) -> Result<Operand, Refusal> {
        let wide = self.vector_type(ty)?;
        let Some(v) = o.as_value() else { return Ok(self.literal_vector(o, ty, wide)) };
        match self.vectors[v.index()] {
            State::Done(vector) => return Ok(vector),
            State::Building => return Err(Refusal::Recurrence(v)),
            State::Unseen => self.vectors[v.index()] = State::Building,
        }
        let vector = if self.info.is_invariant(o) {
            self.scalar(o)?;
            self.splat(o, ty, wide)
        } else if let Some(param) = self.info.param(v) {
            self.param_vector(param, ty, wide)?
        } else {
            let line = self.info.def_in_body(v).ok_or(Refusal::Recurrence(v))?;
            let inst = self.s.insts[line];
            let counts = ty.is_int() && self.linear_step(o, ty).is_some();
            match inst.op {
                Op::Load => self.vector_load(line)?,
                _ if counts => self.induction_vector(o, ty, wide)?,
                _ => self.vector_op(&inst, wide)?,
            }
        };
        self.vectors[v.index()] = State::Done(vector);
        Ok(vector)
    }

    fn linear_step(&self, o: Operand, ty: Type) -> Option<i64> {
        let form = self.info.linear_operand(self.s, o, ty)?;
        self.info.step(&form, ty)
    }

    /// These bits in every lane.
    fn literal_vector(&mut self, o: Operand, ty: Type, wide: Type) -> Operand {
        let bits = self.s.literal_bits(o, ty).unwrap_or(ZERO);
        self.lane_literal(ty, wide, |_| [bits[0], bits[1]])
    }

    /// A literal, lane by lane.
    fn lane_literal(&mut self, ty: Type, wide: Type, lane: impl Fn(u32) -> [u64; 2]) -> Operand {
        let mut all: Wide = ZERO;
        let bits = ty.bits();
        for i in 0..self.lanes {
            let [low, high] = lane(i);
            let at = (i * bits) as usize;
            if bits == 128 {
                (all[at / 64], all[at / 64 + 1]) = (low, high);
            } else {
                all[at / 64] |= (low & ty.mask64()) << (at % 64);
            }
        }
        self.t.wide_literal(wide, &all)
    }

    fn splat(&mut self, o: Operand, ty: Type, wide: Type) -> Operand {
        if ty == Type::V128 {
            let low = self.op(Part::Setup, Op::Zext, ty, wide, &[o]);
            return self.op(Part::Setup, Op::Insert, ty, wide, &[low, o, Operand::index(128)]);
        }
        self.op(Part::Setup, Op::VSplat, ty, wide, &[o])
    }

    /// Lane i is `o + i*step`.
    fn induction_vector(&mut self, o: Operand, ty: Type, wide: Type) -> Result<Operand, Refusal> {
        let refused = Refusal::Operation(Op::Phi, ty);
        let form = self.info.linear_operand(self.s, o, ty).ok_or(refused)?;
        let step = self.info.step(&form, ty).ok_or(refused)?;
        self.needs.extend(&form.needs);
        self.scalar(o)?;
        let first = self.op(Part::Body, Op::VSplat, ty, wide, &[o]);
        let steps = self.lane_literal(ty, wide, |i| [step.wrapping_mul(i.into()) as u64, 0]);
        Ok(self.op(Part::Body, Op::VAdd, ty, wide, &[first, steps]))
    }

    /// A parameter: an induction, or the value that the iteration before had.
    fn param_vector(&mut self, param: usize, ty: Type, wide: Type) -> Result<Operand, Refusal> {
        let phi = self.s.insts[self.info.head + param];
        if self.info.param_step(param).is_some() {
            return self.induction_vector(Operand::value(phi.res), ty, wide);
        }
        if !matches!(ty.bits(), 8 | 16 | 32 | 64 | 128) || ty.bits() * self.lanes < 128 {
            return Err(Refusal::Recurrence(phi.res));
        }
        let next = self.vector(phi.args[1], ty)?;
        // The last lane of the round before, then all but the last of this one.
        let zero = self.t.wide_literal(wide, &ZERO);
        let at = Operand::index((self.lanes - 1) * ty.bits());
        let entry = self.op(Part::Setup, Op::Insert, ty, wide, &[zero, phi.args[0], at]);
        let before = self.t.new_value(wide);
        let mut carried = Inst::new(Op::Phi, Type::Void, wide, 0, &[entry, next]);
        carried.res = before;
        self.params.push(carried);
        let lane = if ty == Type::V128 || ty == Type::F64 {
            Type::I64
        } else {
            Type::int(ty.bits()).unwrap_or(Type::I64)
        };
        let (count, per) = (wide.bits() / lane.bits(), ty.bits() / lane.bits());
        let index: Vec<u8> = (0..count).map(|i| (count - per + i) as u8).collect();
        Ok(self.shuffle(Part::Body, lane, wide, Operand::value(before), next, &index))
    }

    pub(super) fn shuffle(
        &mut self,
        part: Part,
        lane: Type,
        ty: Type,
        a: Operand,
        b: Operand,
        index: &[u8],
    ) -> Operand {
        let mut bits = ZERO;
        for (i, x) in index.iter().enumerate() {
            bits[i / 8] |= u64::from(*x) << (i % 8 * 8);
        }
        let index = self.t.wide_literal(Type::V512, &bits);
        self.op(part, Op::VShuffle, lane, ty, &[a, b, index])
    }

    // --- memory --------------------------------------------------------------------------------------

    /// How a vector of `bytes` in all is loaded and stored: as itself, or as an integer.
    fn memory_type(&self, size: i64) -> Option<Type> {
        match size * i64::from(self.lanes) {
            32 => Some(Type::V256),
            16 => Some(Type::V128),
            8 => Some(Type::I64),
            4 => Some(Type::I32),
            2 => Some(Type::I16),
            _ => None,
        }
    }

    fn vector_load(&mut self, line: usize) -> Result<Operand, Refusal> {
        let mut inst = self.s.insts[line];
        let access = self.accesses.iter().find(|a| a.line == line).cloned().ok_or(Refusal::Address(line))?;
        self.scalar(inst.args[0])?;
        self.scalar(inst.args[1])?;
        let result = if access.step == access.size {
            let wide = self.vector_type(inst.ty)?;
            inst.ty = self.memory_type(access.size).ok_or(Refusal::Address(line))?;
            let loaded = self.emit(Part::Body, inst);
            if inst.ty == wide { loaded } else { self.op(Part::Body, Op::Zext, inst.ty, wide, &[loaded]) }
        } else {
            return Err(Refusal::Address(line));
        };
        self.remember(access);
        Ok(result)
    }

    pub(super) fn vector_store(&mut self, access: &Access, value: Operand) -> Result<(), Refusal> {
        let mut inst = self.s.insts[access.line];
        self.scalar(inst.args[0])?;
        self.scalar(inst.args[1])?;
        let element = inst.aty;
        if access.step == access.size {
            let wide = self.vector_type(element)?;
            inst.aty = self.memory_type(access.size).ok_or(Refusal::Address(access.line))?;
            inst.args[3] = value;
            if inst.aty != wide {
                inst.args[3] = self.op(Part::Body, Op::Extract, wide, inst.aty, &[value, Operand::index(0)]);
            }
            self.body.push(inst);
        } else {
            return Err(Refusal::Address(access.line));
        }
        self.remember(access.clone());
        Ok(())
    }

    // --- operations ----------------------------------------------------------------------------------

    fn vector_op(&mut self, inst: &Inst, wide: Type) -> Result<Operand, Refusal> {
        let refused = Refusal::Operation(inst.op, inst.ty);
        if inst.ty == Type::V128 {
            return self.widen(inst, wide);
        }
        let [a, b, ..] = inst.args;
        let lane = inst.ty;
        let op = match inst.op {
            Op::Fadd => Op::VFadd,
            Op::Fsub => Op::VFsub,
            Op::Fmul => Op::VFmul,
            Op::Fdiv => Op::VFdiv,
            Op::Fsqrt => Op::VFsqrt,
            Op::FminSse => Op::VFminSse,
            Op::FmaxSse => Op::VFmaxSse,
            Op::Add => Op::VAdd,
            Op::Sub => Op::VSub,
            Op::Mul if lane != Type::I8 => Op::VMul,
            Op::And | Op::Or | Op::Xor | Op::Andn | Op::Not if lane != Type::I1 => inst.op,
            Op::Bitcast if inst.aty.bits() == lane.bits() => return self.vector(a, inst.aty),
            Op::Neg | Op::Fneg | Op::Fabs => {
                let x = self.vector(a, lane)?;
                let sign = 1u64 << (lane.bits() - 1);
                let (op, aty, mask) = match inst.op {
                    Op::Neg => (Op::VSub, lane, 0),
                    Op::Fneg => (Op::Xor, wide, sign),
                    _ => (Op::And, wide, !sign),
                };
                let mask = self.lane_literal(lane, wide, |_| [mask, 0]);
                let operands = if op == Op::VSub { [mask, x] } else { [x, mask] };
                return Ok(self.op(Part::Body, op, aty, wide, &operands));
            }
            Op::Shl | Op::Shr | Op::Sar if self.info.is_invariant(b) => {
                let x = self.vector(a, lane)?;
                self.scalar(b)?;
                let amount = match self.s.literal_bits(b, lane) {
                    Some(bits) => self.int(bits[0] as i64),
                    None if lane == Type::I64 => b,
                    None => self.op(Part::Setup, Op::Zext, lane, Type::I64, &[b]),
                };
                let op = match inst.op {
                    Op::Shl => Op::VShl,
                    Op::Shr => Op::VShr,
                    _ => Op::VSar,
                };
                return Ok(self.op(Part::Body, op, lane, wide, &[x, amount]));
            }
            _ => return Err(refused),
        };
        let mut operands = [Operand::NONE; 4];
        for (place, o) in operands.iter_mut().zip(inst.args).filter(|(_, o)| !o.is_none()) {
            *place = self.vector(o, lane)?;
        }
        let aty = if matches!(op, Op::And | Op::Or | Op::Xor | Op::Andn | Op::Not) { wide } else { lane };
        Ok(self.op(Part::Body, op, aty, wide, &operands))
    }

    /// An operation on 128-bit vectors, on two of them at once.
    fn widen(&mut self, inst: &Inst, wide: Type) -> Result<Operand, Refusal> {
        let refused = Refusal::Operation(inst.op, inst.ty);
        let mut wider = *inst;
        wider.ty = wide;
        match inst.op {
            Op::And | Op::Or | Op::Xor | Op::Andn | Op::Not => wider.aty = wide,
            Op::Bitcast if inst.aty == Type::V128 => return self.vector(inst.args[0], Type::V128),
            Op::VShl | Op::VShr | Op::VSar => {
                if !self.info.is_invariant(inst.args[1]) {
                    return Err(refused);
                }
                self.scalar(inst.args[1])?;
                wider.args[0] = self.vector(inst.args[0], Type::V128)?;
                return Ok(self.emit(Part::Body, wider));
            }
            Op::VShuffle => {
                let (a, b) = (self.vector(inst.args[0], Type::V128)?, self.vector(inst.args[1], Type::V128)?);
                let n = (128 / inst.aty.bits()) as u8;
                let bits = self.s.literal_bits(inst.args[2], Type::V512).ok_or(refused)?;
                let index: Vec<u8> = (0..2 * n)
                    .map(|i| {
                        let (half, i) = (i / n, usize::from(i % n));
                        let from = (bits[i / 8] >> (i % 8 * 8)) as u8;
                        if from < n { half * n + from } else { 2 * n + half * n + (from - n) }
                    })
                    .collect();
                return Ok(self.shuffle(Part::Body, inst.aty, wide, a, b, &index));
            }
            // These take the low half's lanes to the whole, or the other way round: halves would mix.
            Op::VSitod | Op::VFext | Op::VFnarrow => return Err(refused),
            Op::VFtosi | Op::VFtosiNear if inst.aty == Type::F64 => return Err(refused),
            Op::VSplat => return Err(refused),
            op if op >= Op::VLookup && op != Op::VSigns => {}
            _ => return Err(refused),
        }
        let mut operands = smallvec::SmallVec::<[Operand; 4]>::new();
        for o in inst.args.iter().filter(|o| !o.is_none()) {
            operands.push(self.vector(*o, Type::V128)?);
        }
        for (place, o) in wider.args.iter_mut().zip(operands) {
            *place = o;
        }
        Ok(self.emit(Part::Body, wider))
    }

    // --- reductions ----------------------------------------------------------------------------------

    /// Finds parameters that only collect: `next = op(param, x)`, nothing else using the parameter, and nobody the result.
    pub(super) fn find_reductions(&mut self) -> Result<(), Refusal> {
        // What only exits use is made from the collected sum.
        let mut uses = vec![0u32; self.s.value_count()];
        let (params, body) = self.s.insts[self.info.head..].split_at(self.info.body - self.info.head);
        for v in params.iter().filter_map(|p| p.args[1].as_value()) {
            uses[v.index()] += 1;
        }
        for inst in body.iter().rev() {
            if !inst.op.is_pure() || uses[inst.res.index()] > 0 {
                self.s.for_each_operand(inst, |o, _| {
                    if let Some(v) = o.as_value() {
                        uses[v.index()] += 1;
                    }
                });
            }
        }
        for param in 0..self.info.body - self.info.head {
            let phi = self.s.insts[self.info.head + param];
            if self.info.param_step(param).is_some() || uses[phi.res.index()] == 0 {
                continue;
            }
            let Some(sum) = phi.args[1].as_value() else { continue };
            let Some(line) = self.info.def_in_body(sum) else { continue };
            let inst = self.s.insts[line];
            let op = match inst.op {
                Op::Add | Op::And | Op::Or | Op::Xor if inst.ty.is_int() && inst.ty.bits() <= 64 => inst.op,
                Op::VAdd | Op::And | Op::Or | Op::Xor if inst.ty == Type::V128 => inst.op,
                Op::VUmin | Op::VUmax | Op::VSmin | Op::VSmax if inst.ty == Type::V128 => inst.op,
                _ => continue,
            };
            let me = Operand::value(phi.res);
            let other = match inst.args {
                [a, b, ..] if a == me && b != me => b,
                [a, b, ..] if b == me && a != me => a,
                _ => continue,
            };
            if uses[phi.res.index()] != 1 || uses[sum.index()] != 1 || self.info.is_invariant(other) {
                continue;
            }
            let wide = self.vector_type(inst.ty)?;
            let acc = self.t.new_value(wide);
            self.reductions.push(Reduction { param, op, ty: inst.aty, other, sum, acc });
            // Whoever else wants them asks for what no vector holds.
            self.vectors[phi.res.index()] = State::Building;
            self.vectors[sum.index()] = State::Building;
        }
        Ok(())
    }

    pub(super) fn build_reduction(&mut self, i: usize) -> Result<(), Refusal> {
        let r = self.reductions[i];
        let phi = self.s.insts[self.info.head + r.param];
        let element = phi.ty;
        let wide = self.vector_type(element)?;
        let other = self.vector(r.other, element)?;
        // The entry value stands in lane 0; the other lanes begin with what changes nothing.
        let neutral = match r.op {
            Op::VUmin | Op::VUmax | Op::VSmin | Op::VSmax | Op::And => self.splat(phi.args[0], element, wide),
            _ => self.t.wide_literal(wide, &ZERO),
        };
        let entry =
            self.op(Part::Setup, Op::Insert, element, wide, &[neutral, phi.args[0], Operand::index(0)]);
        let (op, aty) = match r.op {
            Op::Add => (Op::VAdd, r.ty),
            Op::And | Op::Or | Op::Xor => (r.op, wide),
            op => (op, r.ty),
        };
        let next = self.op(Part::Body, op, aty, wide, &[Operand::value(r.acc), other]);
        let mut acc = Inst::new(Op::Phi, Type::Void, wide, 0, &[entry, next]);
        acc.res = r.acc;
        self.params.push(acc);
        let total = self.collect(next, r.op, r.ty, element, wide);
        self.last[r.sum.index()] = total;
        Ok(())
    }

    /// All lanes of an accumulator, combined.
    fn collect(&mut self, acc: Operand, op: Op, lane: Type, element: Type, wide: Type) -> Operand {
        let mut parts: Vec<Operand> = (0..self.lanes)
            .map(|i| {
                self.op(Part::Body, Op::Extract, wide, element, &[acc, Operand::index(i * element.bits())])
            })
            .collect();
        let aty = if matches!(op, Op::And | Op::Or | Op::Xor) { element } else { lane };
        while parts.len() > 1 {
            parts = parts.chunks(2).map(|p| self.op(Part::Body, op, aty, element, p)).collect();
        }
        parts[0]
    }

    /// The element in a lane of a vector that was built.
    pub(super) fn lane_of(&mut self, v: Value, lane: u32) -> Option<Operand> {
        let State::Done(vector) = self.vectors[v.index()] else { return None };
        let element = self.s.value_type(v);
        let wide = self.vector_type(element).ok()?;
        let at = Operand::index(lane * element.bits());
        Some(self.op(Part::Body, Op::Extract, wide, element, &[vector, at]))
    }
}
