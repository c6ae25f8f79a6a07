//! Lifting of system registers.

use super::inst::System;
use super::lift::Lifter;
use super::slots;
use crate::Lifted;
use ir::op::Op;
use ir::snapshot::ExitKind;
use ir::types::Type;

/// `DCZID_EL0`: `dc zva` clears 64 bytes.
const ZERO_BLOCK: i64 = 4;
/// `CTR_EL0`: lines of 64 bytes; instruction fetch does not see data writes by itself.
const CACHE_TYPE: i64 = 0x8444_4004;
/// Ticks per second of the virtual counter.
pub const COUNTER_FREQUENCY: i64 = 1_000_000_000;
/// Bits of FPCR that are not always 0: rounding mode, flush to zero, default NaN, alternative half precision.
const FPCR_BITS: i128 = 0x07c0_0000;
/// Bits of FPSR that are not always 0.
const FPSR_BITS: i128 = 0x0800_009f;

impl Lifter<'_> {
    pub(super) fn mrs(&mut self, rt: u8, reg: System) -> Lifted {
        let v = match reg {
            System::Nzcv => {
                // S Z C O at 7 6 0 11 become N Z C V at 31 30 29 28; C is kept inverted.
                let flags = self.b.get(slots::FLAGS);
                let image = self.b.unpack_flags(flags);
                let mut v = self.b.i64(0);
                for (from, to) in [(7, 31), (6, 30), (0, 29), (11, 28)] {
                    let (by, one) = (self.b.i64(from), self.b.i64(1));
                    let x = self.b.bin(Op::Shr, Type::I64, image, by);
                    let x = self.b.bin(Op::And, Type::I64, x, one);
                    let x = if from == 0 { self.b.bin(Op::Xor, Type::I64, x, one) } else { x };
                    let by = self.b.i64(to);
                    let x = self.b.bin(Op::Shl, Type::I64, x, by);
                    v = self.b.bin(Op::Or, Type::I64, v, x);
                }
                v
            }
            System::Fpcr => {
                let v = self.b.get(slots::FPCR);
                self.b.convert(Op::Zext, Type::I32, Type::I64, v)
            }
            // Generated code keeps what it raised in the machine's own control word.
            System::Fpsr if !self.calls() => return self.leave(ExitKind::Step),
            System::Fpsr => {
                let v = self.b.get(slots::FPSR);
                self.b.convert(Op::Zext, Type::I32, Type::I64, v)
            }
            System::Tpidr => self.b.get(slots::TPIDR),
            System::TpidrRo => self.b.i64(0),
            System::CounterFrequency => self.b.i64(COUNTER_FREQUENCY),
            System::Counter if !self.calls() => return self.leave(ExitKind::Step),
            System::Counter => self.b.call(slots::COUNTER, &[], None),
            System::CacheType => self.b.i64(CACHE_TYPE),
            System::ZeroBlock => self.b.i64(ZERO_BLOCK),
            System::Id(value) => self.b.i64(value as i64),
        };
        self.set_x(rt, true, v);
        Lifted::Next
    }

    pub(super) fn msr(&mut self, rt: u8, reg: System) -> Lifted {
        let v = self.x(rt, true);
        match reg {
            System::Nzcv => {
                let mut image = self.b.i64(0);
                for (from, to) in [(31, 7), (30, 6), (29, 0), (28, 11)] {
                    let (by, one) = (self.b.i64(from), self.b.i64(1));
                    let x = self.b.bin(Op::Shr, Type::I64, v, by);
                    let x = self.b.bin(Op::And, Type::I64, x, one);
                    let x = if to == 0 { self.b.bin(Op::Xor, Type::I64, x, one) } else { x };
                    let by = self.b.i64(to);
                    let x = self.b.bin(Op::Shl, Type::I64, x, by);
                    image = self.b.bin(Op::Or, Type::I64, image, x);
                }
                let flags = self.b.pack_flags(image);
                self.b.set(slots::FLAGS, flags);
            }
            // Whoever runs the trace has to know.
            System::Fpcr | System::Fpsr if !self.calls() => return self.leave(ExitKind::Step),
            System::Fpcr | System::Fpsr => {
                let (slot, bits) =
                    if reg == System::Fpcr { (slots::FPCR, FPCR_BITS) } else { (slots::FPSR, FPSR_BITS) };
                let v = if rt == 31 {
                    self.b.int(Type::I32, 0)
                } else {
                    self.b.convert(Op::Trunc, Type::I64, Type::I32, v)
                };
                let mask = self.b.int(Type::I32, bits);
                let v = self.b.bin(Op::And, Type::I32, v, mask);
                self.b.set(slot, v);
            }
            System::Tpidr => self.b.set(slots::TPIDR, v),
            _ => return self.leave(ExitKind::Step),
        }
        Lifted::Next
    }
}
