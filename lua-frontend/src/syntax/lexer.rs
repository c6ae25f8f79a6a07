//! The lexer: source bytes to tokens.
//!
//! One token of look-ahead, fetched on demand. The parser sees the current token in [`Lexer::token`]; `line` is the line
//! up to which the source has been read (that of the current token, or of the look-ahead once it is fetched) and
//! `last_line` that of the token consumed before. Instructions get `last_line`, errors get `line`.
//!
//! The text of a token for error messages is a range of the source, or, where it differs from the source (escapes, line
//! ends and `_` in numbers), a buffer. Like the reference implementation there is one such text, that of the token read last.

use super::error::{Result, SyntaxError, SyntaxErrorKind, short_source};
use super::symbol::{Symbol, Symbols};
use super::token::{Token, TokenValue};
use crate::chars::{self, DIGIT, IDENT, SPACE};
use crate::numscan::{Options, Scanned, scan};

/// The largest line number.
const MAX_LINE: u32 = 0x7fff_ff00;

#[inline]
fn is_ident(c: u8) -> bool {
    chars::is(c, IDENT)
}

#[inline]
fn is_digit(c: u8) -> bool {
    chars::is(c, DIGIT)
}

fn hex_value(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).map(|digit| digit as u8)
}

/// The text of the token read last.
enum Text {
    /// From here to the current position.
    From(usize),
    /// This part of the source.
    Range(usize, usize),
    /// In the buffer.
    Buffer,
}

/// The state of the lexer, and the symbols of the chunk.
pub struct Lexer<'s> {
    source: &'s [u8],
    position: usize,
    /// The current token.
    pub token: Token,
    /// Its value.
    pub value: TokenValue,
    ahead: Option<(Token, TokenValue)>,
    /// The line reached.
    pub line: u32,
    /// The line of the token before the current one.
    pub last_line: u32,
    /// The strings of the chunk.
    pub symbols: Symbols,
    chunk_name: &'s [u8],
    text: Text,
    buffer: Vec<u8>,
}

impl<'s> Lexer<'s> {
    /// A lexer at the start of `source`, whose header (byte order mark, `#` line) is skipped. No token is read yet.
    pub fn new(source: &'s [u8], chunk_name: &'s [u8]) -> Lexer<'s> {
        let mut lexer = Lexer {
            source,
            position: 0,
            token: Token::Eof,
            value: TokenValue::None,
            ahead: None,
            line: 1,
            last_line: 1,
            symbols: Symbols::new(),
            chunk_name,
            text: Text::Range(0, 0),
            buffer: Vec::new(),
        };
        lexer.position = header_length(source);
        if matches!(source[..lexer.position].last(), Some(b'\n' | b'\r')) {
            lexer.line = 2;
        }
        lexer
    }

    /// Reads the next token.
    #[inline]
    pub fn advance(&mut self) -> Result<()> {
        self.last_line = self.line;
        (self.token, self.value) = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.scan()?,
        };
        Ok(())
    }

    /// The token after the current one.
    pub fn look_ahead(&mut self) -> Result<Token> {
        if self.ahead.is_none() {
            self.ahead = Some(self.scan()?);
        }
        Ok(self.ahead.map_or(Token::Eof, |(token, _)| token))
    }

    /// The byte right behind what has been read.
    pub fn next_byte(&self) -> Option<u8> {
        self.peek()
    }

    /// An error near a token of this kind.
    pub fn error(&self, kind: SyntaxErrorKind, near: Option<Token>) -> Box<SyntaxError> {
        // A zero byte has no spelling.
        let near = near.filter(|&token| token != Token::Char(0)).map(|token| match token {
            Token::Name | Token::String | Token::Number => {
                let text = self.text();
                let end = text.iter().position(|&c| c == 0).unwrap_or(text.len());
                text[..end].to_vec()
            }
            Token::Char(c) if c >= 0x80 => vec![c],
            token => token.spelling().into_bytes(),
        });
        Box::new(SyntaxError { kind, chunk: short_source(self.chunk_name), line: self.line, near })
    }

    /// An error near the current token.
    pub fn error_here(&self, kind: SyntaxErrorKind) -> Box<SyntaxError> {
        self.error(kind, Some(self.token))
    }

    fn text(&self) -> &[u8] {
        match self.text {
            Text::From(start) => &self.source[start..self.position],
            Text::Range(start, end) => &self.source[start..end],
            Text::Buffer => &self.buffer,
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.source.get(self.position).copied()
    }

    #[inline]
    fn peek_at(&self, distance: usize) -> Option<u8> {
        self.source.get(self.position + distance).copied()
    }

    /// Consumes `c` if it comes next.
    #[inline]
    fn accept(&mut self, c: u8) -> bool {
        let found = self.peek() == Some(c);
        self.position += usize::from(found);
        found
    }

    /// Consumes a line break: `\n`, `\r`, or one of each.
    fn line_break(&mut self) -> Result<()> {
        let first = self.peek();
        self.position += 1;
        let second = self.peek();
        if matches!(second, Some(b'\n' | b'\r')) && second != first {
            self.position += 1;
        }
        self.line += 1;
        if self.line >= MAX_LINE { Err(self.error_here(SyntaxErrorKind::TooManyLines)) } else { Ok(()) }
    }

    fn scan(&mut self) -> Result<(Token, TokenValue)> {
        loop {
            let start = self.position;
            let Some(c) = self.peek() else {
                self.text = Text::Range(start, start);
                return Ok((Token::Eof, TokenValue::None));
            };
            if is_ident(c) {
                if is_digit(c) {
                    return self.number(start);
                }
                return Ok(self.name(start));
            }
            let token = match c {
                b'\n' | b'\r' => {
                    self.line_break()?;
                    continue;
                }
                b' ' | b'\t' | b'\x0b' | b'\x0c' => {
                    self.position += 1;
                    continue;
                }
                b'-' if self.peek_at(1) == Some(b'-') => {
                    self.position += 2;
                    self.comment()?;
                    continue;
                }
                b'[' => {
                    self.text = Text::From(start);
                    match self.long_bracket() {
                        Ok(level) => {
                            let symbol = self.long_string(start, level)?;
                            return Ok((Token::String, TokenValue::Text(symbol)));
                        }
                        Err(0) => {
                            self.text = Text::Range(start, self.position);
                            return Ok((Token::Char(b'['), TokenValue::None));
                        }
                        Err(_) => {
                            return Err(
                                self.error(SyntaxErrorKind::InvalidLongDelimiter, Some(Token::String))
                            );
                        }
                    }
                }
                b'"' | b'\'' => {
                    let symbol = self.string(start, c)?;
                    return Ok((Token::String, TokenValue::Text(symbol)));
                }
                b'.' if self.peek_at(1).is_some_and(is_digit) => return self.number(start),
                _ => {
                    self.position += 1;
                    self.operator(c)?
                }
            };
            self.text = Text::Range(start, self.position);
            return Ok((token, TokenValue::None));
        }
    }

    /// An operator whose first character has been consumed.
    fn operator(&mut self, first: u8) -> Result<Token> {
        let single = Token::Char(first);
        Ok(match first {
            b'-' if self.accept(b'>') => Token::Arrow,
            b'=' if self.accept(b'=') => Token::Eq,
            b'<' if self.accept(b'=') => Token::Le,
            b'<' if self.accept(b'<') => Token::Shl,
            b'>' if self.accept(b'=') => Token::Ge,
            b'>' if self.accept(b'>') => Token::Shr,
            b'~' if self.accept(b'=') => Token::Ne,
            b'~' if self.accept(b'>') => {
                if !self.accept(b'>') {
                    return Err(self.error(SyntaxErrorKind::UnexpectedSymbol, Some(single)));
                }
                Token::Sar
            }
            b'!' if self.accept(b'=') => Token::BangEq,
            b':' if self.accept(b':') => Token::Label,
            b'?' if self.accept(b'.') => Token::Navigate,
            b'?' if self.accept(b'?') => Token::Coalesce,
            b'&' if self.accept(b'&') => Token::AndAnd,
            b'|' if self.accept(b'|') => Token::OrOr,
            b'.' if self.accept(b'.') => {
                if self.accept(b'.') {
                    Token::Dots
                } else {
                    Token::Concat
                }
            }
            _ => single,
        })
    }

    #[inline]
    fn name(&mut self, start: usize) -> (Token, TokenValue) {
        let rest = &self.source[start..];
        let length = rest.iter().position(|&c| !is_ident(c)).unwrap_or(rest.len());
        self.position = start + length;
        self.text = Text::Range(start, self.position);
        let symbol = self.symbols.intern(&rest[..length]);
        (symbol.reserved().unwrap_or(Token::Name), TokenValue::Text(symbol))
    }

    /// Everything that looks like a part of the number belongs to it: `3x` is one malformed number.
    fn number(&mut self, start: usize) -> Result<(Token, TokenValue)> {
        let mut exponent = b'e';
        let mut previous = 0;
        let mut separators = false;
        if self.peek() == Some(b'0') {
            self.position += 1;
            while self.accept(b'_') {
                separators = true;
            }
            previous = self.peek().unwrap_or(0);
            if previous | 0x20 == b'x' {
                exponent = b'p';
            }
        }
        while let Some(c) = self.peek() {
            let sign = matches!(c, b'+' | b'-') && previous | 0x20 == exponent;
            if !(is_ident(c) || c == b'.' || sign) {
                break;
            }
            if c == b'_' {
                separators = true;
            } else {
                previous = c;
            }
            self.position += 1;
        }
        let text = if separators {
            self.buffer.clear();
            self.buffer.extend(self.source[start..self.position].iter().filter(|&&c| c != b'_'));
            self.text = Text::Buffer;
            &self.buffer
        } else {
            self.text = Text::Range(start, self.position);
            &self.source[start..self.position]
        };
        let value = match scan(text, Options::TONUM | Options::LL | Options::IMAG) {
            Some(Scanned::Num(n)) => TokenValue::Number(n),
            Some(Scanned::Int(n)) => TokenValue::Number(f64::from(n)),
            Some(Scanned::I64(n)) => TokenValue::Int64(n as i64),
            Some(Scanned::U64(n)) => TokenValue::Uint64(n),
            Some(Scanned::Imag(n)) => TokenValue::Imaginary(n),
            Some(Scanned::U32(_)) | None => {
                return Err(self.error(SyntaxErrorKind::MalformedNumber, Some(Token::Number)));
            }
        };
        Ok((Token::Number, value))
    }

    /// The rest of a comment whose `--` has been consumed.
    fn comment(&mut self) -> Result<()> {
        if self.peek() == Some(b'[')
            && let Ok(level) = self.long_bracket()
        {
            return self.long_comment(level);
        }
        let rest = &self.source[self.position..];
        self.position += rest.iter().position(|c| matches!(c, b'\n' | b'\r')).unwrap_or(rest.len());
        Ok(())
    }

    /// At `[` or `]`: consumes it and the equal signs after it. `Ok(level)` if the same bracket follows, which stays;
    /// otherwise the number of equal signs as an error.
    fn long_bracket(&mut self) -> std::result::Result<usize, usize> {
        let bracket = self.peek();
        self.position += 1;
        let mut level = 0;
        while self.accept(b'=') {
            level += 1;
        }
        if self.peek() == bracket { Ok(level) } else { Err(level) }
    }

    fn long_comment(&mut self, level: usize) -> Result<()> {
        self.position += 1;
        loop {
            let rest = &self.source[self.position..];
            let Some(skip) = rest.iter().position(|c| matches!(c, b']' | b'\n' | b'\r')) else {
                self.position = self.source.len();
                return Err(self.error(SyntaxErrorKind::UnfinishedLongComment, Some(Token::Eof)));
            };
            self.position += skip;
            if rest[skip] != b']' {
                self.line_break()?;
            } else if self.long_bracket() == Ok(level) {
                self.position += 1;
                return Ok(());
            }
        }
    }

    /// A long string from its second bracket on. The first line break is dropped, others become `\n`.
    fn long_string(&mut self, start: usize, level: usize) -> Result<Symbol> {
        self.position += 1;
        let mut content = self.position;
        let mut copied = false;
        if matches!(self.peek(), Some(b'\n' | b'\r')) {
            self.line_break()?;
            // The text in messages goes without the dropped break.
            self.buffer.clear();
            self.buffer.extend_from_slice(&self.source[start..content]);
            content = self.position;
            copied = true;
        }
        let opening = level + 2;
        let mut from = content;
        loop {
            let rest = &self.source[self.position..];
            let Some(skip) = rest.iter().position(|c| matches!(c, b']' | b'\n' | b'\r')) else {
                self.position = self.source.len();
                return Err(self.error(SyntaxErrorKind::UnfinishedLongString, Some(Token::Eof)));
            };
            self.position += skip;
            if rest[skip] == b']' {
                if self.long_bracket() == Ok(level) {
                    self.position += 1;
                    break;
                }
            } else if rest[skip] == b'\n' && rest.get(skip + 1) != Some(&b'\r') {
                self.line_break()?;
            } else {
                if !copied {
                    self.buffer.clear();
                    from = start;
                    copied = true;
                }
                self.buffer.extend_from_slice(&self.source[from..self.position]);
                self.buffer.push(b'\n');
                self.line_break()?;
                from = self.position;
            }
        }
        if copied {
            self.buffer.extend_from_slice(&self.source[from..self.position]);
            self.text = Text::Buffer;
            Ok(self.symbols.intern(&self.buffer[opening..self.buffer.len() - opening]))
        } else {
            self.text = Text::Range(start, self.position);
            Ok(self.symbols.intern(&self.source[content..self.position - opening]))
        }
    }

    /// A quoted string from its opening quote on.
    fn string(&mut self, start: usize, quote: u8) -> Result<Symbol> {
        self.position += 1;
        // Without escapes the string is a part of the source.
        let rest = &self.source[self.position..];
        let plain =
            rest.iter().position(|&c| c == quote || matches!(c, b'\\' | b'\n' | b'\r')).unwrap_or(rest.len());
        self.position += plain;
        self.text = Text::From(start);
        if rest.get(plain) == Some(&quote) {
            self.position += 1;
            self.text = Text::Range(start, self.position);
            return Ok(self.symbols.intern(&rest[..plain]));
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.source[start..self.position]);
        self.text = Text::Buffer;
        loop {
            match self.peek() {
                None => return Err(self.error(SyntaxErrorKind::UnfinishedString, Some(Token::Eof))),
                Some(b'\n' | b'\r') => {
                    return Err(self.error(SyntaxErrorKind::UnfinishedString, Some(Token::String)));
                }
                Some(b'\\') => {
                    self.position += 1;
                    self.escape()?;
                }
                Some(c) if c == quote => {
                    self.position += 1;
                    self.buffer.push(c);
                    return Ok(self.symbols.intern(&self.buffer[1..self.buffer.len() - 1]));
                }
                Some(c) => {
                    self.position += 1;
                    self.buffer.push(c);
                }
            }
        }
    }

    fn invalid_escape(&self) -> Box<SyntaxError> {
        self.error(SyntaxErrorKind::InvalidEscape, Some(Token::String))
    }

    /// An escape sequence whose backslash has been consumed.
    fn escape(&mut self) -> Result<()> {
        let Some(c) = self.peek() else { return Ok(()) };
        let plain = match c {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' => c,
            b'\n' | b'\r' => {
                self.buffer.push(b'\n');
                return self.line_break();
            }
            b'x' => {
                let digits = (self.peek_at(1).and_then(hex_value), self.peek_at(2).and_then(hex_value));
                let (Some(high), Some(low)) = digits else { return Err(self.invalid_escape()) };
                self.position += 3;
                self.buffer.push(high << 4 | low);
                return Ok(());
            }
            b'u' => return self.unicode_escape(),
            b'z' => {
                self.position += 1;
                while let Some(c) = self.peek().filter(|&c| chars::is(c, SPACE)) {
                    if matches!(c, b'\n' | b'\r') {
                        self.line_break()?;
                    } else {
                        self.position += 1;
                    }
                }
                return Ok(());
            }
            c if is_digit(c) => {
                let mut value = 0u32;
                for _ in 0..3 {
                    let Some(digit) = self.peek().filter(|&c| is_digit(c)) else { break };
                    value = value * 10 + u32::from(digit - b'0');
                    self.position += 1;
                }
                let Ok(byte) = u8::try_from(value) else { return Err(self.invalid_escape()) };
                self.buffer.push(byte);
                return Ok(());
            }
            _ => return Err(self.invalid_escape()),
        };
        self.position += 1;
        self.buffer.push(plain);
        Ok(())
    }

    /// `\u{7a}`, at the `u`.
    fn unicode_escape(&mut self) -> Result<()> {
        self.position += 1;
        if !self.accept(b'{') {
            return Err(self.invalid_escape());
        }
        let mut value = 0u32;
        loop {
            let Some(digit) = self.peek().and_then(hex_value) else {
                return Err(self.invalid_escape());
            };
            value = value << 4 | u32::from(digit);
            if value >= 0x11_0000 {
                return Err(self.invalid_escape());
            }
            self.position += 1;
            if self.accept(b'}') {
                break;
            }
        }
        let Some(character) = char::from_u32(value) else { return Err(self.invalid_escape()) };
        let mut utf8 = [0; 4];
        self.buffer.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        Ok(())
    }
}

/// The length of a byte order mark and a first line that begins with `#`.
pub fn header_length(source: &[u8]) -> usize {
    let mark = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let rest = &source[mark..];
    if rest.first() != Some(&b'#') {
        return mark;
    }
    let Some(line) = rest.iter().position(|c| matches!(c, b'\n' | b'\r')) else { return source.len() };
    let pair = matches!((rest[line], rest.get(line + 1)), (b'\n', Some(b'\r')) | (b'\r', Some(b'\n')));
    mark + line + 1 + usize::from(pair)
}
