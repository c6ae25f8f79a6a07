//! `string.find`, `match`, `gmatch` and `gsub` on the matcher of [`crate::pattern`].

use crate::api::{Cx, NativeResult};
use crate::error::Throw;
use crate::pattern::{Capture, Matcher, PatternError, find_plain, has_specials};
use crate::stdlib::put_text;
use crate::value::Value;

fn failed(cx: Cx, e: PatternError) -> Throw {
    cx.error(e.to_string())
}

fn capture_value(
    cx: Cx,
    subject: &[u8],
    m: &Matcher<'_>,
    i: usize,
    s: usize,
    e: usize,
) -> Result<Value, Throw> {
    Ok(match m.capture(i, s, e).map_err(|e| failed(cx, e))? {
        Capture::Text(a, b) => cx.str(&subject[a..b]).into(),
        Capture::Position(p) => Value::int(p as i64),
    })
}

/// Pushes the captures, or the whole match if there are none and `whole` is set; their number.
fn push_captures(
    cx: Cx,
    subject: &[u8],
    m: &Matcher<'_>,
    s: usize,
    e: usize,
    whole: bool,
) -> Result<usize, Throw> {
    let n = if m.capture_count() == 0 && whole { 1 } else { m.capture_count() };
    cx.check_stack(n, "too many captures")?;
    for i in 0..n {
        cx.push(capture_value(cx, subject, m, i, s, e)?);
    }
    Ok(n)
}

/// `string.find(s, p [, init [, plain]])`
pub(crate) fn find(cx: Cx) -> NativeResult {
    search(cx, true)
}

/// `string.match(s, p [, init])`
pub(crate) fn match_(cx: Cx) -> NativeResult {
    search(cx, false)
}

fn search(cx: Cx, find: bool) -> NativeResult {
    let subject = cx.check_str(1)?.bytes();
    let pattern = cx.check_str(2)?.bytes();
    let init = cx.opt_int(3, 1)?;
    let start = if init < 0 { (i64::from(init) + subject.len() as i64).max(0) } else { i64::from(init) - 1 };
    let start = (start.max(0) as usize).min(subject.len());
    if find && (cx.arg(4).is_truthy() || !has_specials(pattern)) {
        return match find_plain(&subject[start..], pattern) {
            Some(at) => {
                let at = at + start;
                cx.ret2(Value::int(at as i64 + 1), Value::int((at + pattern.len()) as i64))
            }
            None => cx.ret1(Value::NIL),
        };
    }
    let (anchored, pattern) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut m = Matcher::new(subject, pattern);
    let last = if anchored { start } else { subject.len() };
    for s in start..=last {
        if let Some(e) = m.match_at(s).map_err(|e| failed(cx, e))? {
            if find {
                cx.push(Value::int(s as i64 + 1));
                cx.push(Value::int(e as i64));
                let n = push_captures(cx, subject, &m, s, e, false)?;
                return cx.ret(n + 2);
            }
            let n = push_captures(cx, subject, &m, s, e, true)?;
            return cx.ret(n);
        }
    }
    cx.ret1(Value::NIL)
}

/// `string.gmatch(s, p)`: the iterator has the string, the pattern and the position as upvalues.
pub(crate) fn gmatch(cx: Cx) -> NativeResult {
    let s = cx.check_str(1)?;
    let p = cx.check_str(2)?;
    let f = cx.func(gmatch_next, &[s.into(), p.into(), Value::int(0)]);
    super::ffid::set(cx, f, "string", "gmatch_aux");
    cx.ret1(f)
}

fn gmatch_next(cx: Cx) -> NativeResult {
    let (Some(subject), Some(pattern)) = (cx.upvalue(1).as_str(), cx.upvalue(2).as_str()) else {
        return cx.ret0();
    };
    let subject = subject.bytes();
    let from = cx.upvalue(3).as_number().unwrap_or(0.0) as usize;
    let mut m = Matcher::new(subject, pattern.bytes());
    for s in from..=subject.len() {
        if let Some(e) = m.match_at(s).map_err(|e| failed(cx, e))? {
            // An empty match must not be found again.
            let next = if e == s { e + 1 } else { e };
            cx.set_upvalue(3, Value::int(next as i64));
            let n = push_captures(cx, subject, &m, s, e, true)?;
            return cx.ret(n);
        }
    }
    cx.ret0()
}

/// `string.gsub(s, p, repl [, n])`
pub(crate) fn gsub(cx: Cx) -> NativeResult {
    let subject = cx.check_str(1)?.bytes();
    let pattern = cx.check_str(2)?.bytes();
    let repl = cx.arg(3);
    let max = cx.opt_int(4, i32::try_from(subject.len() + 1).unwrap_or(i32::MAX))?;
    let repl_text = if repl.is_number() || repl.as_str().is_some() {
        Some(cx.check_str(3)?.bytes())
    } else if repl.as_func().is_some() || repl.as_table().is_some() {
        None
    } else {
        return Err(cx.arg_error(3, "string/function/table expected"));
    };
    let (anchored, pattern) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut m = Matcher::new(subject, pattern);
    let mut out = Vec::new();
    let (mut s, mut count) = (0, 0);
    while count < max {
        let found = m.match_at(s).map_err(|e| failed(cx, e))?;
        if let Some(e) = found {
            count += 1;
            match repl_text {
                Some(text) => substitute(cx, &mut out, subject, &m, text, s, e)?,
                None => replace(cx, &mut out, subject, &m, repl, s, e)?,
            }
            cx.check_len(out.len())?;
        }
        match found {
            Some(e) if e > s => s = e,
            _ if s < subject.len() => {
                cx.append(&mut out, &subject[s..=s])?;
                s += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    cx.append(&mut out, &subject[s..])?;
    cx.check_len(out.len())?;
    cx.ret2(cx.str(&out), count)
}

/// Appends a replacement text with its `%0` .. `%9` filled in.
fn substitute(
    cx: Cx,
    out: &mut Vec<u8>,
    subject: &[u8],
    m: &Matcher<'_>,
    text: &[u8],
    s: usize,
    e: usize,
) -> Result<(), Throw> {
    let mut i = 0;
    while let Some(&c) = text.get(i) {
        i += 1;
        if c != b'%' {
            cx.append(out, &[c])?;
            continue;
        }
        // A `%` at the end stands for a zero byte, the one behind the text.
        let c = text.get(i).copied().unwrap_or(0);
        i += 1;
        match c {
            b'0' => cx.append(out, &subject[s..e])?,
            b'1'..=b'9' => match m.capture(usize::from(c - b'1'), s, e).map_err(|e| failed(cx, e))? {
                Capture::Text(a, b) => cx.append(out, &subject[a..b])?,
                Capture::Position(p) => crate::numfmt::put_int(out, p as i64),
            },
            _ => out.push(c),
        }
    }
    Ok(())
}

/// Appends what a function or table gives for the match; nil and false keep the text.
fn replace(
    cx: Cx,
    out: &mut Vec<u8>,
    subject: &[u8],
    m: &Matcher<'_>,
    repl: Value,
    s: usize,
    e: usize,
) -> Result<(), Throw> {
    let v = if repl.as_func().is_some() {
        let top = cx.nargs();
        cx.push(repl);
        let n = push_captures(cx, subject, m, s, e, true)?;
        cx.call_pushed(n, 1)?;
        let v = cx.arg(cx.nargs());
        cx.set_top(top);
        v
    } else {
        let key = capture_value(cx, subject, m, 0, s, e)?;
        cx.get(repl, key)?
    };
    if v.is_falsy() {
        cx.append(out, &subject[s..e])?;
        return Ok(());
    }
    cx.make_room(out, v.as_str().map_or(32, |s| s.len()))?;
    if !put_text(out, v) {
        return Err(cx.error(format!("invalid replacement value (a {})", v.type_name())));
    }
    Ok(())
}
