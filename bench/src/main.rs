//! `speedup`: builds the benchmark programs, runs each natively and under the runners in
//! turns, and prints how many times native's time each runner takes.
//!
//! Exit status: 0 when everything ran and all outputs agreed, 1 when something failed (the
//! other results are shown all the same), 2 when nothing could be measured.

mod options;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bench::build::{Builder, Built, Level};
use bench::catalogue::{Class, PROGRAMS, Program};
use bench::experiment::{CaseResult, Cell, Plan};
use bench::insight::{Insight, Looker};
use bench::process::{self, CommandLine};
use bench::report::{Layout, Machine, Report, Unbuilt};
use bench::runner::{self, Runner};
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
    let programs = select(options)?;
    if options.list {
        for program in programs {
            println!("{:9} {}", program.class.name(), program.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let work = options.work.clone().map_or_else(default_work, Ok)?;
    let compilers = compilers(&work, options)?;
    // Reports go to files that can be written, or nothing is measured in vain.
    for path in [&options.csv, &options.json, &options.html].into_iter().flatten() {
        std::fs::write(path, "").with_context(|| path.display().to_string())?;
    }
    let binaries = binaries(&compilers, options)?;
    if options.build_only {
        return Ok(build_only(&programs, &binaries));
    }
    let dynrun = runner::find_dynrun(options.dynrun.clone());
    let runners = runner::parse_all(&options.runners, dynrun.as_deref())?;
    let brief =
        options.levels.is_empty() && !options.own && programs.iter().any(|p| p.class != Class::Startup);
    let first = compilers.first().context("no compiler")?;
    let plan = Plan {
        runs: options.runs.unwrap_or(if brief { 3 } else { 5 }) as usize,
        steady: options.steady,
        scale: options.scale.unwrap_or(if brief { 0.25 } else { 1.0 }),
        core: core(options.pin)?,
        timeout: Duration::from_secs_f64(options.timeout),
        scratch: first.scratch().to_owned(),
        kept: first.work().join("kept"),
        stdin: options.stdin.clone(),
        own: options.own,
        compare: !options.ignore_output,
    };
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
    print!("{}", report.table());
    if let Some(path) = &options.html {
        let insights = if options.own { Vec::new() } else { look(&plan, &programs, &binaries, &runners) };
        let text = bench::page::page(&report, &insights);
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.csv {
        std::fs::write(path, report.csv()).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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

/// How programs are compiled: a compiler at a level.
struct Binary<'a> {
    builder: &'a Builder,
    level: Level,
    /// The level, behind the compiler's name when there are several.
    label: String,
}

fn binaries<'a>(compilers: &'a [Builder], options: &Options) -> anyhow::Result<Vec<Binary<'a>>> {
    let levels = match options.levels.as_slice() {
        [] => ["O1", "O3"].iter().map(|l| l.parse()).collect::<Result<Vec<Level>, _>>(),
        some => Ok(some.to_vec()),
    };
    let levels = levels.map_err(anyhow::Error::msg)?;
    let label = |cc: &str, level: &Level| match compilers.len() {
        1 => level.to_string(),
        _ => format!("{}-{level}", cc.rsplit('/').next().unwrap_or(cc)),
    };
    let one = |(builder, cc): (&'a Builder, &String)| -> Vec<Binary<'a>> {
        let make = |level: &Level| Binary { builder, level: level.clone(), label: label(cc, level) };
        levels.iter().map(make).collect()
    };
    Ok(compilers.iter().zip(&options.cc).flat_map(one).collect())
}

/// A case that waits to be measured. Its cells are built when its turn comes.
struct Case<'a> {
    name: String,
    class: Class,
    level: String,
    takes_units: bool,
    /// The number of cells, known before they are built.
    count: usize,
    cells: Box<dyn Fn() -> Vec<Cell> + 'a>,
}

type Cases<'a> = (Vec<String>, Layout, Vec<Case<'a>>);

/// A case for each program and binary; the columns are the runners.
fn each_binary<'a>(programs: &[&'a Program], binaries: &'a [Binary<'a>], runners: &'a [Runner]) -> Cases<'a> {
    let mut cases = Vec::new();
    for &program in programs {
        let compiled = program.class != Class::Startup;
        for binary in if compiled { binaries } else { &binaries[..1] } {
            let level = if compiled { binary.label.clone() } else { "-".into() };
            let cells = move || {
                let built = binary.builder.build(program, &binary.level).map_err(|e| e.to_string());
                let cell = |runner: &Runner| Cell {
                    label: runner.label.clone(),
                    runner: runner.clone(),
                    built: built.clone(),
                };
                runners.iter().map(cell).collect()
            };
            cases.push(Case {
                name: program.name.to_owned(),
                class: program.class,
                level,
                takes_units: program.units > 0,
                count: runners.len(),
                cells: Box::new(cells),
            });
        }
    }
    (runners.iter().map(|r| r.label.clone()).collect(), Layout::Binary, cases)
}

/// A case for each program; the columns are all binaries under all runners, the baseline's native run first.
fn across<'a>(
    programs: &[&'a Program],
    binaries: &'a [Binary<'a>],
    runners: &'a [Runner],
    base: &str,
) -> anyhow::Result<Cases<'a>> {
    let labels: Vec<&str> = binaries.iter().map(|b| b.label.as_str()).collect();
    let base = labels
        .iter()
        .position(|l| *l == base)
        .with_context(|| format!("--base {base}: it is none of {}", labels.join(", ")))?;
    let columns = binaries.iter().enumerate().flat_map(|(b, _)| (0..runners.len()).map(move |r| (b, r)));
    let (places, order) = places(columns.collect(), (base, 0));
    let layout = Layout::Across {
        columns: order
            .iter()
            .map(|((b, r), place)| (binaries[*b].label.clone(), runners[*r].label.clone(), *place))
            .collect(),
    };
    let label = |&(b, r): &(usize, usize)| format!("{} {}", runners[r].label, binaries[b].label);
    let labels: Vec<String> = places.iter().map(label).collect();
    let mut cases = Vec::new();
    if let Some(program) = programs.iter().find(|p| p.class == Class::Startup) {
        bail!(
            "{} is not compiled and has no baseline at another level; give --levels and no --base",
            program.name
        );
    }
    for &program in programs {
        let (places, labels) = (places.clone(), labels.clone());
        let count = places.len();
        let cells = move || {
            let built: Vec<_> = binaries
                .iter()
                .map(|b| b.builder.build(program, &b.level).map_err(|e| e.to_string()))
                .collect();
            let cell = |(&(b, r), label): (&(usize, usize), &String)| Cell {
                label: label.clone(),
                runner: runners[r].clone(),
                built: built[b].clone(),
            };
            places.iter().zip(&labels).map(cell).collect()
        };
        cases.push(Case {
            name: program.name.to_owned(),
            class: program.class,
            level: "-".into(),
            takes_units: program.units > 0,
            count,
            cells: Box::new(cells),
        });
    }
    Ok((labels, layout, cases))
}

/// A pair of places: the binary's and the runner's.
type Pair = (usize, usize);

/// The cells in the order they run, the baseline first, and in the order they are shown, with the place of each.
fn places(columns: Vec<Pair>, base: Pair) -> (Vec<Pair>, Vec<(Pair, usize)>) {
    let mut places = columns.clone();
    if let Some(at) = places.iter().position(|p| *p == base) {
        places[..=at].rotate_right(1);
    }
    let place = |p: &Pair| places.iter().position(|q| q == p).unwrap_or(0);
    let shown = columns.iter().map(|p| (*p, place(p))).collect();
    (places, shown)
}

/// The user's own program, or a pair of them.
fn own<'a>(options: &'a Options, runners: &'a [Runner]) -> anyhow::Result<Cases<'a>> {
    let mut commands = vec![CommandLine::new(options.command.iter().cloned())];
    if let Some(versus) = &options.versus {
        commands.push(CommandLine::new(runner::split_words(versus)?));
    }
    let names: Vec<String> = commands.iter().map(file_name).collect::<anyhow::Result<_>>()?;
    let labels: Vec<String> = match names.as_slice() {
        [a, b] if a == b => vec!["first".into(), "second".into()],
        _ => names.clone(),
    };
    for command in &mut commands {
        let name = command.argv[0].to_string_lossy().into_owned();
        let path =
            runner::find_program(&name).with_context(|| format!("{name}: not found, or not executable"))?;
        command.argv[0] = path.into_os_string();
    }
    let base = commands.len() - 1;
    let columns = (0..commands.len()).flat_map(|b| (0..runners.len()).map(move |r| (b, r))).collect();
    let (places, order) = places(columns, (base, 0));
    let (layout, cell_labels) = if base == 0 {
        (Layout::Binary, runners.iter().map(|r| r.label.clone()).collect::<Vec<_>>())
    } else {
        let columns =
            order.iter().map(|((b, r), place)| (labels[*b].clone(), runners[*r].label.clone(), *place));
        let cells = places.iter().map(|(b, r)| format!("{} {}", runners[*r].label, labels[*b]));
        (Layout::Across { columns: columns.collect() }, cells.collect())
    };
    let count = places.len();
    let shown = cell_labels.clone();
    let cells = move || {
        let cell = |((b, r), label): (&Pair, &String)| Cell {
            label: label.clone(),
            runner: runners[*r].clone(),
            built: Ok(Built { command: commands[*b].clone(), units: 0 }),
        };
        places.iter().zip(&shown).map(cell).collect()
    };
    let case = Case {
        name: names[0].clone(),
        class: Class::Own,
        level: "-".into(),
        takes_units: false,
        count,
        cells: Box::new(cells),
    };
    Ok((cell_labels, layout, vec![case]))
}

fn file_name(command: &CommandLine) -> anyhow::Result<String> {
    let first = command.argv.first().context("an empty command")?;
    let name = Path::new(first).file_name().unwrap_or(first);
    Ok(name.to_string_lossy().into_owned())
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

/// The programs asked for. Those of the crates take minutes to compile, and those of the start-up class have no
/// levels: the short experiment is of the others.
fn select(options: &Options) -> anyhow::Result<Vec<&'static Program>> {
    let (patterns, classes) = (&options.programs, &options.class);
    let short = options.levels.is_empty() && patterns.is_empty() && classes.is_empty() && !options.list;
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
