//! The target of an indirect branch, as a load: `jmp [mem]` and `call [mem]` become `mov rcx, [mem]`.
//!
//! The two have the same operand bytes, so the load is made from the branch's own bytes. (An encoder for all instructions would do it,
//! too. But its tables take 650 KiB, and most processes need it for nothing else: each shared library's stubs end in such a jump.)
//!
//! ```text
//! ff 25 10 20 00 00       jmp [rip+0x2010]
//! 48 8b 0d 10 20 00 00    mov rcx, [rip+0x2010]      and the caller adjusts what is relative to its place
//! ```

/// `mov rcx, [mem]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    bytes: [u8; 16],
    len: usize,
    /// Where the displacement begins, if there is one.
    pub displacement: usize,
}

impl Load {
    /// Its code.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Makes the load from the bytes of a near branch through memory; `None` when they are not as usual.
pub fn load(branch: &[u8]) -> Option<Load> {
    let mut load = Load { bytes: [0; 16], len: 0, displacement: 0 };
    let mut rest = branch;
    let mut rex = 0;
    loop {
        let (&byte, after) = rest.split_first()?;
        match byte {
            // Without meaning for a load: bnd, notrack, and segments that begin at 0.
            0xf2 | 0x3e | 0x2e | 0x26 | 0x36 if rex == 0 => {}
            // The segment fs.
            0x64 if rex == 0 => load.push(byte)?,
            0x40..=0x4f if rex == 0 => rex = byte,
            0xff => break rest = after,
            _ => return None,
        }
        rest = after;
    }
    let (&modrm, operand) = rest.split_first()?;
    if modrm >> 6 == 3 || !matches!(modrm >> 3 & 7, 2 | 4) {
        return None;
    }
    load.push(0x48 | rex & 3)?;
    load.push(0x8b)?;
    load.push(modrm & 0xc7 | 1 << 3)?;
    let has_sib = modrm & 7 == 4;
    load.displacement = load.len + usize::from(has_sib);
    for &byte in operand {
        load.push(byte)?;
    }
    Some(load)
}

impl Load {
    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};

    fn decode(bytes: &[u8]) -> Instruction {
        Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).decode()
    }

    #[test]
    fn loads_what_the_branch_reads() {
        let prefixes: [&[u8]; 8] =
            [&[], &[0x41], &[0x42], &[0x43], &[0x4f], &[0x64], &[0xf2, 0x64, 0x41], &[0x3e, 0x48]];
        let mut seen = 0;
        for (prefix, reg) in prefixes.into_iter().flat_map(|p| [(p, 2u8), (p, 4)]) {
            for modrm in (0..=255u8).filter(|m| m >> 6 != 3 && m >> 3 & 7 == 0) {
                for sib in [0x24, 0x05, 0x25, 0x8d, 0x63] {
                    let bytes =
                        [prefix, &[0xff, modrm | reg << 3, sib, 0x11, 0x22, 0x33, 0x44, 0x55]].concat();
                    let branch = decode(&bytes);
                    let Some(load) = load(&bytes[..branch.len()]) else { panic!("{bytes:x?}") };
                    let got = decode(load.bytes());
                    assert_eq!(got.len(), load.bytes().len(), "{bytes:x?}");
                    assert_eq!(got.code(), Code::Mov_r64_rm64);
                    assert_eq!((got.op0_register(), got.op1_kind()), (Register::RCX, OpKind::Memory));
                    let operand = |i: &Instruction| {
                        let relative = i.is_ip_rel_memory_operand().then(|| i.next_ip());
                        let at = i.memory_displacement64().wrapping_sub(relative.unwrap_or(0));
                        (i.memory_base(), i.memory_index(), i.memory_index_scale(), at, i.segment_prefix())
                    };
                    let mut want = operand(&branch);
                    if want.4 == Register::DS {
                        want.4 = Register::None;
                    }
                    assert_eq!(operand(&got), want, "{bytes:x?}");
                    if got.memory_displ_size() == 8 && got.memory_base() == Register::RIP {
                        assert_eq!(load.displacement + 4, got.len());
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 1000);
    }

    #[test]
    fn leaves_the_unusual_alone() {
        let unusual: [&[u8]; 7] = [
            &[0xff, 0xe0],             // jmp rax
            &[0xff, 0x30],             // push [rax]
            &[0x66, 0xff, 0x20],       // 16 bits
            &[0x65, 0xff, 0x20],       // the segment gs
            &[0x67, 0xff, 0x20],       // 32-bit address
            &[0x41, 0x64, 0xff, 0x20], // a prefix that counts for nothing
            &[0xc3],
        ];
        assert!(unusual.iter().all(|b| load(b).is_none()));
    }
}
