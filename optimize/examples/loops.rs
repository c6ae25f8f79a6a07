//! What becomes of the loops of a compiled file: `objdump -dw FILE` on standard input; for each innermost loop (a backward branch whose body contains no
//! other), the trace as lifted and after all passes, with the number of lines, and its machine code.
//!
//! ```text
//! gcc -O1 -c k.c && objdump -dw k.o | cargo run --release -p optimize --example loops [-- NAME|all]
//! ```
//!
//! The path through the body falls through forward branches. Facts: a thread alone, no fault handler, default control word.

use decode::x86_64::{X86_64, slots};
use decode::{Fp, Guest, GuestPc, Lifted};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{FactArg, Trace};
use ir::types::{Pc, SlotId};
use optimize::codegen::{Home, Host, IndirectAbi, Leaving, Segment, compile};
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};
use std::collections::BTreeMap;
use std::io::Read;

type Code = BTreeMap<u64, Vec<u8>>;

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("objdump's output");
    let wanted = std::env::args().nth(1);
    let mut total = (0, 0);
    for function in text.split("\n\n").filter(|f| f.contains(">:\n")) {
        let name = function.split('<').nth(1).and_then(|n| n.split('>').next()).unwrap_or("?");
        let code: Code = function.lines().filter_map(instruction).collect();
        for (head, last) in loops(&code) {
            let trace = lift(&code, head, last);
            let (before, after) =
                show(name, &trace, wanted.as_deref().is_some_and(|w| w == name || w == "all"));
            total = (total.0 + before, total.1 + after);
        }
    }
    println!("all: {} operations before, {} after", total.0, total.1);
}

/// Address and bytes of a line of objdump's.
fn instruction(line: &str) -> Option<(u64, Vec<u8>)> {
    let (address, rest) = line.trim_start().split_once(":\t")?;
    let bytes = rest.split('\t').next()?.split_whitespace();
    let bytes: Option<Vec<u8>> = bytes.map(|b| u8::from_str_radix(b, 16).ok()).collect();
    Some((u64::from_str_radix(address, 16).ok()?, bytes?))
}

fn bytes_at(code: &Code, pc: u64) -> Vec<u8> {
    code.range(pc..).flat_map(|(_, b)| b.clone()).take(15).collect()
}

/// Head and address of the branch back, of loops without a backward branch inside.
fn loops(code: &Code) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for pc in code.keys() {
        let Ok(inst) = X86_64.decode(&bytes_at(code, *pc), GuestPc(*pc)) else { continue };
        if let Some(target) = inst.flow().target()
            && target.0 <= *pc
            && code.contains_key(&target.0)
            && !all.iter().any(|(h, l)| (target.0..=*pc).contains(h) && (target.0..=*pc).contains(l))
        {
            all.push((target.0, *pc));
        }
    }
    all
}

fn lift(code: &Code, head: u64, last: u64) -> Trace {
    let mut b = Builder::new(X86_64.decls().clone(), "loop", Pc::Addr(head));
    let body = |b: &mut Builder| {
        b.assume("Private", &[FactArg::Name("guest".into())]);
        b.assume("NoFaultHandler", &[]);
        for pc in code.keys().copied().filter(|pc| (head..=last).contains(pc)) {
            let bytes = bytes_at(code, pc);
            let inst = X86_64.decode(&bytes, GuestPc(pc)).expect("decoded before");
            b.at_exact(Pc::Addr(pc));
            match X86_64.lift(&inst, &bytes[..inst.len()], Fp::AssumeDefault, b) {
                Lifted::Branch { cond, taken } => {
                    let next = pc + inst.len() as u64;
                    let cond = if taken.0 == head { cond } else { b.un(Op::Not, ir::types::Type::I1, cond) };
                    let other = if taken.0 == head { next } else { taken.0 };
                    let exit = b.exit(Pc::Addr(other), ExitKind::Jump);
                    b.guard(cond, exit);
                }
                _ => continue,
            }
        }
    };
    body(&mut b);
    // As the recorder does: parameters for what the body changes, but not for what it overwrites before anyone sees it.
    let read: Vec<SlotId> = b
        .trace()
        .insts
        .iter()
        .filter(|l| l.op == Op::Slot)
        .filter_map(|l| l.args[0].as_index())
        .map(|s| SlotId(s as u16))
        .collect();
    let mut always = Vec::new();
    if let Some(first) = b.trace().exits.first() {
        b.trace().for_each_bind(first.id, |bind| always.push(bind.slot));
    }
    let end = b.exit(Pc::Addr(0), ExitKind::Jump);
    let mut changed = Vec::new();
    b.trace().for_each_bind(end, |bind| {
        if read.contains(&bind.slot) || !always.contains(&bind.slot) {
            changed.push(bind.slot);
        }
    });
    changed.sort_unstable();
    let mut b = Builder::new(slots::decls().clone(), "loop", Pc::Addr(head));
    for slot in read {
        b.get(slot);
    }
    b.begin_loop(&changed);
    body(&mut b);
    let interrupt = b.exit(Pc::Addr(head), ExitKind::Jump);
    b.end_loop(Some(interrupt));
    let trace = b.finish();
    ir::verify::verify(&trace).expect("well-formed");
    trace
}

/// A host as the runtime is one.
struct Example;

impl Host for Example {
    fn features(&self) -> Features {
        Features { v256: true, v512: true }
    }

    fn vector_bytes(&self) -> u32 {
        64
    }

    fn home(&self, slot: SlotId) -> Home {
        match slot {
            slots::FLAGS => Home::Flags,
            slots::DF | slots::MXCSR => Home::Machine,
            slots::FS_BASE => Home::Base(Segment::Fs),
            slots::GS_BASE => Home::Memory(Segment::Gs, 8),
            SlotId(n) if n >= slots::K0.0 => Home::Mask((n - slots::K0.0) as u8),
            SlotId(n) if n >= slots::ZMM0.0 => Home::Vector((n - slots::ZMM0.0) as u8),
            SlotId(n) => Home::General(n as u8),
        }
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Gs, 0x1000, 0x3000)
    }

    fn indirect(&self) -> IndirectAbi {
        IndirectAbi { target: 1, in_memory: Vec::new() }
    }

    fn indirect_tail(&self, _: u64, code: &mut Vec<u8>) -> u32 {
        code.extend([0xe9, 0, 0, 0, 0]);
        code.len() as u32 - 4
    }
}

/// The hot part of the machine code, disassembled.
fn machine_code(trace: &Trace) -> String {
    use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
    let at = 0x10_0000;
    let code = match compile(trace, &Example, at) {
        Ok(code) => code,
        Err(e) => return format!("{e}"),
    };
    let mut out = format!("{} bytes, {} of them hot\n", code.bytes.len(), code.hot_end);
    let mut formatter = GasFormatter::new();
    for inst in Decoder::with_ip(64, &code.bytes[..code.hot_end as usize], at, DecoderOptions::NONE) {
        let offset = (inst.ip() - at) as u32;
        for e in &code.exits {
            if let Leaving::Back { head, .. } = e.leaving
                && head == offset
            {
                out.push_str("head:\n");
            }
        }
        let mut text = String::new();
        formatter.format(&inst, &mut text);
        out.push_str(&format!("{offset:5x}: {text}\n"));
    }
    out
}

/// Operations in the body that are there for more than exits: code generation moves the others out of line. Marks do not count.
fn count(trace: &Trace) -> usize {
    let at = trace.loop_at.unwrap_or(0) as usize;
    let mut needed = vec![false; trace.value_count()];
    let mut hot = 0;
    // Parameters that something hot needs pass on what they are passed; further rounds find that.
    for _ in 0..3 {
        hot = 0;
        for line in trace.insts[at..].iter().rev().filter(|l| l.op != Op::At) {
            if !trace.effects(line).is_removable() || line.has_result() && needed[line.res.index()] {
                hot += usize::from(line.op != Op::Phi);
                trace.for_each_operand(line, |o, _| {
                    if let Some(v) = o.as_value() {
                        needed[v.index()] = true;
                    }
                });
            }
        }
    }
    hot
}

fn show(name: &str, trace: &Trace, loud: bool) -> (usize, usize) {
    if loud {
        println!("{trace}");
    }
    let mut after = trace.clone();
    let mut pipeline = Pipeline::new(Level::Full);
    pipeline.run(&mut after, &mut Env::new(Features { v256: true, v512: false }, None), |_, _| {});
    if loud {
        println!("{after}");
        println!("{}", machine_code(&after));
    }
    // Once more for the times, with warm buffers.
    for _ in 0..20 {
        pipeline.run(&mut trace.clone(), &mut Env::default(), |_, _| {});
    }
    let nanos: f64 = pipeline.times().iter().map(|t| t.nanos_per_line()).sum();
    println!(
        "{name}: {} → {} operations in the body; passes {nanos:.0} ns per line",
        count(trace),
        count(&after)
    );
    if loud {
        for t in pipeline.times() {
            println!("    {:<16} {:6.0} ns per line, {} rewrites", t.name, t.nanos_per_line(), t.rewrites);
        }
    }
    (count(trace), count(&after))
}
