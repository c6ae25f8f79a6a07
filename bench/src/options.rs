//! The command line of `speedup`.

use std::ffi::OsString;
use std::path::PathBuf;

use bench::build::Level;
use bench::catalogue::Class;
use clap::Parser;

/// Does a run-time optimizer beat a static compiler? Measure programs natively and under runners, in turns
///
/// Without options: the built-in programs, compiled at -O1 and at -O3, natively and under dynrun, all as time over
/// that of the native -O3 binary; under two minutes.
#[derive(Parser)]
#[command(version, after_help = "A ratio of 1.00 is native speed; less is faster than native.")]
pub struct Options {
    /// Levels to compile at: O0, O1, O2, O3, Os, Og, each also with -native, -v2, -v3 or -v4; ratios are then to the
    /// same binary run natively
    #[arg(long, value_delimiter = ',')]
    pub levels: Vec<Level>,

    /// The binary whose native run is the baseline of a program's every figure: one of the levels, with the
    /// compiler before it when there are several (clang-O3) [default: each binary's own; O3 when --levels is absent]
    #[arg(long, value_name = "LEVEL")]
    pub base: Option<String>,

    /// What to run programs with: native, dynrun, qemu, valgrind, or any command that takes
    /// a program and its arguments; options may follow, and a label with `=` may stand
    /// before. `native,native` shows the noise of the machine [default: native,dynrun; luajit,rjit,lua5.4 with --lua]
    #[arg(long, value_delimiter = ',')]
    pub runners: Vec<String>,

    /// Only these programs: names, or regular expressions that match a whole name
    #[arg(long, value_delimiter = ',', value_name = "REGEX")]
    pub programs: Vec<String>,

    /// Only these classes
    #[arg(long, value_delimiter = ',')]
    pub class: Vec<Class>,

    /// Rounds; figures are medians over them [default: 5; 3 without --levels]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: Option<u32>,

    /// The core to run everything on: a number, `auto` (the last one allowed) or `none`
    #[arg(long, default_value = "auto")]
    pub pin: Pin,

    /// Also run a quarter of the work, and compare slopes: time net of start-up
    #[arg(long)]
    pub steady: bool,

    /// Factor on the amount of work; 1 is about half a second natively [default: 1; 0.25 without --levels]
    #[arg(long, value_parser = positive)]
    pub scale: Option<f64>,

    /// Seconds after which a run counts as failed
    #[arg(long, default_value_t = 120.0, value_parser = positive)]
    pub timeout: f64,

    /// C compilers; C++ uses their siblings
    #[arg(long, value_delimiter = ',', default_value = "gcc")]
    pub cc: Vec<String>,

    /// The dynrun to use, instead of the one beside this program or in PATH
    #[arg(long, env = "DYNRUN", value_name = "PATH")]
    pub dynrun: Option<PathBuf>,

    /// Measure the Lua programs under luajit, rjit and lua5.4; the first runner is the baseline
    #[arg(long, conflicts_with_all = ["levels", "base", "class", "scale", "steady", "own", "build_only", "html"])]
    pub lua: bool,

    /// Measure the program of yours that stands behind `--`, instead of the built-in ones
    #[arg(long, requires = "command", conflicts_with_all = ["levels", "base", "programs", "class", "scale", "steady", "list", "build_only"])]
    pub own: bool,

    /// A second program of yours with its arguments, in one word: the baseline of both
    #[arg(long, requires = "own", value_name = "CMD")]
    pub versus: Option<String>,

    /// What your program reads from standard input; nothing otherwise
    #[arg(long, requires = "own", value_name = "FILE")]
    pub stdin: Option<PathBuf>,

    /// Your program's output may differ from run to run
    #[arg(long, requires = "own")]
    pub ignore_output: bool,

    /// Write one line per program, level and runner
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write everything, every single run included
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write a page that shows it all: bars, where the gain came from, warm-up curves; takes some minutes more
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Folder for sources, binaries and the outputs of failures [default: beside this program]
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,

    /// Build, print one command line per program and level, and run nothing
    #[arg(long)]
    pub build_only: bool,

    /// List the programs and their classes
    #[arg(long)]
    pub list: bool,

    /// Your program and its arguments, with --own
    #[arg(last = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// Where everything runs.
#[derive(Clone, Copy)]
pub enum Pin {
    /// The last core that this process may use.
    Auto,
    /// Wherever the kernel likes.
    None,
    /// This one.
    Core(usize),
}

impl std::str::FromStr for Pin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Pin::Auto),
            "none" => Ok(Pin::None),
            number => number.parse().map(Pin::Core).map_err(|_| "not a core's number, `auto` or `none`"),
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite() && *v > 0.0)
        .ok_or_else(|| "not a positive number".into())
}
