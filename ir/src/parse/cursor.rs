//! One line of text and a position in it: tokens, literals, and errors that know where they are.

use std::borrow::Cow;

use super::MAX_VALUE;
use crate::print::{is_plain_file, is_plain_name};
use crate::trace::DeclError;
use crate::types::*;

/// Why text is not a trace, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseErrorKind {
    /// Something else should stand here.
    #[error("expected {what}, found {found:?}")]
    Expected {
        /// What should.
        what: String,
        /// What does.
        found: String,
    },
    /// A name that means nothing.
    #[error("unknown {what} {name:?}")]
    Unknown {
        /// The kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A declaration that cannot be.
    #[error(transparent)]
    Decl(DeclError),
    /// A number out of range.
    #[error("{what} must be in {least}..={most}")]
    Range {
        /// What it is.
        what: &'static str,
        /// The least allowed.
        least: i128,
        /// The most allowed.
        most: i128,
    },
    /// A literal that is not one of this type.
    #[error("{text} is not a literal of type {ty}{}", hint(*ty))]
    Literal {
        /// The literal.
        text: String,
        /// The type needed.
        ty: Type,
    },
    /// A literal with a type where another is needed.
    #[error("the type must be {0} here")]
    OtherType(Type),
    /// A literal where nothing says its type.
    #[error("nothing says the type of this literal: write it as in 5:i32")]
    NeedsType,
    /// More operands than places.
    #[error("too many operands")]
    TooMany,
    /// Fewer operands than places.
    #[error("too few operands")]
    TooFew,
    /// A scale other than 1, 2, 4, 8.
    #[error("a scale is 1, 2, 4 or 8, not {0}")]
    Scale(u8),
    /// An index in an atomic's address.
    #[error("an atomic's address has no index")]
    AtomicIndex,
    /// An operation that cannot be performed while leaving.
    #[error("{0} cannot stand in a recipe")]
    NotARecipe(&'static str),
    /// A native of no bytes or too many.
    #[error("a native has 1 to 15 bytes, not {0}")]
    NativeLength(usize),
    /// A second `loop`.
    #[error("a trace has one loop")]
    SecondLoop,
    /// A line after `end` that is not an exit.
    #[error("only exits may follow `end`")]
    AfterEnd,
    /// `}` without `end`.
    #[error("the trace has no `end`")]
    NoEnd,
    /// No closing `}`.
    #[error("the trace is not closed by `}}`")]
    NotClosed,
    /// No trace in the text.
    #[error("there is no trace")]
    NoTrace,
    /// A bad `\u{…}`.
    #[error("bad escape in a quoted name")]
    Escape,
}

fn hint(ty: Type) -> &'static str {
    if ty.is_float() { " (write 2.0, or its bits as 0x…)" } else { "" }
}

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// A literal whose type is not known yet.
#[derive(Clone, Copy)]
pub(super) struct Literal<'a> {
    pub text: &'a str,
    pub at: usize,
}

/// A position in a line. Comments are cut off; positions are byte offsets at character boundaries.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    pub line: u32,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, line: u32) -> Cursor<'a> {
        // A comment begins at the first `;` outside quotes; a quoted name contains no quote.
        let mut in_quotes = false;
        let end = text.char_indices().find(|(_, c)| {
            in_quotes ^= *c == '"';
            *c == ';' && !in_quotes
        });
        let text = &text[..end.map_or(text.len(), |(i, _)| i)];
        let mut c = Cursor { text: text.trim_end(), at: 0, line };
        c.space();
        c
    }

    pub fn mark(&self) -> usize {
        self.at
    }

    pub fn reset(&mut self, at: usize) {
        self.at = at;
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.space();
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    // --- errors ----------------------------------------------------------------------------------

    pub fn error(&self, kind: ParseErrorKind) -> ParseError {
        self.error_at(self.at, kind)
    }

    pub fn error_at(&self, at: usize, kind: ParseErrorKind) -> ParseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ParseError { line: self.line, column: before.chars().count() as u32 + 1, kind }
    }

    pub fn unexpected(&self, what: &str, found: &str) -> ParseError {
        let found = found.chars().take(40).collect();
        self.error(ParseErrorKind::Expected { what: what.into(), found })
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        let rest = self.rest();
        let token = rest.split_whitespace().next().unwrap_or("end of line");
        Err(self.unexpected(what, token))
    }

    pub fn end(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { self.expected("the end of the line") }
    }

    // --- tokens ----------------------------------------------------------------------------------

    pub fn peek(&self, symbol: &str) -> bool {
        self.rest().starts_with(symbol)
    }

    pub fn eat(&mut self, symbol: &str) -> bool {
        let found = self.peek(symbol);
        if found {
            self.advance(symbol.len());
        }
        found
    }

    pub fn symbol(&mut self, symbol: &str) -> Result<()> {
        if self.eat(symbol) { Ok(()) } else { self.expected(&format!("`{symbol}`")) }
    }

    fn word_here(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
    }

    /// A run of letters, digits, `_`, `.`, `$`.
    pub fn word(&mut self, what: &str) -> Result<&'a str> {
        let word = self.word_here();
        if word.is_empty() {
            return self.expected(what);
        }
        self.advance(word.len());
        Ok(word)
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.word_here() == word;
        if found {
            self.advance(word.len());
        }
        found
    }

    pub fn keyword(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    /// Does a name (plain or quoted) stand here?
    pub fn peek_name(&self) -> bool {
        self.rest().starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"')
    }

    pub fn peek_digit(&self) -> bool {
        self.rest().starts_with(|c: char| c.is_ascii_digit())
    }

    /// A name, plain or quoted.
    pub fn name(&mut self, what: &str) -> Result<Cow<'a, str>> {
        if self.peek("\"") {
            return self.quoted();
        }
        let word = self.word_here();
        if !is_plain_name(word) {
            return self.expected(what);
        }
        self.advance(word.len());
        Ok(word.into())
    }

    /// The file of a pc, plain or quoted.
    pub fn file(&mut self) -> Result<Cow<'a, str>> {
        if self.peek("\"") {
            return self.quoted();
        }
        let rest = self.rest();
        let file = &rest[..rest.find([':', ' ', '\t']).unwrap_or(rest.len())];
        if !is_plain_file(file) {
            return self.expected("a pc");
        }
        self.advance(file.len());
        Ok(file.into())
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at;
        let inner = &self.rest()[1..];
        let Some(len) = inner.find('"') else { return self.expected("a closing quote") };
        self.advance(len + 2);
        let mut rest = &inner[..len];
        if !rest.contains('\\') {
            return Ok(rest.into());
        }
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once('\\') {
            out.push_str(before);
            let code = after.strip_prefix("u{").and_then(|a| a.split_once('}'));
            let parsed = code
                .and_then(|(hex, tail)| Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, tail)));
            let Some((c, tail)) = parsed else { return Err(self.error_at(start, ParseErrorKind::Escape)) };
            out.push(c);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out.into())
    }

    pub fn ty(&mut self) -> Result<Type> {
        match Type::from_name(self.word_here()) {
            Some(ty) => {
                self.advance(ty.name().len());
                Ok(ty)
            }
            None => self.expected("a type"),
        }
    }

    /// `%N`
    pub fn value(&mut self) -> Result<Value> {
        self.symbol("%")?;
        Ok(Value(self.integer(0, MAX_VALUE.into(), "a value number")? as u32))
    }

    /// `item, item, … close`; the opening symbol has been read.
    pub fn list(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.eat(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(close) {
                return Ok(());
            }
            if !self.eat(",") {
                return self.expected(&format!("`,` or `{close}`"));
            }
        }
    }

    /// `+` or `-`
    pub fn sign(&mut self) -> Option<i128> {
        if self.eat("+") {
            Some(1)
        } else if self.eat("-") {
            Some(-1)
        } else {
            None
        }
    }

    /// Does `operand*scale` stand here?
    pub fn peek_index(&self) -> bool {
        let rest = self.rest();
        let token = rest.strip_prefix('%').unwrap_or(rest);
        let token = token.strip_prefix('-').unwrap_or(token);
        token.trim_start_matches(is_word).trim_start().starts_with('*')
    }

    /// A run of hex digits, two per byte.
    pub fn hex_bytes(&mut self) -> Result<Vec<u8>> {
        let word = self.word_here();
        let bytes: Option<Vec<u8>> = word
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [h, l] => Some((hex(*h)? << 4) | hex(*l)?),
                _ => None,
            })
            .collect();
        match bytes {
            Some(b) if !word.is_empty() => {
                self.advance(word.len());
                Ok(b)
            }
            _ => self.expected("bytes in hex"),
        }
    }

    // --- numbers ---------------------------------------------------------------------------------

    /// An unsigned number, decimal or `0x…`, in a range.
    pub fn integer(&mut self, least: i128, most: i128, what: &'static str) -> Result<i128> {
        let word = self.word_here();
        match magnitude(word) {
            Some(n) if n <= i128::MAX as u128 && (least..=most).contains(&(n as i128)) => {
                self.advance(word.len());
                Ok(n as i128)
            }
            Some(_) => Err(self.error(ParseErrorKind::Range { what, least, most })),
            None => self.expected(what),
        }
    }

    /// The text of a literal: an optional sign, then letters, digits, dots, and a signed exponent.
    pub fn literal(&mut self) -> Result<Literal<'a>> {
        let rest = self.rest();
        let sign = rest.starts_with('-') as usize;
        if !rest[sign..].starts_with(|c: char| c.is_ascii_digit()) {
            return self.expected("an operand");
        }
        let is_hex = rest[sign..].starts_with("0x");
        let mut previous = ' ';
        let len = rest[sign..]
            .find(|c| {
                let exponent = matches!(previous, 'e' | 'E') && matches!(c, '-' | '+') && !is_hex;
                previous = c;
                !(is_word(c) || exponent)
            })
            .unwrap_or(rest.len() - sign)
            + sign;
        let literal = Literal { text: &rest[..len], at: self.at };
        self.advance(len);
        Ok(literal)
    }

    /// The literal's bits at a type: sign-extended to 128 bits for integers.
    pub fn typed(&self, l: &Literal<'_>, ty: Type) -> Result<Wide> {
        let bad = || self.error_at(l.at, ParseErrorKind::Literal { text: l.text.into(), ty });
        let (negative, digits) = match l.text.strip_prefix('-') {
            Some(d) => (true, d),
            None => (false, l.text),
        };
        let is_hex = digits.starts_with("0x");
        if ty.is_float() && !is_hex {
            if !digits.contains(['.', 'e', 'E']) {
                return Err(bad());
            }
            // Rust reads floats correctly rounded, so what was printed comes back.
            let bits = match ty {
                Type::F32 => l.text.parse::<f32>().ok().filter(|x| x.is_finite()).map(|x| x.to_bits().into()),
                _ => l.text.parse::<f64>().ok().filter(|x| x.is_finite()).map(|x| x.to_bits()),
            };
            return bits.map(crate::eval::word).ok_or_else(bad);
        }
        if ty.is_vector() && is_hex && !negative {
            return wide_hex(&digits[2..], ty).ok_or_else(bad);
        }
        let n = magnitude(digits).ok_or_else(bad)?;
        let bits = match ty {
            Type::Tuple | Type::Void => return Err(bad()),
            // Where the type is missing the verifier has something to say anyway.
            Type::F32 | Type::F64 | Type::Flags | Type::V128 | Type::V256 | Type::V512 if negative => {
                return Err(bad());
            }
            _ => ty.bits(),
        };
        let most = if bits >= 128 { u128::MAX } else { (1 << bits) - 1 };
        let fits = if negative { bits > 1 && n <= 1 << (bits.min(128) - 1) } else { n <= most };
        if !fits {
            return Err(bad());
        }
        let n = if negative { n.wrapping_neg() } else { n };
        Ok(crate::eval::from_u128(n))
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

fn magnitude(word: &str) -> Option<u128> {
    match word.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u128::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if word.starts_with(|c: char| c.is_ascii_digit()) => word.parse().ok(),
        None => None,
    }
}

fn wide_hex(digits: &str, ty: Type) -> Option<Wide> {
    if digits.is_empty() || digits.len() > ty.bits() as usize / 4 {
        return None;
    }
    let mut w = ZERO;
    for (i, d) in digits.bytes().rev().enumerate() {
        w[i / 16] |= u64::from(hex(d)?) << (i % 16 * 4);
    }
    Some(w)
}
