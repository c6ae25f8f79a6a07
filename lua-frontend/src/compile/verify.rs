//! The verifier: which bytecode may run.
//!
//! The interpreter trusts its code: operands are not checked when an instruction runs. So bytecode from outside is accepted only
//! if it can be shown to be as harmless as what the compiler writes. The check is an abstract interpretation of each function over
//! what is known of its slots; the compiler's own output always passes.
//!
//! What is shown, on every path:
//! - operands are in range, constants have the kind that the instruction expects, control stays inside the function and never runs
//!   off its end; tests are followed by their jump;
//! - a slot is read only after it was written ([`State::set`]); calls and concatenations destroy what lies in and above their range;
//! - instructions that take all results of a call or `...` directly follow one whose results begin where they are
//!   expected ([`State::open`]);
//! - loops: `FORL` runs on the three numbers that its `FORI` checked, `ITERN` only on a state that `ISNEXT` prepared and nothing else
//!   touched, `TSETM` on a table that the function has just made;
//! - variables captured by closures are closed before the function returns ([`State::captured`]).
//!
//! # Example
//! `CALL 1 0 1; RETM 0 1` passes if slot 0 is set: the results start at slot 1, behind one fixed value. `CALL 2 0 1; RETM 0 1` would return
//! slot 1, which nothing has set, and is refused.

use rustc_hash::FxHashSet;

use super::code::{Chunk, Constant, FunctionCode};
use super::dump::DumpError;
use crate::bytecode::{self as bc, Ins, Mode, Op};

/// The largest frame.
const MAX_FRAME: u8 = 250;
/// The largest hash part that a constructor may ask for, as a logarithm.
const MAX_HASH_BITS: usize = 26;
/// Added to the index in the number constant of `TSETM`.
const INDEX_BIAS: f64 = 4_503_599_627_370_496.0;

type Result<T> = std::result::Result<T, DumpError>;

fn check(condition: bool) -> Result<()> {
    if condition { Ok(()) } else { Err(DumpError::Malformed) }
}

/// Checks a chunk.
///
/// # Errors
/// [`DumpError::Malformed`] if it might do harm.
pub fn verify(chunk: &Chunk) -> Result<()> {
    function(&chunk.main)
}

fn function(code: &FunctionCode) -> Result<()> {
    Verifier::new(code)?.run()?;
    for constant in &code.objects {
        if let Constant::Function(child) = constant {
            function(child)?;
        }
    }
    Ok(())
}

/// A set of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slots([u64; 4]);

impl Slots {
    fn has(&self, slot: usize) -> bool {
        slot < 256 && self.0[slot >> 6] >> (slot & 63) & 1 != 0
    }

    fn insert(&mut self, slot: usize) {
        if slot < 256 {
            self.0[slot >> 6] |= 1 << (slot & 63);
        }
    }

    fn remove(&mut self, slot: usize) {
        if slot < 256 {
            self.0[slot >> 6] &= !(1 << (slot & 63));
        }
    }

    fn remove_from(&mut self, slot: usize) {
        for slot in slot..256 {
            self.remove(slot);
        }
    }

    fn union(&self, other: &Slots) -> Slots {
        Slots(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    fn intersect(&self, other: &Slots) -> Slots {
        Slots(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

/// What is known in front of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Slots that hold a value.
    set: Slots,
    /// Those that hold a number, and no closure can change it.
    numbers: Slots,
    /// Those that hold a table, and no closure can change it.
    tables: Slots,
    /// Those that hold the position of a table traversal: no value, though the collector accepts it.
    positions: Slots,
    /// Those that hold the table of such a traversal.
    traversed: Slots,
    /// Those that an open upvalue may refer to.
    captured: Slots,
    /// Where the results of an open call begin.
    open: Option<usize>,
}

impl State {
    fn meet(&self, other: &State) -> State {
        State {
            set: self.set.intersect(&other.set),
            numbers: self.numbers.intersect(&other.numbers),
            tables: self.tables.intersect(&other.tables),
            positions: self.positions.intersect(&other.positions),
            traversed: self.traversed.intersect(&other.traversed),
            captured: self.captured.union(&other.captured),
            open: if self.open == other.open { self.open } else { None },
        }
    }

    fn forget(&mut self, slot: usize) {
        self.numbers.remove(slot);
        self.tables.remove(slot);
        self.positions.remove(slot);
        self.traversed.remove(slot);
    }

    fn write(&mut self, slot: usize) {
        self.forget(slot);
        self.set.insert(slot);
    }

    fn destroy_from(&mut self, slot: usize) {
        let sets =
            [&mut self.set, &mut self.numbers, &mut self.tables, &mut self.positions, &mut self.traversed];
        for set in sets {
            set.remove_from(slot);
        }
    }
}

struct Verifier<'a> {
    code: &'a FunctionCode,
    frame: usize,
    /// What is known at each instruction that has been reached.
    states: Vec<Option<State>>,
    work: Vec<usize>,
    /// The `ITERN` that some `ISNEXT` prepares.
    traversals: FxHashSet<usize>,
}

impl<'a> Verifier<'a> {
    fn new(code: &'a FunctionCode) -> Result<Verifier<'a>> {
        let length = code.instructions.len();
        check(
            length >= 2
                && code.frame_size >= 1
                && code.frame_size <= MAX_FRAME
                && code.parameters <= code.frame_size,
        )?;
        let head = code.instructions[0];
        check(bc::op(head) == Some(if code.flags.vararg { Op::FUNCV } else { Op::FUNCF }))?;
        check(bc::a(head) == usize::from(code.frame_size))?;
        check(code.upvalues.len() <= super::limit::UPVALUES as usize)?;
        check(
            code.objects.len() <= super::limit::CONSTANTS as usize
                && code.numbers.len() <= super::limit::CONSTANTS as usize,
        )?;
        check(code.lines.is_empty() || code.lines.len() == length)?;
        check(code.upvalue_names.is_empty() || code.upvalue_names.len() == code.upvalues.len())?;
        let mut children = false;
        for constant in &code.objects {
            let Constant::Function(child) = constant else { continue };
            children = true;
            for source in &child.upvalues {
                let limit =
                    if source.from_register { usize::from(code.frame_size) } else { code.upvalues.len() };
                check(usize::from(source.index) < limit)?;
            }
        }
        check(children == code.flags.children)?;
        variables(code)?;
        Ok(Verifier {
            code,
            frame: usize::from(code.frame_size),
            states: vec![None; length],
            work: Vec::new(),
            traversals: FxHashSet::default(),
        })
    }

    fn run(mut self) -> Result<()> {
        let mut entry = State {
            set: Slots::default(),
            numbers: Slots::default(),
            tables: Slots::default(),
            positions: Slots::default(),
            traversed: Slots::default(),
            captured: Slots::default(),
            open: None,
        };
        for slot in 0..usize::from(self.code.parameters) {
            entry.set.insert(slot);
        }
        for pc in 1..self.code.instructions.len() {
            self.form(pc)?;
        }
        self.reach(1, entry)?;
        while let Some(pc) = self.work.pop() {
            if let Some(state) = self.states[pc] {
                self.step(pc, state)?;
            }
        }
        Ok(())
    }

    fn op_at(&self, pc: usize) -> Option<Op> {
        self.code.instructions.get(pc).and_then(|&ins| bc::op(ins))
    }

    fn target(pc: usize, ins: Ins) -> usize {
        (pc as isize + 1 + bc::j(ins)) as usize
    }

    /// What an instruction needs whatever runs before it.
    fn form(&mut self, pc: usize) -> Result<()> {
        let ins = self.code.instructions[pc];
        let Some(op) = bc::op(ins) else { return Err(DumpError::Malformed) };
        let info = op.info();
        // Written by built-in code and by the virtual machine itself only.
        check(!matches!(
            op,
            Op::ISTYPE
                | Op::ISNUM
                | Op::TGETR
                | Op::TSETR
                | Op::JFORI
                | Op::IFORL
                | Op::JFORL
                | Op::IITERL
                | Op::JITERL
                | Op::ILOOP
                | Op::JLOOP
                | Op::FUNCF
                | Op::IFUNCF
                | Op::JFUNCF
                | Op::FUNCV
                | Op::IFUNCV
                | Op::JFUNCV
                | Op::FUNCC
                | Op::FUNCCW
        ))?;
        self.operand(pc, info.a, bc::a(ins), ins)?;
        if info.has_d() {
            self.operand(pc, info.d, bc::d(ins), ins)?;
        } else {
            self.operand(pc, info.b, bc::b(ins), ins)?;
            self.operand(pc, info.d, bc::c(ins), ins)?;
        }
        let next = self.code.instructions.get(pc + 1).copied();
        match op {
            _ if (op as u8) <= Op::ISF as u8 => check(self.op_at(pc + 1) == Some(Op::JMP)),
            Op::ISNEXT => {
                let target = Self::target(pc, ins);
                let same = self.code.instructions.get(target).is_some_and(|&t| bc::a(t) == bc::a(ins));
                check(bc::a(ins) >= 3 && self.op_at(target) == Some(Op::ITERN) && same)?;
                // One preparation per traversal.
                check(self.traversals.insert(target))
            }
            Op::ITERC | Op::ITERN => {
                let loops =
                    self.op_at(pc + 1) == Some(Op::ITERL) && next.is_some_and(|n| bc::a(n) == bc::a(ins));
                check(loops && bc::a(ins) >= 3 && bc::c(ins) == 3 && bc::b(ins) >= 2)?;
                check(bc::a(ins) + 3 < self.frame && (op == Op::ITERC || bc::b(ins) <= 3))
            }
            Op::ITERL => check(matches!(self.op_at(pc - 1), Some(Op::ITERC | Op::ITERN))),
            Op::FORI => {
                let exit = Self::target(pc, ins);
                check(self.op_at(exit.wrapping_sub(1)) == Some(Op::FORL) && bc::a(ins) + 3 < self.frame)?;
                let back = self.code.instructions[exit - 1];
                check(bc::a(back) == bc::a(ins) && Self::target(exit - 1, back) == pc + 1)
            }
            Op::FORL => {
                let start = Self::target(pc, ins);
                check(self.op_at(start.wrapping_sub(1)) == Some(Op::FORI) && bc::a(ins) + 3 < self.frame)?;
                let head = self.code.instructions[start - 1];
                check(bc::a(head) == bc::a(ins) && Self::target(start - 1, head) == pc + 1)
            }
            Op::KNIL => check(bc::a(ins) <= bc::d(ins) && bc::d(ins) < self.frame),
            Op::CAT => check(bc::b(ins) <= bc::c(ins)),
            Op::TNEW => check(bc::d(ins) >> 11 <= MAX_HASH_BITS),
            Op::TSETM => {
                let index = self.code.numbers[bc::d(ins)] - INDEX_BIAS;
                check((0.0..f64::from(i32::MAX)).contains(&index) && bc::a(ins) >= 1)
            }
            Op::VARG => check(self.code.flags.vararg && bc::c(ins) == usize::from(self.code.parameters)),
            Op::RET => check(bc::d(ins) >= 1),
            Op::RET0 => check(bc::d(ins) == 1),
            Op::RET1 => check(bc::d(ins) == 2),
            Op::CALL | Op::CALLT => {
                let arguments = if op == Op::CALL { bc::c(ins) } else { bc::d(ins) };
                check(
                    arguments >= 1
                        && bc::a(ins) + 1 < self.frame
                        && bc::a(ins) + arguments < self.frame.max(bc::a(ins) + 2),
                )
            }
            Op::CALLM | Op::CALLMT => {
                let arguments = if op == Op::CALLM { bc::c(ins) } else { bc::d(ins) };
                check(bc::a(ins) + 1 + arguments < self.frame)
            }
            _ => Ok(()),
        }
    }

    fn operand(&self, pc: usize, mode: Mode, value: usize, ins: Ins) -> Result<()> {
        let object = |wanted: fn(&Constant) -> bool| check(self.code.objects.get(value).is_some_and(wanted));
        match mode {
            Mode::None | Mode::Lit | Mode::Lits => Ok(()),
            // A test that keeps no value has no destination.
            Mode::Dst if matches!(bc::op(ins), Some(Op::ISTC | Op::ISFC)) => check(value < self.frame),
            Mode::Dst | Mode::Base | Mode::Var => check(value < self.frame),
            // Also the first slot behind the frame.
            Mode::Rbase => check(value <= self.frame),
            Mode::Uv => check(value < self.code.upvalues.len()),
            Mode::Pri => check(value <= 2),
            Mode::Num => check(value < self.code.numbers.len()),
            Mode::Str => object(|c| matches!(c, Constant::String(_))),
            Mode::Tab => object(|c| matches!(c, Constant::Table(_))),
            Mode::Func => object(|c| matches!(c, Constant::Function(_))),
            Mode::CData => {
                object(|c| matches!(c, Constant::Int64(_) | Constant::Uint64(_) | Constant::Complex(..)))
            }
            Mode::Jump => {
                let target = Self::target(pc, ins);
                check((1..self.code.instructions.len()).contains(&target))
            }
        }
    }

    /// Control may come to `pc` with this state.
    fn reach(&mut self, pc: usize, state: State) -> Result<()> {
        let Some(known) = self.states.get_mut(pc) else { return Err(DumpError::Malformed) };
        let met = match known {
            Some(old) => old.meet(&state),
            None => state,
        };
        if *known != Some(met) {
            *known = Some(met);
            self.work.push(pc);
        }
        Ok(())
    }

    fn read(&self, state: &State, slot: usize) -> Result<()> {
        check(state.set.has(slot))
    }

    fn read_range(&self, state: &State, from: usize, count: usize) -> Result<()> {
        check(from + count <= self.frame && (from..from + count).all(|slot| state.set.has(slot)))
    }

    /// Results of a call, whose frame destroyed what was there, or all of `...`.
    fn results(&self, state: &mut State, base: usize, b: usize) -> Result<()> {
        state.destroy_from(base);
        if b == 0 {
            state.open = Some(base);
        } else {
            check(base + b - 1 <= self.frame)?;
            for slot in base..base + b - 1 {
                state.set.insert(slot);
            }
        }
        Ok(())
    }

    /// Runs one instruction on what is known.
    fn step(&mut self, pc: usize, mut state: State) -> Result<()> {
        let ins = self.code.instructions[pc];
        let Some(op) = bc::op(ins) else { return Err(DumpError::Malformed) };
        let info = op.info();
        let (a, b, c, d) = (bc::a(ins), bc::b(ins), bc::c(ins), bc::d(ins));
        let open = state.open;
        if !matches!(op, Op::UCLO | Op::JMP) {
            state.open = None;
        }
        // Plain operands.
        if info.a == Mode::Var {
            self.read(&state, a)?;
        }
        if info.b == Mode::Var {
            self.read(&state, b)?;
        }
        if info.d == Mode::Var {
            self.read(&state, if info.has_d() { d } else { c })?;
        }
        match op {
            Op::ISTC | Op::ISFC => {
                // Taken: the value is copied.
                let jump = self.code.instructions[pc + 1];
                let mut taken = state;
                taken.write(a);
                self.reach(Self::target(pc + 1, jump), taken)?;
                return self.reach(pc + 2, state);
            }
            _ if (op as u8) <= Op::ISF as u8 => {
                let jump = self.code.instructions[pc + 1];
                self.reach(Self::target(pc + 1, jump), state)?;
                return self.reach(pc + 2, state);
            }
            Op::CAT => {
                self.read_range(&state, b, c + 1 - b)?;
                for slot in b..=c {
                    state.set.remove(slot);
                    state.forget(slot);
                }
                state.write(a);
            }
            Op::KNIL => (a..=d).for_each(|slot| state.write(slot)),
            Op::TNEW | Op::TDUP => {
                state.write(a);
                if !state.captured.has(a) {
                    state.tables.insert(a);
                }
            }
            Op::FNEW => {
                if let Some(Constant::Function(child)) = self.code.objects.get(d) {
                    for source in child.upvalues.iter().filter(|source| source.from_register) {
                        let slot = usize::from(source.index);
                        // A function may capture the variable that it is about to become.
                        check(slot == a || state.set.has(slot))?;
                        state.captured.insert(slot);
                        state.forget(slot);
                    }
                }
                state.write(a);
            }
            Op::UCLO => {
                state.captured.remove_from(a);
                return self.reach(Self::target(pc, ins), state);
            }
            Op::TSETM => check(open == Some(a) && state.tables.has(a - 1))?,
            Op::CALL | Op::CALLM => {
                self.read(&state, a)?;
                self.read_range(&state, a + 2, if op == Op::CALL { c - 1 } else { c })?;
                check(op == Op::CALL || open == Some(a + 2 + c))?;
                self.results(&mut state, a, b)?;
            }
            Op::CALLT | Op::CALLMT => {
                self.read(&state, a)?;
                self.read_range(&state, a + 2, if op == Op::CALLT { d - 1 } else { d })?;
                check((op == Op::CALLT || open == Some(a + 2 + d)) && state.captured == Slots::default())?;
                return Ok(());
            }
            // A fixed number of values needs no room beyond them.
            Op::VARG if b > 0 => {
                check(a + b - 1 <= self.frame)?;
                (a..a + b - 1).for_each(|slot| state.write(slot));
            }
            Op::VARG => self.results(&mut state, a, b)?,
            Op::RETM | Op::RET | Op::RET0 | Op::RET1 => {
                check(state.captured == Slots::default())?;
                return match op {
                    Op::RETM => {
                        check(open == Some(a + d))?;
                        self.read_range(&state, a, d)
                    }
                    _ => self.read_range(&state, a, d - 1),
                };
            }
            Op::FORI => {
                self.read_range(&state, a, 3)?;
                check((a..a + 3).all(|slot| !state.captured.has(slot)))?;
                for slot in a..a + 3 {
                    state.numbers.insert(slot);
                }
                let mut body = state;
                body.write(a + 3);
                self.reach(pc + 1, body)?;
                return self.reach(Self::target(pc, ins), state);
            }
            Op::FORL => {
                check((a..a + 3).all(|slot| state.numbers.has(slot)))?;
                let mut body = state;
                body.write(a + 3);
                self.reach(Self::target(pc, ins), body)?;
            }
            Op::ISNEXT => {
                self.read_range(&state, a - 3, 3)?;
                check(!state.captured.has(a - 1) && !state.captured.has(a - 2))?;
                state.set.remove(a - 1);
                state.forget(a - 1);
                state.positions.insert(a - 1);
                state.traversed.insert(a - 2);
                return self.reach(Self::target(pc, ins), state);
            }
            Op::ITERN => {
                self.read_range(&state, a - 3, 2)?;
                check(state.positions.has(a - 1) && state.traversed.has(a - 2))?;
                // The loop goes on at the target of the ITERL that follows.
                let mut body = state;
                self.results(&mut body, a, b)?;
                let back = self.code.instructions[pc + 1];
                self.reach(Self::target(pc + 1, back), body)?;
                state.destroy_from(a);
                return self.reach(pc + 2, state);
            }
            Op::ITERC => {
                self.read_range(&state, a - 3, 3)?;
                self.results(&mut state, a, b)?;
            }
            Op::ITERL => {
                self.read(&state, a)?;
                let mut body = state;
                body.write(a - 1);
                self.reach(Self::target(pc, ins), body)?;
            }
            Op::JMP => return self.reach(Self::target(pc, ins), state),
            _ => {
                if info.a == Mode::Dst {
                    state.write(a);
                }
            }
        }
        self.reach(pc + 1, state)
    }
}

/// Local variables for the debugger: in order, inside the code, never more at one time than there are slots.
fn variables(code: &FunctionCode) -> Result<()> {
    let length = code.instructions.len() as u32;
    let mut ends = std::collections::BinaryHeap::new();
    let mut last = 0;
    for var in &code.variables {
        check(last <= var.start && var.start <= var.end && var.end <= length)?;
        last = var.start;
        while ends.peek().is_some_and(|&std::cmp::Reverse(end)| end <= var.start) {
            ends.pop();
        }
        ends.push(std::cmp::Reverse(var.end));
        check(ends.len() <= usize::from(code.frame_size))?;
    }
    Ok(())
}
