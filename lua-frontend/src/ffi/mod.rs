//! C data: the `ffi` library and the constants of the language that need it.
//!
//! [`types`] is the table of C types, [`declare`] reads C declarations into it. A cdata object is a type number and a payload; the other
//! modules say what can be done with one: [`convert`] between C and Lua values, [`access`] to members and elements,
//! [`arith`]metic, [`call`]s in both directions. [`library`] is what Lua sees.
//!
//! This is the one part of the front end where a script can break memory safety: it reads and writes where it is told to, as C does.
//! What is checked is what the types say.

mod access;
mod arith;
mod call;
mod convert;
pub mod declare;
pub(crate) mod glue;
pub mod library;
pub mod scalar;
pub mod types;

use crate::api::Cx;
use crate::object::{Table, UserData};
use crate::value::Gc;

/// The state of the library.
pub struct Ffi {
    /// All types.
    pub types: types::Types,
    /// Metatables by type number; at zero the one of callbacks.
    pub meta: Gc<Table>,
    /// Finalizers; a cdata knows its slot.
    finalizers: Gc<Table>,
    /// Functions behind callbacks, by slot.
    functions: Gc<Table>,
    /// Values that must stay alive: the error of a callback.
    anchors: Gc<Table>,
    free_finalizers: Vec<u32>,
    next_finalizer: u32,
    #[allow(clippy::vec_box, reason = "C holds the addresses")]
    callbacks: Vec<Box<call::Callback>>,
    /// `errno` as C left it.
    errno: i32,
    /// Where in `anchors` the error of a callback waits.
    pending: Option<i32>,
}

impl Ffi {
    /// What a file or a buffer is to C: the `FILE`, or the address of the data.
    fn userdata_pointer(&self, cx: Cx, userdata: Gc<UserData>) -> u64 {
        cx.payload::<crate::stdio::Stream>(userdata).map_or(0, |stream| stream.as_ptr() as u64)
    }
}
