//! A traced process and its mirror: stepping, registers, memory, and a program that runs natively in this process
//! on the mirrored memory beside its twin.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use loader::{Foreign, GuestAddr, Request, Stop, Tracee, load_like};

/// Starts a program at addresses that are free in this process: random ones may be taken, then another start helps.
fn spawn_that_fits(request: &Request) -> (Tracee, (loader::Image, loader::Mirror)) {
    for _ in 0..20 {
        let mut tracee = Tracee::spawn(request).expect("starts");
        tracee.hide_vdso().expect("has a vector");
        match load_like(&tracee) {
            Ok(loaded) => return (tracee, loaded),
            Err(loader::MirrorError::Occupied { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
    panic!("the program's addresses are taken each time");
}

/// Tests of this file run one by one: a program that is written by one thread while another forks stays open for
/// writing in that child, and then it is "busy".
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn request(path: &Path, args: &[&str], aslr: bool) -> Request {
    let path_arg = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let args = args.iter().map(|a| CString::new(*a).expect("no NUL"));
    let argv = std::iter::once(path_arg).chain(args).collect();
    Request {
        path: path.to_owned(),
        argv,
        envp: vec![c"LC_ALL=C".into()],
        aslr,
        shell: false,
        foreign: Foreign::default(),
    }
}

fn compile(dir: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let file = dir.join(format!("{name}.c"));
    std::fs::write(&file, source).expect("writes");
    let program = dir.join(name);
    let status = Command::new("gcc")
        .arg(&file)
        .arg("-o")
        .arg(&program)
        .args(flags)
        .status()
        .expect("gcc is installed");
    assert!(status.success());
    program
}

/// A program of a few instructions.
fn tiny(dir: &Path) -> PathBuf {
    let source = r#"
        __asm__(".globl _start\n_start: mov $7, %edi\n movd %edi, %xmm3\n movl $99, value(%rip)\n int3\n mov $60, %eax\n"
            " syscall\n .data\n value: .long 1\n");
    "#;
    compile(dir, "tiny", source, &["-nostdlib", "-static", "-no-pie"])
}

#[test]
fn steps_registers_and_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = tiny(dir.path());
    let mut tracee = Tracee::spawn(&request(&program, &["x"], true)).expect("starts");
    let start = tracee.registers().expect("stopped");
    let auxv = tracee.auxv().expect("readable");
    assert!(auxv.contains(&(libc::AT_ENTRY, start.rip)));
    assert_eq!(tracee.read_u64(GuestAddr(start.rsp)), Ok(2), "argc");
    let at = tracee.auxv_addr().expect("is on the stack");
    assert_eq!(tracee.read_u64(at), Ok(auxv[0].0));

    assert_eq!(tracee.step(0), Ok(Stop::Stepped));
    let mut registers = tracee.registers().expect("stopped");
    assert_eq!((registers.rdi, registers.rip), (7, start.rip + 5));
    assert_eq!(tracee.step(0), Ok(Stop::Stepped));
    assert_eq!(tracee.fp_registers().expect("stopped").xmm_space[3 * 4], 7);
    let mut xstate = tracee.xstate().expect("stopped");
    assert!(xstate.len() >= 576);
    assert_eq!(xstate[160 + 3 * 16], 7);
    xstate[160 + 3 * 16] = 8;
    tracee.set_xstate(&xstate).expect("sets");
    let mut fp = tracee.fp_registers().expect("stopped");
    assert_eq!(fp.xmm_space[3 * 4], 8);
    fp.xmm_space[3 * 4] = 9;
    tracee.set_fp_registers(&fp).expect("sets");
    assert_eq!(tracee.xstate().expect("stopped")[160 + 3 * 16], 9);

    assert_eq!(tracee.step(0), Ok(Stop::Stepped));
    assert_eq!(tracee.step(0), Ok(Stop::Signal(libc::SIGTRAP)), "a breakpoint is no step");
    registers = tracee.registers().expect("stopped");
    assert_eq!(tracee.step(0), Ok(Stop::Stepped), "the signal is suppressed");
    registers.rip += 5;
    registers.rax = 60;
    registers.rdi = 11;
    tracee.set_registers(&registers).expect("sets");
    // Code is written although its page is read-only.
    let mut code = [0; 2];
    tracee.read(GuestAddr(registers.rip), &mut code).expect("mapped");
    assert_eq!(code, [0x0f, 0x05]);
    tracee.write(GuestAddr(registers.rip), &code).expect("mapped");
    assert!(tracee.read(GuestAddr(16), &mut code).is_err());
    assert_eq!(tracee.step(0), Ok(Stop::Exited(11)));
    assert!(!tracee.is_alive() && tracee.registers().is_err());
}

#[test]
fn blocks_and_system_calls() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let source = r#"
        __asm__(".globl _start\n_start: mov $1000, %ecx\n 1: nop\n nop\n nop\n nop\n loop 1b\n mov $39, %eax\n syscall\n"
            " mov %eax, %ebx\n mov $60, %eax\n syscall\n");
    "#;
    let program = compile(dir.path(), "loop", source, &["-nostdlib", "-static", "-no-pie"]);
    let mut tracee = Tracee::spawn(&request(&program, &[], true)).expect("starts");
    assert_eq!(tracee.step_block(0), Ok(Stop::Stepped));
    let after = tracee.registers().expect("stopped");
    assert!(after.rcx == 999 || after.rcx == 1000);
    assert_eq!(tracee.run_to_syscall(0), Ok(Stop::Syscall));
    let entry = tracee.registers().expect("stopped");
    assert_eq!((entry.orig_rax, entry.rax as i64), (libc::SYS_getpid as u64, -i64::from(libc::ENOSYS)));
    assert_eq!(tracee.run_to_syscall(0), Ok(Stop::Syscall));
    let exit = tracee.registers().expect("stopped");
    assert_eq!(exit.rax, tracee.pid() as u64);
    assert_eq!(tracee.step(0), Ok(Stop::Stepped));
    assert_eq!(tracee.registers().expect("stopped").rbx, exit.rax);
    assert_eq!(tracee.run_to_syscall(0), Ok(Stop::Syscall));
    assert_eq!(tracee.run_to_syscall(0), Ok(Stop::Exited(0)));
}

#[test]
fn what_does_not_start() {
    let _alone = alone();
    for path in ["/nonexistent", "/etc/passwd", "/"] {
        let error = Tracee::spawn(&request(Path::new(path), &[], true)).expect_err("does not start");
        assert!(error.to_string().starts_with(path), "{error}");
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let bytes = std::fs::read("/bin/true").expect("reads");
    let path = dir.path().join("cut");
    std::fs::write(&path, &bytes[..4096]).expect("writes");
    assert!(Command::new("chmod").arg("+x").arg(&path).status().expect("runs").success());
    assert!(Tracee::spawn(&request(&path, &[], true)).is_err());
}

#[test]
fn signals_are_seen_and_delivered() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let source = r#"
        #include <signal.h>
        #include <unistd.h>
        static void handler(int s) { _exit(s + 1); }
        int main(void) { signal(SIGUSR1, handler); raise(SIGUSR1); return 1; }
    "#;
    let program = compile(dir.path(), "signal", source, &[]);
    let mut tracee = Tracee::spawn(&request(&program, &[], true)).expect("starts");
    assert_eq!(tracee.run(0), Ok(Stop::Signal(libc::SIGUSR1)));
    let before = tracee.registers().expect("stopped");
    assert_eq!(tracee.step(libc::SIGUSR1), Ok(Stop::Stepped));
    let after = tracee.registers().expect("stopped");
    assert!(after.rdi == libc::SIGUSR1 as u64 && after.rsp < before.rsp, "in the handler");
    assert_eq!(tracee.run(0), Ok(Stop::Exited(libc::SIGUSR1 + 1)));

    let mut tracee = Tracee::spawn(&request(&program, &[], true)).expect("starts");
    assert_eq!(tracee.step(libc::SIGTERM), Ok(Stop::Killed(libc::SIGTERM)));
}

#[test]
fn a_script_and_an_exec() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("text");
    std::fs::write(&path, "exec /bin/sh -c 'exit 4'\n").expect("writes");
    assert!(Command::new("chmod").arg("+x").arg(&path).status().expect("runs").success());
    assert!(Tracee::spawn(&request(&path, &[], true)).is_err());
    let mut tracee = Tracee::spawn(&Request { shell: true, ..request(&path, &[], true) }).expect("starts");
    assert_eq!(tracee.run(0), Ok(Stop::Exec));
    assert!(tracee.auxv_addr().is_ok(), "the new program's memory is readable");
    assert_eq!(tracee.run(0), Ok(Stop::Exited(4)));
}

/// Fills memory in the ways a program can between two stops, and stops by breakpoints.
const CHANGES: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static char zeros[20000];
int main(int argc, char **argv) {
    __asm__ volatile("int3");
    zeros[12345] = 1;
    char *p = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 5, 0x10000);
    char *huge = mmap(0, 1ull << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *brk = sbrk(100000); memset(brk, 6, 100000);
    FILE *self = fopen(argv[0], "r");
    char *file = mmap(0, 0x3000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(self), 0);
    file[1] = 'e';
    char *ro = mmap(0, 0x2000, PROT_READ, MAP_SHARED, fileno(self), 0);
    (void)ro;
    __asm__ volatile("int3");
    munmap(p + 0x4000, 0x4000);
    mprotect(p + 0x8000, 0x4000, PROT_READ);
    mprotect(p, 0x1000, PROT_NONE);
    char *q = mremap(p + 0xc000, 0x4000, 0x20000, MREMAP_MAYMOVE); q[0x1f000] = 9;
    madvise(file, 0x1000, MADV_DONTNEED);
    madvise(brk, 100000, MADV_DONTNEED);
    munmap(huge, 1ull << 30);
    __asm__ volatile("int3");
    mprotect(p, 0x1000, PROT_READ | PROT_WRITE);
    mmap(p, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    char deep[200000]; memset(deep, argc, sizeof deep);
    __asm__ volatile("int3" : : "r"(deep));
    return 0;
}
"#;

/// All bytes of the mirrored regions are those of the tracee, and the regions are its.
fn assert_same(tracee: &Tracee, mirror: &loader::Mirror) {
    let own = std::fs::read("/proc/self/maps").expect("reads");
    let own = loader::parse_maps(&own);
    let memory = std::fs::File::open("/proc/self/mem").expect("opens");
    for region in tracee.regions().expect("readable").iter().filter(|r| !r.is_kernels()) {
        let here = own.iter().filter(|r| r.start < region.end && region.start < r.end);
        assert!(here.clone().all(|r| r.prot == region.prot && !r.is_file()), "{region:x?}: {here:x?}");
        let covered: u64 = here.map(|r| r.end.0.min(region.end.0) - r.start.0.max(region.start.0)).sum();
        assert_eq!(covered, region.size(), "{region:x?}");
        if region.prot == 0 || region.size() >= 1 << 30 {
            continue;
        }
        let (mut ours, mut theirs) = (vec![0; region.size() as usize], vec![0; region.size() as usize]);
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut ours, region.start.0).expect("mapped");
        // What lies beyond the end of a file cannot be read.
        for (index, page) in theirs.chunks_mut(4096).enumerate() {
            let _ = tracee.read(GuestAddr(region.start.0 + index as u64 * 4096), page);
        }
        assert!(ours == theirs, "{region:x?}");
    }
    for region in mirror.regions().iter().filter(|r| !r.is_stack()) {
        assert!(tracee.regions().expect("readable").contains(region), "{region:x?}");
    }
    assert_eq!(mirror.difference(tracee), Ok(None));
}

#[test]
fn a_mirror_follows() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = compile(dir.path(), "changes", CHANGES, &["-O0"]);
    // What the program maps later may be where this process has its stack or a library, more so as one of its regions
    // has a gigabyte: then another program, elsewhere.
    let other_places = (0..20).any(|_| the_mirror_follows(&program, true));
    assert!(other_places, "the program's addresses are taken each time");
    // Without ASLR it is always there, and this process may stay in its way.
    if !the_mirror_follows(&program, false) {
        eprintln!("the program without ASLR does not fit beside this process");
    }
}

/// Whether `program` fitted beside this process up to its end.
fn the_mirror_follows(program: &Path, aslr: bool) -> bool {
    let request = request(program, &[], aslr);
    let mut tracee = Tracee::spawn(&request).expect("starts");
    tracee.hide_vdso().expect("has a vector");
    let (image, mut mirror) = match load_like(&tracee) {
        Ok(loaded) => loaded,
        Err(loader::MirrorError::Occupied { .. }) => return false,
        Err(e) => panic!("{e}"),
    };
    assert_same(&tracee, &mirror);
    let registers = tracee.registers().expect("stopped");
    assert_eq!((image.entry.0, image.stack_pointer.0), (registers.rip, registers.rsp));
    assert_eq!(image.argv, [CString::new(program.as_os_str().as_bytes()).expect("no NUL")]);
    assert_eq!(image.exe, program);
    assert_eq!(image.execfn, image.argv[0]);
    for _ in 0..4 {
        assert_eq!(tracee.run(0), Ok(Stop::Signal(libc::SIGTRAP)));
        let changes = match mirror.sync(&tracee) {
            Ok(changes) => changes,
            Err(loader::MirrorError::Occupied { .. }) => {
                mirror.unmap_all();
                return false;
            }
            Err(e) => panic!("{e}"),
        };
        assert!(!changes.written.is_empty());
        assert_same(&tracee, &mirror);
        let again = mirror.sync(&tracee).expect("fits");
        assert_eq!(again, loader::Changes::default(), "nothing has happened since");
    }
    // A difference is found, and told.
    let addr = image.stack_pointer;
    // SAFETY: the mirrored stack is ours and nobody runs on it.
    unsafe { *(addr.0 as *mut u8) ^= 0x40 };
    let difference = mirror.difference(&tracee).expect("readable").expect("differs");
    assert_eq!((difference.addr, difference.ours), (addr, difference.theirs ^ 0x40));
    assert_eq!(tracee.run(0), Ok(Stop::Exited(0)));
    mirror.unmap_all();
    true
}

#[test]
fn memory_of_ours_is_not_replaced() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("temporary directory");
    let program = tiny(dir.path());
    let (tracee, (image, mut mirror)) = spawn_that_fits(&request(&program, &[], true));
    let at = tracee.regions().expect("readable")[0].start;
    assert_eq!(image.entry.0, tracee.registers().expect("stopped").rip);
    let error = load_like(&tracee).expect_err("is there already");
    assert!(matches!(error, loader::MirrorError::Occupied { start, .. } if start == at), "{error}");
    mirror.unmap_all();
    let (_, mut mirror) = load_like(&tracee).expect("fits again");
    mirror.unmap_all();
}
