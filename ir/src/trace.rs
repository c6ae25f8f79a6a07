//! The trace: what a front end declares ([`Decls`]), and one linear list of instructions over it ([`Trace`]).
//!
//! ```text
//! trace t1 entry 0x401136 {          Trace::{name, entry}
//!   assume SingleThreaded            Trace::facts
//!   %0: i64 = slot rax               Trace::insts: the prologue …
//! loop(%1: i64 = %0):                … the parameters (Op::Phi), from Trace::loop_at …
//!   at 0x401136                      … and the body
//!   %2: i64 = add %1, 1
//!   guard %3 else exit 1
//!   end loop(%2)                     Trace::end; what is passed stands in the parameters' args[1]
//!   exit 1 resume 0x401140 { … }     Trace::exits
//! }
//! ```
//!
//! Well-formed (checked by [`crate::verify`], assumed by everything else): each value is defined once and
//! before its uses; types fit the op table; every exit named exists; parameters stand exactly at `loop_at`.
//! Values keep their numbers when passes remove or move lines, so numbers have gaps and say nothing about
//! position.
//!
//! An instruction is 24 bytes and owns no memory. What does not fit lives in pools of the trace: constants,
//! operands of calls, natives, pcs. Pools only grow; a pass that rewrites a trace may leave garbage in them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::effects::{AliasTable, Class, ClassSet, EffectBits, Effects, MAX_CLASSES};
use crate::op::{Arg, Form, Op, OpEffect};
use crate::snapshot::{Bind, Exit};
use crate::types::*;

/// A piece of guest state that a trace reads at entry and writes when it leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Its name, `rax`.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The host register that should hold it, by name; a wish.
    pub hint: Option<String>,
}

/// A kind of boxed word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Its name, `int`.
    pub name: String,
    /// What is inside: `i1`–`i64` in the low 48 bits, or `f64` if there is no pattern.
    pub ty: Type,
    /// Bits 48–63 of its words; `None` for floats, which are every word below the least pattern.
    pub pattern: Option<u16>,
}

/// A function of the front end that traces may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Helper {
    /// Its name.
    pub name: String,
    /// Types of its parameters.
    pub params: Vec<Type>,
    /// Type of its result ([`Type::Void`] for none).
    pub result: Type,
    /// What it does to memory, and whether it raises or allocates.
    pub effects: Effects,
}

/// A limit of the format was exceeded, or a name was declared twice.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeclError {
    /// The name is taken in its kind.
    #[error("{0} is declared twice")]
    Twice(String),
    /// More than 64 alias classes, 256 tags or 65536 slots or helpers.
    #[error("too many declarations, {0} does not fit")]
    TooMany(String),
}

/// What a front end declares once for all its traces: state slots, tags, alias classes, helpers. Shared by
/// `Arc`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decls {
    /// State slots, by [`SlotId`].
    pub slots: Vec<Slot>,
    /// Tags, by [`TagId`].
    pub tags: Vec<Tag>,
    /// Alias classes, by [`ClassId`].
    pub classes: Vec<Class>,
    /// Helpers, by [`HelperId`].
    pub helpers: Vec<Helper>,
    alias: AliasTable,
}

impl Decls {
    /// No declarations.
    pub fn new() -> Decls {
        Decls::default()
    }

    /// Declares a slot.
    ///
    /// # Errors
    /// When the name is taken or the table is full; so for the other kinds.
    pub fn add_slot(&mut self, name: &str, ty: Type, hint: Option<&str>) -> Result<SlotId, DeclError> {
        check_new(name, self.slots.iter().map(|s| &s.name), 1 << 16)?;
        self.slots.push(Slot { name: name.into(), ty, hint: hint.map(Into::into) });
        Ok(SlotId(self.slots.len() as u16 - 1))
    }

    /// Declares a tag.
    pub fn add_tag(&mut self, name: &str, ty: Type, pattern: Option<u16>) -> Result<TagId, DeclError> {
        check_new(name, self.tags.iter().map(|s| &s.name), 1 << 8)?;
        self.tags.push(Tag { name: name.into(), ty, pattern });
        Ok(TagId(self.tags.len() as u8 - 1))
    }

    /// Declares an alias class.
    pub fn add_class(
        &mut self,
        name: &str,
        parent: Option<ClassId>,
        disjoint: &[ClassId],
    ) -> Result<ClassId, DeclError> {
        check_new(name, self.classes.iter().map(|s| &s.name), MAX_CLASSES)?;
        self.classes.push(Class { name: name.into(), parent, disjoint: disjoint.into() });
        self.alias = AliasTable::new(&self.classes);
        Ok(ClassId(self.classes.len() as u8 - 1))
    }

    /// Declares a helper.
    pub fn add_helper(
        &mut self,
        name: &str,
        params: &[Type],
        result: Type,
        effects: Effects,
    ) -> Result<HelperId, DeclError> {
        check_new(name, self.helpers.iter().map(|s| &s.name), 1 << 16)?;
        self.helpers.push(Helper { name: name.into(), params: params.into(), result, effects });
        Ok(HelperId(self.helpers.len() as u16 - 1))
    }

    /// The slot of this name. Linear; for parsers and tests.
    pub fn slot(&self, name: &str) -> Option<SlotId> {
        self.slots.iter().position(|s| s.name == name).map(|i| SlotId(i as u16))
    }

    /// The tag of this name.
    pub fn tag(&self, name: &str) -> Option<TagId> {
        self.tags.iter().position(|s| s.name == name).map(|i| TagId(i as u8))
    }

    /// The alias class of this name.
    pub fn class(&self, name: &str) -> Option<ClassId> {
        self.classes.iter().position(|s| s.name == name).map(|i| ClassId(i as u8))
    }

    /// The helper of this name.
    pub fn helper(&self, name: &str) -> Option<HelperId> {
        self.helpers.iter().position(|s| s.name == name).map(|i| HelperId(i as u16))
    }

    /// The may-alias relation over the declared classes.
    pub fn alias(&self) -> &AliasTable {
        &self.alias
    }

    /// The least pattern of any tag shifted into place: words below it (unsigned) are floats.
    pub fn first_tagged_word(&self) -> Option<u64> {
        self.tags.iter().filter_map(|t| t.pattern).min().map(|p| (p as u64) << 48)
    }
}

fn check_new<'a>(
    name: &str,
    mut taken: impl ExactSizeIterator<Item = &'a String>,
    max: usize,
) -> Result<(), DeclError> {
    if taken.len() >= max {
        return Err(DeclError::TooMany(name.into()));
    }
    if taken.any(|n| n == name) { Err(DeclError::Twice(name.into())) } else { Ok(()) }
}

/// One instruction.
///
/// `args` by [`Form`] (an absent operand is [`Operand::NONE`]; indices are [`Operand::index`]):
///
/// | form | args |
/// |---|---|
/// | `Plain` | operands in order; tags, slots and literal integers as indices |
/// | `Phi` | entry value, next value |
/// | `Load` | base, index, displacement |
/// | `Store` | base, index, displacement, what is stored |
/// | `Atomic` | base, displacement, operand, second operand |
/// | `Guard` | condition, exit number |
/// | `Call` | helper, start and length in the operand pool, exit number |
/// | `Native` | index of the [`Native`] |
/// | `At` | index of the [`Pc`], exit number |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Inst {
    /// The operation.
    pub op: Op,
    /// Result type; [`Type::Void`] without result.
    pub ty: Type,
    /// The operand type `T` of the op table (the lane type of vector operations, the type stored by a store);
    /// [`Type::Void`] where the row has no `T`.
    pub aty: Type,
    /// Suffix (flag, condition, rounding mode as `u8`), or for memory operations class | log2(scale) << 6.
    pub attr: u8,
    /// See the table.
    pub args: [Operand; 4],
    /// The value defined; meaningless when `ty` is `Void`.
    pub res: Value,
}

const _: () = assert!(size_of::<Inst>() == 24);

impl Inst {
    /// An instruction with these operands (at most four) and no result number yet.
    pub fn new(op: Op, aty: Type, ty: Type, attr: u8, operands: &[Operand]) -> Inst {
        let mut args = [Operand::NONE; 4];
        for (a, o) in args.iter_mut().zip(operands) {
            *a = *o;
        }
        Inst { op, ty, aty, attr, args, res: Value(0) }
    }

    /// Does it define a value?
    pub fn has_result(&self) -> bool {
        self.ty != Type::Void
    }

    /// Alias class of a memory operation.
    pub fn class(&self) -> ClassId {
        ClassId(self.attr & 63)
    }

    /// Scale of a load's or store's index: 1, 2, 4 or 8.
    pub fn scale(&self) -> u8 {
        1 << (self.attr >> 6)
    }

    /// `attr` for a class and a scale; `None` unless the scale is 1, 2, 4 or 8.
    pub fn mem_attr(class: ClassId, scale: u8) -> Option<u8> {
        let log = match scale {
            1 => 0,
            2 => 1,
            4 => 2,
            8 => 3,
            _ => return None,
        };
        Some(class.0 & 63 | log << 6)
    }

    /// The number of the exit by which it may leave (guards, calls) or whose snapshot it names (`at`).
    pub fn exit(&self) -> Option<ExitId> {
        let arg = match self.op {
            Op::Guard | Op::At => self.args[1],
            Op::Call => self.args[3],
            _ => return None,
        };
        arg.as_index().map(|i| ExitId(i as u32))
    }
}

/// A literal that does not fit in an [`Operand`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Const {
    /// Up to 128 bits, canonical for the type it is used at.
    Int(i128),
    /// A vector with a bit set above bit 127.
    Wide(Box<Wide>),
}

/// Interned constants. Small pools are searched, larger ones hashed.
#[derive(Clone, Default, Debug)]
struct ConstPool {
    list: Vec<Const>,
    map: FxHashMap<Const, u32>,
}

impl ConstPool {
    const SEARCHED: usize = 16;

    fn intern(&mut self, c: Const) -> u32 {
        if self.list.len() <= ConstPool::SEARCHED {
            if let Some(i) = self.list.iter().position(|x| *x == c) {
                return i as u32;
            }
        } else {
            if self.map.is_empty() {
                self.map.extend(self.list.iter().cloned().zip(0..));
            }
            if let Some(i) = self.map.get(&c) {
                return *i;
            }
            self.map.insert(c.clone(), self.list.len() as u32);
        }
        self.list.push(c);
        self.list.len() as u32 - 1
    }
}

/// Longest instruction of any guest, in bytes.
pub const MAX_NATIVE: usize = 15;

/// A guest instruction that stands in the trace as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Native {
    pub(crate) bytes: [u8; MAX_NATIVE],
    pub(crate) len: u8,
    /// Slots it reads, with their values here. A slot not named may hold anything.
    pub inputs: Vec<Bind>,
    /// Slots it writes, for `pick`.
    pub writes: Vec<SlotId>,
    /// What it does besides.
    pub effects: Effects,
}

impl Native {
    /// A native of these bytes; `None` if there are none or more than [`MAX_NATIVE`].
    pub fn new(bytes: &[u8], inputs: Vec<Bind>, writes: Vec<SlotId>, effects: Effects) -> Option<Native> {
        if bytes.is_empty() || bytes.len() > MAX_NATIVE {
            return None;
        }
        let mut buf = [0; MAX_NATIVE];
        buf[..bytes.len()].copy_from_slice(bytes);
        Some(Native { bytes: buf, len: bytes.len() as u8, inputs, writes, effects })
    }

    /// The instruction's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// An argument of a [`Fact`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FactArg {
    /// A number (an address, a page).
    Int(u64),
    /// A name.
    Name(String),
}

/// A revocable fact about the process on which a trace rests: `SingleThreaded`, `CodeUnchanged(0x401000)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fact {
    /// What is assumed.
    pub name: String,
    /// Of what.
    pub args: Vec<FactArg>,
}

/// How a trace ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// Back to the loop head; the values passed are the parameters' `args[1]`.
    Loop,
    /// By an exit, always.
    Exit(ExitId),
}

/// A trace. Clone is a deep copy except for the declarations.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its name, for people.
    pub name: String,
    /// What it refers to.
    pub decls: Arc<Decls>,
    /// Where it begins.
    pub entry: Pc,
    /// What it rests on.
    pub facts: Vec<Fact>,
    /// Prologue, loop parameters, body.
    pub insts: Vec<Inst>,
    /// Index of the first loop parameter in `insts` (or of the first line of the body if there is none).
    pub loop_at: Option<u32>,
    /// How it ends.
    pub end: End,
    /// The exit by which a loop may be left between two iterations, when something else waits: its snapshot is the
    /// state behind the last line of the body. `None` for loops that nobody needs to interrupt.
    pub interrupt: Option<ExitId>,
    /// Its exits, by increasing number.
    pub exits: Vec<Exit>,
    /// Names of source files, for [`Pc::Source`].
    pub files: Vec<Arc<str>>,
    pub(crate) bind_pool: Vec<Bind>,
    pub(crate) recipes: Vec<Inst>,
    pub(crate) natives: Vec<Native>,
    pub(crate) pcs: Vec<Pc>,
    pub(crate) operands: Vec<Operand>,
    consts: ConstPool,
    value_types: Vec<Type>,
}

/// Address of a memory operation: `[base + index*scale + disp]`, mod 2^64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addr {
    /// `i64` operand.
    pub base: Operand,
    /// `i64` operand, or [`Operand::NONE`].
    pub index: Operand,
    /// 1, 2, 4 or 8.
    pub scale: u8,
    /// Displacement in bytes.
    pub disp: i64,
}

impl Addr {
    /// `[base + disp]`
    pub fn new(base: impl Into<Operand>, disp: i64) -> Addr {
        Addr { base: base.into(), index: Operand::NONE, scale: 1, disp }
    }

    /// With `+ index*scale`.
    pub fn indexed(self, index: impl Into<Operand>, scale: u8) -> Addr {
        Addr { index: index.into(), scale, ..self }
    }
}

impl Trace {
    /// An empty trace; it ends with exit 0, which is yet to be added.
    pub fn new(decls: Arc<Decls>, name: &str, entry: Pc) -> Trace {
        Trace {
            name: name.into(),
            decls,
            entry,
            facts: Vec::new(),
            insts: Vec::new(),
            loop_at: None,
            end: End::Exit(ExitId(0)),
            interrupt: None,
            exits: Vec::new(),
            files: Vec::new(),
            bind_pool: Vec::new(),
            recipes: Vec::new(),
            natives: Vec::new(),
            pcs: Vec::new(),
            operands: Vec::new(),
            consts: ConstPool::default(),
            value_types: Vec::new(),
        }
    }

    /// Empties it for another trace over the same declarations, keeping its memory.
    pub fn reset(&mut self, entry: Pc) {
        self.entry = entry;
        self.facts.clear();
        self.insts.clear();
        self.loop_at = None;
        self.end = End::Exit(ExitId(0));
        self.interrupt = None;
        self.exits.clear();
        self.files.clear();
        self.bind_pool.clear();
        self.recipes.clear();
        self.natives.clear();
        self.pcs.clear();
        self.operands.clear();
        self.consts.list.clear();
        self.consts.map.clear();
        self.value_types.clear();
    }

    // --- values ----------------------------------------------------------------------------------

    /// One more than the largest value number in use.
    pub fn value_count(&self) -> usize {
        self.value_types.len()
    }

    /// A new value number of this type.
    pub fn new_value(&mut self, ty: Type) -> Value {
        self.value_types.push(ty);
        Value(self.value_types.len() as u32 - 1)
    }

    /// Makes `v` a value of this type (for the parser, where text gives the numbers).
    pub(crate) fn declare_value(&mut self, v: Value, ty: Type) {
        if self.value_types.len() <= v.index() {
            self.value_types.resize(v.index() + 1, Type::Void);
        }
        self.value_types[v.index()] = ty;
    }

    /// The type of a value; [`Type::Void`] if it does not exist.
    pub fn value_type(&self, v: Value) -> Type {
        self.value_types.get(v.index()).copied().unwrap_or(Type::Void)
    }

    /// The type of an operand that is a value, else `None` (literals have none).
    pub fn operand_type(&self, op: Operand) -> Option<Type> {
        op.as_value().map(|v| self.value_type(v))
    }

    /// Appends an instruction. If its type is not `Void`, gives it a new value number; returns it as an operand
    /// ([`Operand::NONE`] otherwise).
    pub fn push(&mut self, mut inst: Inst) -> Operand {
        if inst.ty == Type::Void {
            self.insts.push(inst);
            return Operand::NONE;
        }
        inst.res = self.new_value(inst.ty);
        self.insts.push(inst);
        Operand::value(inst.res)
    }

    // --- literals --------------------------------------------------------------------------------

    /// The literal `value` made canonical at type `ty`.
    pub fn literal(&mut self, ty: Type, value: i128) -> Operand {
        let value = ty.canonical(value);
        Operand::small(value).unwrap_or_else(|| Operand::constant(self.consts.intern(Const::Int(value))))
    }

    /// The vector literal with these bits (cut off at `ty`'s width).
    pub fn wide_literal(&mut self, ty: Type, bits: &Wide) -> Operand {
        let mut bits = *bits;
        for w in &mut bits[(ty.bits() as usize).div_ceil(64)..] {
            *w = 0;
        }
        if bits[2..].iter().all(|w| *w == 0) {
            let low = (bits[0] as u128 | (bits[1] as u128) << 64) as i128;
            return self.literal(ty, low);
        }
        Operand::constant(self.consts.intern(Const::Wide(Box::new(bits))))
    }

    /// The literal as an integer: sign-extended as it was made canonical. `None` for values and wide vectors.
    pub fn literal_int(&self, op: Operand) -> Option<i128> {
        match op.kind() {
            OperandKind::Int(i) => Some(i as i128),
            OperandKind::Const(c) => match self.consts.list.get(c as usize) {
                Some(Const::Int(i)) => Some(*i),
                _ => None,
            },
            _ => None,
        }
    }

    /// The literal's bits at a type, zero-extended above it; `None` if `op` is not a literal.
    pub fn literal_bits(&self, op: Operand, ty: Type) -> Option<Wide> {
        if let OperandKind::Const(c) = op.kind()
            && let Some(Const::Wide(w)) = self.consts.list.get(c as usize)
        {
            return Some(**w);
        }
        let i = self.literal_int(op)?;
        let mut w = ZERO;
        w[0] = i as u64 & ty.mask64();
        if ty.bits() > 64 {
            w[1] = (i >> 64) as u64;
        }
        Some(w)
    }

    /// The `f64` literal's value.
    pub fn literal_f64(&self, op: Operand) -> Option<f64> {
        self.literal_int(op).map(|i| f64::from_bits(i as u64))
    }

    // --- pools -----------------------------------------------------------------------------------

    /// The pc of an `at` line.
    pub fn at_pc(&self, inst: &Inst) -> Option<Pc> {
        if inst.op != Op::At {
            return None;
        }
        inst.args[0].as_index().and_then(|i| self.pcs.get(i)).copied()
    }

    /// Stores a pc for an `at` line.
    pub fn add_pc(&mut self, pc: Pc) -> Operand {
        self.pcs.push(pc);
        Operand::index(self.pcs.len() as u32 - 1)
    }

    /// The number of a source file for [`Pc::Source`].
    pub fn add_file(&mut self, name: &str) -> u32 {
        if let Some(i) = self.files.iter().position(|f| &**f == name) {
            return i as u32;
        }
        self.files.push(name.into());
        self.files.len() as u32 - 1
    }

    /// What stands behind a `native` line.
    pub fn native(&self, inst: &Inst) -> Option<&Native> {
        if inst.op != Op::Native {
            return None;
        }
        inst.args[0].as_index().and_then(|i| self.natives.get(i))
    }

    /// Stores a native; the operand is the line's `args[0]`.
    pub fn add_native(&mut self, native: Native) -> Operand {
        self.natives.push(native);
        Operand::index(self.natives.len() as u32 - 1)
    }

    /// The operands of a `call` line.
    pub fn call_operands(&self, inst: &Inst) -> &[Operand] {
        let (Some(start), Some(len)) = (inst.args[1].as_index(), inst.args[2].as_index()) else { return &[] };
        if inst.op == Op::Call { self.operands.get(start..start + len).unwrap_or(&[]) } else { &[] }
    }

    /// The helper of a `call` line.
    pub fn call_helper(&self, inst: &Inst) -> Option<(HelperId, &Helper)> {
        if inst.op != Op::Call {
            return None;
        }
        let i = inst.args[0].as_index()?;
        Some((HelperId(i as u16), self.decls.helpers.get(i)?))
    }

    /// A `call` line.
    pub fn make_call(&mut self, helper: HelperId, operands: &[Operand], exit: Option<ExitId>) -> Inst {
        let start = self.operands.len() as u32;
        self.operands.extend_from_slice(operands);
        let ty = self.decls.helpers.get(helper.index()).map_or(Type::Void, |h| h.result);
        let exit = exit.map_or(Operand::NONE, |e| Operand::index(e.0));
        let args = [
            Operand::index(helper.0.into()),
            Operand::index(start),
            Operand::index(operands.len() as u32),
            exit,
        ];
        Inst::new(Op::Call, Type::Void, ty, 0, &args)
    }

    /// The address of a load, store or atomic.
    pub fn addr(&self, inst: &Inst) -> Option<Addr> {
        let [base, second, third, _] = inst.args;
        let (index, disp) = match inst.op.info().form {
            Form::Load | Form::Store => (second, third),
            Form::Atomic => (Operand::NONE, second),
            _ => return None,
        };
        Some(Addr { base, index, scale: inst.scale(), disp: self.literal_int(disp)? as i64 })
    }

    // --- questions that passes ask ---------------------------------------------------------------

    /// What the instruction does besides computing its result.
    pub fn effects(&self, inst: &Inst) -> Effects {
        let one = ClassSet::one(inst.class());
        let none = ClassSet::EMPTY;
        match inst.op.info().effect {
            OpEffect::Pure => Effects::PURE,
            OpEffect::Fault => Effects { bits: EffectBits::FAULTS, ..Effects::PURE },
            OpEffect::Load => Effects { reads: one, writes: none, bits: EffectBits::FAULTS },
            OpEffect::Store => Effects { reads: none, writes: one, bits: EffectBits::FAULTS },
            OpEffect::Atomic => {
                Effects { reads: one, writes: one, bits: EffectBits::FAULTS.or(EffectBits::ORDERS) }
            }
            OpEffect::Fence => Effects { bits: EffectBits::ORDERS.or(EffectBits::KEEP), ..Effects::PURE },
            OpEffect::Guard => Effects { bits: EffectBits::LEAVES, ..Effects::PURE },
            OpEffect::Mark => Effects { bits: EffectBits::KEEP, ..Effects::PURE },
            OpEffect::Helper => match self.call_helper(inst) {
                Some((_, h)) => h.effects,
                None => Effects::BARRIER,
            },
            OpEffect::Line => self.native(inst).map_or(Effects::BARRIER, |n| n.effects),
        }
    }

    /// Calls `f` with each operand that the line uses as data: values and literals, not names, indices or
    /// displacements, and not what a snapshot keeps alive. The second parameter is the type it is used at
    /// ([`Type::Void`] where any vector may stand).
    pub fn for_each_operand(&self, inst: &Inst, mut f: impl FnMut(Operand, Type)) {
        let a = &inst.args;
        match inst.op.info().form {
            Form::Plain => {
                for (arg, o) in inst.op.info().args.iter().zip(a) {
                    let ty = match arg {
                        Arg::T => inst.aty,
                        Arg::R => inst.ty,
                        Arg::I1 => Type::I1,
                        Arg::I64 => Type::I64,
                        Arg::F => Type::Flags,
                        Arg::V => Type::Void,
                        Arg::Tuple => Type::Tuple,
                        Arg::Imm | Arg::Lanes | Arg::Tag | Arg::Slot | Arg::None => continue,
                    };
                    f(*o, ty);
                }
            }
            Form::Phi => {
                f(a[0], inst.ty);
                if !a[1].is_none() {
                    f(a[1], inst.ty);
                }
            }
            Form::Load | Form::Store => {
                if inst.op == Op::Store {
                    f(a[3], inst.aty);
                }
                f(a[0], Type::I64);
                if !a[1].is_none() {
                    f(a[1], Type::I64);
                }
            }
            Form::Atomic => {
                for o in &a[2..2 + inst.op.info().args.len()] {
                    f(*o, inst.aty);
                }
                f(a[0], Type::I64);
            }
            Form::Guard => f(a[0], Type::I1),
            Form::Call => {
                let params = self.call_helper(inst).map_or(&[][..], |(_, h)| &h.params);
                for (i, o) in self.call_operands(inst).iter().enumerate() {
                    f(*o, params.get(i).copied().unwrap_or(Type::Void));
                }
            }
            Form::Native => {
                if let Some(n) = self.native(inst) {
                    for b in &n.inputs {
                        f(b.value, self.decls.slots.get(b.slot.index()).map_or(Type::Void, |s| s.ty));
                    }
                }
            }
            Form::At => {}
        }
    }

    /// The line with each operand that it uses as data replaced by what `f` gives (see [`Trace::for_each_operand`]).
    /// Operands that live in pools get new entries when they change, so lines that share one are not disturbed.
    pub fn map_operands(&mut self, inst: &Inst, mut f: impl FnMut(Operand, Type) -> Operand) -> Inst {
        let mut new = *inst;
        match inst.op.info().form {
            Form::Plain => {
                for (arg, o) in inst.op.info().args.iter().zip(&mut new.args) {
                    let ty = match arg {
                        Arg::T => inst.aty,
                        Arg::R => inst.ty,
                        Arg::I1 => Type::I1,
                        Arg::I64 => Type::I64,
                        Arg::F => Type::Flags,
                        Arg::V => Type::Void,
                        Arg::Tuple => Type::Tuple,
                        Arg::Imm | Arg::Lanes | Arg::Tag | Arg::Slot | Arg::None => continue,
                    };
                    *o = f(*o, ty);
                }
            }
            Form::Phi => {
                for o in new.args.iter_mut().take(2).filter(|o| !o.is_none()) {
                    *o = f(*o, inst.ty);
                }
            }
            Form::Load | Form::Store => {
                if inst.op == Op::Store {
                    new.args[3] = f(new.args[3], inst.aty);
                }
                for o in new.args.iter_mut().take(2).filter(|o| !o.is_none()) {
                    *o = f(*o, Type::I64);
                }
            }
            Form::Atomic => {
                for o in &mut new.args[2..2 + inst.op.info().args.len()] {
                    *o = f(*o, inst.aty);
                }
                new.args[0] = f(new.args[0], Type::I64);
            }
            Form::Guard => new.args[0] = f(new.args[0], Type::I1),
            Form::Call => {
                let (Some(start), Some(len)) = (inst.args[1].as_index(), inst.args[2].as_index()) else {
                    return new;
                };
                let decls = self.decls.clone();
                let params =
                    self.call_helper(inst).map_or(&[][..], |(id, _)| &decls.helpers[id.index()].params);
                let mut changed = None;
                for i in 0..len {
                    let Some(old) = self.operands.get(start + i).copied() else { return new };
                    let o = f(old, params.get(i).copied().unwrap_or(Type::Void));
                    if o != old {
                        let at = *changed.get_or_insert_with(|| {
                            self.operands.extend_from_within(start..start + len);
                            self.operands.len() - len
                        });
                        self.operands[at + i] = o;
                    }
                }
                if let Some(at) = changed {
                    new.args[1] = Operand::index(at as u32);
                }
            }
            Form::Native => {
                let Some(mut native) = self.native(inst).cloned() else { return new };
                let mut changed = false;
                for b in &mut native.inputs {
                    let ty = self.decls.slots.get(b.slot.index()).map_or(Type::Void, |s| s.ty);
                    let o = f(b.value, ty);
                    changed |= o != b.value;
                    b.value = o;
                }
                if changed {
                    new.args[0] = self.add_native(native);
                }
            }
            Form::At => {}
        }
        new
    }

    /// The loop parameters (empty without a loop).
    pub fn params(&self) -> &[Inst] {
        let Some(at) = self.loop_at else { return &[] };
        let rest = self.insts.get(at as usize..).unwrap_or(&[]);
        &rest[..rest.iter().take_while(|i| i.op == Op::Phi).count()]
    }
}
