//! Alias classes and the effect lattice.
//!
//! A pass never asks *which* operation it looks at, only what the operation does: which memory it reads and
//! writes, whether it may fault, raise, leave the trace, allocate, or must not be crossed. [`Effects`] is
//! that answer. It is a product of powersets, so joining two effects is a bitwise or, and "may these two be
//! exchanged" is a few ands ([`Effects::commutes_with`]).
//!
//! Alias classes are data of the front end: a name, a parent, and the classes it is disjoint from.
//! Two accesses may touch the same byte unless their classes are *declared* disjoint; disjointness is
//! inherited by descendants of both sides. A class is never disjoint from its own ancestors.
//! [`AliasTable`] closes the declarations once, so a query is one shift and one and.
//!
//! Invariant: an operation without known effects answers [`Effects::BARRIER`].

use crate::types::ClassId;

/// How many alias classes one front end may declare.
pub const MAX_CLASSES: usize = 64;

/// A set of alias classes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct ClassSet(pub u64);

impl ClassSet {
    /// No class.
    pub const EMPTY: ClassSet = ClassSet(0);
    /// Every class, declared or not.
    pub const ALL: ClassSet = ClassSet(u64::MAX);

    /// Just this class.
    pub const fn one(class: ClassId) -> ClassSet {
        ClassSet(1 << (class.0 & 63))
    }

    /// Both sets.
    pub const fn or(self, other: ClassSet) -> ClassSet {
        ClassSet(self.0 | other.0)
    }

    /// Is the class in the set?
    pub const fn contains(self, class: ClassId) -> bool {
        self.0 & ClassSet::one(class).0 != 0
    }

    /// Is it empty?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = ClassId> {
        (0..64).map(ClassId).filter(move |c| self.contains(*c))
    }
}

/// What an operation may do besides computing its result from its operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Effects {
    /// Memory it may read.
    pub reads: ClassSet,
    /// Memory it may write.
    pub writes: ClassSet,
    /// Yes/no effects.
    pub bits: EffectBits,
}

/// The yes/no part of [`Effects`]: a small set with named members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct EffectBits(pub u8);

impl EffectBits {
    /// Nothing.
    pub const NONE: EffectBits = EffectBits(0);
    /// May stop with a synchronous fault (memory access, division).
    pub const FAULTS: EffectBits = EffectBits(1);
    /// May leave through its exit (guards; calls with `else exit`).
    pub const LEAVES: EffectBits = EffectBits(2);
    /// May raise an error of the guest language.
    pub const RAISES: EffectBits = EffectBits(4);
    /// May allocate guest objects (and so run a collector step).
    pub const ALLOCATES: EffectBits = EffectBits(8);
    /// No memory operation may cross it in either direction.
    pub const ORDERS: EffectBits = EffectBits(16);
    /// Must happen even if its result is unused and it writes no memory.
    pub const KEEP: EffectBits = EffectBits(32);

    /// Both sets.
    pub const fn or(self, other: EffectBits) -> EffectBits {
        EffectBits(self.0 | other.0)
    }

    /// Has it any of these?
    pub const fn any(self, other: EffectBits) -> bool {
        self.0 & other.0 != 0
    }
}

impl Effects {
    /// The bottom: a pure function of its operands.
    pub const PURE: Effects =
        Effects { reads: ClassSet::EMPTY, writes: ClassSet::EMPTY, bits: EffectBits::NONE };

    /// The top: unknown; nothing moves across it, nothing removes it.
    pub const BARRIER: Effects =
        Effects { reads: ClassSet::ALL, writes: ClassSet::ALL, bits: EffectBits(0x3f) };

    /// Least upper bound.
    pub const fn join(self, other: Effects) -> Effects {
        Effects {
            reads: self.reads.or(other.reads),
            writes: self.writes.or(other.writes),
            bits: self.bits.or(other.bits),
        }
    }

    /// Has it no effect at all?
    pub const fn is_pure(self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.bits.0 == 0
    }

    /// May it be removed when nobody uses its result? A load may (its fault is not part of the guest's
    /// observable state unless the front end keeps it with a guard or an exact `at`; passes that honour
    /// precise faults check [`EffectBits::FAULTS`] themselves).
    pub const fn is_removable(self) -> bool {
        self.writes.is_empty()
            && !self
                .bits
                .any(EffectBits::LEAVES.or(EffectBits::RAISES).or(EffectBits::ORDERS).or(EffectBits::KEEP))
    }

    /// May two neighbours be exchanged, as far as memory and control go?
    pub fn commutes_with(self, other: Effects, alias: &AliasTable) -> bool {
        let control = EffectBits::LEAVES.or(EffectBits::RAISES).or(EffectBits::FAULTS);
        let touches = |e: Effects| !e.reads.is_empty() || !e.writes.is_empty();
        if self.bits.any(EffectBits::ORDERS) && (touches(other) || other.bits.any(EffectBits::ORDERS))
            || other.bits.any(EffectBits::ORDERS) && touches(self)
        {
            return false;
        }
        // What leaves or faults shows the guest which writes have happened, and which fault came first.
        if self.bits.any(control) && (other.bits.any(control) || !other.writes.is_empty())
            || other.bits.any(control) && !self.writes.is_empty()
        {
            return false;
        }
        !alias.sets_may_alias(self.writes, other.writes.or(other.reads))
            && !alias.sets_may_alias(self.reads, other.writes)
    }
}

/// One declared alias class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// Its name, `guest.stack`.
    pub name: String,
    /// The class it is a part of. Must be declared before.
    pub parent: Option<ClassId>,
    /// Classes whose memory never overlaps it. Must be declared before.
    pub disjoint: Vec<ClassId>,
}

/// The closed may-alias relation over the declared classes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AliasTable {
    /// Row per class: the classes it may alias.
    rows: Vec<u64>,
}

impl AliasTable {
    /// Closes the declarations. References to classes that do not come earlier are ignored here; the
    /// verifier reports them.
    pub fn new(classes: &[Class]) -> AliasTable {
        let n = classes.len().min(MAX_CLASSES);
        // up[i]: i and its ancestors.
        let mut up = vec![0u64; n];
        for i in 0..n {
            up[i] = 1 << i;
            if let Some(p) = classes[i].parent.filter(|p| p.index() < i) {
                up[i] |= up[p.index()];
            }
        }
        // apart[i]: classes declared disjoint from i, by either of the two.
        let mut apart = vec![0u64; n];
        for i in 0..n {
            for d in classes[i].disjoint.iter().filter(|d| d.index() < n) {
                apart[i] |= 1 << d.index();
                apart[d.index()] |= 1 << i;
            }
        }
        let mut rows = vec![0u64; n];
        for a in 0..n {
            let inherited = (0..n).filter(|x| up[a] >> x & 1 != 0).fold(0, |m, x| m | apart[x]);
            for b in 0..n {
                let related = up[a] >> b & 1 != 0 || up[b] >> a & 1 != 0;
                let disjoint = inherited & up[b] != 0;
                if related || !disjoint {
                    rows[a] |= 1 << b;
                }
            }
        }
        AliasTable { rows }
    }

    /// May accesses of these classes touch the same byte? Unknown classes alias everything.
    pub fn may_alias(&self, a: ClassId, b: ClassId) -> bool {
        match (self.rows.get(a.index()), self.rows.get(b.index())) {
            (Some(row), Some(_)) => row >> b.0 & 1 != 0,
            _ => true,
        }
    }

    /// The classes that an access to `class` may touch.
    pub fn aliases(&self, class: ClassId) -> ClassSet {
        self.rows.get(class.index()).map_or(ClassSet::ALL, |row| ClassSet(*row))
    }

    /// May any member of one set alias any member of the other?
    pub fn sets_may_alias(&self, a: ClassSet, b: ClassSet) -> bool {
        if a.is_empty() || b.is_empty() {
            return false;
        }
        if a == ClassSet::ALL || b == ClassSet::ALL {
            return true;
        }
        a.iter().any(|c| self.aliases(c).0 & b.0 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, parent: Option<u8>, disjoint: &[u8]) -> Class {
        Class {
            name: name.into(),
            parent: parent.map(ClassId),
            disjoint: disjoint.iter().copied().map(ClassId).collect(),
        }
    }

    #[test]
    fn disjointness_is_inherited_and_ancestors_alias() {
        let t = AliasTable::new(&[
            class("heap", None, &[]),
            class("stack", None, &[0]),
            class("array", Some(0), &[]),
            class("node", Some(0), &[2]),
            class("other", None, &[]),
        ]);
        let alias = |a, b| t.may_alias(ClassId(a), ClassId(b));
        assert!(!alias(2, 1), "a descendant of heap is disjoint from stack");
        assert!(!alias(2, 3) && alias(2, 0) && alias(0, 3));
        assert!(alias(4, 0) && alias(4, 1), "nothing declared: may alias");
        assert!(alias(9, 1), "unknown classes alias everything");
        for a in 0..5 {
            for b in 0..5 {
                assert_eq!(alias(a, b), alias(b, a));
            }
        }
    }

    #[test]
    fn commuting() {
        let t = AliasTable::new(&[class("a", None, &[]), class("b", None, &[0])]);
        let load =
            |c| Effects { reads: ClassSet::one(ClassId(c)), writes: ClassSet::EMPTY, bits: EffectBits::NONE };
        let store =
            |c| Effects { writes: ClassSet::one(ClassId(c)), reads: ClassSet::EMPTY, bits: EffectBits::NONE };
        assert!(load(0).commutes_with(load(0), &t));
        assert!(!load(0).commutes_with(store(0), &t));
        assert!(load(0).commutes_with(store(1), &t));
        let guard = Effects { bits: EffectBits::LEAVES, ..Effects::PURE };
        assert!(guard.commutes_with(load(0), &t) && !guard.commutes_with(store(0), &t));
        assert!(!Effects::BARRIER.commutes_with(load(0), &t));
        assert!(Effects::PURE.commutes_with(Effects::BARRIER, &t));
        assert!(Effects::PURE.is_removable() && !Effects::BARRIER.is_removable());
    }
}
