//! Emission for vector registers: instructions, moves, and what exits put into vector slots.
//!
//! Moves that happen at once are done in this order: registers to memory, memory to memory (through scratch memory if it is
//! overwritten), registers among themselves (cycles through scratch memory), everything else into registers.

use ir::types::{SlotId, Type};

use super::super::{CodegenError, Home};
use super::asm::vector as row;
use super::asm::{Mem, Reg, Width, Xmm};
use super::emit::{Emitter, SCRATCH_CELLS, VECTOR_CELLS};
use super::exits::{ExitRecord, FlagsAt, Lane, Src};
use super::inst::{MInst, Remat};
use super::vinst::{Merge, Place, VOp};
use crate::regalloc::{Loc, VECTOR};

/// Where a vector comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VFrom {
    /// A register.
    Reg(Xmm),
    /// Memory (with so many bytes of it).
    Mem(Mem, u32),
    /// All zeros.
    Zero,
}

/// Where a vector goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VTo {
    /// A register.
    Reg(Xmm),
    /// Memory.
    Mem(Mem),
}

/// A move of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VMove {
    /// From where.
    pub from: VFrom,
    /// To where.
    pub to: VTo,
    /// How much.
    pub bytes: u32,
}

impl Emitter<'_> {
    fn place_at(&self, line: u32, k: usize) -> Place {
        match self.loc(line, k) {
            Loc::Reg(r) if r >= VECTOR => Place::Vector(Xmm(r - VECTOR)),
            Loc::Reg(r) => Place::General(Reg(r)),
            Loc::Spill(i) => Place::Memory(self.slot_mem(i)),
            _ => {
                let start = self.s.program.lines[line as usize].start as usize;
                match self.vector_from(self.s.program.opnds[start + k].vreg, Loc::Remat) {
                    VFrom::Mem(m, _) => Place::Memory(m),
                    _ => Place::Vector(Xmm(0)),
                }
            }
        }
    }

    /// An instruction on vector registers.
    pub(super) fn vector_line(&mut self, line: u32, inst: &MInst, op: VOp) {
        let mut srcs = [Place::Vector(Xmm(0)); 5];
        let mut count = usize::from(inst.srcs).min(4);
        for (k, src) in srcs.iter_mut().enumerate().take(count) {
            *src = self.place_at(line, k);
        }
        if inst.mem.is_some() {
            srcs[count] = Place::Memory(self.mem_at(line, inst));
            count += 1;
        }
        let def = (inst.defs > 0).then(|| {
            let at = usize::from(inst.srcs) + Self::mem_count(inst) + usize::from(inst.temps);
            self.place_at(line, at)
        });
        // In VEX form also a write of 128 bits changes what lies above: it clears that.
        self.wide |= def.is_some();
        self.s.kit.emit(&mut self.asm, op, inst.width, def, &srcs[..count]);
    }

    fn bytes_of(&self, vreg: u32) -> u32 {
        self.s.program.vregs[vreg as usize].size.into()
    }

    /// Where a value is.
    pub(super) fn vector_from(&self, vreg: u32, loc: Loc) -> VFrom {
        match loc {
            Loc::Reg(r) => VFrom::Reg(Xmm(r - VECTOR)),
            Loc::Spill(i) => VFrom::Mem(self.slot_mem(i), self.bytes_of(vreg)),
            _ => match self.s.remats.get(&vreg) {
                Some(Remat::Pool(at, bytes)) => {
                    VFrom::Mem(Mem::label(self.pool).offset(*at as i32), u32::from(*bytes))
                }
                Some(Remat::Memory(s, o)) => VFrom::Mem(Mem::segment(*s, *o), self.bytes_of(vreg)),
                _ => VFrom::Zero,
            },
        }
    }

    fn load_vector(&mut self, to: Xmm, from: VFrom, bytes: u32) {
        let kit = self.s.kit;
        self.wide = true;
        match from {
            VFrom::Reg(r) => kit.copy(&mut self.asm, bytes, to, r),
            VFrom::Mem(m, has) => kit.load(&mut self.asm, has.min(bytes), to, m),
            VFrom::Zero => kit.zero(&mut self.asm, to),
        }
    }

    pub(super) fn move_vector(&mut self, vreg: u32, from: Loc, to: u8) {
        let from = self.vector_from(vreg, from);
        self.load_vector(Xmm(to - VECTOR), from, self.bytes_of(vreg));
    }

    pub(super) fn store_vector(&mut self, r: u8, slot: u16, vreg: u32) {
        let (m, bytes) = (self.slot_mem(slot), self.bytes_of(vreg));
        self.s.kit.store(&mut self.asm, bytes, m, Xmm(r - VECTOR));
    }

    pub(super) fn vector_move(&self, from_vreg: u32, from: Loc, to: Loc) -> VMove {
        let to = match to {
            Loc::Reg(r) => VTo::Reg(Xmm(r.wrapping_sub(VECTOR))),
            Loc::Spill(i) => VTo::Mem(self.slot_mem(i)),
            _ => VTo::Reg(Xmm(0)),
        };
        VMove { from: self.vector_from(from_vreg, from), to, bytes: self.bytes_of(from_vreg) }
    }

    /// 64 bytes of scratch memory.
    fn cell(&self, i: i32) -> Mem {
        let (segment, start) = self.scratch_at();
        Mem::segment(segment, start + 8 * SCRATCH_CELLS + 64 * i)
    }

    /// Performs the moves at once.
    pub(super) fn parallel_vectors(&mut self, moves: &mut Vec<VMove>) -> Result<(), CodegenError> {
        let kit = self.s.kit;
        moves.retain(|m| match (m.from, m.to) {
            (VFrom::Reg(a), VTo::Reg(b)) => a != b,
            (VFrom::Mem(a, _), VTo::Mem(b)) => a != b,
            _ => true,
        });
        if moves.is_empty() {
            return Ok(());
        }
        // What memory needs through a register, and what is read from memory that is also written, is staged.
        let written: Vec<Mem> =
            moves.iter().filter_map(|m| if let VTo::Mem(t) = m.to { Some(t) } else { None }).collect();
        let mut next = 1;
        let mut staged = Vec::new();
        for m in moves.iter_mut() {
            let through = match (m.from, m.to) {
                (VFrom::Mem(f, _), _) => written.contains(&f),
                _ => false,
            };
            if through {
                if next >= VECTOR_CELLS {
                    return Err(CodegenError::TooLarge("vector moves through memory".into()));
                }
                let cell = self.cell(next);
                staged.push((m.from, cell, m.bytes));
                m.from = VFrom::Mem(cell, m.bytes);
                next += 1;
            }
        }
        let (t, save) = (Xmm(0), self.cell(0));
        if !staged.is_empty() {
            kit.store(&mut self.asm, 64, save, t);
            for (from, cell, bytes) in staged {
                self.load_vector(t, from, bytes);
                kit.store(&mut self.asm, bytes, cell, t);
            }
            kit.load(&mut self.asm, 64, t, save);
        }
        let mut later = Vec::new();
        for m in moves.iter() {
            match (m.from, m.to) {
                (VFrom::Reg(r), VTo::Mem(to)) => kit.store(&mut self.asm, m.bytes, to, r),
                (from, VTo::Mem(to)) => later.push((from, to, m.bytes)),
                _ => {}
            }
        }
        if !later.is_empty() {
            kit.store(&mut self.asm, 64, save, t);
            for (from, to, bytes) in later {
                self.load_vector(t, from, bytes);
                kit.store(&mut self.asm, bytes, to, t);
            }
            kit.load(&mut self.asm, 64, t, save);
        }
        let mut pending: Vec<(Xmm, Xmm, u32)> = Vec::new();
        let mut last: Vec<(VFrom, Xmm, u32)> = Vec::new();
        for m in moves.iter() {
            match (m.from, m.to) {
                (VFrom::Reg(a), VTo::Reg(b)) => pending.push((a, b, m.bytes)),
                (from, VTo::Reg(b)) => last.push((from, b, m.bytes)),
                _ => {}
            }
        }
        while !pending.is_empty() {
            match pending.iter().position(|(_, b, _)| !pending.iter().any(|(c, d, _)| c == b && d != b)) {
                Some(i) => {
                    let (a, b, bytes) = pending.swap_remove(i);
                    kit.copy(&mut self.asm, bytes, b, a);
                }
                None => {
                    // Only cycles are left. Exchanging two registers puts one of them right.
                    let (a, b, bytes) = pending.swap_remove(0);
                    if bytes == 16 && pending.iter().all(|p| p.2 == 16) {
                        for (x, y) in [(a, b), (b, a), (a, b)] {
                            if kit.high {
                                self.asm.evex(row::XORPS, 0, x, x, y);
                            } else if kit.vex {
                                self.asm.avx(row::XORPS, row::L128, x, x, y);
                            } else {
                                self.asm.sse(row::XORPS, x, y);
                            }
                        }
                        for (from, _, _) in &mut pending {
                            *from = match *from {
                                f if f == a => b,
                                f if f == b => a,
                                f => f,
                            };
                        }
                        pending.retain(|(from, to, _)| from != to);
                        continue;
                    }
                    // Of wider ones, one value waits in memory until all others have moved.
                    if next >= VECTOR_CELLS {
                        return Err(CodegenError::TooLarge("cycles of vector moves".into()));
                    }
                    let cell = self.cell(next);
                    next += 1;
                    kit.store(&mut self.asm, bytes, cell, a);
                    last.push((VFrom::Mem(cell, bytes), b, bytes));
                }
            }
        }
        for (from, to, bytes) in last {
            self.load_vector(to, from, bytes);
        }
        Ok(())
    }

    // --- exits -------------------------------------------------------------------------------------

    fn exit_from(&self, i: u32) -> (VFrom, u32) {
        let o = self.s.program.opnds[i as usize];
        (self.vector_from(o.vreg, o.loc), self.bytes_of(o.vreg))
    }

    /// The flags of a float comparison that an exit needs.
    pub(super) fn exit_float_flags(&mut self, flags: FlagsAt) {
        let FlagsAt::Float { ty, a, b } = flags else { return };
        let op = if ty == Type::F32 { row::UCOMISS } else { row::UCOMISD };
        let ((a, _), (b, _)) = (self.exit_from(a), self.exit_from(b));
        let kit = self.s.kit;
        // What is in no register goes through one that neither of them is in.
        let taken = [a, b];
        let mut spare = (0..16).map(Xmm).filter(|x| !taken.contains(&VFrom::Reg(*x)));
        let (x, y) = (spare.next().unwrap_or(Xmm(0)), spare.next().unwrap_or(Xmm(1)));
        let (first, second) = (matches!(a, VFrom::Reg(_)), !matches!(b, VFrom::Zero));
        let save = [(x, self.cell(0), !first), (y, self.cell(1), !second)];
        for (r, cell, _) in save.iter().filter(|s| s.2) {
            kit.store(&mut self.asm, 64, *cell, *r);
        }
        let a = if let VFrom::Reg(r) = a {
            r
        } else {
            self.load_vector(x, a, 16);
            x
        };
        let b: super::asm::XRm = match b {
            VFrom::Reg(r) => r.into(),
            VFrom::Mem(m, _) => m.into(),
            VFrom::Zero => {
                kit.zero(&mut self.asm, y);
                y.into()
            }
        };
        if kit.vex {
            self.asm.avx_un(op, row::L128, a, b);
        } else {
            self.asm.sse(op, a, b);
        }
        for (r, cell, _) in save.iter().filter(|s| s.2) {
            kit.load(&mut self.asm, 64, *r, *cell);
        }
    }

    /// Puts values into the vector slots of an exit.
    pub(super) fn exit_vectors(&mut self, record: &ExitRecord) -> Result<bool, CodegenError> {
        let mut moves = Vec::new();
        let mut merges: Vec<(Xmm, VFrom, Merge)> = Vec::new();
        let mut lanes: Vec<(Xmm, VFrom, Lane)> = Vec::new();
        for i in record.items.0..record.items.1 {
            let item = self.s.items[i as usize];
            let to = match self.host_home(SlotId(item.slot)) {
                Home::Vector(home) => Xmm(home),
                Home::Memory(s, o) if self.is_vector_slot(item.slot) => {
                    if let Src::Opnd(i) = item.src {
                        let (from, bytes) = self.exit_from(i);
                        moves.push(VMove { from, to: VTo::Mem(Mem::segment(s, o)), bytes });
                    }
                    continue;
                }
                _ => continue,
            };
            match item.src {
                Src::Opnd(o) => {
                    // A value shorter than the slot is zero above (VEX), or leaves what is there (legacy).
                    let (from, bytes) = self.exit_from(o);
                    moves.push(VMove { from, to: VTo::Reg(to), bytes });
                }
                Src::Merged(base, part, kind) => {
                    let (from, bytes) = self.exit_from(base);
                    moves.push(VMove { from, to: VTo::Reg(to), bytes });
                    merges.push((to, self.exit_from(part).0, kind));
                }
                Src::MergedLane(base, vector, lane) => {
                    let (from, has) = self.exit_from(base);
                    let bytes = if matches!(from, VFrom::Reg(_)) { 64 } else { has };
                    moves.push(VMove { from, to: VTo::Reg(to), bytes });
                    lanes.push((to, self.exit_from(vector).0, lane));
                }
                _ => return Err(CodegenError::Unsupported("a vector slot from this source".into())),
            }
        }
        moves.retain(|m| !matches!((m.from, m.to), (VFrom::Reg(a), VTo::Reg(b)) if a == b));
        let changed = !moves.is_empty() || !lanes.is_empty();
        // Parts in registers that change meanwhile wait in memory.
        let changes = |x: Xmm, own: Xmm| {
            moves.iter().any(|m| m.to == VTo::Reg(x))
                || merges.iter().any(|m| m.0 == x && m.0 != own)
                || x == own
                // Legacy instructions do not name it.
                || x.0 >= 16
        };
        let waits: Vec<bool> =
            merges.iter().map(|m| matches!(m.1, VFrom::Reg(x) if changes(x, m.0))).collect();
        let kit = self.s.kit;
        let mut cell = VECTOR_CELLS;
        for (m, waits) in merges.iter_mut().zip(&waits) {
            if *waits && let VFrom::Reg(x) = m.1 {
                if cell >= VECTOR_CELLS + 16 {
                    return Err(CodegenError::TooLarge("vector parts at an exit".into()));
                }
                let mem = self.cell_16(cell - VECTOR_CELLS);
                kit.store(&mut self.asm, 16, mem, x);
                m.1 = VFrom::Mem(mem, 16);
                cell += 1;
            }
        }
        // So do lanes, always.
        for (_, from, lane) in &mut lanes {
            let at = i32::from(lane.bit / 8);
            match *from {
                VFrom::Reg(x) => {
                    if cell >= VECTOR_CELLS + 16 {
                        return Err(CodegenError::TooLarge("vector parts at an exit".into()));
                    }
                    let mem = self.cell_16(cell - VECTOR_CELLS);
                    if at < 16 {
                        kit.store(&mut self.asm, 16, mem, x);
                    } else if kit.high {
                        self.asm.evex_un_imm(row::VEXTRACTF128, 1, x, mem, 1);
                    } else {
                        self.asm.avx_un_imm(row::VEXTRACTF128, row::L256, x, mem, 1);
                    }
                    *from = VFrom::Mem(mem.offset(at % 16), 16);
                    cell += 1;
                }
                VFrom::Mem(m, _) => *from = VFrom::Mem(m.offset(at), 16),
                VFrom::Zero => {}
            }
        }
        self.parallel_vectors(&mut moves)?;
        // Legacy instructions keep what lies above, in VEX code too.
        for (to, part, kind) in merges {
            match (kind, part) {
                (Merge::F32, VFrom::Reg(x)) => self.asm.sse(row::MOVSS, to, x),
                (Merge::F64, VFrom::Reg(x)) => self.asm.sse(row::MOVSD, to, x),
                (_, VFrom::Reg(x)) => self.asm.sse(row::MOVAPS, to, x),
                (Merge::F32, VFrom::Mem(m, _)) => self.asm.sse_imm(row::INSERTPS, to, m, 0),
                (Merge::F64, VFrom::Mem(m, _)) => self.asm.sse(row::MOVLPS, to, m),
                (_, VFrom::Mem(m, _)) => self.asm.sse(row::MOVUPS, to, m),
                (Merge::F32, VFrom::Zero) => self.asm.sse_imm(row::INSERTPS, to, to, 1),
                (Merge::F64, VFrom::Zero) => self.asm.sse_imm(row::INSERTPS, to, to, 3),
                (_, VFrom::Zero) => self.asm.sse(row::XORPS, to, to),
            }
        }
        for (to, part, lane) in lanes {
            let VFrom::Mem(m, _) = part else {
                match (lane.kind, lane.zero) {
                    (Merge::F32, false) => self.asm.sse_imm(row::INSERTPS, to, to, 1),
                    (Merge::F64, false) => self.asm.sse_imm(row::INSERTPS, to, to, 3),
                    _ => self.asm.sse(row::XORPS, to, to),
                }
                continue;
            };
            match (lane.kind, lane.zero) {
                (Merge::F32, true) => self.asm.sse(row::MOVSS_LOAD, to, m),
                (Merge::F32, false) => self.asm.sse_imm(row::INSERTPS, to, m, 0),
                (Merge::F64, true) => self.asm.sse(row::MOVSD_LOAD, to, m),
                (Merge::F64, false) => self.asm.sse(row::MOVLPS, to, m),
                _ => self.asm.sse(row::MOVUPS, to, m),
            }
        }
        Ok(changed)
    }

    /// If nothing is left above 128 bits in any vector register, tells the machine so: else it would carry upper parts
    /// along in all legacy instructions from here on. Touches no flags.
    pub(super) fn clear_uppers(&mut self) {
        let kit = self.s.kit;
        let (a, b) = (Xmm(14), Xmm(15));
        let cells = [self.cell(0), self.cell(1)];
        let (segment, start) = self.scratch_at();
        let rcx = Mem::segment(segment, start);
        let asm = &mut self.asm;
        asm.store(Width::W64, rcx, Reg::RCX);
        kit.store(asm, 64, cells[0], a);
        kit.store(asm, 64, cells[1], b);
        let length = row::Length(kit.whole.min(1));
        if kit.whole == 2 {
            // Two chains.
            for r in (0..14).step_by(2) {
                asm.evex_or3(if r % 4 == 0 { a } else { b }, Xmm(r), Xmm(r + 1));
            }
            asm.evex(row::POR, 2, b, b, a);
            asm.evex_extract(256, a, b, 1);
        } else {
            for r in 0..15 {
                asm.avx(row::POR, length, b, b, Xmm(r));
            }
            asm.avx(row::PXOR, row::L256, a, a, a);
        }
        // The second quarter, then the third, then the fourth.
        asm.avx_un_imm(row::VEXTRACTF128, row::L256, b, b, 1);
        asm.avx(row::POR, row::L128, b, b, a);
        asm.avx_un_imm(row::VEXTRACTF128, row::L256, a, a, 1);
        asm.avx(row::POR, row::L128, b, b, a);
        asm.avx_shift(row::VShift::Psrldq, row::L128, a, b, 8);
        asm.avx(row::POR, row::L128, b, b, a);
        asm.avx_to(row::Cross::MovFrom, Width::W64, row::L128, Reg::RCX, b);
        kit.load(asm, 64, a, cells[0]);
        kit.load(asm, 64, b, cells[1]);
        let clean = asm.jrcxz_short();
        let done = asm.jmp_short();
        asm.land(clean);
        asm.vzeroupper();
        asm.land(done);
        asm.mov(Width::W64, Reg::RCX, rcx);
    }

    /// 16 bytes of scratch memory behind the cells of 64.
    fn cell_16(&self, i: i32) -> Mem {
        let (segment, start) = self.scratch_at();
        Mem::segment(segment, start + 8 * SCRATCH_CELLS + 64 * VECTOR_CELLS + 16 * i)
    }
}
