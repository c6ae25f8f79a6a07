//! How a recording ends: as a loop, or with an exit.

use ir::op::Op as O;
use ir::snapshot::ExitKind;
use ir::trace::{End, Inst};
use ir::types::{Operand, Type};

use super::{Finished, PlaceKind, Recorded, Recorder};
use crate::jit::layout::Layout;

impl Recorder {
    /// Ends the trace in front of the instruction at hand: by going round, by going on at a root (whose key is `link`), or by leaving.
    pub(super) fn finish(&mut self, link: Option<u64>, round: bool) -> Recorded {
        if round {
            self.close_loop();
        } else {
            let to = self.place(self.pc, PlaceKind::Resume);
            let exit = self.b.exit(to, ExitKind::Jump);
            self.b.end_exit(exit);
        }
        let mut trace = std::mem::replace(
            &mut self.b,
            ir::builder::Builder::new(self.layout.decls(0), "t", ir::types::Pc::Addr(0)),
        )
        .finish();
        trace.decls = self.layout.decls(self.highest + 1);
        if cfg!(debug_assertions)
            && let Err(e) = ir::verify::verify(&trace)
        {
            debug_assert!(false, "{e:?}\n{trace}");
        }
        Recorded::Done(Box::new(Finished {
            trace,
            places: std::mem::take(&mut self.places),
            kept: std::mem::take(&mut self.kept),
            is_loop: round,
            link,
            length: self.length,
            calls_with_stack: self.calls_with_stack,
            proto: self.first_proto,
        }))
    }

    /// Makes the line a loop: what was read of changed slots at entry becomes a parameter, and the first exit says where all changed slots
    /// are (others inherit from it).
    fn close_loop(&mut self) {
        let words = self.highest + 1;
        // By word: the value of its `slot` line, and the operand that it has now.
        let mut read: Vec<Operand> = vec![Operand::NONE; words];
        for inst in &self.b.trace().insts {
            if inst.op == O::Slot
                && let Some(n) = inst.args[0].as_index().and_then(|i| i.checked_sub(1))
                && n < words
            {
                read[n] = Operand::value(inst.res);
            }
        }
        let mut changed: Vec<(usize, Operand)> = Vec::new();
        for (n, &read) in read.iter().enumerate() {
            let Some(v) = self.vals[n] else { continue };
            let word = self.word(v);
            if !word.is_none() && word != read {
                changed.push((n, word));
            }
        }
        // What lies above the frame at the end of a round is dead at its beginning.
        // SAFETY: the running function is a Lua function.
        let frame = crate::jit::layout::ENTRY + unsafe { (*self.proto()).framesize as usize };
        changed.retain(|c| c.0 < frame);
        let trace = self.b.trace_mut();
        let old = std::mem::take(&mut trace.insts);
        let mut front: Vec<Inst> = Vec::new();
        let mut params: Vec<Inst> = Vec::new();
        for inst in old.iter().filter(|i| i.op == O::Slot) {
            let word = inst.args[0].as_index().and_then(|i| i.checked_sub(1));
            if !changed.iter().any(|c| Some(c.0) == word) {
                front.push(*inst);
            }
        }
        let mut binds = Vec::new();
        for &(n, next) in &changed {
            let slot = Layout::word(n);
            let mut line = Inst::new(O::Slot, Type::Void, Type::I64, 0, &[Operand::index(slot.0.into())]);
            line.res = trace.new_value(Type::I64);
            let entry = Operand::value(line.res);
            front.push(line);
            let mut param = Inst::new(O::Phi, Type::Void, Type::I64, 0, &[entry, next]);
            param.res = match read[n].as_value() {
                Some(v) => v,
                None => trace.new_value(Type::I64),
            };
            binds.push(ir::snapshot::Bind { slot, value: Operand::value(param.res) });
            params.push(param);
        }
        trace.loop_at = Some(front.len() as u32);
        front.append(&mut params);
        front.extend(old.into_iter().filter(|i| i.op != O::Slot));
        trace.insts = front;
        trace.end = End::Loop;
        if let Some(first) = trace.exits.first().copied() {
            let own = trace.binds(&first).to_vec();
            binds.retain(|b| !own.iter().any(|o| o.slot == b.slot));
            binds.extend(own);
            trace.set_binds(first.id, None, &binds);
        }
    }
}
