//! What a debugger is told of a trace: a small ELF file in memory with its symbol, its code and its source lines.
//!
//! The file is a relocatable one whose `.text` already has its address, which is what debuggers expect of code that
//! is made at run time. Lines are those of the guest instruction that each piece of host code was made from, so
//! that a trace through several functions jumps between their files.

use gimli::write::{Address, AttributeValue, DwarfUnit, EndianVec, LineProgram, LineString, Sections};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, SectionId};
use object::write::{Object, SectionKind, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use std::collections::HashMap;

/// A line of source: file and number.
pub type Line = (String, u64);

/// The file for `code` at `address`, called `name`. `lines`: offsets in the code, ascending, and the source from there on.
pub fn file(name: &str, address: u64, code: &[u8], lines: &[(u64, Line)]) -> Result<Vec<u8>, Error> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text = object.add_section(Vec::new(), TEXT.as_bytes().to_vec(), SectionKind::Text);
    object.append_section_data(text, code, 1);
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    });
    if !lines.is_empty() {
        let sections = dwarf(name, address, code.len() as u64, lines)?;
        sections.for_each(|id: SectionId, bytes| {
            if !bytes.slice().is_empty() {
                let section =
                    object.add_section(Vec::new(), id.name().as_bytes().to_vec(), SectionKind::Debug);
                object.append_section_data(section, bytes.slice(), 1);
            }
            Ok::<(), gimli::write::Error>(())
        })?;
    }
    let mut bytes = object.write()?;
    place(&mut bytes, address).ok_or(Error::NoText)?;
    Ok(bytes)
}

const TEXT: &str = ".text";

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be written.
    #[error(transparent)]
    Object(#[from] object::write::Error),
    /// The lines could not be written.
    #[error(transparent)]
    Dwarf(#[from] gimli::write::Error),
    /// The section of the code is not in the file.
    #[error("a symbol file without code")]
    NoText,
}

/// Gives `.text` its address.
fn place(file: &mut [u8], address: u64) -> Option<()> {
    /// Size of a section header, and where its address stands.
    const HEADER: usize = 64;
    const ADDRESS: usize = 16;
    let elf = goblin::elf::Elf::parse(file).ok()?;
    let index = elf.section_headers.iter().position(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(TEXT))?;
    let at = elf.header.e_shoff as usize + index * HEADER + ADDRESS;
    file.get_mut(at..at + 8)?.copy_from_slice(&address.to_le_bytes());
    Some(())
}

/// One unit with one subprogram and the line program.
fn dwarf(
    name: &str,
    address: u64,
    len: u64,
    lines: &[(u64, Line)],
) -> Result<Sections<EndianVec<LittleEndian>>, Error> {
    // Debuggers of every age read version 4.
    let encoding = Encoding { format: Format::Dwarf32, version: 4, address_size: 8 };
    let string = |text: &str| LineString::String(text.replace('\0', "?").into_bytes());
    let mut program =
        LineProgram::new(encoding, LineEncoding::default(), string("/"), None, string(&lines[0].1.0), None);
    let directory = program.default_directory();
    let mut files = HashMap::new();
    program.begin_sequence(Some(Address::Constant(address)));
    for (offset, (path, number)) in lines.iter().filter(|(offset, _)| *offset < len) {
        let file =
            *files.entry(path.as_str()).or_insert_with(|| program.add_file(string(path), directory, None));
        let row = program.row();
        (row.address_offset, row.file, row.line) = (*offset, file, *number);
        program.generate_row();
    }
    program.end_sequence(len);
    let mut unit = DwarfUnit::new(encoding);
    unit.unit.line_program = program;
    let root = unit.unit.root();
    let function = unit.unit.add(root, gimli::DW_TAG_subprogram);
    for entry in [root, function] {
        let entry = unit.unit.get_mut(entry);
        entry.set(gimli::DW_AT_name, AttributeValue::String(name.as_bytes().to_vec()));
        entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(address)));
        entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(len));
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    unit.write(&mut sections)?;
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_where_the_code_is_and_from_which_lines() {
        let lines = [(0, ("/src/a.c".to_owned(), 7)), (2, ("/src/b.c".to_owned(), 9))];
        let bytes = file("trace 5", 0x1234_5000, &[0x90; 4], &lines).unwrap();
        let elf = goblin::elf::Elf::parse(&bytes).unwrap();
        let text =
            elf.section_headers.iter().find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(".text")).unwrap();
        assert_eq!((text.sh_addr, text.sh_size), (0x1234_5000, 4));
        let symbol = elf.syms.iter().find(|s| s.is_function()).unwrap();
        assert_eq!((elf.strtab.get_at(symbol.st_name), symbol.st_size), (Some("trace 5"), 4));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("symbols");
        std::fs::write(&path, &bytes).unwrap();
        let loader = addr2line::Loader::new(&path).unwrap();
        let at = |address| {
            let location = loader.find_location(address).unwrap().unwrap();
            (location.file.unwrap().to_owned(), location.line.unwrap())
        };
        assert_eq!(at(0x1234_5001), ("/src/a.c".to_owned(), 7));
        assert_eq!(at(0x1234_5003), ("/src/b.c".to_owned(), 9));
    }
}
