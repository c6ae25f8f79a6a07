//! Stores through unknown pointers: one compare says that they miss what is known, so it stays known.
//!
//! [`super::load_forward`] must forget what it knows of a stack slot at a store whose address has another root. This module
//! decides where a *guard* pays instead, and writes it. The pass `disambiguate` is load forwarding with these guards.
//!
//! ```text
//! store %4, [%0 - 8] !stack
//! at 0x401144 else exit 3
//!   %9: i64 = sub %2, %0                 distance of the store from the slots' root
//!   %10: i64 = add %9, 15                … from 7 bytes below the window [-8, 0)
//!   %11: i1 = ule 15, %10                15 distances meet it: 8 bytes written, 8 kept
//!   guard %11 else exit 3                exit 3: the state before the store's instruction
//! store %5, [%2] !memory
//! %6: i64 = load [%0 - 8] !stack         still %4
//! ```
//!
//! - *Windows.* What is worth keeping of one root is gathered into windows: bytes that are taken from the table across some store, with gaps of
//!   less than [`GAP`] bytes filled. Larger gaps are left out, as they hold the arrays of the frame, which stores do mean.
//!   A store through a pointer that has nothing to do with the root is compared with fewer, wider windows: up to [`WIDEST_WINDOW`] bytes, gaps included.
//! - *Where.* In front of the store, leaving by the exit of its instruction's `at` line, while nothing has happened since that
//!   line. If store and window are invariant, in front of the loop, leaving with the state at the head. If the store's address is made of an
//!   invariant part and one that varies, the invariant part (less the window's root) is added up in front of the loop, so the body has one
//!   address computation, compare and branch left.
//! - *Leaving* to where this trace begins would come back at once, so such exits say [`ExitKind::Decline`].
//! - All stores of one root share the check when they lie close together.
//!
//! Planning: a sweep of load forwarding that takes all such stores for harmless reports where known bytes were used and which
//! lines lie between ([`Planner`]); a store gets guards for the windows whose uses it would spoil.
//!
//! Assumes: nothing. A guard that always fails is right, too, but slow: whoever recorded the trace sees its exit get hot.

use super::alias::{Root, Span, Terms};
use super::load_forward::{LoadForward, Sweep};
use ir::op::Op;
use ir::snapshot::{ExitKind, Target};
use ir::trace::{Inst, Trace};
use ir::types::{ClassId, ExitId, Operand, Type};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Smallest gap between two windows.
const GAP: i64 = 16;

/// Widest window with larger gaps.
const WIDEST_WINDOW: i64 = 256;

/// Windows of one root; beyond, the least used are not kept.
const MOST_WINDOWS: usize = 4;

/// Stores of one root that reach over more bytes than this have checks of their own.
const WIDEST_CHECK: i64 = 256;

/// Uses and stores beyond these numbers are not planned for: the plan costs their product.
const MOST_USES: usize = 1 << 10;

/// A use in a loop counts for as many.
const LOOP_WEIGHT: u32 = 4;

/// The state before the present instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    /// As this exit says.
    Exit(ExitId),
    /// As at entry of the trace.
    Entry,
}

/// Known bytes were used.
#[derive(Clone, Copy, Debug)]
struct Use {
    root: Root,
    span: Span,
    class: ClassId,
    /// Lines between which they had to stay as they were.
    from: u32,
    to: u32,
    weight: u32,
}

/// A store that may have a guard.
#[derive(Clone, Copy, Debug)]
struct Stored {
    at: u32,
    root: Root,
    span: Span,
    class: ClassId,
}

/// What a hopeful sweep reports.
#[derive(Debug, Default)]
pub(super) struct Planner {
    uses: Vec<Use>,
    stores: Vec<Stored>,
}

impl Planner {
    pub(super) fn clear(&mut self) {
        self.uses.clear();
        self.stores.clear();
    }

    /// Bytes that were made known at line `from` were used at line `to`.
    pub(super) fn used(&mut self, root: Root, span: Span, class: ClassId, from: u32, to: u32, inside: bool) {
        if self.uses.len() < MOST_USES {
            let weight = if inside { LOOP_WEIGHT } else { 1 };
            self.uses.push(Use { root, span, class, from, to, weight });
        }
    }

    /// Bytes that were made known in the prologue at line `made`, and last at line `last`, were used in the next iteration.
    pub(super) fn around(
        &mut self,
        root: Root,
        span: Span,
        class: ClassId,
        (made, last): (u32, u32),
        head: u32,
        end: u32,
    ) {
        if last >= head {
            self.used(root, span, class, last, end, true);
            self.used(root, span, class, made, head, true);
        } else {
            self.used(root, span, class, made, end, true);
        }
    }

    pub(super) fn stored(&mut self, at: u32, root: Root, span: Span, class: ClassId) {
        if self.stores.len() < MOST_USES {
            self.stores.push(Stored { at, root, span, class });
        }
    }
}

/// Which stores get which guards, and exits made for them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By line of the store: root and window.
    guards: FxHashMap<u32, SmallVec<[(Root, Span); 2]>>,
    /// Bytes that all stores of a root write.
    reach: FxHashMap<Root, Span>,
    /// Exits that decline, by what they stand for.
    declines: FxHashMap<Option<ExitId>, ExitId>,
    /// The exit with the state at the head.
    head_exit: Option<Option<ExitId>>,
}

impl Plan {
    pub(super) fn clear(&mut self) {
        self.guards.clear();
        self.reach.clear();
        self.declines.clear();
        self.head_exit = None;
    }
}

/// Makes the plan from what the last sweep reported.
pub(super) fn make_plan(pass: &mut LoadForward, trace: &Trace) {
    let Planner { uses, stores } = &mut pass.planner;
    let plan = &mut pass.plan;
    plan.guards.clear();
    plan.reach.clear();
    for s in stores.iter() {
        let reach = plan.reach.entry(s.root).or_insert(s.span);
        *reach = reach.hull(s.span);
    }
    plan.reach.retain(|_, r| r.len() <= WIDEST_CHECK);
    let needed = if trace.loop_at.is_some() { 1 } else { 2 };
    uses.sort_unstable_by_key(|u| (u.root, u.span.start, u.span.end));
    let mut windows: Vec<(Span, u32)> = Vec::new();
    let mut wide: Vec<(Span, u32)> = Vec::new();
    for uses in uses.chunk_by(|a, b| a.root == b.root) {
        windows.clear();
        for u in uses {
            match windows.last_mut() {
                Some((w, weight)) if u.span.start < w.end + GAP => {
                    (*w, *weight) = (w.hull(u.span), weight.saturating_add(u.weight));
                }
                _ => windows.push((u.span, u.weight)),
            }
        }
        wide.clear();
        for (w, weight) in &windows {
            match wide.last_mut() {
                Some((hull, sum)) if hull.hull(*w).len() <= WIDEST_WINDOW => {
                    (*hull, *sum) = (hull.hull(*w), sum.saturating_add(*weight));
                }
                _ => wide.push((*w, *weight)),
            }
        }
        for list in [&mut windows, &mut wide] {
            list.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
            list.truncate(MOST_WINDOWS);
        }
        let root = uses[0].root;
        let own = pass.addresses.terms(root);
        for s in stores.iter().filter(|s| s.root != root) {
            let terms = pass.addresses.terms(s.root);
            let foreign = !own.is_empty() && own.iter().all(|(v, _)| terms.iter().all(|(u, _)| u != v));
            for (w, _) in if foreign { &wide } else { &windows } {
                let spoiled = uses.iter().filter(|u| {
                    u.from < s.at
                        && s.at < u.to
                        && w.holds(u.span)
                        && trace.decls.alias().may_alias(s.class, u.class)
                });
                if spoiled.map(|u| u.weight).sum::<u32>() >= needed {
                    plan.guards.entry(s.at).or_default().push((root, *w));
                }
            }
        }
    }
}

/// The store at line `at` may overlap the bytes `y` of another root. Does a guard, written now, say that it does not?
pub(super) fn keep_apart(s: &mut Sweep<'_>, at: u32, x_root: Root, x: Span, y_root: Root, y: Span) -> bool {
    let plan = &s.pass.plan;
    let window = plan.guards.get(&at).and_then(|g| g.iter().find(|(r, w)| *r == y_root && w.holds(y)));
    let Some((_, window)) = window.copied() else { return false };
    let x = plan.reach.get(&x_root).copied().filter(|r| r.holds(x)).unwrap_or(x);
    let Some(terms) = s.pass.addresses.difference(x_root, y_root) else { return false };
    // Addresses far from any root have terms that are no values.
    if !s.may_rewrite() || terms.iter().any(|(v, _)| s.trace.value_type(*v) != Type::I64) {
        return false;
    }
    // X - Y lies outside of (y.start - x.end, y.end - x.start).
    let least = window.start.wrapping_sub(x.end).wrapping_add(1);
    let meeting = window.len() + x.len() - 1;
    let (fixed, varying): (Terms, Terms) = terms.iter().copied().partition(|(v, _)| !s.is_inside(*v));
    let head_exit = if s.inside && varying.is_empty() { head_exit(s) } else { None };
    let exit = match head_exit {
        Some(exit) => exit,
        None => match exit_before(s) {
            Some(exit) => exit,
            None => return false,
        },
    };
    let ahead = head_exit.is_some();
    let mut sum = None;
    let mut rest = least.wrapping_neg();
    if !fixed.is_empty() {
        sum = Some(add_up(s, None, &fixed, std::mem::take(&mut rest), s.inside));
    }
    let distance = add_up(s, sum, &varying, rest, ahead);
    let meeting = s.trace.literal(Type::I64, meeting.into());
    let apart = make(s, Inst::new(Op::Ule, Type::I64, Type::I1, 0, &[meeting, distance]), ahead);
    let guard = Inst::new(Op::Guard, Type::Void, Type::Void, 0, &[apart, Operand::index(exit.0)]);
    make(s, guard, ahead);
    s.did_rewrite();
    s.pass.addresses.learn_apart(x_root, x, y_root, window);
    true
}

/// Writes a line here or in front of the loop; its result.
fn make(s: &mut Sweep<'_>, mut line: Inst, ahead: bool) -> Operand {
    if line.has_result() {
        line.res = s.trace.new_value(line.ty);
    }
    if ahead {
        s.pass.ahead.push(line);
    } else {
        s.push(line);
    }
    if line.has_result() { Operand::value(line.res) } else { Operand::NONE }
}

/// `sum` + terms + constant.
fn add_up(s: &mut Sweep<'_>, mut sum: Option<Operand>, terms: &Terms, constant: i64, ahead: bool) -> Operand {
    let i64_op = |op, a, b| Inst::new(op, Type::I64, Type::I64, 0, &[a, b]);
    // What is added first, so that there is something to subtract from.
    for positive in [true, false] {
        for (v, factor) in terms.iter().filter(|t| (t.1 > 0) == positive) {
            let mut term = Operand::value(*v);
            let size = factor.unsigned_abs();
            if size != 1 {
                let (op, by) = match size.is_power_of_two() {
                    true => (Op::Shl, i128::from(size.trailing_zeros())),
                    false => (Op::Mul, i128::from(size)),
                };
                let by = s.trace.literal(Type::I64, by);
                term = make(s, i64_op(op, term, by), ahead);
            }
            sum = Some(match (sum, positive) {
                (None, true) => term,
                (Some(sum), true) => make(s, i64_op(Op::Add, sum, term), ahead),
                (sum, false) => {
                    let zero = s.trace.literal(Type::I64, 0);
                    make(s, i64_op(Op::Sub, sum.unwrap_or(zero), term), ahead)
                }
            });
        }
    }
    let literal = s.trace.literal(Type::I64, constant.into());
    match sum {
        None => literal,
        Some(sum) if constant == 0 => sum,
        Some(sum) => make(s, i64_op(Op::Add, sum, literal), ahead),
    }
}

/// The exit with the state before the present instruction.
fn exit_before(s: &mut Sweep<'_>) -> Option<ExitId> {
    match s.before? {
        Before::Entry => Some(declining(s, None)),
        Before::Exit(id) => match s.trace.exit(id)?.target {
            Target::Pc(pc) if pc == s.trace.entry => Some(declining(s, Some(id))),
            _ => Some(id),
        },
    }
}

/// An exit to the trace's entry with the state of another exit, or as it was at entry.
fn declining(s: &mut Sweep<'_>, like: Option<ExitId>) -> ExitId {
    if let Some(id) = s.pass.plan.declines.get(&like) {
        return *id;
    }
    let id = next_exit(s.trace);
    let target = Target::Pc(s.trace.entry);
    s.trace.add_exit(id, target, ExitKind::Decline, like, &[]);
    s.pass.plan.declines.insert(like, id);
    id
}

fn next_exit(trace: &Trace) -> ExitId {
    ExitId(trace.exits.last().map_or(0, |e| e.id.0 + 1))
}

/// The exit with the state in front of the loop: what the `at` line that ends the prologue says (see [`super::peel`]).
fn head_exit(s: &mut Sweep<'_>) -> Option<ExitId> {
    if let Some(known) = s.pass.plan.head_exit {
        return known;
    }
    let made = s.last_line_ahead().filter(|l| l.op == Op::At).and_then(|l| l.exit()).map(|id| {
        match s.trace.exit(id) {
            Some(e) if e.target == Target::Pc(s.trace.entry) => declining(s, Some(id)),
            _ => id,
        }
    });
    s.pass.plan.head_exit = Some(made);
    made
}
