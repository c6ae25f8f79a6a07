//! Nothing. This package exists for its dependencies: `speedup` asks cargo where they
//! were unpacked and compiles the C sources in them with drivers of its own.
