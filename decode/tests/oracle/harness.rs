//! The oracle's own test: what it loads it stores back, and what runs is seen. If this fails, no other
//! oracle test means anything.

use crate::cpu::{Cpu, Outcome};
use crate::rng::Rng;

#[test]
fn nop_changes_nothing() {
    let (mut cpu, mut rng) = (Cpu::new(), Rng::new(1));
    cpu.set_code(&[0x90]);
    for _ in 0..100 {
        let before = rng.regs(&cpu);
        let mut after = before;
        assert_eq!(cpu.run(&mut after), Outcome::Left(cpu.pc() + 1));
        assert_eq!(after, before);
    }
}

#[test]
fn results_flags_and_memory_are_seen() {
    let (mut cpu, mut rng) = (Cpu::new(), Rng::new(2));
    let mut regs = rng.regs(&cpu);
    // add [rbx], al
    cpu.set_code(&[0x00, 0x03]);
    regs.gpr[3] = cpu.memory_base() + 7;
    regs.gpr[0] = 1;
    cpu.memory()[7] = 0xff;
    assert_eq!(cpu.run(&mut regs), Outcome::Left(cpu.pc() + 2));
    assert_eq!(cpu.memory()[7], 0);
    assert_eq!(regs.flags & 0x8d5, 0x55, "C, P, A, Z");
    // pcmpeqd xmm9,xmm9 leaves the upper half alone
    cpu.set_code(&[0x66, 0x45, 0x0f, 0x76, 0xc9]);
    let upper = regs.vec[9][2..].to_vec();
    cpu.run(&mut regs);
    assert_eq!(regs.vec[9][..2], [u64::MAX; 2]);
    assert_eq!(regs.vec[9][2..], upper);
}

#[test]
fn branches_and_faults_are_told_apart() {
    let (mut cpu, mut rng) = (Cpu::new(), Rng::new(3));
    let mut regs = rng.regs(&cpu);
    let rel = (cpu.taken() - cpu.pc() - 2) as u8;
    cpu.set_code(&[0x74, rel]);
    regs.flags = 0x40;
    assert_eq!(cpu.run(&mut regs), Outcome::Left(cpu.taken()));
    regs.flags = 0;
    assert_eq!(cpu.run(&mut regs), Outcome::Left(cpu.pc() + 2));
    // call rax
    cpu.set_code(&[0xff, 0xd0]);
    regs.gpr[0] = cpu.indirect();
    let rsp = regs.gpr[4];
    assert_eq!(cpu.run(&mut regs), Outcome::Left(cpu.indirect()));
    assert_eq!(regs.gpr[4], rsp - 8);
    let at = (rsp - 8 - cpu.memory_base()) as usize;
    let after = cpu.pc() + 2;
    assert_eq!(cpu.memory()[at..at + 8], after.to_le_bytes());
    // div ecx by zero; mov eax,[0]; ud2
    regs.gpr[1] = 0;
    let before = regs;
    for (code, signal) in [
        (&[0xf7, 0xf1][..], libc::SIGFPE),
        (&[0x8b, 0x04, 0x25, 0, 0, 0, 0], libc::SIGSEGV),
        (&[0x0f, 0x0b], libc::SIGILL),
    ] {
        cpu.set_code(code);
        assert_eq!(cpu.run(&mut regs), Outcome::Fault(signal));
        assert_eq!(regs.gpr, before.gpr, "a fault changes nothing");
    }
}

#[test]
fn segments_have_their_bases() {
    let (mut cpu, mut rng) = (Cpu::new(), Rng::new(4));
    let mut regs = rng.regs(&cpu);
    // mov rax, gs:[rcx]
    cpu.set_code(&[0x65, 0x48, 0x8b, 0x01]);
    regs.gpr[1] = (cpu.memory_base() + 16).wrapping_sub(cpu.gs_base());
    cpu.memory()[16..24].copy_from_slice(&77u64.to_le_bytes());
    cpu.run(&mut regs);
    assert_eq!(regs.gpr[0], 77);
    cpu.set_code(&[0x64, 0x48, 0x8b, 0x01]);
    regs.gpr[1] = (cpu.memory_base() + 16).wrapping_sub(cpu.fs_base());
    regs.gpr[0] = 0;
    cpu.run(&mut regs);
    assert_eq!(regs.gpr[0], 77);
}
