//! Rules as SMT-LIB. The meaning of each operation is written down here from `docs/ir.md`, independently of the interpreter.

use ir::op::{Arg, Check, Op, Suffix};
use ir::types::{Cond, Flag, Type};
use optimize::passes::rules::{AttrRef, Condition, Kind, Node, Rule, Term, TypeRef, is_legal};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A rule at given types, suffixes and offsets.
pub struct Instance {
    pub script: String,
    pub what: String,
}

/// What the letters of a rule are in one instance.
struct At<'a> {
    rule: &'a Rule,
    types: Vec<Type>,
    attrs: Vec<u8>,
    /// Literals that are offsets of parts, concretely.
    offsets: Vec<Option<u64>>,
}

fn visit<'a>(term: &'a Term, f: &mut impl FnMut(&'a Node)) {
    if let Kind::Node(node) = &term.kind {
        visit_node(node, f);
    }
}

fn visit_node<'a>(node: &'a Node, f: &mut impl FnMut(&'a Node)) {
    f(node);
    for arg in &node.args {
        visit(arg, f);
    }
}

fn lhs(rule: &Rule) -> Vec<&Node> {
    let mut all = Vec::new();
    visit_node(&rule.pattern, &mut |n| all.push(n));
    all
}

fn rhs(rule: &Rule) -> Vec<&Node> {
    let mut all = Vec::new();
    visit(&rule.result, &mut |n| all.push(n));
    all
}

fn is_part(op: Op) -> bool {
    matches!(op.info().check, Check::PartOfR | Check::PartOfT)
}

/// All combinations of one choice per place.
fn product<T: Clone>(choices: &[Vec<T>]) -> Vec<Vec<T>> {
    choices.iter().fold(vec![Vec::new()], |all, place| {
        all.iter()
            .flat_map(|head| place.iter().map(|x| [&head[..], std::slice::from_ref(x)].concat()))
            .collect()
    })
}

/// The rule at everything it can stand for.
pub fn instances(rule: &Rule) -> Vec<Result<Instance, String>> {
    let nodes = lhs(rule);
    let has = |f: &dyn Fn(Op) -> bool| nodes.iter().chain(&rhs(rule)).any(|n| f(n.op));
    let candidates: Vec<Type> = if has(&is_part) {
        vec![Type::I8, Type::I32, Type::I64, Type::F64, Type::V128]
    } else if has(&|op| matches!(op, Op::Mul)) {
        vec![Type::I8, Type::I16]
    } else if has(&|op| matches!(op, Op::Bitcast)) {
        vec![Type::I32, Type::I64, Type::F32, Type::F64, Type::I128, Type::V128]
    } else {
        vec![Type::I1, Type::I8, Type::I16, Type::I32, Type::I64, Type::F32, Type::F64, Type::Flags]
    };
    let mut offset_literals = BTreeSet::new();
    let mut attr_counts: Vec<u8> = Vec::new();
    for node in nodes.iter().chain(&rhs(rule)) {
        for (arg, term) in node.op.info().args.iter().zip(&node.args) {
            if let (Arg::Imm, Kind::Literal(i)) = (arg, &term.kind) {
                offset_literals.insert(*i);
            }
        }
        if let AttrRef::Var(v) | AttrRef::Not(v) = node.attr {
            attr_counts.resize(attr_counts.len().max(v as usize + 1), 0);
            attr_counts[v as usize] = if node.op.info().suffix == Suffix::Flag { 6 } else { 16 };
        }
    }
    let mut all = Vec::new();
    for types in product(&vec![candidates; rule.types]) {
        let at = At { rule, types, attrs: Vec::new(), offsets: Vec::new() };
        if !lhs(rule).iter().chain(&rhs(rule)).all(|n| is_legal(n.op, at.ty(n.t), at.ty(n.r))) {
            continue;
        }
        for attrs in product(&attr_counts.iter().map(|n| (0..*n).collect()).collect::<Vec<_>>()) {
            if attrs.iter().collect::<BTreeSet<_>>().len() < attrs.len() {
                continue;
            }
            let choices: Vec<Vec<Option<u64>>> = (0..8u8)
                .map(|i| match offset_literals.contains(&i) {
                    true => (0..16).map(|b| Some(8 * b)).collect(),
                    false => vec![None],
                })
                .collect();
            for offsets in product(&choices) {
                let at = At { rule, types: at.types.clone(), attrs: attrs.clone(), offsets };
                all.extend(at.instance().transpose());
            }
        }
    }
    all
}

impl At<'_> {
    fn ty(&self, ty: TypeRef) -> Type {
        match ty {
            TypeRef::Fixed(ty) => ty,
            TypeRef::Var(v) => self.types[v as usize],
        }
    }

    fn attr(&self, attr: AttrRef) -> u8 {
        match attr {
            AttrRef::Fixed(a) => a,
            AttrRef::Var(v) => self.attrs[v as usize],
            AttrRef::Not(v) => self.attrs[v as usize] ^ 1,
        }
    }

    /// The expression's value, if it is made of numbers, widths and offsets.
    fn concrete(&self, term: &Term) -> Option<u64> {
        match &term.kind {
            Kind::Any(_) => None,
            Kind::Literal(i) => self.offsets[*i as usize],
            Kind::Number(n) => Some(*n as u64),
            Kind::Bits(of) => Some(self.ty(*of).bits().into()),
            Kind::Node(node) => self.concrete_node(node),
        }
    }

    fn concrete_node(&self, node: &Node) -> Option<u64> {
        let a = self.concrete(node.args.first()?)?;
        let b = self.concrete(node.args.get(1)?)?;
        Some(match node.op {
            Op::Add => a.wrapping_add(b),
            Op::Sub => a.wrapping_sub(b),
            Op::Ule => (a <= b).into(),
            Op::Ult => (a < b).into(),
            _ => return None,
        })
    }

    /// Are all parts within their containers?
    fn parts_fit(&self, nodes: &[&Node]) -> bool {
        nodes.iter().filter(|n| is_part(n.op)).all(|n| {
            let (t, r) = (self.ty(n.t).bits(), self.ty(n.r).bits());
            let (part, whole, at) = if n.op == Op::Insert { (t, r, 2) } else { (r, t, 1) };
            self.concrete(&n.args[at])
                .is_some_and(|at| at % 8 == 0 && at.saturating_add(part.into()) <= whole.into())
        })
    }

    fn instance(&self) -> Result<Option<Instance>, String> {
        let what = format!(
            "{:?} {:?} {:?}",
            self.types,
            self.attrs,
            self.offsets.iter().flatten().collect::<Vec<_>>()
        );
        if !self.parts_fit(&lhs(self.rule)) {
            return Ok(None);
        }
        let mut conditions = String::new();
        for c in &self.rule.conditions {
            match c {
                Condition::Holds(node) => match self.concrete_node(node) {
                    Some(0) => return Ok(None),
                    Some(_) => {}
                    // A condition at types where it has no meaning does not hold.
                    None if !self.legal(node) => return Ok(None),
                    None => {
                        let _ = writeln!(conditions, "(assert (= {} #b1))", self.node(node));
                    }
                },
                Condition::Zeros(x, bits) => {
                    if !self.ty(x.ty).is_int() {
                        return Ok(None);
                    }
                    let zero = number(0, self.ty(x.ty));
                    let _ = writeln!(
                        conditions,
                        "(assert (= (bvand {} {}) {zero}))",
                        self.term(x),
                        self.term(bits)
                    );
                }
            }
        }
        if !self.parts_fit(&rhs(self.rule)) {
            return Err(format!("{what}: a part of the result does not fit"));
        }
        let mut script = String::from("(push 1)\n");
        let mut declared = BTreeSet::new();
        let all: Vec<&Term> = {
            let mut all = vec![&self.rule.result];
            let condition_nodes = self.rule.conditions.iter().filter_map(|c| match c {
                Condition::Holds(n) => Some(n),
                Condition::Zeros(..) => None,
            });
            let mut nodes = vec![&self.rule.pattern];
            nodes.extend(condition_nodes);
            for n in nodes {
                visit_node(n, &mut |n| all.extend(&n.args));
            }
            all
        };
        for term in all {
            let name = match &term.kind {
                Kind::Any(i) => format!("x{i}"),
                Kind::Literal(i) if self.offsets[*i as usize].is_none() => format!("c{i}"),
                _ => continue,
            };
            let ty = self.ty(term.ty);
            if declared.insert(name.clone()) {
                let _ = writeln!(script, "(declare-const {name} (_ BitVec {}))", width(ty));
                if ty == Type::Flags {
                    let _ = writeln!(script, "(assert (= {name} (bvand {name} #x8d5)))");
                }
            }
        }
        let (left, right) = (self.node(&self.rule.pattern), self.term(&self.rule.result));
        let _ = writeln!(
            script,
            "{conditions}(check-sat)\n(assert (not (= {left} {right})))\n(check-sat)\n(pop 1)"
        );
        Ok(Some(Instance { script, what }))
    }

    fn legal(&self, node: &Node) -> bool {
        let mut ok = true;
        visit_node(node, &mut |n| ok &= is_legal(n.op, self.ty(n.t), self.ty(n.r)));
        ok
    }

    fn term(&self, term: &Term) -> String {
        let ty = self.ty(term.ty);
        match &term.kind {
            Kind::Any(i) => format!("x{i}"),
            Kind::Literal(i) => match self.offsets[*i as usize] {
                Some(n) => number(n.into(), ty),
                None => format!("c{i}"),
            },
            Kind::Number(n) => number(*n, ty),
            Kind::Bits(of) => number(self.ty(*of).bits().into(), ty),
            Kind::Node(node) => self.node(node),
        }
    }

    fn node(&self, node: &Node) -> String {
        let (t, r) = (self.ty(node.t), self.ty(node.r));
        if is_part(node.op) {
            let at = self.concrete(node.args.last().expect("an offset")).expect("concrete") as u32;
            let whole = self.term(&node.args[0]);
            return match node.op {
                Op::Extract => format!("((_ extract {} {at}) {whole})", at + r.bits() - 1),
                _ => {
                    let mut s = self.term(&node.args[1]);
                    if at + t.bits() < r.bits() {
                        s = format!("(concat ((_ extract {} {}) {whole}) {s})", r.bits() - 1, at + t.bits());
                    }
                    if at > 0 {
                        s = format!("(concat {s} ((_ extract {} 0) {whole}))", at - 1);
                    }
                    s
                }
            };
        }
        let args: Vec<String> = node.args.iter().map(|a| self.term(a)).collect();
        operation(node.op, self.attr(node.attr), t, r, &args)
    }
}

/// Width of a type's bit vector.
fn width(ty: Type) -> u32 {
    if ty == Type::Flags { 12 } else { ty.bits() }
}

fn number(n: i128, ty: Type) -> String {
    let w = width(ty);
    let n = if w >= 128 { n as u128 } else { n as u128 & ((1 << w) - 1) };
    format!("(_ bv{n} {w})")
}

fn bit(condition: String) -> String {
    format!("(ite {condition} #b1 #b0)")
}

/// Bit `i` as a bit vector of one.
fn at(x: &str, i: u32) -> String {
    format!("((_ extract {i} {i}) {x})")
}

fn float(ty: Type, x: &str) -> String {
    let format = if ty == Type::F32 { "8 24" } else { "11 53" };
    format!("((_ to_fp {format}) {x})")
}

fn operation(op: Op, attr: u8, t: Type, r: Type, args: &[String]) -> String {
    let (w, to) = (width(t), width(r));
    let arg = |i: usize| args.get(i).map_or("", String::as_str);
    let (a, b, c) = (arg(0), arg(1), arg(2));
    let call = |name: &str| format!("({name} {})", args.join(" "));
    match op {
        Op::Add => call("bvadd"),
        Op::Sub => call("bvsub"),
        Op::Mul => call("bvmul"),
        Op::Neg => call("bvneg"),
        Op::And => call("bvand"),
        Op::Or => call("bvor"),
        Op::Xor => call("bvxor"),
        Op::Not => call("bvnot"),
        Op::Andn => format!("(bvand (bvnot {a}) {b})"),
        Op::Shl => call("bvshl"),
        Op::Shr => call("bvlshr"),
        Op::Sar => call("bvashr"),
        Op::Rol | Op::Ror => {
            let turn = format!("(bvurem {b} {})", number(w.into(), t));
            let rest = format!("(bvsub {} {turn})", number(w.into(), t));
            let (one, two) = if op == Op::Rol { ("bvshl", "bvlshr") } else { ("bvlshr", "bvshl") };
            format!("(bvor ({one} {a} {turn}) ({two} {a} {rest}))")
        }
        Op::Popcnt => {
            let bits = (0..w).map(|i| {
                if w == 1 { at(a, i) } else { format!("(concat {} {})", number_bits(w - 1), at(a, i)) }
            });
            bits.reduce(|x, y| format!("(bvadd {x} {y})")).expect("some bits")
        }
        Op::Ctz => (0..w).rev().fold(number(w.into(), t), |rest, i| {
            format!("(ite (= {} #b1) {} {rest})", at(a, i), number(i.into(), t))
        }),
        Op::Eq => bit(call("=")),
        Op::Ne => bit(format!("(not {})", call("="))),
        Op::Ult => bit(call("bvult")),
        Op::Ule => bit(call("bvule")),
        Op::Slt => bit(call("bvslt")),
        Op::Sle => bit(call("bvsle")),
        Op::Select => format!("(ite (= {a} #b1) {b} {c})"),
        Op::Zext => format!("((_ zero_extend {}) {a})", to - w),
        Op::Sext => format!("((_ sign_extend {}) {a})", to - w),
        Op::Trunc => format!("((_ extract {} 0) {a})", to - 1),
        Op::Bitcast => a.into(),
        Op::Fneg => format!("(bvxor {a} {})", number(1 << (w - 1), t)),
        Op::Fabs => format!("(bvand {a} {})", number((1 << (w - 1)) - 1, t)),
        Op::Feq => bit(format!("(fp.eq {} {})", float(t, a), float(t, b))),
        Op::Flt => bit(format!("(fp.lt {} {})", float(t, a), float(t, b))),
        Op::Fle => bit(format!("(fp.leq {} {})", float(t, a), float(t, b))),
        Op::Funo => bit(format!("(or (fp.isNaN {}) (fp.isNaN {}))", float(t, a), float(t, b))),
        Op::Cc => condition(Cond::from_code(attr), a),
        Op::FlagsGet => flag(Flag::ALL[attr as usize], a),
        Op::FlagsWith => {
            let mask = Flag::ALL[attr as usize].bit();
            format!("(ite (= {b} #b1) (bvor {a} (_ bv{mask} 12)) (bvand {a} (_ bv{} 12)))", 0xfff & !mask)
        }
        Op::FlagsUnpack => format!("((_ zero_extend 52) {a})"),
        Op::FlagsPack => format!("(bvand #x8d5 ((_ extract 11 0) {a}))"),
        _ => flags(op, t, args),
    }
}

fn number_bits(w: u32) -> String {
    format!("(_ bv0 {w})")
}

fn flag(flag: Flag, f: &str) -> String {
    at(f, flag.bit().trailing_zeros())
}

fn condition(cond: Cond, f: &str) -> String {
    let is = |x: Flag| format!("(= {} #b1)", flag(x, f));
    let differ = format!("(not (= {} {}))", flag(Flag::S, f), flag(Flag::O, f));
    let positive = match cond as u8 >> 1 {
        0 => is(Flag::O),
        1 => is(Flag::C),
        2 => is(Flag::Z),
        3 => format!("(or {} {})", is(Flag::C), is(Flag::Z)),
        4 => is(Flag::S),
        5 => is(Flag::P),
        6 => differ,
        _ => format!("(or {} {differ})", is(Flag::Z)),
    };
    bit(if cond as u8 & 1 != 0 { format!("(not {positive})") } else { positive })
}

/// The image of six flags, each a bit vector of one.
fn image(c: &str, p: &str, a: &str, z: &str, s: &str, o: &str) -> String {
    format!("(concat {o} #b000 {s} {z} #b0 {a} #b0 {p} #b0 {c})")
}

/// Z, S and P of a result.
fn zsp(r: &str, t: Type) -> (String, String, String) {
    let parity = (1..8).fold(at(r, 0), |x, i| format!("(bvxor {x} {})", at(r, i)));
    (bit(format!("(= {r} {})", number(0, t))), at(r, t.bits() - 1), format!("(bvnot {parity})"))
}

/// Flags of a sum or difference of three terms, the last of one bit.
fn arithmetic(op: &str, a: &str, b: &str, carry: &str, t: Type) -> String {
    let w = t.bits();
    let three = |extend: &str, a: &str, b: &str, bits: u32| {
        format!("({op} ({op} ((_ {extend} 1) {a}) ((_ {extend} 1) {b})) ((_ zero_extend {bits}) {carry}))")
    };
    let unsigned = three("zero_extend", a, b, w);
    let signed = three("sign_extend", a, b, w);
    let low = |x: &str| format!("((_ extract 3 0) {x})");
    let nibble = three("zero_extend", &low(a), &low(b), 4);
    let result = format!("((_ extract {} 0) {unsigned})", w - 1);
    let (z, s, p) = zsp(&result, t);
    let o = format!("(bvxor {} {})", at(&signed, w), at(&signed, w - 1));
    image(&at(&unsigned, w), &p, &at(&nibble, 4), &z, &s, &o)
}

fn flags(op: Op, t: Type, args: &[String]) -> String {
    let w = t.bits();
    let arg = |i: usize| args.get(i).map_or("#b0", String::as_str);
    let (a, b, c) = (arg(0), arg(1), arg(2));
    let one = number(1, t);
    let with_carry_of =
        |image: String, old: &str| format!("(bvor (bvand {image} #xffe) (bvand {old} #x001))");
    let zero = number(0, t);
    let shifted = |image: String| format!("(ite (= {b} {zero}) {c} {image})");
    let wide_amount = format!("((_ zero_extend 1) {b})");
    match op {
        Op::FlagsAdd => arithmetic("bvadd", a, b, "#b0", t),
        Op::FlagsAdc => arithmetic("bvadd", a, b, c, t),
        Op::FlagsSub => arithmetic("bvsub", a, b, "#b0", t),
        Op::FlagsSbb => arithmetic("bvsub", a, b, c, t),
        Op::FlagsInc => with_carry_of(arithmetic("bvadd", a, &one, "#b0", t), b),
        Op::FlagsDec => with_carry_of(arithmetic("bvsub", a, &one, "#b0", t), b),
        Op::FlagsLogic => {
            let (z, s, p) = zsp(a, t);
            image("#b0", &p, "#b0", &z, &s, "#b0")
        }
        Op::FlagsShl => {
            let r = format!("(bvshl {a} {b})");
            let carry = at(&format!("(bvshl ((_ zero_extend 1) {a}) {wide_amount})"), w);
            let (z, s, p) = zsp(&r, t);
            shifted(image(&carry, &p, "#b0", &z, &s, &format!("(bvxor {s} {carry})")))
        }
        Op::FlagsShr | Op::FlagsSar => {
            let shift = if op == Op::FlagsShr { "bvlshr" } else { "bvashr" };
            let r = format!("({shift} {a} {b})");
            let carry = at(&format!("({shift} (concat {a} #b0) {wide_amount})"), 0);
            let (z, s, p) = zsp(&r, t);
            let over = if op == Op::FlagsShr {
                format!("(bvxor {} {})", at(&r, w - 1), at(&r, w - 2))
            } else {
                "#b0".into()
            };
            shifted(image(&carry, &p, "#b0", &z, &s, &over))
        }
        Op::FlagsRol | Op::FlagsRor => {
            let rotate = if op == Op::FlagsRol { Op::Rol } else { Op::Ror };
            let r = operation(rotate, 0, t, t, &[a.into(), b.into()]);
            let (top, next, low) = (at(&r, w - 1), at(&r, w - 2), at(&r, 0));
            let (carry, over) = if op == Op::FlagsRol {
                (low.clone(), format!("(bvxor {top} {low})"))
            } else {
                (top.clone(), format!("(bvxor {top} {next})"))
            };
            let new = image(&carry, "#b0", "#b0", "#b0", "#b0", &over);
            shifted(format!("(bvor (bvand {c} #x7fe) {new})"))
        }
        Op::FlagsFcmp => {
            let unordered = operation(Op::Funo, 0, t, Type::I1, args);
            let equal = operation(Op::Feq, 0, t, Type::I1, args);
            let less = operation(Op::Flt, 0, t, Type::I1, args);
            let (c, z) = (format!("(bvor {unordered} {less})"), format!("(bvor {unordered} {equal})"));
            image(&c, &unordered, "#b0", &z, "#b0", "#b0")
        }
        _ => panic!("{} has no meaning here yet", op.name()),
    }
}
