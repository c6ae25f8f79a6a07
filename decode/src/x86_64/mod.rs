//! The x86-64 guest, on iced-x86's decoder and instruction tables.
//!
//! Modules in the order data flows through them: [`inst`] (what an instruction is), [`decode`] (bytes →
//! instruction), [`liveness`] (what code ahead still reads), [`slots`] (the guest's state as data),
//! `semantics` (what instructions mean, as a table), `lift` and its parts (the meaning as IR), [`native`]
//! (everything else).

pub mod decode;
pub mod inst;
pub mod liveness;
pub mod slots;

mod semantics;

mod lift;

mod operands;

mod integer;

mod bits;

mod control;

mod vector;

mod packed;

mod float;

pub mod native;

pub use decode::{BlockDecoder, decode_one};
pub use inst::{Attrs, Flow, Inst, LoopKind};

use crate::{DecodeError, Fp, Guest, GuestPc, Lifted};
use ir::builder::Builder;
use ir::trace::Decls;
use std::sync::Arc;

/// The x86-64 guest. Has no state; make one wherever it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct X86_64;

impl Guest for X86_64 {
    type Inst = Inst;

    fn decls(&self) -> &Arc<Decls> {
        slots::decls()
    }

    fn decode(&self, bytes: &[u8], pc: GuestPc) -> Result<Inst, DecodeError> {
        decode_one(bytes, pc)
    }

    fn range(&self, inst: &Inst) -> (GuestPc, GuestPc) {
        (inst.pc(), inst.next_pc())
    }

    fn is_modelled(&self, inst: &Inst, fp: Fp) -> bool {
        lift::is_modelled(inst, fp)
    }

    fn lift(&self, inst: &Inst, bytes: &[u8], fp: Fp, b: &mut Builder) -> Lifted {
        lift::lift(inst, bytes, fp, b)
    }
}
