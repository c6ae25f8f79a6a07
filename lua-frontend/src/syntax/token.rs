//! Tokens and their spelling in error messages.

use super::symbol::Symbol;

/// One token. Single characters without a token of their own stand for themselves, also those that no Lua program
/// may contain: the parser reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// A character such as `+` or `(`.
    Char(u8),
    /// `and`
    And,
    /// `break`
    Break,
    /// `const`, reserved only in front of a name or `function`
    Const,
    /// `continue`, reserved only at the end of a block
    Continue,
    /// `do`
    Do,
    /// `else`
    Else,
    /// `elseif`
    Elseif,
    /// `end`
    End,
    /// `false`
    False,
    /// `for`
    For,
    /// `function`
    Function,
    /// `goto`, reserved only in front of a name
    Goto,
    /// `if`
    If,
    /// `in`
    In,
    /// `local`
    Local,
    /// `nil`
    Nil,
    /// `not`
    Not,
    /// `or`
    Or,
    /// `repeat`
    Repeat,
    /// `return`
    Return,
    /// `then`
    Then,
    /// `true`
    True,
    /// `until`
    Until,
    /// `while`
    While,
    /// `..`
    Concat,
    /// `...`
    Dots,
    /// `==`
    Eq,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `~=`
    Ne,
    /// `?.`
    Navigate,
    /// `??`
    Coalesce,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `~>>`
    Sar,
    /// `&&`
    AndAnd,
    /// `||`
    OrOr,
    /// `!=`
    BangEq,
    /// `->`
    Arrow,
    /// `::`
    Label,
    /// A number literal.
    Number,
    /// An identifier.
    Name,
    /// A string literal.
    String,
    /// The end of the source.
    Eof,
}

/// The reserved words in the order of their symbols.
pub const RESERVED: [&str; 24] = [
    "and", "break", "const", "continue", "do", "else", "elseif", "end", "false", "for", "function", "goto",
    "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

const RESERVED_TOKENS: [Token; RESERVED.len()] = [
    Token::And,
    Token::Break,
    Token::Const,
    Token::Continue,
    Token::Do,
    Token::Else,
    Token::Elseif,
    Token::End,
    Token::False,
    Token::For,
    Token::Function,
    Token::Goto,
    Token::If,
    Token::In,
    Token::Local,
    Token::Nil,
    Token::Not,
    Token::Or,
    Token::Repeat,
    Token::Return,
    Token::Then,
    Token::True,
    Token::Until,
    Token::While,
];

impl Token {
    /// The reserved word whose symbol has this number.
    #[inline]
    pub fn from_reserved(number: u32) -> Option<Token> {
        RESERVED_TOKENS.get(number as usize).copied()
    }

    /// The token as error messages show it.
    pub fn spelling(self) -> String {
        let fixed = match self {
            Token::Char(c) if c < 32 || c == 127 => return format!("char({c})"),
            Token::Char(c) => return char::from(c).to_string(),
            Token::Concat => "..",
            Token::Dots => "...",
            Token::Eq => "==",
            Token::Ge => ">=",
            Token::Le => "<=",
            Token::Ne => "~=",
            Token::Navigate => "?.",
            Token::Coalesce => "??",
            Token::Shl => "<<",
            Token::Shr => ">>",
            Token::Sar => "~>>",
            Token::AndAnd => "&&",
            Token::OrOr => "||",
            Token::BangEq => "!=",
            Token::Arrow => "->",
            Token::Label => "::",
            Token::Number => "<number>",
            Token::Name => "<name>",
            Token::String => "<string>",
            Token::Eof => "<eof>",
            word => {
                let position = RESERVED_TOKENS.iter().position(|&t| t == word);
                position.map_or("?", |i| RESERVED[i])
            }
        };
        fixed.to_string()
    }
}

/// What a name, string or number token stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenValue {
    /// Tokens without a value.
    None,
    /// The characters of a name, reserved word or string.
    Text(Symbol),
    /// A plain number.
    Number(f64),
    /// `42LL`
    Int64(i64),
    /// `42ULL`
    Uint64(u64),
    /// `42i`: the imaginary part of a complex number.
    Imaginary(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling() {
        for (i, word) in RESERVED.iter().enumerate() {
            assert_eq!(Token::from_reserved(i as u32).map(Token::spelling).as_deref(), Some(*word));
        }
        assert_eq!(Token::Char(b'=').spelling(), "=");
        assert_eq!(Token::Char(1).spelling(), "char(1)");
        assert_eq!(Token::Sar.spelling(), "~>>");
    }
}
