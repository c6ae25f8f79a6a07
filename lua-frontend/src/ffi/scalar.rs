//! 64-bit integers and complex numbers as cdata: what literals with a suffix make.
//!
//! Contract of the unsafe code: a cdata's payload has `h.n` bytes; every access checks against it.

use crate::api::Cx;
use crate::compile::code::Constant;
use crate::object::CData;
use crate::value::Gc;

/// Type number of `int64_t`.
pub const ID_INT64: u32 = 11;
/// Type number of `uint64_t`.
pub const ID_UINT64: u32 = 12;
/// Type number of `complex double`.
pub const ID_COMPLEX: u32 = 18;

/// Payload bytes as a value of a plain type; zero if the payload is too short.
pub fn read<const N: usize>(cdata: Gc<CData>, offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    if offset + N <= cdata.h.n as usize {
        // SAFETY: inside the payload.
        unsafe { std::ptr::copy_nonoverlapping(cdata.data().add(offset), bytes.as_mut_ptr(), N) }
    }
    bytes
}

/// Overwrites payload bytes; nothing happens beyond the end.
pub fn write(cdata: Gc<CData>, offset: usize, bytes: &[u8]) {
    if offset + bytes.len() <= cdata.h.n as usize {
        // SAFETY: inside the payload.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), cdata.data().add(offset), bytes.len()) }
    }
}

/// A new `int64_t`.
pub fn int64(cx: Cx, n: i64) -> Gc<CData> {
    let cdata = cx.cdata(ID_INT64, 8);
    write(cdata, 0, &n.to_ne_bytes());
    cdata
}

/// A new `uint64_t`.
pub fn uint64(cx: Cx, n: u64) -> Gc<CData> {
    let cdata = cx.cdata(ID_UINT64, 8);
    write(cdata, 0, &n.to_ne_bytes());
    cdata
}

/// A new `complex double`.
pub fn complex(cx: Cx, re: f64, im: f64) -> Gc<CData> {
    let cdata = cx.cdata(ID_COMPLEX, 16);
    write(cdata, 0, &re.to_ne_bytes());
    write(cdata, 8, &im.to_ne_bytes());
    cdata
}

/// The constant that a cdata of one of these types stands for.
pub fn constant(cdata: Gc<CData>) -> Constant {
    match cdata.ctype {
        ID_COMPLEX => {
            Constant::Complex(f64::from_ne_bytes(read(cdata, 0)), f64::from_ne_bytes(read(cdata, 8)))
        }
        ID_UINT64 => Constant::Uint64(u64::from_ne_bytes(read(cdata, 0))),
        _ => Constant::Int64(i64::from_ne_bytes(read(cdata, 0))),
    }
}
