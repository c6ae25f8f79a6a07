//! Strings: conversions, the string library, joining.

use super::{AGAIN, Res};
use crate::object::Str;
use crate::pattern;
use crate::state::Global;
use crate::stdlib::put_text;
use crate::value::{Tag, Value};

/// Most bytes of a repeated string that is made here.
const MOST_BYTES: usize = 1 << 24;

/// `tostring` of a string, number, nil, boolean.
pub(in crate::jit) unsafe extern "C" fn to_string(g: *mut Global, v: u64) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let v = Value(v);
        if v.as_str().is_none() && !(*g).basemt_tostring_plain(v.tag()) {
            return AGAIN;
        }
        let s = match v.as_str() {
            Some(s) => s.as_ptr(),
            None => {
                let mut text = Vec::with_capacity(32);
                if !put_text(&mut text, v) {
                    return AGAIN;
                }
                (*g).intern(&text).as_ptr()
            }
        };
        Res { value: Value::tagged(Tag::Str, s).0, raised: 0 }
    }
}

/// `tonumber` of a string: a number or nil.
pub(in crate::jit) unsafe extern "C" fn to_number(s: *mut Str) -> u64 {
    // SAFETY: contract of the module.
    let n = crate::numscan::to_number(unsafe { (*s).bytes() });
    n.map_or(Value::NIL, Value::number).0
}

/// What [`string_map`] does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of the functions")]
#[repr(i64)]
pub enum Map {
    Reverse,
    Lower,
    Upper,
}

/// `reverse`, `lower`, `upper`.
pub(in crate::jit) unsafe extern "C" fn string_map(g: *mut Global, s: *mut Str, which: i64) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe {
        let mut out = std::mem::take(&mut (*g).buf);
        out.clear();
        out.extend_from_slice((*s).bytes());
        match which {
            0 => out.reverse(),
            1 => out.make_ascii_lowercase(),
            _ => out.make_ascii_uppercase(),
        }
        let s = (*g).intern(&out).as_ptr();
        (*g).buf = out;
        s
    }
}

/// `rep(s, n)`
pub(in crate::jit) unsafe extern "C" fn string_rep(g: *mut Global, s: *mut Str, n: i32) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let bytes = (*s).bytes();
        let n = n.max(0) as usize;
        if bytes.len() * n > MOST_BYTES {
            return AGAIN;
        }
        let s = (*g).intern(&bytes.repeat(n)).as_ptr();
        Res { value: Value::tagged(Tag::Str, s).0, raised: 0 }
    }
}

/// `char` of up to eight bytes, the first one lowest.
pub(in crate::jit) unsafe extern "C" fn string_chars(g: *mut Global, bytes: i64, n: i32) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe { (*g).intern(&bytes.to_le_bytes()[..(n as usize).min(8)]).as_ptr() }
}

/// Where `find` finds plain text, from byte `init` (from 0) on; -1 for nowhere.
pub(in crate::jit) unsafe extern "C" fn string_find(s: *mut Str, text: *mut Str, init: i32) -> i32 {
    // SAFETY: contract of the module.
    let (s, text) = unsafe { ((*s).bytes(), (*text).bytes()) };
    let from = (init.max(0) as usize).min(s.len());
    pattern::find_plain(&s[from..], text).map_or(-1, |at| (at + from) as i32)
}

/// Joins strings and numbers.
pub(super) unsafe fn join(g: *mut Global, parts: &[Value]) -> Res {
    // SAFETY: contract of the module.
    unsafe {
        let mut out = std::mem::take(&mut (*g).buf);
        out.clear();
        let mut done = true;
        for v in parts {
            done = done && put_text(&mut out, *v) && out.len() <= MOST_BYTES;
        }
        let res = if done { text(g, &out) } else { AGAIN };
        if out.capacity() > 1 << 20 {
            out = Vec::new();
        }
        (*g).buf = out;
        res
    }
}

/// A string as a result.
unsafe fn text(g: *mut Global, bytes: &[u8]) -> Res {
    // SAFETY: contract of the module.
    let s = unsafe { (*g).intern(bytes).as_ptr() };
    Res { value: Value::tagged(Tag::Str, s).0, raised: 0 }
}

/// Joins the `n` words that the trace has put where the state keeps them.
pub(in crate::jit) unsafe extern "C" fn concat_many(g: *mut Global, n: i32) -> Res {
    // SAFETY: contract of the module; there are that many words.
    unsafe {
        let words: [Value; crate::state::JIT_WORDS] = (*g).jit_words;
        join(g, &words[..(n as usize).min(words.len())])
    }
}
