//! The x86-64 guest, on iced-x86's decoder and instruction tables.
//!
//! Modules in the order data flows through them: [`inst`] (what an instruction is), [`decode`] (bytes →
//! instruction), [`liveness`] (what code ahead still reads).

pub mod decode;
pub mod inst;
pub mod liveness;

pub use decode::{BlockDecoder, decode_one};
pub use inst::{Attrs, Flow, Inst, LoopKind};
