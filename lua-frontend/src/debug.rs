//! What the state knows about running functions: frames by level, names of functions and variables, lines, tracebacks.
//!
//! A *level* counts functions from the running one (0) outwards; the pseudo-frames of vararg functions and of metamethod
//! calls do not count. The instruction at which a function below the top stands is known from the frame above it
//! (return address, continuation, or the activation of native code in between).
//!
//! Names are deduced from bytecode: the instruction that loaded the value in question says whether it was a global, a
//! local, a field, a method or an upvalue.
//!
//! Contract of the unsafe code: frames are walked while nothing runs; a [`Frame`] is valid until its function goes on.

use crate::api::Cx;
use crate::bytecode::{self, Ins, Mode, Op, flags};
use crate::object::{Func, LuaFunc, NativeFunc, Proto, Thread, Upval};
use crate::state::{CFrame, EVENT_NAMES, frame};
use crate::value::{Gc, Tag, Value};

/// Longest short source.
const ID_SIZE: usize = 60;

/// A running function.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its slots.
    base: *mut Value,
    /// The first slot above its own.
    end: *mut Value,
    /// Index of the instruction at which it stands; `None` for native functions.
    pc: Option<usize>,
    /// Where the arguments of a vararg function are.
    real: *mut Value,
}

/// What [`info`] is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A running function.
    Frame(Frame),
    /// Any function.
    Func(Gc<Func>),
}

/// All that `debug.getinfo` can tell.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields of `debug.getinfo`")]
pub struct Info {
    pub source: Vec<u8>,
    pub short_src: Vec<u8>,
    pub what: &'static str,
    pub namewhat: &'static str,
    pub name: Option<Vec<u8>>,
    pub currentline: i32,
    pub linedefined: i32,
    pub lastlinedefined: i32,
    pub nups: u8,
    pub nparams: u8,
    pub isvararg: bool,
    pub func: Gc<Func>,
    /// Lines with code, of a Lua function.
    pub activelines: Vec<i32>,
}

/// Walks the frames of a coroutine.
struct Walk {
    l: *mut Thread,
    base: *mut Value,
    end: *mut Value,
    pc: *const Ins,
    cf: *mut CFrame,
}

impl Walk {
    fn new(l: *mut Thread) -> Walk {
        // SAFETY: a live thread.
        unsafe { Walk { l, base: (*l).base, end: (*l).top, pc: (*l).saved_pc, cf: (*l).cframe } }
    }

    /// The next function outwards.
    fn step(&mut self) -> Option<Frame> {
        // SAFETY: links describe the frames below.
        unsafe {
            let bottom = (*self.l).stack.add(2);
            if self.base > bottom && (*self.base.sub(2)).is(Tag::Thread) {
                self.leave(&mut None); // A function that found no room.
            }
            if self.base <= bottom || !(*self.base.sub(2)).is(Tag::Func) {
                return None;
            }
            let f = func_at(self.base);
            let pc = f.proto().and_then(|p| {
                let i = (self.pc as usize).wrapping_sub(p.bc() as usize) / 4;
                if self.pc.is_null() || i == 0 || i > p.sizebc as usize { None } else { Some(i - 1) }
            });
            let mut found = Some(Frame { base: self.base, end: self.end, pc, real: self.base });
            self.leave(&mut found);
            found
        }
    }

    /// Goes to the frame below; notes where the arguments of a vararg function are.
    unsafe fn leave(&mut self, found: &mut Option<Frame>) {
        // SAFETY: links describe the frames below.
        unsafe {
            loop {
                let link = (*self.base.sub(1)).0;
                self.end = self.base.sub(2);
                if link & frame::TYPE == frame::LUA {
                    let rpc = link as *const Ins;
                    self.pc = rpc;
                    self.base = self.base.sub(2 + bytecode::a(*rpc.sub(1)));
                    break;
                }
                let below = self.base.sub((link >> 3) as usize);
                match link & frame::TYPEP {
                    frame::VARG => {
                        self.base = below;
                        if let Some(f) = found {
                            f.real = below;
                        }
                        continue;
                    }
                    frame::CONT => self.pc = (*self.base.sub(3)).0 as *const Ins,
                    frame::C => {
                        if self.cf.is_null() {
                            self.pc = std::ptr::null();
                        } else {
                            self.pc = (*self.cf).saved_pc;
                            self.cf = (*self.cf).prev;
                        }
                    }
                    _ => self.pc = std::ptr::null(),
                }
                self.base = below;
                break;
            }
        }
    }
}

unsafe fn func_at(base: *mut Value) -> Gc<Func> {
    // SAFETY: the slot below the link holds a function.
    unsafe { Gc::from_ptr((*base.sub(2)).ptr()) }
}

/// The frame at a level of a coroutine.
pub fn frame(_cx: Cx, co: Gc<Thread>, level: usize) -> Option<Frame> {
    let mut w = Walk::new(co.as_ptr());
    for _ in 0..level {
        w.step()?;
    }
    w.step()
}

/// The frame whose slots begin at an offset ([`Frame::offset`]) of a coroutine's stack.
pub fn frame_at(co: Gc<Thread>, offset: usize) -> Option<Frame> {
    let mut w = Walk::new(co.as_ptr());
    std::iter::from_fn(|| w.step()).find(|f| f.offset(co) == offset)
}

/// The function at a level of the running coroutine.
pub fn function_at(cx: Cx, level: usize) -> Option<Gc<Func>> {
    frame(cx, cx.thread(), level).map(|f| f.func())
}

impl Frame {
    /// Slots between the bottom of the stack and those of the frame.
    pub fn offset(self, co: Gc<Thread>) -> usize {
        (self.base as usize - co.stack as usize) / size_of::<Value>()
    }
    /// The function.
    pub fn func(self) -> Gc<Func> {
        // SAFETY: a frame of a live thread.
        unsafe { func_at(self.base) }
    }
    /// The line at which it stands; -1 if unknown.
    pub fn line(self) -> i32 {
        match (self.func().proto(), self.pc) {
            (Some(p), Some(pc)) => {
                if p.lines.is_null() {
                    0
                } else {
                    p.line(pc) as i32
                }
            }
            _ => -1,
        }
    }
}

/// The short form of a chunk name.
pub fn short_source(name: &[u8]) -> Vec<u8> {
    match name.first() {
        Some(b'=') => {
            let s = &name[1..];
            s[..s.len().min(ID_SIZE - 1)].to_vec()
        }
        Some(b'@') => {
            let s = &name[1..];
            if s.len() >= ID_SIZE {
                let mut out = b"...".to_vec();
                out.extend_from_slice(&s[s.len() - (ID_SIZE - 4)..]);
                out
            } else {
                s.to_vec()
            }
        }
        _ => {
            let mut n = name.iter().take(ID_SIZE - 12).take_while(|&&c| c >= b' ').count();
            let mut out = b"[string \"".to_vec();
            if n < name.len() {
                n = n.min(ID_SIZE - 15);
                out.extend_from_slice(&name[..n]);
                out.extend_from_slice(b"...");
            } else {
                out.extend_from_slice(name);
            }
            out.extend_from_slice(b"\"]");
            out
        }
    }
}

fn chunk_name<'a>(p: Gc<Proto>) -> &'a [u8] {
    // SAFETY: the chunk name lives as long as the prototype.
    unsafe { (*p.chunkname).bytes() }
}

fn place(f: Frame) -> Option<Vec<u8>> {
    let p = f.func().proto()?;
    let line = f.line();
    if line < 0 {
        return None;
    }
    let mut out = short_source(chunk_name(p));
    out.extend_from_slice(format!(":{line}: ").as_bytes());
    Some(out)
}

/// `file:line: ` of the function at a level, or nothing.
pub fn position(cx: Cx, level: usize) -> Vec<u8> {
    frame(cx, cx.thread(), level).and_then(place).unwrap_or_default()
}

/// `file:line: ` of the Lua function that called the running native function directly, or nothing.
pub fn caller_position(cx: Cx) -> Vec<u8> {
    // SAFETY: the link of the running frame.
    let link = unsafe { (*cx.t().base.sub(1)).0 };
    if link & frame::TYPE == frame::LUA || link & frame::TYPEP == frame::CONT {
        position(cx, 1)
    } else {
        Vec::new()
    }
}

/// Name of the local variable in a slot at an instruction.
pub fn local_name<'a>(p: Gc<Proto>, pc: usize, slot: usize) -> Option<&'a [u8]> {
    let mut slot = slot;
    for v in p.locals() {
        if v.start as usize > pc {
            break;
        }
        if pc < v.end as usize {
            if slot == 0 {
                // SAFETY: names live as long as the prototype.
                return Some(unsafe { (*v.name).bytes() });
            }
            slot -= 1;
        }
    }
    None
}

fn const_str<'a>(p: Gc<Proto>, i: usize) -> Option<&'a [u8]> {
    Some(p.kgc(i)?.as_str()?.bytes())
}

/// Kind and name of what a slot holds at an instruction.
pub fn slot_name<'a>(p: Gc<Proto>, pc: usize, slot: usize) -> Option<(&'static str, &'a [u8])> {
    let (mut pc, mut slot) = (pc, slot);
    let code = p.code();
    'restart: loop {
        if let Some(n) = local_name(p, pc, slot) {
            return Some(("local", n));
        }
        while pc > 1 {
            pc -= 1;
            let ins = code[pc];
            let op = bytecode::op(ins)?;
            let a = bytecode::a(ins);
            let info = op.info();
            if info.a == Mode::Base {
                if slot >= a && (op != Op::KNIL || slot <= bytecode::d(ins)) {
                    return None;
                }
            } else if info.a == Mode::Dst && a == slot {
                return match op {
                    Op::MOV => {
                        slot = bytecode::d(ins);
                        continue 'restart;
                    }
                    Op::GGET => Some(("global", const_str(p, bytecode::d(ins))?)),
                    Op::TGETS => {
                        let name = const_str(p, bytecode::c(ins))?;
                        let before = code[pc - 1];
                        let method = pc > 1
                            && bytecode::op(before) == Some(Op::MOV)
                            && bytecode::a(before) == a + 2
                            && bytecode::d(before) == bytecode::b(ins);
                        Some((if method { "method" } else { "field" }, name))
                    }
                    Op::UGET => Some(("upvalue", p.uvname(bytecode::d(ins)).unwrap_or(b""))),
                    _ => None,
                };
            }
        }
        return None;
    }
}

/// Kind and name under which the function of a frame was called.
fn function_name(below: Option<Frame>, above: Frame) -> Option<(&'static str, Vec<u8>)> {
    let f = below?;
    let p = f.func().proto()?;
    let pc = f.pc?;
    // Called by native code (or `pcall`), not by this instruction?
    // SAFETY: the link of a frame.
    let link = unsafe { (*above.real.sub(1)).0 };
    if link & frame::TYPE != frame::LUA
        && link & frame::TYPEP != frame::CONT
        && link & frame::TYPEP != frame::C
    {
        return None;
    }
    let ins = p.code()[pc];
    let op = bytecode::op(ins)?;
    match op.info().event {
        "call" => {
            let slot = bytecode::a(ins);
            let slot = if matches!(op, Op::ITERC | Op::ITERN) { slot.wrapping_sub(3) } else { slot };
            slot_name(p, pc, slot).map(|(k, n)| (k, n.to_vec()))
        }
        "" => None,
        e => EVENT_NAMES.iter().find(|n| &n[2..] == e).map(|n| ("metamethod", n.as_bytes().to_vec())),
    }
}

/// Kind (`global`, `local`, `method`, `field`, `upvalue`, `metamethod`) and name by which the running function was called.
pub fn call_name(cx: Cx) -> Option<(&'static str, Vec<u8>)> {
    let mut w = Walk::new(cx.l);
    let top = w.step()?;
    function_name(w.step(), top)
}

/// All about a function.
pub fn info(_cx: Cx, co: Gc<Thread>, target: Target) -> Info {
    let (func, frame) = match target {
        Target::Frame(f) => (f.func(), Some(f)),
        Target::Func(f) => (f, None),
    };
    let mut i = Info {
        source: b"=[C]".to_vec(),
        short_src: b"[C]".to_vec(),
        what: "C",
        namewhat: "",
        name: None,
        currentline: frame.map_or(-1, Frame::line),
        linedefined: -1,
        lastlinedefined: -1,
        nups: func.h.y - func.hidden_upvalues() as u8,
        nparams: 0,
        isvararg: true,
        func,
        activelines: Vec::new(),
    };
    if let Some(p) = func.proto() {
        i.source = chunk_name(p).to_vec();
        i.short_src = short_source(&i.source);
        i.linedefined = p.firstline as i32;
        i.lastlinedefined = (p.firstline + p.numline) as i32;
        i.what = if p.firstline != 0 || p.numline == 0 { "Lua" } else { "main" };
        i.nparams = p.numparams;
        i.isvararg = p.pflags & flags::VARARG != 0;
        if !p.lines.is_null() {
            i.activelines = (1..p.sizebc as usize).map(|pc| p.line(pc) as i32).collect();
        }
    }
    if let Some(f) = frame {
        let mut w = Walk::new(co.as_ptr());
        while let Some(at) = w.step() {
            if at.base == f.base {
                if let Some((kind, name)) = function_name(w.step(), f) {
                    i.namewhat = kind;
                    i.name = Some(name);
                }
                break;
            }
        }
    }
    i
}

/// Name and slot of local variable `n` (from 1; negative: varargs) of a frame.
fn local_slot(f: Frame, n: i32) -> Option<(Vec<u8>, *mut Value)> {
    let func = f.func();
    let proto = func.proto();
    // SAFETY: slots below the end of the frame are in use.
    unsafe {
        if n < 0 {
            let p = proto?;
            if p.pflags & flags::VARARG == 0 || f.real == f.base {
                return None;
            }
            let slot = f.real.add(p.numparams as usize + n.unsigned_abs() as usize - 1);
            return if slot < f.base.sub(2) { Some((b"(*vararg)".to_vec(), slot)) } else { None };
        }
        if n == 0 {
            return None;
        }
        let slot = f.base.add(n as usize - 1);
        if let (Some(p), Some(pc)) = (proto, f.pc)
            && let Some(name) = local_name(p, pc, n as usize - 1)
        {
            return Some((name.to_vec(), slot));
        }
        if slot < f.end { Some((b"(*temporary)".to_vec(), slot)) } else { None }
    }
}

/// Name and value of a local variable.
pub fn local(_cx: Cx, _co: Gc<Thread>, f: Frame, n: i32) -> Option<(Vec<u8>, Value)> {
    // SAFETY: a slot of the frame.
    local_slot(f, n).map(|(name, slot)| (name, unsafe { *slot }))
}

/// Sets a local variable; gives its name.
pub fn set_local(cx: Cx, co: Gc<Thread>, f: Frame, n: i32, v: Value) -> Option<Vec<u8>> {
    let (name, slot) = local_slot(f, n)?;
    // SAFETY: a slot of the frame.
    unsafe { *slot = v }
    crate::gc::barrier_object(cx.g(), co.as_ptr().cast());
    Some(name)
}

/// Name of parameter `n` (from 1) of a Lua function.
pub fn param_name(f: Gc<Func>, n: i32) -> Option<Vec<u8>> {
    let p = f.proto()?;
    if n < 1 {
        return None;
    }
    local_name(p, 0, n as usize - 1).map(<[u8]>::to_vec)
}

fn lua_uv(f: Gc<Func>, i: usize) -> *mut *mut Upval {
    // SAFETY: a Lua function has `h.y` pointers behind its fixed part.
    unsafe { (&raw mut (*f.as_ptr().cast::<LuaFunc>()).uv).cast::<*mut Upval>().add(i) }
}

fn uv_slot(f: Gc<Func>, n: i32) -> Option<(Vec<u8>, *mut Value)> {
    let hidden = f.hidden_upvalues();
    if n < 1 || n as usize + hidden > f.h.y as usize {
        return None;
    }
    let i = n as usize - 1 + hidden;
    // SAFETY: the index is in range.
    unsafe {
        match f.proto() {
            Some(p) => Some((p.uvname(i).unwrap_or(b"").to_vec(), (**lua_uv(f, i)).v)),
            None => {
                let uv = (&raw mut (*f.as_ptr().cast::<NativeFunc>()).uv).cast::<Value>();
                Some((Vec::new(), uv.add(i)))
            }
        }
    }
}

/// Name and value of upvalue `n` (from 1).
pub fn upvalue(f: Gc<Func>, n: i32) -> Option<(Vec<u8>, Value)> {
    // SAFETY: a live slot.
    uv_slot(f, n).map(|(name, slot)| (name, unsafe { *slot }))
}

/// Sets an upvalue; gives its name.
pub fn set_upvalue(cx: Cx, f: Gc<Func>, n: i32, v: Value) -> Option<Vec<u8>> {
    let (name, slot) = uv_slot(f, n)?;
    // SAFETY: a live slot.
    unsafe {
        *slot = v;
        if f.is_lua() {
            crate::gc::barrier_object(cx.g(), (*lua_uv(f, n as usize - 1)).cast());
        } else {
            crate::gc::barrier_object(cx.g(), f.as_ptr().cast());
        }
    }
    Some(name)
}

/// Identity of an upvalue.
pub fn upvalue_id(f: Gc<Func>, n: i32) -> Option<u64> {
    let (_, slot) = uv_slot(f, n)?;
    if f.is_lua() {
        // SAFETY: the index is in range.
        return Some(unsafe { *lua_uv(f, n as usize - 1) } as u64);
    }
    Some(slot as u64)
}

/// Lets upvalue `n` of `f` be upvalue `m` of `h`; both must be Lua functions with such upvalues.
pub fn upvalue_join(cx: Cx, f: Gc<Func>, n: i32, h: Gc<Func>, m: i32) {
    if f.is_lua() && h.is_lua() && uv_slot(f, n).is_some() && uv_slot(h, m).is_some() {
        // SAFETY: the indices are in range.
        unsafe { *lua_uv(f, n as usize - 1) = *lua_uv(h, m as usize - 1) }
        crate::gc::barrier_object(cx.g(), f.as_ptr().cast());
    }
}

/// Sets the hook function; `mask` of [`crate::state::hook`] bits.
pub fn set_hook(cx: Cx, f: Value, mask: u8, count: i32) {
    crate::vm::set_hook(cx, f, mask, count);
}

/// The hook function, its mask and count.
pub fn get_hook(cx: Cx) -> (Value, u8, i32) {
    let g = cx.g();
    (g.hookf, g.hookmask & 15, g.hookstart)
}

/// The text of `debug.traceback`.
pub fn traceback(cx: Cx, co: Gc<Thread>, msg: Option<&[u8]>, level: usize) -> Vec<u8> {
    const HEAD: usize = 12;
    const TAIL: usize = 10;
    let mut out = Vec::new();
    if let Some(m) = msg {
        out.extend_from_slice(m);
        out.push(b'\n');
    }
    out.extend_from_slice(b"stack traceback:");
    let mut frames = Vec::new();
    let mut w = Walk::new(co.as_ptr());
    while let Some(f) = w.step() {
        frames.push(f);
    }
    // Levels count from the running function, wherever the traceback begins.
    let cut = level.max(HEAD);
    let tail = if frames.len() > cut + 1 + TAIL { frames.len() - TAIL } else { cut };
    for (i, &f) in frames.iter().enumerate().skip(level) {
        if (cut..tail).contains(&i) {
            if i == cut {
                out.extend_from_slice(b"\n\t...");
            }
            continue;
        }
        let name = function_name(frames.get(i + 1).copied(), f);
        let func = f.func();
        let short = func.proto().map_or(b"[C]".to_vec(), |p| short_source(chunk_name(p)));
        if func.ffid() > 1 && name.is_none() {
            out.extend_from_slice(format!("\n\t[builtin#{}]:", func.ffid()).as_bytes());
        } else {
            out.extend_from_slice(b"\n\t");
            out.extend_from_slice(&short);
            out.push(b':');
        }
        if f.line() > 0 {
            out.extend_from_slice(format!("{}:", f.line()).as_bytes());
        }
        match (name, func.proto()) {
            (Some((_, n)), _) => {
                out.extend_from_slice(b" in function '");
                out.extend_from_slice(&n);
                out.push(b'\'');
            }
            (None, Some(p)) if p.firstline == 0 && p.numline != 0 => out.extend_from_slice(b" in main chunk"),
            (None, Some(p)) => {
                out.extend_from_slice(b" in function <");
                out.extend_from_slice(&short);
                out.extend_from_slice(format!(":{}>", p.firstline).as_bytes());
            }
            (None, None) => {
                let c = crate::capi::call::c_function(func).map(|f| f as usize);
                // SAFETY: a native function.
                let at = c.unwrap_or_else(|| unsafe { (*func.as_ptr().cast::<NativeFunc>()).call } as usize);
                out.extend_from_slice(format!(" at {at:#014x}").as_bytes());
            }
        }
    }
    let _ = cx;
    out
}
