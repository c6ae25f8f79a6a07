//! Makes a failing trace smaller, as text: what parses and still fails is kept.
//!
//! Steps, repeated until none helps: lines go, in chunks from many to one, their values replaced by zero or by one of their
//! operands; binds of exits go; operands become zero. The check knows what a trace is, this module does not: an edit that
//! makes no sense is a candidate that does not parse.

/// The text of a trace, a line each, without comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<String>);

impl Lines {
    /// The lines of a text that mean something.
    pub fn of(text: &str) -> Lines {
        let lines = text.lines().map(|l| l.split(';').next().unwrap_or("").trim_end());
        Lines(lines.filter(|l| !l.is_empty()).map(str::to_owned).collect())
    }

    /// The text.
    pub fn text(&self) -> String {
        self.0.join("\n") + "\n"
    }

    /// Without lines `range`; `with` replaces the values that they define.
    fn without(&self, range: std::ops::Range<usize>, with: &dyn Fn(&str) -> String) -> Lines {
        let gone: Vec<(&str, String)> =
            self.0[range.clone()].iter().filter_map(|l| defined(l)).map(|(v, ty)| (v, with(ty))).collect();
        let kept = self.0.iter().enumerate().filter(|(i, _)| !range.contains(i));
        Lines(
            kept.map(|(_, line)| {
                gone.iter().fold(line.clone(), |line, (value, new)| replace_value(&line, value, new))
            })
            .collect(),
        )
    }

    fn with_line(&self, at: usize, line: String) -> Lines {
        let mut all = self.clone();
        all.0[at] = line;
        all
    }
}

/// The value that a line defines, and its type.
fn defined(line: &str) -> Option<(&str, &str)> {
    let (value, rest) = line.trim().split_once(':')?;
    let (ty, _) = rest.split_once('=')?;
    value.starts_with('%').then_some((value, ty.trim()))
}

/// Where values are named in a line: start and end.
fn values(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let starts = (0..bytes.len()).filter(|&i| bytes[i] == b'%');
    starts.map(|i| (i, i + 1 + bytes[i + 1..].iter().take_while(|b| b.is_ascii_digit()).count())).collect()
}

fn replace_value(line: &str, value: &str, new: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    for (start, end) in values(line) {
        if &line[start..end] == value {
            out.push_str(&line[at..start]);
            out.push_str(new);
            at = end;
        }
    }
    out.push_str(&line[at..]);
    out
}

/// The smallest text found for which `fails` is true; it is for `start`.
pub fn shrink(start: Lines, fails: &mut dyn FnMut(&str) -> bool) -> Lines {
    let mut best = start;
    loop {
        let before = best.clone();
        best = fewer_lines(best, fails);
        best = fewer_binds(best, fails);
        best = simpler_operands(best, fails);
        if best == before {
            return best;
        }
    }
}

fn fewer_lines(mut best: Lines, fails: &mut dyn FnMut(&str) -> bool) -> Lines {
    let mut size = best.0.len() / 2;
    while size > 0 {
        let mut at = best.0.len();
        while at > 0 {
            let range = at.saturating_sub(size)..at.min(best.0.len());
            at = range.start;
            let mut candidates: Vec<Lines> = vec![
                best.without(range.clone(), &|_| "0x0".into()),
                best.without(range.clone(), &|ty| format!("0x0:{ty}")),
            ];
            if size == 1 {
                let line = best.0[range.start].clone();
                for (from, to) in values(&line).into_iter().skip(1) {
                    candidates.push(best.without(range.clone(), &|_| line[from..to].to_owned()));
                }
            }
            if let Some(smaller) = candidates.into_iter().find(|c| fails(&c.text())) {
                best = smaller;
            }
        }
        size /= 2;
    }
    best
}

/// Removes entries of `{ a = …, b = … }`.
fn fewer_binds(mut best: Lines, fails: &mut dyn FnMut(&str) -> bool) -> Lines {
    for at in 0..best.0.len() {
        let line = best.0[at].clone();
        let Some((head, tail)) = line.split_once('{') else { continue };
        let Some((list, rest)) = tail.rsplit_once('}') else { continue };
        let mut binds: Vec<&str> = split_binds(list);
        let mut i = 0;
        while i < binds.len() {
            let mut fewer = binds.clone();
            fewer.remove(i);
            let shorter = best.with_line(at, format!("{head}{{ {} }}{rest}", fewer.join(", ")));
            if fails(&shorter.text()) {
                best = shorter;
                binds = fewer;
            } else {
                i += 1;
            }
        }
    }
    best
}

/// At commas outside parentheses.
fn split_binds(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

fn simpler_operands(mut best: Lines, fails: &mut dyn FnMut(&str) -> bool) -> Lines {
    for at in 0..best.0.len() {
        let mut n = usize::from(defined(&best.0[at]).is_some());
        while let Some(&(start, end)) = values(&best.0[at]).get(n) {
            let line = &best.0[at];
            let ty = best
                .0
                .iter()
                .filter_map(|l| defined(l))
                .find(|d| d.0 == &line[start..end])
                .map_or("i64", |d| d.1);
            let zeros = ["0x0".to_owned(), format!("0x0:{ty}")];
            let mut simpler = zeros
                .iter()
                .map(|zero| best.with_line(at, format!("{}{zero}{}", &line[..start], &line[end..])));
            match simpler.find(|c| fails(&c.text())) {
                Some(simpler) => best = simpler,
                None => n += 1,
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_whole() {
        assert_eq!(replace_value("%1: i64 = add %1, %11", "%1", "5"), "5: i64 = add 5, %11");
        assert_eq!(defined("  %12: i32 = load [%1] !m"), Some(("%12", "i32")));
        assert_eq!(split_binds(" a = %1, f = flags.add(%1, 2) "), ["a = %1", "f = flags.add(%1, 2)"]);
    }

    #[test]
    fn only_what_matters_is_left() {
        let text = "slot a: i64\ntrace t entry 0x1 {\n  %0: i64 = slot a\n  %1: i64 = add %0, 1\n  %2: i64 = mul %1, 3\n  \
                    %3: i64 = udiv %2, %0\n  end exit 0\n  exit 0 resume 0x2 { a = %3 }\n}\n";
        let mut fails = |text: &str| ir::parse::parse(text).is_ok() && text.contains("udiv");
        let small = shrink(Lines::of(text), &mut fails);
        assert_eq!(small.0.len(), 4, "{}", small.text());
        assert!(small.text().contains("udiv 0x0, 0x0"), "{}", small.text());
    }
}
