//! `-O` and `jit.opt.start`: levels, flags, parameters, with LuaJIT's names.
//!
//! Flags name passes where there is one of that purpose; the others are accepted and change nothing, because
//! the passes behind them are one. Parameters that limit what is not limited here are accepted too.

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `-O0` to `-O3`.
    pub level: u8,
    /// Rounds until a loop is hot.
    pub hotloop: u32,
    /// Exits until a side trace is recorded.
    pub hotexit: u32,
    /// Most side traces of a root.
    pub maxside: u32,
    /// Attempts at a side trace.
    pub tryside: u32,
    /// Most bytecodes of a trace.
    pub maxrecord: u32,
    /// Most traces.
    pub maxtrace: u32,
    /// Rounds of an inner loop within a trace.
    pub loopunroll: u32,
    /// Depth of inlined calls of one function.
    pub callunroll: u32,
    /// Most code, in KiB.
    pub maxmcode: u32,
    /// Flags that are off.
    pub off: Vec<&'static str>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            level: 3,
            hotloop: 56,
            hotexit: 10,
            maxside: 100,
            tryside: 4,
            maxrecord: 4000,
            maxtrace: 10_000,
            loopunroll: 1,
            callunroll: 3,
            maxmcode: 64 << 10,
            off: Vec::new(),
        }
    }
}

/// The flags, in the order in which `jit.status` names them.
pub const FLAGS: [&str; 11] =
    ["fold", "cse", "dce", "fwd", "dse", "narrow", "loop", "abc", "sink", "fuse", "fma"];
const PARAMETERS: [&str; 15] = [
    "maxtrace",
    "maxrecord",
    "maxirconst",
    "maxside",
    "maxsnap",
    "minstitch",
    "hotloop",
    "hotexit",
    "tryside",
    "instunroll",
    "loopunroll",
    "callunroll",
    "recunroll",
    "sizemcode",
    "maxmcode",
];

impl Options {
    /// Takes one word of an option: a level, a flag with `+`, `-` or `no`, or `parameter=number`. False for anything else.
    pub fn set(&mut self, text: &str) -> bool {
        if let [digit @ b'0'..=b'9'] = text.as_bytes() {
            self.level = (digit - b'0').min(3);
            return true;
        }
        if let Some((name, value)) = text.split_once('=') {
            return self.parameter(name, value);
        }
        let stripped = ["-", "no-", "no"].iter().find_map(|p| text.strip_prefix(p));
        let (on, name) = match stripped {
            Some(name) if !FLAGS.contains(&text) => (false, name),
            _ => (true, text.strip_prefix('+').unwrap_or(text)),
        };
        let Some(&flag) = FLAGS.iter().find(|f| **f == name) else { return false };
        self.off.retain(|f| *f != flag);
        if !on {
            self.off.push(flag);
        }
        true
    }

    /// The flags that are on. (`fma` is off, as in the reference: it changes results.)
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let least = |flag: &str| match flag {
            "fold" | "cse" | "dce" => 1,
            "narrow" | "loop" => 2,
            "fma" => u8::MAX,
            _ => 3,
        };
        FLAGS.into_iter().filter(move |f| self.level >= least(f) && !self.off.contains(f))
    }

    fn parameter(&mut self, name: &str, value: &str) -> bool {
        if !PARAMETERS.contains(&name) || !value.bytes().all(|c| c.is_ascii_digit()) {
            return false;
        }
        let parsed = if value.is_empty() { Some(0) } else { value.parse().ok() };
        let Some(n) = parsed.filter(|&n: &u32| n <= i32::MAX as u32) else { return false };
        match name {
            "hotloop" => self.hotloop = n,
            "hotexit" => self.hotexit = n,
            "maxside" => self.maxside = n,
            "tryside" => self.tryside = n,
            "maxrecord" => self.maxrecord = n,
            "maxtrace" => self.maxtrace = n,
            "loopunroll" => self.loopunroll = n,
            "callunroll" => self.callunroll = n,
            "maxmcode" => self.maxmcode = n,
            _ => {}
        }
        true
    }
}
