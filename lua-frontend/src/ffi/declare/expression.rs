//! Constant expressions in C declarations: sizes, enumerators, bit-field widths.
//!
//! Values have 32 bits and are signed or unsigned, as their type says.

use super::lexer::{Keyword, Token};
use super::{Constant, Parser, Result};
use crate::ffi::types::{Kind, Member, Name, id};

impl Parser<'_, '_> {
    pub(super) fn size_expression(&mut self) -> Result<u32> {
        let constant = self.integer_expression()?;
        if constant.value >= 0x8000_0000 {
            return Err(self.describe_error("size of C type is unknown or too large"));
        }
        Ok(constant.value)
    }

    pub(super) fn integer_expression(&mut self) -> Result<Constant> {
        let constant = self.expression(0)?;
        match self.types.get(self.types.raw(constant.ty)).kind {
            Kind::Int { .. } => Ok(constant),
            _ => Err(self.describe_error("invalid value")),
        }
    }

    /// The operator at the current token and its priority.
    fn binary_operator(&self) -> Option<(u8, &'static str)> {
        Some(match self.lex.token {
            Token::Char(b'?') => (0, "?"),
            Token::OrOr => (1, "||"),
            Token::AndAnd => (2, "&&"),
            Token::Char(b'|') => (3, "|"),
            Token::Char(b'^') => (4, "^"),
            Token::Char(b'&') => (5, "&"),
            Token::Eq => (6, "=="),
            Token::Ne => (6, "!="),
            Token::Char(b'<') => (7, "<"),
            Token::Char(b'>') => (7, ">"),
            Token::Le => (7, "<="),
            Token::Ge => (7, ">="),
            Token::Shl => (8, "<<"),
            Token::Shr => (8, ">>"),
            Token::Char(b'+') => (9, "+"),
            Token::Char(b'-') => (9, "-"),
            Token::Char(b'*') => (10, "*"),
            Token::Char(b'/') => (10, "/"),
            Token::Char(b'%') => (10, "%"),
            _ => return None,
        })
    }

    pub(super) fn expression(&mut self, limit: u8) -> Result<Constant> {
        self.enter()?;
        let mut left = self.unary()?;
        while let Some((priority, operator)) = self.binary_operator().filter(|op| op.0 >= limit) {
            self.lex.advance()?;
            if operator == "?" {
                let first = self.expression(0)?;
                self.expect_char(b':')?;
                let second = self.expression(0)?;
                let ty = first.ty.max(second.ty);
                left = Constant { value: if left.value != 0 { first.value } else { second.value }, ty };
                continue;
            }
            let right = self.expression(priority + 1)?;
            left = self.apply(operator, left, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn apply(&self, operator: &str, a: Constant, b: Constant) -> Result<Constant> {
        let (x, y) = (a.value, b.value);
        let (i, j) = (x as i32, y as i32);
        let signed = a.signed() && b.signed();
        let wider = a.ty.max(b.ty);
        let truth = |value: bool| Constant { value: u32::from(value), ty: id::INT32 };
        Ok(match operator {
            "||" => truth(x != 0 || y != 0),
            "&&" => truth(x != 0 && y != 0),
            "|" => Constant { value: x | y, ty: wider },
            "^" => Constant { value: x ^ y, ty: wider },
            "&" => Constant { value: x & y, ty: wider },
            "==" => truth(x == y),
            "!=" => truth(x != y),
            "<" => truth(if signed { i < j } else { x < y }),
            ">" => truth(if signed { i > j } else { x > y }),
            "<=" => truth(if signed { i <= j } else { x <= y }),
            ">=" => truth(if signed { i >= j } else { x >= y }),
            "<<" => Constant { value: x.wrapping_shl(y), ty: a.ty },
            ">>" if a.signed() => Constant { value: i.wrapping_shr(y) as u32, ty: a.ty },
            ">>" => Constant { value: x.wrapping_shr(y), ty: a.ty },
            "+" => Constant { value: x.wrapping_add(y), ty: wider },
            "-" => Constant { value: x.wrapping_sub(y), ty: wider },
            "*" => Constant { value: x.wrapping_mul(y), ty: wider },
            _ => {
                let quotient = operator == "/";
                let value = if wider == id::INT32 {
                    if quotient { i.checked_div(j) } else { i.checked_rem(j) }.map(|v| v as u32)
                } else if quotient {
                    x.checked_div(y)
                } else {
                    x.checked_rem(y)
                };
                Constant { value: value.ok_or_else(|| self.describe_error("invalid value"))?, ty: wider }
            }
        })
    }

    fn unary(&mut self) -> Result<Constant> {
        self.enter()?;
        let constant = self.prefix()?;
        let constant = self.postfix(constant)?;
        self.depth -= 1;
        Ok(constant)
    }

    fn prefix(&mut self) -> Result<Constant> {
        match self.lex.token.clone() {
            Token::Integer(value, unsigned) => {
                self.lex.advance()?;
                return Ok(Constant { value, ty: if unsigned { id::UINT32 } else { id::INT32 } });
            }
            Token::String(text) => {
                let mut size = text.len();
                loop {
                    self.lex.advance()?;
                    let Token::String(more) = &self.lex.token else { break };
                    size += more.len();
                }
                return Ok(Constant { value: size as u32 + 1, ty: id::A_CONST_CHAR });
            }
            Token::Identifier(name) => {
                let constant = match self.ordinary(&name) {
                    Some(&Name::Constant(value, ty)) => Constant { value, ty },
                    Some(&Name::Variable(ty, _) | &Name::Function(ty, _)) => Constant { value: 0, ty },
                    _ => return Err(self.lex.near("unexpected symbol")),
                };
                self.lex.advance()?;
                return Ok(constant);
            }
            _ => {}
        }
        if self.accept_char(b'+')? {
            return self.unary();
        }
        if self.accept_char(b'-')? {
            let c = self.unary()?;
            return Ok(Constant { value: c.value.wrapping_neg(), ..c });
        }
        if self.accept_char(b'~')? {
            let c = self.unary()?;
            return Ok(Constant { value: !c.value, ..c });
        }
        if self.accept_char(b'!')? {
            let c = self.unary()?;
            return Ok(Constant { value: u32::from(c.value == 0), ty: id::INT32 });
        }
        if self.accept_char(b'(')? {
            if self.begins_type() {
                let (base, attributes, _) = self.specifiers(&[])?;
                let ty = self.abstract_type(base, attributes)?;
                self.expect_char(b')')?;
                let c = self.unary()?;
                return Ok(Constant { ty, ..c });
            }
            let mut c = self.expression(0)?;
            while self.accept_char(b',')? {
                c = self.expression(0)?;
            }
            self.expect_char(b')')?;
            return Ok(c);
        }
        if self.accept_char(b'*')? {
            let c = self.unary()?;
            let target = match self.types.get(self.types.raw_ref(c.ty)).kind {
                Kind::Pointer { to, .. } => to,
                Kind::Array { of, .. } => of,
                _ => {
                    return Err(
                        self.describe_error(&format!("'{}' cannot be indexed", self.types.describe(c.ty)))
                    );
                }
            };
            return Ok(Constant { value: 0, ty: target });
        }
        if self.accept_char(b'&')? {
            let c = self.unary()?;
            let ty = self.types.pointer_to(c.ty);
            return Ok(Constant { ty, ..c });
        }
        for (keyword, wants_size) in [(Keyword::Sizeof, true), (Keyword::Alignof, false)] {
            if self.accept_keyword(keyword)? {
                let ty = if self.lex.token == Token::Char(b'(') && self.lex_begins_type_after_paren()? {
                    let (base, attributes, _) = self.specifiers(&[])?;
                    let ty = self.abstract_type(base, attributes)?;
                    self.expect_char(b')')?;
                    ty
                } else {
                    let c = self.unary()?;
                    if c.ty == id::A_CONST_CHAR && wants_size {
                        return Ok(Constant { value: c.value, ty: id::UINT32 });
                    }
                    c.ty
                };
                let info = self.types.info(ty);
                let value = if wants_size {
                    self.types
                        .size(ty)
                        .ok_or_else(|| self.describe_error("size of C type is unknown or too large"))?
                } else {
                    1 << info.align
                };
                return Ok(Constant { value, ty: id::UINT32 });
            }
        }
        Err(self.lex.near("unexpected symbol"))
    }

    /// At `(`: whether a type follows; then the parenthesis is consumed.
    fn lex_begins_type_after_paren(&mut self) -> Result<bool> {
        let saved = self.lex.clone();
        self.lex.advance()?;
        if self.begins_type() {
            return Ok(true);
        }
        self.lex = saved;
        Ok(false)
    }

    fn postfix(&mut self, mut c: Constant) -> Result<Constant> {
        loop {
            if self.accept_char(b'[')? {
                let target = match self.types.get(self.types.raw_ref(c.ty)).kind {
                    Kind::Pointer { to, .. } => to,
                    Kind::Array { of, .. } => of,
                    _ => {
                        let text = format!("'{}' cannot be indexed", self.types.describe(c.ty));
                        return Err(self.describe_error(&text));
                    }
                };
                self.expression(0)?;
                self.expect_char(b']')?;
                c = Constant { value: 0, ty: target };
            } else if matches!(self.lex.token, Token::Char(b'.') | Token::Arrow) {
                self.lex.advance()?;
                let Token::Identifier(name) = self.lex.token.clone() else {
                    return Err(self.lex.expected("<identifier>"));
                };
                let mut ty = self.types.raw_ref(c.ty);
                if let Kind::Pointer { to, .. } = self.types.get(ty).kind {
                    ty = to;
                }
                let Some(found) = self.types.field(ty, &name) else {
                    let text = format!(
                        "'{}' has no member named '{}'",
                        self.types.describe(ty),
                        String::from_utf8_lossy(&name)
                    );
                    return Err(self.describe_error(&text));
                };
                let value = if let Member::Constant(value) = found.member { value } else { 0 };
                c = Constant { value, ty: found.ty };
                self.lex.advance()?;
            } else {
                return Ok(c);
            }
        }
    }
}
