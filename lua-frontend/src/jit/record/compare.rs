//! Comparisons and tests: the way taken is recorded, the other one is an exit.

use ir::op::Op as O;
use ir::types::{Operand, Type};

use super::{Kind, Next, Recorder};
use crate::bytecode::{Ins, Op, a, d, j};
use crate::value::{Tag, Value};

impl Recorder {
    /// Targets of the comparison at hand: where the jump behind it goes, and behind the jump.
    fn ways(&self) -> (*const Ins, *const Ins) {
        // SAFETY: comparisons are followed by jumps that stay inside the function.
        unsafe {
            let jump = self.pc.add(1);
            (jump.add(1).offset(j(*jump)), jump.add(1))
        }
    }

    /// The condition holds now or not (`live`): the trace goes that way.
    fn branch(&mut self, cond: Operand, live: bool, jumps_if: bool) -> Next {
        let (target, behind) = self.ways();
        let other = if live == jumps_if { behind } else { target };
        let cond = if live { cond } else { self.not(cond) };
        let exit = self.exit_to(other);
        self.b.guard(cond, exit);
        Next::Go
    }

    pub(super) fn order(&mut self, op: Op, ins: Ins) -> Next {
        let (x, y) = (self.live(a(ins)), self.live(d(ins)));
        // ISGE is "not less", ISGT "not less or equal".
        let or_equal = matches!(op, Op::ISLE | Op::ISGT);
        let jumps_if = matches!(op, Op::ISLT | Op::ISLE);
        if let (Some(p), Some(q)) = (x.as_number(), y.as_number()) {
            let (v, w) = (self.typed(a(ins)), self.typed(d(ins)));
            let live = if or_equal { p <= q } else { p < q };
            let cond = match (self.known_int(v), self.known_int(w)) {
                (Some(v), Some(w)) => self.b.bin(if or_equal { O::Sle } else { O::Slt }, Type::I32, v, w),
                _ => {
                    let (v, w) = (self.num(v), self.num(w));
                    self.b.bin(if or_equal { O::Fle } else { O::Flt }, Type::F64, v, w)
                }
            };
            return self.branch(cond, live, jumps_if);
        }
        if let (Some(p), Some(q)) = (x.as_str(), y.as_str()) {
            let (v, w) = (self.typed(a(ins)), self.typed(d(ins)));
            let live = if or_equal { p.bytes() <= q.bytes() } else { p.bytes() < q.bytes() };
            let (v, w) = (self.ptr(v), self.ptr(w));
            let order = self.layout.helper.string_order;
            let sign = self.helper(order, &[v, w]);
            let zero = self.b.int(Type::I32, 0);
            let cond = self.b.bin(if or_equal { O::Sle } else { O::Slt }, Type::I32, sign, zero);
            return self.branch(cond, live, jumps_if);
        }
        Next::Stop
    }

    pub(super) fn equal(&mut self, op: Op, ins: Ins) -> Next {
        let x = self.live(a(ins));
        let jumps_if = matches!(op, Op::ISEQV | Op::ISEQS | Op::ISEQN | Op::ISEQP);
        let y = match op {
            Op::ISEQV | Op::ISNEV => self.live(d(ins)),
            Op::ISEQS | Op::ISNES => self.kgc(d(ins)),
            Op::ISEQN | Op::ISNEN => self.knum(d(ins)),
            _ => Value(!((d(ins) as u64) << 47)),
        };
        if x.is(Tag::CData) || y.is(Tag::CData) {
            return Next::Stop;
        }
        let constant = !matches!(op, Op::ISEQV | Op::ISNEV);
        // Of constants only the type of the other operand matters, and for primitives not even that.
        if matches!(op, Op::ISEQP | Op::ISNEP) {
            let v = self.get(a(ins));
            if let Some(known) = v.value {
                return self.decided((known == y) == jumps_if);
            }
            if v.kind != Kind::Any {
                return self.decided(!jumps_if);
            }
            // Going on with a value that is not this primitive, its type will matter: it may be cdata, which no `==` below sees.
            if x == y {
                let k = self.b.i64(y.0 as i64);
                let cond = self.b.bin(O::Eq, Type::I64, v.word, k);
                let v = self.val_const(y);
                let next = self.branch(cond, true, jumps_if);
                self.known(a(ins), v);
                return next;
            }
        }
        let v = self.typed(a(ins));
        let w = if constant { self.val_const(y) } else { self.typed(d(ins)) };
        if let (Some(p), Some(q)) = (v.value, w.value)
            && (!p.is_number() || !q.is_number())
        {
            return self.decided((p == q) == jumps_if);
        }
        if v.kind != w.kind {
            return self.decided(!jumps_if);
        }
        if let (Some(p), Some(q)) = (x.as_number(), y.as_number()) {
            let cond = match (self.known_int(v), self.known_int(w)) {
                (Some(v), Some(w)) => self.b.bin(O::Eq, Type::I32, v, w),
                _ => {
                    let (v, w) = (self.num(v), self.num(w));
                    self.b.bin(O::Feq, Type::F64, v, w)
                }
            };
            return self.branch(cond, p == q, jumps_if);
        }
        if x != y && (x.is(Tag::Table) || x.is(Tag::UserData)) {
            // Two with metatables may have a handler.
            let of = |v: Value| match (v.as_table(), v.as_userdata()) {
                (Some(t), _) => t.meta,
                (_, Some(u)) => u.meta,
                _ => std::ptr::null_mut(),
            };
            let plain = if of(x).is_null() { v } else { w };
            if !of(x).is_null() && !of(y).is_null() {
                return Next::Stop;
            }
            self.guard_no_meta(plain);
        }
        let (p, q) = (self.word(v), self.word(w));
        let cond = self.b.bin(O::Eq, Type::I64, p, q);
        self.branch(cond, x == y, jumps_if)
    }

    /// The way is known.
    fn decided(&mut self, _jumps: bool) -> Next {
        Next::Go
    }

    /// The slot is known to hold this, behind a guard.
    fn known(&mut self, slot: usize, v: super::V) {
        let n = self.base + slot;
        if let Some(old) = self.vals.get_mut(n)
            && let Some(old) = old
        {
            *old = super::V { word: old.word, ..v };
        }
    }

    pub(super) fn test(&mut self, op: Op, ins: Ins) -> Next {
        let live = self.live(d(ins));
        let v = self.get(d(ins));
        let truthy = live.is_truthy();
        let copies = matches!(op, Op::ISTC | Op::ISFC);
        let jumps_if = matches!(op, Op::ISTC | Op::IST);
        let jumps = truthy == jumps_if;
        let decided = match v.kind {
            Kind::Any => None,
            Kind::Tag(Tag::Nil | Tag::False) => Some(false),
            _ => Some(true),
        };
        let v = if decided.is_none() {
            // The type will matter anyway, if it is not a plain boolean.
            self.typed(d(ins))
        } else {
            v
        };
        if copies && jumps {
            self.set(a(ins), v);
        }
        Next::Go
    }
}
