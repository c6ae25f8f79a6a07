//! Two outcomes of one program, one verdict.

use std::fmt::Write as _;

use crate::process::{End, Outcome};

/// Bytes of differing text shown on each side.
const SHOWN: usize = 600;

/// What of the outcomes must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aspects {
    /// Standard output, byte by byte.
    pub stdout: bool,
    /// Standard error, byte by byte.
    pub stderr: bool,
}

impl Aspects {
    /// Everything.
    pub const ALL: Self = Self { stdout: true, stderr: true };
    /// Standard output and the end; for programs that print times or addresses on standard error.
    pub const STDOUT: Self = Self { stdout: true, stderr: false };
    /// The end alone.
    pub const END: Self = Self { stdout: false, stderr: false };
}

/// Compares what `dynrun` made of a program with what the CPU makes of it.
///
/// # Errors
/// A message with the first difference and the ends of both outputs.
pub fn compare(native: &Outcome, got: &Outcome, aspects: Aspects) -> Result<(), String> {
    let mut message = String::new();
    if native.end != got.end {
        let _ = writeln!(message, "expected {}, got {}", native.end, got.end);
    }
    if aspects.stdout && native.stdout != got.stdout {
        describe(&mut message, "stdout", &native.stdout, &got.stdout);
    }
    if aspects.stderr && native.stderr != got.stderr {
        describe(&mut message, "stderr", &native.stderr, &got.stderr);
    }
    if let Some(line) = runtime_noise(got) {
        let _ = writeln!(message, "the runtime speaks of itself: {line}");
    }
    if message.is_empty() {
        return Ok(());
    }
    if !got.stderr.is_empty() {
        let _ = writeln!(message, "its stderr ends: {}", excerpt(tail(&got.stderr)));
    }
    let _ = write!(
        message,
        "(native {:.2} s, here {:.2} s)",
        native.elapsed.as_secs_f64(),
        got.elapsed.as_secs_f64()
    );
    Err(message)
}

/// Fails unless the program ended as it should when the CPU ran it: a wrong oracle proves nothing.
///
/// # Errors
/// A message with the output.
pub fn require(native: &Outcome, expected: End) -> Result<(), String> {
    if native.end == expected {
        return Ok(());
    }
    Err(format!(
        "the program itself fails natively: expected {expected}, got {}\nstdout: {}\nstderr: {}",
        native.end,
        excerpt(tail(&native.stdout)),
        excerpt(tail(&native.stderr)),
    ))
}

/// A panic of the runtime is a failure even where standard error is not compared.
fn runtime_noise(got: &Outcome) -> Option<String> {
    let text = String::from_utf8_lossy(&got.stderr);
    text.lines()
        .find(|line| line.contains("panicked at") && line.contains(".rs:") || line.starts_with("dynrun: bug"))
        .map(str::to_owned)
}

fn describe(message: &mut String, stream: &str, native: &[u8], got: &[u8]) {
    let at = native.iter().zip(got).take_while(|(a, b)| a == b).count();
    let line = native[..at].iter().filter(|&&b| b == b'\n').count() + 1;
    let from = native[..at].iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1);
    let _ = writeln!(
        message,
        "{stream} differs from line {line} on\n  expected: {}\n  got:      {}",
        excerpt(&native[from..]),
        excerpt(got.get(from..).unwrap_or_default()),
    );
}

fn tail(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(SHOWN)..]
}

fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if shown.len() < bytes.len() { "…" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(stdout: &str, stderr: &str, end: End) -> Outcome {
        Outcome { stdout: stdout.into(), stderr: stderr.into(), end, elapsed: Duration::ZERO }
    }

    #[test]
    fn equal_outcomes_agree() {
        let a = outcome("x\n", "", End::Exit(0));
        assert_eq!(compare(&a, &a.clone(), Aspects::ALL), Ok(()));
    }

    #[test]
    fn the_first_differing_line_is_named() {
        let a = outcome("1\n2\n3\n", "", End::Exit(0));
        let b = outcome("1\n2\n4\n", "", End::Exit(0));
        let message = compare(&a, &b, Aspects::ALL).unwrap_err();
        assert!(message.contains("line 3"), "{message}");
        assert_eq!(compare(&a, &b, Aspects::END), Ok(()));
    }

    #[test]
    fn a_panic_is_never_overlooked() {
        let a = outcome("", "", End::Exit(0));
        let b = outcome("", "thread 'main' panicked at src/x.rs:1:2:\n", End::Exit(0));
        assert!(compare(&a, &b, Aspects::END).is_err());
    }
}
