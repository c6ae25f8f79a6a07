//! Symbols: the strings of one chunk, each stored once and named by a small number.
//!
//! Names, string literals and field keys become symbols while they are read, so that the compiler compares and hashes
//! numbers only, and so that the virtual machine interns each string of a chunk once. The reserved words take the first
//! numbers (`Token::from_reserved` is the way back).

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::token::{RESERVED, Token};

/// A string of the chunk; equal strings have equal symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(pub u32);

impl Symbol {
    /// The reserved word that this symbol spells, if any.
    #[inline]
    pub fn reserved(self) -> Option<Token> {
        Token::from_reserved(self.0)
    }
}

/// All symbols of a chunk.
#[derive(Clone, Debug)]
pub struct Symbols {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    index: HashTable<u32>,
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

impl Default for Symbols {
    fn default() -> Symbols {
        Symbols::new()
    }
}

impl Symbols {
    /// The reserved words only.
    pub fn new() -> Symbols {
        let mut symbols = Symbols { bytes: Vec::new(), ends: Vec::new(), index: HashTable::new() };
        for word in RESERVED {
            symbols.intern(word.as_bytes());
        }
        symbols
    }

    /// The symbol of a string.
    pub fn intern(&mut self, text: &[u8]) -> Symbol {
        let hash_value = hash(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(&found) = self.index.find(hash_value, |&i| slice(bytes, ends, i) == text) {
            return Symbol(found);
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let (bytes, ends) = (&self.bytes, &self.ends);
        self.index.insert_unique(hash_value, number, |&i| hash(slice(bytes, ends, i)));
        Symbol(number)
    }

    /// The bytes of a symbol.
    #[inline]
    pub fn get(&self, symbol: Symbol) -> &[u8] {
        slice(&self.bytes, &self.ends, symbol.0)
    }

    /// How many there are; symbols are numbered from zero.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never true: the reserved words are always there.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_have_equal_symbols() {
        let mut symbols = Symbols::new();
        let a = symbols.intern(b"alpha");
        let b = symbols.intern(b"beta");
        assert_ne!(a, b);
        assert_eq!(symbols.intern(b"alpha"), a);
        assert_eq!(symbols.get(b), b"beta");
        assert_eq!(symbols.intern(b"while").reserved(), Some(Token::While));
        assert_eq!(a.reserved(), None);
    }
}
