//! The reference interpreter: runs a trace on a state of slots and a [`Machine`]. It is the oracle of every
//! test, and the engine of tier 0, which lifts one guest instruction (or block) at a time and interprets it.
//!
//! What happens when: slots are read by `slot` lines and written only when an exit is taken, all at once, from
//! its snapshot. Memory is written as the lines come. So after any outcome
//! - [`Outcome::Exit`]: slots hold the exit's snapshot;
//! - [`Outcome::Fault`]: slots hold the snapshot of the last `at` line, if that named one. Otherwise they are
//!   untouched since entry, which is exact only if that was the first `at` of the trace (`exact` says so).
//!   Stores before the fault stay done;
//! - [`Outcome::Raised`], [`Outcome::OutOfFuel`]: slots are untouched since entry.
//!
//! An [`Interp`] keeps its buffers between runs; a run of a short trace allocates nothing. The trace must be
//! verified: on one that is not, results are meaningless (missing values read as 0), but nothing panics or
//! runs forever.

use crate::eval;
use crate::op::{Arg, Op};
use crate::snapshot::{ExitKind, Target};
use crate::trace::{Addr, Decls, End, Helper, Inst, Native, Trace};
use crate::types::*;

/// Values of all state slots, by [`SlotId`]. What lies above a slot's type is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    slots: Vec<Wide>,
    types: Vec<Type>,
}

impl State {
    /// All slots zero.
    pub fn new(decls: &Decls) -> State {
        State { slots: vec![ZERO; decls.slots.len()], types: decls.slots.iter().map(|s| s.ty).collect() }
    }

    /// A slot's low 64 bits: all of it for most types. 0 for a slot that does not exist.
    pub fn get(&self, slot: SlotId) -> u64 {
        self.slots.get(slot.index()).map_or(0, |w| w[0])
    }

    /// Sets a slot of at most 64 bits; bits above its type are cut off. A wider slot is zero-extended.
    pub fn set(&mut self, slot: SlotId, value: u64) {
        let Some(place) = self.slots.get_mut(slot.index()) else { return };
        match self.types[slot.index()] {
            Type::Flags => place[0] = value & Flag::MASK,
            ty if ty.bits() <= 64 => place[0] = value & ty.mask64(),
            _ => *place = eval::word(value),
        }
    }

    /// A slot's whole value.
    pub fn get_wide(&self, slot: SlotId) -> &Wide {
        self.slots.get(slot.index()).unwrap_or(&ZERO)
    }

    /// Sets a slot; bits above its type are cut off. Does nothing for a slot that does not exist.
    pub fn set_wide(&mut self, slot: SlotId, value: &Wide) {
        if let Some(place) = self.slots.get_mut(slot.index()) {
            *place = match self.types[slot.index()] {
                Type::Flags => eval::word(value[0] & Flag::MASK),
                ty => eval::mask(value, ty),
            };
        }
    }

    /// Sets a slot of type `ty`, which is at most 64 bits wide.
    fn set_word(&mut self, slot: SlotId, ty: Type, value: u64) {
        if let Some(place) = self.slots.get_mut(slot.index()) {
            place[0] = if ty == Type::Flags { value & Flag::MASK } else { value & ty.mask64() };
        }
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Are there no slots?
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// A synchronous fault of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Memory at this address cannot be read, or written.
    #[error("cannot {} memory at {addr:#x}", if *write { "write" } else { "read" })]
    Memory {
        /// The first byte that cannot be accessed, as far as is known.
        addr: u64,
        /// Was it a write?
        write: bool,
    },
    /// The address must be aligned and is not.
    #[error("misaligned access at {addr:#x}")]
    Misaligned {
        /// The address.
        addr: u64,
    },
    /// Division by zero, or the quotient does not fit.
    #[error("divide error")]
    Divide,
    /// The machine cannot execute this native instruction.
    #[error("native instruction cannot be executed here")]
    Unsupported,
    /// Anything else that a native raised; the machine gives the number its meaning.
    #[error("fault {0}")]
    Other(u32),
}

/// Why a helper did not return normally.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError {
    /// It raised an error of the guest language; the machine keeps it.
    Raise,
    /// It faulted.
    Fault(Fault),
}

/// The world outside the slots.
pub trait Machine {
    /// Fills `bytes` from memory. All or nothing: on a fault the contents of `bytes` do not matter.
    ///
    /// # Errors
    /// A fault of the guest; so for the other methods.
    fn load(&mut self, addr: u64, bytes: &mut [u8], class: ClassId) -> Result<(), Fault>;

    /// Writes all of `bytes`, or nothing.
    fn store(&mut self, addr: u64, bytes: &[u8], class: ClassId) -> Result<(), Fault>;

    /// Loads a little-endian scalar of 1, 2, 4 or 8 bytes, zero-extended. Worth overriding for speed.
    fn load_word(&mut self, addr: u64, size: u32, class: ClassId) -> Result<u64, Fault> {
        let mut buf = [0; 8];
        self.load(addr, &mut buf[..size.min(8) as usize], class)?;
        Ok(u64::from_le_bytes(buf))
    }

    /// Stores the low 1, 2, 4 or 8 bytes of `value`.
    fn store_word(&mut self, addr: u64, size: u32, value: u64, class: ClassId) -> Result<(), Fault> {
        self.store(addr, &value.to_le_bytes()[..size.min(8) as usize], class)
    }

    /// One atomic operation at a type up to `i128`; returns the old memory. `new` is for [`Op::AtomicCas`].
    /// The default is a load and a store ([`atomic_result`] between them), right only where no other thread
    /// can see it.
    fn atomic(
        &mut self,
        op: Op,
        ty: Type,
        addr: u64,
        value: u128,
        new: u128,
        class: ClassId,
    ) -> Result<u128, Fault> {
        let size = ty.bytes() as usize;
        if ty == Type::I128 && !addr.is_multiple_of(16) {
            return Err(Fault::Misaligned { addr });
        }
        let mut buf = [0; 16];
        self.load(addr, &mut buf[..size], class)?;
        let old = u128::from_le_bytes(buf);
        let result = atomic_result(op, ty, old, value, new);
        self.store(addr, &result.to_le_bytes()[..size], class)?;
        Ok(old)
    }

    /// A full fence.
    fn fence(&mut self) {}

    /// Executes a native instruction at `pc` with these inputs (slots not named may hold anything). `outputs`
    /// is zero, one entry per slot in `native.writes`. The default refuses.
    fn native(
        &mut self,
        native: &Native,
        pc: Option<Pc>,
        inputs: &[(SlotId, Wide)],
        outputs: &mut [Wide],
    ) -> Result<(), Fault> {
        let _ = (native, pc, inputs, outputs);
        Err(Fault::Unsupported)
    }

    /// Calls a helper. The default refuses.
    fn call(&mut self, id: HelperId, helper: &Helper, args: &[Wide]) -> Result<Wide, CallError> {
        let _ = (id, helper, args);
        Err(CallError::Fault(Fault::Unsupported))
    }
}

/// What an atomic operation leaves in memory that held `old`.
pub fn atomic_result(op: Op, ty: Type, old: u128, value: u128, new: u128) -> u128 {
    let mask = if ty.bits() >= 128 { u128::MAX } else { (1 << ty.bits()) - 1 };
    let r = match op {
        Op::AtomicAdd => old.wrapping_add(value),
        Op::AtomicAnd => old & value,
        Op::AtomicOr => old | value,
        Op::AtomicXor => old ^ value,
        Op::AtomicSwap => value,
        _ if (old ^ value) & mask == 0 => new,
        _ => old,
    };
    r & mask
}

/// How a run ended; see the module for what the slots hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Left by an exit.
    Exit {
        /// Which.
        id: ExitId,
        /// Why.
        kind: ExitKind,
        /// Where the guest goes on.
        resume: Pc,
    },
    /// A fault.
    Fault {
        /// Which.
        fault: Fault,
        /// The pc of the last `at` line, or the trace's entry.
        pc: Pc,
        /// Are the slots exactly the guest's state at `pc`?
        exact: bool,
    },
    /// A helper without exit raised.
    Raised,
    /// The loop went round as often as allowed.
    OutOfFuel,
}

/// An interpreter with its buffers.
#[derive(Clone, Default, Debug)]
pub struct Interp {
    values: Vec<Wide>,
    /// Outputs of natives; those of native `i` begin at `out_at[i]`.
    outputs: Vec<Wide>,
    out_at: Vec<u32>,
    inputs: Vec<(SlotId, Wide)>,
    scratch: Vec<Wide>,
}

/// What a line does to the flow when it does not just go on.
enum Leave {
    Exit(ExitId),
    Fault(Fault),
    Raised,
}

impl From<Fault> for Leave {
    fn from(f: Fault) -> Leave {
        Leave::Fault(f)
    }
}

impl From<eval::DivideFault> for Leave {
    fn from(_: eval::DivideFault) -> Leave {
        Leave::Fault(Fault::Divide)
    }
}

impl Interp {
    /// A new interpreter.
    pub fn new() -> Interp {
        Interp::default()
    }

    /// Runs the trace until it leaves. `fuel` is how often its loop may go back to its head.
    pub fn run<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        state: &mut State,
        machine: &mut M,
        fuel: u64,
    ) -> Outcome {
        self.run_until(trace, state, machine, fuel, |_| false)
    }

    /// Like [`Interp::run`], but leaves at the first `at` line where `stop` says so, among those that know the exact
    /// state, as if by the exit that the line names. At the first `at` of the trace, which needs no exit, the outcome is
    /// [`Outcome::Exit`] with a number that no exit has.
    pub fn run_until<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        state: &mut State,
        machine: &mut M,
        mut fuel: u64,
        mut stop: impl FnMut(Pc) -> bool,
    ) -> Outcome {
        if self.values.len() < trace.value_count() {
            self.values.resize(trace.value_count(), ZERO);
        }
        self.place_outputs(trace);
        let mut at: Option<usize> = None;
        let mut first_at = true;
        let mut from = 0;
        loop {
            let leave = self.lines(trace, from, state, machine, &mut at, &mut first_at, &mut stop);
            let id = match (leave, trace.end) {
                (Some(Leave::Exit(id)), _) | (None, End::Exit(id)) => id,
                (Some(Leave::Fault(fault)), _) => return self.fault(trace, state, fault, at, first_at),
                (Some(Leave::Raised), _) => return Outcome::Raised,
                (None, End::Loop) => {
                    let Some(left) = fuel.checked_sub(1) else { return Outcome::OutOfFuel };
                    fuel = left;
                    first_at = false;
                    from = self.next_iteration(trace);
                    continue;
                }
            };
            return self.leave(trace, state, id);
        }
    }

    fn place_outputs(&mut self, trace: &Trace) {
        self.out_at.clear();
        let mut total = 0u32;
        for n in &trace.natives {
            self.out_at.push(total);
            total += n.writes.len() as u32;
        }
        if self.outputs.len() < total as usize {
            self.outputs.resize(total as usize, ZERO);
        }
    }

    /// Runs lines from `from` to the end of the list, or until one leaves.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the state of one run, which a struct would only rename")]
    fn lines<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        from: usize,
        state: &State,
        machine: &mut M,
        at: &mut Option<usize>,
        first_at: &mut bool,
        stop: &mut impl FnMut(Pc) -> bool,
    ) -> Option<Leave> {
        for (i, inst) in trace.insts.iter().enumerate().skip(from) {
            if inst.op == Op::At {
                *first_at &= at.is_none();
                *at = Some(i);
                if (*first_at || inst.exit().is_some()) && trace.at_pc(inst).is_some_and(&mut *stop) {
                    return Some(Leave::Exit(inst.exit().unwrap_or(ExitId(u32::MAX))));
                }
                continue;
            }
            let pc = || at.and_then(|i| trace.at_pc(&trace.insts[i]));
            if let Err(leave) = self.line(trace, inst, state, machine, pc) {
                return Some(leave);
            }
        }
        None
    }

    #[inline]
    fn line<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        inst: &Inst,
        state: &State,
        machine: &mut M,
        pc: impl Fn() -> Option<Pc>,
    ) -> Result<(), Leave> {
        let a = &inst.args;
        match inst.op {
            Op::Slot => {
                let slot = SlotId(a[0].as_index().unwrap_or(usize::MAX) as u16);
                self.put_at_width(inst, state.get_wide(slot));
            }
            Op::Phi => self.copy(trace, inst, a[0]),
            Op::Guard => {
                if self.word(trace, a[0]) & 1 == 0 {
                    return Err(Leave::Exit(inst.exit().unwrap_or(ExitId(u32::MAX))));
                }
            }
            Op::Load => {
                let addr = self.address(trace, inst);
                if inst.ty.bits() <= 64 {
                    let v = machine.load_word(addr, inst.ty.bytes(), inst.class())?;
                    self.put_word(inst, v);
                } else {
                    let mut buf = [0; 64];
                    let size = inst.ty.bytes() as usize;
                    machine.load(addr, &mut buf[..size], inst.class())?;
                    self.put(inst, eval::from_bytes(&buf[..size]));
                }
            }
            Op::Store => {
                let addr = self.address(trace, inst);
                if inst.aty.bits() <= 64 {
                    let v = self.word(trace, a[3]);
                    machine.store_word(addr, inst.aty.bytes(), v, inst.class())?;
                } else {
                    let buf = eval::to_bytes(&self.read(trace, a[3], inst.aty));
                    machine.store(addr, &buf[..inst.aty.bytes() as usize], inst.class())?;
                }
            }
            Op::Fence => machine.fence(),
            Op::Native => self.native(trace, inst, machine, pc())?,
            Op::Pick => {
                let v = self.pick(trace, inst);
                self.put(inst, v);
            }
            Op::Call => self.call(trace, inst, machine)?,
            Op::Box | Op::Unbox | Op::HasTag => {
                let v = self.tagged(trace, inst);
                self.put_word(inst, v);
            }
            op @ (Op::AtomicAdd
            | Op::AtomicAnd
            | Op::AtomicOr
            | Op::AtomicXor
            | Op::AtomicSwap
            | Op::AtomicCas) => {
                let addr = self.address(trace, inst);
                let value = eval::to_u128(&self.read(trace, a[2], inst.aty));
                let new = eval::to_u128(&self.read(trace, a[3], inst.aty));
                let old = machine.atomic(op, inst.aty, addr, value, new, inst.class())?;
                self.put(inst, eval::mask(&eval::from_u128(old), inst.ty));
            }
            _ => self.compute(trace, inst)?,
        }
        Ok(())
    }

    /// A plain operation.
    #[inline]
    fn compute(&mut self, trace: &Trace, inst: &Inst) -> Result<(), eval::DivideFault> {
        let a = &inst.args;
        if eval::is_scalar(inst.op, inst.aty, inst.ty) {
            let (x, y, z) = (self.word(trace, a[0]), self.word(trace, a[1]), self.word(trace, a[2]));
            let v = eval::scalar(inst.op, inst.aty, inst.ty, inst.attr, x, y, z)?;
            self.put_word(inst, v);
        } else {
            let v = self.compute_wide(trace, inst)?;
            self.put(inst, v);
        }
        Ok(())
    }

    fn compute_wide(&self, trace: &Trace, inst: &Inst) -> Result<Wide, eval::DivideFault> {
        let mut x = [ZERO; 3];
        for ((x, arg), op) in x.iter_mut().zip(inst.op.info().args).zip(inst.args) {
            let ty = match arg {
                Arg::T => inst.aty,
                Arg::R => inst.ty,
                Arg::I1 => Type::I1,
                Arg::Lanes => Type::V512,
                Arg::V => trace.operand_type(op).unwrap_or(Type::V512),
                _ => Type::I64,
            };
            *x = self.read(trace, op, ty);
        }
        eval::wide(inst.op, inst.aty, inst.ty, inst.attr, &x[0], &x[1], &x[2])
    }

    fn tagged(&self, trace: &Trace, inst: &Inst) -> u64 {
        let v = self.word(trace, inst.args[0]);
        let tag = TagId(inst.args[1].as_index().unwrap_or(255) as u8);
        match inst.op {
            Op::Box => eval::box_word(&trace.decls, v, tag),
            Op::Unbox => eval::unbox_word(&trace.decls, v, tag),
            _ => eval::has_tag(&trace.decls, v, tag).into(),
        }
    }

    fn address(&self, trace: &Trace, inst: &Inst) -> u64 {
        let Some(Addr { base, index, scale, disp }) = trace.addr(inst) else { return 0 };
        let index = if index.is_none() { 0 } else { self.word(trace, index).wrapping_mul(scale.into()) };
        self.word(trace, base).wrapping_add(index).wrapping_add(disp as u64)
    }

    fn native<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        inst: &Inst,
        machine: &mut M,
        pc: Option<Pc>,
    ) -> Result<(), Leave> {
        let Some(native) = trace.native(inst) else { return Ok(()) };
        let mut inputs = std::mem::take(&mut self.inputs);
        inputs.clear();
        for b in &native.inputs {
            let ty = trace.decls.slots.get(b.slot.index()).map_or(Type::I64, |s| s.ty);
            inputs.push((b.slot, self.read(trace, b.value, ty)));
        }
        let start = self.out_at[inst.args[0].as_index().unwrap_or(0)] as usize;
        let outputs = &mut self.outputs[start..start + native.writes.len()];
        outputs.fill(ZERO);
        let result = machine.native(native, pc, &inputs, outputs);
        self.inputs = inputs;
        self.put_word(inst, inst.args[0].as_index().unwrap_or(0) as u64);
        Ok(result?)
    }

    fn pick(&self, trace: &Trace, inst: &Inst) -> Wide {
        let index = self.word(trace, inst.args[0]) as usize;
        let slot = inst.args[1].as_index();
        let native = trace.natives.get(index);
        let place = native.and_then(|n| n.writes.iter().position(|s| Some(s.index()) == slot));
        match (place, self.out_at.get(index)) {
            (Some(place), Some(start)) => {
                let w = self.outputs.get(*start as usize + place).copied().unwrap_or(ZERO);
                if inst.ty == Type::Flags { eval::word(w[0] & Flag::MASK) } else { eval::mask(&w, inst.ty) }
            }
            _ => ZERO,
        }
    }

    fn call<M: Machine + ?Sized>(
        &mut self,
        trace: &Trace,
        inst: &Inst,
        machine: &mut M,
    ) -> Result<(), Leave> {
        let Some((id, helper)) = trace.call_helper(inst) else { return Ok(()) };
        let mut args = std::mem::take(&mut self.scratch);
        args.clear();
        for (op, ty) in trace.call_operands(inst).iter().zip(&helper.params) {
            args.push(self.read(trace, *op, *ty));
        }
        let result = machine.call(id, helper, &args);
        self.scratch = args;
        match (result, inst.exit()) {
            (Ok(v), _) => {
                if inst.has_result() {
                    self.put(inst, eval::mask(&v, inst.ty));
                }
                Ok(())
            }
            (Err(CallError::Fault(f)), _) => Err(Leave::Fault(f)),
            (Err(CallError::Raise), Some(exit)) => Err(Leave::Exit(exit)),
            (Err(CallError::Raise), None) => Err(Leave::Raised),
        }
    }

    /// Gives the parameters their next values, all at once; returns the first line of the body.
    fn next_iteration(&mut self, trace: &Trace) -> usize {
        let params = trace.params();
        let body = trace.loop_at.unwrap_or(0) as usize + params.len();
        if params.iter().all(|p| p.ty.bits() <= 64) && params.len() <= 16 {
            let mut next = [0; 16];
            for (n, p) in next.iter_mut().zip(params) {
                *n = self.word(trace, p.args[1]) & p.ty.mask64();
            }
            for (n, p) in next.iter().zip(params) {
                self.put_word(p, *n);
            }
            return body;
        }
        let mut next = std::mem::take(&mut self.scratch);
        next.clear();
        next.extend(params.iter().map(|p| self.read(trace, p.args[1], p.ty)));
        for (p, v) in params.iter().zip(&next) {
            self.put(p, *v);
        }
        self.scratch = next;
        body
    }

    /// Takes an exit: writes its snapshot to the slots.
    fn leave(&mut self, trace: &Trace, state: &mut State, id: ExitId) -> Outcome {
        let Some(exit) = trace.exit(id).copied() else {
            return Outcome::Exit { id, kind: ExitKind::Step, resume: trace.entry };
        };
        let resume = match exit.target {
            Target::Pc(pc) => pc,
            Target::Value(op) => Pc::Addr(self.word(trace, op)),
        };
        self.materialise(trace, state, id);
        Outcome::Exit { id, kind: exit.kind, resume }
    }

    fn materialise(&mut self, trace: &Trace, state: &mut State, id: ExitId) {
        trace.for_each_bind(id, |bind| {
            if bind.value.is_any() {
                return;
            }
            let ty = trace.decls.slots.get(bind.slot.index()).map_or(Type::I64, |s| s.ty);
            let value = match trace.recipe(bind.value) {
                // A recipe is pure; the verifier has seen to it.
                Some(r) => self.recipe(trace, r),
                None if ty.bits() <= 64 => {
                    return state.set_word(bind.slot, ty, self.word(trace, bind.value));
                }
                None => self.read(trace, bind.value, ty),
            };
            state.set_wide(bind.slot, &value);
        });
    }

    fn recipe(&self, trace: &Trace, r: &Inst) -> Wide {
        match r.op {
            Op::Box | Op::Unbox | Op::HasTag => eval::word(self.tagged(trace, r)),
            Op::Pick => self.pick(trace, r),
            _ => self.compute_wide(trace, r).unwrap_or(ZERO),
        }
    }

    fn fault(
        &mut self,
        trace: &Trace,
        state: &mut State,
        fault: Fault,
        at: Option<usize>,
        first_at: bool,
    ) -> Outcome {
        let line = at.map(|i| &trace.insts[i]);
        let exit = line.and_then(Inst::exit);
        if let Some(id) = exit {
            self.materialise(trace, state, id);
        }
        let pc = line.and_then(|l| trace.at_pc(l)).unwrap_or(trace.entry);
        Outcome::Fault { fault, pc, exact: exit.is_some() || first_at }
    }

    // --- values ----------------------------------------------------------------------------------

    /// An operand's low word: zero-extended for values, sign-extended for literals.
    #[inline]
    fn word(&self, trace: &Trace, op: Operand) -> u64 {
        match op.kind() {
            OperandKind::Value(v) => self.values.get(v.index()).map_or(0, |w| w[0]),
            OperandKind::Int(i) => i as i64 as u64,
            OperandKind::Const(_) => trace.literal_bits(op, Type::I64).map_or(0, |w| w[0]),
            _ => 0,
        }
    }

    /// An operand at a type, zero-extended.
    fn read(&self, trace: &Trace, op: Operand, ty: Type) -> Wide {
        match op.as_value() {
            Some(v) => self.values.get(v.index()).map_or(ZERO, |w| eval::mask(w, ty)),
            None => trace.literal_bits(op, ty).map_or(ZERO, |w| eval::mask(&w, ty)),
        }
    }

    #[inline]
    fn put_word(&mut self, inst: &Inst, v: u64) {
        if let Some(w) = self.values.get_mut(inst.res.index()) {
            w[0] = v;
        }
    }

    /// Writes as many words as the instruction's type has.
    #[inline]
    fn put_at_width(&mut self, inst: &Inst, v: &Wide) {
        if inst.ty.bits() <= 64 { self.put_word(inst, v[0]) } else { self.put(inst, *v) }
    }

    /// Gives a parameter the value of an operand.
    #[inline]
    fn copy(&mut self, trace: &Trace, inst: &Inst, from: Operand) {
        if inst.ty.bits() <= 64 {
            let v = self.word(trace, from) & inst.ty.mask64();
            self.put_word(inst, v);
        } else {
            let v = self.read(trace, from, inst.ty);
            self.put(inst, v);
        }
    }

    /// Writes all words: what reads a value at its type finds zeros above.
    fn put(&mut self, inst: &Inst, v: Wide) {
        if let Some(w) = self.values.get_mut(inst.res.index()) {
            *w = v;
        }
    }

    /// The value's bits after the last run; anything if the run did not define it.
    pub fn value(&self, trace: &Trace, v: Value) -> Wide {
        self.read(trace, Operand::value(v), trace.value_type(v))
    }
}
