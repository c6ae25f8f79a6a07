//! Natives: guest instructions that stand in the code as they are.
//!
//! Their operands go to the homes of the slots they read, and what they write is at the homes of the slots they write. Machine state
//! without a register of ours (control words, the direction flag, mask registers: [`Home::Machine`], [`Home::Mask`]) is never
//! moved: a value of such a slot can be used only where the machine still has it, which is checked here.

use ir::op::Op;
use ir::trace::{End, Inst};
use ir::types::{Flag, Operand, Type};
use rustc_hash::FxHashMap;

use super::super::{CodegenError, Home};
use super::asm::Width;
use super::inst::MOp;
use super::select::{Selector, unsupported};
use super::select_flags::Setter;
use crate::regalloc::{NONE, Role, VECTOR};

/// What natives of the trace write, and where it is picked up.
#[derive(Debug, Default)]
pub struct Natives {
    /// The first `pick` of each tuple and slot.
    picks: FxHashMap<(u32, u16), u32>,
    /// Lines of natives that write a slot, by slot, ascending: line and tuple.
    writes: FxHashMap<u16, Vec<(u32, u32)>>,
}

impl Selector<'_> {
    /// Looks at all natives; further picks of one result become aliases of the first.
    pub(super) fn find_natives(&mut self) {
        self.s.natives.picks.clear();
        self.s.natives.writes.clear();
        for (i, inst) in self.trace.insts.iter().enumerate() {
            match inst.op {
                Op::Native => {
                    let Some(native) = self.trace.native(inst) else { continue };
                    for slot in &native.writes {
                        let list = self.s.natives.writes.entry(slot.0).or_default();
                        list.push((i as u32, inst.res.0));
                    }
                }
                Op::Pick => {
                    let (Some(tuple), Some(slot)) = (inst.args[0].as_value(), inst.args[1].as_index()) else {
                        continue;
                    };
                    let v = inst.res.0;
                    let first = *self.s.natives.picks.entry((tuple.0, slot as u16)).or_insert(v);
                    self.s.facts.root[v as usize] = first;
                    match self.homes[slot] {
                        Home::General(r) => self.s.program.vregs[first as usize].hint = r,
                        Home::Vector(r) if r < 16 => self.s.program.vregs[first as usize].hint = VECTOR + r,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Is the value machine state that stays where it is?
    pub(super) fn is_machine(&self, o: Operand) -> bool {
        self.machine_slot(o).is_some()
    }

    fn machine_slot(&self, o: Operand) -> Option<usize> {
        let mut next = o;
        // Parameters of the loop are what their entry value is.
        for _ in 0..2 {
            let inst = self.def(self.root(next.as_value()?))?;
            let slot = match inst.op {
                Op::Slot => inst.args[0].as_index()?,
                Op::Pick => inst.args[1].as_index()?,
                Op::Phi => {
                    next = inst.args[0];
                    continue;
                }
                _ => return None,
            };
            return self.in_place(slot).then_some(slot);
        }
        None
    }

    /// Does the slot's value always stay where it is?
    pub(super) fn in_place(&self, slot: usize) -> bool {
        match self.homes[slot] {
            Home::Machine | Home::Mask(_) => true,
            Home::Vector(_) => !self.is_managed(slot),
            _ => false,
        }
    }

    /// Is this what the machine has for the slot just before line `at`? [`Operand::NONE`] is the value at entry.
    pub(super) fn is_current(&self, o: Operand, slot: usize, at: u32) -> bool {
        let none = Vec::new();
        let writes = self.s.natives.writes.get(&(slot as u16)).unwrap_or(&none);
        let body = if self.trace.end == End::Loop { self.trace.loop_at.unwrap_or(0) } else { NONE };
        let last = writes.iter().rev().find(|w| w.0 < at).copied();
        let in_body = at > body;
        let loops = in_body && writes.iter().any(|w| w.0 >= body);
        match last {
            Some((line, tuple)) if !loops || line >= body => {
                let pick = self.s.natives.picks.get(&(tuple, slot as u16));
                o.as_value().is_some_and(|v| Some(&self.root(v)) == pick)
            }
            _ if loops => {
                // What the loop's head has: its parameter, if all that flows into it is what the machine has there.
                let Some(inst) = o.as_value().and_then(|v| self.def(self.root(v))) else { return false };
                inst.op == Op::Phi
                    && self.is_current(inst.args[0], slot, body)
                    && (inst.args[1] == o
                        || self.is_current(inst.args[1], slot, self.trace.insts.len() as u32))
            }
            _ => {
                if o.is_none() {
                    return true;
                }
                let Some(v) = o.as_value() else { return false };
                let root = self.root(v);
                if root == self.s.entries[slot] {
                    return true;
                }
                // A parameter that only passes on what was there at entry.
                self.def(root).is_some_and(|i| {
                    i.op == Op::Phi
                        && i.args[0].as_value().is_some_and(|e| self.root(e) == self.s.entries[slot])
                        && i.args[1]
                            .as_value()
                            .is_some_and(|n| self.root(n) == root || self.root(n) == self.s.entries[slot])
                })
            }
        }
    }

    /// The instruction itself.
    pub(super) fn native(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        let Some(native) = self.trace.native(inst) else { return Err(unsupported("this native")) };
        let tuple = inst.res.0;
        let flags_slot = self.homes.iter().position(|h| *h == Home::Flags);
        let flags_pick =
            flags_slot.and_then(|s| self.s.natives.picks.get(&(tuple, s as u16))).copied().unwrap_or(NONE);
        // Its own flags may be what is asked for.
        if flags_pick != NONE && self.pending.is_some_and(|p| p.setter == Setter::Value(flags_pick)) {
            self.pending = None;
        }
        self.flush(self.here + 1);
        if flags_pick != NONE && self.is_live(flags_pick) {
            self.save_flags(flags_pick);
        }
        self.begin_raw(MOp::Native, Width::W64);
        let mut clobbers = 0;
        let mut request = None;
        for bind in &native.inputs {
            let slot = bind.slot.index();
            match self.homes[slot] {
                Home::General(r) => {
                    let v = self.reg(bind.value, Type::I64);
                    self.src(v, Role::Fixed(r));
                }
                Home::Flags => request = Some(self.request(bind.value, Flag::MASK as u16)),
                Home::Vector(_) if self.is_managed(slot) && !self.upper_is(bind.value, slot) => {
                    return Err(unsupported("a native that reads the upper part of another slot"));
                }
                Home::Vector(r) if self.is_managed(slot) => {
                    let v = self.vec(bind.value, self.trace.decls.slots[slot].ty);
                    self.src(v, Role::Fixed(VECTOR + r));
                }
                // Nothing but addresses depends on it, and it never changes.
                Home::Base(_)
                    if bind.value.as_value().is_some_and(|v| self.root(v) == self.s.entries[slot]) => {}
                _ if self.in_place(slot) && self.is_current(bind.value, slot, self.here) => {}
                home => return Err(unsupported(format_args!("a native that reads {home:?}"))),
            }
        }
        for slot in &native.writes {
            let pick = self.s.natives.picks.get(&(tuple, slot.0)).copied();
            let live = pick.filter(|p| self.is_live(*p));
            let register = match self.homes[slot.index()] {
                Home::General(r) => r,
                Home::Vector(r) if self.is_managed(slot.index()) => VECTOR + r,
                Home::Flags => continue,
                _ if self.in_place(slot.index()) => continue,
                home => return Err(unsupported(format_args!("a native that writes {home:?}"))),
            };
            match live {
                Some(v) => self.def_(v, Role::DefFixed(register)),
                None => clobbers |= 1 << register,
            }
        }
        self.end_faulting(clobbers);
        if let Some(request) = request {
            self.want(request);
            // Its operands must be where they are asked for now.
            self.flush(self.here);
        }
        Ok(())
    }

    /// An exit's slot that stays in place.
    pub(super) fn exit_elsewhere(&mut self, slot: usize, home: Home, bound: Operand) {
        let same = bound.as_value().is_some_and(|v| self.root(v) == self.s.entries[slot]);
        let unchanged = (bound.is_none() || same) && !self.s.natives.writes.contains_key(&(slot as u16));
        let stays = || self.in_place(slot) && self.is_current(bound, slot, self.here);
        if !unchanged && !stays() {
            self.error.get_or_insert_with(|| unsupported(format_args!("an exit that changes {home:?}")));
        }
    }

    /// Does what lies above 128 bits of the value stay in this slot's home? (With VEX, values are whole.)
    fn upper_is(&self, o: Operand, slot: usize) -> bool {
        let upper = o.as_value().map(|v| self.s.facts.upper[v.index()]);
        self.s.kit.vex || upper == Some(slot as u16)
    }

    /// Vector slots whose values are allocated like all others.
    fn is_managed(&self, slot: usize) -> bool {
        self.managed.get(slot).copied().unwrap_or(false)
    }
}
