//! Blocks of AArch64 code: lifted, run through the quick passes, compiled, committed.
//!
//! A block is a line of code in address order with side exits, as for a native guest ([`crate::translate`]): up to
//! [`MAX_BLOCK`] instructions and [`MAX_BRANCHES`] conditional branches, until control goes elsewhere for good. What generated code
//! does not do (instructions that only the reference knows, results that are NaN) leaves to be interpreted ([`super::interp::step`]).
//!
//! Flags that the code at an exit overwrites unread are not put into place there, as long as nobody can look in between
//! ([`assume::NO_CONTEXT`], [`assume::NO_FAULT_HANDLER`]); the code that was looked at counts as source.

use super::host::A64Host;
use crate::assume;
use crate::compile::{NoTrace, install_as};
use crate::dispatch::code_at;
use crate::process::Shared;
use crate::translate::TranslateError;
use crate::worth::Cost;
use decode::aarch64::inst::{Logic, System};
use decode::aarch64::simd::Do;
use decode::aarch64::{AArch64, Form, slots};
use decode::{Fp, Guest, Lifted};
use fragcache::{FragId, FragmentKind, GuestPc};
use ir::builder::Builder;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::trace::FactArg;
use ir::types::{ExitId, Pc, Type};
use optimize::codegen;
use optimize::pass::{Env, Features};
use optimize::pipeline::{Level, Pipeline};

/// Longest block in instructions.
const MAX_BLOCK: usize = 40;
/// Most conditional exits of a block.
const MAX_BRANCHES: usize = 4;
/// Instructions looked at behind an exit.
const LOOK_AHEAD: usize = 12;

/// Why there is no block at an address.
#[derive(Debug, thiserror::Error)]
pub enum NoBlock {
    /// No code that can be read.
    #[error(transparent)]
    Code(#[from] TranslateError),
    /// The first instruction has to be interpreted.
    #[error("an instruction that is not translated")]
    Interpret,
    /// The cache or code generation refused.
    #[error(transparent)]
    Made(#[from] NoTrace),
}

/// The translator with its buffers.
#[derive(Debug)]
pub struct Compiler {
    pub(super) b: Builder,
    quick: Pipeline,
    /// For traces.
    pub(super) full: Pipeline,
    pub(super) env: Env,
    pub(super) codegen: codegen::x86_64::Compiler,
    pub(super) host: A64Host,
    /// Code that was looked at behind exits.
    pub(super) looked: Vec<(GuestPc, u32)>,
}

impl Default for Compiler {
    fn default() -> Self {
        let bmi2 = std::is_x86_feature_detected!("bmi2");
        Compiler {
            b: Builder::new(slots::decls().clone(), "block", Pc::Addr(0)),
            quick: Pipeline::new(Level::Quick),
            full: Pipeline::new(Level::Full),
            env: Env::new(Features { v256: false, v512: false }, None),
            codegen: codegen::x86_64::Compiler::default(),
            host: A64Host { bmi2 },
            looked: Vec::new(),
        }
    }
}

/// Translates the block at `pc`.
///
/// # Errors
/// When there is none; see [`NoBlock`].
pub fn make(shared: &mut Shared, pc: GuestPc) -> Result<FragId, NoBlock> {
    let _time = crate::stats::translating();
    let mut compiler = shared.foreign.take().unwrap_or_default();
    let mut most = MAX_BLOCK;
    let made = loop {
        match compiler.make(shared, pc, most) {
            // Something in it has no machine code, or it is too large: less of it.
            Err(NoBlock::Made(NoTrace::Code(why))) if most > 1 => {
                tracing::debug!(%pc, %why, most, "a shorter block");
                most /= 4;
            }
            Err(NoBlock::Made(NoTrace::Code(why))) => {
                tracing::debug!(%pc, %why, "no block");
                break Err(NoBlock::Interpret);
            }
            made => break made,
        }
    };
    shared.foreign = Some(compiler);
    made
}

impl Compiler {
    fn make(&mut self, shared: &mut Shared, pc: GuestPc, most: usize) -> Result<FragId, NoBlock> {
        let mut bytes = [0u8; 4 * MAX_BLOCK];
        let n = code_at(shared, pc, &mut bytes)?;
        let facts = (0..32).map(|n| 1 << n).filter(|&f| shared.cache.holds(f)).sum();
        self.looked.clear();
        let count = self.lift(shared, &bytes[..n.min(4 * most)], pc, facts)?;
        let trace = self.b.trace_mut();
        debug_assert!(ir::verify::verify(trace).is_ok(), "{:?}\n{trace}", ir::verify::verify(trace));
        self.quick.run(trace, &mut self.env, |_, _| {});
        let mut source = vec![(pc, 4 * count as u32)];
        source.append(&mut self.looked);
        let made = install_as(
            &mut shared.cache,
            self.b.trace(),
            (&self.host, &mut self.codegen),
            &source,
            Cost::MAX,
            FragmentKind::Block,
        );
        Ok(made?)
    }

    /// An empty trace at `pc` that rests on these facts.
    pub(super) fn begin(&mut self, pc: u64, facts: u32) {
        self.b.reset(Pc::Addr(pc));
        if facts & assume::PRIVATE == assume::PRIVATE {
            self.b.assume("Private", &[FactArg::Name("guest".into())]);
        }
        if facts & assume::NO_FAULT_HANDLER != 0 {
            self.b.assume("NoFaultHandler", &[]);
        }
        if facts & assume::NO_CONTEXT != 0 {
            self.b.assume("NoContext", &[]);
        }
    }

    /// Lifts the code at `pc`; how many instructions.
    fn lift(&mut self, shared: &mut Shared, code: &[u8], pc: GuestPc, facts: u32) -> Result<usize, NoBlock> {
        let guest = AArch64;
        let exact = facts & assume::NO_FAULT_HANDLER == 0;
        self.begin(pc.0, facts);
        let (mut count, mut branches) = (0, 0);
        loop {
            let here = decode::GuestPc(pc.0 + 4 * count as u64);
            let rest = code.get(4 * count..).unwrap_or_default();
            let inst = match guest.decode(rest, here) {
                Ok(inst) => inst,
                Err(_) if count == 0 => return Err(NoBlock::Interpret),
                Err(_) => {
                    let exit = self.exit(shared, here.0, facts);
                    self.b.end_exit(exit);
                    return Ok(count);
                }
            };
            let float = matches!(inst.form, Form::Simd(s) if s.is_float());
            let interpreted =
                !guest.is_modelled(&inst, Fp::AssumeDefault) || float && facts & assume::FP_DEFAULT == 0;
            if interpreted {
                let exit = self.b.exit(Pc::Addr(here.0), ExitKind::Step);
                self.b.end_exit(exit);
                return Ok(count.max(1));
            }
            if exact {
                self.b.at_exact(Pc::Addr(here.0));
            } else {
                self.b.at(Pc::Addr(here.0));
            }
            let lifted = guest.lift(&inst, &rest[..4], Fp::AssumeDefault, &mut self.b);
            count += 1;
            let next = here.0 + 4;
            match lifted {
                Lifted::Next => {}
                Lifted::Branch { cond, taken } => {
                    let exit = self.exit(shared, taken.0, facts);
                    let cond = self.b.un(Op::Not, Type::I1, cond);
                    self.b.guard(cond, exit);
                    branches += 1;
                    if branches >= MAX_BRANCHES {
                        let exit = self.exit(shared, next, facts);
                        self.b.end_exit(exit);
                        return Ok(count);
                    }
                }
                Lifted::Jump { target, .. } => {
                    let exit = self.exit(shared, target.0, facts);
                    self.b.end_exit(exit);
                    return Ok(count);
                }
                lifted => {
                    guest.end_trace(lifted, decode::GuestPc(next), &mut self.b);
                    return Ok(count);
                }
            }
        }
    }

    /// An exit to a known place.
    pub(super) fn exit(&mut self, shared: &mut Shared, pc: u64, facts: u32) -> ExitId {
        let unseen = assume::NO_CONTEXT | assume::NO_FAULT_HANDLER;
        if facts & unseen == unseen && self.flags_are_dead(shared, pc) {
            self.b.exit_without(Pc::Addr(pc), ExitKind::Jump, slots::FLAGS)
        } else {
            self.b.exit(Pc::Addr(pc), ExitKind::Jump)
        }
    }

    /// Does the code at `pc` overwrite the flags before it reads them?
    fn flags_are_dead(&mut self, shared: &mut Shared, pc: u64) -> bool {
        let (mut pc, mut left) = (pc, LOOK_AHEAD);
        let before = self.looked.len();
        // A place behind one jump is looked at too.
        for _ in 0..2 {
            let mut bytes = [0u8; 4 * LOOK_AHEAD];
            let Ok(n) = code_at(shared, GuestPc(pc), &mut bytes) else { break };
            let mut target = None;
            for (k, word) in bytes[..n].as_chunks::<4>().0.iter().enumerate() {
                if left == 0 {
                    break;
                }
                left -= 1;
                let here = pc + 4 * k as u64;
                let Some(form) = decode::aarch64::inst::decode(u32::from_le_bytes(*word), here) else {
                    break;
                };
                match flags_in(&form) {
                    Flags::Written => {
                        self.looked.push((GuestPc(pc), 4 * (k as u32 + 1)));
                        return true;
                    }
                    Flags::Read => break,
                    Flags::Untouched => {}
                    Flags::GoesTo(to) => {
                        self.looked.push((GuestPc(pc), 4 * (k as u32 + 1)));
                        target = Some(to);
                        break;
                    }
                }
            }
            match target {
                Some(to) => pc = to,
                None => break,
            }
        }
        self.looked.truncate(before);
        false
    }
}

/// What an instruction does with the flags.
enum Flags {
    /// Reads them, or who knows.
    Read,
    /// Overwrites all of them.
    Written,
    Untouched,
    /// Nothing, and control goes there.
    GoesTo(u64),
}

fn flags_in(form: &Form) -> Flags {
    match *form {
        Form::AddImm { flags: true, .. }
        | Form::AddShift { flags: true, .. }
        | Form::AddExtend { flags: true, .. }
        | Form::LogicImm { op: Logic::Ands, .. }
        | Form::LogicShift { op: Logic::Ands, .. } => Flags::Written,
        Form::Simd(s) => match s.op {
            Do::Fcmp(..) => Flags::Written,
            Do::Fccmp(_) | Do::Fcsel => Flags::Read,
            _ => Flags::Untouched,
        },
        Form::Branch { target, .. } => Flags::GoesTo(target),
        Form::AddCarry { .. }
        | Form::CondCompare { .. }
        | Form::CondSelect { .. }
        | Form::BranchCond { .. }
        | Form::CompareBranch { .. }
        | Form::TestBranch { .. }
        | Form::BranchReg { .. }
        | Form::Svc
        | Form::Brk
        | Form::Mrs { reg: System::Nzcv, .. }
        | Form::Msr { .. }
        | Form::Cache { .. } => Flags::Read,
        _ => Flags::Untouched,
    }
}
