//! Library functions in traces: one recipe each, by the function's number.
//!
//! A recipe looks at the arguments as they are now ([`Recorder::live`]), guards what it relies on, and gives the results; `None` if it has nothing for these
//! arguments, before it has changed anything. What has no recipe is called with the stack in place, unless it is
//! one of those that look at or switch frames ([`may_call`]).

mod base;
mod bit;
mod math;
mod string;

use crate::jit::record::{Recorder, V};
use crate::object::{FF_NATIVE, Func};
use crate::stdlib::ffid;
use crate::value::Gc;

/// Arguments of a call: slots `first` to `first + n - 1`.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// The first one's slot.
    pub first: usize,
    /// How many.
    pub n: usize,
}

impl Args {
    /// The slot of argument `i` (from 0), if there is one.
    pub fn slot(&self, i: usize) -> Option<usize> {
        (i < self.n).then_some(self.first + i)
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
        _ => None,
    }
}

/// What the call of a library function gives, if there is a recipe for it.
pub fn library(r: &mut Recorder, f: Gc<Func>, first: usize, n: usize) -> Option<Vec<V>> {
    let (library, name) = ffid::name(f.ffid())?;
    find(name, library)?(r, Args { first, n })
}

/// May a trace call it with the stack in place? Not what switches coroutines, looks at or changes frames, or is no native function at all.
pub fn may_call(f: Gc<Func>) -> bool {
    // C functions may yield.
    let plain = f.h.x == FF_NATIVE && crate::capi::call::c_function(f).is_none();
    let Some((library, name)) = ffid::name(f.ffid()) else { return plain && f.ffid() <= 1 };
    plain
        && !matches!(library, "debug" | "jit" | "jit.opt" | "jit.util" | "jit.profile" | "coroutine")
        && !matches!(name, "setfenv" | "getfenv" | "pcall" | "xpcall" | "error" | "collectgarbage")
}
