//! `--report FILE.html`: the page of the crate `viewer`, filled from the cache, the event log, the samples and what the
//! compiler kept of each trace.
//!
//! **Parents.** A trace has grown from the first exit that is linked to it of a trace older than itself.
//!
//! **Names.** Functions and source lines come from the symbols and DWARF of the files that are mapped where the code
//! is, as far as they have them; a file that has changed since is not noticed.

mod names;
pub mod symfile;

use crate::process::{Shared, process};
use crate::signal::read_guest;
use crate::stats::Statistics;
use fragcache::events::{Event, EventKind};
use fragcache::{ExitId, ExitKind, FragId, Fragment, FragmentKind, GuestPc, HostPc};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use names::Names;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use viewer::{Exit, GuestLine, Line, Phase, Reason, Run, Stage};

/// Traces that are shown with source, IR and machine code; the hottest ones.
const DETAILED: usize = 2000;

/// Samples of each fragment, by its number; fragments of higher numbers are not told apart.
static HITS: OnceLock<Box<[AtomicU32]>> = OnceLock::new();
const MOST_HITS: usize = 1 << 18;

/// Counts samples of each fragment from now on.
pub fn start() {
    HITS.get_or_init(|| (0..MOST_HITS).map(|_| AtomicU32::new(0)).collect());
}

/// A sample met this fragment. Called from the handler of the sampling signal.
pub fn hit(frag: FragId) {
    if let Some(hits) = HITS.get().and_then(|h| h.get(frag.0 as usize)) {
        hits.fetch_add(1, Ordering::Relaxed);
    }
}

fn hits(id: u32) -> u64 {
    HITS.get().and_then(|h| h.get(id as usize)).map_or(0, |h| u64::from(h.load(Ordering::Relaxed)))
}

/// The IR of a trace at several moments, and what it took to make.
#[derive(Clone, Debug)]
pub struct History {
    /// Its fragment.
    pub frag: FragId,
    /// Its head: numbers of fragments are used again.
    pub pc: GuestPc,
    /// Name of the pass, and the trace behind it.
    pub stages: Vec<(String, String)>,
    /// Milliseconds.
    pub made_ms: f64,
}

/// The page.
pub fn page(statistics: &Statistics) -> Result<String, serde_json::Error> {
    let mut names = Names::new();
    let shared = process().lock();
    viewer::page(&run(&shared, statistics, &mut names))
}

/// The blocks that were executed, in the format of DynamoRIO's drcov, version 2: a table of modules, then for each block its offset
/// in its module (4 bytes), its length (2) and the module's number (2). Blocks are basic ones (see
/// [`crate::translate::Translator::branches`]). Those of modules that are no longer mapped are missing.
pub fn drcov() -> Vec<u8> {
    let names = Names::new();
    let modules = names.modules();
    let mut out = format!(
        "DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\nModule Table: version 2, count {}\nColumns: id, base, end, entry, checksum, timestamp, path\n",
        modules.len()
    )
    .into_bytes();
    for (id, (base, end, path)) in modules.iter().enumerate() {
        out.extend_from_slice(
            format!(
                "{id:>3}, {base:#018x}, {end:#018x}, 0x0000000000000000, 0x00000000, 0x00000000, {path}\n"
            )
            .as_bytes(),
        );
    }
    let mut blocks = std::collections::BTreeSet::new();
    let shared = process().lock();
    for &(GuestPc(start), len) in shared.translator.executed.iter().flatten() {
        if let Some(id) = modules.iter().position(|(base, end, _)| (*base..*end).contains(&start)) {
            blocks.insert(((start - modules[id].0) as u32, len as u16, id as u16));
        }
    }
    out.extend_from_slice(format!("BB Table: {} bbs\n", blocks.len()).as_bytes());
    for (offset, len, id) in blocks {
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
    }
    out
}

/// The event log in Chrome's trace format.
pub fn timeline() -> Result<String, serde_json::Error> {
    let shared = process().lock();
    let events = shared.cache.events.iter().map(event).collect();
    viewer::chrome_trace(&Run { events, ..Run::default() })
}

/// Ends the file that perf reads; fragments are called by the functions that they are of.
pub fn jitdump() -> std::io::Result<()> {
    let mut names = Names::new();
    let shared = process().lock();
    crate::jitdump::finish(&shared.cache, |f| format!("{} {} {:#x}", kind(f), names.function(f.pc.0), f.pc.0))
}

/// The symbol file of a trace, see [`symfile`].
pub fn symbols(id: FragId, f: &Fragment<'_>) -> Result<Vec<u8>, symfile::Error> {
    let mut names = Names::new();
    // SAFETY: a live fragment's code is mapped and readable, and stays so while the cache is borrowed.
    let code = unsafe { std::slice::from_raw_parts(f.start.0 as *const u8, f.len as usize) };
    let mut lines: Vec<(u64, symfile::Line)> = Vec::new();
    let mut last = None;
    for i in Decoder::with_ip(64, code, f.start.0 as u64, DecoderOptions::NONE).iter() {
        let Some((pc, _)) = f.guest_pc_at(HostPc(i.ip() as usize)) else { continue };
        if last.replace(pc) == Some(pc) {
            continue;
        }
        let line = names.line(pc.0);
        if let Some((file, number)) = line.rsplit_once(':')
            && let Ok(number) = number.parse()
            && lines.last().is_none_or(|(_, l)| l.0 != file || l.1 != number)
        {
            lines.push((i.ip() - f.start.0 as u64, (file.to_owned(), number)));
        }
    }
    let name = format!("{} [trace {}]", names.function(f.pc.0), id.0);
    symfile::file(&name, f.start.0 as u64, code, &lines)
}

fn run(shared: &Shared, s: &Statistics, names: &mut Names) -> Run {
    let p = process();
    let parents = parents(shared);
    let histories: HashMap<u32, &History> = shared
        .compiler
        .as_ref()
        .and_then(|c| c.histories.as_deref())
        .unwrap_or_default()
        .iter()
        .map(|h| (h.frag.0, h))
        .collect();
    let mut detailed: Vec<(u64, u32)> = shared
        .cache
        .fragments()
        .filter(|(_, f)| f.kind == FragmentKind::Trace)
        .map(|(id, _)| (hits(id.0), id.0))
        .collect();
    detailed.sort_unstable_by(|a, b| b.cmp(a));
    let cut = detailed.len().saturating_sub(DETAILED);
    detailed.truncate(DETAILED);
    let detailed: std::collections::HashSet<u32> = detailed.into_iter().map(|(_, id)| id).collect();
    let mut fragments = Vec::new();
    for (id, f) in shared.cache.fragments().filter(|(_, f)| f.kind != FragmentKind::Private) {
        let trace = f.kind == FragmentKind::Trace;
        let history = histories.get(&id.0).filter(|h| h.pc == f.pc);
        let mut shown = viewer::Fragment {
            id: id.0,
            kind: kind(&f).into(),
            trace,
            live: f.live,
            head: format!("{:#x}", f.pc.0),
            address: f.start.0 as u64,
            size: f.len,
            samples: hits(id.0),
            parent: parents.get(&id.0).copied(),
            made_ms: history.map(|h| h.made_ms),
            ..viewer::Fragment::default()
        };
        if trace || shown.samples > 0 {
            shown.name = names.function(f.pc.0);
            shown.source = names.line(f.pc.0);
        }
        if trace {
            shown.exits = f.exits().map(|e| exit(shared, e)).collect();
            shown.loops = f.exits().any(|e| match shared.cache.exit(e).kind {
                ExitKind::Loop { .. } => true,
                ExitKind::Direct(pc) => pc == f.pc,
                _ => false,
            });
        }
        if detailed.contains(&id.0) && f.live {
            code(&mut shown, &f, history.map_or(&[], |h| &h.stages), names);
        }
        fragments.push(shown);
    }
    let mut notes = Vec::new();
    if cut > 0 {
        notes.push(format!(
            "Code is shown of the {DETAILED} hottest traces; {cut} others stand in the tree without it."
        ));
    }
    notes.push(
        "Exits were counted on their way (not indirect ones, nor back edges), which made traces that are often left slower."
            .into(),
    );
    Run {
        producer: format!("dynrun {}", env!("CARGO_PKG_VERSION")),
        command: command(),
        facts: facts(s),
        end: format!("Process {} has ended", s.pid),
        elapsed_ms: s.time.elapsed_ms,
        phases: phases(s),
        samples: s.samples.total,
        sample_us: 1000,
        reasons: reasons(shared, s),
        fragments,
        events: shared.cache.events.iter().map(event).collect(),
        events_lost: s.events_lost,
        notes,
    }
    .checked(p.options.level)
}

/// What the reader must know is added when all the rest is known.
trait Checked {
    fn checked(self, level: u8) -> Self;
}

impl Checked for Run {
    fn checked(mut self, level: u8) -> Self {
        if level < 2 {
            self.notes.push(
                "At -O0 and -O1 traces do not go through the IR: they are copies of their paths.".into(),
            );
        }
        if self.samples < 20 {
            self.notes.push(format!("{} samples only: shares of time mean little.", self.samples));
        }
        self
    }
}

fn kind(f: &Fragment<'_>) -> &'static str {
    match f.kind {
        FragmentKind::Trace if f.places().is_some() => "optimised trace",
        FragmentKind::Trace => "straight trace",
        FragmentKind::Block => "block",
        FragmentKind::Private => "private",
    }
}

/// For each trace the older trace and the exit that lead to it.
fn parents(shared: &Shared) -> HashMap<u32, (u32, u32)> {
    let mut parents = HashMap::new();
    for (id, f) in shared.cache.fragments().filter(|(_, f)| f.live && f.kind == FragmentKind::Trace) {
        for e in f.exits() {
            let exit = shared.cache.exit(e);
            let ExitKind::Direct(pc) = exit.kind else { continue };
            if let (true, Some(to)) = (exit.linked, shared.cache.lookup(pc))
                && to.0 > id.0
                && shared.cache.frag(to).kind == FragmentKind::Trace
            {
                parents.entry(to.0).or_insert((id.0, e.0));
            }
        }
    }
    parents
}

fn exit(shared: &Shared, id: ExitId) -> Exit {
    let e = shared.cache.exit(id);
    let (to, target) = match e.kind {
        ExitKind::Direct(pc) => {
            (format!("{:#x}", pc.0), e.linked.then(|| shared.cache.lookup(pc)).flatten().map(|f| f.0))
        }
        ExitKind::Decline(pc) => (format!("{:#x}, declined", pc.0), None),
        ExitKind::Loop { .. } => ("its own loop".into(), Some(e.from.0)),
        ExitKind::Indirect => ("indirect".into(), None),
        ExitKind::Service(pc, _) => (format!("the runtime, then {:#x}", pc.0), None),
    };
    Exit { number: id.0, to, target, taken: shared.cache.taken(id) }
}

/// Guest code, source lines, IR and machine code.
fn code(shown: &mut viewer::Fragment, f: &Fragment<'_>, stages: &[(String, String)], names: &mut Names) {
    let mut formatter = GasFormatter::new();
    let mut pcs = Vec::new();
    for (start, len) in f.source() {
        let mut bytes = vec![0u8; len as usize];
        if read_guest(start.0, &mut bytes).is_err() {
            shown.guest.push(GuestLine {
                at: format!("{:#x}", start.0),
                text: "(gone)".into(),
                ..GuestLine::default()
            });
            pcs.push(start.0);
            continue;
        }
        for i in Decoder::with_ip(64, &bytes, start.0, DecoderOptions::NONE).iter() {
            let mut text = String::new();
            formatter.format(&i, &mut text);
            let source = names.line(i.ip());
            let source_text = names.text(&source);
            pcs.push(i.ip());
            shown.guest.push(GuestLine { at: format!("{:#x}", i.ip()), text, source, source_text });
        }
    }
    // A path may pass an instruction twice: the next one of that address is meant.
    let next = |pc: u64, from: usize| {
        let from = from.min(pcs.len());
        let ahead = pcs[from..].iter().position(|p| *p == pc).map(|i| i + from);
        ahead.or_else(|| pcs.iter().position(|p| *p == pc))
    };
    for (name, text) in stages {
        let mut at = None;
        let lines = text.lines().map(|line| {
            let words = line.trim_start();
            if let Some(pc) = words.strip_prefix("at 0x").and_then(|t| u64::from_str_radix(t.trim(), 16).ok())
            {
                at = next(pc, at.unwrap_or(0));
            } else if words.starts_with("loop") || words.starts_with("exit") || words.starts_with("end") {
                at = None;
            }
            Line { text: line.to_owned(), origin: at.map(|i| i as u32) }
        });
        shown.stages.push(Stage { name: name.clone(), lines: lines.collect() });
    }
    // SAFETY: a live fragment's code is mapped and readable, and stays so while the cache is borrowed.
    let host = unsafe { std::slice::from_raw_parts(f.start.0 as *const u8, f.len as usize) };
    let mut at = None;
    for i in Decoder::with_ip(64, host, f.start.0 as u64, DecoderOptions::NONE).iter() {
        let mut text = String::new();
        formatter.format(&i, &mut text);
        if let Some((pc, _)) = f.guest_pc_at(HostPc(i.ip() as usize))
            && at.is_none_or(|a: usize| pcs.get(a) != Some(&pc.0))
        {
            at = next(pc.0, at.unwrap_or(0));
        }
        let offset = i.ip() - f.start.0 as u64;
        shown.host.push(Line { text: format!("{offset:>4x}  {text}"), origin: at.map(|i| i as u32) });
    }
}

fn command() -> Vec<String> {
    let p = process();
    p.options.program.iter().map(|w| w.to_string_lossy().into_owned()).collect()
}

fn facts(s: &Statistics) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("process", s.pid.to_string()),
        fact("tier", format!("{}, -O{}", s.tier, s.level)),
        fact(
            "blocks",
            format!(
                "{} made, {} from the store, {} live",
                s.code.blocks, s.code.from_store, s.code.live_blocks
            ),
        ),
        fact("traces", format!("{} made, {} live", s.code.traces, s.code.live_traces)),
        fact("code", format!("{} bytes from {} bytes of the guest", s.code.host_bytes, s.code.guest_bytes)),
        fact("system calls", s.exits.system_calls.to_string()),
        fact("signals", s.exits.signals.to_string()),
        fact("peak memory", format!("{} KiB", s.memory.peak_bytes / 1024)),
    ];
    if let Some(o) = &s.optimizer {
        facts.push(fact(
            "IR operations",
            format!("{} lifted, {} left after the passes", o.operations, o.operations_left),
        ));
        facts.push(fact("compiling", format!("{} ns per operation", o.ns_per_operation)));
    }
    facts
}

fn phases(s: &Statistics) -> Vec<Phase> {
    let phase = |name: &str, ms: f64| Phase { name: name.into(), ms };
    let mut phases = Vec::new();
    let in_code = s.samples.traces + s.samples.blocks + s.samples.stubs;
    if in_code > 0 {
        let share = |n: u64| s.time.cache_ms * n as f64 / in_code as f64;
        phases.push(phase("optimised traces", share(s.samples.optimized)));
        phases.push(phase("straight traces", share(s.samples.traces - s.samples.optimized)));
        phases.push(phase("blocks", share(s.samples.blocks + s.samples.stubs)));
    } else {
        phases.push(phase("in the code cache", s.time.cache_ms));
    }
    phases.push(phase("translating and compiling", s.time.translate_ms));
    phases.push(phase("system calls", s.time.system_call_ms));
    phases.push(phase("dispatching", s.time.dispatch_ms));
    phases.retain(|p| p.ms > 0.0);
    phases
}

fn reasons(shared: &Shared, s: &Statistics) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |what: &str, why: &str, count: u64, cost_ms: Option<f64>| {
        if count > 0 {
            reasons.push(Reason { what: what.into(), why: why.into(), count, cost_ms });
        }
    };
    if let Some(o) = &s.optimizer {
        for (why, count) in &o.refused {
            add("refused", why, *count, None);
        }
    }
    // A recording costs from its beginning to its abort.
    let mut aborts: HashMap<&'static str, (u64, f64)> = HashMap::new();
    let mut begun = HashMap::new();
    for e in shared.cache.events.iter() {
        match e.kind {
            EventKind::Record => {
                begun.insert(e.pc, e.time_ns);
            }
            EventKind::Abort => {
                let cost = begun.remove(&e.pc).map_or(0.0, |t| e.time_ns.saturating_sub(t) as f64 * 1e-6);
                let entry = aborts.entry(abort(e.detail)).or_default();
                *entry = (entry.0 + 1, entry.1 + cost);
            }
            _ => {}
        }
    }
    for (why, (count, cost)) in aborts {
        add("aborted", why, count, Some(cost));
    }
    add("invalidated", "the code they were made from changed or went away", s.dropped.invalidated, None);
    add("revoked", "a fact that they rested on ceased to hold", s.dropped.revoked, None);
    add("flushed", "the code cache was full", s.dropped.flushes, None);
    reasons
}

fn abort(detail: u64) -> &'static str {
    use fragcache::events::AbortReason::{CodeChanged, Interrupted, NotTraceable, TooShort};
    [
        (TooShort, "too short to be worth it"),
        (Interrupted, "interrupted by a signal or another event"),
        (NotTraceable, "code that cannot be in a trace"),
        (CodeChanged, "its code changed meanwhile"),
    ]
    .into_iter()
    .find(|(reason, _)| *reason as u64 == detail)
    .map_or("unknown", |(_, why)| why)
}

fn event(e: &Event) -> viewer::Event {
    let (kind, detail) = match e.kind {
        EventKind::Block => ("block", format!("{} bytes", e.detail)),
        EventKind::Record => ("record", String::new()),
        EventKind::Trace => ("trace", format!("{} bytes", e.detail)),
        EventKind::Abort => ("abort", abort(e.detail).to_owned()),
        EventKind::Invalidate => ("invalidate", format!("{} fragments", e.detail)),
        EventKind::Revoke => ("revoke", format!("{} fragments", e.detail)),
        EventKind::Evict => ("evict", format!("{} fragments", e.detail)),
        EventKind::SelfCheck => ("self-check", String::new()),
        EventKind::Signal => ("signal", e.detail.to_string()),
        EventKind::Fork => ("fork", String::new()),
    };
    viewer::Event { ms: e.time_ns as f64 * 1e-6, kind: kind.into(), at: format!("{:#x}", e.pc), detail }
}
