//! Floating point of AArch64 on bits: every rounding mode, flush-to-zero, default-NaN mode and the cumulative
//! exception flags, for half, single and double precision.
//!
//! A finite number is a sign, an integer mantissa and a power of two; operations are exact (with a sticky bit where digits
//! are lost far below the result) and [`Fp::round`] is the only place that rounds. Tininess is detected before rounding, as the
//! architecture says. NaNs: the first signalling operand wins, then the first quiet one; the default NaN is positive.
//!
//! ```text
//! 1.5 * 2.0     1.5 = 3·2^-1, 2.0 = 1·2^1    product 3·2^0, rounded: 0x4008_0000_0000_0000
//! ```

/// A format: exponent and fraction bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    exponent: u32,
    fraction: u32,
}

/// binary16
pub const HALF: Format = Format { exponent: 5, fraction: 10 };
/// binary32
pub const SINGLE: Format = Format { exponent: 8, fraction: 23 };
/// binary64
pub const DOUBLE: Format = Format { exponent: 11, fraction: 52 };

impl Format {
    /// Bits of a number.
    pub const fn bits(self) -> u32 {
        1 + self.exponent + self.fraction
    }
    const fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }
    const fn max_exponent(self) -> u64 {
        (1 << self.exponent) - 1
    }
    const fn fraction_mask(self) -> u64 {
        (1 << self.fraction) - 1
    }
    /// The sign bit.
    pub const fn sign(self) -> u64 {
        1 << (self.bits() - 1)
    }
    const fn infinity(self, negative: bool) -> u64 {
        self.max_exponent() << self.fraction | if negative { self.sign() } else { 0 }
    }
    const fn largest(self, negative: bool) -> u64 {
        self.infinity(negative) - 1
    }
    const fn zero(self, negative: bool) -> u64 {
        if negative { self.sign() } else { 0 }
    }
    const fn quiet_bit(self) -> u64 {
        1 << (self.fraction - 1)
    }
    const fn default_nan(self) -> u64 {
        self.max_exponent() << self.fraction | self.quiet_bit()
    }
    /// This power of two, which must be in the range of normal numbers.
    pub const fn power(self, exponent: i32) -> u64 {
        ((exponent + self.bias()) as u64) << self.fraction
    }
}

/// Directions of rounding, as FPCR and instructions encode them; the last is for `fcvta…` and `frinta`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounding {
    /// To nearest, ties to even.
    Even,
    /// Towards plus infinity.
    Up,
    /// Towards minus infinity.
    Down,
    /// Towards zero.
    Zero,
    /// To nearest, ties away from zero.
    Away,
}

/// Cumulative exception bits of FPSR.
pub mod flag {
    /// Invalid operation.
    pub const IOC: u32 = 1;
    /// Division by zero.
    pub const DZC: u32 = 2;
    /// Overflow.
    pub const OFC: u32 = 4;
    /// Underflow.
    pub const UFC: u32 = 8;
    /// Inexact.
    pub const IXC: u32 = 16;
    /// Input denormal.
    pub const IDC: u32 = 128;
    /// Saturation.
    pub const QC: u32 = 1 << 27;
}

/// FPCR: flush to zero.
pub const FZ: u32 = 1 << 24;
/// FPCR: default NaN.
pub const DN: u32 = 1 << 25;

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Zero,
    /// `mantissa · 2^exponent`, the mantissa not 0.
    Finite(u64, i32),
    Infinite,
    Quiet,
    Signalling,
}

impl Class {
    fn is_nan(self) -> bool {
        matches!(self, Class::Quiet | Class::Signalling)
    }
}

/// 256 bits, high and low half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Big(u128, u128);

impl Big {
    fn add(self, o: Big) -> Big {
        let (low, carry) = self.1.overflowing_add(o.1);
        Big(self.0 + o.0 + u128::from(carry), low)
    }
    fn sub(self, o: Big) -> Big {
        let (low, borrow) = self.1.overflowing_sub(o.1);
        Big(self.0 - o.0 - u128::from(borrow), low)
    }
    /// Shifted right; whether ones were lost.
    fn shr(self, n: u32) -> (Big, bool) {
        match n {
            0 => (self, false),
            1..128 => {
                let lost = self.1 << (128 - n) != 0;
                (Big(self.0 >> n, self.0 << (128 - n) | self.1 >> n), lost)
            }
            128 => (Big(0, self.0), self.1 != 0),
            129..256 => (Big(0, self.0 >> (n - 128)), self.1 != 0 || self.0 << (256 - n) != 0),
            _ => (Big(0, 0), self != Big(0, 0)),
        }
    }
}

/// The control word and the flags raised so far.
#[derive(Clone, Copy, Debug)]
pub struct Fp {
    /// FPCR.
    pub control: u32,
    /// FPSR bits that were raised.
    pub raised: u32,
}

impl Fp {
    /// With this FPCR.
    pub fn new(control: u32) -> Fp {
        Fp { control, raised: 0 }
    }

    /// FPCR's direction.
    pub fn mode(&self) -> Rounding {
        [Rounding::Even, Rounding::Up, Rounding::Down, Rounding::Zero][(self.control >> 22 & 3) as usize]
    }

    fn default_nan_mode(&self) -> bool {
        self.control & DN != 0
    }

    /// What the number is, denormals flushed if FPCR says so.
    fn unpack(&mut self, f: Format, a: u64) -> Class {
        match class(f, a) {
            Class::Finite(..)
                if f != HALF && self.control & FZ != 0 && a >> f.fraction & f.max_exponent() == 0 =>
            {
                self.raised |= flag::IDC;
                Class::Zero
            }
            c => c,
        }
    }

    /// The quiet form of a NaN operand.
    fn nan(&mut self, f: Format, a: u64) -> u64 {
        if class(f, a) == Class::Signalling {
            self.raised |= flag::IOC;
        }
        if self.default_nan_mode() { f.default_nan() } else { a | f.quiet_bit() }
    }

    /// The NaN that an operation on these gives, if any is one.
    fn nans(&mut self, f: Format, all: &[u64]) -> Option<u64> {
        let of = |want: Class| all.iter().copied().find(|&a| class(f, a) == want);
        of(Class::Signalling).or_else(|| of(Class::Quiet)).map(|a| self.nan(f, a))
    }

    fn invalid(&mut self, f: Format) -> u64 {
        self.raised |= flag::IOC;
        f.default_nan()
    }

    /// `mantissa · 2^exponent` in the format. `sticky`: a little more than that.
    fn round(
        &mut self,
        f: Format,
        mode: Rounding,
        negative: bool,
        mantissa: u128,
        exponent: i32,
        sticky: bool,
    ) -> u64 {
        if mantissa == 0 && !sticky {
            return f.zero(negative);
        }
        let length = 128 - mantissa.leading_zeros() as i32;
        let top = length - 1 + exponent;
        let least = 1 - f.bias();
        let tiny = top < least;
        if tiny && f != HALF && self.control & FZ != 0 {
            self.raised |= flag::UFC;
            return f.zero(negative);
        }
        let quantum = top.max(least) - f.fraction as i32;
        let shift = quantum - exponent;
        let (mut kept, rest, half) = match shift {
            ..=0 => (mantissa << -shift, 0u128, 0u128),
            1..128 => (mantissa >> shift, mantissa & ((1 << shift) - 1), 1 << (shift - 1)),
            128 => (0, mantissa, 1 << 127),
            // Below half of the quantum.
            _ => (0, u128::from(mantissa != 0), u128::MAX),
        };
        let inexact = rest != 0 || sticky;
        let up = match mode {
            Rounding::Even => shift > 0 && (rest > half || rest == half && (sticky || kept & 1 == 1)),
            Rounding::Away => shift > 0 && rest >= half,
            Rounding::Up => inexact && !negative,
            Rounding::Down => inexact && negative,
            Rounding::Zero => false,
        };
        kept += u128::from(up);
        if inexact {
            self.raised |= flag::IXC;
            if tiny {
                self.raised |= flag::UFC;
            }
        }
        let biased = if tiny { 0 } else { (top + f.bias() - 1) as u64 };
        // The leading bit of a normal number counts one into the exponent.
        let bits = (biased << f.fraction) + kept as u64;
        if bits >> f.fraction >= f.max_exponent() {
            self.raised |= flag::OFC | flag::IXC;
            let to_infinity = match mode {
                Rounding::Even | Rounding::Away => true,
                Rounding::Up => !negative,
                Rounding::Down => negative,
                Rounding::Zero => false,
            };
            return if to_infinity { f.infinity(negative) } else { f.largest(negative) };
        }
        bits | f.zero(negative)
    }

    fn rounded(&mut self, f: Format, negative: bool, mantissa: u128, exponent: i32, sticky: bool) -> u64 {
        self.round(f, self.mode(), negative, mantissa, exponent, sticky)
    }

    /// The exact sum of two finite numbers that are not both zero, rounded.
    fn sum(&mut self, f: Format, a: (bool, u128, i32), b: (bool, u128, i32)) -> u64 {
        // The leading bit at 250, so that a carry fits and nothing near the result is lost.
        let place = |m: u128, e: i32| -> (Big, i32) {
            let n = m.leading_zeros();
            (Big(m << n, 0).shr(5).0, e + 128 - n as i32 - 251)
        };
        let magnitude = |x: &(bool, u128, i32)| 128 - x.1.leading_zeros() as i32 + x.2;
        let (a, b) = if a.1 == 0 || b.1 != 0 && magnitude(&b) > magnitude(&a) { (b, a) } else { (a, b) };
        if b.1 == 0 {
            return self.rounded(f, a.0, a.1, a.2, false);
        }
        let ((x, ex), (y, ey)) = (place(a.1, a.2), place(b.1, b.2));
        let (y, sticky) = y.shr((ex - ey) as u32);
        let (negative, z) = if a.0 == b.0 {
            (a.0, x.add(y))
        } else if x == y && !sticky {
            return f.zero(self.mode() == Rounding::Down);
        } else if x > y {
            (a.0, x.sub(y).sub(Big(0, u128::from(sticky))))
        } else {
            (b.0, y.sub(x))
        };
        // Back to 128 bits: normalised first.
        let (high, e, low) = if z.0 != 0 {
            let n = z.0.leading_zeros();
            let high = if n == 0 { z.0 } else { z.0 << n | z.1 >> (128 - n) };
            (high, ex + 128 - n as i32, z.1 << n)
        } else {
            (z.1, ex, 0)
        };
        self.rounded(f, negative, high, e, sticky || low != 0)
    }

    /// `a + b`
    pub fn add(&mut self, f: Format, a: u64, b: u64) -> u64 {
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        let (na, nb) = (a & f.sign() != 0, b & f.sign() != 0);
        if let Some(nan) = self.nans(f, &[a, b]) {
            return nan;
        }
        match (ca, cb) {
            (Class::Infinite, Class::Infinite) if na != nb => self.invalid(f),
            (Class::Infinite, _) => f.infinity(na),
            (_, Class::Infinite) => f.infinity(nb),
            (Class::Zero, Class::Zero) if na == nb => f.zero(na),
            (Class::Zero, Class::Zero) => f.zero(self.mode() == Rounding::Down),
            _ => self.sum(f, parts(na, ca), parts(nb, cb)),
        }
    }

    /// `a - b`
    pub fn sub(&mut self, f: Format, a: u64, b: u64) -> u64 {
        if self.is_nan(f, a) || self.is_nan(f, b) {
            self.unpack(f, a);
            self.unpack(f, b);
            return self.nans(f, &[a, b]).unwrap_or(0);
        }
        self.add(f, a, b ^ f.sign())
    }

    /// Is it a NaN?
    pub fn is_nan(&self, f: Format, a: u64) -> bool {
        class(f, a).is_nan()
    }

    /// `a · b`; `extended`: infinity times zero is two.
    pub fn mul(&mut self, f: Format, a: u64, b: u64, extended: bool) -> u64 {
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        let negative = (a ^ b) & f.sign() != 0;
        if let Some(nan) = self.nans(f, &[a, b]) {
            return nan;
        }
        match (ca, cb) {
            (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite) if extended => {
                f.power(1) | f.zero(negative)
            }
            (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite) => self.invalid(f),
            (Class::Infinite, _) | (_, Class::Infinite) => f.infinity(negative),
            (Class::Finite(m, e), Class::Finite(n, g)) => {
                self.rounded(f, negative, u128::from(m) * u128::from(n), e + g, false)
            }
            _ => f.zero(negative),
        }
    }

    /// `a / b`
    pub fn div(&mut self, f: Format, a: u64, b: u64) -> u64 {
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        let negative = (a ^ b) & f.sign() != 0;
        if let Some(nan) = self.nans(f, &[a, b]) {
            return nan;
        }
        match (ca, cb) {
            (Class::Infinite, Class::Infinite) | (Class::Zero, Class::Zero) => self.invalid(f),
            (Class::Infinite, _) => f.infinity(negative),
            (_, Class::Zero) => {
                self.raised |= flag::DZC;
                f.infinity(negative)
            }
            (Class::Finite(m, e), Class::Finite(n, g)) => {
                let shift = m.leading_zeros() as i32 + 60;
                let (x, n) = (u128::from(m) << shift, u128::from(n));
                self.rounded(f, negative, x / n, e - shift - g, x % n != 0)
            }
            _ => f.zero(negative),
        }
    }

    /// `a + n · m`, rounded once.
    pub fn fma(&mut self, f: Format, a: u64, n: u64, m: u64) -> u64 {
        let (ca, cn, cm) = (self.unpack(f, a), self.unpack(f, n), self.unpack(f, m));
        let undefined = matches!((cn, cm), (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite));
        let na = a & f.sign() != 0;
        let negative = (n ^ m) & f.sign() != 0;
        if let Some(nan) = self.nans(f, &[a, n, m]) {
            // A quiet addend does not hide the invalid product.
            return if ca == Class::Quiet && undefined { self.invalid(f) } else { nan };
        }
        let infinite = cn == Class::Infinite || cm == Class::Infinite;
        if undefined || ca == Class::Infinite && infinite && na != negative {
            return self.invalid(f);
        }
        if ca == Class::Infinite {
            return f.infinity(na);
        }
        if infinite {
            return f.infinity(negative);
        }
        let product = match (cn, cm) {
            (Class::Finite(x, e), Class::Finite(y, g)) => (negative, u128::from(x) * u128::from(y), e + g),
            _ => (negative, 0, 0),
        };
        match (ca, product.1) {
            (Class::Zero, 0) if na == negative => f.zero(na),
            (Class::Zero, 0) => f.zero(self.mode() == Rounding::Down),
            _ => self.sum(f, parts(na, ca), product),
        }
    }

    /// The square root.
    pub fn sqrt(&mut self, f: Format, a: u64) -> u64 {
        let c = self.unpack(f, a);
        let negative = a & f.sign() != 0;
        match c {
            Class::Quiet | Class::Signalling => self.nan(f, a),
            Class::Zero => f.zero(negative),
            _ if negative => self.invalid(f),
            Class::Infinite => f.infinity(false),
            Class::Finite(m, e) => {
                let mut shift = m.leading_zeros() as i32 + 62;
                if (e - shift) & 1 != 0 {
                    shift -= 1;
                }
                let x = u128::from(m) << shift;
                let root = x.isqrt();
                self.rounded(f, false, root, (e - shift) / 2, root * root != x)
            }
        }
    }

    /// Rounded to an integer; `exact` raises inexact.
    pub fn round_int(&mut self, f: Format, a: u64, mode: Rounding, exact: bool) -> u64 {
        let negative = a & f.sign() != 0;
        match self.unpack(f, a) {
            Class::Quiet | Class::Signalling => self.nan(f, a),
            Class::Infinite => a,
            Class::Zero => f.zero(negative),
            // An integer already.
            Class::Finite(_, 0..) => a,
            Class::Finite(m, e) => {
                let (value, inexact) = to_integer(m, e, negative, mode);
                if inexact && exact {
                    self.raised |= flag::IXC;
                }
                if value == 0 { f.zero(negative) } else { exactly(f, negative, value) }
            }
        }
    }

    /// To an integer of 32 or 64 bits, scaled by `2^scale`, saturating.
    pub fn to_int(&mut self, f: Format, a: u64, bits: u32, signed: bool, scale: u32, mode: Rounding) -> u64 {
        let negative = a & f.sign() != 0;
        let (most, least): (u128, u128) = match (bits, signed) {
            (_, true) => ((1 << (bits - 1)) - 1, 1 << (bits - 1)),
            _ => ((1 << bits) - 1, 0),
        };
        let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        let limit = if negative { least } else { most };
        let saturated = |s: &mut Fp| {
            s.raised |= flag::IOC;
            (if negative { (limit as u64).wrapping_neg() } else { limit as u64 }) & mask
        };
        match self.unpack(f, a) {
            Class::Quiet | Class::Signalling => {
                self.raised |= flag::IOC;
                0
            }
            Class::Infinite => saturated(self),
            Class::Zero => 0,
            Class::Finite(m, e) => {
                let e = e + scale as i32;
                if e > 64 {
                    return saturated(self);
                }
                let (value, inexact) = to_integer(m, e, negative, mode);
                if value > limit {
                    return saturated(self);
                }
                if inexact {
                    self.raised |= flag::IXC;
                }
                (if negative { (value as u64).wrapping_neg() } else { value as u64 }) & mask
            }
        }
    }

    /// From an integer (sign- or zero-extended to 64 bits), divided by `2^scale`.
    pub fn from_int(&mut self, f: Format, a: u64, signed: bool, scale: u32) -> u64 {
        let negative = signed && (a as i64) < 0;
        let m = if negative { a.wrapping_neg() } else { a };
        self.rounded(f, negative, m.into(), -(scale as i32), false)
    }

    /// From one format to another.
    pub fn convert(&mut self, from: Format, to: Format, a: u64, mode: Option<Rounding>) -> u64 {
        let negative = a & from.sign() != 0;
        let c = self.unpack(from, a);
        match c {
            Class::Quiet | Class::Signalling => {
                if c == Class::Signalling {
                    self.raised |= flag::IOC;
                }
                if self.default_nan_mode() {
                    return to.default_nan();
                }
                let payload = a & from.fraction_mask();
                let moved = if to.fraction > from.fraction {
                    payload << (to.fraction - from.fraction)
                } else {
                    payload >> (from.fraction - to.fraction)
                };
                to.infinity(negative) | to.quiet_bit() | moved
            }
            Class::Infinite => to.infinity(negative),
            Class::Zero => to.zero(negative),
            Class::Finite(m, e) => {
                let mode = mode.unwrap_or(self.mode());
                self.round(to, mode, negative, m.into(), e, false)
            }
        }
    }

    /// `fcvtxn`: to single, inexact results made odd.
    pub fn to_odd(&mut self, a: u64) -> u64 {
        let before = self.raised;
        self.raised = 0;
        let r = self.convert(DOUBLE, SINGLE, a, Some(Rounding::Zero));
        let odd = if self.raised & flag::IXC != 0 { 1 } else { 0 };
        self.raised |= before;
        r | odd
    }

    /// -1, 0, 1, or `None` when unordered. `signalling`: quiet NaNs raise too.
    pub fn compare(&mut self, f: Format, a: u64, b: u64, signalling: bool) -> Option<i32> {
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        if ca.is_nan() || cb.is_nan() {
            if signalling || ca == Class::Signalling || cb == Class::Signalling {
                self.raised |= flag::IOC;
            }
            return None;
        }
        let key = |c: Class, x: u64| {
            let magnitude = if c == Class::Zero { 0 } else { (x & (f.sign() - 1)) as i64 };
            if x & f.sign() != 0 { -magnitude } else { magnitude }
        };
        Some(key(ca, a).cmp(&key(cb, b)) as i32)
    }

    /// Maximum or minimum; `number`: a quiet NaN loses against a number.
    pub fn max_min(&mut self, f: Format, a: u64, b: u64, max: bool, number: bool) -> u64 {
        let (mut a, mut b) = (a, b);
        if number {
            let (qa, qb) = (class(f, a) == Class::Quiet, class(f, b) == Class::Quiet);
            let worst = f.infinity(max);
            if qa && !qb {
                a = worst;
            } else if qb && !qa {
                b = worst;
            }
        }
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        if let Some(nan) = self.nans(f, &[a, b]) {
            return nan;
        }
        let flushed = |c: Class, x: u64| if c == Class::Zero { x & f.sign() } else { x };
        let (x, y) = (flushed(ca, a), flushed(cb, b));
        if ca == Class::Zero && cb == Class::Zero {
            return if max { x & y } else { x | y };
        }
        let greater = self.compare(f, x, y, false) == Some(1);
        if greater == max { x } else { y }
    }

    /// `frecps` (2 - a·b) or `frsqrts` ((3 - a·b) / 2).
    pub fn step(&mut self, f: Format, a: u64, b: u64, root: bool) -> u64 {
        let a = a ^ f.sign();
        let (ca, cb) = (self.unpack(f, a), self.unpack(f, b));
        if let Some(nan) = self.nans(f, &[a, b]) {
            return nan;
        }
        let negative = (a ^ b) & f.sign() != 0;
        match (ca, cb) {
            (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite) => {
                if root {
                    f.power(0) | f.quiet_bit()
                } else {
                    f.power(1)
                }
            }
            (Class::Infinite, _) | (_, Class::Infinite) => f.infinity(negative),
            _ => {
                let product = match (ca, cb) {
                    (Class::Finite(x, e), Class::Finite(y, g)) => {
                        (negative, u128::from(x) * u128::from(y), e + g - i32::from(root))
                    }
                    _ => (negative, 0, 0),
                };
                let constant = if root { (false, 3, -1) } else { (false, 2, 0) };
                self.sum(f, constant, product)
            }
        }
    }

    /// The estimate of the reciprocal.
    pub fn recip_estimate(&mut self, f: Format, a: u64) -> u64 {
        let negative = a & f.sign() != 0;
        match self.unpack(f, a) {
            Class::Quiet | Class::Signalling => self.nan(f, a),
            Class::Infinite => f.zero(negative),
            Class::Zero => {
                self.raised |= flag::DZC;
                f.infinity(negative)
            }
            Class::Finite(m, e) => {
                let length = 64 - m.leading_zeros() as i32;
                let top = length - 1 + e;
                if top < -f.bias() - 1 {
                    // Its reciprocal is too large.
                    self.raised |= flag::OFC | flag::IXC;
                    let infinite = match self.mode() {
                        Rounding::Even | Rounding::Away => true,
                        Rounding::Up => !negative,
                        Rounding::Down => negative,
                        Rounding::Zero => false,
                    };
                    return if infinite { f.infinity(negative) } else { f.largest(negative) };
                }
                if self.control & FZ != 0 && f != HALF && top >= f.bias() - 1 {
                    self.raised |= flag::UFC;
                    return f.zero(negative);
                }
                let scaled = (m << m.leading_zeros()) >> 55;
                let estimate = recip_table(scaled as u32);
                let exponent = -top - 1;
                let mut fraction = u64::from(estimate & 255) << (f.fraction - 8);
                let biased = exponent + f.bias();
                if biased == 0 {
                    fraction = fraction >> 1 | f.quiet_bit();
                    return f.zero(negative) | fraction;
                }
                if biased == -1 {
                    fraction = fraction >> 2 | 1 << (f.fraction - 2);
                    return f.zero(negative) | fraction;
                }
                f.zero(negative) | (biased as u64) << f.fraction | fraction
            }
        }
    }

    /// The estimate of the reciprocal of the square root.
    pub fn rsqrt_estimate(&mut self, f: Format, a: u64) -> u64 {
        let negative = a & f.sign() != 0;
        match self.unpack(f, a) {
            Class::Quiet | Class::Signalling => self.nan(f, a),
            Class::Zero => {
                self.raised |= flag::DZC;
                f.infinity(negative)
            }
            _ if negative => self.invalid(f),
            Class::Infinite => f.zero(false),
            Class::Finite(m, e) => {
                let length = 64 - m.leading_zeros() as i32;
                let top = length - 1 + e;
                let normal = m << m.leading_zeros();
                // An even exponent halves the scaled number.
                let odd = top & 1 != 0;
                let scaled = if odd { normal >> 55 } else { normal >> 56 };
                let estimate = rsqrt_table(if odd { scaled as u32 } else { (scaled & 127 | 128) as u32 });
                let exponent = (-1 - top).div_euclid(2);
                let exponent = if odd { (-1 - top) / 2 } else { exponent };
                let biased = (exponent + f.bias()) as u64;
                biased << f.fraction | u64::from(estimate & 255) << (f.fraction - 8)
            }
        }
    }

    /// `frecpx`
    pub fn recip_exponent(&mut self, f: Format, a: u64) -> u64 {
        let c = self.unpack(f, a);
        if c.is_nan() {
            return self.nan(f, a);
        }
        let exponent = if c == Class::Zero { 0 } else { a >> f.fraction & f.max_exponent() };
        let exponent = if exponent == 0 { f.max_exponent() - 1 } else { !exponent & f.max_exponent() };
        a & f.sign() | exponent << f.fraction
    }
}

fn class(f: Format, a: u64) -> Class {
    let exponent = a >> f.fraction & f.max_exponent();
    let fraction = a & f.fraction_mask();
    let least = 1 - f.bias() - f.fraction as i32;
    if exponent == f.max_exponent() {
        match fraction {
            0 => Class::Infinite,
            _ if fraction & f.quiet_bit() != 0 => Class::Quiet,
            _ => Class::Signalling,
        }
    } else if exponent == 0 {
        if fraction == 0 { Class::Zero } else { Class::Finite(fraction, least) }
    } else {
        Class::Finite(fraction | 1 << f.fraction, least + exponent as i32 - 1)
    }
}

fn parts(negative: bool, c: Class) -> (bool, u128, i32) {
    match c {
        Class::Finite(m, e) => (negative, m.into(), e),
        _ => (negative, 0, 0),
    }
}

/// The magnitude rounded to an integer, and whether that changed it. The exponent is at most 64.
fn to_integer(m: u64, e: i32, negative: bool, mode: Rounding) -> (u128, bool) {
    if e >= 0 {
        return (u128::from(m) << e.min(64), false);
    }
    let shift = (-e).min(127) as u32;
    let m = u128::from(m);
    let (kept, rest) = (m >> shift, m & ((1 << shift) - 1));
    let half = 1u128 << (shift - 1);
    let up = match mode {
        Rounding::Even => rest > half || rest == half && kept & 1 == 1,
        Rounding::Away => rest >= half,
        Rounding::Up => rest != 0 && !negative,
        Rounding::Down => rest != 0 && negative,
        Rounding::Zero => false,
    };
    (kept + u128::from(up), rest != 0)
}

/// An integer that the format can hold.
fn exactly(f: Format, negative: bool, value: u128) -> u64 {
    Fp::new(0).round(f, Rounding::Zero, negative, value, 0, false)
}

/// 256 … 511 to 256 … 511: the architecture's table of reciprocals.
pub fn recip_table(a: u32) -> u32 {
    ((1 << 19) / (a * 2 + 1)).div_ceil(2)
}

/// 128 … 511 to 256 … 511: the architecture's table of reciprocal square roots.
pub fn rsqrt_table(a: u32) -> u32 {
    let a = u64::from(if a < 256 { a * 2 + 1 } else { ((a >> 1 << 1) + 1) * 2 });
    let mut b = 512u64;
    while a * (b + 1) * (b + 1) < 1 << 28 {
        b += 1;
    }
    b.div_ceil(2) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all kinds.
    fn sample(k: u64) -> u64 {
        let x = k.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((k % 64) as u32) ^ k << 52;
        match k % 5 {
            0 => x & 0x800f_ffff_ffff_ffff,
            1 => x & 0x3fff_ffff_0000_0000 | 0x3c00_0000_0000_0000,
            2 => (k as i64 - 500) as f64 as u64,
            3 => ((k as f64) - 500.0).to_bits(),
            _ => x,
        }
    }

    #[test]
    fn agrees_with_the_machine_in_the_default_mode() {
        let fp = Fp::new(0);
        let same = |ours: u64, theirs: f64, what: &str, a: u64, b: u64| {
            if theirs.is_nan() {
                assert!(fp.is_nan(DOUBLE, ours), "{what} {a:#x} {b:#x}: {ours:#x}");
            } else {
                assert_eq!(ours, theirs.to_bits(), "{what} {a:#x} {b:#x}");
            }
        };
        let mut m = Fp::new(0);
        for i in 0..300 {
            for j in 0..300 {
                let (a, b) = (sample(i), sample(j * 7 + 1));
                let (x, y) = (f64::from_bits(a), f64::from_bits(b));
                same(m.add(DOUBLE, a, b), x + y, "add", a, b);
                same(m.sub(DOUBLE, a, b), x - y, "sub", a, b);
                same(m.mul(DOUBLE, a, b, false), x * y, "mul", a, b);
                same(m.div(DOUBLE, a, b), x / y, "div", a, b);
                same(
                    m.fma(DOUBLE, a, b, sample(i + j)),
                    f64::from_bits(b).mul_add(f64::from_bits(sample(i + j)), x),
                    "fma",
                    a,
                    b,
                );
            }
            let a = sample(i);
            same(m.sqrt(DOUBLE, a), f64::from_bits(a).sqrt(), "sqrt", a, 0);
            let narrow = m.convert(DOUBLE, SINGLE, a, None) as u32;
            if !f64::from_bits(a).is_nan() {
                assert_eq!(narrow, (f64::from_bits(a) as f32).to_bits());
            }
            assert_eq!(m.to_int(DOUBLE, a, 64, true, 0, Rounding::Zero), f64::from_bits(a) as i64 as u64);
            assert_eq!(m.from_int(DOUBLE, a, true, 0), (a as i64 as f64).to_bits());
            assert_eq!(m.from_int(SINGLE, a, false, 0), u64::from((a as f32).to_bits()));
        }
    }
}
