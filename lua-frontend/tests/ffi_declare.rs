//! C declarations: sizes and layouts, descriptions, messages, and mutated input.

use lua_frontend::ffi::declare::{Parameter, declare, parse_type};
use lua_frontend::ffi::types::{Name, Types};

fn types(declarations: &str) -> Types {
    let mut types = Types::new();
    declare(&mut types, declarations.as_bytes(), &[]).unwrap_or_else(|e| panic!("{e}\n{declarations}"));
    types
}

/// Size and alignment of a type.
fn layout(types: &mut Types, text: &str) -> (Option<u32>, u32) {
    let ty = parse_type(types, text.as_bytes(), &[], true).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (types.size(ty), 1 << types.info(ty).align)
}

#[test]
fn sizes_are_those_of_the_abi() {
    let mut t = types(
        "struct mixed { char a; int b; char c; };
         struct packed { char a; int b; } __attribute__((packed));
         struct bits { unsigned a:3; int b:5; unsigned c:24; bool d:1; };
         union both { int i; double d; };
         typedef struct { union { int x; short y; }; char z; } nested;
         enum color { RED, GREEN = 5, BLUE };
         typedef float vector __attribute__((vector_size(16)));
         #pragma pack(push, 2)
         struct tight { char a; double b; };
         #pragma pack(pop)
         struct flexible { int n; char data[]; };",
    );
    for (text, size, align) in [
        ("int", Some(4), 4),
        ("long long int", Some(8), 8),
        ("unsigned char", Some(1), 1),
        ("long double", Some(16), 16),
        ("complex", Some(16), 8),
        ("void *", Some(8), 8),
        ("int[3][4]", Some(48), 4),
        ("int (*)[3]", Some(8), 8),
        ("int[]", None, 4),
        ("void", None, 1),
        ("struct mixed", Some(12), 4),
        ("struct packed", Some(5), 1),
        ("struct bits", Some(8), 4),
        ("union both", Some(8), 8),
        ("nested", Some(8), 4),
        ("enum color", Some(4), 4),
        ("vector", Some(16), 16),
        ("struct tight", Some(10), 2),
        ("struct flexible", Some(4), 4),
    ] {
        assert_eq!(layout(&mut t, text), (size, align), "{text}");
    }
}

#[test]
fn types_describe_themselves() {
    let mut t = types("struct s { int x; }; typedef struct s *ps; typedef int fn(int, ...);");
    for (text, description) in [
        ("const char *", "const char *"),
        ("char *const", "char *const"),
        ("int (*)[3]", "int (*)[3]"),
        ("int *[3]", "int *[3]"),
        ("ps", "struct s *"),
        ("const struct s", "const struct s"),
        ("fn *", "int (*)()"),
        ("void (*(*)(int))(char)", "void (*(*)())()"),
        ("unsigned", "unsigned int"),
        ("uint64_t", "uint64_t"),
        ("int[?]", "int [?]"),
        ("complex float", "complex float"),
        ("int &", "int &"),
    ] {
        let ty = parse_type(&mut t, text.as_bytes(), &[], true).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(t.describe(ty), description, "{text}");
    }
}

#[test]
fn constants_are_computed() {
    let t = types(
        "enum { A = 1 << 4, B = A | 3, C = sizeof(int) * 2, D = -1, E = 7 / 2 == 3 ? 10 : 20, F = 'a', G = (char)65 };
         static const int H = 010;",
    );
    for (name, value) in
        [("A", 16), ("B", 19), ("C", 8), ("D", -1), ("E", 10), ("F", 97), ("G", 65), ("H", 8)]
    {
        match t.names.get(name.as_bytes()) {
            Some(&Name::Constant(found, _)) => assert_eq!(found as i32, value, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn messages() {
    for (text, message) in [
        ("foo bar;", "declaration specifier expected near 'foo'"),
        ("int int y;", "'<identifier>' expected near 'int'"),
        ("struct s { int x }", "';' expected near '}'"),
        ("\n\nint a[;", "unexpected symbol near ';' at line 3"),
        ("int a[-1];", "size of C type is unknown or too large"),
        ("struct s { int x; }; struct s { int y; };", "attempt to redefine 's'"),
        ("enum e { X }; enum f { X };", "attempt to redefine 'X'"),
        ("int f()[3];", "invalid C type"),
        ("typedef extern register int x;", "bad storage class near 'register'"),
        ("int x = 0xg;", "malformed number near '0xg'"),
    ] {
        let mut types = Types::new();
        match declare(&mut types, text.as_bytes(), &[]) {
            Ok(()) => panic!("accepted: {text}"),
            Err(found) if text.starts_with("int x =") => assert!(!found.is_empty()),
            Err(found) => assert_eq!(found, message, "{text}"),
        }
    }
}

#[test]
fn parameters_stand_for_types_names_and_numbers() {
    let mut t = Types::new();
    let int = parse_type(&mut t, b"int", &[], true).expect("a type");
    let parameters = [Parameter::Type(int), Parameter::Name(b"field".to_vec()), Parameter::Number(5)];
    let ty = parse_type(&mut t, b"struct { $ $[$]; }", &parameters, true).expect("a type");
    assert_eq!(t.size(ty), Some(20));
    assert!(t.field(ty, b"field").is_some());
    assert!(parse_type(&mut t, b"$", &[], true).is_err());
}

#[test]
fn mutated_declarations_are_read_or_refused() {
    let sources = [
        "typedef struct { int x, y; double z; } point; struct bits { unsigned a:3; int b:5; bool d:1; };",
        "union u { int i; float f; unsigned char b[4]; }; enum color { RED, GREEN = 5, BLUE };",
        "int printf(const char *fmt, ...) __asm__(\"printf\"); typedef int (*cmp)(const void *, const void *);",
        "struct node { struct node *next; int v[sizeof(int)*2 + (1<<3)]; } __attribute__((packed, aligned(16)));",
        "#pragma pack(push, 1)\nextern int (*table[4])(int (*)[3], char); static const int K = 3 ? 1 : 2;",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % limit.max(1)
    };
    let pieces = [
        "*", "(", ")", "[", "]", "{", "}", ";", ":", "int", "struct", "union", "enum", "const", "$", "&", "?",
    ];
    let mut accepted = 0;
    for round in 0..30_000 {
        let mut text = sources[round % sources.len()].as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(4) {
                0 => text[at] = random(256) as u8,
                1 => {
                    text.remove(at);
                }
                2 => text.truncate(at.max(1)),
                _ => {
                    let piece = pieces[random(pieces.len())].repeat(random(40) + 1);
                    text.splice(at..at, piece.into_bytes());
                }
            }
            if text.is_empty() {
                text.push(b';');
            }
        }
        let mut types = Types::new();
        accepted += usize::from(declare(&mut types, &text, &[]).is_ok());
    }
    assert!(accepted > 500, "{accepted} accepted");
    let deep = format!("int {}x{};", "(".repeat(100_000), ")".repeat(100_000));
    assert!(declare(&mut Types::new(), deep.as_bytes(), &[]).is_err());
    let deep = "struct { ".repeat(100_000);
    assert!(declare(&mut Types::new(), deep.as_bytes(), &[]).is_err());
    let many = format!("int {} x;", "*".repeat(100_000));
    assert!(declare(&mut Types::new(), many.as_bytes(), &[]).is_err());
}
