//! Classes of instructions, as patterns of bits that random words are drawn from.

use super::{AArch64, CODE, Rng};
use decode::aarch64::Form;
use decode::aarch64::inst::System;
use decode::{Guest, GuestPc};

/// Words that agree with `pattern` where `mask` is 1.
pub struct Class {
    pub name: &'static str,
    pub mask: u32,
    pub pattern: u32,
}

/// Written as `0`, `1` and `.` from bit 31 down; underscores separate.
const fn class(name: &'static str, bits: &'static str) -> Class {
    let bytes = bits.as_bytes();
    let (mut mask, mut pattern, mut i) = (0u32, 0u32, 0);
    let mut count = 0;
    while i < bytes.len() {
        if bytes[i] != b'_' {
            mask = mask << 1 | (bytes[i] != b'.') as u32;
            pattern = pattern << 1 | (bytes[i] == b'1') as u32;
            count += 1;
        }
        i += 1;
    }
    assert!(count == 32);
    Class { name, mask, pattern }
}

pub const CLASSES: &[Class] = &[
    class("adr", "...10000_........_........_........"),
    class("add immediate", "...10001_0......._........_........"),
    class("logical immediate", "...10010_0......._........_........"),
    class("move wide", "...10010_1......._........_........"),
    class("bit-field", "...10011_0......._........_........"),
    class("extract", ".0010011_1......._........_........"),
    class("logical shifted", "...01010_........_........_........"),
    class("add shifted", "...01011_..0....._........_........"),
    class("add extended", "...01011_001....._........_........"),
    class("add with carry", "...11010_000....._000000.._........"),
    class("conditional compare", "..111010_010....._........_...0...."),
    class("conditional select", "..011010_100....._........_........"),
    class("one source", ".1011010_11000000_000....._........"),
    class("two sources", ".0011010_110....._0......._........"),
    class("crc32", ".0011010_110....._010....._........"),
    class("multiply", ".0011011_........_........_........"),
    class("branch conditional", "01010100_00000000_00000000_0100...."),
    class("compare and branch", ".011010._00000000_00000000_010....."),
    class("test and branch", ".011011._.....000_00000000_010....."),
    class("branch register", "11010110_0..11111_000000.._...00000"),
    class("branch", "00010100_00000000_00000000_00000010"),
    class("call", "10010100_00000000_00000000_00000010"),
    class("barriers and hints", "11010101_00000011_001....._...11111"),
    class("system registers", "11010101_00.11011_0100.100_00......"),
    class("load literal", "..011.00_........_........_........"),
    class("pairs", "..101.0._........_........_........"),
    class("load and store, unscaled", "..111.00_..0....._........_........"),
    class("load and store, register", "..111.00_..1....._....10.._........"),
    class("load and store, literal", "..111.01_........_........_........"),
    class("atomics", "..111000_..1....._....00.._........"),
    class("acquire and release", "..001000_1......._........_........"),
    class("load exclusive", "..001000_01......_........_........"),
    class("compare and swap pair", "0.001000_0.1....._.11111.._........"),
    class("structures", "0.001100_........_........_........"),
    class("one structure", "0.001101_........_........_........"),
    class("vector three same", "0..01110_..1....._.....1.._........"),
    class("vector three different", "0..01110_..1....._....00.._........"),
    class("vector two misc", "0..01110_..10000._....10.._........"),
    class("vector across lanes", "0..01110_..11000._....10.._........"),
    class("vector copy", "0..01110_000....._0....1.._........"),
    class("vector permute", "0.001110_..0....._0...10.._........"),
    class("vector extract", "0.101110_000....._0....0.._........"),
    class("vector table", "0.001110_000....._0...00.._........"),
    class("vector by element", "0..01111_........_.....0.._........"),
    class("vector shift", "0..01111_0......._.....1.._........"),
    class("vector literal", "0..01111_00000..._....01.._........"),
    class("scalar three same", "01.11110_..1....._.....1.._........"),
    class("scalar three different", "01.11110_..1....._....00.._........"),
    class("scalar two misc", "01.11110_..10000._....10.._........"),
    class("scalar pairwise", "01.11110_..11000._....10.._........"),
    class("scalar copy", "01.11110_000....._0....1.._........"),
    class("scalar by element", "01.11111_........_.....0.._........"),
    class("scalar shift", "01.11111_0......._.....1.._........"),
    class("float fixed point", ".0011110_..0....._........_........"),
    class("float to integer", ".0011110_..1....._000000.._........"),
    class("float one source", "00011110_..1....._.10000.._........"),
    class("float compare", "00011110_..1....._001000.._........"),
    class("float literal", "00011110_..1....._...100.._........"),
    class("float conditional", "00011110_..1....._.....1.._........"),
    class("float two sources", "00011110_..1....._....10.._........"),
    class("float three sources", "00011111_........_........_........"),
];

impl Class {
    pub fn word(&self, rng: &mut Rng) -> u32 {
        rng.next() as u32 & !self.mask | self.pattern
    }

    /// Does it stand for something that can be compared?
    pub fn accepts(&self, word: u32) -> bool {
        let Ok(inst) = AArch64.decode(&word.to_le_bytes(), GuestPc(CODE)) else { return false };
        match inst.form {
            // Not in the window.
            Form::LoadLiteral { .. } => false,
            // Registers that the runner uses, or that differ from machine to machine.
            Form::Mrs { reg, .. } => matches!(reg, System::Nzcv | System::Fpcr | System::Fpsr),
            // The emulated CPU has the kind of alternative half precision.
            Form::Msr { reg, .. } => reg == System::Nzcv,
            Form::Svc | Form::Brk | Form::Cache { .. } => false,
            // Unpredictable when the base is written back and is the data.
            Form::Load { rt, rn, mode, data } | Form::Store { rt, rn, mode, data } => {
                use decode::aarch64::inst::{Data, Mode};
                !(matches!(mode, Mode::Pre(_) | Mode::Post(_))
                    && rt == rn
                    && rn != 31
                    && matches!(data, Data::General { .. }))
            }
            Form::LoadPair { rt, rt2, rn, mode, .. } | Form::StorePair { rt, rt2, rn, mode, .. } => {
                use decode::aarch64::inst::Mode;
                rt != rt2 && (rn == 31 || rn != rt && rn != rt2 || matches!(mode, Mode::Offset(_)))
            }
            Form::LoadExclusive { rt, rt2, pair, .. } => !pair || rt != rt2,
            Form::BranchReg { rn, .. } => rn != 31,
            _ => true,
        }
    }
}
