//! Random Lua programs under `rjit` and under the reference.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::generate::program;

/// Time that a program may take.
const LIMIT: Duration = Duration::from_secs(20);

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
        let run = |binary: &Path| {
            let mut c = Command::new(binary);
            c.arg("random.lua").current_dir(directory.path()).env_remove("LUA_INIT");
            super::run(&mut c, LIMIT)
        };
        let want = run(&reference)?;
        if want.status.is_none() {
            eprintln!("seed {seed}: the reference takes too long");
            continue;
        }
        let got = run(&rjit)?;
        if got.stdout != want.stdout || got.status != want.status {
            let kept = std::env::temp_dir().join(format!("rjit-random-{seed}.lua"));
            std::fs::copy(&file, &kept)?;
            eprintln!("seed {seed}: output differs; program in {}", kept.display());
            failed.push(seed);
        }
    }
    println!("{} of {count} random Lua programs agree", count - failed.len() as u64);
    if !failed.is_empty() {
        bail!("seeds {failed:?}");
    }
    Ok(())
}
