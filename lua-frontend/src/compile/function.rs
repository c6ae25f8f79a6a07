//! The function under construction: instructions, registers, constants, and the jump lists that run through the code.
//!
//! Registers are a stack: active local variables below, temporaries above, `free` the first free one. A jump whose
//! target is not known yet links to the next jump of its list through its own operand; jumps to "the next instruction,
//! whatever it will be" wait in `pending` and are patched when that instruction is emitted. `last_target` is the newest position
//! that some jump may reach: the instruction before it must not be merged with what follows.

use rustc_hash::FxHashMap;

use super::code::{Constant, FunctionFlags};
use super::expression::{JumpList, NO_REG, Pc, Reg};
use super::{Compiler, limit};
use crate::bytecode::{self as bc, Ins, Op, aj};
use crate::syntax::{Result, Symbol, SyntaxErrorKind};

/// The jump operand that ends a list.
const NO_JUMP: u16 = 0x7fff;

/// Identity of a constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ConstantKey {
    String(Symbol),
    Number(u64),
}

/// A variable of an enclosing function that this one uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpvalueRef {
    /// The variable.
    pub var: u32,
    /// Its upvalue index in the enclosing function; `None` if it is a register there.
    pub outer: Option<u8>,
}

/// A `goto`, `break` or `continue` whose target is not final.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingJump {
    pub target: Target,
    pub pc: Pc,
    /// Active variables at the jump, or at the end of the innermost block that it has left since.
    pub active: u32,
}

/// A label whose block is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub target: Target,
    pub pc: Pc,
    pub active: u32,
}

/// Where a jump statement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Break,
    Continue,
    Name(Symbol),
}

/// A block of statements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    /// Active variables outside.
    pub active: u32,
    /// Pending jumps when it began.
    pub jumps: usize,
    /// Labels when it began.
    pub labels: usize,
    /// The target of `break`.
    pub is_loop: bool,
    /// A closure captures one of its variables.
    pub captured: bool,
    /// The function's last block: its end does not close upvalues, the return before it did.
    pub no_close: bool,
}

/// The state of one function.
#[derive(Default)]
pub(super) struct FunctionState {
    pub code: Vec<Ins>,
    pub lines: Vec<u32>,
    pub last_target: Pc,
    pub pending: JumpList,
    /// First free register.
    pub free: u32,
    /// Active local variables.
    pub active: u32,
    pub frame_size: u32,
    pub numbers: Vec<f64>,
    pub objects: Vec<Constant>,
    constants: FxHashMap<ConstantKey, u32>,
    pub first_line: u32,
    /// The first of its variables among those of the chunk.
    pub first_var: usize,
    /// Register to variable, for active variables and those being declared.
    pub register_vars: Vec<u32>,
    pub upvalues: Vec<UpvalueRef>,
    /// Upvalues of children to be marked immutable at the end: object, upvalue, variable.
    pub child_upvalues: Vec<(u32, u32, u32)>,
    pub blocks: Vec<Block>,
    pub jumps: Vec<PendingJump>,
    pub labels: Vec<Label>,
    pub flags: FunctionFlags,
    pub has_return: bool,
    pub fix_returns: bool,
    pub parameters: u8,
}

impl FunctionState {
    /// Empties the state for another function, keeping its memory.
    pub fn reset(&mut self, first_var: usize) {
        self.code.clear();
        self.lines.clear();
        self.last_target = 0;
        self.pending = JumpList::EMPTY;
        self.free = 0;
        self.active = 0;
        self.frame_size = 1;
        self.numbers.clear();
        self.objects.clear();
        self.constants.clear();
        self.first_line = 0;
        self.first_var = first_var;
        self.register_vars.clear();
        self.upvalues.clear();
        self.child_upvalues.clear();
        self.blocks.clear();
        self.jumps.clear();
        self.labels.clear();
        self.flags = FunctionFlags::default();
        self.has_return = false;
        self.fix_returns = false;
        self.parameters = 0;
    }

    /// The position of the next instruction.
    #[inline]
    pub fn pc(&self) -> Pc {
        self.code.len() as Pc
    }

    /// The operation at `pc`.
    #[inline]
    pub fn op(&self, pc: Pc) -> Option<Op> {
        bc::op(self.code[pc as usize])
    }

    /// Replaces operand A.
    #[inline]
    pub fn set_a(&mut self, pc: Pc, a: Reg) {
        let ins = &mut self.code[pc as usize];
        *ins = *ins & !0xff00 | u32::from(a) << 8;
    }

    /// Replaces operand B.
    #[inline]
    pub fn set_b(&mut self, pc: Pc, b: u8) {
        let ins = &mut self.code[pc as usize];
        *ins = *ins & !0xff00_0000 | u32::from(b) << 24;
    }

    /// Replaces operand D.
    #[inline]
    pub fn set_d(&mut self, pc: Pc, d: u16) {
        let ins = &mut self.code[pc as usize];
        *ins = *ins & 0xffff | u32::from(d) << 16;
    }

    /// Replaces the operation.
    #[inline]
    pub fn set_op(&mut self, pc: Pc, op: Op) {
        let ins = &mut self.code[pc as usize];
        *ins = *ins & !0xff | op as u32;
    }

    /// Makes a jump the end of a list.
    pub fn end_list(&mut self, pc: Pc) {
        self.set_d(pc, NO_JUMP);
    }

    /// The jump after `pc` in its list.
    pub fn next_jump(&self, pc: Pc) -> JumpList {
        let ins = self.code[pc as usize];
        if bc::d(ins) == usize::from(NO_JUMP) {
            JumpList::EMPTY
        } else {
            JumpList(Some((pc as isize + 1 + bc::j(ins)) as Pc))
        }
    }

    /// Whether some jump of the list carries no value of its own.
    pub fn lacks_value(&self, mut list: JumpList) -> bool {
        while let Some(pc) = list.0 {
            let test = self.code[pc.saturating_sub(1) as usize];
            if !(matches!(bc::op(test), Some(Op::ISTC | Op::ISFC)) || bc::a(test) == usize::from(NO_REG)) {
                return true;
            }
            list = self.next_jump(pc);
        }
        false
    }

    /// Gives the test in front of the jump at `pc` its destination (or none). False if that instruction yields no value.
    fn set_test_register(&mut self, pc: Pc, reg: Reg) -> bool {
        let at = pc.saturating_sub(1);
        let test = self.code[at as usize];
        match bc::op(test) {
            Some(op @ (Op::ISTC | Op::ISFC)) => {
                if reg != NO_REG && usize::from(reg) != bc::d(test) {
                    self.set_a(at, reg);
                } else {
                    self.set_op(at, if op == Op::ISTC { Op::IST } else { Op::ISF });
                    self.set_a(at, 0);
                }
                true
            }
            _ if bc::a(test) == usize::from(NO_REG) => {
                let jump_a = bc::a(self.code[pc as usize]) as Reg;
                if reg == NO_REG {
                    self.code[at as usize] = aj(Op::JMP, jump_a, 0);
                } else {
                    self.set_a(at, reg);
                    if reg >= jump_a {
                        self.set_a(pc, reg + 1);
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// Lets no jump of the list produce a value.
    pub fn drop_values(&mut self, mut list: JumpList) {
        while let Some(pc) = list.0 {
            self.set_test_register(pc, NO_REG);
            list = self.next_jump(pc);
        }
    }
}

impl Compiler<'_> {
    // -- Limits and constants --

    /// The error for a limit of the current function.
    #[cold]
    pub(super) fn limit_error(&self, limit: u32, what: &'static str) -> Box<crate::syntax::SyntaxError> {
        let kind = match self.f.first_line {
            0 => SyntaxErrorKind::MainLimit { limit, what },
            line => SyntaxErrorKind::FunctionLimit { line, limit, what },
        };
        self.lex.error(kind, None)
    }

    /// The index of a number constant.
    pub(super) fn number_constant(&mut self, number: f64) -> u32 {
        let numbers = &mut self.f.numbers;
        *self.f.constants.entry(ConstantKey::Number(number.to_bits())).or_insert_with(|| {
            numbers.push(number);
            numbers.len() as u32 - 1
        })
    }

    /// The index of a string constant.
    pub(super) fn string_constant(&mut self, symbol: Symbol) -> u32 {
        let objects = &mut self.f.objects;
        *self.f.constants.entry(ConstantKey::String(symbol)).or_insert_with(|| {
            objects.push(Constant::String(symbol));
            objects.len() as u32 - 1
        })
    }

    /// Adds a constant that is shared with no other use.
    pub(super) fn object_constant(&mut self, constant: Constant) -> u32 {
        self.f.objects.push(constant);
        self.f.objects.len() as u32 - 1
    }

    /// Operand D for a constant index. Too large ones end in an error when the function ends.
    pub(super) fn constant_operand(index: u32) -> u16 {
        index as u16
    }

    // -- Emission --

    /// Appends an instruction; pending jumps lead to it.
    pub(super) fn emit(&mut self, ins: Ins) -> Result<Pc> {
        let pc = self.f.pc();
        let pending = std::mem::take(&mut self.f.pending);
        if pending.0.is_some() {
            self.patch_values(pending, pc, NO_REG, pc)?;
        }
        if pc >= limit::INSTRUCTIONS {
            return Err(self.limit_error(limit::INSTRUCTIONS, "bytecode instructions"));
        }
        self.f.code.push(ins);
        self.f.lines.push(self.lex.last_line);
        Ok(pc)
    }

    /// Appends a jump, or makes the closing instruction just before into one.
    pub(super) fn emit_jump(&mut self) -> Result<Pc> {
        let pending = std::mem::take(&mut self.f.pending);
        let last = self.f.pc().wrapping_sub(1);
        let jump = if last as i32 >= self.f.last_target as i32 && self.f.op(last) == Some(Op::UCLO) {
            self.f.end_list(last);
            self.f.last_target = last + 1;
            last
        } else {
            let pc = self.emit(aj(Op::JMP, self.f.free as Reg, 0))?;
            self.f.end_list(pc);
            pc
        };
        let mut list = JumpList(Some(jump));
        self.append(&mut list, pending)?;
        Ok(list.0.unwrap_or(jump))
    }

    // -- Jump lists --

    /// Makes the jump at `pc` lead to `target`.
    pub(super) fn set_jump(&mut self, pc: Pc, target: Pc) -> Result<()> {
        let offset = i64::from(target) - i64::from(pc) - 1 + i64::from(bc::BIAS_J);
        match u16::try_from(offset) {
            Ok(d) => {
                self.f.set_d(pc, d);
                Ok(())
            }
            Err(_) => Err(self.lex.error_here(SyntaxErrorKind::JumpTooLong)),
        }
    }

    /// Appends one list to another.
    pub(super) fn append(&mut self, list: &mut JumpList, tail: JumpList) -> Result<()> {
        let Some(first) = tail.0 else { return Ok(()) };
        let Some(mut pc) = list.0 else {
            *list = tail;
            return Ok(());
        };
        while let Some(next) = self.f.next_jump(pc).0 {
            pc = next;
        }
        self.set_jump(pc, first)
    }

    /// Leads jumps that produce a value (into `reg`) to `value_target`, the others to `target`.
    pub(super) fn patch_values(
        &mut self,
        mut list: JumpList,
        value_target: Pc,
        reg: Reg,
        target: Pc,
    ) -> Result<()> {
        while let Some(pc) = list.0 {
            list = self.f.next_jump(pc);
            let carries = self.f.set_test_register(pc, reg);
            self.set_jump(pc, if carries { value_target } else { target })?;
        }
        Ok(())
    }

    /// Leads a list to the next instruction.
    pub(super) fn jump_here(&mut self, list: JumpList) -> Result<()> {
        self.f.last_target = self.f.pc();
        let mut pending = self.f.pending;
        self.append(&mut pending, list)?;
        self.f.pending = pending;
        Ok(())
    }

    /// Leads a list to an instruction, the next one included.
    pub(super) fn jump_to(&mut self, list: JumpList, target: Pc) -> Result<()> {
        if target == self.f.pc() {
            self.jump_here(list)
        } else {
            self.patch_values(list, target, NO_REG, target)
        }
    }

    // -- Registers --

    /// Makes the frame large enough for `count` more registers.
    pub(super) fn bump(&mut self, count: u32) -> Result<()> {
        let size = self.f.free + count;
        if size > self.f.frame_size {
            if size >= limit::SLOTS {
                return Err(self.lex.error_here(SyntaxErrorKind::TooComplex));
            }
            self.f.frame_size = size;
        }
        Ok(())
    }

    /// Takes `count` registers.
    pub(super) fn reserve(&mut self, count: u32) -> Result<()> {
        self.bump(count)?;
        self.f.free += count;
        Ok(())
    }

    /// Gives a temporary back.
    pub(super) fn free_register(&mut self, reg: Reg) {
        if u32::from(reg) >= self.f.active {
            self.f.free = self.f.free.saturating_sub(1);
            debug_assert_eq!(u32::from(reg), self.f.free, "temporaries are freed in order");
        }
    }
}
