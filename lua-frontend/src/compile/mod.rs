//! The compiler: source to bytecode in one pass.
//!
//! There is no syntax tree. The grammar functions ([`parse_statement`], [`parse_expression`]) emit while they read; an
//! expression whose value is still open is an [`expression::Exp`], and jumps whose target is still open are lists through the code. One
//! pass is fast (tens of megabytes per second), needs memory only for the functions that are open, and gives every instruction exactly
//! the line that the reference implementation gives it: the last line read when it was emitted.
//!
//! # Example
//! `local a = b and c` reads `b`, a [`expression::Kind::Global`]. The operator `and` loads it to register 0 and emits a test with an open
//! jump for "false"; `c` goes to the same register, and the jump is patched to the end:
//!
//! ```text
//! 0001 GGET   0  0   ; "b"
//! 0002 ISFC   0  0
//! 0003 JMP    1 => 0005
//! 0004 GGET   0  1   ; "c"
//! 0005 ...
//! ```
//!
//! (The test would copy `b` to the destination if it were somewhere else; here it becomes `ISF`.)
//!
//! # Guarantees
//! Whatever the source, the result is code or an error: nesting is limited ([`limit::LEVELS`]), and so is everything that has to fit an
//! operand. The output holds no heap object, so that a collector may run at any time.

pub mod code;
pub mod dump;
pub mod expression;
mod function;
pub mod list;
pub mod load;
mod operators;
mod parse_expression;
mod parse_statement;
mod scope;
mod values;
pub mod verify;

use crate::api::Cx;
use crate::bytecode::{Op, ad};
use crate::error::Throw;
use crate::object::Proto;
use crate::syntax::{Lexer, Result, SyntaxErrorKind, Token, header_length};
use crate::value::Gc;
use code::Chunk;
use function::FunctionState;
use scope::Var;

/// Limits of the language.
pub mod limit {
    /// Nested syntax.
    pub const LEVELS: u32 = 200;
    /// Registers of a function.
    pub const SLOTS: u32 = 250;
    /// Local variables of a function at one time.
    pub const LOCALS: u32 = 200;
    /// Upvalues of a function.
    pub const UPVALUES: u32 = 60;
    /// Local variables of nested functions together.
    pub const CHUNK_LOCALS: u32 = 65536 - UPVALUES;
    /// Constants of one kind in a function.
    pub const CONSTANTS: u32 = 65536;
    /// Instructions of a function.
    pub const INSTRUCTIONS: u32 = 1 << 26;
}

/// The state of a compilation.
struct Compiler<'s> {
    lex: Lexer<'s>,
    /// The innermost open function.
    f: FunctionState,
    /// Those around it, outermost first.
    outer: Vec<FunctionState>,
    /// Finished states whose memory can serve again.
    spare: Vec<FunctionState>,
    vars: Vec<Var>,
    /// Symbol to newest visible variable.
    heads: Vec<u32>,
    level: u32,
}

/// Compiles a source text.
///
/// ```
/// let chunk = lua_frontend::compile::compile(b"return 1 + 1", b"=example").unwrap();
/// assert_eq!(chunk.main.instructions.len(), 3);
/// let error = lua_frontend::compile::compile(b"x = = 1", b"=example").unwrap_err();
/// assert_eq!(error.to_string(), "example:1: unexpected symbol near '='");
/// ```
pub fn compile(source: &[u8], chunk_name: &[u8]) -> Result<Chunk> {
    let mut compiler = Compiler {
        lex: Lexer::new(source, chunk_name),
        f: FunctionState::default(),
        outer: Vec::new(),
        spare: Vec::new(),
        vars: Vec::new(),
        heads: Vec::new(),
        level: 0,
    };
    compiler.f.reset(0);
    compiler.f.flags.vararg = true;
    compiler.open_block(false);
    compiler.emit(ad(Op::FUNCV, 0, 0))?;
    compiler.lex.advance()?;
    compiler.block_statements()?;
    if compiler.lex.token != Token::Eof {
        return Err(compiler.lex.error_here(SyntaxErrorKind::Expected(Token::Eof.spelling())));
    }
    let main = compiler.finish_function(compiler.lex.line)?;
    Ok(Chunk { symbols: compiler.lex.symbols, name: chunk_name.to_vec(), main })
}

/// The first byte of a dump.
pub const DUMP_SIGNATURE: u8 = 0x1b;

/// Compiles source text or loads a dump. `mode` says what is allowed: `t` (text), `b` (binary), or both.
///
/// # Errors
/// The syntax error, `cannot load malformed bytecode` or `attempt to load chunk with wrong mode`.
pub fn load(cx: Cx, chunk: &[u8], name: &[u8], mode: &str) -> std::result::Result<Gc<Proto>, Throw> {
    let header = header_length(chunk);
    let binary = chunk.get(header) == Some(&DUMP_SIGNATURE);
    if binary && header > 0 {
        // A dump in disguise: checks that look at the first character only would let it pass.
        return Err(cx.error_plain("cannot load malformed bytecode"));
    }
    if !mode.contains(if binary { 'b' } else { 't' }) {
        return Err(cx.error_plain("attempt to load chunk with wrong mode"));
    }
    if binary {
        return match dump::read(chunk, name).and_then(|chunk| verify::verify(&chunk).map(|()| chunk)) {
            Ok(chunk) => load::instantiate(cx, &chunk),
            Err(error) => {
                let shown = match name.first() {
                    Some(&DUMP_SIGNATURE) => b"(binary)",
                    Some(b'@' | b'=') => &name[1..],
                    _ => name,
                };
                Err(cx.error_plain([shown, format!(": {error}").as_bytes()].concat()))
            }
        };
    }
    match compile(chunk, name) {
        Ok(chunk) => load::instantiate(cx, &chunk),
        Err(error) => Err(cx.error_plain(error.message())),
    }
}
