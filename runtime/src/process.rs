//! What all threads of the guest process share.

use crate::codemap::CodeMap;
use crate::compile::Compiler;
use crate::options::Options;
use crate::stats::Counts;
use crate::thread::{StateLayout, ThreadRef};
use crate::translate::Translator;
use fragcache::Cache;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// Code cache, map of code and translator: changed together, under one lock.
#[derive(Debug)]
pub struct Shared {
    /// Fragments.
    pub cache: Cache,
    /// Guest code.
    pub map: CodeMap,
    /// Makes the former from the latter.
    pub translator: Translator,
    /// Makes optimised traces, at the levels that have them; made for the first one.
    pub compiler: Option<Compiler>,
    /// What earlier processes translated, and what later ones need not.
    pub store: crate::store::Store,
    /// Translates code of guests for other machines.
    pub foreign: Option<Box<crate::foreign::block::Compiler>>,
    /// What traces may cost.
    pub budget: crate::budget::Budget,
}

/// The guest process.
#[derive(Debug)]
pub struct Process {
    /// How it is to be run.
    pub options: Options,
    /// The process that the user started, of which this one is or descends from.
    pub first_pid: u32,
    /// The program that runs (of a script: its interpreter), as `/proc/self/exe` shows it.
    pub exe: PathBuf,
    /// What the guest sees of itself under `/proc`.
    pub view: crate::syscall::proc::View,
    /// See [`Shared`].
    pub shared: Mutex<Option<Shared>>,
    /// Threads that may be in the cache.
    pub threads: Mutex<Vec<ThreadRef>>,
    /// Threads that are ending.
    pub ended: Mutex<Vec<ThreadRef>>,
    /// The guest's program break.
    pub brk: Mutex<Option<loader::GuestBrk>>,
    /// The program was built for another machine: see [`crate::foreign`].
    pub foreign: bool,
    /// Vector state.
    pub layout: StateLayout,
    /// Counters for `--stats`.
    pub counts: Counts,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

/// The process. Set once before any guest code runs.
pub fn process() -> &'static Process {
    PROCESS.get().expect("the process is set up before anything uses it")
}

/// The process, once it is set up.
pub fn get() -> Option<&'static Process> {
    PROCESS.get()
}

/// Publishes the process.
pub fn set(process: Process) {
    if PROCESS.set(process).is_err() {
        unreachable!("set up once");
    }
}

/// The shared state, locked.
pub struct SharedGuard(MutexGuard<'static, Option<Shared>>);

impl std::ops::Deref for SharedGuard {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        self.0.as_ref().expect("set up before guest code runs")
    }
}
impl std::ops::DerefMut for SharedGuard {
    fn deref_mut(&mut self) -> &mut Shared {
        self.0.as_mut().expect("set up before guest code runs")
    }
}

impl Process {
    /// Locks the shared state.
    pub fn lock(&'static self) -> SharedGuard {
        SharedGuard(self.shared.lock().unwrap_or_else(|e| e.into_inner()))
    }
}
