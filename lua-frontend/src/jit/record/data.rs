//! Moves, constants, upvalues.

use ir::op::Op as O;
use ir::types::{Operand, Type};

use super::{Kind, Next, Recorder};
use crate::bytecode::{Ins, Op, a, d};
use crate::object::{BLACK, LuaFunc, Upval};
use crate::value::{Tag, Value};

/// Offset of the flags in the header of objects.
pub(super) const FLAGS: i64 = 1;
/// Offset of [`Upval::v`].
const UPVAL_V: i64 = 8;

impl Recorder {
    pub(super) fn data(&mut self, op: Op, ins: Ins) -> Next {
        let v = match op {
            Op::MOV => {
                let v = self.get(d(ins));
                // The type is asked for where the value is used; a parameter of the loop keeps what is known of it.
                self.set_from(a(ins), d(ins), v);
                return Next::Go;
            }
            Op::NOT => {
                self.typed(d(ins));
                self.val_const(Value::boolean(self.live(d(ins)).is_falsy()))
            }
            Op::KSHORT => self.val_const(Value::int(i64::from(ins as i32 >> 16))),
            Op::KNUM => {
                let k = self.knum(d(ins));
                self.val_const(k)
            }
            Op::KPRI => self.val_const(Value(!((d(ins) as u64) << 47))),
            Op::KNIL => {
                for i in a(ins)..=d(ins) {
                    let nil = self.val_const(Value::NIL);
                    self.set(i, nil);
                }
                return Next::Go;
            }
            _ => {
                let k = self.kgc(d(ins));
                self.val_const(k)
            }
        };
        self.set(a(ins), v);
        Next::Go
    }

    /// Copies a slot whose type may still be asked for: then it is known of both.
    fn set_from(&mut self, to: usize, from: usize, v: super::V) {
        let v = if v.kind == Kind::Any { self.typed(from) } else { v };
        self.set(to, v);
    }

    /// The running function: its address, and the address as a constant if it is one.
    pub(super) fn function(&mut self) -> Operand {
        let n = self.base - 2;
        match self.vals[n] {
            Some(v) => self.ptr(v),
            None => {
                // The frame at entry: it runs the code that was recorded, whatever closure it is.
                // SAFETY: the running function.
                let live = unsafe { *self.live_base.sub(2) };
                let v = self.get_word(n);
                let v = super::V { kind: Kind::of(live), ..v };
                self.vals[n] = Some(v);
                self.ptr(v)
            }
        }
    }

    /// Upvalue `i` of the running function: its address in the trace, and the object now.
    fn upval(&mut self, i: usize) -> (Operand, *mut Upval) {
        let f = self.function();
        // SAFETY: the running function has that many upvalues.
        let live = unsafe {
            let f = (*self.live_base.sub(2)).ptr::<LuaFunc>();
            *(&raw const (*f).uv).cast::<*mut Upval>().add(i)
        };
        let class = self.layout.class.func;
        (self.load(Type::I64, f, 24 + 8 * i as i64, class), live)
    }

    pub(super) fn upvalue(&mut self, op: Op, ins: Ins) -> Next {
        let get = op == Op::UGET;
        let (uv, live) = self.upval(if get { d(ins) } else { a(ins) });
        let class = self.layout.class;
        let v = self.load(Type::I64, uv, UPVAL_V, class.uvptr);
        // SAFETY: a live upvalue.
        let (closed, at) = unsafe { ((*live).h.y != 0, (*live).v) };
        let mut word = None;
        let memory = if closed {
            let own = self.b.i64(16);
            let own = self.b.bin(O::Add, Type::I64, uv, own);
            let same = self.b.bin(O::Eq, Type::I64, v, own);
            self.guard(same);
            class.uv
        } else {
            // An open one: a slot of a frame of ours, or memory elsewhere.
            let base = self.stack();
            let away = self.b.bin(O::Sub, Type::I64, v, base);
            // SAFETY: only distances are computed.
            let first = self.live_base as i64 - 8 * self.base as i64;
            let n = (at as i64 - first) / 8;
            if (0..super::MOST_WORDS as i64).contains(&n) {
                let k = self.b.i64((n - crate::jit::layout::ENTRY as i64) * 8);
                let same = self.b.bin(O::Eq, Type::I64, away, k);
                self.guard(same);
                word = Some(n as usize);
            } else {
                let bias = self.b.i64(8 * crate::jit::layout::ENTRY as i64);
                let away = self.b.bin(O::Add, Type::I64, away, bias);
                let most = self.b.i64(8 * super::MOST_WORDS as i64);
                let outside = self.b.bin(O::Ule, Type::I64, most, away);
                self.guard(outside);
            }
            class.stack
        };
        if get {
            if let Some(n) = word {
                let v = self.get_word(n);
                let v = if v.kind == Kind::Any {
                    // SAFETY: a word of the stack.
                    let v = self.with_kind(v, Kind::of(unsafe { *at }));
                    self.vals[n] = Some(v);
                    v
                } else {
                    v
                };
                self.set(a(ins), v);
                return Next::Go;
            }
            let loaded = self.load(Type::I64, v, 0, memory);
            // SAFETY: the upvalue's value.
            let kind = Kind::of(unsafe { *at });
            let loaded = self.val_word(loaded, Kind::Any);
            let loaded = self.with_kind(loaded, kind);
            self.set(a(ins), loaded);
            return Next::Go;
        }
        let value = match op {
            Op::USETV => self.typed(d(ins)),
            Op::USETS => {
                let k = self.kgc(d(ins));
                self.val_const(k)
            }
            Op::USETN => {
                let k = self.knum(d(ins));
                self.val_const(k)
            }
            _ => self.val_const(Value(!((d(ins) as u64) << 47))),
        };
        if let Some(n) = word {
            self.set_word(n, value);
            return Next::Go;
        }
        if matches!(value.kind, Kind::Tag(tag) if tag > Tag::Light) {
            self.guard_not_black(uv);
        }
        let word = self.word(value);
        self.store(Type::I64, word, v, 0, memory);
        Next::Go
    }

    /// Leaves to the instruction if the object is black: the interpreter runs the barrier.
    pub(super) fn guard_not_black(&mut self, object: Operand) {
        let class = self.layout.class.flags;
        let flags = self.load(Type::I8, object, FLAGS, class);
        let black = self.b.int(Type::I8, BLACK.into());
        let bit = self.b.bin(O::And, Type::I8, flags, black);
        let zero = self.b.int(Type::I8, 0);
        let white = self.b.bin(O::Eq, Type::I8, bit, zero);
        self.guard_cold(white);
    }
}
