//! Tables: reads, writes, constructors, lengths, concatenation.
//!
//! An access that finds an element of the array part, or the node of a constant string key at the place where it is now, is done in line,
//! behind guards on the sizes and the key of the node. Everything else is a call. Metatables are followed through `__index` tables, each
//! guarded to be the one it is.

use ir::op::Op as O;
use ir::trace::Addr;
use ir::types::{Operand, Type};

use super::{Kind, Next, Recorder, V};
use crate::bytecode::{Ins, Op, a, b, c, d};
use crate::object::{Node, Table};
use crate::state::Event;
use crate::value::{Gc, Tag, Value};

/// Offsets in [`Table`] and [`Node`].
const ASIZE: i64 = 4;
const NOMM: i64 = 2;
const ARRAY: i64 = 8;
const NODE: i64 = 16;
const HMASK: i64 = 24;
pub(super) const META: i64 = 32;
const NODE_SIZE: i64 = 24;
const NODE_KEY: i64 = 8;
const NODE_NEXT: i64 = 16;
/// Most nodes of a chain that is looked through in line.
const MOST_CHAIN: usize = 3;
/// Most tables of a chain of `__index`.
const MOST_LINKS: usize = 8;

/// A key as an instruction has it.
#[derive(Clone, Copy)]
struct Key {
    value: Value,
    v: V,
}

/// Where a table has a key now.
enum At {
    /// In the array part.
    Array(u32),
    /// At this node.
    Node(u32),
    /// Nowhere.
    Absent,
}

fn find(t: Gc<Table>, key: Value) -> At {
    match t.slot(key) {
        None => At::Absent,
        Some(slot) => {
            let array = t.array_part().as_ptr_range();
            if array.contains(&slot.cast_const()) {
                // SAFETY: both are in the array part.
                At::Array(unsafe { slot.cast_const().offset_from(array.start) } as u32)
            } else {
                // SAFETY: a node's value is its first field.
                At::Node(unsafe { slot.cast::<Node>().offset_from(t.node) } as u32)
            }
        }
    }
}

impl Recorder {
    /// Leaves unless the table or userdata has no metatable.
    pub(super) fn guard_no_meta(&mut self, v: V) {
        let p = self.ptr(v);
        self.guard_meta_is(p, std::ptr::null());
    }

    fn guard_meta_is(&mut self, table: Operand, meta: *const Table) {
        let class = self.layout.class.tabmeta;
        let m = self.load(Type::I64, table, META, class);
        self.guard_eq(m, meta as u64);
    }

    fn key(&mut self, op: Op, ins: Ins) -> Key {
        match op {
            Op::GGET | Op::GSET => self.key_const(self.kgc(d(ins))),
            Op::TGETS | Op::TSETS => self.key_const(self.kgc(c(ins))),
            Op::TGETB | Op::TSETB => self.key_const(Value::int(c(ins) as i64)),
            _ => {
                let value = self.live(c(ins));
                Key { value, v: self.typed(c(ins)) }
            }
        }
    }

    fn key_const(&mut self, value: Value) -> Key {
        Key { value, v: self.val_const(value) }
    }

    pub(super) fn get_table(&mut self, op: Op, ins: Ins) -> Next {
        let (live, v) = if op == Op::GGET {
            let f = self.function();
            // SAFETY: the running function.
            let env = unsafe { (*(*self.live_base.sub(2)).ptr::<crate::object::Func>()).env };
            let class = self.layout.class.func;
            let p = self.load(Type::I64, f, 16, class);
            let table = Value::tagged(Tag::Table, env);
            self.guard_eq(p, env as u64);
            (table, self.val_const(table))
        } else {
            (self.live(b(ins)), self.typed(b(ins)))
        };
        let key = self.key(op, ins);
        match self.index(live, v, key) {
            Some(result) => {
                self.set(a(ins), result);
                Next::Go
            }
            None => Next::Stop,
        }
    }

    /// What `o[key]` is, following tables in `__index`.
    fn index(&mut self, live: Value, v: V, key: Key) -> Option<V> {
        let (mut live, mut v) = (live, v);
        for _ in 0..MOST_LINKS {
            let meta = if let Some(t) = live.as_table() {
                let (value, result) = self.raw_get(t, v, key)?;
                if !value.is_nil() {
                    return Some(result);
                }
                let p = self.ptr(v);
                self.guard_meta_is(p, t.meta);
                if t.meta.is_null() {
                    return Some(result);
                }
                t.meta
            } else {
                // SAFETY: the live state.
                let meta = unsafe { (&(*self.global()).basemt)[live.tag() as usize] };
                if meta.is_null() || live.is(Tag::UserData) || live.is(Tag::CData) {
                    return None;
                }
                // SAFETY: only the address is computed.
                let at = unsafe { &raw const (*self.global()).basemt[live.tag() as usize] as i64 };
                let at = self.b.i64(at);
                let class = self.layout.class.global;
                let m = self.load(Type::I64, at, 0, class);
                self.guard_eq(m, meta as u64);
                meta
            };
            let meta: Gc<Table> = Gc::from_ptr(meta);
            // SAFETY: the names of events live as long as the state.
            let name = unsafe { Gc::from_ptr((&(*self.global()).names)[Event::Index as usize]) };
            let table = self.val_const(meta.into());
            let name = self.key_const(Value::from(name));
            let (h, found) = self.raw_get(meta, table, name)?;
            if h.is_nil() {
                return live.as_table().map(|_| self.val_const(Value::NIL));
            }
            h.as_table()?;
            v = self.guard_value(found, h);
            live = h;
        }
        None
    }

    /// The value of a key without metamethods, now and in the trace, its type guarded.
    fn raw_get(&mut self, t: Gc<Table>, v: V, key: Key) -> Option<(Value, V)> {
        let value = t.get(key.value);
        let p = self.ptr(v);
        let word = match find(t, key.value) {
            At::Array(i) => {
                let address = self.element(p, key, i);
                let class = self.layout.class.array;
                self.b.load(Type::I64, address, class)
            }
            At::Node(i) if key.v.value.is_some() && !key.value.is_number() => {
                let node = self.node(t, p, key.value, i);
                let class = self.layout.class.value_of(key.value);
                self.load(Type::I64, node, i64::from(i) * NODE_SIZE, class)
            }
            At::Absent
                if key.v.value.is_some() && key.value.as_str().is_some() && self.absent(t, p, key.value) =>
            {
                return Some((value, self.val_const(Value::NIL)));
            }
            _ => self.get_by_call(p, key),
        };
        let loaded = self.val_word(word, Kind::Any);
        Some((value, self.with_kind(loaded, Kind::of(value))))
    }

    /// Guards that a string key is not in the table: what stands in the chain where it would be. False if the chain is long.
    fn absent(&mut self, t: Gc<Table>, p: Operand, key: Value) -> bool {
        let Some(s) = key.as_str() else { return false };
        let class = self.layout.class;
        if t.node == crate::table::nil_node() {
            let nodes = self.load(Type::I64, p, NODE, class.tabhash);
            self.guard_eq(nodes, t.node as u64);
            return true;
        }
        // SAFETY: nodes of the chain are inside the block.
        let chain: Vec<(i64, Value)> = unsafe {
            let mut chain = Vec::new();
            let mut node = t.node.add((s.sid & t.hmask) as usize);
            while !node.is_null() {
                chain.push((node.offset_from(t.node) as i64, (*node).key));
                node = (*node).next;
            }
            chain
        };
        if chain.len() > MOST_CHAIN {
            return false;
        }
        let mut nodes = Operand::NONE;
        for &(i, key) in &chain {
            self.keep(key);
            nodes = self.node(t, p, key, i as u32);
        }
        // Nothing comes behind the last one, and what comes behind the others is in this table.
        let last = chain.last().map_or(0, |c| c.0);
        let next = self.load(Type::I64, nodes, last * NODE_SIZE + NODE_NEXT, class.nodekey);
        self.guard_eq(next, 0);
        for pair in chain.windows(2) {
            let next = self.load(Type::I64, nodes, pair[0].0 * NODE_SIZE + NODE_NEXT, class.nodekey);
            let by = self.b.i64(pair[1].0 * NODE_SIZE);
            let expected = self.b.bin(O::Add, Type::I64, nodes, by);
            let same = self.b.bin(O::Eq, Type::I64, next, expected);
            self.guard(same);
        }
        true
    }

    fn get_by_call(&mut self, p: Operand, key: Key) -> Operand {
        if let Some(i) = self.known_int(key.v) {
            let helper = self.layout.helper.table_get_int;
            return self.helper(helper, &[p, i]);
        }
        let helper = self.layout.helper.table_get;
        let word = self.word(key.v);
        self.helper(helper, &[p, word])
    }

    /// The element of a table at an index, now `i`: in line if it is in the array part.
    pub fn array_or_call(&mut self, t: Gc<Table>, p: Operand, index: Operand, i: i32) -> Operand {
        if (i as u32) < t.h.n {
            let class = self.layout.class;
            let size = self.load(Type::I32, p, ASIZE, class.tabarr);
            let array = self.load(Type::I64, p, ARRAY, class.tabarr);
            let inside = self.b.bin(O::Ult, Type::I32, index, size);
            self.guard(inside);
            let index = self.b.convert(O::Sext, Type::I32, Type::I64, index);
            return self.b.load(Type::I64, Addr { base: array, index, scale: 8, disp: 0 }, class.array);
        }
        let helper = self.layout.helper.table_get_int;
        self.helper(helper, &[p, index])
    }

    /// The address of the element of the array part that an integer key (now `i`) says, inside it.
    fn element(&mut self, p: Operand, key: Key, i: u32) -> Addr {
        let class = self.layout.class.tabarr;
        let size = self.load(Type::I32, p, ASIZE, class);
        let array = self.load(Type::I64, p, ARRAY, class);
        if key.v.value.is_some() {
            let k = self.b.int(Type::I32, i.into());
            let inside = self.b.bin(O::Ult, Type::I32, k, size);
            self.guard(inside);
            return Addr { base: array, index: Operand::NONE, scale: 1, disp: 8 * i64::from(i) };
        }
        let k = self.int(key.v);
        let inside = self.b.bin(O::Ult, Type::I32, k, size);
        self.guard(inside);
        let index = self.b.convert(O::Sext, Type::I32, Type::I64, k);
        Addr { base: array, index, scale: 8, disp: 0 }
    }

    /// The nodes of a table, of which number `i` is guarded to have the key.
    fn node(&mut self, t: Gc<Table>, p: Operand, key: Value, i: u32) -> Operand {
        let class = self.layout.class;
        let mask = self.load(Type::I32, p, HMASK, class.tabhash);
        let live = self.b.int(Type::I32, t.hmask.into());
        let same = self.b.bin(O::Eq, Type::I32, mask, live);
        self.guard(same);
        let nodes = self.load(Type::I64, p, NODE, class.tabhash);
        let found = self.load(Type::I64, nodes, i64::from(i) * NODE_SIZE + NODE_KEY, class.nodekey);
        self.guard_eq(found, key.0);
        nodes
    }

    pub(super) fn set_table(&mut self, op: Op, ins: Ins) -> Next {
        let (live, v) = if op == Op::GSET {
            let f = self.function();
            // SAFETY: the running function.
            let env = unsafe { (*(*self.live_base.sub(2)).ptr::<crate::object::Func>()).env };
            let class = self.layout.class.func;
            let p = self.load(Type::I64, f, 16, class);
            self.guard_eq(p, env as u64);
            let table = Value::tagged(Tag::Table, env);
            (table, self.val_const(table))
        } else {
            (self.live(b(ins)), self.typed(b(ins)))
        };
        let Some(t) = live.as_table() else { return Next::Stop };
        let key = self.key(op, ins);
        let value = self.typed(a(ins));
        if key.value.is_nil() || key.value == Value::NAN {
            return Next::Stop;
        }
        let p = self.ptr(v);
        let old = t.get(key.value);
        // A value that is there is written over without asking; else `__newindex` may be concerned.
        let mut check_old = false;
        if t.meta.is_null() {
            self.guard_meta_is(p, std::ptr::null());
        } else if !old.is_nil() {
            check_old = true;
        } else {
            // SAFETY: the live state.
            let h = unsafe { crate::vm::meta::lookup_in(&mut *self.global(), t.meta, Event::Newindex) };
            if !h.is_nil() {
                return Next::Stop;
            }
            // The metatable is this one, and says nothing about new keys.
            self.guard_meta_is(p, t.meta);
            let meta: Gc<Table> = Gc::from_ptr(t.meta);
            // SAFETY: as above.
            let name = unsafe { Gc::from_ptr((&(*self.global()).names)[Event::Newindex as usize]) };
            let table = self.val_const(meta.into());
            let name = self.key_const(Value::from(name));
            if self.raw_get(meta, table, name).is_none() {
                return Next::Stop;
            }
        }
        match find(t, key.value) {
            At::Array(i) => {
                let address = self.element(p, key, i);
                let class = self.layout.class.array;
                if check_old {
                    self.guard_not_nil(address, class);
                }
                self.before_store(p, value);
                let word = self.word(value);
                self.b.store(Type::I64, word, address, class);
            }
            At::Node(i) if key.v.value.is_some() && !key.value.is_number() => {
                let nodes = self.node(t, p, key.value, i);
                let class = self.layout.class.value_of(key.value);
                let disp = i64::from(i) * NODE_SIZE;
                if check_old {
                    let address = Addr { base: nodes, index: Operand::NONE, scale: 1, disp };
                    self.guard_not_nil(address, class);
                }
                self.before_store(p, value);
                self.forget_metamethods(p, key.value);
                let word = self.word(value);
                self.store(Type::I64, word, nodes, disp, class);
            }
            _ => {
                if check_old {
                    return Next::Stop;
                }
                let helper = self.layout.helper.table_set;
                let g = self.g();
                let (k, word) = (self.word(key.v), self.word(value));
                self.helper_raising(helper, &[g, p, k, word]);
            }
        }
        Next::Go
    }

    /// What is stored next to be seen by the collector.
    fn before_store(&mut self, p: Operand, value: V) {
        if matches!(value.kind, Kind::Tag(tag) if tag > Tag::Light) {
            self.guard_not_black(p);
        }
    }

    /// A key that may name a metamethod makes the table forget what it knows of them.
    fn forget_metamethods(&mut self, p: Operand, key: Value) {
        if key.as_str().is_none_or(|s| s.bytes().starts_with(b"__")) {
            let class = self.layout.class.flags;
            let zero = self.b.int(Type::I8, 0);
            self.store(Type::I8, zero, p, NOMM, class);
        }
    }

    fn guard_not_nil(&mut self, address: Addr, class: ir::types::ClassId) {
        let old = self.b.load(Type::I64, address, class);
        let nil = self.b.i64(-1);
        let same = self.b.bin(O::Ne, Type::I64, old, nil);
        self.guard(same);
    }

    pub(super) fn new_table(&mut self, op: Op, ins: Ins) -> Next {
        self.gc_check();
        let g = self.g();
        let p = if op == Op::TNEW {
            let n = d(ins) & 0x7ff;
            let n = if n == 0x7ff { 0x801 } else { n };
            let (n, h) = (self.b.i64(n as i64), self.b.i64((d(ins) >> 11) as i64));
            let helper = self.layout.helper.table_new;
            self.helper(helper, &[g, n, h])
        } else {
            let template = self.kgc(d(ins));
            self.keep(template);
            let t = self.b.i64(template.ptr::<Table>() as i64);
            let helper = self.layout.helper.table_dup;
            self.helper(helper, &[g, t])
        };
        let v = self.val_ptr(Tag::Table, p);
        self.set(a(ins), v);
        Next::Go
    }

    pub(super) fn len(&mut self, ins: Ins) -> Next {
        let live = self.live(d(ins));
        let v = self.typed(d(ins));
        let p = self.ptr(v);
        let n = if live.is(Tag::Str) {
            let class = self.layout.class.str;
            self.load(Type::I32, p, ASIZE, class)
        } else if live.is(Tag::Table) {
            let helper = self.layout.helper.table_len;
            self.helper(helper, &[p])
        } else {
            return Next::Stop;
        };
        let n = self.val_int(n);
        self.set(a(ins), n);
        Next::Go
    }

    pub(super) fn cat(&mut self, ins: Ins) -> Next {
        for i in b(ins)..=c(ins) {
            let live = self.live(i);
            if !live.is_number() && !live.is(Tag::Str) {
                return Next::Stop;
            }
        }
        // From the right, two at a time.
        self.gc_check();
        let mut right = self.typed(c(ins));
        for i in (b(ins)..c(ins)).rev() {
            let left = self.typed(i);
            let (x, y) = (self.word(left), self.word(right));
            let g = self.g();
            let helper = self.layout.helper.concat;
            let p = self.helper(helper, &[g, x, y]);
            right = self.val_ptr(Tag::Str, p);
        }
        self.set(a(ins), right);
        Next::Go
    }
}
