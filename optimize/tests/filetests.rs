//! Every `.tir` file beside this one, with the passes of this crate.

#[path = "codegen/kind.rs"]
mod codegen_kind;
mod vector_kind;
mod vectors;

use ir::filetest::{Registry, check_dir};
use optimize::pass::Env;
use std::path::Path;

#[test]
fn tir_files() {
    let mut registry = Registry::new();
    for pass in optimize::passes::all() {
        let name = pass.name();
        registry.pass(name, move |trace| {
            let mut t = trace.clone();
            if let Some(mut p) = optimize::passes::all().into_iter().find(|p| p.name() == name) {
                p.run(&mut t, &mut Env::default());
            }
            Ok(t)
        });
    }
    registry.kind("vector", vector_kind::vector);
    registry.kind("codegen", codegen_kind::codegen);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    if let Err(failures) = check_dir(&dir, &registry) {
        panic!("{failures}");
    }
}
