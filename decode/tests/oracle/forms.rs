//! Every instruction form with random operands: encodings for a `Code` of iced, and states on which its memory
//! operand lies in the test's memory and its branch targets at the stubs.

use crate::cpu::{Cpu, MEMORY_LEN, Regs};
use crate::rng::Rng;
use decode::GuestPc;
use decode::x86_64::{Flow, Inst, decode_one};
use iced_x86::{Code, Encoder, Instruction, OpCodeOperandKind as K, OpKind, Register};

/// One encoding of a form.
pub struct Case {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// As decoded at its address.
    pub inst: Inst,
}

/// Encodes the form with random operands, to stand at address `at`. `None` when it has an operand kind that makes no sense here, or
/// when this choice of operands has no encoding.
pub fn encode(code: Code, cpu: &Cpu, at: u64, rng: &mut Rng) -> Option<Case> {
    let mut raw = Instruction::default();
    raw.set_code(code);
    let form = code.op_code();
    let mut in_memory = false;
    for (i, kind) in form.op_kinds().iter().enumerate() {
        let i = i as u32;
        let register = |raw: &mut Instruction, first: Register, n: usize, rng: &mut Rng| {
            raw.set_op_kind(i, OpKind::Register);
            raw.set_op_register(i, first + rng.below(n) as u32);
        };
        let fixed = |raw: &mut Instruction, register: Register| {
            raw.set_op_kind(i, OpKind::Register);
            raw.set_op_register(i, register);
        };
        let memory = rng.one_in(2);
        match kind {
            K::r8_or_mem | K::r16_or_mem | K::r32_or_mem | K::r64_or_mem | K::xmm_or_mem | K::ymm_or_mem
                if memory =>
            {
                raw.set_op_kind(i, OpKind::Memory);
                in_memory = true;
            }
            K::mem => {
                raw.set_op_kind(i, OpKind::Memory);
                in_memory = true;
            }
            K::r8_or_mem | K::r8_reg | K::r8_opcode => register(&mut raw, Register::AL, 20, rng),
            K::r16_or_mem | K::r16_reg | K::r16_rm | K::r16_opcode => {
                register(&mut raw, Register::AX, 16, rng)
            }
            K::r32_or_mem | K::r32_reg | K::r32_rm | K::r32_opcode | K::r32_vvvv => {
                register(&mut raw, Register::EAX, 16, rng);
            }
            K::r64_or_mem | K::r64_reg | K::r64_rm | K::r64_opcode | K::r64_vvvv => {
                register(&mut raw, Register::RAX, 16, rng);
            }
            K::xmm_or_mem | K::xmm_reg | K::xmm_rm | K::xmm_vvvv | K::xmm_is4 => {
                register(&mut raw, Register::XMM0, 16, rng);
            }
            K::ymm_or_mem | K::ymm_reg | K::ymm_rm | K::ymm_vvvv | K::ymm_is4 => {
                register(&mut raw, Register::YMM0, 16, rng);
            }
            K::al => fixed(&mut raw, Register::AL),
            K::cl => fixed(&mut raw, Register::CL),
            K::ax => fixed(&mut raw, Register::AX),
            K::eax => fixed(&mut raw, Register::EAX),
            K::rax => fixed(&mut raw, Register::RAX),
            K::imm8_const_1 => {
                raw.set_op_kind(i, OpKind::Immediate8);
                raw.set_immediate8(1);
            }
            K::imm8 => {
                raw.set_op_kind(i, OpKind::Immediate8);
                let small = rng.one_in(2);
                raw.set_immediate8(if small { rng.below(16) as u8 } else { rng.next() as u8 });
            }
            K::imm8sex16 | K::imm8sex32 | K::imm8sex64 => {
                raw.set_op_kind(
                    i,
                    match kind {
                        K::imm8sex16 => OpKind::Immediate8to16,
                        K::imm8sex32 => OpKind::Immediate8to32,
                        _ => OpKind::Immediate8to64,
                    },
                );
                raw.set_immediate8(rng.integer() as u8);
            }
            K::imm16 => {
                raw.set_op_kind(i, OpKind::Immediate16);
                let value = if matches!(code, Code::Retnq_imm16) { rng.next() & 0xff } else { rng.integer() };
                raw.set_immediate16(value as u16);
            }
            K::imm32 => {
                raw.set_op_kind(i, OpKind::Immediate32);
                raw.set_immediate32(rng.integer() as u32);
            }
            K::imm32sex64 => {
                raw.set_op_kind(i, OpKind::Immediate32to64);
                raw.set_immediate32(rng.integer() as u32);
            }
            K::imm64 => {
                raw.set_op_kind(i, OpKind::Immediate64);
                raw.set_immediate64(rng.integer());
            }
            K::seg_rSI => raw.set_op_kind(i, OpKind::MemorySegRSI),
            K::es_rDI => raw.set_op_kind(i, OpKind::MemoryESRDI),
            K::br64_1 | K::br64_4 => {
                raw.set_op_kind(i, OpKind::NearBranch64);
                raw.set_near_branch64(cpu.taken());
            }
            K::mem_offs => {
                raw.set_op_kind(i, OpKind::Memory);
                raw.set_memory_displ_size(8);
                raw.set_memory_displacement64(cpu.memory_base() + 1024 + rng.below(512) as u64);
            }
            _ => return None,
        }
    }
    if in_memory {
        address(&mut raw, cpu, rng)?;
        raw.set_has_lock_prefix(form.can_use_lock_prefix() && rng.one_in(2));
    }
    let mut encoder = Encoder::new(64);
    encoder.encode(&raw, at).ok()?;
    let bytes = encoder.take_buffer();
    let inst = decode_one(&bytes, GuestPc(at)).ok()?;
    (inst.raw().code() == code).then_some(Case { bytes, inst })
}

/// A random way to address memory.
fn address(raw: &mut Instruction, cpu: &Cpu, rng: &mut Rng) -> Option<()> {
    let target = (cpu.memory_base() + 1024 + 32 * rng.below(32) as u64) as i64;
    let narrow = rng.one_in(8);
    let first = if narrow { Register::EAX } else { Register::RAX };
    match rng.below(8) {
        0 => {
            raw.set_memory_base(Register::RIP);
            raw.set_memory_displ_size(8);
            raw.set_memory_displacement64(target as u64);
            return Some(());
        }
        1 => {
            raw.set_memory_displ_size(8);
            raw.set_memory_displacement64(target as u64);
            return Some(());
        }
        way => {
            let base = first + rng.below(16) as u32;
            let index = first + rng.below(16) as u32;
            if way != 2 {
                raw.set_memory_base(base);
            }
            if way < 6 {
                if index.number() == 4 || way != 2 && index == base {
                    return None;
                }
                raw.set_memory_index(index);
                raw.set_memory_index_scale(rng.pick(&[1, 2, 4, 8]));
            }
        }
    }
    let displacement = 32 * (rng.below(8) as i64 - 4);
    let (size, displacement) = match rng.below(3) {
        0 => (0, 0),
        1 => (1, displacement),
        _ => (if narrow { 4 } else { 8 }, displacement * 2),
    };
    let size = if raw.memory_base() == Register::None { if narrow { 4 } else { 8 } } else { size };
    raw.set_memory_displ_size(size);
    let wide = if narrow { displacement as u32 as u64 } else { displacement as u64 };
    raw.set_memory_displacement64(wide);
    let has_base = raw.memory_base() != Register::None;
    if !narrow && has_base && raw.memory_base() != Register::RSP && rng.one_in(6) {
        raw.set_segment_prefix(rng.pick(&[Register::FS, Register::GS]));
    }
    Some(())
}

/// Random registers and memory for the case: its operands are where they may be.
pub fn state(case: &Case, cpu: &mut Cpu, rng: &mut Rng) -> Regs {
    let mut regs = rng.regs(cpu);
    let base = cpu.memory_base();
    let raw = case.inst.raw();
    let size = raw.memory_size().size().max(1);
    // Words worth comparing with, everywhere: random edges.
    let words: Vec<u64> = (0..16).map(|_| if rng.one_in(2) { rng.integer() } else { rng.float() }).collect();
    for (i, chunk) in cpu.memory().chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&words[i * 7 % 16].to_le_bytes());
    }
    if case.inst.raw().is_string_instruction() {
        regs.gpr[6] = base + 1024 + rng.below(512) as u64;
        regs.gpr[7] = base + 2048 + rng.below(512) as u64;
    }
    if raw.mnemonic() == iced_x86::Mnemonic::Leave {
        regs.gpr[5] = base + 1024 + rng.below(512) as u64;
    }
    let mut target = None;
    if (0..raw.op_count()).any(|i| raw.op_kind(i) == OpKind::Memory) {
        let unaligned = if size >= 16 { 0 } else { rng.below(16) as u64 };
        target = Some(place(case, cpu, &mut regs, base + 1024 + 32 * rng.below(32) as u64 + unaligned, rng));
    }
    special(case, cpu, &mut regs, target, rng);
    regs
}

/// Sets the address registers so that the memory operand is at `target`, or near it where the encoding says
/// so; returns where.
fn place(case: &Case, cpu: &Cpu, regs: &mut Regs, target: u64, rng: &mut Rng) -> u64 {
    let raw = case.inst.raw();
    let segment = match raw.segment_prefix() {
        Register::FS => cpu.fs_base(),
        Register::GS => cpu.gs_base(),
        _ => 0,
    };
    let (base, index) = (raw.memory_base(), raw.memory_index());
    let disp = raw.memory_displacement64();
    let scale = u64::from(raw.memory_index_scale());
    if base == Register::RIP || base == Register::None && index == Register::None {
        return disp;
    }
    let number = |r: Register| r.number() & 15;
    let narrow = base.is_gpr32() || index.is_gpr32();
    let mut set = |r: Register, value: u64| {
        regs.gpr[number(r)] = if narrow { value & 0xffff_ffff | rng.next() << 32 } else { value };
    };
    let want = target.wrapping_sub(segment).wrapping_sub(disp);
    if base == Register::None {
        set(index, want / 32 * 32 / scale);
        return (want / 32 * 32).wrapping_add(disp).wrapping_add(segment);
    }
    if number(base) == 4 {
        // rsp stays where it is, but aligned like the operand.
        let rsp = regs.gpr[4] & !31;
        regs.gpr[4] = rsp;
        let mut at = rsp.wrapping_add(disp);
        if index != Register::None {
            let offset = 32 * (target >> 5 & 3);
            if narrow {
                regs.gpr[number(index)] = offset | 0xabcd << 32;
            } else {
                regs.gpr[number(index)] = offset;
            }
            at = at.wrapping_add(offset * scale);
        }
        return if narrow { at & 0xffff_ffff } else { at };
    }
    if index == Register::None {
        set(base, want);
    } else {
        let offset = if target & 1 == 0 { target & 64 } else { target.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        set(index, offset);
        set(base, want.wrapping_sub(offset.wrapping_mul(scale)));
    }
    target
}

/// What single instructions need: targets for branches, quotients that fit, comparisons that are equal.
fn special(case: &Case, cpu: &mut Cpu, regs: &mut Regs, target: Option<u64>, rng: &mut Rng) {
    use iced_x86::Mnemonic as M;
    let raw = case.inst.raw();
    let base = cpu.memory_base();
    let offset = |address: u64| address.wrapping_sub(base) as usize;
    let is_address =
        |r: Register| [raw.memory_base(), raw.memory_index()].iter().any(|a| a.full_register() == r);
    let poke = |cpu: &mut Cpu, address: u64, value: u64| {
        let at = offset(address);
        if at + 8 <= MEMORY_LEN {
            cpu.memory()[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    };
    let indirect = cpu.indirect();
    match case.inst.flow() {
        Flow::JmpIndirect | Flow::CallIndirect => match target {
            Some(at) => poke(cpu, at, indirect),
            None => regs.gpr[raw.op0_register().number()] = indirect,
        },
        Flow::Ret { .. } => poke(cpu, regs.gpr[4], indirect),
        Flow::Loop { .. } => regs.gpr[1] = rng.pick(&[0, 1, 2, 1 << 32, 1 << 32 | 1, 0x1_0000_0002]),
        _ => {}
    }
    let equal = rng.one_in(2);
    match raw.mnemonic() {
        M::Div | M::Idiv if rng.one_in(2) && !is_address(Register::RDX) => {
            regs.gpr[2] = rng.pick(&[0, 1, u64::MAX]);
            if raw.op0_register().size() == 1 || raw.memory_size().size() == 1 {
                regs.gpr[0] &= 0x3ff;
            }
        }
        M::Cmpxchg if equal && !is_address(Register::RAX) => {
            regs.gpr[0] = match target {
                Some(at) => read(cpu, at, 8),
                None => {
                    let register = raw.op0_register();
                    let value = regs.gpr[register.full_register().number()];
                    let high = register.size() == 1
                        && matches!(register, Register::AH | Register::CH | Register::DH | Register::BH);
                    if high { value >> 8 } else { value }
                }
            };
        }
        M::Cmpxchg8b | M::Cmpxchg16b if equal => {
            let half = raw.memory_size().size() / 2;
            if let Some(at) = target {
                regs.gpr[0] = if is_address(Register::RAX) { regs.gpr[0] } else { read(cpu, at, half) };
                regs.gpr[2] =
                    if is_address(Register::RDX) { regs.gpr[2] } else { read(cpu, at + half as u64, half) };
            }
        }
        // A register as bit number reaches beyond the operand.
        M::Bt | M::Bts | M::Btr | M::Btc if target.is_some() && raw.op1_kind() == OpKind::Register => {
            let register = raw.op1_register().full_register();
            if !is_address(register) && register != Register::RSP {
                regs.gpr[register.number()] = (rng.below(4096) as u64).wrapping_sub(2048);
            }
        }
        _ => {}
    }
}

fn read(cpu: &mut Cpu, address: u64, bytes: usize) -> u64 {
    let at = (address - cpu.memory_base()) as usize;
    let mut word = [0; 8];
    word[..bytes].copy_from_slice(&cpu.memory()[at..at + bytes]);
    u64::from_le_bytes(word)
}
