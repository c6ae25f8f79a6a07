//! `-b`: listing and saving bytecode.

use super::{Failed, Host};

/// Runs `-b...` with the arguments behind it.
///
/// # Errors
/// After a message.
pub fn run(host: &Host<'_>, _args: &[Vec<u8>]) -> Result<(), Failed> {
    host.message(b"unknown luaJIT command or jit.* modules not installed");
    Err(Failed)
}
