//! What can be wrong with a Lua source, and the exact words for it.
//!
//! A message reads `chunk:line: text` or `chunk:line: text near 'token'`. Source text may hold any bytes, and so may the
//! message. [`short_source`] is how a chunk name is shown, in messages of the compiler and of the virtual machine alike.

use std::fmt;

/// The longest shown chunk name plus one.
const ID_SIZE: usize = 60;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// More lines than a line number can count.
    #[error("chunk has too many lines")]
    TooManyLines,
    /// Constructs nested too deeply.
    #[error("chunk has too many syntax levels")]
    TooManyLevels,
    /// `1e`, `0xg`
    #[error("malformed number")]
    MalformedNumber,
    /// `[[` without `]]`
    #[error("unfinished long string")]
    UnfinishedLongString,
    /// `--[[` without `]]`
    #[error("unfinished long comment")]
    UnfinishedLongComment,
    /// A quoted string without its end.
    #[error("unfinished string")]
    UnfinishedString,
    /// `"\q"`
    #[error("invalid escape sequence")]
    InvalidEscape,
    /// `[=x`
    #[error("invalid long string delimiter")]
    InvalidLongDelimiter,
    /// Another token was needed.
    #[error("'{0}' expected")]
    Expected(String),
    /// The end of a construct that began on another line was needed.
    #[error("'{what}' expected (to close '{who}' at line {line})")]
    ExpectedToClose {
        /// The missing token.
        what: String,
        /// The token that began the construct.
        who: String,
        /// Its line.
        line: u32,
    },
    /// A jump that does not fit an instruction.
    #[error("control structure too long")]
    JumpTooLong,
    /// More registers than a frame has.
    #[error("function or expression too complex")]
    TooComplex,
    /// More local variables in a chunk than the compiler tracks.
    #[error("chunk has more than {0} local variables")]
    TooManyChunkLocals(u32),
    /// A limit reached in the main function.
    #[error("main function has more than {limit} {what}")]
    MainLimit {
        /// The limit.
        limit: u32,
        /// Of what.
        what: &'static str,
    },
    /// A limit reached in another function.
    #[error("function at line {line} has more than {limit} {what}")]
    FunctionLimit {
        /// Where the function begins.
        line: u32,
        /// The limit.
        limit: u32,
        /// Of what.
        what: &'static str,
    },
    /// Returns in front of the first closure cannot reach their fixed copies.
    #[error("function too long for return fixup")]
    ReturnFixupTooLong,
    /// Something else than a parameter.
    #[error("<name> or '...' expected")]
    ParameterExpected,
    /// `f` and `(` on two lines.
    #[error("ambiguous syntax (function call x new statement)")]
    AmbiguousCall,
    /// `a:b` without a call
    #[error("function arguments expected")]
    ArgumentsExpected,
    /// No expression begins like this.
    #[error("unexpected symbol")]
    UnexpectedSymbol,
    /// `...` in a function without it.
    #[error("cannot use '...' outside a vararg function")]
    NotVararg,
    /// An expression where a statement should be.
    #[error("syntax error")]
    Syntax,
    /// Neither `=` nor `in` after the variables of `for`.
    #[error("'=' or 'in' expected")]
    ForExpected,
    /// `break` outside a loop.
    #[error("no loop to break")]
    NoLoopToBreak,
    /// `continue` outside a loop.
    #[error("no loop to continue")]
    NoLoopToContinue,
    /// `goto` without its label.
    #[error("undefined label '{0}'")]
    UndefinedLabel(String),
    /// Two labels of one name in one function block.
    #[error("duplicate label '{0}'")]
    DuplicateLabel(String),
    /// `goto` over a declaration.
    #[error("<goto {label}> jumps into the scope of local '{local}'")]
    GotoIntoScope {
        /// The label.
        label: String,
        /// The variable.
        local: String,
    },
    /// `continue` over a declaration that the condition of `until` may use.
    #[error("<continue> jumps into the scope of local '{0}'")]
    ContinueIntoScope(String),
    /// Assignment to a constant.
    #[error("attempt to assign to const variable '{0}'")]
    AssignConst(String),
    /// A declaration that hides a constant.
    #[error("attempt to re-declare const variable '{0}'")]
    RedeclareConst(String),
}

/// An error with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// The chunk's name as shown, see [`short_source`].
    pub chunk: Vec<u8>,
    /// The line.
    pub line: u32,
    /// The token near which it is.
    pub near: Option<Vec<u8>>,
}

impl SyntaxError {
    /// The message as Lua code sees it.
    pub fn message(&self) -> Vec<u8> {
        let mut message = self.chunk.clone();
        message.extend_from_slice(format!(":{}: {}", self.line, self.kind).as_bytes());
        if let Some(near) = &self.near {
            message.extend_from_slice(b" near '");
            message.extend_from_slice(near);
            message.push(b'\'');
        }
        message
    }

    /// Whether the error stays whatever is appended to the source: its token does not touch the end.
    pub fn is_definite(&self, source: &[u8]) -> bool {
        match &self.near {
            Some(near) => !self.is_incomplete() && !source.trim_ascii_end().ends_with(near),
            None => false,
        }
    }

    /// Whether the source merely stops too early: a console may ask for more.
    pub fn is_incomplete(&self) -> bool {
        self.near.as_deref() == Some(b"<eof>")
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for SyntaxError {}

/// Results of the lexer, the parser and the compiler. Errors are rare and large, hence the box.
pub type Result<T> = std::result::Result<T, Box<SyntaxError>>;

/// The name of a chunk as messages show it: `=name` as it is, `@file` with its beginning cut, anything else as the
/// first line of a source text.
///
/// ```
/// use lua_frontend::syntax::short_source;
/// assert_eq!(short_source(b"=stdin"), b"stdin");
/// assert_eq!(short_source(b"@dir/file.lua"), b"dir/file.lua");
/// assert_eq!(short_source(b"return 1\nreturn 2"), b"[string \"return 1...\"]");
/// ```
pub fn short_source(name: &[u8]) -> Vec<u8> {
    let until_nul = |text: &[u8]| text.iter().position(|&c| c == 0).unwrap_or(text.len());
    match name.first() {
        Some(b'=') => {
            let text = &name[1..];
            text[..until_nul(text).min(ID_SIZE - 1)].to_vec()
        }
        Some(b'@') => {
            let text = &name[1..];
            let mut out = Vec::new();
            let mut shown = text;
            if text.len() >= ID_SIZE {
                out.extend_from_slice(b"...");
                shown = &text[text.len() - (ID_SIZE - 4)..];
            }
            out.extend_from_slice(&shown[..until_nul(shown)]);
            out
        }
        _ => {
            let line = name.iter().position(|&c| c < b' ').unwrap_or(name.len()).min(ID_SIZE - 12);
            let mut out = b"[string \"".to_vec();
            if line < until_nul(name) {
                out.extend_from_slice(&name[..line.min(ID_SIZE - 15)]);
                out.extend_from_slice(b"...");
            } else {
                out.extend_from_slice(&name[..line]);
            }
            out.extend_from_slice(b"\"]");
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_names() {
        assert_eq!(short_source(b""), b"[string \"\"]");
        assert_eq!(short_source(&[b'x'; 48]), [b"[string \"".as_slice(), &[b'x'; 48], b"\"]"].concat());
        assert_eq!(short_source(&[b'x'; 49]), [b"[string \"".as_slice(), &[b'x'; 45], b"...\"]"].concat());
        let long = [b"@".as_slice(), &[b'a'; 70]].concat();
        assert_eq!(short_source(&long), [b"...".as_slice(), &[b'a'; 56]].concat());
        assert_eq!(short_source(&[b"=".as_slice(), &[b'a'; 70]].concat()).len(), 59);
    }

    #[test]
    fn messages() {
        let error = SyntaxError {
            kind: SyntaxErrorKind::ExpectedToClose { what: "end".into(), who: "if".into(), line: 3 },
            chunk: short_source(b"@x.lua"),
            line: 9,
            near: Some(b"<eof>".to_vec()),
        };
        assert_eq!(error.to_string(), "x.lua:9: 'end' expected (to close 'if' at line 3) near '<eof>'");
        assert!(error.is_incomplete());
    }
}
