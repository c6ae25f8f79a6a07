//! Calls and returns: frames of Lua functions are part of the trace, library functions are recipes or calls.
//!
//! A frame that the trace pushes is two words like any other, the function and the link, as literals; so an exit in the
//! middle of it puts it onto the stack, and a return in the trace pops it for nothing.

use ir::op::Op as O;
use ir::snapshot::ExitKind;
use ir::types::Type;

use super::{Frame, Kind, Next, PlaceKind, Recorder, V};
use crate::bytecode::{Ins, Op, a, b, c, d};
use crate::jit::layout::{ENTRY, Layout};
use crate::jit::recipes;
use crate::object::{Proto, Thread};
use crate::state::frame;
use crate::value::Value;

/// Slots that a library function finds above its arguments.
const NATIVE_ROOM: usize = crate::vm::MIN_NATIVE;

impl Recorder {
    pub(super) fn call(&mut self, op: Op, ins: Ins) -> Next {
        let slot = a(ins);
        let tail = matches!(op, Op::CALLT | Op::CALLMT);
        let mut n = match op {
            Op::CALL => c(ins) - 1,
            Op::CALLT => d(ins) - 1,
            Op::ITERC => 2,
            _ => {
                let Some(more) = self.multres else { return Next::Stop };
                more + if tail { d(ins) } else { c(ins) }
            }
        };
        let callee = if op == Op::ITERC { self.live(slot - 3) } else { self.live(slot) };
        let Some(f) = callee.as_func() else { return Next::Stop };
        let from = if op == Op::ITERC { slot - 3 } else { slot };
        let fv = self.typed(from);
        if !self.fits(slot + n + 8) {
            return Next::Stop;
        }
        if !f.is_lua() {
            return self.native_call(op, ins, fv, callee, n);
        }
        let Some(proto) = f.proto() else { return Next::Stop };
        let framesize = proto.framesize as usize;
        let vararg = proto.pflags & crate::bytecode::flags::VARARG != 0;
        let room = slot + 2 + framesize + if vararg { n + 2 } else { 0 };
        if proto.pflags & crate::bytecode::flags::NOJIT != 0 || !self.fits(room + 4) {
            return Next::Stop;
        }
        if tail && (self.frames.is_empty() || self.frames.last().is_some_and(|f| f.vararg > 0)) {
            return Next::Stop;
        }
        // SAFETY: heads of Lua functions.
        let depth = self.depth_of(f.pc);
        if depth >= self.limits.calls {
            return Next::Stop;
        }
        let fv = self.guard_function(fv, callee, proto.as_ptr());
        if !tail {
            self.check_stack(room);
        }
        if op == Op::ITERC {
            for (to, from) in [(slot + 2, slot - 2), (slot + 3, slot - 1)] {
                let v = self.typed(from);
                self.set(to, v);
            }
            n = 2;
        }
        if tail {
            // The arguments take the place of the frame's slots.
            let args: Vec<V> = (0..n).map(|i| self.get(slot + 2 + i)).collect();
            let base = self.base;
            self.set_word(base - 2, fv);
            for (i, v) in args.into_iter().enumerate() {
                self.set_word(base + i, v);
            }
            self.forget_from(base + n);
        } else {
            // SAFETY: the instruction behind the call.
            let link = unsafe { self.pc.add(1) } as u64;
            let base = self.base + slot + 2;
            self.set_word(base - 2, fv);
            self.set_raw(base - 1, link);
            self.frames.push(Frame { base: self.base, vararg: 0 });
            // SAFETY: inside the stack, or checked before it is used.
            self.live_base = unsafe { self.live_base.add(slot + 2) };
            self.base = base;
            self.forget_from(base + n);
        }
        self.callees.push(f.pc);
        self.nargs = n;
        self.multres = None;
        Next::Go
    }

    /// How many frames of the trace run the function whose head is this.
    fn depth_of(&self, head: *const Ins) -> u32 {
        self.callees.iter().filter(|&&p| p == head).count() as u32
    }

    /// The callee is guarded to be this function, or one of the same prototype if there are several.
    fn guard_function(&mut self, v: V, live: Value, proto: *mut Proto) -> V {
        // SAFETY: a live prototype.
        let several = unsafe { (*proto).h.x > 1 };
        if !several {
            return self.guard_value(v, live);
        }
        if v.value.is_some() {
            return v;
        }
        self.keep(live);
        let p = self.ptr(v);
        let class = self.layout.class.func;
        let pc = self.load(Type::I64, p, 8, class);
        // SAFETY: as above.
        let bc = unsafe { (*proto).bc() };
        self.guard_eq(pc, bc as u64);
        V { ptr: p, ..v }
    }

    /// Leaves unless the stack has so many slots above the base of the running function.
    fn check_stack(&mut self, slots: usize) {
        let top = self.base + slots;
        if top <= self.checked {
            return;
        }
        self.checked = top;
        let class = self.layout.class;
        // SAFETY: only the address is computed.
        let cur = unsafe { &raw const (*self.global()).cur as i64 };
        let cur = self.b.i64(cur);
        let l = self.load(Type::I64, cur, 0, class.global);
        let most = self.load(Type::I64, l, std::mem::offset_of!(Thread, maxstack) as i64, class.thread);
        let base = self.stack();
        let by = self.b.i64((top as i64 - ENTRY as i64) * 8);
        let end = self.b.bin(O::Add, Type::I64, base, by);
        let fits = self.b.bin(O::Ule, Type::I64, end, most);
        self.guard_cold(fits);
    }

    pub(super) fn funcf(&mut self, _ins: Ins, n: usize) -> Next {
        if n != self.nargs {
            return Next::Abort("a call with other arguments");
        }
        // SAFETY: the running function.
        let params = unsafe { (*self.proto()).numparams as usize };
        for i in n..params {
            let nil = self.val_const(Value::NIL);
            self.set(i, nil);
        }
        let base = self.base;
        self.forget_from(base + params.max(n));
        Next::Go
    }

    pub(super) fn funcv(&mut self, _ins: Ins, n: usize) -> Next {
        if n != self.nargs {
            return Next::Abort("a call with other arguments");
        }
        // SAFETY: the running function.
        let params = unsafe { (*self.proto()).numparams as usize };
        let (old, new) = (self.base, self.base + n + 2);
        let f = self.get_word(old - 2);
        self.set_word(new - 2, f);
        self.set_raw(new - 1, ((n as u64 + 2) << 3) | frame::VARG);
        for i in 0..params {
            let v = if i < n { self.get_word(old + i) } else { self.val_const(Value::NIL) };
            self.set_word(new + i, v);
            if i < n {
                let nil = self.val_const(Value::NIL);
                self.set_word(old + i, nil);
            }
        }
        if let Some(top) = self.frames.last_mut() {
            top.vararg = n + 2;
        }
        self.base = new;
        // SAFETY: the callee's head has made room.
        self.live_base = unsafe { self.live_base.add(n + 2) };
        self.forget_from(new + params);
        Next::Go
    }

    pub(super) fn varg(&mut self, ins: Ins) -> Next {
        let Some(vararg) = self.frames.last().map(|f| f.vararg).filter(|&v| v > 0) else { return Next::Stop };
        let params = c(ins);
        let have = (vararg - 2).saturating_sub(params);
        let from = self.base - vararg + params;
        let (slot, want) = (a(ins), b(ins));
        let count = if want == 0 { have } else { want - 1 };
        if !self.fits(slot + count) {
            return Next::Stop;
        }
        if want == 0 {
            self.check_stack(slot + have);
        }
        // Types are looked at before anything changes.
        let mut values = Vec::with_capacity(count);
        for i in 0..count {
            values.push(if i < have { self.get_word(from + i) } else { self.val_const(Value::NIL) });
        }
        for (i, v) in values.into_iter().enumerate() {
            self.set(slot + i, v);
        }
        if want == 0 {
            self.set_multres(have);
        }
        Next::Go
    }

    /// So many values were left by the last open call.
    fn set_multres(&mut self, n: usize) {
        self.multres = Some(n);
        let class = self.layout.class;
        // SAFETY: only the address is computed.
        let cur = unsafe { &raw const (*self.global()).cur as i64 };
        let cur = self.b.i64(cur);
        let l = self.load(Type::I64, cur, 0, class.global);
        let n = self.b.int(Type::I32, n as i128);
        self.store(Type::I32, n, l, std::mem::offset_of!(Thread, multres) as i64, class.thread);
    }

    pub(super) fn ret(&mut self, op: Op, ins: Ins) -> Next {
        let n = match op {
            Op::RET0 => 0,
            Op::RET1 => 1,
            Op::RET => d(ins) - 1,
            _ => {
                let Some(more) = self.multres else { return Next::Stop };
                d(ins) + more
            }
        };
        let values: Vec<V> = (0..n).map(|i| self.get(a(ins) + i)).collect();
        let (vararg, caller, call) = match self.frames.pop() {
            Some(frame) => {
                self.callees.pop();
                // SAFETY: the frame's link is the instruction behind the call.
                let call = unsafe {
                    let base = self.live_base.sub(frame.vararg);
                    *((*base.sub(1)).0 as *const Ins).sub(1)
                };
                (frame.vararg, frame.base, call)
            }
            // Out of the frame at entry: to the caller that is there now.
            None => match self.leave_entry() {
                Some((caller, call)) => (0, caller, call),
                None => return Next::Stop,
            },
        };
        self.base -= vararg;
        let to = self.base - 2;
        self.give(to, call, values);
        // SAFETY: the caller's frame lies below.
        self.live_base = unsafe { self.live_base.sub(vararg + self.base - caller) };
        self.base = caller;
        Next::Go
    }

    /// The running function was called by a Lua function from where it is now: the caller's base and the call instruction.
    fn leave_entry(&mut self) -> Option<(usize, Ins)> {
        // SAFETY: the link of the running function.
        let link = unsafe { (*self.live_base.sub(1)).0 };
        if link & frame::TYPE != frame::LUA {
            return None;
        }
        // SAFETY: the instruction in front is the call.
        let call = unsafe { *(link as *const Ins).sub(1) };
        let caller = self.base.checked_sub(2 + a(call)).filter(|&b| b >= 2)?;
        // SAFETY: the caller is a Lua function.
        let (code, f) = unsafe {
            let base = self.live_base.sub(2 + a(call));
            (crate::vm::proto_at(base), *base.sub(2))
        };
        // SAFETY: as above.
        if unsafe { (*code).pflags } & crate::bytecode::flags::NOJIT != 0 {
            return None;
        }
        let word = self.get_word(self.base - 1);
        self.guard_eq(word.word, link);
        self.keep(f);
        Some((caller, call))
    }

    /// Puts results where the call instruction wants them: from word `to` on.
    fn give(&mut self, to: usize, call: Ins, values: Vec<V>) {
        let want = b(call);
        let n = values.len();
        let count = if want == 0 { n } else { want - 1 };
        let mut values = values.into_iter();
        for i in 0..count {
            let v = values.next().unwrap_or_else(|| self.val_const(Value::NIL));
            self.set_word(to + i, v);
        }
        self.forget_from(to + count);
        if want == 0 {
            self.set_multres(n);
        }
    }

    /// A library function: by its recipe, or by a call with the whole stack in place.
    fn native_call(&mut self, op: Op, ins: Ins, fv: V, callee: Value, n: usize) -> Next {
        let slot = a(ins);
        let Some(f) = callee.as_func() else { return Next::Stop };
        if matches!(op, Op::CALLT | Op::CALLMT) {
            return Next::Stop;
        }
        self.guard_value(fv, callee);
        let first = if op == Op::ITERC { slot - 2 } else { slot + 2 };
        let to = self.base + slot;
        if let Some(values) = recipes::library(self, f, first, n) {
            self.give(to, ins, values);
        } else if recipes::may_call(f) && b(ins) > 0 {
            if op == Op::ITERC {
                for (to, from) in [(slot, slot - 3), (slot + 2, slot - 2), (slot + 3, slot - 1)] {
                    let v = self.typed(from);
                    self.set(to, v);
                }
            }
            self.call_with_stack(slot, n, b(ins) - 1);
        } else {
            return Next::Stop;
        }
        // SAFETY: the instruction behind the call.
        self.passing = Some(unsafe { self.pc.add(1) });
        Next::Go
    }

    /// Calls the function in the slot with everything where the interpreter would have it.
    fn call_with_stack(&mut self, slot: usize, n: usize, want: usize) {
        let class = self.layout.class;
        let base = self.base + slot + 2;
        self.check_stack(slot + 2 + n + NATIVE_ROOM);
        // SAFETY: the instruction behind the call.
        let link = unsafe { self.pc.add(1) } as u64;
        self.set_raw(base - 1, link);
        let stack = self.stack();
        for w in 0..base + n {
            if self.dirty[w] {
                let word = self.b.get(Layout::word(w));
                self.store(Type::I64, word, stack, (w as i64 - ENTRY as i64) * 8, class.stack);
            }
        }
        self.calls_with_stack = true;
        // The error is raised with the library function's frame on top.
        let caller = std::mem::replace(&mut self.base, base);
        let to = self.place(self.pc, PlaceKind::Raise);
        self.base = caller;
        let exit = self.b.exit(to, ExitKind::Jump);
        let g = self.g();
        let by = self.b.i64((base as i64 - ENTRY as i64) * 8);
        let count = want;
        let (n, want) = (self.b.int(Type::I32, n as i128), self.b.int(Type::I32, want as i128));
        let helper = self.layout.helper.native_call;
        self.b.call(helper.id, &[g, stack, by, n, want], Some(exit));
        self.forget_from(base - 2);
        // The stack may have moved.
        let stack = self.stack();
        for i in 0..count {
            let w = base - 2 + i;
            let word = self.load(Type::I64, stack, (w as i64 - ENTRY as i64) * 8, class.stack);
            let v = self.val_word(word, Kind::Any);
            self.set_word(w, v);
        }
        // What a call may have changed includes where the stack ends.
        self.checked = 0;
    }
}
