//! Operators: folding of constants, and instructions for the rest.
//!
//! Folding follows the run-time semantics. Results that are NaN or -0 are not folded: a constant cannot tell NaNs apart and finds 0
//! under the key of -0.

use super::Compiler;
use super::expression::{Exp, JumpList, Kind, Pc, WideNumber, primitive};
use crate::bytecode::{Op, abc, ad};
use crate::syntax::{Result, Token};

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Band,
    Bor,
    Bxor,
    Shl,
    Shr,
    Sar,
    Concat,
    Ne,
    Eq,
    Lt,
    Ge,
    Le,
    Gt,
    And,
    Or,
    Coalesce,
}

/// The priority of unary operators.
pub(super) const UNARY_PRIORITY: u8 = 12;

impl Binary {
    /// The operator that a token stands for.
    #[inline]
    pub fn from_token(token: Token) -> Option<Binary> {
        Some(match token {
            Token::Char(c) => match c {
                b'+' => Binary::Add,
                b'-' => Binary::Sub,
                b'*' => Binary::Mul,
                b'/' => Binary::Div,
                b'%' => Binary::Mod,
                b'^' => Binary::Pow,
                b'&' => Binary::Band,
                b'|' => Binary::Bor,
                b'~' => Binary::Bxor,
                b'<' => Binary::Lt,
                b'>' => Binary::Gt,
                _ => return None,
            },
            Token::Shl => Binary::Shl,
            Token::Shr => Binary::Shr,
            Token::Sar => Binary::Sar,
            Token::Concat => Binary::Concat,
            Token::Ne | Token::BangEq => Binary::Ne,
            Token::Eq => Binary::Eq,
            Token::Le => Binary::Le,
            Token::Ge => Binary::Ge,
            Token::And | Token::AndAnd => Binary::And,
            Token::Or | Token::OrOr => Binary::Or,
            Token::Coalesce => Binary::Coalesce,
            _ => return None,
        })
    }

    /// How strongly it binds to the left and to the right; right-associative if the right is weaker.
    #[inline]
    pub fn priority(self) -> (u8, u8) {
        match self {
            Binary::Pow => (14, 13),
            Binary::Mul | Binary::Div | Binary::Mod => (11, 11),
            Binary::Add | Binary::Sub => (10, 10),
            Binary::Concat => (9, 8),
            Binary::Shl | Binary::Shr | Binary::Sar => (7, 7),
            Binary::Band => (6, 6),
            Binary::Bxor => (5, 5),
            Binary::Bor => (4, 4),
            Binary::Ne | Binary::Eq | Binary::Lt | Binary::Ge | Binary::Le | Binary::Gt => (3, 3),
            Binary::And => (2, 2),
            Binary::Or | Binary::Coalesce => (1, 1),
        }
    }

    /// Whether `a op= b` exists. There is no `^=`; `~=` stands for exclusive or.
    pub fn has_assignment(self) -> bool {
        matches!(
            self,
            Binary::Add
                | Binary::Sub
                | Binary::Mul
                | Binary::Div
                | Binary::Mod
                | Binary::Band
                | Binary::Bor
                | Binary::Bxor
                | Binary::Shl
                | Binary::Shr
                | Binary::Sar
                | Binary::Concat
                | Binary::Ne
        )
    }

    /// Instructions of an arithmetic operator: register and register, register and constant, constant and register.
    fn arithmetic(self) -> Option<(Op, Option<(Op, Op)>)> {
        Some(match self {
            Binary::Add => (Op::ADDVV, Some((Op::ADDVN, Op::ADDNV))),
            Binary::Sub => (Op::SUBVV, Some((Op::SUBVN, Op::SUBNV))),
            Binary::Mul => (Op::MULVV, Some((Op::MULVN, Op::MULNV))),
            Binary::Div => (Op::DIVVV, Some((Op::DIVVN, Op::DIVNV))),
            Binary::Mod => (Op::MODVV, Some((Op::MODVN, Op::MODNV))),
            Binary::Pow => (Op::POW, None),
            Binary::Band => (Op::BAND, None),
            Binary::Bor => (Op::BOR, None),
            Binary::Bxor => (Op::BXOR, None),
            Binary::Shl => (Op::BSHL, None),
            Binary::Shr => (Op::BSHR, None),
            Binary::Sar => (Op::BSAR, None),
            _ => return None,
        })
    }

    fn is_bit_operator(self) -> bool {
        matches!(self, Binary::Band | Binary::Bor | Binary::Bxor | Binary::Shl | Binary::Shr | Binary::Sar)
    }

    /// The value of the operator on two constants.
    fn fold(self, a: f64, b: f64) -> Option<f64> {
        let (i, j) = (to_bit(a), to_bit(b));
        let value = match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Mod => a - (a / b).floor() * b,
            Binary::Pow => a.powf(b),
            Binary::Band => f64::from(i & j),
            Binary::Bor => f64::from(i | j),
            Binary::Bxor => f64::from(i ^ j),
            Binary::Shl => f64::from(i.wrapping_shl(j as u32)),
            Binary::Shr => f64::from((i as u32).wrapping_shr(j as u32) as i32),
            Binary::Sar => f64::from(i.wrapping_shr(j as u32)),
            _ => return None,
        };
        (!value.is_nan() && !is_minus_zero(value)).then_some(value)
    }
}

fn is_minus_zero(n: f64) -> bool {
    n == 0.0 && n.is_sign_negative()
}

/// A number as the bit operators see it: rounded to nearest even, modulo 2^32.
fn to_bit(n: f64) -> i32 {
    (n + 6_755_399_441_055_744.0).to_bits() as u32 as i32
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Length,
    BitNot,
}

impl Compiler<'_> {
    /// Prepares the left operand before the right one is read. For `??` returns the jump over the right one.
    pub(super) fn left_operand(&mut self, op: Binary, e: &mut Exp) -> Result<Option<Pc>> {
        match op {
            Binary::And => self.branch_if_false(e)?,
            Binary::Or => self.branch_if_true(e)?,
            Binary::Coalesce => {
                self.load_next(e)?;
                let Kind::Register(reg) = e.kind else { return Ok(None) };
                self.emit(ad(Op::ISNEP, reg, 0))?;
                let jump = self.emit_jump()?;
                self.free_register(reg);
                return Ok(Some(jump));
            }
            Binary::Concat => self.load_next(e)?,
            Binary::Eq | Binary::Ne => {
                if !e.is_plain_constant() {
                    self.load_any(e)?;
                }
            }
            _ => {
                if e.plain_number().is_none() {
                    self.load_any(e)?;
                }
            }
        }
        Ok(None)
    }

    /// Applies the operator; the result is in `e1`.
    pub(super) fn binary(
        &mut self,
        op: Binary,
        e1: &mut Exp,
        e2: &mut Exp,
        around: Option<Pc>,
    ) -> Result<()> {
        match op {
            Binary::And => {
                self.discharge(e2)?;
                let mut f = e2.f;
                self.append(&mut f, e1.f)?;
                e2.f = f;
                *e1 = *e2;
                Ok(())
            }
            Binary::Or => {
                self.discharge(e2)?;
                let mut t = e2.t;
                self.append(&mut t, e1.t)?;
                e2.t = t;
                *e1 = *e2;
                Ok(())
            }
            Binary::Coalesce => {
                self.load_next(e2)?;
                self.jump_here(JumpList(around))
            }
            Binary::Concat => self.concatenation(e1, e2),
            _ => {
                let Some((vv, constant_forms)) = op.arithmetic() else { return self.comparison(op, e1, e2) };
                if let (Some(a), Some(b)) = (e1.plain_number(), e2.plain_number())
                    && let Some(value) = op.fold(a, b)
                {
                    e1.kind = Kind::Number(value);
                    return Ok(());
                }
                self.f.flags.bit_operators |= op.is_bit_operator();
                self.arithmetic(vv, constant_forms, e1, e2)
            }
        }
    }

    fn arithmetic(
        &mut self,
        vv: Op,
        constant_forms: Option<(Op, Op)>,
        e1: &mut Exp,
        e2: &mut Exp,
    ) -> Result<()> {
        let mut op = vv;
        let (b, c);
        if let Some((vn, nv)) = constant_forms {
            // The second operand first: a field may free registers below those of the first.
            self.load_value(e2)?;
            let constant = e2.number().map(|n| self.number_constant(n)).and_then(|k| u8::try_from(k).ok());
            let right = match constant {
                Some(k) => {
                    op = vn;
                    k
                }
                None => self.load_any(e2)?,
            };
            self.load_value(e1)?;
            let constant = match e1.number() {
                Some(n) if e2.number().is_none() => u8::try_from(self.number_constant(n)).ok(),
                _ => None,
            };
            match constant {
                Some(k) => {
                    op = nv;
                    (b, c) = (right, k);
                }
                None => (b, c) = (self.load_any(e1)?, right),
            }
        } else {
            c = self.load_any(e2)?;
            b = self.load_any(e1)?;
        }
        self.free_operands(e1, e2);
        e1.kind = Kind::Relocatable(self.emit(abc(op, 0, b, c))?);
        Ok(())
    }

    /// Frees the registers of two operands, whatever their order.
    fn free_operands(&mut self, e1: &Exp, e2: &Exp) {
        for e in [e1, e2] {
            if let Kind::Register(reg) = e.kind
                && u32::from(reg) >= self.f.active
            {
                self.f.free -= 1;
            }
        }
    }

    fn concatenation(&mut self, e1: &mut Exp, e2: &mut Exp) -> Result<()> {
        let Kind::Register(first) = e1.kind else { return Ok(()) };
        self.load_value(e2)?;
        if let Kind::Relocatable(pc) = e2.kind
            && self.f.op(pc) == Some(Op::CAT)
        {
            // a .. (b .. c): one instruction for the whole range.
            self.free_exp(e1);
            self.f.set_b(pc, first);
            e1.kind = Kind::Relocatable(pc);
            return Ok(());
        }
        self.load_next(e2)?;
        self.free_exp(e2);
        self.free_exp(e1);
        let Kind::Register(last) = e2.kind else { return Ok(()) };
        e1.kind = Kind::Relocatable(self.emit(abc(Op::CAT, 0, first, last))?);
        Ok(())
    }

    fn comparison(&mut self, op: Binary, e1: &mut Exp, e2: &mut Exp) -> Result<()> {
        self.load_value(e1)?;
        let ins = match op {
            Binary::Eq | Binary::Ne => {
                let equal = op == Binary::Eq;
                let pick = |eq, ne| if equal { eq } else { ne };
                // A constant goes to the right.
                let (left, right) =
                    if e1.is_constant() { (&mut *e2, &mut *e1) } else { (&mut *e1, &mut *e2) };
                let a = self.load_any(left)?;
                self.load_value(right)?;
                match (primitive(right.kind), right.kind) {
                    (Some(value), _) => ad(pick(Op::ISEQP, Op::ISNEP), a, value),
                    (_, Kind::String(symbol)) => {
                        let k = self.string_constant(symbol);
                        ad(pick(Op::ISEQS, Op::ISNES), a, Self::constant_operand(k))
                    }
                    (_, Kind::Number(number)) => {
                        let k = self.number_constant(number);
                        ad(pick(Op::ISEQN, Op::ISNEN), a, Self::constant_operand(k))
                    }
                    _ => {
                        let d = self.load_any(right)?;
                        ad(pick(Op::ISEQV, Op::ISNEV), a, u16::from(d))
                    }
                }
            }
            // a > b is b < a.
            Binary::Gt | Binary::Ge => {
                self.load_value(e2)?;
                let a = self.load_any(e2)?;
                let d = self.load_any(e1)?;
                ad(if op == Binary::Gt { Op::ISLT } else { Op::ISLE }, a, u16::from(d))
            }
            _ => {
                let d = self.load_any(e2)?;
                let a = self.load_any(e1)?;
                ad(if op == Binary::Lt { Op::ISLT } else { Op::ISLE }, a, u16::from(d))
            }
        };
        self.free_operands(e1, e2);
        self.emit(ins)?;
        e1.kind = Kind::Jump(self.emit_jump()?);
        Ok(())
    }

    /// Applies a unary operator.
    pub(super) fn unary(&mut self, op: Unary, e: &mut Exp) -> Result<()> {
        let ins = match op {
            Unary::Not => {
                std::mem::swap(&mut e.t, &mut e.f);
                self.f.drop_values(e.f);
                self.f.drop_values(e.t);
                self.discharge(e)?;
                match e.kind {
                    Kind::Nil | Kind::False => {
                        e.kind = Kind::True;
                        return Ok(());
                    }
                    Kind::True | Kind::String(_) | Kind::Number(_) | Kind::Wide(_) => {
                        e.kind = Kind::False;
                        return Ok(());
                    }
                    Kind::Jump(pc) => {
                        self.invert(pc);
                        return Ok(());
                    }
                    Kind::Relocatable(pc) => {
                        self.reserve(1)?;
                        let reg = (self.f.free - 1) as u8;
                        self.f.set_a(pc, reg);
                        e.kind = Kind::Register(reg);
                    }
                    _ => {}
                }
                Op::NOT
            }
            Unary::Minus => {
                if !e.has_jumps() {
                    match e.kind {
                        Kind::Number(n) if n != 0.0 => {
                            e.kind = Kind::Number(-n);
                            return Ok(());
                        }
                        Kind::Wide(wide) => {
                            e.kind = Kind::Wide(match wide {
                                WideNumber::Int64(n) => WideNumber::Int64(n.wrapping_neg()),
                                WideNumber::Uint64(n) => WideNumber::Uint64(n.wrapping_neg()),
                                WideNumber::Complex(re, im) => WideNumber::Complex(re, -im),
                            });
                            return Ok(());
                        }
                        _ => {}
                    }
                }
                self.load_any(e)?;
                Op::UNM
            }
            Unary::BitNot => {
                if let Some(n) = e.plain_number() {
                    e.kind = Kind::Number(f64::from(!to_bit(n)));
                    return Ok(());
                }
                self.f.flags.bit_operators = true;
                self.load_any(e)?;
                Op::BNOT
            }
            Unary::Length => {
                self.load_any(e)?;
                Op::LEN
            }
        };
        self.free_exp(e);
        let Kind::Register(reg) = e.kind else { return Ok(()) };
        e.kind = Kind::Relocatable(self.emit(ad(ins, 0, u16::from(reg)))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::as_short;
    use super::*;

    #[test]
    fn folding() {
        assert_eq!(Binary::Add.fold(1.0, 2.0), Some(3.0));
        assert_eq!(Binary::Mod.fold(-5.0, 3.0), Some(1.0));
        assert_eq!(Binary::Div.fold(0.0, 0.0), None);
        assert_eq!(Binary::Mul.fold(0.0, -1.0), None);
        assert_eq!(Binary::Shr.fold(-1.0, 28.0), Some(15.0));
        assert_eq!(Binary::Sar.fold(-16.0, 2.0), Some(-4.0));
        assert_eq!(Binary::Shl.fold(1.0, 33.0), Some(2.0));
        assert_eq!(to_bit(4294967297.0), 1);
        assert_eq!(as_short(-32768.0), Some(i16::MIN));
        assert_eq!(as_short(0.5), None);
        assert_eq!(as_short(-0.0), Some(0));
    }
}
