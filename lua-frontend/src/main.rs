//! `rjit`: runs Lua scripts, with the command line of `luajit`. See [`lua_frontend::cli`].

use std::os::unix::ffi::OsStringExt;

fn main() {
    let args: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let status = lua_frontend::cli::run(&args);
    // Through the C library, whose streams must be flushed.
    lua_frontend::stdio::exit(status);
}
