//! The kind `codegen` of file tests: the instructions that a trace becomes.
//!
//! Slots named like general registers are at home there, `flags` in the flags; others in memory. Registers other than `rsp` are shown as
//! their class (`r64`, `r32`, `r16`, `r8`, `x`), so that another allocation breaks no test; jumps show where they go.

use ir::filetest::Case;
use ir::types::{SlotId, Type};
use optimize::codegen::{Code, Home, Host, IndirectAbi, Leaving, Segment, compile};
use optimize::pass::Features;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction};

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// Where the code would stand.
const AT: u64 = 0x10_0000;

struct Slots(Vec<Home>);

impl Host for Slots {
    fn features(&self) -> Features {
        Features { v256: true, v512: false }
    }

    fn vector_bytes(&self) -> u32 {
        32
    }

    fn home(&self, slot: SlotId) -> Home {
        self.0[slot.index()]
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Gs, 0x1000, 0x4000)
    }

    fn indirect(&self) -> IndirectAbi {
        IndirectAbi { target: 1, in_memory: vec![(1, Segment::Gs, 0x108)] }
    }

    fn indirect_tail(&self, _at: u64, code: &mut Vec<u8>) -> u32 {
        code.extend([0xe9, 0, 0, 0, 0]);
        code.len() as u32 - 4
    }
}

/// The output of a `codegen` test.
pub fn codegen(case: &Case<'_>) -> Result<String, String> {
    let trace = case.trace()?;
    let mut memory = 0x200;
    let homes = trace.decls.slots.iter().map(|slot| {
        let register = NAMES.iter().position(|n| *n == slot.name);
        let vector = slot.name.strip_prefix("zmm").and_then(|n| n.parse().ok());
        match (slot.ty, register, vector) {
            (Type::I64, Some(r), _) => Home::General(r as u8),
            (Type::V512, _, Some(r)) => Home::Vector(r),
            (Type::Flags, ..) => Home::Flags,
            _ => {
                memory += 8;
                Home::Memory(Segment::Gs, memory - 8)
            }
        }
    });
    let code = compile(&trace, &Slots(homes.collect()), AT).map_err(|e| e.to_string())?;
    Ok(text(&code))
}

fn text(code: &Code) -> String {
    let mut out = String::new();
    let mut formatter = GasFormatter::new();
    let mut decoder = Decoder::with_ip(64, &code.bytes, AT, DecoderOptions::NONE);
    let mut inst = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut inst);
        let offset = (inst.ip() - AT) as u32;
        for exit in &code.exits {
            match exit.leaving {
                Leaving::Back { head, .. } if head == offset => out.push_str("loop:\n"),
                Leaving::Back { .. } => {}
                _ if exit.start == offset => out.push_str(&format!("exit {}:\n", exit.exit.0)),
                _ => {}
            }
        }
        let mut line = String::new();
        formatter.format(&inst, &mut line);
        let field = (offset + inst.len() as u32).wrapping_sub(4);
        let target = (inst.near_branch_target()).wrapping_sub(AT) as u32;
        if line.starts_with('n') && line.starts_with("nop") || line == "xchg %ax,%ax" {
            continue; // Padding, which depends on addresses.
        }
        let jump = |to: String| format!("    {} {to}\n", line.split(' ').next().unwrap_or_default());
        let leaves = code.exits.iter().find(|e| e.patch == field);
        let cold =
            code.exits.iter().find(|e| e.start == target && !matches!(e.leaving, Leaving::Back { .. }));
        match (leaves, cold) {
            (Some(e), _) if inst.is_jmp_near() || inst.is_jcc_near() => out.push_str(&match e.leaving {
                Leaving::Back { .. } => jump("loop".into()),
                Leaving::Direct(pc) => jump(format!("{pc:x?}")),
                Leaving::Indirect => jump("indirect".into()),
            }),
            (_, Some(e)) if inst.is_jcc_near() || inst.is_jmp_near() => {
                out.push_str(&jump(format!("exit {}", e.exit.0)));
            }
            _ => out.push_str(&format!("    {}\n", by_class(&line))),
        }
    }
    out
}

/// Register names replaced by their classes.
fn by_class(line: &str) -> String {
    let mut out = String::new();
    for (i, part) in line.split('%').enumerate() {
        if i == 0 {
            out.push_str(part);
            continue;
        }
        let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let class = match name {
            "rsp" | "gs" | "fs" => name,
            n if n.starts_with("xmm") => "x",
            n if n.ends_with('d') || n.starts_with('e') => "r32",
            n if n.ends_with('w') => "r16",
            n if n.ends_with('b') || n.ends_with('l') => "r8",
            n if n.len() == 2 && !n.starts_with('r') => "r16",
            _ => "r64",
        };
        out.push_str(class);
        out.push_str(rest);
    }
    out
}
