//! Random C programs made by csmith.
