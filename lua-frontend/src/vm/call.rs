//! Calls from native code into Lua.

use crate::api::Cx;
use crate::error::Throw;
use crate::value::Value;

/// See [`Cx::call`].
///
/// # Errors
/// What the callee throws.
pub fn call1(cx: Cx, _f: Value, _args: &[Value]) -> Result<Value, Throw> {
    Err(cx.error("no interpreter in this build"))
}

/// See [`Cx::call_pushed`].
///
/// # Errors
/// What the callee throws.
pub fn call_pushed(cx: Cx, _nargs: usize, _nresults: i32) -> Result<usize, Throw> {
    Err(cx.error("no interpreter in this build"))
}

/// See [`Cx::pcall_pushed`].
///
/// # Errors
/// The error value.
pub fn pcall_pushed(cx: Cx, nargs: usize, nresults: i32, _handler: Option<Value>) -> Result<usize, Value> {
    call_pushed(cx, nargs, nresults).map_err(|e| cx.take_error(e))
}
