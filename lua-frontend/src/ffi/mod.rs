//! C data: the `ffi` library and the constants of the language that need it.

pub mod scalar;
