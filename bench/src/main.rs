//! `speedup`: builds the benchmark programs, runs each natively and under the runners in
//! turns, and prints how many times native's time each runner takes.
//!
//! Exit status: 0 when everything ran and all outputs agreed, 1 when something failed (the
//! other results are shown all the same), 2 when nothing could be measured.

mod cases;
mod options;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bench::build::Builder;
use bench::catalogue::{Class, PROGRAMS, Program};
use bench::experiment::{CaseResult, Plan};
use bench::insight::{Insight, Looker};
use bench::process;
use bench::report::{Machine, Report, Unbuilt};
use bench::runner::{self, Runner};
use cases::{Binary, Case, across, binaries, each_binary, own};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use options::{Options, Pin};
use regex::Regex;

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
    if options.lua {
        return lua(options);
    }
    let programs = select(options)?;
    if options.list {
        for program in programs {
            println!("{:9} {}", program.class.name(), program.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let work = options.work.clone().map_or_else(default_work, Ok)?;
    let compilers = compilers(&work, options)?;
    try_files(options)?;
    let binaries = binaries(&compilers, options)?;
    if options.build_only {
        return Ok(build_only(&programs, &binaries));
    }
    let dynrun = runner::find_ours("dynrun", options.dynrun.clone());
    let wanted = default_runners(&options.runners, &["native", "dynrun"]);
    let runners = runner::parse_all(&wanted, dynrun.as_deref())?;
    let brief =
        options.levels.is_empty() && !options.own && programs.iter().any(|p| p.class != Class::Startup);
    let first = compilers.first().context("no compiler")?;
    let (runs, scale) = if brief { (3, 0.25) } else { (5, 1.0) };
    let plan = plan(options, first, runs, scale)?;
    let (labels, layout, cases) = if options.own {
        own(options, &runners)?
    } else {
        let optimised = |b: &&Binary<'_>| b.level.to_string() == "O3";
        let usual = || binaries.iter().find(optimised).filter(|_| brief).map(|b| b.label.clone());
        match options.base.clone().or_else(usual) {
            Some(base) => across(&programs, &binaries, &runners, &base)?,
            None => each_binary(&programs, &binaries, &runners),
        }
    };
    let versions = compilers.iter().map(|b| b.compiler_version()).collect::<Result<Vec<_>, _>>();
    let compiler = if options.own { "own program".to_owned() } else { versions?.join("; ") };
    let mut report = Report {
        machine: machine(compiler, plan.core),
        command: std::env::args().collect(),
        runners: labels,
        layout,
        steady: options.steady,
        cases: Vec::new(),
        unbuilt: Vec::new(),
    };
    measure(&plan, &cases, &mut report);
    let page = |report: &Report| {
        let insights = if options.own { Vec::new() } else { look(&plan, &programs, &binaries, &runners) };
        bench::page::page(report, &insights)
    };
    finish(options, &report, page)
}

/// Reports go to files that can be written, or nothing is measured in vain.
fn try_files(options: &Options) -> anyhow::Result<()> {
    for path in [&options.csv, &options.json, &options.html].into_iter().flatten() {
        std::fs::write(path, "").with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn default_runners(asked: &[String], usual: &[&str]) -> Vec<String> {
    if asked.is_empty() { usual.iter().map(|r| (*r).to_owned()).collect() } else { asked.to_vec() }
}

fn plan(options: &Options, builder: &Builder, runs: u32, scale: f64) -> anyhow::Result<Plan> {
    Ok(Plan {
        runs: options.runs.unwrap_or(runs) as usize,
        steady: options.steady,
        scale: options.scale.unwrap_or(scale),
        core: core(options.pin)?,
        timeout: Duration::from_secs_f64(options.timeout),
        scratch: builder.scratch().to_owned(),
        kept: builder.work().join("kept"),
        stdin: options.stdin.clone(),
        own: options.own,
        compare: !options.ignore_output,
    })
}

/// Prints the table and writes the files asked for.
fn finish(
    options: &Options,
    report: &Report,
    page: impl FnOnce(&Report) -> String,
) -> anyhow::Result<ExitCode> {
    print!("{}", report.table());
    let mut files = Vec::new();
    if let Some(path) = &options.csv {
        files.push((path, report.csv()));
    }
    if let Some(path) = &options.json {
        files.push((path, serde_json::to_string_pretty(report)?));
    }
    if let Some(path) = &options.html {
        files.push((path, page(report)));
    }
    for (path, text) in files {
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The Lua programs under interpreters and compilers of Lua.
fn lua(options: &Options) -> anyhow::Result<ExitCode> {
    let work = options.work.clone().map_or_else(default_work, Ok)?;
    let builder = Builder::new(&work, "none")?;
    let patterns = patterns(&options.programs)?;
    let mut programs = builder.lua_programs()?;
    if !patterns.is_empty() {
        programs.retain(|(name, _)| patterns.iter().any(|p| p.is_match(name)));
    }
    if programs.is_empty() {
        bail!("no Lua program has a name asked for; --lua --list shows them");
    }
    if options.list {
        for (name, _) in programs {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    try_files(options)?;
    let runners = runner::parse_lua(&default_runners(&options.runners, &["luajit", "rjit", "lua5.4"]))?;
    let plan = plan(options, &builder, 5, 1.0)?;
    let (labels, layout, cases) = cases::lua(programs, &runners);
    let mut report = Report {
        machine: machine(labels.join(", "), plan.core),
        command: std::env::args().collect(),
        runners: labels,
        layout,
        steady: false,
        cases: Vec::new(),
        unbuilt: Vec::new(),
    };
    measure(&plan, &cases, &mut report);
    finish(options, &report, |_| String::new())
}

/// One builder for each compiler. That each is installed is known after this, unless nothing of ours is compiled.
fn compilers(work: &Path, options: &Options) -> anyhow::Result<Vec<Builder>> {
    let mut compilers = Vec::new();
    for cc in &options.cc {
        let builder = Builder::new(work, cc)?;
        if !options.own {
            builder.compiler_version()?;
        }
        compilers.push(builder);
    }
    Ok(compilers)
}

fn build_only(programs: &[&Program], binaries: &[Binary<'_>]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for program in programs {
        let compiled = program.class != Class::Startup;
        for binary in if compiled { binaries } else { &binaries[..1] } {
            let shown = if compiled { binary.label.as_str() } else { "-" };
            match binary.builder.build(program, &binary.level) {
                Ok(built) => {
                    println!("{} {shown}: {}", program.name, built.with_units(built.units).display());
                }
                Err(why) => {
                    eprintln!("speedup: {} {shown}: {why}", program.name);
                    code = ExitCode::FAILURE;
                }
            }
        }
    }
    code
}

fn measure(plan: &Plan, cases: &[Case<'_>], report: &mut Report) {
    let steps = |case: &Case<'_>| plan.steps(case.takes_units, case.count);
    let bar = progress(cases.iter().map(steps).sum());
    let mut done = 0;
    for case in cases {
        bar.set_position(done);
        bar.set_message(format!("{} {} build", case.name, case.level));
        let cells = (case.cells)();
        // A program of which nothing was built is a line of its own below the table.
        match cells.iter().map(|c| c.built.as_ref().err()).collect::<Option<Vec<_>>>() {
            Some(errors) => {
                let why = errors.first().map_or_else(String::new, |why| (*why).clone());
                let (program, level) = (case.name.clone(), case.level.clone());
                report.unbuilt.push(Unbuilt { program, level, why });
            }
            None => {
                let name = format!("{}-{}", case.name, case.level);
                let verdicts = plan.measure(&name, &cells, |cell| {
                    bar.inc(1);
                    bar.set_message(format!("{} {} {cell}", case.name, case.level));
                });
                let (program, class, level) = (case.name.clone(), case.class, case.level.clone());
                report.cases.push(CaseResult { program, class, level, verdicts });
            }
        }
        done += steps(case);
    }
    bar.finish_and_clear();
}

/// Looks at each program's first binary under the first runner that is not native.
fn look(plan: &Plan, programs: &[&Program], binaries: &[Binary<'_>], runners: &[Runner]) -> Vec<Insight> {
    let (Some(binary), Some(runner)) = (binaries.first(), runners.iter().find(|r| !r.is_native())) else {
        return Vec::new();
    };
    let looker = Looker::new(plan, binary.builder, runner);
    let compiled: Vec<_> = programs.iter().filter(|p| p.class != Class::Startup).collect();
    let bar = progress(looker.steps() * compiled.len() as u64);
    let one = |program: &&&Program| {
        looker.look(program, &binary.level, |what| {
            bar.inc(1);
            bar.set_message(format!("{} {what}", program.name));
        })
    };
    let insights = compiled.iter().filter_map(one).collect();
    bar.finish_and_clear();
    insights
}

fn progress(steps: u64) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(steps) } else { ProgressBar::hidden() };
    // The template is a constant; without it the bar has its default form.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}+{eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Regular expressions that match whole names.
fn patterns(texts: &[String]) -> anyhow::Result<Vec<Regex>> {
    let one =
        |text: &String| Regex::new(&format!("^(?:{text})$")).with_context(|| format!("--programs {text}"));
    texts.iter().map(one).collect()
}

/// The programs asked for. Those of the crates take minutes to compile, and those of the start-up class have no
/// levels: the short experiment is of the others.
fn select(options: &Options) -> anyhow::Result<Vec<&'static Program>> {
    let (patterns, classes) = (&options.programs, &options.class);
    let short = options.levels.is_empty() && patterns.is_empty() && classes.is_empty() && !options.list;
    let wanted = self::patterns(patterns)?;
    for (regex, pattern) in wanted.iter().zip(patterns) {
        if !PROGRAMS.iter().any(|p| regex.is_match(p.name)) {
            bail!("no program is called {pattern}; --list shows the names");
        }
    }
    let chosen = |p: &&Program| {
        !(short && matches!(p.class, Class::Real | Class::Startup))
            && (wanted.is_empty() || wanted.iter().any(|r| r.is_match(p.name)))
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
