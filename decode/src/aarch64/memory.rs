//! Lifting of loads, stores, exclusives and atomics.
//!
//! Exclusives: a load notes address and value ([`slots::EX_ADDR`] and others), a store is a compare-and-swap with that
//! value. It differs from the real thing where memory was changed and changed back in between, which programs
//! that run on such translators (and on compare-and-swap in general) must stand; QEMU does the same.

use super::inst::{Data, Lse, Mode};
use super::lift::{Lifter, int_type};
use super::slots;
use crate::Lifted;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::Addr;
use ir::types::{ClassId, Operand, Pc, Type};

impl Lifter<'_> {
    /// The address of an access, and what the base becomes.
    fn address(&mut self, rn: u8, mode: Mode) -> (Addr, ClassId, Option<Operand>) {
        let (base, class) = self.base(rn);
        match mode {
            Mode::Offset(offset) => (Addr::new(base, offset), class, None),
            Mode::Pre(offset) => {
                let offset = self.b.i64(offset);
                let next = self.b.bin(Op::Add, Type::I64, base, offset);
                (Addr::new(next, 0), class, Some(next))
            }
            Mode::Post(offset) => {
                let offset = self.b.i64(offset);
                let next = self.b.bin(Op::Add, Type::I64, base, offset);
                (Addr::new(base, 0), class, Some(next))
            }
            Mode::Register(rm, extend) => {
                let shift = extend.shift;
                let index = self.extended(rm, true, super::inst::Extend { shift: 0, ..extend });
                let addr = if shift <= 3 {
                    Addr::new(base, 0).indexed(index, 1 << shift)
                } else {
                    let by = self.b.i64(shift.into());
                    let index = self.b.bin(Op::Shl, Type::I64, index, by);
                    Addr::new(base, 0).indexed(index, 1)
                };
                (addr, class, None)
            }
        }
    }

    fn write_back(&mut self, rn: u8, next: Option<Operand>) {
        if let Some(next) = next {
            self.b.set(slots::x(rn), next);
        }
    }

    /// Loads; the value is what [`Lifter::set_data`] takes.
    pub(super) fn load_data(&mut self, data: Data, addr: Addr, class: ClassId) -> Operand {
        match data {
            Data::General { size, signed } => {
                let from = int_type(size);
                let v = self.b.load(from, addr, class);
                match signed {
                    None => self.b.convert(Op::Zext, from, Type::I64, v),
                    Some(64) => self.b.convert(Op::Sext, from, Type::I64, v),
                    Some(_) => {
                        let v = self.b.convert(Op::Sext, from, Type::I32, v);
                        self.b.convert(Op::Zext, Type::I32, Type::I64, v)
                    }
                }
            }
            Data::Vector(4) => self.b.load(Type::V128, addr, class),
            Data::Vector(size) => {
                let from = vector_part(size);
                let v = self.b.load(from, addr, class);
                self.b.convert(Op::Zext, from, Type::V128, v)
            }
        }
    }

    pub(super) fn set_data(&mut self, data: Data, rt: u8, v: Operand) {
        match data {
            Data::General { .. } => self.set_x(rt, true, v),
            Data::Vector(_) => self.b.set(slots::v(rt), v),
        }
    }

    pub(super) fn store_data(&mut self, data: Data, rt: u8, addr: Addr, class: ClassId) {
        let (t, v) = match data {
            Data::General { size, .. } => {
                let t = int_type(size);
                let v = if rt == 31 { self.b.int(t, 0) } else { self.b.get(slots::x(rt)) };
                let v = match self.b.trace().literal_int(v) {
                    Some(value) => self.b.int(t, value),
                    None => self.b.convert(Op::Trunc, Type::I64, t, v),
                };
                (t, v)
            }
            Data::Vector(4) => (Type::V128, self.b.get(slots::v(rt))),
            Data::Vector(size) => {
                let t = vector_part(size);
                let v = self.b.get(slots::v(rt));
                (t, self.b.convert(Op::Trunc, Type::V128, t, v))
            }
        };
        self.b.store(t, v, addr, class);
    }

    pub(super) fn load(&mut self, data: Data, rt: u8, rn: u8, mode: Mode) {
        let (addr, class, next) = self.address(rn, mode);
        let v = self.load_data(data, addr, class);
        self.write_back(rn, next);
        self.set_data(data, rt, v);
    }

    pub(super) fn store(&mut self, data: Data, rt: u8, rn: u8, mode: Mode) {
        let (addr, class, next) = self.address(rn, mode);
        self.store_data(data, rt, addr, class);
        self.write_back(rn, next);
    }

    pub(super) fn load_pair(&mut self, data: Data, rt: u8, rt2: u8, rn: u8, mode: Mode) {
        let (addr, class, next) = self.address(rn, mode);
        let a = self.load_data(data, addr, class);
        let behind = Addr { disp: addr.disp + (1 << data.size()), ..addr };
        let b = self.load_data(data, behind, class);
        self.write_back(rn, next);
        self.set_data(data, rt, a);
        self.set_data(data, rt2, b);
    }

    pub(super) fn store_pair(&mut self, data: Data, rt: u8, rt2: u8, rn: u8, mode: Mode) {
        let (addr, class, next) = self.address(rn, mode);
        self.store_data(data, rt, addr, class);
        let behind = Addr { disp: addr.disp + (1 << data.size()), ..addr };
        self.store_data(data, rt2, behind, class);
        self.write_back(rn, next);
    }

    // --- exclusives and atomics --------------------------------------------------------------------

    pub(super) fn clear_monitor(&mut self) {
        let none = self.b.i64(-1);
        self.b.set(slots::EX_ADDR, none);
    }

    pub(super) fn load_exclusive(&mut self, size: u8, pair: bool, rt: u8, rt2: u8, rn: u8) {
        let (base, class) = self.base(rn);
        let data = Data::General { size, signed: None };
        let a = self.load_data(data, Addr::new(base, 0), class);
        if pair {
            let b = self.load_data(data, Addr::new(base, 1 << size), class);
            if size == 2 {
                // One value of 64 bits.
                let by = self.b.i64(32);
                let high = self.b.bin(Op::Shl, Type::I64, b, by);
                let both = self.b.bin(Op::Or, Type::I64, a, high);
                self.b.set(slots::EX_LO, both);
            } else {
                self.b.set(slots::EX_LO, a);
                self.b.set(slots::EX_HI, b);
            }
            self.b.set(slots::EX_ADDR, base);
            self.set_x(rt, true, a);
            self.set_x(rt2, true, b);
            return;
        }
        self.b.set(slots::EX_LO, a);
        self.b.set(slots::EX_ADDR, base);
        self.set_x(rt, true, a);
    }

    /// Two registers as one value of twice the width.
    fn joined(&mut self, size: u8, low: Operand, high: Operand) -> Operand {
        if size == 2 {
            let by = self.b.i64(32);
            let mask = self.b.i64(0xffff_ffff);
            let low = self.b.bin(Op::And, Type::I64, low, mask);
            let high = self.b.bin(Op::Shl, Type::I64, high, by);
            return self.b.bin(Op::Or, Type::I64, low, high);
        }
        let zero = self.b.int(Type::I128, 0);
        let v = self.b.insert(Type::V128, zero, Type::I64, low, 0);
        let v = self.b.insert(Type::V128, v, Type::I64, high, 64);
        self.b.convert(Op::Bitcast, Type::V128, Type::I128, v)
    }

    pub(super) fn store_exclusive(
        &mut self,
        size: u8,
        pair: bool,
        rs: u8,
        rt: u8,
        rt2: u8,
        rn: u8,
    ) -> Lifted {
        if pair && size == 3 && !self.calls() {
            return self.leave(ExitKind::Step);
        }
        let (base, class) = self.base(rn);
        let monitor = self.b.get(slots::EX_ADDR);
        let lo = self.b.get(slots::EX_LO);
        let value = self.x(rt, true);
        let (t, expected, new) = if pair {
            let (hi, second) = (self.b.get(slots::EX_HI), self.x(rt2, true));
            let new = self.joined(size, value, second);
            if size == 2 { (Type::I64, lo, new) } else { (Type::I128, self.joined(size, lo, hi), new) }
        } else {
            let t = int_type(size);
            let trunc = |s: &mut Self, v: Operand| match s.b.trace().literal_int(v) {
                Some(value) => s.b.int(t, value),
                None => s.b.convert(Op::Trunc, Type::I64, t, v),
            };
            (t, trunc(self, lo), trunc(self, value))
        };
        let same = self.b.bin(Op::Eq, Type::I64, monitor, base);
        let one = self.b.i64(1);
        let none = self.b.i64(-1);
        // Leaving with the failure noted.
        self.set_x(rs, true, one);
        self.b.set(slots::EX_ADDR, none);
        let exit = self.b.exit(Pc::Addr(self.pc.wrapping_add(4)), ExitKind::Jump);
        self.b.guard(same, exit);
        let old = self.b.atomic(Op::AtomicCas, t, base, 0, class, expected, new);
        let failed = self.b.bin(Op::Ne, t, old, expected);
        let status = self.b.convert(Op::Zext, Type::I1, Type::I64, failed);
        self.set_x(rs, true, status);
        Lifted::Next
    }

    /// A register cut to the type of an access.
    fn operand(&mut self, r: u8, t: Type) -> Operand {
        if r == 31 {
            return self.b.int(t, 0);
        }
        let v = self.b.get(slots::x(r));
        match self.b.trace().literal_int(v) {
            Some(value) => self.b.int(t, value),
            None => self.b.convert(Op::Trunc, Type::I64, t, v),
        }
    }

    pub(super) fn compare_swap(&mut self, size: u8, rs: u8, rt: u8, rn: u8) {
        let t = int_type(size);
        let (base, class) = self.base(rn);
        let (expected, new) = (self.operand(rs, t), self.operand(rt, t));
        let old = self.b.atomic(Op::AtomicCas, t, base, 0, class, expected, new);
        let old = self.b.convert(Op::Zext, t, Type::I64, old);
        self.set_x(rs, true, old);
    }

    pub(super) fn compare_swap_pair(&mut self, size: u8, rs: u8, rt: u8, rn: u8) -> Lifted {
        if size == 3 && !self.calls() {
            return self.leave(ExitKind::Step);
        }
        let (base, class) = self.base(rn);
        let (a, b) = (self.x(rs, true), self.x(rs | 1, true));
        let expected = self.joined(size, a, b);
        let (a, b) = (self.x(rt, true), self.x(rt | 1, true));
        let new = self.joined(size, a, b);
        if size == 2 {
            let old = self.b.atomic(Op::AtomicCas, Type::I64, base, 0, class, expected, new);
            let mask = self.b.i64(0xffff_ffff);
            let low = self.b.bin(Op::And, Type::I64, old, mask);
            let by = self.b.i64(32);
            let high = self.b.bin(Op::Shr, Type::I64, old, by);
            self.set_x(rs, true, low);
            self.set_x(rs | 1, true, high);
        } else {
            let old = self.b.atomic(Op::AtomicCas, Type::I128, base, 0, class, expected, new);
            let old = self.b.convert(Op::Bitcast, Type::I128, Type::V128, old);
            let low = self.b.extract(Type::V128, old, Type::I64, 0);
            let high = self.b.extract(Type::V128, old, Type::I64, 64);
            self.set_x(rs, true, low);
            self.set_x(rs | 1, true, high);
        }
        Lifted::Next
    }

    pub(super) fn atomic(&mut self, size: u8, op: Lse, rs: u8, rt: u8, rn: u8) {
        let t = int_type(size);
        let (base, class) = self.base(rn);
        let value = self.operand(rs, t);
        let simple = match op {
            Lse::Add => Some((Op::AtomicAdd, value)),
            Lse::Clr => Some((Op::AtomicAnd, self.b.un(Op::Not, t, value))),
            Lse::Eor => Some((Op::AtomicXor, value)),
            Lse::Set => Some((Op::AtomicOr, value)),
            Lse::Swp => Some((Op::AtomicSwap, value)),
            _ => None,
        };
        let old = match simple {
            Some((code, value)) => self.b.atomic(code, t, base, 0, class, value, Operand::NONE),
            None => {
                // Once more from the beginning when somebody else was there in between.
                let again = self.b.exit(Pc::Addr(self.pc), ExitKind::Jump);
                let seen = self.b.load(t, Addr::new(base, 0), class);
                let less = if matches!(op, Lse::Smax | Lse::Smin) { Op::Slt } else { Op::Ult };
                let less = self.b.bin(less, t, seen, value);
                let max = matches!(op, Lse::Smax | Lse::Umax);
                let new = if max {
                    self.b.select(t, less, value, seen)
                } else {
                    self.b.select(t, less, seen, value)
                };
                let old = self.b.atomic(Op::AtomicCas, t, base, 0, class, seen, new);
                let same = self.b.bin(Op::Eq, t, old, seen);
                self.b.guard(same, again);
                seen
            }
        };
        let old = self.b.convert(Op::Zext, t, Type::I64, old);
        self.set_x(rt, true, old);
    }

    // --- structures --------------------------------------------------------------------------------

    pub(super) fn zero_block(&mut self, rt: u8) {
        let v = self.x(rt, true);
        let mask = self.b.i64(!63);
        let base = self.b.bin(Op::And, Type::I64, v, mask);
        let zero = self.b.vector(Type::V128, &ir::types::ZERO);
        for k in 0..4 {
            self.b.store(Type::V128, zero, Addr::new(base, 16 * k), slots::MEMORY);
        }
    }

    /// What the base becomes after an access of so many bytes.
    fn post(&mut self, base: Operand, post: Option<u8>, bytes: i64) -> Option<Operand> {
        let by = match post? {
            31 => self.b.i64(bytes),
            rm => self.x(rm, true),
        };
        Some(self.b.bin(Op::Add, Type::I64, base, by))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub(super) fn structures(
        &mut self,
        load: bool,
        q: bool,
        size: u8,
        interleave: u8,
        registers: u8,
        rt: u8,
        rn: u8,
        post: Option<u8>,
    ) {
        let (base, class) = self.base(rn);
        let bytes = if q { 16i64 } else { 8 };
        let next = self.post(base, post, bytes * i64::from(registers));
        let part = if q { Type::V128 } else { Type::F64 };
        let reg = |k: u8| slots::v((rt + k) & 31);
        let at = |k: u8| Addr::new(base, bytes * i64::from(k));
        if interleave == 1 {
            for k in 0..registers {
                if load {
                    let v = self.b.load(part, at(k), class);
                    let v = self.b.convert(Op::Zext, part, Type::V128, v);
                    self.b.set(reg(k), v);
                } else {
                    let v = self.b.get(reg(k));
                    let v = self.b.convert(Op::Trunc, Type::V128, part, v);
                    self.b.store(part, v, at(k), class);
                }
            }
            return self.write_back(rn, next);
        }
        let lane = int_type(size);
        let lanes = (bytes as u8) >> size;
        let per = 1i64 << size;
        if load {
            // Whole registers' worth of memory, then lanes picked out of it.
            let parts: Vec<Operand> = (0..registers)
                .map(|k| {
                    let v = self.b.load(part, at(k), class);
                    self.b.convert(Op::Zext, part, Type::V128, v)
                })
                .collect();
            for k in 0..registers {
                let mut v = self.b.vector(Type::V128, &ir::types::ZERO);
                for i in 0..lanes {
                    let element = u32::from(i) * u32::from(interleave) + u32::from(k);
                    let (from, index) = (element / u32::from(lanes), element % u32::from(lanes));
                    let x = self.b.extract(Type::V128, parts[from as usize], lane, index * lane.bits());
                    v = self.b.insert(Type::V128, v, lane, x, u32::from(i) * lane.bits());
                }
                self.b.set(reg(k), v);
            }
        } else {
            for k in 0..registers {
                let v = self.b.get(reg(k));
                for i in 0..lanes {
                    let x = self.b.extract(Type::V128, v, lane, u32::from(i) * lane.bits());
                    let element = i64::from(i) * i64::from(interleave) + i64::from(k);
                    self.b.store(lane, x, Addr::new(base, element * per), class);
                }
            }
        }
        self.write_back(rn, next);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub(super) fn structure(
        &mut self,
        load: bool,
        size: u8,
        index: u8,
        count: u8,
        rt: u8,
        rn: u8,
        post: Option<u8>,
    ) {
        let (base, class) = self.base(rn);
        let per = 1i64 << size;
        let next = self.post(base, post, per * i64::from(count));
        let (lane, bit) = (int_type(size), u32::from(index) << (3 + size));
        for k in 0..count {
            let slot = slots::v((rt + k) & 31);
            let at = Addr::new(base, per * i64::from(k));
            let v = self.b.get(slot);
            if load {
                let x = self.b.load(lane, at, class);
                let v = self.b.insert(Type::V128, v, lane, x, bit);
                self.b.set(slot, v);
            } else {
                let x = self.b.extract(Type::V128, v, lane, bit);
                self.b.store(lane, x, at, class);
            }
        }
        self.write_back(rn, next);
    }

    pub(super) fn replicate(&mut self, q: bool, size: u8, count: u8, rt: u8, rn: u8, post: Option<u8>) {
        let (base, class) = self.base(rn);
        let per = 1i64 << size;
        let next = self.post(base, post, per * i64::from(count));
        let lane = int_type(size);
        for k in 0..count {
            let x = self.b.load(lane, Addr::new(base, per * i64::from(k)), class);
            let v = self.b.convert(Op::VSplat, lane, Type::V128, x);
            let v = self.zero_above(v, if q { 128 } else { 64 });
            self.b.set(slots::v((rt + k) & 31), v);
        }
        self.write_back(rn, next);
    }
}

/// The type in which so much of a vector register is moved.
fn vector_part(size: u8) -> Type {
    match size {
        2 => Type::F32,
        3 => Type::F64,
        n => int_type(n),
    }
}
