//! `semantics.txt`: tricky cases, one per line, on the CPU and in the interpreter.

use crate::cpu::{Cpu, FLAGS, MEMORY_LEN, Outcome, Regs};
use crate::lifted::{Memory, Undefined, to_slots};
use decode::x86_64::{X86_64, slots};
use decode::{Fp, Guest, GuestPc};
use ir::interp::{Fault, Interp, State};
use ir::types::Pc;
use std::fmt::Write;

const FLAG_LETTERS: [(char, u64); 7] =
    [('c', 1), ('p', 4), ('a', 0x10), ('z', 0x40), ('s', 0x80), ('o', 0x800), ('d', 0x400)];

/// Guest state and memory, as text names them.
#[derive(Clone)]
struct World {
    regs: Regs,
    memory: Box<[u8; MEMORY_LEN]>,
    way: String,
}

fn number(cpu: &Cpu, text: &str) -> u128 {
    match text {
        "indirect" => cpu.indirect().into(),
        "code" => cpu.pc().into(),
        _ => match text.strip_prefix('@') {
            Some(offset) => {
                u128::from(cpu.memory_base() + u64::from_str_radix(offset, 16).expect("hex offset"))
            }
            None => u128::from_str_radix(text, 16).expect("hex number"),
        },
    }
}

fn before(cpu: &Cpu, text: &str) -> World {
    let mut world = World {
        regs: Regs { mxcsr: 0x1f80, ..Regs::default() },
        memory: Box::new([0; MEMORY_LEN]),
        way: String::new(),
    };
    world.regs.gpr[4] = cpu.memory_base() + 0x800;
    for item in text.split_whitespace() {
        let (name, value) = item.split_once('=').expect("name=value");
        if name == "flags" {
            let bit = |c| FLAG_LETTERS.iter().find(|f| f.0 == c).expect("a flag letter").1;
            world.regs.flags = value.chars().map(bit).fold(0, |a, b| a | b);
            continue;
        }
        let value = number(cpu, value);
        if let Some(i) = slots::GPR_NAMES.iter().position(|n| *n == name) {
            world.regs.gpr[i] = value as u64;
        } else if let Some(i) = name.strip_prefix("xmm") {
            let i: usize = i.parse().expect("xmm number");
            world.regs.vec[i][0] = value as u64;
            world.regs.vec[i][1] = (value >> 64) as u64;
        } else {
            let at = name.strip_prefix("m[").and_then(|n| n.strip_suffix(']')).expect("m[offset]");
            let at = usize::from_str_radix(at, 16).expect("hex offset");
            world.memory[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
    }
    world
}

/// What changed, in the order and spelling of the file.
fn changes(cpu: &Cpu, before: &World, after: &World, undefined: u64) -> String {
    let mut text = String::new();
    let show = |value: u64| {
        let offset = value.wrapping_sub(cpu.memory_base());
        match value {
            v if v == cpu.indirect() => "indirect".into(),
            _ if offset < MEMORY_LEN as u64 => format!("@{offset:x}"),
            v => format!("{v:x}"),
        }
    };
    for i in 0..16 {
        if before.regs.gpr[i] != after.regs.gpr[i] {
            let _ = write!(text, " {}={}", slots::GPR_NAMES[i], show(after.regs.gpr[i]));
        }
    }
    for i in 0..16 {
        let (old, new) = (before.regs.vec[i], after.regs.vec[i]);
        if old != new {
            let _ = write!(text, " xmm{i}={:x}", u128::from(new[0]) | u128::from(new[1]) << 64);
            assert_eq!(old[2..], new[2..], "upper half");
        }
    }
    if (before.regs.flags ^ after.regs.flags) & !undefined & FLAGS != 0 {
        let set = FLAG_LETTERS.iter().filter(|f| after.regs.flags & !undefined & f.1 != 0);
        let _ = write!(text, " flags={}", set.map(|f| f.0).collect::<String>());
    }
    for at in (0..MEMORY_LEN).step_by(8) {
        let word = |m: &[u8; MEMORY_LEN]| u64::from_le_bytes(m[at..at + 8].try_into().expect("eight bytes"));
        let new = word(&after.memory);
        if word(&before.memory) != new {
            let code = cpu.pc()..cpu.pc() + 16;
            let new = if code.contains(&new) { "next".into() } else { show(new) };
            let _ = write!(text, " m[{at:x}]={new}");
        }
    }
    text.push_str(&after.way);
    if text.is_empty() { " nothing".into() } else { text }
}

fn on_cpu(cpu: &mut Cpu, bytes: &[u8], before: &World) -> World {
    let mut after = before.clone();
    cpu.set_code(bytes);
    *cpu.memory() = *before.memory;
    let way = cpu.run(&mut after.regs);
    *after.memory = *cpu.memory();
    after.way = match way {
        Outcome::Left(to) if to == cpu.pc() + bytes.len() as u64 => String::new(),
        Outcome::Left(to) if to == cpu.taken() => " to=taken".into(),
        Outcome::Left(_) => " to=indirect".into(),
        Outcome::Fault(libc::SIGFPE) => " fault=divide".into(),
        Outcome::Fault(signal) => format!(" fault={signal}"),
    };
    after
}

fn in_interpreter(cpu: &Cpu, bytes: &[u8], before: &World) -> World {
    let mut after = before.clone();
    let trace = X86_64.lift_one(bytes, GuestPc(cpu.pc()), Fp::AssumeDefault).expect("an instruction");
    let mut memory = Memory { base: cpu.memory_base(), bytes: before.memory.clone() };
    let mut state: State = to_slots(&before.regs, cpu);
    let outcome = Interp::new().run(&trace, &mut state, &mut memory, 1);
    after.way = match outcome {
        ir::interp::Outcome::Exit { resume: Pc::Addr(to), .. } if to == cpu.pc() + bytes.len() as u64 => {
            String::new()
        }
        ir::interp::Outcome::Exit { resume: Pc::Addr(to), .. } if to == cpu.taken() => " to=taken".into(),
        ir::interp::Outcome::Exit { resume: Pc::Addr(to), .. } if to == cpu.indirect() => {
            " to=indirect".into()
        }
        ir::interp::Outcome::Fault { fault: Fault::Divide, .. } => " fault=divide".into(),
        other => format!(" {other:?}"),
    };
    for i in 0..16 {
        after.regs.gpr[i] = state.get(slots::gpr(i as u8));
        after.regs.vec[i].copy_from_slice(&state.get_wide(slots::zmm(i as u8))[..4]);
    }
    after.regs.flags = state.get(slots::FLAGS) | state.get(slots::DF) << 10;
    after.memory = memory.bytes;
    after
}

#[test]
fn tricky_cases() {
    let (mut cpu, undefined) = (Cpu::new(), Undefined::load());
    let (mut blessed, mut failures) = (String::new(), String::new());
    for line in include_str!("../semantics.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            blessed.push_str(line);
            blessed.push('\n');
            continue;
        }
        let (left, expected) = line.split_once("=>").expect("before => after");
        let mut parts = left.split('|');
        let (what, code, state) = (parts.next(), parts.next(), parts.next());
        let (Some(what), Some(code), Some(state)) = (what, code, state) else {
            panic!("three parts: {line}")
        };
        let bytes: Vec<u8> =
            code.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hex byte")).collect();
        let start = before(&cpu, state);
        let inst = X86_64.decode(&bytes, GuestPc(cpu.pc())).expect("an instruction");
        assert!(X86_64.is_modelled(&inst, Fp::AssumeDefault), "{what}is not modelled");
        let flags = undefined.flags(&inst, &start.regs);
        let native = on_cpu(&mut cpu, &bytes, &start);
        let native = changes(&cpu, &start, &native, flags);
        let lifted = in_interpreter(&cpu, &bytes, &start);
        let lifted = changes(&cpu, &start, &lifted, flags);
        let _ = writeln!(blessed, "{left}=>{native}");
        if native != lifted || native.trim() != expected.trim() {
            let _ =
                writeln!(failures, "{what}:\n  expected {expected}\n  cpu     {native}\n  lifted  {lifted}");
        }
    }
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/semantics.txt");
        std::fs::write(path, blessed).expect("writable source tree");
    }
    assert!(failures.is_empty(), "BLESS=1 takes over what the CPU does:\n{failures}");
}
