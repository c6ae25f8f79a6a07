//! File calls through which a program could see the runtime instead of itself.

use super::{Call, memory};
use crate::thread::Thread;

/// `open` and its kind.
pub fn open(_thread: &mut Thread, call: &Call) -> i64 {
    memory::pass_writing(call)
}

/// `readlink`, `readlinkat`
pub fn readlink(_thread: &mut Thread, call: &Call) -> i64 {
    memory::pass_writing(call)
}

/// Calls that close or replace descriptors.
pub fn descriptors(call: &Call) -> i64 {
    call.pass()
}
