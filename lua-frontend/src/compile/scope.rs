//! Names: local variables, upvalues, constants, labels and the jumps to them.
//!
//! All variables of the functions under construction are in one list, outermost function first; `heads` leads from a symbol
//! to its newest visible variable, which leads on to those that it hides. A variable that belongs to an outer function
//! becomes an upvalue of every function between.
//!
//! A jump statement waits in the function's list until its label is known. A forward jump is resolved at the label; a backward one at
//! the end of the label's block, because only then is it known whether the block's variables were captured and the jump must
//! close them.

use super::expression::{Exp, JumpList, Kind, Pc};
use super::function::{Block, Label, PendingJump, Target, UpvalueRef};
use super::{Compiler, limit};
use crate::bytecode::{self as bc, Op, aj};
use crate::syntax::{Result, Symbol, SyntaxErrorKind};

/// No variable.
pub(super) const NO_VAR: u32 = u32::MAX;

/// A local variable of some open function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Var {
    pub name: Symbol,
    pub start: Pc,
    pub end: Pc,
    pub reg: u32,
    /// Assigned after its initialisation.
    pub assigned: bool,
    pub constant: bool,
    /// Not visible to the program.
    pub hidden: bool,
    /// The variable of the same name that it hides.
    pub shadows: u32,
}

impl Compiler<'_> {
    fn name_text(&self, symbol: Symbol) -> String {
        String::from_utf8_lossy(self.lex.symbols.get(symbol)).into_owned()
    }

    pub(super) fn head(&self, name: Symbol) -> u32 {
        self.heads.get(name.0 as usize).copied().unwrap_or(NO_VAR)
    }

    pub(super) fn set_head(&mut self, name: Symbol, var: u32) {
        let index = name.0 as usize;
        if index >= self.heads.len() {
            self.heads.resize(index + 1, NO_VAR);
        }
        self.heads[index] = var;
    }

    /// Declares the `position`-th of several new variables; it becomes visible in [`Self::activate`].
    pub(super) fn declare(&mut self, position: u32, name: Symbol) -> Result<u32> {
        let mut visible = self.head(name);
        while let Some(var) = self.vars.get(visible as usize) {
            if var.constant {
                let name = self.name_text(name);
                return Err(self.lex.error(SyntaxErrorKind::RedeclareConst(name), None));
            }
            visible = var.shadows;
        }
        self.declare_var(position, name, false)
    }

    /// Declares a variable that the program cannot name.
    pub(super) fn declare_hidden(&mut self, position: u32, name: &str) -> Result<()> {
        let name = self.lex.symbols.intern(name.as_bytes());
        self.declare_var(position, name, true)?;
        Ok(())
    }

    fn declare_var(&mut self, position: u32, name: Symbol, hidden: bool) -> Result<u32> {
        if self.f.active + position >= limit::LOCALS {
            return Err(self.limit_error(limit::LOCALS, "local variables"));
        }
        if self.vars.len() >= limit::CHUNK_LOCALS as usize {
            return Err(self.lex.error(SyntaxErrorKind::TooManyChunkLocals(limit::CHUNK_LOCALS), None));
        }
        let number = self.vars.len() as u32;
        let var =
            Var { name, start: 0, end: 0, reg: 0, assigned: false, constant: false, hidden, shadows: NO_VAR };
        self.vars.push(var);
        self.f.register_vars.truncate((self.f.active + position) as usize);
        self.f.register_vars.push(number);
        Ok(number)
    }

    /// Makes the next `count` declared variables visible.
    pub(super) fn activate(&mut self, count: u32) {
        for _ in 0..count {
            let number = self.f.register_vars[self.f.active as usize];
            let var = &mut self.vars[number as usize];
            var.start = self.f.code.len() as Pc;
            var.reg = self.f.active;
            self.f.active += 1;
            if !var.hidden {
                let name = var.name;
                let shadows = self.head(name);
                self.vars[number as usize].shadows = shadows;
                self.set_head(name, number);
            }
        }
    }

    fn deactivate(&mut self, level: u32) {
        while self.f.active > level {
            self.f.active -= 1;
            let number = self.f.register_vars[self.f.active as usize];
            let var = &mut self.vars[number as usize];
            var.end = self.f.code.len() as Pc;
            if !var.hidden {
                let (name, shadows) = (var.name, var.shadows);
                self.set_head(name, shadows);
            }
        }
    }

    /// The expression that a name stands for.
    pub(super) fn lookup(&mut self, name: Symbol) -> Result<Exp> {
        let number = self.head(name);
        let Some(var) = self.vars.get(number as usize) else { return Ok(Exp::new(Kind::Global(name))) };
        if number as usize >= self.f.first_var {
            return Ok(Exp::new(Kind::Local { reg: var.reg as u8, var: number }));
        }
        let reg = var.reg;
        let index = match self.f.upvalues.iter().position(|u| u.var == number) {
            Some(known) => known as u8,
            None => self.capture(number, reg)?,
        };
        Ok(Exp::new(Kind::Upvalue { index, var: number }))
    }

    /// Makes an outer variable an upvalue of the current function and of those between.
    fn capture(&mut self, number: u32, reg: u32) -> Result<u8> {
        // From the current function outwards to the one that owns the variable or has the upvalue already.
        let depth = self.outer.len();
        let mut owner = depth;
        let mut outer_index = None;
        while owner > 0 {
            owner -= 1;
            let function = &self.outer[owner];
            if number as usize >= function.first_var {
                break;
            }
            if let Some(known) = function.upvalues.iter().position(|u| u.var == number) {
                outer_index = Some(known as u8);
                break;
            }
        }
        // The limit is reported for the innermost function that reaches it.
        for function in std::iter::once(&self.f).chain(self.outer[owner + 1..].iter().rev()) {
            if function.upvalues.len() >= limit::UPVALUES as usize {
                let (limit, what) = (limit::UPVALUES, "upvalues");
                let kind = match function.first_line {
                    0 => SyntaxErrorKind::MainLimit { limit, what },
                    line => SyntaxErrorKind::FunctionLimit { line, limit, what },
                };
                return Err(self.lex.error(kind, None));
            }
        }
        if outer_index.is_none() {
            let blocks = &mut self.outer[owner].blocks;
            if let Some(block) = blocks.iter_mut().rev().find(|block| block.active <= reg) {
                block.captured = true;
            }
        }
        for level in owner + 1..=depth {
            let function = if level == depth { &mut self.f } else { &mut self.outer[level] };
            function.upvalues.push(UpvalueRef { var: number, outer: outer_index });
            outer_index = Some(function.upvalues.len() as u8 - 1);
        }
        Ok(outer_index.unwrap_or(0))
    }

    /// Refuses assignment to a constant.
    pub(super) fn check_assignable(&self, e: &Exp) -> Result<()> {
        if let Kind::Local { var, .. } | Kind::Upvalue { var, .. } = e.kind {
            let var = &self.vars[var as usize];
            if var.constant {
                return Err(self.lex.error(SyntaxErrorKind::AssignConst(self.name_text(var.name)), None));
            }
        }
        Ok(())
    }

    // -- Blocks --

    /// Opens a block.
    pub(super) fn open_block(&mut self, is_loop: bool) {
        debug_assert_eq!(self.f.free, self.f.active, "no temporaries at the start of a block");
        self.f.blocks.push(Block {
            active: self.f.active,
            jumps: self.f.jumps.len(),
            labels: self.f.labels.len(),
            is_loop,
            ..Block::default()
        });
    }

    /// Closes the innermost block: its variables end, captured ones are closed, and its jumps are resolved or handed on.
    pub(super) fn close_block(&mut self) -> Result<()> {
        let Some(block) = self.f.blocks.pop() else { return Ok(()) };
        self.deactivate(block.active);
        self.f.free = self.f.active;
        if block.captured && !block.no_close {
            self.emit(aj(Op::UCLO, block.active as u8, 0))?;
        }
        if block.is_loop {
            let label = Label { target: Target::Break, pc: self.f.pc(), active: self.f.active };
            self.resolve_forward(&block, label)?;
        }
        self.resolve_backward(&block)
    }

    /// Adds the target of `continue` to the innermost block.
    pub(super) fn continue_label(&mut self, pc: Pc) -> Result<()> {
        let Some(&block) = self.f.blocks.last() else { return Ok(()) };
        self.resolve_forward(&block, Label { target: Target::Continue, pc, active: self.f.active })
    }

    // -- Jump statements --

    /// A jump statement at the current position.
    pub(super) fn jump_statement(&mut self, target: Target) -> Result<()> {
        let pc = self.emit_jump()?;
        let active = self.f.active;
        self.f.jumps.push(PendingJump { target, pc, active });
        Ok(())
    }

    /// The label of this name in the innermost block.
    pub(super) fn find_label(&self, name: Symbol) -> Option<Label> {
        let start = self.f.blocks.last().map_or(0, |block| block.labels);
        self.f.labels[start..].iter().find(|label| label.target == Target::Name(name)).copied()
    }

    pub(super) fn duplicate_label(&self, name: Symbol) -> Box<crate::syntax::SyntaxError> {
        self.lex.error(SyntaxErrorKind::DuplicateLabel(self.name_text(name)), None)
    }

    /// Resolves the jumps of a block that wait for a label that has just been reached.
    pub(super) fn resolve_forward(&mut self, block: &Block, label: Label) -> Result<()> {
        let mut i = block.jumps;
        while let Some(&jump) = self.f.jumps.get(i) {
            if jump.target != label.target {
                i += 1;
                continue;
            }
            if jump.active < label.active {
                let local =
                    self.f.register_vars.get(jump.active as usize).map(|&v| self.vars[v as usize].name);
                let local = local.map_or_else(String::new, |name| self.name_text(name));
                let kind = match jump.target {
                    Target::Name(name) => {
                        SyntaxErrorKind::GotoIntoScope { label: self.name_text(name), local }
                    }
                    _ => SyntaxErrorKind::ContinueIntoScope(local),
                };
                return Err(self.error_at(jump.pc, kind));
            }
            self.resolve(jump, label)?;
            self.f.jumps.remove(i);
        }
        Ok(())
    }

    fn resolve(&mut self, jump: PendingJump, label: Label) -> Result<()> {
        self.f.set_a(jump.pc, label.active as u8);
        self.jump_to(JumpList(Some(jump.pc)), label.pc)
    }

    /// At the end of a block: backward jumps to its labels, then the rest goes to the block around.
    fn resolve_backward(&mut self, block: &Block) -> Result<()> {
        let labels = self.f.labels.split_off(block.labels);
        if self.f.jumps.len() == block.jumps {
            return Ok(());
        }
        let jumps = self.f.jumps.split_off(block.jumps);
        for mut jump in jumps {
            if let Some(label) = labels.iter().find(|label| label.target == jump.target) {
                if block.captured && jump.active > label.active {
                    self.close_in_jump(jump)?;
                }
                self.resolve(jump, *label)?;
                continue;
            }
            if self.f.blocks.is_empty() {
                let kind = match jump.target {
                    Target::Break => SyntaxErrorKind::NoLoopToBreak,
                    Target::Continue => SyntaxErrorKind::NoLoopToContinue,
                    Target::Name(name) => SyntaxErrorKind::UndefinedLabel(self.name_text(name)),
                };
                return Err(self.error_at(jump.pc, kind));
            }
            jump.active = block.active;
            if block.captured {
                self.close_in_jump(jump)?;
            }
            self.f.jumps.push(jump);
        }
        Ok(())
    }

    /// Lets a jump statement close the variables that it leaves.
    fn close_in_jump(&mut self, jump: PendingJump) -> Result<()> {
        let pc = jump.pc;
        self.f.set_a(pc, jump.active as u8);
        if bc::op(self.f.code[pc as usize]) == Some(Op::JMP) {
            let rest = self.f.next_jump(pc);
            if rest.0.is_some() {
                // Jumps that were merged into this one lead to it.
                self.jump_to(rest, pc)?;
            }
            self.f.set_op(pc, Op::UCLO);
            self.f.end_list(pc);
        }
        Ok(())
    }

    /// An error at the line of an instruction.
    fn error_at(&mut self, pc: Pc, kind: SyntaxErrorKind) -> Box<crate::syntax::SyntaxError> {
        self.lex.line = self.f.lines[pc as usize];
        self.lex.error(kind, None)
    }
}
