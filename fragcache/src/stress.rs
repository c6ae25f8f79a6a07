//! The cache under a guest that exists only for this test: threads run generated fragments while
//! another thread links, unlinks, kills, parks, evicts and reclaims.
//!
//! The guest is a graph: "code" at address `p` goes to two fixed addresses by direct exits, or to
//! one of eight by an indirect branch, as the bits of a random number say. Traces may also decline, or go
//! round a loop of their own first. Convention: `r15` is the
//! thread's [`Context`], `rbx` its random number, `r14` the guest address that control is supposed
//! to be at. Every fragment compares `r14` with its own address, so an arrival at a wrong fragment
//! is noticed at once, and so is memory reused too early.

use crate::cache::{Cache, CacheConfig, HOT, NewExit, NewFragment, StubWriter};
use crate::fragment::{ExitId, ExitKind, FragId, FragmentKind, GuestPc, HostPc};
use crate::select::Policy;
use std::arch::global_asm;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[repr(C)]
struct Context {
    exit: u64,
    rsp: u64,
    random: u64,
    pc: u64,
    steps: u64,
    pad: [u64; 3],
    targets: [u64; 8],
}

const MISS: u32 = 0xffff_ff00;
const WRONG: u32 = 0xffff_ff01;
/// Service: the thread has run long enough.
const ENOUGH: u32 = 7;

global_asm!(
    ".globl fragcache_test_enter",
    "fragcache_test_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r15, rdi",
    "mov [r15 + 8], rsp",
    "mov rbx, [r15 + 16]",
    "mov r14, [r15 + 24]",
    "jmp rsi",
    ".globl fragcache_test_wrong",
    "fragcache_test_wrong:",
    "mov dword ptr [r15], 0xffffff01",
    "jmp fragcache_test_exit",
    ".globl fragcache_test_miss",
    "fragcache_test_miss:",
    "mov dword ptr [r15], 0xffffff00",
    ".globl fragcache_test_exit",
    "fragcache_test_exit:",
    "mov [r15 + 16], rbx",
    "mov [r15 + 24], r14",
    "mov rsp, [r15 + 8]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn fragcache_test_enter(context: *mut Context, target: usize);
    fn fragcache_test_exit();
    fn fragcache_test_miss();
    fn fragcache_test_wrong();
}

fn address(f: unsafe extern "C" fn()) -> HostPc {
    HostPc(f as *const () as usize)
}

struct Stubs;

fn jump(at: HostPc, to: HostPc, out: &mut Vec<u8>) {
    out.push(0xe9);
    let d = to.0.wrapping_sub(at.0 + out.len() + 4) as i32;
    out.extend_from_slice(&d.to_le_bytes());
}

impl StubWriter for Stubs {
    fn region_common(&self, _: HostPc) -> Vec<u8> {
        let mut out = Vec::new();
        for f in [fragcache_test_exit as unsafe extern "C" fn(), fragcache_test_miss, fragcache_test_wrong] {
            self.far_jump(address(f), &mut out);
            out.resize(out.len().next_multiple_of(16), 0xcc);
        }
        out
    }
    fn exit_stub(&self, at: HostPc, common: HostPc, exit: ExitId, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x41, 0xc7, 0x07]); // mov dword [r15], exit
        out.extend_from_slice(&exit.0.to_le_bytes());
        jump(at, common, out);
    }
    fn counter_stub(
        &self,
        at: HostPc,
        common: HostPc,
        cell: u32,
        hot: ExitId,
        entry: HostPc,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&[0xff, 0x0c, 0x25]); // dec dword [cell]
        out.extend_from_slice(&cell.to_le_bytes());
        out.extend_from_slice(&[0x74, 5]); // jz hot
        jump(at, entry, out);
        self.exit_stub(at, common, hot, out);
    }
    fn counting_jump(&self, cell: u32, to: HostPc, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xff, 0x0c, 0x25]); // dec dword [cell]
        out.extend_from_slice(&cell.to_le_bytes());
        self.far_jump(to, out);
    }
    fn far_jump(&self, target: HostPc, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        out.extend_from_slice(&(target.0 as u64).to_le_bytes());
    }
    fn mismatch(&self, common: HostPc) -> HostPc {
        HostPc(common.0 + 16)
    }
    fn indirect_entry(&self, at: HostPc, pc: GuestPc, entry: HostPc, out: &mut Vec<u8>) -> u32 {
        let mismatch = entry_check(at, pc, out);
        jump(at, entry, out);
        mismatch
    }
}

/// `mov rdx, pc; cmp r14, rdx; jne …`; returns the offset of the field.
fn entry_check(at: HostPc, pc: GuestPc, out: &mut Vec<u8>) -> u32 {
    out.extend_from_slice(&[0x48, 0xba]);
    out.extend_from_slice(&pc.0.to_le_bytes());
    out.extend_from_slice(&[0x49, 0x39, 0xd6]);
    conditional(at, 0x85, out)
}

/// A conditional jump with a field that can be patched; returns the field's offset.
fn conditional(at: HostPc, opcode: u8, out: &mut Vec<u8>) -> u32 {
    let n = crate::link::padding(at.0 + out.len(), 2);
    out.extend(std::iter::repeat_n(0x90, n));
    out.extend_from_slice(&[0x0f, opcode, 0, 0, 0, 0]);
    out.len() as u32 - 4
}

/// Guest addresses: two groups too far from each other for a direct jump.
fn node(i: u64) -> GuestPc {
    let i = i % NODES;
    let base = if (i / 7).is_multiple_of(2) { 0x1_0000_0000 } else { 0x2222_0000_0000 };
    // Few slots of the table: chains of both groups.
    let (low, high) = (i & 0xff, i >> 8);
    GuestPc(base + ((low + high) << crate::indirect::SHIFT) + (high << (16 + crate::indirect::SHIFT)))
}
const NODES: u64 = 3000;

fn make(cache: &mut Cache, pc: GuestPc, i: u64, kind: FragmentKind, indirect: bool) -> FragId {
    // Some fragments are large, so that units fill up soon.
    let filler = if i.is_multiple_of(5) { 3000 } else { 40 };
    make_behind(cache, pc, i, kind, indirect, filler, None)
}

fn make_behind(
    cache: &mut Cache,
    pc: GuestPc,
    i: u64,
    kind: FragmentKind,
    indirect: bool,
    filler: usize,
    front: Option<FragId>,
) -> FragId {
    let at = cache.begin(pc, filler + 256, 7, 16).unwrap();
    let mut code = Vec::new();
    let entry = indirect.then(|| (0, entry_check(at, pc, &mut code)));
    let start = code.len() as u32;
    let common = cache.memory.common(cache.memory.place_of(at).unwrap());
    code.extend_from_slice(&[0x48, 0xba]); // mov rdx, pc
    code.extend_from_slice(&pc.0.to_le_bytes());
    code.extend_from_slice(&[0x49, 0x39, 0xd6]); // cmp r14, rdx
    let wrong = conditional(at, 0x85, &mut code) as usize;
    let d = (common.0 + 32).wrapping_sub(at.0 + wrong + 4) as u32;
    code[wrong..wrong + 4].copy_from_slice(&d.to_le_bytes());
    code.extend(std::iter::repeat_n(0x90, filler));
    let mut exits = Vec::new();
    let mut exit = |kind, patch| exits.push(NewExit { source: pc, kind, patch });
    let head = code.len() as u32;
    code.extend_from_slice(&[0x49, 0xff, 0x4f, 32]); // dec qword [r15 + steps]
    let enough = conditional(at, 0x84, &mut code);
    exit(ExitKind::Service(pc, ENOUGH), enough);
    // rbx = rbx * 6364136223846793005 + 1442695040888963407
    code.extend_from_slice(&[0x48, 0xba]);
    code.extend_from_slice(&6364136223846793005u64.to_le_bytes());
    code.extend_from_slice(&[0x48, 0x0f, 0xaf, 0xda, 0x48, 0xba]);
    code.extend_from_slice(&1442695040888963407u64.to_le_bytes());
    code.extend_from_slice(&[0x48, 0x01, 0xd3]);
    let mut back = None;
    if kind == FragmentKind::Trace && front.is_none() {
        code.extend_from_slice(&[0x48, 0x0f, 0xba, 0xe3, 60]); // bt rbx, 60
        let field = conditional(at, 0x82, &mut code);
        exit(ExitKind::Decline(pc), field);
        code.extend_from_slice(&[0x48, 0x0f, 0xba, 0xe3, 61]);
        back = Some(conditional(at, 0x82, &mut code));
    }
    for (bit, to) in [(62, i * 7 + 1), (63, i * 3 + 5)] {
        code.extend_from_slice(&[0x49, 0xbe]); // mov r14, target
        code.extend_from_slice(&node(to).0.to_le_bytes());
        code.extend_from_slice(&[0x48, 0x0f, 0xba, 0xe3, bit]); // bt rbx, bit
        let field = conditional(at, 0x82, &mut code);
        exit(ExitKind::Direct(node(to)), field);
    }
    code.extend_from_slice(&[0x89, 0xda, 0xc1, 0xea, 20, 0x83, 0xe2, 7]); // edx = ebx >> 20 & 7
    code.extend_from_slice(&[0x4d, 0x8b, 0x74, 0xd7, 64]); // mov r14, [r15 + rdx*8 + targets]
    code.extend_from_slice(&[0x44, 0x89, 0xf1, 0x44, 0x89, 0xf2, 0xc1, 0xc2, 16]); // ecx = edx = r14d; rol edx, 16
    code.extend_from_slice(&[0x01, 0xca, 0x0f, 0xb7, 0xd2]); // edx = (edx + ecx) & 0xffff
    let n = crate::link::padding(at.0 + code.len(), 3);
    code.extend(std::iter::repeat_n(0x90, n));
    code.extend_from_slice(&[0xff, 0x24, 0xd5, 0, 0, 0, 0]); // jmp [rdx*8 + table]
    let field = code.len() as u32 - 4;
    exit(ExitKind::Indirect, field);
    if let Some(field) = back {
        let out = code.len() as u32;
        let n = crate::link::padding(at.0 + code.len(), 1);
        code.extend(std::iter::repeat_n(0x90, n));
        code.extend_from_slice(&[0xe9, 0, 0, 0, 0]);
        exit(ExitKind::Loop { head, out }, field);
        exit(ExitKind::Direct(pc), code.len() as u32 - 4);
    }
    let map: Vec<(u8, u8)> = vec![(start as u8, 0), ((code.len() - start as usize).min(255) as u8, 4)];
    cache.commit(NewFragment {
        pc,
        kind,
        at,
        entry: start,
        code: &code,
        exits: &exits,
        source: &[(pc, 4)],
        map: &map,
        indirect: entry,
        facts: if kind == FragmentKind::Trace { 1 << (i % 3) } else { 0 },
        places: None,
        front,
    })
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

struct World {
    cache: Mutex<Cache>,
    epochs: [AtomicU64; 3],
    stop: AtomicBool,
    runs: AtomicU64,
}

/// Few heads are counted at once, so that they change all the time.
const WINDOW: usize = 40;

fn cache(limit: usize, threshold: u32) -> Cache {
    let policy = Policy { threshold, window: WINDOW, ..Policy::default() };
    let config = CacheConfig { limit, policy, ..CacheConfig::default() };
    Cache::new(config, Box::new(Stubs), address(fragcache_test_miss)).unwrap()
}

/// One guest thread: the dispatcher that a client of the cache has.
fn guest(world: &World, me: usize) {
    let mut random = Random(me as u64 + 99);
    let mut context = Context {
        exit: 0,
        rsp: 0,
        random: random.next(u64::MAX),
        pc: node(me as u64).0,
        steps: 0,
        pad: [0; 3],
        targets: [0; 8],
    };
    let index: std::collections::HashMap<u64, u64> = (0..NODES).map(|i| (node(i).0, i)).collect();
    let mut last = None;
    let mut missed = false;
    while !world.stop.load(Ordering::Relaxed) {
        context.steps = 1 + random.next(3000);
        let group = random.next(NODES);
        context.targets = std::array::from_fn(|k| node(group + k as u64 * 256).0);
        let target = {
            let mut cache = world.cache.lock().unwrap();
            cache.tick();
            let pc = GuestPc(context.pc);
            let exit = last.take();
            let declined = exit.map(|e| cache.exit(e)).filter(|e| e.kind == ExitKind::Decline(pc));
            let frag = match (declined.filter(|e| cache.frag(e.from).live), cache.lookup(pc)) {
                (Some(e), _) => cache.behind(e.from).unwrap_or_else(|| {
                    let i = index[&pc.0];
                    make_behind(&mut cache, pc, i, FragmentKind::Block, false, 40, Some(e.from))
                }),
                (None, Some(f)) => f,
                (None, None) => make(&mut cache, pc, index[&pc.0], FragmentKind::Block, missed),
            };
            if let Some(e) = exit {
                cache.link(e, frag);
            }
            if std::mem::take(&mut missed) {
                cache.insert_indirect(frag);
            }
            if cache.has_retired() {
                let oldest = world.epochs.iter().map(|e| e.load(Ordering::Acquire)).filter(|&e| e != 0).min();
                cache.reclaim(oldest.unwrap_or(u64::MAX));
            }
            world.epochs[me].store(cache.epoch(), Ordering::Release);
            assert!(cache.frag(frag).live);
            cache.frag(frag).entry.0
        };
        // SAFETY: code of this test's, made for this convention.
        unsafe { fragcache_test_enter(&raw mut context, target) };
        let exit = match context.exit as u32 {
            WRONG => panic!("arrived at a wrong fragment, on the way to {:#x}", context.pc),
            MISS => {
                missed = true;
                None
            }
            id => {
                let cache = world.cache.lock().unwrap();
                let e = cache.exit(ExitId(id));
                Some((ExitId(id), e.kind, e.from))
            }
        };
        world.epochs[me].store(0, Ordering::Release);
        world.runs.fetch_add(1, Ordering::Relaxed);
        match exit {
            None => {}
            Some((id, ExitKind::Direct(pc) | ExitKind::Decline(pc), _)) => {
                assert_eq!(pc.0, context.pc, "the exit that was taken is another");
                last = Some(id);
            }
            Some((_, ExitKind::Service(pc, HOT), from)) => {
                // The "trace": the same code again, in place of the block.
                let mut cache = world.cache.lock().unwrap();
                if cache.frag(from).live && cache.frag(from).pc == pc {
                    make(&mut cache, pc, index[&pc.0], FragmentKind::Trace, false);
                }
            }
            Some((_, ExitKind::Service(pc, ENOUGH), _)) => {
                assert_eq!(pc.0, context.pc);
                if random.next(20) == 0 {
                    context.pc = node(random.next(NODES)).0;
                }
            }
            Some((id, kind, _)) => panic!("{id:?} {kind:?}"),
        }
    }
}

/// One act of violence.
fn disturb(cache: &mut Cache, random: &mut Random, parks: &mut u32) {
    let frags = u64::from(cache.frags.len()).max(1);
    let frag = FragId(random.next(frags) as u32);
    let known = cache.frags.len() > 0;
    match random.next(100) {
        0..30 if known => cache.kill(frag),
        30..50 => {
            let exits = u64::from(cache.exits.len());
            if exits > 0 {
                cache.unlink(ExitId(random.next(exits) as u32));
            }
        }
        50..60 => {
            let pc = node(random.next(NODES)).0;
            cache.invalidate(pc, pc + random.next(6));
        }
        60..75 if known && !cache.free_frags.contains(&frag) => {
            // As a signal handler does, for the fragment that its thread is in.
            cache.park(frag);
            *parks += 1;
        }
        75..90 if *parks > 0 => {
            cache.unpark();
            *parks -= 1;
        }
        90..93 => {
            let units = cache.memory.units.len() as u64;
            if units > 0 {
                cache.evict(random.next(units) as u32);
            }
        }
        93 if random.next(8) == 0 => cache.flush(),
        93 => {
            let fact = 1 << random.next(3);
            cache.revoke(fact);
            cache.restore(fact);
        }
        94..97 if known => {
            cache.mark_head(frag);
        }
        97..100 if known => {
            cache.insert_indirect(frag);
        }
        _ => {}
    }
}

fn storm(limit: usize, threshold: u32, milliseconds: u64) {
    let world = Arc::new(World {
        cache: Mutex::new(cache(limit, threshold)),
        epochs: Default::default(),
        stop: AtomicBool::new(false),
        runs: AtomicU64::new(0),
    });
    let threads: Vec<_> = (0..3)
        .map(|me| {
            let world = world.clone();
            std::thread::spawn(move || guest(&world, me))
        })
        .collect();
    let mut random = Random(limit as u64 | 1);
    let mut parks = 0;
    let end = std::time::Instant::now() + std::time::Duration::from_millis(milliseconds);
    let mut n = 0u64;
    while std::time::Instant::now() < end && threads.iter().all(|t| !t.is_finished()) {
        {
            let mut cache = world.cache.lock().unwrap();
            for _ in 0..random.next(8) {
                disturb(&mut cache, &mut random, &mut parks);
            }
            if n.is_multiple_of(512) {
                cache.verify(&Stubs);
            }
        }
        n += 1;
        std::thread::sleep(std::time::Duration::from_micros(random.next(60)));
    }
    world.stop.store(true, Ordering::Relaxed);
    for t in threads {
        t.join().unwrap();
    }
    let cache = world.cache.lock().unwrap();
    cache.verify(&Stubs);
    assert!(cache.stats.links > 100 && world.runs.load(Ordering::Relaxed) > 100);
    assert!(cache.stats.evicted_units > 2, "{:?}", cache.stats);
}

#[test]
fn nothing_reaches_a_wrong_fragment_while_everything_changes() {
    storm(2 << 20, 50, 2500);
}

#[test]
fn nothing_reaches_a_wrong_fragment_with_room_for_one_unit() {
    storm(1, 0, 1500);
}

/// Acts alone, in one thread, with all invariants checked after each.
#[test]
fn every_act_keeps_the_invariants() {
    let mut cache = cache(2 << 20, 3);
    let mut random = Random(4711);
    let mut parks = 0;
    for round in 0..6000u64 {
        let i = random.next(NODES);
        let frag = match cache.lookup(node(i)) {
            Some(f) => f,
            None => {
                let indirect = random.next(2) == 0;
                make(&mut cache, node(i), i, FragmentKind::Block, indirect)
            }
        };
        match random.next(4) {
            0 => {
                cache.insert_indirect(frag);
            }
            1 => {
                let exits = u64::from(cache.exits.len());
                let exit = ExitId(random.next(exits) as u32);
                match cache.exit(exit).kind {
                    ExitKind::Direct(pc) => {
                        if let Some(to) = cache.lookup(pc) {
                            cache.link(exit, to);
                        }
                    }
                    ExitKind::Decline(_) => {
                        if let Some(to) = cache.behind(cache.exit(exit).from) {
                            cache.link(exit, to);
                        }
                    }
                    _ => {}
                }
            }
            3 => {
                let (old, i) = (cache.stats.host_bytes, random.next(NODES));
                let before = cache.begin(node(i), 4000, 4, 16).unwrap();
                let private = make(&mut cache, node(i), i, FragmentKind::Private, false);
                assert_eq!((cache.frag(private).start, cache.stats.host_bytes > old), (before, true));
                if random.next(3) == 0 {
                    make(&mut cache, node(i + 1), (i + 1) % NODES, FragmentKind::Trace, true);
                }
                cache.discard(private);
                assert!(!cache.frag(private).live);
            }
            2 if random.next(4) == 0 => {
                make(&mut cache, node(i), i, FragmentKind::Trace, false);
            }
            _ => {}
        }
        if random.next(5) == 0 {
            disturb(&mut cache, &mut random, &mut parks);
        }
        if random.next(4) == 0 {
            cache.reclaim(u64::MAX);
        }
        if round % 16 == 0 {
            cache.verify(&Stubs);
        }
    }
    assert!(cache.stats.evicted_units > 10 && cache.stats.unlinks > 100, "{:?}", cache.stats);
}

#[test]
fn an_exit_that_was_recycled_is_not_linked() {
    let mut cache = cache(64 << 20, 0);
    let a = make(&mut cache, node(1), 1, FragmentKind::Block, false);
    let exit = cache.frags[a.0].exits().nth(1).unwrap();
    let ExitKind::Direct(to) = cache.exit(exit).kind else { panic!("the second exit is direct") };
    cache.flush();
    cache.reclaim(u64::MAX);
    // The same numbers, now of another fragment.
    let b = make(&mut cache, to, 2, FragmentKind::Block, false);
    assert_eq!((a, cache.frag(b).live), (b, true));
    assert!(!cache.link(exit, b) || cache.exit(exit).kind == ExitKind::Direct(to));
    cache.verify(&Stubs);
}

#[test]
fn parked_exits_stay_so_until_the_last_thread_is_out() {
    let mut cache = cache(64 << 20, 0);
    let a = make(&mut cache, node(1), 1, FragmentKind::Block, false);
    let exit = cache.frags[a.0].exits().nth(1).unwrap();
    let ExitKind::Direct(to) = cache.exit(exit).kind else { panic!("the second exit is direct") };
    let b = make(&mut cache, to, 2, FragmentKind::Block, false);
    assert!(cache.link(exit, b));
    cache.park(a);
    cache.park(b);
    assert!(!cache.exit(exit).linked && !cache.link(exit, b));
    cache.unpark();
    assert!(!cache.link(exit, b), "another thread is still on its way out");
    cache.unpark();
    assert!(cache.link(exit, b));
    cache.verify(&Stubs);
}

#[test]
fn a_loop_is_open_while_parked_and_when_dead() {
    let mut cache = cache(64 << 20, 0);
    let block = make(&mut cache, node(1), 1, FragmentKind::Block, false);
    let trace = make(&mut cache, node(1), 1, FragmentKind::Trace, false);
    assert_eq!((cache.behind(trace), cache.frag(block).live), (Some(block), true));
    let back = cache.frag(trace).exits().find(|&e| matches!(cache.exit(e).kind, ExitKind::Loop { .. }));
    let back = cache.exit(back.unwrap());
    let ExitKind::Loop { head, out } = back.kind else { panic!("found as a loop") };
    let start = cache.frag(trace).start.0;
    // SAFETY: a field of code that lives as long as the cache.
    let field = || unsafe { (back.field.0 as *const i32).read_unaligned() };
    let leads_to = || (back.field.0 + 4).wrapping_add_signed(field() as isize) - start;
    assert_eq!(leads_to(), head as usize);
    cache.park(trace);
    assert_eq!(leads_to(), out as usize);
    cache.unpark();
    assert_eq!(leads_to(), head as usize);
    assert_eq!(cache.revoke(!0), 1);
    assert_eq!(leads_to(), out as usize);
    assert!(!cache.frag(trace).live && !cache.frag(block).live && !cache.holds(2));
    cache.verify(&Stubs);
}

#[test]
fn what_dies_behind_a_fragment_can_be_made_again() {
    let mut cache = cache(64 << 20, 0);
    let block = make(&mut cache, node(1), 1, FragmentKind::Block, false);
    cache.insert_indirect(block);
    let trace = make(&mut cache, node(1), 1, FragmentKind::Trace, false);
    let declines = cache.frag(trace).exits().find(|&e| cache.exit(e).kind == ExitKind::Decline(node(1)));
    let declines = declines.unwrap();
    assert!(cache.exit(declines).linked && !cache.insert_indirect(block));
    cache.verify(&Stubs);
    cache.kill(block);
    assert!(cache.behind(trace).is_none() && !cache.exit(declines).linked && cache.frag(trace).live);
    let again = make_behind(&mut cache, node(1), 1, FragmentKind::Block, false, 40, Some(trace));
    assert!(cache.link(declines, again) && cache.lookup(node(1)) == Some(trace));
    cache.verify(&Stubs);
    // Another trace takes the place of the first, which stays behind it.
    let other = make(&mut cache, node(1), 1, FragmentKind::Trace, false);
    assert_eq!((cache.behind(other), cache.behind(trace)), (Some(trace), Some(again)));
    cache.verify(&Stubs);
    cache.kill(other);
    assert!(!cache.frag(trace).live && !cache.frag(again).live);
    cache.verify(&Stubs);
}

#[test]
fn the_oldest_code_goes_one_by_one() {
    let mut cache = cache(2 << 20, 0);
    let mut largest = 0;
    for i in 0..NODES {
        let before = cache.stats.evicted;
        make(&mut cache, node(i), i, FragmentKind::Block, false);
        largest = largest.max(cache.stats.evicted - before);
        cache.reclaim(u64::MAX);
    }
    let stats = cache.stats;
    assert!(stats.evicted > NODES / 4, "{stats:?}");
    assert!(largest < 100, "{largest} at once");
    // The youngest are there.
    assert!((NODES - 100..NODES).all(|i| cache.lookup(node(i)).is_some()));
    cache.verify(&Stubs);
}

#[test]
fn memory_waits_for_threads_inside() {
    let mut cache = cache(64 << 20, 0);
    make(&mut cache, node(1), 1, FragmentKind::Block, false);
    let inside = cache.epoch();
    cache.flush();
    let later = cache.epoch();
    cache.reclaim(inside);
    assert!(cache.has_retired(), "a thread that entered before is still inside");
    cache.reclaim(later);
    assert!(!cache.has_retired());
}

#[test]
fn chains_cross_regions() {
    let mut cache = cache(64 << 20, 0);
    // One hash, two groups, so three entries in two regions.
    let ids = [3, 256 + 2, 512 + 1].map(|i| {
        let id = make(&mut cache, node(i), i, FragmentKind::Block, i != 3);
        assert!(cache.insert_indirect(id));
        id
    });
    let regions = ids.map(|id| cache.memory.region_of(cache.frag(id).start.0));
    assert!(regions.iter().any(|r| *r != regions[0]), "{regions:?}");
    assert_eq!(cache.table.head(node(3)), Some(ids[2]));
    cache.verify(&Stubs);
    cache.kill(ids[1]);
    cache.verify(&Stubs);
    cache.kill(ids[2]);
    assert_eq!(cache.table.head(node(3)), Some(ids[0]));
    cache.kill(ids[0]);
    assert_eq!(cache.table.slot(node(3)), address(fragcache_test_miss));
}

#[test]
fn a_discarded_fragment_leaves_nothing() {
    let mut cache = cache(64 << 20, 0);
    make(&mut cache, node(1), 1, FragmentKind::Block, false);
    let unit = |c: &Cache| (c.memory.units[0].hot.next_multiple_of(16), c.memory.units[0].cold);
    let before = (unit(&cache), cache.begin(node(2), 100, 4, 16).unwrap());
    for _ in 0..3 {
        let private = make(&mut cache, node(2), 2, FragmentKind::Private, false);
        cache.discard(private);
        assert_eq!((unit(&cache), cache.begin(node(2), 100, 4, 16).unwrap()), before);
    }
    assert_eq!((cache.frags.len(), cache.exits.len()), (2, 8));
    cache.verify(&Stubs);
}

#[test]
fn the_number_of_a_private_fragment_that_was_evicted_is_not_used_again() {
    let mut cache = cache(64 << 20, 0);
    let private = make(&mut cache, node(1), 1, FragmentKind::Private, false);
    cache.flush();
    cache.reclaim(u64::MAX);
    let other = make(&mut cache, node(1), 1, FragmentKind::Private, false);
    cache.discard(private);
    assert!(private != other && cache.frag(other).live);
    cache.verify(&Stubs);
}

#[test]
fn host_addresses_name_guest_instructions() {
    let mut cache = cache(64 << 20, 0);
    let a = make(&mut cache, node(1), 1, FragmentKind::Block, true);
    let f = cache.frag(a);
    assert_eq!(cache.frag_at(f.entry), Some(a));
    assert_eq!(f.guest_pc_at(f.entry), Some((node(1), f.entry)));
    assert_eq!(f.guest_pc_at(f.start), None);
    assert_eq!(cache.frag_at(HostPc(f.start.0 + f.len as usize)), None);
}

#[test]
fn heads_beyond_the_window_are_entered_directly_until_their_turn() {
    let mut cache = cache(64 << 20, 5);
    let ids: Vec<_> = (0..WINDOW as u64 + 2)
        .map(|i| make(&mut cache, node(i), i, FragmentKind::Block, i % 2 == 0))
        .collect();
    let direct = |cache: &Cache, id: FragId| cache.counting_entry(id) == cache.frag(id).entry;
    for &id in &ids {
        cache.insert_indirect(id);
        assert!(direct(&cache, id));
        cache.mark_head(id);
        assert!(!direct(&cache, id));
    }
    assert!(direct(&cache, ids[0]) && direct(&cache, ids[1]) && !direct(&cache, ids[2]));
    cache.verify(&Stubs);
    for _ in 0..64 {
        cache.tick();
    }
    assert!(!direct(&cache, ids[0]) && !direct(&cache, ids[1]));
    assert_eq!(ids.iter().filter(|&&id| direct(&cache, id)).count(), 2);
    cache.verify(&Stubs);
}
