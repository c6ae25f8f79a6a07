//! Reading the command line.
#![forbid(unsafe_code)]

/// What the options ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Index of the script's name among the arguments; their number if there is none.
    pub script: usize,
    /// `-i`
    pub interactive: bool,
    /// `-v`, and `-i`
    pub version: bool,
    /// `-e` or `-b` was given: without a script there is nothing more to do.
    pub exec: bool,
    /// `-E`
    pub no_env: bool,
}

/// Reads the options; `None` if one is wrong.
pub fn parse(args: &[Vec<u8>]) -> Option<Options> {
    let mut o = Options { script: args.len(), ..Options::default() };
    let mut option = false;
    let mut i = 1;
    while i < args.len() {
        let a = &args[i];
        if a.first() != Some(&b'-') || a.len() == 1 {
            o.script = i;
            return Some(o);
        }
        let has_tail = a.len() > 2;
        match a[1] {
            b'-' => {
                o.script = i + 1;
                return (!has_tail).then_some(o);
            }
            b'i' | b'v' => {
                if has_tail {
                    return None;
                }
                o.interactive |= a[1] == b'i';
                o.version = true;
            }
            b'e' | b'j' | b'l' => {
                o.exec |= a[1] == b'e';
                option = true;
                if !has_tail {
                    i += 1;
                    args.get(i)?;
                }
            }
            b'O' => {}
            b'b' => {
                if o.interactive || o.version || o.exec || o.no_env || option {
                    return None;
                }
                o.exec = true;
                o.script = i + 1;
                return Some(o);
            }
            b'E' => o.no_env = true,
            _ => return None,
        }
        i += 1;
    }
    Some(o)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Options> {
        let args: Vec<Vec<u8>> = line.split_whitespace().map(|s| s.as_bytes().to_vec()).collect();
        parse(&args)
    }

    #[test]
    fn command_lines() {
        assert_eq!(read("rjit").unwrap().script, 1);
        assert_eq!(read("rjit a.lua -x").unwrap().script, 1);
        assert_eq!(read("rjit -e x -lfoo -l bar -O3 -jv a.lua").unwrap().script, 8);
        assert_eq!(read("rjit - a").unwrap().script, 1);
        assert_eq!(read("rjit -- -x").unwrap().script, 2);
        assert!(read("rjit -i").unwrap().version);
        assert!(read("rjit -E -v").unwrap().no_env);
        for bad in ["rjit -x", "rjit -ix", "rjit -e", "rjit --x", "rjit -v -b", "rjit -l"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("rjit -bl x.lua").unwrap().script, 2);
    }
}
