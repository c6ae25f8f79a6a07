//! Fragments and exits: the records the cache keeps about pieces of host code.
//!
//! Addresses are newtypes so that a guest address is never taken for a host address. Identifiers
//! are indices into the cache's vectors and are recycled only after every thread has left the
//! code that could name them.

use smallvec::SmallVec;
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
    /// To an address known only at run time, through the look-up table. `patch` of such an exit is
    /// the 4-byte absolute address of the table (linked) or of the table of misses (unlinked).
    Indirect,
    /// Always to the dispatcher, which finds the reason in `note` (its meaning is the client's),
    /// to go on at the given guest address.
    Service(GuestPc, u32),
}

/// A way out of a fragment.
#[derive(Clone, Debug)]
pub struct Exit {
    /// The fragment it leaves.
    pub from: FragId,
    /// The guest address of the instruction that leaves.
    pub source: GuestPc,
    /// Where to.
    pub kind: ExitKind,
    /// Address of the 4-byte field that linking patches; 0 when nothing is ever patched.
    pub patch: HostPc,
    /// What `patch` refers to when the exit is not linked: the stub.
    pub stub: HostPc,
    /// The fragment it is linked to.
    pub linked: Option<FragId>,
    /// True while the table of misses stands in an indirect exit, or a direct exit was unlinked to
    /// get a thread out.
    pub parked: bool,
}

/// The entry of a fragment for indirect branches: code that compares the wanted guest address with
/// the fragment's own and goes on to the next entry with the same hash when they differ.
#[derive(Clone, Copy, Debug)]
pub struct IndirectEntry {
    /// What the table points to.
    pub start: HostPc,
    /// Where the previous entry with the same hash jumps on a mismatch.
    pub check: HostPc,
    /// The 4-byte relative displacement that is taken on a mismatch.
    pub mismatch: HostPc,
}

/// One piece of host code with one entry.
#[derive(Debug)]
pub struct Fragment {
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
    /// Its exits, in code order.
    pub exits: SmallVec<[ExitId; 4]>,
    /// Exits of any fragment that are linked to it.
    pub incoming: SmallVec<[ExitId; 2]>,
    /// Guest bytes it was made from: `(start, length)`, in path order.
    pub source: SmallVec<[(GuestPc, u32); 1]>,
    /// For each guest instruction in path order, host and guest length in bytes; the first pair
    /// stands for the entry code before the first instruction, with guest length 0.
    pub map: Box<[(u8, u8)]>,
    /// Entry for indirect branches, once there is one.
    pub indirect: Option<IndirectEntry>,
    /// Counting entry, when the fragment is a possible trace head.
    pub counter: Option<Counter>,
    /// False once invalidated; its memory lives until no thread can be in it.
    pub live: bool,
    /// Which unit of code memory it lies in.
    pub unit: u32,
}

/// The counting entry of a possible trace head.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Code that counts and goes on at the fragment's entry.
    pub entry: HostPc,
    /// The counter, in the writable view (counts down to zero).
    pub cell: usize,
}

impl Fragment {
    /// Where to enter so that the arrival counts, if arrivals are counted.
    pub fn counting_entry(&self) -> HostPc {
        match self.counter {
            Some(c) if self.kind == FragmentKind::Block => c.entry,
            _ => self.entry,
        }
    }

    /// The guest address of the instruction whose host code holds `host`, with the address where
    /// that code begins. `None` when `host` lies outside or in the entry code.
    pub fn guest_pc_at(&self, host: HostPc) -> Option<(GuestPc, HostPc)> {
        let mut at = self.start.0;
        let mut ranges = self.source.iter();
        let (mut pc, mut end) = ranges.next().map(|&(p, n)| (p.0, p.0 + u64::from(n)))?;
        for &(host_len, guest_len) in &self.map {
            let next = at + usize::from(host_len);
            if guest_len != 0 {
                if pc >= end {
                    (pc, end) = ranges.next().map(|&(p, n)| (p.0, p.0 + u64::from(n)))?;
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
