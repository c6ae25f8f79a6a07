//! `speedup`: builds the benchmark programs, runs each natively and under the runners in
//! turns, and prints how many times native's time each runner takes.
//!
//! Exit status: 0 when everything ran and all outputs agreed, 1 when something failed (the
//! other results are shown all the same), 2 when nothing could be measured.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bench::build::{Builder, Level};
use bench::catalogue::{Class, PROGRAMS, Program};
use bench::experiment::{CaseResult, Plan};
use bench::report::{Machine, Report, Unbuilt};
use bench::{process, runner};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use regex::Regex;

/// Measure programs natively and under a runner, in turns
#[derive(Parser)]
#[command(version, after_help = "A ratio of 1.00 is native speed; less is faster than native.")]
struct Options {
    /// Levels to compile at: O0, O1, O2, O3, Os, Og, each also with -native, -v2, -v3 or -v4
    #[arg(long, value_delimiter = ',', default_value = "O2")]
    levels: Vec<Level>,

    /// What to run programs with: native, dynrun, qemu, valgrind, or any command that takes
    /// a program and its arguments; options may follow, and a label with `=` may stand
    /// before. `native,native` shows the noise of the machine
    #[arg(long, value_delimiter = ',', default_value = "native,dynrun")]
    runners: Vec<String>,

    /// Only these programs: names, or regular expressions that match a whole name
    #[arg(long, value_delimiter = ',', value_name = "REGEX")]
    programs: Vec<String>,

    /// Only these classes
    #[arg(long, value_delimiter = ',')]
    class: Vec<Class>,

    /// Rounds; figures are medians over them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// The core to run everything on: a number, `auto` (the last one allowed) or `none`
    #[arg(long, default_value = "auto")]
    pin: Pin,

    /// Also run a quarter of the work, and compare slopes: time net of start-up
    #[arg(long)]
    steady: bool,

    /// Factor on the amount of work
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    scale: f64,

    /// Seconds after which a run counts as failed
    #[arg(long, default_value_t = 120.0, value_parser = positive)]
    timeout: f64,

    /// The C compiler; C++ uses its sibling
    #[arg(long, default_value = "gcc")]
    cc: String,

    /// The dynrun to use, instead of the one beside this program or in PATH
    #[arg(long, env = "DYNRUN", value_name = "PATH")]
    dynrun: Option<PathBuf>,

    /// Write one line per program, level and runner
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write everything, every single run included
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Folder for sources, binaries and the outputs of failures [default: beside this program]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,

    /// Build, print one command line per program and level, and run nothing
    #[arg(long)]
    build_only: bool,

    /// List the programs and their classes
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy)]
enum Pin {
    Auto,
    None,
    Core(usize),
}

impl std::str::FromStr for Pin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Pin::Auto),
            "none" => Ok(Pin::None),
            number => number.parse().map(Pin::Core).map_err(|_| "not a core's number, `auto` or `none`"),
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite() && *v > 0.0)
        .ok_or_else(|| "not a positive number".into())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("speedup: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let programs = select(&options.programs, &options.class)?;
    if options.list {
        for program in programs {
            println!("{:9} {}", program.class.name(), program.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let work = options.work.clone().map_or_else(default_work, Ok)?;
    let builder = Builder::new(&work, &options.cc)?;
    let compiler = builder.compiler_version()?.to_owned();
    // Reports go to files that can be written, or nothing is measured in vain.
    for path in [&options.csv, &options.json].into_iter().flatten() {
        std::fs::write(path, "").with_context(|| path.display().to_string())?;
    }
    let cases = cases(&programs, &options.levels);
    if options.build_only {
        return Ok(build_only(&builder, &cases));
    }
    let dynrun = runner::find_dynrun(options.dynrun.clone());
    let plan = Plan {
        runners: runner::parse_all(&options.runners, dynrun.as_deref())?,
        runs: options.runs as usize,
        steady: options.steady,
        scale: options.scale,
        core: core(options.pin)?,
        timeout: Duration::from_secs_f64(options.timeout),
        scratch: builder.scratch().to_owned(),
        kept: builder.work().join("kept"),
    };
    let mut report = Report {
        machine: machine(compiler, plan.core),
        command: std::env::args().collect(),
        runners: plan.runners.iter().map(|r| r.label.clone()).collect(),
        steady: options.steady,
        cases: Vec::new(),
        unbuilt: Vec::new(),
    };
    measure(&builder, &plan, &cases, &mut report);
    print!("{}", report.table());
    if let Some(path) = &options.csv {
        std::fs::write(path, report.csv()).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A program at a level; the level is what tables show, `-` where we do not compile.
struct Case<'a> {
    program: &'a Program,
    level: &'a Level,
    shown: String,
}

fn cases<'a>(programs: &[&'a Program], levels: &'a [Level]) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for &program in programs {
        let compiled = program.class != Class::Startup;
        for level in if compiled { levels } else { &levels[..1] } {
            let shown = if compiled { level.to_string() } else { "-".into() };
            cases.push(Case { program, level, shown });
        }
    }
    cases
}

fn build_only(builder: &Builder, cases: &[Case<'_>]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Case { program, level, shown } in cases {
        match builder.build(program, level) {
            Ok(built) => println!("{} {shown}: {}", program.name, built.with_units(built.units).display()),
            Err(why) => {
                eprintln!("speedup: {} {shown}: {why}", program.name);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn measure(builder: &Builder, plan: &Plan, cases: &[Case<'_>], report: &mut Report) {
    let steps = |case: &Case<'_>| plan.steps(case.program.units > 0);
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(cases.iter().map(steps).sum())
    } else {
        ProgressBar::hidden()
    };
    // The template is a constant; without it the bar has its default form.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}+{eta} {msg}") {
        bar.set_style(style);
    }
    let mut done = 0;
    for case in cases {
        let Case { program, level, shown } = case;
        bar.set_position(done);
        bar.set_message(format!("{} {shown} build", program.name));
        match builder.build(program, level) {
            Ok(built) => {
                let verdicts = plan.measure(&format!("{}-{shown}", program.name), &built, |runner| {
                    bar.inc(1);
                    bar.set_message(format!("{} {shown} {runner}", program.name));
                });
                let (program, class) = (program.name.to_owned(), program.class);
                report.cases.push(CaseResult { program, class, level: shown.clone(), verdicts });
            }
            Err(why) => {
                let (program, level) = (program.name.to_owned(), shown.clone());
                report.unbuilt.push(Unbuilt { program, level, why: why.to_string() });
            }
        }
        done += steps(case);
    }
    bar.finish_and_clear();
}

fn select(patterns: &[String], classes: &[Class]) -> anyhow::Result<Vec<&'static Program>> {
    let mut wanted = Vec::new();
    for pattern in patterns {
        let regex =
            Regex::new(&format!("^(?:{pattern})$")).with_context(|| format!("--programs {pattern}"))?;
        if !PROGRAMS.iter().any(|p| regex.is_match(p.name)) {
            bail!("no program is called {pattern}; --list shows the names");
        }
        wanted.push(regex);
    }
    let chosen = |p: &&Program| {
        (wanted.is_empty() || wanted.iter().any(|r| r.is_match(p.name)))
            && (classes.is_empty() || classes.contains(&p.class))
    };
    let programs: Vec<_> = PROGRAMS.iter().filter(chosen).collect();
    if programs.is_empty() {
        bail!("no program is in the classes asked for and has a name asked for; --list shows them");
    }
    Ok(programs)
}

fn core(pin: Pin) -> anyhow::Result<Option<usize>> {
    let allowed = process::allowed_cores().context("sched_getaffinity")?;
    match pin {
        Pin::None => Ok(None),
        Pin::Auto => Ok(allowed.last().copied()),
        Pin::Core(core) if allowed.contains(&core) => Ok(Some(core)),
        Pin::Core(core) => bail!("--pin {core}: this process may run on cores {allowed:?} only"),
    }
}

/// A folder beside this program, so that it goes away with the build; a folder in the
/// user's cache where that cannot be written.
fn default_work() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name("speedup-work"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))
        .map(|cache| cache.join("speedup"));
    [beside, cache]
        .into_iter()
        .flatten()
        .find(|folder| std::fs::create_dir_all(folder).is_ok())
        .context("no folder to work in; give --work DIR")
}

fn machine(compiler: String, core: Option<usize>) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    Machine {
        processor: model.map_or_else(|| "unknown processor".into(), |(_, name)| name.trim().to_owned()),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        compiler,
        load: read("/proc/loadavg").split(' ').next().and_then(|l| l.parse().ok()).unwrap_or(0.0),
        core,
    }
}
