//! The store: translations of files kept from one process to the next.
//!
//! Every process executes much the same code of the dynamic linker, the C library and its program. So
//! blocks made from a file are written to an *image* of that file when the process ends, and the next process
//! that maps the file takes them from there instead of translating. Terms:
//!
//! - a *module* is a file from which code is mapped, known by its [`Identity`];
//! - its *image* is a file in the store's directory: *records* of blocks in the order in which they were first
//!   executed, and a sorted index ([`format`] defines the bytes, [`files`] where they are and whom to trust);
//! - the *bias* of a mapping is what to add to an offset in the file for the guest address.
//!
//! A record is code as the translator laid it down before any link was made, its exits, and the places that
//! depend on bias and host address. [`install`] copies it into the code cache as if it had just been
//! translated; links, counters and the table of indirect branches come about as always. So nothing
//! downstream (watching, invalidation, signals, eviction) knows where a block came from. Records that follow
//! the wanted one come along, [`GROUP`] at most: what was executed after it once probably is again.
//!
//! What makes it correct:
//! - Only private mappings that cannot be written, of regular files, count; [`CodeRange::file`] is lost whenever a
//!   mapping's protection changes, and with it the connection to the store.
//! - An image is used only for the same file (device, inode, size, times of change in nanoseconds), made by the
//!   same `dynrun` (its own identity) with the same features of the processor. A file changed within the last
//!   [`YOUNG`] seconds is left alone: its time stamp may not tell it from what it becomes next.
//! - A block is recorded only when it depends on nothing but its own bytes, which lie, with room for one more
//!   instruction, inside one mapping.
//! - Blocks that keep registers exact at faults, or notice loads of the floating point control word, are other records
//!   than those that do not (see `Translator::variant`).

mod files;
mod format;

use crate::codemap::CodeRange;
use crate::process::Shared;
use crate::translate::Saved;
use format::Image;
use fragcache::{FragId, GuestPc, NewFragment};
use loader::FileIdentity as Identity;
use std::path::PathBuf;

/// Most records that are installed at once.
const GROUP: usize = 32;
/// Seconds for which a file must have been left alone.
const YOUNG: u64 = 2;
/// All images are let go after so many bytes of their records.
const MOST_USED: usize = 192 << 10;
/// Most bytes of records kept for an image.
const MOST_NEW: usize = 32 << 20;
/// The new records are worth writing when they are this fraction of the old; fewer sometimes are, so that what many
/// processes miss is there in the end.
const FRACTION: usize = 64;

/// Where a mapping's code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCode {
    module: u32,
    bias: u64,
}

/// A file with code.
#[derive(Debug)]
struct Module {
    identity: Identity,
    /// What earlier processes left, when there is any.
    image: Option<Image>,
    /// Records made by this process.
    new: format::Journal,
    /// They are to be written.
    due: bool,
}

/// The store as one process sees it.
#[derive(Debug, Default)]
pub struct Store {
    /// None: nothing is kept.
    place: Option<files::Directory>,
    modules: Vec<Module>,
    /// Bytes of images that were used since they were last let go.
    used: usize,
    relocated: Vec<u8>,
    exits: Vec<fragcache::NewExit>,
    /// Blocks installed from images.
    pub installed: u64,
}

impl Store {
    /// A store in `dir`; without one nothing is kept.
    pub fn new(dir: Option<PathBuf>) -> Store {
        Store { place: dir.and_then(files::Directory::new), ..Store::default() }
    }

    /// Code is mapped from a file with this identity, offset `offset` at `start`.
    pub fn mapped(&mut self, identity: Option<Identity>, start: u64, offset: u64) -> Option<FileCode> {
        let (place, identity) = (self.place.as_ref()?, identity?);
        let bias = start.wrapping_sub(offset);
        let module = match self.modules.iter().position(|m| m.identity == identity) {
            Some(i) => i,
            None if !files::is_settled(&identity, YOUNG) => return None,
            None => {
                let image = place.open(&identity);
                self.modules.push(Module { identity, image, new: format::Journal::default(), due: false });
                self.modules.len() - 1
            }
        };
        Some(FileCode { module: module as u32, bias })
    }

    /// Likewise for an open descriptor.
    pub fn mapped_from(&mut self, fd: i32, start: u64, offset: u64) -> Option<FileCode> {
        self.place.as_ref()?;
        self.mapped(files::identity(fd), start, offset)
    }

    /// A block was made from `range`.
    pub fn note(&mut self, range: &CodeRange, pc: GuestPc, variant: u32, saved: &Saved<'_>) {
        let Some(FileCode { module, bias }) = range.file else { return };
        let new = &mut self.modules[module as usize].new;
        if !saved.movable || !fits(range, pc.0, saved.guest_len) || new.bytes() > MOST_NEW {
            return;
        }
        if let Some(key) = key(pc.0, bias, variant) {
            new.push(key, bias, pc, saved);
        }
    }

    /// Whether there are images from which code comes.
    pub fn is_in_use(&self) -> bool {
        self.modules.iter().any(|m| m.image.is_some())
    }

    /// In a forked child: what the parent made, the parent keeps.
    pub fn forget_new(&mut self) {
        for m in &mut self.modules {
            m.new = format::Journal::default();
        }
    }

    /// Decides what [`save`] is to write; true when there is anything.
    pub fn is_due(&mut self) -> bool {
        for m in &mut self.modules {
            m.due = m.is_worth_saving();
        }
        self.modules.iter().any(|m| m.due)
    }
}

impl Module {
    fn is_worth_saving(&self) -> bool {
        let old = self.image.as_ref().map_or(0, Image::len);
        let new = self.new.len() * FRACTION;
        new > 0 && (new >= old || files::chance(old) < new)
    }
}

/// The number of a record: where its block begins in the file, and which variant it is.
fn key(pc: u64, bias: u64, variant: u32) -> Option<u32> {
    let offset = u32::try_from(pc.wrapping_sub(bias)).ok().filter(|&o| o < 1 << 30)?;
    Some(offset << 2 | variant)
}

/// The reverse: the guest address, and the variant.
fn split(key: u32, bias: u64) -> (GuestPc, u32) {
    (GuestPc(u64::from(key >> 2).wrapping_add(bias)), key & 3)
}

/// A block must lie inside its mapping, with room for one more instruction: then what stands behind the
/// mapping made no difference.
fn fits(range: &CodeRange, pc: u64, len: usize) -> bool {
    pc >= range.start && pc + len as u64 + 15 <= range.end
}

/// Finds the block for `pc` in the image of its module and installs it, and some that follow.
pub fn install(shared: &mut Shared, range: &CodeRange, pc: GuestPc) -> Option<FragId> {
    let FileCode { module, bias } = range.file?;
    let Shared { cache, translator, store, .. } = shared;
    let image = store.modules[module as usize].image?;
    let variant = translator.variant();
    let mut at = image.find(key(pc.0, bias, variant)?)?;
    let first = at;
    let mut placed: [(FragId, usize); GROUP] = [(FragId(0), 0); GROUP];
    let mut n = 0;
    for _ in 0..2 * GROUP {
        if n == GROUP {
            break;
        }
        let Some(record) = image.record(at) else { break };
        let here = at;
        at += record.size;
        let (from, its) = split(record.key, bias);
        let usable = its == variant
            && fits(range, from.0, record.guest_len)
            && (!record.is_fixed() || image.fixed_bias() == bias);
        if !usable || n > 0 && cache.lookup(from).is_some() {
            if n == 0 {
                return None;
            }
            continue;
        }
        let room = record.code.len() + 8;
        let Ok(to) = cache.begin(from, room, record.exit_count() + 4, 8) else { break };
        let to = fragcache::HostPc(to.0 + usize::from(record.phase));
        if !record.reaches(to.0 as u64, from.0) {
            break;
        }
        record.relocate(to.0 as u64, bias, &mut store.relocated, |site| {
            translator.return_sites.insert(site);
        });
        store.exits.clear();
        store.exits.extend(record.exits(from));
        let (id, replaced) = cache.place(
            &mut NewFragment {
                pc: from,
                kind: fragcache::FragmentKind::Block,
                at: to,
                entry: record.entry,
                code: &store.relocated,
                exits: &store.exits,
                source: &[(from, record.guest_len as u32)],
                map: &[],
                indirect: record.indirect,
                facts: 0,
                places: None,
                front: None,
            },
            Some(record.map),
        );
        debug_assert!(replaced.is_none(), "what is there was looked up");
        placed[n] = (id, here);
        n += 1;
    }
    for &(id, at) in &placed[..n] {
        let Some(record) = image.record_again(at) else { continue };
        let (from, _) = split(record.key, bias);
        store.exits.clear();
        store.exits.extend(record.exits(from));
        cache.connect(id, &store.exits);
        if record.is_head() {
            cache.mark_head(id);
        }
        if record.is_in_table() {
            cache.insert_indirect(id);
        }
    }
    store.installed += n as u64;
    store.used += at - first;
    if store.used > MOST_USED {
        store.used = 0;
        store.modules.iter().filter_map(|m| m.image.as_ref()).for_each(Image::let_go);
    }
    (n > 0).then_some(placed[0].0)
}

/// Writes images for what is new.
pub fn save(shared: &mut Shared) {
    let Shared { cache, store, .. } = shared;
    let Some(place) = store.place.as_ref() else { return };
    for m in &mut store.modules {
        if !std::mem::take(&mut m.due) {
            continue;
        }
        let new = std::mem::take(&mut m.new);
        // Another process may have written one since.
        let old = place.open(&m.identity);
        let bytes = new.image(&place.key(&m.identity), old.as_ref(), |pc| {
            let id = cache.lookup(pc)?;
            let f = cache.frag(id);
            // Where there is a trace now, the next process shall count again.
            Some((f.indirect, cache.is_head(id) || f.kind == fragcache::FragmentKind::Trace))
        });
        if let Some(bytes) = bytes {
            place.write(&m.identity, &bytes);
        }
    }
}
