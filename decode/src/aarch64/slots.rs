//! The guest state that traces name: state slots and alias classes, as data for the trace core.
//!
//! | slots | type | holds |
//! |---|---|---|
//! | `x0` … `x30` | `i64` | general registers |
//! | `sp` | `i64` | stack pointer |
//! | `nzcv` | `flags` | N Z C V as S Z C O, **C inverted** (so that it is a subtraction's borrow); A and P hold anything |
//! | `fpcr`, `fpsr` | `i32` | floating point control and status |
//! | `tpidr` | `i64` | `TPIDR_EL0`, the thread pointer |
//! | `ex_addr`, `ex_lo`, `ex_hi` | `i64` | what the last load-exclusive read, and where; the address is all ones when there is none |
//! | `v0` … `v31` | `v128` | vector registers |
//!
//! The program counter is no slot: it is where an exit goes.
//!
//! Classes as for other guests: `guest` is all memory, `guest.stack` what is addressed by `sp` and `x29`, `guest.memory`
//! everything else; the two may overlap.

use ir::effects::Effects;
use ir::trace::Decls;
use ir::types::{ClassId, HelperId, SlotId, Type};
use std::sync::{Arc, LazyLock};

/// `x0`; 30 more follow.
pub const X0: SlotId = SlotId(0);
/// Stack pointer.
pub const SP: SlotId = SlotId(31);
/// Condition flags.
pub const FLAGS: SlotId = SlotId(32);
/// Floating point control.
pub const FPCR: SlotId = SlotId(33);
/// Floating point status.
pub const FPSR: SlotId = SlotId(34);
/// Thread pointer.
pub const TPIDR: SlotId = SlotId(35);
/// Address of the exclusive monitor.
pub const EX_ADDR: SlotId = SlotId(36);
/// What was read there.
pub const EX_LO: SlotId = SlotId(37);
/// Its upper half, if a pair.
pub const EX_HI: SlotId = SlotId(38);
/// `v0`; 31 more follow.
pub const V0: SlotId = SlotId(39);
/// How many slots there are.
pub const COUNT: usize = 71;

/// General register 0–30.
pub const fn x(n: u8) -> SlotId {
    SlotId(n as u16)
}

/// Vector register 0–31.
pub const fn v(n: u8) -> SlotId {
    SlotId(V0.0 + (n & 31) as u16)
}

/// All guest memory.
pub const GUEST: ClassId = ClassId(0);
/// Memory addressed by `sp` or `x29`.
pub const STACK: ClassId = ClassId(1);
/// Memory addressed in other ways.
pub const MEMORY: ClassId = ClassId(2);

/// `a64.simd(word, n, m, d, fpcr)`: what a vector or floating point instruction leaves in its destination.
pub const SIMD: HelperId = HelperId(0);
/// Likewise the bits that it sets in FPSR.
pub const SIMD_STATUS: HelperId = HelperId(1);
/// `a64.crc32(which, crc, data)`: log2 of the bytes, and 256 for Castagnoli's polynomial.
pub const CRC32: HelperId = HelperId(2);
/// `a64.counter()`: the virtual counter.
pub const COUNTER: HelperId = HelperId(3);

static DECLS: LazyLock<Arc<Decls>> = LazyLock::new(|| Arc::new(build()));

/// The declarations, shared by all traces of this guest.
pub fn decls() -> &'static Arc<Decls> {
    &DECLS
}

fn build() -> Decls {
    let mut d = Decls::new();
    // The names are distinct and few, so no declaration can be refused; the test below sees all of them.
    for i in 0..31 {
        let _ = d.add_slot(&format!("x{i}"), Type::I64, None);
    }
    let _ = d.add_slot("sp", Type::I64, None);
    let _ = d.add_slot("nzcv", Type::Flags, None);
    for name in ["fpcr", "fpsr"] {
        let _ = d.add_slot(name, Type::I32, None);
    }
    for name in ["tpidr", "ex_addr", "ex_lo", "ex_hi"] {
        let _ = d.add_slot(name, Type::I64, None);
    }
    for i in 0..32 {
        let _ = d.add_slot(&format!("v{i}"), Type::V128, None);
    }
    let _ = d.add_class("guest", None, &[]);
    let _ = d.add_class("guest.stack", Some(GUEST), &[]);
    let _ = d.add_class("guest.memory", Some(GUEST), &[]);
    use Type::{I32, I64, V128};
    let operands = [I64, V128, V128, V128, I32];
    let _ = d.add_helper("a64.simd", &operands, V128, Effects::PURE);
    let _ = d.add_helper("a64.simd.status", &operands, I32, Effects::PURE);
    let _ = d.add_helper("a64.crc32", &[I64, I32, I64], I32, Effects::PURE);
    let _ = d.add_helper("a64.counter", &[], I64, Effects::BARRIER);
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_declarations_agree() {
        let d = decls();
        assert_eq!(d.slots.len(), COUNT);
        for (name, slot) in [
            ("x0", X0),
            ("x30", x(30)),
            ("sp", SP),
            ("nzcv", FLAGS),
            ("fpcr", FPCR),
            ("fpsr", FPSR),
            ("tpidr", TPIDR),
            ("ex_addr", EX_ADDR),
            ("ex_lo", EX_LO),
            ("ex_hi", EX_HI),
            ("v0", V0),
            ("v31", v(31)),
        ] {
            assert_eq!(d.slot(name), Some(slot), "{name}");
        }
        for (name, helper) in [
            ("a64.simd", SIMD),
            ("a64.simd.status", SIMD_STATUS),
            ("a64.crc32", CRC32),
            ("a64.counter", COUNTER),
        ] {
            assert_eq!(d.helper(name), Some(helper), "{name}");
        }
    }
}
