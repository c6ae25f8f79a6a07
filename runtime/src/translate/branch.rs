//! Where a line of guest code leaves: branches, calls, returns, exits, and what stands out of line behind it.
//!
//! In a block every branch leaves by an exit; on the path of a trace direct ones vanish or are turned around, and an indirect one compares its target
//! with the recorded one.

use super::{Cold, Decoded, Translator, register_number, service, site};
use crate::context::{off, reg};
use crate::fpenv;
use crate::stubs::{self, DeadAtEntry};
use fragcache::{ExitKind, GuestPc, NewExit};
use iced_x86::{Code, ConditionCode, FlowControl, Instruction, OpKind, Register};

impl Translator {
    /// Emits one instruction of a line; returns whether execution goes on behind it.
    pub(super) fn emit(&mut self, d: &Decoded, bytes: &[u8], source: GuestPc) -> bool {
        let i = &d.instruction;
        if i.is_invalid() {
            self.code.extend_from_slice(&[0x0f, 0x0b]); // ud2 raises what the guest's bytes would
            return false;
        }
        if let Some(what) = self.service_for(i) {
            let here = matches!(what, service::EMULATE | service::LOADS_FP);
            let go_on = if here { source.0 } else { i.next_ip() };
            self.service(source, GuestPc(go_on), what);
            return false;
        }
        match i.flow_control() {
            FlowControl::Next | FlowControl::XbeginXabortXend => {
                self.plain(d, bytes);
                if self.watch_fp && !self.alone && fpenv::restores(i) {
                    let over = fpenv::emit_check(&mut self.code);
                    let restore = |code: &mut Vec<u8>| stubs::load_slot(code, reg::RCX, off::SPILL_RCX);
                    restore(&mut self.code);
                    self.service(source, GuestPc(i.next_ip()), service::CHANGED_FP);
                    self.code[over] = (self.code.len() - over - 1) as u8;
                    restore(&mut self.code);
                }
                true
            }
            FlowControl::ConditionalBranch => {
                self.conditional(i, bytes, source, GuestPc(i.near_branch_target()), false);
                true
            }
            FlowControl::UnconditionalBranch => {
                self.exit_jump(source, GuestPc(i.near_branch_target()));
                false
            }
            FlowControl::Call if i.is_call_near() => {
                self.push_return(i.next_ip());
                self.exit_jump(source, GuestPc(i.near_branch_target()));
                false
            }
            FlowControl::IndirectBranch | FlowControl::IndirectCall | FlowControl::Return => {
                self.load_target(d, bytes);
                self.look_up(source);
                false
            }
            FlowControl::Interrupt => {
                self.code.extend_from_slice(&bytes[..i.len()]);
                self.exit_jump(source, GuestPc(i.next_ip()));
                false
            }
            _ => {
                // What faults by itself faults here; `signal.rs` gives it the guest's address.
                self.code.extend_from_slice(&bytes[..i.len()]);
                false
            }
        }
    }

    /// Emits the last instruction of a step so that execution goes on behind it when the path
    /// continues at `next`. Returns whether it can.
    pub(super) fn emit_towards(
        &mut self,
        d: &Decoded,
        bytes: &[u8],
        source: GuestPc,
        next: GuestPc,
        follows: &[Decoded],
    ) -> bool {
        let i = &d.instruction;
        if i.is_invalid() || self.service_for(i).is_some() {
            return self.emit(d, bytes, source);
        }
        match i.flow_control() {
            FlowControl::ConditionalBranch => {
                let taken = GuestPc(i.near_branch_target());
                if next == taken && next.0 != i.next_ip() {
                    self.conditional(i, bytes, source, GuestPc(i.next_ip()), true);
                } else {
                    self.conditional(i, bytes, source, taken, false);
                }
                true
            }
            FlowControl::UnconditionalBranch => true,
            FlowControl::Call if i.is_call_near() => {
                self.push_return(i.next_ip());
                true
            }
            FlowControl::IndirectBranch | FlowControl::IndirectCall | FlowControl::Return
                if !follows.is_empty() =>
            {
                self.load_target(d, bytes);
                let dead = self.dead_in(follows);
                self.predict(source, next, dead);
                true
            }
            _ => self.emit(d, bytes, source),
        }
    }

    /// A conditional branch that leaves to `target`; `inverted` when it leaves because the branch is
    /// not taken.
    pub(super) fn conditional(
        &mut self,
        i: &Instruction,
        bytes: &[u8],
        source: GuestPc,
        target: GuestPc,
        inverted: bool,
    ) {
        let condition = i.condition_code();
        if condition != ConditionCode::None && !i.is_loopcc() {
            // The encodings of conditions follow iced's order of names: o no b ae e ne be a s ns p np l ge le g.
            let cc = (condition as u8 - ConditionCode::o as u8) ^ u8::from(inverted);
            stubs::align_field(&mut self.code, self.at, 2);
            self.code.extend_from_slice(&[0x0f, 0x80 | cc]);
            self.exit_field(source, target);
            return;
        }
        // loop, loope, loopne, jrcxz, jecxz have short forms only.
        let n = i.len();
        self.code.extend_from_slice(&bytes[..n - 1]);
        if inverted {
            // Taken: over the jump.
            self.code.push(0);
            let over = self.code.len();
            stubs::align_field(&mut self.code, self.at, 1);
            self.exit_jump_here(source, target);
            self.code[over - 1] = (self.code.len() - over) as u8;
        } else {
            self.code.extend_from_slice(&[2, 0xeb, 0]);
            let over = self.code.len();
            stubs::align_field(&mut self.code, self.at, 1);
            self.exit_jump_here(source, target);
            self.code[over - 1] = (self.code.len() - over) as u8;
        }
    }

    pub(super) fn exit_field(&mut self, source: GuestPc, target: GuestPc) {
        self.exits.push(NewExit { source, kind: ExitKind::Direct(target), patch: self.code.len() as u32 });
        self.code.extend_from_slice(&[0; 4]);
    }

    pub(super) fn exit_jump_here(&mut self, source: GuestPc, target: GuestPc) {
        self.code.push(0xe9);
        self.exit_field(source, target);
    }

    pub(super) fn exit_jump(&mut self, source: GuestPc, target: GuestPc) {
        stubs::align_field(&mut self.code, self.at, 1);
        self.exit_jump_here(source, target);
    }

    pub(super) fn service(&mut self, source: GuestPc, go_on: GuestPc, what: u32) {
        stubs::align_field(&mut self.code, self.at, 1);
        self.code.push(0xe9);
        self.exits.push(NewExit {
            source,
            kind: ExitKind::Service(go_on, what),
            patch: self.code.len() as u32,
        });
        self.code.extend_from_slice(&[0; 4]);
    }

    pub(super) fn push_return(&mut self, address: u64) {
        self.return_sites.insert(address);
        if i32::try_from(address as i64).is_ok() {
            self.code.push(0x68);
            self.depends(self.code.len(), site::RETURN_SHORT);
            self.code.extend_from_slice(&(address as u32).to_le_bytes());
        } else {
            // One 8-byte store, so that the return's load is forwarded from it.
            self.code.extend_from_slice(&[0xff, 0x35]); // push qword [rip + constant]
            self.constants.push((self.code.len(), address));
            self.code.extend_from_slice(&[0; 4]);
        }
    }

    /// Puts the target of an indirect branch into rcx (spilled), with the branch's other effects.
    pub(super) fn load_target(&mut self, d: &Decoded, bytes: &[u8]) {
        let i = &d.instruction;
        stubs::store_slot(&mut self.code, off::SPILL_RCX, reg::RCX);
        if i.flow_control() == FlowControl::Return {
            self.code.push(0x59); // pop rcx
            if i.op_count() > 0 {
                self.code.extend_from_slice(&[0x48, 0x8d, 0xa4, 0x24]); // lea rsp, [rsp + imm]
                self.code.extend_from_slice(&u32::from(i.immediate16()).to_le_bytes());
            }
            return;
        }
        if i.op0_kind() == OpKind::Register {
            let r = register_number(i.op0_register());
            if r != reg::RCX {
                // mov rcx, r
                self.code.extend_from_slice(&[
                    0x48 | ((r >> 3) as u8) << 2,
                    0x89,
                    0xc1 | ((r & 7) as u8) << 3,
                ]);
            }
        } else {
            self.load_target_from_memory(i, bytes);
        }
        if i.flow_control() == FlowControl::IndirectCall {
            self.push_return(i.next_ip());
        }
    }

    fn load_target_from_memory(&mut self, i: &Instruction, bytes: &[u8]) {
        if let Some(load) = bytes.get(..i.len()).and_then(crate::target::load) {
            let at = self.code.len();
            if !i.is_ip_rel_memory_operand() {
                self.code.extend_from_slice(load.bytes());
                return;
            }
            let end = (self.at + at + load.bytes().len()) as u64;
            if let Ok(d) = i32::try_from(i.ip_rel_memory_address().wrapping_sub(end) as i64) {
                let field = at + load.displacement;
                self.code.extend_from_slice(load.bytes());
                self.code[field..field + 4].copy_from_slice(&d.to_le_bytes());
                self.depends_relative(field, i.ip(), i.ip_rel_memory_address());
                return;
            }
        }
        let mut load = Instruction::default();
        load.set_code(Code::Mov_r64_rm64);
        load.set_op0_register(Register::RCX);
        load.set_op1_kind(OpKind::Memory);
        load.set_memory_base(i.memory_base());
        load.set_memory_index(i.memory_index());
        load.set_memory_index_scale(i.memory_index_scale());
        load.set_memory_displacement64(i.memory_displacement64());
        load.set_memory_displ_size(i.memory_displ_size());
        load.set_segment_prefix(i.segment_prefix());
        load.set_len(i.len());
        load.set_ip(i.ip());
        self.with_reachable_operand(&load);
    }

    /// Hashes rcx and jumps through the table. rdx is not spilled yet.
    pub(super) fn look_up(&mut self, source: GuestPc) {
        stubs::store_slot(&mut self.code, off::SPILL_RDX, reg::RDX);
        self.look_up_spilled(source);
    }

    pub(super) fn look_up_spilled(&mut self, source: GuestPc) {
        let patch = stubs::look_up(&mut self.code, self.at, self.bmi2);
        self.exits.push(NewExit { source, kind: ExitKind::Indirect, patch });
    }

    /// Goes on in line when rcx is `next`, else through the table.
    pub(super) fn predict(&mut self, source: GuestPc, next: GuestPc, dead: DeadAtEntry) {
        stubs::store_slot(&mut self.code, off::SPILL_RDX, reg::RDX);
        let from = stubs::compare_target(&mut self.code, self.at, next.0, dead) as usize;
        self.cold.push(Cold { from, source });
    }

    pub(super) fn place_cold(&mut self) {
        for c in std::mem::take(&mut self.cold) {
            let before = self.code.len();
            let d = (self.code.len() - (c.from + 4)) as i32;
            self.code[c.from..c.from + 4].copy_from_slice(&d.to_le_bytes());
            self.look_up_spilled(c.source);
            self.note_more(before);
        }
        if self.constants.is_empty() {
            return;
        }
        let before = self.code.len();
        while !(self.at + self.code.len()).is_multiple_of(8) {
            self.code.push(0xcc);
        }
        for (field, value) in std::mem::take(&mut self.constants) {
            let d = (self.code.len() - (field + 4)) as i32;
            self.code[field..field + 4].copy_from_slice(&d.to_le_bytes());
            self.depends(self.code.len(), site::RETURN);
            self.code.extend_from_slice(&value.to_le_bytes());
        }
        self.note_more(before);
    }
}
