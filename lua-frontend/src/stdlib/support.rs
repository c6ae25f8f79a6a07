//! What the libraries need of the state beyond the interface of [`crate::api`].

use crate::api::Cx;
use crate::gc;
use crate::object::{Func, Table};
use crate::strfmt;
use crate::value::{Gc, Tag, Value};

impl Cx {
    /// The environment of a function.
    pub fn env_of(self, f: Gc<Func>) -> Gc<Table> {
        Gc::from_ptr(f.env)
    }
    /// The address by which a value is shown: of its object, of C data its contents, of light userdata itself.
    pub fn address_of(self, v: Value) -> usize {
        match v.tag() {
            Tag::Number | Tag::Nil | Tag::False | Tag::True => 0,
            _ => v.as_light().map_or_else(
                || match (v.as_cdata(), v.as_userdata()) {
                    (Some(c), _) => c.data() as usize,
                    _ => v.ptr::<u8>() as usize,
                },
                |p| p as usize,
            ),
        }
    }
    /// Appends `type: 0x...`.
    pub fn put_address(self, out: &mut Vec<u8>, v: Value) {
        out.extend_from_slice(v.type_name().as_bytes());
        out.extend_from_slice(b": ");
        strfmt::put_pointer(out, self.address_of(v));
    }
    /// Gives a native function the number that `tostring` shows.
    pub fn set_function_number(self, f: Gc<Func>, n: u8) {
        // SAFETY: a live function; nothing else uses this field of functions.
        unsafe { (*f.as_ptr()).h.n = u32::from(n) }
        crate::vm::fast::install(f, u32::from(n));
    }
    /// The number of a native function; 0 for none.
    pub fn function_number(self, f: Gc<Func>) -> u8 {
        if f.is_lua() { 0 } else { f.h.n as u8 }
    }
    /// Bytes in use.
    pub fn gc_count(self) -> usize {
        gc::count(self)
    }
    /// A whole collection.
    pub fn gc_collect(self) {
        gc::full(self);
    }
    /// A step of about `kb` kilobytes; whether a cycle ended.
    pub fn gc_step(self, kb: i32) -> bool {
        gc::step(self, kb.max(0) as usize)
    }
    /// No more automatic steps.
    pub fn gc_stop(self) {
        gc::stop(self);
    }
    /// Automatic steps again.
    pub fn gc_restart(self) {
        gc::restart(self);
    }
    /// Whether automatic steps happen.
    pub fn gc_is_running(self) -> bool {
        gc::is_running(self)
    }
    /// Sets the pause between cycles in percent; gives the old one.
    pub fn gc_set_pause(self, n: i32) -> i32 {
        gc::set_pause(self, n)
    }
    /// Sets the speed of the collector in percent of allocation; gives the old one.
    pub fn gc_set_stepmul(self, n: i32) -> i32 {
        gc::set_stepmul(self, n)
    }
    /// Runs all finalizers, before the process ends.
    pub fn close_state(self) {
        gc::finalize_all(self.g());
    }
}
