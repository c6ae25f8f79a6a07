//! What other libraries need to know of cdata.

use super::convert::{How, copy, load, load_pointer};
use super::library::{ensure, state};
use super::scalar;
use super::types::{Kind, id};
use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::value::Value;

/// The 64 bits of an `int64_t` or `uint64_t`, and whether it is unsigned.
pub fn int64_of(cx: Cx, value: Value) -> Option<(u64, bool)> {
    let cdata = value.as_cdata()?;
    let ffi = state(cx)?;
    let (ty, p) = ffi.place(cdata);
    let entry = ffi.types.get(ffi.types.raw(ty));
    match entry.kind {
        Kind::Int { unsigned, .. } if entry.size == 8 => Some((u64::from_ne_bytes(load(p)), unsigned)),
        _ => None,
    }
}

/// The 64 bits of a number of any C type as the functions of `bit` see it, and whether they are unsigned.
pub fn bits_of(cx: Cx, value: Value) -> Option<(u64, bool)> {
    value.as_cdata()?;
    let mut wide = None;
    let bits = ensure(cx).bit_operand(cx, value, &mut wide).ok()??;
    Some((bits, wide == Some(id::UINT64)))
}

/// The real and imaginary part of a `complex`.
pub fn complex_of(cx: Cx, value: Value) -> Option<[f64; 2]> {
    let cdata = value.as_cdata()?;
    let ffi = state(cx)?;
    let (ty, p) = ffi.place(cdata);
    match ffi.types.get(ffi.types.raw(ty)) {
        entry if matches!(entry.kind, Kind::Complex { .. }) && entry.size == 16 => {
            Some([f64::from_ne_bytes(load(p)), f64::from_ne_bytes(load(p.wrapping_add(8)))])
        }
        _ => None,
    }
}

/// A number of any C type.
pub fn to_number(cx: Cx, value: Value) -> Option<f64> {
    let cdata = value.as_cdata()?;
    let ffi = ensure(cx);
    let (ty, p) = ffi.place(cdata);
    let ty = ffi.types.unwrap_enum(ffi.types.raw(ty));
    if !matches!(ffi.types.get(ty).kind, Kind::Int { .. } | Kind::Bool | Kind::Float | Kind::Complex { .. }) {
        return None;
    }
    let mut bytes = [0u8; 8];
    ffi.convert(cx, id::DOUBLE, ty, bytes.as_mut_ptr(), p, How::default()).ok()?;
    Some(f64::from_ne_bytes(bytes))
}

/// An `int64_t` or `uint64_t`.
pub fn make_int64(cx: Cx, bits: u64, unsigned: bool) -> Value {
    ensure(cx);
    if unsigned { scalar::uint64(cx, bits).into() } else { scalar::int64(cx, bits as i64).into() }
}

/// A `complex`.
pub fn make_complex(cx: Cx, parts: [f64; 2]) -> Value {
    ensure(cx);
    scalar::complex(cx, parts[0], parts[1]).into()
}

/// The bytes that a pointer argument and a length argument describe; `None` if the first is no cdata.
///
/// # Errors
/// If it cannot be a pointer, or the length is missing.
pub fn bytes_argument(cx: Cx, pointer: usize, length: usize) -> Result<Option<Vec<u8>>, Throw> {
    let value = cx.arg(pointer);
    if value.as_cdata().is_none() {
        return Ok(None);
    }
    let ffi = ensure(cx);
    let mut bytes = [0u8; 8];
    let how = How { argument: pointer, ..How::default() };
    ffi.from_lua(cx, id::P_CONST_VOID, bytes.as_mut_ptr(), value, how)?;
    let count = cx.check_int(length)?.max(0) as usize;
    let mut out = vec![0u8; count];
    copy(out.as_mut_ptr(), load_pointer(bytes.as_ptr(), 8), count);
    Ok(Some(out))
}

/// Returns a `uint8_t *` and a size.
///
/// # Errors
/// None.
pub fn byte_pointer(cx: Cx, address: usize, size: usize) -> NativeResult {
    let ffi = ensure(cx);
    let pointer = ffi.new_pointer(cx, id::P_UINT8, address as *const u8);
    cx.ret2(pointer, size as f64)
}
