//! `; run:` rows: a state before, a result, a state after.

use std::collections::BTreeMap;

use super::TestMachine;
use crate::eval;
use crate::interp::{Fault, Interp, Outcome, State};
use crate::trace::{Decls, Trace};
use crate::types::*;

/// How often a loop may go round in a test.
const FUEL: u64 = 2000;

/// Why a row cannot be read, or does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowError {
    /// It is not a row.
    #[error(
        "cannot read {0:?} (slot=value, m[address]=value; a value is a number, tag:number or flag letters)"
    )]
    Syntax(String),
    /// There is no `=>`, or no result after it.
    #[error("a row is: state => result changes")]
    NoResult,
    /// It ended otherwise.
    #[error("expected {expected}, but it ended with {found}")]
    Result {
        /// As the row says.
        expected: String,
        /// As it was.
        found: String,
    },
    /// A slot is not as expected.
    #[error("slot {slot} is {found}, must be {expected}")]
    Slot {
        /// Its name.
        slot: String,
        /// Its value.
        found: String,
        /// The row's.
        expected: String,
    },
    /// A byte of memory is not as expected.
    #[error("the byte at {addr:#x} is {found:#x}, must be {expected:#x}")]
    Byte {
        /// Its address.
        addr: u64,
        /// Its value.
        found: u8,
        /// The row's.
        expected: u8,
    },
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Slots before; others are zero.
    pub slots: BTreeMap<SlotId, Wide>,
    /// Memory before.
    pub memory: BTreeMap<u64, u8>,
    /// The result's words.
    result: String,
    after_slots: BTreeMap<SlotId, Wide>,
    after_memory: BTreeMap<u64, u8>,
}

type Cells = (BTreeMap<SlotId, Wide>, BTreeMap<u64, u8>);

impl Row {
    /// Reads `state => result changes`.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(text: &str, decls: &Decls) -> Result<Row, RowError> {
        let (before, after) = text.split_once("=>").ok_or(RowError::NoResult)?;
        let (slots, memory) = cells(before.split_whitespace(), decls)?;
        let words: Vec<&str> = after.split_whitespace().collect();
        let count = words.iter().position(|w| w.contains('=')).unwrap_or(words.len());
        if count == 0 {
            return Err(RowError::NoResult);
        }
        let (after_slots, after_memory) = cells(words[count..].iter().copied(), decls)?;
        Ok(Row { slots, memory, result: words[..count].join(" "), after_slots, after_memory })
    }

    /// The state and world that the row begins with.
    pub fn start(&self, trace: &Trace, seed: Option<u64>) -> (State, TestMachine) {
        let mut state = State::new(&trace.decls);
        for (slot, w) in &self.slots {
            state.set_wide(*slot, w);
        }
        let mut machine = TestMachine::new(trace.decls.alias(), seed);
        machine.memory = self.memory.clone();
        (state, machine)
    }

    /// Runs the trace on the row.
    ///
    /// # Errors
    /// How what happens differs from the row.
    pub fn check(&self, trace: &Trace) -> Result<(), RowError> {
        let (mut state, mut machine) = self.start(trace, None);
        let outcome = Interp::new().run(trace, &mut state, &mut machine, FUEL);
        if self.result == "any" {
            return Ok(());
        }
        let found = match outcome {
            Outcome::Exit { resume, .. } if self.result.starts_with("to ") => {
                format!("to {}", crate::print::pc(trace, resume))
            }
            _ => result_text(&outcome),
        };
        if found != self.result {
            return Err(RowError::Result { expected: self.result.clone(), found });
        }
        for (i, slot) in trace.decls.slots.iter().enumerate() {
            let id = SlotId(i as u16);
            if slot.ty == Type::Flags && !self.after_slots.contains_key(&id) {
                continue;
            }
            let expected = self.after_slots.get(&id).or(self.slots.get(&id)).unwrap_or(&ZERO);
            let found = state.get_wide(id);
            if found != expected {
                let (found, expected) = (show(found, slot.ty), show(expected, slot.ty));
                return Err(RowError::Slot { slot: slot.name.clone(), found, expected });
            }
        }
        for (addr, found) in &machine.memory {
            let expected = self.after_memory.get(addr).or(self.memory.get(addr)).unwrap_or(&0);
            if expected != found {
                return Err(RowError::Byte { addr: *addr, found: *found, expected: *expected });
            }
        }
        Ok(())
    }
}

/// An outcome in the words of a row.
pub(super) fn result_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exit { id, .. } => id.to_string(),
        Outcome::Fault { fault, .. } => match fault {
            Fault::Memory { .. } => "fault memory".into(),
            Fault::Misaligned { .. } => "fault misaligned".into(),
            Fault::Divide => "fault divide".into(),
            Fault::Unsupported => "fault unsupported".into(),
            Fault::Other(n) => format!("fault {n}"),
        },
        Outcome::Raised => "raised".into(),
        Outcome::OutOfFuel => "fuel".into(),
    }
}

/// A value in the words of a row, or near it.
pub(super) fn show(w: &Wide, ty: Type) -> String {
    match ty {
        Type::Flags => {
            let letters: String =
                Flag::ALL.iter().filter(|f| w[0] & f.bit() != 0).map(|f| f.name()).collect();
            if letters.is_empty() { "none".into() } else { letters }
        }
        Type::F64 => format!("{:?} ({:#x})", f64::from_bits(w[0]), w[0]),
        Type::F32 => format!("{:?} ({:#x})", f32::from_bits(w[0] as u32), w[0]),
        _ if ty.bits() <= 64 => format!("{:#x}", w[0]),
        _ => {
            let digits: String = w.iter().rev().map(|x| format!("{x:016x}")).collect();
            format!("0x{}", digits.trim_start_matches('0'))
        }
    }
}

fn cells<'a>(words: impl Iterator<Item = &'a str>, decls: &Decls) -> Result<Cells, RowError> {
    let (mut slots, mut memory) = Cells::default();
    for word in words {
        let bad = || RowError::Syntax(word.into());
        let (place, value) = word.split_once('=').ok_or_else(bad)?;
        if let Some((size, addr)) = place.strip_prefix('m').and_then(|p| p.split_once('[')) {
            let ty = if size.is_empty() { Some(Type::I64) } else { size.parse().ok().and_then(memory_type) };
            let ty = ty.ok_or_else(bad)?;
            let addr = addr.strip_suffix(']').and_then(number).ok_or_else(bad)? as u64;
            let w = self::value(value, ty, decls).ok_or_else(bad)?;
            for (i, b) in eval::to_bytes(&w)[..ty.bytes() as usize].iter().enumerate() {
                memory.insert(addr.wrapping_add(i as u64), *b);
            }
        } else {
            let slot = decls.slot(place).ok_or_else(bad)?;
            let ty = decls.slots[slot.index()].ty;
            slots.insert(slot, self::value(value, ty, decls).ok_or_else(bad)?);
        }
    }
    Ok((slots, memory))
}

fn memory_type(bits: u32) -> Option<Type> {
    Type::int(bits).filter(|t| *t != Type::I1).or(Type::vector(bits))
}

/// A number, decimal or hex, with sign.
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(d) => (-1, d),
        None => (1, text),
    };
    let n = match digits.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16).ok()? as i128,
        None => digits.parse().ok()?,
    };
    Some(n.wrapping_mul(sign))
}

fn value(text: &str, ty: Type, decls: &Decls) -> Option<Wide> {
    if let Some((tag, inner)) = text.split_once(':') {
        let tag = decls.tag(tag)?;
        // A float may be written as a whole number here.
        let inside = match decls.tags.get(tag.index())?.ty {
            Type::F64 if !inner.starts_with("0x") => inner.parse::<f64>().ok()?.to_bits(),
            _ => number(inner)? as u64,
        };
        return Some(eval::word(eval::box_word(decls, inside, tag)));
    }
    if ty == Type::Flags && !text.starts_with(|c: char| c.is_ascii_digit()) {
        let bit = |c: char| Flag::ALL.iter().find(|f| f.name().starts_with(c)).map(|f| f.bit());
        let all = if text == "none" { "" } else { text };
        return all.chars().map(bit).sum::<Option<u64>>().map(eval::word);
    }
    if text.contains('.') || text.ends_with("inf") || text.ends_with("NaN") {
        return Some(match ty {
            Type::F32 => eval::word(text.parse::<f32>().ok()?.to_bits().into()),
            _ => eval::word(text.parse::<f64>().ok()?.to_bits()),
        });
    }
    if ty.bits() > 128 {
        let hex = text.strip_prefix("0x")?;
        let mut w = ZERO;
        for (i, d) in hex.chars().rev().enumerate() {
            *w.get_mut(i / 16)? |= u64::from(d.to_digit(16)?) << (i % 16 * 4);
        }
        return Some(eval::mask(&w, ty));
    }
    Some(eval::mask(&eval::from_u128(number(text)? as u128), ty))
}
