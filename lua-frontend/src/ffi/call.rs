//! Calls: Lua calls C through `libffi`, C calls Lua through closures.
//!
//! Structures pass by value as the System V ABI wants: those of up to 16 bytes are described to `libffi` as one or two eightbytes
//! ([`Ffi::abi_type`]), so that unions, arrays and bit-fields need no care of their own.
//!
//! An error in a callback cannot unwind through C. It waits ([`Ffi::pending`]) while C goes on with a zero result, and is thrown when the
//! outer call returns.
//!
//! Contract of the unsafe code: function addresses and types are what the program declared. Argument buffers live on the Rust side
//! during the call and have the sizes of their types.

use std::ffi::c_void;

use libffi::middle::{Cif, Type};
use libffi::raw;

use super::Ffi;
use super::convert::{How, copy, load_pointer};
use super::types::{INVALID, Id, Kind, Member, id};
use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::object::CData;
use crate::syntax::short_source;
use crate::value::{Gc, Value};

/// The most callbacks that may exist at one time.
const MAX_CALLBACKS: usize = 4096;

/// What a closure of C leads to.
pub struct Callback {
    cx: Cx,
    /// Index in the table of functions.
    slot: i32,
    /// The type of the function.
    ty: Id,
    /// The closure's description must outlive it.
    cif: Box<Cif>,
    closure: *mut c_void,
    code: *mut c_void,
    free: bool,
}

/// Space for one argument or result.
#[repr(align(16))]
#[derive(Clone)]
struct Buffer([u8; 16]);

impl Ffi {
    /// A type for `libffi`; `None` if it cannot be passed.
    fn abi_type(&self, ty: Id) -> Option<Type> {
        let raw = self.types.raw(ty);
        let entry = self.types.get(raw);
        Some(match (entry.kind, entry.size) {
            (Kind::Void, _) => Type::void(),
            (Kind::Bool, 1) | (Kind::Int { unsigned: true, .. }, 1) => Type::u8(),
            (Kind::Int { .. }, 1) => Type::i8(),
            (Kind::Int { unsigned: true, .. }, 2) => Type::u16(),
            (Kind::Int { .. }, 2) => Type::i16(),
            (Kind::Int { unsigned: true, .. } | Kind::Bool, 4) => Type::u32(),
            (Kind::Int { .. } | Kind::Enum(_), 4) => Type::i32(),
            (Kind::Int { unsigned: true, .. }, 8) => Type::u64(),
            (Kind::Int { .. }, 8) => Type::i64(),
            (Kind::Float, 4) => Type::f32(),
            (Kind::Float, 8) => Type::f64(),
            (Kind::Float, 16) => Type::longdouble(),
            (Kind::Pointer { .. }, _) => Type::pointer(),
            (Kind::Complex { .. }, 8) => Type::structure([Type::f32(), Type::f32()]),
            (Kind::Complex { .. }, 16) => Type::structure([Type::f64(), Type::f64()]),
            (Kind::Struct(_), size) if size != INVALID => return self.struct_abi_type(raw, size),
            _ => return None,
        })
    }

    fn struct_abi_type(&self, ty: Id, size: u32) -> Option<Type> {
        if size == 0 {
            return None;
        }
        if size > 16 {
            // In memory; only the size and the alignment matter.
            let words = (size / 8) as usize;
            let rest = (size % 8) as usize;
            let mut elements =
                vec![if self.types.get(ty).align >= 3 { Type::u64() } else { Type::u32() }; words];
            if self.types.get(ty).align < 3 {
                elements.extend(vec![Type::u32(); words]);
            }
            elements.extend(vec![Type::u8(); rest]);
            return Some(Type::structure(elements));
        }
        let mut floating = [true; 2];
        self.classify(ty, 0, &mut floating);
        let mut elements = Vec::new();
        for (i, &float) in floating.iter().enumerate() {
            let left = size.saturating_sub(i as u32 * 8).min(8);
            match (float, left) {
                (_, 0) => {}
                (true, 8) => elements.push(Type::f64()),
                (true, 4) => elements.push(Type::f32()),
                (_, 8) => elements.push(Type::u64()),
                (_, 4) => elements.push(Type::u32()),
                (_, 2) => elements.push(Type::u16()),
                (_, bytes) => elements.extend(vec![Type::u8(); bytes as usize]),
            }
        }
        Some(Type::structure(elements))
    }

    /// Finds out which eightbytes hold floating-point numbers only.
    fn classify(&self, ty: Id, offset: u32, floating: &mut [bool; 2]) {
        let raw = self.types.raw(ty);
        let entry = self.types.get(raw);
        match entry.kind {
            Kind::Float | Kind::Complex { .. } => {}
            Kind::Struct(number) => {
                for field in &self.types.structs[number as usize].fields {
                    match field.member {
                        Member::Constant(_) => {}
                        Member::Bits { .. } => {
                            if let Some(class) = floating.get_mut((offset + field.offset) as usize / 8) {
                                *class = false;
                            }
                        }
                        _ => self.classify(field.ty, offset + field.offset, floating),
                    }
                }
            }
            Kind::Array { of, .. } => {
                let element = self.types.size(of).unwrap_or(0).max(1);
                let mut at = 0;
                while at < entry.size.min(16) {
                    self.classify(of, offset + at, floating);
                    at += element;
                }
            }
            _ => {
                if let Some(class) = floating.get_mut(offset as usize / 8) {
                    *class = false;
                }
            }
        }
    }

    /// The type of an argument behind `...`.
    fn variadic_type(&mut self, value: Value) -> Id {
        if value.is_number() {
            return id::DOUBLE;
        }
        if value.as_str().is_some() {
            return id::P_CONST_CHAR;
        }
        if value.is_bool() {
            return id::BOOL;
        }
        let Some(cdata) = value.as_cdata() else { return id::P_VOID };
        let (ty, _) = self.place(cdata);
        let raw = self.types.raw(ty);
        let entry = self.types.get(raw);
        match entry.kind {
            Kind::Array { of, .. } => self.types.pointer_to(of),
            Kind::Struct(_) | Kind::Function(_) => self.types.pointer_to(ty),
            Kind::Float if entry.size == 4 => id::DOUBLE,
            Kind::Int { .. } | Kind::Bool if entry.size < 4 => id::INT32,
            _ => raw,
        }
    }

    /// Calls a cdata with the arguments behind it. `None` if it is no function.
    pub fn call(&mut self, cx: Cx, cdata: Gc<CData>) -> Option<NativeResult> {
        let raw = self.types.raw(cdata.ctype);
        let (ty, address) = match self.types.get(raw).kind {
            Kind::Function(_) => (raw, load_pointer(cdata.data(), 8)),
            Kind::Pointer { to, reference } => {
                let target = self.types.raw(to);
                match self.types.get(target).kind {
                    Kind::Function(_) => (target, load_pointer(cdata.data(), 8)),
                    // A reference to a pointer to a function.
                    Kind::Pointer { to, .. } if reference => {
                        let target = self.types.raw(to);
                        if !matches!(self.types.get(target).kind, Kind::Function(_)) {
                            return None;
                        }
                        (target, load_pointer(load_pointer(cdata.data(), 8), 8))
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        let Kind::Function(number) = self.types.get(ty).kind else { return None };
        Some(self.call_function(cx, number, address))
    }

    fn call_function(&mut self, cx: Cx, number: u32, address: *mut u8) -> NativeResult {
        let function = self.types.functions[number as usize].clone();
        let given = cx.nargs().saturating_sub(1);
        let fixed = function.parameters.len();
        let cannot = "NYI: cannot call this C function (yet)";
        // Arguments are converted before they are counted.
        let mut types = function.parameters.clone();
        types.truncate(given);
        if function.variadic {
            for i in fixed..given {
                let ty = self.variadic_type(cx.arg(i + 2));
                types.push(ty);
            }
        }
        let mut abi_types = Vec::with_capacity(types.len());
        let mut buffers: Vec<Vec<Buffer>> = Vec::with_capacity(types.len());
        for (i, &ty) in types.iter().enumerate() {
            let raw = self.types.raw(ty);
            let size = self.types.size(raw).unwrap_or(8) as usize;
            let Some(abi) = self.abi_type(raw) else { return Err(cx.error(cannot)) };
            let mut buffer = vec![Buffer([0; 16]); size.div_ceil(16).max(1)];
            let how = How { argument: i + 1, ..How::default() };
            // A reference parameter takes the address of what it refers to.
            let target = match self.types.get(raw).kind {
                Kind::Pointer { to, reference: true } => self.types.pointer_to(to),
                _ => raw,
            };
            self.from_lua(cx, target, buffer.as_mut_ptr().cast(), cx.arg(i + 2), how)?;
            if i >= fixed && target == id::BOOL {
                abi_types.push(Type::i32());
            } else {
                abi_types.push(abi);
            }
            buffers.push(buffer);
        }
        if given < fixed || (given > fixed && !function.variadic) {
            return Err(cx.error("wrong number of arguments for function call"));
        }
        let result = self.types.raw(function.result);
        let Some(result_abi) = self.abi_type(result) else { return Err(cx.error(cannot)) };
        let cif = if function.variadic {
            Cif::try_new_variadic(abi_types, fixed, result_abi)
        } else {
            Cif::try_new(abi_types, result_abi)
        };
        let Ok(cif) = cif else { return Err(cx.error(cannot)) };
        let entry = self.types.get(result);
        // A structure is returned into a new object, everything else into a buffer.
        let object = match entry.kind {
            Kind::Struct(_) => Some(self.new_cdata(cx, result, entry.size.max(16))),
            _ => None,
        };
        let mut space = [Buffer([0; 16]), Buffer([0; 16])];
        let mut pointers: Vec<*mut c_void> = buffers.iter_mut().map(|b| b.as_mut_ptr().cast()).collect();
        if let Some(object) = object {
            cx.push(object);
        }
        let target: *mut c_void = match object {
            Some(object) => object.data().cast(),
            None => space.as_mut_ptr().cast(),
        };
        // SAFETY: the program declared the function so; buffers have the sizes of their types.
        unsafe {
            *libc::__errno_location() = self.errno;
            let code = std::mem::transmute::<*mut u8, Option<unsafe extern "C" fn()>>(address);
            raw::ffi_call(cif.as_raw_ptr(), code, target, pointers.as_mut_ptr());
            self.errno = *libc::__errno_location();
        }
        drop(buffers);
        if let Some(error) = self.pending.take() {
            return Err(cx.throw(self.anchors.get_int(error)));
        }
        if entry.kind == Kind::Void {
            return cx.ret0();
        }
        if let Some(object) = object {
            return cx.ret1(object);
        }
        let p: *mut u8 = space.as_mut_ptr().cast();
        if let Kind::Pointer { to, reference: true } = entry.kind {
            let value = self.to_lua(cx, to, load_pointer(p, 8));
            return cx.ret1(value);
        }
        let value = self.to_lua(cx, result, p);
        cx.ret1(value)
    }

    /// Code that calls a Lua function, if `d` is a pointer to a function that can be described.
    pub fn callback(&mut self, cx: Cx, d: Id, function: Value) -> Result<Option<*mut u8>, Throw> {
        let Kind::Pointer { to, reference: false } = self.types.get(d).kind else { return Ok(None) };
        let ty = self.types.raw(to);
        let Kind::Function(number) = self.types.get(ty).kind else { return Ok(None) };
        let description = self.types.functions[number as usize].clone();
        if description.variadic {
            return Ok(None);
        }
        let mut arguments = Vec::new();
        for &parameter in &description.parameters {
            let scalar = !matches!(self.types.get(self.types.raw(parameter)).kind, Kind::Struct(_));
            match self.abi_type(parameter).filter(|_| scalar) {
                Some(ty) => arguments.push(ty),
                None => return Ok(None),
            }
        }
        let returns_struct =
            matches!(self.types.get(self.types.raw(description.result)).kind, Kind::Struct(_));
        let Some(result) = self.abi_type(description.result).filter(|_| !returns_struct) else {
            return Ok(None);
        };
        let free = self.callbacks.iter().position(|callback| callback.free);
        if free.is_none() && self.callbacks.len() >= MAX_CALLBACKS {
            return Err(cx.error("too many callbacks"));
        }
        let Ok(cif) = Cif::try_new(arguments, result) else { return Ok(None) };
        let slot = free.unwrap_or(self.callbacks.len()) as i32;
        let mut code: *mut c_void = std::ptr::null_mut();
        // SAFETY: plain allocation of a closure.
        let closure = unsafe { raw::ffi_closure_alloc(size_of::<raw::ffi_closure>(), &raw mut code) };
        if closure.is_null() {
            return Err(cx.error("too many callbacks"));
        }
        let main = Cx { l: cx.g().main };
        let mut callback =
            Box::new(Callback { cx: main, slot, ty, cif: Box::new(cif), closure, code, free: false });
        let data: *mut Callback = &raw mut *callback;
        // SAFETY: closure and description live until the callback is freed; the box never moves.
        let status = unsafe {
            raw::ffi_prep_closure_loc(
                closure.cast(),
                callback.cif.as_raw_ptr(),
                Some(enter),
                data.cast(),
                code,
            )
        };
        if status != raw::ffi_status_FFI_OK {
            return Ok(None);
        }
        cx.raw_set(self.functions, Value::int(i64::from(slot)), function)?;
        match free {
            Some(index) => self.callbacks[index] = callback,
            None => self.callbacks.push(callback),
        }
        Ok(Some(code.cast()))
    }

    /// Changes (or with nil frees) the function behind a callback pointer.
    pub fn set_callback(&mut self, cx: Cx, cdata: Gc<CData>, function: Value) -> Result<(), Throw> {
        let entry = self.types.get(self.types.raw(cdata.ctype));
        if let Kind::Pointer { .. } = entry.kind {
            let code = load_pointer(cdata.data(), entry.size);
            let found = self.callbacks.iter_mut().find(|c| !c.free && c.code.cast::<u8>() == code);
            if let Some(callback) = found {
                let key = Value::int(i64::from(callback.slot));
                if function.is_nil() {
                    callback.free = true;
                    // SAFETY: allocated by `callback` and not freed before.
                    unsafe { raw::ffi_closure_free(callback.closure) }
                }
                return cx.raw_set(self.functions, key, function);
            }
        }
        Err(cx.error("bad callback"))
    }
}

/// Where closures lead: arguments to Lua values, the call, the result back.
unsafe extern "C" fn enter(
    _cif: *mut raw::ffi_cif,
    result: *mut c_void,
    arguments: *mut *mut c_void,
    data: *mut c_void,
) {
    // SAFETY: `data` is the callback that was given to `ffi_prep_closure_loc`.
    let callback = unsafe { &*data.cast::<Callback>() };
    let (main, slot, ty) = (callback.cx, callback.slot, callback.ty);
    // The coroutine that runs now made the call to C.
    let cx = Cx { l: main.g().cur };
    let Some(ffi) = super::library::state(cx) else { return };
    let Kind::Function(number) = ffi.types.get(ty).kind else { return };
    let description = ffi.types.functions[number as usize].clone();
    let base = cx.nargs();
    cx.push(ffi.functions.get_int(slot));
    for (i, &parameter) in description.parameters.iter().enumerate() {
        // SAFETY: one pointer per parameter.
        let p: *mut u8 = unsafe { *arguments.add(i) }.cast();
        let value = match ffi.types.get(parameter).kind {
            Kind::Pointer { to, reference: true } => ffi.to_lua(cx, to, load_pointer(p, 8)),
            _ => ffi.to_lua(cx, parameter, p),
        };
        cx.push(value);
    }
    let outcome = cx.call_pushed(description.parameters.len(), 1);
    let Some(ffi) = super::library::state(cx) else { return };
    let raw = ffi.types.raw(description.result);
    let entry = ffi.types.get(raw);
    let mut space = Buffer([0; 16]);
    let converted = outcome.and_then(|_| {
        if entry.kind == Kind::Void {
            return Ok(());
        }
        let value = cx.arg(cx.nargs());
        let how = How { result: true, ..How::default() };
        ffi.from_lua(cx, raw, space.0.as_mut_ptr(), value, how).map_err(|error| {
            // The fault is where the function ends.
            let text = cx.take_error(error);
            let place = ffi.functions.get_int(slot).as_func().and_then(|f| f.proto()).map(|proto| {
                let mut place = short_source(proto.chunk_name());
                place.extend_from_slice(format!(":{}: ", proto.firstline + proto.numline).as_bytes());
                place
            });
            let mut message = place.unwrap_or_default();
            message.extend_from_slice(text.as_str().map_or(b"bad callback".as_slice(), |text| text.bytes()));
            cx.error_plain(message)
        })
    });
    if let Err(error) = converted {
        let value = cx.take_error(error);
        if cx.raw_set(ffi.anchors, Value::int(1), value).is_ok() {
            ffi.pending = Some(1);
        }
        space.0 = [0; 16];
    }
    cx.set_top(base);
    if entry.kind != Kind::Void {
        let signed = matches!(entry.kind, Kind::Int { unsigned: false, .. } | Kind::Enum(_));
        if entry.size < 8 && !matches!(entry.kind, Kind::Float | Kind::Complex { .. }) {
            // Small integers fill the result register.
            let mut wide = u64::from_le_bytes(space.0[..8].try_into().unwrap_or_default());
            let shift = 64 - entry.size * 8;
            wide = if signed { ((wide << shift) as i64 >> shift) as u64 } else { wide << shift >> shift };
            copy(result.cast(), wide.to_le_bytes().as_ptr(), 8);
        } else {
            copy(result.cast(), space.0.as_ptr(), entry.size as usize);
        }
    }
}
