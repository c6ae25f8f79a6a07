//! Calls of library functions: by a recipe, or by a call with everything where the interpreter would have it.
//!
//! The call ([`Recorder::call_with_stack`]) writes the changed words of the stack first, so that whatever runs below sees the frames and locals that
//! there are; and afterwards the trace reads again what closures may have written: the results, and the locals that functions
//! inside the frames' functions capture. How many results an open call gives is known only when it has been made:
//! [`Recorder::came_back`] then guards that number.
//!
//! ```text
//! return f(tostring(x))          CALL  slot 3, all results     store s5, s6, ...
//!                                                              %9: i64 = call native_call(...)
//!                                                              guard %9 == 1        (what there was when it was recorded)
//!                                CALLM slot 2, + results
//! ```

use ir::op::Op as O;
use ir::snapshot::ExitKind;
use ir::types::{Operand, Type};

use super::calls::Caller;
use super::{Kind, Next, PlaceKind, Recorder, V};
use crate::bytecode::{Ins, Op, UV_IMMUTABLE, UV_LOCAL, a, b};
use crate::jit::layout::{ENTRY, Layout};
use crate::jit::recipes::{self, Args};
use crate::object::{C_FUNCTION, Func, NativeFunc, Proto};
use crate::value::{Gc, Tag, Value};

/// Slots that a library function finds above its arguments.
const NATIVE_ROOM: usize = crate::vm::MIN_NATIVE;

/// An open call that was recorded and has not been made: where its results will be, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    to: usize,
    count: Operand,
}

/// The offset of a word from the base at entry.
pub(super) fn disp(word: usize) -> i64 {
    (word as i64 - ENTRY as i64) * 8
}

impl Recorder {
    /// A call of a library function that is in the slot of the instruction (or of the iterator).
    pub(super) fn native_call(&mut self, op: Op, ins: Ins, fv: V, callee: Value, n: usize) -> Next {
        let slot = a(ins);
        let Some(f) = callee.as_func() else { return Next::Stop };
        // What becomes of the results, and where the caller goes on.
        let (caller, call, back) = if matches!(op, Op::CALLT | Op::CALLMT) {
            let Some(caller) = self.caller() else { return Next::Stop };
            (Some(caller), caller.call, caller.link)
        } else {
            // SAFETY: the instruction behind the call.
            (None, ins, unsafe { self.pc.add(1) })
        };
        let fv =
            if recipes::is_instance(f) { self.guard_instance(fv, f) } else { self.guard_value(fv, callee) };
        let first = if op == Op::ITERC { slot - 2 } else { slot + 2 };
        let want = b(call).checked_sub(1);
        if let Some(values) = recipes::library(self, Args { first, n, f, want }) {
            let mut to = self.base + slot;
            if let Some(caller) = caller {
                to = self.base - caller.vararg - 2;
                self.back_to(caller);
            }
            self.give(to, call, values);
        } else {
            if !recipes::may_call(f) || (want.is_none() && op == Op::ITERC) {
                return Next::Stop;
            }
            self.check_stack(slot + 2 + n + NATIVE_ROOM);
            if op == Op::ITERC {
                for (to, from) in [(slot, slot - 3), (slot + 2, slot - 2), (slot + 3, slot - 1)] {
                    let v = self.typed(from);
                    self.set(to, v);
                }
            }
            let base = self.native_frame(caller, slot, n, fv);
            self.call_with_stack(base, n, want);
        }
        self.passing = Some(back);
        Next::Go
    }

    /// The function is guarded to be one with the same code: see [`recipes::is_instance`].
    fn guard_instance(&mut self, v: V, f: Gc<Func>) -> V {
        if v.value.is_some() {
            return v;
        }
        let p = self.ptr(v);
        let class = self.layout.class.func;
        // The collector's flags change.
        let fixed = u64::from_le_bytes([0xff, C_FUNCTION, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let header = self.load(Type::I64, p, 0, class);
        let mask = self.b.i64(fixed as i64);
        let header = self.b.bin(O::And, Type::I64, header, mask);
        // SAFETY: a live native function, whose header is as long as a word.
        let (word, call) = unsafe {
            let f = f.as_ptr();
            (*f.cast::<u64>(), (*f.cast::<NativeFunc>()).call)
        };
        self.guard_eq(header, word & fixed);
        let at = self.load(Type::I64, p, std::mem::offset_of!(NativeFunc, call) as i64, class);
        self.guard_eq(at, call as usize as u64);
        v
    }

    /// Makes the frame of a library function: its base. A tail call takes the place of the running function.
    fn native_frame(&mut self, caller: Option<Caller>, slot: usize, n: usize, f: V) -> usize {
        let Some(caller) = caller else {
            let base = self.base + slot + 2;
            // SAFETY: the instruction behind the call.
            let link = unsafe { self.pc.add(1) } as u64;
            self.set_raw(base - 1, link);
            return base;
        };
        let args: Vec<V> = (0..n).map(|i| self.get(slot + 2 + i)).collect();
        let base = self.base - caller.vararg;
        self.set_word(base - 2, f);
        for (i, v) in args.into_iter().enumerate() {
            self.set_word(base + i, v);
        }
        self.back_to(caller);
        base
    }

    /// Calls the library function whose frame begins at word `base`.
    fn call_with_stack(&mut self, base: usize, n: usize, want: Option<usize>) {
        let class = self.layout.class;
        self.forget_from(base + n);
        let stack = self.stack();
        for w in 0..base + n {
            if self.dirty[w] {
                let word = self.b.get(Layout::word(w));
                self.store(Type::I64, word, stack, disp(w), class.stack);
            }
        }
        self.calls_with_stack = true;
        // The error is raised with the library function's frame on top.
        let caller = std::mem::replace(&mut self.base, base);
        let to = self.place(self.pc, PlaceKind::Raise);
        self.base = caller;
        let exit = self.b.exit(to, ExitKind::Jump);
        let g = self.g();
        let by = self.b.i64(disp(base));
        let n = self.b.int(Type::I32, n as i128);
        let all = self.b.int(Type::I32, want.map_or(-1, |n| n as i128));
        let helper = self.layout.helper.native_call;
        let count = self.b.call(helper.id, &[g, stack, by, n, all], Some(exit));
        // What lay above is dead, and the collector may have freed it: no exit may write it to the stack again.
        self.forget_from(base - 2);
        let above = |which: &[bool]| (base - 2..which.len()).filter(|&w| which[w]).collect::<Vec<_>>();
        match want {
            Some(n) => {
                let nil = self.b.i64(Value::NIL.0 as i64);
                for w in above(&self.dirty) {
                    self.b.set(Layout::word(w), nil);
                    self.dirty[w] = false;
                }
                self.results(base - 2, n);
            }
            None => {
                // Any of them may be a result, those too that exits would write nil to.
                for w in above(&self.written) {
                    self.results(w, 1);
                }
                self.forget_from(base - 2);
                self.open = Some(Open { to: base - 2, count });
            }
        }
        self.read_captured();
        // What a call may have changed includes where the stack ends.
        self.checked = 0;
    }

    /// The words from `to` on are what a call has left there.
    fn results(&mut self, to: usize, n: usize) {
        // The stack may have moved.
        let class = self.layout.class.stack;
        let stack = self.stack();
        for w in to..to + n {
            let word = self.load(Type::I64, stack, disp(w), class);
            let v = self.val_word(word, Kind::Any);
            self.set_word(w, v);
        }
    }

    /// The call has been made, and the interpreter is behind it. False if there are too many results.
    pub(super) fn came_back(&mut self) -> bool {
        let Some(open) = self.open.take() else { return true };
        // SAFETY: a live coroutine.
        let n = unsafe { (*self.l).multres } as usize;
        if open.to + n + 8 >= super::MOST_WORDS {
            return false;
        }
        self.guard_eq(open.count, n as u64);
        self.results(open.to, n);
        self.multres = Some(n);
        true
    }

    /// The words of the running function's locals that closures capture, from slot `from` up.
    pub(super) fn captured(&self, from: usize) -> Vec<usize> {
        let mut out = Vec::new();
        self.captured_of(self.base, |d| usize::from(d & 0xff) >= from, &mut out);
        out
    }

    fn captured_of(&self, base: usize, which: impl Fn(u16) -> bool, out: &mut Vec<usize>) {
        // SAFETY: frames of the trace are those of Lua functions on the interpreter's stack.
        let proto = unsafe { crate::vm::proto_at(self.live_base.offset(base as isize - self.base as isize)) };
        // SAFETY: a live prototype.
        let proto = unsafe { &*proto };
        for i in 0..proto.sizekgc as usize {
            let Some(child) = proto.kgc(i).filter(|k| k.is(Tag::Proto)) else { continue };
            // SAFETY: a live prototype.
            let child = unsafe { &*child.ptr::<Proto>() };
            for d in child.uvs() {
                let word = base + usize::from(d & 0xff);
                if d & UV_LOCAL != 0 && which(*d) && !out.contains(&word) {
                    out.push(word);
                }
            }
        }
    }

    /// Reads the locals again that a call may have changed.
    pub(super) fn read_captured(&mut self) {
        let mut words = Vec::new();
        for base in self.frames.iter().map(|f| f.base).chain([self.base]) {
            self.captured_of(base, |d| d & UV_IMMUTABLE == 0, &mut words);
        }
        if words.is_empty() {
            return;
        }
        let class = self.layout.class.stack;
        let stack = self.stack();
        for w in words {
            if w < self.vals.len() {
                let word = self.load(Type::I64, stack, disp(w), class);
                let v = self.val_word(word, Kind::Any);
                self.set_word(w, v);
            }
        }
    }
}
