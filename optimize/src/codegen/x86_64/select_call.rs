//! Selection of calls of helpers.
//!
//! Arguments go to the registers of the System V convention, everything else that the convention destroys is kept clear of
//! values that live on. A helper that raises says so in `rdx`; then the trace leaves by the line's exit.
//!
//! ```text
//! %7: i64 = call concat(%3, %4) else exit 2      mov rdi, …; mov rsi, …; call concat
//!                                                test rdx, rdx; jne exit 2
//! ```

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Cond, Type};

use super::super::CodegenError;
use super::asm::Width;
use super::inst::MOp;
use super::prepare::is_general;
use super::select::{Selector, unsupported};
use crate::regalloc::{RegSet, Role, VECTOR};

/// Registers of general arguments.
const ARGUMENTS: [u8; 6] = [7, 6, 2, 1, 8, 9];
/// Vector registers that hold arguments.
const VECTOR_ARGUMENTS: u8 = 8;
/// What a call destroys: `rax rcx rdx rsi rdi r8` to `r11`, and all vector registers.
const DESTROYED: RegSet = 0x0fc7 | 0xffff_ffff << VECTOR;
/// Registers of results.
const RAX: u8 = 0;
const RDX: u8 = 2;

impl Selector<'_> {
    /// A `call` line.
    pub(super) fn call(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        debug_assert_eq!(inst.op, Op::Call);
        let trace = self.trace;
        let Some((id, helper)) = trace.call_helper(inst) else { return Err(unsupported("this helper")) };
        let Some(address) = self.host.helper(id) else {
            return Err(unsupported(format_args!("helper {}", helper.name)));
        };
        let raises = helper.effects.bits.any(ir::effects::EffectBits::RAISES);
        let operands = trace.call_operands(inst);
        self.flush(self.here + 1);
        let status = if raises {
            let Some(exit) = inst.exit() else {
                return Err(unsupported("a helper that raises, without exit"));
            };
            let status = self.new_general();
            self.begin_raw(MOp::Jcc(Cond::Ne), Width::W64);
            self.exit(exit);
            self.end(0);
            self.begin_raw(MOp::Test, Width::W64);
            self.src(status, Role::Use);
            self.src(status, Role::Use);
            self.end(0);
            Some(status)
        } else {
            None
        };
        // Literals and repeated operands get registers of their own.
        let (mut general, mut vector) = (ARGUMENTS.iter().copied(), 0..VECTOR_ARGUMENTS);
        let mut sources: Vec<(u32, u8)> = Vec::with_capacity(operands.len());
        let mut copies = Vec::new();
        for (&o, &ty) in operands.iter().zip(&helper.params) {
            let (v, r) = if is_general(ty) && ty != Type::Flags {
                let Some(r) = general.next() else { return Err(unsupported("so many arguments")) };
                (self.reg(o, ty), r)
            } else if ty == Type::F64 {
                let Some(r) = vector.next() else { return Err(unsupported("so many arguments")) };
                (self.vec(o, ty), VECTOR + r)
            } else {
                return Err(unsupported(format_args!("an argument of type {ty}")));
            };
            if r < VECTOR && sources.iter().any(|s| s.0 == v) {
                let copy = self.new_general();
                copies.push((copy, v));
                sources.push((copy, r));
            } else if sources.iter().any(|s| s.0 == v) {
                return Err(unsupported("a float argument twice"));
            } else {
                sources.push((v, r));
            }
        }
        self.begin_raw(MOp::Call(address, id), Width::W64);
        for &(v, r) in &sources {
            self.src(v, Role::Fixed(r));
        }
        let mut clobbers = DESTROYED;
        let v = inst.res.0;
        if inst.has_result() && self.is_live(v) {
            let r = if is_general(inst.ty) { RAX } else { VECTOR };
            self.def_(v, Role::DefFixed(r));
            clobbers &= !(1 << r);
        }
        if let Some(status) = status {
            self.def_(status, Role::DefFixed(RDX));
            clobbers &= !(1 << RDX);
        }
        self.end(clobbers);
        for (copy, v) in copies {
            self.begin(MOp::Copy, Width::W64);
            self.src(v, Role::Any);
            self.def_(copy, Role::Def);
            self.end(0);
        }
        Ok(())
    }
}
