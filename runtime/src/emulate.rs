//! The few instructions that can be neither copied nor left to the kernel: far transfers and loads
//! of the `gs` selector.

use crate::signal::{self, Fault, read_guest};
use crate::thread::Thread;
use fragcache::GuestPc;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};

/// The selector of 64-bit user code.
const USER_CS: u64 = 0x33;

/// Executes the instruction at `pc`.
pub fn step(thread: &mut Thread, pc: GuestPc) {
    let mut bytes = [0u8; 15];
    let mut n = 15;
    while n > 0 && read_guest(pc.0, &mut bytes[..n]).is_err() {
        n -= 1;
    }
    let i = Decoder::with_ip(64, &bytes[..n], pc.0, DecoderOptions::NONE).decode();
    if run(thread, &i).is_err() {
        thread.context.pc = pc.0;
        signal::deliver_fault(thread, Fault::protection());
    }
}

fn word(at: u64, size: usize) -> Result<u64, ()> {
    let mut b = [0u8; 8];
    read_guest(at, &mut b[..size])?;
    Ok(u64::from_le_bytes(b))
}

fn address(thread: &Thread, i: &Instruction) -> Result<u64, ()> {
    i.virtual_address(0, 0, |r, _, _| match r {
        Register::GS => Some(thread.context.guest_gs),
        Register::FS => Some(thread.context.guest_fs),
        r if r.is_gpr64() => Some(thread.context.gpr[r.number()]),
        r if r.is_gpr32() => Some(thread.context.gpr[r.number()] & 0xffff_ffff),
        _ => Some(0),
    })
    .ok_or(())
}

fn run(thread: &mut Thread, i: &Instruction) -> Result<(), ()> {
    let sp = thread.context.gpr[4];
    match i.code() {
        Code::Retfq | Code::Retfq_imm16 | Code::Retfd | Code::Retfd_imm16 => {
            let size = if matches!(i.code(), Code::Retfq | Code::Retfq_imm16) { 8 } else { 4 };
            let to = word(sp, size)?;
            let cs = word(sp + size as u64, size)? & 0xffff;
            if cs != USER_CS {
                return Err(());
            }
            let extra = if i.op_count() > 0 { u64::from(i.immediate16()) } else { 0 };
            thread.context.gpr[4] = sp + 2 * size as u64 + extra;
            thread.context.pc = to;
        }
        Code::Iretq => {
            let (to, cs, flags, new_sp) =
                (word(sp, 8)?, word(sp + 8, 8)?, word(sp + 16, 8)?, word(sp + 24, 8)?);
            if cs & 0xffff != USER_CS {
                return Err(());
            }
            const SETTABLE: u64 = 0x24_0cd5;
            thread.context.rflags = thread.context.rflags & !SETTABLE | flags & SETTABLE | 2;
            thread.context.gpr[4] = new_sp;
            thread.context.pc = to;
        }
        Code::Jmp_m1632 | Code::Jmp_m1664 | Code::Call_m1632 | Code::Call_m1664 => {
            let size = if matches!(i.code(), Code::Jmp_m1664 | Code::Call_m1664) { 8 } else { 4 };
            let at = address(thread, i)?;
            let to = word(at, size)?;
            if word(at + size as u64, 2)? != USER_CS {
                return Err(());
            }
            if matches!(i.code(), Code::Call_m1632 | Code::Call_m1664) {
                let mut frame = i.next_ip().to_le_bytes().to_vec();
                frame.truncate(size);
                let mut cs = USER_CS.to_le_bytes().to_vec();
                cs.truncate(size);
                frame.extend(cs);
                let new_sp = sp - 2 * size as u64;
                signal::write_guest(new_sp, &frame)?;
                thread.context.gpr[4] = new_sp;
            }
            thread.context.pc = to;
        }
        Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 | Code::Mov_Sreg_rm16 | Code::Popq_GS => {
            let selector = if i.code() == Code::Popq_GS {
                thread.context.gpr[4] = sp + 8;
                word(sp, 8)? & 0xffff
            } else if i.op1_kind() == OpKind::Register {
                thread.context.gpr[i.op1_register().full_register().number()] & 0xffff
            } else {
                word(address(thread, i)?, 2)?
            };
            if selector > 3 && selector != 0x2b {
                return Err(());
            }
            thread.context.guest_gs = 0;
            thread.context.pc = i.next_ip();
        }
        _ => return Err(()),
    }
    Ok(())
}
