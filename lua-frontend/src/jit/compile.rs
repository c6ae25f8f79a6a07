//! A recorded trace to machine code in the cache.

use fragcache::{Cache, CacheConfig, CacheError, ExitId as CacheExit, ExitKind, FragId, FragmentKind};
use fragcache::{GuestPc, HostPc, NewExit, NewFragment};
use ir::snapshot::Target;
use ir::trace::Trace;
use ir::types::{ExitId, Pc};
use optimize::codegen::{self, CodegenError, Leaving};
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};

use super::enter;
use super::host::{LuaHost, Stubs};
use super::layout::Layout;

/// Why a trace has no code.
#[derive(Debug, thiserror::Error)]
pub enum NoCode {
    /// It has none.
    #[error(transparent)]
    Code(#[from] CodegenError),
    /// There is no room.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// An exit that the front end did not make.
    #[error("an exit without a place")]
    Exit,
}

/// Passes, code generator and cache, with their buffers.
#[derive(Debug)]
pub struct Compiler {
    /// The cache.
    pub cache: Cache,
    pipeline: Pipeline,
    env: Env,
    codegen: codegen::x86_64::Compiler,
    features: Features,
    /// Where guest addresses begin: they are numbers near the helpers, so that code lies near these.
    first: u64,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The fragment.
    pub frag: FragId,
    /// Its entry.
    pub entry: HostPc,
    /// Where it leaves: the cache's number and the key of the place.
    pub exits: Vec<(CacheExit, u64)>,
    /// Bytes of code.
    pub len: u32,
}

impl Compiler {
    /// An empty cache. `level` is that of `-O`.
    ///
    /// # Errors
    /// When the system gives no memory.
    pub fn new(level: u8, limit: usize) -> Result<Compiler, CacheError> {
        let config = CacheConfig { limit, events: 1 << 10, ..CacheConfig::default() };
        let features = Features { v256: std::is_x86_feature_detected!("avx2"), v512: false };
        let level = match level {
            0 => Level::None,
            1 => Level::Quick,
            _ => Level::Full,
        };
        Ok(Compiler {
            cache: Cache::new(config, Box::new(Stubs), HostPc(enter::leave_address()))?,
            pipeline: Pipeline::new(level),
            env: Env::new(features, None),
            codegen: codegen::x86_64::Compiler::default(),
            features,
            first: enter::leave_address() as u64,
        })
    }

    /// The guest address for a key.
    pub fn pc(&self, key: u64) -> GuestPc {
        GuestPc(self.first + key)
    }

    /// Optimises the trace and puts it into the cache under `key`. The known places that exits lead to are keys; `place` says by how many words the
    /// base moves on the way to each, and the key of the fragment that goes on there.
    ///
    /// # Errors
    /// When it has no code.
    pub fn compile(
        &mut self,
        trace: &mut Trace,
        layout: &Layout,
        key: u64,
        keeps_homes: bool,
        place: impl Fn(u64) -> (i32, u64),
        mut watch: impl FnMut(&'static str, &Trace),
    ) -> Result<Made, NoCode> {
        self.pipeline.run(trace, &mut self.env, &mut watch);
        let moves: Vec<(ExitId, i32)> = trace
            .exits
            .iter()
            .filter_map(|e| match e.target {
                Target::Pc(Pc::Addr(to)) => Some((e.id, place(to).0)),
                _ => None,
            })
            .filter(|m| m.1 != 0)
            .collect();
        let host = LuaHost {
            helpers: &layout.addresses,
            moves: &moves,
            moves_stack: layout.helper.native_call.id,
            keeps_homes,
            features: self.features,
        };
        let pc = self.pc(key);
        let (mut room, mut count) =
            (512 + trace.insts.len() * 12 + trace.exits.len() * 64, 2 * trace.exits.len() + 8);
        let (at, code) = loop {
            let at = self.cache.begin(pc, room, count, 64)?;
            let code = self.codegen.compile(trace, &host, at.0 as u64)?;
            if code.bytes.len() <= room && code.exits.len() <= count {
                break (at, code);
            }
            (room, count) = (code.bytes.len() + 128, code.exits.len() + 8);
        };
        let mut exits = Vec::with_capacity(code.exits.len());
        let mut keys = Vec::with_capacity(code.exits.len());
        for e in &code.exits {
            let (kind, to) = match e.leaving {
                Leaving::Direct(Pc::Addr(to)) => (ExitKind::Direct(self.pc(place(to).1)), to),
                Leaving::Back { head, interrupt } => (ExitKind::Loop { head, out: interrupt }, u64::MAX),
                _ => return Err(NoCode::Exit),
            };
            exits.push(NewExit { source: pc, kind, patch: e.patch });
            keys.push(to);
        }
        let frag = self.cache.commit(NewFragment {
            pc,
            kind: FragmentKind::Trace,
            at,
            entry: code.entry,
            code: &code.bytes,
            exits: &exits,
            source: &[(pc, 1)],
            map: &[],
            indirect: None,
            facts: 0,
            places: None,
            front: None,
        });
        let made = self.cache.frag(frag);
        let exits = made.exits().zip(keys).filter(|e| e.1 != u64::MAX).collect();
        Ok(Made { frag, entry: made.entry, exits, len: made.len })
    }
}
