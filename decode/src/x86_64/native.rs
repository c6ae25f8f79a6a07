//! What is not modelled: a `native` operation with the instruction's exact registers, flags and memory, or
//! a way out of the trace for what cannot stand in one.
//!
//! Effects come from iced's instruction info. Rules on top of it:
//! - A register that is written in part, or only sometimes, is also read.
//! - Vector instructions read and write MXCSR (rounding mode, sticky exception flags).
//! - x87 and MMX registers are the class `guest.x87`, read and written.
//! - Prefetches stay where they are. Non-temporal stores are ordinary stores: they keep their place among the others, so
//!   a fence after them does what the guest meant.
//! - A write of a register that is no slot (a segment register) makes the operation a barrier.
//! - Unless every effect of the instruction is known to be in iced's tables ([`has_known_effects`]), the
//!   operation is a barrier.
//!
//! A trace leaves before an instruction that does not continue with the next one, and before those whose
//! meaning depends on registers that the runtime owns: `gs` operands, and writes of segment bases.

use super::inst::{Attrs, Inst};
use super::lift::Lifter;
use super::liveness::{STATUS_FLAGS, flag_effects, keeps_destination};
use super::slots;
use crate::Lifted;
use iced_x86::{
    CpuidFeature, EncodingKind, InstructionInfoFactory, Mnemonic, OpAccess, Register, RflagsBits,
};
use ir::effects::{ClassSet, EffectBits, Effects};
use ir::snapshot::ExitKind;
use ir::types::SlotId;

impl Lifter<'_> {
    /// Writes the `native` operation, or leaves.
    pub(super) fn native(&mut self, bytes: &[u8]) -> Lifted {
        let leaves = Attrs::GS
            | Attrs::RDGSBASE
            | Attrs::WRGSBASE
            | Attrs::WRFSBASE
            | Attrs::SEGMENT_LOAD
            | Attrs::PRIVILEGED;
        if !self.inst.flow().is_next() || self.inst.attrs().intersects(leaves) {
            return Lifted::Leave { resume: self.inst.pc(), kind: ExitKind::Step };
        }
        let summary = Summary::of(self.inst);
        self.b.native(bytes, &summary.reads, &summary.writes, summary.effects);
        Lifted::Next
    }
}

/// Everything an instruction does, in terms of the guest's slots and classes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Slots it reads, or writes in part. Ascending.
    pub reads: Vec<SlotId>,
    /// Slots it may write. Ascending.
    pub writes: Vec<SlotId>,
    /// Memory, faults, ordering.
    pub effects: Effects,
}

impl Summary {
    /// The effects of an instruction, modelled or not.
    pub fn of(inst: &Inst) -> Summary {
        let raw = inst.raw();
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(raw);
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let keeps = keeps_destination(inst);
        let mut machine = false;
        let (mut x87, mut vector) = (raw.fpu_stack_increment_info().writes_top(), false);
        for used in info.used_registers() {
            let register = used.register();
            x87 |= register.is_st() || register.is_mm();
            vector |= register.is_vector_register();
            let Some((slot, whole)) = slot_of(register) else {
                let hidden = !register.is_st() && !register.is_mm() && !register.is_ip();
                machine |= hidden && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead);
                continue;
            };
            let (read, write, sometimes) = match used.access() {
                OpAccess::None | OpAccess::NoMemAccess => (false, false, false),
                OpAccess::Read | OpAccess::CondRead => (true, false, false),
                OpAccess::Write => (false, true, false),
                OpAccess::CondWrite => (false, true, true),
                OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true, false),
            };
            if read || write && (sometimes || keeps || !whole) {
                reads.push(slot);
            }
            if write {
                writes.push(slot);
            }
        }
        let flags = flag_effects(inst);
        if flags.read & STATUS_FLAGS != 0 || flags.changed != 0 && flags.killed != STATUS_FLAGS {
            reads.push(slots::FLAGS);
        }
        if flags.changed != 0 {
            writes.push(slots::FLAGS);
        }
        if raw.rflags_read() & RflagsBits::DF != 0 {
            reads.push(slots::DF);
        }
        if raw.rflags_modified() & RflagsBits::DF != 0 {
            writes.push(slots::DF);
        }
        if inst.attrs().intersects(Attrs::FS | Attrs::RDFSBASE) {
            reads.push(slots::FS_BASE);
        }
        if inst.attrs().contains(Attrs::GS) {
            reads.push(slots::GS_BASE);
        }
        if vector || matches!(raw.mnemonic(), Mnemonic::Ldmxcsr | Mnemonic::Stmxcsr) {
            reads.push(slots::MXCSR);
            writes.push(slots::MXCSR);
        }
        x87 |= raw.encoding() == EncodingKind::Legacy
            && raw.cpuid_features().iter().any(|f| {
                matches!(
                    f,
                    CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387 | CpuidFeature::MMX
                )
            });

        let mut effects = Effects::PURE;
        if has_known_effects(inst) && !machine {
            for memory in info.used_memory() {
                let (read, write) = match memory.access() {
                    OpAccess::None | OpAccess::NoMemAccess => (false, false),
                    OpAccess::Read | OpAccess::CondRead => (true, false),
                    OpAccess::Write | OpAccess::CondWrite => (false, true),
                    OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
                };
                effects = effects.join(slots::memory_effects(read, write));
            }
            if inst.attrs().contains(Attrs::LOCKED) {
                effects.bits = effects.bits.or(EffectBits::ORDERS);
            }
            // Divisions, and vector instructions with unmasked exceptions.
            if vector || x87 || matches!(raw.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) {
                effects.bits = effects.bits.or(EffectBits::FAULTS);
            }
        } else {
            effects = Effects::BARRIER;
        }
        if is_prefetch(raw.mnemonic()) {
            effects.bits = effects.bits.or(EffectBits::KEEP);
        }
        if x87 {
            let class = ClassSet::one(slots::X87);
            effects = effects.join(Effects { reads: class, writes: class, bits: EffectBits::KEEP });
        }
        for list in [&mut reads, &mut writes] {
            list.sort_unstable();
            list.dedup();
        }
        Summary { reads, writes, effects }
    }
}

/// The slot behind a register, and whether writing the register replaces the whole slot.
fn slot_of(register: Register) -> Option<(SlotId, bool)> {
    let number = register.full_register().number() as u8;
    if register.is_gpr() {
        Some((slots::gpr(number), register.is_gpr64()))
    } else if register.is_vector_register() {
        Some((slots::zmm(register.number() as u8), register.is_zmm()))
    } else if register.is_k() {
        Some((slots::mask(register.number() as u8), true))
    } else {
        None
    }
}

/// Prefetches touch no memory that anyone can see, and must not vanish.
fn is_prefetch(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::Prefetchnta | M::Prefetcht0 | M::Prefetcht1 | M::Prefetcht2 | M::Prefetchw | M::Prefetch
    )
}

/// Are all its effects in iced's tables? True for arithmetic on general, vector and mask registers; false for
/// everything with effects on the machine (time stamps, cache control, state components, …).
fn has_known_effects(inst: &Inst) -> bool {
    let raw = inst.raw();
    if raw.is_save_restore_instruction() || raw.is_privileged() {
        return false;
    }
    if raw.encoding() != EncodingKind::Legacy {
        return true;
    }
    use Mnemonic as M;
    match raw.mnemonic() {
        M::Lfence
        | M::Sfence
        | M::Mfence
        | M::Pause
        | M::Ldmxcsr
        | M::Stmxcsr
        | M::Maskmovdqu
        | M::Pushf
        | M::Pushfq
        | M::Popf
        | M::Popfq => return false,
        _ => {}
    }
    raw.cpuid_features().iter().all(|f| {
        use CpuidFeature as F;
        matches!(
            f,
            F::INTEL8086
                | F::INTEL186
                | F::INTEL286
                | F::INTEL386
                | F::INTEL486
                | F::X64
                | F::CMOV
                | F::CX8
                | F::CMPXCHG16B
                | F::POPCNT
                | F::LZCNT
                | F::BMI1
                | F::BMI2
                | F::ADX
                | F::MOVBE
                | F::MMX
                | F::PREFETCHW
                | F::SSE
                | F::SSE2
                | F::SSE3
                | F::SSSE3
                | F::SSE4_1
                | F::SSE4_2
                | F::SSE4A
                | F::AES
                | F::PCLMULQDQ
                | F::SHA
                | F::GFNI
                | F::FPU
                | F::FPU287
                | F::FPU387
        )
    })
}
