//! Load forwarding: a load whose bytes were stored or loaded before, with nothing in between that may have changed them, is that
//! value. Also around the loop: what is in memory at the end of an iteration is there at the beginning of the next one.
//!
//! # In a line
//!
//! ```text
//! store %3, [%0 - 8] !stack             table: {%0} - 8 holds %3
//! store %4, [%0 - 16] !stack            the same root, other bytes: both known
//! %5: i64 = load [%0 - 8] !stack        is %3
//! %6: i32 = load [%0 - 4] !stack        becomes  %6: i32 = extract %3, 32
//! store %7, [%2] !memory                another root: all bytes unknown again, unless a guard keeps them apart (see `disambiguate`)
//! ```
//!
//! The table maps roots ([`super::alias`]) to entries: bytes, the value they hold, its type. A store removes what it
//! overlaps, or may overlap, and adds itself; a load that stays adds itself; a native or a call removes what its effects say. A load that
//! is wider than any one entry stays.
//!
//! # Around the loop
//!
//! At the head, each entry of the prologue's table is a *candidate*, in one of three states, as is each parameter of the loop:
//!
//! - *same*: the value at the head is always the one at entry. A load in the body is the prologue's value: hoisted.
//! - *carried*: the bytes always hold a known value of the previous iteration. The loop gets a parameter: entry value, and what
//!   the table says at the end of the body. Stores stay, the load goes.
//! - *lost*: something in the body may change them.
//!
//! All begin as *same*. A sweep over the trace takes the states for granted and looks at the end whether they hold; if one does not, it goes
//! down, and the sweep is done again, until all hold (induction over iterations then says that they always do). Candidates that no load used need
//! not hold. The prologue is what [`super::peel`] makes: the first iteration, so every location that the body uses has been accessed before, and no load
//! is made that the guest did not make.
//!
//! ```text
//! loop(%i0: i64 = %a)                    loop(%i0: i64 = %a, %9: i64 = %s):     %s: what the prologue stored there
//!   %1: i64 = load [%0 - 8] !stack
//!   %2: i64 = add %1, %i0                  %2: i64 = add %9, %i0
//!   store %2, [%0 - 8] !stack              store %2, [%0 - 8] !stack
//!   end loop(…)                            end loop(…, %2)
//! ```
//!
//! # What other threads may do (x86-TSO; it is right on weaker guests' terms, too, as they promise less)
//!
//! Of memory that is private ([`is_private`]) everything above holds. Of other memory:
//!
//! - **A load behind a store of this thread to the same bytes**, with no load or fence of shared memory between them, may take the stored value. On a TSO machine the
//!   store may wait in the thread's store buffer until after the load, and the load then *must* take it from there. That is one of the executions
//!   of the original code: later stores wait behind it in the buffer, and no load between the two can have seen another thread's
//!   progress. With such a load it would be wrong: thread 2 does `A = 2; B = 1`. We do `A = 1; r = B; s = A`. With r = 1, A = 2 in the
//!   end and s forwarded as 1, the store of 1 came before that of 2, which came before that of B, which r saw, and still s is 1: no TSO execution.
//! - **A load behind a load of the same bytes**, again with no load or fence of shared memory between: the original may have performed both at
//!   one moment. Stores of this thread between them do not matter: they may wait in the buffer.
//! - **Nothing around the loop**: a polling loop always reloads. Within the trace such forwarding is finite, so it delays nothing for ever.
//!
//! Guarantees: removes only loads, adds pure lines and loop parameters. A removed load cannot have faulted: its bytes were accessed before.

use super::alias::{Addresses, Linear, Root, Span};
use super::disambiguate::{self, Before, Plan, Planner};
use crate::pass::{Env, Pass, is_private};
use ir::effects::{ClassSet, EffectBits};
use ir::eval;
use ir::op::{Op, OpEffect};
use ir::snapshot::ExitUse;
use ir::trace::{Inst, Trace};
use ir::types::{ClassId, Operand, Type, Value};
use rustc_hash::FxHashMap;

/// Sweeps before all optimism is given up. Each lowers at least one state; few traces need more than four.
const MOST_SWEEPS: usize = 10;

/// Entries of one root; the oldest goes.
const MOST_ENTRIES: usize = 64;

/// No line.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What some bytes hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) span: Span,
    pub(super) ty: Type,
    pub(super) value: Operand,
    pub(super) class: ClassId,
    /// How many loads of shared memory there were when this was known.
    stamp: u32,
    /// The line that made it.
    pub(super) line: u32,
    /// The candidate that it comes from, if it has come over the head.
    candidate: u32,
}

/// What is thought of a candidate or a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Thought {
    Same,
    /// With the parameter that stands for it.
    Carried(Value),
    Lost,
}

/// An entry at the loop's head.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    root: Root,
    span: Span,
    ty: Type,
    /// At entry of the loop, in the present sweep.
    entry: Operand,
    class: ClassId,
    thought: Thought,
    /// The line of the prologue that made it.
    made: u32,
    /// The last line of the body that took its value; `NOWHERE` if none did.
    used: u32,
    /// Was it at the head in the present sweep?
    present: bool,
}

/// How a sweep treats stores that may overlap known bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// They are taken not to: to find out what guards would give.
    Hopeful,
    /// As the plan says.
    Real,
}

/// See the module, and [`super::disambiguate`].
#[derive(Debug, Default)]
pub struct LoadForward {
    guards: bool,
    pub(super) addresses: Addresses,
    table: Table,
    candidates: Vec<Candidate>,
    by_place: FxHashMap<(Root, i64, Type), u32>,
    /// Thoughts about the old parameters.
    params: Vec<Thought>,
    /// By value: what stands for it, `NONE` if itself.
    now: Vec<Operand>,
    out: Vec<Inst>,
    /// Lines in front of the loop.
    pub(super) ahead: Vec<Inst>,
    pub(super) planner: Planner,
    pub(super) plan: Plan,
    private: Vec<bool>,
}

/// What memory is known to hold.
#[derive(Debug, Default)]
struct Table {
    /// By root.
    groups: Vec<Vec<Entry>>,
    /// Roots with entries.
    live: Vec<Root>,
}

impl Table {
    fn clear(&mut self) {
        for r in self.live.drain(..) {
            self.groups[r.0 as usize].clear();
        }
    }

    fn group(&mut self, root: Root) -> &mut Vec<Entry> {
        let i = root.0 as usize;
        if self.groups.len() <= i {
            self.groups.resize_with(i + 1, Vec::new);
        }
        &mut self.groups[i]
    }

    fn add(&mut self, root: Root, entry: Entry) {
        let group = self.group(root);
        group.retain(|e| e.span != entry.span || e.ty != entry.ty);
        if group.len() >= MOST_ENTRIES {
            group.remove(0);
        }
        group.push(entry);
        if group.len() == 1 && !self.live.contains(&root) {
            self.live.push(root);
        }
    }

    fn forget_classes(&mut self, trace: &Trace, written: ClassSet) {
        if written.is_empty() {
            return;
        }
        let alias = trace.decls.alias();
        for r in &self.live {
            self.groups[r.0 as usize].retain(|e| !alias.sets_may_alias(written, ClassSet::one(e.class)));
        }
    }
}

impl LoadForward {
    /// The pass `load_forward`: adds no guards.
    pub fn new() -> LoadForward {
        LoadForward::default()
    }

    /// The pass `disambiguate`: the same with guards, see [`super::disambiguate`].
    pub fn with_guards() -> LoadForward {
        LoadForward { guards: true, ..LoadForward::default() }
    }

    fn start(&mut self, trace: &Trace) {
        self.addresses.clear();
        self.table.clear();
        self.candidates.clear();
        self.by_place.clear();
        self.plan.clear();
        self.params.clear();
        self.params.extend(trace.params().iter().map(|_| Thought::Same));
        let classes = (0..64).map(ClassId).take(trace.decls.classes.len());
        self.private.clear();
        self.private.extend(classes.map(|c| is_private(trace, c)));
    }

    fn is_private(&self, class: ClassId) -> bool {
        self.private.get(class.index()).copied().unwrap_or(false)
    }

    /// Gives up all optimism.
    fn despair(&mut self, lines: &[Inst], head: usize) {
        for (t, p) in self.params.iter_mut().zip(&lines[head..]) {
            *t = Thought::Carried(p.res);
        }
        for c in &mut self.candidates {
            c.thought = Thought::Lost;
        }
    }
}

/// One sweep over the lines.
pub(super) struct Sweep<'a> {
    pub(super) pass: &'a mut LoadForward,
    pub(super) trace: &'a mut Trace,
    lines: &'a [Inst],
    /// Where the parameters begin; the number of lines if there is no loop.
    head: usize,
    mode: Mode,
    /// Rewrites that may still be done.
    budget: u64,
    /// Rewrites done.
    pub(super) done: u64,
    /// Loads of shared memory so far.
    loads: u32,
    /// The state before the present guest instruction, when nothing has happened since.
    pub(super) before: Option<Before>,
    /// Has nothing happened yet?
    fresh: bool,
    /// Value numbers from here on, and those marked, are made in the body.
    pub(super) in_body: Vec<bool>,
    pub(super) inside: bool,
    no_candidates: bool,
    /// How many of the lines written belong to the prologue.
    prologue: usize,
}

impl<'a> Sweep<'a> {
    /// Sweeps; true when all thoughts held.
    fn run(&mut self) -> bool {
        let values = self.trace.value_count();
        self.pass.addresses.begin(values);
        self.pass.table.clear();
        self.pass.now.clear();
        self.pass.now.resize(values, Operand::NONE);
        self.pass.out.clear();
        self.pass.ahead.clear();
        self.pass.planner.clear();
        self.in_body.resize(values, false);
        for c in &mut self.pass.candidates {
            (c.present, c.used) = (false, NOWHERE);
        }
        let lines = self.lines;
        let mut params_end = self.head;
        for (i, line) in lines.iter().enumerate() {
            if i == self.head {
                params_end += lines[i..].iter().take_while(|l| l.op == Op::Phi).count();
                self.enter_loop(&lines[i..params_end]);
            }
            if i < self.head || i >= params_end {
                self.line(i as u32, line);
            }
        }
        if self.head == lines.len() {
            self.prologue = self.pass.out.len();
            return true;
        }
        self.check(&lines[self.head..params_end])
    }

    /// Is there fuel for another rewrite?
    pub(super) fn may_rewrite(&self) -> bool {
        self.done < self.budget
    }

    pub(super) fn did_rewrite(&mut self) {
        self.done += 1;
    }

    /// Is the value made in the body?
    pub(super) fn is_inside(&self, v: Value) -> bool {
        self.in_body.get(v.index()).copied().unwrap_or(false)
    }

    /// The last line of the prologue.
    pub(super) fn last_line_ahead(&self) -> Option<Inst> {
        self.head.checked_sub(1).and_then(|i| self.lines.get(i)).copied()
    }

    pub(super) fn resolve(&self, o: Operand) -> Operand {
        match o.as_value().and_then(|v| self.pass.now.get(v.index())) {
            Some(n) if !n.is_none() => *n,
            _ => o,
        }
    }

    fn set_now(&mut self, v: Value, o: Operand) {
        let o = self.resolve(o);
        if self.pass.now.len() <= v.index() {
            self.pass.now.resize(v.index() + 1, Operand::NONE);
        }
        self.pass.now[v.index()] = o;
        self.pass.addresses.set_equal(v, o);
    }

    /// Appends a line, and takes note of what it computes.
    pub(super) fn push(&mut self, line: Inst) {
        if line.has_result() {
            if self.inside {
                self.mark_inside(line.res);
            }
            self.pass.addresses.define(self.trace, &line);
        }
        self.pass.out.push(line);
    }

    fn mark_inside(&mut self, v: Value) {
        if self.in_body.len() <= v.index() {
            self.in_body.resize(v.index() + 1, false);
        }
        self.in_body[v.index()] = true;
    }

    fn line(&mut self, at: u32, line: &Inst) {
        let pass = &mut *self.pass;
        let now = &pass.now;
        let resolve = |o: Operand, ty: Type| match o.as_value().and_then(|v| now.get(v.index())) {
            // Where any vector may stand, its type must be known from the value.
            Some(n) if !(n.is_none() || ty == Type::Void && n.is_literal()) => *n,
            _ => o,
        };
        let line = self.trace.map_operands(line, resolve);
        match line.op.info().effect {
            OpEffect::Pure | OpEffect::Fault | OpEffect::Guard => self.push(line),
            OpEffect::Mark => {
                self.before = match line.exit() {
                    Some(id) => Some(Before::Exit(id)),
                    None => (self.fresh && !self.inside).then_some(Before::Entry),
                };
                self.fresh = false;
                self.push(line);
            }
            OpEffect::Load => self.load(at, line),
            OpEffect::Store => self.store(at, line),
            OpEffect::Atomic | OpEffect::Fence | OpEffect::Helper | OpEffect::Line => {
                let effects = self.trace.effects(&line);
                let shared =
                    effects.reads.iter().take(self.pass.private.len()).any(|c| !self.pass.is_private(c));
                if effects.bits.any(EffectBits::ORDERS) || shared {
                    self.loads += 1;
                }
                self.pass.table.forget_classes(self.trace, effects.writes);
                if !effects.is_pure() {
                    (self.before, self.fresh) = (None, false);
                }
                self.push(line);
            }
        }
    }

    fn load(&mut self, at: u32, line: Inst) {
        let class = line.class();
        let Some(addr) = self.trace.addr(&line) else { return self.push(line) };
        let Linear { root, disp } = self.pass.addresses.address(self.trace, &addr);
        let span = Span::new(disp, line.ty.bytes());
        let private = self.pass.is_private(class);
        let known = self.pass.table.group(root).iter().rev().find(|e| {
            e.span.holds(span)
                && (private || e.stamp == self.loads)
                && convertible(e, line.ty)
                && fits(e.value, line.ty)
        });
        if let Some(entry) = known.copied()
            && self.may_rewrite()
        {
            self.did_rewrite();
            self.note_use(at, root, span, &entry);
            return self.forward(&line, span, &entry);
        }
        if !private {
            self.loads += 1;
        }
        let value = Operand::value(line.res);
        let entry =
            Entry { span, ty: line.ty, value, class, stamp: self.loads, line: at, candidate: NOWHERE };
        self.push(line);
        self.pass.table.add(root, entry);
    }

    fn note_use(&mut self, at: u32, root: Root, span: Span, entry: &Entry) {
        let mut from = entry.line;
        if entry.candidate != NOWHERE {
            let c = &mut self.pass.candidates[entry.candidate as usize];
            c.used = at;
            from = self.head as u32;
        }
        self.pass.planner.used(root, span, entry.class, from, at, self.inside);
    }

    /// Replaces a load of `span` by the entry's value, or the part of it.
    fn forward(&mut self, line: &Inst, span: Span, entry: &Entry) {
        let (from, to) = (entry.ty, line.ty);
        if from == to {
            return self.set_now(line.res, entry.value);
        }
        let bit = (span.start - entry.span.start) as u32 * 8;
        if let Some(bits) = self.trace.literal_bits(entry.value, from) {
            let bytes = eval::to_bytes(&bits);
            let first = bit as usize / 8;
            let part = eval::from_bytes(&bytes[first..first + to.bytes() as usize]);
            let literal = if to.bits() <= 64 {
                self.trace.literal(to, part[0].into())
            } else {
                self.trace.wide_literal(to, &part)
            };
            return self.set_now(line.res, literal);
        }
        let made = if from.bits() == to.bits() {
            Inst::new(Op::Bitcast, from, to, 0, &[entry.value])
        } else {
            let (from, value) = self.as_bits(from, entry.value);
            if bit == 0 {
                Inst::new(Op::Trunc, from, to, 0, &[value])
            } else {
                Inst::new(Op::Extract, from, to, 0, &[value, Operand::index(bit)])
            }
        };
        self.push(Inst { res: line.res, ..made });
    }

    /// A float as an integer; anything else as it is.
    fn as_bits(&mut self, ty: Type, value: Operand) -> (Type, Operand) {
        match Type::int(ty.bits()) {
            Some(int) if ty.is_float() => {
                let res = self.trace.new_value(int);
                self.push(Inst { res, ..Inst::new(Op::Bitcast, ty, int, 0, &[value]) });
                (int, Operand::value(res))
            }
            _ => (ty, value),
        }
    }

    fn store(&mut self, at: u32, line: Inst) {
        let class = line.class();
        let Some(addr) = self.trace.addr(&line) else { return self.push(line) };
        let Linear { root, disp } = self.pass.addresses.address(self.trace, &addr);
        let span = Span::new(disp, line.aty.bytes());
        self.pass.table.group(root).retain(|e| !e.span.meets(span));
        let can_guard = self.pass.guards && self.before.is_some();
        if can_guard {
            self.pass.planner.stored(at, root, span, class);
        }
        if self.mode == Mode::Real || !can_guard {
            self.forget_overlapped(at, root, span, class);
        }
        (self.before, self.fresh) = (None, false);
        let value = line.args[3];
        self.push(line);
        let stamp = self.loads;
        let entry = Entry { span, ty: line.aty, value, class, stamp, line: at, candidate: NOWHERE };
        self.pass.table.add(root, entry);
    }

    /// Forgets entries of other roots that the store may change, except where a guard says that it does not.
    fn forget_overlapped(&mut self, at: u32, root: Root, span: Span, class: ClassId) {
        let mut i = 0;
        while i < self.pass.table.live.len() {
            let other = self.pass.table.live[i];
            i += 1;
            if other == root {
                continue;
            }
            let mut group = std::mem::take(self.pass.table.group(other));
            let trace = &self.trace.decls.clone();
            group.retain(|e| {
                !trace.alias().may_alias(class, e.class)
                    || self.pass.addresses.are_apart(root, span, other, e.span)
                    || disambiguate::keep_apart(self, at, root, span, other, e.span)
            });
            *self.pass.table.group(other) = group;
        }
    }

    fn enter_loop(&mut self, params: &[Inst]) {
        self.inside = true;
        self.prologue = self.pass.out.len();
        self.before = None;
        for (i, p) in params.iter().enumerate() {
            let entry = self.resolve(p.args[0]);
            match self.pass.params[i] {
                // A vector literal cannot stand everywhere, see `fits`.
                Thought::Same if self.may_rewrite() && fits(entry, p.ty) => {
                    self.did_rewrite();
                    self.set_now(p.res, entry);
                }
                _ => {
                    self.pass.params[i] = Thought::Carried(p.res);
                    self.mark_inside(p.res);
                    self.pass.addresses.define(self.trace, p);
                }
            }
        }
        let mut table = std::mem::take(&mut self.pass.table);
        for r in &table.live {
            let group = &mut table.groups[r.0 as usize];
            group.retain_mut(|e| self.enter_candidate(*r, e));
        }
        self.pass.table = table;
    }

    /// Makes an entry of the prologue one of the body; false if it is lost.
    fn enter_candidate(&mut self, root: Root, e: &mut Entry) -> bool {
        // What others may write is not carried, whatever class it was accessed by.
        if self.no_candidates || !self.pass.private.iter().any(|p| *p) {
            return false;
        }
        let next = self.pass.candidates.len() as u32;
        let i = *self.pass.by_place.entry((root, e.span.start, e.ty)).or_insert(next);
        if i == next {
            self.pass.candidates.push(Candidate {
                root,
                span: e.span,
                ty: e.ty,
                entry: e.value,
                class: e.class,
                thought: Thought::Same,
                made: e.line,
                used: NOWHERE,
                present: true,
            });
        }
        let c = &mut self.pass.candidates[i as usize];
        (c.entry, c.class, c.made, c.present) = (e.value, e.class, e.line, true);
        match c.thought {
            Thought::Lost => return false,
            Thought::Same => {}
            Thought::Carried(v) => {
                e.value = Operand::value(v);
                self.mark_inside(v);
            }
        }
        // No count of loads is this large: only private loads take it.
        (e.candidate, e.stamp) = (i, u32::MAX);
        true
    }

    /// Do two operands surely have the same value?
    fn equal(&mut self, a: Operand, b: Operand, ty: Type) -> bool {
        let (a, b) =
            (self.pass.addresses.canonical(self.resolve(a)), self.pass.addresses.canonical(self.resolve(b)));
        a == b
            || ty == Type::I64
                && self.pass.addresses.of(self.trace, a) == self.pass.addresses.of(self.trace, b)
    }

    /// At the end of the body: lowers the thoughts that do not hold; true when there were none.
    fn check(&mut self, params: &[Inst]) -> bool {
        let mut all = true;
        for (i, p) in params.iter().enumerate() {
            if self.pass.params[i] == Thought::Same && !self.equal(p.args[0], p.args[1], p.ty) {
                self.pass.params[i] = Thought::Carried(p.res);
                all = false;
            }
        }
        let end = self.lines.len() as u32;
        for i in 0..self.pass.candidates.len() {
            let c = self.pass.candidates[i];
            if !c.present || c.used == NOWHERE {
                continue;
            }
            let last = self.last_entry(&c);
            if let Some(e) = last {
                self.pass.planner.around(c.root, c.span, c.class, (c.made, e.line), self.head as u32, end);
            }
            let new = match (c.thought, last) {
                (_, None) => Thought::Lost,
                (Thought::Same, Some(e)) if !(e.ty == c.ty && self.equal(e.value, c.entry, c.ty)) => {
                    Thought::Carried(self.trace.new_value(c.ty))
                }
                (t, Some(_)) => t,
            };
            if new != c.thought {
                self.pass.candidates[i].thought = new;
                all = false;
            }
        }
        all
    }

    /// What the table says at the end about a candidate's bytes.
    fn last_entry(&mut self, c: &Candidate) -> Option<Entry> {
        let group = self.pass.table.group(c.root);
        let fits = |e: &&Entry| e.span == c.span && e.ty.bits() == c.ty.bits();
        let exact = group.iter().rev().filter(fits).find(|e| e.ty == c.ty);
        exact.or(group.iter().rev().find(fits)).copied()
    }

    /// Writes the result of the sweep into the trace.
    fn commit(mut self) {
        let mut new_params = Vec::new();
        for i in 0..self.pass.candidates.len() {
            let c = self.pass.candidates[i];
            let Thought::Carried(v) = c.thought else { continue };
            if !c.present || c.used == NOWHERE {
                continue;
            }
            let Some(e) = self.last_entry(&c) else { continue };
            let mut next = self.resolve(e.value);
            if e.ty != c.ty {
                let res = self.trace.new_value(c.ty);
                next = match self.trace.literal_bits(next, e.ty) {
                    Some(bits) => self.trace.wide_literal(c.ty, &bits),
                    None => {
                        self.push(Inst { res, ..Inst::new(Op::Bitcast, e.ty, c.ty, 0, &[next]) });
                        Operand::value(res)
                    }
                };
                if c.ty.bits() <= 64
                    && let Some(bits) = self.trace.literal_bits(next, c.ty)
                {
                    next = self.trace.literal(c.ty, bits[0].into());
                }
            }
            new_params.push(Inst { res: v, ..Inst::new(Op::Phi, Type::Void, c.ty, 0, &[c.entry, next]) });
        }
        let head = self.head;
        let params = self.lines[head..].iter().take_while(|l| l.op == Op::Phi).count();
        let body = self.pass.out.split_off(self.prologue);
        let trace = self.trace;
        trace.insts.clear();
        trace.insts.append(&mut self.pass.out);
        if trace.loop_at.is_some() {
            trace.insts.append(&mut self.pass.ahead);
            trace.loop_at = Some(trace.insts.len() as u32);
            for (p, thought) in self.lines[head..head + params].iter().zip(&self.pass.params) {
                if *thought != Thought::Same {
                    let follow = |o: Operand| match o.as_value().and_then(|v| self.pass.now.get(v.index())) {
                        Some(n) if !n.is_none() => *n,
                        _ => o,
                    };
                    let [a, b, c, d] = p.args;
                    trace.insts.push(Inst { args: [follow(a), follow(b), c, d], ..*p });
                }
            }
            trace.insts.append(&mut new_params);
        }
        trace.insts.extend_from_slice(&body);
        let now = &self.pass.now;
        trace.map_exits(|o, place| match o.as_value().and_then(|v| now.get(v.index())) {
            Some(n) if !(n.is_none() || place == ExitUse::Recipe(Type::Void) && n.is_literal()) => *n,
            _ => o,
        });
    }
}

/// Can the operand stand for a value of this type wherever that stands? Some operands take their type from the value.
fn fits(o: Operand, ty: Type) -> bool {
    !(o.is_literal() && ty.is_vector())
}

/// Can the entry's value be turned into the loaded type?
fn convertible(e: &Entry, to: Type) -> bool {
    e.ty == to || e.ty.bytes() > 0 && to.bytes() > 0 && to.bits() <= e.ty.bits()
}

impl Pass for LoadForward {
    fn name(&self) -> &'static str {
        if self.guards { "disambiguate" } else { "load_forward" }
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        self.start(trace);
        let lines = std::mem::take(&mut trace.insts);
        let head = trace.loop_at.map_or(lines.len(), |at| at as usize);
        let budget = env.left().unwrap_or(u64::MAX);
        let mut mode = if self.guards { Mode::Hopeful } else { Mode::Real };
        let mut done = 0;
        for sweep in 0.. {
            let desperate = sweep >= MOST_SWEEPS;
            if desperate {
                self.despair(&lines, head);
                mode = Mode::Real;
            }
            let mut s = Sweep {
                pass: self,
                trace,
                lines: &lines,
                head,
                mode,
                budget,
                done: 0,
                loads: 0,
                before: None,
                fresh: true,
                prologue: 0,
                in_body: Vec::new(),
                inside: false,
                no_candidates: desperate,
            };
            let holds = s.run();
            if !holds && !desperate {
                continue;
            }
            if mode == Mode::Hopeful {
                mode = Mode::Real;
                disambiguate::make_plan(self, trace);
                continue;
            }
            done = s.done;
            s.commit();
            break;
        }
        for _ in 0..done {
            let _ = env.burn();
        }
        done > 0
    }
}
