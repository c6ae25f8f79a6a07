//! Structures, unions and enumerations, and the layout of their members as the System V ABI has it.

use super::lexer::{Keyword, Token};
use super::{Attributes, Constant, Mode, Parser, Result, Storage};
use crate::ffi::types::{CONST, Field, INVALID, Id, Kind, Member, Name, id};

impl Parser<'_, '_> {
    /// `struct`, `union` or `enum` and the tag: the type, and whether its body follows.
    fn tag(&mut self, attributes: &mut Attributes, kind: Keyword) -> Result<Id> {
        self.lex.advance()?;
        self.attributes(attributes)?;
        let union = kind == Keyword::Union;
        let mut ty = None;
        if self.lex.token != Token::Char(b'{') {
            let Token::Identifier(name) = self.lex.token.clone() else {
                return Err(self.lex.expected("<identifier>"));
            };
            if let Some(&known) = self.types.tags.get(&name) {
                let same = match self.types.get(known).kind {
                    Kind::Struct(number) => {
                        kind != Keyword::Enum && self.types.structs[number as usize].union == union
                    }
                    _ => kind == Keyword::Enum,
                };
                if !same {
                    return Err(self.redefined(&name));
                }
                ty = Some(known);
            } else {
                if self.known_only {
                    let text = format!("undeclared or implicit tag '{}'", String::from_utf8_lossy(&name));
                    return Err(self.describe_error(&text));
                }
                let new = match kind {
                    Keyword::Enum => self.types.new_enum(Some(name.clone())),
                    _ => self.types.new_struct(Some(name.clone()), union),
                };
                self.types.tags.insert(name, new);
                ty = Some(new);
            }
            self.lex.advance()?;
        }
        let ty = match ty {
            Some(ty) => ty,
            None if kind == Keyword::Enum => self.types.new_enum(None),
            None => self.types.new_struct(None, union),
        };
        if self.lex.token == Token::Char(b'{') {
            let (defined, name) = match self.types.get(ty).kind {
                Kind::Struct(number) => {
                    let s = &mut self.types.structs[number as usize];
                    (std::mem::replace(&mut s.defined, true), s.name.clone())
                }
                Kind::Enum(number) => {
                    let e = &mut self.types.enums[number as usize];
                    (std::mem::replace(&mut e.defined, true), e.name.clone())
                }
                _ => (false, None),
            };
            if defined {
                return Err(self.redefined(&name.unwrap_or_default()));
            }
        }
        Ok(ty)
    }

    fn redefined(&self, name: &[u8]) -> String {
        self.describe_error(&format!("attempt to redefine '{}'", String::from_utf8_lossy(name)))
    }

    pub(super) fn enumeration(&mut self, attributes: &mut Attributes) -> Result<Id> {
        let ty = self.tag(attributes, Keyword::Enum)?;
        let Kind::Enum(number) = self.types.get(ty).kind else { return Ok(ty) };
        if !self.accept_char(b'{')? {
            return Ok(ty);
        }
        let mut next = Constant { value: 0, ty: id::INT32 };
        let mut base = id::UINT32;
        loop {
            let Token::Identifier(name) = self.lex.token.clone() else {
                return Err(self.lex.expected("<identifier>"));
            };
            if self.types.names.contains_key(&name) {
                return Err(self.redefined(&name));
            }
            self.lex.advance()?;
            if self.accept_char(b'=')? {
                next = self.integer_expression()?;
                if next.ty == id::UINT32 {
                    if (next.value as i32) >= 0 {
                        next.ty = id::INT32;
                    }
                } else {
                    next.ty = id::INT32;
                    if (next.value as i32) < 0 {
                        base = id::INT32;
                    }
                }
            }
            self.types.names.insert(name.clone(), Name::Constant(next.value, next.ty));
            self.types.enums[number as usize].constants.push((name, next.value, next.ty));
            next.value = next.value.wrapping_add(1);
            if next.value == 0x8000_0000 {
                next.ty = id::UINT32;
            }
            if !self.accept_char(b',')? || self.lex.token == Token::Char(b'}') {
                break;
            }
        }
        self.expect_char(b'}')?;
        self.types.enums[number as usize].base = base;
        self.types.complete(ty, 4, 2, 0);
        Ok(ty)
    }

    pub(super) fn structure(&mut self, attributes: &mut Attributes, union: bool) -> Result<Id> {
        self.enter()?;
        let ty = self.tag(attributes, if union { Keyword::Union } else { Keyword::Struct })?;
        let Kind::Struct(number) = self.types.get(ty).kind else { return Ok(ty) };
        if self.accept_char(b'{')? {
            // Fields with what the layout needs: attributes and the width of bit-fields.
            let mut fields: Vec<(Field, Attributes, Option<u32>)> = Vec::new();
            let mut last = false;
            while !self.accept_char(b'}')? {
                let (base, specified, storage) = self.specifiers(&[Keyword::Static])?;
                let is_static = storage == Storage::Static;
                loop {
                    if last {
                        return Err(self.lex.expected("}"));
                    }
                    let mut attributes = specified.clone();
                    let mode = Mode { direct: true, nameless: !is_static, field: !is_static };
                    let declarator = self.declarator(&mut attributes, mode)?;
                    let field_type = self.build(base, &declarator.layers, &attributes)?;
                    if is_static {
                        let (value, ty) = self.static_constant(field_type)?;
                        let member = Member::Constant(value);
                        let field = Field { name: declarator.name, ty, offset: 0, member };
                        fields.push((field, attributes, None));
                    } else {
                        let entry = self.types.get(self.types.raw(field_type));
                        let mut member = Member::Field;
                        match declarator.bits {
                            None => {
                                last |= matches!(entry.kind, Kind::Array { .. }) && entry.size == INVALID;
                                if declarator.name.is_none() {
                                    let ok = match entry.kind {
                                        Kind::Struct(n) => !self.types.structs[n as usize].variable,
                                        kind => matches!(kind, Kind::Enum(_)),
                                    };
                                    if !ok {
                                        return Err(self.lex.expected("<identifier>"));
                                    }
                                    member = Member::Transparent;
                                }
                            }
                            Some(bits) => {
                                let width =
                                    if entry.kind == Kind::Bool { 1 } else { entry.size.saturating_mul(8) };
                                let integer = matches!(entry.kind, Kind::Int { .. } | Kind::Bool);
                                if !integer
                                    || (bits == 0 && declarator.name.is_some())
                                    || entry.size > 4
                                    || bits > width
                                {
                                    return Err(self.describe_error("invalid value near ':'"));
                                }
                            }
                        }
                        let field = Field { name: declarator.name, ty: field_type, offset: 0, member };
                        fields.push((field, attributes, declarator.bits));
                    }
                    if !self.accept_char(b',')? {
                        break;
                    }
                }
                self.expect_char(b';')?;
            }
            self.attributes(attributes)?;
            self.layout(ty, number, fields, attributes)?;
        }
        self.depth -= 1;
        Ok(ty)
    }

    /// Offsets of the members, size and alignment of the whole.
    fn layout(
        &mut self,
        ty: Id,
        number: u32,
        fields: Vec<(Field, Attributes, Option<u32>)>,
        outer: &Attributes,
    ) -> Result<()> {
        let too_large = "size of C type is unknown or too large";
        let union = self.types.structs[number as usize].union;
        let pack = self.pack.last().copied().unwrap_or(255);
        let mut offset = 0u64;
        let mut largest = 0u64;
        let mut alignment = outer.align.unwrap_or(0);
        let mut quals = 0;
        let mut placed = Vec::with_capacity(fields.len());
        for (mut field, attributes, bits) in fields {
            let is_enum = matches!(self.types.get(self.types.raw(field.ty)).kind, Kind::Enum(_));
            if matches!(field.member, Member::Constant(_)) || (field.member == Member::Transparent && is_enum)
            {
                placed.push(field);
                continue;
            }
            let info = self.types.info(field.ty);
            let variable = self.types.is_variable(field.ty);
            let is_array = matches!(info.kind, Kind::Array { .. });
            quals |= info.quals;
            if variable {
                self.types.structs[number as usize].variable = true;
            }
            let mut size = info.size;
            if size >= 0x2000_0000 || offset + u64::from(size) * 8 > u64::from(u32::MAX) || variable {
                if !(size == INVALID && is_array && !union) {
                    return Err(self.describe_error(too_large));
                }
                size = 0;
            }
            let mut container = u64::from(size) * 8;
            let mut align = info.align;
            let packed = attributes.packed || outer.packed;
            let wanted = attributes.align.unwrap_or(0);
            if packed || (attributes.align.is_some() && wanted > align) {
                align = wanted;
            }
            align = align.min(pack);
            if align > alignment && bits != Some(0) {
                alignment = align;
            }
            let mask = (8u64 << align) - 1;
            let width;
            match bits {
                None => {
                    width = container;
                    offset = (offset + mask) & !mask;
                    field.offset = (offset >> 3) as u32;
                }
                Some(count) => {
                    width = u64::from(count);
                    let crosses = !packed && (offset & mask) + width > container;
                    if count == 0 || attributes.align.is_some() || crosses {
                        offset = (offset + mask) & !mask;
                    }
                    if width == container && offset & mask == 0 {
                        field.offset = (offset >> 3) as u32;
                    } else {
                        if container > mask + 1 && width <= mask + 1 {
                            container = mask + 1;
                        }
                        let position = (offset & (container - 1)) as u8;
                        let bytes = (container >> 3) as u8;
                        field.member = Member::Bits { position, count: count as u8, container: bytes };
                        field.offset = ((offset & !(container - 1)) >> 3) as u32;
                    }
                }
            }
            if union {
                largest = largest.max(width);
            } else {
                offset += width;
            }
            placed.push(field);
        }
        let total = if union { largest } else { offset };
        let mask = (8u64 << alignment) - 1;
        let size = ((total + mask) & !mask) >> 3;
        self.types.structs[number as usize].fields = placed;
        self.types.complete(ty, size as u32, alignment, quals);
        Ok(())
    }

    /// `static const int X = 1`: the value and its type.
    pub(super) fn static_constant(&mut self, ty: Id) -> Result<(u32, Id)> {
        let ty = self.types.raw(ty);
        let entry = self.types.get(ty);
        let Kind::Int { unsigned, .. } = entry.kind else {
            return Err(self.describe_error("invalid C type"));
        };
        if entry.quals & CONST == 0 || entry.size > 4 {
            return Err(self.describe_error("invalid C type"));
        }
        self.expect_char(b'=')?;
        let constant = self.expression(0)?;
        let shift = 8 * (4 - entry.size);
        let value = constant.value << shift;
        Ok((if unsigned { value >> shift } else { ((value as i32) >> shift) as u32 }, ty))
    }
}
