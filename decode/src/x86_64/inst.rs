//! A decoded instruction, and the summary of it that translators ask for.
//!
//! Terms
//! - *Flow*: how control leaves the instruction ([`Flow`]). Everything that may leave the straight line is
//!   a variant of its own, so that a translator which matches exhaustively cannot forget a case.
//! - *Attributes*: position- and context-dependence ([`Attrs`]). An instruction is *copyable* when its
//!   bytes, executed at another address with the guest's registers in place, do exactly what they do at
//!   home ([`Inst::is_copyable`]).
//!
//! Assumes: 64-bit mode, user privilege. Privileged instructions are ordinary, copyable ones here: they
//! fault in the copy as they do at home.
//!
//! Cost: building the summary is a table lookup and two small matches; no operand analysis.

use crate::GuestPc;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// How control leaves an instruction. Targets are guest addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Continues with the next instruction (or faults).
    Next,
    /// Conditional jump on flags.
    Jcc {
        /// x86 condition code 0–15 (`jo` … `jg`); bit 0 negates.
        cond: u8,
        /// Where it goes when the condition holds.
        target: GuestPc,
    },
    /// `jrcxz`, `jecxz`, `loop`, `loope`, `loopne`.
    Loop {
        /// Which of them.
        kind: LoopKind,
        /// Counter is `ecx` (address-size prefix) rather than `rcx`.
        ecx: bool,
        /// Where it goes when taken.
        target: GuestPc,
    },
    /// Direct jump.
    Jmp {
        /// Where it goes.
        target: GuestPc,
    },
    /// Jump through a register or 64-bit memory operand.
    JmpIndirect,
    /// Direct call; pushes the address of the next instruction.
    Call {
        /// Where it goes.
        target: GuestPc,
    },
    /// Call through a register or 64-bit memory operand.
    CallIndirect,
    /// Near return.
    Ret {
        /// Bytes released above the return address.
        pop: u16,
    },
    /// `syscall`.
    Syscall,
    /// `sysenter`: a 32-bit entry even from 64-bit mode; Linux serves it through the compat path.
    Sysenter,
    /// `int imm8`. Vector 0x80 is the 32-bit system call.
    Int {
        /// Interrupt vector.
        vector: u8,
    },
    /// `int3` (the one-byte breakpoint).
    Int3,
    /// `int1` / `icebp`.
    Int1,
    /// `ud0`, `ud1`, `ud2`: raises `#UD`.
    Undefined,
    /// `hlt`: raises `#GP` in user mode.
    Hlt,
    /// `iret` of any width.
    Iret,
    /// Far jump, call or return: loads `cs`.
    Far,
    /// `xbegin`: may later resume at the target with every register rolled back.
    Xbegin {
        /// The abort handler.
        target: GuestPc,
    },
    /// `xabort` and `xend`.
    TransactionEnd,
    /// Anything else that does not simply continue: virtualisation calls, `sysret`, `uiret`, branches with
    /// a 16-bit operand size, … Run it natively at its home address or let it fault.
    Other,
}

impl Flow {
    /// Does execution always continue at the next instruction (unless it faults)?
    pub const fn is_next(self) -> bool {
        matches!(self, Flow::Next)
    }

    /// The direct target, if the encoding has one.
    pub const fn target(self) -> Option<GuestPc> {
        match self {
            Flow::Jcc { target, .. }
            | Flow::Loop { target, .. }
            | Flow::Jmp { target }
            | Flow::Call { target }
            | Flow::Xbegin { target } => Some(target),
            _ => None,
        }
    }
}

/// The counter branches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoopKind {
    /// `jrcxz`/`jecxz`: taken when the counter is zero; does not change it.
    Jrcxz,
    /// `loop`: decrements; taken when not zero.
    Loop,
    /// `loope`: decrements; taken when not zero and ZF.
    Loope,
    /// `loopne`: decrements; taken when not zero and not ZF.
    Loopne,
}

bitflags::bitflags! {
    /// What an instruction depends on besides registers, flags and memory at absolute places.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Attrs: u32 {
        /// Memory operand relative to `rip` (or `eip`).
        const RIP_RELATIVE = 1 << 0;
        /// Memory operand with an `fs` segment.
        const FS = 1 << 1;
        /// Memory operand with a `gs` segment.
        const GS = 1 << 2;
        /// `rdfsbase`.
        const RDFSBASE = 1 << 3;
        /// `rdgsbase`.
        const RDGSBASE = 1 << 4;
        /// `wrfsbase`.
        const WRFSBASE = 1 << 5;
        /// `wrgsbase`.
        const WRGSBASE = 1 << 6;
        /// Loads `fs` or `gs` by selector (`mov fs,ax`, `pop gs`, `lfs`), which replaces the base.
        const SEGMENT_LOAD = 1 << 7;
        /// `rdtsc`, `rdtscp`.
        const RDTSC = 1 << 8;
        /// `cpuid`.
        const CPUID = 1 << 9;
        /// `xgetbv`.
        const XGETBV = 1 << 10;
        /// Stores the x87 instruction pointer (`fnstenv`, `fnsave`, `fxsave`, `xsave…`): a copied x87
        /// instruction shows there with the address of the copy.
        const X87_POINTER = 1 << 11;
        /// Has a `lock` prefix, or is `xchg` with memory.
        const LOCKED = 1 << 12;
        /// String instruction with a `rep` prefix: interruptible, with its progress in the registers.
        const REP_STRING = 1 << 13;
        /// Has a memory operand, explicit or by string registers (`lea` and `nop` count too; stack
        /// accesses of `push`, `pop`, `call`, `ret` do not).
        const MEMORY = 1 << 14;
        /// `pushf`, `popf`: all of rflags, with TF, AC and ID.
        const ALL_FLAGS = 1 << 15;
        /// Raises `#GP` in user mode.
        const PRIVILEGED = 1 << 16;
    }
}

impl Attrs {
    /// What forbids copying the bytes as they are, while the runtime owns `gs` and the copy has its own
    /// address.
    pub const NOT_COPYABLE: Attrs = Attrs::RIP_RELATIVE
        .union(Attrs::GS)
        .union(Attrs::RDGSBASE)
        .union(Attrs::WRGSBASE)
        .union(Attrs::WRFSBASE)
        .union(Attrs::SEGMENT_LOAD);
}

/// A decoded instruction with its summary. 64 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Inst {
    raw: Instruction,
    flow: Flow,
    attrs: Attrs,
    displacement_offset: u8,
}

const _: () = assert!(size_of::<Inst>() <= 64);

impl Inst {
    /// Summarises a valid instruction. `displacement_offset` is asked for only when the instruction has a
    /// RIP-relative operand.
    #[inline]
    pub(super) fn new(raw: Instruction, displacement_offset: impl FnOnce(&Instruction) -> usize) -> Inst {
        let flow = match raw.flow_control() {
            FlowControl::Next => match raw.code() {
                Code::Hlt => Flow::Hlt,
                Code::Xabort_imm8 | Code::Xend => Flow::TransactionEnd,
                _ => Flow::Next,
            },
            other => flow(&raw, other),
        };
        let attrs = attrs(&raw);
        let displacement_offset =
            if attrs.contains(Attrs::RIP_RELATIVE) { displacement_offset(&raw) as u8 } else { 0 };
        Inst { raw, flow, attrs, displacement_offset }
    }

    /// The instruction with its operands, as iced describes it.
    pub fn raw(&self) -> &Instruction {
        &self.raw
    }

    /// Its address.
    pub fn pc(&self) -> GuestPc {
        GuestPc(self.raw.ip())
    }

    /// Its length in bytes, 1–15.
    #[expect(clippy::len_without_is_empty, reason = "an instruction is never empty")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// The address after it.
    pub fn next_pc(&self) -> GuestPc {
        GuestPc(self.raw.next_ip())
    }

    /// How control leaves it.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// What it depends on.
    pub fn attrs(&self) -> Attrs {
        self.attrs
    }

    /// May its bytes be executed as they are at another address, with `gs` owned by the runtime?
    #[inline]
    pub fn is_copyable(&self) -> bool {
        self.flow.is_next() && !self.attrs.intersects(Attrs::NOT_COPYABLE)
    }

    /// The absolute address of a RIP-relative memory operand.
    pub fn rip_relative_address(&self) -> Option<u64> {
        self.attrs.contains(Attrs::RIP_RELATIVE).then(|| self.raw.ip_rel_memory_address())
    }

    /// Offset in the instruction of the 32-bit displacement of a RIP-relative operand.
    pub fn rip_displacement_offset(&self) -> Option<usize> {
        self.attrs.contains(Attrs::RIP_RELATIVE).then_some(usize::from(self.displacement_offset))
    }

    /// Operand width of the implicit or explicit stack access in bytes, and its direction: positive for
    /// what pops, negative for what pushes, 0 for none.
    pub fn stack_increment(&self) -> i32 {
        self.raw.stack_pointer_increment()
    }
}

/// The flow of whatever does not simply continue.
fn flow(raw: &Instruction, class: FlowControl) -> Flow {
    let target = || GuestPc(raw.near_branch64());
    let loops = |kind, ecx| Flow::Loop { kind, ecx, target: target() };
    match class {
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => match raw.code() {
            Code::Jrcxz_rel8_64 => loops(LoopKind::Jrcxz, false),
            Code::Jecxz_rel8_64 => loops(LoopKind::Jrcxz, true),
            Code::Loop_rel8_64_RCX => loops(LoopKind::Loop, false),
            Code::Loop_rel8_64_ECX => loops(LoopKind::Loop, true),
            Code::Loope_rel8_64_RCX => loops(LoopKind::Loope, false),
            Code::Loope_rel8_64_ECX => loops(LoopKind::Loope, true),
            Code::Loopne_rel8_64_RCX => loops(LoopKind::Loopne, false),
            Code::Loopne_rel8_64_ECX => loops(LoopKind::Loopne, true),
            _ => match (raw.condition_code() as u8, raw.op0_kind()) {
                // iced numbers conditions from 1, in the order of their codes.
                (code @ 1.., OpKind::NearBranch64) => Flow::Jcc { cond: code - 1, target: target() },
                _ => Flow::Other,
            },
        },
        FlowControl::UnconditionalBranch => match raw.op0_kind() {
            OpKind::NearBranch64 => Flow::Jmp { target: target() },
            _ => Flow::Other,
        },
        FlowControl::IndirectBranch => match raw.code() {
            Code::Jmp_rm64 => Flow::JmpIndirect,
            Code::Jmp_m1616 | Code::Jmp_m1632 | Code::Jmp_m1664 => Flow::Far,
            _ => Flow::Other,
        },
        FlowControl::Call => match raw.code() {
            Code::Call_rel32_64 => Flow::Call { target: target() },
            Code::Syscall => Flow::Syscall,
            Code::Sysenter => Flow::Sysenter,
            _ => Flow::Other,
        },
        FlowControl::IndirectCall => match raw.code() {
            Code::Call_rm64 => Flow::CallIndirect,
            Code::Call_m1616 | Code::Call_m1632 | Code::Call_m1664 => Flow::Far,
            _ => Flow::Other,
        },
        FlowControl::Return => match raw.code() {
            Code::Retnq => Flow::Ret { pop: 0 },
            Code::Retnq_imm16 => Flow::Ret { pop: raw.immediate16() },
            Code::Iretw | Code::Iretd | Code::Iretq => Flow::Iret,
            Code::Retfw
            | Code::Retfd
            | Code::Retfq
            | Code::Retfw_imm16
            | Code::Retfd_imm16
            | Code::Retfq_imm16 => Flow::Far,
            _ => Flow::Other,
        },
        FlowControl::Interrupt => match raw.code() {
            Code::Int3 => Flow::Int3,
            Code::Int1 => Flow::Int1,
            Code::Int_imm8 => Flow::Int { vector: raw.immediate8() },
            _ => Flow::Other,
        },
        FlowControl::XbeginXabortXend => match (raw.mnemonic(), raw.op0_kind()) {
            (Mnemonic::Xbegin, OpKind::NearBranch64) => Flow::Xbegin { target: target() },
            _ => Flow::Other,
        },
        FlowControl::Exception => match raw.mnemonic() {
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Flow::Undefined,
            _ => Flow::Other,
        },
    }
}

fn attrs(raw: &Instruction) -> Attrs {
    let mut attrs = by_mnemonic(raw);
    if has_memory(raw) {
        attrs |= Attrs::MEMORY;
        if matches!(raw.memory_base(), Register::RIP | Register::EIP) {
            attrs |= Attrs::RIP_RELATIVE;
        }
        if raw.has_segment_prefix() {
            match raw.segment_prefix() {
                Register::FS => attrs |= Attrs::FS,
                Register::GS => attrs |= Attrs::GS,
                _ => {}
            }
        }
    }
    if raw.has_lock_prefix() {
        attrs |= Attrs::LOCKED;
    }
    attrs
}

/// Memory operands stand at most in the first three positions, except those of gathers and permutes with a
/// register in front; string operands are in the first two.
fn has_memory(raw: &Instruction) -> bool {
    // `OpKind` lists all memory kinds after the last register, branch and immediate kind.
    const _: () = assert!(OpKind::MemorySegSI as u8 > OpKind::Immediate32to64 as u8);
    let is_memory = |k: OpKind| k as u8 >= OpKind::MemorySegSI as u8;
    is_memory(raw.op0_kind())
        || is_memory(raw.op1_kind())
        || is_memory(raw.op2_kind())
        || (raw.op3_kind() as u8 | raw.op4_kind() as u8 != 0
            && (is_memory(raw.op3_kind()) || is_memory(raw.op4_kind())))
}

/// The attributes that follow from what the instruction is. All but string instructions and those listed
/// have none.
fn by_mnemonic(raw: &Instruction) -> Attrs {
    match raw.mnemonic() {
        Mnemonic::Rdfsbase => Attrs::RDFSBASE,
        Mnemonic::Rdgsbase => Attrs::RDGSBASE,
        Mnemonic::Wrfsbase => Attrs::WRFSBASE,
        Mnemonic::Wrgsbase => Attrs::WRGSBASE,
        Mnemonic::Rdtsc | Mnemonic::Rdtscp => Attrs::RDTSC,
        Mnemonic::Cpuid => Attrs::CPUID,
        Mnemonic::Xgetbv => Attrs::XGETBV,
        Mnemonic::Fnstenv
        | Mnemonic::Fstenv
        | Mnemonic::Fnsave
        | Mnemonic::Fsave
        | Mnemonic::Fxsave
        | Mnemonic::Fxsave64
        | Mnemonic::Xsave
        | Mnemonic::Xsave64
        | Mnemonic::Xsavec
        | Mnemonic::Xsavec64
        | Mnemonic::Xsaveopt
        | Mnemonic::Xsaveopt64 => Attrs::X87_POINTER,
        Mnemonic::Pushf | Mnemonic::Pushfq | Mnemonic::Popf | Mnemonic::Popfq => Attrs::ALL_FLAGS,
        Mnemonic::Lfs | Mnemonic::Lgs => Attrs::SEGMENT_LOAD,
        Mnemonic::Mov | Mnemonic::Pop => match (raw.op0_kind(), raw.op0_register()) {
            (OpKind::Register, Register::FS | Register::GS) => Attrs::SEGMENT_LOAD,
            (OpKind::Register, r) if r.is_cr() || r.is_dr() => Attrs::PRIVILEGED,
            _ if raw.mnemonic() == Mnemonic::Mov
                && raw.op1_kind() == OpKind::Register
                && (raw.op1_register().is_cr() || raw.op1_register().is_dr()) =>
            {
                Attrs::PRIVILEGED
            }
            _ => Attrs::empty(),
        },
        Mnemonic::Xchg if has_memory(raw) => Attrs::LOCKED,
        Mnemonic::Movsb
        | Mnemonic::Movsw
        | Mnemonic::Movsd
        | Mnemonic::Movsq
        | Mnemonic::Stosb
        | Mnemonic::Stosw
        | Mnemonic::Stosd
        | Mnemonic::Stosq
        | Mnemonic::Lodsb
        | Mnemonic::Lodsw
        | Mnemonic::Lodsd
        | Mnemonic::Lodsq
        | Mnemonic::Scasb
        | Mnemonic::Scasw
        | Mnemonic::Scasd
        | Mnemonic::Scasq
        | Mnemonic::Cmpsb
        | Mnemonic::Cmpsw
        | Mnemonic::Cmpsd
        | Mnemonic::Cmpsq
            if raw.is_string_instruction() && (raw.has_rep_prefix() || raw.has_repne_prefix()) =>
        {
            Attrs::REP_STRING
        }
        Mnemonic::Cli
        | Mnemonic::Sti
        | Mnemonic::In
        | Mnemonic::Out
        | Mnemonic::Insb
        | Mnemonic::Insw
        | Mnemonic::Insd
        | Mnemonic::Outsb
        | Mnemonic::Outsw
        | Mnemonic::Outsd
        | Mnemonic::Rdmsr
        | Mnemonic::Wrmsr
        | Mnemonic::Swapgs
        | Mnemonic::Xsetbv
        | Mnemonic::Invd
        | Mnemonic::Wbinvd
        | Mnemonic::Clts => Attrs::PRIVILEGED,
        _ => Attrs::empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86_64::decode_one;

    fn inst(bytes: &[u8]) -> Inst {
        decode_one(bytes, GuestPc(0x1000)).unwrap()
    }

    #[test]
    fn every_way_out_has_its_flow() {
        let at = |d: u64| GuestPc(0x1000 + d);
        let cases: &[(&[u8], Flow)] = &[
            (&[0x90], Flow::Next),
            (&[0x74, 0x10], Flow::Jcc { cond: 4, target: at(0x12) }),
            (&[0x0f, 0x8f, 0, 1, 0, 0], Flow::Jcc { cond: 15, target: at(0x106) }),
            (&[0xe3, 0x00], Flow::Loop { kind: LoopKind::Jrcxz, ecx: false, target: at(2) }),
            (&[0x67, 0xe3, 0x00], Flow::Loop { kind: LoopKind::Jrcxz, ecx: true, target: at(3) }),
            (&[0xe2, 0x00], Flow::Loop { kind: LoopKind::Loop, ecx: false, target: at(2) }),
            (&[0x67, 0xe1, 0x00], Flow::Loop { kind: LoopKind::Loope, ecx: true, target: at(3) }),
            (&[0xe0, 0x00], Flow::Loop { kind: LoopKind::Loopne, ecx: false, target: at(2) }),
            (&[0xeb, 0xfe], Flow::Jmp { target: at(0) }),
            (&[0xe9, 0, 0, 0, 0], Flow::Jmp { target: at(5) }),
            (&[0xff, 0xe0], Flow::JmpIndirect),
            (&[0x3e, 0xff, 0x20], Flow::JmpIndirect),
            (&[0xe8, 0, 0, 0, 0], Flow::Call { target: at(5) }),
            (&[0xff, 0xd0], Flow::CallIndirect),
            (&[0xff, 0x18], Flow::Far),
            (&[0xff, 0x28], Flow::Far),
            (&[0xcb], Flow::Far),
            (&[0xc3], Flow::Ret { pop: 0 }),
            (&[0xf3, 0xc3], Flow::Ret { pop: 0 }),
            (&[0xc2, 8, 0], Flow::Ret { pop: 8 }),
            (&[0x0f, 0x05], Flow::Syscall),
            (&[0x0f, 0x34], Flow::Sysenter),
            (&[0xcd, 0x80], Flow::Int { vector: 0x80 }),
            (&[0xcc], Flow::Int3),
            (&[0xf1], Flow::Int1),
            (&[0x0f, 0x0b], Flow::Undefined),
            (&[0xf4], Flow::Hlt),
            (&[0x48, 0xcf], Flow::Iret),
            (&[0xc7, 0xf8, 0, 0, 0, 0], Flow::Xbegin { target: at(6) }),
            (&[0xc6, 0xf8, 1], Flow::TransactionEnd),
            (&[0x0f, 0x01, 0xd9], Flow::Other),
        ];
        for (bytes, flow) in cases {
            assert_eq!(inst(bytes).flow(), *flow, "{bytes:x?}");
        }
    }

    #[test]
    fn what_may_be_copied() {
        let cases: &[(&[u8], Attrs, bool)] = &[
            (&[0x48, 0x89, 0xd8], Attrs::empty(), true),
            (&[0x48, 0x8b, 0x03], Attrs::MEMORY, true),
            (&[0x48, 0x8b, 0x05, 0, 0, 0, 0], Attrs::MEMORY | Attrs::RIP_RELATIVE, false),
            (&[0x67, 0x8b, 0x05, 0, 0, 0, 0], Attrs::MEMORY | Attrs::RIP_RELATIVE, false),
            (&[0x48, 0x8d, 0x05, 0, 0, 0, 0], Attrs::MEMORY | Attrs::RIP_RELATIVE, false),
            (&[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], Attrs::MEMORY | Attrs::FS, true),
            (&[0x65, 0x48, 0x8b, 0x00], Attrs::MEMORY | Attrs::GS, false),
            (&[0x65, 0xa4], Attrs::MEMORY | Attrs::GS, false),
            (&[0xf3, 0x48, 0xa5], Attrs::MEMORY | Attrs::REP_STRING, true),
            (&[0xf2, 0x0f, 0x10, 0xc1], Attrs::empty(), true),
            (&[0x87, 0x03], Attrs::MEMORY | Attrs::LOCKED, true),
            (&[0xf0, 0xff, 0x03], Attrs::MEMORY | Attrs::LOCKED, true),
            (&[0x8e, 0xe0], Attrs::SEGMENT_LOAD, false),
            (&[0x0f, 0xa1], Attrs::SEGMENT_LOAD, false),
            (&[0x8c, 0xe0], Attrs::empty(), true),
            (&[0xf3, 0x48, 0x0f, 0xae, 0xc0], Attrs::RDFSBASE, true),
            (&[0xf3, 0x48, 0x0f, 0xae, 0xd0], Attrs::WRFSBASE, false),
            (&[0xf3, 0x48, 0x0f, 0xae, 0xd8], Attrs::WRGSBASE, false),
            (&[0x0f, 0x31], Attrs::RDTSC, true),
            (&[0x0f, 0xa2], Attrs::CPUID, true),
            (&[0x0f, 0x01, 0xd0], Attrs::XGETBV, true),
            (&[0xd9, 0x30], Attrs::MEMORY | Attrs::X87_POINTER, true),
            (&[0x9c], Attrs::ALL_FLAGS, true),
            (&[0xfa], Attrs::PRIVILEGED, true),
            (&[0x0f, 0x22, 0xd8], Attrs::PRIVILEGED, true),
            (&[0x0f, 0x20, 0xd8], Attrs::PRIVILEGED, true),
            (&[0xf4], Attrs::empty(), false),
        ];
        for (bytes, attrs, copyable) in cases {
            let i = inst(bytes);
            assert_eq!((i.attrs(), i.is_copyable()), (*attrs, *copyable), "{bytes:x?}");
        }
    }

    #[test]
    fn displacement_offsets_point_at_the_displacement() {
        let cases: &[&[u8]] = &[
            &[0x48, 0x8b, 0x05, 1, 2, 3, 4],
            &[0xc7, 0x05, 1, 2, 3, 4, 9, 9, 9, 9],
            &[0x66, 0xc7, 0x05, 1, 2, 3, 4, 9, 9],
            &[0x80, 0x3d, 1, 2, 3, 4, 9],
            &[0x0f, 0xc2, 0x05, 1, 2, 3, 4, 0],
            &[0x0f, 0x0f, 0x05, 1, 2, 3, 4, 0x9e],
            &[0xc4, 0xe3, 0x71, 0x4a, 0x05, 1, 2, 3, 4, 0x20],
            &[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x05, 1, 2, 3, 4],
            &[0x0f, 0xa4, 0x05, 1, 2, 3, 4, 5],
        ];
        for bytes in cases {
            let i = inst(bytes);
            let at = i.rip_displacement_offset().unwrap();
            assert_eq!(&bytes[at..at + 4], &[1, 2, 3, 4], "{bytes:x?}");
            assert_eq!(i.rip_relative_address(), Some(i.next_pc().0 + 0x0403_0201));
        }
    }
}
