//! The recorder: follows the interpreter and writes what it does into a trace.
//!
//! [`Recorder::step`] is called *before* each instruction runs, so the operands can be looked at ([`Recorder::live`]), what the instruction
//! will do is known, and the trace guards what that depended on. A guard that fails leaves to the instruction itself, with the state in front of it;
//! so an instruction's guards come before its changes ([`Recorder::set`]).
//!
//! Terms
//! - A *word* is a slot of the Lua stack; the base at the entry of the trace is word [`ENTRY`], so that there is room for frames below, into
//!   which the trace may return. The running function's slots begin at word [`Recorder::base`].
//! - A value ([`V`]) is what the trace knows of a Lua value: its type once that is guarded ([`Kind`]), and the forms in which the trace has it.
//!   An integer is an `i32` of the trace; no slot ever holds one.
//! - A *place* ([`Place`]) is where an exit goes on: instruction, and by how many words the base has moved since entry.
//!
//! ```text
//! 0006 ADDVV 3 3 4     %7: i1 = has_tag %5, num       (slot 3, unless the trace knows that it is a number)
//!                      guard %7 else exit 2
//!                      %8: f64 = unbox %5, num
//!                      %9: f64 = fadd %8, %6          (slot 4, known from before)
//!                      %10: i64 = box %9, num         slot 3 from here on
//! ```
//!
//! A loop is recorded as a straight line; [`close`] makes the slots that it has changed parameters when it comes round.

mod arith;
mod calls;
mod close;
mod closures;
mod compare;
mod data;
mod flow;
mod native;
mod tables;

use std::sync::Arc;

use ir::builder::Builder;
use ir::op::Op as O;
use ir::snapshot::ExitKind;
use ir::trace::{Addr, FactArg, Trace};
use ir::types::{ClassId, ExitId, Operand, Pc, Type};
use rustc_hash::FxHashMap;

use super::layout::{ENTRY, Helper, Layout, MOST_WORDS};
use crate::bytecode::{Ins, Op};
use crate::object::{Proto, Thread};
use crate::state::Global;
use crate::value::{PTR_MASK, Tag, Value};

/// The type of a value, as far as the trace knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Not known.
    Any,
    /// A number.
    Num,
    /// Of this tag; of nil, false and true also the value.
    Tag(Tag),
}

impl Kind {
    /// The kind of a value.
    pub fn of(v: Value) -> Kind {
        match v.tag() {
            Tag::Number => Kind::Num,
            tag => Kind::Tag(tag),
        }
    }
}

/// A Lua value in the trace; see the module.
#[derive(Clone, Copy, Debug)]
pub struct V {
    /// Its type.
    pub kind: Kind,
    word: Operand,
    num: Operand,
    int: Operand,
    ptr: Operand,
    /// The value, if the trace knows that it is this one.
    pub value: Option<Value>,
}

/// Where and how an exit goes on.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The instruction.
    pub pc: *const Ins,
    /// Words by which the base has moved since entry.
    pub moved: i32,
    /// What is to be done.
    pub kind: PlaceKind,
}

/// See [`Place`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaceKind {
    /// Go on there.
    Resume,
    /// The same, but no trace is worth while there.
    Cold,
    /// Raise the error that waits in the state; the library function at the new base was running.
    Raise,
}

/// Where control goes after an instruction, for the recorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It has been recorded.
    Go,
    /// It cannot be: the trace ends in front of it.
    Stop,
    /// The recording is worth nothing.
    Abort(&'static str),
}

/// A frame of an inlined call.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Base of the caller, as a word.
    base: usize,
    /// Words below the frame's base that a vararg frame has.
    vararg: usize,
}

/// Bytecodes that a trace has at least if it ends in front of what cannot be recorded: fewer cost more than they gain.
const SHORTEST: u32 = 12;

/// How a recording ended.
#[derive(Debug)]
pub enum Recorded {
    /// Not yet.
    Going,
    /// With this trace.
    Done(Box<Finished>),
    /// With nothing.
    Failed(&'static str),
}

/// What was recorded.
#[derive(Debug)]
pub struct Finished {
    /// The trace.
    pub trace: Trace,
    /// Its places; exits lead to their indices, counted from the key the recorder was given.
    pub places: Vec<Place>,
    /// What it embeds.
    pub kept: Vec<Value>,
    /// Is it a loop?
    pub is_loop: bool,
    /// The root at which it ends, by its key.
    pub link: Option<u64>,
    /// Bytecodes recorded.
    pub length: u32,
    /// Does it write words of the stack itself?
    pub calls_with_stack: bool,
    /// The function in which it begins.
    pub proto: *const Proto,
}

/// Where and as what a recording begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The state.
    pub g: *mut Global,
    /// The coroutine.
    pub l: *mut Thread,
    /// The base of the running function.
    pub base: *mut Value,
    /// The instruction.
    pub pc: *const Ins,
    /// Does it begin at an exit?
    pub is_side: bool,
    /// First key for places.
    pub first_key: u64,
    /// The key of the trace.
    pub own_key: u64,
    /// The key of the root to whose tree it belongs.
    pub tree: u64,
}

/// Limits of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytecodes.
    pub instructions: u32,
    /// Rounds of an inner loop.
    pub unroll: u32,
    /// Depth of inlined calls of one function.
    pub calls: u32,
}

/// See the module.
pub struct Recorder {
    /// The trace so far.
    pub b: Builder,
    /// Declarations.
    pub layout: Arc<Layout>,
    g: *mut Global,
    l: *mut Thread,
    /// Where it began.
    start: *const Ins,
    /// A trace that begins at an exit does not become a loop.
    is_side: bool,
    /// First key for places.
    first_key: u64,
    /// The key of the trace itself.
    own_key: u64,
    /// The key of its tree's root.
    tree: u64,
    places: Vec<Place>,
    kept: Vec<Value>,
    /// Base of the running function, as a word.
    pub base: usize,
    frames: Vec<Frame>,
    /// By word: what the slot holds.
    vals: Vec<Option<V>>,
    /// The interpreter's base now.
    live_base: *mut Value,
    /// The stack in which that lies.
    stack_now: *mut Value,
    /// The instruction being recorded.
    pc: *const Ins,
    snapshot: Option<ExitId>,
    /// Arguments of the call under way.
    nargs: usize,
    /// Values left by the last open call or vararg.
    multres: Option<usize>,
    /// Heads of the functions of the frames.
    callees: Vec<*const Ins>,
    /// A library function runs that is recorded already: until it comes back to here.
    passing: Option<*const Ins>,
    /// That call is an open one.
    open: Option<native::Open>,
    /// By word: has it been changed since entry?
    dirty: Vec<bool>,
    /// By word: do exits write it? That may be so when it has not been changed, but is dead.
    written: Vec<bool>,
    /// Does the trace write words of the stack itself?
    calls_with_stack: bool,
    /// Highest word for which the stack was checked.
    checked: usize,
    /// Highest word used.
    highest: usize,
    /// The loop that is to be recorded, if it is one: first and last instruction.
    range: Option<(*const Ins, *const Ins)>,
    rounds: FxHashMap<usize, u32>,
    limits: Limits,
    length: u32,
    file: u32,
    file_of: *const Proto,
    first_proto: *const Proto,
}

/// First and last instruction of the loop whose instruction this is.
unsafe fn loop_range(pc: *const Ins) -> Option<(*const Ins, *const Ins)> {
    // SAFETY: loop instructions jump inside the function.
    unsafe {
        let target = pc.add(1).offset(crate::bytecode::j(*pc));
        match Op::from_u8(*pc as u8)? {
            // The iterator's call belongs to the loop.
            Op::FORL | Op::ITERL => Some((target, pc)),
            // What jumps back to it may test first, and lie in front.
            Op::LOOP => {
                let mut first = pc;
                let mut at = pc.add(1);
                while at < target {
                    if Op::from_u8(*at as u8) == Some(Op::JMP) {
                        first = first.min(at.add(1).offset(crate::bytecode::j(*at)));
                    }
                    at = at.add(1);
                }
                Some((first, target.sub(1)))
            }
            _ => None,
        }
    }
}

/// Roots that a recording may run into: the key of the root at an instruction.
pub type Roots = FxHashMap<*const Ins, u64>;

impl Recorder {
    /// A recording that begins there. A side trace that begins where its own tree does goes on for a round: the root's checks have failed
    /// there, and would again.
    pub fn new(layout: Arc<Layout>, start: Start, limits: Limits) -> Recorder {
        let Start { g, l, base, pc, is_side, first_key, own_key, tree } = start;
        let mut b = Builder::new(layout.decls(MOST_WORDS), "t", Pc::Addr(first_key));
        b.assume("Private", &[FactArg::Name("lua".into())]);
        b.assume("NoFaultHandler", &[]);
        let mut r = Recorder {
            b,
            layout,
            g,
            l,
            start: pc,
            is_side,
            first_key,
            own_key,
            tree,
            places: Vec::new(),
            kept: Vec::new(),
            base: ENTRY,
            frames: Vec::new(),
            vals: vec![None; MOST_WORDS],
            live_base: base,
            // SAFETY: a live coroutine.
            stack_now: unsafe { (*l).stack },
            pc,
            snapshot: None,
            nargs: 0,
            multres: None,
            callees: Vec::new(),
            passing: None,
            open: None,
            dirty: vec![false; MOST_WORDS],
            written: vec![false; MOST_WORDS],
            calls_with_stack: false,
            checked: 0,
            highest: ENTRY,
            range: None,
            rounds: FxHashMap::default(),
            limits,
            length: 0,
            file: 0,
            file_of: std::ptr::null(),
            first_proto: std::ptr::null(),
        };
        // SAFETY: the running function is a Lua function.
        unsafe {
            let p = crate::vm::proto_at(base);
            r.checked = ENTRY + (*p).framesize as usize;
            r.keep(*base.sub(2));
            r.first_proto = p;
            if !is_side {
                r.range = loop_range(pc);
            }
            r.name_file(p);
        }
        r
    }

    /// How often the trace has come to where it began, in deeper frames.
    fn depth_of_start(&self) -> u32 {
        // SAFETY: the head stands in front of the first instruction.
        let head = unsafe { self.start.sub(1) };
        self.callees.iter().filter(|&&p| p == head).count() as u32
    }

    /// Looks at the next instruction. `n` is the number of arguments if it is a function's head.
    ///
    /// # Safety
    /// These are the interpreter's registers, in the coroutine that is recorded or another.
    pub unsafe fn step(
        &mut self,
        l: *mut Thread,
        base: *mut Value,
        pc: *const Ins,
        ins: Ins,
        n: usize,
        roots: &Roots,
    ) -> Recorded {
        if l != self.l {
            return Recorded::Failed("another coroutine");
        }
        // SAFETY: a live coroutine; the stack may have moved.
        unsafe {
            let stack = (*l).stack;
            self.live_base = stack.wrapping_byte_offset(self.live_base.byte_offset_from(self.stack_now));
            self.stack_now = stack;
        }
        if let Some(back) = self.passing {
            if pc != back || base != self.live_base {
                return Recorded::Going;
            }
            self.passing = None;
            self.pc = pc;
            self.snapshot = None;
            if !self.came_back() {
                return self.finish(None, false);
            }
        }
        let expected = self.live_base;
        if base != expected {
            return Recorded::Failed("the frame is not where it was expected");
        }
        self.pc = pc;
        self.snapshot = None;
        if pc == self.start && self.length > 0 {
            if self.base == ENTRY && self.frames.is_empty() && !self.is_side {
                return self.finish(None, true);
            }
            if let Some(&key) = roots.get(&pc) {
                return self.finish(Some(key), false);
            }
            if !self.is_side && self.depth_of_start() >= self.limits.calls {
                // Deeper in the same recursion.
                let own = self.own_key;
                return self.finish(Some(own), false);
            }
        } else if let Some(&key) = roots.get(&pc)
            && (self.length > 0 || self.is_side && key != self.tree)
        {
            return self.finish(Some(key), false);
        }
        if let Some((first, last)) = self.range
            && self.frames.is_empty()
            && !(first..=last).contains(&pc)
        {
            return Recorded::Failed("left the loop");
        }
        if self.length >= self.limits.instructions {
            return self.finish(None, false);
        }
        self.length += 1;
        // SAFETY: heads stand in front of everything else of a function; other instructions are those of the running function.
        unsafe { self.mark(pc, ins) };
        match self.record(ins, n) {
            Next::Go => Recorded::Going,
            Next::Stop if self.length < SHORTEST => {
                Recorded::Failed("too short before what cannot be recorded")
            }
            Next::Stop => self.finish(None, false),
            Next::Abort(why) => Recorded::Failed(why),
        }
    }

    /// An error unwinds the stack. If a library function has raised it whose call is recorded, the trace ends behind that call.
    pub fn interrupted(&mut self) -> Recorded {
        let Some(back) = self.passing.take() else { return Recorded::Failed("an error") };
        self.open = None;
        self.pc = back;
        self.snapshot = None;
        self.finish(None, false)
    }

    fn record(&mut self, ins: Ins, n: usize) -> Next {
        use Op as B;
        let Some(op) = Op::from_u8(ins as u8) else { return Next::Stop };
        match op {
            B::ISLT | B::ISGE | B::ISLE | B::ISGT => self.order(op, ins),
            B::ISEQV | B::ISNEV | B::ISEQS | B::ISNES | B::ISEQN | B::ISNEN | B::ISEQP | B::ISNEP => {
                self.equal(op, ins)
            }
            B::ISTC | B::ISFC | B::IST | B::ISF => self.test(op, ins),
            B::MOV | B::NOT | B::KSTR | B::KCDATA | B::KSHORT | B::KNUM | B::KPRI | B::KNIL => {
                self.data(op, ins)
            }
            B::UGET | B::USETV | B::USETS | B::USETN | B::USETP => self.upvalue(op, ins),
            B::UNM | B::POW => self.arith(op, ins),
            B::BNOT | B::BAND | B::BOR | B::BXOR | B::BSHL | B::BSHR | B::BSAR => self.bits(op, ins),
            op if op >= B::ADDVN && op <= B::MODVV => self.arith(op, ins),
            B::LEN => self.len(ins),
            B::CAT => self.cat(ins),
            B::TNEW | B::TDUP => self.new_table(op, ins),
            B::GGET | B::TGETV | B::TGETS | B::TGETB => self.get_table(op, ins),
            B::GSET | B::TSETV | B::TSETS | B::TSETB => self.set_table(op, ins),
            B::JMP | B::LOOP | B::ILOOP => self.jump(op, ins),
            B::FORI => self.fori(ins),
            B::FORL | B::IFORL => self.forl(ins),
            B::ITERL | B::IITERL => self.iterl(ins),
            B::ISNEXT => self.isnext(ins),
            B::ITERN => self.itern(ins),
            B::FNEW => self.fnew(ins),
            B::UCLO => self.uclo(ins),
            B::CALL | B::CALLM | B::CALLT | B::CALLMT | B::ITERC => self.call(op, ins),
            B::RET | B::RET0 | B::RET1 | B::RETM => self.ret(op, ins),
            B::VARG => self.varg(ins),
            B::FUNCF | B::IFUNCF => self.funcf(ins, n),
            B::FUNCV | B::IFUNCV => self.funcv(ins, n),
            _ => Next::Stop,
        }
    }

    // --- where we are --------------------------------------------------------------------------------

    unsafe fn name_file(&mut self, p: *const Proto) {
        if p != self.file_of {
            // SAFETY: a live prototype.
            let name = unsafe { (*p).chunk_name() };
            let name = String::from_utf8_lossy(name.strip_prefix(b"@").unwrap_or(b"chunk"));
            let plain: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "._/-".contains(c) { c } else { '_' })
                .collect();
            self.file = self.b.trace_mut().add_file(&plain);
            self.file_of = p;
        }
    }

    unsafe fn mark(&mut self, pc: *const Ins, ins: Ins) {
        let Some(op) = Op::from_u8(ins as u8) else { return };
        if op >= Op::FUNCF {
            return;
        }
        // SAFETY: the running function is a Lua function, and `pc` points into it.
        unsafe {
            let p = crate::vm::proto_at(self.live_base);
            self.name_file(p);
            let at = pc.offset_from((*p).bc()) as usize;
            let line = (*p).line(at).max(1);
            self.b.at(Pc::Source { file: self.file, line, bytecode: at as u32 });
        }
    }

    /// The prototype of the running function.
    pub fn proto(&self) -> *const Proto {
        // SAFETY: the running function is a Lua function.
        unsafe { crate::vm::proto_at(self.live_base) }
    }

    /// The prototype of the function in which the recording began.
    pub fn first_proto(&self) -> *const Proto {
        self.first_proto
    }

    /// Number constant `i` of the running function.
    pub fn knum(&self, i: usize) -> Value {
        // SAFETY: operands of verified instructions are in range.
        unsafe { *(*self.proto()).k.add(i) }
    }

    /// Collected constant `i`.
    pub fn kgc(&self, i: usize) -> Value {
        // SAFETY: as above.
        unsafe { *(*self.proto()).k.sub(1 + i) }
    }

    /// The shared state.
    pub fn global(&self) -> *mut Global {
        self.g
    }

    /// The coroutine.
    pub fn thread(&self) -> *mut Thread {
        self.l
    }

    /// The shared state as an argument of helpers.
    pub fn g(&mut self) -> Operand {
        let g = self.g as i64;
        self.b.i64(g)
    }

    /// What is embedded so far.
    pub fn kept(&self) -> &[Value] {
        &self.kept
    }

    /// An object is embedded in the trace.
    pub fn keep(&mut self, v: Value) {
        if v.is_gc() && !self.kept.contains(&v) {
            self.kept.push(v);
        }
    }

    // --- exits ---------------------------------------------------------------------------------------

    fn place(&mut self, pc: *const Ins, kind: PlaceKind) -> Pc {
        let key = self.first_key + self.places.len() as u64;
        self.places.push(Place { pc, moved: self.base as i32 - ENTRY as i32, kind });
        Pc::Addr(key)
    }

    /// The exit to the instruction being recorded.
    pub fn exit(&mut self) -> ExitId {
        if let Some(id) = self.snapshot {
            return id;
        }
        let to = self.place(self.pc, PlaceKind::Resume);
        let id = self.b.exit(to, ExitKind::Jump);
        self.snapshot = Some(id);
        id
    }

    /// An exit to another instruction of the running function, with the state as it is now.
    pub fn exit_to(&mut self, pc: *const Ins) -> ExitId {
        let to = self.place(pc, PlaceKind::Resume);
        self.b.exit(to, ExitKind::Jump)
    }

    /// Leaves to the instruction being recorded unless `cond` is 1.
    pub fn guard(&mut self, cond: Operand) {
        let exit = self.exit();
        self.b.guard(cond, exit);
    }

    /// The same, where it is not worth while to make a trace of what follows.
    pub fn guard_cold(&mut self, cond: Operand) {
        let to = self.place(self.pc, PlaceKind::Cold);
        let exit = self.b.exit(to, ExitKind::Jump);
        self.b.guard(cond, exit);
    }

    /// Leaves to the instruction being recorded unless two `i64` are equal.
    pub fn guard_eq(&mut self, a: Operand, value: u64) {
        let k = self.b.i64(value as i64);
        let c = self.b.bin(O::Eq, Type::I64, a, k);
        self.guard(c);
    }

    /// Negates an `i1`.
    pub fn not(&mut self, a: Operand) -> Operand {
        self.b.un(O::Not, Type::I1, a)
    }

    // --- memory and calls ----------------------------------------------------------------------------

    /// Loads from `[base + disp]`.
    pub fn load(&mut self, ty: Type, base: Operand, disp: i64, class: ClassId) -> Operand {
        self.b.load(ty, Addr { base, index: Operand::NONE, scale: 1, disp }, class)
    }

    /// Stores to `[base + disp]`.
    pub fn store(&mut self, ty: Type, value: Operand, base: Operand, disp: i64, class: ClassId) {
        self.b.store(ty, value, Addr { base, index: Operand::NONE, scale: 1, disp }, class);
    }

    /// The base of the frame at entry. The stack may move in calls, so the trace reads it from where those keep it.
    pub fn stack(&mut self) -> Operand {
        // SAFETY: only the address is computed.
        let cell = unsafe { &raw const (*self.g).jit_base as i64 };
        let class = self.layout.class.thread;
        let cell = self.b.i64(cell);
        let at = self.load(Type::I64, cell, 0, class);
        self.load(Type::I64, at, 0, class)
    }

    /// Calls a helper that raises nothing.
    pub fn helper(&mut self, helper: Helper, args: &[Operand]) -> Operand {
        self.b.call(helper.id, args, None)
    }

    /// Calls a helper that may fail without having done anything: then the interpreter does the instruction again, and raises the error.
    pub fn helper_raising(&mut self, helper: Helper, args: &[Operand]) -> Operand {
        let to = self.place(self.pc, PlaceKind::Cold);
        let exit = self.b.exit(to, ExitKind::Jump);
        self.b.call(helper.id, args, Some(exit))
    }

    /// Leaves to the instruction if the collector is due, before something is allocated.
    pub fn gc_check(&mut self) {
        // SAFETY: fields of the live state.
        let (total, threshold) =
            unsafe { (&raw const (*self.g).heap.total as i64, &raw const (*self.g).heap.threshold as i64) };
        let class = self.layout.class.gc;
        let (total, threshold) = (self.b.i64(total), self.b.i64(threshold));
        let total = self.load(Type::I64, total, 0, class);
        let threshold = self.load(Type::I64, threshold, 0, class);
        let c = self.b.bin(O::Ult, Type::I64, total, threshold);
        self.guard_cold(c);
    }

    // --- values --------------------------------------------------------------------------------------

    /// What slot `slot` of the running function holds now in the interpreter.
    pub fn live(&self, slot: usize) -> Value {
        // SAFETY: slots of the running function.
        unsafe { *self.live_base.add(slot) }
    }

    /// A value of unknown type.
    pub fn val_word(&self, word: Operand, kind: Kind) -> V {
        V { kind, word, num: Operand::NONE, int: Operand::NONE, ptr: Operand::NONE, value: None }
    }

    /// A number.
    pub fn val_num(&self, num: Operand) -> V {
        V { num, ..self.val_word(Operand::NONE, Kind::Num) }
    }

    /// An integer.
    pub fn val_int(&self, int: Operand) -> V {
        V { int, ..self.val_word(Operand::NONE, Kind::Num) }
    }

    /// An object.
    pub fn val_ptr(&self, tag: Tag, ptr: Operand) -> V {
        V { ptr, ..self.val_word(Operand::NONE, Kind::Tag(tag)) }
    }

    /// A constant.
    pub fn val_const(&mut self, value: Value) -> V {
        self.keep(value);
        let word = self.b.i64(value.0 as i64);
        let mut v = self.val_word(word, Kind::of(value));
        v.value = Some(value);
        if let Some(n) = value.as_number() {
            v.num = self.b.f64(n);
            if n as i32 as f64 == n && value.0 != 1 << 63 {
                v.int = self.b.int(Type::I32, (n as i32).into());
            }
        } else if value.is_gc() {
            v.ptr = self.b.i64((value.0 & PTR_MASK) as i64);
        }
        v
    }

    /// What a slot holds; its type may be unknown.
    pub fn get(&mut self, slot: usize) -> V {
        self.get_word(self.base + slot)
    }

    fn get_word(&mut self, n: usize) -> V {
        let Some(known) = self.vals.get(n).copied() else {
            // Too high: the instruction will be refused.
            return self.val_const(Value::NIL);
        };
        if let Some(v) = known {
            return v;
        }
        self.highest = self.highest.max(n);
        let word = self.b.get(Layout::word(n));
        let v = self.val_word(word, Kind::Any);
        self.vals[n] = Some(v);
        v
    }

    /// What a slot holds, its type guarded to be what it is now.
    pub fn typed(&mut self, slot: usize) -> V {
        let v = self.get(slot);
        if v.kind != Kind::Any {
            return v;
        }
        let live = self.live(slot);
        let v = self.with_kind(v, Kind::of(live));
        self.vals[self.base + slot] = Some(v);
        v
    }

    /// The value with its type guarded.
    pub fn with_kind(&mut self, v: V, kind: Kind) -> V {
        if v.kind != Kind::Any {
            return v;
        }
        match kind {
            Kind::Any => return v,
            Kind::Num => {
                let c = self.b.has_tag(v.word, self.layout.num);
                self.guard(c);
            }
            Kind::Tag(tag @ (Tag::Nil | Tag::False | Tag::True)) => {
                let value = match tag {
                    Tag::Nil => Value::NIL,
                    Tag::False => Value::FALSE,
                    _ => Value::TRUE,
                };
                self.guard_eq(v.word, value.0);
                return self.val_const(value);
            }
            Kind::Tag(tag) => {
                let by = self.b.i64(i64::from(crate::value::TAG_SHIFT));
                let top = self.b.bin(O::Sar, Type::I64, v.word, by);
                self.guard_eq(top, !(tag as u64));
            }
        }
        V { kind, ..v }
    }

    /// The value, guarded to be this one.
    pub fn guard_value(&mut self, v: V, value: Value) -> V {
        if v.value == Some(value) {
            return v;
        }
        let word = self.word(v);
        self.guard_eq(word, value.0);
        self.val_const(value)
    }

    /// Its boxed word.
    pub fn word(&mut self, v: V) -> Operand {
        if !v.word.is_none() {
            return v.word;
        }
        if v.kind == Kind::Num {
            let num = self.num(v);
            return self.b.box_(num, self.layout.num);
        }
        let Kind::Tag(tag) = v.kind else { return v.word };
        let bits = self.b.i64(tag.bits() as i64);
        self.b.bin(O::Or, Type::I64, v.ptr, bits)
    }

    /// A number's double. (Of anything else, something.)
    pub fn num(&mut self, v: V) -> Operand {
        if !v.num.is_none() {
            return v.num;
        }
        if !v.int.is_none() {
            return self.b.convert(O::Sitof, Type::I32, Type::F64, v.int);
        }
        self.b.unbox(v.word, self.layout.num)
    }

    /// An object's address.
    pub fn ptr(&mut self, v: V) -> Operand {
        if !v.ptr.is_none() {
            return v.ptr;
        }
        let mask = self.b.i64(PTR_MASK as i64);
        self.b.bin(O::And, Type::I64, v.word, mask)
    }

    /// Is it known to be an integer?
    pub fn known_int(&self, v: V) -> Option<Operand> {
        (!v.int.is_none()).then_some(v.int)
    }

    /// A number as an integer, guarded to be one of 32 bits.
    pub fn int(&mut self, v: V) -> Operand {
        if !v.int.is_none() {
            return v.int;
        }
        let num = self.num(v);
        let int = self.b.convert(O::Ftosi, Type::F64, Type::I32, num);
        let back = self.b.convert(O::Sitof, Type::I32, Type::F64, int);
        let same = self.b.bin(O::Feq, Type::F64, back, num);
        self.guard(same);
        int
    }

    /// The slot has this value from here on.
    pub fn set(&mut self, slot: usize, v: V) {
        self.set_word(self.base + slot, v);
    }

    fn set_word(&mut self, n: usize, v: V) {
        if n >= self.vals.len() {
            return;
        }
        self.highest = self.highest.max(n);
        let word = self.word(v);
        self.vals[n] = Some(V { word, ..v });
        self.dirty[n] = true;
        self.written[n] = true;
        self.b.set(Layout::word(n), word);
    }

    /// A word as a literal: links.
    fn set_raw(&mut self, n: usize, word: u64) {
        if n >= self.vals.len() {
            return;
        }
        self.highest = self.highest.max(n);
        let literal = self.b.i64(word as i64);
        self.vals[n] = Some(self.val_word(literal, Kind::Any));
        self.dirty[n] = true;
        self.written[n] = true;
        self.b.set(Layout::word(n), literal);
    }

    /// Nothing is known of the words from `n` on, and nobody will ask.
    fn forget_from(&mut self, n: usize) {
        for v in self.vals.iter_mut().skip(n) {
            *v = None;
        }
    }

    /// Has the trace room for so many slots of the running function?
    fn fits(&self, slots: usize) -> bool {
        self.base + slots + 4 < MOST_WORDS
    }
}
