//! Functions that traces call.
//!
//! They do what the interpreter does for the same operation, and no more than their line in [`super::layout`] says: they do not run the collector, do not
//! move the stack and do not call Lua, except [`native_call`]. One that may raise an error returns a [`Res`].
//!
//! Contract: pointers are live objects of the state `g`, words are values.

use crate::api::{Cx, Ret};
use crate::error::Throw;
use crate::gc;
use crate::object::{Func, NativeFunc, Str, Table};
use crate::state::Global;
use crate::table;
use crate::value::{Gc, Value};
use crate::vm::{MIN_NATIVE, STACK_EXTRA};

/// A result, and whether an error was raised instead.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Res {
    /// The result.
    pub value: u64,
    /// Not zero: there is an error.
    pub raised: u64,
}

const OK: Res = Res { value: 0, raised: 0 };

/// The error that a helper raises: what is thrown is in the state already.
fn raised(g: &mut Global, e: Throw) -> Res {
    g.jit_throw = Some(e);
    Res { value: 0, raised: 1 }
}

fn canonical(x: f64) -> f64 {
    Value::number(x).raw_f64()
}

/// `x ^ y`
pub(super) extern "C" fn pow(x: f64, y: f64) -> f64 {
    canonical(x.powf(y))
}

/// `x % y`
pub(super) extern "C" fn modulo(x: f64, y: f64) -> f64 {
    canonical(crate::vm::modulo(x, y))
}

/// Functions of one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of the functions")]
#[repr(i64)]
pub enum Math1 {
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Exp,
    Log,
    Log10,
    Sinh,
    Cosh,
    Tanh,
}

/// Functions of two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of the functions")]
#[repr(i64)]
pub enum Math2 {
    Pow,
    Fmod,
    Atan2,
}

/// A function of one number.
pub(super) extern "C" fn math1(x: f64, which: i64) -> f64 {
    use crate::stdlib::libm as c;
    canonical(match which {
        0 => c::sin(x),
        1 => c::cos(x),
        2 => c::tan(x),
        3 => c::asin(x),
        4 => c::acos(x),
        5 => c::atan(x),
        6 => c::exp(x),
        7 => c::log(x),
        8 => c::log10(x),
        9 => c::sinh(x),
        10 => c::cosh(x),
        _ => c::tanh(x),
    })
}

/// A function of two numbers.
pub(super) extern "C" fn math2(x: f64, y: f64, which: i64) -> f64 {
    use crate::stdlib::libm as c;
    canonical(match which {
        0 => c::pow(x, y),
        1 => c::fmod(x, y),
        _ => c::atan2(x, y),
    })
}

/// A new table.
pub(super) unsafe extern "C" fn table_new(g: *mut Global, asize: i64, hbits: i64) -> *mut Table {
    // SAFETY: contract of the module.
    unsafe { table::new(&mut (*g).heap, asize as u32, hbits as u32).as_ptr() }
}

/// A copy of a template.
pub(super) unsafe extern "C" fn table_dup(g: *mut Global, t: *mut Table) -> *mut Table {
    // SAFETY: contract of the module.
    unsafe { table::dup(&mut (*g).heap, Gc::from_ptr(t)).as_ptr() }
}

/// The value of a key.
pub(super) unsafe extern "C" fn table_get(t: *mut Table, key: u64) -> u64 {
    // SAFETY: contract of the module.
    unsafe { (*t).get(Value(key)).0 }
}

/// The value of an integer key.
pub(super) unsafe extern "C" fn table_get_int(t: *mut Table, key: i32) -> u64 {
    // SAFETY: contract of the module.
    unsafe { (*t).get_int(key).0 }
}

/// `#t`
pub(super) unsafe extern "C" fn table_len(t: *mut Table) -> u32 {
    // SAFETY: contract of the module.
    unsafe { (*t).len() as u32 }
}

/// Stores into a table that has no `__newindex`.
pub(super) unsafe extern "C" fn table_set(g: *mut Global, t: *mut Table, key: u64, value: u64) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let t = Gc::from_ptr(t);
        match table::set_slot(&mut (*g).heap, t, Value(key)) {
            Ok(slot) => {
                (*t.as_ptr()).h.x = 0;
                *slot = Value(value);
                gc::barrier_table(&mut *g, t);
                OK
            }
            // The interpreter does it again, and raises the error.
            Err(_) => Res { value: 0, raised: 1 },
        }
    }
}

/// After a store into a black object.
pub(super) unsafe extern "C" fn barrier(g: *mut Global, object: *mut Table) {
    // SAFETY: contract of the module.
    unsafe { gc::barrier_object(&mut *g, object.cast()) }
}

/// The order of two strings, as a sign.
pub(super) unsafe extern "C" fn string_order(x: *mut Str, y: *mut Str) -> i32 {
    // SAFETY: contract of the module.
    unsafe { (*x).bytes().cmp((*y).bytes()) as i32 }
}

/// `x .. y` of strings and numbers.
pub(super) unsafe extern "C" fn concat(g: *mut Global, x: u64, y: u64) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe {
        let mut buf = std::mem::take(&mut (*g).buf);
        buf.clear();
        for v in [Value(x), Value(y)] {
            match v.as_str() {
                Some(s) => buf.extend_from_slice(s.bytes()),
                None => crate::number::format(v.raw_f64(), &mut buf),
            }
        }
        let s = (*g).intern(&buf).as_ptr();
        if buf.capacity() > 1 << 20 {
            buf = Vec::new();
        }
        (*g).buf = buf;
        s
    }
}

/// `string.sub(s, i, j)`
pub(super) unsafe extern "C" fn string_sub(g: *mut Global, s: *mut Str, i: i32, j: i32) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe {
        let bytes = (*s).bytes();
        let len = bytes.len() as i64;
        let (i, j) = (i64::from(i), i64::from(j));
        let from = if i < 0 { (i + len + 1).max(1) } else { i.max(1) } - 1;
        let to = if j < 0 { j + len + 1 } else { j.min(len) };
        if from >= to {
            return (*g).empty;
        }
        (*g).intern(&bytes[from as usize..to as usize]).as_ptr()
    }
}

/// `string.char(c)`
pub(super) unsafe extern "C" fn string_char(g: *mut Global, c: i32) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe { (*g).intern(&[c as u8]).as_ptr() }
}

/// Calls the library function in the frame `by` bytes above `base`, with `n` arguments, and leaves `want` results where the function was.
///
/// This one may do anything: run the collector, move the stack, call Lua. The base as it is then is left where traces look for it.
pub(super) unsafe extern "C" fn native_call(g: *mut Global, base: usize, by: i64, n: i32, want: i32) -> Res {
    // SAFETY: contract of the module; the trace has put the frames below into place.
    unsafe {
        let l = (*g).cur;
        let cell = (*g).jit_base;
        let old = (*l).stack as usize;
        let frame = base.wrapping_add_signed(by as isize) as *mut Value;
        (*l).base = frame;
        (*l).top = frame.add(n as usize);
        let mut result = Ok(());
        if (*l).top.add(MIN_NATIVE) > (*l).maxstack.add(STACK_EXTRA / 2)
            && !crate::vm::thread::grow(l, MIN_NATIVE)
        {
            result = Err(crate::vm::overflow(l));
        }
        if result.is_ok() {
            let f: *mut Func = (*(*l).base.sub(2)).ptr();
            let called = match ((*f.cast::<NativeFunc>()).call)(Cx { l }) {
                Ok(Ret::TailCall(n)) => Cx { l }.call_pushed(n as usize, -1).map(|n| Ret::Values(n as u32)),
                other => other,
            };
            result = match called {
                // Functions that yield are not called by traces.
                Ok(Ret::TailCall(_) | Ret::Yield(_)) => Ok(()),
                Ok(Ret::Values(n)) => {
                    let due = gc::is_due(&*g);
                    let done = if due { gc::step_in_vm(l) } else { Ok(()) };
                    done.map(|()| {
                        let (to, n) = ((*l).base.sub(2), n as usize);
                        let from = (*l).top.sub(n);
                        for i in 0..want as usize {
                            *to.add(i) = if i < n { *from.add(i) } else { Value::NIL };
                        }
                    })
                }
                Err(e) => Err(e),
            };
        }
        let moved = ((*l).stack as usize).wrapping_sub(old);
        *cell = base.wrapping_add(moved);
        (*g).jit_base = cell;
        match result {
            Ok(()) => OK,
            Err(e) => raised(&mut *g, e),
        }
    }
}
