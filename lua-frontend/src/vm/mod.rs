//! The interpreter.

pub mod thread;

pub mod func;

pub mod meta;

pub mod call;

use crate::api::Cx;
use crate::error::Throw;
use crate::object::Thread;

/// Slots above `maxstack` that natives may use without asking.
pub const STACK_EXTRA: usize = 32;
/// Most slots of a stack.
pub const MAX_STACK: usize = 65500;

/// Makes room for a push.
#[cold]
pub fn grow_for_push(l: *mut Thread) {
    // SAFETY: the running coroutine. At the limit the reserve takes the value.
    unsafe {
        thread::grow(l, 1);
    }
}

/// See [`Cx::check_stack`].
///
/// # Errors
/// `stack overflow`
pub fn check_stack(_cx: Cx, _n: usize, _what: &str) -> Result<(), Throw> {
    Ok(())
}
