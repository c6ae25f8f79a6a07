//! C declarations: text to entries of the type table.
//!
//! C99 declarations with the common attributes of GCC, without a preprocessor (`#pragma pack` and line markers are
//! understood). `$` stands for a parameter: a type, a name or a number. A declarator is read inside out: [`Layer`]s collect
//! in the order in which they apply to the base type, so that `int (*f)(void)` gives "function" and then "pointer".
//!
//! Constant expressions are in [`expression`], structures and enumerations in [`structure`].
//! Nesting is limited; an error leaves the table with the types read so far, but without their names.

mod expression;
mod lexer;
mod structure;

use std::borrow::Cow;

use super::types::{CONST, CType, Function, INVALID, Id, Kind, Name, Types, VOLATILE, id};
use lexer::{Keyword, Lexer, Token};

/// A parameter for `$`.
#[derive(Clone, Debug)]
pub enum Parameter {
    /// A type.
    Type(Id),
    /// A name.
    Name(Vec<u8>),
    /// A number.
    Number(i32),
}

/// The message of a failed declaration.
pub type Result<T> = std::result::Result<T, String>;

const MAX_DEPTH: u32 = 100;
/// Types that a program may declare.
const MAX_TYPES: usize = 65535;
const MAX_LAYERS: usize = 100;

/// A constant expression's value.
#[derive(Clone, Copy, Debug)]
struct Constant {
    value: u32,
    ty: Id,
}

impl Constant {
    fn signed(self) -> bool {
        self.ty == id::INT32
    }
}

/// A step from the base type to the declared one.
#[derive(Clone, Debug)]
enum Layer {
    Pointer { quals: u8, short: bool },
    Reference,
    Array { count: Option<u32>, variable: bool },
    Function(Function),
    Align(u8),
}

/// Attributes of a declaration.
#[derive(Clone, Debug, Default)]
struct Attributes {
    quals: u8,
    align: Option<u8>,
    packed: bool,
    mode: u32,
    vector: u32,
    symbol: Option<Box<[u8]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    None,
    Typedef,
    Extern,
    Static,
}

/// What may be declared.
#[derive(Clone, Copy)]
struct Mode {
    direct: bool,
    nameless: bool,
    field: bool,
}

#[derive(Default)]
struct Declarator {
    name: Option<Box<[u8]>>,
    known: bool,
    layers: Vec<Layer>,
    bits: Option<u32>,
}

/// Reads declarations (`ffi.cdef`).
///
/// # Errors
/// The message.
pub fn declare(types: &mut Types, source: &[u8], parameters: &[Parameter]) -> Result<()> {
    let source = &join_lines(source);
    let mut parser = Parser::new(types, source, parameters)?;
    parser.declarations()?;
    parser.finish()
}

/// Reads one type. `known_only` refuses tags that are not declared.
///
/// # Errors
/// The message.
pub fn parse_type(
    types: &mut Types,
    source: &[u8],
    parameters: &[Parameter],
    known_only: bool,
) -> Result<Id> {
    let source = &join_lines(source);
    let mut parser = Parser::new(types, source, parameters)?;
    parser.known_only = known_only;
    let (base, attributes, _) = parser.specifiers(&[])?;
    let ty = parser.abstract_type(base, attributes)?;
    if parser.lex.token != Token::Eof {
        return Err(parser.lex.expected("<eof>"));
    }
    parser.finish()?;
    Ok(ty)
}

/// Joins lines that end in a backslash, also in the middle of a word.
fn join_lines(source: &[u8]) -> Cow<'_, [u8]> {
    let is_joint = |i: usize| source[i] == b'\\' && matches!(source.get(i + 1), Some(b'\n' | b'\r'));
    if !(0..source.len()).any(is_joint) {
        return Cow::Borrowed(source);
    }
    let mut joined = Vec::with_capacity(source.len());
    let mut i = 0;
    while i < source.len() {
        if is_joint(i) {
            let pair = matches!(source.get(i + 1..i + 3), Some(b"\r\n" | b"\n\r"));
            i += 2 + usize::from(pair);
        } else {
            joined.push(source[i]);
            i += 1;
        }
    }
    Cow::Owned(joined)
}

struct Parser<'t, 's> {
    types: &'t mut Types,
    lex: Lexer<'s>,
    depth: u32,
    known_only: bool,
    /// `#pragma pack`: the largest alignment, as logarithms.
    pack: Vec<u8>,
}

impl<'t, 's> Parser<'t, 's> {
    fn new(types: &'t mut Types, source: &'s [u8], parameters: &'s [Parameter]) -> Result<Parser<'t, 's>> {
        let lex = Lexer::new(source, parameters)?;
        Ok(Parser { types, lex, depth: 0, known_only: false, pack: vec![255] })
    }

    fn finish(&self) -> Result<()> {
        if self.types.len() > MAX_TYPES {
            Err(self.lex.error("table overflow"))
        } else if self.lex.parameters_left() {
            Err(self.lex.error("wrong number of type parameters"))
        } else {
            Ok(())
        }
    }

    fn accept(&mut self, token: &Token) -> Result<bool> {
        if self.lex.token != *token {
            return Ok(false);
        }
        self.lex.advance()?;
        Ok(true)
    }

    fn accept_char(&mut self, c: u8) -> Result<bool> {
        self.accept(&Token::Char(c))
    }

    fn expect_char(&mut self, c: u8) -> Result<()> {
        if self.accept_char(c)? { Ok(()) } else { Err(self.lex.expected(&char::from(c).to_string())) }
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> Result<bool> {
        self.accept(&Token::Keyword(keyword, 0))
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.lex.error("chunk has too many syntax levels")) } else { Ok(()) }
    }

    fn ordinary(&self, name: &[u8]) -> Option<&Name> {
        self.types.names.get(name)
    }

    fn describe_error(&self, what: &str) -> String {
        self.lex.error(what)
    }

    // -- Types --

    fn begins_type(&self) -> bool {
        match &self.lex.token {
            Token::Keyword(keyword, _) => keyword.begins_type(),
            Token::Identifier(name) => matches!(self.ordinary(name), Some(Name::Typedef(_))),
            Token::Type(_) => true,
            _ => false,
        }
    }

    fn attributes(&mut self, attributes: &mut Attributes) -> Result<()> {
        loop {
            match self.lex.token {
                Token::Keyword(Keyword::Const, _) => attributes.quals |= CONST,
                Token::Keyword(Keyword::Volatile, _) => attributes.quals |= VOLATILE,
                Token::Keyword(Keyword::Restrict | Keyword::Extension | Keyword::CallConvention, _) => {}
                Token::Keyword(Keyword::PointerSize, size) => attributes.mode = size,
                Token::Keyword(Keyword::Attribute, _) => {
                    self.lex.advance()?;
                    self.gcc_attributes(attributes)?;
                    continue;
                }
                Token::Keyword(Keyword::Asm, _) => {
                    self.lex.advance()?;
                    self.expect_char(b'(')?;
                    let mut symbol = Vec::new();
                    while let Token::String(text) = &self.lex.token {
                        symbol.extend_from_slice(text);
                        self.lex.advance()?;
                    }
                    attributes.symbol = Some(symbol.into());
                    self.expect_char(b')')?;
                    continue;
                }
                Token::Keyword(Keyword::Declspec, _) => {
                    self.lex.advance()?;
                    self.expect_char(b'(')?;
                    while let Token::Identifier(name) = self.lex.token.clone() {
                        self.lex.advance()?;
                        if &*name == b"align" {
                            self.align_attribute(attributes)?;
                        } else {
                            self.skip_arguments()?;
                        }
                    }
                    self.expect_char(b')')?;
                    continue;
                }
                _ => return Ok(()),
            }
            self.lex.advance()?;
        }
    }

    fn size_in_parentheses(&mut self) -> Result<u32> {
        self.expect_char(b'(')?;
        let size = self.size_expression()?;
        self.expect_char(b')')?;
        Ok(size)
    }

    fn align_attribute(&mut self, attributes: &mut Attributes) -> Result<()> {
        let align = if self.lex.token == Token::Char(b'(') {
            self.size_in_parentheses()?.checked_ilog2().unwrap_or(0).min(15) as u8
        } else {
            4
        };
        attributes.align = Some(align);
        Ok(())
    }

    fn skip_arguments(&mut self) -> Result<()> {
        if self.accept_char(b'(')? {
            while !matches!(self.lex.token, Token::Char(b')') | Token::Eof) {
                self.lex.advance()?;
            }
            self.expect_char(b')')?;
        }
        Ok(())
    }

    fn gcc_attributes(&mut self, attributes: &mut Attributes) -> Result<()> {
        self.expect_char(b'(')?;
        self.expect_char(b'(')?;
        loop {
            match self.lex.token.clone() {
                Token::Identifier(name) => {
                    self.lex.advance()?;
                    let plain = name.strip_prefix(b"__").and_then(|n| n.strip_suffix(b"__")).unwrap_or(&name);
                    match plain {
                        b"aligned" => self.align_attribute(attributes)?,
                        b"packed" => attributes.packed = true,
                        b"mode" => self.mode_attribute(attributes)?,
                        b"vector_size" => attributes.vector = self.size_in_parentheses()?,
                        _ => self.skip_arguments()?,
                    }
                }
                Token::Keyword(..) => {
                    self.lex.advance()?;
                    self.skip_arguments()?;
                }
                _ => break,
            }
            if !self.accept_char(b',')? {
                break;
            }
        }
        self.expect_char(b')')?;
        self.expect_char(b')')
    }

    fn mode_attribute(&mut self, attributes: &mut Attributes) -> Result<()> {
        self.expect_char(b'(')?;
        if let Token::Identifier(name) = self.lex.token.clone() {
            let mut text = name.strip_prefix(b"__").unwrap_or(&name);
            let mut count = 0u32;
            if let Some(rest) = text.strip_prefix(b"V") {
                let digits = rest.iter().take_while(|c| c.is_ascii_digit()).count();
                count = rest[..digits].iter().fold(0, |n, c| n * 10 + u32::from(c & 15)).min(64);
                text = &rest[digits..];
            }
            let size = match text.first() {
                Some(b'Q') => 1,
                Some(b'H') => 2,
                Some(b'S') => 4,
                Some(b'D') => 8,
                Some(b'T') => 16,
                Some(b'O') => 32,
                _ => 0,
            };
            if size > 0 && matches!(text.get(1), Some(b'I' | b'F')) {
                attributes.mode = size;
                if count > 0 {
                    attributes.vector = count * size;
                }
            }
            self.lex.advance()?;
        }
        self.expect_char(b')')
    }

    /// Declaration specifiers: the base type, attributes, storage class.
    fn specifiers(&mut self, allowed: &[Keyword]) -> Result<(Id, Attributes, Storage)> {
        let mut attributes = Attributes::default();
        let mut storage = Storage::None;
        let mut seen: Vec<Keyword> = Vec::new();
        let mut size = 0;
        let mut named = None;
        loop {
            self.attributes(&mut attributes)?;
            let has = |seen: &[Keyword], keyword| seen.contains(&keyword);
            if let Token::Keyword(keyword, keyword_size) = self.lex.token
                && (keyword.is_basic() || keyword.is_storage())
            {
                if keyword_size > 0 {
                    if size > 0 {
                        break;
                    }
                    size = keyword_size;
                }
                if keyword.is_storage() {
                    if !allowed.contains(&keyword) {
                        return Err(self.lex.near("bad storage class"));
                    }
                    storage = match keyword {
                        Keyword::Typedef => Storage::Typedef,
                        Keyword::Static => Storage::Static,
                        Keyword::Extern => Storage::Extern,
                        _ => storage,
                    };
                } else if named.is_some() {
                    break;
                }
                let long_again = keyword == Keyword::Long && has(&seen, Keyword::Long);
                seen.push(if long_again { Keyword::LongLong } else { keyword });
                self.lex.advance()?;
                continue;
            }
            let fixed = [Keyword::Short, Keyword::Long, Keyword::Signed, Keyword::Unsigned, Keyword::Complex];
            if size > 0 || named.is_some() || fixed.iter().any(|&k| has(&seen, k)) {
                break;
            }
            match self.lex.token.clone() {
                Token::Keyword(Keyword::Struct, _) => named = Some(self.structure(&mut attributes, false)?),
                Token::Keyword(Keyword::Union, _) => named = Some(self.structure(&mut attributes, true)?),
                Token::Keyword(Keyword::Enum, _) => named = Some(self.enumeration(&mut attributes)?),
                Token::Identifier(name) => match self.ordinary(&name) {
                    Some(&Name::Typedef(ty)) => {
                        named = Some(ty);
                        self.lex.advance()?;
                    }
                    _ => break,
                },
                Token::Type(ty) => {
                    named = Some(ty);
                    self.lex.advance()?;
                }
                _ => break,
            }
        }
        let has = |keyword| seen.contains(&keyword);
        let quals = std::mem::take(&mut attributes.quals);
        if has(Keyword::Complex) {
            named = Some(if size == 4 { id::COMPLEX_FLOAT } else { id::COMPLEX_DOUBLE });
        }
        let ty = if let Some(ty) = named {
            self.types.qualify(ty, quals)
        } else if has(Keyword::Void) {
            self.types.intern(CType { kind: Kind::Void, size: INVALID, align: 0, quals })
        } else {
            let unsigned = has(Keyword::Unsigned);
            let mut kind = Kind::Int { unsigned, long: false };
            if has(Keyword::Bool) {
                kind = Kind::Bool;
                size = size.max(1);
            } else if has(Keyword::FloatingPoint) {
                kind = Kind::Float;
                if has(Keyword::Long) {
                    size = 16;
                }
            } else if has(Keyword::Char) {
                size = 1;
            } else if has(Keyword::Short) {
                size = 2;
            } else if has(Keyword::Long) || has(Keyword::LongLong) {
                size = 8;
                kind = Kind::Int { unsigned, long: true };
            } else if size == 0 {
                if !has(Keyword::Signed) && !unsigned && !has(Keyword::Int) {
                    return Err(self.lex.near("declaration specifier expected"));
                }
                size = 4;
            } else if size == 8 {
                kind = Kind::Int { unsigned, long: true };
            }
            self.types.intern(CType { kind, size, align: size.ilog2() as u8, quals })
        };
        Ok((ty, attributes, storage))
    }

    // -- Declarators --

    fn abstract_type(&mut self, base: Id, mut attributes: Attributes) -> Result<Id> {
        let mode = Mode { direct: false, nameless: true, field: false };
        let declarator = self.declarator(&mut attributes, mode)?;
        self.build(base, &declarator.layers, &attributes)
    }

    fn declarator(&mut self, attributes: &mut Attributes, mode: Mode) -> Result<Declarator> {
        self.enter()?;
        let mut result = Declarator::default();
        loop {
            if self.accept_char(b'*')? {
                self.attributes(attributes)?;
                let short = attributes.mode == 4;
                let quals = std::mem::take(&mut attributes.quals);
                attributes.mode = 0;
                result.layers.push(Layer::Pointer { quals, short });
            } else if self.accept_char(b'&')? || self.accept(&Token::AndAnd)? {
                attributes.quals = 0;
                result.layers.push(Layer::Reference);
            } else {
                break;
            }
            if result.layers.len() > MAX_LAYERS {
                return Err(self.describe_error("chunk has too many syntax levels"));
            }
        }
        let mut inner = None;
        let mut tail = Vec::new();
        if self.accept_char(b'(')? {
            self.attributes(attributes)?;
            if mode.nameless && (self.lex.token == Token::Char(b')') || self.begins_type()) {
                tail.push(self.function_layer()?);
            } else {
                inner = Some(self.declarator(attributes, mode)?);
                self.expect_char(b')')?;
            }
        } else if let Token::Identifier(name) = self.lex.token.clone() {
            if !mode.direct {
                return Err(self.lex.expected("<eof>"));
            }
            result.known = self.types.names.contains_key(&name);
            result.name = Some(name);
            self.lex.advance()?;
        } else if !mode.nameless {
            return Err(self.lex.expected("<identifier>"));
        }
        loop {
            if self.accept_char(b'[')? {
                self.attributes(attributes)?;
                let variable = self.accept_char(b'?')?;
                let count = if variable || self.lex.token == Token::Char(b']') {
                    None
                } else {
                    Some(self.size_expression()?)
                };
                self.expect_char(b']')?;
                tail.push(Layer::Array { count, variable });
            } else if self.accept_char(b'(')? {
                tail.push(self.function_layer()?);
            } else {
                break;
            }
            if tail.len() > MAX_LAYERS {
                return Err(self.describe_error("chunk has too many syntax levels"));
            }
        }
        if mode.field && self.accept_char(b':')? {
            result.bits = Some(self.size_expression()?);
        }
        self.attributes(attributes)?;
        result.layers.extend(tail.into_iter().rev());
        if let Some(inner) = inner {
            result.layers.extend(inner.layers);
            result.name = inner.name;
            result.known = inner.known;
            result.bits = result.bits.or(inner.bits);
        }
        if let Some(align) = attributes.align
            && !mode.field
            && !matches!(result.layers.last(), Some(Layer::Function(_) | Layer::Align(_)))
        {
            result.layers.push(Layer::Align(align));
        }
        self.depth -= 1;
        Ok(result)
    }

    /// Parameters, the opening parenthesis consumed.
    fn function_layer(&mut self) -> Result<Layer> {
        let mut function = Function::default();
        if self.lex.token != Token::Char(b')') {
            loop {
                if self.accept_char(b'.')? {
                    self.expect_char(b'.')?;
                    self.expect_char(b'.')?;
                    function.variadic = true;
                    break;
                }
                let (base, mut attributes, _) = self.specifiers(&[Keyword::Register])?;
                let mode = Mode { direct: true, nameless: true, field: false };
                let declarator = self.declarator(&mut attributes, mode)?;
                let mut ty = self.build(base, &declarator.layers, &attributes)?;
                match self.types.get(self.types.raw(ty)).kind {
                    Kind::Void => break,
                    Kind::Array { of, .. } => ty = self.types.pointer_to(of),
                    Kind::Function(_) => ty = self.types.pointer_to(ty),
                    _ => {}
                }
                function.parameters.push(ty);
                if !self.accept_char(b',')? {
                    break;
                }
            }
        }
        self.expect_char(b')')?;
        if self.lex.token == Token::Char(b'{') {
            // The body of a definition is skipped.
            self.lex.skip_numbers = true;
            let mut level = 0;
            loop {
                match self.lex.token {
                    Token::Char(b'{') => level += 1,
                    Token::Char(b'}') => {
                        level -= 1;
                        if level == 0 {
                            break;
                        }
                    }
                    Token::Eof => return Err(self.lex.expected("}")),
                    _ => {}
                }
                self.lex.advance()?;
            }
            self.lex.skip_numbers = false;
            self.lex.token = Token::Char(b';');
        }
        Ok(Layer::Function(function))
    }

    /// Applies the layers to the base type.
    fn build(&mut self, base: Id, layers: &[Layer], attributes: &Attributes) -> Result<Id> {
        let invalid = "invalid C type";
        let mut ty = self.types.qualify(base, attributes.quals);
        let entry = self.types.get(ty);
        if matches!(entry.kind, Kind::Int { .. } | Kind::Float) {
            ty = self.sized_number(ty, attributes);
        }
        for layer in layers {
            let raw = self.types.get(self.types.raw(ty));
            let is_reference = matches!(raw.kind, Kind::Pointer { reference: true, .. });
            match layer {
                Layer::Pointer { quals, short } => {
                    if is_reference {
                        return Err(self.describe_error(invalid));
                    }
                    let (size, align) = if *short { (4, 2) } else { (8, 3) };
                    let kind = Kind::Pointer { to: ty, reference: false };
                    ty = self.types.intern(CType { kind, size, align, quals: *quals });
                }
                Layer::Reference => {
                    if is_reference {
                        return Err(self.describe_error(invalid));
                    }
                    ty = self.types.reference_to(ty);
                }
                Layer::Array { count, variable } => {
                    if is_reference {
                        return Err(self.describe_error(invalid));
                    }
                    let too_large = "size of C type is unknown or too large";
                    let Some(element) = self.types.size(ty).filter(|_| !self.types.is_variable(ty)) else {
                        return Err(self.describe_error(too_large));
                    };
                    let size = match count {
                        None => INVALID,
                        Some(count) => {
                            let size = u64::from(*count) * u64::from(element);
                            if size >= 0x8000_0000 {
                                return Err(self.describe_error(too_large));
                            }
                            size as u32
                        }
                    };
                    let info = self.types.info(ty);
                    let kind = Kind::Array { of: ty, variable: *variable };
                    ty = self.types.intern(CType { kind, size, align: info.align, quals: info.quals });
                }
                Layer::Function(function) => {
                    if matches!(raw.kind, Kind::Function(_) | Kind::Array { .. }) {
                        return Err(self.describe_error(invalid));
                    }
                    ty = self.types.new_function(Function { result: ty, ..function.clone() });
                }
                Layer::Align(align) => {
                    let entry = self.types.get(ty);
                    let kind = Kind::Attributed { of: ty };
                    ty = self.types.intern(CType { kind, size: entry.size, align: *align, quals: 0 });
                }
            }
        }
        Ok(ty)
    }

    /// A number type under `mode` and `vector_size`.
    fn sized_number(&mut self, ty: Id, attributes: &Attributes) -> Id {
        let mut entry = self.types.get(ty);
        let mode = attributes.mode;
        if mode > 0 && (entry.kind != Kind::Float || matches!(mode, 4 | 8)) {
            entry.size = mode;
            entry.align = (mode.ilog2() as u8).min(4);
        }
        let ty = self.types.intern(entry);
        if attributes.vector >= entry.size && attributes.vector > 0 {
            let log = attributes.vector.ilog2() as u8;
            let kind = Kind::Vector { of: ty };
            let align = log.min(4).max(entry.align);
            return self.types.intern(CType { kind, size: 1 << log, align, quals: entry.quals });
        }
        ty
    }

    // -- Declarations --

    fn declarations(&mut self) -> Result<()> {
        let mut first = true;
        while self.lex.token != Token::Eof {
            if self.accept_char(b';')? {
                first = false;
                continue;
            }
            if self.lex.token == Token::Char(b'#') {
                self.directive()?;
                continue;
            }
            let (base, specified, storage) =
                self.specifiers(&[Keyword::Typedef, Keyword::Extern, Keyword::Static])?;
            let unique = matches!(self.types.get(self.types.raw(base)).kind, Kind::Struct(_) | Kind::Enum(_));
            if !(unique && matches!(self.lex.token, Token::Char(b';') | Token::Eof)) {
                loop {
                    let mut attributes = specified.clone();
                    let mode = Mode { direct: true, nameless: false, field: false };
                    let declarator = self.declarator(&mut attributes, mode)?;
                    let ty = self.build(base, &declarator.layers, &attributes)?;
                    if let Some(name) = declarator.name
                        && !declarator.known
                    {
                        let is_function = matches!(self.types.get(ty).kind, Kind::Function(_));
                        let entry = match storage {
                            Storage::Typedef => Name::Typedef(ty),
                            _ if is_function => Name::Function(ty, attributes.symbol),
                            Storage::Static => {
                                let (value, ty) = self.static_constant(ty)?;
                                Name::Constant(value, ty)
                            }
                            _ => Name::Variable(ty, attributes.symbol),
                        };
                        self.types.names.insert(name, entry);
                    }
                    if !self.accept_char(b',')? {
                        break;
                    }
                }
            }
            if self.lex.token == Token::Eof && first {
                break;
            }
            first = false;
            self.expect_char(b';')?;
        }
        Ok(())
    }

    /// A line that begins with `#`.
    fn directive(&mut self) -> Result<()> {
        let line = self.lex.line;
        self.lex.advance()?;
        if let Token::Identifier(name) = self.lex.token.clone() {
            match &*name {
                b"pragma" => return self.pragma(line),
                b"line" => self.lex.advance()?,
                _ => return Err(self.lex.near("unexpected symbol")),
            }
        }
        let Token::Integer(number, _) = self.lex.token else {
            return Err(self.lex.near("unexpected symbol"));
        };
        while self.lex.token != Token::Eof && self.lex.line == line {
            self.lex.advance()?;
        }
        self.lex.line = number;
        Ok(())
    }

    fn pragma(&mut self, line: u32) -> Result<()> {
        self.lex.advance()?;
        if !matches!(&self.lex.token, Token::Identifier(name) if &**name == b"pack") {
            while self.lex.token != Token::Eof && self.lex.line == line {
                self.lex.advance()?;
            }
            return Ok(());
        }
        self.lex.advance()?;
        self.expect_char(b'(')?;
        let mut done = false;
        if let Token::Identifier(name) = self.lex.token.clone() {
            match &*name {
                b"push" if self.pack.len() < 16 => {
                    let top = self.pack.last().copied().unwrap_or(255);
                    self.pack.push(top);
                }
                b"push" => return Err(self.lex.near("chunk has too many syntax levels")),
                b"pop" => {
                    if self.pack.len() > 1 {
                        self.pack.pop();
                    }
                }
                _ => return Err(self.lex.near("unexpected symbol")),
            }
            self.lex.advance()?;
            done = !self.accept_char(b',')?;
        }
        if !done && let Some(top) = self.pack.last_mut() {
            if let Token::Integer(value, _) = self.lex.token {
                *top = value.checked_ilog2().unwrap_or(0) as u8;
                self.lex.advance()?;
            } else {
                *top = 255;
            }
        }
        self.expect_char(b')')
    }
}
