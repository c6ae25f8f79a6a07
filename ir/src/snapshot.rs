//! Exits and their snapshots: where a trace may leave, and what the guest's state is there.
//!
//! An exit names where the guest goes on ([`Target`]), why it leaves ([`ExitKind`]), and for each state slot
//! that differs from the state *at entry of the trace* where its value is: an SSA value, a literal, or a
//! *recipe*, an operation to be performed only when the exit is taken. Slots that are not named are
//! unchanged since entry; nothing in a trace writes a slot except leaving it.
//!
//! ```text
//! exit 1 resume 0x401136 { rax = %4, flags = flags.sub(%4, 3) }
//! exit 2 resume 0x40113a like 1 { rcx = %9 }      exit 1's binds, then rcx
//! ```
//!
//! `like N` shares structure: consecutive exits of a trace differ in few slots, so a snapshot stores only
//! those. Invariants: `like` names an exit with a smaller number (so chains end); a slot is bound at most
//! once per exit; later binds override inherited ones; recipes are pure operations.

use crate::trace::{Decls, Inst, Trace};
use crate::types::{ExitId, Operand, OperandKind, Pc, SlotId, Type};

/// Where the guest goes on after an exit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A known place.
    Pc(Pc),
    /// The address in this `i64` operand (indirect branches).
    Value(Operand),
}

/// Why the trace leaves: what the dispatcher has to do before the guest goes on. Data for whoever runs the
/// trace; no pass looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ExitKind {
    /// Go on at the target.
    #[default]
    Jump,
    /// Go on at the target, which a call went to.
    Call,
    /// Go on at the target, which a return went to.
    Return,
    /// Perform the system call that the state describes, then go on at the target.
    Syscall,
    /// Execute the one instruction at the target by other means.
    Step,
    /// Go on at the target by other code than a trace that begins there: a check at the head of this one failed, and it
    /// would fail again.
    Decline,
    /// Raise the guest's exception of this number at the target.
    Trap(u8),
}

impl ExitKind {
    /// The word after `as` in text.
    pub const fn name(self) -> &'static str {
        match self {
            ExitKind::Jump => "jump",
            ExitKind::Call => "call",
            ExitKind::Return => "return",
            ExitKind::Syscall => "syscall",
            ExitKind::Step => "step",
            ExitKind::Decline => "decline",
            ExitKind::Trap(_) => "trap",
        }
    }
}

/// One slot of a snapshot and where its value is (a value, a literal or a recipe).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bind {
    /// The slot.
    pub slot: SlotId,
    /// Its value on leaving.
    pub value: Operand,
}

const _: () = assert!(size_of::<Bind>() == 8);

/// Where an exit uses an operand, see [`Trace::map_exits`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitUse {
    /// Bound to a slot; a recipe may take its place.
    Bind,
    /// Operand of a recipe, at this type ([`Type::Void`]: any vector, no literal may stand here).
    Recipe(Type),
    /// Computed address to go on at.
    Target,
}

/// An exit of a trace. Its own binds are a range in the trace's pool, see [`Trace::binds`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Exit {
    /// Its number in text.
    pub id: ExitId,
    /// Where the guest goes on.
    pub target: Target,
    /// Why it leaves.
    pub kind: ExitKind,
    /// The exit whose binds it inherits.
    pub like: Option<ExitId>,
    /// Start of its own binds in the pool.
    pub(crate) start: u32,
    /// Number of its own binds.
    pub(crate) len: u32,
}

impl Trace {
    /// The exit with this number. Binary search; exits are sorted by number.
    pub fn exit(&self, id: ExitId) -> Option<&Exit> {
        match self.exits.binary_search_by_key(&id, |e| e.id) {
            Ok(i) => Some(&self.exits[i]),
            // Unsorted only in traces that the verifier rejects; stay right for its messages.
            Err(_) => self.exits.iter().find(|e| e.id == id),
        }
    }

    /// The exit's own binds, without those it inherits.
    pub fn binds(&self, exit: &Exit) -> &[Bind] {
        self.bind_pool.get(exit.start as usize..(exit.start + exit.len) as usize).unwrap_or(&[])
    }

    /// Adds an exit with these binds. Numbers must be added in increasing order.
    pub fn add_exit(
        &mut self,
        id: ExitId,
        target: Target,
        kind: ExitKind,
        like: Option<ExitId>,
        binds: &[Bind],
    ) {
        let start = self.bind_pool.len() as u32;
        self.bind_pool.extend_from_slice(binds);
        self.exits.push(Exit { id, target, kind, like, start, len: binds.len() as u32 });
    }

    /// Replaces the exit's own binds and parent; the old binds stay in the pool unused. Does nothing for an
    /// unknown number.
    pub fn set_binds(&mut self, id: ExitId, like: Option<ExitId>, binds: &[Bind]) {
        let start = self.bind_pool.len() as u32;
        if let Ok(i) = self.exits.binary_search_by_key(&id, |e| e.id) {
            let e = &mut self.exits[i];
            (e.start, e.len, e.like) = (start, binds.len() as u32, like);
            self.bind_pool.extend_from_slice(binds);
        }
    }

    /// Replaces operands in every exit: those bound to slots, those of recipes (with their types), computed targets. `f` must
    /// give an operand equal to the one given wherever that is defined; it may give a recipe for a bound value. A target that becomes a literal becomes a known place. Pools
    /// are changed in place, so this costs one step per bind and recipe ever made, whatever exits share.
    pub fn map_exits(&mut self, mut f: impl FnMut(Operand, ExitUse) -> Operand) {
        for b in &mut self.bind_pool {
            if b.value.as_value().is_some() {
                b.value = f(b.value, ExitUse::Bind);
            }
        }
        let recipes = std::mem::take(&mut self.recipes);
        let mapped =
            recipes.iter().map(|r| self.map_operands(r, |o, ty| f(o, ExitUse::Recipe(ty)))).collect();
        self.recipes = mapped;
        for i in 0..self.exits.len() {
            let Target::Value(o) = self.exits[i].target else { continue };
            let new = f(o, ExitUse::Target);
            self.exits[i].target = match self.literal_int(new) {
                Some(pc) => Target::Pc(Pc::Addr(pc as u64)),
                None => Target::Value(new),
            };
        }
    }

    /// Calls `f` for each bind in force at the exit, nearest first: an inherited bind only if nothing
    /// nearer overrides it. Chains that do not decrease (rejected by the verifier) are cut.
    pub fn for_each_bind(&self, id: ExitId, mut f: impl FnMut(Bind)) {
        let mut seen = SlotSet::new(&self.decls);
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(exit) = self.exit(id) else { return };
            for b in self.binds(exit) {
                if seen.insert(b.slot) {
                    f(*b);
                }
            }
            next = exit.like.filter(|l| *l < id);
        }
    }

    /// All binds in force at the exit, by slot.
    pub fn snapshot(&self, id: ExitId) -> Vec<Bind> {
        let mut all = Vec::new();
        self.for_each_bind(id, |b| all.push(b));
        all.sort_by_key(|b| b.slot);
        all
    }

    /// Stores a recipe; the result stands in a [`Bind`] in the place of a value. `inst.res` is ignored.
    pub fn add_recipe(&mut self, inst: Inst) -> Operand {
        self.recipes.push(inst);
        Operand::recipe(self.recipes.len() as u32 - 1)
    }

    /// All recipes ever made, those of removed exits included.
    pub fn recipes(&self) -> &[Inst] {
        &self.recipes
    }

    /// All recipes ever made, to be replaced by others that give the same wherever their operands are defined.
    pub fn recipes_mut(&mut self) -> &mut [Inst] {
        &mut self.recipes
    }

    /// The recipe behind an operand of a bind.
    pub fn recipe(&self, op: Operand) -> Option<&Inst> {
        match op.kind() {
            OperandKind::Recipe(i) => self.recipes.get(i as usize),
            _ => None,
        }
    }
}

/// A set of slots without allocation for up to 256 of them.
struct SlotSet {
    near: [u64; 4],
    far: Vec<bool>,
}

impl SlotSet {
    fn new(decls: &Decls) -> SlotSet {
        SlotSet { near: [0; 4], far: vec![false; decls.slots.len().saturating_sub(256)] }
    }

    /// Adds it; false if it was there (or is out of range).
    fn insert(&mut self, slot: SlotId) -> bool {
        let i = slot.index();
        if i < 256 {
            let bit = 1 << (i & 63);
            let new = self.near[i >> 6] & bit == 0;
            self.near[i >> 6] |= bit;
            new
        } else {
            self.far.get_mut(i - 256).is_some_and(|b| !std::mem::replace(b, true))
        }
    }
}
