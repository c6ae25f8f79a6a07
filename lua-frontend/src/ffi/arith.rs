//! Operators on cdata: 64-bit integers, pointers, and the metamethods of types.

use super::Ffi;
use super::convert::{How, load_pointer, offset};
use super::types::{Id, Kind, id};
use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::value::Value;

/// An operator.
#[allow(missing_docs, reason = "the names are the operators")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Len,
    Lt,
    Le,
    Concat,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Unm,
}

impl Operator {
    /// The name of its metamethod.
    pub fn event(self) -> &'static str {
        match self {
            Operator::Eq => "__eq",
            Operator::Len => "__len",
            Operator::Lt => "__lt",
            Operator::Le => "__le",
            Operator::Concat => "__concat",
            Operator::Add => "__add",
            Operator::Sub => "__sub",
            Operator::Mul => "__mul",
            Operator::Div => "__div",
            Operator::Mod => "__mod",
            Operator::Pow => "__pow",
            Operator::Unm => "__unm",
        }
    }
}

/// An operand: its type (none if it has no C type) and where its value is.
struct Operand {
    ty: Option<Id>,
    address: *mut u8,
    /// Holds the value of a number or a constant.
    bytes: [u8; 8],
    inline: bool,
}

impl Operand {
    fn pointer(&self) -> *const u8 {
        if self.inline { self.bytes.as_ptr() } else { self.address }
    }
}

/// Integer division that neither traps nor wraps into a trap.
fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { i64::MIN } else { a.wrapping_div(b) }
}

/// The remainder with the sign of the dividend; zero divisors give the smallest number.
fn remainder(a: i64, b: i64) -> i64 {
    if b == 0 { i64::MIN } else { a.wrapping_rem(b) }
}

/// Powers by squaring, modulo 2^64.
fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1u64;
    while exponent != 0 {
        if exponent & 1 != 0 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}

/// Powers of signed numbers: negative exponents give what rational arithmetic would round to.
fn signed_power(base: i64, exponent: i64) -> i64 {
    if exponent >= 0 {
        return power(base as u64, exponent as u64) as i64;
    }
    match base {
        0 => i64::MAX,
        1 => 1,
        -1 => {
            if exponent & 1 != 0 {
                -1
            } else {
                1
            }
        }
        _ => 0,
    }
}

impl Ffi {
    fn operand(&mut self, cx: Cx, value: Value, other: Value) -> (Operand, bool) {
        let mut operand = Operand { ty: None, address: std::ptr::null_mut(), bytes: [0; 8], inline: false };
        if let Some(cdata) = value.as_cdata() {
            let mut ty = self.types.raw(cdata.ctype);
            let mut address = cdata.data();
            match self.types.get(ty) {
                entry if matches!(entry.kind, Kind::Pointer { .. }) => {
                    address = load_pointer(address, entry.size);
                    if let Kind::Pointer { to, reference: true } = entry.kind {
                        ty = self.types.raw(to);
                    }
                }
                entry if matches!(entry.kind, Kind::Function(_)) => {
                    address = load_pointer(address, 8);
                    ty = self.types.pointer_to(ty);
                }
                _ => {}
            }
            operand.ty = Some(self.types.unwrap_enum(ty));
            operand.address = address;
            return (operand, true);
        }
        if let Some(n) = value.as_number() {
            operand.ty = Some(id::DOUBLE);
            operand.bytes = n.to_ne_bytes();
            operand.inline = true;
            return (operand, true);
        }
        if value.is_nil() {
            operand.ty = Some(id::P_VOID);
            return (operand, true);
        }
        if let Some(text) = value.as_str() {
            operand.address = text.bytes().as_ptr().cast_mut();
            if let Some(cdata) = other.as_cdata()
                && let Kind::Enum(number) = self.types.get(self.types.raw(cdata.ctype)).kind
            {
                let constants = &self.types.enums[number as usize].constants;
                if let Some(&(_, constant, ty)) = constants.iter().find(|c| &*c.0 == text.bytes()) {
                    operand.ty = Some(ty);
                    operand.bytes[..4].copy_from_slice(&constant.to_ne_bytes());
                    operand.inline = true;
                    return (operand, true);
                }
            }
            return (operand, false);
        }
        let _ = cx;
        operand.address = std::ptr::dangling_mut();
        (operand, false)
    }

    /// Runs an operator on the first two arguments.
    pub fn operator(&mut self, cx: Cx, op: Operator) -> NativeResult {
        let (x, y) = (cx.arg(1), if op == Operator::Unm { cx.arg(1) } else { cx.arg(2) });
        let (a, a_ok) = self.operand(cx, x, y);
        let (b, b_ok) = self.operand(cx, y, x);
        if a_ok && b_ok && !matches!(op, Operator::Len | Operator::Concat) {
            if let Some(result) = self.integer_operator(cx, op, &a, &b)? {
                return cx.ret1(result);
            }
            if let Some(result) = self.pointer_operator(cx, op, &a, &b)? {
                return cx.ret1(result);
            }
        }
        self.operator_meta(cx, op, x, y, &a, &b)
    }

    fn is_scalar(&self, ty: Option<Id>) -> bool {
        let entry = self.types.get(ty.unwrap_or(id::NONE));
        matches!(entry.kind, Kind::Int { .. } | Kind::Bool | Kind::Float) && entry.size <= 8
    }

    fn integer_operator(
        &mut self,
        cx: Cx,
        op: Operator,
        a: &Operand,
        b: &Operand,
    ) -> Result<Option<Value>, Throw> {
        let (Some(ta), Some(tb)) = (a.ty, b.ty) else { return Ok(None) };
        if !self.is_scalar(a.ty) || !self.is_scalar(b.ty) {
            return Ok(None);
        }
        let wide_unsigned = |ty: Id| {
            let entry = self.types.get(ty);
            entry.size == 8 && matches!(entry.kind, Kind::Int { unsigned: true, .. })
        };
        let unsigned = wide_unsigned(ta) || wide_unsigned(tb);
        let through = if unsigned { id::UINT64 } else { id::INT64 };
        let mut bytes = [[0u8; 8]; 2];
        for (bytes, (operand, ty)) in bytes.iter_mut().zip([(a, ta), (b, tb)]) {
            self.convert(cx, through, ty, bytes.as_mut_ptr(), operand.pointer(), How::default())?;
        }
        let (u, v) = (u64::from_ne_bytes(bytes[0]), u64::from_ne_bytes(bytes[1]));
        let (i, j) = (u as i64, v as i64);
        let result = match op {
            Operator::Eq => return Ok(Some(Value::boolean(u == v))),
            Operator::Lt => return Ok(Some(Value::boolean(if unsigned { u < v } else { i < j }))),
            Operator::Le => return Ok(Some(Value::boolean(if unsigned { u <= v } else { i <= j }))),
            Operator::Add => u.wrapping_add(v),
            Operator::Sub => u.wrapping_sub(v),
            Operator::Mul => u.wrapping_mul(v),
            Operator::Div if unsigned => u.checked_div(v).unwrap_or(1 << 63),
            Operator::Div => divide(i, j) as u64,
            Operator::Mod if unsigned => u.checked_rem(v).unwrap_or(1 << 63),
            Operator::Mod => remainder(i, j) as u64,
            Operator::Pow if unsigned => power(u, v),
            Operator::Pow => signed_power(i, j) as u64,
            Operator::Unm => u.wrapping_neg(),
            Operator::Len | Operator::Concat => return Ok(None),
        };
        let cdata = if unsigned {
            super::scalar::uint64(cx, result)
        } else {
            super::scalar::int64(cx, result as i64)
        };
        Ok(Some(cdata.into()))
    }

    /// What a pointer or array operand leads to.
    fn pointee(&self, ty: Id) -> Option<Id> {
        match self.types.get(ty).kind {
            Kind::Pointer { to, .. } => Some(to),
            Kind::Array { of, .. } => Some(of),
            _ => None,
        }
    }

    fn pointer_operator(
        &mut self,
        cx: Cx,
        op: Operator,
        a: &Operand,
        b: &Operand,
    ) -> Result<Option<Value>, Throw> {
        let (Some(ta), Some(tb)) = (a.ty, b.ty) else { return Ok(None) };
        let (to_a, to_b) = (self.pointee(ta), self.pointee(tb));
        let is_number =
            |ty: Id| matches!(self.types.get(ty).kind, Kind::Int { .. } | Kind::Bool | Kind::Float);
        let (target, base, index_type, index, negate) = match (to_a, to_b) {
            (Some(_), Some(_))
                if matches!(op, Operator::Sub | Operator::Eq | Operator::Lt | Operator::Le) =>
            {
                let (p, q) = (a.address as u64, b.address as u64);
                if op == Operator::Eq {
                    return Ok(Some(Value::boolean(p == q)));
                }
                if !self.compatible(ta, tb, How { ignore_quals: true, ..How::default() }, false) {
                    return Ok(None);
                }
                return Ok(match op {
                    Operator::Sub => {
                        let size = to_a.and_then(|to| self.types.size(to)).filter(|&size| size > 0);
                        let distance = p.wrapping_sub(q) as i64;
                        size.map(|size| Value::number((distance / i64::from(size)) as f64))
                    }
                    Operator::Lt => Some(Value::boolean(p < q)),
                    _ => Some(Value::boolean(p <= q)),
                });
            }
            (Some(to), _) if matches!(op, Operator::Add | Operator::Sub) && is_number(tb) => {
                (to, a.address, tb, b, op == Operator::Sub)
            }
            (_, Some(to)) if op == Operator::Add && is_number(ta) => (to, b.address, ta, a, false),
            _ => return Ok(None),
        };
        let mut bytes = [0u8; 8];
        self.convert(cx, id::INT64, index_type, bytes.as_mut_ptr(), index.pointer(), How::default())?;
        let mut distance = i64::from_ne_bytes(bytes);
        if negate {
            distance = distance.wrapping_neg();
        }
        let Some(size) = self.types.size(target) else { return Ok(None) };
        let pointer = self.types.pointer_to(target);
        let address = offset(base, (distance as isize).wrapping_mul(size as isize));
        Ok(Some(self.new_pointer(cx, pointer, address).into()))
    }

    fn operator_meta(
        &mut self,
        cx: Cx,
        op: Operator,
        x: Value,
        y: Value,
        a: &Operand,
        b: &Operand,
    ) -> NativeResult {
        for value in [x, y] {
            if let Some(cdata) = value.as_cdata() {
                let handler = self.metamethod(cx, self.meta_type(cdata.ctype), op.event());
                if !handler.is_nil() {
                    return cx.tail_call(handler, &[x, y]);
                }
            }
        }
        if op == Operator::Eq {
            return cx.ret1(a.address == b.address);
        }
        let enum_of = |value: Value| {
            value
                .as_cdata()
                .filter(|cdata| matches!(self.types.get(self.types.raw(cdata.ctype)).kind, Kind::Enum(_)))
        };
        let describe = |value: Value, operand: &Operand| match (value.as_cdata(), operand.ty) {
            (Some(cdata), _) if enum_of(value).is_some() => self.types.describe(self.types.raw(cdata.ctype)),
            (Some(_), Some(ty)) => self.types.describe(ty),
            _ => value.type_name().to_string(),
        };
        let (first, second) = (describe(x, a), describe(y, b));
        // A string beside an enumeration would have to name one of its constants.
        for (text, other, from, to) in [(x, y, &first, &second), (y, x, &second, &first)] {
            if text.as_str().is_some() && enum_of(other).is_some() {
                return Err(cx.error(format!("cannot convert '{from}' to '{to}'")));
            }
        }
        Err(cx.error(match op {
            Operator::Len => format!("attempt to get length of '{first}'"),
            Operator::Concat => format!("attempt to concatenate '{first}' and '{second}'"),
            Operator::Lt | Operator::Le => format!("attempt to compare '{first}' with '{second}'"),
            _ => format!("attempt to perform arithmetic on '{first}' and '{second}'"),
        }))
    }

    /// The operand of a bit operator as 64 bits; `wide` becomes the type of the result.
    pub fn bit_operand(&mut self, cx: Cx, value: Value, wide: &mut Option<Id>) -> Result<Option<u64>, Throw> {
        let Some(cdata) = value.as_cdata() else { return Ok(None) };
        let (ty, sp) = self.place(cdata);
        let s = self.types.unwrap_enum(self.types.raw(ty));
        let entry = self.types.get(s);
        if entry.size == 8 && matches!(entry.kind, Kind::Int { unsigned: true, .. }) {
            *wide = Some(id::UINT64);
        } else if wide.is_none() {
            *wide = Some(id::INT64);
        }
        let mut bytes = [0u8; 8];
        self.convert(cx, wide.unwrap_or(id::INT64), s, bytes.as_mut_ptr(), sp, How::default())?;
        Ok(Some(u64::from_ne_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers() {
        assert_eq!(signed_power(3, 4), 81);
        assert_eq!(signed_power(-1, -3), -1);
        assert_eq!(signed_power(0, -1), i64::MAX);
        assert_eq!(power(2, 64), 0);
        assert_eq!(divide(i64::MIN, -1), i64::MIN);
    }
}
