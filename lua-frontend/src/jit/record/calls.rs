//! Calls and returns: frames of Lua functions are part of the trace, library functions are recipes or calls.
//!
//! A frame that the trace pushes is two words like any other, the function and the link, as literals; so an exit in the
//! middle of it puts it onto the stack, and a return in the trace pops it for nothing.

use ir::op::Op as O;
use ir::types::Type;

use super::{Frame, Next, Recorder, V};
use crate::bytecode::{Ins, Op, a, b, c, d};
use crate::object::{Proto, Thread};
use crate::state::frame;
use crate::value::Value;

/// Where a function returns to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// Words below the function's base that its frame has as a vararg frame.
    pub vararg: usize,
    /// The caller's base, as a word.
    pub base: usize,
    /// The call instruction.
    pub call: Ins,
    /// The instruction behind it.
    pub link: *const Ins,
}

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
    pub(super) fn check_stack(&mut self, slots: usize) {
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
        let by = self.b.i64(super::native::disp(top));
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

    /// Words below the base of the frame at entry that it has as a vararg frame, guarded; 0 if it is none, or too large a one.
    fn entry_vararg(&mut self) -> usize {
        // SAFETY: the link of the running function.
        let link = unsafe { (*self.live_base.sub(1)).0 };
        let words = (link >> 3) as usize;
        if link & frame::TYPEP != frame::VARG || words + 2 > self.base {
            return 0;
        }
        let word = self.get_word(self.base - 1);
        self.guard_eq(word.word, link);
        words
    }

    pub(super) fn varg(&mut self, ins: Ins) -> Next {
        let vararg = match self.frames.last() {
            Some(f) => f.vararg,
            None => self.entry_vararg(),
        };
        if vararg < 2 {
            return Next::Stop;
        }
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
        if self.return_to_caller(values) { Next::Go } else { Next::Stop }
    }

    /// The running function returns these values. False if the caller is not known.
    pub(super) fn return_to_caller(&mut self, values: Vec<V>) -> bool {
        let Some(caller) = self.caller() else { return false };
        let to = self.base - caller.vararg - 2;
        self.back_to(caller);
        self.give(to, caller.call, values);
        true
    }

    /// The frame of the running function is left.
    pub(super) fn back_to(&mut self, caller: Caller) {
        let known = self.frames.pop().is_some();
        if known {
            self.callees.pop();
        }
        // SAFETY: the caller's frame lies below.
        self.live_base = unsafe { self.live_base.sub(self.base - caller.base) };
        self.base = caller.base;
        if !known && self.calls_with_stack {
            self.read_captured();
        }
    }

    /// Who has called the running function.
    pub(super) fn caller(&mut self) -> Option<Caller> {
        match self.frames.last().copied() {
            Some(Frame { base, vararg }) => {
                // SAFETY: an inlined frame has the link that its call wrote.
                let link = unsafe { (*self.live_base.sub(vararg + 1)).0 as *const Ins };
                // SAFETY: the instruction in front is the call.
                let call = unsafe { *link.sub(1) };
                Some(Caller { vararg, base, call, link })
            }
            None => self.leave_entry(),
        }
    }

    /// The running function was called by a Lua function from where it is now: see [`Caller`].
    fn leave_entry(&mut self) -> Option<Caller> {
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
        Some(Caller { vararg: 0, base: caller, call, link: link as *const Ins })
    }

    /// Puts results where the call instruction wants them: from word `to` on.
    pub(super) fn give(&mut self, to: usize, call: Ins, values: Vec<V>) {
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
}
