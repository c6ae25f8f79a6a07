//! How long one iteration of a loop takes when nothing but its dependences limits it: the longest way, in cycles, from a value of
//! one iteration to the same value of the next one.
//!
//! A processor that executes out of order hides everything else. So a loop whose recurrence is shorter is faster even if it has more
//! instructions. The typical case is a sum that the compiler left in memory:
//!
//! ```text
//! loop:                                   loop(%9: f64 = …):
//!   %1: f64 = load [%0]      8 cycles        %3: f64 = fadd %9, %2    3 cycles
//!   %3: f64 = fadd %1, %2    3 cycles        store %3, [%0]
//!   store %3, [%0]                           end loop(%3)
//! ```
//!
//! *How.* Each line gets the time at which its result is there, when all iterations begin at once: the latest of its operands plus its own
//! latency. A parameter has the time of what was passed to it; a load from a place that does not change around the loop has that of the last
//! store to the very same place, and one from where the iteration before stored, one step behind, that of this store. After some rounds all times grow by the same amount each round. Guards count nothing: branches are predicted.
//!
//! Latencies are rough figures of current x86-64 cores. The estimate is for comparing two versions of one loop, nothing else.

use crate::passes::loop_info::{Access, LoopInfo};
use ir::op::Op;
use ir::trace::{Inst, Trace};
use ir::types::{Operand, SlotId, Type};

/// Rounds before times are compared.
const SETTLE: u32 = 3;
/// Rounds over which growth is measured.
const ROUNDS: u32 = 4;

/// From a store's operand to the result of a load of the same place.
const FORWARDED_FLOAT: u32 = 8;
/// Likewise for integers.
const FORWARDED_INT: u32 = 5;
/// Likewise where the processor recognises the place by its address.
const RENAMED: u32 = 1;

/// Cycles per iteration; 0 for a trace without loop. `renamed`: accesses based on these slots at entry are recognised by the processor
/// without waiting for the address (frames).
pub fn cycles(trace: &Trace, renamed: impl Fn(SlotId) -> bool) -> u32 {
    let Some(head) = trace.loop_at.map(|h| h as usize) else { return 0 };
    let params = trace.params().len();
    let body = head + params;
    // Where values of the prologue come from; the loop defines everything else.
    let mut outside = vec![false; trace.value_count()];
    let mut frame = vec![false; trace.value_count()];
    for inst in trace.insts[..head].iter().filter(|i| i.has_result()) {
        outside[inst.res.index()] = true;
        frame[inst.res.index()] =
            inst.op == Op::Slot && inst.args[0].as_index().is_some_and(|s| renamed(SlotId(s as u16)));
    }
    let still = |o: Operand| o.as_value().is_none_or(|v| outside[v.index()]);
    let mut ready = vec![0u32; trace.value_count()];
    let mut places: Vec<(Place, u32)> = Vec::new();
    let behind = behind(trace);
    let mut before: Vec<u32> = Vec::new();
    let mut longest = 0;
    for round in 0..SETTLE + ROUNDS {
        for (line, inst) in trace.insts.iter().enumerate().skip(body) {
            let mut at = 0;
            trace.for_each_operand(inst, |o, _| at = at.max(o.as_value().map_or(0, |v| ready[v.index()])));
            let fixed = (still(inst.args[0]) && still(inst.args[1])).then(|| Place::of(inst));
            match inst.op {
                Op::Load => {
                    let stored = fixed.and_then(|p| places.iter().find(|(q, _)| *q == p));
                    let latency = latency(inst);
                    at = match stored {
                        Some((_, t)) => {
                            let float = !inst.ty.is_int();
                            let known = inst.args[0].as_value().is_some_and(|v| frame[v.index()]);
                            t + match (float, known) {
                                (true, _) => FORWARDED_FLOAT,
                                (false, true) => RENAMED,
                                (false, false) => FORWARDED_INT,
                            }
                        }
                        None => {
                            let waits = behind.iter().find(|b| b.0 == line && round > 0);
                            let stored = waits.and_then(|b| trace.insts[b.1].args[3].as_value());
                            let forwarded = if inst.ty.is_int() { FORWARDED_INT } else { FORWARDED_FLOAT };
                            stored.map_or(at + latency, |v| (ready[v.index()] + forwarded).max(at + latency))
                        }
                    };
                }
                Op::Store => {
                    if let Some(p) = fixed {
                        let t = inst.args[3].as_value().map_or(0, |v| ready[v.index()]);
                        match places.iter_mut().find(|(q, _)| *q == p) {
                            Some((_, old)) => *old = t,
                            None => places.push((p, t)),
                        }
                    }
                }
                // What a whole vector operation leaves above its result is not waited for.
                Op::Insert if inst.aty.bits() >= 128 => {
                    at = inst.args[1].as_value().map_or(0, |v| ready[v.index()]);
                }
                _ => at += latency(inst),
            }
            if inst.has_result() {
                ready[inst.res.index()] = at;
            }
        }
        let times = |ready: &[u32], places: &[(Place, u32)]| -> Vec<u32> {
            let passed = trace.params().iter().map(|p| p.args[1].as_value().map_or(0, |v| ready[v.index()]));
            let streams = behind.iter().filter_map(|b| trace.insts[b.1].args[3].as_value());
            let streams = streams.map(|v| ready[v.index()]);
            passed.chain(places.iter().map(|(_, t)| *t)).chain(streams).collect()
        };
        let now = times(&ready, &places);
        for (p, t) in trace.params().iter().zip(&now) {
            ready[p.res.index()] = *t;
        }
        if round + 1 == SETTLE {
            before = now;
        } else if round + 1 == SETTLE + ROUNDS {
            longest = now.iter().zip(&before).map(|(a, b)| a.saturating_sub(*b)).max().unwrap_or(0);
        }
    }
    longest / ROUNDS
}

/// Lines of loads with the lines of the stores that the iteration before made there.
fn behind(trace: &Trace) -> Vec<(usize, usize)> {
    let Some(info) = LoopInfo::new(trace) else { return Vec::new() };
    let all = |op: Op| {
        let lines = (info.body..trace.insts.len()).filter(move |l| trace.insts[*l].op == op);
        lines.filter_map(|l| info.access(trace, l)).filter(|a| a.step != 0).collect::<Vec<Access>>()
    };
    let stores =
        if trace.insts[info.body..].iter().any(|i| i.op == Op::Store) { all(Op::Store) } else { Vec::new() };
    if stores.is_empty() {
        return Vec::new();
    }
    let source = |load: &Access| {
        let store = stores.iter().find(|s| {
            s.step == load.step
                && s.addr.terms == load.addr.terms
                && s.addr.konst.wrapping_sub(s.step) == load.addr.konst
                && s.size == load.size
        })?;
        Some((load.line, store.line))
    };
    all(Op::Load).iter().filter_map(source).collect()
}

/// A place in memory, by what its address is computed from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    parts: [Operand; 3],
    scale: u8,
}

impl Place {
    fn of(inst: &Inst) -> Place {
        let [base, index, disp, _] = inst.args;
        Place { parts: [base, index, disp], scale: inst.scale() }
    }
}

/// Cycles from the last operand to the result.
fn latency(inst: &Inst) -> u32 {
    match inst.op {
        // Renaming, or nothing at all: partial registers and vectors taken apart by the lifter.
        Op::Trunc | Op::Zext | Op::Insert | Op::Extract | Op::Phi | Op::At | Op::Guard | Op::Slot => 0,
        Op::Load => {
            if inst.ty.is_int() {
                4
            } else {
                7
            }
        }
        Op::Fadd | Op::Fsub | Op::Fmul | Op::VFadd | Op::VFsub | Op::VFmul => 3,
        Op::Fdiv | Op::VFdiv => {
            if inst.aty == Type::F32 {
                10
            } else {
                13
            }
        }
        Op::Fsqrt | Op::VFsqrt => {
            if inst.aty == Type::F32 {
                15
            } else {
                21
            }
        }
        Op::Sitof | Op::Uitof | Op::Ftosi | Op::FtosiNear | Op::Fext | Op::Fnarrow | Op::Fround => 4,
        Op::Mul | Op::VMul => 3,
        Op::Udiv | Op::Sdiv | Op::Urem | Op::Srem | Op::Udivw | Op::Sdivw | Op::Uremw | Op::Sremw => 12,
        Op::Bitcast if inst.aty.is_int() != inst.ty.is_int() => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::cycles;

    fn of(body: &str) -> u32 {
        let text = format!(
            "slot rbp: i64 hint rbp\nslot rax: i64 hint rax\nclass guest.memory\n\
             trace t entry 0x1000 {{\n  assume NoFaultHandler\n  %0: i64 = slot rbp\n  %1: i64 = slot rax\n{body}\
             \n  exit 0 resume 0x2000 {{ }}\n  exit 1 resume 0x1000 {{ }}\n}}\n"
        );
        let parsed = ir::parse::parse(&text).expect("text");
        cycles(&parsed.trace, |s| s.0 == 0)
    }

    #[test]
    fn a_sum_in_memory_waits_for_its_store() {
        let got = of("loop(%2: i64 = 0):
  %3: f64 = load [%0 - 8] !guest.memory
  %4: f64 = fadd %3, 1.0
  store %4, [%0 - 8] !guest.memory
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5) else exit 1");
        assert_eq!(got, 11);
    }

    #[test]
    fn a_sum_in_a_register_takes_one_addition() {
        let got = of("loop(%2: i64 = 0, %3: f64 = 0.0):
  %4: f64 = fadd %3, 1.0
  store %4, [%0 - 8] !guest.memory
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5, %4) else exit 1");
        assert_eq!(got, 3);
    }

    #[test]
    fn counters_in_a_frame_are_cheap_and_others_are_not() {
        let body = |base: &str| {
            of(&format!(
                "loop(%2: i64 = 0):
  %3: i64 = load [{base} - 8] !guest.memory
  %4: i64 = add %3, 1
  store %4, [{base} - 8] !guest.memory
  %6: i1 = ne %4, 100
  guard %6 else exit 0
  end loop(%2) else exit 1"
            ))
        };
        assert_eq!(body("%0"), 2);
        assert_eq!(body("%1"), 6);
    }

    #[test]
    fn another_place_does_not_wait() {
        let got = of("loop(%2: i64 = 0):
  %3: f64 = load [%0 - 16] !guest.memory
  %4: f64 = fadd %3, 1.0
  store %4, [%0 - 8] !guest.memory
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5) else exit 1");
        assert_eq!(got, 1);
    }

    #[test]
    fn a_stream_does_not_wait() {
        let got = of("loop(%2: i64 = 0):
  %3: f64 = load [%0 + %2*8] !guest.memory
  %4: f64 = fadd %3, 1.0
  store %4, [%0 + %2*8] !guest.memory
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5) else exit 1");
        assert_eq!(got, 1);
    }

    #[test]
    fn a_stream_that_reads_what_it_wrote_waits() {
        let got = of("loop(%2: i64 = 0):
  %3: i32 = load [%0 + %2*4 - 4] !guest.memory
  %4: i32 = add %3, 1
  store %4, [%0 + %2*4] !guest.memory
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5) else exit 1");
        assert_eq!(got, 6);
    }

    #[test]
    fn upper_parts_are_no_chain() {
        let got = of("loop(%2: i64 = 0, %3: v512 = 0:v512, %8: v128 = 0:v128):
  %4: v128 = load [%0 + %2*8] !guest.memory
  %5: v128 = v.fmul.f64 %4, %4
  %7: v512 = insert %3, %5, 0
  %9: v128 = trunc %7
  %10: v128 = v.fadd.f64 %8, %9
  %11: i64 = add %2, 1
  %6: i1 = ne %11, 100
  guard %6 else exit 0
  end loop(%11, %7, %10) else exit 1");
        assert_eq!(got, 3);
    }

    #[test]
    fn chains_add_up() {
        let got = of("loop(%2: i64 = 0, %3: f64 = 1.0):
  %4: f64 = fmul %3, %3
  %7: f64 = fdiv %4, 3.0
  %5: i64 = add %2, 1
  %6: i1 = ne %5, 100
  guard %6 else exit 0
  end loop(%5, %7) else exit 1");
        assert_eq!(got, 16);
    }
}
