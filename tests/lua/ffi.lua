-- The ffi library: C declarations, structures, arrays, pointers, arithmetic, calls, callbacks, metatypes, errors.
local print = function(...)
  local t = { n = select("#", ...), ... }
  for i = 1, t.n do t[i] = tostring(t[i]):gsub("0x%x+", "ADDR"):gsub("struct %d+", "struct N") end
  print(table.concat(t, " ", 1, t.n))
end
local ffi = require("ffi")
print(1LL + 2, 5ULL * 3, -1LL, 10LL / 3, 2LL ^ 10, 7LL % -3, 1LL < 2ULL, 3LL == 3, 2i, 1LL == "x")
print(ffi.typeof("int"), ffi.typeof("const char *"), ffi.typeof("int (*)[3]"), ffi.typeof("struct { int x; }") and 1)
print(ffi.sizeof("int"), ffi.sizeof("int[10]"), ffi.alignof("double"), ffi.sizeof("struct { char a; int b; char c; }"))
local a = ffi.new("int[4]", 1, 2, 3)
print(a[0], a[1], a[2], a[3], ffi.sizeof(a))
local b = ffi.new("int[4]", {7})
print(b[0], b[3])
ffi.cdef[[
typedef struct { int x, y; double z; } point;
struct bits { unsigned a:3; int b:5; unsigned c:24; bool d:1; };
union u { int i; float f; unsigned char b[4]; };
enum color { RED, GREEN = 5, BLUE };
int printf(const char *fmt, ...);
int strcmp(const char *a, const char *b);
size_t strlen(const char *);
double pow(double, double);
typedef int (*cmp)(const void *, const void *);
void qsort(void *base, size_t n, size_t size, cmp f);
int abs(int);
static const int FOO = 42;
typedef struct { int r; unsigned char data[?]; } vls;
typedef struct node { struct node *next; int v; } node;
]]
local p = ffi.new("point", 1, 2, 3.5)
print(p.x, p.y, p.z)
p.x = 10
print(p.x, ffi.offsetof("point", "z"), ffi.istype("point", p))
local q = ffi.new("point", {y = 5, z = 1})
print(q.x, q.y, q.z)
print(pcall(function() return p.nope end))
print(pcall(function() p.nope = 1 end))
local s = ffi.new("struct bits")
s.a = 7 s.b = -3 s.c = 123456 s.d = true
print(s.a, s.b, s.c, s.d, ffi.sizeof(s), ffi.offsetof("struct bits", "c"))
local u = ffi.new("union u")
u.f = 1
print(u.i, u.b[3])
print(ffi.C.RED, ffi.C.GREEN, ffi.C.BLUE, ffi.C.FOO)
local c = ffi.new("enum color", "GREEN")
print(tonumber(c), c == "GREEN", pcall(function() return c == "BLACK" end))
print(ffi.C.strlen("hello"), ffi.C.abs(-5), ffi.C.pow(2, 10))
print(pcall(ffi.C.strlen, {}))
print(pcall(ffi.C.strlen))
print(pcall(function() return ffi.C.nonexist end))
local arr = ffi.new("int[5]", {5, 3, 1, 4, 2})
ffi.C.qsort(arr, 5, 4, function(x, y) x = ffi.cast("int*", x) y = ffi.cast("int *", y) return x[0] - y[0] end)
print(arr[0], arr[1], arr[2], arr[3], arr[4])
local ptr = ffi.cast("int *", arr)
print(ptr[1], (ptr + 2)[0], (ptr + 2) - ptr, ptr == arr + 0, ptr < ptr + 1)
print(ffi.string(ffi.new("char[6]", "hello")), ffi.string("abc", 2))
local mt = { __index = { len = function(self) return self.x + self.y end }, __add = function(a, b) return ffi.new("point", a.x + b.x, a.y + b.y, 0) end, __tostring = function(s) return "P("..s.x..")" end, __call = function(self, k) return k * 2 end, __len = function() return 99 end, __concat = function(a, b) return "cat" end, __lt = function() return true end, __unm = function(a) return "neg" end, __new = function(ct, x) return ffi.new(ct, x, x, x) end }
local P = ffi.metatype("point", mt)
print(p:len(), (p + q).x, tostring(p), p(21), #p, p .. "x", p < q, -p, P(3).z)
print(pcall(function() return p * 2 end))
print(pcall(function() return a + {} end))
print(pcall(function() return #a end))
print(pcall(function() return a .. "x" end))
print(pcall(function() return ffi.new("foo") end))
print(pcall(ffi.cdef, "int x"))
print(pcall(ffi.cdef, "struct { int x; } y"))
print(pcall(ffi.cdef, "int int y;"))
print(pcall(ffi.cdef, "foo bar;"))
print(pcall(ffi.cdef, "\n\nint (;"))
print(pcall(ffi.new, "int[?]"))
local v = ffi.new("int[?]", 3, 9)
print(v[0], v[2], ffi.sizeof(v))
local vl = ffi.new("vls", 10, 5, "hello")
print(vl.r, vl.data[0], ffi.sizeof(vl))
print(tonumber(5LL), tostring(5ULL), tostring(-5LL), tonumber("0x10"), tonumber(ffi.new("float", 1.5)))
print(ffi.cast("int", 3.9), tonumber(ffi.cast("int", 3.9)), tonumber(ffi.cast("uint8_t", -1)), ffi.cast("uint64_t", -1))
print(bit.band(0xffLL, 15), bit.bnot(0ULL), bit.lshift(1LL, 40), bit.tohex(255LL), 0xffLL & 0x0f, ~0LL, 1LL << 40)
print(ffi.abi("64bit"), ffi.abi("win"), ffi.os, ffi.arch)
local n1 = ffi.new("node") local n2 = ffi.new("node", {v = 2}) n1.next = n2
print(n1.next.v, n2.next == nil, n1.next == n2)
print(ffi.errno(5), ffi.errno())
local cb = ffi.cast("int (*)(int)", function(x) return x * 2 end)
print(cb(21)) cb:set(function(x) return x + 1 end) print(cb(21)) cb:free()
print(pcall(function() return cb:free() end))
print(ffi.typeof("$ *", ffi.typeof("point")), ffi.new(ffi.typeof("struct { $ a; int $; }", ffi.typeof("char"), "zz")).zz)
print(pcall(function() local k = ffi.new("const int", 5) ; local z = ffi.new("const int[2]", 1, 2); z[0] = 3 end))
print(ffi.new("complex", 1, -2), ffi.new("complex float", 1.5), ffi.new("complex", 3, 4).im)
print(ffi.istype("int", 1), ffi.istype("int64_t", 1LL), ffi.istype("struct node", n1), ffi.istype("struct node *", n1.next))
ffi.copy(arr, ffi.new("int[2]", 77, 88), 8) print(arr[0], arr[1], arr[2])
ffi.fill(arr, 8, 1) print(arr[0])
local gced = 0
do local g = ffi.gc(ffi.new("int[1]"), function() gced = gced + 1 end) end
collectgarbage() collectgarbage()
print(gced)
for i = 1, 3 do local x = ffi.new("point") x.x = i end
print(tostring(ffi.new("int *")):match("^cdata<int %*>: "), tostring(ffi.C.strlen):match("^cdata<[^:]*"))
print(pcall(ffi.cast, "point", 1))
print(pcall(ffi.new, "int", "x"))
print(pcall(ffi.new, "int[2]", {1,2,3}))
print(pcall(ffi.new, "point", 1, 2, 3, 4))
print(ffi.new("int8_t", 200), ffi.new("bool", 3), tonumber(ffi.new("int8_t", 200)))
print(pcall(function() return ffi.new("int*")[nil] end))
print(pcall(function() return (ffi.new("int"))() end))
print(pcall(function() for k in pairs(p) do end end))
