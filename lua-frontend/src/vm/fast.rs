//! Library functions with a head of their own: the common case runs without a native call.
//!
//! Each handler looks at the arguments; if they are what nearly all calls pass, it computes the result and returns it, else it
//! goes to [`funcc`], which calls the library's function. So these handlers define nothing: results must be what the
//! library gives. They are found by the function's number ([`install`]).

use crate::bytecode::{Ins, a, b};
use crate::gc;
use crate::object::{Func, Str, Table, Thread};
use crate::state::{Global, frame};
use crate::value::{Gc, Tag, Value};

use super::arith::to_bits;
use super::calls::{funcc, return_values};
use super::{BUILTIN_BASE, Handler, k_at, next, op};

/// Number of the first fast function among the internal operations, from [`BUILTIN_BASE`].
pub const FIRST: usize = 16;

/// Function numbers and their handlers.
pub(crate) const FAST: &[(u32, Handler)] = &[
    (2, assert),
    (3, type_),
    (9, setmetatable),
    (12, rawget),
    (14, rawequal),
    (16, select),
    (17, tonumber),
    (18, tostring),
    (38, abs),
    (39, floor),
    (40, ceil),
    (41, sqrt),
    (60, min),
    (61, max),
    (64, tobit),
    (65, bnot),
    (66, bswap),
    (67, lshift),
    (68, rshift),
    (69, arshift),
    (70, rol),
    (71, ror),
    (72, band),
    (73, bor),
    (74, bxor),
    (76, byte),
    (77, char),
    (78, sub),
];
const _: () = assert!(FIRST + FAST.len() <= 64);

/// Gives a native function the head that belongs to its number.
pub fn install(f: Gc<Func>, number: u32) {
    if f.h.x != crate::object::FF_NATIVE {
        return;
    }
    if let Some(i) = FAST.iter().position(|e| e.0 == number) {
        // SAFETY: native functions point into the table of heads, at entry `FF_NATIVE`.
        unsafe {
            let head = (*f.as_ptr()).pc.add(FIRST + i - crate::object::FF_NATIVE as usize);
            (*f.as_ptr()).pc = head;
        }
    }
}

/// Puts the handlers into a dispatch table.
pub(crate) const fn fill(t: &mut [Handler; super::HANDLERS]) {
    let mut i = 0;
    while i < FAST.len() {
        t[BUILTIN_BASE + FIRST + i] = FAST[i].1;
        i += 1;
    }
}

/// Returns one value.
#[inline(always)]
unsafe fn give(l: *mut Thread, base: *mut Value, v: Value, g: *mut Global) -> u64 {
    // SAFETY: links describe the frames below.
    unsafe {
        let link = (*base.sub(1)).0;
        if link & frame::TYPE == frame::LUA {
            let rpc = link as *const Ins;
            let call = *rpc.sub(1);
            if b(call).wrapping_sub(1) <= 1 {
                *base.sub(2) = v;
                let nb = base.sub(2 + a(call));
                return next(l, nb, k_at(nb), rpc, g);
            }
        }
        *base = v;
        return_values(l, base, base, 1, g)
    }
}

/// Returns one new object, after the collector if it is due.
#[inline(always)]
unsafe fn give_new(l: *mut Thread, base: *mut Value, v: Value, g: *mut Global) -> u64 {
    // SAFETY: as `give`.
    unsafe {
        if gc::is_due(&*g) {
            *base = v;
            (*l).base = base;
            (*l).top = base.add(1);
            return super::calls::native_gc(l, 1, g);
        }
        give(l, base, v, g)
    }
}

op! {
    fn assert(l, base, k, pc, ins, g) {
        if k as usize >= 1 && (*base).is_truthy() {
            return return_values(l, base, base, k as usize, g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn type_(l, base, k, pc, ins, g) {
        if k as usize == 0 {
            return funcc(l, base, k, pc, ins, g);
        }
        let v = *base;
        let tag = if v.is_number() { Tag::Number as u32 } else { v.raw_tag() };
        give(l, base, Value::tagged(Tag::Str, (*g).type_names[tag as usize & 15]), g)
    }
}
op! {
    fn setmetatable(l, base, k, pc, ins, g) {
        if k as usize >= 2 && (*base).is(Tag::Table) && (*base.add(1)).is(Tag::Table) {
            let t = (*base).ptr::<Table>();
            if (*t).meta.is_null() && (*t).h.flags & crate::object::BLACK == 0 {
                (*t).meta = (*base.add(1)).ptr();
                return give(l, base, *base, g);
            }
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn rawget(l, base, k, pc, ins, g) {
        if k as usize == 2 && (*base).is(Tag::Table) {
            let t = (*base).ptr::<Table>();
            let key = *base.add(1);
            if key.is(Tag::Str) {
                return give(l, base, (*t).get_str(Gc::from_ptr(key.ptr())), g);
            }
            let i = super::tables::index_of(key);
            if i < (*t).h.n {
                return give(l, base, *(*t).array.add(i as usize), g);
            }
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn rawequal(l, base, k, pc, ins, g) {
        if k as usize == 2 && !(*base).is_number() {
            return give(l, base, Value::boolean(*base == *base.add(1)), g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn select(l, base, k, pc, ins, g) {
        let n = k as usize;
        if n >= 1 {
            let v = *base;
            let i = super::tables::index_of(v);
            if (1..=250).contains(&i) {
                let i = (i as usize).min(n);
                return return_values(l, base, base.add(i), n - i, g);
            }
            if v.is(Tag::Str) && Gc::<Str>::from_ptr(v.ptr()).bytes() == b"#" {
                return give(l, base, Value::raw_number((n - 1) as f64), g);
            }
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn tonumber(l, base, k, pc, ins, g) {
        if k as usize == 1 && (*base).is_number() {
            return give(l, base, *base, g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn tostring(l, base, k, pc, ins, g) {
        // The metatable of strings is not asked for `__tostring`.
        if k as usize >= 1 && (*base).is(Tag::Str) {
            return give(l, base, *base, g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}

macro_rules! math1 {
    ($($name:ident |$x:ident| $e:expr;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                if k as usize >= 1 && (*base).is_number() {
                    let $x = (*base).raw_f64();
                    let r: f64 = $e;
                    return give(l, base, Value::number(r), g);
                }
                funcc(l, base, k, pc, ins, g)
            }
        }
    )* };
}
/// Rounds towards zero what is small enough to have a fraction.
#[inline(always)]
fn whole(x: f64) -> f64 {
    // SAFETY: the callers have checked the magnitude.
    unsafe { x.to_int_unchecked::<i64>() as f64 }
}
const SMALL: f64 = 4_503_599_627_370_496.0;
math1! {
    abs |x| x.abs();
    sqrt |x| x.sqrt();
    floor |x| if x.abs() < SMALL { let t = whole(x); (if t > x { t - 1.0 } else { t }).copysign(x) } else { x };
    ceil |x| if x.abs() < SMALL { let t = whole(x); (if t < x { t + 1.0 } else { t }).copysign(x) } else { x };
}

macro_rules! math2 {
    ($($name:ident $op:tt;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                if k as usize == 2 && (*base).is_number() && (*base.add(1)).is_number() {
                    let (x, y) = ((*base).raw_f64(), (*base.add(1)).raw_f64());
                    // Equal ones may be zeros of different sign, unordered ones have rules of their own.
                    if x $op y {
                        return give(l, base, *base, g);
                    }
                    if y $op x {
                        return give(l, base, *base.add(1), g);
                    }
                }
                funcc(l, base, k, pc, ins, g)
            }
        }
    )* };
}
math2! {
    min <;
    max >;
}

macro_rules! bits1 {
    ($($name:ident |$x:ident| $e:expr;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                if k as usize >= 1 && (*base).is_number() {
                    let $x = to_bits((*base).raw_f64());
                    let r: i32 = $e;
                    return give(l, base, Value::raw_number(r as f64), g);
                }
                funcc(l, base, k, pc, ins, g)
            }
        }
    )* };
}
bits1! {
    tobit |x| x;
    bnot |x| !x;
    bswap |x| x.swap_bytes();
}

macro_rules! bits2 {
    ($($name:ident |$x:ident, $y:ident| $e:expr;)*) => { $(
        op! {
            fn $name(l, base, k, pc, ins, g) {
                if k as usize == 2 && (*base).is_number() && (*base.add(1)).is_number() {
                    let $x = to_bits((*base).raw_f64());
                    let $y = to_bits((*base.add(1)).raw_f64());
                    let r: i32 = $e;
                    return give(l, base, Value::raw_number(r as f64), g);
                }
                funcc(l, base, k, pc, ins, g)
            }
        }
    )* };
}
bits2! {
    lshift |x, y| x.wrapping_shl(y as u32);
    rshift |x, y| (x as u32).wrapping_shr(y as u32) as i32;
    arshift |x, y| x.wrapping_shr(y as u32);
    rol |x, y| x.rotate_left(y as u32 & 31);
    ror |x, y| x.rotate_right(y as u32 & 31);
    band |x, y| x & y;
    bor |x, y| x | y;
    bxor |x, y| x ^ y;
}

op! {
    fn byte(l, base, k, pc, ins, g) {
        let n = k as usize;
        if (1..=2).contains(&n) && (*base).is(Tag::Str) {
            let s = (*base).ptr::<Str>();
            let i = if n == 2 { super::tables::index_of(*base.add(1)) } else { 1 };
            if i.wrapping_sub(1) < (*s).h.n {
                let c = *s.add(1).cast::<u8>().add(i as usize - 1);
                return give(l, base, Value::raw_number(c as f64), g);
            }
        }
        funcc(l, base, k, pc, ins, g)
    }
}
op! {
    fn char(l, base, k, pc, ins, g) {
        if k as usize == 1 {
            let i = super::tables::index_of(*base);
            if i < 256 {
                return give_new(l, base, Value::tagged(Tag::Str, one_byte(g, i as u8)), g);
            }
        }
        funcc(l, base, k, pc, ins, g)
    }
}
#[inline(never)]
unsafe fn one_byte(g: *mut Global, c: u8) -> *mut Str {
    // SAFETY: contract of the module.
    unsafe { (*g).intern(&[c]).as_ptr() }
}
op! {
    fn sub(l, base, k, pc, ins, g) {
        let n = k as usize;
        if (2..=3).contains(&n) && (*base).is(Tag::Str) && (*base.add(1)).is_number()
            && (n == 2 || (*base.add(2)).is_number())
        {
            let len = (*(*base).ptr::<Str>()).h.n as i64;
            let i = clamp((*base.add(1)).raw_f64());
            let j = if n == 3 { clamp((*base.add(2)).raw_f64()) } else { -1 };
            let i = if i < 0 { (i + len + 1).max(1) } else { i.max(1) };
            let j = if j < 0 { j + len + 1 } else { j.min(len) };
            let v = Value::tagged(Tag::Str, part(g, (*base).ptr(), i - 1, j));
            return give_new(l, base, v, g);
        }
        funcc(l, base, k, pc, ins, g)
    }
}
/// As `check_int` of the library.
#[inline(always)]
fn clamp(n: f64) -> i64 {
    if n > -2_147_483_649.0 && n < 2_147_483_648.0 { n as i64 } else { i64::from(i32::MIN) }
}
#[inline(never)]
unsafe fn part(g: *mut Global, s: *mut Str, from: i64, to: i64) -> *mut Str {
    // SAFETY: `from >= 0` and `to <= len`.
    unsafe {
        if from >= to {
            return (*g).empty;
        }
        let p = s.add(1).cast::<u8>().add(from as usize);
        (*g).intern(std::slice::from_raw_parts(p, (to - from) as usize)).as_ptr()
    }
}
