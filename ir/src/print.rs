//! Trace → text. `docs/ir.md` has the grammar; [`crate::parse`] reads it back, and print → parse → print is
//! the identity.
//!
//! `Display` of a [`Trace`] is the trace alone; [`file()`] adds the declarations it needs. Printing is total: a
//! trace that is not well-formed prints with `?` where something does not exist, so that an error message can
//! show it.

use std::fmt::{self, Display, Write};

use crate::effects::{ClassSet, EffectBits, Effects};
use crate::op::{Arg, Form, Op, OpInfo, Suffix};
use crate::snapshot::{Exit, ExitKind, Target};
use crate::trace::{Decls, End, FactArg, Inst, Trace};
use crate::types::*;

/// The trace with all declarations before it: a complete file.
pub fn file(trace: &Trace) -> String {
    format!("{}\n{trace}", trace.decls)
}

/// One instruction, as it stands in the trace's text (without indentation).
pub fn line(trace: &Trace, inst: &Inst) -> String {
    let mut s = String::new();
    // Writing to a String cannot fail.
    let _ = write_line(&mut s, trace, inst);
    s
}

/// One exit, as it stands in the trace's text (without indentation).
pub fn exit(trace: &Trace, exit: &Exit) -> String {
    let mut s = String::new();
    let _ = write_exit(&mut s, trace, exit);
    s
}

/// A pc.
pub fn pc(trace: &Trace, pc: Pc) -> String {
    match pc {
        Pc::Addr(a) => format!("{a:#x}"),
        Pc::Source { file, line, bytecode } => {
            let file = trace.files.get(file as usize).map_or("?", |f| &**f);
            format!("{}:{line}#{bytecode}", PcFile(file))
        }
    }
}

/// The suffix that an instruction's attribute and lane type give it, with its dot.
pub fn suffix(inst: &Inst) -> String {
    match inst.op.info().suffix {
        Suffix::None => String::new(),
        Suffix::Lane => format!(".{}", inst.aty),
        Suffix::Flag => format!(".{}", Flag::ALL.get(inst.attr as usize).map_or("?", |f| f.name())),
        Suffix::Cond => format!(".{}", Cond::ALL.get(inst.attr as usize).map_or("?", |c| c.name())),
        Suffix::Round => format!(".{}", Round::ALL.get(inst.attr as usize).map_or("?", |r| r.name())),
    }
}

/// May this stand unquoted as a name?
pub(crate) fn is_plain_name(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$'))
}

/// May this stand unquoted as the file of a pc?
pub(crate) fn is_plain_file(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '.' | '=' | '@'))
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '=' | '@' | '-'))
}

struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_name(self.0) { f.write_str(self.0) } else { quoted(f, self.0) }
    }
}

struct PcFile<'a>(&'a str);

impl Display for PcFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_file(self.0) { f.write_str(self.0) } else { quoted(f, self.0) }
    }
}

/// In double quotes; `"`, `\` and control characters as `\u{…}`, so that a quoted text never contains a quote
/// or a line end.
fn quoted(f: &mut impl Write, s: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in s.chars() {
        if c == '"' || c == '\\' || c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
            write!(f, "\\u{{{:x}}}", c as u32)?;
        } else {
            f.write_char(c)?;
        }
    }
    f.write_char('"')
}

fn slot_name(decls: &Decls, slot: Option<usize>) -> Name<'_> {
    Name(slot.and_then(|i| decls.slots.get(i)).map_or("?", |s| &s.name))
}

fn tag_name(decls: &Decls, tag: Option<usize>) -> Name<'_> {
    Name(tag.and_then(|i| decls.tags.get(i)).map_or("?", |s| &s.name))
}

fn class_name(decls: &Decls, class: ClassId) -> Name<'_> {
    Name(decls.classes.get(class.index()).map_or("?", |s| &s.name))
}

// --- declarations --------------------------------------------------------------------------------

impl Display for Decls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for s in &self.slots {
            write!(f, "slot {}: {}", Name(&s.name), s.ty)?;
            if let Some(hint) = &s.hint {
                write!(f, " hint {}", Name(hint))?;
            }
            writeln!(f)?;
        }
        for t in &self.tags {
            write!(f, "tag {}: {}", Name(&t.name), t.ty)?;
            if let Some(p) = t.pattern {
                write!(f, " {p:#x}")?;
            }
            writeln!(f)?;
        }
        for c in &self.classes {
            write!(f, "class {}", Name(&c.name))?;
            if let Some(p) = c.parent {
                write!(f, " < {}", class_name(self, p))?;
            }
            for d in &c.disjoint {
                write!(f, " disjoint {}", class_name(self, *d))?;
            }
            writeln!(f)?;
        }
        for h in &self.helpers {
            write!(f, "helper {}(", Name(&h.name))?;
            for (i, t) in h.params.iter().enumerate() {
                write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
            }
            f.write_char(')')?;
            if h.result != Type::Void {
                write!(f, " -> {}", h.result)?;
            }
            write_effects(f, self, h.effects, "reads ", "writes ")?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The words for [`EffectBits`], in printing order.
pub(crate) const EFFECT_WORDS: [(&str, EffectBits); 6] = [
    ("faults", EffectBits::FAULTS),
    ("leaves", EffectBits::LEAVES),
    ("raises", EffectBits::RAISES),
    ("allocates", EffectBits::ALLOCATES),
    ("orders", EffectBits::ORDERS),
    ("keep", EffectBits::KEEP),
];

fn write_effects(f: &mut impl Write, decls: &Decls, e: Effects, reads: &str, writes: &str) -> fmt::Result {
    for (word, set) in [(reads, e.reads), (writes, e.writes)] {
        if set == ClassSet::ALL {
            write!(f, " {}*", word.trim_end_matches('!'))?;
        } else {
            for c in set.iter() {
                write!(f, " {word}{}", class_name(decls, c))?;
            }
        }
    }
    for (word, bit) in EFFECT_WORDS {
        if e.bits.any(bit) {
            write!(f, " {word}")?;
        }
    }
    Ok(())
}

// --- the trace -----------------------------------------------------------------------------------

impl Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trace {} entry {} {{", Name(&self.name), pc(self, self.entry))?;
        for fact in &self.facts {
            write!(f, "  assume {}", Name(&fact.name))?;
            for (i, a) in fact.args.iter().enumerate() {
                f.write_str(if i > 0 { ", " } else { "(" })?;
                match a {
                    FactArg::Int(n) => write!(f, "{n:#x}")?,
                    FactArg::Name(n) => write!(f, "{}", Name(n))?,
                }
            }
            writeln!(f, "{}", if fact.args.is_empty() { "" } else { ")" })?;
        }
        let loop_at = self.loop_at.map(|l| l as usize);
        for (i, inst) in self.insts.iter().enumerate() {
            if loop_at == Some(i) {
                self.write_loop(f)?;
            }
            let is_param = loop_at.is_some_and(|l| i >= l && i < l + self.params().len());
            if !is_param {
                writeln!(f, "  {}", line(self, inst))?;
            }
        }
        if loop_at.is_some_and(|l| l >= self.insts.len()) {
            self.write_loop(f)?;
        }
        match self.end {
            End::Exit(id) => writeln!(f, "  end {id}")?,
            End::Loop => {
                f.write_str("  end loop(")?;
                for (i, p) in self.params().iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    write_operand(f, self, p.args[1], p.ty)?;
                }
                f.write_str(")")?;
                if let Some(id) = self.interrupt {
                    write!(f, " else {id}")?;
                }
                writeln!(f)?;
            }
        }
        for e in &self.exits {
            writeln!(f, "  {}", exit(self, e))?;
        }
        writeln!(f, "}}")
    }
}

impl Trace {
    fn write_loop(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("loop(")?;
        for (i, p) in self.params().iter().enumerate() {
            write!(f, "{}{}: {} = ", if i > 0 { ", " } else { "" }, p.res, p.ty)?;
            write_operand(f, self, p.args[0], p.ty)?;
        }
        writeln!(f, "):")
    }
}

fn write_exit(f: &mut String, trace: &Trace, e: &Exit) -> fmt::Result {
    write!(f, "{} resume ", e.id)?;
    match e.target {
        Target::Pc(p) => f.write_str(&pc(trace, p))?,
        Target::Value(v) => write_operand(f, trace, v, Type::I64)?,
    }
    match e.kind {
        ExitKind::Jump => {}
        ExitKind::Trap(n) => write!(f, " as trap {n}")?,
        kind => write!(f, " as {}", kind.name())?,
    }
    if let Some(like) = e.like {
        write!(f, " like {}", like.0)?;
    }
    f.write_str(" {")?;
    for (i, b) in trace.binds(e).iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { " " })?;
        write!(f, "{} = ", slot_name(&trace.decls, Some(b.slot.index())))?;
        let ty = trace.decls.slots.get(b.slot.index()).map_or(Type::Void, |s| s.ty);
        match trace.recipe(b.value) {
            None => write_operand(f, trace, b.value, ty)?,
            Some(r) => {
                write!(f, "{}{}(", r.op.name(), suffix(r))?;
                write_plain_operands(f, trace, r)?;
                f.write_char(')')?;
            }
        }
    }
    f.write_str(" }")
}

fn write_line(f: &mut String, trace: &Trace, inst: &Inst) -> fmt::Result {
    let info = inst.op.info();
    if inst.has_result() {
        write!(f, "{}: {} = ", inst.res, inst.ty)?;
    }
    write!(f, "{}{}", info.name, suffix(inst))?;
    match info.form {
        Form::Plain => {
            if !info.args.is_empty() {
                f.write_char(' ')?;
            }
            write_plain_operands(f, trace, inst)?;
        }
        Form::Phi => {
            f.write_char(' ')?;
            write_operand(f, trace, inst.args[0], inst.ty)?;
        }
        Form::Load => {
            f.write_char(' ')?;
            write_addr(f, trace, inst)?;
        }
        Form::Store => {
            f.write_char(' ')?;
            write_operand(f, trace, inst.args[3], inst.aty)?;
            if inst.args[3].is_literal() {
                write!(f, ":{}", inst.aty)?;
            }
            f.write_str(", ")?;
            write_addr(f, trace, inst)?;
        }
        Form::Atomic => {
            for (i, o) in inst.args[2..].iter().take(info.args.len()).enumerate() {
                f.write_str(if i > 0 { ", " } else { " " })?;
                write_operand(f, trace, *o, inst.aty)?;
            }
            f.write_str(", ")?;
            write_addr(f, trace, inst)?;
        }
        Form::Guard => {
            f.write_char(' ')?;
            write_operand(f, trace, inst.args[0], Type::I1)?;
            write_else(f, inst)?;
        }
        Form::At => {
            let at = trace.at_pc(inst).map_or("?".into(), |p| pc(trace, p));
            write!(f, " {at}")?;
            write_else(f, inst)?;
        }
        Form::Call => {
            let helper = trace.call_helper(inst).map(|(_, h)| h);
            write!(f, " {}(", Name(helper.map_or("?", |h| &h.name)))?;
            for (i, o) in trace.call_operands(inst).iter().enumerate() {
                f.write_str(if i > 0 { ", " } else { "" })?;
                let ty = helper.and_then(|h| h.params.get(i)).copied().unwrap_or(Type::Void);
                write_operand(f, trace, *o, ty)?;
            }
            f.write_char(')')?;
            write_else(f, inst)?;
        }
        Form::Native => {
            let Some(n) = trace.native(inst) else { return f.write_str(" ?") };
            f.write_char(' ')?;
            for b in n.bytes() {
                write!(f, "{b:02x}")?;
            }
            f.write_str(" (")?;
            for (i, b) in n.inputs.iter().enumerate() {
                let slot = trace.decls.slots.get(b.slot.index());
                let name = slot_name(&trace.decls, Some(b.slot.index()));
                write!(f, "{}{name} = ", if i > 0 { ", " } else { "" })?;
                write_operand(f, trace, b.value, slot.map_or(Type::Void, |s| s.ty))?;
            }
            f.write_char(')')?;
            for s in &n.writes {
                write!(f, " writes {}", slot_name(&trace.decls, Some(s.index())))?;
            }
            write_effects(f, &trace.decls, n.effects, "loads !", "stores !")?;
        }
    }
    Ok(())
}

fn write_else(f: &mut String, inst: &Inst) -> fmt::Result {
    match inst.exit() {
        Some(id) => write!(f, " else {id}"),
        None => Ok(()),
    }
}

/// Must the text say the operand type, because nothing else on the line does?
fn needs_type(info: &OpInfo, inst: &Inst) -> bool {
    info.suffix != Suffix::Lane
        && info.result != Arg::T
        && inst.op != Op::Box
        && info.args.iter().zip(inst.args).all(|(a, o)| *a != Arg::T || o.is_literal())
}

fn write_plain_operands(f: &mut String, trace: &Trace, inst: &Inst) -> fmt::Result {
    let info = inst.op.info();
    let mut say_type = needs_type(info, inst);
    for (i, (arg, o)) in info.args.iter().zip(inst.args).enumerate() {
        f.write_str(if i > 0 { ", " } else { "" })?;
        match arg {
            Arg::Imm => write!(f, "{}", o.as_small().unwrap_or(-1))?,
            Arg::Tag => write!(f, "{}", tag_name(&trace.decls, o.as_index()))?,
            Arg::Slot => write!(f, "{}", slot_name(&trace.decls, o.as_index()))?,
            Arg::Lanes => {
                let bytes = trace.literal_bits(o, Type::V512).map_or([0; 64], |w| crate::eval::to_bytes(&w));
                let count = (inst.ty.bits() / inst.aty.bits().max(8)).min(64) as usize;
                f.write_char('[')?;
                for (i, b) in bytes[..count].iter().enumerate() {
                    write!(f, "{}{b}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char(']')?;
            }
            Arg::T => {
                write_operand(f, trace, o, inst.aty)?;
                if std::mem::take(&mut say_type) {
                    write!(f, ":{}", inst.aty)?;
                }
            }
            Arg::R => write_operand(f, trace, o, inst.ty)?,
            Arg::I1 => write_operand(f, trace, o, Type::I1)?,
            Arg::F => write_operand(f, trace, o, Type::Flags)?,
            Arg::I64 | Arg::V | Arg::Tuple | Arg::None => write_operand(f, trace, o, Type::I64)?,
        }
    }
    Ok(())
}

fn write_addr(f: &mut String, trace: &Trace, inst: &Inst) -> fmt::Result {
    match trace.addr(inst) {
        None => f.write_str("[?]")?,
        Some(addr) => {
            f.write_char('[')?;
            write_operand(f, trace, addr.base, Type::I64)?;
            if !addr.index.is_none() {
                f.write_str(" + ")?;
                write_operand(f, trace, addr.index, Type::I64)?;
                write!(f, "*{}", addr.scale)?;
            }
            if addr.disp != 0 {
                f.write_str(if addr.disp < 0 { " - " } else { " + " })?;
                write_magnitude(f, addr.disp.unsigned_abs().into())?;
            }
            f.write_char(']')?;
        }
    }
    write!(f, " !{}", class_name(&trace.decls, inst.class()))
}

/// Numbers up to 16 bits are read as counts, larger ones as addresses or patterns.
fn write_magnitude(f: &mut impl Write, n: u128) -> fmt::Result {
    if n < 0x1_0000 { write!(f, "{n}") } else { write!(f, "{n:#x}") }
}

fn write_operand(f: &mut impl Write, trace: &Trace, op: Operand, ty: Type) -> fmt::Result {
    match op.kind() {
        OperandKind::Value(v) => write!(f, "{v}"),
        OperandKind::Any => f.write_str("any"),
        OperandKind::Recipe(_) | OperandKind::None => f.write_char('?'),
        OperandKind::Int(_) | OperandKind::Const(_) => write_literal(f, trace, op, ty),
    }
}

fn write_literal(f: &mut impl Write, trace: &Trace, op: Operand, ty: Type) -> fmt::Result {
    let Some(i) = trace.literal_int(op) else {
        let Some(w) = trace.literal_bits(op, Type::V512) else { return f.write_char('?') };
        let mut digits = String::with_capacity(128);
        for x in w.iter().rev() {
            write!(digits, "{x:016x}")?;
        }
        return write!(f, "0x{}", digits.trim_start_matches('0'));
    };
    match ty {
        Type::F64 if f64::from_bits(i as u64).is_finite() => write!(f, "{:?}", f64::from_bits(i as u64)),
        Type::F32 if f32::from_bits(i as u32).is_finite() => write!(f, "{:?}", f32::from_bits(i as u32)),
        Type::F32 | Type::F64 | Type::Flags | Type::V128 | Type::V256 | Type::V512 => {
            if i == 0 {
                f.write_char('0')
            } else {
                write!(f, "{:#x}", i as u128)
            }
        }
        _ => {
            if i < 0 {
                f.write_char('-')?;
            }
            write_magnitude(f, i.unsigned_abs())
        }
    }
}
