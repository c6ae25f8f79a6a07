//! Folding of addresses: `[base + index*scale + disp]` takes in the additions and shifts that compute its base and index.
//!
//! ```text
//! %2: i64 = add %0, -16                    a push or two
//! %3: i64 = shl %1, 2
//! %4: i64 = add %2, %3
//! %5: i32 = load [%4 + 8] !m               → [%2 + %3*1 + 8] → [%2 + %1*4 + 8] → [%0 + %1*4 - 8]
//! ```
//!
//! All arithmetic is mod 2^64, as addresses are. Each step is one of these equations; `fold.rules`' prover proves them from the table in [`EQUATIONS`]:
//! base and index are exchanged only at scale 1, and displacements stay within 32 bits, which is what machines encode.

use crate::forward::{Cx, Rewrite};
use ir::op::{Form, Op};
use ir::trace::{Addr, Inst};
use ir::types::{Operand, Type};

/// What the steps rest on, as rules for the prover: an address is `(add (add b (shl i S)) D)`.
pub const EQUATIONS: &str = "\
base-literal   (add:i64 (add C (shl i S)) D) => (add (add 0 (shl i S)) (add C D))
base-add       (add:i64 (add (add x C) (shl i S)) D) => (add (add x (shl i S)) (add C D))
index-add      (add:i64 (add b (shl (add x C) S)) D) => (add (add b (shl x S)) (add (shl C S) D))
index-shl      (add:i64 (add b (shl (shl x C) S)) D) => (add (add b (shl x (add C S))) D) if (ult C 4), (ult S 4)
far-literal    (add:i64 (add x C) D) => (add (add C (shl x 0)) D)
far-index      (add:i64 (add b (shl C S)) D) => (add (add (shl C S) (shl b 0)) D)
index-literal  (add:i64 (add b (shl C S)) D) => (add b (add (shl C S) D))
base-sum       (add:i64 (add x y) D) => (add (add x (shl y 0)) D)
exchange       (add:i64 (add b (shl i 0)) D) => (add (add i (shl b 0)) D)
no-base        (add:i64 (add 0 (shl i 0)) D) => (add i D)
";

fn fits(disp: i64) -> bool {
    i32::try_from(disp).is_ok()
}

/// The literal added by the line that defines this, and to what.
fn added(cx: &Cx<'_>, o: Operand) -> Option<(Operand, i64)> {
    let line = cx.def(o).filter(|l| l.op == Op::Add)?;
    Some((line.args[0], cx.int(line.args[1])? as i64))
}

/// One step, if there is one.
fn step(cx: &mut Cx<'_>, a: Addr) -> Option<Addr> {
    let shift = a.scale.trailing_zeros();
    if let Some(c) = cx.int(a.base) {
        let disp = a.disp.wrapping_add(c as i64);
        // A literal base takes the displacement in; with an index, the displacement takes the base in, where it fits.
        if a.index.is_none() {
            return (a.disp != 0).then(|| Addr { base: cx.literal(Type::I64, disp.into()), disp: 0, ..a });
        }
        if c != 0 && fits(disp) {
            return Some(Addr { base: cx.literal(Type::I64, 0), disp, ..a });
        }
        if c == 0 && a.scale == 1 && cx.int(a.index).is_none() {
            return Some(Addr { base: a.index, index: Operand::NONE, ..a });
        }
    }
    if let Some((x, c)) = added(cx, a.base) {
        let disp = a.disp.wrapping_add(c);
        if fits(disp) {
            return Some(Addr { base: x, disp, ..a });
        }
    }
    if a.index.is_none() {
        let line = cx.def(a.base).filter(|l| l.op == Op::Add)?;
        let [x, y, ..] = line.args;
        if cx.int(y).is_some() {
            // Too large for a displacement.
            return Some(Addr { base: y, index: x, scale: 1, ..a });
        }
        // A shifted operand makes the better index.
        let is_shifted =
            |cx: &Cx<'_>, o| cx.def(o).is_some_and(|l| l.op == Op::Shl && cx.int(l.args[1]).is_some());
        let (base, index) = if is_shifted(cx, x) && !is_shifted(cx, y) { (y, x) } else { (x, y) };
        return Some(Addr { base, index, scale: 1, ..a });
    }
    if let Some(c) = cx.int(a.index) {
        let disp = a.disp.wrapping_add((c as i64).wrapping_shl(shift));
        if fits(disp) {
            return Some(Addr { index: Operand::NONE, scale: 1, disp, ..a });
        }
        // A literal too large for a displacement is the base.
        let far = (c as i64).wrapping_shl(shift);
        if let Some(near) = cx.int(a.base) {
            let base = cx.literal(Type::I64, far.wrapping_add(near as i64).into());
            return Some(Addr { base, index: Operand::NONE, scale: 1, ..a });
        }
        let base = cx.literal(Type::I64, far.into());
        return Some(Addr { base, index: a.base, scale: 1, ..a });
    }
    if let Some((x, c)) = added(cx, a.index) {
        let disp = a.disp.wrapping_add(c.wrapping_shl(shift));
        if fits(disp) {
            return Some(Addr { index: x, disp, ..a });
        }
    }
    let line = cx.def(a.index)?;
    if line.op == Op::Shl
        && let Some(n) = cx.int(line.args[1])
        && (0..4).contains(&n)
        && n as u32 + shift < 4
    {
        return Some(Addr { index: line.args[0], scale: a.scale << n, ..a });
    }
    // At scale 1 a shifted base is the better index.
    if a.scale == 1
        && cx.int(a.base).is_none()
        && let Some(base) = cx.def(a.base)
        && base.op == Op::Shl
        && cx.int(base.args[1]).is_some_and(|n| (0..4).contains(&n))
        && !(line.op == Op::Shl && cx.int(line.args[1]).is_some_and(|n| (0..4).contains(&n)))
    {
        return Some(Addr { base: a.index, index: a.base, ..a });
    }
    None
}

/// The memory operation with a better address.
pub(super) fn rewrite(line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
    let Some(old) = cx.trace().addr(line) else { return Rewrite::Keep };
    if line.op.info().form == Form::Atomic {
        // Only base and displacement.
        let Some((base, c)) = added(cx, old.base) else { return Rewrite::Keep };
        let disp = old.disp.wrapping_add(c);
        if !fits(disp) {
            return Rewrite::Keep;
        }
        let mut new = *line;
        (new.args[0], new.args[1]) = (base, cx.literal(Type::I64, disp.into()));
        return Rewrite::Replace(new);
    }
    let mut addr = old;
    for _ in 0..16 {
        match step(cx, addr) {
            Some(better) => addr = better,
            None => break,
        }
    }
    if addr == old {
        return Rewrite::Keep;
    }
    let mut new = *line;
    new.args[0] = addr.base;
    new.args[1] = addr.index;
    new.args[2] = cx.literal(Type::I64, addr.disp.into());
    match Inst::mem_attr(line.class(), addr.scale) {
        Some(attr) => Rewrite::Replace(Inst { attr, ..new }),
        None => Rewrite::Keep,
    }
}
