//! Expressions over what is in scope.
//!
//! Integers and floats are two worlds with explicit conversions between them. Every array access stays inside its array,
//! every divisor is positive, every shift amount below the width, so a program has no way to crash. What C leaves
//! undefined besides (floats that do not fit an integer) is decided by the compiler, once for all runs of the program.

use super::rng::Rng;

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// Signed or unsigned integers of these many bits.
    Int(bool, u32),
    /// `float` or `double`.
    Float(u32),
}

impl Ty {
    /// All of them.
    pub const ALL: [Ty; 10] = [
        Ty::Int(true, 8),
        Ty::Int(false, 8),
        Ty::Int(true, 16),
        Ty::Int(false, 16),
        Ty::Int(true, 32),
        Ty::Int(false, 32),
        Ty::Int(true, 64),
        Ty::Int(false, 64),
        Ty::Float(32),
        Ty::Float(64),
    ];

    /// Its name in the program.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Ty::Int(true, bits) => format!("i{bits}"),
            Ty::Int(false, bits) => format!("u{bits}"),
            Ty::Float(bits) => format!("f{bits}"),
        }
    }

    /// Is it `float` or `double`?
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Ty::Float(_))
    }
}

/// Something with elements from -8 to N + 7 around every loop variable.
#[derive(Clone, Debug)]
pub struct Array {
    /// What stands before `[`.
    pub name: String,
    /// Of its elements.
    pub ty: Ty,
    /// May the program write it here?
    pub writable: bool,
    /// A pointer that walks: only small constants index it.
    pub walks: bool,
}

/// What expressions may name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Loop variables, each in 0 … N-1.
    pub indices: Vec<String>,
    /// Scalars.
    pub scalars: Vec<(String, Ty)>,
    /// Arrays and pointers into them.
    pub arrays: Vec<Array>,
    /// Functions that may be called: name, parameters, result.
    pub functions: Vec<(String, Vec<Ty>, Ty)>,
    /// Whether `recs[…]` and `state` exist here.
    pub globals: bool,
}

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "7",
    "8",
    "10",
    "-1",
    "-2",
    "-7",
    "127",
    "128",
    "255",
    "256",
    "-128",
    "32767",
    "65535",
    "-32768",
    "0x7fffffff",
    "0x80000000u",
    "0xffffffffu",
    "0x123456789abcdefll",
    "0x5555555555555555ll",
    "1000003",
];
const FLOATS: &[&str] = &[
    "0.0", "1.0", "-1.0", "0.5", "0.25f", "3.0f", "1.5", "-2.25", "1e-3", "0.1", "0.1f", "1e10", "1024.0",
    "-0.0",
];
const FIELDS: &[(&str, bool)] =
    &[("a", false), ("b", true), ("c", false), ("d", false), ("e", false), ("f", true)];

/// An index into an array that is safe for it.
pub fn index(rng: &mut Rng, scope: &Scope, array: &Array) -> String {
    if array.walks {
        return rng.between(-8, 7).to_string();
    }
    if scope.indices.is_empty() {
        return rng.below(16).to_string();
    }
    let i = scope.indices[scope.indices.len() - 1 - rng.below(scope.indices.len().min(2))].clone();
    match rng.below(12) {
        0..=5 => i,
        6 | 7 => format!("(int){i} + {}", rng.between(-8, 7)),
        8 => format!("N - 1 - {i}"),
        9 => format!("({i} * {}) & (N - 1)", rng.pick(&[2, 3, 5, 7, 8])),
        10 => rng.below(16).to_string(),
        _ => format!("(int)({}) & (N - 1)", integer(rng, scope, 1)),
    }
}

fn element(rng: &mut Rng, scope: &Scope, float: bool) -> Option<String> {
    let arrays: Vec<&Array> = scope.arrays.iter().filter(|a| a.ty.is_float() == float).collect();
    if arrays.is_empty() {
        return None;
    }
    let array = arrays[rng.below(arrays.len())];
    Some(format!("{}[{}]", array.name, index(rng, scope, array)))
}

fn scalar(rng: &mut Rng, scope: &Scope, float: bool) -> Option<String> {
    let all: Vec<&str> =
        scope.scalars.iter().filter(|s| s.1.is_float() == float).map(|s| s.0.as_str()).collect();
    (!all.is_empty()).then(|| all[rng.below(all.len())].to_string())
}

fn record(rng: &mut Rng, scope: &Scope, float: bool) -> Option<String> {
    let fields: Vec<&str> = FIELDS.iter().filter(|f| f.1 == float).map(|f| f.0).collect();
    let i = scope.indices.last()?;
    scope.globals.then(|| format!("recs[{i}].{}", fields[rng.below(fields.len())]))
}

fn call(rng: &mut Rng, scope: &Scope, float: bool, depth: u32) -> Option<String> {
    let all: Vec<_> = scope.functions.iter().filter(|f| f.2.is_float() == float).collect();
    if all.is_empty() {
        return None;
    }
    let (name, parameters, _) = all[rng.below(all.len())];
    let arguments: Vec<String> = parameters.iter().map(|ty| of_type(rng, scope, *ty, depth / 2)).collect();
    Some(format!("{name}({})", arguments.join(", ")))
}

/// An expression converted to this type.
pub fn of_type(rng: &mut Rng, scope: &Scope, ty: Ty, depth: u32) -> String {
    let float = if rng.one_in(8) { !ty.is_float() } else { ty.is_float() };
    let value = if float { float_(rng, scope, depth) } else { integer(rng, scope, depth) };
    format!("({})({value})", ty.name())
}

/// A condition.
pub fn condition(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    let op = rng.pick(&["<", "<=", ">", ">=", "==", "!="]);
    match rng.below(8) {
        0..=3 => format!("{} {op} {}", integer(rng, scope, depth), integer(rng, scope, depth.min(1))),
        4 | 5 => format!("{} {op} {}", float_(rng, scope, depth), float_(rng, scope, depth.min(1))),
        6 => format!("(({}) & {}) == 0", integer(rng, scope, depth), rng.pick(&[1, 3, 7, 15, 64])),
        _ => format!(
            "({}) {} ({})",
            condition(rng, scope, depth / 2),
            rng.pick(&["&&", "||"]),
            condition(rng, scope, depth / 2)
        ),
    }
}

/// An expression of integer type.
pub fn integer(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    if depth == 0 || rng.one_in(6) {
        let leaf = match rng.below(10) {
            0..=4 => element(rng, scope, false),
            5 | 6 => scalar(rng, scope, false),
            7 => record(rng, scope, false),
            8 if !scope.indices.is_empty() => Some(scope.indices[rng.below(scope.indices.len())].clone()),
            _ => None,
        };
        return leaf.unwrap_or_else(|| rng.pick(INTEGERS).to_string());
    }
    let d = depth - 1;
    match rng.below(24) {
        0..=8 => {
            let op = rng.pick(&["+", "+", "-", "-", "*", "&", "|", "^", "+"]);
            format!("({} {op} {})", integer(rng, scope, d), integer(rng, scope, d))
        }
        9 | 10 => {
            let bits = rng.pick(&[32, 64]);
            let sign = rng.pick(&["i", "u"]);
            let op = rng.pick(&["<<", ">>", ">>"]);
            let amount = if rng.one_in(3) {
                format!("({}) & {}", integer(rng, scope, d.min(1)), bits - 1)
            } else {
                rng.below(bits).to_string()
            };
            format!("(({sign}{bits})({}) {op} ({amount}))", integer(rng, scope, d))
        }
        11 => {
            let (bits, n) = rng.pick(&[(32, 7), (32, 13), (64, 17), (64, 31), (32, 1)]);
            format!("ROT{bits}({}, {n})", integer(rng, scope, d))
        }
        12 => format!(
            "({} ? {} : {})",
            condition(rng, scope, d),
            integer(rng, scope, d),
            integer(rng, scope, d)
        ),
        13 => {
            let ty = rng.pick(&["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"]);
            format!("({ty})({})", integer(rng, scope, d))
        }
        14 => {
            let name = rng.pick(&["MIN", "MAX"]);
            format!("{name}({}, {})", integer(rng, scope, d), integer(rng, scope, d.min(1)))
        }
        15 => {
            let op = rng.pick(&["/", "%"]);
            let divisor = if rng.one_in(2) {
                rng.pick(&["3", "7", "10", "16", "1000", "255"]).to_string()
            } else {
                format!("((({}) & 255) + 1)", integer(rng, scope, d.min(1)))
            };
            format!("({} {op} {divisor})", integer(rng, scope, d))
        }
        16 => format!("{}({})", rng.pick(&["-", "~", "!"]), integer(rng, scope, d)),
        17 => {
            let f = rng.pick(&[
                "__builtin_popcountll",
                "__builtin_bswap32",
                "__builtin_bswap64",
                "ctz",
                "clz",
                "ABS",
            ]);
            format!("{f}({})", integer(rng, scope, d))
        }
        18 => format!("mulhi({}, {})", integer(rng, scope, d), integer(rng, scope, d)),
        19 => format!("(({}) {})", condition(rng, scope, d), rng.pick(&["", "* 3", "- 1"])),
        20 => call(rng, scope, false, depth).unwrap_or_else(|| integer(rng, scope, d)),
        21 => {
            let ty = rng.pick(&["i32", "i64", "i32", "u8", "u32"]);
            format!("({ty})({})", float_(rng, scope, d))
        }
        22 => format!("SAT8({})", integer(rng, scope, d)),
        _ => format!("bits{}({})", rng.pick(&[32, 64]), float_(rng, scope, d)),
    }
}

/// An expression of floating type.
pub fn float_(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    if depth == 0 || rng.one_in(6) {
        let leaf = match rng.below(9) {
            0..=4 => element(rng, scope, true),
            5 | 6 => scalar(rng, scope, true),
            7 => record(rng, scope, true),
            _ => None,
        };
        return leaf.unwrap_or_else(|| rng.pick(FLOATS).to_string());
    }
    let d = depth - 1;
    match rng.below(16) {
        0..=7 => {
            let op = rng.pick(&["+", "+", "-", "*", "*", "/"]);
            format!("({} {op} {})", float_(rng, scope, d), float_(rng, scope, d))
        }
        8 => {
            format!("({} ? {} : {})", condition(rng, scope, d), float_(rng, scope, d), float_(rng, scope, d))
        }
        9 => {
            let name = rng.pick(&["MIN", "MAX"]);
            format!("{name}({}, {})", float_(rng, scope, d), float_(rng, scope, d.min(1)))
        }
        10 => {
            let f =
                rng.pick(&["__builtin_fabs", "__builtin_sqrt", "__builtin_fabsf", "__builtin_sqrtf", "-"]);
            format!("{f}({})", float_(rng, scope, d))
        }
        11 => format!("({})({})", rng.pick(&["f32", "f64"]), float_(rng, scope, d)),
        12 | 13 => format!("({})({})", rng.pick(&["f32", "f64"]), integer(rng, scope, d)),
        14 => call(rng, scope, true, depth).unwrap_or_else(|| float_(rng, scope, d)),
        _ => format!("(f64)(i32)({})", float_(rng, scope, d)),
    }
}
