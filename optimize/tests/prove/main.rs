//! Each fold rule, and each equation that address folding rests on, proved for all inputs by an SMT solver (z3).
//!
//! A rule is instantiated at all legal types, for all suffixes and all offsets of parts; the negation of "both sides are equal where the conditions hold" must be
//! unsatisfiable. Integers are 1 to 64 bits wide; 8 and 16 where products are involved, and parts of containers up to 128 bits: these rules speak of widths
//! and offsets only by sums and comparisons, so wider ones are no different.
//! Each rule must also apply to something (its conditions are satisfiable).

mod smt;

use optimize::passes::fold::RULES;
use optimize::passes::fold_address::EQUATIONS;
use optimize::passes::rules::parse;
use std::io::Write;
use std::process::{Command, Stdio};

fn z3_is_there() -> bool {
    Command::new("z3").arg("-version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Answers of the solver, one per query.
fn ask(script: &str) -> Vec<String> {
    let mut z3 = Command::new("z3")
        .args(["-in", "-smt2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("z3 starts");
    let mut stdin = z3.stdin.take().expect("piped");
    let script = script.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = z3.wait_with_output().expect("z3 ends");
    writer.join().expect("no panic").expect("z3 reads");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn prove(text: &str) {
    let rules = parse(text).expect("well-formed rules");
    if !z3_is_there() {
        assert!(std::env::var_os("E2E_REQUIRE_ALL").is_none(), "z3 is missing");
        eprintln!("skipped: z3 is missing (package z3)");
        return;
    }
    let mut scripts = Vec::new();
    let mut queries = Vec::new();
    let mut failures = Vec::new();
    for rule in &rules {
        let instances = smt::instances(rule);
        if instances.is_empty() {
            failures.push(format!("{}: no types fit", rule.name));
        }
        for instance in instances {
            match instance {
                Ok(i) => {
                    scripts.push(i.script);
                    queries.push((rule.name.clone(), i.what));
                }
                Err(what) => failures.push(format!("{}: {what}", rule.name)),
            }
        }
    }
    // Two solvers, each with every other query, so that slow rules are shared.
    let part = |n: usize| {
        let all = scripts.iter().skip(n).step_by(2).map(String::as_str);
        ask(&format!("(set-option :timeout 120000)\n{}", all.collect::<String>()))
    };
    let (even, odd) = std::thread::scope(|s| {
        let odd = s.spawn(|| part(1));
        (part(0), odd.join().expect("no panic"))
    });
    let (mut even, mut odd) = (even.chunks(2), odd.chunks(2));
    let mut answers = Vec::new();
    for i in 0..queries.len() {
        let next = if i % 2 == 0 { even.next() } else { odd.next() };
        answers.extend_from_slice(next.unwrap_or_default());
    }
    assert_eq!(answers.len(), 2 * queries.len(), "{:?}", answers.iter().find(|a| a.contains("error")));
    let mut applies = std::collections::BTreeMap::new();
    for ((name, what), answer) in queries.iter().zip(answers.chunks(2)) {
        *applies.entry(name).or_insert(false) |= answer[0] == "sat";
        if answer[1] != "unsat" {
            failures.push(format!("{name} at {what}: {}", answer[1]));
        }
    }
    failures.extend(applies.iter().filter(|(_, a)| !**a).map(|(n, _)| format!("{n} never applies")));
    eprintln!("{} rules, {} instances", rules.len(), queries.len());
    assert!(failures.is_empty(), "not proved:\n{}", failures.join("\n"));
}

#[test]
fn fold_rules() {
    prove(RULES);
}

#[test]
fn address_equations() {
    prove(EQUATIONS);
}

/// The prover refuses what is wrong.
#[test]
fn a_wrong_rule_is_found() {
    if z3_is_there() {
        let wrong = std::panic::catch_unwind(|| prove("wrong (cc.l (flags.sub a b)) => (slt (sub a b) 0)"));
        assert!(wrong.is_err());
    }
}
