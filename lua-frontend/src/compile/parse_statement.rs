//! Statements and functions: grammar and code in one pass.
//!
//! Loops are inverted: their test stands at the end, so that an iteration runs one jump. Instructions that a loop or a
//! declaration owns carry the line of its first word.

use super::code::{Constant, FunctionCode, UpvalueSource, Variable};
use super::expression::{Exp, JumpList, Key, Kind, NO_REG, Pc, Reg};
use super::function::{FunctionState, Label, Target};
use super::operators::Binary;
use super::parse_expression::Context;
use super::{Compiler, limit};
use crate::bytecode::{self as bc, Op, abc, ad, aj};
use crate::syntax::{Result, Symbol, SyntaxErrorKind, Token, TokenValue};

impl Compiler<'_> {
    // -- Tokens --

    /// Consumes the token if it comes next.
    #[inline]
    pub(super) fn accept(&mut self, token: Token) -> Result<bool> {
        if self.lex.token != token {
            return Ok(false);
        }
        self.lex.advance()?;
        Ok(true)
    }

    /// Consumes the token or fails.
    pub(super) fn expect(&mut self, token: Token) -> Result<()> {
        if self.accept(token)? {
            Ok(())
        } else {
            Err(self.lex.error_here(SyntaxErrorKind::Expected(token.spelling())))
        }
    }

    /// Consumes the end of a construct that `opening` began at `line`.
    pub(super) fn expect_closing(&mut self, closing: Token, opening: Token, line: u32) -> Result<()> {
        if self.accept(closing)? { Ok(()) } else { Err(self.unclosed(closing, opening, line)) }
    }

    fn unclosed(&self, closing: Token, opening: Token, line: u32) -> Box<crate::syntax::SyntaxError> {
        let what = closing.spelling();
        self.lex.error_here(if line == self.lex.line {
            SyntaxErrorKind::Expected(what)
        } else {
            SyntaxErrorKind::ExpectedToClose { what, who: opening.spelling(), line }
        })
    }

    /// Whether the current token is a name, or a word that may be one.
    #[inline]
    pub(super) fn at_name(&self) -> bool {
        is_name(self.lex.token)
    }

    /// A name.
    pub(super) fn name(&mut self) -> Result<Symbol> {
        match self.lex.value {
            TokenValue::Text(symbol) if self.at_name() => {
                self.lex.advance()?;
                Ok(symbol)
            }
            _ => Err(self.lex.error_here(SyntaxErrorKind::Expected(Token::Name.spelling()))),
        }
    }

    // -- Functions --

    /// Begins a function inside the current one.
    pub(super) fn open_function(&mut self) {
        let mut state = self.spare.pop().unwrap_or_default();
        state.reset(self.vars.len());
        self.outer.push(std::mem::replace(&mut self.f, state));
    }

    /// The header, once the parameters are known.
    pub(super) fn begin_code(&mut self, line: u32, parameters: u32) -> Result<()> {
        self.f.first_line = line;
        self.f.parameters = parameters as u8;
        self.emit(ad(Op::FUNCF, 0, 0))?;
        Ok(())
    }

    /// Parameters between two tokens.
    pub(super) fn parameters(&mut self, with_self: bool, before: Token, after: Token) -> Result<u32> {
        let mut count = 0;
        self.expect(before)?;
        if with_self {
            let name = self.lex.symbols.intern(b"self");
            self.declare(0, name)?;
            count = 1;
        }
        if self.lex.token != after {
            loop {
                if self.at_name() {
                    let name = self.name()?;
                    self.declare(count, name)?;
                    count += 1;
                } else if self.accept(Token::Dots)? {
                    self.f.flags.vararg = true;
                    break;
                } else {
                    return Err(self.lex.error_here(SyntaxErrorKind::ParameterExpected));
                }
                if !self.accept(Token::Char(b','))? {
                    break;
                }
            }
        }
        self.activate(count);
        self.reserve(count)?;
        self.expect(after)?;
        Ok(count)
    }

    /// Parameters, body and `end`. A method's first parameter is `self`.
    pub(super) fn function_body(&mut self, method: Option<()>, line: u32) -> Result<Exp> {
        self.open_function();
        self.open_block(false);
        let count = self.parameters(method.is_some(), Token::Char(b'('), Token::Char(b')'))?;
        self.begin_code(line, count)?;
        self.block_statements()?;
        if self.lex.token != Token::End {
            return Err(self.unclosed(Token::End, Token::Function, line));
        }
        let e = self.close_function_expression()?;
        self.lex.advance()?;
        Ok(e)
    }

    /// Ends the current function; the enclosing one makes a closure of it.
    pub(super) fn close_function_expression(&mut self) -> Result<Exp> {
        self.lex.last_line = self.lex.line;
        let upvalue_vars: Vec<(u32, bool)> =
            self.f.upvalues.iter().map(|u| (u.var, u.outer.is_none())).collect();
        let code = self.finish_function(self.lex.line)?;
        if let Some(parent) = self.outer.pop() {
            let child = std::mem::replace(&mut self.f, parent);
            self.spare.push(child);
        }
        self.f.flags.ffi |= code.flags.ffi;
        self.f.flags.bit_operators |= code.flags.bit_operators;
        let k = self.object_constant(Constant::Function(Box::new(code)));
        for (i, &(var, local)) in upvalue_vars.iter().enumerate() {
            if local {
                self.f.child_upvalues.push((k, i as u32, var));
            }
        }
        let pc = self.emit(ad(Op::FNEW, 0, Self::constant_operand(k)))?;
        if !self.f.flags.children {
            self.f.fix_returns = self.f.has_return;
            self.f.flags.children = true;
        }
        Ok(Exp::new(Kind::Relocatable(pc)))
    }

    /// Ends the current function.
    pub(super) fn finish_function(&mut self, last_line: u32) -> Result<FunctionCode> {
        self.final_return()?;
        for (limit, count) in
            [(limit::CONSTANTS, self.f.numbers.len()), (limit::CONSTANTS, self.f.objects.len())]
        {
            if count > limit as usize {
                return Err(self.limit_error(limit, "constants"));
            }
        }
        let children = std::mem::take(&mut self.f.child_upvalues);
        for &(object, upvalue, var) in &children {
            if let Some(Constant::Function(code)) = self.f.objects.get_mut(object as usize)
                && let Some(source) = code.upvalues.get_mut(upvalue as usize)
            {
                source.immutable = !self.vars[var as usize].assigned;
            }
        }
        let f = &mut self.f;
        f.child_upvalues = children;
        let header = if f.flags.vararg { Op::FUNCV } else { Op::FUNCF };
        f.code[0] = ad(header, f.frame_size as u8, 0);
        f.lines[0] = f.first_line;
        let vars = &self.vars;
        let code = FunctionCode {
            instructions: f.code.clone(),
            lines: f.lines.clone(),
            objects: std::mem::take(&mut f.objects),
            numbers: f.numbers.clone(),
            upvalues: f
                .upvalues
                .iter()
                .map(|u| match u.outer {
                    Some(index) => UpvalueSource { from_register: false, immutable: false, index },
                    None => {
                        let index = vars[u.var as usize].reg as u8;
                        UpvalueSource { from_register: true, immutable: false, index }
                    }
                })
                .collect(),
            upvalue_names: f.upvalues.iter().map(|u| vars[u.var as usize].name).collect(),
            variables: vars[f.first_var..]
                .iter()
                .map(|var| Variable { name: var.name, start: var.start, end: var.end })
                .collect(),
            parameters: f.parameters,
            frame_size: f.frame_size as u8,
            flags: f.flags,
            first_line: f.first_line,
            line_count: last_line - f.first_line,
        };
        self.vars.truncate(self.f.first_var);
        Ok(code)
    }

    /// The return at the end of a function, and the end of its block. Returns in front of the first closure could not
    /// know that there would be upvalues to close: they move to the end of the code, and a closing jump takes their place.
    fn final_return(&mut self) -> Result<()> {
        let end = self.f.pc();
        let returned = end > self.f.last_target
            && self.f.op(end - 1).is_some_and(|op| op.is_ret() || matches!(op, Op::CALLMT | Op::CALLT));
        if !returned {
            if self.f.blocks.last().is_some_and(|block| block.captured) {
                self.emit(aj(Op::UCLO, 0, 0))?;
            }
            self.emit(ad(Op::RET0, 0, 1))?;
        }
        if let Some(block) = self.f.blocks.last_mut() {
            block.no_close = true;
        }
        self.close_block()?;
        if !self.f.fix_returns {
            return Ok(());
        }
        for pc in 1..end {
            let ins = self.f.code[pc as usize];
            match bc::op(ins) {
                Some(Op::CALLMT | Op::CALLT | Op::RETM | Op::RET | Op::RET0 | Op::RET1) => {
                    let copy = self.emit(ins)?;
                    self.f.lines[copy as usize] = self.f.lines[pc as usize];
                    let offset = copy - pc - 1 + bc::BIAS_J as u32;
                    let Ok(offset) = u16::try_from(offset) else {
                        return Err(self.lex.error_here(SyntaxErrorKind::ReturnFixupTooLong));
                    };
                    self.f.code[pc as usize] = ad(Op::UCLO, 0, offset);
                }
                Some(Op::FNEW) => break,
                _ => {}
            }
        }
        Ok(())
    }

    // -- Blocks and statements --

    /// Statements up to a word that ends a block.
    pub(super) fn block_statements(&mut self) -> Result<()> {
        self.enter_level()?;
        let mut last = false;
        while !last && !ends_block(self.lex.token) {
            last = self.statement()?;
            self.accept(Token::Char(b';'))?;
            debug_assert!(self.f.frame_size >= self.f.free && self.f.free >= self.f.active);
            self.f.free = self.f.active;
        }
        self.level -= 1;
        Ok(())
    }

    /// A block with a scope of its own.
    fn block(&mut self) -> Result<()> {
        self.open_block(false);
        self.block_statements()?;
        self.close_block()
    }

    /// A statement. True if it must be the last of its block.
    fn statement(&mut self) -> Result<bool> {
        let line = self.lex.line;
        match self.lex.token {
            Token::If => self.if_statement(line)?,
            Token::While => self.while_statement(line)?,
            Token::Do => {
                self.lex.advance()?;
                self.block()?;
                self.expect_closing(Token::End, Token::Do, line)?;
            }
            Token::For => self.for_statement(line)?,
            Token::Repeat => self.repeat_statement(line)?,
            Token::Function => self.function_statement(line)?,
            Token::Local => self.local_statement(false)?,
            Token::Const => {
                let next = self.lex.look_ahead()?;
                if is_name(next) || next == Token::Function {
                    self.local_statement(true)?;
                } else {
                    self.expression_statement()?;
                }
            }
            Token::Return => {
                self.lex.advance()?;
                self.return_statement()?;
                return Ok(true);
            }
            Token::Break => {
                self.lex.advance()?;
                self.jump_statement(Target::Break)?;
                return Ok(true);
            }
            Token::Continue => {
                if ends_block(self.lex.look_ahead()?) {
                    self.lex.advance()?;
                    self.jump_statement(Target::Continue)?;
                    return Ok(true);
                }
                self.expression_statement()?;
            }
            Token::Label => self.label_statement()?,
            Token::Goto => {
                if is_name(self.lex.look_ahead()?) {
                    self.lex.advance()?;
                    self.goto_statement()?;
                } else {
                    self.expression_statement()?;
                }
            }
            _ => self.expression_statement()?,
        }
        Ok(false)
    }

    /// A condition. Falls through when it is true; returns the jumps for false.
    fn condition(&mut self) -> Result<JumpList> {
        let mut e = self.expression()?;
        if e.kind == Kind::Nil {
            e.kind = Kind::False;
        }
        self.branch_if_false(&mut e)?;
        Ok(e.f)
    }

    /// `if` or `elseif` up to the end of its block.
    fn then_block(&mut self) -> Result<JumpList> {
        self.lex.advance()?;
        let otherwise = self.condition()?;
        self.expect(Token::Then)?;
        self.block()?;
        Ok(otherwise)
    }

    fn if_statement(&mut self, line: u32) -> Result<()> {
        let mut ends = JumpList::EMPTY;
        let mut otherwise = self.then_block()?;
        loop {
            if !matches!(self.lex.token, Token::Elseif | Token::Else) {
                self.append(&mut ends, otherwise)?;
                break;
            }
            let jump = self.emit_jump()?;
            self.append(&mut ends, JumpList(Some(jump)))?;
            self.jump_here(otherwise)?;
            if self.lex.token == Token::Elseif {
                otherwise = self.then_block()?;
            } else {
                self.lex.advance()?;
                self.block()?;
                break;
            }
        }
        self.jump_here(ends)?;
        self.expect_closing(Token::End, Token::If, line)
    }

    fn while_statement(&mut self, line: u32) -> Result<()> {
        self.lex.advance()?;
        let start = self.f.pc();
        self.f.last_target = start;
        let exit = self.condition()?;
        self.open_block(true);
        self.expect(Token::Do)?;
        let loop_pc = self.emit(ad(Op::LOOP, self.f.active as Reg, 0))?;
        self.block()?;
        let back = self.emit_jump()?;
        self.jump_to(JumpList(Some(back)), start)?;
        self.expect_closing(Token::End, Token::While, line)?;
        self.continue_label(start)?;
        self.close_block()?;
        self.jump_here(exit)?;
        self.set_jump(loop_pc, self.f.pc())
    }

    fn repeat_statement(&mut self, line: u32) -> Result<()> {
        let loop_pc = self.f.pc();
        self.f.last_target = loop_pc;
        self.open_block(true);
        self.open_block(false);
        self.lex.advance()?;
        self.emit(ad(Op::LOOP, self.f.active as Reg, 0))?;
        self.block_statements()?;
        self.expect_closing(Token::Until, Token::Repeat, line)?;
        self.continue_label(self.f.pc())?;
        // The condition still sees the variables of the body.
        let mut back = self.condition()?;
        if self.f.blocks.last().is_some_and(|block| block.captured) {
            // Both ways out of the body close its variables.
            self.jump_statement(Target::Break)?;
            self.jump_here(back)?;
            self.close_block()?;
            back = JumpList(Some(self.emit_jump()?));
        } else {
            self.close_block()?;
        }
        self.jump_to(back, loop_pc)?;
        self.set_jump(loop_pc, self.f.pc())?;
        self.close_block()
    }

    fn for_statement(&mut self, line: u32) -> Result<()> {
        self.open_block(true);
        self.lex.advance()?;
        let name = self.name()?;
        match self.lex.token {
            Token::Char(b'=') => self.numeric_for(name, line)?,
            Token::Char(b',') | Token::In => self.generic_for(name)?,
            _ => return Err(self.lex.error_here(SyntaxErrorKind::ForExpected)),
        }
        self.expect_closing(Token::End, Token::For, line)?;
        self.close_block()
    }

    fn expression_to_next_register(&mut self) -> Result<()> {
        let mut e = self.expression()?;
        self.load_next(&mut e)
    }

    fn numeric_for(&mut self, name: Symbol, line: u32) -> Result<()> {
        let base = self.f.free as Reg;
        self.declare_hidden(0, "(for index)")?;
        self.declare_hidden(1, "(for limit)")?;
        self.declare_hidden(2, "(for step)")?;
        self.declare(3, name)?;
        self.expect(Token::Char(b'='))?;
        self.expression_to_next_register()?;
        self.expect(Token::Char(b','))?;
        self.expression_to_next_register()?;
        if self.accept(Token::Char(b','))? {
            self.expression_to_next_register()?;
        } else {
            self.emit(ad(Op::KSHORT, self.f.free as Reg, 1))?;
            self.reserve(1)?;
        }
        self.activate(3);
        self.expect(Token::Do)?;
        let head = self.emit(aj(Op::FORI, base, 0))?;
        self.open_block(false);
        self.activate(1);
        self.reserve(1)?;
        self.block()?;
        self.close_block()?;
        self.continue_label(self.f.pc())?;
        let back = self.emit(aj(Op::FORL, base, 0))?;
        self.f.lines[back as usize] = line;
        self.set_jump(back, head + 1)?;
        self.set_jump(head, self.f.pc())
    }

    /// Whether the iterator is probably `next`: the loop gets an instruction that walks the table itself, and checks that
    /// when it begins.
    fn iterates_table(&self, pc: Pc) -> bool {
        let ins = self.f.code[pc as usize];
        let d = bc::d(ins);
        let symbol = match bc::op(ins) {
            Some(Op::MOV) if d < self.f.active as usize => {
                self.f.register_vars.get(d).map(|&var| self.vars[var as usize].name)
            }
            Some(Op::UGET) => self.f.upvalues.get(d).map(|u| self.vars[u.var as usize].name),
            Some(Op::GGET) => match self.f.objects.get(d) {
                Some(Constant::String(symbol)) => Some(*symbol),
                _ => None,
            },
            _ => None,
        };
        symbol.is_some_and(|symbol| matches!(self.lex.symbols.get(symbol), b"pairs" | b"next"))
    }

    fn generic_for(&mut self, name: Symbol) -> Result<()> {
        let base = (self.f.free + 3) as Reg;
        let first = self.f.pc();
        self.declare_hidden(0, "(for generator)")?;
        self.declare_hidden(1, "(for state)")?;
        self.declare_hidden(2, "(for control)")?;
        self.declare(3, name)?;
        let mut count = 4;
        while self.accept(Token::Char(b','))? {
            let name = self.name()?;
            self.declare(count, name)?;
            count += 1;
        }
        self.expect(Token::In)?;
        let line = self.lex.line;
        let (mut e, values) = self.expression_list()?;
        self.adjust(3, values, &mut e)?;
        // The call of the iterator takes a function, two frame slots' worth of space, and two arguments.
        self.bump(4)?;
        let is_next = count <= 5 && self.f.pc() > first && self.iterates_table(first);
        self.activate(3);
        self.expect(Token::Do)?;
        let head = self.emit(aj(if is_next { Op::ISNEXT } else { Op::JMP }, base, 0))?;
        self.open_block(false);
        self.activate(count - 3);
        self.reserve(count - 3)?;
        self.block()?;
        self.close_block()?;
        self.set_jump(head, self.f.pc())?;
        self.continue_label(self.f.pc())?;
        let call = self.emit(abc(if is_next { Op::ITERN } else { Op::ITERC }, base, (count - 2) as u8, 3))?;
        let back = self.emit(aj(Op::ITERL, base, 0))?;
        self.f.lines[call as usize] = line;
        self.f.lines[back as usize] = line;
        self.set_jump(back, head + 1)
    }

    fn label_statement(&mut self) -> Result<()> {
        self.f.last_target = self.f.pc();
        self.lex.advance()?;
        let name = self.name()?;
        if self.find_label(name).is_some() {
            return Err(self.duplicate_label(name));
        }
        let index = self.f.labels.len();
        let label = Label { target: Target::Name(name), pc: self.f.pc(), active: self.f.active };
        self.f.labels.push(label);
        self.expect(Token::Label)?;
        if self.lex.token == Token::Label {
            self.enter_level()?;
            self.label_statement()?;
            self.level -= 1;
        }
        let Some(&block) = self.f.blocks.last() else { return Ok(()) };
        if ends_block(self.lex.token) && self.lex.token != Token::Until {
            // A label at the end of a block is outside the scope of its variables.
            self.f.labels[index].active = block.active;
        }
        self.resolve_forward(&block, self.f.labels[index])
    }

    fn goto_statement(&mut self) -> Result<()> {
        let name = self.name()?;
        if let Some(label) = self.find_label(name) {
            // A backward jump is a loop.
            self.emit(aj(Op::LOOP, label.active as Reg, -1))?;
        }
        self.jump_statement(Target::Name(name))
    }

    fn function_statement(&mut self, line: u32) -> Result<()> {
        self.lex.advance()?;
        let name = self.name()?;
        let mut target = self.lookup(name)?;
        while self.accept(Token::Char(b'.'))? {
            self.field(&mut target)?;
        }
        let method = if self.accept(Token::Char(b':'))? {
            self.field(&mut target)?;
            Some(())
        } else {
            None
        };
        self.check_assignable(&target)?;
        let mut function = self.function_body(method, line)?;
        self.store(&target, &mut function)?;
        let last = self.f.pc() as usize - 1;
        self.f.lines[last] = line;
        Ok(())
    }

    /// `local` or `const`.
    fn local_statement(&mut self, constant: bool) -> Result<()> {
        self.lex.advance()?;
        if self.accept(Token::Function)? {
            let name = self.name()?;
            let var = self.declare(0, name)?;
            self.vars[var as usize].constant = constant;
            let reg = self.f.free as Reg;
            self.reserve(1)?;
            self.activate(1);
            let mut function = self.function_body(None, self.lex.line)?;
            self.free_exp(&function);
            self.load_to(&mut function, reg)?;
            // Visible inside the function, but without a value before.
            self.vars[var as usize].start = self.f.pc();
            return Ok(());
        }
        let mut count = 0;
        let first = self.vars.len();
        loop {
            let name = self.name()?;
            if constant && self.vars[first..].iter().any(|var| var.name == name) {
                let name = String::from_utf8_lossy(self.lex.symbols.get(name)).into_owned();
                return Err(self.lex.error(SyntaxErrorKind::RedeclareConst(name), None));
            }
            let var = self.declare(count, name)?;
            self.vars[var as usize].constant = constant;
            count += 1;
            if !self.accept(Token::Char(b','))? {
                break;
            }
        }
        let (mut e, values) =
            if self.accept(Token::Char(b'='))? { self.expression_list()? } else { (Exp::new(Kind::Void), 0) };
        self.adjust(count, values, &mut e)?;
        self.activate(count);
        Ok(())
    }

    /// Fits a list of `values` expressions, the last of which is `e`, to `targets` registers.
    fn adjust(&mut self, targets: u32, values: u32, e: &mut Exp) -> Result<()> {
        let missing = i64::from(targets) - i64::from(values);
        match e.kind {
            Kind::Call { pc, .. } | Kind::NavigatedCall { pc, .. } => {
                let results = (missing + 1).max(0) as u32;
                self.f.set_b(pc, (results + 1) as u8);
                if results > 1 {
                    self.reserve(results - 1)?;
                }
                if let Kind::NavigatedCall { base, .. } = e.kind {
                    // Call, jump, nil: as many nils as results.
                    self.f.set_a(pc + 1, (u32::from(base) + results) as u8);
                    if results > 1 {
                        let last = u32::from(base) + results - 1;
                        self.f.code[pc as usize + 2] = ad(Op::KNIL, base, last as u16);
                    }
                }
            }
            _ => {
                if e.kind != Kind::Void {
                    self.load_next(e)?;
                }
                if missing > 0 {
                    let reg = self.f.free as Reg;
                    self.reserve(missing as u32)?;
                    self.emit_nil(reg, missing as u32)?;
                }
            }
        }
        if values > targets {
            self.f.free -= values - targets;
        }
        Ok(())
    }

    fn return_statement(&mut self) -> Result<()> {
        self.f.has_return = true;
        if ends_block(self.lex.token) || self.lex.token == Token::Char(b';') {
            return self.emit_return(ad(Op::RET0, 0, 1));
        }
        let (mut e, count) = self.expression_list()?;
        if count == 1 {
            return self.return_value(e);
        }
        let first = self.f.active as Reg;
        let ins = if let Kind::Call { pc, base } = e.kind {
            self.f.set_b(pc, 0);
            ad(Op::RETM, first, u16::from(base - first))
        } else {
            self.load_next(&mut e)?;
            ad(Op::RET, first, count as u16 + 1)
        };
        self.emit_return(ins)
    }

    /// The body of a short function without block.
    pub(super) fn return_one(&mut self, context: Context) -> Result<()> {
        self.f.has_return = true;
        let e = self.expression_in(context)?;
        self.return_value(e)
    }

    /// Returns one expression: a call becomes a tail call, `...` returns all values.
    fn return_value(&mut self, mut e: Exp) -> Result<()> {
        let ins = if let Kind::Call { pc, base } = e.kind {
            let call = self.f.code[pc as usize];
            let tail = match bc::op(call) {
                Some(Op::CALL) => Some(Op::CALLT),
                Some(Op::CALLM) => Some(Op::CALLMT),
                _ => None,
            };
            match tail {
                Some(op) => {
                    self.f.code.pop();
                    self.f.lines.pop();
                    ad(op, bc::a(call) as Reg, bc::c(call) as u16)
                }
                None => {
                    self.f.set_b(pc, 0);
                    let first = self.f.active as Reg;
                    ad(Op::RETM, first, u16::from(base - first))
                }
            }
        } else {
            ad(Op::RET1, self.load_any(&mut e)?, 2)
        };
        self.emit_return(ins)
    }

    fn emit_return(&mut self, ins: bc::Ins) -> Result<()> {
        if self.f.flags.children {
            self.emit(aj(Op::UCLO, 0, 0))?;
        }
        self.emit(ins)?;
        Ok(())
    }

    // -- Assignments and calls --

    fn expression_statement(&mut self) -> Result<()> {
        let (first, given_up) =
            self.navigated_expression(Context { statement: true, ..Context::default() })?;
        if let Kind::Call { pc, .. } = first.kind {
            self.f.set_b(pc, 1);
        } else {
            if given_up.0.is_some() && self.lex.token == Token::Char(b',') {
                return Err(self.lex.error_here(SyntaxErrorKind::Syntax));
            }
            if !self.compound_assignment(first)? {
                self.assignment(first)?;
            }
        }
        if given_up.0.is_some() {
            self.jump_here(given_up)?;
        }
        Ok(())
    }

    /// `a op= b`. False if it is not one.
    fn compound_assignment(&mut self, target: Exp) -> Result<bool> {
        if !is_target(&target) {
            return Ok(false);
        }
        let Some(mut op) = Binary::from_token(self.lex.token).filter(|op| op.has_assignment()) else {
            return Ok(false);
        };
        self.check_assignable(&target)?;
        if op == Binary::Ne {
            if self.lex.token != Token::Ne {
                let kind = SyntaxErrorKind::Expected("=".to_string());
                return Err(self.lex.error(kind, Some(Token::Char(b'!'))));
            }
            op = Binary::Bxor;
        } else {
            if self.lex.next_byte() != Some(b'=') {
                return Err(self.lex.error_here(SyntaxErrorKind::Expected("=".to_string())));
            }
            self.lex.advance()?;
        }
        self.lex.advance()?;
        let mut e = target;
        // Table and key stay in their registers for the store.
        let free = self.f.free;
        if let Kind::Indexed { .. } = e.kind {
            self.discharge(&mut e)?;
            self.f.free = free;
        }
        if op == Binary::Concat {
            self.load_next(&mut e)?;
        } else {
            self.load_any(&mut e)?;
        }
        let mut operand = self.expression()?;
        self.binary(op, &mut e, &mut operand, None)?;
        self.store(&target, &mut e)?;
        Ok(true)
    }

    /// The rest of an assignment after its first target.
    fn assignment(&mut self, first: Exp) -> Result<()> {
        let mut targets = vec![first];
        loop {
            let newest = targets.len() - 1;
            if !is_target(&targets[newest]) {
                return Err(self.lex.error_here(SyntaxErrorKind::Syntax));
            }
            self.check_assignable(&targets[newest])?;
            if !self.accept(Token::Char(b','))? {
                break;
            }
            let next = self.primary_expression(Context { no_navigation: true, ..Context::default() })?;
            if let Kind::Local { reg, .. } = next.kind {
                self.avoid_hazard(&mut targets, reg)?;
            }
            if self.level + targets.len() as u32 >= limit::LEVELS {
                return Err(self.limit_error(limit::LEVELS, "variable names"));
            }
            targets.push(next);
        }
        self.expect(Token::Char(b'='))?;
        let (mut e, values) = self.expression_list()?;
        let count = targets.len() as u32;
        if values == count {
            if let Kind::Call { pc, base } = e.kind {
                e.kind = if self.f.op(pc) == Some(Op::VARG) {
                    self.f.free -= 1;
                    Kind::Relocatable(pc)
                } else {
                    Kind::Register(base)
                };
            }
            if let Some(last) = targets.pop() {
                self.store(&last, &mut e)?;
            }
        } else {
            self.adjust(count, values, &mut e)?;
        }
        while let Some(target) = targets.pop() {
            let mut value = Exp::new(Kind::Register((self.f.free - 1) as Reg));
            self.store(&target, &mut value)?;
        }
        Ok(())
    }

    /// `t[i], i = 1, 2` must use the old `i`: earlier targets that use the variable get a copy of it.
    fn avoid_hazard(&mut self, targets: &mut [Exp], reg: Reg) -> Result<()> {
        let copy = self.f.free as Reg;
        let mut hazard = false;
        for target in targets {
            if let Kind::Indexed { table, key } = &mut target.kind {
                if *table == reg {
                    *table = copy;
                    hazard = true;
                }
                if *key == Key::Register(reg) {
                    *key = Key::Register(copy);
                    hazard = true;
                }
            }
        }
        if hazard {
            self.emit(ad(Op::MOV, copy, u16::from(reg)))?;
            self.reserve(1)?;
        }
        Ok(())
    }
}

fn is_target(e: &Exp) -> bool {
    matches!(e.kind, Kind::Local { .. } | Kind::Upvalue { .. } | Kind::Global(_) | Kind::Indexed { .. })
}

/// Names and the words that are reserved only where they make sense.
fn is_name(token: Token) -> bool {
    matches!(token, Token::Name | Token::Goto | Token::Continue | Token::Const)
}

/// Words that end a block.
fn ends_block(token: Token) -> bool {
    matches!(token, Token::Else | Token::Elseif | Token::End | Token::Until | Token::Eof)
}

const _: () = assert!(NO_REG == bc::NO_REG);
const _: fn() -> FunctionState = FunctionState::default;
