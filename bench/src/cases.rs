//! What is measured: the cases of each kind of experiment, with their cells.
//!
//! A case is a row of the results, its cells are the columns: one binary under several runners, several binaries under
//! several runners, a program of the user's own, or a Lua program under interpreters.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bench::build::{Builder, Built, Level};
use bench::catalogue::{Class, Program};
use bench::experiment::Cell;
use bench::process::CommandLine;
use bench::report::Layout;
use bench::runner::{self, Runner};

use crate::options::Options;

/// How programs are compiled: a compiler at a level.
pub struct Binary<'a> {
    /// Compiles it.
    pub builder: &'a Builder,
    /// The level.
    pub level: Level,
    /// The level, behind the compiler's name when there are several.
    pub label: String,
}

/// Every compiler at every level.
pub fn binaries<'a>(compilers: &'a [Builder], options: &Options) -> anyhow::Result<Vec<Binary<'a>>> {
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
pub struct Case<'a> {
    /// The program.
    pub name: String,
    /// Its class.
    pub class: Class,
    /// As [`bench::experiment::CaseResult::level`].
    pub level: String,
    /// Whether it does an amount of work that we say.
    pub takes_units: bool,
    /// The number of cells, known before they are built.
    pub count: usize,
    /// Makes the cells.
    pub cells: Box<dyn Fn() -> Vec<Cell> + 'a>,
}

/// The labels of the cells, what they are, and the cases.
pub type Cases<'a> = (Vec<String>, Layout, Vec<Case<'a>>);

/// A case for each program and binary; the columns are the runners.
pub fn each_binary<'a>(
    programs: &[&'a Program],
    binaries: &'a [Binary<'a>],
    runners: &'a [Runner],
) -> Cases<'a> {
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
pub fn across<'a>(
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
pub fn own<'a>(options: &'a Options, runners: &'a [Runner]) -> anyhow::Result<Cases<'a>> {
    let mut commands = vec![CommandLine::new(options.command.iter().cloned())];
    if let Some(versus) = &options.versus {
        commands.push(CommandLine::new(runner::split_words(versus)?));
    }
    let names: Vec<String> = commands.iter().map(name_of).collect::<anyhow::Result<_>>()?;
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

fn name_of(command: &CommandLine) -> anyhow::Result<String> {
    let first = command.argv.first().context("an empty command")?;
    let name = Path::new(first).file_name().unwrap_or(first);
    Ok(name.to_string_lossy().into_owned())
}

/// The Lua programs under interpreters and compilers of Lua.
pub fn lua(programs: Vec<(String, PathBuf)>, runners: &[Runner]) -> Cases<'_> {
    let case = |(name, path): (String, PathBuf)| {
        let cells = move || {
            let command = CommandLine::new([path.clone().into_os_string()]);
            let cell = |runner: &Runner| Cell {
                label: runner.label.clone(),
                runner: runner.clone(),
                built: Ok(Built { command: command.clone(), units: 0 }),
            };
            runners.iter().map(cell).collect()
        };
        let (level, count) = ("-".into(), runners.len());
        Case { name, class: Class::Lua, level, takes_units: false, count, cells: Box::new(cells) }
    };
    let labels = runners.iter().map(|r| r.label.clone()).collect();
    (labels, Layout::Binary, programs.into_iter().map(case).collect())
}
