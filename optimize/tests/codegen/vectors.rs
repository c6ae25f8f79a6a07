//! Traces on floats and vectors: every operation alone with every type it takes, and random mixtures.
//!
//! As a front end would, a *legacy* trace puts results into the low part of a vector slot and keeps the rest; a *wide* one
//! clears the rest, and uses 256 bits.

use std::sync::Arc;

use ir::builder::Builder;
use ir::fuzz::{Random, mix};
use ir::op::{Arg, Check, Form, Op, OpEffect, Suffix};
use ir::snapshot::ExitKind;
use ir::trace::{Addr, Trace};
use ir::types::{ClassId, Operand, Pc, SlotId, Type, Wide};

use super::guest::{self, WINDOW};

const FLAGS: SlotId = SlotId(16);
const VECTOR: u16 = 19;
const MEMORY: ClassId = ClassId(0);

/// An operation at its types.
#[derive(Clone, Copy, Debug)]
pub struct Form1 {
    pub op: Op,
    pub aty: Type,
    pub ty: Type,
}

fn is_vector(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V128 | Type::V256)
}

/// Every pure operation that has to do with vector registers, at all types up to 256 bits that it takes.
pub fn forms() -> Vec<Form1> {
    let mut all = Vec::new();
    let types: Vec<Type> =
        Type::ALL.iter().copied().filter(|t| !matches!(t, Type::V512 | Type::I128)).collect();
    for &op in Op::ALL {
        let info = op.info();
        let plain = info.form == Form::Plain && info.effect == OpEffect::Pure;
        let tag = info.args.contains(&Arg::Tag) || matches!(op, Op::Slot | Op::Pick);
        if !plain || tag {
            continue;
        }
        let uses_t = info.args.contains(&Arg::T) || info.suffix == Suffix::Lane || info.result == Arg::T;
        let uses_r = info.args.contains(&Arg::R) || info.result == Arg::R;
        let lane_only = info.args.contains(&Arg::V);
        for &t in &types {
            let fits = if uses_t { info.t.contains(t) } else { t == Type::Void };
            if !fits {
                continue;
            }
            for &r in &types {
                let ty = match info.result {
                    Arg::T => t,
                    Arg::I1 => Type::I1,
                    Arg::I64 => Type::I64,
                    Arg::F => Type::Flags,
                    _ => r,
                };
                // (`r` stands for the type of a vector operand where the result says nothing.)
                let free = uses_r || lane_only;
                if !free && r != Type::Void
                    || uses_r && !info.r.contains(r)
                    || lane_only && !matches!(r, Type::V128 | Type::V256)
                {
                    continue;
                }
                let (tb, rb) = (t.bits(), r.bits());
                let related = match info.check {
                    Check::Wider => rb > tb,
                    Check::Narrower => rb < tb,
                    Check::SameBits => rb == tb && r != t,
                    Check::PartOfR => rb > tb && tb >= 8,
                    Check::PartOfT => rb < tb && rb >= 8,
                    Check::LaneCount => true,
                    _ => true,
                };
                if related && (is_vector(t) || is_vector(r) || is_vector(ty)) {
                    all.push(Form1 { op, aty: t, ty: if lane_only { r } else { ty } });
                }
            }
        }
    }
    all
}

/// What guests are full of.
pub fn is_common(form: &Form1) -> bool {
    let float = matches!(
        form.op,
        Op::Fadd
            | Op::Fsub
            | Op::Fmul
            | Op::Fdiv
            | Op::Fsqrt
            | Op::FmaxSse
            | Op::Flt
            | Op::Sitof
            | Op::Fext
            | Op::Fnarrow
    );
    let lanes = matches!(
        form.op,
        Op::VFadd
            | Op::VFsub
            | Op::VFmul
            | Op::VAdd
            | Op::VShuffle
            | Op::Xor
            | Op::And
            | Op::Insert
            | Op::Extract
            | Op::Zext
    );
    let floats = |t: Type| matches!(t, Type::F64 | Type::F32);
    float || lanes && form.ty == Type::V128 && (floats(form.aty) || form.aty == Type::V128)
}

/// What makes traces.
pub struct Maker {
    pub b: Builder,
    pub r: Random,
    wide: bool,
    base: u64,
    next_pc: u64,
}

impl Maker {
    pub fn new(seed: u64, wide: bool, base: u64) -> Maker {
        let b = Builder::new(Arc::new(guest::decls()), "vectors", Pc::Addr(0x1000));
        let mut m = Maker { b, r: Random(mix(seed ^ 0x7ec7)), wide, base, next_pc: 0x1000 };
        if m.r.one_in(2) {
            m.b.assume("NoFaultHandler", &[]);
        }
        if m.r.one_in(2) {
            m.b.assume("SingleThreaded", &[]);
        }
        m
    }

    fn slot(&mut self) -> SlotId {
        SlotId(VECTOR + self.r.below(5) as u16)
    }

    fn general(&mut self) -> SlotId {
        SlotId(self.r.pick(&[0, 1, 2, 3, 5, 6, 7]).unwrap_or(0))
    }

    fn addr(&mut self) -> Addr {
        let offset = self.r.below(WINDOW - 128) as u64;
        let base = self.b.i64((self.base + offset) as i64);
        Addr::new(base, 0)
    }

    fn words(&mut self) -> Wide {
        std::array::from_fn(|_| guest::lane(&mut self.r))
    }

    fn operand(&mut self, ty: Type) -> Operand {
        match self.r.below(8) {
            0 if ty != Type::Flags && ty != Type::I1 => {
                let addr = self.addr();
                return self.b.load(ty, addr, MEMORY);
            }
            1 if ty != Type::Flags => {
                let mut bits = self.words();
                if self.r.one_in(3) {
                    bits = Wide::default();
                }
                let (low, high) = (u128::from(bits[0]), u128::from(bits[1]));
                return match ty {
                    Type::V128 | Type::V256 => self.b.vector(ty, &bits),
                    _ => self.b.int(ty, (low | high << 64) as i128),
                };
            }
            _ => {}
        }
        match ty {
            Type::V128 | Type::V256 => {
                let s = self.slot();
                let whole = self.b.get(s);
                self.b.convert(Op::Trunc, Type::V512, ty, whole)
            }
            Type::F32 | Type::F64 => {
                let s = self.slot();
                let whole = self.b.get(s);
                let lanes = 128 / ty.bits() as usize;
                let bit = if self.r.one_in(2) { 0 } else { self.r.below(lanes) as u32 * ty.bits() };
                self.b.extract(Type::V512, whole, ty, bit)
            }
            Type::Flags => self.b.get(FLAGS),
            _ => {
                let s = self.general();
                let word = self.b.get(s);
                if ty == Type::I64 {
                    word
                } else if word.is_literal() {
                    self.b.int(ty, 3)
                } else {
                    self.b.convert(Op::Trunc, Type::I64, ty, word)
                }
            }
        }
    }

    fn keep(&mut self, ty: Type, value: Operand) {
        if ty != Type::I1 && ty != Type::Flags && self.r.one_in(5) {
            let addr = self.addr();
            return self.b.store(ty, value, addr, MEMORY);
        }
        match ty {
            Type::V128 | Type::V256 | Type::F32 | Type::F64 => {
                let s = self.slot();
                let lanes = (128 / ty.bits().min(128)) as usize;
                let bit = if self.r.one_in(2) { 0 } else { self.r.below(lanes) as u32 * ty.bits() };
                let new = if self.wide && self.r.one_in(2) {
                    self.b.convert(Op::Zext, ty, Type::V512, value)
                } else {
                    let old = self.b.get(s);
                    if bit == 0 && self.r.one_in(6) {
                        return self.b.set_recipe(s, Op::Insert, ty, 0, &[old, value, Operand::index(0)]);
                    }
                    self.b.insert(Type::V512, old, ty, value, bit)
                };
                self.b.set(s, new);
            }
            Type::Flags => self.b.set(FLAGS, value),
            _ => {
                let s = self.general();
                let value =
                    if ty == Type::I64 { value } else { self.b.convert(Op::Zext, ty, Type::I64, value) };
                if !value.is_literal() {
                    self.b.set(s, value);
                }
            }
        }
    }

    /// One operation on random operands, its result kept somewhere.
    pub fn perform(&mut self, form: Form1) {
        let Form1 { op, aty, ty } = form;
        let info = op.info();
        let mut operands = Vec::new();
        for arg in info.args {
            let o = match arg {
                Arg::T => self.operand(aty),
                Arg::R | Arg::V => self.value_operand(ty, *arg == Arg::V),
                Arg::I1 => self.operand(Type::I1),
                Arg::I64 if matches!(op, Op::VShl | Op::VShr | Op::VSar) => match self.r.below(4) {
                    0 => self.operand(Type::I64),
                    _ => {
                        let n = self.r.below(aty.bits() as usize + 9);
                        self.b.i64(n as i64)
                    }
                },
                Arg::I64 => self.operand(Type::I64),
                Arg::F => self.operand(Type::Flags),
                Arg::Imm => {
                    let (whole, part) = if info.check == Check::PartOfR { (ty, aty) } else { (aty, ty) };
                    Operand::index(self.r.below((whole.bits() / part.bits()) as usize) as u32 * part.bits())
                }
                Arg::Lanes => {
                    let count = (ty.bits() / aty.bits()) as usize;
                    let style = self.r.below(4);
                    let first = self.r.below(2 * count);
                    let mut bits = Wide::default();
                    for i in 0..count {
                        let lane = match style {
                            0 => self.r.below(2 * count),
                            1 => self.r.below(count),
                            2 => (first + i) % (2 * count),
                            _ => i / 2 + i % 2 * count,
                        };
                        bits[i / 8] |= (lane as u64) << (i % 8 * 8);
                    }
                    self.b.trace_mut().wide_literal(Type::V512, &bits)
                }
                _ => return,
            };
            operands.push(o);
        }
        let result = match info.result {
            Arg::T => aty,
            Arg::I1 => Type::I1,
            Arg::I64 => Type::I64,
            Arg::F => Type::Flags,
            _ => ty,
        };
        let attr = match info.suffix {
            Suffix::Round => self.r.below(4) as u8,
            Suffix::Cond => self.r.below(16) as u8,
            Suffix::Flag => self.r.below(6) as u8,
            _ => 0,
        };
        if result == Type::Flags && self.r.one_in(2) {
            return self.b.set_recipe(FLAGS, op, aty, attr, &operands);
        }
        let value = self.b.op(op, aty, result, attr, &operands);
        if result == Type::I1 && self.r.one_in(2) {
            let exit = self.b.exit(Pc::Addr(self.next_pc), ExitKind::Jump);
            return self.b.guard(value, exit);
        }
        self.keep(result, value);
    }

    /// An operand that may not be a literal if `value`.
    fn value_operand(&mut self, ty: Type, value: bool) -> Operand {
        loop {
            let o = self.operand(ty);
            if !value || !o.is_literal() {
                return o;
            }
        }
    }

    fn step(&mut self) {
        self.next_pc += 4;
        if self.r.one_in(3) {
            self.b.at_exact(Pc::Addr(self.next_pc));
        } else {
            self.b.at(Pc::Addr(self.next_pc));
        }
    }

    pub fn finish(mut self) -> Trace {
        let exit = self.b.exit(Pc::Addr(0x9000), ExitKind::Jump);
        self.b.end_exit(exit);
        self.b.finish()
    }
}

/// One operation.
pub fn single(seed: u64, form: Form1, base: u64) -> Trace {
    let wide = form.aty == Type::V256 || form.ty == Type::V256 || seed.is_multiple_of(3);
    let mut m = Maker::new(seed, wide, base);
    m.step();
    m.perform(form);
    m.finish()
}

/// Several, perhaps with a loop.
pub fn mixture(seed: u64, size: usize, forms: &[Form1], base: u64) -> Trace {
    let wide = seed.is_multiple_of(3);
    let mut m = Maker::new(seed, wide, base);
    let fits: Vec<Form1> =
        forms.iter().copied().filter(|f| wide || f.aty != Type::V256 && f.ty != Type::V256).collect();
    let some = |m: &mut Maker, n: usize| {
        for _ in 0..n {
            m.step();
            if let Some(f) = m.r.pick(&fits) {
                m.perform(f);
            }
        }
    };
    if m.r.one_in(2) {
        some(&mut m, size);
        return m.finish();
    }
    some(&mut m, size / 3);
    let counter = SlotId(8);
    let mut slots: Vec<SlotId> =
        (0..8).filter(|s| *s != 4).chain(VECTOR..VECTOR + 5).chain([16]).map(SlotId).collect();
    slots.push(counter);
    m.b.begin_loop(&slots);
    some(&mut m, size / 2);
    let old = m.b.get(counter);
    let (mask, one, zero) = (m.b.i64(7), m.b.i64(1), m.b.i64(0));
    let small = m.b.bin(Op::And, Type::I64, old, mask);
    let new = m.b.bin(Op::Sub, Type::I64, small, one);
    m.b.set(counter, new);
    let cond = m.b.bin(Op::Slt, Type::I64, zero, new);
    let exit = m.b.exit(Pc::Addr(0x9100), ExitKind::Jump);
    m.b.guard(cond, exit);
    some(&mut m, size / 4);
    m.b.end_loop(None);
    m.b.finish()
}
