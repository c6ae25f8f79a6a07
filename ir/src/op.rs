//! THE table of operations. One row gives an operation its name, its suffix, its operands, its result, the
//! types it takes, its effects and its meaning; from the rows come the enum [`Op`], the printer, the parser,
//! the verifier's type rules and the table in `docs/ir.md`. `docs/adding-an-op.md` says what else a new row
//! needs.
//!
//! How to read a row
//! - `(T, T) -> T` lists operands and result by [`Arg`]. `T` is the instruction's *operand type*
//!   ([`crate::trace::Inst::aty`]), `R` its *result type* ([`crate::trace::Inst::ty`]). In text the result
//!   type is written (`%1: i64 = …`), and `T` follows from the first operand at a `T` place that is a value;
//!   when all of them are literals one is written `5:i32`.
//! - `T in INT`, `R in VEC` bound the two types; `where WIDER` and the like relate them ([`Check`]).
//! - `suffix LANE` means the operation is written `v.add.i32` and `T` is the lane type; `FLAG`, `COND` and
//!   `ROUND` suffixes are kept in [`crate::trace::Inst::attr`].
//! - The word before the doc is the [`OpEffect`].
//!
//! Every operation is total and deterministic, except that those marked `fault` may fault. In particular
//! shift amounts at or above the width, counts of zero words and NaNs have defined results.
//!
//! Floating point (all `f…` and `v.f…` rows). Results are those of SSE with the default MXCSR: round to
//! nearest even, subnormals honoured, exceptions masked. If an operand of an arithmetic operation is NaN, the
//! result is the first NaN operand in operand order with its quiet bit set; an invalid operation on numbers
//! gives the *default NaN* (sign set, quiet bit set, payload zero: `0xfff8000000000000`, `0xffc00000`).
//! Sticky exception flags are not modelled. A trace that contains such rows therefore rests on the guest
//! running with the default control word: its front end either writes `assume FpDefault`, or guards on a
//! state slot that holds the control word, and lifts to `native` otherwise.

use crate::types::{Type, TypeSet};

/// How an instruction is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `OP operand, operand, …`
    Plain,
    /// A parameter of `loop(…)`.
    Phi,
    /// `load [base + index*scale + disp] !class`
    Load,
    /// `store operand, [base + index*scale + disp] !class`
    Store,
    /// `atomic.OP operand {, operand}, [base + disp] !class`
    Atomic,
    /// `guard value else exit N`
    Guard,
    /// `call NAME(operands) [else exit N]`
    Call,
    /// `native HEXBYTES (slot = operand, …) writes slot … loads !class … stores !class … [raises]`
    Native,
    /// `at pc [else exit N]`
    At,
}

/// What an operand or a result has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// Of the operand type.
    T,
    /// Of the result type.
    R,
    /// `i1`.
    I1,
    /// `i64`.
    I64,
    /// `flags`.
    F,
    /// Any vector; must be a value, not a literal.
    V,
    /// The tuple of a `native`.
    Tuple,
    /// A literal integer, part of the operation.
    Imm,
    /// A literal with one source-lane index per byte, written `[3, 2, 1, 0]`.
    Lanes,
    /// The name of a tag.
    Tag,
    /// The name of a state slot.
    Slot,
    /// (As result) none.
    None,
}

impl Arg {
    /// How the table in the manual writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Arg::T => "T",
            Arg::R => "R",
            Arg::I1 => "i1",
            Arg::I64 => "i64",
            Arg::F => "flags",
            Arg::V => "vector",
            Arg::Tuple => "tuple",
            Arg::Imm => "literal",
            Arg::Lanes => "[lanes]",
            Arg::Tag => "tag",
            Arg::Slot => "slot",
            Arg::None => "–",
        }
    }
}

/// What follows the name after a dot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suffix {
    /// Nothing.
    None,
    /// The lane type, which is the operand type.
    Lane,
    /// A [`crate::types::Flag`].
    Flag,
    /// A [`crate::types::Cond`].
    Cond,
    /// A [`crate::types::Round`].
    Round,
}

/// A relation between operand type and result type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// None beyond the sets.
    Any,
    /// `R` is wider than `T`.
    Wider,
    /// `R` is narrower than `T`.
    Narrower,
    /// Same width, different types.
    SameBits,
    /// `T` is a part of `R` at the bit offset in the last operand: a multiple of 8 bits, within the container.
    PartOfR,
    /// `R` is a part of `T`, likewise.
    PartOfT,
    /// `R` is the declared type of the named slot.
    SlotType,
    /// `T` or `R` (whichever is not `i64`) is the type of the named tag.
    TagType,
    /// One lane index per lane of `R`, each below twice the number of lanes.
    LaneCount,
}

/// The row's part of the effects; [`crate::trace::Trace::effects`] makes [`crate::effects::Effects`] of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpEffect {
    /// A function of its operands.
    Pure,
    /// A function of its operands that may fault.
    Fault,
    /// Reads the class it names; may fault.
    Load,
    /// Writes the class it names; may fault.
    Store,
    /// Reads and writes the class it names, and orders all memory; may fault.
    Atomic,
    /// Orders all memory.
    Fence,
    /// May leave by its exit.
    Guard,
    /// As declared by the helper.
    Helper,
    /// As written on the line.
    Line,
    /// Says where we are; stays.
    Mark,
}

impl OpEffect {
    /// How the table in the manual writes it.
    pub const fn name(self) -> &'static str {
        match self {
            OpEffect::Pure => "pure",
            OpEffect::Fault => "may fault",
            OpEffect::Load => "reads its class, may fault",
            OpEffect::Store => "writes its class, may fault",
            OpEffect::Atomic => "reads and writes its class, orders memory, may fault",
            OpEffect::Fence => "orders memory",
            OpEffect::Guard => "may leave",
            OpEffect::Helper => "the helper's",
            OpEffect::Line => "as written",
            OpEffect::Mark => "mark",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpInfo {
    /// Its name in text, without suffix.
    pub name: &'static str,
    /// How it is written.
    pub form: Form,
    /// What follows the name.
    pub suffix: Suffix,
    /// Its operands ([`Form::Plain`] only; the others have their own places, see [`crate::trace::Inst`]).
    pub args: &'static [Arg],
    /// Its result.
    pub result: Arg,
    /// What the operand type may be.
    pub t: TypeSet,
    /// What the result type may be (when `result` is [`Arg::R`]).
    pub r: TypeSet,
    /// How the two relate.
    pub check: Check,
    /// Its effects.
    pub effect: OpEffect,
    /// Its meaning.
    pub doc: &'static str,
}

const NO: TypeSet = TypeSet::of(&[]);
/// Integers with arithmetic.
pub const INT: TypeSet = TypeSet::of(&[Type::I8, Type::I16, Type::I32, Type::I64, Type::I128]);
const INT64: TypeSet = TypeSet::of(&[Type::I8, Type::I16, Type::I32, Type::I64]);
const WORD: TypeSet = TypeSet::of(&[Type::I16, Type::I32, Type::I64, Type::I128]);
const BIT: TypeSet = TypeSet::of(&[Type::I1]);
const REG: TypeSet = TypeSet::of(&[Type::I32, Type::I64]);
const FLOAT: TypeSet = TypeSet::of(&[Type::F32, Type::F64]);
const VEC: TypeSet = TypeSet::of(&[Type::V128, Type::V256, Type::V512]);
const BITS: TypeSet = INT.or(BIT).or(VEC);
const MEM: TypeSet = INT.or(FLOAT).or(VEC);
const ANY: TypeSet = MEM.or(BIT).or(TypeSet::of(&[Type::Flags]));
const DATA: TypeSet = MEM.or(BIT);
const SCALAR: TypeSet = INT64.or(FLOAT);
const L8_16: TypeSet = TypeSet::of(&[Type::I8, Type::I16]);
const L16_32: TypeSet = TypeSet::of(&[Type::I16, Type::I32]);
const L16_64: TypeSet = TypeSet::of(&[Type::I16, Type::I32, Type::I64]);
const L32: TypeSet = TypeSet::of(&[Type::I32]);
const L16: TypeSet = TypeSet::of(&[Type::I16]);
const L8: TypeSet = TypeSet::of(&[Type::I8]);
const LF32: TypeSet = TypeSet::of(&[Type::F32]);
const LF64: TypeSet = TypeSet::of(&[Type::F64]);
const F64ONLY: TypeSet = LF64;
const F32ONLY: TypeSet = LF32;

macro_rules! or_default {
    ($default:expr;) => {
        $default
    };
    ($default:expr; $value:expr) => {
        $value
    };
}

macro_rules! ops {
    ($(
        $variant:ident $name:literal $(form $form:ident)? $(suffix $suffix:ident)?
        ($($arg:ident),*) -> $result:ident
        $(, T in $t:ident)? $(, R in $r:ident)? $(where $check:ident)?
        ; $effect:ident $doc:literal
    )*) => {
        /// An operation. Meaning, operands and effects are in its row, [`Op::info`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = $doc] $variant,)*
        }

        impl Op {
            /// Every operation, in table order.
            pub const ALL: &'static [Op] = &[$(Op::$variant,)*];
        }

        static TABLE: &[OpInfo] = &[$(
            OpInfo {
                name: $name,
                form: or_default!(Form::Plain; $(Form::$form)?),
                suffix: or_default!(Suffix::None; $(Suffix::$suffix)?),
                args: &[$(Arg::$arg,)*],
                result: Arg::$result,
                t: or_default!(NO; $($t)?),
                r: or_default!(NO; $($r)?),
                check: or_default!(Check::Any; $(Check::$check)?),
                effect: OpEffect::$effect,
                doc: $doc,
            },
        )*];
    };
}

ops! {
    // --- structure -------------------------------------------------------------------------------
    At "at" form At () -> None; Mark
        "Guest code at this pc begins. With `else exit N`, exit N's snapshot is the exact guest state here, used when a later operation faults before the next `at`."
    Phi "phi" form Phi () -> R, R in ANY; Pure
        "Parameter of the loop: its entry value in the first iteration, then what `end loop` passes."
    Slot "slot" (Slot) -> R, R in ANY where SlotType; Pure
        "The state slot's value at entry of the trace (not changed by anything in the trace: slots are written at exits)."
    Guard "guard" form Guard () -> None; Guard
        "Leaves by the exit when the `i1` operand is 0."
    Load "load" form Load () -> R, R in MEM; Load
        "Memory at base + index*scale + disp (mod 2^64), little-endian, any alignment."
    Store "store" form Store () -> None, T in MEM; Store
        "Writes the operand to memory, as `load` reads it."
    AtomicAdd "atomic.add" form Atomic (T) -> T, T in INT64; Atomic
        "Adds the operand to memory as one access in the total order of all atomics; the result is the old memory."
    AtomicAnd "atomic.and" form Atomic (T) -> T, T in INT64; Atomic
        "Like `atomic.add`, with bitwise and."
    AtomicOr "atomic.or" form Atomic (T) -> T, T in INT64; Atomic
        "Like `atomic.add`, with bitwise or."
    AtomicXor "atomic.xor" form Atomic (T) -> T, T in INT64; Atomic
        "Like `atomic.add`, with bitwise exclusive or."
    AtomicSwap "atomic.swap" form Atomic (T) -> T, T in INT64; Atomic
        "Like `atomic.add`, storing the operand itself."
    AtomicCas "atomic.cas" form Atomic (T, T) -> T, T in INT; Atomic
        "If memory equals the first operand, stores the second. The result is the old memory either way. At `i128` the address must be 16-aligned (faults otherwise)."
    Fence "fence" () -> None; Fence
        "No memory operation moves across it, in the trace or in the machine (as x86 `mfence`)."
    Native "native" form Native () -> Tuple; Line
        "Executes the guest instruction with these bytes at the pc of the last `at`, with the named slots set to the operands. `pick` reads what it writes."
    Pick "pick" (Tuple, Slot) -> R, R in ANY where SlotType; Pure
        "The value which the `native` left in the slot."
    Call "call" form Call () -> R, R in ANY; Helper
        "Calls the declared helper; when it raises, leaves by the exit, or ends the trace with the error if there is none."

    // --- integers --------------------------------------------------------------------------------
    Add "add" (T, T) -> T, T in INT; Pure "Sum mod 2^width."
    Sub "sub" (T, T) -> T, T in INT; Pure "Difference mod 2^width."
    Mul "mul" (T, T) -> T, T in INT; Pure "Low half of the product."
    Umulh "umulh" (T, T) -> T, T in INT64; Pure "High half of the unsigned product."
    Smulh "smulh" (T, T) -> T, T in INT64; Pure "High half of the signed product."
    Udiv "udiv" (T, T) -> T, T in INT; Fault "Unsigned quotient; divide fault when the divisor is 0."
    Sdiv "sdiv" (T, T) -> T, T in INT; Fault
        "Signed quotient towards zero; divide fault when the divisor is 0 or the quotient overflows."
    Urem "urem" (T, T) -> T, T in INT; Fault "Unsigned remainder; faults as `udiv`."
    Srem "srem" (T, T) -> T, T in INT; Fault "Signed remainder, sign of the dividend; faults as `sdiv`."
    Udivw "udivw" (T, T, T) -> T, T in INT64; Fault
        "`udivw hi, lo, d`: unsigned quotient of hi:lo by d; divide fault when d is 0 or the quotient does not fit."
    Uremw "uremw" (T, T, T) -> T, T in INT64; Fault "Remainder that belongs to `udivw`; faults as it does."
    Sdivw "sdivw" (T, T, T) -> T, T in INT64; Fault "Signed `udivw`: hi:lo is signed, quotient towards zero."
    Sremw "sremw" (T, T, T) -> T, T in INT64; Fault "Remainder that belongs to `sdivw`; faults as it does."
    Neg "neg" (T) -> T, T in INT; Pure "0 - operand mod 2^width."
    And "and" (T, T) -> T, T in BITS; Pure "Bitwise and."
    Or "or" (T, T) -> T, T in BITS; Pure "Bitwise or."
    Xor "xor" (T, T) -> T, T in BITS; Pure "Bitwise exclusive or."
    Andn "andn" (T, T) -> T, T in BITS; Pure "Bitwise: not first, and second."
    Not "not" (T) -> T, T in BITS; Pure "Bitwise complement."
    Shl "shl" (T, T) -> T, T in INT; Pure "Left shift; 0 when the amount (unsigned) is at least the width."
    Shr "shr" (T, T) -> T, T in INT; Pure "Logical right shift; 0 when the amount is at least the width."
    Sar "sar" (T, T) -> T, T in INT; Pure "Arithmetic right shift; all sign bits when the amount is at least the width."
    Rol "rol" (T, T) -> T, T in INT; Pure "Left rotation by the amount mod width."
    Ror "ror" (T, T) -> T, T in INT; Pure "Right rotation by the amount mod width."
    Bswap "bswap" (T) -> T, T in WORD; Pure "Bytes in reverse order."
    Bitrev "bitrev" (T) -> T, T in INT; Pure "Bits in reverse order."
    Popcnt "popcnt" (T) -> T, T in INT; Pure "Number of one bits."
    Clz "clz" (T) -> T, T in INT; Pure "Number of leading zero bits; the width for 0."
    Ctz "ctz" (T) -> T, T in INT; Pure "Number of trailing zero bits; the width for 0."
    Pdep "pdep" (T, T) -> T, T in REG; Pure "Deposits the low bits of the first operand at the one bits of the second."
    Pext "pext" (T, T) -> T, T in REG; Pure "Gathers the bits of the first operand at the one bits of the second into the low bits."
    Eq "eq" (T, T) -> I1, T in BITS; Pure "1 if equal."
    Ne "ne" (T, T) -> I1, T in BITS; Pure "1 if different."
    Ult "ult" (T, T) -> I1, T in INT; Pure "1 if unsigned less."
    Ule "ule" (T, T) -> I1, T in INT; Pure "1 if unsigned less or equal."
    Slt "slt" (T, T) -> I1, T in INT; Pure "1 if signed less."
    Sle "sle" (T, T) -> I1, T in INT; Pure "1 if signed less or equal."
    Select "select" (I1, R, R) -> R, R in ANY; Pure "The second operand if the first is 1, else the third."

    // --- width and parts -------------------------------------------------------------------------
    Zext "zext" (T) -> R, T in DATA, R in BITS where Wider; Pure "Zero-extended bits, of any type (a float's bits into a vector, too)."
    Sext "sext" (T) -> R, T in BITS, R in INT where Wider; Pure "Sign-extended integer."
    Trunc "trunc" (T) -> R, T in BITS, R in BITS_OR_FLOAT where Narrower; Pure "The low bits."
    Bitcast "bitcast" (T) -> R, T in MEM, R in MEM where SameBits; Pure "The same bits as another type of the same width."
    Insert "insert" (R, T, Imm) -> R, T in MEM, R in BITS where PartOfR; Pure
        "The first operand with the second put in at this bit offset (partial registers, vector lanes)."
    Extract "extract" (T, Imm) -> R, T in BITS, R in MEM where PartOfT; Pure "The part of the operand at this bit offset."

    // --- flags -----------------------------------------------------------------------------------
    FlagsAdd "flags.add" (T, T) -> F, T in INT64; Pure "Flags of the sum: C carry out, A carry out of bit 3, O signed overflow, Z S P of the result."
    FlagsAdc "flags.adc" (T, T, I1) -> F, T in INT64; Pure "Flags of a + b + carry."
    FlagsSub "flags.sub" (T, T) -> F, T in INT64; Pure "Flags of a - b: C borrow, A borrow from bit 4, O signed overflow, Z S P of the result. `flags.sub 0, a` are those of a negation."
    FlagsSbb "flags.sbb" (T, T, I1) -> F, T in INT64; Pure "Flags of a - b - borrow."
    FlagsLogic "flags.logic" (T) -> F, T in INT64; Pure "Z S P of the operand, C and O 0; A, undefined on x86, is 0."
    FlagsInc "flags.inc" (T, F) -> F, T in INT64; Pure "Flags of a + 1, but C from the second operand."
    FlagsDec "flags.dec" (T, F) -> F, T in INT64; Pure "Flags of a - 1, but C from the second operand."
    FlagsShl "flags.shl" (T, T, F) -> F, T in INT64; Pure
        "Flags of a << n; the third operand if n is 0. C is the last bit shifted out (0 if n exceeds the width), Z S P of the result, O is S xor C; A is 0. (x86 leaves A, and O for n > 1, and C for n > width undefined.)"
    FlagsShr "flags.shr" (T, T, F) -> F, T in INT64; Pure
        "Flags of logical a >> n; the third operand if n is 0. C, Z, S, P, A as for `flags.shl`; O is the xor of the result's top two bits."
    FlagsSar "flags.sar" (T, T, F) -> F, T in INT64; Pure
        "Flags of arithmetic a >> n; the third operand if n is 0. C is the last bit shifted out (the sign if n exceeds the width), Z S P of the result, O and A are 0."
    FlagsRol "flags.rol" (T, T, F) -> F, T in INT64; Pure
        "The third operand, changed only if n is not 0: C is the result's bit 0, O is its top bit xor C."
    FlagsRor "flags.ror" (T, T, F) -> F, T in INT64; Pure
        "The third operand, changed only if n is not 0: C is the result's top bit, O is the xor of its top two bits."
    FlagsUmul "flags.umul" (T, T) -> F, T in INT64; Pure
        "C and O are 1 if the unsigned product does not fit. Z S P are of the low half and A is 0 (undefined on x86)."
    FlagsSmul "flags.smul" (T, T) -> F, T in INT64; Pure
        "C and O are 1 if the signed product does not fit. Z S P are of the low half and A is 0 (undefined on x86)."
    FlagsFcmp "flags.fcmp" (T, T) -> F, T in FLOAT; Pure
        "As `ucomisd`: unordered Z P C, less C, equal Z, greater none; A S O are 0."
    FlagsGet "flags.get" suffix Flag (F) -> I1; Pure "One flag."
    FlagsWith "flags.with" suffix Flag (F, I1) -> F; Pure "The flags with one of them replaced."
    FlagsPack "flags.pack" (I64) -> F; Pure "Flags from their packed image (bits 0 2 4 6 7 11 as in EFLAGS); other bits are ignored."
    FlagsUnpack "flags.unpack" (F) -> I64; Pure "The packed image; other bits are 0."
    Cc "cc" suffix Cond (F) -> I1; Pure "A condition on flags, by its x86 name. AArch64's N Z C V are S Z C O, with C inverted for its subtractions."

    // --- scalar floats ---------------------------------------------------------------------------
    Fadd "fadd" (T, T) -> T, T in FLOAT; Pure "Sum."
    Fsub "fsub" (T, T) -> T, T in FLOAT; Pure "Difference."
    Fmul "fmul" (T, T) -> T, T in FLOAT; Pure "Product."
    Fdiv "fdiv" (T, T) -> T, T in FLOAT; Pure "Quotient."
    Fsqrt "fsqrt" (T) -> T, T in FLOAT; Pure "Square root."
    FminSse "fmin.sse" (T, T) -> T, T in FLOAT; Pure
        "As `minsd`: the first if it is less, else the second (so the second if either is NaN, unchanged, and if both are zero)."
    FmaxSse "fmax.sse" (T, T) -> T, T in FLOAT; Pure "As `maxsd`: the first if it is greater, else the second."
    Fneg "fneg" (T) -> T, T in FLOAT; Pure "Sign bit flipped, of NaNs too."
    Fabs "fabs" (T) -> T, T in FLOAT; Pure "Sign bit cleared, of NaNs too."
    Fround "fround" suffix Round (T) -> T, T in FLOAT; Pure "Rounded to an integer in this direction; the sign of zero is kept, NaNs become quiet."
    Feq "feq" (T, T) -> I1, T in FLOAT; Pure "1 if equal (so 0 on NaN)."
    Flt "flt" (T, T) -> I1, T in FLOAT; Pure "1 if less (0 on NaN)."
    Fle "fle" (T, T) -> I1, T in FLOAT; Pure "1 if less or equal (0 on NaN)."
    Funo "funo" (T, T) -> I1, T in FLOAT; Pure "1 if either is NaN."
    Sitof "sitof" (T) -> R, T in REG, R in FLOAT; Pure "Signed integer to float, to nearest even."
    Uitof "uitof" (T) -> R, T in REG, R in FLOAT; Pure "Unsigned integer to float, to nearest even."
    Ftosi "ftosi" (T) -> R, T in FLOAT, R in REG; Pure "To signed integer towards zero; 0x80…0 (x86's indefinite) for NaN and what does not fit."
    FtosiNear "ftosi.near" (T) -> R, T in FLOAT, R in REG; Pure "To signed integer, to nearest even; 0x80…0 for NaN and what does not fit."
    FtosiSat "ftosi.sat" (T) -> R, T in FLOAT, R in REG; Pure "To signed integer towards zero, saturating, NaN to 0 (as AArch64)."
    FtouiSat "ftoui.sat" (T) -> R, T in FLOAT, R in REG; Pure "To unsigned integer towards zero, saturating, NaN to 0 (as AArch64)."
    Fext "fext" (T) -> R, T in F32ONLY, R in F64ONLY; Pure "f32 to f64; a NaN becomes quiet, its payload moves to the top bits."
    Fnarrow "fnarrow" (T) -> R, T in F64ONLY, R in F32ONLY; Pure "f64 to f32, to nearest even; a NaN becomes quiet, its payload loses the low bits."
    Ffma "ffma" (T, T, T) -> T, T in FLOAT; Pure "a·b + c, rounded once. NaNs as for `fadd`: the first of a, b, c, or the default NaN of an invalid operation."

    // --- boxed words -----------------------------------------------------------------------------
    Box "box" (T, Tag) -> I64, T in BOXED where TagType; Pure
        "The boxed word: the tag's pattern in bits 48–63 and the low 48 bits of the operand. For the tag without pattern (floats): the operand's bits, but a NaN that would look like a tagged word becomes 0x7ff8000000000000."
    Unbox "unbox" (I64, Tag) -> R, R in BOXED where TagType; Pure
        "The inverse of `box`; a 64-bit integer is sign-extended from 48 bits. Does not check the tag."
    HasTag "has_tag" (I64, Tag) -> I1; Pure
        "1 if bits 48–63 are the tag's pattern; for the tag without pattern, if they are below every declared pattern."

    // --- vectors ---------------------------------------------------------------------------------
    VSplat "v.splat" (T) -> R, T in SCALAR, R in VEC; Pure "Every lane is the operand."
    VShuffle "v.shuffle" suffix Lane (R, R, Lanes) -> R, T in SCALAR, R in VEC where LaneCount; Pure
        "Lane i is lane `index[i]` of the first operand's lanes followed by the second's."
    VLookup "v.lookup" (R, R) -> R, R in VEC; Pure
        "As `pshufb`: in each 128-bit part, byte i is the first operand's byte `idx[i] & 15`, or 0 if the top bit of `idx[i]` is set."
    VBlend "v.blend" suffix Lane (R, R, R) -> R, T in SCALAR, R in VEC; Pure
        "`v.blend mask, a, b`: each lane from a where the top bit of mask's lane is 1, else from b."
    VSigns "v.signs" suffix Lane (V) -> I64, T in SCALAR; Pure "Bit i is the top bit of lane i (as `pmovmskb`, `movmskps`)."
    VAdd "v.add" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Lane sums mod 2^width."
    VSub "v.sub" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Lane differences mod 2^width."
    VMul "v.mul" suffix Lane (R, R) -> R, T in L16_64, R in VEC; Pure "Low halves of lane products."
    VUmulh "v.umulh" suffix Lane (R, R) -> R, T in L16_32, R in VEC; Pure "High halves of unsigned lane products."
    VSmulh "v.smulh" suffix Lane (R, R) -> R, T in L16_32, R in VEC; Pure "High halves of signed lane products."
    VUmulw "v.umulw" suffix Lane (R, R) -> R, T in L32, R in VEC; Pure "Full unsigned products of the even lanes, in lanes of twice the width (as `pmuludq`)."
    VSmulw "v.smulw" suffix Lane (R, R) -> R, T in L32, R in VEC; Pure "Full signed products of the even lanes (as `pmuldq`)."
    VMadd "v.madd" suffix Lane (R, R) -> R, T in L16, R in VEC; Pure "Sums mod 2^32 of neighbouring signed products, in lanes of twice the width (as `pmaddwd`)."
    VSad "v.sad" suffix Lane (R, R) -> R, T in L8, R in VEC; Pure "Per 64 bits, the sum of the eight absolute differences of unsigned bytes (as `psadbw`)."
    VUavg "v.uavg" suffix Lane (R, R) -> R, T in L8_16, R in VEC; Pure "(a + b + 1) >> 1 without overflow, unsigned."
    VUadds "v.uadds" suffix Lane (R, R) -> R, T in L8_16, R in VEC; Pure "Unsigned lane sums, saturating."
    VSadds "v.sadds" suffix Lane (R, R) -> R, T in L8_16, R in VEC; Pure "Signed lane sums, saturating."
    VUsubs "v.usubs" suffix Lane (R, R) -> R, T in L8_16, R in VEC; Pure "Unsigned lane differences, saturating at 0."
    VSsubs "v.ssubs" suffix Lane (R, R) -> R, T in L8_16, R in VEC; Pure "Signed lane differences, saturating."
    VUmin "v.umin" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Unsigned lane minima."
    VUmax "v.umax" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Unsigned lane maxima."
    VSmin "v.smin" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Signed lane minima."
    VSmax "v.smax" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "Signed lane maxima."
    VAbs "v.abs" suffix Lane (R) -> R, T in INT64, R in VEC; Pure "Lane absolute values mod 2^width."
    VEq "v.eq" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "All ones in lanes that are equal, else 0."
    VSgt "v.sgt" suffix Lane (R, R) -> R, T in INT64, R in VEC; Pure "All ones in lanes where the first is signed greater, else 0."
    VShl "v.shl" suffix Lane (R, I64) -> R, T in INT64, R in VEC; Pure "Lanes shifted left by one amount; 0 when it is at least the width."
    VShr "v.shr" suffix Lane (R, I64) -> R, T in INT64, R in VEC; Pure "Lanes shifted right logically by one amount; 0 when it is at least the width."
    VSar "v.sar" suffix Lane (R, I64) -> R, T in INT64, R in VEC; Pure "Lanes shifted right arithmetically by one amount; all sign bits when it is at least the width."
    VSpack "v.spack" suffix Lane (R, R) -> R, T in L16_32, R in VEC; Pure "Lanes narrowed with signed saturation: in each 128-bit part, those of the first, then of the second (as `packsswb`)."
    VUpack "v.upack" suffix Lane (R, R) -> R, T in L16_32, R in VEC; Pure "Signed lanes narrowed with unsigned saturation (as `packuswb`)."
    VFadd "v.fadd" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fadd` in each lane."
    VFsub "v.fsub" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fsub` in each lane."
    VFmul "v.fmul" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fmul` in each lane."
    VFdiv "v.fdiv" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fdiv` in each lane."
    VFsqrt "v.fsqrt" suffix Lane (R) -> R, T in FLOAT, R in VEC; Pure "`fsqrt` in each lane."
    VFminSse "v.fmin.sse" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fmin.sse` in each lane."
    VFmaxSse "v.fmax.sse" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "`fmax.sse` in each lane."
    VFfma "v.ffma" suffix Lane (R, R, R) -> R, T in FLOAT, R in VEC; Pure "`ffma` in each lane."
    VFeq "v.feq" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "All ones in lanes where `feq`, else 0."
    VFlt "v.flt" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "All ones in lanes where `flt`, else 0."
    VFle "v.fle" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "All ones in lanes where `fle`, else 0."
    VFuno "v.funo" suffix Lane (R, R) -> R, T in FLOAT, R in VEC; Pure "All ones in lanes where `funo`, else 0."
    VSitof "v.sitof" suffix Lane (R) -> R, T in L32, R in VEC; Pure "Signed 32-bit lanes to f32 lanes (as `cvtdq2ps`)."
    VSitod "v.sitod" suffix Lane (R) -> R, T in L32, R in VEC; Pure "The low half's signed 32-bit lanes to f64 lanes (as `cvtdq2pd`)."
    VFtosi "v.ftosi" suffix Lane (R) -> R, T in FLOAT, R in VEC; Pure "f32 lanes to signed 32-bit lanes as `ftosi`; f64 lanes to signed 32-bit lanes in the low half, upper half 0 (as `cvttpd2dq`)."
    VFtosiNear "v.ftosi.near" suffix Lane (R) -> R, T in FLOAT, R in VEC; Pure "Like `v.ftosi`, to nearest even."
    VFext "v.fext" suffix Lane (R) -> R, T in F32ONLY, R in VEC; Pure "The low half's f32 lanes to f64 lanes (as `cvtps2pd`)."
    VFnarrow "v.fnarrow" suffix Lane (R) -> R, T in F64ONLY, R in VEC; Pure "f64 lanes to f32 lanes in the low half, upper half 0 (as `cvtpd2ps`)."
}

const BITS_OR_FLOAT: TypeSet = BITS.or(FLOAT);
const BOXED: TypeSet = INT64.or(BIT).or(F64ONLY);

impl Op {
    /// The operation's row.
    pub fn info(self) -> &'static OpInfo {
        &TABLE[self as usize]
    }

    /// Its name without suffix.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The operation of this name (without suffix).
    pub fn from_name(name: &str) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| op.info().name == name)
    }

    /// Is it a function of its operands that cannot fault?
    pub fn is_pure(self) -> bool {
        self.info().effect == OpEffect::Pure && self != Op::Phi
    }

    /// May it stand in a recipe? Pure, and of operands alone: what a slot held at entry is no longer there
    /// when an exit is taken.
    pub fn is_recipe(self) -> bool {
        self.is_pure() && self != Op::Slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_consistent() {
        let mut names = std::collections::HashSet::new();
        for &op in Op::ALL {
            let info = op.info();
            assert!(names.insert(info.name), "{} twice", info.name);
            assert_eq!(Op::from_name(info.name), Some(op));
            assert!(info.args.len() <= 4 && !info.doc.is_empty());
            let uses = |a| info.args.contains(&a) || info.result == a;
            let special = info.form != Form::Plain;
            assert_eq!(
                info.t != NO,
                uses(Arg::T) || info.suffix == Suffix::Lane || special && info.t != NO,
                "{}",
                info.name
            );
            assert_eq!(info.r != NO, uses(Arg::R), "{}", info.name);
            if info.form == Form::Plain && info.result == Arg::None {
                assert_eq!(op, Op::Fence, "a plain line without result would be removable");
            }
        }
    }

    #[test]
    fn suffixed_names_are_not_ambiguous() {
        // `a.b` may not be both an op and `a` with suffix `b`: the parser tries whole names first.
        for &op in Op::ALL {
            if let Some((stem, tail)) = op.name().rsplit_once('.')
                && let Some(other) = Op::from_name(stem)
            {
                let suffix = other.info().suffix;
                assert!(suffix == Suffix::None || Type::from_name(tail).is_none(), "{}", op.name());
            }
        }
    }
}
