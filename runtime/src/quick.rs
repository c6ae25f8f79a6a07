//! Command lines as most processes have them, read without the command line parser.
//!
//! A shell script starts a thousand processes, and building the description of all options for each takes longer than
//! looking for those that are there. So plain command lines, and above all those by which `dynrun` executes itself
//! (`Options::forward` and `syscall::exec`), are read here. Whatever is not understood at once, wrong, given twice, or said by the
//! environment is left to the parser, which knows everything and has the words for it. The two must agree: a test compares them.

use crate::options::{CACHE_LIMIT, HOT, LEVEL, Options, Tier};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The options of this process, when its command line is a plain one.
pub fn options() -> Option<Options> {
    let by_environment = std::env::vars_os().any(|(name, _)| name.as_bytes().starts_with(b"DYNRUN_"));
    if by_environment { None } else { read(std::env::args_os()) }
}

/// Likewise for any command line, the program's own name first.
fn read(mut words: impl Iterator<Item = OsString>) -> Option<Options> {
    let mut o = Options {
        tier: Tier::Trace,
        level: LEVEL,
        hot: HOT,
        fuel: None,
        without: Vec::new(),
        always_optimize: false,
        paths: None,
        stats: None,
        report: None,
        log: None,
        events: None,
        dump: None,
        traces: None,
        verify: false,
        no_follow: false,
        perf_map: false,
        jitdump: false,
        gdb: false,
        timeline: None,
        drcov: None,
        cache_limit: CACHE_LIMIT,
        no_aslr: false,
        cache_dir: None,
        no_persist: false,
        sysroot: None,
        argv0: None,
        root: None,
        ignored: 0,
        limits: None,
        exec_fd: None,
        seccomp_fd: None,
        man: false,
        completions: None,
        program: Vec::new(),
    };
    words.next()?;
    let mut seen = 0u32;
    loop {
        let word = words.next()?;
        if !word.as_bytes().starts_with(b"-") {
            o.program.push(word);
            break;
        }
        if word == "--" {
            o.program.push(words.next()?);
            break;
        }
        let which = one(&mut o, &word, &mut words)?;
        if seen & 1 << which != 0 {
            return None;
        }
        seen |= 1 << which;
    }
    o.program.extend(words);
    Some(o)
}

/// Reads one option; which it is.
fn one(o: &mut Options, word: &OsString, words: &mut impl Iterator<Item = OsString>) -> Option<u32> {
    if word == "--argv0" {
        o.argv0 = Some(words.next()?);
        return Some(0);
    }
    let bytes = word.as_bytes();
    if let Some(dir) = bytes.strip_prefix(b"--cache-dir=").filter(|d| !d.is_empty()) {
        o.cache_dir = Some(OsString::from_vec(dir.to_vec()).into());
        return Some(1);
    }
    if let Some(dir) = bytes.strip_prefix(b"--sysroot=").filter(|d| !d.is_empty()) {
        o.sysroot = Some(OsString::from_vec(dir.to_vec()).into());
        return Some(13);
    }
    let text = word.to_str()?;
    match text {
        "-O0" | "-O1" | "-O2" | "-O3" => {
            o.level = bytes[2] - b'0';
            return Some(2);
        }
        "--tier" => {
            o.tier = match words.next()?.to_str()? {
                "interp" => Tier::Interp,
                "block" => Tier::Block,
                "trace" => Tier::Trace,
                _ => return None,
            };
            return Some(3);
        }
        "-L" => {
            o.sysroot = Some(words.next().filter(|w| !w.as_bytes().starts_with(b"-"))?.into());
            return Some(13);
        }
        "--no-aslr" => {
            o.no_aslr = true;
            return Some(4);
        }
        "--no-persist" => {
            o.no_persist = true;
            return Some(5);
        }
        _ => {}
    }
    let (name, value) = text.split_once('=')?;
    // Signs, spaces and the like are the parser's business.
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = if plain { value.parse::<u64>().ok() } else { None };
    let small = |least, most| number.filter(|n| (least..=most).contains(n)).map(|n| n as u32);
    Some(match name {
        "--hot" => {
            o.hot = small(1, 1_000_000)?;
            6
        }
        "--cache-limit" => {
            o.cache_limit = small(2, 65536)?;
            7
        }
        "--root" => {
            o.root = Some(small(0, u64::from(u32::MAX))?);
            8
        }
        "--ignored" => {
            o.ignored = number?;
            9
        }
        "--limits" if !value.is_empty() => {
            o.limits = Some(value.to_owned());
            10
        }
        "--exec-fd" => {
            o.exec_fd = Some(small(0, i32::MAX as u64)? as i32);
            11
        }
        "--seccomp-fd" => {
            o.seccomp_fd = Some(small(0, i32::MAX as u64)? as i32);
            12
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn split(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_is_read_is_what_the_parser_reads() {
        let lines = [
            "dynrun true",
            "dynrun ls -l --color -- x",
            "dynrun -- -strange- -O2",
            "dynrun -O3 --no-persist ls",
            "dynrun -L /x/y ls",
            "dynrun --sysroot=/x/y ls",
            "dynrun --tier block --hot=10 --cache-limit=64 --cache-dir=/x/y --no-aslr a b",
            "dynrun --root=12 --ignored=5 --limits=1,2,3,4 --exec-fd=3 --seccomp-fd=4 --argv0 -sh -- /bin/sh -c :",
        ];
        for line in lines {
            let quick = read(split(line).into_iter()).unwrap_or_else(|| panic!("not understood: {line}"));
            assert_eq!(quick, Options::try_parse_from(split(line)).unwrap(), "{line}");
        }
    }

    #[test]
    fn what_a_process_hands_on_is_understood() {
        let mut line = vec!["dynrun".into()];
        line.extend(read(split("dynrun x").into_iter()).unwrap().forward());
        line.extend(split("--root=1 -- x"));
        assert_eq!(read(line.clone().into_iter()).unwrap(), Options::try_parse_from(line).unwrap());
    }

    #[test]
    fn the_rest_is_left_to_the_parser() {
        for line in [
            "dynrun",
            "dynrun --",
            "dynrun --help",
            "dynrun -O4 x",
            "dynrun -O2 -O2 x",
            "dynrun --hot=0 x",
            "dynrun --hot=+7 x",
            "dynrun --hot 7 x",
            "dynrun --stats x",
            "dynrun --tier none x",
            "dynrun --cache-dir= x",
            "dynrun --root=99999999999 x",
        ] {
            assert_eq!(read(split(line).into_iter()), None, "{line}");
        }
    }
}
