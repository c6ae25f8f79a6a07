//! The table library.

use super::{AGAIN, OK, Res};
use crate::gc;
use crate::object::{Str, Table};
use crate::state::Global;
use crate::stdlib::put_text;
use crate::table;
use crate::value::{Gc, Tag, Value};

/// Most bytes that are joined here.
const MOST_BYTES: usize = 1 << 24;

/// `t[#t + 1] = value`
pub(in crate::jit) unsafe extern "C" fn table_append(g: *mut Global, t: *mut Table, value: u64) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let t = Gc::from_ptr(t);
        let Some(key) = i32::try_from(t.len()).ok().and_then(|n| n.checked_add(1)) else { return AGAIN };
        match table::set_slot(&mut (*g).heap, t, Value::int(i64::from(key))) {
            Ok(slot) => {
                *slot = Value(value);
                gc::barrier_store(&mut *g, t, Value::NIL, Value(value));
                OK
            }
            Err(_) => AGAIN,
        }
    }
}

/// Takes the last element away; nil if there is none.
pub(in crate::jit) unsafe extern "C" fn table_pop(t: *mut Table) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        let t = Gc::from_ptr(t);
        match t.slot(Value::int(t.len() as i64)) {
            Some(slot) if !t.is_empty() => std::mem::replace(&mut *slot, Value::NIL).0,
            _ => Value::NIL.0,
        }
    }
}

/// `table.concat(t, sep)`; the empty pointer is no separator.
pub(in crate::jit) unsafe extern "C" fn table_concat(g: *mut Global, t: *mut Table, sep: *mut Str) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let sep = if sep.is_null() { &b""[..] } else { (*sep).bytes() };
        let mut out = std::mem::take(&mut (*g).buf);
        out.clear();
        let n = (*t).len();
        let mut done = true;
        for i in 1..=n {
            if !put_text(&mut out, (*t).get_int(i as i32)) || out.len() > MOST_BYTES {
                done = false;
                break;
            }
            if i < n {
                out.extend_from_slice(sep);
            }
        }
        let res = if done {
            let s = (*g).intern(&out).as_ptr();
            Res { value: Value::tagged(Tag::Str, s).0, raised: 0 }
        } else {
            AGAIN
        };
        if out.capacity() > 1 << 20 {
            out = Vec::new();
        }
        (*g).buf = out;
        res
    }
}

/// Removes everything.
pub(in crate::jit) unsafe extern "C" fn table_clear(t: *mut Table) {
    table::clear(Gc::from_ptr(t));
}
