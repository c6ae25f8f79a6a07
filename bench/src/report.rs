//! What a person reads, and what a program reads: tables, CSV, JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::catalogue::Class;
use crate::experiment::{CaseResult, Series, Verdict};
use crate::stats;

/// Everything of one invocation: written whole as JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Processor, kernel, compiler.
    pub machine: Machine,
    /// The command line that made it.
    pub command: Vec<String>,
    /// Labels of the runners, or of the cells of a report across levels; the first is the baseline.
    pub runners: Vec<String>,
    /// What the cells of a case are.
    pub layout: Layout,
    /// Whether the ratios of programs that take units are of steady time.
    pub steady: bool,
    /// One for each program and level, in the order measured.
    pub cases: Vec<CaseResult>,
    /// Programs that could not be built, with the reason.
    pub unbuilt: Vec<Unbuilt>,
}

/// What the cells of a case are, and so which table shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One binary under several runners; each level is a case of its own.
    Binary,
    /// Several binaries of one program, each under the runners, against one of them natively: see [`crate::across`].
    Across {
        /// The columns of the table: each a binary's label, a runner's label, and the cell's place.
        columns: Vec<(String, String, usize)>,
    },
}

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Model name of the processor.
    pub processor: String,
    /// Kernel release.
    pub kernel: String,
    /// First line of the compiler's `--version`.
    pub compiler: String,
    /// Load average over a minute at the start; other work disturbs the figures.
    pub load: f64,
    /// The core everything was pinned to.
    pub core: Option<usize>,
}

/// A program that could not be built.
#[derive(Debug, Serialize)]
pub struct Unbuilt {
    /// The program's name.
    pub program: String,
    /// The level asked for.
    pub level: String,
    /// Why, in one line.
    pub why: String,
}

/// The figures of one runner on one case, against the baseline. Ratios above one are
/// slower or larger than native.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    cpu: f64,
    /// The ratio that counts: of steady time when asked for and measurable, else of whole
    /// processor time.
    pub(crate) ratio: Option<f64>,
    whole: Option<f64>,
    wall: Option<f64>,
    peak: Option<f64>,
    pub(crate) spread: Option<f64>,
    native_cpu: f64,
}

pub(crate) fn figures(series: &Series, base: &Series, steady: bool) -> Option<Figures> {
    let over = |a: Option<f64>, b: Option<f64>| stats::ratio(a?, b?);
    let whole = over(series.cpu(), base.cpu());
    let slopes = steady && series.full_units > 0;
    Some(Figures {
        cpu: series.cpu()?,
        ratio: if slopes { over(series.steady(), base.steady()) } else { whole },
        whole,
        wall: over(series.wall(), base.wall()),
        peak: over(series.peak_kib(), base.peak_kib()),
        spread: series.spread(),
        native_cpu: base.cpu()?,
    })
}

/// One line of the summary: a class at a level under a runner.
#[derive(Debug, Clone, PartialEq)]
struct Summary {
    class: Class,
    level: String,
    runner: usize,
    ratios: Vec<(String, f64)>,
    walls: Vec<f64>,
    peaks: Vec<f64>,
    failures: usize,
}

impl Summary {
    fn worst(&self) -> Option<&(String, f64)> {
        self.ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl Report {
    /// Whether anything could not be built or failed.
    pub fn failed(&self) -> bool {
        !self.unbuilt.is_empty() || self.failures().next().is_some()
    }

    /// Writes the tables: the cases, the means of each class, the failures.
    pub fn table(&self) -> String {
        let mut text = self.heading();
        if let Layout::Across { columns } = &self.layout {
            text.push_str(&crate::across::table(self, columns));
        } else {
            text.push_str(&render(&self.case_rows()));
            let summaries = self.summaries();
            if !summaries.is_empty() {
                text.push('\n');
                text.push_str(&render(&self.summary_rows(&summaries)));
                text.push_str(&self.in_words(&summaries));
            }
        }
        for Unbuilt { program, level, why } in &self.unbuilt {
            let _ = writeln!(text, "not built: {program} {level}: {why}");
        }
        for (case, runner, why) in self.failures() {
            let _ = writeln!(text, "FAILED: {} {} under {runner}: {why}", case.program, case.level);
        }
        text
    }

    /// One line for each program, level and runner.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "class,program,level,runner,cpu_s,wall_s,peak_kib,steady_s_per_unit,ratio,whole_cpu_ratio,wall_ratio,peak_ratio,spread,error\n",
        );
        for case in &self.cases {
            let base = case.verdicts.first().and_then(Verdict::series);
            for (label, verdict) in self.runners.iter().zip(&case.verdicts) {
                let series = verdict.series();
                let f = series.zip(base).and_then(|(s, b)| figures(s, b, self.steady));
                let error = match verdict {
                    Verdict::Failed(why) => why.as_str(),
                    Verdict::Measured(_) => "",
                };
                let number = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.6}"));
                let fields = [
                    case.class.name().to_owned(),
                    case.program.clone(),
                    case.level.clone(),
                    label.clone(),
                    number(series.and_then(Series::cpu)),
                    number(series.and_then(Series::wall)),
                    number(series.and_then(Series::peak_kib)),
                    series.and_then(Series::steady).map_or_else(String::new, |v| format!("{v:.9}")),
                    number(f.and_then(|f| f.ratio)),
                    number(f.and_then(|f| f.whole)),
                    number(f.and_then(|f| f.wall)),
                    number(f.and_then(|f| f.peak)),
                    number(f.and_then(|f| f.spread)),
                    error.to_owned(),
                ];
                text.push_str(&fields.map(|f| quote(&f)).join(","));
                text.push('\n');
            }
        }
        text
    }

    fn failures(&self) -> impl Iterator<Item = (&CaseResult, &str, &str)> {
        self.cases.iter().flat_map(|case| {
            // A program that fails natively has failed once, not once for each runner.
            let native_failed = matches!(case.verdicts.first(), Some(Verdict::Failed(_)));
            let shown = if native_failed { 1 } else { case.verdicts.len() };
            self.runners.iter().zip(&case.verdicts).take(shown).filter_map(move |(label, verdict)| {
                match verdict {
                    Verdict::Failed(why) => Some((case, label.as_str(), why.as_str())),
                    Verdict::Measured(_) => None,
                }
            })
        })
    }

    fn heading(&self) -> String {
        let Machine { processor, kernel, compiler, load, core } = &self.machine;
        let pinned = core.map_or_else(|| "not pinned".into(), |c| format!("pinned to core {c}"));
        let mut text = format!("{processor}, Linux {kernel}, {compiler}, {pinned}, load {load:.2}\n");
        if *load > 0.7 {
            text.push_str(
                "other work is running on this machine: trust processor time more than wall time\n",
            );
        }
        text.push('\n');
        text
    }

    fn case_rows(&self) -> Vec<Vec<String>> {
        let ratio = if self.steady { "steady ×" } else { "cpu ×" };
        let mut head = vec!["class", "program", "level", "runner", "cpu ms", "+ ms", ratio];
        if self.steady {
            head.push("whole ×");
        }
        head.extend(["wall ×", "memory ×", "max/min"]);
        let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for case in &self.cases {
            let base = case.verdicts.first().and_then(Verdict::series);
            for (i, (label, verdict)) in self.runners.iter().zip(&case.verdicts).enumerate() {
                let mut row =
                    vec![case.class.name().into(), case.program.clone(), case.level.clone(), label.clone()];
                match verdict.series().zip(base).and_then(|(s, b)| figures(s, b, self.steady)) {
                    Some(f) => {
                        row.push(milliseconds(f.cpu));
                        row.push(if i == 0 { String::new() } else { milliseconds(f.cpu - f.native_cpu) });
                        let mut ratios = vec![f.ratio, f.wall, f.peak];
                        if self.steady {
                            ratios.insert(1, f.whole);
                        }
                        row.extend(ratios.into_iter().map(|r| if i == 0 { String::new() } else { times(r) }));
                        row.push(times(f.spread));
                    }
                    None => row.push("FAILED".into()),
                }
                rows.push(row);
            }
        }
        rows
    }

    fn summaries(&self) -> Vec<Summary> {
        let mut summaries: Vec<Summary> = Vec::new();
        for case in &self.cases {
            let base = case.verdicts.first().and_then(Verdict::series);
            for (runner, verdict) in case.verdicts.iter().enumerate().skip(1) {
                let same =
                    |s: &&mut Summary| s.class == case.class && s.level == case.level && s.runner == runner;
                let at = match summaries.iter_mut().find(same) {
                    Some(summary) => summary,
                    None => {
                        let (ratios, walls, peaks) = Default::default();
                        let (class, level) = (case.class, case.level.clone());
                        summaries.push(Summary { class, level, runner, ratios, walls, peaks, failures: 0 });
                        let last = summaries.len() - 1;
                        &mut summaries[last]
                    }
                };
                match verdict.series().zip(base).and_then(|(s, b)| figures(s, b, self.steady)) {
                    Some(f) => {
                        at.ratios.extend(f.ratio.map(|r| (case.program.clone(), r)));
                        at.walls.extend(f.wall);
                        at.peaks.extend(f.peak);
                    }
                    None => at.failures += 1,
                }
            }
        }
        summaries.sort_by(|a, b| (a.class, &a.level, a.runner).cmp(&(b.class, &b.level, b.runner)));
        summaries
    }

    fn summary_rows(&self, summaries: &[Summary]) -> Vec<Vec<String>> {
        let head = [
            "class",
            "level",
            "runner",
            "programs",
            "failed",
            "geomean ×",
            "wall ×",
            "memory ×",
            "worst ×",
            "worst program",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for s in summaries {
            let ratios: Vec<f64> = s.ratios.iter().map(|(_, r)| *r).collect();
            let worst = s.worst();
            rows.push(vec![
                s.class.name().into(),
                s.level.clone(),
                self.runners[s.runner].clone(),
                ratios.len().to_string(),
                s.failures.to_string(),
                times(stats::geometric_mean(&ratios)),
                times(stats::geometric_mean(&s.walls)),
                times(stats::geometric_mean(&s.peaks)),
                times(worst.map(|w| w.1)),
                worst.map_or_else(String::new, |w| w.0.clone()),
            ]);
        }
        rows
    }

    fn in_words(&self, summaries: &[Summary]) -> String {
        let mut text = String::from("\n");
        let measure = if self.steady { "steady processor time" } else { "processor time" };
        for (runner, label) in self.runners.iter().enumerate().skip(1) {
            let of_runner = || summaries.iter().filter(|s| s.runner == runner);
            let ratios: Vec<f64> = of_runner().flat_map(|s| s.ratios.iter().map(|(_, r)| *r)).collect();
            let failures: usize = of_runner().map(|s| s.failures).sum();
            let worst =
                of_runner().filter_map(|s| Some((s, s.worst()?))).max_by(|a, b| a.1.1.total_cmp(&b.1.1));
            let Some(mean) = stats::geometric_mean(&ratios) else {
                let _ = writeln!(text, "{label}: nothing measured, {failures} failed");
                continue;
            };
            let _ = write!(
                text,
                "{label}: {mean:.2} times {}'s {measure} (geometric mean of {})",
                self.runners.first().map_or("native", String::as_str),
                ratios.len()
            );
            if let Some((summary, (program, ratio))) = worst {
                let _ = write!(text, "; worst {program} {} {ratio:.2}", summary.level);
            }
            let _ = writeln!(text, "; {failures} failed");
        }
        text
    }
}

pub(crate) fn times(value: Option<f64>) -> String {
    value.map_or_else(|| "?".into(), |v| if v < 100.0 { format!("{v:.2}") } else { format!("{v:.0}") })
}

fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    if ms.abs() < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

/// Aligns columns: words to the left, numbers to the right.
pub(crate) fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|f| f.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let numeric = |c: usize| rows.iter().skip(1).filter_map(|r| r.get(c)).any(|f| f.parse::<f64>().is_ok());
    let right: Vec<bool> = (0..columns).map(numeric).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, field) in row.iter().enumerate() {
            let gap = " ".repeat(widths[c] - field.chars().count());
            let parts = if right[c] { [gap.as_str(), field] } else { [field.as_str(), &gap] };
            line.extend(parts);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A CSV field, in quotation marks where it needs them.
fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Sample;

    fn series(full: f64, part: f64) -> Series {
        let sample = |cpu| Sample { cpu, wall: cpu * 1.5, peak_kib: (cpu * 1000.0) as u64 };
        Series { full: vec![sample(full); 3], part: vec![sample(part); 3], full_units: 40, part_units: 10 }
    }

    fn report(steady: bool) -> Report {
        let case = |program: &str, native: Series, other: Verdict| CaseResult {
            program: program.into(),
            class: Class::Small,
            level: "O2".into(),
            verdicts: vec![Verdict::Measured(native), other],
        };
        Report {
            machine: Machine {
                processor: "P".into(),
                kernel: "K".into(),
                compiler: "C".into(),
                load: 0.0,
                core: Some(1),
            },
            command: vec!["speedup".into()],
            runners: vec!["native".into(), "x".into()],
            layout: Layout::Binary,
            steady,
            cases: vec![
                // whole 2.0, steady 1.5
                case("one", series(0.4, 0.1), Verdict::Measured(series(0.8, 0.35))),
                case("two", series(0.4, 0.1), Verdict::Measured(series(0.2, 0.05))),
                case("three", series(0.4, 0.1), Verdict::Failed("killed, \"oddly\"".into())),
            ],
            unbuilt: vec![],
        }
    }

    #[test]
    fn whole_and_steady_ratios() {
        let f = |steady| figures(&series(0.8, 0.35), &series(0.4, 0.1), steady).unwrap();
        assert!((f(false).ratio.unwrap() - 2.0).abs() < 1e-9);
        assert!((f(true).ratio.unwrap() - 1.5).abs() < 1e-9);
        assert!((f(true).whole.unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_summary_counts_failures_and_names_the_worst() {
        let report = report(false);
        let summaries = report.summaries();
        assert_eq!(summaries.len(), 1);
        assert_eq!(summaries[0].failures, 1);
        assert_eq!(summaries[0].worst().unwrap().0, "one");
        let text = report.table();
        assert!(report.failed());
        assert!(
            text.contains(
                "x: 1.00 times native's processor time (geometric mean of 2); worst one O2 2.00; 1 failed"
            ),
            "{text}"
        );
        assert!(text.contains("FAILED: three O2 under x: killed, \"oddly\""), "{text}");
    }

    #[test]
    fn a_native_failure_is_told_once() {
        let mut report = report(false);
        report.cases[2].verdicts[0] = Verdict::Failed("native: exit status 3".into());
        assert_eq!(report.failures().count(), 1);
    }

    #[test]
    fn csv_has_one_line_for_each_runner_and_quotes_what_it_must() {
        let text = report(true).csv();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 6);
        assert!(
            lines[2]
                .starts_with("small,one,O2,x,0.800000,1.200000,800.000000,0.015000000,1.500000,2.000000,"),
            "{}",
            lines[2]
        );
        assert!(lines[6].ends_with(",\"killed, \"\"oddly\"\"\""), "{}", lines[6]);
        let commas = lines[0].matches(',').count();
        assert!(lines[1..6].iter().all(|l| l.matches(',').count() == commas));
    }

    #[test]
    fn columns_line_up() {
        let rows =
            [["name", "ms"], ["a", "1.5"], ["long name", "22.25"]].map(|r| r.map(str::to_owned).to_vec());
        assert_eq!(render(&rows), "name          ms\na            1.5\nlong name  22.25\n");
    }

    #[test]
    fn json_can_be_read_back() {
        let value = serde_json::to_value(report(true)).unwrap();
        assert_eq!(value["cases"][0]["verdicts"][1]["measured"]["full"][2]["cpu"], 0.8);
        assert_eq!(value["cases"][2]["verdicts"][1]["failed"], "killed, \"oddly\"");
    }
}
