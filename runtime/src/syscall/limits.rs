//! Limits on memory (`RLIMIT_AS`, `RLIMIT_DATA`): the guest's are for the guest's memory alone.
//!
//! The kernel counts our memory too, so it gets a limit with room for us, and calls that take memory
//! are checked here against the guest's. Nothing of this costs anything while there is no limit.
//! What the guest uses is what the kernel counts less what we know as ours.

use super::{Call, memory};
use crate::process::process;
use crate::signal::{read_guest, write_guest};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Room for the runtime beyond what it has already. Bytes.
const ROOM: u64 = 1 << 30;
const INFINITY: u64 = libc::RLIM_INFINITY;
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// Soft and hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    soft: u64,
    hard: u64,
}

/// The guest's limits on address space and on data, where the kernel has others.
static LIMITS: Mutex<[Option<Limit>; 2]> = Mutex::new([None; 2]);
static ACTIVE: AtomicBool = AtomicBool::new(false);
const RESOURCES: [u32; 2] = [libc::RLIMIT_AS, libc::RLIMIT_DATA];

fn limits() -> std::sync::MutexGuard<'static, [Option<Limit>; 2]> {
    LIMITS.lock().unwrap_or_else(|e| e.into_inner())
}

fn with_room(limit: u64) -> u64 {
    if limit == INFINITY { INFINITY } else { limit.saturating_add(ROOM + own_bytes()) }
}

/// Bytes of address space that are ours.
fn own_bytes() -> u64 {
    let mut all = process().view.own().to_vec();
    all.extend(memory::own_ranges());
    all.sort_unstable();
    // The lists overlap.
    let (mut sum, mut at) = (0, 0);
    for (start, end) in all {
        sum += end.saturating_sub(start.max(at));
        at = at.max(end);
    }
    sum
}

fn kernel_set(resource: u32, soft: u64, hard: u64) -> i64 {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: reads a local.
    let r = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const new, 0usize) };
    if r == 0 { 0 } else { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM)) }
}

fn kernel_get(resource: u32) -> Limit {
    // SAFETY: fills a local.
    let l = unsafe {
        let mut l: libc::rlimit64 = std::mem::zeroed();
        libc::syscall(libc::SYS_prlimit64, 0, resource, 0usize, &raw mut l);
        l
    };
    Limit { soft: l.rlim_cur, hard: l.rlim_max }
}

/// At the start: `passed` is what the process before handed on ([`hand_over`]); without it, limits in
/// force become the guest's, and ours are raised as far as we may.
pub fn start(passed: Option<&str>) {
    let mut all = limits();
    if let Some(text) = passed {
        let numbers: Vec<u64> = text.split(':').filter_map(|n| n.parse().ok()).collect();
        for (slot, pair) in all.iter_mut().zip(numbers.chunks_exact(2)) {
            let limit = Limit { soft: pair[0], hard: pair[1] };
            *slot = (limit.soft != INFINITY || limit.hard != INFINITY).then_some(limit);
        }
    } else {
        for (slot, resource) in all.iter_mut().zip(RESOURCES) {
            let l = kernel_get(resource);
            if l.soft != INFINITY {
                let hard = with_room(l.hard);
                if kernel_set(resource, with_room(l.soft), hard) != 0 {
                    kernel_set(resource, with_room(l.soft).min(l.hard), l.hard);
                }
                *slot = Some(l);
            }
        }
    }
    ACTIVE.store(all.iter().any(Option::is_some), Ordering::Relaxed);
}

/// The guest's limits for the next program's runtime.
pub fn hand_over() -> Option<String> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    let none = Limit { soft: INFINITY, hard: INFINITY };
    let [a, d] = *limits();
    let (a, d) = (a.unwrap_or(none), d.unwrap_or(none));
    Some(format!("{}:{}:{}:{}", a.soft, a.hard, d.soft, d.hard))
}

/// The kernel gets the guest's own limits, for a program that it executes natively.
pub fn install() {
    for (limit, resource) in limits().iter().zip(RESOURCES) {
        if let Some(l) = limit {
            kernel_set(resource, l.soft, l.hard);
        }
    }
}

/// `getrlimit`, `setrlimit`, `prlimit64`
pub fn rlimit(call: &Call) -> i64 {
    let a = &call.args;
    let (pid, resource, new_at, old_at) = match call.number as i64 {
        libc::SYS_getrlimit => (0, a[0], 0, a[1]),
        libc::SYS_setrlimit => (0, a[0], a[1], 0),
        _ => (a[0] as i32, a[1], a[2], a[3]),
    };
    let slot = RESOURCES.iter().position(|&r| r == resource as u32);
    let (Some(slot), true) = (slot, pid == 0 || pid == std::process::id() as i32) else {
        return memory::pass_writing(call);
    };
    let mut new = None;
    if new_at != 0 {
        let mut b = [0u8; 16];
        if read_guest(new_at, &mut b).is_err() {
            return EFAULT;
        }
        let word = |i: usize| u64::from_le_bytes(b[i..i + 8].try_into().expect("eight bytes"));
        new = Some(Limit { soft: word(0), hard: word(8) });
    } else if call.number as i64 == libc::SYS_setrlimit {
        return EFAULT;
    }
    // Before the lock is taken: it looks at memory of ours.
    let room = new.map(|n| (with_room(n.soft), with_room(n.hard)));
    let old = {
        let mut all = limits();
        let old = all[slot].unwrap_or_else(|| kernel_get(RESOURCES[slot]));
        if let (Some(new), Some((soft, hard))) = (new, room) {
            if new.soft > new.hard {
                return EINVAL;
            }
            let v = kernel_set(RESOURCES[slot], soft, hard);
            if v != 0 {
                return v;
            }
            all[slot] = (new.soft != INFINITY || new.hard != INFINITY).then_some(new);
            ACTIVE.store(all.iter().any(Option::is_some), Ordering::Relaxed);
        }
        old
    };
    if old_at == 0 {
        return 0;
    }
    let mut b = [0u8; 16];
    b[..8].copy_from_slice(&old.soft.to_le_bytes());
    b[8..].copy_from_slice(&old.hard.to_le_bytes());
    if write_guest(old_at, &b).is_err() { EFAULT } else { 0 }
}

/// Whether taking `extra` more bytes would exceed a limit; `data`: private and writable ones.
pub fn exceeds(extra: u64, data: bool) -> bool {
    if !ACTIVE.load(Ordering::Relaxed) {
        return false;
    }
    let [space, heap] = *limits();
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = |i: usize| text.split_whitespace().nth(i).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let own = own_bytes();
    let over = |limit: Option<Limit>, used: u64| {
        limit.is_some_and(|l| l.soft != INFINITY && used.saturating_sub(own).saturating_add(extra) > l.soft)
    };
    over(space, pages(0) * 4096) || data && over(heap, pages(5) * 4096)
}
