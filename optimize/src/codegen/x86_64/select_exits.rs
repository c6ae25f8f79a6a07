//! What an exit needs: operands of the instruction that leaves, and for each slot where its value is among them.
//!
//! What only exits use and can be made on the way into its home (a sum, an extension) is not made before: the exit asks for what
//! it is made of.

use ir::op::Op;
use ir::snapshot::Target;
use ir::trace::{End, Inst};
use ir::types::{ExitId, Flag, Operand, Type};

use super::super::Home;
use super::exits::{ExitItem, ExitRecord, FlagsAt, Src, image_of};
use super::moves::Tweak;
use super::prepare::is_vector;
use super::select::{Selector, Val, unsupported, vreg_of};
use super::select_flags::{Request, Setter, width_of};
use crate::regalloc::{NONE, Role};

impl Selector<'_> {
    /// A value that out-of-line code needs.
    pub(super) fn exit_src(&mut self, o: Operand, ty: Type) -> Src {
        let Some(v) = o.as_value() else {
            return Src::Int(self.literal(o, ty).unwrap_or(0) as u64 & ty.mask64());
        };
        let root = self.root(v);
        self.exit_vreg(root)
    }

    pub(super) fn exit_vreg(&mut self, root: u32) -> Src {
        match self.made_at_exit(root) {
            Some((x, tweak)) => Src::Tweaked(self.exit_operand(x), tweak),
            None => Src::Opnd(self.exit_operand(root)),
        }
    }

    /// What the exit makes the value from on the way into its home, if it does.
    fn made_at_exit(&self, root: u32) -> Option<(u32, Tweak)> {
        let inst = self.def(root)?;
        let tweak = match inst.op {
            // Sums that only addresses use besides, which fold them.
            Op::Add | Op::Sub => {
                self.folds(root)?;
                let k = self.imm32(inst.args[1], Type::I64)?;
                Tweak::Plus(if inst.op == Op::Add { k } else { k.checked_neg()? })
            }
            // Extensions that nothing else uses.
            Op::Zext | Op::Sext
                if self.s.facts.uses[root as usize] == 0
                    && inst.ty == Type::I64
                    && matches!(inst.aty, Type::I8 | Type::I16 | Type::I32) =>
            {
                let width = width_of(inst.aty);
                if inst.op == Op::Zext { Tweak::Zext(width) } else { Tweak::Sext(width) }
            }
            // The bits of floats, and of integers as floats, where the conversion is for exits only.
            Op::Bitcast
                if self.s.facts.uses[root as usize] == 0
                    && inst.aty == Type::F64
                    && inst.ty == Type::I64
                    && self.host.reserved() >> 16 != 0 =>
            {
                let float = self.root(inst.args[0].as_value()?);
                let from = self.def(float).filter(|i| {
                    i.op == Op::Sitof
                        && matches!(i.aty, Type::I32 | Type::I64)
                        && i.ty == Type::F64
                        && self.s.facts.uses[float as usize] == 1
                });
                let Some(from) = from else {
                    return (!self.s.program.vregs[float as usize].remat).then_some((float, Tweak::None));
                };
                let x = self.root(from.args[0].as_value()?);
                let tweak = Tweak::Float(width_of(from.aty));
                return (!self.s.program.vregs[x as usize].remat).then_some((x, tweak));
            }
            _ => return None,
        };
        let x = self.root(inst.args[0].as_value()?);
        (!self.s.program.vregs[x as usize].remat).then_some((x, tweak))
    }

    pub(super) fn exit_operand(&mut self, vreg: u32) -> u32 {
        self.operand(vreg, Role::Exit);
        self.s.program.opnds.len() as u32 - 1
    }

    /// The current instruction leaves (or faults) by this exit.
    pub(super) fn exit(&mut self, id: ExitId) {
        let Some(exit) = self.trace.exit(id).copied() else {
            self.error.get_or_insert(unsupported("an exit that does not exist"));
            return;
        };
        let mut binds = std::mem::take(&mut self.binds);
        let elsewhere = std::mem::take(&mut self.elsewhere);
        for &slot in &elsewhere {
            binds[slot] = Operand::NONE;
        }
        let first = self.s.items.len() as u32;
        let moved = !self.host.keeps_homes();
        let trace = self.trace;
        trace.for_each_bind(id, |b| {
            let slot = b.slot.index();
            if !matches!(self.homes[slot], Home::Memory(..)) {
                binds[slot] = b.value;
            } else if !b.value.is_any()
                && (moved || b.value.as_value().is_none_or(|v| self.root(v) != self.s.entries[slot]))
            {
                let ty = trace.decls.slots[slot].ty;
                let src = if is_vector(ty) {
                    let v = self.vec(b.value, ty);
                    Src::Opnd(self.exit_operand(v))
                } else {
                    self.exit_src(b.value, ty)
                };
                self.s.items.push(ExitItem { slot: slot as u16, src });
            }
        });
        let (mut flags, mut image) = (FlagsAt::Keep, None);
        for &slot in &elsewhere {
            let bound = binds[slot];
            if bound.is_any() {
                continue;
            }
            let ty = self.trace.decls.slots[slot].ty;
            match self.homes[slot] {
                Home::General(_) => {
                    let src = if bound.is_none() {
                        let v = self.entry(slot);
                        self.exit_vreg(v)
                    } else if let Some(recipe) = self.trace.recipe(bound) {
                        let what = recipe.op.name();
                        self.error.get_or_insert_with(|| unsupported(format_args!("recipe {what}")));
                        Src::Int(0)
                    } else {
                        self.exit_src(bound, ty)
                    };
                    self.s.items.push(ExitItem { slot: slot as u16, src });
                }
                Home::Flags => flags = self.exit_flags(slot, bound),
                Home::Image(..) if !bound.is_none() => {
                    let entry = self.s.entries[slot];
                    if bound.as_value().is_some_and(|v| self.root(v) == entry) {
                        continue;
                    }
                    // An image goes to its home as it is.
                    let src = match self.exit_flags(slot, bound) {
                        FlagsAt::Image(i) => Src::Opnd(i),
                        FlagsAt::Literal(packed) => Src::Int(image_of(packed)),
                        made => {
                            (flags, image) = (made, Some(slot as u16));
                            continue;
                        }
                    };
                    self.s.items.push(ExitItem { slot: slot as u16, src });
                }
                Home::Memory(..) | Home::Image(..) => {}
                Home::Vector(_) if self.vectors => self.exit_vector(slot, bound),
                home => self.exit_elsewhere(slot, home, bound),
            }
        }
        self.elsewhere = elsewhere;
        let target = match exit.target {
            Target::Pc(_) => None,
            Target::Value(o) => Some(self.exit_src(o, Type::I64)),
        };
        self.binds = binds;
        let record = self.s.exits.len() as u32;
        self.cur().exit = record;
        let items = (first, self.s.items.len() as u32);
        self.s.exits.push(ExitRecord { id, items, flags, image, target });
    }

    /// What sets these flags before the end of the trace, where its exit stands in line: often an instruction that is there anyway.
    fn in_line(&mut self, flags: &Inst) -> Option<Setter> {
        let ty = flags.aty;
        // What only the exit makes has no register before it.
        let late = |o: &Operand| {
            o.as_value()
                .is_some_and(|v| !self.is_live(self.root(v)) && self.made_at_exit(self.root(v)).is_some())
        };
        if flags.args[..2].iter().any(late) {
            return None;
        }
        match flags.op {
            Op::FlagsSub => Some(Setter::Cmp(self.val(flags.args[0], ty), self.val(flags.args[1], ty))),
            Op::FlagsLogic => {
                let a = self.val(flags.args[0], ty);
                matches!(a, Val::Reg(_)).then_some(Setter::Test(a, a))
            }
            _ => None,
        }
    }

    /// How out-of-line code makes the flags.
    pub(super) fn exit_flags(&mut self, slot: usize, bound: Operand) -> FlagsAt {
        if bound.is_none() {
            let entry = self.s.entries[slot];
            // Nothing has touched them yet, as far as that is known without looking at what was selected.
            let once = self.trace.loop_at.is_none_or(|l| self.here < l);
            let untouched = once && self.here <= self.s.facts.first_clobber && entry == NONE;
            if untouched && self.pending.is_none() {
                self.kept_until = self.kept_until.max(self.here);
                return FlagsAt::Keep;
            }
            let v = self.entry(slot);
            return FlagsAt::Image(self.exit_operand(v));
        }
        let recipe = match self.trace.recipe(bound) {
            Some(recipe) => *recipe,
            None => match bound.as_value() {
                None => return FlagsAt::Literal(self.literal(bound, Type::I64).unwrap_or(0) as u64),
                Some(v) => match self.def(self.root(v)) {
                    Some(inst) if inst.op != Op::Slot => *inst,
                    _ => {
                        let v = self.entry(slot);
                        return FlagsAt::Image(self.exit_operand(v));
                    }
                },
            },
        };
        let args = recipe.args;
        if let (Some(a), Some(b)) = (self.literal(args[0], recipe.aty), self.literal(args[1], recipe.aty))
            && matches!(recipe.op, Op::FlagsSub | Op::FlagsAdd | Op::FlagsUmul | Op::FlagsSmul)
            && let Ok(packed) =
                ir::eval::scalar(recipe.op, recipe.aty, Type::Flags, recipe.attr, a as u64, b as u64, 0)
        {
            return FlagsAt::Literal(packed);
        }
        if self.here == self.trace.insts.len() as u32
            && matches!(self.trace.end, End::Exit(_))
            && let Some(setter) = self.in_line(&recipe)
        {
            self.at_end = Some(Request { setter, ty: recipe.aty, need: Flag::MASK as u16 });
            return FlagsAt::Keep;
        }
        let two = |s: &mut Self| [s.exit_src(args[0], recipe.aty), s.exit_src(args[1], recipe.aty)];
        let width = recipe.aty;
        match recipe.op {
            Op::FlagsSub | Op::FlagsAdd | Op::FlagsUmul | Op::FlagsSmul => {
                let [a, b] = two(self);
                FlagsAt::Op { op: recipe.op, ty: width, a, b, c: Src::Int(0) }
            }
            Op::FlagsLogic => {
                let a = self.exit_src(args[0], width);
                FlagsAt::Op { op: recipe.op, ty: width, a, b: a, c: Src::Int(0) }
            }
            Op::FlagsFcmp => {
                let (a, b) = (self.vec(args[0], width), self.vec(args[1], width));
                FlagsAt::Float { ty: width, a: self.exit_operand(a), b: self.exit_operand(b) }
            }
            Op::FlagsAdc | Op::FlagsSbb => {
                let [a, b] = two(self);
                let c = self.exit_src(args[2], Type::I1);
                FlagsAt::Op { op: recipe.op, ty: width, a, b, c }
            }
            _ => match bound.as_value() {
                Some(v) => {
                    let v = self.root(v);
                    FlagsAt::Image(self.exit_operand(v))
                }
                None => FlagsAt::Image(self.hot_recipe(&recipe)),
            },
        }
    }

    /// A recipe that is performed before the exit after all: its value as an operand of the exit.
    pub(super) fn hot_recipe(&mut self, recipe: &Inst) -> u32 {
        let v = self.new_vreg(vreg_of(recipe.ty));
        self.recipes.push((v, *recipe));
        self.exit_operand(v)
    }

    /// The operands of an exit have moved within the pool.
    pub(super) fn shift_exit(&mut self, record: u32, by: u32) {
        let Some(record) = self.s.exits.get_mut(record as usize) else { return };
        let shift = |src: &mut Src| match src {
            Src::Opnd(i) | Src::Tweaked(i, _) => *i += by,
            Src::Merged(i, j, _) | Src::MergedLane(i, j, _) => {
                *i += by;
                *j += by;
            }
            Src::Int(_) => {}
        };
        for item in &mut self.s.items[record.items.0 as usize..record.items.1 as usize] {
            shift(&mut item.src);
        }
        if let Some(target) = &mut record.target {
            shift(target);
        }
        match &mut record.flags {
            FlagsAt::Keep | FlagsAt::Literal(_) => {}
            FlagsAt::Image(i) => *i += by,
            FlagsAt::Float { a, b, .. } => {
                *a += by;
                *b += by;
            }
            FlagsAt::Op { a, b, c, .. } => [a, b, c].into_iter().for_each(shift),
        }
    }
}
