//! Random Lua programs under `rjit`, interpreted and with low thresholds for traces, and under the reference, whose compiler is off: it has been seen to differ from its own
//! interpreter.
//!
//! Addresses in the output count as equal. A program that ends because its stack overflows may get a few calls
//! further in one than in the other: what both print up to there must be equal.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Run;
use super::generate::program;

/// Time that a program may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Generates `count` programs from consecutive seeds and compares what they print.
pub fn compare(root: &Path, first: u64, count: u64) -> Result<()> {
    let reference = super::reference::build(root)?;
    let rjit = super::target_directory(root).join("release/rjit");
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("random.lua");
    let mut failed = Vec::new();
    for seed in first..first + count {
        std::fs::write(&file, program(seed))?;
        // The name on the command line stands in messages: the same for both.
        let run = |binary: &Path, options: &[&str]| {
            let mut c = Command::new(binary);
            c.args(options).arg("random.lua").current_dir(directory.path()).env_remove("LUA_INIT");
            super::run(&mut c, LIMIT)
        };
        let want = run(&reference, &["-joff"])?;
        // Deep recursion through library functions overflows the machine's stack there.
        if want.status.is_none_or(|s| s < 0) {
            eprintln!("seed {seed}: the reference takes too long or crashes");
            continue;
        }
        // Interpreted, with the usual thresholds, and with everything hot at once.
        let ways: [&[&str]; 3] =
            [&["-joff"], &["-Ohotloop=2", "-Ohotexit=2", "-jon"], &["-Ohotloop=1", "-Ohotexit=1", "-jon"]];
        let mut differs = None;
        for options in ways {
            if differs.is_none() && !agree(&run(&rjit, options)?, &want) {
                differs = Some(options);
            }
        }
        if let Some(options) = differs {
            let kept = std::env::temp_dir().join(format!("rjit-random-{seed}.lua"));
            std::fs::copy(&file, &kept)?;
            eprintln!("seed {seed}: output differs with {options:?}; program in {}", kept.display());
            failed.push(seed);
        }
    }
    println!("{} of {count} random Lua programs agree", count - failed.len() as u64);
    if !failed.is_empty() {
        bail!("seeds {failed:?}");
    }
    Ok(())
}

fn agree(got: &Run, want: &Run) -> bool {
    let (a, b) = (without_addresses(&got.stdout), without_addresses(&want.stdout));
    let overflow = |run: &Run| String::from_utf8_lossy(&run.stderr).contains("stack overflow");
    let equal = if overflow(got) && overflow(want) {
        let common = a.len().min(b.len());
        a[..common] == b[..common]
    } else {
        a == b
    };
    equal && got.status == want.status
}

/// The output with the digits behind each `: 0x` gone.
fn without_addresses(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(4).position(|w| w == b": 0x") {
        out.extend_from_slice(&rest[..at + 4]);
        rest = &rest[at + 4..];
        let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        rest = &rest[digits..];
    }
    out.extend_from_slice(rest);
    out
}
