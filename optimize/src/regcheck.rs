//! An independent check of allocations: walks what [`crate::regalloc`] decided and knows at each point which value each
//! register and spill slot holds.
//!
//! It shares nothing with the allocator but the data. What it proves, for one allocation: every operand is read from a place that
//! holds its value; operands with a given register have it; nothing that a line still reads is overwritten by what it
//! writes early; and at the back edge everything is where the loop's head assumes it.
//!
//! The lattice is flat: a place holds one known value or nothing known. At the head of a loop only what the head's line
//! promises is known, and the back edge must establish it again; so one walk suffices.

use crate::regalloc::{Action, Allocation, Kind, Line, Loc, Move, NONE, Opnd, Program, Role};

/// What is wrong with an allocation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Wrong {
    /// The line (last first).
    pub line: u32,
    /// What.
    pub what: String,
}

struct Checker<'a> {
    program: &'a Program,
    allocation: &'a Allocation,
    regs: Vec<u32>,
    slots: Vec<u32>,
    /// What holds at the loop's head.
    promised: Vec<(Loc, u32)>,
    head: Option<Line>,
}

/// Checks.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(program: &Program, allocation: &Allocation) -> Result<(), Wrong> {
    let mut c = Checker {
        program,
        allocation,
        regs: vec![NONE; 64],
        slots: vec![NONE; allocation.slots.len()],
        promised: Vec::new(),
        head: None,
    };
    let mut moves = (0, 0);
    for action in &allocation.actions {
        match *action {
            Action::Move { vreg, from, to } => {
                c.holds(NONE, vreg, from)?;
                c.regs[to as usize] = vreg;
            }
            Action::Moves(first, end) => moves = (first as usize, end as usize),
            Action::Line(i) => {
                let line = program.lines[i as usize];
                match line.kind {
                    Kind::Plain => c.plain(i, &line)?,
                    Kind::Head => c.head(i, &line, &allocation.moves[moves.0..moves.1])?,
                    Kind::Back => c.back(i, &line, &allocation.moves[moves.0..moves.1])?,
                }
            }
        }
    }
    Ok(())
}

impl Checker<'_> {
    fn at(&self, loc: Loc) -> u32 {
        match loc {
            Loc::Reg(r) => self.regs[r as usize],
            Loc::Spill(s) => self.slots[s as usize],
            Loc::None | Loc::Remat => NONE,
        }
    }

    fn set(&mut self, loc: Loc, v: u32) {
        match loc {
            Loc::Reg(r) => self.regs[r as usize] = v,
            Loc::Spill(s) => self.slots[s as usize] = v,
            Loc::None | Loc::Remat => {}
        }
    }

    fn holds(&self, line: u32, v: u32, loc: Loc) -> Result<(), Wrong> {
        let fine = match loc {
            Loc::Remat => self.program.vregs[v as usize].remat,
            Loc::None => false,
            _ => self.at(loc) == v,
        };
        if fine {
            return Ok(());
        }
        let what = format!("{v} is read from {loc:?}, which holds {:?}", self.at(loc));
        Err(Wrong { line, what })
    }

    fn in_class(&self, line: u32, o: &Opnd) -> Result<(), Wrong> {
        match o.loc {
            Loc::Reg(r) if self.program.vregs[o.vreg as usize].class & 1 << r == 0 => {
                Err(Wrong { line, what: format!("{} is in register {r}, of another class", o.vreg) })
            }
            _ => Ok(()),
        }
    }

    fn plain(&mut self, i: u32, line: &Line) -> Result<(), Wrong> {
        let opnds = self.program.of(line);
        let wrong = |what: String| Err(Wrong { line: i, what });
        for o in opnds.iter().filter(|o| o.vreg != NONE) {
            self.in_class(i, o)?;
            match o.role {
                Role::Use | Role::Index if !matches!(o.loc, Loc::Reg(_)) => {
                    return wrong(format!("{} is not in a register", o.vreg));
                }
                Role::Fixed(r) | Role::DefFixed(r) if o.loc != Loc::Reg(r) => {
                    return wrong(format!("{} is not in register {r}", o.vreg));
                }
                Role::Any if matches!(o.loc, Loc::Remat) => {
                    return wrong(format!("{} is nowhere", o.vreg));
                }
                Role::Use | Role::Index | Role::Any | Role::Fixed(_) | Role::Exit => {
                    self.holds(i, o.vreg, o.loc)?;
                }
                Role::Through => return wrong("a plain line with values that live through".into()),
                Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_) | Role::Temp => {}
            }
        }
        // What is written before everything is read.
        for (k, d) in opnds.iter().enumerate() {
            let early = matches!(d.role, Role::Early | Role::Reuse(_) | Role::Temp);
            if d.vreg == NONE || !early {
                continue;
            }
            for (j, o) in opnds.iter().enumerate() {
                if j == k || o.vreg == NONE || o.loc != d.loc {
                    continue;
                }
                let reads = matches!(o.role, Role::Use | Role::Index | Role::Any | Role::Fixed(_));
                let tied = match d.role {
                    Role::Reuse(both) => {
                        opnds[0].loc == d.loc || both && opnds.get(1).is_some_and(|p| p.loc == d.loc)
                    }
                    _ => false,
                };
                if (reads || o.role == Role::Exit) && !tied {
                    return wrong(format!("{} is overwritten before it is read", o.vreg));
                }
                if matches!(o.role, Role::Temp | Role::Early | Role::Def | Role::DefFixed(_)) {
                    return wrong(format!("{} and {} share a register", o.vreg, d.vreg));
                }
            }
        }
        for o in opnds.iter().filter(|o| o.role == Role::Temp) {
            self.set(o.loc, NONE);
        }
        let mut rest = line.clobbers;
        while rest != 0 {
            self.regs[rest.trailing_zeros() as usize] = NONE;
            rest &= rest - 1;
        }
        for o in opnds.iter().filter(|o| o.vreg != NONE) {
            if matches!(o.role, Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_)) {
                if !matches!(o.loc, Loc::Reg(_)) {
                    return wrong(format!("{} is written nowhere", o.vreg));
                }
                self.set(o.loc, o.vreg);
            }
        }
        self.store(opnds);
        Ok(())
    }

    /// What is defined is stored to its slot right behind.
    fn store(&mut self, opnds: &[Opnd]) {
        for o in opnds.iter().filter(|o| o.vreg != NONE) {
            if matches!(o.role, Role::Def | Role::Early | Role::Reuse(_) | Role::DefFixed(_))
                && matches!(o.loc, Loc::Reg(_))
                && self.at(o.loc) == o.vreg
            {
                self.set(self.allocation.spill[o.vreg as usize], o.vreg);
            }
        }
    }

    fn parallel(&mut self, line: u32, moves: &[Move]) -> Result<(), Wrong> {
        for m in moves {
            if m.from != Loc::None {
                self.holds(line, m.from_vreg, m.from)?;
            }
            if moves.iter().filter(|n| n.to == m.to).count() > 1 {
                return Err(Wrong { line, what: format!("several values go to {:?}", m.to) });
            }
        }
        for m in moves {
            self.set(m.to, m.to_vreg);
        }
        Ok(())
    }

    fn head(&mut self, i: u32, line: &Line, moves: &[Move]) -> Result<(), Wrong> {
        let opnds = self.program.of(line);
        let count = opnds.iter().filter(|o| o.role == Role::Any).count();
        // Parameters that stay where their entry value is.
        let mut renamed = Vec::new();
        for k in 0..count {
            let (e, p) = (opnds[k], opnds[count + k]);
            self.in_class(i, &p)?;
            if p.live && e.vreg != NONE {
                self.holds(i, e.vreg, e.loc)?;
                if !moves.iter().any(|m| m.to_vreg == p.vreg && m.to == p.loc) {
                    if e.loc != p.loc {
                        return Err(Wrong { line: i, what: format!("parameter {} is not set", p.vreg) });
                    }
                    renamed.push((p.loc, p.vreg));
                }
            }
        }
        self.parallel(i, moves)?;
        for (loc, v) in renamed {
            self.set(loc, v);
        }
        self.promised.clear();
        for o in &opnds[count..] {
            if o.role == Role::Def && !o.live {
                continue;
            }
            self.holds(i, o.vreg, o.loc)?;
            self.promised.push((o.loc, o.vreg));
            let slot = self.allocation.spill[o.vreg as usize];
            if o.role == Role::Through && slot != Loc::None {
                self.holds(i, o.vreg, slot)?;
                self.promised.push((slot, o.vreg));
            }
        }
        // Only what is promised is known from here on.
        self.regs.fill(NONE);
        self.slots.fill(NONE);
        for (loc, v) in self.promised.clone() {
            self.set(loc, v);
        }
        self.store(&opnds[count..]);
        self.head = Some(*line);
        Ok(())
    }

    fn back(&mut self, i: u32, line: &Line, moves: &[Move]) -> Result<(), Wrong> {
        let opnds = self.program.of(line);
        let Some(head) = self.head else {
            return Err(Wrong { line: i, what: "a back edge without head".into() });
        };
        let head = self.program.of(&head);
        let count = opnds.iter().filter(|o| o.role == Role::Any).count();
        let mut renamed = Vec::new();
        for k in 0..count {
            let (n, p) = (opnds[k], head[count + k]);
            if !p.live || n.vreg == NONE {
                continue;
            }
            self.holds(i, n.vreg, n.loc)?;
            if !moves.iter().any(|m| m.to_vreg == p.vreg && m.to == p.loc) {
                if n.loc != p.loc {
                    return Err(Wrong { line: i, what: format!("parameter {} is not passed on", p.vreg) });
                }
                renamed.push((p.loc, p.vreg));
            }
        }
        self.parallel(i, moves)?;
        for (loc, v) in renamed {
            self.set(loc, v);
        }
        for o in opnds.iter().filter(|o| o.role == Role::Exit && o.vreg != NONE) {
            // A value passed on is called by the parameter's name now.
            let passed = (0..count).any(|k| {
                let p = head[count + k];
                opnds[k].vreg == o.vreg && p.live && p.loc == o.loc && self.at(p.loc) == p.vreg
            });
            if !passed {
                self.holds(i, o.vreg, o.loc)?;
            }
        }
        for (loc, v) in self.promised.clone() {
            self.holds(i, v, loc)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regalloc::{Allocator, NO_REG, Vreg};

    fn opnd(vreg: u32, role: Role, live: bool) -> Opnd {
        Opnd { vreg, next: if live { 0 } else { NONE }, live, role, loc: Loc::None }
    }

    /// `0 = …; 1 = …; 2 = 0 op 1; use 2, 0`, last line first.
    fn program() -> Program {
        let mut p = Program::default();
        for _ in 0..3 {
            p.vregs.push(Vreg { class: 0b11, hint: NO_REG, size: 8, remat: false });
        }
        let lines: [&[Opnd]; 4] = [
            &[opnd(2, Role::Use, false), opnd(0, Role::Any, false)],
            &[opnd(0, Role::Any, true), opnd(1, Role::Any, false), opnd(2, Role::Reuse(true), true)],
            &[opnd(1, Role::Def, true)],
            &[opnd(0, Role::Def, true)],
        ];
        for line in lines {
            let start = p.opnds.len() as u32;
            p.opnds.extend_from_slice(line);
            p.lines.push(Line { start, len: line.len() as u32, clobbers: 0, kind: Kind::Plain });
        }
        p
    }

    fn allocate(p: &mut Program) -> Allocation {
        let mut out = Allocation::default();
        Allocator::default().run(p, 0b11, 0, 64, &mut out).expect("two registers and slots");
        out
    }

    #[test]
    fn accepts_what_the_allocator_does() {
        let mut p = program();
        let out = allocate(&mut p);
        assert_eq!(check(&p, &out), Ok(()));
    }

    #[test]
    fn finds_a_value_read_from_the_wrong_place() {
        let mut p = program();
        let out = allocate(&mut p);
        p.opnds[0].loc = if p.opnds[0].loc == Loc::Reg(0) { Loc::Reg(1) } else { Loc::Reg(0) };
        assert!(check(&p, &out).is_err());
    }

    #[test]
    fn finds_a_result_that_overwrites_what_lives_on() {
        let mut p = program();
        let out = allocate(&mut p);
        // The result into the register of the first operand, which lives on.
        p.opnds[4].loc = p.opnds[2].loc;
        assert!(check(&p, &out).is_err());
    }
}
