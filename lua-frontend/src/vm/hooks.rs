//! Debug hooks: the table of handlers is exchanged for one that looks at events first.
//!
//! A signal that interrupts the script does the same ([`interrupt`]): the next instruction finds the flag and raises
//! `interrupted!`. So loops pay nothing for being interruptible.

use std::sync::atomic::Ordering;

use crate::api::Cx;
use crate::bytecode::Op;
use crate::error::Throw;
use crate::object::{Proto, Thread};
use crate::state::{Global, hook};
use crate::value::{Tag, Value};

use super::{BUILTIN_BASE, HANDLERS, Handler, TABLE, cx, op, proto_at, raise, sync};

/// Sets (or with mask 0 removes) the hook function.
pub fn set_hook(cx: Cx, f: Value, mask: u8, count: i32) {
    let g = cx.g();
    // A light userdata is a hook function of C.
    let mask = if f.is(Tag::Func) || f.is(Tag::Light) { mask & 15 } else { 0 };
    g.hookf = if mask == 0 { Value::NIL } else { f };
    g.hookcount = count;
    g.hookstart = if mask == 0 { 0 } else { count };
    g.hookmask = mask | g.hookmask & hook::ACTIVE;
    g.hookpc = std::ptr::null();
    install(cx);
}

/// Makes the next instruction raise `interrupted!`.
///
/// # Safety
/// The state is alive. May be called from a signal handler: it stores words, each of which is valid at any time.
pub unsafe fn interrupt(g: *mut Global) {
    // SAFETY: by the caller's promise.
    unsafe {
        (*g).interrupt.store(true, Ordering::SeqCst);
        let table = (&raw mut (*g).dispatch).cast::<Handler>();
        for i in 0..HANDLERS {
            table.add(i).write_volatile(if is_head(i) { hook_head } else { hook_ins });
        }
    }
}

/// Fills the dispatch table according to the hook mask.
fn install(cx: Cx) {
    let g = cx.g();
    let on = g.hookmask & 15 != 0;
    if !g.jit.is_null() {
        // SAFETY: the compiler lives as long as the state.
        unsafe { (*g.jit).abandon("hooks") };
    }
    if !on {
        // SAFETY: the live state.
        unsafe { crate::jit::hot::install(g) };
        return;
    }
    for (i, h) in g.dispatch.iter_mut().enumerate().take(HANDLERS) {
        *h = if is_head(i) { hook_head } else { hook_ins };
    }
    if g.interrupt.load(Ordering::SeqCst) {
        // It came while the table was being written.
        // SAFETY: the state of the caller.
        unsafe { interrupt(cx.t().g) }
    }
}

/// Takes notice of an interrupt.
#[cold]
#[inline(never)]
fn interrupted(cx: Cx) -> Throw {
    cx.g().interrupt.store(false, Ordering::SeqCst);
    install(cx);
    crate::error::with_position(cx, 0, b"interrupted!")
}

fn is_head(i: usize) -> bool {
    i >= BUILTIN_BASE || (Op::FUNCF as usize..=Op::FUNCCW as usize).contains(&i)
}

/// Calls the hook function with an event.
#[inline(never)]
fn fire(l: *mut Thread, event: &'static str, line: i64) -> Result<(), Throw> {
    let cx = cx(l);
    let g = cx.g();
    if g.hookmask & hook::ACTIVE != 0 || g.hookf.is_nil() {
        return Ok(());
    }
    g.hookmask |= hook::ACTIVE;
    let line = if line >= 0 { Value::int(line) } else { Value::NIL };
    // The multiple results of an instruction under way survive the hook.
    let multres = cx.t().multres;
    // SAFETY: values up to `top` are in use; with open results those above the frame are too.
    unsafe {
        let t = cx.t();
        let end = t.top.add(multres as usize);
        if end < t.maxstack {
            t.top = end;
        }
    }
    let top = cx.t().top as usize - cx.t().stack as usize;
    let r = match g.hookf.as_light() {
        Some(f) => crate::capi::inspect::run_hook(l, f, event, line.as_number().unwrap_or(-1.0) as i64),
        None => cx.call(g.hookf, &[cx.str_value(event), line]).map(|_| ()),
    };
    cx.t().top = (cx.t().stack as usize + top) as *mut Value;
    cx.t().multres = multres;
    cx.g().hookmask &= !hook::ACTIVE;
    r
}

/// Line and count events before an instruction.
#[inline(never)]
unsafe fn before(l: *mut Thread, base: *mut Value, pc: *const u32) -> Result<(), Throw> {
    // SAFETY: the running function is a Lua function.
    unsafe {
        sync(l, base, pc);
        let c = cx(l);
        let g = c.g();
        if g.interrupt.load(Ordering::Relaxed) {
            return Err(interrupted(c));
        }
        if g.hookmask & hook::ACTIVE != 0 {
            return Ok(());
        }
        if g.hookmask & hook::COUNT != 0 {
            g.hookcount -= 1;
            if g.hookcount <= 0 {
                g.hookcount = g.hookstart;
                fire(l, "count", -1)?;
            }
        }
        if g.hookmask & hook::LINE != 0 {
            let p = proto_at((*l).base);
            let at = pc.sub(1).offset_from((*p).bc()) as usize;
            let line = (*p).line(at);
            let old = std::mem::replace(&mut g.hookpc, pc.sub(1));
            let same = old >= (*p).bc()
                && old < (*p).bc().add((*p).sizebc as usize)
                && old < pc.sub(1)
                && (*p).line(old.offset_from((*p).bc()) as usize) == line;
            if !same && line > 0 {
                fire(l, "line", i64::from(line))?;
            }
        }
        let ret = Op::from_u8(*pc.sub(1) as u8).is_some_and(Op::is_ret);
        if ret && g.hookmask & hook::RET != 0 {
            fire(l, "return", -1)?;
        }
        Ok(())
    }
}

op! {
    #[inline(never)]
    fn hook_ins(l, base, k, pc, ins, g) {
        if let Err(e) = before(l, base, pc) {
            return raise(l, g, e);
        }
        TABLE[(ins & 0xff) as usize](l, (*l).base, k, pc, ins, g)
    }
}

#[inline(never)]
unsafe fn before_head(
    l: *mut Thread,
    base: *mut Value,
    n: usize,
    pc: *const u32,
    ins: u32,
) -> Result<(), Throw> {
    // SAFETY: a call has set up the frame.
    unsafe {
        (*l).base = base;
        (*l).top = base.add(n);
        let c = cx(l);
        let g = c.g();
        if g.hookmask & hook::CALL != 0 && g.hookmask & hook::ACTIVE == 0 {
            // Whatever the callee does, going on in the calling line is a new event.
            g.hookpc = std::ptr::null();
            let i = (ins & 0xff) as usize;
            if i <= Op::JFUNCV as usize && i >= Op::FUNCF as usize {
                (*l).saved_pc = pc;
                let params = (*((pc.sub(1) as *mut Proto).sub(1))).numparams as usize;
                for j in n..params {
                    *base.add(j) = Value::NIL;
                }
                (*l).top = base.add(n.max(params));
            }
            if !super::thread::grow(l, super::MIN_NATIVE) {
                return Err(super::unwind::overflow(l));
            }
            fire(l, "call", -1)?;
        }
        Ok(())
    }
}

op! {
    #[inline(never)]
    fn hook_head(l, base, k, pc, ins, g) {
        if let Err(e) = before_head(l, base, k as usize, pc, ins) {
            return raise(l, g, e);
        }
        TABLE[(ins & 0xff) as usize](l, (*l).base, k, pc, ins, g)
    }
}
