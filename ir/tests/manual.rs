//! The manual is current: the op table in `docs/ir.md` is what `op.rs` says, and the example there is a trace.

use std::fmt::Write;
use std::path::Path;

use ir::op::{Arg, Check, Form, Op, OpEffect, Suffix};

const MARK: &str = "<!-- generated from ir/src/op.rs: BLESS=1 cargo test -p ir --test manual -->\n";

fn table() -> Result<String, std::fmt::Error> {
    let mut s = String::from("\n| operation | types | effect | meaning |\n|---|---|---|---|\n");
    for op in Op::ALL {
        let info = op.info();
        let suffix = match info.suffix {
            Suffix::None => "",
            Suffix::Lane => ".T",
            Suffix::Flag => ".flag",
            Suffix::Cond => ".cond",
            Suffix::Round => ".mode",
        };
        let args: Vec<&str> = info.args.iter().map(|a| a.name()).collect();
        let operands = match info.form {
            Form::Plain => args.join(", "),
            Form::Phi => "in `loop(…)`".into(),
            Form::Load => "address".into(),
            Form::Store => "T, address".into(),
            Form::Atomic => format!("{}, address", args.join(", ")),
            Form::Guard => "i1, exit".into(),
            Form::Call => "helper, operands, exit".into(),
            Form::Native => "bytes, slots".into(),
            Form::At => "pc, exit".into(),
        };
        let arrow =
            if info.result == Arg::None { String::new() } else { format!(" → {}", info.result.name()) };
        let mut types = Vec::new();
        if info.t.iter().next().is_some() {
            types.push(format!("T: {}", info.t));
        }
        if info.r.iter().next().is_some() {
            types.push(format!("R: {}", info.r));
        }
        match info.check {
            Check::Any | Check::LaneCount => {}
            Check::Wider => types.push("R wider".into()),
            Check::Narrower => types.push("R narrower".into()),
            Check::SameBits => types.push("same width".into()),
            Check::PartOfR => types.push("T fits in R".into()),
            Check::PartOfT => types.push("R fits in T".into()),
            Check::SlotType => types.push("R: the slot's".into()),
            Check::TagType => types.push("T or R: the tag's".into()),
        }
        let effect = if info.effect == OpEffect::Pure { "" } else { info.effect.name() };
        let name = info.name;
        let doc = info.doc.replace('|', "\\|");
        writeln!(s, "| `{name}{suffix}` {operands}{arrow} | {} | {effect} | {doc} |", types.join("; "))?;
    }
    Ok(s)
}

#[test]
fn op_table_is_current() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ir.md");
    let text = std::fs::read_to_string(&path)?;
    let (head, found) = text.split_once(MARK).ok_or("docs/ir.md has lost its mark")?;
    let expected = table()?;
    if found != expected {
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            std::fs::write(&path, format!("{head}{MARK}{expected}"))?;
        } else {
            return Err("docs/ir.md is not current: run BLESS=1 cargo test -p ir --test manual".into());
        }
    }
    Ok(())
}

/// The first example in the manual parses (its remarks cut off), is well-formed and prints as it stands there.
#[test]
fn example_is_a_trace() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ir.md");
    let text = std::fs::read_to_string(&path)?;
    let example = text.split("```").nth(1).ok_or("no example")?;
    let lines: Vec<&str> = example
        .trim()
        .lines()
        .map(|l| match l.trim_start().find("   ") {
            Some(i) => l[..i + l.len() - l.trim_start().len()].trim_end(),
            None => l,
        })
        .collect();
    let source = lines.join("\n") + "\n";
    let trace = ir::parse::parse(&source)?.trace;
    ir::verify::verify(&trace).map_err(|e| format!("{e:?}"))?;
    assert_eq!(ir::print::file(&trace), source);
    Ok(())
}
