local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local s = 0
for i in gen(tonumber(arg and arg[1]) or 1500000) do s = s + i end
for r = 1, 20000 do for i in gen(5) do s = s + i end end
print(s)
