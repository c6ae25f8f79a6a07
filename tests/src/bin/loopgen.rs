//! `loopgen [--faulting] SEED`: prints the random program of a seed (see `e2e_tests::loopgen`).

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let faulting = std::env::args().nth(1).is_some_and(|a| a == "--faulting");
    let seed = std::env::args().nth(1 + usize::from(faulting)).and_then(|text| text.parse().ok());
    let Some(seed) = seed else {
        eprintln!("usage: loopgen [--faulting] SEED");
        return ExitCode::FAILURE;
    };
    let text = if faulting { e2e_tests::loopgen::faulting(seed) } else { e2e_tests::loopgen::source(seed) };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
