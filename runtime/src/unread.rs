//! Are the status flags overwritten before anyone reads them? Looked up in the code at the place where a trace leaves, so that the exit need
//! not put them into place: compilers hardly ever let flags live from one line of code to the next.
//!
//! ```text
//! 401180 mov eax, [rdi]        does not touch them
//! 401182 test eax, eax         writes all six: nobody can see those from before
//! ```
//!
//! The search follows direct jumps and calls, for a few instructions. It takes only instructions for writers whose effect on all six flags is
//! certain (a shift by zero leaves them as they were), and gives up at whatever reads one of them or leaves for an address unknown here.
//! While faults are exact it gives up at accesses to memory as well: a handler would see the flags.
//!
//! The answer rests on the code that was looked at, so only code on pages that the guest cannot write is looked at, and the trace names
//! it among its sources ([`Unread::looked`]): when that code goes away, so does the trace.

use fragcache::GuestPc;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, RflagsBits};
use rustc_hash::FxHashMap;

/// The status flags.
const ALL: u32 =
    RflagsBits::CF | RflagsBits::PF | RflagsBits::AF | RflagsBits::ZF | RflagsBits::SF | RflagsBits::OF;
/// Instructions looked at, at most.
const MOST: usize = 12;
/// Bytes read at a time.
const BYTES: usize = 48;

/// Reads guest code that cannot change without notice: how many bytes there are at the address.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> usize + 'a;

/// The search, with what it found for one trace.
#[derive(Debug, Default)]
pub struct Unread {
    known: FxHashMap<u64, bool>,
    /// Places whose code was looked at: one byte for each page and stretch.
    pub looked: Vec<(GuestPc, u32)>,
}

impl Unread {
    /// A new trace begins.
    pub fn clear(&mut self) {
        self.known.clear();
        self.looked.clear();
    }

    /// Nobody reads the flags at `pc` before all of them are written. `exact`: faults show them.
    pub fn flags(&mut self, pc: u64, exact: bool, read: &mut Read<'_>) -> bool {
        if let Some(known) = self.known.get(&pc) {
            return *known;
        }
        let before = self.looked.len();
        let unread = self.search(pc, exact, read);
        if !unread {
            self.looked.truncate(before);
        }
        self.known.insert(pc, unread);
        unread
    }

    fn search(&mut self, mut pc: u64, exact: bool, read: &mut Read<'_>) -> bool {
        let mut buffer = [0; BYTES];
        let mut left = MOST;
        'stretch: loop {
            let count = read(pc, &mut buffer);
            let mut decoder = Decoder::with_ip(64, &buffer[..count], pc, DecoderOptions::NONE);
            self.looked.push((GuestPc(pc), 1));
            while left > 0 && decoder.can_decode() {
                left -= 1;
                let i = decoder.decode();
                if i.is_invalid() || i.rflags_read() & ALL != 0 || exact && accesses_memory(&i) {
                    return false;
                }
                let last = i.next_ip() - 1;
                if last >> 12 != pc >> 12 && self.looked.last().is_none_or(|l| l.0.0 >> 12 != last >> 12) {
                    self.looked.push((GuestPc(last), 1));
                }
                if writes_all(&i) {
                    return true;
                }
                match i.flow_control() {
                    FlowControl::Next => {}
                    FlowControl::UnconditionalBranch | FlowControl::Call
                        if i.is_jmp_short_or_near() || i.is_call_near() =>
                    {
                        // A call stores its return address, which may fault.
                        if exact && i.is_call_near() {
                            return false;
                        }
                        pc = i.near_branch_target();
                        continue 'stretch;
                    }
                    _ => return false,
                }
            }
            return false;
        }
    }
}

fn accesses_memory(i: &Instruction) -> bool {
    let memory = (0..i.op_count()).any(|k| {
        matches!(
            i.op_kind(k),
            OpKind::Memory
                | OpKind::MemorySegSI
                | OpKind::MemorySegESI
                | OpKind::MemorySegRSI
                | OpKind::MemorySegDI
                | OpKind::MemorySegEDI
                | OpKind::MemorySegRDI
                | OpKind::MemoryESDI
                | OpKind::MemoryESEDI
                | OpKind::MemoryESRDI
        )
    });
    memory && i.mnemonic() != Mnemonic::Lea
        || i.stack_pointer_increment() != 0
        || i.mnemonic() == Mnemonic::Leave
}

fn writes_all(i: &Instruction) -> bool {
    matches!(
        i.mnemonic(),
        Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::Cmp
            | Mnemonic::Test
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Neg
            | Mnemonic::Comisd
            | Mnemonic::Comiss
            | Mnemonic::Ucomisd
            | Mnemonic::Ucomiss
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code at 0x1000 (and zeros elsewhere, which access memory by `add [rax], al`).
    fn unread(code: &[u8], exact: bool) -> bool {
        let mut read = |pc: u64, into: &mut [u8]| {
            let Some(rest) = pc.checked_sub(0x1000).and_then(|at| code.get(at as usize..)) else { return 0 };
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            n
        };
        Unread::default().flags(0x1000, exact, &mut read)
    }

    #[test]
    fn writers_end_the_search() {
        assert!(unread(&[0x85, 0xc0], true)); // test eax, eax
        assert!(unread(&[0x89, 0xc8, 0x31, 0xc0], true)); // mov eax, ecx; xor eax, eax
        assert!(unread(&[0x8b, 0x07, 0x39, 0xc8], false)); // mov eax, [rdi]; cmp eax, ecx
        assert!(unread(&[0x48, 0x83, 0xec, 0x08], false)); // sub rsp, 8
    }

    #[test]
    fn readers_and_the_unknown_end_it_too() {
        assert!(!unread(&[0x74, 0x02, 0x85, 0xc0], false)); // je; test
        assert!(!unread(&[0x11, 0xc0], false)); // adc eax, eax
        assert!(!unread(&[0x0f, 0x94, 0xc0], false)); // sete al
        assert!(!unread(&[0x9c], false)); // pushf
        assert!(!unread(&[0xc3, 0x85, 0xc0], false)); // ret
        assert!(!unread(&[0x0f, 0x05, 0x85, 0xc0], false)); // syscall keeps them in r11
        assert!(!unread(&[0x90], false)); // and then nothing
    }

    #[test]
    fn what_writes_only_some_or_only_sometimes_is_no_writer() {
        assert!(!unread(&[0xd3, 0xe0, 0x90, 0xc3], false)); // shl eax, cl; nop; ret
        assert!(!unread(&[0xff, 0xc0, 0x72, 0x00], false)); // inc eax; jb
        assert!(unread(&[0xff, 0xc0, 0x85, 0xc0], false)); // inc eax; test
        assert!(!unread(&[0x0f, 0xaf, 0xc1, 0xc3], false)); // imul eax, ecx; ret
    }

    #[test]
    fn faults_show_flags_when_they_are_exact() {
        assert!(!unread(&[0x8b, 0x07, 0x39, 0xc8], true)); // mov eax, [rdi]; cmp
        assert!(!unread(&[0x39, 0x07], true)); // cmp [rdi], eax
        assert!(!unread(&[0x53, 0x39, 0xc8], true)); // push rbx; cmp
        assert!(unread(&[0x8d, 0x47, 0x01, 0x39, 0xc8], true)); // lea eax, [rdi + 1]; cmp
    }

    #[test]
    fn jumps_and_calls_are_followed() {
        assert!(unread(&[0xeb, 0x01, 0xc3, 0x85, 0xc0], true)); // jmp over the ret; test
        assert!(unread(&[0xe8, 1, 0, 0, 0, 0xc3, 0x85, 0xc0], false)); // call; ret; test
        assert!(!unread(&[0xe8, 1, 0, 0, 0, 0xc3, 0x85, 0xc0], true)); // the push may fault
        assert!(!unread(&[0xeb, 0xfe], false)); // a loop without end
    }

    #[test]
    fn what_was_looked_at_is_known() {
        let code = [0xeb, 0x01, 0xc3, 0x85, 0xc0];
        let mut read = |pc: u64, into: &mut [u8]| {
            let rest = &code[(pc - 0x1000) as usize..];
            into[..rest.len()].copy_from_slice(rest);
            rest.len()
        };
        let mut u = Unread::default();
        assert!(u.flags(0x1000, true, &mut read) && u.flags(0x1000, true, &mut |_, _| 0));
        assert_eq!(u.looked, [(GuestPc(0x1000), 1), (GuestPc(0x1003), 1)]);
    }
}
