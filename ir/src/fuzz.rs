//! Random traces, mutated text, and what must hold of them: the harnesses for fuzzing this crate and testing
//! those that follow. They run for a moment inside `cargo test`; a fuzzer may call [`check_trace`] and
//! [`check_text`] for longer.
//!
//! [`random_trace`] gives well-formed traces over [`random_decls`] that use every operation, all types,
//! loops, shared snapshots and recipes; the same seed always gives the same trace.

use std::sync::Arc;

use crate::builder::Builder;
use crate::effects::{EffectBits, Effects};
use crate::filetest::{TestMachine, compare};
use crate::interp::{Interp, State};
use crate::op::{Arg, Check, Form, Op, OpEffect, Suffix};
use crate::snapshot::{Bind, ExitKind, Target};
use crate::trace::{Addr, Decls, End, FactArg, Inst, Native, Trace};
use crate::types::*;
use crate::{parse, print, verify};

/// A deterministic stream of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

/// A good mixer of 64 bits (the finalizer of SplitMix64).
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Random {
    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number less than `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.word().checked_rem(n as u64).unwrap_or(0) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these; `None` if there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    /// Bits that are often interesting: small numbers, edges, floats, boxed words, plain noise.
    pub fn bits(&mut self, decls: &Decls) -> Wide {
        let noise = self.word();
        let low = match self.below(6) {
            0 => noise & 15,
            1 => (noise & 15).wrapping_neg(),
            2 => 1 << (noise & 63),
            3 => ((noise & 63) as f64).to_bits(),
            4 if !decls.tags.is_empty() => {
                let tag = self.below(decls.tags.len());
                crate::eval::box_word(decls, noise & 0xffff, TagId(tag as u8))
            }
            4 => noise & 0xffff_fff8,
            _ => noise,
        };
        std::array::from_fn(|i| if i == 0 { low } else { self.word() })
    }
}

/// Declarations for random traces: slots of every type, tags, related and disjoint classes, helpers.
pub fn random_decls() -> Decls {
    let mut d = Decls::new();
    // No name is declared twice and no table is full, so none of these can fail.
    for (i, ty) in Type::ALL.iter().filter(|t| **t != Type::Tuple).enumerate() {
        let _ = d.add_slot(&format!("s{i}"), *ty, None);
        let _ = d.add_slot(&format!("odd name {i}; \"\\"), *ty, Some("r 1"));
    }
    let _ = d.add_tag("num", Type::F64, None);
    let _ = d.add_tag("int", Type::I64, Some(0xfff9));
    let _ = d.add_tag("half", Type::I32, Some(0xfffa));
    let _ = d.add_tag("bool", Type::I1, Some(0xfffe));
    let _ = d.add_class("heap", None, &[]);
    let _ = d.add_class("stack", None, &[ClassId(0)]);
    let _ = d.add_class("heap.array", Some(ClassId(0)), &[]);
    let _ = d.add_class("unknown", None, &[]);
    let _ = d.add_helper("pure", &[Type::I64, Type::F32, Type::I1], Type::I128, Effects::PURE);
    let raises = Effects { bits: EffectBits::RAISES.or(EffectBits::ALLOCATES), ..Effects::BARRIER };
    let _ = d.add_helper("raise", &[Type::V256], Type::Void, raises);
    let _ = d.add_helper("none", &[], Type::Flags, Effects { bits: EffectBits::KEEP, ..Effects::PURE });
    d
}

/// A random well-formed trace of about `size` lines.
pub fn random_trace(seed: u64, size: usize) -> Trace {
    let mut g = Generator {
        b: Builder::new(Arc::new(random_decls()), "random trace", Pc::Addr(seed >> 16)),
        random: Random(seed),
        values: Vec::new(),
        tuples: Vec::new(),
    };
    g.run(size);
    g.b.finish()
}

struct Generator {
    b: Builder,
    random: Random,
    /// Values that may be used here.
    values: Vec<(Operand, Type)>,
    /// Results of natives, with the slots they write.
    tuples: Vec<(Operand, Vec<SlotId>)>,
}

impl Generator {
    fn run(&mut self, size: usize) {
        if self.random.one_in(3) {
            self.b.assume("Single Threaded", &[]);
            self.b.assume("CodeUnchanged", &[FactArg::Int(0x401000), FactArg::Name("x.y".into())]);
        }
        let with_loop = self.random.one_in(2);
        for _ in 0..if with_loop { self.random.below(size) } else { size } {
            self.line();
        }
        if !with_loop {
            let exit = self.exit(None, 16);
            self.b.end_exit(exit);
            return;
        }
        let mut params = Vec::new();
        let head = self.b.trace().insts.len();
        for _ in 0..self.random.below(4) {
            let ty = self.any_type();
            params.push((self.operand(ty), ty));
        }
        self.b.trace_mut().loop_at = Some(head as u32);
        for (entry, ty) in &params {
            let p = self.b.op(Op::Phi, Type::Void, *ty, 0, &[*entry]);
            self.values.push((p, *ty));
        }
        for _ in 0..size {
            self.line();
        }
        for (i, (_, ty)) in params.iter().enumerate() {
            let next = self.operand(*ty);
            self.b.trace_mut().insts[head + i].args[1] = next;
        }
        self.b.trace_mut().end = End::Loop;
    }

    fn any_type(&mut self) -> Type {
        Type::ALL[self.random.below(Type::ALL.len() - 1)]
    }

    fn slot(&mut self) -> (SlotId, Type) {
        let i = self.random.below(self.b.trace().decls.slots.len());
        (SlotId(i as u16), self.b.trace().decls.slots[i].ty)
    }

    /// A value of this type if there is one, else a literal.
    fn operand(&mut self, ty: Type) -> Operand {
        let fitting: Vec<Operand> = self.values.iter().filter(|v| v.1 == ty).map(|v| v.0).collect();
        match self.random.pick(&fitting) {
            Some(v) if !self.random.one_in(4) => v,
            _ => self.literal(ty),
        }
    }

    fn literal(&mut self, ty: Type) -> Operand {
        let bits = self.random.bits(&self.b.trace().decls.clone());
        match ty {
            Type::Flags => self.b.int(ty, (bits[0] & Flag::MASK).into()),
            _ if ty.is_vector() && self.random.one_in(2) => self.b.vector(ty, &bits),
            _ => {
                let low = crate::eval::to_u128(&crate::eval::mask(&bits, ty));
                self.b.int(ty, low as i128)
            }
        }
    }

    fn pc(&mut self) -> Pc {
        match self.random.below(4) {
            0 => {
                let file = self.b.trace_mut().add_file("dir/odd file.lua");
                Pc::Source { file, line: 7, bytecode: self.random.below(9) as u32 }
            }
            1 => {
                let file = self.b.trace_mut().add_file("a.lua");
                Pc::Source { file, line: self.random.below(9) as u32, bytecode: 0 }
            }
            _ => Pc::Addr(self.random.word() >> self.random.below(60)),
        }
    }

    fn exit(&mut self, pc: Option<Pc>, binds_at_most: usize) -> ExitId {
        let target = match (pc, self.values.iter().find(|v| v.1 == Type::I64)) {
            (Some(pc), _) => Target::Pc(pc),
            (None, Some((v, _))) if self.random.one_in(4) => Target::Value(*v),
            _ => Target::Pc(self.pc()),
        };
        let kinds = [
            ExitKind::Jump,
            ExitKind::Call,
            ExitKind::Return,
            ExitKind::Syscall,
            ExitKind::Step,
            ExitKind::Decline,
        ];
        let kind = self.random.pick(&kinds).unwrap_or(ExitKind::Trap(3));
        let like = self.random.one_in(2).then(|| self.b.trace().exits.last().map(|e| e.id)).flatten();
        let mut binds: Vec<Bind> = Vec::new();
        for _ in 0..self.random.below(binds_at_most + 1) {
            let (slot, ty) = self.slot();
            if binds.iter().all(|b| b.slot != slot) {
                let value = match self.random.below(12) {
                    0 => Operand::ANY,
                    1..5 => self.recipe(ty),
                    _ => self.operand(ty),
                };
                binds.push(Bind { slot, value });
            }
        }
        let id = ExitId(self.b.trace().exits.last().map_or(0, |e| e.id.0 + 1 + e.id.0 % 2));
        self.b.trace_mut().add_exit(id, target, kind, like, &binds);
        id
    }

    fn recipe(&mut self, ty: Type) -> Operand {
        for _ in 0..20 {
            let op = Op::ALL[self.random.below(Op::ALL.len())];
            if op.is_recipe()
                && op != Op::Pick
                && let Some(inst) = self.plain(op)
                && inst.ty == ty
            {
                return self.b.trace_mut().add_recipe(inst);
            }
        }
        self.operand(ty)
    }

    fn addr(&mut self) -> (Addr, ClassId) {
        let mut addr = Addr::new(self.operand(Type::I64), 0);
        if self.random.one_in(2) {
            addr = addr.indexed(self.operand(Type::I64), 1 << self.random.below(4));
        }
        if self.random.one_in(2) {
            addr.disp = self.random.word() as i64 >> self.random.below(64);
        }
        (addr, ClassId(self.random.below(self.b.trace().decls.classes.len()) as u8))
    }

    fn line(&mut self) {
        let op = Op::ALL[self.random.below(Op::ALL.len())];
        let info = op.info();
        if info.effect == OpEffect::Fault && !self.random.one_in(6) {
            return; // Divisions of random numbers would end most runs.
        }
        let result = match info.form {
            Form::Plain => {
                let Some(inst) = self.plain(op) else { return };
                let res = self.b.trace_mut().push(inst);
                (res, inst.ty)
            }
            Form::Phi => return,
            Form::Load => {
                let types: Vec<Type> = info.r.iter().collect();
                let ty = self.random.pick(&types).unwrap_or(Type::I64);
                let (addr, class) = self.addr();
                (self.b.load(ty, addr, class), ty)
            }
            Form::Store => {
                let types: Vec<Type> = info.t.iter().collect();
                let ty = self.random.pick(&types).unwrap_or(Type::I64);
                let value = self.operand(ty);
                let (addr, class) = self.addr();
                return self.b.store(ty, value, addr, class);
            }
            Form::Atomic => {
                let types: Vec<Type> = info.t.iter().collect();
                let ty = self.random.pick(&types).unwrap_or(Type::I64);
                let (addr, class) = self.addr();
                let value = self.operand(ty);
                let new = if op == Op::AtomicCas { self.operand(ty) } else { Operand::NONE };
                (self.b.atomic(op, ty, addr.base, addr.disp, class, value, new), ty)
            }
            Form::Guard => {
                // Mostly taken paths would make short runs: prefer conditions that often hold.
                let cond = self.operand(Type::I1);
                let exit = self.exit(None, 6);
                return self.b.guard(cond, exit);
            }
            Form::At => {
                let pc = self.pc();
                if self.random.one_in(2) {
                    self.b.at(pc);
                } else {
                    let exit = self.exit(Some(pc), 6);
                    let pc = self.b.trace_mut().add_pc(pc);
                    self.b.op(Op::At, Type::Void, Type::Void, 0, &[pc, Operand::index(exit.0)]);
                }
                return;
            }
            Form::Call => {
                let i = self.random.below(self.b.trace().decls.helpers.len());
                let helper = self.b.trace().decls.helpers[i].clone();
                let operands: Vec<Operand> = helper.params.iter().map(|t| self.operand(*t)).collect();
                let exit = self.random.one_in(2).then(|| self.exit(None, 6));
                (self.b.call(HelperId(i as u16), &operands, exit), helper.result)
            }
            Form::Native => return self.native(),
        };
        if result.1 != Type::Void && result.1 != Type::Tuple {
            self.values.push(result);
        }
    }

    fn native(&mut self) {
        let mut inputs: Vec<Bind> = Vec::new();
        let mut writes = Vec::new();
        for _ in 0..self.random.below(4) {
            let (slot, ty) = self.slot();
            if inputs.iter().all(|b| b.slot != slot) {
                inputs.push(Bind { slot, value: self.operand(ty) });
            }
            let (slot, _) = self.slot();
            if !writes.contains(&slot) {
                writes.push(slot);
            }
        }
        let effects = if self.random.one_in(2) { Effects::BARRIER } else { Effects::PURE };
        let bytes: Vec<u8> = (0..1 + self.random.below(15)).map(|_| self.random.word() as u8).collect();
        if let Some(native) = Native::new(&bytes, inputs, writes.clone(), effects) {
            let index = self.b.trace_mut().add_native(native);
            let tuple = self.b.op(Op::Native, Type::Void, Type::Tuple, 0, &[index]);
            self.tuples.push((tuple, writes));
        }
    }

    /// A plain operation on what there is, with types that fit its row; `None` when nothing fits.
    fn plain(&mut self, op: Op) -> Option<Inst> {
        let info = op.info();
        let ts: Vec<Type> = info.t.iter().collect();
        let rs: Vec<Type> = info.r.iter().collect();
        let mut aty = self.random.pick(&ts).unwrap_or(Type::Void);
        let mut r = self.random.pick(&rs).unwrap_or(Type::Void);
        let decls = self.b.trace().decls.clone();
        let mut named = None;
        let mut at = 0;
        match info.check {
            Check::Any | Check::LaneCount => {}
            Check::Wider if r.bits() <= aty.bits() => return None,
            Check::Narrower if r.bits() >= aty.bits() => return None,
            Check::SameBits if r.bits() != aty.bits() || r == aty => return None,
            Check::Wider | Check::Narrower | Check::SameBits => {}
            Check::PartOfR | Check::PartOfT => {
                let (part, whole) = if info.check == Check::PartOfR { (aty, r) } else { (r, aty) };
                if part.bits() < 8 || part.bits() > whole.bits() {
                    return None;
                }
                at = 8 * self.random.below((whole.bits() - part.bits()) as usize / 8 + 1) as u32;
            }
            Check::SlotType if op == Op::Slot => {
                let (slot, ty) = self.slot();
                (named, r) = (Some(slot.0.into()), ty);
            }
            Check::SlotType => {
                let i = self.random.below(self.tuples.len());
                let slot = self.random.pick(&self.tuples.get(i)?.1)?;
                let r = decls.slots[slot.index()].ty;
                let tuple = self.tuples[i].0;
                return Some(Inst::new(op, aty, r, 0, &[tuple, Operand::index(slot.0.into())]));
            }
            Check::TagType => {
                let tag = self.random.below(decls.tags.len());
                named = Some(tag as u32);
                let inside = decls.tags[tag].ty;
                if op == Op::Box { aty = inside } else { r = inside }
            }
        }
        if op == Op::HasTag {
            named = Some(self.random.below(decls.tags.len()) as u32);
        }
        let attr = match info.suffix {
            Suffix::None | Suffix::Lane => 0,
            Suffix::Flag => self.random.below(6),
            Suffix::Cond => self.random.below(16),
            Suffix::Round => self.random.below(4),
        } as u8;
        let ty = match info.result {
            Arg::T => aty,
            Arg::I1 => Type::I1,
            Arg::I64 => Type::I64,
            Arg::F => Type::Flags,
            Arg::None => Type::Void,
            _ => r,
        };
        let mut operands = Vec::new();
        for arg in info.args {
            operands.push(match arg {
                Arg::T => self.operand(aty),
                Arg::R => self.operand(ty),
                Arg::I1 => self.operand(Type::I1),
                Arg::I64 => self.operand(Type::I64),
                Arg::F => self.operand(Type::Flags),
                Arg::V => self.values.iter().find(|v| v.1.is_vector())?.0,
                Arg::Imm => Operand::index(at),
                Arg::Tag | Arg::Slot => Operand::index(named?),
                Arg::Lanes => {
                    let lanes = (ty.bits() / aty.bits()) as usize;
                    let index: Vec<u8> = (0..lanes).map(|_| self.random.below(2 * lanes) as u8).collect();
                    let bits = crate::eval::from_bytes(&index);
                    self.b.trace_mut().wide_literal(Type::V512, &bits)
                }
                Arg::Tuple | Arg::None => return None,
            });
        }
        Some(Inst::new(op, aty, ty, attr, &operands))
    }
}

/// What must hold of every well-formed trace: the verifier accepts it; printed and parsed it is well-formed,
/// prints the same and means the same.
///
/// # Errors
/// What does not hold, with the trace's text.
pub fn check_trace(trace: &Trace) -> Result<(), String> {
    let text = print::file(trace);
    let fail = |what: String| Err(format!("{what}\n{text}"));
    let list = |all: Vec<verify::VerifyError>| all.iter().map(|e| format!("{e}\n")).collect::<String>();
    if let Err(all) = verify::verify(trace) {
        return fail(list(all));
    }
    let again = match parse::parse(&text) {
        Ok(p) => p.trace,
        Err(e) => return fail(e.to_string()),
    };
    if let Err(all) = verify::verify(&again) {
        return fail(format!("after parsing: {}", list(all)));
    }
    if print::file(&again) != text {
        return fail(format!("prints differently after parsing:\n{}", print::file(&again)));
    }
    if let Err(difference) = compare(trace, &again, &[], 8) {
        return fail(difference.to_string());
    }
    Ok(())
}

/// What must hold of any text: parsing it, and verifying, printing and running what comes out, neither panics
/// nor fails to end; and what is printed parses to the same text again.
///
/// # Errors
/// What does not hold.
pub fn check_text(text: &str) -> Result<(), String> {
    let Ok(parsed) = parse::parse(text) else { return Ok(()) };
    let trace = parsed.trace;
    let well_formed = verify::verify(&trace).is_ok();
    let printed = print::file(&trace);
    if well_formed {
        check_trace(&trace)?;
    }
    let mut machine = TestMachine::new(trace.decls.alias(), Some(1));
    let mut state = State::new(&trace.decls);
    Interp::new().run(&trace, &mut state, &mut machine, 3);
    match parse::parse(&printed) {
        Ok(again) if well_formed && print::file(&again.trace) != printed => Err(printed),
        Err(e) if well_formed => Err(format!("{e}\n{printed}")),
        _ => Ok(()),
    }
}

/// Text with a few random changes: characters removed, doubled, replaced; lines exchanged; pieces from
/// elsewhere.
pub fn mutate(text: &str, seed: u64) -> String {
    const PIECES: [&str; 24] = [
        "%",
        "%0",
        "%4294967295",
        "exit",
        "like",
        "0x",
        "-",
        "-1",
        "\"",
        "\\u{",
        "é",
        "{",
        "}",
        "(",
        "]",
        ",",
        ":",
        "!",
        ";",
        "\n",
        "1e999",
        "99999999999999999999999999999999999999999",
        "v512",
        "loop",
    ];
    let mut random = Random(seed);
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(4) {
        let at = random.below(chars.len());
        match random.below(6) {
            0 => {
                let end = (at + 1 + random.below(8)).min(chars.len());
                chars.drain(at.min(end)..end);
            }
            1 => {
                let end = (at + random.below(30)).min(chars.len());
                let piece: Vec<char> = chars[at.min(end)..end].to_vec();
                let to = random.below(chars.len());
                chars.splice(to..to, piece);
            }
            2 => chars.truncate(at),
            3 => {
                let mut lines: Vec<String> =
                    chars.iter().collect::<String>().lines().map(String::from).collect();
                let (i, j) = (random.below(lines.len()), random.below(lines.len()));
                if !lines.is_empty() {
                    lines.swap(i, j);
                }
                chars = lines.join("\n").chars().collect();
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                let end = (at + random.below(3)).min(chars.len());
                chars.splice(at.min(end)..end, piece.chars());
            }
        }
    }
    chars.into_iter().collect()
}
