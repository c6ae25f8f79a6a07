//! Random traces and mutated text through the harnesses of [`ir::fuzz`].

use ir::fuzz::{check_text, check_trace, mutate, random_trace};
use ir::op::{Form, Op};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_survive_text(seed: u64, size in 1usize..60) {
        if let Err(e) = check_trace(&random_trace(seed, size)) {
            return Err(TestCaseError::fail(e));
        }
    }

    #[test]
    fn no_text_is_too_bad(seed: u64, changes: u64, size in 1usize..25) {
        let text = ir::print::file(&random_trace(seed, size));
        for i in 0..8 {
            let bad = mutate(&text, changes.wrapping_add(i));
            if let Err(e) = check_text(&bad) {
                return Err(TestCaseError::fail(format!("{e}\nfrom\n{bad}")));
            }
        }
    }

    #[test]
    fn arbitrary_text(text in "\\PC*", tail in "[ -~\n]{0,200}") {
        let head = "slot a: i64\ntrace t entry 0x1 {\n";
        for t in [text.clone(), format!("{head}{text}"), format!("{head}{tail}")] {
            prop_assert_eq!(check_text(&t), Ok(()));
        }
    }
}

/// The generator would prove little if it never made some operation.
#[test]
fn random_traces_use_every_operation() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..300 {
        seen.extend(random_trace(seed, 40).insts.iter().map(|i| i.op));
    }
    let missing: Vec<&str> = Op::ALL.iter().filter(|op| !seen.contains(op)).map(|op| op.name()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(seen.iter().any(|op| op.info().form == Form::Native));
}
