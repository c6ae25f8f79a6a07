//! All well-formedness errors of a trace, each with its place.
//!
//! A trace that passes may be interpreted, optimized and compiled; an error always means a bug in whoever
//! wrote the trace. What is checked: every value is defined once and before its uses, operand and result
//! types are those of the op table, literals are canonical, everything named exists, loop parameters and `end
//! loop` agree, exits are sorted and their `like` chains end, and *at each line that may leave*, all values
//! that its exit's snapshot needs are defined.
//!
//! Cost: one pass over the lines, plus the binds in force at each exit that a line names.

use std::fmt;

use crate::op::{Arg, Check, Form, Op, Suffix};
use crate::snapshot::{Bind, Exit, Target};
use crate::trace::{End, Inst, Trace};
use crate::types::*;

/// Where an error is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// In the declarations.
    Decls,
    /// In the trace's head.
    Head,
    /// In `insts[i]`.
    Line(usize),
    /// In how the trace ends.
    End,
    /// In an exit (index into `exits`).
    Exit(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Decls => f.write_str("declarations"),
            Place::Head => f.write_str("head"),
            Place::Line(i) => write!(f, "line {i}"),
            Place::End => f.write_str("end"),
            Place::Exit(i) => write!(f, "exit no. {i}"),
        }
    }
}

/// One violation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place} (`{text}`): {kind}")]
pub struct VerifyError {
    /// Where.
    pub place: Place,
    /// The text of that place.
    pub text: String,
    /// What.
    pub kind: VerifyErrorKind,
}

/// What can be wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyErrorKind {
    /// A value is used that no line before defines.
    #[error("{0} is not defined here")]
    Undefined(Value),
    /// An exit needs a value that is not defined where a line names the exit.
    #[error("{exit} needs {value}, which is not defined here")]
    ExitUndefined {
        /// The exit.
        exit: ExitId,
        /// What its snapshot needs.
        value: Value,
    },
    /// A value has two definitions.
    #[error("{0} is defined twice")]
    DefinedTwice(Value),
    /// A value number that the trace never made.
    #[error("{0} has no type: it was not made by this trace")]
    NoSuchValue(Value),
    /// An operand of the wrong type.
    #[error("operand {operand} is {found}, must be {expected}")]
    OperandType {
        /// The operand.
        operand: Value,
        /// Its type.
        found: Type,
        /// The type needed.
        expected: Type,
    },
    /// A literal that is not canonical at its type, or where none may stand.
    #[error("operand {0} cannot be a literal of this value here")]
    Literal(usize),
    /// An operand is missing, superfluous, or not of the kind that the table wants.
    #[error("operand {0} is missing, superfluous or not of the right kind")]
    Operand(usize),
    /// The operand type is not one the operation takes.
    #[error("{op} takes operands of type {allowed}, not {found}")]
    OperandSet {
        /// The operation.
        op: &'static str,
        /// The types it takes.
        allowed: String,
        /// The type on the line.
        found: Type,
    },
    /// The result type is not one the operation makes.
    #[error("the result of {op} is {allowed}, not {found}")]
    ResultType {
        /// The operation.
        op: &'static str,
        /// The types it makes.
        allowed: String,
        /// The type on the line.
        found: Type,
    },
    /// Operand type and result type do not fit together.
    #[error("{op} cannot make {result} of {operand}: {why}")]
    Relation {
        /// The operation.
        op: &'static str,
        /// Operand type.
        operand: Type,
        /// Result type.
        result: Type,
        /// The rule.
        why: &'static str,
    },
    /// The suffix is not one.
    #[error("bad suffix")]
    Suffix,
    /// A slot, tag, class, helper, native or pc that does not exist.
    #[error("there is no such {0}")]
    NoSuch(&'static str),
    /// An exit that does not exist.
    #[error("there is no {0}")]
    NoExit(ExitId),
    /// The exit of an `at` resumes elsewhere.
    #[error("the exit of an `at` must resume at its pc")]
    AtElsewhere,
    /// A `pick` of a slot that its native does not write.
    #[error("the native does not write this slot")]
    NotWritten,
    /// The number of operands differs from the helper's parameters.
    #[error("the helper takes {expected} operands, not {found}")]
    CallOperands {
        /// Parameters of the helper.
        expected: usize,
        /// Operands of the call.
        found: usize,
    },
    /// A loop parameter outside the loop head.
    #[error("a loop parameter stands outside the loop head")]
    StrayParam,
    /// `end loop` without loop, or a loop that does not end so.
    #[error("a trace has a loop if and only if it ends with `end loop`")]
    LoopEnd,
    /// Exits not in increasing order.
    #[error("exits must be in increasing order of their numbers")]
    ExitOrder,
    /// A `like` that does not name an exit with a smaller number.
    #[error("`like` must name an exit with a smaller number")]
    Like,
    /// A slot bound twice in one exit or native.
    #[error("a slot is named twice")]
    SlotTwice,
    /// A recipe that is not a pure operation.
    #[error("{0} cannot stand in a recipe")]
    Recipe(&'static str),
    /// A declaration with a type or reference that cannot be.
    #[error("{0}: {1}")]
    Decl(String, &'static str),
}

use VerifyErrorKind as Kind;

/// Checks a trace.
///
/// # Errors
/// Every violation found, in order of place.
pub fn verify(trace: &Trace) -> Result<(), Vec<VerifyError>> {
    let mut v = Verifier {
        trace,
        defined: vec![false; trace.value_count()],
        named: vec![false; trace.exits.len()],
        place: Place::Head,
        errors: Vec::new(),
    };
    v.decls();
    v.exits();
    v.lines();
    v.end();
    if v.errors.is_empty() {
        return Ok(());
    }
    v.errors.sort_by_key(|e| e.place);
    Err(v.errors)
}

struct Verifier<'a> {
    trace: &'a Trace,
    /// Values defined by the lines so far.
    defined: Vec<bool>,
    /// Exits (by position) that some line names.
    named: Vec<bool>,
    place: Place,
    errors: Vec<VerifyError>,
}

impl Verifier<'_> {
    fn error(&mut self, kind: Kind) {
        let t = self.trace;
        let text = match self.place {
            Place::Line(i) => t.insts.get(i).map(|l| crate::print::line(t, l)),
            Place::Exit(i) => t.exits.get(i).map(|e| crate::print::exit(t, e)),
            Place::Decls | Place::Head | Place::End => None,
        };
        let text = text.unwrap_or_else(|| t.name.clone());
        self.errors.push(VerifyError { place: self.place, text, kind });
    }

    fn require(&mut self, holds: bool, kind: Kind) {
        if !holds {
            self.error(kind);
        }
    }

    // --- declarations ----------------------------------------------------------------------------

    fn decls(&mut self) {
        self.place = Place::Decls;
        let d = &self.trace.decls;
        for s in &d.slots {
            let ok = !matches!(s.ty, Type::Tuple | Type::Void);
            self.require(ok, Kind::Decl(s.name.clone(), "a slot cannot have this type"));
        }
        for t in &d.tags {
            let ok = match t.pattern {
                Some(_) => matches!(t.ty, Type::I1 | Type::I8 | Type::I16 | Type::I32 | Type::I64),
                None => t.ty == Type::F64,
            };
            self.require(
                ok,
                Kind::Decl(t.name.clone(), "a tag is f64 without pattern, or i1 to i64 with one"),
            );
        }
        for (i, c) in d.classes.iter().enumerate() {
            let ok = c.parent.iter().chain(&c.disjoint).all(|other| other.index() < i);
            self.require(ok, Kind::Decl(c.name.clone(), "a class refers only to classes before it"));
        }
        for h in &d.helpers {
            let data = |ty: &Type| !matches!(ty, Type::Tuple | Type::Void);
            let ok = h.params.iter().all(data) && h.result != Type::Tuple;
            self.require(ok, Kind::Decl(h.name.clone(), "a helper cannot have this type"));
        }
    }

    // --- exits -----------------------------------------------------------------------------------

    /// What does not depend on where an exit is named.
    fn exits(&mut self) {
        let t = self.trace;
        for (i, e) in t.exits.iter().enumerate() {
            self.place = Place::Exit(i);
            let in_order = i == 0 || t.exits[i - 1].id < e.id;
            self.require(in_order, Kind::ExitOrder);
            if let Some(like) = e.like {
                self.require(like < e.id && t.exit(like).is_some(), Kind::Like);
            }
            if let Target::Value(op) = e.target {
                self.require(op.as_value().is_some(), Kind::Operand(0));
                self.typed(op, Type::I64, 0);
            }
            self.binds(t.binds(e));
        }
    }

    fn binds(&mut self, binds: &[Bind]) {
        for (i, b) in binds.iter().enumerate() {
            let Some(slot) = self.trace.decls.slots.get(b.slot.index()) else {
                self.error(Kind::NoSuch("slot"));
                continue;
            };
            self.require(!binds[..i].iter().any(|o| o.slot == b.slot), Kind::SlotTwice);
            match b.value.kind() {
                OperandKind::Recipe(_) => match self.trace.recipe(b.value) {
                    None => self.error(Kind::NoSuch("recipe")),
                    Some(r) => {
                        self.require(r.op.is_recipe(), Kind::Recipe(r.op.name()));
                        self.result(r, slot.ty);
                        self.plain(r);
                    }
                },
                OperandKind::Any => {}
                _ => self.typed(b.value, slot.ty, i),
            }
        }
    }

    /// The values that a line needs for naming the exit.
    fn names_exit(&mut self, id: ExitId) {
        let t = self.trace;
        let Some(exit) = t.exit(id) else {
            self.error(Kind::NoExit(id));
            return;
        };
        if let Ok(i) = t.exits.binary_search_by_key(&id, |e| e.id) {
            self.named[i] = true;
        }
        let mut missing = Vec::new();
        self.for_each_exit_value(exit, |defined, v| {
            if !defined && !missing.contains(&v) {
                missing.push(v);
            }
        });
        for value in missing {
            self.error(Kind::ExitUndefined { exit: id, value });
        }
    }

    fn for_each_exit_value(&self, exit: &Exit, mut f: impl FnMut(bool, Value)) {
        let t = self.trace;
        let mut see = |op: Operand| {
            if let Some(v) = op.as_value() {
                f(self.defined.get(v.index()).copied().unwrap_or(false), v);
            }
        };
        if let Target::Value(op) = exit.target {
            see(op);
        }
        t.for_each_bind(exit.id, |b| match t.recipe(b.value) {
            Some(r) => t.for_each_operand(r, |op, _| see(op)),
            None => see(b.value),
        });
    }

    // --- lines -----------------------------------------------------------------------------------

    fn lines(&mut self) {
        let t = self.trace;
        let loop_at = t.loop_at.map_or(usize::MAX, |l| l as usize);
        let params = loop_at..loop_at.saturating_add(t.params().len());
        for (i, inst) in t.insts.iter().enumerate() {
            self.place = Place::Line(i);
            self.inst(inst);
            // Parameters do not see each other.
            let is_param = params.contains(&i);
            self.require((inst.op == Op::Phi) == is_param, Kind::StrayParam);
            if inst.has_result() && !is_param {
                self.define(inst);
            }
            if i + 1 == params.end {
                for p in &t.insts[params.clone()] {
                    self.define(p);
                }
            }
        }
        if t.loop_at.is_some() && loop_at > t.insts.len() {
            self.place = Place::Head;
            self.error(Kind::LoopEnd);
        }
    }

    fn define(&mut self, inst: &Inst) {
        match self.defined.get_mut(inst.res.index()) {
            None => self.error(Kind::NoSuchValue(inst.res)),
            Some(d) => {
                let twice = std::mem::replace(d, true);
                self.require(!twice, Kind::DefinedTwice(inst.res));
                self.require(
                    twice || self.trace.value_type(inst.res) == inst.ty,
                    Kind::NoSuchValue(inst.res),
                );
            }
        }
    }

    /// A use of an operand as data: defined, of this type; a literal canonical at it.
    fn used(&mut self, op: Operand, ty: Type, place: usize) {
        if let Some(v) = op.as_value()
            && !self.defined.get(v.index()).copied().unwrap_or(false)
        {
            self.error(Kind::Undefined(v));
            return;
        }
        self.typed(op, ty, place);
    }

    /// The operand's type, without asking whether it is defined here.
    fn typed(&mut self, op: Operand, ty: Type, place: usize) {
        let t = self.trace;
        match op.kind() {
            OperandKind::Value(v) => {
                let found = t.value_type(v);
                if found == Type::Void {
                    self.error(Kind::NoSuchValue(v));
                } else if ty == Type::Void {
                    self.require(
                        found.is_vector(),
                        Kind::OperandType { operand: v, found, expected: Type::V128 },
                    );
                } else {
                    self.require(found == ty, Kind::OperandType { operand: v, found, expected: ty });
                }
            }
            OperandKind::Int(_) | OperandKind::Const(_) => {
                let ok = match t.literal_int(op) {
                    Some(i) => ty.canonical(i) == i && (ty != Type::Flags || i as u64 & !Flag::MASK == 0),
                    None => {
                        ty.is_vector()
                            && t.literal_bits(op, ty).is_some_and(|w| crate::eval::mask(&w, ty) == w)
                    }
                };
                self.require(ok && !matches!(ty, Type::Tuple | Type::Void), Kind::Literal(place));
            }
            OperandKind::None | OperandKind::Recipe(_) | OperandKind::Any => self.error(Kind::Operand(place)),
        }
    }

    fn inst(&mut self, inst: &Inst) {
        let info = inst.op.info();
        let expected = match info.result {
            Arg::None => Type::Void,
            _ if inst.op == Op::Call => self.trace.call_helper(inst).map_or(Type::Void, |(_, h)| h.result),
            _ => inst.ty,
        };
        self.result(inst, expected);
        match info.form {
            Form::Plain => {
                self.plain(inst);
                self.uses(inst);
            }
            // What is passed back is checked at the end.
            Form::Phi => self.used(inst.args[0], inst.ty, 0),
            Form::Load | Form::Store | Form::Atomic => {
                let place = usize::from(info.form != Form::Atomic) + 1;
                self.require(self.trace.addr(inst).is_some(), Kind::Operand(place));
                self.require(
                    inst.class().index() < self.trace.decls.classes.len(),
                    Kind::NoSuch("alias class"),
                );
                self.require(info.form != Form::Atomic || inst.scale() == 1, Kind::Suffix);
                self.uses(inst);
            }
            Form::Guard => {
                self.uses(inst);
                self.require(inst.exit().is_some(), Kind::Operand(1));
            }
            Form::Call => self.call(inst),
            Form::Native => self.native(inst),
            Form::At => {
                let pc = self.trace.at_pc(inst);
                self.require(pc.is_some(), Kind::NoSuch("pc"));
                if let Some(exit) = inst.exit().and_then(|id| self.trace.exit(id)) {
                    let same = matches!(exit.target, Target::Pc(p) if Some(p) == pc);
                    self.require(same, Kind::AtElsewhere);
                }
            }
        }
        if let Some(id) = inst.exit() {
            self.names_exit(id);
        }
    }

    fn uses(&mut self, inst: &Inst) {
        let mut place = 0;
        let mut operands = [(Operand::NONE, Type::Void); 4];
        self.trace.for_each_operand(inst, |op, ty| {
            if let Some(o) = operands.get_mut(place) {
                *o = (op, ty);
            }
            place += 1;
        });
        for (i, (op, ty)) in operands.iter().take(place).enumerate() {
            let is_vector = inst.op.info().args.get(i) == Some(&Arg::V) && inst.op.info().form == Form::Plain;
            self.require(!is_vector || !op.is_literal(), Kind::Literal(i));
            if !(is_vector && op.is_literal()) {
                self.used(*op, *ty, i);
            }
        }
    }

    /// The types of a line against its row; `expected` is what the result must be where something else decides.
    fn result(&mut self, inst: &Inst, expected: Type) {
        let info = inst.op.info();
        let has_t = info.t.iter().next().is_some();
        if has_t && !info.t.contains(inst.aty) || !has_t && inst.aty != Type::Void {
            let allowed = if has_t { info.t.to_string() } else { "no".into() };
            self.error(Kind::OperandSet { op: info.name, allowed, found: inst.aty });
        }
        let (ok, allowed) = match info.result {
            Arg::R if inst.op == Op::Call => (true, String::new()),
            Arg::R => (info.r.contains(inst.ty), info.r.to_string()),
            Arg::T => (inst.ty == inst.aty, inst.aty.to_string()),
            Arg::I1 => (inst.ty == Type::I1, Type::I1.to_string()),
            Arg::I64 => (inst.ty == Type::I64, Type::I64.to_string()),
            Arg::F => (inst.ty == Type::Flags, Type::Flags.to_string()),
            Arg::Tuple => (inst.ty == Type::Tuple, Type::Tuple.to_string()),
            _ => (inst.ty == Type::Void, "none".into()),
        };
        if !ok || inst.ty != expected {
            let allowed = if ok { expected.to_string() } else { allowed };
            self.error(Kind::ResultType { op: info.name, allowed, found: inst.ty });
        }
        let count = match info.suffix {
            Suffix::None | Suffix::Lane => 1,
            Suffix::Flag => 6,
            Suffix::Cond => 16,
            Suffix::Round => 4,
        };
        let is_memory = matches!(info.form, Form::Load | Form::Store | Form::Atomic);
        self.require(is_memory || inst.attr < count, Kind::Suffix);
    }

    /// Operands of a plain operation that are not data, and how its types relate. Not whether operands are
    /// defined, so this serves recipes too.
    fn plain(&mut self, inst: &Inst) {
        let info = inst.op.info();
        let t = self.trace;
        if info.form != Form::Plain {
            return;
        }
        let in_recipe = matches!(self.place, Place::Exit(_));
        for (i, op) in inst.args.iter().enumerate() {
            match info.args.get(i) {
                None => self.require(op.is_none(), Kind::Operand(i)),
                Some(Arg::Imm) => self.require(op.as_index().is_some(), Kind::Operand(i)),
                Some(Arg::Lanes) => self.require(op.is_literal(), Kind::Operand(i)),
                Some(Arg::Tag) => {
                    let ok = op.as_index().is_some_and(|x| x < t.decls.tags.len());
                    self.require(ok, Kind::NoSuch("tag"));
                }
                Some(Arg::Slot) => {
                    let ok = op.as_index().is_some_and(|x| x < t.decls.slots.len());
                    self.require(ok, Kind::NoSuch("slot"));
                }
                Some(_) => {}
            }
        }
        if in_recipe {
            t.clone_operands(inst).into_iter().enumerate().for_each(|(i, (op, ty))| self.typed(op, ty, i));
        }
        if inst.op == Op::Pick {
            self.pick(inst);
        }
        if let Err(why) = relation(t, inst) {
            let (operand, result) = (inst.aty, inst.ty);
            self.error(Kind::Relation { op: info.name, operand, result, why });
        }
    }

    fn pick(&mut self, inst: &Inst) {
        let Some(tuple) = inst.args[0].as_value() else { return };
        let t = self.trace;
        let native = t.insts.iter().find(|l| l.op == Op::Native && l.res == tuple).and_then(|l| t.native(l));
        let slot = inst.args[1].as_index();
        let written = native.is_some_and(|n| n.writes.iter().any(|s| Some(s.index()) == slot));
        self.require(written, Kind::NotWritten);
    }

    fn call(&mut self, inst: &Inst) {
        let Some((_, helper)) = self.trace.call_helper(inst) else {
            self.error(Kind::NoSuch("helper"));
            return;
        };
        let operands = self.trace.call_operands(inst);
        let (expected, found) = (helper.params.len(), operands.len());
        self.require(expected == found, Kind::CallOperands { expected, found });
        for (i, (op, ty)) in operands.iter().zip(&helper.params).enumerate() {
            self.used(*op, *ty, i);
        }
    }

    fn native(&mut self, inst: &Inst) {
        let Some(native) = self.trace.native(inst) else {
            self.error(Kind::NoSuch("native"));
            return;
        };
        let slots = &self.trace.decls.slots;
        for (i, b) in native.inputs.iter().enumerate() {
            self.require(!native.inputs[..i].iter().any(|o| o.slot == b.slot), Kind::SlotTwice);
            match slots.get(b.slot.index()) {
                Some(s) => self.used(b.value, s.ty, i),
                None => self.error(Kind::NoSuch("slot")),
            }
        }
        for (i, s) in native.writes.iter().enumerate() {
            self.require(s.index() < slots.len(), Kind::NoSuch("slot"));
            self.require(!native.writes[..i].contains(s), Kind::SlotTwice);
        }
        self.require(!native.bytes().is_empty(), Kind::NoSuch("native"));
    }

    // --- the end ---------------------------------------------------------------------------------

    fn end(&mut self) {
        self.place = Place::End;
        let t = self.trace;
        self.require((t.end == End::Loop) == t.loop_at.is_some(), Kind::LoopEnd);
        match t.end {
            End::Exit(id) => self.names_exit(id),
            End::Loop => {
                for (i, p) in t.params().iter().enumerate() {
                    self.used(p.args[1], p.ty, i);
                }
                if let Some(id) = t.interrupt {
                    self.names_exit(id);
                }
            }
        }
        // Exits that no line names must at least refer to values that exist.
        for (i, e) in t.exits.iter().enumerate().filter(|(i, _)| !self.named[*i]).collect::<Vec<_>>() {
            self.place = Place::Exit(i);
            let mut missing = None;
            self.for_each_exit_value(e, |defined, v| {
                if !defined {
                    missing = Some(v);
                }
            });
            if let Some(v) = missing {
                self.error(Kind::Undefined(v));
            }
        }
    }
}

/// The row's [`Check`].
fn relation(t: &Trace, inst: &Inst) -> Result<(), &'static str> {
    let (from, to) = (inst.aty.bits(), inst.ty.bits());
    let offset = |i: usize| inst.args[i].as_index().map_or(u32::MAX, |x| x as u32);
    let part = |part: u32, whole: u32, at: u32| {
        if !part.is_multiple_of(8) || !at.is_multiple_of(8) || at.saturating_add(part) > whole {
            Err("the part must be bytes within the container")
        } else {
            Ok(())
        }
    };
    let require = |ok: bool, why| if ok { Ok(()) } else { Err(why) };
    match inst.op.info().check {
        Check::Any => Ok(()),
        Check::Wider => require(to > from, "the result must be wider"),
        Check::Narrower => require(to < from, "the result must be narrower"),
        Check::SameBits => {
            require(to == from && inst.aty != inst.ty, "they must be different types of one width")
        }
        Check::PartOfR => part(from, to, offset(2)),
        Check::PartOfT => part(to, from, offset(1)),
        Check::SlotType => {
            let slot = inst.args.iter().filter_map(|a| a.as_index()).next();
            let ty = slot.and_then(|i| t.decls.slots.get(i)).map(|s| s.ty);
            require(ty.is_none_or(|ty| ty == inst.ty), "the slot has another type")
        }
        Check::TagType => {
            let tag = inst.args[1].as_index().and_then(|i| t.decls.tags.get(i));
            let inside = if inst.op == Op::Box { inst.aty } else { inst.ty };
            require(tag.is_none_or(|tag| tag.ty == inside), "the tag has another type")
        }
        Check::LaneCount => {
            let lanes = to / from.max(8);
            let bytes =
                t.literal_bits(inst.args[2], Type::V512).map_or([255; 64], |w| crate::eval::to_bytes(&w));
            let (used, rest) = bytes.split_at((lanes as usize).min(64));
            let ok = used.iter().all(|b| u32::from(*b) < 2 * lanes) && rest.iter().all(|b| *b == 0);
            require(ok, "each lane number must be below twice the number of lanes")
        }
    }
}

impl Trace {
    /// The operands that [`Trace::for_each_operand`] gives.
    fn clone_operands(&self, inst: &Inst) -> Vec<(Operand, Type)> {
        let mut all = Vec::new();
        self.for_each_operand(inst, |op, ty| all.push((op, ty)));
        all
    }
}
