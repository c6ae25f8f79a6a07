//! Counters at loops and function heads, and the tables of handlers.
//!
//! Each instruction has a counter of 16 bits behind its prototype ([`crate::object::Proto::hot`]). The handlers here count up
//! to the threshold, and then ask the compiler each time; where a root begins the counter is at its highest, so that it is asked at once. A prototype
//! and a position decide, never an address. (Which roots sleep depends on time, see `stay`: so may the side traces that a program records.)
//!
//! With the compiler off the interpreter's own handlers are in force, and nothing is counted.

use crate::api::Cx;
use crate::bytecode::{Ins, Op};
use crate::object::Proto;
use crate::state::Global;
use crate::value::Gc;
use crate::vm::{HANDLERS, Handler, TABLE, calls, flow, k_at, next, op, proto_at, raise};

use super::Action;

/// Is it the instruction of a loop at which traces begin?
pub fn is_loop(ins: Ins) -> bool {
    matches!(Op::from_u8(ins as u8), Some(Op::FORL | Op::ITERL | Op::ITERN | Op::LOOP))
}

macro_rules! counted {
    ($($name:ident => $plain:path;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                let proto = proto_at(base);
                let counter = (*proto).hot.offset(pc.sub(1).offset_from((*proto).bc()));
                let n = *counter;
                if n < (*g).hotloop {
                    *counter = n + 1;
                    return $plain(l, base, k, pc, ins, g);
                }
                hot_loop(l, base, k, pc, ins, g)
            }
        }
    )* };
}
counted! {
    forl => flow::forl;
    iterl => flow::iterl;
    loop_ => flow::loop_;
    itern => flow::itern;
}

op! {
    #[inline(never)]
    fn hot_loop(l, base, k, pc, ins, g) {
        if arrive(l, base, k, pc.sub(1), g) {
            return raise_here(l, g);
        }
        let (base, k, pc) = ((*g).regs.base, (*g).regs.k, (*g).regs.pc);
        run_one(l, base, k, pc, g)
    }
}

op! {
    fn funcf(l, base, k, pc, ins, g) {
        let proto = (pc.sub(1) as *mut Proto).sub(1);
        let n = *(*proto).hot;
        if n < (*g).hotcall {
            *(*proto).hot = n + 1;
            return calls::funcf(l, base, k, pc, ins, g);
        }
        hot_function(l, base, k, pc, ins, g)
    }
}
op! {
    #[inline(never)]
    fn hot_function(l, base, k, pc, ins, g) {
        let proto = (pc.sub(1) as *mut Proto).sub(1);
        if base.add(crate::bytecode::a(ins)) > (*l).maxstack || is_loop(*pc) {
            return calls::funcf(l, base, k, pc, ins, g);
        }
        for i in k as usize..(*proto).numparams as usize {
            *base.add(i) = crate::value::Value::NIL;
        }
        if arrive(l, base, (*proto).k, pc, g) {
            return raise_here(l, g);
        }
        let (base, k, pc) = ((*g).regs.base, (*g).regs.k, (*g).regs.pc);
        run_one(l, base, k, pc, g)
    }
}

/// Asks the compiler; where to go on is left in the state's registers. True if an error is to be raised. Apart from the handlers, because it
/// keeps values in memory.
#[inline(never)]
unsafe extern "C" fn arrive(
    l: *mut crate::object::Thread,
    base: *mut crate::value::Value,
    k: *mut crate::value::Value,
    pc: *const Ins,
    g: *mut Global,
) -> bool {
    // SAFETY: the interpreter's registers. The compiler is used by one activation at a time: what a trace calls does not come here
    // while it is borrowed, because it is reached through the raw pointer only.
    unsafe {
        let jit = (*g).jit;
        let action = if jit.is_null() { Action::Interpret } else { super::Jit::arrive(jit, g, l, base, pc) };
        let (base, k, pc) = match action {
            Action::Interpret => (base, k, pc),
            Action::Resume(base, pc) => (base, k_at(base), pc),
            Action::Raise(base, e) => {
                (*l).base = base;
                (*g).jit_throw = Some(e);
                return true;
            }
        };
        (*g).regs = crate::vm::Regs { l, base, k, pc };
        false
    }
}

/// Raises the error that a trace has left with.
#[cold]
#[inline(never)]
unsafe extern "C" fn raise_here(l: *mut crate::object::Thread, g: *mut Global) -> u64 {
    // SAFETY: the library function's frame is on top.
    unsafe {
        let e = (*g).jit_throw.take().unwrap_or(crate::error::Throw::Run);
        raise(l, g, e)
    }
}

/// Runs an instruction without asking the compiler whether a trace begins there.
#[inline(always)]
unsafe fn run_one(
    l: *mut crate::object::Thread,
    base: *mut crate::value::Value,
    k: *mut crate::value::Value,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: as the caller's.
    unsafe {
        let ins = *pc;
        if !(*g).jit.is_null() && (*(*g).jit).is_recording() {
            return next(l, base, k, pc, g);
        }
        let h = TABLE[(ins & 0xff) as usize];
        h(l, base, k, pc.add(1), ins, g)
    }
}

op! {
    /// While something is recorded.
    #[inline(never)]
    fn record_ins(l, base, k, pc, ins, g) {
        observe(l, base, k as usize, pc.sub(1), ins, g);
        TABLE[(ins & 0xff) as usize](l, base, k, pc, ins, g)
    }
}

#[inline(never)]
unsafe extern "C" fn observe(
    l: *mut crate::object::Thread,
    base: *mut crate::value::Value,
    n: usize,
    pc: *const Ins,
    ins: Ins,
    g: *mut Global,
) {
    // SAFETY: as `arrive`.
    unsafe {
        let jit = (*g).jit;
        if !jit.is_null() {
            (*jit).observe(g, l, base, pc, ins, n);
        }
    }
}

/// The handlers with counters.
pub(crate) const COUNTING: [Handler; HANDLERS] = {
    let mut t = TABLE;
    t[Op::FORL as usize] = forl;
    t[Op::ITERL as usize] = iterl;
    t[Op::LOOP as usize] = loop_;
    t[Op::ITERN as usize] = itern;
    t[Op::FUNCF as usize] = funcf;
    t
};

/// Puts the handlers into force that are right now: plain, counting, or recording. (Hooks have their own.)
///
/// # Safety
/// `g` is a live state.
pub unsafe fn install(g: *mut Global) {
    // SAFETY: by the caller's promise.
    unsafe {
        if (*g).hookmask & 15 != 0 {
            return;
        }
        let jit = (*g).jit;
        (*g).dispatch = if jit.is_null() || !(*g).jit_on {
            TABLE
        } else if (*jit).is_recording() {
            [record_ins; HANDLERS]
        } else {
            COUNTING
        };
    }
}

/// Turns the compiler on or off. False if there is none for this machine.
///
/// # Safety
/// `g` is a live state.
pub unsafe fn switch(g: *mut Global, on: bool) -> bool {
    // SAFETY: by the caller's promise; the compiler lives as long as the state.
    unsafe {
        if (*g).jit.is_null() {
            let Some(jit) = super::Jit::new(super::options::Options::default()) else { return false };
            (*g).jit = Box::into_raw(Box::new(jit));
        }
        (*g).jit_on = on;
        if !(*g).jit.is_null() {
            (*(*g).jit).abandon("switched off");
            thresholds(g);
        }
        install(g);
        true
    }
}

/// Takes the thresholds from the options.
///
/// # Safety
/// `g` is a live state.
pub unsafe fn thresholds(g: *mut Global) {
    // SAFETY: by the caller's promise.
    unsafe {
        let jit = (*g).jit;
        if jit.is_null() {
            return;
        }
        let hotloop = (*jit).options.hotloop.min(0x7000) as u16;
        (*g).hotloop = hotloop;
        (*g).hotcall = if hotloop <= 1 { hotloop } else { (hotloop * 2).min(0xf000) };
    }
}

/// Turns the compiler on or off for a script. False if there is none for this machine.
pub fn turn(cx: Cx, on: bool) -> bool {
    // SAFETY: the live state.
    unsafe { switch(cx.g(), on) }
}

/// Forgets all traces, for a script.
pub fn flush(cx: Cx) {
    let g: *mut Global = cx.g();
    // SAFETY: the live state.
    unsafe {
        if !(*g).jit.is_null() {
            (*(*g).jit).flush();
            install(g);
        }
    }
}

/// May traces begin in a function, or go through it?
pub fn permit(p: Gc<Proto>, on: bool) {
    let no = crate::bytecode::flags::NOJIT;
    // SAFETY: a live prototype; nobody holds a reference to its flags.
    unsafe {
        let flags = &raw mut (*p.as_ptr()).pflags;
        *flags = if on { *flags & !no } else { *flags | no };
    }
}

/// The same for all functions inside it.
pub fn permit_inner(p: Gc<Proto>, on: bool) {
    for inner in (0..p.sizekgc as usize).filter_map(|i| p.kgc(i)?.as_proto()) {
        permit(inner, on);
        permit_inner(inner, on);
    }
}

/// What `jit.status` names: features of the processor that are used, and the flags that are on.
pub fn flags(cx: Cx) -> Vec<&'static str> {
    let g: *mut Global = cx.g();
    // SAFETY: the live state.
    let options = unsafe { (*g).jit.as_ref() }.map_or_else(Default::default, |jit| jit.options.clone());
    let mut names = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let here = [
            (std::is_x86_feature_detected!("sse3"), "SSE3"),
            (std::is_x86_feature_detected!("sse4.1"), "SSE4.1"),
            (std::is_x86_feature_detected!("bmi2"), "BMI2"),
        ];
        names.extend(here.iter().filter(|f| f.0).map(|f| f.1));
    }
    names.extend(options.flags());
    names
}

/// Sets an option, see [`super::options`]. False if there is no such option.
pub fn set_option(cx: Cx, text: &str) -> bool {
    let g: *mut Global = cx.g();
    // SAFETY: the live state.
    unsafe {
        let on = (*g).jit_on;
        if (*g).jit.is_null() && !switch(g, on) {
            return super::options::Options::default().set(text);
        }
        let known = (*(*g).jit).options.set(text);
        thresholds(g);
        known
    }
}
