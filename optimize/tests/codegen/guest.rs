//! A guest for tests: general registers, flags, memory slots, a window of memory.

use ir::fuzz::{Random, mix};
use ir::interp::{Fault, Machine, State};
use ir::trace::{Decls, Native, Trace};
use ir::types::{ClassId, Flag, Pc, SlotId, Type, Wide};
use optimize::codegen::{Home, Host, IndirectAbi, Segment};
use optimize::pass::Features;

/// Size of the window of guest memory.
pub const WINDOW: usize = 1 << 14;

/// Offsets in the page that `gs` points to.
pub const GPRS: i32 = 0;
pub const FLAGS: i32 = 128;
pub const EXIT: i32 = 136;
pub const TARGET: i32 = 152;
pub const SLOTS: i32 = 256;
pub const VECTORS: i32 = 1024;
pub const SPILL: i32 = 4096;
pub const SPILL_END: i32 = 8192;

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// Declarations with this guest's slots.
pub fn decls() -> Decls {
    let mut d = Decls::new();
    for name in NAMES {
        d.add_slot(name, Type::I64, Some(name)).expect("few slots");
    }
    d.add_slot("flags", Type::Flags, None).expect("few slots");
    d.add_slot("m0", Type::I64, None).expect("few slots");
    d.add_slot("m1", Type::I64, None).expect("few slots");
    for i in 0..16 {
        d.add_slot(&format!("zmm{i}"), Type::V512, None).expect("few slots");
    }
    d.add_class("memory", None, &[]).expect("few classes");
    d
}

/// Homes by the names of slots.
pub struct TestHost {
    homes: Vec<Home>,
}

impl TestHost {
    pub fn new(decls: &Decls) -> TestHost {
        let mut next = SLOTS;
        let mut homes = Vec::new();
        for slot in &decls.slots {
            let vector = slot.name.strip_prefix("zmm").and_then(|n| n.parse::<u8>().ok());
            homes.push(match (slot.ty, NAMES.iter().position(|n| *n == slot.name), vector) {
                (Type::I64, Some(r), _) => Home::General(r as u8),
                (Type::Flags, ..) => Home::Flags,
                (Type::V512, _, Some(r)) => Home::Vector(r),
                (Type::I64, ..) if next < VECTORS => {
                    next += 8;
                    Home::Memory(Segment::Gs, next - 8)
                }
                _ => Home::Machine,
            });
        }
        TestHost { homes }
    }
}

impl Host for TestHost {
    fn features(&self) -> Features {
        use std::arch::is_x86_feature_detected as has;
        Features {
            v256: has!("avx2"),
            v512: has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
        }
    }

    fn vector_bytes(&self) -> u32 {
        if self.features().v512 {
            64
        } else if self.features().v256 {
            32
        } else {
            16
        }
    }

    fn home(&self, slot: SlotId) -> Home {
        self.homes[slot.index()]
    }

    fn spill_area(&self) -> (Segment, i32, i32) {
        (Segment::Gs, SPILL, SPILL_END)
    }

    fn indirect(&self) -> IndirectAbi {
        IndirectAbi { target: 1, in_memory: vec![(1, Segment::Gs, GPRS + 8), (2, Segment::Gs, GPRS + 16)] }
    }

    fn indirect_tail(&self, at: u64, code: &mut Vec<u8>) -> u32 {
        // mov gs:[TARGET], rcx; mov rcx, gs:[..]; mov rdx, gs:[..]; jmp
        code.extend([0x65, 0x48, 0x89, 0x0c, 0x25]);
        code.extend(TARGET.to_le_bytes());
        for (reg, offset) in [(0x0cu8, GPRS + 8), (0x14, GPRS + 16)] {
            code.extend([0x65, 0x48, 0x8b, reg, 0x25]);
            code.extend(offset.to_le_bytes());
        }
        while (at + code.len() as u64 + 1) % 8 > 4 {
            code.push(0x90);
        }
        code.extend([0xe9, 0, 0, 0, 0]);
        code.len() as u32 - 4
    }
}

/// The window of guest memory, for the interpreter.
#[derive(Clone)]
pub struct Memory {
    pub base: u64,
    pub bytes: Vec<u8>,
    /// Something else was accessed.
    pub strayed: bool,
}

impl Memory {
    fn range(&mut self, addr: u64, len: usize, write: bool) -> Result<std::ops::Range<usize>, Fault> {
        let at = addr.wrapping_sub(self.base) as usize;
        if at < self.bytes.len() && at + len <= self.bytes.len() {
            Ok(at..at + len)
        } else {
            self.strayed = true;
            Err(Fault::Memory { addr, write })
        }
    }
}

impl Machine for Memory {
    fn load(&mut self, addr: u64, bytes: &mut [u8], _class: ClassId) -> Result<(), Fault> {
        let range = self.range(addr, bytes.len(), false)?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn store(&mut self, addr: u64, bytes: &[u8], _class: ClassId) -> Result<(), Fault> {
        let range = self.range(addr, bytes.len(), true)?;
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }

    /// The natives that the generator makes, see there.
    fn native(
        &mut self,
        native: &Native,
        pc: Option<Pc>,
        inputs: &[(SlotId, Wide)],
        outputs: &mut [Wide],
    ) -> Result<(), Fault> {
        let input = |slot: u16| inputs.iter().find(|i| i.0.0 == slot).map_or(0, |i| i.1[0]);
        match native.bytes() {
            ADC => {
                let (a, b, flags) = (input(2), input(3), input(16));
                let carry = flags & 1;
                let sum = a.wrapping_add(b).wrapping_add(carry);
                let out = u128::from(a) + u128::from(b) + u128::from(carry) > u128::from(u64::MAX);
                let overflow = (a ^ sum) & (b ^ sum) & 1 << 63 != 0;
                let packed = u64::from(out)
                    | u64::from((sum as u8).count_ones().is_multiple_of(2)) << 2
                    | ((a ^ b ^ sum) & 0x10)
                    | u64::from(sum == 0) << 6
                    | (sum >> 63) << 7
                    | u64::from(overflow) << 11;
                (outputs[0][0], outputs[1][0]) = (sum, packed);
            }
            MULX => {
                let product = u128::from(input(2)) * u128::from(input(6));
                (outputs[0][0], outputs[1][0]) = (product as u64, (product >> 64) as u64);
            }
            [0x48, 0x8b, 0x05, disp @ ..] => {
                let Some(Pc::Addr(pc)) = pc else { return Err(Fault::Unsupported) };
                let disp = i32::from_le_bytes(disp.try_into().expect("four bytes"));
                outputs[0][0] = self.load_word(pc.wrapping_add_signed(7 + i64::from(disp)), 8, ClassId(0))?;
            }
            _ => return Err(Fault::Unsupported),
        }
        Ok(())
    }
}

/// `adc rdx, rbx`
pub const ADC: &[u8] = &[0x48, 0x11, 0xda];
/// `mulx rbx, rcx, rsi`: high and low half of `rdx * rsi`.
pub const MULX: &[u8] = &[0xc4, 0xe2, 0xf3, 0xf6, 0xde];

/// 64 bits that are interesting as floats or lanes.
pub fn lane(r: &mut Random) -> u64 {
    const DOUBLES: [u64; 16] = [
        0,
        1 << 63,
        0x3ff0_0000_0000_0000,
        0xbff8_0000_0000_0000,
        0x7ff0_0000_0000_0000,
        0xfff0_0000_0000_0000,
        0x7ff8_0000_0000_0123,
        0xfff8_0000_0000_0000,
        0x7ff0_0000_0000_0456,
        0xfff4_0000_0000_0789,
        0x0000_0000_0000_0fff,
        0x41e0_0000_0000_0000,
        0xc1e0_0000_0020_0000,
        0x43e0_0000_0000_0000,
        0x3fdf_ffff_ffff_ffff,
        0x7fef_ffff_ffff_ffff,
    ];
    const SINGLES: [u32; 14] = [
        0,
        1 << 31,
        0x3f80_0000,
        0xbfc0_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0123,
        0xffc0_0000,
        0x7f80_0456,
        0xffa0_0789,
        0x0000_0fff,
        0x4f00_0000,
        0x3eff_ffff,
        0x7f7f_ffff,
    ];
    let single = |r: &mut Random| u64::from(r.pick(&SINGLES).unwrap_or(0));
    match r.below(5) {
        0 | 1 => r.pick(&DOUBLES).unwrap_or(0),
        2 => single(r) | single(r) << 32,
        3 => ((r.below(2000) as f64 - 1000.0) / 16.0).to_bits(),
        _ => r.word(),
    }
}

/// A random state: about every third register points into the window.
pub fn random_state(trace: &Trace, base: u64, seed: u64) -> (State, Memory) {
    let mut random = Random(mix(seed));
    let mut state = State::new(&trace.decls);
    let narrow = random.one_in(3);
    for (i, slot) in trace.decls.slots.iter().enumerate() {
        let mut bits = random.bits(&trace.decls);
        if slot.ty == Type::I64 && (random.one_in(3) || slot.name == "rsp") {
            bits[0] = base + (random.word() % (WINDOW as u64 / 2)) / 8 * 8 + WINDOW as u64 / 4;
        } else if slot.ty == Type::I64 && random.one_in(3) {
            bits[0] = random.word() % 100;
        }
        if slot.ty == Type::V512 && random.one_in(2) {
            bits = std::array::from_fn(|_| lane(&mut random));
        }
        if slot.ty == Type::V512 && narrow {
            bits[2..].fill(0);
        }
        if slot.ty == Type::Flags {
            bits[0] &= Flag::MASK;
        }
        state.set_wide(SlotId(i as u16), &bits);
    }
    // Memory holds pointers into itself too, so that traces which follow them can be compared.
    let bytes = (0..WINDOW / 8)
        .flat_map(|_| {
            let word = random.word();
            let pointer = base + (random.word() % (WINDOW as u64 / 2)) / 8 * 8 + WINDOW as u64 / 4;
            if random.one_in(2) { pointer } else { word }.to_le_bytes()
        })
        .collect();
    (state, Memory { base, bytes, strayed: false })
}

/// A state for messages.
pub fn describe(trace: &Trace, state: &State) -> String {
    let slots = trace.decls.slots.iter().enumerate();
    slots.map(|(i, s)| format!("{}={:#x}", s.name, state.get(SlotId(i as u16)))).collect::<Vec<_>>().join(" ")
}
