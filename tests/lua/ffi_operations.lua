-- Operators, conversions and errors of cdata, as the reference has them.
local ffi = require "ffi"
ffi.cdef[[
typedef struct { float x, y; } ff; typedef struct { unsigned a:5; unsigned b:20; float f; } bf;
typedef struct { union { int i; float f; }; float g; } un;
]]
local function clean(v) return (tostring(v):gsub("0x%x+", "ADDR"):gsub("struct %d+", "struct N"):gsub("enum %d+", "enum N")) end
local function p(f, ...)
  local r = { pcall(f, ...) }
  for i = 1, #r do r[i] = clean(r[i]) end
  print(unpack(r))
end
local S = ffi.metatype("ff", {__index = function(t, k) return k .. "?" end, __newindex = function(t, k, v) rawset(_G, "set", k) end, __eq = function(a, b) return true end, __pairs = function(t) return next, {a=1} end})
local s = S(1, 2) print(s.foo, s.x) s.zork = 3 print(set, s == S(5, 5), s ~= 1) for k, v in pairs(s) do print(k, v) end
p(ffi.metatype, "ff", {}) p(ffi.metatype, "int", {}) p(ffi.gc, 1, print) p(ffi.new, "void") p(ffi.new, "struct undefd") p(ffi.typeof, "int (int)[3]") p(ffi.cast, "ff", s)
print(ffi.sizeof("ff"), ffi.sizeof("int[?]", 5), ffi.sizeof("void"), ffi.offsetof("bf", "b"), ffi.offsetof("un", "f"), ffi.offsetof("un", "nope"))
local a = ffi.new("int[2][3]", {{1,2,3},{4,5,6}}) print(a[1][2], ffi.sizeof(a[0]), tostring(a[0]):match("<.->"))
local st = ffi.new("struct { const char *s; int *p; struct { int q; } in_; int arr[4]; }") st.in_.q = 4 st.arr = {1,2} print(st.s == nil, st.in_.q, st.arr[1], st.arr[3]) p(function() st.s = 5 end) p(function() st.arr = 5 end) p(function() st.in_ = 5 end)
local i = ffi.new("int32_t", -5) print(tonumber(i), i + 1, i == -5, i < 3LL, -i, i * 2ULL)
p(function() return i + "x" end) p(function() return 1LL + {} end) p(function() return 1LL < {} end) p(function() return 1LL .. "a" end) p(function() return (1LL)() end) p(function() return (1LL).x end) p(function() local q = ffi.new("int*") return q.x end) p(function() return #1LL end) p(function() return ffi.new("int[2]") < 3 end)
local e = ffi.new("enum { AA, BB }", 1) print(tonumber(e), e == 1, (tostring(e):gsub("%d+>", "N>")))
print(1LL == 1, 1LL == 1ULL, -1LL == 2ULL^64, ffi.new("int", 3) == 3, nil == ffi.new("void*"), ffi.new("void*") == nil, ffi.cast("void*", 5) == ffi.cast("char*", 5))
local t = {} t[1LL] = 1 print(t[1LL], t[1]) print(#ffi.string(ffi.new("char[10]", "abc"), 10), ffi.string(ffi.cast("const char*", "zz")))
for _, x in ipairs{0.1, 1e10, -1, 2^31, 2^63, 0/0, 1/0} do print(ffi.new("int", x) == ffi.cast("int", x), tonumber(ffi.cast("int64_t", x)) , tonumber(ffi.cast("uint64_t", x)), tonumber(ffi.cast("uint32_t", x)), tonumber(ffi.cast("int8_t", x)), ffi.cast("float", x) ~= nil, tonumber(ffi.cast("float", x)), tonumber(ffi.cast("bool", x))) end
