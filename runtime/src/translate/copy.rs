//! Instructions that go on to the next: copied, or rewritten where their place or `gs` matters; and the check of a block's own source.

use super::{Decoded, Translator, register_number, service};
use crate::context::{off, reg};
use crate::stubs;
use fragcache::GuestPc;
use iced_x86::{Code, Encoder, Instruction, OpKind, Register};

impl Translator {
    /// Copies an instruction that goes on to the next, rewritten where its place matters.
    pub(super) fn plain(&mut self, d: &Decoded, bytes: &[u8]) {
        let i = &d.instruction;
        let n = i.len();
        match i.code() {
            Code::Rdgsbase_r64 => {
                return stubs::load_slot(&mut self.code, register_number(i.op0_register()), off::GUEST_GS);
            }
            Code::Rdgsbase_r32 => {
                let r = register_number(i.op0_register());
                stubs::load_slot(&mut self.code, r, off::GUEST_GS);
                // mov r32, r32 clears the upper half
                let rex = 0x40 | ((r >> 3) as u8) << 2 | (r >> 3) as u8;
                self.code.extend_from_slice(&[rex, 0x89, 0xc0 | ((r & 7) as u8) << 3 | (r & 7) as u8]);
                return;
            }
            Code::Wrgsbase_r64 => {
                return stubs::store_slot(&mut self.code, off::GUEST_GS, register_number(i.op0_register()));
            }
            Code::Wrgsbase_r32 => {
                stubs::store_slot(&mut self.code, off::GUEST_GS, register_number(i.op0_register()));
                return stubs::store_slot_imm(&mut self.code, off::GUEST_GS + 4, 0);
            }
            _ => {}
        }
        let has_memory = i.memory_base() != Register::None
            || i.memory_index() != Register::None
            || i.segment_prefix() != Register::None
            || i.is_ip_rel_memory_operand();
        if !has_memory {
            self.code.extend_from_slice(&bytes[..n]);
            return;
        }
        if i.is_ip_rel_memory_operand() {
            let target = i.ip_rel_memory_address();
            let end = (self.at + self.code.len() + n) as u64;
            let field = d.offsets.displacement_offset();
            if i.memory_base() == Register::RIP
                && i.segment_prefix() != Register::GS
                && d.offsets.displacement_size() == 4
                && let Ok(new) = i32::try_from(target.wrapping_sub(end) as i64)
            {
                let at = self.code.len();
                self.code.extend_from_slice(&bytes[..n]);
                self.code[at + field..at + field + 4].copy_from_slice(&new.to_le_bytes());
                self.depends_relative(at + field, i.ip(), target);
                return;
            }
            if i.code() == Code::Lea_r64_m {
                self.movable = false;
                stubs::load_imm(&mut self.code, register_number(i.op0_register()), target);
                return;
            }
            self.with_reachable_operand(i);
            return;
        }
        if i.segment_prefix() == Register::GS && uses_segment(i) {
            self.with_reachable_operand(i);
            return;
        }
        self.code.extend_from_slice(&bytes[..n]);
    }

    /// Emits an instruction whose memory operand is out of `rip` reach or lies in `gs`, with the
    /// address in registers that it does not use itself.
    pub(super) fn with_reachable_operand(&mut self, i: &Instruction) {
        let gs = i.segment_prefix() == Register::GS;
        let near = i.is_ip_rel_memory_operand();
        let mut moved = *i;
        if !near && !gs {
            self.encode(&moved);
            return;
        }
        if near && !gs && i.memory_base() == Register::RIP {
            // In reach after all? (Loads made for indirect branches come here directly.)
            let end = (self.at + self.code.len() + 16) as u64;
            if i32::try_from(i.ip_rel_memory_address().wrapping_sub(end) as i64)
                .is_ok_and(|d| d.abs() < i32::MAX - 64)
            {
                self.encode(&moved);
                return;
            }
        }
        let used: Vec<usize> = self
            .info
            .info(i)
            .used_registers()
            .iter()
            .filter(|u| u.register().is_gpr())
            .map(|u| register_number(u.register()))
            .collect();
        let mut free = [reg::RBX, reg::RSI, reg::RDI, reg::R8, reg::R9, reg::R10, reg::R11]
            .into_iter()
            .filter(|r| !used.contains(r));
        let (Some(a), Some(b)) = (free.next(), free.next()) else { return };
        let iced = |r: usize| Register::RAX + r as u32;
        // High byte registers (ah…) cannot be encoded beside r8…; a and b are then below 8 as only
        // rbx, rsi, rdi come first and such instructions use few registers.
        stubs::store_slot(&mut self.code, off::SPILL_MISC, a);
        if near {
            self.movable = false;
            stubs::load_imm(&mut self.code, a, i.ip_rel_memory_address());
        } else {
            let mut lea = Instruction::default();
            lea.set_code(Code::Lea_r64_m);
            lea.set_op0_register(iced(a));
            lea.set_op1_kind(OpKind::Memory);
            lea.set_memory_base(i.memory_base());
            lea.set_memory_index(i.memory_index());
            lea.set_memory_index_scale(i.memory_index_scale());
            lea.set_memory_displacement64(i.memory_displacement64());
            lea.set_memory_displ_size(i.memory_displ_size());
            self.encode(&lea);
        }
        moved.set_segment_prefix(Register::None);
        moved.set_memory_base(iced(a));
        moved.set_memory_index(Register::None);
        moved.set_memory_index_scale(1);
        moved.set_memory_displacement64(0);
        moved.set_memory_displ_size(0);
        if gs {
            stubs::store_slot(&mut self.code, off::SPILL_RDX, b);
            stubs::load_slot(&mut self.code, b, off::GUEST_GS);
            moved.set_memory_index(iced(b));
        }
        self.encode(&moved);
        stubs::load_slot(&mut self.code, a, off::SPILL_MISC);
        if gs {
            stubs::load_slot(&mut self.code, b, off::SPILL_RDX);
        }
    }

    pub(super) fn encode(&mut self, i: &Instruction) {
        let ip = (self.at + self.code.len()) as u64;
        let encoder = self.encoder.get_or_insert_with(|| Encoder::new(64));
        let encoded = encoder.encode(i, ip).is_ok();
        let displacement = encoder.get_constant_offsets().displacement_offset();
        let mut bytes = encoder.take_buffer();
        let start = self.code.len();
        if encoded {
            self.code.extend_from_slice(&bytes);
        } else {
            // What cannot be encoded faults like an unknown instruction rather than do something else.
            self.code.extend_from_slice(&[0x0f, 0x0b]);
        }
        bytes.clear();
        encoder.set_buffer(bytes);
        if encoded && i.is_ip_rel_memory_operand() {
            self.depends_relative(start + displacement, i.ip(), i.ip_rel_memory_address());
        }
    }

    pub(super) fn restore_checked(&mut self) {
        stubs::restore_flags(&mut self.code);
        stubs::load_slot(&mut self.code, reg::RAX, off::SPILL_RAX);
        stubs::load_slot(&mut self.code, reg::RCX, off::SPILL_RCX);
        stubs::load_slot(&mut self.code, reg::RDX, off::SPILL_RDX);
    }

    /// Compares the source bytes with what was translated; leaves when they differ.
    pub(super) fn check_source(&mut self, bytes: &[u8], pc: GuestPc) {
        stubs::store_slot(&mut self.code, off::SPILL_RAX, reg::RAX);
        stubs::save_flags(&mut self.code);
        stubs::store_slot(&mut self.code, off::SPILL_RCX, reg::RCX);
        stubs::store_slot(&mut self.code, off::SPILL_RDX, reg::RDX);
        stubs::load_imm(&mut self.code, reg::RDX, pc.0);
        let mut failed = Vec::new();
        let mut k = 0;
        while k < bytes.len() {
            let n = match bytes.len() - k {
                8.. => 8,
                4.. => 4,
                _ => 1,
            };
            match n {
                8 => {
                    let v = u64::from_le_bytes(bytes[k..k + 8].try_into().expect("eight bytes"));
                    stubs::load_imm(&mut self.code, reg::RCX, v);
                    self.code.extend_from_slice(&[0x48, 0x39, 0x8a]); // cmp [rdx + k], rcx
                    self.code.extend_from_slice(&(k as u32).to_le_bytes());
                }
                4 => {
                    self.code.extend_from_slice(&[0x81, 0xba]); // cmp dword [rdx + k], imm
                    self.code.extend_from_slice(&(k as u32).to_le_bytes());
                    self.code.extend_from_slice(&bytes[k..k + 4]);
                }
                _ => {
                    self.code.extend_from_slice(&[0x80, 0xba]); // cmp byte [rdx + k], imm
                    self.code.extend_from_slice(&(k as u32).to_le_bytes());
                    self.code.push(bytes[k]);
                }
            }
            self.code.extend_from_slice(&[0x0f, 0x85, 0, 0, 0, 0]);
            failed.push(self.code.len());
            k += n;
        }
        self.restore_checked();
        // Over the failure path.
        self.code.extend_from_slice(&[0xeb, 0]);
        let over = self.code.len();
        for f in failed {
            let d = (self.code.len() - f) as u32;
            self.code[f - 4..f].copy_from_slice(&d.to_le_bytes());
        }
        self.restore_checked();
        self.service(pc, pc, service::CHANGED);
        self.code[over - 1] = (self.code.len() - over) as u8;
    }
}

/// True when the segment prefix matters: the instruction has an explicit memory operand or reads a
/// string through it.
fn uses_segment(i: &Instruction) -> bool {
    (0..i.op_count()).any(|k| {
        matches!(
            i.op_kind(k),
            OpKind::Memory
                | OpKind::MemorySegSI
                | OpKind::MemorySegESI
                | OpKind::MemorySegRSI
                | OpKind::MemorySegDI
                | OpKind::MemorySegEDI
                | OpKind::MemorySegRDI
        )
    }) && i.code() != Code::Lea_r64_m
        && i.code() != Code::Lea_r32_m
        && i.code() != Code::Lea_r16_m
}
