//! Stores that nobody can see: memory that is written again before anyone may have read it.
//!
//! ```text
//! store %3, [%0 - 8] !stack        dead: nothing reads [%0 - 8] before …
//! %4: i64 = xor %3, %2
//! store %4, [%0 - 8] !stack        … this
//! guard %5 else exit 0             whoever goes on at exit 0 may read it: what was stored before stays
//! store %6, [%0 - 8] !stack
//! ```
//!
//! One sweep in order. *Pending* stores are those since the last line behind which somebody else may look at memory: a guard, a
//! native, a call, an atomic operation or fence, the head and the end of the loop. A store that covers a pending one removes it; a load
//! takes from the pending ones what it may read: bytes of the same root that it meets, and everything of other roots (see [`super::alias`]), as far as
//! the classes may share memory.
//!
//! Assumes: faults are final (`assume NoFaultHandler`), as a removed store may have been one that faults, and the store that covers it does so later.
//! Only private memory ([`is_private`]) is touched, as another thread would see that a store is missing; a store to other memory must not come in front
//! of such a fault, so pending stores end there.
//!
//! Guarantees: memory at each line that leaves is what it was. Where a removed store would have faulted, the one that covers it does, with nothing
//! shown to anybody in between.

use super::alias::{Addresses, Linear, Root, Span};
use crate::pass::{Env, Pass, faults_are_final, is_private};
use ir::effects::EffectBits;
use ir::op::{Op, OpEffect};
use ir::trace::Trace;
use ir::types::ClassId;

/// More stores than this are not kept in mind; the oldest go.
const MOST_PENDING: usize = 32;

/// A store that may turn out to be dead.
#[derive(Clone, Copy, Debug)]
struct Pending {
    line: usize,
    root: Root,
    span: Span,
    class: ClassId,
}

/// See the module.
#[derive(Debug, Default)]
pub struct DeadStore {
    addresses: Addresses,
    pending: Vec<Pending>,
    dead: Vec<usize>,
}

impl Pass for DeadStore {
    fn name(&self) -> &'static str {
        "dead_store"
    }

    fn run(&mut self, trace: &mut Trace, env: &mut Env) -> bool {
        if !faults_are_final(trace) {
            return false;
        }
        self.addresses.clear();
        self.addresses.begin(trace.value_count());
        self.pending.clear();
        self.dead.clear();
        for (i, line) in trace.insts.iter().enumerate() {
            if trace.loop_at == Some(i as u32) {
                self.pending.clear();
            }
            self.addresses.define(trace, line);
            match line.op.info().effect {
                OpEffect::Pure | OpEffect::Mark => {}
                OpEffect::Fault | OpEffect::Load | OpEffect::Store => {
                    let place = trace.addr(line).map(|a| self.addresses.address(trace, &a));
                    self.access(trace, i, place, env);
                }
                _ => {
                    let effects = trace.effects(line);
                    let looks = effects.bits.any(EffectBits(!EffectBits::FAULTS.0));
                    if looks || !effects.reads.is_empty() || !effects.writes.is_empty() {
                        self.pending.clear();
                    }
                }
            }
        }
        if self.dead.is_empty() {
            return false;
        }
        self.dead.sort_unstable();
        let (mut next, mut at, mut before_loop) = (self.dead.iter().copied().peekable(), 0, 0);
        let head = trace.loop_at.map_or(usize::MAX, |at| at as usize);
        trace.insts.retain(|_| {
            let dead = next.next_if_eq(&at).is_some();
            before_loop += usize::from(dead && at < head);
            at += 1;
            !dead
        });
        if let Some(at) = trace.loop_at.as_mut() {
            *at -= before_loop as u32;
        }
        true
    }
}

impl DeadStore {
    /// A load or store (or a division, which has no place).
    fn access(&mut self, trace: &Trace, i: usize, place: Option<Linear>, env: &mut Env) {
        let line = trace.insts[i];
        let Some(Linear { root, disp }) = place else { return };
        let (class, alias) = (line.class(), trace.decls.alias());
        if line.op == Op::Load {
            let span = Span::new(disp, line.ty.bytes());
            self.pending
                .retain(|p| !alias.may_alias(p.class, class) || p.root == root && !p.span.meets(span));
            return;
        }
        let span = Span::new(disp, line.aty.bytes());
        let dead = &mut self.dead;
        self.pending.retain(|p| {
            let covered = p.root == root && span.holds(p.span) && env.burn();
            if covered {
                dead.push(p.line);
            }
            !covered
        });
        if is_private(trace, class) {
            if self.pending.len() == MOST_PENDING {
                self.pending.remove(0);
            }
            self.pending.push(Pending { line: i, root, span, class });
        } else {
            self.pending.clear();
        }
    }
}
