-- Library functions in traces: usual arguments first, so that a trace is made for them, then others.

local function show(...)
  local t = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    t[i] = type(v) == "function" and "function" or type(v) == "table" and "table" or tostring(v)
  end
  return table.concat(t, " ")
end

-- Runs f with each argument list a few times; errors are shown.
local function try(name, f, lists)
  for _, list in ipairs(lists) do
    local out
    for _ = 1, 6 do out = show(pcall(f, unpack(list, 1, list.n or #list))) end
    print(name, out)
  end
end

local nan, inf = 0 / 0, math.huge
try("byte", function(s, i, j) return string.byte(s, i, j) end, {
  { "hello", 1, 3 }, { "hello", 2, 2 }, { "hello", -3, -1 }, { "hello", 0, 9 }, { "hello", 4, 2 }, { "", 1, 1 },
  { "hello", "2", 3 }, { "hello", 2.7, 3.2 }, { "hello", nan, inf }, { 12345, 2, 3 }, { "hello", 2 ^ 31, 2 ^ 40 },
  { "hello" }, { n = 0 }, { {}, 1 }, { "hello", {} }, { "a\0\255", 1, 3 },
})
try("byte1", function(s, i) return (s:byte(i)) end, { { "abc", 1 }, { "abc", 3 }, { "abc", 4 }, { "abc", 0 }, { "abc", -1 }, { "abc", -0 } })
try("sub", function(s, i, j) return s:sub(i, j), #s:sub(i) end, {
  { "hello", 2, 3 }, { "hello", -3, -2 }, { "hello", 0, 100 }, { "hello", 3, 1 }, { "hello", -100, 2 }, { "hello", 1.5, 3.9 },
  { "hello", -2147483648, 2147483647 }, { "hello", nan, 3 }, { "hello", -0, 3 }, { "hello", 2, "4" }, { "hello", 2, nil, n = 3 },
})
try("char", function(...) return string.char(...) end, {
  { 65 }, { 0 }, { 255 }, { 256 }, { -1 }, { 65.9 }, { 65, 66, 67 }, { 65, 300 }, { 1, 2, 3, 4, 5, 6, 7, 8 },
  { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { n = 0 }, { "65" }, { "x" }, { nan },
})
try("rep", function(s, n, sep) return #s:rep(n), s:rep(3), sep and s:rep(n, sep) end, {
  { "ab", 3 }, { "ab", 0 }, { "ab", -5 }, { "", 100 }, { "ab", 2.9 }, { "ab", 3, "," }, { "ab", "2" }, { "ab", {} },
})
try("rephuge", function(n) return pcall(string.rep, ("x"):rep(100), n) end, { { -1 }, { 1e9 }, { 1e300 } })
try("case", function(s) return s:upper(), s:lower(), s:reverse(), s:len(), #s end, {
  { "Hello" }, { "" }, { "\0\xe4A" }, { 12.5 }, { {} }, { ("x"):rep(300) },
})
try("find", function(s, p, i, plain) return s:find(p, i, plain) end, {
  { "hello", "l" }, { "hello", "l", 4 }, { "hello", "l", 5 }, { "hello", "", 3 }, { "hello", "", 6 }, { "hello", "", 60 },
  { "hello", "x" }, { "a.b", ".", 2, true }, { "a.b", ".", 2 }, { "a.b", "%.", 1 }, { "hello", "l", -2 }, { "hello", "l", 0 },
  { "hello", "l", "3" }, { "hello", "l", 2.5 }, { "hello", "(l)(l)" }, { "hello", "[", 1, true }, { "hello", "[" },
  { "hello", "l", nil, true, n = 4 }, { "hello", "l", nan }, { 12321, 3 }, { "hello", nil, n = 2 },
})
try("match", function(s, p) return s:match(p), (s:gsub(p, "<%0>")) end, {
  { "key = value", "(%w+) = (%w+)" }, { "key", "x*" }, { "key", "(" }, { "key", "()" }, { "", "^$" },
})
try("tostring", function(v) return tostring(v), "[" .. tostring(v) .. "]" end, {
  { 1 }, { -0 }, { 1e15 }, { 1e100 }, { 0.1 }, { nan }, { inf }, { -inf }, { "text" }, { true }, { nil, n = 1 }, { n = 0 },
  { setmetatable({}, { __tostring = function() return "T" end }) }, { setmetatable({}, { __tostring = function() return 1 end }) },
})
try("tonumber", function(v, b) if b then return tonumber(v, b) end return tonumber(v) end, {
  { 12 }, { "12" }, { " 0x10 " }, { "1e" }, { "" }, { "nan" }, { "-0" }, { {} }, { nil, n = 1 }, { "ff", 16 }, { "z", 36 }, { "8", 8 },
  { "1", 99 }, { 7, 8 }, { "12", "10" }, { n = 0 },
})
try("select", function(i, ...) return select(i, ...) end, {
  { 1, "a", "b" }, { 2, "a", "b" }, { 3, "a", "b" }, { 30, "a", "b" }, { -1, "a", "b" }, { -2, "a", "b" }, { -3, "a", "b" }, { 0, "a" },
  { "#", "a", nil, n = 3 }, { "#" }, { "x" }, { 1.9, "a", "b" }, { nan, "a" }, { "2", "a", "b" },
})
try("select2", function(...) local s = 0 for i = 1, select("#", ...) do s = s + select(i, ...) end return s end,
  { { 1, 2, 3 }, { 1, 2 }, { n = 0 }, { 5 }, { 1, 2, 3, 4, 5, 6 } })
try("unpack", function(t, i, j) return unpack(t, i, j) end, {
  { { 1, 2, 3 } }, { { 1, 2, 3, 4 } }, { {} }, { { 1, nil, 3 }, 1, 3 }, { { 1, 2, 3 }, 2 }, { { 1, 2, 3 }, 2, 2 }, { { 1, 2, 3 }, 3, 2 },
  { { 1, 2, 3 }, -1, 1 }, { { 1, 2 }, 1, 1e7 }, { { 1, 2 }, "1", "2" }, { 5 }, { { x = 1 }, 1, 2 }, { { 1, 2 }, 1.5, 2.5 },
})
try("math", function(x, y)
  return math.abs(x), math.floor(x), math.ceil(x), math.min(x, y), math.max(x, y), math.fmod(x, y), math.modf(x)
end, {
  { 1.5, 2 }, { -1.5, 2 }, { -0, 0 }, { 0, -0 }, { 3, 3 }, { 2 ^ 53 + 1, 7 }, { inf, 2 }, { -inf, 1 }, { 1e300, -3 }, { "2.5", "2" }, { 1 }, { {}, 1 },
})
try("math2", function(x) return math.frexp(x), math.ldexp(x, 3), math.sqrt(x), math.floor(math.log(x) * 1e6), math.deg(x), math.rad(x) end,
  { { 8 }, { 0.3 }, { 1e-310 }, { inf }, { "4" }, { {} } })
try("bit", function(x, y)
  return bit.tobit(x), bit.bswap(x), bit.rol(x, y), bit.ror(x, y), bit.lshift(x, y), bit.rshift(x, y), bit.arshift(x, y), bit.band(x, y, 255),
    bit.bor(x, y, 1), bit.bxor(x, y), bit.bnot(x), bit.tohex(x, y)
end, { { 1, 4 }, { -1, 31 }, { 2 ^ 32 + 5, 33 }, { 1.5, 2.5 }, { -2 ^ 31, -1 }, { 2 ^ 52, 3 }, { "7", "2" }, { {}, 1 }, { 1, 1e300 } })
try("raw", function(t, k, v) rawset(t, k, v) return rawget(t, k), rawequal(t, t), rawequal(k, v), rawequal(v, v) end, {
  { {}, "a", 1 }, { {}, 1, 2 }, { {}, 1.5, nan }, { {}, nil, 1, n = 3 }, { {}, nan, 1 }, { 1, 2, 3 }, { setmetatable({}, { __index = print, __newindex = print }), 1, 1 },
})
try("insert", function(t, ...) table.insert(t, ...) return #t, t[1], t[#t] end, {
  { { 1, 2 }, 3 }, { {}, 1 }, { {}, "x" }, { { 1, 2, 3 }, 1, 0 }, { { 1 }, 5, 2 }, { { 1 } }, { { 1 }, 1, 2, 3 }, { 1, 2 }, { {}, nil, n = 2 },
})
try("remove", function(t, i) local a = table.remove(t) return a, #t, table.remove(t, i), #t end, {
  { { 1, 2, 3 } }, { {} }, { { "a" } }, { { 1, 2, 3 }, 1 }, { { 1, 2, 3 }, 7 }, { 5 },
  { setmetatable({ 1, 2, 3 }, { __index = function() return "i" end }) },
})
print("remove", select("#", table.remove({})), select("#", table.remove({ 1 })))
try("concat", function(t, s, i, j) return table.concat(t, s, i, j) end, {
  { { 1, "b", 2.5 } }, { { 1, "b", 2.5 }, "," }, { {}, "," }, { { 1, {}, 3 }, "," }, { { 1, 2, 3 }, "-", 2 }, { { 1, 2, 3 }, "-", 2, 3 }, { { 1, 2 }, 0 },
  { { 1, 2 }, {} }, { { 1, 2, 3 }, nil, 1, 4 }, { 5 }, { { true } },
})
try("meta", function(t, m) local r = setmetatable(t, m) return r == t, getmetatable(t) == m, t.x, getmetatable("").__index == string end, {
  { {}, { __index = { x = 1 } } }, { {}, nil, n = 2 }, { { x = 2 }, {} }, { setmetatable({}, { __metatable = 1 }), {} }, { {}, 5 }, { 5, {} }, { {} },
  { setmetatable({}, { __index = { x = 3 } }), { __index = { x = 4 } } },
})

-- Traversal: all shapes of tables, with changes on the way.
local function sum(t)
  local n, s = 0, 0
  for k, v in pairs(t) do
    n = n + 1
    s = s + (type(k) == "number" and k or #k) * (tonumber(v) or 1)
  end
  return n, s
end
for round = 1, 3 do
  print(sum({}), sum({ 1, 2, 3 }), sum({ a = 1, bb = 2, ccc = 3 }), sum({ 1, 2, x = 3, 4 }), sum({ nil, nil, 3, nil, 5 }), sum({ [0.5] = 1, [-1] = 2 }))
  local big = {}
  for i = 1, 100 do big[i] = i; big["k" .. i] = i end
  for i = 1, 100, 3 do big[i] = nil; big["k" .. i] = nil end
  print(sum(big))
  for k in pairs(big) do big[k] = nil end
  print(next(big), sum(big))
  print(pcall(sum, nil), pcall(sum, 5))
end
local seen = {}
for i = 1, 40 do
  local t = i % 3 == 0 and {} or i % 3 == 1 and { i } or { x = i }
  local k, v = next(t)
  seen[#seen + 1] = tostring(k) .. tostring(v)
  for k2, v2 in next, t do seen[#seen + 1] = k2 .. ":" .. v2 end
  if i == 35 then t = nil end
  if not t then seen[#seen + 1] = tostring(pcall(next, t)) .. tostring(select(2, pcall(next, {}, 1))) end
end
print(table.concat(seen, " "))
local count = 0
for i = 1, 20 do
  for k, v in pairs({ a = { 1, 2 }, b = { 3 } }) do
    for _, x in ipairs(v) do
      if x == 3 and i % 5 == 0 then break end
      count = count + x
    end
  end
end
print(count)

-- Metatables of basic types that change after the trace is there.
local out = {}
for i = 1, 60 do
  if i == 30 then getmetatable("").__tostring = function(s) return "<" .. #s .. ">" end end
  if i == 40 then debug.setmetatable(0, { __tostring = function() return "number" end, __index = { twice = function(n) return n * 2 end } }) end
  if i == 50 then debug.setmetatable(0, nil) getmetatable("").__tostring = nil end
  out[i] = tostring("ab") .. tostring(i) .. (i >= 40 and i < 50 and (i):twice() or "")
end
print(table.concat(out, " "))
