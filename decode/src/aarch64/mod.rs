//! The AArch64 guest.
//!
//! Modules in the order data flows through them: [`inst`] and [`simd`] (words → instructions), [`slots`] (the guest's state
//! as data), `lift` and its parts `integer`, `memory`, `system`, `vector`, `float` (the meaning as IR), [`soft`] on [`softfp`]
//! (the reference for everything about floating point and vectors, which helpers call).
//!
//! Words are decoded here and not by a library: reserved encodings have to be refused exactly, translation of cold code is
//! what start-up costs, and the lifter wants fields, not operands for printing.
//!
//! Modelled: Armv8.0-A for user programs, and what [`HWCAP`] says. Addresses have no tags.

pub mod inst;

pub mod simd;

pub mod slots;

mod lift;

mod integer;

mod memory;

pub mod system;

mod vector;

mod float;

pub mod softfp;

pub mod soft;

pub use inst::Form;
pub use lift::{nzcv, packed};

use crate::{DecodeError, Fp, Guest, GuestPc, Lifted};
use ir::builder::Builder;
use ir::trace::Decls;
use ir::types::{HelperId, Wide};
use std::sync::Arc;

/// `AT_HWCAP` for the guest: floating point, vectors, CRC-32, atomics, and reading of identification registers.
pub const HWCAP: u64 = 1 | 1 << 1 | 1 << 7 | 1 << 8 | 1 << 11;

/// [`ir::snapshot::ExitKind::Trap`]: `brk`.
pub const TRAP_BREAKPOINT: u8 = 1;
/// Likewise: instruction memory was changed at the address that the instruction (`ic ivau`) names; it is still to be stepped over.
pub const TRAP_CODE_CHANGED: u8 = 2;

/// A decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inst {
    /// Where it is.
    pub pc: GuestPc,
    /// What it is.
    pub form: Form,
}

/// The AArch64 guest. Has no state; make one wherever it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AArch64;

impl Guest for AArch64 {
    type Inst = Inst;

    fn decls(&self) -> &Arc<Decls> {
        slots::decls()
    }

    fn decode(&self, bytes: &[u8], pc: GuestPc) -> Result<Inst, DecodeError> {
        let Some(&word) = bytes.first_chunk::<4>() else {
            return Err(DecodeError::Truncated { pc, available: bytes.len() });
        };
        match inst::decode(u32::from_le_bytes(word), pc.0) {
            Some(form) => Ok(Inst { pc, form }),
            None => Err(DecodeError::Invalid { pc }),
        }
    }

    fn range(&self, inst: &Inst) -> (GuestPc, GuestPc) {
        (inst.pc, inst.pc.offset(4))
    }

    fn is_modelled(&self, inst: &Inst, fp: Fp) -> bool {
        match (&inst.form, fp) {
            (Form::Brk | Form::Cache { instructions: true, .. }, _) => false,
            (_, Fp::Native) => true,
            (Form::Simd(s), _) => vector::is_lifted(s),
            (Form::Two { op: inst::Two::Crc32 { .. }, .. }, _) => false,
            _ => true,
        }
    }

    fn lift(&self, inst: &Inst, _bytes: &[u8], fp: Fp, b: &mut Builder) -> Lifted {
        lift::lift(&inst.form, inst.pc.0, fp, b)
    }
}

/// What one of this guest's pure helpers gives; `None` for a helper that is not one of them.
pub fn call(id: HelperId, args: &[Wide]) -> Option<Wide> {
    let wide = |i: usize| args.get(i).map_or(0, |w| u128::from(w[0]) | u128::from(w[1]) << 64);
    let of = |x: u128| {
        let mut w = ir::types::ZERO;
        (w[0], w[1]) = (x as u64, (x >> 64) as u64);
        w
    };
    match id {
        slots::SIMD | slots::SIMD_STATUS => {
            let s = simd::decode(wide(0) as u32)?;
            let mut fp = softfp::Fp::new(wide(4) as u32);
            let r = soft::execute(&s, wide(1), wide(2), wide(3), &mut fp);
            Some(of(if id == slots::SIMD { r } else { fp.raised.into() }))
        }
        slots::CRC32 => {
            let which = wide(0);
            let bytes = 1 << (which & 3);
            Some(of(soft::crc32(which & 256 != 0, bytes, wide(1) as u32, wide(2) as u64).into()))
        }
        _ => None,
    }
}
