//! File calls through which a program could see the runtime instead of itself.

use super::{Call, memory};
use crate::thread::Thread;

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
}

impl View {
    /// Of a program just loaded. Tells the kernel where its arguments, environment and auxiliary
    /// vector are, so that others see them too.
    pub fn new(image: &loader::Image) -> View {
        let mut auxv = Vec::with_capacity(image.auxv.len() * 16);
        for &(kind, value) in &image.auxv {
            auxv.extend_from_slice(&kind.to_le_bytes());
            auxv.extend_from_slice(&value.to_le_bytes());
        }
        let args = (image.args.start.0, image.args.end.0);
        let env = (image.env.start.0, image.env.end.0);
        let mut view = View { auxv, args, env, published: false };
        view.published = view.publish(image);
        view
    }

    fn publish(&self, image: &loader::Image) -> bool {
        let Some(mut map) = ProcessMap::current() else { return false };
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
    /// What the kernel has now.
    fn current() -> Option<ProcessMap> {
        let text = std::fs::read("/proc/self/stat").ok()?;
        let after_name = text.iter().rposition(|&b| b == b')')? + 2;
        let rest = std::str::from_utf8(text.get(after_name..)?).ok()?;
        let fields: Vec<u64> =
            rest.split_whitespace().map(|f| f.parse().unwrap_or_default()).collect();
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
        let ours = number(tid).is_some_and(|t| unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), t as i32, 0) == 0
        });
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

/// `open` and its kind.
pub fn open(_thread: &mut Thread, call: &Call) -> i64 {
    memory::pass_writing(call)
}

/// `readlink`, `readlinkat`
pub fn readlink(_thread: &mut Thread, call: &Call) -> i64 {
    memory::pass_writing(call)
}

/// Calls that close or replace descriptors.
pub fn descriptors(call: &Call) -> i64 {
    call.pass()
}
