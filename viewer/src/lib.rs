//! The report: what a run of a trace compiler did, as one self-contained HTML page.
//!
//! A front end fills a [`Run`] and gives it to [`page`]. The page has the data as JSON and draws it with a script of
//! its own (`assets/`); nothing is fetched, so that it opens from a file in any browser.
//!
//! ```text
//! Run ─┬─ phases, samples, reasons     where time went, what was given up and why      tab "Overview"
//!      ├─ fragments ── exits           the tree of traces, code side by side           tab "Traces"
//!      ├─ fragments ── address, size   the map of the code cache                       tab "Cache"
//!      └─ events                       the time line and the log                       tab "Events"
//! ```
//!
//! **Lines.** A trace is shown as source, guest code, IR after each pass that changed it, and machine code. What belongs
//! together is linked by the *origin* of a line: the index of a guest instruction in the fragment's [`Fragment::guest`].
//!
//! This crate knows no guest and no compiler: addresses are numbers, code is text, and what kinds and reasons are
//! called is up to the front end.

use serde::Serialize;

/// Everything the page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Run {
    /// The program that made it, with its version.
    pub producer: String,
    /// What was run: program and arguments.
    pub command: Vec<String>,
    /// Facts about the run, such as options, processor and process id: names and values in the order shown.
    pub facts: Vec<(String, String)>,
    /// How the run ended, such as `exit status 0`.
    pub end: String,
    /// Milliseconds from start to end.
    pub elapsed_ms: f64,
    /// Where time went: parts of the whole.
    pub phases: Vec<Phase>,
    /// Samples taken on the processor's clock, and how far apart they are.
    pub samples: u64,
    /// Microseconds between samples.
    pub sample_us: u64,
    /// What was given up, refused, thrown away: counted, with what it cost.
    pub reasons: Vec<Reason>,
    /// Fragments that were made, dead ones too, in the order of their numbers.
    pub fragments: Vec<Fragment>,
    /// The event log, oldest first.
    pub events: Vec<Event>,
    /// Events that the log could not keep.
    pub events_lost: u64,
    /// What the reader must know of what is missing, such as traces shown without their IR.
    pub notes: Vec<String>,
}

/// A part of the time.
#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// How long.
    pub ms: f64,
}

/// Something that did not become, or did not stay, a trace.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// What happened: aborted, refused, invalidated, evicted.
    pub what: String,
    /// Why.
    pub why: String,
    /// How often.
    pub count: u64,
    /// Milliseconds spent on it in vain, where that is known.
    pub cost_ms: Option<f64>,
}

/// A piece of code in the cache.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fragment {
    /// Its number.
    pub id: u32,
    /// Block, trace, optimised trace, …
    pub kind: String,
    /// Whether it is one of those that the tree shows: a trace.
    pub trace: bool,
    /// Whether it is still there.
    pub live: bool,
    /// Whether it goes back to its own head.
    pub loops: bool,
    /// Where it begins in the guest, as the front end writes it.
    pub head: String,
    /// The name of what it belongs to, such as a function.
    pub name: String,
    /// File and line of its head.
    pub source: String,
    /// First address of its code in the cache.
    pub address: u64,
    /// Bytes of code.
    pub size: u32,
    /// Samples that hit it.
    pub samples: u64,
    /// The fragment and the exit that it grew from.
    pub parent: Option<(u32, u32)>,
    /// Milliseconds that it took to make.
    pub made_ms: Option<f64>,
    /// Where it can be left.
    pub exits: Vec<Exit>,
    /// The guest's instructions along the path.
    pub guest: Vec<GuestLine>,
    /// The IR: as recorded, then after each pass that changed it.
    pub stages: Vec<Stage>,
    /// Machine code.
    pub host: Vec<Line>,
}

/// Where a fragment can be left.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Exit {
    /// Its number.
    pub number: u32,
    /// Where it leads, as the front end writes it.
    pub to: String,
    /// The fragment that it is linked to.
    pub target: Option<u32>,
    /// How often it was taken, where that was counted.
    pub taken: Option<u64>,
}

/// An instruction of the guest.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuestLine {
    /// Its address or place.
    pub at: String,
    /// Its text.
    pub text: String,
    /// File and line.
    pub source: String,
    /// The text of that line, where it could be read.
    pub source_text: String,
}

/// The IR at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stage {
    /// Which.
    pub name: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of IR or machine code.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Line {
    /// The line.
    pub text: String,
    /// The guest instruction that it stands for, as an index.
    pub origin: Option<u32>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Milliseconds since the start.
    pub ms: f64,
    /// What.
    pub kind: String,
    /// Where in the guest.
    pub at: String,
    /// More about it.
    pub detail: String,
}

const PAGE: &str = include_str!("../assets/page.html");
const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// The page. `Err` only for numbers that JSON does not have.
pub fn page(run: &Run) -> serde_json::Result<String> {
    // Within a script element only `</` could end the data; JSON allows the slash to be escaped.
    let data = serde_json::to_string(run)?.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    let title = run.command.first().map_or("", String::as_str).rsplit('/').next().unwrap_or_default();
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    // The data come last: they may hold what looks like a place to fill.
    let page = PAGE.replace("{{title}}", &title).replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    Ok(page.replacen("{{data}}", &data, 1))
}

/// The events of a run as Chrome's trace format, for time-line viewers.
pub fn chrome_trace(run: &Run) -> serde_json::Result<String> {
    let events: Vec<serde_json::Value> = run
        .events
        .iter()
        .map(|e| {
            serde_json::json!({
                "name": e.kind, "ph": "i", "s": "p", "pid": 1, "tid": 1, "ts": e.ms * 1000.0,
                "args": { "at": e.at, "detail": e.detail },
            })
        })
        .collect();
    serde_json::to_string(&serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ms" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Run {
        let line = |text: &str| Line { text: text.into(), origin: Some(0) };
        Run {
            command: vec!["/bin/a<b".into()],
            fragments: vec![Fragment { id: 1, trace: true, host: vec![line(text)], ..Fragment::default() }],
            events: vec![Event { ms: 1.5, kind: "trace".into(), at: "0x1".into(), detail: String::new() }],
            ..Run::default()
        }
    }

    /// The JSON inside the page.
    fn data(page: &str) -> serde_json::Value {
        let start = page.find("<script id=\"data\"").unwrap();
        let start = start + page[start..].find('>').unwrap() + 1;
        let end = start + page[start..].find("</script>").unwrap();
        serde_json::from_str(&page[start..end]).unwrap()
    }

    #[test]
    fn what_looks_like_markup_stays_data() {
        for text in
            ["</script><script>alert(1)</script>", "<!-- <script>", "{{data}} {{title}}", "\u{2028}&amp;"]
        {
            let page = page(&run(text)).unwrap();
            assert_eq!(data(&page)["fragments"][0]["host"][0]["text"], text);
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&run("x")).unwrap();
        assert!(page.contains("<title>a&lt;b") || page.contains("a&lt;b"), "{}", &page[..400]);
        for word in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(!page.contains("{{"));
    }

    #[test]
    fn five_thousand_traces_make_a_page_of_reasonable_size() {
        let mut large = run("x");
        let one = large.fragments[0].clone();
        large.fragments = (0..5000).map(|id| Fragment { id, ..one.clone() }).collect();
        let page = page(&large).unwrap();
        assert!(page.len() < 5_000_000, "{}", page.len());
        assert_eq!(data(&page)["fragments"].as_array().unwrap().len(), 5000);
    }

    #[test]
    fn events_as_a_time_line() {
        let value: serde_json::Value = serde_json::from_str(&chrome_trace(&run("x")).unwrap()).unwrap();
        assert_eq!(value["traceEvents"][0]["ts"], 1500.0);
    }
}
