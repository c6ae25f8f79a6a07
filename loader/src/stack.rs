//! The guest's initial stack: what a program finds there when it starts.
//!
//! From the top downwards, as the kernel lays it out:
//!
//! ```text
//! top          8 bytes of zeros
//!              the path that was executed (AT_EXECFN)
//!              environment strings, first one lowest
//!              argument strings, first one lowest
//!              a random gap of up to 8 KiB
//!              "x86_64", for example (AT_PLATFORM), 16 random bytes (AT_RANDOM)
//!              auxiliary vector, ending with AT_NULL
//!              NULL, pointers to the environment strings
//!              NULL, pointers to the argument strings
//! sp           the number of arguments; sp is a multiple of 16
//! ```
//!
//! # The mapping
//! A `MAP_GROWSDOWN` mapping, as the process's own stack is: it starts small, the kernel extends it on demand
//! up to the *current* `RLIMIT_STACK` and keeps a guard gap below. A fixed mapping of the limit's size was
//! rejected: `mprotect` with `PROT_GROWSDOWN` (by which the dynamic linker makes a stack executable) fails on it,
//! a guest that raises its limit would not get more, and `/proc/self/maps` would differ.
//! It lies below this process's stack, in the gap that the kernel keeps free between the stack and the area for
//! mappings, at least 128 MiB wide or the stack limit if that is larger.

use std::ffi::{CStr, CString};
use std::ops::Range;

use crate::elf::{PAGE, page_ceil, page_floor};
use crate::{Arch, GuestAddr, sys};

/// Where the kernel puts the top of the stack when nothing is random.
const UNRANDOMISED_TOP: u64 = crate::elf::ADDRESS_END;

/// Room left to this process's own stack, which lies above the guest's. Bytes.
const OWN_STACK: u64 = 16 << 20;

/// Randomisation of the guest stack's top, in pages: half of it is 16 MiB, small against the gap's 128 MiB.
const RANDOM_PAGES: u64 = 1 << 13;

/// What the kernel maps below the strings at the start. Bytes.
const INITIAL_ROOM: u64 = 128 << 10;

/// Stack size that is assumed if there is no limit. Bytes.
const UNLIMITED: u64 = 1 << 30;

/// Longest single argument or environment string, with its NUL.
const MAX_STRING: usize = 128 << 10;

/// Least and largest room for all strings and pointers, whatever the stack limit is. Bytes.
const STRINGS_MIN: u64 = 128 << 10;
const STRINGS_MAX: u64 = 6 << 20;

/// What the auxiliary vector says about the images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageFacts {
    pub phdr: u64,
    pub phdr_count: u64,
    pub interpreter_base: u64,
    pub entry: u64,
    /// Of a program for another machine: its architecture and `AT_HWCAP`.
    pub foreign: Option<(Arch, u64)>,
}

impl ImageFacts {
    /// What `AT_PLATFORM` says.
    fn platform(&self) -> &'static CStr {
        self.foreign.map_or(Arch::HOST, |f| f.0).name()
    }
}

/// Random numbers for one stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StackRandom {
    /// Moves the mapping, in pages; any value.
    pub top: u64,
    /// Moves the contents; any value.
    pub gap: u64,
    /// For `AT_RANDOM`.
    pub seed: [u8; 16],
    /// Use the fixed address at the end of the address space, if it is free.
    pub fixed: bool,
}

/// A stack ready to start from.
#[derive(Debug)]
pub(crate) struct Stack {
    pub pointer: u64,
    /// Mapped now.
    pub mapped: Range<u64>,
    /// May grow to this.
    pub range: Range<u64>,
    pub auxv: Vec<(u64, u64)>,
    pub args: Range<u64>,
    pub env: Range<u64>,
}

/// Whether the kernel accepts these strings under the current stack limit.
pub(crate) fn strings_fit(exec_name: &CStr, argv: &[CString], envp: &[CString]) -> bool {
    let limit = sys::stack_limit().map_or(STRINGS_MAX, |l| (l / 4).min(STRINGS_MAX)).max(STRINGS_MIN);
    let pointers = (argv.len().max(1) + envp.len()) as u64 * 8;
    let all = || argv.iter().chain(envp);
    let bytes = all().map(|s| s.count_bytes() as u64 + 1).sum::<u64>() + exec_name.count_bytes() as u64 + 1;
    pointers + bytes < limit && all().all(|s| s.count_bytes() < MAX_STRING)
}

/// The contents of a stack, from its lowest byte in use to its top.
struct Contents {
    bytes: Vec<u8>,
    pointer: u64,
    auxv: Vec<(u64, u64)>,
    args: Range<u64>,
    env: Range<u64>,
}

impl Contents {
    /// Lays out the contents below `top`.
    fn new(
        top: u64,
        gap: u64,
        seed: [u8; 16],
        exec_name: &CStr,
        argv: &[CString],
        envp: &[CString],
        facts: &ImageFacts,
    ) -> Contents {
        let size = |strings: &[CString]| strings.iter().map(|s| s.count_bytes() as u64 + 1).sum::<u64>();
        let exec_name_at = top - 8 - (exec_name.count_bytes() as u64 + 1);
        let env_at = exec_name_at - size(envp);
        let args_at = env_at - size(argv);
        let platform_at = ((args_at - gap) & !15) - facts.platform().to_bytes_with_nul().len() as u64;
        let random_at = platform_at - seed.len() as u64;
        let auxv = auxv(facts, random_at, exec_name_at, platform_at);
        let words = 1 + argv.len() as u64 + 1 + envp.len() as u64 + 1;
        let pointer = (random_at - auxv.len() as u64 * 16 - words * 8) & !15;

        let mut bytes = vec![0; (top - pointer) as usize];
        let mut put = |at: u64, what: &[u8]| {
            let start = (at - pointer) as usize;
            bytes[start..start + what.len()].copy_from_slice(what);
        };
        put(exec_name_at, exec_name.to_bytes_with_nul());
        put(platform_at, facts.platform().to_bytes_with_nul());
        put(random_at, &seed);
        let mut word_at = pointer;
        let mut next_word = |put: &mut dyn FnMut(u64, &[u8]), word: u64| {
            put(word_at, &word.to_le_bytes());
            word_at += 8;
        };
        next_word(&mut put, argv.len() as u64);
        for (strings, start) in [(argv, args_at), (envp, env_at)] {
            let mut at = start;
            for string in strings {
                put(at, string.to_bytes_with_nul());
                next_word(&mut put, at);
                at += string.count_bytes() as u64 + 1;
            }
            next_word(&mut put, 0);
        }
        for &(kind, value) in &auxv {
            next_word(&mut put, kind);
            next_word(&mut put, value);
        }
        Contents { bytes, pointer, auxv, args: args_at..env_at, env: env_at..exec_name_at }
    }
}

/// The auxiliary vector in the kernel's order, with its end marker. What describes the machine and the process is
/// passed on from this process; `AT_RSEQ_*` is left out, because the guest cannot have restartable sequences. A guest
/// for another machine has no vdso, and hears of that machine's instructions.
fn auxv(facts: &ImageFacts, random: u64, exec_name: u64, platform: u64) -> Vec<(u64, u64)> {
    /// Missing in the `libc` crate.
    const AT_MINSIGSTKSZ: u64 = 51;
    /// Bytes of an AArch64 signal frame as the kernel reports them for a CPU without SVE.
    const AARCH64_FRAME: u64 = 4720;
    let own = |kind| match (kind, facts.foreign) {
        (libc::AT_SYSINFO_EHDR | libc::AT_HWCAP2, Some(_)) => Some((kind, 0)),
        (AT_MINSIGSTKSZ, Some(_)) => Some((kind, AARCH64_FRAME)),
        (libc::AT_HWCAP, Some((_, hwcap))) => Some((kind, hwcap)),
        _ => Some((kind, sys::auxv(kind))),
    };
    let if_any = |kind| own(kind).filter(|&(_, value)| value != 0);
    let [uid, euid, gid, egid] = sys::identity();
    [
        if_any(libc::AT_SYSINFO_EHDR),
        if_any(AT_MINSIGSTKSZ),
        own(libc::AT_HWCAP),
        Some((libc::AT_PAGESZ, PAGE)),
        own(libc::AT_CLKTCK),
        Some((libc::AT_PHDR, facts.phdr)),
        Some((libc::AT_PHENT, goblin::elf64::program_header::SIZEOF_PHDR as u64)),
        Some((libc::AT_PHNUM, facts.phdr_count)),
        Some((libc::AT_BASE, facts.interpreter_base)),
        Some((libc::AT_FLAGS, 0)),
        Some((libc::AT_ENTRY, facts.entry)),
        Some((libc::AT_UID, uid)),
        Some((libc::AT_EUID, euid)),
        Some((libc::AT_GID, gid)),
        Some((libc::AT_EGID, egid)),
        own(libc::AT_SECURE),
        Some((libc::AT_RANDOM, random)),
        own(libc::AT_HWCAP2),
        Some((libc::AT_EXECFN, exec_name)),
        Some((libc::AT_PLATFORM, platform)),
        Some((libc::AT_NULL, 0)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Maps a stack and fills it. An error is the system's error number.
pub(crate) fn build(
    random: StackRandom,
    executable: bool,
    exec_name: &CStr,
    argv: &[CString],
    envp: &[CString],
    facts: &ImageFacts,
) -> Result<Stack, i32> {
    let limit = page_floor(sys::stack_limit().unwrap_or(UNLIMITED).max(INITIAL_ROOM));
    let gap = random.gap % 8192;
    let strings = [argv, envp].concat().iter().map(|s| s.count_bytes() as u64 + 9).sum::<u64>();
    let used = strings + exec_name.count_bytes() as u64 + 8192 + PAGE;
    let size = page_ceil(used + INITIAL_ROOM.min(limit));
    let top = map(size, limit, random, executable)?;
    let contents = Contents::new(top, gap, random.seed, exec_name, argv, envp, facts);
    fill(top - size, top, &contents);
    Ok(Stack {
        pointer: contents.pointer,
        mapped: top - size..top,
        range: top.saturating_sub(limit.max(size))..top,
        auxv: contents.auxv,
        args: contents.args,
        env: contents.env,
    })
}

/// Maps `size` bytes that can grow downwards to `limit`, and returns the end.
fn map(size: u64, limit: u64, random: StackRandom, executable: bool) -> Result<u64, i32> {
    let own_top = own_stack_top();
    let mut tops = Vec::with_capacity(10);
    if random.fixed {
        // Free only if this process's own stack is elsewhere, and stays out of the way of growth.
        if own_top.is_none_or(|own| own.abs_diff(UNRANDOMISED_TOP) > limit + OWN_STACK) {
            tops.push(UNRANDOMISED_TOP);
        }
    }
    if let Some(own) = own_top {
        let pages = if random.fixed { 0 } else { random.top % RANDOM_PAGES };
        let first = own - OWN_STACK - pages * PAGE;
        // What may be in the way there is small, a vdso at most.
        tops.extend((0..8).map(|step| first - step * (1 << 20)));
    }
    let exec = if executable { libc::PROT_EXEC } else { 0 };
    let prot = libc::PROT_READ | libc::PROT_WRITE | exec;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    for top in tops {
        let start = top - size;
        let flags = flags | libc::MAP_GROWSDOWN | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE replaces nothing; nobody knows of the new memory.
        let addr = unsafe { libc::mmap(start as *mut _, size as usize, prot, flags, -1, 0) };
        if addr as u64 == start {
            return Ok(top);
        }
        if addr != libc::MAP_FAILED {
            // SAFETY: just mapped, at an address that a kernel before 4.17 preferred.
            unsafe { libc::munmap(addr, size as usize) };
        }
    }
    // No room near the stack. Anywhere, then, with all its memory from the start, since what is below is not ours.
    let len = size.max(limit) + PAGE;
    // SAFETY: new memory at an address of the kernel's choice.
    let addr = unsafe { libc::mmap(std::ptr::null_mut(), len as usize, prot, flags, -1, 0) };
    if addr == libc::MAP_FAILED {
        return Err(crate::map::last_errno());
    }
    // SAFETY: the lowest page of what was just mapped becomes the guard.
    unsafe { libc::mprotect(addr, PAGE as usize, libc::PROT_NONE) };
    Ok(addr as u64 + len)
}

/// The end of this process's own initial stack: the name of the program and 8 bytes are the last thing in it.
fn own_stack_top() -> Option<u64> {
    let (addr, len) = sys::own_exec_name()?;
    Some(page_ceil(addr + len as u64 + 1 + 8))
}

/// Copies the contents to the end of the mapping.
fn fill(start: u64, top: u64, contents: &Contents) {
    assert!(contents.pointer >= start && top - contents.pointer == contents.bytes.len() as u64);
    // SAFETY: the assertion says that the bytes fit into `start..top`, which `map` has just mapped writable and
    // which nobody else knows of.
    unsafe {
        std::ptr::copy_nonoverlapping(
            contents.bytes.as_ptr(),
            contents.pointer as *mut u8,
            contents.bytes.len(),
        );
    }
}

/// The initial stack as a mapping of the image.
pub(crate) fn mapping(stack: &Stack, executable: bool) -> crate::Mapping {
    let exec = if executable { libc::PROT_EXEC } else { 0 };
    crate::Mapping {
        start: GuestAddr(stack.mapped.start),
        end: GuestAddr(stack.mapped.end),
        prot: libc::PROT_READ | libc::PROT_WRITE | exec,
        flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN,
        file: None,
        offset: 0,
        name: "[stack]",
        identity: None,
    }
}
