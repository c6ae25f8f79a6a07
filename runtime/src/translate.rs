//! Guest code to fragments by copying: blocks (tier 1) and straight traces (tier 2).
//!
//! Guest registers live in the same host registers, so an instruction is copied as it is unless it
//! depends on where it stands (`rip`-relative operands), leaves the straight line, or uses `gs`.
//! Rewritten sequences follow one rule, on which exact state at faults rests (`signal.rs` undoes
//! spills by reading the host code of the faulting instruction): before the guest instruction's
//! own memory access only `mov gs:[slot], reg` and loads into such spilled registers are executed.
//!
//! A block is a line of guest code in address order: conditional branches leave it by exits and
//! execution falls through, until an unconditional transfer, a system call, a limit, or an address
//! that has a fragment already. Return addresses on the guest's stack are the guest's own.
//!
//! Here: what is made, and from which instructions. [`branch`] emits what leaves the line, [`copy`] all other instructions.

mod branch;
mod copy;

use crate::fpenv;
use crate::stubs::{self, DeadAtEntry};
use fragcache::{Cache, CacheError, FragId, FragmentKind, GuestPc, NewExit, NewFragment};
use iced_x86::{
    Code, ConditionCode, ConstantOffsets, Decoder, DecoderError, DecoderOptions, Encoder, FlowControl,
    Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register,
};

/// What the dispatcher must do at a service exit.
pub mod service {
    /// A `syscall` instruction; the exit's address is the one after it.
    pub const SYSCALL: u32 = 1;
    /// An `int 0x80` instruction; likewise.
    pub const INT80: u32 = 2;
    /// A far transfer or segment load at the exit's address, to be executed by the runtime.
    pub const EMULATE: u32 = 3;
    /// The source bytes of a checking fragment changed.
    pub const CHANGED: u32 = 4;
    /// The instruction at the exit's address loads the floating point control word.
    pub const LOADS_FP: u32 = 5;
    /// The instruction before the exit's address has loaded another control word than the default.
    pub const CHANGED_FP: u32 = 6;
    /// The instruction at the exit's address is to be interpreted (guests for other machines).
    pub const STEP: u32 = 7;
}

/// Longest block in instructions.
const MAX_BLOCK: usize = 64;
/// Most conditional exits of a block.
const MAX_BRANCHES: usize = 8;
/// Bytes to ask of the cache for one guest instruction, on the safe side of the worst sequence.
const ROOM_PER_INSTRUCTION: usize = 112;

/// Why code could not be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// No executable memory at the address.
    #[error("no executable memory at {0}")]
    NotExecutable(GuestPc),
    /// The memory at the address cannot be read: the file behind it is too short.
    #[error("code at {0} cannot be read")]
    Unreadable(GuestPc),
    /// The cache has no room.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// How a block is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockMode {
    /// It is reached by an indirect branch: give it an entry for those.
    pub indirect: bool,
    /// For one run only, one basic block.
    pub private: bool,
    /// Only the first instruction.
    pub single: bool,
    /// Only the first instruction, as a block that stays.
    pub kept: bool,
    /// It must compare its source bytes at entry.
    pub checked: bool,
    /// It is for the exits of this fragment that decline.
    pub front: Option<FragId>,
    /// At most so many bytes of code.
    pub limit: Option<usize>,
}

/// One basic block of a recorded path.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it begins.
    pub pc: GuestPc,
    /// Where the path went on.
    pub next: GuestPc,
    /// Its instructions.
    pub instructions: usize,
}

/// How a basic block ends, as far as a recorder cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEnd {
    /// The path can go on behind it.
    Plain,
    /// A call.
    Call,
    /// A return.
    Return,
    /// A jump that selects among many targets.
    Select,
    /// Nothing can follow; the runtime must act.
    Stop,
}

/// A basic block in short.
#[derive(Clone, Copy, Debug)]
pub struct BlockShape {
    /// Guest instructions.
    pub instructions: usize,
    /// Its end.
    pub end: BlockEnd,
    /// Where the conditional branch at its end goes, if it ends in one.
    pub branch: Option<GuestPc>,
}

/// Places in code that depend on where it stands: the offset in the low 13 bits, above it one of these.
pub mod site {
    /// The 4-byte distance from the end of an instruction to something of the guest's.
    pub const RELATIVE: u16 = 0;
    /// The 8-byte guest address of something in the same file.
    pub const ADDRESS: u16 = 1;
    /// Likewise, negated.
    pub const NEGATED: u16 = 2;
    /// The 8-byte address behind a call.
    pub const RETURN: u16 = 3;
    /// Likewise in 4 bytes.
    pub const RETURN_SHORT: u16 = 4;
}

/// Operands farther from their instruction keep a block from being moved.
const NEAR: u64 = 256 << 20;

/// The block that was made last, for whoever keeps it.
#[derive(Debug)]
pub struct Saved<'a> {
    /// The code, with nothing linked.
    pub code: &'a [u8],
    /// Its host address.
    pub at: usize,
    /// Its exits.
    pub exits: &'a [NewExit],
    /// See [`NewFragment::map`].
    pub map: &'a [(u8, u8)],
    /// See [`site`].
    pub places: &'a [u16],
    /// Offset of the entry.
    pub entry: u32,
    /// See [`NewFragment::indirect`].
    pub indirect: Option<(u32, u32)>,
    /// Guest bytes.
    pub guest_len: usize,
    /// All places are known.
    pub movable: bool,
    /// It holds for this guest address only.
    pub fixed: bool,
}

struct Decoded {
    instruction: Instruction,
    offsets: ConstantOffsets,
}

/// The translator; it keeps its buffers between blocks.
pub struct Translator {
    code: Vec<u8>,
    cold: Vec<Cold>,
    /// Offsets of rip-relative displacements and the 8-byte constants they refer to.
    constants: Vec<(usize, u64)>,
    exits: Vec<NewExit>,
    map: Vec<(u8, u8)>,
    line: Vec<Decoded>,
    info: InstructionInfoFactory,
    /// Made at its first use: few programs need it, and its tables take a while.
    encoder: Option<Encoder>,
    bmi2: bool,
    /// Loads of the floating point control word are noticed (see `fpenv`).
    pub watch_fp: bool,
    /// The block is one instruction that was looked at already.
    alone: bool,
    at: usize,
    /// See [`site`].
    places: Vec<u16>,
    movable: bool,
    fixed: bool,
    guest_len: usize,
    entry: (u32, Option<(u32, u32)>),
    /// Conditional branches inside a block at most.
    pub branches: usize,
    /// Exact registers and flags at every fault, because a handler could look.
    pub exact: bool,
    /// Instructions with results of their own each time begin blocks, for the verifier.
    pub verifying: bool,
    /// Guest addresses and lengths of all blocks ever made, when somebody wants to know (`--drcov`).
    pub executed: Option<rustc_hash::FxHashSet<(GuestPc, u32)>>,
    /// Guest addresses that follow a call: not worth counting as trace heads.
    pub return_sites: rustc_hash::FxHashSet<u64>,
}

impl std::fmt::Debug for Translator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translator").field("exact", &self.exact).finish_non_exhaustive()
    }
}

/// Code to be placed after the line: the tail of an indirect branch whose prediction failed.
struct Cold {
    /// Offset of the rel32 that leads here.
    from: usize,
    source: GuestPc,
}

impl Default for Translator {
    fn default() -> Self {
        Translator {
            branches: MAX_BRANCHES,
            code: Vec::with_capacity(8192),
            cold: Vec::new(),
            constants: Vec::new(),
            exits: Vec::new(),
            map: Vec::new(),
            line: Vec::new(),
            info: InstructionInfoFactory::new(),
            encoder: None,
            bmi2: std::is_x86_feature_detected!("bmi2"),
            watch_fp: false,
            alone: false,
            at: 0,
            places: Vec::new(),
            movable: false,
            fixed: false,
            guest_len: 0,
            entry: (0, None),
            exact: false,
            verifying: false,
            executed: None,
            return_sites: rustc_hash::FxHashSet::with_capacity_and_hasher(1 << 10, Default::default()),
        }
    }
}

/// True when a block ends with this instruction whatever it does.
fn ends_line(i: &Instruction) -> bool {
    match i.flow_control() {
        FlowControl::Next | FlowControl::ConditionalBranch => false,
        FlowControl::XbeginXabortXend => false,
        FlowControl::Call if i.code() == Code::Vmcall || i.code() == Code::Vmmcall => false,
        _ => true,
    }
}

/// The service that an instruction needs, if any.
fn needs_runtime(i: &Instruction) -> Option<u32> {
    match i.code() {
        Code::Syscall => Some(service::SYSCALL),
        Code::Int_imm8 if i.immediate8() == 0x80 => Some(service::INT80),
        Code::Retfd
        | Code::Retfq
        | Code::Retfw
        | Code::Retfd_imm16
        | Code::Retfq_imm16
        | Code::Retfw_imm16
        | Code::Iretd
        | Code::Iretq
        | Code::Iretw => Some(service::EMULATE),
        Code::Jmp_m1616
        | Code::Jmp_m1632
        | Code::Jmp_m1664
        | Code::Call_m1616
        | Code::Call_m1632
        | Code::Call_m1664 => Some(service::EMULATE),
        Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 | Code::Mov_Sreg_rm16
            if i.op0_register() == Register::GS =>
        {
            Some(service::EMULATE)
        }
        Code::Popq_GS | Code::Popw_GS | Code::Lgs_r16_m1616 | Code::Lgs_r32_m1632 | Code::Lgs_r64_m1664 => {
            Some(service::EMULATE)
        }
        _ => None,
    }
}

/// True for branches on flags, which have a form with 4 bytes of displacement.
fn is_conditional(i: &Instruction) -> bool {
    i.flow_control() == FlowControl::ConditionalBranch
        && i.condition_code() != ConditionCode::None
        && !i.is_loopcc()
}

fn register_number(r: Register) -> usize {
    r.full_register().number()
}

impl Translator {
    /// The service that an instruction needs, if any.
    fn service_for(&self, i: &Instruction) -> Option<u32> {
        let loads_fp = self.watch_fp && !self.alone && (fpenv::loads(i) || !self.bmi2 && fpenv::restores(i));
        needs_runtime(i).or(loads_fp.then_some(service::LOADS_FP))
    }

    /// Decodes guest code from `pc` into `self.line`: up to `max` instructions, to the end of the
    /// line, at most `branches` conditional branches inside.
    fn decode(
        &mut self,
        bytes: &[u8],
        pc: GuestPc,
        max: usize,
        branches: usize,
        until_write: bool,
        mut stop: impl FnMut(u64) -> bool,
    ) {
        let mut decoder = Decoder::with_ip(64, bytes, pc.0, DecoderOptions::NONE);
        let mut left = branches;
        let mut n = 0;
        while n < max {
            let mut instruction = Instruction::default();
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                if decoder.last_error() == DecoderError::NoMoreBytes && n > 0 {
                    // The rest lies on a page that is not executable: the fault is due when
                    // execution gets there.
                    break;
                }
                let offsets = ConstantOffsets::default();
                self.line.push(Decoded { instruction, offsets });
                break;
            }
            let offsets = if instruction.is_ip_rel_memory_operand() {
                decoder.get_constant_offsets(&instruction)
            } else {
                ConstantOffsets::default()
            };
            if self.verifying && n > 0 && crate::lockstep::is_unrepeatable(&instruction) {
                break;
            }
            let end = ends_line(&instruction) || self.service_for(&instruction).is_some();
            let branch = instruction.flow_control() == FlowControl::ConditionalBranch;
            let next = instruction.next_ip();
            let writes = until_write && self.writes_memory(&instruction);
            self.line.push(Decoded { instruction, offsets });
            n += 1;
            if end || writes {
                break;
            }
            if branch {
                if left == 0 {
                    break;
                }
                left -= 1;
                if stop(next) {
                    break;
                }
            }
        }
    }

    fn writes_memory(&mut self, i: &Instruction) -> bool {
        self.info
            .info(i)
            .used_memory()
            .iter()
            .any(|m| !matches!(m.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess))
    }

    fn reset(&mut self, at: usize) {
        self.code.clear();
        self.cold.clear();
        self.constants.clear();
        self.exits.clear();
        self.map.clear();
        self.at = at;
        self.places.clear();
        (self.movable, self.fixed) = (true, false);
    }

    /// Something at `offset` from the start of the code depends on where it stands.
    fn depends(&mut self, offset: usize, kind: u16) {
        match u16::try_from(offset) {
            Ok(o) if o < 1 << 13 => self.places.push(o | kind << 13),
            _ => self.movable = false,
        }
    }

    /// A displacement from `rip` at `offset` leads to `target`; both are the guest's.
    fn depends_relative(&mut self, offset: usize, ip: u64, target: u64) {
        self.movable &= ip.abs_diff(target) < NEAR;
        self.depends(offset, site::RELATIVE);
    }

    /// Which code is made at present from the same guest code: 0 to 3.
    pub fn variant(&self) -> u32 {
        u32::from(self.exact) | u32::from(self.watch_fp) << 1
    }

    /// The block that was made last.
    pub fn saved(&self) -> Saved<'_> {
        Saved {
            code: &self.code,
            at: self.at,
            exits: &self.exits,
            map: &self.map,
            places: &self.places,
            entry: self.entry.0,
            indirect: self.entry.1,
            guest_len: self.guest_len,
            movable: self.movable,
            fixed: self.fixed,
        }
    }

    /// Makes a block at `pc`. `bytes` are the executable guest bytes from there on.
    pub fn block(
        &mut self,
        cache: &mut Cache,
        bytes: &[u8],
        pc: GuestPc,
        mode: BlockMode,
    ) -> Result<FragId, TranslateError> {
        self.line.clear();
        self.alone = mode.single;
        let (max, branches) = if mode.single || mode.kept {
            (1, 0)
        } else if mode.checked {
            (24, 0)
        } else if mode.private {
            (MAX_BLOCK, 0)
        } else {
            (MAX_BLOCK, self.branches)
        };
        self.decode(bytes, pc, max, branches, mode.checked, |next| cache.lookup(GuestPc(next)).is_some());
        let room = self.line.len() * ROOM_PER_INSTRUCTION + 512;
        let at = cache.begin(pc, room, self.line.len() + 4, 4)?;
        self.reset(at.0);
        let len = self.line.iter().map(|d| d.instruction.len().max(1)).sum::<usize>();
        let mut indirect = None;
        if mode.indirect {
            let dead = self.dead_from(0);
            indirect = Some(stubs::indirect_entry(&mut self.code, self.at, pc, dead));
            // What the entry compares with; a small address stands in it in other forms.
            let holds = |at: usize, v: u64| self.code.get(at..at + 8) == Some(&v.to_le_bytes());
            if holds(2, pc.0.wrapping_neg()) && holds(18, pc.0) {
                self.depends(2, site::NEGATED);
                self.depends(18, site::ADDRESS);
            } else {
                self.fixed = true;
            }
        }
        let entry = if indirect.is_some() { self.code.len() } else { 0 };
        (self.guest_len, self.entry) = (len, (entry as u32, indirect));
        if mode.checked {
            self.check_source(&bytes[..len.min(bytes.len())], pc);
        }
        self.note_prologue();
        let line = std::mem::take(&mut self.line);
        let mut next = pc.0;
        let mut open = true;
        for (k, d) in line.iter().enumerate() {
            let before = self.code.len();
            let i = &d.instruction;
            let source = GuestPc(next);
            self.keep_together(i, line.get(k + 1));
            next += i.len().max(1) as u64;
            open = self.emit(d, &bytes[(source.0 - pc.0) as usize..], source);
            self.note(before, i.len().max(1));
        }
        if open {
            let before = self.code.len();
            self.exit_jump(GuestPc(next), GuestPc(next));
            self.note_more(before);
        }
        self.line = line;
        self.place_cold();
        self.alone = false;
        let kind = if mode.private || mode.single { FragmentKind::Private } else { FragmentKind::Block };
        Ok(cache.commit(NewFragment {
            pc,
            kind,
            at,
            entry: entry as u32,
            code: &self.code,
            exits: &self.exits,
            source: &[(pc, len as u32)],
            map: &self.map,
            indirect,
            facts: 0,
            places: None,
            front: mode.front,
        }))
    }

    /// Makes a straight trace from a recorded path. `bytes_at` gives the executable bytes at an
    /// address.
    pub fn trace<'b>(
        &mut self,
        cache: &mut Cache,
        steps: &[Step],
        bytes_at: impl Fn(GuestPc) -> Option<&'b [u8]>,
    ) -> Result<FragId, TranslateError> {
        let pc = steps[0].pc;
        self.line.clear();
        let mut bounds = Vec::with_capacity(steps.len() + 1);
        for s in steps {
            bounds.push(self.line.len());
            let bytes = bytes_at(s.pc).ok_or(TranslateError::NotExecutable(s.pc))?;
            // A step may end before its block does, where a loop begins that has a trace.
            self.decode(bytes, s.pc, s.instructions, 0, false, |_| false);
        }
        bounds.push(self.line.len());
        let room = self.line.len() * ROOM_PER_INSTRUCTION + 512;
        let at = cache.begin(pc, room, self.line.len() + 4, 64)?;
        self.reset(at.0);
        // A head that indirect branches reach keeps an entry for them in line.
        let mut indirect = None;
        if cache.lookup(pc).is_some_and(|old| cache.frag(old).indirect) {
            let dead = self.dead_from(0);
            indirect = Some(stubs::indirect_entry(&mut self.code, self.at, pc, dead));
        }
        let entry = self.code.len() as u32;
        self.note_prologue();
        let line = std::mem::take(&mut self.line);
        let mut source = Vec::with_capacity(steps.len());
        let mut open = true;
        let mut last = pc;
        let mut fall = None;
        for (k, s) in steps.iter().enumerate() {
            let bytes = bytes_at(s.pc).ok_or(TranslateError::NotExecutable(s.pc))?;
            let part = &line[bounds[k]..bounds[k + 1]];
            let len: usize = part.iter().map(|d| d.instruction.len().max(1)).sum();
            source.push((s.pc, len as u32));
            let mut next = s.pc.0;
            for (j, d) in part.iter().enumerate() {
                let before = self.code.len();
                let i = &d.instruction;
                let here = GuestPc(next);
                next += i.len().max(1) as u64;
                let is_last = j + 1 == part.len();
                self.keep_together(i, part.get(j + 1));
                let follows = if k + 1 < steps.len() { &line[bounds[k + 1]..] } else { &[] };
                let ends = is_last && k + 1 == steps.len();
                open = if ends && is_conditional(i) && s.next.0 == i.near_branch_target() {
                    // The likely way is the jump itself, not a jump behind one not taken.
                    fall = Some(GuestPc(i.next_ip()));
                    self.emit(d, &bytes[(here.0 - s.pc.0) as usize..], here)
                } else if is_last {
                    self.emit_towards(d, &bytes[(here.0 - s.pc.0) as usize..], here, s.next, follows)
                } else {
                    self.emit(d, &bytes[(here.0 - s.pc.0) as usize..], here)
                };
                self.note(before, i.len().max(1));
            }
            last = s.next;
        }
        if open {
            let before = self.code.len();
            let from = steps.last().map_or(pc, |s| s.pc);
            self.exit_jump(from, fall.unwrap_or(last));
            self.note_more(before);
        }
        self.line = line;
        self.place_cold();
        Ok(cache.commit(NewFragment {
            pc,
            kind: FragmentKind::Trace,
            at,
            entry,
            code: &self.code,
            exits: &self.exits,
            source: &source,
            map: &self.map,
            indirect,
            facts: 0,
            places: None,
            front: None,
        }))
    }

    /// What a recorder needs to know about the basic block at the start of `bytes`.
    pub fn basic_block(&mut self, bytes: &[u8], pc: GuestPc) -> BlockShape {
        self.line.clear();
        self.decode(bytes, pc, MAX_BLOCK, 0, false, |_| false);
        let instructions = self.line.len();
        let last = self.line.last().map(|d| &d.instruction);
        let branch = last.filter(|i| is_conditional(i)).map(|i| GuestPc(i.near_branch_target()));
        let end = match last {
            None => BlockEnd::Stop,
            Some(i) if i.is_invalid() || self.service_for(i).is_some() => BlockEnd::Stop,
            Some(i) => match i.flow_control() {
                FlowControl::Interrupt | FlowControl::Exception => BlockEnd::Stop,
                FlowControl::Return => BlockEnd::Return,
                FlowControl::Call | FlowControl::IndirectCall => BlockEnd::Call,
                // A jump through a fixed place in memory is a stub of a shared library; others
                // select among many targets, and to follow one is a guess.
                FlowControl::IndirectBranch if !i.is_ip_rel_memory_operand() => BlockEnd::Select,
                _ => BlockEnd::Plain,
            },
        };
        BlockShape { instructions, end, branch }
    }

    /// Bytes up to the first instruction, but the first, of which `stop` is true; all of them if there is none in the basic block.
    pub fn length_until(&self, bytes: &[u8], pc: GuestPc, stop: impl Fn(GuestPc) -> bool) -> usize {
        let mut decoder = Decoder::with_ip(64, bytes, pc.0, DecoderOptions::NONE);
        for _ in 0..MAX_BLOCK {
            let instruction = decoder.decode();
            let branch = instruction.flow_control() == FlowControl::ConditionalBranch;
            if instruction.is_invalid() || branch || ends_line(&instruction) {
                break;
            }
            if stop(GuestPc(instruction.next_ip())) {
                return decoder.position();
            }
        }
        bytes.len()
    }

    /// Bytes of the first instructions of `bytes`.
    pub fn length(&self, bytes: &[u8], pc: GuestPc, instructions: usize) -> u32 {
        let mut decoder = Decoder::with_ip(64, bytes, pc.0, DecoderOptions::NONE);
        for _ in 0..instructions {
            let _ = decoder.decode();
        }
        decoder.position() as u32
    }

    /// Puts the padding of a conditional branch that follows before the instruction in front of it:
    /// processors decode a compare and its branch as one.
    fn keep_together(&mut self, i: &Instruction, follower: Option<&Decoded>) {
        if i.flow_control() == FlowControl::Next
            && !i.is_ip_rel_memory_operand()
            && follower.is_some_and(|f| is_conditional(&f.instruction))
        {
            let n = fragcache::link::padding(self.at + self.code.len() + i.len(), 2);
            stubs::nops(&mut self.code, n);
        }
    }

    fn note_prologue(&mut self) {
        let mut n = self.code.len();
        // Host lengths are bytes; a long prologue takes several pairs.
        while n > 0 {
            let k = n.min(255);
            self.map.push((k as u8, 0));
            n -= k;
        }
    }

    fn note(&mut self, before: usize, guest: usize) {
        let host = self.code.len() - before;
        let first = host.min(255);
        self.map.push((first as u8, guest as u8));
        let mut left = host - first;
        while left > 0 {
            let k = left.min(255);
            self.map.push((k as u8, 0));
            left -= k;
        }
    }

    fn note_more(&mut self, before: usize) {
        let host = self.code.len() - before;
        self.map.push((host.min(255) as u8, 0));
    }

    /// What is certainly overwritten, before it is read or seen, by the code that starts at
    /// `self.line[from]`.
    fn dead_from(&mut self, from: usize) -> DeadAtEntry {
        let line = std::mem::take(&mut self.line);
        let dead = self.dead_in(&line[from..]);
        self.line = line;
        dead
    }

    fn dead_in(&mut self, line: &[Decoded]) -> DeadAtEntry {
        let mut dead = [false; 2];
        let mut open = [true; 2];
        for d in line.iter().take(12) {
            let i = &d.instruction;
            // Some instructions write a register only sometimes: rdssp without shadow stacks, bit
            // scans of zero.
            if i.is_invalid()
                || self.service_for(i).is_some()
                || matches!(i.mnemonic(), Mnemonic::Rdsspd | Mnemonic::Rdsspq | Mnemonic::Bsf | Mnemonic::Bsr)
            {
                break;
            }
            let info = self.info.info(i);
            if self.exact && !info.used_memory().is_empty() {
                break;
            }
            for (k, full) in [Register::RCX, Register::RDX].into_iter().enumerate() {
                if !open[k] {
                    continue;
                }
                let of_full =
                    || info.used_registers().iter().filter(|u| u.register().full_register() == full);
                let overwrites = of_full().all(|u| u.access() == OpAccess::Write && u.register().size() >= 4);
                if of_full().next().is_some() {
                    dead[k] = overwrites;
                    open[k] = false;
                }
            }
            if i.flow_control() != FlowControl::Next || !open.contains(&true) {
                break;
            }
        }
        dead
    }
}
