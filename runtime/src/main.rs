//! `dynrun`: runs a program from the code cache.
//!
//! Reading order of this crate: `options` and `quick`, `main` (start), `process` and `thread` (who runs),
//! `context` and `enter` (the switch between guest and runtime), `translate` and `stubs` (guest code
//! to fragments), `dispatch` and `record` (what runs next), `lift`, `compile`, `worth` and `host` (hot paths through
//! the optimizer), `assume` and `fpenv` (what their code rests on), `codemap` (code that changes), `signal`,
//! `syscall` and `seccomp`, `emulate`, `report`, `stats` and `dump`.
//!
//! `unsafe` stands in the modules that touch guest memory, the machine or the kernel: `alloc`, `dump`,
//! `codemap`, `context`/`enter`, `dispatch` (entering), `signal`, `stats`, `thread`, `syscall`, `report`.

#![cfg_attr(not(test), no_main)]

mod access;
mod alloc;
mod assume;
mod budget;
mod codemap;
mod compile;
mod context;
mod dispatch;
mod dump;
mod emulate;
mod enter;
mod foreign;
mod fpenv;
mod gdb;
mod guess;
mod host;
mod interp;
mod jitdump;
mod lift;
mod lockstep;
mod options;
mod process;
mod quick;
mod record;
mod report;
mod seccomp;
mod signal;
mod stats;
mod store;
mod stubs;
mod syscall;
mod target;
mod thread;
mod translate;
mod unread;
mod view;
mod worth;

use clap::{CommandFactory, Parser};
use codemap::{CodeMap, CodeRange};
use fragcache::select::Policy;
use fragcache::{Cache, CacheConfig, HostPc};
use options::Options;
use process::{Process, Shared};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

/// Called by the C library. The standard library's own start would ignore SIGPIPE and open
/// descriptors that the program's user left closed, and the program would inherit both.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: i32, _argv: *const *const libc::c_char) -> i32 {
    run_command_line()
}

#[cfg_attr(test, expect(dead_code, reason = "tests have a main function of their own"))]
fn run_command_line() -> ! {
    let mut options = quick::options().unwrap_or_else(Options::parse);
    options.make_paths_absolute();
    if options.man {
        let _ = clap_mangen::Man::new(Options::command()).render(&mut std::io::stdout());
        std::process::exit(0);
    }
    if let Some(shell) = options.completions {
        clap_complete::generate(shell, &mut Options::command(), "dynrun", &mut std::io::stdout());
        std::process::exit(0);
    }
    if options.without.iter().any(|name| name == "help") {
        println!("{}", optimize::pipeline::Pipeline::names().join("\n"));
        std::process::exit(0);
    }
    std::panic::set_hook(Box::new(|info| {
        report::fatal(&format!(
            "internal error: {info}; please report it. To go on: --tier block or -O0; to reproduce: --no-aslr"
        ));
    }));
    if options.program.is_empty() {
        report::line("no program given; usage: dynrun [OPTIONS] [--] PROGRAM [ARGS...]");
        std::process::exit(report::OWN_FAILURE);
    }
    start(options)
}

fn check_machine() {
    let fsgsbase = {
        // SAFETY: reads the auxiliary vector.
        let hwcap2 = unsafe { libc::getauxval(libc::AT_HWCAP2) };
        hwcap2 & 2 != 0
    };
    if !fsgsbase {
        report::fatal("this CPU or kernel does not offer the fsgsbase instructions to programs");
    }
    if !std::is_x86_feature_detected!("xsavec") || !std::is_x86_feature_detected!("avx") {
        report::fatal("this CPU does not offer the xsavec instruction and AVX to programs");
    }
}

fn start(options: Options) -> ! {
    check_machine();
    let name = options.program[0].clone();
    let followed = options.root.is_some();
    let path = match options.exec_fd {
        Some(fd) => format!("/proc/self/fd/{fd}").into(),
        None if followed => name.clone().into(),
        None => match loader::resolve(&name, std::env::var_os("PATH").as_deref()) {
            Ok(p) => p,
            Err(e) => fail_to_load(&e),
        },
    };
    let c = |s: &std::ffi::OsStr| CString::new(s.as_bytes()).unwrap_or_default();
    let mut argv: Vec<CString> = options.program.iter().map(|a| c(a)).collect();
    if let Some(a0) = &options.argv0 {
        argv[0] = c(a0);
    }
    let envp = syscall::exec::environment(followed);
    let foreign = loader::Foreign { sysroot: options.sysroot.clone(), hwcap: foreign::HWCAP };
    let request = loader::Request {
        path,
        argv,
        envp,
        aslr: !options.no_aslr && randomises(),
        shell: !followed,
        foreign,
    };
    let before = syscall::proc::Before::take();
    let mut verifier = None;
    let image = if options.verify {
        match lockstep::start(&request) {
            Ok((image, v)) => {
                verifier = Some(Box::new(v));
                image
            }
            Err(lockstep::VerifyError::Trace(loader::TraceError::Start(e))) => fail_to_load(&e),
            Err(e) => report::fatal(&format!("--verify cannot start: {e}")),
        }
    } else {
        match loader::load(&request) {
            Ok(i) => i,
            Err(e) if followed => syscall::exec::fail_late(&request, &options, &e),
            Err(e) => fail_to_load(&e),
        }
    };
    if let Some(fd) = options.exec_fd {
        // SAFETY: the descriptor was left open for us by the process that executed us.
        unsafe { libc::close(fd) };
    }
    let filters = options.seccomp_fd;
    let (ignored, by_descriptor) = (options.ignored, options.exec_fd.is_some());
    let view = syscall::proc::View::new(&image, before);
    let policy = Policy { threshold: if options.traces() { options.hot } else { 0 }, ..Policy::default() };
    let config = CacheConfig {
        limit: (options.cache_limit as usize) << 20,
        policy,
        block_events: options.events.is_some(),
        isolated: options.verify,
        count_exits: options.report.is_some(),
        indirect_shift: stubs::table_shift(std::is_x86_feature_detected!("bmi2")),
        ..CacheConfig::default()
    };
    let cache = match new_cache(config) {
        Ok(c) => c,
        Err(e) => report::fatal(&e.to_string()),
    };
    let mut translator = translate::Translator::default();
    if options.drcov.is_some() {
        // What is translated is what is executed.
        translator.branches = 0;
        translator.executed = Some(rustc_hash::FxHashSet::default());
    }
    translator.verifying = verifier.is_some();
    let foreign = image.arch != loader::Arch::HOST;
    let store = store::Store::new(options.store().filter(|_| !foreign));
    let budget = budget::Budget::new(options.hot, options.always_optimize);
    translator.watch_fp = options.optimizes();
    process::set(Process {
        first_pid: options.root.unwrap_or_else(std::process::id),
        options,
        exe: image.exe.clone(),
        view,
        shared: Mutex::new(Some(Shared {
            cache,
            map: CodeMap::default(),
            translator,
            compiler: None,
            foreign: None,
            store,
            budget,
        })),
        threads: Mutex::default(),
        ended: Mutex::default(),
        brk: Mutex::new(Some(loader::GuestBrk::new(image.brk_start))),
        foreign,
        layout: thread::StateLayout::get(),
        counts: stats::Counts::default(),
    });
    report::init();
    syscall::limits::start(process::process().options.limits.as_deref());
    tracing::info!(program = %image.exe.display(), entry = %image.entry, "loaded");
    map_code(&image);
    let inherited = match filters.map(syscall::seccomp::State::take_over) {
        Some(None) => report::fatal("the seccomp filters of the program before are damaged"),
        Some(Some(seccomp)) => syscall::Inherited { seccomp, ..syscall::Inherited::default() },
        None => syscall::Inherited::default(),
    };
    let thread = match thread::Thread::allocate(Arc::new(Mutex::new(inherited_actions(ignored))), inherited) {
        // SAFETY: a fresh record, used by this thread only.
        Ok(t) => unsafe { &mut *t },
        Err(e) => report::fatal(&format!("no memory for a thread: {e}")),
    };
    thread.mask = current_mask();
    thread.context.pc = image.entry.0;
    if foreign {
        foreign::load::start(thread, &image);
    } else {
        thread.context.gpr[4] = image.stack_pointer.0;
    }
    thread.verifier = verifier;
    thread.adopt();
    thread::register(process::process(), thread);
    signal::init();
    signal::catch_deaths(thread);
    signal::set_host_mask(thread.mask);
    set_name(if by_descriptor { &process::process().exe } else { &request.path });
    if !process::process().options.gdb {
        alloc::let_start_go();
    }
    dispatch::run(thread)
}

/// An empty code cache.
fn new_cache(config: CacheConfig) -> Result<Cache, fragcache::CacheError> {
    Cache::new(config, Box::new(stubs::Stubs), HostPc(enter::Labels::miss()))
}

/// Whether this process is to have random addresses (`setarch -R` forbids it).
fn randomises() -> bool {
    // SAFETY: asks only.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    personality & libc::ADDR_NO_RANDOMIZE == 0
}

fn fail_to_load(e: &loader::LoadError) -> ! {
    report::line(&e.to_string());
    if e.kills() {
        syscall::signals::die_by(libc::SIGSEGV);
    }
    std::process::exit(e.exit_status())
}

/// The map of code starts with the image and the vdso.
fn map_code(image: &loader::Image) {
    let mut shared = process::process().lock();
    for m in &image.mappings {
        if m.prot & libc::PROT_EXEC != 0 {
            let file = match m.prot & libc::PROT_WRITE {
                0 => shared.store.mapped(m.identity, m.start.0, m.offset),
                _ => None,
            };
            shared.map.insert(CodeRange {
                start: m.start.0,
                end: m.end.0,
                prot: m.prot,
                shared: false,
                file,
            });
        }
    }
    let vdso = assume::vdso();
    if !vdso.is_empty() && !process::process().foreign {
        shared.map.insert(CodeRange {
            start: vdso.start,
            end: vdso.end,
            prot: libc::PROT_READ | libc::PROT_EXEC,
            shared: false,
            file: None,
        });
    }
}

/// Ignored signals are inherited through `execve`; `ignored` has those that the runtime needs itself.
fn inherited_actions(ignored: u64) -> signal::Actions {
    let mut actions = signal::Actions::default();
    for s in 1..=signal::COUNT as i32 {
        let mut a = signal::KernelAction::default();
        // SAFETY: fills a local.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, s, 0usize, &raw mut a, 8usize) };
        if a.handler == 1 || ignored & signal::bit(s) != 0 {
            actions.0[s as usize].handler = 1;
        }
    }
    actions
}

fn current_mask() -> u64 {
    let mut m = 0u64;
    // SAFETY: fills a local.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, 0usize, &raw mut m, 8usize) };
    m
}

/// `comm` is the program's name, as after `execve`.
fn set_name(path: &std::path::Path) {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec();
    if let Ok(c) = CString::new(name) {
        // SAFETY: reads the string.
        unsafe { libc::prctl(libc::PR_SET_NAME, c.as_ptr()) };
    }
}
