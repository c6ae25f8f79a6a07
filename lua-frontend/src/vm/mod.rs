//! The interpreter.
//!
//! # Shape
//! Every bytecode operation is a function of its own ([`Handler`]) that ends by calling the function of the next
//! operation, with the virtual registers as arguments: coroutine, base, constants, instruction address, instruction,
//! shared state. Built with optimisation, these calls are sibling calls, that is jumps, so the registers of the virtual
//! machine are registers of the CPU throughout, and each operation is allocated registers on its own: nothing that a
//! slow path needs is saved by a fast path. (One big `match` in a loop was the alternative: there the
//! allocator spills across all arms.) The compiler makes sibling calls only of functions that keep no local in memory
//! across the call; so handlers call nothing that takes the address of a local, except in slow handlers, which are apart.
//! The test `dispatch_keeps_the_stack_flat` watches over it. Without optimisation ([`crate::vm`] without
//! `cfg(threaded)`) [`run`] is a loop that calls one handler after the other.
//!
//! The table of handlers is in the state ([`Global::dispatch`]); hooks and recorders exchange entries.
//!
//! # Slow paths
//! A fast path that does not apply tail-calls a slow handler with the same arguments. A slow handler writes the registers
//! to the coroutine ([`sync`]), does its work, which may allocate, run the collector or move the stack, and goes on
//! from the coroutine's registers. Errors are values of type [`Throw`] up to [`raise`], which unwinds frames.
//!
//! # Contract of the unsafe code in this directory
//! `base` points into the stack of `l` with at least `framesize` slots above; `k` is the middle of the constants of the
//! function in `base[-2]`; `pc` points into its instructions, which the compiler or the verifier of dumps has
//! checked: operands are in range, jumps stay inside, comparisons are followed by jumps.
//! All objects reachable from slots are alive.

pub mod thread;

pub mod func;

pub mod meta;

pub mod call;

pub mod coroutine;

pub mod arith;

mod compare;

mod data;

mod tables;

pub(crate) mod flow;

pub(crate) mod calls;

pub mod concat;

mod unwind;

pub mod fast;

mod hooks;

pub use hooks::{interrupt, set_hook};

use crate::api::Cx;
use crate::bytecode::{self, Ins, OP_COUNT, Op};
use crate::error::Throw;
use crate::object::{Proto, Thread};
use crate::state::Global;
use crate::value::Value;

pub use arith::{compute, modulo};
pub(crate) use unwind::{handled, overflow, raise};

/// Slots above `maxstack` that natives and metamethod frames may use without asking.
pub const STACK_EXTRA: usize = 48;
/// Most slots of a stack.
pub const MAX_STACK: usize = 65500;
/// Slots that a native function finds free.
pub const MIN_NATIVE: usize = 20;

/// The function of an operation. Arguments: coroutine, base, constants (number of arguments for function heads),
/// address of the next instruction, instruction, shared state.
pub type Handler =
    unsafe extern "C" fn(*mut Thread, *mut Value, *mut Value, *const Ins, u32, *mut Global) -> u64;

/// Number of entries of a dispatch table.
pub const HANDLERS: usize = 256;
/// First number of the internal operations (heads of [`crate::api::Builtin`]s).
pub const BUILTIN_BASE: usize = 128;

/// A handler returned because the loop is to go on (only without `cfg(threaded)`).
#[cfg(not(threaded))]
pub(crate) const GO_ON: u64 = 2;
/// The activation ended with results.
pub(crate) const DONE: u64 = 0;
/// The activation ended with an error.
pub(crate) const FAILED: u64 = 1;

/// Virtual registers while they are not arguments.
#[repr(C)]
pub struct Regs {
    /// The coroutine.
    pub(crate) l: *mut Thread,
    /// The base.
    pub(crate) base: *mut Value,
    /// The constants.
    pub(crate) k: *mut Value,
    /// The next instruction.
    pub(crate) pc: *const Ins,
}

impl Default for Regs {
    fn default() -> Self {
        use std::ptr::{null, null_mut};
        Regs { l: null_mut(), base: null_mut(), k: null_mut(), pc: null() }
    }
}

/// Runs the instruction at `pc`.
#[inline(always)]
pub(crate) unsafe fn next(
    l: *mut Thread,
    base: *mut Value,
    k: *mut Value,
    pc: *const Ins,
    g: *mut Global,
) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        #[cfg(threaded)]
        {
            let ins = *pc;
            let h = (*g).dispatch[(ins & 0xff) as usize];
            h(l, base, k, pc.add(1), ins, g)
        }
        #[cfg(not(threaded))]
        {
            (*g).regs = Regs { l, base, k, pc };
            GO_ON
        }
    }
}

/// Enters a function whose frame has been set up, with `n` arguments at `base`.
#[inline(always)]
pub(crate) unsafe fn enter(l: *mut Thread, base: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: the slot below the link holds a function.
    unsafe {
        let f = *base.sub(2);
        let pc = (*f.ptr::<crate::object::Func>()).pc;
        next(l, base, n as *mut Value, pc, g)
    }
}

/// Runs from a set-up frame until the activation ends.
pub(crate) unsafe fn run(l: *mut Thread, base: *mut Value, n: usize, g: *mut Global) -> u64 {
    // SAFETY: contract of the module.
    unsafe {
        #[cfg(threaded)]
        {
            enter(l, base, n, g)
        }
        #[cfg(not(threaded))]
        {
            let mut s = enter(l, base, n, g);
            while s == GO_ON {
                let Regs { l, base, k, pc } = (*g).regs;
                let ins = *pc;
                s = (*g).dispatch[(ins & 0xff) as usize](l, base, k, pc.add(1), ins, g);
            }
            s
        }
    }
}

/// Writes the registers to the coroutine; `top` becomes the end of the Lua frame.
#[inline(always)]
pub(crate) unsafe fn sync(l: *mut Thread, base: *mut Value, pc: *const Ins) {
    // SAFETY: the running function is a Lua function.
    unsafe {
        (*l).base = base;
        (*l).saved_pc = pc;
        (*l).top = base.add((*proto_at(base)).framesize as usize);
    }
}

/// The prototype of the Lua function that runs at `base`.
#[inline(always)]
pub(crate) unsafe fn proto_at(base: *mut Value) -> *mut Proto {
    // SAFETY: the slot below the link holds a Lua function, whose instructions follow its prototype.
    unsafe {
        let f = (*base.sub(2)).ptr::<crate::object::Func>();
        ((*f).pc as *mut Proto).sub(1)
    }
}

/// The constants of the Lua function that runs at `base`.
#[inline(always)]
pub(crate) unsafe fn k_at(base: *mut Value) -> *mut Value {
    // SAFETY: as `proto_at`.
    unsafe { (*proto_at(base)).k }
}

/// Slot `i` as a double, whatever it holds.
#[inline(always)]
pub(crate) unsafe fn num(base: *mut Value, i: usize) -> f64 {
    // SAFETY: operands are in range.
    unsafe { *base.add(i).cast::<f64>() }
}

/// The context of native code for a coroutine.
#[inline(always)]
pub(crate) fn cx(l: *mut Thread) -> Cx {
    Cx { l }
}

/// Defines a handler.
macro_rules! op {
    ($(#[$m:meta])* fn $name:ident($l:ident, $base:ident, $k:ident, $pc:ident, $ins:ident, $g:ident) $body:block) => {
        $(#[$m])*
        #[allow(unused_variables, reason = "all handlers have the same arguments")]
        pub(crate) unsafe extern "C" fn $name(
            $l: *mut $crate::object::Thread,
            $base: *mut $crate::value::Value,
            $k: *mut $crate::value::Value,
            $pc: *const $crate::bytecode::Ins,
            $ins: u32,
            $g: *mut $crate::state::Global,
        ) -> u64 {
            // SAFETY: contract of the module.
            unsafe { $body }
        }
    };
}
pub(crate) use op;

op! {
    /// An operation that no verified program contains.
    fn illegal(l, base, k, pc, ins, g) {
        sync(l, base, pc);
        let e = cx(l).error("invalid bytecode");
        raise(l, g, e)
    }
}

/// The handlers of a state without hooks.
pub(crate) const TABLE: [Handler; HANDLERS] = {
    let mut t: [Handler; HANDLERS] = [illegal; HANDLERS];
    macro_rules! set {
        ($($op:ident => $h:path),* $(,)?) => { $( t[Op::$op as usize] = $h; )* };
    }
    set! {
        ISLT => compare::islt, ISGE => compare::isge, ISLE => compare::isle, ISGT => compare::isgt,
        ISEQV => compare::iseqv, ISNEV => compare::isnev, ISEQS => compare::iseqs, ISNES => compare::isnes,
        ISEQN => compare::iseqn, ISNEN => compare::isnen, ISEQP => compare::iseqp, ISNEP => compare::isnep,
        ISTC => compare::istc, ISFC => compare::isfc, IST => compare::ist, ISF => compare::isf,
        MOV => data::mov, NOT => data::not, UNM => arith::unm, LEN => tables::len,
        ADDVN => arith::addvn, SUBVN => arith::subvn, MULVN => arith::mulvn, DIVVN => arith::divvn, MODVN => arith::modvn,
        ADDNV => arith::addnv, SUBNV => arith::subnv, MULNV => arith::mulnv, DIVNV => arith::divnv, MODNV => arith::modnv,
        ADDVV => arith::addvv, SUBVV => arith::subvv, MULVV => arith::mulvv, DIVVV => arith::divvv, MODVV => arith::modvv,
        POW => arith::pow, CAT => concat::cat,
        KSTR => data::kgc, KCDATA => data::kgc, KSHORT => data::kshort, KNUM => data::knum, KPRI => data::kpri, KNIL => data::knil,
        UGET => data::uget, USETV => data::usetv, USETS => data::usets, USETN => data::usetn, USETP => data::usetp,
        UCLO => data::uclo, FNEW => data::fnew,
        TNEW => tables::tnew, TDUP => tables::tdup, GGET => tables::gget, GSET => tables::gset,
        TGETV => tables::tgetv, TGETS => tables::tgets, TGETB => tables::tgetb,
        TSETV => tables::tsetv, TSETS => tables::tsets, TSETB => tables::tsetb, TSETM => tables::tsetm,
        CALLM => calls::callm, CALL => calls::call, CALLMT => calls::callmt, CALLT => calls::callt,
        ITERC => flow::iterc, ITERN => flow::itern, VARG => calls::varg, ISNEXT => flow::isnext,
        RETM => calls::retm, RET => calls::ret, RET0 => calls::ret0, RET1 => calls::ret1,
        FORI => flow::fori, FORL => flow::forl, IFORL => flow::forl,
        ITERL => flow::iterl, IITERL => flow::iterl, LOOP => flow::loop_, ILOOP => flow::loop_, JMP => flow::jmp,
        BNOT => arith::bnot, BAND => arith::band, BOR => arith::bor, BXOR => arith::bxor,
        BSHL => arith::bshl, BSHR => arith::bshr, BSAR => arith::bsar,
        FUNCF => calls::funcf, IFUNCF => calls::funcf, FUNCV => calls::funcv, IFUNCV => calls::funcv,
        FUNCC => calls::funcc, FUNCCW => calls::funcc,
    }
    use crate::api::Builtin;
    t[BUILTIN_BASE + Builtin::Pcall as usize] = calls::pcall;
    t[BUILTIN_BASE + Builtin::Xpcall as usize] = calls::xpcall;
    t[BUILTIN_BASE + Builtin::Next as usize] = calls::funcc;
    t[BUILTIN_BASE + Builtin::IpairsAux as usize] = calls::ipairs_aux;
    t[BUILTIN_BASE + Builtin::Yield as usize] = coroutine::yield_;
    t[BUILTIN_BASE + Builtin::Resume as usize] = coroutine::resume;
    t[BUILTIN_BASE + Builtin::WrapCall as usize] = coroutine::resume;
    fast::fill(&mut t);
    t
};
const _: () = assert!(OP_COUNT <= BUILTIN_BASE);

/// Makes room for a push.
#[cold]
pub(crate) fn grow_for_push(l: *mut Thread) {
    // SAFETY: the running coroutine. At the limit the reserve takes the value.
    unsafe {
        thread::grow(l, 1);
    }
}

/// See [`Cx::check_stack`].
///
/// # Errors
/// `stack overflow`
pub fn check_stack(cx: Cx, n: usize, what: &str) -> Result<(), Throw> {
    // SAFETY: the running coroutine.
    if n < MAX_STACK && unsafe { thread::grow(cx.l, n) } {
        return Ok(());
    }
    Err(if what.is_empty() {
        cx.error("stack overflow")
    } else {
        cx.error(format!("stack overflow ({what})"))
    })
}

/// Operand A of an instruction as a slot.
#[inline(always)]
pub(crate) unsafe fn ra(base: *mut Value, ins: u32) -> *mut Value {
    // SAFETY: operands are in range.
    unsafe { base.add(bytecode::a(ins)) }
}
/// Operand B as a slot.
#[inline(always)]
pub(crate) unsafe fn rb(base: *mut Value, ins: u32) -> *mut Value {
    // SAFETY: operands are in range.
    unsafe { base.add(bytecode::b(ins)) }
}
/// Operand C as a slot.
#[inline(always)]
pub(crate) unsafe fn rc(base: *mut Value, ins: u32) -> *mut Value {
    // SAFETY: operands are in range.
    unsafe { base.add(bytecode::c(ins)) }
}
/// Operand D as a slot.
#[inline(always)]
pub(crate) unsafe fn rd(base: *mut Value, ins: u32) -> *mut Value {
    // SAFETY: operands are in range.
    unsafe { base.add(bytecode::d(ins)) }
}
/// The target of a jump, from the address behind it.
#[inline(always)]
pub(crate) unsafe fn jump(pc: *const Ins, ins: u32) -> *const Ins {
    // SAFETY: jumps stay inside the function.
    unsafe { pc.offset(bytecode::j(ins)) }
}
