//! Small programs (`tests/verify`) in lockstep with the CPU: `dynrun --verify` in every tier, and with all optimisation of
//! whatever runs twice (`hot`), finds no difference, and output and status are the native ones.
//!
//! The first lines of a program: `// verify: what`, `// flags: compiler flags`, `// libs: linker flags`; `// hands over`
//! marks those whose verification ends before they do.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use e2e_tests::subject::{HOT_3, Tier};
use e2e_tests::suite;
use libtest_mimic::{Failed, Trial};

fn main() -> ExitCode {
    suite::main(|setting| {
        let mut trials = Vec::new();
        for source in programs()? {
            for tier in Tier::ALL {
                let Some(dynrun) = setting.dynrun.clone() else { continue };
                let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let mut columns = vec![(tier.name(), &["--hot=20"][..])];
                if tier == Tier::Trace {
                    columns.push(("hot", HOT_3));
                }
                for (column, options) in columns {
                    let (dynrun, source) = (dynrun.clone(), source.clone());
                    let name = format!("{stem}::{column}");
                    trials.push(Trial::test(name, move || check(&dynrun, &source, tier, options)));
                }
            }
        }
        Ok(trials)
    })
}

fn programs() -> std::io::Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        all.push(entry?.path());
    }
    all.sort();
    Ok(all)
}

fn check(dynrun: &Path, source: &Path, tier: Tier, options: &[&str]) -> Result<(), Failed> {
    let text = std::fs::read_to_string(source)?;
    let words = |key: &str| -> Vec<String> {
        let line = text.lines().find_map(|l| l.strip_prefix("// ")?.strip_prefix(key));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("program");
    let compiler = if source.extension().is_some_and(|e| e == "cpp") { "g++" } else { "gcc" };
    let mut compile = Command::new(compiler);
    compile.arg("-w").args(words("flags:")).arg(source).arg("-o").arg(&program).args(words("libs:"));
    if !compile.status()?.success() {
        return Err(format!("{compile:?} failed").into());
    }
    let native = Command::new(&program).output()?;
    let mut verified = Command::new(dynrun);
    verified.args(["--tier", tier.name()]).args(options).args(["--verify", "--stats", "--"]).arg(&program);
    let ours = verified.output()?;
    let said = String::from_utf8_lossy(&ours.stderr).into_owned();
    same(&native, &ours).map_err(|e| format!("{e}\n{said}"))?;
    let handed_over = said.contains("--verify ends here");
    if !said.contains("without a difference") || handed_over != text.contains("// hands over") {
        return Err(format!("not verified to the end:\n{said}").into());
    }
    Ok(())
}

fn same(native: &Output, ours: &Output) -> Result<(), String> {
    if native.status != ours.status {
        return Err(format!("ends by {} instead of {}", ours.status, native.status));
    }
    if native.stdout != ours.stdout {
        return Err(format!("prints {:?} instead of {:?}", ours.stdout, native.stdout));
    }
    Ok(())
}
