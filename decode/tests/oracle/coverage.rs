//! `not-modelled.txt` lists every instruction of 64-bit mode that lifts to a `native` operation or leaves the
//! trace; this test keeps the list true.

use crate::cpu::Cpu;
use crate::forms;
use crate::rng::Rng;
use decode::x86_64::X86_64;
use decode::{Fp, Guest};
use iced_x86::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const HEADER: &str = "\
# What the x86-64 lifter does not model. BLESS=1 rewrites this file.
#
# First, what of it programs execute (from executed.txt, which `cargo xtask modelled` measures): parts per million of the executed
# instructions, form, largest share of one program, and which.
#
# Then all of it, by CPU feature: mnemonics without any modelled form, and in parentheses the forms that are not modelled
# of mnemonics that otherwise are. They lift to `native` operations, or leave the trace.
#
# Not in the list, because they are special cases of listed forms:
# - `lock` with adc, sbb, neg; any `rep` prefix; string instructions with 32-bit addresses;
# - shld and shrd of 16 bits; bswap of 16 bits;
# - with `Fp::Native`: all floating-point arithmetic, comparisons and conversions.
#
# Not modelled in forms that are: alignment checks of vector operands in memory, sticky exception flags in MXCSR.
";

fn is_modelled(code: Code, cpu: &Cpu) -> bool {
    let mut rng = Rng::new(code as u64);
    (0..64)
        .filter_map(|_| forms::encode(code, cpu, cpu.pc(), &mut rng))
        .any(|case| X86_64.is_modelled(&case.inst, Fp::AssumeDefault))
}

/// Lines of `executed.txt` whose forms are still not modelled.
fn executed(cpu: &Cpu) -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../executed.txt").lines().filter(|l| !l.starts_with('#'));
    lines.filter(|line| {
        let form = line.split(' ').nth(1).unwrap_or_default();
        // Forms with a prefix count as forms of their own.
        !Code::values().any(|code| format!("{code:?}") == form && is_modelled(code, cpu))
    })
}

fn list(cpu: &Cpu) -> String {
    // mnemonic → (features, modelled forms, other forms)
    let mut mnemonics: BTreeMap<String, (String, usize, Vec<Code>)> = BTreeMap::new();
    for code in Code::values().filter(|c| c.op_code().mode64() && c.op_code().is_instruction()) {
        let features: Vec<String> = code.cpuid_features().iter().map(|f| format!("{f:?}")).collect();
        let name = format!("{:?}", code.mnemonic()).to_lowercase();
        let key = format!("{} {name}", if features.is_empty() { "-".into() } else { features.join("+") });
        let entry = mnemonics.entry(key).or_insert_with(|| (name, 0, Vec::new()));
        if is_modelled(code, cpu) { entry.1 += 1 } else { entry.2.push(code) }
    }
    let mut by_feature: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (key, (name, modelled, others)) in &mnemonics {
        let feature = key.split(' ').next().unwrap_or_default();
        let text = match (modelled, others.as_slice()) {
            (_, []) => continue,
            (0, _) => name.clone(),
            (_, some) => {
                format!("{name}({})", some.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(","))
            }
        };
        by_feature.entry(feature).or_default().insert(text);
    }
    let mut out = HEADER.to_string();
    out.push_str("\nexecuted\n");
    for line in executed(cpu) {
        let _ = writeln!(out, "    {line}");
    }
    for (feature, names) in by_feature {
        let _ = write!(out, "\n{feature}\n");
        let mut column = 0;
        for name in names {
            if column > 0 && column + name.len() > 100 {
                out.push('\n');
                column = 0;
            }
            let _ = write!(out, "{}{name}", if column == 0 { "    " } else { " " });
            column += name.len() + 1;
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_list_of_what_is_not_modelled_is_true() {
    let list = list(&Cpu::new());
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/not-modelled.txt");
        std::fs::write(path, &list).expect("writable source tree");
        return;
    }
    let file = include_str!("../not-modelled.txt");
    let wrong = list.lines().zip(file.lines()).find(|(a, b)| a != b);
    assert!(list == file, "BLESS=1 rewrites not-modelled.txt; first difference (now, file): {wrong:?}");
}
