//! The command `-b`: list bytecode, or save it as a dump, as C source or as an object file.
//!
//! Nothing runs here: the input is compiled (or read, if it is a dump and passes the verifier) and written. Usage text and messages
//! are those of the reference implementation.

use std::fs;
use std::io::{self, Read, Write};

use crate::compile::code::Chunk;
use crate::compile::{DUMP_SIGNATURE, compile, dump, list, verify};

/// Prefix of the symbol that `require` looks for in the program.
const PREFIX: &str = "luaJIT_BC_";

const USAGE: &str = "\
Save LuaJIT bytecode: luajit -b[options] input output
  -l        Only list bytecode.
  -s        Strip debug info (default).
  -g        Keep debug info.
  -W        Generate 32 bit (non-GC64) bytecode.
  -X        Generate 64 bit (GC64) bytecode.
  -d        Generate bytecode in deterministic manner.
  -n name   Set module name (default: auto-detect from input name).
  -t type   Set output file type (default: auto-detect from output name).
  -a arch   Override architecture for object files (default: native).
  -o os     Override OS for object files (default: native).
  -F name   Override filename (default: input filename).
  -e chunk  Use chunk string as input.
  --        Stop handling options.
  -         Use stdin as input and/or stdout as output.

File types: c cc h obj o raw (default)
";

/// Kinds of output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileType {
    Raw,
    Source,
    Header,
    Object,
}

/// What an ELF header says about a machine: name, 64 bits, big endian, number, flags.
const MACHINES: [(&str, bool, bool, u16, u32); 12] = [
    ("x86", false, false, 3, 0),
    ("x64", true, false, 62, 0),
    ("arm", false, false, 40, 0),
    ("arm64", true, false, 183, 0),
    ("arm64be", true, true, 183, 0),
    ("ppc", false, true, 20, 0),
    ("mips", false, true, 8, 0x5000_1006),
    ("mipsel", false, false, 8, 0x5000_1006),
    ("mips64", true, true, 8, 0x8000_0007),
    ("mips64el", true, false, 8, 0x8000_0007),
    ("mips64r6", true, true, 8, 0xa000_0407),
    ("mips64r6el", true, false, 8, 0xa000_0407),
];

/// Systems with ELF files and their identification byte.
const SYSTEMS: [(&str, u8); 8] = [
    ("linux", 0),
    ("windows", 0xff),
    ("osx", 0xff),
    ("freebsd", 9),
    ("netbsd", 2),
    ("openbsd", 12),
    ("dragonfly", 0),
    ("solaris", 6),
];

struct Options {
    list: bool,
    strip: bool,
    source_argument: bool,
    module: Option<String>,
    file_type: Option<FileType>,
    machine: usize,
    system: usize,
    file_name: Option<Vec<u8>>,
}

/// An end with a message, or with the usage text.
enum Failure {
    Usage,
    Message(Vec<u8>),
}

type Result<T> = std::result::Result<T, Failure>;

fn fail<T>(message: impl Into<Vec<u8>>) -> Result<T> {
    Err(Failure::Message(message.into()))
}

/// Runs the command. `arguments` are those behind `-b`, with what was glued to it (`-bl` gives `-l`) first.
/// Returns the exit status.
pub fn run(program: &str, arguments: &[Vec<u8>]) -> u8 {
    match command(arguments) {
        Ok(()) => 0,
        Err(Failure::Usage) => {
            eprint!("{USAGE}");
            1
        }
        Err(Failure::Message(message)) => {
            // A closed error stream is nobody's concern.
            let text = [program.as_bytes(), b": ", &message, b"\n"].concat();
            io::stderr().write_all(&text).ok();
            1
        }
    }
}

fn command(arguments: &[Vec<u8>]) -> Result<()> {
    let mut options = Options {
        list: false,
        strip: true,
        source_argument: false,
        module: None,
        file_type: None,
        machine: usize::from(cfg!(target_arch = "x86_64")) + 3 * usize::from(cfg!(target_arch = "aarch64")),
        system: 0,
        file_name: None,
    };
    let mut rest: Vec<&[u8]> = Vec::new();
    let mut arguments = arguments.iter().map(Vec::as_slice).peekable();
    while let Some(argument) = arguments.next() {
        if argument.first() != Some(&b'-') || argument == b"-" {
            rest.push(argument);
            continue;
        }
        if argument == b"--" {
            rest.extend(arguments);
            break;
        }
        for (i, &letter) in argument.iter().enumerate().skip(1) {
            match letter {
                b'l' => options.list = true,
                b's' => options.strip = true,
                b'g' => options.strip = false,
                b'X' | b'd' => {}
                b'W' => return fail("32 bit bytecode is not supported"),
                _ => {
                    if arguments.peek().is_none() || i + 1 != argument.len() {
                        return Err(Failure::Usage);
                    }
                    if letter == b'e' {
                        if !rest.is_empty() {
                            return Err(Failure::Usage);
                        }
                        options.source_argument = true;
                        continue;
                    }
                    let value = arguments.next().unwrap_or_default();
                    options.set(letter, value)?;
                }
            }
        }
    }
    if options.list {
        if rest.is_empty() || rest.len() > 2 {
            return Err(Failure::Usage);
        }
        let chunk = options.read(rest[0])?;
        let mut out = Vec::new();
        list::list(&chunk, number, &mut out).map_err(|e| Failure::Message(e.to_string().into_bytes()))?;
        return save(rest.get(1).copied().unwrap_or(b"-"), &out);
    }
    let &[input, output] = rest.as_slice() else { return Err(Failure::Usage) };
    let chunk = options.read(input)?;
    let bytes = dump::write(&chunk, options.strip);
    let file_type = options.file_type.unwrap_or_else(|| {
        let name = String::from_utf8_lossy(output).to_ascii_lowercase();
        name.rsplit_once('.').and_then(|(_, extension)| file_type(extension)).unwrap_or(FileType::Raw)
    });
    if file_type == FileType::Raw {
        return save(output, &bytes);
    }
    let module = match options.module.take() {
        Some(module) => module,
        None => module_name(if options.source_argument { b"" } else { input })?,
    };
    match file_type {
        FileType::Object => save(output, &options.object(&module, &bytes)?),
        kind => save(output, &source(&module, kind == FileType::Header, &bytes)),
    }
}

fn file_type(name: &str) -> Option<FileType> {
    Some(match name {
        "raw" => FileType::Raw,
        "c" | "cc" => FileType::Source,
        "h" => FileType::Header,
        "o" | "obj" => FileType::Object,
        _ => return None,
    })
}

fn number(n: f64) -> String {
    let mut out = Vec::new();
    crate::number::format(n, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The module that a file name stands for, as a part of a C name.
fn module_name(input: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(input);
    let tail = text.rsplit(['/', '\\']).next().unwrap_or(&text);
    let head = tail.rsplit_once('.').map_or(tail, |(head, _)| head);
    let name: String = head.chars().take_while(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).collect();
    if name.is_empty() {
        return fail("cannot derive module name, use -n name");
    }
    Ok(name.replace(['.', '-'], "_"))
}

fn save(output: &[u8], bytes: &[u8]) -> Result<()> {
    let name = String::from_utf8_lossy(output);
    let result = if output == b"-" {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    } else {
        use std::os::unix::ffi::OsStrExt;
        fs::write(std::ffi::OsStr::from_bytes(output), bytes)
    };
    result.or_else(|e| fail(format!("cannot write {name}: {}", reason(&e))))
}

/// The system's words for an error, without Rust's addition.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// A C array of the bytes.
fn source(module: &str, header: bool, bytes: &[u8]) -> Vec<u8> {
    let mut out = if header {
        format!(
            "#define {PREFIX}{module}_SIZE {}\nstatic const unsigned char {PREFIX}{module}[] = {{\n",
            bytes.len()
        )
    } else {
        format!(
            "#ifdef __cplusplus\nextern \"C\"\n#endif\n#ifdef _WIN32\n__declspec(dllexport)\n\
             #elif (defined(__ELF__) || defined(__MACH__) || defined(__psp2__)) && \
             !((defined(__sun__) && defined(__svr4__)) || defined(__CELLOS_LV2__))\n\
             __attribute__((visibility(\"default\")))\n#endif\nconst unsigned char {PREFIX}{module}[] = {{\n"
        )
    };
    let mut line = 0;
    let mut first = true;
    for byte in bytes {
        let text = byte.to_string();
        line += text.len() + 1;
        if line > 78 {
            out.push_str(",\n");
            line = text.len() + 1;
        } else if !first {
            out.push(',');
        }
        first = false;
        out.push_str(&text);
    }
    out.push_str("\n};\n");
    out.into_bytes()
}

impl Options {
    fn set(&mut self, letter: u8, value: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(value).into_owned();
        let lower = text.to_ascii_lowercase();
        match letter {
            b'n' => {
                if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
                    return fail("bad module name");
                }
                self.module = Some(text.replace(['.', '-'], "_"));
            }
            b't' => match file_type(&lower) {
                Some(known) => self.file_type = Some(known),
                None => return fail("unknown file type"),
            },
            b'a' => match MACHINES.iter().position(|machine| machine.0 == lower) {
                Some(known) => self.machine = known,
                None => return fail("unknown architecture"),
            },
            b'o' => match SYSTEMS.iter().position(|system| system.0 == lower) {
                Some(known) => self.system = known,
                None => return fail("unknown OS name"),
            },
            b'F' => self.file_name = Some([b"@", value].concat()),
            _ => return Err(Failure::Usage),
        }
        Ok(())
    }

    /// The input as code.
    fn read(&self, input: &[u8]) -> Result<Chunk> {
        use std::os::unix::ffi::OsStrExt;
        let mut bytes = Vec::new();
        let name;
        if self.source_argument {
            bytes.extend_from_slice(input);
            name = input.to_vec();
        } else if input == b"-" {
            name = self.file_name.clone().unwrap_or_else(|| b"=stdin".to_vec());
            if let Err(e) = io::stdin().read_to_end(&mut bytes) {
                return fail(format!("cannot read stdin: {}", reason(&e)));
            }
        } else {
            name = self.file_name.clone().unwrap_or_else(|| [b"@", input].concat());
            let shown = String::from_utf8_lossy(input);
            let file = fs::File::open(std::ffi::OsStr::from_bytes(input));
            let mut file = file.or_else(|e| fail(format!("cannot open {shown}: {}", reason(&e))))?;
            if let Err(e) = file.read_to_end(&mut bytes) {
                return fail(format!("cannot read {shown}: {}", reason(&e)));
            }
        }
        if bytes.first() == Some(&DUMP_SIGNATURE) {
            let chunk = dump::read(&bytes, &name).and_then(|chunk| verify::verify(&chunk).map(|()| chunk));
            return chunk.or_else(|e| fail([&name[1..], format!(": {e}").as_bytes()].concat()));
        }
        compile(&bytes, &name).or_else(|e| fail(e.message()))
    }

    /// An object file with the bytes as a read-only symbol.
    fn object(&self, module: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let (_, wide, big, machine, flags) = MACHINES[self.machine];
        let (system, abi) = SYSTEMS[self.system];
        if abi == 0xff {
            return fail(format!("no support for object files of {system}"));
        }
        let symbol = format!("{PREFIX}{module}");
        let mut elf = Elf { out: Vec::new(), wide, big };
        // Layout: header, section headers, symbols, names, data.
        let (header, section, entry) = if wide { (64, 64, 24) } else { (52, 40, 16) };
        let symbols = header + 6 * section;
        let names_at = symbols + 2 * entry;
        let section_names = b"\0.symtab\0.shstrtab\0.strtab\0.rodata\0.note.GNU-stack\0";
        let strings_at = names_at + section_names.len() as u64;
        let data_at = strings_at + symbol.len() as u64 + 2;
        elf.out.extend_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big), 1, abi]);
        elf.out.extend_from_slice(&[0; 8]);
        elf.half(1);
        elf.half(machine);
        elf.word(1);
        elf.long(0);
        elf.long(0);
        elf.long(header);
        elf.word(flags);
        for value in [header as u16, 0, 0, section as u16, 6, 2] {
            elf.half(value);
        }
        let name = |wanted: &[u8]| {
            section_names.windows(wanted.len()).position(|w| w == wanted).unwrap_or_default() as u32
        };
        elf.section([0; 10]);
        let length = bytes.len() as u64;
        let entry_size = entry;
        elf.section([name(b".symtab\0").into(), 2, 0, 0, symbols, 2 * entry, 3, 1, 8, entry_size]);
        elf.section([name(b".shstrtab").into(), 3, 0, 0, names_at, section_names.len() as u64, 0, 0, 1, 0]);
        elf.section([name(b".strtab").into(), 3, 0, 0, strings_at, symbol.len() as u64 + 2, 0, 0, 1, 0]);
        elf.section([name(b".rodata").into(), 1, 2, 0, data_at, length, 0, 0, 1, 0]);
        elf.section([name(b".note").into(), 1, 0, 0, data_at + length, 0, 0, 0, 1, 0]);
        elf.symbol(0, 0, 0, 0);
        elf.symbol(1, length, 17, 4);
        elf.out.extend_from_slice(section_names);
        elf.out.push(0);
        elf.out.extend_from_slice(symbol.as_bytes());
        elf.out.push(0);
        elf.out.extend_from_slice(bytes);
        Ok(elf.out)
    }
}

/// Fields of an ELF file in the byte order and width of the machine.
struct Elf {
    out: Vec<u8>,
    wide: bool,
    big: bool,
}

impl Elf {
    fn half(&mut self, value: u16) {
        self.out.extend_from_slice(&if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn word(&mut self, value: u32) {
        self.out.extend_from_slice(&if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn long(&mut self, value: u64) {
        if self.wide {
            self.out.extend_from_slice(&if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
        } else {
            self.word(value as u32);
        }
    }

    /// name, type, flags, address, offset, size, link, info, alignment, entry size
    fn section(&mut self, fields: [u64; 10]) {
        for (i, field) in fields.into_iter().enumerate() {
            if matches!(i, 0 | 1 | 6 | 7) {
                self.word(field as u32);
            } else {
                self.long(field);
            }
        }
    }

    fn symbol(&mut self, name: u32, size: u64, info: u8, section: u16) {
        self.word(name);
        if !self.wide {
            self.word(0);
            self.word(size as u32);
        }
        self.out.extend_from_slice(&[info, 0]);
        self.half(section);
        if self.wide {
            self.long(0);
            self.long(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names() {
        assert_eq!(module_name(b"dir/my.mod-x.lua").ok().as_deref(), Some("my_mod_x"));
        assert!(module_name(b"").is_err());
    }

    #[test]
    fn c_source() {
        let text = String::from_utf8(source("m", true, &[200; 40])).unwrap_or_default();
        assert!(text.starts_with("#define luaJIT_BC_m_SIZE 40\n"));
        assert!(text.lines().all(|line| line.len() <= 78));
        assert_eq!(text.matches("200").count(), 40);
    }
}
