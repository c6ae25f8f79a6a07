//! Every `.tir` file beside this one, through the runner that the library offers.

use std::path::Path;

use ir::filetest::{Registry, check_dir};

#[test]
fn tir_files() -> Result<(), String> {
    let mut registry = Registry::new();
    // What later crates register is a real pass; here one that changes nothing, and a wrong one.
    registry.pass("nothing", |trace| Ok(trace.clone()));
    check_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &registry)
}
