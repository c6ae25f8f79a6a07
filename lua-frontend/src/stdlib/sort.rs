//! `table.sort`: quicksort with the median of three, as Lua 5.1 and LuaJIT do it.
//!
//! The order of comparisons is visible to scripts (and decides what an inconsistent order function ends in), so the
//! algorithm is fixed. Elements that only Rust locals hold would not survive a collection while the order function runs;
//! the two being compared and the pivot therefore also stand in the argument slots 3 to 5.

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::object::Table;
use crate::value::{Gc, Value};

/// `table.sort(t [, less])`
pub(crate) fn sort(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let n = t.len() as i32;
    let less = if cx.arg(2).is_nil() { None } else { Some(cx.check_func(2)?.into()) };
    cx.set_top(2);
    cx.set_top(5);
    Sorter { cx, t, less }.range(1, n)?;
    cx.ret0()
}

struct Sorter {
    cx: Cx,
    t: Gc<Table>,
    less: Option<Value>,
}

impl Sorter {
    fn get(&self, i: i32) -> Value {
        self.t.get_int(i)
    }

    fn set(&self, i: i32, v: Value) -> Result<(), Throw> {
        self.cx.raw_set_int(self.t, i, v)
    }

    fn less(&self, a: Value, b: Value) -> Result<bool, Throw> {
        if let Some(f) = self.less {
            self.cx.set_arg(3, a);
            self.cx.set_arg(4, b);
            return Ok(self.cx.call(f, &[a, b])?.is_truthy());
        }
        match (a.as_number(), b.as_number()) {
            (Some(x), Some(y)) => Ok(x < y),
            _ => {
                if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
                    return Ok(x.bytes() < y.bytes());
                }
                self.cx.set_arg(3, a);
                self.cx.set_arg(4, b);
                self.cx.less(a, b)
            }
        }
    }

    /// Sorts the elements `lo ..= hi`; recursion goes into the smaller part, so it is at most logarithmic.
    fn range(&self, mut lo: i32, mut hi: i32) -> Result<(), Throw> {
        while lo < hi {
            let (a, b) = (self.get(lo), self.get(hi));
            if self.less(b, a)? {
                self.set(lo, b)?;
                self.set(hi, a)?;
            }
            if hi - lo == 1 {
                break;
            }
            let mid = lo + (hi - lo) / 2;
            let (m, a) = (self.get(mid), self.get(lo));
            if self.less(m, a)? {
                self.set(mid, a)?;
                self.set(lo, m)?;
            } else {
                let b = self.get(hi);
                if self.less(b, m)? {
                    self.set(mid, b)?;
                    self.set(hi, m)?;
                }
            }
            if hi - lo == 2 {
                break;
            }
            let pivot = self.get(mid);
            self.cx.set_arg(5, pivot);
            self.set(mid, self.get(hi - 1))?;
            self.set(hi - 1, pivot)?;
            // a[lo] <= pivot == a[hi - 1] <= a[hi]: what remains is lo + 1 to hi - 2.
            let (mut i, mut j) = (lo, hi - 1);
            loop {
                let invalid = || self.cx.error("invalid order function for sorting");
                i += 1;
                let mut x = self.get(i);
                while self.less(x, pivot)? {
                    if i >= hi {
                        return Err(invalid());
                    }
                    i += 1;
                    x = self.get(i);
                }
                // `x` must live through the comparisons of the other side.
                self.cx.push(x);
                j -= 1;
                let mut y = self.get(j);
                while self.less(pivot, y)? {
                    if j <= lo {
                        return Err(invalid());
                    }
                    j -= 1;
                    y = self.get(j);
                }
                self.cx.set_top(5);
                if j < i {
                    break;
                }
                self.set(i, y)?;
                self.set(j, x)?;
            }
            let (p, x) = (self.get(hi - 1), self.get(i));
            self.set(hi - 1, x)?;
            self.set(i, p)?;
            // a[lo ..= i - 1] <= a[i] <= a[i + 1 ..= hi]
            if i - lo < hi - i {
                self.range(lo, i - 1)?;
                lo = i + 1;
            } else {
                self.range(i + 1, hi)?;
                hi = i - 1;
            }
        }
        Ok(())
    }
}
