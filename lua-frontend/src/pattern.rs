//! Lua patterns: the matcher behind `string.find`, `match`, `gmatch` and `gsub`.
//!
//! A backtracking matcher over bytes. Terms: a *single* is something that matches one byte (`a`, `.`, `%d`, `[a-z]`); an
//! *item* is a single with an optional `* + - ?`, or a capture, `%1`, `%bxy`, `%f[set]`. A zero byte ends the pattern
//! (use `%z`). Nesting of the match is limited to [`MAX_DEPTH`] and captures to [`MAX_CAPTURES`], so that no pattern
//! can exhaust the machine's stack; running time is not limited.
//!
//! ```
//! use lua_frontend::pattern::{Capture, Matcher};
//! let mut m = Matcher::new(b"key = value", b"(%w+)%s*=%s*()");
//! assert_eq!(m.match_at(0), Ok(Some(6)));
//! assert_eq!(m.capture(0, 0, 6), Ok(Capture::Text(0, 3)));
//! assert_eq!(m.capture(1, 0, 6), Ok(Capture::Position(7)));
//! ```
#![forbid(unsafe_code)]

use crate::chars::{self, ALNUM, ALPHA, CNTRL, DIGIT, GRAPH, LOWER, PUNCT, SPACE, UPPER, XDIGIT};

/// Most captures of a pattern.
pub const MAX_CAPTURES: usize = 32;
/// Deepest nesting of items that may be matched.
pub const MAX_DEPTH: u32 = 200;

/// What is wrong with a pattern, or with the use of its captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `%f` without a set.
    #[error("missing '[' after '%f' in pattern")]
    Frontier,
    /// `)` without `(`.
    #[error("invalid pattern capture")]
    Capture,
    /// `%` at the end.
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    /// A set without its end.
    #[error("malformed pattern (missing ']')")]
    MissingBracket,
    /// `%b` without its two bytes.
    #[error("unbalanced pattern")]
    Unbalanced,
    /// Deeper than [`MAX_DEPTH`].
    #[error("pattern too complex")]
    TooComplex,
    /// `%1` for a capture that does not exist (yet).
    #[error("invalid capture index")]
    CaptureIndex,
    /// More than [`MAX_CAPTURES`].
    #[error("too many captures")]
    TooManyCaptures,
    /// `(` without `)`.
    #[error("unfinished capture")]
    Unfinished,
}

/// A capture as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Bytes from the first offset up to the second.
    Text(usize, usize),
    /// `()`: the position, counted from 1.
    Position(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Open,
    Position,
    Closed(usize),
}

/// A subject, a pattern and the captures of the last match.
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    level: usize,
    depth: u32,
    captures: [(usize, Extent); MAX_CAPTURES],
}

/// Whether `pattern` means anything else than its own bytes.
pub fn has_specials(pattern: &[u8]) -> bool {
    pattern.iter().any(|c| matches!(c, b'^' | b'$' | b'*' | b'+' | b'?' | b'.' | b'(' | b'[' | b'%' | b'-'))
}

/// The first place of `needle` in `hay`.
pub fn find_plain(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let Some((&first, rest)) = needle.split_first() else { return Some(0) };
    let last = hay.len().checked_sub(needle.len())?;
    let mut from = 0;
    while from <= last {
        from += hay[from..=last].iter().position(|&c| c == first)?;
        if hay[from + 1..].starts_with(rest) {
            return Some(from);
        }
        from += 1;
    }
    None
}

type Step = Result<Option<usize>, PatternError>;

impl<'a> Matcher<'a> {
    /// A matcher of `pattern` (without a leading `^`) on `subject`.
    pub fn new(subject: &'a [u8], pattern: &'a [u8]) -> Self {
        Self { subject, pattern, level: 0, depth: 0, captures: [(0, Extent::Open); MAX_CAPTURES] }
    }

    /// Matches at offset `s` of the subject; the result is the offset behind the match.
    ///
    /// # Errors
    /// The pattern is malformed where the match went, or too complex.
    pub fn match_at(&mut self, s: usize) -> Step {
        self.level = 0;
        self.depth = 0;
        self.items(s, 0)
    }

    /// Number of captures of the last match; none means that the whole match is taken.
    pub fn capture_count(&self) -> usize {
        self.level
    }

    /// Capture `i` of the last match, which reached from `start` to `end`.
    ///
    /// # Errors
    /// There is no such capture, or it was not closed.
    pub fn capture(&self, i: usize, start: usize, end: usize) -> Result<Capture, PatternError> {
        if i >= self.level {
            return if i == 0 { Ok(Capture::Text(start, end)) } else { Err(PatternError::CaptureIndex) };
        }
        match self.captures[i] {
            (_, Extent::Open) => Err(PatternError::Unfinished),
            (at, Extent::Position) => Ok(Capture::Position(at + 1)),
            (at, Extent::Closed(len)) => Ok(Capture::Text(at, at + len)),
        }
    }

    #[inline]
    fn pat(&self, i: usize) -> u8 {
        self.pattern.get(i).copied().unwrap_or(0)
    }

    /// The end of the single at `p`.
    fn single_end(&self, p: usize) -> Result<usize, PatternError> {
        match self.pat(p) {
            b'%' => match self.pat(p + 1) {
                0 => Err(PatternError::EndsWithEscape),
                _ => Ok(p + 2),
            },
            b'[' => {
                let mut p = p + 1;
                if self.pat(p) == b'^' {
                    p += 1;
                }
                loop {
                    // The first byte is never the end: `[]]` is a set with a bracket.
                    let c = self.pat(p);
                    if c == 0 {
                        return Err(PatternError::MissingBracket);
                    }
                    p += 1;
                    if c == b'%' && self.pat(p) != 0 {
                        p += 1;
                    }
                    if self.pat(p) == b']' {
                        return Ok(p + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether `c` is in the set that opens at `p` and closes at `end`.
    fn in_set(&self, c: u8, mut p: usize, end: usize) -> bool {
        let mut inside = true;
        if self.pat(p + 1) == b'^' {
            inside = false;
            p += 1;
        }
        p += 1;
        while p < end {
            let q = self.pat(p);
            if q == b'%' {
                p += 1;
                if in_class(c, self.pat(p)) {
                    return inside;
                }
            } else if self.pat(p + 1) == b'-' && p + 2 < end {
                p += 2;
                if q <= c && c <= self.pat(p) {
                    return inside;
                }
            } else if q == c {
                return inside;
            }
            p += 1;
        }
        !inside
    }

    /// Whether `c` matches the single from `p` to `end`.
    #[inline]
    fn single(&self, c: u8, p: usize, end: usize) -> bool {
        match self.pat(p) {
            b'.' => true,
            b'%' => in_class(c, self.pat(p + 1)),
            b'[' => self.in_set(c, p, end - 1),
            q => q == c,
        }
    }

    fn items(&mut self, s: usize, p: usize) -> Step {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PatternError::TooComplex);
        }
        let r = self.items_inner(s, p)?;
        self.depth -= 1;
        Ok(r)
    }

    fn items_inner(&mut self, mut s: usize, mut p: usize) -> Step {
        loop {
            match self.pat(p) {
                0 => return Ok(Some(s)),
                b'(' if self.pat(p + 1) == b')' => return self.open(s, p + 2, Extent::Position),
                b'(' => return self.open(s, p + 1, Extent::Open),
                b')' => return self.close(s, p + 1),
                b'$' if self.pat(p + 1) == 0 => return Ok((s == self.subject.len()).then_some(s)),
                b'%' => match self.pat(p + 1) {
                    b'b' => {
                        let Some(next) = self.balanced(s, p + 2)? else { return Ok(None) };
                        (s, p) = (next, p + 4);
                        continue;
                    }
                    b'f' => {
                        p += 2;
                        if self.pat(p) != b'[' {
                            return Err(PatternError::Frontier);
                        }
                        let end = self.single_end(p)?;
                        let before = if s == 0 { 0 } else { self.subject[s - 1] };
                        let here = self.subject.get(s).copied().unwrap_or(0);
                        if self.in_set(before, p, end - 1) || !self.in_set(here, p, end - 1) {
                            return Ok(None);
                        }
                        p = end;
                        continue;
                    }
                    d if d.is_ascii_digit() => {
                        let Some(next) = self.again(s, d)? else { return Ok(None) };
                        (s, p) = (next, p + 2);
                        continue;
                    }
                    _ => {}
                },
                _ => {}
            }
            let end = self.single_end(p)?;
            let hit = s < self.subject.len() && self.single(self.subject[s], p, end);
            match self.pat(end) {
                b'?' => {
                    if hit && let Some(e) = self.items(s + 1, end + 1)? {
                        return Ok(Some(e));
                    }
                    p = end + 1;
                }
                b'*' => return self.longest(s, p, end),
                b'+' => return if hit { self.longest(s + 1, p, end) } else { Ok(None) },
                b'-' => return self.shortest(s, p, end),
                _ if hit => (s, p) = (s + 1, end),
                _ => return Ok(None),
            }
        }
    }

    fn longest(&mut self, s: usize, p: usize, end: usize) -> Step {
        let mut i = s;
        while i < self.subject.len() && self.single(self.subject[i], p, end) {
            i += 1;
        }
        loop {
            if let Some(e) = self.items(i, end + 1)? {
                return Ok(Some(e));
            }
            if i == s {
                return Ok(None);
            }
            i -= 1;
        }
    }

    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Step {
        loop {
            if let Some(e) = self.items(s, end + 1)? {
                return Ok(Some(e));
            }
            if s < self.subject.len() && self.single(self.subject[s], p, end) {
                s += 1;
            } else {
                return Ok(None);
            }
        }
    }

    fn open(&mut self, s: usize, p: usize, what: Extent) -> Step {
        if self.level >= MAX_CAPTURES {
            return Err(PatternError::TooManyCaptures);
        }
        self.captures[self.level] = (s, what);
        self.level += 1;
        let r = self.items(s, p)?;
        if r.is_none() {
            self.level -= 1;
        }
        Ok(r)
    }

    fn close(&mut self, s: usize, p: usize) -> Step {
        let open = self.captures[..self.level].iter().rposition(|c| c.1 == Extent::Open);
        let i = open.ok_or(PatternError::Capture)?;
        self.captures[i].1 = Extent::Closed(s - self.captures[i].0);
        let r = self.items(s, p)?;
        if r.is_none() {
            self.captures[i].1 = Extent::Open;
        }
        Ok(r)
    }

    /// `%1`: the text of a closed capture once more. A position never matches.
    fn again(&self, s: usize, digit: u8) -> Step {
        let i = usize::from(digit).wrapping_sub(usize::from(b'1'));
        if i >= self.level {
            return Err(PatternError::CaptureIndex);
        }
        match self.captures[i] {
            (_, Extent::Open) => Err(PatternError::CaptureIndex),
            (_, Extent::Position) => Ok(None),
            (at, Extent::Closed(len)) => {
                Ok(self.subject[s..].starts_with(&self.subject[at..at + len]).then_some(s + len))
            }
        }
    }

    /// `%bxy`, its two bytes at `p`.
    fn balanced(&self, s: usize, p: usize) -> Step {
        let (open, close) = (self.pat(p), self.pat(p + 1));
        if open == 0 || close == 0 {
            return Err(PatternError::Unbalanced);
        }
        if self.subject.get(s).copied().unwrap_or(0) != open {
            return Ok(None);
        }
        let mut nesting = 1;
        for (i, &c) in self.subject.iter().enumerate().skip(s + 1) {
            if c == close {
                nesting -= 1;
                if nesting == 0 {
                    return Ok(Some(i + 1));
                }
            } else if c == open {
                nesting += 1;
            }
        }
        Ok(None)
    }
}

/// Whether `c` is in the class that the letter `class` stands for behind a `%`.
fn in_class(c: u8, class: u8) -> bool {
    let mask = match class | 0x20 {
        b'a' => ALPHA,
        b'c' => CNTRL,
        b'd' => DIGIT,
        b'g' => GRAPH,
        b'l' => LOWER,
        b'p' => PUNCT,
        b's' => SPACE,
        b'u' => UPPER,
        b'w' => ALNUM,
        b'x' => XDIGIT,
        b'z' => {
            return match class {
                b'z' => c == 0,
                b'Z' => c != 0,
                _ => c == class,
            };
        }
        _ => return c == class,
    };
    if class & 0xc0 != 0x40 {
        return c == class;
    }
    chars::is(c, mask) == (class & 0x20 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first match of `pattern` in `subject`, as `find` would report it, with its captures.
    fn find(subject: &str, pattern: &str) -> Result<Option<String>, PatternError> {
        let (anchored, p) = match pattern.strip_prefix('^') {
            Some(p) => (true, p),
            None => (false, pattern),
        };
        let mut m = Matcher::new(subject.as_bytes(), p.as_bytes());
        for s in 0..=subject.len() {
            if let Some(e) = m.match_at(s)? {
                let mut out = format!("{}-{}", s + 1, e);
                for i in 0..m.capture_count() {
                    out += &match m.capture(i, s, e)? {
                        Capture::Text(a, b) => format!(" '{}'", &subject[a..b]),
                        Capture::Position(p) => format!(" @{p}"),
                    };
                }
                return Ok(Some(out));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    #[test]
    fn matches() {
        for (s, p, want) in [
            ("hello", "l+", Some("3-4")),
            ("hello", "l-", Some("1-0")),
            ("hello", "^l", None),
            ("hello", "o$", Some("5-5")),
            ("a$b", "a$b", Some("1-3")),
            ("x = 12", "(%w+)%s*=%s*(%d+)", Some("1-6 'x' '12'")),
            ("f(a(b)c)d", "%b()", Some("2-8")),
            ("THE (quick) fox", "%f[%a]%a+%f[%A]", Some("1-3")),
            ("abab", "(ab)%1", Some("1-4 'ab'")),
            ("abc", "()b()", Some("2-2 @2 @3")),
            ("a]b", "[]]", Some("2-2")),
            ("a-b", "[a-]-b", Some("1-3")),
            ("x^y", "[%^]", Some("2-2")),
            ("ac", "ab?c", Some("1-2")),
            ("", "a*", Some("1-0")),
            ("0xFF", "%x+", Some("1-1")),
            ("tab\there", "%c", Some("4-4")),
            ("abc", "[^a]", Some("2-2")),
            ("abc", "[a-c]+", Some("1-3")),
            ("aXb", "%u", Some("2-2")),
            ("a.b", "%.", Some("2-2")),
            ("aaab", "a-b", Some("1-4")),
            ("abc", "((a)(b)c)", Some("1-3 'abc' 'a' 'b'")),
        ] {
            assert_eq!(find(s, p), Ok(want.map(String::from)), "{s:?} {p:?}");
        }
    }

    #[test]
    fn errors() {
        use PatternError::*;
        for (s, p, want) in [
            ("a", "%", EndsWithEscape),
            ("a", "[a", MissingBracket),
            ("a", "[]", MissingBracket),
            ("a", "[^]", MissingBracket),
            ("a", "%f", Frontier),
            ("a", "%b", Unbalanced),
            ("a", "%bx", Unbalanced),
            ("a", "a)", Capture),
            ("a", "(a", Unfinished),
            ("a", "%1", CaptureIndex),
            ("a", "(%1)", CaptureIndex),
        ] {
            assert_eq!(find(s, p), Err(want), "{p:?}");
        }
        assert_eq!(find("a", &"(a)".repeat(33)), Ok(None));
        assert_eq!(find("a", &"()".repeat(33)), Err(TooManyCaptures));
        assert_eq!(find(&"a".repeat(300), &"a?".repeat(300)), Err(TooComplex));
        assert!(find(&"a".repeat(100_000), "a*").is_ok());
        assert!(find(&"a".repeat(2_000), "(a-)b").is_ok());
    }

    #[test]
    fn plain_search() {
        assert_eq!(find_plain(b"hello", b"l"), Some(2));
        assert_eq!(find_plain(b"hello", b"lo"), Some(3));
        assert_eq!(find_plain(b"hello", b""), Some(0));
        assert_eq!(find_plain(b"hello", b"hellos"), None);
        assert_eq!(find_plain(b"aab", b"ab"), Some(1));
        assert!(has_specials(b"a.b") && !has_specials(b"a)b]"));
    }
}
