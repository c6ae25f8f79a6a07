//! Emission: allocated lines to bytes, in program order, then the exits out of line.

use iced_x86::{Decoder, DecoderOptions, Encoder};
use ir::trace::Trace;
use ir::types::{Cond, Pc, SlotId, Type};

use super::super::{Code, CodeExit, CodegenError, FaultRange, Home, Host, IndirectAbi, Leaving, Segment};
use super::asm::integer::{Plain, ShiftX, Unary};
use super::asm::{Alu, Asm, AsmError, Label, Mem, Reg, Rm, Scale, Shift, Width};
use super::exits::{self, ExitItem, ExitRecord, FlagsAt, Src};
use super::inst::{MInst, MOp, Remat};
use super::moves::{self, From, Scratch, To, Tweak};
use super::select::{self, Selected};
use crate::regalloc::{Action, Allocation, Loc, NONE, VECTOR};
use ir::snapshot::Target;

/// Cells of scratch memory at the start of the spill area.
pub const SCRATCH_CELLS: i32 = 24;

/// Cells of 64 bytes behind them, for moves of vectors; 16 of 16 bytes follow.
pub const VECTOR_CELLS: i32 = 8;

/// Bytes of all scratch memory.
pub const SCRATCH_BYTES: i32 = 8 * SCRATCH_CELLS + 64 * VECTOR_CELLS + 16 * 16;

/// One emission.
pub struct Emitter<'a> {
    pub(super) trace: &'a Trace,
    host: &'a dyn Host,
    pub(super) s: &'a Selected,
    alloc: &'a Allocation,
    pub(super) asm: Asm,
    code: Code,
    segment: Segment,
    slots: i32,
    scratch: Scratch,
    abi: IndirectAbi,
    /// Where the constants stand.
    pub(super) pool: Label,
    /// Does anything work on more than 128 bits?
    has_wide: bool,
    /// Exits whose code stands out of line: record, place, and [`Emitter::wide`] where they leave.
    cold: Vec<(u32, Label, bool)>,
    /// Has something been made that may change bits above 128 in a vector register, or may something have come round a loop?
    pub(super) wide: bool,
    /// Fault ranges whose code is the cold entry with this index.
    fault_to: Vec<(usize, Label)>,
    head: Option<Label>,
    /// The back edge's field, where it goes, and the interrupt exit's record.
    back: Option<(u32, u32, u32)>,
    /// Bytes of padding in front of the loop's head.
    padding: u32,
}

impl<'a> Emitter<'a> {
    /// Emits everything.
    pub fn run(
        trace: &'a Trace,
        host: &'a dyn Host,
        s: &'a Selected,
        alloc: &'a Allocation,
        mut asm: Asm,
    ) -> Result<(Code, Asm), CodegenError> {
        let pool = asm.label();
        let (segment, start, _) = host.spill_area();
        let mut e = Emitter {
            trace,
            host,
            s,
            alloc,
            asm,
            pool,
            code: Code::default(),
            segment,
            slots: start + SCRATCH_BYTES,
            scratch: Scratch::new(segment, start, SCRATCH_CELLS).without(host.reserved()),
            abi: host.indirect(),
            has_wide: trace.insts.iter().any(|i| i.ty == Type::V256 || i.aty == Type::V256),
            cold: Vec::new(),
            wide: false,
            fault_to: Vec::new(),
            head: None,
            back: None,
            padding: 0,
        };
        e.hot()?;
        if e.wants_padding() {
            // The loop's head moves so that the back edge's field lies well; then everything is emitted again.
            let at = e.asm.at();
            e.asm.reset(at);
            e.pool = e.asm.label();
            e.code = Code::default();
            e.cold.clear();
            e.fault_to.clear();
            e.hot()?;
        }
        let pool = e.pool;
        e.code.hot_end = e.asm.offset();
        e.cold()?;
        if !s.pool.bytes.is_empty() {
            e.asm.align(64);
        }
        e.asm.bind(pool);
        e.asm.raw(&s.pool.bytes);
        let Emitter { mut asm, mut code, fault_to, .. } = e;
        asm.resolve().map_err(|e: AsmError| CodegenError::TooLarge(e.to_string()))?;
        for (range, label) in fault_to {
            if let (Some(to), Some((at, _))) = (asm.position(label), &mut code.faults[range].to) {
                *at = to;
            }
        }
        code.bytes = asm.bytes().to_vec();
        code.faults.sort_by_key(|f| f.start);
        Ok((code, asm))
    }

    // --- places ------------------------------------------------------------------------------------

    pub(super) fn scratch_at(&self) -> (Segment, i32) {
        (self.scratch.segment, self.scratch.start)
    }

    pub(super) fn host_home(&self, slot: SlotId) -> Home {
        self.host.home(slot)
    }

    pub(super) fn slot_mem(&self, i: u16) -> Mem {
        Mem::segment(self.segment, self.slot_offset(i))
    }

    fn slot_offset(&self, i: u16) -> i32 {
        self.slots + self.alloc.slots[i as usize].offset as i32
    }

    pub(super) fn loc(&self, line: u32, k: usize) -> Loc {
        let start = self.s.program.lines[line as usize].start as usize;
        self.s.program.opnds[start + k].loc
    }

    fn reg_at(&self, line: u32, k: usize) -> Reg {
        match self.loc(line, k) {
            Loc::Reg(r) => Reg(r),
            _ => Reg(0),
        }
    }

    fn rm_at(&self, line: u32, k: usize) -> Rm {
        match self.loc(line, k) {
            Loc::Reg(r) => Reg(r).into(),
            Loc::Spill(i) => self.slot_mem(i).into(),
            _ => Reg(0).into(),
        }
    }

    pub(super) fn mem_count(inst: &MInst) -> usize {
        inst.mem.map_or(0, |m| usize::from(m.base) + usize::from(m.index.is_some()))
    }

    pub(super) fn mem_at(&self, line: u32, inst: &MInst) -> Mem {
        let Some(m) = inst.mem else { return Mem::segment(self.segment, 0) };
        if m.pool {
            return Mem::label(self.pool).offset(m.disp);
        }
        if m.near {
            return Mem::address(self.asm.at().wrapping_add_signed(m.disp.into()));
        }
        let mut k = usize::from(inst.srcs);
        let base = if m.base {
            k += 1;
            super::asm::Base::Reg(self.reg_at(line, k - 1))
        } else {
            super::asm::Base::None
        };
        let index = m.index.map(|s| (self.reg_at(line, k), Scale::of(1 << s).unwrap_or(Scale::X1)));
        if let Some(Segment::Register(r)) = m.segment {
            // Selection leaves a place for it.
            return match base {
                super::asm::Base::Reg(b) => Mem::indexed(b, Reg(r), Scale::X1, m.disp),
                _ => Mem { segment: None, base: super::asm::Base::Reg(Reg(r)), index, disp: m.disp },
            };
        }
        Mem { segment: m.segment, base, index, disp: m.disp }
    }

    fn def_at(&self, line: u32, inst: &MInst, k: usize) -> Reg {
        self.reg_at(line, usize::from(inst.srcs) + Self::mem_count(inst) + usize::from(inst.temps) + k)
    }

    fn from(&self, vreg: u32, loc: Loc) -> From {
        match loc {
            Loc::Reg(r) if r >= VECTOR => From::Vector(r - VECTOR),
            Loc::Reg(r) => From::Reg(r, Tweak::None),
            Loc::Spill(i) => From::Mem(self.segment, self.slot_offset(i), Tweak::None),
            _ => match self.s.remats.get(&vreg) {
                Some(Remat::Int(i)) => From::Int(*i),
                Some(Remat::Memory(s, o)) => From::Mem(*s, *o, Tweak::None),
                Some(Remat::Base(s)) => From::Base(*s),
                _ => From::Int(0),
            },
        }
    }

    // --- the hot part ------------------------------------------------------------------------------

    fn hot(&mut self) -> Result<(), CodegenError> {
        let mut moves = Vec::new();
        let mut at = 0;
        for i in 0..self.alloc.actions.len() {
            if let Some((line, cond)) = self.last_guard(i) {
                // The way round the loop is the jump; falling out of it leaves.
                let (guard, back) = (self.s.insts[line as usize], self.s.insts[0]);
                self.back_jump(Some(cond.negate()), back.exit);
                let start = self.asm.offset();
                return self.exit_code(guard.exit, start);
            }
            match self.alloc.actions[i] {
                Action::Move { vreg, from, to } => {
                    if to >= VECTOR {
                        self.move_vector(vreg, from, to);
                    } else {
                        let from = self.from(vreg, from);
                        moves::load(&mut self.asm, to, from);
                    }
                }
                Action::Moves(first, end) => {
                    moves.clear();
                    let mut vectors = Vec::new();
                    for m in &self.alloc.moves[first as usize..end as usize] {
                        if self.s.program.vregs[m.from_vreg as usize].class & select::GENERAL == 0 {
                            vectors.push(self.vector_move(m.from_vreg, m.from, m.to));
                            continue;
                        }
                        let to = match m.to {
                            Loc::Reg(r) => To::Reg(r),
                            Loc::Spill(i) => To::Mem(self.segment, self.slot_offset(i)),
                            _ => continue,
                        };
                        moves.push((self.from(m.from_vreg, m.from), to));
                    }
                    self.parallel_vectors(&mut vectors)?;
                    moves::parallel(&mut self.asm, &mut moves, self.scratch)?;
                }
                Action::Line(line) => {
                    let inst = self.s.insts[line as usize];
                    let now = self.s.facts.at.get(inst.ir as usize).copied().unwrap_or(0);
                    if now != at && now > 0 {
                        at = now;
                        if let Some(pc) = self.trace.at_pc(&self.trace.insts[at as usize - 1]) {
                            let offset = self.asm.offset();
                            if self.code.lines.last().is_none_or(|l| l.1 != pc) {
                                self.code.lines.push((offset, pc));
                            }
                        }
                    }
                    self.line(line, &inst)?;
                    self.spills(line, &inst);
                }
            }
        }
        Ok(())
    }

    /// Is this action a guard with nothing but the back edge behind it?
    fn last_guard(&self, i: usize) -> Option<(u32, Cond)> {
        let [Action::Line(line), Action::Moves(a, b), Action::Line(0)] = *self.alloc.actions.get(i..i + 3)?
        else {
            return None;
        };
        match self.s.insts[line as usize].op {
            MOp::Jcc(cond) if a == b && self.s.insts[0].op == MOp::Back => Some((line, cond)),
            _ => None,
        }
    }

    /// Decides where the loop's head should stand: such that the back edge's field lies within one aligned 8-byte word, and
    /// the head at a multiple of 32 or 16 if both is possible.
    fn wants_padding(&mut self) -> bool {
        let Some((field, head, _)) = self.back else { return false };
        let (field, head) = (self.asm.at() + u64::from(field), self.asm.at() + u64::from(head));
        let fits = |p: &u64| (field + p) & 7 <= 4;
        let by = |n: u64| (0..32).find(|p| (head + p).is_multiple_of(n) && fits(p));
        self.padding = by(32).or_else(|| by(16)).or_else(|| by(1)).unwrap_or(0) as u32;
        self.padding != 0
    }

    /// Stores the results that have spill slots.
    fn spills(&mut self, line: u32, inst: &MInst) {
        let first = usize::from(inst.srcs) + Self::mem_count(inst) + usize::from(inst.temps);
        let start = self.s.program.lines[line as usize].start as usize;
        for k in first..first + usize::from(inst.defs) {
            let o = self.s.program.opnds[start + k];
            if let (Loc::Reg(r), Loc::Spill(i)) = (o.loc, self.alloc.spill[o.vreg as usize]) {
                if r >= VECTOR {
                    self.store_vector(r, i, o.vreg);
                } else {
                    let mem = self.slot_mem(i);
                    self.asm.store(Width::W64, mem, Reg(r));
                }
            }
        }
    }

    /// The second source: register, spilled value or memory operand; `None` for an immediate.
    fn second(&self, line: u32, inst: &MInst) -> Option<Rm> {
        if inst.srcs >= 2 {
            Some(self.rm_at(line, 1))
        } else if inst.mem.is_some() {
            Some(self.mem_at(line, inst).into())
        } else {
            None
        }
    }

    /// The first source for instructions that take it from memory too.
    fn first(&self, line: u32, inst: &MInst) -> Rm {
        if inst.srcs >= 1 { self.rm_at(line, 0) } else { self.mem_at(line, inst).into() }
    }

    fn copy_to(&mut self, d: Reg, from: Rm, width: Width) {
        if from != Rm::Reg(d) {
            self.asm.mov(if width == Width::W64 { width } else { Width::W32 }, d, from);
        }
    }

    fn line(&mut self, line: u32, inst: &MInst) -> Result<(), CodegenError> {
        let start = self.asm.offset();
        let w = inst.width;
        // All machines with 256-bit integer vectors have these too; on older ones some of them mean something else.
        if matches!(inst.op, MOp::ShiftX(_) | MOp::Bmi(_) | MOp::Count(_)) && !self.host.features().v256 {
            return Err(CodegenError::Unsupported("bit manipulation instructions".into()));
        }
        match inst.op {
            MOp::Entry => self.code.entry = start,
            MOp::Head => {
                self.asm.nop(self.padding as usize);
                let label = self.asm.here();
                self.head = Some(label);
                self.wide = true;
            }
            MOp::Back => self.back_jump(None, inst.exit),
            MOp::End => {
                // The exit's code follows in line.
                self.exit_code(inst.exit, start)?;
            }
            MOp::Jcc(cond) => {
                let label = self.cold_label(inst.exit);
                self.asm.jcc(cond, label);
            }
            MOp::Copy => {
                let (d, s) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.copy_to(d, s, Width::W64);
            }
            MOp::Lea => {
                let (d, m) = (self.def_at(line, inst, 0), self.mem_at(line, inst));
                self.asm.lea(w, d, m);
            }
            MOp::Load => {
                let (d, m) = (self.def_at(line, inst, 0), self.mem_at(line, inst));
                match w {
                    Width::W8 | Width::W16 => self.asm.movzx(w, d, m),
                    _ => self.asm.mov(w, d, m),
                }
            }
            MOp::LoadSx(from) => {
                let (d, m) = (self.def_at(line, inst, 0), self.mem_at(line, inst));
                self.asm.movsx(from, w, d, m);
            }
            MOp::Store => {
                let m = self.mem_at(line, inst);
                if inst.srcs > 0 {
                    let s = self.reg_at(line, 0);
                    self.asm.store(w, m, s);
                } else {
                    self.asm.store_imm(w, m, inst.imm as i32);
                }
            }
            MOp::Alu(op) => self.alu(line, inst, op),
            MOp::AddImm => {
                let (d, a, k) = (self.def_at(line, inst, 0), self.rm_at(line, 0), inst.imm as i32);
                match a {
                    Rm::Reg(s) if s != d => self.asm.lea(w, d, Mem::base(s, k)),
                    _ => {
                        self.copy_to(d, a, w);
                        self.asm.alu_imm(Alu::Add, w, d, k);
                    }
                }
            }
            MOp::Merge => {
                let (d, a, part) = (self.def_at(line, inst, 0), self.rm_at(line, 0), self.reg_at(line, 1));
                self.copy_to(d, a, Width::W64);
                self.asm.mov(w, d, part);
            }
            MOp::AluMem(op) => {
                let m = self.mem_at(line, inst);
                if inst.srcs > 0 {
                    let s = self.reg_at(line, 0);
                    self.asm.alu_to(op, w, m, s);
                } else {
                    self.asm.alu_imm(op, w, m, inst.imm as i32);
                }
            }
            MOp::Cmp => {
                let a = self.rm_at(line, 0);
                match (a, self.second(line, inst)) {
                    (Rm::Reg(a), Some(b)) => self.asm.alu(Alu::Cmp, w, a, b),
                    (Rm::Mem(a), Some(Rm::Reg(b))) => self.asm.alu_to(Alu::Cmp, w, a, b),
                    (Rm::Reg(a), None) if inst.imm == 0 => self.asm.test(w, a, a),
                    (a, None) => self.asm.alu_imm(Alu::Cmp, w, a, inst.imm as i32),
                    _ => return Err(CodegenError::Unsupported("a compare of memory with memory".into())),
                }
            }
            MOp::CmpMem => {
                let m = self.mem_at(line, inst);
                if inst.srcs > 0 {
                    let s = self.reg_at(line, 0);
                    self.asm.alu_to(Alu::Cmp, w, m, s);
                } else {
                    self.asm.alu_imm(Alu::Cmp, w, m, inst.imm as i32);
                }
            }
            MOp::Test => {
                let a = self.rm_at(line, 0);
                match (a, self.second(line, inst)) {
                    (a, Some(Rm::Reg(b))) => self.asm.test(w, a, b),
                    (Rm::Reg(a), Some(b)) => self.asm.test(w, b, a),
                    (a, None) => self.asm.test_imm(w, a, inst.imm as i32),
                    _ => return Err(CodegenError::Unsupported("a test of memory with memory".into())),
                }
            }
            MOp::TestMem => {
                let m = self.mem_at(line, inst);
                if inst.srcs > 0 {
                    let s = self.reg_at(line, 0);
                    self.asm.test(w, m, s);
                } else {
                    self.asm.test_imm(w, m, inst.imm as i32);
                }
            }
            MOp::IncDec(dec) => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.copy_to(d, a, w);
                if dec {
                    self.asm.dec(w, d);
                } else {
                    self.asm.inc(w, d);
                }
            }
            MOp::Neg | MOp::Not => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.copy_to(d, a, w);
                self.asm.unary(if inst.op == MOp::Neg { Unary::Neg } else { Unary::Not }, w, d);
            }
            MOp::Imul => {
                let (d, a, b) = self.tied(line, inst);
                let w = if w == Width::W8 { Width::W32 } else { w };
                self.copy_to(d, a, w);
                self.asm.imul(w, d, b.unwrap_or(a));
            }
            MOp::ImulImm => {
                let (d, a) = (self.def_at(line, inst, 0), self.first(line, inst));
                self.asm.imul_imm(w, d, a, inst.imm as i32);
            }
            MOp::MulWide(signed) => {
                let b = self.rm_at(line, 1);
                self.asm.unary(if signed { Unary::Imul } else { Unary::Mul }, w, b);
            }
            MOp::Div(signed) => {
                let b = self.rm_at(line, 2);
                self.asm.unary(if signed { Unary::Idiv } else { Unary::Div }, w, b);
            }
            MOp::Div8(signed) => {
                let b = self.rm_at(line, 1);
                self.asm.unary(if signed { Unary::Idiv } else { Unary::Div }, Width::W8, b);
            }
            MOp::ShiftImm(op) => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                let by = inst.imm as u8;
                if !inst.sets_flags
                    && op == Shift::Shl
                    && by == 1
                    && let Rm::Reg(s) = a
                    && s != d
                    && s != Reg::RSP
                {
                    self.asm.lea(w, d, Mem::indexed(s, s, Scale::X1, 0));
                } else {
                    if by == 0 && w == Width::W32 {
                        self.asm.mov(w, d, a);
                    } else {
                        self.copy_to(d, a, w);
                    }
                    if by != 0 {
                        self.asm.shift(op, w, d, by);
                    }
                }
            }
            MOp::ShiftCl(op) => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.copy_to(d, a, w);
                self.asm.shift_cl(op, w, d);
            }
            MOp::ShiftX(op) => {
                let (d, a, n) = (self.def_at(line, inst, 0), self.rm_at(line, 0), self.reg_at(line, 1));
                let op = match op {
                    Shift::Shl => ShiftX::Shlx,
                    Shift::Shr => ShiftX::Shrx,
                    _ => ShiftX::Sarx,
                };
                self.asm.shiftx(op, w, d, a, n);
            }
            MOp::Zext(from) => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                match from {
                    Width::W8 | Width::W16 => self.asm.movzx(from, d, a),
                    _ => self.asm.mov(Width::W32, d, a),
                }
            }
            MOp::Sext(from) => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.asm.movsx(from, w, d, a);
            }
            MOp::Setcc(cond) => {
                let d = self.def_at(line, inst, 0);
                self.asm.setcc(cond, d);
                self.asm.movzx(Width::W8, d, d);
            }
            MOp::Cmov(cond) => {
                let (d, a, b) = (self.def_at(line, inst, 0), self.rm_at(line, 0), self.reg_at(line, 1));
                self.copy_to(d, a, w);
                self.asm.cmov(cond, w, d, b);
            }
            MOp::Bswap => {
                let (d, a) = (self.def_at(line, inst, 0), self.rm_at(line, 0));
                self.copy_to(d, a, w);
                self.asm.bswap(w, d);
            }
            MOp::Count(op) => {
                let (d, a) = (self.def_at(line, inst, 0), self.first(line, inst));
                self.asm.count(op, w, d, a);
            }
            MOp::Bmi(op) => {
                let (d, a) = (self.def_at(line, inst, 0), self.reg_at(line, 0));
                if let Some(b) = self.second(line, inst) {
                    self.asm.bmi(op, w, d, a, b);
                }
            }
            MOp::SaveFlags => exits::save_rax(&mut self.asm),
            MOp::RestoreFlags => exits::restore_rax(&mut self.asm),
            MOp::Xadd | MOp::Xchg => {
                let (d, a, m) = (self.def_at(line, inst, 0), self.rm_at(line, 0), self.mem_at(line, inst));
                self.copy_to(d, a, Width::W64);
                if inst.op == MOp::Xadd {
                    self.asm.lock_xadd(w, m, d);
                } else {
                    self.asm.xchg(w, m, d);
                }
            }
            MOp::LockAlu(op) => {
                let (s, m) = (self.reg_at(line, 0), self.mem_at(line, inst));
                self.asm.lock_alu(op, w, m, s);
            }
            MOp::Cmpxchg => {
                let (s, m) = (self.reg_at(line, 1), self.mem_at(line, inst));
                self.asm.lock_cmpxchg(w, m, s);
            }
            MOp::Mfence => self.asm.plain(Plain::Mfence),
            MOp::Vector(op) => self.vector_line(line, inst, op),
            MOp::Native => self.native(inst)?,
            MOp::Call(to, helper) => {
                self.call(to);
                self.host.behind_call(helper, self.asm.buffer());
            }
        }
        self.fault(inst, start);
        Ok(())
    }

    /// Result register, first source, second source of a two-operand instruction; sources changed over when the result has the register of the
    /// second.
    fn tied(&self, line: u32, inst: &MInst) -> (Reg, Rm, Option<Rm>) {
        let d = self.def_at(line, inst, 0);
        let a = self.first(line, inst);
        match self.second(line, inst) {
            Some(b) if b == Rm::Reg(d) && a != b => (d, b, Some(a)),
            b => (d, a, b),
        }
    }

    fn alu(&mut self, line: u32, inst: &MInst, op: Alu) {
        let w = inst.width;
        let (d, a, b) = self.tied(line, inst);
        match b {
            Some(b) => {
                if op == Alu::Add
                    && !inst.sets_flags
                    && let (Rm::Reg(x), Rm::Reg(y)) = (a, b)
                    && x != d
                    && matches!(w, Width::W32 | Width::W64)
                {
                    let (x, y) = if y == Reg::RSP { (y, x) } else { (x, y) };
                    if y != Reg::RSP {
                        return self.asm.lea(w, d, Mem::indexed(x, y, Scale::X1, 0));
                    }
                }
                self.copy_to(d, a, w);
                self.asm.alu(op, w, d, b);
            }
            None => {
                self.copy_to(d, a, w);
                self.asm.alu_imm(op, w, d, inst.imm as i32);
            }
        }
    }

    /// A guest instruction as it is; if it names memory relative to itself, encoded again to name the same memory.
    fn native(&mut self, inst: &MInst) -> Result<(), CodegenError> {
        let line = &self.trace.insts[inst.ir as usize];
        let Some(native) = self.trace.native(line) else {
            return Err(CodegenError::Unsupported("this native".into()));
        };
        let at = self.s.facts.at[inst.ir as usize];
        let pc = at.checked_sub(1).and_then(|i| self.trace.at_pc(&self.trace.insts[i as usize]));
        let ip = if let Some(Pc::Addr(a)) = pc { a } else { 0 };
        let mut decoder = Decoder::with_ip(64, native.bytes(), ip, DecoderOptions::NONE);
        let decoded = decoder.decode();
        if !decoded.is_ip_rel_memory_operand() {
            self.asm.raw(native.bytes());
            return Ok(());
        }
        let here = self.asm.at() + u64::from(self.asm.offset());
        let mut encoder = Encoder::new(64);
        match encoder.encode(&decoded, here) {
            Ok(_) => {
                self.asm.raw(&encoder.take_buffer());
                Ok(())
            }
            Err(e) => Err(CodegenError::Unsupported(e.to_string())),
        }
    }

    fn call(&mut self, to: u64) {
        let from = self.asm.at() + u64::from(self.asm.offset()) + 5;
        match i32::try_from(to.wrapping_sub(from) as i64) {
            Ok(distance) => {
                self.asm.raw(&[0xe8]);
                self.asm.raw(&distance.to_le_bytes());
            }
            Err(_) => {
                self.asm.mov_imm(Reg(0), to);
                self.asm.raw(&[0xff, 0xd0]);
            }
        }
    }

    /// Notes where the instruction's fault goes.
    fn fault(&mut self, inst: &MInst, start: u32) {
        let faults = inst.mem.is_some_and(|m| !m.pool) && inst.op != MOp::Lea
            || matches!(inst.op, MOp::Div(_) | MOp::Div8(_) | MOp::Native);
        if !faults {
            return;
        }
        let at = self.s.facts.at.get(inst.ir as usize).copied().unwrap_or(0);
        let pc = at.checked_sub(1).and_then(|i| self.trace.at_pc(&self.trace.insts[i as usize]));
        let end = self.asm.offset();
        let mut to = None;
        if inst.exit != NONE {
            let label = self.cold_label(inst.exit);
            to = Some((0, self.s.exits[inst.exit as usize].id));
            self.fault_to.push((self.code.faults.len(), label));
        }
        self.code.faults.push(FaultRange { start, end, to, pc });
    }

    fn cold_label(&mut self, record: u32) -> Label {
        let label = self.asm.label();
        self.cold.push((record, label, self.wide));
        label
    }

    fn back_jump(&mut self, cond: Option<Cond>, interrupt: u32) {
        match cond {
            Some(cond) => self.asm.raw(&[0x0f, 0x80 | cond as u8, 0, 0, 0, 0]),
            None => self.asm.raw(&[0xe9, 0, 0, 0, 0]),
        }
        let field = self.asm.offset() - 4;
        let head = self.head.and_then(|l| self.asm.position(l)).unwrap_or(0);
        self.asm.fill(field, head as i32 - (field as i32 + 4));
        self.back = Some((field, head, interrupt));
    }

    // --- exits -------------------------------------------------------------------------------------

    fn cold(&mut self) -> Result<(), CodegenError> {
        let cold = std::mem::take(&mut self.cold);
        for (record, label, wide) in cold {
            self.asm.bind(label);
            let start = self.asm.offset();
            self.wide = wide;
            self.exit_code(record, start)?;
        }
        if let Some((patch, head, record)) = self.back
            && record != NONE
        {
            let interrupt = self.asm.offset();
            self.wide = true;
            self.exit_code(record, interrupt)?;
            let id = self.s.exits[record as usize].id;
            let kind = self.trace.exit(id).map(|e| e.kind).unwrap_or_default();
            let leaving = Leaving::Back { head, interrupt };
            self.code.exits.push(CodeExit { exit: id, kind, leaving, patch, start: patch });
        }
        Ok(())
    }

    fn place(&self, src: Src) -> From {
        let at = |i: u32| {
            let o = self.s.program.opnds[i as usize];
            self.from(o.vreg, o.loc)
        };
        match src {
            Src::Opnd(i) | Src::Merged(i, ..) | Src::MergedLane(i, ..) => at(i),
            Src::Int(i) => From::Int(i),
            Src::Tweaked(i, tweak) => match at(i) {
                From::Reg(r, _) => From::Reg(r, tweak),
                From::Mem(s, o, _) => From::Mem(s, o, tweak),
                From::Int(i) => From::Int(tweak.of(i)),
                other => other,
            },
        }
    }

    /// General registers that are no slot's home: nobody needs what they hold once the exit has read it.
    fn free_at_exits(&self) -> u16 {
        let mut homes = 1 << self.abi.target;
        for slot in 0..self.trace.decls.slots.len() {
            if let Home::General(r) = self.host.home(SlotId(slot as u16)) {
                homes |= 1 << r;
            }
        }
        !homes
    }

    /// Registers that the exit writes and nothing at it reads.
    fn dead_at(&self, record: &ExitRecord) -> u16 {
        // Where no register is a home all of them are dead.
        let bare = (0..self.trace.decls.slots.len())
            .all(|s| !matches!(self.host.home(SlotId(s as u16)), Home::General(_)));
        let (mut written, mut read) =
            (if bare { 0xffef & !(self.host.reserved() as u16) } else { 0u16 }, 0u16);
        let mut reads = |src: Src| {
            if let From::Reg(r, _) = self.place(src)
                && r < VECTOR
            {
                read |= 1 << r;
            }
        };
        for item in &self.s.items[record.items.0 as usize..record.items.1 as usize] {
            if let Home::General(r) = self.host.home(SlotId(item.slot)) {
                written |= 1 << r;
                reads(item.src);
            } else if !matches!(self.host.home(SlotId(item.slot)), Home::Vector(_)) {
                reads(item.src);
            }
        }
        record.target.into_iter().for_each(&mut reads);
        match record.flags {
            FlagsAt::Keep | FlagsAt::Literal(_) | FlagsAt::Float { .. } => {}
            FlagsAt::Image(i) => reads(Src::Opnd(i)),
            FlagsAt::Op { a, b, c, .. } => [a, b, c].into_iter().for_each(reads),
        }
        written & !read
    }

    pub(super) fn is_vector_slot(&self, slot: u16) -> bool {
        self.trace.decls.slots[usize::from(slot)].ty.is_vector()
    }

    /// The code of an exit, up to and with its jump.
    fn exit_code(&mut self, record: u32, start: u32) -> Result<(), CodegenError> {
        let record: ExitRecord = self.s.exits[record as usize];
        let Some(exit) = self.trace.exit(record.id).copied() else {
            return Err(CodegenError::Unsupported("an exit that does not exist".into()));
        };
        let indirect = record.target.is_some();
        // Of code in registers that the guest's legacy instructions do not name, only what is put into the guest's own counts.
        let wide = self.wide;
        let mut asm = std::mem::replace(&mut self.asm, Asm::new(0));
        let flags_done = if record.flags == FlagsAt::Keep {
            Ok(())
        } else {
            let free = self.dead_at(&record);
            exits::flags(&mut asm, record.flags, self.scratch, free, &mut |src| self.place(src))
        };
        self.asm = asm;
        flags_done?;
        self.exit_float_flags(record.flags);
        let changed = self.exit_vectors(&record)?;
        let guests = (0..self.trace.decls.slots.len())
            .any(|s| matches!(self.host.home(SlotId(s as u16)), Home::Vector(_)));
        if self.s.kit.vex && guests && (changed || wide && !self.s.kit.high) {
            self.clear_uppers();
        } else if self.s.kit.vex && !guests && wide && self.has_wide {
            // No vector register has anything in it that is needed.
            self.asm.vzeroupper();
        }
        let mut list: Vec<(From, To)> = Vec::with_capacity(20);
        for i in record.items.0..record.items.1 {
            let ExitItem { slot, src } = self.s.items[i as usize];
            let from = self.place(src);
            match self.host.home(SlotId(slot)) {
                Home::General(r) => {
                    let saved = self.abi.in_memory.iter().find(|m| indirect && m.0 == r);
                    match saved {
                        Some((_, s, o)) => list.push((from, To::Mem(*s, *o))),
                        None => list.push((from, To::Reg(r))),
                    }
                }
                Home::Memory(..) if self.is_vector_slot(slot) => {}
                Home::Memory(s, o) | Home::Image(s, o) => list.push((from, To::Mem(s, o))),
                Home::Vector(_) => {}
                home => return Err(CodegenError::Unsupported(format!("an exit that writes {home:?}"))),
            }
        }
        if let Some(target) = record.target {
            list.push((self.place(target), To::Reg(self.abi.target)));
        }
        let scratch = self.scratch.lending(self.free_at_exits());
        moves::parallel(&mut self.asm, &mut list, scratch)?;
        if let Some(slot) = record.image
            && let Home::Image(s, o) = self.host.home(SlotId(slot))
        {
            // No register has anything in it that is needed, but the target of an indirect exit, which is another.
            exits::save_rax(&mut self.asm);
            self.asm.store(Width::W64, Mem::segment(s, o), Reg::RAX);
        }
        self.host.before_leaving(record.id, self.asm.buffer());
        let (patch, leaving) = match exit.target {
            Target::Pc(pc) => (self.asm.jmp_field(), Leaving::Direct(pc)),
            Target::Value(_) => {
                let at = self.asm.at();
                (self.host.indirect_tail(at, self.asm.buffer()), Leaving::Indirect)
            }
        };
        self.code.exits.push(CodeExit { exit: record.id, kind: exit.kind, leaving, patch, start });
        Ok(())
    }
}
