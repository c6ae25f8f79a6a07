//! Layouts of the collected objects.
//!
//! All are `#[repr(C)]` with a common first word ([`Header`]); offsets that generated code relies on are asserted at
//! the end of this file. Objects never move. Variable-sized ones (strings, functions, prototypes, userdata, cdata)
//! carry their payload right behind the fixed part; a table's array and hash part, and a thread's stack, are
//! separate blocks in the same heap that are marked together with their owner.
//!
//! Terms: *black* (a flag in the header) means "the collector has seen all references of this object since it was
//! last changed"; the write barrier tests nothing else (see [`crate::gc`]). The *mark* is not in the object but in the
//! bitmap of its chunk ([`crate::heap`]).

use std::any::Any;

use crate::api::NativeFn;
use crate::bytecode::Ins;
use crate::state::Global;
use crate::value::Value;

/// Kinds of heap cells, in [`Header::kind`].
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the objects")]
pub enum Kind {
    Str = 4,
    Upval = 5,
    Thread = 6,
    Proto = 7,
    Func = 8,
    LightBox = 9,
    CData = 10,
    Table = 11,
    UserData = 12,
}

/// Flag: seen by the collector and unchanged since.
pub const BLACK: u8 = 1;
/// Flag: pinned, never collected (reserved names).
pub const FIXED: u8 = 2;
/// Flag of userdata and cdata: has a finalizer that still must run.
pub const FINALIZE: u8 = 4;
/// Flag of tables: weak keys.
pub const WEAK_KEYS: u8 = 8;
/// Flag of tables: weak values.
pub const WEAK_VALUES: u8 = 16;
/// Flag of threads, tables: already in a list of the collector.
pub const LISTED: u8 = 32;
/// Flag of native functions: made from a function of C, whose address is the first upvalue ([`crate::capi`]).
pub const C_FUNCTION: u8 = 64;

/// The first word of every object.
#[repr(C)]
pub struct Header {
    /// [`Kind`].
    pub kind: u8,
    /// Flags: [`BLACK`] and others.
    pub flags: u8,
    /// Functions: function id. Tables: negative cache of metamethods. Strings: reserved-word index. Threads: status.
    pub x: u8,
    /// Functions: number of upvalues. Upvalues: closed? Tables: how often resized (for the collector).
    pub y: u8,
    /// Strings: length. Tables: array size. Userdata, cdata: payload size.
    pub n: u32,
}

/// An interned string; the bytes and a zero follow.
#[repr(C)]
pub struct Str {
    /// kind, flags, reserved-word index, -, length.
    pub h: Header,
    /// Hash of the contents (interning).
    pub hash: u32,
    /// Serial number (hash in tables).
    pub sid: u32,
    /// Next string in the chain of the interning table.
    pub next: *mut Str,
}

impl Str {
    /// Length in bytes.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty, reason = "a field of the object")]
    pub fn len(&self) -> usize {
        self.h.n as usize
    }
    /// The bytes.
    #[inline(always)]
    pub fn bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: `n` bytes follow the header of a string object; they never change or move while it is alive.
        unsafe { std::slice::from_raw_parts((self as *const Str).add(1).cast(), self.h.n as usize) }
    }
    /// Index of the reserved word that this string is, 0 for none. Set by the lexer (`Cx::reserve`).
    pub fn reserved(&self) -> u8 {
        self.h.x
    }
}

/// A node of a table's hash part.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Node {
    /// The value; nil for a free or deleted node.
    pub val: Value,
    /// The key; kept when the value becomes nil, so that traversal goes on.
    pub key: Value,
    /// Next node of the collision chain.
    pub next: *mut Node,
}

/// A table.
#[repr(C)]
pub struct Table {
    /// kind, flags, negative metamethod cache (one bit per fast event), how often resized, array size.
    pub h: Header,
    /// Array part: slots for keys 0 .. `h.n - 1`.
    pub array: *mut Value,
    /// Hash part: `hmask + 1` nodes; a shared empty node if there is none.
    pub node: *mut Node,
    /// Number of nodes - 1.
    pub hmask: u32,
    /// Slots that the array block has room for.
    pub acap: u32,
    /// The metatable or null.
    pub meta: *mut Table,
    /// Free nodes lie below this one.
    pub free: *mut Node,
}

impl Table {
    /// The array part, index zero included.
    pub fn array_part<'a>(&self) -> &'a [Value] {
        if self.h.n == 0 {
            return &[];
        }
        // SAFETY: `h.n` values start at `array`.
        unsafe { std::slice::from_raw_parts(self.array, self.h.n as usize) }
    }
    /// The nodes of the hash part, free ones included.
    pub fn nodes<'a>(&self) -> &'a [Node] {
        // SAFETY: there always are `hmask + 1` nodes.
        unsafe { std::slice::from_raw_parts(self.node, self.hmask as usize + 1) }
    }
}

/// An upvalue. Open: `v` points to a stack slot. Closed: `v` points to `closed`.
#[repr(C)]
pub struct Upval {
    /// kind, flags, immutable?, closed?
    pub h: Header,
    /// Where the value is.
    pub v: *mut Value,
    /// The value, once closed; while open: the next open upvalue (lower in the stack) as a pointer.
    pub closed: Value,
}

/// A function: Lua closure or native function.
#[repr(C)]
pub struct Func {
    /// kind, flags, function id ([`FF_LUA`], [`FF_NATIVE`], or a [`crate::api::Builtin`]), number of upvalues.
    pub h: Header,
    /// First instruction: of the prototype, or a shared `FUNCC`.
    pub pc: *const Ins,
    /// The environment.
    pub env: *mut Table,
    /// What follows depends on the id: see [`LuaFunc`] and [`NativeFunc`].
    pub rest: [u64; 0],
}

/// The tail of a Lua closure: pointers to its upvalues. The prototype stands right before the instructions.
#[repr(C)]
pub struct LuaFunc {
    /// Common part.
    pub f: Func,
    /// `h.y` pointers.
    pub uv: [*mut Upval; 0],
}

/// The tail of a native function.
#[repr(C)]
pub struct NativeFunc {
    /// Common part.
    pub f: Func,
    /// The Rust function.
    pub call: NativeFn,
    /// `h.y` values.
    pub uv: [Value; 0],
}

/// Function id of a Lua closure.
pub const FF_LUA: u8 = 0;
/// Function id of a native function without a special role.
pub const FF_NATIVE: u8 = 1;

impl Func {
    /// A Lua closure?
    #[inline(always)]
    pub fn is_lua(&self) -> bool {
        self.h.x == FF_LUA
    }
    /// The number by which listings and `tostring` know a library function; 0 for Lua closures, 1 without number.
    pub fn ffid(&self) -> u32 {
        if self.is_lua() { 0 } else { self.h.n.max(1) }
    }
    /// Upvalues in front that scripts do not see.
    #[inline]
    pub fn hidden_upvalues(&self) -> usize {
        usize::from(self.h.flags & C_FUNCTION != 0)
    }
    /// The prototype of a Lua closure.
    #[inline(always)]
    pub fn proto(&self) -> Option<crate::value::Gc<Proto>> {
        if self.is_lua() {
            // SAFETY: the instructions of a prototype follow it directly, and `pc` of a Lua closure is the first.
            Some(crate::value::Gc::from_ptr(unsafe { (self.pc as *mut Proto).sub(1) }))
        } else {
            None
        }
    }
}

/// Debug extent of a local variable.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProtoVar {
    /// Name.
    pub name: *mut Str,
    /// First instruction where it lives.
    pub start: u32,
    /// First instruction where it is dead.
    pub end: u32,
}

impl ProtoVar {
    /// Its name.
    pub fn name_bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: names live as long as the prototype.
        unsafe { (*self.name).bytes() }
    }
}

/// A function prototype; the instructions follow, then all other arrays, in one cell.
#[repr(C)]
pub struct Proto {
    /// kind, flags, -, -, size of the cell.
    pub h: Header,
    /// Constants: numbers at 0.., collected ones at -1, -2, ...
    pub k: *mut Value,
    /// Number of parameters.
    pub numparams: u8,
    /// Frame size.
    pub framesize: u8,
    /// Flags of [`crate::bytecode::flags`].
    pub pflags: u8,
    /// Number of upvalues.
    pub sizeuv: u8,
    /// Number of instructions.
    pub sizebc: u32,
    /// Number of collected constants.
    pub sizekgc: u32,
    /// Number of number constants.
    pub sizekn: u32,
    /// Upvalue descriptors.
    pub uv: *mut u16,
    /// Chunk name.
    pub chunkname: *mut Str,
    /// Line of the definition.
    pub firstline: u32,
    /// Lines of the definition.
    pub numline: u32,
    /// Line per instruction, or null.
    pub lines: *mut u32,
    /// Names of upvalues, or null.
    pub uvnames: *mut *mut Str,
    /// Local variables.
    pub vars: *mut ProtoVar,
    /// Number of them.
    pub sizevars: u32,
    /// First trace that starts in this prototype; 0 for none.
    pub trace: u32,
    /// A counter for each instruction ([`crate::jit::hot`]).
    pub hot: *mut u16,
}

impl Proto {
    /// The instructions.
    #[inline(always)]
    pub fn bc(&self) -> *const Ins {
        // SAFETY: the instructions follow the fixed part.
        unsafe { (self as *const Proto).add(1).cast() }
    }
    /// The instructions as a slice.
    pub fn code<'a>(&self) -> &'a [Ins] {
        // SAFETY: `sizebc` instructions follow the fixed part and live as long as the prototype.
        unsafe { std::slice::from_raw_parts(self.bc(), self.sizebc as usize) }
    }
    /// Number constants.
    pub fn knum<'a>(&self) -> &'a [Value] {
        // SAFETY: `sizekn` numbers start at `k`.
        unsafe { std::slice::from_raw_parts(self.k, self.sizekn as usize) }
    }
    /// Collected constant `i`.
    pub fn kgc(&self, i: usize) -> Option<Value> {
        if i < self.sizekgc as usize {
            // SAFETY: `sizekgc` values lie below `k`.
            Some(unsafe { *self.k.sub(i + 1) })
        } else {
            None
        }
    }
    /// Upvalue descriptors.
    pub fn uvs<'a>(&self) -> &'a [u16] {
        // SAFETY: `sizeuv` descriptors start at `uv`.
        unsafe { std::slice::from_raw_parts(self.uv, self.sizeuv as usize) }
    }
    /// Name of upvalue `i`.
    pub fn uvname<'a>(&self, i: usize) -> Option<&'a [u8]> {
        if self.uvnames.is_null() || i >= self.sizeuv as usize {
            return None;
        }
        // SAFETY: `sizeuv` names start at `uvnames`; strings live as long as the prototype.
        Some(unsafe { (**self.uvnames.add(i)).bytes() })
    }
    /// Local variables.
    pub fn locals<'a>(&self) -> &'a [ProtoVar] {
        // SAFETY: `sizevars` rows start at `vars` (dangling but aligned if there are none).
        unsafe { std::slice::from_raw_parts(self.vars, self.sizevars as usize) }
    }
    /// The name of the chunk as given to the loader.
    pub fn chunk_name<'a>(&self) -> &'a [u8] {
        // SAFETY: the name lives as long as the prototype.
        unsafe { (*self.chunkname).bytes() }
    }
    /// The line of every instruction; empty if stripped.
    pub fn all_lines<'a>(&self) -> &'a [u32] {
        if self.lines.is_null() {
            return &[];
        }
        // SAFETY: `sizebc` lines start at `lines`.
        unsafe { std::slice::from_raw_parts(self.lines, self.sizebc as usize) }
    }
    /// Line of instruction `pc`; 0 if stripped.
    pub fn line(&self, pc: usize) -> u32 {
        if self.lines.is_null() || pc >= self.sizebc as usize {
            0
        } else {
            // SAFETY: `sizebc` lines start at `lines`.
            unsafe { *self.lines.add(pc) }
        }
    }
}

/// A full userdata. Its payload is a Rust object, or `h.n` raw bytes behind the fixed part, or nothing.
#[repr(C)]
pub struct UserData {
    /// kind, flags, type (`UD_*`), -, raw payload size.
    pub h: Header,
    /// The environment.
    pub env: *mut Table,
    /// Alignment of the metatable field with the one of tables.
    pub pad: [u64; 2],
    /// The metatable or null.
    pub meta: *mut Table,
    /// Rust payload.
    pub payload: Option<Box<dyn Any>>,
    /// Raw bytes behind are aligned for anything.
    pub align: u64,
}

/// Sets the environment of a userdata that nothing refers to yet.
pub fn set_userdata_env(u: crate::value::Gc<UserData>, env: *mut Table) {
    // SAFETY: a live userdata.
    unsafe { (*u.as_ptr()).env = env }
}

/// Userdata type: plain.
pub const UD_PLAIN: u8 = 0;
/// Userdata type: file of the io library.
pub const UD_FILE: u8 = 1;
/// Userdata type: C library namespace of ffi.
pub const UD_CLIB: u8 = 2;
/// Userdata type: string buffer.
pub const UD_BUFFER: u8 = 3;

/// A C data object; the payload follows at 16-byte alignment.
#[repr(C)]
pub struct CData {
    /// kind, flags, -, -, payload size.
    pub h: Header,
    /// C type id, assigned by the ffi library.
    pub ctype: u32,
    /// Free for the ffi library (qualifiers, bit-field data).
    pub aux: u32,
}

impl CData {
    /// Start of the payload.
    pub fn data(&self) -> *mut u8 {
        // SAFETY: the payload follows the fixed part.
        unsafe { (self as *const CData).add(1) as *mut u8 }
    }
}

/// A light userdata whose pointer needs more than 47 bits; interned by address.
#[repr(C)]
pub struct LightBox {
    /// kind, flags.
    pub h: Header,
    /// The pointer.
    pub addr: u64,
}

/// Status of a coroutine, in [`Header::x`] of a [`Thread`].
pub mod status {
    /// Running, normal, or not yet started / finished (told apart by its frames).
    pub const OK: u8 = 0;
    /// Suspended in a yield.
    pub const YIELD: u8 = 1;
    /// Died by an error.
    pub const ERROR: u8 = 2;
}

/// A coroutine: what the C API calls `lua_State`.
#[repr(C)]
pub struct Thread {
    /// kind, flags, [`status`], -, stack size in slots.
    pub h: Header,
    /// The shared state.
    pub g: *mut Global,
    /// Base of the running function.
    pub base: *mut Value,
    /// First free slot.
    pub top: *mut Value,
    /// Last slot that a frame may use.
    pub maxstack: *mut Value,
    /// The stack.
    pub stack: *mut Value,
    /// Open upvalues, highest slot first.
    pub openuv: *mut Upval,
    /// Table of globals.
    pub env: *mut Table,
    /// Innermost native frame on the Rust stack.
    pub cframe: *mut crate::state::CFrame,
    /// Number of results of the last open call.
    pub multres: u32,
    /// Nesting of native calls.
    pub nccalls: u32,
    /// Interpreter registers saved between operations when it is not threaded, and around slow paths.
    pub saved_pc: *const Ins,
    /// The thread that resumed this one.
    pub resumer: *mut Thread,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Header>() == 8);
    assert!(size_of::<Str>() == 24 && offset_of!(Str, hash) == 8 && offset_of!(Str, sid) == 12);
    assert!(size_of::<Node>() == 24 && offset_of!(Node, key) == 8 && offset_of!(Node, next) == 16);
    assert!(size_of::<Table>() == 48 && offset_of!(Table, array) == 8 && offset_of!(Table, node) == 16);
    assert!(offset_of!(Table, hmask) == 24 && offset_of!(Table, meta) == 32);
    assert!(offset_of!(UserData, meta) == offset_of!(Table, meta));
    assert!(size_of::<UserData>().is_multiple_of(16));
    assert!(size_of::<Upval>() == 24 && offset_of!(Upval, v) == 8);
    assert!(size_of::<Func>() == 24 && offset_of!(Func, pc) == 8 && offset_of!(Func, env) == 16);
    assert!(size_of::<LuaFunc>() == 24 && size_of::<NativeFunc>() == 32);
    assert!(size_of::<CData>() == 16 && size_of::<Proto>().is_multiple_of(8));
};
