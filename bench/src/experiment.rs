//! The experiment: one program in several *cells* (a binary and a runner), in turns.
//!
//! The rounds are interleaved (A B C A B C …), so that whatever disturbs the machine for a
//! while disturbs all cells alike. Before the first round one run of the first cell
//! (native, as a rule) fills the page cache and fixes what the output and the end must be; every later run of
//! the same size, of whatever binary and under whatever runner, must give the same bytes on
//! standard output and the same end. A cell that fails is out for this program, its outputs are
//! kept, and the others go on.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::Built;
use crate::catalogue::Class;
use crate::process::{self, CommandLine, End, Limits, Run};
use crate::runner::Runner;
use crate::stats;

/// What one run cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds of processor time.
    pub cpu: f64,
    /// Seconds of wall time.
    pub wall: f64,
    /// Peak resident set in KiB.
    pub peak_kib: u64,
}

/// The runs of one program under one runner.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Series {
    /// Runs of the whole work.
    pub full: Vec<Sample>,
    /// Runs of a part of the work, for the slope; empty unless steady cost was asked for.
    pub part: Vec<Sample>,
    /// Units of work in a full run.
    pub full_units: u64,
    /// Units of work in a short one.
    pub part_units: u64,
}

impl Series {
    /// Median seconds of processor time of a full run.
    pub fn cpu(&self) -> Option<f64> {
        self.median(|s| s.cpu)
    }

    /// Median seconds of wall time of a full run.
    pub fn wall(&self) -> Option<f64> {
        self.median(|s| s.wall)
    }

    /// Median peak resident set of a full run, in KiB.
    pub fn peak_kib(&self) -> Option<f64> {
        self.median(|s| s.peak_kib as f64)
    }

    /// Largest over smallest processor time of the full runs.
    pub fn spread(&self) -> Option<f64> {
        stats::spread(&column(&self.full, |s| s.cpu))
    }

    /// Seconds of processor time per unit of work, net of start-up.
    pub fn steady(&self) -> Option<f64> {
        let (part, full) = (column(&self.part, |s| s.cpu), column(&self.full, |s| s.cpu));
        stats::slope((&part, self.part_units), (&full, self.full_units))
    }

    fn median(&self, field: impl Fn(&Sample) -> f64) -> Option<f64> {
        stats::median(&column(&self.full, field))
    }
}

fn column(samples: &[Sample], field: impl Fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(field).collect()
}

/// What became of one runner on one program.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All runs gave the right output.
    Measured(Series),
    /// What went wrong, in one line.
    Failed(String),
}

impl Verdict {
    /// The runs, if none failed.
    pub fn series(&self) -> Option<&Series> {
        match self {
            Verdict::Measured(series) => Some(series),
            Verdict::Failed(_) => None,
        }
    }
}

/// One row of the results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseResult {
    /// The program's name.
    pub program: String,
    /// Its class.
    pub class: Class,
    /// The level it was compiled at; `-` where we do not compile, or where the columns are of several levels.
    pub level: String,
    /// The verdicts, one for each cell, in the order of the report's labels.
    pub verdicts: Vec<Verdict>,
}

/// One column of a case: a binary under a runner.
#[derive(Debug)]
pub struct Cell {
    /// What tables call it.
    pub label: String,
    /// What runs it.
    pub runner: Runner,
    /// What is run, or why it could not be made.
    pub built: Result<Built, String>,
}

/// What is the same for all cases.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds.
    pub runs: usize,
    /// Whether short runs are made too.
    pub steady: bool,
    /// Factor on the units of work.
    pub scale: f64,
    /// The core everything runs on.
    pub core: Option<usize>,
    /// Seconds after which a run counts as failed.
    pub timeout: std::time::Duration,
    /// Folder for the outputs of the run in progress.
    pub scratch: PathBuf,
    /// Folder for the outputs of failures.
    pub kept: PathBuf,
    /// What every process reads from standard input; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// Whether a program of the user's own is measured: it may end as it likes, as long as it always ends so.
    pub own: bool,
    /// Whether outputs must be equal.
    pub compare: bool,
}

impl Plan {
    /// Units of a full and of a short run of a program that does `units` by default.
    pub(crate) fn sizes(&self, units: u64) -> (u64, u64) {
        if units == 0 {
            return (0, 0);
        }
        let full = ((units as f64 * self.scale).round() as u64).max(2);
        (full, (full / 4).max(1))
    }

    /// How many processes a case of this many cells starts, for the progress bar.
    pub fn steps(&self, takes_units: bool, cells: usize) -> u64 {
        let sizes = if self.steady && takes_units { 2 } else { 1 };
        (sizes * (1 + self.runs * cells)) as u64
    }

    /// Runs one case to its end; the first cell is the baseline. `step` is told the cell's label before each process.
    pub fn measure(&self, name: &str, cells: &[Cell], mut step: impl FnMut(&str)) -> Vec<Verdict> {
        let fail_all = |why: String| vec![Verdict::Failed(why); cells.len()];
        let Some(first) = cells.first() else { return Vec::new() };
        let base = match &first.built {
            Ok(built) => built,
            Err(why) => return fail_all(format!("not built: {why}")),
        };
        let (full_units, part_units) = self.sizes(base.units);
        let mut sizes = vec![(Size::Full, full_units)];
        if self.steady && base.units > 0 {
            sizes.push((Size::Part, part_units));
        }
        let mut references = Vec::new();
        for (_, units) in &sizes {
            step("warm-up");
            match self.once(&first.runner, &base.with_units(*units)) {
                Ok(result) if self.own || result.run.end == End::Exited(0) => references.push(result),
                Ok(result) => {
                    return fail_all(format!("{}: {}{}", first.label, result.run.end, result.complaint()));
                }
                Err(error) => return fail_all(format!("{}: {error}", first.label)),
            }
        }
        let empty = Series { full_units, part_units, ..Series::default() };
        let mut verdicts: Vec<Verdict> = cells
            .iter()
            .map(|cell| match &cell.built {
                Ok(_) => Verdict::Measured(empty.clone()),
                Err(why) => Verdict::Failed(format!("not built: {why}")),
            })
            .collect();
        for _ in 0..self.runs {
            for (cell, verdict) in cells.iter().zip(&mut verdicts) {
                let Ok(built) = &cell.built else { continue };
                for ((size, units), reference) in sizes.iter().zip(&references) {
                    let Verdict::Measured(series) = verdict else { continue };
                    step(&cell.label);
                    match self.checked(name, cell, &built.with_units(*units), reference) {
                        Ok(sample) if *size == Size::Full => series.full.push(sample),
                        Ok(sample) => series.part.push(sample),
                        Err(why) => *verdict = Verdict::Failed(why),
                    }
                }
            }
        }
        verdicts
    }

    /// Runs `command` under `runner` once.
    pub(crate) fn once(&self, runner: &Runner, command: &CommandLine) -> std::io::Result<Finished> {
        let (out, err) = (self.scratch.join("stdout"), self.scratch.join("stderr"));
        let limits = Limits { core: self.core, timeout: self.timeout };
        let run = process::run(&runner.wrap(command), &limits, self.stdin.as_deref(), &out, &err)?;
        Ok(Finished { run, stdout: fs::read(out)?, stderr: fs::read(err)? })
    }

    fn checked(
        &self,
        name: &str,
        cell: &Cell,
        command: &CommandLine,
        wanted: &Finished,
    ) -> Result<Sample, String> {
        let got = self.once(&cell.runner, command).map_err(|e| e.to_string())?;
        let difference = if got.run.end != wanted.run.end {
            format!("{}{}", got.run.end, got.complaint())
        } else if self.compare && got.stdout != wanted.stdout {
            "another output than natively".to_owned()
        } else {
            let Run { cpu, wall, peak_kib, .. } = got.run;
            return Ok(Sample { cpu, wall, peak_kib });
        };
        let kept = keep(&self.kept, &format!("{name}.{}", file_name(&cell.label)), &got, wanted);
        let place = kept.map_or_else(
            |e| format!("outputs not kept: {e}"),
            |p| format!("outputs kept: {}.*", p.display()),
        );
        Err(format!("{difference}; {place}; command: {}", cell.runner.wrap(command).display()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    Part,
}

/// A process that has ended, with what it wrote.
pub(crate) struct Finished {
    pub(crate) run: Run,
    pub(crate) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Finished {
    /// The last line of standard error, as the end of a message.
    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty());
        line.map_or_else(String::new, |l| format!(" ({})", l.chars().take(200).collect::<String>()))
    }
}

/// Keeps what a failed run wrote, and what it should have written, in `folder`; returns
/// the path that the names of all of them begin with.
fn keep(folder: &Path, stem: &str, got: &Finished, wanted: &Finished) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{stem}.stdout")), &got.stdout)?;
    fs::write(folder.join(format!("{stem}.stderr")), &got.stderr)?;
    fs::write(folder.join(format!("{stem}.wanted")), &wanted.stdout)?;
    Ok(folder.join(stem))
}

fn file_name(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.#".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(folder: &Path) -> Plan {
        Plan {
            runs: 3,
            steady: true,
            scale: 1.0,
            core: None,
            timeout: Duration::from_secs(30),
            scratch: folder.to_owned(),
            kept: folder.join("kept"),
            stdin: None,
            own: false,
            compare: true,
        }
    }

    fn shell(script: &str) -> Built {
        Built { command: CommandLine::new(["/bin/sh", "-c", script, "sh"]), units: 8 }
    }

    fn cell(label: &str, words: &[&str], built: Built) -> Cell {
        let runner = Runner { label: label.into(), prefix: words.iter().map(Into::into).collect() };
        Cell { label: label.into(), runner, built: Ok(built) }
    }

    fn native_and(label: &str, words: &[&str], script: &str) -> [Cell; 2] {
        [cell("native", &[], shell(script)), cell(label, words, shell(script))]
    }

    #[test]
    fn rounds_are_interleaved_and_sizes_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        let mut order = Vec::new();
        let cells = native_and("env", &["/usr/bin/env"], "echo $1");
        let verdicts = plan.measure("x", &cells, |label| order.push(label.to_owned()));
        let round = ["native", "native", "env", "env"];
        assert_eq!(order, [&["warm-up", "warm-up"][..], &round, &round, &round].concat());
        assert_eq!(order.len() as u64, plan.steps(true, 2));
        for verdict in &verdicts {
            let series = verdict.series().unwrap();
            assert_eq!((series.full.len(), series.part.len()), (3, 3));
            assert_eq!((series.full_units, series.part_units), (8, 2));
        }
    }

    #[test]
    fn a_wrong_output_fails_one_cell_and_keeps_both_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let cells = native_and("liar", &["/bin/sh", "-c", "echo wrong"], "echo right");
        let verdicts = plan(folder.path()).measure("x-O2", &cells, |_| {});
        assert!(verdicts[0].series().is_some());
        let Verdict::Failed(why) = &verdicts[1] else { panic!("not noticed") };
        assert!(why.contains("another output") && why.contains("x-O2.liar"), "{why}");
        let kept = |end: &str| {
            fs::read_to_string(folder.path().join("kept").join(format!("x-O2.liar.{end}"))).unwrap()
        };
        assert_eq!((kept("stdout").as_str(), kept("wanted").as_str()), ("wrong\n", "right\n"));
    }

    #[test]
    fn binaries_that_differ_are_noticed_and_one_not_built_does_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut cells = vec![
            cell("O3", &[], shell("echo 1")),
            cell("O1", &[], shell("echo 2")),
            cell("O2", &[], shell("echo 1")),
        ];
        cells.push(Cell { label: "O0".into(), runner: Runner::native(), built: Err("no".into()) });
        let verdicts = plan(folder.path()).measure("x", &cells, |_| {});
        let measured: Vec<_> = verdicts.iter().map(|v| v.series().is_some()).collect();
        assert_eq!(measured, [true, false, true, false]);
        assert_eq!(verdicts[3], Verdict::Failed("not built: no".into()));
    }

    #[test]
    fn a_program_of_ones_own_may_fail_but_always_the_same_way() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { own: true, steady: false, ..plan(folder.path()) };
        let cells = native_and("zero", &["/bin/sh", "-c", "exit 0"], "exit 3");
        let verdicts = plan.measure("own", &cells, |_| {});
        assert!(verdicts[0].series().is_some());
        assert!(
            matches!(&verdicts[1], Verdict::Failed(why) if why.contains("exit status 0")),
            "{verdicts:?}"
        );
    }

    #[test]
    fn standard_input_is_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("input");
        fs::write(&input, "words\n").unwrap();
        let plan = Plan { stdin: Some(input), ..plan(folder.path()) };
        let cells = native_and("env", &["/usr/bin/env"], "read x; test \"$x\" = words");
        assert!(plan.measure("x", &cells, |_| {}).iter().all(|v| v.series().is_some()));
    }

    #[test]
    fn a_crash_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let cells = native_and("crash", &["/bin/sh", "-c", "echo oh no >&2; kill -11 $$"], "echo");
        let verdicts = plan(folder.path()).measure("x", &cells, |_| {});
        let Verdict::Failed(why) = &verdicts[1] else { panic!("not noticed") };
        assert!(why.contains("killed by signal 11 (oh no)"), "{why}");
    }

    #[test]
    fn a_program_that_fails_natively_fails_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let cells = native_and("env", &["/usr/bin/env"], "exit 3");
        let verdicts = plan(folder.path()).measure("x", &cells, |_| {});
        assert!(
            verdicts.iter().all(|v| *v == Verdict::Failed("native: exit status 3".into())),
            "{verdicts:?}"
        );
    }

    #[test]
    fn programs_without_units_run_once_per_round() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        let built = Built { command: CommandLine::new(["/bin/true"]), units: 0 };
        let verdicts = plan.measure("true", &[cell("native", &[], built)], |_| {});
        let series = verdicts[0].series().unwrap();
        assert_eq!((series.full.len(), series.part.len()), (3, 0));
        assert_eq!(plan.steps(false, 1), 4);
    }
}
