//! Source text or a dump becomes a prototype.

use crate::api::Cx;
use crate::error::Throw;
use crate::object::Proto;
use crate::value::Gc;

/// Compiles source text or loads a dump (first byte `0x1b`). `mode` says what is allowed: `t`, `b`, `bt`.
///
/// # Errors
/// The syntax error, or `attempt to load chunk with wrong mode`.
pub fn load(cx: Cx, _chunk: &[u8], _name: &[u8], _mode: &str) -> Result<Gc<Proto>, Throw> {
    Err(cx.error_plain("no compiler in this build"))
}
