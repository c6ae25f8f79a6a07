//! `string.format`, also behind `buffer:putf`.

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::numfmt::{self, Spec};
use crate::state::Event;
use crate::strfmt::{self, Parser, Piece};

/// `string.format(fmt, ...)`
pub(crate) fn format(cx: Cx) -> NativeResult {
    // The shared buffer; whoever needs it meanwhile finds an empty one.
    let mut out = std::mem::take(&mut cx.g().buf);
    out.clear();
    put_formatted(cx, &mut out, 1)?;
    cx.check_len(out.len())?;
    let s = cx.str(&out);
    // A huge one is not kept.
    const KEPT: usize = 1 << 16;
    if out.capacity() <= KEPT {
        cx.g().buf = out;
    }
    cx.ret1(s)
}

/// Appends argument `arg` as a format with the arguments behind it.
pub(crate) fn put_formatted(cx: Cx, out: &mut Vec<u8>, mut arg: usize) -> Result<(), Throw> {
    let nargs = cx.nargs();
    let fmt = cx.check_str(arg)?;
    for piece in Parser::new(fmt.bytes()) {
        match piece {
            Piece::Literal(s) => cx.append(out, s)?,
            Piece::Bad(s) => {
                let mut msg = b"invalid option '".to_vec();
                msg.extend_from_slice(super::c_str(s));
                msg.extend_from_slice(b"' to 'format'");
                return Err(cx.error(&msg));
            }
            Piece::Conversion(spec) => {
                arg += 1;
                if arg > nargs {
                    return Err(cx.arg_error(arg, "value expected"));
                }
                convert(cx, out, &spec, arg)?;
            }
        }
    }
    Ok(())
}

fn convert(cx: Cx, out: &mut Vec<u8>, spec: &Spec, arg: usize) -> Result<(), Throw> {
    let v = cx.arg(arg);
    match spec.conv {
        b'd' | b'i' | b'u' | b'x' | b'o' => {
            let bits = if let Some((bits, _)) = super::int64_of(cx, v) {
                bits
            } else {
                let n = cx.check_number(arg)?;
                if matches!(spec.conv, b'd' | b'i') {
                    numfmt::num_to_i64(n) as u64
                } else {
                    numfmt::num_to_u64(n)
                }
            };
            if spec.is_plain() && matches!(spec.conv, b'd' | b'i') {
                numfmt::put_int(out, bits as i64);
            } else {
                numfmt::put_integer(out, spec, bits);
            }
        }
        b'c' => strfmt::put_char(out, spec, cx.check_int(arg)? as u8),
        b'p' => strfmt::put_pointer(out, cx.address_of(v)),
        b's' | b'q' => {
            let v = if v.as_str().is_none() && super::buffer::contents(cx, v).is_none() {
                let mm = cx.metamethod(v, Event::Tostring);
                if mm.is_nil() {
                    v
                } else {
                    let s = cx.call(mm, &[v])?;
                    cx.set_arg(arg, s);
                    s
                }
            } else {
                v
            };
            if let Some(s) = v.as_str() {
                put_text(cx, out, spec, s.bytes())?;
            } else if let Some(s) = super::buffer::contents(cx, v) {
                put_text(cx, out, spec, s)?;
            } else {
                put_text(cx, out, spec, cx.tostring_raw(v).bytes())?;
            }
        }
        _ => numfmt::put_float(out, spec, cx.check_number(arg)?),
    }
    Ok(())
}

fn put_text(cx: Cx, out: &mut Vec<u8>, spec: &Spec, s: &[u8]) -> Result<(), Throw> {
    // A quoted byte takes up to four; the width of a plain one is at most 99.
    cx.make_room(out, if spec.conv == b'q' { s.len() * 4 + 2 } else { s.len() + 99 })?;
    if spec.conv == b'q' {
        strfmt::put_quoted(out, s);
    } else {
        strfmt::put_str(out, spec, s);
    }
    Ok(())
}
