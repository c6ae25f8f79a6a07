//! Selection of operations on the lanes of vectors.
//!
//! Most are one instruction. Those that are not say so where they stand; what the guest's instruction set has, the host's has
//! too, so long sequences serve passes only.

use ir::op::Op;
use ir::trace::Inst;
use ir::types::{Operand, Type, Wide};

use super::super::CodegenError;
use super::asm::Width;
use super::asm::vector::{self as row, Blendv, Cross, V, VShift};
use super::inst::MOp;
use super::prepare::is_general;
use super::select::Selector;
use super::select_float::round_imm;
use super::select_vector::{Last, length_of};
use super::shuffle::{self, Plan, Side};
use super::vinst::{VOp, What};
use crate::regalloc::Role;

/// Instructions for lanes of 8, 16, 32 and 64 bits.
type Rows = [Option<V>; 4];

fn by_lane(rows: Rows, lane: Type) -> Option<V> {
    rows[match lane.bits() {
        8 => 0,
        16 => 1,
        32 => 2,
        _ => 3,
    }]
}

/// The row for float lanes.
fn float_row(lane: Type, single: V, double: V) -> V {
    if lane == Type::F32 { single } else { double }
}

/// Symmetric operations on integer lanes that are one instruction.
fn symmetric(op: Op, lane: Type) -> Option<V> {
    let rows = match op {
        Op::VAdd => [Some(row::PADDB), Some(row::PADDW), Some(row::PADDD), Some(row::PADDQ)],
        Op::VMul => [None, Some(row::PMULLW), Some(row::PMULLD), None],
        Op::VUmulh => [None, Some(row::PMULHUW), None, None],
        Op::VSmulh => [None, Some(row::PMULHW), None, None],
        Op::VUmulw => [None, None, Some(row::PMULUDQ), None],
        Op::VSmulw => [None, None, Some(row::PMULDQ), None],
        Op::VMadd => [None, Some(row::PMADDWD), None, None],
        Op::VSad => [Some(row::PSADBW), None, None, None],
        Op::VUavg => [Some(row::PAVGB), Some(row::PAVGW), None, None],
        Op::VUadds => [Some(row::PADDUSB), Some(row::PADDUSW), None, None],
        Op::VSadds => [Some(row::PADDSB), Some(row::PADDSW), None, None],
        Op::VUmin => [Some(row::PMINUB), Some(row::PMINUW), Some(row::PMINUD), None],
        Op::VUmax => [Some(row::PMAXUB), Some(row::PMAXUW), Some(row::PMAXUD), None],
        Op::VSmin => [Some(row::PMINSB), Some(row::PMINSW), Some(row::PMINSD), None],
        Op::VSmax => [Some(row::PMAXSB), Some(row::PMAXSW), Some(row::PMAXSD), None],
        Op::VEq => [Some(row::PCMPEQB), Some(row::PCMPEQW), Some(row::PCMPEQD), Some(row::PCMPEQQ)],
        _ => return None,
    };
    by_lane(rows, lane)
}

/// Other operations on two sources that are one instruction.
fn ordered(op: Op, lane: Type) -> Option<V> {
    let rows = match op {
        Op::VSub => [Some(row::PSUBB), Some(row::PSUBW), Some(row::PSUBD), Some(row::PSUBQ)],
        Op::VUsubs => [Some(row::PSUBUSB), Some(row::PSUBUSW), None, None],
        Op::VSsubs => [Some(row::PSUBSB), Some(row::PSUBSW), None, None],
        Op::VSgt => [Some(row::PCMPGTB), Some(row::PCMPGTW), Some(row::PCMPGTD), Some(row::PCMPGTQ)],
        Op::VSpack => [None, Some(row::PACKSSWB), Some(row::PACKSSDW), None],
        Op::VUpack => [None, Some(row::PACKUSWB), Some(row::PACKUSDW), None],
        Op::VLookup => return Some(row::PSHUFB),
        Op::VFadd => return Some(float_row(lane, row::ADDPS, row::ADDPD)),
        Op::VFsub => return Some(float_row(lane, row::SUBPS, row::SUBPD)),
        Op::VFmul => return Some(float_row(lane, row::MULPS, row::MULPD)),
        Op::VFdiv => return Some(float_row(lane, row::DIVPS, row::DIVPD)),
        Op::VFminSse => return Some(float_row(lane, row::MINPS, row::MINPD)),
        Op::VFmaxSse => return Some(float_row(lane, row::MAXPS, row::MAXPD)),
        _ => return None,
    };
    by_lane(rows, lane)
}

/// A float comparison and its predicate.
#[derive(Clone, Copy)]
pub(super) struct Compare {
    lane: Type,
    predicate: u8,
    a: Operand,
    b: Operand,
}

fn predicate(op: Op) -> Option<u8> {
    Some(match op {
        Op::VFeq => 0,
        Op::VFlt => 1,
        Op::VFle => 2,
        Op::VFuno => 3,
        _ => return None,
    })
}

/// Are all lanes of these bits of one width equal? Then those bits.
fn splat_of(bits: &Wide, lane: Type) -> u64 {
    bits[0] & lane.mask64()
}

/// A vector with this in every lane.
pub(super) fn splat(value: u64, lane: Type, ty: Type) -> Wide {
    let mut word = value & lane.mask64();
    let mut width = lane.bits();
    while width < 64 {
        word |= word << width;
        width *= 2;
    }
    let mut bits = Wide::default();
    bits[..ty.bytes() as usize / 8].fill(word);
    bits
}

impl Selector<'_> {
    /// Makes a value of an operation on lanes.
    pub(super) fn lanes(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (lane, ty, args) = (inst.aty, inst.ty, inst.args);
        if length_of(ty) > 1 {
            return Err(self.refuse(inst));
        }
        if let Some(op) = symmetric(inst.op, lane) {
            let (mut a, mut b) = (args[0], args[1]);
            if a.is_literal() || self.wants_memory(a, ty) && !self.wants_memory(b, ty) {
                (a, b) = (b, a);
            }
            let a = self.vec(a, ty);
            let last = self.last(b, ty, false);
            self.plain(v, What::Sym(op), ty, &[a], Some(last));
            return Ok(());
        }
        if let Some(op) = ordered(inst.op, lane) {
            self.two(inst, v, What::Bin(op));
            return Ok(());
        }
        match inst.op {
            Op::VFfma if self.s.kit.vex => {
                self.fused(inst, v, float_row(lane, row::VFMADD231PS, row::VFMADD231PD))
            }
            Op::VSplat => self.splat_op(inst, v)?,
            Op::VShuffle => self.shuffle(inst, v)?,
            Op::VBlend => self.blend(inst, v),
            Op::VSigns => self.signs(inst, v)?,
            Op::VShl | Op::VShr | Op::VSar => self.shift_lanes(inst, v)?,
            Op::VAbs if lane.bits() < 64 => {
                let op = by_lane([Some(row::PABSB), Some(row::PABSW), Some(row::PABSD), None], lane);
                self.one(inst, v, What::Un(op.unwrap_or(row::PABSD)));
            }
            Op::VMul if lane == Type::I64 && self.s.kit.high => self.two(inst, v, What::Bin(row::VPMULLQ)),
            Op::VMul if lane == Type::I64 => self.multiply_64(inst, v),
            Op::VMul => return Err(self.refuse(inst)),
            Op::VUmulh | Op::VSmulh if lane == Type::I32 => self.multiply_high(inst, v),
            Op::VFeq | Op::VFlt | Op::VFle | Op::VFuno => {
                let compare =
                    Compare { lane, predicate: predicate(inst.op).unwrap_or(0), a: args[0], b: args[1] };
                self.float_mask(inst, v, &compare, false);
            }
            Op::VFsqrt => self.one(inst, v, What::Un(float_row(lane, row::SQRTPS, row::SQRTPD))),
            Op::VSitof => self.one(inst, v, What::Un(row::CVTDQ2PS)),
            Op::VSitod => self.one(inst, v, What::Un(row::CVTDQ2PD)),
            Op::VFtosi => self.one(inst, v, What::Un(float_row(lane, row::CVTTPS2DQ, row::CVTTPD2DQ))),
            Op::VFtosiNear => self.one(inst, v, What::Un(float_row(lane, row::CVTPS2DQ, row::CVTPD2DQ))),
            Op::VFext => self.one(inst, v, What::Un(row::CVTPS2PD)),
            Op::VFnarrow => self.one(inst, v, What::Un(row::CVTPD2PS)),
            Op::VUmin | Op::VUmax | Op::VSmin | Op::VSmax => self.min_max_64(inst, v),
            _ if inst.op.info().name == "v.fround" => {
                let imm = round_imm(inst.attr);
                self.one(inst, v, What::UnImm(float_row(lane, row::ROUNDPS, row::ROUNDPD), imm));
            }
            _ => return Err(self.refuse(inst)),
        }
        Ok(())
    }

    /// Would this operand be folded into an instruction as memory?
    fn wants_memory(&mut self, o: Operand, ty: Type) -> bool {
        matches!(self.last(o, ty, false), Last::Load(..))
    }

    fn two(&mut self, inst: &Inst, v: u32, what: What) {
        let a = self.vec(inst.args[0], inst.ty);
        let last = self.last(inst.args[1], inst.ty, false);
        self.plain(v, what, inst.ty, &[a], Some(last));
    }

    fn one(&mut self, inst: &Inst, v: u32, what: What) {
        // Those that read half of the source could take shorter memory than the operand has.
        let half = matches!(inst.op, Op::VSitod | Op::VFext);
        let last = if half {
            Last::Reg(self.vec(inst.args[0], inst.ty))
        } else {
            self.last(inst.args[0], inst.ty, false)
        };
        self.plain(v, what, inst.ty, &[], Some(last));
    }

    // --- floats ------------------------------------------------------------------------------------

    /// The float comparison that makes a value needed for nothing but its complement.
    pub(super) fn negated_compare(&mut self, o: Operand) -> Option<Compare> {
        let v = self.root(o.as_value()?);
        let def = self.def(v).copied()?;
        let single =
            def.res.0 == v && self.s.facts.uses[v as usize] == 1 && !self.s.facts.in_exit[v as usize];
        let predicate = predicate(def.op)?;
        (single && !self.is_live(v)).then_some(Compare {
            lane: def.aty,
            predicate,
            a: def.args[0],
            b: def.args[1],
        })
    }

    /// `v` is the mask of a comparison, or its complement.
    pub(super) fn float_mask(&mut self, inst: &Inst, v: u32, compare: &Compare, negated: bool) {
        let op = float_row(compare.lane, row::CMPPS, row::CMPPD);
        let a = self.vec(compare.a, inst.ty);
        // Of a complement the operands' loads may be further up.
        let last = if negated {
            Last::Reg(self.vec(compare.b, inst.ty))
        } else {
            self.last(compare.b, inst.ty, false)
        };
        let imm = compare.predicate | u8::from(negated) << 2;
        self.plain(v, What::BinImm(op, imm), inst.ty, &[a], Some(last));
    }

    // --- choices -----------------------------------------------------------------------------------

    /// `v.blend mask, a, b`: from `a` where the mask's lane has its top bit.
    fn blend(&mut self, inst: &Inst, v: u32) {
        let (lane, ty, args) = (inst.aty, inst.ty, inst.args);
        let op = match lane.bits() {
            32 => Blendv::Blendvps,
            64 => Blendv::Blendvpd,
            _ => Blendv::Pblendvb,
        };
        // Words have no blend: their top bits are spread over both bytes first.
        let mask = if lane == Type::I16 { self.new_vector(ty) } else { self.vec(args[0], ty) };
        let (a, b) = (self.vec(args[1], ty), self.vec(args[2], ty));
        let vop = VOp { length: length_of(ty), ..VOp::new(What::Blend(op)) };
        self.begin(MOp::Vector(vop), Width::W64);
        self.src(b, Role::Use);
        self.src(a, Role::Use);
        let vex = self.s.kit.vex;
        self.src(mask, if vex { Role::Use } else { Role::Fixed(crate::regalloc::VECTOR) });
        self.def_(v, if vex { Role::Def } else { Role::Reuse(false) });
        self.end(0);
        if lane == Type::I16 {
            let from = self.vec(args[0], ty);
            self.plain(mask, What::Shift(VShift::Psraw, 15), ty, &[from], None);
        }
    }

    fn signs(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let Some(ty) = self.trace.operand_type(inst.args[0]) else { return Err(self.refuse(inst)) };
        let length = length_of(ty);
        if length > 0 && !self.s.kit.vex || length > 1 {
            return Err(self.refuse(inst));
        }
        let src = self.vec(inst.args[0], ty);
        let op = match inst.aty.bits() {
            8 => Cross::Pmovmskb,
            32 => Cross::Movmskps,
            64 => Cross::Movmskpd,
            _ if length > 0 => return Err(self.refuse(inst)),
            _ => {
                // Words become bytes, saturating, twice; the upper eight signs go.
                let (bytes, all) = (self.new_vector(ty), self.new_general());
                self.step32(MOp::Alu(super::asm::Alu::And), v, all, 0xff);
                self.move_to_general(all, What::From(Cross::Pmovmskb), Width::W32, 0, Last::Reg(bytes));
                self.plain(bytes, What::Bin(row::PACKSSWB), ty, &[src], Some(Last::Reg(src)));
                return Ok(());
            }
        };
        self.move_to_general(v, What::From(op), Width::W32, length, Last::Reg(src));
        Ok(())
    }

    fn splat_op(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (lane, ty, o) = (inst.aty, inst.ty, inst.args[0]);
        if let Some(bits) = self.bits_of(o, lane) {
            let all = splat(splat_of(&bits, lane), lane, ty);
            let c = self.constant_vreg(&all, ty);
            self.plain(v, What::Un(row::MOVAPS), ty, &[], Some(Last::Reg(c)));
            return Ok(());
        }
        let vex = self.s.kit.vex;
        let float = !is_general(lane);
        let (from, last) = if float {
            let last = self.last(o, lane, true);
            (None, last)
        } else {
            let low = self.new_vector(Type::V128);
            (Some(low), Last::Reg(low))
        };
        let broadcast = match lane.bits() {
            8 => row::VPBROADCASTB,
            16 => row::VPBROADCASTW,
            32 if float => row::VBROADCASTSS,
            32 => row::VPBROADCASTD,
            64 if float && ty == Type::V256 => row::VBROADCASTSD,
            64 if float => row::MOVDDUP,
            _ => row::VPBROADCASTQ,
        };
        match lane.bits() {
            _ if vex => self.plain(v, What::Un(broadcast), ty, &[], Some(last)),
            64 => self.plain(v, What::Un(row::MOVDDUP), ty, &[], Some(last)),
            32 => {
                let last = if let Last::Load(x, _) = last { Last::Reg(x) } else { last };
                self.plain(v, What::UnImm(row::PSHUFD, 0), ty, &[], Some(last));
            }
            16 => {
                let pair = self.new_vector(ty);
                self.plain(v, What::UnImm(row::PSHUFD, 0), ty, &[], Some(Last::Reg(pair)));
                self.plain(pair, What::UnImm(row::PSHUFLW, 0), ty, &[], Some(last));
            }
            _ => {
                let (Some(low), zero) = (from, self.constant_vreg(&Wide::default(), ty)) else {
                    return Err(self.refuse(inst));
                };
                self.plain(v, What::Bin(row::PSHUFB), ty, &[low], Some(Last::Reg(zero)));
            }
        }
        if let Some(low) = from {
            let general = self.reg(o, lane);
            let width = if lane == Type::I64 { Width::W64 } else { Width::W32 };
            self.begin(MOp::Vector(VOp::new(What::To)), width);
            self.src(general, Role::Use);
            self.def_(low, Role::Def);
            self.end(0);
        }
        Ok(())
    }

    // --- shuffles ----------------------------------------------------------------------------------

    /// The bytes that a `v.shuffle` chooses, one list of 16 per part of 128 bits, and from which part of each source they come
    /// (`None`: from several).
    fn shuffle(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (lane, ty) = (inst.aty, inst.ty);
        let size = lane.bits() as usize / 8;
        let (count, bytes) = (ty.bytes() as usize / size, ty.bytes() as usize);
        let index = self.bits_of(inst.args[2], Type::V512).unwrap_or_default();
        let lane_at = |i: usize| (index[i / 8] >> (i % 8 * 8)) as u8 as usize;
        let (a, b) = (inst.args[0], inst.args[1]);
        let is_zero = |s: &Self, o: Operand| s.bits_of(o, ty).is_some_and(|b| b.iter().all(|w| *w == 0));
        let zero = [is_zero(self, a), is_zero(self, b)];
        let same = match (a.as_value(), b.as_value()) {
            (Some(x), Some(y)) => self.root(x) == self.root(y),
            _ => false,
        };
        // Every byte of the result: source and byte in it.
        let from = |i: usize| {
            let l = lane_at(i / size) % (2 * count);
            let (side, l) = if l >= count { (1, l - count) } else { (0, l) };
            let side = if same { 0 } else { side };
            (!zero[side]).then_some((side, l * size + i % size))
        };
        let parts = bytes / 16;
        let mut plans = [[shuffle::ZERO; 16]; 2];
        let mut within = true;
        for i in 0..bytes {
            if let Some((side, at)) = from(i) {
                within &= at / 16 == i / 16;
                plans[i / 16][i % 16] = (at % 16) as u8 | (side as u8) << 4;
            }
        }
        if parts == 1 || within && plans[0] == plans[1] {
            let plan = shuffle::plan(&plans[0]);
            return self.by_plan(inst, v, plan, &plans);
        }
        if !self.s.kit.vex {
            return Err(self.refuse(inst));
        }
        if within {
            let both = plans.concat();
            let seconds = both.iter().any(|x| x & (shuffle::ZERO | 16) == 16);
            let firsts = both.iter().any(|x| x & (shuffle::ZERO | 16) == 0);
            let plan = match (firsts, seconds) {
                (true, true) => Plan::Tables,
                (_, true) => Plan::Table { of: Side::Second },
                _ => Plan::Table { of: Side::First },
            };
            return self.by_plan(inst, v, plan, &plans);
        }
        self.across_parts(inst, v, &from)
    }

    /// A choice of 256 bits across its parts: whole quarters of one source by `vpermq`, whole halves by `vperm2i128`, and in
    /// general for each source its bytes from its own part and, with parts exchanged, from the other, all by tables and joined.
    fn across_parts(
        &mut self,
        inst: &Inst,
        v: u32,
        from: &dyn Fn(usize) -> Option<(usize, usize)>,
    ) -> Result<(), CodegenError> {
        let ty = inst.ty;
        let sources = [inst.args[0], inst.args[1]];
        // Quarters of one source.
        let quarter = |k: usize| {
            let (side, at) = from(8 * k)?;
            let whole = at % 8 == 0 && (0..8).all(|j| from(8 * k + j) == Some((side, at + j)));
            whole.then_some((side, (at / 8) as u8))
        };
        let quarters: Option<Vec<(usize, u8)>> = (0..4).map(quarter).collect();
        if let Some(q) = quarters {
            if q.iter().all(|x| x.0 == q[0].0) {
                let imm = q.iter().enumerate().fold(0, |imm, (i, x)| imm | x.1 << (2 * i));
                let last = self.last(sources[q[0].0], ty, false);
                self.plain(v, What::UnImm(row::VPERMQ, imm), ty, &[], Some(last));
                return Ok(());
            }
            let half = |k: usize| {
                let (x, y) = (q[2 * k], q[2 * k + 1]);
                (x.0 == y.0 && x.1 % 2 == 0 && y.1 == x.1 + 1).then(|| x.1 / 2 + 2 * x.0 as u8)
            };
            if let (Some(low), Some(high)) = (half(0), half(1)) {
                let a = self.vec(sources[0], ty);
                let last = self.last(sources[1], ty, false);
                self.plain(v, What::BinImm(row::VPERM2I128, low | high << 4), ty, &[a], Some(last));
                return Ok(());
            }
        }
        let mut pieces: Vec<(usize, bool, Wide)> = Vec::new();
        for side in 0..2 {
            for crossed in [false, true] {
                let mut table = [shuffle::ZERO; 32];
                let mut any = false;
                for (i, byte) in table.iter_mut().enumerate() {
                    if let Some((s, at)) = from(i)
                        && s == side
                        && (at / 16 != i / 16) == crossed
                    {
                        (*byte, any) = ((at % 16) as u8, true);
                    }
                }
                if any {
                    let mut bits = Wide::default();
                    for (w, chunk) in bits.iter_mut().zip(table.chunks_exact(8)) {
                        *w = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
                    }
                    pieces.push((side, crossed, bits));
                }
            }
        }
        // Joined from the last to the first; each piece is made above what joins it.
        let mut to = v;
        let count = pieces.len();
        for (k, (side, crossed, bits)) in pieces.into_iter().enumerate() {
            let piece = if k + 1 == count { to } else { self.new_vector(ty) };
            if k + 1 < count {
                let rest = self.new_vector(ty);
                self.plain(to, What::Sym(row::POR), ty, &[piece], Some(Last::Reg(rest)));
                to = rest;
            }
            let source = self.vec(sources[side], ty);
            let swapped = if crossed { self.new_vector(ty) } else { source };
            let table = Last::Pool(self.s.pool.place(&bits, 32));
            self.plain(piece, What::Bin(row::PSHUFB), ty, &[swapped], Some(table));
            if crossed {
                self.plain(swapped, What::UnImm(row::VPERMQ, 0x4e), ty, &[], Some(Last::Reg(source)));
            }
        }
        Ok(())
    }

    fn by_plan(
        &mut self,
        inst: &Inst,
        v: u32,
        plan: Plan,
        parts: &[[u8; 16]; 2],
    ) -> Result<(), CodegenError> {
        let ty = inst.ty;
        let of_side = |side| if side == Side::First { inst.args[0] } else { inst.args[1] };
        let sides =
            |swapped: bool| if swapped { (inst.args[1], inst.args[0]) } else { (inst.args[0], inst.args[1]) };
        let table = |side| {
            let mut bits = Wide::default();
            let bytes: Vec<u8> = parts.iter().flat_map(|p| shuffle::table(p, side)).collect();
            for (w, chunk) in bits.iter_mut().zip(bytes.chunks_exact(8)).take(ty.bytes() as usize / 8) {
                *w = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
            }
            bits
        };
        let wide = length_of(ty) > 0;
        match plan {
            Plan::Zero => self.plain(v, What::Zero, ty, &[], None),
            Plan::Same(of) => {
                let last = Last::Reg(self.vec(of_side(of), ty));
                self.plain(v, What::Un(row::MOVAPS), ty, &[], Some(last));
            }
            // These work on the whole register, not on each part.
            Plan::Un { op, of } if wide && op != row::MOVDDUP => {
                let a = self.vec(of_side(of), ty);
                let table = Last::Pool(self.s.pool.place(&table(of), ty.bytes()));
                self.plain(v, What::Bin(row::PSHUFB), ty, &[a], Some(table));
            }
            Plan::Un { op, of } => {
                // Shorter memory than the operand has.
                let last = Last::Reg(self.vec(of_side(of), ty));
                self.plain(v, What::Un(op), ty, &[], Some(last));
            }
            Plan::UnImm { op, of, imm } => {
                let last = self.last(of_side(of), ty, false);
                self.plain(v, What::UnImm(op, imm), ty, &[], Some(last));
            }
            Plan::Shift { op, of, by } => {
                let a = self.vec(of_side(of), ty);
                self.plain(v, What::Shift(op, by), ty, &[a], None);
            }
            Plan::Bin { op, swapped } => {
                let (a, b) = sides(swapped);
                if wide && op == row::MOVSD {
                    let a = self.vec(a, ty);
                    let last = self.last(b, ty, false);
                    self.plain(v, What::BinImm(row::BLENDPD, 5), ty, &[a], Some(last));
                    return Ok(());
                }
                let a = self.vec(a, ty);
                let last =
                    if op == row::MOVSD { Last::Reg(self.vec(b, ty)) } else { self.last(b, ty, false) };
                let last = if op == row::MOVSD { self.without_pool(last, b, ty) } else { last };
                self.plain(v, What::Bin(op), ty, &[a], Some(last));
            }
            Plan::BinImm { op, swapped, imm } => {
                let (a, b) = sides(swapped);
                // One bit or two per lane, of both parts.
                let imm = match (wide, op) {
                    (true, o) if o == row::BLENDPS => imm | imm << 4,
                    (true, o) if o == row::SHUFPD => imm | imm << 2,
                    _ => imm,
                };
                let a = self.vec(a, ty);
                let last = self.last(b, ty, false);
                self.plain(v, What::BinImm(op, imm), ty, &[a], Some(last));
            }
            Plan::Table { of } => {
                let a = self.vec(of_side(of), ty);
                let table = Last::Pool(self.s.pool.place(&table(of), ty.bytes()));
                self.plain(v, What::Bin(row::PSHUFB), ty, &[a], Some(table));
            }
            Plan::Tables => {
                let (x, y) = (self.new_vector(ty), self.new_vector(ty));
                self.plain(v, What::Sym(row::POR), ty, &[x], Some(Last::Reg(y)));
                for (to, side) in [(y, Side::Second), (x, Side::First)] {
                    let a = self.vec(of_side(side), ty);
                    let table = Last::Pool(self.s.pool.place(&table(side), ty.bytes()));
                    self.plain(to, What::Bin(row::PSHUFB), ty, &[a], Some(table));
                }
            }
        }
        Ok(())
    }

    /// The source as a register.
    fn without_pool(&mut self, last: Last, o: Operand, ty: Type) -> Last {
        match last {
            Last::Reg(_) => last,
            _ => Last::Reg(self.vec(o, ty)),
        }
    }

    // --- shifts ------------------------------------------------------------------------------------

    fn shift_lanes(&mut self, inst: &Inst, v: u32) -> Result<(), CodegenError> {
        let (lane, ty) = (inst.aty, inst.ty);
        let bits = u64::from(lane.bits());
        let known = self.trace.literal_int(inst.args[1]).map(|i| i as u64);
        if lane == Type::I8 {
            return self.shift_bytes(inst, v, known);
        }
        if inst.op == Op::VSar && lane == Type::I64 {
            return self.shift_sar_64(inst, v, known);
        }
        let (by_literal, by_vector) = match (inst.op, lane.bits()) {
            (Op::VShl, 16) => (VShift::Psllw, row::PSLLW),
            (Op::VShl, 32) => (VShift::Pslld, row::PSLLD),
            (Op::VShl, _) => (VShift::Psllq, row::PSLLQ),
            (Op::VShr, 16) => (VShift::Psrlw, row::PSRLW),
            (Op::VShr, 32) => (VShift::Psrld, row::PSRLD),
            (Op::VShr, _) => (VShift::Psrlq, row::PSRLQ),
            (_, 16) => (VShift::Psraw, row::PSRAW),
            _ => (VShift::Psrad, row::PSRAD),
        };
        if let Some(n) = known {
            if n >= bits && inst.op != Op::VSar {
                self.plain(v, What::Zero, ty, &[], None);
                return Ok(());
            }
            let a = self.vec(inst.args[0], ty);
            self.plain(v, What::Shift(by_literal, n.min(bits - 1) as u8), ty, &[a], None);
            return Ok(());
        }
        let made = self.amount_vector(inst.args[1]);
        let a = self.vec(inst.args[0], ty);
        self.plain(v, What::Bin(by_vector), ty, &[a], Some(Last::Reg(made.unwrap_or_else(|v| v))));
        if let Err(amount) = made {
            self.make_amount(amount, inst.args[1]);
        }
        Ok(())
    }

    /// A vector register whose low 64 bits are the amount, or a new one that is to be made so.
    fn amount_vector(&mut self, o: Operand) -> Result<u32, u32> {
        if let Some(v) = o.as_value().map(|v| self.root(v))
            && let Some(def) = self.def(v).copied()
            && def.op == Op::Extract
            && def.res.0 == v
            && def.args[1].as_index() == Some(0)
            && !is_general(def.aty)
        {
            return Ok(self.vec(def.args[0], def.aty));
        }
        Err(self.new_vector(Type::V128))
    }

    fn make_amount(&mut self, to: u32, o: Operand) {
        let general = self.reg(o, Type::I64);
        self.begin(MOp::Vector(VOp::new(What::To)), Width::W64);
        self.src(general, Role::Use);
        self.def_(to, Role::Def);
        self.end(0);
    }

    /// Bytes have no shifts: words are shifted, and what came from the neighbour is masked away; arithmetically, each half of
    /// the bytes in the upper half of words.
    fn shift_bytes(&mut self, inst: &Inst, v: u32, known: Option<u64>) -> Result<(), CodegenError> {
        let ty = inst.ty;
        let Some(n) = known else { return Err(self.refuse(inst)) };
        let a = self.vec(inst.args[0], ty);
        let (shift, mask) = match inst.op {
            Op::VShl if n < 8 => (VShift::Psllw, 0xffu64 << n & 0xff),
            Op::VShr if n < 8 => (VShift::Psrlw, 0xff >> n),
            Op::VSar => {
                // sign = (x >>logical n); (sign ^ m) - m with m the sign bit's new place.
                let n = n.min(7);
                let m = splat(0x80 >> n, Type::I8, ty);
                let (flipped, shifted, words) =
                    (self.new_vector(ty), self.new_vector(ty), self.new_vector(ty));
                let at = self.s.pool.place(&m, ty.bytes());
                let low = self.s.pool.place(&splat(0xff >> n, Type::I8, ty), ty.bytes());
                self.plain(v, What::Bin(row::PSUBB), ty, &[flipped], Some(Last::Pool(at)));
                self.plain(flipped, What::Sym(row::PXOR), ty, &[shifted], Some(Last::Pool(at)));
                self.plain(shifted, What::Sym(row::PAND), ty, &[words], Some(Last::Pool(low)));
                self.plain(words, What::Shift(VShift::Psrlw, n as u8), ty, &[a], None);
                return Ok(());
            }
            _ => {
                self.plain(v, What::Zero, ty, &[], None);
                return Ok(());
            }
        };
        let words = self.new_vector(ty);
        let mask = Last::Pool(self.s.pool.place(&splat(mask, Type::I8, ty), ty.bytes()));
        self.plain(v, What::Sym(row::PAND), ty, &[words], Some(mask));
        self.plain(words, What::Shift(shift, n as u8), ty, &[a], None);
        Ok(())
    }

    /// `((x >>logical n) ^ m) - m`, with `m` the place of the sign.
    fn shift_sar_64(&mut self, inst: &Inst, v: u32, known: Option<u64>) -> Result<(), CodegenError> {
        let ty = inst.ty;
        let Some(n) = known else { return Err(self.refuse(inst)) };
        let n = n.min(63);
        let a = self.vec(inst.args[0], ty);
        let m = splat(1 << (63 - n), Type::I64, ty);
        let at = self.s.pool.place(&m, ty.bytes());
        let (flipped, shifted) = (self.new_vector(ty), self.new_vector(ty));
        self.plain(v, What::Bin(row::PSUBQ), ty, &[flipped], Some(Last::Pool(at)));
        self.plain(flipped, What::Sym(row::PXOR), ty, &[shifted], Some(Last::Pool(at)));
        self.plain(shifted, What::Shift(VShift::Psrlq, n as u8), ty, &[a], None);
        Ok(())
    }

    // --- products ----------------------------------------------------------------------------------

    /// 64-bit lanes: low·low + ((low·high + high·low) << 32).
    fn multiply_64(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let (a, b) = (self.vec(inst.args[0], ty), self.vec(inst.args[1], ty));
        let [low, cross, sum, ab, ba, a_high, b_high] = std::array::from_fn(|_| self.new_vector(ty));
        let reg = |v| Some(Last::Reg(v));
        self.plain(v, What::Sym(row::PADDQ), ty, &[cross], reg(low));
        self.plain(low, What::Sym(row::PMULUDQ), ty, &[a], reg(b));
        self.plain(cross, What::Shift(VShift::Psllq, 32), ty, &[sum], None);
        self.plain(sum, What::Sym(row::PADDQ), ty, &[ab], reg(ba));
        self.plain(ba, What::Sym(row::PMULUDQ), ty, &[a_high], reg(b));
        self.plain(ab, What::Sym(row::PMULUDQ), ty, &[b_high], reg(a));
        self.plain(a_high, What::Shift(VShift::Psrlq, 32), ty, &[a], None);
        self.plain(b_high, What::Shift(VShift::Psrlq, 32), ty, &[b], None);
    }

    /// High halves of 32-bit products: those of the even lanes moved down, those of the odd lanes as they are.
    fn multiply_high(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let op = if inst.op == Op::VUmulh { row::PMULUDQ } else { row::PMULDQ };
        let (a, b) = (self.vec(inst.args[0], ty), self.vec(inst.args[1], ty));
        let [down, even, odd, a_odd, b_odd] = std::array::from_fn(|_| self.new_vector(ty));
        let reg = |v| Some(Last::Reg(v));
        self.plain(v, What::BinImm(row::PBLENDW, 0xcc), ty, &[down], reg(odd));
        self.plain(down, What::Shift(VShift::Psrlq, 32), ty, &[even], None);
        self.plain(even, What::Sym(op), ty, &[a], reg(b));
        self.plain(odd, What::Sym(op), ty, &[a_odd], reg(b_odd));
        self.plain(a_odd, What::Shift(VShift::Psrlq, 32), ty, &[a], None);
        self.plain(b_odd, What::Shift(VShift::Psrlq, 32), ty, &[b], None);
    }

    /// 64-bit lanes: by a comparison (of the values with their signs flipped if unsigned) and a choice.
    fn min_max_64(&mut self, inst: &Inst, v: u32) {
        let ty = inst.ty;
        let (a, b) = (self.vec(inst.args[0], ty), self.vec(inst.args[1], ty));
        let greater = self.new_vector(ty);
        let min = matches!(inst.op, Op::VUmin | Op::VSmin);
        let (then, other) = if min { (b, a) } else { (a, b) };
        let [chosen, kept] = std::array::from_fn(|_| self.new_vector(ty));
        let reg = |v| Some(Last::Reg(v));
        self.plain(v, What::Sym(row::POR), ty, &[chosen], reg(kept));
        self.plain(kept, What::Bin(row::PANDN), ty, &[greater], reg(other));
        self.plain(chosen, What::Sym(row::PAND), ty, &[greater], reg(then));
        if matches!(inst.op, Op::VSmin | Op::VSmax) {
            return self.plain(greater, What::Bin(row::PCMPGTQ), ty, &[a], reg(b));
        }
        let sign = self.s.pool.place(&splat(1 << 63, Type::I64, ty), ty.bytes());
        let [x, y] = std::array::from_fn(|_| self.new_vector(ty));
        self.plain(greater, What::Bin(row::PCMPGTQ), ty, &[x], reg(y));
        self.plain(x, What::Sym(row::PXOR), ty, &[a], Some(Last::Pool(sign)));
        self.plain(y, What::Sym(row::PXOR), ty, &[b], Some(Last::Pool(sign)));
    }
}
