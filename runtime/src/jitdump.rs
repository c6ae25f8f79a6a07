//! `--jitdump`: `/tmp/jit-PID.dump`, from which `perf inject --jit` makes symbols and code for `perf annotate`.
//!
//! The format is that of Linux, `tools/perf/Documentation/jitdump-specification.txt`: a header, and a record for each piece of code with its
//! address, its name and its bytes. perf finds the file by an executable mapping of it that it sees made while it records, so that it is
//! mapped at the start; the records are written at the end, with the time of the header, as if all code had been there from the beginning. Code
//! whose memory was used again is therefore shown as what was there last.
//!
//! `perf record -k mono dynrun --jitdump PROGRAM`, `perf inject --jit -i perf.data -o perf.jit.data`, `perf report -i perf.jit.data`.

use fragcache::Cache;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Mutex;

/// The file of this process, once begun, and the time in its header.
static FILE: Mutex<Option<(File, u64)>> = Mutex::new(None);

fn path() -> PathBuf {
    PathBuf::from(format!("/tmp/jit-{}.dump", std::process::id()))
}

/// Nanoseconds of the monotonic clock, which `perf record -k mono` uses.
fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Begins the file, and maps it where perf sees that.
pub fn start() -> std::io::Result<()> {
    let time = now();
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path())?;
    file.write_all(&header(std::process::id(), time))?;
    // SAFETY: a private mapping wherever the kernel likes; nobody looks at it, and it stays.
    let at = unsafe {
        let rights = libc::PROT_READ | libc::PROT_EXEC;
        libc::mmap(std::ptr::null_mut(), 4096, rights, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
    };
    if at == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    *FILE.lock().unwrap_or_else(|e| e.into_inner()) = Some((file, time));
    Ok(())
}

fn header(pid: u32, time: u64) -> Vec<u8> {
    const EM_X86_64: u32 = 62;
    let mut out = Vec::with_capacity(40);
    for word in [0x4A69_5444u32, 1, 40, EM_X86_64, 0, pid] {
        out.extend_from_slice(&word.to_ne_bytes());
    }
    out.extend_from_slice(&time.to_ne_bytes());
    out.extend_from_slice(&0u64.to_ne_bytes());
    out
}

/// A record of code: `JIT_CODE_LOAD`.
fn load(pid: u32, tid: u32, time: u64, index: u64, address: u64, name: &str, code: &[u8]) -> Vec<u8> {
    let size = 16 + 40 + name.len() + 1 + code.len();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&0u32.to_ne_bytes());
    out.extend_from_slice(&(size as u32).to_ne_bytes());
    out.extend_from_slice(&time.to_ne_bytes());
    out.extend_from_slice(&pid.to_ne_bytes());
    out.extend_from_slice(&tid.to_ne_bytes());
    for word in [address, address, code.len() as u64, index] {
        out.extend_from_slice(&word.to_ne_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(code);
    out
}

/// Writes a record for each live fragment. `name` says what each is called.
pub fn finish(
    cache: &Cache,
    mut name: impl FnMut(&fragcache::Fragment<'_>) -> String,
) -> std::io::Result<()> {
    let Some((mut file, time)) = FILE.lock().unwrap_or_else(|e| e.into_inner()).take() else { return Ok(()) };
    let pid = std::process::id();
    let mut out = Vec::new();
    for (index, (_, f)) in cache.fragments().filter(|(_, f)| f.live).enumerate() {
        // SAFETY: a live fragment's code is mapped and readable, and stays so while the cache is borrowed.
        let code = unsafe { std::slice::from_raw_parts(f.start.0 as *const u8, f.len as usize) };
        let name = name(&f);
        out.extend_from_slice(&load(pid, pid, time, index as u64, f.start.0 as u64, &name, code));
    }
    file.write_all(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_sizes_they_say() {
        let header = header(7, 9);
        assert_eq!(header.len(), 40);
        assert_eq!(u32::from_ne_bytes(header[8..12].try_into().unwrap()), 40);
        let record = load(1, 2, 3, 4, 0x1000, "a name", &[0x90, 0xC3]);
        assert_eq!(record.len(), u32::from_ne_bytes(record[4..8].try_into().unwrap()) as usize);
        assert_eq!(record.len(), 16 + 40 + 7 + 2);
        assert!(record.ends_with(b"a name\0\x90\xC3"));
    }
}
