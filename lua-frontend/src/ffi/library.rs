//! The functions of `ffi`, the metatable of cdata, and C libraries.

use std::ffi::{CStr, CString, c_void};

use super::access::Target;
use super::arith::Operator;
use super::convert::{How, copy, fill, load, load_pointer, store};
use super::declare::{Parameter, declare, parse_type};
use super::types::{Id, Kind, Member, Name, id};
use super::{Ffi, scalar};
use crate::api::{Cx, NativeFn, NativeResult};
use crate::error::Throw;
use crate::object::{CData, Table, UD_CLIB, UserData};
use crate::value::{Gc, Value};

/// A loaded library.
struct Library {
    handle: *mut c_void,
    /// What has been looked up: functions, and variables as their names.
    cache: Gc<Table>,
}

impl Drop for Library {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: a handle from `dlopen` that is closed once.
            unsafe {
                libc::dlclose(self.handle);
            }
        }
    }
}

/// The state of the library, once it is open.
pub fn state<'a>(cx: Cx) -> Option<&'a mut Ffi> {
    // SAFETY: the state lives as long as the Lua state; it is used for one operation at a time, by the contract of `Cx`.
    unsafe { cx.g().ffi.as_mut() }
}

/// Opens the library: the metatable of cdata, the hooks of the virtual machine, the state. Does nothing the second time.
pub fn ensure<'a>(cx: Cx) -> &'a mut Ffi {
    if let Some(ffi) = state(cx) {
        return ffi;
    }
    let anchored = || {
        let table = cx.table(0, 0);
        cx.anchor(table);
        table
    };
    let ffi = Box::new(Ffi {
        types: super::types::Types::new(),
        meta: anchored(),
        finalizers: anchored(),
        functions: anchored(),
        anchors: anchored(),
        free_finalizers: Vec::new(),
        next_finalizer: 1,
        callbacks: Vec::new(),
        errno: 0,
        pending: None,
    });
    let pointer = Box::into_raw(ffi);
    let g = cx.g();
    g.ffi = pointer;
    g.cdata_bitop = Some(bit_operator);
    g.gc.cdata_gc = Some(finalize);
    let meta = cx.table(0, 24);
    cx.anchor(meta);
    register(cx, meta, "ffi.meta", META);
    cx.set_field(meta, "__metatable", cx.str(b"ffi"));
    cx.set_metatable(scalar::int64(cx, 0).into(), Some(meta));
    let callback = cx.table(0, 2);
    register(cx, callback, "ffi.callback", &[("free", callback_free), ("set", callback_set)]);
    let callback_meta = cx.table(0, 1);
    cx.set_field(callback_meta, "__index", callback);
    // SAFETY: just made, used once.
    let ffi = unsafe { &mut *pointer };
    if cx.raw_set(ffi.meta, Value::int(0), callback_meta).is_err() {
        g.heap.oom = true;
    }
    ffi
}

fn register(cx: Cx, table: Gc<Table>, prefix: &str, functions: &[(&str, NativeFn)]) {
    crate::stdlib::register(cx, table, prefix, functions);
}

/// Opens the library for `require "ffi"`.
///
/// # Errors
/// None.
pub fn open(cx: Cx) -> NativeResult {
    ensure(cx);
    let library = cx.table(0, 24);
    register(cx, library, "ffi", FUNCTIONS);
    let clib = cx.table(0, 3);
    register(cx, clib, "ffi.clib", &[("__index", clib_index), ("__newindex", clib_newindex)]);
    cx.anchor(clib);
    cx.set_field(cx.registry(), "_CLIB", clib);
    cx.set_field(library, "C", new_library(cx, std::ptr::null_mut()));
    cx.set_field(library, "os", cx.str(b"Linux"));
    let arch: &[u8] = if cfg!(target_arch = "aarch64") { b"arm64" } else { b"x64" };
    cx.set_field(library, "arch", cx.str(arch));
    cx.ret1(library)
}

const FUNCTIONS: &[(&str, NativeFn)] = &[
    ("cdef", ffi_cdef),
    ("new", ffi_new),
    ("cast", ffi_cast),
    ("typeof", ffi_typeof),
    ("typeinfo", ffi_typeinfo),
    ("istype", ffi_istype),
    ("sizeof", ffi_sizeof),
    ("alignof", ffi_alignof),
    ("offsetof", ffi_offsetof),
    ("errno", ffi_errno),
    ("string", ffi_string),
    ("copy", ffi_copy),
    ("fill", ffi_fill),
    ("abi", ffi_abi),
    ("metatype", ffi_metatype),
    ("gc", ffi_gc),
    ("load", ffi_load),
];

const META: &[(&str, NativeFn)] = &[
    ("__index", meta_index),
    ("__newindex", meta_newindex),
    ("__eq", |cx| ensure(cx).operator(cx, Operator::Eq)),
    ("__len", |cx| ensure(cx).operator(cx, Operator::Len)),
    ("__lt", |cx| ensure(cx).operator(cx, Operator::Lt)),
    ("__le", |cx| ensure(cx).operator(cx, Operator::Le)),
    ("__concat", |cx| ensure(cx).operator(cx, Operator::Concat)),
    ("__call", meta_call),
    ("__add", |cx| ensure(cx).operator(cx, Operator::Add)),
    ("__sub", |cx| ensure(cx).operator(cx, Operator::Sub)),
    ("__mul", |cx| ensure(cx).operator(cx, Operator::Mul)),
    ("__div", |cx| ensure(cx).operator(cx, Operator::Div)),
    ("__mod", |cx| ensure(cx).operator(cx, Operator::Mod)),
    ("__pow", |cx| ensure(cx).operator(cx, Operator::Pow)),
    ("__unm", |cx| ensure(cx).operator(cx, Operator::Unm)),
    ("__tostring", meta_tostring),
    ("__pairs", |cx| iterate(cx, "__pairs")),
    ("__ipairs", |cx| iterate(cx, "__ipairs")),
];

// -- Arguments --

fn check_cdata(cx: Cx, i: usize) -> Result<Gc<CData>, Throw> {
    cx.arg(i).as_cdata().ok_or_else(|| cx.type_error(i, "cdata"))
}

/// The type that a cdata stands for: itself, if it is a type.
fn named_type(cdata: Gc<CData>) -> Id {
    if cdata.ctype == id::CTYPE { u32::from_ne_bytes(load(cdata.data())) } else { cdata.ctype }
}

/// Parameters for `$` from argument `first` on.
fn parameters(cx: Cx, first: usize) -> Result<Vec<Parameter>, Throw> {
    (first..=cx.nargs())
        .map(|i| {
            let value = cx.arg(i);
            if let Some(n) = value.as_number() {
                Ok(Parameter::Number(crate::numfmt::num_to_i32(n)))
            } else if let Some(text) = value.as_str() {
                Ok(Parameter::Name(text.bytes().to_vec()))
            } else if let Some(cdata) = value.as_cdata() {
                Ok(Parameter::Type(named_type(cdata)))
            } else {
                Err(cx.type_error(i, "type parameter"))
            }
        })
        .collect()
}

/// The type that the first argument names.
fn check_type(ffi: &mut Ffi, cx: Cx, with_parameters: bool) -> Result<Id, Throw> {
    let value = cx.arg(1);
    if let Some(text) = value.as_str() {
        let parameters = if with_parameters { parameters(cx, 2)? } else { Vec::new() };
        if !with_parameters && let Some(&known) = ffi.types.parsed.get(text.bytes()) {
            return Ok(known);
        }
        let ty = parse_type(&mut ffi.types, text.bytes(), &parameters, true).map_err(|e| cx.error(e))?;
        // Text names the same type for ever, unless it defines or awaits one.
        if parameters.is_empty() && ffi.types.size(ty).is_some() && !text.bytes().contains(&b'{') {
            ffi.types.parsed.insert(text.bytes().into(), ty);
        }
        return Ok(ty);
    }
    match value.as_cdata() {
        Some(_) if with_parameters && cx.nargs() > 1 => {
            Err(cx.arg_error(1, "wrong number of type parameters"))
        }
        Some(cdata) => Ok(named_type(cdata)),
        None => Err(cx.type_error(1, "C type")),
    }
}

fn check_c_int(ffi: &mut Ffi, cx: Cx, i: usize) -> Result<i32, Throw> {
    cx.check_any(i)?;
    let mut bytes = [0u8; 4];
    ffi.from_lua(cx, id::INT32, bytes.as_mut_ptr(), cx.arg(i), How { argument: i, ..How::default() })?;
    Ok(i32::from_ne_bytes(bytes))
}

fn check_pointer(ffi: &mut Ffi, cx: Cx, i: usize, ty: Id) -> Result<*mut u8, Throw> {
    cx.check_any(i)?;
    let mut bytes = [0u8; 8];
    ffi.from_lua(cx, ty, bytes.as_mut_ptr(), cx.arg(i), How { argument: i, ..How::default() })?;
    Ok(load_pointer(bytes.as_ptr(), 8))
}

fn type_object(cx: Cx, ty: Id) -> Gc<CData> {
    let cdata = cx.cdata(id::CTYPE, 4);
    store(cdata.data(), &ty.to_ne_bytes());
    cdata
}

// -- Metamethods --

fn meta_index(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    match ffi.find(cx, cdata, cx.arg(2))? {
        Target::Place { ty, member, address, .. } => {
            let value = ffi.get(cx, ty, member, address)?;
            cx.ret1(value)
        }
        Target::Constant(value, ty) => cx.ret1(ffi.constant(value, ty)),
        Target::Nothing(ty, _) => ffi.index_meta(cx, ty),
    }
}

fn meta_newindex(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    match ffi.find(cx, cdata, cx.arg(2))? {
        Target::Place { ty, member, address, quals } => {
            ffi.set(cx, ty, member, address, quals, cx.arg(3))?;
            cx.ret0()
        }
        Target::Constant(..) => Err(cx.error("attempt to write to constant location")),
        Target::Nothing(ty, quals) => {
            if quals & super::types::CONST != 0 {
                return Err(cx.error("attempt to write to constant location"));
            }
            ffi.newindex_meta(cx, ty)
        }
    }
}

fn meta_call(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    let is_type = cdata.ctype == id::CTYPE;
    if !is_type && let Some(result) = ffi.call(cx, cdata) {
        return result;
    }
    let ty = named_type(cdata);
    let target = ffi.meta_type(ty);
    let handler = ffi.metamethod(cx, target, if is_type { "__new" } else { "__call" });
    if !handler.is_nil() {
        let arguments = cx.args().to_vec();
        return cx.tail_call(handler, &arguments);
    }
    if is_type {
        return ffi_new(cx);
    }
    Err(cx.error(format!("'{}' is not callable", ffi.types.describe(target))))
}

fn meta_tostring(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    if cdata.ctype == id::CTYPE {
        let text = format!("ctype<{}>", ffi.types.describe(named_type(cdata)));
        return cx.ret1(cx.str(text.as_bytes()));
    }
    let mut ty = ffi.types.raw(cdata.ctype);
    let mut p = cdata.data();
    if let Kind::Pointer { to, reference: true } = ffi.types.get(ty).kind {
        p = load_pointer(p, 8);
        ty = ffi.types.raw(to);
    }
    let entry = ffi.types.get(ty);
    let mut out = Vec::new();
    match entry.kind {
        Kind::Complex { of } => {
            let half = entry.size as usize / 2;
            let part = |offset: usize| -> f64 {
                let at = p.wrapping_add(offset);
                match ffi.types.get(of).size {
                    4 => f64::from(f32::from_ne_bytes(load(at))),
                    _ => f64::from_ne_bytes(load(at)),
                }
            };
            put_complex(&mut out, part(0), part(half));
            return cx.ret1(cx.str(&out));
        }
        Kind::Int { unsigned, .. } if entry.size == 8 => {
            let bits = u64::from_ne_bytes(load(p));
            let text = if unsigned { format!("{bits}ULL") } else { format!("{}LL", bits as i64) };
            return cx.ret1(cx.str(text.as_bytes()));
        }
        Kind::Function(_) => p = load_pointer(cdata.data(), 8),
        Kind::Enum(_) => {
            let value = u32::from_ne_bytes(load(p)) as i32;
            let text = format!("cdata<{}>: {value}", ffi.types.describe(cdata.ctype));
            return cx.ret1(cx.str(text.as_bytes()));
        }
        _ => {
            let mut target = ty;
            if let Kind::Pointer { to, .. } = entry.kind {
                p = load_pointer(p, entry.size);
                target = ffi.types.raw(to);
            }
            if matches!(ffi.types.get(target).kind, Kind::Struct(_) | Kind::Vector { .. }) {
                let handler = ffi.metamethod(cx, target, "__tostring");
                if !handler.is_nil() {
                    let object = cx.arg(1);
                    return cx.tail_call(handler, &[object]);
                }
            }
        }
    }
    out.extend_from_slice(format!("cdata<{}>: ", ffi.types.describe(cdata.ctype)).as_bytes());
    crate::strfmt::put_pointer(&mut out, p as usize);
    cx.ret1(cx.str(&out))
}

fn put_complex(out: &mut Vec<u8>, re: f64, im: f64) {
    crate::numfmt::put_number(out, re);
    if im.to_bits() >> 63 == 0 || im.is_nan() {
        out.push(b'+');
    }
    crate::numfmt::put_number(out, im);
    out.push(if out.last().is_some_and(|&c| c >= b'a') { b'I' } else { b'i' });
}

fn iterate(cx: Cx, event: &str) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    let target = ffi.meta_type(cdata.ctype);
    let handler = ffi.metamethod(cx, target, event);
    if handler.is_nil() {
        return Err(cx.error(format!("'{}' has no '{event}' metamethod", ffi.types.describe(target))));
    }
    let arguments = cx.args().to_vec();
    cx.tail_call(handler, &arguments)
}

/// Bit operators on cdata.
fn bit_operator(cx: Cx, op: u8, x: Value, y: Value) -> Result<Value, Throw> {
    use crate::bytecode::Op;
    let ffi = ensure(cx);
    let op = Op::from_u8(op);
    let unary = op == Some(Op::BNOT);
    let shift = matches!(op, Some(Op::BSHL | Op::BSHR | Op::BSAR));
    let mut wide = None;
    let a = ffi.bit_operand(cx, x, &mut wide)?;
    let mut second = None;
    let b = if unary { None } else { ffi.bit_operand(cx, y, if shift { &mut second } else { &mut wide })? };
    // A number beside a cdata takes part as a signed integer.
    let plain =
        |value: Value| value.as_number().map(|n| i64::from(crate::numfmt::num_to_i64(n) as i32) as u64);
    let (a, b) = match (a.or_else(|| plain(x)), if unary { Some(0) } else { b.or_else(|| plain(y)) }) {
        (Some(a), Some(b)) => (a, b),
        _ => {
            let message =
                format!("attempt to perform bitwise operation on {} and {}", x.type_name(), y.type_name());
            return Err(cx.error(message));
        }
    };
    let count = b as u32 & 63;
    let Some(wide) = wide else {
        // Only the shift count was a cdata: the result is a plain number.
        let (a, count) = (a as i32, b as u32 & 31);
        return Ok(Value::number(f64::from(match op {
            Some(Op::BSHL) => a.wrapping_shl(count),
            Some(Op::BSHR) => (a as u32).wrapping_shr(count) as i32,
            _ => a.wrapping_shr(count),
        })));
    };
    let result = match op {
        Some(Op::BNOT) => !a,
        Some(Op::BAND) => a & b,
        Some(Op::BOR) => a | b,
        Some(Op::BXOR) => a ^ b,
        Some(Op::BSHL) => a << count,
        Some(Op::BSHR) => a >> count,
        _ => (a as i64 >> count) as u64,
    };
    Ok(if wide == id::UINT64 {
        scalar::uint64(cx, result).into()
    } else {
        scalar::int64(cx, result as i64).into()
    })
}

// -- Finalizers --

fn set_finalizer(ffi: &mut Ffi, cx: Cx, cdata: Gc<CData>, handler: Value) -> Result<(), Throw> {
    let mut slot = cdata.aux;
    if slot == 0 {
        if handler.is_nil() {
            return Ok(());
        }
        slot = ffi.free_finalizers.pop().unwrap_or_else(|| {
            ffi.next_finalizer += 1;
            ffi.next_finalizer - 1
        });
        cx.set_finalizer(cdata.into());
    }
    cx.raw_set(ffi.finalizers, Value::int(i64::from(slot)), handler)?;
    if handler.is_nil() {
        ffi.free_finalizers.push(slot);
        slot = 0;
    }
    // SAFETY: a live object; `aux` belongs to this library.
    unsafe { (*cdata.as_ptr()).aux = slot }
    Ok(())
}

/// Runs the finalizer of a cdata.
fn finalize(cx: Cx, value: Value) -> Result<(), Throw> {
    let ffi = ensure(cx);
    let Some(cdata) = value.as_cdata() else { return Ok(()) };
    let slot = cdata.aux;
    if slot == 0 {
        return Ok(());
    }
    let handler = ffi.finalizers.get_int(slot as i32);
    set_finalizer(ffi, cx, cdata, Value::NIL)?;
    if !handler.is_nil() {
        cx.call(handler, &[value])?;
    }
    Ok(())
}

// -- Functions --

fn ffi_cdef(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let source = cx.check_str(1)?;
    let parameters = parameters(cx, 2)?;
    let names = ffi.types.names.len();
    let before = if names > 4096 { None } else { Some((ffi.types.names.clone(), ffi.types.tags.clone())) };
    if let Err(message) = declare(&mut ffi.types, source.bytes(), &parameters) {
        if let Some((names, tags)) = before {
            // A failed declaration leaves no names.
            ffi.types.names = names;
            ffi.types.tags = tags;
        }
        return Err(cx.error(message));
    }
    ffi.types.parsed.clear();
    cx.ret0()
}

fn ffi_new(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let raw = ffi.types.raw(ty);
    let mut first = 2;
    let mut size = ffi.types.size(ty);
    if ffi.types.is_variable(ty) {
        let count = check_c_int(ffi, cx, 2)?;
        size = u32::try_from(count).ok().and_then(|count| ffi.types.variable_size(raw, count));
        first = 3;
    }
    let Some(size) = size else {
        return Err(cx.arg_error(1, "size of C type is unknown or too large"));
    };
    let cdata = cx.try_cdata(ty, size as usize)?;
    let values: Vec<Value> = cx.args().get(first - 1..).unwrap_or_default().to_vec();
    cx.push(cdata);
    ffi.initialize(cx, raw, size, cdata.data(), &values)?;
    if let Kind::Struct(_) = ffi.types.get(raw).kind {
        let handler = ffi.metamethod(cx, raw, "__gc");
        if !handler.is_nil() {
            set_finalizer(ffi, cx, cdata, handler)?;
        }
    }
    cx.ret1(cdata)
}

fn ffi_cast(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let raw = ffi.types.raw(ty);
    let value = cx.check_any(2)?;
    let entry = ffi.types.get(raw);
    let castable = matches!(
        entry.kind,
        Kind::Int { .. } | Kind::Bool | Kind::Float | Kind::Pointer { .. } | Kind::Enum(_)
    );
    if !castable {
        return Err(cx.arg_error(1, "invalid C type"));
    }
    if value.as_cdata().is_some_and(|cdata| cdata.ctype == ty) {
        return cx.ret1(value);
    }
    let cdata = ffi.new_cdata(cx, ty, entry.size);
    ffi.from_lua(cx, raw, cdata.data(), value, How { cast: true, ..How::default() })?;
    cx.ret1(cdata)
}

fn ffi_typeof(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, true)?;
    cx.ret1(type_object(cx, ty))
}

fn ffi_typeinfo(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_c_int(ffi, cx, 1)?;
    let Some(number) = usize::try_from(ty).ok().filter(|&n| n > 0 && n < ffi.types.len()) else {
        return cx.ret0();
    };
    let table = cx.table(0, 2);
    let entry = ffi.types.get(number as Id);
    cx.set_field(table, "info", 0);
    if let Some(size) = ffi.types.size(number as Id) {
        cx.set_field(table, "size", f64::from(size));
    }
    if let Kind::Struct(s) = entry.kind
        && let Some(name) = &ffi.types.structs[s as usize].name
    {
        cx.set_field(table, "name", cx.str(name));
    }
    cx.ret1(table)
}

fn ffi_istype(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let first = check_type(ffi, cx, false)?;
    let value = cx.check_any(2)?;
    let Some(cdata) = value.as_cdata() else { return cx.ret1(false) };
    let a = ffi.types.raw_ref(first);
    let b = ffi.types.raw_ref(named_type(cdata));
    let (ta, tb) = (ffi.types.get(a), ffi.types.get(b));
    let ignore = How { ignore_quals: true, ..How::default() };
    let same = a == b
        || match (ta.kind, tb.kind) {
            (Kind::Pointer { .. }, Kind::Pointer { .. }) | (Kind::Array { .. }, Kind::Array { .. }) => {
                ta.size == tb.size && ffi.compatible(a, b, ignore, false)
            }
            (Kind::Int { unsigned: x, .. }, Kind::Int { unsigned: y, .. }) => ta.size == tb.size && x == y,
            (Kind::Float, Kind::Float) | (Kind::Bool, Kind::Bool) | (Kind::Void, Kind::Void) => {
                ta.size == tb.size
            }
            (Kind::Struct(_), Kind::Pointer { to, .. }) => a == ffi.types.raw(to),
            _ => false,
        };
    cx.ret1(same)
}

fn ffi_sizeof(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let raw = ffi.types.raw_ref(ty);
    if ffi.types.is_variable(raw) {
        if let Some(cdata) = cx.arg(1).as_cdata()
            && ffi.types.raw(cdata.ctype) == raw
        {
            return cx.ret1(f64::from(cdata.h.n));
        }
        let count = check_c_int(ffi, cx, 2)?;
        let size = u32::try_from(count).ok().and_then(|count| ffi.types.variable_size(raw, count));
        return cx.ret1(size.map(f64::from));
    }
    cx.ret1(ffi.types.size(raw).map(f64::from))
}

fn ffi_alignof(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let target = match ffi.types.get(ffi.types.raw(ty)).kind {
        Kind::Pointer { to, reference: true } => to,
        _ => ty,
    };
    cx.ret1(1 << ffi.types.info(target).align)
}

fn ffi_offsetof(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let name = cx.check_str(2)?;
    let raw = ffi.types.raw_ref(ty);
    match ffi.types.field(raw, name.bytes()) {
        Some(found) if ffi.types.size(raw).is_some() => match found.member {
            Member::Bits { position, count, .. } => {
                cx.ret3(f64::from(found.offset), f64::from(position), f64::from(count))
            }
            Member::Field | Member::Transparent => cx.ret1(f64::from(found.offset)),
            Member::Constant(_) => cx.ret0(),
        },
        _ => cx.ret0(),
    }
}

fn ffi_errno(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let old = ffi.errno;
    if cx.nargs() > 0 {
        ffi.errno = check_c_int(ffi, cx, 1)?;
    }
    cx.ret1(old)
}

fn ffi_string(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    cx.check_any(1)?;
    let (p, length) = if cx.arg(2).is_nil() {
        let p = check_pointer(ffi, cx, 1, id::P_CONST_CHAR)?;
        // SAFETY: the program says that a string is there.
        (p, unsafe { libc::strlen(p.cast()) })
    } else {
        let length = check_c_int(ffi, cx, 2)?;
        let p = check_pointer(ffi, cx, 1, id::P_CONST_VOID)?;
        (p, length as u32 as usize)
    };
    cx.check_len(length)?;
    let mut bytes = vec![0u8; length];
    copy(bytes.as_mut_ptr(), p, length);
    cx.ret1(cx.str(&bytes))
}

fn ffi_copy(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let to = check_pointer(ffi, cx, 1, id::P_VOID)?;
    let from = check_pointer(ffi, cx, 2, id::P_CONST_VOID)?;
    let length = match cx.arg(2).as_str() {
        Some(text) if cx.nargs() < 3 => text.len() + 1,
        _ => check_c_int(ffi, cx, 3)? as u32 as usize,
    };
    copy(to, from, length);
    cx.ret0()
}

fn ffi_fill(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let p = check_pointer(ffi, cx, 1, id::P_VOID)?;
    let length = check_c_int(ffi, cx, 2)? as u32 as usize;
    let byte = if cx.arg(3).is_nil() { 0 } else { check_c_int(ffi, cx, 3)? };
    fill(p, byte as u8, length);
    cx.ret0()
}

fn ffi_abi(cx: Cx) -> NativeResult {
    let name = cx.check_str(1)?;
    cx.ret1(matches!(name.bytes(), b"64bit" | b"fpu" | b"hardfp" | b"le" | b"gc64"))
}

fn ffi_metatype(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let ty = check_type(ffi, cx, false)?;
    let meta = cx.check_table(2)?;
    let raw = ffi.types.raw(ty);
    if !matches!(ffi.types.get(raw).kind, Kind::Struct(_) | Kind::Complex { .. } | Kind::Vector { .. }) {
        return Err(cx.arg_error(1, "invalid C type"));
    }
    let key = Value::int(i64::from(raw));
    if !ffi.meta.get(key).is_nil() {
        return Err(cx.error("cannot change a protected metatable"));
    }
    cx.raw_set(ffi.meta, key, meta)?;
    cx.ret1(type_object(cx, ty))
}

fn ffi_gc(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    let cdata = check_cdata(cx, 1)?;
    let handler = cx.check_any(2)?;
    let kind = ffi.types.get(ffi.types.raw(cdata.ctype)).kind;
    if !matches!(kind, Kind::Pointer { .. } | Kind::Struct(_) | Kind::Array { .. }) {
        return Err(cx.arg_error(1, "invalid C type"));
    }
    set_finalizer(ffi, cx, cdata, handler)?;
    cx.ret1(cdata)
}

fn callback_free(cx: Cx) -> NativeResult {
    let cdata = check_cdata(cx, 1)?;
    ensure(cx).set_callback(cx, cdata, Value::NIL)?;
    cx.ret0()
}

fn callback_set(cx: Cx) -> NativeResult {
    let cdata = check_cdata(cx, 1)?;
    let function = cx.check_func(2)?;
    ensure(cx).set_callback(cx, cdata, function.into())?;
    cx.ret0()
}

// -- C libraries --

fn new_library(cx: Cx, handle: *mut c_void) -> Gc<UserData> {
    let cache = cx.table(0, 0);
    cx.anchor(cache);
    let meta = cx.field(cx.registry(), "_CLIB").as_table();
    cx.userdata(UD_CLIB, Box::new(Library { handle, cache }), meta)
}

fn dl_error() -> String {
    // SAFETY: returns a string that is valid until the next call, or null.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "unknown error".into();
    }
    // SAFETY: not null, see above.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// `m` is `libm.so`.
fn library_file(name: &[u8]) -> Vec<u8> {
    if name.contains(&b'/') {
        return name.to_vec();
    }
    let mut file = name.to_vec();
    if !name.contains(&b'.') {
        file.extend_from_slice(b".so");
    }
    if !name.starts_with(b"lib") {
        file.splice(0..0, *b"lib");
    }
    file
}

fn open_file(file: &[u8], global: bool) -> Result<*mut c_void, String> {
    let Ok(path) = CString::new(file) else { return Err("bad library name".into()) };
    let mode = libc::RTLD_LAZY | if global { libc::RTLD_GLOBAL } else { libc::RTLD_LOCAL };
    // SAFETY: a valid string; what the library's constructors do is the program's wish.
    let handle = unsafe { libc::dlopen(path.as_ptr(), mode) };
    if handle.is_null() { Err(dl_error()) } else { Ok(handle) }
}

/// The file that a linker script refers to.
fn linker_script_target(path: &str) -> Option<Vec<u8>> {
    let text = std::fs::read(path).ok().filter(|text| text.len() < 65536)?;
    let text = String::from_utf8(text).ok()?;
    let start = ["GROUP", "INPUT"].iter().filter_map(|word| text.find(word)).min()?;
    let list = text[start..].split_once('(')?.1;
    let name = list.split_whitespace().next()?.trim_end_matches(')');
    Some(match name.strip_prefix("-l") {
        Some(short) => format!("lib{short}.so").into_bytes(),
        None => name.as_bytes().to_vec(),
    })
}

fn ffi_load(cx: Cx) -> NativeResult {
    ensure(cx);
    let name = cx.check_str(1)?;
    let global = cx.arg(2).is_truthy();
    let mut opened = open_file(&library_file(name.bytes()), global);
    if let Err(message) = &opened
        && (message.contains("file too short") || message.contains("invalid ELF header"))
        && let Some((path, _)) = message.split_once(':')
        && let Some(target) = linker_script_target(path)
    {
        opened = open_file(&target, global);
    }
    match opened {
        Ok(handle) => cx.ret1(new_library(cx, handle)),
        Err(message) => Err(cx.error(message)),
    }
}

/// A symbol of a library.
enum Symbol {
    Value(Value),
    Variable(Id, *mut u8),
}

fn find_symbol(cx: Cx) -> Result<Symbol, Throw> {
    let ffi = ensure(cx);
    let userdata = cx.arg(1).as_userdata().ok_or_else(|| cx.type_error(1, "userdata"))?;
    let Some(library) = cx.payload::<Library>(userdata) else { return Err(cx.type_error(1, "userdata")) };
    let name = cx.arg(2).as_str().ok_or_else(|| cx.type_error(2, "string"))?;
    let known = library.cache.get_str(name);
    if !known.is_nil() {
        return Ok(Symbol::Value(known));
    }
    let text = String::from_utf8_lossy(name.bytes()).into_owned();
    let (ty, symbol, is_function) = match ffi.types.names.get(name.bytes()) {
        Some(&Name::Constant(value, ty)) => return Ok(Symbol::Value(ffi.constant(value, ty))),
        Some(Name::Function(ty, symbol)) => (*ty, symbol.clone(), true),
        Some(Name::Variable(ty, symbol)) => (*ty, symbol.clone(), false),
        _ => return Err(cx.error(format!("missing declaration for symbol '{text}'"))),
    };
    let symbol = symbol.as_deref().unwrap_or(name.bytes());
    let Ok(c_name) = CString::new(symbol) else {
        return Err(cx.error(format!("missing declaration for symbol '{text}'")));
    };
    // SAFETY: a valid string and a handle that is open (null: the program itself).
    let address = unsafe { libc::dlsym(library.handle, c_name.as_ptr()) };
    if address.is_null() {
        return Err(cx.error(format!("cannot resolve symbol '{text}': {}", dl_error())));
    }
    if !is_function {
        return Ok(Symbol::Variable(ty, address.cast()));
    }
    let function = ffi.new_pointer(cx, ty, address.cast());
    cx.raw_set(library.cache, name.into(), function)?;
    Ok(Symbol::Value(function.into()))
}

fn clib_index(cx: Cx) -> NativeResult {
    match find_symbol(cx)? {
        Symbol::Value(value) => cx.ret1(value),
        Symbol::Variable(ty, address) => {
            let value = ensure(cx).to_lua(cx, ty, address);
            cx.ret1(value)
        }
    }
}

fn clib_newindex(cx: Cx) -> NativeResult {
    let ffi = ensure(cx);
    match find_symbol(cx)? {
        Symbol::Variable(ty, address) if !ffi.is_constant(ty, 0) => {
            let raw = ffi.types.raw(ty);
            ffi.from_lua(cx, raw, address, cx.arg(3), How::default())?;
            cx.ret0()
        }
        _ => Err(cx.error("attempt to write to constant location")),
    }
}
