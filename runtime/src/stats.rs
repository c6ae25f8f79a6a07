//! Counters and clocks behind `--stats`.
//!
//! *Counts* are kept always; each costs one relaxed addition on a path that leaves the cache anyway.
//! *Clocks* read the time stamp counter at every switch between guest, translator and kernel, and run
//! only with `--stats`. *Samples* answer which code the processor was in: with `--stats` each thread
//! has a timer on its own CPU time, whose signal notes whether it met a trace, a block or the
//! runtime. Their resolution is the kernel's tick (1 to 10 ms), so the share of traces means something
//! for programs that compute for a second or more; the number of samples is given with it.

use crate::compile::CompileStats;
use crate::process::process;
use crate::thread::Thread;
use fragcache::{FragmentKind, HostPc};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Counts of events in the dispatcher.
#[derive(Debug, Default)]
pub struct Counts {
    /// Direct exits taken to the dispatcher.
    pub direct: AtomicU64,
    /// Indirect branches whose target was not in the table.
    pub misses: AtomicU64,
    /// System calls.
    pub syscalls: AtomicU64,
    /// Heads that got hot.
    pub hot: AtomicU64,
    /// Look-ups of the dispatcher.
    pub lookups: AtomicU64,
    /// Look-ups that found nothing, so that code was translated.
    pub not_found: AtomicU64,
    /// Signals delivered.
    pub signals: AtomicU64,
}

impl Counts {
    /// A forked child counts for itself.
    pub fn forked(&self) {
        for c in [
            &self.direct,
            &self.misses,
            &self.syscalls,
            &self.hot,
            &self.lookups,
            &self.not_found,
            &self.signals,
        ] {
            c.store(0, Ordering::Relaxed);
        }
        METER.forked();
    }
}

/// Adds one to a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where time goes, in ticks of the time stamp counter, and samples.
struct Meter {
    on: AtomicBool,
    cache: AtomicU64,
    runtime: AtomicU64,
    translate: AtomicU64,
    syscalls: AtomicU64,
    in_trace: AtomicU64,
    in_optimized: AtomicU64,
    in_block: AtomicU64,
    in_stub: AtomicU64,
    in_runtime: AtomicU64,
}

static METER: Meter = Meter {
    on: AtomicBool::new(false),
    cache: AtomicU64::new(0),
    runtime: AtomicU64::new(0),
    translate: AtomicU64::new(0),
    syscalls: AtomicU64::new(0),
    in_trace: AtomicU64::new(0),
    in_optimized: AtomicU64::new(0),
    in_block: AtomicU64::new(0),
    in_stub: AtomicU64::new(0),
    in_runtime: AtomicU64::new(0),
};

impl Meter {
    fn forked(&self) {
        for c in [
            &self.cache,
            &self.runtime,
            &self.translate,
            &self.syscalls,
            &self.in_trace,
            &self.in_optimized,
            &self.in_block,
            &self.in_stub,
            &self.in_runtime,
        ] {
            c.store(0, Ordering::Relaxed);
        }
    }
}

/// Whether clocks and samples are on.
pub fn on() -> bool {
    METER.on.load(Ordering::Relaxed)
}

/// Ticks since an arbitrary moment; 0 when clocks are off.
fn now() -> u64 {
    if !on() {
        return 0;
    }
    // SAFETY: reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Whose time is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// This thread's.
    Thread,
    /// All threads'.
    Process,
}

/// Processor time used so far.
pub fn processor_time(whose: Whose) -> std::time::Duration {
    let clock = match whose {
        Whose::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
        Whose::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
    };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to a local.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What one thread is doing, for the clocks: made when it begins to run guest code.
#[derive(Debug)]
pub struct Clock(u64);

impl Clock {
    /// Begins outside the cache.
    pub fn start() -> Clock {
        Clock(now())
    }
    /// The guest is about to run.
    pub fn enter(&mut self) {
        self.turn(&METER.runtime);
    }
    /// The guest has left the cache.
    pub fn leave(&mut self) {
        self.turn(&METER.cache);
    }
    fn turn(&mut self, past: &AtomicU64) {
        if on() {
            let t = now();
            past.fetch_add(t.saturating_sub(self.0), Ordering::Relaxed);
            self.0 = t;
        }
    }
}

/// Adds the time until it is dropped to a part of the runtime's.
pub struct Timed(u64, &'static AtomicU64);

/// While code is translated.
pub fn translating() -> Timed {
    Timed(now(), &METER.translate)
}

/// While a system call is performed.
pub fn in_system_call() -> Timed {
    Timed(now(), &METER.syscalls)
}

impl Drop for Timed {
    fn drop(&mut self) {
        if self.0 != 0 {
            self.1.fetch_add(now().saturating_sub(self.0), Ordering::Relaxed);
        }
    }
}

/// The signal of the sampling timers; the guest's own of that number are told apart by their value.
pub const SAMPLE_SIGNAL: i32 = 64;
/// `sigev_value` of the sampling timers.
const SAMPLE_MARK: u64 = 0x6479_6e72_756e_7331;
const SAMPLE_PERIOD_NS: i64 = 1_000_000;

/// The moment clocks were started, to turn ticks into time.
static START: std::sync::OnceLock<(Instant, u64)> = std::sync::OnceLock::new();

/// Turns clocks and samples on.
pub fn start() {
    METER.on.store(true, Ordering::Relaxed);
    START.get_or_init(|| (Instant::now(), now()));
}

/// Gives the calling thread its sampling timer.
pub fn sample_thread(thread: &Thread) {
    if !on() {
        return;
    }
    crate::signal::install_sampling(SAMPLE_SIGNAL);
    // SAFETY: a timer on this thread's CPU time, described by locals.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SAMPLE_SIGNAL;
        event.sigev_value.sival_ptr = SAMPLE_MARK as *mut libc::c_void;
        event.sigev_notify_thread_id = thread.tid;
        let mut id = 0i32;
        let clock = libc::CLOCK_THREAD_CPUTIME_ID;
        if libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut id) == 0 {
            let period = libc::timespec { tv_sec: 0, tv_nsec: SAMPLE_PERIOD_NS };
            let spec = libc::itimerspec { it_interval: period, it_value: period };
            libc::syscall(libc::SYS_timer_settime, id, 0, &raw const spec, 0usize);
        }
    }
}

/// Whether a signal comes from a sampling timer.
pub fn is_sample(signal: i32, info: &[u64; 16]) -> bool {
    const SI_TIMER: u32 = -2i32 as u32;
    signal == SAMPLE_SIGNAL && info[1] as u32 == SI_TIMER && info[3] == SAMPLE_MARK && on()
}

/// Notes where a thread was when its timer ran out.
pub fn sample(in_cache: bool, rip: usize) {
    let kind = in_cache.then(|| {
        let shared = process().lock();
        let host = HostPc(rip);
        if !shared.cache.contains(host) {
            return &METER.in_runtime;
        }
        let frag = shared.cache.frag_at(host);
        if let Some(id) = frag {
            crate::view::hit(id);
        }
        match frag.map(|f| shared.cache.frag(f)) {
            Some(f) if f.kind == FragmentKind::Trace => {
                if f.places().is_some() {
                    count(&METER.in_optimized);
                }
                &METER.in_trace
            }
            Some(_) => &METER.in_block,
            None => &METER.in_stub,
        }
    });
    count(kind.unwrap_or(&METER.in_runtime));
}

/// All statistics of a process, as `--stats` gives them.
#[derive(Debug, Serialize)]
pub struct Statistics {
    /// The program.
    pub program: String,
    /// Process id.
    pub pid: u32,
    /// Execution tier.
    pub tier: String,
    /// Optimisation level.
    pub level: u8,
    /// Milliseconds.
    pub time: Time,
    /// Code that was made.
    pub code: Code,
    /// Ways out of the cache, by kind.
    pub exits: Exits,
    /// What the optimizer did, at the levels that have one.
    pub optimizer: Option<CompileStats>,
    /// Finding code.
    pub lookups: Lookups,
    /// Code that was dropped.
    pub dropped: Dropped,
    /// Bytes.
    pub memory: Memory,
    /// Where the processor was.
    pub samples: Samples,
    /// Events in the log that were overwritten by newer ones.
    pub events_lost: u64,
}

/// Times in milliseconds.
#[derive(Debug, Serialize)]
pub struct Time {
    /// Since the process was started (elapsed).
    pub elapsed_ms: f64,
    /// Processor time of the process outside the kernel.
    pub user_ms: f64,
    /// Processor time inside.
    pub system_ms: f64,
    /// Elapsed in the cache, all threads together.
    pub cache_ms: f64,
    /// Translating and recording.
    pub translate_ms: f64,
    /// In system calls of the guest, waiting included.
    pub system_call_ms: f64,
    /// In the rest of the runtime.
    pub dispatch_ms: f64,
}

/// Fragments made and alive.
#[derive(Debug, Serialize)]
pub struct Code {
    /// Blocks that came from the store instead of the translator; they count as made.
    pub from_store: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Traces made.
    pub traces: u64,
    /// Times that a path was not recorded because traces had cost enough.
    pub postponed: u64,
    /// Fragments made for one run.
    pub private: u64,
    /// Blocks at the end.
    pub live_blocks: u64,
    /// Traces at the end.
    pub live_traces: u64,
    /// Guest bytes that code was made from.
    pub guest_bytes: u64,
    /// Host bytes made, without stubs.
    pub host_bytes: u64,
    /// Links made.
    pub links: u64,
    /// Links removed.
    pub unlinks: u64,
}

/// Exits taken to the dispatcher.
#[derive(Debug, Serialize)]
pub struct Exits {
    /// Direct branches not yet linked.
    pub direct: u64,
    /// Indirect branches whose target was not in the table.
    pub indirect: u64,
    /// System calls.
    pub system_calls: u64,
    /// Counters of trace heads that ran out.
    pub hot: u64,
    /// Signals delivered.
    pub signals: u64,
}

/// The dispatcher's look-ups.
#[derive(Debug, Serialize)]
pub struct Lookups {
    /// All.
    pub total: u64,
    /// That found nothing.
    pub misses: u64,
}

/// Removed code.
#[derive(Debug, Serialize)]
pub struct Dropped {
    /// Fragments whose source changed or went away.
    pub invalidated: u64,
    /// Traces that rested on facts which ceased to hold.
    pub revoked: u64,
    /// Fragments that made room for others.
    pub evicted: u64,
    /// Times that a unit of code memory was emptied at once.
    pub flushes: u64,
}

/// Memory in bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Code and stubs at the end.
    pub cache_bytes: u64,
    /// Most resident memory of the process.
    pub peak_bytes: u64,
}

/// Samples by CPU time.
#[derive(Debug, Serialize)]
pub struct Samples {
    /// All.
    pub total: u64,
    /// In traces.
    pub traces: u64,
    /// In blocks and fragments made for one run.
    pub blocks: u64,
    /// In stubs of the cache.
    pub stubs: u64,
    /// In the runtime, kernel included.
    pub runtime: u64,
    /// In optimised ones among the traces.
    pub optimized: u64,
    /// Traces' part of the samples in fragments: the share of guest execution that came from
    /// traces. Null without samples.
    pub trace_share: Option<f64>,
}

/// Takes the numbers together.
pub fn collect() -> Statistics {
    let p = process();
    let read = |c: &AtomicU64| c.load(Ordering::Relaxed);
    let m = &METER;
    let ms_per_tick = START.get().map_or(0.0, |(start, ticks)| {
        let passed = now().saturating_sub(*ticks).max(1) as f64;
        start.elapsed().as_secs_f64() * 1e3 / passed
    });
    let ms = |ticks: u64| (ticks as f64 * ms_per_tick * 1e3).round() / 1e3;
    let (translate, syscalls) = (read(&m.translate), read(&m.syscalls));
    // SAFETY: fills a local.
    let usage = unsafe {
        let mut u: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut u);
        u
    };
    let cpu = |t: libc::timeval| t.tv_sec as f64 * 1e3 + t.tv_usec as f64 / 1e3;
    let shared = p.lock();
    let s = shared.cache.stats;
    let live = |kind| shared.cache.fragments().filter(|(_, f)| f.live && f.kind == kind).count() as u64;
    let (traces, blocks) = (read(&m.in_trace), read(&m.in_block));
    let (stubs, runtime) = (read(&m.in_stub), read(&m.in_runtime));
    Statistics {
        program: p.exe.display().to_string(),
        pid: std::process::id(),
        tier: p.options.tier_name().to_owned(),
        level: p.options.level,
        time: Time {
            elapsed_ms: START.get().map_or(0.0, |s| (s.0.elapsed().as_secs_f64() * 1e6).round() / 1e3),
            user_ms: cpu(usage.ru_utime),
            system_ms: cpu(usage.ru_stime),
            cache_ms: ms(read(&m.cache)),
            translate_ms: ms(translate),
            system_call_ms: ms(syscalls),
            dispatch_ms: ms(read(&m.runtime).saturating_sub(translate + syscalls)),
        },
        code: Code {
            from_store: shared.store.installed,
            blocks: s.blocks,
            traces: s.traces,
            postponed: shared.budget.postponed,
            private: s.private,
            live_blocks: live(FragmentKind::Block),
            live_traces: live(FragmentKind::Trace),
            guest_bytes: s.guest_bytes,
            host_bytes: s.host_bytes,
            links: s.links,
            unlinks: s.unlinks,
        },
        exits: Exits {
            direct: read(&p.counts.direct),
            indirect: read(&p.counts.misses),
            system_calls: read(&p.counts.syscalls),
            hot: read(&p.counts.hot),
            signals: read(&p.counts.signals),
        },
        optimizer: shared.compiler.as_ref().map(|c| c.stats()),
        lookups: Lookups { total: read(&p.counts.lookups), misses: read(&p.counts.not_found) },
        dropped: Dropped {
            invalidated: s.invalidated,
            revoked: s.revoked,
            evicted: s.evicted,
            flushes: s.evicted_units,
        },
        memory: Memory {
            cache_bytes: shared.cache.memory.used() as u64,
            peak_bytes: usage.ru_maxrss as u64 * 1024,
        },
        samples: Samples {
            total: traces + blocks + stubs + runtime,
            traces,
            blocks,
            stubs,
            runtime,
            optimized: read(&m.in_optimized),
            trace_share: (traces + blocks > 0).then(|| traces as f64 / (traces + blocks) as f64),
        },
        events_lost: shared.cache.events.lost(),
    }
}

impl Statistics {
    /// As a table for a person.
    pub fn table(&self) -> String {
        let t = &self.time;
        let share = self.samples.trace_share.map_or("unknown".to_owned(), |s| format!("{:.1} %", s * 100.0));
        let rows: [(&str, String); 15] = [
            (
                "program",
                format!("{} (process {}, tier {}, -O{})", self.program, self.pid, self.tier, self.level),
            ),
            ("elapsed", format!("{:.1} ms (user {:.1}, system {:.1})", t.elapsed_ms, t.user_ms, t.system_ms)),
            ("in the cache", format!("{:.1} ms", t.cache_ms)),
            ("translating", format!("{:.1} ms", t.translate_ms)),
            ("dispatching", format!("{:.1} ms", t.dispatch_ms)),
            ("system calls", format!("{:.1} ms in {}", t.system_call_ms, self.exits.system_calls)),
            (
                "blocks",
                format!(
                    "{} made, {} of them from the store, {} at the end",
                    self.code.blocks, self.code.from_store, self.code.live_blocks
                ),
            ),
            (
                "traces",
                format!(
                    "{} made, {} at the end; {} times put off",
                    self.code.traces, self.code.live_traces, self.code.postponed
                ),
            ),
            ("executed in traces", format!("{share} of {} samples", self.samples.total)),
            (
                "exits",
                format!(
                    "{} direct, {} indirect, {} hot, {} signals",
                    self.exits.direct, self.exits.indirect, self.exits.hot, self.exits.signals
                ),
            ),
            ("look-ups", format!("{}, {} missed", self.lookups.total, self.lookups.misses)),
            ("links", format!("{} made, {} removed", self.code.links, self.code.unlinks)),
            (
                "dropped",
                format!(
                    "{} fragments invalidated, {} evicted, {} traces revoked, {} units flushed",
                    self.dropped.invalidated,
                    self.dropped.evicted,
                    self.dropped.revoked,
                    self.dropped.flushes
                ),
            ),
            (
                "code",
                format!(
                    "{} KiB in use; {} KiB of guest code became {} KiB",
                    self.memory.cache_bytes >> 10,
                    self.code.guest_bytes >> 10,
                    self.code.host_bytes >> 10
                ),
            ),
            ("peak memory", format!("{:.1} MiB", self.memory.peak_bytes as f64 / f64::from(1 << 20))),
        ];
        let mut out = String::from("dynrun statistics\n");
        for (name, value) in rows {
            out.push_str(&format!("  {name:<20}{value}\n"));
        }
        if let Some(o) = &self.optimizer {
            self.optimizer_rows(o, &mut out);
        }
        out
    }

    fn optimizer_rows(&self, o: &CompileStats, out: &mut String) {
        let share = self.samples.optimized as f64 / self.samples.traces.max(1) as f64 * 100.0;
        let mut row = |name: &str, value: String| out.push_str(&format!("  {name:<20}{value}\n"));
        let refused: u64 = o.refused.values().sum();
        row(
            "optimised traces",
            format!("{} ({} loops, {} in vectors), {refused} refused", o.traces, o.loops, o.vectors),
        );
        row("executed in them", format!("{share:.1} % of what was executed in traces"));
        row(
            "optimizer",
            format!(
                "{} operations became {} in {} rewrites; {} KiB of guest code became {} KiB",
                o.operations,
                o.operations_left,
                o.rewrites,
                o.guest_bytes >> 10,
                o.code_bytes >> 10
            ),
        );
        let ms = |ns: u64| ns as f64 / 1e6;
        row(
            "time for it",
            format!(
                "{:.1} ms lifting, {:.1} ms passes, {:.1} ms code; {} ns per operation",
                ms(o.lift_ns),
                ms(o.optimize_ns),
                ms(o.codegen_ns),
                o.ns_per_operation
            ),
        );
        let mut dear: Vec<_> = o.passes.iter().filter(|p| p.ns > 0).collect();
        dear.sort_by_key(|p| std::cmp::Reverse(p.ns));
        let dear: Vec<String> = dear
            .iter()
            .take(5)
            .map(|p| format!("{} {:.1} ms ({} ns a line)", p.name, ms(p.ns), p.ns / p.lines.max(1)))
            .collect();
        if !dear.is_empty() {
            row("dearest passes", dear.join(", "));
        }
        for (why, n) in &o.refused {
            row("refused", format!("{n} × {why}"));
        }
    }
}
