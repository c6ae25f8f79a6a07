//! The host x86-64.
//!
//! In the order data flows: [`prepare`] (one sweep over the trace), [`select`] with its parts `select_int`, `select_shift`, `select_multiply`, `select_flags`, `select_exits`, `select_native`,
//! `select_call`, `select_vector`
//! (lines to instructions over virtual registers, last first: [`inst`]), [`crate::regalloc`], [`emit`] (bytes, by
//! [`asm`]), [`exits`] and [`moves`] (what exits put in place).
//!
//! All sixteen general registers belong to the guest, except those that the host reserves ([`super::Host::reserved`]). Values that
//! find no register live in the thread's spill area, whose first cells are scratch memory for exits.

pub mod prepare;

mod prepare_vector;

pub mod inst;

pub mod select;

mod select_int;

mod select_shift;

mod select_multiply;

pub mod select_flags;

mod select_exits;

mod select_native;

mod select_call;

mod select_vector;

mod select_lanes;

mod select_float;

pub mod emit;

mod emit_vector;

pub mod exits;

pub mod moves;

pub mod asm;

pub mod shuffle;

pub mod vinst;

use super::{Code, CodegenError, Host};
use crate::regalloc::{Allocation, Allocator};
use ir::trace::Trace;

/// The compiler with its buffers.
#[derive(Default)]
pub struct Compiler {
    selected: select::Selected,
    allocator: Allocator,
    allocation: Allocation,
    asm: Option<asm::Asm>,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiler")
    }
}

impl Compiler {
    /// See [`super::compile`].
    ///
    /// # Errors
    /// As there.
    pub fn compile(&mut self, trace: &Trace, host: &dyn Host, at: u64) -> Result<Code, CodegenError> {
        match self.compile_as(trace, host, at, true) {
            // Something in it has no EVEX form.
            Err(_) if self.selected.kit.high => self.compile_as(trace, host, at, false),
            made => made,
        }
    }

    fn compile_as(
        &mut self,
        trace: &Trace,
        host: &dyn Host,
        at: u64,
        high: bool,
    ) -> Result<Code, CodegenError> {
        select::Selector::run(trace, host, at, high, &mut self.selected)?;
        let (_, start, end) = host.spill_area();
        let scratch = emit::SCRATCH_BYTES;
        let area = u32::try_from(end - start - scratch)
            .map_err(|_| CodegenError::TooLarge("the spill area is too small".into()))?;
        let registers = (select::GENERAL | self.selected.vector_registers) & !host.reserved();
        self.allocator
            .run(&mut self.selected.program, registers, 1 << select::RSP, area, &mut self.allocation)
            .map_err(|e| CodegenError::TooLarge(e.to_string()))?;
        if cfg!(debug_assertions) {
            crate::regcheck::check(&self.selected.program, &self.allocation)
                .map_err(|e| CodegenError::Bug(e.to_string()))?;
        }
        let mut asm = self.asm.take().unwrap_or_else(|| asm::Asm::new(at));
        asm.reset(at);
        let (code, asm) = emit::Emitter::run(trace, host, &self.selected, &self.allocation, asm)?;
        self.asm = Some(asm);
        Ok(code)
    }
}
