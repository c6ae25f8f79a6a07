//! The coroutine library. Switching itself is done by the interpreter (see [`Builtin`]).

use crate::api::{Builtin, Cx, NativeResult};
use crate::stdlib::ffid;
use crate::value::Value;
use crate::vm::coroutine as vm;

/// Opens the library.
pub fn open(cx: Cx) {
    let t = super::library(
        cx,
        "coroutine",
        &[
            ("status", status),
            ("running", running),
            ("isyieldable", isyieldable),
            ("create", create),
            ("wrap", wrap),
        ],
    );
    for (name, b) in [("yield", Builtin::Yield), ("resume", Builtin::Resume)] {
        let f = cx.builtin(b, &[]);
        ffid::set(cx, f, "coroutine", name);
        cx.set_field(t, name, f);
    }
}

fn status(cx: Cx) -> NativeResult {
    let Some(co) = cx.arg(1).as_thread() else { return Err(cx.arg_error(1, "coroutine expected")) };
    cx.ret1(cx.str(vm::status(cx, co).as_bytes()))
}

fn running(cx: Cx) -> NativeResult {
    if cx.is_main() { cx.ret1(Value::NIL) } else { cx.ret1(cx.thread()) }
}

fn isyieldable(cx: Cx) -> NativeResult {
    cx.ret1(vm::is_yieldable(cx))
}

fn create(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    cx.ret1(vm::create(cx, f))
}

fn wrap(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    let co = vm::create(cx, f);
    let f = cx.builtin(Builtin::WrapCall, &[co.into()]);
    ffid::set(cx, f, "coroutine", "wrap_aux");
    cx.ret1(f)
}
