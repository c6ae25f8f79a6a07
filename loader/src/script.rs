//! The `#!` line.
//!
//! Read as the kernel reads it, from the first 256 bytes of the file: blanks around the interpreter are
//! skipped, everything after it up to the end of the line is one argument, and a line that does not end
//! within those bytes is accepted only if at least the interpreter's name does.

use std::ffi::CString;

use crate::error::FormatFault;

/// Bytes of a script that the kernel looks at.
pub(crate) const WINDOW: usize = 256;

/// What a `#!` line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptLine {
    pub interpreter: CString,
    pub argument: Option<CString>,
}

/// Parses the first bytes of a file (zeros where it is shorter). `None` if it is no script at all.
pub(crate) fn parse(window: &[u8; WINDOW]) -> Option<Result<ScriptLine, FormatFault>> {
    let text = window.strip_prefix(b"#!")?;
    Some(parse_line(text).ok_or(FormatFault::ScriptLine))
}

fn parse_line(text: &[u8]) -> Option<ScriptLine> {
    let line = match text.iter().position(|&b| b == b'\n') {
        Some(end) => &text[..end],
        None => {
            // Cut off by the window: the last byte is dropped, and the name must be seen to end.
            let name = skip_blanks(text)?;
            name.iter().position(|&b| ends_word(b))?;
            &text[..text.len() - 1]
        }
    };
    let blanks_after = line.iter().rev().take_while(|&&b| is_blank(b)).count();
    let line = skip_blanks(&line[..line.len() - blanks_after])?;
    let name_end = line.iter().position(|&b| ends_word(b)).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let argument = match rest.first() {
        Some(0) | None => None,
        Some(_) => skip_blanks(rest).map(until_nul),
    };
    Some(ScriptLine { interpreter: until_nul(name), argument })
}

/// The rest of `bytes` from the first one that is no blank; `None` if there is none.
fn skip_blanks(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().position(|&b| !is_blank(b)).map(|start| &bytes[start..])
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn ends_word(byte: u8) -> bool {
    is_blank(byte) || byte == 0
}

fn until_nul(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8]) -> Option<Result<(String, Option<String>), FormatFault>> {
        let mut window = [0; WINDOW];
        let len = text.len().min(WINDOW);
        window[..len].copy_from_slice(&text[..len]);
        let text = |s: CString| s.into_string().expect("tests are in ASCII");
        parse(&window).map(|r| r.map(|l| (text(l.interpreter), l.argument.map(text))))
    }

    fn ok(name: &str, argument: Option<&str>) -> Option<Result<(String, Option<String>), FormatFault>> {
        Some(Ok((name.into(), argument.map(Into::into))))
    }

    #[test]
    fn lines() {
        assert_eq!(line(b""), None);
        assert_eq!(line(b"# /bin/sh\n"), None);
        assert_eq!(line(b"#!/bin/sh\n"), ok("/bin/sh", None));
        assert_eq!(line(b"#! \t/bin/sh \t\nx"), ok("/bin/sh", None));
        assert_eq!(line(b"#!/bin/sh"), ok("/bin/sh", None));
        assert_eq!(line(b"#!/usr/bin/env -S a  b \nc"), ok("/usr/bin/env", Some("-S a  b")));
        assert_eq!(line(b"#!\n"), Some(Err(FormatFault::ScriptLine)));
        assert_eq!(line(b"#!   \n/bin/sh"), Some(Err(FormatFault::ScriptLine)));
        assert_eq!(line(b"#!/bin/sh\0 x\n"), ok("/bin/sh", None));
    }

    #[test]
    fn a_line_longer_than_the_window() {
        let mut long = b"#!/bin/".to_vec();
        long.resize(400, b'x');
        assert_eq!(line(&long), Some(Err(FormatFault::ScriptLine)));
        let mut argument = b"#!/bin/echo ".to_vec();
        argument.resize(400, b'y');
        assert_eq!(line(&argument), ok("/bin/echo", Some(&"y".repeat(WINDOW - 1 - 12))));
        assert_eq!(line(&[b"#!".as_slice(), &[b' '; 300]].concat()), Some(Err(FormatFault::ScriptLine)));
    }
}
