//! The table across levels: does a run-time optimizer beat a static compiler?
//!
//! One line a program, one column for each binary under each runner, all as time over the same
//! baseline, a binary's native run: with the levels `O1,O3`, the runners `native,dynrun` and the
//! baseline `O3`,
//!
//! ```text
//! time ÷ native O3
//! class    program   native O1  dynrun O1  native O3  dynrun O3  max/min
//! kernels  gemm           3.96       0.92       1.00       1.04     1.03
//! ```
//!
//! Then the geometric means of each class and of all, and the answer in words: how much of the
//! distance between a lower level and the baseline each runner gives back.

use std::fmt::Write as _;

use crate::experiment::Verdict;
use crate::report::{Report, figures, render, times};
use crate::stats;

/// A column: the binary's label, the runner's label, the cell's place in the verdicts.
type Column = (String, String, usize);

/// The ratios of one line, a place for each column.
struct Line<'a> {
    class: &'static str,
    program: &'a str,
    ratios: Vec<Option<f64>>,
    spread: Option<f64>,
}

fn lines<'a>(report: &'a Report, columns: &[Column]) -> Vec<Line<'a>> {
    let line = |case: &'a crate::experiment::CaseResult| {
        let base = case.verdicts.first().and_then(Verdict::series);
        let figures = |place: usize| {
            let series = case.verdicts.get(place).and_then(Verdict::series);
            series.zip(base).and_then(|(s, b)| figures(s, b, report.steady))
        };
        let all: Vec<_> = columns.iter().map(|(_, _, place)| figures(*place)).collect();
        Line {
            class: case.class.name(),
            program: &case.program,
            ratios: all.iter().map(|f| f.and_then(|f| f.ratio)).collect(),
            spread: all.iter().filter_map(|f| f.and_then(|f| f.spread)).max_by(f64::total_cmp),
        }
    };
    report.cases.iter().map(line).collect()
}

/// The geometric means of the columns, all over the same programs: those with a figure in every column that has any.
/// A column without one has no mean. `None` when no program is left.
fn means(lines: &[&Line<'_>], columns: usize) -> Option<(usize, Vec<Option<f64>>)> {
    let alive: Vec<bool> = (0..columns).map(|c| lines.iter().any(|l| l.ratios[c].is_some())).collect();
    let complete = |l: &&&Line<'_>| l.ratios.iter().zip(&alive).all(|(r, alive)| r.is_some() || !alive);
    let whole: Vec<_> = lines.iter().filter(complete).collect();
    let mean = |c: usize| {
        let column: Vec<f64> = whole.iter().filter_map(|l| l.ratios[c]).collect();
        stats::geometric_mean(&column)
    };
    let means: Vec<Option<f64>> = (0..columns).map(mean).collect();
    means.iter().any(Option::is_some).then_some((whole.len(), means))
}

/// Writes the table and the answer.
pub fn table(report: &Report, columns: &[Column]) -> String {
    let lines = lines(report, columns);
    let base = columns.iter().find(|c| c.2 == 0).map_or("the first", |c| c.0.as_str());
    let measure = if report.steady { "steady processor time" } else { "processor time" };
    let mut text = format!("{measure} ÷ that of native {base}\n\n");
    let mut rows = vec![vec!["class".to_owned(), "program".to_owned()]];
    rows[0].extend(columns.iter().map(|(binary, runner, _)| format!("{runner} {binary}")));
    rows[0].push("max/min".into());
    let cells = |ratios: &mut dyn Iterator<Item = Option<f64>>| -> Vec<String> {
        ratios.map(|r| r.map_or_else(|| "-".into(), |r| times(Some(r)))).collect()
    };
    for line in &lines {
        let mut row = vec![line.class.to_owned(), line.program.to_owned()];
        row.extend(cells(&mut line.ratios.iter().copied()));
        row.push(times(line.spread));
        rows.push(row);
    }
    let mut classes: Vec<&str> = lines.iter().map(|l| l.class).collect();
    classes.dedup();
    let mut mean_row = |name: &str, of: &[&Line<'_>]| {
        if let Some((count, means)) = means(of, columns.len()) {
            let mut row = vec![name.to_owned(), format!("geometric mean of {count}")];
            row.extend(cells(&mut means.into_iter()));
            rows.push(row);
        }
    };
    if classes.len() > 1 {
        for class in &classes {
            mean_row(class, &lines.iter().filter(|l| l.class == *class).collect::<Vec<_>>());
        }
    }
    let all: Vec<&Line<'_>> = lines.iter().collect();
    mean_row("all", &all);
    text.push_str(&render(&rows));
    text.push('\n');
    text.push_str(&in_words(&all, columns, base));
    text
}

/// The answer: for each binary and runner, the mean before and after, and where it did best and worst.
fn in_words(lines: &[&Line<'_>], columns: &[Column], base: &str) -> String {
    let mut text = String::new();
    let Some((count, means)) = means(lines, columns.len()) else {
        return "no program ran in all columns\n".into();
    };
    let place = |binary: &str, native: bool| {
        columns.iter().position(|(b, r, _)| b == binary && (r == "native") == native)
    };
    for (at, (binary, runner, _)) in columns.iter().enumerate() {
        let Some(before) = place(binary, true) else { continue };
        if at == before {
            continue;
        }
        let (Some(after), Some(natively)) = (means[at], means[before]) else { continue };
        let gains: Vec<(&str, f64)> = lines
            .iter()
            .filter_map(|l| Some((l.program, stats::ratio(l.ratios[at]?, l.ratios[before]?)?)))
            .collect();
        let _ = write!(
            text,
            "{runner} runs {binary} binaries at {:.2} of native {base} (natively {:.2}; geometric means of {count})",
            after, natively
        );
        let best = gains.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let worst = gains.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        if let (Some(best), Some(worst)) = (best, worst) {
            let _ = write!(
                text,
                "; against the same binary, best {} {:.2}, worst {} {:.2}",
                best.0, best.1, worst.0, worst.1
            );
        }
        // Below the baseline's level, the distance to it is what could be given back.
        if natively > 1.05 {
            let share = ((natively - after) / (natively - 1.0) * 100.0).max(0.0);
            let _ = write!(text, "; {share:.0} % of what {base} gains over {binary}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Class;
    use crate::experiment::{CaseResult, Sample, Series};
    use crate::report::{Layout, Machine};

    fn measured(cpu: f64) -> Verdict {
        let sample = Sample { cpu, wall: cpu, peak_kib: 1 };
        Verdict::Measured(Series { full: vec![sample; 2], full_units: 4, ..Series::default() })
    }

    fn report(cases: &[(&str, Class, [Option<f64>; 4])]) -> Report {
        let case = |(program, class, cpu): &(&str, Class, [Option<f64>; 4])| CaseResult {
            program: (*program).into(),
            class: *class,
            level: "-".into(),
            verdicts: cpu.iter().map(|c| c.map_or(Verdict::Failed("no".into()), measured)).collect(),
        };
        let column = |binary: &str, runner: &str, place| (binary.to_owned(), runner.to_owned(), place);
        Report {
            machine: Machine {
                processor: "P".into(),
                kernel: "K".into(),
                compiler: "C".into(),
                load: 0.0,
                core: None,
            },
            command: vec![],
            runners: ["native O3", "native O1", "dynrun O1", "dynrun O3"].map(str::to_owned).to_vec(),
            layout: Layout::Across {
                columns: vec![
                    column("O1", "native", 1),
                    column("O1", "dynrun", 2),
                    column("O3", "native", 0),
                    column("O3", "dynrun", 3),
                ],
            },
            steady: false,
            cases: cases.iter().map(case).collect(),
            unbuilt: vec![],
        }
    }

    #[test]
    fn columns_are_against_the_baseline_and_means_are_of_whole_lines() {
        let report = report(&[
            ("gemm", Class::Kernels, [Some(1.0), Some(4.0), Some(2.0), Some(0.5)]),
            ("json", Class::Small, [Some(1.0), Some(1.0), Some(2.0), Some(2.0)]),
            ("lost", Class::Small, [Some(1.0), Some(9.0), None, Some(1.0)]),
        ]);
        let text = report.table();
        assert!(text.contains("processor time ÷ that of native O3"), "{text}");
        let row = |name: &str| {
            let line = text.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("gemm")[..6], ["kernels", "gemm", "4.00", "2.00", "1.00", "0.50"]);
        assert_eq!(row("lost")[2..6], ["9.00", "-", "1.00", "1.00"]);
        // The line with a gap is in no mean.
        assert!(
            row("mean of 2 ").ends_with(&["2", "2.00", "2.00", "1.00", "1.00"].map(str::to_owned)),
            "{text}"
        );
        assert!(
            text.contains(
                "dynrun runs O1 binaries at 2.00 of native O3 (natively 2.00; geometric means of 2)"
            ),
            "{text}"
        );
        assert!(text.contains("best gemm 0.50, worst json 2.00; 0 % of what O3 gains over O1"), "{text}");
        assert!(text.contains("FAILED: lost - under dynrun O1: no"), "{text}");
    }

    #[test]
    fn nothing_measured_is_said() {
        let text = report(&[("gemm", Class::Kernels, [None; 4])]).table();
        assert!(text.contains("no program ran in all columns"), "{text}");
    }
}
