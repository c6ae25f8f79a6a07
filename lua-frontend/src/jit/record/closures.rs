//! Closures and their upvalues, traversal of tables.
//!
//! A closure is made by a call; the upvalues it captures are open, and their values are in the frame's slots as before: what reads or writes them in the
//! trace finds out that they are ([`super::data`]), and what does so outside finds them on the stack, because calls and exits put them there.
//! Closing them does so too.

use ir::op::Op as O;
use ir::trace::Addr;
use ir::types::{Operand, Type};

use super::native::disp;
use super::tables::{ARRAY, ASIZE, HMASK, NODE, NODE_KEY, NODE_SIZE};
use super::{Kind, Next, Recorder, V};
use crate::api::Builtin;
use crate::bytecode::{Ins, a, d};
use crate::jit::layout::Layout;
use crate::object::Table;
use crate::table::POSITION;
use crate::value::{Gc, PTR_MASK, Tag, Value};

impl Recorder {
    pub(super) fn fnew(&mut self, ins: Ins) -> Next {
        let proto = self.kgc(d(ins));
        self.gc_check();
        self.keep(proto);
        let parent = self.function();
        let frame = self.frame_address(0);
        let g = self.g();
        let proto = self.b.i64((proto.0 & PTR_MASK) as i64);
        let helper = self.layout.helper.func_new;
        let f = self.helper(helper, &[g, parent, proto, frame]);
        let f = self.val_ptr(Tag::Func, f);
        self.set(a(ins), f);
        Next::Go
    }

    /// The address of a slot.
    fn frame_address(&mut self, slot: usize) -> Operand {
        let stack = self.stack();
        let by = self.b.i64(disp(self.base + slot));
        self.b.bin(O::Add, Type::I64, stack, by)
    }

    pub(super) fn uclo(&mut self, ins: Ins) -> Next {
        let class = self.layout.class.stack;
        let stack = self.stack();
        for w in self.captured(a(ins)) {
            self.calls_with_stack = true;
            if self.dirty.get(w).copied().unwrap_or(false) {
                let word = self.b.get(Layout::word(w));
                self.store(Type::I64, word, stack, disp(w), class);
            }
        }
        let level = self.frame_address(a(ins));
        let g = self.g();
        let helper = self.layout.helper.upvals_close;
        self.b.call(helper.id, &[g, level], None);
        Next::Go
    }

    pub(super) fn isnext(&mut self, ins: Ins) -> Next {
        let r = a(ins);
        let f = self.live(r - 3);
        let next = f.as_func().is_some_and(|f| f.h.x == Builtin::Next as u8);
        if !next || !self.live(r - 2).is(Tag::Table) || !self.live(r - 1).is_nil() {
            return Next::Stop;
        }
        let v = self.typed(r - 3);
        self.guard_value(v, f);
        self.typed(r - 2);
        self.typed(r - 1);
        let start = self.b.i64(POSITION as i64);
        let start = self.val_word(start, Kind::Any);
        self.set(r - 1, start);
        Next::Go
    }

    pub(super) fn itern(&mut self, ins: Ins) -> Next {
        if self.length > 1 && !self.round() {
            return Next::Stop;
        }
        let r = a(ins);
        let Some(t) = self.live(r - 2).as_table() else { return Next::Stop };
        let control = self.live(r - 1).0;
        if control >> 32 != POSITION >> 32 {
            return Next::Stop;
        }
        let tv = self.typed(r - 2);
        let p = self.ptr(tv);
        let word = self.get(r - 1);
        let word = self.word(word);
        let from = self.b.convert(O::Trunc, Type::I64, Type::I32, word);
        let from_live = control as u32;
        let here = t.array_part().get(from_live as usize).is_some_and(|v| !v.is_nil());
        let at = if here {
            from
        } else {
            let helper = self.layout.helper.table_scan;
            self.helper(helper, &[p, from])
        };
        match self.entry(t, p, at, from_live) {
            None => {
                let nil = self.val_const(Value::NIL);
                self.set(r, nil);
            }
            Some((k, v)) => {
                let one = self.b.int(Type::I32, 1);
                let next = self.b.bin(O::Add, Type::I32, at, one);
                let next = self.b.convert(O::Zext, Type::I32, Type::I64, next);
                let base = self.b.i64(POSITION as i64);
                let next = self.b.bin(O::Or, Type::I64, base, next);
                let next = self.val_word(next, Kind::Any);
                self.set(r, k);
                self.set(r + 1, v);
                self.set(r - 1, next);
            }
        }
        Next::Go
    }

    /// The entry at the position `at` of the trace, which is the first one from `from` on now; or that there is none.
    pub fn entry(&mut self, t: Gc<Table>, p: Operand, at: Operand, from: u32) -> Option<(V, V)> {
        let class = self.layout.class;
        let Some((next, k, v)) = t.next_from(from) else {
            let none = self.b.int(Type::I32, -1);
            let end = self.b.bin(O::Eq, Type::I32, at, none);
            self.guard(end);
            return None;
        };
        let asize = self.load(Type::I32, p, ASIZE, class.tabarr);
        if next <= t.h.n {
            let inside = self.b.bin(O::Ult, Type::I32, at, asize);
            self.guard(inside);
            let array = self.load(Type::I64, p, ARRAY, class.tabarr);
            let index = self.b.convert(O::Zext, Type::I32, Type::I64, at);
            let word = self.b.load(Type::I64, Addr { base: array, index, scale: 8, disp: 0 }, class.array);
            let loaded = self.val_word(word, Kind::Any);
            let loaded = self.with_kind(loaded, Kind::of(v));
            return Some((self.val_int(at), loaded));
        }
        let i = self.b.bin(O::Sub, Type::I32, at, asize);
        let mask = self.load(Type::I32, p, HMASK, class.tabhash);
        let inside = self.b.bin(O::Ule, Type::I32, i, mask);
        self.guard(inside);
        let nodes = self.load(Type::I64, p, NODE, class.tabhash);
        let i = self.b.convert(O::Zext, Type::I32, Type::I64, i);
        let size = self.b.i64(NODE_SIZE);
        let by = self.b.bin(O::Mul, Type::I64, i, size);
        let node = self.b.bin(O::Add, Type::I64, nodes, by);
        let value = self.load(Type::I64, node, 0, class.nodeval);
        let key = self.load(Type::I64, node, NODE_KEY, class.nodekey);
        let (key, value) = (self.val_word(key, Kind::Any), self.val_word(value, Kind::Any));
        let key = self.with_kind(key, Kind::of(k));
        Some((key, self.with_kind(value, Kind::of(v))))
    }
}
