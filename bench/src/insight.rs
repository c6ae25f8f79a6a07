//! Why a program is as fast as it is under dynrun: extra runs of its least optimised binary, for the page.
//!
//! * **Which passes**: the time with each pass of the optimizer left out (`dynrun --without PASS`) over the time with
//!   all of them. Passes help each other, so that the factors of all passes do not multiply to the whole gain.
//! * **Warm-up**: the time of each unit of work inside the process, natively and under dynrun, and its class
//!   ([`crate::warmup`]).
//! * **Cost**: time spent compiling, size of the code cache, from `dynrun --stats`.
//! * **What only a static compiler does**: gcc -O3 is run once more without its transformations of whole loop nests
//!   (interchange, unroll-and-jam, distribution). What it loses then is out of reach for a compiler that sees one path
//!   at a time.
//!
//! A run that fails leaves a gap; the experiment itself has already said what is wrong.

use std::ffi::OsString;
use std::fs;

use serde::Serialize;

use crate::build::{Builder, Built, Level};
use crate::catalogue::Program;
use crate::experiment::Plan;
use crate::process::End;
use crate::runner::Runner;
use crate::stats;
use crate::warmup::{self, Class};

/// Seconds of each unit of work in one process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The runner's label.
    pub runner: String,
    /// Seconds of each unit.
    pub times: Vec<f64>,
    /// What they look like.
    pub class: Option<Class>,
}

/// What compiling cost in one process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Milliseconds spent translating and compiling.
    pub translate_ms: f64,
    /// Milliseconds of the whole process.
    pub elapsed_ms: f64,
    /// Traces made.
    pub traces: u64,
    /// Bytes of code memory used.
    pub cache_bytes: u64,
}

/// What was found out about one program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Insight {
    /// The program's name.
    pub program: String,
    /// The level of the binary looked at.
    pub level: String,
    /// Time without the pass over time with all, for each pass.
    pub passes: Vec<(String, f64)>,
    /// One for each runner of which the program told its times.
    pub curves: Vec<Curve>,
    /// What compiling cost.
    pub cost: Option<Cost>,
    /// Native time at -O3 without transformations of loop nests over that with them.
    pub nests: Option<f64>,
}

/// Who looks.
#[derive(Debug)]
pub struct Looker<'a> {
    /// How processes are run; its number of runs is not ours.
    pub plan: &'a Plan,
    /// Where binaries come from.
    pub builder: &'a Builder,
    /// The dynrun that is looked at.
    pub dynrun: &'a Runner,
    /// The passes it has.
    pub passes: Vec<String>,
}

/// Rounds of each comparison here.
const ROUNDS: usize = 3;

impl<'a> Looker<'a> {
    /// Asks dynrun for its passes. A runner that has none to name is looked at without them.
    pub fn new(plan: &'a Plan, builder: &'a Builder, dynrun: &'a Runner) -> Self {
        let mut looker = Looker { plan, builder, dynrun, passes: Vec::new() };
        let ask = crate::process::CommandLine::new(["--without=help"]);
        if let Ok(answer) = plan.once(dynrun, &ask)
            && answer.run.end == End::Exited(0)
        {
            looker.passes = String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect();
        }
        looker
    }

    /// How many processes one program takes, for a progress bar.
    pub fn steps(&self) -> u64 {
        (ROUNDS * (self.passes.len() + 1) + 2 * ROUNDS + 3) as u64
    }

    /// Looks at `program` as compiled at `level`. `step` is told of each process.
    pub fn look(&self, program: &Program, level: &Level, mut step: impl FnMut(&str)) -> Option<Insight> {
        let built = self.builder.build(program, level).ok()?;
        Some(Insight {
            program: program.name.to_owned(),
            level: level.to_string(),
            passes: self.passes(&built, &mut step),
            curves: self.curves(&built, &mut step),
            cost: self.cost(&built, &mut step),
            nests: self.nests(program, &mut step),
        })
    }

    /// Median processor times of several ways to run, in turns.
    fn compare(
        &self,
        ways: &[(Runner, &Built)],
        step: &mut impl FnMut(&str),
        said: &str,
    ) -> Vec<Option<f64>> {
        let mut times = vec![Vec::new(); ways.len()];
        for _ in 0..ROUNDS {
            for ((runner, built), times) in ways.iter().zip(&mut times) {
                step(said);
                let command = built.with_units(self.plan.sizes(built.units).0);
                if let Ok(result) = self.plan.once(runner, &command)
                    && result.run.end == End::Exited(0)
                {
                    times.push(result.run.cpu);
                }
            }
        }
        times.iter().map(|t| if t.len() == ROUNDS { stats::median(t) } else { None }).collect()
    }

    fn passes(&self, built: &Built, step: &mut impl FnMut(&str)) -> Vec<(String, f64)> {
        let without = |pass: &str| {
            let mut runner = self.dynrun.clone();
            runner.prefix.push(OsString::from(format!("--without={pass}")));
            runner
        };
        let mut ways = vec![(self.dynrun.clone(), built)];
        ways.extend(self.passes.iter().map(|p| (without(p), built)));
        let times = self.compare(&ways, step, "without passes");
        let Some(Some(whole)) = times.first().copied() else { return Vec::new() };
        let factor =
            |(pass, time): (&String, &Option<f64>)| Some((pass.clone(), stats::ratio((*time)?, whole)?));
        self.passes.iter().zip(&times[1..]).filter_map(factor).collect()
    }

    fn curves(&self, built: &Built, step: &mut impl FnMut(&str)) -> Vec<Curve> {
        let file = self.plan.scratch.join("iterations");
        let mut curves = Vec::new();
        for runner in [&Runner::native(), self.dynrun] {
            step("warm-up");
            let mut command = built.with_units(self.plan.sizes(built.units).0);
            command.environment.push(("BENCH_ITERATIONS".into(), file.clone().into_os_string()));
            // One that does not exist is a program that does not tell.
            let _ = fs::remove_file(&file);
            let ran = self.plan.once(runner, &command).is_ok_and(|r| r.run.end == End::Exited(0));
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let times: Vec<f64> =
                text.lines().filter_map(|l| l.parse::<f64>().ok()).map(|ns| ns * 1e-9).collect();
            if ran && !times.is_empty() {
                let class = warmup::classify(&times);
                curves.push(Curve { runner: runner.label.clone(), times, class });
            }
        }
        curves
    }

    fn cost(&self, built: &Built, step: &mut impl FnMut(&str)) -> Option<Cost> {
        step("cost");
        let file = self.plan.scratch.join("stats.json");
        let mut runner = self.dynrun.clone();
        runner.prefix.push({
            let mut option = OsString::from("--stats=");
            option.push(&file);
            option
        });
        self.plan.once(&runner, &built.with_units(self.plan.sizes(built.units).0)).ok()?;
        let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
        Some(Cost {
            translate_ms: value["time"]["translate_ms"].as_f64()?,
            elapsed_ms: value["time"]["elapsed_ms"].as_f64()?,
            traces: value["code"]["traces"].as_u64()?,
            cache_bytes: value["memory"]["cache_bytes"].as_u64()?,
        })
    }

    fn nests(&self, program: &Program, step: &mut impl FnMut(&str)) -> Option<f64> {
        let build = |level: &str| self.builder.build(program, &level.parse().ok()?).ok();
        let (with, without) = (build("O3")?, build("O3-nonest")?);
        let ways = [(Runner::native(), &with), (Runner::native(), &without)];
        match self.compare(&ways, step, "loop nests")[..] {
            [Some(with), Some(without)] => stats::ratio(without, with),
            _ => None,
        }
    }
}
