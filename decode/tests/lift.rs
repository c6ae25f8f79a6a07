//! What lifting writes, as text: `lift/*.tir` hold guest code and the trace that comes of it. Quality shows here (how
//! many operations an instruction costs), correctness in the oracle test.
//!
//! ```text
//! ;; a remark, and the assembly
//! ;! lift 0x401136 native|float: 48 01 d8 …     as one straight line, see `Guest::lift_block_into`
//! ;> the trace; BLESS=1 rewrites it
//! ```

use decode::x86_64::X86_64;
use decode::{Fp, Guest, GuestPc};
use ir::builder::Builder;
use ir::types::Pc;
use std::path::Path;

fn lift(header: &str) -> String {
    let (head, bytes) = header.split_once(':').expect("address and bytes");
    let mut words = head.split_whitespace();
    let pc = words.next().and_then(|w| w.strip_prefix("0x")).expect("an address");
    let pc = u64::from_str_radix(pc, 16).expect("hex address");
    let fp = match words.next() {
        Some("float") => Fp::AssumeDefault,
        _ => Fp::Native,
    };
    let bytes: Vec<u8> =
        bytes.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hex byte")).collect();
    let mut b = Builder::new(X86_64.decls().clone(), "t", Pc::Addr(pc));
    X86_64.lift_block_into(&bytes, GuestPc(pc), usize::MAX, fp, &mut b).expect("code");
    let trace = b.finish();
    ir::verify::verify(&trace).expect("well-formed");
    // The text form is complete: what is printed parses to the same trace.
    let file = ir::print::file(&trace);
    let parsed = ir::parse::parse(&file).expect("parses");
    assert_eq!(ir::print::file(&parsed.trace), file);
    let start = file.find("trace ").expect("a trace");
    file[start..].trim_end().lines().map(|l| format!(";> {l}\n")).collect()
}

fn check(path: &Path, failures: &mut Vec<String>) {
    let text = std::fs::read_to_string(path).expect("readable");
    let mut new = String::new();
    for line in text.lines().filter(|l| !l.starts_with(";>")) {
        new.push_str(line);
        new.push('\n');
        if let Some(header) = line.strip_prefix(";! lift ") {
            new.push_str(&lift(header));
        }
    }
    if new == text {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, new).expect("writable");
    } else {
        let wrong = new.lines().zip(text.lines()).find(|(a, b)| a != b);
        failures.push(format!("{}: first difference (now, file): {wrong:?}", path.display()));
    }
}

#[test]
fn lifted_text() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lift"));
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("directory") {
        check(&entry.expect("entry").path(), &mut failures);
        count += 1;
    }
    assert!(failures.is_empty(), "BLESS=1 rewrites:\n{}", failures.join("\n"));
    assert!(count >= 5, "only {count} files in {}", dir.display());
}
