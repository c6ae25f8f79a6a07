//! Library functions in traces: one recipe each, by the function's name.
//!
//! A recipe looks at the arguments as they are now ([`Recorder::live`]), guards what it relies on, and gives the results; `None` if it has nothing for these
//! arguments, before it has changed anything. What has no recipe is called with the stack in place, unless it is
//! one of those that switch frames or coroutines ([`may_call`]).

mod base;
mod bit;
mod math;
mod string;
mod table;

use crate::api::NativeFn;
use crate::jit::record::{Recorder, V};
use crate::object::{FF_NATIVE, Func, NativeFunc};
use crate::stdlib::ffid;
use crate::value::{Gc, Value};

/// A call: the function, and its arguments in slots `first` to `first + n - 1`.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// The first one's slot.
    pub first: usize,
    /// How many.
    pub n: usize,
    /// The function.
    pub f: Gc<Func>,
    /// How many results are used; all if `None`.
    pub want: Option<usize>,
}

impl Args {
    /// The slot of argument `i` (from 0), if there is one.
    pub fn slot(&self, i: usize) -> Option<usize> {
        (i < self.n).then_some(self.first + i)
    }

    /// Upvalue `i` (from 0) of the function.
    fn upvalue(&self, i: usize) -> Option<Value> {
        if self.f.is_lua() || i >= self.f.h.y as usize {
            return None;
        }
        // SAFETY: a native function has that many values behind its fixed part.
        Some(unsafe { *(&raw const (*self.f.as_ptr().cast::<NativeFunc>()).uv).cast::<Value>().add(i) })
    }
}

/// A recipe.
pub type Recipe = fn(&mut Recorder, Args) -> Option<Vec<V>>;

/// The recipe of a function.
fn find(name: &str, library: &str) -> Option<Recipe> {
    match library {
        "_G" => base::find(name),
        "math" => math::find(name),
        "bit" => bit::find(name),
        "string" => string::find(name),
        "table" => table::find(name),
        _ => None,
    }
}

/// The recipe of a function without a number: the reference has these in Lua.
fn unnumbered(call: NativeFn) -> Option<Recipe> {
    let is = |f: NativeFn| std::ptr::fn_addr_eq(call, f);
    if is(crate::stdlib::string::len) {
        Some(string::len)
    } else if is(crate::stdlib::table::remove) {
        Some(table::remove)
    } else {
        None
    }
}

/// The recipe of a library function, if there is one.
fn recipe(f: Gc<Func>) -> Option<Recipe> {
    match ffid::name(f.ffid()) {
        Some((library, name)) => find(name, library),
        None if f.h.x == FF_NATIVE => {
            // SAFETY: a native function without a number is a plain one.
            unnumbered(unsafe { (*f.as_ptr().cast::<NativeFunc>()).call })
        }
        None => None,
    }
}

/// What the call of a library function gives, if there is a recipe for it.
pub fn library(r: &mut Recorder, args: Args) -> Option<Vec<V>> {
    recipe(args.f)?(r, args)
}

/// Is it one of many with the same code, each with upvalues of its own, which a trace may call but need not tell apart? (What
/// `string.gmatch` gives is one.)
pub fn is_instance(f: Gc<Func>) -> bool {
    f.h.y > 0 && f.h.x == FF_NATIVE && recipe(f).is_none() && may_call(f)
}

/// May a trace call it with the stack in place? Not what switches coroutines or frames, asks about traces, or is no plain function at all.
pub fn may_call(f: Gc<Func>) -> bool {
    // C functions may yield.
    let plain = f.h.x == FF_NATIVE && crate::capi::call::c_function(f).is_none();
    let Some((library, name)) = ffid::name(f.ffid()) else { return plain && f.ffid() <= 1 };
    plain
        && !matches!(library, "jit" | "jit.opt" | "jit.util" | "jit.profile")
        && !(library == "debug"
            && matches!(name, "setlocal" | "sethook" | "debug" | "upvaluejoin" | "setupvalue"))
}
