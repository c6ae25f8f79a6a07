//! `--gdb`: traces have names and source lines in a debugger, by GDB's JIT interface.
//!
//! The debugger sets a breakpoint in a function of ours by its name, and reads a list, also by its name, whenever that
//! is called (GDB manual, "JIT Compilation Interface"). Each entry of the list is a symbol file in memory, see
//! [`crate::view::symfile`]. Blocks are not told, there are too many.
//!
//! `gdb --args dynrun --gdb PROGRAM`; programs fault on purpose under dynrun, so say `handle SIGSEGV nostop noprint` if it
//! stops too often.

use crate::process::Shared;
use fragcache::{FragId, FragmentKind, GuestPc};
use std::collections::HashMap;
use std::ptr;
use std::sync::Mutex;

/// What the debugger is told.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
enum Action {
    None = 0,
    Register = 1,
    Unregister = 2,
}

/// An entry of the list, as the interface lays it out.
#[repr(C)]
#[derive(Debug)]
struct Entry {
    next: *mut Entry,
    prev: *mut Entry,
    file: *const u8,
    size: u64,
}

/// The head of the list, as the interface lays it out.
#[repr(C)]
#[derive(Debug)]
struct Descriptor {
    version: u32,
    action: Action,
    relevant: *mut Entry,
    first: *mut Entry,
}

/// Found by the debugger by this name.
#[unsafe(no_mangle)]
static mut __jit_debug_descriptor: Descriptor =
    Descriptor { version: 1, action: Action::None, relevant: ptr::null_mut(), first: ptr::null_mut() };

/// Where the debugger has its breakpoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn __jit_debug_register_code() {
    // SAFETY: nothing; so that calls of it are not removed.
    unsafe { std::arch::asm!("") }
}

/// A trace that the debugger knows.
struct Known {
    pc: GuestPc,
    entry: *mut Entry,
    bytes: Box<[u8]>,
}

/// All of them, and how many had been made and dropped when they were looked at last.
struct Told {
    known: HashMap<u32, Known>,
    seen: u64,
}

// SAFETY: entries belong to who holds the lock; the debugger looks while the process stands still.
unsafe impl Send for Told {}

static TOLD: Mutex<Option<Told>> = Mutex::new(None);

/// Tells the debugger of traces that were made, and of those that went away, since the last time.
pub fn sync(shared: &Shared) {
    let stats = &shared.cache.stats;
    let now = stats.traces + stats.invalidated + stats.revoked + stats.evicted + stats.evicted_units;
    let mut told = TOLD.lock().unwrap_or_else(|e| e.into_inner());
    let told = told.get_or_insert_with(|| Told { known: HashMap::new(), seen: 0 });
    if std::mem::replace(&mut told.seen, now) == now {
        return;
    }
    told.known.retain(|&id, known| {
        let f = shared.cache.frag(FragId(id));
        let stays = f.live && f.pc == known.pc;
        if !stays {
            unregister(known);
        }
        stays
    });
    let new = shared.cache.fragments().filter(|(_, f)| f.live && f.kind == FragmentKind::Trace);
    for (id, f) in new {
        if told.known.contains_key(&id.0) {
            continue;
        }
        match crate::view::symbols(id, &f) {
            Ok(bytes) => {
                told.known.insert(id.0, register(f.pc, bytes.into()));
            }
            Err(e) => crate::report::line(&format!("--gdb: {e}")),
        }
    }
}

fn register(pc: GuestPc, bytes: Box<[u8]>) -> Known {
    let descriptor = &raw mut __jit_debug_descriptor;
    // SAFETY: the lock of the caller makes this the only user of the list; entries live until they are taken out.
    unsafe {
        let first = (*descriptor).first;
        let entry = Box::into_raw(Box::new(Entry {
            next: first,
            prev: ptr::null_mut(),
            file: bytes.as_ptr(),
            size: bytes.len() as u64,
        }));
        if !first.is_null() {
            (*first).prev = entry;
        }
        ((*descriptor).first, (*descriptor).relevant) = (entry, entry);
        (*descriptor).action = Action::Register;
        __jit_debug_register_code();
        Known { pc, entry, bytes }
    }
}

fn unregister(known: &mut Known) {
    let descriptor = &raw mut __jit_debug_descriptor;
    // SAFETY: as above; the entry was made by `register` and is freed once, here.
    unsafe {
        let entry = known.entry;
        if (*entry).prev.is_null() {
            (*descriptor).first = (*entry).next;
        } else {
            (*(*entry).prev).next = (*entry).next;
        }
        if !(*entry).next.is_null() {
            (*(*entry).next).prev = (*entry).prev;
        }
        (*descriptor).relevant = entry;
        (*descriptor).action = Action::Unregister;
        __jit_debug_register_code();
        drop(Box::from_raw(entry));
    }
    known.bytes = Box::default();
}
