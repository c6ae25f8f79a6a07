//! Chooses how the interpreter dispatches.
//!
//! With optimisation each operation ends in a tail call to the next (`cfg(threaded)`): the compiler makes sibling calls of
//! them, so virtual registers stay in machine registers. Without, a loop calls one operation after the other.
//!
//! And lets the program export the C API: modules in C find its functions in the program that loads them.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(threaded)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RJIT_DISPATCH");
    export_c_api();
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let optimised = matches!(level.as_str(), "2" | "3");
    let known = matches!(arch.as_str(), "x86_64" | "aarch64");
    let looped = std::env::var("RJIT_DISPATCH").is_ok_and(|v| v == "loop");
    if optimised && known && !looped {
        println!("cargo::rustc-cfg=threaded");
    }
}

/// Tells the linker to export the names of the C API, and nothing else.
fn export_c_api() {
    let Some(dir) = std::env::var_os("OUT_DIR") else { return };
    let list = std::path::Path::new(&dir).join("exports.txt");
    if std::fs::write(&list, "{ lua_*; luaL_*; luaJIT_*; luaopen_*; };\n").is_ok() {
        println!("cargo::rustc-link-arg-bins=-Wl,--dynamic-list={}", list.display());
    }
}
