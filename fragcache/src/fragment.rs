//! Fragments and exits: what clients see of them ([`Fragment`], [`Exit`]), and the compact records
//! behind (`Record`, `ExitRecord`).
//!
//! Addresses are newtypes so that a guest address is never taken for a host address. Identifiers
//! are indices into the cache's lists and are recycled only after every thread has left the code
//! that could name them; a client that keeps one longer must ask whether the fragment is live and
//! has the guest address it expects. Places in code memory and lists of exits are 4-byte indices:
//! a program has tens of thousands of fragments, and most of its exits are never taken.

use crate::memory::UNIT_SIZE;
use crate::pcmap::Unpack;
use crate::places::{FaultPlace, Places};
use std::fmt;

/// An address in the guest program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestPc(pub u64);

/// An address in the executable view of the code cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HostPc(pub usize);

impl fmt::Debug for GuestPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
impl fmt::Display for GuestPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
impl fmt::Debug for HostPc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl GuestPc {
    /// The number of the 4 KiB page this address lies in.
    pub fn page(self) -> u64 {
        self.0 >> 12
    }
}

/// Names a fragment of one [`crate::Cache`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FragId(pub u32);

/// Names an exit of one [`crate::Cache`]; generated code passes it to the dispatcher.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExitId(pub u32);

/// What kind of code a fragment holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentKind {
    /// Guest code in address order from one entry, possibly with side exits.
    Block,
    /// A recorded path.
    Trace,
    /// Code made for one run through it (recording, stepping): in no look-up table, never linked to.
    Private,
}

/// Where an exit goes and whether it may be patched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitKind {
    /// To one guest address; may be linked.
    Direct(GuestPc),
    /// To an address known only at run time, through the look-up table. The patched field of such
    /// an exit is the 4-byte absolute address of the table, or of the table of misses (parked).
    Indirect,
    /// Always to the dispatcher, which finds the reason in the number (its meaning is the
    /// client's), to go on at the given guest address.
    Service(GuestPc, u32),
    /// To one guest address, the fragment's own, but not to the fragment itself: to the one *behind*
    /// it (see [`crate::cache::NewFragment::front`]).
    Decline(GuestPc),
    /// Back to a place in the fragment itself, the head of a loop. It leads out, by way of the code
    /// at the second offset, while the fragment is parked and once it is dead.
    Loop {
        /// Offset from [`Fragment::start`] of the head.
        head: u32,
        /// Likewise of the code that leaves.
        out: u32,
    },
}

/// A way out of a fragment, as clients see it.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// The fragment it leaves.
    pub from: FragId,
    /// Where to. (An exit that was reclaimed reads as indirect: nobody links it.)
    pub kind: ExitKind,
    /// The 4-byte field that linking patches; 0 when nothing is ever patched.
    pub field: HostPc,
    /// True while it jumps straight to the fragment of its guest address.
    pub linked: bool,
    /// True while its fragment is parked (see [`crate::Cache::park`]).
    pub parked: bool,
}

/// One piece of host code with one entry, as clients see it.
#[derive(Clone, Copy)]
pub struct Fragment<'a> {
    /// The guest address that its entry stands for.
    pub pc: GuestPc,
    /// What kind of code.
    pub kind: FragmentKind,
    /// Entry for direct jumps: the state is exactly the guest's.
    pub entry: HostPc,
    /// First byte of its code (an indirect entry may precede `entry`).
    pub start: HostPc,
    /// Bytes of code from `start`, without stubs.
    pub len: u32,
    /// False once invalidated; its memory lives until no thread can be in it.
    pub live: bool,
    /// It has an entry for indirect branches.
    pub indirect: bool,
    /// What it rests on, as bits whose meaning is the client's (see [`crate::assume`]).
    pub facts: u32,
    record: &'a Record,
    map: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// `unit` is the host memory of the fragment's unit.
    pub(crate) fn new(record: &'a Record, unit: &'a [u8]) -> Self {
        let base = unit.as_ptr() as usize;
        let start = HostPc(base + record.start.offset());
        Fragment {
            pc: record.pc,
            kind: record.kind,
            entry: HostPc(start.0 + usize::from(record.entry)),
            start,
            len: record.len,
            live: record.live,
            indirect: !record.indirect.is_none(),
            facts: record.extra.as_ref().map_or(0, |e| e.facts),
            record,
            map: &unit[record.map.offset()..],
        }
    }

    /// Guest bytes it was made from: `(start, length)`, in path order.
    pub fn source(&self) -> impl Iterator<Item = (GuestPc, u32)> + 'a {
        self.record.source()
    }

    /// Its exits, in code order.
    pub fn exits(&self) -> impl Iterator<Item = ExitId> + use<> {
        self.record.exits()
    }

    /// The guest address of the instruction whose host code holds `host`, with the address where
    /// that code begins. `None` when `host` lies outside or in the entry code.
    pub fn guest_pc_at(&self, host: HostPc) -> Option<(GuestPc, HostPc)> {
        if let Some(places) = self.places() {
            let offset = u32::try_from(host.0.checked_sub(self.start.0)?).ok()?;
            let (start, pc) = places.lines().take_while(|l| l.0 <= offset).last()?;
            return Some((pc, HostPc(self.start.0 + start as usize)));
        }
        let mut at = self.start.0;
        let mut ranges = self.source();
        let (mut pc, mut end) = ranges.next().map(|(p, n)| (p.0, p.0 + u64::from(n)))?;
        for (host_len, guest_len) in Unpack(self.map) {
            let next = at + usize::from(host_len);
            if guest_len != 0 {
                if pc >= end {
                    (pc, end) = ranges.next().map(|(p, n)| (p.0, p.0 + u64::from(n)))?;
                }
                if (at..next).contains(&host.0) {
                    return Some((GuestPc(pc), HostPc(at)));
                }
                pc += u64::from(guest_len);
            } else if (at..next).contains(&host.0) {
                // A continuation of the previous instruction's code, or entry code.
                return None;
            }
            at = next;
        }
        None
    }
}

impl<'a> Fragment<'a> {
    /// Where its instructions come from and where its faults go, when its code does not follow the
    /// order of its source.
    pub fn places(&self) -> Option<&'a Places> {
        self.record.extra.as_ref().and_then(|e| e.places.as_ref())
    }

    /// Whose fault it is when the instruction at `host` faults. `None` when no instruction there may.
    pub fn fault_at(&self, host: HostPc) -> Option<FaultPlace> {
        let offset = u32::try_from(host.0.checked_sub(self.start.0)?).ok()?;
        self.places()?.faults().find(|f| (f.start..f.end).contains(&offset))
    }
}

/// A place in code memory in 4 bytes: the unit and the offset in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place(u32);

const UNIT_BITS: u32 = UNIT_SIZE.trailing_zeros();

impl Place {
    /// No place.
    pub(crate) const NONE: Place = Place(u32::MAX);
    /// Units whose places can be told from [`Place::NONE`].
    pub(crate) const UNITS: usize = (u32::MAX >> UNIT_BITS) as usize;

    pub(crate) fn new(unit: u32, offset: usize) -> Place {
        debug_assert!(offset < UNIT_SIZE && (unit as usize) < Place::UNITS);
        Place(unit << UNIT_BITS | offset as u32)
    }
    pub(crate) fn unit(self) -> u32 {
        self.0 >> UNIT_BITS
    }
    pub(crate) fn offset(self) -> usize {
        self.0 as usize & (UNIT_SIZE - 1)
    }
    pub(crate) fn is_none(self) -> bool {
        self == Place::NONE
    }
    /// `bytes` further on in the same unit.
    pub(crate) fn plus(self, bytes: usize) -> Place {
        debug_assert!(self.offset() + bytes < UNIT_SIZE);
        Place(self.0 + bytes as u32)
    }
}

/// An index that may be absent, in 4 bytes.
pub(crate) const NIL: u32 = u32::MAX;

/// The cache's record of a fragment. There are tens of thousands: what few fragments have is boxed.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) pc: GuestPc,
    /// What most fragments do not have.
    pub(crate) extra: Option<Box<Extra>>,
    /// First byte of the code.
    pub(crate) start: Place,
    /// Bytes of code.
    pub(crate) len: u32,
    /// Guest bytes from `pc` on; unused when `extra` has a path.
    pub(crate) guest_len: u32,
    /// The first of `exits` consecutive exits, in code order.
    pub(crate) first_exit: u32,
    /// Head of the list of exits linked to it, or [`NIL`].
    pub(crate) incoming: u32,
    /// Its packed map (see [`crate::pcmap`]).
    pub(crate) map: Place,
    /// Its entry for indirect branches: code that compares the wanted guest address with the
    /// fragment's own and goes on to the next entry with the same hash when they differ.
    pub(crate) indirect: Place,
    /// The fragment whose indirect entry comes after this one's, or [`NIL`].
    pub(crate) next_in_chain: u32,
    /// Offset of the entry for direct jumps.
    pub(crate) entry: u16,
    pub(crate) exits: u16,
    pub(crate) kind: FragmentKind,
    /// Offset from `indirect` of the displacement that is taken on a mismatch.
    pub(crate) mismatch: u8,
    pub(crate) live: bool,
    /// [`IN_TABLE`], [`PARKED`].
    pub(crate) flags: u8,
}

/// The fragment is in a chain of the indirect table.
pub(crate) const IN_TABLE: u8 = 1;
/// A thread with a signal waiting must leave the fragment at its next exit.
pub(crate) const PARKED: u8 = 2;

const _: () = assert!(size_of::<Record>() == 56 && size_of::<ExitRecord>() == 24);

/// What few fragments have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// What the fragment rests on.
    pub(crate) facts: u32,
    /// Instructions and faults of code in an order of its own.
    pub(crate) places: Option<Places>,
    /// The fragment behind this one, for the exits that decline.
    pub(crate) behind: Option<FragId>,
    /// The fragment that this one is behind: it is in no table then.
    pub(crate) front: Option<FragId>,
    /// The source of a fragment that is not made from one stretch.
    pub(crate) path: Box<[(GuestPc, u32)]>,
    /// The counting entry of a possible trace head.
    pub(crate) counter: Option<Counter>,
}

/// The counting entry of a possible trace head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    /// Code that counts and goes on at the fragment's entry.
    pub(crate) entry: Place,
    /// The address of the counter (counts down to zero).
    pub(crate) cell: u32,
    /// The exit taken at zero.
    pub(crate) hot: ExitId,
    /// Arrivals are not counted at present (see [`crate::heads`]).
    pub(crate) aside: bool,
    /// The entry for indirect branches, and its mismatch, for when that changes.
    pub(crate) other: (Place, u8),
}

impl Record {
    /// See [`Fragment::source`].
    pub(crate) fn source(&self) -> impl Iterator<Item = (GuestPc, u32)> + '_ {
        let path = self.extra.as_deref().map_or(&[][..], |e| &e.path);
        let one = path.is_empty().then_some((self.pc, self.guest_len));
        one.into_iter().chain(path.iter().copied())
    }

    pub(crate) fn counter(&self) -> Option<Counter> {
        self.extra.as_ref().and_then(|e| e.counter)
    }

    pub(crate) fn behind(&self) -> Option<FragId> {
        self.extra.as_ref().and_then(|e| e.behind)
    }

    pub(crate) fn front(&self) -> Option<FragId> {
        self.extra.as_ref().and_then(|e| e.front)
    }

    /// Its exits in code order, without that of a counter.
    pub(crate) fn exits(&self) -> impl Iterator<Item = ExitId> + use<> {
        (self.first_exit..self.first_exit + u32::from(self.exits)).map(ExitId)
    }

    /// Where a direct link goes: through the counter while there is one that counts.
    pub(crate) fn target(&self) -> Place {
        self.counter().filter(|c| !c.aside).map_or_else(|| self.plain_entry(), |c| c.entry)
    }

    /// Its entry, past the counter.
    pub(crate) fn plain_entry(&self) -> Place {
        self.start.plus(usize::from(self.entry))
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What an exit is, in 3 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tag {
    /// Reclaimed, not in use.
    Free = 0,
    Direct = 1,
    Indirect = 2,
    Service = 3,
    Decline = 4,
    Loop = 5,
}

/// The cache's record of an exit.
///
/// Invariants: a `LINKED` exit is in the list of exactly one live fragment, with the guest address
/// of its target; its `prev` says which exit comes before it there, or ([`HEAD`] set) whose head
/// it is. An exit that is not linked has a stub, unless it is indirect or never patched.
#[derive(Debug)]
pub(crate) struct ExitRecord {
    /// The fragment in the low bits, below the flags and the tag.
    from: u32,
    /// Where to, relative to the fragment's guest address; with `FAR` an index of the far targets. Of
    /// a loop: the offset of its head.
    pub(crate) target: i32,
    /// The 4-byte field that linking patches, [`Place::NONE`] when nothing is ever patched.
    pub(crate) patch: Place,
    /// Where the field leads when not linked, [`Place::NONE`] while there is no stub.
    pub(crate) stub: Place,
    /// The next exit linked to the same fragment; the number of a service exit; of a loop: the offset
    /// of the code that leaves.
    pub(crate) next: u32,
    /// See the invariants.
    pub(crate) prev: u32,
}

/// In `ExitRecord::prev`: a fragment, not an exit.
pub(crate) const HEAD: u32 = 1 << 31;
const LINKED: u32 = 1 << 31;
const FAR: u32 = 1 << 30;
const BACKWARD: u32 = 1 << 29;
const TAG_SHIFT: u32 = 26;
const FROM: u32 = (1 << TAG_SHIFT) - 1;

impl ExitRecord {
    /// An exit without patch, stub and links. `far`: see `target`; `backward`: the target is not
    /// behind the instruction that leaves.
    pub(crate) fn new(from: FragId, tag: Tag, target: i32, far: bool, backward: bool) -> Self {
        assert!(from.0 <= FROM, "too many fragments");
        let flags = if far { FAR } else { 0 } | if backward { BACKWARD } else { 0 };
        ExitRecord {
            from: from.0 | (tag as u32) << TAG_SHIFT | flags,
            target,
            patch: Place::NONE,
            stub: Place::NONE,
            next: NIL,
            prev: NIL,
        }
    }
    pub(crate) fn from(&self) -> FragId {
        FragId(self.from & FROM)
    }
    pub(crate) fn tag(&self) -> Tag {
        match self.from >> TAG_SHIFT & 7 {
            0 => Tag::Free,
            1 => Tag::Direct,
            2 => Tag::Indirect,
            4 => Tag::Decline,
            5 => Tag::Loop,
            _ => Tag::Service,
        }
    }
    pub(crate) fn is_far(&self) -> bool {
        self.from & FAR != 0
    }
    pub(crate) fn is_backward(&self) -> bool {
        self.from & BACKWARD != 0
    }
    pub(crate) fn is_linked(&self) -> bool {
        self.from & LINKED != 0
    }
    pub(crate) fn set_linked(&mut self, linked: bool) {
        self.from = self.from & !LINKED | if linked { LINKED } else { 0 };
    }
}
