//! `dynrun`: runs a program from the code cache.
//!
//! Reading order of this crate: `options`, `main` (start), `process` and `thread` (who runs),
//! `context` and `enter` (the switch between guest and runtime), `translate` and `stubs` (guest code
//! to fragments), `dispatch` and `record` (what runs next), `codemap` (code that changes), `signal`,
//! `syscall`, `emulate`, `report` and `stats`.
//!
//! `unsafe` stands in the modules that touch guest memory, the machine or the kernel: `alloc`,
//! `codemap`, `context`/`enter`, `dispatch` (entering), `signal`, `thread`, `syscall`, `report`.

mod alloc;
mod codemap;
mod context;
mod dispatch;
mod emulate;
mod enter;
mod options;
mod process;
mod record;
mod report;
mod signal;
mod stats;
mod stubs;
mod syscall;
mod thread;
mod translate;

use clap::{CommandFactory, Parser};
use codemap::{CodeMap, CodeRange};
use fragcache::select::Policy;
use fragcache::{Cache, CacheConfig, HostPc};
use options::Options;
use process::{Process, Shared};
use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Arc, Mutex};

fn main() {
    let options = Options::parse();
    if options.man {
        let _ = clap_mangen::Man::new(Options::command()).render(&mut std::io::stdout());
        return;
    }
    if let Some(shell) = options.completions {
        clap_complete::generate(shell, &mut Options::command(), "dynrun", &mut std::io::stdout());
        return;
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
    if !std::is_x86_feature_detected!("xsavec") {
        report::fatal("this CPU does not have the xsavec instruction");
    }
}

fn start(options: Options) -> ! {
    check_machine();
    let name = options.program[0].clone();
    let path = match loader::resolve(&name, std::env::var_os("PATH").as_deref()) {
        Ok(p) => p,
        Err(e) => fail_to_load(&e),
    };
    let c = |s: &std::ffi::OsStr| CString::new(s.as_bytes()).unwrap_or_default();
    let mut argv: Vec<CString> = options.program.iter().map(|a| c(a)).collect();
    if let Some(a0) = &options.argv0 {
        argv[0] = c(a0);
    }
    let envp: Vec<CString> = std::env::vars_os()
        .map(|(k, v)| {
            let mut s = k.into_vec();
            s.push(b'=');
            s.extend(v.into_vec());
            CString::new(s).unwrap_or_default()
        })
        .collect();
    let request = loader::Request { path, argv, envp, aslr: !options.no_aslr, shell: true };
    let image = match loader::load(&request) {
        Ok(i) => i,
        Err(e) => fail_to_load(&e),
    };
    let mut cmdline = Vec::new();
    for a in &image.argv {
        cmdline.extend_from_slice(a.as_bytes_with_nul());
    }
    let policy = Policy { threshold: if options.traces() { options.hot } else { 0 }, ..Policy::default() };
    let config =
        CacheConfig { limit: (options.cache_limit as usize) << 20, policy, ..CacheConfig::default() };
    let cache = match Cache::new(config, Box::new(stubs::Stubs), HostPc(enter::Labels::miss())) {
        Ok(c) => c,
        Err(e) => report::fatal(&e.to_string()),
    };
    process::set(Process {
        options,
        exe: image.exe.clone(),
        cmdline,
        shared: Mutex::new(Some(Shared {
            cache,
            map: CodeMap::default(),
            translator: translate::Translator::default(),
        })),
        threads: Mutex::default(),
        ended: Mutex::default(),
        own_ranges: Mutex::default(),
        brk: Mutex::new(Some(loader::GuestBrk::new(image.brk_start))),
        stack: (image.stack.start.0, image.stack.end.0),
        layout: thread::StateLayout::get(),
        counts: stats::Counts::default(),
    });
    map_code(&image);
    let thread = match thread::Thread::allocate(
        Arc::new(Mutex::new(inherited_actions())),
        syscall::Inherited::default(),
    ) {
        // SAFETY: a fresh record, used by this thread only.
        Ok(t) => unsafe { &mut *t },
        Err(e) => report::fatal(&format!("no memory for a thread: {e}")),
    };
    thread.mask = current_mask();
    thread.context.pc = image.entry.0;
    thread.context.gpr[4] = image.stack_pointer.0;
    thread.adopt();
    thread::register(process::process(), thread);
    signal::init();
    set_name(&request.path);
    dispatch::run(thread)
}

fn fail_to_load(e: &loader::LoadError) -> ! {
    report::line(&e.to_string());
    std::process::exit(e.exit_status())
}

/// The map of code starts with the image and the vdso.
fn map_code(image: &loader::Image) {
    let mut shared = process::process().lock();
    for m in &image.mappings {
        if m.prot & libc::PROT_EXEC != 0 {
            shared.map.insert(CodeRange { start: m.start.0, end: m.end.0, prot: m.prot, shared: false });
        }
    }
    // SAFETY: reads the auxiliary vector; the vdso is mapped and starts with an ELF header.
    let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    if vdso != 0 {
        let end = vdso + 2 * 4096;
        shared.map.insert(CodeRange {
            start: vdso,
            end,
            prot: libc::PROT_READ | libc::PROT_EXEC,
            shared: false,
        });
    }
}

/// Ignored signals are inherited through `execve`.
fn inherited_actions() -> signal::Actions {
    let mut actions = signal::Actions::default();
    for s in 1..=signal::COUNT as i32 {
        let mut a = signal::KernelAction::default();
        // SAFETY: fills a local.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, s, 0usize, &raw mut a, 8usize) };
        if a.handler == 1 {
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
    let name = path.file_name().map(|n| n.as_bytes().to_vec()).unwrap_or_default();
    if let Ok(c) = CString::new(name) {
        // SAFETY: reads the string.
        unsafe { libc::prctl(libc::PR_SET_NAME, c.as_ptr()) };
    }
}
