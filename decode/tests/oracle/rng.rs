//! Random numbers and states for the oracle tests: xorshift, so that a seed reproduces a failure, with values
//! that are likely to sit on an edge.

use crate::cpu::{Cpu, FLAGS, Regs};

/// The generator.
pub struct Rng(u64);

impl Rng {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) as usize) % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An integer that is often on an edge of some width.
    pub fn integer(&mut self) -> u64 {
        let edge = 1u64 << self.pick(&[0, 4, 7, 8, 15, 16, 31, 32, 63]);
        match self.below(8) {
            0 => self.next() & 7,
            1 => edge,
            2 => edge.wrapping_sub(1),
            3 => edge.wrapping_neg(),
            4 => self.next() >> self.below(64),
            5 => (self.next() as i64 >> self.below(64)) as u64,
            _ => self.next(),
        }
    }

    /// 64 bits that are often an interesting `f64`, or two interesting `f32`.
    pub fn float(&mut self) -> u64 {
        const F64: [f64; 12] = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            0.5,
            2147483647.5,
            -2147483648.5,
            9.3e18,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
        ];
        const F32: [f32; 12] = [
            0.0,
            -0.0,
            1.0,
            -2.5,
            0.5,
            3e9,
            -3e9,
            1e-40,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
            f32::MAX,
        ];
        match self.below(8) {
            0 => self.pick(&F64).to_bits(),
            1 => u64::from(self.pick(&F32).to_bits()) | u64::from(self.pick(&F32).to_bits()) << 32,
            2 => self.next() | 0x7ff0_0000_0000_0000,
            3 => self.next() | 0x7f80_0000_7f80_0000,
            4 => ((self.next() as i32 as f64) / 4.0).to_bits(),
            5 => {
                let f = |r: &mut Rng| u64::from(((r.next() as i16 as f32) / 4.0).to_bits());
                f(self) | f(self) << 32
            }
            6 => self.integer(),
            _ => self.next(),
        }
    }

    /// Registers with such values; `rsp` in the middle of the memory.
    pub fn regs(&mut self, cpu: &Cpu) -> Regs {
        let mut regs = Regs { mxcsr: 0x1f80, flags: self.next() & FLAGS, ..Regs::default() };
        regs.gpr.iter_mut().for_each(|r| *r = self.integer());
        regs.vec.iter_mut().flatten().for_each(|w| *w = self.float());
        regs.gpr[4] = cpu.memory_base() + 2048 + 8 * (self.next() & 7);
        regs
    }
}
