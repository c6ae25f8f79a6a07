//! The command line of `dynrun`, each option with an environment twin that children inherit.

use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// The default of `-O`.
pub const LEVEL: u8 = 3;
/// The default of `--hot`.
pub const HOT: u32 = 4000;
/// The default of `--cache-limit`.
pub const CACHE_LIMIT: u32 = 256;

/// Which engine executes guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Lifted instructions in the IR interpreter; what is not modelled one at a time natively.
    Interp,
    /// Blocks copied into the code cache.
    Block,
    /// Blocks, and traces of hot paths.
    Trace,
}

/// Run a program from a code cache, unchanged and under observation.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "dynrun", version, about, long_about = None, disable_help_subcommand = true)]
#[command(
    after_help = "Options after PROGRAM belong to the program. Exit status: the program's; 127 when it is \
not found, 126 when it cannot be run, 125 when dynrun itself fails."
)]
pub struct Options {
    /// Execution tier
    #[arg(long, value_enum, default_value = "trace", env = "DYNRUN_TIER")]
    pub tier: Tier,

    /// Optimisation level: 0 makes no traces, 1 straight ones, 2 optimises them, 3 with the passes over loops
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = LEVEL, env = "DYNRUN_O",
          value_parser = clap::value_parser!(u8).range(0..=3))]
    pub level: u8,

    /// Arrivals at a loop head before its path is recorded
    #[arg(long, value_name = "N", default_value_t = HOT, env = "DYNRUN_HOT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub hot: u32,

    /// Most rewrites by the optimizer, over the whole process: to find the one that is wrong
    #[arg(long, value_name = "N", env = "DYNRUN_FUEL")]
    pub fuel: Option<u64>,

    /// Passes of the optimizer that stay out, by name: to see what each brings; "help" names them
    #[arg(long, value_name = "PASS", value_delimiter = ',', env = "DYNRUN_WITHOUT",
          value_parser = pass_name)]
    pub without: Vec<String>,

    /// Optimised traces even of paths that seem to gain nothing
    #[arg(long, env = "DYNRUN_ALWAYS_OPTIMIZE", value_parser = clap::builder::BoolishValueParser::new(),
          default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub always_optimize: bool,

    /// Most paths that are optimised, over the whole process; later ones become straight traces: to find the one that is wrong
    #[arg(long, value_name = "N", env = "DYNRUN_PATHS")]
    pub paths: Option<u64>,

    /// Statistics at exit: a table on standard error, or JSON into FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-",
          env = "DYNRUN_STATS")]
    pub stats: Option<PathBuf>,

    /// Write a page about the traces that were made, with where time went: self-contained HTML
    #[arg(long, value_name = "FILE.html", env = "DYNRUN_REPORT")]
    pub report: Option<PathBuf>,

    /// Diagnostic messages on standard error, for example "debug" or "dynrun=info"
    #[arg(long, value_name = "FILTER", env = "DYNRUN_LOG")]
    pub log: Option<String>,

    /// Write the event log at exit, one JSON object a line
    #[arg(long, value_name = "FILE", env = "DYNRUN_EVENTS")]
    pub events: Option<PathBuf>,

    /// Print fragments at exit on standard error: the one for a guest address, or "all"
    #[arg(long, value_name = "PC|all", env = "DYNRUN_DUMP")]
    pub dump: Option<String>,

    /// Write each path that is optimised into DIR: PROCESS-NUMBER.tir as lifted, and .lst with the machine code
    #[arg(long, value_name = "DIR", env = "DYNRUN_TRACES")]
    pub traces: Option<PathBuf>,

    /// Run in lockstep with the program single-stepped natively; stop at the first difference
    #[arg(long, env = "DYNRUN_VERIFY", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub verify: bool,

    /// Run programs that the program executes natively
    #[arg(long, env = "DYNRUN_NO_FOLLOW", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_follow: bool,

    /// Write /tmp/perf-PID.map for perf
    #[arg(long, env = "DYNRUN_PERF_MAP", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub perf_map: bool,

    /// Write /tmp/jit-PID.dump for perf inject --jit: symbols and code of all fragments
    #[arg(long, env = "DYNRUN_JITDUMP", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub jitdump: bool,

    /// Tell a debugger of traces as they are made and dropped, by GDB's JIT interface
    #[arg(long, env = "DYNRUN_GDB", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub gdb: bool,

    /// Write the event log at exit in Chrome's trace format, for time-line viewers
    #[arg(long, value_name = "FILE.json", env = "DYNRUN_TIMELINE")]
    pub timeline: Option<PathBuf>,

    /// Write which blocks were executed, in the drcov format (version 2) of coverage viewers; keeps no translations
    #[arg(long, value_name = "FILE", env = "DYNRUN_DRCOV")]
    pub drcov: Option<PathBuf>,

    /// Size of the code cache in MiB before old code is evicted
    #[arg(long, value_name = "MIB", default_value_t = CACHE_LIMIT, env = "DYNRUN_CACHE_LIMIT",
          value_parser = clap::value_parser!(u32).range(2..=65536))]
    pub cache_limit: u32,

    /// Load at fixed addresses
    #[arg(long, env = "DYNRUN_NO_ASLR", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_aslr: bool,

    /// Directory of translations kept from one process to the next; default: $XDG_CACHE_HOME/dynrun or
    /// ~/.cache/dynrun
    #[arg(long, value_name = "DIR", env = "DYNRUN_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Keep no translations, and use none
    #[arg(long, env = "DYNRUN_NO_PERSIST", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_persist: bool,

    /// Directory in which programs for another machine find their files before those of /, as their linker and libraries
    #[arg(short = 'L', long, value_name = "DIR", env = "DYNRUN_SYSROOT")]
    pub sysroot: Option<PathBuf>,

    /// Name the program sees as its argv[0]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub argv0: Option<OsString>,

    /// This process executes what another dynrun's guest asked for; the value is the first one's process id
    #[arg(long, hide = true)]
    pub root: Option<u32>,

    /// Signals of the runtime's own that the guest ignored before it executed this program, as a mask
    #[arg(long, hide = true, default_value_t = 0)]
    pub ignored: u64,

    /// The program's limits on address space and data, soft and hard each, which are not the kernel's
    #[arg(long, hide = true)]
    pub limits: Option<String>,

    /// Descriptor of the program to execute
    #[arg(long, hide = true)]
    pub exec_fd: Option<i32>,

    /// Descriptor of the seccomp filters in force
    #[arg(long, hide = true)]
    pub seccomp_fd: Option<i32>,

    /// Print the manual page
    #[arg(long, hide = true)]
    pub man: bool,

    /// Print a completion script
    #[arg(long, value_name = "SHELL", hide = true)]
    pub completions: Option<clap_complete::Shell>,

    /// The program and its arguments
    #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
    pub program: Vec<OsString>,
}

/// The name of a pass. Not a list of possible values, which would be made at every start.
fn pass_name(text: &str) -> Result<String, String> {
    let names = optimize::pipeline::Pipeline::names();
    if text == "help" || names.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("no pass is called so; there are {}", names.join(", ")))
    }
}

impl Options {
    /// Whether traces are made.
    pub fn traces(&self) -> bool {
        self.tier == Tier::Trace && self.level > 0
    }

    /// Whether traces go through the optimizer.
    pub fn optimizes(&self) -> bool {
        self.traces() && self.level > 1
    }

    /// The name of the tier.
    pub fn tier_name(&self) -> &'static str {
        match self.tier {
            Tier::Interp => "interp",
            Tier::Block => "block",
            Tier::Trace => "trace",
        }
    }

    /// Where translations are kept, if they are.
    pub fn store(&self) -> Option<PathBuf> {
        let possible = self.tier != Tier::Interp && !self.verify && !self.no_persist && self.drcov.is_none();
        self.cache_dir.clone().filter(|_| possible)
    }

    /// Paths that are meant from where dynrun was started stay so when the program goes elsewhere.
    pub fn make_paths_absolute(&mut self) {
        if self.cache_dir.is_none() && self.root.is_none() {
            let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
            self.cache_dir = variable("XDG_CACHE_HOME")
                .or_else(|| variable("HOME").map(|h| h.join(".cache")))
                .map(|p| p.join("dynrun"));
        }
        for path in [
            &mut self.stats,
            &mut self.events,
            &mut self.cache_dir,
            &mut self.traces,
            &mut self.report,
            &mut self.timeline,
            &mut self.drcov,
            &mut self.sysroot,
        ]
        .into_iter()
        .flatten()
        {
            if path.as_os_str() != "-"
                && let Ok(whole) = std::path::absolute(&*path)
            {
                *path = whole;
            }
        }
    }

    /// The options as arguments for another dynrun that runs what this program executes.
    pub fn forward(&self) -> Vec<OsString> {
        let mut v: Vec<OsString> = vec![
            "--tier".into(),
            self.tier_name().into(),
            format!("-O{}", self.level).into(),
            format!("--hot={}", self.hot).into(),
            format!("--cache-limit={}", self.cache_limit).into(),
        ];
        let mut with = |name: &str, value: &Option<PathBuf>| {
            if let Some(p) = value {
                let mut s = OsString::from(format!("--{name}="));
                s.push(p);
                v.push(s);
            }
        };
        with("stats", &self.stats);
        with("events", &self.events);
        with("report", &self.report);
        with("timeline", &self.timeline);
        with("drcov", &self.drcov);
        with("cache-dir", &self.cache_dir);
        with("traces", &self.traces);
        with("sysroot", &self.sysroot);
        if let Some(l) = &self.log {
            v.push(format!("--log={l}").into());
        }
        if let Some(n) = self.fuel {
            v.push(format!("--fuel={n}").into());
        }
        if let Some(n) = self.paths {
            v.push(format!("--paths={n}").into());
        }
        if !self.without.is_empty() {
            v.push(format!("--without={}", self.without.join(",")).into());
        }
        if let Some(d) = &self.dump {
            v.push(format!("--dump={d}").into());
        }
        for (on, name) in [
            (self.perf_map, "--perf-map"),
            (self.jitdump, "--jitdump"),
            (self.gdb, "--gdb"),
            (self.no_aslr, "--no-aslr"),
            (self.no_persist, "--no-persist"),
            (self.always_optimize, "--always-optimize"),
        ] {
            if on {
                v.push(name.into());
            }
        }
        v
    }
}
