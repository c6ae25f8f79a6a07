//! An emulated CPU (`qemu-aarch64`) as the oracle of what this crate says about AArch64 instructions.
//!
//! Random instructions of every class run on random states in one emulated process (`runner.c`, built here with the
//! cross-compiler), and lifted in the reference interpreter; registers, flags, memory and where control goes are compared bit for
//! bit. Twice: with calls of the reference for floating point and vectors, under random control words and with the status
//! bits; and as generated code has it, under the default one, where an instruction may be left to be stepped.
//!
//! Without cross-compiler or emulator the tests pass with a message, except under `E2E_REQUIRE_ALL=1`. `A64_RECORDS` sets the
//! number of records per class, `A64_SEED` the seed.

use decode::aarch64::inst::Mode;
use decode::aarch64::{self, AArch64, Form, nzcv, packed, simd, slots};
use decode::{Fp, Guest, GuestPc};
use ir::interp::{CallError, Fault, Interp, Machine, Outcome, State};
use ir::snapshot::ExitKind;
use ir::trace::Helper;
use ir::types::{ClassId, HelperId, Pc, Wide, ZERO};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

mod classes;

const CODE: u64 = 0x2000_0000;
const DATA: u64 = 0x3000_0000;
const WINDOW: usize = 1024;
const RECORD: usize = 288 + 512 + WINDOW;

/// One run: a state and an instruction, or what came of it. `runner.c` has the layout.
#[derive(Clone)]
struct Record(Vec<u8>);

impl Record {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }
    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }
    fn set(&mut self, at: usize, value: &[u8]) {
        self.0[at..at + value.len()].copy_from_slice(value);
    }
    /// A general register; 31 is the stack pointer.
    fn x(&self, n: u8) -> u64 {
        self.long(8 * usize::from(n))
    }
    fn set_x(&mut self, n: u8, value: u64) {
        self.set(8 * usize::from(n), &value.to_le_bytes());
    }
    fn instruction(&self) -> u32 {
        self.word(256)
    }
    fn v(&self, n: u8) -> u128 {
        let at = 288 + 16 * usize::from(n);
        u128::from_le_bytes(self.0[at..at + 16].try_into().unwrap())
    }
    fn memory(&self) -> &[u8] {
        &self.0[800..]
    }
}

struct Rng(u64);

const SPECIAL_32: [u32; 13] = [
    0,
    0x8000_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0001,
    0x7f80_0001,
    0xffc1_2345,
    1,
    0x007f_ffff,
    0x7f7f_ffff,
    0x3f80_0000,
    0x4f00_0000,
    0xcf00_0000,
];

const SPECIAL_64: [u64; 14] = [
    0,
    1 << 63,
    0x7ff0 << 48,
    0xfff0 << 48,
    0x7ff8_0000_0000_0001,
    0x7ff0_0000_0000_0001,
    0xfff8_0000_0000_1234,
    1,
    0x000f_ffff_ffff_ffff,
    0x7fef_ffff_ffff_ffff,
    0x3ff0 << 48,
    0x43e0 << 48,
    0xc3e0 << 48,
    0x41e0 << 48,
];

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    /// A number as programs have them, or anything.
    fn number(&mut self) -> u64 {
        let x = self.next();
        match x % 11 {
            0 => 0,
            1 => u64::MAX,
            2 => x >> 58,
            3 => 1 << (x >> 58),
            4 => i64::MIN as u64,
            5 => (1u64 << (x >> 58)).wrapping_sub(1),
            6 => 0x8000_0000,
            7 => DATA + 256 + (x >> 55),
            _ => self.next(),
        }
    }
    /// 64 bits of lanes: floats of both sizes, integers, anything.
    fn lanes(&mut self) -> u64 {
        let x = self.next();
        let single = |k: u64| u64::from(SPECIAL_32[k as usize % SPECIAL_32.len()]);
        match x % 9 {
            0 => SPECIAL_64[(x >> 32) as usize % SPECIAL_64.len()],
            1 => single(x >> 32) | single(x >> 40) << 32,
            2 => ((x as i64 >> (x >> 8 & 63)) as f64).to_bits(),
            3 => {
                let a = (x as i32 >> (x >> 40 & 31)) as f32 / 8.0;
                u64::from(a.to_bits()) | u64::from((a * 3.7).to_bits()) << 32
            }
            4 => 0x8080_7f7f_ff00_0180 ^ (x & 0x0101_0101_0101_0101),
            5 => (x >> 8) & 0x3f3f_3f3f_3f3f_3f3f,
            _ => self.next(),
        }
    }
}

fn random_record(rng: &mut Rng, word: u32) -> Record {
    let mut r = Record(vec![0; RECORD]);
    for n in 0..32 {
        let value = rng.number();
        r.set_x(n, if n == 31 { DATA + 256 + (value & 0x1f0) } else { value });
    }
    r.set(256, &word.to_le_bytes());
    r.set(260, &((rng.next() as u32) << 28).to_le_bytes());
    // Rounding mode, flush to zero, default NaN.
    let fpcr = if rng.below(3) == 0 { rng.next() as u32 & 0x03c0_0000 } else { 0 };
    r.set(264, &fpcr.to_le_bytes());
    for k in 0..64 {
        let lanes = rng.lanes();
        r.set(288 + 8 * k, &lanes.to_le_bytes());
    }
    for k in 0..WINDOW / 8 {
        let value = rng.next();
        r.set(800 + 8 * k, &value.to_le_bytes());
    }
    prepare(rng, &mut r, word);
    r
}

/// Makes addresses that the instruction uses lie in the window, and branches go to where they are expected.
fn prepare(rng: &mut Rng, r: &mut Record, word: u32) {
    let Some(form) = aarch64::inst::decode(word, CODE) else { return };
    let inside = DATA + 256 + rng.below(32) * 16;
    match form {
        Form::Load { rn, mode, .. }
        | Form::Store { rn, mode, .. }
        | Form::LoadPair { rn, mode, .. }
        | Form::StorePair { rn, mode, .. } => {
            match mode {
                Mode::Offset(offset) | Mode::Pre(offset) => r.set_x(rn, inside.wrapping_sub(offset as u64)),
                _ => r.set_x(rn, inside),
            }
            if let Mode::Register(rm, e) = mode
                && rm != 31
                && rm != rn
            {
                let index = (rng.below(64) as i64 - 32) >> e.shift;
                r.set_x(rm, if e.signed || e.bits == 64 { index } else { index & 31 } as u64);
            }
        }
        Form::CompareSwap { rn, rs, size, .. } => {
            r.set_x(rn, inside);
            if rs != rn && rng.below(2) == 0 {
                let value = r.long(800 + (inside - DATA) as usize) & u64::MAX >> (64 - (8u32 << size));
                r.set_x(rs, value);
            }
        }
        Form::LoadAcquire { rn, .. }
        | Form::StoreRelease { rn, .. }
        | Form::LoadExclusive { rn, .. }
        | Form::StoreExclusive { rn, .. }
        | Form::Structures { rn, .. }
        | Form::Structure { rn, .. }
        | Form::Replicate { rn, .. }
        | Form::CompareSwapPair { rn, .. }
        | Form::Atomic { rn, .. }
        | Form::DcZva { rt: rn } => r.set_x(rn, inside),
        Form::BranchReg { rn, .. } => r.set_x(rn, CODE + 8),
        _ => {}
    }
}

/// The emulated process's answers.
fn emulate(records: &[Record]) -> Option<Vec<Record>> {
    let required = std::env::var_os("E2E_REQUIRE_ALL").is_some_and(|v| v == "1");
    let runner = runner(required)?;
    let mut child = Command::new("qemu-aarch64")
        .args(["-cpu", "max,pauth=off"])
        .arg(&runner)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| assert!(!required, "qemu-aarch64: {e}"))
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let input: Vec<u8> = records.iter().flat_map(|r| r.0.iter().copied()).collect();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success(), "{:?}", out.status);
    assert_eq!(out.stdout.len(), records.len() * RECORD);
    Some(out.stdout.chunks(RECORD).map(|c| Record(c.to_vec())).collect())
}

/// The runner, built once per process.
fn runner(required: bool) -> Option<PathBuf> {
    static BUILT: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("a64-runner-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/a64/runner.c");
        let made = Command::new("aarch64-linux-gnu-gcc")
            .args(["-O1", "-static", "-o"])
            .arg(&path)
            .arg(source)
            .status();
        made.is_ok_and(|s| s.success()).then_some(path)
    });
    if built.is_none() {
        assert!(!required, "aarch64-linux-gnu-gcc is required");
        eprintln!("skipped: no cross-compiler for AArch64");
    }
    built.clone()
}

/// Memory and helpers of the interpreted side.
struct World(Vec<u8>);

/// Bytes in front of the window that are mapped too.
const FRONT: usize = 0x10000;

impl Machine for World {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _: ClassId) -> Result<(), Fault> {
        let at = addr.wrapping_sub(DATA - FRONT as u64) as usize;
        let source =
            self.0.get(at..at.wrapping_add(bytes.len())).ok_or(Fault::Memory { addr, write: false })?;
        bytes.copy_from_slice(source);
        Ok(())
    }
    fn store(&mut self, addr: u64, bytes: &[u8], _: ClassId) -> Result<(), Fault> {
        let at = addr.wrapping_sub(DATA - FRONT as u64) as usize;
        let to =
            self.0.get_mut(at..at.wrapping_add(bytes.len())).ok_or(Fault::Memory { addr, write: true })?;
        to.copy_from_slice(bytes);
        Ok(())
    }
    fn call(&mut self, id: HelperId, _: &Helper, args: &[Wide]) -> Result<Wide, CallError> {
        aarch64::call(id, args).ok_or(CallError::Fault(Fault::Unsupported))
    }
}

/// What the interpreter makes of the record; `None` when the instruction is left to be stepped.
fn interpret(before: &Record, fp: Fp) -> Option<Record> {
    let word = before.instruction();
    let guest = AArch64;
    let trace = match guest.lift_one(&word.to_le_bytes(), GuestPc(CODE), fp) {
        Ok(trace) => trace,
        Err(_) => return Some(signalled(before, libc::SIGILL)),
    };
    if let Err(errors) = ir::verify::verify(&trace) {
        panic!("{word:#010x}: {errors:?}\n{trace}");
    }
    let mut state = State::new(guest.decls());
    for n in 0..32 {
        state.set(slots::x(n), before.x(n));
        let (v, mut wide) = (before.v(n), ZERO);
        (wide[0], wide[1]) = (v as u64, (v >> 64) as u64);
        state.set_wide(slots::v(n), &wide);
    }
    state.set(slots::FLAGS, packed(before.word(260) >> 28));
    state.set(slots::FPCR, before.word(264).into());
    state.set(slots::FPSR, before.word(268).into());
    state.set(slots::EX_ADDR, u64::MAX);
    let mut world = World(vec![0; 2 * FRONT]);
    world.0[FRONT..FRONT + WINDOW].copy_from_slice(before.memory());
    let outcome = Interp::new().run(&trace, &mut state, &mut world, 0);
    let mut after = before.clone();
    after.set(800, &world.0[FRONT..FRONT + WINDOW]);
    let resume = match outcome {
        Outcome::Exit { kind: ExitKind::Step, .. } => return None,
        Outcome::Exit { kind: ExitKind::Jump | ExitKind::Call | ExitKind::Return, resume, .. } => resume,
        Outcome::Fault { fault: Fault::Memory { .. }, .. } => return Some(signalled(before, libc::SIGSEGV)),
        other => panic!("{word:#010x}: {other:?}\n{trace}"),
    };
    let taken = match resume {
        Pc::Addr(a) if a == CODE + 4 => 0u32,
        Pc::Addr(a) if a == CODE + 8 => 1,
        other => panic!("{word:#010x}: goes to {other:?}"),
    };
    for n in 0..32 {
        after.set_x(n, state.get(slots::x(n)));
        let wide = state.get_wide(slots::v(n));
        let at = 288 + 16 * usize::from(n);
        after.set(at, &wide[0].to_le_bytes());
        after.set(at + 8, &wide[1].to_le_bytes());
    }
    after.set(260, &(nzcv(state.get(slots::FLAGS)) << 28).to_le_bytes());
    after.set(264, &(state.get(slots::FPCR) as u32).to_le_bytes());
    after.set(268, &(state.get(slots::FPSR) as u32).to_le_bytes());
    after.set(280, &taken.to_le_bytes());
    Some(after)
}

/// A record that ended by a signal: nothing else of it counts.
fn signalled(before: &Record, signal: i32) -> Record {
    let mut r = before.clone();
    r.set(284, &signal.to_le_bytes());
    r
}

/// The differences, in words; `status`: FPSR counts.
fn differences(ours: &Record, theirs: &Record, status: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: String, a: u128, b: u128| {
        if a != b {
            all.push(format!("{what}: {a:#x}, emulated {b:#x}"));
        }
    };
    differ("signal".into(), ours.word(284).into(), theirs.word(284).into());
    if theirs.word(284) != 0 {
        return all;
    }
    for n in 0..32 {
        differ(format!("x{n}"), ours.x(n).into(), theirs.x(n).into());
        differ(format!("v{n}"), ours.v(n), theirs.v(n));
    }
    differ("nzcv".into(), ours.word(260).into(), theirs.word(260).into());
    if status {
        differ("fpsr".into(), ours.word(268).into(), theirs.word(268).into());
    }
    differ("taken".into(), ours.word(280).into(), theirs.word(280).into());
    if ours.memory() != theirs.memory() {
        all.push("memory".into());
    }
    all
}

/// Compares one class of instructions; the report of what differs.
fn compare(class: &classes::Class, count: usize, seed: u64) -> Option<String> {
    let mut rng = Rng(seed ^ u64::from(class.pattern));
    let mut words = Vec::new();
    for _ in 0..count * 1000 {
        let word = class.word(&mut rng);
        if class.accepts(word) {
            words.push(word);
        }
        if words.len() == count {
            break;
        }
    }
    assert!(!words.is_empty(), "nothing of class {}", class.name);
    let before: Vec<Record> = words.iter().map(|w| random_record(&mut rng, *w)).collect();
    let emulated = emulate(&before)?;
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut stepped, mut fast) = (0, 0);
    for (before, theirs) in before.iter().zip(&emulated) {
        for fp in [Fp::Native, Fp::AssumeDefault] {
            if fp == Fp::AssumeDefault && before.word(264) != 0 {
                continue;
            }
            let Some(ours) = interpret(before, fp) else {
                stepped += 1;
                assert_eq!(fp, Fp::AssumeDefault, "{:#010x} must not leave", before.instruction());
                continue;
            };
            fast += usize::from(fp == Fp::AssumeDefault);
            let found = differences(&ours, theirs, fp == Fp::Native);
            if found.is_empty() {
                continue;
            }
            let word = before.instruction();
            let (name, sources) = match aarch64::inst::decode(word, CODE) {
                Some(Form::Simd(s)) => (
                    format!("{:?} size {} q {} scalar {} {fp:?}", s.op, s.size, s.q, s.scalar),
                    format!(
                        "\n      n {:#x} m {:#x} d {:#x} fpcr {:#x} {s:?}",
                        before.v(s.rn),
                        before.v(s.rm),
                        before.v(s.rd),
                        before.word(264)
                    ),
                ),
                Some(form) => (
                    format!("{form:?}").split([' ', '{']).next().unwrap_or("").to_owned(),
                    format!("\n      {form:?}"),
                ),
                None => ("unallocated".into(), String::new()),
            };
            wrong.entry(name).or_insert((0, format!("{word:#010x} {found:?}{sources}"))).0 += 1;
        }
    }
    eprintln!("{}: {} records, {fast} fast, {stepped} stepped", class.name, before.len());
    if wrong.is_empty() {
        return None;
    }
    let lines: Vec<String> =
        wrong.iter().map(|(k, (n, e))| format!("  {k}: {n} times, e.g. {e}\n")).collect();
    Some(format!("{}:\n{}", class.name, lines.concat()))
}

#[test]
fn instructions_do_what_the_emulated_cpu_does() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (count, seed) = (number("A64_RECORDS", 300), number("A64_SEED", 1));
    let only = std::env::var("A64_CLASS").unwrap_or_default();
    let classes = classes::CLASSES.iter().filter(|c| c.name.contains(&only));
    let reports: Vec<String> = classes.filter_map(|c| compare(c, count as usize, seed)).collect();
    assert!(reports.is_empty(), "\n{}", reports.concat());
}

#[test]
fn vectors_decode_to_something_that_has_a_meaning() {
    // The reference must not panic on any allocated word.
    let mut rng = Rng(7);
    for _ in 0..20_000 {
        let word = rng.next() as u32 & !0x0e00_0000 | 0x0e00_0000;
        let Some(s) = simd::decode(word) else { continue };
        let mut wide = || {
            let (low, high) = (rng.lanes(), rng.lanes());
            u128::from(low) | u128::from(high) << 64
        };
        let (n, m, d) = (wide(), wide(), wide());
        let mut fp = aarch64::softfp::Fp::new(rng.next() as u32 & 0x03c0_0000);
        aarch64::soft::execute(&s, n, m, d, &mut fp);
    }
}
