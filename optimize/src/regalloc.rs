//! Register allocation: a forward linear scan over lines whose operands know their next use.
//!
//! Terms
//! - A *line* ([`Line`]) is one host instruction as the allocator sees it: operands, registers it destroys, its kind. Lines
//!   are stored *last first*, as selection makes them; a greater index is earlier in the program.
//! - A *virtual register* is defined by one line. It is in a register, in its spill slot, or both.
//! - A *hot* use is one of an instruction; an *exit* use is one that only out-of-line code makes, and it may be anywhere.
//!
//! A value that is ever evicted is stored to its spill slot once, right behind its definition ([`Allocation::spill`]), so
//! evicting emits no code, and what only exits use costs a loop nothing: it is stored before the loop and lies in its slot.
//! Values that can be made again from nothing ([`Vreg::remat`], literals) have no slot.
//!
//! A loop is a [`Kind::Head`] line, which defines the loop's parameters, and a [`Kind::Back`] line as the last of the program.
//! Where each value is at the head is decided when the scan comes there; the back edge moves everything to the same
//! places. When it turns out that a value did not stay in its register through the body, the body is allocated
//! again with that value in its slot from the start.
//!
//! What is guaranteed is checked by [`crate::regcheck`] in debug builds.

/// A register: 0–15 general, 16–47 vector.
pub type Reg = u8;

/// First vector register.
pub const VECTOR: Reg = 16;

/// No register, no line, no virtual register.
pub const NONE: u32 = u32::MAX;

/// No register.
pub const NO_REG: Reg = u8::MAX;

/// A set of registers, one bit each.
pub type RegSet = u64;

/// What a virtual register needs.
#[derive(Clone, Copy, Debug)]
pub struct Vreg {
    /// The registers that may hold it.
    pub class: RegSet,
    /// The register it would like.
    pub hint: Reg,
    /// Bytes of its spill slot.
    pub size: u8,
    /// It needs no slot: it can be made again anywhere.
    pub remat: bool,
}

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Loc {
    /// Nowhere (not allocated, or dead).
    #[default]
    None,
    /// In a register.
    Reg(Reg),
    /// In a spill slot.
    Spill(u16),
    /// To be made again.
    Remat,
}

/// What an operand does, and where it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Read, in a register.
    Use,
    /// Read, in a register other than those in the allocator's `not_index` set.
    Index,
    /// Read, in a register or a spill slot.
    Any,
    /// Read, in this register.
    Fixed(Reg),
    /// Used by out-of-line code only.
    Exit,
    /// Written at the end, when operands have been read.
    Def,
    /// Written before all operands are read.
    Early,
    /// Written early, but wants the register of the line's first operand if that dies (of the second, if `.0`).
    Reuse(bool),
    /// Written, in this register.
    DefFixed(Reg),
    /// A register of its own for the line.
    Temp,
    /// (Of a head or back edge) lives through the loop.
    Through,
}

/// An operand of a line.
#[derive(Clone, Copy, Debug)]
pub struct Opnd {
    /// The virtual register.
    pub vreg: u32,
    /// The line of its next hot use behind this line.
    pub next: u32,
    /// Is it used behind this line at all?
    pub live: bool,
    /// What it does.
    pub role: Role,
    /// Where it was put.
    pub loc: Loc,
}

/// What kind of line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An instruction.
    Plain,
    /// The loop's head: one [`Role::Any`] operand (entry value) per parameter, then one [`Role::Def`] each, then
    /// [`Role::Through`] values.
    Head,
    /// The back edge: one [`Role::Any`] per parameter, [`Role::Exit`] values of the exit that may be taken behind it, then
    /// [`Role::Through`] values in the same order as at the head.
    Back,
}

/// A line.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// First operand in the pool.
    pub start: u32,
    /// Number of operands.
    pub len: u32,
    /// Registers it destroys.
    pub clobbers: RegSet,
    /// Its kind.
    pub kind: Kind,
}

/// What is allocated.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Virtual registers.
    pub vregs: Vec<Vreg>,
    /// Lines, last first.
    pub lines: Vec<Line>,
    /// Operands of all lines.
    pub opnds: Vec<Opnd>,
}

impl Program {
    /// The operands of a line.
    pub fn of(&self, line: &Line) -> &[Opnd] {
        &self.opnds[line.start as usize..(line.start + line.len) as usize]
    }
}

/// What to emit, in program order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The line with this index, its operands where [`Opnd::loc`] says.
    Line(u32),
    /// Copies a value: from a register, a slot or from nothing into a register.
    Move {
        /// Which.
        vreg: u32,
        /// From.
        from: Loc,
        /// To.
        to: Reg,
    },
    /// Moves in parallel: [`Allocation::moves`] from `.0` up to `.1`. Stands before the head or back line it belongs to.
    Moves(u32, u32),
}

/// One of several moves that happen at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The value moved.
    pub from_vreg: u32,
    /// Where it is.
    pub from: Loc,
    /// What it is called there.
    pub to_vreg: u32,
    /// Where it goes.
    pub to: Loc,
}

/// The result, besides [`Opnd::loc`].
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// What to emit.
    pub actions: Vec<Action>,
    /// Parallel moves.
    pub moves: Vec<Move>,
    /// Per virtual register: the slot to which its definition stores it ([`Loc::None`]: none).
    pub spill: Vec<Loc>,
    /// Offset and size of each slot.
    pub slots: Vec<Slot>,
}

/// A spill slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Offset in the spill area.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u8,
    /// The line at which its last occupant died; [`NONE`] while it is occupied.
    free: u32,
}

/// The spill area is too small.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no spill slot is left")]
pub struct OutOfSlots;

/// Everything that a second attempt at a loop starts from.
#[derive(Clone, Debug, Default)]
struct State {
    /// Register of each virtual register.
    reg: Vec<Reg>,
    spill: Vec<Loc>,
    /// Line of its next hot use.
    next: Vec<u32>,
    /// Occupant of each register.
    held: Vec<u32>,
    free: RegSet,
    slots: Vec<Slot>,
    area: u32,
    actions: usize,
    moves: usize,
}

/// The allocator with its buffers.
#[derive(Debug, Default)]
pub struct Allocator {
    s: State,
    def_line: Vec<u32>,
    demoted: Vec<bool>,
    /// Registers that only values allowed there by their hint may take.
    special: RegSet,
    not_index: RegSet,
    area_size: u32,
    pinned: RegSet,
    head: Vec<Loc>,
    head_line: u32,
}

fn bit(r: Reg) -> RegSet {
    1 << r
}

impl Allocator {
    /// Allocates. `registers` are those there are, `special` those of them that only values which wish for them may be in
    /// (and which are no index of an address); `area` is the size of the spill area.
    ///
    /// # Errors
    /// When the spill area is too small.
    pub fn run(
        &mut self,
        program: &mut Program,
        registers: RegSet,
        special: RegSet,
        area: u32,
        out: &mut Allocation,
    ) -> Result<(), OutOfSlots> {
        let n = program.vregs.len();
        self.special = special;
        self.not_index = special;
        self.area_size = area;
        let s = &mut self.s;
        s.reg.clear();
        s.reg.resize(n, NO_REG);
        s.spill.clear();
        s.spill.resize(n, Loc::None);
        s.next.clear();
        s.next.resize(n, NONE);
        s.held.clear();
        s.held.resize(64, NONE);
        s.free = registers;
        s.slots.clear();
        s.area = 0;
        self.def_line.clear();
        self.def_line.resize(n, 0);
        self.demoted.clear();
        self.demoted.resize(n, false);
        out.actions.clear();
        out.moves.clear();
        let mut saved: Option<(usize, State)> = None;
        let mut attempts = 0;
        let mut at = program.lines.len();
        while at > 0 {
            at -= 1;
            match program.lines[at].kind {
                Kind::Plain => self.plain(program, at as u32, out)?,
                Kind::Head => {
                    if saved.is_none() {
                        self.s.actions = out.actions.len();
                        self.s.moves = out.moves.len();
                        saved = Some((at, self.s.clone()));
                    }
                    self.head(program, at as u32, out)?;
                }
                Kind::Back => {
                    let again = self.back(program, at as u32, attempts < 4, out)?;
                    if again && let Some((head, state)) = &saved {
                        attempts += 1;
                        self.s.clone_from(state);
                        out.actions.truncate(state.actions);
                        out.moves.truncate(state.moves);
                        at = *head + 1;
                    }
                }
            }
        }
        out.spill.clone_from(&self.s.spill);
        out.slots.clone_from(&self.s.slots);
        Ok(())
    }

    // --- the state ---------------------------------------------------------------------------------

    fn loc(&self, program: &Program, v: u32) -> Loc {
        match self.s.reg[v as usize] {
            NO_REG if program.vregs[v as usize].remat => Loc::Remat,
            NO_REG => self.s.spill[v as usize],
            r => Loc::Reg(r),
        }
    }

    fn put(&mut self, v: u32, r: Reg) {
        let old = self.s.reg[v as usize];
        if old != NO_REG {
            self.s.free |= bit(old);
            self.s.held[old as usize] = NONE;
        }
        self.s.reg[v as usize] = r;
        self.s.held[r as usize] = v;
        self.s.free &= !bit(r);
    }

    fn leave(&mut self, v: u32) {
        let r = self.s.reg[v as usize];
        if r != NO_REG {
            self.s.free |= bit(r);
            self.s.held[r as usize] = NONE;
            self.s.reg[v as usize] = NO_REG;
        }
    }

    /// It is not used any more.
    fn dies(&mut self, v: u32, line: u32) {
        self.leave(v);
        if let Loc::Spill(i) = self.s.spill[v as usize] {
            self.s.slots[i as usize].free = line;
        }
    }

    /// Gives it a slot, if it has none and needs one.
    fn slot(&mut self, program: &Program, v: u32) -> Result<(), OutOfSlots> {
        let vreg = &program.vregs[v as usize];
        if vreg.remat || self.s.spill[v as usize] != Loc::None {
            return Ok(());
        }
        let def = self.def_line[v as usize];
        // A slot serves if its last occupant died before this value was defined.
        let fits = |s: &Slot| s.size == vreg.size && s.free != NONE && s.free >= def;
        self.s.spill[v as usize] = match self.s.slots.iter().position(fits) {
            Some(i) => {
                self.s.slots[i].free = NONE;
                Loc::Spill(i as u16)
            }
            None => self.new_slot(vreg.size)?,
        };
        Ok(())
    }

    fn new_slot(&mut self, size: u8) -> Result<Loc, OutOfSlots> {
        let offset = self.s.area.next_multiple_of(size.into());
        if offset + u32::from(size) > self.area_size {
            return Err(OutOfSlots);
        }
        self.s.area = offset + u32::from(size);
        self.s.slots.push(Slot { offset, size, free: NONE });
        Ok(Loc::Spill(self.s.slots.len() as u16 - 1))
    }

    fn evict(&mut self, program: &Program, v: u32) -> Result<(), OutOfSlots> {
        self.slot(program, v)?;
        self.leave(v);
        Ok(())
    }

    /// The registers that may hold it.
    fn allowed(&self, program: &Program, v: u32) -> RegSet {
        let vreg = &program.vregs[v as usize];
        let wished = if vreg.hint == NO_REG { 0 } else { bit(vreg.hint) };
        vreg.class & (!self.special | wished)
    }

    /// A register out of `allowed` that nothing occupies afterwards: the hint, a free one, or that of the value that can
    /// best be without.
    fn take(
        &mut self,
        program: &Program,
        line: u32,
        allowed: RegSet,
        hint: Reg,
    ) -> Result<Option<Reg>, OutOfSlots> {
        let allowed = allowed & !self.pinned;
        let free = allowed & self.s.free;
        if hint != NO_REG && free & bit(hint) != 0 {
            return Ok(Some(hint));
        }
        if free & !self.special != 0 {
            return Ok(Some((free & !self.special).trailing_zeros() as Reg));
        }
        let mut best = None;
        let mut rest = allowed & !self.special;
        while rest != 0 {
            let r = rest.trailing_zeros() as Reg;
            rest &= rest - 1;
            let v = self.s.held[r as usize];
            if v == NONE {
                continue; // Not a register of this run, or lent to an operand.
            }
            let next = self.s.next[v as usize];
            let distance = if next == NONE { 1 << 20 } else { line.saturating_sub(next) };
            let vreg = &program.vregs[v as usize];
            let stored = vreg.remat || self.s.spill[v as usize] != Loc::None;
            let outside = self.def_line[v as usize] > self.head_line;
            let score = if stored {
                distance + distance / 2 + 8
            } else if outside {
                distance + distance / 4 + 4
            } else {
                distance
            };
            if best.is_none_or(|(s, _, _)| score > s) {
                best = Some((score, r, v));
            }
        }
        let Some((_, r, v)) = best else { return Ok(None) };
        self.evict(program, v)?;
        Ok(Some(r))
    }

    fn take_or_fail(
        &mut self,
        program: &Program,
        line: u32,
        allowed: RegSet,
        hint: Reg,
    ) -> Result<Reg, OutOfSlots> {
        self.take(program, line, allowed, hint)?.ok_or(OutOfSlots)
    }

    /// A register that is written before the line may fault: what out-of-line code needs of it is in memory instead.
    fn early(
        &mut self,
        program: &mut Program,
        at: u32,
        allowed: RegSet,
        hint: Reg,
        exit_regs: RegSet,
    ) -> Result<Reg, OutOfSlots> {
        let free = allowed & self.s.free & !self.pinned & !exit_regs;
        let allowed = if free & !self.special != 0 { free } else { allowed };
        let r = self.take_or_fail(program, at, allowed, hint)?;
        if exit_regs & bit(r) != 0 {
            let line = program.lines[at as usize];
            for i in line.start as usize..(line.start + line.len) as usize {
                let o = program.opnds[i];
                if o.role != Role::Exit || o.loc != Loc::Reg(r) {
                    continue;
                }
                self.slot(program, o.vreg)?;
                program.opnds[i].loc = match self.s.spill[o.vreg as usize] {
                    Loc::Spill(s) => {
                        if !o.live {
                            self.s.slots[s as usize].free = at;
                        }
                        Loc::Spill(s)
                    }
                    _ => Loc::Remat,
                };
            }
        }
        Ok(r)
    }

    /// Moves whatever is in `r` elsewhere.
    fn clear(
        &mut self,
        program: &Program,
        line: u32,
        r: Reg,
        avoid: RegSet,
        out: &mut Allocation,
    ) -> Result<(), OutOfSlots> {
        let v = self.s.held[r as usize];
        if v == NONE {
            return Ok(());
        }
        let free = self.allowed(program, v) & self.s.free & !self.pinned & !avoid & !bit(r) & !self.special;
        let vreg = &program.vregs[v as usize];
        let hot = self.s.next[v as usize] != NONE;
        if free != 0 && !vreg.remat && (hot || self.s.spill[v as usize] == Loc::None) {
            let to = if vreg.hint != NO_REG && free & bit(vreg.hint) != 0 {
                vreg.hint
            } else {
                free.trailing_zeros() as Reg
            };
            out.actions.push(Action::Move { vreg: v, from: Loc::Reg(r), to });
            self.put(v, to);
        } else {
            self.evict(program, v)?;
        }
        let _ = line;
        Ok(())
    }

    // --- lines -------------------------------------------------------------------------------------

    fn plain(&mut self, program: &mut Program, at: u32, out: &mut Allocation) -> Result<(), OutOfSlots> {
        let line = program.lines[at as usize];
        let range = line.start as usize..(line.start + line.len) as usize;
        self.pinned = 0;
        let mut fixed: RegSet = 0;
        let mut defined: RegSet = line.clobbers;
        let mut exits = false;
        for o in &program.opnds[range.clone()] {
            match o.role {
                Role::Fixed(r) => fixed |= bit(r),
                Role::DefFixed(r) => defined |= bit(r),
                Role::Exit => exits = true,
                _ => {}
            }
        }
        // Registers lent to copies of fixed operands, to be free again behind the line.
        let mut lent: RegSet = 0;

        // Operands in given registers.
        if fixed != 0 {
            for i in range.clone() {
                let o = program.opnds[i];
                let Role::Fixed(r) = o.role else { continue };
                if o.vreg == NONE {
                    continue;
                }
                if self.s.reg[o.vreg as usize] != r {
                    self.clear(program, at, r, fixed | defined, out)?;
                    let from = self.loc(program, o.vreg);
                    out.actions.push(Action::Move { vreg: o.vreg, from, to: r });
                    if self.s.reg[o.vreg as usize] == NO_REG
                        && defined & bit(r) == 0
                        && self.allowed(program, o.vreg) & bit(r) != 0
                    {
                        self.put(o.vreg, r);
                    } else {
                        lent |= bit(r);
                        self.s.free &= !bit(r);
                    }
                }
                self.pinned |= bit(r);
                program.opnds[i].loc = Loc::Reg(r);
            }
        }

        // Operands in any register.
        for i in range.clone() {
            let o = program.opnds[i];
            if o.vreg == NONE {
                continue;
            }
            let v = o.vreg as usize;
            match o.role {
                Role::Use | Role::Index | Role::Any => {}
                _ => continue,
            }
            let mut r = self.s.reg[v];
            if r == NO_REG {
                let vreg = program.vregs[v];
                let soon = o.next != NONE && at - o.next < 48;
                let room = self.allowed(program, o.vreg)
                    & self.s.free
                    & !self.pinned
                    & !self.special
                    & !fixed
                    & !defined;
                if o.role == Role::Any && !vreg.remat && !(soon && room != 0) {
                    program.opnds[i].loc = self.s.spill[v];
                    continue;
                }
                let allowed = self.allowed(program, o.vreg) & !self.special & !fixed & !lent;
                let avoid = if o.live { defined } else { 0 };
                let to = match self.take(program, at, allowed & !avoid, vreg.hint)? {
                    Some(r) => r,
                    None => self.take_or_fail(program, at, allowed, vreg.hint)?,
                };
                let from = self.loc(program, o.vreg);
                out.actions.push(Action::Move { vreg: o.vreg, from, to });
                self.put(o.vreg, to);
                r = to;
            } else if o.role == Role::Index && self.not_index & bit(r) != 0 {
                // A copy for this line.
                let allowed = program.vregs[v].class & !self.special & !fixed & !lent;
                let to = self.take_or_fail(program, at, allowed, NO_REG)?;
                out.actions.push(Action::Move { vreg: o.vreg, from: Loc::Reg(r), to });
                lent |= bit(to);
                self.s.free &= !bit(to);
                r = to;
            }
            self.pinned |= bit(r);
            program.opnds[i].loc = Loc::Reg(r);
        }

        // What lives on must be out of the registers that are written.
        let mut rest = defined;
        while rest != 0 {
            let r = rest.trailing_zeros() as Reg;
            rest &= rest - 1;
            let v = self.s.held[r as usize];
            if v == NONE {
                continue;
            }
            let dies = program.opnds[range.clone()].iter().any(|o| {
                o.vreg == v
                    && !o.live
                    && matches!(o.role, Role::Use | Role::Index | Role::Any | Role::Fixed(_))
            });
            let exit = program.opnds[range.clone()].iter().any(|o| o.vreg == v && o.role == Role::Exit);
            if !dies || exit {
                self.clear(program, at, r, fixed | defined | lent, out)?;
            }
        }
        self.pinned |= defined;

        // Registers for the line alone.
        for i in range.clone() {
            if program.opnds[i].role != Role::Temp {
                continue;
            }
            let class = program.vregs[program.opnds[i].vreg as usize].class;
            let r = self.take_or_fail(program, at, class & !self.special & !fixed & !lent, NO_REG)?;
            self.pinned |= bit(r);
            lent |= bit(r);
            self.s.free &= !bit(r);
            program.opnds[i].loc = Loc::Reg(r);
        }

        // Where out-of-line code finds its values.
        let mut exit_regs = 0;
        if exits {
            for i in range.clone() {
                let o = program.opnds[i];
                if o.role != Role::Exit || o.vreg == NONE {
                    continue;
                }
                let loc = self.loc(program, o.vreg);
                if let Loc::Reg(r) = loc {
                    exit_regs |= bit(r);
                }
                program.opnds[i].loc = loc;
            }
        }
        out.actions.push(Action::Line(at));

        // Dead operands give their registers back; the next uses become known.
        let used = self.pinned;
        for o in &program.opnds[range.clone()] {
            if o.vreg == NONE {
                continue;
            }
            if matches!(o.role, Role::Use | Role::Index | Role::Any | Role::Fixed(_) | Role::Exit) {
                if o.live {
                    self.s.next[o.vreg as usize] = o.next;
                } else {
                    self.dies(o.vreg, at);
                }
            }
        }

        // Results.
        let mut dead: RegSet = 0;
        for i in range.clone() {
            let o = program.opnds[i];
            if !matches!(o.role, Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_))
                || o.vreg == NONE
            {
                continue;
            }
            let vreg = program.vregs[o.vreg as usize];
            let allowed = self.allowed(program, o.vreg);
            self.def_line[o.vreg as usize] = at;
            let r = match o.role {
                Role::DefFixed(r) => r,
                Role::Def => {
                    // Written by one instruction, which has not written anything when it faults.
                    self.pinned = lent | defined | dead;
                    self.take_or_fail(program, at, allowed, vreg.hint)?
                }
                Role::Reuse(commutative) => {
                    self.pinned = lent | defined | dead;
                    let mut chosen = NO_REG;
                    for k in 0..if commutative { 2 } else { 1 } {
                        if let Some(use_) = program.opnds[range.clone()].get(k)
                            && let Loc::Reg(r) = use_.loc
                            && allowed & self.s.free & !self.pinned & bit(r) != 0
                            && (chosen == NO_REG || vreg.hint == r)
                        {
                            chosen = r;
                        }
                    }
                    if chosen == NO_REG {
                        self.pinned |= used;
                        chosen = self.early(program, at, allowed, vreg.hint, exit_regs)?;
                    }
                    chosen
                }
                _ => {
                    self.pinned = lent | used | dead;
                    self.early(program, at, allowed, vreg.hint, exit_regs)?
                }
            };
            if self.s.held[r as usize] != NONE {
                let v = self.s.held[r as usize];
                self.evict(program, v)?;
            }
            self.put(o.vreg, r);
            lent &= !bit(r);
            program.opnds[i].loc = Loc::Reg(r);
            self.s.next[o.vreg as usize] = o.next;
            if !o.live {
                dead |= bit(r);
            }
        }
        self.s.free |= lent;
        if dead != 0 {
            for o in &program.opnds[range] {
                if !o.live
                    && o.vreg != NONE
                    && matches!(o.role, Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_))
                {
                    self.dies(o.vreg, at);
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, program: &mut Program, at: u32, out: &mut Allocation) -> Result<(), OutOfSlots> {
        let line = program.lines[at as usize];
        let range = line.start as usize..(line.start + line.len) as usize;
        self.head_line = at;
        self.pinned = 0;
        let count = program.opnds[range.clone()].iter().filter(|o| o.role == Role::Any).count();
        let entries: Vec<Loc> = (0..count)
            .map(|k| match program.opnds[range.start + k].vreg {
                NONE => Loc::None,
                v => self.loc(program, v),
            })
            .collect();
        for (k, entry) in entries.iter().enumerate() {
            let o = program.opnds[range.start + k];
            program.opnds[range.start + k].loc = *entry;
            if o.vreg != NONE && !o.live {
                self.dies(o.vreg, at);
            }
        }
        // What proved unable to stay in a register through the body goes to its slot before it.
        for i in range.start + 2 * count..range.end {
            let o = program.opnds[i];
            self.s.next[o.vreg as usize] = o.next;
            if self.demoted[o.vreg as usize] {
                self.evict(program, o.vreg)?;
            }
        }
        let first_move = out.moves.len() as u32;
        for (k, entry) in entries.iter().enumerate() {
            let i = range.start + count + k;
            let o = program.opnds[i];
            let vreg = program.vregs[o.vreg as usize];
            self.def_line[o.vreg as usize] = at;
            self.s.next[o.vreg as usize] = o.next;
            let allowed = self.allowed(program, o.vreg);
            let own = match *entry {
                Loc::Reg(r) if allowed & self.s.free & bit(r) != 0 => r,
                _ => NO_REG,
            };
            let to = if self.demoted[o.vreg as usize] {
                self.slot(program, o.vreg)?;
                self.s.spill[o.vreg as usize]
            } else {
                let hint =
                    if vreg.hint != NO_REG && self.s.free & bit(vreg.hint) != 0 { vreg.hint } else { own };
                match self.take(program, at, allowed, hint)? {
                    Some(r) => {
                        self.put(o.vreg, r);
                        Loc::Reg(r)
                    }
                    None => {
                        self.slot(program, o.vreg)?;
                        self.s.spill[o.vreg as usize]
                    }
                }
            };
            program.opnds[i].loc = to;
        }
        // Values in slots that the body uses come into registers if there are any left.
        for i in range.start + 2 * count..range.end {
            let o = program.opnds[i];
            let v = o.vreg as usize;
            if self.s.reg[v] == NO_REG && o.next != NONE && !self.demoted[v] {
                let free = self.allowed(program, o.vreg) & self.s.free & !self.special;
                if free != 0 {
                    let hint = program.vregs[v].hint;
                    let r = if hint != NO_REG && free & bit(hint) != 0 {
                        hint
                    } else {
                        free.trailing_zeros() as Reg
                    };
                    let from = self.loc(program, o.vreg);
                    // Part of the parallel move: the register may still hold an entry value.
                    out.moves.push(Move { from_vreg: o.vreg, from, to_vreg: o.vreg, to: Loc::Reg(r) });
                    self.put(o.vreg, r);
                }
            }
        }
        self.head.clear();
        for i in range.start + count..range.end {
            let loc = self.loc(program, program.opnds[i].vreg);
            program.opnds[i].loc = loc;
            self.head.push(loc);
        }
        // A parameter may have lost its register to a later one: only now it is known where each is.
        for k in 0..count {
            let (e, p) = (program.opnds[range.start + k], program.opnds[range.start + count + k]);
            if e.loc != p.loc && p.live {
                out.moves.push(Move { from_vreg: e.vreg, from: e.loc, to_vreg: p.vreg, to: p.loc });
            }
        }
        out.actions.push(Action::Moves(first_move, out.moves.len() as u32));
        out.actions.push(Action::Line(at));
        for k in 0..count {
            let p = program.opnds[range.start + count + k];
            if !p.live {
                self.dies(p.vreg, at);
            } else if let (Loc::Reg(r), Some(back)) =
                (p.loc, program.lines.first().filter(|l| l.kind == Kind::Back))
            {
                // What the end passes on wishes for the parameter's register.
                let next = program.opnds[back.start as usize + k].vreg;
                if next != NONE && program.vregs[next as usize].class & bit(r) != 0 {
                    let special = self.special & bit(r) != 0;
                    let has = program.vregs[next as usize].hint;
                    if !special && (has == NO_REG || self.special & bit(has) == 0) || has == r {
                        program.vregs[next as usize].hint = r;
                    }
                }
            }
        }
        Ok(())
    }

    /// True if the loop should be allocated again.
    fn back(
        &mut self,
        program: &mut Program,
        at: u32,
        may_retry: bool,
        out: &mut Allocation,
    ) -> Result<bool, OutOfSlots> {
        let line = program.lines[at as usize];
        let range = line.start as usize..(line.start + line.len) as usize;
        let count = program.opnds[range.clone()].iter().filter(|o| o.role == Role::Any).count();
        let exits = program.opnds[range.clone()].iter().filter(|o| o.role == Role::Exit).count();
        let through = range.start + count + exits..range.end;
        let mut again = false;
        for (k, i) in through.clone().enumerate() {
            let v = program.opnds[i].vreg;
            if let Loc::Reg(_) = self.head[count + k]
                && self.s.reg[v as usize] == NO_REG
            {
                self.demoted[v as usize] = true;
                again = true;
            }
        }
        if again && may_retry {
            return Ok(true);
        }
        let head = program.lines[self.head_line as usize];
        let params = head.start as usize + count..head.start as usize + 2 * count;
        // What the interrupt exit needs is where the head wants it, or out of the way of everything that goes there.
        let wanted: RegSet =
            self.head.iter().map(|l| if let Loc::Reg(r) = l { bit(*r) } else { 0 }).fold(0, |a, b| a | b);
        let mut copies = Vec::new();
        for i in range.start + count..range.start + count + exits {
            let v = program.opnds[i].vreg;
            if v == NONE {
                continue;
            }
            let passed = (0..count)
                .find(|k| program.opnds[range.start + k].vreg == v && program.opnds[params.start + k].live);
            let kept = through.clone().position(|t| program.opnds[t].vreg == v);
            program.opnds[i].loc = match (passed, kept) {
                (Some(k), _) => self.head[k],
                (_, Some(k)) if self.head[count + k] != Loc::None => self.head[count + k],
                _ => {
                    match self.s.reg[v as usize] {
                        NO_REG if program.vregs[v as usize].remat => Loc::Remat,
                        r if r != NO_REG && wanted & bit(r) == 0 => Loc::Reg(r),
                        _ => {
                            self.slot(program, v)?;
                            if program.vregs[v as usize].remat {
                                Loc::Remat
                            } else if self.head[..count].contains(&self.s.spill[v as usize]) {
                                // Out of a slot that the moves write: into one of its own.
                                let to = self.new_slot(program.vregs[v as usize].size)?;
                                copies.push(Move {
                                    from_vreg: v,
                                    from: self.loc(program, v),
                                    to_vreg: v,
                                    to,
                                });
                                to
                            } else {
                                self.s.spill[v as usize]
                            }
                        }
                    }
                }
            };
        }
        let first = out.moves.len() as u32;
        out.moves.append(&mut copies);
        for k in 0..count {
            let i = range.start + k;
            let v = program.opnds[i].vreg;
            let to = self.head[k];
            let from = if v == NONE { Loc::None } else { self.loc(program, v) };
            program.opnds[i].loc = from;
            let p = program.opnds[params.start + k];
            if p.live && from != to {
                out.moves.push(Move { from_vreg: v, from, to_vreg: p.vreg, to });
            }
        }
        for (k, i) in through.enumerate() {
            let v = program.opnds[i].vreg;
            let to = self.head[count + k];
            let from = self.loc(program, v);
            program.opnds[i].loc = from;
            if matches!(to, Loc::Reg(_)) && from != to {
                out.moves.push(Move { from_vreg: v, from, to_vreg: v, to });
            }
        }
        out.actions.push(Action::Moves(first, out.moves.len() as u32));
        out.actions.push(Action::Line(at));
        Ok(false)
    }
}
