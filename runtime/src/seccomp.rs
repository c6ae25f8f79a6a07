//! Seccomp of the guest: its filters are interpreted here, before a call is performed.
//!
//! The kernel must not have them: it could not tell the guest's calls from the runtime's, and would
//! show the filters addresses in the code cache. So a filter is a list of classic BPF instructions
//! with the kernel's checks ([`Filter::new`]), and each guest call is judged by all filters of its
//! thread ([`Filters::judge`]); the strictest answer wins, as seccomp(2) says.
//!
//! What cannot be had this way: listeners (`SECCOMP_RET_USER_NOTIF`) answer as without a supervisor.
//!
//! Everything here is data; the calls that install filters are in `syscall/seccomp.rs`.

use std::sync::Arc;

/// Most instructions of one filter.
const MAX_LEN: usize = 4096;
/// Most instructions of all filters together, where each filter counts four more.
const MAX_TOTAL: usize = 32768;
/// Bytes of the kernel's `struct seccomp_data`.
const DATA_SIZE: u32 = 64;
/// Scratch words of the BPF machine.
const SCRATCH: usize = 16;

/// `AUDIT_ARCH_X86_64`
pub const ARCH_X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64`
pub const ARCH_AARCH64: u32 = 0xc000_00b7;
/// `AUDIT_ARCH_I386`
pub const ARCH_I386: u32 = 0x4000_0003;

/// A classic BPF instruction (the kernel's `struct sock_filter`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Distance of the jump when true.
    pub jt: u8,
    /// Distance of the jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Bytes of an [`Instruction`].
pub const INSTRUCTION_SIZE: usize = 8;

/// What a filter decides about: the kernel's `struct seccomp_data`.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// Number of the call.
    pub number: u32,
    /// One of the `ARCH_` constants.
    pub arch: u32,
    /// Address behind the instruction.
    pub pc: u64,
    /// Arguments.
    pub args: [u64; 6],
}

impl Data {
    fn words(&self) -> [u32; DATA_SIZE as usize / 4] {
        let mut w = [0; DATA_SIZE as usize / 4];
        w[0] = self.number;
        w[1] = self.arch;
        for (i, v) in [self.pc].iter().chain(&self.args).enumerate() {
            w[2 + 2 * i] = *v as u32;
            w[3 + 2 * i] = (*v >> 32) as u32;
        }
        w
    }
}

/// What is to happen with a call. The number is the filter's 16 bits of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The process dies by SIGSYS.
    KillProcess,
    /// The thread dies by SIGSYS.
    KillThread,
    /// SIGSYS is raised.
    Trap(u16),
    /// The call fails with this number.
    Errno(u16),
    /// Nobody who could be asked: the call fails with `ENOSYS`.
    NoTracer,
    /// It is made.
    Allow,
}

impl Verdict {
    fn of(value: u32) -> Verdict {
        let data = value as u16;
        match value & 0xffff_0000 {
            0x8000_0000 => Verdict::KillProcess,
            0x0003_0000 => Verdict::Trap(data),
            0x0005_0000 => Verdict::Errno(data.min(4095)),
            0x7fc0_0000 | 0x7ff0_0000 => Verdict::NoTracer,
            0x7ffc_0000 | 0x7fff_0000 => Verdict::Allow,
            0 => Verdict::KillThread,
            // Unknown ones kill the process.
            _ => Verdict::KillProcess,
        }
    }
}

/// A checked filter.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

impl Filter {
    /// Checks a filter as the kernel does; `None` is its `EINVAL`.
    pub fn new(code: Vec<Instruction>) -> Option<Filter> {
        if code.is_empty() || code.len() > MAX_LEN {
            return None;
        }
        let n = code.len();
        for (i, s) in code.iter().enumerate() {
            let fine = match s.code {
                // ld/ldx: word at an offset, length, immediate, scratch; st, stx
                0x20 => s.k % 4 == 0 && s.k < DATA_SIZE,
                0x80 | 0x81 | 0x00 | 0x01 => true,
                0x60 | 0x61 | 0x02 | 0x03 => (s.k as usize) < SCRATCH,
                // alu with k, with x; division by zero and shifts too far are refused
                0x04 | 0x14 | 0x24 | 0x44 | 0x54 | 0xa4 => true,
                0x34 => s.k != 0,
                0x64 | 0x74 => s.k < 32,
                0x0c | 0x1c | 0x2c | 0x3c | 0x4c | 0x5c | 0x6c | 0x7c | 0xac | 0x84 => true,
                // ja; jumps with two ways
                0x05 => (s.k as usize) < n - i - 1,
                0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
                    i + 1 + usize::from(s.jt) < n && i + 1 + usize::from(s.jf) < n
                }
                // ret; tax, txa
                0x06 | 0x16 | 0x07 | 0x87 => true,
                _ => false,
            };
            if !fine {
                return None;
            }
        }
        matches!(code[n - 1].code, 0x06 | 0x16).then_some(Filter(code))
    }

    /// The instructions.
    pub fn code(&self) -> &[Instruction] {
        &self.0
    }

    /// The filter's 32-bit answer. Jumps only go forward, so it ends.
    fn run(&self, data: &[u32; DATA_SIZE as usize / 4]) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut m = [0u32; SCRATCH];
        let mut pc = 0;
        while let Some(s) = self.0.get(pc) {
            pc += 1;
            let operand = if s.code & 8 != 0 { x } else { s.k };
            match s.code {
                0x20 => a = data[s.k as usize / 4],
                0x80 => a = DATA_SIZE,
                0x81 => x = DATA_SIZE,
                0x00 => a = s.k,
                0x01 => x = s.k,
                0x60 => a = m[s.k as usize],
                0x61 => x = m[s.k as usize],
                0x02 => m[s.k as usize] = a,
                0x03 => m[s.k as usize] = x,
                0x07 => x = a,
                0x87 => a = x,
                0x84 => a = a.wrapping_neg(),
                0x04 | 0x0c => a = a.wrapping_add(operand),
                0x14 | 0x1c => a = a.wrapping_sub(operand),
                0x24 | 0x2c => a = a.wrapping_mul(operand),
                // A zero in x ends the filter with 0, as the kernel's machine does.
                0x34 | 0x3c => match a.checked_div(operand) {
                    Some(q) => a = q,
                    None => return 0,
                },
                0x44 | 0x4c => a |= operand,
                0x54 | 0x5c => a &= operand,
                0x64 | 0x6c => a = a.wrapping_shl(operand),
                0x74 | 0x7c => a = a.wrapping_shr(operand),
                0xa4 | 0xac => a ^= operand,
                0x05 => pc += s.k as usize,
                0x15 | 0x1d => pc += usize::from(if a == operand { s.jt } else { s.jf }),
                0x25 | 0x2d => pc += usize::from(if a > operand { s.jt } else { s.jf }),
                0x35 | 0x3d => pc += usize::from(if a >= operand { s.jt } else { s.jf }),
                0x45 | 0x4d => pc += usize::from(if a & operand != 0 { s.jt } else { s.jf }),
                0x06 => return s.k,
                _ => return a,
            }
        }
        0
    }
}

/// The state of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Only reading, writing, exiting and returning from signals.
    pub strict: bool,
    /// In the order of installation.
    pub list: Vec<Arc<Filter>>,
}

impl Filters {
    /// `PR_GET_SECCOMP`: 0 nothing, 1 strict, 2 filters.
    pub fn mode(&self) -> u32 {
        match (self.strict, self.list.is_empty()) {
            (true, _) => 1,
            (false, false) => 2,
            (false, true) => 0,
        }
    }

    /// Adds one; `false` when there are too many instructions.
    pub fn push(&mut self, filter: Filter) -> bool {
        let total: usize = self.list.iter().map(|f| f.0.len() + 4).sum();
        if total + filter.0.len() > MAX_TOTAL {
            return false;
        }
        self.list.push(Arc::new(filter));
        true
    }

    /// Whether `other` is what this state was once.
    pub fn descends_from(&self, other: &Filters) -> bool {
        other.mode() != 1
            && other.list.len() <= self.list.len()
            && other.list.iter().zip(&self.list).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// What the filters say. Of several answers the strictest counts, of equal ones the newest.
    pub fn judge(&self, data: &Data) -> Verdict {
        let words = data.words();
        let mut result = 0x7fff_0000u32;
        for f in self.list.iter().rev() {
            let v = f.run(&words);
            // The order of actions is that of their numbers as signed ones.
            if ((v & 0xffff_0000) as i32) < ((result & 0xffff_0000) as i32) {
                result = v;
            }
        }
        Verdict::of(result)
    }

    /// All filters as bytes, for the next program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut v = Vec::new();
        for f in &self.list {
            v.extend_from_slice(&(f.0.len() as u32).to_le_bytes());
            for s in &f.0 {
                v.extend_from_slice(&s.code.to_le_bytes());
                v.extend_from_slice(&[s.jt, s.jf]);
                v.extend_from_slice(&s.k.to_le_bytes());
            }
        }
        v
    }

    /// The reverse of [`Filters::to_bytes`]; `None` for anything else.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Filters> {
        let mut filters = Filters::default();
        while !bytes.is_empty() {
            let (n, rest) = bytes.split_first_chunk::<4>()?;
            let (code, rest) = rest.split_at_checked(u32::from_le_bytes(*n) as usize * INSTRUCTION_SIZE)?;
            filters.list.push(Arc::new(Filter::new(decode(code))?));
            bytes = rest;
        }
        Some(filters)
    }
}

/// Instructions from their bytes in memory.
pub fn decode(bytes: &[u8]) -> Vec<Instruction> {
    bytes
        .chunks_exact(INSTRUCTION_SIZE)
        .map(|b| Instruction {
            code: u16::from_le_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    fn data(number: u32) -> Data {
        Data { number, arch: ARCH_X86_64, pc: 0x1234, args: [1, 2 << 32, 3, 4, 5, 6] }
    }

    fn refuse(number: u32, answer: u32) -> Filter {
        let code =
            vec![i(0x20, 0, 0, 0), i(0x15, 0, 1, number), i(0x06, 0, 0, answer), i(0x06, 0, 0, 0x7fff_0000)];
        Filter::new(code).unwrap()
    }

    #[test]
    fn the_strictest_answer_wins() {
        let mut f = Filters::default();
        assert!(f.push(refuse(39, 0x0005_0001)));
        assert_eq!(f.judge(&data(39)), Verdict::Errno(1));
        assert_eq!(f.judge(&data(40)), Verdict::Allow);
        assert!(f.push(refuse(39, 0x0003_0007)));
        assert_eq!(f.judge(&data(39)), Verdict::Trap(7));
        assert!(f.push(refuse(39, 0x8000_0000)));
        assert_eq!(f.judge(&data(39)), Verdict::KillProcess);
        assert_eq!(Filters::from_bytes(&f.to_bytes()).unwrap().judge(&data(39)), Verdict::KillProcess);
    }

    #[test]
    fn arithmetic_scratch_and_argument_words() {
        // The upper half of the second argument, times five, through scratch memory.
        let code = vec![
            i(0x20, 0, 0, 16 + 8 + 4),
            i(0x24, 0, 0, 5),
            i(0x02, 0, 0, 3),
            i(0x61, 0, 0, 3),
            i(0x87, 0, 0, 0),
            i(0x44, 0, 0, 0x0005_0000),
            i(0x16, 0, 0, 0),
        ];
        let mut f = Filters::default();
        assert!(f.push(Filter::new(code).unwrap()));
        assert_eq!(f.judge(&data(1)), Verdict::Errno(10));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            vec![],
            vec![i(0x20, 0, 0, 0)],
            vec![i(0x20, 0, 0, 64), i(0x06, 0, 0, 0)],
            vec![i(0x20, 0, 0, 2), i(0x06, 0, 0, 0)],
            vec![i(0x05, 0, 0, 1), i(0x06, 0, 0, 0)],
            vec![i(0x15, 0, 1, 0), i(0x06, 0, 0, 0)],
            vec![i(0x34, 0, 0, 0), i(0x06, 0, 0, 0)],
            vec![i(0x28, 0, 0, 0), i(0x06, 0, 0, 0)],
            vec![i(0x06, 0, 0, 0); MAX_LEN + 1],
        ] {
            assert_eq!(Filter::new(bad), None);
        }
    }
}
