//! The built-in programs: what each is, where its source is, how much work it does.
//!
//! The sources are compiled into this crate, so that the `speedup` binary works away from
//! its source tree. Adding a program is one line in [`PROGRAMS`] and one in `FILES`, plus
//! the file; a test compares both with the directories.

use serde::Serialize;

/// The kinds of work, each with a geometric mean of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Calls, returns, indirect jumps: what translators lose most on.
    Indirect,
    /// Small integer and mixed programs.
    Small,
    /// Loop nests over arrays.
    Kernels,
    /// Real libraries with drivers of ours.
    Real,
    /// Whole processes, mostly cold code; measured as they are.
    Startup,
    /// Lua programs, under interpreters and compilers of Lua.
    #[value(skip)]
    Lua,
    /// A program of the user's own.
    #[value(skip)]
    Own,
}

impl Class {
    /// The name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Class::Indirect => "indirect",
            Class::Small => "small",
            Class::Kernels => "kernels",
            Class::Real => "real",
            Class::Startup => "startup",
            Class::Lua => "lua",
            Class::Own => "own",
        }
    }
}

/// A built-in program.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name in tables and for `--programs`.
    pub name: &'static str,
    /// The kind of work it does.
    pub class: Class,
    /// What it is made from.
    pub source: Source,
    /// Units of work for about half a second natively at -O2; 0 where there is no choice.
    pub units: u64,
}

/// What a program is made from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// One C file of ours.
    C(&'static str),
    /// One C++ file of ours.
    Cpp(&'static str),
    /// C sources of a crate with a driver of ours.
    Crate(&'static CrateSources),
    /// A command that needs no compiling by us.
    Command(Command),
}

/// The C sources that a crate carries.
#[derive(Debug)]
pub struct CrateSources {
    /// The crate's name, as in `guests/Cargo.toml`.
    pub package: &'static str,
    /// Our file with `main`.
    pub driver: &'static str,
    /// The script given to the program before the units of work, if any.
    pub script: Option<&'static str>,
    /// Folder of headers and sources inside the crate; a `*` matches within one name.
    pub folder: &'static str,
    /// Sources inside the folder; a `*` matches within one name.
    pub sources: &'static [&'static str],
    /// Names matched by `sources` that stay out.
    pub except: &'static [&'static str],
    /// Flags for the compiler, besides the level.
    pub flags: &'static [&'static str],
}

/// The commands of the start-up class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The smallest process.
    True,
    /// The Python interpreter doing nothing.
    PythonPass,
    /// The C compiler proper on a generated file.
    Cc1,
    /// A shell that starts a hundred processes.
    ShellLoop,
    /// A JavaScript engine with a compiler of its own.
    Node,
    /// A Java virtual machine with compilers of its own.
    Java,
}

const fn c(name: &'static str, class: Class, file: &'static str, units: u64) -> Program {
    Program { name, class, source: Source::C(file), units }
}

const fn cpp(name: &'static str, class: Class, file: &'static str, units: u64) -> Program {
    Program { name, class, source: Source::Cpp(file), units }
}

const fn library(name: &'static str, sources: &'static CrateSources, units: u64) -> Program {
    Program { name, class: Class::Real, source: Source::Crate(sources), units }
}

const fn startup(name: &'static str, command: Command) -> Program {
    Program { name, class: Class::Startup, source: Source::Command(command), units: 0 }
}

/// All built-in programs, in the order of the tables.
pub const PROGRAMS: &[Program] = &[
    c("fib", Class::Indirect, "programs/fib.c", 2000),
    c("mutual", Class::Indirect, "programs/mutual.c", 2000),
    c("interp_goto", Class::Indirect, "programs/interp_goto.c", 160),
    c("interp_switch", Class::Indirect, "programs/interp_switch.c", 140),
    cpp("virt", Class::Indirect, "programs/virt.cpp", 240),
    cpp("raytrace", Class::Indirect, "programs/raytrace.cpp", 800),
    c("qsort_cb", Class::Indirect, "programs/qsort_cb.c", 220),
    c("callbacks", Class::Indirect, "programs/callbacks.c", 640),
    c("longjmp", Class::Indirect, "programs/longjmp.c", 340),
    c("automaton", Class::Small, "programs/automaton.c", 200),
    c("avx_mix", Class::Small, "programs/avx_mix.c", 240),
    c("bigint", Class::Small, "programs/bigint.c", 60),
    c("btree", Class::Small, "programs/btree.c", 90),
    c("crc32", Class::Small, "programs/crc32.c", 100),
    c("filter_sides", Class::Small, "programs/filter_sides.c", 55000),
    c("hashtable", Class::Small, "programs/hashtable.c", 160),
    c("jit_churn", Class::Small, "programs/jit_churn.c", 300),
    c("json", Class::Small, "programs/json.c", 280),
    c("lexer", Class::Small, "programs/lexer.c", 180),
    c("libc_small", Class::Small, "programs/libc_small.c", 160),
    c("lz", Class::Small, "programs/lz.c", 220),
    c("malloc_churn", Class::Small, "programs/malloc_churn.c", 200),
    c("nqueens", Class::Small, "programs/nqueens.c", 1800),
    c("regex", Class::Small, "programs/regex.c", 240),
    c("sha256", Class::Small, "programs/sha256.c", 65),
    c("sorts", Class::Small, "programs/sorts.c", 280),
    cpp("strings", Class::Small, "programs/strings.cpp", 280),
    c("strsearch", Class::Small, "programs/strsearch.c", 100),
    c("blur", Class::Kernels, "programs/blur.c", 65),
    c("dot", Class::Kernels, "programs/dot.c", 200),
    c("dp_lcs", Class::Kernels, "programs/dp_lcs.c", 85),
    c("gemm", Class::Kernels, "programs/gemm.c", 220),
    c("heat3d", Class::Kernels, "programs/heat3d.c", 70),
    c("jacobi1d", Class::Kernels, "programs/jacobi1d.c", 200),
    c("jacobi2d", Class::Kernels, "programs/jacobi2d.c", 100),
    c("lu", Class::Kernels, "programs/lu.c", 160),
    c("mandel", Class::Kernels, "programs/mandel.c", 480),
    c("matmul_int", Class::Kernels, "programs/matmul_int.c", 140),
    c("mm_reduce", Class::Kernels, "programs/mm_reduce.c", 300),
    c("mvt", Class::Kernels, "programs/mvt.c", 200),
    c("prefix", Class::Kernels, "programs/prefix.c", 140),
    c("seidel2d", Class::Kernels, "programs/seidel2d.c", 50),
    library("sqlite", &SQLITE, 48),
    library("bzip2", &BZIP2, 95),
    library("zlib", &ZLIB, 30),
    library("zstd", &ZSTD, 90),
    library("lua", &LUA, 200),
    library("quickjs", &QUICKJS, 200),
    startup("true", Command::True),
    startup("python-pass", Command::PythonPass),
    startup("cc1", Command::Cc1),
    startup("shell-loop", Command::ShellLoop),
    startup("node", Command::Node),
    startup("java", Command::Java),
];

static SQLITE: CrateSources = CrateSources {
    package: "libsqlite3-sys",
    driver: "guests/sqlite.c",
    script: None,
    folder: "sqlite3",
    sources: &["sqlite3.c"],
    except: &[],
    flags: &["-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION"],
};

static BZIP2: CrateSources = CrateSources {
    package: "bzip2-sys",
    driver: "guests/bzip2.c",
    script: None,
    folder: "bzip2-*",
    sources: &[
        "blocksort.c",
        "huffman.c",
        "crctable.c",
        "randtable.c",
        "compress.c",
        "decompress.c",
        "bzlib.c",
    ],
    except: &[],
    flags: &["-D_FILE_OFFSET_BITS=64", "-DBZ_NO_STDIO"],
};

static ZLIB: CrateSources = CrateSources {
    package: "libz-sys",
    driver: "guests/zlib.c",
    script: None,
    folder: "src/zlib",
    sources: &["*.c"],
    except: &["gzclose.c", "gzlib.c", "gzread.c", "gzwrite.c"],
    flags: &["-DHAVE_UNISTD_H"],
};

static ZSTD: CrateSources = CrateSources {
    package: "zstd-sys",
    driver: "guests/zstd.c",
    script: None,
    folder: "zstd/lib",
    sources: &["common/*.c", "compress/*.c", "decompress/*.c"],
    except: &["xxhash.c"],
    flags: &["-DZSTD_DISABLE_ASM", "-DXXH_PRIVATE_API=", "-DZSTD_LEGACY_SUPPORT=0"],
};

static LUA: CrateSources = CrateSources {
    package: "lua-src",
    driver: "guests/lua.c",
    script: Some("guests/lua.lua"),
    folder: "lua-5.4*",
    sources: &["*.c"],
    except: &[],
    flags: &["-DLUA_USE_LINUX", "-DLUA_COMPAT_5_3"],
};

static QUICKJS: CrateSources = CrateSources {
    package: "rquickjs-sys",
    driver: "guests/quickjs.c",
    script: Some("guests/quickjs.js"),
    folder: "quickjs",
    sources: &["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"],
    except: &[],
    flags: &["-D_GNU_SOURCE", "-DNDEBUG"],
};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../", $path)))),*]
    };
}

/// Every file that a build needs: its path below the work folder, and its text.
pub const FILES: &[(&str, &str)] = files![
    "programs/bench.h",
    "programs/vm.h",
    "programs/automaton.c",
    "programs/avx_mix.c",
    "programs/bigint.c",
    "programs/blur.c",
    "programs/btree.c",
    "programs/callbacks.c",
    "programs/crc32.c",
    "programs/dot.c",
    "programs/dp_lcs.c",
    "programs/fib.c",
    "programs/filter_sides.c",
    "programs/gemm.c",
    "programs/hashtable.c",
    "programs/heat3d.c",
    "programs/interp_goto.c",
    "programs/interp_switch.c",
    "programs/jacobi1d.c",
    "programs/jacobi2d.c",
    "programs/jit_churn.c",
    "programs/json.c",
    "programs/lexer.c",
    "programs/libc_small.c",
    "programs/longjmp.c",
    "programs/lu.c",
    "programs/lz.c",
    "programs/malloc_churn.c",
    "programs/mandel.c",
    "programs/matmul_int.c",
    "programs/mm_reduce.c",
    "programs/mutual.c",
    "programs/mvt.c",
    "programs/nqueens.c",
    "programs/prefix.c",
    "programs/qsort_cb.c",
    "programs/raytrace.cpp",
    "programs/regex.c",
    "programs/seidel2d.c",
    "programs/sha256.c",
    "programs/sorts.c",
    "programs/strings.cpp",
    "programs/strsearch.c",
    "programs/virt.cpp",
    "guests/Cargo.toml",
    "guests/Cargo.lock",
    "guests/src/lib.rs",
    "guests/data.h",
    "guests/bzip2.c",
    "guests/lua.c",
    "guests/lua.lua",
    "guests/quickjs.c",
    "guests/quickjs.js",
    "guests/sqlite.c",
    "guests/zlib.c",
    "guests/zstd.c",
    "startup/Bench.java",
    "startup/bench.js",
];

/// The Lua programs of `--lua`: their paths below the work folder, and their texts. Each takes its amount of work as an
/// argument and does about half a second's without.
pub const LUA_FILES: &[(&str, &str)] = files![
    "lua/ack.lua",
    "lua/binary_trees.lua",
    "lua/bits.lua",
    "lua/closures.lua",
    "lua/coroutines.lua",
    "lua/errors.lua",
    "lua/fannkuch.lua",
    "lua/fib.lua",
    "lua/hash.lua",
    "lua/heapsort.lua",
    "lua/json.lua",
    "lua/lexer.lua",
    "lua/life.lua",
    "lua/linked_list.lua",
    "lua/live_heap.lua",
    "lua/loops.lua",
    "lua/mandel.lua",
    "lua/matmul.lua",
    "lua/metamethods.lua",
    "lua/methods.lua",
    "lua/nbody.lua",
    "lua/permutations.lua",
    "lua/queens.lua",
    "lua/sieve.lua",
    "lua/small_tables.lua",
    "lua/sort_comparator.lua",
    "lua/spectral.lua",
    "lua/string_build.lua",
    "lua/string_bytes.lua",
    "lua/string_format.lua",
    "lua/string_scan.lua",
    "lua/tak.lua",
    "lua/upvalues.lua",
    "lua/varargs.lua",
];

/// The text of an embedded file.
pub fn file(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn on_disk(folder: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(root).unwrap().map(|e| e.unwrap());
        let files = entries.filter(|e| e.file_type().unwrap().is_file());
        files.map(|e| format!("{folder}/{}", e.file_name().into_string().unwrap())).collect()
    }

    #[test]
    fn every_lua_program_on_disk_is_embedded() {
        let embedded: BTreeSet<_> = LUA_FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded.len(), LUA_FILES.len(), "a file is listed twice");
        assert_eq!(embedded, on_disk("lua").into_iter().collect());
    }

    #[test]
    fn every_file_on_disk_is_embedded() {
        let embedded: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded.len(), FILES.len(), "a file is listed twice");
        let found: BTreeSet<_> =
            ["programs", "guests", "guests/src", "startup"].iter().flat_map(|f| on_disk(f)).collect();
        assert_eq!(embedded, found);
    }

    #[test]
    fn every_program_has_its_sources_and_work() {
        let names: BTreeSet<_> = PROGRAMS.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), PROGRAMS.len(), "a name is used twice");
        for program in PROGRAMS {
            let files = match program.source {
                Source::C(file) | Source::Cpp(file) => vec![file],
                Source::Crate(sources) => {
                    [Some(sources.driver), sources.script].into_iter().flatten().collect()
                }
                Source::Command(_) => vec![],
            };
            assert!(files.iter().all(|f| file(f).is_some()), "{}", program.name);
            assert_eq!(program.units == 0, program.class == Class::Startup, "{}", program.name);
        }
    }

    #[test]
    fn every_crate_is_in_the_manifest() {
        let manifest = file("guests/Cargo.toml").unwrap();
        for program in PROGRAMS {
            if let Source::Crate(sources) = program.source {
                assert!(manifest.contains(&format!("\n{} = ", sources.package)), "{}", sources.package);
            }
        }
    }
}
