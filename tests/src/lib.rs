//! The harness of the end-to-end suites: the CPU is the oracle.
//!
//! Every suite has the same shape: a program is run natively and under `dynrun`, once per tier, and
//! everything that its user could see is compared: standard output, standard error, exit status or
//! deadly signal, files it left behind.
//!
//! In reading order:
//! - [`process`]: run one command with a time limit, kill its whole process group when it hangs;
//! - [`subject`]: where `dynrun` is, which tiers to try, how a command is wrapped in it;
//! - [`compare`]: two outcomes, one verdict, and a message that a person can act upon;
//! - [`hazard`]: C and assembly programs with their build and run directives in the header;
//! - [`program`]: real programs, a shell file each;
//! - [`random`]: random C programs, by csmith and by [`loopgen`];
//! - [`suite`]: the glue to the test runner.
//!
//! The suites themselves are in `tests/tests`: `hazards`, `aarch64`, `real`, `random`, `verify` and `bad_input`.
//!
//! Environment: `DYNRUN` names the binary under test (default: `release/dynrun` of the target
//! directory); empty means "native against native", which proves the programs themselves right.
//! `E2E_TIERS` (comma separated) limits the tiers, `E2E_REQUIRE_ALL=1` makes a missing package a
//! failure instead of a skipped row, `E2E_SLOW=only` runs the programs that take minutes, `CSMITH_COUNT`, `LOOPS_COUNT`,
//! `CSMITH_SEED`, `LOOPS_SEED` and `RANDOM_KEEP` steer the random programs.
//!
//! Must not know: anything about how `dynrun` works; only its command line.

#![forbid(unsafe_code)]

pub mod compare;
pub mod hazard;
pub mod loopgen;
pub mod process;
pub mod program;
pub mod random;
pub mod subject;
pub mod suite;
