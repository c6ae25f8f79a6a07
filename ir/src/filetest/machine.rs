//! A world for tests: memory by bytes, natives and helpers that are hashes of what they are given.

use std::collections::BTreeMap;

use crate::effects::{AliasTable, ClassSet};
use crate::fuzz::mix;
use crate::interp::{CallError, Fault, Machine};
use crate::trace::{Helper, Native};
use crate::types::*;

/// Memory, and a record of what happened.
#[derive(Clone, Debug, Default)]
pub struct TestMachine {
    /// Bytes that have been given or written.
    pub memory: BTreeMap<u64, u8>,
    /// Content of all other bytes: pseudo-random from this seed. `None`: they cannot be accessed.
    pub seed: Option<u64>,
    /// Natives and helpers with effects, in order, as hashes of their operands.
    pub events: Vec<u64>,
    /// Was one byte written through one class and accessed through a disjoint one? Then the state breaks the
    /// promise of the front end, and optimizations need not keep its meaning.
    pub broke_promise: bool,
    alias: AliasTable,
    /// Classes that read and wrote each byte.
    touched: BTreeMap<u64, (ClassSet, ClassSet)>,
}

fn mix_wide(seed: u64, w: &Wide) -> u64 {
    w.iter().fold(seed, |h, x| mix(h ^ x))
}

impl TestMachine {
    /// No memory, or with a seed, pseudo-random memory everywhere.
    pub fn new(alias: &AliasTable, seed: Option<u64>) -> TestMachine {
        TestMachine { seed, alias: alias.clone(), ..TestMachine::default() }
    }

    /// Makes memory of these bytes.
    pub fn poke(&mut self, addr: u64, bytes: &[u8]) {
        for (i, b) in bytes.iter().enumerate() {
            self.memory.insert(addr.wrapping_add(i as u64), *b);
        }
    }

    fn byte(&self, addr: u64) -> Option<u8> {
        match (self.memory.get(&addr), self.seed) {
            (Some(b), _) => Some(*b),
            (None, Some(seed)) => Some(mix(seed ^ mix(addr >> 3)).to_le_bytes()[(addr & 7) as usize]),
            (None, None) => None,
        }
    }

    fn touch(&mut self, addr: u64, class: ClassId, write: bool) {
        let (reads, writes) = self.touched.entry(addr).or_default();
        let others = if write { reads.or(*writes) } else { *writes };
        if others.0 & !self.alias.aliases(class).0 != 0 {
            self.broke_promise = true;
        }
        let place = if write { writes } else { reads };
        *place = place.or(ClassSet::one(class));
    }
}

impl Machine for TestMachine {
    fn load(&mut self, addr: u64, bytes: &mut [u8], class: ClassId) -> Result<(), Fault> {
        for (i, b) in bytes.iter_mut().enumerate() {
            let addr = addr.wrapping_add(i as u64);
            *b = self.byte(addr).ok_or(Fault::Memory { addr, write: false })?;
            self.touch(addr, class, false);
        }
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], class: ClassId) -> Result<(), Fault> {
        let each = || (0..bytes.len() as u64).map(|i| addr.wrapping_add(i));
        if let Some(addr) = each().find(|a| self.byte(*a).is_none()) {
            return Err(Fault::Memory { addr, write: true });
        }
        for (addr, b) in each().zip(bytes) {
            self.memory.insert(addr, *b);
            self.touch(addr, class, true);
        }
        Ok(())
    }

    fn native(
        &mut self,
        native: &Native,
        pc: Option<Pc>,
        inputs: &[(SlotId, Wide)],
        outputs: &mut [Wide],
    ) -> Result<(), Fault> {
        let start = match pc {
            Some(Pc::Addr(a)) => mix(a),
            _ => 0,
        };
        let mut h = native.bytes().iter().fold(start, |h, b| mix(h ^ u64::from(*b)));
        for (slot, w) in inputs {
            h = mix_wide(h ^ u64::from(slot.0), w);
        }
        for (i, o) in outputs.iter_mut().enumerate() {
            *o = std::array::from_fn(|j| mix(h ^ mix((i * 8 + j) as u64)));
        }
        if !native.effects.is_removable() {
            self.events.push(h);
        }
        Ok(())
    }

    fn call(&mut self, id: HelperId, helper: &Helper, args: &[Wide]) -> Result<Wide, CallError> {
        let h = args.iter().fold(mix(id.0.into()), mix_wide);
        if !helper.effects.is_removable() {
            self.events.push(h);
        }
        // One call in sixteen raises, so that exits of calls are seen.
        if helper.effects.bits.any(crate::effects::EffectBits::RAISES) && h >> 60 == 0 {
            return Err(CallError::Raise);
        }
        Ok(std::array::from_fn(|j| mix(h ^ j as u64)))
    }
}
