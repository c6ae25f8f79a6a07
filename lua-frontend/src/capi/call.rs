//! C functions as values, calls, errors, coroutines.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::jump::{Jump, THROWN, enter};
use super::stack::{environment, pop, value};
use super::{CFunction, ERRMEM, ERRRUN, State, YIELD, collect, cx, push, settle, throw};
use crate::api::{Builtin, Cx, NativeResult, Ret};
use crate::error::{self, Throw};
use crate::object::{C_FUNCTION, FF_NATIVE, Func, NativeFunc, Thread, status};
use crate::value::{Gc, Tag, Value};

/// The Rust side of every C function: calls it, and takes what leaves it.
pub(crate) fn trampoline(cx: Cx) -> NativeResult {
    let l = cx.l;
    let Some(f) = c_function(cx.running()) else { return cx.ret0() };
    // SAFETY: the function belongs to a module that is never unloaded; its place to go back to is in force exactly
    // while it runs.
    unsafe {
        let g = (*l).g;
        let mut jump = Jump::new((*g).c_jump);
        (*g).c_jump = &raw mut jump;
        let n = enter(f as *const c_void, l.cast(), ptr::null_mut(), ptr::null_mut(), &raw mut jump);
        (*g).c_jump = jump.prev;
        if n == THROWN {
            return Err((*g).c_error);
        }
        // An `int` stands in the lower half of the register.
        let n = n as i32;
        if n < 0 {
            let yielded = (*g).c_yield.take();
            return Ok(yielded.map_or(Ret::Values(0), Ret::Yield));
        }
        Ok(Ret::Values((n as u32).min(cx.nargs() as u32)))
    }
}

/// The C function behind a function.
pub(crate) fn c_function(f: Gc<Func>) -> Option<CFunction> {
    if f.hidden_upvalues() == 0 {
        return None;
    }
    // SAFETY: a function with the flag has the address as its first upvalue; it was put there as a `CFunction`.
    unsafe {
        let uv = (&raw const (*f.as_ptr().cast::<NativeFunc>()).uv).cast::<Value>();
        let p = (*uv).ptr::<c_void>();
        Some(std::mem::transmute::<*mut c_void, CFunction>(p))
    }
}

/// Calls a C function of three words that may raise an error: readers, writers, hooks.
pub(crate) unsafe fn call_back(
    l: State,
    f: *const c_void,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
) -> Result<i64, Throw> {
    // SAFETY: by the caller's promise `f` is such a function.
    unsafe {
        let g = (*l).g;
        let mut jump = Jump::new((*g).c_jump);
        (*g).c_jump = &raw mut jump;
        let r = enter(f, a, b, c, &raw mut jump);
        (*g).c_jump = jump.prev;
        if r == THROWN { Err((*g).c_error) } else { Ok(r) }
    }
}

/// A function value made of a C function and upvalues.
pub(crate) unsafe fn closure(l: State, f: CFunction, upvalues: &[Value]) -> Gc<Func> {
    let mut all = [Value::NIL; 255];
    let n = upvalues.len().min(254);
    all[0] = Value::light(f as usize as u64);
    all[1..=n].copy_from_slice(&upvalues[..n]);
    let func = crate::vm::func::new_native(cx(l), trampoline, FF_NATIVE, &all[..=n]);
    // SAFETY: a fresh function; the environment is alive.
    unsafe {
        (*func.as_ptr()).h.flags |= C_FUNCTION;
        (*func.as_ptr()).env = environment(l);
    }
    func
}

/// Pushes a function value made of a C function and the topmost `n` values, which it takes.
///
/// # Safety
/// See [`super`], here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pushcclosure(l: State, f: Option<CFunction>, n: c_int) {
    // SAFETY: see `super`.
    unsafe {
        let Some(f) = f else { return push(l, Value::NIL) };
        let n = n as usize;
        let upvalues = std::slice::from_raw_parts((*l).top.sub(n), n);
        let func = closure(l, f, upvalues);
        (*l).top = (*l).top.sub(n);
        push(l, func);
        collect(l);
    }
}

/// Calls the function below the topmost `nargs` values.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_call(l: State, nargs: c_int, nresults: c_int) {
    // SAFETY: see `super`.
    unsafe {
        settle(l, cx(l).call_pushed(nargs as usize, nresults));
    }
}

/// As [`lua_call`], but an error is left on the stack; gives 0 or the kind of error.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_pcall(l: State, nargs: c_int, nresults: c_int, handler: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let handler = if handler == 0 { None } else { Some(value(l, handler)) };
        match cx(l).pcall_pushed(nargs as usize, nresults, handler) {
            Ok(_) => 0,
            Err(v) => {
                push(l, v);
                error_status(l, v)
            }
        }
    }
}

/// The kind of an error by its value.
pub(crate) unsafe fn error_status(l: State, v: Value) -> c_int {
    let memory = cx(l).str(b"not enough memory");
    if v == memory.into() { ERRMEM } else { ERRRUN }
}

/// Calls a C function with a light userdata as its argument; errors as [`lua_pcall`].
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_cpcall(l: State, f: CFunction, data: *mut c_void) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        push(l, closure(l, f, &[]));
        push(l, cx(l).lightuserdata(data as u64));
        lua_pcall(l, 1, 0, 0)
    }
}

/// Raises the value on top as an error.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_error(l: State) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        let v = pop(l);
        throw(l, cx(l).throw(v))
    }
}

/// Sets what is called before an error outside of all calls ends the process; gives the old one.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_atpanic(l: State, f: Option<CFunction>) -> Option<CFunction> {
    // SAFETY: see `super`.
    unsafe { std::mem::replace(&mut (*(*l).g).c_panic, f) }
}

/// An error outside of all calls.
pub(crate) unsafe fn panic(l: State) -> ! {
    // SAFETY: see `super`.
    unsafe {
        let v = std::mem::replace(&mut (*(*l).g).thrown, Value::NIL);
        push(l, v);
        match (*(*l).g).c_panic {
            Some(f) => {
                f(l);
            }
            None => {
                let text = v.as_str().map_or("?".into(), |s| String::from_utf8_lossy(s.bytes()));
                eprintln!("PANIC: unprotected error in call to Lua API ({text})");
            }
        }
        crate::stdio::exit(1)
    }
}

/// Pushes a new coroutine.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_newthread(l: State) -> State {
    // SAFETY: see `super`.
    unsafe {
        let co = crate::vm::thread::new(&mut *(*l).g, (*l).env);
        push(l, Gc::<Thread>::from_ptr(co));
        collect(l);
        co
    }
}

/// Suspends the coroutine when the C function returns this function's result; the topmost `n` values are what the resume
/// gives.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_yield(l: State, n: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        if !crate::vm::coroutine::is_yieldable(cx(l)) {
            let e = cx(l).error("attempt to yield across C-call boundary");
            throw(l, e);
        }
        (*(*l).g).c_yield = Some(n.max(0) as u32);
        -1
    }
}

/// May the coroutine yield?
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_isyieldable(l: State) -> c_int {
    c_int::from(crate::vm::coroutine::is_yieldable(cx(l)))
}

/// The status of a coroutine.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_status(l: State) -> c_int {
    // SAFETY: see `super`.
    unsafe { c_int::from((*l).h.x) }
}
const _: () = assert!(status::YIELD as c_int == YIELD && status::ERROR as c_int == ERRRUN);

/// Starts or resumes a coroutine: on its stack are the function (at the start) and `nargs` arguments; at the end,
/// what it yields or returns, or the error.
///
/// # Safety
/// See [`super`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_resume(co: State, nargs: c_int) -> c_int {
    // SAFETY: see `super`.
    unsafe {
        match resume(co, nargs as usize) {
            Ok(()) => c_int::from((*co).h.x),
            Err(v) => {
                (*co).top = (*co).base;
                push(co, v);
                error_status(co, v)
            }
        }
    }
}

/// Resumes by calling what `coroutine.resume` is, on the stack of the running coroutine.
unsafe fn resume(co: State, nargs: usize) -> Result<(), Value> {
    // SAFETY: `co` is suspended, so its stack is ours to arrange.
    unsafe {
        let g = (*co).g;
        let from = (*g).cur;
        let message = |text: &str| Value::from(cx(from).str(text.as_bytes()));
        if co == from || (*co).h.y != 0 || (*co).h.x == status::ERROR {
            return Err(message("cannot resume non-suspended coroutine"));
        }
        if cx(from).check_stack(nargs + 8, "").is_err() {
            return Err(std::mem::replace(&mut (*g).thrown, Value::NIL));
        }
        if !(*g).c_resume.is(Tag::Func) {
            (*g).c_resume = cx(from).builtin(Builtin::Resume, &[]).into();
            cx(from).anchor((*g).c_resume);
        }
        let args = (*co).top.sub(nargs);
        if (*co).h.x == status::OK && !(*args.sub(1)).is(Tag::Func) {
            let e = error::call_value(cx(from), *args.sub(1));
            return Err(cx(from).take_error(e));
        }
        push(from, (*g).c_resume);
        push(from, Gc::<Thread>::from_ptr(co));
        for i in 0..nargs {
            push(from, *args.add(i));
        }
        if (*co).h.x == status::YIELD {
            // What the last yield gave has been taken or is not wanted.
            (*co).top = (*co).base;
        } else {
            let f = *args.sub(1);
            (*co).base = (*co).stack.add(2);
            *(*co).base = f;
            *(*co).base.add(1) = Value::NIL;
            (*co).top = (*co).base.add(2);
        }
        let n = cx(from).pcall_pushed(nargs + 1, -1, None)?;
        (*from).top = (*from).top.sub(n);
        let results = (*from).top;
        if *results == Value::FALSE {
            return Err(*results.add(1));
        }
        for i in 1..n {
            // The stack of `from` does not move while that of `co` grows.
            push(co, *results.add(i));
        }
        Ok(())
    }
}
