//! The language of fold rules: parsing, types, and matching. The rules themselves are the text in `fold.rules`, which the folding pass
//! applies and a test proves, each at all types, by an SMT solver.
//!
//! ```text
//! NAME PATTERN => RESULT [if CONDITION {, CONDITION}]
//! add-add   (add (add x C) D) => (add x (add C D))
//! trunc-zext (trunc:A (zext x:A)) => x
//! shl-shl   (shl (shl x:A C) D) => (shl x (add C D)) if (ult C (bits A)), (ult D (bits A)), (ult (add C D) (bits A))
//! ```
//!
//! - `(OP operand …)` is an operation of the IR. In a pattern it matches the line that defines the operand; `(OP! …)` only if no other line
//!   uses that value. In a result it is a new line, or its value when all operands are literals.
//! - A small letter is any operand, the same one wherever it stands. A capital is a literal.
//! - Numbers are literals of the type of their place; -1 is all ones.
//! - `x:A`, `(OP:A …)` name the type (of the result); capitals are any type, the same wherever they stand, other names are types of the IR.
//!   Types that nothing names follow from the operations. A rule applies where all types of its result are legal.
//! - `cc.X`, `flags.get.X`: any suffix; different capitals are different suffixes; `~X` is the opposite condition.
//! - Conditions are operations on literals that must give 1; `(bits A)` is the width of a type, `(same x y)` asks for one operand,
//!   `(zeros x C)` whether all bits of `C` are known to be zero in `x`.
//! - Operands of commuting operations match in both orders. Literals always stand on the right (rules see to that), so patterns that want
//!   one there are tried only so.

use crate::forward::{Cx, Rewrite};
use crate::passes::cse::commutes;
use ir::op::{Arg, Check, Op, Suffix};
use ir::trace::{Inst, Trace};
use ir::types::*;
use smallvec::SmallVec;

/// The type of a place in a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeRef {
    /// Always this.
    Fixed(Type),
    /// A type variable.
    Var(u8),
}

/// The suffix of an operation in a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttrRef {
    /// This one (0 where there is none).
    Fixed(u8),
    /// A variable.
    Var(u8),
    /// The opposite condition of a variable.
    Not(u8),
}

/// An operand of a rule, with its type.
#[derive(Clone, PartialEq, Debug)]
pub struct Term {
    /// What it is.
    pub kind: Kind,
    /// Its type.
    pub ty: TypeRef,
}

/// What an operand of a rule is.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// Any operand.
    Any(u8),
    /// Any literal.
    Literal(u8),
    /// A number.
    Number(i128),
    /// The width of a type in bits.
    Bits(TypeRef),
    /// An operation.
    Node(Box<Node>),
}

/// An operation of a rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its suffix.
    pub attr: AttrRef,
    /// Operand type.
    pub t: TypeRef,
    /// Result type.
    pub r: TypeRef,
    /// Must this be the value's only use?
    pub once: bool,
    /// Operands.
    pub args: Vec<Term>,
}

/// When a rule applies.
#[derive(Clone, PartialEq, Debug)]
pub enum Condition {
    /// An expression on literals that gives 1.
    Holds(Node),
    /// The bits of the literal expression are known to be zero in the operand.
    Zeros(Term, Term),
}

/// A rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it matches.
    pub pattern: Node,
    /// What takes its place.
    pub result: Term,
    /// When.
    pub conditions: Vec<Condition>,
    /// Number of type variables.
    pub types: usize,
}

/// Most operands, literals, types and suffixes of a rule, each.
const MOST: usize = 8;

// --- parsing ---------------------------------------------------------------------------------------

/// A rule that is not well-formed, with its line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct RuleError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

struct Parser<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
    operands: Vec<(char, TypeRef)>,
    literals: Vec<(char, TypeRef)>,
    named_types: Vec<(char, TypeRef)>,
    attrs: Vec<char>,
    /// Union-find over type variables.
    types: Vec<Option<TypeRef>>,
}

fn words(line: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for word in line.split_whitespace() {
        let mut rest = word;
        while let Some(at) = rest.find(['(', ')', ',']) {
            if at > 0 {
                all.push(&rest[..at]);
            }
            all.push(&rest[at..=at]);
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() {
            all.push(rest);
        }
    }
    all
}

fn letter(word: &str) -> Option<char> {
    let mut chars = word.chars();
    chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn new_type(&mut self) -> TypeRef {
        self.types.push(None);
        TypeRef::Var(self.types.len() as u8 - 1)
    }

    fn find(&self, mut ty: TypeRef) -> TypeRef {
        while let TypeRef::Var(v) = ty {
            match self.types[v as usize] {
                Some(next) => ty = next,
                None => break,
            }
        }
        ty
    }

    fn unify(&mut self, a: TypeRef, b: TypeRef) -> Parsed<()> {
        let (a, b) = (self.find(a), self.find(b));
        match (a, b) {
            _ if a == b => {}
            (TypeRef::Var(v), other) | (other, TypeRef::Var(v)) => self.types[v as usize] = Some(other),
            _ => return Err(format!("types {a:?} and {b:?} do not fit")),
        }
        Ok(())
    }

    fn named(&mut self, name: &str) -> Parsed<TypeRef> {
        if let Some(ty) = Type::from_name(name) {
            return Ok(TypeRef::Fixed(ty));
        }
        let c = letter(name).ok_or_else(|| format!("no type {name}"))?;
        if let Some((_, ty)) = self.named_types.iter().find(|(n, _)| *n == c) {
            return Ok(*ty);
        }
        let ty = self.new_type();
        self.named_types.push((c, ty));
        Ok(ty)
    }

    fn next(&mut self) -> Parsed<&str> {
        self.words.next().ok_or_else(|| "ends too early".into())
    }

    fn expect(&mut self, what: &str) -> Parsed<()> {
        let word = self.next()?;
        if word == what { Ok(()) } else { Err(format!("{what} expected, not {word}")) }
    }

    fn term(&mut self) -> Parsed<Term> {
        let word = self.next()?.to_owned();
        if word == "(" {
            if self.words.peek() == Some(&"bits") {
                self.next()?;
                let name = self.next()?.to_owned();
                let of = self.named(&name)?;
                self.expect(")")?;
                return Ok(Term { kind: Kind::Bits(of), ty: self.new_type() });
            }
            let node = self.node()?;
            let ty = node.r;
            return Ok(Term { kind: Kind::Node(Box::new(node)), ty });
        }
        let (name, ty) = match word.split_once(':') {
            Some((name, ty)) => (name, self.named(ty)?),
            None => (word.as_str(), self.new_type()),
        };
        if let Ok(number) = name.parse::<i128>() {
            return Ok(Term { kind: Kind::Number(number), ty });
        }
        let c = letter(name).ok_or_else(|| format!("{name} is no operand"))?;
        let list = if c.is_ascii_uppercase() { &mut self.literals } else { &mut self.operands };
        let i = match list.iter().position(|(n, _)| *n == c) {
            Some(i) => i,
            None => {
                list.push((c, ty));
                list.len() - 1
            }
        };
        let known = list[i].1;
        self.unify(known, ty)?;
        let kind = if c.is_ascii_uppercase() { Kind::Literal(i as u8) } else { Kind::Any(i as u8) };
        Ok(Term { kind, ty })
    }

    fn suffix(&mut self, op: Op, suffix: &str) -> Parsed<AttrRef> {
        let (negated, name) = match suffix.strip_prefix('~') {
            Some(name) => (true, name),
            None => (false, suffix),
        };
        if let Some(c) = letter(name).filter(char::is_ascii_uppercase) {
            let i = self.attrs.iter().position(|n| *n == c).unwrap_or_else(|| {
                self.attrs.push(c);
                self.attrs.len() - 1
            }) as u8;
            return Ok(if negated { AttrRef::Not(i) } else { AttrRef::Var(i) });
        }
        let found = match op.info().suffix {
            Suffix::Flag => Flag::ALL.iter().position(|f| f.name() == name),
            Suffix::Cond => Cond::ALL.iter().position(|f| f.name() == name),
            Suffix::Round => Round::ALL.iter().position(|f| f.name() == name),
            _ => None,
        };
        found.map(|i| AttrRef::Fixed(i as u8)).ok_or_else(|| format!("no suffix {name}"))
    }

    /// Behind the parenthesis.
    fn node(&mut self) -> Parsed<Node> {
        let word = self.next()?.to_owned();
        let (name, ty) = match word.split_once(':') {
            Some((name, ty)) => (name, Some(self.named(ty)?)),
            None => (word.as_str(), None),
        };
        let (name, once) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (op, attr) = match Op::from_name(name) {
            Some(op) => (op, AttrRef::Fixed(0)),
            None => {
                let (name, suffix) = name.rsplit_once('.').ok_or_else(|| format!("no operation {name}"))?;
                let op = Op::from_name(name).ok_or_else(|| format!("no operation {name}"))?;
                (op, self.suffix(op, suffix)?)
            }
        };
        let info = op.info();
        let t = self.new_type();
        let r = match info.result {
            Arg::T => t,
            Arg::I1 => TypeRef::Fixed(Type::I1),
            Arg::I64 => TypeRef::Fixed(Type::I64),
            Arg::F => TypeRef::Fixed(Type::Flags),
            _ => self.new_type(),
        };
        if !info.args.contains(&Arg::T) {
            self.unify(t, TypeRef::Fixed(Type::Void))?;
        }
        if let Some(ty) = ty {
            self.unify(r, ty)?;
        }
        let mut args = Vec::new();
        for arg in info.args {
            let term = self.term()?;
            let place = match arg {
                Arg::T => t,
                Arg::R => r,
                Arg::I1 => TypeRef::Fixed(Type::I1),
                Arg::I64 | Arg::Imm => TypeRef::Fixed(Type::I64),
                Arg::F => TypeRef::Fixed(Type::Flags),
                _ => return Err(format!("{name} cannot stand in a rule")),
            };
            self.unify(term.ty, place)?;
            args.push(term);
        }
        self.expect(")")?;
        Ok(Node { op, attr, t, r, once, args })
    }

    fn condition(&mut self) -> Parsed<Condition> {
        self.expect("(")?;
        if self.words.peek() == Some(&"zeros") {
            self.next()?;
            let (operand, bits) = (self.term()?, self.term()?);
            self.unify(operand.ty, bits.ty)?;
            self.expect(")")?;
            return Ok(Condition::Zeros(operand, bits));
        }
        let node = self.node()?;
        self.unify(node.r, TypeRef::Fixed(Type::I1))?;
        Ok(Condition::Holds(node))
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let name = self.next()?.to_owned();
        self.expect("(")?;
        let mut pattern = self.node()?;
        let bound = (self.operands.len(), self.literals.len(), self.attrs.len());
        self.expect("=>")?;
        let mut result = self.term()?;
        self.unify(pattern.r, result.ty)?;
        let mut conditions = Vec::new();
        if self.words.peek() == Some(&"if") {
            self.next()?;
            conditions.push(self.condition()?);
            while self.words.peek() == Some(&",") {
                self.next()?;
                conditions.push(self.condition()?);
            }
        }
        if let Some(word) = self.words.next() {
            return Err(format!("{word} is too much"));
        }
        if bound != (self.operands.len(), self.literals.len(), self.attrs.len()) {
            return Err("the result has an operand that the pattern has not".into());
        }
        // What a condition computes from widths alone, it computes in `i64`.
        let mut of_pattern = Vec::new();
        self.types_of(&pattern, &mut of_pattern);
        for c in &conditions {
            if let Condition::Holds(node) = c
                && !of_pattern.contains(&self.find(node.t))
                && matches!(self.find(node.t), TypeRef::Var(_))
            {
                self.unify(node.t, TypeRef::Fixed(Type::I64))?;
            }
        }
        // Number the types that are left.
        let mut numbers = Vec::new();
        self.number_node(&mut pattern, &mut numbers);
        self.number_term(&mut result, &mut numbers);
        for c in &mut conditions {
            match c {
                Condition::Holds(node) => self.number_node(node, &mut numbers),
                Condition::Zeros(a, b) => {
                    self.number_term(a, &mut numbers);
                    self.number_term(b, &mut numbers);
                }
            }
        }
        if [numbers.len(), bound.0, bound.1, bound.2].iter().any(|n| *n > MOST) {
            return Err("too many operands or types".into());
        }
        Ok(Rule { name, pattern, result, conditions, types: numbers.len() })
    }

    fn types_of(&self, node: &Node, all: &mut Vec<TypeRef>) {
        all.extend([self.find(node.t), self.find(node.r)]);
        for arg in &node.args {
            all.push(self.find(arg.ty));
            if let Kind::Node(node) = &arg.kind {
                self.types_of(node, all);
            }
        }
    }

    fn number(&self, ty: &mut TypeRef, numbers: &mut Vec<u8>) {
        *ty = match self.find(*ty) {
            TypeRef::Var(v) => {
                let i = numbers.iter().position(|n| *n == v).unwrap_or_else(|| {
                    numbers.push(v);
                    numbers.len() - 1
                });
                TypeRef::Var(i as u8)
            }
            fixed => fixed,
        };
    }

    fn number_term(&self, term: &mut Term, numbers: &mut Vec<u8>) {
        self.number(&mut term.ty, numbers);
        match &mut term.kind {
            Kind::Bits(of) => self.number(of, numbers),
            Kind::Node(node) => self.number_node(node, numbers),
            _ => {}
        }
    }

    fn number_node(&self, node: &mut Node, numbers: &mut Vec<u8>) {
        self.number(&mut node.t, numbers);
        self.number(&mut node.r, numbers);
        for arg in &mut node.args {
            self.number_term(arg, numbers);
        }
    }
}

/// Parses rules, one per line; `;` begins a remark.
///
/// # Errors
/// The first line that is not well-formed.
pub fn parse(text: &str) -> Result<Vec<Rule>, RuleError> {
    let mut rules = Vec::with_capacity(text.lines().count());
    for (i, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or_default();
        let words = words(line);
        if words.is_empty() {
            continue;
        }
        let mut parser = Parser {
            words: words.into_iter().peekable(),
            operands: Vec::new(),
            literals: Vec::new(),
            named_types: Vec::new(),
            attrs: Vec::new(),
            types: Vec::new(),
        };
        rules.push(parser.rule().map_err(|what| RuleError { line: i + 1, what })?);
    }
    Ok(rules)
}

// --- legality --------------------------------------------------------------------------------------

/// May the operation work at these types? (Offsets of parts are for the rule's conditions.)
pub fn is_legal(op: Op, t: Type, r: Type) -> bool {
    let info = op.info();
    if info.args.contains(&Arg::T) && !info.t.contains(t) || info.result == Arg::R && !info.r.contains(r) {
        return false;
    }
    match info.check {
        Check::Wider => r.bits() > t.bits(),
        Check::Narrower => r.bits() < t.bits(),
        Check::SameBits => r.bits() == t.bits() && r != t,
        Check::PartOfR => t.bits() >= 8 && t.bits() <= r.bits(),
        Check::PartOfT => r.bits() >= 8 && r.bits() <= t.bits(),
        _ => true,
    }
}

// --- matching --------------------------------------------------------------------------------------

/// What a rule's letters stand for.
#[derive(Clone, Copy)]
struct Bindings {
    operands: [Operand; MOST],
    literals: [Operand; MOST],
    types: [Type; MOST],
    attrs: [u8; MOST],
}

const NO_ATTR: u8 = u8::MAX;

impl Bindings {
    fn new() -> Bindings {
        Bindings {
            operands: [Operand::NONE; MOST],
            literals: [Operand::NONE; MOST],
            types: [Type::Void; MOST],
            attrs: [NO_ATTR; MOST],
        }
    }

    fn ty(&self, ty: TypeRef) -> Type {
        match ty {
            TypeRef::Fixed(ty) => ty,
            TypeRef::Var(v) => self.types[v as usize],
        }
    }

    fn bind_type(&mut self, ty: TypeRef, found: Type) -> bool {
        match ty {
            TypeRef::Fixed(ty) => ty == found,
            TypeRef::Var(v) => {
                let place = &mut self.types[v as usize];
                let fits = *place == Type::Void || *place == found;
                *place = found;
                fits
            }
        }
    }

    fn attr(&self, attr: AttrRef) -> u8 {
        match attr {
            AttrRef::Fixed(a) => a,
            AttrRef::Var(v) => self.attrs[v as usize],
            AttrRef::Not(v) => self.attrs[v as usize] ^ 1,
        }
    }

    fn bind_attr(&mut self, attr: AttrRef, found: u8) -> bool {
        match attr {
            AttrRef::Var(v) if self.attrs[v as usize] == NO_ATTR => {
                // Different letters are different suffixes.
                let taken = self.attrs.contains(&found);
                self.attrs[v as usize] = found;
                !taken
            }
            _ => self.attr(attr) == found,
        }
    }
}

fn bind(place: &mut Operand, found: Operand) -> bool {
    let fits = place.is_none() || *place == found;
    *place = found;
    fits
}

/// What can be seen of an operand before a rule is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Any,
    Literal,
    Op(Op),
}

fn shape_of_term(term: &Term) -> Shape {
    match &term.kind {
        Kind::Any(_) => Shape::Any,
        Kind::Node(node) => Shape::Op(node.op),
        _ => Shape::Literal,
    }
}

/// A pattern with its operands in one order.
struct Variant {
    rule: usize,
    pattern: Node,
    shape: [Shape; 2],
}

/// All orders of operands of commuting operations in the pattern.
fn orders(node: &Node) -> Vec<Node> {
    let mut all = vec![Node { args: Vec::new(), ..node.clone() }];
    for arg in &node.args {
        let choices: Vec<Term> = match &arg.kind {
            Kind::Node(inner) => orders(inner)
                .into_iter()
                .map(|n| Term { kind: Kind::Node(Box::new(n)), ty: arg.ty })
                .collect(),
            _ => vec![arg.clone()],
        };
        all = all
            .iter()
            .flat_map(|n| {
                choices.iter().map(|c| {
                    let mut n = n.clone();
                    n.args.push(c.clone());
                    n
                })
            })
            .collect();
    }
    let literal = |i: usize| node.args.get(i).is_some_and(|a| shape_of_term(a) == Shape::Literal);
    if commutes(node.op) && !literal(0) && !literal(1) && node.args[0] != node.args[1] {
        let swapped: Vec<Node> = all
            .iter()
            .map(|n| {
                let mut n = n.clone();
                n.args.swap(0, 1);
                n
            })
            .collect();
        all.extend(swapped);
    }
    all
}

/// Rules ready for matching.
pub struct Matcher {
    rules: Vec<Rule>,
    variants: Vec<Variant>,
    /// By operation, a range of `variants`.
    by_op: Vec<(u32, u32)>,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rules", self.rules.len())
    }
}

impl Matcher {
    /// Prepares the rules; those of one operation are tried in this order.
    pub fn new(rules: Vec<Rule>) -> Matcher {
        let mut variants: Vec<Variant> = Vec::with_capacity(2 * rules.len());
        for (rule, r) in rules.iter().enumerate() {
            for pattern in orders(&r.pattern) {
                let shape = [0, 1].map(|i| pattern.args.get(i).map_or(Shape::Any, shape_of_term));
                variants.push(Variant { rule, pattern, shape });
            }
        }
        variants.sort_by_key(|v| v.pattern.op);
        let by_op = Op::ALL
            .iter()
            .map(|op| {
                let start = variants.partition_point(|v| v.pattern.op < *op) as u32;
                let end = variants.partition_point(|v| v.pattern.op <= *op) as u32;
                (start, end)
            })
            .collect();
        Matcher { rules, variants, by_op }
    }

    /// What the first rule that matches makes of the line.
    pub fn rewrite(&self, line: &Inst, cx: &mut Cx<'_>) -> Rewrite {
        let (start, end) = self.by_op[line.op as usize];
        if start == end {
            return Rewrite::Keep;
        }
        let shape = [0, 1].map(|i| match cx.def(line.args[i]) {
            Some(def) => Shape::Op(def.op),
            None if line.args[i].is_literal() => Shape::Literal,
            None => Shape::Any,
        });
        for v in &self.variants[start as usize..end as usize] {
            let may = |i: usize| v.shape[i] == Shape::Any || v.shape[i] == shape[i];
            if !may(0) || !may(1) {
                continue;
            }
            let mut b = Bindings::new();
            let rule = &self.rules[v.rule];
            if match_line(cx, &v.pattern, line, &mut b)
                && result_is_legal(&rule.result, &b)
                && rule.conditions.iter().all(|c| holds(cx, c, &b))
            {
                match build(cx, &rule.result, &b, true) {
                    Some(Built::Operand(o)) => return Rewrite::Equal(o),
                    Some(Built::Line(new)) if Inst { res: line.res, ..new } != *line => {
                        return Rewrite::Replace(new);
                    }
                    _ => {}
                }
            }
        }
        Rewrite::Keep
    }
}

fn match_line(cx: &Cx<'_>, node: &Node, line: &Inst, b: &mut Bindings) -> bool {
    line.op == node.op
        && b.bind_attr(node.attr, line.attr)
        && b.bind_type(node.t, line.aty)
        && b.bind_type(node.r, line.ty)
        && node.args.iter().zip(line.args).all(|(term, o)| match_operand(cx, term, o, b))
}

fn match_operand(cx: &Cx<'_>, term: &Term, o: Operand, b: &mut Bindings) -> bool {
    match &term.kind {
        Kind::Any(i) => bind(&mut b.operands[*i as usize], o),
        Kind::Literal(i) => o.is_literal() && bind(&mut b.literals[*i as usize], o),
        Kind::Number(n) => is_number(cx.trace(), o, b.ty(term.ty), *n),
        Kind::Bits(of) => is_number(cx.trace(), o, b.ty(term.ty), b.ty(*of).bits().into()),
        Kind::Node(node) => match cx.def(o) {
            Some(line) => (!node.once || cx.uses(o) <= 1) && match_line(cx, node, &line, b),
            None => false,
        },
    }
}

/// Is the operand this number at this type? All ones of wide vectors are no numbers.
fn is_number(trace: &Trace, o: Operand, ty: Type, n: i128) -> bool {
    o.is_literal() && (n >= 0 || ty.bits() <= 128) && trace.literal_int(o) == Some(ty.canonical(n))
}

/// Are all types in the result legal?
fn result_is_legal(term: &Term, b: &Bindings) -> bool {
    match &term.kind {
        Kind::Number(n) => *n >= 0 || b.ty(term.ty).bits() <= 128,
        Kind::Node(node) => {
            is_legal(node.op, b.ty(node.t), b.ty(node.r)) && node.args.iter().all(|a| result_is_legal(a, b))
        }
        _ => true,
    }
}

fn holds(cx: &Cx<'_>, condition: &Condition, b: &Bindings) -> bool {
    match condition {
        Condition::Holds(node) => value_of_node(cx.trace(), node, b).is_some_and(|v| v[0] & 1 != 0),
        Condition::Zeros(operand, bits) => {
            let Kind::Any(i) = operand.kind else { return false };
            let Some(bits) = value_of(cx.trace(), bits, b) else { return false };
            let ty = b.ty(operand.ty);
            ty.is_int() && ty.bits() <= 64 && cx.bits(b.operands[i as usize], ty).zeros() & bits[0] == bits[0]
        }
    }
}

/// The bits of an expression on literals, zero-extended from its type.
fn value_of(trace: &Trace, term: &Term, b: &Bindings) -> Option<Wide> {
    let ty = b.ty(term.ty);
    match &term.kind {
        Kind::Any(i) => trace.literal_bits(b.operands[*i as usize], ty),
        Kind::Literal(i) => trace.literal_bits(b.literals[*i as usize], ty),
        Kind::Number(n) => Some(ir::eval::mask(&ir::eval::from_u128(*n as u128), ty)),
        Kind::Bits(of) => Some(ir::eval::word(b.ty(*of).bits().into())),
        Kind::Node(node) => value_of_node(trace, node, b),
    }
}

fn value_of_node(trace: &Trace, node: &Node, b: &Bindings) -> Option<Wide> {
    let mut args = [ZERO; 3];
    for (place, arg) in args.iter_mut().zip(&node.args) {
        *place = value_of(trace, arg, b)?;
    }
    let (t, r) = (b.ty(node.t), b.ty(node.r));
    if !is_legal(node.op, t, r) {
        return None;
    }
    ir::eval::wide(node.op, t, r, b.attr(node.attr), &args[0], &args[1], &args[2]).ok()
}

enum Built {
    Operand(Operand),
    Line(Inst),
}

/// A literal of these bits.
pub fn literal_of(trace: &mut Trace, ty: Type, bits: &Wide) -> Operand {
    if ty.is_vector() {
        trace.wide_literal(ty, bits)
    } else {
        trace.literal(ty, ir::eval::to_u128(bits) as i128)
    }
}

fn build(cx: &mut Cx<'_>, term: &Term, b: &Bindings, is_root: bool) -> Option<Built> {
    if let Some(bits) = value_of(cx.trace(), term, b) {
        return Some(Built::Operand(literal_of(cx.pools(), b.ty(term.ty), &bits)));
    }
    match &term.kind {
        Kind::Any(i) => Some(Built::Operand(b.operands[*i as usize])),
        Kind::Node(node) => {
            let mut args: SmallVec<[Operand; 4]> = SmallVec::new();
            for arg in &node.args {
                match build(cx, arg, b, false)? {
                    Built::Operand(o) => args.push(o),
                    Built::Line(_) => return None,
                }
            }
            let line = Inst::new(node.op, b.ty(node.t), b.ty(node.r), b.attr(node.attr), &args);
            Some(if is_root { Built::Line(line) } else { Built::Operand(cx.emit(line)) })
        }
        _ => None,
    }
}
