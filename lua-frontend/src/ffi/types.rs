//! The table of C types.
//!
//! A type is a number. Derived types (numbers, pointers, arrays, qualified types) are interned, so that equal types have
//! equal numbers; structures, enumerations and functions are unique. Sizes are those of the System V ABI for 64-bit machines.
//! The first numbers are fixed ([`id`]); literals with a suffix rely on them.

use rustc_hash::FxHashMap;

/// A C type.
pub type Id = u32;

/// The size of a type that has none (yet).
pub const INVALID: u32 = u32::MAX;

/// `const`
pub const CONST: u8 = 1;
/// `volatile`
pub const VOLATILE: u8 = 2;

/// The fixed types.
#[allow(missing_docs, reason = "the names are the types")]
pub mod id {
    use super::Id;
    pub const NONE: Id = 0;
    pub const VOID: Id = 1;
    pub const CONST_VOID: Id = 2;
    pub const BOOL: Id = 3;
    pub const CONST_CHAR: Id = 4;
    pub const INT8: Id = 5;
    pub const UINT8: Id = 6;
    pub const INT16: Id = 7;
    pub const UINT16: Id = 8;
    pub const INT32: Id = 9;
    pub const UINT32: Id = 10;
    pub const INT64: Id = 11;
    pub const UINT64: Id = 12;
    pub const INT128: Id = 13;
    pub const UINT128: Id = 14;
    pub const FLOAT: Id = 15;
    pub const DOUBLE: Id = 16;
    pub const COMPLEX_FLOAT: Id = 17;
    pub const COMPLEX_DOUBLE: Id = 18;
    pub const P_VOID: Id = 19;
    pub const P_CONST_VOID: Id = 20;
    pub const P_CONST_CHAR: Id = 21;
    pub const P_UINT8: Id = 22;
    pub const A_CONST_CHAR: Id = 23;
    pub const CTYPE: Id = 24;
}

/// What kind of type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No type.
    None,
    /// `void`
    Void,
    /// An integer.
    Int {
        /// Without sign.
        unsigned: bool,
        /// `long`, which is told from `long long` of the same size.
        long: bool,
    },
    /// `bool`
    Bool,
    /// `float`, `double`, `long double`
    Float,
    /// A pointer, or a reference.
    Pointer {
        /// To this type.
        to: Id,
        /// Reads as the thing it refers to.
        reference: bool,
    },
    /// An array.
    Array {
        /// Of this type.
        of: Id,
        /// `[?]`
        variable: bool,
    },
    /// A vector of the compiler's extension.
    Vector {
        /// Of this type.
        of: Id,
    },
    /// `complex`
    Complex {
        /// Of this type.
        of: Id,
    },
    /// A structure or union, by its number.
    Struct(u32),
    /// An enumeration, by its number.
    Enum(u32),
    /// A function, by its number.
    Function(u32),
    /// Another type with qualifiers or alignment.
    Attributed {
        /// That type.
        of: Id,
    },
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CType {
    /// Its kind.
    pub kind: Kind,
    /// Bytes, or [`INVALID`].
    pub size: u32,
    /// Logarithm of the alignment.
    pub align: u8,
    /// [`CONST`], [`VOLATILE`].
    pub quals: u8,
}

/// What a member of a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// At the offset.
    Field,
    /// Some bits of the container at the offset.
    Bits {
        /// The lowest bit.
        position: u8,
        /// How many.
        count: u8,
        /// Bytes of the container.
        container: u8,
    },
    /// A structure whose members count as one's own.
    Transparent,
    /// A constant of the structure's name space.
    Constant(u32),
}

/// A member of a structure.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Option<Box<[u8]>>,
    /// Its type.
    pub ty: Id,
    /// Where it is.
    pub offset: u32,
    /// What it is.
    pub member: Member,
}

/// A structure or union.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// Its tag.
    pub name: Option<Box<[u8]>>,
    /// All members at offset zero.
    pub union: bool,
    /// Ends in an array of any length.
    pub variable: bool,
    /// Its members are known or being read.
    pub defined: bool,
    /// The members.
    pub fields: Vec<Field>,
}

/// An enumeration.
#[derive(Clone, Debug, Default)]
pub struct Enum {
    /// Its tag.
    pub name: Option<Box<[u8]>>,
    /// Its constants are known or being read.
    pub defined: bool,
    /// Name, value, type.
    pub constants: Vec<(Box<[u8]>, u32, Id)>,
    /// The integer type.
    pub base: Id,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// The type of the result.
    pub result: Id,
    /// Parameters.
    pub parameters: Vec<Id>,
    /// `...`
    pub variadic: bool,
}

/// What an ordinary identifier stands for.
#[derive(Clone, Debug)]
pub enum Name {
    /// A type.
    Typedef(Id),
    /// A function, with the symbol's name if it differs.
    Function(Id, Option<Box<[u8]>>),
    /// A variable, with the symbol's name if it differs.
    Variable(Id, Option<Box<[u8]>>),
    /// A constant.
    Constant(u32, Id),
}

/// All types and names.
#[derive(Clone, Debug)]
pub struct Types {
    table: Vec<CType>,
    interned: FxHashMap<CType, Id>,
    /// Structures.
    pub structs: Vec<Struct>,
    /// Enumerations.
    pub enums: Vec<Enum>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Ordinary identifiers.
    pub names: FxHashMap<Box<[u8]>, Name>,
    /// Tags of structures, unions and enumerations.
    pub tags: FxHashMap<Box<[u8]>, Id>,
    /// Types by the text that named them, for the functions that take text.
    pub parsed: FxHashMap<Box<[u8]>, Id>,
}

/// Where a member was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The member.
    pub member: Member,
    /// Its type.
    pub ty: Id,
    /// Its offset in the outermost structure.
    pub offset: u32,
    /// Qualifiers of the structures around it.
    pub quals: u8,
}

impl Default for Types {
    fn default() -> Types {
        Types::new()
    }
}

impl Types {
    /// The fixed types and the names of the standard headers.
    pub fn new() -> Types {
        let mut types = Types {
            table: Vec::new(),
            interned: FxHashMap::default(),
            structs: Vec::new(),
            enums: Vec::new(),
            functions: Vec::new(),
            names: FxHashMap::default(),
            tags: FxHashMap::default(),
            parsed: FxHashMap::default(),
        };
        let int = |unsigned, long| Kind::Int { unsigned, long };
        let pointer = |to| Kind::Pointer { to, reference: false };
        let fixed = [
            (Kind::None, 0, 0, 0),
            (Kind::Void, INVALID, 0, 0),
            (Kind::Void, INVALID, 0, CONST),
            (Kind::Bool, 1, 0, 0),
            (int(false, false), 1, 0, CONST),
            (int(false, false), 1, 0, 0),
            (int(true, false), 1, 0, 0),
            (int(false, false), 2, 1, 0),
            (int(true, false), 2, 1, 0),
            (int(false, false), 4, 2, 0),
            (int(true, false), 4, 2, 0),
            (int(false, true), 8, 3, 0),
            (int(true, true), 8, 3, 0),
            (int(false, false), 16, 4, 0),
            (int(true, false), 16, 4, 0),
            (Kind::Float, 4, 2, 0),
            (Kind::Float, 8, 3, 0),
            (Kind::Complex { of: id::FLOAT }, 8, 2, 0),
            (Kind::Complex { of: id::DOUBLE }, 16, 3, 0),
            (pointer(id::VOID), 8, 3, 0),
            (pointer(id::CONST_VOID), 8, 3, 0),
            (pointer(id::CONST_CHAR), 8, 3, 0),
            (pointer(id::UINT8), 8, 3, 0),
            (Kind::Array { of: id::CONST_CHAR, variable: false }, INVALID, 0, CONST),
            (Kind::Enum(0), 4, 2, 0),
        ];
        for (kind, size, align, quals) in fixed {
            types.intern(CType { kind, size, align, quals });
        }
        types.enums.push(Enum { defined: true, base: id::INT32, ..Enum::default() });
        for (name, ty) in [
            ("va_list", id::P_VOID),
            ("__builtin_va_list", id::P_VOID),
            ("__gnuc_va_list", id::P_VOID),
            ("ptrdiff_t", id::INT64),
            ("size_t", id::UINT64),
            ("ssize_t", id::INT64),
            ("wchar_t", id::INT32),
            ("int8_t", id::INT8),
            ("int16_t", id::INT16),
            ("int32_t", id::INT32),
            ("int64_t", id::INT64),
            ("uint8_t", id::UINT8),
            ("uint16_t", id::UINT16),
            ("uint32_t", id::UINT32),
            ("uint64_t", id::UINT64),
            ("intptr_t", id::INT64),
            ("uintptr_t", id::UINT64),
        ] {
            types.names.insert(name.as_bytes().into(), Name::Typedef(ty));
        }
        types
    }

    /// How many types there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The entry of a type; that of "no type" for a number out of range.
    #[inline]
    pub fn get(&self, ty: Id) -> CType {
        self.table.get(ty as usize).or(self.table.first()).copied().unwrap_or(CType {
            kind: Kind::None,
            size: 0,
            align: 0,
            quals: 0,
        })
    }

    /// The number of a derived type.
    pub fn intern(&mut self, ty: CType) -> Id {
        if let Some(&known) = self.interned.get(&ty) {
            return known;
        }
        let number = self.table.len() as Id;
        self.table.push(ty);
        self.interned.insert(ty, number);
        number
    }

    /// A new structure or union.
    pub fn new_struct(&mut self, name: Option<Box<[u8]>>, union: bool) -> Id {
        self.structs.push(Struct { name, union, ..Struct::default() });
        let kind = Kind::Struct(self.structs.len() as u32 - 1);
        self.intern(CType { kind, size: INVALID, align: 0, quals: 0 })
    }

    /// A new enumeration.
    pub fn new_enum(&mut self, name: Option<Box<[u8]>>) -> Id {
        self.enums.push(Enum { name, base: id::UINT32, ..Enum::default() });
        let kind = Kind::Enum(self.enums.len() as u32 - 1);
        self.intern(CType { kind, size: INVALID, align: 2, quals: 0 })
    }

    /// A new function.
    pub fn new_function(&mut self, function: Function) -> Id {
        self.functions.push(function);
        let kind = Kind::Function(self.functions.len() as u32 - 1);
        self.intern(CType { kind, size: INVALID, align: 0, quals: 0 })
    }

    /// Completes a structure or enumeration.
    pub fn complete(&mut self, ty: Id, size: u32, align: u8, quals: u8) {
        if let Some(entry) = self.table.get_mut(ty as usize) {
            // Unique types are found by their number only: the old key may stay.
            entry.size = size;
            entry.align = align;
            entry.quals = quals;
        }
    }

    /// A pointer to a type.
    pub fn pointer_to(&mut self, to: Id) -> Id {
        self.intern(CType { kind: Kind::Pointer { to, reference: false }, size: 8, align: 3, quals: 0 })
    }

    /// A reference to a type.
    pub fn reference_to(&mut self, to: Id) -> Id {
        self.intern(CType { kind: Kind::Pointer { to, reference: true }, size: 8, align: 3, quals: CONST })
    }

    /// The type without attributes around it.
    #[inline]
    pub fn raw(&self, mut ty: Id) -> Id {
        while let Kind::Attributed { of } = self.get(ty).kind {
            ty = of;
        }
        ty
    }

    /// The type without references and attributes.
    pub fn raw_ref(&self, mut ty: Id) -> Id {
        loop {
            match self.get(ty).kind {
                Kind::Attributed { of } => ty = of,
                Kind::Pointer { to, reference: true } => ty = to,
                _ => return ty,
            }
        }
    }

    /// The integer type of an enumeration, anything else as it is.
    pub fn unwrap_enum(&self, ty: Id) -> Id {
        match self.get(ty).kind {
            Kind::Enum(number) => self.enums.get(number as usize).map_or(id::INT32, |e| e.base),
            _ => ty,
        }
    }

    /// Kind, size, alignment and qualifiers of a type with all its attributes.
    pub fn info(&self, ty: Id) -> CType {
        let mut quals = 0;
        let mut align = None;
        let mut at = ty;
        loop {
            let entry = self.get(at);
            match entry.kind {
                Kind::Attributed { of } => {
                    quals |= entry.quals;
                    if entry.align != self.get(of).align {
                        align = align.or(Some(entry.align));
                    }
                    at = of;
                }
                _ => {
                    return CType {
                        quals: quals | entry.quals,
                        align: align.unwrap_or(entry.align),
                        ..entry
                    };
                }
            }
        }
    }

    /// The size of a type if it has one.
    pub fn size(&self, ty: Id) -> Option<u32> {
        match self.get(self.raw(ty)) {
            CType { kind: Kind::Function(_) | Kind::Void | Kind::None, .. } => None,
            CType { size: INVALID, .. } => None,
            CType { size, .. } => Some(size),
        }
    }

    /// Whether it needs a number of elements to be created.
    pub fn is_variable(&self, ty: Id) -> bool {
        match self.get(self.raw(ty)).kind {
            Kind::Array { variable, .. } => variable,
            Kind::Struct(number) => self.structs[number as usize].variable,
            _ => false,
        }
    }

    /// The size of a variable-length type with so many elements.
    pub fn variable_size(&self, ty: Id, count: u32) -> Option<u32> {
        let raw = self.raw(ty);
        let entry = self.get(raw);
        let mut fixed = 0u64;
        let mut array = raw;
        if let Kind::Struct(number) = entry.kind {
            fixed = u64::from(entry.size);
            array = self.raw(self.structs[number as usize].fields.last()?.ty);
        }
        let Kind::Array { of, .. } = self.get(array).kind else { return None };
        let total = fixed + u64::from(self.size(of)?) * u64::from(count);
        u32::try_from(total).ok().filter(|&total| total < 0x8000_0000)
    }

    /// Adds qualifiers; arrays pass them on to their elements.
    pub fn qualify(&mut self, ty: Id, quals: u8) -> Id {
        let entry = self.get(ty);
        if quals == 0 {
            return ty;
        }
        match entry.kind {
            Kind::Array { of, variable } => {
                let of = self.qualify(of, quals);
                self.intern(CType { kind: Kind::Array { of, variable }, quals: entry.quals | quals, ..entry })
            }
            Kind::Struct(_) | Kind::Enum(_) => self.intern(CType {
                kind: Kind::Attributed { of: ty },
                size: INVALID,
                align: entry.align,
                quals,
            }),
            Kind::Function(_) | Kind::None => ty,
            _ => self.intern(CType { quals: entry.quals | quals, ..entry }),
        }
    }

    /// Finds a member by name, inside transparent structures too.
    pub fn field(&self, structure: Id, name: &[u8]) -> Option<Found> {
        let Kind::Struct(number) = self.get(self.raw(structure)).kind else { return None };
        for field in &self.structs[number as usize].fields {
            if field.member == Member::Transparent {
                if let Kind::Enum(number) = self.get(self.raw(field.ty)).kind {
                    let constants = &self.enums[number as usize].constants;
                    if let Some(constant) = constants.iter().find(|c| &*c.0 == name) {
                        let member = Member::Constant(constant.1);
                        return Some(Found { member, ty: constant.2, offset: 0, quals: 0 });
                    }
                } else if let Some(mut found) = self.field(field.ty, name) {
                    found.offset += field.offset;
                    found.quals |= self.info(field.ty).quals;
                    return Some(found);
                }
            } else if field.name.as_deref() == Some(name) {
                return Some(Found { member: field.member, ty: field.ty, offset: field.offset, quals: 0 });
            }
        }
        None
    }

    /// The type as C writes it.
    pub fn describe(&self, ty: Id) -> String {
        let mut text = Description { before: Vec::new(), after: String::new(), space: false };
        self.describe_into(ty, &mut text);
        text.before.reverse();
        text.before.concat() + &text.after
    }

    fn describe_into(&self, ty: Id, out: &mut Description) {
        let mut at = ty;
        let mut quals = 0;
        let mut pointed = false;
        loop {
            let entry = self.get(at);
            match entry.kind {
                Kind::None => return out.word("<none>"),
                Kind::Bool => {
                    out.word("bool");
                    return out.qualifiers(quals | entry.quals);
                }
                Kind::Float => {
                    out.word(match entry.size {
                        8 => "double",
                        4 => "float",
                        _ => "long double",
                    });
                    return out.qualifiers(quals | entry.quals);
                }
                Kind::Int { unsigned, .. } => {
                    let wide =
                        format!("{}int{}_t", if unsigned { "u" } else { "" }, u64::from(entry.size) * 8);
                    out.word(match (entry.size, unsigned) {
                        (1, false) => "char",
                        (1, true) => "unsigned char",
                        (2, false) => "short",
                        (2, true) => "unsigned short",
                        (4, false) => "int",
                        (4, true) => "unsigned int",
                        _ => &wide,
                    });
                    return out.qualifiers(quals | entry.quals);
                }
                Kind::Void => {
                    out.word("void");
                    return out.qualifiers(quals | entry.quals);
                }
                Kind::Struct(number) => {
                    let structure = &self.structs[number as usize];
                    out.tagged(
                        if structure.union { "union" } else { "struct" },
                        structure.name.as_deref(),
                        at,
                    );
                    return out.qualifiers(quals);
                }
                Kind::Enum(_) if at == id::CTYPE => return out.word("ctype"),
                Kind::Enum(number) => {
                    out.tagged("enum", self.enums[number as usize].name.as_deref(), at);
                    return out.qualifiers(quals);
                }
                Kind::Attributed { of } => {
                    quals |= entry.quals;
                    at = of;
                }
                Kind::Pointer { to, reference } => {
                    if reference {
                        out.before.push("&".into());
                    } else {
                        out.qualifiers(quals | entry.quals);
                        if entry.size == 4 {
                            out.word("__ptr32");
                        }
                        out.before.push("*".into());
                    }
                    quals = 0;
                    pointed = true;
                    out.space = true;
                    at = to;
                }
                Kind::Array { of, variable } => {
                    out.space = true;
                    out.enclose(&mut pointed);
                    let element = self.get(self.raw(of)).size;
                    out.after.push('[');
                    if entry.size != INVALID {
                        out.after.push_str(&entry.size.checked_div(element).unwrap_or(0).to_string());
                    } else if variable {
                        out.after.push('?');
                    }
                    out.after.push(']');
                    at = of;
                }
                Kind::Complex { .. } => {
                    if entry.size == 8 {
                        out.word("float");
                    }
                    return out.word("complex");
                }
                Kind::Vector { of } => {
                    out.word(&format!("__attribute__((vector_size({})))", entry.size));
                    at = of;
                }
                Kind::Function(number) => {
                    out.space = true;
                    out.enclose(&mut pointed);
                    out.after.push_str("()");
                    at = self.functions[number as usize].result;
                }
            }
        }
    }
}

/// A description that grows on both sides.
struct Description {
    /// Pieces in reverse order.
    before: Vec<String>,
    after: String,
    space: bool,
}

impl Description {
    fn word(&mut self, word: &str) {
        if self.space {
            self.before.push(" ".into());
        }
        self.space = true;
        self.before.push(word.into());
    }

    fn tagged(&mut self, what: &str, name: Option<&[u8]>, ty: Id) {
        match name {
            Some(name) => self.word(&String::from_utf8_lossy(name)),
            None => self.word(&ty.to_string()),
        }
        self.word(what);
    }

    fn qualifiers(&mut self, quals: u8) {
        if quals & VOLATILE != 0 {
            self.word("volatile");
        }
        if quals & CONST != 0 {
            self.word("const");
        }
    }

    fn enclose(&mut self, pointed: &mut bool) {
        if *pointed {
            *pointed = false;
            self.before.push("(".into());
            self.after.push(')');
        }
    }
}
