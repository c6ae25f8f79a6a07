-- Calls: recursion of both directions, varargs, tail calls, multiple results, closures, natives that call back.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(18))
local function ack(m, n) if m == 0 then return n + 1 elseif n == 0 then return ack(m - 1, 1) end return ack(m - 1, ack(m, n - 1)) end
print(ack(2, 20))
local function down(n) if n == 0 then return 0 end return 1 + down(n - 1) end
for i = 1, 5 do print(down(150)) end
local function many(...) return select("#", ...), ... end
local s = 0
for i = 1, 100 do local n, a, b, c = many(i, i + 1) s = s + n + a + b + (c or 1) end
print(s)
local function pass(...) return ... end
for i = 1, 100 do s = s + select(2, pass(i, i * 2, i * 3)) + #{pass(1, 2, 3)} end
print(s)
local function loop(n, acc) if n == 0 then return acc end return loop(n - 1, acc + n) end
print(loop(5000, 0))
local fs = {}
for i = 1, 100 do fs[i] = function(x) s = s + 1 return x + i end end
for k = 1, 3 do for i = 1, 100 do s = s + fs[i](k) end end
print(s)
local list = {}
for i = 1, 100 do list[i] = (i * 37) % 101 end
table.sort(list, function(a, b) return a > b end)
print(list[1], list[100])
print((("abc"):rep(30):gsub("b", function(c) s = s + 1 return c:upper() end)))
local co = coroutine.wrap(function() for i = 1, 200 do coroutine.yield(i) end end)
for i = 1, 150 do s = s + co() end
print(s)
for i = 1, 100 do local ok, v = pcall(function(x) return x * 2 end, i) s = s + v end
print(s)
for k, v in pairs({10, 20, 30, x = 1}) do s = s + v end
for i, v in ipairs(list) do s = s + i * v end
print(s)
for w in ("one two three four"):gmatch("%a+") do s = s + #w end
print(s)
