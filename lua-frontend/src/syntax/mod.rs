//! Lua source text: symbols, tokens, the lexer and the errors.
//!
//! The language is Lua 5.1 as LuaJIT 2.1 speaks it in mid 2026: `goto`, all escapes, 64-bit and imaginary literals, and the operators
//! and statements that came back from LuaJIT 3.0 (`& | ~ << >> ~>>`, `! && || !=`, `?:`, `?.`, `??`, compound assignment,
//! `continue`, `const`, short functions, `1_000`). There is no syntax tree: [`crate::compile`] parses and emits in one pass.

mod error;
mod lexer;
mod symbol;
mod token;

pub use error::{Result, SyntaxError, SyntaxErrorKind, short_source};
pub use lexer::{Lexer, header_length};
pub use symbol::{Symbol, Symbols};
pub use token::{Token, TokenValue};
