//! The forward driver: one sweep over the trace in program order, in which small rewriters propose and the driver
//! commits.
//!
//! Each line, its operands already replaced by what earlier rewrites put in their place, is offered to a list of
//! [`Rewriter`]s. A rewriter answers with a [`Rewrite`]: keep it, replace it, its result equals that operand, drop it.
//! The driver burns fuel, offers a replaced line again from the first rewriter on, records equivalences, and
//! substitutes them in all later lines, in exits (snapshots, recipes, computed targets) and in what the loop passes back. So a rule looks only at one
//! line and the lines that define its operands, and chains of rules need no second sweep.
//!
//! ```text
//! %3: i64 = add %0, 8              committed
//! %4: i64 = sub %3, 3              fold: Replace(add %3, -3); again: Replace(add %0, 5); committed
//! %5: i64 = load [%4 + 0] !m       fold: Replace(load [%0 + 5]); committed (%4 is dead if nobody else wants it)
//! %6: i64 = add %0, 5              cse: Equal(%4); later lines and exits say %4 for %6
//! %7: i1 = ult %6, 10              offered as `ult %4, 10`; committed
//! guard %7 else exit 0             committed; guard elimination then knows that %7 is 1 and that %4 is below 10
//! ```
//!
//! # Writing a rewriter
//!
//! ```
//! use ir::op::Op;
//! use ir::trace::Inst;
//! use optimize::forward::{Cx, Forward, Rewrite, Rewriter};
//!
//! /// `neg (neg x)` is `x`.
//! struct DoubleNeg;
//!
//! impl Rewriter for DoubleNeg {
//!     fn name(&self) -> &'static str {
//!         "double-neg"
//!     }
//!     fn rewrite(&mut self, line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
//!         if line.op == Op::Neg
//!             && let Some(inner) = cx.def(line.args[0])
//!             && inner.op == Op::Neg
//!         {
//!             return Rewrite::Equal(inner.args[0]);
//!         }
//!         Rewrite::Keep
//!     }
//! }
//!
//! let text = "slot a: i64\ntrace t entry 0x0 {\n%0: i64 = slot a\n%1: i64 = neg %0\n%2: i64 = neg %1\nend exit 0\n\
//!             exit 0 resume 0x1 { a = %2 }\n}";
//! let mut trace = ir::parse::parse(text).unwrap().trace;
//! let mut pass = Forward::new("double-neg", vec![Box::new(DoubleNeg)]);
//! use optimize::pass::{Env, Pass};
//! assert!(pass.run(&mut trace, &mut Env::default()));
//! assert!(ir::print::file(&trace).contains("exit 0 resume 0x1 { a = %0 }"));
//! ```
//!
//! # Rules that a rewriter obeys
//! - `rewrite` proposes, with no effect on the rewriter's own tables: without fuel the proposal is not taken. What it learns from a line
//!   that stays it learns in [`Rewriter::committed`].
//! - What it answers holds at this line whenever the line is reached. It may rest on facts learned from earlier lines (a guard passed, a
//!   value loaded).
//! - The loop: values defined in the prologue are the same in every iteration, and facts about *values* (guards on them) hold in the body.
//!   Facts about memory do not, once the body has written: [`Rewriter::enter_loop`] is where they are forgotten. Loop parameters are new values about which nothing is known.
//!   What the body learns late does not hold early in the next iteration; a sweep never goes back, so this needs no care.
//! - A rewrite must make the trace better by one fixed measure of the rewriter's, so that offering again ends. (The driver cuts a line off after
//!   [`MOST_ROUNDS`].)
//!
//! Two kinds of equivalence: `Equal` holds wherever the line's result is defined, so it is put into exits, too. What [`Cx::assume`]
//! says holds only behind the present line (after `guard eq %x, 5`, `%x` is 5), so exits, which earlier lines may share, keep `%x`.
//!
//! Loop parameters whose entry and next value are the same vanish, also when several only exchange one value among them; parameters that always have equal values
//! become one. Cost: linear in lines, operands, and what rewriters do per line.

use crate::pass::{Env, Pass};
use crate::passes::known_bits::{Known, transfer};
use ir::op::Form;
use ir::op::Op;
use ir::snapshot::ExitUse;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, TagId, Type, Value};
use rustc_hash::FxHashMap;

/// How often one line may be replaced.
pub const MOST_ROUNDS: usize = 40;

/// How deep lines that rewriters emit may nest.
const MOST_NESTED: usize = 6;

/// What a rewriter says of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rewrite {
    /// Nothing to do.
    Keep,
    /// This line computes the same (or does the same) better. It keeps the result's number; `res` is ignored, the type must be the same.
    Replace(Inst),
    /// The result always equals this operand, and the line does nothing else.
    Equal(Operand),
    /// The line does nothing: a guard that holds.
    Drop,
}

/// A source of rewrites; see the module.
pub trait Rewriter: Send {
    /// Its name in file tests and dumps.
    fn name(&self) -> &'static str;

    /// A sweep over this trace begins: forget the last one, look ahead where necessary (this is the only moment at which all lines can
    /// be seen).
    fn start(&mut self, trace: &Trace, env: &Env) {
        let _ = (trace, env);
    }

    /// The loop begins; its parameters are committed next.
    fn enter_loop(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }

    /// What is to be done with this line? Its operands are as they will stand in the new trace. Not asked of loop parameters.
    fn rewrite(&mut self, line: &Inst, cx: &mut Cx<'_>) -> Rewrite;

    /// A better operation in the place of a recipe of an exit, which any line of the trace may name: facts learned on the way do not count, and it
    /// must be one operation. Asked when all lines are committed.
    fn rewrite_recipe(&mut self, recipe: &Inst, cx: &mut Cx<'_>) -> Option<Inst> {
        let _ = (recipe, cx);
        None
    }

    /// This line is now the last of the new trace, loop parameters included (without what `end loop` passes).
    fn committed(&mut self, line: &Inst, cx: &mut Cx<'_>) {
        let _ = (line, cx);
    }
}

/// What rewriters see and may do: the trace so far, and the equivalences.
pub struct Cx<'a> {
    trace: &'a mut Trace,
    env: &'a mut Env,
    tables: &'a mut Tables,
    /// Is a recipe being rewritten? Then only what holds everywhere is known.
    in_exit: bool,
}

/// Per value: where it is defined in the new trace, and what stands for it.
#[derive(Default)]
struct Tables {
    /// Index of the defining line; `u32::MAX` before it is committed.
    def_at: Vec<u32>,
    /// What a value equals wherever it is defined (itself, if nothing else).
    same: Vec<Operand>,
    /// What stands for it from here on.
    now: Vec<Operand>,
    /// What is known of its bits from here on, if it is an integer of up to 64 bits.
    known: Vec<Known>,
    /// Tags of boxed words.
    tags: FxHashMap<Value, TagId>,
    /// How many operands of lines it is (exits do not count), as far as known.
    uses: Vec<u32>,
    /// Lines emitted while a rewriter looked at a line.
    pending: Vec<Inst>,
    /// Values that stand where a literal cannot, since their type is needed. Empty when there are none.
    pinned: Vec<bool>,
}

const UNDEFINED: u32 = u32::MAX;

impl Tables {
    fn start(&mut self, trace: &Trace) {
        let values = trace.value_count();
        self.pinned.clear();
        let mut pin = |o: Operand, ty: Type| {
            if let (Type::Void, Some(v)) = (ty, o.as_value()) {
                self.pinned.resize(values, false);
                self.pinned[v.index()] = true;
            }
        };
        for line in trace.insts.iter().chain(trace.recipes()) {
            if line.op == Op::VSigns {
                trace.for_each_operand(line, &mut pin);
            }
        }
        self.def_at.clear();
        self.def_at.resize(values, UNDEFINED);
        self.same.clear();
        self.same.extend((0..values as u32).map(|v| Operand::value(Value(v))));
        self.now.clear();
        self.now.extend_from_slice(&self.same);
        self.pending.clear();
        self.known.clear();
        self.known.extend((0..values as u32).map(|v| Known::nothing(trace.value_type(Value(v)).bits())));
        self.tags.clear();
        self.uses.clear();
        self.uses.resize(values, 0);
        for line in &trace.insts {
            trace.for_each_operand(line, |o, _| {
                if let Some(v) = o.as_value() {
                    self.uses[v.index()] += 1;
                }
            });
        }
    }

    fn grow(&mut self, values: usize) {
        for v in self.same.len()..values {
            self.def_at.push(UNDEFINED);
            self.same.push(Operand::value(Value(v as u32)));
            self.now.push(Operand::value(Value(v as u32)));
            self.known.push(Known::nothing(64));
            self.uses.push(1);
        }
    }
}

/// The last value on the way, where a literal cannot stand.
fn follow_values(table: &[Operand], mut o: Operand) -> Operand {
    while let Some(v) = o.as_value() {
        match table.get(v.index()) {
            Some(next) if *next != o && next.as_value().is_some() => o = *next,
            _ => break,
        }
    }
    o
}

fn follow(table: &[Operand], mut o: Operand) -> Operand {
    while let Some(v) = o.as_value() {
        match table.get(v.index()) {
            Some(next) if *next != o => o = *next,
            _ => break,
        }
    }
    o
}

impl Cx<'_> {
    /// The trace with the lines committed so far.
    pub fn trace(&self) -> &Trace {
        self.trace
    }

    /// What the pass may know besides the trace.
    pub fn env(&self) -> &Env {
        self.env
    }

    /// The line that defines this operand, if it is a value and committed.
    pub fn def(&self, o: Operand) -> Option<Inst> {
        let at = *self.tables.def_at.get(o.as_value()?.index())?;
        self.trace.insts.get(at as usize).copied()
    }

    /// Index of the line that defines the value, in [`Cx::trace`]: tells which of two comes first.
    pub fn position(&self, o: Operand) -> Option<u32> {
        self.tables.def_at.get(o.as_value()?.index()).copied().filter(|at| *at != UNDEFINED)
    }

    /// Has the sweep reached the loop?
    pub fn in_loop(&self) -> bool {
        self.trace.loop_at.is_some()
    }

    /// Is it the same in every iteration: a literal, or defined in the prologue?
    pub fn is_invariant(&self, o: Operand) -> bool {
        match (self.position(o), self.trace.loop_at) {
            (Some(at), Some(head)) => at < head,
            _ => !o.is_none(),
        }
    }

    /// A literal of this type.
    pub fn literal(&mut self, ty: Type, value: i128) -> Operand {
        self.trace.literal(ty, value)
    }

    /// The literal as an integer, sign-extended from its type; `None` for values and wide vectors.
    pub fn int(&self, o: Operand) -> Option<i128> {
        self.trace.literal_int(o)
    }

    /// What is known of the operand's bits here. `ty` is its type; nothing is known of anything but integers of up to 64 bits.
    pub fn bits(&self, o: Operand, ty: Type) -> Known {
        if !ty.is_int() || ty.bits() > 64 {
            return Known::nothing(ty.bits());
        }
        match (o.as_value(), self.trace.literal_int(o)) {
            (Some(_), _) if self.in_exit => Known::nothing(ty.bits()),
            (Some(v), _) => self.tables.known[v.index()],
            (None, Some(i)) => Known::literal(ty.bits(), i as u64),
            _ => Known::nothing(ty.bits()),
        }
    }

    /// From the present line on, this holds of the operand's bits, too. For [`Rewriter::committed`].
    pub fn learn(&mut self, o: Operand, known: Known) {
        if let Some(v) = o.as_value() {
            let place = &mut self.tables.known[v.index()];
            *place = place.and_also(known);
        }
    }

    /// The tag that the boxed word has here, if a guard said so.
    pub fn tag(&self, word: Operand) -> Option<TagId> {
        self.tables.tags.get(&word.as_value()?).copied().filter(|_| !self.in_exit)
    }

    /// From the present line on, the boxed word has this tag. For [`Rewriter::committed`].
    pub fn learn_tag(&mut self, word: Operand, tag: TagId) {
        if let Some(v) = word.as_value() {
            self.tables.tags.insert(v, tag);
        }
    }

    /// How many operands of lines this value is, as far as known; exits do not count.
    pub fn uses(&self, o: Operand) -> u32 {
        // An exit is one use more than lines are.
        o.as_value().map_or(0, |v| self.tables.uses[v.index()] + u32::from(self.in_exit))
    }

    /// What stands for the operand here.
    pub fn resolve(&self, o: Operand) -> Operand {
        follow(&self.tables.now, o)
    }

    /// From the present line on, `v` equals `o`. For [`Rewriter::committed`]; `o` must be defined here, and of the same type.
    pub fn assume(&mut self, v: Operand, o: Operand) {
        let (v, o) = (self.resolve(v), self.resolve(o));
        if let Some(v) = v.as_value()
            && Operand::value(v) != o
            && self.env.burn()
        {
            self.tables.now[v.index()] = o;
        }
    }

    /// A new line in front of the one being rewritten (and of those emitted before are still in front of it); for a rewriter that goes on to
    /// propose a line that uses it. Returns its result. The line is offered to all rewriters first, so what comes of it may be an older value.
    pub fn emit(&mut self, mut line: Inst) -> Operand {
        line.res = self.trace.new_value(line.ty);
        self.tables.grow(self.trace.value_count());
        self.tables.pending.push(line);
        Operand::value(line.res)
    }

    /// Access to what a rewriter needs to make lines whose operands live in pools.
    pub fn pools(&mut self) -> &mut Trace {
        self.trace
    }

    /// The line with its operands resolved.
    fn resolve_line(&mut self, line: &Inst) -> Inst {
        let now = &self.tables.now;
        let replace = |o: Operand, ty: Type| {
            if ty == Type::Void { follow_values(now, o) } else { follow(now, o) }
        };
        if matches!(line.op.info().form, Form::Native | Form::Call) {
            let mut changes = false;
            self.trace.for_each_operand(line, |o, ty| changes |= replace(o, ty) != o);
            if !changes {
                return *line;
            }
        }
        self.trace.map_operands(line, replace)
    }

    /// What follows for the result from what is known of the operands.
    pub(crate) fn bits_of_line(&self, line: &Inst) -> Known {
        let [a, b, c, _] = line.args;
        if !line.ty.is_int() || line.ty.bits() > 64 || line.aty.bits() > 64 {
            return Known::nothing(line.ty.bits());
        }
        let number = |o: Operand| self.int(o).map(|i| i as u64 & line.aty.mask64());
        let (from, to) = (line.aty.bits(), line.ty.bits());
        let (a, b, amount) = match line.op {
            Op::And | Op::Or | Op::Xor | Op::Add | Op::Sub => {
                (self.bits(a, line.aty), self.bits(b, line.aty), None)
            }
            Op::Not | Op::Zext | Op::Sext | Op::Trunc | Op::Popcnt | Op::Clz | Op::Ctz => {
                (self.bits(a, line.aty), Known::nothing(from), None)
            }
            Op::Shl | Op::Shr | Op::Sar => (self.bits(a, line.aty), Known::nothing(from), number(b)),
            Op::Select => (self.bits(b, line.ty), self.bits(c, line.ty), None),
            Op::Insert => (self.bits(a, line.ty), self.bits(b, line.aty), c.as_index().map(|i| i as u64)),
            Op::Extract => (self.bits(a, line.aty), Known::nothing(from), b.as_index().map(|i| i as u64)),
            _ => return Known::nothing(to),
        };
        transfer(line.op, from, to, a, b, amount)
    }

    fn commit(&mut self, line: &Inst) {
        if line.has_result() {
            self.tables.def_at[line.res.index()] = self.trace.insts.len() as u32;
            self.tables.known[line.res.index()] = self.bits_of_line(line);
        }
        self.trace.insts.push(*line);
    }

    /// Must the value not become this operand, a literal, because its type is needed?
    fn is_pinned(&self, v: Value, o: Operand) -> bool {
        follow(&self.tables.now, o).is_literal() && self.tables.pinned.get(v.index()) == Some(&true)
    }

    fn record(&mut self, v: Value, o: Operand) {
        let o = follow(&self.tables.now, o);
        if let (Some(true), Some(o)) = (self.tables.pinned.get(v.index()).copied(), o.as_value()) {
            let enough = self.tables.pinned.len().max(o.index() + 1);
            self.tables.pinned.resize(enough, false);
            self.tables.pinned[o.index()] = true;
        }
        if Operand::value(v) != o {
            self.tables.same[v.index()] = o;
            self.tables.now[v.index()] = o;
            if let Some(w) = o.as_value() {
                self.tables.uses[w.index()] += self.tables.uses[v.index()];
            }
        }
    }
}

/// A pass made of rewriters; see the module.
pub struct Forward {
    name: &'static str,
    rewriters: Vec<Box<dyn Rewriter>>,
    tables: Tables,
    old: Vec<Inst>,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.rewriters.iter().map(|r| r.name())).finish()
    }
}

impl Forward {
    /// A pass of this name; a line is offered to the rewriters in this order.
    pub fn new(name: &'static str, rewriters: Vec<Box<dyn Rewriter>>) -> Forward {
        Forward { name, rewriters, tables: Tables::default(), old: Vec::new() }
    }
}

impl Pass for Forward {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        let used = env.used();
        self.tables.start(trace);
        for r in &mut self.rewriters {
            r.start(trace, env);
        }
        let head = trace.loop_at.take().map(|at| at as usize);
        std::mem::swap(&mut self.old, &mut trace.insts);
        trace.insts.clear();
        let mut cx = Cx { trace, env, tables: &mut self.tables, in_exit: false };
        for i in 0..self.old.len() {
            if head == Some(i) {
                enter_loop(&mut self.rewriters, &mut cx, &self.old[i..]);
            }
            let line = self.old[i];
            if line.op != Op::Phi {
                process(&mut self.rewriters, &mut cx, line, 0);
            }
        }
        if head == Some(self.old.len()) {
            enter_loop(&mut self.rewriters, &mut cx, &[]);
        }
        end_loop(&mut cx);
        let same = &cx.tables.same;
        cx.trace.map_exits(|o, place| {
            if place == ExitUse::Recipe(Type::Void) { follow_values(same, o) } else { follow(same, o) }
        });
        fold_recipes(&mut self.rewriters, &mut cx);
        env.used() != used
    }
}

fn fold_recipes(rewriters: &mut [Box<dyn Rewriter>], cx: &mut Cx<'_>) {
    cx.in_exit = true;
    for i in 0..cx.trace.recipes().len() {
        for r in rewriters.iter_mut() {
            let old = cx.trace.recipes()[i];
            let new = r.rewrite_recipe(&old, cx);
            let is_one = cx.tables.pending.is_empty();
            cx.tables.pending.clear();
            if let Some(new) = new.filter(|n| is_one && n.op.is_recipe() && n.ty == old.ty)
                && cx.env.burn()
            {
                cx.trace.recipes_mut()[i] = new;
            }
        }
    }
}

/// Offers one line to the rewriters until none changes it, then commits what is left of it.
fn process(rewriters: &mut [Box<dyn Rewriter>], cx: &mut Cx<'_>, line: Inst, nested: usize) {
    let mut line = cx.resolve_line(&line);
    let (mut i, mut rounds) = (0, 0);
    while i < rewriters.len() && rounds < MOST_ROUNDS && nested < MOST_NESTED {
        let answer = rewriters[i].rewrite(&line, cx);
        let refused = matches!(answer, Rewrite::Equal(o) if line.has_result() && cx.is_pinned(line.res, o));
        if answer == Rewrite::Keep || refused || !cx.env.burn() {
            cx.tables.pending.clear();
            i += 1;
            continue;
        }
        if !cx.tables.pending.is_empty() {
            for new in std::mem::take(&mut cx.tables.pending) {
                process(rewriters, cx, new, nested + 1);
            }
        }
        match answer {
            Rewrite::Replace(new) => {
                debug_assert_eq!(new.ty, line.ty, "{} changes the type of a result", rewriters[i].name());
                line = cx.resolve_line(&Inst { res: line.res, ..new });
                (i, rounds) = (0, rounds + 1);
            }
            Rewrite::Equal(o) => {
                if line.has_result() {
                    cx.record(line.res, o);
                }
                return;
            }
            Rewrite::Drop | Rewrite::Keep => return,
        }
    }
    cx.commit(&line);
    for r in rewriters {
        r.committed(&line, cx);
    }
}

/// Commits the loop parameters that are needed; `rest` begins with the old ones.
fn enter_loop(rewriters: &mut [Box<dyn Rewriter>], cx: &mut Cx<'_>, rest: &[Inst]) {
    for r in rewriters.iter_mut() {
        r.enter_loop(cx);
    }
    cx.trace.loop_at = Some(cx.trace.insts.len() as u32);
    let params = &rest[..rest.iter().take_while(|p| p.op == Op::Phi).count()];
    let mut new: Vec<Inst> = params
        .iter()
        .map(|p| Inst { args: [cx.resolve(p.args[0]), p.args[1], p.args[2], p.args[3]], ..*p })
        .collect();
    merge_params(cx, &mut new);
    for p in &new {
        cx.commit(p);
        for r in rewriters.iter_mut() {
            r.committed(p, cx);
        }
    }
}

/// The body is done: what is passed back is known now.
fn end_loop(cx: &mut Cx<'_>) {
    let Some(at) = cx.trace.loop_at.map(|at| at as usize) else { return };
    let count = cx.trace.params().len();
    let mut params: Vec<Inst> = cx.trace.insts[at..at + count].to_vec();
    for p in &mut params {
        p.args[1] = cx.resolve(p.args[1]);
    }
    // What guards of the body have shown does not hold at its beginning.
    cx.tables.now.clone_from(&cx.tables.same);
    merge_params(cx, &mut params);
    if params.len() < count {
        // Lines of the body were written with parameters that are gone.
        let mut lines = cx.trace.insts.split_off(at + count);
        cx.trace.insts.truncate(at);
        cx.trace.insts.extend_from_slice(&params);
        for line in &mut lines {
            *line = cx.resolve_line(line);
        }
        cx.trace.insts.append(&mut lines);
        for p in &mut cx.trace.insts[at..at + params.len()] {
            p.args[1] = follow(&cx.tables.now, p.args[1]);
        }
        for (i, line) in cx.trace.insts.iter().enumerate().skip(at).filter(|(_, l)| l.has_result()) {
            cx.tables.def_at[line.res.index()] = i as u32;
        }
    } else {
        cx.trace.insts[at..at + count].copy_from_slice(&params);
    }
}

/// Removes parameters that always have their entry value, or the value of another parameter, and records what they equal.
///
/// Optimistic: first all parameters are taken for invariant, and those that are passed anything else than their entry value (or an invariant parameter with
/// the same one) are struck off until none is; then those of one type and entry value are taken for equal, and split by the class of what they are passed until no class
/// splits.
fn merge_params(cx: &mut Cx<'_>, params: &mut Vec<Inst>) {
    let index_of =
        |params: &[Inst], o: Operand| o.as_value().and_then(|v| params.iter().position(|p| p.res == v));
    let next: Vec<Option<usize>> =
        params.iter().map(|p| index_of(params, follow(&cx.tables.now, p.args[1]))).collect();
    let mut invariant: Vec<bool> = vec![true; params.len()];
    loop {
        let mut struck = false;
        for i in 0..params.len() {
            let (entry, passed) = (params[i].args[0], follow(&cx.tables.now, params[i].args[1]));
            let holds =
                passed == entry || next[i].is_some_and(|n| invariant[n] && params[n].args[0] == entry);
            if invariant[i] && !holds {
                invariant[i] = false;
                struck = true;
            }
        }
        if !struck {
            break;
        }
    }
    // class[i] is the first parameter that seems to equal i.
    let first_like = |same: &dyn Fn(usize, usize) -> bool| -> Vec<usize> {
        (0..params.len()).map(|i| (0..i).find(|&j| same(i, j)).unwrap_or(i)).collect()
    };
    let mut class =
        first_like(&|i, j| params[i].args[0] == params[j].args[0] && params[i].ty == params[j].ty);
    loop {
        let passed = |i: usize| match next[i] {
            Some(n) => Operand::value(params[class[n]].res),
            None => follow(&cx.tables.now, params[i].args[1]),
        };
        let split = first_like(&|i, j| class[i] == class[j] && passed(i) == passed(j));
        if split == class {
            break;
        }
        class = split;
    }
    let mut kept = Vec::with_capacity(params.len());
    for (i, p) in params.iter().enumerate() {
        let equal = if invariant[i] { p.args[0] } else { Operand::value(params[class[i]].res) };
        if equal != Operand::value(p.res) && !cx.is_pinned(p.res, equal) && cx.env.burn() {
            cx.record(p.res, equal);
        } else {
            kept.push(*p);
        }
    }
    *params = kept;
}
