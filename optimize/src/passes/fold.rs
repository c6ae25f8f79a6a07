//! Folding: constants, algebra, canonical forms, widths and parts, flags, addresses, boxed words.
//!
//! ```text
//! %2: i32 = trunc %1               %1 is `zext %0`, from i32: Equal(%0)
//! %3: i32 = sub %0, 5              Replace(add %0, -5)
//! %4: flags = flags.sub %3, %0
//! %5: i1 = cc.l %4                 Replace(slt %3, %0); %4 is dead unless an exit says it
//! %6: i64 = load [%7 + 0] !m       %7 is `add %8, 16`: Replace(load [%8 + 16])
//! ```
//!
//! Three kinds of folds, in this order: operations whose operands are all literals are evaluated (by `ir::eval`, the meaning of the op
//! table); the rules in `fold.rules` (see [`super::rules`]), each proved for all inputs by an SMT solver in a test; and folds that are code here and in
//! [`super::fold_address`], few enough to be argued one by one.
//!
//! Assumes: nothing. Guarantees: literals stand on the right of commuting operations; subtraction of a literal is addition; chains of
//! additions of literals are one addition, so that what a trace computes from one base is `base + literal` wherever that is possible; nothing faults that did not, and
//! divisions that would fault stay. Floats are only folded where the result is the same bit for bit.
//!
//! The method is LuaJIT's: folding on the fly, table of rules, each line looked at once.

use super::fold_address;
use super::rules::{self, Matcher, literal_of};
use crate::forward::{Cx, Rewrite, Rewriter};
use ir::op::{Arg, Form, Op, OpEffect};
use ir::trace::Inst;
use ir::types::{Operand, TagId, Type, ZERO};
use std::sync::{Arc, LazyLock};

/// The rules as text.
pub const RULES: &str = include_str!("fold.rules");

static MATCHER: LazyLock<Arc<Matcher>> =
    // A test parses them; were they not well-formed, there would be none.
    LazyLock::new(|| Arc::new(Matcher::new(rules::parse(RULES).unwrap_or_default())));

/// See the module.
#[derive(Clone, Debug)]
pub struct Fold {
    matcher: Arc<Matcher>,
}

impl Default for Fold {
    fn default() -> Fold {
        Fold { matcher: MATCHER.clone() }
    }
}

impl Rewriter for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn rewrite(&mut self, line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
        match line.op.info().form {
            Form::Plain => {}
            Form::Load | Form::Store | Form::Atomic => return fold_address::rewrite(line, cx),
            _ => return Rewrite::Keep,
        }
        if let Some(value) = constant(line, cx) {
            return Rewrite::Equal(value);
        }
        if matches!(line.op, Op::Box | Op::Unbox | Op::HasTag) {
            return tagged(line, cx);
        }
        if matches!(line.op, Op::Ftosi | Op::Feq | Op::Flt | Op::Fle)
            && let Some(rewrite) = converted(line, cx)
        {
            return rewrite;
        }
        if matches!(line.op, Op::Eq | Op::Ne)
            && line.aty == Type::I64
            && let Some(rewrite) = other_word(line, cx)
        {
            return rewrite;
        }
        match known(line, cx) {
            Rewrite::Keep => self.matcher.rewrite(line, cx),
            rewrite => rewrite,
        }
    }

    fn rewrite_recipe(&mut self, line: &Inst, cx: &mut Cx<'_>) -> Option<Inst> {
        recipe(&self.matcher, line, cx)
    }
}

/// Recipes that do not need old flags, or less of an operand, keep less alive.
fn recipe(matcher: &Matcher, line: &Inst, cx: &mut Cx<'_>) -> Option<Inst> {
    if line.op.info().form != Form::Plain {
        return None;
    }
    match matcher.rewrite(line, cx) {
        Rewrite::Replace(new) => Some(new),
        _ => None,
    }
}

/// The value of a pure operation on literals.
fn constant(line: &Inst, cx: &mut Cx<'_>) -> Option<Operand> {
    let info = line.op.info();
    if !matches!(info.effect, OpEffect::Pure | OpEffect::Fault) || line.op == Op::Slot {
        return None;
    }
    let mut args = [ZERO; 3];
    for ((arg, o), place) in info.args.iter().zip(line.args).zip(&mut args) {
        let ty = match arg {
            Arg::T => line.aty,
            Arg::R => line.ty,
            Arg::I1 => Type::I1,
            Arg::I64 | Arg::Imm | Arg::Tag => Type::I64,
            Arg::F => Type::Flags,
            Arg::Lanes => Type::V512,
            Arg::V | Arg::Tuple | Arg::Slot | Arg::None => return None,
        };
        *place = cx.trace().literal_bits(o, ty)?;
    }
    let tag = || TagId(args[1][0] as u8);
    let decls = &cx.trace().decls;
    let bits = match line.op {
        Op::Box => ir::eval::word(ir::eval::box_word(decls, args[0][0], tag())),
        Op::Unbox => ir::eval::word(ir::eval::unbox_word(decls, args[0][0], tag())),
        Op::HasTag => ir::eval::word(ir::eval::has_tag(decls, args[0][0], tag()).into()),
        // A division that faults stays.
        _ => ir::eval::wide(line.op, line.aty, line.ty, line.attr, &args[0], &args[1], &args[2]).ok()?,
    };
    Some(literal_of(cx.pools(), line.ty, &bits))
}

/// Values of which all bits are known, and comparisons decided by what is known.
fn known(line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
    let [a, b, ..] = line.args;
    let decided = match line.op {
        Op::Ult | Op::Ule | Op::Eq | Op::Ne if line.aty.is_int() && line.aty.bits() <= 64 => {
            let (x, y) = (cx.bits(a, line.aty), cx.bits(b, line.aty));
            let differ = (x.ones & y.zeros() | x.zeros() & y.ones) & line.aty.mask64() != 0;
            match line.op {
                Op::Eq if differ => Some(0),
                Op::Ne if differ => Some(1),
                Op::Ult if x.largest() < y.least() => Some(1),
                Op::Ult if x.least() >= y.largest() => Some(0),
                Op::Ule if x.largest() <= y.least() => Some(1),
                Op::Ule if x.least() > y.largest() => Some(0),
                _ => None,
            }
        }
        Op::And | Op::Or | Op::Xor | Op::Shl | Op::Shr | Op::Zext | Op::Trunc | Op::Insert | Op::Extract
            if line.ty.is_int() =>
        {
            cx.bits_of_line(line).value().map(i128::from)
        }
        _ => None,
    };
    match decided {
        Some(value) => Rewrite::Equal(cx.literal(line.ty, value)),
        None => Rewrite::Keep,
    }
}

/// A boxed word and a literal that is a word of another kind differ.
fn other_word(line: &Inst, cx: &mut Cx<'_>) -> Option<Rewrite> {
    let [word, literal, ..] = line.args;
    let value = cx.int(literal)? as u64;
    let inner = cx.def(word).filter(|inner| inner.op == Op::Box)?;
    let tag = TagId(inner.args[1].as_index()? as u8);
    let has = ir::eval::has_tag(&cx.trace().decls, value, tag);
    (!has).then(|| Rewrite::Equal(cx.literal(Type::I1, (line.op == Op::Ne).into())))
}

/// Floats that were 32-bit integers: every such integer is an `f64`, so it comes back as it was, and compares as it did.
fn converted(line: &Inst, cx: &mut Cx<'_>) -> Option<Rewrite> {
    let [a, b, ..] = line.args;
    let integer = |cx: &mut Cx<'_>, o: Operand| {
        if let Some(bits) = cx.trace().literal_bits(o, Type::F64) {
            let (float, whole) = (f64::from_bits(bits[0]), f64::from_bits(bits[0]) as i32);
            return (f64::from(whole) == float).then(|| cx.literal(Type::I32, whole.into()));
        }
        let inner = cx.def(o)?;
        (inner.op == Op::Sitof && inner.aty == Type::I32).then_some(inner.args[0])
    };
    if line.aty != Type::F64 {
        return None;
    }
    let x = integer(cx, a)?;
    let op = match line.op {
        Op::Ftosi if line.ty == Type::I32 => return Some(Rewrite::Equal(x)),
        Op::Ftosi if line.ty == Type::I64 => {
            return Some(Rewrite::Replace(Inst::new(Op::Sext, Type::I32, Type::I64, 0, &[x])));
        }
        Op::Feq => Op::Eq,
        Op::Flt => Op::Slt,
        Op::Fle => Op::Sle,
        _ => return None,
    };
    let y = integer(cx, b)?;
    Some(Rewrite::Replace(Inst::new(op, Type::I32, Type::I1, 0, &[x, y])))
}

/// Boxed words, by the rules of `docs/ir.md`: `has_tag(box x, t)` is 1 for every `x`, and 0 for another kind; `unbox(box x)` is `x` for integers of up
/// to 32 bits. For floats it is `x` unless `x` is a NaN that looks like a tagged word; arithmetic makes none of words that are not.
fn tagged(line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
    let [word, tag, ..] = line.args;
    let Some(inner) = cx.def(word) else { return Rewrite::Keep };
    match (line.op, inner.op) {
        (Op::HasTag, Op::Box) => {
            let patterns = |t: Operand| cx.trace().decls.tags.get(t.as_index()?).map(|t| t.pattern);
            // Two kinds may share a pattern.
            match (patterns(tag), patterns(inner.args[1])) {
                (Some(x), Some(y)) => Rewrite::Equal(cx.literal(Type::I1, (x == y).into())),
                _ => Rewrite::Keep,
            }
        }
        (Op::Unbox, Op::Box) if inner.args[1] == tag => {
            let fits = match line.ty {
                Type::F64 => is_plain_number(cx, inner.args[0], 0),
                ty => ty.bits() <= 32,
            };
            if fits { Rewrite::Equal(inner.args[0]) } else { Rewrite::Keep }
        }
        // What was unboxed is boxed again: the same word, if it had that tag. (Narrow integers do not say what their word holds above them.)
        (Op::Box, Op::Unbox) if inner.args[1] == tag && matches!(line.aty, Type::F64 | Type::I64) => {
            let word = inner.args[0];
            let is_boxed = cx.def(word).is_some_and(|w| w.op == Op::Box && w.args[1] == tag);
            let is_known = cx.tag(word).is_some_and(|t| Some(t.index()) == tag.as_index());
            if is_boxed || is_known { Rewrite::Equal(word) } else { Rewrite::Keep }
        }
        _ => Rewrite::Keep,
    }
}

/// Is this `f64` surely none of the NaNs that look like tagged words?
fn is_plain_number(cx: &Cx<'_>, o: Operand, depth: usize) -> bool {
    let Some(first) = cx.trace().decls.first_tagged_word() else { return true };
    if let Some(bits) = cx.trace().literal_bits(o, Type::F64) {
        return bits[0] < first;
    }
    // Arithmetic gives an operand's NaN, or the default one.
    let default_nan_is_plain = first > 0xfff8_0000_0000_0000;
    let Some(line) = cx.def(o).filter(|_| depth < 4 && default_nan_is_plain) else { return false };
    if line.op == Op::Unbox {
        return cx.tag(line.args[0]).is_some_and(|t| Some(t.index()) == line.args[1].as_index());
    }
    let all = |n: usize| line.args[..n].iter().all(|a| is_plain_number(cx, *a, depth + 1));
    match line.op {
        Op::Fadd | Op::Fsub | Op::Fmul | Op::Fdiv => all(2),
        Op::Fsqrt | Op::Fround => all(1),
        // Helpers give none.
        Op::Sitof | Op::Uitof | Op::Call => true,
        _ => false,
    }
}
