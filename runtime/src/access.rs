//! Loads, stores and atomic operations on guest memory, as the guest's own instructions do them.
//!
//! The interpreter's accesses must look to other threads like the guest's: one access of the same
//! width at the same address. A fault inside is recovered by the signal handler ([`recover`]) and
//! reported as `None`; nothing has been written then.

use std::arch::global_asm;

// Result in rax, 0 or 1 in edx (1: it faulted). None of these touches the stack before it faults.
global_asm!(
    ".text",
    ".p2align 4",
    ".globl dynrun_access",
    "dynrun_access:",
    ".globl dynrun_load1",
    "dynrun_load1:",
    "movzx eax, byte ptr [rdi]",
    "xor edx, edx",
    "ret",
    ".globl dynrun_load2",
    "dynrun_load2:",
    "movzx eax, word ptr [rdi]",
    "xor edx, edx",
    "ret",
    ".globl dynrun_load4",
    "dynrun_load4:",
    "mov eax, [rdi]",
    "xor edx, edx",
    "ret",
    ".globl dynrun_load8",
    "dynrun_load8:",
    "mov rax, [rdi]",
    "xor edx, edx",
    "ret",
    ".globl dynrun_load16",
    "dynrun_load16:",
    "movups xmm0, [rdi]",
    "movups [rsi], xmm0",
    "xor edx, edx",
    "ret",
    ".globl dynrun_store1",
    "dynrun_store1:",
    "mov [rdi], sil",
    "xor edx, edx",
    "ret",
    ".globl dynrun_store2",
    "dynrun_store2:",
    "mov [rdi], si",
    "xor edx, edx",
    "ret",
    ".globl dynrun_store4",
    "dynrun_store4:",
    "mov [rdi], esi",
    "xor edx, edx",
    "ret",
    ".globl dynrun_store8",
    "dynrun_store8:",
    "mov [rdi], rsi",
    "xor edx, edx",
    "ret",
    ".globl dynrun_store16",
    "dynrun_store16:",
    "movups xmm0, [rsi]",
    "movups [rdi], xmm0",
    "xor edx, edx",
    "ret",
    // Compare with rsi, store rdx; the old memory in rax.
    ".globl dynrun_cas1",
    "dynrun_cas1:",
    "mov rax, rsi",
    "lock cmpxchg [rdi], dl",
    "mov edx, 0",
    "ret",
    ".globl dynrun_cas2",
    "dynrun_cas2:",
    "mov rax, rsi",
    "lock cmpxchg [rdi], dx",
    "mov edx, 0",
    "ret",
    ".globl dynrun_cas4",
    "dynrun_cas4:",
    "mov rax, rsi",
    "lock cmpxchg [rdi], edx",
    "mov edx, 0",
    "ret",
    ".globl dynrun_cas8",
    "dynrun_cas8:",
    "mov rax, rsi",
    "lock cmpxchg [rdi], rdx",
    "mov edx, 0",
    "ret",
    ".globl dynrun_access_wide",
    "dynrun_access_wide:",
    // rsi: expected value, new value; the old memory takes the place of the expected one.
    ".globl dynrun_cas16",
    "dynrun_cas16:",
    "mov r8, rbx",
    "mov rax, [rsi]",
    "mov rdx, [rsi + 8]",
    "mov rbx, [rsi + 16]",
    "mov rcx, [rsi + 24]",
    "lock cmpxchg16b [rdi]",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "mov rbx, r8",
    "xor edx, edx",
    "ret",
    ".globl dynrun_access_end",
    "dynrun_access_end:",
    ".globl dynrun_access_wide_fault",
    "dynrun_access_wide_fault:",
    "mov rbx, r8",
    ".globl dynrun_access_fault",
    "dynrun_access_fault:",
    "mov edx, 1",
    "ret",
);

/// A value and whether the access faulted, as two registers.
#[repr(C)]
struct Answer {
    value: u64,
    failed: u64,
}

impl Answer {
    fn get(self) -> Option<u64> {
        (self.failed == 0).then_some(self.value)
    }
}

unsafe extern "C" {
    fn dynrun_access();
    fn dynrun_access_wide();
    fn dynrun_access_end();
    fn dynrun_access_fault();
    fn dynrun_access_wide_fault();
    fn dynrun_load1(at: u64) -> Answer;
    fn dynrun_load2(at: u64) -> Answer;
    fn dynrun_load4(at: u64) -> Answer;
    fn dynrun_load8(at: u64) -> Answer;
    fn dynrun_load16(at: u64, into: *mut u8) -> Answer;
    fn dynrun_store1(at: u64, value: u64) -> Answer;
    fn dynrun_store2(at: u64, value: u64) -> Answer;
    fn dynrun_store4(at: u64, value: u64) -> Answer;
    fn dynrun_store8(at: u64, value: u64) -> Answer;
    fn dynrun_store16(at: u64, from: *const u8) -> Answer;
    fn dynrun_cas1(at: u64, expected: u64, new: u64) -> Answer;
    fn dynrun_cas2(at: u64, expected: u64, new: u64) -> Answer;
    fn dynrun_cas4(at: u64, expected: u64, new: u64) -> Answer;
    fn dynrun_cas8(at: u64, expected: u64, new: u64) -> Answer;
    fn dynrun_cas16(at: u64, values: *mut u64) -> Answer;
}

/// Where a fault at `rip` goes on if it is one of these accesses.
pub fn recover(rip: usize) -> Option<usize> {
    let wide = dynrun_access_wide as *const () as usize;
    if (dynrun_access as *const () as usize..wide).contains(&rip) {
        return Some(dynrun_access_fault as *const () as usize);
    }
    (wide..dynrun_access_end as *const () as usize)
        .contains(&rip)
        .then_some(dynrun_access_wide_fault as *const () as usize)
}

/// Loads 1, 2, 4 or 8 bytes, zero-extended.
pub fn load(at: u64, size: u32) -> Option<u64> {
    // SAFETY: any address will do: a fault is recovered.
    unsafe {
        match size {
            1 => dynrun_load1(at),
            2 => dynrun_load2(at),
            4 => dynrun_load4(at),
            _ => dynrun_load8(at),
        }
    }
    .get()
}

/// Stores the low 1, 2, 4 or 8 bytes.
pub fn store(at: u64, size: u32, value: u64) -> Option<()> {
    // SAFETY: a fault is recovered; what the guest stores where is its own affair.
    unsafe {
        match size {
            1 => dynrun_store1(at, value),
            2 => dynrun_store2(at, value),
            4 => dynrun_store4(at, value),
            _ => dynrun_store8(at, value),
        }
    }
    .get()
    .map(drop)
}

/// Loads 16 bytes, in one access where the CPU does that.
pub fn load16(at: u64, into: &mut [u8; 16]) -> Option<()> {
    // SAFETY: a fault at `at` is recovered; the other side is a live array.
    unsafe { dynrun_load16(at, into.as_mut_ptr()) }.get().map(drop)
}

/// Stores 16 bytes.
pub fn store16(at: u64, from: &[u8; 16]) -> Option<()> {
    // SAFETY: as in `store`; the other side is a live array.
    unsafe { dynrun_store16(at, from.as_ptr()) }.get().map(drop)
}

/// Compares 1, 2, 4, 8 or 16 bytes with `expected` and if equal stores `new`, atomically; returns the old memory. 16 bytes
/// must be aligned.
pub fn compare_and_swap(at: u64, size: u32, expected: u128, new: u128) -> Option<u128> {
    let (e, n) = (expected as u64, new as u64);
    // SAFETY: as in `store`.
    let answer = unsafe {
        match size {
            1 => dynrun_cas1(at, e, n),
            2 => dynrun_cas2(at, e, n),
            4 => dynrun_cas4(at, e, n),
            8 => dynrun_cas8(at, e, n),
            _ => {
                let mut values = [e, (expected >> 64) as u64, n, (new >> 64) as u64];
                dynrun_cas16(at, values.as_mut_ptr()).get()?;
                return Some(u128::from(values[0]) | u128::from(values[1]) << 64);
            }
        }
    };
    let mask = if size < 8 { (1u64 << (size * 8)) - 1 } else { u64::MAX };
    answer.get().map(|old| (old & mask).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_of_every_width() {
        let mut m = [0u64; 4];
        let at = m.as_mut_ptr() as u64;
        for size in [1u32, 2, 4, 8] {
            let mask = u64::MAX >> (64 - size * 8);
            m[1] = u64::MAX;
            assert_eq!(store(at + 8, size, 0x8182_8384_8586_8788), Some(()));
            assert_eq!(load(at + 8, size), Some(0x8182_8384_8586_8788 & mask));
            assert_eq!(m[1] & !mask, !mask);
            let old = u128::from(m[1] & mask);
            assert_eq!(compare_and_swap(at + 8, size, 0, 1), Some(old));
            assert_eq!(compare_and_swap(at + 8, size, old, 1), Some(old));
            assert_eq!(load(at + 8, size), Some(1));
        }
        let at = at.next_multiple_of(16);
        let mut bytes = [0; 16];
        assert_eq!(store16(at, &[7; 16]), Some(()));
        assert_eq!(load16(at, &mut bytes), Some(()));
        assert_eq!(bytes, [7; 16]);
        let old = u128::from_le_bytes(bytes);
        assert_eq!(compare_and_swap(at, 16, old, 5), Some(old));
        assert_eq!(compare_and_swap(at, 16, old, 6), Some(5));
    }
}
