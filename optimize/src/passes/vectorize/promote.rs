//! Memory at one place as a parameter of the vector loop.
//!
//! Unoptimised code keeps its counters in the frame: it loads, adds and stores each time round. As other stores of the loop might
//! hit them, load forwarding leaves that alone, or guards each store. The vector trace checks once that no stream comes near (see
//! [`super::checks`]: each store to one place is compared with all streams), so there the loads are what was stored last:
//!
//! ```text
//!                                          %20: i32 = load [%0 - 8]
//! loop(%1: i64 = …):                     loop(%1: i64 = …, %21: i32 = %20):
//!   %2: i32 = load [%0 - 8]                …                                   %21, wherever %2 was
//!   %3: i32 = add %2, 1                    %3: i32 = add %21, 1
//!   store %3, [%0 - 8]                     store %3, [%0 - 8]
//!   end loop(…)                            end loop(…, %3)
//! ```
//!
//! The stores stay. Right only together with those checks, so this is no pass of its own.

use crate::passes::loop_info::LoopInfo;
use ir::op::Op;
use ir::snapshot::{Bind, Target};
use ir::trace::{Inst, Trace};
use ir::types::{Operand, Type, Value};

/// A place: base, displacement, type.
type Place = (Operand, Operand, Type);

fn place(info: &LoopInfo, inst: &Inst) -> Option<Place> {
    let ty = match inst.op {
        Op::Load => inst.ty,
        Op::Store => inst.aty,
        _ => return None,
    };
    let [base, index, disp, _] = inst.args;
    (info.is_outside(base) && index.is_none()).then_some((base, disp, ty))
}

/// The trace with parameters for places that its loop loads and stores; `None` if there are none.
pub(super) fn promote(trace: &Trace) -> Option<Trace> {
    let info = LoopInfo::new(trace)?;
    let body = &trace.insts[info.body..];
    let mut places: Vec<Place> = Vec::new();
    // The first load moves in front of the loop, so nothing may have to pass before it.
    for inst in body.iter().take_while(|i| i.op != Op::Guard).filter(|i| i.op == Op::Load) {
        let Some(p) = place(&info, inst).filter(|p| !places.contains(p)) else { continue };
        if body.iter().any(|i| i.op == Op::Store && place(&info, i) == Some(p)) {
            places.push(p);
        }
    }
    if places.is_empty() || places.len() > 16 {
        return None;
    }
    let mut t = trace.clone();
    let body = t.insts.split_off(info.body);
    let mut params = t.insts.split_off(info.head);
    // What each place holds at this point of the body.
    let mut holds: Vec<Operand> = Vec::new();
    let first = params.len();
    for p in &places {
        let mut load = *body.iter().find(|i| i.op == Op::Load && place(&info, i) == Some(*p))?;
        load.res = t.new_value(load.ty);
        t.insts.push(load);
        let mut phi = Inst::new(Op::Phi, Type::Void, load.ty, 0, &[load.res.into()]);
        phi.res = t.new_value(load.ty);
        params.push(phi);
        holds.push(phi.res.into());
    }
    let mut renamed: Vec<(Value, Operand)> = Vec::new();
    let now = |renamed: &[(Value, Operand)], o: Operand| {
        renamed.iter().find(|(v, _)| o.as_value() == Some(*v)).map_or(o, |(_, new)| *new)
    };
    let mut lines = Vec::with_capacity(body.len());
    for inst in body {
        let inst = t.map_operands(&inst, |o, _| now(&renamed, o));
        match place(&info, &inst).and_then(|p| places.iter().position(|q| *q == p)) {
            Some(i) if inst.op == Op::Load => renamed.push((inst.res, holds[i])),
            Some(i) => {
                holds[i] = inst.args[3];
                lines.push(inst);
            }
            None => lines.push(inst),
        }
    }
    for (i, phi) in params.iter_mut().enumerate() {
        phi.args[1] = match i.checked_sub(first) {
            Some(i) => holds[i],
            None => now(&renamed, phi.args[1]),
        };
    }
    t.loop_at = Some(t.insts.len() as u32);
    t.insts.extend(params);
    t.insts.extend(lines);
    for i in 0..t.exits.len() {
        let exit = t.exits[i];
        if let Target::Value(o) = exit.target {
            t.exits[i].target = Target::Value(now(&renamed, o));
        }
        let mut binds: Vec<Bind> = t.binds(&exit).to_vec();
        for b in &mut binds {
            b.value = match t.recipe(b.value).copied() {
                Some(recipe) => {
                    let recipe = t.map_operands(&recipe, |o, _| now(&renamed, o));
                    t.add_recipe(recipe)
                }
                None => now(&renamed, b.value),
            };
        }
        t.set_binds(exit.id, exit.like, &binds);
    }
    Some(t)
}
