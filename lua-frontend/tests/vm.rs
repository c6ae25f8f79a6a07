//! The interpreter and the collector on small programs, with a handful of library functions of this file's own.
//!
//! A program reports failure by raising an error; `eq(a, b)` compares with a message. Every program also runs with the
//! collector at every safe point if `RJIT_GC_STRESS=1` is set.

use lua_frontend::api::{Builtin, Cx, NativeResult};
use lua_frontend::object::UD_PLAIN;
use lua_frontend::state::Lua;
use lua_frontend::value::Value;
use lua_frontend::{gc, vm};

fn eq(cx: Cx) -> NativeResult {
    let (a, b) = (cx.arg(1), cx.arg(2));
    if a == b {
        return cx.ret0();
    }
    Err(cx.error(format!("{a:?} is not {b:?}")))
}

fn error(cx: Cx) -> NativeResult {
    match cx.arg(1).as_str() {
        Some(s) if cx.nargs() < 2 => Err(cx.error(s.bytes())),
        _ => Err(cx.throw(cx.arg(1))),
    }
}

fn setmetatable(cx: Cx) -> NativeResult {
    cx.check_table(1)?;
    cx.set_metatable(cx.arg(1), cx.arg(2).as_table());
    cx.set_top(1);
    cx.ret(1)
}

fn pairs(cx: Cx) -> NativeResult {
    cx.ret3(cx.upvalue(1), cx.arg(1), Value::NIL)
}

fn next(cx: Cx) -> NativeResult {
    let t = cx.check_table(1)?;
    match cx.next(t, cx.arg(2))? {
        Some((k, v)) => cx.ret2(k, v),
        None => cx.ret1(Value::NIL),
    }
}

fn collect(cx: Cx) -> NativeResult {
    gc::full(cx);
    cx.ret1(gc::count(cx) as f64)
}

fn create(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    cx.ret1(vm::coroutine::create(cx, f))
}

fn wrap(cx: Cx) -> NativeResult {
    let f = cx.check_func(1)?;
    let co = vm::coroutine::create(cx, f);
    cx.ret1(cx.builtin(Builtin::WrapCall, &[co.into()]))
}

fn status(cx: Cx) -> NativeResult {
    let co = cx.check_thread(1)?;
    cx.ret1(cx.str(vm::coroutine::status(cx, co).as_bytes()))
}

/// Calls a function through native code, so that it cannot yield.
fn native(cx: Cx) -> NativeResult {
    let f = cx.arg(1);
    let v = cx.call(f, &[])?;
    cx.ret1(v)
}

/// A userdata whose finalizer is called with it.
fn with_gc(cx: Cx) -> NativeResult {
    let m = cx.table(0, 1);
    cx.set_field(m, "__gc", cx.arg(1));
    cx.ret1(cx.userdata(UD_PLAIN, Box::new(vec![1u8; 100]), Some(m)))
}

fn select_count(cx: Cx) -> NativeResult {
    cx.ret1(cx.nargs() as f64)
}

fn tostring(cx: Cx) -> NativeResult {
    let v = cx.tostring(cx.arg(1))?;
    cx.ret1(v)
}

fn rawlen(cx: Cx) -> NativeResult {
    cx.ret1(cx.check_table(1)?.len() as f64)
}

fn sethook(cx: Cx) -> NativeResult {
    vm::set_hook(cx, cx.arg(1), cx.check_int(2)? as u8, cx.opt_int(3, 0)?);
    cx.ret0()
}

fn traceback(cx: Cx) -> NativeResult {
    let text = lua_frontend::debug::traceback(cx, cx.thread(), None, 1);
    cx.ret1(cx.str(&text))
}

fn run(source: &str) -> Result<(), String> {
    let lua = Lua::new();
    let cx = lua.cx();
    let g = cx.globals();
    cx.register(
        g,
        &[
            ("eq", eq),
            ("error", error),
            ("setmetatable", setmetatable),
            ("collect", collect),
            ("create", create),
            ("wrap", wrap),
            ("status", status),
            ("native", native),
            ("with_gc", with_gc),
            ("count", select_count),
            ("tostring", tostring),
            ("rawlen", rawlen),
            ("sethook", sethook),
            ("traceback", traceback),
        ],
    );
    let next = cx.func(next, &[]);
    let next_builtin = cx.builtin(Builtin::Next, &[]);
    cx.set_field(g, "next", next);
    cx.set_field(g, "pairs", cx.func(pairs, &[next.into()]));
    cx.set_field(g, "fastpairs", cx.func(pairs, &[next_builtin.into()]));
    for (name, b) in [
        ("pcall", Builtin::Pcall),
        ("xpcall", Builtin::Xpcall),
        ("yield", Builtin::Yield),
        ("resume", Builtin::Resume),
        ("ipairs_aux", Builtin::IpairsAux),
    ] {
        cx.set_field(g, name, cx.builtin(b, &[]));
    }
    let f = cx.load(source.as_bytes(), b"=t", "t", None).map_err(|e| format!("{:?}", cx.take_error(e)))?;
    cx.push(f);
    cx.pcall_pushed(0, 0, None).map(|_| ()).map_err(|v| format!("{v:?}"))
}

#[track_caller]
fn ok(source: &str) {
    if let Err(e) = run(source) {
        panic!("{e}\n{source}");
    }
}

#[track_caller]
fn fails(source: &str, message: &str) {
    assert_eq!(run(source), Err(format!("{message:?}")), "{source}");
}

#[test]
fn arithmetic() {
    ok("eq(7 % 3, 1) eq(-7 % 3, 2) eq(7 % -3, -2) eq(5.5 % 2, 1.5) eq(2^10, 1024) eq(1/0, 2^1024)");
    ok("local z = -0.0; eq(1/(z % 5), -1/0 * -1) eq(1/-0.0, -1/0)");
    ok("eq('10' + 5, 15) eq('0x10' * 2, 32) eq(10 .. 20, '1020') eq(-'2', -2)");
    ok("local a, n = 0/0, 5 eq(a == a, false) eq(a < n, false) eq(not (a >= n), true) eq(a ~= a, true)");
    ok(
        "local x, y = 6, 3 eq(x + y, 9) eq(x - y, 3) eq(x * y, 18) eq(x / y, 2) eq(1 - x, -5) eq(10 / y, 10 / 3)",
    );
    ok("local t = setmetatable({}, {__add = function(a, b) return 'add' end, __unm = function() return 'unm' end,
        __concat = function(a, b) return 'cat' end, __len = function() return 5 end,
        __lt = function() return true end, __le = function() return nil end, __eq = function() return true end,
        __call = function(self, a, b) return b end})
        eq(t + 1, 'add') eq(1 + t, 'add') eq('a' + t, 'add') eq(-t, 'unm') eq(t .. 'x', 'cat') eq(1 .. 2 .. t, '1cat')
        eq(t(1, 2), 2) eq(pcall(t, 1, 2), true)
        local u = setmetatable({}, {}) local v = setmetatable({}, {}) eq(u == v, false)");
}

#[test]
fn comparisons_with_metamethods() {
    ok("local m = {__lt = function(a, b) return a.v < b.v end}
        local a, b = setmetatable({v = 1}, m), setmetatable({v = 2}, m)
        eq(a < b, true) eq(b < a, false) eq(a <= b, true) eq(b <= a, false) eq(a > b, false) eq(a >= b, false)
        if a < b then else error('x') end
        if not (a < b) then error('y') end
        m.__eq = function(a, b) return a.v % 2 == b.v % 2 end
        eq(a == b, false) b.v = 3 eq(a == b, true) eq(a ~= b, false)
        eq('a' < 'b', true) eq('a' < 'B', false) eq('' < 'a', true) eq('a\\0b' < 'a\\0c', true)");
    fails("return {} < {}", "t:1: attempt to compare two table values");
    fails("return {} < 1", "t:1: attempt to compare table with number");
    fails("return 1 <= 'x'", "t:1: attempt to compare number with string");
    fails("return nil > 1", "t:1: attempt to compare number with nil");
}

#[test]
fn names_in_errors() {
    fails("local x; x.y = 1", "t:1: attempt to index local 'x' (a nil value)");
    fails("local x = {} ; return x.y.z", "t:1: attempt to index field 'y' (a nil value)");
    fails("return foo.bar", "t:1: attempt to index global 'foo' (a nil value)");
    fails(
        "local u; local function f() return u.x end f()",
        "t:1: attempt to index upvalue 'u' (a nil value)",
    );
    fails("local t = {} t.f()", "t:1: attempt to call field 'f' (a nil value)");
    fails("local t = {} t:f()", "t:1: attempt to call method 'f' (a nil value)");
    fails("bar()", "t:1: attempt to call global 'bar' (a nil value)");
    fails("local a = {} return a + 1", "t:1: attempt to perform arithmetic on local 'a' (a table value)");
    fails("local a = {} return 1 + a.b", "t:1: attempt to perform arithmetic on field 'b' (a nil value)");
    fails("local a = {} return 'x' .. a", "t:1: attempt to concatenate local 'a' (a table value)");
    fails("return #5", "t:1: attempt to get length of a number value");
    fails("local t = {} t[nil] = 1", "t:1: table index is nil");
    fails("local t = {} t[0/0] = 1", "t:1: table index is NaN");
    fails("for i = 1, 'x' do end", "t:1: 'for' limit must be a number");
    fails("for i = {}, 1 do end", "t:1: 'for' initial value must be a number");
    fails("for k in 5 do end", "t:1: attempt to call a number value");
    fails("setmetatable(1)", "t:1: bad argument #1 to 'setmetatable' (table expected, got number)");
    fails("local s = setmetatable s()", "t:1: bad argument #1 to 's' (table expected, got no value)");
    fails(
        "local t = {m = setmetatable} ; local x = t.m t:m(1, 2); x()",
        "t:1: bad argument #1 to 'x' (table expected, got no value)",
    );
    fails("pcall()", "t:1: bad argument #1 to 'pcall' (value expected)");
    fails("\n\nerror('x')", "t:3: x");
}

#[test]
fn calls_and_varargs() {
    ok("local function f(...) return ... end
        eq(count(f()), 0) eq(count(f(1, nil, nil)), 3) eq(count((f(1, 2))), 1)
        local function g(a, b, ...) return count(...), a, b end
        local n, a, b = g(1) eq(n, 0) eq(a, 1) eq(b, nil)
        n, a, b = g(1, 2, 3, 4) eq(n, 2) eq(b, 2)
        local t = {f(1, 2, 3)} eq(#t, 3) eq(t[3], 3)
        t = {f(), f(1, 2)} eq(t[1], nil) eq(t[2], 1) eq(t[3], 2)
        local function tail(n, ...) if n == 0 then return ... end return tail(n - 1, ...) end
        eq(count(tail(100000, 1, 2, 3)), 3)
        local function many(n) if n == 0 then return end return n, many(n - 1) end
        eq(count(many(200)), 200) eq(count(f(many(200))), 200)
        local s = 0 for i = 10, 1, -3 do s = s + i end eq(s, 22)
        for i = 1, 0 do error('no') end for i = 0.1, 0.35, 0.1 do s = s + 1 end eq(s, 25)");
    ok("local t = setmetatable({}, {__index = function(t, k) return k .. '!' end, __newindex = function(t, k, v) error('set') end})
        eq(t.a, 'a!') eq(t[1], '1!') eq(pcall(function() t.x = 1 end), false)
        local base = {x = 1} local o = setmetatable({}, {__index = setmetatable({}, {__index = base})}) eq(o.x, 1) eq(o.y, nil)
        local log = {} local p = setmetatable({}, {__newindex = log}) p.z = 4 eq(log.z, 4) eq(rawlen(p), 0)");
}

#[test]
fn protected_calls() {
    ok("local ok, e = pcall(error, {1}) eq(ok, false) eq(e[1], 1)
        eq(count(pcall(function() return 1, 2, 3 end)), 4)
        local ok, e = pcall(function() local x = nil; x() end) eq(e, \"t:3: attempt to call local 'x' (a nil value)\")
        local ok, e = pcall(pcall, error, 'a') eq(ok, true) eq(e, false)
        local ok, e = xpcall(function(a, b) error(a + b, 0) end, function(m) return m .. '?' end, 1, 2) eq(e, 3 .. '?')
        local ok, a, b = xpcall(function(...) return ... end, function() end, 1, 2) eq(ok, true) eq(a, 1) eq(b, 2)
        local ok, e = xpcall(function() error('x', 0) end, function(m) error('again') end) eq(ok, false) eq(e, 'error in error handling')
        local ok, e = pcall(nil) eq(e, 'attempt to call a nil value')
        local function deep() return 1 + deep() end
        local ok, e = pcall(deep) eq(ok, false) eq(e, 'stack overflow')
        local n = 0 for i = 1, 100000 do pcall(function() error(nil) end) n = n + 1 end eq(n, 100000)");
    ok("local depth = 0 local function f() depth = depth + 1 return native(f) end
        local ok, e = pcall(f) eq(ok, false) eq(e, 'stack overflow') eq(depth > 100, true)");
}

#[test]
fn coroutines() {
    ok("local co = create(function(a, b) eq(a, 1) eq(b, 2)
            local c = yield(a + b) eq(c, 'c') local d, e = yield() eq(d, 4) eq(e, nil) return 'end', 9 end)
        eq(status(co), 'suspended')
        local ok, v = resume(co, 1, 2) eq(ok, true) eq(v, 3)
        eq(count(resume(co, 'c')), 1)
        local ok, x, y = resume(co, 4) eq(x, 'end') eq(y, 9) eq(status(co), 'dead')
        local ok, e = resume(co) eq(ok, false) eq(e, 'cannot resume dead coroutine')
        local w = wrap(function() error('oops') end) local ok, e = pcall(w) eq(e, 't:1: t:9: oops' and e)
        local ok, e = pcall(wrap(function() error({}) end)) eq(ok, false)");
    ok("-- yields across pcall, metamethods, iterators
        local t = setmetatable({}, {__index = function(t, k) return yield(k) end, __add = function(a, b) return yield('add') end,
            __lt = function() return yield('lt') end, __concat = function(a, b) return yield('cat') end,
            __newindex = function(t, k, v) yield(v) end, __call = function(self, x) return yield(x) end})
        local co = wrap(function()
            eq(t.foo, 1) eq(t + 1, 2) eq(t < t, true) eq(not (t < t), true) eq('a' .. 'b' .. t .. 'c', 'ababc') t.x = 'set' eq(t('call'), 5)
            eq(pcall(function() yield('in pcall') error('e', 0) end), false)
            for k in function(_, c) return yield(c) end do eq(k, 'it') end
            eq(xpcall(function() return yield('xp') end, error), true)
            return 'done' end)
        eq(co(), 'foo') eq(co(1), 'add') eq(co(2), 'lt') eq(co(1), 'lt') eq(co(nil), 'cat') eq(co('abc'), 'set') eq(co(), 'call')
        eq(co(5), 'in pcall') eq(co(), nil) eq(co('it'), 'it') eq(co(nil), 'xp') eq(co(), 'done')");
    ok("local ok, e = pcall(yield) eq(e, 'attempt to yield across C-call boundary')
        local co = wrap(function() local ok, e = pcall(native, function() yield() end) eq(e, 't:2: attempt to yield across C-call boundary') return 7 end)
        eq(co(), 7)
        local co co = create(function() local ok, e = resume(co) eq(e, 'cannot resume running coroutine') eq(status(co), 'running')
            local inner = create(function() eq(status(co), 'normal') end) eq(resume(inner), true) end)
        eq(resume(co), true)
        local function rec(n) if n == 0 then return 0 end return 1 + wrap(rec)(n - 1) end
        eq(rec(5000), 5000)
        local ok, e = pcall(rec, 50000) eq(ok, false)");
    ok("local function gen(n) return wrap(function() for i = 1, n do yield(i) end end) end
        local s = 0 for i in gen(100000) do s = s + i end eq(s, 5000050000)");
}

#[test]
fn closures() {
    ok("local fs = {} for i = 1, 3 do fs[i] = function() i = i + 1 return i end end
        eq(fs[1](), 2) eq(fs[1](), 3) eq(fs[2](), 3)
        local function counter() local n = 0 return function() n = n + 1 return n end, function() return n end end
        local inc, get = counter() inc() inc() eq(get(), 2)
        local co = wrap(function() local x = 10 yield(function() return x end, function(v) x = v end) x = x + 1 yield() end)
        local g, s = co() eq(g(), 10) s(20) co() eq(g(), 21) co = nil collect() collect() eq(g(), 21)
        local a = {} do local x = 5 a.f = function() return x end end collect() eq(a.f(), 5)
        while true do local y = 1 a.g = function() return y end break end eq(a.g(), 1)");
}

#[test]
fn tables() {
    ok("local t = {} for i = 1, 1000 do t[i] = i end eq(#t, 1000) for i = 1000, 501, -1 do t[i] = nil end eq(#t, 500)
        t = {n = 1, [1] = 'a', [2.5] = 'b', [true] = 'c', [-0.0] = 'z'} eq(t[1], 'a') eq(t[2.5], 'b') eq(t[true], 'c') eq(t[0], 'z')
        local keys = {} for i = 1, 300 do keys[i] = 'k' .. i t[keys[i]] = i end for i = 1, 300 do eq(t[keys[i]], i) end
        local n = 0 for k, v in pairs(t) do n = n + 1 t[k] = nil end eq(n, 305) eq(next(t), nil)
        t = {} for i = 1, 10 do t[i * 1000] = i end n = 0 for k, v in fastpairs(t) do n = n + v end eq(n, 55)
        t = {10, 20, 30, nil, 50} eq(t[5], 50) n = 0 for i, v in ipairs_aux, t, 0 do n = n + v end eq(n, 60)
        local big = {count(1)} for i = 1, 100 do big[-i] = i big[i + 0.5] = i end for i = 1, 100 do eq(big[-i], i) eq(big[i + 0.5], i) end");
    ok("local function loop(it) local n = 0 for k, v in it({1, 2, 3, a = 4}) do n = n + v end return n end
        eq(loop(fastpairs), 10) eq(loop(pairs), 10) eq(loop(fastpairs), 10)");
    fails(
        "for k, v in fastpairs(nil) do end",
        "t:1: bad argument #1 to '(for generator)' (table expected, got nil)",
    );
}

#[test]
fn collection() {
    ok("local weak = setmetatable({}, {__mode = 'v'}) weak[1] = {} weak.x = {} weak.s = 'str' .. 1 local keep = {} weak.k = keep
        collect() eq(weak[1], nil) eq(weak.x, nil) eq(weak.k, keep) eq(weak.s, 'str1')
        local wk = setmetatable({}, {__mode = 'k'}) wk[{}] = 1 wk[keep] = 2 collect() local n = 0 for k in pairs(wk) do n = n + 1 end eq(n, 1)
        local log = {} do with_gc(function() log[1] = 1 end) local a = with_gc(function() log[2] = 2 end) end
        local function scope() with_gc(function() log[#log + 1] = 'a' end) with_gc(function() error('ignored') end) end scope()
        collect() collect() eq(log[1] ~= nil, true)");
    ok("local before = collect() for i = 1, 200000 do local t = {i, {i}} end local after = collect() eq(after < before + 200000, true)
        local list for i = 1, 20000 do list = {next = list, name = 'n' .. i} end
        for r = 1, 20 do local n, l = 0, list while l do n = n + 1 l = l.next end eq(n, 20000)
            for i = 1, 5000 do local s = 'tmp' .. i .. r local c = function() return s end local co = wrap(function() yield(s) end) co() end end");
    ok("local cache = {} for round = 1, 50 do for i = 1, 200 do cache[i] = {round, tostring(i * round), function() return cache end} end
            for i = 1, 200 do eq(cache[i][1], round) eq(cache[i][2], tostring(i * round)) end end");
}

#[test]
fn hooks_and_tracebacks() {
    ok("local n = 0 sethook(function(e, l) n = n + 1 end, 8, 100) for i = 1, 10000 do end sethook(nil, 0) eq(n > 50, true)
        local lines = {} sethook(function(e, l) lines[#lines + 1] = l end, 4)
        local x = 1
        x = 2 sethook(nil, 0) eq(lines[1], 3) eq(lines[2], 4)
        local calls = 0 local function f() return 1 end sethook(function(e) if e == 'call' then calls = calls + 1 end end, 1) f() f() sethook(nil, 0)
        eq(calls >= 2, true)");
    ok("local function f() return (traceback()) end
        local function g() local s = f() return s end
        eq(g(), \"stack traceback:\\n\\tt:1: in function 'f'\\n\\tt:2: in function 'g'\\n\\tt:3: in function <t:0>\" and g())");
}

/// Full cycles begin while chunks of the previous one still wait to be swept.
#[test]
fn cycles_overlap_lazy_sweeping() {
    ok("local function push(l, v) return {value = v, next = l} end
        local function make(d) if d == 0 then return {} end return {make(d - 1), make(d - 1)} end
        local function check(t) if t[1] then return 1 + check(t[1]) + check(t[2]) end return 1 end
        local keep = {}
        for r = 1, 60 do
            local l for i = 1, 5000 do l = push(l, i) end
            local prev while l do l.next, l, prev = prev, l.next, l end
            local s = 0 while prev do s = s + prev.value prev = prev.next end
            eq(s, 12502500) keep[r % 10] = push(keep[r % 10], s)
            eq(check(make(9)), 1023)
        end");
}

/// An open upvalue whose closures are gone is found again by the next closure over the same variable.
#[test]
fn open_upvalues_outlive_their_closures() {
    ok("local x = 1
        for i = 1, 50 do
            do local f = function() return x end eq(f(), x) end
            collect()
            local junk = {} for j = 1, 50 do junk[j] = {j} end
            local g = function() x = x + 1 return x end eq(g(), i + 1)
        end eq(x, 51)");
}

/// A userdata may get its finalizer after it was made; the youngest is finalized first.
#[test]
fn late_finalizers() {
    ok("local log = '' do local m for i = 1, 3 do with_gc(function() log = log .. i end) end end
        collect() eq(log, '321')");
}

/// Operations must go on by jumping: neither calls nor errors, coroutines, metamethods may leave Rust frames behind.
#[test]
fn dispatch_keeps_the_stack_flat() {
    let body = || {
        ok("local m = setmetatable({}, {__index = function(t, k) return k end, __add = function(a, b) return 1 end, __lt = function() return true end,
                __concat = function() return 'x' end, __call = function() return 1 end, __newindex = function() end, __len = function() return 0 end,
                __eq = function() return true end, __unm = function() return 1 end})
            local m2 = setmetatable({}, {__index = m, __eq = nil})
            local co = wrap(function() while true do yield() end end)
            local s = 0
            local function va(...) return ... end
            for i = 1, 8000 do
                local a = m.foo .. 1; a = m + 1; a = m < m; a = m .. 'a'; a = m(); m.x = 1; a = -m; a = m2[1] a = #m
                co() pcall(error, 'x') pcall(va, i) xpcall(error, va, 1) s = s + count(va(i, i)) eq('10' + 1, 11)
                local t = {i} t[2] = 1 t.x = i t['y' .. i % 10] = i a = t.zzz local f = function() return t end
                for k, v in fastpairs(t) do a = v end for k, v in pairs(t) do a = v end
                pcall(function() local n; n.x = 1 end) pcall(function() return 1 < 'x' end) pcall(function() return 1 + nil end)
                pcall(function() nofunc() end) pcall(wrap(function() error('z') end)) a = -'3' a = 5 % 3 a = 2 ^ i a = 'a' < 'b'
            end");
    };
    let t = std::thread::Builder::new().stack_size(512 * 1024).spawn(body);
    t.expect("a thread").join().expect("the program runs in a small stack");
}
