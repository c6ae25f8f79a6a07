//! Every method and every row against another program's decoder.
//!
//! A case says which method is called and what must come back: mnemonic and operands, by a little language of one character
//! each (see [`Case`]). It is tried with all registers and with memory operands of every kind.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use ir::types::Cond;

use super::*;
use Width::{W8, W16, W32, W64};

const AT: u64 = 0x7654_3210_0000;
const CONDS: [Cond; 16] = [
    Cond::O,
    Cond::No,
    Cond::B,
    Cond::Ae,
    Cond::E,
    Cond::Ne,
    Cond::Be,
    Cond::A,
    Cond::S,
    Cond::Ns,
    Cond::P,
    Cond::Np,
    Cond::L,
    Cond::Ge,
    Cond::Le,
    Cond::G,
];
const IMMS: [i32; 12] = [0, 1, -1, 127, -128, 128, -129, 0x7fff, -0x8000, 0x8000, 0x1234_5678, i32::MIN];

fn decode(bytes: &[u8]) -> Instruction {
    let mut decoder = Decoder::with_ip(64, bytes, AT, DecoderOptions::NONE);
    let instruction = decoder.decode();
    assert!(!instruction.is_invalid(), "{bytes:02x?} is no instruction");
    assert_eq!(instruction.len(), bytes.len(), "{bytes:02x?} is more than {instruction}");
    instruction
}

fn gpr(reg: Reg, width: Width) -> Register {
    let (r8, r64) = (
        [
            Register::AL,
            Register::CL,
            Register::DL,
            Register::BL,
            Register::SPL,
            Register::BPL,
            Register::SIL,
            Register::DIL,
            Register::R8L,
            Register::R9L,
            Register::R10L,
            Register::R11L,
            Register::R12L,
            Register::R13L,
            Register::R14L,
            Register::R15L,
        ],
        reg.0 as usize,
    );
    match width {
        W8 => r8[r64],
        W16 => Register::AX + u32::from(reg.0),
        W32 => Register::EAX + u32::from(reg.0),
        W64 => Register::RAX + u32::from(reg.0),
    }
}

/// Does the instruction's memory operand say this?
fn same_memory(i: &Instruction, mem: &Mem, text: &str) {
    let segment = match mem.segment {
        None => Register::None,
        Some(Segment::Register(_)) => unreachable!(),
        Some(Segment::Fs) => Register::FS,
        Some(Segment::Gs) => Register::GS,
    };
    assert_eq!(i.segment_prefix(), segment, "{text}");
    match mem.base {
        Base::Address(address) => {
            assert_eq!(i.memory_base(), Register::RIP, "{text}");
            assert_eq!(i.memory_displacement64(), address.wrapping_add(mem.disp as i64 as u64), "{text}");
        }
        Base::Label(_) => unreachable!("tested apart"),
        Base::None | Base::Reg(_) => {
            let base = if let Base::Reg(r) = mem.base { gpr(r, W64) } else { Register::None };
            assert_eq!(i.memory_base(), base, "{text}");
            assert_eq!(i.memory_displacement64(), mem.disp as i64 as u64, "{text}");
        }
    }
    let (index, scale) = mem.index.map_or((Register::None, 1), |(r, s)| (gpr(r, W64), 1 << s as u32));
    assert_eq!((i.memory_index(), i.memory_index_scale()), (index, scale), "{text}");
}

fn memories() -> Vec<Mem> {
    let disps = [0, 1, -1, 8, 127, -128, 128, -129, 0x1234_5678, i32::MIN];
    let mut all = Vec::new();
    for base in 0..16 {
        all.extend(disps.iter().map(|&d| Mem::base(Reg(base), d)));
        for index in (0..16).filter(|&r| r != 4) {
            for scale in [Scale::X1, Scale::X2, Scale::X4, Scale::X8] {
                let disp = disps[(base as usize * 7 + index as usize * 3 + scale as usize) % disps.len()];
                all.push(Mem::indexed(Reg(base), Reg(index), scale, disp));
            }
        }
    }
    for index in (0..16).filter(|&r| r != 4) {
        let (base, scale) = (Base::None, if index & 1 == 0 { Scale::X8 } else { Scale::X2 });
        all.push(Mem { segment: None, base, index: Some((Reg(index), scale)), disp: 0x40 });
    }
    for segment in [Segment::Fs, Segment::Gs] {
        all.push(Mem::segment(segment, 0x128));
        all.push(Mem { segment: Some(segment), ..Mem::base(Reg::R12, 0) });
        all.push(Mem { segment: Some(segment), ..Mem::indexed(Reg::R13, Reg::RBP, Scale::X4, -8) });
    }
    all.push(Mem { segment: None, base: Base::None, index: None, disp: 0x40_1000 });
    all.push(Mem::address(AT + 0x1_0000));
    all.push(Mem::address(AT - 0x7000_0000).offset(-4));
    all
}

/// What an instruction is made of in one try.
#[derive(Clone, Copy)]
struct With {
    width: Width,
    reg: Reg,
    reg2: Reg,
    rm: Rm,
    imm: i32,
}

/// Operands in order: `r` reg, `s` reg2, `m` rm; `d` reg at 32 bits; `b`, `h`, `l` rm at 8, 16, 32 bits; `q` rm at 64;
/// `i` the immediate at the width, `8` its low 8 bits, `1` one, `c` cl.
type Case<'a> = (&'a str, Mnemonic, &'a [Width], &'a dyn Fn(&mut Asm, With));

fn try_case(case: &Case<'_>, with: With) {
    let (operands, mnemonic, _, emit) = case;
    let mut asm = Asm::new(AT);
    emit(&mut asm, with);
    let bytes = asm.finish().expect("finished");
    let i = decode(&bytes);
    let text = format!("{i} from {bytes:02x?}, {operands} {:?} {:?} {:?}", with.reg, with.rm, with.imm);
    assert_eq!(i.mnemonic(), *mnemonic, "{text}");
    assert_eq!(i.op_count() as usize, operands.len(), "{text}");
    let bits = with.width.bits();
    let rm = |n: u32, width: Width| match with.rm {
        Rm::Reg(r) => {
            assert_eq!((i.op_kind(n), i.op_register(n)), (OpKind::Register, gpr(r, width)), "{text}");
        }
        Rm::Mem(mem) => {
            assert_eq!(i.op_kind(n), OpKind::Memory, "{text}");
            if i.mnemonic() != Mnemonic::Lea {
                assert_eq!(i.memory_size().size() as u32 * 8, width.bits(), "{text}");
            }
            same_memory(&i, &mem, &text);
        }
    };
    for (n, operand) in (0u32..).zip(operands.chars()) {
        match operand {
            'r' => assert_eq!(i.op_register(n), gpr(with.reg, with.width), "{text}"),
            'd' => assert_eq!(i.op_register(n), gpr(with.reg, W32), "{text}"),
            's' => assert_eq!(i.op_register(n), gpr(with.reg2, with.width), "{text}"),
            'm' => rm(n, with.width),
            'b' => rm(n, W8),
            'h' => rm(n, W16),
            'l' => rm(n, W32),
            'q' => rm(n, W64),
            'c' => assert_eq!(i.op_register(n), Register::CL, "{text}"),
            'i' => assert_eq!((i.immediate(n) ^ with.imm as i64 as u64) << (64 - bits), 0, "{text}"),
            '8' => assert_eq!(i.immediate(n) as u8, with.imm as u8, "{text}"),
            '1' => assert_eq!(i.immediate(n), 1, "{text}"),
            _ => unreachable!(),
        }
    }
}

/// All registers in all places, all memory operands, all immediates.
fn run(case: Case<'_>, regs: bool, mems: bool) {
    let memories = memories();
    let has_imm = case.0.contains(['i', '8']);
    for &width in case.2 {
        let mut turn = 0usize;
        let mut go = |reg: u8, rm: Rm| {
            turn += 1;
            let imms = if has_imm { &IMMS[..] } else { &IMMS[..1] };
            let all = matches!(rm, Rm::Reg(_));
            for (k, &imm) in imms.iter().enumerate() {
                if all || k == turn % imms.len() {
                    try_case(
                        &case,
                        With { width, reg: Reg(reg), reg2: Reg((turn + reg as usize) as u8 & 15), rm, imm },
                    );
                }
            }
        };
        for a in 0..16 {
            if regs {
                (0..16).for_each(|b| go(a, Rm::Reg(Reg(b))));
            }
            if mems {
                memories.iter().skip(usize::from(a) & 3).step_by(4).for_each(|m| go(a, Rm::Mem(*m)));
            }
        }
    }
}

fn mem(rm: Rm) -> Mem {
    let Rm::Mem(mem) = rm else { panic!("a register") };
    mem
}

const ALL: &[Width] = &[W8, W16, W32, W64];
const WORDS: &[Width] = &[W16, W32, W64];
const BIG: &[Width] = &[W32, W64];

#[test]
fn moves() {
    run(("rm", Mnemonic::Mov, ALL, &|a, w| a.mov(w.width, w.reg, w.rm)), true, true);
    run(("mr", Mnemonic::Mov, ALL, &|a, w| a.store(w.width, mem(w.rm), w.reg)), false, true);
    run(("mi", Mnemonic::Mov, ALL, &|a, w| a.store_imm(w.width, mem(w.rm), w.imm)), false, true);
    run(("db", Mnemonic::Movzx, &[W32], &|a, w| a.movzx(W8, w.reg, w.rm)), true, true);
    run(("dh", Mnemonic::Movzx, &[W32], &|a, w| a.movzx(W16, w.reg, w.rm)), true, true);
    run(("dl", Mnemonic::Mov, &[W32], &|a, w| a.movzx(W32, w.reg, w.rm)), true, true);
    run(("rb", Mnemonic::Movsx, WORDS, &|a, w| a.movsx(W8, w.width, w.reg, w.rm)), true, true);
    run(("rh", Mnemonic::Movsx, BIG, &|a, w| a.movsx(W16, w.width, w.reg, w.rm)), true, true);
    run(("rl", Mnemonic::Movsxd, &[W64], &|a, w| a.movsx(W32, w.width, w.reg, w.rm)), true, true);
    run(("rm", Mnemonic::Lea, BIG, &|a, w| a.lea(w.width, w.reg, mem(w.rm))), false, true);
    run(("q", Mnemonic::Push, &[W64], &|a, w| a.push_mem(mem(w.rm))), false, true);
    run(("q", Mnemonic::Pop, &[W64], &|a, w| a.pop_mem(mem(w.rm))), false, true);
    run(("r", Mnemonic::Push, &[W64], &|a, w| a.push(w.reg)), true, false);
    run(("r", Mnemonic::Pop, &[W64], &|a, w| a.pop(w.reg)), true, false);
    run(("i", Mnemonic::Push, &[W64], &|a, w| a.push_imm(w.imm)), true, false);
    run(("r", Mnemonic::Bswap, BIG, &|a, w| a.bswap(w.width, w.reg)), true, false);
    for value in
        [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, u64::MAX, i32::MIN as i64 as u64, 1 << 63]
    {
        for reg in 0..16 {
            let mut asm = Asm::new(AT);
            asm.mov_imm(Reg(reg), value);
            let i = decode(asm.bytes());
            assert_eq!((i.mnemonic(), i.immediate(1)), (Mnemonic::Mov, value));
            assert_eq!(i.op_register(0).full_register(), gpr(Reg(reg), W64));
        }
    }
}

#[test]
fn arithmetic() {
    let all = [Alu::Add, Alu::Or, Alu::Adc, Alu::Sbb, Alu::And, Alu::Sub, Alu::Xor, Alu::Cmp];
    let names = [
        Mnemonic::Add,
        Mnemonic::Or,
        Mnemonic::Adc,
        Mnemonic::Sbb,
        Mnemonic::And,
        Mnemonic::Sub,
        Mnemonic::Xor,
        Mnemonic::Cmp,
    ];
    for (op, name) in all.into_iter().zip(names) {
        run(("rm", name, ALL, &|a, w| a.alu(op, w.width, w.reg, w.rm)), true, true);
        run(("mr", name, ALL, &|a, w| a.alu_to(op, w.width, mem(w.rm), w.reg)), false, true);
        run(("mi", name, ALL, &|a, w| a.alu_imm(op, w.width, w.rm, w.imm)), true, true);
        if op != Alu::Cmp {
            run(("mr", name, ALL, &|a, w| a.lock_alu(op, w.width, mem(w.rm), w.reg)), false, true);
        }
    }
    run(("mr", Mnemonic::Test, ALL, &|a, w| a.test(w.width, w.rm, w.reg)), true, true);
    run(("mi", Mnemonic::Test, ALL, &|a, w| a.test_imm(w.width, w.rm, w.imm)), true, true);
    let unary = [
        (Unary::Not, Mnemonic::Not),
        (Unary::Neg, Mnemonic::Neg),
        (Unary::Mul, Mnemonic::Mul),
        (Unary::Imul, Mnemonic::Imul),
        (Unary::Div, Mnemonic::Div),
        (Unary::Idiv, Mnemonic::Idiv),
    ];
    for (op, name) in unary {
        run(("m", name, ALL, &|a, w| a.unary(op, w.width, w.rm)), true, true);
    }
    run(("m", Mnemonic::Inc, ALL, &|a, w| a.inc(w.width, w.rm)), true, true);
    run(("m", Mnemonic::Dec, ALL, &|a, w| a.dec(w.width, w.rm)), true, true);
    run(("rm", Mnemonic::Imul, WORDS, &|a, w| a.imul(w.width, w.reg, w.rm)), true, true);
    run(("rmi", Mnemonic::Imul, WORDS, &|a, w| a.imul_imm(w.width, w.reg, w.rm, w.imm)), true, true);
    for (n, cond) in CONDS.into_iter().enumerate() {
        let n = n as u32;
        let [cmov, set] = [Code::Cmovo_r64_rm64, Code::Seto_rm8].map(|c| {
            Code::try_from(c as usize + n as usize * if c == Code::Seto_rm8 { 1 } else { 3 }).expect("code")
        });
        let (cmov, set) = (cmov.mnemonic(), set.mnemonic());
        run(("rm", cmov, WORDS, &|a, w| a.cmov(cond, w.width, w.reg, w.rm)), true, true);
        run(("b", set, &[W8], &|a, w| a.setcc(cond, w.rm)), true, true);
    }
}

#[test]
fn bits() {
    let shifts = [
        (Shift::Rol, Mnemonic::Rol),
        (Shift::Ror, Mnemonic::Ror),
        (Shift::Rcl, Mnemonic::Rcl),
        (Shift::Rcr, Mnemonic::Rcr),
        (Shift::Shl, Mnemonic::Shl),
        (Shift::Shr, Mnemonic::Shr),
        (Shift::Sar, Mnemonic::Sar),
    ];
    for (op, name) in shifts {
        run(("m8", name, ALL, &|a, w| a.shift(op, w.width, w.rm, w.imm as u8)), true, true);
        run(("mc", name, ALL, &|a, w| a.shift_cl(op, w.width, w.rm)), true, true);
    }
    run(("mr8", Mnemonic::Shld, WORDS, &|a, w| a.shld(w.width, w.rm, w.reg, w.imm as u8)), true, true);
    run(("mr8", Mnemonic::Shrd, WORDS, &|a, w| a.shrd(w.width, w.rm, w.reg, w.imm as u8)), true, true);
    run(("mrc", Mnemonic::Shld, WORDS, &|a, w| a.shld_cl(w.width, w.rm, w.reg)), true, true);
    run(("mrc", Mnemonic::Shrd, WORDS, &|a, w| a.shrd_cl(w.width, w.rm, w.reg)), true, true);
    let bits = [
        (Bit::Bt, Mnemonic::Bt),
        (Bit::Bts, Mnemonic::Bts),
        (Bit::Btr, Mnemonic::Btr),
        (Bit::Btc, Mnemonic::Btc),
    ];
    for (op, name) in bits {
        run(("m8", name, WORDS, &|a, w| a.bit(op, w.width, w.rm, w.imm as u8)), true, true);
        run(("mr", name, WORDS, &|a, w| a.bit_reg(op, w.width, w.rm, w.reg)), true, true);
    }
    let counts = [
        (Count::Popcnt, Mnemonic::Popcnt),
        (Count::Lzcnt, Mnemonic::Lzcnt),
        (Count::Tzcnt, Mnemonic::Tzcnt),
        (Count::Bsf, Mnemonic::Bsf),
        (Count::Bsr, Mnemonic::Bsr),
    ];
    for (op, name) in counts {
        run(("rm", name, WORDS, &|a, w| a.count(op, w.width, w.reg, w.rm)), true, true);
    }
    for (op, name) in
        [(ShiftX::Shlx, Mnemonic::Shlx), (ShiftX::Shrx, Mnemonic::Shrx), (ShiftX::Sarx, Mnemonic::Sarx)]
    {
        run(("rms", name, BIG, &|a, w| a.shiftx(op, w.width, w.reg, w.rm, w.reg2)), true, true);
    }
    run(("rm8", Mnemonic::Rorx, BIG, &|a, w| a.rorx(w.width, w.reg, w.rm, w.imm as u8)), true, true);
    let bmi = [
        (Bmi::Andn, Mnemonic::Andn),
        (Bmi::Pdep, Mnemonic::Pdep),
        (Bmi::Pext, Mnemonic::Pext),
        (Bmi::Mulx, Mnemonic::Mulx),
    ];
    for (op, name) in bmi {
        run(("rsm", name, BIG, &|a, w| a.bmi(op, w.width, w.reg, w.reg2, w.rm)), true, true);
    }
    run(("rms", Mnemonic::Bzhi, BIG, &|a, w| a.bzhi(w.width, w.reg, w.rm, w.reg2)), true, true);
    run(("rms", Mnemonic::Bextr, BIG, &|a, w| a.bextr(w.width, w.reg, w.rm, w.reg2)), true, true);
    let lowest =
        [(Lowest::Blsr, Mnemonic::Blsr), (Lowest::Blsmsk, Mnemonic::Blsmsk), (Lowest::Blsi, Mnemonic::Blsi)];
    for (op, name) in lowest {
        run(("rm", name, BIG, &|a, w| a.lowest(op, w.width, w.reg, w.rm)), true, true);
    }
}

#[test]
fn atomics_and_jumps() {
    run(("mr", Mnemonic::Xchg, ALL, &|a, w| a.xchg(w.width, mem(w.rm), w.reg)), false, true);
    run(("mr", Mnemonic::Xadd, ALL, &|a, w| a.lock_xadd(w.width, mem(w.rm), w.reg)), false, true);
    run(("mr", Mnemonic::Cmpxchg, ALL, &|a, w| a.lock_cmpxchg(w.width, mem(w.rm), w.reg)), false, true);
    for m in memories() {
        let mut asm = Asm::new(AT);
        asm.lock_cmpxchg16b(m);
        let i = decode(asm.bytes());
        assert!(i.code() == Code::Cmpxchg16b_m128 && i.has_lock_prefix());
        same_memory(&i, &m, "cmpxchg16b");
    }
    run(("q", Mnemonic::Jmp, &[W64], &|a, w| a.jmp_to(w.rm)), true, true);
    run(("q", Mnemonic::Call, &[W64], &|a, w| a.call_to(w.rm)), true, true);
    let bases = [
        (SegBase::Rdfsbase, Mnemonic::Rdfsbase),
        (SegBase::Rdgsbase, Mnemonic::Rdgsbase),
        (SegBase::Wrfsbase, Mnemonic::Wrfsbase),
        (SegBase::Wrgsbase, Mnemonic::Wrgsbase),
    ];
    for (op, name) in bases {
        run(("r", name, &[W64], &|a, w| a.segment_base(op, w.reg)), true, false);
    }
    for a in 0..16 {
        for b in 0..16 {
            let mut asm = Asm::new(AT);
            asm.xchg_regs(W64, Reg(a), Reg(b));
            assert_eq!(decode(asm.bytes()).mnemonic(), Mnemonic::Xchg);
        }
    }
    let plain = [
        (Plain::Cbw, Mnemonic::Cbw),
        (Plain::Cwde, Mnemonic::Cwde),
        (Plain::Cdqe, Mnemonic::Cdqe),
        (Plain::Cwd, Mnemonic::Cwd),
        (Plain::Cdq, Mnemonic::Cdq),
        (Plain::Cqo, Mnemonic::Cqo),
        (Plain::Lahf, Mnemonic::Lahf),
        (Plain::Sahf, Mnemonic::Sahf),
        (Plain::Pushfq, Mnemonic::Pushfq),
        (Plain::Popfq, Mnemonic::Popfq),
        (Plain::Cmc, Mnemonic::Cmc),
        (Plain::Clc, Mnemonic::Clc),
        (Plain::Stc, Mnemonic::Stc),
        (Plain::Ret, Mnemonic::Ret),
        (Plain::Int3, Mnemonic::Int3),
        (Plain::Ud2, Mnemonic::Ud2),
        (Plain::Mfence, Mnemonic::Mfence),
        (Plain::Lfence, Mnemonic::Lfence),
        (Plain::Sfence, Mnemonic::Sfence),
        (Plain::Pause, Mnemonic::Pause),
    ];
    for (op, name) in plain {
        let mut asm = Asm::new(AT);
        asm.plain(op);
        assert_eq!(decode(asm.bytes()).mnemonic(), name);
    }
}

#[test]
fn labels() {
    let mut asm = Asm::new(AT);
    let (back, ahead, data) = (asm.here(), asm.label(), asm.label());
    asm.jmp(ahead);
    asm.jcc(Cond::E, back);
    asm.alu_imm(Alu::Cmp, W32, Mem::label(data).offset(4), 5);
    asm.alu_imm(Alu::Cmp, W32, Mem::label(data), 500);
    let short = asm.jcc_short(Cond::G);
    asm.call(ahead);
    asm.land(short);
    let zero = asm.jrcxz_short();
    asm.land(zero);
    asm.jmp_address(AT - 0x1000);
    asm.bind(ahead);
    asm.align(16);
    asm.bind(data);
    let (ahead, data) = (asm.position(ahead).expect("bound"), asm.position(data).expect("bound"));
    let bytes = asm.finish().expect("all bound");
    let decoded: Vec<Instruction> = Decoder::with_ip(64, &bytes, AT, DecoderOptions::NONE).iter().collect();
    let target = |n: usize| decoded[n].near_branch_target() - AT;
    assert_eq!((target(0), target(1)), (u64::from(ahead), 0));
    assert_eq!(decoded[2].memory_displacement64() - AT, u64::from(data) + 4);
    assert_eq!(decoded[3].memory_displacement64() - AT, u64::from(data));
    assert_eq!(target(4), decoded[6].ip() - AT);
    assert_eq!(target(5), u64::from(ahead));
    assert_eq!((decoded[6].mnemonic(), target(6)), (Mnemonic::Jrcxz, decoded[7].ip() - AT));
    assert_eq!(decoded[7].near_branch_target(), AT - 0x1000);

    let mut asm = Asm::new(AT);
    let nowhere = asm.label();
    asm.jmp(nowhere);
    assert_eq!(asm.finish(), Err(AsmError::Unbound(0)));
    let mut asm = Asm::new(AT);
    asm.mov(W64, Reg::RAX, Mem::address(AT + (1 << 40)));
    assert_eq!(asm.finish(), Err(AsmError::OutOfReach(3)));
}

#[test]
fn padding() {
    for count in 0..40 {
        let mut asm = Asm::new(AT);
        asm.nop(count);
        assert_eq!(asm.bytes().len(), count);
        let mut decoder = Decoder::with_ip(64, asm.bytes(), AT, DecoderOptions::NONE);
        for i in &mut decoder {
            assert_eq!(i.mnemonic(), Mnemonic::Nop);
        }
    }
    for before in 0..24 {
        for at in 0..8 {
            let mut asm = Asm::new(AT + at);
            asm.raw(&vec![0x90; before]);
            let (a, b) = (asm.jmp_field(), asm.jcc_field(Cond::S));
            for field in [a, b] {
                assert!((AT + at + u64::from(field)) & 7 <= 4);
            }
            asm.align(32);
            assert_eq!((asm.at() + u64::from(asm.offset())) & 31, 0);
        }
    }
}

#[cfg(test)]
mod vectors {
    //! The rows.

    use super::super::vector::*;
    use super::*;

    fn xmm(reg: Xmm, bits: u32) -> Register {
        match bits {
            128 => Register::XMM0 + u32::from(reg.0),
            256 => Register::YMM0 + u32::from(reg.0),
            _ => Register::ZMM0 + u32::from(reg.0),
        }
    }

    /// The decoded instruction has this name and these operands: vector registers (their length left open), memory, an
    /// immediate.
    fn same(bytes: &[u8], name: &str, operands: &[XRm], imm: Option<u8>, bits: u32) {
        let i = decode(bytes);
        let text = format!("{name}: {i} from {bytes:02x?}");
        assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(name), "{text}");
        assert_eq!(i.op_count() as usize, operands.len() + usize::from(imm.is_some()), "{text}");
        let mut widest = 0;
        for (n, operand) in (0u32..).zip(operands) {
            match operand {
                XRm::Reg(r) => {
                    let register = i.op_register(n);
                    assert_eq!(register.number(), usize::from(r.0), "{text}");
                    assert!(register.is_vector_register(), "{text}");
                    widest = widest.max(register.size() as u32 * 8);
                }
                XRm::Mem(m) => {
                    assert_eq!(i.op_kind(n), OpKind::Memory, "{text}");
                    same_memory(&i, m, &text);
                    widest = widest.max(i.memory_size().size() as u32 * 8);
                }
            }
        }
        assert_eq!(widest, bits, "{text}");
        if let Some(imm) = imm {
            assert_eq!(i.immediate(operands.len() as u32) as u8, imm, "{text}");
        }
    }

    fn emit(build: impl FnOnce(&mut Asm)) -> Vec<u8> {
        let mut asm = Asm::new(AT);
        build(&mut asm);
        asm.finish().expect("finished")
    }

    #[test]
    fn rows() {
        let memories = memories();
        for (row, &(name, op)) in super::super::vector::ALL.iter().enumerate() {
            let legacy = name.split('_').next().expect("a name");
            let vex = if op.has_legacy() { format!("v{legacy}") } else { legacy.to_owned() };
            let regs = (0..256u32).map(|n| XRm::Reg(Xmm((n * 5 % 16) as u8)));
            let mems = memories.iter().skip(row % 7).step_by(7).map(|m| XRm::Mem(*m));
            let regs = regs.take(if op.in_registers() { 256 } else { 0 });
            let mems = mems.take(if op.in_memory() { usize::MAX } else { 0 });
            for (n, b) in regs.chain(mems).enumerate() {
                let (dst, a, imm) = (Xmm((n / 16 % 16) as u8), Xmm((n / 3 % 16) as u8), n as u8);
                let (d, s) = (XRm::Reg(dst), XRm::Reg(a));
                if op.has_legacy() {
                    let (bytes, operands, imm) = match op.shape() {
                        Shape::Bin | Shape::Un => (emit(|asm| asm.sse(op, dst, b)), [d, b], None),
                        Shape::Store => (emit(|asm| asm.sse(op, dst, b)), [b, d], None),
                        Shape::BinImm | Shape::UnImm => {
                            (emit(|asm| asm.sse_imm(op, dst, b, imm)), [d, b], Some(imm))
                        }
                        Shape::StoreImm => (emit(|asm| asm.sse_imm(op, dst, b, imm)), [b, d], Some(imm)),
                    };
                    // Predicates have mnemonics of their own only in text.
                    same(&bytes, legacy, &operands, imm, 128);
                }
                for (length, bits) in [(L128, 128), (L256, 256)] {
                    if !op.has(length) || !op.has_vex() {
                        continue;
                    }
                    let (bytes, operands, imm) = match op.shape() {
                        Shape::Bin => (emit(|asm| asm.avx(op, length, dst, a, b)), vec![d, s, b], None),
                        Shape::Un => (emit(|asm| asm.avx_un(op, length, dst, b)), vec![d, b], None),
                        Shape::Store => (emit(|asm| asm.avx_un(op, length, dst, b)), vec![b, d], None),
                        Shape::BinImm => {
                            (emit(|asm| asm.avx_imm(op, length, dst, a, b, imm)), vec![d, s, b], Some(imm))
                        }
                        Shape::UnImm => {
                            (emit(|asm| asm.avx_un_imm(op, length, dst, b, imm)), vec![d, b], Some(imm))
                        }
                        Shape::StoreImm => {
                            (emit(|asm| asm.avx_un_imm(op, length, dst, b, imm)), vec![b, d], Some(imm))
                        }
                    };
                    same(&bytes, &vex, &operands, imm, bits);
                }
            }
        }
    }

    /// The name of a row's EVEX form.
    fn evex_name(row: &str) -> String {
        let legacy = row.split('_').next().expect("a name").to_lowercase();
        match &*legacy {
            "pand" | "pandn" | "por" | "pxor" => format!("v{legacy}d"),
            "movdqu" | "movdqa" => format!("v{legacy}32"),
            name if name.ends_with("128") => name.replace("128", "32x4"),
            name if name.starts_with('v') => name.to_owned(),
            name => format!("v{name}"),
        }
    }

    /// Every row that has an EVEX form, with registers that only EVEX names and with memory.
    #[test]
    fn evex_rows() {
        let mut memories = memories();
        for disp in [2, 4, 8, 16, 32, 64, -8, -32, 127 * 32, 128 * 32, -128 * 32] {
            memories.push(Mem::base(Reg::RSI, disp));
        }
        for &(row, op) in super::super::vector::ALL {
            if !op.has_evex() {
                let mut asm = Asm::new(AT);
                asm.evex_un(op, 0, Xmm(1), Xmm(2));
                assert_eq!(asm.finish(), Err(AsmError::NoForm), "{row}");
                continue;
            }
            let name = evex_name(row);
            let regs = (0..32).map(|n| XRm::Reg(Xmm(n))).take(if op.in_registers() { 32 } else { 0 });
            let mems =
                memories.iter().map(|m| XRm::Mem(*m)).take(if op.in_memory() { usize::MAX } else { 0 });
            for (n, b) in regs.chain(mems).enumerate() {
                let (dst, a, imm) = (Xmm((n * 7 % 32) as u8), Xmm((n * 5 % 32) as u8), n as u8);
                let (d, s) = (XRm::Reg(dst), XRm::Reg(a));
                for (length, bits) in [(0, 128), (1, 256)] {
                    if !op.has(Length(length)) {
                        continue;
                    }
                    let (bytes, operands, imm) = match op.shape() {
                        Shape::Bin => (emit(|asm| asm.evex(op, length, dst, a, b)), vec![d, s, b], None),
                        Shape::Un => (emit(|asm| asm.evex_un(op, length, dst, b)), vec![d, b], None),
                        Shape::Store => (emit(|asm| asm.evex_un(op, length, dst, b)), vec![b, d], None),
                        Shape::BinImm => {
                            (emit(|asm| asm.evex_imm(op, length, dst, a, b, imm)), vec![d, s, b], Some(imm))
                        }
                        Shape::UnImm => {
                            (emit(|asm| asm.evex_un_imm(op, length, dst, b, imm)), vec![d, b], Some(imm))
                        }
                        Shape::StoreImm => {
                            (emit(|asm| asm.evex_un_imm(op, length, dst, b, imm)), vec![b, d], Some(imm))
                        }
                    };
                    same(&bytes, &name, &operands, imm, bits);
                }
            }
        }
    }

    /// Shifts, lanes and crossings in EVEX.
    #[test]
    fn evex_others() {
        let shifts = [
            (VShift::Psrlw, "vpsrlw"),
            (VShift::Psraw, "vpsraw"),
            (VShift::Psllw, "vpsllw"),
            (VShift::Psrld, "vpsrld"),
            (VShift::Psrad, "vpsrad"),
            (VShift::Pslld, "vpslld"),
            (VShift::Psrlq, "vpsrlq"),
            (VShift::Psrldq, "vpsrldq"),
            (VShift::Psllq, "vpsllq"),
            (VShift::Pslldq, "vpslldq"),
        ];
        for n in 0..32 * 32u32 {
            let (d, a) = (Xmm((n & 31) as u8), Xmm((n >> 5) as u8));
            let b = Xmm((n % 29) as u8);
            let r = Reg((n % 15) as u8);
            for (op, name) in shifts {
                for (length, bits) in [(0, 128), (1, 256)] {
                    let bytes = emit(|asm| asm.evex_shift(op, length, d, a, 7));
                    same(&bytes, name, &[d.into(), a.into()], Some(7), bits);
                }
            }
            let bytes = emit(|asm| asm.evex_or3(d, a, b));
            same(&bytes, "vpternlogd", &[d.into(), a.into(), b.into()], Some(0xfe), 512);
            let bytes = emit(|asm| asm.evex_ones(1, d));
            same(&bytes, "vpternlogd", &[d.into(), d.into(), d.into()], Some(0xff), 256);
            let name = |i: &Instruction, name: &str| {
                assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(name), "{i}");
            };
            for (width, letter) in [(W8, 'b'), (W16, 'w'), (W32, 'd'), (W64, 'q')] {
                let i = decode(&emit(|asm| asm.evex_insert_lane(width, d, a, r, 1)));
                name(&i, &format!("vpinsr{letter}"));
                assert_eq!((i.op_register(0), i.op_register(1)), (xmm(d, 128), xmm(a, 128)), "{i}");
                assert_eq!(i.op_register(2).number(), usize::from(r.0), "{i}");
                let i = decode(&emit(|asm| asm.evex_extract_lane(width, r, a, 1)));
                name(&i, &format!("vpextr{letter}"));
                assert_eq!((i.op_register(0).number(), i.op_register(1)), (r.0.into(), xmm(a, 128)), "{i}");
                let m = Mem::base(Reg::RSI, 8);
                let i = decode(&emit(|asm| asm.evex_extract_lane(width, m, a, 1)));
                same_memory(&i, &m, "vpextr");
            }
            for (width, mov) in [(W32, "vmovd"), (W64, "vmovq")] {
                let i = decode(&emit(|asm| asm.evex_from(Cross::MovTo, width, d, d, r)));
                name(&i, mov);
                assert_eq!((i.op_register(0), i.op_register(1).number()), (xmm(d, 128), r.0.into()), "{i}");
                let i = decode(&emit(|asm| asm.evex_to(Cross::MovFrom, width, r, a)));
                name(&i, mov);
                assert_eq!((i.op_register(0).number(), i.op_register(1)), (r.0.into(), xmm(a, 128)), "{i}");
                let i = decode(&emit(|asm| asm.evex_from(Cross::Cvtsi2sd, width, d, a, r)));
                name(&i, "vcvtsi2sd");
                assert_eq!((i.op_register(0), i.op_register(1)), (xmm(d, 128), xmm(a, 128)), "{i}");
                let i = decode(&emit(|asm| asm.evex_to(Cross::Cvttsd2si, width, r, a)));
                name(&i, "vcvttsd2si");
                assert_eq!((i.op_register(0).number(), i.op_register(1)), (r.0.into(), xmm(a, 128)), "{i}");
            }
        }
    }

    #[test]
    fn shifts() {
        let all = [
            (VShift::Psrlw, "psrlw"),
            (VShift::Psraw, "psraw"),
            (VShift::Psllw, "psllw"),
            (VShift::Psrld, "psrld"),
            (VShift::Psrad, "psrad"),
            (VShift::Pslld, "pslld"),
            (VShift::Psrlq, "psrlq"),
            (VShift::Psrldq, "psrldq"),
            (VShift::Psllq, "psllq"),
            (VShift::Pslldq, "pslldq"),
        ];
        for (op, name) in all {
            for a in 0..16 {
                let bytes = emit(|asm| asm.sse_shift(op, Xmm(a), 3));
                same(&bytes, name, &[Xmm(a).into()], Some(3), 128);
                for b in 0..16 {
                    for (length, bits) in [(L128, 128), (L256, 256)] {
                        let bytes = emit(|asm| asm.avx_shift(op, length, Xmm(a), Xmm(b), 7));
                        same(&bytes, &format!("v{name}"), &[Xmm(a).into(), Xmm(b).into()], Some(7), bits);
                    }
                }
            }
        }
    }

    #[test]
    fn crossings() {
        let to = [(Cross::MovTo, "mov"), (Cross::Cvtsi2ss, "cvtsi2ss"), (Cross::Cvtsi2sd, "cvtsi2sd")];
        let from = [
            (Cross::MovFrom, "mov"),
            (Cross::Cvttss2si, "cvttss2si"),
            (Cross::Cvttsd2si, "cvttsd2si"),
            (Cross::Cvtss2si, "cvtss2si"),
            (Cross::Cvtsd2si, "cvtsd2si"),
            (Cross::Movmskps, "movmskps"),
            (Cross::Movmskpd, "movmskpd"),
            (Cross::Pmovmskb, "pmovmskb"),
        ];
        for width in [W32, W64] {
            let named = |name: &str| match (name, width) {
                ("mov", W32) => "movd".to_owned(),
                ("mov", _) => "movq".to_owned(),
                _ => name.to_owned(),
            };
            for a in 0..16 {
                for b in 0..16 {
                    let (x, r) = (Xmm(a), Reg(b));
                    let (vector, general) = (xmm(x, 128), gpr(r, width));
                    for (op, name) in to {
                        let i = decode(&emit(|asm| asm.sse_from(op, width, x, r)));
                        assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(&named(name)), "{i}");
                        assert_eq!((i.op_register(0), i.op_register(1)), (vector, general), "{i}");
                        let i = decode(&emit(|asm| asm.avx_from(op, width, x, Xmm(b), r)));
                        assert!(
                            format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(&format!("v{}", named(name))),
                            "{i}"
                        );
                        let last = i.op_count() - 1;
                        assert_eq!((i.op_register(0), i.op_register(last)), (vector, general), "{i}");
                        assert!(last == 1 || i.op_register(1) == xmm(Xmm(b), 128), "{i}");
                        let m = Mem::indexed(r, Reg(13), Scale::X8, -5);
                        let i = decode(&emit(|asm| asm.sse_from(op, width, x, m)));
                        same_memory(&i, &m, name);
                        assert_eq!(i.memory_size().size() as u32 * 8, width.bits(), "{i}");
                    }
                    for (op, name) in from {
                        let is_mask = matches!(op, Cross::Movmskps | Cross::Movmskpd | Cross::Pmovmskb);
                        if is_mask && width == W64 {
                            continue;
                        }
                        let i = decode(&emit(|asm| asm.sse_to(op, width, r, x)));
                        assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(&named(name)), "{i}");
                        assert_eq!((i.op_register(0), i.op_register(1)), (general, vector), "{i}");
                        let i = decode(&emit(|asm| asm.avx_to(op, width, L128, r, x)));
                        assert_eq!((i.op_register(0), i.op_register(1)), (general, vector), "{i}");
                        if is_mask {
                            let i = decode(&emit(|asm| asm.avx_to(op, width, L256, r, x)));
                            assert_eq!((i.op_register(0), i.op_register(1)), (general, xmm(x, 256)), "{i}");
                        }
                    }
                }
            }
        }
        for (width, letter) in [(W8, 'b'), (W16, 'w'), (W32, 'd'), (W64, 'q')] {
            for a in 0..16 {
                for b in 0..16 {
                    let (x, r, y) = (Xmm(a), Reg(b), Xmm((a + b) & 15));
                    let m = Mem::base(r, 8);
                    let name = |i: &Instruction, stem: &str| {
                        let name = format!("{stem}{letter}");
                        assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(&name), "{i}");
                    };
                    let i = decode(&emit(|asm| asm.sse_insert(width, x, r, 1)));
                    name(&i, "pinsr");
                    assert_eq!((i.op_register(0), i.op_register(1).number()), (xmm(x, 128), b.into()), "{i}");
                    let i = decode(&emit(|asm| asm.avx_insert(width, x, y, r, 1)));
                    name(&i, "vpinsr");
                    assert_eq!((i.op_register(0), i.op_register(1)), (xmm(x, 128), xmm(y, 128)), "{i}");
                    assert_eq!(i.op_register(2).number(), usize::from(b), "{i}");
                    let i = decode(&emit(|asm| asm.sse_extract(width, r, x, 1)));
                    name(&i, "pextr");
                    assert_eq!((i.op_register(0).number(), i.op_register(1)), (b.into(), xmm(x, 128)), "{i}");
                    let i = decode(&emit(|asm| asm.avx_extract(width, m, x, 1)));
                    name(&i, "vpextr");
                    same_memory(&i, &m, "vpextr");
                    assert_eq!((i.memory_size().size() as u32 * 8, i.immediate(2)), (width.bits(), 1), "{i}");
                }
            }
        }
    }

    /// Rows of whole vectors in EVEX, with all 32 registers, and displacements that count in vectors.
    #[test]
    fn evex() {
        let bin = [
            (ADDPD, "vaddpd"),
            (MULPS, "vmulps"),
            (PADDQ, "vpaddq"),
            (PSHUFB, "vpshufb"),
            (PMULUDQ, "vpmuludq"),
        ];
        let mut memories = memories();
        for disp in [16, 32, 64, -64, 127 * 64, 128 * 64, -128 * 64, 127 * 32] {
            memories.push(Mem::base(Reg::RSI, disp));
        }
        for n in 0..32 * 32u32 {
            let (d, a, b) = (Xmm((n & 31) as u8), Xmm((n >> 5) as u8), Xmm((n % 29) as u8));
            for (length, bits) in [(0, 128), (1, 256), (2, 512)] {
                for (op, name) in bin {
                    same(
                        &emit(|asm| asm.evex(op, length, d, a, b)),
                        name,
                        &[d.into(), a.into(), b.into()],
                        None,
                        bits,
                    );
                }
                let bytes = emit(|asm| asm.evex_un(MOVAPS, length, d, a));
                same(&bytes, "vmovaps", &[d.into(), a.into()], None, bits);
                let m = memories[n as usize % memories.len()];
                let bytes = emit(|asm| asm.evex_un(MOVUPS_STORE, length, d, m));
                same(&bytes, "vmovups", &[m.into(), d.into()], None, bits);
                let bytes = emit(|asm| asm.evex_imm(SHUFPD, length, d, a, b, 0x5a));
                same(&bytes, "vshufpd", &[d.into(), a.into(), b.into()], Some(0x5a), bits);
            }
            for (bits, insert, extract) in
                [(128, "vinserti32x4", "vextracti32x4"), (256, "vinserti64x4", "vextracti64x4")]
            {
                let bytes = emit(|asm| asm.evex_insert(bits, d, a, b, 1));
                same(&bytes, insert, &[d.into(), a.into(), b.into()], Some(1), 512);
                let bytes = emit(|asm| asm.evex_extract(bits, d, a, 1));
                same(&bytes, extract, &[d.into(), a.into()], Some(1), 512);
            }
        }
        for m in memories {
            for (length, bits) in [(0, 128), (1, 256), (2, 512)] {
                let bytes = emit(|asm| asm.evex_un(MOVUPS, length, Xmm(17), m));
                same(&bytes, "vmovups", &[Xmm(17).into(), m.into()], None, bits);
            }
        }
    }

    #[test]
    fn blends() {
        let all =
            [(Blendv::Pblendvb, "pblendvb"), (Blendv::Blendvps, "blendvps"), (Blendv::Blendvpd, "blendvpd")];
        for (op, name) in all {
            for n in 0..=255u8 {
                let (d, a, b, mask) = (Xmm(n & 15), Xmm(n >> 4), Xmm(n % 13), Xmm(n % 11));
                let i = decode(&emit(|asm| asm.sse_blendv(op, d, b)));
                assert!(format!("{:?}", i.mnemonic()).eq_ignore_ascii_case(name), "{i}");
                assert_eq!((i.op_register(0), i.op_register(1)), (xmm(d, 128), xmm(b, 128)), "{i}");
                let bytes = emit(|asm| asm.avx_blendv(op, L256, d, a, b, mask));
                same(&bytes, &format!("v{name}"), &[d.into(), a.into(), b.into(), mask.into()], None, 256);
            }
        }
        assert_eq!(decode(&emit(Asm::vzeroupper)).mnemonic(), Mnemonic::Vzeroupper);
    }
}
