# program: luajit: traces, FFI callbacks, coroutines, string buffers
# packages: luajit
# needs: luajit
prepare() {
    cat >script.lua <<'END'
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(27))
local t = {} for i = 1, 200000 do t[i] = i * 7 % 1001 end
local s = 0 for r = 1, 20 do for i = 1, #t do s = s + t[i] * r end end print(s)
table.sort(t) print(t[1], t[100000], t[200000])
local ffi = require "ffi"
ffi.cdef [[ void qsort(void *, size_t, size_t, int (*)(const int *, const int *)); int getppid(void); ]]
local a = ffi.new("int[?]", 100) for i = 0, 99 do a[i] = i * 37 % 101 end
ffi.C.qsort(a, 100, 4, ffi.cast("int (*)(const int *, const int *)", function(x, y) return x[0] - y[0] end))
print(a[0], a[50], a[99])
local co = coroutine.wrap(function() for i = 1, 100000 do coroutine.yield(i) end end)
local c = 0 for i = 1, 100000 do c = c + co() end print(c)
local x = {} for w in ("the quick brown fox "):rep(2000):gmatch("%a+") do x[w] = (x[w] or 0) + 1 end print(x.fox)
for i = 1, 300 do local f = loadstring("return function(v) return v + " .. i .. " end")() for k = 1, 100 do c = f(c) end end print(c)
print(pcall(error, { code = 1 })) 
print(ffi.C.getppid() > 0, bit.bxor(0xff, 0x0f), string.format("%.14g", 2 ^ 0.5))
END
    sed -i '/pcall(error/d' script.lua
}
run() {
    luajit script.lua
    luajit -joff script.lua
    luajit -e 'error("stop")'
    echo "status $?"
}
