//! What the guest sees of itself under `/proc`.
//!
//! Most of it the kernel shows rightly: descriptors, threads, and, told where they are by
//! [`View::new`], arguments, environment and auxiliary vector. Made here is the rest: the executable,
//! and the lists of mappings, from which the runtime's own are taken out. Such a file is a copy in
//! memory, complete when it is opened.
//!
//! The runtime's mappings are known because they are either from before the guest was loaded
//! ([`Before`]), or known to those who made them (`memory::own_ranges`).

use super::memory;
use crate::process::process;
use crate::thread::Thread;
use loader::Region;
use std::ffi::CString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// The mappings of this process before the guest is loaded: all ours but the kernel's own.
#[derive(Debug)]
pub struct Before {
    text: Vec<u8>,
    ranges: OnceLock<Vec<(u64, u64)>>,
}

impl Before {
    /// Takes note. It is looked at only when somebody asks.
    pub fn take() -> Before {
        Before { text: read("/proc/self/maps").unwrap_or_default(), ranges: OnceLock::new() }
    }

    fn ranges(&self) -> &[(u64, u64)] {
        /// Our stack may grow to this.
        const OWN_STACK: u64 = 16 << 20;
        self.ranges.get_or_init(|| {
            loader::parse_maps(&self.text)
                .iter()
                .filter(|r| !r.is_kernels())
                .map(|r| match r.is_stack() {
                    true => (r.end.0 - OWN_STACK, r.end.0),
                    false => (r.start.0, r.end.0),
                })
                .collect()
        })
    }
}

/// Reads a file of the kernel's in few calls: it says of each that it is empty.
fn read(path: &str) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::with_capacity(8192);
    std::fs::File::open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

/// What the guest sees of itself under `/proc`.
#[derive(Debug)]
pub struct View {
    /// The auxiliary vector, as the kernel's file has it.
    pub auxv: Vec<u8>,
    /// Argument strings on the guest's stack.
    pub args: (u64, u64),
    /// Environment strings behind them.
    pub env: (u64, u64),
    /// The kernel knows the three above and shows them to everybody.
    pub published: bool,
    /// What is not the guest's.
    before: Before,
}

impl View {
    /// Address ranges that were ours before the guest was loaded.
    pub fn own(&self) -> &[(u64, u64)] {
        self.before.ranges()
    }

    /// Of a program just loaded. Tells the kernel where its arguments, environment and auxiliary
    /// vector are, so that others see them too.
    pub fn new(image: &loader::Image, before: Before) -> View {
        let mut auxv = Vec::with_capacity(image.auxv.len() * 16);
        for &(kind, value) in &image.auxv {
            auxv.extend_from_slice(&kind.to_le_bytes());
            auxv.extend_from_slice(&value.to_le_bytes());
        }
        let args = (image.args.start.0, image.args.end.0);
        let env = (image.env.start.0, image.env.end.0);
        let mut view = View { auxv, args, env, published: false, before };
        view.published = view.publish(image, true) || view.publish(image, false);
        view
    }

    /// `code`: with the places of code and data, which old kernels refuse above the program break.
    fn publish(&self, image: &loader::Image, code: bool) -> bool {
        let Some(mut map) = ProcessMap::current() else { return false };
        if code {
            map.place(image);
        }
        map.arg_start = self.args.0;
        map.arg_end = self.args.1;
        map.env_start = self.env.0;
        map.env_end = self.env.1;
        map.start_stack = image.stack_pointer.0;
        map.auxv = self.auxv.as_ptr() as u64;
        map.auxv_size = self.auxv.len() as u32;
        // SAFETY: reads the structure and the vector; changes only what the kernel shows.
        unsafe {
            libc::prctl(libc::PR_SET_MM, PR_SET_MM_MAP, &raw const map, std::mem::size_of::<ProcessMap>(), 0)
                == 0
        }
    }
}

const PR_SET_MM_MAP: i32 = 14;

/// The kernel's `struct prctl_mm_map`.
#[repr(C)]
struct ProcessMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl ProcessMap {
    /// Code and data of the guest's program.
    fn place(&mut self, image: &loader::Image) {
        let of_program = |m: &&loader::Mapping| m.file.as_deref() == Some(image.exe.as_path());
        let code: Vec<_> =
            image.mappings.iter().filter(of_program).filter(|m| m.prot & libc::PROT_EXEC != 0).collect();
        let data: Vec<_> =
            image.mappings.iter().filter(of_program).filter(|m| m.prot & libc::PROT_WRITE != 0).collect();
        if let (Some(first), Some(last)) = (code.first(), code.last()) {
            (self.start_code, self.end_code) = (first.start.0, last.end.0);
        }
        if let (Some(first), Some(last)) = (data.first(), data.last()) {
            (self.start_data, self.end_data) = (first.start.0, last.end.0);
        }
    }

    /// What the kernel has now.
    fn current() -> Option<ProcessMap> {
        let text = read("/proc/self/stat").ok()?;
        let after_name = text.iter().rposition(|&b| b == b')')? + 2;
        let rest = std::str::from_utf8(text.get(after_name..)?).ok()?;
        let fields: Vec<u64> = rest.split_whitespace().map(|f| f.parse().unwrap_or_default()).collect();
        // Numbered as in proc(5), where the first of these is 3.
        let field = |n: usize| fields.get(n - 3).copied();
        // SAFETY: asks for the current break.
        let brk = unsafe { libc::syscall(libc::SYS_brk, 0) } as u64;
        Some(ProcessMap {
            start_code: field(26)?,
            end_code: field(27)?,
            start_data: field(45)?,
            end_data: field(46)?,
            start_brk: field(47)?,
            brk,
            start_stack: field(28)?,
            arg_start: field(48)?,
            arg_end: field(49)?,
            env_start: field(50)?,
            env_end: field(51)?,
            auxv: 0,
            auxv_size: 0,
            exe_fd: u32::MAX,
        })
    }
}

/// Whether a path names the guest's own executable in `/proc`.
pub fn is_own_exe(path: &[u8]) -> bool {
    own_entry(path).is_some_and(|e| e == b"exe")
}

/// The part behind the guest's own directory in `/proc` (`/proc/self`, `/proc/thread-self`, with its
/// process or thread numbers), without leading slashes.
pub fn own_entry(path: &[u8]) -> Option<&[u8]> {
    let rest = trim_slashes(path.strip_prefix(b"/")?);
    let rest = trim_slashes(rest.strip_prefix(b"proc/")?);
    let (first, rest) = split(rest);
    if first == b"thread-self" {
        return Some(rest);
    }
    if first != b"self" && number(first) != Some(std::process::id() as u64) {
        return None;
    }
    let (second, below) = split(rest);
    if second == b"task" {
        let (tid, entry) = split(below);
        // SAFETY: asks whether the thread exists in this process.
        let ours = number(tid)
            .is_some_and(|t| unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), t as i32, 0) == 0 });
        return (ours && !entry.is_empty()).then_some(entry);
    }
    Some(rest)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn trim_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/").or_else(|| path.strip_prefix(b"./")) {
        path = rest;
    }
    path
}

/// First component and the rest.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|&b| b == b'/') {
        Some(i) => (&path[..i], trim_slashes(&path[i + 1..])),
        None => (path, b""),
    }
}

/// The guest's executable, as a path for the kernel.
pub fn exe() -> CString {
    CString::new(process().exe.as_os_str().as_bytes()).unwrap_or_default()
}

/// The content of a file in the guest's own directory that the kernel would show wrongly.
pub fn content(thread: &Thread, entry: &[u8]) -> Option<Vec<u8>> {
    let view = &process().view;
    match entry {
        b"maps" => Some(maps()),
        b"smaps" => Some(smaps()),
        b"numa_maps" => Some(numa_maps()),
        b"status" => super::seccomp::status(thread),
        b"auxv" if !view.published => Some(view.auxv.clone()),
        b"cmdline" if !view.published => Some(strings(view.args)),
        b"environ" if !view.published => Some(strings(view.env)),
        _ => None,
    }
}

/// The guest's memory, as much of it as is readable.
fn strings((start, end): (u64, u64)) -> Vec<u8> {
    let mut v = vec![0; (end - start) as usize];
    match crate::signal::read_guest(start, &mut v) {
        Ok(()) => v,
        Err(()) => Vec::new(),
    }
}

/// A mapping as the guest should see it.
struct Shown {
    region: Region,
    /// Its protection is not the kernel's.
    changed: bool,
}

/// All that a guest's list of mappings is made from.
struct Lens {
    own: Vec<(u64, u64)>,
    heap: (u64, u64),
}

impl Lens {
    fn new() -> Lens {
        let process = process();
        let mut own = process.view.own().to_vec();
        own.extend(memory::own_ranges());
        own.sort_unstable();
        let heap = process
            .brk
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .as_ref()
            .map_or((0, 0), |b| (b.start().0, b.current().0));
        Lens { own, heap }
    }

    /// The parts of a mapping that are the guest's.
    fn cut(&self, r: &Region) -> Vec<Region> {
        if r.name.as_bytes() == b"[heap]" {
            return Vec::new(); // the C library's, in the runtime
        }
        let foreign = process().foreign;
        // Another machine's, or the guest has unmapped it.
        if r.is_kernels() && (foreign || memory::is_kept(r.start.0)) {
            return Vec::new();
        }
        let mut parts = Vec::new();
        let mut at = r.start.0;
        let mut push = |from: u64, to: u64| {
            if from < to {
                let mut part = r.clone();
                part.start.0 = from;
                part.end.0 = to;
                if r.is_file() {
                    part.offset += from - r.start.0;
                }
                parts.push(part);
            }
        };
        if !r.is_kernels() {
            for &(from, to) in self.own.iter().filter(|o| o.0 < r.end.0 && r.start.0 < o.1) {
                push(at, from.min(r.end.0));
                at = at.max(to);
            }
        }
        push(at, r.end.0);
        for p in &mut parts {
            if p.start.0 < self.heap.1 && self.heap.0 < p.end.0 {
                p.name = "[heap]".into();
            }
            if foreign && p.start.0 == crate::foreign::load::trampoline() {
                p.name = "[vdso]".into();
            }
        }
        parts
    }

    /// With the protections that the guest asked for.
    fn protections(&self, parts: Vec<Region>) -> Vec<Shown> {
        let shared = process().lock();
        let watched = shared.map.protected_pages();
        let mut out: Vec<Shown> = Vec::new();
        for r in parts {
            let pages = watched.iter().map(|p| p << 12).filter(|p| (r.start.0..r.end.0).contains(p));
            let mut changed = false;
            let mut prot = r.prot;
            for p in pages {
                // The kernel has the watched pages in mappings of their own.
                changed = true;
                prot = shared.map.guest_prot(p).unwrap_or(prot);
            }
            let mut shown = Shown { region: r, changed };
            shown.region.prot = prot;
            match out.last_mut() {
                Some(last) if (last.changed || changed) && continues(&last.region, &shown.region) => {
                    last.region.end = shown.region.end;
                    last.changed = changed;
                }
                _ => out.push(shown),
            }
        }
        out
    }
}

/// Whether the kernel would show two mappings as one.
fn continues(a: &Region, b: &Region) -> bool {
    a.end == b.start
        && a.prot == b.prot
        && a.shared == b.shared
        && a.name == b.name
        && a.inode == b.inode
        && a.device == b.device
        && (!a.is_file() || a.offset + a.size() == b.offset)
}

fn maps() -> Vec<u8> {
    let lens = Lens::new();
    let text = std::fs::read("/proc/self/maps").unwrap_or_default();
    let parts = loader::parse_maps(&text).iter().flat_map(|r| lens.cut(r)).collect();
    let mut out = Vec::with_capacity(text.len());
    for s in lens.protections(parts) {
        line(&mut out, &s.region);
    }
    out
}

/// One line in the kernel's form.
fn line(out: &mut Vec<u8>, r: &Region) {
    let letter = |bit: i32, c: char| if r.prot & bit != 0 { c } else { '-' };
    let mut s = String::new();
    let _ = write!(
        s,
        "{:08x}-{:08x} {}{}{}{} {:08x} {} {} ",
        r.start.0,
        r.end.0,
        letter(libc::PROT_READ, 'r'),
        letter(libc::PROT_WRITE, 'w'),
        letter(libc::PROT_EXEC, 'x'),
        if r.shared { 's' } else { 'p' },
        r.offset,
        r.device.to_string_lossy(),
        r.inode
    );
    if !r.name.is_empty() {
        /// Where the kernel begins the name.
        const COLUMN: usize = 73;
        while s.len() < COLUMN {
            s.push(' ');
        }
    }
    out.extend_from_slice(s.as_bytes());
    out.extend_from_slice(r.name.as_bytes());
    out.push(b'\n');
}

/// `smaps`: a line of `maps` for each mapping, followed by details.
fn smaps() -> Vec<u8> {
    let lens = Lens::new();
    let text = std::fs::read("/proc/self/smaps").unwrap_or_default();
    let mut out = Vec::with_capacity(text.len());
    let mut visible = false;
    for l in text.split_inclusive(|&b| b == b'\n') {
        // Details begin with a capital letter, the lines of `maps` with a digit.
        if l.first().is_some_and(u8::is_ascii_uppercase) {
            if visible {
                out.extend_from_slice(l);
            }
            continue;
        }
        let parts: Vec<Region> = loader::parse_maps(l).iter().flat_map(|r| lens.cut(r)).collect();
        let shown = lens.protections(parts);
        visible = !shown.is_empty();
        if let Some(first) = shown.first() {
            line(&mut out, &first.region);
        }
    }
    out
}

/// `numa_maps`: lines that begin with the address of a mapping.
fn numa_maps() -> Vec<u8> {
    let lens = Lens::new();
    let regions = loader::parse_maps(&std::fs::read("/proc/self/maps").unwrap_or_default());
    let text = std::fs::read("/proc/self/numa_maps").unwrap_or_default();
    let mut out = Vec::with_capacity(text.len());
    for l in text.split_inclusive(|&b| b == b'\n') {
        let address = l.split(|&b| b == b' ').next().and_then(|a| std::str::from_utf8(a).ok());
        let start = address.and_then(|a| u64::from_str_radix(a, 16).ok());
        let region = regions.iter().find(|r| Some(r.start.0) == start);
        if region.is_none_or(|r| !lens.cut(r).is_empty()) {
            out.extend_from_slice(l);
        }
    }
    out
}
