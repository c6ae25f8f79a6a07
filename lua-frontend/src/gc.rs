//! The collector: incremental, tri-colour, with generations by sticky marks.
//!
//! # Colours
//! *White*: the cell has no mark. *Gray*: marked, and in the list of objects to be traversed. *Black*: marked, traversed, and
//! [`BLACK`] in its header. A cycle ends when nothing is gray; then white cells are free ([`crate::heap`] links them lazily).
//!
//! # The barrier
//! A store into a black object takes its [`BLACK`] flag away and puts it into the list `touched`, once until it is
//! traversed again. Stores into objects without the flag need nothing. So the test is one bit in the object's
//! header whatever the collector is doing. Stacks have no barrier: a coroutine that runs, or has run since it was
//! traversed, is in `touched` as well (it loses the flag when it is resumed).
//!
//! # Generations
//! Marks stay after a cycle: a marked object is *old*. A *minor* cycle keeps all marks and traverses only what is reachable
//! through white objects from the roots and from `touched`; whatever survives is old from then on. A *full* cycle clears
//! all marks first. Old garbage accumulates until the heap has grown by the pause since the last full cycle.
//! A full cycle does not clear the flags in the headers: a white object with the flag is harmless, since the barrier looks at
//! the mark before it lists an object.
//!
//! # A cycle
//! 0. *sweep*, before a full cycle only: the chunks that allocation has not asked for yet;
//! 1. *mark*: roots, then a bounded number of bytes for each step of allocation;
//! 2. *atomic*: roots and `touched` again; upvalues in the stacks of dead coroutines; objects with finalizers that died are
//!    queued and marked; weak tables lose their dead entries; payloads of dead userdata are dropped;
//! 3. *sweep strings*: the interning table loses the dead ones, some buckets for each step;
//! 4. *idle*, while chunks are swept by allocation.
//!
//! Tables with thousands of entries are marked in slices ([`slices`]).
//!
//! Objects made during a cycle are white and must be reached like any other. Blocks owned by tables and threads are
//! marked with their owner.
//!
//! # When
//! Only at safe points ([`check`]), so native code holds references in locals as long as it does not call back (see
//! [`crate::api`]). `RJIT_GC_STRESS=1` runs a full cycle at every safe point.
//!
//! Contract of the unsafe code: everything reachable from the roots is initialised; `top` of every coroutine is above its
//! live slots.

use crate::api::Cx;
use crate::error::Throw;
use crate::heap::{Space, cell_bytes, is_marked, set_mark};
use crate::object::{
    BLACK, FINALIZE, Func, Header, Kind, LuaFunc, NativeFunc, Proto, Str, Table, Thread, Upval, UserData,
};
use crate::state::{CFrame, Event, Global};
use crate::table::nil_node;
use crate::value::{Gc, Tag, Value};

mod control;
mod slices;

pub use control::{
    close, count, finalize_all, full, is_running, restart, set_pause, set_stepmul, step, stop,
};
pub use slices::barrier_store;

/// Bytes of allocation between two steps of a cycle.
const STEP: usize = 32 * 1024;
/// Most steps in one pause.
const STEPS_AT_ONCE: usize = 4;
/// Bytes marked by a step at the usual speed.
const MARK_PER_STEP: usize = 96 * 1024;
/// Buckets of the interning table swept by a step.
const BUCKETS_PER_STEP: usize = 8192;
/// Most minor cycles between two full ones, so that old garbage (weak entries, finalizers) is found even if the heap does
/// not grow.
const MAX_MINORS: u32 = 16;
/// So many changed objects need no round of their own.
const FEW: usize = 256;
/// Rounds of marking before the atomic end of a cycle.
const MAX_ROUNDS: u32 = 3;
/// Chunks swept by a step.
const CHUNKS_PER_STEP: usize = 4;
/// Least allocation between two cycles.
const MIN_NURSERY: usize = 256 * 1024;
/// In the header of a userdata: the finalizer has been queued or called.
const FINALIZED: u8 = 1;
/// Finalizers called by a step.
const FINALIZERS_PER_STEP: usize = 16;

/// What the collector is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Nothing; chunks may be waiting to be swept.
    #[default]
    Idle,
    /// Sweeping what is left, before a full cycle.
    Sweep,
    /// Marking.
    Mark,
    /// Sweeping the interning table.
    Strings,
}

/// Runs the finalizer of a cdata.
pub type CDataFinalizer = fn(Cx, Value) -> Result<(), Throw>;

/// State of the collector.
pub struct Collector {
    /// Phase.
    pub phase: Phase,
    /// To be traversed.
    gray: Vec<*mut Header>,
    /// Large tables whose marking is under way.
    slices: Vec<slices::Slice>,
    /// Black objects that have been changed, and coroutines that may have run.
    touched: Vec<*mut Header>,
    /// Weak tables met in this cycle, and old ones.
    weak: Vec<*mut Table>,
    /// All coroutines.
    pub threads: Vec<*mut Thread>,
    /// All userdata, oldest first; a metatable may get `__gc` at any time.
    userdata: Vec<Gc<UserData>>,
    /// Cdata with a finalizer that has not run.
    finalizers: Vec<Value>,
    /// Dead objects whose finalizer is to be called, last first.
    queue: Vec<Value>,
    /// Marked bytes.
    live: usize,
    /// Allocated bytes that steps have not paid for yet.
    debt: usize,
    /// Is the cycle under way a full one?
    full: bool,
    /// Rounds of marking in this cycle.
    rounds: u32,
    /// Minor cycles since the last full one.
    minors: u32,
    /// Bytes that were live after the last full cycle.
    live_full: usize,
    /// Off by `collectgarbage("stop")`.
    stopped: bool,
    /// Inside a step (finalizers do not nest).
    busy: bool,
    /// Heap size in percent of the live one at which a full cycle begins.
    pause: usize,
    /// Speed of marking relative to allocation.
    stepmul: usize,
    /// Collect at every safe point.
    stress: bool,
    /// Finished cycles.
    pub cycles: u64,
    /// Finalizer of cdata, set by the ffi library.
    pub cdata_gc: Option<CDataFinalizer>,
}

impl Default for Collector {
    fn default() -> Self {
        Collector {
            phase: Phase::Idle,
            gray: Vec::new(),
            slices: Vec::new(),
            touched: Vec::new(),
            weak: Vec::new(),
            threads: Vec::new(),
            userdata: Vec::new(),
            finalizers: Vec::new(),
            queue: Vec::new(),
            live: 0,
            debt: 0,
            full: true,
            rounds: 0,
            minors: 0,
            live_full: 0,
            stopped: false,
            busy: false,
            pause: 200,
            stepmul: 200,
            stress: std::env::var_os("RJIT_GC_STRESS").is_some_and(|v| v != "0"),
            cycles: 0,
            cdata_gc: None,
        }
    }
}

impl Collector {
    /// Allocation volume at which the state should begin.
    pub fn first_threshold(&self) -> usize {
        if self.stress { 0 } else { MIN_NURSERY }
    }
}

/// Is the collector due?
#[inline(always)]
pub fn is_due(g: &Global) -> bool {
    g.heap.total >= g.heap.threshold
}

/// Runs the collector if it is due. A safe point.
#[inline(always)]
pub fn check(g: &mut Global) {
    if is_due(g) {
        step_now(g);
    }
}

/// Runs the collector at a safe point of the interpreter (registers written).
///
/// # Errors
/// `not enough memory`, if an allocation has failed since the last one.
#[cold]
#[inline(never)]
pub(crate) fn step_in_vm(l: *mut Thread) -> Result<(), Throw> {
    // SAFETY: the running coroutine.
    let g = unsafe { &mut *(*l).g };
    step_now(g);
    if g.heap.oom {
        g.heap.oom = false;
        return Err(crate::error::memory(Cx { l }));
    }
    Ok(())
}

/// After a store into a table.
#[inline(always)]
pub fn barrier_table(g: &mut Global, t: Gc<Table>) {
    if t.h.flags & BLACK != 0 {
        barrier_object(g, t.as_ptr().cast());
    }
}

/// After a store into any object.
#[inline(never)]
pub(crate) fn barrier_object(g: &mut Global, o: *mut Header) {
    // SAFETY: a live object.
    unsafe {
        if (*o).flags & BLACK != 0 {
            (*o).flags &= !BLACK;
            if is_marked(o.cast()) {
                g.gc.touched.push(o);
            }
        }
    }
}

/// Registers a cdata whose finalizer must run. (Userdata are looked at when they die.)
pub fn add_finalizer(g: &mut Global, v: Value) {
    if v.as_cdata().is_none() {
        return;
    }
    // SAFETY: a live object.
    unsafe {
        let h = v.ptr::<Header>();
        if (*h).flags & FINALIZE == 0 {
            (*h).flags |= FINALIZE;
            g.gc.finalizers.push(v);
        }
    }
}

/// Registers a new userdata.
pub fn add_userdata(g: &mut Global, u: Gc<UserData>) {
    g.gc.userdata.push(u);
}

impl Global {
    fn mark_value(&mut self, v: Value) {
        if v.is_gc() {
            let p: *mut Header = v.ptr();
            // SAFETY: a live object.
            unsafe {
                if set_mark(p.cast()) {
                    self.gc.live += cell_bytes(p.cast());
                    if !v.is(Tag::Str) {
                        self.mark_first(p);
                    }
                }
            }
        }
    }

    /// Marks an object by its address; null is nothing.
    unsafe fn mark(&mut self, p: *mut Header) {
        // SAFETY: a live object.
        unsafe {
            if !p.is_null() && set_mark(p.cast()) {
                self.gc.live += cell_bytes(p.cast());
                self.mark_first(p);
            }
        }
    }

    unsafe fn mark_str(&mut self, s: *mut Str) {
        // SAFETY: a live string.
        unsafe {
            if !s.is_null() && set_mark(s.cast()) {
                self.gc.live += cell_bytes(s.cast());
            }
        }
    }

    /// An object has just been marked.
    #[inline]
    unsafe fn mark_first(&mut self, p: *mut Header) {
        // SAFETY: a live object.
        unsafe {
            match (*p).kind {
                k if k == Kind::Upval as u8 => {
                    (*p).flags |= BLACK;
                    let v = *(*p.cast::<Upval>()).v;
                    self.mark_value(v);
                }
                k if k == Kind::Str as u8 || k == Kind::CData as u8 || k == Kind::LightBox as u8 => {}
                _ => self.gc.gray.push(p),
            }
        }
    }

    unsafe fn mark_block(&mut self, p: *mut u8) {
        // SAFETY: a live block.
        unsafe {
            if set_mark(p) {
                self.gc.live += cell_bytes(p);
            }
        }
    }

    /// Marks what a gray object refers to; gives the bytes looked at.
    unsafe fn traverse(&mut self, p: *mut Header) -> usize {
        // SAFETY: a live object of the kind that its header says.
        unsafe {
            match (*p).kind {
                k if k == Kind::Table as u8 => self.traverse_table(p.cast()),
                k if k == Kind::Func as u8 => {
                    (*p).flags |= BLACK;
                    self.traverse_func(p.cast())
                }
                k if k == Kind::Proto as u8 => {
                    (*p).flags |= BLACK;
                    self.traverse_proto(p.cast())
                }
                k if k == Kind::UserData as u8 => {
                    (*p).flags |= BLACK;
                    let u: *mut UserData = p.cast();
                    self.mark((*u).env.cast());
                    self.mark((*u).meta.cast());
                    size_of::<UserData>()
                }
                k if k == Kind::Thread as u8 => self.traverse_thread(p.cast()),
                k if k == Kind::Upval as u8 => {
                    (*p).flags |= BLACK;
                    let v = *(*p.cast::<Upval>()).v;
                    self.mark_value(v);
                    size_of::<Upval>()
                }
                _ => 16,
            }
        }
    }

    unsafe fn traverse_table(&mut self, t: *mut Table) -> usize {
        // SAFETY: see the module header; indices stay inside the blocks.
        unsafe {
            (*t).h.flags |= BLACK;
            let (mut weak_keys, mut weak_values) = (false, false);
            if !(*t).meta.is_null() {
                self.mark((*t).meta.cast());
                let mode = crate::vm::meta::lookup_in(self, (*t).meta, Event::Mode);
                if let Some(s) = mode.as_str() {
                    weak_keys = s.bytes().contains(&b'k');
                    weak_values = s.bytes().contains(&b'v');
                    if weak_keys || weak_values {
                        self.gc.weak.push(t);
                    }
                }
            }
            let mut size = size_of::<Table>();
            if !weak_keys && !weak_values && slices::is_large(t) {
                if (*t).acap > 0 {
                    self.mark_block((*t).array.cast());
                }
                if (*t).node != nil_node() {
                    self.mark_block((*t).node.cast());
                }
                self.begin_slices(t);
                return size;
            }
            if (*t).acap > 0 {
                self.mark_block((*t).array.cast());
                size += (*t).acap as usize * 8;
                if !weak_values {
                    for i in 0..(*t).h.n as usize {
                        self.mark_value(*(*t).array.add(i));
                    }
                }
            }
            if (*t).node != nil_node() {
                self.mark_block((*t).node.cast());
                let n = (*t).hmask as usize + 1;
                size += n * 24;
                if !(weak_keys && weak_values) {
                    for i in 0..n {
                        let node = &*(*t).node.add(i);
                        if node.val.is_nil() {
                            continue;
                        }
                        if !weak_keys {
                            self.mark_value(node.key);
                        }
                        if !weak_values {
                            self.mark_value(node.val);
                        }
                    }
                }
            }
            size
        }
    }

    unsafe fn traverse_func(&mut self, f: *mut Func) -> usize {
        // SAFETY: see the module header.
        unsafe {
            let n = (*f).h.y as usize;
            self.mark((*f).env.cast());
            if (*f).is_lua() {
                self.mark(((*f).pc as *mut Proto).sub(1).cast());
                let uv = (&raw mut (*f.cast::<LuaFunc>()).uv).cast::<*mut Upval>();
                for i in 0..n {
                    self.mark((*uv.add(i)).cast());
                }
            } else {
                let uv = (&raw mut (*f.cast::<NativeFunc>()).uv).cast::<Value>();
                for i in 0..n {
                    self.mark_value(*uv.add(i));
                }
            }
            32 + n * 8
        }
    }

    unsafe fn traverse_proto(&mut self, p: *mut Proto) -> usize {
        // SAFETY: see the module header.
        unsafe {
            for i in 0..(*p).sizekgc as usize {
                self.mark_value(*(*p).k.sub(1 + i));
            }
            self.mark_str((*p).chunkname);
            if !(*p).uvnames.is_null() {
                for i in 0..(*p).sizeuv as usize {
                    self.mark_str(*(*p).uvnames.add(i));
                }
            }
            for i in 0..(*p).sizevars as usize {
                self.mark_str((*(*p).vars.add(i)).name);
            }
            (*p).h.n as usize
        }
    }

    unsafe fn traverse_thread(&mut self, l: *mut Thread) -> usize {
        // SAFETY: see the module header.
        unsafe {
            if (*l).h.y != 0 {
                // It runs (or waits for one that runs) and will change without notice.
                self.gc.touched.push(l.cast());
            } else {
                (*l).h.flags |= BLACK;
            }
            self.mark((*l).env.cast());
            self.mark((*l).resumer.cast());
            self.mark_block((*l).stack.cast());
            let mut p = (*l).stack;
            while p < (*l).top {
                self.mark_value(*p);
                p = p.add(1);
            }
            // Nothing above the top is alive: what stands there must not be taken for a reference later.
            let end = (*l).stack.add((*l).h.n as usize);
            while p < end {
                *p = Value::NIL;
                p = p.add(1);
            }
            // Open upvalues stay as long as they are in the list, even if no closure has them any more.
            let mut uv = (*l).openuv;
            while !uv.is_null() {
                self.mark(uv.cast());
                uv = (*uv).closed.0 as *mut Upval;
            }
            let mut cf: *mut CFrame = (*l).cframe;
            while !cf.is_null() {
                if let Some(h) = (*cf).handler {
                    self.mark_value(h);
                }
                cf = (*cf).prev;
            }
            size_of::<Thread>() + (*l).h.n as usize * 8
        }
    }

    unsafe fn mark_roots(&mut self) {
        // SAFETY: the roots are live objects.
        unsafe {
            self.mark(self.main.cast());
            self.mark(self.cur.cast());
            self.mark(self.registry.cast());
            self.mark_str(self.empty);
            for i in 0..self.names.len() {
                self.mark_str(self.names[i]);
            }
            for i in 0..self.type_names.len() {
                self.mark_str(self.type_names[i]);
            }
            for i in 0..self.basemt.len() {
                self.mark(self.basemt[i].cast());
            }
            self.mark_value(self.thrown);
            self.mark_value(self.hookf);
            for i in 0..self.anchors.len() {
                self.mark_value(self.anchors[i]);
            }
            if !self.jit.is_null() {
                for i in 0..(*self.jit).kept_count() {
                    self.mark_value((*self.jit).kept_value(i));
                }
            }
            for i in 0..self.gc.queue.len() {
                self.mark_value(self.gc.queue[i]);
            }
        }
    }

    /// Traverses gray objects until about `bytes` have been looked at; true if none is left.
    unsafe fn propagate(&mut self, bytes: usize) -> bool {
        let mut left = bytes as isize;
        loop {
            let looked_at = match self.gc.gray.pop() {
                // SAFETY: gray objects are alive.
                Some(p) => unsafe { self.traverse(p) },
                // SAFETY: see the module header.
                None => match unsafe { self.mark_slice() } {
                    0 => return true,
                    n => n,
                },
            };
            left -= looked_at as isize;
            if left <= 0 {
                return self.gc.gray.is_empty() && self.gc.slices.is_empty();
            }
        }
    }

    unsafe fn start(&mut self, full: bool) {
        // SAFETY: see the module header.
        unsafe {
            self.gc.full = full;
            self.gc.minors = if full { 0 } else { self.gc.minors + 1 };
            self.gc.gray.clear();
            self.gc.slices.clear();
            if full {
                self.heap.clear_marks();
                self.gc.touched.clear();
                self.gc.weak.clear();
                self.gc.live = 0;
            }
            self.gc.phase = Phase::Mark;
            self.mark_roots();
            self.gc.rounds = 0;
            self.gray_touched();
        }
    }

    /// Objects that have changed are gray again; what changes from now on waits for the next round.
    unsafe fn gray_touched(&mut self) {
        let touched = std::mem::take(&mut self.gc.touched);
        for p in touched {
            // SAFETY: listed objects are alive.
            unsafe {
                if is_marked(p.cast()) && (*p).flags & BLACK == 0 {
                    self.gc.gray.push(p);
                }
            }
        }
    }

    unsafe fn atomic(&mut self) {
        // SAFETY: see the module header.
        unsafe {
            self.mark_roots();
            let touched = std::mem::take(&mut self.gc.touched);
            for &p in &touched {
                if is_marked(p.cast()) && (*p).flags & BLACK == 0 {
                    self.traverse(p);
                }
            }
            self.propagate(usize::MAX >> 1);
            self.dead_stacks();
            self.separate_finalizers();
            self.propagate(usize::MAX >> 1);
            self.clear_weak();
            let all = std::mem::take(&mut self.gc.userdata);
            for u in all {
                if is_marked(u.as_ptr().cast()) {
                    self.gc.userdata.push(u);
                } else {
                    (*u.as_ptr()).payload = None;
                }
            }
            self.gc.threads.retain(|&t| is_marked(t.cast()));
            self.gc.touched.retain(|&t| is_marked(t.cast()));
            self.gc.touched.dedup();
            self.heap.begin_sweep();
            self.heap.sweep_large(Space::Object);
            self.heap.total = self.gc.live;
            self.heap.strings_busy = true;
            self.strings.sweep_pos = 0;
            self.gc.phase = Phase::Strings;
            if self.gc.full {
                self.gc.live_full = self.gc.live;
            }
            self.gc.cycles += 1;
        }
    }

    /// Closes the upvalues that survive in the stacks of coroutines that do not.
    unsafe fn dead_stacks(&mut self) {
        // SAFETY: dead coroutines and their stacks are still in place.
        unsafe {
            loop {
                let mut found = false;
                for i in 0..self.gc.threads.len() {
                    let l = self.gc.threads[i];
                    if is_marked(l.cast()) {
                        continue;
                    }
                    let mut link: *mut *mut Upval = &raw mut (*l).openuv;
                    while !(*link).is_null() {
                        let uv = *link;
                        let next = (*uv).closed.0 as *mut Upval;
                        if is_marked(uv.cast()) {
                            let v = *(*uv).v;
                            *link = next;
                            (*uv).closed = v;
                            (*uv).v = &raw mut (*uv).closed;
                            (*uv).h.y = 1;
                            self.mark_value(v);
                            found = true;
                        } else {
                            link = (&raw mut (*uv).closed).cast();
                        }
                    }
                }
                if !found {
                    return;
                }
                self.propagate(usize::MAX >> 1);
            }
        }
    }

    unsafe fn separate_finalizers(&mut self) {
        // SAFETY: dead objects are still in place.
        unsafe {
            let mut dead = Vec::new();
            for i in 0..self.gc.userdata.len() {
                let u = self.gc.userdata[i];
                if !is_marked(u.as_ptr().cast()) && self.has_finalizer(u) {
                    (*u.as_ptr()).h.y = FINALIZED;
                    dead.push(u.into());
                }
            }
            let all = std::mem::take(&mut self.gc.finalizers);
            for v in all {
                let h = v.ptr::<Header>();
                if is_marked(h.cast()) {
                    self.gc.finalizers.push(v);
                    continue;
                }
                dead.push(v);
            }
            for &v in &dead {
                self.mark_value(v);
            }
            // The youngest is called first: it is taken from the end.
            dead.append(&mut self.gc.queue);
            let older = dead;
            self.gc.queue = older;
        }
    }

    /// Has a userdata a `__gc` that was not called yet?
    unsafe fn has_finalizer(&mut self, u: Gc<UserData>) -> bool {
        u.h.y != FINALIZED
            && !u.meta.is_null()
            && !crate::vm::meta::lookup_in(self, u.meta, Event::Gc).is_nil()
    }

    /// Removes dead entries from weak tables.
    unsafe fn clear_weak(&mut self) {
        // SAFETY: weak tables in the list are alive or unmarked; indices stay inside the blocks.
        unsafe {
            let mut weak = std::mem::take(&mut self.gc.weak);
            weak.retain(|&t| is_marked(t.cast()));
            weak.sort_unstable();
            weak.dedup();
            for &t in &weak {
                let mode = if (*t).meta.is_null() {
                    Value::NIL
                } else {
                    crate::vm::meta::lookup_in(self, (*t).meta, Event::Mode)
                };
                let Some(mode) = mode.as_str() else { continue };
                let keys = mode.bytes().contains(&b'k');
                let values = mode.bytes().contains(&b'v');
                if values {
                    for i in 0..(*t).h.n as usize {
                        let slot = (*t).array.add(i);
                        if self.is_dead(*slot, true) {
                            *slot = Value::NIL;
                        }
                    }
                }
                if (*t).node != nil_node() {
                    for i in 0..=(*t).hmask as usize {
                        let n = (*t).node.add(i);
                        if (*n).val.is_nil() {
                            continue;
                        }
                        let dead_key = keys && self.is_dead((*n).key, false);
                        if dead_key || (values && self.is_dead((*n).val, true)) {
                            (*n).val = Value::NIL;
                        }
                    }
                }
            }
            // Old weak tables are looked at in minor cycles too.
            self.gc.weak = weak;
        }
    }

    /// Does a weak reference to this value end? Strings are values, not objects, for this purpose.
    unsafe fn is_dead(&mut self, v: Value, as_value: bool) -> bool {
        if !v.is_gc() {
            return false;
        }
        if v.is(Tag::Str) {
            self.mark_value(v);
            return false;
        }
        // SAFETY: dead objects are still in place.
        unsafe {
            if !is_marked(v.ptr()) {
                return true;
            }
            as_value && v.is(Tag::UserData) && (*v.ptr::<Header>()).y == FINALIZED
        }
    }

    /// One step of a cycle; true when a cycle has ended.
    unsafe fn advance(&mut self, mark: usize) -> bool {
        // SAFETY: see the module header.
        unsafe {
            match self.gc.phase {
                Phase::Idle => {
                    let limit = self.gc.live_full / 100 * self.gc.pause;
                    let full = self.gc.cycles == 0
                        || self.gc.minors >= MAX_MINORS
                        || self.heap.total >= limit.max(MIN_NURSERY);
                    if full {
                        self.gc.phase = Phase::Sweep;
                    } else {
                        self.start(false);
                    }
                    false
                }
                Phase::Sweep => {
                    if self.heap.sweep_some(if mark > MARK_PER_STEP * 100 {
                        usize::MAX
                    } else {
                        CHUNKS_PER_STEP
                    }) {
                        self.start(true);
                    }
                    false
                }
                Phase::Mark => {
                    if self.propagate(mark) {
                        // What has been changed meanwhile is looked at again some times before the end, which must be
                        // short.
                        self.gc.rounds += 1;
                        let few = self.gc.touched.len() <= FEW;
                        if few || self.gc.rounds > MAX_ROUNDS || mark > MARK_PER_STEP * 100 {
                            self.atomic();
                        } else {
                            self.mark_roots();
                            self.gray_touched();
                        }
                    }
                    false
                }
                Phase::Strings => {
                    self.heap.release_some(CHUNKS_PER_STEP);
                    if self.strings.sweep(BUCKETS_PER_STEP) {
                        self.finish();
                        return true;
                    }
                    false
                }
            }
        }
    }

    fn finish(&mut self) {
        self.heap.strings_swept();
        self.heap.sweep_large(Space::Str);
        self.gc.phase = Phase::Idle;
    }

    fn next_threshold(&self) -> usize {
        if self.gc.stress {
            return 0;
        }
        match self.gc.phase {
            Phase::Idle => self.heap.total + (self.heap.total / 3).max(MIN_NURSERY),
            _ if self.gc.debt > 0 => self.heap.total,
            _ => self.heap.total + STEP,
        }
    }
}

/// A whole full cycle, without finalizers.
unsafe fn cycle(g: &mut Global) {
    // SAFETY: see the module header.
    unsafe {
        while g.gc.phase != Phase::Idle {
            g.advance(usize::MAX >> 1);
        }
        g.heap.sweep_some(usize::MAX);
        g.start(true);
        while !g.advance(usize::MAX >> 1) {}
    }
}

#[cold]
#[inline(never)]
fn step_now(g: &mut Global) {
    if g.gc.busy || (g.gc.stopped && !g.gc.stress) {
        g.heap.threshold = if g.gc.stress { 0 } else { usize::MAX };
        return;
    }
    g.gc.busy = true;
    // SAFETY: a safe point.
    unsafe {
        if g.gc.stress {
            cycle(g);
        } else {
            let mark = MARK_PER_STEP / 200 * g.gc.stepmul.clamp(50, 100_000);
            // Large allocations are paid for by as many steps, but not all at once.
            g.gc.debt += g.heap.total.saturating_sub(g.heap.threshold);
            for _ in 0..STEPS_AT_ONCE {
                g.gc.debt = g.gc.debt.saturating_sub(STEP);
                if g.advance(mark) {
                    g.gc.debt = 0;
                }
                if g.gc.debt == 0 {
                    break;
                }
            }
        }
    }
    g.gc.busy = false;
    if !g.gc.queue.is_empty() {
        run_finalizers(g, FINALIZERS_PER_STEP);
    }
    g.heap.threshold = g.next_threshold();
}

/// Calls up to `n` queued finalizers.
#[inline(never)]
fn run_finalizers(g: &mut Global, n: usize) {
    if g.gc.busy {
        return;
    }
    g.gc.busy = true;
    let threshold = std::mem::replace(&mut g.heap.threshold, usize::MAX);
    for _ in 0..n {
        let Some(v) = g.gc.queue.pop() else { break };
        finalize(g, v);
    }
    g.heap.threshold = threshold;
    g.gc.busy = false;
}

/// Calls the finalizer of one object; errors end here.
fn finalize(g: &mut Global, v: Value) {
    let cx = Cx { l: g.cur };
    // SAFETY: the object has been kept alive for its finalizer.
    unsafe { (*v.ptr::<Header>()).flags &= !FINALIZE }
    let thrown = g.thrown;
    let top = cx.t().top as usize - cx.t().stack as usize;
    let multres = cx.t().multres;
    cx.push(v); // The running function and all its values are below.
    let r = match v.as_userdata() {
        Some(u) if !u.meta.is_null() => {
            let h = crate::vm::meta::lookup_in(g, u.meta, Event::Gc);
            if h.is(Tag::Func) { cx.call(h, &[v]).map(|_| ()) } else { Ok(()) }
        }
        Some(_) => Ok(()),
        None => match g.gc.cdata_gc {
            Some(f) => f(cx, v),
            None => Ok(()),
        },
    };
    if r.is_err() {
        let text = cx.tostring_raw(cx.g().thrown);
        eprintln!("ERROR in finalizer: {}", String::from_utf8_lossy(text.bytes()));
    }
    cx.t().top = (cx.t().stack as usize + top) as *mut Value;
    cx.t().multres = multres;
    cx.g().thrown = thrown;
}
