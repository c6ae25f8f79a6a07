//! The bytes of an image.
//!
//! All numbers are little-endian.
//!
//! | part | bytes | |
//! |---|---|---|
//! | header | 128 | magic, number of records, length, bias of fixed records, key, checksum |
//! | index | 8 per record | key and offset of each record, sorted by key |
//! | records | multiples of 8 | see [`Record`] |
//!
//! Nothing read here is believed: lengths are checked before they are used, and each record carries a
//! checksum over all of it. A damaged image loses the records that are damaged.
//!
//! Places in code that depend on where it stands are kept in the record in a neutral form, and
//! [`Record::relocate`] undoes it. With `b` the bias and `h` the host address of the code:
//!
//! | kind | in the code | in the record |
//! |---|---|---|
//! | `RELATIVE` | `d`, 4 bytes, from the end of an instruction | `d + h - b` |
//! | `ADDRESS`, `RETURN` | guest address `a`, 8 bytes | `a - b` |
//! | `NEGATED` | `-a`, 8 bytes | `-a + b` |
//! | `RETURN_SHORT` | `a`, 4 bytes | `a`; such a record holds for one bias only |

use crate::translate::{Saved, site};
use fragcache::{ExitKind, GuestPc, NewExit};
use loader::FileIdentity as Identity;

const MAGIC: u64 = u64::from_le_bytes(*b"dynrun\x01\x02");
const HEADER: usize = 128;
const HEAD: usize = 32;
const EXIT: usize = 16;

/// The block has an entry for indirect branches in front.
const INDIRECT: u8 = 1;
/// It was in the table of indirect branches.
const IN_TABLE: u8 = 2;
/// Arrivals were counted.
const COUNTED: u8 = 4;
/// It holds for one bias only.
const FIXED: u8 = 8;

/// Code of more bytes is not kept: offsets of places have 13 bits.
const LONGEST: usize = 1 << 13;

/// How far a record may be from its guest code, less what its operands reach from there.
const REACH: u64 = (1 << 31) - (300 << 20);

fn words(i: &Identity) -> [u64; 5] {
    [i.device, i.inode, i.size, i.modified, i.changed]
}

/// What an image was made from, by whom, for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The file with the guest code.
    pub file: Identity,
    /// `dynrun` itself.
    pub maker: Identity,
    /// Features of the processor that the translator asks for.
    pub features: u64,
}

impl Key {
    fn words(&self) -> [u64; 11] {
        let mut w = [0; 11];
        w[..5].copy_from_slice(&words(&self.file));
        w[5..10].copy_from_slice(&words(&self.maker));
        w[10] = self.features;
        w
    }

    /// The name of the image: different keys hardly ever share one.
    pub fn name(&self) -> String {
        // Not the times and sizes: what became of a file takes the place of what it was.
        let w = [self.file.device, self.file.inode, self.maker.device, self.maker.inode, self.features];
        let bytes: Vec<u8> = w.iter().flat_map(|w| w.to_le_bytes()).collect();
        format!("{:016x}.blocks", sum(&bytes))
    }
}

/// A sum over bytes that accidents hardly ever keep: four lanes of multiplications, which processors do at once.
fn sum(bytes: &[u8]) -> u64 {
    const K: u64 = 0xd6e8_feb8_6659_fd93;
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
    let mut lanes = [K, !K, K.rotate_left(21), K.rotate_left(42) ^ bytes.len() as u64];
    let mut blocks = bytes.chunks_exact(32);
    for b in &mut blocks {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = (*lane ^ word(&b[8 * i..8 * i + 8])).wrapping_mul(K).rotate_left(29);
        }
    }
    let mut last = [0; 32];
    last[..blocks.remainder().len()].copy_from_slice(blocks.remainder());
    let mut h = 0u64;
    for (i, lane) in lanes.into_iter().enumerate() {
        h = (h ^ lane ^ word(&last[8 * i..8 * i + 8])).wrapping_mul(K);
        h ^= h >> 32;
    }
    h
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at + 2)?.try_into().ok()?))
}
fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at + 4)?.try_into().ok()?))
}
fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

/// An image in memory.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    bytes: &'static [u8],
    records: usize,
    fixed_bias: u64,
}

impl Image {
    /// Accepts an image for `key`.
    pub fn new(bytes: &'static [u8], key: &Key) -> Option<Image> {
        let header = bytes.get(..HEADER)?;
        let records = u64_at(header, 8)? as usize;
        let good = u64_at(header, 0)? == MAGIC
            && u64_at(header, 16)? == bytes.len() as u64
            && u64_at(header, 120)? == sum(&header[..120])
            && records < bytes.len() / 8
            && key.words().iter().enumerate().all(|(i, &w)| u64_at(header, 32 + 8 * i) == Some(w));
        good.then_some(Image { bytes, records, fixed_bias: u64_at(header, 24)? })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records
    }

    /// Its memory is not needed for now.
    pub fn let_go(&self) {
        crate::alloc::let_go(self.bytes);
    }

    /// The bias for which fixed records hold.
    pub fn fixed_bias(&self) -> u64 {
        self.fixed_bias
    }

    fn index(&self, i: usize) -> Option<(u32, usize)> {
        let at = HEADER + 8 * i;
        Some((u32_at(self.bytes, at)?, u32_at(self.bytes, at + 4)? as usize))
    }

    /// Where the record with this key is.
    pub fn find(&self, key: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let mid = (low + high) / 2;
            let (k, at) = self.index(mid)?;
            match k.cmp(&key) {
                std::cmp::Ordering::Equal => return (self.record(at)?.key == key).then_some(at),
                std::cmp::Ordering::Less => low = mid + 1,
                std::cmp::Ordering::Greater => high = mid,
            }
        }
        None
    }

    /// The record at an offset; `None` when there is none, or it is damaged.
    pub fn record(&self, at: usize) -> Option<Record<'static>> {
        let bytes = self.bytes.get(at..)?;
        let size = u32_at(bytes, 8)? as usize;
        let bytes = bytes.get(..size)?;
        if at < HEADER || size < HEAD || u64_at(bytes, 0)? != sum(&bytes[8..]) {
            return None;
        }
        Record::parse(bytes)
    }

    /// A record that was [read](Image::record) just now.
    pub fn record_again(&self, at: usize) -> Option<Record<'static>> {
        let bytes = self.bytes.get(at..)?;
        Record::parse(bytes.get(..u32_at(bytes, 8)? as usize)?)
    }

    /// All good records as they stand, in order.
    fn all(&self) -> impl Iterator<Item = &'static [u8]> + '_ {
        let mut at = HEADER + 8 * self.records;
        std::iter::from_fn(move || {
            let r = self.record(at)?;
            let bytes = self.bytes.get(at..at + r.size)?;
            at += r.size;
            Some(bytes)
        })
    }
}

/// One block.
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | checksum of the rest |
/// | 8 | 4 | size of the record |
/// | 12 | 4 | key |
/// | 16 | 2 × 5 | lengths of guest code, code, entry; number of exits, of places |
/// | 26 | 2 | bytes of the packed map of instructions |
/// | 28 | 1 | flags |
/// | 29 | 1 | offset of the code modulo 8 |
/// | 30 | 1 × 2 | where in the indirect entry the check begins, and its mismatch field |
/// | 32 | | code, places, map, exits; each padded to 8 |
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Offset in the file, and which variant.
    pub key: u32,
    /// Bytes of the record.
    pub size: usize,
    /// Guest bytes.
    pub guest_len: usize,
    /// Offset of the entry.
    pub entry: u32,
    /// What the host address must be modulo 8.
    pub phase: u8,
    /// See `NewFragment::indirect`.
    pub indirect: Option<(u32, u32)>,
    /// The code with neutral places.
    pub code: &'a [u8],
    flags: u8,
    places: &'a [u8],
    /// The packed map of instructions.
    pub map: &'a [u8],
    exits: &'a [u8],
}

fn padded(n: usize) -> usize {
    n.next_multiple_of(8)
}

impl<'a> Record<'a> {
    fn parse(b: &'a [u8]) -> Option<Record<'a>> {
        let half = |at: usize| u16_at(b, at).map(usize::from);
        let (code_len, exits, places, map_len) = (half(18)?, half(22)?, half(24)?, half(26)?);
        let code_at = HEAD;
        let places_at = code_at + padded(code_len);
        let map_at = places_at + padded(places * 2);
        let exits_at = map_at + padded(map_len);
        let (flags, phase) = (*b.get(28)?, *b.get(29)? & 7);
        let indirect = (u32::from(*b.get(30)?), u32::from(*b.get(31)?));
        Some(Record {
            key: u32_at(b, 12)?,
            size: b.len(),
            guest_len: half(16)?,
            entry: half(20)? as u32,
            phase,
            indirect: (flags & INDIRECT != 0).then_some(indirect),
            code: b.get(code_at..code_at + code_len)?,
            flags,
            places: b.get(places_at..places_at + 2 * places)?,
            map: b.get(map_at..map_at + map_len)?,
            exits: b.get(exits_at..exits_at + EXIT * exits)?,
        })
    }

    /// Whether it holds for one bias only.
    pub fn is_fixed(&self) -> bool {
        self.flags & FIXED != 0
    }
    /// Whether arrivals were counted.
    pub fn is_head(&self) -> bool {
        self.flags & COUNTED != 0
    }
    /// Whether indirect branches led to it.
    pub fn is_in_table(&self) -> bool {
        self.flags & IN_TABLE != 0
    }
    /// Number of exits.
    pub fn exit_count(&self) -> usize {
        self.exits.len() / EXIT
    }

    /// The exits of the block at `pc`.
    pub fn exits(&self, pc: GuestPc) -> impl Iterator<Item = NewExit> + 'a {
        self.exits.chunks_exact(EXIT).map(move |e| {
            let half = |at| u64::from(u16_at(e, at).unwrap_or(0));
            let to = GuestPc(pc.0.wrapping_add(u64_at(e, 8).unwrap_or(0)));
            let what = u32::from(u16_at(e, 6).unwrap_or(0));
            NewExit {
                patch: half(0) as u32,
                source: GuestPc(pc.0 + half(2)),
                kind: match half(4) {
                    0 => ExitKind::Indirect,
                    1 => ExitKind::Direct(to),
                    _ => ExitKind::Service(to, what),
                },
            }
        })
    }

    /// Whether code at `host` reaches the operands of guest code at `pc`.
    pub fn reaches(&self, host: u64, pc: u64) -> bool {
        host.abs_diff(pc) < REACH
    }

    /// The code for host address `host`; calls `returns` with the return addresses it pushes.
    pub fn relocate(&self, host: u64, bias: u64, out: &mut Vec<u8>, mut returns: impl FnMut(u64)) {
        out.clear();
        out.extend_from_slice(self.code);
        for place in self.places.chunks_exact(2) {
            let place = u16::from_le_bytes([place[0], place[1]]);
            let at = usize::from(place) & (LONGEST - 1);
            match place >> 13 {
                site::RELATIVE => {
                    let d = u32_at(out, at).unwrap_or(0).wrapping_sub(host as u32).wrapping_add(bias as u32);
                    set(out, at, &d.to_le_bytes());
                }
                site::NEGATED => {
                    let v = u64_at(out, at).unwrap_or(0).wrapping_sub(bias);
                    set(out, at, &v.to_le_bytes());
                }
                site::RETURN_SHORT => returns(u64::from(u32_at(out, at).unwrap_or(0))),
                kind => {
                    let v = u64_at(out, at).unwrap_or(0).wrapping_add(bias);
                    set(out, at, &v.to_le_bytes());
                    if kind == site::RETURN {
                        returns(v);
                    }
                }
            }
        }
    }
}

fn set(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = out.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

/// Records of a process that are in no image yet.
#[derive(Debug, Default)]
pub struct Journal {
    bytes: Vec<u8>,
    /// Guest address and offset of each.
    records: Vec<(GuestPc, u32)>,
    fixed_bias: Option<u64>,
}

impl Journal {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }
    /// Bytes of records.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a block.
    pub fn push(&mut self, key: u32, bias: u64, pc: GuestPc, s: &Saved<'_>) {
        let fixed = s.places.iter().any(|p| p >> 13 == site::RETURN_SHORT) || s.fixed;
        let small = s.indirect.is_none_or(|(a, b)| a < 256 && b < 256);
        let plain = |e: &NewExit| match e.kind {
            ExitKind::Indirect | ExitKind::Direct(_) => true,
            ExitKind::Service(_, what) => what <= u32::from(u16::MAX),
            _ => false,
        };
        if !s.exits.iter().all(plain) {
            return;
        }
        if s.code.len() >= LONGEST || !small || fixed && *self.fixed_bias.get_or_insert(bias) != bias {
            return;
        }
        let begin = self.bytes.len();
        let out = &mut self.bytes;
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&key.to_le_bytes());
        let mut map = Vec::with_capacity(s.map.len() + 8);
        fragcache::pack_map(s.map, &mut map);
        let counts = [s.guest_len, s.code.len(), s.entry as usize, s.exits.len(), s.places.len(), map.len()];
        for n in counts {
            out.extend_from_slice(&(n as u16).to_le_bytes());
        }
        let flags = if s.indirect.is_some() { INDIRECT } else { 0 } | if fixed { FIXED } else { 0 };
        let (start, mismatch) = s.indirect.unwrap_or((0, 0));
        out.extend_from_slice(&[flags, (s.at & 7) as u8, start as u8, mismatch as u8]);
        let pad = |out: &mut Vec<u8>| out.resize(begin + padded(out.len() - begin), 0);
        let code = out.len();
        out.extend_from_slice(s.code);
        pad(out);
        for &p in s.places {
            let at = code + (usize::from(p) & (LONGEST - 1));
            match p >> 13 {
                site::RELATIVE => {
                    let v = u32_at(out, at).unwrap_or(0);
                    set(out, at, &v.wrapping_add(s.at as u32).wrapping_sub(bias as u32).to_le_bytes());
                }
                site::NEGATED => {
                    let v = u64_at(out, at).unwrap_or(0).wrapping_add(bias);
                    set(out, at, &v.to_le_bytes());
                }
                site::RETURN_SHORT => {}
                _ => {
                    let v = u64_at(out, at).unwrap_or(0).wrapping_sub(bias);
                    set(out, at, &v.to_le_bytes());
                }
            }
            out.extend_from_slice(&p.to_le_bytes());
        }
        pad(out);
        out.extend_from_slice(&map);
        pad(out);
        for e in s.exits {
            let (kind, to, what) = match e.kind {
                ExitKind::Direct(to) => (1u16, to, 0),
                ExitKind::Service(to, what) => (2, to, what),
                _ => (0, pc, 0),
            };
            for v in [e.patch as u16, e.source.0.wrapping_sub(pc.0) as u16, kind, what as u16] {
                out.extend_from_slice(&v.to_le_bytes());
            }
            out.extend_from_slice(&to.0.wrapping_sub(pc.0).to_le_bytes());
        }
        let size = (out.len() - begin) as u32;
        set(out, begin + 8, &size.to_le_bytes());
        self.records.push((pc, begin as u32));
    }

    /// A new image of what `old` and this have; `None` when it is not worth it. `state` says of a block
    /// whether it has an indirect entry now, and a counter.
    pub fn image(
        mut self,
        key: &Key,
        old: Option<&Image>,
        state: impl Fn(GuestPc) -> Option<(bool, bool)>,
    ) -> Option<Vec<u8>> {
        let fixed_bias = match (old.map_or(0, Image::fixed_bias), self.fixed_bias) {
            (0, new) => new.unwrap_or(0),
            (old, _) => old,
        };
        let mut index: Vec<(u32, u32)> = Vec::new();
        let mut data: Vec<u8> = Vec::new();
        if let Some(old) = old {
            for r in old.all() {
                index.push((u32_at(r, 12)?, data.len() as u32));
                data.extend_from_slice(r);
            }
        }
        let before = index.len();
        let known: rustc_hash::FxHashSet<u32> = index.iter().map(|i| i.0).collect();
        let mut seen = known;
        for &(pc, at) in &self.records {
            let at = at as usize;
            let size = u32_at(&self.bytes, at + 8)? as usize;
            let record = self.bytes.get_mut(at..at + size)?;
            let k = u32_at(record, 12)?;
            if record[28] & FIXED != 0 && self.fixed_bias != Some(fixed_bias) || !seen.insert(k) {
                continue;
            }
            if let Some((table, counted)) = state(pc) {
                record[28] |= if table { IN_TABLE } else { 0 } | if counted && table { COUNTED } else { 0 };
            }
            let s = sum(&record[8..]);
            set(record, 0, &s.to_le_bytes());
            index.push((k, data.len() as u32));
            data.extend_from_slice(record);
        }
        if index.len() == before || data.len() > u32::MAX as usize / 2 {
            return None;
        }
        let start = HEADER + 8 * index.len();
        let records = index.len() as u64;
        index.sort_unstable();
        let mut out = Vec::with_capacity(start + data.len());
        for w in [MAGIC, records, (start + data.len()) as u64, fixed_bias].into_iter().chain(key.words()) {
            out.extend_from_slice(&w.to_le_bytes());
        }
        let s = sum(&out);
        out.extend_from_slice(&s.to_le_bytes());
        for (k, at) in index {
            out.extend_from_slice(&k.to_le_bytes());
            out.extend_from_slice(&(start as u32 + at).to_le_bytes());
        }
        out.extend_from_slice(&data);
        Some(out)
    }
}
