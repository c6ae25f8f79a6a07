//! The page: everything of one invocation as a self-contained HTML file. No script, no network; drawings are SVG.
//!
//! In this order: the answer in words; a bar for each column of each program, with the line of the baseline; which
//! passes the gain came from; what stays with static compilers; the times of the units of work inside a process, as
//! curves with their class; what compiling cost; the table; the machine.

use std::fmt::Write as _;

use crate::experiment::Verdict;
use crate::insight::{Curve, Insight};
use crate::report::{Layout, Report, figures, times};

const STYLE: &str = "
:root { --ink: #1b1f24; --soft: #6a737d; --line: #d8dee4; --paper: #fff; --accent: #0b6e4f }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #333b44; --paper: #14181d; --accent: #3fbf8f } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
p.answer { font-size: 1.1rem } .soft { color: var(--soft) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left } thead th { vertical-align: bottom }
pre { overflow-x: auto; font-size: 12px } svg { max-width: 100%; height: auto } svg text { fill: var(--ink); font: 12px system-ui, sans-serif }
svg .soft { fill: var(--soft) } .curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-size: .9rem }";

/// Colours of the columns: a pair for each binary, native pale, runners strong. Told apart by lightness too.
const COLOURS: [&str; 8] =
    ["#c2c9d1", "#2f6fb2", "#8b949e", "#0b6e4f", "#e3c7a8", "#b35c00", "#d4b5d8", "#7a3e8e"];

/// Writes the page.
pub fn page(report: &Report, insights: &[Insight]) -> String {
    let mut text = String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n");
    let _ = write!(
        text,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>speedup</title>\n<style>{STYLE}</style>\n"
    );
    text.push_str("<h1>Does a run-time optimizer beat a static compiler?</h1>\n");
    let whole = report.table();
    for line in answer(&whole) {
        let _ = writeln!(text, "<p class=\"answer\">{}</p>", escape(line));
    }
    bars(&mut text, report);
    passes(&mut text, insights);
    nests(&mut text, insights);
    curves(&mut text, insights);
    cost(&mut text, insights);
    let _ = write!(text, "<h2>All figures</h2>\n<pre>{}</pre>\n", escape(&whole));
    let m = &report.machine;
    let _ = writeln!(
        text,
        "<h2>Measured on</h2>\n<p>{}; Linux {}; {}; load {:.2} at the start. Command: <code>{}</code></p>\n</html>",
        escape(&m.processor),
        escape(&m.kernel),
        escape(&m.compiler),
        m.load,
        escape(&report.command.join(" "))
    );
    text
}

/// The sentences below the tables.
fn answer(table: &str) -> Vec<&str> {
    table
        .lines()
        .filter(|l| l.contains("geometric mean") && (l.contains(" runs ") || l.contains(": ")))
        .collect()
}

/// The columns in the order shown, with the place of each among the verdicts.
fn columns(report: &Report) -> Vec<(String, usize)> {
    match &report.layout {
        Layout::Across { columns } => {
            columns.iter().map(|(binary, runner, place)| (format!("{runner} {binary}"), *place)).collect()
        }
        Layout::Binary => report.runners.iter().cloned().zip(0..).collect(),
    }
}

/// Bars to the right of a common zero, on a linear scale up to [`MOST`]; longer ones are cut and say their figure.
fn bars(text: &mut String, report: &Report) {
    const MOST: f64 = 3.0;
    const LEFT: f64 = 170.0;
    const WIDTH: f64 = 640.0;
    const BAR: f64 = 9.0;
    let columns = columns(report);
    let group = BAR * columns.len() as f64 + 8.0;
    let height = group * report.cases.len() as f64 + 40.0;
    let x = |ratio: f64| LEFT + ratio.min(MOST) / MOST * WIDTH;
    text.push_str("<h2>Time, as a multiple of the baseline's</h2>\n<p>Shorter is faster; the vertical line is the native baseline. ");
    for (i, (label, _)) in columns.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let _ = write!(text, "<span style=\"color:{colour}\">■</span> {} ", escape(label));
    }
    let _ = writeln!(
        text,
        "</p>\n<svg viewBox=\"0 0 {:.0} {height:.0}\" role=\"img\" aria-label=\"time of each program\">",
        LEFT + WIDTH + 60.0
    );
    for tick in 1..=MOST as u32 {
        let at = x(f64::from(tick));
        let colour = if tick == 1 { "var(--ink)" } else { "var(--line)" };
        let _ = writeln!(
            text,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"20\" y2=\"{height:.0}\" stroke=\"{colour}\"/><text class=\"soft\" x=\"{at:.1}\" y=\"14\" text-anchor=\"middle\">{tick}</text>"
        );
    }
    for (row, case) in report.cases.iter().enumerate() {
        let top = 26.0 + group * row as f64;
        let name =
            if case.level == "-" { case.program.clone() } else { format!("{} {}", case.program, case.level) };
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            top + group / 2.0,
            escape(&name)
        );
        let base = case.verdicts.first().and_then(Verdict::series);
        for (i, (label, place)) in columns.iter().enumerate() {
            let series = case.verdicts.get(*place).and_then(Verdict::series);
            let ratio =
                series.zip(base).and_then(|(s, b)| figures(s, b, report.steady)).and_then(|f| f.ratio);
            let y = top + BAR * i as f64;
            let shown = times(ratio);
            let Some(ratio) = ratio else {
                let _ = writeln!(
                    text,
                    "<text class=\"soft\" x=\"{LEFT}\" y=\"{:.1}\">{} failed</text>",
                    y + BAR,
                    escape(label)
                );
                continue;
            };
            let _ = writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"><title>{} {}: {shown}</title></rect>",
                x(ratio) - LEFT,
                BAR - 1.0,
                COLOURS[i % COLOURS.len()],
                escape(&name),
                escape(label)
            );
            if ratio > MOST {
                let _ = writeln!(
                    text,
                    "<text x=\"{:.1}\" y=\"{:.1}\">{shown}</text>",
                    x(ratio) + 4.0,
                    y + BAR - 1.0
                );
            }
        }
    }
    text.push_str("</svg>\n");
}

/// A table of factors: what a program's time becomes without each pass.
fn passes(text: &mut String, insights: &[Insight]) {
    let names: Vec<&str> = insights
        .iter()
        .find(|i| !i.passes.is_empty())
        .map_or_else(Vec::new, |i| i.passes.iter().map(|p| p.0.as_str()).collect());
    if names.is_empty() {
        return;
    }
    let level = insights.first().map_or("", |i| i.level.as_str());
    let _ = write!(
        text,
        "<h2>Where the gain comes from</h2>\n<p>Time of the {} binary under dynrun with one pass left out, over the time with all of them. Above 1: the program needs \
         the pass. Passes help each other: the factors do not multiply to the whole gain. What is within 5 % is noise and stays pale.</p>\n<table><thead><tr><th>program</th>",
        escape(level)
    );
    for name in &names {
        let _ = write!(text, "<th>{}</th>", escape(name));
    }
    text.push_str("</tr></thead>\n");
    for insight in insights.iter().filter(|i| !i.passes.is_empty()) {
        let _ = write!(text, "<tr><td>{}</td>", escape(&insight.program));
        for name in &names {
            match insight.passes.iter().find(|p| p.0 == *name) {
                Some((_, factor)) => {
                    // Doubling is full colour.
                    let share = (factor.log2().abs().min(1.0) * 70.0).round();
                    let colour = if *factor > 1.0 { "var(--accent)" } else { "#b35c00" };
                    let soft = if (factor - 1.0).abs() < 0.05 { " class=\"soft\"" } else { "" };
                    let _ = write!(
                        text,
                        "<td{soft} style=\"background:color-mix(in srgb, {colour} {share}%, transparent)\">{factor:.2}</td>"
                    );
                }
                None => text.push_str("<td>-</td>"),
            }
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table>\n");
}

/// What is out of reach for a compiler that sees one path at a time.
fn nests(text: &mut String, insights: &[Insight]) {
    let mut known: Vec<(&str, f64)> =
        insights.iter().filter_map(|i| Some((i.program.as_str(), i.nests?))).collect();
    if known.is_empty() {
        return;
    }
    known.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (only, both): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, factor)| *factor >= 1.1);
    text.push_str("<h2>What only a static compiler does</h2>\n<p>gcc -O3 run once more without interchange, unroll-and-jam and distribution of loop nests. A trace optimizer sees \
                   one path at a time and cannot reorder a nest; what gcc loses here it cannot give back.</p>\n");
    if only.is_empty() {
        text.push_str("<p>No program here gains a tenth or more from them.</p>\n");
    } else {
        text.push_str("<ul>\n");
        for (program, factor) in only {
            let _ = writeln!(
                text,
                "<li><b>{}</b>: {factor:.2} times as long without them: that much of native -O3 is out of reach.</li>",
                escape(program)
            );
        }
        text.push_str("</ul>\n");
    }
    let names: Vec<String> = both.iter().map(|(p, _)| escape(p)).collect();
    if !names.is_empty() {
        let _ = writeln!(
            text,
            "<p class=\"soft\">Nothing of that kind, all of -O3 is within reach: {}.</p>",
            names.join(", ")
        );
    }
}

fn curves(text: &mut String, insights: &[Insight]) {
    if insights.iter().all(|i| i.curves.is_empty()) {
        return;
    }
    text.push_str("<h2>Warm-up</h2>\n<p>Time of each unit of work inside one process, first to last. Classes as Barrett and others define them (OOPSLA 2017): flat, warm-up, slowdown, no steady state.</p>\n<div class=\"curves\">\n");
    for insight in insights.iter().filter(|i| !i.curves.is_empty()) {
        curve(text, insight);
    }
    text.push_str("</div>\n");
}

/// One small drawing: each runner's times over the iterations, the scale from nothing to twice the slowest steady one.
fn curve(text: &mut String, insight: &Insight) {
    const WIDTH: f64 = 320.0;
    const HEIGHT: f64 = 110.0;
    let most = insight
        .curves
        .iter()
        .filter_map(|c| crate::stats::median(&c.times))
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE)
        * 2.0;
    text.push_str("<figure>");
    let _ = writeln!(
        text,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><line x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\" stroke=\"var(--line)\"/>"
    );
    let mut said = Vec::new();
    for (i, Curve { runner, times, class }) in insight.curves.iter().enumerate() {
        let colour = COLOURS[(2 * i + 1) % COLOURS.len()];
        let step = WIDTH / times.len().max(2) as f64;
        let points: Vec<String> = times
            .iter()
            .enumerate()
            .map(|(i, t)| {
                format!("{:.1},{:.1}", i as f64 * step, HEIGHT - (t / most).min(1.0) * (HEIGHT - 4.0))
            })
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\" points=\"{}\"><title>{}</title></polyline>",
            points.join(" "),
            escape(runner)
        );
        let kind = class.as_ref().map_or("too few", |c| c.kind.name());
        let steady = class.as_ref().and_then(|c| c.steady_from).filter(|n| *n > 0);
        let from = steady.map_or_else(String::new, |n| format!(" to {n}"));
        said.push(format!("<span style=\"color:{colour}\">■</span> {} {kind}{from}", escape(runner)));
    }
    let _ = writeln!(
        text,
        "</svg><figcaption><b>{}</b> {}, {} units; {}</figcaption></figure>",
        escape(&insight.program),
        escape(&insight.level),
        insight.curves.first().map_or(0, |c| c.times.len()),
        said.join(", ")
    );
}

fn cost(text: &mut String, insights: &[Insight]) {
    if insights.iter().all(|i| i.cost.is_none()) {
        return;
    }
    text.push_str("<h2>What it cost</h2>\n<table><thead><tr><th>program</th><th>traces</th><th>translating and compiling, ms</th><th>% of the process</th><th>code cache, KiB</th></tr></thead>\n");
    for (insight, cost) in insights.iter().filter_map(|i| Some((i, i.cost?))) {
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{}</td></tr>",
            escape(&insight.program),
            cost.traces,
            cost.translate_ms,
            cost.translate_ms / cost.elapsed_ms.max(1e-9) * 100.0,
            cost.cache_bytes / 1024
        );
    }
    text.push_str("</table>\n");
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Class;
    use crate::experiment::{CaseResult, Sample, Series};
    use crate::insight::Cost;
    use crate::report::Machine;

    fn measured(cpu: f64) -> Verdict {
        let sample = Sample { cpu, wall: cpu, peak_kib: 1 };
        Verdict::Measured(Series { full: vec![sample; 2], full_units: 4, ..Series::default() })
    }

    fn report(layout: Layout) -> Report {
        let case = |program: &str, verdicts: Vec<Verdict>| CaseResult {
            program: program.into(),
            class: Class::Small,
            level: "-".into(),
            verdicts,
        };
        Report {
            machine: Machine {
                processor: "P <b>".into(),
                kernel: "K".into(),
                compiler: "C".into(),
                load: 0.0,
                core: None,
            },
            command: vec!["speedup".into()],
            runners: vec!["native".into(), "x & y".into()],
            layout,
            steady: false,
            cases: vec![
                case("one", vec![measured(1.0), measured(0.5)]),
                case("two", vec![measured(1.0), measured(7.5)]),
                case("three", vec![measured(1.0), Verdict::Failed("no".into())]),
            ],
            unbuilt: vec![],
        }
    }

    #[test]
    fn every_program_has_bars_and_nothing_is_unescaped() {
        let text = page(&report(Layout::Binary), &[]);
        assert_eq!(text.matches("<rect").count(), 5);
        assert!(text.contains("x &amp; y failed") && text.contains(">7.50</text>"), "{text}");
        assert!(text.contains("P &lt;b&gt;") && !text.contains("P <b>"));
        assert!(text.contains("geometric mean of 2"), "{text}");
        // Sections without anything to show are absent.
        assert!(!text.contains("Warm-up") && !text.contains("What it cost"));
    }

    #[test]
    fn columns_across_levels_are_in_the_order_shown() {
        let columns = vec![("O1".into(), "dynrun".into(), 1), ("O3".into(), "native".into(), 0)];
        let text = page(&report(Layout::Across { columns }), &[]);
        let (first, second) = (text.find("dynrun O1").unwrap(), text.find("native O3").unwrap());
        assert!(first < second, "{text}");
    }

    #[test]
    fn insights_have_sections_of_their_own() {
        let curve = |runner: &str| Curve { runner: runner.into(), times: vec![0.25; 20], class: None };
        let insight = Insight {
            program: "gemm".into(),
            level: "O1".into(),
            passes: vec![("hoist".into(), 1.8), ("peel".into(), 1.01)],
            curves: vec![curve("native"), curve("dynrun")],
            cost: Some(Cost { translate_ms: 2.0, elapsed_ms: 100.0, traces: 3, cache_bytes: 4096 }),
            nests: Some(1.7),
        };
        let text = page(&report(Layout::Binary), &[insight]);
        assert!(text.contains("<th>hoist</th><th>peel</th>") && text.contains(">1.80</td>"), "{text}");
        assert!(text.contains("<b>gemm</b>: 1.70 times as long"), "{text}");
        assert_eq!(text.matches("<polyline").count(), 2);
        assert!(text.contains("<td>2.0</td><td>2.0</td><td>4</td>"), "{text}");
    }
}
