//! Expression descriptors: what is known of an expression whose value may not be in a register yet.
//!
//! Reading `a.b + 1` does not emit a load for `a.b` at once: the descriptor remembers a table register and a key, and the consumer
//! decides which register the load goes to. Conditions stay jumps as long as possible; `t` and `f` are the lists of jumps taken
//! when the value turned out true or false.

use crate::syntax::Symbol;

/// The position of an instruction in its function.
pub type Pc = u32;
/// A register of the frame.
pub type Reg = u8;

/// "No register" in the operand of an instruction that may get one later.
pub const NO_REG: Reg = 0xff;

/// The head of a list of jumps, linked through their own jump fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JumpList(pub Option<Pc>);

impl JumpList {
    /// No jumps.
    pub const EMPTY: JumpList = JumpList(None);
}

/// The constant of a literal with a suffix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WideNumber {
    /// `1LL`
    Int64(i64),
    /// `1ULL`
    Uint64(u64),
    /// `1i`, with the real part.
    Complex(f64, f64),
}

/// The key of an indexed expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// In a register.
    Register(Reg),
    /// A small integer.
    Byte(u8),
    /// A string constant.
    String(u8),
}

/// The state of an expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `nil`
    Nil,
    /// `false`
    False,
    /// `true`
    True,
    /// A string.
    String(Symbol),
    /// A number.
    Number(f64),
    /// A literal with a suffix: constant, but not folded.
    Wide(WideNumber),
    /// A local variable.
    Local {
        /// Its register.
        reg: Reg,
        /// Its number among the variables of the chunk.
        var: u32,
    },
    /// A variable of an enclosing function.
    Upvalue {
        /// Its upvalue index here.
        index: u8,
        /// Its number among the variables of the chunk.
        var: u32,
    },
    /// A global variable.
    Global(Symbol),
    /// A field of a table.
    Indexed {
        /// The register that holds the table.
        table: Reg,
        /// The key.
        key: Key,
    },
    /// A comparison: the jump at this position is taken when it holds.
    Jump(Pc),
    /// A value whose instruction still lacks its destination.
    Relocatable(Pc),
    /// A value in a register.
    Register(Reg),
    /// A call or `...`, with one result unless its consumer asks for more.
    Call {
        /// Its instruction.
        pc: Pc,
        /// The register of the first result.
        base: Reg,
    },
    /// A call that a safe navigation operator may skip.
    NavigatedCall {
        /// Its instruction.
        pc: Pc,
        /// The register of the first result.
        base: Reg,
    },
    /// No expression at all.
    Void,
}

/// An expression.
#[derive(Clone, Copy, Debug)]
pub struct Exp {
    /// What it is.
    pub kind: Kind,
    /// Jumps taken when it is true.
    pub t: JumpList,
    /// Jumps taken when it is false.
    pub f: JumpList,
}

impl Exp {
    /// An expression without pending jumps.
    pub fn new(kind: Kind) -> Exp {
        Exp { kind, t: JumpList::EMPTY, f: JumpList::EMPTY }
    }

    /// Whether jumps wait for its value.
    pub fn has_jumps(&self) -> bool {
        self.t != self.f
    }

    /// Whether it is `nil`, a boolean, a string or a number.
    pub fn is_constant(&self) -> bool {
        matches!(self.kind, Kind::Nil | Kind::False | Kind::True | Kind::String(_) | Kind::Number(_))
    }

    /// A constant without pending jumps.
    pub fn is_plain_constant(&self) -> bool {
        self.is_constant() && !self.has_jumps()
    }

    /// The value of a number constant.
    pub fn number(&self) -> Option<f64> {
        match self.kind {
            Kind::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The value of a number constant without pending jumps.
    pub fn plain_number(&self) -> Option<f64> {
        self.number().filter(|_| !self.has_jumps())
    }
}

/// The operand that stands for a primitive constant.
pub fn primitive(kind: Kind) -> Option<u16> {
    match kind {
        Kind::Nil => Some(0),
        Kind::False => Some(1),
        Kind::True => Some(2),
        _ => None,
    }
}
