//! `cargo xtask reduce`: from a failure to its smallest cause.
//!
//! - `--trace FILE --pass NAMES`: shrinks a trace (`.tir`) that the passes break: they panic, make an ill-formed trace, or one that
//!   does something else on some state ([`ir::filetest::compare`]).
//! - `--trace FILE --check COMMAND`: the same while `sh -c 'COMMAND FILE'` succeeds, for whatever else can be wrong.
//! - `--program PATH ARGS…`: finds the first optimised trace with which a program no longer does as natively, and in it the first
//!   bad rewrite, and shows what it changes in the dump of fragments.

mod program;
mod shrink;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use optimize::pass::{Env, Features};

/// States on which a pass is tried.
const STATES: u64 = 200;

/// What to reduce.
#[derive(clap::Args)]
pub struct Options {
    /// The trace to shrink
    #[arg(long, value_name = "FILE", conflicts_with = "program")]
    trace: Option<PathBuf>,
    /// Passes that break the trace, in order
    #[arg(long, value_delimiter = ',', requires = "trace")]
    pass: Vec<String>,
    /// A shell command that succeeds on traces which still show the fault
    #[arg(long, value_name = "COMMAND", requires = "trace", conflicts_with = "pass")]
    check: Option<String>,
    /// Where the smallest trace goes [default: standard output], or the bad one of a program
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The program that goes wrong, and its arguments
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_names = ["PATH", "ARGS"])]
    program: Vec<String>,
    /// Options of dynrun with which it goes wrong, separated by blanks
    #[arg(long, default_value = "-O3 --hot=2", allow_hyphen_values = true)]
    options: String,
    /// Seconds after which a run counts as hanging
    #[arg(long, default_value_t = 30)]
    limit: u64,
}

/// Reduces.
///
/// # Errors
/// When the input cannot be used, or nothing is wrong with it.
pub fn reduce(options: &Options) -> Result<()> {
    let Some(path) = &options.trace else {
        ensure!(!options.program.is_empty(), "either --trace or --program");
        return program::bisect(&options.program, &options.options, options.limit, options.output.as_deref());
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("candidate.tir");
    let mut fails: Box<dyn FnMut(&str) -> bool> = match &options.check {
        Some(command) => {
            let line = format!("{command} {}", file.display());
            Box::new(move |text| {
                std::fs::write(&file, text).is_ok()
                    && Command::new("sh")
                        .args(["-c", &line])
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status()
                        .is_ok_and(|status| status.success())
            })
        }
        None => {
            ensure!(!options.pass.is_empty(), "either --pass or --check");
            let known = optimize::passes::all();
            for name in &options.pass {
                let names: Vec<_> = known.iter().map(|p| p.name()).collect();
                ensure!(names.contains(&name.as_str()), "no pass {name}; there are {}", names.join(", "));
            }
            Box::new(|text| breaks(text, &options.pass))
        }
    };
    // Panics of passes are expected here, a thousand times.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let start = shrink::Lines::of(&text);
    let failing = fails(&start.text());
    let small = if failing { shrink::shrink(start, &mut fails) } else { start };
    std::panic::set_hook(hook);
    if !failing {
        bail!("nothing is wrong with {}", path.display());
    }
    match &options.output {
        Some(output) => std::fs::write(output, small.text())?,
        None => print!("{}", small.text()),
    }
    Ok(())
}

/// Do the passes break this trace? Text that is no well-formed trace is not interesting.
fn breaks(text: &str, passes: &[String]) -> bool {
    let Ok(parsed) = ir::parse::parse(text) else { return false };
    if ir::verify::verify(&parsed.trace).is_err() {
        return false;
    }
    let run = || {
        let mut trace = parsed.trace.clone();
        let mut env = Env::new(Features { v256: true, v512: false }, None);
        for name in passes {
            for mut pass in optimize::passes::all() {
                if pass.name() == name {
                    pass.run(&mut trace, &mut env);
                }
            }
        }
        ir::verify::verify(&trace).is_err()
            || ir::filetest::compare(&parsed.trace, &trace, &[], STATES).is_err()
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(true)
}
