//! The generator of `math.random`: L'Ecuyer's combined Tausworthe generator of period 2^223.
//!
//! Four linear feedback shift registers of 63, 58, 55 and 47 bits step together and their states are combined by
//! exclusive or (L'Ecuyer, "Tables of maximally equidistributed combined LFSR generators", 1999, table 3). The same
//! seed gives the same sequence on every machine, and the same as LuaJIT gives.
#![forbid(unsafe_code)]

/// State of the generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prng {
    u: [u64; 4],
}

/// (k, q, s) of each register: its length, and the two shifts of its step.
const REGISTERS: [(u32, u32, u32); 4] = [(63, 31, 18), (58, 19, 28), (55, 24, 7), (47, 21, 8)];

impl Default for Prng {
    /// The state before any seeding.
    fn default() -> Self {
        Self {
            u: [0xa0d2_7757_0a34_5b8c, 0x764a_296c_5d4a_a64f, 0x5122_0704_070a_deaa, 0x2a27_17b5_a7b7_b927],
        }
    }
}

impl Prng {
    /// The state for a seed, the first ten numbers thrown away.
    pub fn from_seed(mut d: f64) -> Self {
        let mut u = [0; 4];
        for (z, (k, ..)) in u.iter_mut().zip(REGISTERS) {
            // Two roundings: no fused multiply-add here.
            d = d * std::f64::consts::PI + std::f64::consts::E;
            *z = d.to_bits();
            condition(z, k);
        }
        let mut rng = Self { u };
        for _ in 0..10 {
            rng.next_u64();
        }
        rng
    }

    /// The state from 32 random bytes of the system.
    pub fn from_entropy(bytes: [u64; 4]) -> Self {
        let mut rng = Self { u: bytes };
        for (z, (k, ..)) in rng.u.iter_mut().zip(REGISTERS) {
            condition(z, k);
        }
        rng.next_u64();
        rng
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let mut r = 0;
        for (z, (k, q, s)) in self.u.iter_mut().zip(REGISTERS) {
            *z = (((*z << q) ^ *z) >> (k - s)) ^ ((*z & (u64::MAX << (64 - k))) << s);
            r ^= *z;
        }
        r
    }

    /// The next number in [0, 1).
    pub fn next_f64(&mut self) -> f64 {
        f64::from_bits(self.next_u64() & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000) - 1.0
    }
}

/// The top `k` bits of a register must not all be zero, or it stays there.
fn condition(z: &mut u64, k: u32) {
    let least = 1 << (64 - k);
    if *z < least {
        *z += least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let mut a = Prng::from_seed(42.0);
        let mut b = Prng::from_seed(42.0);
        for _ in 0..100 {
            let x = a.next_f64();
            assert!((0.0..1.0).contains(&x));
            assert_eq!(x.to_bits(), b.next_f64().to_bits());
        }
        assert_ne!(Prng::from_seed(1.0), Prng::from_seed(2.0));
        assert_ne!(Prng::from_entropy([0; 4]).next_u64(), 0);
    }
}
