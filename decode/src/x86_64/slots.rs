//! The guest state that traces name: state slots and alias classes, as data for the trace core.
//!
//! Slot numbers are fixed (the constants here); [`decls`] declares them in this order, and a test holds both
//! together. `rip` is no slot: it is where an exit goes.
//!
//! | slots | type | holds |
//! |---|---|---|
//! | `rax` … `r15` | `i64` | general registers, in encoding order |
//! | `flags` | `flags` | C P A Z S O |
//! | `df` | `i1` | direction flag |
//! | `fs_base`, `gs_base` | `i64` | segment bases |
//! | `mxcsr` | `i32` | SSE control and status |
//! | `zmm0` … `zmm31` | `v512` | vector registers; `xmm` and `ymm` are their low parts |
//! | `k0` … `k7` | `i64` | mask registers |
//!
//! x87 and MMX registers are not slots. They stay in the machine, and the instructions that use them are
//! `native` operations ordered by the class `guest.x87`.
//!
//! Classes: `guest` is everything in memory; `guest.stack` (accesses by `rsp` and `rbp`, and of `push`,
//! `pop`, `call`, `ret`) and `guest.memory` (all others) are parts of it which may overlap each other: a
//! pointer into the frame is an ordinary pointer. `guest.x87` is disjoint from both.

use ir::effects::{ClassSet, EffectBits, Effects};
use ir::trace::Decls;
use ir::types::{ClassId, SlotId, Type};
use std::sync::{Arc, LazyLock};

/// Names of the general registers in encoding order.
pub const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// `rax`; the general registers follow in encoding order.
pub const RAX: SlotId = SlotId(0);
/// `rcx`.
pub const RCX: SlotId = SlotId(1);
/// `rdx`.
pub const RDX: SlotId = SlotId(2);
/// `rbx`.
pub const RBX: SlotId = SlotId(3);
/// `rsp`.
pub const RSP: SlotId = SlotId(4);
/// `rbp`.
pub const RBP: SlotId = SlotId(5);
/// `rsi`.
pub const RSI: SlotId = SlotId(6);
/// `rdi`.
pub const RDI: SlotId = SlotId(7);
/// C P A Z S O.
pub const FLAGS: SlotId = SlotId(16);
/// Direction flag.
pub const DF: SlotId = SlotId(17);
/// Base of the `fs` segment.
pub const FS_BASE: SlotId = SlotId(18);
/// Base of the `gs` segment.
pub const GS_BASE: SlotId = SlotId(19);
/// SSE control and status register.
pub const MXCSR: SlotId = SlotId(20);
/// `zmm0`; 31 more follow.
pub const ZMM0: SlotId = SlotId(21);
/// `k0`; seven more follow.
pub const K0: SlotId = SlotId(53);
/// How many slots there are.
pub const COUNT: usize = 61;

/// The slot of the general register with this encoding (low four bits).
pub const fn gpr(encoding: u8) -> SlotId {
    SlotId((encoding & 15) as u16)
}

/// The slot of vector register 0–31 (low five bits).
pub const fn zmm(number: u8) -> SlotId {
    SlotId(ZMM0.0 + (number & 31) as u16)
}

/// The slot of mask register 0–7 (low three bits).
pub const fn mask(number: u8) -> SlotId {
    SlotId(K0.0 + (number & 7) as u16)
}

/// All guest memory.
pub const GUEST: ClassId = ClassId(0);
/// Memory addressed by `rsp` or `rbp`.
pub const STACK: ClassId = ClassId(1);
/// Memory addressed in other ways.
pub const MEMORY: ClassId = ClassId(2);
/// x87 and MMX registers.
pub const X87: ClassId = ClassId(3);

/// What a load or store of unknown address in guest memory does.
pub const fn memory_effects(reads: bool, writes: bool) -> Effects {
    let all = ClassSet::one(GUEST);
    Effects {
        reads: if reads { all } else { ClassSet::EMPTY },
        writes: if writes { all } else { ClassSet::EMPTY },
        bits: if reads || writes { EffectBits::FAULTS } else { EffectBits::NONE },
    }
}

static DECLS: LazyLock<Arc<Decls>> = LazyLock::new(|| Arc::new(build()));

/// The declarations, shared by all traces of this guest.
pub fn decls() -> &'static Arc<Decls> {
    &DECLS
}

fn build() -> Decls {
    let mut d = Decls::new();
    // The names are distinct and few, so no declaration can be refused; the test below sees all of them.
    for name in GPR_NAMES {
        let _ = d.add_slot(name, Type::I64, Some(name));
    }
    let _ = d.add_slot("flags", Type::Flags, None);
    let _ = d.add_slot("df", Type::I1, None);
    let _ = d.add_slot("fs_base", Type::I64, None);
    let _ = d.add_slot("gs_base", Type::I64, None);
    let _ = d.add_slot("mxcsr", Type::I32, None);
    for i in 0..32 {
        let name = format!("zmm{i}");
        let _ = d.add_slot(&name, Type::V512, Some(&name));
    }
    for i in 0..8 {
        let name = format!("k{i}");
        let _ = d.add_slot(&name, Type::I64, Some(&name));
    }
    let _ = d.add_class("guest", None, &[]);
    let _ = d.add_class("guest.stack", Some(GUEST), &[]);
    let _ = d.add_class("guest.memory", Some(GUEST), &[]);
    let _ = d.add_class("guest.x87", None, &[GUEST]);
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
            ("rax", RAX),
            ("rcx", RCX),
            ("rdx", RDX),
            ("rbx", RBX),
            ("rsp", RSP),
            ("rbp", RBP),
            ("rsi", RSI),
            ("rdi", RDI),
            ("r15", gpr(15)),
            ("flags", FLAGS),
            ("df", DF),
            ("fs_base", FS_BASE),
            ("gs_base", GS_BASE),
            ("mxcsr", MXCSR),
            ("zmm0", zmm(0)),
            ("zmm31", zmm(31)),
            ("k0", mask(0)),
            ("k7", mask(7)),
        ] {
            assert_eq!(d.slot(name), Some(slot), "{name}");
        }
        for (name, class) in
            [("guest", GUEST), ("guest.stack", STACK), ("guest.memory", MEMORY), ("guest.x87", X87)]
        {
            assert_eq!(d.class(name), Some(class), "{name}");
        }
        assert!(d.alias().may_alias(STACK, MEMORY) && !d.alias().may_alias(X87, STACK));
    }
}
