//! Bytecode: the table of operations, instruction words, and what a compiled function consists of.
//!
//! # Instruction words
//! 32 bits, two formats (least significant byte first):
//!
//! ```text
//! | OP | A | C | B |      ABC      D = C | B << 8
//! | OP | A |   D   |      AD
//! ```
//!
//! The operation set and its numbers are LuaJIT 2.1's (bytecode version 2 with the bit operators), so that dumps
//! can be exchanged and listings compared. A jump operand is biased: target = index of the next instruction +
//! D - [`BIAS_J`]. Comparisons and tests are always followed by a `JMP`; "run the next JMP" means that it is taken.
//!
//! # Operands
//! `var` a slot read, `dst` a slot written, `base`/`rbase` a slot that starts a range, `uv` an upvalue index,
//! `lit` an unsigned literal, `lits` a signed one, `pri` a primitive (0 nil, 1 false, 2 true), `num` an index of a number
//! constant, `str`/`tab`/`func`/`cdata` an index of a collected constant, `jump` a biased offset.
//! Number constants are `k[0], k[1], ...`; collected ones stand below: index `i` is `k[-1 - i]`.
//!
//! # Frames
//! Every frame has two slots below its base: `base[-2]` the function, `base[-1]` the frame link (see [`crate::state`]).
//! So a call with the function in slot A has its arguments in A+2, A+3, ... (A+1 is left free), and `ITERC` copies
//! its callee from A-3 to A, state and control variable to A+2 and A+3.
//! `MULTRES` is the number of values that the last open call or `VARG` left on top.
//!
//! # Example
//! `local t = {10}; return t[1] + x` compiles to
//!
//! ```text
//! 0000 FUNCV  3             ; 3 slots: t and two temporaries
//! 0001 TDUP   0  0          ; template {nil, 10}
//! 0002 TGETB  1  0  1
//! 0003 GGET   2  1          ; "x"
//! 0004 ADDVV  1  1  2
//! 0005 RET1   1  2
//! ```

use crate::value::Value;

/// One instruction.
pub type Ins = u32;

/// Bias of jump operands.
pub const BIAS_J: i32 = 0x8000;
/// Operand A of an instruction without slot.
pub const NO_REG: u8 = 0xff;

/// What an operand means; see the module header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "explained in the module header")]
pub enum Mode {
    None,
    Dst,
    Base,
    Var,
    Rbase,
    Uv,
    Lit,
    Lits,
    Pri,
    Num,
    Str,
    Tab,
    Func,
    Jump,
    CData,
}

/// One row of the operation table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// Name as listings show it.
    pub name: &'static str,
    /// Meaning of operand A.
    pub a: Mode,
    /// Meaning of operand B; [`Mode::None`] for the AD format.
    pub b: Mode,
    /// Meaning of operand C, or D in the AD format.
    pub d: Mode,
    /// Metamethod event that the operation may call (`""` for none, `gc` if it allocates).
    pub event: &'static str,
}

impl OpInfo {
    /// Is the second operand the 16-bit D?
    pub fn has_d(&self) -> bool {
        self.b == Mode::None
    }
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident $a:ident $b:ident $d:ident $ev:literal;)*) => {
        /// The operations.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
        #[allow(clippy::upper_case_acronyms, reason = "mnemonics")]
        pub enum Op { $($(#[$doc])* $name),* }

        /// The operations in order of their numbers.
        pub const OPS: &[Op] = &[$(Op::$name),*];
        /// The table of operations.
        pub const INFO: &[OpInfo] = &[$(OpInfo {
            name: stringify!($name), a: Mode::$a, b: Mode::$b, d: Mode::$d, event: $ev,
        }),*];
    };
}

ops! {
    /// If A < D run the next JMP, else skip it.
    ISLT Var None Var "lt";
    /// As ISLT with `not (A < D)` (so true for NaN).
    ISGE Var None Var "lt";
    /// As ISLT with A <= D.
    ISLE Var None Var "le";
    /// As ISLT with `not (A <= D)`.
    ISGT Var None Var "le";
    /// As ISLT with A == D (metamethod `__eq` for two tables or two userdata).
    ISEQV Var None Var "eq";
    /// As ISLT with A ~= D.
    ISNEV Var None Var "eq";
    /// As ISLT with A == string constant D.
    ISEQS Var None Str "eq";
    /// As ISLT with A ~= string constant D.
    ISNES Var None Str "eq";
    /// As ISLT with A == number constant D.
    ISEQN Var None Num "eq";
    /// As ISLT with A ~= number constant D.
    ISNEN Var None Num "eq";
    /// As ISLT with A == primitive D.
    ISEQP Var None Pri "eq";
    /// As ISLT with A ~= primitive D.
    ISNEP Var None Pri "eq";
    /// If D is truthy copy it to A and run the next JMP, else skip it.
    ISTC Dst None Var "";
    /// As ISTC if D is falsy.
    ISFC Dst None Var "";
    /// If D is truthy run the next JMP, else skip it.
    IST None None Var "";
    /// As IST if D is falsy.
    ISF None None Var "";
    /// Check that A has raw tag D-1 (emitted by built-in Lua code only).
    ISTYPE Var None Lit "";
    /// Check that A is a number (emitted by built-in Lua code only).
    ISNUM Var None Lit "";
    /// A = D.
    MOV Dst None Var "";
    /// A = not D.
    NOT Dst None Var "";
    /// A = -D.
    UNM Dst None Var "unm";
    /// A = #D.
    LEN Dst None Var "len";
    /// A = B + number constant C.
    ADDVN Dst Var Num "add";
    /// A = B - number constant C.
    SUBVN Dst Var Num "sub";
    /// A = B * number constant C.
    MULVN Dst Var Num "mul";
    /// A = B / number constant C.
    DIVVN Dst Var Num "div";
    /// A = B % number constant C.
    MODVN Dst Var Num "mod";
    /// A = number constant C + B.
    ADDNV Dst Var Num "add";
    /// A = number constant C - B.
    SUBNV Dst Var Num "sub";
    /// A = number constant C * B.
    MULNV Dst Var Num "mul";
    /// A = number constant C / B.
    DIVNV Dst Var Num "div";
    /// A = number constant C % B.
    MODNV Dst Var Num "mod";
    /// A = B + C.
    ADDVV Dst Var Var "add";
    /// A = B - C.
    SUBVV Dst Var Var "sub";
    /// A = B * C.
    MULVV Dst Var Var "mul";
    /// A = B / C.
    DIVVV Dst Var Var "div";
    /// A = B % C.
    MODVV Dst Var Var "mod";
    /// A = B ^ C.
    POW Dst Var Var "pow";
    /// A = B .. ... .. C (slots B to C are free for use).
    CAT Dst Rbase Rbase "concat";
    /// A = string constant D.
    KSTR Dst None Str "";
    /// A = cdata constant D.
    KCDATA Dst None CData "";
    /// A = signed 16-bit D.
    KSHORT Dst None Lits "";
    /// A = number constant D.
    KNUM Dst None Num "";
    /// A = primitive D (0 nil, 1 false, 2 true).
    KPRI Dst None Pri "";
    /// Slots A to D = nil.
    KNIL Base None Base "";
    /// A = upvalue D.
    UGET Dst None Uv "";
    /// Upvalue A = D.
    USETV Uv None Var "";
    /// Upvalue A = string constant D.
    USETS Uv None Str "";
    /// Upvalue A = number constant D.
    USETN Uv None Num "";
    /// Upvalue A = primitive D.
    USETP Uv None Pri "";
    /// Close upvalues of slots >= A, jump to D.
    UCLO Rbase None Jump "";
    /// A = new closure of prototype constant D.
    FNEW Dst None Func "gc";
    /// A = {} with array size D & 0x7ff (0x7ff means 0x801) and hash bits D >> 11.
    TNEW Dst None Lit "gc";
    /// A = copy of template table constant D.
    TDUP Dst None Tab "gc";
    /// A = environment\[string constant D\].
    GGET Dst None Str "index";
    /// Environment\[string constant D\] = A.
    GSET Var None Str "newindex";
    /// A = B\[C\].
    TGETV Dst Var Var "index";
    /// A = B\[string constant C\].
    TGETS Dst Var Str "index";
    /// A = B\[C\], C a literal 0..255.
    TGETB Dst Var Lit "index";
    /// A = rawget(B, C), B a table, C an integer (built-in Lua code only).
    TGETR Dst Var Var "index";
    /// B\[C\] = A.
    TSETV Var Var Var "newindex";
    /// B\[string constant C\] = A.
    TSETS Var Var Str "newindex";
    /// B\[C\] = A, C a literal 0..255.
    TSETB Var Var Lit "newindex";
    /// Slot A-1 is a table: t\[n\], t\[n+1\], ... = slots A to A+MULTRES-1, n the low 32 bits of number constant D.
    TSETM Base None Num "newindex";
    /// Rawset(B, C, A) (built-in Lua code only).
    TSETR Var Var Var "newindex";
    /// Call A with C fixed arguments + MULTRES; B-1 results (B = 0: all, sets MULTRES).
    CALLM Base Lit Lit "call";
    /// Call A with C-1 arguments; B-1 results (B = 0: all, sets MULTRES).
    CALL Base Lit Lit "call";
    /// Tail call A with D fixed arguments + MULTRES.
    CALLMT Base None Lit "call";
    /// Tail call A with D-1 arguments.
    CALLT Base None Lit "call";
    /// A, A+2, A+3 = A-3, A-2, A-1; then call A with 2 arguments, B-1 results.
    ITERC Base Lit Lit "call";
    /// As ITERC, specialised to `next` (slot A-1 holds the raw iteration position, see ISNEXT).
    ITERN Base Lit Lit "call";
    /// Slots A.. = `...`; B-1 values (B = 0: all, sets MULTRES); C = number of fixed parameters.
    VARG Base Lit Lit "";
    /// If A-3 is `next`, A-2 a table, A-1 nil: turn A-1 into a raw position; jump to D (an ITERN); otherwise patch ITERN to ITERC first.
    ISNEXT Base None Jump "";
    /// Return slots A to A+D+MULTRES-1.
    RETM Base None Lit "";
    /// Return slots A to A+D-2.
    RET Rbase None Lit "";
    /// Return nothing (D = 1).
    RET0 Rbase None Lit "";
    /// Return slot A (D = 2).
    RET1 Rbase None Lit "";
    /// Numeric `for`: slots A = start, A+1 = stop, A+2 = step; A+3 = the visible copy; leave the loop to D if it runs no time.
    FORI Base None Jump "";
    /// FORI before a loop with a trace.
    JFORI Base None Jump "";
    /// A += A+2; if still within A+1 copy to A+3 and jump back to D (just after FORI); counts hotness.
    FORL Base None Jump "";
    /// FORL that does not count.
    IFORL Base None Jump "";
    /// FORL that enters trace D.
    JFORL Base None Lit "";
    /// If A is not nil: A-1 = A and jump back to D; counts hotness.
    ITERL Base None Jump "";
    /// ITERL that does not count.
    IITERL Base None Jump "";
    /// ITERL that enters trace D.
    JITERL Base None Lit "";
    /// No-op at the head of while/repeat loops; D = the exit; counts hotness.
    LOOP Rbase None Jump "";
    /// LOOP that does not count.
    ILOOP Rbase None Jump "";
    /// LOOP that enters trace D.
    JLOOP Rbase None Lit "";
    /// Jump to D; A = first free slot at the jump.
    JMP Rbase None Jump "";
    /// A = ~D.
    BNOT Dst None Var "";
    /// A = B & C.
    BAND Dst Var Var "";
    /// A = B | C.
    BOR Dst Var Var "";
    /// A = B ~ C (xor).
    BXOR Dst Var Var "";
    /// A = B << C.
    BSHL Dst Var Var "";
    /// A = B >> C (zeros come in).
    BSHR Dst Var Var "";
    /// A = B ~>> C (sign comes in).
    BSAR Dst Var Var "";
    /// Head of a function with fixed parameters; A = frame size; counts hotness.
    FUNCF Rbase None None "";
    /// FUNCF that does not count.
    IFUNCF Rbase None None "";
    /// FUNCF that enters trace D.
    JFUNCF Rbase None Lit "";
    /// Head of a vararg function: copies the fixed parameters into a new frame above the arguments.
    FUNCV Rbase None None "";
    /// FUNCV that does not count.
    IFUNCV Rbase None None "";
    /// FUNCV that enters trace D.
    JFUNCV Rbase None Lit "";
    /// Head of a native function: call it.
    FUNCC Rbase None None "";
    /// Head of a native function that is called through a wrapper.
    FUNCCW Rbase None None "";
}

/// Number of operations.
pub const OP_COUNT: usize = OPS.len();
const _: () = assert!(OP_COUNT == 104);

impl Op {
    /// The operation of this number.
    #[inline]
    pub fn from_u8(n: u8) -> Option<Op> {
        OPS.get(n as usize).copied()
    }
    /// Its row in the table.
    #[inline]
    pub fn info(self) -> &'static OpInfo {
        &INFO[self as usize]
    }
    /// Is it a return?
    pub fn is_ret(self) -> bool {
        matches!(self, Op::RETM | Op::RET | Op::RET0 | Op::RET1)
    }
}

/// Builds an instruction of format ABC.
#[inline]
pub const fn abc(op: Op, a: u8, b: u8, c: u8) -> Ins {
    op as u32 | (a as u32) << 8 | (c as u32) << 16 | (b as u32) << 24
}
/// Builds an instruction of format AD.
#[inline]
pub const fn ad(op: Op, a: u8, d: u16) -> Ins {
    op as u32 | (a as u32) << 8 | (d as u32) << 16
}
/// Builds an instruction with a jump operand (`j` relative to the next instruction).
#[inline]
pub const fn aj(op: Op, a: u8, j: i32) -> Ins {
    ad(op, a, (j + BIAS_J) as u16)
}
/// The operation byte.
#[inline(always)]
pub const fn op_byte(i: Ins) -> u8 {
    i as u8
}
/// The operation; `None` for a number out of the table.
#[inline]
pub fn op(i: Ins) -> Option<Op> {
    Op::from_u8(i as u8)
}
/// Operand A.
#[inline(always)]
pub const fn a(i: Ins) -> usize {
    (i >> 8 & 0xff) as usize
}
/// Operand B.
#[inline(always)]
pub const fn b(i: Ins) -> usize {
    (i >> 24) as usize
}
/// Operand C.
#[inline(always)]
pub const fn c(i: Ins) -> usize {
    (i >> 16 & 0xff) as usize
}
/// Operand D.
#[inline(always)]
pub const fn d(i: Ins) -> usize {
    (i >> 16) as usize
}
/// Operand D as a jump, relative to the next instruction.
#[inline(always)]
pub const fn j(i: Ins) -> isize {
    (i >> 16) as isize - BIAS_J as isize
}

/// Flags of a prototype ([`ProtoParts::flags`]); the lower ones stand in dumps too.
pub mod flags {
    /// Has child prototypes.
    pub const CHILD: u8 = 0x01;
    /// Is a vararg function.
    pub const VARARG: u8 = 0x02;
    /// Uses cdata constants.
    pub const FFI: u8 = 0x04;
    /// Tracing is off for this function.
    pub const NOJIT: u8 = 0x08;
    /// Has been patched with non-counting loop operations.
    pub const ILOOP: u8 = 0x10;
    /// Uses the bit operators.
    pub const BITOP: u8 = 0x80;
}

/// Upvalue descriptor: the upvalue is a local slot of the enclosing function (low byte: which).
pub const UV_LOCAL: u16 = 0x8000;
/// Upvalue descriptor: never assigned after initialisation.
pub const UV_IMMUTABLE: u16 = 0x4000;

/// Extent of a local variable, in instruction indices (the head is instruction 0).
#[derive(Clone, Debug)]
pub struct VarInfo {
    /// The name; internal variables of `for` loops are `(for index)`, `(for limit)`, `(for step)`,
    /// `(for generator)`, `(for state)`, `(for control)`.
    pub name: Vec<u8>,
    /// First instruction at which the variable is live.
    pub start: u32,
    /// First instruction at which it is dead.
    pub end: u32,
}

/// Everything the compiler (or the dump loader, after verification) knows about a function;
/// [`crate::api::Cx::new_proto`] makes a prototype object of it.
///
/// `bc[0]` is the head (`FUNCF` or `FUNCV` with A = frame size). Collected constants are in index order
/// (constant 0 first): strings, child prototypes, template tables, cdata.
/// Lines are absolute; `lines[i]` belongs to `bc[i]`. `vars` are in order of their start, as scopes open: the
/// variable in slot n at an instruction is the n-th whose extent covers it.
#[derive(Clone, Debug, Default)]
pub struct ProtoParts {
    /// Instructions.
    pub bc: Vec<Ins>,
    /// Number constants.
    pub knum: Vec<Value>,
    /// Collected constants.
    pub kgc: Vec<Value>,
    /// Upvalue descriptors: slot | [`UV_LOCAL`], or index of the enclosing function's upvalue.
    pub uv: Vec<u16>,
    /// Names of the upvalues; empty if stripped.
    pub uvnames: Vec<Vec<u8>>,
    /// Number of fixed parameters.
    pub numparams: u8,
    /// Slots that the frame needs.
    pub framesize: u8,
    /// [`flags`].
    pub flags: u8,
    /// Chunk name as given to the loader (`@file`, `=name`, or source text).
    pub chunkname: Vec<u8>,
    /// Line of the definition; 0 for the main chunk.
    pub firstline: u32,
    /// Number of lines of the definition.
    pub numline: u32,
    /// Line of each instruction; empty if stripped.
    pub lines: Vec<u32>,
    /// Local variables; empty if stripped.
    pub vars: Vec<VarInfo>,
}
