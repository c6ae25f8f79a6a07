//! Looking at running functions: `lua_Debug`, locals, upvalues, hooks.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::stack::{pop, value};
use super::{State, bytes, cx, push};
use crate::debug::{self, Frame, Target};
use crate::error::Throw;
use crate::object::Func;
use crate::state::hook;
use crate::value::{Gc, Value};

/// `lua_Debug`
#[repr(C)]
#[derive(Debug)]
pub struct Activation {
    /// The hook event.
    event: c_int,
    name: *const c_char,
    namewhat: *const c_char,
    what: *const c_char,
    source: *const c_char,
    currentline: c_int,
    nups: c_int,
    linedefined: c_int,
    lastlinedefined: c_int,
    short_src: [c_char; 60],
    /// Where the frame is: slots from the bottom of the stack; 0 for none.
    frame: c_int,
}

/// `lua_Hook`
pub type Hook = unsafe extern "C" fn(State, *mut Activation);

/// Event numbers of hooks.
const EVENTS: [&str; 4] = ["call", "return", "line", "count"];

unsafe fn frame(l: State, ar: *const Activation) -> Option<Frame> {
    // SAFETY: filled in by `lua_getstack` or for a hook.
    unsafe { debug::frame_at(Gc::from_ptr(l), (*ar).frame as usize) }
}

/// Finds the function at a level; 0 if there is none.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getstack(l: State, level: c_int, ar: *mut Activation) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let level = usize::try_from(level).ok();
        let found = level.and_then(|n| debug::frame(cx(l), Gc::from_ptr(l), n));
        (*ar).frame = found.map_or(0, |f| f.offset(Gc::from_ptr(l)) as c_int);
        c_int::from(found.is_some())
    }
}

/// A terminated copy of a text that lives as long as its function: names and sources are constants of prototypes.
unsafe fn lasting(l: State, s: &[u8]) -> *const c_char {
    cx(l).str(s).bytes().as_ptr().cast()
}

/// Fills in what the letters ask for; `>` takes the function from the top; `f` pushes it, `L` the table of lines.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getinfo(l: State, what: *const c_char, ar: *mut Activation) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let mut what = bytes(what);
        let target = if let Some(rest) = what.strip_prefix(b">") {
            what = rest;
            pop(l).as_func().map(Target::Func)
        } else {
            frame(l, ar).map(Target::Frame)
        };
        let Some(target) = target else { return 0 };
        let known = fill(l, what, ar, target);
        c_int::from(known)
    }
}

unsafe fn fill(l: State, what: &[u8], ar: *mut Activation, target: Target) -> bool {
    let info = debug::info(cx(l), Gc::from_ptr(l), target);
    let mut known = true;
    // SAFETY: see `super`.
    unsafe {
        for c in what {
            match c {
                b'S' => {
                    (*ar).source = lasting(l, &info.source);
                    (*ar).what = lasting(l, info.what.as_bytes());
                    (*ar).linedefined = info.linedefined;
                    (*ar).lastlinedefined = info.lastlinedefined;
                    (*ar).short_src = [0; 60];
                    for (to, &from) in (*ar).short_src.iter_mut().zip(info.short_src.iter().take(59)) {
                        *to = from as c_char;
                    }
                }
                b'l' => (*ar).currentline = info.currentline,
                b'u' => (*ar).nups = c_int::from(info.nups),
                b'n' => {
                    (*ar).namewhat = lasting(l, info.namewhat.as_bytes());
                    (*ar).name = info.name.as_ref().map_or(ptr::null(), |n| lasting(l, n));
                }
                b'f' | b'L' => {}
                _ => known = false,
            }
        }
        if what.contains(&b'f') {
            push(l, info.func);
        }
        if what.contains(&b'L') {
            if info.func.is_lua() {
                let lines = cx(l).table(0, 0);
                for &line in &info.activelines {
                    // Only memory could fail, which the next safe point reports.
                    let _ = cx(l).raw_set_int(lines, line, true);
                }
                push(l, lines);
            } else {
                push(l, Value::NIL);
            }
        }
    }
    known
}

/// Pushes a local variable and gives its name; null if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getlocal(l: State, ar: *const Activation, n: c_int) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let found = frame(l, ar).and_then(|f| debug::local(cx(l), Gc::from_ptr(l), f, n));
        let Some((name, v)) = found else { return ptr::null() };
        push(l, v);
        lasting(l, &name)
    }
}

/// Sets a local variable to the value on top, which it takes; gives its name.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setlocal(l: State, ar: *const Activation, n: c_int) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let v = pop(l);
        let name = frame(l, ar).and_then(|f| debug::set_local(cx(l), Gc::from_ptr(l), f, n, v));
        name.map_or(ptr::null(), |name| lasting(l, &name))
    }
}

unsafe fn function(l: State, i: c_int) -> Option<Gc<Func>> {
    // SAFETY: see `super`.
    unsafe { value(l, i).as_func() }
}

/// Pushes an upvalue and gives its name; null if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_getupvalue(l: State, i: c_int, n: c_int) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let Some((name, v)) = function(l, i).and_then(|f| debug::upvalue(f, n)) else {
            return ptr::null();
        };
        push(l, v);
        lasting(l, &name)
    }
}

/// Sets an upvalue to the value on top, which it takes; null (and nothing is taken) if there is none.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_setupvalue(l: State, i: c_int, n: c_int) -> *const c_char {
    // SAFETY: see `super`.
    unsafe {
        let v = *(*l).top.sub(1);
        let Some(name) = function(l, i).and_then(|f| debug::set_upvalue(cx(l), f, n, v)) else {
            return ptr::null();
        };
        (*l).top = (*l).top.sub(1);
        lasting(l, &name)
    }
}

/// Sets (or with a null function or no event removes) the hook function.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_sethook(l: State, f: Option<Hook>, mask: c_int, count: c_int) -> c_int {
    let f = f.map_or(Value::NIL, |f| Value::light(f as usize as u64));
    debug::set_hook(cx(l), f, if f.is_nil() { 0 } else { mask as u8 & 15 }, count);
    1
}

/// The hook function, if C has set it.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gethook(l: State) -> *const c_void {
    debug::get_hook(cx(l)).0.as_light().unwrap_or(0) as *const c_void
}

/// The events that call the hook function.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gethookmask(l: State) -> c_int {
    c_int::from(debug::get_hook(cx(l)).1)
}

/// After how many instructions the hook function is called.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_gethookcount(l: State) -> c_int {
    debug::get_hook(cx(l)).2
}
const _: () = assert!(hook::CALL == 1 && hook::RET == 2 && hook::LINE == 4 && hook::COUNT == 8);

/// Calls a hook function of C.
pub(crate) fn run_hook(l: State, f: u64, event: &str, line: i64) -> Result<(), Throw> {
    let mut ar = Activation {
        event: EVENTS.iter().position(|&e| e == event).unwrap_or(0) as c_int,
        name: ptr::null(),
        namewhat: ptr::null(),
        what: ptr::null(),
        source: ptr::null(),
        currentline: line as c_int,
        nups: 0,
        linedefined: 0,
        lastlinedefined: 0,
        short_src: [0; 60],
        frame: 0,
    };
    // SAFETY: `f` came from `lua_sethook`; the activation outlives the call.
    unsafe {
        lua_getstack(l, 0, &raw mut ar);
        let at = (&raw mut ar).cast();
        super::call::call_back(l, f as *const c_void, l.cast(), at, ptr::null_mut()).map(|_| ())
    }
}
