//! `cargo xtask …`: the chores of this repository.
//!
//! `check` is the one command that tells whether a change may land; `.ci/run` runs the same and then the
//! slow oracles. Every step prints what it runs, so that each can be repeated by hand.

#![forbid(unsafe_code)]

mod lua;
mod modelled;
mod order;
mod passes;
mod reduce;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// Random programs of each kind in a `cargo xtask oracles` run.
const ORACLE_PROGRAMS: u32 = 200;
/// Random Lua programs in the same run.
const LUA_PROGRAMS: u64 = 500;
/// The same for `cargo xtask nightly`.
const NIGHTLY_PROGRAMS: u32 = 1000;

#[derive(Parser)]
#[command(about = "Chores of this repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Formatting, lints, tidiness and all tests: what must hold before a change lands.
    Check,
    /// House rules that no compiler checks: module headers, SAFETY comments, paths named in documents.
    Tidy,
    /// Accepts the present output of the file tests as expected.
    Bless,
    /// Random C programs by csmith, native against traces and blocks.
    Csmith(Random),
    /// Random C programs full of loops, native against traces and blocks.
    Loops(Random),
    /// The same with arrays that become inaccessible, and a handler that looks at all registers.
    Faults(Random),
    /// Measures which instructions that are not modelled real programs execute.
    Modelled(modelled::Options),
    /// Measures which functions of dynrun are executed, for their order in the binary (after `cargo build --release`).
    Order,
    /// Runs the passes over traces (files, or directories of them) and compares on random states.
    Passes {
        /// Files `.tir`, as `dynrun --traces=DIR` writes them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// States for each.
        #[arg(long, default_value_t = 100)]
        states: u64,
    },
    /// Shrinks a trace that passes break, or finds the rewrite that breaks a program.
    Reduce(reduce::Options),
    /// The slow oracles: long-running real programs and 200 random ones of each kind.
    Oracles,
    /// Builds the reference implementation of Lua (LuaJIT) for the tests that compare with it.
    LuaReference,
    /// Random Lua programs under rjit and under the reference.
    LuaRandom {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many programs.
        #[arg(long, default_value_t = LUA_PROGRAMS)]
        count: u64,
    },
    /// Public Lua test suites from checkouts below a directory.
    LuaSuites {
        /// The directory.
        directory: PathBuf,
    },
    /// 1000 random programs of each kind.
    Nightly,
}

/// Which random programs.
#[derive(clap::Args)]
struct Random {
    /// The first seed; without it, half of them come from the corpus and half are new.
    #[arg(long)]
    seed: Option<u64>,
    /// How many programs.
    #[arg(long, default_value_t = 40)]
    count: u32,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Check => check(),
        Chore::Tidy => tidy::check(&root()),
        Chore::Bless => cargo(&["test", "--workspace", "--exclude", "e2e-tests"], &[("BLESS", "1")]),
        Chore::Csmith(random) => one_kind("CSMITH", &random),
        Chore::Loops(random) => one_kind("LOOPS", &random),
        Chore::Faults(random) => one_kind("FAULTS", &random),
        Chore::Modelled(options) => modelled::measure(&root(), &options),
        Chore::Order => order::measure(&root()),
        Chore::Passes { paths, states } => passes::check(&paths, states),
        Chore::Reduce(options) => reduce::reduce(&options),
        Chore::Oracles => oracles(),
        Chore::LuaReference => lua::reference::build(&root()).map(|path| println!("{}", path.display())),
        Chore::LuaRandom { seed, count } => lua_random(seed, count),
        Chore::LuaSuites { directory } => lua_suites(&directory),
        Chore::Nightly => random(NIGHTLY_PROGRAMS),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Cheap steps first, so that the common mistakes show within seconds.
fn check() -> Result<()> {
    tidy::check(&root())?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    build()?;
    cargo(&["test", "--workspace", "--no-fail-fast"], &[])
}

/// The end-to-end suites test the release build.
fn build() -> Result<()> {
    cargo(&["build", "--release", "--workspace"], &[])
}

/// Programs of one maker only.
fn one_kind(maker: &str, which: &Random) -> Result<()> {
    build()?;
    let (seed, count) = (which.seed.map(|s| s.to_string()), which.count.to_string());
    let names = [format!("{maker}_COUNT"), format!("{maker}_SEED")];
    let mut environment = vec![(names[0].as_str(), count.as_str())];
    environment.extend(seed.as_deref().map(|s| (names[1].as_str(), s)));
    let only = format!("{}::", maker.to_lowercase());
    cargo(&["test", "-p", "e2e-tests", "--test", "random", "--", &only], &environment)
}

/// So many programs of each maker.
fn random(count: u32) -> Result<()> {
    build()?;
    let count = count.to_string();
    cargo(
        &["test", "-p", "e2e-tests", "--test", "random"],
        &[("CSMITH_COUNT", &count), ("LOOPS_COUNT", &count), ("FAULTS_COUNT", &count)],
    )
}

fn oracles() -> Result<()> {
    build()?;
    cargo(&["test", "-p", "e2e-tests", "--test", "real"], &[("E2E_SLOW", "only")])?;
    random(ORACLE_PROGRAMS)?;
    lua::random::compare(&root(), 1, 500)
}

fn lua_random(seed: u64, count: u64) -> Result<()> {
    cargo(&["build", "--release", "-p", "lua-frontend"], &[])?;
    lua::random::compare(&root(), seed, count)
}

fn lua_suites(directory: &Path) -> Result<()> {
    cargo(&["build", "--release", "-p", "lua-frontend"], &[])?;
    lua::suites::run(&root(), directory)
}

/// Runs cargo at the root of the repository.
fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let settings: String = environment.iter().map(|(k, v)| format!("{k}={v} ")).collect();
    let shown = format!("{settings}cargo {}", arguments.join(" "));
    eprintln!("xtask: {shown}");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| shown.clone())?;
    ensure!(status.success(), "`{shown}` failed");
    Ok(())
}

/// The root of the repository: the parent of this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}
