//! From a program's name to its path, as a shell looks it up.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{error::LoadError, sys};

/// Where to look when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Finds the file that running `program` means. A name with a slash is a path already; others are looked
/// up in the directories of `path` (the value of `PATH`, an empty element is the current directory).
///
/// The first executable file wins. If there is none, the first one that merely exists is reported as not
/// executable (status 126), else the name as not found (127). The result is not opened: [`load`](crate::load)
/// and [`check`](crate::check()) say whether it can run.
pub fn resolve(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, LoadError> {
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let not_found = || LoadError::NotFound { name: program.to_string_lossy().into_owned() };
    if program.is_empty() {
        return Err(not_found());
    }
    let dirs: OsString = path.unwrap_or(OsStr::new(DEFAULT_PATH)).to_owned();
    let mut refused = None;
    for dir in dirs.as_bytes().split(|&b| b == b':') {
        let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
        let candidate = dir.join(program);
        let Ok(meta) = candidate.metadata() else { continue };
        if meta.is_dir() {
            continue;
        }
        if sys::has_execute_bit(&candidate) {
            return Ok(candidate);
        }
        refused.get_or_insert(candidate);
    }
    Err(refused.map_or_else(not_found, |path| LoadError::NotExecutable { path }))
}
