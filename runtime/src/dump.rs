//! Fragments as a person or `perf` reads them: `--dump` and `--perf-map`.
//!
//! A dump shows for each live fragment the guest instructions it was made from, of an optimised trace the IR as it
//! was lifted and after the passes, its host code, and its exits with the state of their links. Guest bytes are read when the dump is made; those that
//! have gone since are shown as missing.

use crate::process::{Shared, process};
use crate::signal::read_guest;
use fragcache::{ExitId, ExitKind, Fragment, FragmentKind, GuestPc};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use std::fmt::Write;

/// All live fragments (`what` is "all"), or those made from the guest address that `what` names.
pub fn dump(what: &str) -> String {
    let digits = what.trim_start_matches("0x");
    let wanted = match (what, u64::from_str_radix(digits, 16)) {
        ("all", _) => None,
        (_, Ok(pc)) => Some(pc),
        (_, Err(_)) => return format!("dynrun: --dump {what}: neither \"all\" nor a hexadecimal address\n"),
    };
    let shared = process().lock();
    let mut out = String::new();
    for (id, f) in shared.cache.fragments() {
        let holds = |pc: u64| f.source().any(|(s, n)| (s.0..s.0 + u64::from(n)).contains(&pc));
        if f.live && wanted.is_none_or(holds) {
            fragment(&mut out, &shared, id.0, &f);
        }
    }
    if out.is_empty() {
        let _ = writeln!(out, "dynrun: --dump {what}: no such fragment");
    }
    out
}

fn kind_name(kind: FragmentKind) -> &'static str {
    match kind {
        FragmentKind::Block => "block",
        FragmentKind::Trace => "trace",
        FragmentKind::Private => "private",
    }
}

fn fragment(out: &mut String, shared: &Shared, id: u32, f: &Fragment<'_>) {
    let _ = writeln!(out, "{} f{id} for {:#x}", kind_name(f.kind), f.pc.0);
    let _ = writeln!(out, "  guest");
    for (start, len) in f.source() {
        guest_code(out, start, len);
    }
    let listings = shared.compiler.as_ref().and_then(|c| c.listings.as_deref()).unwrap_or_default();
    if let Some(l) = listings.iter().rev().find(|l| l.frag.0 == id && l.pc == f.pc) {
        out.push_str(&l.text);
    }
    host_code(out, f);
    let _ = writeln!(out, "  exits");
    for e in f.exits() {
        exit(out, shared, e);
    }
    out.push('\n');
}

/// The machine code of a live fragment. The caller holds the cache.
pub fn host_code(out: &mut String, f: &Fragment<'_>) {
    let _ = writeln!(out, "  host, {} bytes", f.len);
    // SAFETY: a live fragment's code is mapped and readable, and stays so while the cache is borrowed.
    let code = unsafe { std::slice::from_raw_parts(f.start.0 as *const u8, f.len as usize) };
    instructions(out, code, f.start.0 as u64);
}

fn guest_code(out: &mut String, start: GuestPc, len: u32) {
    let mut bytes = vec![0u8; len as usize];
    if read_guest(start.0, &mut bytes).is_err() {
        let _ = writeln!(out, "    {:#x}  ({len} bytes that are gone)", start.0);
        return;
    }
    instructions(out, &bytes, start.0);
}

fn instructions(out: &mut String, code: &[u8], at: u64) {
    let mut formatter = GasFormatter::new();
    let mut text = String::new();
    for i in Decoder::with_ip(64, code, at, DecoderOptions::NONE).iter() {
        text.clear();
        formatter.format(&i, &mut text);
        let _ = writeln!(out, "    {:#x}  {text}", i.ip());
    }
}

fn exit(out: &mut String, shared: &Shared, id: ExitId) {
    let e = shared.cache.exit(id);
    let to = match e.kind {
        ExitKind::Direct(pc) => format!("to {:#x}", pc.0),
        ExitKind::Decline(pc) => format!("declines {:#x}", pc.0),
        ExitKind::Loop { head, out } => format!("loop to +{head:#x}, out by +{out:#x}"),
        ExitKind::Indirect => "indirect".to_owned(),
        ExitKind::Service(pc, what) => format!("service {what}, then {:#x}", pc.0),
    };
    let link = match (e.linked, e.kind) {
        (true, ExitKind::Direct(pc)) => {
            shared.cache.lookup(pc).map_or_else(|| "linked".to_owned(), |f| format!("linked to f{}", f.0))
        }
        _ if e.parked => "parked".to_owned(),
        _ => "not linked".to_owned(),
    };
    let _ = writeln!(out, "    e{} by the field at {:#x}: {to}, {link}", id.0, e.field.0);
}

/// Lines for `perf`: start and size in hexadecimal, name.
pub fn perf_map() -> Vec<u8> {
    let shared = process().lock();
    let mut out = String::new();
    for (_, f) in shared.cache.fragments().filter(|(_, f)| f.live) {
        let _ = writeln!(out, "{:x} {:x} dynrun {} {:#x}", f.start.0, f.len, kind_name(f.kind), f.pc.0);
    }
    out.into_bytes()
}
