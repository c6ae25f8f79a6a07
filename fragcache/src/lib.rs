//! The code cache: executable memory, fragments, exits and the links between them.
//!
//! A *fragment* is host code with one entry and numbered exits; blocks and traces are the same
//! thing here. The cache knows where fragments lie, which guest addresses they came from, which
//! exit jumps to which fragment, and how to change that while other threads run. It does not know
//! what the code in a fragment means, nor which guest it serves: host instruction sequences that
//! depend on the client's conventions (exit stubs, counters, far jumps) come from the client
//! through [`StubWriter`].
//!
//! Reading order: [`memory`] (where code lies), [`fragment`] (what is in it), [`link`] (how exits
//! are patched, with the argument why that is safe), [`indirect`] (the in-line look-up table of
//! indirect branches), [`cache`] (the whole, as its clients see it), [`linking`] (connections
//! between fragments), [`heads`] (which of them are counted), [`eviction`] (how code goes away), [`assume`] (what code rests on), [`select`] (which
//! code gets hot), [`events`] (the log of everything that happened); `arena`, `pcmap` and [`places`] store
//! records.
//!
//! Locking: [`cache::Cache`] is one structure behind one lock of the client's. Running code reads
//! only code memory and the [`indirect::IndirectTable`], both of which change by single aligned
//! atomic stores.

mod arena;
pub mod assume;
pub mod cache;
pub mod events;
pub mod eviction;
pub mod fragment;
pub mod heads;

pub mod indirect;
pub mod link;
pub mod linking;
pub mod memory;
mod pcmap;
pub mod places;
pub mod select;
#[cfg(test)]
mod stress;
pub mod taken;
#[cfg(test)]
mod verify;

pub use cache::{Cache, CacheConfig, CacheError, NewExit, NewFragment, StubWriter};
pub use fragment::{Exit, ExitId, ExitKind, FragId, Fragment, FragmentKind, GuestPc, HostPc};
pub use pcmap::pack as pack_map;
pub use places::{FaultPlace, Places};
