//! Bytes → [`Inst`].
//!
//! [`BlockDecoder`] walks a run of instructions with one iced decoder, which is what a translator wants:
//! setting a decoder up costs about as much as decoding an instruction. [`decode_one`] is for single
//! instructions.
//!
//! Assumes: 64-bit mode; encodings as Intel defines them where vendors differ. The one difference that user
//! code can reach is the operand-size prefix on near branches, which AMD honours: those instructions are
//! reported with [`Flow::Other`](super::Flow::Other) when the `amd` switch is on, and as ordinary branches
//! otherwise.

use super::inst::Inst;
use crate::{DecodeError, GuestPc};
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction};

/// Decodes instructions one after another from a slice of guest memory.
pub struct BlockDecoder<'a> {
    decoder: Decoder<'a>,
    bytes: &'a [u8],
}

impl<'a> BlockDecoder<'a> {
    /// Starts at `pc`, whose bytes are at the start of `bytes`.
    pub fn new(bytes: &'a [u8], pc: GuestPc) -> BlockDecoder<'a> {
        BlockDecoder { decoder: Decoder::with_ip(64, bytes, pc.0, DecoderOptions::NONE), bytes }
    }

    /// As [`BlockDecoder::new`], but decoding near branches with an operand-size prefix as AMD CPUs do.
    pub fn new_amd(bytes: &'a [u8], pc: GuestPc) -> BlockDecoder<'a> {
        BlockDecoder { decoder: Decoder::with_ip(64, bytes, pc.0, DecoderOptions::AMD), bytes }
    }

    /// Where the next instruction starts.
    pub fn pc(&self) -> GuestPc {
        GuestPc(self.decoder.ip())
    }

    /// Decodes the next instruction and moves past it. After an error the position is unspecified, except
    /// that it stays within the slice.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when the slice ends first (also at its very end), [`DecodeError::Invalid`]
    /// when the CPU would raise `#UD`.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide that errors end the walk")]
    pub fn next(&mut self) -> Result<Inst, DecodeError> {
        let pc = GuestPc(self.decoder.ip());
        let start = self.decoder.position();
        let mut raw = Instruction::default();
        self.decoder.decode_out(&mut raw);
        if raw.is_invalid() {
            return Err(self.error(pc, start));
        }
        let decoder = &self.decoder;
        Ok(Inst::new(raw, |raw| decoder.get_constant_offsets(raw).displacement_offset()))
    }

    #[cold]
    fn error(&self, pc: GuestPc, start: usize) -> DecodeError {
        let available = self.decoder.max_position() - start;
        // iced asks for a ModRM byte even after some opcodes that are invalid without one, so its word
        // alone does not make an instruction truncated: some continuation must make it valid.
        if self.decoder.last_error() == DecoderError::NoMoreBytes
            && (available == 0 || self.can_continue(start, 0x00) || self.can_continue(start, 0xc0))
        {
            DecodeError::Truncated { pc, available }
        } else {
            DecodeError::Invalid { pc }
        }
    }

    /// Do the bytes from `start`, continued with `filler`, make a valid instruction?
    fn can_continue(&self, start: usize, filler: u8) -> bool {
        let mut padded = [filler; 32];
        let rest = self.bytes.get(start..).unwrap_or_default();
        let known = rest.len().min(15);
        padded[..known].copy_from_slice(&rest[..known]);
        !Decoder::with_ip(64, &padded, 0, DecoderOptions::NONE).decode().is_invalid()
    }
}

/// Decodes the instruction at `pc`, whose bytes are at the start of `bytes`.
///
/// # Errors
/// As [`BlockDecoder::next`].
pub fn decode_one(bytes: &[u8], pc: GuestPc) -> Result<Inst, DecodeError> {
    BlockDecoder::new(bytes, pc).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_and_invalid_differ() {
        let pc = GuestPc(0x40_0000);
        assert_eq!(decode_one(&[], pc).unwrap_err(), DecodeError::Truncated { pc, available: 0 });
        assert_eq!(decode_one(&[0x48, 0x8b], pc).unwrap_err(), DecodeError::Truncated { pc, available: 2 });
        // push es does not exist in 64-bit mode; lock needs a memory destination.
        assert_eq!(decode_one(&[0x06], pc).unwrap_err(), DecodeError::Invalid { pc });
        assert_eq!(decode_one(&[0xf0, 0x01, 0xc0], pc).unwrap_err(), DecodeError::Invalid { pc });
        // More than 15 bytes raise #GP; there is no such instruction.
        assert_eq!(decode_one(&[0x66; 20], pc).unwrap_err(), DecodeError::Invalid { pc });
    }

    #[test]
    fn walks_a_block() {
        // push rbp; mov rbp,rsp; call +0; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0xc3];
        let mut d = BlockDecoder::new(&code, GuestPc(0x1000));
        let mut lengths = Vec::new();
        while let Ok(i) = d.next() {
            lengths.push(i.len());
        }
        assert_eq!(lengths, [1, 3, 5, 1]);
        assert_eq!(d.pc(), GuestPc(0x100a));
    }

    #[test]
    fn any_bytes_decode_without_panic() {
        let mut x = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..200_000 {
            let mut bytes = [0u8; 16];
            for b in &mut bytes {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                *b = x as u8;
            }
            let mut d = BlockDecoder::new(&bytes, GuestPc(x));
            while d.next().is_ok() {}
        }
    }
}
