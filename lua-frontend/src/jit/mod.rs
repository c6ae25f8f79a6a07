//! The trace compiler of `rjit`: hot paths of Lua through the shared trace core.
//!
//! In the order data flows: [`hot`] (counters at loops and function heads), [`record`] (the path that runs becomes a trace; [`recipes`]
//! for library functions), [`compile`] (passes, code generation, cache; [`host`], [`layout`], [`helpers`] say what those are told about Lua),
//! [`enter`] (into the code and out of it). This file holds what there is ([`Jit`]) and decides what to record.
//!
//! Terms
//! - A *root* begins at a loop instruction or behind the head of a function, where the interpreter enters it. A *side trace* begins at an exit of
//!   another trace, and is entered from there only.
//! - A *place* is where an exit goes on. It has a number, the *key*, and so has each root; fragments and exits are known to the cache by keys.
//! - A trace keeps alive what it embeds.
//!
//! At an exit the stack is as the interpreter would have it, and the interpreter goes on at the place's instruction, which it runs itself even
//! if a root begins there: so there is progress.

pub mod compile;
pub mod enter;
pub mod helpers;
pub mod host;
pub mod hot;
pub mod layout;
pub mod options;
pub mod recipes;
pub mod record;
mod stay;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::bytecode::{Ins, Op};
use crate::error::Throw;
use crate::object::{Proto, Thread};
use crate::state::Global;
use crate::value::Value;
use compile::Compiler;
use layout::Layout;
use options::Options;
use record::{Finished, Limits, Place, PlaceKind, Recorded, Recorder, Roots, Start};
use stay::{Stay, Verdict};

/// How often a head is passed over at most where recording gave nothing.
const MOST_PENALTY: u32 = 1 << 12;

/// Each time that a tree grows by so many side traces an exit has to be twice as hot to get one: many exits that are each taken now and then
/// cost more to compile than they can give back.
const SIDES_PER_DOUBLING: u32 = 8;

/// What there is of a place or root.
#[derive(Clone, Copy, Debug)]
struct Node {
    place: Place,
    /// Times that an exit to it was taken.
    count: u32,
    /// Recordings begun at it.
    tries: u32,
    /// The root at which its trace goes on, by its key.
    link: Option<u64>,
    /// The root of the tree that it is part of.
    tree: u64,
    /// Of a root: its code.
    entry: usize,
    /// Of a root: the function in which it begins.
    proto: *const Proto,
    /// Of a root.
    stay: Stay,
}

impl Node {
    fn new(place: Place, tree: u64) -> Node {
        Node {
            place,
            count: 0,
            tries: 0,
            link: None,
            tree,
            entry: 0,
            proto: std::ptr::null(),
            stay: Stay::default(),
        }
    }
}

/// A trace in the cache.
#[derive(Debug)]
pub struct Trace {
    /// Its key: that of the root, or of the exit at which it begins.
    pub key: u64,
    /// Where it begins.
    pub start: *const Ins,
    /// The function in which it begins, which it keeps alive.
    proto: *const Proto,
    /// Does it begin at an exit?
    pub is_side: bool,
    /// Does it go round?
    pub is_loop: bool,
    /// Its exits: number in the cache and key.
    exits: Vec<(fragcache::ExitId, u64)>,
    /// Bytes of code.
    pub len: u32,
}

/// What the interpreter does after a look at the compiler.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// What it was about to do.
    Interpret,
    /// Go on there.
    Resume(*mut Value, *const Ins),
    /// Raise this error in the library function at this base.
    Raise(*mut Value, Throw),
}

/// What is being recorded.
struct Recording {
    recorder: Recorder,
    /// The key of the root or of the exit.
    key: u64,
    is_side: bool,
    /// The first key of its places.
    first: u64,
}

/// Counts, for `-jv`-like summaries and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Traces made.
    pub traces: u64,
    /// Of them, side traces.
    pub side: u64,
    /// Recordings that gave none.
    pub aborts: u64,
    /// Entries from the interpreter.
    pub entries: u64,
    /// Bytes of code.
    pub bytes: u64,
}

/// See the module.
pub struct Jit {
    /// What was set.
    pub options: Options,
    /// Made when something is recorded for the first time.
    layout: Option<Arc<Layout>>,
    compiler: Option<Compiler>,
    /// Keys of roots by instruction.
    roots: Roots,
    /// By key.
    nodes: Vec<Node>,
    /// Traces by key.
    traces: FxHashMap<u64, Trace>,
    /// Side traces by the key of their root.
    sides: FxHashMap<u64, u32>,
    /// Keys of places by exit of the cache.
    exits: Vec<u64>,
    /// What traces embed.
    pub kept: Vec<Value>,
    recording: Option<Box<Recording>>,
    /// Heads at which recording gave nothing: how often they are passed over, and how often they still are.
    penalties: FxHashMap<*const Ins, (u32, u32)>,
    /// Counts.
    pub stats: Stats,
    /// Dump to standard error (`RJIT_DUMP`).
    dump: bool,
}

impl Jit {
    /// A compiler with nothing compiled; `None` where there is no code generator.
    pub fn new(options: Options) -> Option<Jit> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        Some(Jit {
            options,
            layout: None,
            compiler: None,
            roots: Roots::default(),
            nodes: Vec::new(),
            traces: FxHashMap::default(),
            sides: FxHashMap::default(),
            exits: Vec::new(),
            kept: Vec::new(),
            recording: None,
            penalties: FxHashMap::default(),
            stats: Stats::default(),
            dump: std::env::var_os("RJIT_DUMP").is_some(),
        })
    }

    /// How many objects traces embed, with those of the recording.
    pub fn kept_count(&self) -> usize {
        self.kept.len() + self.recording.as_ref().map_or(0, |r| r.recorder.kept().len())
    }

    /// One of them.
    pub fn kept_value(&self, i: usize) -> Value {
        let recorded = || self.recording.as_ref().and_then(|r| r.recorder.kept().get(i - self.kept.len()));
        self.kept.get(i).or_else(recorded).copied().unwrap_or(Value::NIL)
    }

    /// Is something being recorded?
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    fn limits(&self) -> Limits {
        let o = &self.options;
        Limits { instructions: o.maxrecord, unroll: o.loopunroll, calls: o.callunroll.max(1) }
    }

    fn new_node(&mut self, pc: *const Ins) -> u64 {
        let place = Place { pc, moved: 0, kind: PlaceKind::Resume };
        let key = self.nodes.len() as u64;
        self.nodes.push(Node::new(place, key));
        key
    }

    /// The interpreter is hot at an instruction, about to run it.
    ///
    /// # Safety
    /// These are the interpreter's registers.
    pub unsafe fn arrive(
        this: *mut Jit,
        g: *mut Global,
        l: *mut Thread,
        base: *mut Value,
        pc: *const Ins,
    ) -> Action {
        // SAFETY: as the caller promised. No reference to the compiler lives while a trace runs, because a library function that the
        // trace calls may call Lua, and that comes here.
        unsafe {
            match (*this).look(g, l, base, pc) {
                Some(root) => Jit::run(this, g, l, base, root),
                None => Action::Interpret,
            }
        }
    }

    /// The root to enter at an instruction that is hot, if there is one; or a recording begins.
    unsafe fn look(
        &mut self,
        g: *mut Global,
        l: *mut Thread,
        base: *mut Value,
        pc: *const Ins,
    ) -> Option<u64> {
        if self.recording.is_some() {
            return None;
        }
        if let Some(&key) = self.roots.get(&pc) {
            // SAFETY: the running function is a Lua function.
            if unsafe { (*crate::vm::proto_at(base)).pflags } & crate::bytecode::flags::NOJIT != 0 {
                return None;
            }
            let stay = &mut self.nodes[key as usize].stay;
            if stay.is_asleep() {
                let wakes = stay.passed_over();
                // SAFETY: `pc` is in the running function.
                unsafe {
                    if wakes {
                        mark_root(pc, crate::vm::proto_at(base));
                    } else {
                        reset_counter(base, pc);
                    }
                }
                return None;
            }
            return Some(key);
        }
        // SAFETY: `pc` is in the running function.
        unsafe { reset_counter(base, pc) };
        if let Some((_, left)) = self.penalties.get_mut(&pc)
            && *left > 0
        {
            *left -= 1;
            return None;
        }
        if self.traces.len() < self.options.maxtrace as usize {
            // SAFETY: as the caller promised.
            unsafe { self.begin(g, l, base, pc, None) };
        }
        None
    }

    /// Runs a root, and the traces it leads to, until the interpreter has something to do.
    unsafe fn run(this: *mut Jit, g: *mut Global, l: *mut Thread, base: *mut Value, root: u64) -> Action {
        // SAFETY: by the caller's promise. The entry is that of a live fragment; the stack has room for the frame, as the function's
        // head has seen.
        unsafe {
            let (entry, begun) = (*this).entering(root);
            let outer = (*g).jit_base;
            let mut cell = base as usize;
            (*g).jit_base = &raw mut cell;
            let (exit, base) = enter::run(entry, &raw mut cell);
            (*g).jit_base = outer;
            (*this).left(g, l, base as *mut Value, root, begun, exit)
        }
    }

    /// A root is about to be entered: its code, and the time if the visit is to be judged.
    fn entering(&mut self, root: u64) -> (usize, Option<u64>) {
        self.stats.entries += 1;
        let node = &mut self.nodes[root as usize];
        (node.entry, node.stay.begins().then(enter::clock))
    }

    /// A visit that began at `root` has ended by `exit`.
    unsafe fn left(
        &mut self,
        g: *mut Global,
        l: *mut Thread,
        base: *mut Value,
        root: u64,
        begun: Option<u64>,
        exit: u32,
    ) -> Action {
        if let Some(begun) = begun {
            let node = &self.nodes[root as usize];
            let (pc, proto) = (node.place.pc, node.proto);
            let ticks = enter::clock().wrapping_sub(begun);
            let verdict = self.nodes[root as usize].stay.ended(ticks);
            if verdict != Verdict::Awake {
                // SAFETY: what traces embed is kept, and so are the functions in which they begin.
                unsafe {
                    *counter(proto, pc) = 0;
                    if verdict == Verdict::Hopeless {
                        retire(proto, pc);
                    }
                }
            }
        }
        let Some(&key) = self.exits.get(exit as usize) else { return Action::Interpret };
        let node = &mut self.nodes[key as usize];
        let place = node.place;
        if place.kind == PlaceKind::Raise {
            // SAFETY: the helper has left the error.
            let e = unsafe { (*g).jit_throw.take() }.unwrap_or(Throw::Run);
            return Action::Raise(base, e);
        }
        if place.kind == PlaceKind::Resume {
            node.count += 1;
            let sides = self.sides.get(&node.tree).copied().unwrap_or(0);
            if node.count >= self.options.hotexit << (sides / SIDES_PER_DOUBLING).min(16)
                && node.tries < self.options.tryside
                && sides < self.options.maxside
                && self.recording.is_none()
            {
                node.count = 0;
                node.tries += 1;
                // SAFETY: the state at the exit is the interpreter's.
                unsafe { self.begin(g, l, base, place.pc, Some(key)) };
            }
        }
        Action::Resume(base, place.pc)
    }

    /// Begins to record at an instruction; `at` is the exit of a side trace.
    unsafe fn begin(
        &mut self,
        g: *mut Global,
        l: *mut Thread,
        base: *mut Value,
        pc: *const Ins,
        at: Option<u64>,
    ) {
        // SAFETY: a Lua function runs.
        unsafe {
            if (*g).hookmask != 0 || (*crate::vm::proto_at(base)).pflags & crate::bytecode::flags::NOJIT != 0
            {
                return;
            }
        }
        // Code is never thrown away, so that no entry or exit is ever stale.
        if self.stats.bytes >= u64::from(self.options.maxmcode) << 10 {
            return;
        }
        if self.layout.is_none() {
            self.layout = Layout::new().map(Arc::new);
        }
        let Some(layout) = self.layout.clone() else { return };
        let key = at.unwrap_or_else(|| self.new_node(pc));
        let first = self.nodes.len() as u64;
        let tree = at.map_or(key, |at| self.nodes[at as usize].tree);
        let start = Start { g, l, base, pc, is_side: at.is_some(), first_key: first, own_key: key, tree };
        let recorder = Recorder::new(layout, start, self.limits());
        self.recording = Some(Box::new(Recording { recorder, key, is_side: at.is_some(), first }));
        // SAFETY: the live state.
        unsafe { hot::install(g) };
    }

    /// An instruction is about to run while something is recorded.
    ///
    /// # Safety
    /// These are the interpreter's registers.
    pub unsafe fn observe(
        &mut self,
        g: *mut Global,
        l: *mut Thread,
        base: *mut Value,
        pc: *const Ins,
        ins: Ins,
        n: usize,
    ) {
        let Some(recording) = &mut self.recording else { return };
        // SAFETY: as promised.
        match unsafe { recording.recorder.step(l, base, pc, ins, n, &self.roots) } {
            Recorded::Going => return,
            Recorded::Done(finished) => {
                let Some(recording) = self.recording.take() else { return };
                self.install(&recording, *finished);
            }
            Recorded::Failed(why) => {
                let Some(recording) = self.recording.take() else { return };
                self.failed(&recording, why);
            }
        }
        // SAFETY: the live state.
        unsafe { hot::install(g) };
    }

    /// An error unwinds the stack: what is recorded ends here.
    ///
    /// # Safety
    /// `g` is the live state.
    pub unsafe fn interrupted(&mut self, g: *mut Global) {
        let Some(mut recording) = self.recording.take() else { return };
        match recording.recorder.interrupted() {
            Recorded::Done(finished) => self.install(&recording, *finished),
            Recorded::Failed(why) => self.failed(&recording, why),
            Recorded::Going => {}
        }
        // SAFETY: the live state.
        unsafe { hot::install(g) };
    }

    /// Gives up what is being recorded.
    pub fn abandon(&mut self, why: &'static str) {
        if let Some(recording) = self.recording.take() {
            self.failed(&recording, why);
        }
    }

    /// No trace is entered from the interpreter any more, and all that is hot becomes so anew. Code that runs now, or that
    /// belongs to a trace which called us, stays.
    pub fn flush(&mut self) {
        self.abandon("flushed");
        for trace in self.roots.values().filter_map(|key| self.traces.get(key)) {
            // SAFETY: the trace keeps the function.
            unsafe { *counter(trace.proto, trace.start) = 0 };
        }
        self.roots.clear();
        self.penalties.clear();
    }

    fn failed(&mut self, recording: &Recording, why: &str) {
        self.stats.aborts += 1;
        if self.dump {
            eprintln!("---- abort {}: {why}", recording.key);
        }
        if !recording.is_side {
            let pc = self.nodes[recording.key as usize].place.pc;
            let (times, left) = self.penalties.entry(pc).or_default();
            if *times == MOST_PENALTY {
                // SAFETY: the recording keeps the function in which it begins.
                unsafe { retire(recording.recorder.first_proto(), pc) };
            }
            *times = (*times * 4 + 3).min(MOST_PENALTY);
            *left = *times;
        }
    }

    fn install(&mut self, recording: &Recording, finished: Finished) {
        let key = recording.key;
        debug_assert_eq!(recording.first as usize, self.nodes.len());
        let tree = self.nodes[key as usize].tree;
        for place in &finished.places {
            self.nodes.push(Node::new(*place, tree));
        }
        if let (Some(link), Some(last)) = (finished.link, self.nodes.last_mut()) {
            // The last place is that of the end.
            last.link = Some(link);
        }
        let mut trace = finished.trace;
        trace.name = format!("t{key}");
        if self.dump {
            eprintln!("---- trace {key} side={} link={:?}\n{trace}", recording.is_side, finished.link);
        }
        if self.compiler.is_none() {
            match Compiler::new(self.options.level, ROOM) {
                Ok(c) => self.compiler = Some(c),
                Err(_) => return self.failed(recording, "no memory for code"),
            }
        }
        let (Some(compiler), Some(layout)) = (&mut self.compiler, &self.layout) else { return };
        let nodes = &self.nodes;
        let place = |key: u64| match nodes.get(key as usize) {
            Some(node) => (node.place.moved, node.link.unwrap_or(key)),
            None => (0, key),
        };
        let made = compiler.compile(&mut trace, layout, key, !finished.calls_with_stack, place, |_, _| {});
        if self.dump {
            eprintln!("---- optimised {key}\n{trace}");
        }
        let made = match made {
            Ok(made) => made,
            Err(e) => {
                let why = e.to_string();
                return self.failed(recording, &why);
            }
        };
        if self.dump
            && let Ok(path) = std::env::var("RJIT_CODE")
        {
            let code = compiler.cache.frag(made.frag);
            // SAFETY: code of a live fragment.
            let bytes = unsafe { std::slice::from_raw_parts(code.start.0 as *const u8, made.len as usize) };
            let _ = std::fs::write(format!("{path}/t{key}.bin"), bytes);
        }
        self.kept.extend(finished.kept);
        for &(exit, to) in &made.exits {
            let at = exit.0 as usize;
            if self.exits.len() <= at {
                self.exits.resize(at + 1, 0);
            }
            self.exits[at] = to;
        }
        if recording.is_side {
            // All the ways out that lead to where it begins now lead into it.
            for trace in self.traces.values() {
                for &(exit, to) in &trace.exits {
                    if to == key {
                        compiler.cache.link(exit, made.frag);
                    }
                }
            }
            *self.sides.entry(tree).or_default() += 1;
            self.stats.side += 1;
        } else {
            self.roots.insert(self.nodes[key as usize].place.pc, key);
        }
        self.stats.traces += 1;
        self.stats.bytes += u64::from(made.len);
        let start = self.nodes[key as usize].place.pc;
        if !recording.is_side {
            // SAFETY: the function is kept.
            unsafe { mark_root(start, finished.proto) };
            let node = &mut self.nodes[key as usize];
            node.entry = made.entry.0;
            node.proto = finished.proto;
        }
        self.traces.insert(
            key,
            Trace {
                key,
                start,
                proto: finished.proto,
                is_side: recording.is_side,
                is_loop: finished.is_loop,
                exits: made.exits,
                len: made.len,
            },
        );
    }
}

/// Bytes that the cache may fill: more than are ever made, see [`Options::maxmcode`], as it must not evict anything.
const ROOM: usize = 16 << 30;

/// The counter of an instruction: that of the head stands for the first instruction behind it, unless that is a loop.
unsafe fn counter(proto: *const Proto, pc: *const Ins) -> *mut u16 {
    // SAFETY: `pc` is an instruction of the prototype, which has a counter each.
    unsafe {
        let at = pc.offset_from((*proto).bc()) as usize;
        let at = if at == 1 && !hot::is_loop(*pc) { 0 } else { at };
        (*proto).hot.add(at)
    }
}

/// No trace is worth while at the head of the function, if that is where this is: calls are no longer counted there.
unsafe fn retire(proto: *const Proto, pc: *const Ins) {
    // SAFETY: `pc` is an instruction of the prototype, whose code is memory of its own; nobody holds references into that.
    unsafe {
        let head = (*proto).bc().cast_mut();
        if pc == head.add(1).cast_const() && !hot::is_loop(*pc) && Op::from_u8(*head as u8) == Some(Op::FUNCF)
        {
            *head = *head & !0xff | Op::IFUNCF as Ins;
        }
    }
}

unsafe fn reset_counter(base: *mut Value, pc: *const Ins) {
    // SAFETY: the running function is a Lua function and `pc` points into it.
    unsafe { *counter(crate::vm::proto_at(base), pc) = 0 }
}

/// The counter says that a root begins there.
unsafe fn mark_root(pc: *const Ins, proto: *const Proto) {
    // SAFETY: by the caller's promise.
    unsafe { *counter(proto, pc) = u16::MAX }
}
