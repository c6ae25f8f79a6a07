//! The C library's streams, clock and process calls, as safe functions.
//!
//! The io library works on the C library's `FILE` rather than on Rust's files: scripts may call C functions that print
//! through `ffi`, and both must go through the same buffers in the same order; and buffering modes, `popen` and number
//! reading are then exactly those of C. A [`Stream`] is a plain pointer: who closes one must not use it again, which
//! the io library sees to by dropping it from its userdata.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;

/// An open C stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(*mut libc::FILE);

/// Where [`Stream::seek`] counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start.
    Set,
    /// The current position.
    Cur,
    /// The end.
    End,
}

/// How a stream is buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// A block at a time.
    Full,
    /// A line at a time.
    Line,
    /// Not at all.
    None,
}

unsafe extern "C" {
    static stdin: *mut libc::FILE;
    static stdout: *mut libc::FILE;
    static stderr: *mut libc::FILE;
    fn fwrite_unlocked(p: *const u8, size: usize, n: usize, f: *mut libc::FILE) -> usize;
    #[link_name = "clock"]
    fn clock_ticks() -> libc::clock_t;
    fn fread_unlocked(p: *mut u8, size: usize, n: usize, f: *mut libc::FILE) -> usize;
}

/// The part of `s` before its first zero byte, as C sees it.
fn c_string(s: &[u8]) -> CString {
    let end = s.iter().position(|&c| c == 0).unwrap_or(s.len());
    CString::new(&s[..end]).unwrap_or_default()
}

/// The error that the last failed call left.
pub fn last_error() -> io::Error {
    io::Error::last_os_error()
}

/// The C library's text for an error number.
pub fn error_text(errno: i32) -> String {
    // SAFETY: `strerror` returns a terminated string; no other thread of this program calls it.
    unsafe { CStr::from_ptr(libc::strerror(errno)) }.to_string_lossy().into_owned()
}

fn check(ok: bool) -> io::Result<()> {
    if ok { Ok(()) } else { Err(last_error()) }
}

impl Stream {
    /// The `FILE`, for C functions.
    pub fn as_ptr(&self) -> *mut libc::FILE {
        self.0
    }
    /// Standard input.
    pub fn stdin() -> Self {
        // SAFETY: the C library initialises its standard streams before `main`.
        Self(unsafe { stdin })
    }
    /// Standard output.
    pub fn stdout() -> Self {
        // SAFETY: as for `stdin`.
        Self(unsafe { stdout })
    }
    /// Standard error.
    pub fn stderr() -> Self {
        // SAFETY: as for `stdin`.
        Self(unsafe { stderr })
    }

    fn opened(f: *mut libc::FILE) -> io::Result<Self> {
        if f.is_null() { Err(last_error()) } else { Ok(Self(f)) }
    }

    /// Opens a file as `fopen` does, whatever it thinks of the mode.
    pub fn open(name: &[u8], mode: &[u8]) -> io::Result<Self> {
        let (name, mode) = (c_string(name), c_string(mode));
        // SAFETY: two terminated strings.
        Self::opened(unsafe { libc::fopen(name.as_ptr(), mode.as_ptr()) })
    }

    /// Starts a command with a pipe to or from it.
    pub fn popen(command: &[u8], mode: &[u8]) -> io::Result<Self> {
        let (command, mode) = (c_string(command), c_string(mode));
        // SAFETY: flushing all streams needs no argument; two terminated strings.
        Self::opened(unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::popen(command.as_ptr(), mode.as_ptr())
        })
    }

    /// A temporary file without a name.
    pub fn temporary() -> io::Result<Self> {
        // SAFETY: no arguments.
        Self::opened(unsafe { libc::tmpfile() })
    }

    /// Closes the stream; it must not be used again.
    pub fn close(self) -> io::Result<()> {
        // SAFETY: an open stream, given up here.
        check(unsafe { libc::fclose(self.0) } == 0)
    }

    /// Closes a pipe and waits for its command; it must not be used again.
    pub fn pclose(self) -> io::Result<i32> {
        // SAFETY: an open stream made by `popen`, given up here.
        let status = unsafe { libc::pclose(self.0) };
        check(status != -1).map(|()| status)
    }

    /// The address that identifies the stream.
    pub fn addr(self) -> usize {
        self.0 as usize
    }

    /// Appends everything there is, up to `max` bytes.
    pub fn read(self, out: &mut Vec<u8>, max: usize) {
        let mut left = max;
        let mut chunk = 1024;
        while left > 0 {
            let n = left.min(chunk);
            if out.try_reserve(n).is_err() {
                return;
            }
            // SAFETY: `n` bytes are reserved behind the length; only as many as were read are taken over.
            let got = unsafe {
                let got = fread_unlocked(out.as_mut_ptr().add(out.len()), 1, n, self.0);
                out.set_len(out.len() + got);
                got
            };
            if got < n {
                return;
            }
            left -= n;
            chunk = (chunk * 2).min(1 << 24);
        }
    }

    /// Appends a line with its newline, if there is one; whether anything was read.
    pub fn read_line(self, out: &mut Vec<u8>) -> bool {
        let mut line: *mut c_char = std::ptr::null_mut();
        let mut size = 0;
        // SAFETY: `getline` allocates the buffer and returns how many bytes it put there; it is freed below.
        unsafe {
            let n = libc::getline(&mut line, &mut size, self.0);
            if n > 0 {
                out.extend_from_slice(std::slice::from_raw_parts(line.cast(), n as usize));
            }
            libc::free(line.cast());
            n > 0
        }
    }

    /// Reads a number as `scanf("%lf")` does.
    pub fn read_number(self) -> Option<f64> {
        let mut n = 0.0f64;
        // SAFETY: the format takes one pointer to a double.
        (unsafe { libc::fscanf(self.0, c"%lf".as_ptr(), &mut n) } == 1).then_some(n)
    }

    /// Whether anything is left to read.
    pub fn has_more(self) -> bool {
        // SAFETY: an open stream; the byte goes back to where it came from.
        unsafe {
            let c = libc::fgetc(self.0);
            libc::ungetc(c, self.0);
            c != libc::EOF
        }
    }

    /// Writes all of `s`.
    pub fn write(self, s: &[u8]) -> io::Result<()> {
        // SAFETY: `s.len()` bytes are readable.
        check(unsafe { fwrite_unlocked(s.as_ptr(), 1, s.len(), self.0) } == s.len())
    }

    /// Writes out what is buffered.
    pub fn flush(self) -> io::Result<()> {
        // SAFETY: an open stream.
        check(unsafe { libc::fflush(self.0) } == 0)
    }

    /// Forgets errors and the end of the file.
    pub fn clear_error(self) {
        // SAFETY: an open stream.
        unsafe { libc::clearerr(self.0) }
    }

    /// Whether an operation failed since the last [`Stream::clear_error`].
    pub fn has_error(self) -> bool {
        // SAFETY: an open stream.
        unsafe { libc::ferror(self.0) != 0 }
    }

    /// Moves to another place; returns the new one.
    pub fn seek(self, whence: Whence, offset: i64) -> io::Result<i64> {
        let whence = match whence {
            Whence::Set => libc::SEEK_SET,
            Whence::Cur => libc::SEEK_CUR,
            Whence::End => libc::SEEK_END,
        };
        // SAFETY: an open stream.
        unsafe {
            check(libc::fseeko(self.0, offset, whence) == 0)?;
            Ok(libc::ftello(self.0))
        }
    }

    /// Chooses the buffering, with a buffer of the C library's own.
    pub fn set_buffering(self, mode: Buffering, size: usize) -> io::Result<()> {
        let mode = match mode {
            Buffering::Full => libc::_IOFBF,
            Buffering::Line => libc::_IOLBF,
            Buffering::None => libc::_IONBF,
        };
        // SAFETY: an open stream; no buffer is handed over.
        check(unsafe { libc::setvbuf(self.0, std::ptr::null_mut(), mode, size) } == 0)
    }

    /// Whether the stream is a terminal.
    pub fn is_terminal(self) -> bool {
        // SAFETY: an open stream has a descriptor, or `fileno` fails and `isatty` says no.
        unsafe { libc::isatty(libc::fileno(self.0)) == 1 }
    }
}

/// Runs a shell command; without one, tells whether there is a shell.
pub fn system(command: Option<&[u8]>) -> i32 {
    let command = command.map(c_string);
    // SAFETY: a terminated string or null.
    unsafe { libc::system(command.as_ref().map_or(std::ptr::null(), |c| c.as_ptr())) }
}

/// Deletes a file or an empty directory.
pub fn remove(name: &[u8]) -> io::Result<()> {
    let name = c_string(name);
    // SAFETY: a terminated string.
    check(unsafe { libc::remove(name.as_ptr()) } == 0)
}

/// Renames a file.
pub fn rename(from: &[u8], to: &[u8]) -> io::Result<()> {
    let (from, to) = (c_string(from), c_string(to));
    // SAFETY: two terminated strings.
    check(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) } == 0)
}

/// Creates a file with a new name in `/tmp`; returns the name.
pub fn temporary_name() -> io::Result<Vec<u8>> {
    let mut name = *b"/tmp/lua_XXXXXX\0";
    // SAFETY: a terminated template that `mkstemp` fills in; the descriptor is ours to close.
    unsafe {
        let fd = libc::mkstemp(name.as_mut_ptr().cast());
        check(fd != -1)?;
        libc::close(fd);
    }
    Ok(name[..15].to_vec())
}

/// An environment variable.
pub fn getenv(name: &[u8]) -> Option<Vec<u8>> {
    let name = c_string(name);
    // SAFETY: a terminated string; the answer is copied before anything can change the environment.
    unsafe {
        let v = libc::getenv(name.as_ptr());
        (!v.is_null()).then(|| CStr::from_ptr(v).to_bytes().to_vec())
    }
}

/// Processor time used, in seconds.
pub fn clock() -> f64 {
    // SAFETY: no arguments.
    unsafe { clock_ticks() as f64 * (1.0 / 1_000_000.0) }
}

/// Ends the process after the C library's own clean-up (which flushes its streams).
pub fn exit(status: i32) -> ! {
    // SAFETY: runs the exit handlers; nothing of ours is registered there.
    unsafe { libc::exit(status as c_int) }
}

/// A category of the locale, in the order of `os.setlocale`'s names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of C")]
pub enum Locale {
    Ctype,
    Numeric,
    Time,
    Collate,
    Monetary,
    All,
}

/// Sets or asks for the locale of a category.
pub fn set_locale(category: Locale, name: Option<&[u8]>) -> Option<Vec<u8>> {
    let category = match category {
        Locale::Ctype => libc::LC_CTYPE,
        Locale::Numeric => libc::LC_NUMERIC,
        Locale::Time => libc::LC_TIME,
        Locale::Collate => libc::LC_COLLATE,
        Locale::Monetary => libc::LC_MONETARY,
        Locale::All => libc::LC_ALL,
    };
    let name = name.map(c_string);
    // SAFETY: a terminated string or null; the answer is copied at once.
    unsafe {
        let r = libc::setlocale(category, name.as_ref().map_or(std::ptr::null(), |n| n.as_ptr()));
        (!r.is_null()).then(|| CStr::from_ptr(r).to_bytes().to_vec())
    }
}

/// 32 random bytes of the system.
pub fn entropy() -> Option<[u64; 4]> {
    let mut u = [0u64; 4];
    // SAFETY: 32 writable bytes.
    let n = unsafe { libc::getrandom(u.as_mut_ptr().cast(), 32, 0) };
    (n == 32).then_some(u)
}

/// A broken-down time, as C has it.
#[derive(Clone, Copy)]
pub struct Date(libc::tm);

/// Seconds since 1970.
pub fn now() -> i64 {
    // SAFETY: a null pointer asks for the result alone.
    unsafe { libc::time(std::ptr::null_mut()) }
}

impl Date {
    /// The date of `t`, local or UTC; `None` if the year does not fit.
    pub fn of(t: i64, utc: bool) -> Option<Self> {
        // SAFETY: `tm` is plain data for which zero is valid; both functions write it or return null.
        unsafe {
            let mut tm: libc::tm = std::mem::zeroed();
            let r = if utc { libc::gmtime_r(&t, &mut tm) } else { libc::localtime_r(&t, &mut tm) };
            (!r.is_null()).then_some(Self(tm))
        }
    }

    /// The fields of `os.date("*t")` in its order: sec, min, hour, day, month, year, wday, yday.
    pub fn fields(&self) -> [(&'static str, i32); 8] {
        let t = &self.0;
        [
            ("sec", t.tm_sec),
            ("min", t.tm_min),
            ("hour", t.tm_hour),
            ("day", t.tm_mday),
            ("month", t.tm_mon + 1),
            ("year", t.tm_year.wrapping_add(1900)),
            ("wday", t.tm_wday + 1),
            ("yday", t.tm_yday + 1),
        ]
    }

    /// Daylight saving time, if known.
    pub fn dst(&self) -> Option<bool> {
        (self.0.tm_isdst >= 0).then_some(self.0.tm_isdst > 0)
    }

    /// The date as text, by `strftime`. `None`: the text came out empty, which C cannot tell from too long.
    pub fn format(&self, format: &[u8]) -> Option<Vec<u8>> {
        let format = c_string(format);
        let mut size = format.as_bytes().iter().map(|&c| if c == b'%' { 30 } else { 1 }).sum::<usize>();
        for _ in 0..4 {
            let mut buf = vec![0u8; size.max(32)];
            // SAFETY: the buffer has the size given, the format is terminated.
            let n = unsafe { libc::strftime(buf.as_mut_ptr().cast(), buf.len(), format.as_ptr(), &self.0) };
            if n > 0 {
                buf.truncate(n);
                return Some(buf);
            }
            size += size | 1;
        }
        None
    }

    /// Seconds since 1970 of a local time given by sec, min, hour, day, month and year; `None` if out of range.
    pub fn to_time(fields: [i32; 6], dst: Option<bool>) -> Option<i64> {
        // SAFETY: `tm` is plain data for which zero is valid; `mktime` reads and normalises it. `errno` is ours.
        unsafe {
            let mut tm: libc::tm = std::mem::zeroed();
            [tm.tm_sec, tm.tm_min, tm.tm_hour, tm.tm_mday] = [fields[0], fields[1], fields[2], fields[3]];
            tm.tm_mon = fields[4].wrapping_sub(1);
            tm.tm_year = fields[5].wrapping_sub(1900);
            tm.tm_isdst = dst.map_or(-1, i32::from);
            *libc::__errno_location() = 0;
            let t = libc::mktime(&mut tm);
            (t != -1 || *libc::__errno_location() == 0).then_some(t)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams() {
        let f = Stream::temporary().unwrap();
        f.write(b"one\ntw\0o\n12.5 end").unwrap();
        assert_eq!(f.seek(Whence::Set, 0).unwrap(), 0);
        let mut line = Vec::new();
        assert!(f.read_line(&mut line) && line == b"one\n");
        line.clear();
        assert!(f.read_line(&mut line) && line == b"tw\0o\n");
        assert_eq!(f.read_number(), Some(12.5));
        assert!(f.has_more());
        let mut rest = Vec::new();
        f.read(&mut rest, usize::MAX);
        assert_eq!(rest, b" end");
        assert!(!f.has_more());
        f.close().unwrap();
        assert_eq!(Stream::open(b"/no/such", b"r").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(error_text(libc::ENOENT), "No such file or directory");
    }

    #[test]
    fn dates() {
        let d = Date::of(0, true).unwrap();
        assert_eq!(d.format(b"%Y-%m-%d %H:%M:%S").unwrap(), b"1970-01-01 00:00:00");
        assert_eq!(d.fields()[5], ("year", 1970));
        assert!(Date::of(i64::MAX, true).is_none());
        let t = Date::to_time([0, 0, 12, 1, 1, 2000], None).unwrap();
        assert_eq!(Date::of(t, false).unwrap().format(b"%H").unwrap(), b"12");
    }
}
