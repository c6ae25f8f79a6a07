//! Random traces in the manner of lifted code: operations between registers of the test guest, memory near registers that
//! are made to point into the window, flags, conditional exits, loops.

use std::sync::Arc;

use ir::builder::Builder;
use ir::effects::{ClassSet, EffectBits, Effects};
use ir::fuzz::{Random, mix};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{Addr, Trace};
use ir::types::{ClassId, Cond, Flag, Operand, Pc, SlotId, Type};

use super::guest::{self, WINDOW};

const FLAGS: SlotId = SlotId(16);
const MEMORY: ClassId = ClassId(0);

struct Generator {
    b: Builder,
    r: Random,
    /// Slots that may be set.
    settable: Vec<SlotId>,
    base: u64,
    next_pc: u64,
}

/// A random trace of about this many guest instructions over memory at `base`.
pub fn integer_trace(seed: u64, size: usize, base: u64) -> Trace {
    let mut r = Random(mix(seed ^ 0x5eed));
    let all: Vec<SlotId> = (0..19).map(SlotId).collect();
    let mut g = Generator {
        b: Builder::new(Arc::new(guest::decls()), "random", Pc::Addr(0x1000)),
        settable: all.clone(),
        base,
        next_pc: 0x1000,
        r: r.clone(),
    };
    if r.one_in(2) {
        g.b.assume("NoFaultHandler", &[]);
    }
    if r.one_in(2) {
        g.b.assume("SingleThreaded", &[]);
    }
    let with_loop = r.one_in(2);
    g.lines(if with_loop { size / 3 } else { size });
    if !with_loop {
        let exit = if r.one_in(4) {
            let target = g.word();
            g.b.exit_indirect(target, ExitKind::Return)
        } else {
            g.b.exit(Pc::Addr(0x9000), ExitKind::Jump)
        };
        g.b.end_exit(exit);
        return g.b.finish();
    }
    let mut slots: Vec<SlotId> = all.into_iter().filter(|_| !r.one_in(3)).collect();
    // A counter makes sure that most runs end.
    let counter = SlotId(r.below(4) as u16);
    if !slots.contains(&counter) {
        slots.push(counter);
    }
    slots.retain(|s| s.0 != 4 || r.one_in(4));
    g.b.begin_loop(&slots);
    slots.retain(|s| *s != counter);
    g.settable = slots;
    g.lines(size / 2);
    let old = g.b.get(counter);
    let (mask, one) = (g.b.i64(31), g.b.i64(1));
    let small = g.b.bin(Op::And, Type::I64, old, mask);
    let new = g.b.bin(Op::Sub, Type::I64, small, one);
    g.b.set(counter, new);
    if g.settable.contains(&FLAGS) {
        g.b.set_recipe(FLAGS, Op::FlagsSub, Type::I64, 0, &[small, one]);
    }
    let zero = g.b.i64(0);
    let cond = g.b.bin(Op::Slt, Type::I64, zero, new);
    let exit = g.b.exit(Pc::Addr(0x9100), ExitKind::Jump);
    g.b.guard(cond, exit);
    g.lines(size / 4);
    let interrupt = r.one_in(2).then(|| g.b.exit(Pc::Addr(0x1000), ExitKind::Jump));
    g.b.end_loop(interrupt);
    g.b.finish()
}

impl Generator {
    fn ty(&mut self) -> Type {
        self.r
            .pick(&[Type::I8, Type::I16, Type::I32, Type::I32, Type::I64, Type::I64, Type::I64])
            .unwrap_or(Type::I64)
    }

    fn any_slot(&mut self) -> SlotId {
        let i = self.r.below(18);
        SlotId(if i >= 16 { i as u16 + 1 } else { i as u16 })
    }

    fn word(&mut self) -> Operand {
        let s = self.any_slot();
        self.b.get(s)
    }

    /// A value of this type: part of a register, or a literal.
    fn operand(&mut self, ty: Type) -> Operand {
        if self.r.one_in(4) {
            let noise = match self.r.below(4) {
                0 => self.r.word() as i64,
                1 => self.r.word() as i32 as i64,
                _ => self.r.word() as i8 as i64,
            };
            return self.b.int(ty, noise.into());
        }
        self.register(ty)
    }

    fn register(&mut self, ty: Type) -> Operand {
        let mut word = self.word();
        if ty != Type::I64 && (word.is_literal() || self.r.one_in(8)) {
            // As passes leave it: part of a literal, whose other bits do not come along.
            let noise = self.r.word() as i64;
            word = self.b.int(Type::I64, noise.into());
        }
        if ty == Type::I64 {
            return word;
        }
        if ty == Type::I8 && self.r.one_in(4) {
            return self.b.extract(Type::I64, word, Type::I8, 8);
        }
        self.b.convert(Op::Trunc, Type::I64, ty, word)
    }

    fn set(&mut self, ty: Type, value: Operand) {
        let mut candidates = self.settable.clone();
        candidates.retain(|s| *s != FLAGS && (s.0 != 4 || self.r.one_in(8)));
        let Some(slot) = self.r.pick(&candidates) else { return };
        if value.is_literal() {
            return;
        }
        let value = match ty {
            Type::I64 => value,
            Type::I32 | Type::I1 => self.b.convert(Op::Zext, ty, Type::I64, value),
            _ if self.r.one_in(2) => {
                let op = if self.r.one_in(2) { Op::Zext } else { Op::Sext };
                self.b.convert(op, ty, Type::I64, value)
            }
            _ => {
                let old = self.b.get(slot);
                let at = if ty == Type::I8 && self.r.one_in(4) { 8 } else { 0 };
                self.b.insert(Type::I64, old, ty, value, at)
            }
        };
        self.b.set(slot, value);
    }

    fn flags(&mut self, op: Op, ty: Type, operands: &[Operand]) {
        if self.settable.contains(&FLAGS) && !self.r.one_in(4) {
            self.b.set_recipe(FLAGS, op, ty, 0, operands);
        }
    }

    fn addr(&mut self) -> Addr {
        if self.r.one_in(12) {
            // Every other time behind the window.
            let word = self.word();
            let mask = self.b.i64(2 * WINDOW as i64 - 1);
            let index = self.b.bin(Op::And, Type::I64, word, mask);
            let base = self.b.i64(self.base as i64);
            return Addr { base, index, scale: 1, disp: 0 };
        }
        match self.r.below(4) {
            0 => {
                let offset = self.r.below(WINDOW - 64) as u64;
                let base = self.b.i64((self.base + offset) as i64);
                Addr::new(base, 0)
            }
            1 => {
                let base = self.b.get(SlotId(4));
                Addr::new(base, self.r.below(64) as i64 * 8 - 128)
            }
            n => {
                // An index into the window.
                let word = self.word();
                let mask = self.b.i64(if n == 2 { 0xfff } else { 0x1ff });
                let index = self.b.bin(Op::And, Type::I64, word, mask);
                let base = self.b.i64(self.base as i64);
                let base = if self.r.one_in(2) {
                    base
                } else {
                    let s = self.any_slot();
                    if self.settable.contains(&s) {
                        let other = self.b.get(s);
                        let zero = self.b.i64(0);
                        let none = self.b.bin(Op::And, Type::I64, other, zero);
                        self.b.bin(Op::Add, Type::I64, none, base)
                    } else {
                        base
                    }
                };
                let scale = if n == 2 { 1 << self.r.below(2) } else { 1 << self.r.below(4) };
                Addr { base, index, scale, disp: self.r.below(128) as i64 }
            }
        }
    }

    fn lines(&mut self, count: usize) {
        for _ in 0..count {
            self.next_pc += 4;
            if self.r.one_in(3) {
                self.b.at_exact(Pc::Addr(self.next_pc));
            } else {
                self.b.at(Pc::Addr(self.next_pc));
            }
            self.instruction();
        }
    }

    fn instruction(&mut self) {
        let ty = self.ty();
        match self.r.below(28) {
            // A move.
            27 => {
                let a = self.register(ty);
                self.set(ty, a);
            }
            0..=3 => {
                let (a, b) = (self.register(ty), self.operand(ty));
                let new = self.b.bin(Op::Add, ty, a, b);
                self.set(ty, new);
                self.flags(Op::FlagsAdd, ty, &[a, b]);
            }
            4..=5 => {
                let (a, b) = (self.register(ty), self.operand(ty));
                let new = self.b.bin(Op::Sub, ty, a, b);
                self.set(ty, new);
                self.flags(Op::FlagsSub, ty, &[a, b]);
            }
            6..=7 => {
                let op = self.r.pick(&[Op::And, Op::Or, Op::Xor]).unwrap_or(Op::And);
                let (a, b) = (self.register(ty), self.operand(ty));
                let new = self.b.bin(op, ty, a, b);
                self.set(ty, new);
                self.flags(Op::FlagsLogic, ty, &[new]);
            }
            8 => {
                let op = self.r.pick(&[Op::Shl, Op::Shr, Op::Sar]).unwrap_or(Op::Shl);
                let (a, n) = (self.register(ty), self.register(ty));
                let n = match self.r.below(3) {
                    0 => n,
                    1 => {
                        let mask = self.b.int(ty, if ty == Type::I64 { 63 } else { 31 });
                        self.b.bin(Op::And, ty, n, mask)
                    }
                    _ => {
                        let n = self.r.below(ty.bits() as usize);
                        self.b.int(ty, n as i128)
                    }
                };
                let new = self.b.bin(op, ty, a, n);
                self.set(ty, new);
            }
            9 => {
                let op = self.r.pick(&[Op::Rol, Op::Ror]).unwrap_or(Op::Rol);
                let (a, n) = (self.register(ty), self.operand(ty));
                let new = self.b.bin(op, ty, a, n);
                self.set(ty, new);
            }
            10 => {
                let ops = [Op::Mul, Op::Mul, Op::Umulh, Op::Smulh, Op::Andn];
                let op = self.r.pick(&ops).unwrap_or(Op::Mul);
                let (a, b) = (self.register(ty), self.operand(ty));
                let new = self.b.bin(op, ty, a, b);
                self.set(ty, new);
            }
            11 => {
                let ops = [Op::Neg, Op::Not, Op::Popcnt, Op::Clz, Op::Ctz, Op::Bswap];
                let op = self.r.pick(&ops).unwrap_or(Op::Neg);
                let ty = if op == Op::Bswap && ty == Type::I8 { Type::I16 } else { ty };
                let a = self.register(ty);
                let new = self.b.un(op, ty, a);
                self.set(ty, new);
            }
            12..=14 => {
                let addr = self.addr();
                let new = self.b.load(ty, addr, MEMORY);
                if self.r.one_in(2) {
                    self.set(ty, new);
                } else {
                    let op = self.r.pick(&[Op::Add, Op::Sub, Op::Xor, Op::Mul]).unwrap_or(Op::Add);
                    let a = self.register(ty);
                    let sum = self.b.bin(op, ty, a, new);
                    self.set(ty, sum);
                }
            }
            15..=16 => {
                let addr = self.addr();
                let value = self.operand(ty);
                self.b.store(ty, value, addr, MEMORY);
            }
            17 => {
                // Memory changed in place.
                let addr = self.addr();
                let old = self.b.load(ty, addr, MEMORY);
                let x = self.operand(ty);
                let op = self.r.pick(&[Op::Add, Op::Sub, Op::And, Op::Or, Op::Xor]).unwrap_or(Op::Add);
                let new = self.b.bin(op, ty, old, x);
                self.b.store(ty, new, addr, MEMORY);
                if op == Op::Add {
                    self.flags(Op::FlagsAdd, ty, &[old, x]);
                }
            }
            18..=19 => {
                // A compare and a conditional exit, mostly not taken.
                let (a, b) = (self.register(ty), self.operand(ty));
                if self.settable.contains(&FLAGS) {
                    self.b.set_recipe(FLAGS, Op::FlagsSub, ty, 0, &[a, b]);
                    let flags = self.b.get(FLAGS);
                    let cond = Cond::from_code(self.r.word() as u8);
                    let c = self.b.cc(cond, flags);
                    self.guard(c);
                } else {
                    let ops = [Op::Eq, Op::Ne, Op::Ult, Op::Ule, Op::Slt, Op::Sle];
                    let op = self.r.pick(&ops).unwrap_or(Op::Eq);
                    let c = self.b.op(op, ty, Type::I1, 0, &[a, b]);
                    self.guard(c);
                }
            }
            20 => {
                // A condition as a number, or a choice.
                let (a, b) = (self.register(ty), self.operand(ty));
                let ops = [Op::Eq, Op::Ne, Op::Ult, Op::Ule, Op::Slt, Op::Sle];
                let op = self.r.pick(&ops).unwrap_or(Op::Eq);
                let c = self.b.op(op, ty, Type::I1, 0, &[a, b]);
                if self.r.one_in(2) {
                    self.set(Type::I1, c);
                } else {
                    let to = self.ty();
                    let (x, y) = (self.operand(to), self.operand(to));
                    let new = self.b.select(to, c, x, y);
                    self.set(to, new);
                }
            }
            21 => {
                let flags = self.b.get(FLAGS);
                match self.r.below(4) {
                    0 => {
                        let flag =
                            self.r.pick(&[Flag::C, Flag::P, Flag::Z, Flag::S, Flag::O]).unwrap_or(Flag::C);
                        let bit = self.b.flag(flag, flags);
                        self.set(Type::I1, bit);
                    }
                    1 => {
                        let image = self.b.unpack_flags(flags);
                        let mask = self.b.i64((Flag::MASK & !Flag::A.bit()) as i64);
                        let image = self.b.bin(Op::And, Type::I64, image, mask);
                        self.set(Type::I64, image);
                    }
                    2 if self.settable.contains(&FLAGS) => {
                        let word = self.word();
                        let c = self.b.convert(Op::Trunc, Type::I64, Type::I1, word);
                        let new = self.b.with_flag(Flag::C, flags, c);
                        self.b.set(FLAGS, new);
                    }
                    _ if self.settable.contains(&FLAGS) => {
                        let word = self.word();
                        let new = self.b.pack_flags(word);
                        self.b.set(FLAGS, new);
                    }
                    _ => {}
                }
            }
            22 => {
                // Add with carry from the flags.
                let flags = self.b.get(FLAGS);
                let carry = self.b.flag(Flag::C, flags);
                let (a, b) = (self.register(ty), self.operand(ty));
                let wide = self.b.convert(Op::Zext, Type::I1, ty, carry);
                let op = if self.r.one_in(2) { Op::Add } else { Op::Sub };
                let part = self.b.bin(op, ty, a, b);
                let new = self.b.bin(op, ty, part, wide);
                self.set(ty, new);
                let op = if op == Op::Add { Op::FlagsAdc } else { Op::FlagsSbb };
                self.flags(op, ty, &[a, b, carry]);
            }
            23 => {
                // Increment: the carry stays.
                if self.settable.contains(&FLAGS) {
                    let flags = self.b.get(FLAGS);
                    let a = self.register(ty);
                    let one = self.b.int(ty, 1);
                    let down = self.r.one_in(2);
                    let new = self.b.bin(if down { Op::Sub } else { Op::Add }, ty, a, one);
                    self.set(ty, new);
                    let op = if down { Op::FlagsDec } else { Op::FlagsInc };
                    self.flags(op, ty, &[a, flags]);
                }
            }
            24 => {
                // Division that seldom faults.
                let (a, d) = (self.register(ty), self.register(ty));
                let one = self.b.int(ty, if self.r.one_in(3) { 0 } else { 1 });
                let d = self.b.bin(Op::Or, ty, d, one);
                let zero = self.b.int(ty, 0);
                let q = self.b.tri(Op::Udivw, ty, zero, a, d);
                let m = self.b.tri(Op::Uremw, ty, zero, a, d);
                if self.r.one_in(2) {
                    self.set(ty, q);
                }
                if !self.r.one_in(3) {
                    self.set(ty, m);
                }
            }
            25 => self.native(),
            _ => {
                let addr = self.addr();
                let base = self.b.i64((self.base + 64 + self.r.below(1024) as u64) as i64);
                let x = self.register(ty);
                let op = self
                    .r
                    .pick(&[Op::AtomicAdd, Op::AtomicSwap, Op::AtomicCas, Op::AtomicOr])
                    .unwrap_or(Op::AtomicAdd);
                let y = if op == Op::AtomicCas { self.register(ty) } else { Operand::NONE };
                let old = self.b.atomic(op, ty, base, addr.disp, MEMORY, x, y);
                if op != Op::AtomicOr {
                    self.set(ty, old);
                }
            }
        }
    }

    fn native(&mut self) {
        let all = |g: &Self, slots: &[u16]| slots.iter().all(|s| g.settable.contains(&SlotId(*s)));
        let slots = |list: &[u16]| list.iter().map(|s| SlotId(*s)).collect::<Vec<_>>();
        match self.r.below(3) {
            0 if all(self, &[2, 16]) => {
                self.b.native(guest::ADC, &slots(&[2, 3, 16]), &slots(&[2, 16]), Effects::PURE);
            }
            1 if all(self, &[1, 3]) => {
                self.b.native(guest::MULX, &slots(&[2, 6]), &slots(&[1, 3]), Effects::PURE);
            }
            2 if all(self, &[0]) => {
                // mov rax, [rip + …]
                let target = self.base + self.r.below(WINDOW - 8) as u64;
                let pc = self.base - 0x1000 + self.next_pc % 64;
                self.b.at(Pc::Addr(pc));
                let disp = target.wrapping_sub(pc + 7) as i32;
                let mut bytes = vec![0x48, 0x8b, 0x05];
                bytes.extend(disp.to_le_bytes());
                let reads = Effects {
                    reads: ClassSet::one(MEMORY),
                    writes: ClassSet::EMPTY,
                    bits: EffectBits::FAULTS,
                };
                self.b.native(&bytes, &[], &slots(&[0]), reads);
            }
            _ => {}
        }
    }

    fn guard(&mut self, cond: Operand) {
        self.next_pc += 4;
        let exit = self.b.exit(Pc::Addr(0x10_0000 + self.next_pc), ExitKind::Jump);
        self.b.guard(cond, exit);
    }
}
