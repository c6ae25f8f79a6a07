//! Values: 64-bit words, NaN-boxed, and pointers to collected objects.
//!
//! A [`Value`] is either an IEEE double or a *tagged* word. All doubles that arithmetic produces lie at or below
//! `0xfff8_0000_0000_0000` when read as an unsigned number (the only NaN is the canonical one), so everything
//! above is free: the upper 17 bits hold the tag (`!0` = nil, `!1` = false, ...), the lower 47 a pointer.
//!
//! ```text
//! 63            47 46                                  0
//! | tag (17 bits) |  pointer, 0 for nil/false/true       |
//! ```
//!
//! NaNs from outside (FFI memory, unpacked bytes) must be made canonical by [`Value::number`] before they become
//! values. There is no integer tag: both the interpreter and library functions see doubles; integers exist inside
//! traces only. Light userdata whose pointer has any of the upper 17 bits set live in an interned box
//! ([`crate::object::LightBox`]), so all 64 bits survive and raw equality still is word equality.
//!
//! Collected objects are reached through [`Gc<T>`], a plain pointer that is `Copy`. It does not keep the object
//! alive: see *Rooting* in [`crate::api`].

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::object::{CData, Func, Proto, Str, Table, Thread, UserData};

/// Number of low bits that hold the pointer.
pub const TAG_SHIFT: u32 = 47;
/// Mask of the pointer bits.
pub const PTR_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// Tags as they stand in the upper 17 bits, complemented: `tag = !(v as i64 >> 47)`.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the types of Lua")]
pub enum Tag {
    Nil = 0,
    False = 1,
    True = 2,
    /// Light userdata with a 47-bit pointer.
    Light = 3,
    Str = 4,
    Upval = 5,
    Thread = 6,
    Proto = 7,
    Func = 8,
    /// A boxed light userdata (64-bit pointer); also memory blocks owned by objects, which no value refers to.
    Box = 9,
    CData = 10,
    Table = 11,
    UserData = 12,
    Number = 13,
}

impl Tag {
    /// The bits that this tag puts above the pointer.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        !(self as u64) << TAG_SHIFT
    }
}

/// The type names that scripts see, indexed by [`Tag`].
pub const TYPE_NAMES: [&str; 14] = [
    "nil", "boolean", "boolean", "userdata", "string", "upval", "thread", "proto", "function", "userdata",
    "cdata", "table", "userdata", "number",
];

/// A Lua value.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value(pub u64);

/// The largest word that is a double: minus infinity and the canonical NaN lie at or below.
const MAX_NUMBER: u64 = 0xfff8_0000_0000_0000;

impl Value {
    /// nil
    pub const NIL: Value = Value(!0);
    /// false
    pub const FALSE: Value = Value(Tag::False.bits() | PTR_MASK);
    /// true
    pub const TRUE: Value = Value(Tag::True.bits() | PTR_MASK);
    /// The canonical NaN.
    pub const NAN: Value = Value(MAX_NUMBER);

    /// A number; any NaN becomes the canonical one.
    #[inline(always)]
    pub fn number(n: f64) -> Value {
        if n.is_nan() { Value::NAN } else { Value(n.to_bits()) }
    }
    /// A number known not to be a foreign NaN (results of arithmetic on values).
    #[inline(always)]
    pub fn raw_number(n: f64) -> Value {
        Value(n.to_bits())
    }
    /// An integer as a number.
    #[inline(always)]
    pub fn int(n: i64) -> Value {
        Value((n as f64).to_bits())
    }
    /// A boolean.
    #[inline(always)]
    pub fn boolean(b: bool) -> Value {
        if b { Value::TRUE } else { Value::FALSE }
    }
    /// A light userdata whose pointer fits 47 bits; use `Cx::lightuserdata` for any pointer.
    #[inline(always)]
    pub fn light(p: u64) -> Value {
        debug_assert!(p <= PTR_MASK);
        Value(Tag::Light.bits() | p)
    }
    /// A tagged pointer.
    #[inline(always)]
    pub fn tagged<T>(tag: Tag, p: *const T) -> Value {
        Value(tag.bits() | p as u64)
    }

    /// The complemented tag bits; numbers give 13 and above.
    #[inline(always)]
    pub fn raw_tag(self) -> u32 {
        !((self.0 as i64 >> TAG_SHIFT) as u32)
    }
    /// The tag.
    #[inline]
    pub fn tag(self) -> Tag {
        const TAGS: [Tag; 14] = [
            Tag::Nil,
            Tag::False,
            Tag::True,
            Tag::Light,
            Tag::Str,
            Tag::Upval,
            Tag::Thread,
            Tag::Proto,
            Tag::Func,
            Tag::Box,
            Tag::CData,
            Tag::Table,
            Tag::UserData,
            Tag::Number,
        ];
        TAGS[self.raw_tag().min(13) as usize]
    }
    /// The name of the type as `type()` gives it.
    pub fn type_name(self) -> &'static str {
        TYPE_NAMES[self.tag() as usize]
    }
    /// The pointer bits.
    #[inline(always)]
    pub fn ptr<T>(self) -> *mut T {
        (self.0 & PTR_MASK) as *mut T
    }
    /// nil?
    #[inline(always)]
    pub fn is_nil(self) -> bool {
        self.0 == !0
    }
    /// nil or false?
    #[inline(always)]
    pub fn is_falsy(self) -> bool {
        self.0 > Value::TRUE.0
    }
    /// Anything but nil and false?
    #[inline(always)]
    pub fn is_truthy(self) -> bool {
        self.0 <= Value::TRUE.0
    }
    /// true or false?
    #[inline(always)]
    pub fn is_bool(self) -> bool {
        self == Value::TRUE || self == Value::FALSE
    }
    /// A number?
    #[inline(always)]
    pub fn is_number(self) -> bool {
        self.0 <= MAX_NUMBER
    }
    /// A number's double.
    #[inline(always)]
    pub fn as_number(self) -> Option<f64> {
        if self.is_number() { Some(f64::from_bits(self.0)) } else { None }
    }
    /// The bits as a double, whatever they are.
    #[inline(always)]
    pub fn raw_f64(self) -> f64 {
        f64::from_bits(self.0)
    }
    /// Is the value of this tag? (Not for numbers.)
    #[inline(always)]
    pub fn is(self, tag: Tag) -> bool {
        (self.0 as i64 >> TAG_SHIFT) as u64 == !(tag as u64)
    }
    /// A pointer to a collected object?
    #[inline(always)]
    pub fn is_gc(self) -> bool {
        self.raw_tag().wrapping_sub(Tag::Str as u32) <= Tag::UserData as u32 - Tag::Str as u32
    }
    /// Userdata of either kind?
    #[inline]
    pub fn is_userdata(self) -> bool {
        self.is(Tag::UserData) || self.is(Tag::Light) || self.is(Tag::Box)
    }
    /// Light userdata of either representation?
    #[inline]
    pub fn is_light(self) -> bool {
        self.is(Tag::Light) || self.is(Tag::Box)
    }
    /// A string.
    #[inline(always)]
    pub fn as_str(self) -> Option<Gc<Str>> {
        if self.is(Tag::Str) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A table.
    #[inline(always)]
    pub fn as_table(self) -> Option<Gc<Table>> {
        if self.is(Tag::Table) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A function.
    #[inline(always)]
    pub fn as_func(self) -> Option<Gc<Func>> {
        if self.is(Tag::Func) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A coroutine.
    #[inline(always)]
    pub fn as_thread(self) -> Option<Gc<Thread>> {
        if self.is(Tag::Thread) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A full userdata.
    #[inline(always)]
    pub fn as_userdata(self) -> Option<Gc<UserData>> {
        if self.is(Tag::UserData) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A C data object.
    #[inline(always)]
    pub fn as_cdata(self) -> Option<Gc<CData>> {
        if self.is(Tag::CData) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// A function prototype (only in constants of other prototypes).
    #[inline(always)]
    pub fn as_proto(self) -> Option<Gc<Proto>> {
        if self.is(Tag::Proto) { Some(Gc::from_ptr(self.ptr())) } else { None }
    }
    /// The pointer of a light userdata.
    pub fn as_light(self) -> Option<u64> {
        if self.is(Tag::Light) {
            Some(self.0 & PTR_MASK)
        } else if self.is(Tag::Box) {
            let b: Gc<crate::object::LightBox> = Gc::from_ptr(self.ptr());
            Some(b.addr)
        } else {
            None
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag() {
            Tag::Number => write!(f, "{}", self.raw_f64()),
            Tag::Nil => f.write_str("nil"),
            Tag::False => f.write_str("false"),
            Tag::True => f.write_str("true"),
            Tag::Str => write!(f, "{:?}", String::from_utf8_lossy(Gc::<Str>::from_ptr(self.ptr()).bytes())),
            _ => write!(f, "{}: {:#x}", self.type_name(), self.0 & PTR_MASK),
        }
    }
}

/// A pointer to a live collected object.
///
/// Copyable, compared by address, dereferences to the object. Whoever holds one must keep the object reachable
/// from a root across every point where the collector may run (see *Rooting* in [`crate::api`]).
#[repr(transparent)]
pub struct Gc<T>(*mut T, PhantomData<T>);

impl<T> Clone for Gc<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Gc<T> {}
impl<T> PartialEq for Gc<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Gc<T> {}
impl<T> fmt::Debug for Gc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}
impl<T> Gc<T> {
    /// Wraps a pointer to a live object.
    #[inline(always)]
    pub fn from_ptr(p: *mut T) -> Gc<T> {
        debug_assert!(!p.is_null());
        Gc(p, PhantomData)
    }
    /// The address.
    #[inline(always)]
    pub fn as_ptr(self) -> *mut T {
        self.0
    }
}
impl<T> Deref for Gc<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: by the contract of `Gc` the object is alive.
        unsafe { &*self.0 }
    }
}

/// Implements `From<Gc<T>>` for [`Value`].
macro_rules! from_gc {
    ($($t:ty => $tag:ident),*) => { $(
        impl From<Gc<$t>> for Value {
            #[inline(always)]
            fn from(g: Gc<$t>) -> Value {
                Value::tagged(Tag::$tag, g.as_ptr())
            }
        }
    )* };
}
from_gc!(Str => Str, Table => Table, Func => Func, Thread => Thread, UserData => UserData, CData => CData, Proto => Proto);

impl From<f64> for Value {
    #[inline(always)]
    fn from(n: f64) -> Value {
        Value::number(n)
    }
}
impl From<bool> for Value {
    #[inline(always)]
    fn from(b: bool) -> Value {
        Value::boolean(b)
    }
}
impl From<i32> for Value {
    #[inline(always)]
    fn from(n: i32) -> Value {
        Value::int(n as i64)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    #[inline(always)]
    fn from(o: Option<T>) -> Value {
        o.map_or(Value::NIL, Into::into)
    }
}

const _: () = assert!(size_of::<Value>() == 8 && size_of::<Option<Gc<Str>>>() == 16);
