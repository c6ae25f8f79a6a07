//! The way a front end writes a trace.
//!
//! A [`Builder`] owns the trace under construction and remembers for each state slot the value it has at this
//! point of the guest program ([`Builder::get`], [`Builder::set`]). Exits are made from that:
//! [`Builder::exit`] takes the snapshot, storing only what changed since the exit before it (`like`).
//!
//! ```
//! # use std::sync::Arc;
//! # use ir::{builder::Builder, op::Op, trace::Decls, snapshot::ExitKind, types::{Pc, Type}};
//! # let mut decls = Decls::new();
//! # let rax = decls.add_slot("rax", Type::I64, None).unwrap();
//! # let mut b = Builder::new(Arc::new(decls), "t", Pc::Addr(0x1000));
//! b.at(Pc::Addr(0x1000));                           // add rax, 1
//! let (old, one) = (b.get(rax), b.int(Type::I64, 1));
//! let sum = b.bin(Op::Add, Type::I64, old, one);
//! b.set(rax, sum);
//! let exit = b.exit(Pc::Addr(0x1004), ExitKind::Jump); // { rax = sum }
//! b.end_exit(exit);
//! let trace = b.finish();
//! # assert!(ir::verify::verify(&trace).is_ok());
//! ```
//!
//! The builder does not fold, share or check: the optimizer does the first two, the verifier the last. A
//! literal is typed by the place where it is used, so an operand made by `int(I8, 255)` must be used as an
//! `i8`.

use std::sync::Arc;

use crate::effects::Effects;
use crate::op::{Arg, Op};
use crate::snapshot::{Bind, ExitKind, Target};
use crate::trace::{Addr, Decls, End, Fact, FactArg, Inst, Native, Trace};
use crate::types::*;

/// A trace under construction; see the module.
#[derive(Clone, Debug)]
pub struct Builder {
    trace: Trace,
    /// Value of each slot now; `NONE` when it has not been read or written.
    current: Vec<Operand>,
    /// Slots set since the last exit, each once.
    changed: Vec<SlotId>,
    is_changed: Vec<bool>,
    last_exit: Option<ExitId>,
    /// Slots which loop parameters stand for, in order.
    looping: Vec<SlotId>,
}

impl Builder {
    /// An empty trace.
    pub fn new(decls: Arc<Decls>, name: &str, entry: Pc) -> Builder {
        let slots = decls.slots.len();
        Builder {
            trace: Trace::new(decls, name, entry),
            current: vec![Operand::NONE; slots],
            changed: Vec::new(),
            is_changed: vec![false; slots],
            last_exit: None,
            looping: Vec::new(),
        }
    }

    /// Starts over, keeping memory: for who lifts one instruction after another.
    pub fn reset(&mut self, entry: Pc) {
        self.trace.reset(entry);
        self.current.fill(Operand::NONE);
        self.changed.clear();
        self.is_changed.fill(false);
        self.last_exit = None;
        self.looping.clear();
    }

    /// The trace so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The trace so far, for what this interface does not offer.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The finished trace. It must have been ended by [`Builder::end_exit`] or [`Builder::end_loop`].
    pub fn finish(self) -> Trace {
        self.trace
    }

    // --- literals --------------------------------------------------------------------------------

    /// An integer literal for use at `ty`.
    pub fn int(&mut self, ty: Type, value: i128) -> Operand {
        self.trace.literal(ty, value)
    }

    /// An `i64` literal.
    pub fn i64(&mut self, value: i64) -> Operand {
        self.trace.literal(Type::I64, value.into())
    }

    /// An `i1` literal.
    pub fn bool(&mut self, value: bool) -> Operand {
        self.trace.literal(Type::I1, value.into())
    }

    /// An `f64` literal.
    pub fn f64(&mut self, value: f64) -> Operand {
        self.trace.literal(Type::F64, value.to_bits().into())
    }

    /// An `f32` literal.
    pub fn f32(&mut self, value: f32) -> Operand {
        self.trace.literal(Type::F32, value.to_bits().into())
    }

    /// A vector literal for use at `ty`.
    pub fn vector(&mut self, ty: Type, bits: &Wide) -> Operand {
        self.trace.wide_literal(ty, bits)
    }

    // --- operations ------------------------------------------------------------------------------

    /// Any plain operation: operand type, result type, attribute, operands.
    pub fn op(&mut self, op: Op, aty: Type, ty: Type, attr: u8, operands: &[Operand]) -> Operand {
        self.trace.push(Inst::new(op, aty, ty, attr, operands))
    }

    /// A plain operation without suffix whose result type follows from its row and `ty`, the operand type:
    /// `T`, `i1`, `i64` or `flags`.
    fn derived(&mut self, op: Op, ty: Type, operands: &[Operand]) -> Operand {
        let result = match op.info().result {
            Arg::I1 => Type::I1,
            Arg::I64 => Type::I64,
            Arg::F => Type::Flags,
            Arg::None => Type::Void,
            _ => ty,
        };
        self.op(op, ty, result, 0, operands)
    }

    /// One operand of type `ty` (`neg`, `not`, `bswap`, `fsqrt`, `flags.logic`, …).
    pub fn un(&mut self, op: Op, ty: Type, a: Operand) -> Operand {
        self.derived(op, ty, &[a])
    }

    /// Two operands of type `ty` (`add`, `eq`, `fmul`, `flags.add`, …).
    pub fn bin(&mut self, op: Op, ty: Type, a: Operand, b: Operand) -> Operand {
        self.derived(op, ty, &[a, b])
    }

    /// Three operands, operand type `ty` (`udivw`, `flags.adc`, `flags.shl`, …).
    pub fn tri(&mut self, op: Op, ty: Type, a: Operand, b: Operand, c: Operand) -> Operand {
        self.derived(op, ty, &[a, b, c])
    }

    /// A conversion (`zext`, `trunc`, `bitcast`, `sitof`, `v.splat`, …). The same type twice gives `a` back for
    /// `zext`, `sext`, `trunc` and `bitcast`.
    pub fn convert(&mut self, op: Op, from: Type, to: Type, a: Operand) -> Operand {
        if from == to && matches!(op, Op::Zext | Op::Sext | Op::Trunc | Op::Bitcast) {
            return a;
        }
        self.op(op, from, to, 0, &[a])
    }

    /// `select cond, a, b` at `ty`.
    pub fn select(&mut self, ty: Type, cond: Operand, a: Operand, b: Operand) -> Operand {
        self.op(Op::Select, Type::Void, ty, 0, &[cond, a, b])
    }

    /// `container` with `part` put in at a bit offset.
    pub fn insert(
        &mut self,
        ty: Type,
        container: Operand,
        part_ty: Type,
        part: Operand,
        bit: u32,
    ) -> Operand {
        self.op(Op::Insert, part_ty, ty, 0, &[container, part, Operand::index(bit)])
    }

    /// The part of type `part_ty` at a bit offset of `container`.
    pub fn extract(&mut self, ty: Type, container: Operand, part_ty: Type, bit: u32) -> Operand {
        self.op(Op::Extract, ty, part_ty, 0, &[container, Operand::index(bit)])
    }

    /// A lane-wise vector operation: lane type, vector type, operands.
    pub fn lanes(&mut self, op: Op, lane: Type, ty: Type, operands: &[Operand]) -> Operand {
        let ty = if op.info().result == Arg::I64 { Type::I64 } else { ty };
        self.op(op, lane, ty, 0, operands)
    }

    /// `v.shuffle`: result lane i is lane `index[i]` of `a`'s lanes followed by `b`'s.
    pub fn shuffle(&mut self, lane: Type, ty: Type, a: Operand, b: Operand, index: &[u8]) -> Operand {
        let mut bits = ZERO;
        for (i, x) in index.iter().take(64).enumerate() {
            bits[i / 8] |= (*x as u64) << (i % 8 * 8);
        }
        let index = self.trace.wide_literal(Type::V512, &bits);
        self.op(Op::VShuffle, lane, ty, 0, &[a, b, index])
    }

    /// One flag of `flags`.
    pub fn flag(&mut self, flag: Flag, flags: Operand) -> Operand {
        self.op(Op::FlagsGet, Type::Void, Type::I1, flag as u8, &[flags])
    }

    /// `flags` with one flag replaced by an `i1`.
    pub fn with_flag(&mut self, flag: Flag, flags: Operand, bit: Operand) -> Operand {
        self.op(Op::FlagsWith, Type::Void, Type::Flags, flag as u8, &[flags, bit])
    }

    /// A condition on `flags`.
    pub fn cc(&mut self, cond: Cond, flags: Operand) -> Operand {
        self.op(Op::Cc, Type::Void, Type::I1, cond as u8, &[flags])
    }

    /// Flags from their packed image, see [`Flag`].
    pub fn pack_flags(&mut self, image: Operand) -> Operand {
        self.op(Op::FlagsPack, Type::Void, Type::Flags, 0, &[image])
    }

    /// The packed image of flags.
    pub fn unpack_flags(&mut self, flags: Operand) -> Operand {
        self.op(Op::FlagsUnpack, Type::Void, Type::I64, 0, &[flags])
    }

    /// `fround` in a direction.
    pub fn fround(&mut self, ty: Type, mode: Round, a: Operand) -> Operand {
        self.op(Op::Fround, ty, ty, mode as u8, &[a])
    }

    // --- memory ----------------------------------------------------------------------------------

    /// A load. A scale other than 1, 2, 4, 8 counts as 1.
    pub fn load(&mut self, ty: Type, addr: Addr, class: ClassId) -> Operand {
        let disp = self.trace.literal(Type::I64, addr.disp.into());
        let attr = Inst::mem_attr(class, addr.scale).unwrap_or(class.0);
        self.op(Op::Load, Type::Void, ty, attr, &[addr.base, addr.index, disp])
    }

    /// A store of `value`, of type `ty`.
    pub fn store(&mut self, ty: Type, value: Operand, addr: Addr, class: ClassId) {
        let disp = self.trace.literal(Type::I64, addr.disp.into());
        let attr = Inst::mem_attr(class, addr.scale).unwrap_or(class.0);
        self.op(Op::Store, ty, Type::Void, attr, &[addr.base, addr.index, disp, value]);
    }

    /// The address as an `i64` value: `add`s and a `shl` of what it is made of.
    pub fn address(&mut self, addr: Addr) -> Operand {
        let mut sum = addr.base;
        if !addr.index.is_none() {
            let amount = self.i64(addr.scale.trailing_zeros().min(3).into());
            let scaled =
                if addr.scale > 1 { self.bin(Op::Shl, Type::I64, addr.index, amount) } else { addr.index };
            sum = self.bin(Op::Add, Type::I64, sum, scaled);
        }
        if addr.disp != 0 {
            let disp = self.i64(addr.disp);
            sum = self.bin(Op::Add, Type::I64, sum, disp);
        }
        sum
    }

    /// An atomic operation; the result is the old memory. `new` is for `atomic.cas` only ([`Operand::NONE`]
    /// otherwise). The address has no index; compute it with [`Builder::address`] if need be.
    #[expect(
        clippy::too_many_arguments,
        reason = "an address, a class and up to two operands; a struct would only move them"
    )]
    pub fn atomic(
        &mut self,
        op: Op,
        ty: Type,
        base: Operand,
        disp: i64,
        class: ClassId,
        value: Operand,
        new: Operand,
    ) -> Operand {
        let disp = self.trace.literal(Type::I64, disp.into());
        self.op(op, ty, ty, class.0 & 63, &[base, disp, value, new])
    }

    /// A full fence.
    pub fn fence(&mut self) {
        self.op(Op::Fence, Type::Void, Type::Void, 0, &[]);
    }

    // --- natives and calls -----------------------------------------------------------------------

    /// A native instruction that reads and writes these slots, at their current values, which it changes.
    /// Does nothing if `bytes` is empty or longer than [`crate::trace::MAX_NATIVE`].
    pub fn native(&mut self, bytes: &[u8], reads: &[SlotId], writes: &[SlotId], effects: Effects) {
        let inputs = reads.iter().map(|&slot| Bind { slot, value: self.get(slot) }).collect();
        let Some(native) = Native::new(bytes, inputs, writes.to_vec(), effects) else { return };
        let index = self.trace.add_native(native);
        let tuple = self.op(Op::Native, Type::Void, Type::Tuple, 0, &[index]);
        for &slot in writes {
            let value = self.pick(tuple, slot);
            self.set(slot, value);
        }
    }

    /// What a native left in the slot.
    pub fn pick(&mut self, tuple: Operand, slot: SlotId) -> Operand {
        let ty = self.trace.decls.slots.get(slot.index()).map_or(Type::Void, |s| s.ty);
        self.op(Op::Pick, Type::Void, ty, 0, &[tuple, Operand::index(slot.0.into())])
    }

    /// A call of a helper; leaves by `exit` when it raises. [`Operand::NONE`] if the helper has no result.
    pub fn call(&mut self, helper: HelperId, operands: &[Operand], exit: Option<ExitId>) -> Operand {
        let inst = self.trace.make_call(helper, operands, exit);
        self.trace.push(inst)
    }

    // --- boxed words -----------------------------------------------------------------------------

    /// The boxed word for `a`, whose type is the tag's.
    pub fn box_(&mut self, a: Operand, tag: TagId) -> Operand {
        let ty = self.tag_type(tag);
        self.op(Op::Box, ty, Type::I64, 0, &[a, Operand::index(tag.0.into())])
    }

    /// What is inside the word.
    pub fn unbox(&mut self, word: Operand, tag: TagId) -> Operand {
        let ty = self.tag_type(tag);
        self.op(Op::Unbox, Type::Void, ty, 0, &[word, Operand::index(tag.0.into())])
    }

    /// Has the word this tag?
    pub fn has_tag(&mut self, word: Operand, tag: TagId) -> Operand {
        self.op(Op::HasTag, Type::Void, Type::I1, 0, &[word, Operand::index(tag.0.into())])
    }

    fn tag_type(&self, tag: TagId) -> Type {
        self.trace.decls.tags.get(tag.index()).map_or(Type::Void, |t| t.ty)
    }

    // --- guest state and exits -------------------------------------------------------------------

    /// The slot's value at this point: what was last set, or its value at entry.
    pub fn get(&mut self, slot: SlotId) -> Operand {
        let now = self.current[slot.index()];
        if !now.is_none() && now.as_value().is_some() || now.is_literal() {
            return now;
        }
        if let Some(recipe) = self.trace.recipe(now).copied() {
            let value = self.trace.push(recipe);
            self.current[slot.index()] = value;
            return value;
        }
        let ty = self.trace.decls.slots[slot.index()].ty;
        let value = self.op(Op::Slot, Type::Void, ty, 0, &[Operand::index(slot.0.into())]);
        self.current[slot.index()] = value;
        value
    }

    /// The recipe that the slot's value is at this point, if it was set to one that nobody has asked for yet.
    pub fn recipe(&self, slot: SlotId) -> Option<Inst> {
        self.trace.recipe(self.current[slot.index()]).copied()
    }

    /// From here on the slot has this value (of the slot's type).
    pub fn set(&mut self, slot: SlotId, value: Operand) {
        self.current[slot.index()] = value;
        if !std::mem::replace(&mut self.is_changed[slot.index()], true) {
            self.changed.push(slot);
        }
    }

    /// From here on the slot has the value of this pure operation, computed only where an exit is taken or
    /// [`Builder::get`] asks for it.
    pub fn set_recipe(&mut self, slot: SlotId, op: Op, aty: Type, attr: u8, operands: &[Operand]) {
        let ty = self.trace.decls.slots[slot.index()].ty;
        let recipe = self.trace.add_recipe(Inst::new(op, aty, ty, attr, operands));
        self.set(slot, recipe);
    }

    /// Marks where the guest instruction at `pc` begins.
    pub fn at(&mut self, pc: Pc) {
        let pc = self.trace.add_pc(pc);
        self.op(Op::At, Type::Void, Type::Void, 0, &[pc]);
    }

    /// Like [`Builder::at`], with the exact state here for faults of what follows.
    pub fn at_exact(&mut self, pc: Pc) -> ExitId {
        let exit = self.exit(pc, ExitKind::Jump);
        let pc = self.trace.add_pc(pc);
        self.op(Op::At, Type::Void, Type::Void, 0, &[pc, Operand::index(exit.0)]);
        exit
    }

    /// A new exit to `pc` with the current state.
    pub fn exit(&mut self, pc: Pc, kind: ExitKind) -> ExitId {
        self.exit_to(Target::Pc(pc), kind)
    }

    /// A new exit to `pc` with the current state, where nobody reads `unread` before writing it.
    pub fn exit_without(&mut self, pc: Pc, kind: ExitKind, unread: SlotId) -> ExitId {
        let id = self.next_exit();
        let value = self.current[unread.index()];
        self.changed.sort_unstable();
        let mut binds: Vec<Bind> = self
            .changed
            .iter()
            .filter(|&&slot| slot != unread)
            .map(|&slot| Bind { slot, value: self.current[slot.index()] })
            .collect();
        binds.push(Bind { slot: unread, value: Operand::ANY });
        binds.sort_unstable_by_key(|b| b.slot);
        self.trace.add_exit(id, Target::Pc(pc), kind, self.last_exit, &binds);
        // Later exits inherit from this one only if they can say what the slot holds then.
        if !value.is_none() {
            for slot in self.changed.drain(..) {
                self.is_changed[slot.index()] = false;
            }
            self.last_exit = Some(id);
            self.set(unread, value);
        }
        id
    }

    /// A new exit to the address in an `i64` operand, with the current state.
    pub fn exit_indirect(&mut self, address: Operand, kind: ExitKind) -> ExitId {
        self.exit_to(Target::Value(address), kind)
    }

    fn next_exit(&self) -> ExitId {
        self.trace.exits.last().map_or(ExitId(0), |e| ExitId(e.id.0 + 1))
    }

    fn exit_to(&mut self, target: Target, kind: ExitKind) -> ExitId {
        let id = self.next_exit();
        self.changed.sort_unstable();
        let binds: Vec<Bind> =
            self.changed.iter().map(|&slot| Bind { slot, value: self.current[slot.index()] }).collect();
        self.trace.add_exit(id, target, kind, self.last_exit, &binds);
        for slot in self.changed.drain(..) {
            self.is_changed[slot.index()] = false;
        }
        self.last_exit = Some(id);
        id
    }

    /// Leaves by the exit unless `cond` is 1.
    pub fn guard(&mut self, cond: Operand, exit: ExitId) {
        self.op(Op::Guard, Type::Void, Type::Void, 0, &[cond, Operand::index(exit.0)]);
    }

    /// The trace rests on this fact.
    pub fn assume(&mut self, name: &str, args: &[FactArg]) {
        let fact = Fact { name: name.into(), args: args.into() };
        if !self.trace.facts.contains(&fact) {
            self.trace.facts.push(fact);
        }
    }

    // --- the loop --------------------------------------------------------------------------------

    /// The loop begins here, with a parameter for each of these slots: every slot that the body changes.
    /// Afterwards [`Builder::get`] gives the parameters.
    pub fn begin_loop(&mut self, slots: &[SlotId]) {
        let entry: Vec<Operand> = slots.iter().map(|&s| self.get(s)).collect();
        self.trace.loop_at = Some(self.trace.insts.len() as u32);
        for (&slot, value) in slots.iter().zip(entry) {
            let ty = self.trace.decls.slots[slot.index()].ty;
            let param = self.op(Op::Phi, Type::Void, ty, 0, &[value]);
            self.set(slot, param);
        }
        self.looping = slots.to_vec();
    }

    /// Ends the trace by going back to the loop head with the current values of the slots given to
    /// [`Builder::begin_loop`]. `interrupt` is the exit by which it may be left there, made just before
    /// ([`Builder::exit`]), see [`Trace::interrupt`].
    pub fn end_loop(&mut self, interrupt: Option<ExitId>) {
        let slots = std::mem::take(&mut self.looping);
        let next: Vec<Operand> = slots.iter().map(|&s| self.get(s)).collect();
        let at = self.trace.loop_at.unwrap_or(0) as usize;
        for (param, value) in self.trace.insts[at..].iter_mut().zip(next) {
            param.args[1] = value;
        }
        self.trace.end = End::Loop;
        self.trace.interrupt = interrupt;
    }

    /// Ends the trace by an exit.
    pub fn end_exit(&mut self, exit: ExitId) {
        self.trace.end = End::Exit(exit);
    }
}
