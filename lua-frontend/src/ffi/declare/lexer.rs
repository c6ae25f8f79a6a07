//! Tokens of C declarations.

use super::{Parameter, Result};
use crate::chars::{self, DIGIT, IDENT};
use crate::ffi::types::Id;
use crate::numscan::{Options, Scanned, scan};

/// Reserved words.
#[allow(missing_docs, reason = "the names are the words")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    Void,
    Bool,
    Char,
    Int,
    FloatingPoint,
    Long,
    LongLong,
    Short,
    Complex,
    Signed,
    Unsigned,
    Const,
    Volatile,
    Restrict,
    Inline,
    Typedef,
    Extern,
    Static,
    Auto,
    Register,
    Extension,
    Asm,
    Attribute,
    Declspec,
    CallConvention,
    PointerSize,
    Struct,
    Union,
    Enum,
    Sizeof,
    Alignof,
}

impl Keyword {
    /// Part of the name of a basic type, or of no consequence there.
    pub fn is_basic(self) -> bool {
        matches!(
            self,
            Keyword::Void
                | Keyword::Bool
                | Keyword::Char
                | Keyword::Int
                | Keyword::FloatingPoint
                | Keyword::Long
                | Keyword::Short
                | Keyword::Complex
                | Keyword::Signed
                | Keyword::Unsigned
                | Keyword::Inline
        )
    }

    /// A storage class.
    pub fn is_storage(self) -> bool {
        matches!(
            self,
            Keyword::Typedef | Keyword::Extern | Keyword::Static | Keyword::Auto | Keyword::Register
        )
    }

    /// Whether a type can begin with it.
    pub fn begins_type(self) -> bool {
        self.is_basic()
            || matches!(
                self,
                Keyword::Const
                    | Keyword::Volatile
                    | Keyword::Restrict
                    | Keyword::Extension
                    | Keyword::Attribute
                    | Keyword::Declspec
                    | Keyword::Struct
                    | Keyword::Union
                    | Keyword::Enum
            )
    }
}

/// The word's meaning and the size that it implies.
fn keyword(word: &[u8]) -> Option<(Keyword, u32)> {
    Some(match word {
        b"void" => (Keyword::Void, 0),
        b"_Bool" | b"bool" => (Keyword::Bool, 0),
        b"char" => (Keyword::Char, 1),
        b"int" => (Keyword::Int, 4),
        b"__int8" => (Keyword::Int, 1),
        b"__int16" => (Keyword::Int, 2),
        b"__int32" => (Keyword::Int, 4),
        b"__int64" => (Keyword::Int, 8),
        b"float" => (Keyword::FloatingPoint, 4),
        b"double" => (Keyword::FloatingPoint, 8),
        b"long" => (Keyword::Long, 0),
        b"short" => (Keyword::Short, 0),
        b"_Complex" | b"complex" | b"__complex" | b"__complex__" => (Keyword::Complex, 0),
        b"signed" | b"__signed" | b"__signed__" => (Keyword::Signed, 0),
        b"unsigned" => (Keyword::Unsigned, 0),
        b"const" | b"__const" | b"__const__" => (Keyword::Const, 0),
        b"volatile" | b"__volatile" | b"__volatile__" => (Keyword::Volatile, 0),
        b"restrict" | b"__restrict" | b"__restrict__" => (Keyword::Restrict, 0),
        b"inline" | b"__inline" | b"__inline__" => (Keyword::Inline, 0),
        b"typedef" => (Keyword::Typedef, 0),
        b"extern" => (Keyword::Extern, 0),
        b"static" => (Keyword::Static, 0),
        b"auto" => (Keyword::Auto, 0),
        b"register" => (Keyword::Register, 0),
        b"__extension__" => (Keyword::Extension, 0),
        b"asm" | b"__asm" | b"__asm__" => (Keyword::Asm, 0),
        b"__attribute" | b"__attribute__" => (Keyword::Attribute, 0),
        b"__declspec" => (Keyword::Declspec, 0),
        b"__cdecl" | b"__thiscall" | b"__fastcall" | b"__stdcall" => (Keyword::CallConvention, 0),
        b"__ptr32" => (Keyword::PointerSize, 4),
        b"__ptr64" => (Keyword::PointerSize, 8),
        b"struct" => (Keyword::Struct, 0),
        b"union" => (Keyword::Union, 0),
        b"enum" => (Keyword::Enum, 0),
        b"sizeof" => (Keyword::Sizeof, 0),
        b"alignof" | b"__alignof" | b"__alignof__" => (Keyword::Alignof, 0),
        _ => return None,
    })
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A character.
    Char(u8),
    /// `||`
    OrOr,
    /// `&&`
    AndAnd,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<=`
    Le,
    /// `>=`
    Ge,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `->`
    Arrow,
    /// A name.
    Identifier(Box<[u8]>),
    /// A string.
    String(Box<[u8]>),
    /// A number; unsigned?
    Integer(u32, bool),
    /// A reserved word and the size that it implies.
    Keyword(Keyword, u32),
    /// A type given as a parameter.
    Type(Id),
    /// The end.
    Eof,
}

/// The lexer.
#[derive(Clone)]
pub struct Lexer<'s> {
    source: &'s [u8],
    position: usize,
    /// The current token.
    pub token: Token,
    text: Vec<u8>,
    /// The current line.
    pub line: u32,
    /// Malformed numbers are of no interest.
    pub skip_numbers: bool,
    parameters: &'s [Parameter],
    used: usize,
}

impl<'s> Lexer<'s> {
    /// A lexer at the first token.
    ///
    /// # Errors
    /// If that is malformed.
    pub fn new(source: &'s [u8], parameters: &'s [Parameter]) -> Result<Lexer<'s>> {
        let mut lexer = Lexer {
            source,
            position: 0,
            token: Token::Eof,
            text: Vec::new(),
            line: 1,
            skip_numbers: false,
            parameters,
            used: 0,
        };
        lexer.advance()?;
        Ok(lexer)
    }

    /// Whether parameters were given that nothing asked for.
    pub fn parameters_left(&self) -> bool {
        self.used < self.parameters.len()
    }

    /// A message, with the line from the second on.
    pub fn error(&self, message: &str) -> String {
        if self.line > 1 { format!("{message} at line {}", self.line) } else { message.to_string() }
    }

    /// A message near the current token.
    pub fn near(&self, message: &str) -> String {
        let text = match &self.token {
            Token::Char(c) if *c < 32 || *c == 127 => format!("char({c})"),
            Token::Char(c) => char::from(*c).to_string(),
            Token::Eof => "<eof>".into(),
            Token::OrOr => "||".into(),
            Token::AndAnd => "&&".into(),
            Token::Eq => "==".into(),
            Token::Ne => "!=".into(),
            Token::Le => "<=".into(),
            Token::Ge => ">=".into(),
            Token::Shl => "<<".into(),
            Token::Shr => ">>".into(),
            Token::Arrow => "->".into(),
            _ if self.text.is_empty() => "$".into(),
            _ => String::from_utf8_lossy(&self.text).into_owned(),
        };
        self.error(&format!("{message} near '{text}'"))
    }

    /// `'x' expected near the current token`
    pub fn expected(&self, what: &str) -> String {
        self.near(&format!("'{what}' expected"))
    }

    fn peek(&self) -> u8 {
        self.source.get(self.position).copied().unwrap_or(0)
    }

    fn accept(&mut self, c: u8) -> bool {
        let found = self.peek() == c && self.position < self.source.len();
        self.position += usize::from(found);
        found
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn advance(&mut self) -> Result<()> {
        self.token = self.scan()?;
        Ok(())
    }

    fn scan(&mut self) -> Result<Token> {
        self.text.clear();
        loop {
            let c = self.peek();
            if self.position >= self.source.len() || c == 0 {
                return Ok(Token::Eof);
            }
            if chars::is(c, IDENT) {
                return self.word();
            }
            self.position += 1;
            return Ok(match c {
                b'\n' | b'\r' => {
                    let next = self.peek();
                    if (next == b'\n' || next == b'\r') && next != c {
                        self.position += 1;
                    }
                    self.line += 1;
                    continue;
                }
                b' ' | b'\t' | 11 | 12 => continue,
                b'"' | b'\'' => return self.string(c),
                b'/' if self.accept(b'*') => {
                    self.comment();
                    continue;
                }
                b'/' if self.accept(b'/') => {
                    while !matches!(self.peek(), b'\n' | b'\r' | 0) {
                        self.position += 1;
                    }
                    continue;
                }
                b'|' if self.accept(b'|') => Token::OrOr,
                b'&' if self.accept(b'&') => Token::AndAnd,
                b'=' if self.accept(b'=') => Token::Eq,
                b'!' if self.accept(b'=') => Token::Ne,
                b'<' if self.accept(b'=') => Token::Le,
                b'<' if self.accept(b'<') => Token::Shl,
                b'>' if self.accept(b'=') => Token::Ge,
                b'>' if self.accept(b'>') => Token::Shr,
                b'-' if self.accept(b'>') => Token::Arrow,
                b'$' => return self.parameter(),
                c => Token::Char(c),
            });
        }
    }

    fn comment(&mut self) {
        while self.position < self.source.len() {
            if self.accept(b'*') {
                if self.accept(b'/') {
                    return;
                }
                continue;
            }
            if self.peek() == b'\n' {
                self.line += 1;
            }
            self.position += 1;
        }
    }

    fn word(&mut self) -> Result<Token> {
        let start = self.position;
        let number = chars::is(self.peek(), DIGIT);
        while chars::is(self.peek(), IDENT)
            || (!number && self.peek() == b'$')
            || (number && self.peek() == b'.')
        {
            if self.peek() == b'$' && !number {
                break;
            }
            self.position += 1;
        }
        self.text = self.source[start..self.position].to_vec();
        if number {
            return match scan(&self.text, Options::C) {
                Some(Scanned::Int(n)) => Ok(Token::Integer(n as u32, false)),
                Some(Scanned::U32(n)) => Ok(Token::Integer(n, true)),
                _ if self.skip_numbers => Ok(Token::Integer(0, false)),
                _ => {
                    Err(self
                        .error(&format!("malformed number near '{}'", String::from_utf8_lossy(&self.text))))
                }
            };
        }
        Ok(match keyword(&self.text) {
            Some((word, size)) => Token::Keyword(word, size),
            None => Token::Identifier(self.text.as_slice().into()),
        })
    }

    fn parameter(&mut self) -> Result<Token> {
        let Some(parameter) = self.parameters.get(self.used) else {
            return Err(self.error("wrong number of type parameters"));
        };
        self.used += 1;
        Ok(match parameter {
            Parameter::Type(ty) => Token::Type(*ty),
            Parameter::Name(name) => {
                self.text.clone_from(name);
                Token::Identifier(name.as_slice().into())
            }
            Parameter::Number(n) => Token::Integer(*n as u32, false),
        })
    }

    fn string(&mut self, quote: u8) -> Result<Token> {
        let mut text = Vec::new();
        while !self.accept(quote) {
            let c = self.peek();
            if self.position >= self.source.len() || c == 0 {
                return Err(self.error("unfinished string near '<eof>'"));
            }
            self.position += 1;
            if c != b'\\' {
                text.push(c);
                continue;
            }
            let c = self.peek();
            self.position += 1;
            text.push(match c {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                b'e' => 27,
                b'x' => {
                    let mut value = 0u32;
                    while let Some(digit) = char::from(self.peek()).to_digit(16) {
                        value = value << 4 | digit;
                        self.position += 1;
                    }
                    value as u8
                }
                b'0'..=b'9' => {
                    let mut value = u32::from(c - b'0');
                    for _ in 0..2 {
                        if !self.peek().is_ascii_digit() {
                            break;
                        }
                        value = value * 8 + u32::from(self.peek() - b'0');
                        self.position += 1;
                    }
                    value as u8
                }
                c => c,
            });
        }
        if quote == b'"' {
            return Ok(Token::String(text.into()));
        }
        match text.as_slice() {
            [c] => Ok(Token::Integer(i32::from(*c as i8) as u32, false)),
            _ => Err(self.error("''' expected near '<integer>'")),
        }
    }
}
