//! Text → trace. The grammar is in `docs/ir.md`.
//!
//! The parser knows the form of every line and the names that are declared; whether the result is well-formed
//! is the verifier's business. It gives literals their type as the op table says, which is why it looks at
//! the types of values that stand before. Text is read line by line; `;` begins a comment. The first error
//! ends parsing and says line and column (both from 1, columns in characters). Arbitrary input gives an
//! error, never a panic; numbers are bounded ([`MAX_VALUE`]), so short texts cannot claim much memory.

mod cursor;

use std::sync::Arc;

use cursor::{Cursor, Literal, Result};
pub use cursor::{ParseError, ParseErrorKind};

use crate::effects::{ClassSet, Effects};
use crate::op::{Arg, Form, Op, Suffix};
use crate::print::EFFECT_WORDS;
use crate::snapshot::{Bind, ExitKind, Target};
use crate::trace::{Addr, Decls, End, Fact, FactArg, Inst, Native, Trace};
use crate::types::*;

/// Largest value number that text may use; it bounds what a few characters can make us allocate.
pub const MAX_VALUE: u32 = (1 << 18) - 1;
/// Largest exit number that text may use.
pub const MAX_EXIT: u32 = (1 << 29) - 1;

/// A trace read from text, and where its parts stood.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The trace.
    pub trace: Trace,
    /// Line of each instruction, from 1.
    pub inst_lines: Vec<u32>,
    /// Line of each exit.
    pub exit_lines: Vec<u32>,
    /// Line of `trace … {`.
    pub first_line: u32,
    /// Line of `end …`.
    pub end_line: u32,
}

/// Parses a file: declarations and one trace.
///
/// # Errors
/// The first thing that does not fit the grammar, or that names something which is not declared.
pub fn parse(text: &str) -> std::result::Result<Parsed, ParseError> {
    parse_with(Decls::new(), text)
}

/// Parses a trace over declarations that exist; the text may add to them.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(mut decls: Decls, text: &str) -> std::result::Result<Parsed, ParseError> {
    let mut lines = text.lines().zip(1u32..).map(|(l, n)| Cursor::new(l, n)).filter(|c| !c.at_end());
    let mut last = 1;
    for mut c in &mut lines {
        last = c.line;
        let word = c.word("a declaration or `trace`")?;
        match word {
            "slot" => slot(&mut c, &mut decls)?,
            "tag" => tag(&mut c, &mut decls)?,
            "class" => class(&mut c, &mut decls)?,
            "helper" => helper(&mut c, &mut decls)?,
            "trace" => {
                let name = c.name("a trace name")?;
                c.keyword("entry")?;
                let mut p = TraceParser::new(Trace::new(Arc::new(decls), &name, Pc::Addr(0)), c.line);
                p.parsed.trace.entry = p.pc(&mut c)?;
                c.symbol("{")?;
                c.end()?;
                return p.body(lines);
            }
            _ => return Err(c.unexpected("`slot`, `tag`, `class`, `helper` or `trace`", word)),
        }
        c.end()?;
    }
    Err(ParseError { line: last, column: 1, kind: ParseErrorKind::NoTrace })
}

// --- declarations --------------------------------------------------------------------------------

fn declared<T>(c: &Cursor<'_>, r: std::result::Result<T, crate::trace::DeclError>) -> Result<()> {
    r.map(|_| ()).map_err(|e| c.error(ParseErrorKind::Decl(e)))
}

fn slot(c: &mut Cursor<'_>, d: &mut Decls) -> Result<()> {
    let name = c.name("a slot name")?;
    c.symbol(":")?;
    let ty = c.ty()?;
    let hint = if c.eat_word("hint") { Some(c.name("a host register")?) } else { None };
    declared(c, d.add_slot(&name, ty, hint.as_deref()))
}

fn tag(c: &mut Cursor<'_>, d: &mut Decls) -> Result<()> {
    let name = c.name("a tag name")?;
    c.symbol(":")?;
    let ty = c.ty()?;
    let pattern = if c.at_end() { None } else { Some(c.integer(0, 0xffff, "a 16-bit pattern")? as u16) };
    declared(c, d.add_tag(&name, ty, pattern))
}

fn class(c: &mut Cursor<'_>, d: &mut Decls) -> Result<()> {
    let name = c.name("a class name")?;
    let parent = if c.eat("<") { Some(class_ref(c, d)?) } else { None };
    let mut disjoint = Vec::new();
    while c.eat_word("disjoint") {
        disjoint.push(class_ref(c, d)?);
    }
    declared(c, d.add_class(&name, parent, &disjoint))
}

fn helper(c: &mut Cursor<'_>, d: &mut Decls) -> Result<()> {
    let name = c.name("a helper name")?;
    c.symbol("(")?;
    let mut params = Vec::new();
    c.list(")", |c| {
        params.push(c.ty()?);
        Ok(())
    })?;
    let result = if c.eat("->") { c.ty()? } else { Type::Void };
    let effects = effects(c, d, "reads", "writes", "")?;
    declared(c, d.add_helper(&name, &params, result, effects))
}

/// `{reads NAME | writes NAME | faults | raises | …}` to the end of the line; `*` is every class.
fn effects(c: &mut Cursor<'_>, d: &Decls, reads: &str, writes: &str, mark: &str) -> Result<Effects> {
    let mut e = Effects::PURE;
    while !c.at_end() {
        let word = c.word("an effect")?;
        if word == reads || word == writes {
            let set = if c.eat("*") {
                ClassSet::ALL
            } else {
                if !mark.is_empty() {
                    c.symbol(mark)?;
                }
                ClassSet::one(class_ref(c, d)?)
            };
            let place = if word == reads { &mut e.reads } else { &mut e.writes };
            *place = place.or(set);
        } else if let Some((_, bit)) = EFFECT_WORDS.iter().find(|(w, _)| *w == word) {
            e.bits = e.bits.or(*bit);
        } else {
            return Err(c.unexpected("an effect", word));
        }
    }
    Ok(e)
}

fn lookup<T>(c: &mut Cursor<'_>, what: &'static str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
    let at = c.mark();
    let name = c.name(what)?;
    find(&name).ok_or_else(|| c.error_at(at, ParseErrorKind::Unknown { what, name: name.into() }))
}

fn class_ref(c: &mut Cursor<'_>, d: &Decls) -> Result<ClassId> {
    lookup(c, "alias class", |n| d.class(n))
}

// --- the trace -----------------------------------------------------------------------------------

/// An operand before its type is known.
enum Raw<'a> {
    Value(Value),
    Literal(Literal<'a>, Option<Type>),
    /// Already complete: names, indices, lanes.
    Done(Operand),
}

struct TraceParser {
    parsed: Parsed,
    /// Where the next `at`-independent line goes: set once `end` has been read.
    ended: bool,
}

impl TraceParser {
    fn new(trace: Trace, line: u32) -> TraceParser {
        let parsed = Parsed {
            trace,
            inst_lines: Vec::new(),
            exit_lines: Vec::new(),
            first_line: line,
            end_line: line,
        };
        TraceParser { parsed, ended: false }
    }

    fn decls(&self) -> &Decls {
        &self.parsed.trace.decls
    }

    fn push(&mut self, inst: Inst, c: &Cursor<'_>) {
        self.parsed.trace.insts.push(inst);
        self.parsed.inst_lines.push(c.line);
    }

    fn body<'a>(
        mut self,
        mut lines: impl Iterator<Item = Cursor<'a>>,
    ) -> std::result::Result<Parsed, ParseError> {
        let mut last = self.parsed.first_line;
        for mut c in &mut lines {
            last = c.line;
            if c.eat("}") {
                c.end()?;
                if !self.ended {
                    return Err(c.error(ParseErrorKind::NoEnd));
                }
                if let Some(more) = lines.next() {
                    let found = more.rest();
                    return Err(more.unexpected("nothing after the trace", found));
                }
                return Ok(self.parsed);
            }
            self.line(&mut c)?;
            c.end()?;
        }
        Err(ParseError { line: last, column: 1, kind: ParseErrorKind::NotClosed })
    }

    fn line(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        if c.peek("%") {
            if self.ended {
                return Err(c.error(ParseErrorKind::AfterEnd));
            }
            let (res, ty) = self.result(c)?;
            c.symbol("=")?;
            let mut inst = self.rhs(c, Some(ty))?;
            inst.res = res;
            inst.ty = ty;
            self.parsed.trace.declare_value(res, ty);
            self.push(inst, c);
            return Ok(());
        }
        let at = c.mark();
        let word = c.word("a line of a trace")?;
        if self.ended && word != "exit" {
            return Err(c.error_at(at, ParseErrorKind::AfterEnd));
        }
        match word {
            "assume" => self.fact(c),
            "loop" => self.loop_head(c),
            "at" => {
                let pc = self.pc(c)?;
                let pc = self.parsed.trace.add_pc(pc);
                let exit = self.else_exit(c)?.unwrap_or(Operand::NONE);
                self.push(Inst::new(Op::At, Type::Void, Type::Void, 0, &[pc, exit]), c);
                Ok(())
            }
            "guard" => {
                let cond = self.operand(c, Type::I1)?;
                let Some(exit) = self.else_exit(c)? else {
                    let found = c.rest();
                    return Err(c.unexpected("`else exit N`", found));
                };
                self.push(Inst::new(Op::Guard, Type::Void, Type::Void, 0, &[cond, exit]), c);
                Ok(())
            }
            "end" => self.end(c),
            "exit" => self.exit(c),
            _ => {
                c.reset(at);
                let inst = self.rhs(c, None)?;
                self.push(inst, c);
                Ok(())
            }
        }
    }

    /// `%N: type`
    fn result(&mut self, c: &mut Cursor<'_>) -> Result<(Value, Type)> {
        let v = c.value()?;
        c.symbol(":")?;
        Ok((v, c.ty()?))
    }

    fn fact(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let name = c.name("a fact")?;
        let mut args = Vec::new();
        if c.eat("(") {
            c.list(")", |c| {
                args.push(if c.peek_digit() {
                    FactArg::Int(c.integer(0, u64::MAX.into(), "a number")? as u64)
                } else {
                    FactArg::Name(c.name("a name")?.into())
                });
                Ok(())
            })?;
        }
        self.parsed.trace.facts.push(Fact { name: name.into(), args });
        Ok(())
    }

    fn loop_head(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        if self.parsed.trace.loop_at.is_some() {
            return Err(c.error(ParseErrorKind::SecondLoop));
        }
        c.symbol("(")?;
        self.parsed.trace.loop_at = Some(self.parsed.trace.insts.len() as u32);
        let mut params = Vec::new();
        c.list(")", |c| {
            let (res, ty) = self.result(c)?;
            c.symbol("=")?;
            let entry = self.operand(c, ty)?;
            let mut inst = Inst::new(Op::Phi, Type::Void, ty, 0, &[entry]);
            inst.res = res;
            params.push(inst);
            Ok(())
        })?;
        c.symbol(":")?;
        for p in params {
            self.parsed.trace.declare_value(p.res, p.ty);
            self.push(p, c);
        }
        Ok(())
    }

    fn end(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        self.ended = true;
        self.parsed.end_line = c.line;
        if c.eat_word("exit") {
            self.parsed.trace.end = End::Exit(exit_number(c)?);
            return Ok(());
        }
        c.keyword("loop")?;
        c.symbol("(")?;
        self.parsed.trace.end = End::Loop;
        let types: Vec<Type> = self.parsed.trace.params().iter().map(|p| p.ty).collect();
        let mut next = Vec::new();
        c.list(")", |c| {
            let Some(ty) = types.get(next.len()) else { return Err(c.error(ParseErrorKind::TooMany)) };
            next.push(self.operand(c, *ty)?);
            Ok(())
        })?;
        if next.len() < types.len() {
            return Err(c.error(ParseErrorKind::TooFew));
        }
        let at = self.parsed.trace.loop_at.unwrap_or(0) as usize;
        for (p, v) in self.parsed.trace.insts.iter_mut().skip(at).zip(next) {
            p.args[1] = v;
        }
        if c.eat_word("else") {
            c.keyword("exit")?;
            self.parsed.trace.interrupt = Some(exit_number(c)?);
        }
        Ok(())
    }

    fn exit(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let id = exit_number(c)?;
        c.keyword("resume")?;
        let target =
            if c.peek("%") { Target::Value(Operand::value(c.value()?)) } else { Target::Pc(self.pc(c)?) };
        let kind = if c.eat_word("as") { exit_kind(c)? } else { ExitKind::Jump };
        let like = if c.eat_word("like") { Some(exit_number(c)?) } else { None };
        c.symbol("{")?;
        let mut binds = Vec::new();
        c.list("}", |c| {
            let slot = lookup(c, "slot", |n| self.decls().slot(n))?;
            c.symbol("=")?;
            let ty = self.decls().slots[slot.index()].ty;
            let value = if c.eat_word("any") {
                Operand::ANY
            } else if c.peek_name() {
                self.recipe(c, ty)?
            } else {
                self.operand(c, ty)?
            };
            binds.push(Bind { slot, value });
            Ok(())
        })?;
        self.parsed.trace.add_exit(id, target, kind, like, &binds);
        self.parsed.exit_lines.push(c.line);
        Ok(())
    }

    fn recipe(&mut self, c: &mut Cursor<'_>, ty: Type) -> Result<Operand> {
        let at = c.mark();
        let (op, attr, lane) = self.op_name(c)?;
        if op.info().form != Form::Plain {
            return Err(c.error_at(at, ParseErrorKind::NotARecipe(op.name())));
        }
        c.symbol("(")?;
        let inst = self.plain(c, op, attr, lane, Some(ty))?;
        c.symbol(")")?;
        Ok(self.parsed.trace.add_recipe(Inst { ty, ..inst }))
    }

    fn else_exit(&mut self, c: &mut Cursor<'_>) -> Result<Option<Operand>> {
        if !c.eat_word("else") {
            return Ok(None);
        }
        c.keyword("exit")?;
        Ok(Some(Operand::index(exit_number(c)?.0)))
    }

    fn pc(&mut self, c: &mut Cursor<'_>) -> Result<Pc> {
        if c.peek_digit() {
            return Ok(Pc::Addr(c.integer(0, u64::MAX.into(), "an address")? as u64));
        }
        let file = c.file()?;
        c.symbol(":")?;
        let line = c.integer(0, u32::MAX.into(), "a line number")? as u32;
        c.symbol("#")?;
        let bytecode = c.integer(0, u32::MAX.into(), "a bytecode number")? as u32;
        Ok(Pc::Source { file: self.parsed.trace.add_file(&file), line, bytecode })
    }

    // --- right-hand sides ------------------------------------------------------------------------

    /// An operation name with its suffix: the operation, the attribute, the lane type.
    fn op_name(&self, c: &mut Cursor<'_>) -> Result<(Op, u8, Type)> {
        let at = c.mark();
        let word = c.word("an operation")?;
        let unknown = || c.error_at(at, ParseErrorKind::Unknown { what: "operation", name: word.into() });
        if let Some(op) = Op::from_name(word)
            && op.info().suffix == Suffix::None
        {
            return Ok((op, 0, Type::Void));
        }
        let (stem, tail) = word.rsplit_once('.').ok_or_else(unknown)?;
        let op = Op::from_name(stem).ok_or_else(unknown)?;
        let by_name = |name: Option<usize>| name.map(|i| i as u8).ok_or_else(unknown);
        match op.info().suffix {
            Suffix::None => Err(unknown()),
            Suffix::Lane => Ok((op, 0, Type::from_name(tail).ok_or_else(unknown)?)),
            Suffix::Flag => Ok((op, by_name(Flag::ALL.iter().position(|f| f.name() == tail))?, Type::Void)),
            Suffix::Cond => Ok((op, by_name(Cond::ALL.iter().position(|f| f.name() == tail))?, Type::Void)),
            Suffix::Round => Ok((op, by_name(Round::ALL.iter().position(|f| f.name() == tail))?, Type::Void)),
        }
    }

    fn rhs(&mut self, c: &mut Cursor<'_>, result: Option<Type>) -> Result<Inst> {
        let at = c.mark();
        let (op, attr, lane) = self.op_name(c)?;
        let ty = result.unwrap_or(Type::Void);
        match op.info().form {
            Form::Plain => self.plain(c, op, attr, lane, result),
            Form::Load => {
                let (addr, attr) = self.addr(c)?;
                let disp = self.parsed.trace.literal(Type::I64, addr.disp.into());
                Ok(Inst::new(op, Type::Void, ty, attr, &[addr.base, addr.index, disp]))
            }
            Form::Store => {
                let at = c.mark();
                let raw = self.raw(c)?;
                let Some(aty) = self.raw_type(&raw) else {
                    return Err(c.error_at(at, ParseErrorKind::NeedsType));
                };
                let value = self.finish(c, raw, aty)?;
                c.symbol(",")?;
                let (addr, attr) = self.addr(c)?;
                let disp = self.parsed.trace.literal(Type::I64, addr.disp.into());
                Ok(Inst::new(op, aty, Type::Void, attr, &[addr.base, addr.index, disp, value]))
            }
            Form::Atomic => {
                let mut args = [Operand::NONE; 4];
                for a in args[2..].iter_mut().take(op.info().args.len()) {
                    *a = self.operand(c, ty)?;
                    c.symbol(",")?;
                }
                let at = c.mark();
                let (addr, attr) = self.addr(c)?;
                if !addr.index.is_none() {
                    return Err(c.error_at(at, ParseErrorKind::AtomicIndex));
                }
                args[0] = addr.base;
                args[1] = self.parsed.trace.literal(Type::I64, addr.disp.into());
                Ok(Inst::new(op, ty, ty, attr, &args))
            }
            Form::Call => {
                let helper = lookup(c, "helper", |n| self.decls().helper(n))?;
                c.symbol("(")?;
                let params = self.decls().helpers[helper.index()].params.clone();
                let mut operands = Vec::new();
                c.list(")", |c| {
                    let Some(ty) = params.get(operands.len()) else {
                        return Err(c.error(ParseErrorKind::TooMany));
                    };
                    operands.push(self.operand(c, *ty)?);
                    Ok(())
                })?;
                if operands.len() < params.len() {
                    return Err(c.error(ParseErrorKind::TooFew));
                }
                let exit = self.else_exit(c)?.and_then(Operand::as_index).map(|i| ExitId(i as u32));
                let call = self.parsed.trace.make_call(helper, &operands, exit);
                Ok(Inst { ty, ..call })
            }
            Form::Native => self.native(c, ty),
            // These have their own lines.
            Form::Guard | Form::At | Form::Phi => {
                Err(c.error_at(at, ParseErrorKind::Unknown { what: "operation", name: op.name().into() }))
            }
        }
    }

    fn native(&mut self, c: &mut Cursor<'_>, ty: Type) -> Result<Inst> {
        let at = c.mark();
        let bytes = c.hex_bytes()?;
        c.symbol("(")?;
        let mut inputs = Vec::new();
        c.list(")", |c| {
            let slot = lookup(c, "slot", |n| self.decls().slot(n))?;
            c.symbol("=")?;
            let ty = self.decls().slots[slot.index()].ty;
            inputs.push(Bind { slot, value: self.operand(c, ty)? });
            Ok(())
        })?;
        let mut writes = Vec::new();
        while c.eat_word("writes") {
            writes.push(lookup(c, "slot", |n| self.decls().slot(n))?);
        }
        let effects = effects(c, self.decls(), "loads", "stores", "!")?;
        let Some(native) = Native::new(&bytes, inputs, writes, effects) else {
            return Err(c.error_at(at, ParseErrorKind::NativeLength(bytes.len())));
        };
        let index = self.parsed.trace.add_native(native);
        Ok(Inst::new(Op::Native, Type::Void, ty, 0, &[index]))
    }

    /// `[base + index*scale + disp] !class`, and the attribute for class and scale.
    fn addr(&mut self, c: &mut Cursor<'_>) -> Result<(Addr, u8)> {
        c.symbol("[")?;
        let base = self.operand(c, Type::I64)?;
        let mut addr = Addr::new(base, 0);
        while let Some(sign) = c.sign() {
            if c.peek_index() && sign > 0 && addr.index.is_none() && addr.disp == 0 {
                addr.index = self.operand(c, Type::I64)?;
                c.symbol("*")?;
                addr.scale = c.integer(1, 8, "a scale")? as u8;
            } else {
                let magnitude = c.integer(0, 1 << 63, "a displacement")?;
                addr.disp = addr.disp.wrapping_add((sign * magnitude) as i64);
                break;
            }
        }
        c.symbol("]")?;
        c.symbol("!")?;
        let class = class_ref(c, self.decls())?;
        match Inst::mem_attr(class, addr.scale) {
            Some(attr) => Ok((addr, attr)),
            None => Err(c.error(ParseErrorKind::Scale(addr.scale))),
        }
    }

    /// The operands of a plain operation, typed.
    fn plain(
        &mut self,
        c: &mut Cursor<'_>,
        op: Op,
        attr: u8,
        lane: Type,
        result: Option<Type>,
    ) -> Result<Inst> {
        let info = op.info();
        let mut raws = Vec::with_capacity(4);
        let start = c.mark();
        for (i, arg) in info.args.iter().enumerate() {
            if i > 0 {
                c.symbol(",")?;
            }
            raws.push(match arg {
                Arg::Imm => Raw::Done(Operand::index(c.integer(0, 0xffff, "a number")? as u32)),
                Arg::Tag => {
                    let tag = lookup(c, "tag", |n| self.decls().tag(n))?;
                    Raw::Done(Operand::index(tag.0.into()))
                }
                Arg::Slot => {
                    let slot = lookup(c, "slot", |n| self.decls().slot(n))?;
                    Raw::Done(Operand::index(slot.0.into()))
                }
                Arg::Lanes => {
                    let mut bytes = Vec::new();
                    c.symbol("[")?;
                    c.list("]", |c| {
                        bytes.push(c.integer(0, 255, "a lane number")? as u8);
                        Ok(())
                    })?;
                    let bits = crate::eval::from_bytes(&bytes);
                    Raw::Done(self.parsed.trace.wide_literal(Type::V512, &bits))
                }
                _ => self.raw(c)?,
            });
        }
        let at_t = || info.args.iter().zip(&raws).filter(|(a, _)| **a == Arg::T).map(|(_, r)| r);
        let aty = if info.suffix == Suffix::Lane {
            lane
        } else if op == Op::Box {
            let tag = match raws.get(1) {
                Some(Raw::Done(t)) => t.as_index().and_then(|i| self.decls().tags.get(i)),
                _ => None,
            };
            tag.map_or(Type::Void, |t| t.ty)
        } else if info.args.contains(&Arg::T) {
            match at_t().find_map(|r| self.raw_type(r)) {
                Some(ty) => ty,
                None if info.result == Arg::T => result.unwrap_or(Type::Void),
                // Values that are not defined: the verifier says so better.
                None if at_t().any(|r| matches!(r, Raw::Value(_))) => Type::Void,
                None => return Err(c.error_at(start, ParseErrorKind::NeedsType)),
            }
        } else {
            Type::Void
        };
        let ty = result.unwrap_or(Type::Void);
        let mut operands = [Operand::NONE; 4];
        for ((place, arg), raw) in operands.iter_mut().zip(info.args).zip(raws) {
            let ty = match arg {
                Arg::T => aty,
                Arg::R => ty,
                Arg::I1 => Type::I1,
                Arg::F => Type::Flags,
                _ => Type::I64,
            };
            *place = self.finish(c, raw, ty)?;
        }
        Ok(Inst::new(op, aty, ty, attr, &operands))
    }

    // --- operands --------------------------------------------------------------------------------

    fn raw<'a>(&mut self, c: &mut Cursor<'a>) -> Result<Raw<'a>> {
        if c.peek("%") {
            return Ok(Raw::Value(c.value()?));
        }
        let literal = c.literal()?;
        let ty = if c.eat(":") { Some(c.ty()?) } else { None };
        Ok(Raw::Literal(literal, ty))
    }

    fn raw_type(&self, raw: &Raw<'_>) -> Option<Type> {
        match raw {
            Raw::Value(v) => Some(self.parsed.trace.value_type(*v)).filter(|t| *t != Type::Void),
            Raw::Literal(_, ty) => *ty,
            Raw::Done(_) => None,
        }
    }

    fn finish(&mut self, c: &Cursor<'_>, raw: Raw<'_>, ty: Type) -> Result<Operand> {
        match raw {
            Raw::Value(v) => Ok(Operand::value(v)),
            Raw::Done(op) => Ok(op),
            Raw::Literal(l, said) => {
                if said.is_some_and(|s| s != ty) {
                    return Err(c.error_at(l.at, ParseErrorKind::OtherType(ty)));
                }
                let bits = c.typed(&l, ty)?;
                Ok(if bits[2..].iter().any(|w| *w != 0) {
                    self.parsed.trace.wide_literal(ty, &bits)
                } else {
                    self.parsed.trace.literal(ty, crate::eval::to_u128(&bits) as i128)
                })
            }
        }
    }

    /// An operand whose type is known.
    fn operand(&mut self, c: &mut Cursor<'_>, ty: Type) -> Result<Operand> {
        let raw = self.raw(c)?;
        self.finish(c, raw, ty)
    }
}

fn exit_number(c: &mut Cursor<'_>) -> Result<ExitId> {
    Ok(ExitId(c.integer(0, MAX_EXIT.into(), "an exit number")? as u32))
}

fn exit_kind(c: &mut Cursor<'_>) -> Result<ExitKind> {
    let word = c.word("an exit kind")?;
    Ok(match word {
        "jump" => ExitKind::Jump,
        "call" => ExitKind::Call,
        "return" => ExitKind::Return,
        "syscall" => ExitKind::Syscall,
        "step" => ExitKind::Step,
        "decline" => ExitKind::Decline,
        "trap" => ExitKind::Trap(c.integer(0, 255, "a trap number")? as u8),
        _ => return Err(c.unexpected("an exit kind", word)),
    })
}
