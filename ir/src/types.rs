//! Machine types, literals and newtype indices: the words every other module of this crate is made of.
//!
//! Terms
//! - A *type* is a machine type ([`Type`]). A guest register is an `i64`; a boxed Lua value is an `i64`
//!   too, boxed and unboxed by ordinary operations.
//! - A *literal* is a bit pattern without a type. The place where it is used gives it one, so one literal
//!   `-1` serves `i8` and `i64`. Every literal has one canonical form per type ([`Type::canonical`]):
//!   integers are sign-extended to 128 bits (`i1` is 0 or 1), floats are their bits zero-extended, vectors
//!   are zero-extended bits. Two equal literals of one type are therefore equal [`Operand`]s.
//! - An [`Operand`] is 32 bits: a value number, a small integer, an index into the trace's constant pool,
//!   or (in snapshots only) a recipe.
//!
//! Invariant: newtypes are never compared or mixed across traces; only [`SlotId`], [`ClassId`], [`TagId`] and
//! [`HelperId`] are meaningful for all traces over the same [`crate::trace::Decls`].

use std::fmt;

/// Bits of any value: eight little-endian 64-bit words. Scalars live in word 0 (`i128` in words 0 and 1),
/// zero-extended to their type's width; what lies above the type's width is unspecified unless a
/// function says otherwise.
pub type Wide = [u64; 8];

/// The all-zero [`Wide`].
pub const ZERO: Wide = [0; 8];

/// Machine type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Type {
    /// One bit: the result of a comparison.
    I1,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer, guest register, address or boxed word.
    I64,
    /// 128-bit integer.
    I128,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// 128-bit vector; lanes are chosen by the operation.
    V128,
    /// 256-bit vector.
    V256,
    /// 512-bit vector.
    V512,
    /// Six arithmetic flags C P A Z S O, see [`Flag`].
    Flags,
    /// The results of a `native` operation; only `pick` and snapshots of it look inside.
    Tuple,
    /// No value: the "result" of a store, guard and other lines without one.
    Void,
}

impl Type {
    /// Every type that text may name, narrowest first within its kind.
    pub const ALL: [Type; 13] = [
        Type::I1,
        Type::I8,
        Type::I16,
        Type::I32,
        Type::I64,
        Type::I128,
        Type::F32,
        Type::F64,
        Type::V128,
        Type::V256,
        Type::V512,
        Type::Flags,
        Type::Tuple,
    ];

    /// The name in text.
    pub const fn name(self) -> &'static str {
        match self {
            Type::I1 => "i1",
            Type::I8 => "i8",
            Type::I16 => "i16",
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::I128 => "i128",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::V128 => "v128",
            Type::V256 => "v256",
            Type::V512 => "v512",
            Type::Flags => "flags",
            Type::Tuple => "tuple",
            Type::Void => "void",
        }
    }

    /// The type with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Width in bits. `flags` counts as 64 (its packed image, see [`Flag`]); `tuple` and `void` as 0.
    pub const fn bits(self) -> u32 {
        match self {
            Type::I1 => 1,
            Type::I8 => 8,
            Type::I16 => 16,
            Type::I32 | Type::F32 => 32,
            Type::I64 | Type::F64 | Type::Flags => 64,
            Type::I128 | Type::V128 => 128,
            Type::V256 => 256,
            Type::V512 => 512,
            Type::Tuple | Type::Void => 0,
        }
    }

    /// Size in memory in bytes; 0 for what cannot be loaded or stored (`i1`, `flags`, `tuple`, `void`).
    pub const fn bytes(self) -> u32 {
        match self {
            Type::I1 | Type::Flags | Type::Tuple | Type::Void => 0,
            other => other.bits() / 8,
        }
    }

    /// Is it one of `i1 … i128`?
    pub const fn is_int(self) -> bool {
        matches!(self, Type::I1 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::I128)
    }

    /// Is it `f32` or `f64`?
    pub const fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }

    /// Is it `v128`, `v256` or `v512`?
    pub const fn is_vector(self) -> bool {
        matches!(self, Type::V128 | Type::V256 | Type::V512)
    }

    /// The integer type of this many bits.
    pub const fn int(bits: u32) -> Option<Type> {
        Some(match bits {
            1 => Type::I1,
            8 => Type::I8,
            16 => Type::I16,
            32 => Type::I32,
            64 => Type::I64,
            128 => Type::I128,
            _ => return None,
        })
    }

    /// The vector type of this many bits.
    pub const fn vector(bits: u32) -> Option<Type> {
        Some(match bits {
            128 => Type::V128,
            256 => Type::V256,
            512 => Type::V512,
            _ => return None,
        })
    }

    /// A mask of the type's low 64 bits (all ones for wider types).
    pub const fn mask64(self) -> u64 {
        let bits = self.bits();
        if bits >= 64 { u64::MAX } else { (1u64 << bits) - 1 }
    }

    /// The canonical literal for `value` at this type: what fits is kept, the rest is cut off, and the
    /// sign is extended (except `i1`, floats and vectors, which are zero-extended).
    pub const fn canonical(self, value: i128) -> i128 {
        match self {
            Type::I1 => value & 1,
            Type::I8 => value as i8 as i128,
            Type::I16 => value as i16 as i128,
            Type::I32 => value as i32 as i128,
            Type::I64 => value as i64 as i128,
            Type::F32 => value as u32 as i128,
            Type::F64 | Type::Flags => value as u64 as i128,
            Type::I128 | Type::V128 | Type::V256 | Type::V512 | Type::Tuple | Type::Void => value,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of types, for the rules in the op table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TypeSet(u16);

impl TypeSet {
    /// The set of these types.
    pub const fn of(types: &[Type]) -> TypeSet {
        let mut bits = 0;
        let mut i = 0;
        while i < types.len() {
            bits |= 1 << types[i] as u16;
            i += 1;
        }
        TypeSet(bits)
    }

    /// Both sets.
    pub const fn or(self, other: TypeSet) -> TypeSet {
        TypeSet(self.0 | other.0)
    }

    /// Is the type in the set?
    pub const fn contains(self, ty: Type) -> bool {
        self.0 & (1 << ty as u16) != 0
    }

    /// The members in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Type> {
        Type::ALL.into_iter().filter(move |t| self.contains(*t))
    }
}

impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(t.name())?;
        }
        Ok(())
    }
}

/// One arithmetic flag of a `flags` value.
///
/// The packed image of `flags` (`flags.pack`, `flags.unpack`, a slot's bits) has each flag at the bit
/// where x86 keeps it in EFLAGS, all other bits zero. AArch64's N Z C V are S Z C O.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Flag {
    /// Carry, bit 0.
    C,
    /// Parity of the low result byte (set when even), bit 2.
    P,
    /// Carry out of bit 3, bit 4.
    A,
    /// Result is zero, bit 6.
    Z,
    /// Sign (top bit) of the result, bit 7.
    S,
    /// Signed overflow, bit 11.
    O,
}

impl Flag {
    /// All flags in bit order.
    pub const ALL: [Flag; 6] = [Flag::C, Flag::P, Flag::A, Flag::Z, Flag::S, Flag::O];
    /// All flag bits of the packed image.
    pub const MASK: u64 = 0x8d5;

    /// The letter in text.
    pub const fn name(self) -> &'static str {
        match self {
            Flag::C => "c",
            Flag::P => "p",
            Flag::A => "a",
            Flag::Z => "z",
            Flag::S => "s",
            Flag::O => "o",
        }
    }

    /// Its bit in the packed image.
    pub const fn bit(self) -> u64 {
        match self {
            Flag::C => 1 << 0,
            Flag::P => 1 << 2,
            Flag::A => 1 << 4,
            Flag::Z => 1 << 6,
            Flag::S => 1 << 7,
            Flag::O => 1 << 11,
        }
    }
}

/// A condition on flags. The order is x86's condition-code order, so that `attr` 0–15 *is* the x86 code
/// and flipping bit 0 negates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Cond {
    /// O
    O,
    /// !O
    No,
    /// C (unsigned below)
    B,
    /// !C (unsigned above or equal)
    Ae,
    /// Z (equal)
    E,
    /// !Z (not equal)
    Ne,
    /// C | Z (unsigned below or equal)
    Be,
    /// !C & !Z (unsigned above)
    A,
    /// S
    S,
    /// !S
    Ns,
    /// P
    P,
    /// !P
    Np,
    /// S != O (signed less)
    L,
    /// S == O (signed greater or equal)
    Ge,
    /// Z | S != O (signed less or equal)
    Le,
    /// !Z & S == O (signed greater)
    G,
}

impl Cond {
    /// All conditions in code order.
    pub const ALL: [Cond; 16] = [
        Cond::O,
        Cond::No,
        Cond::B,
        Cond::Ae,
        Cond::E,
        Cond::Ne,
        Cond::Be,
        Cond::A,
        Cond::S,
        Cond::Ns,
        Cond::P,
        Cond::Np,
        Cond::L,
        Cond::Ge,
        Cond::Le,
        Cond::G,
    ];

    /// The name in text, after `cc.`.
    pub const fn name(self) -> &'static str {
        match self {
            Cond::O => "o",
            Cond::No => "no",
            Cond::B => "b",
            Cond::Ae => "ae",
            Cond::E => "e",
            Cond::Ne => "ne",
            Cond::Be => "be",
            Cond::A => "a",
            Cond::S => "s",
            Cond::Ns => "ns",
            Cond::P => "p",
            Cond::Np => "np",
            Cond::L => "l",
            Cond::Ge => "ge",
            Cond::Le => "le",
            Cond::G => "g",
        }
    }

    /// The condition with this code (low four bits).
    pub const fn from_code(code: u8) -> Cond {
        Cond::ALL[(code & 15) as usize]
    }

    /// The opposite condition.
    pub const fn negate(self) -> Cond {
        Cond::from_code(self as u8 ^ 1)
    }

    /// Does it hold on this packed image (see [`Flag`])?
    pub const fn holds(self, flags: u64) -> bool {
        let c = flags & Flag::C.bit() != 0;
        let p = flags & Flag::P.bit() != 0;
        let z = flags & Flag::Z.bit() != 0;
        let s = flags & Flag::S.bit() != 0;
        let o = flags & Flag::O.bit() != 0;
        let positive = match self as u8 >> 1 {
            0 => o,
            1 => c,
            2 => z,
            3 => c || z,
            4 => s,
            5 => p,
            6 => s != o,
            _ => z || s != o,
        };
        positive != (self as u8 & 1 != 0)
    }
}

/// A rounding direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Round {
    /// To nearest, ties to even.
    Near,
    /// Towards minus infinity.
    Down,
    /// Towards plus infinity.
    Up,
    /// Towards zero.
    Zero,
}

impl Round {
    /// All modes; the order is that of x86's two rounding-control bits.
    pub const ALL: [Round; 4] = [Round::Near, Round::Down, Round::Up, Round::Zero];

    /// The name in text.
    pub const fn name(self) -> &'static str {
        match self {
            Round::Near => "near",
            Round::Down => "down",
            Round::Up => "up",
            Round::Zero => "zero",
        }
    }

    /// The mode with this code (low two bits).
    pub const fn from_code(code: u8) -> Round {
        Round::ALL[(code & 3) as usize]
    }
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub $int);

        impl $name {
            /// As an array index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// Number of an SSA value, printed `%N`. Passes keep numbers, so they may have gaps.
    Value(u32)
}
index! {
    /// Number of an exit, as written after `exit`. Unique in its trace; may have gaps.
    ExitId(u32)
}
index! {
    /// A state slot of the guest: index into [`crate::trace::Decls::slots`].
    SlotId(u16)
}
index! {
    /// An alias class: index into [`crate::trace::Decls::classes`], less than 64.
    ClassId(u8)
}
index! {
    /// A tag of boxed words: index into [`crate::trace::Decls::tags`].
    TagId(u8)
}
index! {
    /// A helper function: index into [`crate::trace::Decls::helpers`].
    HelperId(u16)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for ExitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}", self.0)
    }
}

/// An operand in 32 bits.
///
/// ```text
/// 00 vvvv…  value number          10 iiii…  constant-pool index
/// 01 0…0    none                  11 ssss…  small integer, 30 bits, signed
/// 01 rrrr…  recipe index + 1
/// ```
///
/// Literals are canonical: what fits in 30 bits is never in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operand(u32);

/// An [`Operand`] taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperandKind {
    /// An SSA value.
    Value(Value),
    /// A small literal.
    Int(i32),
    /// A literal in the constant pool of the trace.
    Const(u32),
    /// A recipe of the trace; only in snapshots.
    Recipe(u32),
    /// Whatever is there; only in snapshots.
    Any,
    /// Absent.
    None,
}

const TAG: u32 = 3 << 30;
const TAG_OTHER: u32 = 1 << 30;
const TAG_CONST: u32 = 2 << 30;

impl Operand {
    /// The absent operand.
    pub const NONE: Operand = Operand(TAG_OTHER);
    /// In a snapshot: the slot may hold anything, because nobody reads it before it is written.
    pub const ANY: Operand = Operand(TAG_OTHER | !TAG);
    /// Largest payload of a value number, pool or recipe index.
    pub const MAX_INDEX: u32 = (1 << 30) - 3;

    /// The value `v`. Numbers above [`Operand::MAX_INDEX`] are a caller's bug and are cut off.
    pub const fn value(v: Value) -> Operand {
        Operand(v.0 & !TAG)
    }

    /// A literal if it fits in 30 bits.
    pub const fn small(i: i128) -> Option<Operand> {
        if i >= -(1 << 29) && i < 1 << 29 { Some(Operand(i as u32 | TAG)) } else { None }
    }

    /// An index (slot, tag, exit, …) as a small literal; it must be below 2^29.
    pub const fn index(i: u32) -> Operand {
        Operand(i | TAG)
    }

    /// Constant-pool entry `i`.
    pub const fn constant(i: u32) -> Operand {
        Operand(i & !TAG | TAG_CONST)
    }

    /// Recipe `i`.
    pub const fn recipe(i: u32) -> Operand {
        Operand((i + 1) & !TAG | TAG_OTHER)
    }

    /// Takes the operand apart.
    pub const fn kind(self) -> OperandKind {
        match self.0 & TAG {
            0 => OperandKind::Value(Value(self.0)),
            TAG_OTHER => match self.0 & !TAG {
                0 => OperandKind::None,
                n if n == !TAG => OperandKind::Any,
                n => OperandKind::Recipe(n - 1),
            },
            TAG_CONST => OperandKind::Const(self.0 & !TAG),
            _ => OperandKind::Int((self.0 << 2) as i32 >> 2),
        }
    }

    /// The value, if it is one.
    pub const fn as_value(self) -> Option<Value> {
        if self.0 & TAG == 0 { Some(Value(self.0)) } else { None }
    }

    /// The small literal, if it is one.
    pub const fn as_small(self) -> Option<i32> {
        match self.kind() {
            OperandKind::Int(i) => Some(i),
            _ => None,
        }
    }

    /// The payload of an operand made by [`Operand::index`]; `None` for anything else.
    pub const fn as_index(self) -> Option<usize> {
        match self.kind() {
            OperandKind::Int(i) if i >= 0 => Some(i as usize),
            _ => None,
        }
    }

    /// May the slot hold anything? See [`Operand::ANY`].
    pub const fn is_any(self) -> bool {
        self.0 == Self::ANY.0
    }

    /// Is it absent?
    pub const fn is_none(self) -> bool {
        self.0 == TAG_OTHER
    }

    /// Is it a literal (small or in the pool)?
    pub const fn is_literal(self) -> bool {
        self.0 & TAG_CONST != 0
    }
}

impl fmt::Debug for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            OperandKind::Value(v) => write!(f, "{v}"),
            OperandKind::Int(i) => write!(f, "{i}"),
            OperandKind::Const(c) => write!(f, "const{c}"),
            OperandKind::Recipe(r) => write!(f, "recipe{r}"),
            OperandKind::None => f.write_str("-"),
            OperandKind::Any => f.write_str("any"),
        }
    }
}

impl From<Value> for Operand {
    fn from(v: Value) -> Operand {
        Operand::value(v)
    }
}

/// Where guest code is: an address, or a place in a script.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Pc {
    /// An address in guest memory.
    Addr(u64),
    /// A bytecode of a source file; `file` indexes the trace's file names.
    Source {
        /// Index into [`crate::trace::Trace::files`].
        file: u32,
        /// Source line, from 1.
        line: u32,
        /// Bytecode position in its function.
        bytecode: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_keep_what_is_put_in() {
        for v in [0, 1, 77, Operand::MAX_INDEX] {
            assert_eq!(Operand::value(Value(v)).kind(), OperandKind::Value(Value(v)));
            assert_eq!(Operand::constant(v).kind(), OperandKind::Const(v));
            assert_eq!(Operand::recipe(v).kind(), OperandKind::Recipe(v));
        }
        for i in [0i128, 1, -1, (1 << 29) - 1, -(1 << 29)] {
            assert_eq!(Operand::small(i).map(Operand::kind), Some(OperandKind::Int(i as i32)));
        }
        assert_eq!(Operand::small(1 << 29), None);
        assert_eq!(Operand::NONE.kind(), OperandKind::None);
        assert_eq!(Operand::ANY.kind(), OperandKind::Any);
        assert!(Operand::ANY.is_any() && !Operand::ANY.is_literal() && Operand::ANY.as_value().is_none());
        assert!(!Operand::NONE.is_literal() && Operand::index(3).is_literal());
    }

    #[test]
    fn conditions_negate() {
        for image in 0..0x1000u64 {
            for c in Cond::ALL {
                assert_eq!(c.holds(image), !c.negate().holds(image));
            }
        }
        assert!(Cond::L.holds(Flag::S.bit()) && !Cond::G.holds(Flag::Z.bit()));
    }

    #[test]
    fn canonical_literals() {
        assert_eq!(Type::I8.canonical(255), -1);
        assert_eq!(Type::I1.canonical(-1), 1);
        assert_eq!(Type::F32.canonical(-1), 0xffff_ffff);
    }
}
