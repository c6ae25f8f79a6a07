//! Mutated samples through every entry of [`lua_frontend::fuzz`]: no crash, no hang, no panic. The mutations are the same in
//! every run; `FUZZ_ROUNDS` makes it go on for longer and `FUZZ_SEED` elsewhere.

use lua_frontend::fuzz;
use lua_frontend::state::Lua;

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Changes, inserts, removes, repeats some bytes, or splices two samples.
fn mutate(r: &mut Random, samples: &[&[u8]]) -> Vec<u8> {
    let mut s = samples[r.below(samples.len())].to_vec();
    for _ in 0..=r.below(6) {
        let at = r.below(s.len());
        match r.below(7) {
            0 if !s.is_empty() => s[at] = r.below(256) as u8,
            1 if !s.is_empty() => s[at] ^= 1 << r.below(8),
            2 => s.insert(at, r.below(256) as u8),
            3 if !s.is_empty() => {
                let end = (at + r.below(8)).min(s.len());
                s.drain(at..end);
            }
            4 if !s.is_empty() => {
                let end = (at + r.below(12)).min(s.len());
                let part = s[at..end].to_vec();
                for _ in 0..r.below(20) {
                    s.splice(at..at, part.iter().copied());
                }
            }
            5 => {
                let other = samples[r.below(samples.len())];
                let from = r.below(other.len());
                s.splice(at..at, other[from..].iter().copied());
            }
            _ => s.truncate(at.max(1)),
        }
    }
    s
}

#[test]
fn mutated_input_is_an_error_at_worst() {
    let rounds = setting("FUZZ_ROUNDS", 300);
    for &(name, entry, samples) in fuzz::ENTRIES {
        let mut r = Random(setting("FUZZ_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for sample in samples {
            entry(sample);
        }
        for round in 0..rounds {
            let input = mutate(&mut r, samples);
            if std::env::var_os("FUZZ_SHOW").is_some() {
                eprintln!("{name} {round}: {}", input.escape_ascii());
            }
            entry(&input);
        }
    }
}

#[test]
fn mutated_dumps_are_refused_or_run() {
    let sources: [&[u8]; 4] = [
        b"local t = {1, 2, x = 3} for i = 1, 10 do t[i] = (t[i] or 0) + i end local s = 0 for k, v in next, t do s = s + v end return s",
        b"local function f(a, ...) local b = {...} if a then return f(b[1], ...) end return a .. 'x', #b end return f",
        b"local a, b = 1, 'x' local function g() a = a + 1 b = b .. a return function() return a, b end end return g()()",
        b"local x = ('x'):rep(3) while #x < 100 do x = x .. x:upper() if x == 'y' then break end end return not x, -#x, x < 'z', 2 ^ 3 % 5",
    ];
    let lua = Lua::new();
    let cx = lua.cx();
    let dumps: Vec<Vec<u8>> = sources
        .iter()
        .flat_map(|s| {
            let f = cx.load(s, b"=sample", "t", None).expect("a sample");
            let p = f.proto().expect("a Lua function");
            [false, true].map(|strip| lua_frontend::compile::load::dump(p, strip))
        })
        .collect();
    let samples: Vec<&[u8]> = dumps.iter().map(Vec::as_slice).collect();
    let mut r = Random(setting("FUZZ_SEED", 1).wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    for sample in &samples {
        fuzz::dump(sample);
    }
    for round in 0..setting("FUZZ_ROUNDS", 300) * 10 {
        // Small changes: larger ones are refused at the first length.
        let mut s = samples[r.below(samples.len())].to_vec();
        for _ in 0..=r.below(3) {
            let at = r.below(s.len());
            s[at] = if r.below(2) == 0 { r.below(256) as u8 } else { s[at] ^ 1 << r.below(8) };
        }
        if std::env::var_os("FUZZ_SHOW").is_some() {
            eprintln!("dump {round}: {}", s.escape_ascii());
        }
        fuzz::dump(&s);
    }
}
