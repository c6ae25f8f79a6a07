//! `cdata[key]`: which place a key names, and what reading and writing it does.

use super::Ffi;
use super::convert::{How, load, load_pointer, offset};
use super::types::{CONST, Id, Kind, Member, id};
use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::numfmt::num_to_i64;
use crate::object::CData;
use crate::value::{Gc, Value};

/// Where a key leads.
pub enum Target {
    /// To a place in memory.
    Place {
        /// The type there.
        ty: Id,
        /// Whole or some bits.
        member: Member,
        /// The address.
        address: *mut u8,
        /// Qualifiers of what is around.
        quals: u8,
    },
    /// To a constant.
    Constant(u32, Id),
    /// Nowhere: the type's metamethods decide.
    Nothing(Id, u8),
}

impl Ffi {
    /// Looks a key up.
    pub fn find(&mut self, cx: Cx, cdata: Gc<CData>, key: Value) -> Result<Target, Throw> {
        let (ty, mut p) = self.place(cdata);
        let mut quals = 0;
        let mut at = ty;
        loop {
            let entry = self.types.get(at);
            match entry.kind {
                Kind::Attributed { of } => {
                    quals |= entry.quals;
                    at = of;
                }
                _ => break,
            }
        }
        let mut index = key.as_number().map(num_to_i64);
        if let Some(number) = key.as_cdata() {
            let s = self.types.unwrap_enum(self.types.raw(number.ctype));
            if let Kind::Int { .. } = self.types.get(s).kind {
                let mut bytes = [0u8; 8];
                self.convert(cx, id::INT64, s, bytes.as_mut_ptr(), number.data(), How::default())?;
                index = Some(i64::from_ne_bytes(bytes));
            }
        }
        let entry = self.types.get(at);
        if let Some(mut index) = index {
            let element = match entry.kind {
                Kind::Pointer { to, .. } => {
                    p = load_pointer(p, entry.size);
                    Some(to)
                }
                Kind::Array { of, .. } => Some(of),
                Kind::Vector { of } | Kind::Complex { of } => {
                    if matches!(entry.kind, Kind::Complex { .. }) {
                        index &= 1;
                    }
                    quals |= CONST;
                    Some(of)
                }
                _ => None,
            };
            if let Some(ty) = element {
                let Some(size) = self.types.size(ty) else {
                    return Err(cx.error("size of C type is unknown or too large"));
                };
                let address = offset(p, (index as isize).wrapping_mul(size as isize));
                return Ok(Target::Place { ty, member: Member::Field, address, quals });
            }
        }
        if let Some(name) = key.as_str() {
            let name = name.bytes();
            match entry.kind {
                Kind::Struct(_) => {
                    if let Some(target) = self.member(at, name, p, quals) {
                        return Ok(target);
                    }
                }
                Kind::Complex { of } if name == b"re" || name == b"im" => {
                    let half = if name == b"im" { entry.size as isize / 2 } else { 0 };
                    let address = offset(p, half);
                    return Ok(Target::Place {
                        ty: of,
                        member: Member::Field,
                        address,
                        quals: quals | CONST,
                    });
                }
                _ if cdata.ctype == id::CTYPE => {
                    let mut named = self.types.raw(u32::from_ne_bytes(load(p)));
                    if let Kind::Pointer { to, .. } = self.types.get(named).kind {
                        named = self.types.raw(to);
                    }
                    if let Some(found) = self.types.field(named, name)
                        && let Member::Constant(value) = found.member
                    {
                        return Ok(Target::Constant(value, found.ty));
                    }
                    return Ok(Target::Nothing(named, quals));
                }
                _ => {}
            }
        }
        if let Kind::Pointer { to, .. } = entry.kind {
            let inner = self.types.raw(to);
            if let Kind::Struct(_) = self.types.get(inner).kind {
                p = load_pointer(p, entry.size);
                quals |= self.types.info(to).quals;
                if let Some(name) = key.as_str()
                    && let Some(target) = self.member(inner, name.bytes(), p, quals)
                {
                    return Ok(target);
                }
                return Ok(Target::Nothing(inner, quals));
            }
        }
        Ok(Target::Nothing(at, quals))
    }

    fn member(&self, structure: Id, name: &[u8], p: *mut u8, quals: u8) -> Option<Target> {
        let found = self.types.field(structure, name)?;
        Some(match found.member {
            Member::Constant(value) => Target::Constant(value, found.ty),
            member => Target::Place {
                ty: found.ty,
                member,
                address: offset(p, found.offset as isize),
                quals: quals | found.quals,
            },
        })
    }

    /// A constant as a number.
    pub fn constant(&self, value: u32, ty: Id) -> Value {
        match self.types.get(self.types.raw(ty)).kind {
            Kind::Int { unsigned: true, .. } => Value::number(f64::from(value)),
            _ => Value::number(f64::from(value as i32)),
        }
    }

    /// Reads a place.
    pub fn get(&mut self, cx: Cx, ty: Id, member: Member, address: *mut u8) -> Result<Value, Throw> {
        if let Member::Bits { .. } = member {
            return self.bits_to_lua(cx, ty, member, address);
        }
        match self.types.get(ty).kind {
            Kind::Pointer { to, reference: true } => Ok(self.to_lua(cx, to, load_pointer(address, 8))),
            _ => Ok(self.to_lua(cx, ty, address)),
        }
    }

    /// Writes a place.
    pub fn set(
        &mut self,
        cx: Cx,
        ty: Id,
        member: Member,
        mut address: *mut u8,
        quals: u8,
        value: Value,
    ) -> Result<(), Throw> {
        let mut ty = ty;
        if let Kind::Pointer { to, reference: true } = self.types.get(ty).kind
            && member == Member::Field
        {
            address = load_pointer(address, 8);
            ty = to;
        }
        if self.is_constant(ty, quals) {
            return Err(cx.error("attempt to write to constant location"));
        }
        if let Member::Bits { .. } = member {
            return self.bits_from_lua(cx, ty, member, address, value);
        }
        let raw = self.types.raw(ty);
        self.from_lua(cx, raw, address, value, How::default())
    }

    /// The metamethod of a type; nil if there is none.
    pub fn metamethod(&self, cx: Cx, ty: Id, name: &str) -> Value {
        let ty = self.types.raw_ref(ty);
        let table = match self.types.get(ty).kind {
            Kind::Pointer { to, .. } if matches!(self.types.get(to).kind, Kind::Function(_)) => {
                self.meta.get_int(0)
            }
            _ => self.meta.get(Value::int(i64::from(ty))),
        };
        table.as_table().map_or(Value::NIL, |table| cx.field(table, name))
    }

    /// The type whose metamethods a cdata has: a pointer has those of what it points to.
    pub fn meta_type(&self, ty: Id) -> Id {
        let raw = self.types.raw(ty);
        match self.types.get(raw).kind {
            Kind::Pointer { to, .. } => to,
            _ => ty,
        }
    }

    /// Reading what is no member: `__index`, or an error.
    pub fn index_meta(&mut self, cx: Cx, ty: Id) -> NativeResult {
        let (object, key) = (cx.arg(1), cx.arg(2));
        let handler = self.metamethod(cx, ty, "__index");
        if handler.as_func().is_some() {
            return cx.tail_call(handler, &[object, key]);
        }
        if !handler.is_nil() {
            let value = cx.get(handler, key)?;
            if !value.is_nil() {
                return cx.ret1(value);
            }
        }
        Err(self.no_member(cx, ty, key))
    }

    /// Writing what is no member: `__newindex`, or an error.
    pub fn newindex_meta(&mut self, cx: Cx, ty: Id) -> NativeResult {
        let (object, key, value) = (cx.arg(1), cx.arg(2), cx.arg(3));
        let handler = self.metamethod(cx, ty, "__newindex");
        if handler.as_func().is_some() {
            return cx.tail_call(handler, &[object, key, value]);
        }
        if !handler.is_nil() {
            cx.set(handler, key, value)?;
            return cx.ret0();
        }
        Err(self.no_member(cx, ty, key))
    }

    fn no_member(&self, cx: Cx, ty: Id, key: Value) -> Throw {
        let name = self.types.describe(ty);
        if let Some(key) = key.as_str() {
            let mut message = format!("'{name}' has no member named '").into_bytes();
            message.extend_from_slice(key.bytes());
            message.push(b'\'');
            return cx.error(message);
        }
        let key = match key.as_cdata() {
            Some(cdata) => self.types.describe(cdata.ctype),
            None => key.type_name().to_string(),
        };
        cx.error(format!("'{name}' cannot be indexed with '{key}'"))
    }
}
