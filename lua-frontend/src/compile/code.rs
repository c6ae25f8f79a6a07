//! What the compiler hands over: functions as plain data, without any object of the heap.
//!
//! A [`Chunk`] is the main function, the functions inside it (as constants of their parents) and the strings that all of
//! them use, by symbol. The virtual machine turns it into heap objects; the dump writer and the loader speak the
//! same form, so that bytecode from a file goes through the same door as bytecode from source.

use crate::bytecode::Ins;
use crate::syntax::{Symbol, Symbols};

/// A compiled chunk.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The strings.
    pub symbols: Symbols,
    /// The chunk's name with its `@` or `=`.
    pub name: Vec<u8>,
    /// The main function.
    pub main: FunctionCode,
}

/// One function.
#[derive(Clone, Debug, Default)]
pub struct FunctionCode {
    /// Instructions; the first is the function header.
    pub instructions: Vec<Ins>,
    /// The line of each instruction (of the header: the first line). Empty in stripped code.
    pub lines: Vec<u32>,
    /// Constants other than numbers.
    pub objects: Vec<Constant>,
    /// Numbers.
    pub numbers: Vec<f64>,
    /// Where closures find their upvalues.
    pub upvalues: Vec<UpvalueSource>,
    /// Their names. Empty in stripped code.
    pub upvalue_names: Vec<Symbol>,
    /// Local variables in the order of their start. Empty in stripped code.
    pub variables: Vec<Variable>,
    /// Fixed parameters.
    pub parameters: u8,
    /// Registers.
    pub frame_size: u8,
    /// Properties.
    pub flags: FunctionFlags,
    /// The first line; zero for the main function.
    pub first_line: u32,
    /// The number of lines after the first.
    pub line_count: u32,
}

/// Properties of a function that its instructions alone do not show at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFlags {
    /// It takes `...`.
    pub vararg: bool,
    /// It creates closures.
    pub children: bool,
    /// It (or a function inside) has constants that need the `ffi` library.
    pub ffi: bool,
    /// It (or a function inside) uses bit operators.
    pub bit_operators: bool,
}

/// A constant that is not a plain number.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A string.
    String(Symbol),
    /// A function inside this one.
    Function(Box<FunctionCode>),
    /// The constant part of a table constructor.
    Table(TableTemplate),
    /// `1LL`
    Int64(i64),
    /// `1ULL`
    Uint64(u64),
    /// A complex number.
    Complex(f64, f64),
}

/// The constant part of a table constructor: stores to make in this order in a new table.
#[derive(Clone, Debug, Default)]
pub struct TableTemplate {
    /// Least size of the array part in the end, index zero included; zero for none.
    pub array_size: u32,
    /// Entries to expect in the hash part.
    pub hash_size: u32,
    /// Array and hash size with which the stores begin: what was known at the first constant. Tables grow by rules
    /// that a program can see in the borders of tables with holes.
    pub start: (u32, u32),
    /// The stores.
    pub entries: Vec<(Scalar, Scalar)>,
}

/// A key or value of a table template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// `nil`
    Nil,
    /// `false` or `true`
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(Symbol),
    /// Only as a value: room for a key whose value is computed.
    Reserved,
}

/// Where a new closure takes an upvalue from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpvalueSource {
    /// From a register of the enclosing function, else from its upvalues.
    pub from_register: bool,
    /// Never assigned after its initialisation.
    pub immutable: bool,
    /// Register or upvalue index.
    pub index: u8,
}

/// A local variable and where it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Symbol,
    /// The first instruction at which it is alive.
    pub start: u32,
    /// The first at which it is dead.
    pub end: u32,
}
