-- Closures in traces: made, called, closed; and locals that library functions change through them.

local list = {}
for i = 1, 30 do
  local a = i
  list[i] = function(d) a = a + d; return a, i end
  if i % 7 == 0 then a = a * 2 end
end
local s = 0
for i = 1, 30 do local x, y = list[i](1); s = s + x * y; x = list[i](2); s = s + x end
print(s)

local function compose(f, g) return function(x) return f(g(x)) end end
local function add(n) return function(x) return x + n end end
local r = 0
for i = 1, 100 do r = compose(add(i), add(-i + 1))(r) end
print(r)

-- Counted by the comparator.
local calls, swaps = 0, 0
for round = 1, 20 do
  local t, n = {}, 0
  for i = 1, 8 do t[i] = (i * 37 + round * 11) % 17 end
  table.sort(t, function(x, y) calls = calls + 1; n = n + 1; return x < y end)
  swaps = swaps + n
  if n ~= n then error("no") end
  s = s + t[1] + n
end
print(calls, swaps, s)

-- Counted by a replacement function, in an outer frame.
local function count(text)
  local words = 0
  local function one() words = words + 1 end
  for i = 1, 5 do text:gsub("%a+", one) end
  return words
end
local total = 0
for i = 1, 30 do total = total + count("one two three") end
print(total)

-- A local below the frame at which a trace begins.
local function outer()
  local n = 0
  local function bump() n = n + 1 end
  local function inner(t) table.sort(t, function(a, b) bump() return a > b end) return t[1] end
  local s = 0
  for i = 1, 30 do local before = n; s = s + inner({ i, i + 1, i - 1 }) + (n - before) end
  return s, n
end
print(outer())

-- Varargs, tail calls of library functions, all results of calls.
local function tail(...) return select("#", ...), tostring((...)) end
local function last(...) return (select(select("#", ...), ...)) end
local function pack(...) return { n = select("#", ...), ... } end
local function again(t) return unpack(t, 1, t.n) end
local x = 0
for i = 1, 50 do
  x = x + tail(i, i, i) + last(1, 2, i) + pack(again(pack(i, nil, i % 3 == 0 and i or nil))).n
  x = x + #tostring(i) + math.max(again(pack(i, 7, 3)))
  x = x + select("#", string.byte(("x"):rep(i % 5), 1, -1))
end
print(x)

-- The same closure with upvalues open and closed; a shared variable.
local function pair()
  local v = 0
  return function() v = v + 1 return v end, function() return v end
end
local acc = 0
for i = 1, 40 do
  local inc, get = pair()
  inc() inc()
  acc = acc + get()
  local shared = i
  local f = function() shared = shared + 1 end
  f() f()
  acc = acc + shared
end
print(acc)

-- The collector finds everything that only the trace has.
local keep = {}
for i = 1, 60 do
  local t = { { i }, tostring(i) .. "x" }
  local f = function() return t[1][1], t[2] end
  local a, b = {}, tostring(i)
  if i % 10 == 0 then collectgarbage() end
  string.rep("y", i)
  t[3] = { a, b .. "z" }
  if i % 9 == 0 then collectgarbage() end
  local p, q = f()
  keep[i % 5] = q .. p .. t[3][2] .. #t[3][1]
end
print(keep[0], keep[1], keep[2], keep[3], keep[4])

-- Loops inside vararg functions: the number of arguments changes.
local function every(...)
  local s = 0
  for i = 1, 20 do
    local a, b = ...
    s = s + select("#", ...) + (a or 0) * (b or 1) + i
    local t = { ... }
    s = s + #t
  end
  return s, ...
end
for i = 1, 12 do print(every(), every(i), every(i, 2), every(1, i, 3, 4), select("#", every(unpack({}, 1, i * 5)))) end
