//! The numbers of library functions.
//!
//! `tostring(print)` is `function: builtin#29`, and tracebacks name functions without a name `[builtin#29]`. Scripts
//! and test suites compare such output, so the numbers are those of LuaJIT: the position in the list below, from 2 on.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::api::Cx;
use crate::object::Func;
use crate::value::Gc;

/// The functions in order; the first has number 2.
const NAMES: &str = "assert type next pairs ipairs_aux ipairs getmetatable setmetatable getfenv setfenv rawget rawset rawequal \
unpack select tonumber tostring error pcall xpcall loadfile load loadstring dofile gcinfo collectgarbage \
newproxy print coroutine.status coroutine.running coroutine.isyieldable coroutine.create coroutine.yield \
coroutine.resume coroutine.wrap_aux coroutine.wrap math.abs math.floor math.ceil math.sqrt math.log10 math.exp \
math.sin math.cos math.tan math.asin math.acos math.atan math.sinh math.cosh math.tanh math.frexp math.modf \
math.log math.atan2 math.pow math.fmod math.ldexp math.min math.max math.random math.randomseed bit.tobit \
bit.bnot bit.bswap bit.lshift bit.rshift bit.arshift bit.rol bit.ror bit.band bit.bor bit.bxor bit.tohex \
string.byte string.char string.sub string.rep string.reverse string.lower string.upper string.dump string.find \
string.match string.gmatch_aux string.gmatch string.gsub string.format table.maxn table.insert table.concat \
table.sort table.new table.clear io.method.close io.method.read io.method.write io.method.flush io.method.seek \
io.method.setvbuf io.method.lines io.method.__gc io.method.__tostring io.open io.popen io.tmpfile io.close \
io.read io.write io.flush io.input io.output io.lines io.type os.execute os.remove os.rename os.tmpname \
os.getenv os.exit os.clock os.date os.time os.difftime os.setlocale debug.getregistry debug.getmetatable \
debug.setmetatable debug.getfenv debug.setfenv debug.getinfo debug.getlocal debug.setlocal debug.getupvalue \
debug.setupvalue debug.upvalueid debug.upvaluejoin debug.sethook debug.gethook debug.debug debug.traceback \
jit.on jit.off jit.flush jit.status jit.security jit.attach jit.util.funcinfo jit.util.funcbc jit.util.funck \
jit.util.funcuvname jit.util.traceinfo jit.util.traceir jit.util.tracek jit.util.tracesnap jit.util.tracemc \
jit.util.traceexitstub jit.util.ircalladdr jit.opt.start jit.profile.start jit.profile.stop \
jit.profile.dumpstack ffi.meta.__index ffi.meta.__newindex ffi.meta.__eq ffi.meta.__len ffi.meta.__lt \
ffi.meta.__le ffi.meta.__concat ffi.meta.__call ffi.meta.__add ffi.meta.__sub ffi.meta.__mul ffi.meta.__div \
ffi.meta.__mod ffi.meta.__pow ffi.meta.__unm ffi.meta.__tostring ffi.meta.__pairs ffi.meta.__ipairs \
ffi.clib.__index ffi.clib.__newindex ffi.clib.__gc ffi.callback.free ffi.callback.set ffi.cdef ffi.new \
ffi.cast ffi.typeof ffi.typeinfo ffi.istype ffi.sizeof ffi.alignof ffi.offsetof ffi.errno ffi.string ffi.copy \
ffi.fill ffi.abi ffi.metatype ffi.gc ffi.load buffer.method.free buffer.method.reset buffer.method.skip \
buffer.method.set buffer.method.put buffer.method.putf buffer.method.get buffer.method.putcdata \
buffer.method.reserve buffer.method.commit buffer.method.ref buffer.method.encode buffer.method.decode \
buffer.method.__gc buffer.method.__tostring buffer.method.__len buffer.new buffer.encode buffer.decode";

/// Library and name of each, in the order of their numbers.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.split(' ').map(|n| n.rsplit_once('.').unwrap_or(("_G", n)))
}

/// The number of a function of a library; `None` if it has none.
pub fn number(prefix: &str, name: &str) -> Option<u8> {
    static NUMBERS: OnceLock<FxHashMap<(&str, &str), u8>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| names().zip(2..).collect());
    let prefix = if prefix.is_empty() { "_G" } else { prefix };
    numbers.get(&(prefix, name)).copied()
}

/// The library and the name of a number; functions of the base library are of `_G`.
pub fn name(number: u32) -> Option<(&'static str, &'static str)> {
    names().nth(number.checked_sub(2)? as usize)
}

/// Is it one of the metamethods of cdata?
pub fn is_cdata_metamethod(n: u32) -> bool {
    let at = |name| number("ffi.meta", name).map_or(0, u32::from);
    (at("__index")..=at("__tostring")).contains(&n)
}

/// Gives a function its number.
pub(crate) fn set(cx: Cx, f: Gc<Func>, prefix: &str, name: &str) {
    if let Some(n) = number(prefix, name) {
        cx.set_function_number(f, n);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers() {
        assert_eq!(super::number("_G", "assert"), Some(2));
        assert_eq!(super::number("_G", "print"), Some(29));
        assert_eq!(super::number("string", "format"), Some(89));
        assert_eq!(super::number("io", "write"), Some(110));
        assert_eq!(super::number("_G", "require"), None);
    }
}
