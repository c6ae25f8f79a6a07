//! Making functions, prototypes, userdata and cdata.
//!
//! Contract of the unsafe code: every object is completely initialised before anything can reach it; payloads are
//! placed right behind the fixed part, in the same cell.

use std::any::Any;
use std::ptr;

use crate::api::{Cx, NativeFn, NativeResult};
use crate::bytecode::{Op, ProtoParts, abc};
use crate::error::{self, Throw};
use crate::gc;
use crate::heap::Space;
use crate::object::{
    CData, Func, Header, Kind, LightBox, LuaFunc, NativeFunc, Proto, ProtoVar, Str, Table, Upval, UserData,
};
use crate::value::{Gc, PTR_MASK, Tag, Value};

/// The Rust side of builtins, which the interpreter never calls.
pub fn unreachable_builtin(cx: Cx) -> NativeResult {
    Err(cx.error("this function can be called from Lua only"))
}

/// `next(t, k)`
pub(crate) fn next(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    match cx.next(t, cx.arg(2))? {
        Some((k, v)) => cx.ret2(k, v),
        None => cx.ret1(Value::NIL),
    }
}

/// The iterator of `ipairs` on what the interpreter does not do itself.
pub(crate) fn ipairs_aux(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    let i = cx.check_int(2)?.wrapping_add(1);
    let v = t.get_int(i);
    if v.is_nil() { cx.ret0() } else { cx.ret2(i, v) }
}

/// A native function.
pub fn new_native(cx: Cx, f: NativeFn, id: u8, upvalues: &[Value]) -> Gc<Func> {
    let g = cx.g();
    let n = upvalues.len().min(255);
    let p: *mut NativeFunc = g.heap.alloc(Space::Object, size_of::<NativeFunc>() + n * 8).cast();
    // SAFETY: a fresh cell with room for the upvalues.
    unsafe {
        let env = cx.t().env;
        p.write(NativeFunc {
            f: Func {
                h: Header { kind: Kind::Func as u8, flags: 0, x: id, y: n as u8, n: 0 },
                pc: &raw const g.funcc[id as usize & 63],
                env,
                rest: [],
            },
            call: f,
            uv: [],
        });
        let uv = (&raw mut (*p).uv).cast::<Value>();
        for (i, &v) in upvalues.iter().take(n).enumerate() {
            *uv.add(i) = v;
        }
    }
    Gc::from_ptr(p.cast())
}

/// A closed upvalue.
pub fn new_upval(cx: Cx, v: Value) -> *mut Upval {
    let p: *mut Upval = cx.g().heap.alloc(Space::Object, size_of::<Upval>()).cast();
    // SAFETY: a fresh cell.
    unsafe {
        p.write(Upval {
            h: Header { kind: Kind::Upval as u8, flags: 0, x: 0, y: 1, n: 0 },
            v: &raw mut (*p).closed,
            closed: v,
        });
    }
    p
}

/// A closure whose upvalues (if any) are fresh.
pub fn new_main(cx: Cx, proto: Gc<Proto>, env: Option<Gc<Table>>) -> Gc<Func> {
    let n = proto.sizeuv as usize;
    let p: *mut LuaFunc = cx.g().heap.alloc(Space::Object, size_of::<LuaFunc>() + n * 8).cast();
    // SAFETY: a fresh cell with room for the upvalue pointers.
    unsafe {
        p.write(LuaFunc {
            f: Func {
                h: Header { kind: Kind::Func as u8, flags: 0, x: 0, y: n as u8, n: 0 },
                pc: proto.bc(),
                env: env.map_or(cx.t().env, Gc::as_ptr),
                rest: [],
            },
            uv: [],
        });
        let uv = (&raw mut (*p).uv).cast::<*mut Upval>();
        for i in 0..n {
            *uv.add(i) = new_upval(cx, Value::NIL);
        }
    }
    Gc::from_ptr(p.cast())
}

/// A light userdata; pointers with high bits are boxed and interned in the registry's table of boxes.
pub fn light(cx: Cx, addr: u64) -> Value {
    if addr <= PTR_MASK {
        return Value::light(addr);
    }
    let reg = cx.registry();
    let key = cx.str_value("light userdata boxes");
    let boxes = match reg.get(key).as_table() {
        Some(t) => t,
        None => {
            let t = cx.table(0, 0);
            let meta = cx.table(0, 1);
            cx.set_field(meta, "__mode", cx.str(b"v"));
            cx.set_metatable(t.into(), Some(meta));
            cx.set_field(reg, "light userdata boxes", t);
            t
        }
    };
    let name = cx.str_value(addr.to_le_bytes());
    let old = boxes.get(name);
    if !old.is_nil() {
        return old;
    }
    let p: *mut LightBox = cx.g().heap.alloc(Space::Object, size_of::<LightBox>()).cast();
    // SAFETY: a fresh cell.
    unsafe {
        p.write(LightBox { h: Header { kind: Kind::LightBox as u8, flags: 0, x: 0, y: 0, n: 0 }, addr });
    }
    let v = Value::tagged(Tag::Box, p);
    if cx.raw_set(boxes, name, v).is_err() {
        cx.g().heap.oom = true;
    }
    v
}

/// A userdata.
pub fn new_userdata(
    cx: Cx,
    ud: u8,
    payload: Option<Box<dyn Any>>,
    size: usize,
    meta: Option<Gc<Table>>,
) -> Gc<UserData> {
    let p: *mut UserData = cx.g().heap.alloc(Space::Object, size_of::<UserData>() + size).cast();
    // SAFETY: a fresh cell with room for the bytes.
    unsafe {
        p.write(UserData {
            h: Header { kind: Kind::UserData as u8, flags: 0, x: ud, y: 0, n: size as u32 },
            env: cx.t().env,
            pad: [0; 2],
            meta: ptr::null_mut(),
            payload,
            align: 0,
        });
        ptr::write_bytes(p.add(1).cast::<u8>(), 0, size);
    }
    let u = Gc::from_ptr(p);
    gc::add_userdata(cx.g(), u);
    if meta.is_some() {
        cx.set_metatable(u.into(), meta);
    }
    u
}

/// A userdata with raw bytes, for sizes that the system may refuse.
///
/// # Errors
/// `not enough memory`
pub fn try_userdata(cx: Cx, size: usize) -> Result<Gc<UserData>, Throw> {
    const SURE: usize = 1 << 14;
    if size > SURE {
        // Large cells are all or nothing: probe, so that the object is never half made.
        let probe = cx.g().heap.alloc(Space::Object, size_of::<UserData>() + size);
        if probe.is_null() {
            return Err(error::memory(cx));
        }
        // SAFETY: just allocated with this size.
        unsafe { cx.g().heap.free_cell(probe, size_of::<UserData>() + size) };
    }
    Ok(new_userdata(cx, crate::object::UD_PLAIN, None, size, None))
}

/// A cdata. The process ends if the system has no memory for it: large ones are made by [`try_cdata`].
pub fn new_cdata(cx: Cx, ctype: u32, size: usize) -> Gc<CData> {
    try_cdata(cx, ctype, size).unwrap_or_else(|| {
        eprintln!("rjit: not enough memory");
        std::process::abort()
    })
}

/// A cdata, if the system has memory for it.
pub fn try_cdata(cx: Cx, ctype: u32, size: usize) -> Option<Gc<CData>> {
    let p: *mut CData = cx.g().heap.alloc(Space::Object, size_of::<CData>() + size).cast();
    if p.is_null() {
        return None;
    }
    // SAFETY: a fresh cell with room for the payload.
    unsafe {
        p.write(CData {
            h: Header { kind: Kind::CData as u8, flags: 0, x: 0, y: 0, n: size as u32 },
            ctype,
            aux: 0,
        });
        ptr::write_bytes(p.add(1).cast::<u8>(), 0, size);
    }
    Some(Gc::from_ptr(p))
}

/// A prototype from its parts.
///
/// # Errors
/// `not enough memory`
pub fn new_proto(cx: Cx, parts: &ProtoParts) -> Result<Gc<Proto>, Throw> {
    // Behind the fixed part: constants, local variables and upvalue names (8-byte items), then smaller ones.
    let align8 = |n: usize| (n + 7) & !7;
    let bc = align8(parts.bc.len() * 4);
    let k = (parts.kgc.len() + parts.knum.len()) * 8;
    let vars = parts.vars.len() * size_of::<ProtoVar>();
    let names = parts.uvnames.len() * 8;
    let lines = align8(parts.lines.len() * 4);
    let uv = align8(parts.uv.len() * 2);
    let hot = align8(parts.bc.len() * 2);
    let size = size_of::<Proto>() + bc + k + vars + names + lines + uv + hot;
    let p: *mut u8 = cx.g().heap.alloc(Space::Object, size);
    if p.is_null() {
        return Err(error::memory(cx));
    }
    // SAFETY: a fresh cell of `size` bytes, laid out as computed above.
    unsafe {
        let at_bc = p.add(size_of::<Proto>()).cast::<u32>();
        let at_k = at_bc.cast::<u8>().add(bc).cast::<Value>();
        let at_vars = at_k.cast::<u8>().add(k).cast::<ProtoVar>();
        let at_names = at_vars.cast::<u8>().add(vars).cast::<*mut Str>();
        let at_lines = at_names.cast::<u8>().add(names).cast::<u32>();
        let at_uv = at_lines.cast::<u8>().add(lines).cast::<u16>();
        let at_hot = at_uv.cast::<u8>().add(uv).cast::<u16>();
        ptr::write_bytes(at_hot, 0, parts.bc.len());
        ptr::copy_nonoverlapping(parts.bc.as_ptr(), at_bc, parts.bc.len());
        for (i, &v) in parts.kgc.iter().enumerate() {
            *at_k.add(parts.kgc.len() - 1 - i) = v;
        }
        let kbase = at_k.add(parts.kgc.len());
        ptr::copy_nonoverlapping(parts.knum.as_ptr(), kbase, parts.knum.len());
        for (i, v) in parts.vars.iter().enumerate() {
            at_vars.add(i).write(ProtoVar { name: cx.str(&v.name).as_ptr(), start: v.start, end: v.end });
        }
        for (i, n) in parts.uvnames.iter().enumerate() {
            *at_names.add(i) = cx.str(n).as_ptr();
        }
        ptr::copy_nonoverlapping(parts.lines.as_ptr(), at_lines, parts.lines.len());
        ptr::copy_nonoverlapping(parts.uv.as_ptr(), at_uv, parts.uv.len());
        let none = ptr::null_mut::<*mut Str>();
        p.cast::<Proto>().write(Proto {
            h: Header { kind: Kind::Proto as u8, flags: 0, x: 0, y: 0, n: size as u32 },
            k: kbase,
            numparams: parts.numparams,
            framesize: parts.framesize,
            pflags: parts.flags,
            sizeuv: parts.uv.len() as u8,
            sizebc: parts.bc.len() as u32,
            sizekgc: parts.kgc.len() as u32,
            sizekn: parts.knum.len() as u32,
            uv: at_uv,
            chunkname: cx.str(&parts.chunkname).as_ptr(),
            firstline: parts.firstline,
            numline: parts.numline,
            lines: if parts.lines.is_empty() { ptr::null_mut() } else { at_lines },
            uvnames: if parts.uvnames.is_empty() { none } else { at_names },
            vars: at_vars,
            sizevars: parts.vars.len() as u32,
            trace: 0,
            hot: at_hot,
        });
        Ok(Gc::from_ptr(p.cast()))
    }
}

/// The word of a native function's head.
pub fn head(id: u8) -> u32 {
    if id > crate::object::FF_NATIVE {
        super::BUILTIN_BASE as u32 + id as u32
    } else {
        abc(Op::FUNCC, 0, 0, 0)
    }
}
