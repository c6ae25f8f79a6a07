//! Traces as a front end builds and runs them: the builder's view of guest state, snapshots, natives,
//! helpers, faults.

use std::sync::Arc;

use ir::builder::Builder;
use ir::effects::{EffectBits, Effects};
use ir::interp::{CallError, Fault, Interp, Machine, Outcome, State};
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::{Addr, Decls, Helper, Native};
use ir::types::*;
use ir::{print, verify};

struct Slots {
    rax: SlotId,
    rcx: SlotId,
    flags: SlotId,
    xmm0: SlotId,
    mem: ClassId,
    helper: HelperId,
    decls: Arc<Decls>,
}

fn slots() -> Slots {
    let mut d = Decls::new();
    let raises = Effects { bits: EffectBits::RAISES, ..Effects::PURE };
    Slots {
        rax: d.add_slot("rax", Type::I64, Some("rax")).unwrap(),
        rcx: d.add_slot("rcx", Type::I64, Some("rcx")).unwrap(),
        flags: d.add_slot("flags", Type::Flags, None).unwrap(),
        xmm0: d.add_slot("xmm0", Type::V512, None).unwrap(),
        mem: d.add_class("mem", None, &[]).unwrap(),
        helper: d.add_helper("half", &[Type::I64], Type::I64, raises).unwrap(),
        decls: Arc::new(d),
    }
}

/// Memory of one word at 0x1000; a native that swaps; a helper that halves even numbers.
struct World {
    word: u64,
    natives: Vec<(Vec<u8>, Option<Pc>)>,
}

impl Machine for World {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        if addr != 0x1000 || bytes.len() > 8 {
            return Err(Fault::Memory { addr, write: false });
        }
        bytes.copy_from_slice(&self.word.to_le_bytes()[..bytes.len()]);
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        let mut word = self.word.to_le_bytes();
        if addr != 0x1000 || bytes.len() > 8 {
            return Err(Fault::Memory { addr, write: true });
        }
        word[..bytes.len()].copy_from_slice(bytes);
        self.word = u64::from_le_bytes(word);
        Ok(())
    }

    fn native(
        &mut self,
        native: &Native,
        pc: Option<Pc>,
        inputs: &[(SlotId, Wide)],
        outputs: &mut [Wide],
    ) -> Result<(), Fault> {
        self.natives.push((native.bytes().to_vec(), pc));
        for (i, slot) in native.writes.iter().enumerate() {
            // Exchange: each slot gets the value of the other input.
            outputs[i] = inputs.iter().find(|(s, _)| s != slot).map_or(ZERO, |(_, w)| *w);
        }
        Ok(())
    }

    fn call(&mut self, _: HelperId, helper: &Helper, args: &[Wide]) -> Result<Wide, CallError> {
        assert_eq!(helper.name, "half");
        if args[0][0] % 2 == 1 {
            return Err(CallError::Raise);
        }
        Ok(ir::eval::word(args[0][0] / 2))
    }
}

fn world() -> World {
    World { word: 42, natives: Vec::new() }
}

#[test]
fn snapshots_store_only_what_changed() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
    let one = b.i64(1);
    for i in 0..3u64 {
        b.at_exact(Pc::Addr(0x10 + i));
        let old = b.get(s.rax);
        let new = b.bin(Op::Add, Type::I64, old, one);
        b.set(s.rax, new);
        b.set_recipe(s.flags, Op::FlagsAdd, Type::I64, 0, &[old, one]);
    }
    let c = b.get(s.flags);
    let carry = b.flag(Flag::C, c);
    let not = b.un(Op::Not, Type::I1, carry);
    let out = b.exit(Pc::Addr(0x20), ExitKind::Jump);
    b.guard(not, out);
    let last = b.exit(Pc::Addr(0x30), ExitKind::Jump);
    b.end_exit(last);
    let t = b.finish();
    assert_eq!(verify::verify(&t), Ok(()), "{t}");
    let own: Vec<usize> = t.exits.iter().map(|e| t.binds(e).len()).collect();
    assert_eq!(own, [0, 2, 2, 2, 0], "{t}");
    assert_eq!(t.snapshot(last).len(), 2, "inherited binds, each slot once");

    let mut state = State::new(&s.decls);
    state.set(s.rax, u64::MAX - 2);
    let outcome = Interp::new().run(&t, &mut state, &mut world(), 0);
    assert!(matches!(outcome, Outcome::Exit { resume: Pc::Addr(0x20), .. }));
    assert_eq!((state.get(s.rax), state.get(s.flags) & 1), (0, 1));
}

#[test]
fn natives_see_slots_and_the_pc() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
    b.at(Pc::Addr(0x10));
    let both = [s.rax, s.rcx];
    b.native(&[0x48, 0x87, 0xc8], &both, &both, Effects::PURE);
    let end = b.exit(Pc::Addr(0x13), ExitKind::Jump);
    b.end_exit(end);
    let t = b.finish();
    assert_eq!(verify::verify(&t), Ok(()), "{}", print::file(&t));
    let (mut state, mut w) = (State::new(&s.decls), world());
    state.set(s.rax, 1);
    state.set(s.rcx, 2);
    let outcome = Interp::new().run(&t, &mut state, &mut w, 0);
    assert_eq!(outcome, Outcome::Exit { id: end, kind: ExitKind::Jump, resume: Pc::Addr(0x13) });
    assert_eq!((state.get(s.rax), state.get(s.rcx)), (2, 1));
    assert_eq!(w.natives, [(vec![0x48, 0x87, 0xc8], Some(Pc::Addr(0x10)))]);
}

#[test]
fn helpers_return_or_leave() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
    let raised = b.exit(Pc::Addr(0x99), ExitKind::Trap(1));
    let x = b.get(s.rax);
    let half = b.call(s.helper, &[x], Some(raised));
    b.set(s.rax, half);
    let end = b.exit(Pc::Addr(0x11), ExitKind::Jump);
    b.end_exit(end);
    let t = b.finish();
    assert_eq!(verify::verify(&t), Ok(()));
    let run = |n: u64| {
        let mut state = State::new(&s.decls);
        state.set(s.rax, n);
        let outcome = Interp::new().run(&t, &mut state, &mut world(), 0);
        let Outcome::Exit { id, kind, .. } = outcome else { panic!("{outcome:?}") };
        (id, kind, state.get(s.rax))
    };
    assert_eq!(run(10), (end, ExitKind::Jump, 5));
    assert_eq!(run(11), (raised, ExitKind::Trap(1), 11));
}

#[test]
fn faults_say_how_exact_they_are() {
    let s = slots();
    let build = |exact: bool| {
        let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
        b.at(Pc::Addr(0x10));
        let base = b.get(s.rax);
        let x = b.load(Type::I32, Addr::new(base, 0), s.mem);
        let x = b.convert(Op::Zext, Type::I32, Type::I64, x);
        b.set(s.rcx, x);
        if exact {
            b.at_exact(Pc::Addr(0x12));
        } else {
            b.at(Pc::Addr(0x12));
        }
        let y = b.load(Type::I64, Addr::new(base, 0).indexed(x, 8), s.mem);
        b.set(s.rax, y);
        let end = b.exit(Pc::Addr(0x14), ExitKind::Jump);
        b.end_exit(end);
        b.finish()
    };
    let run = |t: &ir::trace::Trace, rax: u64| {
        let mut state = State::new(&s.decls);
        state.set(s.rax, rax);
        let outcome = Interp::new().run(t, &mut state, &mut world(), 0);
        let Outcome::Fault { fault: Fault::Memory { .. }, pc: Pc::Addr(pc), exact } = outcome else {
            panic!("{outcome:?}")
        };
        (pc, exact, state.get(s.rcx))
    };
    assert_eq!(run(&build(true), 0), (0x10, true, 0), "the first `at`: the state at entry is exact");
    assert_eq!(run(&build(true), 0x1000), (0x12, true, 42), "the snapshot was taken");
    assert_eq!(run(&build(false), 0x1000), (0x12, false, 0), "nothing is known");
}

#[test]
fn loops_from_slots() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
    b.begin_loop(&[s.rax, s.rcx]);
    let (x, n) = (b.get(s.rax), b.get(s.rcx));
    let sum = b.bin(Op::Add, Type::I64, x, n);
    b.set(s.rax, sum);
    let one = b.i64(1);
    let less = b.bin(Op::Sub, Type::I64, n, one);
    b.set(s.rcx, less);
    let flags = b.bin(Op::FlagsSub, Type::I64, n, one);
    b.set(s.flags, flags);
    let more = b.cc(Cond::Ne, flags);
    let out = b.exit(Pc::Addr(0x20), ExitKind::Jump);
    b.guard(more, out);
    b.end_loop(None);
    let t = b.finish();
    assert_eq!(verify::verify(&t), Ok(()), "{t}");
    let mut state = State::new(&s.decls);
    state.set(s.rcx, 100);
    let mut interp = Interp::new();
    assert_eq!(interp.run(&t, &mut state.clone(), &mut world(), 50), Outcome::OutOfFuel);
    interp.run(&t, &mut state, &mut world(), 1000);
    assert_eq!((state.get(s.rax), state.get(s.rcx)), (5050, 0));
}

#[test]
fn wide_slots_are_written_at_their_width() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0x10));
    let v = b.get(s.xmm0);
    let low = b.convert(Op::Trunc, Type::V512, Type::V128, v);
    let doubled = b.lanes(Op::VAdd, Type::I32, Type::V128, &[low, low]);
    let back = b.insert(Type::V512, v, Type::V128, doubled, 0);
    b.set(s.xmm0, back);
    let end = b.exit(Pc::Addr(0x14), ExitKind::Jump);
    b.end_exit(end);
    let t = b.finish();
    assert_eq!(verify::verify(&t), Ok(()));
    let mut state = State::new(&s.decls);
    state.set_wide(s.xmm0, &[1, 0x8000_0000_0000_0002, 3, 4, 5, 6, 7, 8]);
    Interp::new().run(&t, &mut state, &mut world(), 0);
    assert_eq!(state.get_wide(s.xmm0), &[2, 4, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_builder_can_be_used_again() {
    let s = slots();
    let mut b = Builder::new(s.decls.clone(), "t", Pc::Addr(0));
    for i in 0..3u64 {
        b.reset(Pc::Addr(i));
        let big = b.i64(0x1234_5678_9abc + i as i64);
        b.set(s.rax, big);
        let end = b.exit(Pc::Addr(i + 1), ExitKind::Jump);
        b.end_exit(end);
        assert_eq!(verify::verify(b.trace()), Ok(()));
        let mut state = State::new(&s.decls);
        Interp::new().run(b.trace(), &mut state, &mut world(), 0);
        assert_eq!(state.get(s.rax), 0x1234_5678_9abc + i);
    }
}

#[test]
fn an_exit_without_a_slot_says_so_and_later_ones_say_what_it_holds() {
    let s = slots();
    let mut b = Builder::new(s.decls, "t", Pc::Addr(0));
    let a = s.rax;
    b.exit_without(Pc::Addr(1), ExitKind::Jump, a);
    b.exit(Pc::Addr(2), ExitKind::Jump);
    let x = b.get(a);
    let y = b.bin(Op::Add, Type::I64, x, x);
    b.set(a, y);
    b.exit_without(Pc::Addr(3), ExitKind::Jump, a);
    let last = b.exit(Pc::Addr(4), ExitKind::Jump);
    b.end_exit(last);
    let text = b.trace().to_string();
    for line in [
        "exit 0 resume 0x1 { rax = any }",
        // What was never touched cannot be said to be as it was behind one that may be anything.
        "exit 1 resume 0x2 { }",
        "exit 2 resume 0x3 like 1 { rax = any }",
        "exit 3 resume 0x4 like 2 { rax = %1 }",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(ir::parse::parse(&print::file(b.trace())).map(|p| p.trace.to_string()), Ok(text));
    assert_eq!(verify::verify(b.trace()), Ok(()));
}
