//! Vector and float operations.

use ir::trace::Inst;
use ir::types::{Operand, Type};

use super::super::CodegenError;
use super::select::{Selector, unsupported};

impl Selector<'_> {
    /// Makes a value of or from a vector register.
    pub(super) fn vector_value(&mut self, inst: &Inst, _v: u32) -> Result<(), CodegenError> {
        Err(unsupported(format_args!("{} of {} to {}", inst.op.name(), inst.aty, inst.ty)))
    }

    /// A store from a vector register.
    pub(super) fn vector_store(&mut self, inst: &Inst) -> Result<(), CodegenError> {
        Err(unsupported(format_args!("a store of {}", inst.aty)))
    }

    /// The machine's flags become those of a float comparison.
    pub(super) fn float_compare(&mut self, ty: Type, _a: Operand, _b: Operand) {
        self.error.get_or_insert_with(|| unsupported(format_args!("a comparison of {ty}")));
    }
}
