//! Memory calls: the kernel does them, and the map of code follows.

use super::{Call, limits};
use crate::assume;
use crate::codemap::CodeRange;
use crate::enter;
use crate::process::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

const PAGE: u64 = 4096;

fn failed(v: i64) -> bool {
    (-4095..0).contains(&v)
}

fn pages(start: u64, len: u64) -> (u64, u64) {
    (start & !(PAGE - 1), start.wrapping_add(len).wrapping_add(PAGE - 1) & !(PAGE - 1))
}

/// Fragments from `[start, end)` and the knowledge about it go.
fn forget(start: u64, end: u64) {
    let mut shared = process().lock();
    if !shared.map.is_clear(start, end) {
        shared.cache.invalidate(start, end);
        shared.map.remove(start, end);
    }
}

/// The parts of `[start, end)` that hold no memory of the runtime's, in address order.
fn around_own(start: u64, end: u64) -> Vec<(u64, u64)> {
    let mut own = own_ranges();
    own.extend_from_slice(process().view.own());
    own.sort_unstable();
    let mut parts = Vec::new();
    let mut at = start;
    for (from, to) in own.into_iter().chain([(end, end)]) {
        let stop = from.min(end);
        if at < stop {
            parts.push((at, stop));
        }
        at = at.max(to);
    }
    parts
}

/// The vdso and its data, from the moment when the guest wants them gone: the runtime's own clock reads them still, so
/// they stay, and are memory of ours.
static KEPT_VDSO: OnceLock<(u64, u64)> = OnceLock::new();

/// The data lies in front of the vdso, in no more than so many bytes.
const VDSO_DATA: u64 = 64 << 10;

/// The guest wants what lies in `[start, end)` gone. If that is the vdso, or its data, it becomes ours.
fn keep_vdso(start: u64, end: u64) {
    let vdso = assume::vdso();
    if vdso.is_empty() || end <= vdso.start.saturating_sub(VDSO_DATA) || vdso.end <= start {
        return;
    }
    let parts = kernel_maps();
    let parts = parts.iter().filter(|m| m.rest.contains("[vdso]") || m.rest.contains("[vvar"));
    let first = parts.map(|m| m.start).min().unwrap_or(vdso.start);
    if start < vdso.end && first < end {
        forget(vdso.start, vdso.end);
        KEPT_VDSO.get_or_init(|| (first, vdso.end));
    }
}

/// Whether an address lies in a vdso that the guest has unmapped.
pub fn is_kept(at: u64) -> bool {
    KEPT_VDSO.get().is_some_and(|&(start, end)| (start..end).contains(&at))
}

/// Whether a range holds memory of the runtime's. The guest, for whom nothing is there, must not
/// change it.
fn touches_own(start: u64, end: u64) -> bool {
    let hit = |r: (u64, u64)| r.0 < end && start < r.1;
    let process = process();
    KEPT_VDSO.get().is_some_and(|&r| hit(r))
        || process.view.own().iter().any(|&r| hit(r))
        || crate::alloc::holds(start, end)
        || {
            let shared = process.lock();
            let table = shared.cache.table.range();
            hit((table.0 as u64, table.1 as u64))
                || shared.cache.memory.ranges().into_iter().any(|r| hit((r.0 as u64, r.1 as u64)))
        }
}

const ENOMEM: i64 = -(libc::ENOMEM as i64);

/// `mmap`
pub fn mmap(call: &Call) -> i64 {
    let [at, len, prot, flags, ..] = call.args;
    if flags as i32 & libc::MAP_FIXED != 0 && len != 0 {
        let (start, end) = pages(at, len);
        keep_vdso(start, end);
        if touches_own(start, end) {
            return ENOMEM;
        }
    }
    let private = flags as i32 & libc::MAP_PRIVATE != 0 && prot as i32 & libc::PROT_WRITE != 0;
    if limits::exceeds(len, private) {
        return ENOMEM;
    }
    assume::mapping(prot as i32, flags as i32, call.args[4] as i32);
    let fixed = flags as i32 & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
    if fixed && flags as i32 & libc::MAP_FIXED_NOREPLACE != libc::MAP_FIXED_NOREPLACE {
        // What was there is gone before anything else can be.
        let (start, end) = pages(at, len);
        forget(start, end);
    }
    let v = call.pass();
    if failed(v) && fixed && v != enter::NOT_STARTED {
        // Nothing is gone after all.
        rescan();
    }
    if !failed(v) && prot as i32 & libc::PROT_EXEC != 0 {
        let (start, end) = pages(v as u64, len);
        let shared = matches!(flags as i32 & 0xf, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE);
        let mut all = process().lock();
        let file =
            match prot as i32 & libc::PROT_WRITE != 0 || shared || flags as i32 & libc::MAP_ANONYMOUS != 0 {
                true => None,
                false => all.store.mapped_from(call.args[4] as i32, start, call.args[5]),
            };
        all.map.insert(CodeRange { start, end, prot: prot as i32, shared, file });
    }
    v
}

/// `munmap`
pub fn munmap(call: &Call) -> i64 {
    let [at, len, ..] = call.args;
    let (start, end) = pages(at, len);
    if at & (PAGE - 1) != 0 || len == 0 || end <= start {
        return call.pass();
    }
    keep_vdso(start, end);
    if touches_own(start, end) {
        return unmap_around_own(start, end);
    }
    // The lock is held over the call: else another thread could get executable memory at the same
    // place before we forget what was there.
    let mut shared = process().lock();
    if shared.map.is_clear(start, end) {
        drop(shared);
        return call.pass();
    }
    let v = call.pass();
    if !failed(v) {
        shared.cache.invalidate(start, end);
        shared.map.remove(start, end);
    }
    v
}

/// Unmaps what is the guest's in a range that holds memory of ours.
fn unmap_around_own(start: u64, end: u64) -> i64 {
    for (at, stop) in around_own(start, end) {
        forget(at, stop);
        // SAFETY: a range without memory of ours, which the guest wants gone.
        unsafe { libc::munmap(at as *mut libc::c_void, (stop - at) as usize) };
    }
    0
}

/// `madvise`. Memory of ours is a hole to the guest: the advice holds for what lies around it, and the call says that
/// there was a hole.
pub fn madvise(call: &Call) -> i64 {
    let [at, len, advice, ..] = call.args;
    let (start, end) = pages(at, len);
    if at & (PAGE - 1) != 0 || start >= end || !touches_own(start, end) {
        return pass_writing(call);
    }
    for (from, to) in around_own(start, end) {
        let v = pass_writing(&Call { number: call.number, args: [from, to - from, advice, 0, 0, 0] });
        if v != 0 && v != ENOMEM {
            return v;
        }
    }
    ENOMEM
}

/// `mprotect`, `pkey_mprotect`
pub fn mprotect(call: &Call) -> i64 {
    let [at, len, prot, ..] = call.args;
    let prot = prot as i32;
    let (start, end) = pages(at, len);
    if start < end && touches_own(start, end) {
        // Memory of ours is a hole to the guest: the kernel changes what lies in front of one, and fails.
        let first = around_own(start, end).first().copied().filter(|f| f.0 == at);
        let v = first.map_or(ENOMEM, |(_, to)| {
            let mut front = Call { number: call.number, args: call.args };
            front.args[1] = to - at;
            mprotect(&front)
        });
        return if v == 0 { ENOMEM } else { v };
    }
    let mut shared = process().lock();
    let before = shared.map.within(start, end);
    if before.is_empty() && prot & libc::PROT_EXEC == 0 {
        drop(shared);
        return call.pass();
    }
    let v = call.pass();
    if failed(v) {
        // What lies in front of a hole, or of what may not have the protection, has it now.
        shared.cache.invalidate(start, end);
        drop(shared);
        if v != enter::NOT_STARTED {
            rescan();
        }
        return v;
    }
    if prot & libc::PROT_EXEC == 0 {
        shared.cache.invalidate(start, end);
        shared.map.remove(start, end);
        return v;
    }
    // Pages that become writable, or whose protection we had changed: drop what was made from them;
    // the next translation watches them again.
    if prot & libc::PROT_WRITE != 0 || before.iter().any(|r| r.prot & libc::PROT_WRITE != 0) {
        shared.cache.invalidate(start, end);
    }
    // Asking the kernel takes long, and programs that make code ask for this each time.
    let shares = !shared.cache.holds(assume::NOTHING_SHARED);
    let was_shared = before.iter().any(|r| r.shared) || before.is_empty() && shares && is_shared(start);
    // What was never writable still has the bytes of its file.
    let file = match &before[..] {
        [one] if (one.start, one.end) == (start, end) && prot & libc::PROT_WRITE == 0 => one.file,
        _ => None,
    };
    shared.map.insert(CodeRange { start, end, prot, shared: was_shared, file });
    v
}

/// `mremap`
pub fn mremap(call: &Call) -> i64 {
    let [old, old_len, new_len, flags, ..] = call.args;
    let (start, end) = pages(old, old_len);
    keep_vdso(start, end);
    if touches_own(start, end.max(start.wrapping_add(PAGE))) {
        return -i64::from(libc::EFAULT);
    }
    if flags & libc::MREMAP_FIXED as u64 != 0 {
        let (s, e) = pages(call.args[4], new_len);
        if s < e && touches_own(s, e) {
            return ENOMEM;
        }
    }
    if limits::exceeds(new_len.saturating_sub(old_len), true) {
        return ENOMEM;
    }
    let mut shared = process().lock();
    let before = shared.map.within(start, end.max(start + PAGE));
    if flags & libc::MREMAP_FIXED as u64 != 0 {
        let (s, e) = pages(call.args[4], new_len);
        if !shared.map.is_clear(s, e) {
            shared.cache.invalidate(s, e);
            shared.map.remove(s, e);
        }
    }
    if before.is_empty() {
        drop(shared);
        return call.pass();
    }
    for page in shared.map.unprotect_all() {
        shared.cache.invalidate(page << 12, (page + 1) << 12);
    }
    let v = call.pass();
    if failed(v) {
        return v;
    }
    shared.cache.invalidate(start, end);
    if flags & 4 == 0 {
        // Not MREMAP_DONTUNMAP.
        shared.map.remove(start, end);
    }
    let (ns, ne) = pages(v as u64, new_len);
    let r = before[0];
    shared.map.insert(CodeRange { start: ns, end: ne, prot: r.prot, shared: r.shared, file: None });
    v
}

/// `brk`, on a program break of the guest's own.
pub fn brk(call: &Call) -> i64 {
    let lock = || process().brk.lock().unwrap_or_else(|e| e.into_inner());
    let Some(before) = lock().as_ref().map(|b| b.current().0) else { return ENOMEM };
    // Asked without the lock: limits look at memory that other locks guard.
    if limits::exceeds(call.args[0].saturating_sub(before), true) {
        return before as i64;
    }
    let v = lock().as_mut().map_or(before, |b| b.brk(loader::GuestAddr(call.args[0])).0);
    if v < before {
        forget(v & !(PAGE - 1), before);
    }
    v as i64
}

/// System V shared memory and old calls that change mappings: afterwards the kernel is asked what
/// is executable now.
pub fn shared_memory(call: &Call) -> i64 {
    assume::revoke(assume::NOTHING_SHARED);
    let v = call.pass();
    if !failed(v) {
        let mut shared = process().lock();
        shared.cache.flush();
        drop(shared);
        rescan();
    }
    v
}

/// Calls by which the kernel maps memory that it writes whenever it likes.
pub fn shared_with_kernel(call: &Call) -> i64 {
    assume::revoke(assume::NOTHING_SHARED);
    pass_writing(call)
}

static RETRIES: AtomicBool = AtomicBool::new(true);

/// Passes a call on. If the kernel could not write to guest memory because pages are watched for
/// writes, they are released and the call is made again.
pub fn pass_writing(call: &Call) -> i64 {
    let v = call.pass();
    if v == -i64::from(libc::EFAULT) && RETRIES.load(Ordering::Relaxed) {
        let mut shared = process().lock();
        let released = shared.map.unprotect_all();
        for page in &released {
            shared.cache.invalidate(page << 12, (page + 1) << 12);
        }
        drop(shared);
        if !released.is_empty() {
            return call.pass();
        }
    }
    v
}

/// One line of `/proc/self/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// `PROT_*`
    pub prot: i32,
    /// Shared mapping.
    pub shared: bool,
    /// What stands behind the protection: offset, device, inode, path.
    pub rest: String,
}

/// The kernel's view of this process's memory.
pub fn kernel_maps() -> Vec<Mapped> {
    let text = std::fs::read("/proc/self/maps").unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapped> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (flags, rest) = rest.split_once(' ')?;
    let f = flags.as_bytes();
    let mut prot = 0;
    for (i, (c, p)) in
        [(b'r', libc::PROT_READ), (b'w', libc::PROT_WRITE), (b'x', libc::PROT_EXEC)].into_iter().enumerate()
    {
        if f.get(i) == Some(&c) {
            prot |= p;
        }
    }
    Some(Mapped {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        prot,
        shared: f.get(3) == Some(&b's'),
        rest: rest.to_owned(),
    })
}

fn is_shared(at: u64) -> bool {
    kernel_maps().iter().any(|m| m.shared && (m.start..m.end).contains(&at))
}

/// Whether anything is mapped at an address.
pub fn is_mapped(at: u64) -> bool {
    let mut v = 0u8;
    // SAFETY: mincore only writes to the local.
    unsafe { libc::mincore((at & !(PAGE - 1)) as *mut libc::c_void, 1, &raw mut v) == 0 }
}

/// Builds the map of code anew from the kernel's view, without our own memory.
pub fn rescan() {
    let own = own_ranges();
    let maps = kernel_maps();
    let mut shared = process().lock();
    let pages = shared.map.unprotect_all();
    for p in pages {
        shared.cache.invalidate(p << 12, (p + 1) << 12);
    }
    shared.map.remove(0, u64::MAX);
    for m in maps {
        if m.prot & libc::PROT_EXEC != 0 && !own.iter().any(|o| o.0 < m.end && m.start < o.1) {
            shared.map.insert(CodeRange {
                start: m.start,
                end: m.end,
                prot: m.prot,
                shared: m.shared,
                file: None,
            });
        }
    }
}

/// Everything in the address space that is the runtime's and was mapped after its start.
pub fn own_ranges() -> Vec<(u64, u64)> {
    let mut v = crate::alloc::ranges();
    v.extend(KEPT_VDSO.get());
    let shared = process().lock();
    v.extend(shared.cache.memory.ranges().into_iter().map(|r| (r.0 as u64, r.1 as u64)));
    let t = shared.cache.table.range();
    v.push((t.0 as u64, t.1 as u64));
    v
}
