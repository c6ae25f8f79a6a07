//! Conversions: between C values in memory, and between Lua values and C values.
//!
//! What converts to what is the table of LuaJIT's FFI semantics; everything else is an error that names both types. Floating-point numbers
//! become integers by truncation through 64 bits, integers become floating-point numbers through `double`.
//!
//! Contract of the unsafe code: addresses come from the program (this is what a foreign function interface is for) or from cdata
//! payloads, whose sizes the callers respect.

use super::Ffi;
use super::types::{CONST, CType, INVALID, Id, Kind, Member, id};
use crate::api::Cx;
use crate::error::Throw;
use crate::numfmt::{num_to_i64, num_to_u64};
use crate::object::{CData, Table, UD_BUFFER, UD_FILE};
use crate::value::{Gc, Value};

type Result<T> = std::result::Result<T, Throw>;

/// The manner of a conversion.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// `ffi.cast`: pointers and integers mix.
    pub cast: bool,
    /// The source is a Lua value, not a cdata.
    pub from_value: bool,
    /// Qualifiers do not matter.
    pub ignore_quals: bool,
    /// Number of the argument that errors are about; zero for none.
    pub argument: usize,
    /// The result of a callback: errors come without position.
    pub result: bool,
}

/// Kinds of types as far as conversion goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bool,
    Int,
    Float,
    Complex,
    Vector,
    Pointer,
    Array,
    Struct,
    Other,
}

fn class(ty: CType) -> Class {
    match ty.kind {
        Kind::Bool => Class::Bool,
        Kind::Int { .. } => Class::Int,
        Kind::Float => Class::Float,
        Kind::Complex { .. } => Class::Complex,
        Kind::Vector { .. } => Class::Vector,
        Kind::Pointer { .. } => Class::Pointer,
        Kind::Array { .. } => Class::Array,
        Kind::Struct(_) => Class::Struct,
        _ => Class::Other,
    }
}

/// A scalar on its way.
#[derive(Clone, Copy, Debug)]
enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl Number {
    fn to_f64(self) -> f64 {
        match self {
            Number::Signed(n) => n as f64,
            Number::Unsigned(n) => n as f64,
            Number::Float(n) => n,
        }
    }

    /// The low bits for an integer of this size.
    fn to_bits(self, size: u32, unsigned: bool) -> u64 {
        match self {
            Number::Signed(n) => n as u64,
            Number::Unsigned(n) => n,
            Number::Float(n) if size == 8 && unsigned => num_to_u64(n),
            Number::Float(n) => num_to_i64(n) as u64,
        }
    }
}

/// Reads bytes.
pub fn load<const N: usize>(p: *const u8) -> [u8; N] {
    // SAFETY: by the contract of this module `N` bytes are readable.
    unsafe { p.cast::<[u8; N]>().read_unaligned() }
}

/// Writes bytes.
pub fn store(p: *mut u8, bytes: &[u8]) {
    // SAFETY: by the contract of this module the bytes are writable; `copy` allows any overlap.
    unsafe { std::ptr::copy(bytes.as_ptr(), p, bytes.len()) }
}

/// Copies bytes; the ranges may overlap.
pub fn copy(to: *mut u8, from: *const u8, size: usize) {
    // SAFETY: by the contract of this module both ranges exist.
    unsafe { std::ptr::copy(from, to, size) }
}

/// Fills bytes.
pub fn fill(p: *mut u8, byte: u8, size: usize) {
    // SAFETY: by the contract of this module the range exists.
    unsafe { std::ptr::write_bytes(p, byte, size) }
}

/// Reads a pointer of the type's size.
pub fn load_pointer(p: *const u8, size: u32) -> *mut u8 {
    let address =
        if size == 4 { u64::from(u32::from_ne_bytes(load(p))) } else { u64::from_ne_bytes(load(p)) };
    address as *mut u8
}

/// Writes a pointer of the type's size.
pub fn store_pointer(p: *mut u8, size: u32, value: *const u8) {
    let address = value as u64;
    if size == 4 { store(p, &(address as u32).to_ne_bytes()) } else { store(p, &address.to_ne_bytes()) }
}

/// An address inside a pointer, by wrapping arithmetic.
pub fn offset(p: *mut u8, distance: isize) -> *mut u8 {
    p.wrapping_offset(distance)
}

impl Ffi {
    /// The type and address behind a cdata: references are followed.
    pub fn place(&self, cdata: Gc<CData>) -> (Id, *mut u8) {
        match self.types.get(cdata.ctype).kind {
            Kind::Pointer { to, reference: true } => (to, load_pointer(cdata.data(), 8)),
            _ => (cdata.ctype, cdata.data()),
        }
    }

    /// A new cdata. Its payload must not be larger than 2^31 bytes.
    pub fn new_cdata(&self, cx: Cx, ty: Id, size: u32) -> Gc<CData> {
        cx.cdata(ty, size as usize)
    }

    /// A pointer as cdata.
    pub fn new_pointer(&self, cx: Cx, ty: Id, p: *const u8) -> Gc<CData> {
        let cdata = self.new_cdata(cx, ty, 8);
        store_pointer(cdata.data(), 8, p);
        cdata
    }

    fn cannot_convert(&self, cx: Cx, from: &str, d: Id, how: How) -> Throw {
        let message = format!("cannot convert '{from}' to '{}'", self.types.describe(d));
        match how {
            How { argument: 1.., .. } => cx.arg_error(how.argument, &message),
            How { result: true, .. } => cx.error_plain(message),
            _ => cx.error(message),
        }
    }

    fn cannot_convert_types(&self, cx: Cx, s: Id, d: Id, how: How) -> Throw {
        // A number is no C type to the program.
        let from = if how.from_value {
            match self.types.get(s).kind {
                Kind::Float | Kind::Int { .. } => "number".to_string(),
                Kind::Array { .. } => "string".to_string(),
                _ if s == id::P_VOID => "nil".to_string(),
                _ => self.types.describe(s),
            }
        } else {
            self.types.describe(s)
        };
        self.cannot_convert(cx, &from, d, how)
    }

    /// The type that a pointer or array leads to, and its qualifiers; enumerations count as their integers.
    fn child(&self, ty: Id) -> (Id, u8) {
        let mut quals = 0;
        let mut at = match self.types.get(ty).kind {
            Kind::Pointer { to, .. } => to,
            Kind::Array { of, .. } | Kind::Vector { of } | Kind::Complex { of } => of,
            _ => ty,
        };
        loop {
            let entry = self.types.get(at);
            quals |= entry.quals;
            match entry.kind {
                Kind::Attributed { of } => at = of,
                Kind::Enum(_) => at = self.types.unwrap_enum(at),
                _ => return (at, quals),
            }
        }
    }

    /// Whether a pointer `d` may point to what `s` points to.
    pub fn compatible(&self, d: Id, s: Id, how: How, exact: bool) -> bool {
        if how.cast || d == s {
            return true;
        }
        let (d, d_quals) = self.child(d);
        let (s, s_quals) = if let Kind::Struct(_) = self.types.get(s).kind { (s, 0) } else { self.child(s) };
        let (dt, st) = (self.types.get(d), self.types.get(s));
        if exact {
            if d_quals != s_quals {
                return false;
            }
        } else if !how.ignore_quals {
            if d_quals & s_quals != s_quals {
                return false;
            }
            if dt.kind == Kind::Void || st.kind == Kind::Void {
                return true;
            }
        }
        if dt.size != st.size {
            return false;
        }
        match (dt.kind, st.kind) {
            (Kind::Int { .. }, Kind::Int { .. })
            | (Kind::Bool, Kind::Bool)
            | (Kind::Float, Kind::Float)
            | (Kind::Void, Kind::Void)
            | (Kind::Function(_), Kind::Function(_)) => true,
            (Kind::Pointer { .. }, Kind::Pointer { .. }) | (Kind::Array { .. }, Kind::Array { .. }) => {
                self.compatible(d, s, how, true)
            }
            (Kind::Struct(a), Kind::Struct(b)) => a == b,
            (Kind::Complex { of: a }, Kind::Complex { of: b })
            | (Kind::Vector { of: a }, Kind::Vector { of: b }) => a == b,
            _ => false,
        }
    }

    fn read_number(&self, s: Id, sp: *const u8) -> Option<Number> {
        let ty = self.types.get(s);
        Some(match (ty.kind, ty.size) {
            (Kind::Float, 8) => Number::Float(f64::from_ne_bytes(load(sp))),
            (Kind::Float, 4) => Number::Float(f64::from(f32::from_ne_bytes(load(sp)))),
            (Kind::Complex { of }, _) => return self.read_number(of, sp),
            (Kind::Bool, size) => Number::Unsigned(match size {
                1 => u64::from(load::<1>(sp)[0]),
                _ => u64::from(u32::from_ne_bytes(load(sp))),
            }),
            (Kind::Int { unsigned: false, .. }, size) => Number::Signed(match size {
                1 => i64::from(i8::from_ne_bytes(load(sp))),
                2 => i64::from(i16::from_ne_bytes(load(sp))),
                4 => i64::from(i32::from_ne_bytes(load(sp))),
                8 => i64::from_ne_bytes(load(sp)),
                _ => return None,
            }),
            (Kind::Int { unsigned: true, .. }, size) => Number::Unsigned(match size {
                1 => u64::from(load::<1>(sp)[0]),
                2 => u64::from(u16::from_ne_bytes(load(sp))),
                4 => u64::from(u32::from_ne_bytes(load(sp))),
                8 => u64::from_ne_bytes(load(sp)),
                _ => return None,
            }),
            _ => return None,
        })
    }

    fn write_number(&self, d: Id, dp: *mut u8, number: Number) -> bool {
        let ty = self.types.get(d);
        match (ty.kind, ty.size) {
            (Kind::Float, 8) => store(dp, &number.to_f64().to_ne_bytes()),
            (Kind::Float, 4) => store(dp, &(number.to_f64() as f32).to_ne_bytes()),
            (Kind::Bool, size) => {
                let truth = match number {
                    Number::Signed(n) => n != 0,
                    Number::Unsigned(n) => n != 0,
                    Number::Float(n) => n != 0.0,
                };
                store(dp, &u64::from(truth).to_le_bytes()[..(size as usize).min(8)]);
            }
            (Kind::Int { unsigned, .. }, size @ (1 | 2 | 4 | 8)) => {
                store(dp, &number.to_bits(size, unsigned).to_le_bytes()[..size as usize]);
            }
            (Kind::Int { .. }, 16) => {
                let (low, high) = match number {
                    Number::Signed(n) => (n as u64, (n >> 63) as u64),
                    Number::Unsigned(n) => (n, 0),
                    Number::Float(_) => return false,
                };
                store(dp, &low.to_le_bytes());
                store(offset(dp, 8), &high.to_le_bytes());
            }
            (Kind::Complex { of }, size) => {
                fill(dp, 0, size as usize);
                return self.write_number(of, dp, number);
            }
            _ => return false,
        }
        true
    }

    /// Converts a C value. Both types are raw and no enumerations.
    pub fn convert(&self, cx: Cx, d: Id, s: Id, dp: *mut u8, sp: *const u8, how: How) -> Result<()> {
        let (dt, st) = (self.types.get(d), self.types.get(s));
        let bad = || Err(self.cannot_convert_types(cx, s, d, how));
        let ok = match (class(dt), class(st)) {
            (Class::Int, Class::Int) if dt.size == st.size => {
                copy(dp, sp, dt.size as usize);
                true
            }
            (Class::Float, Class::Float) if dt.size == st.size => {
                copy(dp, sp, dt.size as usize);
                true
            }
            (Class::Bool, Class::Bool | Class::Int | Class::Float)
            | (Class::Int | Class::Float, Class::Bool | Class::Int | Class::Float | Class::Complex)
            | (Class::Complex, Class::Int | Class::Float) => {
                self.read_number(s, sp).is_some_and(|number| self.write_number(d, dp, number))
            }
            (Class::Complex, Class::Complex) => {
                if dt.size == st.size {
                    copy(dp, sp, dt.size as usize);
                } else {
                    let (Kind::Complex { of: dc }, Kind::Complex { of: sc }) = (dt.kind, st.kind) else {
                        return bad();
                    };
                    let (dh, sh) = (dt.size as isize / 2, st.size as isize / 2);
                    self.convert(cx, dc, sc, dp, sp, how)?;
                    self.convert(cx, dc, sc, offset(dp, dh), sp.wrapping_offset(sh), how)?;
                }
                true
            }
            (Class::Vector, Class::Int | Class::Float | Class::Complex) => {
                let Kind::Vector { of } = dt.kind else { return bad() };
                self.convert(cx, of, s, dp, sp, how)?;
                self.replicate(dp, self.types.get(of).size, dt.size);
                true
            }
            (Class::Vector, Class::Vector) if dt.size == st.size => {
                copy(dp, sp, dt.size as usize);
                true
            }
            (Class::Int, Class::Pointer) if how.cast => {
                let address = load_pointer(sp, st.size) as u64;
                self.write_number(d, dp, Number::Unsigned(address))
            }
            (Class::Int, Class::Array) if how.cast => self.write_number(d, dp, Number::Unsigned(sp as u64)),
            (Class::Pointer, Class::Int) if how.cast => match self.read_number(s, sp) {
                Some(number) => {
                    store_pointer(dp, dt.size, number.to_bits(8, false) as *const u8);
                    true
                }
                None => false,
            },
            (Class::Pointer, Class::Float) if how.cast && how.from_value => match self.read_number(s, sp) {
                Some(number) => {
                    store_pointer(dp, dt.size, number.to_bits(8, false) as *const u8);
                    true
                }
                None => false,
            },
            (Class::Pointer, Class::Pointer) if self.compatible(d, s, how, false) => {
                store_pointer(dp, dt.size, load_pointer(sp, st.size));
                true
            }
            (Class::Pointer, Class::Array | Class::Struct) if self.compatible(d, s, how, false) => {
                store_pointer(dp, dt.size, sp);
                true
            }
            (Class::Array, Class::Array)
                if !how.cast
                    && !self.types.is_variable(d)
                    && dt.size == st.size
                    && dt.size != INVALID
                    && self.compatible(d, s, how, false) =>
            {
                copy(dp, sp, dt.size as usize);
                true
            }
            (Class::Struct, Class::Struct) if !how.cast && !self.types.is_variable(d) && d == s => {
                copy(dp, sp, dt.size as usize);
                true
            }
            _ => false,
        };
        if ok { Ok(()) } else { bad() }
    }

    fn replicate(&self, dp: *mut u8, element: u32, total: u32) {
        if element == 0 {
            return;
        }
        let mut at = element;
        while at + element <= total {
            copy(offset(dp, at as isize), dp, element as usize);
            at += element;
        }
    }

    /// A C value as a Lua value. `ty` may have attributes.
    pub fn to_lua(&mut self, cx: Cx, ty: Id, sp: *mut u8) -> Value {
        let raw = self.types.raw(ty);
        let entry = self.types.get(raw);
        match entry.kind {
            Kind::Bool => Value::boolean(load::<1>(sp)[0] != 0),
            Kind::Int { .. } if entry.size <= 4 => match self.read_number(raw, sp) {
                Some(number) => Value::number(number.to_f64()),
                None => Value::NIL,
            },
            Kind::Float if entry.size <= 8 => match self.read_number(raw, sp) {
                Some(number) => Value::number(number.to_f64()),
                None => Value::NIL,
            },
            Kind::Array { .. } | Kind::Struct(_) => {
                let reference = self.types.reference_to(ty);
                self.new_pointer(cx, reference, sp).into()
            }
            _ if entry.size == INVALID => {
                // Functions: a pointer to them.
                let pointer = self.types.pointer_to(raw);
                self.new_pointer(cx, pointer, sp).into()
            }
            _ => {
                let cdata = self.new_cdata(cx, raw, entry.size);
                copy(cdata.data(), sp, entry.size as usize);
                cdata.into()
            }
        }
    }

    /// Some bits of a container as a Lua value.
    pub fn bits_to_lua(&self, cx: Cx, ty: Id, member: Member, sp: *const u8) -> Result<Value> {
        let Member::Bits { position, count, container } = member else { return Ok(Value::NIL) };
        if u32::from(position) + u32::from(count) > u32::from(container) * 8 {
            return Err(cx.error("NYI: packed bit fields"));
        }
        let value = match container {
            1 => u32::from(load::<1>(sp)[0]),
            2 => u32::from(u16::from_ne_bytes(load(sp))),
            _ => u32::from_ne_bytes(load(sp)),
        };
        let shift = 32 - u32::from(count);
        let top = value << (shift - u32::from(position));
        Ok(match self.types.get(self.types.raw(ty)).kind {
            Kind::Bool => Value::boolean(value >> position & 1 != 0),
            Kind::Int { unsigned: true, .. } => Value::number(f64::from(top >> shift)),
            _ => Value::number(f64::from(top as i32 >> shift)),
        })
    }

    /// Stores a Lua value to some bits of a container.
    pub fn bits_from_lua(&mut self, cx: Cx, ty: Id, member: Member, dp: *mut u8, value: Value) -> Result<()> {
        let Member::Bits { position, count, container } = member else { return Ok(()) };
        let kind = self.types.get(self.types.raw(ty)).kind;
        let mut bytes = [0u8; 4];
        let through = match kind {
            Kind::Bool => id::BOOL,
            Kind::Int { unsigned: true, .. } => id::UINT32,
            _ => id::INT32,
        };
        self.from_lua(cx, through, bytes.as_mut_ptr(), value, How::default())?;
        if u32::from(position) + u32::from(count) > u32::from(container) * 8 {
            return Err(cx.error("NYI: packed bit fields"));
        }
        let mask = (((1u64 << count) - 1) << position) as u32;
        let value = (u64::from(u32::from_ne_bytes(bytes)) << position) as u32 & mask;
        match container {
            1 => store(dp, &[load::<1>(dp)[0] & !(mask as u8) | value as u8]),
            2 => store(dp, &(u16::from_ne_bytes(load(dp)) & !(mask as u16) | value as u16).to_ne_bytes()),
            _ => store(dp, &(u32::from_ne_bytes(load(dp)) & !mask | value).to_ne_bytes()),
        }
        Ok(())
    }

    /// Converts a Lua value. `d` is raw.
    pub fn from_lua(&mut self, cx: Cx, d: Id, dp: *mut u8, value: Value, how: How) -> Result<()> {
        let entry = self.types.get(d);
        let integer = self.types.unwrap_enum(d);
        let from_value = How { from_value: true, ..how };
        if let Some(n) = value.as_number() {
            return self.convert(cx, integer, id::DOUBLE, dp, n.to_ne_bytes().as_ptr(), from_value);
        }
        if let Some(cdata) = value.as_cdata() {
            let (ty, sp) = self.place(cdata);
            let mut s = self.types.raw(ty);
            if let Kind::Function(_) = self.types.get(s).kind {
                // A function is a pointer to itself.
                let address = if ty == cdata.ctype { load_pointer(sp, 8) } else { sp };
                s = self.types.pointer_to(s);
                return self.convert(cx, integer, s, dp, (address as u64).to_ne_bytes().as_ptr(), how);
            }
            let s = self.types.unwrap_enum(s);
            return self.convert(cx, integer, s, dp, sp, how);
        }
        if let Some(text) = value.as_str() {
            if let Kind::Enum(number) = entry.kind {
                let constants = &self.types.enums[number as usize].constants;
                let found = constants.iter().find(|c| &*c.0 == text.bytes());
                let Some(&(_, constant, ty)) = found else {
                    return Err(self.cannot_convert(cx, "string", d, how));
                };
                return self.convert(cx, integer, ty, dp, constant.to_ne_bytes().as_ptr(), how);
            }
            if let Kind::Array { of, .. } = entry.kind {
                let element = self.types.get(self.types.raw(of));
                if !matches!(element.kind, Kind::Int { .. }) || element.size != 1 {
                    return Err(self.cannot_convert(cx, "string", d, how));
                }
                let size =
                    (text.len() + 1).min(if entry.size == 0 { usize::MAX } else { entry.size as usize });
                copy(dp, text.bytes().as_ptr(), size);
                return Ok(());
            }
            return self.convert(cx, integer, id::A_CONST_CHAR, dp, text.bytes().as_ptr(), from_value);
        }
        if let Some(table) = value.as_table() {
            return match entry.kind {
                Kind::Array { of, .. } | Kind::Vector { of } | Kind::Complex { of } => {
                    self.array_from_table(cx, d, of, dp, table, how)
                }
                Kind::Struct(number) => {
                    fill(dp, 0, entry.size as usize);
                    let mut next = 0;
                    self.struct_from_table(cx, number, dp, table, (&mut next, how))
                }
                _ => Err(self.cannot_convert(cx, "table", d, how)),
            };
        }
        if value.is_bool() {
            let byte = [u8::from(value.is_truthy())];
            return self.convert(cx, integer, id::BOOL, dp, byte.as_ptr(), how);
        }
        let pointer: u64 = if value.is_nil() {
            return self.convert(cx, integer, id::P_VOID, dp, [0u8; 8].as_ptr(), from_value);
        } else if let Some(userdata) = value.as_userdata() {
            match userdata.h.x {
                UD_FILE | UD_BUFFER => self.userdata_pointer(cx, userdata),
                // SAFETY: one past the fixed part is where the raw payload begins.
                _ => unsafe { userdata.as_ptr().add(1) as u64 },
            }
        } else if let Some(light) = value.as_light() {
            light
        } else if value.as_func().is_some() {
            if let Some(p) = self.callback(cx, d, value)? {
                store_pointer(dp, 8, p);
                return Ok(());
            }
            return Err(self.cannot_convert(cx, "function", d, how));
        } else {
            return Err(self.cannot_convert(cx, value.type_name(), d, how));
        };
        self.convert(cx, integer, id::P_VOID, dp, pointer.to_ne_bytes().as_ptr(), how)
    }

    fn too_many(&self, cx: Cx, d: Id) -> Throw {
        cx.error(format!("too many initializers for '{}'", self.types.describe(d)))
    }

    fn array_from_table(
        &mut self,
        cx: Cx,
        d: Id,
        of: Id,
        dp: *mut u8,
        table: Gc<Table>,
        how: How,
    ) -> Result<()> {
        let element = self.types.raw(of);
        let width = self.types.size(element).unwrap_or(0);
        let total = self.types.get(d).size;
        let mut at = 0u32;
        let mut index = 0;
        loop {
            let value = table.get_int(index);
            index += 1;
            if value.is_nil() {
                if index == 1 {
                    continue;
                }
                break;
            }
            if at >= total {
                return Err(self.too_many(cx, d));
            }
            self.from_lua(cx, element, offset(dp, at as isize), value, how)?;
            at += width;
        }
        if total != INVALID {
            if at == width {
                self.replicate(dp, width, total);
            } else {
                fill(offset(dp, at as isize), 0, (total - at) as usize);
            }
        }
        Ok(())
    }

    /// Fields from a table: by position as long as there are any, else by name. `next` is the position, or negative.
    fn struct_from_table(
        &mut self,
        cx: Cx,
        number: u32,
        dp: *mut u8,
        table: Gc<Table>,
        (next, how): (&mut i32, How),
    ) -> Result<()> {
        let union = self.types.structs[number as usize].union;
        for i in 0..self.types.structs[number as usize].fields.len() {
            let field = self.types.structs[number as usize].fields[i].clone();
            let target = offset(dp, field.offset as isize);
            match field.member {
                Member::Constant(_) => continue,
                Member::Transparent => {
                    if let Kind::Struct(inner) = self.types.get(self.types.raw(field.ty)).kind {
                        self.struct_from_table(cx, inner, target, table, (next, how))?;
                    }
                    continue;
                }
                _ => {}
            }
            let Some(name) = &field.name else { continue };
            let mut value = Value::NIL;
            if *next >= 0 {
                let start = *next;
                value = table.get_int(*next);
                if value.is_nil() && *next == 0 {
                    *next = 1;
                    value = table.get_int(1);
                }
                if value.is_nil() {
                    if start != 0 {
                        break;
                    }
                    *next = -1;
                } else {
                    *next += 1;
                }
            }
            if *next < 0 {
                value = table.get_str(cx.str(name));
                if value.is_nil() {
                    continue;
                }
            }
            self.field_from_lua(cx, field.ty, field.member, target, (value, how))?;
            if union {
                break;
            }
        }
        Ok(())
    }

    fn field_from_lua(
        &mut self,
        cx: Cx,
        ty: Id,
        member: Member,
        dp: *mut u8,
        (value, how): (Value, How),
    ) -> Result<()> {
        match member {
            Member::Bits { .. } => self.bits_from_lua(cx, ty, member, dp, value),
            _ => {
                let raw = self.types.raw(ty);
                self.from_lua(cx, raw, dp, value, how)
            }
        }
    }

    /// Initialises a new object of the raw type `d` from the values given to `ffi.new`.
    pub fn initialize(&mut self, cx: Cx, d: Id, size: u32, dp: *mut u8, values: &[Value]) -> Result<()> {
        let kind = self.types.get(d).kind;
        match values {
            [] => fill(dp, 0, size as usize),
            [value] if !self.is_aggregate_value(d, *value) => {
                self.from_lua(cx, d, dp, *value, How::default())?;
            }
            _ => match kind {
                Kind::Array { of, .. } | Kind::Vector { of } | Kind::Complex { of } => {
                    let element = self.types.raw(of);
                    let width = self.types.size(element).unwrap_or(0);
                    if values.len() as u64 * u64::from(width) > u64::from(size) {
                        return Err(self.too_many(cx, d));
                    }
                    for (i, &value) in values.iter().enumerate() {
                        self.from_lua(
                            cx,
                            element,
                            offset(dp, i as isize * width as isize),
                            value,
                            How::default(),
                        )?;
                    }
                    let done = values.len() as u32 * width;
                    if values.len() == 1 {
                        self.replicate(dp, width, size);
                    } else {
                        fill(offset(dp, done as isize), 0, (size - done) as usize);
                    }
                }
                Kind::Struct(number) => {
                    fill(dp, 0, size as usize);
                    let mut next = 0;
                    self.struct_from_values(cx, number, dp, values, &mut next)?;
                    if next < values.len() {
                        return Err(self.too_many(cx, d));
                    }
                }
                _ => return Err(self.too_many(cx, d)),
            },
        }
        Ok(())
    }

    fn struct_from_values(
        &mut self,
        cx: Cx,
        number: u32,
        dp: *mut u8,
        values: &[Value],
        next: &mut usize,
    ) -> Result<()> {
        let union = self.types.structs[number as usize].union;
        for i in 0..self.types.structs[number as usize].fields.len() {
            let field = self.types.structs[number as usize].fields[i].clone();
            let target = offset(dp, field.offset as isize);
            match field.member {
                Member::Constant(_) => continue,
                Member::Transparent => {
                    if let Kind::Struct(inner) = self.types.get(self.types.raw(field.ty)).kind {
                        self.struct_from_values(cx, inner, target, values, next)?;
                    }
                }
                _ => {
                    if field.name.is_none() {
                        continue;
                    }
                    let Some(&value) = values.get(*next) else { break };
                    *next += 1;
                    self.field_from_lua(cx, field.ty, field.member, target, (value, How::default()))?;
                }
            }
            if union {
                break;
            }
        }
        Ok(())
    }

    /// Whether one value initialises the first element of an aggregate rather than the whole.
    fn is_aggregate_value(&self, d: Id, value: Value) -> bool {
        let kind = self.types.get(d).kind;
        let is_struct = matches!(kind, Kind::Struct(_));
        if !is_struct && !matches!(kind, Kind::Array { .. }) {
            return false;
        }
        if value.as_table().is_some() || (value.as_str().is_some() && !is_struct) {
            return false;
        }
        value.as_cdata().is_none_or(|cdata| self.types.raw_ref(cdata.ctype) != d)
    }

    /// Whether a place may not be written to.
    pub fn is_constant(&self, ty: Id, quals: u8) -> bool {
        (self.types.info(ty).quals | quals) & CONST != 0
    }
}
