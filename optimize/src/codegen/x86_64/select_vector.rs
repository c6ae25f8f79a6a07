//! Selection of operations on vector registers: moves, parts, bits. Lanes are in `lanes`, scalar floats in `float`.
//!
//! A float or vector lives in a vector register; what lies above its bits there is undefined. [`super::vinst`] says how
//! the two encodings differ, `prepare_vector` what becomes of vectors wider than 128 bits in legacy code.
//!
//! Literals come from a pool of constants behind the code, as memory operands where they come last, else as values that
//! are loaded again wherever the allocator wants.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Operand, Type, Value, Wide};
use rustc_hash::FxHashMap;

use super::super::{CodegenError, Home};
use super::asm::vector::{self as row, Cross, V};
use super::asm::{Shift, Width};
use super::exits::{ExitItem, Lane, Src};
use super::inst::{MMem, MOp, Remat};
use super::prepare::{is_general, is_vector};
use super::prepare_vector::part_kind;
use super::select::{Address, HIGH, Selector, VECTORS, unsupported, vreg_of};
use super::select_flags::width_of;
use super::vinst::{Merge, VOp, What};
use crate::regalloc::{NONE, Role, VECTOR, Vreg};

/// Vector registers for values that a trace has at least.
const SPARE_UNTIL: u32 = 8;
/// The same of registers 16 to 31, where there is nothing else for values.
const SPARE_HIGH: u32 = 14;

/// Constants behind the code.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// Their bytes, each constant aligned to its size.
    pub bytes: Vec<u8>,
    known: FxHashMap<(Wide, u32), u32>,
}

impl Pool {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.known.clear();
    }

    /// The offset of the constant with these low `bytes` (16, 32 or 64).
    pub fn place(&mut self, bits: &Wide, bytes: u32) -> u32 {
        let list = &mut self.bytes;
        *self.known.entry((*bits, bytes)).or_insert_with(|| {
            list.resize(list.len().next_multiple_of(bytes as usize), 0);
            let at = list.len() as u32;
            list.extend(bits.iter().flat_map(|w| w.to_le_bytes()).take(bytes as usize));
            at
        })
    }
}

/// The last source of an instruction.
#[derive(Clone, Copy)]
pub(super) enum Last {
    /// A virtual register.
    Reg(u32),
    /// A constant of the pool.
    Pool(u32),
    /// What this virtual register would be loaded from.
    Load(u32, Address),
}

/// Vector length of a type: 0 for 128 bits and scalars, 1 for 256, 2 for 512.
pub(super) fn length_of(ty: Type) -> u8 {
    match ty {
        Type::V256 => 1,
        Type::V512 => 2,
        _ => 0,
    }
}

impl Selector<'_> {
    // --- slots -------------------------------------------------------------------------------------

    /// Decides which vector slots values may displace: those that the trace names, and a few more if those are few. All other
    /// vector registers are left alone, and exits need not mention them.
    pub(super) fn choose_vectors(&mut self) {
        let vectors = self.trace.insts.iter().any(|i| is_vector(i.ty) || is_vector(i.aty));
        let high = self.s.kit.high;
        let mut free = if high { VECTORS | HIGH } else { VECTORS };
        let mut named = vec![false; self.homes.len()];
        for exit in &self.trace.exits {
            for bind in self.trace.binds(exit) {
                named[bind.slot.index()] = true;
            }
        }
        // Legacy blends take their mask from there.
        let blends = !self.s.kit.vex && self.trace.insts.iter().any(|i| i.op == Op::VBlend);
        let mut count = 0;
        for (slot, home) in self.homes.iter().enumerate() {
            if let Home::Vector(r) = home {
                free &= !(1u64 << (VECTOR + r));
                let used = self.s.entries[slot] != NONE || named[slot] || blends && *r == 0;
                self.managed[slot] = used && (high || *r < 16);
                count += u32::from(self.managed[slot] && !high);
            }
        }
        self.vectors = vectors || count > 0;
        count += if high { (free & HIGH).count_ones() } else { free.count_ones() };
        for (slot, home) in self.homes.iter().enumerate().rev() {
            if let Home::Vector(r) = home
                && vectors
                && count < if high { SPARE_HIGH } else { SPARE_UNTIL }
                && (*r < 16) != high
                && !self.managed[slot]
            {
                self.managed[slot] = true;
                count += 1;
            }
        }
        for (home, managed) in self.homes.iter().zip(&self.managed) {
            if let Home::Vector(r) = home
                && *managed
            {
                free |= 1u64 << (VECTOR + r);
            }
        }
        self.s.vector_registers = free;
    }

    /// The value that would best be in a slot's home: what is bound to it, or what a recipe starts from.
    pub(super) fn vector_bound(&self, bound: Operand) -> Option<Value> {
        match self.trace.recipe(bound) {
            Some(recipe) if recipe.op == Op::Insert => recipe.args[0].as_value(),
            Some(_) => None,
            None => bound.as_value(),
        }
    }

    /// What an exit puts into a vector slot.
    pub(super) fn exit_vector(&mut self, slot: usize, bound: Operand) {
        let ty = self.trace.decls.slots[slot].ty;
        if !self.managed[slot] {
            return self.exit_elsewhere(slot, self.homes[slot], bound);
        }
        let upper = |s: &Self, o: Operand| match s.trace.recipe(o) {
            Some(r) if r.op == Op::Insert => r.args[0].as_value(),
            Some(_) => None,
            None => o.as_value(),
        };
        let stays = bound.is_none()
            || upper(self, bound).is_some_and(|v| self.s.facts.upper[v.index()] == slot as u16);
        if !self.s.kit.vex && !stays {
            return self.fail("the upper part of another vector slot");
        }
        let src = if bound.is_none() {
            let v = self.entry(slot);
            Src::Opnd(self.exit_operand(v))
        } else if let Some(recipe) = self.trace.recipe(bound).copied() {
            match part_kind(&recipe) {
                Some(kind) if recipe.op == Op::Insert => self.exit_merged(&recipe, ty, kind),
                _ => Src::Opnd(self.hot_recipe(&recipe)),
            }
        } else if let Some((insert, kind)) = self.sunk_insert(bound) {
            self.exit_merged(&insert, ty, kind)
        } else {
            let v = self.vec(bound, ty);
            Src::Opnd(self.exit_operand(v))
        };
        self.s.items.push(ExitItem { slot: slot as u16, src });
    }

    /// The `insert` that is left to the exits.
    fn sunk_insert(&self, o: Operand) -> Option<(Inst, Merge)> {
        let v = self.root(o.as_value()?);
        let insert = self.def(v).filter(|_| self.s.facts.sunk.contains(&v))?;
        Some((*insert, part_kind(insert)?))
    }

    /// A wide value with its low part replaced.
    fn exit_merged(&mut self, insert: &Inst, ty: Type, kind: Merge) -> Src {
        let mut base = insert.args[0];
        // What is replaced need not be made.
        while let Some((inner, other)) = self.sunk_insert(base)
            && (other == kind || kind == Merge::V128)
        {
            base = inner.args[0];
        }
        if let Some((vector, lane)) = self.lane_of(insert.args[1], kind) {
            let base = self.vec(base, ty);
            let base = self.exit_operand(base);
            return Src::MergedLane(base, self.exit_operand(vector), lane);
        }
        let (base, part) = (self.vec(base, ty), self.vec(insert.args[1], insert.aty));
        let base = self.exit_operand(base);
        Src::Merged(base, self.exit_operand(part), kind)
    }

    /// The vector of which a value is a lane, if nothing in the body needs the value.
    fn lane_of(&self, o: Operand, kind: Merge) -> Option<(u32, Lane)> {
        if !self.s.kit.vex {
            return None;
        }
        let uses = |v: u32| self.s.facts.uses[v as usize];
        let mut def = *self.def(self.root(o.as_value()?)).filter(|i| i.ty.bits() <= 128)?;
        let (mut kind, mut zero) = (kind, false);
        if def.op == Op::Zext && kind == Merge::V128 && uses(def.res.0) == 1 {
            kind = match def.aty {
                Type::F32 => Merge::F32,
                Type::F64 => Merge::F64,
                _ => return None,
            };
            zero = true;
            def = *self.def(self.root(def.args[0].as_value()?))?;
        }
        let vector = def.args[0].as_value().filter(|_| def.op == Op::Extract && def.aty == Type::V256)?;
        let fits = uses(def.res.0) == 1 && matches!(def.ty, Type::F32 | Type::F64 | Type::V128);
        let bit = def.args[1].as_index().filter(|_| fits)? as u16;
        Some((self.root(vector), Lane { bit, kind, zero }))
    }

    // --- operands ----------------------------------------------------------------------------------

    /// A virtual register with these bits of a vector register.
    pub(super) fn constant_vreg(&mut self, bits: &Wide, ty: Type) -> u32 {
        let at = self.s.pool.place(bits, ty.bytes().max(16));
        let zero = bits.iter().all(|w| *w == 0);
        let key = if zero { u32::MAX } else { at };
        if let Some(v) = self.s.constants.get(&(key, length_of(ty))) {
            return *v;
        }
        let v = self.new_vreg(Vreg { remat: true, ..vreg_of(ty) });
        self.s.constants.insert((key, length_of(ty)), v);
        let bytes = ty.bytes().max(16) as u8;
        self.s.remats.insert(v, if zero { Remat::Zero } else { Remat::Pool(at, bytes) });
        v
    }

    /// The bits of a literal of a vector or float type.
    pub(super) fn bits_of(&self, o: Operand, ty: Type) -> Option<Wide> {
        self.trace.literal_bits(o, ty)
    }

    /// An operand in a vector register.
    pub(super) fn vec(&mut self, o: Operand, ty: Type) -> u32 {
        match o.as_value() {
            Some(v) => self.root(v),
            None => {
                let bits = self.bits_of(o, ty).unwrap_or_default();
                self.constant_vreg(&bits, ty)
            }
        }
    }

    /// An operand as the last source: a register, a constant in memory, or a load that is done here. Memory operands of legacy
    /// instructions are aligned if they have 128 bits, which a load does not promise; so loads are folded only if they
    /// are smaller (`small`: the instruction reads no more of memory than the type has).
    pub(super) fn last(&mut self, o: Operand, ty: Type, small: bool) -> Last {
        let Some(value) = o.as_value() else {
            let bits = self.bits_of(o, ty).unwrap_or_default();
            if bits.iter().all(|w| *w == 0) {
                return Last::Reg(self.constant_vreg(&bits, ty));
            }
            return Last::Pool(self.s.pool.place(&bits, ty.bytes().max(16)));
        };
        let v = self.root(value);
        if (self.s.kit.vex || small)
            && v == value.0
            && let Some(address) = self.load_of(v, ty, self.here)
        {
            return Last::Load(v, address);
        }
        Last::Reg(v)
    }

    /// The last source. A register may be left in its spill slot if `what` reads no more of it than the slot has, and does with memory
    /// what it does with a register.
    pub(super) fn last_src(&mut self, last: Last, what: What, bytes: u32) {
        let only_register = match what {
            What::Bin(v) => !v.in_memory(),
            What::From(op) => !op.converts(),
            // The rest of the result is that of the source's register.
            What::Low(_) | What::LowImm(..) => true,
            _ => false,
        };
        match last {
            Last::Reg(v) => {
                let fits = u32::from(self.s.program.vregs[v as usize].size) >= bytes;
                self.src(v, if fits && !only_register { Role::Any } else { Role::Use });
            }
            Last::Pool(at) => {
                let pool = MMem {
                    segment: None,
                    near: false,
                    base: false,
                    index: None,
                    disp: at as i32,
                    pool: true,
                };
                self.cur().mem = Some(pool);
            }
            Last::Load(v, address) => {
                self.fault_exit_of(v);
                self.mem(&address);
            }
        }
    }

    // --- building ----------------------------------------------------------------------------------

    /// Ends an instruction that may fault only if it reads memory of the guest.
    pub(super) fn end_vector(&mut self, last: Option<Last>) {
        match last {
            Some(Last::Load(..)) => self.end_faulting(0),
            _ => self.end(0),
        }
    }

    /// `v` by one instruction, the rest of its register undefined.
    pub(super) fn plain(&mut self, v: u32, what: What, ty: Type, srcs: &[u32], last: Option<Last>) {
        let op = VOp { length: length_of(ty), ..VOp::new(what) };
        self.begin(MOp::Vector(op), Width::W64);
        for s in srcs {
            self.src(*s, Role::Use);
        }
        if let Some(last) = last {
            self.last_src(last, what, 16 << length_of(ty));
        }
        let role = match op.reuses(self.s.kit.vex) {
            Some(sym) => Role::Reuse(sym && matches!(last, Some(Last::Reg(_)))),
            None => Role::Def,
        };
        self.def_(v, role);
        self.end_vector(last);
    }

    /// A new virtual register for a vector.
    pub(super) fn new_vector(&mut self, ty: Type) -> u32 {
        self.new_vreg(vreg_of(ty))
    }

    /// `v` (general) from a vector register.
    pub(super) fn move_to_general(&mut self, v: u32, what: What, width: Width, length: u8, src: Last) {
        self.begin(MOp::Vector(VOp { length, ..VOp::new(what) }), width);
        self.last_src(src, what, 16 << length);
        self.def_(v, Role::Def);
        self.end_vector(Some(src));
    }

    // --- dispatch ----------------------------------------------------------------------------------

    /// Makes a value of or from a vector register.
    pub(super) fn vector_value(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let wide = [inst.ty, inst.aty].iter().any(|t| length_of(*t) > 0);
        let moves = matches!(inst.op, Op::Insert | Op::Trunc | Op::Extract | Op::Bitcast | Op::Select);
        if wide && !moves && !self.s.kit.vex {
            return Err(self.refuse(inst));
        }
        let args = inst.args;
        match inst.op {
            Op::Load => self.vector_load(inst, v),
            Op::Zext => self.zext_vector(inst, v)?,
            Op::Trunc => self.low_part(inst, v, args[0])?,
            Op::Bitcast => self.bitcast(inst, v)?,
            Op::Insert => self.insert_part(inst, v)?,
            Op::Extract => self.extract_part(inst, v)?,
            Op::And | Op::Or | Op::Xor | Op::Andn | Op::Not => self.bitwise(inst, v),
            Op::Eq | Op::Ne if is_vector(inst.aty) => self.equal(inst, v),
            Op::Select => self.vector_select(inst, v),
            Op::FlagsFcmp => self.image(inst, v)?,
            _ if inst.op.info().name.starts_with("v.") => self.lanes(inst, v)?,
            _ => self.float(inst, v)?,
        }
        Ok(())
    }

    pub(super) fn refuse(&self, inst: &Inst) -> CodegenError {
        unsupported(format_args!("{} of {} to {}", inst.op.name(), inst.aty, inst.ty))
    }

    // --- memory ------------------------------------------------------------------------------------

    fn load_row(ty: Type) -> V {
        match ty {
            Type::F32 => row::MOVSS_LOAD,
            Type::F64 => row::MOVSD_LOAD,
            _ => row::MOVUPS,
        }
    }

    fn vector_load(&mut self, inst: &Inst, v: u32) {
        let Some(addr) = self.trace.addr(inst) else { return self.fail("an address that is not a literal") };
        let address = self.address(&addr);
        self.plain(v, What::Un(Self::load_row(inst.ty)), inst.ty, &[], Some(Last::Load(inst.res.0, address)));
    }

    /// A store from a vector register.
    pub(super) fn vector_store(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        let ty = inst.aty;
        if length_of(ty) > 0 && !self.s.kit.vex {
            return Err(unsupported(format_args!("a store of {ty}")));
        }
        let Some(addr) = self.trace.addr(inst) else { return Err(unsupported("this address")) };
        let address = self.address(&addr);
        // The upper half of a vector has a store of its own.
        if ty == Type::F64
            && let Some(part) = self.part_stored(inst.args[3])
        {
            self.store_by(What::Store(row::MOVHPS_STORE), part, ty, &address);
            return Ok(());
        }
        let v = self.vec(inst.args[3], ty);
        let what = What::Store(match ty {
            Type::F32 => row::MOVSS_STORE,
            Type::F64 => row::MOVSD_STORE,
            _ => row::MOVUPS_STORE,
        });
        self.store_by(what, v, ty, &address);
        Ok(())
    }

    fn store_by(&mut self, what: What, v: u32, ty: Type, address: &Address) {
        self.begin(MOp::Vector(VOp { length: length_of(ty), ..VOp::new(what) }), Width::W64);
        self.src(v, Role::Use);
        self.mem(address);
        self.end_faulting(0);
    }

    /// The vector whose bits 64 to 127 this value, needed for nothing else, is.
    fn part_stored(&mut self, o: Operand) -> Option<u32> {
        let v = self.root(o.as_value()?);
        let inst = self.def(v)?;
        let f = &self.s.facts;
        let here = inst.op == Op::Extract
            && inst.res.0 == v
            && is_vector(inst.aty)
            && inst.args[1].as_index() == Some(64)
            && f.uses[v as usize] == 1
            && !f.in_exit[v as usize]
            && !self.is_live(v);
        here.then(|| self.vec(inst.args[0], inst.aty))
    }

    /// A store of a general type whose value is a part of a vector, without the way through a general register. True if
    /// it was made.
    pub(super) fn store_part(&mut self, inst: &Inst) -> bool {
        let Some(value) = inst.args[3].as_value() else { return false };
        let v = self.root(value);
        let Some(def) = self.def(v).copied() else { return false };
        let f = &self.s.facts;
        let single = f.uses[v as usize] == 1 && !f.in_exit[v as usize] && !self.is_live(v);
        let from_vector = matches!(def.op, Op::Extract | Op::Trunc | Op::Bitcast) && is_vector(def.aty);
        if !single || !from_vector || v != value.0 || !is_general(def.ty) || self.pending_uses(v) {
            return false;
        }
        let bit = if def.op == Op::Extract { def.args[1].as_index().unwrap_or(0) as u32 } else { 0 };
        let what = match (def.ty, bit) {
            (Type::I64, 0) => What::Store(row::MOVSD_STORE),
            (Type::I32, 0) => What::Store(row::MOVSS_STORE),
            (Type::I64, 64) => What::Store(row::MOVHPS_STORE),
            _ => return false,
        };
        let Some(addr) = self.trace.addr(inst) else { return false };
        let address = self.address(&addr);
        let src = self.vec(def.args[0], def.aty);
        self.store_by(what, src, Type::V128, &address);
        true
    }

    // --- width -------------------------------------------------------------------------------------

    fn zext_vector(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (from, to, o) = (inst.aty, inst.ty, inst.args[0]);
        if is_general(to) {
            // A float's bits.
            let src = self.last(o, from, true);
            let src = self.in_register(src, from);
            self.move_to_general(v, What::From(Cross::MovFrom), width_of_float(from), 0, src);
            return Ok(());
        }
        if !is_vector(to) || from == Type::I128 {
            return Err(self.refuse(inst));
        }
        match from {
            Type::F32 | Type::F64 => {
                let small = self.last(o, from, true);
                let (what, last) = match (small, from) {
                    (Last::Load(..), _) => (What::Un(Self::load_row(from)), small),
                    (_, Type::F64) => (What::Un(row::MOVQ), small),
                    _ => (What::LowImm(row::INSERTPS, 0x0e), small),
                };
                self.plain(v, what, Type::V128, &[], Some(last));
            }
            Type::V128 | Type::V256 => {
                let last = self.last(o, from, false);
                let what = if matches!(last, Last::Load(..)) {
                    What::Un(row::MOVUPS)
                } else {
                    What::Un(row::MOVAPS)
                };
                self.plain(v, what, from, &[], Some(last));
            }
            _ => {
                let narrow = matches!(from, Type::I1 | Type::I8 | Type::I16);
                let clean = o.as_value().is_some_and(|x| self.s.facts.clean[x.index()]);
                let made = narrow && !clean && !o.is_literal();
                let width = width_of(from);
                let general = if made { self.new_general() } else { self.reg(o, from) };
                self.move_from_general(v, What::To, width, general, o, from);
                if made {
                    self.zext(o, from, general);
                }
            }
        }
        Ok(())
    }

    /// `v` from a general register, or from the load that makes it.
    pub(super) fn move_from_general(
        &mut self,
        v: u32,
        what: What,
        width: Width,
        general: u32,
        o: Operand,
        from: Type,
    ) {
        let foldable = matches!(from, Type::I32 | Type::I64) && o.as_value().is_some_and(|x| x.0 == general);
        let address = if foldable { self.load_of(general, from, self.here) } else { None };
        self.begin(MOp::Vector(VOp::new(what)), width);
        match address {
            Some(address) => {
                self.fault_exit_of(general);
                self.mem(&address);
                self.def_(v, Role::Def);
                self.end_faulting(0);
            }
            None => {
                self.src(general, Role::Use);
                self.def_(v, Role::Def);
                self.end(0);
            }
        }
    }

    /// A source that must not be memory: what is there is loaded first, into a register of its own.
    fn in_register(&mut self, last: Last, ty: Type) -> Last {
        match last {
            Last::Load(v, _) => Last::Reg(v),
            Last::Pool(at) => {
                let bytes = &self.s.pool.bytes[at as usize..];
                let mut bits = Wide::default();
                for (w, chunk) in
                    bits.iter_mut().zip(bytes.chunks_exact(8).take(ty.bytes().max(16) as usize / 8))
                {
                    *w = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
                }
                Last::Reg(self.constant_vreg(&bits, ty))
            }
            reg => reg,
        }
    }

    /// The low part of a vector, in a register of the other kind.
    fn low_part(&mut self, inst: &Inst, v: u32, o: Operand) -> Result<(), CodegenError> {
        if is_general(inst.aty) && inst.ty == Type::F32 {
            // The low half of a general register.
            let general = self.reg(o, inst.aty);
            self.move_from_general(v, What::To, Width::W32, general, o, Type::Void);
            return Ok(());
        }
        if !is_general(inst.ty) || inst.ty == Type::I1 {
            return Err(self.refuse(inst));
        }
        let src = self.vec(o, inst.aty);
        let width = if inst.ty == Type::I64 { Width::W64 } else { Width::W32 };
        self.move_to_general(v, What::From(Cross::MovFrom), width, 0, Last::Reg(src));
        Ok(())
    }

    fn bitcast(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let o = inst.args[0];
        match (is_vector(inst.aty), is_vector(inst.ty)) {
            (true, false) if is_general(inst.ty) => self.low_part(inst, v, o)?,
            (false, true) if is_general(inst.aty) => {
                let general = self.reg(o, inst.aty);
                self.move_from_general(v, What::To, width_of(inst.aty), general, o, inst.aty);
            }
            _ => return Err(self.refuse(inst)),
        }
        Ok(())
    }

    // --- parts -------------------------------------------------------------------------------------

    fn insert_part(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (part_ty, ty) = (inst.aty, inst.ty);
        let bit = inst.args[2].as_index().unwrap_or(0) as u32;
        if !is_vector(ty) || !bit.is_multiple_of(part_ty.bits()) {
            return Err(self.refuse(inst));
        }
        let container = self.vec(inst.args[0], ty);
        let wide = length_of(ty) > 0;
        if !self.s.kit.vex {
            if bit + part_ty.bits() > 128 {
                return Err(self.refuse(inst));
            }
            return self.insert_low(inst, v, container, bit);
        }
        if !wide {
            return self.insert_low(inst, v, container, bit);
        }
        if part_ty.bits() >= 128 {
            let part = self.vec(inst.args[1], part_ty);
            self.put_part(v, container, part, ty, part_ty, bit);
            return Ok(());
        }
        // Through the 128 bits that it lies in.
        let (old, new) = (self.new_vector(Type::V128), self.new_vector(Type::V128));
        self.put_part(v, container, new, ty, Type::V128, bit / 128 * 128);
        self.insert_low(inst, new, if bit < 128 { container } else { old }, bit % 128)?;
        if bit >= 128 {
            self.get_part(old, container, ty, Type::V128, bit / 128 * 128);
        }
        Ok(())
    }

    /// `v = container` of a wide type with a part of 128 or 256 bits replaced (VEX).
    fn put_part(&mut self, v: u32, container: u32, part: u32, ty: Type, part_ty: Type, bit: u32) {
        let at = (bit / part_ty.bits()) as u8;
        let what = if ty == Type::V512 {
            What::PutPart(part_ty.bits() as u16, at)
        } else {
            What::BinImm(row::VINSERTF128, at)
        };
        self.plain(v, what, ty, &[container, part], None);
    }

    /// `v` is a part of 128 or 256 bits of a wide value (VEX).
    fn get_part(&mut self, v: u32, container: u32, ty: Type, part_ty: Type, bit: u32) {
        let at = (bit / part_ty.bits()) as u8;
        self.plain(v, What::GetPart(part_ty.bits() as u16, at), ty, &[container], None);
    }

    /// `v = container` of 128 bits with a part replaced.
    fn insert_low(&mut self, inst: &Inst, v: u32, container: u32, bit: u32) -> Result<(), CodegenError> {
        let (part, part_ty) = (inst.args[1], inst.aty);
        let make =
            |s: &mut Self, what: What, last: Last| s.plain(v, what, Type::V128, &[container], Some(last));
        match (part_ty, bit) {
            (Type::V128, _) => {
                // All of it (of a wider container, whose upper part stays where it is).
                let part = self.vec(part, part_ty);
                self.plain(v, What::Un(row::MOVAPS), Type::V128, &[], Some(Last::Reg(part)));
            }
            (Type::F64, _) => {
                let last = self.last(part, part_ty, true);
                let what = match (last, bit) {
                    (Last::Reg(_), 0) => What::Bin(row::MOVSD),
                    (Last::Reg(_), _) => What::Bin(row::MOVLHPS),
                    (_, 0) => What::Bin(row::MOVLPS),
                    _ => What::Bin(row::MOVHPS),
                };
                make(self, what, last);
            }
            (Type::F32, _) => {
                let last = self.last(part, part_ty, true);
                let what = match last {
                    Last::Reg(_) if bit == 0 => What::Bin(row::MOVSS),
                    _ => What::BinImm(row::INSERTPS, ((bit / 32) << 4) as u8),
                };
                // A memory operand of `insertps` is the lane alone, a constant's first one.
                make(self, what, last);
            }
            (Type::I64, _) if self.is_vector_load(part, part_ty) => {
                let last = self.last(part, part_ty, true);
                make(self, What::Bin(if bit == 0 { row::MOVLPS } else { row::MOVHPS }), last);
            }
            _ if is_general(part_ty) && part_ty != Type::I1 => {
                let what = What::Insert((bit / part_ty.bits()) as u8);
                let general = self.reg(part, part_ty);
                let foldable = part.as_value().is_some_and(|x| x.0 == general);
                let address = if foldable { self.load_of(general, part_ty, self.here) } else { None };
                let op = VOp::new(what);
                self.begin(MOp::Vector(op), width_of(part_ty));
                self.src(container, Role::Use);
                let reuse = op.reuses(self.s.kit.vex).is_some();
                match address {
                    Some(address) => {
                        self.fault_exit_of(general);
                        self.mem(&address);
                    }
                    None => self.src(general, Role::Use),
                }
                self.def_(v, if reuse { Role::Reuse(false) } else { Role::Def });
                if address.is_some() { self.end_faulting(0) } else { self.end(0) }
            }
            _ => return Err(self.refuse(inst)),
        }
        Ok(())
    }

    /// Is this operand a load that can be a memory operand here?
    fn is_vector_load(&mut self, o: Operand, ty: Type) -> bool {
        o.as_value().is_some_and(|v| self.root(v) == v.0 && self.load_of(v.0, ty, self.here).is_some())
    }

    fn extract_part(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (ty, part_ty) = (inst.aty, inst.ty);
        let bit = inst.args[1].as_index().unwrap_or(0) as u32;
        if ty == Type::I64 && part_ty == Type::F32 && bit < 64 {
            let shifted = self.new_general();
            self.move_from_general(v, What::To, Width::W32, shifted, inst.args[0], Type::Void);
            let whole = self.reg(inst.args[0], ty);
            self.step(MOp::ShiftImm(Shift::Shr), shifted, whole, bit.into());
            return Ok(());
        }
        if !is_vector(ty) || !bit.is_multiple_of(part_ty.bits()) || part_ty == Type::I128 {
            return Err(self.refuse(inst));
        }
        let container = self.vec(inst.args[0], ty);
        if part_ty.bits() >= 128 {
            if !self.s.kit.vex {
                return Err(self.refuse(inst));
            }
            self.get_part(v, container, ty, part_ty, bit);
            return Ok(());
        }
        if bit >= 128 {
            if !self.s.kit.vex {
                return Err(self.refuse(inst));
            }
            let low = self.new_vector(Type::V128);
            self.extract_low(inst, v, low, bit % 128)?;
            self.get_part(low, container, ty, Type::V128, bit / 128 * 128);
            return Ok(());
        }
        self.extract_low(inst, v, container, bit)
    }

    /// `v` is a part of the low 128 bits of a value.
    fn extract_low(&mut self, inst: &Inst, v: u32, from: u32, bit: u32) -> Result<(), CodegenError> {
        let part_ty = inst.ty;
        let lane = (bit / part_ty.bits()) as u8;
        let last = Last::Reg(from);
        match part_ty {
            Type::F64 if bit == 0 => self.plain(v, What::Un(row::MOVAPS), Type::V128, &[], Some(last)),
            Type::F32 if bit == 0 => self.plain(v, What::Un(row::MOVAPS), Type::V128, &[], Some(last)),
            Type::F64 => self.plain(v, What::UnImm(row::PSHUFD, 0xee), Type::V128, &[], Some(last)),
            Type::F32 => self.plain(v, What::UnImm(row::PSHUFD, lane * 0x55), Type::V128, &[], Some(last)),
            Type::I64 if bit == 0 => self.move_to_general(v, What::From(Cross::MovFrom), Width::W64, 0, last),
            Type::I8 | Type::I16 | Type::I32 if bit == 0 => {
                self.move_to_general(v, What::From(Cross::MovFrom), Width::W32, 0, last);
            }
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
                self.begin(MOp::Vector(VOp::new(What::Extract(lane))), width_of(part_ty));
                self.src(from, Role::Use);
                self.def_(v, Role::Def);
                self.end(0);
            }
            _ => return Err(self.refuse(inst)),
        }
        Ok(())
    }

    // --- bits --------------------------------------------------------------------------------------

    fn bitwise(&mut self, inst: &Inst, v: u32) {
        let (ty, mut a, mut b) = (inst.ty, inst.args[0], inst.args[1]);
        if inst.op == Op::Not {
            if let Some(compare) = self.negated_compare(a) {
                return self.float_mask(inst, v, &compare, true);
            }
            let ones = [u64::MAX; 8];
            let mut bits = Wide::default();
            bits[..ty.bytes() as usize / 8].copy_from_slice(&ones[..ty.bytes() as usize / 8]);
            let last = Last::Pool(self.s.pool.place(&bits, ty.bytes()));
            let a = self.vec(a, ty);
            return self.plain(v, What::Sym(row::PXOR), ty, &[a], Some(last));
        }
        if inst.op != Op::Andn
            && (a.is_literal() || self.is_vector_load(a, ty) && !self.is_vector_load(b, ty))
        {
            (a, b) = (b, a);
        }
        let floats = [a, b].iter().any(|o| {
            self.def_of(*o)
                .is_some_and(|d| d.op.info().name.contains(".f") && !d.op.info().name.contains(".ftosi"))
        });
        let what = match (inst.op, floats) {
            (Op::And, false) => What::Sym(row::PAND),
            (Op::Or, false) => What::Sym(row::POR),
            (Op::Xor, false) => What::Sym(row::PXOR),
            (Op::And, true) => What::Sym(row::ANDPS),
            (Op::Or, true) => What::Sym(row::ORPS),
            (Op::Xor, true) => What::Sym(row::XORPS),
            (_, true) => What::Bin(row::ANDNPS),
            (_, false) => What::Bin(row::PANDN),
        };
        let a = self.vec(a, ty);
        let last = self.last(b, ty, false);
        self.plain(v, what, ty, &[a], Some(last));
    }

    /// Equality of whole vectors, as a number.
    fn equal(&mut self, inst: &Inst, v: u32) {
        let cond = if inst.op == Op::Eq { Cond::E } else { Cond::Ne };
        self.flush(self.here + 1);
        self.begin(MOp::Setcc(cond), Width::W8);
        self.def_(v, Role::Def);
        self.end(0);
        self.vector_test(inst.aty, inst.args[0], inst.args[1]);
    }

    /// The zero flag becomes 1 if two vectors are equal.
    pub(super) fn vector_test(&mut self, ty: Type, a: Operand, b: Operand) {
        let is_zero = |s: &Self, o: Operand| s.bits_of(o, ty).is_some_and(|b| b.iter().all(|w| *w == 0));
        let (a, b) = if is_zero(self, a) { (b, a) } else { (a, b) };
        let flags = |s: &mut Self, a: u32, b: u32| {
            s.begin_raw(
                MOp::Vector(VOp { length: length_of(ty), ..VOp::new(What::Flags(row::PTEST)) }),
                Width::W64,
            );
            s.src(a, Role::Use);
            s.src(b, Role::Use);
            s.end(0);
        };
        if is_zero(self, b) {
            if let Some(v) = a.as_value().map(|v| self.root(v))
                && let Some(and) = self.def(v).copied()
                && and.op == Op::And
                && and.res.0 == v
                && self.s.facts.uses[v as usize] == 1
                && !self.s.facts.in_exit[v as usize]
                && !self.is_live(v)
            {
                let (x, y) = (self.vec(and.args[0], ty), self.vec(and.args[1], ty));
                return flags(self, x, y);
            }
            let a = self.vec(a, ty);
            return flags(self, a, a);
        }
        let t = self.new_vector(ty);
        flags(self, t, t);
        let (a, last) = (self.vec(a, ty), self.last(b, ty, false));
        self.plain(t, What::Sym(row::PXOR), ty, &[a], Some(last));
    }

    fn vector_select(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let (request, cond) = self.condition(inst.args[0]);
        let (then, other) = (self.vec(inst.args[1], ty), self.vec(inst.args[2], ty));
        self.make_room(&request);
        self.begin(MOp::Vector(VOp { length: length_of(ty), ..VOp::new(What::Select(cond)) }), Width::W64);
        self.src(other, Role::Use);
        self.src(then, Role::Use);
        self.def_(v, Role::Reuse(false));
        self.end(0);
        self.want(request);
    }
}

/// The width of a float's bits.
pub(super) fn width_of_float(ty: Type) -> Width {
    if ty == Type::F32 { Width::W32 } else { Width::W64 }
}
