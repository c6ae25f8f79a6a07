//! Selection: from the trace's lines to host instructions over virtual registers, last line first.
//!
//! Going backwards, a value is known to be needed when its line is reached, so what no instruction asked for (folded into an
//! address, a memory operand or a compare, or needed by exits only as `register + literal`) is never made.
//!
//! The machinery is here: building instructions ([`Selector::begin`] … [`Selector::end`]), operands, addresses, memory operands, exits, the walk
//! itself. What each operation becomes stands in `select_int`, `select_flags` (conditions and flags), and `select_vector`.

use ir::op::Op;
use ir::trace::{Addr, End, Inst, Trace};
use ir::types::{Operand, SlotId, Type, Value};
use rustc_hash::FxHashMap;

use super::super::{CodegenError, Home, Host, Segment};
use super::asm::Width;
use super::exits::{ExitItem, ExitRecord};
use super::inst::{MInst, MMem, MOp, Remat};
use super::prepare::{Facts, is_general, is_vector};
use super::select_flags::Request;
use super::select_native::Natives;
use super::select_vector::Pool;
use super::vinst::Kit;
use crate::regalloc::{Kind, Line, NO_REG, NONE, Opnd, Program, RegSet, Role, VECTOR, Vreg};

/// The general registers.
pub const GENERAL: RegSet = 0xffff;
/// The vector registers of SSE and AVX.
pub const VECTORS: RegSet = 0xffff << VECTOR;
/// Those that only EVEX instructions name.
pub const HIGH: RegSet = 0xffff << (VECTOR + 16);
/// `rsp`: holds nothing but what it is to hold at exits.
pub const RSP: u8 = 4;

/// Distance from the start of the code within which all of it addresses memory relative to itself.
const REACH: u64 = (1 << 31) - (1 << 24);

/// An operand of an operation: in a virtual register, or a literal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Val {
    /// In this virtual register.
    Reg(u32),
    /// This literal, sign-extended.
    Imm(i64),
}

/// An address in terms of virtual registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Address {
    /// `disp` counts from the address of the code.
    pub near: bool,
    /// The segment whose base is added.
    pub segment: Option<Segment>,
    /// A virtual register.
    pub base: Option<u32>,
    /// A virtual register and the log2 of its factor.
    pub index: Option<(u32, u8)>,
    /// Added.
    pub disp: i32,
}

/// What selection makes, with its buffers.
#[derive(Default)]
pub struct Selected {
    /// For the allocator.
    pub program: Program,
    /// One per line of `program`.
    pub insts: Vec<MInst>,
    /// Exits as taken at some instruction, by [`MInst::exit`].
    pub exits: Vec<ExitRecord>,
    /// Slots of all exits.
    pub items: Vec<ExitItem>,
    /// Sweep over the trace.
    pub facts: Facts,
    /// How virtual registers without a slot are made.
    pub remats: FxHashMap<u32, Remat>,
    /// Constants behind the code.
    pub pool: Pool,
    /// Virtual registers of those that are used as values, by offset and length.
    pub constants: FxHashMap<(u32, u8), u32>,
    /// Which encodings vector instructions use.
    pub kit: Kit,
    /// Vector registers that may hold values.
    pub vector_registers: RegSet,
    live: Vec<bool>,
    /// Loads that are part of other instructions, by value.
    pub(super) folded: Vec<bool>,
    next: Vec<u32>,
    tail: Vec<u32>,
    ints: FxHashMap<u64, u32>,
    pub(super) entries: Vec<u32>,
    pub(super) natives: Natives,
}

/// One walk.
pub struct Selector<'a> {
    pub(super) trace: &'a Trace,
    pub(super) host: &'a dyn Host,
    pub(super) s: &'a mut Selected,
    /// The address of the code.
    at: u64,
    /// The line of the trace being selected.
    pub(super) here: u32,
    /// What the flags must be behind what was selected last.
    pub(super) pending: Option<Request>,
    /// Does anything use vector registers?
    pub(super) vectors: bool,
    cur: MInst,
    cur_start: u32,
    /// Sums that addresses of the current instruction need: result, and its two operands.
    pre: Vec<(u32, u32, u32)>,
    pub(super) homes: Vec<Home>,
    /// Slots that are not at home in memory.
    pub(super) elsewhere: Vec<usize>,
    /// Slots at home in vector registers that values may be in, by slot.
    pub(super) managed: Vec<bool>,
    pub(super) binds: Vec<Operand>,
    /// Recipes to be performed before the instruction selected last.
    pub(super) recipes: Vec<(u32, Inst)>,
    pub(super) error: Option<CodegenError>,
    /// The next instruction begun must set the flags.
    fused: bool,
    /// Lines before this one leave the flags as they were at entry.
    pub(super) kept_until: u32,
    /// The flags that the exit at the end wants in place.
    pub(super) at_end: Option<Request>,
    /// A value made together with one behind it.
    pub(super) done: u32,
}

pub(super) fn unsupported(what: impl std::fmt::Display) -> CodegenError {
    CodegenError::Unsupported(what.to_string())
}

impl<'a> Selector<'a> {
    /// Selects the whole trace.
    pub fn run(
        trace: &'a Trace,
        host: &'a dyn Host,
        at: u64,
        high: bool,
        s: &'a mut Selected,
    ) -> Result<(), CodegenError> {
        s.kit = Kit::of(trace, host, high);
        s.facts.find(trace, s.kit);
        s.pool.clear();
        s.constants.clear();
        s.program.vregs.clear();
        s.program.lines.clear();
        s.program.opnds.clear();
        s.insts.clear();
        s.exits.clear();
        s.items.clear();
        s.remats.clear();
        s.ints.clear();
        let n = trace.value_count();
        for v in 0..n {
            s.program.vregs.push(vreg_of(trace.value_type(Value(v as u32))));
        }
        if !s.kit.vex {
            // The upper parts stay where they are.
            s.program.vregs.iter_mut().for_each(|v| v.size = v.size.min(16));
        }
        if s.kit.high {
            s.program.vregs.iter_mut().filter(|v| v.class == VECTORS).for_each(|v| v.class = HIGH);
        }
        for flags in [&mut s.live, &mut s.folded] {
            flags.clear();
            flags.resize(n, false);
        }
        s.next.clear();
        s.next.resize(n, NONE);
        s.tail.clear();
        s.tail.resize(n, NONE);
        s.entries.clear();
        s.entries.resize(trace.decls.slots.len(), NONE);
        let homes: Vec<Home> = (0..trace.decls.slots.len()).map(|i| host.home(SlotId(i as u16))).collect();
        let mut selector = Selector {
            trace,
            host,
            s,
            at,
            here: 0,
            pending: None,
            vectors: false,
            cur: MInst::new(MOp::Entry, Width::W64, 0),
            cur_start: 0,
            pre: Vec::new(),
            binds: vec![Operand::NONE; homes.len()],
            managed: vec![false; homes.len()],
            elsewhere: (0..homes.len()).filter(|&s| !matches!(homes[s], Home::Memory(..))).collect(),
            homes,
            recipes: Vec::new(),
            error: None,
            fused: false,
            done: NONE,
            kept_until: 0,
            at_end: None,
        };
        if !selector.s.kit.vex && !selector.s.facts.uppers_stay(trace) {
            return Err(unsupported("a loop that moves the upper parts of vectors"));
        }
        selector.entry_values()?;
        selector.choose_vectors();
        selector.hints();
        selector.walk()
    }

    /// Makes the first `slot` line of each slot its value at entry, and all others aliases of it.
    fn entry_values(&mut self) -> Result<(), CodegenError> {
        for inst in &self.trace.insts {
            if inst.op != Op::Slot {
                continue;
            }
            let Some(slot) = inst.args[0].as_index() else { continue };
            let v = inst.res.0;
            match self.s.entries[slot] {
                NONE => {
                    self.s.entries[slot] = v;
                    self.describe_entry(slot, v);
                }
                first => self.s.facts.root[v as usize] = first,
            }
        }
        self.find_natives();
        // Roots of aliases of those.
        for v in 0..self.s.facts.root.len() {
            let r = self.s.facts.root[v] as usize;
            self.s.facts.root[v] = self.s.facts.root[r];
        }
        Ok(())
    }

    fn describe_entry(&mut self, slot: usize, v: u32) {
        let vreg = &mut self.s.program.vregs[v as usize];
        match self.homes[slot] {
            Home::General(r) => vreg.hint = r,
            Home::Vector(r) => {
                vreg.hint = VECTOR + r;
                // It can stay there: nothing else comes to the low ones.
                vreg.class = if self.s.kit.high { VECTORS | HIGH } else { VECTORS };
            }
            // Loaded at entry.
            Home::Memory(..) if !self.host.keeps_homes() => {}
            Home::Memory(segment, offset) | Home::Image(segment, offset) => {
                vreg.remat = true;
                self.s.remats.insert(v, Remat::Memory(segment, offset));
            }
            Home::Base(segment) => {
                vreg.remat = true;
                self.s.remats.insert(v, Remat::Base(segment));
            }
            Home::Flags | Home::Machine | Home::Mask(_) => {}
        }
    }

    /// The virtual register with the slot's value at entry.
    pub(super) fn entry(&mut self, slot: usize) -> u32 {
        if self.s.entries[slot] == NONE {
            let v = self.new_vreg(vreg_of(self.trace.decls.slots[slot].ty));
            self.s.entries[slot] = v;
            self.describe_entry(slot, v);
        }
        self.s.entries[slot]
    }

    /// Registers that values would like: the homes of slots that hold them at exits, in the loop's interest first.
    fn hints(&mut self) {
        for k in 0..self.trace.params().len() {
            let p = self.trace.params()[k];
            if let Some(e) = p.args[0].as_value() {
                let hint = self.s.program.vregs[self.root(e) as usize].hint;
                if hint != NO_REG && self.entry_of(self.root(e)).is_some() {
                    let p = self.root(p.res);
                    self.s.program.vregs[p as usize].hint = hint;
                }
            }
        }
        let mut from = self.trace.exits.iter().rev().collect::<Vec<_>>();
        if let Some(id) = self.trace.interrupt
            && let Some(exit) = self.trace.exit(id)
        {
            from.insert(0, exit);
        }
        for exit in from {
            for bind in self.trace.binds(exit) {
                let r = match self.homes[bind.slot.index()] {
                    Home::General(r) => r,
                    Home::Vector(r) => VECTOR + r,
                    _ => continue,
                };
                let value = self.vector_bound(bind.value);
                if let Some(v) = value {
                    let root = self.root(v) as usize;
                    let vreg = &mut self.s.program.vregs[root];
                    if vreg.hint == NO_REG && vreg.class & (1u64 << r) != 0 {
                        vreg.hint = r;
                    }
                }
            }
        }
    }

    fn entry_of(&self, v: u32) -> Option<usize> {
        let def = *self.s.facts.def.get(v as usize)?;
        let inst = self.trace.insts.get(def as usize)?;
        if inst.op == Op::Slot { inst.args[0].as_index() } else { None }
    }

    // --- values ------------------------------------------------------------------------------------

    pub(super) fn new_vreg(&mut self, vreg: Vreg) -> u32 {
        let v = self.s.program.vregs.len() as u32;
        let size = if self.s.kit.vex { vreg.size } else { vreg.size.min(16) };
        let class = if self.s.kit.high && vreg.class == VECTORS { HIGH } else { vreg.class };
        self.s.program.vregs.push(Vreg { size, class, ..vreg });
        self.s.live.push(false);
        self.s.next.push(NONE);
        self.s.tail.push(NONE);
        v
    }

    /// A new virtual register for a general value.
    pub(super) fn new_general(&mut self) -> u32 {
        self.new_vreg(vreg_of(Type::I64))
    }

    /// A virtual register that holds this literal.
    pub(super) fn int_vreg(&mut self, value: u64) -> u32 {
        if let Some(v) = self.s.ints.get(&value) {
            return *v;
        }
        let v = self.new_vreg(Vreg { remat: true, ..vreg_of(Type::I64) });
        self.s.ints.insert(value, v);
        self.s.remats.insert(v, Remat::Int(value));
        v
    }

    pub(super) fn root(&self, v: Value) -> u32 {
        self.s.facts.root[v.index()]
    }

    /// The line that defines a virtual register, if one does.
    pub(super) fn def(&self, v: u32) -> Option<&'a Inst> {
        let def = *self.s.facts.def.get(v as usize)?;
        self.trace.insts.get(def as usize)
    }

    /// The line that defines an operand (of a value that may be an alias).
    pub(super) fn def_of(&self, o: Operand) -> Option<&'a Inst> {
        let v = o.as_value()?;
        self.trace.insts.get(*self.s.facts.def.get(v.index())? as usize)
    }

    /// The literal, sign-extended.
    pub(super) fn literal(&self, o: Operand, ty: Type) -> Option<i64> {
        if ty.bits() > 64 {
            return None;
        }
        self.trace.literal_int(o).map(|i| i as i64)
    }

    /// An operand of a general type.
    pub(super) fn val(&mut self, o: Operand, ty: Type) -> Val {
        match o.as_value() {
            Some(v) => Val::Reg(self.root(v)),
            None => Val::Imm(self.literal(o, ty).unwrap_or(0)),
        }
    }

    /// The same, in a register. Literals are zero-extended from their type.
    pub(super) fn reg(&mut self, o: Operand, ty: Type) -> u32 {
        match self.val(o, ty) {
            Val::Reg(v) => v,
            Val::Imm(i) => self.int_vreg(i as u64 & ty.mask64()),
        }
    }

    /// A literal that fits in an instruction.
    pub(super) fn imm32(&self, o: Operand, ty: Type) -> Option<i32> {
        self.literal(o, ty).and_then(|i| i32::try_from(i).ok())
    }

    /// Is it needed by something selected already?
    pub(super) fn is_live(&self, v: u32) -> bool {
        self.s.live[v as usize]
    }

    // --- building ----------------------------------------------------------------------------------

    /// Begins an instruction. Everything needed of the flags behind it is put there first.
    pub(super) fn begin(&mut self, op: MOp, width: Width) {
        if op.clobbers_flags() {
            self.flush(self.here + 1);
        }
        self.begin_raw(op, width);
    }

    pub(super) fn begin_raw(&mut self, op: MOp, width: Width) {
        self.cur = MInst::new(op, width, self.here);
        self.cur.sets_flags = std::mem::take(&mut self.fused);
        self.cur_start = self.s.program.opnds.len() as u32;
    }

    /// Must the next instruction set the flags?
    pub(super) fn fusing(&self) -> bool {
        self.fused
    }

    pub(super) fn cur(&mut self) -> &mut MInst {
        &mut self.cur
    }

    pub(super) fn operand(&mut self, vreg: u32, role: Role) {
        let (next, live) = if vreg == NONE {
            (NONE, false)
        } else {
            (self.s.next[vreg as usize], self.s.live[vreg as usize])
        };
        self.s.program.opnds.push(Opnd { vreg, next, live, role, loc: Default::default() });
    }

    pub(super) fn src(&mut self, vreg: u32, role: Role) {
        self.cur.srcs += 1;
        self.operand(vreg, role);
    }

    /// A source that is a register or, as the last one, an immediate of 32 bits; anything else becomes a register.
    pub(super) fn src_or_imm(&mut self, o: Operand, ty: Type, role: Role) {
        match self.imm32(o, ty) {
            Some(i) => self.cur.imm = i.into(),
            None => {
                let v = self.reg(o, ty);
                self.src(v, role);
            }
        }
    }

    pub(super) fn mem(&mut self, address: &Address) {
        let (base, index) = match (address.base, address.index) {
            // An index is never rsp: a factor of one can stand at the other side.
            (Some(b), Some((i, 0))) if self.wants_rsp(i) && !self.wants_rsp(b) => (Some(i), Some((b, 0))),
            other => other,
        };
        self.cur.mem = Some(MMem {
            segment: address.segment,
            near: address.near,
            base: base.is_some(),
            index: index.map(|(_, s)| s),
            disp: address.disp,
            pool: false,
        });
        if let Some(b) = base {
            self.operand(b, Role::Use);
        }
        if let Some((i, _)) = index {
            self.operand(i, Role::Index);
        }
    }

    fn wants_rsp(&self, v: u32) -> bool {
        self.s.program.vregs[v as usize].hint == RSP
    }

    pub(super) fn def_(&mut self, vreg: u32, role: Role) {
        let mut role = role;
        if let Role::Reuse(both) = role {
            role = Role::Reuse(both && self.cur.srcs >= 2);
            let first = self.s.program.opnds[self.cur_start as usize].vreg;
            let hint = self.s.program.vregs[vreg as usize].hint;
            if let Some(f) = self.s.program.vregs.get_mut(first as usize)
                && f.hint == NO_REG
                && hint != RSP
                && f.class & 1u64.checked_shl(hint.into()).unwrap_or(0) != 0
            {
                f.hint = hint;
            }
        }
        self.cur.defs += 1;
        self.operand(vreg, role);
    }

    /// Ends the instruction.
    pub(super) fn end(&mut self, clobbers: RegSet) {
        self.end_as(Kind::Plain, clobbers);
    }

    pub(super) fn end_as(&mut self, kind: Kind, clobbers: RegSet) {
        let line = self.s.program.lines.len() as u32;
        let start = self.cur_start;
        let len = self.s.program.opnds.len() as u32 - start;
        for i in start as usize..(start + len) as usize {
            let o = self.s.program.opnds[i];
            if o.vreg != NONE
                && matches!(o.role, Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_) | Role::Temp)
            {
                self.s.next[o.vreg as usize] = NONE;
                self.s.live[o.vreg as usize] = false;
            }
        }
        for i in start as usize..(start + len) as usize {
            let o = self.s.program.opnds[i];
            if o.vreg == NONE {
                continue;
            }
            let v = o.vreg as usize;
            match o.role {
                Role::Use | Role::Index | Role::Any | Role::Fixed(_) => {
                    self.s.next[v] = line;
                    if !self.s.live[v] {
                        self.s.live[v] = true;
                        self.s.tail[v] = line;
                    }
                }
                Role::Exit if !self.s.live[v] => {
                    self.s.live[v] = true;
                    self.s.tail[v] = line;
                }
                _ => {}
            }
        }
        self.s.program.lines.push(Line { start, len, clobbers, kind });
        self.s.insts.push(self.cur);
        if let Some((sum, a, b)) = self.pre.pop() {
            self.begin_raw(MOp::Lea, Width::W64);
            self.mem(&Address { base: Some(a), index: Some((b, 0)), ..Address::default() });
            self.def_(sum, Role::Def);
            self.end(0);
        }
    }

    // --- addresses ---------------------------------------------------------------------------------

    /// May the addition (or shift) that makes `v` be done by every address that uses it?
    pub(super) fn folds(&self, v: u32) -> Option<&'a Inst> {
        let f = &self.s.facts;
        let inst = self.def(v)?;
        (inst.aty == Type::I64 && f.uses[v as usize] == f.addr_uses[v as usize]).then_some(inst)
    }

    /// The address of a load or store.
    pub(super) fn address(&mut self, a: &Addr) -> Address {
        let mut disp = a.disp;
        let mut base = None;
        let mut index = None;
        match a.base.as_value() {
            Some(v) => base = Some(self.root(v)),
            None => disp = disp.wrapping_add(self.literal(a.base, Type::I64).unwrap_or(0)),
        }
        match a.index.as_value() {
            Some(v) => index = Some((self.root(v), a.scale.trailing_zeros() as u8)),
            None if !a.index.is_none() => {
                let by = self.literal(a.index, Type::I64).unwrap_or(0);
                disp = disp.wrapping_add(by.wrapping_mul(a.scale.into()));
            }
            None => {}
        }
        // Additions of literals, then of registers, then shifts of the index.
        for _ in 0..4 {
            let mut again = false;
            if let Some(b) = base
                && let Some(inst) = self.folds(b)
            {
                match (inst.op, inst.args[0].as_value(), inst.args[1].as_value()) {
                    (Op::Add, Some(x), None) => {
                        let sum = disp.wrapping_add(self.literal(inst.args[1], Type::I64).unwrap_or(0));
                        if i32::try_from(sum).is_ok() {
                            (base, disp, again) = (Some(self.root(x)), sum, true);
                        }
                    }
                    (Op::Sub, Some(x), None) => {
                        let sum = disp.wrapping_sub(self.literal(inst.args[1], Type::I64).unwrap_or(0));
                        if i32::try_from(sum).is_ok() {
                            (base, disp, again) = (Some(self.root(x)), sum, true);
                        }
                    }
                    (Op::Add, Some(x), Some(y)) if index.is_none() && self.s.facts.uses[b as usize] == 1 => {
                        (base, index, again) = (Some(self.root(x)), Some((self.root(y), 0)), true);
                    }
                    _ => {}
                }
            }
            if let Some((i, scale)) = index
                && let Some(inst) = self.folds(i)
                && let Some(x) = inst.args[0].as_value()
            {
                match (inst.op, self.literal(inst.args[1], Type::I64)) {
                    (Op::Add, Some(k)) => {
                        let sum = disp.wrapping_add(k.wrapping_shl(scale.into()));
                        if i32::try_from(sum).is_ok() {
                            (index, disp, again) = (Some((self.root(x), scale)), sum, true);
                        }
                    }
                    (Op::Shl, Some(k)) if (0..=3 - i64::from(scale)).contains(&k) => {
                        (index, again) = (Some((self.root(x), scale + k as u8)), true);
                    }
                    _ => {}
                }
            }
            if !again {
                break;
            }
        }
        let mut segment = None;
        if let Some(b) = base
            && let Some(slot) = self.entry_of(b)
            && let Home::Base(s) = self.homes[slot]
        {
            (segment, base) = (Some(s), None);
        } else if let Some((i, 0)) = index
            && let Some(slot) = self.entry_of(i)
            && let Home::Base(s) = self.homes[slot]
        {
            (segment, index) = (Some(s), None);
        }
        if base.is_none()
            && let Some((i, 0)) = index
        {
            (base, index) = (Some(i), None);
        }
        let mut near = false;
        let distance = (disp as u64).wrapping_sub(self.at) as i64;
        let disp = match i32::try_from(disp) {
            Ok(d) => d,
            Err(_)
                if base.is_none()
                    && index.is_none()
                    && segment.is_none()
                    && distance.unsigned_abs() < REACH =>
            {
                near = true;
                distance as i32
            }
            Err(_) => {
                let far = self.int_vreg(disp as u64);
                match (base, index) {
                    (None, _) => base = Some(far),
                    (_, None) => index = Some((far, 0)),
                    (Some(b), Some(_)) => {
                        // Three registers: base + literal is made just before the instruction.
                        let sum = self.new_general();
                        self.pre.push((sum, b, far));
                        base = Some(sum);
                    }
                }
                0
            }
        };
        Address { segment, near, base, index, disp }
    }
}

impl Selector<'_> {
    /// The address of the load that makes `v`, if the only use of it is here (just before line `at`), at `ty`, and the load may
    /// as well happen here.
    pub(super) fn load_of(&mut self, v: u32, ty: Type, at: u32) -> Option<Address> {
        let inst = self.def(v)?;
        let def = self.s.facts.def[v as usize];
        let f = &self.s.facts;
        let single = f.uses[v as usize] == 1 && !f.in_exit[v as usize];
        if inst.op != Op::Load || inst.ty != ty || !single || f.barrier[at as usize] > def + 1 {
            return None;
        }
        if self.s.live[v as usize]
            || f.exact && f.at[at.min(f.at.len() as u32 - 1) as usize] != f.at[def as usize]
        {
            return None;
        }
        let addr = self.trace.addr(inst)?;
        Some(self.address(&addr))
    }

    /// A source that may be a register, an immediate, or memory that is loaded for this only.
    pub(super) fn src_or_any(&mut self, o: Operand, ty: Type, role: Role) {
        if let Val::Reg(v) = self.val(o, ty)
            && let Some(address) = self.load_of(v, ty, self.here)
        {
            self.fault_exit_of(v);
            return self.mem(&address);
        }
        self.src_or_imm(o, ty, role);
    }

    /// The instruction faults as the load of `v` does.
    pub(super) fn fault_exit_of(&mut self, v: u32) {
        self.s.folded[v as usize] = true;
        self.cur.ir = self.s.facts.def[v as usize];
    }

    /// Ends an instruction that may fault.
    pub(super) fn end_faulting(&mut self, clobbers: RegSet) {
        if self.s.facts.exact {
            let at = self.s.facts.at[self.cur.ir as usize];
            if at > 0
                && let Some(id) = self.trace.insts[at as usize - 1].exit()
            {
                self.exit(id);
            }
        }
        self.end(clobbers);
    }

    // --- the walk ----------------------------------------------------------------------------------

    fn walk(&mut self) -> Result<(), CodegenError> {
        let trace = self.trace;
        let count = trace.insts.len() as u32;
        self.here = count;
        match trace.end {
            End::Exit(id) => {
                self.begin(MOp::End, Width::W64);
                self.exit(id);
                self.end(0);
                if let Some(request) = self.at_end.take() {
                    self.want(request);
                }
                self.hot_recipes()?;
            }
            End::Loop => self.back_edge()?,
        }
        let loop_at = trace.loop_at.unwrap_or(NONE);
        let params = trace.params().len() as u32;
        for i in (0..count).rev() {
            self.here = i;
            let inst = &trace.insts[i as usize];
            if trace.end == End::Loop && i + 1 == loop_at.wrapping_add(params) && params > 0 {
                self.head()?;
            } else if trace.end == End::Loop && params == 0 && i + 1 == loop_at {
                self.here = i + 1;
                self.head()?;
                self.here = i;
            }
            self.line(inst)?;
            self.hot_recipes()?;
            if let Some(e) = self.error.take() {
                return Err(e);
            }
        }
        if trace.end == End::Loop && params == 0 && loop_at == 0 {
            self.head()?;
        }
        self.here = 0;
        self.entry_line()?;
        self.error.take().map_or(Ok(()), Err)
    }

    fn hot_recipes(&mut self) -> Result<(), CodegenError> {
        while let Some((v, recipe)) = self.recipes.pop() {
            let inst = Inst { res: Value(v), ..recipe };
            self.value(&inst, v)?;
        }
        Ok(())
    }

    fn line(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        if !inst.has_result() || !inst.op.is_pure() && !matches!(inst.op, Op::Load | Op::Phi) {
            return self.effect(inst);
        }
        let v = inst.res.0;
        if self.s.facts.root[v as usize] != v || matches!(inst.op, Op::Slot | Op::Phi | Op::Pick) {
            return Ok(());
        }
        let mut fuses = false;
        if self.pending.is_some() {
            let asked = self.pending_uses(v);
            fuses = self.here >= self.kept_until
                && self.satisfies(inst)
                && (self.is_live(v) || asked && inst.op != Op::And);
            if fuses {
                self.pending = None;
            } else if asked {
                self.flush(self.here + 1);
            }
        }
        // A load that nobody uses may still fault, unless another instruction makes the access.
        let for_its_fault = inst.op == Op::Load && !self.s.folded[v as usize];
        if !fuses && !self.is_live(v) && !for_its_fault {
            return Ok(());
        }
        self.fused = fuses;
        let result = self.value(inst, v);
        debug_assert!(!self.fused, "nothing set the flags");
        result
    }

    fn back_edge(&mut self) -> Result<(), CodegenError> {
        self.begin(MOp::Back, Width::W64);
        for k in 0..self.trace.params().len() {
            let p = self.trace.params()[k];
            if self.is_machine(p.args[0]) {
                self.check_machine(&p)?;
                continue;
            }
            let v = self.flow(p.args[1], p.ty)?;
            self.src(v, Role::Any);
        }
        if let Some(id) = self.trace.interrupt {
            self.exit(id);
        }
        self.end_as(Kind::Back, 0);
        self.hot_recipes()?;
        Ok(())
    }

    /// A parameter that is machine state: what flows round must be what the machine has.
    fn check_machine(&self, p: &Inst) -> Result<(), CodegenError> {
        let slot = (0..self.homes.len())
            .find(|s| self.in_place(*s) && self.is_current(p.args[0], *s, self.trace.loop_at.unwrap_or(0)));
        let end = self.trace.insts.len() as u32;
        match slot {
            Some(s) if p.args[1].as_value() == Some(p.res) || self.is_current(p.args[1], s, end) => Ok(()),
            _ => Err(unsupported("machine state that is not where it was")),
        }
    }

    /// A value that flows into a loop parameter.
    fn flow(&mut self, o: Operand, ty: Type) -> Result<u32, CodegenError> {
        if is_vector(ty) {
            return Ok(self.vec(o, ty));
        }
        if !is_general(ty) {
            return Err(unsupported(format_args!("a loop parameter of type {ty}")));
        }
        if ty == Type::Flags && o.as_value().is_none() {
            let packed = self.literal(o, Type::I64).unwrap_or(0) as u64;
            return Ok(self.int_vreg(super::exits::image_of(packed)));
        }
        Ok(self.reg(o, ty))
    }

    fn head(&mut self) -> Result<(), CodegenError> {
        self.flush(self.here + 1);
        let trace = self.trace;
        let params = trace.params();
        let back = self.s.program.lines[0];
        self.begin(MOp::Head, Width::W64);
        for p in params.iter().filter(|p| !self.is_machine(p.args[0])).copied().collect::<Vec<_>>() {
            let v = self.flow(p.args[0], p.ty)?;
            self.src(v, Role::Any);
        }
        for p in params {
            if !self.is_machine(p.args[0]) {
                self.def_(p.res.0, Role::Def);
            }
        }
        // What else is live lives through the loop: the back edge keeps it.
        let through: Vec<u32> = (0..self.s.live.len() as u32)
            .filter(|v| self.s.live[*v as usize] && !params.iter().any(|p| p.res.0 == *v))
            .collect();
        let mut opnds: Vec<Opnd> = self.s.program.of(&back).to_vec();
        let start = self.s.program.opnds.len();
        for v in &through {
            self.operand(*v, Role::Through);
            let tail = self.s.program.lines[self.s.tail[*v as usize] as usize];
            for o in &mut self.s.program.opnds[tail.start as usize..(tail.start + tail.len) as usize] {
                if o.vreg == *v {
                    o.live = true;
                }
            }
        }
        // The back edge's operands are copied behind, so that they are in one place with the new ones.
        let _ = start;
        for o in &mut opnds {
            if through.contains(&o.vreg) {
                o.live = true;
            }
        }
        for v in &through {
            opnds.push(Opnd {
                vreg: *v,
                next: NONE,
                live: false,
                role: Role::Through,
                loc: Default::default(),
            });
        }
        self.end_as(Kind::Head, 0);
        let start = self.s.program.opnds.len() as u32;
        let len = opnds.len() as u32;
        self.s.program.opnds.extend(opnds);
        let line = &mut self.s.program.lines[0];
        let by = start - line.start;
        (line.start, line.len) = (start, len);
        self.shift_exit(self.s.insts[0].exit, by);
        Ok(())
    }

    fn entry_line(&mut self) -> Result<(), CodegenError> {
        self.flush(0);
        let flags = (0..self.homes.len()).find(|s| self.homes[*s] == Home::Flags).map(|s| self.s.entries[s]);
        if let Some(v) = flags
            && v != NONE
            && self.is_live(v)
        {
            self.save_flags(v);
        }
        if !self.host.keeps_homes() {
            for slot in 0..self.homes.len() {
                let v = self.s.entries[slot];
                if let Home::Memory(segment, disp) = self.homes[slot]
                    && v != NONE
                    && self.is_live(v)
                {
                    self.begin(MOp::Load, Width::W64);
                    self.mem(&Address { segment: Some(segment), disp, ..Address::default() });
                    self.def_(v, Role::Def);
                    self.end(0);
                }
            }
        }
        self.begin(MOp::Entry, Width::W64);
        for slot in 0..self.homes.len() {
            let v = self.s.entries[slot];
            if v == NONE || !self.is_live(v) {
                continue;
            }
            match self.homes[slot] {
                Home::General(r) => self.def_(v, Role::DefFixed(r)),
                Home::Vector(r) if self.vectors => self.def_(v, Role::DefFixed(VECTOR + r)),
                Home::Memory(..) | Home::Image(..) | Home::Base(_) => {}
                home => return Err(unsupported(format_args!("a value in {home:?}"))),
            }
        }
        self.end(0);
        Ok(())
    }
}

/// What a value of this type needs.
pub fn vreg_of(ty: Type) -> Vreg {
    let (class, size) = match ty {
        Type::F32 | Type::F64 | Type::V128 => (VECTORS, 16),
        Type::V256 => (VECTORS, 32),
        Type::V512 => (VECTORS, 64),
        _ => (GENERAL, 8),
    };
    Vreg { class, hint: NO_REG, size, remat: false }
}
