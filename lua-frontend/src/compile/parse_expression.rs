//! Expressions: grammar and code in one pass.

use super::code::{Constant, Scalar, TableTemplate};
use super::expression::{Exp, JumpList, Kind, Reg, WideNumber};
use super::operators::{Binary, UNARY_PRIORITY, Unary};
use super::{Compiler, limit};
use crate::bytecode::{Op, abc, ad};
use crate::syntax::{Result, Symbol, SyntaxErrorKind, Token, TokenValue};

/// What the surroundings ask of an expression.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    /// A statement: results are not used.
    pub statement: bool,
    /// `:` belongs to a conditional expression around, not to a method call.
    pub no_colon: bool,
    /// Safe navigation is not allowed.
    pub no_navigation: bool,
}

/// Whether an operand in front of this token goes on.
fn continues_operand(token: Token) -> bool {
    matches!(token, Token::Navigate | Token::Char(b'[' | b':' | b'(' | b'{' | b'.') | Token::String)
}

impl Compiler<'_> {
    /// An expression.
    pub(super) fn expression(&mut self) -> Result<Exp> {
        self.expression_in(Context::default())
    }

    pub(super) fn expression_in(&mut self, context: Context) -> Result<Exp> {
        let (mut e, _) = self.binary_expression(0, context)?;
        if !self.accept(Token::Char(b'?'))? {
            return Ok(e);
        }
        // a ? b : c
        self.branch_if_false(&mut e)?;
        let otherwise = e.f;
        let mut first = self.expression_in(Context { no_colon: true, ..Context::default() })?;
        self.load_next(&mut first)?;
        let around = self.emit_jump()?;
        self.jump_here(otherwise)?;
        self.expect(Token::Char(b':'))?;
        if let Kind::Register(reg) = first.kind {
            self.free_register(reg);
        }
        let mut second = self.expression()?;
        self.load_next(&mut second)?;
        self.jump_here(JumpList(Some(around)))?;
        Ok(second)
    }

    /// One level deeper into nested syntax.
    pub(super) fn enter_level(&mut self) -> Result<()> {
        self.level += 1;
        if self.level >= limit::LEVELS {
            return Err(self.lex.error(SyntaxErrorKind::TooManyLevels, None));
        }
        Ok(())
    }

    /// Operators that bind stronger than `limit`. Returns the operator that follows, too.
    fn binary_expression(&mut self, limit: u8, context: Context) -> Result<(Exp, Option<Binary>)> {
        self.enter_level()?;
        let mut e = self.unary_expression(context)?;
        let mut operator = Binary::from_token(self.lex.token);
        while let Some(op) = operator {
            let (left, right) = op.priority();
            if left <= limit {
                break;
            }
            self.lex.advance()?;
            let around = self.left_operand(op, &mut e)?;
            let (mut operand, next) = self.binary_expression(right, context)?;
            self.binary(op, &mut e, &mut operand, around)?;
            operator = next;
        }
        self.level -= 1;
        Ok((e, operator))
    }

    fn unary_expression(&mut self, context: Context) -> Result<Exp> {
        let op = match self.lex.token {
            Token::Not | Token::Char(b'!') => Unary::Not,
            Token::Char(b'-') => Unary::Minus,
            Token::Char(b'#') => Unary::Length,
            Token::Char(b'~') => Unary::BitNot,
            _ => return self.simple_expression(context),
        };
        self.lex.advance()?;
        let (mut e, _) = self.binary_expression(UNARY_PRIORITY, context)?;
        self.unary(op, &mut e)?;
        Ok(e)
    }

    fn simple_expression(&mut self, context: Context) -> Result<Exp> {
        let kind = match self.lex.token {
            Token::Number | Token::String => match self.lex.value {
                TokenValue::Number(n) => Kind::Number(n),
                TokenValue::Text(symbol) => Kind::String(symbol),
                TokenValue::Int64(n) => Kind::Wide(WideNumber::Int64(n)),
                TokenValue::Uint64(n) => Kind::Wide(WideNumber::Uint64(n)),
                TokenValue::Imaginary(n) => Kind::Wide(WideNumber::Complex(0.0, n)),
                TokenValue::None => Kind::Nil,
            },
            Token::Nil => Kind::Nil,
            Token::True => Kind::True,
            Token::False => Kind::False,
            Token::Dots => {
                if !self.f.flags.vararg {
                    return Err(self.lex.error_here(SyntaxErrorKind::NotVararg));
                }
                self.reserve(1)?;
                let base = (self.f.free - 1) as Reg;
                let pc = self.emit(abc(Op::VARG, base, 2, self.f.parameters))?;
                Kind::Call { pc, base }
            }
            Token::Char(b'{') => return self.table_constructor(),
            Token::Function => {
                self.lex.advance()?;
                return self.function_body(None, self.lex.line);
            }
            Token::Char(b'|') | Token::OrOr => return self.short_function(None, context, self.lex.line),
            _ => return self.primary_expression(context),
        };
        self.lex.advance()?;
        Ok(Exp::new(kind))
    }

    /// A name, a parenthesis and what follows them; the value is nil where `?.` gave up.
    pub(super) fn primary_expression(&mut self, context: Context) -> Result<Exp> {
        let (mut e, given_up) = self.navigated_expression(context)?;
        if given_up.0.is_some() {
            let around = self.emit_jump()?;
            self.jump_here(given_up)?;
            match e.kind {
                Kind::Call { pc, base } => {
                    e.kind = Kind::NavigatedCall { pc, base };
                    self.emit(ad(Op::KPRI, base, 0))?;
                }
                Kind::Register(reg) => {
                    self.emit(ad(Op::KPRI, reg, 0))?;
                }
                _ => {}
            }
            self.jump_here(JumpList(Some(around)))?;
        }
        Ok(e)
    }

    /// As [`Self::primary_expression`], with the jumps that `?.` takes when it meets nil.
    pub(super) fn navigated_expression(&mut self, context: Context) -> Result<(Exp, JumpList)> {
        let mut given_up = JumpList::EMPTY;
        let mut e;
        if self.lex.token == Token::Char(b'(') {
            let line = self.lex.line;
            self.lex.advance()?;
            e = self.expression()?;
            self.expect_closing(Token::Char(b')'), Token::Char(b'('), line)?;
            self.discharge(&mut e)?;
        } else if self.at_name() {
            let line = self.lex.line;
            let name = self.name()?;
            if !context.statement && self.lex.token == Token::Arrow {
                return Ok((self.short_function(Some(name), context, line)?, given_up));
            }
            e = self.lookup(name)?;
        } else {
            return Err(self.lex.error_here(SyntaxErrorKind::UnexpectedSymbol));
        }
        loop {
            let mut navigating = false;
            if !context.no_navigation && self.accept(Token::Navigate)? {
                navigating = true;
                let reg = self.load_any(&mut e)?;
                self.give_up_on_nil(reg, &mut given_up)?;
            }
            let token = self.lex.token;
            let mut is_call = false;
            match token {
                Token::Char(b'[') => {
                    self.load_any(&mut e)?;
                    let mut key = self.bracket()?;
                    self.index(&mut e, &mut key)?;
                }
                Token::Char(b':') => {
                    if context.no_colon {
                        if navigating {
                            return Err(self.lex.error_here(SyntaxErrorKind::UnexpectedSymbol));
                        }
                        break;
                    }
                    self.lex.advance()?;
                    let name = self.name()?;
                    self.method(&mut e, name)?;
                    navigating = false;
                    if self.accept(Token::Navigate)? {
                        navigating = true;
                        if let Kind::Register(reg) = e.kind {
                            self.give_up_on_nil(reg, &mut given_up)?;
                        }
                    }
                    is_call = true;
                }
                Token::Char(b'(' | b'{') | Token::String => {
                    self.load_next(&mut e)?;
                    self.reserve(1)?;
                    is_call = true;
                }
                _ => {
                    if !navigating && !self.accept(Token::Char(b'.'))? {
                        break;
                    }
                    self.field(&mut e)?;
                }
            }
            if is_call {
                self.arguments(&mut e)?;
                // The last call keeps all its results.
                if navigating && !context.statement && !continues_operand(self.lex.token) {
                    break;
                }
            }
            if navigating && !context.statement {
                self.load_next(&mut e)?;
            }
        }
        Ok((e, given_up))
    }

    fn give_up_on_nil(&mut self, reg: Reg, list: &mut JumpList) -> Result<()> {
        self.emit(ad(Op::ISEQP, reg, 0))?;
        let jump = self.emit_jump()?;
        self.append(list, JumpList(Some(jump)))
    }

    /// `.name`, the point consumed.
    pub(super) fn field(&mut self, e: &mut Exp) -> Result<()> {
        self.load_any(e)?;
        let mut key = Exp::new(Kind::String(self.name()?));
        self.index(e, &mut key)
    }

    /// `[key]`
    fn bracket(&mut self) -> Result<Exp> {
        self.lex.advance()?;
        let mut key = self.expression()?;
        self.load_value(&mut key)?;
        self.expect(Token::Char(b']'))?;
        Ok(key)
    }

    /// Expressions with commas between them. All but the last are in consecutive registers.
    pub(super) fn expression_list(&mut self) -> Result<(Exp, u32)> {
        let mut e = self.expression()?;
        let mut count = 1;
        while self.accept(Token::Char(b','))? {
            self.load_next(&mut e)?;
            e = self.expression()?;
            count += 1;
        }
        Ok((e, count))
    }

    /// The arguments of a call whose function is in a register, and the call.
    fn arguments(&mut self, e: &mut Exp) -> Result<()> {
        let line = self.lex.line;
        let mut arguments = match self.lex.token {
            Token::Char(b'(') => {
                if line != self.lex.last_line {
                    return Err(self.lex.error_here(SyntaxErrorKind::AmbiguousCall));
                }
                self.lex.advance()?;
                let mut list = Exp::new(Kind::Void);
                if self.lex.token != Token::Char(b')') {
                    list = self.expression_list()?.0;
                    if let Kind::Call { pc, .. } = list.kind {
                        self.f.set_b(pc, 0);
                    }
                }
                self.expect_closing(Token::Char(b')'), Token::Char(b'('), line)?;
                list
            }
            Token::Char(b'{') => self.table_constructor()?,
            Token::String => {
                let TokenValue::Text(symbol) = self.lex.value else {
                    return Err(self.lex.error_here(SyntaxErrorKind::ArgumentsExpected));
                };
                self.lex.advance()?;
                Exp::new(Kind::String(symbol))
            }
            _ => return Err(self.lex.error_here(SyntaxErrorKind::ArgumentsExpected)),
        };
        let Kind::Register(base) = e.kind else { return Ok(()) };
        let ins = match arguments.kind {
            Kind::Call { base: last, .. } => abc(Op::CALLM, base, 2, last - base - 2),
            Kind::Void => abc(Op::CALL, base, 2, (self.f.free - u32::from(base) - 1) as u8),
            _ => {
                self.load_next(&mut arguments)?;
                abc(Op::CALL, base, 2, (self.f.free - u32::from(base) - 1) as u8)
            }
        };
        let pc = self.emit(ins)?;
        *e = Exp::new(Kind::Call { pc, base });
        self.f.lines[pc as usize] = line;
        self.f.free = u32::from(base) + 1;
        Ok(())
    }

    /// `{...}`: constants become a template, the rest is stored one by one.
    fn table_constructor(&mut self) -> Result<Exp> {
        let line = self.lex.line;
        let table = self.f.free as Reg;
        let start = self.emit(ad(Op::TNEW, table, 0))?;
        self.reserve(1)?;
        let free = self.f.free;
        let mut template: Option<(TableTemplate, u32)> = None;
        let mut open_call = None;
        let mut has_array = false;
        let mut next_index = 1u32;
        let mut hash_size = 0u32;
        self.expect(Token::Char(b'{'))?;
        while self.lex.token != Token::Char(b'}') {
            open_call = None;
            let mut positional = false;
            let mut key;
            let mut computed_key = None;
            if self.lex.token == Token::Char(b'[') {
                key = self.bracket()?;
                if !key.is_constant() {
                    computed_key = Some(self.index_key(&mut key)?);
                }
                if key.number() == Some(0.0) {
                    has_array = true;
                } else {
                    hash_size += 1;
                }
                self.expect(Token::Char(b'='))?;
            } else if self.at_name() && self.lex.look_ahead()? == Token::Char(b'=') {
                key = Exp::new(Kind::String(self.name()?));
                self.expect(Token::Char(b'='))?;
                hash_size += 1;
            } else {
                key = Exp::new(Kind::Number(f64::from(next_index)));
                next_index += 1;
                positional = true;
                has_array = true;
            }
            let mut value = self.expression()?;
            let constant_key = key.is_constant() && key.kind != Kind::Nil;
            let mut stored = false;
            if constant_key && (matches!(key.kind, Kind::String(_)) || value.is_plain_constant()) {
                if template.is_none() {
                    let k = self.object_constant(Constant::Table(TableTemplate::default()));
                    self.f.code[start as usize] = ad(Op::TDUP, table, Self::constant_operand(k));
                    let start = (if has_array { next_index } else { 0 }, hash_size);
                    template = Some((TableTemplate { start, ..TableTemplate::default() }, k));
                }
                let value = match (value.is_plain_constant(), scalar(value.kind)) {
                    (true, Some(Scalar::Nil)) if matches!(key.kind, Kind::String(_)) => {
                        Some(Scalar::Reserved)
                    }
                    (true, value) => value,
                    (false, _) => None,
                };
                if let (Some((template, _)), Some(key)) = (&mut template, scalar(key.kind)) {
                    template.entries.push((key, value.unwrap_or(Scalar::Reserved)));
                }
                stored = value.is_some();
            }
            if !stored {
                if let Kind::Call { pc, .. } = value.kind {
                    if positional {
                        open_call = Some(pc);
                    }
                } else {
                    self.load_any(&mut value)?;
                }
                let key = match computed_key {
                    Some(key) => key,
                    None => self.index_key(&mut key)?,
                };
                self.store(&Exp::new(Kind::Indexed { table, key }), &mut value)?;
            }
            self.f.free = free;
            if !self.accept(Token::Char(b','))? && !self.accept(Token::Char(b';'))? {
                break;
            }
        }
        self.expect_closing(Token::Char(b'}'), Token::Char(b'{'), line)?;
        if let Some(call) = open_call {
            // The store of the last value becomes a store of all results, from this index on.
            let first = f64::from_bits(0x4330_0000_0000_0000 | u64::from(next_index - 1));
            let k = self.number_constant(first);
            self.f.code.truncate(call as usize + 2);
            self.f.lines.truncate(call as usize + 2);
            self.f.code[call as usize + 1] = ad(Op::TSETM, free as Reg, Self::constant_operand(k));
            self.f.set_b(call, 0);
        }
        let array_size = if has_array { next_index } else { 0 };
        match template {
            Some((mut template, k)) => {
                template.array_size = array_size;
                template.hash_size = hash_size;
                self.f.objects[k as usize] = Constant::Table(template);
            }
            None => {
                let array_size = if has_array { array_size.clamp(3, 0x7ff) } else { 0 };
                self.f.set_d(start, (array_size | hash_bits(hash_size) << 11) as u16);
            }
        }
        let kind = if start + 1 == self.f.pc() {
            self.f.free -= 1;
            Kind::Relocatable(start)
        } else {
            Kind::Register(table)
        };
        Ok(Exp::new(kind))
    }

    /// A short function: `|a, b| -> a + b`, `x -> x * x`, `|| -> do ... end`.
    fn short_function(&mut self, parameter: Option<Symbol>, context: Context, line: u32) -> Result<Exp> {
        self.open_function();
        self.open_block(false);
        let mut count = 0;
        if let Some(name) = parameter {
            self.declare(0, name)?;
            self.activate(1);
            self.reserve(1)?;
            count = 1;
        } else if !self.accept(Token::OrOr)? {
            count = self.parameters(false, Token::Char(b'|'), Token::Char(b'|'))?;
        }
        self.expect(Token::Arrow)?;
        self.begin_code(line, count)?;
        if self.accept(Token::Do)? {
            self.block_statements()?;
            self.expect_closing(Token::End, Token::Do, line)?;
        } else {
            self.return_one(context)?;
        }
        self.close_function_expression()
    }
}

fn scalar(kind: Kind) -> Option<Scalar> {
    Some(match kind {
        Kind::Nil => Scalar::Nil,
        Kind::False => Scalar::Bool(false),
        Kind::True => Scalar::Bool(true),
        Kind::Number(n) => Scalar::Number(n),
        Kind::String(s) => Scalar::String(s),
        _ => return None,
    })
}

/// The logarithm of the hash part for this many entries.
fn hash_bits(entries: u32) -> u32 {
    match entries {
        0 => 0,
        1 => 1,
        n => (n - 1).ilog2() + 1,
    }
}
