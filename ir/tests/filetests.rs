//! Every `.tir` file beside this one, through the runner that the library offers.

use std::path::Path;

use ir::filetest::{Failure, Registry, check_dir, run_text};

#[test]
fn tir_files() {
    let mut registry = Registry::new();
    // Later crates register real passes; here one that changes nothing.
    registry.pass("nothing", |trace| Ok(trace.clone()));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    if let Err(failures) = check_dir(&dir, &registry) {
        panic!("{failures}");
    }
}

const ADD: &str = ";! test: pass wrong
slot a: i64
slot b: i64

trace t entry 0x0 {
  %0: i64 = slot a
  %1: i64 = slot b
  %2: i64 = add %0, %1
  end exit 0
  exit 0 resume 0x1 { a = %2 }
}
";

/// What the runner is for: a pass that changes the meaning is caught without any expectation being written.
#[test]
fn a_wrong_pass_is_caught() {
    let mut registry = Registry::new();
    registry.pass("wrong", |trace| {
        let mut t = trace.clone();
        t.insts[2].op = ir::op::Op::Or;
        Ok(t)
    });
    let result = run_text(ADD, &registry, false);
    assert!(matches!(result, Err(Failure::Meaning { .. })), "{result:?}");
}

/// An ill-formed result is reported as the pass's.
#[test]
fn an_ill_formed_result_is_caught() {
    let mut registry = Registry::new();
    registry.pass("wrong", |trace| {
        let mut t = trace.clone();
        t.insts.remove(1);
        Ok(t)
    });
    let result = run_text(ADD, &registry, false);
    assert!(matches!(result, Err(Failure::Pass { .. })), "{result:?}");
}

#[test]
fn bless_rewrites_the_output_block_only() {
    let mut registry = Registry::new();
    registry.pass("wrong", |t| Ok(t.clone()));
    let text = format!("{ADD};> stale\n;> lines\n; check: add\n");
    assert!(matches!(run_text(&text, &registry, false), Err(Failure::Output(_))));
    let Ok(Some(new)) = run_text(&text, &registry, true) else { panic!("nothing to bless") };
    assert!(new.starts_with(ADD) && new.ends_with(";> }\n; check: add\n"), "{new}");
    assert_eq!(run_text(&new, &registry, false).map_err(|e| e.to_string()), Ok(None));
}

#[test]
fn checks_are_in_order_and_nots_between_them() {
    let registry = Registry::new();
    let run = |checks: &str| {
        run_text(&format!("{}{checks}", ADD.replace("pass wrong", "verify")), &registry, false)
    };
    assert!(run("; check: slot a\n; not: slot\n; check: slot b\n; not: slot\n").is_ok());
    assert!(matches!(run("; check: slot b\n; check: slot a\n"), Err(Failure::Check { .. })));
    assert!(matches!(run("; check: slot a\n; not: slot\n; check: end\n"), Err(Failure::Not { .. })));
    assert!(matches!(run_text("no header", &registry, false), Err(Failure::Header(_))));
}

#[test]
fn kinds_can_be_added() {
    let mut registry = Registry::new();
    registry
        .kind("count", |case| Ok(format!("{} lines {}", case.trace()?.insts.len(), case.words.join("+"))));
    let text = ADD.replace("pass wrong", "count a, b");
    assert!(run_text(&format!("{text};> 3 lines a+b\n"), &registry, false).is_ok());
    assert!(run_text(&format!("{text};> 4 lines a+b\n"), &registry, false).is_err());
}
