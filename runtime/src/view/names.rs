//! What guest addresses are called: functions and source lines of the files that are mapped there.
//!
//! A file is opened when the first of its addresses is asked for. What has no symbols, or cannot be read, has no names;
//! nothing here fails.

use std::collections::HashMap;
use std::fs;

/// A file's mapping.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

/// A file with its symbols, and the addresses that its own headers give to its segments.
struct File {
    loader: addr2line::Loader,
    /// Offset, length and address of each loaded segment.
    segments: Vec<(u64, u64, u64)>,
}

/// Names of one process, as it is mapped when this is made.
pub struct Names {
    mappings: Vec<Mapping>,
    files: HashMap<String, Option<File>>,
    texts: HashMap<String, Vec<String>>,
}

impl Names {
    /// Reads what is mapped.
    pub fn new() -> Names {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Names {
            mappings: maps.lines().filter_map(mapping).collect(),
            files: HashMap::new(),
            texts: HashMap::new(),
        }
    }

    /// The files that have code mapped: where the first byte of each stands or would stand, behind its last mapping, and its path.
    pub fn modules(&self) -> Vec<(u64, u64, String)> {
        let mut modules: Vec<(u64, u64, String)> = Vec::new();
        for m in &self.mappings {
            match modules.iter_mut().find(|(_, _, path)| *path == m.path) {
                Some((_, end, _)) => *end = m.end,
                None => modules.push((m.start.saturating_sub(m.offset), m.end, m.path.clone())),
            }
        }
        let own = std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default();
        // Our own code memory is a file without a name.
        modules.retain(|(_, _, path)| *path != own && !path.ends_with(" (deleted)"));
        modules
    }

    /// The file at an address, and the address as the file's own headers count.
    fn place(&mut self, pc: u64) -> Option<(&File, u64)> {
        let m = self.mappings.iter().find(|m| (m.start..m.end).contains(&pc))?;
        let offset = pc - m.start + m.offset;
        let file = self.files.entry(m.path.clone()).or_insert_with(|| open(&m.path)).as_ref()?;
        let (at, _, address) = file.segments.iter().find(|(at, len, _)| (*at..at + len).contains(&offset))?;
        Some((file, offset - at + address))
    }

    /// The function at an address, with its file when it has no symbol; empty when nothing is known.
    pub fn function(&mut self, pc: u64) -> String {
        let found = self.place(pc).and_then(|(f, address)| f.loader.find_symbol(address).map(str::to_owned));
        if let Some(name) = found {
            // Read as a mangled name, the `f` of a C program is a `float`.
            let mangled = ["_Z", "__Z", "_R"].iter().any(|start| name.starts_with(start));
            return if mangled {
                addr2line::demangle_auto(name.as_str().into(), None).into_owned()
            } else {
                name
            };
        }
        let m = self.mappings.iter().find(|m| (m.start..m.end).contains(&pc));
        m.map_or_else(String::new, |m| {
            format!("{}+{:#x}", m.path.rsplit('/').next().unwrap_or_default(), pc - m.start + m.offset)
        })
    }

    /// `file:line`; empty when nothing is known.
    pub fn line(&mut self, pc: u64) -> String {
        let Some((file, address)) = self.place(pc) else { return String::new() };
        let Ok(Some(location)) = file.loader.find_location(address) else { return String::new() };
        match (location.file, location.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.to_owned(),
            _ => String::new(),
        }
    }

    /// The text of a line that [`Names::line`] gave, where the file can be read.
    pub fn text(&mut self, line: &str) -> String {
        let Some((path, number)) = line.rsplit_once(':') else { return String::new() };
        let Ok(number) = number.parse::<usize>() else { return String::new() };
        let lines = self.texts.entry(path.to_owned()).or_insert_with(|| {
            let bytes = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
        });
        number.checked_sub(1).and_then(|n| lines.get(n)).map_or_else(String::new, |l| l.trim().to_owned())
    }
}

/// A line of `/proc/self/maps` that is of a file.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = line.find('/').map(|at| line[at..].to_owned())?;
    let number = |t: &str| u64::from_str_radix(t, 16).ok();
    Some(Mapping { start: number(start)?, end: number(end)?, offset: number(offset)?, path })
}

fn open(path: &str) -> Option<File> {
    let bytes = fs::read(path).ok()?;
    let headers = goblin::elf::Elf::parse(&bytes).ok()?.program_headers;
    let segments = headers
        .iter()
        .filter(|h| h.p_type == goblin::elf::program_header::PT_LOAD)
        .map(|h| (h.p_offset, h.p_filesz, h.p_vaddr))
        .collect();
    Some(File { loader: addr2line::Loader::new(path).ok()?, segments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps() {
        let m = mapping("7f0000001000-7f0000003000 r-xp 00002000 fe:00 1234   /usr/lib/a b.so").unwrap();
        assert_eq!((m.start, m.end, m.offset), (0x7f00_0000_1000, 0x7f00_0000_3000, 0x2000));
        assert_eq!(m.path, "/usr/lib/a b.so");
        assert!(mapping("7f0000001000-7f0000003000 rw-p 00000000 00:00 0   [stack]").is_none());
        assert!(mapping("").is_none());
    }

    #[test]
    fn this_very_test_has_a_name() {
        let mut names = Names::new();
        let here = this_very_test_has_a_name as fn() as usize as u64;
        assert!(names.function(here).contains("this_very_test_has_a_name"), "{}", names.function(here));
        assert_eq!(names.function(8), "");
        assert_eq!(names.line(8), "");
        assert_eq!(names.text("/no/such/file:7"), "");
    }
}
