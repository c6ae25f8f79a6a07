//! The shared state ([`Global`]) and the layout of stacks and frames.
//!
//! # Frames
//! A stack is an array of slots. The running function's slots begin at `base`; the two below describe the frame:
//!
//! ```text
//!   base-2  base-1 | base ...        top
//!   func    link   | arguments, locals, temporaries
//! ```
//!
//! The link says how to go back. Its low three bits are the type:
//!
//! | bits | type | the other bits |
//! |---|---|---|
//! | `.00` | called by a Lua function | the address of the instruction after the call; its operand A tells the caller's base |
//! | `001` | called by native code (or the bottom of a coroutine) | distance to the previous frame in bytes |
//! | `010` | continuation: `base[-4]` says what to do with the result ([`Cont`]), `base[-3]` is the caller's instruction address | distance |
//! | `011` | vararg frame: the arguments lie below | distance |
//! | `110` | `pcall`/`xpcall` | distance |
//! | `111` | `pcall`/`xpcall` inside a hook | distance |
//!
//! Instruction addresses and distances read as tiny positive doubles, so the collector may see link slots as values.
//!
//! # Native frames on the Rust stack
//! A native function that calls Lua starts a new activation of the interpreter loop; a [`CFrame`] records it.
//! Calls between Lua functions, `pcall`, metamethods, iterators and coroutine switches do not.

use std::ptr;

use crate::api::Cx;
use crate::bytecode::Ins;
use crate::error::Throw;
use crate::gc::Collector;
use crate::heap::Heap;
use crate::object::{Str, Table, Thread};
use crate::strings::StringTable;
use crate::value::{Gc, Value};
use crate::vm::{HANDLERS, Handler, Regs};

/// Frame types: low bits of a link.
pub mod frame {
    /// Called by a Lua function.
    pub const LUA: u64 = 0;
    /// Called by native code.
    pub const C: u64 = 1;
    /// Continuation.
    pub const CONT: u64 = 2;
    /// Vararg.
    pub const VARG: u64 = 3;
    /// `pcall`.
    pub const PCALL: u64 = 6;
    /// `pcall` inside a hook.
    pub const PCALLH: u64 = 7;
    /// Mask of the type without the pcall bit.
    pub const TYPE: u64 = 3;
    /// Mask of the whole type.
    pub const TYPEP: u64 = 7;
}

/// What happens with the result of a metamethod (the word in `base[-4]` of a continuation frame).
#[repr(u64)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cont {
    /// Nothing: the results go to the caller as they are (tail call out of a native function).
    Tail = 0,
    /// Store into slot A of the instruction before the saved address.
    Store = 1,
    /// Drop (`__newindex`).
    Drop = 2,
    /// Condition: run the jump if truthy.
    IfTrue = 3,
    /// Condition: run the jump if falsy.
    IfFalse = 4,
    /// Go on with a concatenation.
    Concat = 5,
}

/// The metamethods, in the order of [`EVENT_NAMES`]. The first six are cached negatively in a table's header.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the events")]
pub enum Event {
    Index,
    Newindex,
    Gc,
    Mode,
    Eq,
    Len,
    Lt,
    Le,
    Concat,
    Call,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Unm,
    Metatable,
    Tostring,
    New,
    Pairs,
    Ipairs,
}

/// Names of the metamethods.
pub const EVENT_NAMES: [&str; 22] = [
    "__index",
    "__newindex",
    "__gc",
    "__mode",
    "__eq",
    "__len",
    "__lt",
    "__le",
    "__concat",
    "__call",
    "__add",
    "__sub",
    "__mul",
    "__div",
    "__mod",
    "__pow",
    "__unm",
    "__metatable",
    "__tostring",
    "__new",
    "__pairs",
    "__ipairs",
];

/// An activation of the interpreter loop by native code, on the Rust stack.
#[repr(C)]
pub struct CFrame {
    /// The activation around it in the same coroutine.
    pub prev: *mut CFrame,
    /// Where the function stood that was running before.
    pub saved_pc: *const Ins,
    /// Do errors end here?
    pub protected: bool,
    /// The message handler, if protected.
    pub handler: Option<Value>,
}

/// Hook events, as bits.
pub mod hook {
    /// Call.
    pub const CALL: u8 = 1;
    /// Return.
    pub const RET: u8 = 2;
    /// Line.
    pub const LINE: u8 = 4;
    /// Instruction count.
    pub const COUNT: u8 = 8;
    /// A hook is running.
    pub const ACTIVE: u8 = 16;
}

/// See [`Global::cdata_bitop`].
pub type CdataBitop = fn(Cx, u8, Value, Value) -> Result<Value, Throw>;

/// State shared by all coroutines.
#[repr(C)]
pub struct Global {
    /// The handlers of operations in force; first, because every operation reads it.
    pub dispatch: [Handler; HANDLERS],
    /// The heap.
    pub heap: Heap,
    /// The running coroutine.
    pub cur: *mut Thread,
    /// The main coroutine.
    pub main: *mut Thread,
    /// Active hook events.
    pub hookmask: u8,
    /// Instruction counting hook: instructions left.
    pub hookcount: i32,
    /// Instruction counting hook: start value.
    pub hookstart: i32,
    /// The hook function (a Lua value), nil for none.
    pub hookf: Value,
    /// Where the last line event was.
    pub hookpc: *const Ins,
    /// Nesting of message handlers.
    pub in_handler: u32,
    /// Bit operators on cdata (set by the ffi library): operation number, operands.
    pub cdata_bitop: Option<CdataBitop>,
    /// The ffi library, once it is open; null before.
    pub ffi: *mut crate::ffi::Ffi,
    /// Registers between operations, when the interpreter is not threaded.
    pub regs: Regs,
    /// Metatables of the basic types, by tag.
    pub basemt: [*mut Table; 14],
    /// Names of the events.
    pub names: [*mut Str; EVENT_NAMES.len()],
    /// The empty string.
    pub empty: *mut Str,
    /// Registry: string keys for libraries, integer keys for references.
    pub registry: *mut Table,
    /// Error value on its way to the handler.
    pub thrown: Value,
    /// Scratch slot for stores that could not be made.
    pub scratch: Value,
    /// The `FUNCC` heads that native functions point to; one per builtin (see [`crate::api::Builtin`]).
    pub funcc: [Ins; 64],
    /// Names of the types, by tag.
    pub type_names: [*mut Str; 16],
    /// All strings.
    pub strings: StringTable,
    /// The collector.
    pub gc: Collector,
    /// Values that native code keeps alive ([`crate::api::Cx::anchor`]).
    pub anchors: Vec<Value>,
    /// Buffer for number formatting and concatenation.
    pub buf: Vec<u8>,
    /// Where native activations must end on the Rust stack ([`crate::vm::call::stack_limit`]).
    pub stack_limit: usize,
    /// Set from signal handlers: raise "interrupted!" soon.
    pub interrupt: std::sync::atomic::AtomicBool,
    /// The trace compiler; null before it is used.
    pub jit: *mut crate::jit::Jit,
    /// Is it on?
    pub jit_on: bool,
    /// Rounds until a loop is hot.
    pub hotloop: u16,
    /// Calls until a function is hot.
    pub hotcall: u16,
    /// Where the trace that runs keeps the base of its first frame.
    pub jit_base: *mut usize,
    /// The error that a trace leaves with.
    pub jit_throw: Option<Throw>,
    /// Where an error leaves the C function that is running; null if none is ([`crate::capi`]).
    pub c_jump: *mut crate::capi::jump::Jump,
    /// The error that left a C function.
    pub c_error: Throw,
    /// The number of values of a C function that ends in a yield.
    pub c_yield: Option<u32>,
    /// What C wants to be called when an error has no handler.
    pub c_panic: Option<crate::capi::CFunction>,
    /// The function by which C resumes coroutines.
    pub c_resume: Value,
}

/// A Lua state: owns the heap and everything in it.
pub struct Lua {
    pub(crate) g: *mut Global,
}

impl Global {
    /// Interns a string.
    pub fn intern(&mut self, s: &[u8]) -> Gc<Str> {
        self.strings.intern(&mut self.heap, s)
    }
}

impl Global {
    /// Have the values of a basic type no `__tostring`?
    #[inline]
    pub(crate) fn basemt_tostring_plain(&mut self, tag: crate::value::Tag) -> bool {
        let m = self.basemt[tag as usize];
        m.is_null() || crate::vm::meta::lookup_in(self, m, Event::Tostring).is_nil()
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        if self.g.is_null() {
            return;
        }
        // SAFETY: `g` came from `Box::into_raw` and no coroutine of it runs any more.
        unsafe {
            crate::gc::close(self.g);
            if !(*self.g).jit.is_null() {
                drop(Box::from_raw((*self.g).jit));
            }
            drop(Box::from_raw(self.g));
        }
        self.g = ptr::null_mut();
    }
}

impl Lua {
    /// A new state with empty globals; `stdlib::open` fills them.
    pub fn new() -> Lua {
        use std::hash::{BuildHasher, Hasher};
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let null = ptr::null_mut::<u8>();
        let g = Box::into_raw(Box::new(Global {
            dispatch: crate::vm::TABLE,
            heap: Heap::new(),
            cur: null.cast(),
            main: null.cast(),
            hookmask: 0,
            hookcount: 0,
            hookstart: 0,
            hookf: Value::NIL,
            hookpc: ptr::null(),
            in_handler: 0,
            cdata_bitop: None,
            ffi: ptr::null_mut(),
            regs: Regs::default(),
            basemt: [null.cast(); 14],
            names: [null.cast(); EVENT_NAMES.len()],
            empty: null.cast(),
            registry: null.cast(),
            thrown: Value::NIL,
            scratch: Value::NIL,
            funcc: std::array::from_fn(|i| crate::vm::func::head(i as u8)),
            type_names: [null.cast(); 16],
            strings: StringTable::new(seed),
            gc: Collector::default(),
            anchors: Vec::new(),
            buf: Vec::new(),
            stack_limit: crate::vm::call::stack_limit(),
            interrupt: std::sync::atomic::AtomicBool::new(false),
            jit: ptr::null_mut(),
            jit_on: false,
            hotloop: 56,
            hotcall: 112,
            jit_base: ptr::null_mut(),
            jit_throw: None,
            c_jump: ptr::null_mut(),
            c_error: Throw::Run,
            c_yield: None,
            c_panic: None,
            c_resume: Value::NIL,
        }));
        // SAFETY: `g` is fresh and ours; the objects made here are reachable from it.
        unsafe {
            (*g).heap.threshold = usize::MAX;
            let env = crate::table::new(&mut (*g).heap, 0, 6);
            let registry = crate::table::new(&mut (*g).heap, 0, 4);
            (*g).registry = registry.as_ptr();
            let l = crate::vm::thread::new(&mut *g, env.as_ptr());
            (*g).main = l;
            (*l).h.y = 1;
            (*g).cur = l;
            (*g).empty = (*g).intern(b"").as_ptr();
            for i in 0..16 {
                let name = crate::value::TYPE_NAMES.get(i).unwrap_or(&"number");
                (*g).type_names[i] = (*g).intern(name.as_bytes()).as_ptr();
            }
            for (i, name) in EVENT_NAMES.iter().enumerate() {
                (*g).names[i] = (*g).intern(name.as_bytes()).as_ptr();
            }
            (*g).heap.threshold = (*g).gc.first_threshold();
        }
        Lua { g }
    }
}

impl Default for Lua {
    fn default() -> Self {
        Lua::new()
    }
}
