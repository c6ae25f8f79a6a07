//! What traces are told about this guest, as data: state slots, alias classes, the tag of numbers, helpers.
//!
//! Slot 0 is the base of the trace's first frame; slot `n + 1` is word `n` of the stack, of which that base is word [`ENTRY`]
//! ([`Layout::word`]). A trace gets the smallest set of declarations that has all slots it uses, because exits look at every
//! slot. All alias classes are parts of one, which traces assume to be private: one thread runs Lua at a time.

use std::sync::Arc;

use ir::effects::{ClassSet, EffectBits, Effects};
use ir::trace::Decls;
use ir::types::{ClassId, HelperId, SlotId, TagId, Type};

use super::helpers;
use crate::value::Value;

/// Numbers of stack words that a set of declarations may have.
const SIZES: [usize; 4] = [ENTRY + 24, ENTRY + 48, ENTRY + 96, MOST_WORDS];
/// The word of the base at entry.
pub const ENTRY: usize = 48;
/// Most words of the stack that a trace may know.
pub const MOST_WORDS: usize = 255;
/// The least pattern of a word that is no number.
const TAGGED: u16 = 0xfff9;

macro_rules! classes {
    ($($(#[$doc:meta])* $field:ident $name:literal;)*) => {
        /// The alias classes; all but the first are disjoint.
        #[derive(Clone, Copy, Debug)]
        pub struct Classes {
            /// The class of which all others are parts.
            pub all: ClassId,
            /// Parts of `nodeval`: values of nodes with constant string keys. Those of different keys are at different places.
            pub keyed: [ClassId; KEY_CLASSES],
            $($(#[$doc])* pub $field: ClassId,)*
        }

        fn declare_classes(d: &mut Decls) -> Option<Classes> {
            let all = d.add_class("lua", None, &[]).ok()?;
            let mut before: Vec<ClassId> = Vec::new();
            $(
                let $field = d.add_class($name, Some(all), &before).ok()?;
                before.push($field);
            )*
            Some(Classes { all, keyed: [all; KEY_CLASSES], $($field,)* })
        }
    };
}

classes! {
    /// Words of Lua stacks.
    stack "stack";
    /// Fields of coroutines.
    thread "thread";
    /// Fields of the shared state.
    global "global";
    /// Functions: code, environment, upvalue pointers. Written only by `setfenv`, `debug.upvaluejoin`.
    func "func";
    /// Strings, which never change.
    str "str";
    /// Where upvalues point.
    uvptr "uvptr";
    /// Values of closed upvalues.
    uv "uv";
    /// Metatables of tables.
    tabmeta "tab.meta";
    /// Array pointers and sizes of tables.
    tabarr "tab.arr";
    /// Node pointers and masks of tables.
    tabhash "tab.hash";
    /// Flags of objects: black, and the negative cache of tables.
    flags "flags";
    /// Elements of array parts.
    array "array";
    /// Values of nodes.
    nodeval "node.val";
    /// Keys and links of nodes.
    nodekey "node.key";
    /// The collector's counters.
    gc "gc";
    /// Memory that holds no Lua values.
    mem "mem";
}

/// Classes for the values of string keys.
const KEY_CLASSES: usize = 16;

/// Declares the classes of keys.
fn declare_keyed(d: &mut Decls, classes: &mut Classes) -> Option<()> {
    let mut before: Vec<ClassId> = Vec::new();
    for (i, class) in classes.keyed.iter_mut().enumerate() {
        *class = d.add_class(&format!("node.val.{i}"), Some(classes.nodeval), &before).ok()?;
        before.push(*class);
    }
    Some(())
}

impl Classes {
    /// The class of the values of a key.
    pub fn value_of(&self, key: Value) -> ClassId {
        key.as_str().map_or(self.nodeval, |s| self.keyed[s.sid as usize % KEY_CLASSES])
    }
}

/// A helper: address and number.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// How traces name it.
    pub id: HelperId,
}

/// Effects in short.
#[derive(Clone, Copy)]
enum Fx {
    /// Depends on its arguments and on what never changes.
    Pure,
    /// Makes an object; nothing that existed changes but the collector's counters.
    New,
    /// The same, from what tables and scratch memory hold.
    NewReading,
    /// Moves values from the stack into upvalues.
    CloseUpvals,
    /// Reads tables.
    ReadTable,
    /// May change a table in any way.
    WriteTable,
    /// Anything but stacks.
    Any,
    /// Everything.
    Barrier,
}

macro_rules! helper_result {
    () => {
        Type::Void
    };
    ($r:ident) => {
        Type::$r
    };
}

macro_rules! helper_effects {
    ($fx:expr) => {
        $fx
    };
    ($fx:expr, raises) => {{
        let fx = $fx;
        Effects { bits: fx.bits.or(EffectBits::RAISES), ..fx }
    }};
}

macro_rules! helper_table {
    ($($name:ident ($($p:ident),*) $(-> $r:ident)? $fx:ident $(, $raises:ident)?;)*) => {
        /// The helpers by name.
        #[derive(Clone, Copy, Debug)]
        pub struct Helpers { $(#[doc = concat!("`helpers::", stringify!($name), "`.")] pub $name: Helper,)* }

        fn declare_helpers(d: &mut Decls, c: &Classes) -> Option<(Helpers, Vec<u64>)> {
            let mut addresses = Vec::new();
            $(
                let $name = {
                    let effects = helper_effects!(effects(Fx::$fx, c) $(, $raises)?);
                    let id = d.add_helper(stringify!($name), &[$(Type::$p),*], helper_result!($($r)?), effects).ok()?;
                    addresses.push(helpers::$name as *const () as u64);
                    Helper { id }
                };
            )*
            Some((Helpers { $($name,)* }, addresses))
        }
    };
}

// One line per helper: parameters, result, effects; `raises` if it returns a `Res`.
helper_table! {
    pow(F64, F64) -> F64 Pure;
    modulo(F64, F64) -> F64 Pure;
    table_new(I64, I64, I64) -> I64 New;
    table_dup(I64, I64) -> I64 New;
    table_get(I64, I64) -> I64 ReadTable;
    table_get_int(I64, I32) -> I64 ReadTable;
    table_len(I64) -> I32 ReadTable;
    table_set(I64, I64, I64, I64) -> I64 WriteTable, raises;
    barrier(I64, I64) Any;
    string_order(I64, I64) -> I32 Pure;
    concat(I64, I64, I64) -> I64 New, raises;
    concat_many(I64, I32) -> I64 NewReading, raises;
    math1(F64, I64) -> F64 Pure;
    math2(F64, F64, I64) -> F64 Pure;
    string_sub(I64, I64, I32, I32) -> I64 New;
    string_char(I64, I32) -> I64 New;
    string_chars(I64, I64, I32) -> I64 New;
    string_map(I64, I64, I64) -> I64 New;
    string_rep(I64, I64, I32) -> I64 New, raises;
    string_find(I64, I64, I32) -> I32 Pure;
    to_string(I64, I64) -> I64 NewReading, raises;
    to_number(I64) -> I64 Pure;
    table_append(I64, I64, I64) -> I64 WriteTable, raises;
    table_pop(I64) -> I64 WriteTable;
    table_concat(I64, I64, I64) -> I64 NewReading, raises;
    table_clear(I64) WriteTable;
    table_scan(I64, I32) -> I32 ReadTable;
    table_scan_key(I64, I64) -> I32 ReadTable;
    func_new(I64, I64, I64, I64) -> I64 New;
    upvals_close(I64, I64) CloseUpvals;
    native_call(I64, I64, I64, I32, I32) -> I64 Barrier, raises;
}

fn set(classes: &[ClassId]) -> ClassSet {
    classes.iter().fold(ClassSet::EMPTY, |s, &c| s.or(ClassSet::one(c)))
}

fn effects(fx: Fx, c: &Classes) -> Effects {
    let table = set(&[c.tabmeta, c.tabarr, c.tabhash, c.flags, c.array, c.nodeval, c.nodekey, c.gc]);
    let (reads, writes, bits) = match fx {
        Fx::Barrier => return Effects::BARRIER,
        Fx::Pure => (ClassSet::EMPTY, ClassSet::EMPTY, EffectBits::NONE),
        Fx::New => (ClassSet::EMPTY, set(&[c.gc]), EffectBits::ALLOCATES),
        Fx::NewReading => (table.or(set(&[c.mem, c.global])), set(&[c.gc]), EffectBits::ALLOCATES),
        Fx::CloseUpvals => {
            let moved = set(&[c.uvptr, c.uv, c.thread, c.flags, c.gc]);
            (moved.or(set(&[c.stack])), moved, EffectBits::NONE)
        }
        Fx::ReadTable => (table, ClassSet::EMPTY, EffectBits::NONE),
        Fx::WriteTable => (table, table, EffectBits::ALLOCATES),
        Fx::Any => {
            let all = table.or(set(&[c.mem, c.uv, c.global, c.thread]));
            (all, all, EffectBits::ALLOCATES)
        }
    };
    Effects { reads, writes, bits }
}

/// The declarations and what they are called.
#[derive(Debug)]
pub struct Layout {
    decls: Vec<Arc<Decls>>,
    /// The alias classes.
    pub class: Classes,
    /// The helpers.
    pub helper: Helpers,
    /// Their addresses, by number.
    pub addresses: Vec<u64>,
    /// The tag of numbers.
    pub num: TagId,
}

impl Layout {
    /// The declarations; `None` cannot happen as long as the tables above are within the limits of the IR.
    pub fn new() -> Option<Layout> {
        let mut most = Decls::new();
        most.add_slot("base", Type::I64, None).ok()?;
        for i in 0..MOST_WORDS {
            most.add_slot(&format!("s{i}"), Type::I64, None).ok()?;
        }
        let num = most.add_tag("num", Type::F64, None).ok()?;
        most.add_tag("other", Type::I64, Some(TAGGED)).ok()?;
        let mut class = declare_classes(&mut most)?;
        declare_keyed(&mut most, &mut class)?;
        let (helper, addresses) = declare_helpers(&mut most, &class)?;
        let decls = SIZES.iter().map(|size| {
            let mut d = most.clone();
            d.slots.truncate(size + 1);
            Arc::new(d)
        });
        let decls = decls.collect();
        Some(Layout { decls, class, helper, addresses, num })
    }

    /// The slot of the base.
    pub const BASE: SlotId = SlotId(0);

    /// The slot of a word of the stack.
    pub fn word(n: usize) -> SlotId {
        SlotId(n as u16 + 1)
    }

    /// The word that a slot is.
    pub fn word_of(slot: SlotId) -> Option<usize> {
        slot.index().checked_sub(1)
    }

    /// Declarations with at least so many words.
    pub fn decls(&self, words: usize) -> Arc<Decls> {
        let i = SIZES.iter().position(|&s| s >= words).unwrap_or(SIZES.len() - 1);
        self.decls[i].clone()
    }
}
