//! What library functions see: arguments, results, errors, values, calls.
//!
//! # A library function
//! A native function gets a [`Cx`] and returns how many values it pushed:
//!
//! ```
//! use lua_frontend::api::{Cx, NativeResult};
//! use lua_frontend::state::Lua;
//!
//! /// string.rep(s, n)
//! fn rep(cx: Cx) -> NativeResult {
//!     let s = cx.check_str(1)?;          // bad argument #1 to 'rep' (string expected, got nil)
//!     let n = cx.check_int(2)?.max(0) as usize;
//!     let out = s.bytes().repeat(n);
//!     cx.ret1(cx.str(&out))
//! }
//!
//! let lua = Lua::new();
//! let cx = lua.cx();
//! let lib = cx.table(0, 4);
//! cx.register(lib, &[("rep", rep)]);
//! cx.set_field(cx.globals(), "string", lib);
//! ```
//!
//! Arguments are numbered from 1. Results are pushed; `ret1`, `ret2`, `ret_all` push and return. A function may also
//! end in a tail call ([`Cx::tail_call`]): the callee takes its place, so that it may yield.
//!
//! # Errors
//! `Err(Throw)` unwinds to the next `pcall`; the error value waits in the state. [`Cx::error`] makes one with
//! position (`file:line: msg`), [`Cx::throw`] takes any value, [`Cx::arg_error`] and the `check_*` functions speak as
//! LuaJIT does. A native function never panics on what a script gives it. Memory: strings and tables are made by
//! functions that cannot fail; if the system had no memory, the error is raised when the native function returns. A
//! function that builds a huge `Vec` first must bound it ([`Cx::check_len`]).
//!
//! # Rooting
//! Objects never move, and the collector runs only at *safe points*: in the interpreter between operations, when a
//! native function returns, and inside whatever calls back into Lua ([`Cx::call`], the metamethod-aware `get`, `set`,
//! `less`, `tostring`, ..., and [`Cx::gc_point`]). So plain Rust locals are fine as long as the function does not
//! call back. Across a call back, values must be reachable: arguments of the running function are (also
//! after [`Cx::set_arg`]), pushed values are, upvalues are; anything else: [`Cx::push`] it.
//! Values kept outside of the Lua world for longer go to [`Cx::anchor`] or the registry.
//! [`Gc`] pointers are `Copy` and this rule is not enforced by the compiler: breaking it is undefined behaviour.
//! `RJIT_GC_STRESS=1` makes the collector run at every safe point, which finds such mistakes.
//!
//! # Names and functions with a role
//! Functions that the interpreter runs itself, because they switch stacks or frames (`pcall`, `xpcall`,
//! `coroutine.*`) or because an operation is specialised to them (`next`), are [`Builtin`]s: a library registers them with
//! [`Cx::builtin`].

use std::any::Any;

use crate::bytecode::ProtoParts;
use crate::error::{self, Throw};
use crate::gc;
use crate::object::{CData, Func, NativeFunc, Proto, Str, Table, Thread, UserData};
use crate::state::{Event, Global, Lua};
use crate::table;
use crate::value::{Gc, Value};
use crate::vm;

/// How a native function ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// The last n pushed values are the results.
    Values(u32),
    /// Call a pushed function with the n values pushed after it; its results are mine.
    TailCall(u32),
    /// Suspend the coroutine with the last n pushed values; what resumes it are my results.
    Yield(u32),
}

/// Result of a native function.
pub type NativeResult = Result<Ret, Throw>;
/// A native function.
pub type NativeFn = fn(Cx) -> NativeResult;

/// Functions that the interpreter runs itself.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    /// `pcall(f, ...)`
    Pcall = 2,
    /// `xpcall(f, handler, ...)`
    Xpcall = 3,
    /// `next(t, k)`
    Next = 4,
    /// `coroutine.yield(...)`
    Yield = 5,
    /// `coroutine.resume(co, ...)`
    Resume = 6,
    /// The function that `coroutine.wrap` gives; upvalue 1 is the coroutine.
    WrapCall = 7,
    /// `ipairs` iterator.
    IpairsAux = 8,
}

/// The context of a native function: the running coroutine.
#[derive(Clone, Copy)]
pub struct Cx {
    pub(crate) l: *mut Thread,
}

impl Lua {
    /// The context of the main coroutine.
    pub fn cx(&self) -> Cx {
        // SAFETY: the state is alive as long as `self`.
        Cx { l: unsafe { (*self.g).cur } }
    }
}

/// Arguments and results.
impl Cx {
    /// The running coroutine.
    #[inline(always)]
    pub fn thread(self) -> Gc<Thread> {
        Gc::from_ptr(self.l)
    }
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "one access at a time, by the module's contract")]
    pub(crate) fn t(&self) -> &mut Thread {
        // SAFETY: the running coroutine is alive; the reference is used for one access at a time.
        unsafe { &mut *self.l }
    }
    /// The shared state.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "one access at a time, by the module's contract")]
    pub(crate) fn g(&self) -> &mut Global {
        // SAFETY: as `t`.
        unsafe { &mut *(*self.l).g }
    }
    /// Number of arguments (grows with pushed values).
    #[inline(always)]
    pub fn nargs(self) -> usize {
        // SAFETY: `base <= top`, in one stack.
        unsafe { self.t().top.offset_from(self.t().base) as usize }
    }
    /// Argument `i`, nil if absent.
    #[inline(always)]
    pub fn arg(self, i: usize) -> Value {
        debug_assert!(i >= 1);
        if i <= self.nargs() {
            // SAFETY: below top.
            unsafe { *self.t().base.add(i - 1) }
        } else {
            Value::NIL
        }
    }
    /// Argument `i` if present.
    #[inline(always)]
    pub fn arg_opt(self, i: usize) -> Option<Value> {
        if i <= self.nargs() { Some(self.arg(i)) } else { None }
    }
    /// All arguments. The slice is invalid after the next push or call.
    pub fn args<'a>(self) -> &'a [Value] {
        // SAFETY: base..top are initialised slots.
        unsafe { std::slice::from_raw_parts(self.t().base, self.nargs()) }
    }
    /// Overwrites argument `i`; missing ones before it become nil.
    pub fn set_arg(self, i: usize, v: Value) {
        while self.nargs() < i {
            self.push(Value::NIL);
        }
        // SAFETY: below top.
        unsafe { *self.t().base.add(i - 1) = v }
    }
    /// Cuts the values to the first `n`, or fills up with nil.
    pub fn set_top(self, n: usize) {
        while self.nargs() < n {
            self.push(Value::NIL);
        }
        // SAFETY: n slots are in use.
        unsafe { self.t().top = self.t().base.add(n) }
    }
    /// Pushes a value. There always is room for 20; ask [`Cx::check_stack`] for more.
    #[inline(always)]
    pub fn push(self, v: impl Into<Value>) {
        let t = self.t();
        if t.top >= t.maxstack {
            vm::grow_for_push(self.l);
        }
        // SAFETY: there is room up to `maxstack` and a reserve above.
        unsafe {
            *self.t().top = v.into();
            self.t().top = self.t().top.add(1);
        }
    }
    /// Makes sure that `n` more values can be pushed.
    ///
    /// # Errors
    /// `stack overflow`, with LuaJIT's text (`what` in parentheses unless empty).
    pub fn check_stack(self, n: usize, what: &str) -> Result<(), Throw> {
        vm::check_stack(self, n, what)
    }
    /// No results.
    #[inline(always)]
    pub fn ret0(self) -> NativeResult {
        Ok(Ret::Values(0))
    }
    /// One result.
    #[inline(always)]
    pub fn ret1(self, v: impl Into<Value>) -> NativeResult {
        self.push(v);
        Ok(Ret::Values(1))
    }
    /// Two results.
    pub fn ret2(self, a: impl Into<Value>, b: impl Into<Value>) -> NativeResult {
        self.push(a);
        self.push(b);
        Ok(Ret::Values(2))
    }
    /// Three results.
    pub fn ret3(self, a: impl Into<Value>, b: impl Into<Value>, c: impl Into<Value>) -> NativeResult {
        self.push(a);
        self.push(b);
        self.push(c);
        Ok(Ret::Values(3))
    }
    /// The last `n` pushed values are the results.
    pub fn ret(self, n: usize) -> NativeResult {
        Ok(Ret::Values(n as u32))
    }
    /// Ends this function by calling `f`, which takes its place.
    ///
    /// # Errors
    /// When the stack is full.
    pub fn tail_call(self, f: impl Into<Value>, args: &[Value]) -> NativeResult {
        self.check_stack(args.len() + 1, "")?;
        self.push(f);
        for &a in args {
            self.push(a);
        }
        Ok(Ret::TailCall(args.len() as u32))
    }
    /// Upvalue `i` (from 1) of the running native function.
    #[inline]
    pub fn upvalue(self, i: usize) -> Value {
        self.native_upvalue(i).map_or(Value::NIL, |p| {
            // SAFETY: a slot of the running function.
            unsafe { *p }
        })
    }
    /// Sets upvalue `i` (from 1) of the running native function.
    pub fn set_upvalue(self, i: usize, v: impl Into<Value>) {
        if let Some(p) = self.native_upvalue(i) {
            // SAFETY: a slot of the running function.
            unsafe { *p = v.into() }
            gc::barrier_object(self.g(), self.running().as_ptr().cast());
        }
    }
    fn native_upvalue(self, i: usize) -> Option<*mut Value> {
        let f = self.running();
        if f.is_lua() || i == 0 || i > f.h.y as usize {
            return None;
        }
        // SAFETY: a native function has `h.y` values behind its fixed part.
        Some(unsafe { (&raw mut (*f.as_ptr().cast::<NativeFunc>()).uv).cast::<Value>().add(i - 1) })
    }
    /// The running native function.
    pub fn running(self) -> Gc<Func> {
        // SAFETY: the slot below the link of every frame holds its function.
        unsafe { Gc::from_ptr((*self.t().base.sub(2)).ptr()) }
    }
    /// Environment of the running function (the globals of a module function).
    pub fn func_env(self) -> Gc<Table> {
        Gc::from_ptr(self.running().env)
    }
}

/// Checked arguments; the messages are LuaJIT's.
impl Cx {
    /// Any argument, but there must be one.
    ///
    /// # Errors
    /// `value expected`
    pub fn check_any(self, i: usize) -> Result<Value, Throw> {
        self.arg_opt(i).ok_or_else(|| self.arg_error(i, "value expected"))
    }
    /// A number, or a string that reads as one.
    ///
    /// # Errors
    /// `number expected, got ...`
    #[inline]
    pub fn check_number(self, i: usize) -> Result<f64, Throw> {
        let v = self.arg(i);
        if v.is_number() {
            return Ok(v.raw_f64());
        }
        self.check_number_slow(i)
    }
    #[cold]
    fn check_number_slow(self, i: usize) -> Result<f64, Throw> {
        if let Some(s) = self.arg(i).as_str()
            && let Some(n) = crate::number::parse(s.bytes())
        {
            return Ok(n);
        }
        Err(self.type_error(i, "number"))
    }
    /// A number or `default` for nil and none.
    ///
    /// # Errors
    /// As [`Cx::check_number`].
    pub fn opt_number(self, i: usize, default: f64) -> Result<f64, Throw> {
        if self.arg(i).is_nil() { Ok(default) } else { self.check_number(i) }
    }
    /// A number truncated to 32 bits as LuaJIT's library does (out of range: `i32::MIN`).
    ///
    /// # Errors
    /// As [`Cx::check_number`].
    #[inline]
    pub fn check_int(self, i: usize) -> Result<i32, Throw> {
        let n = self.check_number(i)?;
        Ok(if n > -2_147_483_649.0 && n < 2_147_483_648.0 { n as i32 } else { i32::MIN })
    }
    /// As [`Cx::check_int`] with a default for nil and none.
    ///
    /// # Errors
    /// As [`Cx::check_number`].
    pub fn opt_int(self, i: usize, default: i32) -> Result<i32, Throw> {
        if self.arg(i).is_nil() { Ok(default) } else { self.check_int(i) }
    }
    /// A string; numbers are converted, and the argument is replaced.
    ///
    /// # Errors
    /// `string expected, got ...`
    #[inline]
    pub fn check_str(self, i: usize) -> Result<Gc<Str>, Throw> {
        let v = self.arg(i);
        if let Some(s) = v.as_str() {
            return Ok(s);
        }
        if let Some(n) = v.as_number() {
            let s = self.number_to_str(n);
            self.set_arg(i, s.into());
            return Ok(s);
        }
        Err(self.type_error(i, "string"))
    }
    /// A string, or `None` for nil and none.
    ///
    /// # Errors
    /// As [`Cx::check_str`].
    pub fn opt_str(self, i: usize) -> Result<Option<Gc<Str>>, Throw> {
        if self.arg(i).is_nil() { Ok(None) } else { self.check_str(i).map(Some) }
    }
    /// A table.
    ///
    /// # Errors
    /// `table expected, got ...`
    #[inline]
    pub fn check_table(self, i: usize) -> Result<Gc<Table>, Throw> {
        self.arg(i).as_table().ok_or_else(|| self.type_error(i, "table"))
    }
    /// A function.
    ///
    /// # Errors
    /// `function expected, got ...`
    pub fn check_func(self, i: usize) -> Result<Gc<Func>, Throw> {
        self.arg(i).as_func().ok_or_else(|| self.type_error(i, "function"))
    }
    /// A coroutine.
    ///
    /// # Errors
    /// `coroutine expected`
    pub fn check_thread(self, i: usize) -> Result<Gc<Thread>, Throw> {
        self.arg(i).as_thread().ok_or_else(|| self.arg_error(i, "coroutine expected"))
    }
    /// Index of a string argument in a list of options.
    ///
    /// # Errors
    /// `invalid option 'x'`, or as [`Cx::check_str`].
    pub fn check_option(self, i: usize, default: Option<&str>, options: &[&str]) -> Result<usize, Throw> {
        let s: &[u8] = match (default, self.arg(i).is_nil()) {
            (Some(d), true) => d.as_bytes(),
            _ => self.check_str(i)?.bytes(),
        };
        options
            .iter()
            .position(|o| o.as_bytes() == s)
            .ok_or_else(|| self.arg_error(i, &format!("invalid option '{}'", String::from_utf8_lossy(s))))
    }
    /// Appends to a buffer; for those that a script can make grow without limit.
    ///
    /// # Errors
    /// `not enough memory`
    #[inline]
    pub fn append(self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Throw> {
        self.make_room(out, bytes.len())?;
        out.extend_from_slice(bytes);
        Ok(())
    }
    /// Makes sure that a buffer can take `n` more bytes.
    ///
    /// # Errors
    /// `not enough memory`
    #[inline]
    pub fn make_room(self, out: &mut Vec<u8>, n: usize) -> Result<(), Throw> {
        if out.capacity() - out.len() < n && out.try_reserve(n).is_err() {
            return Err(error::memory(self));
        }
        Ok(())
    }
    /// Refuses string lengths beyond the limit.
    ///
    /// # Errors
    /// `resulting string too large` / `not enough memory` as LuaJIT.
    pub fn check_len(self, n: usize) -> Result<usize, Throw> {
        if n > crate::strings::MAX_STR { Err(error::memory(self)) } else { Ok(n) }
    }
}

/// Errors.
impl Cx {
    /// An error with a message, `file:line:` of the calling Lua function in front.
    pub fn error(self, msg: impl AsRef<[u8]>) -> Throw {
        error::from_native(self, msg.as_ref())
    }
    /// An error with a message as it is.
    pub fn error_plain(self, msg: impl AsRef<[u8]>) -> Throw {
        let s = self.str(msg.as_ref());
        self.throw(s)
    }
    /// An error with any value.
    pub fn throw(self, v: impl Into<Value>) -> Throw {
        self.g().thrown = v.into();
        Throw::Run
    }
    /// `bad argument #i to 'name' (msg)`; knows methods (`calling 'x' on bad self`).
    #[cold]
    pub fn arg_error(self, i: usize, msg: &str) -> Throw {
        error::bad_argument(self, i, msg)
    }
    /// `bad argument #i to 'name' (WANTED expected, got ...)`.
    #[cold]
    pub fn type_error(self, i: usize, wanted: &str) -> Throw {
        error::bad_type(self, i, wanted)
    }
    /// `file:line: ` of the function at a level (1 = the caller of the running native function), or empty.
    pub fn position(self, level: usize) -> Vec<u8> {
        error::position(self, level)
    }
    /// Takes the value of an error that a call returned.
    pub fn take_error(self, _: Throw) -> Value {
        std::mem::replace(&mut self.g().thrown, Value::NIL)
    }
}

/// Making and reading values.
impl Cx {
    /// A string.
    #[inline]
    pub fn str(self, s: &[u8]) -> Gc<Str> {
        self.g().intern(s)
    }
    /// A string value.
    #[inline]
    pub fn str_value(self, s: impl AsRef<[u8]>) -> Value {
        self.str(s.as_ref()).into()
    }
    /// A string that is never collected, with an index that the lexer finds in [`Str::reserved`].
    pub fn reserve(self, s: &[u8], index: u8) -> Gc<Str> {
        let p = self.str(s);
        // SAFETY: a live string; only this writes the header of strings.
        unsafe { (*p.as_ptr()).h.x = index }
        self.anchor(p);
        p
    }
    /// A number as `tostring` gives it.
    pub fn number_to_str(self, n: f64) -> Gc<Str> {
        let mut buf = std::mem::take(&mut self.g().buf);
        buf.clear();
        crate::number::format(n, &mut buf);
        let s = self.str(&buf);
        self.g().buf = buf;
        s
    }
    /// A table with room for array slots 1 .. `narray` and about `nhash` other keys.
    pub fn table(self, narray: u32, nhash: u32) -> Gc<Table> {
        let a = if narray > 0 { narray + 1 } else { 0 };
        table::new(&mut self.g().heap, a, table::hash_bits(nhash))
    }
    /// A native function with upvalues; its environment is the one of the running function or the globals.
    pub fn func(self, f: NativeFn, upvalues: &[Value]) -> Gc<Func> {
        vm::func::new_native(self, f, crate::object::FF_NATIVE, upvalues)
    }
    /// A function that the interpreter runs itself.
    pub fn builtin(self, b: Builtin, upvalues: &[Value]) -> Gc<Func> {
        let f = match b {
            Builtin::Next => vm::func::next,
            Builtin::IpairsAux => vm::func::ipairs_aux,
            _ => vm::func::unreachable_builtin,
        };
        vm::func::new_native(self, f, b as u8, upvalues)
    }
    /// A closure of a prototype without upvalues from outside (a main chunk); env = None: the globals.
    pub fn closure(self, p: Gc<Proto>, env: Option<Gc<Table>>) -> Gc<Func> {
        vm::func::new_main(self, p, env)
    }
    /// A prototype.
    ///
    /// # Errors
    /// `not enough memory`.
    pub fn new_proto(self, parts: &ProtoParts) -> Result<Gc<Proto>, Throw> {
        vm::func::new_proto(self, parts)
    }
    /// A light userdata.
    pub fn lightuserdata(self, p: u64) -> Value {
        vm::func::light(self, p)
    }
    /// A userdata with a Rust payload, dropped when it is collected. `ud` is one of `object::UD_*`.
    pub fn userdata(self, ud: u8, payload: Box<dyn Any>, meta: Option<Gc<Table>>) -> Gc<UserData> {
        vm::func::new_userdata(self, ud, Some(payload), 0, meta)
    }
    /// A userdata with raw bytes.
    pub fn userdata_raw(self, size: usize, meta: Option<Gc<Table>>) -> Gc<UserData> {
        vm::func::new_userdata(self, crate::object::UD_PLAIN, None, size, meta)
    }
    /// The payload of a userdata, if it is a `T`. Only one such reference may be used at a time.
    #[allow(clippy::mut_from_ref, reason = "by contract")]
    pub fn payload<'a, T: 'static>(self, u: Gc<UserData>) -> Option<&'a mut T> {
        // SAFETY: the object is alive; by contract there is one reference at a time.
        unsafe { (*u.as_ptr()).payload.as_mut()?.downcast_mut::<T>() }
    }
    /// A C data object with `size` zeroed bytes.
    pub fn cdata(self, ctype: u32, size: usize) -> Gc<CData> {
        vm::func::new_cdata(self, ctype, size)
    }
    /// As [`Cx::cdata`], for sizes that scripts choose.
    ///
    /// # Errors
    /// `not enough memory`
    pub fn try_cdata(self, ctype: u32, size: usize) -> Result<Gc<CData>, Throw> {
        vm::func::try_cdata(self, ctype, size).ok_or_else(|| error::memory(self))
    }
    /// Marks a userdata or cdata as one whose finalizer must run.
    pub fn set_finalizer(self, v: Value) {
        gc::add_finalizer(self.g(), v);
    }

    /// The table of globals.
    pub fn globals(self) -> Gc<Table> {
        Gc::from_ptr(self.t().env)
    }
    /// Sets the table of globals (`setfenv(0, t)`).
    pub fn set_globals(self, t: Gc<Table>) {
        self.t().env = t.as_ptr();
        gc::barrier_object(self.g(), self.l.cast());
    }
    /// The registry.
    pub fn registry(self) -> Gc<Table> {
        Gc::from_ptr(self.g().registry)
    }
    /// Keeps a value alive for ever.
    pub fn anchor(self, v: impl Into<Value>) {
        self.g().anchors.push(v.into());
    }

    /// Raw read.
    pub fn raw_get(self, t: Gc<Table>, k: Value) -> Value {
        t.get(k)
    }
    /// Raw read of a string key.
    pub fn field(self, t: Gc<Table>, k: &str) -> Value {
        t.get_str(self.str(k.as_bytes()))
    }
    /// Raw write.
    ///
    /// # Errors
    /// `table index is nil` / `table index is NaN` / `table overflow`.
    #[inline]
    pub fn raw_set(self, t: Gc<Table>, k: Value, v: impl Into<Value>) -> Result<(), Throw> {
        let v = v.into();
        match table::set_slot(&mut self.g().heap, t, k) {
            Ok(slot) => {
                // SAFETY: a slot of a live table.
                unsafe { *slot = v }
                // A string key may be a metamethod's name: forget the negative cache.
                // SAFETY: a live table.
                unsafe { (*t.as_ptr()).h.x = 0 }
                gc::barrier_store(self.g(), t, k, v);
                Ok(())
            }
            Err(e) => Err(error::table(self, e)),
        }
    }
    /// Raw write of an integer key.
    ///
    /// # Errors
    /// As [`Cx::raw_set`].
    #[inline]
    pub fn raw_set_int(self, t: Gc<Table>, k: i32, v: impl Into<Value>) -> Result<(), Throw> {
        if (k as u32) < t.h.n {
            let v = v.into();
            // SAFETY: inside the array part.
            unsafe { *t.array.add(k as usize) = v }
            gc::barrier_store(self.g(), t, Value::NIL, v);
            return Ok(());
        }
        self.raw_set(t, Value::int(k as i64), v)
    }
    /// Raw write of a string key.
    pub fn set_field(self, t: Gc<Table>, k: &str, v: impl Into<Value>) {
        // Only memory could fail, and that is reported at the next safe point.
        if self.raw_set(t, self.str_value(k), v).is_err() {
            self.g().heap.oom = true;
        }
    }
    /// Registers functions in a table.
    pub fn register(self, t: Gc<Table>, list: &[(&str, NativeFn)]) {
        for &(name, f) in list {
            self.set_field(t, name, self.func(f, &[]));
        }
    }
    /// The metatable of any value.
    pub fn metatable(self, v: Value) -> Option<Gc<Table>> {
        let p = vm::meta::metatable(self.g(), v);
        if p.is_null() { None } else { Some(Gc::from_ptr(p)) }
    }
    /// Sets the metatable of a value (of a basic type: of all its values).
    pub fn set_metatable(self, v: Value, m: Option<Gc<Table>>) {
        vm::meta::set_metatable(self, v, m);
    }
    /// A metamethod of any value; nil if there is none.
    pub fn metamethod(self, v: Value, e: Event) -> Value {
        vm::meta::lookup(self.g(), v, e)
    }
    /// The field `name` of the metatable of a value.
    pub fn metafield(self, v: Value, name: &str) -> Value {
        self.metatable(v).map_or(Value::NIL, |m| self.field(m, name))
    }
}

/// Operations that may call metamethods (and so are safe points), and calls.
impl Cx {
    /// `o[k]`
    ///
    /// # Errors
    /// What the metamethod throws, or `attempt to index ...`.
    pub fn get(self, o: Value, k: Value) -> Result<Value, Throw> {
        vm::meta::get(self, o, k)
    }
    /// `o[k] = v`
    ///
    /// # Errors
    /// As [`Cx::get`].
    pub fn set(self, o: Value, k: Value, v: Value) -> Result<(), Throw> {
        vm::meta::set(self, o, k, v)
    }
    /// `a == b`
    ///
    /// # Errors
    /// What the metamethod throws.
    pub fn equals(self, a: Value, b: Value) -> Result<bool, Throw> {
        vm::meta::equals(self, a, b)
    }
    /// `a < b`
    ///
    /// # Errors
    /// `attempt to compare ...`, or what the metamethod throws.
    pub fn less(self, a: Value, b: Value) -> Result<bool, Throw> {
        vm::meta::less(self, a, b)
    }
    /// `a <= b`
    ///
    /// # Errors
    /// As [`Cx::less`].
    pub fn less_equal(self, a: Value, b: Value) -> Result<bool, Throw> {
        vm::meta::less_equal(self, a, b)
    }
    /// What `tostring` gives, through `__tostring`.
    ///
    /// # Errors
    /// What the metamethod throws; `'tostring' must return a string to 'print'` is the caller's.
    pub fn tostring(self, v: Value) -> Result<Value, Throw> {
        vm::meta::tostring(self, v)
    }
    /// What `tostring` gives without metamethods.
    pub fn tostring_raw(self, v: Value) -> Gc<Str> {
        vm::meta::tostring_raw(self, v)
    }
    /// Calls a value and gives the first result (nil if none). Not a yield point.
    ///
    /// # Errors
    /// What the callee throws.
    #[inline]
    pub fn call(self, f: Value, args: &[Value]) -> Result<Value, Throw> {
        vm::call::call1(self, f, args)
    }
    /// Calls the function pushed below the last `nargs` pushed values; its results replace both (all of them
    /// with `nresults` = -1, else exactly that many). Gives the number of results.
    ///
    /// # Errors
    /// What the callee throws; function and arguments are gone then.
    pub fn call_pushed(self, nargs: usize, nresults: i32) -> Result<usize, Throw> {
        vm::call::call_pushed(self, nargs, nresults)
    }
    /// As [`Cx::call_pushed`], but an error comes back as a value. With a handler, the value is what it returns
    /// (it runs at the point of the error).
    pub fn pcall_pushed(self, nargs: usize, nresults: i32, handler: Option<Value>) -> Result<usize, Value> {
        vm::call::pcall_pushed(self, nargs, nresults, handler)
    }
    /// Compiles source text or loads a dump. `mode` as in `load` (`b`, `t`, `bt`); the function is not called.
    ///
    /// # Errors
    /// With the syntax error.
    pub fn load(
        self,
        chunk: &[u8],
        name: &[u8],
        mode: &str,
        env: Option<Gc<Table>>,
    ) -> Result<Gc<Func>, Throw> {
        // The compiler's own buffers are a few times the source.
        const LARGE: usize = 1 << 20;
        if chunk.len() > LARGE {
            self.make_room(&mut Vec::new(), chunk.len().saturating_mul(4))?;
        }
        let p = crate::compile::load(self, chunk, name, mode)?;
        Ok(self.closure(p, env))
    }
    /// Gives the collector a chance to run.
    pub fn gc_point(self) {
        gc::check(self.g());
    }
}

impl std::fmt::Debug for Cx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cx({:p})", self.l)
    }
}

/// Additions for the libraries.
impl Cx {
    /// As [`Cx::func`], with the number that `tostring` shows (`function: builtin#29`).
    pub fn func_id(self, f: NativeFn, id: u32, upvalues: &[Value]) -> Gc<Func> {
        let p = self.func(f, upvalues);
        // SAFETY: a fresh function.
        unsafe { (*p.as_ptr()).h.n = id }
        p
    }
    /// As [`Cx::builtin`], with the number that `tostring` shows.
    pub fn builtin_id(self, b: Builtin, id: u32, upvalues: &[Value]) -> Gc<Func> {
        let p = self.builtin(b, upvalues);
        // SAFETY: a fresh function.
        unsafe { (*p.as_ptr()).h.n = id }
        p
    }
    /// Sets the environment of a function.
    pub fn set_func_env(self, f: Gc<Func>, env: Gc<Table>) {
        // SAFETY: a live function.
        unsafe { (*f.as_ptr()).env = env.as_ptr() }
        gc::barrier_object(self.g(), f.as_ptr().cast());
    }
    /// Sets the environment (globals) of a coroutine.
    pub fn set_thread_env(self, t: Gc<Thread>, env: Gc<Table>) {
        // SAFETY: a live coroutine.
        unsafe { (*t.as_ptr()).env = env.as_ptr() }
        gc::barrier_object(self.g(), t.as_ptr().cast());
    }
    /// Sets the environment of a userdata.
    pub fn set_userdata_env(self, u: Gc<UserData>, env: Gc<Table>) {
        // SAFETY: a live userdata.
        unsafe { (*u.as_ptr()).env = env.as_ptr() }
        gc::barrier_object(self.g(), u.as_ptr().cast());
    }
    /// Is this the main coroutine?
    pub fn is_main(self) -> bool {
        self.g().main == self.l
    }
    /// `a .. b`
    ///
    /// # Errors
    /// `attempt to concatenate ...`, or what the metamethod throws.
    pub fn concat(self, a: Value, b: Value) -> Result<Value, Throw> {
        vm::concat::concat(self, a, b)
    }
    /// `next(t, k)`: the entry behind a key (`None` at the end).
    ///
    /// # Errors
    /// `invalid key to 'next'`.
    pub fn next(self, t: Gc<Table>, k: Value) -> Result<Option<(Value, Value)>, Throw> {
        match t.position(k) {
            Some(p) => Ok(t.next_from(p).map(|(_, k, v)| (k, v))),
            None => Err(self.error_plain("invalid key to 'next'")),
        }
    }
    /// Hook of the ffi library for bit operators on cdata.
    pub fn set_cdata_bitop(self, f: fn(Cx, u8, Value, Value) -> Result<Value, Throw>) {
        self.g().cdata_bitop = Some(f);
    }
    /// The shared state, for [`crate::vm::interrupt`].
    pub fn shared(self) -> *mut Global {
        self.t().g
    }
}
