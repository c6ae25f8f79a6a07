//! `rjit`: runs Lua scripts.

use std::process::ExitCode;

use lua_frontend::state::Lua;

fn main() -> ExitCode {
    let lua = Lua::new();
    let cx = lua.cx();
    lua_frontend::stdlib::open(cx);
    let Some(path) = std::env::args().nth(1) else { return ExitCode::FAILURE };
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("rjit: cannot open {path}");
        return ExitCode::FAILURE;
    };
    let f = match cx.load(&text, format!("@{path}").as_bytes(), "bt", None) {
        Ok(f) => f,
        Err(e) => {
            eprintln!("rjit: {:?}", cx.take_error(e));
            return ExitCode::FAILURE;
        }
    };
    cx.push(f);
    match cx.pcall_pushed(0, 0, None) {
        Ok(_) => ExitCode::SUCCESS,
        Err(v) => {
            eprintln!("rjit: {v:?}");
            ExitCode::FAILURE
        }
    }
}
